//! Topics of inner batches: records that hold many messages, and their queues.

use crate::bad_disk::BadDisk;
use crate::support::*;
use bytes::Bytes;
use message::batch::{self, BatchMessage};
use message::{Draft, Properties, property, record, sys_flag};
use simulator::{Loss, SimDisk};
use std::path::Path;
use std::sync::Arc;
use store::disk::Allocation;
use store::{Boundary, Disk, Everything, Filter, Limits, Position, ReadStatus, Settings, Store};

const TOPIC: &str = "B";
const QUEUE: &str = "/store/batchconsumequeue/B/0/00000000000000000000";

fn sim(seed: u64) -> (SimDisk, Arc<dyn Disk>, Settings) {
    let sim = SimDisk::new(seed);
    sim.set_clock(NOW);
    let settings = Settings { batch_queue_file_bytes: 46 * 8, ..small(Path::new("/store")) };
    (sim.clone(), Arc::new(sim), settings)
}

fn batch_of(count: usize, name: &str) -> Draft {
    let mut body = Vec::new();
    for number in 0..count {
        let one = Bytes::from(format!("{name}-{number}"));
        let properties = Bytes::from_static(b"A\x01b\x02");
        batch::encode(&BatchMessage { flag: 0, body: one, properties }, &mut body);
    }
    let mut draft = draft(TOPIC, 0, name);
    let mut all = Properties::parse(&draft.properties);
    all.set(property::INNER_NUM, count.to_string());
    draft.properties = all.encode();
    draft.body = Bytes::from(body);
    draft.sys_flag = sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
    draft
}

fn begin(disk: &Arc<dyn Disk>, settings: &Settings) -> Store {
    let store = open(disk, settings);
    assert!(store.hold_batches(TOPIC, true).unwrap());
    store
}

/// Queue offset, messages and key of every record.
fn all(store: &Store) -> Vec<(i64, i64, String)> {
    all_from(store, store.min_offset(TOPIC, 0))
}

/// The same from the one on that holds a queue offset.
fn all_from(store: &Store, mut offset: i64) -> Vec<(i64, i64, String)> {
    let mut all = Vec::new();
    while offset < store.max_offset(TOPIC, 0) {
        let found = read(store, TOPIC, 0, offset);
        assert!(found.next_offset > offset, "{found:?}");
        for bytes in &found.messages {
            let record = record_of(bytes);
            let count = record.property(property::INNER_NUM).map_or(1, |n| n.parse().unwrap());
            if count > 1 {
                let base = record.property(property::INNER_BASE).unwrap();
                assert_eq!(base, record.queue_offset.to_string());
            }
            let key = record.property(property::KEYS).unwrap().to_owned();
            all.push((record.queue_offset, count, key));
        }
        offset = found.next_offset;
    }
    all
}

fn put(store: &Store, now: i64, draft: Draft) -> i64 {
    append(store, now, draft).queue_offset
}

/// `count` batches of three messages and a single one behind each.
fn fill(store: &Store, from: usize, count: usize) {
    for number in from..from + count {
        let at = 4 * number as i64;
        assert_eq!(put(store, NOW + at, batch_of(3, &format!("b{number}"))), at);
        assert_eq!(put(store, NOW + at + 3, draft(TOPIC, 0, &format!("s{number}"))), at + 3);
    }
}

fn expected(from: usize, count: usize) -> Vec<(i64, i64, String)> {
    let of = |number: usize| {
        let at = 4 * number as i64;
        [(at, 3, format!("key-b{number}")), (at + 3, 1, format!("key-s{number}"))]
    };
    (from..from + count).flat_map(of).collect()
}

