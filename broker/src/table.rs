//! **The** request table: one line for each request that the broker answers.

use crate::broker::Broker;
use crate::handlers::admin::{
    clients, cold_reads, config, engines, groups, offsets, progress, queues, relay, reset, runtime,
    static_topics, topics,
};
use crate::handlers::{
    ack, admin, assignment, client, lite, lock, notification, offset, peek, pop, pull, query,
    recall, reply, send, send_back, transaction,
};
use crate::put::Effect;
use remoting::codes::RequestCode as Code;
use remoting::headers::send::{
    SendMessageRequestHeader as Send, SendMessageRequestHeaderV2 as SendV2,
};
use remoting::router::{Lane, Router};

/// Requests that the second port, `listenPort` - 2, does not take (Java: the "fast" remoting
/// server has no processor for them).
pub const NOT_ON_FAST_PORT: &[Code] = &[
    Code::PULL_MESSAGE,
    Code::LITE_PULL_MESSAGE,
    Code::POP_MESSAGE,
    Code::POP_LITE_MESSAGE,
    Code::PEEK_MESSAGE,
    Code::NOTIFICATION,
    Code::POLLING_INFO,
];

/// The table.
pub fn table() -> Router<Broker, Effect> {
    of_operators(of_clients(Router::default()))
}

#[rustfmt::skip]
fn of_clients(router: Router<Broker, Effect>) -> Router<Broker, Effect> {
    router
        .on_lent::<Send<'_>, _>(Code::SEND_MESSAGE,          Lane::Inline, send::send)
        .on_lent::<SendV2<'_>, _>(Code::SEND_MESSAGE_V2,     Lane::Inline, send::send_v2)
        .on_lent::<SendV2<'_>, _>(Code::SEND_BATCH_MESSAGE,  Lane::Inline, send::send_v2)
        .on_lent::<Send<'_>, _>(Code::SEND_REPLY_MESSAGE,    Lane::Inline, reply::reply)
        .on_lent::<SendV2<'_>, _>(Code::SEND_REPLY_MESSAGE_V2, Lane::Inline, reply::reply_v2)
        .on(Code::CONSUMER_SEND_MSG_BACK,     Lane::Inline,   send_back::send_back)
        .on(Code::END_TRANSACTION,            Lane::Inline,   transaction::end)
        .on(Code::PULL_MESSAGE,               Lane::Inline,   pull::pull)
        .on(Code::LITE_PULL_MESSAGE,          Lane::Inline,   pull::pull)
        .on(Code::POP_MESSAGE,                Lane::Inline,   pop::pop)
        .on(Code::ACK_MESSAGE,                Lane::Inline,   ack::ack)
        .on(Code::BATCH_ACK_MESSAGE,          Lane::Inline,   ack::batch_ack)
        .on(Code::CHANGE_MESSAGE_INVISIBLETIME, Lane::Inline, ack::change)
        .on(Code::NOTIFICATION,               Lane::Inline,   notification::notify)
        .on(Code::POLLING_INFO,               Lane::Inline,   notification::waiting)
        .on(Code::PEEK_MESSAGE,               Lane::Blocking, peek::peek)
        .on(Code::POP_LITE_MESSAGE,           Lane::Inline,   lite::pop)
        .on(Code::LITE_SUBSCRIPTION_CTL,      Lane::Blocking, lite::subscribe)
        .on(Code::HEART_BEAT,                 Lane::Inline,   client::heartbeat)
        .on(Code::UNREGISTER_CLIENT,          Lane::Inline,   client::unregister)
        .on(Code::GET_CONSUMER_LIST_BY_GROUP, Lane::Inline,   client::consumer_ids)
        .on(Code::CHECK_CLIENT_CONFIG,        Lane::Inline,   client::check_filter)
        .on(Code::QUERY_CONSUMER_OFFSET,      Lane::Inline,   offset::query)
        .on(Code::UPDATE_CONSUMER_OFFSET,     Lane::Inline,   offset::update)
        .on(Code::SEARCH_OFFSET_BY_TIMESTAMP, Lane::Inline,   offset::by_time)
        .on(Code::GET_MAX_OFFSET,             Lane::Inline,   offset::max)
        .on(Code::GET_MIN_OFFSET,             Lane::Inline,   offset::min)
        .on(Code::GET_EARLIEST_MSG_STORETIME, Lane::Blocking, offset::earliest_time)
        .on(Code::LOCK_BATCH_MQ,              Lane::Inline,   lock::lock)
        .on(Code::UNLOCK_BATCH_MQ,            Lane::Inline,   lock::unlock)
        .on(Code::RECALL_MESSAGE,             Lane::Inline,   recall::recall)
        .on(Code::QUERY_ASSIGNMENT,           Lane::Inline,   assignment::query)
        .on(Code::QUERY_MESSAGE,              Lane::Blocking, query::by_key)
        .on(Code::VIEW_MESSAGE_BY_ID,         Lane::Inline,   query::by_offset)
}

