//! What the revive log holds: checkpoints of pops and acknowledgements (Java: `PopCheckPoint`,
//! `AckMsg`, `BatchAckMsg`, `PopAckConstants`; disk reference, 6.5), and their messages.
//!
//! All of them are messages with a time of delivery: they wait in the timer's topic, and come into
//! the revive log when their pop is about to become visible again. Not here: who reads them.

use super::order_info;
use crate::put;
use crate::timer::accept;
use message::{Draft, Properties, Str, hash::java_hash, names, property};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The group whose offsets say how far the revive log was worked off. Its offset is that of the
/// last record that is done, not of the next one.
pub const GROUP: &str = "CID_RMQ_SYS_REVIVE_GROUP";
/// The revive log's topic, before the name of the cluster.
const TOPIC_PREFIX: &str = "rmq_sys_REVIVE_LOG_";
/// The tag of a checkpoint.
pub const CHECK_POINT: &str = "ck";
/// The tag of one acknowledgement.
pub const ACK: &str = "ack";
/// The tag of several of one pop.
pub const BATCH_ACK: &str = "bAck";
/// The tag of what an ordered pop or its acknowledgement left. Ours alone: Java passes over it.
pub const ORDER: &str = "order";
/// A checkpoint comes into the revive log this much before its acknowledgements, ms.
pub const CHECK_POINT_AHEAD_MS: i64 = 1_000;

/// The topic of a cluster's revive log.
pub fn revive_topic(cluster: &str) -> Str {
    format!("{TOPIC_PREFIX}{cluster}").into()
}

/// The messages of one queue that one pop took. Members stand in the order in which Java writes
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckPoint {
    /// Which of them are acknowledged; always 0 on the disk.
    #[serde(rename = "bm")]
    pub bits: i32,
    /// The broker that the messages are on.
    #[serde(rename = "bn")]
    pub broker: Str,
    /// The group.
    #[serde(rename = "c")]
    pub group: Str,
    /// How far each message is behind `start`; without it they are side by side.
    #[serde(rename = "d")]
    pub diffs: Option<Vec<i32>>,
    /// How long they stay invisible, ms.
    #[serde(rename = "it")]
    pub invisible_ms: i64,
    /// Where the commit log ended then, which is behind all of them. Ours alone, as `nx` is: what
    /// lies in their places later is something else, and copies behind it are what came back.
    #[serde(rename = "lo", skip_serializing_if = "Option::is_none")]
    pub log_end: Option<i64>,
    /// How many there are.
    #[serde(rename = "n")]
    pub count: i8,
    /// Where the group goes on, if the pop moved it. Java does not know this member and passes
    /// over it.
    #[serde(rename = "nx", skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// When they were popped, ms since 1970.
    #[serde(rename = "pt")]
    pub pop_ms: i64,
    /// The queue.
    #[serde(rename = "q")]
    pub queue_id: i32,
    /// When they become visible again, ms since 1970; for readers of the log only.
    #[serde(rename = "reviveTime")]
    pub revive_ms: i64,
    /// The place in the revive log; always 0 on the disk.
    #[serde(rename = "ro")]
    pub revive_offset: i64,
    /// How often it was written again because its messages could not be read.
    #[serde(rename = "rp", skip_serializing_if = "Option::is_none")]
    pub again: Option<Str>,
    /// The queue offset that the pop began at.
    #[serde(rename = "so")]
    pub start: i64,
    /// Whether the messages come back without counting one try more.
    #[serde(rename = "sp")]
    pub suspend: bool,
    /// The topic that the messages are in, which may be a retry topic.
    #[serde(rename = "t")]
    pub topic: Str,
}

impl CheckPoint {
    /// When its messages become visible again, ms since 1970.
    pub fn due_ms(&self) -> i64 {
        self.pop_ms.saturating_add(self.invisible_ms)
    }

