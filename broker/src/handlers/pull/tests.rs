//! A pull whose messages are not in memory, in a broker without a shell.

use super::*;
use crate::cold::{self, Cold};
use bytes::Bytes;
use message::{Draft, names};
use remoting::command::Command;
use remoting::room::Room;
use remoting::router::Lane;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use store::Append;

const NOW: i64 = 1_700_000_000_000;

fn open(root: &Path) -> Broker {
    cold::open(Cold::default(), root, NOW).0
}

fn store_one(broker: &Broker) {
    store_it(broker, names::SELF_TEST_TOPIC, Bytes::new());
}

fn store_it(broker: &Broker, topic: &'static str, properties: Bytes) {
    let host = broker.identity.store_host;
    let draft =
        Draft { body: Bytes::from_static(b"old"), properties, ..Draft::plain(topic, NOW, host) };
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, NOW);
    assert!(appends[0].outcome.is_ok());
}

/// A pull from the queue's beginning that commits an offset on its way.
fn pulled(broker: &Broker, lane: Lane, commit_offset: i64) -> Reply<Effect> {
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    let peer = Arc::new(Peer::new(address, address));
    let command = Command::request(RequestCode::PULL_MESSAGE);
    let header = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: names::SELF_TEST_TOPIC.into(),
        max_msg_nums: 32,
        sys_flag: SUBSCRIPTION | COMMIT,
        commit_offset: Some(commit_offset),
        subscription: Some("*".into()),
        ..PullMessageRequestHeader::default()
    };
    let room = Room::default();
    let call = Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room };
    pull(broker, &call, header).unwrap()
}

