//! A consumer gives a message back: it comes again after a while, or is given up
//! (Java: `AbstractSendMessageProcessor.consumerSendMsgBack`).

use super::query;
use crate::broker::Broker;
use crate::put::{self, Effect, Pending, Sender, Waits};
use crate::topics::{self, PERM_WRITE, QUEUES_LIMIT};
use message::{
    Draft, Entry, Properties, Record, ids::MessageId, names, properties, property, record, sys_flag,
};
use remoting::body::topic::TopicConfig;
use remoting::codes::ResponseCode;
use remoting::headers::message::ConsumerSendMsgBackRequestHeader;
use remoting::reply::{Answer, Refusal, Reply, Ticket};
use remoting::router::Call;
use remoting::version::Version;
use std::sync::Arc;
use store::Append;

/// The delay level of a first retry when the consumer leaves it to us.
const FIRST_LEVEL: i32 = 3;

/// Code 36.
pub fn send_back(
    broker: &Broker,
    call: &Call<'_>,
    header: ConsumerSendMsgBackRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let group = &header.group;
    let Some(config) = broker.group(group, call.now_ms) else {
        let remark = format!("subscription group not exist, {group}");
        return Err(Refusal::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    };
    let settings = broker.settings();
    if settings.broker.broker_permission & PERM_WRITE == 0 {
        let remark =
            format!("the broker[{}] sending message is forbidden", broker.identity.address);
        return Err(Refusal::new(ResponseCode::NO_PERMISSION, remark));
    }
    if config.retry_queue_nums <= 0 {
        return Ok(Reply::Answer(Answer::success()));
    }
    let Ok(stored) = query::stored(broker, call, header.offset) else {
        return Ok(Reply::Effect(Effect::Block));
    };
    let unit = if header.unit_mode { topics::UNIT_SUB } else { 0 };
    let retry_topic = names::retry_topic(group);
    let retry = target(broker, call, &retry_topic, config.retry_queue_nums, unit)?;
    check_writable(&retry)?;

    let stored = stored.ok_or_else(|| unreadable(header.offset))?;
    let Ok(Entry::Message(origin)) = record::decode(&stored, false) else {
        return Err(unreadable(header.offset));
    };

    refuse_batch(&origin)?;
    let knows_limit = call.command.head.version >= Version::V3_4_9.0;
    let asked = header.max_reconsume_times.filter(|_| knows_limit);
    let given_up =
        origin.reconsume_times >= asked.unwrap_or(config.retry_max_times) || header.delay_level < 0;
    let mut draft = redelivery(broker, &stored, &origin);
    let mut delay_level = 0;
    if given_up {
        draft.topic = names::dlq_topic(group).into();
        draft.queue_id = 0;
        target(broker, call, &draft.topic, 1, 0)?;
    } else {
        draft.topic = retry_topic.into();
        draft.queue_id = broker.any(config.retry_queue_nums.min(QUEUES_LIMIT));
        delay_level = match header.delay_level {
            0 => FIRST_LEVEL + origin.reconsume_times,
            level => level,
        };
    }
    let mut all = Properties::parse(&draft.properties);
    all.set(property::DELAY, delay_level.to_string());
    draft.properties = all.encode();
    put::park(&mut draft, delay_level, false, &settings, call.now_ms)?;
    draft.check().map_err(|error| {
        Refusal::new(ResponseCode::SYSTEM_ERROR, format!("MESSAGE_ILLEGAL: {error}"))
    })?;
    let topic = all.get(property::RETRY_TOPIC).unwrap_or(origin.topic);
    if let Some(stats) = broker.stats_of(topic, group) {
        stats.sent_back(topic, group);
    }
    let ticket = Ticket::of(call.command);
    let sender =
        Sender::new(ticket, Waits::ForNothing, draft.queue_id, |broker, _, _, drafts, stored| {
            note(broker, drafts.first(), stored.log_end());
            Answer::success()
        });
    Ok(Reply::Effect(Effect::Append(Pending { append: Append::one(draft), sender })))
}

fn unreadable(log_offset: i64) -> Refusal {
    let remark = format!("look message by offset failed, {log_offset}");
    Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
}

/// The group goes on behind the message that it gave back.
fn note(broker: &Broker, back: Option<&Draft>, log_end: i64) {
    match back.and_then(group_of) {
        Some(group) => broker.moves.note(group, log_end),
        None => broker.moves.note_all(log_end),
    }
}

/// The group that a message was given back by, as its topic says, which waits in a property.
fn group_of(back: &Draft) -> Option<&str> {
    let parked = properties::find(&back.properties, property::REAL_TOPIC);
    names::group_of(parked.unwrap_or(&back.topic))
}

/// The record of an inner batch holds others too: clients send the one message that they could not
/// consume by themselves then.
fn refuse_batch(origin: &Record<'_>) -> Result<(), Refusal> {
    if origin.sys_flag & sys_flag::INNER_BATCH == 0 {
        return Ok(());
    }
    let remark = "MESSAGE_ILLEGAL: one message of an inner batch cannot be sent back by its place";
    Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark))
}

/// Whether clients may send to the topic. Nobody asks that of a dead-letter topic.
fn check_writable(topic: &TopicConfig) -> Result<(), Refusal> {
    if topic.perm & PERM_WRITE != 0 {
        return Ok(());
    }
    let remark = format!("the topic[{}] sending message is forbidden", topic.topic_name);
    Err(Refusal::new(ResponseCode::NO_PERMISSION, remark))
}

/// Finds or makes the topic that the message goes to.
fn target(
    broker: &Broker,
    call: &Call<'_>,
    topic: &str,
    queues: i32,
    unit: i32,
) -> Result<Arc<TopicConfig>, Refusal> {
    let made = broker.topic_for_retry(topic, queues, unit, call.now_ms);
    made.ok_or_else(|| {
        let remark = format!("topic[{topic}] not exist");
        Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
    })
}

/// The same message once more, one try later.
fn redelivery(broker: &Broker, stored: &bytes::Bytes, origin: &Record<'_>) -> Draft {
    let mut all = Properties::parse(origin.properties);
    if !all.contains(property::RETRY_TOPIC) {
        all.set(property::RETRY_TOPIC, origin.topic);
    }
    if all.get(property::ORIGIN_MESSAGE_ID).is_none_or(|id| id.trim().is_empty()) {
        let id = MessageId { store_host: origin.store_host, log_offset: origin.log_offset };
        all.set(property::ORIGIN_MESSAGE_ID, id.encode());
    }
    all.set(property::WAIT, "false");
    Draft {
        queue_id: 0,
        store_host: broker.identity.store_host,
        reconsume_times: origin.reconsume_times + 1,
        ..put::again(origin, stored, all)
    }
}
