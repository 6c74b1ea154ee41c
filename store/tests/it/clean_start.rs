//! A start after a clean stop: it asks the disk for little, and believes no note that the files
//! contradict.

use crate::bad_disk::BadDisk;
use crate::recovery::{FILE as LOG_FILE, fill, fill_at, log_path, settings, sim};
use crate::support::*;
use simulator::lines_of;
use simulator::{Loss, SimDisk};
use std::path::Path;
use std::sync::Arc;
use store::disk::Allocation;
use store::{Disk, Settings, Store};

const TOPICS: usize = 40;
const COUNT: i64 = 30;
const FILE: &str = "/store/consumequeue/T/0/00000000000000000000";

#[test]
fn a_clean_start_reads_the_file_of_each_queue_once() {
    let disk = sim();
    let store = open(&disk, &settings());
    (0..TOPICS).for_each(|topic| drop(fill(&store, &format!("T{topic}"), 0..3)));
    store.close().unwrap();
    drop(store);
    let (bad, disk) = BadDisk::around(disk);
    let store = open(&disk, &settings());
    // Of all units the newest is read once more: its record is looked for in the log.
    assert_eq!(bad.reads_under(Path::new("/store/consumequeue")), TOPICS + 1);
    for topic in 0..TOPICS {
        assert_eq!(bodies(&store, &format!("T{topic}"), 0), ["0000", "0001", "0002"]);
    }
}

#[test]
fn notes_that_a_file_contradicts_are_not_believed() {
    type Damage = (&'static str, fn(&mut Vec<u8>));
    let damages: [Damage; 5] = [
        ("zeroed", |bytes| bytes.fill(0)),
        ("its last unit is zeroed", |bytes| bytes[20 * 29..20 * 30].fill(0)),
        ("the next place is no zero", |bytes| bytes[20 * 30 + 3] = 1),
        ("half of it", |bytes| bytes.truncate(bytes.len() / 2)),
        ("empty", Vec::clear),
    ];
    for (what, damage) in damages {
        let disk = filled();
        let mut content = disk.read(Path::new(FILE)).unwrap();
        damage(&mut content);
        disk.replace(Path::new(FILE), &content, None).unwrap();
        check(&disk, what);
    }
    let disk = filled();
    disk.remove(Path::new(FILE)).unwrap();
    check(&disk, "missing");
}

/// A queue that has one file, after a clean stop.
fn filled() -> Arc<dyn Disk> {
    let disk = sim();
    let store = open(&disk, &settings());
    fill(&store, "T", 0..COUNT);
    store.close().unwrap();
    disk
}

fn check(disk: &Arc<dyn Disk>, what: &str) {
    let store = open(disk, &settings());
    let expected: Vec<_> = (0..COUNT).map(|number| format!("{number:04}")).collect();
    assert_eq!(bodies(&store, "T", 0), expected, "{what}");
    assert_eq!(fill_at(&store, NOW, "T", COUNT..COUNT + 1)[0].queue_offset, COUNT, "{what}");
}

/// The file system gives zeros for what was durable before the last checkpoint, which a clean stop
/// made, or one before a crash with and without messages behind it. An index would tell, too.
#[test]
fn a_zeroed_end_of_the_log_is_told_by_the_start_not_by_a_reader() {
    for (zeroed, clean, behind) in
        [(100, true, 0), (3_000, true, 0), (100, false, 0), (3_000, false, 0), (3_000, false, 3)]
    {
        let (disk, settings) = (sim(), Settings { index: false, ..settings() });
        let store = open(&disk, &settings);
        fill(&store, "T", 0..COUNT);
        store.close().unwrap();
        drop(store);
        let store = open(&disk, &settings);
        let end = store.max_log_offset();
        fill(&store, "T", COUNT..COUNT + behind);
        if clean {
            store.close().unwrap();
        }
        drop(store);
        assert!(end > zeroed && end < LOG_FILE as i64, "{end}");
        let log = disk.open(&log_path(0), LOG_FILE, Allocation::Reserved).unwrap();
        let to = if behind > 0 { end as u64 } else { LOG_FILE };
        log.zero((end - zeroed) as u64..to).unwrap();
        is_told(&disk, &settings, (COUNT + behind, behind));
        let (_, lines) = lines_of(|| open(&disk, &settings));
        assert!(!lines.iter().any(|line| line.contains("lost in")), "once: {lines:#?}");
    }
}

/// Of the newest record only a unit far before the queue's end tells.
#[test]
fn a_zeroed_end_of_the_log_is_told_though_a_queue_ends_with_places_of_lost_messages() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let settings = Settings {
        index: false,
        commit_log_file_bytes: 1 << 20,
        consume_queue_file_bytes: 20 * 1_000,
        flush_log_least_pages: 1_000,
        ..settings()
    };
    let store = open(&disk, &settings);
    fill(&store, "T", 0..COUNT);
    store.flush(NOW + 100_000).unwrap();
    let end = store.max_log_offset();
    fill(&store, "T", COUNT..COUNT + 250);
    store.flush(NOW + 100_001).unwrap();
    let units = disk.open(Path::new(FILE), settings.consume_queue_file_bytes, Allocation::Sparse);
    units.unwrap().sync(0..20 * 1_000).unwrap();
    drop(store);
    sim.lose(Loss::All);
    let store = open(&disk, &settings);
    assert_eq!((store.max_offset("T", 0), store.max_log_offset()), (COUNT + 250, end));
    store.flush(NOW + 200_000).unwrap();
    drop(store);
    let log = disk.open(&log_path(0), 1 << 20, Allocation::Reserved).unwrap();
    log.zero(end as u64 - 1_000..1 << 20).unwrap();
    let (store, lines) = lines_of(|| open(&disk, &settings));
    assert_eq!(store.max_log_offset(), end);
    let told: Vec<_> = lines.iter().filter(|line| line.contains("lost in ranges")).collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
}

