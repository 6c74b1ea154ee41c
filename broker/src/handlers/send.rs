//! Sends: one message in either header form, a batch, answered or oneway
//! (Java: `SendMessageProcessor`).
//!
//! A handler here only checks and prepares. The shell appends what all requests of one read want
//! stored with one hold of the append lock, and the answers are made by `answer` afterwards.

use crate::broker::Broker;
use crate::handlers::missing;
use crate::mappings::{LogicalQueue, stays};
use crate::put::{self, Effect, Pending, Sender, Waits, Wishes};
use crate::timer::accept;
use crate::timer::handle::Handle;
use crate::topics::{self, PERM_WRITE, Shape, Wanted};
use crate::trace;
use crate::transactions;
use bytes::Bytes;
use message::{
    Draft, Properties, Str, batch, ids::MessageId, names, properties, property, sys_flag,
};
use remoting::codes::ResponseCode;
use remoting::flat::Header;
use remoting::headers::send::{
    SendMessageRequestHeader, SendMessageRequestHeaderV2, SendMessageResponseHeader,
};
use remoting::reply::{Answer, Refusal, Reply, Ticket};
use remoting::router::Call;
use remoting::version::Version;
use settings::BrokerSettings;
use std::sync::Arc;
use store::{Append, Appended};

/// Queues of a dead-letter topic.
const DLQ_QUEUES: i32 = 1;

/// Code 10: the header with long keys.
pub fn send<'a>(
    broker: &Broker,
    call: &Call<'a>,
    header: SendMessageRequestHeader<'a>,
) -> Result<Reply<Effect>, Refusal> {
    check_named::<SendMessageRequestHeader<'_>>(call, header.topic, "topic")?;
    send_any(broker, call, header)
}

/// Whether a send names its topic: a reply without one is refused as one of an empty name.
fn check_named<H: Header>(call: &Call<'_>, topic: &str, key: &'static str) -> Result<(), Refusal> {
    match topic.is_empty() && call.command.fields.get(key).is_none() {
        true => Err(missing::<H>(key)),
        false => Ok(()),
    }
}

fn send_any<'a>(
    broker: &Broker,
    call: &Call<'a>,
    header: SendMessageRequestHeader<'a>,
) -> Result<Reply<Effect>, Refusal> {
    let prepared = match logical_queue(broker, &header) {
        Ok(None) => prepare_any(broker, call, header),
        Ok(Some(queue)) => prepare_in(broker, call, &queue, header),
        Err(refusal) => return Err(refusal),
    };
    // Java's clients read these two from every answer to a send, errors included but for the one
    // above.
    Ok(match prepared {
        Ok(pending) => Reply::Effect(Effect::Append(pending)),
        Err(refusal) => Reply::Answer(stamped(broker, refusal.into())),
    })
}

fn prepare_any(
    broker: &Broker,
    call: &Call<'_>,
    header: SendMessageRequestHeader<'_>,
) -> Result<Pending, Refusal> {
    match header.batch {
        Some(true) => prepare_batch(broker, call, header),
        _ => prepare(broker, call, header),
    }
}

/// The queue of a static topic that a send names, or any that this broker leads.
fn logical_queue(
    broker: &Broker,
    header: &SendMessageRequestHeader<'_>,
) -> Result<Option<LogicalQueue>, Refusal> {
    let (topic, logical) = (header.topic, header.base.logical);
    if header.queue_id >= 0 {
        return broker.mappings.queue(topic, header.queue_id, logical);
    }
    let mapping = broker.mappings.find(topic).filter(|_| logical != Some(false));
    let Some(mapping) = mapping else { return Ok(None) };
    let led = |id: &i32| LogicalQueue::of(Arc::clone(&mapping), *id).ok();
    let mut all: Vec<LogicalQueue> = mapping.hosted_queues.keys().filter_map(led).collect();
    let Ok(count) = i32::try_from(all.len()) else { return Ok(None) };
    match usize::try_from(broker.any(count)) {
        Ok(any) if any < all.len() => Ok(Some(all.swap_remove(any))),
        _ => LogicalQueue::of(mapping, -1).map(Some),
    }
}

