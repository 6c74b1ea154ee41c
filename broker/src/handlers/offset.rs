//! Where queues begin and end, and how far groups have come in them: codes 14, 15 and 29 to 32
//! (Java: `ConsumerManageProcessor`, `AdminBrokerProcessor`). What is remembered of groups is in
//! [`crate::offsets`]; moving a whole group is an administrator's request. A queue of a static
//! topic may have been elsewhere before: those are in `logical`.

mod logical;

use crate::broker::Broker;
use crate::lite;
use crate::put::Effect;
use message::Str;
use remoting::body::heartbeat::ConsumeType;
use remoting::codes::ResponseCode;
use remoting::flat::Boundary;
use remoting::headers::offset::{
    GetEarliestMsgStoretimeRequestHeader, GetEarliestMsgStoretimeResponseHeader,
    GetMaxOffsetRequestHeader, GetMaxOffsetResponseHeader, GetMinOffsetRequestHeader,
    GetMinOffsetResponseHeader, QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader, SearchOffsetRequestHeader, SearchOffsetResponseHeader,
    UpdateConsumerOffsetRequestHeader,
};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::{Call, Lane};
use store::{NotNow, Wait};

/// The first offset of a queue of inner batches that never had a message, as Java tells it.
const NO_BATCH_YET: i64 = -1;

/// Code 14: where a group goes on. One that has committed nothing is sent to the start of a queue
/// that still has its very first message in memory, and of one that its member found without any;
/// elsewhere it decides by itself.
pub fn query(
    broker: &Broker,
    call: &Call<'_>,
    header: QueryConsumerOffsetRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let asked = header.base.logical;
    if let Some(queue) = broker.mappings.queue(&header.topic, header.queue_id, asked)? {
        return logical::query(broker, call, &queue, header);
    }
    let offset = of_group(broker, call.peer.id, &header)?;
    Ok(Answer::header(&QueryConsumerOffsetResponseHeader { offset }).into())
}

/// Where a group goes on in a queue of this broker.
fn of_group(
    broker: &Broker,
    peer_id: u64,
    header: &QueryConsumerOffsetRequestHeader,
) -> Result<i64, Refusal> {
    let (topic, queue_id) = (&header.topic, header.queue_id);
    if let Some(offset) = committed(broker, header) {
        return Ok(offset);
    }
    let not_found = |remark| Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark));
    if header.set_zero_if_not_found == Some(false) {
        return not_found("Not found, do not set to zero, maybe this group boot first");
    }
    let is_older = |before: i64| {
        broker.store.unit(topic, queue_id, 0).is_none_or(|first| first.log_offset < before)
            && broker.store.max_offset(topic, queue_id) > 0
    };
    if broker.offsets.lost_before().is_some_and(is_older) {
        // It was somewhere, and most likely not at the start.
        return not_found(
            "Not found, the offsets of this group were lost with consumerOffset.json",
        );
    }
    // In this order: of a message that comes meanwhile the second look knows that it is the first.
    if found_empty(broker, peer_id, header) || starts_in_memory(broker, topic, queue_id) {
        return Ok(0);
    }
    not_found("Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first")
}

/// What a group committed in a queue of this broker. Java stores a negative offset and then does
/// not find it.
fn committed(broker: &Broker, header: &QueryConsumerOffsetRequestHeader) -> Option<i64> {
    let known = broker.offsets.query(&header.consumer_group, &header.topic, header.queue_id);
    let known = known.filter(|offset| *offset >= 0)?;
    Some(not_behind_end(broker, header, known))
}

/// A committed offset, or the queue's end when the queue has lost what was before it: whoever goes
/// on there would miss what comes next.
fn not_behind_end(broker: &Broker, header: &QueryConsumerOffsetRequestHeader, offset: i64) -> i64 {
    let (group, topic, queue_id) = (&header.consumer_group, &header.topic, header.queue_id);
    let end = broker.store.max_offset(topic, queue_id);
    if end == 0 || offset <= end {
        return offset;
    }
    tracing::warn!(
        %group, %topic, queue_id, old = offset, new = end,
        "a committed offset lies behind the end of its queue; the group goes on at the end"
    );
    broker.offsets.commit(group, topic, queue_id, end);
    end
}

/// Code 15: remembers where a group goes on.
pub fn update(
    broker: &Broker,
    call: &Call<'_>,
    header: UpdateConsumerOffsetRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let asked = header.base.logical;
    if let (Some(queue_id), Some(offset)) = (header.queue_id, header.commit_offset)
        && let Some(queue) = broker.mappings.queue(&header.topic, queue_id, asked)?
    {
        return logical::update(broker, call, &queue, header, offset);
    }
    commit(broker, &header).map(Reply::Answer)
}

/// Remembers it in a queue of this broker.
fn commit(broker: &Broker, header: &UpdateConsumerOffsetRequestHeader) -> Result<Answer, Refusal> {
    let (group, topic) = (&header.consumer_group, &header.topic);
    if !broker.groups.contains(group) {
        let remark = format!("Group {group} not exist!");
        return Err(Refusal::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    }
    if !broker.topics.contains(topic) {
        let remark = format!("Topic {topic} not exist!");
        return Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark));
    }
    let lacks = |what| {
        let remark = format!("{what} is null, topic is {topic}");
        Refusal::new(ResponseCode::INVALID_PARAMETER, remark)
    };
    let queue_id = header.queue_id.ok_or_else(|| lacks("QueueId"))?;
    let offset = header.commit_offset.ok_or_else(|| lacks("Offset"))?;
    if !broker.settings().broker.use_server_side_reset_offset {
        broker.offsets.commit(group, topic, queue_id, offset);
        return Ok(Answer::success());
    }
    if broker.offsets.commit_unless_reset(group, topic, queue_id, offset) {
        return Ok(Answer::success());
    }
    Ok(Answer::success().with_remark("Offset has been previously reset"))
}

