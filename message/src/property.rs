//! The names of message properties, spelled as Java's `MessageConst` spells them. The one table.

/// Declares the constants and the list of all of them.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// The same names as the bytes that stand in an encoded string.
        pub mod bytes {
            $(#[doc = concat!("`", $text, "`.")] pub const $name: &[u8] = $text.as_bytes();)*
        }
        /// Every name of the table.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

names! {
    /// User keys, joined by one space; each is indexed.
    KEYS = "KEYS",
    /// The tag; its hash goes to the consume queue.
    TAGS = "TAGS",
    /// `false`: the producer does not wait for flush and replicas.
    WAIT = "WAIT",
    /// Delay level, from 1.
    DELAY = "DELAY",
    /// The original topic while a message is in a retry topic.
    RETRY_TOPIC = "RETRY_TOPIC",
    /// The target topic while a message is parked in a system topic.
    REAL_TOPIC = "REAL_TOPIC",
    /// The target queue while a message is parked in a system topic.
    REAL_QUEUE_ID = "REAL_QID",
    /// `true`: a half message.
    TRANSACTION_PREPARED = "TRAN_MSG",
    /// The producer group (transactions, replies).
    PRODUCER_GROUP = "PGROUP",
    /// Set by clients on what they pulled; never stored by the broker.
    MIN_OFFSET = "MIN_OFFSET",
    /// Set by clients on what they pulled; never stored by the broker.
    MAX_OFFSET = "MAX_OFFSET",
    /// Legacy.
    BUYER_ID = "BUYER_ID",
    /// The offset message id of the first storing.
    ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID",
    /// Legacy.
    TRANSFER_FLAG = "TRANSFER_FLAG",
    /// Legacy.
    CORRECTION_FLAG = "CORRECTION_FLAG",
    /// Legacy.
    MQ2_FLAG = "MQ2_FLAG",
    /// Reconsume count that a client sends with its own send-back.
    RECONSUME_TIME = "RECONSUME_TIME",
    /// The region of the broker (trace).
    MSG_REGION = "MSG_REGION",
    /// Trace switch.
    TRACE_ON = "TRACE_ON",
    /// The client's unique id, which is the message id that users see; indexed.
    UNIQ_KEY = "UNIQ_KEY",
    /// Reserved.
    EXTEND_UNIQ_INFO = "EXTEND_UNIQ_INFO",
    /// Limit of redeliveries that a client sends.
    MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES",
    /// When consumption began, ms.
    CONSUME_START_TIME = "CONSUME_START_TIME",
    /// Messages in an inner batch.
    INNER_NUM = "INNER_NUM",
    /// First queue offset of an inner batch.
    INNER_BASE = "INNER_BASE",
    /// First-check delay of a half message.
    CHECK_IMMUNITY_TIME_IN_SECONDS = "CHECK_IMMUNITY_TIME_IN_SECONDS",
    /// Half-queue offset of the first copy of a half message.
    TRANSACTION_PREPARED_QUEUE_OFFSET = "TRAN_PREPARED_QUEUE_OFFSET",
    /// Copy of the unique id in half messages.
    TRANSACTION_ID = "__transactionId__",
    /// How often a half message was checked.
    TRANSACTION_CHECK_TIMES = "TRANSACTION_CHECK_TIMES",
    /// Request-reply.
    INSTANCE_ID = "INSTANCE_ID",
    /// Request-reply.
    CORRELATION_ID = "CORRELATION_ID",
    /// Request-reply: client id to answer.
    REPLY_TO_CLIENT = "REPLY_TO_CLIENT",
    /// Request-reply: time to live, ms.
    TTL = "TTL",
    /// Request-reply.
    ARRIVE_TIME = "ARRIVE_TIME",
    /// Request-reply.
    PUSH_REPLY_TIME = "PUSH_REPLY_TIME",
    /// The broker's cluster, added to every accepted send.
    CLUSTER = "CLUSTER",
    /// `reply` for request-reply.
    MSG_TYPE = "MSG_TYPE",
    /// Handle of a popped message; removed from incoming sends.
    POP_CK = "POP_CK",
    /// Check point offset of a popped message.
    POP_CK_OFFSET = "POP_CK_OFFSET",
    /// Group of a popped message that came back.
    ORIGIN_GROUP = "ORIGIN_GROUP",
    /// First pop time of a redelivered message.
    FIRST_POP_TIME = "1ST_POP_TIME",
    /// Message group of FIFO messages.
    SHARDING_KEY = "__SHARDINGKEY",
    /// Reserved.
    FORWARD_QUEUE_ID = "PROPERTY_FORWARD_QUEUE_ID",
    /// Reserved.
    REDIRECT = "REDIRECT",
    /// The number of the queue that a message with a priority goes to, if the topic has so many.
    PRIORITY = "_SYS_MSG_PRIORITY_",
    /// The lite topic that the message belongs to, under its own.
    LITE_TOPIC = "__LITE_TOPIC",
    /// Comma list of light queues that get the message too.
    INNER_MULTI_DISPATCH = "INNER_MULTI_DISPATCH",
    /// Comma list of the offsets in those queues.
    INNER_MULTI_QUEUE_OFFSET = "INNER_MULTI_QUEUE_OFFSET",
    /// Trace.
    TRACE_CONTEXT = "TRACE_CONTEXT",
    /// Requested delay, seconds.
    TIMER_DELAY_SEC = "TIMER_DELAY_SEC",
    /// Requested delivery time, ms since the epoch.
    TIMER_DELIVER_MS = "TIMER_DELIVER_MS",
    /// Born host as text.
    BORN_HOST = "__BORNHOST",
    /// Born time as text.
    BORN_TIMESTAMP = "BORN_TIMESTAMP",
    /// Properties whose name begins so are reply-only and never stored.
    TRANSIENT_PREFIX = "__RMQ.TRANSIENT.",
    /// Timer book-keeping.
    TIMER_ENQUEUE_MS = "TIMER_ENQUEUE_MS",
    /// Timer book-keeping.
    TIMER_DEQUEUE_MS = "TIMER_DEQUEUE_MS",
    /// Timer book-keeping.
    TIMER_ROLL_TIMES = "TIMER_ROLL_TIMES",
    /// `R` on a message that Java's timer in RocksDB stored again before its time.
    TIMER_ROLL_LABEL = "TIMER_ROLL_LABEL",
    /// Absolute due time that the broker computed, ms since the epoch.
    TIMER_OUT_MS = "TIMER_OUT_MS",
    /// The message deletes the named timer message.
    TIMER_DEL_UNIQKEY = "TIMER_DEL_UNIQKEY",
    /// Reserved.
    TIMER_DELAY_LEVEL = "TIMER_DELAY_LEVEL",
    /// Requested delay, ms.
    TIMER_DELAY_MS = "TIMER_DELAY_MS",
    /// Checksum of the whole record, the last property (`enabledAppendPropCRC`).
    CRC32 = "__CRC32#",
    /// Original topic of a dead letter.
    DLQ_ORIGIN_TOPIC = "DLQ_ORIGIN_TOPIC",
    /// Original message id of a dead letter.
    DLQ_ORIGIN_MESSAGE_ID = "DLQ_ORIGIN_MESSAGE_ID",
    /// `a_b`, required on each record when duplication is enabled.
    DUP_INFO = "DUP_INFO",
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_name_stands_twice() {
        let mut names = super::ALL.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), super::ALL.len());
    }
}
