//! What operators ask about lite topics (200074 to 200079; Java: `LiteManagerProcessor`).

use super::{UNSET_REMARK, invalid, json};
use crate::attributes;
use crate::broker::Broker;
use crate::handlers::lite as requests;
use crate::lite::names;
use message::Str;
use remoting::body::group::SubscriptionGroupConfig;
use remoting::body::lite::{
    ClientGroup, GetBrokerLiteInfoResponseBody, GetLiteClientInfoResponseBody,
    GetLiteGroupInfoResponseBody, GetLiteTopicInfoResponseBody, GetParentTopicInfoResponseBody,
    LiteLagInfo,
};
use remoting::body::offset::OffsetWrapper;
use remoting::body::topic::{TopicConfig, TopicOffset};
use remoting::codes::ResponseCode;
use remoting::headers::lite::{
    GetLiteClientInfoRequestHeader, GetLiteGroupInfoRequestHeader, GetLiteTopicInfoRequestHeader,
    GetParentTopicInfoRequestHeader, TriggerLiteDispatchRequestHeader,
};
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::light;

/// The most lite topics of a client that are told.
const TOLD: usize = 10_000;
/// The most lite topics of a group whose lag is told.
const LAGS: usize = 1_000;

/// Code 200074: how many there are of everything.
pub fn of_broker(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let settings = broker.settings();
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let topics = broker.topics.snapshot().topic_config_table;
    let lite = topics.iter().filter(|(_, topic)| attributes::is_lite(topic));
    Ok(json(&GetBrokerLiteInfoResponseBody {
        store_type: Some(Str::from_static("default")),
        max_lmq_num: settings.store.max_lmq_consume_queue_num,
        current_lmq_num: count(broker.store.light_queues()),
        lite_subscription_count: count(broker.lite.len()),
        order_info_count: count(broker.lite.orders.len()),
        cq_table_size: count(broker.store.topics().len()),
        offset_table_size: count(broker.offsets.len()),
        event_map_size: count(broker.lite.busy()),
        topic_meta: Some(lite.map(|(name, topic)| (name.clone(), expiration(topic))).collect()),
        group_meta: Some(groups_by_topic(broker)),
    }))
}

/// After how many minutes without a message a lite topic is removed, -1 for never.
pub fn expiration(topic: &TopicConfig) -> i32 {
    let minutes = topic.attributes.get(attributes::LITE_EXPIRATION);
    minutes.and_then(|minutes| minutes.parse().ok()).unwrap_or(-1)
}

/// The groups that are bound to a parent topic, by that.
pub fn groups_by_topic(broker: &Broker) -> BTreeMap<Str, BTreeSet<Str>> {
    let mut all: BTreeMap<Str, BTreeSet<Str>> = BTreeMap::new();
    for (name, group) in broker.groups.snapshot().subscription_group_table {
        if let Some(topic) = attributes::bound_to(&group) {
            all.entry(topic.clone()).or_default().insert(name);
        }
    }
    all
}

fn parent(broker: &Broker, topic: &str) -> Result<Arc<TopicConfig>, Refusal> {
    let Some(config) = broker.topics.find(topic) else {
        let remark = format!("Topic [{topic}] not exist.");
        return Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark));
    };
    if !attributes::is_lite(&config) {
        return Err(invalid(format!("Topic [{topic}] type not match.")));
    }
    Ok(config)
}

/// A field without which Java answers with an exception.
fn lacks(field: &str) -> Refusal {
    Refusal::new(ResponseCode::SYSTEM_ERROR, format!("the request lacks {field}"))
}

fn group(broker: &Broker, name: &str) -> Result<Arc<SubscriptionGroupConfig>, Refusal> {
    broker.groups.find(name).ok_or_else(|| {
        let remark = format!("Group [{name}] not exist.");
        Refusal::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark)
    })
}

/// The topic that a group of lite topics is bound to.
fn bound(config: &SubscriptionGroupConfig) -> Result<&Str, Refusal> {
    let bound = attributes::bound_to(config).filter(|topic| !topic.is_empty());
    let name = &config.group_name;
    bound.ok_or_else(|| invalid(format!("Group [{name}] is not a LITE group.")))
}

