//! Pops: messages of any queue for a time, at once or when the next one comes (200050; Java:
//! `PopMessageProcessor`, `PopLongPollingService`).
//!
//! A pop that finds nothing becomes a [`HeldPop`]; a message, or its deadline, runs it once more:
//! whoever brings the message looks at what is in memory, and what takes longer goes on beside the
//! connections, one look at a time.
//! How queues are read is in [`crate::pop::take`].

use super::notification;
use super::poll::{self, Poll};
use crate::broker::{Broker, Outside};
use crate::pop::records;
use crate::pop::take::{Ask, NotInMemory, Popped};
use crate::pop::waiting::{Bounds, Place};
use crate::put::{self, Effect};
use crate::selection::Selection;
use crate::timer::accept;
use crate::trace;
use arc_swap::Guard;
use message::{Str, names};
use remoting::body::heartbeat::{SUB_ALL, TAG};
use remoting::body::topic::TopicConfig;
use remoting::codes::ResponseCode;
use remoting::headers::base::TopicFields;
use remoting::headers::pop::{PopMessageRequestHeader, PopMessageResponseHeader};
use remoting::peer::Peer;
use remoting::reply::{Answer, Asker, Refusal, Reply};
use remoting::router::Call;
use settings::BrokerSettings;
use std::net::SocketAddr;
use std::sync::Arc;
use store::Wait;

/// A pop that waits.
#[derive(Debug)]
pub struct HeldPop {
    asker: Asker,
    header: PopMessageRequestHeader,
}

/// What a pop may read, once it was checked.
struct Checked {
    topic: Arc<TopicConfig>,
    selection: Selection,
    settings: Guard<Arc<BrokerSettings>>,
}

impl Checked {
    fn ask<'a>(
        &'a self,
        broker: &'a Broker,
        header: &'a PopMessageRequestHeader,
        wait: Wait,
        now_ms: i64,
    ) -> Ask<'a> {
        let Self { topic, selection, settings } = self;
        Ask { broker, settings, topic, selection, header, wait, now_ms }
    }
}

/// Code 200050.
pub fn pop(
    broker: &Broker,
    call: &Call<'_>,
    header: PopMessageRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let born_time = poll::born_ms(header.born_time, call.now_ms);
    let header = PopMessageRequestHeader { born_time, ..header };
    let checked = match check(broker, call.peer.remote, &header, call.now_ms) {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Reply::Answer(refused(refusal))),
    };
    let wait = put::patience(call.lane);
    let popped = match checked.ask(broker, &header, wait, call.now_ms).pop() {
        Ok(popped) => popped,
        Err(NotInMemory { missed }) => {
            beside(broker, if missed { next(broker, &header) } else { Vec::new() });
            return Ok(Reply::Effect(Effect::Block));
        }
    };
    if !popped.messages.is_empty() {
        let next = wakes(broker, &header, &popped);
        note(broker, &checked, (&header, call.peer), &popped, call.now_ms);
        let (answer, log_end) = answer(&header, popped, call.now_ms);
        let reply = broker.reply_when_flushed(log_end, answer, call.now_ms, || call.later());
        beside(broker, next);
        return Ok(reply);
    }
    if let Some(error) = popped.refused {
        return Ok(Reply::Answer(refused(put::refusal(broker, error))));
    }
    if !poll_of(&header).may_wait(call.now_ms) {
        let code = ResponseCode::POLLING_TIMEOUT;
        return Ok(Reply::Answer(nothing(code, &header, &popped, call.now_ms)));
    }
    let asker = call.later();
    let held = HeldPop { asker, header: kept(header, &checked) };
    beside(broker, hold(broker, held, &checked, popped, call.now_ms));
    Ok(Reply::Later)
}

/// Whether a checkpoint may wait so long; the timer of a Java broker refuses it, and nothing is
/// popped.
pub(super) fn may_wait_so_long(settings: &BrokerSettings, invisible_ms: i64) -> bool {
    invisible_ms.saturating_sub(records::CHECK_POINT_AHEAD_MS) <= accept::longest_ms(settings)
}

fn poll_of(header: &PopMessageRequestHeader) -> Poll {
    Poll { born_ms: header.born_time, poll_ms: header.poll_time }
}

