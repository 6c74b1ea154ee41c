//! Headers about offsets: of a queue, of a group, and moving a group.

use message::Str;

use super::base::{RpcFields, TopicFields};
use crate::flat::Boundary;

crate::headers! {
    /// Asks for the stored offset of a group (code 14).
    QueryConsumerOffsetRequestHeader: TopicFields {
        consumer_group: Str = "",
        topic: Str,
        queue_id: i32,
        set_zero_if_not_found: Option<bool>,
    }
    /// The stored offset.
    QueryConsumerOffsetResponseHeader {
        offset: i64,
    }
    /// Stores the offset of a group (code 15, mostly oneway).
    UpdateConsumerOffsetRequestHeader: TopicFields {
        consumer_group: Str = "",
        topic: Str,
        queue_id: Option<i32>,
        commit_offset: Option<i64>,
    }
    /// Empty.
    UpdateConsumerOffsetResponseHeader {}
    /// Asks for the end of a queue (code 30).
    GetMaxOffsetRequestHeader: TopicFields {
        topic: Str,
        queue_id: i32,
        committed: bool = true,
    }
    /// The offset the next message will get.
    GetMaxOffsetResponseHeader {
        offset: i64,
    }
    /// Asks for the start of a queue (code 31).
    GetMinOffsetRequestHeader: TopicFields {
        topic: Str,
        queue_id: i32,
    }
    /// The offset of the first message still there.
    GetMinOffsetResponseHeader {
        offset: i64,
    }
    /// Asks for the offset at a time in ms since the epoch (code 29).
    SearchOffsetRequestHeader: TopicFields {
        topic: Str,
        lite_topic: Option<Str>,
        queue_id: i32,
        timestamp: i64,
        boundary_type: Option<Boundary>,
    }
    /// The offset found.
    SearchOffsetResponseHeader {
        offset: i64,
    }
    /// Asks when the first message of a queue was stored (code 32).
    GetEarliestMsgStoretimeRequestHeader: TopicFields {
        topic: Str,
        queue_id: i32,
    }
    /// The time in ms since the epoch, -1 if unknown.
    GetEarliestMsgStoretimeResponseHeader {
        timestamp: i64,
    }
    /// Moves a group (codes 220 and 222): `queueId` -1 means all queues, `offset` counts before
    /// `timestamp`, `timestamp` -1 means the end.
    ResetOffsetRequestHeader: TopicFields {
        group: Str = "",
        topic: Str,
        queue_id: i32 = -1,
        offset: Option<i64>,
        timestamp: i64 = 0,
        is_force: bool = false,
    }
    /// Copies the offsets of one group to another (code 314).
    CloneGroupOffsetRequestHeader: RpcFields {
        src_group: Option<Str>,
        dest_group: Str = "",
        topic: Option<Str>,
        offline: bool = false,
    }
    /// Asks for the smallest offsets of groups (code 308).
    QueryCorrectionOffsetHeader: TopicFields {
        filter_groups: Option<Str>,
        compare_group: Str = "",
        topic: Str,
    }
}
