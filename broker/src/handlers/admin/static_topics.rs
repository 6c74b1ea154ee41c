//! Static topics for operators: mqadmin `updateStaticTopic` and `remappingStaticTopic` decide where
//! each queue is, and tell every broker its part.

use super::topics::{self, check};
use super::{UNSET_REMARK, body, failed, invalid};
use crate::broker::Broker;
use crate::handlers::pull;
use crate::mappings::FILE;
use crate::put::Effect;
use crate::saving::Order;
use remoting::body::mapping::TopicQueueMappingDetail;
use remoting::headers::topic::CreateTopicRequestHeader;
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;

/// Code 513: makes or changes a static topic; answers when the name servers know it. A mapping that
/// contradicts the known one changes nothing; in Java the topic is changed all the same.
pub fn update(
    broker: &Broker,
    call: &Call<'_>,
    header: CreateTopicRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let mapping: TopicQueueMappingDetail = body(&call.command.body)?;
    let wanted = topics::plain(&header)?;
    check(broker, &wanted)?;
    let own = broker.settings().broker.broker_name.clone();
    if mapping.topic.as_ref() != Some(&header.topic) {
        return Err(invalid(format!("the mapping is not that of topic {}", header.topic)));
    }
    if mapping.bname.as_deref() != Some(own.as_str()) {
        return Err(invalid(format!("the mapping is not that of this broker, {own}")));
    }
    let (topic, epoch) = (&header.topic, mapping.epoch);
    let (queues, force) = (mapping.hosted_queues.len(), header.force);
    let save = |text: &str| broker.save_ordered(FILE, text);
    broker.mappings.update(mapping, force, call.now_ms, save).map_err(failed)?;
    tracing::info!(
        %topic, epoch, queues, force, by = %call.peer.remote, "static topic made or changed"
    );
    let topic = topics::put(broker, wanted, call.now_ms)?;
    pull::mapping_changed(broker, &topic, call.now_ms);
    let answer = Answer::success().with_remark(UNSET_REMARK);
    Ok(broker.ordered(Order::Topics, call, answer))
}