/// Lets a pop wait that found nothing, or answers it where too many do. Gives pops to run: who can
/// go on already, as something came meanwhile.
fn hold(
    broker: &Broker,
    held: HeldPop,
    checked: &Checked,
    popped: Popped,
    now_ms: i64,
) -> Vec<HeldPop> {
    let java = &checked.settings.broker;
    let (topic, group) = (&checked.topic.topic_name, held.header.consumer_group.clone());
    let queue_id = held.header.queue_id.max(-1);
    let header = held.header.clone();
    let retry = |v2| Str::from(names::pop_retry_topic(topic, &group, v2));
    let place = Place {
        topic: topic.clone(),
        retry: if header.order { Vec::new() } else { vec![retry(false), retry(true)] },
        group: group.clone(),
        queue_id,
        selection: checked.selection.clone(),
        // What blocks it may end before.
        deadline_ms: popped.blocked_ms.unwrap_or(i64::MAX).min(poll_of(&header).deadline_ms()),
        peer_id: held.asker.peer().id,
    };
    let bounds = Bounds {
        each: usize::try_from(java.pop_polling_size).unwrap_or(0),
        all: usize::try_from(java.max_pop_polling_size).unwrap_or(0),
    };
    // Nobody waits for messages that a pop itself writes.
    let revive = records::revive_topic(&java.broker_cluster_name);
    let of_pops = **topic == *names::TIMER_TOPIC || *topic == revive;
    let bounds = if of_pops { Bounds { all: 0, ..bounds } } else { bounds };
    let peer = Arc::clone(held.asker.peer());
    if let Err(held) = broker.pops.waiting.hold(place, held, bounds) {
        let full = nothing(ResponseCode::POLLING_FULL, &header, &popped, now_ms);
        broker.give_saved(held.asker, full);
        return Vec::new();
    }
    broker.forget_if_gone(&peer);
    // A message may have come, or a queue been given back, while nobody waited for it yet.
    let ask = checked.ask(broker, &header, Wait::Never, now_ms);
    let came = popped.more || popped.missed || ask.ends() != popped.ends || ask.is_free(&popped);
    if came { next(broker, &header) } else { Vec::new() }
}

/// Those to wake for what this one asked for.
fn next(broker: &Broker, header: &PopMessageRequestHeader) -> Vec<HeldPop> {
    let (topic, group) = (&header.topic, &header.consumer_group);
    let queue_id = header.queue_id.max(-1);
    match broker.pops.waiting.next(topic, group, queue_id) {
        Some(held) => vec![held],
        // What any queue has left, who waits for one of them may have been kept from.
        None if queue_id < 0 => broker.pops.waiting.next_of_each(topic, group),
        None => Vec::new(),
    }
}

/// Pops that wait and can go on, as this one left something.
fn wakes(broker: &Broker, header: &PopMessageRequestHeader, popped: &Popped) -> Vec<HeldPop> {
    if popped.more || popped.missed { next(broker, header) } else { Vec::new() }
}

/// Runs pops that were held, because a message came or their time is up, as far as memory goes.
pub fn resume_all(broker: &Broker, held: Vec<HeldPop>, now_ms: i64) {
    let again = held.into_iter().flat_map(|held| resume(broker, held, Wait::Never, now_ms));
    beside(broker, again.collect());
}

/// Runs held pops where the disk may be waited for.
pub fn go_on(broker: &Broker, held: Vec<HeldPop>, now_ms: i64) {
    let again = held.into_iter().flat_map(|held| resume(broker, held, Wait::ForDisk, now_ms));
    beside(broker, again.collect());
}

/// Has held pops run on beside the connections, each for one look.
fn beside(broker: &Broker, held: Vec<HeldPop>) {
    if !held.is_empty() {
        broker.outside(Outside::Pops { held });
    }
}

/// Answers all held pops, because the broker stops.
pub fn release(broker: &Broker, now_ms: i64) {
    for HeldPop { asker, header } in broker.pops.waiting.drain() {
        let code = ResponseCode::POLLING_TIMEOUT;
        asker.answer(nothing(code, &header, &Popped::default(), now_ms));
    }
}