#[test]
fn a_batch_takes_as_many_offsets_as_it_has_messages() {
    let (_, disk, settings) = sim(1);
    let store = begin(&disk, &settings);
    fill(&store, 0, 20);
    assert_eq!((store.min_offset(TOPIC, 0), store.max_offset(TOPIC, 0)), (0, 80));
    assert_eq!(all(&store), expected(0, 20));
    // A start in the middle gives the whole record.
    let found = read(&store, TOPIC, 0, 5);
    assert_eq!(record_of(&found.messages[0]).queue_offset, 4);
    assert_eq!(store.unit(TOPIC, 0, 6), store.unit(TOPIC, 0, 4));
    assert_ne!(store.unit(TOPIC, 0, 7), store.unit(TOPIC, 0, 4));
    assert_eq!(store.unit(TOPIC, 0, 80), None);
    assert_eq!(store.units(TOPIC, 0, 5, 2).len(), 2);
    let at_end = read(&store, TOPIC, 0, 80);
    assert_eq!(at_end.status, ReadStatus::OffsetOverflowOne);
    assert_eq!(read(&store, TOPIC, 0, 90).status, ReadStatus::OffsetOverflowBadly);
    assert!(store.query(TOPIC, "key-b7", 5, (0, i64::MAX)).records.len() == 1);
}

#[test]
fn a_read_is_bounded_by_messages_and_not_by_records() {
    let (_, disk, settings) = sim(2);
    let store = begin(&disk, &settings);
    fill(&store, 0, 3);
    let ask = |offset, max| {
        let position = Position { topic: TOPIC, queue_id: 0, offset };
        let found = store.read(position, Limits::messages(max), &Everything);
        (found.messages.len(), found.count, found.next_offset)
    };
    assert_eq!(ask(0, 1), (1, 3, 3), "the first record comes whatever it holds");
    assert_eq!(ask(0, 4), (2, 4, 4));
    assert_eq!(ask(0, 6), (2, 4, 4));
    assert_eq!(ask(0, 7), (3, 7, 7));
    assert_eq!(ask(2, 7), (3, 7, 7));
    struct TagB;
    impl Filter for TagB {
        fn wants_tags_code(&self, tags_code: i64) -> bool {
            tags_code == 1
        }
    }
    let position = Position { topic: TOPIC, queue_id: 0, offset: 1 };
    let found = store.read(position, Limits::messages(32), &TagB);
    assert_eq!((found.status, found.next_offset), (ReadStatus::NoMatchedMessage, 12));
}

#[test]
fn offsets_by_time_are_those_of_records() {
    let (_, disk, settings) = sim(3);
    let store = begin(&disk, &settings);
    fill(&store, 0, 10);
    let lower = |time| store.offset_by_time(TOPIC, 0, NOW + time, Boundary::Lower);
    assert_eq!((lower(-5), lower(0), lower(1), lower(3), lower(4)), (0, 0, 3, 3, 4));
    assert_eq!(lower(1_000), 39, "the last record, as Java says");
    let upper = |time| store.offset_by_time(TOPIC, 0, NOW + time, Boundary::Upper);
    assert_eq!((upper(-5), upper(0), upper(2), upper(3), upper(1_000)), (0, 0, 0, 3, 39));
    assert_eq!(store.store_time(TOPIC, 0, 6), Some(NOW + 4));
}

#[test]
fn a_clean_stop_and_every_power_loss_are_survived() {
    for loss in [None, Some(Loss::All), Some(Loss::Sectors)] {
        for seed in 0..30 {
            let (sim, disk, settings) = sim(seed);
            let store = begin(&disk, &settings);
            fill(&store, 0, 15);
            match loss {
                None => store.close().unwrap(),
                Some(_) => {
                    store.sync().unwrap();
                }
            }
            drop(store);
            if let Some(loss) = loss {
                sim.lose(loss);
            }
            let store = open(&disk, &settings);
            assert_eq!(all(&store), expected(0, 15), "{loss:?} {seed}");
            fill(&store, 15, 15);
            // A process that is killed leaves what it wrote.
            drop(store);
            let store = open(&disk, &settings);
            assert_eq!(all(&store), expected(0, 30), "{loss:?} {seed}");
        }
    }
}

