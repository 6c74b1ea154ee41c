//! Queues that the broker shares out (400), for consumers that leave it to the broker, and how
//! groups are to fetch (401; Java: `QueryAssignmentProcessor`).

use super::client::body;
use crate::assignment;
use crate::broker::{Broker, Outside};
use crate::put::Effect;
use message::{Str, names};
use remoting::body::heartbeat::MessageModel;
use remoting::body::pop::{
    QueryAssignmentRequestBody, QueryAssignmentResponseBody, SetMessageRequestModeRequestBody,
};
use remoting::body::queue::{MessageQueue, MessageQueueAssignment, MessageRequestMode};
use remoting::body::route::{QueueData, TopicRouteData};
use remoting::codes::ResponseCode;
use remoting::json;
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;

/// A question with what Java's tables do not take to be absent.
struct Asked {
    topic: Str,
    group: Str,
    model: MessageModel,
    client_id: Str,
    strategy: Str,
}

impl Asked {
    fn read(body: QueryAssignmentRequestBody) -> Result<Self, Refusal> {
        Ok(Self {
            topic: require(body.topic, "topic")?,
            group: require(body.consumer_group, "consumerGroup")?,
            model: require(body.message_model, "messageModel: CLUSTERING or BROADCASTING")?,
            client_id: body.client_id,
            strategy: body.strategy_name.unwrap_or_default(),
        })
    }
}

fn require<T>(said: Option<T>, field: &str) -> Result<T, Refusal> {
    let lacks = || Refusal::new(ResponseCode::SYSTEM_ERROR, format!("the body lacks {field}"));
    said.ok_or_else(lacks)
}

/// Code 400: the queues that a consumer is to pull, on all brokers of the topic. The answer names
/// none at all when nobody can say: the consumer keeps what it has.
pub fn query(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Reply<Effect>, Refusal> {
    let asked = Asked::read(body(call)?)?;
    let settings = broker.settings();
    // No name server knows a light queue: it is the one of the broker that is asked.
    let is_light = names::is_lmq(&asked.topic);
    if is_light || settings.broker.namesrv_addr.as_deref().unwrap_or_default().trim().is_empty() {
        let route = own_route(broker, &asked.topic);
        return Ok(answer(broker, &asked, route.as_ref()).into());
    }
    let topic = asked.topic.clone();
    broker.outside(Outside::Route {
        topic,
        asker: call.later(),
        then: Box::new(move |broker, route| answer(broker, &asked, route.as_ref())),
    });
    Ok(Reply::Later)
}

/// A broker without name servers knows its own queues.
fn own_route(broker: &Broker, topic: &str) -> Option<TopicRouteData> {
    let config = broker.topics.find(topic)?;
    let queues = QueueData {
        broker_name: broker.settings().broker.broker_name.as_str().into(),
        perm: config.perm,
        read_queue_nums: config.read_queue_nums,
        ..QueueData::default()
    };
    Some(TopicRouteData { queue_datas: vec![queues], ..TopicRouteData::default() })
}

fn answer(broker: &Broker, asked: &Asked, route: Option<&TopicRouteData>) -> Answer {
    let queues = route.map(|route| assignment::readable_queues(&asked.topic, route));
    let (mode, more) = mode(broker, asked);
    let more = (mode == Some(MessageRequestMode::Pop)).then_some(more);
    let share = queues.and_then(|queues| share(broker, asked, more, queues));
    let assigned = |queue| MessageQueueAssignment {
        message_queue: Some(queue),
        mode,
        ..MessageQueueAssignment::default()
    };
    let message_queue_assignments = share.map(|share| share.into_iter().map(assigned).collect());
    Answer::body(json::to_body(&QueryAssignmentResponseBody { message_queue_assignments }))
}

/// How the group is to fetch the topic, and how many members pop the queues of one besides it.
fn mode(broker: &Broker, asked: &Asked) -> (Option<MessageRequestMode>, i32) {
    let said = broker.request_modes.of(&asked.topic, &asked.group);
    said.unwrap_or_else(|| {
        let settings = broker.settings();
        let mode = match settings.broker.default_message_request_mode {
            settings::MessageRequestMode::Pop if !names::is_retry(&asked.topic) => {
                MessageRequestMode::Pop
            }
            _ => MessageRequestMode::Pull,
        };
        (Some(mode), settings.broker.default_pop_share_queue_num)
    })
}

/// The consumer's share of the queues: all of them in a broadcasting group, and while
/// `serverLoadBalancerEnable` is off.
fn share(
    broker: &Broker,
    asked: &Asked,
    more: Option<i32>,
    queues: Vec<MessageQueue>,
) -> Option<Vec<MessageQueue>> {
    match asked.model {
        MessageModel::Broadcasting => return Some(queues),
        MessageModel::Clustering if !broker.settings().broker.server_load_balancer_enable => {
            return Some(queues);
        }
        MessageModel::Clustering => {}
        MessageModel::LiteSelective => return None,
    }
    let members = broker.clients.consumer_ids(&asked.group);
    // Java's strategies want one; none is asked where each member pops all queues.
    let others = i32::try_from(members.len()).unwrap_or(i32::MAX).saturating_sub(1);
    let pops_all = more.is_some_and(|more| more <= 0 || more >= others);
    if asked.client_id.trim().is_empty() && !pops_all {
        return None;
    }
    let index = members.iter().position(|id| *id == asked.client_id);
    match more {
        Some(more) => assignment::pop_share(&asked.strategy, &queues, members.len(), (index, more)),
        None => assignment::share(&asked.strategy, &queues, members.len(), index),
    }
}

/// Code 401: says how a group is to fetch a topic. A mode that is none is kept, as in Java: members
/// are told none, and pull.
pub fn set_mode(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let mut mode: SetMessageRequestModeRequestBody = body(call)?;
    if json::has_null(&call.command.body, "mode") {
        mode.mode = None;
    }
    let topic = require(mode.topic.clone(), "topic")?;
    if names::is_retry(&topic) {
        let remark = "retry topic is not allowed to set mode";
        return Err(Refusal::new(ResponseCode::NO_PERMISSION, remark));
    }
    if !broker.topics.contains(&topic) {
        let remark = format!("topic[{topic}] not exist");
        return Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark));
    }
    let group = require(mode.consumer_group.clone(), "consumerGroup")?;
    if broker.group(&group, call.now_ms).is_none() {
        let remark = "subscription group does not exist";
        return Err(Refusal::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    }
    let save = |text: &str| broker.save_ordered(assignment::FILE, text);
    let set = broker.request_modes.set((topic, group), mode, save).map(|()| Answer::success());
    set.map_err(|why| Refusal::new(ResponseCode::SYSTEM_ERROR, format!("no mode was set: {why}")))
}
