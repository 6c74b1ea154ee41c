//! Requests of clients about lite topics: subscriptions (200071), pops (200070), and what is done
//! with popped messages (51 and 53 of 200000; Java: `LiteSubscriptionCtlProcessor`,
//! `PopLiteMessageProcessor`).

use super::ack::{claim, count, parse};
use super::client::body;
use super::poll::{self, Poll};
use crate::attributes;
use crate::broker::{Broker, Outside};
use crate::lite::{Full, Offer, Who, names};
use crate::pop::handle::ORDERED;
use crate::pop::order_info::{Acked, At, Pop};
use crate::put::{self, Effect};
use crate::topics::PERM_READ;
use crate::trace;
use bytes::Bytes;
use message::Str;
use remoting::body::lite::{
    LiteSubscriptionAction, LiteSubscriptionCtlRequestBody, LiteSubscriptionDTO, OffsetOption,
    OffsetOptionType,
};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::base::RpcFields;
use remoting::headers::lite::{
    LiteSubscriptionCtlRequestHeader, NotifyUnsubscribeLiteRequestHeader,
    PopLiteMessageRequestHeader, PopLiteMessageResponseHeader,
};
use remoting::headers::pop::{
    AckMessageRequestHeader, ChangeInvisibleTimeRequestHeader, ChangeInvisibleTimeResponseHeader,
};
use remoting::peer::Peer;
use remoting::reply::{Answer, Asker, Refusal, Reply};
use remoting::router::Call;
use std::collections::BTreeSet;
use store::{Everything, Limits, Position, ReadStatus, Wait, light};

/// When a queue is offered again that somebody else has at the moment, ms.
const BUSY_MS: i64 = 50;
/// When a queue is offered again that has messages and gave none, ms.
const AGAIN_MS: i64 = 1_000;
/// How often a pop looks at what was offered while it began to wait.
const TRIES: usize = 3;
/// A policy of [`OffsetOption`]: from the first message.
const FIRST: i64 = 1;
/// A policy of [`OffsetOption`]: from the end.
const END: i64 = 2;

/// A pop that waits.
#[derive(Debug)]
pub struct HeldLite {
    asker: Asker,
    header: PopLiteMessageRequestHeader,
}

/// Code 200071: clients begin or end to read lite topics.
pub fn subscribe(
    broker: &Broker,
    call: &Call<'_>,
    _: LiteSubscriptionCtlRequestHeader,
) -> Result<Answer, Refusal> {
    let illegal = |remark: &str| Refusal::new(ResponseCode::ILLEGAL_OPERATION, remark);
    if call.command.body.is_empty() {
        return Err(illegal("Request body is null."));
    }
    let asked: LiteSubscriptionCtlRequestBody = body(call)?;
    if asked.subscription_set.is_empty() {
        return Err(illegal("LiteSubscriptionCtlRequestBody is empty."));
    }
    for change in &asked.subscription_set {
        change_one(broker, call, change)?;
    }
    Ok(Answer::success())
}

