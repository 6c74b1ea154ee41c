//! What a person who lost power, or log files, reads: one line an event, with names and counts.

use crate::recovery::{FILE, log_path, scribble, settings, sim};
use crate::support::*;
use simulator::lines_of;
use std::path::Path;
use std::sync::Arc;
use store::disk::Allocation;
use store::{Boundary, Disk, Settings};

/// Lines about what is lost.
fn lost(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.starts_with("ERROR") && line.contains("lost ")).collect()
}

fn fill(disk: &Arc<dyn Disk>, queues: i32, each: i64) -> i64 {
    let store = open(disk, &settings());
    for at in 0..each {
        for id in 0..queues {
            append(&store, NOW + at, draft("T", id, &format!("{id:02}-{at:03}")));
        }
    }
    store.close().unwrap();
    store.max_log_offset()
}

#[test]
fn missing_last_files_of_the_log_are_told_in_one_line() {
    for clean in [true, false] {
        let disk = sim();
        let end = fill(&disk, 2, 150);
        let last = end / FILE as i64 * FILE as i64;
        assert!(last > FILE as i64, "there is more than one file");
        disk.remove(&log_path(last)).unwrap();
        if !clean {
            disk.replace(Path::new("/store/abort"), b"", None).unwrap();
        }
        let (store, lines) = lines_of(|| open(&disk, &settings()));
        let gone: Vec<usize> =
            [0, 1].map(|id| 150 - bodies_by_offset(&store, "T", id).len()).into();
        assert!(gone[0] > 5);
        let told = lost(&lines);
        assert_eq!(told.len(), 1, "{lines:#?}");
        let first = 150 - gone[0];
        let names = format!("messages {first} to 149 of topic T queue 0");
        let count = format!("{} messages: ", gone[0] + gone[1]);
        assert!(told[0].contains(&names) && told[0].contains(&count), "{told:?}");
        drop(store);
        let (_, lines) = lines_of(|| open(&disk, &settings()));
        assert_eq!(lost(&lines).len(), 0, "once is enough: {lines:#?}");
    }
}

/// Power fails, and units of records that were never durable are on the disk.
#[test]
fn units_behind_the_logs_end_are_told_in_one_line() {
    let disk = sim();
    let end = fill(&disk, 1, 20);
    let store = open(&disk, &settings());
    store.flush(NOW + 50).unwrap();
    for id in 0..30 {
        append(&store, NOW + 100, draft("U", id, "lost"));
    }
    store.flush(NOW + 200).unwrap();
    drop(store);
    // The checkpoint knows nothing of them, nor do the notes of where queues end.
    let file = disk.open(&log_path(end), FILE, Allocation::Reserved).unwrap();
    file.zero(end as u64 % FILE..FILE).unwrap();
    let (store, lines) = lines_of(|| open(&disk, &settings()));
    assert_eq!((store.max_offset("U", 7), store.min_offset("U", 7)), (1, 1));
    assert_eq!(append(&store, NOW + 300, draft("U", 7, "next")).queue_offset, 1);
    let told = lost(&lines);
    assert_eq!(told.len(), 1, "{lines:#?}");
    for part in ["30 messages: ", "message 0 of topic U queue 0", "and of 22 more", "power"] {
        assert!(told[0].contains(part), "{part}: {told:?}");
    }
}

