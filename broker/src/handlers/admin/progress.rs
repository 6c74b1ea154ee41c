//! How far groups have come: by queue, by broker, by time.

use super::topics::existing;
use super::{failed, json};
use crate::broker::Broker;
use message::Str;
use message::ids::Civil;
use remoting::body::group::{GroupList, QuerySubscriptionResponseBody};
use remoting::body::offset::{
    ConsumeStats, ConsumeStatsList, OffsetWrapper, QueryConsumeTimeSpanBody, QueueTimeSpan,
};
use remoting::body::queue::MessageQueue;
use remoting::body::route::TopicList;
use remoting::body::stats::{BrokerStatsData, BrokerStatsItem};
use remoting::body::topic::TopicConfig;
use remoting::headers::admin::ViewBrokerStatsDataRequestHeader;
use remoting::headers::group::{
    GetConsumeStatsInBrokerHeader, GetConsumeStatsRequestHeader, QueryConsumeTimeSpanRequestHeader,
    QuerySubscriptionByConsumerRequestHeader, QueryTopicConsumeByWhoRequestHeader,
    QueryTopicsByConsumerRequestHeader,
};
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use std::collections::{BTreeMap, BTreeSet};

/// Queues that one answer names: it has some 16 MiB then, and clients take no larger frame.
const ROWS: usize = 131_072;

/// Code 208: how far a group is in the topics named, in the one topic named, or in all.
pub fn of_group(
    broker: &Broker,
    _: &Call<'_>,
    header: GetConsumeStatsRequestHeader,
) -> Result<Answer, Refusal> {
    let group = &header.consumer_group;
    let named = header.topic_list.as_deref().unwrap_or_default();
    let named: BTreeSet<String> =
        named.split(';').filter(|topic| !topic.is_empty()).map(str::to_owned).collect();
    let topics = match header.topic.as_deref() {
        _ if !named.is_empty() => named,
        Some(topic) if !topic.trim().is_empty() => {
            subscribed(broker, group, BTreeSet::from([topic.to_owned()]))
        }
        _ => subscribed(broker, group, broker.offsets.topics_of(group)),
    };
    let mut stats = ConsumeStats::default();
    for topic in topics.iter().filter_map(|topic| broker.topics.find(topic)) {
        check_rows(stats.offset_table.len(), topic.read_queue_nums, "topic by topic")?;
        add_queues(broker, group, &topic, topic.read_queue_nums, &mut stats);
    }
    Ok(json(&stats))
}

/// The topics that the group subscribes to among these; all while it has no member.
fn subscribed(broker: &Broker, group: &str, mut topics: BTreeSet<String>) -> BTreeSet<String> {
    if broker.clients.consumers(group).is_some_and(|of| !of.subscriptions.is_empty()) {
        topics.retain(|topic| broker.subscription(group, topic).is_some());
    }
    topics
}

/// Whether an answer that names so many queues has room for more.
fn check_rows(rows: usize, more: i32, ask: &str) -> Result<(), Refusal> {
    let more = usize::try_from(more).unwrap_or(0);
    if rows.saturating_add(more) <= ROWS {
        return Ok(());
    }
    Err(failed(format!("the answer would name more than {ROWS} queues: ask {ask}")))
}

fn add_queues(
    broker: &Broker,
    group: &str,
    topic: &TopicConfig,
    queues: i32,
    stats: &mut ConsumeStats,
) {
    let name = &topic.topic_name;
    let broker_name = Str::from(broker.settings().broker.broker_name.as_str());
    // Tools look in the earlier stays of a logical queue for what is -1 here.
    let nothing = if broker.mappings.find(name).is_some() { -1 } else { 0 };
    for queue_id in 0..queues {
        let consumed = broker.offsets.query(group, name, queue_id).unwrap_or(-1).max(nothing);
        let pulled = broker.offsets.query_pull(group, name, queue_id).unwrap_or(-1);
        let last = broker.store.store_time(name, queue_id, consumed - 1);
        let wrapper = OffsetWrapper {
            broker_offset: broker.store.max_offset(name, queue_id),
            consumer_offset: consumed,
            last_timestamp: last.filter(|time| consumed > 0 && *time > 0).unwrap_or(0),
            pull_offset: pulled.max(consumed),
        };
        let queue = MessageQueue::new(name.clone(), broker_name.clone(), queue_id);
        stats.offset_table.insert(queue, wrapper);
    }
    stats.consume_tps += broker.stats.pulled_per_second(name, group);
}

/// Code 317: how far every group is in every topic, ordered topics only on wish.
pub fn of_broker(
    broker: &Broker,
    _: &Call<'_>,
    header: GetConsumeStatsInBrokerHeader,
) -> Result<Answer, Refusal> {
    let mut list = ConsumeStatsList {
        broker_addr: Some(broker.identity.address.as_str().into()),
        ..ConsumeStatsList::default()
    };
    let mut rows = 0;
    for group in broker.groups.snapshot().subscription_group_table.into_keys() {
        let mut all = Vec::new();
        let topics = subscribed(broker, &group, broker.offsets.topics_of(&group));
        for topic in topics.iter().filter_map(|topic| broker.topics.find(topic)) {
            if header.is_order && !topic.order {
                continue;
            }
            let mut stats = ConsumeStats::default();
            check_rows(rows, topic.write_queue_nums, "group by group (consumerProgress -g)")?;
            add_queues(broker, &group, &topic, topic.write_queue_nums, &mut stats);
            rows += stats.offset_table.len();
            for wrapper in stats.offset_table.values_mut() {
                list.total_diff += wrapper.broker_offset - wrapper.consumer_offset;
                // Java leaves the pull offset of this answer at 0, so that the sum of messages in
                // flight comes out as minus all that was consumed. Ours says what it should.
                list.total_inflight_diff += wrapper.pull_offset - wrapper.consumer_offset;
            }
            all.push(stats);
        }
        list.consume_stats_list.push(BTreeMap::from([(group, all)]));
    }
    Ok(json(&list))
}