/// Messages to a queue of a static topic: stored in the queue of this broker where it is.
fn prepare_in(
    broker: &Broker,
    call: &Call<'_>,
    queue: &LogicalQueue,
    header: SendMessageRequestHeader<'_>,
) -> Result<Pending, Refusal> {
    let stay = queue.leader().clone();
    let header = SendMessageRequestHeader { queue_id: stay.queue_id, ..header };
    let topic = header.topic;
    let mut pending = prepare_any(broker, call, header)?;
    pending.sender.queue_id = queue.id();
    // What waits in a queue of the system's is told its place there: a client ends its transaction
    // with it.
    let is_there = pending.append.drafts.as_slice().iter().all(|draft| *draft.topic == *topic);
    pending.sender.stay = is_there.then(|| Box::new(stay));
    Ok(pending)
}

/// Codes 310 and 320: the header with one-letter keys.
pub fn send_v2<'a>(
    broker: &Broker,
    call: &Call<'a>,
    header: SendMessageRequestHeaderV2<'a>,
) -> Result<Reply<Effect>, Refusal> {
    check_named::<SendMessageRequestHeaderV2<'_>>(call, header.topic, "b")?;
    send_any(broker, call, header.into())
}

pub(super) fn stamped(broker: &Broker, mut answer: Answer) -> Answer {
    stamp(&broker.settings(), &mut answer);
    answer
}

fn stamp(settings: &BrokerSettings, answer: &mut Answer) {
    answer.fields.push(property::MSG_REGION, settings.broker.region_id.as_str());
    answer.fields.push(property::TRACE_ON, if settings.broker.trace_on { "true" } else { "false" });
}

/// One message.
fn prepare(
    broker: &Broker,
    call: &Call<'_>,
    header: SendMessageRequestHeader<'_>,
) -> Result<Pending, Refusal> {
    let settings = broker.settings();
    let topic = check(broker, &settings, call, &header)?;
    let sent = header.properties.unwrap_or_default();
    check_key(sent, topic)?;
    let mut wishes = Wishes::of(sent.as_bytes());
    let asked =
        wishes.priority.map(|priority| priority.min(topic.write_queue_nums.saturating_sub(1)));
    let queue_id = queue(broker, topic, asked.unwrap_or(header.queue_id));
    // Clients before 4.6.1 send a committed one to its retry topic as they got it.
    let is_again = header.reconsume_times.unwrap_or(0) > 0 && wishes.delay_level > 0;
    let is_half = wishes.prepared && !is_again;
    if is_half && settings.broker.reject_transaction_message {
        let address = &settings.broker.broker_ip1;
        let remark = format!("the broker[{address}] sending transaction message is forbidden");
        return Err(Refusal::new(ResponseCode::NO_PERMISSION, remark));
    }
    check_wishes(&wishes, sent, (&header, &call.command.body), topic)?;
    let mut draft = draft(broker, call, &header);
    draft.queue_id = queue_id;
    draft.sys_flag = flags(header.sys_flag, topic);
    draft.properties = put::stamped(broker, call.room, sent, &wishes, call.now_ms);
    if wishes.lite {
        put::name_lite(&mut draft)?;
    }
    if names::is_retry(header.topic) {
        retry(broker, call, &header, &mut draft, &mut wishes)?;
    }
    let answer_queue_id = draft.queue_id;
    if is_half {
        if wishes.timer && wishes.delay_level <= 0 {
            accept::check_half(&draft, &settings, call.now_ms)?;
        }
        transactions::half(&mut draft);
        // Its commit waits.
        (wishes.delay_level, wishes.timer) = (0, false);
    }
    put::park(&mut draft, wishes.delay_level, wishes.timer, &settings, call.now_ms)?;
    stays_a_batch(&draft, header.topic)?;
    check_size(&settings, call, &draft)?;
    let then = if is_half { answer_half } else { answer };
    let waits = Waits::of_send(wishes.wait);
    let sender = Sender {
        unique_id: wishes.unique.and_then(|id| lent(call, sent, id)),
        traced: trace::producer(broker, &settings, call, &header),
        ..Sender::new(Ticket::of(call.command), waits, answer_queue_id, then)
    };
    Ok(Pending { append: Append::one(draft), sender })
}

