//! Pulls: messages of one queue, at once or when the next one comes
//! (Java: `PullMessageProcessor`, `DefaultPullMessageResultHandler`, `PullRequestHoldService`).
//!
//! A body is lent from the commit log and not copied. A pull that finds nothing becomes a
//! [`HeldPull`]; the append that it waits for runs it once more, and then it is answered whatever
//! it finds. One that would have to wait for the disk runs again beside the connection. Pulls of
//! static topics are in `logical`.

mod logical;

use super::poll;
use crate::broker::Broker;
use crate::hold::Waiting;
use crate::lite;
use crate::put::{self, Effect};
use crate::selection::Selection;
use crate::stats::Pulled;
use crate::subscription;
use crate::topics::PERM_READ;
use crate::trace;
use message::{Str, names, record};
use remoting::body::group::SubscriptionGroupConfig;
use remoting::body::heartbeat::{ConsumeType, SQL92, SubscriptionData, TAG};
use remoting::body::topic::TopicConfig;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::headers::base::TopicFields;
use remoting::headers::pull::{PullMessageRequestHeader, PullMessageResponseHeader};
use remoting::peer::Peer;
use remoting::reply::{Answer, Asker, Refusal, Reply};
use remoting::router::Call;
use std::net::SocketAddr;
use std::sync::Arc;
use store::{Limits, Position, ReadStatus, Wait};

/// `sysFlag` of a pull: `commitOffset` counts.
const COMMIT: i32 = 1;
/// `sysFlag` of a pull: it may be held.
const SUSPEND: i32 = 2;
/// `sysFlag` of a pull: it carries its subscription.
const SUBSCRIPTION: i32 = 4;
/// `sysFlag` of a pull: a class filters.
const CLASS_FILTER: i32 = 8;

/// Why a pull is forbidden, as the answer's `forbiddenType` says it.
#[derive(Clone, Copy)]
enum Forbidden {
    Broker = 1,
    Group = 2,
    Topic = 3,
    Broadcasting = 4,
    Subscription = 5,
}

/// A pull that waits.
#[derive(Debug)]
pub struct HeldPull {
    asker: Asker,
    code: RequestCode,
    header: PullMessageRequestHeader,
    selection: Selection,
    /// The offset in its queue that it waits for: not that of the header where the topic is static.
    offset: i64,
}

impl Waiting for HeldPull {
    fn offset(&self) -> i64 {
        self.offset
    }

    fn codes(&self) -> Option<&[i32]> {
        match &self.selection {
            Selection::Tags(codes) => Some(codes),
            _ => None,
        }
    }

    fn judge(&self) -> Option<Selection> {
        self.selection.needs_properties().then(|| self.selection.clone())
    }

    fn peer_id(&self) -> u64 {
        self.asker.peer().id
    }
}

/// What a pull may read, once it was checked.
struct Checked {
    group: Arc<SubscriptionGroupConfig>,
    topic: Arc<TopicConfig>,
    selection: Selection,
    /// Whom it is given to, where that is traced.
    traced: Option<SocketAddr>,
}

/// Codes 11 and 361.
pub fn pull(
    broker: &Broker,
    call: &Call<'_>,
    header: PullMessageRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let code = call.command.code();
    match broker.mappings.queue(&header.topic, header.queue_id, header.base.logical) {
        Ok(None) => {}
        Ok(Some(queue)) => return logical::pull(broker, call, &queue, header),
        Err(refusal) => return logical::refuse(broker, call, &header, refusal),
    }
    let checked = match check(broker, code, call.peer, &header, call.now_ms) {
        Ok(checked) => checked,
        Err(answer) => return Ok(Reply::Answer(*answer)),
    };
    let wait = put::patience(call.lane);
    let Some(answer) = attempt(broker, &header, &checked, (true, wait), call.now_ms) else {
        return Ok(Reply::Effect(Effect::Block));
    };
    let may_wait = header.sys_flag & SUSPEND != 0;
    if answer.code != ResponseCode::PULL_NOT_FOUND || !may_wait {
        return Ok(Reply::Answer(answer));
    }
    let place = (header.queue_id, header.queue_offset);
    Ok(hold(broker, call, (header, checked), place, answer))
}

