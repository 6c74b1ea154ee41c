//! What a record says of its place in a queue: that of its topic, or a light one.

use message::names;
use message::record::Record;

/// A place in a queue that a record says it has.
pub(super) struct Claim<'a> {
    pub(super) topic: &'a str,
    pub(super) queue_id: i32,
    /// The queue offset.
    pub(super) place: i64,
}

impl<'a> Claim<'a> {
    /// The place of a record in the queue of its topic.
    pub(super) fn own(record: &Record<'a>) -> Self {
        Self { topic: record.topic, queue_id: record.queue_id, place: record.queue_offset }
    }
}

/// Whether a topic can be the name of a directory; one that a flipped bit made is not.
pub(super) fn is_dir_name(topic: &str) -> bool {
    !topic.is_empty()
        && !matches!(topic, "." | "..")
        && !topic.contains(['/', '\0'])
        && topic.len() <= names::RETRY_OR_DLQ_TOPIC_MAX_LEN
}
