//! What clients of lite topics get, in a broker without a shell.

use super::*;
use crate::cold::{self, Cold};
use crate::topics;
use message::Draft;
use remoting::body::group::SubscriptionGroupConfig;
use remoting::body::topic::TopicConfig;
use remoting::peer::Peer;
use remoting::room::Room;
use remoting::router::Lane;
use settings::BrokerSettings;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::Append;
use tokio::sync::mpsc::UnboundedReceiver;

const NOW: i64 = 1_700_000_000_000;

struct World {
    broker: Broker,
    cold: Cold,
    outside: UnboundedReceiver<Outside>,
    peer: Arc<Peer>,
    dir: PathBuf,
}

fn queue(lite_topic: &str) -> Str {
    names::queue("P", lite_topic).unwrap()
}

impl World {
    /// A broker with a parent topic and a group of which one client at a time reads a lite topic.
    fn new(name: &str) -> Self {
        let dir = format!("rockhopper-lites-{name}-{}", std::process::id());
        let (dir, cold) = (std::env::temp_dir().join(dir), Cold::default());
        let (broker, outside) = cold::open(cold.clone(), &dir, NOW);
        let parent = TopicConfig {
            attributes: [("+message.type".into(), "LITE".into())].into(),
            ..topics::simple("P", 1)
        };
        broker.topics.update(parent, NOW).unwrap();
        let of = [("+lite.bind.topic", "P"), ("+lite.sub.model", "Exclusive")];
        let group = SubscriptionGroupConfig {
            group_name: "G".into(),
            attributes: of.map(|(key, value)| (key.into(), value.into())).into(),
            ..SubscriptionGroupConfig::default()
        };
        broker.groups.update(group, NOW).unwrap();
        let address = "127.0.0.1:7".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        Self { broker, cold, outside, peer, dir }
    }

    /// The same after a start, with nothing in memory.
    fn again(self) -> Self {
        let Self { broker, cold, peer, dir, .. } = self;
        broker.save_tables(NOW);
        broker.close(NOW).unwrap();
        drop(broker);
        let (broker, outside) = cold::open(cold.clone(), &dir, NOW);
        Self { broker, cold, outside, peer, dir }
    }

    fn send(&self, lite_topic: &str) {
        let host = self.broker.identity.store_host;
        let draft = Draft {
            body: Bytes::from_static(b"hello"),
            properties: format!("INNER_MULTI_DISPATCH\u{1}{}\u{2}", queue(lite_topic)).into(),
            ..Draft::plain("P", NOW, host)
        };
        let mut appends = [Append::one(draft)];
        self.broker.append(&mut appends, NOW);
        appends[0].outcome.unwrap();
    }