#[test]
fn queues_that_are_missing_or_damaged_are_made_anew() {
    for damage in 0..6 {
        let (_, disk, settings) = sim(damage);
        let store = begin(&disk, &settings);
        fill(&store, 0, 20);
        store.close().unwrap();
        drop(store);
        let file = |start: usize| format!("/store/batchconsumequeue/B/0/{start:020}");
        let path = |start: usize| Path::new(&file(start)).to_path_buf();
        let write = |start: usize, at: u64, bytes: &[u8]| {
            let file = disk.open(&path(start), 46 * 8, Allocation::Sparse).unwrap();
            file.write_at(at, bytes).unwrap();
        };
        match damage {
            0 => (0..5).for_each(|number| disk.remove(&path(46 * 8 * number)).unwrap()),
            1 => disk.remove(&path(46 * 8)).unwrap(),
            2 => disk.remove(&path(0)).unwrap(),
            3 => disk.remove(&path(46 * 32)).unwrap(),
            4 => write(46 * 32, 46, &[0; 46]),
            _ => write(46 * 32, 46 * 2 + 28, &7_i64.to_be_bytes()),
        }
        let store = open(&disk, &settings);
        assert_eq!(all(&store), expected(0, 20), "{damage}");
        assert_eq!(put(&store, NOW, batch_of(2, "next")), 80);
        drop(store);
        let store = open(&disk, &settings);
        assert_eq!(all(&store).len(), 41, "{damage}");
        store.close().unwrap();
    }
}

#[test]
fn files_expire_with_the_log_and_the_first_offset_follows() {
    let (sim, disk, settings) = sim(4);
    let store = begin(&disk, &settings);
    for number in 0..200 {
        put(&store, NOW, batch_of(3, &format!("b{number}")));
    }
    store.flush(NOW).unwrap();
    let used = sim.used();
    sim.set_room(used * 100, used * 88);
    store.flush(NOW + 1).unwrap();
    store.delete_expired_soon();
    assert!(store.retain(NOW).unwrap().queue_files > 0);
    sim.set_room(1 << 40, 1 << 39);
    let (min, max) = (store.min_offset(TOPIC, 0), store.max_offset(TOPIC, 0));
    assert!(min > 0 && min % 3 == 0 && max == 600, "{min} {max}");
    assert_eq!(read(&store, TOPIC, 0, 0).next_offset, min);
    store.close().unwrap();
    drop(store);
    let store = open(&disk, &settings);
    assert_eq!((store.min_offset(TOPIC, 0), store.max_offset(TOPIC, 0)), (min, max));
    assert_eq!(all(&store)[0].0, min);
    assert_eq!(put(&store, NOW, batch_of(2, "next")), 600);
}

#[test]
fn a_file_whose_last_unit_looks_expired_by_one_bit_stays() {
    // With one of these the first unit that the log still has is the last one of its file.
    for others in 0..3 {
        let (sim, disk, settings) = sim(5);
        let settings = Settings { batch_queue_file_bytes: 46 * 3, ..settings };
        let store = begin(&disk, &settings);
        for _ in 0..others {
            append(&store, NOW, draft("other", 0, "m"));
        }
        let logged = (0..200).map(|number| append(&store, NOW, batch_of(3, &format!("b{number}"))));
        let logged: Vec<i64> = logged.map(|appended| appended.log_offset).collect();
        store.flush(NOW).unwrap();
        let used = sim.used();
        sim.set_room(used * 100, used * 88);
        store.flush(NOW + 1).unwrap();
        store.delete_expired_soon();
        store.retain(NOW).unwrap();
        sim.set_room(1 << 40, 1 << 39);
        let before = all(&store);
        let first = before[0].0 / 3;
        store.close().unwrap();
        drop(store);
        let (last, log_min) = (first / 3 * 3 + 2, logged[first as usize]);
        let at = logged[last as usize];
        let bit = (0..63).find(|bit| at & 1 << bit != 0 && at ^ 1 << bit < log_min).unwrap();
        let path = format!("/store/batchconsumequeue/B/0/{:020}", last / 3 * 46 * 3);
        let file = disk.open(Path::new(&path), 46 * 3, Allocation::Sparse).unwrap();
        file.write_at(2 * 46, &(at ^ 1 << bit).to_be_bytes()).unwrap();
        disk.remove(Path::new("/store/queueends")).unwrap();
        assert_eq!(all(&open(&disk, &settings)), before, "{others}");
    }
}

