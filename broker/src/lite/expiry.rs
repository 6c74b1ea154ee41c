//! Lite topics to which nobody sends any more are removed after the time that their parent topic
//! says (`lite.topic.expiration`, minutes; Java: `LiteLifecycleManager`).

use super::names;
use crate::broker::Broker;
use crate::handlers::admin::lite::{expiration, groups_by_topic};
use crate::handlers::lite;
use crate::pop::order_info::At;
use message::Str;
use std::sync::atomic::Ordering;
use store::light;

const MINUTE_MS: i64 = 60_000;

/// Looks after lite topics and their readers, when that is due.
pub fn step(broker: &Broker, now_ms: i64) {
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
    let last_ms = broker.lite.looked_ms.load(Ordering::Relaxed);
    let is_young = now_ms.saturating_sub(broker.identity.boot_ms) < java.min_lite_ttl;
    let is_due = !(0..java.lite_ttl_check_interval).contains(&now_ms.saturating_sub(last_ms));
    if is_young || !is_due {
        return;
    }
    broker.lite.looked_ms.store(now_ms, Ordering::Relaxed);
    let mut expired = broker.store.topics();
    expired.retain(|queue| is_expired(broker, queue, (java.min_lite_ttl, now_ms)));
    remove(broker, &expired);
}

fn is_expired(broker: &Broker, queue: &str, (least_ms, now_ms): (i64, i64)) -> bool {
    let Some((parent, _)) = names::parts(queue) else { return false };
    let Some(topic) = broker.topics.find(parent) else { return false };
    let minutes = i64::from(expiration(&topic));
    let end = broker.store.max_offset(queue, light::QUEUE_ID);
    if minutes <= 0 || end <= 0 {
        return false;
    }
    // What is not in the log any more is old.
    let stored_ms = broker.store.store_time(queue, light::QUEUE_ID, end - 1).unwrap_or(0);
    now_ms.saturating_sub(stored_ms) > least_ms.max(minutes * MINUTE_MS)
}

/// Removes all lite topics of a parent topic.
pub fn remove_under(broker: &Broker, parent: &str) {
    let mut all = broker.store.topics();
    all.retain(|queue| names::parts(queue).is_some_and(|(of, _)| of == parent));
    remove(broker, &all);
}

fn remove(broker: &Broker, queues: &[Str]) {
    if queues.is_empty() {
        return;
    }
    tracing::info!(count = queues.len(), first = %queues[0], "lite topics are removed");
    let bound = groups_by_topic(broker);
    for queue in queues {
        let parent = names::parts(queue).map_or("", |(parent, _)| parent);
        for group in bound.get(parent).into_iter().flatten() {
            broker.lite.orders.clear(At { topic: queue, group, queue_id: light::QUEUE_ID });
        }
        broker.lite.forget_queue(queue);
        broker.offsets.remove_topic(queue);
    }
    if let Err(error) = broker.store.delete_topics(queues.iter().map(|queue| &**queue)) {
        tracing::error!(%error, "lite topics could not be removed");
    }
}

#[cfg(test)]
mod tests;
