//! What stands beside a queue's units: where it lies, that readers pass over messages by it, and
//! that none is lost by it whatever becomes of it.

use crate::support::*;
use crate::verify::check;
use message::{Draft, Properties, properties, property};
use simulator::SimDisk;
use std::cell::Cell;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::disk::Allocation;
use store::look::{Effect, Kind, Target};
use store::{
    Disk, Filter, FilterBits, Limits, OsDisk, Position, Read, Settings, Store, Unit, UnitEntry,
    Wait,
};

/// Bytes of a file: seven entries of 34 bytes, and 18 more.
const FILE: u64 = 256;
/// Bytes of an entry with bits.
const LEN: i64 = 20 + 14;

fn settings() -> Settings {
    Settings { extension_file_bytes: Some(FILE), ..small(Path::new("/store")) }
}

fn ext_path(root: &Path, start: i64) -> PathBuf {
    root.join(format!("consumequeue_ext/T/0/{start:020}"))
}

/// Gives a message the bit that its property says; topic U has no filters.
struct OneBit;

impl FilterBits for OneBit {
    fn bits(&self, topic: &str, encoded: &[u8], _: i64) -> Option<Vec<u8>> {
        let mut bits = vec![0; 14];
        if let Some(bit) = properties::find(encoded, "bit") {
            let bit: usize = bit.parse().unwrap();
            bits[bit / 8] |= 1 << (bit % 8);
        }
        (topic == "T").then_some(bits)
    }
}

/// Wants messages of one bit, and counts those that it looks at.
struct Wants {
    bit: usize,
    looked_at: Cell<usize>,
}

impl Filter for Wants {
    fn wants_bits(&self, bits: &[u8], _: i64) -> bool {
        bits[self.bit / 8] >> (self.bit % 8) & 1 != 0
    }

    fn judges_records(&self) -> bool {
        true
    }

    fn wants_record(&self, record: &[u8]) -> bool {
        self.looked_at.set(self.looked_at.get() + 1);
        let record = record_of(record);
        properties::find(record.properties, "bit") == Some(&self.bit.to_string())
    }
}

fn open_with_bits(disk: &Arc<dyn Disk>, settings: &Settings) -> Store {
    let store = open(disk, settings);
    store.set_filter_bits(Arc::new(OneBit));
    store
}

fn draft_of(topic: &str, bit: usize, body: &str) -> Draft {
    let properties: Properties =
        [(property::TAGS, format!("Tag{bit}")), ("bit", bit.to_string())].into_iter().collect();
    Draft { properties: properties.encode(), ..draft(topic, 0, body) }
}

/// Sends messages with these numbers, each with its number modulo 8 for a bit.
fn send(store: &Store, numbers: std::ops::Range<usize>) {
    for number in numbers {
        append(store, NOW + number as i64, draft_of("T", number % 8, &format!("{number}")));
    }
}

/// What a reader of one bit finds, and how many messages it looked at.
fn found(store: &Store, bit: usize) -> (Vec<String>, usize) {
    let wants = Wants { bit, looked_at: Cell::new(0) };
    let (mut bodies, mut offset) = (Vec::new(), store.min_offset("T", 0));
    while offset < store.max_offset("T", 0) {
        let position = Position { topic: "T", queue_id: 0, offset };
        let read: Read = store.read(position, Limits::messages(32), &wants);
        assert!(read.next_offset > offset, "{read:?}");
        let texts = read.messages.iter().map(|bytes| record_of(bytes).body.to_vec());
        bodies.extend(texts.map(|body| String::from_utf8(body).unwrap()));
        offset = read.next_offset;
    }
    (bodies, wants.looked_at.get())
}

/// The numbers below `end` that have a bit.
fn numbers(bit: usize, end: usize) -> Vec<String> {
    (bit..end).step_by(8).map(|number| number.to_string()).collect()
}

fn raw_units(disk: &Arc<dyn Disk>, root: &Path) -> Vec<Unit> {
    let path = root.join("consumequeue/T/0/00000000000000000000");
    let bytes = disk.read(&path).unwrap();
    bytes.as_chunks::<20>().0.iter().map_while(Unit::decode).collect()
}

