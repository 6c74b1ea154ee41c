//! What the simulator found, each as the shortest scenario that shows it.

use crate::support::*;
use message::Draft;
use simulator::{Loss, Op, SimDisk};
use std::path::Path;
use std::sync::Arc;
use store::disk::Allocation;
use store::{Append, AppendError, Disk, FlushMode, ReadStatus, Settings, Store};

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
fn a_disk_that_fails_again_and_again_passes_nothing_over() {
    for (first, second) in (0..4).flat_map(|first| (first..4).map(move |second| (first, second))) {
        let (sim, disk, settings) = new(1);
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "only"));
        store.flush(NOW).unwrap();
        sim.fail(Op::Read, first, false);
        sim.fail(Op::Read, second, false);
        let found = read(&store, "T", 0, 0);
        let faults = format!("failing reads {first} and {second}");
        assert_eq!(found.next_offset, found.messages.len() as i64, "{faults}");
        sim.heal();
        assert_eq!(bodies(&store, "T", 0), ["only"], "{faults}");
        assert_eq!(store.stats().units_mended(), 0, "{faults}");
    }
}

/// A message of which no queue says that the log goes on behind others.
fn half(body: &str) -> Draft {
    Draft { sys_flag: message::sys_flag::TRANSACTION_PREPARED, ..draft("T", 0, body) }
}

#[test]
fn what_was_set_aside_as_torn_is_not_taken_after_a_clean_stop() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 0, "first"));
    let mut long = draft("T", 0, "torn");
    let mut properties = long.properties.to_vec();
    properties.extend_from_slice(format!("LONG\u{1}{}\u{2}", "p".repeat(1_500)).as_bytes());
    long.properties = properties.into();
    let torn = append(&store, NOW, long);
    let damaged = append(&store, NOW, draft("T", 0, "damaged"));
    let last = append(&store, NOW, half("half"));
    drop(store);
    sim.lose(Loss::Nothing);
    // Power loss took a sector of the properties of one, and the body of another.
    let path = Path::new(ROOT).join("commitlog/00000000000000000000");
    let log = disk.open(&path, settings.commit_log_file_bytes, Allocation::Reserved).unwrap();
    let lost = (torn.log_end() as u64 - 700) / 512 * 512;
    log.zero(lost..lost + 512).unwrap();
    log.write_at(damaged.log_end() as u64 - 90, &[0; 20]).unwrap();
    log.write_at(damaged.log_offset as u64, &[0; 4]).unwrap();
    for clean in [false, true] {
        let store = open(&disk, &settings);
        assert_eq!(store.was_clean(), clean);
        assert_eq!(bodies(&store, "T", 0), ["first"], "clean {clean}");
        assert_eq!(store.max_offset("T", 0), 1, "clean {clean}");
        let aside = store.set_aside().ranges();
        assert_eq!((aside[0].from, aside[0].to), (torn.log_offset, last.log_offset));
        store.close().unwrap();
    }
}

#[test]
fn what_was_set_aside_as_torn_is_not_taken_where_a_later_start_begins_at_it() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    let file = settings.commit_log_file_bytes as i64;
    let mut damaged = append(&store, NOW, draft("T", 0, "first"));
    let mut properties = draft("T", 0, "torn").properties.to_vec();
    properties.extend_from_slice(format!("LONG\u{1}{}\u{2}", "p".repeat(1_500)).as_bytes());
    let torn = loop {
        let long = Draft { properties: properties.clone().into(), ..draft("T", 0, "torn") };
        let long = append(&store, NOW, long);
        if long.log_offset == file {
            break long;
        }
        damaged = long;
    };
    let last = append(&store, NOW, half("half"));
    store.sync().unwrap();
    drop(store);
    sim.lose(Loss::Nothing);
    scribble(&disk, &settings, damaged.log_offset, &[0; 4]);
    let second = Path::new(ROOT).join(format!("commitlog/{file:020}"));
    let second = disk.open(&second, file as u64, Allocation::Reserved).unwrap();
    let lost = (torn.log_end() - file - 700) as u64 / 512 * 512;
    second.zero(lost..lost + 512).unwrap();
    let store = open(&disk, &settings);
    let aside = store.set_aside().ranges();
    assert_eq!((aside[0].from, aside[0].to), (damaged.log_offset, last.log_offset));
    let places = bodies_by_offset(&store, "T", 0).len() as i64;
    let behind = append(&store, NOW + 1, draft("T", 0, "behind"));
    assert_eq!(behind.queue_offset, places);
    store.flush(NOW + 60_000).unwrap();
    drop(store);
    sim.kill();
    // Of the checkpoint are left the times, by which a start finds the file to begin with.
    let mut checkpoint = vec![0; 4096];
    (0..2).for_each(|at| checkpoint[at * 8..][..8].copy_from_slice(&(NOW + 3_000).to_be_bytes()));
    disk.replace(&Path::new(ROOT).join("checkpoint"), &checkpoint, None).unwrap();
    let store = open(&disk, &settings);
    assert_eq!(store.set_aside().ranges(), aside);
    let last = bodies_by_offset(&store, "T", 0).pop_last();
    assert_eq!(last, Some((places, "behind".into())));
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

