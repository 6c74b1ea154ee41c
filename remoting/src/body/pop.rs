//! Popping: who gets which queues, how a group fetches, and many acknowledgements at once.

use std::collections::BTreeMap;

use message::Str;

use super::heartbeat::MessageModel;
use super::queue::{MessageQueueAssignment, MessageRequestMode};
use crate::json::known;

super::bodies! {
    /// A consumer asks for its share (code 400).
    QueryAssignmentRequestBody {
        client_id: Str,
        consumer_group: Option<Str>,
        #[serde(deserialize_with = "known")]
        message_model: Option<MessageModel>,
        strategy_name: Option<Str>,
        topic: Option<Str>,
    }
    /// Its share; none at all tells the consumer to keep what it has.
    QueryAssignmentResponseBody {
        message_queue_assignments: Option<Vec<MessageQueueAssignment>>,
    }
    /// How a group is to fetch a topic (code 401).
    SetMessageRequestModeRequestBody {
        consumer_group: Option<Str>,
        #[serde(deserialize_with = "known")]
        mode: Option<MessageRequestMode> = MessageRequestMode::Pull,
        pop_share_queue_num: i32,
        topic: Option<Str>,
    }
    /// How all groups fetch, by topic and group (code 402).
    MessageRequestModeSerializeWrapper {
        message_request_mode_map: BTreeMap<Str, BTreeMap<Str, SetMessageRequestModeRequestBody>>,
    }
    /// Many acknowledgements (code 200151).
    BatchAckMessageRequestBody {
        acks: Vec<BatchAck>,
        broker_name: Str,
    }
    /// Those of one pop. `retry` is "0", "1" or "2" as in the handle of a popped message; the bits
    /// are a Java `BitSet` in base64, offset by offset from `startOffset` on.
    BatchAck {
        #[serde(rename = "b", alias = "bitSet")]
        bit_set: Str,
        #[serde(rename = "c", alias = "consumerGroup")]
        consumer_group: Str,
        #[serde(rename = "it", alias = "invisibleTime")]
        invisible_time: i64,
        #[serde(rename = "pt", alias = "popTime")]
        pop_time: i64,
        #[serde(rename = "q", alias = "queueId")]
        queue_id: i32,
        #[serde(rename = "r", alias = "retry")]
        retry: Str,
        #[serde(rename = "rq", alias = "reviveQueueId")]
        revive_queue_id: i32,
        #[serde(rename = "so", alias = "startOffset")]
        start_offset: i64,
        #[serde(rename = "t", alias = "topic")]
        topic: Str,
    }
}
