//! What the simulator found, each as the shortest scenario that shows it.

use crate::support::*;
use simulator::{Loss, Op, SimDisk};
use std::path::Path;
use std::sync::Arc;
use store::{Append, AppendError, Disk, ReadStatus, Settings, Store};

const ROOT: &str = "/store";

fn new(seed: u64) -> (SimDisk, Arc<dyn Disk>, Settings) {
    let sim = SimDisk::new(seed);
    sim.set_clock(NOW);
    (sim.clone(), Arc::new(sim), small(Path::new(ROOT)))
}

#[test]
fn a_read_that_fails_passes_nothing_over() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    let all: Vec<_> = (0..5).map(|number| number.to_string()).collect();
    for body in &all {
        append(&store, NOW, draft("T", 0, body));
    }
    store.flush(NOW).unwrap();
    for fails in 0..4 {
        sim.fail(Op::Read, fails, false);
        let read = read(&store, "T", 0, 0);
        assert_eq!(read.next_offset, read.messages.len() as i64, "failing read {fails}");
        if read.messages.is_empty() {
            assert_eq!(read.status, ReadStatus::MessageWasRemoving, "try again here");
        }
        sim.heal();
    }
    assert_eq!(bodies(&store, "T", 0), all);
}

#[test]
fn nothing_follows_a_failed_write_of_the_same_call() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    let long = "x".repeat(3_000);
    append(&store, NOW, draft("T", 0, &long));
    // The second does not fit the first file any more; the write of that one fails.
    let mut list = ["a", &long, "b"].map(|body| Append::one(draft("T", 0, body)));
    sim.fail(Op::Write, 0, false);
    store.append(NOW, &mut list);
    assert!(list.iter().all(|append| append.outcome == Err(AppendError::Fenced)), "{list:?}");
    drop(store);
    assert_eq!(bodies(&open(&disk, &settings), "T", 0), [long]);
}

#[test]
fn a_removed_topic_does_not_hide_the_next_of_its_name() {
    for (number, power_loss) in [(0, true), (1, false)] {
        let (sim, disk, settings) = new(number);
        let store = open(&disk, &settings);
        for body in ["old-0", "old-1"] {
            append(&store, NOW, draft("T", 0, body));
        }
        assert_eq!(store.delete_topics(["T"]).unwrap(), 1);
        append(&store, NOW, draft("T", 0, "new-0"));
        store.sync().unwrap();
        drop(store);
        if power_loss {
            sim.lose(Loss::All);
        }
        for _ in 0..2 {
            let store = open(&disk, &settings);
            assert_eq!(bodies(&store, "T", 0), ["new-0"]);
        }
    }
}

#[test]
fn a_removal_that_was_cut_short_is_finished_or_was_none() {
    for changes in 0..12 {
        let (sim, disk, settings) = new(changes);
        let store = open(&disk, &settings);
        for id in 0..3 {
            append(&store, NOW, draft("T", id, "old"));
        }
        store.flush(NOW).unwrap();
        sim.die_after(changes);
        let removed = store.delete_topics(["T"]);
        let died = sim.is_dead();
        drop(store);
        sim.kill();
        let store = open(&disk, &settings);
        let there = (0..3).filter(|id| store.max_offset("T", *id) > 0).count();
        assert!(there == 0 || there == 3 && died, "{changes}: {there} of 3 queues, {removed:?}");
    }
}

#[test]
fn offsets_outlive_the_files_that_they_led_to() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("Rare", 0, "first"));
    let fill = |store: &Store, count| {
        for _ in 0..count {
            append(store, NOW, draft("T", 0, &"x".repeat(3_000)));
        }
    };
    fill(&store, 20);
    store.sync().unwrap();
    // The disk runs full, and what led to the first file goes with it.
    sim.set_room(sim.used() * 10, sim.used() * 8);
    assert!(store.retain(NOW).unwrap().log_files > 0);
    drop(store);
    sim.lose(Loss::All);
    let store = open(&disk, &settings);
    assert_eq!(store.max_offset("Rare", 0), 1, "the offset is not given again");
}
