//! The same of queues of static topics: each question goes to the stay that it is about, here or
//! on the broker where that was (Java: the `rewriteRequestForStaticTopic` of
//! `ConsumerManageProcessor` and `AdminBrokerProcessor`).

use super::{commit, committed, of_group, search};
use crate::broker::Broker;
use crate::mappings::{LogicalQueue, stays};
use crate::offsets::NOTHING_YET;
use crate::others;
use crate::put::Effect;
use remoting::body::mapping::LogicQueueMappingItem as Stay;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::flat::{Boundary, Header, OwnedHeader};
use remoting::headers::base::TopicFields;
use remoting::headers::offset::{
    GetEarliestMsgStoretimeRequestHeader, GetEarliestMsgStoretimeResponseHeader,
    GetMaxOffsetRequestHeader, GetMaxOffsetResponseHeader, GetMinOffsetRequestHeader,
    GetMinOffsetResponseHeader, QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader, SearchOffsetRequestHeader, SearchOffsetResponseHeader,
    UpdateConsumerOffsetRequestHeader,
};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::{Call, Lane};

type Done = Result<Reply<Effect>, Refusal>;

/// Code 14: what the group committed in the newest stay that it has come to.
pub(super) fn query(
    broker: &Broker,
    call: &Call<'_>,
    queue: &LogicalQueue,
    header: QueryConsumerOffsetRequestHeader,
) -> Done {
    let all = queue.stays();
    let found = |stay: &Stay, offset| {
        let offset = stays::logical(stay, offset);
        Ok(Answer::header(&QueryConsumerOffsetResponseHeader { offset }).into())
    };
    let at = |stay: &Stay| QueryConsumerOffsetRequestHeader {
        queue_id: stay.queue_id,
        base: physical(stay, &header.base),
        set_zero_if_not_found: Some(false),
        ..header.clone()
    };
    if let [only] = all
        && only.logic_offset == 0
    {
        let set_zero_if_not_found = header.set_zero_if_not_found;
        let header = QueryConsumerOffsetRequestHeader { set_zero_if_not_found, ..at(only) };
        return found(only, of_group(broker, call.peer.id, &header)?);
    }
    if all.iter().any(|stay| !queue.is_here(stay)) && call.lane == Lane::Inline {
        return Ok(Reply::Effect(Effect::Block));
    }
    for stay in all.iter().rev().filter(|stay| stays::is_decided(stay)) {
        let known = match queue.is_here(stay) {
            true => committed(broker, &at(stay)),
            false => asked_committed(broker, stay, &at(stay))?,
        };
        if let Some(offset) = known {
            return found(stay, offset);
        }
    }
    let remark = "Not found, maybe this group consumer boot first";
    Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark))
}

fn asked_committed(
    broker: &Broker,
    stay: &Stay,
    header: &QueryConsumerOffsetRequestHeader,
) -> Result<Option<i64>, Refusal> {
    let (name, code) = (name(stay), RequestCode::QUERY_CONSUMER_OFFSET);
    let answer = others::ask(broker.others(), name, code, header)?;
    match answer.response_code() {
        ResponseCode::SUCCESS => {
            let told: QueryConsumerOffsetResponseHeader = others::read(name, &answer)?;
            Ok(Some(told.offset))
        }
        ResponseCode::QUERY_NOT_FOUND => Ok(None),
        _ => Err(others::refused(name, &answer)),
    }
}

/// Code 15. A group that goes back to an earlier stay has not come to those behind it.
pub(super) fn update(
    broker: &Broker,
    call: &Call<'_>,
    queue: &LogicalQueue,
    header: UpdateConsumerOffsetRequestHeader,
    offset: i64,
) -> Done {
    let all = queue.stays();
    let stay = queue.at(offset)?;
    let is_here = queue.is_here(stay);
    if !is_here && call.lane == Lane::Inline {
        return Ok(Reply::Effect(Effect::Block));
    }
    let header = UpdateConsumerOffsetRequestHeader {
        queue_id: Some(stay.queue_id),
        commit_offset: Some(stays::physical(stay, offset).max(0)),
        base: physical(stay, &header.base),
        ..header
    };
    let answer = if is_here {
        commit(broker, &header)?
    } else {
        let code = RequestCode::UPDATE_CONSUMER_OFFSET;
        let answer = others::ask(broker.others(), name(stay), code, &header)?;
        if answer.response_code() != ResponseCode::SUCCESS {
            return Err(others::refused(name(stay), &answer));
        }
        Answer::success()
    };
    let later = all.iter().filter(|later| later.generation > stay.generation);
    for later in later.filter(|later| queue.is_here(later)) {
        let (group, topic) = (&header.consumer_group, &header.topic);
        if broker.offsets.query(group, topic, later.queue_id).is_some_and(|offset| offset >= 0) {
            broker.offsets.commit(group, topic, later.queue_id, NOTHING_YET);
        }
    }
    Ok(answer.into())
}

/// Code 30: the end of the last stay whose beginning is known.
pub(super) fn max(
    broker: &Broker,
    call: &Call<'_>,
    queue: &LogicalQueue,
    header: GetMaxOffsetRequestHeader,
) -> Done {
    let stay = queue.at(i64::MAX)?;
    let offset = if queue.is_here(stay) {
        broker.store.max_offset(&header.topic, stay.queue_id)
    } else if call.lane == Lane::Inline {
        return Ok(Reply::Effect(Effect::Block));
    } else {
        asked_max(broker, stay, &header)?
    };
    let offset = stays::logical(stay, offset);
    Ok(Answer::header(&GetMaxOffsetResponseHeader { offset }).into())
}

