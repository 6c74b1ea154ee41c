//! Which scenarios there are and how they may be run.

/// What a broker of clients and mqadmin is started with: half messages are checked soon, and
/// given up soon; filters in SQL92 are allowed.
pub const SETTINGS: &str = "enablePropertyFilter=true\ntransactionTimeOut=2000\n\
                            transactionCheckInterval=1000\ntransactionCheckMax=3\n\
                            transactionOpBatchInterval=100\n";

/// Scenarios that share a cluster with others at the same time, the slowest first.
pub const TOGETHER: &[&str] = &[
    "delay-level-3",
    "transaction-discarded",
    "transaction-immune",
    "group-of-three",
    "retry-then-dlq",
    "orderly",
    "pull-held",
    "push-wakes-at-once",
    "send-sync",
    "send-async",
    "send-oneway",
    "send-batch",
    "body-1-byte",
    "body-4-mib",
    "body-over-4-mib",
    "compressed-zlib",
    "compressed-lz4",
    "compressed-zstd",
    "topic-auto-create",
    "tags",
    "sql-push",
    "sql-pull",
    "sql-pull-held",
    "sql-lite-pull",
    "sql-retry",
    "sql-refused",
    "broadcast",
    "delay-level-1",
    "pull",
    "lite-pull-subscribe",
    "lite-pull-seek",
    "offset-by-time",
    "offset-kept",
    "query-by-key",
    "query-by-unique-id",
    "query-by-offset-id",
    "wrong-topic",
    "wrong-group",
    "no-permission",
    "trace",
    "transaction-commit",
    "transaction-rollback",
    "transaction-checked",
    "transaction-other",
    "request-reply",
    "request-late",
    "request-gone",
];

/// Scenarios during which a server goes and comes back: one at a time, all clients in the same.
pub const ALONE: &[&str] = &[
    "restart-broker",
    "kill-broker",
    "restart-namesrv",
    "transaction-stopped",
    "transaction-killed",
];

/// What the stock mqadmin does, one after the other in one process.
pub const MQADMIN: &[&str] = &[
    "clusterList",
    "brokerStatus",
    "getBrokerConfig",
    "updateBrokerConfig",
    "getNamesrvConfig",
    "updateKvConfig",
    "wipeWritePerm",
    "topicList",
    "topicClusterList",
    "topicRoute",
    "topicStatus",
    "updateTopic",
    "updateTopicPerm",
    "deleteTopic",
    "updateSubGroup",
    "deleteSubGroup",
    "consumerProgress",
    "consumerStatus",
    "consumerConnection",
    "producerConnection",
    "resetOffsetByTime",
    "skipAccumulatedMessage",
    "sendMessage",
    "consumeMessage",
    "printMsg",
    "queryMsgById",
    "queryMsgByUniqueKey",
    "queryMsgByKey",
    "queryMsgByOffset",
];

/// What clients do where one server is ours and the other the stock one.
pub const MIXED: &[&str] = &[
    "group-of-three",
    "retry-then-dlq",
    "orderly",
    "send-sync",
    "send-async",
    "send-batch",
    "topic-auto-create",
    "tags",
    "broadcast",
    "pull",
    "query-by-key",
    "no-permission",
    "transaction-checked",
    "request-reply",
];
