//! Lite topics to which nobody sends any more are removed after the time that their parent topic
//! says (`lite.topic.expiration`, minutes; Java: `LiteLifecycleManager`).

use super::names;
use crate::attributes;
use crate::broker::Broker;
use crate::due::is_due;
use crate::handlers::admin::lite::{expiration, groups_by_topic};
use crate::handlers::lite;
use crate::pop::order_info::At;
use message::{Str, record};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use store::{Position, light};

const MINUTE_MS: i64 = 60_000;

/// Light queues that are removed together; sends get in between.
const TOGETHER: usize = 100;

/// Looks after the readers of lite topics.
pub fn readers(broker: &Broker, now_ms: i64) {
    let java = &broker.settings().broker;
    for client in broker.lite.silent(java.lite_subscription_check_timeout_mills, now_ms) {
        lite::leave(broker, &client, now_ms);
    }
    for left in broker.lite.take_back(now_ms) {
        for queue in &left.queues {
            let to = (queue, Some(&*left.client));
            lite::offer_rather(broker, Some(&*left.group), to, now_ms);
        }
    }
}

/// Removes what has expired, when that is due, while it `goes_on`. That takes a while where there
/// is much of it.
pub fn step(broker: &Broker, goes_on: &dyn Fn() -> bool, now_ms: i64) {
    let java = &broker.settings().broker;
    let last_ms = broker.lite.looked_ms.load(Ordering::Relaxed);
    let is_young = now_ms.saturating_sub(broker.identity.boot_ms) < java.min_lite_ttl;
    if is_young || !is_due(now_ms, last_ms, java.lite_ttl_check_interval) {
        return;
    }
    broker.lite.looked_ms.store(now_ms, Ordering::Relaxed);
    for some in expired(broker, java.min_lite_ttl, now_ms).chunks(TOGETHER) {
        if !goes_on() {
            return;
        }
        remove(broker, some);
    }
}

/// The light queues that have expired, with their ends.
fn expired(broker: &Broker, least_ms: i64, now_ms: i64) -> Vec<(Str, i64)> {
    let end = |queue: Str| {
        let end = expired_end(broker, &queue, (least_ms, now_ms))?;
        Some((queue, end))
    };
    broker.store.topics().into_iter().filter_map(end).collect()
}

/// The end of a light queue that has expired.
fn expired_end(broker: &Broker, queue: &str, (least_ms, now_ms): (i64, i64)) -> Option<i64> {
    let (parent, _) = names::parts(queue)?;
    let topic = broker.topics.find(parent).filter(|topic| attributes::is_lite(topic))?;
    let minutes = i64::from(expiration(&topic));
    let end = broker.store.max_offset(queue, light::QUEUE_ID);
    if minutes <= 0 || end <= 0 {
        return None;
    }
    let is_gone = broker.store.min_offset(queue, light::QUEUE_ID) >= end;
    let stored_ms = if is_gone { 0 } else { newest_ms(broker, queue, end)? };
    let age_ms = now_ms.saturating_sub(stored_ms);
    (age_ms > least_ms.max(minutes * MINUTE_MS)).then_some(end)
}

/// When the last message before `end` was stored.
fn newest_ms(broker: &Broker, queue: &str, end: i64) -> Option<i64> {
    let newest = Position { topic: queue, queue_id: light::QUEUE_ID, offset: end - 1 };
    // Where that message is lost, or cannot be read now, nobody knows how old the queue is: the
    // others of it may be young. It goes with its log files at the latest.
    let (newest, _) = broker.store.message_in(newest).ok().flatten()?;
    record::store_timestamp(&newest)
}

/// Removes light queues, unless messages came to them since they had these ends.
fn remove(broker: &Broker, expired: &[(Str, i64)]) {
    if expired.is_empty() {
        return;
    }
    let queues: Vec<(&str, i64)> = expired.iter().map(|(queue, end)| (&**queue, *end)).collect();
    match broker.store.delete_light(&queues) {
        Ok(gone) => forget(broker, &gone.into_iter().collect()),
        Err(error) => tracing::error!(%error, "lite topics could not be removed"),
    }
}

/// Removes all lite topics of a parent topic.
pub fn remove_under(broker: &Broker, parent: &str) {
    let mut all = broker.store.topics();
    all.retain(|queue| names::parts(queue).is_some_and(|(of, _)| of == parent));
    for some in all.chunks(TOGETHER) {
        let some: HashSet<&str> = some.iter().map(|queue| &**queue).collect();
        match broker.store.delete_topics(some.iter().copied()) {
            Ok(_) => forget(broker, &some),
            Err(error) => tracing::error!(%error, "lite topics could not be removed"),
        }
    }
}

/// Forgets what is known of light queues that are gone.
fn forget(broker: &Broker, queues: &HashSet<&str>) {
    let Some(first) = queues.iter().min() else { return };
    tracing::info!(count = queues.len(), first, "lite topics are removed");
    broker.offsets.retain(|_, topic, _| !queues.contains(topic));
    let bound = groups_by_topic(broker);
    for queue in queues {
        let parent = names::parts(queue).map_or("", |(parent, _)| parent);
        let queue = Str::from((*queue).to_owned());
        for group in bound.get(parent).into_iter().flatten() {
            broker.lite.orders.clear(At { topic: &queue, group, queue_id: light::QUEUE_ID });
        }
        broker.lite.forget_queue(&queue);
    }
}

#[cfg(test)]
mod tests;
