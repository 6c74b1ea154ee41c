//! Bodies that go through Java and come back: what we write, the stock classes read and write in
//! the same bytes, and we read what they wrote. Maps hold one entry where Java's order is that of
//! hashes.

use std::fmt::Debug;
use std::io::Write as _;
use std::process::{Command, Stdio};

use remoting::body::client::{
    CMResult, Connection, ConsumeMessageDirectlyResult, ConsumerConnection, LockBatchRequestBody,
};
use remoting::body::data_version::DataVersion;
use remoting::body::group::{
    ExponentialRetryPolicy, GroupRetryPolicy, GroupRetryPolicyType, SubscriptionGroupConfig,
    SubscriptionGroupWrapper,
};
use remoting::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, ProducerData,
    SubscriptionData,
};
use remoting::body::mapping::{LogicQueueMappingItem, TopicQueueMappingDetail};
use remoting::body::offset::{
    ConsumeStats, ConsumerOffsetSerializeWrapper, GetConsumerStatusBody, OffsetWrapper,
    ResetOffsetBody,
};
use remoting::body::pop::{BatchAck, BatchAckMessageRequestBody};
use remoting::body::queue::MessageQueue;
use remoting::body::register::RegisterBrokerBody;
use remoting::body::route::{BrokerData, ClusterInfo, QueueData, TopicRouteData};
use remoting::body::table::KVTable;
use remoting::body::topic::{
    TopicConfig, TopicConfigAndMappingSerializeWrapper, TopicFilterType, TopicStatsTable,
};
use remoting::codes::LanguageCode;
use remoting::json::{from_body, to_body};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Compares what came back with what was sent.
type Check = Box<dyn Fn(&str)>;

/// What is sent, and how to check what comes back for each line.
struct Samples {
    lines: Vec<String>,
    checks: Vec<Check>,
}

