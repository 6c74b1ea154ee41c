//! Pops that the file of offsets lacks, and queues with places that lead nowhere.

#![allow(clippy::disallowed_methods, reason = "the directory of a test is removed")]

use super::*;
use crate::cold::{self, Cold};
use store::{Append, OsDisk};

const NOW: i64 = 1_700_000_000_000;

fn append(broker: &Broker, draft: message::Draft) {
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, NOW);
    appends[0].outcome.unwrap();
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
    append(&broker, message::Draft::plain("T", NOW, broker.identity.store_host));
    note(&broker);
    for (start, next) in [(0, 3), (3, 5), (5, 7), (7, 9)] {
        append(&broker, super::super::pen(&broker, NOW).check_point(&point(start, Some(next)), 0));
    }
    broker.store.flush(NOW + 60_000).unwrap();
    let queue = dir.join("consumequeue").join(names::TIMER_TOPIC).join("0");
    // The first message of the log is older than any of them.
    cold::change_unit(&queue, 2, |unit| unit[..8].fill(0));
    cold::change_unit(&queue, 3, cold::blank);
    catch_up(&broker, NOW, &|_| {});
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
    let body = bytes::Bytes::from(vec![b'x'; 500_000]);
    for _ in 0..9 {
        let plain = message::Draft::plain("T", NOW, broker.identity.store_host);
        append(&broker, message::Draft { body: body.clone(), ..plain });
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
    let plain = |len| {
        let plain = message::Draft::plain("T", NOW, broker.identity.store_host);
        message::Draft { body: bytes::Bytes::from(vec![b'x'; len]), ..plain }
    };
    for len in [1, 1, 1] {
        append(&broker, plain(len));
    }
    broker.offsets.commit("G", "T", 0, 1);
    broker.save_tables(NOW);
    broker.save_changed(NOW);
    append(&broker, super::super::pen(&broker, NOW).check_point(&point(1, Some(3)), 0));
    for _ in 0..9 {
        append(&broker, plain(500_000));
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
        append(&broker, message::Draft::plain("T", NOW, broker.identity.store_host));
    }
    broker.offsets.commit("G", "T", 0, 3);
    broker.save_tables(NOW);
    // A stock broker's file does not say what it has.
    broker.offsets.set_noted_to(-1);
    broker.save(broker.offsets.file(), &broker.offsets.to_json(NOW));
    let saved_ms = broker.store.config().modified(broker.offsets.file()).unwrap();
    let popped = |at_ms: i64, start: i64| {
        let pop = CheckPoint { pop_ms: at_ms, ..point(start, None) };
        let mut appends = [Append::one(super::super::pen(&broker, at_ms).check_point(&pop, 0))];
        broker.append(&mut appends, at_ms);
        appends[0].outcome.unwrap();
    };
    // One of before a reset, one whose time was made longer, and those that follow on the offset.
    popped(saved_ms - 60_000, 3);
    for start in [8, 5, 3] {
        popped(saved_ms + 1_000, start);
    }
    drop(broker);
    let (broker, _) = cold::open(OsDisk, &dir, saved_ms + 2_000);
    assert_eq!(broker.offsets.query("G", "T", 0), Some(7));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}