/// Code 200075: one parent topic.
pub fn of_parent(
    broker: &Broker,
    _: &Call<'_>,
    header: GetParentTopicInfoRequestHeader,
) -> Result<Answer, Refusal> {
    let topic = parent(broker, &header.topic)?;
    let name = &topic.topic_name;
    let is_under = |queue: &Str| names::parts(queue).is_some_and(|(parent, _)| *parent == **name);
    let count = broker.store.topics().iter().filter(|queue| is_under(queue)).count();
    Ok(json(&GetParentTopicInfoResponseBody {
        topic: Some(name.clone()),
        ttl: expiration(&topic),
        lmq_num: i32::try_from(broker.store.light_queues()).unwrap_or(i32::MAX),
        lite_topic_count: i32::try_from(count).unwrap_or(i32::MAX),
        groups: groups_by_topic(broker).remove(name),
    }))
}

/// Code 200076: one lite topic.
pub fn of_topic(
    broker: &Broker,
    _: &Call<'_>,
    header: GetLiteTopicInfoRequestHeader,
) -> Result<Answer, Refusal> {
    let parent_name = header.parent_topic.unwrap_or_default();
    parent(broker, &parent_name)?;
    let lite_topic = header.lite_topic.unwrap_or_default();
    let queue = names::queue(&parent_name, &lite_topic).unwrap_or_default();
    let max_offset = broker.store.max_offset(&queue, light::QUEUE_ID);
    let stored = broker.store.store_time(&queue, light::QUEUE_ID, max_offset - 1);
    let min_offset = broker.store.min_offset(&queue, light::QUEUE_ID);
    let readers = broker.lite.readers(&queue).into_iter();
    let subscriber = readers.map(|(group, client)| {
        let client = match requests::reads_all(broker, &group) {
            true => Str::from_static("*"),
            false => client,
        };
        ClientGroup { client_id: Some(client), group: Some(group) }
    });
    let mut subscriber: Vec<ClientGroup> = subscriber.collect();
    subscriber.dedup();
    Ok(json(&GetLiteTopicInfoResponseBody {
        parent_topic: Some(parent_name),
        lite_topic: Some(lite_topic),
        sharding_to_broker: true,
        subscriber: Some(subscriber),
        topic_offset: Some(TopicOffset {
            min_offset: if max_offset > 0 { min_offset } else { 0 },
            max_offset,
            last_update_timestamp: stored.filter(|_| max_offset > 0).unwrap_or(0),
        }),
    }))
}

/// Code 200077: the lite topics of one client.
pub fn of_client(
    broker: &Broker,
    _: &Call<'_>,
    header: GetLiteClientInfoRequestHeader,
) -> Result<Answer, Refusal> {
    let parent_name = header.parent_topic.ok_or_else(|| lacks("parentTopic"))?;
    parent(broker, &parent_name)?;
    let name = header.group.ok_or_else(|| lacks("group"))?;
    let config = group(broker, &name)?;
    if attributes::bound_to(&config) != Some(&parent_name) {
        return Err(invalid(format!("Subscription [{name}]-[{parent_name}] not match.")));
    }
    let client_id = header.client_id.ok_or_else(|| lacks("clientId"))?;
    if header.max_count < 1 {
        return Err(lacks("maxCount, 1 or more"));
    }
    let known = broker.lite.subscribed(&client_id);
    let most = usize::try_from(header.max_count).unwrap_or(0).min(TOLD);
    let count =
        known.as_ref().map_or(-1, |known| i32::try_from(known.queues.len()).unwrap_or(i32::MAX));
    Ok(json(&GetLiteClientInfoResponseBody {
        parent_topic: Some(parent_name),
        group: Some(name),
        client_id: Some(client_id),
        lite_topic_count: count,
        last_access_time: known.as_ref().and_then(|known| known.seen_ms).unwrap_or(-1),
        lite_topic_set: known.map(|known| known.queues.into_iter().take(most).collect()),
        ..GetLiteClientInfoResponseBody::default()
    }))
}