/// The places of lost messages, which are blank or lead nowhere.
#[test]
fn a_search_by_time_finds_what_is_around_lost_messages() {
    for blank in [true, false] {
        let disk = sim();
        let end = fill(&disk, 1, 200);
        for start in (FILE as i64..end).step_by(FILE as usize) {
            disk.remove(&log_path(start)).unwrap();
        }
        for start in [2_000, 3_000].into_iter().filter(|_| blank) {
            let file = format!("/store/consumequeue/T/0/{start:020}");
            disk.remove(Path::new(&file)).unwrap();
        }
        let store = open(&disk, &settings());
        let kept = bodies_by_offset(&store, "T", 0).len() as i64;
        assert!((80..120).contains(&kept) && store.max_offset("T", 0) == 200, "{kept}");
        assert_eq!(store.units("T", 0, kept, 1)[0].is_blank(), blank);
        let by_time = |time, end| store.offset_by_time("T", 0, NOW + time, end);
        let both = |time| (by_time(time, Boundary::Lower), by_time(time, Boundary::Upper));
        assert_eq!(both(5_000), (kept, kept - 1), "behind the last one");
        for at in 0..100 {
            append(&store, NOW + 2_000 + at, draft("T", 0, "next"));
        }
        (0..kept).for_each(|at| assert_eq!(both(at), (at, at)));
        // A reader passes over the empty places.
        assert_eq!(both(2_000), (kept, 200));
        (1..100).for_each(|at| assert_eq!(both(2_000 + at), (200 + at, 200 + at)));
        assert_eq!((both(-1), both(9_000)), ((0, 0), (300, 299)));
        assert_eq!(both(1_000), (kept, kept - 1));
    }
}

#[test]
fn a_damaged_range_names_its_messages() {
    for clean in [true, false] {
        let disk = sim();
        fill(&disk, 2, 20);
        let store = open(&disk, &settings());
        let place = read(&store, "T", 1, 18).messages[0].clone();
        let at = record_of(&place).log_offset;
        if clean {
            store.close().unwrap();
        }
        drop(store);
        scribble(&disk, at + 90, b"!");
        disk.replace(Path::new("/store/abort"), b"in use, being mended", None).unwrap();
        let (_, lines) = lines_of(|| open(&disk, &settings()));
        let told = lost(&lines);
        assert_eq!(told.len(), 1, "{lines:#?}");
        assert!(told[0].contains("1 message: message 18 of topic T queue 1"), "{told:?}");
    }
}

/// Somebody puts the files of one queue into the directory of another.
#[test]
fn swapped_queues_fill_no_log() {
    let disk = sim();
    fill(&disk, 2, 400);
    let dir = |id: i32| format!("/store/consumequeue/T/{id}");
    let files = disk.list(Path::new(&dir(0))).unwrap();
    for file in &files {
        let path = |id| format!("{}/{}", dir(id), file.name);
        let both = [0, 1].map(|id| disk.read(Path::new(&path(id))).unwrap());
        disk.replace(Path::new(&path(1)), &both[0], None).unwrap();
        disk.replace(Path::new(&path(0)), &both[1], None).unwrap();
    }
    for unclean in [false, true] {
        if unclean {
            disk.replace(Path::new("/store/abort"), b"in use, being mended", None).unwrap();
        }
        let ((), lines) = lines_of(|| {
            let store = open(&disk, &settings());
            for id in [0, 1] {
                let wanted: Vec<_> = (0..400).map(|at| format!("{id:02}-{at:03}")).collect();
                assert_eq!(bodies(&store, "T", id), wanted);
            }
            store.close().unwrap();
        });
        assert!(lines.len() < 40, "{} lines", lines.len());
        assert!(unclean || !lines.is_empty());
    }
}

/// Not so what the store removed itself, also when it was killed right after.
#[test]
fn missing_first_files_of_the_log_are_told_and_expired_ones_are_not() {
    for (clean, expired) in [(true, false), (false, false), (true, true), (false, true)] {
        let disk = sim();
        fill(&disk, 2, 250);
        let settings = Settings { disk_used_percent: 10, disk_force_percent: 10, ..settings() };
        let store = open(&disk, &settings);
        if expired {
            store.retain(NOW + 300).unwrap();
            assert!(store.min_log_offset() > 0);
        }
        if clean {
            store.close().unwrap();
        }
        drop(store);
        if !expired {
            disk.remove(&log_path(0)).unwrap();
        }
        let (store, lines) = lines_of(|| open(&disk, &settings));
        let gone = [0, 1].map(|id| store.min_offset("T", id));
        assert!(gone[0] > 5, "{gone:?}");
        let told = lost(&lines);
        assert_eq!(told.len(), usize::from(!expired), "{clean} {lines:#?}");
        if let Some(told) = told.first() {
            let names = format!("messages 0 to {} of topic T queue 0", gone[0] - 1);
            let count = format!("{} messages: ", gone[0] + gone[1]);
            assert!(told.contains(&names) && told.contains(&count), "{gone:?} {told:?}");
        }
        store.close().unwrap();
        drop(store);
        let (_, lines) = lines_of(|| open(&disk, &settings));
        assert_eq!(lost(&lines).len(), 0, "once is enough: {lines:#?}");
    }
}

