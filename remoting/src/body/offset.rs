//! How far groups are, and moving them.

use std::collections::BTreeMap;

use message::Str;

use super::data_version::DataVersion;
use super::queue::{MessageQueue, MessageQueueForC};

super::bodies! {
    /// How far a group is by queue (code 208).
    ConsumeStats {
        consume_tps: f64,
        offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
    }
    /// How far a group is in one queue; the time is that of the last consumed message, ms since
    /// the epoch.
    #[derive(Eq)]
    OffsetWrapper {
        broker_offset: i64,
        consumer_offset: i64,
        last_timestamp: i64,
        pull_offset: i64,
    }
    /// How far all groups of a broker are (code 317).
    ConsumeStatsList {
        broker_addr: Option<Str>,
        consume_stats_list: Vec<BTreeMap<Str, Vec<ConsumeStats>>>,
        total_diff: i64,
        total_inflight_diff: i64,
    }
    /// The offsets that a group was moved to (codes 220 and 222).
    ResetOffsetBody {
        offset_table: BTreeMap<MessageQueue, i64>,
    }
    /// The same for a C++ client.
    ResetOffsetBodyForC {
        offset_table: Vec<MessageQueueForC>,
    }
    /// The offsets that consumers are at (codes 221 and 223).
    GetConsumerStatusBody {
        consumer_table: BTreeMap<Str, BTreeMap<MessageQueue, i64>>,
        message_queue_table: BTreeMap<MessageQueue, i64>,
    }
    /// All stored offsets by `topic@group` and queue (code 43).
    ConsumerOffsetSerializeWrapper {
        data_version: Option<DataVersion>,
        offset_table: BTreeMap<Str, BTreeMap<i32, i64>>,
    }
    /// How far the delay levels are (code 45).
    DelayOffsetSerializeWrapper {
        data_version: Option<DataVersion>,
        offset_table: BTreeMap<i32, i64>,
    }
    /// The smallest offsets by queue (code 308).
    QueryCorrectionOffsetBody {
        correction_offsets: BTreeMap<i32, i64>,
    }
    /// The time spans of a group's queues (code 303).
    QueryConsumeTimeSpanBody {
        consume_time_span_set: Vec<QueueTimeSpan>,
    }
    /// From when to when a queue has messages and where the group is; ms since the epoch, the
    /// texts in the zone of the broker.
    QueueTimeSpan {
        consume_time_stamp: i64,
        consume_time_stamp_str: Option<Str>,
        delay_time: i64,
        max_time_stamp: i64,
        max_time_stamp_str: Option<Str>,
        message_queue: Option<MessageQueue>,
        min_time_stamp: i64,
        min_time_stamp_str: Option<Str>,
    }
}
