//! Pulls of static topics. An offset of a logical queue lies in one of its stays: that is read
//! here, or asked of the broker where it was, and the answer's offsets are made logical again
//! (Java: `PullMessageProcessor.rewriteRequestForStaticTopic`, `rewriteResponseForStaticTopic`).

use super::{COMMIT, HeldPull, SUSPEND, attempt, check, hold, readable};
use crate::broker::Broker;
use crate::mappings::{LogicalQueue, stays};
use crate::others;
use crate::put::{self, Effect};
use remoting::body::mapping::LogicQueueMappingItem as Stay;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::fields::Fields;
use remoting::flat::Header;
use remoting::headers::base::TopicFields;
use remoting::headers::pull::{PullMessageRequestHeader, PullMessageResponseHeader};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::{Call, Lane};
use store::Wait;

/// Codes 11 and 361 of a logical queue that this broker leads.
pub(super) fn pull(
    broker: &Broker,
    call: &Call<'_>,
    queue: &LogicalQueue,
    header: PullMessageRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let code = call.command.code();
    if let Err(answer) = readable(broker, code, &header, call.now_ms) {
        return Ok(Reply::Answer(*answer));
    }
    let stay = queue.at(header.queue_offset)?;
    let asked = in_stay(stay, &header);
    let is_here = queue.is_here(stay);
    if call.lane == Lane::Inline && !is_here {
        return Ok(Reply::Effect(Effect::Block));
    }
    // A pull that waits does so here, for the queue that messages come to.
    let here = PullMessageRequestHeader { queue_id: queue.leader().queue_id, ..asked.clone() };
    let checked = match check(broker, code, call.peer, &here, call.now_ms) {
        Ok(checked) => checked,
        Err(answer) => return Ok(Reply::Answer(*answer)),
    };
    let answer = if is_here {
        let wait = put::patience(call.lane);
        let read = attempt(broker, &asked, &checked, (true, wait), call.now_ms);
        let Some(answer) = read else { return Ok(Reply::Effect(Effect::Block)) };
        answer
    } else {
        elsewhere(broker, stay, asked.clone())?
    };
    commit(broker, queue, &header);
    let answer = logical(queue, stay, asked.queue_offset, answer)?;
    if answer.code != ResponseCode::PULL_NOT_FOUND || header.sys_flag & SUSPEND == 0 {
        return Ok(Reply::Answer(answer));
    }
    // At the end of a stay that others will follow, once it is decided where they begin, there is
    // no message to wait for; the decision ends the waiting.
    let is_last = stay.generation == queue.leader().generation;
    let offset = if is_last { asked.queue_offset } else { i64::MAX };
    Ok(hold(broker, call, (header, checked), (here.queue_id, offset), answer))
}

/// The refusal of a pull of a queue that this broker does not lead, after what Java refuses first.
pub(super) fn refuse(
    broker: &Broker,
    call: &Call<'_>,
    header: &PullMessageRequestHeader,
    refusal: Refusal,
) -> Result<Reply<Effect>, Refusal> {
    match readable(broker, call.command.code(), header, call.now_ms) {
        Ok(_) => Err(refusal),
        Err(answer) => Ok(Reply::Answer(*answer)),
    }
}

/// The answer to a pull of a logical queue that was held; `None` if it is none.
pub(super) fn resumed(broker: &Broker, held: &HeldPull, now_ms: i64) -> Option<Answer> {
    let header = &held.header;
    let queue = match broker.mappings.queue(&header.topic, header.queue_id, header.base.logical) {
        Ok(None) => return None,
        Ok(Some(queue)) => queue,
        Err(refusal) => return Some(refusal.into()),
    };
    Some(again(broker, held, &queue, now_ms).unwrap_or_else(Answer::from))
}

fn again(
    broker: &Broker,
    held: &HeldPull,
    queue: &LogicalQueue,
    now_ms: i64,
) -> Result<Answer, Refusal> {
    let stay = queue.at(held.header.queue_offset)?;
    let asked = in_stay(stay, &held.header);
    if !queue.is_here(stay) {
        // Nobody may wait for another broker here. The client asks again.
        return Ok(nothing_at(held.header.queue_offset));
    }
    let checked = match check(broker, held.code, held.asker.peer(), &asked, now_ms) {
        Ok(checked) => checked,
        Err(answer) => return Ok(*answer),
    };
    let answer = attempt(broker, &asked, &checked, (false, Wait::ForDisk), now_ms);
    logical(queue, stay, asked.queue_offset, answer.expect("who waits gets an answer"))
}

fn nothing_at(offset: i64) -> Answer {
    let header = PullMessageResponseHeader {
        next_begin_offset: offset,
        min_offset: 0,
        max_offset: offset,
        ..PullMessageResponseHeader::default()
    };
    Answer::code(ResponseCode::PULL_NOT_FOUND).with_header(&header)
}