#[test]
fn an_index_entry_that_was_written_in_part_is_put_again() {
    // Entry 11 lies in two sectors, and one of them was not written when power was lost: the one
    // with its time, or the one with its hash.
    for (slots, lost) in [(188, 1024..2048), (190, 1020..1024)] {
        let (sim, disk, settings) = new(1);
        let settings = Settings { index_slots: slots, ..settings };
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "0"));
        for number in 1..6 {
            append(&store, NOW + 10_000, draft("T", 0, &number.to_string()));
        }
        store.flush(NOW + 10_000).unwrap();
        drop(store);
        sim.kill();
        let path = sim.paths().into_iter().find(|path| path.starts_with("/store/index")).unwrap();
        let len = sim.content(&path).unwrap().len() as u64;
        let file = disk.open(&path, len, Allocation::Sparse).unwrap();
        file.zero(lost).unwrap();
        let store = open(&disk, &settings);
        for number in 0..6 {
            let times = if number == 0 { (0, NOW) } else { (NOW + 10_000, i64::MAX) };
            for key in [format!("key-{number}"), format!("unique-{number}")] {
                let found = store.query("T", &key, 32, times).records.len();
                assert_eq!(found, 1, "{key}, {slots} slots");
            }
        }
    }
}

/// The index files with their first log offset and how many entries they have.
fn index_files(sim: &SimDisk) -> Vec<(i64, i32)> {
    let paths = sim.paths().into_iter().filter(|path| path.starts_with("/store/index"));
    let header = |content: Vec<u8>| {
        let begin = i64::from_be_bytes(content[16..24].try_into().unwrap());
        (begin, i32::from_be_bytes(content[36..40].try_into().unwrap()) - 1)
    };
    paths.map(|path| header(sim.content(&path).unwrap())).collect()
}

#[test]
fn a_start_puts_no_key_twice() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    for body in ["a", "b"] {
        append(&store, NOW, draft("T", 0, body));
    }
    store.flush(NOW).unwrap();
    let files = index_files(&sim);
    assert_eq!(files, [(0, 6)]);
    drop(store);
    for _ in 0..3 {
        sim.kill();
        let store = open(&disk, &settings);
        assert_eq!(store.query("T", "key-b", 32, (0, i64::MAX)).records.len(), 1);
        assert_eq!(index_files(&sim), files);
    }
}

#[test]
fn index_files_are_named_in_the_order_of_the_log_whatever_the_clock_says() {
    let (sim, disk, mut settings) = new(1);
    settings.index_entries = 4;
    let store = open(&disk, &settings);
    for (number, now) in [NOW, NOW + 60_000, NOW - 60_000, NOW].into_iter().enumerate() {
        append(&store, now, draft("T", 0, &number.to_string()));
        store.flush(now).unwrap();
    }
    let files = index_files(&sim);
    assert!(files.len() == 4 && files.is_sorted(), "{files:?}");
    drop(store);
    sim.kill();
    let store = open(&disk, &settings);
    assert_eq!(index_files(&sim), files);
    for number in 0..4 {
        let found = store.query("T", &format!("key-{number}"), 32, (0, i64::MAX));
        assert_eq!(found.records.len(), 1, "key-{number}");
    }
}