/// Where the newest message of each key is kept, each has one.
fn check_key(sent: &str, topic: Shape) -> Result<(), Refusal> {
    let key = || properties::find(sent.as_bytes(), property::KEYS).unwrap_or_default();
    if topic.keeps_newest && key().trim().is_empty() {
        let remark = "Required message key is missing";
        return Err(Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark));
    }
    Ok(())
}

/// The text that some bytes of a request's text are.
fn lent(call: &Call<'_>, text: &str, bytes: &[u8]) -> Option<Str> {
    let from = bytes.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    text.get(from..from + bytes.len()).map(|part| call.command.fields.lend(part))
}

/// What Java refuses because of properties (`HookUtils`): a delay level that is no number, an inner
/// batch outside of its own kind of topic, or what says that it is one and lacks the flag.
fn check_wishes(
    wishes: &Wishes<'_>,
    sent: &str,
    (header, body): (&SendMessageRequestHeader<'_>, &[u8]),
    topic: Shape,
) -> Result<(), Refusal> {
    check_level(wishes)?;
    let is_batch = header.sys_flag & sys_flag::INNER_BATCH != 0;
    let why = match (is_batch, wishes.inner_batch) {
        (true, _) if !topic.inner_batches => "the topic holds no inner batches",
        (false, true) => "it says how many messages it holds, and is no inner batch",
        (true, true) if !says_its_count(sent, body) => "it does not say how many messages it holds",
        _ => return Ok(()),
    };
    Err(no_batch(header.topic, why))
}

fn check_level(wishes: &Wishes<'_>) -> Result<(), Refusal> {
    if wishes.bad_level {
        let remark = format!("{} of the message is no number", property::DELAY);
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark));
    }
    Ok(())
}

/// Whether an inner batch says how many messages it holds, and its body has room for so many: a
/// start after power loss takes more for damage.
fn says_its_count(sent: &str, body: &[u8]) -> bool {
    let count = properties::find(sent.as_bytes(), property::INNER_NUM);
    let count = count.and_then(|count| count.parse::<i16>().ok());
    let most = body.len() / batch::MESSAGE_MIN_LEN;
    count.is_some_and(|count| count > 0 && count as usize <= most)
}

fn no_batch(topic: &str, why: &str) -> Refusal {
    let remark = format!("the message is illegal: topic[{topic}] {why}");
    Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark)
}

/// An inner batch cannot wait elsewhere: only its own topic holds such (Java: the second check of
/// `DefaultMessageStore.asyncPutMessage`).
fn stays_a_batch(draft: &Draft, topic: &str) -> Result<(), Refusal> {
    match draft.sys_flag & sys_flag::INNER_BATCH != 0 && *draft.topic != *topic {
        true => Err(no_batch(topic, "an inner batch can neither be delayed nor be a half message")),
        false => Ok(()),
    }
}

