//! What a broker is and what it allows: the keys of Java's `BrokerConfig` and of its parent
//! `BrokerIdentity` that the code reads.
//!
//! Keys that change nothing here are in `unread`; the disk is in `store`, the socket in `net`.

use crate::table::{Null, settings};
use crate::value::{ADDRESSES, HOST, MessageRequestMode, NOT_BLANK};

settings! {
    /// Identity, topics, subscriptions, registration and holding of a broker.
    ///
    /// `broker_name`, `broker_ip1` and `broker_ip2` are empty until `Machine` fills them.
    pub Broker = "BrokerConfig" {
        /// Cluster that this broker belongs to; also the name of a topic.
        broker_cluster_name: String = "DefaultCluster" => NOT_BLANK;
        /// Name of this broker, shared by a primary and its replicas; unset: the host's name.
        broker_name: String = "" => NOT_BLANK;
        /// 0 is the primary, anything above a replica.
        broker_id: i64 = 0 => 0..=i64::MAX;
        /// Name servers to register with: `host:port`, with `;` between them.
        namesrv_addr: Option<String> = Null => ADDRESSES;
        /// Address or host name that clients are told; unset: the first address that is not a
        /// loopback. A name is also looked up once, at start, for the address in message ids.
        broker_ip1 as "brokerIP1": String = "" => HOST;
        /// Address that replicas are told; unset: the first address that is not a loopback.
        broker_ip2 as "brokerIP2": String = "" => NOT_BLANK;
        /// What clients may do here: 6 read and write, 4 read, 2 write.
        broker_permission: i32 = 6 => 0..=7, live;

        /// Queues of a topic that is created by the first send to it.
        default_topic_queue_nums: i32 = 8 => 1..=65_535;
        /// Whether the first send to an unknown topic creates it.
        auto_create_topic_enable: bool = true, live;
        /// Whether a topic named like the cluster is offered.
        cluster_topic_enable: bool = true;
        /// Whether a topic named like the broker is offered.
        broker_topic_enable: bool = true;
        /// Whether the first consumer of an unknown group creates it.
        auto_create_subscription_group: bool = true, live;
        /// Whether updateTopic refuses the names of system topics.
        validate_system_topic_when_update_topic: bool = true, live;
        /// Whether deleting a topic deletes the retry topics of its groups.
        clear_retry_topic_when_delete_topic: bool = true, live;
        /// Whether a topic of type MIXED may be created.
        enable_mixed_message_type: bool = false, live;
        /// Topic of message traces.
        msg_trace_topic_name: String = "RMQ_SYS_TRACE_TOPIC" => NOT_BLANK;
        /// Whether the trace topic is created at start.
        trace_topic_enable: bool = false;
        /// Whether clients are told to write traces.
        trace_on: bool = true;
        /// Whether the broker itself writes traces of what it stores and gives to groups, into the
        /// topic that `msgTraceTopicName` names; Rockhopper's own. Up to 16 MiB of records wait to
        /// be written: further ones are left out, counted (`messagesNotTraced` in
        /// `brokerStatus`) and logged once a minute.
        broker_trace_enable: bool = false, live;
        /// Region that clients are told in answers to sends.
        region_id: String = "DefaultRegion";
        /// Whether replies to request messages are stored, besides being carried to who asked.
        store_reply_message_enable: bool = true, live;
        /// Whether half messages are refused.
        reject_transaction_message: bool = false, live;
        /// How often a producer is asked about a half message before it is given up.
        transaction_check_max: i32 = 15 => 1..=i32::MAX, live;
        /// How long a producer has before it is asked about a half message (ms).
        transaction_time_out: i64 = 6_000 => 0..=i64::MAX, live;
        /// How long the check of half messages rests between two rounds (ms).
        transaction_check_interval: i64 = 30_000 => 100..=i64::MAX, live;
        /// How often the numbers of half messages are saved at most (ms).
        transaction_metric_flush_interval: i64 = 10_000 => 1..=i64::MAX, live;
        /// Whether a message that waits for its time may be taken back.
        recall_message_enable: bool = false, live;
        /// Whether that goes on where `brokerPermission` forbids to write.
        allow_recall_when_broker_not_writeable: bool = true, live;
        /// Sends are refused before this time (ms since the epoch).
        start_accept_send_request_time_stamp: i64 = 0 => 0..=i64::MAX, live;

        /// How often committed offsets are written to their file (ms).
        flush_consumer_offset_interval: i32 = 5_000 => 100..=3_600_000;
        /// Whether pulls wait for messages that are not there yet.
        long_polling_enable: bool = true, live;
        /// How long a pull waits when long polling is off (ms).
        short_polling_time_mills: i64 = 1_000 => 0..=600_000, live;
        /// Whether members of a group are told at once when the group changes.
        notify_consumer_ids_changed_enable: bool = true, live;
        /// Whether consumers that pull themselves are refused.
        reject_pull_consumer_enable: bool = false, live;
        /// Whether the lite pull request is served.
        lite_pull_message_enable: bool = true, live;
        /// Whether resetting offsets happens at the broker, without asking the consumers.
        use_server_side_reset_offset: bool = true, live;
        /// Whether the broker, when asked for queues, shares them out among a group's members.
        server_load_balancer_enable: bool = true, live;
        /// How a group fetches a topic where nobody said it: PULL or POP.
        default_message_request_mode: MessageRequestMode = MessageRequestMode::Pull, live;
        /// Members of a group that pop one member's queues besides it; below 1: all of them.
        default_pop_share_queue_num: i32 = -1, live;
        /// Queues of the revive log, where pops are noted; of more from before the rest is read.
        revive_queue_num: i32 = 8 => 1..=512;
        /// Lite topics that one client may be offered at a time.
        max_client_event_count: i32 = 100 => 1..=1_000_000, live;
        /// When a lite topic is offered again for which no client had room (ms).
        lite_event_full_dispatch_delay_time: i64 = 10_000 => 50..=3_600_000, live;
        /// Subscriptions of clients to lite topics that there may be.
        max_lite_subscription_count: i64 = 100_000 => 0..=1_000_000, live;
        /// After so long without a word a client's subscriptions are forgotten (ms).
        lite_subscription_check_timeout_mills: i64 = 180_000 => 1_000..=86_400_000, live;
        /// How often it is looked which lite topics have expired (ms).
        lite_ttl_check_interval: i64 = 120_000 => 100..=86_400_000, live;
        /// The least time that a lite topic is kept after its last message (ms).
        min_lite_ttl as "minLiteTTl": i64 = 900_000 => 0..=2_592_000_000, live;
        /// Pops of one group that may wait for one queue, or for any of a topic.
        pop_polling_size: i32 = 1_024 => 0..=1_000_000, live;
        /// Pops that may wait in all.
        max_pop_polling_size: i64 = 100_000 => 0..=1_000_000, live;
        /// Of a hundred pops so many look at the retry topic first, the others at last.
        pop_from_retry_probability: i32 = 20 => 0..=100, live;
        /// The same for pops that read a topic of priorities by them.
        pop_from_retry_probability_for_priority: i32 = 0 => 0..=100, live;
        /// Whether queues with higher numbers are popped first; in a topic of priorities they hold
        /// the higher ones.
        priority_order_asc: bool = true, live;
        /// Whether what was popped of a queue comes back in the queue of that number of the retry
        /// topic, not all in the first.
        use_separate_retry_queue: bool = false, live;
        /// Whether popped messages come back in topics named `%RETRY%group+topic`, not
        /// `%RETRY%group_topic`.
        enable_retry_topic_v2: bool = false, live;
        /// Whether the topics of the older name are read as well then.
        retrieve_message_from_pop_retry_topic_v1 as "retrieveMessageFromPopRetryTopicV1": bool =
            true, live;
        /// Whether messages of retry topics are given under that topic, not under their own.
        pop_response_return_actual_retry_topic: bool = false, live;
        /// Whether a group that asks for the newest messages begins at the first one of a queue
        /// that is in memory from its start.
        init_pop_offset_by_check_msg_in_mem: bool = true, live;
        /// Pops that are remembered until they are done, so that their messages come back on time;
        /// those beyond come back some seconds late.
        pop_ck_max_buffer_size: i32 = 200_000 => 0..=10_000_000, live;
        /// Whether a stock broker that had the store before kept checkpoints of pops in memory:
        /// after it was killed a group of which no file says where it stands begins at the queue's
        /// front then. Ours are stored at once, whatever this says.
        enable_pop_buffer_merge: bool = false, live;
        /// Whether a group is given no more of a queue while it has more than
        /// `popInflightMessageThreshold` messages of it that it has not acknowledged.
        enable_pop_message_threshold: bool = false, live;
        /// How many that are.
        pop_inflight_message_threshold: i64 = 10_000, live;
        /// A connection without a heartbeat for this long is taken out of its groups (ms).
        channel_expired_timeout: i64 = 120_000 => 1_000..=i64::MAX;
        /// Whether consumers may filter messages in SQL92.
        enable_property_filter: bool = false, live;
        /// Whether a retried message is filtered by what its group wants of the topic it came from.
        filter_support_retry: bool = false, live;
        /// Whether with `enableConsumeQueueExt` bits are kept of each message, which say what SQL92
        /// filters want it, so that their pulls pass over others without a look at the messages.
        enable_calc_filter_bit_map: bool = false, live;
        /// Groups with SQL92 filters that a topic is expected to have; with the next key it shapes
        /// what `consumerFilter.json` keeps of each group, and how many bits a message has.
        expect_consumer_num_use_filter: i32 = 32 => 1..=1_000_000;
        /// How many of a hundred messages may seem wanted by a group that does not want them.
        max_error_rate_of_bloom_filter: i32 = 20 => 1..=99;
        /// How long the SQL92 filter of a group without members is kept (ms).
        filter_data_clean_time_span: i64 = 86_400_000 => 0..=i64::MAX, live;
        /// How long operators are shown a subscription that came with a pull (ms).
        subscription_expired_timeout: i64 = 600_000 => 0..=i64::MAX;

        /// How long one registration with a name server may take (ms).
        register_broker_timeout_mills: i32 = 24_000 => 100..=600_000;
        /// How long another broker may take that is asked about a static topic's queue (ms).
        forward_timeout: i64 = 3_000 => 100..=600_000, live;
        /// How often the broker registers again; Java clamps what lies outside (ms).
        register_name_server_period: i32 = 30_000 => 10_000..=60_000;

        /// Keys that can never be changed while the broker runs, with `;` between them.
        config_black_list: String = "configBlackList;brokerConfigPath";
    }
}