fn change_one(
    broker: &Broker,
    call: &Call<'_>,
    change: &LiteSubscriptionDTO,
) -> Result<(), Refusal> {
    let said = |text: &Option<Str>| text.clone().filter(|text| !text.trim().is_empty());
    let (Some(client), Some(group), Some(topic)) =
        (said(&change.client_id), said(&change.group), said(&change.topic))
    else {
        tracing::warn!(by = %call.peer.remote, "a lite subscription without a name");
        return Ok(());
    };
    let (client, group, topic) = (copy(&client), copy(&group), copy(&topic));
    let wrong = |what| Err(Refusal::new(ResponseCode::SYSTEM_ERROR, what));
    let Some(action) = change.action else {
        return wrong("a change of lite subscriptions does not say which (action)");
    };
    let lite = change.lite_topic_set.iter().flatten();
    let queues: Option<BTreeSet<Str>> = lite.map(|lite| names::queue(&topic, lite)).collect();
    let queues = match (queues, action) {
        (Some(queues), _) => queues,
        // All that it has.
        (None, LiteSubscriptionAction::CompleteRemove) => BTreeSet::new(),
        (None, _) => return wrong("a lite topic without a name (liteTopicSet)"),
    };
    let who = Who { client: &client, group: &group, topic: &topic, peer: Some(call.peer) };
    match action {
        LiteSubscriptionAction::PartialAdd => {
            check_group(broker, &group, call.now_ms)?;
            add(broker, call, &who, (&queues, change.offset_option.as_ref()))
        }
        LiteSubscriptionAction::PartialRemove => {
            let resets = is_set(broker, &group, attributes::LITE_RESET_ON_LEAVE);
            for queue in broker.lite.remove(&who, &queues, call.now_ms) {
                if resets {
                    reset(broker, &group, &queue, &OFFSET_FIRST);
                }
                // It may have been offered what others read too.
                offer(broker, Some(&*group), &queue, call.now_ms);
            }
            Ok(())
        }
        LiteSubscriptionAction::CompleteAdd => {
            check_group(broker, &group, call.now_ms)?;
            let all = || BTreeSet::from([names::of_all(&topic, &group)]);
            let queues = if reads_all(broker, &group) { all() } else { queues };
            let changed = broker.lite.replace(&who, &queues, call.now_ms).map_err(full)?;
            offer_changed(broker, &group, &topic, changed, call.now_ms);
            Ok(())
        }
        LiteSubscriptionAction::CompleteRemove => {
            leave(broker, &client, call.now_ms);
            Ok(())
        }
    }
}

const OFFSET_FIRST: OffsetOption =
    OffsetOption { kind: Some(OffsetOptionType::Policy), value: FIRST };

/// A copy: a piece of the request would keep all of its bytes.
fn copy(text: &Str) -> Str {
    Str::from(text.to_string())
}

fn full(_: Full) -> Refusal {
    let remark = "there is no room for further clients or subscriptions";
    Refusal::new(ResponseCode::LITE_SUBSCRIPTION_QUOTA_EXCEEDED, remark)
}

fn check_group(broker: &Broker, group: &str, now_ms: i64) -> Result<(), Refusal> {
    if broker.group(group, now_ms).is_some_and(|group| group.consume_enable) {
        return Ok(());
    }
    let remark = "Consumer group is not allowed to consume.";
    Err(Refusal::new(ResponseCode::ILLEGAL_OPERATION, remark))
}

