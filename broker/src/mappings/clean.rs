//! Forgets stays of logical queues that have nothing left, in the hours of `deleteWhen` (Java:
//! `TopicQueueMappingCleanService`). It asks other brokers, and runs on a thread that may wait.

use super::stays;
use crate::broker::Broker;
use crate::mappings::FILE;
use crate::others;
use message::Str;
use remoting::body::mapping::{LogicQueueMappingItem, TopicQueueMappingDetail};
use remoting::body::queue::MessageQueue;
use remoting::body::topic::{TopicConfigAndQueueMapping, TopicStatsTable};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::headers::base::TopicFields;
use remoting::headers::topic::{GetTopicConfigRequestHeader, GetTopicStatsInfoRequestHeader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;

/// One round, if this is the hour for it.
pub fn round(broker: &Broker, now_ms: i64) {
    let settings = broker.store.settings();
    let hour = now_ms.saturating_add(settings.utc_offset_ms).div_euclid(HOUR_MS).rem_euclid(24);
    if settings.delete_hours.iter().any(|when| i64::from(*when) == hour) {
        of_all(broker, now_ms);
    }
}

/// One round, whatever the hour.
pub fn of_all(broker: &Broker, now_ms: i64) {
    for mapping in broker.mappings.all() {
        let topic = mapping.topic.clone().unwrap_or_default();
        let Some(new) = without_empty(broker, &mapping) else { continue };
        taken(broker, &topic, &mapping, new, now_ms);
    }
    for mapping in broker.mappings.all() {
        let topic = mapping.topic.clone().unwrap_or_default();
        let gone = moved_on(broker, &topic, &mapping);
        if gone.is_empty() {
            continue;
        }
        let mut new = (*mapping).clone();
        new.hosted_queues.retain(|id, _| !gone.contains(id));
        taken(broker, &topic, &mapping, new, now_ms);
    }
}

fn taken(
    broker: &Broker,
    topic: &str,
    old: &Arc<TopicQueueMappingDetail>,
    new: TopicQueueMappingDetail,
    now_ms: i64,
) {
    let count = |mapping: &TopicQueueMappingDetail| -> usize {
        mapping.hosted_queues.values().map(Vec::len).sum()
    };
    let (had, has) = (count(old), count(&new));
    let save = |text: &str| broker.save_ordered(FILE, text);
    if broker.mappings.cleaned(old, new, now_ms, save) {
        tracing::info!(topic, forgotten = had - has, "stays of logical queues forgotten");
    }
}

/// The mapping without first stays that never had a message; `None` when there is none.
fn without_empty(
    broker: &Broker,
    mapping: &TopicQueueMappingDetail,
) -> Option<TopicQueueMappingDetail> {
    let led = |of: &[LogicQueueMappingItem]| of.last().is_some_and(|to| to.bname == mapping.bname);
    let mut tables: BTreeMap<Str, Option<TopicStatsTable>> = BTreeMap::new();
    let mut new = mapping.clone();
    let mut changed = false;
    for of_queue in new.hosted_queues.values_mut() {
        let [first, second, ..] = &of_queue[..] else { continue };
        if !led(of_queue) || !stays::is_decided(second) {
            continue;
        }
        // Groups may have committed in one whose messages are gone; what they did there counts on.
        if end(broker, mapping, first, &mut tables) == Some(0) {
            of_queue.remove(0);
            changed = true;
        }
    }
    changed.then_some(new)
}

/// Where the queue of a stay ends; `None` when its broker cannot say.
fn end(
    broker: &Broker,
    mapping: &TopicQueueMappingDetail,
    stay: &LogicQueueMappingItem,
    tables: &mut BTreeMap<Str, Option<TopicStatsTable>>,
) -> Option<i64> {
    let topic = mapping.topic.clone().unwrap_or_default();
    if stay.bname == mapping.bname {
        return Some(broker.store.max_offset(&topic, stay.queue_id));
    }
    let name = stay.bname.clone()?;
    let table = tables.entry(name.clone()).or_insert_with(|| {
        let header =
            GetTopicStatsInfoRequestHeader { topic: topic.clone(), base: fields(&name, false) };
        body(broker, &name, RequestCode::GET_TOPIC_STATS_INFO, &header)
    });
    let queue = MessageQueue::new(topic.clone(), name, stay.queue_id);
    table.as_ref()?.offset_table.get(&queue).map(|ends| ends.max_offset)
}

/// Queues that have left this broker, and since then the broker that they went to: nobody comes
/// here for them any more.
fn moved_on(broker: &Broker, topic: &Str, mapping: &TopicQueueMappingDetail) -> BTreeSet<i32> {
    let left = mapping.hosted_queues.iter().filter_map(|(id, of)| {
        let to = of.last()?.bname.clone()?;
        (Some(&to) != mapping.bname.as_ref()).then_some((*id, to))
    });
    let left: BTreeMap<i32, Str> = left.collect();
    if left.is_empty() {
        return BTreeSet::new();
    }
    let route = broker.others().route(topic.clone());
    let Some(told) = route.and_then(|route| route.topic_queue_mapping_by_broker) else {
        return BTreeSet::new();
    };
    let leader = |id: i32| {
        let leaders = told.iter().filter(|(_, info)| info.curr_id_map.contains_key(&id));
        leaders.max_by_key(|(_, info)| info.epoch).map(|(name, _)| name.clone())
    };
    let mut mappings: BTreeMap<Str, Option<TopicQueueMappingDetail>> = BTreeMap::new();
    let is_gone = |(id, to): (i32, Str)| {
        let real = leader(id).filter(|real| *real != to)?;
        let theirs = mappings.entry(real.clone()).or_insert_with(|| {
            let base = fields(&real, true);
            let header = GetTopicConfigRequestHeader { topic: topic.clone(), base };
            let body: Option<TopicConfigAndQueueMapping> =
                body(broker, &real, RequestCode::GET_TOPIC_CONFIG, &header);
            body.and_then(|body| body.mapping_detail)
        });
        let theirs = theirs.as_ref().filter(|theirs| {
            (theirs.total_queues, theirs.epoch) == (mapping.total_queues, mapping.epoch)
        })?;
        let leads = theirs.hosted_queues.get(&id)?.last()?.bname.as_ref() == Some(&real);
        leads.then_some(id)
    };
    left.into_iter().filter_map(is_gone).collect()
}

fn fields(broker_name: &Str, logical: bool) -> TopicFields {
    let broker_name = Some(broker_name.clone());
    TopicFields { logical: Some(logical), broker_name, ..TopicFields::default() }
}

/// What another broker says, if it does.
fn body<T: serde::de::DeserializeOwned>(
    broker: &Broker,
    name: &str,
    code: RequestCode,
    header: &impl remoting::flat::Header,
) -> Option<T> {
    match others::ask(broker.others(), name, code, header) {
        Ok(answer) if answer.response_code() == ResponseCode::SUCCESS => {
            remoting::json::from_body(&answer.body).ok()
        }
        Ok(answer) => {
            tracing::warn!(broker = name, code = ?answer.response_code(), "refused");
            None
        }
        Err(refusal) => {
            tracing::warn!(remark = refusal.remark, "stays of logical queues are kept");
            None
        }
    }
}
