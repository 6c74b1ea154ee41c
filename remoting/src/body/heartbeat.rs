//! What a client says about itself every 30 s, and the check of a subscription.

use std::collections::BTreeSet;

use message::Str;

use crate::json::known;

super::bodies! {
    /// A client's producers and consumers (code 34). The fingerprint is not 0 in V2 heartbeats, of
    /// which those `withoutSub` leave the subscriptions out.
    HeartbeatData {
        #[serde(rename = "clientID")]
        client_id: Str,
        consumer_data_set: Vec<ConsumerData>,
        heartbeat_fingerprint: i32,
        producer_data_set: Vec<ProducerData>,
        without_sub: bool,
    }
    /// A producer group of the client.
    ProducerData {
        group_name: Str,
    }
    /// A consumer group of the client.
    ConsumerData {
        #[serde(deserialize_with = "known")]
        consume_from_where: Option<ConsumeFromWhere>,
        #[serde(deserialize_with = "known")]
        consume_type: Option<ConsumeType>,
        group_name: Str,
        #[serde(deserialize_with = "known")]
        message_model: Option<MessageModel>,
        subscription_data_set: Vec<SubscriptionData>,
        unit_mode: bool,
    }
    /// What a group wants of a topic. `codeSet` holds the hash codes of the tags; `subVersion` is
    /// a time of the client's clock in ms.
    #[derive(Eq, Hash)]
    SubscriptionData {
        class_filter_mode: bool,
        code_set: BTreeSet<i32>,
        expression_type: Option<Str> = Str::from_static(TAG),
        sub_string: Option<Str>,
        sub_version: i64,
        tags_set: BTreeSet<Str>,
        topic: Str,
    }
    /// A subscription to be checked before the consumer starts (code 46).
    CheckClientRequestBody {
        client_id: Str,
        group: Str,
        namespace: Option<Str>,
        subscription_data: Option<SubscriptionData>,
    }
}

/// The expression type of a filter by tags.
pub const TAG: &str = "TAG";

/// The expression type of a filter in SQL92.
pub const SQL92: &str = "SQL92";

/// The expression that takes everything.
pub const SUB_ALL: &str = "*";

crate::names! {
    /// How a consumer gets its messages.
    ConsumeType {
        CONSUME_ACTIVELY = Actively,
        CONSUME_PASSIVELY = Passively,
        CONSUME_POP = Pop,
    }
    /// Who of a group gets a message.
    MessageModel {
        BROADCASTING = Broadcasting,
        CLUSTERING = Clustering,
        LITE_SELECTIVE = LiteSelective,
    }
    /// Where a new group starts.
    ConsumeFromWhere {
        CONSUME_FROM_LAST_OFFSET = LastOffset,
        CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST = LastOffsetOrMinAtFirstBoot,
        CONSUME_FROM_MIN_OFFSET = MinOffset,
        CONSUME_FROM_MAX_OFFSET = MaxOffset,
        CONSUME_FROM_FIRST_OFFSET = FirstOffset,
        CONSUME_FROM_TIMESTAMP = Timestamp,
    }
}