/// Code 29: the offset of the first message at or after a time, or of the last at or before it.
pub fn by_time(
    broker: &Broker,
    call: &Call<'_>,
    header: SearchOffsetRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let asked = header.base.logical;
    let offset = match broker.mappings.queue(&header.topic, header.queue_id, asked)? {
        Some(_) if call.lane == Lane::Inline => return Ok(Reply::Effect(Effect::Block)),
        Some(queue) => logical::by_time(broker, &queue, &header)?,
        None if call.lane == Lane::Inline => {
            let (topic, end) = sought(&header);
            let (queue, time) = ((&*topic, header.queue_id), header.timestamp);
            match broker.store.offset_by_time_now(queue, time, end, Wait::Never) {
                Ok(offset) => offset,
                Err(NotNow) => return Ok(Reply::Effect(Effect::Block)),
            }
        }
        None => search(broker, &header),
    };
    Ok(Answer::header(&SearchOffsetResponseHeader { offset }).into())
}

/// The same in a queue of this broker, or in that of a lite topic.
fn search(broker: &Broker, header: &SearchOffsetRequestHeader) -> i64 {
    let (topic, end) = sought(header);
    broker.store.offset_by_time(&topic, header.queue_id, header.timestamp, end)
}

/// Where a search looks, and for which end.
fn sought(header: &SearchOffsetRequestHeader) -> (Str, store::Boundary) {
    let end = match header.boundary_type {
        Some(Boundary::Upper) => store::Boundary::Upper,
        _ => store::Boundary::Lower,
    };
    let lite_topic = header.lite_topic.as_ref().filter(|topic| !topic.trim().is_empty());
    let light = lite_topic.and_then(|lite_topic| lite::names::queue(&header.topic, lite_topic));
    (light.unwrap_or_else(|| header.topic.clone()), end)
}

/// Code 30: the offset that the next message of a queue gets.
pub fn max(
    broker: &Broker,
    call: &Call<'_>,
    header: GetMaxOffsetRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let asked = header.base.logical;
    if let Some(queue) = broker.mappings.queue(&header.topic, header.queue_id, asked)? {
        return logical::max(broker, call, &queue, header);
    }
    let offset = broker.store.max_offset(&header.topic, header.queue_id);
    Ok(Answer::header(&GetMaxOffsetResponseHeader { offset }).into())
}

/// Code 31: the offset of the first message that a queue still has.
pub fn min(
    broker: &Broker,
    call: &Call<'_>,
    header: GetMinOffsetRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let asked = header.base.logical;
    if let Some(queue) = broker.mappings.queue(&header.topic, header.queue_id, asked)? {
        return logical::min(broker, call, &queue, header);
    }
    let (topic, queue_id) = (&header.topic, header.queue_id);
    let held_none = broker.store.max_offset(topic, queue_id) == 0;
    let offset = match held_none && broker.store.holds_batches(topic) {
        true => NO_BATCH_YET,
        false => broker.store.min_offset(topic, queue_id),
    };
    Ok(Answer::header(&GetMinOffsetResponseHeader { offset }).into())
}

/// Code 32: when the first message of a queue was stored, -1 if that is unknown.
pub fn earliest_time(
    broker: &Broker,
    _: &Call<'_>,
    header: GetEarliestMsgStoretimeRequestHeader,
) -> Result<Answer, Refusal> {
    let asked = header.base.logical;
    if let Some(queue) = broker.mappings.queue(&header.topic, header.queue_id, asked)? {
        let timestamp = logical::earliest_time(broker, &queue, &header)?;
        return Ok(Answer::header(&GetEarliestMsgStoretimeResponseHeader { timestamp }));
    }
    let timestamp = broker.store.earliest_store_time(&header.topic, header.queue_id);
    let timestamp = timestamp.unwrap_or(-1);
    Ok(Answer::header(&GetEarliestMsgStoretimeResponseHeader { timestamp }))
}

/// Whether a member asks who will pull from a queue that never had a message. Told that nothing is
/// known of its group, it would ask for the queue's end next, begin there, and miss what was sent
/// between its questions.
fn found_empty(broker: &Broker, peer_id: u64, header: &QueryConsumerOffsetRequestHeader) -> bool {
    let QueryConsumerOffsetRequestHeader { consumer_group: group, topic, queue_id, .. } = header;
    let pulls = broker.clients.consumers(group).is_some_and(|known| {
        known.habit.consume_type == Some(ConsumeType::Passively)
            && known.subscription(topic).is_some()
    });
    let queues = broker.topics.find(topic).map_or(0, |found| found.read_queue_nums);
    pulls
        && (0..queues).contains(queue_id)
        && broker.store.max_offset(topic, *queue_id) == 0
        && broker.clients.is_member(group, peer_id)
}

/// Whether the queue's first message ever is still there, and near enough to the log's end to be
/// in memory. The log itself is not touched: the message may be cold.
fn starts_in_memory(broker: &Broker, topic: &str, queue_id: i32) -> bool {
    let store = &broker.store;
    let Some(first) = store.unit(topic, queue_id, 0) else { return false };
    store.min_offset(topic, queue_id) <= 0
        && first.log_offset >= store.min_log_offset()
        && store.max_log_offset() - first.log_offset <= store.settings().hot_bytes()
}
