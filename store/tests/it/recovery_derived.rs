//! Consume queues, index and checkpoint: whatever happens to their files, the log makes it good.

use crate::bad_disk::BadDisk;
use crate::recovery::*;
use crate::support::*;
use simulator::lines_of;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use store::disk::Allocation;
use store::{Disk, Settings, Store};

const COUNT: i64 = 170;

fn filled(clean: bool) -> Arc<dyn Disk> {
    let disk = sim();
    let store = open(&disk, &settings());
    fill(&store, "T", 0..COUNT - 20);
    store.flush(NOW + COUNT).unwrap();
    fill(&store, "T", COUNT - 20..COUNT);
    if clean {
        store.close().unwrap();
    } else {
        // The units are written, the checkpoint is older.
        store.flush(NOW + COUNT + 1).unwrap();
    }
    disk
}

/// Everything is there, in its place and under its key, and the next message gets the next place.
fn check(disk: &Arc<dyn Disk>, what: &str) {
    for round in 0..3 {
        let store = open(disk, &settings());
        let all = COUNT + round;
        let expected: Vec<_> = (0..all).map(|number| format!("{number:04}")).collect();
        assert_eq!(bodies(&store, "T", 0), expected, "{what}, round {round}");
        for number in 0..all {
            let found = store.query("T", &format!("key-{number:04}"), 64, (0, i64::MAX));
            assert_eq!(found.records.len(), 1, "{what}, round {round}: key {number}");
        }
        assert_eq!(store.set_aside().ranges(), [], "{what}");
        assert_eq!(fill_at(&store, NOW, "T", all..all + 1)[0].queue_offset, all, "{what}");
        if round == 1 {
            store.close().unwrap();
        }
    }
}

/// What may happen to a file.
type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 6] = [
    ("empty", Vec::clear),
    ("half of it", |bytes| bytes.truncate(bytes.len() / 2)),
    ("zeros", |bytes| bytes.fill(0)),
    ("ones", |bytes| bytes.fill(0xff)),
    ("zeros at the front", |bytes| bytes[..100].fill(0)),
    ("longer", |bytes| bytes.extend([7; 99])),
];

#[test]
fn damaged_or_missing_files_are_rebuilt() {
    for clean in [true, false] {
        for dir in ["/store/consumequeue/T/0", "/store/index"] {
            for number in 0..files(&filled(clean), dir).len() {
                for (name, damage) in DAMAGES {
                    let disk = filled(clean);
                    edit(&disk, &files(&disk, dir)[number], damage);
                    check(&disk, &format!("clean {clean}, {dir} {number}: {name}"));
                }
                let disk = filled(clean);
                disk.remove(&files(&disk, dir)[number]).unwrap();
                check(&disk, &format!("clean {clean}, {dir} {number}: missing"));
            }
            let disk = filled(clean);
            files(&disk, dir).iter().for_each(|path| disk.remove(path).unwrap());
            check(&disk, &format!("clean {clean}, {dir}: all missing"));
        }
    }
}

#[test]
fn index_files_that_are_mixed_up_are_made_anew() {
    for clean in [true, false] {
        let all = files(&filled(clean), "/store/index");
        assert!(all.len() > 2);
        for (one, other) in (0..all.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let disk = filled(clean);
            let both = [one, other].map(|at| disk.read(&all[at]).unwrap());
            disk.replace(&all[other], &both[0], None).unwrap();
            check(&disk, &format!("clean {clean}, {one} stands there twice, for {other}"));
            let disk = filled(clean);
            disk.replace(&all[other], &both[0], None).unwrap();
            disk.replace(&all[one], &both[1], None).unwrap();
            check(&disk, &format!("clean {clean}, {one} and {other} swapped"));
        }
    }
}

#[test]
fn a_bit_that_leads_an_index_astray_is_noticed_after_a_clean_stop() {
    let all = files(&filled(true), "/store/index");
    let slots = 40 + 4 * settings().index_slots as usize;
    for path in &all {
        let used = |number: usize, bytes: &[u8]| bytes[slots + number * 20..][..20] != [0; 20];
        let whole = filled(true).read(path).unwrap();
        let in_slots = (40..slots).filter(|at| whole[(at - 40) / 4 * 4 + 40..][..4] != [0; 4]);
        let numbers = (1..settings().index_entries as usize).filter(|at| used(*at, &whole));
        // Hash and the number of the previous entry.
        let in_entries = numbers.flat_map(|at| [0, 1, 2, 3, 16, 17, 18, 19].map(|byte| (at, byte)));
        let in_entries = in_entries.map(|(at, byte)| slots + at * 20 + byte);
        for (turn, at) in in_slots.chain(in_entries).enumerate().filter(|(turn, _)| turn % 7 == 0) {
            let disk = filled(true);
            edit(&disk, path, |bytes| bytes[at] ^= 1 << (turn / 7 % 8));
            check(&disk, &format!("{} has a wrong bit in byte {at}", path.display()));
        }
    }
}