#[test]
fn a_batch_whose_properties_are_lost_keeps_its_places() {
    const SECTOR: usize = 512;
    let (sim, disk, settings) = sim(6);
    let settings = Settings { commit_log_file_bytes: 1 << 20, ..settings };
    let store = begin(&disk, &settings);
    fill(&store, 0, 2);
    let mut torn = batch_of(4, &"k".repeat(2 * SECTOR));
    let mut properties = Properties::parse(&torn.properties);
    properties.set("pad", "p".repeat(2 * SECTOR));
    torn.properties = properties.encode();
    let len = torn.properties.len();
    let torn = append(&store, NOW, torn);
    fill(&store, 3, 4);
    let before = all(&store);
    drop(store);
    sim.kill();
    let log = Path::new("/store/commitlog/00000000000000000000");
    let log = disk.open(log, settings.commit_log_file_bytes, Allocation::Reserved).unwrap();
    let end = torn.log_offset as usize + torn.size as usize;
    let (from, to) = ((end - len).next_multiple_of(SECTOR), end / SECTOR * SECTOR);
    log.write_at(from as u64, &vec![0; to - from]).unwrap();
    disk.remove(Path::new(QUEUE)).unwrap();
    disk.remove(Path::new("/store/queueends")).unwrap();
    let store = open(&disk, &settings);
    for (place, _, key) in before.iter().filter(|(place, ..)| *place != torn.queue_offset) {
        let found = read(&store, TOPIC, 0, *place);
        assert_eq!(record_of(&found.messages[0]).property(property::KEYS), Some(key.as_str()));
    }
    assert_eq!(
        put(&store, NOW, batch_of(1, "next")),
        before.last().map_or(0, |last| last.0 + last.1)
    );
}

/// Loses the power when all units of the queue's one file are durable and the last records are
/// not: they are less than four pages.
fn lose_behind_units(store: Store, disk: &Arc<dyn Disk>, sim: &SimDisk, file_bytes: u64) {
    store.flush(NOW + 1).unwrap();
    let units = disk.open(Path::new(QUEUE), file_bytes, Allocation::Sparse).unwrap();
    units.sync(0..file_bytes).unwrap();
    drop(store);
    sim.lose(Loss::All);
}

#[test]
fn offsets_of_lost_messages_are_not_given_again() {
    let (sim, disk, settings) = sim(5);
    let store = begin(&disk, &settings);
    fill(&store, 0, 1);
    store.flush(NOW).unwrap();
    put(&store, NOW, batch_of(3, "lost"));
    lose_behind_units(store, &disk, &sim, 46 * 8);
    let store = open(&disk, &settings);
    assert_eq!(store.max_offset(TOPIC, 0), 7, "they may have been read");
    assert_eq!(read(&store, TOPIC, 0, 5).next_offset, 7);
    drop(store);
    let store = open(&disk, &settings);
    assert_eq!(store.max_offset(TOPIC, 0), 7);
    assert_eq!(put(&store, NOW, batch_of(2, "next")), 7);
    store.sync().unwrap();
    drop(store);
    sim.lose(Loss::All);
    let store = open(&disk, &settings);
    let mut known = expected(0, 1);
    known.push((7, 2, "key-next".into()));
    assert_eq!(all(&store), known);
    assert_eq!(read(&store, TOPIC, 0, 5).next_offset, 9);
}