#[rustfmt::skip]
fn of_operators(router: Router<Broker, Effect>) -> Router<Broker, Effect> {
    router
        .on(Code::UPDATE_AND_CREATE_TOPIC,                  Lane::Blocking, topics::update)
        .on(Code::UPDATE_AND_CREATE_TOPIC_LIST,             Lane::Blocking, topics::update_list)
        .on(Code::UPDATE_AND_CREATE_STATIC_TOPIC,           Lane::Blocking, static_topics::update)
        .on(Code::DELETE_TOPIC_IN_BROKER,                   Lane::Blocking, topics::delete)
        .on(Code::GET_ALL_TOPIC_CONFIG,                     Lane::Blocking, topics::all)
        .on(Code::GET_TOPIC_CONFIG,                         Lane::Inline,   topics::one)
        .on(Code::GET_TOPIC_STATS_INFO,                     Lane::Blocking, topics::stats)
        .on(Code::GET_SYSTEM_TOPIC_LIST_FROM_BROKER,        Lane::Inline,   topics::system)
        .on(Code::CLEAN_UNUSED_TOPIC,                       Lane::Blocking, topics::clean_unused)
        .on(Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,      Lane::Blocking, groups::update)
        .on(Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, Lane::Blocking, groups::update_list)
        .on(Code::GET_ALL_SUBSCRIPTIONGROUP_CONFIG,         Lane::Blocking, groups::all)
        .on(Code::GET_SUBSCRIPTIONGROUP_CONFIG,             Lane::Blocking, groups::one)
        .on(Code::DELETE_SUBSCRIPTIONGROUP,                 Lane::Blocking, groups::delete)
        .on(Code::UPDATE_AND_GET_GROUP_FORBIDDEN,           Lane::Blocking, groups::forbid)
        .on(Code::GET_CONSUMER_CONNECTION_LIST,             Lane::Inline,   clients::consumers)
        .on(Code::GET_PRODUCER_CONNECTION_LIST,             Lane::Inline,   clients::producers)
        .on(Code::GET_ALL_PRODUCER_INFO,                    Lane::Blocking, clients::all_producers)
        .on(Code::GET_CONSUMER_RUNNING_INFO,                Lane::Inline,   relay::running_info)
        .on(Code::CONSUME_MESSAGE_DIRECTLY,                 Lane::Blocking, relay::consume_directly)
        .on(Code::INVOKE_BROKER_TO_GET_CONSUMER_STATUS,     Lane::Inline,   relay::status)
        .on(Code::INVOKE_BROKER_TO_RESET_OFFSET,            Lane::Blocking, reset::reset)
        .on(Code::GET_CONSUME_STATS,                        Lane::Blocking, progress::of_group)
        .on(Code::GET_BROKER_CONSUME_STATS,                 Lane::Blocking, progress::of_broker)
        .on(Code::QUERY_CONSUME_TIME_SPAN,                  Lane::Blocking, progress::time_span)
        .on(Code::QUERY_TOPIC_CONSUME_BY_WHO,               Lane::Blocking, progress::groups_of)
        .on(Code::QUERY_TOPICS_BY_CONSUMER,                 Lane::Blocking, progress::topics_of)
        .on(Code::QUERY_SUBSCRIPTION_BY_CONSUMER,           Lane::Inline,   progress::subscription)
        .on(Code::VIEW_BROKER_STATS_DATA,                   Lane::Inline,   progress::statistic)
        .on(Code::GET_ALL_CONSUMER_OFFSET,                  Lane::Blocking, offsets::all)
        .on(Code::GET_ALL_DELAY_OFFSET,                     Lane::Inline,   offsets::delays)
        .on(Code::SET_MESSAGE_REQUEST_MODE,                 Lane::Blocking, assignment::set_mode)
        .on(Code::GET_ALL_MESSAGE_REQUEST_MODE,             Lane::Inline,   offsets::request_modes)
        .on(Code::CLONE_GROUP_OFFSET,                       Lane::Blocking, offsets::clone_group)
        .on(Code::QUERY_CORRECTION_OFFSET,                  Lane::Blocking, offsets::correction)
        .on(Code::QUERY_CONSUME_QUEUE,                      Lane::Blocking, queues::query)
        .on(Code::CLEAN_EXPIRED_CONSUMEQUEUE,               Lane::Blocking, queues::clean_expired)
        .on(Code::DELETE_EXPIRED_COMMITLOG,                 Lane::Blocking, queues::expire_log)
        .on(Code::UPDATE_BROKER_CONFIG,                     Lane::Blocking, config::update)
        .on(Code::GET_BROKER_CONFIG,                        Lane::Blocking, config::all)
        .on(Code::GET_BROKER_RUNTIME_INFO,                  Lane::Blocking, runtime::info)
        .on(Code::GET_BROKER_HA_STATUS,                     Lane::Inline,   runtime::replication)
        .on(Code::RESET_MASTER_FLUSH_OFFSET,                Lane::Inline,   runtime::flushed_to)
        .on(Code::UPDATE_COLD_DATA_FLOW_CTR_CONFIG,         Lane::Inline,   cold_reads::limit)
        .on(Code::REMOVE_COLD_DATA_FLOW_CTR_CONFIG,         Lane::Inline,   cold_reads::unlimit)
        .on(Code::GET_COLD_DATA_FLOW_CTR_INFO,              Lane::Blocking, cold_reads::info)
        .on(Code::SET_COMMITLOG_READ_MODE,                  Lane::Blocking, cold_reads::ahead)
        .on(Code::CHECK_ROCKSDB_CQ_WRITE_PROGRESS,          Lane::Inline,   engines::queues)
        .on(Code::EXPORT_ROCKSDB_CONFIG_TO_JSON,            Lane::Inline,   engines::export)
        .on(Code::POP_ROLLBACK,                             Lane::Inline,   engines::pops_back)
        .on(Code::SWITCH_TIMER_ENGINE,                      Lane::Blocking, engines::timer)
        .on(Code::RESUME_CHECK_HALF_MESSAGE,                Lane::Blocking, transaction::resume)
        .on(Code::GET_BROKER_LITE_INFO,                     Lane::Blocking, admin::lite::of_broker)
        .on(Code::GET_PARENT_TOPIC_INFO,                    Lane::Blocking, admin::lite::of_parent)
        .on(Code::GET_LITE_TOPIC_INFO,                      Lane::Blocking, admin::lite::of_topic)
        .on(Code::GET_LITE_CLIENT_INFO,                     Lane::Blocking, admin::lite::of_client)
        .on(Code::GET_LITE_GROUP_INFO,                      Lane::Blocking, admin::lite::of_group)
        .on(Code::TRIGGER_LITE_DISPATCH,                    Lane::Blocking, admin::lite::trigger)
        .on(Code::GET_TIMER_CHECK_POINT,                    Lane::Blocking, recall::check_point)
        .on(Code::GET_TIMER_METRICS,                        Lane::Blocking, recall::metrics)
        .on(Code::GET_BROKER_EPOCH_CACHE,                   Lane::Inline,   runtime::epochs)
}
