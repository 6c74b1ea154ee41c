//! Names of topics and groups: what is valid, which are the system's own, and how retry and
//! dead-letter topics are built (Java 5.5.0 `TopicValidator`, `MixAll`, `KeyBuilder`).

use std::fmt;

/// The longest ordinary topic, bytes.
pub const TOPIC_MAX_LEN: usize = 127;
/// The longest retry or dead-letter topic, bytes.
pub const RETRY_OR_DLQ_TOPIC_MAX_LEN: usize = 255;
/// The longest group, bytes.
pub const GROUP_MAX_LEN: usize = 120;

/// Prefix of retry topics.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of dead-letter topics.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// Prefix of light message queues.
pub const LMQ_PREFIX: &str = "%LMQ%";
/// Prefix of system topics.
pub const SYSTEM_TOPIC_PREFIX: &str = "rmq_sys_";
/// Prefix of system groups.
pub const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";

/// The attribute of a topic that says how its queues look (Java `TopicAttributes`).
pub const QUEUE_TYPE: &str = "queue.type";
/// Queues of inner batches (Java `CQType.BatchCQ`).
pub const INNER_BATCHES: &str = "BatchCQ";
/// The attribute of a topic that says what becomes of old messages (Java `TopicAttributes`).
pub const CLEANUP_POLICY: &str = "cleanup.policy";
/// Of all messages with one key the newest is kept, and for good (Java `CleanupPolicy`).
pub const COMPACTION: &str = "COMPACTION";

/// The template of auto-created topics.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Where delayed messages wait, one queue a level.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// For benchmarks.
pub const BENCHMARK_TOPIC: &str = "BenchmarkTest";
/// Half messages.
pub const TRANS_HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Marks of finished half messages.
pub const TRANS_OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Half messages of Java's RocksDB store.
pub const ROCKSDB_TRANS_HALF_TOPIC: &str = "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC";
/// Marks of finished half messages of Java's RocksDB store.
pub const ROCKSDB_TRANS_OP_HALF_TOPIC: &str = "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC";
/// Half messages that were checked too often.
pub const TRANS_CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Message traces of clients.
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Left from old tools.
pub const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
/// Left from old tools.
pub const OFFSET_MOVED_EVENT: &str = "OFFSET_MOVED_EVENT";
/// The timer wheel's topic.
pub const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

/// The system topics that have names of their own; those with [`SYSTEM_TOPIC_PREFIX`] come on top.
pub const SYSTEM_TOPICS: &[&str] = &[
    AUTO_CREATE_TOPIC,
    SCHEDULE_TOPIC,
    BENCHMARK_TOPIC,
    TRANS_HALF_TOPIC,
    TRACE_TOPIC,
    TRANS_OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_EVENT,
    ROCKSDB_TRANS_HALF_TOPIC,
    ROCKSDB_TRANS_OP_HALF_TOPIC,
    "CHECKPOINT_TOPIC",
];

/// System topics to which clients must not send.
pub const SEND_FORBIDDEN_TOPICS: &[&str] = &[
    SCHEDULE_TOPIC,
    TRANS_HALF_TOPIC,
    TRANS_OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_EVENT,
    ROCKSDB_TRANS_HALF_TOPIC,
    ROCKSDB_TRANS_OP_HALF_TOPIC,
];

/// Groups that exist without being created (Java `MixAll.PREDEFINE_GROUP_SET`).
pub const PREDEFINED_GROUPS: &[&str] = &[
    "DEFAULT_CONSUMER",
    "DEFAULT_PRODUCER",
    "TOOLS_CONSUMER",
    "SCHEDULE_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "CLIENT_INNER_PRODUCER",
    "SELF_TEST_P_GROUP",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PULL",
    "CID_RMQ_SYS_TRANS",
];

/// Why a name is refused. `Display` is Java's remark, which clients see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing but white space.
    Blank {
        /// `topic` or `group`.
        kind: &'static str,
    },
    /// A character outside `^[%|a-zA-Z0-9_-]+$`.
    Illegal {
        /// `topic` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Longer than `max` bytes.
    TooLong {
        /// `topic` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The limit, bytes.
        max: usize,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank { kind } => write!(f, "The specified {kind} is blank."),
            Self::Illegal { kind, name } => write!(
                f,
                "The specified {kind}: {name}, contains illegal characters, \
                 allowing only ^[%|a-zA-Z0-9_-]+$"
            ),
            Self::TooLong { name, max: RETRY_OR_DLQ_TOPIC_MAX_LEN, .. } => write!(
                f,
                "The specified topic is DLQ or Retry topic: {name}, \
                 and it's longer than topic max length: {RETRY_OR_DLQ_TOPIC_MAX_LEN}"
            ),
            Self::TooLong { kind, name, max } => {
                write!(f, "The specified {kind}: {name}, is longer than {kind} max length: {max}")
            }
        }
    }
}

impl std::error::Error for NameError {}

/// Checks a topic's name as Java's broker does.
pub fn check_topic(topic: &str) -> Result<(), NameError> {
    let max = topic_max_len(topic);
    check("topic", topic, max)
}

/// Checks a group's name as Java's broker does.
pub fn check_group(group: &str) -> Result<(), NameError> {
    check("group", group, GROUP_MAX_LEN)
}