/// A reader in front of a gap, however wide, gets what lies behind it.
#[test]
fn a_wide_gap_of_lost_messages_holds_nobody_up() {
    let (sim, disk, settings) = sim(6);
    let queue = 46 * 64;
    let settings =
        Settings { commit_log_file_bytes: 1 << 20, batch_queue_file_bytes: queue, ..settings };
    let store = begin(&disk, &settings);
    fill(&store, 0, 1);
    store.flush(NOW).unwrap();
    for _ in 0..4 {
        put(&store, NOW, batch_of(100, "lost"));
    }
    lose_behind_units(store, &disk, &sim, queue);
    let store = open(&disk, &settings);
    let end = store.max_offset(TOPIC, 0);
    assert_eq!(end, 404);
    assert_eq!(read(&store, TOPIC, 0, 4).next_offset, end, "all of them are lost");
    put(&store, NOW, batch_of(2, "next"));
    store.sync().unwrap();
    for from in [0, 2, 4, 5, end / 2, end - 1, end] {
        let (mut offset, mut last) = (from, 0);
        while offset < end + 2 {
            let found = read(&store, TOPIC, 0, offset);
            assert!(found.next_offset > offset, "{found:?}");
            (offset, last) = (found.next_offset, found.messages.len());
        }
        assert!(last > 0, "from {from}");
    }
}

#[test]
fn a_topic_keeps_its_kind_and_gets_another_one_when_it_is_made_again() {
    let (_, disk, settings) = sim(6);
    let store = begin(&disk, &settings);
    fill(&store, 0, 2);
    assert!(!store.hold_batches(TOPIC, false).unwrap());
    assert!(store.holds_batches(TOPIC), "it has messages");
    store.delete_topics([TOPIC]).unwrap();
    assert!(!store.holds_batches(TOPIC));
    assert_eq!(put(&store, NOW, draft(TOPIC, 0, "single")), 0);
    drop(store);
    let store = open(&disk, &settings);
    assert_eq!(bodies(&store, TOPIC, 0), ["single"]);
    store.delete_topics([TOPIC]).unwrap();
    store.hold_batches(TOPIC, true).unwrap();
    drop(store);
    let store = open(&disk, &settings);
    assert_eq!(put(&store, NOW, batch_of(2, "again")), 0);
    assert_eq!(put(&store, NOW, batch_of(2, "again")), 2);
}

/// Writes over the unit at a place, from a byte of it on.
fn change(disk: &Arc<dyn Disk>, place: u64, from: u64, bytes: &[u8]) {
    let start = place / 8 * 46 * 8;
    let path = format!("/store/batchconsumequeue/B/0/{start:020}");
    let file = disk.open(Path::new(&path), 46 * 8, Allocation::Sparse).unwrap();
    file.write_at(place % 8 * 46 + from, bytes).unwrap();
}

/// Of the bytes of a queue's file, the queue offset of the unit at a place.
fn set_base(disk: &Arc<dyn Disk>, place: u64, base: i64) {
    change(disk, place, 28, &base.to_be_bytes());
}

/// Of the bytes of the log, the queue offset that a record and its property say.
fn flip_said(disk: &Arc<dyn Disk>, settings: &Settings, at: i64, bit: u64) {
    let log = Path::new("/store/commitlog/00000000000000000000");
    let log = disk.open(log, settings.commit_log_file_bytes, Allocation::Reserved).unwrap();
    let mut bytes = vec![0; 600];
    log.read_at(at as u64, &mut bytes).unwrap();
    let name = b"INNER_BASE\x01";
    let found = bytes.windows(name.len()).position(|part| part == name);
    let place = found.unwrap() + name.len();
    bytes[place] ^= 1 << bit;
    log.write_at(at as u64 + place as u64, &bytes[place..=place]).unwrap();
}