#[test]
fn an_index_file_that_was_cut_does_not_come_back() {
    let (sim, disk, settings) = new(1);
    sim.order_names(false);
    let store = open(&disk, &settings);
    for number in 0..5 {
        append(&store, NOW, draft("T", 0, &number.to_string()));
    }
    // Puts the keys.
    store.query("T", "key-0", 32, (0, i64::MAX));
    drop(store);
    sim.kill();
    // The index is mended and durable, the log is not.
    drop(open(&disk, &settings));
    let has_index = || sim.paths().iter().any(|path| path.starts_with("/store/index"));
    sim.lose(Loss::All);
    assert!(has_index());
    let store = open(&disk, &settings);
    assert!(store.max_log_offset() == 0 && !has_index());
    append(&store, NOW, draft("T", 0, "new"));
    store.sync().unwrap();
    drop(store);
    sim.lose(Loss::All);
    let store = open(&disk, &settings);
    assert_eq!(bodies(&store, "T", 0), ["new"]);
    assert_eq!(store.query("T", "key-new", 32, (0, i64::MAX)).records.len(), 1);
}

#[test]
fn a_key_leads_to_no_record_whose_length_was_lost() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    let [_, second, _] = ["a", "b", "c"].map(|body| append(&store, NOW, draft("T", 0, body)));
    store.flush(NOW).unwrap();
    drop(store);
    sim.kill();
    let path = Path::new(ROOT).join("commitlog/00000000000000000000");
    let log = disk.open(&path, settings.commit_log_file_bytes, Allocation::Reserved).unwrap();
    let at = second.log_offset as u64;
    log.zero(at..at + 4).unwrap();
    let store = open(&disk, &settings);
    for (key, found) in [("key-a", 1), ("key-b", 0), ("key-c", 1)] {
        let records = store.query("T", key, 32, (0, i64::MAX)).records;
        assert_eq!(records.len(), found, "{key}: {records:?}");
    }
    assert_eq!(store.message_at(second.log_offset), None);
}

#[test]
fn a_read_that_fails_shows_no_half_message() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    // Half messages have queue offset 0, as the first message of the queue.
    append(&store, NOW, half("half"));
    append(&store, NOW, draft("T", 0, "first"));
    store.flush(NOW).unwrap();
    drop(store);
    sim.kill();
    let store = open(&disk, &settings);
    for fails in 0..4 {
        sim.fail(Op::Read, fails, false);
        read(&store, "T", 0, 0);
        sim.heal();
        assert_eq!(bodies(&store, "T", 0), ["first"], "failing read {fails}");
    }
}

/// The log file, and its bytes from `at` on are something else.
fn scribble(disk: &Arc<dyn Disk>, settings: &Settings, at: i64, bytes: &[u8]) {
    let path = Path::new(ROOT).join("commitlog/00000000000000000000");
    let log = disk.open(&path, settings.commit_log_file_bytes, Allocation::Reserved).unwrap();
    log.write_at(at as u64, bytes).unwrap();
}

#[test]
fn what_was_stored_after_the_clock_was_set_back_is_not_cut_behind_damage() {
    // A bit of `abort` flips as well, and `setaside` names what the log does not have.
    for (flushed, abort) in [(false, "in use"), (true, "in use"), (true, "iN use")] {
        let (sim, disk, settings) = new(1);
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "a"));
        let damaged = append(&store, NOW, draft("T", 0, "b"));
        for body in ["c", "d"] {
            append(&store, NOW - 3_600_000, draft("T", 0, body));
        }
        if flushed {
            store.flush(NOW - 3_600_000).unwrap();
        }
        drop(store);
        sim.kill();
        scribble(&disk, &settings, damaged.log_offset + 90, &[0xee]);
        disk.replace(&Path::new(ROOT).join("abort"), abort.as_bytes(), None).unwrap();
        let line = "10 99999 0 x";
        let line = format!("{line} {}\n", crc32fast::hash(line.as_bytes()));
        disk.replace(&Path::new(ROOT).join("setaside"), line.as_bytes(), None).unwrap();
        for _ in 0..2 {
            let store = open(&disk, &settings);
            let found: Vec<_> = bodies_by_offset(&store, "T", 0).into_values().collect();
            assert_eq!(found, ["a", "c", "d"], "flushed {flushed}, abort {abort}");
            assert_eq!(store.max_offset("T", 0), 4);
        }
    }
}

