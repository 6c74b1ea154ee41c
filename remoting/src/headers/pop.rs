//! Headers of popping: take, acknowledge, prolong, and wait for messages without owning a queue.

use message::Str;

use super::base::TopicFields;

crate::headers! {
    /// Takes messages for a time (code 200050). `queueId` -1 means any queue.
    PopMessageRequestHeader: TopicFields {
        consumer_group: Str,
        topic: Str,
        queue_id: i32 = 0,
        max_msg_nums: i32 = 0,
        invisible_time: i64 = 0,
        poll_time: i64 = 0,
        born_time: i64 = 0,
        init_mode: i32 = 0,
        exp_type: Option<Str>,
        exp: Option<Str>,
        order: bool = false,
        attempt_id: Option<Str>,
    }
    /// How the taken messages are to be named in acknowledgements.
    PopMessageResponseHeader {
        pop_time: i64 = 0,
        invisible_time: i64 = 0,
        revive_qid: i32 = 0,
        rest_num: i64 = 0,
        start_offset_info: Option<Str>,
        msg_offset_info: Option<Str>,
        order_count_info: Option<Str>,
    }
    /// Looks at messages without taking them (code 200052).
    PeekMessageRequestHeader: TopicFields {
        topic: Str,
        queue_id: i32 = 0,
        max_msg_nums: i32 = 0,
        consumer_group: Str,
    }
    /// Says that one taken message is done (code 200051).
    AckMessageRequestHeader: TopicFields {
        consumer_group: Str = "",
        topic: Str,
        queue_id: i32,
        extra_info: Str,
        offset: i64,
        lite_topic: Option<Str>,
    }
    /// Prolongs or shortens the time one message is taken for (code 200053).
    ChangeInvisibleTimeRequestHeader: TopicFields {
        consumer_group: Str = "",
        topic: Str,
        queue_id: i32,
        extra_info: Str,
        offset: i64,
        invisible_time: i64,
        lite_topic: Option<Str>,
        suspend: bool = false,
    }
    /// The new names under which the message must be acknowledged.
    ChangeInvisibleTimeResponseHeader {
        pop_time: i64 = 0,
        invisible_time: i64 = 0,
        revive_qid: i32 = 0,
    }
    /// Waits until there is something to pop (code 200054).
    NotificationRequestHeader: TopicFields {
        consumer_group: Str,
        topic: Str,
        queue_id: i32 = 0,
        poll_time: i64 = 0,
        born_time: i64 = 0,
        order: bool = false,
        attempt_id: Option<Str>,
        exp_type: Option<Str>,
        exp: Option<Str>,
    }
    /// Whether there is.
    NotificationResponseHeader {
        has_msg: bool = false,
        polling_full: bool = false,
    }
    /// Asks how many pops are held for a queue (code 200055).
    PollingInfoRequestHeader: TopicFields {
        consumer_group: Str,
        topic: Str,
        queue_id: i32 = 0,
    }
    /// How many there are.
    PollingInfoResponseHeader {
        polling_num: i32 = 0,
    }
    /// Where a new pop group starts. Java declares it and sends it nowhere.
    InitConsumerOffsetRequestHeader: TopicFields {
        topic: Option<Str>,
        init_mode: i32 = 0,
    }
    /// Counts of messages of a group. Java declares it and sends it nowhere.
    StatisticsMessagesRequestHeader: TopicFields {
        consumer_group: Str,
        topic: Str,
        queue_id: i32 = 0,
        from_time: i64 = 0,
        to_time: i64 = 0,
    }
}