#[test]
fn a_record_that_says_a_wrong_offset_moves_no_other() {
    let settings_of = |settings: Settings| Settings { commit_log_file_bytes: 1 << 20, ..settings };
    for bit in 0..4 {
        for (is_unit_there, number) in [(true, 2), (true, 9), (false, 2), (false, 5)] {
            let (sim, disk, settings) = sim(bit);
            let settings = settings_of(settings);
            let store = begin(&disk, &settings);
            let mut at = Vec::new();
            for number in 0..10 {
                at.push(append(&store, NOW, batch_of(3, &format!("b{number}"))).log_offset);
            }
            store.flush(NOW).unwrap();
            drop(store);
            sim.kill();
            flip_said(&disk, &settings, at[number], bit);
            if !is_unit_there {
                disk.remove(Path::new(QUEUE)).unwrap();
                disk.remove(Path::new("/store/queueends")).unwrap();
            }
            let store = open(&disk, &settings);
            for (other, at) in at.iter().enumerate().filter(|(other, _)| *other != number) {
                let unit = store.unit(TOPIC, 0, 3 * other as i64).map(|unit| unit.log_offset);
                assert_eq!(unit, Some(*at), "{other}, bit {bit} of {number}, {is_unit_there}");
            }
            assert!(store.max_offset(TOPIC, 0) >= 30);
        }
    }
}

#[test]
fn a_unit_that_says_a_wrong_offset_is_mended() {
    let (sim, disk, settings) = sim(7);
    let store = begin(&disk, &settings);
    fill(&store, 0, 5);
    store.flush(NOW).unwrap();
    drop(store);
    sim.kill();
    set_base(&disk, 3, 900);
    assert_eq!(all(&open(&disk, &settings)), expected(0, 5));
}

/// Those before it expired since the last checkpoint, so that it alone says where the queue begins.
#[test]
fn the_first_unit_hides_no_message_wherever_it_says_that_it_begins() {
    for bit in 0..10 {
        let (sim, disk, mut settings) = sim(7);
        settings.commit_log_file_bytes = 4096;
        let store = begin(&disk, &settings);
        fill(&store, 0, 30);
        store.flush(NOW).unwrap();
        drop(store);
        sim.kill();
        let log = Path::new("/store/commitlog/00000000000000000000");
        disk.remove(log).unwrap();
        let store = open(&disk, &settings);
        let first = store.min_offset(TOPIC, 0);
        let left = all(&store);
        drop(store);
        sim.kill();
        let place = (0..60).find(|place| expected(0, 30)[*place].0 == left[0].0).unwrap();
        set_base(&disk, place as u64, first ^ (1 << bit));
        let store = open(&disk, &settings);
        assert!(store.min_offset(TOPIC, 0) <= first, "bit {bit}");
        assert_eq!(all_from(&store, first), left, "bit {bit}");
    }
}

/// No checksum covers the queue that a record says.
#[test]
fn a_record_of_another_queue_moves_none_when_the_log_is_read_again() {
    for (place, offset) in [(0, 0), (0, 7), (3, 0), (3, 2), (3, 5), (3, 80)] {
        let (sim, disk, settings) = sim(7);
        let store = begin(&disk, &settings);
        // The log before it has room for messages of the queue.
        for number in 0..20 {
            append(&store, NOW, draft("Other", 0, &number.to_string()));
        }
        fill(&store, 0, place);
        let stray = append(&store, NOW, draft(TOPIC, 1, "stray"));
        fill(&store, place, 10 - place);
        store.close().unwrap();
        drop(store);
        sim.kill();
        let log = Path::new("/store/commitlog/00000000000000000000");
        edit(&disk, log, |bytes| {
            let at = |field: usize| stray.log_offset as usize + field;
            bytes[at(record::at::QUEUE_ID) + 3] ^= 1;
            bytes[at(record::at::QUEUE_OFFSET) + 7] = offset;
        });
        edit(&disk, Path::new("/store/queueends"), |bytes| bytes.reverse());
        let store = open(&disk, &settings);
        assert_eq!(store.recovered().from, 0, "all is read");
        assert_eq!(all(&store), expected(0, 10), "{offset} behind {place}");
    }
}