fn asked_max(
    broker: &Broker,
    stay: &Stay,
    header: &GetMaxOffsetRequestHeader,
) -> Result<i64, Refusal> {
    let header = GetMaxOffsetRequestHeader {
        queue_id: stay.queue_id,
        base: physical(stay, &header.base),
        ..header.clone()
    };
    let told: GetMaxOffsetResponseHeader =
        asked(broker, stay, RequestCode::GET_MAX_OFFSET, &header)?;
    Ok(told.offset)
}

/// Code 31: the beginning of the first stay.
pub(super) fn min(
    broker: &Broker,
    call: &Call<'_>,
    queue: &LogicalQueue,
    header: GetMinOffsetRequestHeader,
) -> Done {
    let stay = queue.at(0)?;
    let offset = if queue.is_here(stay) {
        broker.store.min_offset(&header.topic, stay.queue_id)
    } else if call.lane == Lane::Inline {
        return Ok(Reply::Effect(Effect::Block));
    } else {
        let header = GetMinOffsetRequestHeader {
            queue_id: stay.queue_id,
            base: physical(stay, &header.base),
            ..header
        };
        let told: GetMinOffsetResponseHeader =
            asked(broker, stay, RequestCode::GET_MIN_OFFSET, &header)?;
        told.offset
    };
    let offset = stays::logical_loosely(stay, offset);
    Ok(Answer::header(&GetMinOffsetResponseHeader { offset }).into())
}

/// Code 32, of the first stay.
pub(super) fn earliest_time(
    broker: &Broker,
    queue: &LogicalQueue,
    header: &GetEarliestMsgStoretimeRequestHeader,
) -> Result<i64, Refusal> {
    let stay = queue.at(0)?;
    first_time(broker, queue, stay, (&header.topic, &header.base))
}

/// When the first message of a stay was stored, -1 if there is none.
fn first_time(
    broker: &Broker,
    queue: &LogicalQueue,
    stay: &Stay,
    (topic, base): (&message::Str, &TopicFields),
) -> Result<i64, Refusal> {
    if queue.is_here(stay) {
        return Ok(broker.store.earliest_store_time(topic, stay.queue_id).unwrap_or(-1));
    }
    let header = GetEarliestMsgStoretimeRequestHeader {
        topic: topic.clone(),
        queue_id: stay.queue_id,
        base: physical(stay, base),
    };
    let told: GetEarliestMsgStoretimeResponseHeader =
        asked(broker, stay, RequestCode::GET_EARLIEST_MSG_STORETIME, &header)?;
    Ok(told.timestamp)
}

/// Code 29. The first message at or after a time is in the first stay that has one so late; the
/// last at or before it in the last stay that has begun by then.
pub(super) fn by_time(
    broker: &Broker,
    queue: &LogicalQueue,
    header: &SearchOffsetRequestHeader,
) -> Result<i64, Refusal> {
    let decided: Vec<&Stay> = queue.stays().iter().filter(|stay| stays::is_decided(stay)).collect();
    let ends = decided.first().zip(decided.last());
    let (first, last) = ends.ok_or_else(|| queue.undecided())?;
    let found = |stay: &Stay| {
        let header = SearchOffsetRequestHeader {
            queue_id: stay.queue_id,
            base: physical(stay, &header.base),
            ..header.clone()
        };
        if queue.is_here(stay) {
            return Ok(search(broker, &header));
        }
        let code = RequestCode::SEARCH_OFFSET_BY_TIMESTAMP;
        let told: SearchOffsetResponseHeader = asked(broker, stay, code, &header)?;
        Ok(told.offset)
    };
    if header.boundary_type == Some(Boundary::Upper) {
        for stay in decided.iter().rev() {
            let time = first_time(broker, queue, stay, (&header.topic, &header.base))?;
            if (0..=header.timestamp).contains(&time) {
                return Ok(stays::logical(stay, found(stay)?));
            }
        }
        return Ok(stays::logical(first, found(first)?));
    }
    for stay in &decided[..decided.len() - 1] {
        let offset = found(stay)?;
        let end = match queue.is_here(stay) {
            true => broker.store.max_offset(&header.topic, stay.queue_id),
            false => {
                let topic = header.topic.clone();
                let base = header.base.clone();
                let header = GetMaxOffsetRequestHeader {
                    topic,
                    base,
                    ..GetMaxOffsetRequestHeader::default()
                };
                asked_max(broker, stay, &header)?
            }
        };
        if (0..end).contains(&offset) {
            return Ok(stays::logical(stay, offset));
        }
    }
    Ok(stays::logical(last, found(last)?))
}

fn asked<R: OwnedHeader>(
    broker: &Broker,
    stay: &Stay,
    code: RequestCode,
    header: &impl Header,
) -> Result<R, Refusal> {
    others::ask_for(broker.others(), name(stay), code, header)
}

fn name(stay: &Stay) -> &str {
    stay.bname.as_deref().unwrap_or_default()
}

/// The fields of a question about a stay's own queue.
fn physical(stay: &Stay, base: &TopicFields) -> TopicFields {
    let broker_name = stay.bname.clone();
    TopicFields { logical: Some(false), broker_name, oneway: None, ..base.clone() }
}