fn entry(store: &Store, offset: i64) -> Option<Result<UnitEntry, i64>> {
    store.entry_at(Position { topic: "T", queue_id: 0, offset })
}

#[test]
fn entries_lie_where_java_has_them() {
    on_both_disks(|disk, settings| {
        let settings = Settings { extension_file_bytes: Some(FILE), ..settings };
        let store = open_with_bits(&disk, &settings);
        send(&store, 0..8);
        append(&store, NOW, draft_of("U", 1, "without filters"));
        store.close().unwrap();
        let units = raw_units(&disk, &settings.root);
        // Seven fit, and a file ends at least four bytes before its end.
        let offsets = (0..7).map(|at| at * LEN).chain([FILE as i64]);
        assert!(units.iter().map(|unit| unit.tags_code - i64::MIN).eq(offsets));
        let first = disk.read(&ext_path(&settings.root, 0)).unwrap();
        let mut expected = 34_i16.to_be_bytes().to_vec();
        expected.extend(i64::from(message::hash::java_hash("Tag0")).to_be_bytes());
        expected.extend(NOW.to_be_bytes());
        expected.extend(14_i16.to_be_bytes());
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(first[..34], expected);
        assert_eq!(first[238..], [[0xFF; 2].as_slice(), &[0; 16]].concat());
        let second = disk.read(&ext_path(&settings.root, FILE as i64)).unwrap();
        assert_eq!((second[..2].to_vec(), second[33..].to_vec()), (vec![0, 34], vec![0; 223]));
        let other = settings.root.join("consumequeue_ext/U/0/00000000000000000000");
        assert_eq!(disk.read(&other).unwrap()[..2], [0, 20], "no bits without filters");
        // Readers see the tags codes.
        let code = i64::from(message::hash::java_hash("Tag3"));
        assert_eq!(store.unit("T", 0, 3).unwrap().tags_code, code);
        let known = entry(&store, 3).unwrap().unwrap();
        assert_eq!((known.tags_code, known.stored_ms, known.bits[0]), (code, NOW + 3, 8));
        assert_eq!(bodies(&store, "T", 0).len(), 8);
    });
}

#[test]
fn a_reader_looks_at_what_the_bits_speak_for_alone() {
    on_both_disks(|disk, settings| {
        let settings = Settings { extension_file_bytes: Some(FILE), ..settings };
        let store = open_with_bits(&disk, &settings);
        send(&store, 0..100);
        assert_eq!(found(&store, 3), (numbers(3, 100), 13), "in memory");
        store.close().unwrap();
        drop(store);
        let store = open_with_bits(&disk, &settings);
        assert_eq!(found(&store, 3), (numbers(3, 100), 13), "in the files");
        let wants = Wants { bit: 5, looked_at: Cell::new(0) };
        let from = Position { topic: "T", queue_id: 0, offset: 0 };
        let limits = Limits { wait: Wait::ForDisk, ..Limits::messages(2) };
        let read = store.read(from, limits, &wants);
        assert_eq!((read.count, read.next_offset), (2, 14));
        send(&store, 100..104);
        assert_eq!(found(&store, 3).0, numbers(3, 104));
    });
}

#[test]
fn after_a_crash_what_nobody_vouches_for_is_not_believed() {
    for is_synced in [false, true] {
        let sim = SimDisk::new(11);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let store = open_with_bits(&disk, &settings());
        store.flush(NOW).unwrap();
        send(&store, 0..20);
        let later = if is_synced { NOW + 1_000_000 } else { NOW + 1 };
        store.flush(later).unwrap();
        send(&store, 20..30);
        store.flush(later + 1).unwrap();
        sim.kill();
        drop(store);
        let store = open_with_bits(&disk, &settings());
        let sure = if is_synced { 20 } else { 0 };
        for at in 0..30 {
            assert_eq!(entry(&store, at).is_some(), at < sure, "{is_synced} {at}");
        }
        assert_eq!(found(&store, 3).0, numbers(3, 30));
        send(&store, 30..40);
        assert_eq!(found(&store, 3).0, numbers(3, 40));
        assert!(entry(&store, 35).unwrap().is_ok());
        store.close().unwrap();
        drop(store);
        let store = open_with_bits(&disk, &settings());
        assert_eq!(found(&store, 7).0, numbers(7, 40));
        let address = entry(&store, 30).unwrap().unwrap().address - i64::MIN;
        // Where no unit leads to an entry it goes on behind the files, for units may come back.
        let files = disk.list(Path::new("/store/consumequeue_ext/T/0")).unwrap();
        let first = files[0].name.parse::<i64>().unwrap();
        let behind = if is_synced { 2 * FILE as i64 + 6 * LEN } else { first + FILE as i64 };
        assert_eq!(address, behind, "it goes on where the entries end");
        assert_eq!(first > 0, !is_synced, "of files that no unit leads to the last one stays");
    }
}

