//! How popped messages are named: the handle of one (`extraInfo`, the property `POP_CK`), and the
//! lists in an answer to a pop (Java: `ExtraInfoUtil`).

use message::{Str, names};
use std::fmt::{self, Write};

/// The queue of the revive log that stands for none: an ordered pop has no checkpoint.
pub const ORDERED: i32 = 999;

/// Which kind of topic a message was popped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The topic that it was sent to.
    No,
    /// A retry topic, `%RETRY%group_topic`.
    V1,
    /// A retry topic, `%RETRY%group+topic`.
    V2,
}

impl Retry {
    /// That of a topic.
    pub fn of(topic: &str) -> Self {
        match names::is_retry(topic) {
            false => Self::No,
            true if topic.contains('+') => Self::V2,
            true => Self::V1,
        }
    }

    /// From its mark; `None` for another one.
    pub fn from_mark(mark: &str) -> Option<Self> {
        [Self::No, Self::V1, Self::V2].into_iter().find(|retry| retry.mark().to_string() == mark)
    }

    /// Its mark in handles and lists.
    pub fn mark(self) -> u8 {
        match self {
            Self::No => 0,
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The topic that a message of `topic` is in, for this group.
    pub fn real_topic(self, topic: &Str, group: &str) -> Str {
        match self {
            Self::No => topic.clone(),
            Self::V1 => names::pop_retry_topic(topic, group, false).into(),
            Self::V2 => names::pop_retry_topic(topic, group, true).into(),
        }
    }
}

/// The topic that a retry topic of this group belongs to; any other topic is its own.
pub fn normal_topic<'a>(topic: &'a str, group: &str) -> &'a str {
    let Some(rest) = topic.strip_prefix(names::RETRY_PREFIX) else { return topic };
    let joined = rest.strip_prefix(group);
    joined.and_then(|rest| rest.strip_prefix(['+', '_'])).unwrap_or(topic)
}

/// The handle of a popped message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// The queue offset that the pop began at.
    pub start: i64,
    /// When it was popped, ms since 1970.
    pub pop_ms: i64,
    /// How long it is invisible, ms.
    pub invisible_ms: i64,
    /// The queue of the revive log that its checkpoint is in, or [`ORDERED`].
    pub revive_queue: i32,
    /// The mark of the topic, see [`Retry::mark`].
    pub retry: Str,
    /// The broker that it is on.
    pub broker: Str,
}

impl Handle {
    /// Reads one; a client puts queue and offset behind it, which requests name again.
    ///
    /// # Errors
    /// Says what is wrong about it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(' ').collect();
        let wrong = |what: &str| format!("extraInfo={text}: {what}");
        let [start, pop_ms, invisible_ms, revive_queue, retry, broker, ..] = parts[..] else {
            let parts = parts.len();
            return Err(wrong(&format!("six parts or more were expected, it has {parts}")));
        };
        let number = |part: &str| part.parse().map_err(|_| wrong("a number was expected"));
        Ok(Self {
            start: number(start)?,
            pop_ms: number(pop_ms)?,
            invisible_ms: number(invisible_ms)?,
            revive_queue: revive_queue.parse().map_err(|_| wrong("a number was expected"))?,
            retry: retry.into(),
            broker: broker.into(),
        })
    }

    /// When the message becomes visible again, ms since 1970.
    pub fn due_ms(&self) -> i64 {
        self.pop_ms.saturating_add(self.invisible_ms)
    }

    /// The text for one message of the pop.
    pub fn text(&self, queue_id: i32, offset: i64) -> String {
        format!("{self} {queue_id} {offset}")
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, pop_ms, invisible_ms, revive_queue, retry, broker } = self;
        write!(f, "{start} {pop_ms} {invisible_ms} {revive_queue} {retry} {broker}")
    }
}

/// What an answer says of the queues that it has messages of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Where each pop began: kind, queue and offset.
    pub starts: String,
    /// The offsets of the messages: kind, queue and offsets.
    pub offsets: String,
}

impl Lists {
    /// Adds what was popped of one queue.
    pub fn push(&mut self, retry: Retry, queue_id: i32, start: i64, offsets: &[i64]) {
        let mark = retry.mark();
        let separator = if self.starts.is_empty() { "" } else { ";" };
        let mut each = String::new();
        for offset in offsets {
            let comma = if each.is_empty() { "" } else { "," };
            let _ = write!(each, "{comma}{offset}");
        }
        let _ = write!(self.starts, "{separator}{mark} {queue_id} {start}");
        let _ = write!(self.offsets, "{separator}{mark} {queue_id} {each}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_with_and_without_what_a_client_adds() {
        let text = "5 1700 60000 3 1 broker-a 0 7";
        let handle = Handle::parse(text).unwrap();
        assert_eq!((handle.start, handle.due_ms(), handle.revive_queue), (5, 61_700, 3));
        assert_eq!(handle.text(0, 7), text);
        assert_eq!(Handle::parse("5 1700 60000 3 1 broker-a"), Ok(handle));
        assert!(Handle::parse("5 1700 60000 3 1").unwrap_err().contains("it has 5"));
        assert!(Handle::parse("5 x 60000 3 1 b").unwrap_err().contains("a number was expected"));
    }

    #[test]
    fn lists_are_those_of_java() {
        let mut lists = Lists::default();
        lists.push(Retry::No, 2, 10, &[10, 11]);
        lists.push(Retry::V1, 0, 4, &[4]);
        assert_eq!(lists.starts, "0 2 10;1 0 4");
        assert_eq!(lists.offsets, "0 2 10,11;1 0 4");
    }

    #[test]
    fn retry_topics_of_both_versions_lead_back() {
        let topic = Str::from("a_b");
        for retry in [Retry::No, Retry::V1, Retry::V2] {
            let real = retry.real_topic(&topic, "g_1");
            assert_eq!(Retry::of(&real), retry);
            assert_eq!(normal_topic(&real, "g_1"), "a_b");
            assert_eq!(Retry::from_mark(&retry.mark().to_string()), Some(retry));
        }
        assert_eq!(normal_topic("%RETRY%other", "g_1"), "%RETRY%other");
        assert_eq!(Retry::from_mark("3"), None);
    }
}
