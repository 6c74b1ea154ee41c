//! Recovery that is killed at any change, again and again, and disks that cannot read.

use crate::bad_disk::BadDisk;
use crate::recovery::*;
use crate::support::*;
use simulator::SimDisk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Disk, Settings, Store};

/// Everything in a directory, file by file.
fn image(disk: &dyn Disk, dir: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for listed in disk.list(dir).unwrap() {
        let path = dir.join(&listed.name);
        if listed.is_dir {
            image(disk, &path, into);
        } else {
            into.insert(path.clone(), disk.read(&path).unwrap());
        }
    }
}

fn disk_of(image: &BTreeMap<PathBuf, Vec<u8>>) -> BadDisk {
    let disk = SimDisk::new(1);
    for (path, content) in image {
        disk.replace(path, content, None).unwrap();
    }
    BadDisk::new(Arc::new(disk))
}

/// What a reader of the store sees of it.
fn content(store: &Store) -> Vec<String> {
    let mut all = Vec::new();
    for (topic, id) in [("T", 0), ("U", 0), ("V", 0)] {
        let ends = (store.min_offset(topic, id), store.max_offset(topic, id));
        all.push(format!("{topic} {ends:?} {:?}", bodies_by_offset(store, topic, id)));
    }
    for number in 0..160 {
        let found = store.query("T", &format!("key-{number:04}"), 64, (0, i64::MAX));
        all.push(format!("{number}: {}", found.records.len()));
    }
    all.push(format!("{:?}", store.set_aside().ranges()));
    all.push(store.max_log_offset().to_string());
    all
}

/// A store that was killed in the middle of its work, and what may be broken of it.
fn broken(how: usize) -> BTreeMap<PathBuf, Vec<u8>> {
    let disk: Arc<dyn Disk> = sim();
    let store = open(&disk, &settings());
    let places = fill(&store, "T", 0..120);
    fill_at(&store, NOW + 120, "U", 0..70);
    store.flush(NOW + 200).unwrap();
    let more = fill_at(&store, NOW + 200, "T", 120..160);
    fill_at(&store, NOW + 360, "V", 0..20);
    if how.is_multiple_of(2) {
        // The queues know all, the checkpoint does not.
        store.flush(NOW + 700).unwrap();
    }
    drop(store);
    let mut all = BTreeMap::new();
    image(&*disk, Path::new("/store"), &mut all);
    let queue = |file: i64| PathBuf::from(format!("/store/consumequeue/T/0/{:020}", file * 1_000));
    let edit = |all: &mut BTreeMap<PathBuf, Vec<u8>>, path: &Path, at: usize, with: &[u8]| {
        let bytes = all.get_mut(path).unwrap();
        bytes[at..at + with.len()].copy_from_slice(with);
    };
    match how / 2 {
        0 => {}
        1 => {
            let at = more[10].log_offset;
            edit(&mut all, &log_path(at), at as usize % (16 << 10) + 90, b"!");
        }
        2 => all.get_mut(&queue(0)).unwrap().truncate(333),
        3 => drop(all.remove(&queue(1))),
        4 => edit(&mut all, &queue(1), 40, &[0; 200]),
        5 => all.get_mut(&queue(2)).unwrap().truncate(7),
        6 => drop(all.remove(Path::new("/store/checkpoint"))),
        7 => {
            let index: Vec<_> =
                all.keys().filter(|path| path.starts_with("/store/index")).collect();
            let last = (*index.last().unwrap()).clone();
            all.get_mut(&last).unwrap().fill(0);
        }
        8 => {
            let at = places[50].log_offset;
            drop(all.remove(&log_path(at)));
        }
        _ => all.retain(|path, _| !path.starts_with("/store/consumequeue")),
    }
    all
}

#[test]
fn a_start_that_is_killed_at_any_change_ends_as_one_that_is_not() {
    for how in 0..20 {
        let image = broken(how);
        let disk: Arc<dyn Disk> = Arc::new(disk_of(&image));
        let expected = content(&open(&disk, &settings()));
        assert!(expected[0].contains("0159"), "{how}: {}", expected[0]);
        for changes in 0.. {
            // Killed there, and then four times more, each time a little later.
            let disk = disk_of(&image);
            let mut finished = false;
            for kill in 0..5 {
                disk.die_after(changes + kill);
                let opened = Store::open(Arc::new(disk.clone()), settings());
                finished = opened.is_ok() && !disk.is_dead();
                if finished {
                    break;
                }
            }
            disk.die_after(u64::MAX);
            let store = Store::open(Arc::new(disk.clone()), settings()).unwrap();
            for (found, expected) in content(&store).iter().zip(&expected) {
                assert_eq!(found, expected, "{how}, killed after {changes} changes");
            }
            if finished {
                break;
            }
        }
    }
}

#[test]
fn a_bad_sector_costs_what_is_in_it() {
    for which in [0, 3, 60, 199] {
        for killed in [false, true] {
            let (bad, disk) = BadDisk::around(sim());
            let store = open(&disk, &settings());
            let places = fill(&store, "T", 0..200);
            if !killed {
                store.close().unwrap();
            }
            drop(store);
            let at = places[which].log_offset as u64 % (16 << 10) / 4096 * 4096;
            let path = log_path(places[which].log_offset);
            bad.make_unreadable(&path, at..at + 4096);
            let start = places[which].log_offset / (16 << 10) * (16 << 10) + at as i64;
            let mut count = 200;
            for _ in 0..3 {
                let store = open(&disk, &settings());
                let is_there = |place: &&store::Appended| {
                    place.log_end() <= start || place.log_offset >= start + 4096
                };
                let there = places.iter().filter(is_there).map(|place| place.queue_offset);
                let later = 200..count;
                let found: Vec<_> = bodies_by_offset(&store, "T", 0).into_keys().collect();
                // Behind a bad sector at the end nobody knows what was there.
                let is_tail = killed && which == 199;
                let expected: Vec<_> = there.chain(later).collect();
                if !is_tail {
                    assert_eq!(found, expected, "{which} killed {killed}");
                    assert_eq!(fill(&store, "T", count..count + 1)[0].queue_offset, count);
                    count += 1;
                } else {
                    assert!(store.set_aside().bytes() >= 4096);
                    let known = places.iter().filter(|place| place.log_end() <= start).count();
                    assert!(found.starts_with(&expected[..known]), "{which}");
                }
            }
        }
    }
}

#[test]
fn a_bad_sector_of_a_queue_costs_nothing() {
    let (bad, disk) = BadDisk::around(sim());
    let store = open(&disk, &settings());
    fill(&store, "T", 0..200);
    store.close().unwrap();
    drop(store);
    bad.make_unreadable(Path::new("/store/consumequeue/T/0/00000000000000001000"), 0..200);
    let store = open(&disk, &settings());
    let expected: Vec<_> = (0..200).map(|number| format!("{number:04}")).collect();
    assert_eq!(bodies(&store, "T", 0), expected);
}

#[test]
fn a_disk_that_reads_nothing_of_the_log_ends_a_start_in_bounds() {
    let (bad, disk) = BadDisk::around(sim());
    let store = open(&disk, &settings());
    let places = fill(&store, "T", 0..400);
    drop(store);
    for place in &places {
        bad.make_unreadable(&log_path(place.log_offset), 0..16 << 10);
    }
    let store = open(&disk, &settings());
    assert!(store.set_aside().bytes() > 0);
    let java = Settings { cut_log_at_damage: false, ..settings() };
    assert_eq!(fill(&store, "T", 0..1).len(), 1, "{java:?}");
}
