//! Code 222: moves a group to a time or an offset. The broker notes where, and each consumer learns
//! of it with its next pull; the older way, by callback to the consumers, is a setting.

use super::relay::check_versions;
use super::{failed, json};
use crate::broker::Broker;
use message::Str;
use remoting::body::offset::{ResetOffsetBody, ResetOffsetBodyForC};
use remoting::body::queue::{MessageQueue, MessageQueueForC};
use remoting::codes::{LanguageCode, RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::offset::ResetOffsetRequestHeader;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use settings::BrokerRole;
use std::collections::BTreeMap;
use store::Boundary;

/// Code 222.
pub fn reset(
    broker: &Broker,
    call: &Call<'_>,
    header: ResetOffsetRequestHeader,
) -> Result<Answer, Refusal> {
    if broker.settings().broker.use_server_side_reset_offset {
        here(broker, call, &header)
    } else {
        by_callback(broker, call, &header)
    }
}

fn here(
    broker: &Broker,
    call: &Call<'_>,
    header: &ResetOffsetRequestHeader,
) -> Result<Answer, Refusal> {
    let ResetOffsetRequestHeader { group, topic, queue_id, timestamp, .. } = header;
    if broker.settings().store.broker_role == BrokerRole::Slave {
        return Err(failed("Can not reset offset in slave broker"));
    }
    let config = broker.topics.find(topic).ok_or_else(|| {
        let remark = format!("Topic {topic} does not exist");
        Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark)
    })?;
    if !broker.groups.contains(group) {
        let remark = format!("Group {group} does not exist");
        return Err(Refusal::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    }
    let mut offsets = BTreeMap::new();
    if *queue_id >= 0 {
        let offset = match header.offset.filter(|offset| *offset != -1) {
            Some(offset) => checked(broker, topic, *queue_id, offset)?,
            None => at_time(broker, topic, *queue_id, *timestamp),
        };
        offsets.insert(*queue_id, offset);
    } else {
        let each = 0..config.read_queue_nums;
        offsets.extend(each.map(|queue| (queue, at_time(broker, topic, queue, *timestamp))));
    }
    if offsets.is_empty() {
        return Err(failed("No queues to reset."));
    }
    tracing::info!(%group, %topic, ?offsets, by = %call.peer.remote, "group moved");
    for (queue, offset) in &offsets {
        broker.offsets.reset(group, topic, *queue, *offset);
        // A member that waits at the queue's end learns of it now and not when its time is up.
        broker.wake(topic, *queue, call.now_ms);
    }
    Ok(json(&ResetOffsetBody { offset_table: by_queue(broker, topic, offsets) }))
}

fn checked(broker: &Broker, topic: &str, queue_id: i32, offset: i64) -> Result<i64, Refusal> {
    let min = broker.store.min_offset(topic, queue_id);
    let max = broker.store.max_offset(topic, queue_id);
    if offset < min || offset > max + 1 {
        let remark = format!("Target offset {offset} not in consume queue range [{min}-{max}]");
        return Err(failed(remark));
    }
    Ok(offset)
}

/// The offset of a time in ms since the epoch; below 0 means the end.
fn at_time(broker: &Broker, topic: &str, queue_id: i32, timestamp: i64) -> i64 {
    if timestamp < 0 {
        return broker.store.max_offset(topic, queue_id);
    }
    broker.store.offset_by_time(topic, queue_id, timestamp, Boundary::Lower)
}

fn by_queue(
    broker: &Broker,
    topic: &Str,
    offsets: BTreeMap<i32, i64>,
) -> BTreeMap<MessageQueue, i64> {
    let settings = broker.settings();
    let name = settings.broker.broker_name.as_str();
    let queue = |id| MessageQueue::new(topic.clone(), name, id);
    offsets.into_iter().map(|(id, offset)| (queue(id), offset)).collect()
}

/// Tells each member where to go (code 220), as 4.x does.
fn by_callback(
    broker: &Broker,
    call: &Call<'_>,
    header: &ResetOffsetRequestHeader,
) -> Result<Answer, Refusal> {
    let ResetOffsetRequestHeader { group, topic, timestamp, .. } = header;
    let config = broker.topics.find(topic).ok_or_else(|| {
        let what = "[reset-offset] reset offset failed, no topic in this broker. topic=";
        Refusal::new(ResponseCode::TOPIC_NOT_EXIST, format!("{what}{topic}"))
    })?;
    let mut offsets = BTreeMap::new();
    for queue_id in 0..config.write_queue_nums {
        let consumed = broker
            .offsets
            .query(group, topic, queue_id)
            .ok_or_else(|| failed(format!("THe consumer group <{group}> not exist")))?;
        let wanted = at_time(broker, topic, queue_id, *timestamp);
        let goes = header.is_force || wanted < consumed;
        offsets.insert(queue_id, if goes { wanted } else { consumed });
    }
    let members = broker.clients.members(group);
    if members.is_empty() {
        let remark = format!(
            "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} \
             Timestamp: {timestamp}"
        );
        return Err(Refusal::new(ResponseCode::CONSUMER_NOT_ONLINE, remark));
    }
    check_versions(&members)?;
    let body = ResetOffsetBody { offset_table: by_queue(broker, topic, offsets) };
    let told = ResetOffsetRequestHeader {
        group: group.clone(),
        topic: topic.clone(),
        timestamp: *timestamp,
        ..ResetOffsetRequestHeader::default()
    };
    let text = if call.command.head.language == LanguageCode::CPP {
        remoting::json::to_body(&for_cpp(&body))
    } else {
        remoting::json::to_body(&body)
    };
    let command = Command::request(RequestCode::RESET_CONSUMER_CLIENT_OFFSET);
    let command = command.with_header(&told).with_body(text).oneway();
    for member in members {
        member.peer.send(&command);
    }
    Ok(json(&body))
}

fn for_cpp(body: &ResetOffsetBody) -> ResetOffsetBodyForC {
    let queue = |(queue, offset): (&MessageQueue, &i64)| MessageQueueForC {
        broker_name: queue.broker_name.clone(),
        offset: *offset,
        queue_id: queue.queue_id,
        topic: queue.topic.clone(),
    };
    ResetOffsetBodyForC { offset_table: body.offset_table.iter().map(queue).collect() }
}