/// Runs one; gives those that can go on then.
fn resume(broker: &Broker, held: HeldPop, wait: Wait, now_ms: i64) -> Vec<HeldPop> {
    let header = &held.header;
    if held.asker.peer().is_closing() {
        // What it popped nobody would get.
        return next(broker, header);
    }
    let checked = match check(broker, held.asker.peer().remote, header, now_ms) {
        Ok(checked) => checked,
        Err(refusal) => {
            broker.give_saved(held.asker, refused(refusal));
            return Vec::new();
        }
    };
    let popped = match checked.ask(broker, header, wait, now_ms).pop() {
        Ok(popped) => popped,
        Err(NotInMemory { missed }) => {
            let next = if missed { next(broker, header) } else { Vec::new() };
            return std::iter::once(held).chain(next).collect();
        }
    };
    if popped.messages.is_empty() {
        if let Some(error) = popped.refused {
            broker.give_saved(held.asker, refused(put::refusal(broker, error)));
            return Vec::new();
        }
        if poll_of(header).may_wait(now_ms) {
            return hold(broker, held, &checked, popped, now_ms);
        }
        let answer = nothing(ResponseCode::POLLING_TIMEOUT, header, &popped, now_ms);
        broker.give_saved(held.asker, answer);
        return Vec::new();
    }
    let next = wakes(broker, header, &popped);
    note(broker, &checked, (header, held.asker.peer()), &popped, now_ms);
    let (answer, log_end) = answer(header, popped, now_ms);
    broker.give_when_flushed(log_end, held.asker, answer, now_ms);
    next
}

fn response(
    header: &PopMessageRequestHeader,
    popped: &Popped,
    now_ms: i64,
) -> PopMessageResponseHeader {
    PopMessageResponseHeader {
        pop_time: now_ms,
        invisible_time: header.invisible_time,
        revive_qid: popped.revive_queue,
        rest_num: popped.rest,
        start_offset_info: Some(popped.lists.starts.as_str().into()),
        msg_offset_info: Some(popped.lists.offsets.as_str().into()),
        order_count_info: header.order.then(|| popped.counts.as_str().into()),
    }
}

/// The answer with what was found, and the end of its checkpoints in the log.
fn answer(header: &PopMessageRequestHeader, popped: Popped, now_ms: i64) -> (Answer, i64) {
    let said = response(header, &popped, now_ms);
    let mut answer = Answer::header(&said).with_remark(Str::from_static("FOUND"));
    answer.body = popped.messages;
    (answer, popped.log_end)
}

/// Notes whom messages are given to, where that is traced.
fn note(
    broker: &Broker,
    checked: &Checked,
    (header, peer): (&PopMessageRequestHeader, &Peer),
    popped: &Popped,
    now_ms: i64,
) {
    if let Some(client) = trace::consumer(&checked.settings, peer) {
        let of = (&*header.consumer_group, &*checked.topic.topic_name);
        trace::given(broker, of, client, &popped.messages, now_ms);
    }
}

/// A refusal as Java gives it: clients read the numbers of whatever answer.
fn refused(refusal: Refusal) -> Answer {
    Answer::from(refusal).with_header(&PopMessageResponseHeader::default())
}

fn nothing(
    code: ResponseCode,
    header: &PopMessageRequestHeader,
    popped: &Popped,
    now_ms: i64,
) -> Answer {
    let answer = Answer::code(code).with_header(&response(header, popped, now_ms));
    answer.with_remark(Str::from_static("NO_MESSAGE_IN_QUEUE"))
}

/// The header as it may wait: its texts are lent from the frame, and would keep that all the time.
fn kept(header: PopMessageRequestHeader, checked: &Checked) -> PopMessageRequestHeader {
    let copy = |text: Option<Str>| text.map(|text| Str::from(&*text));
    PopMessageRequestHeader {
        consumer_group: Str::from(&*header.consumer_group),
        topic: checked.topic.topic_name.clone(),
        exp_type: copy(header.exp_type),
        exp: copy(header.exp),
        attempt_id: copy(header.attempt_id),
        base: TopicFields::default(),
        ..header
    }
}

