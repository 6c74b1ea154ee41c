//! Old log files are read again, a little at a time: what is damaged is found, set aside once, and
//! costs nothing else.

use crate::bad_disk::BadDisk;
use crate::support::{
    NOW, TempDir, append, bodies, bodies_by_offset, draft, on_both_disks, open, small,
};
use simulator::SimDisk;
use simulator::lines_of;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use store::{Aside, Disk, OsDisk, Settings, Store};

const DAY_MS: i64 = 24 * 3_600_000;
/// What was complete at one look and at the one so long before it is cold.
const COLD_MS: i64 = 600_000;
const FILE: i64 = 16 << 10;

fn fill(store: &Store) {
    for number in 0..300 {
        let body = format!("{number}-{}", "x".repeat(100));
        append(store, NOW + number, draft("T", 0, &body));
    }
    store.flush(NOW + 60_000).unwrap();
    store.sync().unwrap();
}

/// Runs to the end of a pass; gives the bytes that were read.
fn pass(store: &Store, now: i64) -> u64 {
    let passes = store.stats().scrub_passes();
    let mut read = 0;
    while store.stats().scrub_passes() == passes {
        read += store.scrub(now);
    }
    read
}

#[test]
fn a_pass_reads_every_cold_file_once_a_day() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &Settings { index: false, ..settings });
        assert_eq!(store.scrub(NOW), 0, "no file is complete");
        assert_eq!(store.stats().scrub_passes(), 0, "that was no pass");
        fill(&store);
        let last = store.max_log_offset() / FILE * FILE;
        let stats = store.stats();
        for after_ms in [1, COLD_MS - 1, COLD_MS, 2 * COLD_MS - 1] {
            assert_eq!(store.scrub(NOW + after_ms), 0, "{after_ms} ms later nothing is cold");
        }
        let begun = NOW + 2 * COLD_MS;
        assert_eq!(pass(&store, begun), last.unsigned_abs());
        assert_eq!(stats.scrubbed_bytes(), last.unsigned_abs());
        assert!(stats.scrubbed_records() > 200 && stats.scrubbed_records() < 300);
        fill(&store);
        for after_ms in [COLD_MS, 2 * COLD_MS, DAY_MS - 1] {
            store.scrub(begun + after_ms);
            assert_eq!(stats.scrubbed_bytes(), last.unsigned_abs(), "too early");
        }
        let last = store.max_log_offset() / FILE * FILE;
        assert_eq!(pass(&store, begun + DAY_MS), last.unsigned_abs());
        assert_eq!((stats.scrub_damaged_ranges(), stats.scrub_passes()), (0, 2));
        assert_eq!(stats.scrub_passed_ms(), begun + DAY_MS);
        let read = stats.scrubbed_bytes();
        store.scrub(begun + DAY_MS + 1);
        assert_eq!(stats.scrubbed_bytes(), read);
        store.close().unwrap();
    });
}

#[test]
fn damage_is_set_aside_once_and_nothing_else_is_lost() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    fill(&store);
    let before = bodies(&store, "T", 0);
    let path = dir.path().join(format!("commitlog/{FILE:020}"));
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(b"damage", 100).unwrap();
    let (_, lines) = lines_of(|| pass(&store, NOW));
    let left = bodies_by_offset(&store, "T", 0);
    let gone: Vec<i64> = (0..300).filter(|offset| !left.contains_key(offset)).collect();
    assert_eq!(gone.len(), 1, "{gone:?}");
    let named = format!("1 message: message {} of topic T queue 0. Their places", gone[0]);
    let is_told = |line: &String| line.contains(" message=lost in ranges") && line.contains(&named);
    assert!(lines.iter().any(is_told), "{named}: {lines:#?}");
    let stats = store.stats();
    assert_eq!((stats.scrub_damaged_ranges(), stats.set_aside_ranges()), (1, 1));
    let noted = std::fs::read_to_string(dir.path().join("setaside")).unwrap();
    assert!(noted.starts_with(&format!("{FILE} ")), "{noted}");
    pass(&store, NOW + DAY_MS);
    assert_eq!(store.stats().scrub_damaged_ranges(), 1, "it is known by now");
    store.close().unwrap();
    drop(store);
    let store = open(&disk, &settings);
    let left = store.max_offset("T", 0);
    assert_eq!(left, before.len() as i64, "offsets stay");
    store.close().unwrap();
}

/// Neither file begins with a record then, and what lies behind the damage is there all the same.
#[test]
fn damage_across_the_end_of_a_file_costs_nothing_behind_it() {
    let dir = TempDir::new();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &small(dir.path()));
    fill(&store);
    let complete = store.max_log_offset() / FILE;
    assert!(complete >= 3, "{complete}");
    for number in 0..complete {
        let path = dir.path().join(format!("commitlog/{:020}", number * FILE));
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        match number {
            0 => file.write_all_at(&[1; 600], FILE.unsigned_abs() - 600).unwrap(),
            _ => file.write_all_at(b"damage", 100).unwrap(),
        }
    }
    pass(&store, NOW);
    let left = bodies_by_offset(&store, "T", 0);
    let gone: Vec<i64> = (0..300).filter(|offset| !left.contains_key(offset)).collect();
    // The last few of the first file, and the first one of each other.
    assert!(gone.len() < 6 + complete as usize, "{gone:?}");
    assert_eq!(store.stats().set_aside_ranges(), complete.unsigned_abs() - 1, "one goes across");
    store.close().unwrap();
}

#[test]
fn the_pause_keeps_the_share_and_zero_is_never() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    fill(&store);
    let took = Duration::from_millis(10);
    assert_eq!(store.scrub_pause(1, took), took * 19);
    assert_eq!(store.scrub_pause(0, took), Duration::from_secs(1));
    store.retune(Settings { scrub_time_percent: 50, ..settings.clone() }).unwrap();
    assert_eq!(store.scrub_pause(1, took), took);
    store.retune(Settings { scrub_time_percent: 0, ..settings }).unwrap();
    assert_eq!(store.scrub(NOW), 0);
    assert_eq!(store.stats().scrub_passes(), 0);
    store.close().unwrap();
}

/// A pull asks of each record whether it is set aside.
#[test]
fn nobody_waits_for_the_disk_while_a_range_is_noted() {
    let bad = BadDisk::new(Arc::new(SimDisk::new(1)));
    let disk: Arc<dyn Disk> = Arc::new(bad.clone());
    let store = Arc::new(open(&disk, &small(Path::new("/store"))));
    append(&store, NOW, draft("T", 0, "only"));
    let (other, (tell, told)) = (Arc::downgrade(&store), mpsc::channel());
    bad.before_sync(move |path| {
        let Some(store) = other.upgrade().filter(|_| path.ends_with("setaside")) else { return };
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || done.send(store.set_aside().overlaps(0, 1)));
        tell.send(is_done.recv_timeout(Duration::from_secs(20))).unwrap();
    });
    let aside = Aside { from: 0, to: 10, found_ms: NOW, why: "a test".into() };
    assert!(store.set_aside().add(aside).unwrap());
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [Ok(true)]);
}