/// It would say that the index has all that the log has, until the log's end is known and it is
/// cut.
#[test]
fn a_last_entry_that_leads_behind_the_log_costs_no_key() {
    let entries = 40 + 4 * settings().index_slots as usize;
    for byte in 4..12 {
        let disk = filled(false);
        let store = open(&disk, &settings());
        // Of the keys of a message that has tags these are the last.
        let properties = bytes::Bytes::from_static(b"KEYS\x01last\x02");
        append(&store, NOW, message::Draft { properties, ..draft("T", 0, "untagged") });
        store.flush(NOW + COUNT + 2).unwrap();
        drop(store);
        let last = files(&disk, "/store/index").pop().unwrap();
        edit(&disk, &last, |bytes| {
            let count = u32::from_be_bytes(*bytes[36..].first_chunk().unwrap()) as usize;
            bytes[entries + (count - 1) * 20 + byte] ^= 0x40;
        });
        let store = open(&disk, &settings());
        let found = store.query("T", "last", 64, (0, i64::MAX));
        assert_eq!(found.records.len(), 1, "byte {byte}");
    }
}

#[test]
fn an_index_that_is_gone_is_called_so() {
    for (keep, said) in [(0, "there are no index files any more"), (1, "lack their newest keys")] {
        let disk = filled(true);
        let gone = files(&disk, "/store/index").split_off(keep);
        gone.iter().for_each(|path| disk.remove(path).unwrap());
        let (_, lines) = lines_of(|| open(&disk, &settings()));
        assert!(lines.iter().any(|line| line.contains(said)), "{said}: {lines:#?}");
    }
}

#[test]
fn a_directory_in_the_place_of_an_index_file_is_passed_over() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(store::OsDisk);
    let store = open(&disk, &settings);
    fill(&store, "T", 0..COUNT);
    store.close().unwrap();
    drop(store);
    let index = disk.list(&dir.path().join("index")).unwrap();
    let first = dir.path().join("index").join(&index[0].name);
    std::fs::remove_file(&first).unwrap();
    std::fs::create_dir(&first).unwrap();
    let store = open(&disk, &settings);
    for number in 0..COUNT {
        let found = store.query("T", &format!("key-{number:04}"), 64, (0, i64::MAX));
        assert_eq!(found.records.len(), 1, "key {number}");
    }
}

#[test]
fn a_checkpoint_that_lies_costs_time_and_nothing_else() {
    for clean in [true, false] {
        let path = Path::new("/store/checkpoint");
        for (name, damage) in DAMAGES {
            let disk = filled(clean);
            edit(&disk, path, damage);
            check(&disk, &format!("clean {clean}: {name}"));
        }
        for value in [i64::MAX, i64::MIN, 1, NOW + 1_000_000_000, NOW - 1_000_000_000] {
            for field in [0, 8, 16, 40, 4048, 4056, 4064, 4072, 4080, 4088] {
                let disk = filled(clean);
                edit(&disk, path, |bytes| {
                    bytes[field..field + 8].copy_from_slice(&value.to_be_bytes());
                });
                check(&disk, &format!("clean {clean}: field {field} is {value}"));
            }
            let disk = filled(clean);
            edit(&disk, path, |bytes| {
                bytes[..48].fill(0);
                bytes[..8].copy_from_slice(&value.to_be_bytes());
                bytes[8..16].copy_from_slice(&value.to_be_bytes());
            });
            check(&disk, &format!("clean {clean}: both times are {value}"));
        }
    }
}

