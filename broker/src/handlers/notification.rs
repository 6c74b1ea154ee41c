//! Whether there is something to pop, told at once or when it comes (200054), and how many pops
//! wait for it (200055; Java: `NotificationProcessor`, `PollingInfoProcessor`). Proxies ask the
//! former for clients that they cannot keep a pop open for. Not here: popping.
//!
//! A question with the answer no becomes a [`HeldNotice`]; a message, the end of a block, or its
//! deadline asks once more.

use super::poll::{self, Poll};
use crate::broker::Broker;
use crate::pop::order_info::At;
use crate::pop::waiting::{Bounds, Place};
use crate::put::Effect;
use crate::selection::Selection;
use crate::subscription;
use crate::topics::PERM_READ;
use message::{Str, names};
use remoting::body::heartbeat::TAG;
use remoting::body::topic::TopicConfig;
use remoting::codes::ResponseCode;
use remoting::flat::Header;
use remoting::headers::base::TopicFields;
use remoting::headers::pop::{
    NotificationRequestHeader, NotificationResponseHeader, PollingInfoRequestHeader,
    PollingInfoResponseHeader,
};
use remoting::reply::{Answer, Asker, Refusal, Reply};
use remoting::router::Call;
use std::net::SocketAddr;
use std::sync::Arc;
use store::{Limits, Position, ReadStatus, Wait};

/// A question that waits.
#[derive(Debug)]
pub struct HeldNotice {
    asker: Asker,
    header: NotificationRequestHeader,
}

/// What is known about a queue, or all queues of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    has_message: bool,
    /// When the first queue that is blocked is not any more, ms since 1970.
    blocked_ms: Option<i64>,
}

