//! Headers of pulling and of looking at one consume queue.

use message::Str;

use super::base::TopicFields;

crate::headers! {
    /// Asks for messages of one queue from an offset on (codes 11 and 361). Java misses a commit
    /// offset, a time to wait and a version only where a bit of `sysFlag` says that they count.
    PullMessageRequestHeader: TopicFields, strict = true, lent = true {
        consumer_group: Str,
        topic: Str,
        lite_topic: Option<Str>,
        queue_id: i32,
        queue_offset: i64,
        max_msg_nums: i32,
        sys_flag: i32,
        commit_offset: Option<i64>,
        suspend_timeout_millis: i64 = 0,
        subscription: Option<Str>,
        sub_version: i64 = 0,
        expression_type: Option<Str>,
        max_msg_bytes: Option<i32>,
        request_source: Option<i32>,
        proxy_forward_client_id as "proxyFrowardClientId": Option<Str>,
    }
    /// Where to go on. The first four fields are needed with codes 0, 19, 20 and 21.
    PullMessageResponseHeader, strict = true {
        suggest_which_broker_id: i64,
        next_begin_offset: i64,
        min_offset: i64,
        max_offset: i64,
        offset_delta: Option<i64>,
        topic_sys_flag: Option<i32>,
        group_sys_flag: Option<i32>,
        forbidden_type: Option<i32>,
    }
    /// Asks for raw entries of a consume queue (code 321).
    QueryConsumeQueueRequestHeader: TopicFields {
        topic: Option<Str>,
        queue_id: i32 = 0,
        index: i64 = 0,
        count: i32 = 0,
        consumer_group: Option<Str>,
    }
}