/// The pull as the broker of the stay has to see it. What it commits is committed by us.
fn in_stay(stay: &Stay, header: &PullMessageRequestHeader) -> PullMessageRequestHeader {
    let whole = stay.end_offset.saturating_sub(stay.start_offset);
    let whole = i32::try_from(whole).unwrap_or(i32::MAX);
    PullMessageRequestHeader {
        queue_id: stay.queue_id,
        queue_offset: stays::physical(stay, header.queue_offset),
        max_msg_nums: match stays::has_end(stay) {
            true => header.max_msg_nums.min(whole),
            false => header.max_msg_nums,
        },
        sys_flag: header.sys_flag & !COMMIT,
        ..header.clone()
    }
}

/// What the broker of an earlier stay has.
fn elsewhere(
    broker: &Broker,
    stay: &Stay,
    asked: PullMessageRequestHeader,
) -> Result<Answer, Refusal> {
    let name = stay.bname.as_deref().unwrap_or_default();
    let base =
        TopicFields { logical: Some(false), broker_name: stay.bname.clone(), ..asked.base.clone() };
    let asked = PullMessageRequestHeader { sys_flag: asked.sys_flag & !SUSPEND, base, ..asked };
    let told = others::ask(broker.others(), name, RequestCode::PULL_MESSAGE, &asked)?;
    match told.response_code() {
        ResponseCode::SUCCESS
        | ResponseCode::PULL_NOT_FOUND
        | ResponseCode::PULL_RETRY_IMMEDIATELY
        | ResponseCode::PULL_OFFSET_MOVED => {}
        _ => return Err(others::refused(name, &told)),
    }
    let header: PullMessageResponseHeader = others::read(name, &told)?;
    let mut answer = Answer::code(told.response_code()).with_header(&header).with_body(told.body);
    answer.remark = told.head.remark;
    Ok(answer)
}

/// Commits what the pull brought along, where the stay that it lies in is here; elsewhere the
/// client does it with code 15. Java takes the logical offset for one of its own queue.
fn commit(broker: &Broker, queue: &LogicalQueue, header: &PullMessageRequestHeader) {
    let Some(offset) = header.commit_offset.filter(|_| header.sys_flag & COMMIT != 0) else {
        return;
    };
    let stay = stays::at(queue.stays(), offset);
    if let Some(stay) = stay.filter(|stay| queue.is_here(stay)) {
        let offset = stays::physical(stay, offset).max(0);
        broker.offsets.commit(&header.consumer_group, &header.topic, stay.queue_id, offset);
    }
}

/// The answer of a stay's queue as one of the logical queue: whoever has come to the end of a stay
/// is sent to the next.
fn logical(
    queue: &LogicalQueue,
    stay: &Stay,
    asked: i64,
    mut answer: Answer,
) -> Result<Answer, Refusal> {
    let broker = stay.bname.as_deref().unwrap_or_default();
    let told = PullMessageResponseHeader::read(&answer.fields);
    let mut header = match told {
        Ok(header) => header,
        // No offsets to be changed.
        Err(_) if answer.code != ResponseCode::SUCCESS => return Ok(answer),
        Err(error) => {
            let remark = format!("broker {broker}: {error}");
            return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark));
        }
    };
    let mut stay = stay;
    if answer.code != ResponseCode::SUCCESS {
        stay = passed(queue, stay, asked, (&mut answer.code, &mut header));
    }
    if stays::has_end(stay) {
        header.next_begin_offset = header.next_begin_offset.min(stay.end_offset);
    }
    let min = header.min_offset.max(stay.start_offset);
    header.next_begin_offset = stays::logical(stay, header.next_begin_offset);
    header.min_offset = stays::logical(stay, min);
    header.max_offset = stays::logical(stay, header.max_offset).max(queue.known_end());
    header.offset_delta = Some(stay.logic_offset.saturating_sub(stay.start_offset));
    answer.fields = Fields::new();
    if answer.code != ResponseCode::SUCCESS {
        answer.remark = None;
    }
    Ok(answer.with_header(&header))
}

/// Where a pull goes that found nothing: into the stay again, or to the next.
fn passed<'a>(
    queue: &'a LogicalQueue,
    stay: &'a Stay,
    asked: i64,
    (code, header): (&mut ResponseCode, &mut PullMessageResponseHeader),
) -> &'a Stay {
    let (min, max) = (header.min_offset, header.max_offset);
    let is_last = stay.generation == queue.leader().generation;
    let is_first =
        stays::at(queue.stays(), 0).is_some_and(|first| first.generation == stay.generation);
    if asked < min {
        header.next_begin_offset = min;
        *code = match is_first {
            true => ResponseCode::PULL_OFFSET_MOVED,
            false => ResponseCode::PULL_RETRY_IMMEDIATELY,
        };
    } else if is_last {
        if asked > max && *code == ResponseCode::PULL_OFFSET_MOVED {
            header.next_begin_offset = max;
        }
    } else if asked >= max {
        let Some(next) = stays::after(queue.stays(), stay) else {
            *code = ResponseCode::PULL_NOT_FOUND;
            return stay;
        };
        header.next_begin_offset = next.start_offset;
        (header.min_offset, header.max_offset) = (next.start_offset, next.start_offset);
        *code = ResponseCode::PULL_RETRY_IMMEDIATELY;
        return next;
    }
    stay
}
