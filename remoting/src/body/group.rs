//! Consumer groups: their configuration and tables of it.

use std::collections::{BTreeMap, BTreeSet};

use message::Str;

use super::data_version::DataVersion;
use super::heartbeat::SubscriptionData;
use crate::json::known;

super::bodies! {
    /// The configuration of a consumer group (codes 200 and 352).
    SubscriptionGroupConfig {
        attributes: BTreeMap<Str, Str>,
        broker_id: i64,
        consume_broadcast_enable: bool = true,
        consume_enable: bool = true,
        consume_from_min_enable: bool = true,
        consume_message_orderly: bool,
        consume_timeout_minute: i32 = 15,
        group_name: Str,
        group_retry_policy: GroupRetryPolicy,
        group_sys_flag: i32,
        notify_consumer_ids_changed_enable: bool = true,
        retry_max_times: i32 = 16,
        retry_queue_nums: i32 = 1,
        subscription_data_set: Option<Vec<SimpleSubscriptionData>>,
        which_broker_when_consume_slowly: i64 = 1,
    }
    /// How long a failed message waits.
    #[derive(Eq)]
    GroupRetryPolicy {
        customized_retry_policy: Option<CustomizedRetryPolicy>,
        exponential_retry_policy: Option<ExponentialRetryPolicy>,
        #[serde(rename = "type", deserialize_with = "known")]
        kind: Option<GroupRetryPolicyType> = GroupRetryPolicyType::Customized,
    }
    /// Waits of `initial * multiplier ^ tries` ms, at most `max`.
    #[derive(Eq)]
    ExponentialRetryPolicy {
        initial: i64 = 5_000,
        max: i64 = 7_200_000,
        multiplier: i64 = 2,
    }
    /// Waits from a list, ms.
    #[derive(Eq)]
    CustomizedRetryPolicy {
        next: Vec<i64> = CUSTOMIZED_WAITS_MS,
    }
    /// A subscription that a group is held to.
    #[derive(Eq, Hash)]
    SimpleSubscriptionData {
        expression: Option<Str>,
        expression_type: Option<Str>,
        topic: Str,
        version: i64,
    }
    /// All groups of a broker (code 201).
    SubscriptionGroupWrapper {
        data_version: DataVersion,
        forbidden_table: BTreeMap<Str, BTreeMap<Str, i32>>,
        subscription_group_table: BTreeMap<Str, SubscriptionGroupConfig>,
    }
    /// Groups to be created (code 225).
    SubscriptionGroupList {
        group_config_list: Option<Vec<SubscriptionGroupConfig>>,
    }
    /// Whether a group may read a topic (code 353).
    GroupForbidden {
        group: Option<Str>,
        readable: Option<bool>,
        topic: Option<Str>,
    }
    /// Names of groups (code 300).
    GroupList {
        group_list: BTreeSet<Str>,
    }
    /// What a group wants of a topic (code 345).
    QuerySubscriptionResponseBody {
        group: Option<Str>,
        subscription_data: Option<SubscriptionData>,
        topic: Option<Str>,
    }
}

/// The waits of a customised policy that nobody changed.
const CUSTOMIZED_WAITS_MS: [i64; 18] = [
    1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000,
    480_000, 540_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000,
];

crate::names! {
    /// Which of the two retry policies counts.
    GroupRetryPolicyType {
        EXPONENTIAL = Exponential,
        CUSTOMIZED = Customized,
    }
}
