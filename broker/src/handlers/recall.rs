//! Taking back a message that waits for its time (370), and what replicas and tools ask about the
//! timer (60, 61). Java: `RecallMessageProcessor`, `AdminBrokerProcessor`.

use super::admin::{UNSET_REMARK, json};
use crate::broker::Broker;
use crate::put::{self, Effect, Pending, Sender, Waits};
use crate::timer::accept;
use crate::timer::handle::Handle;
use crate::topics::PERM_WRITE;
use bytes::Bytes;
use message::{Draft, properties, property};
use remoting::codes::ResponseCode;
use remoting::headers::message::{RecallMessageRequestHeader, RecallMessageResponseHeader};
use remoting::reply::{Answer, Refusal, Reply, Ticket};
use remoting::router::Call;
use settings::BrokerSettings;
use store::Append;

/// The tag of what takes a message back.
const TAG: &str = "_RECALL_TAG_";
const BODY: &[u8] = b"0";

/// Code 370: stores a message that meets the other one in its slot. Whether the other one is there
/// is not known before that.
pub fn recall(
    broker: &Broker,
    call: &Call<'_>,
    header: RecallMessageRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    Ok(match marker(broker, call, &header) {
        Ok(draft) => {
            let ticket = Ticket::of(call.command);
            let sender = Sender::new(ticket, Waits::ToBeSure, 0, answer);
            Reply::Effect(Effect::Append(Pending { append: Append::one(draft), sender }))
        }
        Err(refusal) => Reply::Answer(with_region(broker, refusal.into())),
    })
}

fn with_region(broker: &Broker, answer: Answer) -> Answer {
    answer.with_field(property::MSG_REGION, broker.settings().broker.region_id.as_str())
}

fn refused(code: ResponseCode, why: &str) -> Refusal {
    Refusal::new(code, format!("recall failed, {why}"))
}

/// Whether anything may be taken back now.
fn check(broker: &Broker, settings: &BrokerSettings, call: &Call<'_>) -> Result<(), Refusal> {
    let broker_settings = &settings.broker;
    if !broker_settings.recall_message_enable {
        return Err(refused(ResponseCode::NO_PERMISSION, "operation is forbidden"));
    }
    let may_write = broker_settings.broker_permission & PERM_WRITE != 0
        || broker_settings.allow_recall_when_broker_not_writeable;
    if call.now_ms < broker_settings.start_accept_send_request_time_stamp || !may_write {
        let why = "broker service not available";
        return Err(refused(ResponseCode::SERVICE_NOT_AVAILABLE, why));
    }
    match broker.store.refusal() {
        Some(error) => Err(put::refusal(broker, error)),
        None => Ok(()),
    }
}

/// The message that takes the other one back.
fn marker(
    broker: &Broker,
    call: &Call<'_>,
    header: &RecallMessageRequestHeader,
) -> Result<Draft, Refusal> {
    let settings = broker.settings();
    check(broker, &settings, call)?;
    let topic = &header.topic;
    if !broker.topics.contains(topic) {
        let why = format!("the topic[{topic}] not exist");
        return Err(refused(ResponseCode::TOPIC_NOT_EXIST, &why));
    }
    let illegal = |remark: &str| Refusal::new(ResponseCode::ILLEGAL_OPERATION, remark);
    let handle =
        Handle::parse(&header.recall_handle).ok_or_else(|| illegal("recall handle is invalid"))?;
    if handle.topic != **topic {
        return Err(illegal("recall failed, topic not match"));
    }
    if handle.broker != settings.broker.broker_name {
        return Err(illegal("recall failed, broker service not available"));
    }
    let left_ms = handle.time.parse::<i64>().unwrap_or(-1).saturating_sub(call.now_ms);
    let max_ms = accept::longest_ms(&settings);
    if left_ms <= 0 || left_ms >= max_ms {
        return Err(illegal("recall failed, timestamp invalid"));
    }
    let mut draft = Draft {
        born_host: call.peer.remote,
        body: Bytes::from_static(BODY),
        properties: properties_of(&handle, header, (&settings, call.now_ms)),
        ..Draft::plain(topic.clone(), call.now_ms, broker.identity.store_host)
    };
    put::park(&mut draft, 0, true, &settings, call.now_ms)?;
    let mut all = draft.properties.to_vec();
    // An empty one, which nobody reads and Java writes.
    properties::push_pair(&mut all, property::TRACE_CONTEXT, "");
    draft.properties = all.into();
    draft.check().map_err(|_| refused(ResponseCode::SYSTEM_ERROR, "execute error"))?;
    Ok(draft)
}

fn properties_of(
    handle: &Handle,
    header: &RecallMessageRequestHeader,
    (settings, now_ms): (&BrokerSettings, i64),
) -> Bytes {
    let with_topic = settings.store.append_topic_for_timer_delete_key;
    let key = match with_topic {
        true => format!("{}+{}", handle.topic, handle.id),
        false => handle.id.clone(),
    };
    let (mut out, now) = (Vec::new(), now_ms.to_string());
    for (name, value) in [
        (property::TAGS, TAG),
        (property::TIMER_DEL_UNIQKEY, &key),
        (property::UNIQ_KEY, &handle.id),
        (property::TIMER_DELIVER_MS, &handle.time),
        (property::BORN_TIMESTAMP, &now),
    ] {
        properties::push_pair(&mut out, name, value);
    }
    if let Some(group) = header.producer_group.as_deref() {
        properties::push_pair(&mut out, property::PRODUCER_GROUP, group);
    }
    out.into()
}

fn answer(
    broker: &Broker,
    _: &BrokerSettings,
    _: &Sender,
    drafts: &[Draft],
    _: &store::Appended,
) -> Answer {
    let id = drafts.first().and_then(|draft| {
        properties::find(&draft.properties, property::UNIQ_KEY).map(message::Str::from)
    });
    let header = RecallMessageResponseHeader { msg_id: id.unwrap_or_default() };
    with_region(broker, Answer::header(&header).with_remark(UNSET_REMARK))
}

/// Code 60: how far the timer came, 56 bytes.
pub fn check_point(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    match broker.timer.progress() {
        Some(progress) => Ok(Answer::body(progress.encode().to_vec())),
        None => Err(Refusal::new(ResponseCode::SYSTEM_ERROR, "The checkpoint is null")),
    }
}

/// Code 61: how many messages wait, by topic.
pub fn metrics(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    if !broker.settings().store.timer_wheel_enable {
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, "The timerMessageStore is null"));
    }
    let body = broker.timer.waiting.lock().to_body();
    Ok(json(&body))
}
