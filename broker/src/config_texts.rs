//! Which text under `config` a broker takes for a table, and which it passes over for its `.bak`:
//! the one rule for whoever opens a store and for whoever only looks at it.

use crate::assignment::{self, RequestModes};
use crate::delay::{self, Delays};
use crate::groups;
use crate::mappings::{self, Mappings};
use crate::offsets::{self, Offsets};
use crate::order::{self, Locks};
use crate::topics;
use remoting::body::group::SubscriptionGroupWrapper;
use remoting::body::topic::TopicConfigSerializeWrapper;
use remoting::json::from_body;
use serde::de::IgnoredAny;

/// Files that every broker has that has run for some seconds; `has` says whether there is one.
pub fn needed(has: impl Fn(&str) -> bool) -> [&'static str; 2] {
    let light = has(offsets::LIGHT_FILE) && !has(offsets::FILE);
    [topics::FILE, if light { offsets::LIGHT_FILE } else { offsets::FILE }]
}

/// What stands in every such file: a broker has topics and groups of its own from the start.
fn mark_of(name: &str) -> &'static str {
    match name {
        topics::FILE => "topicName",
        groups::FILE => "groupName",
        offsets::FILE | offsets::LIGHT_FILE | delay::FILE => "offsetTable",
        mappings::FILE => mappings::MARK,
        _ => "",
    }
}

/// Whether a text has what every file of that name has. One without is damaged, whatever else it
/// is.
pub fn has_mark(name: &str, text: &str) -> bool {
    text.contains(mark_of(name))
}

/// Whether the broker takes the text of a file.
///
/// # Errors
/// It does not, and this is why.
pub fn check(name: &str, text: &str) -> Result<(), String> {
    if !has_mark(name, text) {
        return Err(format!("there is no {:?} in it", mark_of(name)));
    }
    let bytes = text.as_bytes();
    match name {
        topics::FILE => from_body::<TopicConfigSerializeWrapper>(bytes).map(drop),
        groups::FILE => from_body::<SubscriptionGroupWrapper>(bytes).map(drop),
        offsets::FILE => Offsets::default().load(text),
        offsets::LIGHT_FILE => Offsets::with_light_queues(true).load(text),
        delay::FILE => Delays::load(text).map(drop),
        assignment::FILE => RequestModes::default().load(text),
        mappings::FILE => Mappings::default().load(text),
        order::FILE => Locks::default().load(text, 0),
        _ => from_body::<IgnoredAny>(bytes).map(drop),
    }
    .map_err(|error| error.to_string().replace("the body is no", "no"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_passes_over_is_named() {
        let good = [
            ("topics.json", r#"{"topicConfigTable":{"T":{"topicName":"T"}}}"#),
            ("consumerOffset.json", r#"{"offsetTable":{"T@g":{0:5,1:7}}}"#),
            ("delayOffset.json", r#"{"offsetTable":{1:5}}"#),
            ("other.json", "{}"),
        ];
        for (name, text) in good {
            assert_eq!(check(name, text), Ok(()), "{name}");
        }
        let bad = [
            ("topics.json", "{}"),
            ("topics.json", r#"{"topicConfigTable":{"T":{"topicName":"T""#),
            ("subscriptionGroup.json", "{}"),
            ("consumerOffset.json", "{}"),
            ("consumerOffset.json", r#"{"offsetTable":{"T@g":{0:"many"}}}"#),
            ("delayOffset.json", r#"{"offsetTable":5}"#),
            ("other.json", "{"),
        ];
        for (name, text) in bad {
            assert!(check(name, text).is_err(), "{name}: {text}");
        }
    }
}