    /// The queue offsets of its messages.
    pub fn offsets(&self) -> impl Iterator<Item = i64> {
        let count = usize::try_from(self.count).unwrap_or(0);
        (0..count).filter_map(|at| match self.diffs.as_deref() {
            None | Some([]) => Some(self.start.saturating_add(at as i64)),
            Some(diffs) => Some(self.start.saturating_add((*diffs.get(at)?).into())),
        })
    }

    /// Which of its messages has this queue offset.
    pub fn place(&self, offset: i64) -> Option<u32> {
        let at = self.offsets().position(|one| one == offset)?;
        u32::try_from(at).ok().filter(|at| *at < i32::BITS)
    }

    /// The bits of all its messages.
    pub fn all(&self) -> u32 {
        match u32::try_from(self.count).unwrap_or(0) {
            count @ ..32 => (1 << count) - 1,
            _ => u32::MAX,
        }
    }
}

/// Messages of one pop that are done. One acknowledgement names `offset`, several `offsets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ack {
    /// The queue offset of the message, -1 where there is a list.
    #[serde(rename = "ao", alias = "ackOffset")]
    pub offset: i64,
    /// Those of several.
    #[serde(rename = "aol", alias = "ackOffsetList", skip_serializing_if = "Option::is_none")]
    pub offsets: Option<Vec<i64>>,
    /// The broker that the messages are on; without it the one that reads this.
    #[serde(rename = "bn", alias = "brokerName", skip_serializing_if = "Option::is_none")]
    pub broker: Option<Str>,
    /// The group.
    #[serde(rename = "c", alias = "consumerGroup")]
    pub group: Str,
    /// When they were popped, ms since 1970.
    #[serde(rename = "pt", alias = "popTime")]
    pub pop_ms: i64,
    /// The queue.
    #[serde(rename = "q", alias = "queueId")]
    pub queue_id: i32,
    /// The queue offset that the pop began at.
    #[serde(rename = "so", alias = "startOffset")]
    pub start: i64,
    /// The topic that the messages are in, which may be a retry topic.
    #[serde(rename = "t", alias = "topic")]
    pub topic: Str,
}

impl Ack {
    /// The queue offsets that it names.
    pub fn named(&self) -> &[i64] {
        self.offsets.as_deref().unwrap_or_else(|| std::slice::from_ref(&self.offset))
    }
}

/// What is out of a queue that a group pops in order, and where the group goes on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The group.
    #[serde(rename = "c")]
    pub group: Str,
    /// The queue offset that the group goes on at.
    #[serde(rename = "nx")]
    pub next: i64,
    /// The last pop, as `consumerOrderInfo.json` has it.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    pub last: Option<order_info::Taken>,
    /// The queue.
    #[serde(rename = "q")]
    pub queue_id: i32,
    /// The topic that the messages are in.
    #[serde(rename = "t")]
    pub topic: Str,
}

/// The pop that a checkpoint or an acknowledgement belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    topic: Str,
    group: Str,
    queue_id: i32,
    start: i64,
    pop_ms: i64,
    broker: Str,
}

impl From<&CheckPoint> for Key {
    fn from(of: &CheckPoint) -> Self {
        Self {
            topic: of.topic.clone(),
            group: of.group.clone(),
            queue_id: of.queue_id,
            start: of.start,
            pop_ms: of.pop_ms,
            broker: of.broker.clone(),
        }
    }
}

impl Key {
    /// That of an acknowledgement; `here` is the broker's own name.
    pub fn of_ack(of: &Ack, here: &str) -> Self {
        let broker = of.broker.as_ref().filter(|name| !name.trim().is_empty());
        Self {
            topic: of.topic.clone(),
            group: of.group.clone(),
            queue_id: of.queue_id,
            start: of.start,
            pop_ms: of.pop_ms,
            broker: broker.cloned().unwrap_or_else(|| here.into()),
        }
    }
}

/// Makes the messages of the revive log.
#[derive(Clone, Debug)]
pub struct Pen {
    /// The topic of the revive log.
    pub topic: Str,
    /// The broker's address.
    pub host: SocketAddr,
    /// The time, ms since 1970.
    pub now_ms: i64,
    /// The timer's tick, ms.
    pub slot_ms: i64,
    /// How long the timer keeps a message, ms.
    pub longest_ms: i64,
}

