//! Questions that a connected consumer answers: the broker carries them there and back
//! (Java: `Broker2Client`).

use super::{UNSET_REMARK, failed, json};
use crate::broker::{Broker, Outside};
use crate::clients::Client;
use crate::put::Effect;
use message::ids::MessageId;
use remoting::body::offset::GetConsumerStatusBody;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::client::{
    ConsumeMessageDirectlyResultRequestHeader, GetConsumerRunningInfoRequestHeader,
    GetConsumerStatusRequestHeader,
};
use remoting::json::from_body;
use remoting::peer::CallError;
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;
use remoting::version::Version;
use std::time::Duration;

/// How long a consumer may take to answer codes 307 and 309.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to answer code 221.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Code 307: a consumer's inner state, in its own words.
pub fn running_info(
    broker: &Broker,
    call: &Call<'_>,
    header: GetConsumerRunningInfoRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let command = Command {
        fields: call.command.fields.clone(),
        ..Command::request(RequestCode::GET_CONSUMER_RUNNING_INFO)
    };
    ask(broker, call, &header.consumer_group, &header.client_id, command)
}

/// Code 309: has one consumer handle one message now, and says what became of it.
pub fn consume_directly(
    broker: &Broker,
    call: &Call<'_>,
    header: ConsumeMessageDirectlyResultRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let id = header.msg_id.as_deref().unwrap_or_default();
    let place = MessageId::decode(id)
        .ok_or_else(|| failed(format!("msgId {id}: an offset message id was expected")))?;
    let record = broker.store.message_at(place.log_offset).ok_or_else(|| {
        failed(format!("msgId {id}: no message at log offset {}", place.log_offset))
    })?;
    let mut command = Command {
        fields: call.command.fields.clone(),
        ..Command::request(RequestCode::CONSUME_MESSAGE_DIRECTLY).with_body(record)
    };
    command.fields.push("brokerName", broker.settings().broker.broker_name.as_str());
    let topic = header.topic.as_deref().and_then(|topic| broker.topics.find(topic));
    if let Some(topic) = topic {
        command.fields.push("topicSysFlag", topic.topic_sys_flag.to_string());
    }
    if let Some(group) = broker.group(&header.consumer_group, call.now_ms) {
        command.fields.push("groupSysFlag", group.group_sys_flag.to_string());
    }
    let client_id = header.client_id.as_deref().unwrap_or_default();
    ask(broker, call, &header.consumer_group, client_id, command)
}

fn ask(
    broker: &Broker,
    call: &Call<'_>,
    group: &str,
    client_id: &str,
    command: Command,
) -> Result<Reply<Effect>, Refusal> {
    let member = broker
        .clients
        .member(group, client_id)
        .ok_or_else(|| failed(format!("The Consumer <{group}> <{client_id}> not online")))?;
    if member.version < Version::V3_1_8_SNAPSHOT.0 {
        return Err(failed(format!(
            "The Consumer <{client_id}> Version <{}> too low to finish, please upgrade it to \
             V3_1_8_SNAPSHOT",
            member.version
        )));
    }
    let who = format!("consumer <{group}> <{client_id}>");
    broker.outside(Outside::Ask {
        peers: vec![member.peer],
        command: Box::new(command),
        timeout: TIMEOUT,
        asker: call.later(),
        then: Box::new(move |_, asker, answers| {
            let answer = answers.into_iter().next().unwrap_or(Err(CallError::Closed));
            asker.answer(relayed(&who, answer));
        }),
    });
    Ok(Reply::Later)
}

/// The consumer's answer as ours: all of it, unread.
fn relayed(who: &str, answer: Result<Command, CallError>) -> Answer {
    match answer {
        Ok(command) => Answer {
            code: command.response_code(),
            remark: command.head.remark,
            fields: command.fields,
            body: vec![command.body],
        },
        Err(error @ CallError::Timeout(_)) => {
            let remark = format!("{who} Timeout: {error}");
            Refusal::new(ResponseCode::CONSUME_MSG_TIMEOUT, remark).into()
        }
        Err(error) => failed(format!("invoke {who} Exception: {error}")).into(),
    }
}

/// Code 223: the offsets that the members of a group, or one of them, are at.
pub fn status(
    broker: &Broker,
    call: &Call<'_>,
    header: GetConsumerStatusRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let group = &header.group;
    let mut members = broker.clients.members(group);
    if members.is_empty() {
        let remark = format!("No Any Consumer online in the consumer group: [{group}]");
        return Err(failed(remark));
    }
    check_versions(&members)?;
    if let Some(id) = header.client_addr.as_deref().filter(|id| !id.trim().is_empty()) {
        members.retain(|member| member.id == id);
    }
    let question = GetConsumerStatusRequestHeader {
        topic: header.topic,
        group: header.group,
        ..GetConsumerStatusRequestHeader::default()
    };
    let command = Command::request(RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT);
    let (ids, peers) = members.into_iter().map(|member| (member.id, member.peer)).unzip();
    let ids: Vec<message::Str> = ids;
    broker.outside(Outside::Ask {
        peers,
        command: Box::new(command.with_header(&question)),
        timeout: STATUS_TIMEOUT,
        asker: call.later(),
        then: Box::new(move |_, asker, answers| {
            let mut body = GetConsumerStatusBody::default();
            for (id, answer) in ids.into_iter().zip(answers) {
                let said = answer.ok().filter(|a| a.response_code() == ResponseCode::SUCCESS);
                let said = said.and_then(|a| from_body::<GetConsumerStatusBody>(&a.body).ok());
                if let Some(said) = said {
                    body.consumer_table.insert(id, said.message_queue_table);
                }
            }
            asker.answer(json(&body).with_remark(UNSET_REMARK));
        }),
    });
    Ok(Reply::Later)
}

/// Refuses if a member is too old to be asked for, or told, its offsets.
pub(super) fn check_versions(members: &[Client]) -> Result<(), Refusal> {
    match members.iter().find(|member| member.version < Version::V3_0_7_SNAPSHOT.0) {
        Some(old) => Err(failed(format!(
            "the client does not support this feature. version={}",
            old.version
        ))),
        None => Ok(()),
    }
}