#[test]
fn lost_files_lose_no_message_and_their_addresses_are_not_given_again() {
    // All of them, the last one, one in the middle, and one that has another length.
    for case in 0..4 {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(12));
        let store = open_with_bits(&disk, &settings());
        send(&store, 0..26);
        store.close().unwrap();
        drop(store);
        let root = Path::new("/store");
        let files: Vec<_> = (0..4).map(|at| ext_path(root, at * FILE as i64)).collect();
        let remove =
            |which: &[usize]| which.iter().for_each(|at| disk.remove(&files[*at]).unwrap());
        match case {
            0 => remove(&[0, 1, 2, 3]),
            1 => remove(&[3]),
            2 => remove(&[1]),
            _ => disk.replace(&files[3], &[7; 100], None).unwrap(),
        }
        let store = open_with_bits(&disk, &settings());
        assert_eq!(found(&store, 3).0, numbers(3, 26), "{case}");
        send(&store, 26..28);
        let next = entry(&store, 26).unwrap().unwrap().address - i64::MIN;
        let goes_on = 3 * FILE as i64 + 5 * LEN;
        assert_eq!(next, if case == 2 { goes_on } else { 4 * FILE as i64 }, "{case}");
        assert_eq!(entry(&store, 1).unwrap().is_err(), case == 0, "{case}");
        assert_eq!(
            store.unit("T", 0, 9).unwrap().tags_code,
            store.unit("T", 0, 1).unwrap().tags_code
        );
        assert_eq!(found(&store, 3).0, numbers(3, 28), "{case}");
        store.close().unwrap();
        drop(store);
        let store = open_with_bits(&disk, &settings());
        assert_eq!(found(&store, 2).0, numbers(2, 28), "{case}");
        send(&store, 28..29);
        let behind = if case == 2 { 4 * FILE as i64 } else { next + 2 * LEN };
        assert_eq!(entry(&store, 28).unwrap().unwrap().address - i64::MIN, behind);
    }
}

#[test]
fn the_setting_may_change_and_change_back() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(13));
    let on = settings();
    let off = Settings { extension_file_bytes: None, ..settings() };
    let mut sent = 0;
    for settings in [&off, &on, &off, &on] {
        let store = open_with_bits(&disk, settings);
        send(&store, sent..sent + 5);
        sent += 5;
        assert_eq!(found(&store, 3).0, numbers(3, sent), "{sent}");
        assert_eq!(bodies(&store, "T", 0).len(), sent);
        store.close().unwrap();
    }
    let codes = raw_units(&disk, Path::new("/store")).into_iter().map(|unit| unit.tags_code);
    let offsets: Vec<_> =
        codes.map(|code| (code < i64::from(i32::MIN)).then(|| code - i64::MIN)).collect();
    let plain = [None; 5];
    let expected: Vec<_> = (0..5).map(|at| Some(at * LEN)).collect();
    assert_eq!(offsets[..10], [&plain[..], &expected].concat());
    let expected = [5 * LEN, 6 * LEN, 256, 256 + LEN, 256 + 2 * LEN].map(Some);
    assert_eq!(offsets[10..], [&plain[..], &expected].concat());
}

