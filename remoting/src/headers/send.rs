//! Headers of sending: the three forms of a send, replies to a request message, and what a broker
//! answers to them.

use message::Str;

use super::base::TopicFields;

crate::headers! {
    /// Stores the message in the body (codes 10 and 324): the form with long keys. Java looks at
    /// the template only where the topic has to be made, does nothing with the group, and fails
    /// without a topic only where it looks for a static one.
    SendMessageRequestHeader<'a>: TopicFields, lent = true {
        producer_group: &'a str = "",
        topic: &'a str = "",
        default_topic: &'a str = "",
        default_topic_queue_nums: i32 = 4,
        queue_id: i32,
        sys_flag: i32,
        born_timestamp: i64,
        flag: i32,
        properties: Option<&'a str>,
        reconsume_times: Option<i32>,
        unit_mode: Option<bool>,
        batch: Option<bool>,
        max_reconsume_times: Option<i32>,
    }
    /// The same as [`SendMessageRequestHeader`] with one-letter keys (codes 310, 320 and 325).
    SendMessageRequestHeaderV2<'a>: TopicFields, strict = true, lent = true {
        producer_group as "a": &'a str = "",
        topic as "b": &'a str = "",
        default_topic as "c": &'a str = "",
        default_topic_queue_nums as "d": i32 = 4,
        queue_id as "e": i32,
        sys_flag as "f": i32,
        born_timestamp as "g": i64,
        flag as "h": i32,
        properties as "i": Option<&'a str>,
        reconsume_times as "j": Option<i32>,
        unit_mode as "k": Option<bool>,
        max_reconsume_times as "l": Option<i32>,
        batch as "m": Option<bool>,
        broker_name as "n": Option<&'a str>,
    }
    /// Where the message went. Java clients fail on an answer without `queueId` and `queueOffset`.
    SendMessageResponseHeader<'a>, strict = true {
        msg_id: &'a str,
        queue_id: i32,
        queue_offset: i64,
        transaction_id: Option<&'a str>,
        batch_uniq_id: Option<&'a str>,
        recall_handle: Option<&'a str>,
    }
    /// Hands the reply in the body to the client that waits for it (code 326, broker to client).
    ReplyMessageRequestHeader: TopicFields {
        producer_group: Str,
        topic: Str,
        default_topic: Str,
        default_topic_queue_nums: i32,
        queue_id: i32,
        sys_flag: i32,
        born_timestamp: i64,
        flag: i32,
        properties: Option<Str>,
        reconsume_times: Option<i32>,
        unit_mode: bool = false,
        born_host: Str,
        store_host: Str,
        store_timestamp: i64 = 0,
    }
}

impl<'a> From<SendMessageRequestHeaderV2<'a>> for SendMessageRequestHeader<'a> {
    fn from(short: SendMessageRequestHeaderV2<'a>) -> Self {
        // Java drops `lo` here: the queue of this form is a logical one where the topic is static.
        // Nobody asks for the broker's name.
        let base = TopicFields { logical: None, ..short.base };
        Self {
            producer_group: short.producer_group,
            topic: short.topic,
            default_topic: short.default_topic,
            default_topic_queue_nums: short.default_topic_queue_nums,
            queue_id: short.queue_id,
            sys_flag: short.sys_flag,
            born_timestamp: short.born_timestamp,
            flag: short.flag,
            properties: short.properties,
            reconsume_times: short.reconsume_times,
            unit_mode: short.unit_mode,
            batch: short.batch,
            max_reconsume_times: short.max_reconsume_times,
            base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fields::Fields, flat::Header};

    #[test]
    fn one_letter_keys_carry_the_same() {
        let short = SendMessageRequestHeaderV2 {
            producer_group: "g",
            topic: "t",
            queue_id: 3,
            properties: Some("KEYS\u{1}k\u{2}"),
            max_reconsume_times: Some(16),
            broker_name: Some("b"),
            ..SendMessageRequestHeaderV2::default()
        };
        let mut fields = Fields::new();
        short.write(&mut fields);
        assert_eq!(fields.get("n"), Some("b"));
        assert_eq!(fields.get("l"), Some("16"));
        assert_eq!(fields.get("m"), None);
        let read = SendMessageRequestHeaderV2::read(&fields).unwrap();
        assert_eq!(read, short);
        let long = SendMessageRequestHeader {
            producer_group: "g",
            topic: "t",
            queue_id: 3,
            properties: Some("KEYS\u{1}k\u{2}"),
            max_reconsume_times: Some(16),
            ..SendMessageRequestHeader::default()
        };
        assert_eq!(SendMessageRequestHeader::from(read), long);
    }
}