/// The search for other records meets it, and is led astray.
#[test]
fn a_unit_that_leads_elsewhere_moves_no_other_when_the_log_is_read_again() {
    for (place, bit) in (0..20).flat_map(|place| [0, 6, 8, 9, 11, 40].map(|bit| (place, bit))) {
        let (sim, disk, settings) = sim(7);
        let store = begin(&disk, &settings);
        fill(&store, 0, 10);
        store.close().unwrap();
        let unit = store.unit(TOPIC, 0, all(&store)[place].0).unwrap();
        drop(store);
        sim.kill();
        change(&disk, place as u64, 0, &(unit.log_offset ^ (1 << bit)).to_be_bytes());
        edit(&disk, Path::new("/store/queueends"), |bytes| bytes.reverse());
        let store = open(&disk, &settings);
        assert_eq!(store.recovered().from, 0, "all is read");
        assert_eq!(all(&store), expected(0, 10), "bit {bit} of {place}");
    }
}

/// Its place in the log is known all the same: nobody has to look for the record from a neighbour
/// on, and damage between them stops nobody.
#[test]
fn a_unit_that_says_it_holds_nothing_still_leads_to_its_record() {
    let (sim, disk, settings) = sim(8);
    let store = begin(&disk, &settings);
    fill(&store, 0, 1);
    let single = append(&store, NOW, draft("T", 0, "of another topic"));
    fill(&store, 1, 29);
    store.flush(NOW).unwrap();
    store.close().unwrap();
    drop(store);
    sim.kill();
    let log = Path::new("/store/commitlog/00000000000000000000");
    edit(&disk, log, |bytes| bytes[single.log_offset as usize + 4] ^= 1);
    change(&disk, 2, 36, &[0, 0]);
    assert_eq!(all(&open(&disk, &settings)), expected(0, 30));
}

#[test]
fn the_unit_of_a_lost_record_takes_no_other_with_it() {
    let (sim, disk, settings) = sim(10);
    let store = begin(&disk, &settings);
    fill(&store, 0, 1);
    let lost = append(&store, NOW + 4, batch_of(3, "b1"));
    put(&store, NOW + 4, draft(TOPIC, 0, "s1"));
    fill(&store, 2, 28);
    store.close().unwrap();
    drop(store);
    sim.kill();
    let log = Path::new("/store/commitlog/00000000000000000000");
    edit(&disk, log, |bytes| bytes[lost.log_offset as usize + 4] ^= 1);
    change(&disk, 2, 36, &[0, 65]);
    let left: Vec<_> = all(&open(&disk, &settings)).iter().map(|(base, ..)| *base).collect();
    let all: Vec<_> = expected(0, 30).iter().map(|(base, ..)| *base).collect();
    let all: Vec<_> = all.into_iter().filter(|base| *base != 4).collect();
    assert_eq!(left, all);
}

/// What the directory alone told would be forgotten with that, by a power loss.
#[test]
fn a_topic_that_only_its_directory_makes_one_is_noted_at_the_start() {
    let (sim, disk, settings) = sim(9);
    let store = begin(&disk, &settings);
    fill(&store, 0, 2);
    store.close().unwrap();
    drop(store);
    let noted = Path::new("/store/batchtopics");
    let whole = disk.read(noted).unwrap();
    for is_gone in [true, false] {
        match is_gone {
            true => disk.remove(noted).unwrap(),
            false => edit(&disk, noted, |bytes| bytes[0] ^= 1),
        }
        sim.kill();
        let store = begin(&disk, &settings);
        assert_eq!(disk.read(noted).unwrap(), whole);
        assert_eq!(all(&store), expected(0, 2));
    }
}