/// Code 200078: how far a group is, in one lite topic or in those where most is left.
pub fn of_group(
    broker: &Broker,
    _: &Call<'_>,
    header: GetLiteGroupInfoRequestHeader,
) -> Result<Answer, Refusal> {
    let config = group(broker, &header.group)?;
    let topic = bound(&config)?;
    let said = GetLiteGroupInfoResponseBody {
        group: Some(header.group.clone()),
        parent_topic: Some(topic.clone()),
        lite_topic: header.lite_topic.clone(),
        ..GetLiteGroupInfoResponseBody::default()
    };
    let lite_topic = header.lite_topic.unwrap_or_default();
    let Some(queue) = names::queue(topic, &lite_topic) else {
        if header.top_k < 1 {
            return Err(lacks("topK, 1 or more"));
        }
        let most = usize::try_from(header.top_k).unwrap_or(0).min(LAGS);
        return Ok(told(&lags(broker, &header.group, most, said)));
    };
    let end = broker.store.max_offset(&queue, light::QUEUE_ID);
    let stored = |offset| broker.store.store_time(&queue, light::QUEUE_ID, offset);
    if end <= 0 {
        let none = GetLiteGroupInfoResponseBody {
            total_lag_count: -1,
            earliest_unconsumed_timestamp: -1,
            ..said
        };
        return Ok(told(&none));
    }
    let done = broker.offsets.query(&header.group, &queue, light::QUEUE_ID);
    let Some(done) = done.filter(|done| *done >= 0) else { return Ok(told(&said)) };
    Ok(told(&GetLiteGroupInfoResponseBody {
        total_lag_count: end - done,
        earliest_unconsumed_timestamp: stored(done).unwrap_or(-1),
        lite_topic_offset_wrapper: Some(OffsetWrapper {
            broker_offset: end,
            consumer_offset: done,
            last_timestamp: stored(done - 1).filter(|_| done > 0).unwrap_or(0),
            ..OffsetWrapper::default()
        }),
        ..said
    }))
}

fn told(body: &GetLiteGroupInfoResponseBody) -> Answer {
    json(body).with_remark(UNSET_REMARK)
}

/// The lite topics where most is left. Those where something is left longest Java tells only with
/// `liteLagLatencyCollectEnable`.
fn lags(
    broker: &Broker,
    group: &str,
    most: usize,
    said: GetLiteGroupInfoResponseBody,
) -> GetLiteGroupInfoResponseBody {
    let mut total_lag_count = 0;
    let mut all = Vec::new();
    for queue in broker.offsets.topics_of(group) {
        let Some((_, lite_topic)) = names::parts(&queue) else { continue };
        let done = broker.offsets.query(group, &queue, light::QUEUE_ID).unwrap_or(0);
        let lag_count = broker.store.max_offset(&queue, light::QUEUE_ID) - done;
        if lag_count > 0 {
            total_lag_count += lag_count;
            let stored = broker.store.store_time(&queue, light::QUEUE_ID, done);
            all.push(LiteLagInfo {
                lite_topic: Some(Str::from(lite_topic.to_owned())),
                lag_count,
                earliest_unconsumed_timestamp: stored.unwrap_or(-1),
            });
        }
    }
    all.sort_by_key(|lag| std::cmp::Reverse(lag.lag_count));
    all.truncate(most);
    GetLiteGroupInfoResponseBody {
        total_lag_count,
        lag_count_top_k: Some(all),
        lag_timestamp_top_k: Some(Vec::new()),
        ..said
    }
}

/// Code 200079: clients of a group are offered anew what they have not consumed.
pub fn trigger(
    broker: &Broker,
    call: &Call<'_>,
    header: TriggerLiteDispatchRequestHeader,
) -> Result<Answer, Refusal> {
    let config = group(broker, &header.group)?;
    let topic = bound(&config)?.clone();
    let name = Str::from(header.group.to_string());
    let done = Answer::success().with_remark(UNSET_REMARK);
    if requests::reads_all(broker, &name) {
        requests::offer_all(broker, &name, &topic, call.now_ms);
        return Ok(done);
    }
    let one = header.client_id.filter(|client| !client.is_empty());
    let clients = one.map_or_else(|| broker.lite.clients_of(&name), |client| vec![client]);
    for known in clients.iter().filter_map(|client| broker.lite.subscribed(client)) {
        for queue in &known.queues {
            requests::offer(broker, Some(&*name), queue, call.now_ms);
        }
    }
    Ok(done)
}
