//! Lite topics (5.5): what the tools ask a broker about them, and a client's subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use message::Str;

use super::offset::OffsetWrapper;
use super::topic::TopicOffset;
use crate::json::known;

super::bodies! {
    /// Changes of a client's subscriptions (code 200071).
    LiteSubscriptionCtlRequestBody {
        subscription_set: Vec<LiteSubscriptionDTO>,
    }
    /// One change.
    LiteSubscriptionDTO {
        #[serde(deserialize_with = "known")]
        action: Option<LiteSubscriptionAction>,
        client_id: Option<Str>,
        group: Option<Str>,
        lite_topic_set: Option<BTreeSet<Str>>,
        offset_option: Option<OffsetOption>,
        topic: Option<Str>,
        version: i64,
    }
    /// Where a new lite topic starts; what the number means is the kind's affair.
    #[derive(Eq)]
    OffsetOption {
        #[serde(rename = "type", deserialize_with = "known")]
        kind: Option<OffsetOptionType>,
        value: i64,
    }
    /// A broker's lite state (code 200074).
    GetBrokerLiteInfoResponseBody {
        cq_table_size: i32,
        current_lmq_num: i32,
        event_map_size: i32,
        group_meta: Option<BTreeMap<Str, BTreeSet<Str>>>,
        lite_subscription_count: i32,
        max_lmq_num: i32,
        offset_table_size: i32,
        order_info_count: i32,
        store_type: Option<Str>,
        topic_meta: Option<BTreeMap<Str, i32>>,
    }
    /// A parent topic (code 200075).
    GetParentTopicInfoResponseBody {
        groups: Option<BTreeSet<Str>>,
        lite_topic_count: i32,
        lmq_num: i32,
        topic: Option<Str>,
        ttl: i32,
    }
    /// A lite topic (code 200076).
    GetLiteTopicInfoResponseBody {
        lite_topic: Option<Str>,
        parent_topic: Option<Str>,
        sharding_to_broker: bool,
        subscriber: Option<Vec<ClientGroup>>,
        topic_offset: Option<TopicOffset>,
    }
    /// A client of a group.
    ClientGroup {
        client_id: Option<Str>,
        group: Option<Str>,
    }
    /// A client's lite topics (code 200077); times are ms since the epoch.
    GetLiteClientInfoResponseBody {
        client_id: Option<Str>,
        group: Option<Str>,
        last_access_time: i64,
        last_consume_time: i64,
        lite_topic_count: i32,
        lite_topic_set: Option<BTreeSet<Str>>,
        parent_topic: Option<Str>,
    }
    /// A group's lag (code 200078).
    GetLiteGroupInfoResponseBody {
        earliest_unconsumed_timestamp: i64 = -1,
        group: Option<Str>,
        lag_count_top_k: Option<Vec<LiteLagInfo>>,
        lag_timestamp_top_k: Option<Vec<LiteLagInfo>>,
        lite_topic: Option<Str>,
        lite_topic_offset_wrapper: Option<OffsetWrapper>,
        parent_topic: Option<Str>,
        total_lag_count: i64,
    }
    /// The lag in one lite topic.
    LiteLagInfo {
        earliest_unconsumed_timestamp: i64 = -1,
        lag_count: i64,
        lite_topic: Option<Str>,
    }
}

crate::names! {
    /// How a client's subscriptions change.
    LiteSubscriptionAction {
        PARTIAL_ADD = PartialAdd,
        PARTIAL_REMOVE = PartialRemove,
        COMPLETE_ADD = CompleteAdd,
        COMPLETE_REMOVE = CompleteRemove,
    }
    /// What the number of an [`OffsetOption`] is: a policy (0 last, 1 first, 2 end), an offset, a
    /// distance from the end, or a time in ms since the epoch. Java calls it `OffsetOption.Type`.
    OffsetOptionType {
        POLICY = Policy,
        OFFSET = Offset,
        TAIL_N = TailN,
        TIMESTAMP = Timestamp,
    }
}