/// Whether this group may pop this topic, and what of it.
fn check(
    broker: &Broker,
    remote: SocketAddr,
    header: &PopMessageRequestHeader,
    now_ms: i64,
) -> Result<Checked, Refusal> {
    let settings = broker.settings();
    poll::check(&settings, poll_of(header), header.max_msg_nums, now_ms)?;
    let refuse = |code, remark: &str| Err(poll::refusal(&settings, code, remark));
    // Java fails when it makes room for them.
    if header.max_msg_nums < 0 {
        return refuse(ResponseCode::SYSTEM_ERROR, "'s num is negative");
    }
    if !header.order && !may_wait_so_long(&settings, header.invisible_time) {
        let remark = "'s invisibleTime is longer than timerMaxDelaySec";
        return refuse(ResponseCode::INVALID_PARAMETER, remark);
    }
    if !settings.store.timer_wheel_enable {
        let remark = " is forbidden because timerWheelEnable is false";
        return refuse(ResponseCode::SYSTEM_ERROR, remark);
    }
    let what = (&header.topic, &header.consumer_group, header.queue_id);
    let topic = notification::readable_queue(broker, remote, what, now_ms)?;
    let selection = selection(broker, &settings, header, now_ms)?;
    Ok(Checked { topic, selection, settings })
}

/// What the expression of a pop selects; operators see it like the subscriptions of pulls.
fn selection(
    broker: &Broker,
    settings: &BrokerSettings,
    header: &PopMessageRequestHeader,
    now_ms: i64,
) -> Result<Selection, Refusal> {
    let (group, topic) = (&header.consumer_group, &header.topic);
    let text = header.exp.as_deref().unwrap_or_default();
    let kind = header.exp_type.as_deref().unwrap_or(TAG);
    let failed = || {
        let remark = "parse the consumer's subscription failed";
        Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, remark)
    };
    let retry = names::pop_retry_topic(topic, group, settings.broker.enable_retry_topic_v2);
    if text.is_empty() {
        broker.carried.learn(group, topic, (TAG, SUB_ALL), now_ms);
        broker.carried.learn(group, &retry, (TAG, SUB_ALL), now_ms);
        return Ok(Selection::All);
    }
    let subscription =
        broker.carried.learn(group, topic, (kind, text), now_ms).ok_or_else(failed)?;
    broker.carried.learn(group, &retry, (kind, SUB_ALL), now_ms);
    if kind == TAG || kind.is_empty() {
        return Ok(Selection::of_tags(&subscription));
    }
    let compiled = broker.filters.compiled(kind, text).map_err(|error| {
        let remark = format!("parse the consumer's subscription failed: {error}");
        Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, remark)
    })?;
    Ok(Selection::Expression(compiled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold;
    use message::Draft;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::room::Room;
    use remoting::router::Lane;
    use simulator::SimDisk;
    use std::path::Path;
    use store::Append;

    const NOW: i64 = 1_700_000_000_000;

    fn popped(broker: &Broker, queue_id: i32) -> Reply<Effect> {
        let header = PopMessageRequestHeader {
            consumer_group: "G".into(),
            topic: "T".into(),
            queue_id,
            max_msg_nums: 1,
            invisible_time: 60_000,
            poll_time: 10_000,
            born_time: NOW,
            ..PopMessageRequestHeader::default()
        };
        let command = Command::request(RequestCode::POP_MESSAGE);
        let address = "127.0.0.1:7".parse().unwrap();
        let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
        let lane = Lane::Blocking;
        let call = Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room };
        pop(broker, &call, header).unwrap()
    }

    #[test]
    fn what_a_pop_of_any_queue_leaves_wakes_who_waits_for_one() {
        let (broker, mut asked) = cold::open(SimDisk::new(7), Path::new("/store"), NOW);
        broker.topic_for_retry("T", 1, 0, NOW).unwrap();
        for _ in 0..2 {
            let draft = Draft::plain("T", NOW, broker.identity.store_host);
            broker.append(&mut [Append::one(draft)], NOW);
        }
        let taken = broker.pops.claims.claim(&"T".into(), &"G".into(), 0);
        assert!(matches!(popped(&broker, 0), Reply::Later), "another pop has the queue");
        drop(taken);
        assert!(!matches!(popped(&broker, -1), Reply::Later));
        assert!(broker.pops.waiting.is_empty());
        let is_woken = |asked: Outside| matches!(asked, Outside::Pops { held } if held.len() == 1);
        assert!(std::iter::from_fn(|| asked.try_recv().ok()).any(is_woken));
    }
}