/// Files that are put back, as the line of the start without them advises, are taken: also when
/// queues were made anew meanwhile, or a start of a broker that was killed found them.
#[test]
fn log_files_that_are_put_back_are_no_longer_set_aside() {
    for (queues_too, clean) in [(false, true), (true, true), (false, false), (true, false)] {
        let what = format!("queues lost: {queues_too}, clean: {clean}");
        let disk = sim();
        fill(&disk, 2, 250);
        let file = log_path(FILE as i64);
        let bytes = disk.read(&file).unwrap();
        disk.remove(&file).unwrap();
        if queues_too {
            for id in [0, 1] {
                let dir = format!("/store/consumequeue/T/{id}");
                let dir = Path::new(&dir);
                for file in disk.list(dir).unwrap() {
                    disk.remove(&dir.join(&file.name)).unwrap();
                }
            }
        }
        let store = open(&disk, &settings());
        let ranges = store.set_aside().ranges();
        assert_eq!(ranges.len(), 1, "{what}: {ranges:?}");
        assert!(bodies_by_offset(&store, "T", 0).len() < 250, "{what}");
        append(&store, NOW + 900, draft("T", 0, "later"));
        if clean {
            store.close().unwrap();
        } else {
            store.flush(NOW + 60_000).unwrap();
        }
        drop(store);
        disk.replace(&file, &bytes, None).unwrap();
        let (store, lines) = lines_of(|| open(&disk, &settings()));
        assert_eq!(store.set_aside().ranges(), [], "{what}");
        let back = lines.iter().filter(|line| line.contains("hold records again")).count();
        assert_eq!(back, 1, "{what}: {lines:#?}");
        assert_eq!(bodies_by_offset(&store, "T", 0).len(), 251, "{what}");
        assert_eq!(bodies_by_offset(&store, "T", 1).len(), 250, "{what}");
        store.close().unwrap();
        drop(store);
        let (_, lines) = lines_of(|| open(&disk, &settings()));
        assert!(lines.iter().all(|line| !line.contains("hold records again")), "{lines:#?}");
    }
}

/// The last file of the log is there and holds zeros or junk, and no checkpoint knows of it: what
/// consumers may have read is not replaced behind their backs.
#[test]
fn offsets_behind_a_log_that_ends_too_early_are_not_given_again() {
    for junk in [0, 0x5a] {
        let disk = sim();
        let store = open(&disk, &settings());
        store.flush(NOW).unwrap();
        for at in 0..250 {
            append(&store, NOW, draft("T", 0, &format!("{at:04}")));
        }
        store.flush(NOW + 1).unwrap();
        let last = store.max_log_offset() / FILE as i64 * FILE as i64;
        drop(store);
        disk.replace(&log_path(last), &vec![junk; FILE as usize], None).unwrap();
        let (store, lines) = lines_of(|| open(&disk, &settings()));
        let there = bodies_by_offset(&store, "T", 0).len();
        assert!((150..245).contains(&there), "{there}");
        let told = lost(&lines);
        let count = format!("{} messages: messages {there} to 249", 250 - there);
        assert!(told.len() == 1 && told[0].contains(&count), "{lines:#?}");
        assert!(told[0].contains("not given again"), "{told:?}");
        drop(store);
        for round in 0..3 {
            let store = open(&disk, &settings());
            let next = append(&store, NOW + 9, draft("T", 0, "next")).queue_offset;
            assert_eq!(next, 250 + round);
            assert_eq!(bodies_by_offset(&store, "T", 0).len() as i64, there as i64 + round + 1);
            if round == 1 {
                store.close().unwrap();
            }
        }
    }
}
