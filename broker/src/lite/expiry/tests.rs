//! What is removed, and when.

#![allow(clippy::disallowed_methods, reason = "the directory of a test is removed")]

use super::*;
use crate::cold::{self, Cold};
use crate::lite::Who;
use crate::topics;
use bytes::Bytes;
use message::Draft;
use remoting::body::group::SubscriptionGroupConfig;
use remoting::body::topic::TopicConfig;
use std::collections::BTreeSet;
use std::path::Path;
use store::{Append, OsDisk};

const BOOT_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn open(dir: &Path, now_ms: i64) -> Broker {
    cold::open(OsDisk, dir, now_ms).0
}

fn send(broker: &Broker, lite_topic: &str, now_ms: i64) {
    let host = broker.identity.store_host;
    let queue = names::queue("P", lite_topic).unwrap();
    let draft = Draft {
        body: Bytes::from_static(&[b'x'; 1_000]),
        properties: format!("INNER_MULTI_DISPATCH\u{1}{queue}\u{2}").into(),
        ..Draft::plain("P", now_ms, host)
    };
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, now_ms);
    appends[0].outcome.unwrap();
}

fn attributes<const N: usize>(all: [(&'static str, &'static str); N]) -> attributes::Attributes {
    all.map(|(key, value)| (Str::from_static(key), Str::from_static(value))).into()
}

fn end(broker: &Broker, lite_topic: &str) -> i64 {
    broker.store.max_offset(&names::queue("P", lite_topic).unwrap(), light::QUEUE_ID)
}

#[test]
fn light_queues_under_other_topics_stay() {
    let dir = std::env::temp_dir().join(format!("rockhopper-lite-n-{}", std::process::id()));
    let broker = open(&dir, BOOT_MS);
    let normal = TopicConfig {
        attributes: attributes([("+lite.topic.expiration", "60")]),
        ..topics::simple("P", 1)
    };
    broker.topics.update(normal, BOOT_MS).unwrap();
    send(&broker, "old", BOOT_MS);
    step(&broker, &|| true, BOOT_MS + 25 * HOUR_MS);
    assert_eq!(end(&broker, "old"), 1);
    broker.close(BOOT_MS).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_lite_topic_is_removed_when_nobody_sends_to_it_and_begins_anew() {
    let dir = std::env::temp_dir().join(format!("rockhopper-lite-{}", std::process::id()));
    let broker = open(&dir, BOOT_MS);
    let parent = TopicConfig {
        attributes: attributes([("+message.type", "LITE")]),
        ..topics::simple("P", 1)
    };
    broker.topics.update(parent, BOOT_MS).unwrap();
    let group = SubscriptionGroupConfig {
        group_name: "G".into(),
        attributes: attributes([("+lite.bind.topic", "P")]),
        ..SubscriptionGroupConfig::default()
    };
    broker.groups.update(group, BOOT_MS).unwrap();
    let (old, busy) = (names::queue("P", "old").unwrap(), names::queue("P", "busy").unwrap());
    send(&broker, "old", BOOT_MS);
    send(&broker, "busy", BOOT_MS);
    let (client, group, topic) = ("c".into(), "G".into(), "P".into());
    let who = Who { client: &client, group: &group, topic: &topic, peer: None };
    broker.lite.add(&who, &BTreeSet::from([old.clone(), busy.clone()]), BOOT_MS).unwrap();
    broker.offsets.commit("G", &old, light::QUEUE_ID, 1);
    step(&broker, &|| true, BOOT_MS + 24 * HOUR_MS);
    assert_eq!((end(&broker, "old"), end(&broker, "busy")), (1, 1), "nothing says when");

    let hours = TopicConfig {
        attributes: attributes([("+lite.topic.expiration", "60")]),
        ..topics::simple("P", 1)
    };
    broker.topics.update(hours, BOOT_MS).unwrap();
    let late_ms = BOOT_MS + 25 * HOUR_MS;
    send(&broker, "busy", late_ms - MINUTE_MS);
    broker.lite.add(&who, &BTreeSet::from([old.clone(), busy]), late_ms).unwrap();
    let found = expired(&broker, 0, late_ms);
    assert_eq!(found, [(old.clone(), 1)]);
    // A message comes after it was looked.
    send(&broker, "old", late_ms - 20 * HOUR_MS);
    remove(&broker, &found);
    assert_eq!((end(&broker, "old"), end(&broker, "busy")), (2, 2), "it stays");
    assert_eq!(broker.offsets.query("G", &old, light::QUEUE_ID), Some(1));
    assert_eq!(broker.lite.subscribed("c").unwrap().queues.len(), 2);
    step(&broker, &|| true, late_ms);
    assert_eq!((end(&broker, "old"), end(&broker, "busy")), (0, 2));
    assert_eq!(broker.offsets.query("G", &old, light::QUEUE_ID).filter(|at| *at >= 0), None);
    assert_eq!(broker.lite.subscribed("c").unwrap().queues.len(), 1);
    send(&broker, "old", late_ms);
    broker.close(late_ms).unwrap();
    drop(broker);
    let broker = open(&dir, late_ms);
    assert_eq!((end(&broker, "old"), end(&broker, "busy")), (1, 2), "also after a start");
    remove_under(&broker, "P");
    assert_eq!((end(&broker, "old"), end(&broker, "busy")), (0, 0));
    broker.close(late_ms).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_lite_topic_whose_messages_the_log_has_no_more_is_removed() {
    let dir = std::env::temp_dir().join(format!("rockhopper-lite-gone-{}", std::process::id()));
    let broker = open(&dir, BOOT_MS);
    let parent = TopicConfig {
        attributes: attributes([("+message.type", "LITE"), ("+lite.topic.expiration", "60")]),
        ..topics::simple("P", 1)
    };
    broker.topics.update(parent, BOOT_MS).unwrap();
    send(&broker, "old", BOOT_MS);
    while broker.store.max_log_offset() < 3 << 20 {
        send(&broker, "busy", BOOT_MS);
    }
    broker.store.flush(BOOT_MS + MINUTE_MS).unwrap();
    broker.store.delete_expired_soon();
    // The clock of the files is the system's.
    broker.store.retain(i64::MAX / 2).unwrap();
    let old = names::queue("P", "old").unwrap();
    assert_eq!(broker.store.min_offset(&old, light::QUEUE_ID), 1, "its log file is gone");
    step(&broker, &|| true, BOOT_MS + 25 * HOUR_MS);
    assert_eq!(end(&broker, "old"), 0);
    broker.close(BOOT_MS).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_cannot_be_read_now_has_not_expired() {
    let dir = std::env::temp_dir().join(format!("rockhopper-lite-now-{}", std::process::id()));
    let cold = Cold::default();
    let (broker, _) = cold::open(cold.clone(), &dir, BOOT_MS);
    let parent = TopicConfig {
        attributes: attributes([("+message.type", "LITE"), ("+lite.topic.expiration", "60")]),
        ..topics::simple("P", 1)
    };
    broker.topics.update(parent, BOOT_MS).unwrap();
    let now_ms = BOOT_MS + 25 * HOUR_MS;
    send(&broker, "young", now_ms - MINUTE_MS);
    cold.fails.store(true, Ordering::Relaxed);
    step(&broker, &|| true, now_ms);
    cold.fails.store(false, Ordering::Relaxed);
    assert_eq!(end(&broker, "young"), 1);
    step(&broker, &|| true, now_ms + 25 * HOUR_MS);
    assert_eq!(end(&broker, "young"), 0);
    broker.close(BOOT_MS).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}