impl Samples {
    fn add<T>(&mut self, class: &str, body: T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug + 'static,
    {
        let json = String::from_utf8(to_body(&body).to_vec()).expect("JSON is UTF-8");
        self.lines.push(format!("{class} {json}"));
        self.checks.push(Box::new(move |java| {
            assert_eq!(json, java, "what we write and what Java writes");
            assert_eq!(from_body::<T>(java.as_bytes()).as_ref(), Ok(&body));
        }));
    }
}

#[test]
fn bodies_survive_java() {
    let mut samples = Samples { lines: Vec::new(), checks: Vec::new() };
    routes(&mut samples);
    clients(&mut samples);
    offsets(&mut samples);
    tables(&mut samples);
    let jars = super::jars();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/reflect/Echo.java");
    let mut java = Command::new("java")
        .args(["-cp", &format!("{jars}/*"), source])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("java can be run; scripts/test says what to install");
    let mut input = java.stdin.take().expect("it is piped");
    input.write_all((samples.lines.join("\n") + "\n").as_bytes()).expect("Java reads its input");
    drop(input);
    let output = java.wait_with_output().expect("Java ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "Echo.java failed:\n{errors}");
    let text = String::from_utf8(output.stdout).expect("Java prints UTF-8");
    let answers: Vec<&str> = text.lines().collect();
    assert_eq!(answers.len(), samples.checks.len());
    for (check, answer) in samples.checks.iter().zip(answers) {
        check(answer);
    }
}

fn routes(samples: &mut Samples) {
    let broker = BrokerData {
        broker_addrs: [(0, "10.0.0.1:10911".into()), (1, "10.0.0.2:10911".into())].into(),
        broker_name: "b\u{e9}\u{1f600}\"\\\t/".into(),
        cluster: "c".into(),
        enable_acting_master: true,
        zone_name: Some("z".into()),
    };
    let queue = QueueData {
        broker_name: "b".into(),
        perm: 6,
        read_queue_nums: 8,
        topic_sys_flag: 1,
        write_queue_nums: 4,
    };
    let route = TopicRouteData {
        broker_datas: vec![broker.clone()],
        filter_server_table: [("a".into(), vec!["f".into()])].into(),
        order_topic_conf: Some("b:4".into()),
        queue_datas: vec![queue],
        topic_queue_mapping_by_broker: None,
    };
    samples.add("remoting.protocol.route.TopicRouteData", route);
    let cluster = ClusterInfo {
        broker_addr_table: [("b".into(), broker)].into(),
        cluster_addr_table: [("c".into(), ["b".into()].into())].into(),
    };
    samples.add("remoting.protocol.body.ClusterInfo", cluster);
    let detail = TopicQueueMappingDetail {
        bname: Some("b".into()),
        curr_id_map: [(0, 1)].into(),
        epoch: 1_700_000_000_000,
        hosted_queues: [(0, vec![LogicQueueMappingItem::default()])].into(),
        topic: Some("t".into()),
        total_queues: 8,
        ..TopicQueueMappingDetail::default()
    };
    let topic = TopicConfig {
        attributes: [("+message.type".into(), "DELAY".into())].into(),
        order: true,
        topic_filter_type: TopicFilterType::MultiTag,
        topic_name: "t".into(),
        ..TopicConfig::default()
    };
    let topics = TopicConfigAndMappingSerializeWrapper {
        data_version: DataVersion { counter: 3, state_version: 2, timestamp: 1 },
        topic_config_table: [("t".into(), topic)].into(),
        topic_queue_mapping_detail_map: [("t".into(), detail)].into(),
        ..TopicConfigAndMappingSerializeWrapper::default()
    };
    let class = "remoting.protocol.body.TopicConfigAndMappingSerializeWrapper";
    samples.add(class, topics.clone());
    let registration = RegisterBrokerBody {
        filter_server_list: vec!["f".into()],
        topic_config_serialize_wrapper: topics,
    };
    samples.add("remoting.protocol.body.RegisterBrokerBody", registration);
}

fn subscription() -> SubscriptionData {
    SubscriptionData {
        code_set: [97].into(),
        expression_type: Some("SQL92".into()),
        sub_string: Some("a > '1'".into()),
        sub_version: i64::MAX,
        tags_set: ["a".into()].into(),
        topic: "t".into(),
        ..SubscriptionData::default()
    }
}

fn clients(samples: &mut Samples) {
    let consumer = ConsumerData {
        consume_from_where: Some(ConsumeFromWhere::FirstOffset),
        consume_type: Some(ConsumeType::Passively),
        group_name: "g".into(),
        message_model: Some(MessageModel::Broadcasting),
        subscription_data_set: vec![subscription()],
        unit_mode: true,
    };
    let heartbeat = HeartbeatData {
        client_id: "127.0.0.1@1".into(),
        consumer_data_set: vec![consumer],
        heartbeat_fingerprint: -7,
        producer_data_set: vec![ProducerData { group_name: "p".into() }],
        without_sub: true,
    };
    samples.add("remoting.protocol.heartbeat.HeartbeatData", heartbeat);
    let connection = Connection {
        client_addr: "127.0.0.1:5".into(),
        client_id: "c".into(),
        language: Some(LanguageCode::NODE_JS),
        version: 513,
    };
    let connections = ConsumerConnection {
        connection_set: vec![connection],
        consume_from_where: Some(ConsumeFromWhere::Timestamp),
        consume_type: Some(ConsumeType::Pop),
        message_model: Some(MessageModel::Clustering),
        subscription_table: [("t".into(), subscription())].into(),
    };
    samples.add("remoting.protocol.body.ConsumerConnection", connections);
    let locks = LockBatchRequestBody {
        client_id: "c".into(),
        consumer_group: "g".into(),
        mq_set: vec![MessageQueue::new("t", "b", 7)],
        only_this_broker: true,
    };
    samples.add("remoting.protocol.body.LockBatchRequestBody", locks);
    let result = ConsumeMessageDirectlyResult {
        consume_result: Some(CMResult::ThrowException),
        remark: Some("why".into()),
        spent_time_mills: 12,
        ..ConsumeMessageDirectlyResult::default()
    };
    samples.add("remoting.protocol.body.ConsumeMessageDirectlyResult", result);
    let ack = BatchAck {
        bit_set: "Bw==".into(),
        consumer_group: "g".into(),
        invisible_time: 30_000,
        pop_time: 1_700_000_000_000,
        queue_id: 1,
        retry: "0".into(),
        revive_queue_id: 2,
        start_offset: 3,
        topic: "t".into(),
    };
    let acks = BatchAckMessageRequestBody { acks: vec![ack], broker_name: "b".into() };
    samples.add("remoting.protocol.body.BatchAckMessageRequestBody", acks);
}

fn offsets(samples: &mut Samples) {
    let queue = || MessageQueue::new("t", "b", 0);
    let offset = OffsetWrapper { broker_offset: 9, consumer_offset: 7, ..OffsetWrapper::default() };
    for consume_tps in [0.0, 0.1, 1.0e7, 123_456.789, 1.0e-5] {
        let offset_table = [(queue(), offset.clone())].into();
        let stats = ConsumeStats { consume_tps, offset_table };
        samples.add("remoting.protocol.admin.ConsumeStats", stats);
    }
    let stats = TopicStatsTable {
        offset_table: [(queue(), Default::default())].into(),
        topic_put_tps: 2.5,
    };
    samples.add("remoting.protocol.admin.TopicStatsTable", stats);
    let reset = ResetOffsetBody { offset_table: [(queue(), i64::MIN)].into() };
    samples.add("remoting.protocol.body.ResetOffsetBody", reset);
    let status = GetConsumerStatusBody {
        consumer_table: [("c".into(), [(queue(), 5)].into())].into(),
        message_queue_table: [(queue(), 6)].into(),
    };
    samples.add("remoting.protocol.body.GetConsumerStatusBody", status);
    let offsets = ConsumerOffsetSerializeWrapper {
        data_version: Some(DataVersion::new(1)),
        offset_table: [("t@g".into(), [(0, 5), (1, -1)].into())].into(),
    };
    samples.add("remoting.protocol.body.ConsumerOffsetSerializeWrapper", offsets);
}

fn tables(samples: &mut Samples) {
    let policy = GroupRetryPolicy {
        exponential_retry_policy: Some(ExponentialRetryPolicy::default()),
        kind: Some(GroupRetryPolicyType::Exponential),
        ..GroupRetryPolicy::default()
    };
    let group = SubscriptionGroupConfig {
        attributes: [("a".into(), "b".into())].into(),
        consume_message_orderly: true,
        group_name: "g".into(),
        group_retry_policy: policy,
        retry_max_times: -1,
        ..SubscriptionGroupConfig::default()
    };
    let groups = SubscriptionGroupWrapper {
        data_version: DataVersion::new(4),
        forbidden_table: [("g".into(), [("t".into(), 1)].into())].into(),
        subscription_group_table: [("g".into(), group)].into(),
    };
    samples.add("remoting.protocol.body.SubscriptionGroupWrapper", groups);
    let odd = "a\u{0}\u{1f}\u{7f}\u{2028}'<>&";
    let table = KVTable { table: [("key".into(), odd.into())].into() };
    samples.add("remoting.protocol.body.KVTable", table);
}