#[test]
fn what_is_gone_is_told() {
    let checkpoint = Path::new("/store/checkpoint");
    let all_told = |disk: &Arc<dyn Disk>, all: &[&str]| {
        let (store, lines) = lines_of(|| open(disk, &settings()));
        drop(store);
        let told =
            |what: &&str| lines.iter().any(|line| line.starts_with("ERROR") && line.contains(what));
        all.iter().all(told)
    };
    let told = |disk: &Arc<dyn Disk>, what: &str| all_told(disk, &[what]);
    let (gone, index) = ("the checkpoint is gone", "there are no index files any more");
    let whole = filled(false);
    assert!(!told(&whole, gone) && !told(&whole, index));
    let filled_without_mark = || {
        let zeros = filled(false);
        edit(&zeros, checkpoint, |bytes| bytes.fill(0));
        zeros
    };
    let zeros = filled_without_mark();
    assert!(told(&zeros, gone));
    assert!(!told(&zeros, gone), "there is a new one");
    let removed = filled(false);
    removed.remove(checkpoint).unwrap();
    assert!(told(&removed, gone));
    let without = filled(false);
    files(&without, "/store/index").iter().for_each(|path| without.remove(path).unwrap());
    assert!(told(&without, index));
    // Neither says that the other was there.
    let no_index = "there are no index files either";
    assert!(!told(&filled_without_mark(), no_index));
    let both = filled(false);
    files(&both, "/store/index").iter().for_each(|path| both.remove(path).unwrap());
    edit(&both, checkpoint, |bytes| bytes.fill(0));
    assert!(all_told(&both, &[gone, no_index]));
    // Nor is it silent where there is nothing to read again.
    let clean = filled(true);
    assert!(!told(&clean, gone));
    edit(&clean, checkpoint, |bytes| bytes.fill(0));
    assert!(told(&clean, gone));
    let removed = filled(true);
    removed.remove(checkpoint).unwrap();
    assert!(told(&removed, gone));
}

#[test]
fn a_flipped_bit_of_a_unit_is_seen_by_the_reader_and_mended() {
    for place in [0, 1, 49, 50, 120, COUNT - 1] {
        for bit in 0..96 {
            let disk = filled(true);
            let path = format!("/store/consumequeue/T/0/{:020}", place / 50 * 1_000);
            edit(&disk, Path::new(&path), |bytes| {
                bytes[(place % 50 * 20) as usize + bit / 8] ^= 1 << (bit % 8);
            });
            let store = open(&disk, &settings());
            let expected: Vec<_> = (0..COUNT).map(|number| format!("{number:04}")).collect();
            assert_eq!(bodies(&store, "T", 0), expected, "place {place}, bit {bit}");
            store.close().unwrap();
            drop(store);
            let store = open(&disk, &settings());
            assert_eq!(bodies(&store, "T", 0), expected, "place {place}, bit {bit}, again");
            assert_eq!(store.stats().units_mended(), 0, "it was mended for good");
        }
    }
}

#[test]
fn a_message_whose_record_is_damaged_is_passed_over_and_noted() {
    let disk = sim();
    let store = open(&disk, &settings());
    let places = fill(&store, "T", 0..COUNT);
    store.close().unwrap();
    drop(store);
    // The topic's length: the record no longer adds up.
    let at = places[70].log_offset;
    let file = disk.open(&log_path(at), 16 << 10, Allocation::Reserved).unwrap();
    file.write_at(at as u64 % (16 << 10) + 92, &[99]).unwrap();
    let store = open(&disk, &settings());
    for _ in 0..2 {
        let found = bodies_by_offset(&store, "T", 0);
        assert_eq!(found.len() as i64, COUNT - 1);
        assert!(!found.contains_key(&70));
    }
    let ranges = store.set_aside().ranges();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert_eq!((ranges[0].from, ranges[0].to), (at, places[70].log_end()));
    assert_eq!((store.stats().set_aside_ranges(), store.stats().units_skipped()), (1, 2));
}

#[test]
fn a_queue_whose_messages_expired_keeps_its_end_when_its_files_are_lost() {
    for clean in [true, false] {
        let disk = sim();
        let settings = Settings { disk_used_percent: 10, disk_force_percent: 10, ..settings() };
        let store = open(&disk, &settings);
        fill(&store, "Old", 0..30);
        fill(&store, "T", 30..700);
        store.flush(NOW + 700).unwrap();
        store.retain(NOW + 700).unwrap();
        assert!(store.min_log_offset() > 0);
        if clean {
            store.close().unwrap();
        }
        drop(store);
        files(&disk, "/store/consumequeue/Old/0")
            .iter()
            .for_each(|path| disk.remove(path).unwrap());
        let store = Store::open(disk.clone(), settings.clone()).unwrap();
        assert_eq!(store.max_offset("Old", 0), 30, "clean {clean}");
        assert_eq!(store.min_offset("Old", 0), 30, "clean {clean}");
        assert_eq!(fill(&store, "Old", 0..1)[0].queue_offset, 30);
    }
}

