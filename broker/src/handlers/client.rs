//! What clients say about themselves: heartbeats (34), farewells (35), and two questions, who else
//! is in a group (38) and whether a filter is understood (46). Java: `ClientManageProcessor`,
//! `ConsumerManageProcessor`. What is remembered of it is in [`crate::clients`].

use crate::broker::Broker;
use crate::clients::{Client, Habit, Membership};
use crate::handlers::missing;
use crate::put::Effect;
use crate::topics::{self, UNIT_SUB};
use crate::{filters, subscription};
use message::{Str, names};
use remoting::body::client::GetConsumerListByGroupResponseBody;
use remoting::body::heartbeat::{
    CheckClientRequestBody, ConsumeType, ConsumerData, HeartbeatData, TAG,
};
use remoting::body::topic::TopicConfig;
use remoting::codes::ResponseCode;
use remoting::headers::client::{
    GetConsumerListByGroupRequestHeader, HeartbeatRequestHeader, UnregisterClientRequestHeader,
};
use remoting::json;
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;

/// Answers with it that heartbeats may leave their subscriptions out.
const SUPPORTS_V2: &str = "IS_SUPPORT_HEART_BEAT_V2";
/// Answers with it whether the next heartbeat must bring its subscriptions.
const WANTS_SUBSCRIPTIONS: &str = "IS_SUB_CHANGE";

/// Code 34: takes the client into its groups. A consumer group gets its retry topic; if that is
/// new, the answer waits until the name servers know it, for the client asks them next.
pub fn heartbeat(
    broker: &Broker,
    call: &Call<'_>,
    _: HeartbeatRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let data: HeartbeatData = body(call)?;
    let client = client(call, data.client_id);
    let is_v2 = data.heartbeat_fingerprint != 0;
    let (mut new_topic, mut wants_subscriptions) = (false, !is_v2);
    for mut consumer in data.consumer_data_set {
        let rejects_pull = broker.settings().broker.reject_pull_consumer_enable;
        if rejects_pull && consumer.consume_type == Some(ConsumeType::Actively) {
            continue;
        }
        let Some(group) = broker.group(&consumer.group_name, call.now_ms) else { continue };
        new_topic |= ensure_retry_topic(broker, &consumer, group.retry_queue_nums, call.now_ms);
        let subscriptions = std::mem::take(&mut consumer.subscription_data_set);
        if !(is_v2 && data.without_sub) {
            broker.filters.register(&consumer.group_name, &subscriptions, call.now_ms);
        }
        let membership = Membership {
            group: &consumer.group_name,
            habit: habit(&consumer),
            subscriptions: (!(is_v2 && data.without_sub)).then_some(subscriptions),
            fingerprint: data.heartbeat_fingerprint,
        };
        let notify = group.notify_consumer_ids_changed_enable;
        let done = broker.clients.register_consumer(membership, &client, notify, call.now_ms);
        broker.stats.consumer_beat();
        wants_subscriptions |= done.wants_subscriptions;
        broker.notify_changed(done.changed);
    }
    for producer in data.producer_data_set {
        broker.clients.register_producer(&producer.group_name, &client, call.now_ms);
        broker.stats.producer_beat();
    }
    let answer = Answer::success()
        .with_field(SUPPORTS_V2, "true")
        .with_field(WANTS_SUBSCRIPTIONS, wants_subscriptions.to_string());
    if new_topic {
        broker.topics_changed(Some((call.later(), answer)));
        return Ok(Reply::Later);
    }
    Ok(answer.into())
}

/// Code 35: takes the client out of the groups that it names.
pub fn unregister(
    broker: &Broker,
    call: &Call<'_>,
    header: UnregisterClientRequestHeader,
) -> Result<Answer, Refusal> {
    if let Some(group) = &header.producer_group {
        // Java takes the producer out and then its id, and without one that fails.
        let fails = header.client_i_d.is_none() && broker.clients.has_producers(group);
        broker.clients.unregister_producer(group, call.peer.id);
        if fails {
            return Err(missing::<UnregisterClientRequestHeader>("clientID"));
        }
    }
    if let Some(group) = &header.consumer_group {
        // Java looks the group up as it does everywhere, which makes it.
        let config = broker.group(group, call.now_ms);
        let notify = config.is_none_or(|config| config.notify_consumer_ids_changed_enable);
        let changed = broker.clients.unregister_consumer(group, call.peer.id, notify);
        broker.notify_changed(changed);
    }
    Ok(Answer::success())
}

/// Code 38: the ids of a group's members, among which each of them shares out the queues.
pub fn consumer_ids(
    broker: &Broker,
    _: &Call<'_>,
    header: GetConsumerListByGroupRequestHeader,
) -> Result<Answer, Refusal> {
    let group = &header.consumer_group;
    let consumer_id_list = broker.clients.consumer_ids(group);
    if consumer_id_list.is_empty() {
        let remark = format!("no consumer for this group, {group}");
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark));
    }
    let body = GetConsumerListByGroupResponseBody { consumer_id_list };
    Ok(Answer::body(json::to_body(&body)))
}

