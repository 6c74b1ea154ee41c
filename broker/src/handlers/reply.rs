//! Replies to request messages (324, 325): carried to the client that asked (326), and stored for
//! whoever wants to see them (Java: `ReplyMessageProcessor`).
//!
//! The replier is told whether the client took its reply, when what is stored is durable where
//! answers wait for that. A client that does not wait for it any more takes it all the same; one
//! that is gone cannot.

use super::send;
use crate::broker::{Broker, Outside};
use crate::put::Effect;
use message::{Draft, Properties, ids::MessageId, property};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::send::{
    ReplyMessageRequestHeader, SendMessageRequestHeader, SendMessageRequestHeaderV2,
    SendMessageResponseHeader,
};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;
use std::time::Duration;
use store::{Append, Appended};

/// How long the client that asked may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Code 324: the header with long keys.
pub fn reply<'a>(
    broker: &Broker,
    call: &Call<'a>,
    header: SendMessageRequestHeader<'a>,
) -> Result<Reply<Effect>, Refusal> {
    let settings = broker.settings();
    let topic = match send::check(broker, &settings, call, &header) {
        Ok(topic) => topic,
        Err(refusal) => return Ok(send::stamped(broker, refusal.into()).into()),
    };
    let queue_id = send::queue(broker, topic, header.queue_id);
    let mut all = Properties::parse(header.properties.unwrap_or_default().as_bytes());
    let trace_on = if settings.broker.trace_on { "true" } else { "false" };
    all.set(property::MSG_REGION, settings.broker.region_id.as_str());
    all.set(property::TRACE_ON, trace_on);
    let is_kept = settings.broker.store_reply_message_enable;
    let stored = is_kept.then(|| keep(broker, call, &header, (queue_id, &all))).flatten();
    // As Java reads it: whatever is not `true` is no wish to wait.
    let waits = all.get(property::WAIT).is_none_or(|wait| wait.eq_ignore_ascii_case("true"));
    let wait_for = stored.filter(|_| waits).map_or(0, |stored| stored.log_end());
    let now = |answer| broker.reply_when_flushed(wait_for, answer, call.now_ms, || call.later());
    let Some(id) = all.get(property::REPLY_TO_CLIENT) else {
        let key = property::REPLY_TO_CLIENT;
        let why = format!("reply message properties[{key}] is null");
        return Ok(now(told(broker, Err(why), queue_id, stored)));
    };
    let Some(client) = broker.clients.producer(id) else {
        let why = format!("push reply message fail, channel of <{id}> not found.");
        return Ok(now(told(broker, Err(why), queue_id, stored)));
    };
    let (failed, now_ms) = (format!("push reply message to {id}fail."), call.now_ms);
    broker.outside(Outside::Ask {
        peers: vec![client.peer],
        command: Box::new(pushed(broker, call, header, all)),
        timeout: TIMEOUT,
        asker: call.later(),
        then: Box::new(move |broker, asker, answers| {
            let took = answers.into_iter().flatten().next();
            let took = took.is_some_and(|said| said.response_code() == ResponseCode::SUCCESS);
            let took = if took { Ok(()) } else { Err(failed) };
            let answer = told(broker, took, queue_id, stored);
            broker.give_when_flushed(wait_for, asker, answer, now_ms);
        }),
    });
    Ok(Reply::Later)
}

/// Code 325: the header with one-letter keys.
pub fn reply_v2<'a>(
    broker: &Broker,
    call: &Call<'a>,
    header: SendMessageRequestHeaderV2<'a>,
) -> Result<Reply<Effect>, Refusal> {
    reply(broker, call, header.into())
}

/// Stores the reply. It is carried to the client whatever becomes of that.
fn keep(
    broker: &Broker,
    call: &Call<'_>,
    header: &SendMessageRequestHeader<'_>,
    (queue_id, all): (i32, &Properties),
) -> Option<Appended> {
    let draft = send::draft(broker, call, header);
    let draft = Draft { queue_id, properties: all.encode(), ..draft };
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, call.now_ms);
    let outcome = &appends[0].outcome;
    if let Err(error) = outcome {
        tracing::warn!(topic = header.topic, %error, "a reply was not stored");
    }
    outcome.ok()
}

/// What the client that asked gets.
fn pushed(
    broker: &Broker,
    call: &Call<'_>,
    header: SendMessageRequestHeader<'_>,
    mut all: Properties,
) -> Command {
    all.set(property::PUSH_REPLY_TIME, call.now_ms.to_string());
    let properties = String::from_utf8_lossy(&all.encode()).into_owned();
    let push = ReplyMessageRequestHeader {
        producer_group: header.producer_group.into(),
        topic: header.topic.into(),
        default_topic: header.default_topic.into(),
        default_topic_queue_nums: header.default_topic_queue_nums,
        queue_id: header.queue_id,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        flag: header.flag,
        properties: Some(properties.into()),
        reconsume_times: header.reconsume_times,
        unit_mode: header.unit_mode.unwrap_or(false),
        born_host: call.peer.remote.to_string().into(),
        store_host: broker.identity.store_host.to_string().into(),
        store_timestamp: call.now_ms,
        ..ReplyMessageRequestHeader::default()
    };
    let command = Command::request(RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT).with_header(&push);
    command.with_body(call.command.body.clone())
}

/// What the replier is told: whether the client took it, and where it is stored.
fn told(
    broker: &Broker,
    pushed: Result<(), String>,
    queue_id: i32,
    stored: Option<Appended>,
) -> Answer {
    let store_host = broker.identity.store_host;
    let place = match stored {
        Some(Appended { log_offset, queue_offset, .. }) => {
            Some((MessageId { store_host, log_offset }.encode(), queue_offset))
        }
        // Clients want a place.
        None => pushed.is_ok().then(|| ("0".to_owned(), 0)),
    };
    let mut answer = match &place {
        Some((id, queue_offset)) => Answer::header(&SendMessageResponseHeader {
            msg_id: id,
            queue_id,
            queue_offset: *queue_offset,
            ..SendMessageResponseHeader::default()
        }),
        None => Answer::success(),
    };
    if let Err(why) = pushed {
        answer.code = ResponseCode::SYSTEM_ERROR;
        answer = answer.with_remark(why);
    }
    send::stamped(broker, answer)
}

#[cfg(test)]
mod tests;
