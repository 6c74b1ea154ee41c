//! Pops that the file of offsets lacks, and queues with places that lead nowhere.

#![allow(clippy::disallowed_methods, reason = "the directory of a test is removed")]

use super::*;
use crate::handlers::cold::{self, Cold};
use store::Append;

const NOW: i64 = 1_700_000_000_000;

#[test]
fn a_place_that_leads_nowhere_hides_no_pop_before_it() {
    let dir = std::env::temp_dir().join(format!("rockhopper-catch-up-{}", std::process::id()));
    let (broker, _) = cold::open(Cold::default(), &dir, NOW);
    broker.topic_for_retry("T", 1, 0, NOW).unwrap();
    let append = |draft| {
        let mut appends = [Append::one(draft)];
        broker.append(&mut appends, NOW);
        appends[0].outcome.unwrap();
    };
    append(message::Draft::plain("T", NOW, broker.identity.store_host));
    note(&broker);
    for (start, next) in [(0, 3), (3, 5), (5, 7), (7, 9)] {
        let point = CheckPoint {
            topic: "T".into(),
            group: "G".into(),
            broker: "b".into(),
            start,
            count: 2,
            pop_ms: NOW,
            invisible_ms: 60_000,
            next: Some(next),
            ..CheckPoint::default()
        };
        append(super::super::pen(&broker, NOW).check_point(&point, 0));
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
        let mut appends = [Append::one(message::Draft { body: body.clone(), ..plain })];
        broker.append(&mut appends, NOW);
        appends[0].outcome.unwrap();
    }
    let far = behind();
    broker.save_changed(NOW);
    assert_eq!((far > FAR_BYTES, behind()), (true, 0));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}
