//! Attributes of topics and groups: which there are, and how a change (`+key=value,-key`) is
//! checked and made (Java: `AttributeUtil`, `AttributeParser`, `TopicAttributes`,
//! `SubscriptionGroupAttributes`). The texts of errors are Java's. What an attribute does stands
//! where it is read, not here.

use message::Str;
use message::names::{CLEANUP_POLICY, COMPACTION, INNER_BATCHES, QUEUE_TYPE};
use remoting::body::group::SubscriptionGroupConfig;
use remoting::body::topic::TopicConfig;
use std::collections::BTreeMap;

/// Attributes, as they are stored, or a change to them, whose keys begin with `+` or `-`.
pub type Attributes = BTreeMap<Str, Str>;

/// What values an attribute takes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    OneOf(&'static [&'static str]),
    Between(i64, i64),
    Boolean,
    Text,
}

/// An attribute that Java knows.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    key: &'static str,
    /// Whether it may change once the topic or group is there.
    changeable: bool,
    kind: Kind,
}

const fn fixed(key: &'static str, kind: Kind) -> Known {
    Known { key, changeable: false, kind }
}

const fn free(key: &'static str, kind: Kind) -> Known {
    Known { key, changeable: true, kind }
}

/// What kind of messages a topic is for.
pub const MESSAGE_TYPE: &str = "message.type";

/// Whether the queues of a topic hold inner batches.
pub fn holds_inner_batches(topic: &TopicConfig) -> bool {
    topic.attributes.get(QUEUE_TYPE).is_some_and(|kind| kind == INNER_BATCHES)
}

/// Whether only the newest message of each key of a topic is kept.
pub fn keeps_newest(topic: &TopicConfig) -> bool {
    topic.attributes.get(CLEANUP_POLICY).is_some_and(|policy| policy == COMPACTION)
}

/// Whether a change, as that which makes a topic, asks for such queues.
pub fn asks_for_inner_batches(change: &Attributes) -> bool {
    change.iter().any(|(key, kind)| {
        key.strip_prefix('+').is_some_and(|key| key == QUEUE_TYPE) && kind == INNER_BATCHES
    })
}

/// Messages of a topic that belong to lite topics under it.
const LITE: &str = "LITE";
/// After how many minutes without a message a lite topic is removed, -1 for never.
pub const LITE_EXPIRATION: &str = "lite.topic.expiration";
/// The parent topic whose lite topics a group reads.
const LITE_BOUND_TO: &str = "lite.bind.topic";
/// Whether one client of a group reads a lite topic at a time: `Exclusive`.
pub const LITE_MODEL: &str = "lite.sub.model";
/// Whether a group goes back to the first message where another client takes over.
pub const LITE_RESET_ON_EXCLUSION: &str = "lite.sub.reset.offset.exclusive";
/// Whether a group goes back to the first message where a client unsubscribes.
pub const LITE_RESET_ON_LEAVE: &str = "lite.sub.reset.offset.unsubscribe";
/// Lite topics that one client may be offered at a time.
pub const LITE_OFFERED_MOST: &str = "lite.sub.client.max.event.cnt";
/// Whether a group reads all lite topics of the topic that it is bound to, whatever the value.
pub const LITE_ALL: &str = "lite.sub.wildcard";

/// Whether a topic has lite topics under it.
pub fn is_lite(topic: &TopicConfig) -> bool {
    topic.attributes.get(MESSAGE_TYPE).is_some_and(|kind| kind == LITE)
}

/// The parent topic whose lite topics a group reads.
pub fn bound_to(group: &SubscriptionGroupConfig) -> Option<&Str> {
    group.attributes.get(LITE_BOUND_TO)
}

/// The attributes of a topic.
pub const TOPIC: &[Known] = &[
    fixed(QUEUE_TYPE, Kind::OneOf(&[INNER_BATCHES, "SimpleCQ"])),
    fixed(CLEANUP_POLICY, Kind::OneOf(&["DELETE", COMPACTION])),
    free(
        MESSAGE_TYPE,
        Kind::OneOf(&[
            "UNSPECIFIED",
            "NORMAL",
            "FIFO",
            "DELAY",
            "TRANSACTION",
            "PRIORITY",
            LITE,
            "MIXED",
        ]),
    ),
    free("reserve.time", Kind::Between(-1, i64::MAX)),
    free(LITE_EXPIRATION, Kind::Between(-1, 30 * 24 * 60)),
];

/// Of a hundred pops of a group so many read a topic of priorities by them.
pub const PRIORITY_FACTOR: &str = "priority.factor";

/// The attributes of a consumer group.
pub const GROUP: &[Known] = &[
    free(PRIORITY_FACTOR, Kind::Between(0, 100)),
    free(LITE_BOUND_TO, Kind::Text),
    free(LITE_MODEL, Kind::OneOf(&["Shared", "Exclusive"])),
    free(LITE_RESET_ON_EXCLUSION, Kind::Boolean),
    free(LITE_RESET_ON_LEAVE, Kind::Boolean),
    free("lite.sub.client.quota", Kind::Between(-1, i64::MAX)),
    free(LITE_OFFERED_MOST, Kind::Between(10, i64::MAX)),
    free(LITE_ALL, Kind::Text),
];