/// A batch: each of its messages becomes a record of its own, or all of them one record in a topic
/// of inner batches, if the batch has a unique id.
fn prepare_batch(
    broker: &Broker,
    call: &Call<'_>,
    header: SendMessageRequestHeader<'_>,
) -> Result<Pending, Refusal> {
    let settings = broker.settings();
    let topic = check(broker, &settings, call, &header)?;
    if names::is_retry(header.topic) {
        let remark = format!("batch request does not support retry group {}", header.topic);
        return Err(Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark));
    }
    let body = &call.command.body;
    let limit = settings.store.max_message_size;
    if body.is_empty() || body.len() > limit.unsigned_abs() as usize {
        return Err(illegal(limit));
    }
    let mut whole = draft(broker, call, &header);
    whole.queue_id = queue(broker, topic, header.queue_id);
    whole.sys_flag = flags(header.sys_flag, topic);
    let sent = header.properties.unwrap_or_default();
    let wishes = Wishes::of(sent.as_bytes());
    let unique_id = wishes.unique.and_then(|id| lent(call, sent, id));
    let sender = |queue_id| Sender {
        unique_id,
        traced: trace::producer(broker, &settings, call, &header),
        ..Sender::new(Ticket::of(call.command), Waits::of_send(wishes.wait), queue_id, answer)
    };
    if wishes.unique.is_some() && topic.inner_batches {
        // Java takes it, and no reader gets it: its compacted queue has records with a key alone.
        check_key(sent, topic)?;
        let draft = inner_batch(broker, call, (sent, &wishes), whole)?;
        let sender = sender(draft.queue_id);
        return Ok(Pending { append: Append::one(draft), sender });
    }
    check_wishes(&wishes, sent, (&header, &call.command.body), topic)?;
    let is_part = sys_flag::transaction_type(whole.sys_flag) != sys_flag::TRANSACTION_NONE;
    if is_part || wishes.delay_level > 0 {
        return Err(illegal(limit));
    }
    let mut drafts = Vec::new();
    for part in batch::messages(body.clone()) {
        let part = part.map_err(|error| {
            let remark = format!("message {} of the batch: {error}", drafts.len());
            Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark)
        })?;
        if says_inner(&part.properties) {
            let remark = format!(
                "message {} of the batch: {} and {} are properties of the broker's own",
                drafts.len(),
                property::INNER_NUM,
                property::INNER_BASE
            );
            return Err(Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark));
        }
        let one = Draft {
            flag: part.flag,
            body: part.body,
            properties: part.properties,
            ..whole.clone()
        };
        one.check().map_err(|_| illegal(limit))?;
        drafts.push(one);
    }
    Ok(Pending { append: Append::batch(drafts), sender: sender(whole.queue_id) })
}

/// Whether properties say how many messages a record holds, and from which queue offset on: queues
/// are made anew by what records say.
fn says_inner(encoded: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [property::bytes::INNER_NUM, property::bytes::INNER_BASE];
    properties::pairs(encoded).any(|(key, _)| NAMES.contains(&key))
}