/// Whether an attribute of a group is `true`.
fn is_set(broker: &Broker, group: &str, key: &str) -> bool {
    let found = broker.groups.find(group);
    let value = found.as_ref().and_then(|found| found.attributes.get(key));
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Whether the group reads all lite topics of the one that it is bound to.
pub(super) fn reads_all(broker: &Broker, group: &str) -> bool {
    let found = broker.groups.find(group);
    found.is_some_and(|found| found.attributes.contains_key(attributes::LITE_ALL))
}

fn add(
    broker: &Broker,
    call: &Call<'_>,
    who: &Who<'_>,
    (queues, option): (&BTreeSet<Str>, Option<&OffsetOption>),
) -> Result<(), Refusal> {
    let limit = broker.settings().broker.max_lite_subscription_count;
    if broker.lite.len() as i64 >= limit {
        let remark = format!("lite subscription quota exceeded {limit}");
        return Err(Refusal::new(ResponseCode::LITE_SUBSCRIPTION_QUOTA_EXCEEDED, remark));
    }
    if reads_all(broker, who.group) {
        let remark = "subscribe lite operation is not supported for this group";
        return Err(Refusal::new(ResponseCode::ILLEGAL_OPERATION, remark));
    }
    let new = broker.lite.add(who, queues, call.now_ms).map_err(full)?;
    let group = broker.groups.find(who.group);
    let is_exclusive = group.is_some_and(|group| {
        group.attributes.get(attributes::LITE_MODEL).is_some_and(|model| model == "Exclusive")
    });
    for queue in queues.iter().filter(|_| is_exclusive) {
        let resets = is_set(broker, who.group, attributes::LITE_RESET_ON_EXCLUSION);
        for (client, peer) in broker.lite.exclude(who, queue) {
            if let (Some(peer), Some((_, lite_topic))) = (peer, names::parts(queue)) {
                let header = NotifyUnsubscribeLiteRequestHeader {
                    lite_topic: Str::from(lite_topic.to_owned()),
                    consumer_group: who.group.clone(),
                    client_id: client,
                    base: RpcFields::default(),
                };
                let command = Command::request(RequestCode::NOTIFY_UNSUBSCRIBE_LITE);
                peer.send(&command.with_header(&header).oneway());
            }
            if resets {
                reset(broker, who.group, queue, &OFFSET_FIRST);
            }
        }
    }
    for queue in queues {
        option.into_iter().for_each(|option| reset(broker, who.group, queue, option));
    }
    // What another client was offered, or what was read already, is to be offered to this one.
    let all_changed = is_exclusive || option.is_some();
    let changed = if all_changed { queues.iter().cloned().collect() } else { new };
    offer_changed(broker, who.group, who.topic, changed, call.now_ms);
    Ok(())
}

/// Moves a group in a lite topic as a client asks when it begins to read it.
fn reset(broker: &Broker, group: &Str, queue: &Str, option: &OffsetOption) {
    let current = broker.offsets.query(group, queue, light::QUEUE_ID);
    let end = broker.store.max_offset(queue, light::QUEUE_ID);
    let wanted = match (option.kind, option.value) {
        (Some(OffsetOptionType::Policy), FIRST) => Some(0),
        (Some(OffsetOptionType::Policy), END) => Some(end),
        (Some(OffsetOptionType::Offset), offset) => Some(offset),
        (Some(OffsetOptionType::TailN), count) => {
            current.filter(|at| *at >= 0).map(|at| at.saturating_sub(count).max(0))
        }
        _ => None,
    };
    // Where there is nothing yet, whoever says nothing begins at 0 too.
    let says_nothing = |wanted: i64| wanted == 0 && end == 0 && current.is_none();
    let wanted = wanted.filter(|wanted| current != Some(*wanted) && !says_nothing(*wanted));
    if let Some(wanted) = wanted {
        broker.offsets.reset(group, queue, light::QUEUE_ID, wanted);
        broker.lite.orders.clear(At { topic: queue, group, queue_id: light::QUEUE_ID });
    }
}

/// Offers queues that have another reader, or one less, to those of the group that read them.
fn offer_changed(broker: &Broker, group: &Str, topic: &Str, changed: Vec<Str>, now_ms: i64) {
    for queue in changed {
        if queue == names::of_all(topic, group) {
            offer_all(broker, group, topic, now_ms);
        } else {
            offer(broker, Some(&**group), &queue, now_ms);
        }
    }
}

/// Offers a group all lite topics of a parent that have something for it.
pub(super) fn offer_all(broker: &Broker, group: &Str, topic: &str, now_ms: i64) {
    for queue in broker.store.topics() {
        if names::parts(&queue).is_some_and(|(parent, _)| parent == topic) {
            offer(broker, Some(&**group), &queue, now_ms);
        }
    }
}

/// Offers a lite topic to those who read it, if it has something for the group.
pub fn offer(broker: &Broker, group: Option<&str>, queue: &Str, now_ms: i64) {
    offer_rather(broker, group, (queue, None), now_ms);
}

/// The same, to another client than this one if there is one.
pub fn offer_rather(
    broker: &Broker,
    group: Option<&str>,
    (queue, rather_not): (&Str, Option<&str>),
    now_ms: i64,
) {
    let end = broker.store.max_offset(queue, light::QUEUE_ID);
    let done = |group: &str| broker.offsets.query(group, queue, light::QUEUE_ID).unwrap_or(-1);
    if end <= 0 || group.is_some_and(|group| done(group) >= end) {
        return;
    }
    let settings = broker.settings();
    let most = |group: &str| {
        let group = broker.groups.find(group);
        let said = group.as_ref().and_then(|it| it.attributes.get(attributes::LITE_OFFERED_MOST));
        let said = said.and_then(|most| most.parse().ok()).filter(|most| *most > 0);
        usize::try_from(said.unwrap_or(settings.broker.max_client_event_count)).unwrap_or(0)
    };
    let again_ms = now_ms + settings.broker.lite_event_full_dispatch_delay_time.max(BUSY_MS);
    for held in broker.lite.offer(Offer { group, queue, rather_not, now_ms, again_ms }, most) {
        resume(broker, held, Wait::Never, now_ms);
    }
}

/// A client is gone, or reads nothing any more: others get what it was offered.
pub fn leave(broker: &Broker, client: &str, now_ms: i64) {
    if let Some((group, offered)) = broker.lite.leave(client) {
        offered.iter().for_each(|queue| offer(broker, Some(&*group), queue, now_ms));
    }
}

/// Ends pops whose time is up, and offers what is visible again.
pub fn tick(broker: &Broker, now_ms: i64) {
    for held in broker.lite.expire(now_ms) {
        resume(broker, held, Wait::Never, now_ms);
    }
    for (group, queue) in broker.lite.due(now_ms) {
        offer(broker, Some(&*group), &queue, now_ms);
    }
}

/// Answers all pops that wait, because the broker stops.
pub fn release(broker: &Broker, now_ms: i64) {
    for HeldLite { asker, header } in broker.lite.drain() {
        asker.answer(nothing(ResponseCode::POLLING_TIMEOUT, &header, now_ms));
    }
}

/// What a pop found.
#[derive(Default)]
struct Found {
    messages: Vec<Bytes>,
    counts: String,
    /// The disk has to be waited for.
    not_in_memory: bool,
}

/// Code 200070: messages of the lite topics that a client was offered.
pub fn pop(
    broker: &Broker,
    call: &Call<'_>,
    header: PopLiteMessageRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let born_time = poll::born_ms(header.born_time, call.now_ms);
    let header = PopLiteMessageRequestHeader { born_time, ..header };
    if let Err(refusal) = check(broker, &header, call.now_ms) {
        let answer = Answer::from(refusal);
        return Ok(answer.with_header(&PopLiteMessageResponseHeader::default()).into());
    }
    let wait = put::patience(call.lane);
    let found = take(broker, &header, wait, call.now_ms);
    if !found.messages.is_empty() {
        return Ok(Reply::Answer(answer(broker, call.peer, &header, found, call.now_ms)));
    }
    if found.not_in_memory {
        return Ok(Reply::Effect(Effect::Block));
    }
    if !poll_of(&header).may_wait(call.now_ms) {
        let code = ResponseCode::POLLING_TIMEOUT;
        return Ok(Reply::Answer(nothing(code, &header, call.now_ms)));
    }
    let held = HeldLite { asker: call.later(), header: kept(header) };
    hold(broker, held, wait, call.now_ms);
    Ok(Reply::Later)
}

fn poll_of(header: &PopLiteMessageRequestHeader) -> Poll {
    Poll { born_ms: header.born_time, poll_ms: header.poll_time }
}

/// The header as it may wait: its texts are lent from the frame.
fn kept(header: PopLiteMessageRequestHeader) -> PopLiteMessageRequestHeader {
    PopLiteMessageRequestHeader {
        client_id: copy(&header.client_id),
        consumer_group: copy(&header.consumer_group),
        topic: copy(&header.topic),
        attempt_id: header.attempt_id.as_ref().map(copy),
        base: RpcFields::default(),
        ..header
    }
}

fn hold(broker: &Broker, mut held: HeldLite, wait: Wait, now_ms: i64) {
    for _ in 0..TRIES {
        let client = held.header.client_id.clone();
        let until = (poll_of(&held.header).deadline_ms(), held.asker.peer().id);
        match broker.lite.wait(&client, until, held) {
            Ok(()) => return,
            Err(again) => held = again,
        }
        // Something was offered meanwhile, or too many wait.
        let found = take(broker, &held.header, wait, now_ms);
        if !found.messages.is_empty() {
            let answer = answer(broker, held.asker.peer(), &held.header, found, now_ms);
            broker.give_saved(held.asker, answer);
            return;
        }
        if found.not_in_memory {
            broker.outside(Outside::LitePop { held });
            return;
        }
    }
    let full = nothing(ResponseCode::POLLING_FULL, &held.header, now_ms);
    broker.give_saved(held.asker, full);
}

/// Runs a pop that was held where the disk may be waited for.
pub fn go_on(broker: &Broker, held: HeldLite, now_ms: i64) {
    resume(broker, held, Wait::ForDisk, now_ms);
}

/// Runs a pop that was held. What has to be read from the disk is read beside the connections:
/// whoever wakes it has others to serve.
fn resume(broker: &Broker, held: HeldLite, wait: Wait, now_ms: i64) {
    let found = take(broker, &held.header, wait, now_ms);
    if !found.messages.is_empty() {
        let answer = answer(broker, held.asker.peer(), &held.header, found, now_ms);
        broker.give_saved(held.asker, answer);
    } else if found.not_in_memory {
        broker.outside(Outside::LitePop { held });
    } else if poll_of(&held.header).may_wait(now_ms) {
        hold(broker, held, wait, now_ms);
    } else {
        let none = nothing(ResponseCode::POLLING_TIMEOUT, &held.header, now_ms);
        broker.give_saved(held.asker, none);
    }
}

fn response(
    header: &PopLiteMessageRequestHeader,
    counts: String,
    now_ms: i64,
) -> PopLiteMessageResponseHeader {
    PopLiteMessageResponseHeader {
        pop_time: now_ms,
        invisible_time: header.invisible_time,
        revive_qid: ORDERED,
        order_count_info: Some(counts.into()),
        ..PopLiteMessageResponseHeader::default()
    }
}

fn answer(
    broker: &Broker,
    peer: &Peer,
    header: &PopLiteMessageRequestHeader,
    found: Found,
    now_ms: i64,
) -> Answer {
    if let Some(client) = trace::consumer(&broker.settings(), peer) {
        let of = (&*header.consumer_group, &*header.topic);
        trace::given(broker, of, client, &found.messages, now_ms);
    }
    let said = response(header, found.counts, now_ms);
    let mut answer = Answer::header(&said).with_remark(Str::from_static("FOUND"));
    answer.body = found.messages;
    answer
}

fn nothing(code: ResponseCode, header: &PopLiteMessageRequestHeader, now_ms: i64) -> Answer {
    let said = response(header, String::new(), now_ms);
    Answer::code(code).with_header(&said).with_remark(Str::from_static("NO_MESSAGE_IN_QUEUE"))
}

/// Takes from the queues that the client was offered, one after the other.
fn take(broker: &Broker, header: &PopLiteMessageRequestHeader, wait: Wait, now_ms: i64) -> Found {
    let most = usize::try_from(header.max_msg_num).unwrap_or(0);
    let (mut found, mut seen) = (Found::default(), BTreeSet::new());
    while found.messages.len() < most
        && let Some(queue) = broker.lite.take(&header.client_id, now_ms)
    {
        if !seen.insert(queue.clone()) {
            broker.lite.offer_at(now_ms + BUSY_MS, &header.consumer_group, &queue);
            break;
        }
        let rest = most - found.messages.len();
        take_of(broker, header, (&queue, rest), (wait, now_ms), &mut found);
        if found.not_in_memory {
            broker.lite.offer_again(&header.client_id, &queue);
            break;
        }
    }
    found
}

fn take_of(
    broker: &Broker,
    header: &PopLiteMessageRequestHeader,
    (queue, most): (&Str, usize),
    (wait, now_ms): (Wait, i64),
    found: &mut Found,
) {
    let group = &header.consumer_group;
    let id = light::QUEUE_ID;
    let Some(claim) = broker.pops.claims.claim(queue, group, id) else {
        broker.lite.offer_at(now_ms + BUSY_MS, group, queue);
        return;
    };
    let at = At { topic: queue, group, queue_id: id };
    let attempt = header.attempt_id.as_deref();
    let orders = &broker.lite.orders;
    if let Some(until) = orders.blocked_until(at, attempt, header.invisible_time, now_ms) {
        broker.lite.offer_at(until, group, queue);
        claim.end();
        return;
    }
    let start = start(broker, at);
    let position = |offset| Position { topic: queue, queue_id: id, offset };
    let limits = Limits { wait, ..Limits::messages(most) };
    let mut read = broker.store.read(position(start), limits, &Everything);
    let is_elsewhere = matches!(
        read.status,
        ReadStatus::OffsetTooSmall
            | ReadStatus::OffsetOverflowBadly
            | ReadStatus::OffsetFoundNull
            | ReadStatus::MessageWasRemoving
            | ReadStatus::NoMatchedMessage
    );
    if is_elsewhere {
        broker.offsets.commit(group, queue, id, read.next_offset);
        read = broker.store.read(position(read.next_offset), limits, &Everything);
    }
    if read.status == ReadStatus::NotInMemory {
        found.not_in_memory = true;
    } else if !read.messages.is_empty() {
        let place = |stored: &Bytes| light::place_in((queue, id), stored).unwrap_or(-1);
        let offsets: Vec<i64> = read.messages.iter().map(place).collect();
        let invisible_ms = header.invisible_time;
        let pop = Pop { attempt_id: attempt, pop_ms: now_ms, invisible_ms, offsets: &offsets };
        let counts = orders.take(at, &pop, now_ms);
        let mut text = String::new();
        counts.append_to(&mut text, 0, id);
        add_counts(&mut found.counts, &text, offsets.len());
        broker.lite.offer_at(now_ms.saturating_add(invisible_ms), group, queue);
        broker.stats.read(offsets.len() as u64, 0);
        found.messages.extend(read.messages);
    } else if read.next_offset < read.max_offset {
        // The disk does not answer, or there is more to be passed over.
        broker.lite.offer_at(now_ms + AGAIN_MS, group, queue);
    }
    claim.end();
}

/// Where the group goes on in a lite topic; a new one is told.
fn start(broker: &Broker, at: At<'_>) -> i64 {
    let At { topic: queue, group, queue_id: id } = at;
    if let Some(reset) = broker.offsets.take_reset(group, queue, id) {
        broker.lite.orders.clear(at);
        broker.offsets.commit(group, queue, id, reset);
        return reset;
    }
    let committed = broker.offsets.query(group, queue, id).filter(|offset| *offset >= 0);
    committed.unwrap_or_else(|| {
        let (min, end) = (broker.store.min_offset(queue, id), broker.store.max_offset(queue, id));
        let from_first = broker.settings().broker.init_pop_offset_by_check_msg_in_mem;
        let start = if from_first && min <= 0 { 0 } else { (end - 1).max(0) };
        broker.offsets.commit(group, queue, id, start);
        start
    })
}

/// Adds how often messages were taken before, as Java tells clients of lite topics: in the form of
/// [`crate::pop::order_info::Counts::append_to`] without its last part, or a number for each
/// message.
fn add_counts(all: &mut String, counts: &str, messages: usize) {
    let of_queue = match counts.rsplit_once(';') {
        Some((by_offset, _)) => by_offset.to_owned(),
        None => {
            let count = counts.split(' ').nth(2).unwrap_or("0");
            vec![count; messages].join(";")
        }
    };
    if !all.is_empty() {
        all.push(';');
    }
    all.push_str(&of_queue);
}

/// Whether this group may pop lite topics of this parent.
fn check(
    broker: &Broker,
    header: &PopLiteMessageRequestHeader,
    now_ms: i64,
) -> Result<(), Refusal> {
    poll::check(&broker.settings(), poll_of(header), header.max_msg_num, now_ms)?;
    let refuse = |code, remark: String| Err(Refusal::new(code, remark));
    let (topic_name, group) = (&header.topic, &header.consumer_group);
    let Some(topic) = broker.topics.find(topic_name) else {
        let remark = format!("topic [{topic_name}] not exist, apply first please!");
        return refuse(ResponseCode::TOPIC_NOT_EXIST, remark);
    };
    if topic.perm & PERM_READ == 0 {
        let remark = format!("the topic [{topic_name}] peeking message is forbidden");
        return refuse(ResponseCode::NO_PERMISSION, remark);
    }
    if !attributes::is_lite(&topic) {
        let remark = format!("the topic [{topic_name}] message type not match");
        return refuse(ResponseCode::INVALID_PARAMETER, remark);
    }
    let Some(config) = broker.group(group, now_ms) else {
        let remark = format!("subscription group [{group}] not exist");
        return refuse(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    };
    if !config.consume_enable {
        let remark = format!("subscription group no permission, {group}");
        return refuse(ResponseCode::NO_PERMISSION, remark);
    }
    if attributes::bound_to(&config) != Some(topic_name) {
        let remark = format!("subscription bind topic not match, {group}");
        return refuse(ResponseCode::INVALID_PARAMETER, remark);
    }
    Ok(())
}

/// Code 200051 of a lite topic: one message is done.
pub(super) fn ack(
    broker: &Broker,
    call: &Call<'_>,
    header: &AckMessageRequestHeader,
    lite: &str,
) -> Result<Reply<Effect>, Refusal> {
    let group = &header.consumer_group;
    let refuse = |code, remark: &str| Err(Refusal::new(code, remark));
    let config = broker.groups.find(group);
    let is_bound = config.is_some_and(|it| attributes::bound_to(&it) == Some(&header.topic));
    let Some(queue) = names::queue(&header.topic, lite).filter(|_| is_bound) else {
        let remark = "group type or bind topic not match.";
        return refuse(ResponseCode::INVALID_PARAMETER, remark);
    };
    let id = light::QUEUE_ID;
    if header.offset > broker.store.max_offset(&queue, id) {
        return refuse(ResponseCode::NO_MESSAGE, "ack offset illegal.");
    }
    let handle = parse(&header.extra_info)?;
    if header.queue_id != id || handle.revive_queue != ORDERED {
        return refuse(ResponseCode::INVALID_PARAMETER, "ack queue illegal.");
    }
    let committed = || broker.offsets.query(group, &queue, id).unwrap_or(-1);
    if header.offset < committed() {
        return Ok(Reply::Answer(Answer::success()));
    }
    let Some(claim) = claim(broker, call, (&queue, group, id)) else {
        return Ok(Reply::Effect(Effect::Block));
    };
    let at = At { topic: &queue, group, queue_id: id };
    let (old, pop_ms) = (committed(), handle.pop_ms);
    let acked = match header.offset < old {
        true => Acked::Stale,
        false => broker.lite.orders.ack(at, header.offset, pop_ms, old),
    };
    if let Acked::Next(next) = acked {
        broker.offsets.commit_unless_reset(group, &queue, id, next);
        count(broker, (&header.topic, group), 1);
    }
    claim.end();
    match acked {
        Acked::Unknown => refuse(ResponseCode::MESSAGE_ILLEGAL, "ack offset illegal."),
        Acked::Stale => Ok(Reply::Answer(Answer::success())),
        Acked::Next(_) => {
            if broker.lite.orders.blocked_until(at, None, 0, call.now_ms).is_none() {
                offer(broker, Some(group), &queue, call.now_ms);
            }
            Ok(Reply::Answer(Answer::success()))
        }
    }
}

/// Code 200053 of a lite topic: a message stays invisible for another time, or all of its pop do.
pub(super) fn change(
    broker: &Broker,
    call: &Call<'_>,
    header: &ChangeInvisibleTimeRequestHeader,
    lite: &str,
) -> Result<Result<ChangeInvisibleTimeResponseHeader, ResponseCode>, Refusal> {
    let (group, id) = (&header.consumer_group, light::QUEUE_ID);
    let Some(queue) = names::queue(&header.topic, lite) else { return Ok(Ok(Default::default())) };
    if header.offset > broker.store.max_offset(&queue, id) {
        return Ok(Err(ResponseCode::NO_MESSAGE));
    }
    let handle = parse(&header.extra_info)?;
    let committed = broker.offsets.query(group, &queue, id).unwrap_or(-1);
    if header.offset < committed {
        return Ok(Ok(ChangeInvisibleTimeResponseHeader::default()));
    }
    let visible_ms = call.now_ms.saturating_add(header.invisible_time);
    let at = At { topic: &queue, group, queue_id: id };
    let is_taken = match header.suspend {
        true => broker.lite.orders.suspend(at, handle.pop_ms, visible_ms),
        false => broker.lite.orders.change(at, header.offset, handle.pop_ms, visible_ms),
    };
    if is_taken {
        broker.lite.offer_at(visible_ms, group, &queue);
    }
    Ok(Ok(ChangeInvisibleTimeResponseHeader {
        pop_time: handle.pop_ms,
        invisible_time: visible_ms.saturating_sub(handle.pop_ms),
        revive_qid: handle.revive_queue,
    }))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests own their directory")]
mod tests;
