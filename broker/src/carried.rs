//! `Carried`: subscriptions that came with pulls (Java: `ConsumerManager.compensateSubscribeData`).
//! Consumers that pull themselves name none in their heartbeats; operators still want to see what
//! they read. A pull that says what the one before it said costs a look. Not here: subscriptions
//! of heartbeats ([`crate::clients`]), which come first.

use crate::subscription;
use message::{Lookup, Str};
use parking_lot::RwLock;
use remoting::body::heartbeat::SubscriptionData;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Subscriptions that are remembered at most; Java has no bound.
const LIMIT: usize = 16_384;
/// The longest expression that is remembered, bytes.
const TEXT_LIMIT: usize = 4_096;

/// What the pulls of each group carried, by topic.
#[derive(Debug, Default)]
pub struct Carried {
    groups: RwLock<Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    by_name: Lookup<Str, Lookup<Str, Known>>,
    /// How many subscriptions all of these have.
    count: usize,
}

#[derive(Debug)]
struct Known {
    text: Str,
    data: Arc<SubscriptionData>,
    pulled_ms: AtomicI64,
}

impl Carried {
    /// The subscription that came with a pull, by the name of its language and its text,
    /// remembered if there is room; `None` when it is none ([`subscription::build`]). Whether a
    /// text of another language than that of tags is an expression does not matter.
    pub fn learn(
        &self,
        group: &str,
        topic: &str,
        (kind, text): (&str, &str),
        now_ms: i64,
    ) -> Option<Arc<SubscriptionData>> {
        let groups = self.groups.read();
        let known = groups.by_name.get(group).and_then(|topics| topics.get(topic));
        let is_same = |known: &&Known| {
            known.text == *text && known.data.expression_type.as_deref() == Some(kind)
        };
        if let Some(known) = known.filter(is_same) {
            known.pulled_ms.store(now_ms, Ordering::Relaxed);
            return Some(Arc::clone(&known.data));
        }
        let has_room = known.is_some() || groups.count < LIMIT;
        drop(groups);
        // Copies: a piece of the request would keep all of its bytes.
        let data = Arc::new(subscription::build(&Str::from(topic), text, kind)?);
        // At the limit this is all that a pull costs of one that is not known.
        if has_room && text.len() + kind.len() <= TEXT_LIMIT {
            let data = Arc::clone(&data);
            let known = Known { text: text.into(), data, pulled_ms: AtomicI64::new(now_ms) };
            self.remember(group, topic, known);
        }
        Some(data)
    }

    fn remember(&self, group: &str, topic: &str, known: Known) {
        let groups = &mut *self.groups.write();
        let of_group = groups.by_name.get(group);
        let is_new = of_group.is_none_or(|topics| !topics.contains_key(topic));
        if is_new && groups.count >= LIMIT {
            return;
        }
        groups.count += usize::from(is_new);
        groups.by_name.entry(group.into()).or_default().insert(topic.into(), known);
    }

    /// What the last pull of the group carried for the topic; its version is the time of that pull
    /// (ms since 1970).
    pub fn find(&self, group: &str, topic: &str) -> Option<SubscriptionData> {
        let groups = self.groups.read();
        let known = groups.by_name.get(group)?.get(topic)?;
        let sub_version = known.pulled_ms.load(Ordering::Relaxed);
        Some(SubscriptionData { sub_version, ..(*known.data).clone() })
    }

    /// Forgets what no pull has carried for `timeout_ms` (Java: `subscriptionExpiredTimeout`).
    pub fn expire(&self, timeout_ms: i64, now_ms: i64) {
        let Groups { by_name, count } = &mut *self.groups.write();
        *count = 0;
        by_name.retain(|_, topics| {
            topics
                .retain(|_, known| now_ms - known.pulled_ms.load(Ordering::Relaxed) <= timeout_ms);
            *count += topics.len();
            !topics.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoting::body::heartbeat::TAG;

    #[test]
    fn the_last_pull_counts_and_the_same_again_builds_nothing() {
        let carried = Carried::default();
        let first = carried.learn("g", "T", (TAG, "A || B"), 1).unwrap();
        let again = carried.learn("g", "T", (TAG, "A || B"), 2).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let found = carried.find("g", "T").unwrap();
        assert_eq!((found.sub_version, found.sub_string.as_deref()), (2, Some("A || B")));
        let last = carried.learn("g", "T", (TAG, "C"), 3).unwrap();
        assert_eq!(last.tags_set, ["C".into()].into());
        assert_eq!(carried.find("g", "T").unwrap().tags_set, ["C".into()].into());
        assert_eq!(carried.find("g", "U"), None);
        assert_eq!(carried.learn("g", "T", (TAG, "||"), 4), None);
        // The same text in another language is another one, also where it is no expression.
        for kind in ["SQL92", "", "NONE"] {
            assert!(carried.learn("g", "T", (kind, "C"), 5).unwrap().tags_set.is_empty());
            let found = carried.find("g", "T").unwrap();
            assert_eq!(found.expression_type.as_deref(), Some(kind));
            assert_eq!(carried.learn("g", "T", (kind, ""), 6), None);
        }
    }

    #[test]
    fn what_is_remembered_has_bounds_and_an_end() {
        let carried = Carried::default();
        assert!(carried.learn("g", "long", (TAG, &"x".repeat(TEXT_LIMIT + 1)), 1).is_some());
        assert!(carried.learn("g", "long", (&"x".repeat(TEXT_LIMIT), "*"), 1).is_some());
        assert_eq!(carried.find("g", "long"), None);
        for number in 0..=LIMIT {
            assert!(carried.learn("g", &number.to_string(), (TAG, "*"), 1).is_some());
        }
        assert!(carried.find("g", "16383").is_some());
        assert_eq!(carried.find("g", "16384"), None);
        // For which no pull waits that looks something up.
        std::thread::scope(|scope| {
            let (learned, done) = std::sync::mpsc::channel();
            let _looks = carried.groups.read();
            let carried = &carried;
            scope.spawn(move || learned.send(carried.learn("g", "16384", (TAG, "*"), 1).is_some()));
            let done = done.recv_timeout(std::time::Duration::from_secs(10));
            assert_eq!(done, Ok(true), "it waits for a lock that all share");
        });
        // What is known takes no more room.
        carried.learn("g", "7", (TAG, "A"), 5);
        carried.expire(10, 11);
        assert!(carried.find("g", "8").is_some());
        carried.expire(10, 12);
        assert_eq!(carried.find("g", "8"), None);
        assert!(carried.find("g", "7").is_some());
        for number in 1..=LIMIT {
            carried.learn("other", &number.to_string(), (TAG, "*"), 20);
        }
        assert!(carried.find("other", "16383").is_some(), "what was forgotten left its room");
        assert_eq!(carried.find("other", "16384"), None);
        carried.expire(10, 100);
        let groups = carried.groups.read();
        assert!(groups.by_name.is_empty() && groups.count == 0);
    }
}