impl Known {
    fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::OneOf(values) if !values.contains(&value) => {
                Err(format!("value is not in set: [{}]", values.join(", ")))
            }
            Kind::Between(min, max) => match value.parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                Ok(_) => Err(format!("value is not in range({min}, {max})")),
                Err(_) => Err(format!("For input string: \"{value}\"")),
            },
            Kind::Boolean if !["true", "false"].iter().any(|b| b.eq_ignore_ascii_case(value)) => {
                Err("boolean attribute format is wrong.".into())
            }
            Kind::OneOf(_) | Kind::Boolean | Kind::Text => Ok(()),
        }
    }
}

/// Reads a change out of its text, `+key=value,-key`.
///
/// # Errors
/// When a part is neither of the two, or a key stands there twice.
pub fn parse(text: &str) -> Result<Attributes, String> {
    let mut change = Attributes::new();
    let text = text.trim_end_matches(',');
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (key, value) = match part.split_once('=') {
            Some((key, _)) if !key.contains('+') => {
                return Err(format!("add/alter attribute format is wrong: {key}"));
            }
            Some((key, value)) => (key, value.split('=').next().unwrap_or_default()),
            None if !part.contains('-') => {
                return Err(format!("delete attribute format is wrong: {part}"));
            }
            None => (part, ""),
        };
        if change.insert(key.into(), value.into()).is_some() {
            return Err(format!("key duplication: {key}"));
        }
    }
    Ok(change)
}

/// What `current` becomes by `change`; `current` is `None` while the topic or group is made.
///
/// # Errors
/// When a key is unknown, may not be changed, stands there twice, or has a value that it does not
/// take.
pub fn alter(
    known: &[Known],
    current: Option<&Attributes>,
    change: &Attributes,
) -> Result<Attributes, String> {
    let mut result = current.cloned().unwrap_or_default();
    let mut seen = Vec::with_capacity(change.len());
    for (signed, value) in change {
        let mut chars = signed.chars();
        let sign = chars.next();
        let key = chars.as_str();
        if key.is_empty() || key.contains(['+', '-']) {
            return Err("kv string format wrong.".into());
        }
        if seen.contains(&key) {
            return Err(format!("alter duplication key. key: {key}"));
        }
        seen.push(key);
        let adds = sign == Some('+');
        match current {
            None if !adds => {
                let what = "only add attribute is supported while creating topic. key";
                return Err(format!("{what}: {key}"));
            }
            Some(_) if !adds && sign != Some('-') => {
                return Err(format!("wrong format key: {key}"));
            }
            Some(current) if !adds && !current.contains_key(key) => {
                return Err(format!("attempt to delete a nonexistent key: {key}"));
            }
            _ => {}
        }
        let Some(attribute) = known.iter().find(|known| known.key == key) else {
            return Err(format!("unsupported key: {key}"));
        };
        if current.is_some() && !attribute.changeable {
            return Err(format!("attempt to update an unchangeable attribute. key: {key}"));
        }
        if adds {
            attribute.check(value)?;
            result.insert(key.into(), value.clone());
        } else {
            result.remove(key);
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(current: Option<&str>, change: &str, expected: Result<&str, &str>) {
        let stored = |text: &str| -> Attributes {
            let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            pairs.map(|(key, value)| (key.into(), value.into())).collect()
        };
        let current = current.map(stored);
        let altered = parse(change).and_then(|change| alter(TOPIC, current.as_ref(), &change));
        assert_eq!(altered, expected.map(stored).map_err(Into::into), "{change}");
    }

    #[test]
    fn a_new_topic_takes_what_it_is_given() {
        check(None, "", Ok(""));
        check(
            None,
            "+queue.type=BatchCQ,+message.type=FIFO",
            Ok("queue.type=BatchCQ,message.type=FIFO"),
        );
        check(None, "+message.type=FIFO,,", Ok("message.type=FIFO"));
        check(None, ",", Ok(""));
        check(None, "+queue.type=Other", Err("value is not in set: [BatchCQ, SimpleCQ]"));
        check(None, "+colour=red", Err("unsupported key: colour"));
        check(
            None,
            "-message.type",
            Err("only add attribute is supported while creating topic. key: message.type"),
        );
    }

    #[test]
    fn an_old_topic_keeps_what_must_stay() {
        check(
            Some("queue.type=BatchCQ"),
            "+message.type=DELAY",
            Ok("queue.type=BatchCQ,message.type=DELAY"),
        );
        check(Some("message.type=FIFO"), "-message.type", Ok(""));
        check(Some("message.type=FIFO"), "+message.type=NORMAL", Ok("message.type=NORMAL"));
        let unchangeable = "attempt to update an unchangeable attribute. key: queue.type";
        check(Some("queue.type=BatchCQ"), "+queue.type=SimpleCQ", Err(unchangeable));
        check(Some(""), "-message.type", Err("attempt to delete a nonexistent key: message.type"));
        check(Some(""), "+reserve.time=-2", Err("value is not in range(-1, 9223372036854775807)"));
        check(Some(""), "+reserve.time=x", Err("For input string: \"x\""));
    }

    #[test]
    fn texts_that_are_no_change() {
        check(
            Some(""),
            "message.type=FIFO",
            Err("add/alter attribute format is wrong: message.type"),
        );
        check(Some(""), "message", Err("delete attribute format is wrong: message"));
        check(Some(""), "+a=1,+a=2", Err("key duplication: +a"));
        check(
            Some("message.type=FIFO"),
            "+message.type=DELAY,-message.type",
            Err("alter duplication key. key: message.type"),
        );
        check(Some(""), "+", Err("delete attribute format is wrong: +"));
        check(Some(""), "-", Err("kv string format wrong."));
    }
}
