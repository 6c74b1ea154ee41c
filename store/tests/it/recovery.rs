//! Damage in the commit log: a torn tail is cut, anything else is set aside and costs nothing but
//! itself.

use crate::support::*;
use message::record;
use simulator::SimDisk;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::disk::Allocation;
use store::{Appended, Disk, Error, Progress, Settings, Store};

pub(crate) const FILE: u64 = 16 << 10;

pub(crate) fn settings() -> Settings {
    small(Path::new("/store"))
}

pub(crate) fn sim() -> Arc<dyn Disk> {
    Arc::new(SimDisk::new(1))
}

/// `count` messages of a topic, one after the other, body and time by their number.
pub(crate) fn fill(store: &Store, topic: &str, numbers: std::ops::Range<i64>) -> Vec<Appended> {
    fill_at(store, NOW, topic, numbers)
}

/// The same, a message number ms behind `time`.
pub(crate) fn fill_at(
    store: &Store,
    time: i64,
    topic: &str,
    numbers: std::ops::Range<i64>,
) -> Vec<Appended> {
    let one = |number| append(store, time + number, draft(topic, 0, &format!("{number:04}")));
    numbers.map(one).collect()
}

pub(crate) fn log_path(offset: i64) -> PathBuf {
    format!("/store/commitlog/{:020}", offset as u64 / FILE * FILE).into()
}

/// Writes over the log at an offset.
pub(crate) fn scribble(disk: &Arc<dyn Disk>, offset: i64, bytes: &[u8]) {
    let file = disk.open(&log_path(offset), FILE, Allocation::Reserved).unwrap();
    file.write_at(offset as u64 % FILE, bytes).unwrap();
}

/// What the queue must hold: everything but some places.
fn expected(numbers: std::ops::Range<i64>, lost: &[i64]) -> BTreeMap<i64, String> {
    numbers.filter(|at| !lost.contains(at)).map(|at| (at, format!("{at:04}"))).collect()
}

fn ranges(store: &Store) -> Vec<(i64, i64)> {
    store.set_aside().ranges().iter().map(|range| (range.from, range.to)).collect()
}

/// Kills, opens, and looks whether all but `lost` is there and goes on being there.
fn check_lost(disk: &Arc<dyn Disk>, count: i64, lost: &[i64], aside: &[(i64, i64)]) {
    for round in 0..3 {
        let store = open(disk, &settings());
        let all = count + round;
        assert_eq!(store.max_offset("T", 0), all, "queue offsets stay dense");
        assert_eq!(bodies_by_offset(&store, "T", 0), expected(0..all, lost), "round {round}");
        assert_eq!(ranges(&store), aside);
        assert_eq!(store.stats().set_aside_ranges(), aside.len() as u64);
        for number in (0..all).filter(|number| !lost.contains(number)) {
            let key = format!("key-{number:04}");
            assert_eq!(store.query("T", &key, 64, (0, i64::MAX)).records.len(), 1, "{key}");
        }
        assert_eq!(fill(&store, "T", all..all + 1)[0].queue_offset, all);
        if round == 1 {
            store.close().unwrap();
        }
    }
}

