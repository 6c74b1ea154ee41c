//! A start after a clean stop: it asks the disk for little, and believes no note that the files
//! contradict.

use crate::bad_disk::BadDisk;
use crate::lines::lines_of;
use crate::recovery::{FILE as LOG_FILE, fill, fill_at, log_path, settings, sim};
use crate::support::*;
use simulator::SimDisk;
use std::path::Path;
use std::sync::Arc;
use store::disk::Allocation;
use store::{Disk, Store};

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

/// The file system gives zeros for what was durable before the stop.
#[test]
fn a_zeroed_end_of_the_log_is_told_by_the_start_not_by_a_reader() {
    for zeroed in [100, 3_000] {
        let disk = filled();
        let store = open(&disk, &settings());
        let end = store.max_log_offset();
        store.close().unwrap();
        drop(store);
        assert!(end > zeroed && end < LOG_FILE as i64, "{end}");
        let log = disk.open(&log_path(0), LOG_FILE, Allocation::Reserved).unwrap();
        log.zero((end - zeroed) as u64..LOG_FILE).unwrap();
        let (store, lines) = lines_of(|| open(&disk, &settings()));
        let left = bodies_by_offset(&store, "T", 0).len() as i64;
        let told: Vec<_> = lines.iter().filter(|line| line.contains("lost in ranges")).collect();
        assert_eq!(told.len(), 1, "{lines:#?}");
        assert!(left < COUNT && left > 0, "{left}");
        let (gone, last) = (COUNT - left, COUNT - 1);
        let s = if gone == 1 { "" } else { "s" };
        assert!(told[0].contains(&format!("{gone} message{s}: ")), "{gone}: {told:?}");
        assert!(told[0].contains(&format!("{last} of topic T queue 0")), "{told:?}");
        assert_eq!(fill_at(&store, NOW, "T", COUNT..COUNT + 1)[0].queue_offset, COUNT);
        drop(store);
        let (_, lines) = lines_of(|| open(&disk, &settings()));
        assert!(!lines.iter().any(|line| line.contains("lost in")), "once: {lines:#?}");
    }
}

/// A queue's last file stays when all in it has expired, for it says where the queue ends; when
/// another one follows it is to go, and not to make a removed queue anew.
#[test]
fn a_queue_file_that_expired_before_the_stop_is_known_to_the_next_start() {
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
    let store = open(&disk, &settings());
    assert_eq!(names(), ["00000000000000001000"]);
    expire_all(&store);
    assert_eq!(store.clean_expired_queues().unwrap(), 1);
    store.close().unwrap();
    drop(store);
    assert_eq!(open(&disk, &settings()).max_offset("T", 0), 0, "it was removed");
}