/// Nothing is noted of a queue whose messages came after the last checkpoint: the log says that it
/// lacks its front, and no group is moved over messages that exist.
#[test]
fn first_files_that_are_missing_after_a_crash_are_rebuilt() {
    for gone in 1..4 {
        let disk = sim();
        let store = open(&disk, &settings());
        store.flush(NOW).unwrap();
        fill(&store, "T", 0..COUNT);
        store.flush(NOW + 1).unwrap();
        drop(store);
        let files = files(&disk, "/store/consumequeue/T/0");
        assert!(files.len() > gone);
        files[..gone].iter().for_each(|path| disk.remove(path).unwrap());
        check(&disk, &format!("the first {gone} files"));
    }
}

/// What expired has its records gone from the log: where files begin says nothing then.
#[test]
fn a_front_that_expired_is_not_missing() {
    for clean in [true, false] {
        let disk = sim();
        let settings = Settings { disk_used_percent: 10, disk_force_percent: 10, ..settings() };
        let store = open(&disk, &settings);
        fill(&store, "T", 0..700);
        store.flush(NOW + 700).unwrap();
        store.retain(NOW + 700).unwrap();
        let min = store.min_offset("T", 0);
        assert!(min > 50, "{min}");
        if clean {
            store.close().unwrap();
            disk.remove(Path::new("/store/queueends")).unwrap();
        }
        drop(store);
        let store = Store::open(disk.clone(), settings).unwrap();
        assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (min, 700), "{clean}");
    }
}

/// A damaged file of one queue has all made durable: with thousands of queues one by one that takes
/// minutes.
#[test]
fn a_start_that_mends_one_queue_of_many_syncs_them_together() {
    const TOPICS: usize = 100;
    let disk = sim();
    let store = open(&disk, &settings());
    (0..TOPICS).for_each(|topic| drop(fill(&store, &format!("T{topic}"), 0..3)));
    store.flush(NOW).unwrap();
    drop(store);
    edit(&disk, Path::new("/store/consumequeue/T7/0/00000000000000000000"), |bytes| bytes.clear());
    let (bad, disk) = BadDisk::around(disk);
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = syncs.clone();
    bad.before_sync(move |path| {
        let is_queue = path.starts_with("/store/consumequeue");
        counted.fetch_add(usize::from(is_queue), Ordering::SeqCst);
    });
    let store = open(&disk, &settings());
    let alone = syncs.load(Ordering::SeqCst);
    assert!(alone < TOPICS / 2, "{alone} files of queues were synced one by one");
    for topic in 0..TOPICS {
        assert_eq!(bodies(&store, &format!("T{topic}"), 0), ["0000", "0001", "0002"]);
    }
}

/// A start that died while it cut has all queues cut again, and files that were made ready go: with
/// thousands of queues one by one that takes long.
#[test]
fn a_start_that_cuts_many_queues_syncs_them_together() {
    const TOPICS: usize = 100;
    for abort in ["in use", "in use, being cut"] {
        let disk = sim();
        let store = open(&disk, &settings());
        (0..TOPICS).for_each(|topic| drop(fill(&store, &format!("T{topic}"), 0..3)));
        store.flush(NOW).unwrap();
        drop(store);
        disk.replace(Path::new("/store/abort"), abort.as_bytes(), None).unwrap();
        for topic in 0..TOPICS {
            let ready = format!("/store/consumequeue/T{topic}/0/{:020}", 20 * 50);
            drop(disk.open(Path::new(&ready), 20 * 50, Allocation::Sparse).unwrap());
        }
        let (bad, disk) = BadDisk::around(disk);
        let syncs = Arc::new(AtomicUsize::new(0));
        let counted = syncs.clone();
        bad.before_sync(move |path| {
            let is_queue = path.starts_with("/store/consumequeue");
            counted.fetch_add(usize::from(is_queue), Ordering::SeqCst);
        });
        let store = open(&disk, &settings());
        let alone = syncs.load(Ordering::SeqCst);
        assert!(alone < TOPICS / 2, "{abort}: {alone} syncs of queues one by one");
        for topic in 0..TOPICS {
            assert_eq!(files(&disk, &format!("/store/consumequeue/T{topic}/0")).len(), 1);
            assert_eq!(bodies(&store, &format!("T{topic}"), 0), ["0000", "0001", "0002"]);
        }
    }
}