#[test]
fn a_clock_that_is_set_back_puts_no_flush_off() {
    let (_, disk, settings) = new(1);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 0, "a"));
    store.flush(NOW).unwrap();
    append(&store, NOW - 3_600_000, draft("T", 0, "b"));
    store.flush(NOW - 3_600_000).unwrap();
    assert_eq!(store.flushed_to(), store.max_log_offset());
}

#[test]
fn what_a_failed_sync_forgot_is_written_again_by_the_next_process() {
    let mut seen = 0;
    for seed in 0..30 {
        let (sim, disk, settings) = new(seed);
        let settings = Settings { flush_mode: FlushMode::Sync, ..settings };
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "kept"));
        sim.fail(Op::Sync, 0, false);
        assert!(store.sync().is_err());
        drop(store);
        sim.kill();
        // Memory may have what the medium does not; what is shown here is there for good.
        let found = bodies(&open(&disk, &settings), "T", 0);
        sim.lose(Loss::All);
        assert_eq!(bodies(&open(&disk, &settings), "T", 0), found, "seed {seed}");
        seen += found.len();
    }
    assert!(seen > 0);
}

#[test]
fn units_that_a_failed_sync_forgot_are_written_again_by_the_next_process() {
    let mut seen = 0;
    for seed in 0..60 {
        let (sim, disk, settings) = new(seed);
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "durable"));
        store.flush(NOW).unwrap();
        append(&store, NOW, draft("T", 0, "kept"));
        // The log is durable, the queue's sync fails.
        store.sync().unwrap();
        sim.fail(Op::Sync, 0, false);
        assert!(store.flush(NOW + 20_000).is_err());
        seen += usize::from(sim.has_forgotten());
        drop(store);
        sim.kill();
        // The next process finds the unit, and with its checkpoint relies on it. The start after it
        // reads the log from its last record on, which is another queue's.
        let store = open(&disk, &settings);
        append(&store, NOW + 40_000, draft("T", 1, "behind"));
        store.flush(NOW + 40_000).unwrap();
        // With this go the notes of where the queues end, which would tell that one lost its last.
        store.clean_expired_queues().unwrap();
        drop(store);
        sim.kill();
        let store = open(&disk, &settings);
        assert_eq!(bodies(&store, "T", 0), ["durable", "kept"], "seed {seed}");
    }
    assert!(seen > 0);
}

#[test]
fn a_flipped_bit_of_a_unit_costs_no_message_wherever_it_leads() {
    let path = Path::new(ROOT).join("consumequeue/T/0/00000000000000000000");
    for (clean, place) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        for bit in 0..96 {
            let (sim, disk, settings) = new(1);
            let store = open(&disk, &settings);
            append(&store, NOW, draft("Other", 0, "before"));
            for body in ["a", "b"] {
                append(&store, NOW, draft("T", 0, body));
            }
            append(&store, NOW, draft("Other", 0, "behind"));
            store.flush(NOW).unwrap();
            if clean {
                store.close().unwrap();
            }
            drop(store);
            sim.kill();
            let file =
                disk.open(&path, settings.consume_queue_file_bytes, Allocation::Sparse).unwrap();
            let (at, mut byte) = (place * 20 + bit / 8, [0]);
            file.read_at(at, &mut byte).unwrap();
            file.write_at(at, &[byte[0] ^ 1 << (bit % 8)]).unwrap();
            for _ in 0..2 {
                let store = open(&disk, &settings);
                let what = format!("clean {clean}, unit {place}, bit {bit}");
                assert_eq!(bodies(&store, "T", 0), ["a", "b"], "{what}");
                assert_eq!(store.max_offset("T", 0), 2, "{what}");
                drop(store);
                sim.kill();
            }
        }
    }
}