#[test]
fn what_is_not_in_memory_is_read_beside_the_connection() {
    let name = format!("rockhopper-cold-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    let broker = open(&root);
    store_one(&broker);
    let reply = pulled(&broker, Lane::Inline, 0);
    assert!(matches!(reply, Reply::Answer(_)), "it was just written: {reply:?}");
    broker.close(NOW).unwrap();
    drop(broker);

    let broker = open(&root);
    let committed = || broker.offsets.query("g", names::SELF_TEST_TOPIC, 0);
    let reply = pulled(&broker, Lane::Inline, 1);
    assert!(matches!(reply, Reply::Effect(Effect::Block)), "{reply:?}");
    assert_eq!(committed(), Some(0), "nothing is done before it is read");
    let Reply::Answer(answer) = pulled(&broker, Lane::Blocking, 1) else { panic!("no answer") };
    assert_eq!((answer.code, answer.body.len()), (ResponseCode::SUCCESS, 1));
    assert_eq!(committed(), Some(1));
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_pull_whose_connection_ended_meanwhile_does_not_wait() {
    let root = std::env::temp_dir().join(format!("rockhopper-gone-{}", std::process::id()));
    let broker = open(&root);
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    let (command, room) = (Command::request(RequestCode::PULL_MESSAGE), Room::default());
    let held = |lane, is_gone| {
        let peer = Arc::new(Peer::new(address, address));
        let header = PullMessageRequestHeader {
            consumer_group: "g".into(),
            topic: names::SELF_TEST_TOPIC.into(),
            max_msg_nums: 32,
            sys_flag: SUBSCRIPTION | SUSPEND,
            suspend_timeout_millis: 10_000,
            subscription: Some("*".into()),
            ..PullMessageRequestHeader::default()
        };
        if is_gone {
            // The loop has ended the connection while this waited for its turn.
            peer.close();
            broker.disconnected(&peer);
        }
        let call = Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room };
        assert!(matches!(pull(&broker, &call, header).unwrap(), Reply::Later));
        broker.holds.len()
    };
    assert_eq!(held(Lane::Blocking, false), 1);
    assert_eq!(held(Lane::Blocking, true), 1);
    drop(broker);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_pull_of_a_lite_topic_waits_for_its_messages() {
    let name = format!("rockhopper-lite-pull-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    let broker = open(&root);
    broker.topics.update(crate::topics::simple("P", 1), NOW).unwrap();
    let send = |queue: &str| {
        let properties = format!("INNER_MULTI_DISPATCH\u{1}%LMQ%$P${queue}\u{2}");
        store_it(&broker, "P", properties.into());
    };
    send("other");
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    let peer = Arc::new(Peer::new(address, address));
    let command = Command::request(RequestCode::PULL_MESSAGE);
    let header = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: "P".into(),
        lite_topic: Some("x".into()),
        max_msg_nums: 32,
        sys_flag: SUBSCRIPTION | SUSPEND,
        suspend_timeout_millis: 10_000,
        subscription: Some("*".into()),
        ..PullMessageRequestHeader::default()
    };
    let room = Room::default();
    let lane = Lane::Inline;
    let call = Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room };
    // Only who pops is told of that.
    broker.offsets.reset("g", "%LMQ%$P$x", 0, 0);
    let reply = pull(&broker, &call, header).unwrap();
    assert!(matches!(reply, Reply::Later), "{reply:?}");
    assert_eq!(broker.holds.len(), 1, "messages of others are none of its");
    send("other");
    assert_eq!((broker.holds.len(), peer.take_unwritten().len()), (1, 0));
    cold::save(&broker, NOW);
    send("x");
    assert!(broker.holds.is_empty() && !peer.take_unwritten().is_empty());
    drop(broker);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_pull_that_wants_few_messages_is_told_how_far_its_queue_has_gone_on() {
    let name = format!("rockhopper-overtaken-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    let broker = open(&root);
    broker.topics.update(crate::topics::simple("F", 1), NOW).unwrap();
    store_it(&broker, "F", "TAGS\u{1}A\u{2}".into());
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    let peer = Arc::new(Peer::new(address, address));
    let command = Command::request(RequestCode::PULL_MESSAGE);
    let header = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: "F".into(),
        queue_offset: 1,
        max_msg_nums: 32,
        sys_flag: SUBSCRIPTION | SUSPEND,
        suspend_timeout_millis: 10_000,
        subscription: Some("A".into()),
        ..PullMessageRequestHeader::default()
    };
    let (lane, room) = (Lane::Inline, Room::default());
    let call = Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room };
    assert!(matches!(pull(&broker, &call, header).unwrap(), Reply::Later));
    broker.tell_overtaken(NOW);
    store_it(&broker, "F", "TAGS\u{1}B\u{2}".into());
    assert_eq!((broker.holds.len(), peer.take_unwritten().len()), (1, 0));
    cold::save(&broker, NOW);
    broker.tell_overtaken(NOW);
    let told = String::from_utf8_lossy(&peer.take_unwritten().concat()).into_owned();
    let code = ResponseCode::PULL_RETRY_IMMEDIATELY.0;
    assert!(told.contains(&format!("\"code\":{code},")), "{told}");
    assert!(told.contains("\"nextBeginOffset\":\"2\""), "{told}");
    assert!(broker.holds.is_empty());
    drop(broker);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_pull_of_a_compacted_queue_that_cannot_follow_waits() {
    let name = format!("rockhopper-compacted-pull-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    let cold = Cold::default();
    let (broker, _) = cold::open(cold.clone(), &root, NOW);
    let compacted = TopicConfig {
        attributes: [("+cleanup.policy".into(), "COMPACTION".into())].into(),
        ..crate::topics::simple("C", 1)
    };
    broker.topics.update(compacted, NOW).unwrap();
    broker.store.keep_newest("C", true).unwrap();
    let send = || store_it(&broker, "C", "KEYS\u{1}k\u{2}".into());
    send();
    cold.fails.store(true, Ordering::Relaxed);
    send();
    cold.fails.store(false, Ordering::Relaxed);
    assert_eq!((broker.store.read_to("C", 0), broker.store.max_offset("C", 0)), (1, 2));
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    let peer = Arc::new(Peer::new(address, address));
    let command = Command::request(RequestCode::PULL_MESSAGE);
    let header = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: "C".into(),
        queue_offset: 1,
        max_msg_nums: 32,
        sys_flag: SUBSCRIPTION | SUSPEND,
        suspend_timeout_millis: 10_000,
        subscription: Some("*".into()),
        ..PullMessageRequestHeader::default()
    };
    let (room, lane) = (Room::default(), Lane::Blocking);
    let call = Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room };
    let reply = pull(&broker, &call, header).unwrap();
    assert!(matches!(reply, Reply::Later), "{reply:?}");
    assert_eq!((broker.holds.len(), peer.take_unwritten().len()), (1, 0));
    cold::save(&broker, NOW);
    // It follows with the flush, and no message comes.
    broker.store.flush(NOW).unwrap();
    assert_eq!((broker.store.read_to("C", 0), broker.holds.len()), (2, 1));
    broker.tell_followed(NOW);
    assert!(broker.holds.is_empty() && !peer.take_unwritten().is_empty());
    drop(broker);
    std::fs::remove_dir_all(root).unwrap();
}
