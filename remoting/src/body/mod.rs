//! The JSON bodies of requests and answers, by family. A struct bears the name of its Java class;
//! its fields stand in the order of Java's member names, which is the order on the wire. They are
//! read and written by [`crate::json`]. compat-tests compares every member and every default with
//! the stock 5.5.0 classes.
//!
//! Not here: bodies that are no JSON (messages, the 56 bytes of code 60), and the running state of
//! a consumer (code 307), which is relayed as bytes.

pub mod auth;
pub mod client;
pub mod controller;
pub mod data_version;
pub mod group;
pub mod heartbeat;
pub mod lite;
pub mod mapping;
pub mod offset;
pub mod pop;
pub mod properties;
pub mod queue;
pub mod register;
pub mod route;
pub mod stats;
pub mod table;
pub mod topic;

/// Declares bodies, one row for each member; `= value` is its value in a fresh Java object.
macro_rules! bodies {
    ($(
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $default:expr)?),* $(,)?
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[allow(missing_docs, reason = "the names of the members are Java's own")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($field: $crate::first!(
                        $(<$type>::from($default),)? <$type>::default()
                    ),)*
                }
            }
        }
    )* };
}
use bodies;

/// Hands every body class to a macro, which gets their paths below this module: the test that
/// compares the bodies with Java's classes walks over them this way.
#[macro_export]
macro_rules! each_body {
    ($with:ident) => {
        $with! {
            auth::UserInfo,
            auth::AclInfo,
            auth::PolicyInfo,
            auth::PolicyEntryInfo,
            client::GetConsumerListByGroupResponseBody,
            client::LockBatchRequestBody,
            client::LockBatchResponseBody,
            client::UnlockBatchRequestBody,
            client::Connection,
            client::ConsumerConnection,
            client::ProducerConnection,
            client::ProducerTableInfo,
            client::ProducerInfo,
            client::ConsumeMessageDirectlyResult,
            controller::SyncStateSet,
            controller::ElectMasterResponseBody,
            controller::BrokerReplicasInfo,
            controller::ReplicasInfo,
            controller::ReplicaIdentity,
            controller::RoleChangeNotifyEntry,
            controller::EpochEntryCache,
            controller::EpochEntry,
            controller::HARuntimeInfo,
            controller::HAClientRuntimeInfo,
            controller::HAConnectionRuntimeInfo,
            controller::BrokerSyncInfo,
            data_version::DataVersion,
            group::SubscriptionGroupConfig,
            group::GroupRetryPolicy,
            group::ExponentialRetryPolicy,
            group::CustomizedRetryPolicy,
            group::SimpleSubscriptionData,
            group::SubscriptionGroupWrapper,
            group::SubscriptionGroupList,
            group::GroupForbidden,
            group::GroupList,
            group::QuerySubscriptionResponseBody,
            heartbeat::HeartbeatData,
            heartbeat::ProducerData,
            heartbeat::ConsumerData,
            heartbeat::SubscriptionData,
            heartbeat::CheckClientRequestBody,
            lite::LiteSubscriptionCtlRequestBody,
            lite::LiteSubscriptionDTO,
            lite::OffsetOption,
            lite::GetBrokerLiteInfoResponseBody,
            lite::GetParentTopicInfoResponseBody,
            lite::GetLiteTopicInfoResponseBody,
            lite::ClientGroup,
            lite::GetLiteClientInfoResponseBody,
            lite::GetLiteGroupInfoResponseBody,
            lite::LiteLagInfo,
            mapping::TopicQueueMappingInfo,
            mapping::TopicQueueMappingDetail,
            mapping::LogicQueueMappingItem,
            offset::ConsumeStats,
            offset::OffsetWrapper,
            offset::ConsumeStatsList,
            offset::ResetOffsetBody,
            offset::ResetOffsetBodyForC,
            offset::GetConsumerStatusBody,
            offset::ConsumerOffsetSerializeWrapper,
            offset::DelayOffsetSerializeWrapper,
            offset::QueryCorrectionOffsetBody,
            offset::QueryConsumeTimeSpanBody,
            offset::QueueTimeSpan,
            pop::QueryAssignmentRequestBody,
            pop::QueryAssignmentResponseBody,
            pop::SetMessageRequestModeRequestBody,
            pop::MessageRequestModeSerializeWrapper,
            pop::BatchAckMessageRequestBody,
            pop::BatchAck,
            queue::MessageQueue,
            queue::MessageQueueForC,
            queue::MessageQueueAssignment,
            register::RegisterBrokerBody,
            route::TopicRouteData,
            route::QueueData,
            route::BrokerData,
            route::ClusterInfo,
            route::BrokerMemberGroup,
            route::GetBrokerMemberGroupResponseBody,
            route::TopicList,
            stats::BrokerStatsData,
            stats::BrokerStatsItem,
            stats::QueryConsumeQueueResponseBody,
            stats::ConsumeQueueData,
            stats::TimerMetricsSerializeWrapper,
            stats::Metric,
            stats::CheckRocksdbCqWriteResult,
            table::KVTable,
            topic::TopicConfig,
            topic::CreateTopicListRequestBody,
            topic::TopicConfigSerializeWrapper,
            topic::TopicConfigAndMappingSerializeWrapper,
            topic::TopicConfigAndQueueMapping,
            topic::TopicStatsTable,
            topic::TopicOffset,
        }
    };
}