/// Code 46: whether a consumer's filter would be understood. Filters by tags always are, and so is
/// no filter at all.
pub fn check_filter(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    if call.command.body.is_empty() {
        return Ok(Answer::success());
    }
    let asked: CheckClientRequestBody = body(call)?;
    let Some(wanted) = asked.subscription_data else { return Ok(Answer::success()) };
    let (kind, sql) = (wanted.expression_type.as_deref(), broker.settings());
    let sql = sql.broker.enable_property_filter;
    subscription::check_kind(kind, wanted.class_filter_mode, sql)?;
    let kind = kind.unwrap_or_default();
    if kind.is_empty() || kind == TAG {
        return Ok(Answer::success());
    }
    let source = wanted.sub_string.as_deref().unwrap_or_default();
    match filters::compile(kind, source) {
        Ok(_) => Ok(Answer::success()),
        Err(error) => {
            let remark = format!("the filter is no expression: {error}");
            Err(Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, remark))
        }
    }
}

/// The body of a request.
///
/// # Errors
/// When it is not JSON of this kind; an empty one is none either.
pub(super) fn body<T: serde::de::DeserializeOwned>(call: &Call<'_>) -> Result<T, Refusal> {
    json::from_body(&call.command.body)
        .map_err(|error| Refusal::new(ResponseCode::SYSTEM_ERROR, error.to_string()))
}

/// Makes the group's retry topic, ordered if the group reads an ordered topic; whether it changed.
fn ensure_retry_topic(broker: &Broker, consumer: &ConsumerData, queues: i32, now: i64) -> bool {
    let mut subscribed = consumer.subscription_data_set.iter();
    let retry = names::retry_topic(&consumer.group_name);
    let wanted = TopicConfig {
        order: subscribed.any(|subscribed| broker.topics.is_ordered(&subscribed.topic)),
        topic_sys_flag: if consumer.unit_mode { UNIT_SUB } else { 0 },
        ..topics::simple(&retry, queues)
    };
    broker.topics.create_on_send_back(wanted, now).is_some_and(|found| found.changed)
}

fn client(call: &Call<'_>, id: Str) -> Client {
    Client {
        id,
        peer_id: call.peer.id,
        peer: call.peer.clone(),
        address: call.peer.remote,
        language: call.command.head.language,
        version: call.command.head.version,
    }
}

fn habit(consumer: &ConsumerData) -> Habit {
    Habit {
        consume_type: consumer.consume_type,
        message_model: consumer.message_model,
        from_where: consumer.consume_from_where,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Outside;
    use crate::clients::TOLD_AT_ONCE;
    use crate::cold;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::peer::Peer;
    use remoting::room::Room;
    use remoting::router::Lane;
    use simulator::SimDisk;
    use std::path::Path;
    use std::sync::Arc;

    const NOW: i64 = 1_700_000_000_000;

    fn join(broker: &Broker) -> Arc<Peer> {
        let address = "127.0.0.1:7".parse().unwrap();
        let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
        let consumer = ConsumerData { group_name: "g".into(), ..ConsumerData::default() };
        let beat = HeartbeatData {
            client_id: "c".into(),
            consumer_data_set: vec![consumer],
            ..HeartbeatData::default()
        };
        let command = Command::request(RequestCode::HEART_BEAT).with_body(json::to_body(&beat));
        let (now_ms, lane) = (NOW, Lane::Inline);
        let call = Call { peer: &peer, command: &command, now_ms, lane, room: &room };
        heartbeat(broker, &call, HeartbeatRequestHeader::default()).unwrap();
        peer
    }

    /// How many of them were told something, who forget it.
    fn told(peers: &[Arc<Peer>]) -> usize {
        peers.iter().filter(|peer| !peer.take_unwritten().is_empty()).count()
    }

    #[test]
    fn members_of_a_large_group_are_told_outside_and_once_for_all_changes_until_then() {
        let (broker, mut asked) = cold::open(SimDisk::new(7), Path::new("/store"), NOW);
        let mut peers: Vec<_> = (0..TOLD_AT_ONCE).map(|_| join(&broker)).collect();
        assert_eq!(told(&peers), TOLD_AT_ONCE);
        for _ in 0..2 {
            peers.extend((0..3).map(|_| join(&broker)));
            broker.disconnected(&peers.pop().unwrap());
            assert_eq!(told(&peers), 0, "that is no work for an event loop");
            let Ok(Outside::Notify { group }) = asked.try_recv() else { panic!("asked for") };
            assert!(asked.try_recv().is_err(), "once");
            broker.notify_members(&group);
            assert_eq!(told(&peers), peers.len());
        }
    }
}
