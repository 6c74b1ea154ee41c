//! Pops that the file of offsets lacks, and queues with places that lead nowhere.

#![allow(clippy::disallowed_methods, reason = "the directory of a test is removed")]

use super::*;
use crate::cold::{self, Cold};
use crate::pop::order_info::{At, Pop};
use store::{Append, OsDisk};

const NOW: i64 = 1_700_000_000_000;

fn append(broker: &Broker, draft: message::Draft, now_ms: i64) {
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, now_ms);
    appends[0].outcome.unwrap();
}

/// Stores a message of so many bytes.
fn sent(broker: &Broker, len: usize) {
    let plain = message::Draft::plain("T", NOW, broker.identity.store_host);
    append(broker, message::Draft { body: vec![b'x'; len].into(), ..plain }, NOW);
}

/// Stores that messages were popped.
fn popped(broker: &Broker, point: &CheckPoint) {
    let pen = super::super::pen(broker, point.pop_ms);
    append(broker, pen.check_point(point, 0), point.pop_ms);
}

/// Of two messages.
fn point(start: i64, next: Option<i64>) -> CheckPoint {
    CheckPoint {
        topic: "T".into(),
        group: "G".into(),
        broker: "b".into(),
        start,
        count: 2,
        pop_ms: NOW,
        invisible_ms: 60_000,
        next,
        ..CheckPoint::default()
    }
}

