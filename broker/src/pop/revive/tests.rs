//! What comes back, and what does not.

#![allow(clippy::disallowed_methods, reason = "the directory of a test is removed")]

use super::*;
use crate::cold::{self, Cold};
use crate::timer;
use std::sync::atomic::Ordering;
use store::OsDisk;

fn point() -> CheckPoint {
    let (topic, group, broker) = ("T".into(), "G".into(), "b".into());
    CheckPoint { topic, group, broker, start: 5, count: 3, ..CheckPoint::default() }
}

fn ack(offsets: &[i64]) -> Ack {
    let (topic, group) = ("T".into(), "G".into());
    let offsets = Some(offsets.to_vec());
    Ack { topic, group, offset: -1, offsets, start: 5, ..Ack::default() }
}

#[test]
fn acknowledgements_count_on_either_side_of_their_checkpoint() {
    let mut queue = Queue::default();
    queue.ack(&ack(&[6]), "b", (10, 0));
    assert_eq!(queue.early.len(), 1);
    queue.open(point(), 11);
    assert!(queue.early.is_empty());
    assert_eq!(queue.points[&11].left(), [5, 7]);
    queue.ack(&ack(&[5, 99]), "b", (12, 0));
    queue.ack(&ack(&[7]), "another", (13, 0));
    assert_eq!(queue.points[&11].left(), [7]);
    queue.ack(&ack(&[7]), "b", (14, 0));
    assert!(queue.points[&11].left().is_empty());
}

#[test]
fn a_twin_of_other_messages_takes_nothing_away() {
    let mut queue = Queue::default();
    queue.open(point(), 3);
    queue.open(CheckPoint { count: 1, ..point() }, 8);
    queue.ack(&ack(&[5]), "b", (9, 0));
    assert_eq!((queue.points[&3].left(), queue.points[&8].left()), (vec![5, 6, 7], vec![]));
}

#[test]
fn a_checkpoint_that_is_there_twice_is_one() {
    let mut queue = Queue::default();
    queue.open(point(), 3);
    queue.ack(&ack(&[6]), "b", (4, 0));
    queue.open(point(), 8);
    assert_eq!(queue.points.keys().collect::<Vec<_>>(), [&8]);
    assert_eq!(queue.points[&8].left(), [5, 7]);
    assert_eq!(queue.places.len(), 1);
}

#[test]
fn what_cannot_be_read_is_tried_less_and_less_and_then_given_up() {
    let mut point = point();
    let mut now_ms = 1_000;
    for wait_s in AGAIN_S {
        point = later(&point, 6, now_ms).unwrap();
        assert_eq!(point.due_ms(), now_ms + wait_s * 1_000);
        assert_eq!(point.offsets().collect::<Vec<_>>(), [6]);
        now_ms = point.due_ms();
    }
    assert_eq!(point.again.as_deref(), Some("17"));
    assert_eq!(later(&point, 6, now_ms), None);
    let odd = CheckPoint { again: Some("often".into()), ..point };
    assert_eq!(later(&odd, 6, now_ms), None);
}

const BOOT_MS: i64 = 1_700_000_000_000;

