//! Topics: their configuration, tables of it, and their offsets.

use std::collections::BTreeMap;

use message::Str;

use super::data_version::DataVersion;
use super::mapping::{TopicQueueMappingDetail, TopicQueueMappingInfo};
use super::queue::MessageQueue;
use crate::json::known_or_default;

super::bodies! {
    /// The configuration of a topic. `perm` as in `QueueData`.
    #[derive(Eq)]
    TopicConfig {
        attributes: BTreeMap<Str, Str>,
        order: bool,
        perm: i32 = 6,
        read_queue_nums: i32 = 16,
        #[serde(deserialize_with = "known_or_default")]
        topic_filter_type: TopicFilterType,
        topic_name: Str,
        topic_sys_flag: i32,
        write_queue_nums: i32 = 16,
    }
    /// Topics to be created (code 18).
    CreateTopicListRequestBody {
        topic_config_list: Option<Vec<TopicConfig>>,
    }
    /// All topics of a broker, as 4.x knows them.
    TopicConfigSerializeWrapper {
        data_version: DataVersion,
        topic_config_table: BTreeMap<Str, TopicConfig>,
    }
    /// All topics of a broker (codes 21 and 103). The mapping's members are absent in 4.x.
    TopicConfigAndMappingSerializeWrapper {
        data_version: DataVersion,
        mapping_data_version: DataVersion,
        topic_config_table: BTreeMap<Str, TopicConfig>,
        topic_queue_mapping_detail_map: BTreeMap<Str, TopicQueueMappingDetail>,
        topic_queue_mapping_info_map: BTreeMap<Str, TopicQueueMappingInfo>,
    }
    /// One topic of a broker (code 351); the detail is there for static topics.
    TopicConfigAndQueueMapping {
        attributes: BTreeMap<Str, Str>,
        mapping_detail: Option<TopicQueueMappingDetail>,
        order: bool,
        perm: i32 = 6,
        read_queue_nums: i32 = 16,
        #[serde(deserialize_with = "known_or_default")]
        topic_filter_type: TopicFilterType,
        topic_name: Str,
        topic_sys_flag: i32,
        write_queue_nums: i32 = 16,
    }
    /// A topic's offsets by queue (code 202).
    TopicStatsTable {
        offset_table: BTreeMap<MessageQueue, TopicOffset>,
        topic_put_tps: f64,
    }
    /// Where a queue starts and ends, and when it last grew (ms since the epoch).
    #[derive(Eq)]
    TopicOffset {
        last_update_timestamp: i64,
        max_offset: i64,
        min_offset: i64,
    }
}

impl From<TopicConfig> for TopicConfigAndQueueMapping {
    fn from(topic: TopicConfig) -> Self {
        Self {
            attributes: topic.attributes,
            mapping_detail: None,
            order: topic.order,
            perm: topic.perm,
            read_queue_nums: topic.read_queue_nums,
            topic_filter_type: topic.topic_filter_type,
            topic_name: topic.topic_name,
            topic_sys_flag: topic.topic_sys_flag,
            write_queue_nums: topic.write_queue_nums,
        }
    }
}

crate::names! {
    /// Whether a message has one tag or several.
    #[derive(Default)]
    TopicFilterType {
        #[default]
        SINGLE_TAG = SingleTag,
        MULTI_TAG = MultiTag,
    }
}