/// What is missing before the last so many of `count` messages is told in one line.
fn is_told(disk: &Arc<dyn Disk>, settings: &Settings, (count, behind): (i64, i64)) {
    let (store, lines) = lines_of(|| open(disk, settings));
    let left = bodies_by_offset(&store, "T", 0);
    let told: Vec<_> = lines.iter().filter(|line| line.contains("lost in ranges")).collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    let (gone, last) = (count - left.len() as i64, count - behind - 1);
    assert!(gone > 0 && left.contains_key(&0) && !left.contains_key(&last), "{left:?}");
    assert!((count - behind..count).all(|at| left.contains_key(&at)), "{left:?}");
    let s = if gone == 1 { "" } else { "s" };
    assert!(told[0].contains(&format!("{gone} message{s}: ")), "{gone}: {told:?}");
    assert!(told[0].contains(&format!("{last} of topic T queue 0")), "{told:?}");
    assert_eq!(fill_at(&store, NOW, "T", count..count + 1)[0].queue_offset, count);
}

/// The same over whole files, with the last one gone on behind the checkpoint.
#[test]
fn zeroed_files_before_the_checkpoint_are_told_after_a_crash() {
    for behind in [0, 200] {
        let disk = sim();
        let store = open(&disk, &settings());
        fill(&store, "T", 0..400);
        store.close().unwrap();
        drop(store);
        let store = open(&disk, &settings());
        let end = store.max_log_offset() as u64;
        assert!(end > 3 * LOG_FILE);
        fill(&store, "T", 400..400 + behind);
        drop(store);
        for start in (LOG_FILE..end).step_by(LOG_FILE as usize) {
            let log = disk.open(&log_path(start as i64), LOG_FILE, Allocation::Reserved).unwrap();
            let to = if behind > 0 { (end - start).min(LOG_FILE) } else { LOG_FILE };
            log.zero(if start == LOG_FILE { 5_000 } else { 0 }..to).unwrap();
        }
        is_told(&disk, &settings(), (400 + behind, behind));
    }
}

/// A queue's last file stays when all in it has expired, for it says where the queue ends; when
/// another one follows it is to go with what expires next, and not to make a removed queue anew.
/// The start looks for none: of tens of thousands of queues that takes a second.
#[test]
fn a_queue_file_that_expired_before_the_stop_goes_with_what_expires_or_is_removed() {
    for expires in [true, false] {
        let sim = SimDisk::new(1);
        sim.set_clock(NOW);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let names = || -> Vec<String> {
            let files = disk.list(Path::new("/store/consumequeue/T/0")).unwrap();
            files.into_iter().map(|file| file.name).collect()
        };
        let expire_all = |store: &Store| {
            for _ in 0..20 {
                append(store, NOW, draft("U", 0, &"x".repeat(3_000)));
            }
            store.sync().unwrap();
            sim.set_room(sim.used() * 10, sim.used() * 8);
            assert!(store.retain(NOW).unwrap().log_files > 0);
            sim.set_room(1 << 40, 1 << 39);
        };
        let store = open(&disk, &settings());
        fill(&store, "T", 0..50);
        expire_all(&store);
        assert_eq!(names(), ["00000000000000000000"]);
        fill(&store, "T", 50..51);
        store.close().unwrap();
        drop(store);
        assert_eq!(names(), ["00000000000000000000", "00000000000000001000"]);
        let store = open(&disk, &settings());
        assert_eq!(names().len(), 2, "it looked for no other one");
        assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (50, 51));
        if expires {
            expire_all(&store);
            assert_eq!(names(), ["00000000000000001000"]);
            assert_eq!(store.clean_expired_queues().unwrap(), 1);
        } else {
            store.delete_topics(["T"]).unwrap();
        }
        assert_eq!(names(), [""; 0]);
        store.close().unwrap();
        drop(store);
        assert_eq!(open(&disk, &settings()).max_offset("T", 0), 0, "it was removed");
    }
}

/// Files that were missing in the middle of a queue are made anew by one start, and power fails
/// soon after it: the next one looks at the last files alone.
#[test]
fn what_a_start_made_anew_outlives_a_power_loss_after_it() {
    for (seed, loss) in (0..12).flat_map(|seed| Loss::ALL.map(|loss| (seed, loss))) {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let store = open(&disk, &settings());
        fill(&store, "T", 0..300);
        store.close().unwrap();
        drop(store);
        for start in [1_000, 2_000] {
            let file = format!("/store/consumequeue/T/0/{start:020}");
            disk.remove(Path::new(&file)).unwrap();
        }
        disk.sync_all(Path::new("/store")).unwrap();
        drop(open(&disk, &settings()));
        sim.lose(loss);
        let store = open(&disk, &settings());
        for place in 0..300 {
            let unit = store.unit("T", 0, place);
            assert!(unit.is_some_and(|unit| unit.size > 0 && !unit.is_blank()), "{seed} {place}");
        }
        assert_eq!(bodies(&store, "T", 0).len(), 300, "{seed} {loss:?}");
    }
}
