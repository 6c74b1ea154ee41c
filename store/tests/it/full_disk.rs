//! A full disk refuses messages, and that is all it does.

use crate::support::*;
use simulator::SimDisk;
use simulator::lines_of;
use std::path::Path;
use std::sync::Arc;
use store::{Append, AppendError, Disk, FlushMode, Settings, Store};

/// Appends to two topics until the store refuses; at most `max` messages.
fn append_until_full(store: &Store, now: i64, stored: &mut Vec<String>, max: usize) -> bool {
    for _ in 0..max {
        let body = stored.len().to_string();
        let mut list = [Append::one(draft("T", 0, &body)), Append::one(draft("New", 1, &body))];
        store.append(now, &mut list);
        match list.map(|append| append.outcome) {
            [Ok(first), Ok(second)] => {
                assert_eq!(first.queue_offset, second.queue_offset);
                stored.push(body);
            }
            [Err(AppendError::DiskFull), Err(AppendError::DiskFull)] => return true,
            other => panic!("{other:?}"),
        }
    }
    false
}

fn check(store: &Store, stored: &[String]) {
    for (topic, id) in [("T", 0), ("New", 1)] {
        assert_eq!(bodies(store, topic, id), stored);
        for body in stored {
            let found = store.query(topic, &format!("key-{body}"), 64, (0, i64::MAX)).records;
            assert_eq!(found.len(), 1, "{topic}: {body} by its key");
        }
    }
}

#[test]
fn a_full_disk_refuses_and_fences_nothing() {
    for (seed, close) in (0..12).flat_map(|seed| [(seed, true), (seed, false)]) {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let flush_mode = if seed % 2 == 0 { FlushMode::Async } else { FlushMode::Sync };
        let commit_log_file_bytes = 1 << 20;
        let settings = Settings { flush_mode, commit_log_file_bytes, ..small(Path::new("/store")) };
        let store = open(&disk, &settings);
        let (mut stored, mut now) = (Vec::new(), NOW);
        append_until_full(&store, now, &mut stored, 1 + 7 * seed as usize);
        store.flush(now).unwrap();
        for _ in 0..3 {
            sim.fill(true);
            let mut refused = false;
            for _ in 0..100 {
                now += 500;
                refused = append_until_full(&store, now, &mut stored, 1 + seed as usize % 5);
                store.flush(now).unwrap();
                if refused {
                    break;
                }
            }
            assert!(refused, "seed {seed}: pages run out");
            store.sync().unwrap();
            assert_eq!(bodies(&store, "T", 0), stored, "seed {seed}: reading goes on");
            assert_eq!(store.refusal(), Some(AppendError::DiskFull));
            sim.fill(false);
            store.flush(now + 500).unwrap();
            assert_eq!((store.refusal(), store.fence_reason()), (None, None));
            store.sync().unwrap();
            check(&store, &stored);
        }
        if close {
            store.close().unwrap();
        }
        drop(store);
        check(&open(&disk, &settings), &stored);
    }
}

#[test]
fn a_start_on_a_full_disk_reads_refuses_and_goes_on_when_there_is_room() {
    for clean in [true, false] {
        let sim = SimDisk::new(3);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let settings = small(Path::new("/store"));
        let abort = settings.root.join("abort");
        let store = open(&disk, &settings);
        let mut stored = Vec::new();
        append_until_full(&store, NOW, &mut stored, 5);
        match clean {
            true => store.close().unwrap(),
            false => store.flush(NOW).map(drop).unwrap(),
        }
        drop(store);
        sim.fill(true);
        let store = open(&disk, &settings);
        assert_eq!(store.was_clean(), clean);
        check(&store, &stored);
        store.flush(NOW).unwrap();
        if clean {
            assert_eq!(store.refusal(), Some(AppendError::DiskFull));
            assert!(store.full().unwrap().to_string().contains("/store/abort"));
            store.close().unwrap();
            drop(store);
            let store = open(&disk, &settings);
            assert!(store.was_clean(), "nothing was stored");
            drop(store);
        } else {
            drop(store);
        }
        let store = open(&disk, &settings);
        sim.fill(false);
        store.flush(NOW + 500).unwrap();
        assert_eq!((store.refusal(), store.full()), (None, None));
        assert!(disk.read(&abort).is_ok(), "what follows is no clean stop");
        append_until_full(&store, NOW, &mut stored, 5);
        check(&store, &stored);
        store.close().unwrap();
        assert!(disk.read(&abort).is_err());
    }
}

/// After a crash the disk is full: what the start found cannot be noted at the stop.
#[test]
fn a_stop_on_a_full_disk_after_a_crash_is_no_failure() {
    for seed in 0..8 {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let settings = small(Path::new("/store"));
        let store = open(&disk, &settings);
        let mut stored = Vec::new();
        append_until_full(&store, NOW, &mut stored, 5 + seed as usize);
        if seed % 2 == 0 {
            store.flush(NOW).unwrap();
            append_until_full(&store, NOW + 1, &mut stored, 7);
        }
        drop(store);
        sim.fill(true);
        for _ in 0..2 {
            let store = open(&disk, &settings);
            // The index may have no room for their keys.
            for (topic, id) in [("T", 0), ("New", 1)] {
                assert_eq!(bodies(&store, topic, id), stored);
            }
            let (closed, lines) = lines_of(|| store.close());
            closed.unwrap();
            assert_eq!(store.fence_reason(), None);
            assert_eq!(lines.len(), 1, "{lines:#?}");
            assert!(lines[0].contains("no message is lost"), "{lines:#?}");
        }
        sim.fill(false);
        let store = open(&disk, &settings);
        check(&store, &stored);
        store.close().unwrap();
    }
}

/// What the repair of the last index file writes lies in holes of that file.
#[test]
fn a_start_after_a_crash_on_a_full_disk_needs_no_room_for_the_index() {
    for seed in 0..8 {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let settings = Settings { index_slots: 50_000, ..small(Path::new("/store")) };
        let store = open(&disk, &settings);
        let mut stored = Vec::new();
        append_until_full(&store, NOW, &mut stored, 9);
        store.flush(NOW).unwrap();
        drop(store);
        sim.kill();
        sim.fill(true);
        for _ in 0..2 {
            let store = open(&disk, &settings);
            for (topic, id) in [("T", 0), ("New", 1)] {
                assert_eq!(bodies(&store, topic, id), stored, "seed {seed}");
            }
            drop(store);
            sim.kill();
        }
        sim.fill(false);
        let store = open(&disk, &settings);
        store.flush(NOW + 1).unwrap();
        check(&store, &stored);
        store.close().unwrap();
    }
}

/// A list goes on where it was refused: nothing behind that is stored already.
#[test]
fn what_stands_behind_a_refused_message_is_refused_too() {
    let sim = SimDisk::new(5);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let settings = small(Path::new("/store"));
    let store = open(&disk, &settings);
    // Half of a file with its key, which is the body again.
    let large = "x".repeat(5_000);
    append(&store, NOW, draft("T", 0, &large));
    sim.fill(true);
    let stored = store.max_offset("T", 0);
    let mut list = [&*large, "small"].map(|body| Append::one(draft("T", 0, body)));
    store.append(NOW, &mut list);
    let outcomes = list.map(|append| append.outcome);
    assert_eq!(outcomes, [Err(AppendError::DiskFull); 2]);
    assert_eq!(store.max_offset("T", 0), stored);
}