fn check(kind: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank { kind });
    }
    if !has_legal_characters(name) {
        return Err(NameError::Illegal { kind, name: name.into() });
    }
    if name.len() > max {
        return Err(NameError::TooLong { kind, name: name.into(), max });
    }
    Ok(())
}

/// Whether every character is one of `%|a-zA-Z0-9_-`.
pub fn has_legal_characters(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'|' | b'_' | b'-'))
}

/// The longest that this topic's name may be, bytes.
pub fn topic_max_len(topic: &str) -> usize {
    if is_retry(topic) || is_dlq(topic) { RETRY_OR_DLQ_TOPIC_MAX_LEN } else { TOPIC_MAX_LEN }
}

/// Whether the topic is one of the system's own. A broker adds its own few (its cluster's name,
/// its own name, ...) to these.
pub fn is_system_topic(topic: &str) -> bool {
    topic.starts_with(SYSTEM_TOPIC_PREFIX) || SYSTEM_TOPICS.contains(&topic)
}

/// Whether clients must not send to the topic.
pub fn is_send_forbidden(topic: &str) -> bool {
    SEND_FORBIDDEN_TOPICS.contains(&topic)
}

/// Whether the group is one of the broker's own.
pub fn is_system_group(group: &str) -> bool {
    group.starts_with(SYSTEM_GROUP_PREFIX)
}

/// Whether the group consumes on behalf of RocketMQ itself (Java:
/// `MixAll.isSysConsumerGroupPullMessage`).
pub fn is_system_consumer(group: &str) -> bool {
    let produces =
        matches!(group, "DEFAULT_PRODUCER" | "CLIENT_INNER_PRODUCER" | "SELF_TEST_P_GROUP");
    is_system_group(group) || PREDEFINED_GROUPS.contains(&group) && !produces
}

/// Whether the topic is a retry topic.
pub fn is_retry(topic: &str) -> bool {
    topic.starts_with(RETRY_PREFIX)
}

/// Whether the topic is a dead-letter topic.
pub fn is_dlq(topic: &str) -> bool {
    topic.starts_with(DLQ_PREFIX)
}

/// Whether the name is that of a light message queue.
pub fn is_lmq(topic: &str) -> bool {
    topic.starts_with(LMQ_PREFIX)
}

/// Whether messages of the topic may go to light queues too (Java `MixAll.topicAllowsLMQ`).
pub fn allows_light_queues(topic: &str) -> bool {
    let is_own = topic.starts_with(SYSTEM_TOPIC_PREFIX) || topic == SCHEDULE_TOPIC;
    !is_own && !is_retry(topic) && !is_dlq(topic)
}

/// The retry topic of a group.
pub fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// The dead-letter topic of a group.
pub fn dlq_topic(group: &str) -> String {
    format!("{DLQ_PREFIX}{group}")
}

/// The group that a retry or dead-letter topic belongs to.
pub fn group_of(topic: &str) -> Option<&str> {
    topic.strip_prefix(RETRY_PREFIX).or_else(|| topic.strip_prefix(DLQ_PREFIX))
}

/// The retry topic of popped messages: `_` joins in version 1, `+` in version 2.
pub fn pop_retry_topic(topic: &str, group: &str, version_2: bool) -> String {
    let joint = if version_2 { '+' } else { '_' };
    format!("{RETRY_PREFIX}{group}{joint}{topic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_answer_as_java_does() {
        let check = |name: &str, expected: &str| {
            let said = check_topic(name).map_or_else(|why| why.to_string(), |()| String::new());
            assert_eq!(said, expected);
        };
        check("Topic_a-1|%", "");
        check(" ", "The specified topic is blank.");
        check(
            "a.b",
            "The specified topic: a.b, contains illegal characters, \
             allowing only ^[%|a-zA-Z0-9_-]+$",
        );
        let long = "t".repeat(128);
        check(&long, &format!("The specified topic: {long}, is longer than topic max length: 127"));
        check(&long[..127], "");
        check(&retry_topic(&"g".repeat(248)), "");
        let long = dlq_topic(&"g".repeat(251));
        check(
            &long,
            &format!(
                "The specified topic is DLQ or Retry topic: {long}, \
                 and it's longer than topic max length: 255"
            ),
        );
        assert!(check_group(&"g".repeat(120)).is_ok());
        assert!(check_group(&"g".repeat(121)).is_err());
        assert!(check_group("grüppe").is_err());
    }

    #[test]
    fn system_names() {
        assert!(is_system_topic("TBW102") && is_system_topic("rmq_sys_anything"));
        assert!(!is_system_topic("%RETRY%g") && !is_system_topic("mine"));
        assert!(is_send_forbidden(SCHEDULE_TOPIC) && !is_send_forbidden(AUTO_CREATE_TOPIC));
        assert!(is_system_group("CID_RMQ_SYS_TRANS"));
    }

    #[test]
    fn retry_and_dead_letter_topics() {
        assert_eq!(group_of(&retry_topic("g")), Some("g"));
        assert_eq!(group_of(&dlq_topic("g")), Some("g"));
        assert_eq!(group_of("g"), None);
        assert_eq!(pop_retry_topic("t", "g", false), "%RETRY%g_t");
        assert_eq!(pop_retry_topic("t", "g", true), "%RETRY%g+t");
    }
}