#[test]
fn damaged_units_in_a_row_cost_no_message_wherever_a_reader_begins() {
    let records = expected(0, 60);
    for damage in [9..11, 0..3, 21..22, 20..75, 115..119] {
        for asked in (0..240).step_by(11) {
            let (_, disk, settings) = sim(1);
            let store = begin(&disk, &settings);
            fill(&store, 0, 60);
            store.flush(NOW).unwrap();
            damage.clone().for_each(|place| change(&disk, place, 0, &[0; 46]));
            let left: Vec<_> =
                records.iter().filter(|(base, count, _)| base + count > asked).cloned().collect();
            assert_eq!(all_from(&store, asked), left, "{damage:?}, from {asked}");
            assert_eq!(all(&store), records, "{damage:?}, all after {asked}");
        }
    }
}

/// Of units whose records are damaged too nobody looks through the log once for each.
#[test]
fn a_long_damage_is_looked_through_once() {
    let (_, disk, mut settings) = sim(1);
    settings.commit_log_file_bytes = 1 << 20;
    let bad = BadDisk::new(disk);
    let disk: Arc<dyn Disk> = Arc::new(bad.clone());
    let store = begin(&disk, &settings);
    fill(&store, 0, 60);
    for number in 0..500 {
        append(&store, NOW, draft("Other", 0, &format!("{number}{}", "x".repeat(1_000))));
    }
    store.flush(NOW).unwrap();
    // The last ones of the queue, and no record of theirs is one of it.
    let path = Path::new("/store/commitlog/00000000000000000000");
    let log = disk.open(path, settings.commit_log_file_bytes, Allocation::Reserved).unwrap();
    for offset in 100..240 {
        let unit = store.unit(TOPIC, 0, offset).unwrap();
        let queue_id = unit.log_offset as u64 + record::at::QUEUE_ID as u64;
        log.write_at(queue_id, &7_i32.to_be_bytes()).unwrap();
    }
    (50..120).for_each(|place| change(&disk, place, 0, &[0; 46]));
    let reads = || bad.reads_under(Path::new("/store/commitlog"));
    let before = reads();
    assert_eq!(all_from(&store, 0), expected(0, 25));
    assert!(reads() - before < 100, "{} reads", reads() - before);
}

/// What was sent while its topic was removed has no place any more.
#[test]
fn a_batch_on_its_way_to_a_removed_topic_is_refused() {
    let (_, disk, settings) = sim(8);
    let store = begin(&disk, &settings);
    fill(&store, 0, 1);
    store.delete_topics([TOPIC]).unwrap();
    let mut late = [store::Append::one(batch_of(3, "late"))];
    store.append(NOW, &mut late);
    assert_eq!(late[0].outcome, Err(store::AppendError::NoBatchTopic));
    assert!(store.hold_batches(TOPIC, true).unwrap());
    assert_eq!(put(&store, NOW, batch_of(3, "next")), 0);
}

/// The removal of one topic takes nothing that is known of others; a start that finds less units
/// than offsets were given does not look for more.
#[test]
fn kept_offsets_outlive_the_removal_of_another_topic() {
    let (sim, disk, settings) = sim(5);
    let store = begin(&disk, &settings);
    fill(&store, 0, 1);
    append(&store, NOW, draft("Other", 0, "other"));
    store.flush(NOW).unwrap();
    put(&store, NOW, batch_of(3, "lost"));
    lose_behind_units(store, &disk, &sim, 46 * 8);
    let store = open(&disk, &settings);
    store.delete_topics(["Other"]).unwrap();
    drop(store);
    sim.lose(Loss::All);
    for _ in 0..2 {
        let from = std::cell::Cell::new(i64::MAX);
        let store = open(&disk, &settings);
        from.set(store.max_offset(TOPIC, 0));
        assert_eq!(from.get(), 7);
        drop(store);
        sim.kill();
    }
}
