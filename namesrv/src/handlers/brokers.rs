//! Requests of brokers: they register, leave, and say that they live.

use super::{Done, Told};
use crate::kv::ORDER_TOPICS;
use crate::routes::{Leaving, Registration};
use crate::state::Namesrv;
use crate::zone::ZONE_NAME;
use remoting::body::data_version::DataVersion;
use remoting::body::register::RegisterBrokerBody;
use remoting::body::route::{GetBrokerMemberGroupResponseBody, TopicRouteData};
use remoting::codes::ResponseCode;
use remoting::command::Command;
use remoting::headers::namesrv::{
    BrokerHeartbeatRequestHeader, GetBrokerMemberGroupRequestHeader, QueryDataVersionRequestHeader,
    QueryDataVersionResponseHeader, RegisterBrokerRequestHeader, RegisterBrokerResponseHeader,
    UnRegisterBrokerRequestHeader,
};
use remoting::headers::topic::RegisterTopicRequestHeader;
use remoting::json;
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;
use remoting::version::Version;
use std::fmt::Display;

fn system_error(why: impl Display) -> Refusal {
    Refusal::new(ResponseCode::SYSTEM_ERROR, why.to_string())
}

/// Code 103. Whatever the header says, the body's own first byte tells whether it is compressed:
/// stock brokers compress without saying so.
pub(crate) fn register(
    namesrv: &Namesrv,
    call: &Call<'_>,
    header: RegisterBrokerRequestHeader,
) -> Done<Reply<Told>> {
    check_crc(call.command, &header)?;
    let version = Version(call.command.head.version);
    let body = RegisterBrokerBody::decode(&call.command.body, version).map_err(system_error)?;
    let topics = body.topic_config_serialize_wrapper;
    let new = Registration {
        cluster: header.cluster_name,
        broker: header.broker_name,
        broker_id: header.broker_id,
        address: header.broker_addr,
        ha_address: header.ha_server_addr,
        zone: call.command.fields.get(ZONE_NAME).map(Into::into),
        timeout_ms: header.heartbeat_timeout_millis,
        acting_primary: header.enable_acting_master,
        topics: topics.topic_config_table,
        mappings: topics.topic_queue_mapping_info_map,
        version: topics.data_version,
        filter_servers: body.filter_server_list,
        connection: call.peer.id,
    };
    let policy = namesrv.policy();
    namesrv.heard(call.peer);
    let registered = namesrv.routes.write().register(new, policy, call.now_ms);
    let registered = registered.map_err(system_error)?;
    let (master_addr, ha_server_addr) = registered.primary.unzip();
    let answer = Answer::header(&RegisterBrokerResponseHeader { ha_server_addr, master_addr });
    let tell_order = namesrv.settings(|settings| settings.return_order_topic_config_to_broker);
    let order = tell_order.then(|| namesrv.kv(|kv| kv.namespace(ORDER_TOPICS))).flatten();
    let answer = match order {
        Some(table) => answer.with_body(json::to_body(&table)),
        None => answer,
    };
    Ok(Told::reply(answer, registered.notice.into_iter().collect()))
}

/// The checksum is that of the body as sent, without its highest bit; 0 is no checksum (Java:
/// `UtilAll.crc32`).
fn check_crc(request: &Command, header: &RegisterBrokerRequestHeader) -> Done<()> {
    let found = crc32fast::hash(&request.body) & 0x7fff_ffff;
    if header.body_crc32 != 0 && i64::from(header.body_crc32) != i64::from(found) {
        return Err(system_error("crc32 not match"));
    }
    Ok(())
}

/// Code 104.
pub(crate) fn unregister(
    namesrv: &Namesrv,
    _: &Call<'_>,
    header: UnRegisterBrokerRequestHeader,
) -> Done<Reply<Told>> {
    let leaving = Leaving {
        cluster: header.cluster_name,
        broker: header.broker_name,
        broker_id: header.broker_id,
        address: header.broker_addr,
    };
    let policy = namesrv.policy();
    let notices = namesrv.routes.write().unregister(&[leaving], policy);
    Ok(Told::reply(Answer::success(), notices))
}

/// Code 904. A broker that is not registered is answered like one that is, as in Java.
pub(crate) fn heartbeat(
    namesrv: &Namesrv,
    call: &Call<'_>,
    header: BrokerHeartbeatRequestHeader,
) -> Done {
    alive(namesrv, call, &header.cluster_name, &header.broker_addr);
    Ok(Answer::success())
}

fn alive(namesrv: &Namesrv, call: &Call<'_>, cluster: &str, address: &str) {
    namesrv.heard(call.peer);
    namesrv.routes.write().touch(cluster, address, call.peer.id, call.now_ms);
}

/// Code 322.
pub(crate) fn data_version(
    namesrv: &Namesrv,
    call: &Call<'_>,
    header: QueryDataVersionRequestHeader,
) -> Done {
    let asked = match &call.command.body {
        none if none.is_empty() => None,
        body => Some(json::from_body::<DataVersion>(body).map_err(system_error)?),
    };
    let (cluster, address) = (&header.cluster_name, &header.broker_addr);
    alive(namesrv, call, cluster, address);
    let known = namesrv.routes.read().version(cluster, address).copied();
    let changed = known.is_none() || known != asked;
    let answer = Answer::header(&QueryDataVersionResponseHeader { changed });
    Ok(match known {
        Some(version) => answer.with_body(json::to_body(&version)),
        None => answer,
    })
}

/// Code 901. The remark is what Java leaves in an answer that it gives no words.
pub(crate) fn member_group(
    namesrv: &Namesrv,
    _: &Call<'_>,
    header: GetBrokerMemberGroupRequestHeader,
) -> Done {
    let group = namesrv.routes.read().member_group(header.cluster_name, header.broker_name);
    let body = GetBrokerMemberGroupResponseBody { broker_member_group: Some(group) };
    Ok(Answer::body(json::to_body(&body)).with_remark("not set any response code"))
}

/// Code 217.
pub(crate) fn register_topic(
    namesrv: &Namesrv,
    call: &Call<'_>,
    header: RegisterTopicRequestHeader,
) -> Done {
    if !call.command.body.is_empty() {
        let route: TopicRouteData = json::from_body(&call.command.body).map_err(system_error)?;
        // Java's table has no place for no name, and says so in its log alone; it has one for "".
        if let Some(topic) = header.topic {
            namesrv.routes.write().register_topic(&topic, route.queue_datas);
        }
    }
    Ok(Answer::success())
}
