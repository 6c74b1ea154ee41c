//! Requests of clients and tools about where things are.

use super::Done;
use crate::kv::ORDER_TOPICS;
use crate::state::Namesrv;
use crate::zone;
use remoting::codes::ResponseCode;
use remoting::headers::namesrv::{
    AddWritePermOfBrokerRequestHeader, AddWritePermOfBrokerResponseHeader,
    WipeWritePermOfBrokerRequestHeader, WipeWritePermOfBrokerResponseHeader,
};
use remoting::headers::route::GetRouteInfoRequestHeader;
use remoting::headers::topic::DeleteTopicFromNamesrvRequestHeader;
use remoting::json;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use remoting::version::Version;

/// Code 105. Clients from 4.9.4 on read standard JSON; a route of one zone is always in the other
/// form, as in Java.
pub(crate) fn route(namesrv: &Namesrv, call: &Call<'_>, header: GetRouteInfoRequestHeader) -> Done {
    if namesrv.is_warming_up(call.now_ms) {
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, "name server not ready"));
    }
    let policy = namesrv.policy();
    let Some(mut route) = namesrv.routes.read().route(&header.topic, policy) else {
        let remark = format!(
            "No topic route info in name server for the topic: {}\n\
             See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.",
            header.topic
        );
        return Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark));
    };
    if namesrv.settings(|settings| settings.order_message_enable) {
        route.order_topic_conf = namesrv.kv(|kv| kv.value(ORDER_TOPICS, &header.topic).cloned());
    }
    if let Some(zone) = zone::asked(&call.command.fields) {
        zone::keep(&mut route, zone);
        return Ok(Answer::body(json::to_body(&route)));
    }
    let standard = call.command.head.version >= Version::V4_9_4.0
        || header.accept_standard_json_only == Some(true);
    let body = if standard { json::to_standard_body(&route) } else { json::to_body(&route) };
    Ok(Answer::body(body))
}

/// Code 106.
pub(crate) fn cluster_info(namesrv: &Namesrv, _: &Call<'_>, (): ()) -> Done {
    Ok(Answer::body(json::to_body(&namesrv.routes.read().cluster_info())))
}

/// Code 205.
pub(crate) fn wipe_write_perm(
    namesrv: &Namesrv,
    call: &Call<'_>,
    header: WipeWritePermOfBrokerRequestHeader,
) -> Done {
    let wipe_topic_count = namesrv.routes.write().wipe_write_perm(&header.broker_name);
    tracing::info!(broker = %header.broker_name, topics = wipe_topic_count,
        by = %call.peer.remote, "write permission taken");
    Ok(Answer::header(&WipeWritePermOfBrokerResponseHeader { wipe_topic_count }))
}

/// Code 327.
pub(crate) fn add_write_perm(
    namesrv: &Namesrv,
    call: &Call<'_>,
    header: AddWritePermOfBrokerRequestHeader,
) -> Done {
    let add_topic_count = namesrv.routes.write().add_write_perm(&header.broker_name);
    tracing::info!(broker = %header.broker_name, topics = add_topic_count,
        by = %call.peer.remote, "write permission given");
    Ok(Answer::header(&AddWritePermOfBrokerResponseHeader { add_topic_count }))
}

/// Code 216.
pub(crate) fn delete_topic(
    namesrv: &Namesrv,
    call: &Call<'_>,
    header: DeleteTopicFromNamesrvRequestHeader,
) -> Done {
    let cluster = header.cluster_name.as_deref().filter(|cluster| !cluster.is_empty());
    namesrv.routes.write().delete_topic(&header.topic, cluster);
    tracing::info!(topic = %header.topic, cluster, by = %call.peer.remote, "topic deleted");
    Ok(Answer::success())
}
