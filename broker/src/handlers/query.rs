//! Finding messages by key and by place (Java: `QueryMessageProcessor`).

use crate::broker::Broker;
use crate::put::{self, Effect};
use bytes::Bytes;
use remoting::codes::ResponseCode;
use remoting::headers::message::{
    QueryMessageRequestHeader, QueryMessageResponseHeader, ViewMessageRequestHeader,
};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;
use store::NotNow;

/// Set when the key is the id that the client gave the message.
const UNIQUE_KEY_QUERY: &str = "_UNIQUE_KEY_QUERY";
/// The index type of tags.
const BY_TAG: &str = "T";

/// Code 12: messages by key, by unique id or by tag. The index knows hashes only: a record of
/// another key may be among them, which clients sort out.
pub fn by_key(
    broker: &Broker,
    call: &Call<'_>,
    header: QueryMessageRequestHeader,
) -> Result<Answer, Refusal> {
    let flag = call.command.fields.get(UNIQUE_KEY_QUERY);
    let unique = flag.is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
    let max = if unique { broker.settings().store.default_query_max_num } else { header.max_num };
    let max = usize::try_from(max).unwrap_or(0);
    let times = (header.begin_timestamp, header.end_timestamp);
    let found = if !unique && header.index_type.as_deref() == Some(BY_TAG) {
        let key = format!("{BY_TAG}#{}", header.key);
        broker.store.query(&header.topic, &key, max, times)
    } else {
        broker.store.query(&header.topic, &header.key, max, times)
    };
    let index = QueryMessageResponseHeader {
        index_last_update_timestamp: found.index_last_update_timestamp,
        index_last_update_phyoffset: found.index_last_update_log_offset,
    };
    if found.records.is_empty() {
        let answer = Answer::code(ResponseCode::QUERY_NOT_FOUND).with_header(&index);
        return Ok(answer.with_remark("can not find message, maybe time range not correct"));
    }
    Ok(Answer { body: found.records, ..Answer::header(&index) })
}

/// Code 33: the message that begins at a log offset.
pub fn by_offset(
    broker: &Broker,
    call: &Call<'_>,
    header: ViewMessageRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let Ok(record) = stored(broker, call, header.offset) else {
        return Ok(Reply::Effect(Effect::Block));
    };
    let record = record.ok_or_else(|| {
        let remark = format!("can not find message by the offset, {}", header.offset);
        Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
    })?;
    Ok(Answer::body(record).into())
}

/// The message that begins at a log offset; an error where the handler's lane has not the patience.
pub(super) fn stored(
    broker: &Broker,
    call: &Call<'_>,
    log_offset: i64,
) -> Result<Option<Bytes>, NotNow> {
    let wait = put::patience(call.lane);
    wait.or_unknown(broker.store.message_now(log_offset, wait), None)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a directory for the test")]
mod tests;