    fn with<T>(&self, lane: Lane, now_ms: i64, run: impl FnOnce(&Call<'_>) -> T) -> T {
        let (command, room) = (Command::request(RequestCode::POP_LITE_MESSAGE), Room::default());
        run(&Call { peer: &self.peer, command: &command, now_ms, lane, room: &room })
    }

    fn subscribe(
        &self,
        client: &str,
        action: LiteSubscriptionAction,
        option: Option<(OffsetOptionType, i64)>,
    ) {
        let change = LiteSubscriptionDTO {
            action: Some(action),
            client_id: Some(client.to_owned().into()),
            group: Some("G".into()),
            lite_topic_set: Some(BTreeSet::from(["x".into()])),
            offset_option: option.map(|(kind, value)| OffsetOption { kind: Some(kind), value }),
            topic: Some("P".into()),
            version: 1,
        };
        self.with(Lane::Inline, NOW, |call| change_one(&self.broker, call, &change)).unwrap();
    }

    fn reply(&self, client: &str, lane: Lane, (now_ms, poll_time): (i64, i64)) -> Reply<Effect> {
        let header = PopLiteMessageRequestHeader {
            client_id: client.to_owned().into(),
            consumer_group: "G".into(),
            topic: "P".into(),
            max_msg_num: 8,
            invisible_time: 60_000,
            poll_time,
            born_time: now_ms,
            ..PopLiteMessageRequestHeader::default()
        };
        self.with(lane, now_ms, |call| pop(&self.broker, call, header)).unwrap()
    }

    /// How many messages a client gets.
    fn pop(&self, client: &str, now_ms: i64) -> usize {
        let reply = self.reply(client, Lane::Blocking, (now_ms, 0));
        let Reply::Answer(answer) = reply else { panic!("{reply:?}") };
        answer.body.len()
    }

    fn end(self) {
        drop(self.broker);
        std::fs::remove_dir_all(self.dir).unwrap();
    }
}

#[test]
fn a_queue_that_is_taken_over_or_read_anew_is_offered() {
    let world = World::new("exclusive");
    world.send("x");
    world.send("x");
    world.subscribe("c", LiteSubscriptionAction::CompleteAdd, None);
    world.subscribe("d", LiteSubscriptionAction::CompleteAdd, None);
    world.subscribe("d", LiteSubscriptionAction::PartialAdd, None);
    assert_eq!((world.pop("c", NOW), world.pop("d", NOW)), (0, 2));
    let from_first = Some((OffsetOptionType::Policy, FIRST));
    world.broker.offsets.commit("G", &queue("x"), light::QUEUE_ID, 2);
    world.subscribe("d", LiteSubscriptionAction::PartialAdd, from_first);
    assert_eq!(world.pop("d", NOW), 2);
    world.end();
}

#[test]
fn a_queue_that_could_not_be_read_is_offered_again() {
    let world = World::new("disk");
    world.send("x");
    let world = world.again();
    world.subscribe("c", LiteSubscriptionAction::PartialAdd, None);
    world.cold.fails.store(true, Ordering::Relaxed);
    assert_eq!(world.pop("c", NOW), 0);
    world.cold.fails.store(false, Ordering::Relaxed);
    assert_eq!(world.pop("c", NOW), 0, "not at once");
    tick(&world.broker, NOW + AGAIN_MS);
    assert_eq!(world.pop("c", NOW + AGAIN_MS), 1);
    world.end();
}

#[test]
fn a_pop_that_is_woken_leaves_the_disk_to_others() {
    let world = World::new("cold");
    world.send("x");
    let mut world = world.again();
    let reply = world.reply("c", Lane::Inline, (NOW, 10_000));
    assert!(matches!(reply, Reply::Later), "{reply:?}");
    world.subscribe("c", LiteSubscriptionAction::PartialAdd, None);
    assert!(world.peer.take_unwritten().is_empty());
    // Nor does it answer before what changed is saved.
    world.broker.groups_changed();
    let held = loop {
        if let Outside::LitePop { held } = world.outside.try_recv().unwrap() {
            break held;
        }
    };
    go_on(&world.broker, held, NOW);
    assert!(world.peer.take_unwritten().is_empty());
    cold::save(&world.broker, NOW);
    assert!(!world.peer.take_unwritten().is_empty());
    world.end();
}

#[test]
fn a_reset_of_a_queue_that_is_not_there_leaves_nothing() {
    let world = World::new("rows");
    for policy in [FIRST, END] {
        let option = Some((OffsetOptionType::Policy, policy));
        world.subscribe("c", LiteSubscriptionAction::PartialAdd, option);
        assert_eq!(world.broker.offsets.query("G", &queue("x"), light::QUEUE_ID), None);
    }
    world.end();
}

#[test]
fn attributes_of_a_group_are_true_in_capitals_too() {
    let world = World::new("leave");
    let group = SubscriptionGroupConfig::clone(&world.broker.groups.find("G").unwrap());
    let resets = ("+lite.sub.reset.offset.unsubscribe".into(), "True".into());
    let group = SubscriptionGroupConfig { attributes: [resets].into(), ..group };
    world.broker.groups.update(group, NOW).unwrap();
    world.send("x");
    for _ in 0..2 {
        world.subscribe("c", LiteSubscriptionAction::PartialAdd, None);
        assert_eq!(world.pop("c", NOW), 1);
        world.broker.offsets.commit("G", &queue("x"), light::QUEUE_ID, 1);
        world.subscribe("c", LiteSubscriptionAction::PartialRemove, None);
    }
    world.end();
}

#[test]
fn a_new_group_begins_at_the_last_message_where_that_is_set() {
    let world = World::new("begin");
    let mut settings = BrokerSettings::clone(&world.broker.settings());
    settings.broker.init_pop_offset_by_check_msg_in_mem = false;
    world.broker.settings.store(Arc::new(settings));
    (0..3).for_each(|_| world.send("x"));
    world.subscribe("c", LiteSubscriptionAction::PartialAdd, None);
    assert_eq!(world.pop("c", NOW), 1);
    world.end();
}

#[test]
fn counts_are_told_as_java_tells_them() {
    let told = |counts: &str, messages: usize| {
        let mut all = String::new();
        add_counts(&mut all, counts, messages);
        all
    };
    assert_eq!((told("", 2).as_str(), told("0 0 3", 2).as_str()), ("0;0", "3;3"));
    assert_eq!(told("0 qo0%5 1;0 qo0%6 2;0 0 1", 2), "0 qo0%5 1;0 qo0%6 2");
    let mut all = "1".to_owned();
    add_counts(&mut all, "", 1);
    assert_eq!(all, "1;0");
}

#[test]
fn a_handle_that_is_none_gets_no_header_with_the_refusal() {
    let world = World::new("handles");
    world.send("x");
    let change = |extra_info: &'static str| {
        let header = ChangeInvisibleTimeRequestHeader {
            consumer_group: "G".into(),
            topic: "P".into(),
            extra_info: extra_info.into(),
            lite_topic: Some("x".into()),
            ..ChangeInvisibleTimeRequestHeader::default()
        };
        let reply = world.with(Lane::Blocking, NOW, |call| {
            super::super::ack::change(&world.broker, call, header)
        });
        let Ok(Reply::Answer(answer)) = reply else { panic!("{reply:?}") };
        (answer.code, answer.fields.iter().count())
    };
    assert_eq!(change("x"), (ResponseCode::SYSTEM_ERROR, 0));
    assert_eq!(change("0 7 60000 999 0 b 0 0"), (ResponseCode::SUCCESS, 3));
    world.end();
}

#[test]
fn what_is_given_of_a_lite_topic_is_traced() {
    let world = World::new("traced");
    let mut settings = BrokerSettings::clone(&world.broker.settings());
    settings.broker.broker_trace_enable = true;
    world.broker.settings.store(Arc::new(settings));
    world.send("x");
    world.subscribe("c", LiteSubscriptionAction::PartialAdd, None);
    assert_eq!(world.pop("c", NOW), 1);
    trace::step(&world.broker, NOW);
    let traces = world.broker.store.max_offset(message::names::TRACE_TOPIC, 0);
    assert_eq!(traces, 1);
    world.end();
}
