//! The request table of the name server: code, lane, handler. Any other code is refused by the
//! router (Java: `DefaultRequestProcessor`, `ClientRequestProcessor`).

use crate::handlers::{Told, brokers, config, lists, routes};
use crate::state::Namesrv;
use remoting::codes::RequestCode;
use remoting::router::Lane::{Blocking, Inline};
use remoting::router::Router;

/// Every request that a name server answers.
#[rustfmt::skip]
pub(crate) fn router() -> Router<Namesrv, Told> {
    Router::default()
        .on(RequestCode::PUT_KV_CONFIG,                      Blocking, config::put_kv)
        .on(RequestCode::GET_KV_CONFIG,                      Inline,   config::kv)
        .on(RequestCode::DELETE_KV_CONFIG,                   Blocking, config::delete_kv)
        .on(RequestCode::REGISTER_BROKER,                    Inline,   brokers::register)
        .on(RequestCode::UNREGISTER_BROKER,                  Inline,   brokers::unregister)
        .on(RequestCode::GET_ROUTEINFO_BY_TOPIC,             Inline,   routes::route)
        .on(RequestCode::GET_BROKER_CLUSTER_INFO,            Inline,   routes::cluster_info)
        .on(RequestCode::WIPE_WRITE_PERM_OF_BROKER,          Inline,   routes::wipe_write_perm)
        .on(RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, Inline,   lists::all)
        .on(RequestCode::DELETE_TOPIC_IN_NAMESRV,            Inline,   routes::delete_topic)
        .on(RequestCode::REGISTER_TOPIC_IN_NAMESRV,          Inline,   brokers::register_topic)
        .on(RequestCode::GET_KVLIST_BY_NAMESPACE,            Inline,   config::kv_namespace)
        .on(RequestCode::GET_TOPICS_BY_CLUSTER,              Inline,   lists::of_cluster)
        .on(RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_NS,      Inline,   lists::system)
        .on(RequestCode::GET_UNIT_TOPIC_LIST,                Inline,   lists::of_units)
        .on(RequestCode::GET_HAS_UNIT_SUB_TOPIC_LIST,        Inline,   lists::with_unit_sub)
        .on(RequestCode::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, Inline,   lists::others_with_unit_sub)
        .on(RequestCode::UPDATE_NAMESRV_CONFIG,              Blocking, config::update)
        .on(RequestCode::GET_NAMESRV_CONFIG,                 Inline,   config::all)
        .on(RequestCode::QUERY_DATA_VERSION,                 Inline,   brokers::data_version)
        .on(RequestCode::ADD_WRITE_PERM_OF_BROKER,           Inline,   routes::add_write_perm)
        .on(RequestCode::GET_BROKER_MEMBER_GROUP,            Inline,   brokers::member_group)
        .on(RequestCode::BROKER_HEARTBEAT,                   Inline,   brokers::heartbeat)
}