/// Has a pull wait for the message at an offset of a queue, or gives the answer that it has.
fn hold(
    broker: &Broker,
    call: &Call<'_>,
    (header, checked): (PullMessageRequestHeader, Checked),
    (queue_id, offset): (i32, i64),
    answer: Answer,
) -> Reply<Effect> {
    let settings = broker.settings();
    let wait_ms = match settings.broker.long_polling_enable {
        true => header.suspend_timeout_millis.clamp(0, poll::HOLD_LIMIT_MS),
        false => settings.broker.short_polling_time_mills,
    };
    let header = kept(header, &checked);
    // It waits where it reads.
    let topic = light(&header).unwrap_or_else(|| header.topic.clone());
    let (asker, code) = (call.later(), call.command.code());
    // Where it is told of a move: a pull of a lite topic at the parent, as in Java.
    let (group, parent) = (header.consumer_group.clone(), header.topic.clone());
    let held = HeldPull { asker, code, header, selection: checked.selection, offset };
    if broker.holds.hold(&topic, queue_id, call.now_ms + wait_ms, held).is_err() {
        return Reply::Answer(answer);
    }
    broker.forget_if_gone(call.peer);
    // A message may have come while nobody waited for it yet, or the group was moved. A message
    // that cannot be read yet would have the pull answered with nothing, and come again at once.
    let end = broker.store.read_to(&topic, queue_id);
    if broker.offsets.has_reset(&group, &parent, queue_id) {
        broker.wake(&topic, queue_id, call.now_ms);
    } else if end > offset {
        for held in broker.holds.arrived(&topic, queue_id, end - 1, None) {
            resume(broker, held, call.now_ms);
        }
    }
    Reply::Later
}

/// The header as it may wait: its texts are lent from the frame, and would keep that all the time.
fn kept(header: PullMessageRequestHeader, checked: &Checked) -> PullMessageRequestHeader {
    let copy = |text: Option<Str>| text.map(|text| Str::from(&*text));
    PullMessageRequestHeader {
        consumer_group: checked.group.group_name.clone(),
        topic: checked.topic.topic_name.clone(),
        subscription: copy(header.subscription),
        expression_type: copy(header.expression_type),
        lite_topic: copy(header.lite_topic),
        proxy_forward_client_id: None,
        base: TopicFields { logical: header.base.logical, ..TopicFields::default() },
        ..header
    }
}

/// Runs a pull that was held, because its message came or its time is up, and answers it.
pub fn resume(broker: &Broker, held: HeldPull, now_ms: i64) {
    // Where it is no static topic, nothing of it is logical.
    if let Some(answer) = logical::resumed(broker, &held, now_ms) {
        broker.give_saved(held.asker, answer);
        return;
    }
    let answer = match check(broker, held.code, held.asker.peer(), &held.header, now_ms) {
        Ok(checked) => attempt(broker, &held.header, &checked, (false, Wait::ForDisk), now_ms),
        Err(answer) => Some(*answer),
    };
    broker.give_saved(held.asker, answer.expect("who waits gets an answer"));
}

/// Runs the pulls that wait at a static topic: its queues may be elsewhere now.
pub(crate) fn mapping_changed(broker: &Broker, topic: &TopicConfig, now_ms: i64) {
    for queue_id in 0..topic.read_queue_nums {
        broker.wake(&topic.topic_name, queue_id, now_ms);
    }
}

/// Reads once. Nothing is done, and there is no answer, when the disk would have to be waited for
/// and that is not allowed.
fn attempt(
    broker: &Broker,
    header: &PullMessageRequestHeader,
    checked: &Checked,
    (first, wait): (bool, Wait),
    now_ms: i64,
) -> Option<Answer> {
    let (group, topic, queue_id) = (&header.consumer_group, &header.topic, header.queue_id);
    let reset = broker.offsets.take_reset(group, topic, queue_id);
    let reset = reset.filter(|_| broker.settings().broker.use_server_side_reset_offset);
    let answer = match reset {
        Some(offset) => {
            let ends = (
                broker.store.min_offset(topic, queue_id),
                broker.store.max_offset(topic, queue_id),
            );
            let code = ResponseCode::PULL_OFFSET_MOVED;
            answer(checked, (code, "OFFSET_RESET"), offset, ends)
        }
        None => read(broker, header, checked, wait, now_ms)?,
    };
    if first
        && header.sys_flag & COMMIT != 0
        && let Some(offset) = header.commit_offset
    {
        broker.offsets.commit(group, topic, queue_id, offset);
    }
    Some(answer)
}

