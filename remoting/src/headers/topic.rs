//! Headers about topics: create, delete, look at.

use message::Str;

use super::base::{RpcFields, TopicFields};

crate::headers! {
    /// Creates or changes a topic (codes 17 and 513).
    CreateTopicRequestHeader: TopicFields {
        topic: Str,
        default_topic: Str = "",
        read_queue_nums: i32,
        write_queue_nums: i32,
        perm: i32,
        topic_filter_type: Str,
        topic_sys_flag: Option<i32>,
        order: bool = false,
        attributes: Option<Str>,
        force: bool = false,
    }
    /// Creates the topics in the body (code 18).
    CreateTopicListRequestHeader: RpcFields {}
    /// Deletes a topic on a broker (code 215).
    DeleteTopicRequestHeader: TopicFields {
        topic: Str = "",
    }
    /// Forgets a topic on a name server (code 216), in one cluster or in all.
    DeleteTopicFromNamesrvRequestHeader: TopicFields {
        topic: Str = "",
        cluster_name: Option<Str>,
    }
    /// Announces the single topic in the body (code 217).
    RegisterTopicRequestHeader: TopicFields {
        topic: Option<Str>,
    }
    /// Asks for a page of the topic table (code 21); without fields for the whole.
    GetAllTopicConfigRequestHeader {
        topic_seq: Option<i32>,
        data_version: Option<Str>,
        max_topic_num: Option<i32>,
    }
    /// How many topics there are in all.
    GetAllTopicConfigResponseHeader {
        total_topic_num: Option<i32>,
    }
    /// Asks for one topic's configuration (code 351).
    GetTopicConfigRequestHeader: TopicFields {
        topic: Str,
    }
    /// Asks for a topic's offsets by queue (code 202).
    GetTopicStatsInfoRequestHeader: TopicFields {
        topic: Str,
    }
}
