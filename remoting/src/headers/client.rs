//! Headers of a client's life: heartbeat, group members, locks, and what a broker asks a client.

use message::Str;

use super::base::{RpcFields, TopicFields};

crate::headers! {
    /// Comes with a heartbeat body (code 34).
    HeartbeatRequestHeader: RpcFields {}
    /// Takes a client out of its groups (code 35).
    UnregisterClientRequestHeader: RpcFields {
        client_i_d: Option<Str>,
        producer_group: Option<Str>,
        consumer_group: Option<Str>,
    }
    /// Empty.
    UnregisterClientResponseHeader {}
    /// Asks for the members of a group (code 38).
    GetConsumerListByGroupRequestHeader: RpcFields {
        consumer_group: Str,
    }
    /// Empty: the answer is a body.
    GetConsumerListByGroupResponseHeader {}
    /// Tells a member that its group changed (code 40, broker to client).
    NotifyConsumerIdsChangedRequestHeader: RpcFields {
        consumer_group: Str,
    }
    /// Locks queues for ordered consumption (code 41; the queues are in the body).
    LockBatchMqRequestHeader: RpcFields {}
    /// Frees them (code 42).
    UnlockBatchMqRequestHeader: RpcFields {}
    /// Asks for a consumer's inner state (code 307, relayed to the client).
    GetConsumerRunningInfoRequestHeader: RpcFields {
        consumer_group: Str,
        client_id: Str,
        jstack_enable: bool = false,
    }
    /// Has one consumer handle one message at once (code 309, relayed to the client).
    ConsumeMessageDirectlyResultRequestHeader: TopicFields {
        consumer_group: Str,
        client_id: Option<Str>,
        msg_id: Option<Str>,
        broker_name: Option<Str>,
        topic: Option<Str>,
        topic_sys_flag: Option<i32>,
        group_sys_flag: Option<i32>,
    }
    /// Asks for the offsets a consumer is at (codes 221 and 223).
    GetConsumerStatusRequestHeader: TopicFields {
        topic: Str,
        group: Str,
        client_addr: Option<Str>,
    }
}