#[test]
fn messages_of_a_group_that_is_gone_are_told_with_their_number() {
    let dir = std::env::temp_dir().join(format!("rockhopper-gone-{}", std::process::id()));
    let (broker, _) = cold::open(Cold::default(), &dir, BOOT_MS);
    broker.topic_for_retry("T", 1, 0, BOOT_MS).unwrap();
    for offsets in [vec![5, 6, 7], vec![], vec![6]] {
        let due = Due { point: point(), queue_id: 0, offsets };
        assert!(revive(&broker, &due, BOOT_MS).is_empty());
    }
    assert_eq!((broker.pops.tell_gone(), broker.pops.tell_gone()), (4, 0));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

fn sent(broker: &Broker, text: &str) -> Draft {
    let host = broker.identity.store_host;
    Draft {
        body: Bytes::copy_from_slice(text.as_bytes()),
        properties: format!("UNIQ_KEY\u{1}{text}\u{2}").into(),
        ..Draft::plain("T", BOOT_MS, host)
    }
}

#[test]
fn what_came_back_before_a_kill_took_the_note_of_it_comes_back_once() {
    let dir = std::env::temp_dir().join(format!("rockhopper-revive-{}", std::process::id()));
    let append = |broker: &Broker, draft: Draft, now_ms: i64| {
        let mut appends = [Append::one(draft)];
        broker.append(&mut appends, now_ms);
        appends[0].outcome.unwrap();
    };
    let (broker, _) = cold::open(OsDisk, &dir, BOOT_MS);
    broker.topic_for_retry("T", 1, 0, BOOT_MS).unwrap();
    broker.group("G", BOOT_MS).unwrap();
    // The last one is sent twice, as by a producer that tries again: one copy is there for both.
    for text in ["back already", "not yet", "back already"] {
        append(&broker, sent(&broker, text), BOOT_MS);
    }
    let point = CheckPoint {
        start: 0,
        count: 3,
        pop_ms: BOOT_MS,
        invisible_ms: 5_000,
        log_end: Some(broker.store.max_log_offset()),
        ..point()
    };
    let now_ms = point.due_ms() + 1;
    append(&broker, super::super::pen(&broker, now_ms).check_point(&point, 0), now_ms);
    let retry = retry_topic(&broker, &point, "T", now_ms).unwrap().topic_name.clone();
    let Message::Found(draft) = again(&broker, &point, 0) else { panic!("it is there") };
    append(&broker, Draft { topic: retry.clone(), ..draft }, now_ms);
    broker.close(now_ms).unwrap();
    drop(broker);

    let mut now_ms = now_ms + 3_000;
    let (broker, _) = cold::open(OsDisk, &dir, now_ms);
    broker.topic_for_retry("T", 1, 0, now_ms).unwrap();
    broker.group("G", now_ms).unwrap();
    let mut log = Log::default();
    for _ in 0..50 {
        timer::step(&broker, now_ms);
        step(&broker, &mut log, now_ms);
        now_ms += 200;
    }
    let came = |at| {
        let unit = broker.store.unit(&retry, 0, at)?;
        let stored = broker.store.message_at(unit.log_offset)?;
        let Ok(Entry::Message(record)) = record::decode(&stored, true) else { panic!() };
        Some(String::from_utf8_lossy(record.body).into_owned())
    };
    let all: Vec<_> = (0..9).map_while(came).collect();
    assert_eq!(all, ["back already", "not yet", "back already"]);
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_comes_back_is_the_message_of_the_place_whatever_its_unit_says() {
    let dir = std::env::temp_dir().join(format!("rockhopper-again-{}", std::process::id()));
    let disk = Cold::default();
    let (broker, _) = cold::open(disk.clone(), &dir, BOOT_MS);
    for text in ["a", "b", "c", "d"] {
        let mut appends = [Append::one(sent(&broker, text))];
        broker.append(&mut appends, BOOT_MS);
        appends[0].outcome.unwrap();
    }
    broker.store.flush(BOOT_MS + 60_000).unwrap();
    let queue = dir.join("consumequeue/T/0");
    cold::change_unit(&queue, 1, cold::blank);
    cold::change_unit(&queue, 2, |unit| unit[..8].fill(0));
    let came = |offset| match again(&broker, &point(), offset) {
        Message::Found(draft) => String::from_utf8_lossy(&draft.body).into_owned(),
        Message::Gone => "gone".into(),
        Message::Unreadable => "unreadable".into(),
    };
    assert_eq!([0, 1, 2, 3, 4].map(came), ["a", "gone", "c", "d", "gone"]);
    let Message::Found(draft) = again(&broker, &CheckPoint { suspend: true, ..point() }, 0) else {
        panic!("it is there")
    };
    assert_eq!(draft.reconsume_times, 0, "a group that was suspended has not tried it");
    // The topic of the pop is gone, and this message is one of the next of that name.
    let log_end = Some(broker.store.unit("T", 0, 3).unwrap().log_offset);
    let former = CheckPoint { log_end, ..point() };
    assert!(matches!(again(&broker, &former, 3), Message::Gone));
    assert!(matches!(again(&broker, &former, 2), Message::Found(_)));
    disk.fails.store(true, Ordering::Relaxed);
    assert_eq!(came(3), "unreadable");
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_the_store_does_not_take_now_comes_back_later() {
    let dir = std::env::temp_dir().join(format!("rockhopper-left-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, BOOT_MS);
    broker.topic_for_retry("T", 1, 0, BOOT_MS).unwrap();
    broker.group("G", BOOT_MS).unwrap();
    for text in ["a", "b"] {
        broker.append(&mut [Append::one(sent(&broker, text))], BOOT_MS);
    }
    let point = CheckPoint { start: 0, count: 2, pop_ms: BOOT_MS, ..point() };
    broker.pops.taken.insert(point.clone(), 0, 9);
    // Reading goes on, and whatever is appended is refused for now.
    broker.store.close().unwrap();
    let now_ms = point.due_ms() + 1;
    step(&broker, &mut Log::default(), now_ms);
    let again = broker.pops.taken.due(now_ms + RETRY_MS, 9);
    assert_eq!(again.iter().map(|due| &due.offsets[..]).collect::<Vec<_>>(), [[0, 1]]);
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn an_acknowledgement_without_its_checkpoint_is_not_passed() {
    let dir = std::env::temp_dir().join(format!("rockhopper-early-{}", std::process::id()));
    let (broker, _) = cold::open(OsDisk, &dir, BOOT_MS);
    let pen = super::super::pen(&broker, BOOT_MS);
    let topic = records::revive_topic(&broker.settings().broker.broker_cluster_name);
    // As the timer delivers it.
    let draft = Draft { topic: topic.clone(), queue_id: 0, ..pen.ack(&ack(&[6]), 0, BOOT_MS) };
    broker.append(&mut [Append::one(draft)], BOOT_MS);
    let mut log = Log::default();
    for now_ms in BOOT_MS..BOOT_MS + 3 {
        step(&broker, &mut log, now_ms);
    }
    assert_eq!(log.queues[&0].early.len(), 1);
    // After a restart it is read again.
    assert!(broker.offsets.query(records::GROUP, &topic, 0).is_none_or(|done| done < 0));
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}
