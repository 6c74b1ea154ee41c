//! Connected clients: members of groups, their connections, their locks, and what they report.

use std::collections::BTreeMap;

use message::Str;

use super::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use super::queue::MessageQueue;
use crate::codes::LanguageCode;
use crate::json::known;

super::bodies! {
    /// The members of a group by client id (code 38).
    GetConsumerListByGroupResponseBody {
        consumer_id_list: Vec<Str>,
    }
    /// Queues that a client wants to lock (code 41).
    LockBatchRequestBody {
        client_id: Str,
        consumer_group: Str,
        mq_set: Vec<MessageQueue>,
        only_this_broker: bool,
    }
    /// Those that it got.
    LockBatchResponseBody {
        #[serde(rename = "lockOKMQSet")]
        lock_ok_mq_set: Vec<MessageQueue>,
    }
    /// Queues that a client gives back (code 42).
    UnlockBatchRequestBody {
        client_id: Str,
        consumer_group: Str,
        mq_set: Vec<MessageQueue>,
        only_this_broker: bool,
    }
    /// A client's connection; `version` is a protocol version.
    #[derive(Eq)]
    Connection {
        client_addr: Str,
        client_id: Str,
        #[serde(deserialize_with = "known")]
        language: Option<LanguageCode>,
        version: i32,
    }
    /// The connected members of a group and what they want (code 203).
    ConsumerConnection {
        connection_set: Vec<Connection>,
        #[serde(deserialize_with = "known")]
        consume_from_where: Option<ConsumeFromWhere>,
        #[serde(deserialize_with = "known")]
        consume_type: Option<ConsumeType>,
        #[serde(deserialize_with = "known")]
        message_model: Option<MessageModel>,
        subscription_table: BTreeMap<Str, SubscriptionData>,
    }
    /// The connected producers of a group (code 204).
    ProducerConnection {
        connection_set: Vec<Connection>,
    }
    /// All producers by group (code 328).
    ProducerTableInfo {
        data: BTreeMap<Str, Vec<ProducerInfo>>,
    }
    /// One of them; the time is ms since the epoch.
    ProducerInfo {
        client_id: Str,
        #[serde(deserialize_with = "known")]
        language: Option<LanguageCode>,
        last_update_timestamp: i64,
        #[serde(rename = "remoteIP")]
        remote_ip: Str,
        version: i32,
    }
    /// What a consumer did with the one message it was handed (code 309).
    ConsumeMessageDirectlyResult {
        auto_commit: bool = true,
        #[serde(deserialize_with = "known")]
        consume_result: Option<CMResult>,
        order: bool,
        remark: Option<Str>,
        spent_time_mills: i64,
    }
}

crate::names! {
    /// How the handling of one message ended.
    CMResult {
        CR_SUCCESS = Success,
        CR_LATER = Later,
        CR_ROLLBACK = Rollback,
        CR_COMMIT = Commit,
        CR_THROW_EXCEPTION = ThrowException,
        CR_RETURN_NULL = ReturnNull,
    }
}