/// Code 303: from when to when a topic's queues have messages, and where the group is.
pub fn time_span(
    broker: &Broker,
    call: &Call<'_>,
    header: QueryConsumeTimeSpanRequestHeader,
) -> Result<Answer, Refusal> {
    let topic = &header.topic;
    let config = existing(broker, topic)?;
    let broker_name = Str::from(broker.settings().broker.broker_name.as_str());
    let span = |queue_id| {
        let time_of = |offset| broker.store.store_time(topic, queue_id, offset).unwrap_or(-1);
        let max = broker.store.max_offset(topic, queue_id);
        let earliest = broker.store.earliest_store_time(topic, queue_id).unwrap_or(-1);
        let consumed = broker.offsets.query(&header.group, topic, queue_id).unwrap_or(-1);
        let consumed_ms = if consumed > 0 { time_of(consumed - 1) } else { earliest };
        let waits = consumed < max;
        let text = |ms| Some(Str::from(local_time(ms, broker.store.settings().utc_offset_ms)));
        let newest = time_of(max - 1);
        QueueTimeSpan {
            consume_time_stamp: consumed_ms,
            consume_time_stamp_str: text(consumed_ms),
            delay_time: if waits { call.now_ms - time_of(consumed) } else { 0 },
            max_time_stamp: newest,
            max_time_stamp_str: text(newest),
            message_queue: Some(MessageQueue::new(topic.clone(), broker_name.clone(), queue_id)),
            min_time_stamp: earliest,
            min_time_stamp_str: text(earliest),
        }
    };
    let consume_time_span_set = (0..config.write_queue_nums).map(span).collect();
    Ok(json(&QueryConsumeTimeSpanBody { consume_time_span_set }))
}

/// `yyyy-MM-dd#HH:mm:ss:SSS` where the broker stands (Java: `UtilAll.formatDate`).
fn local_time(ms: i64, utc_offset_ms: i64) -> String {
    let local = Civil::of(ms.saturating_add(utc_offset_ms));
    let Civil { date: (year, month, day), time: (hour, minute, second, milli) } = local;
    format!("{year:04}-{month:02}-{day:02}#{hour:02}:{minute:02}:{second:02}:{milli:03}")
}

/// Code 300: the groups that subscribe to a topic or have consumed of it.
pub fn groups_of(
    broker: &Broker,
    _: &Call<'_>,
    header: QueryTopicConsumeByWhoRequestHeader,
) -> Result<Answer, Refusal> {
    let mut groups = broker.clients.groups_of(&header.topic);
    groups.extend(broker.offsets.groups_of(&header.topic));
    let group_list = groups.into_iter().map(Str::from).collect();
    Ok(json(&GroupList { group_list }))
}

/// Code 343: the topics that a group has consumed of.
pub fn topics_of(
    broker: &Broker,
    _: &Call<'_>,
    header: QueryTopicsByConsumerRequestHeader,
) -> Result<Answer, Refusal> {
    let topics = broker.offsets.topics_of(&header.group);
    Ok(json(&TopicList {
        broker_addr: Some(broker.identity.address.as_str().into()),
        topic_list: topics.into_iter().map(Str::from).collect(),
    }))
}

/// Code 345: what a group wants of a topic, as its heartbeats or its pulls say.
pub fn subscription(
    broker: &Broker,
    _: &Call<'_>,
    header: QuerySubscriptionByConsumerRequestHeader,
) -> Result<Answer, Refusal> {
    let topic = header.topic.as_deref().unwrap_or_default();
    let subscription_data = broker.subscription(&header.group, topic);
    Ok(json(&QuerySubscriptionResponseBody {
        group: Some(header.group),
        subscription_data,
        topic: header.topic,
    }))
}

/// Code 315: one statistic over its last minute, hour and day.
pub fn statistic(
    broker: &Broker,
    _: &Call<'_>,
    header: ViewBrokerStatsDataRequestHeader,
) -> Result<Answer, Refusal> {
    let ViewBrokerStatsDataRequestHeader { stats_name, stats_key } = &header;
    let settings = broker.settings();
    let cluster = &settings.broker.broker_cluster_name;
    let spans = broker
        .stats
        .spans(stats_name, stats_key, cluster)
        .ok_or_else(|| failed(format!("The stats <{stats_name}> <{stats_key}> not exist")))?;
    let [stats_minute, stats_hour, stats_day] = spans.map(|span| {
        Some(BrokerStatsItem {
            avgpt: span.average,
            sum: i64::try_from(span.sum).unwrap_or(i64::MAX),
            tps: span.per_second,
        })
    });
    Ok(json(&BrokerStatsData { stats_day, stats_hour, stats_minute }))
}

#[cfg(test)]
mod tests {
    use super::local_time;

    #[test]
    fn times_are_javas() {
        assert_eq!(local_time(1_700_000_000_123, 0), "2023-11-14#22:13:20:123");
        assert_eq!(local_time(1_700_000_000_123, 7_200_000), "2023-11-15#00:13:20:123");
        assert_eq!(local_time(-1, 0), "1969-12-31#23:59:59:999");
    }
}