impl Look {
    fn and(self, other: Self) -> Self {
        let blocked_ms = match (self.blocked_ms, other.blocked_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { has_message: self.has_message || other.has_message, blocked_ms }
    }
}

/// Code 200054.
pub fn notify(
    broker: &Broker,
    call: &Call<'_>,
    header: NotificationRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    Ok(ask(broker, call, header)
        .unwrap_or_else(|refusal| refused(refusal, &NotificationResponseHeader::default()).into()))
}

/// The answer to who may not: the header is there, and empty, as in Java's answers of this family.
pub(super) fn refused(refusal: Refusal, header: &impl Header) -> Answer {
    Answer::from(refusal).with_header(header)
}

fn ask(
    broker: &Broker,
    call: &Call<'_>,
    header: NotificationRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let born_time = poll::born_ms(header.born_time, call.now_ms);
    let header = NotificationRequestHeader { born_time, ..header };
    let (topic, selection) = check(broker, call.peer.remote, &header, call.now_ms)?;
    let found = look(broker, &topic, &selection, &header, call.now_ms);
    if found.has_message || !poll_of(&header).may_wait(call.now_ms) {
        return Ok(Reply::Answer(answer(found.has_message, false)));
    }
    let held = HeldNotice { asker: call.later(), header: kept(header, &topic) };
    hold(broker, held, (topic, selection), found, call.now_ms);
    Ok(Reply::Later)
}

/// Code 200055.
pub fn waiting(
    broker: &Broker,
    call: &Call<'_>,
    header: PollingInfoRequestHeader,
) -> Result<Answer, Refusal> {
    let PollingInfoRequestHeader { topic, consumer_group, queue_id, .. } = header;
    let what = (&topic, &consumer_group, queue_id);
    if let Err(refusal) = readable(broker, call.peer.remote, what, call.now_ms) {
        return Ok(refused(refusal, &PollingInfoResponseHeader::default()));
    }
    let count = broker.pops.waiting.count(&topic, &consumer_group, queue_id);
    let polling_num = i32::try_from(count).unwrap_or(i32::MAX);
    Ok(told(&PollingInfoResponseHeader { polling_num }))
}

/// The topic, if the broker may be read and this group may read this queue.
pub(super) fn readable(
    broker: &Broker,
    remote: SocketAddr,
    (topic, group, queue_id): (&Str, &Str, i32),
    now_ms: i64,
) -> Result<Arc<TopicConfig>, Refusal> {
    let settings = broker.settings();
    if settings.broker.broker_permission & PERM_READ == 0 {
        let here = &settings.broker.broker_ip1;
        let remark = format!("the broker[{here}] peeking message is forbidden");
        return Err(Refusal::new(ResponseCode::NO_PERMISSION, remark));
    }
    readable_queue(broker, remote, (topic, group, queue_id), now_ms)
}

/// The topic, if this group may read this queue of it; -1 is any queue.
pub(super) fn readable_queue(
    broker: &Broker,
    remote: SocketAddr,
    (topic, group, queue_id): (&Str, &Str, i32),
    now_ms: i64,
) -> Result<Arc<TopicConfig>, Refusal> {
    let refuse = |code, remark: String| Err(Refusal::new(code, remark));
    let Some(config) = broker.topics.find(topic) else {
        let remark = format!("topic[{topic}] not exist, apply first please!");
        return refuse(ResponseCode::TOPIC_NOT_EXIST, remark);
    };
    if config.perm & PERM_READ == 0 {
        let remark = format!("the topic[{topic}] peeking message is forbidden");
        return refuse(ResponseCode::NO_PERMISSION, remark);
    }
    if queue_id >= config.read_queue_nums {
        let remark = format!(
            "queueId[{queue_id}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}] \
             consumer:[/{remote}]",
            config.read_queue_nums
        );
        return refuse(ResponseCode::INVALID_PARAMETER, remark);
    }
    let Some(known) = broker.group(group, now_ms) else {
        let remark = format!("subscription group [{group}] does not exist");
        return refuse(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    };
    if !known.consume_enable {
        let remark = format!("subscription group no permission, {group}");
        return refuse(ResponseCode::NO_PERMISSION, remark);
    }
    Ok(config)
}

/// Where a group that pops goes on in a queue: at what it committed, or else at the start.
pub(super) fn next_offset(broker: &Broker, group: &str, topic: &str, queue_id: i32) -> i64 {
    let committed = broker.offsets.query(group, topic, queue_id).filter(|offset| *offset >= 0);
    committed.unwrap_or_else(|| broker.store.min_offset(topic, queue_id))
}

/// Asks once more, because a message came, a block ended, or the time is up.
pub fn resume(broker: &Broker, held: HeldNotice, now_ms: i64) {
    let header = &held.header;
    let (topic, selection) = match check(broker, held.asker.peer().remote, header, now_ms) {
        Ok(checked) => checked,
        Err(refusal) => {
            let answer = refused(refusal, &NotificationResponseHeader::default());
            return broker.give_saved(held.asker, answer);
        }
    };
    let found = look(broker, &topic, &selection, header, now_ms);
    if found.has_message || !poll_of(header).may_wait(now_ms) {
        return broker.give_saved(held.asker, answer(found.has_message, false));
    }
    hold(broker, held, (topic, selection), found, now_ms);
}

/// Answers all, because the broker stops.
pub fn release(broker: &Broker) {
    for held in broker.notices.drain() {
        held.asker.answer(answer(false, false));
    }
}

/// Tells one of a group that waits for something of this queue.
pub fn wake(broker: &Broker, at: At<'_>, now_ms: i64) {
    if let Some(held) = broker.notices.next(at.topic, at.group, at.queue_id) {
        resume(broker, held, now_ms);
    }
}

fn answer(has_msg: bool, polling_full: bool) -> Answer {
    told(&NotificationResponseHeader { has_msg, polling_full })
}

/// An answer with its header, and with the words that Java leaves in it.
fn told(header: &impl Header) -> Answer {
    Answer::header(header).with_remark(Str::from_static("not set any response code"))
}

fn poll_of(header: &NotificationRequestHeader) -> Poll {
    Poll { born_ms: header.born_time, poll_ms: header.poll_time }
}

/// The header as it may wait: its texts are lent from the frame, and would keep that all the time.
fn kept(header: NotificationRequestHeader, topic: &TopicConfig) -> NotificationRequestHeader {
    let copy = |text: Option<Str>| text.map(|text| Str::from(&*text));
    NotificationRequestHeader {
        consumer_group: Str::from(&*header.consumer_group),
        topic: topic.topic_name.clone(),
        exp_type: copy(header.exp_type),
        exp: copy(header.exp),
        attempt_id: copy(header.attempt_id),
        base: TopicFields::default(),
        ..header
    }
}

fn hold(
    broker: &Broker,
    held: HeldNotice,
    (topic, selection): (Arc<TopicConfig>, Selection),
    found: Look,
    now_ms: i64,
) {
    let settings = broker.settings();
    let (name, header) = (&topic.topic_name, held.header.clone());
    let (group, queue_id) = (header.consumer_group.clone(), header.queue_id.max(-1));
    let place = Place {
        topic: name.clone(),
        retry: [false, true].map(|v2| names::pop_retry_topic(name, &group, v2).into()).into(),
        group: group.clone(),
        queue_id,
        selection: selection.clone(),
        // What blocks it may end before.
        deadline_ms: found.blocked_ms.unwrap_or(i64::MAX).min(poll_of(&header).deadline_ms()),
        peer_id: held.asker.peer().id,
    };
    let bounds = Bounds {
        each: usize::try_from(settings.broker.pop_polling_size).unwrap_or(0),
        all: usize::try_from(settings.broker.max_pop_polling_size).unwrap_or(0),
    };
    let peer = Arc::clone(held.asker.peer());
    if let Err(held) = broker.notices.hold(place, held, bounds) {
        return broker.give_saved(held.asker, answer(false, true));
    }
    broker.forget_if_gone(&peer);
    // A message may have come while nobody waited for it yet.
    if look(broker, &topic, &selection, &header, now_ms).has_message
        && let Some(held) = broker.notices.next(name, &group, queue_id)
    {
        broker.give_saved(held.asker, answer(true, false));
    }
}

/// Whether there is something to pop in what is asked for, or in the group's retry topics.
fn look(
    broker: &Broker,
    topic: &TopicConfig,
    selection: &Selection,
    header: &NotificationRequestHeader,
    now_ms: i64,
) -> Look {
    let group = &header.consumer_group;
    let ids = match header.queue_id {
        id @ 0.. => id..id + 1,
        _ => 0..topic.read_queue_nums,
    };
    let own = ids.map(|id| queue(broker, (topic, id), selection, header, now_ms));
    let found = own.reduce(Look::and).unwrap_or_default();
    if found.has_message {
        return found;
    }
    let java = &broker.settings().broker;
    let v2 = java.enable_retry_topic_v2;
    let versions = [(v2, true), (false, v2 && java.retrieve_message_from_pop_retry_topic_v1)];
    let used = versions.into_iter().filter(|(_, used)| *used);
    let retry = used.filter_map(|(v2, _)| {
        broker.topics.find(&names::pop_retry_topic(&topic.topic_name, group, v2))
    });
    retry.fold(found, |found, retry| {
        let ids = 0..retry.read_queue_nums;
        let each = ids.map(|id| queue(broker, (&retry, id), &Selection::All, header, now_ms));
        each.fold(found, Look::and)
    })
}

fn queue(
    broker: &Broker,
    (topic, queue_id): (&TopicConfig, i32),
    selection: &Selection,
    header: &NotificationRequestHeader,
    now_ms: i64,
) -> Look {
    let (name, group) = (&topic.topic_name, &header.consumer_group);
    if header.order {
        let at = At { topic: &header.topic, group, queue_id };
        let attempt = header.attempt_id.as_deref();
        let blocked_ms = broker.orders.blocked_until(at, attempt, 0, now_ms);
        if blocked_ms.is_some() {
            return Look { has_message: false, blocked_ms };
        }
    }
    let offset = next_offset(broker, group, name, queue_id);
    let has_message = match selection {
        Selection::All => broker.store.max_offset(name, queue_id) > offset,
        _ => has_wanted(broker, Position { topic: name, queue_id, offset }, selection),
    };
    Look { has_message, blocked_ms: None }
}

/// Whether there is a message that is wanted, as far as that can be said without the disk; if it
/// cannot, there may be one. A pop finds out.
fn has_wanted(broker: &Broker, from: Position<'_>, selection: &Selection) -> bool {
    let limits = Limits { wait: Wait::Never, ..Limits::messages(1) };
    let read = broker.store.read(from, limits, selection);
    match read.status {
        ReadStatus::Found | ReadStatus::NotInMemory => true,
        ReadStatus::NoMatchedMessage => read.next_offset < read.max_offset,
        // A pop goes on at another offset then.
        ReadStatus::OffsetTooSmall => read.max_offset > read.min_offset,
        _ => false,
    }
}

/// Whether this group may ask, and what it wants of the topic.
fn check(
    broker: &Broker,
    remote: SocketAddr,
    header: &NotificationRequestHeader,
    now_ms: i64,
) -> Result<(Arc<TopicConfig>, Selection), Refusal> {
    let what = (&header.topic, &header.consumer_group, header.queue_id);
    let topic = readable(broker, remote, what, now_ms)?;
    let text = header.exp.as_deref().unwrap_or_default();
    let kind = header.exp_type.as_deref().unwrap_or_default();
    if text.is_empty() || kind.is_empty() {
        return Ok((topic, Selection::All));
    }
    let failed = |why: String| {
        let remark = format!("parse the consumer's subscription failed{why}");
        Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, remark)
    };
    if kind == TAG {
        let built = subscription::build(&header.topic, text, kind);
        let built = built.ok_or_else(|| failed(String::new()))?;
        return Ok((topic, Selection::of_tags(&built)));
    }
    let compiled = broker.filters.compiled(kind, text);
    let compiled = compiled.map_err(|error| failed(format!(": {error}")))?;
    Ok((topic, Selection::Expression(compiled)))
}