impl Pen {
    /// A checkpoint for a queue of the revive log, which waits there until it is nearly due.
    pub fn check_point(&self, of: &CheckPoint, queue_id: i32) -> Draft {
        let CheckPoint { topic, queue_id: queue, start, group, pop_ms, broker, .. } = of;
        let unique = format!("{topic}@{queue}@{start}@{group}@{pop_ms}@{broker}@{CHECK_POINT}");
        let body = remoting::json::to_body(of);
        self.draft((CHECK_POINT, unique, body), queue_id, of.due_ms() - CHECK_POINT_AHEAD_MS)
    }

    /// An acknowledgement, which waits until `due_ms`.
    pub fn ack(&self, of: &Ack, queue_id: i32, due_ms: i64) -> Draft {
        let tag = if of.offsets.is_some() { BATCH_ACK } else { ACK };
        let Ack { topic, queue_id: queue, offset, group, pop_ms, broker, .. } = of;
        let broker = broker.as_deref().unwrap_or("null");
        // Java gives several acknowledgements of one pop the same key; after a kill the timer takes
        // what has a known key for delivered.
        let unique = match &of.offsets {
            None => format!("{topic}@{queue}@{offset}@{group}@{pop_ms}@{broker}@{ACK}"),
            Some(all) => format!("{topic}@{queue}@{all:?}@{group}@{pop_ms}@{BATCH_ACK}"),
        };
        self.draft((tag, unique, remoting::json::to_body(of)), queue_id, due_ms)
    }

    /// What an ordered pop left, which waits for nothing. What is said of one queue stands in one
    /// queue of the revive log, of which there are `queues`, so that the last word is known.
    pub fn order(&self, of: &Order, queues: i32) -> Draft {
        let Order { topic, group, queue_id, .. } = of;
        let turn = java_hash(&format!("{topic}@{group}@{queue_id}"));
        let mut all = Properties::new();
        all.set(property::TAGS, Str::from_static(ORDER));
        let properties = all.encode();
        Draft {
            properties,
            ..self.plain(remoting::json::to_body(of), turn.rem_euclid(queues.max(1)))
        }
    }

    fn plain(&self, body: bytes::Bytes, queue_id: i32) -> Draft {
        Draft { queue_id, body, ..Draft::plain(self.topic.clone(), self.now_ms, self.host) }
    }

