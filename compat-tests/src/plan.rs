//! Which scenarios there are and how they may be run.

use std::time::Duration;

/// What a broker of clients and mqadmin is started with: half messages are checked soon, and
/// given up soon; filters in SQL92 are allowed; there is a topic for traces; messages that wait may
/// be taken back; there are light queues; compacted queues have small files and are compacted soon.
pub const SETTINGS: &str = "transactionTimeOut=2000\ntransactionCheckInterval=1000\n\
                            transactionCheckMax=3\ntransactionOpBatchInterval=100\n\
                            enablePropertyFilter=true\ntraceTopicEnable=true\n\
                            recallMessageEnable=true\nenableLmq=true\n\
                            enableMultiDispatch=true\n\
                            compactionScheduleInternal=500\ncompactionMappedFileSize=27600\n\
                            compactionCqMappedFileSize=2300\n";

/// What the broker of client libraries has besides: members go back by themselves when a group is
/// reset, as all of 4.x do. That of mqadmin resets by itself, as 5.x do unless told otherwise.
pub const OF_LIBRARIES: &str = "useServerSideResetOffset=false\n";

/// Scenarios that share a cluster with others at the same time, the slowest first.
pub const TOGETHER: &[&str] = &[
    "retry-policy-gaps",
    "rewind-online",
    "contradiction",
    "track-members",
    "delay-level-3",
    "timer-delay",
    "timer-recall",
    "transaction-discarded",
    "transaction-immune",
    "transaction-many",
    "pop-expired",
    "pop-expired-long",
    "pop-push-left",
    "pop-push-retry",
    "group-of-three",
    "retry-then-dlq",
    "orderly",
    "pull-held",
    "push-wakes-at-once",
    "send-sync",
    "send-async",
    "send-oneway",
    "send-batch",
    "compaction-push",
    "compaction-pull",
    "compaction-batches",
    "batch-inner-retry",
    "batch-inner",
    "batch-inner-pull",
    "batch-inner-tags",
    "batch-inner-sql",
    "batch-inner-pop",
    "batch-inner-auto",
    "send-priority",
    "body-1-byte",
    "body-4-mib",
    "body-over-4-mib",
    "compressed-zlib",
    "compressed-lz4",
    "compressed-zstd",
    "topic-auto-create",
    "tags",
    "offset-past-unwanted",
    "sql-push",
    "sql-pull",
    "sql-pull-held",
    "sql-lite-pull",
    "sql-retry",
    "sql-refused",
    "broadcast",
    "delay-level-1",
    "pull",
    "light-pull",
    "light-held",
    "light-lite-pull",
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
    "timer-illegal",
    "transaction-commit",
    "transaction-rollback",
    "transaction-checked",
    "transaction-other",
    "request-reply",
    "request-late",
    "request-gone",
    "pop-push",
    "pop-push-tags",
    "pop-held",
    "pop-prolonged",
    "pop-batch-ack",
    "pop-first-or-last",
    "pop-filtered",
    "pop-fifo",
    "pop-fifo-expired",
    "pop-notified",
    "lite-topic-pop",
    "lite-topic-again",
    "lite-topic-shared",
    "lite-topic-exclusive",
    "lite-topic-all",
    "lite-topic-offsets",
    "lite-topic-refused",
    "lite-topic-pulled",
    "rewind-offline",
    "rewind-by-offset",
    "rewind-cloned",
    "rewind-status",
    "consume-directly",
    "running-info",
    "track-others",
    "retry-policy-kept",
    "message-type-kept",
    "message-type-sent",
];

/// Scenarios during which a server goes and comes back: one at a time, all clients in the same.
pub const ALONE: &[&str] = &[
    "restart-broker",
    "kill-broker",
    "restart-namesrv",
    "orderly-changes",
    "transaction-stopped",
    "transaction-killed",
    "pop-fifo-killed",
];

/// Those that take up to [`LONG`]: run when `--only` names one in full.
pub const BY_HAND: &[&str] = &["orderly-changes-200", "pop-fifo-killed-100"];

/// The longest that one by hand may take.
pub const LONG: Duration = Duration::from_secs(3_600);

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
    "updateTopicMessageType",
    "deleteTopic",
    "updateSubGroup",
    "updateSubGroupRetryPolicy",
    "deleteSubGroup",
    "consumerProgress",
    "consumerStatus",
    "consumerConnection",
    "consumerConnectionOfContradiction",
    "producerConnection",
    "resetOffsetByTime",
    "skipAccumulatedMessage",
    "resetOffsetByOffset",
    "resetOffsetOnline",
    "resetOffsetByTimeOld",
    "getConsumerStatus",
    "cloneGroupOffset",
    "queryCq",
    "sendMessage",
    "consumeMessage",
    "printMsg",
    "queryMsgById",
    "queryMsgByUniqueKey",
    "queryMsgByKey",
    "queryMsgByOffset",
    "consumeMessageDirectly",
    "messageTrack",
    "queryMsgTraceById",
    "brokerTrace",
    "setConsumeMode",
    "consumerProgressOfPops",
    "resetOffsetOfPops",
    "enableRetryTopicV2",
    "useSeparateRetryQueue",
    "popInflightMessageThreshold",
    "getBrokerLiteInfo",
    "getParentTopicInfo",
    "getLiteTopicInfo",
    "getLiteClientInfo",
    "getLiteGroupInfo",
    "triggerLiteDispatch",
    "deleteTopicOfLites",
];

/// What a client and the stock tool do with static topics on two brokers.
pub const STATIC: &[&str] = &[
    "static-orderly",
    "static-remapped",
    "static-offsets",
    "static-undecided",
    "static-topic",
    "static-widened",
    "static-deleted",
    "static-refused",
];

/// The same while servers go and come back.
pub const STATIC_ALONE: &[&str] = &["static-restarts", "static-handed-over"];

/// What clients do where one server is ours and the other the stock one.
pub const MIXED: &[&str] = &[
    "group-of-three",
    "retry-then-dlq",
    "orderly",
    "send-sync",
    "send-async",
    "send-batch",
    "send-priority",
    "topic-auto-create",
    "tags",
    "broadcast",
    "pull",
    "query-by-key",
    "no-permission",
    "transaction-checked",
    "request-reply",
];