#[test]
fn damage_with_records_behind_it_is_set_aside_and_nothing_else_is_lost() {
    // What is damaged of a record, by its place in it.
    let damages: [(usize, &[u8]); 6] = [
        (record::at::TOTAL_SIZE, &[0x7f]),
        (record::at::MAGIC, &[0; 4]),
        (record::at::LOG_OFFSET, &[0xff; 8]),
        (84, &[0x7f; 4]),
        (89, b"!"),
        (0, &[0; 130]),
    ];
    for (at, bytes) in damages {
        for which in [0, 1, 40, 78] {
            let disk = sim();
            let store = open(&disk, &settings());
            let places = fill(&store, "T", 0..80);
            drop(store);
            scribble(&disk, places[which].log_offset + at as i64, bytes);
            let aside = (places[which].log_offset, places[which].log_end());
            check_lost(&disk, 80, &[which as i64], &[aside]);
        }
    }
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_record() {
    for torn in 1..100 {
        let disk = sim();
        let store = open(&disk, &settings());
        let places = fill(&store, "T", 0..20);
        drop(store);
        let last = places[19];
        scribble(&disk, last.log_end() - torn, &vec![0; torn as usize]);
        let store = open(&disk, &settings());
        // Zeros at the end of the properties may be what was sent, but for the separator.
        let count = store.max_offset("T", 0);
        if count == 19 {
            assert_eq!(store.max_log_offset(), last.log_offset, "{torn}");
            assert_eq!(bodies_by_offset(&store, "T", 0), expected(0..19, &[]));
        } else {
            assert!(torn < 90, "{torn}");
        }
        assert_eq!(ranges(&store), [], "{torn}");
    }
}

#[test]
fn damage_across_files_ends_where_the_log_goes_on() {
    let disk = sim();
    let store = open(&disk, &settings());
    let places = fill(&store, "T", 0..300);
    drop(store);
    // From a record in the first file to one in the third: a whole file is gone.
    let from = places[60];
    let behind = places.iter().position(|place| place.log_offset >= 2 * FILE as i64 + 900).unwrap();
    for offset in (from.log_offset..places[behind].log_offset).step_by(64) {
        let len =
            64.min(places[behind].log_offset - offset).min(FILE as i64 - offset % FILE as i64);
        scribble(&disk, offset, &vec![0xee; len as usize]);
    }
    let lost: Vec<_> = (60..behind as i64).collect();
    check_lost(&disk, 300, &lost, &[(from.log_offset, places[behind].log_offset)]);
}

#[test]
fn a_roll_that_is_lost_keeps_what_follows() {
    let disk = sim();
    let store = open(&disk, &settings());
    let places = fill(&store, "T", 0..200);
    drop(store);
    let next_file = places.iter().position(|place| place.log_offset >= FILE as i64).unwrap();
    let end = places[next_file - 1].log_end();
    scribble(&disk, end, &[0; 8]);
    check_lost(&disk, 200, &[], &[(end, FILE as i64)]);
}

#[test]
fn javas_rule_cuts_at_the_damage() {
    let disk = sim();
    let store = open(&disk, &settings());
    let places = fill(&store, "T", 0..80);
    drop(store);
    scribble(&disk, places[30].log_offset + 90, b"!");
    let java = Settings { cut_log_at_damage: true, ..settings() };
    let store = open(&disk, &java);
    assert_eq!(store.max_log_offset(), places[30].log_offset);
    assert_eq!(bodies_by_offset(&store, "T", 0), expected(0..30, &[]));
    assert_eq!(ranges(&store), []);
}

/// Java cuts its log without making zeros of what was behind, and goes on in the middle of it.
#[test]
fn what_java_left_behind_a_cut_never_comes_back() {
    for new_size in [1, 37, 90, 200, 333] {
        for later in [1, 100_000] {
            let disk = sim();
            let store = open(&disk, &settings());
            let places = fill(&store, "T", 0..60);
            drop(store);
            let cut = places[20].log_offset;
            let old = disk.read(&log_path(0)).unwrap();
            // A store that was cut there and went on with other messages, as our own rule does it.
            let java = Settings { cut_log_at_damage: true, ..settings() };
            scribble(&disk, cut + 90, b"!");
            let store = open(&disk, &java);
            let mut new = Vec::new();
            for number in 0..5 {
                let body = format!("new-{number}-{}", "x".repeat(new_size));
                new.push(body.clone());
                append(&store, NOW + 60 + later, draft("T", 0, &body));
            }
            store.flush(NOW + 60 + later).unwrap();
            let end = store.max_log_offset();
            drop(store);
            // And what lay behind is there again, as Java would have left it, with its process id.
            scribble(&disk, end, &old[end as usize..]);
            disk.replace(Path::new("/store/abort"), b"4711", None).unwrap();
            for _ in 0..2 {
                let store = open(&disk, &settings());
                assert_eq!(store.max_log_offset(), end, "{new_size} {later}");
                assert_eq!(ranges(&store), []);
                let found: Vec<_> = bodies_by_offset(&store, "T", 0).into_values().collect();
                let expected: Vec<_> = (0..20).map(|number| format!("{number:04}")).collect();
                assert_eq!(found, [expected, new.clone()].concat(), "{new_size} {later}");
            }
        }
    }
}

#[test]
fn log_files_that_are_missing_cost_their_messages_alone() {
    for (clean, gone) in [true, false].into_iter().flat_map(|clean| (0..4).map(move |g| (clean, g)))
    {
        let disk = sim();
        let store = open(&disk, &settings());
        let places = fill(&store, "T", 0..420);
        store.flush(NOW + 420).unwrap();
        if clean {
            store.close().unwrap();
        }
        drop(store);
        let start = gone * FILE as i64;
        disk.remove(&log_path(start)).unwrap();
        for count in 420..422 {
            let store = open(&disk, &settings());
            let is_there = |number: &i64| {
                let at = places.get(*number as usize).map(|place| place.log_offset);
                at.is_none_or(|at| !(start..start + FILE as i64).contains(&at))
            };
            let found: Vec<_> = bodies_by_offset(&store, "T", 0).into_keys().collect();
            let expected: Vec<_> = (0..count).filter(is_there).collect();
            assert_eq!(found, expected, "clean {clean}, file {gone}");
            if gone == 0 {
                assert_eq!(ranges(&store), [], "as if expired");
            } else {
                assert_eq!(ranges(&store).len(), 1, "clean {clean}, file {gone}");
            }
            assert_eq!(fill(&store, "T", count..count + 1)[0].queue_offset, count);
        }
    }
}

#[test]
fn short_log_files_get_their_length_and_lose_only_what_they_lack() {
    let lens = [0, 1, 4096, 10_000, FILE as usize - 1];
    for (clean, file, len) in [true, false].into_iter().flat_map(|clean| {
        (0..3).flat_map(move |file| lens.into_iter().map(move |len| (clean, file, len)))
    }) {
        let disk = sim();
        let store = open(&disk, &settings());
        let places = fill(&store, "T", 0..320);
        store.flush(NOW + 320).unwrap();
        if clean {
            store.close().unwrap();
        }
        drop(store);
        let start = file * FILE as i64;
        let mut content = disk.read(&log_path(start)).unwrap();
        content.truncate(len);
        disk.replace(&log_path(start), &content, None).unwrap();
        let store = open(&disk, &settings());
        let lost = start + len as i64..start + FILE as i64;
        let is_there =
            |place: &&Appended| place.log_end() <= lost.start || place.log_offset >= lost.end;
        let expected: Vec<_> =
            places.iter().filter(is_there).map(|place| place.queue_offset).collect();
        let found: Vec<_> = bodies_by_offset(&store, "T", 0).into_keys().collect();
        assert_eq!(found, expected, "clean {clean}, file {file}, {len} bytes");
        assert!(store.max_offset("T", 0) == 320, "no offset is given again: {clean} {file} {len}");
        assert_eq!(fill(&store, "T", 320..321)[0].queue_offset, 320);
    }
}

#[test]
fn a_log_that_is_gone_is_no_reason_to_remove_the_queues() {
    let disk = sim();
    let store = open(&disk, &settings());
    fill(&store, "T", 0..20);
    store.close().unwrap();
    drop(store);
    let log = disk.read(&log_path(0)).unwrap();
    disk.remove(&log_path(0)).unwrap();
    let Err(Error::Corrupt { why, .. }) = Store::open(disk.clone(), settings()) else {
        panic!("opened")
    };
    assert!(why.contains("Mount or restore"), "{why}");
    disk.replace(&log_path(0), &log, None).unwrap();
    assert_eq!(bodies_by_offset(&open(&disk, &settings()), "T", 0).len(), 20);
}

#[test]
fn a_start_after_a_kill_knows_about_how_much_it_has_to_read() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(5));
    let settings = Settings { commit_log_file_bytes: 8 << 20, ..small(Path::new("/store")) };
    let store = open(&disk, &settings);
    let body = "x".repeat(10_000);
    for number in 0..150 {
        append(&store, NOW + number, draft("T", 0, &body));
    }
    let end = store.max_log_offset().unsigned_abs();
    drop(store);
    for cut in [false, true] {
        let told = RefCell::new(Vec::new());
        let watch = |progress: Progress| {
            if progress.what == "reading the commit log" {
                told.borrow_mut().push((progress.done, progress.total));
            }
        };
        let settings = Settings { cut_log_at_damage: cut, ..settings.clone() };
        let store = Store::open_watched(disk.clone(), settings, &watch).unwrap();
        assert_eq!(store.recovered().to.unsigned_abs(), end);
        drop(store);
        let told = told.into_inner();
        let total = told[0].1;
        assert!((end..end + (128 << 10)).contains(&total), "{told:?}, the log ends at {end}");
        assert!(told.iter().all(|(done, total)| done <= total), "{told:?}");
    }
}
