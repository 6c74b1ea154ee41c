//! Statistics and looks into a broker's inside.

use std::collections::BTreeMap;

use message::Str;

use super::data_version::DataVersion;
use super::heartbeat::SubscriptionData;

super::bodies! {
    /// One statistic over three spans (code 315).
    BrokerStatsData {
        stats_day: Option<BrokerStatsItem>,
        stats_hour: Option<BrokerStatsItem>,
        stats_minute: Option<BrokerStatsItem>,
    }
    /// A sum, its rate in 1/s and the average of one.
    BrokerStatsItem {
        avgpt: f64,
        sum: i64,
        tps: f64,
    }
    /// Raw entries of a consume queue (code 321).
    QueryConsumeQueueResponseBody {
        filter_data: Option<Str>,
        max_queue_index: i64,
        min_queue_index: i64,
        queue_data: Option<Vec<ConsumeQueueData>>,
        subscription_data: Option<SubscriptionData>,
    }
    /// One of them: where the message is, how long it is, and whether the group would get it.
    ConsumeQueueData {
        bit_map: Option<Str>,
        eval: bool,
        extend_data_json: Option<Str>,
        msg: Option<Str>,
        physic_offset: i64,
        physic_size: i32,
        tags_code: i64,
    }
    /// How many timer messages wait by topic (code 61).
    TimerMetricsSerializeWrapper {
        data_version: DataVersion,
        timing_count: BTreeMap<Str, Metric>,
    }
    /// One count and when it last changed, ms since the epoch (in Java inside
    /// `TimerMetrics`).
    Metric {
        count: i64,
        time_stamp: i64,
    }
    /// Whether the consume queues in RocksDB follow (code 354): 0 yes, 1 no, 2 at work, 3 error.
    CheckRocksdbCqWriteResult {
        check_result: Option<Str>,
        check_status: i32,
    }
}