/// One record of a batch (Java: `SendMessageProcessor.sendBatchMessage`).
fn inner_batch(
    broker: &Broker,
    call: &Call<'_>,
    (sent, wishes): (&str, &Wishes<'_>),
    whole: Draft,
) -> Result<Draft, Refusal> {
    check_level(wishes)?;
    let topic = whole.topic.clone();
    let mut count = 0_i16;
    for part in batch::messages(whole.body.clone()) {
        part.map_err(|error| no_batch(&topic, &error.to_string()))?;
        count =
            count.checked_add(1).ok_or_else(|| no_batch(&topic, "a batch has 32767 at most"))?;
    }
    let mut all = Properties::parse(&put::stamped(broker, call.room, sent, wishes, call.now_ms));
    all.set(property::INNER_NUM, count.to_string());
    let sys_flag = whole.sys_flag | sys_flag::NEED_UNWRAP | sys_flag::INNER_BATCH;
    let mut draft = Draft { sys_flag, properties: all.encode(), ..whole };
    let settings = broker.settings();
    put::park(&mut draft, wishes.delay_level, wishes.timer, &settings, call.now_ms)?;
    stays_a_batch(&draft, &topic)?;
    draft.check().map_err(|_| illegal(settings.store.max_message_size))?;
    Ok(draft)
}

pub(super) fn draft(
    broker: &Broker,
    call: &Call<'_>,
    header: &SendMessageRequestHeader<'_>,
) -> Draft {
    Draft {
        topic: call.command.fields.lend(header.topic),
        queue_id: header.queue_id,
        flag: header.flag,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        born_host: call.peer.remote,
        store_host: broker.identity.store_host,
        reconsume_times: header.reconsume_times.unwrap_or(0),
        prepared_transaction_offset: 0,
        body: call.command.body.clone(),
        properties: Bytes::new(),
    }
}

fn flags(sent: i32, topic: Shape) -> i32 {
    if topic.multi_tags { sent | sys_flag::MULTI_TAGS } else { sent }
}

/// The asked queue, or any when the sender leaves it to us.
pub(super) fn queue(broker: &Broker, topic: Shape, asked: i32) -> i32 {
    if asked >= 0 { asked } else { broker.any(topic.write_queue_nums) }
}

fn illegal(limit: i32) -> Refusal {
    Refusal::new(
        ResponseCode::MESSAGE_ILLEGAL,
        format!(
            "the message is illegal, maybe msg body or properties length not matched. \
             msg body length limit {limit}B, msg properties length limit 32KB."
        ),
    )
}

fn check_size(settings: &BrokerSettings, call: &Call<'_>, draft: &Draft) -> Result<(), Refusal> {
    let limit = settings.store.max_message_size;
    let body = call.command.body.len();
    if body == 0 || body > limit.unsigned_abs() as usize || draft.check().is_err() {
        return Err(illegal(limit));
    }
    Ok(())
}

/// Who may send what where; the topic is made if it may be.
pub(super) fn check(
    broker: &Broker,
    settings: &BrokerSettings,
    call: &Call<'_>,
    header: &SendMessageRequestHeader<'_>,
) -> Result<Shape, Refusal> {
    let refuse = |code, remark| Err(Refusal::new(code, remark));
    let start = settings.broker.start_accept_send_request_time_stamp;
    if call.now_ms < start {
        let remark = format!(
            "broker unable to service, until {start} ms since 1970 \
             (setting startAcceptSendRequestTimeStamp)"
        );
        return refuse(ResponseCode::SYSTEM_ERROR, remark);
    }
    let topic = header.topic;
    let known = broker.topics.shape(topic);
    let forbidden = settings.broker.broker_permission & PERM_WRITE == 0;
    if forbidden && known.is_some_and(|topic| topic.order) {
        let remark =
            format!("the broker[{}] sending message is forbidden", broker.identity.address);
        return refuse(ResponseCode::NO_PERMISSION, remark);
    }
    // A topic that is there has a name that was checked.
    if known.is_none()
        && let Err(error) = names::check_topic(topic)
    {
        return refuse(ResponseCode::INVALID_PARAMETER, error.to_string());
    }
    if names::is_send_forbidden(topic) {
        let remark = format!("Sending message to topic[{topic}] is forbidden.");
        return refuse(ResponseCode::NO_PERMISSION, remark);
    }
    let Some(found) = known.or_else(|| create(broker, call, header)) else {
        let remark = format!("topic[{topic}] not exist, apply first please!");
        return refuse(ResponseCode::TOPIC_NOT_EXIST, remark);
    };
    if header.queue_id >= found.write_queue_nums.max(found.read_queue_nums) {
        let remark = format!(
            "request queueId[{}] is illegal, topic[{topic}] has {} write and {} read queues \
             Producer: {}",
            header.queue_id, found.write_queue_nums, found.read_queue_nums, call.peer.remote
        );
        return refuse(ResponseCode::INVALID_PARAMETER, remark);
    }
    Ok(found)
}

/// Makes the topic after the model that the sender names, or as a retry topic.
fn create(
    broker: &Broker,
    call: &Call<'_>,
    header: &SendMessageRequestHeader<'_>,
) -> Option<Shape> {
    let retry = names::is_retry(header.topic);
    let unit = match (header.unit_mode, retry) {
        (Some(true), true) => topics::UNIT_SUB,
        (Some(true), false) => topics::UNIT,
        _ => 0,
    };
    let wanted = Wanted {
        topic: header.topic,
        template: header.default_topic,
        queues: header.default_topic_queue_nums,
        sys_flag: unit,
    };
    let made = match broker.topic_for_send(wanted, call.request(), call.now_ms) {
        None if retry => broker.topic_for_retry(header.topic, 1, unit, call.now_ms),
        made => made,
    };
    made.map(|topic| Shape::of(&topic))
}

/// A consumer sent the message to its retry topic by itself: counts its tries.
fn retry(
    broker: &Broker,
    call: &Call<'_>,
    header: &SendMessageRequestHeader<'_>,
    draft: &mut Draft,
    wishes: &mut Wishes<'_>,
) -> Result<(), Refusal> {
    let group = names::group_of(header.topic).unwrap_or_default();
    let Some(config) = broker.group(group, call.now_ms) else {
        let remark = format!("subscription group not exist, {group}");
        return Err(Refusal::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    };
    let asked = header.max_reconsume_times;
    let knows_limit = call.command.head.version >= Version::V3_4_9.0;
    let limit = asked.filter(|_| knows_limit).unwrap_or(config.retry_max_times);
    // A group that holds queue locks consumes in order: a retry would come out of order.
    let ordered = broker.locks.is_locked(group, call.now_ms);
    if draft.reconsume_times <= limit && !ordered {
        return Ok(());
    }
    let dlq = names::dlq_topic(group);
    if broker.topic_for_retry(&dlq, DLQ_QUEUES, 0, call.now_ms).is_none() {
        let remark = format!("topic[{dlq}] not exist");
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark));
    }
    draft.topic = dlq.into();
    draft.queue_id = 0;
    wishes.delay_level = 0;
    let mut all = Properties::parse(&draft.properties);
    all.set(property::DELAY, "-1");
    draft.properties = all.encode();
    Ok(())
}