#[test]
fn a_place_that_leads_nowhere_hides_no_pop_before_it() {
    let dir = std::env::temp_dir().join(format!("rockhopper-catch-up-{}", std::process::id()));
    let (broker, _) = cold::open(Cold::default(), &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    sent(&broker, 0);
    note(&broker);
    for (start, next) in [(0, 3), (3, 5), (5, 7), (7, 9)] {
        popped(&broker, &point(start, Some(next)));
    }
    broker.store.flush(NOW + 60_000).unwrap();
    let queue = dir.join("consumequeue").join(names::TIMER_TOPIC).join("0");
    // The first message of the log is older than any of them.
    cold::change_unit(&queue, 2, |unit| unit[..8].fill(0));
    cold::change_unit(&queue, 3, cold::blank);
    catch_up(&broker, ConfigOrigin::File, NOW, &|_| {});
    assert_eq!(broker.offsets.query("G", "T", 0), Some(7));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_start_has_little_to_look_at_where_nobody_commits() {
    let dir = std::env::temp_dir().join(format!("rockhopper-far-{}", std::process::id()));
    let (broker, _) = cold::open(Cold::default(), &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    broker.save_changed(NOW);
    let behind = || broker.store.max_log_offset() - broker.offsets.noted_to().unwrap();
    assert!(!is_far_behind(&broker));
    for _ in 0..9 {
        sent(&broker, 500_000);
    }
    let far = behind();
    broker.save_changed(NOW);
    assert_eq!((far > FAR_BYTES, behind()), (true, 0));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_start_far_behind_what_was_noted_takes_over_what_was_popped() {
    let dir = std::env::temp_dir().join(format!("rockhopper-far-pops-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    for _ in 0..3 {
        sent(&broker, 1);
    }
    broker.offsets.commit("G", "T", 0, 1);
    broker.save_tables(NOW);
    broker.save_changed(NOW);
    popped(&broker, &point(1, Some(3)));
    for _ in 0..9 {
        sent(&broker, 500_000);
    }
    assert!(is_far_behind(&broker));
    drop(broker);
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    assert_eq!(broker.offsets.query("G", "T", 0), Some(3));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_a_stock_broker_popped_before_it_was_killed_is_taken_over() {
    let dir = std::env::temp_dir().join(format!("rockhopper-stock-pops-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    for _ in 0..9 {
        sent(&broker, 0);
    }
    broker.offsets.commit("G", "T", 0, 3);
    broker.save_tables(NOW);
    // A stock broker's file does not say what it has.
    broker.offsets.set_noted_to(-1);
    broker.save(broker.offsets.file(), &broker.offsets.to_json(NOW));
    let saved_ms = broker.store.config().modified(broker.offsets.file()).unwrap();
    // One of before a reset, one whose time was made longer, and those that follow on the offset.
    popped(&broker, &CheckPoint { pop_ms: saved_ms - 60_000, ..point(3, None) });
    for start in [8, 5, 3] {
        popped(&broker, &CheckPoint { pop_ms: saved_ms + 1_000, ..point(start, None) });
    }
    drop(broker);
    let (broker, _) = cold::open(OsDisk, &dir, saved_ms + 2_000);
    assert_eq!(broker.offsets.query("G", "T", 0), Some(7));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_a_stock_broker_popped_that_never_saved_its_offsets_is_taken_over() {
    let dir = std::env::temp_dir().join(format!("rockhopper-unsaved-pops-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    for _ in 0..9 {
        sent(&broker, 0);
    }
    broker.save_tables(NOW);
    for start in [2, 0, 5] {
        popped(&broker, &point(start, None));
    }
    let file = dir.join("config").join(broker.offsets.file());
    drop(broker);
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(file.with_extension("json.bak")).ok();
    let (broker, _) = cold::open(OsDisk, &dir, NOW + 2_000);
    assert_eq!(broker.offsets.query("G", "T", 0), Some(4));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

/// The checkpoint of its first pop may have been in memory alone.
#[test]
fn a_group_begins_at_the_front_where_a_stock_broker_kept_checkpoints_in_memory() {
    for (starts, merges, goes_on) in [
        (vec![3], false, Some(5)),
        (vec![3], true, None),
        (vec![3, 2, 0], true, Some(5)),
        (vec![0, 5], true, Some(2)),
    ] {
        let name =
            format!("rockhopper-merged-pops-{}-{merges}-{}", std::process::id(), starts.len());
        let dir = std::env::temp_dir().join(name);
        let (broker, _) = cold::open(OsDisk, &dir, NOW);
        broker.topic_for_retry("T", 1, 0, NOW).unwrap();
        (0..9).for_each(|_| sent(&broker, 0));
        broker.save_tables(NOW);
        starts.iter().for_each(|start| popped(&broker, &point(*start, None)));
        let file = dir.join("config").join(broker.offsets.file());
        drop(broker);
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(file.with_extension("json.bak")).ok();
        let (broker, _) = cold::open_with(OsDisk, &dir, NOW + 2_000, |settings| {
            settings.broker.enable_pop_buffer_merge = merges;
        });
        assert_eq!(broker.offsets.query("G", "T", 0), goes_on, "{starts:?}, {merges}");
        drop(broker);
        std::fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn what_was_popped_of_a_topic_that_was_deleted_moves_none_in_the_next_of_its_name() {
    let dir = std::env::temp_dir().join(format!("rockhopper-old-pops-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    for _ in 0..9 {
        sent(&broker, 0);
    }
    broker.save_tables(NOW);
    // As far as the queue goes now, and farther.
    for start in [0, 2, 4] {
        popped(&broker, &point(start, None));
        popped(&broker, &CheckPoint { group: "other".into(), ..point(start + 6, None) });
    }
    broker.store.delete_topics(["T"]).unwrap();
    for _ in 0..7 {
        let plain = message::Draft::plain("T", NOW, broker.identity.store_host);
        append(&broker, plain, NOW + 1_000);
    }
    popped(&broker, &CheckPoint { pop_ms: NOW + 2_000, ..point(0, None) });
    // What is behind the end was never popped of this queue, whatever a clock says.
    popped(&broker, &CheckPoint { pop_ms: NOW + 2_000, group: "ahead".into(), ..point(6, None) });
    let file = dir.join("config").join(broker.offsets.file());
    drop(broker);
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(file.with_extension("json.bak")).ok();
    let (broker, _) = cold::open(OsDisk, &dir, NOW + 3_000);
    let at = |group| broker.offsets.query(group, "T", 0);
    assert_eq!((at("G"), at("other"), at("ahead")), (Some(2), None, None));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_groups_did_before_a_topic_was_deleted_moves_none_after_a_kill_of_ours() {
    let dir = std::env::temp_dir().join(format!("rockhopper-own-old-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    for _ in 0..9 {
        sent(&broker, 0);
    }
    broker.offsets.commit("committed", "T", 0, 9);
    broker.save_tables(NOW);
    broker.save_changed(NOW);
    popped(&broker, &point(0, Some(7)));
    broker.store.delete_topics(["T"]).unwrap();
    for _ in 0..9 {
        sent(&broker, 0);
    }
    popped(&broker, &CheckPoint { group: "new".into(), ..point(0, Some(2)) });
    drop(broker);
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    let at = |group| broker.offsets.query(group, "T", 0);
    assert_eq!((at("G"), at("committed"), at("new")), (None, None, Some(2)));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn where_the_backup_of_a_stock_broker_is_read_what_was_popped_since_its_text_counts() {
    let dir = std::env::temp_dir().join(format!("rockhopper-backup-pops-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    for _ in 0..9 {
        sent(&broker, 0);
    }
    broker.offsets.commit("G", "T", 0, 3);
    broker.offsets.commit("reset", "T", 0, 3);
    broker.save_tables(NOW);
    broker.offsets.set_noted_to(-1);
    broker.save(broker.offsets.file(), &broker.offsets.to_json(NOW));
    let saved_ms = broker.store.config().modified(broker.offsets.file()).unwrap();
    let before = |ms: i64, group: &'static str| CheckPoint {
        pop_ms: saved_ms - ms,
        group: group.into(),
        ..point(3, None)
    };
    popped(&broker, &before(60_000, "reset"));
    // The text of the backup is as old as the one that was saved when it was made.
    popped(&broker, &before(4_000, "G"));
    let file = dir.join("config").join(broker.offsets.file());
    drop(broker);
    std::fs::rename(&file, file.with_extension("json.bak")).unwrap();
    let (broker, _) = cold::open(OsDisk, &dir, saved_ms + 2_000);
    let at = |group| broker.offsets.query(group, "T", 0);
    assert_eq!((at("G"), at("reset")), (Some(5), Some(3)));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

const FIFO: At<'_> = At { topic: "T", group: "G", queue_id: 0 };

/// What is said of a topic, saved or not, is not said of the next one of its name: `before` is done
/// to the first, which has nine messages and is saved, and `after` once it is removed; `see` sees
/// the broker after a start, where the second has nine messages too.
fn in_the_next_life(
    name: &str,
    before: impl FnOnce(&Broker),
    after: impl FnOnce(&Broker),
    see: impl FnOnce(&Broker),
) {
    let dir = std::env::temp_dir().join(format!("rockhopper-{name}-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    broker.group("G", NOW).unwrap();
    (0..9).for_each(|_| sent(&broker, 0));
    before(&broker);
    broker.store.delete_topics(["T"]).unwrap();
    after(&broker);
    (0..9).for_each(|_| sent(&broker, 0));
    drop(broker);
    let (broker, _) = cold::open(OsDisk, &dir, NOW);
    see(&broker);
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

fn save(broker: &Broker) {
    broker.save_tables(NOW);
    broker.save_changed(NOW);
}

#[test]
fn an_ordered_note_says_nothing_of_the_next_topic_of_that_name() {
    let noted = |broker: &Broker| {
        save(broker);
        ordered::noted(broker, FIFO, NOW, || {
            broker.offsets.commit("G", "T", 0, 7);
            true
        });
    };
    in_the_next_life(
        "ordered-note",
        noted,
        |broker| broker.offsets.remove_topic("T"),
        |broker| {
            assert_eq!(broker.offsets.query("G", "T", 0), None);
        },
    );
}

#[test]
fn what_was_taken_in_order_does_not_block_the_next_topic_of_that_name() {
    let taken = |broker: &Broker| {
        let offsets = &[0, 1, 2];
        let pop = Pop { attempt_id: None, pop_ms: NOW, invisible_ms: 60_000, offsets };
        broker.orders.take(FIFO, &pop, NOW);
        save(broker);
    };
    in_the_next_life(
        "ordered-taken",
        taken,
        |broker| broker.orders.clear(FIFO),
        |broker| {
            assert_eq!(broker.orders.blocked_until(FIFO, None, 60_000, NOW + 1), None);
            assert!(broker.orders.is_empty());
        },
    );
}

#[test]
fn offsets_are_gone_with_a_topic_that_nobody_sent_to_since_they_were_saved() {
    let committed = |broker: &Broker| {
        broker.offsets.commit("G", "T", 0, 9);
        save(broker);
    };
    in_the_next_life(
        "saved-offset",
        committed,
        |_| {},
        |broker| {
            assert_eq!(broker.offsets.query("G", "T", 0), None);
        },
    );
}