    fn draft(
        &self,
        (tag, unique, body): (&'static str, String, bytes::Bytes),
        queue_id: i32,
        deliver_ms: i64,
    ) -> Draft {
        // A handle may name any time, and the timer would put off a later one again and again. No
        // pop waits longer; a Java broker stores nothing of such a handle.
        let deliver_ms = deliver_ms.min(self.now_ms.saturating_add(self.longest_ms));
        let mut all = Properties::new();
        all.set(property::UNIQ_KEY, unique);
        all.set(property::TAGS, Str::from_static(tag));
        all.set(property::TIMER_DELIVER_MS, deliver_ms.to_string());
        let mut draft = self.plain(body, queue_id);
        if deliver_ms > self.now_ms {
            let out_ms = accept::out_ms(deliver_ms, self.slot_ms);
            all.set(property::TIMER_OUT_MS, out_ms.to_string());
            put::put_aside(&mut draft, all, names::TIMER_TOPIC, 0);
            return draft;
        }
        draft.properties = all.encode();
        draft
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_point() -> CheckPoint {
        CheckPoint {
            broker: "broker-a".into(),
            group: "G".into(),
            diffs: Some(vec![0, 1]),
            invisible_ms: 60_000,
            count: 2,
            pop_ms: 1_700_000_000_000,
            queue_id: 3,
            revive_ms: 1_700_000_060_000,
            start: 5,
            topic: "T".into(),
            ..CheckPoint::default()
        }
    }

    fn pen() -> Pen {
        let host = "127.0.0.1:10911".parse().unwrap();
        Pen {
            topic: revive_topic("c"),
            host,
            now_ms: 1_700_000_000_000,
            slot_ms: 1_000,
            longest_ms: 259_200_000,
        }
    }

    #[test]
    fn a_checkpoint_is_read_and_written_as_java_writes_it() {
        let java = "{\"bm\":0,\"bn\":\"broker-a\",\"c\":\"G\",\"d\":[0,1],\"it\":60000,\"n\":2,\
                    \"pt\":1700000000000,\"q\":3,\"reviveTime\":1700000060000,\"ro\":0,\
                    \"so\":5,\"sp\":false,\"t\":\"T\"}";
        assert_eq!(remoting::json::to_body(&check_point()), java);
        let old = java.replace("\"sp\":false,", "");
        assert_eq!(remoting::json::from_body::<CheckPoint>(old.as_bytes()), Ok(check_point()));
    }

    #[test]
    fn acks_are_read_under_both_names() {
        let one = "{\"ao\":5,\"bn\":\"b\",\"c\":\"G\",\"pt\":7,\"q\":3,\"so\":4,\"t\":\"T\"}";
        let many = "{\"ackOffsetList\":[5,6],\"consumerGroup\":\"G\",\"popTime\":7,\"topic\":\"T\",\
                    \"queueId\":3,\"startOffset\":4,\"ackOffset\":-1}";
        let read = |text: &str| remoting::json::from_body::<Ack>(text.as_bytes()).unwrap();
        assert_eq!(remoting::json::to_body(&read(one)), one);
        assert_eq!(read(one).named(), [5]);
        assert_eq!(read(many).named(), [5, 6]);
        assert_eq!(Key::of_ack(&read(many), "b"), Key::of_ack(&read(one), "x"));
    }

    #[test]
    fn offsets_are_found_with_and_without_differences() {
        let sparse = CheckPoint { diffs: Some(vec![0, 4]), ..check_point() };
        assert_eq!(sparse.offsets().collect::<Vec<_>>(), [5, 9]);
        assert_eq!((sparse.place(9), sparse.place(6), sparse.all()), (Some(1), None, 3));
        let old = CheckPoint { diffs: None, ..check_point() };
        assert_eq!((old.place(6), old.place(7)), (Some(1), None));
        let full = CheckPoint { count: 32, diffs: None, ..check_point() };
        assert_eq!(full.all(), u32::MAX);
        // A list that is shorter than the count says, as damage may make it.
        let short = CheckPoint { count: 9, diffs: Some(vec![0]), ..check_point() };
        assert_eq!(short.offsets().count(), 1);
    }

    #[test]
    fn records_wait_for_the_timer_or_go_straight_into_the_log() {
        let waiting = pen().check_point(&check_point(), 6);
        assert_eq!((&*waiting.topic, waiting.queue_id), (names::TIMER_TOPIC, 0));
        let all = Properties::parse(&waiting.properties);
        assert_eq!(all.get(property::TIMER_DELIVER_MS), Some("1700000059000"));
        assert_eq!(all.get(property::TIMER_OUT_MS), Some("1700000058000"));
        assert_eq!(all.get(property::REAL_TOPIC), Some("rmq_sys_REVIVE_LOG_c"));
        assert_eq!(all.get(property::REAL_QUEUE_ID), Some("6"));
        assert_eq!(all.get(property::UNIQ_KEY), Some("T@3@5@G@1700000000000@broker-a@ck"));
        let forged = pen().ack(&Ack { offset: 5, ..Ack::default() }, 6, i64::MAX);
        let all = Properties::parse(&forged.properties);
        assert_eq!(all.get(property::TIMER_DELIVER_MS), Some("1700259200000"));
        let late = pen().ack(&Ack { offset: 5, ..Ack::default() }, 6, 1_700_000_000_000);
        assert_eq!((&*late.topic, late.queue_id), ("rmq_sys_REVIVE_LOG_c", 6));
        assert_eq!(Properties::parse(&late.properties).get(property::TAGS), Some("ack"));
    }
}
