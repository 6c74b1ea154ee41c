//! A start after a clean stop: it asks the disk for little, and believes no note that the files
//! contradict.

use crate::bad_disk::BadDisk;
use crate::recovery::{fill, fill_at, settings, sim};
use crate::support::*;
use std::path::Path;
use std::sync::Arc;
use store::Disk;

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
    assert_eq!(bad.reads_under(Path::new("/store/consumequeue")), TOPICS);
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