#[test]
fn entries_go_with_the_log_and_with_their_topic() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(14));
    let settings = Settings { reserved_hours: 0, delete_hours: (0..24).collect(), ..settings() };
    let store = open_with_bits(&disk, &settings);
    send(&store, 0..300);
    let dir = Path::new("/store/consumequeue_ext/T/0");
    store.flush(NOW + 1_000_000).unwrap();
    assert_eq!(disk.list(dir).unwrap().len(), 43);
    for round in 1..20 {
        store.retain(NOW + 10_000_000 * round).unwrap();
    }
    let min = store.min_offset("T", 0);
    assert!(min > 100, "{min}");
    let first = entry(&store, min).unwrap().unwrap().address - i64::MIN;
    let files: Vec<i64> =
        disk.list(dir).unwrap().iter().map(|file| file.name.parse().unwrap()).collect();
    let expected = (first / FILE as i64 * FILE as i64..).step_by(FILE as usize);
    // Java keeps the file that ends where the first entry begins.
    let kept = files.iter().skip_while(|start| **start + FILE as i64 == first);
    assert!(kept.copied().eq(expected.take_while(|start| *start <= 42 * FILE as i64)), "{files:?}");
    let expected = numbers(3, 300);
    let gone = expected.len() - found(&store, 3).0.len();
    assert_eq!(found(&store, 3).0, expected[gone..]);

    assert_eq!(store.delete_topics(["T"]).unwrap(), 1);
    assert!(disk.list(Path::new("/store/consumequeue_ext")).unwrap().is_empty());
    send(&store, 0..3);
    assert_eq!(entry(&store, 2).unwrap().unwrap().address - i64::MIN, 2 * LEN);
    assert_eq!(found(&store, 2).0, ["2"]);
}

#[test]
fn what_a_topic_left_while_none_was_kept_does_not_stand_beside_its_next_life() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(15));
    let store = open_with_bits(&disk, &settings());
    send(&store, 0..20);
    store.close().unwrap();
    drop(store);
    let store = open(&disk, &Settings { extension_file_bytes: None, ..settings() });
    store.delete_topics(["T"]).unwrap();
    store.close().unwrap();
    drop(store);
    assert_eq!(disk.list(Path::new("/store/consumequeue_ext/T/0")).unwrap().len(), 3);
    let store = open_with_bits(&disk, &settings());
    send(&store, 0..2);
    store.close().unwrap();
    assert_eq!(disk.list(Path::new("/store/consumequeue_ext/T/0")).unwrap().len(), 1);
    let bytes = disk.read(&ext_path(Path::new("/store"), 0)).unwrap();
    assert!(bytes[2 * LEN as usize..].iter().all(|byte| *byte == 0), "of Java's walk the end");
}

/// Java leaves what it wrote before a crash, and its recovery walks over that.
#[test]
fn nothing_stands_behind_the_last_entry() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(16));
    let store = open_with_bits(&disk, &settings());
    send(&store, 0..3);
    store.close().unwrap();
    drop(store);
    let path = ext_path(Path::new("/store"), 0);
    let file = disk.open(&path, FILE, Allocation::Sparse).unwrap();
    file.write_at(3 * LEN as u64, &[1; 100]).unwrap();
    drop(file);
    let store = open_with_bits(&disk, &settings());
    assert!(disk.read(&path).unwrap()[3 * LEN as usize..].iter().all(|byte| *byte == 0));
    send(&store, 3..4);
    assert_eq!(entry(&store, 3).unwrap().unwrap().address - i64::MIN, 3 * LEN);
}

#[test]
fn what_does_not_fit_an_entry_leaves_the_tags_code_in_the_unit() {
    struct Many;
    impl FilterBits for Many {
        fn bits(&self, _: &str, _: &[u8], now: i64) -> Option<Vec<u8>> {
            Some(vec![0xFF; if now == NOW { 232 } else { 233 }])
        }
    }
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(17));
    let store = open(&disk, &settings());
    store.set_filter_bits(Arc::new(Many));
    send(&store, 0..2);
    assert!(entry(&store, 0).unwrap().is_ok(), "it fills a file but for the end");
    assert_eq!(entry(&store, 1), None);
    assert_eq!(bodies(&store, "T", 0), ["0", "1"]);
}

