//! `MessageQueue` and its relatives. As keys of maps they stand as objects in the text.

use std::collections::BTreeMap;

use message::Str;

use crate::json::known;

super::bodies! {
    /// One queue of a topic on one broker.
    #[derive(Eq, Hash, PartialOrd, Ord)]
    MessageQueue {
        broker_name: Str,
        queue_id: i32,
        topic: Str,
    }
    /// The same with an offset, as C++ clients take it.
    MessageQueueForC {
        broker_name: Str,
        offset: i64,
        queue_id: i32,
        topic: Str,
    }
    /// A queue and how its messages are to be fetched.
    MessageQueueAssignment {
        attachments: Option<BTreeMap<Str, Str>>,
        message_queue: Option<MessageQueue>,
        #[serde(deserialize_with = "known")]
        mode: Option<MessageRequestMode> = MessageRequestMode::Pull,
    }
}

impl MessageQueue {
    /// A queue.
    pub fn new(topic: impl Into<Str>, broker_name: impl Into<Str>, queue_id: i32) -> Self {
        Self { broker_name: broker_name.into(), queue_id, topic: topic.into() }
    }
}

crate::names! {
    /// How a group fetches messages.
    MessageRequestMode { PULL = Pull, POP = Pop }
}
