//! Headers about single messages: find, send back, recall.

use message::Str;

use super::base::{RpcFields, TopicFields};

crate::headers! {
    /// Looks messages up by key (code 12), times in ms since the epoch.
    QueryMessageRequestHeader: TopicFields {
        topic: Str = "",
        key: Str = "",
        max_num: i32,
        begin_timestamp: i64,
        end_timestamp: i64,
        index_type: Option<Str>,
        last_key: Option<Str>,
    }
    /// How far the index reaches.
    QueryMessageResponseHeader {
        index_last_update_timestamp: i64,
        index_last_update_phyoffset: i64,
    }
    /// Asks for the message at a commit log offset (code 33).
    ViewMessageRequestHeader {
        topic: Option<Str>,
        offset: i64,
    }
    /// Empty: the answer is a body.
    ViewMessageResponseHeader {}
    /// Has a message delivered again (code 36): `delayLevel` below 0 means never again, 0 leaves
    /// the level to the broker.
    ConsumerSendMsgBackRequestHeader: RpcFields {
        offset: i64,
        group: Str,
        delay_level: i32,
        origin_msg_id: Option<Str>,
        origin_topic: Option<Str>,
        unit_mode: bool = false,
        max_reconsume_times: Option<i32>,
    }
    /// Takes a delayed message back (code 370).
    RecallMessageRequestHeader: TopicFields {
        producer_group: Option<Str>,
        topic: Str,
        recall_handle: Str,
    }
    /// The id of the message taken back.
    RecallMessageResponseHeader {
        msg_id: Str,
    }
}