#[test]
fn who_looks_at_a_store_reads_what_stands_beside_its_units() {
    let dir = TempDir::new();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let settings = Settings { extension_file_bytes: Some(FILE), ..small(dir.path()) };
    let store = open_with_bits(&disk, &settings);
    send(&store, 0..26);
    store.close().unwrap();
    drop(store);
    let looked = || {
        let found = check(&*disk, &settings, &[]);
        let damage =
            found.damage.into_iter().map(|it| (it.kind, it.count, it.first.queue.unwrap().2));
        (damage.collect::<Vec<_>>(), found.notes)
    };
    let (damage, notes) = looked();
    assert_eq!(damage, []);
    let says = |notes: &[String]| notes.iter().any(|note| note.contains("consumequeue_ext"));
    assert!(!says(&notes), "{notes:?}");
    // The tags code of the ninth entry, second of its file.
    let path = ext_path(dir.path(), FILE as i64);
    let whole = disk.read(&path).unwrap();
    let mut wrong = whole.clone();
    wrong[LEN as usize + 2 + 7] ^= 1;
    disk.replace(&path, &wrong, None).unwrap();
    let (damage, _) = looked();
    assert_eq!(damage, [(Kind::UnitWrong, 1, 8)]);
    disk.replace(&path, &whole, None).unwrap();
    disk.remove(&ext_path(dir.path(), 2 * FILE as i64)).unwrap();
    let (damage, notes) = looked();
    assert!(damage.is_empty() && says(&notes), "{damage:?} {notes:?}");
    for target in [Target::Java55, Target::Rockhopper] {
        let told = crate::preflight::told(&settings, target, &[]);
        assert!(crate::preflight::has(&told, Effect::Notes, "consumequeue_ext"), "{told:?}");
    }
}

/// What asks for tags by an entry that is wrong does not see the message.
#[test]
fn an_entry_that_says_other_tags_or_another_time_is_done_without() {
    let dir = TempDir::new();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let settings = Settings { extension_file_bytes: Some(FILE), index: false, ..small(dir.path()) };
    let store = open_with_bits(&disk, &settings);
    send(&store, 0..20);
    store.flush(NOW + 1_000_000).unwrap();
    store.sync().unwrap();
    let mut day = 1;
    let mut pass = || {
        day += 1;
        while store.scrub(NOW + day * 86_400_000) > 0 {}
        store.stats().units_mended()
    };
    assert_eq!(pass(), 0, "sound entries are left alone");
    // A byte of the tags code, then one of the time.
    for (number, (place, byte)) in [(1, 9), (2, 2), (3, 17), (4, 10)].into_iter().enumerate() {
        let path = ext_path(dir.path(), 0);
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let at = place * LEN as u64 + byte;
        let was = disk.read(&path).unwrap()[at as usize];
        file.write_all_at(&[was ^ 1], at).unwrap();
        assert!(entry(&store, place as i64).is_some_and(|entry| entry.is_ok()));
        assert_eq!(pass(), number as u64 + 1, "byte {byte} of entry {place}");
        assert_eq!(entry(&store, place as i64), None, "its unit has the tags code itself");
    }
    assert_eq!(found(&store, 3).0, numbers(3, 20));
    store.close().unwrap();
}

/// The time in a delayed message's entry was made of the levels of its day; no other is made of
/// today's, though the unit does without its entry after a kill.
#[test]
fn a_delayed_message_keeps_its_time_when_the_levels_change_before_a_kill() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(18));
    let topic = message::names::SCHEDULE_TOPIC;
    let store = open_with_bits(&disk, &settings());
    store.flush(NOW).unwrap();
    let of_level = |level: usize| {
        let properties = format!("DELAY\u{1}{level}\u{2}").into_bytes();
        Draft { properties: properties.into(), ..draft(topic, 0, "later") }
    };
    // The entries are in more than one file.
    for number in 0..40 {
        append(&store, NOW, of_level(1 + number % 4));
    }
    store.flush(NOW + 1).unwrap();
    drop(store);
    let now = Settings { delay_levels_ms: vec![1_000, 60_000], ..settings() };
    let store = open_with_bits(&disk, &now);
    let codes = store.units(topic, 0, 0, 40).into_iter().map(|unit| unit.tags_code - NOW);
    let then = [1_000, 5_000, 10_000, 30_000].repeat(10);
    assert_eq!(codes.collect::<Vec<_>>(), then);
}