/// The light queue that a pull of a lite topic reads.
fn light(header: &PullMessageRequestHeader) -> Option<Str> {
    lite::names::queue(&header.topic, header.lite_topic.as_deref().unwrap_or_default())
}

fn read(
    broker: &Broker,
    header: &PullMessageRequestHeader,
    checked: &Checked,
    wait: Wait,
    now_ms: i64,
) -> Option<Answer> {
    let (group, topic, queue_id) = (&header.consumer_group, &header.topic, header.queue_id);
    let max_messages = usize::try_from(header.max_msg_nums).unwrap_or(0);
    let limits = Limits { wait, ..Limits::messages(max_messages) };
    let limits = match header.max_msg_bytes.and_then(|bytes| usize::try_from(bytes).ok()) {
        Some(max_bytes) => Limits { max_bytes, ..limits },
        None => limits,
    };
    let light = light(header);
    let read = broker.store.read(
        Position {
            topic: light.as_deref().unwrap_or(topic),
            queue_id,
            offset: header.queue_offset,
        },
        limits,
        &checked.selection,
    );
    if read.status == ReadStatus::NotInMemory {
        return None;
    }
    broker.offsets.commit_pull(group, topic, queue_id, read.next_offset);
    let found = read.count as u64;
    broker.stats.read(found, 0);
    if let Some(last) = read.messages.last() {
        broker.stats.pulled(&Pulled {
            topic,
            group,
            queue_id,
            messages: found,
            bytes: read.bytes as u64,
            age_ms: record::store_timestamp(last).map(|stored_ms| now_ms - stored_ms),
        });
        if let Some(client) = checked.traced {
            trace::given(broker, (group, topic), client, &read.messages, now_ms);
        }
    }
    let outcome = outcome(read.status, header.queue_offset);
    if outcome.0 == ResponseCode::PULL_OFFSET_MOVED {
        tracing::warn!(
            topic = %header.topic, queue_id, group = %header.consumer_group,
            asked = header.queue_offset, next = read.next_offset, status = outcome.1,
            "a pull was sent to another offset"
        );
    }
    let ends = (read.min_offset, read.max_offset);
    let mut answer = answer(checked, outcome, read.next_offset, ends);
    answer.body = read.messages;
    Some(answer)
}

