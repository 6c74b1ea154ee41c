//! Headers about consumer and producer groups.

use message::Str;

use super::base::{RpcFields, TopicFields};

crate::headers! {
    /// Asks for a page of the group table (code 201); without fields for the whole.
    GetAllSubscriptionGroupRequestHeader {
        group_seq: Option<i32>,
        data_version: Option<Str>,
        max_group_num: Option<i32>,
    }
    /// How many groups there are in all.
    GetAllSubscriptionGroupResponseHeader {
        total_group_num: i32,
    }
    /// Asks for one group's configuration (code 352).
    GetSubscriptionGroupConfigRequestHeader: RpcFields {
        group: Str,
    }
    /// Deletes a group (code 207). The 4.x tools call `cleanOffset` `removeOffset`.
    DeleteSubscriptionGroupRequestHeader: RpcFields {
        group_name: Str,
        clean_offset: bool = false,
    }
    /// Forbids or allows a group a topic (code 353); only asks without `readable`.
    UpdateGroupForbiddenRequestHeader: TopicFields {
        group: Str,
        topic: Str = "",
        readable: Option<bool>,
    }
    /// Asks who is connected as a member of a group (code 203).
    GetConsumerConnectionListRequestHeader: RpcFields {
        consumer_group: Str,
    }
    /// Asks who is connected as a producer of a group (code 204).
    GetProducerConnectionListRequestHeader: RpcFields {
        producer_group: Str,
    }
    /// Asks for all producers (code 328).
    GetAllProducerInfoRequestHeader {}
    /// Asks how far a group is (code 208); `topicList` is joined by semicolons.
    GetConsumeStatsRequestHeader: TopicFields {
        consumer_group: Str,
        topic: Option<Str>,
        topic_list: Option<Str>,
    }
    /// Asks how far all groups are (code 317).
    GetConsumeStatsInBrokerHeader {
        is_order: bool = false,
    }
    /// Asks for the groups of a topic (code 300).
    QueryTopicConsumeByWhoRequestHeader: TopicFields {
        topic: Str,
    }
    /// Asks for the topics of a group (code 343).
    QueryTopicsByConsumerRequestHeader: RpcFields {
        group: Str,
    }
    /// Asks for a group's subscription of a topic (code 345).
    QuerySubscriptionByConsumerRequestHeader: TopicFields {
        group: Str,
        topic: Option<Str>,
    }
    /// Asks for the time span of a group's messages by queue (code 303).
    QueryConsumeTimeSpanRequestHeader: TopicFields {
        topic: Str,
        group: Str = "",
    }
}