/// The answer to a send whose messages are stored.
fn answer(
    broker: &Broker,
    settings: &BrokerSettings,
    sender: &Sender,
    drafts: &[Draft],
    stored: &Appended,
) -> Answer {
    if let Some(producer) = &sender.traced {
        trace::sent(broker, settings, producer, drafts, stored);
    }
    let store_host = broker.identity.store_host;
    let (mut room, mut all) = ([0; MessageId::TEXT_BYTES], String::new());
    let (mut msg_id, mut log_offset) = ("", stored.log_offset);
    for draft in drafts {
        msg_id = MessageId { store_host, log_offset }.encode_in(&mut room);
        log_offset += draft.encoded_len() as i64;
        if drafts.len() > 1 {
            all.push_str(if all.is_empty() { "" } else { "," });
            all.push_str(msg_id);
        }
    }
    assert_eq!(log_offset, stored.log_end(), "the records lie side by side");
    // That of a batch stands in no record.
    let transaction_id = sender.unique_id.as_deref().or_else(|| match drafts {
        [alone] => properties::find(&alone.properties, property::UNIQ_KEY),
        _ => None,
    });
    let batch_uniq_id = match drafts {
        [alone] if alone.sys_flag & sys_flag::INNER_BATCH != 0 => transaction_id,
        _ => None,
    };
    let recall_handle = recall_handle(settings, drafts);
    let header = SendMessageResponseHeader {
        msg_id: if all.is_empty() { msg_id } else { &all },
        queue_id: sender.queue_id,
        queue_offset: match &sender.stay {
            Some(stay) => stays::logical_loosely(stay, stored.queue_offset),
            None => stored.queue_offset,
        },
        transaction_id,
        batch_uniq_id,
        recall_handle: recall_handle.as_deref(),
    };
    let mut answer = Answer::success();
    header.write(&mut answer.fields);
    stamp(settings, &mut answer);
    answer
}

/// The answer to a half message that is stored, which is counted.
fn answer_half(
    broker: &Broker,
    settings: &BrokerSettings,
    sender: &Sender,
    drafts: &[Draft],
    stored: &Appended,
) -> Answer {
    let [half] = drafts else { unreachable!("a half message comes alone") };
    transactions::count(broker, &half.properties, 1, stored.store_timestamp);
    answer(broker, settings, sender, drafts, stored)
}

/// What takes a message back that waits for its time.
fn recall_handle(settings: &BrokerSettings, drafts: &[Draft]) -> Option<Str> {
    let [alone] = drafts else { return None };
    if *alone.topic != *names::TIMER_TOPIC {
        return None;
    }
    let all = Properties::parse(&alone.properties);
    Handle::of(&all, &settings.broker.broker_name)
}