/// The response code of a status, and the status as Java names it.
fn outcome(status: ReadStatus, asked: i64) -> (ResponseCode, &'static str) {
    let empty = match asked {
        0 => ResponseCode::PULL_NOT_FOUND,
        _ => ResponseCode::PULL_OFFSET_MOVED,
    };
    match status {
        ReadStatus::Found => (ResponseCode::SUCCESS, "FOUND"),
        ReadStatus::NoMatchedMessage => {
            (ResponseCode::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE")
        }
        ReadStatus::MessageWasRemoving => {
            (ResponseCode::PULL_RETRY_IMMEDIATELY, "MESSAGE_WAS_REMOVING")
        }
        ReadStatus::NotInMemory => (ResponseCode::PULL_RETRY_IMMEDIATELY, "NOT_IN_MEMORY"),
        ReadStatus::OffsetFoundNull => (ResponseCode::PULL_NOT_FOUND, "OFFSET_FOUND_NULL"),
        ReadStatus::OffsetOverflowOne => (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE"),
        ReadStatus::OffsetOverflowBadly => {
            (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_OVERFLOW_BADLY")
        }
        ReadStatus::OffsetTooSmall => (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL"),
        ReadStatus::NoMatchedLogicQueue => (empty, "NO_MATCHED_LOGIC_QUEUE"),
        ReadStatus::NoMessageInQueue => (empty, "NO_MESSAGE_IN_QUEUE"),
    }
}

fn answer(
    checked: &Checked,
    (code, status): (ResponseCode, &'static str),
    next_begin_offset: i64,
    (min_offset, max_offset): (i64, i64),
) -> Answer {
    let header = PullMessageResponseHeader {
        suggest_which_broker_id: 0,
        next_begin_offset,
        min_offset,
        max_offset,
        topic_sys_flag: Some(checked.topic.topic_sys_flag),
        group_sys_flag: Some(checked.group.group_sys_flag),
        ..PullMessageResponseHeader::default()
    };
    Answer::code(code).with_header(&header).with_remark(Str::from_static(status))
}

fn refuse(code: ResponseCode, remark: impl Into<Str>) -> Box<Answer> {
    Box::new(Answer::code(code).with_remark(remark))
}

fn forbid(why: Forbidden, remark: String) -> Box<Answer> {
    let answer = Answer::code(ResponseCode::NO_PERMISSION).with_remark(remark);
    Box::new(answer.with_field("forbiddenType", (why as i32).to_string()))
}

/// Whether this group may read this topic.
fn readable(
    broker: &Broker,
    code: RequestCode,
    header: &PullMessageRequestHeader,
    now_ms: i64,
) -> Result<(Arc<SubscriptionGroupConfig>, Arc<TopicConfig>), Box<Answer>> {
    let settings = broker.settings();
    let address = &broker.identity.address;
    let name = &header.consumer_group;
    if settings.broker.broker_permission & PERM_READ == 0 {
        let remark = format!("the broker[{address}] pulling message is forbidden");
        return Err(forbid(Forbidden::Broker, remark));
    }
    if code == RequestCode::LITE_PULL_MESSAGE && !settings.broker.lite_pull_message_enable {
        let remark = format!("the broker[{address}] for lite pull consumer is forbidden");
        return Err(forbid(Forbidden::Broker, remark));
    }
    let Some(group) = broker.group(name, now_ms) else {
        let remark = format!("subscription group [{name}] does not exist");
        return Err(refuse(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    };
    if !group.consume_enable {
        let remark = format!("subscription group no permission, {name}");
        return Err(forbid(Forbidden::Group, remark));
    }
    let Some(topic) = broker.topics.find(&header.topic) else {
        let remark = format!("topic[{}] not exist, apply first please!", header.topic);
        return Err(refuse(ResponseCode::TOPIC_NOT_EXIST, remark));
    };
    if topic.perm & PERM_READ == 0 {
        let remark = format!("the topic[{}] pulling message is forbidden", header.topic);
        return Err(forbid(Forbidden::Topic, remark));
    }
    Ok((group, topic))
}

/// Whether this group may read this queue, and what of it.
fn check(
    broker: &Broker,
    code: RequestCode,
    peer: &Peer,
    header: &PullMessageRequestHeader,
    now_ms: i64,
) -> Result<Checked, Box<Answer>> {
    let settings = broker.settings();
    let (group, topic) = readable(broker, code, header, now_ms)?;
    if header.queue_id < 0 || header.queue_id >= topic.read_queue_nums {
        let remark = format!(
            "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}] consumer:[/{}]",
            header.queue_id, header.topic, topic.read_queue_nums, peer.remote
        );
        return Err(refuse(ResponseCode::INVALID_PARAMETER, remark));
    }
    let (subscription, selection) = match header.sys_flag & SUBSCRIPTION {
        0 => registered(broker, header, &group)?,
        _ => carried(broker, header, now_ms)?,
    };
    let is_class = subscription.class_filter_mode || header.sys_flag & CLASS_FILTER != 0;
    let (kind, sql) =
        (subscription.expression_type.as_deref(), settings.broker.enable_property_filter);
    subscription::check_kind(kind, is_class, sql).map_err(|refusal| Box::new(refusal.into()))?;
    if settings.broker.reject_pull_consumer_enable && pulls_itself(broker, peer, header) {
        let remark =
            "the consumer's group info not exist, or the pull consumer is rejected by server.";
        return Err(refuse(ResponseCode::SUBSCRIPTION_NOT_EXIST, remark));
    }
    Ok(Checked { group, topic, selection, traced: trace::consumer(&settings, peer) })
}

/// Whether this consumer is none that the broker pushes to, and none of the system's own.
fn pulls_itself(broker: &Broker, peer: &Peer, header: &PullMessageRequestHeader) -> bool {
    let group = &header.consumer_group;
    let is_other = broker.clients.consumers(group).is_none_or(|consumers| {
        let actively = consumers.habit.consume_type == Some(ConsumeType::Actively);
        actively && !broker.clients.is_member(group, peer.id)
    });
    is_other && !names::is_system_consumer(group)
}

/// A subscription, and what it selects.
type Selected = (Arc<SubscriptionData>, Selection);

/// The subscription that came with the pull. As in Java, an empty name of a language selects by no
/// tag at all, and one that nobody knows lets every message pass. There an expression that is none
/// does so too.
fn carried(
    broker: &Broker,
    header: &PullMessageRequestHeader,
    now_ms: i64,
) -> Result<Selected, Box<Answer>> {
    let (group, topic) = (&header.consumer_group, &header.topic);
    let text = header.subscription.as_deref().unwrap_or_default();
    let kind = header.expression_type.as_deref().unwrap_or(TAG);
    let no_subscription = || {
        refuse(ResponseCode::SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed")
    };
    let built =
        broker.carried.learn(group, topic, (kind, text), now_ms).ok_or_else(no_subscription)?;
    if kind == TAG {
        let selection = Selection::of_tags(&built);
        return Ok((built, selection));
    }
    let compiled = || broker.filters.compiled(kind, text);
    let selection = match retried(broker, header) {
        _ if kind.is_empty() => Selection::of_tags(&built),
        Some(retried) => retried,
        // Where none is taken it is refused next.
        None if kind != SQL92 || !broker.settings().broker.enable_property_filter => Selection::All,
        None => Selection::Expression(compiled().map_err(|error| {
            let remark = format!("parse the consumer's subscription failed: {error}");
            refuse(ResponseCode::SUBSCRIPTION_PARSE_FAILED, remark)
        })?),
    };
    Ok((built, selection))
}

/// Where retried messages are filtered by the topics that they came from.
fn retried(broker: &Broker, header: &PullMessageRequestHeader) -> Option<Selection> {
    if !names::is_retry(&header.topic) || !broker.settings().broker.filter_support_retry {
        return None;
    }
    let group = names::group_of(&header.topic).unwrap_or_default();
    Some(Selection::Retried(Arc::new(broker.filters.of_group(group))))
}

/// The subscription that the group's heartbeats brought.
fn registered(
    broker: &Broker,
    header: &PullMessageRequestHeader,
    config: &SubscriptionGroupConfig,
) -> Result<Selected, Box<Answer>> {
    let (name, topic) = (&header.consumer_group, &header.topic);
    let Some(consumers) = broker.clients.consumers(name) else {
        let remark = "the consumer's group info not exist";
        return Err(refuse(ResponseCode::SUBSCRIPTION_NOT_EXIST, remark));
    };
    if !config.consume_broadcast_enable && consumers.is_broadcasting() {
        let remark = format!("the consumer group[{name}] can not consume by broadcast way");
        return Err(forbid(Forbidden::Broadcasting, remark));
    }
    if broker.groups.is_read_forbidden(name, topic) {
        let remark = format!("the consumer group[{name}] is forbidden for topic[{topic}]");
        return Err(forbid(Forbidden::Subscription, remark));
    }
    let Some(subscription) = consumers.subscription(topic) else {
        let remark = "the consumer's subscription not exist";
        return Err(refuse(ResponseCode::SUBSCRIPTION_NOT_EXIST, remark));
    };
    if subscription.sub_version < header.sub_version {
        let remark = "the consumer's subscription not latest";
        return Err(refuse(ResponseCode::SUBSCRIPTION_NOT_LATEST, remark));
    }
    let kind = subscription.expression_type.as_deref().unwrap_or_default();
    if kind.is_empty() || kind == TAG {
        let selection = Selection::of_tags(&subscription);
        return Ok((subscription, selection));
    }
    let Some(known) = broker.filters.find(name, topic) else {
        let remark = "The broker's consumer filter data is not exist!Your expression may be wrong!";
        return Err(refuse(ResponseCode::FILTER_DATA_NOT_EXIST, remark));
    };
    if known.version() < header.sub_version {
        let remark = "the consumer's consumer filter data not latest";
        return Err(refuse(ResponseCode::FILTER_DATA_NOT_LATEST, remark));
    }
    let selection = retried(broker, header).unwrap_or_else(|| {
        match broker.store.settings().extension_file_bytes {
            Some(_) => Selection::Marked(Arc::new(known)),
            None => Selection::Expression(known.expression),
        }
    });
    Ok((subscription, selection))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests own their directory")]
mod tests;