/// Operators move the queues of a large topic to another disk, and leave a link.
#[test]
fn many_queues_are_synced_with_every_disk_that_they_are_on() {
    const TOPICS: usize = 100;
    let (bad, disk) = BadDisk::around(sim());
    for dir in ["/store/consumequeue/T7", "/store/consumequeue/T8", "/store/consumequeue/T9/0"] {
        bad.link(dir);
    }
    let synced = Arc::new(Mutex::new(Vec::new()));
    let noted = synced.clone();
    let here = bad.clone();
    bad.before_sync(move |path| {
        if path.starts_with("/store/consumequeue") {
            noted.lock().unwrap().push(here.file_system(path).unwrap());
        }
    });
    let all = || {
        let mut all = std::mem::take(&mut *synced.lock().unwrap());
        all.sort_unstable();
        all
    };
    let fill_all = |store: &Store| {
        (0..TOPICS).for_each(|topic| drop(fill(store, &format!("T{topic}"), 0..3)));
    };
    let store = open(&disk, &settings());
    fill_all(&store);
    store.flush(NOW).unwrap();
    assert_eq!(all(), [0, 1, 2, 3], "a checkpoint syncs each disk once");
    fill_all(&store);
    store.flush(NOW + 1).unwrap();
    drop(store);
    edit(&disk, Path::new("/store/consumequeue/T7/0/00000000000000000000"), |bytes| bytes.clear());
    all();
    let store = open(&disk, &settings());
    let mended = all();
    assert!([0, 1, 2, 3].iter().all(|number| mended.contains(number)), "{mended:?}");
    assert!(mended.len() < TOPICS / 2, "{mended:?}");
    drop(store);
}

/// A disk tells of what it could not write only those who held it open then.
#[test]
fn every_disk_that_queues_are_on_is_held_from_the_start() {
    let links = [
        "/store/consumequeue/T0",
        "/store/consumequeue/T1/0",
        "/store/consumequeue_ext/T2",
        "/store/consumequeue_ext/T3/0",
    ];
    let settings = Settings { extension_file_bytes: Some(4_096), ..settings() };
    for clean in [true, false] {
        let disk = sim();
        let store = open(&disk, &settings);
        (0..4).for_each(|topic| drop(fill(&store, &format!("T{topic}"), 0..3)));
        store.flush(NOW).unwrap();
        if clean {
            store.close().unwrap();
        }
        drop(store);
        // Directories that hold nothing yet are links as well.
        for dirs in [&links[..], &["/store/consumequeue", "/store/consumequeue_ext"]] {
            let (bad, disk) = BadDisk::around(disk.clone());
            let numbers: Vec<u64> = (1..).take(dirs.len()).collect();
            dirs.iter().for_each(|dir| bad.link(dir));
            let store = open(&disk, &settings);
            let asked = bad.asked();
            assert!(numbers.iter().all(|it| asked.contains(it)), "{clean}: {dirs:?}: {asked:?}");
            drop(store);
        }
    }
}

/// Blank units stand behind it, so that it is not the last one, and says where the queue ends.
#[test]
fn the_last_unit_before_blank_ones_hides_no_record_wherever_it_leads() {
    let log = Path::new("/store/commitlog/00000000000000000000");
    let queue = Path::new("/store/consumequeue/T/0/00000000000000000000");
    for bit in [0, 8, 14, 40] {
        let disk = sim();
        let store = open(&disk, &settings());
        fill(&store, "T", 0..4);
        store.flush(NOW + COUNT).unwrap();
        let mut at: Vec<_> =
            (0..4).map(|place| store.unit("T", 0, place).unwrap().log_offset).collect();
        at.push(fill_at(&store, NOW, "T", 4..5)[0].log_offset);
        drop(store);
        edit(&disk, log, |bytes| bytes[at[3] as usize + 4] ^= 1);
        edit(&disk, Path::new("/store/checkpoint"), |bytes| bytes.fill(0));
        edit(&disk, queue, |bytes| {
            bytes[40..48].copy_from_slice(&(at[2] ^ (1 << bit)).to_be_bytes());
            bytes[60..80].fill(0);
            bytes[68..72].copy_from_slice(&i32::MAX.to_be_bytes());
        });
        let store = open(&disk, &settings());
        for place in [0, 1, 2, 4] {
            let unit = store.unit("T", 0, place).map(|unit| unit.log_offset);
            assert_eq!(unit, Some(at[place as usize]), "{place}, bit {bit}");
        }
        assert_eq!(store.max_offset("T", 0), 5);
    }
}
