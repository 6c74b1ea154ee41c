//! What operators ask, and what their tools take apart.

use crate::support::{Caller, World, said};
use message::Str;
use remoting::body::group::{
    QuerySubscriptionResponseBody, SubscriptionGroupConfig, SubscriptionGroupList,
    SubscriptionGroupWrapper,
};
use remoting::body::heartbeat::{ConsumerData, HeartbeatData, SubscriptionData};
use remoting::body::offset::{ConsumeStats, ResetOffsetBody};
use remoting::body::table::KVTable;
use remoting::body::topic::{
    CreateTopicListRequestBody, TopicConfig, TopicConfigSerializeWrapper, TopicStatsTable,
};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::client::UnregisterClientRequestHeader;
use remoting::headers::client::{
    ConsumeMessageDirectlyResultRequestHeader, GetConsumerRunningInfoRequestHeader,
};
use remoting::headers::group::{
    DeleteSubscriptionGroupRequestHeader, GetAllSubscriptionGroupRequestHeader,
    GetConsumeStatsInBrokerHeader, GetConsumeStatsRequestHeader,
    QuerySubscriptionByConsumerRequestHeader,
};
use remoting::headers::message::{
    QueryMessageRequestHeader, RecallMessageRequestHeader, ViewMessageRequestHeader,
};
use remoting::headers::offset::{
    QueryConsumerOffsetRequestHeader, QueryCorrectionOffsetHeader, ResetOffsetRequestHeader,
    UpdateConsumerOffsetRequestHeader,
};
use remoting::headers::pull::{PullMessageRequestHeader, QueryConsumeQueueRequestHeader};
use remoting::headers::send::SendMessageRequestHeader;
use remoting::headers::topic::{
    CreateTopicRequestHeader, DeleteTopicRequestHeader, GetAllTopicConfigRequestHeader,
    GetTopicConfigRequestHeader, GetTopicStatsInfoRequestHeader,
};
use remoting::json::{from_body, to_body};
use remoting::reply::Answer;
use settings::BrokerSettings;

const TOPIC: &str = "Orders";
const GROUP: &str = "Billing";
pub(crate) const SUCCESS: (ResponseCode, &str) = (ResponseCode::SUCCESS, "");

async fn create(client: &Caller, topic: &'static str, queues: i32) -> Command {
    let header = CreateTopicRequestHeader {
        topic: topic.into(),
        default_topic: "TBW102".into(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".into(),
        ..Default::default()
    };
    client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &header).await
}

/// Sends one message and gives its offset message id.
async fn send(client: &Caller, key: &str) -> String {
    let properties = format!("KEYS\u{1}{key}\u{2}UNIQ_KEY\u{1}U-{key}\u{2}TAGS\u{1}T-{key}\u{2}");
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: TOPIC,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        properties: Some(&properties),
        ..Default::default()
    };
    let message = Command::request(RequestCode::SEND_MESSAGE).with_header(&header).with_body("x");
    let answer = client.ask(message).await;
    assert_eq!(said(&answer), SUCCESS);
    answer.fields.get("msgId").unwrap().to_string()
}

async fn commit(client: &Caller, offset: i64) {
    let header = UpdateConsumerOffsetRequestHeader {
        consumer_group: GROUP.into(),
        topic: TOPIC.into(),
        queue_id: Some(0),
        commit_offset: Some(offset),
        ..Default::default()
    };
    let answer = client.call(RequestCode::UPDATE_CONSUMER_OFFSET, &header).await;
    assert_eq!(said(&answer), SUCCESS);
}

async fn committed(client: &Caller) -> Option<i64> {
    let header = QueryConsumerOffsetRequestHeader {
        consumer_group: GROUP.into(),
        topic: TOPIC.into(),
        set_zero_if_not_found: Some(false),
        ..Default::default()
    };
    let answer = client.call(RequestCode::QUERY_CONSUMER_OFFSET, &header).await;
    Some(answer.fields.get("offset")?.parse().unwrap())
}

/// Makes the client the one member of the group.
async fn join(client: &Caller) {
    let subscription = SubscriptionData {
        topic: TOPIC.into(),
        sub_string: Some("*".into()),
        ..SubscriptionData::default()
    };
    let consumer = ConsumerData {
        group_name: GROUP.into(),
        subscription_data_set: vec![subscription],
        ..ConsumerData::default()
    };
    let heartbeat = HeartbeatData {
        client_id: "c1".into(),
        consumer_data_set: vec![consumer],
        ..HeartbeatData::default()
    };
    let answer = client.post(RequestCode::HEART_BEAT, &heartbeat).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
}

pub(crate) async fn get(client: &Caller, code: RequestCode) -> Command {
    client.ask(Command::request(code)).await
}

#[tokio::test]
async fn a_topic_is_made_looked_at_and_deleted_with_all_that_belongs_to_it() {
    let world = World::start().await;
    let client = world.client();
    assert_eq!(create(&client, TOPIC, 2).await.response_code(), ResponseCode::SUCCESS);
    send(&client, "k").await;
    let header = GetTopicStatsInfoRequestHeader { topic: TOPIC.into(), ..Default::default() };
    let answer = client.call(RequestCode::GET_TOPIC_STATS_INFO, &header).await;
    let stats: TopicStatsTable = from_body(&answer.body).unwrap();
    let ends: Vec<i64> = stats.offset_table.values().map(|offset| offset.max_offset).collect();
    assert_eq!(ends, [1, 0]);

    join(&client).await;
    commit(&client, 1).await;
    let header = DeleteTopicRequestHeader { topic: TOPIC.into(), ..Default::default() };
    let answer = client.call(RequestCode::DELETE_TOPIC_IN_BROKER, &header).await;
    assert_eq!(said(&answer), SUCCESS);
    let header = GetTopicConfigRequestHeader { topic: TOPIC.into(), ..Default::default() };
    let answer = client.call(RequestCode::GET_TOPIC_CONFIG, &header).await;
    assert_eq!(answer.response_code(), ResponseCode::TOPIC_NOT_EXIST);
    assert_eq!(committed(&client).await, None);
}

#[tokio::test]
async fn a_topic_whose_deletion_cannot_be_noted_stays_with_all_that_belongs_to_it() {
    let mut dir = String::new();
    let change = |settings: &mut BrokerSettings| {
        dir = settings.store.store_path_root_dir.as_str().into();
    };
    let world = World::start_with(change).await;
    let client = world.client();
    create(&client, TOPIC, 1).await;
    send(&client, "k").await;
    join(&client).await;
    commit(&client, 1).await;
    // As on a full disk: the list of topics that are gone cannot be written.
    let half = format!("{dir}/removedtopics.tmp");
    std::fs::create_dir(&half).unwrap();
    let header = DeleteTopicRequestHeader { topic: TOPIC.into(), ..Default::default() };
    let answer = client.call(RequestCode::DELETE_TOPIC_IN_BROKER, &header).await;
    assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR);
    let config = GetTopicConfigRequestHeader { topic: TOPIC.into(), ..Default::default() };
    let answer = client.call(RequestCode::GET_TOPIC_CONFIG, &config).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
    assert_eq!(committed(&client).await, Some(1));
    std::fs::remove_dir(&half).unwrap();
    let answer = client.call(RequestCode::DELETE_TOPIC_IN_BROKER, &header).await;
    assert_eq!(said(&answer), SUCCESS);
    assert_eq!(committed(&client).await, None);
}

#[tokio::test]
async fn what_a_list_changed_before_one_that_is_refused_is_saved() {
    let mut world = World::start().await;
    let client = world.client();
    let wrong = || [("+nonsense".into(), "1".into())].into();
    let topic = |name: &'static str| TopicConfig {
        topic_name: name.into(),
        read_queue_nums: 3,
        write_queue_nums: 3,
        ..TopicConfig::default()
    };
    let refused = TopicConfig { attributes: wrong(), ..topic("T2") };
    let body = CreateTopicListRequestBody { topic_config_list: Some(vec![topic("T1"), refused]) };
    let answer = client.post(RequestCode::UPDATE_AND_CREATE_TOPIC_LIST, &body).await;
    assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR, "{:?}", said(&answer));
    let group = |name: &'static str| SubscriptionGroupConfig {
        group_name: name.into(),
        retry_max_times: 3,
        ..SubscriptionGroupConfig::default()
    };
    let refused = SubscriptionGroupConfig { attributes: wrong(), ..group("G2") };
    let body = SubscriptionGroupList { group_config_list: Some(vec![group("G1"), refused]) };
    let answer = client.post(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, &body).await;
    assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR, "{:?}", said(&answer));
    world.restart().await;
    let client = world.client();
    let header = GetTopicConfigRequestHeader { topic: "T1".into(), ..Default::default() };
    let answer = client.call(RequestCode::GET_TOPIC_CONFIG, &header).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
    let answer = get(&client, RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
    let all: SubscriptionGroupWrapper = from_body(&answer.body).unwrap();
    assert_eq!(all.subscription_group_table["G1"].retry_max_times, 3);
}

#[tokio::test]
async fn bad_topics_are_refused_in_javas_words() {
    let world = World::start().await;
    let client = world.client();
    for (topic, queues, expected) in [
        ("TBW102", 2, "The topic[TBW102] is conflict with system topic."),
        (
            "a.b",
            2,
            "The specified topic: a.b, contains illegal characters, \
             allowing only ^[%|a-zA-Z0-9_-]+$",
        ),
        (
            TOPIC,
            65_537,
            "topic Orders: readQueueNums 65537 and writeQueueNums 65537 must be at most 65536",
        ),
    ] {
        let answer = create(&client, topic, queues).await;
        assert_eq!(said(&answer), (ResponseCode::INVALID_PARAMETER, expected));
    }
}

#[tokio::test]
async fn a_group_with_too_many_retry_queues_is_refused() {
    let world = World::start().await;
    let client = world.client();
    for code in [
        RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
        RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
    ] {
        let mut body = "{\"groupName\":\"G\",\"retryQueueNums\":65537}".to_owned();
        if code == RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST {
            body = format!("{{\"groupConfigList\":[{body}]}}");
        }
        let answer = client.ask(Command::request(code).with_body(body)).await;
        let words = "group G: retryQueueNums 65537 must be at most 65536";
        assert_eq!(said(&answer), (ResponseCode::INVALID_PARAMETER, words));
    }
}

#[tokio::test]
async fn an_answer_of_too_many_queues_is_refused_and_says_what_to_ask() {
    let world = World::start().await;
    let client = world.client();
    let answer = client
        .post(
            RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
            &SubscriptionGroupConfigOf::new(GROUP),
        )
        .await;
    assert_eq!(said(&answer), SUCCESS);
    for topic in ["A", "B", "C"] {
        let made = create(&client, topic, 65_536).await;
        assert_eq!(made.response_code(), ResponseCode::SUCCESS);
        let header = UpdateConsumerOffsetRequestHeader {
            consumer_group: GROUP.into(),
            topic: topic.into(),
            queue_id: Some(0),
            commit_offset: Some(0),
            ..Default::default()
        };
        let answer = client.call(RequestCode::UPDATE_CONSUMER_OFFSET, &header).await;
        assert_eq!(said(&answer), SUCCESS);
    }
    let ask = |topic| GetConsumeStatsRequestHeader {
        consumer_group: GROUP.into(),
        topic,
        ..Default::default()
    };
    let words = "the answer would name more than 131072 queues: ask topic by topic";
    let answer = client.call(RequestCode::GET_CONSUME_STATS, &ask(None)).await;
    assert_eq!(said(&answer), (ResponseCode::SYSTEM_ERROR, words));
    let answer = client.call(RequestCode::GET_CONSUME_STATS, &ask(Some("A".into()))).await;
    assert_eq!(said(&answer), SUCCESS);
    let header = GetConsumeStatsInBrokerHeader { is_order: false };
    let answer = client.call(RequestCode::GET_BROKER_CONSUME_STATS, &header).await;
    let words = "the answer would name more than 131072 queues: ask group by group \
                 (consumerProgress -g)";
    assert_eq!(said(&answer), (ResponseCode::SYSTEM_ERROR, words));
}

#[tokio::test]
async fn a_topic_may_have_fewer_queues_than_none_and_takes_next_to_nothing() {
    let world = World::start().await;
    let client = world.client();
    for queues in [-4, i32::MIN] {
        let made = create(&client, TOPIC, queues).await;
        assert_eq!(made.response_code(), ResponseCode::SUCCESS);
        let header = GetTopicConfigRequestHeader { topic: TOPIC.into(), ..Default::default() };
        let answer = client.call(RequestCode::GET_TOPIC_CONFIG, &header).await;
        let config: TopicConfig = from_body(&answer.body).unwrap();
        assert_eq!((config.read_queue_nums, config.write_queue_nums), (queues, queues));
        for queue_id in [0, -1, -5] {
            let code = match queue_id < queues {
                true => ResponseCode::SUCCESS,
                false => ResponseCode::INVALID_PARAMETER,
            };
            let header = SendMessageRequestHeader {
                producer_group: "p",
                topic: TOPIC,
                queue_id,
                properties: Some("_SYS_MSG_PRIORITY_\u{1}3\u{2}"),
                ..SendMessageRequestHeader::default()
            };
            let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
            let answer = client.ask(command.with_body("hello")).await;
            assert_eq!(answer.response_code(), code, "{queues} {queue_id}");
        }
    }
}

#[tokio::test]
async fn a_deleted_group_forgets_its_offsets_in_the_words_of_old_and_new_tools() {
    let world = World::start().await;
    let client = world.client();
    create(&client, TOPIC, 1).await;
    for word in ["removeOffset", "cleanOffset"] {
        let body = SubscriptionGroupConfigOf::new(GROUP);
        let answer = client.post(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &body).await;
        assert_eq!(said(&answer), SUCCESS);
        commit(&client, 0).await;
        let header =
            DeleteSubscriptionGroupRequestHeader { group_name: GROUP.into(), ..Default::default() };
        let mut command =
            Command::request(RequestCode::DELETE_SUBSCRIPTIONGROUP).with_header(&header);
        command.fields.push(word, "true");
        assert_eq!(said(&client.ask(command).await), SUCCESS);
        assert_eq!(committed(&client).await, None, "{word}");
    }
    let answer = get(&client, RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
    let groups: SubscriptionGroupWrapper = from_body(&answer.body).unwrap();
    assert!(!groups.subscription_group_table.contains_key(GROUP));
}

#[tokio::test]
async fn a_retry_topic_goes_with_its_group_unless_it_holds_something() {
    let world = World::start().await;
    let (client, member) = (world.client(), world.client());
    let retry = format!("%RETRY%{GROUP}");
    let delete = async || {
        let header =
            DeleteSubscriptionGroupRequestHeader { group_name: GROUP.into(), ..Default::default() };
        let answer = client.call(RequestCode::DELETE_SUBSCRIPTIONGROUP, &header).await;
        assert_eq!(said(&answer), SUCCESS);
        let header =
            GetTopicConfigRequestHeader { topic: retry.as_str().into(), ..Default::default() };
        client.call(RequestCode::GET_TOPIC_CONFIG, &header).await.response_code()
    };
    join(&member).await;
    // Its member would miss it.
    assert_eq!(delete().await, ResponseCode::SUCCESS);
    let leave =
        UnregisterClientRequestHeader { consumer_group: Some(GROUP.into()), ..Default::default() };
    member.call(RequestCode::UNREGISTER_CLIENT, &leave).await;
    assert_eq!(delete().await, ResponseCode::TOPIC_NOT_EXIST);

    join(&member).await;
    member.call(RequestCode::UNREGISTER_CLIENT, &leave).await;
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: &retry,
        default_topic: "TBW102",
        ..Default::default()
    };
    let message = Command::request(RequestCode::SEND_MESSAGE).with_header(&header).with_body("x");
    assert_eq!(said(&client.ask(message).await), SUCCESS);
    assert_eq!(delete().await, ResponseCode::SUCCESS);
}

/// The least that a tool may send of a group.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionGroupConfigOf {
    group_name: &'static str,
}

impl SubscriptionGroupConfigOf {
    fn new(group_name: &'static str) -> Self {
        Self { group_name }
    }
}

#[tokio::test]
async fn limits_of_old_reads_are_kept_and_told() {
    let world = World::start().await;
    let client = world.client();
    let limits = async || {
        let answer = get(&client, RequestCode::GET_COLD_DATA_FLOW_CTR_INFO).await;
        String::from_utf8_lossy(&answer.body).into_owned()
    };
    let of_groups = |groups: &str| {
        format!(
            "{{\"runtimeTable\":{{}},\"configTable\":{{{groups}}},\
             \"cgColdReadThreshold\":3145728,\"globalColdReadThreshold\":104857600,\
             \"globalAcc\":0}}"
        )
    };
    let send = async |code, body: &'static str| {
        let answer = client.ask(Command::request(code).with_body(body)).await;
        assert_eq!(said(&answer), SUCCESS);
    };
    assert_eq!(limits().await, of_groups(""));
    let limit = RequestCode::UPDATE_COLD_DATA_FLOW_CTR_CONFIG;
    send(limit, "b=7\na=5\nc=much\n").await;
    assert_eq!(limits().await, of_groups("\"a\":5,\"b\":7"));
    send(RequestCode::REMOVE_COLD_DATA_FLOW_CTR_CONFIG, "a").await;
    assert_eq!(limits().await, of_groups("\"b\":7"));
}

#[tokio::test]
async fn engines_that_are_not_there_are_asked_for_as_in_java() {
    let world = World::start().await;
    let client = world.client();
    let send = async |code, key: &str, value: &str| {
        let mut command = Command::request(code);
        command.fields.push(key, value);
        client.ask(command).await
    };
    let (ahead, timer) = (RequestCode::SET_COMMITLOG_READ_MODE, RequestCode::SWITCH_TIMER_ENGINE);
    let export = RequestCode::EXPORT_ROCKSDB_CONFIG_TO_JSON;
    let (none, bad) = (ResponseCode::SYSTEM_ERROR, ResponseCode::INVALID_PARAMETER);
    for (code, key, value, expected) in [
        (ahead, "READ_AHEAD_MODE", "1", ResponseCode::SUCCESS),
        (ahead, "READ_AHEAD_MODE", "2", bad),
        (ahead, "MODE", "1", none),
        (timer, "E_T", "R", bad),
        (timer, "E_T", "F", ResponseCode::SUCCESS),
        (timer, "E_T", "", bad),
        (export, "configType", "topics;CONSUMEROFFSETS", ResponseCode::SUCCESS),
        (export, "configType", "topics;users", none),
        (RequestCode::POP_ROLLBACK, "x", "y", ResponseCode::SUCCESS),
        (RequestCode::RESET_MASTER_FLUSH_OFFSET, "x", "y", ResponseCode::SUCCESS),
    ] {
        let answer = send(code, key, value).await;
        assert_eq!(answer.response_code(), expected, "{code:?} {key}={value}: {answer:?}");
    }
    let settings = get(&client, RequestCode::GET_BROKER_CONFIG).await;
    let settings = String::from_utf8_lossy(&settings.body).into_owned();
    for line in ["dataReadAheadEnable=false", "timerRocksDBStopScan=true"] {
        assert!(settings.lines().any(|found| found == line), "{line} in\n{settings}");
    }
    let answer = send(RequestCode::CHECK_ROCKSDB_CQ_WRITE_PROGRESS, "topic", "T").await;
    assert_eq!(answer.body, "{\"checkStatus\":2}");
}

/// What the stock 5.5.0 broker shows with code 28 while no message is delayed, one key of 4.x, and
/// ours: `readiness`, and what is known of damage.
const RUNTIME_KEYS: &str = "EndTransactionQueueSize EndTransactionThreadPoolQueueCapacity \
    ackThreadPoolQueueCapacity ackThreadPoolQueueHeadWaitTimeMills ackThreadPoolQueueSize \
    bootTimestamp brokerActive brokerVersionDesc commitLogDirCapacity commitLogDiskRatio \
    commitLogMaxOffset commitLogMinOffset compactedLostBytes compactedPassedOver \
    consumeQueueDiskRatio dispatchBehindBytes dispatchMaxBuffer \
    earliestMessageTimeStamp getFoundTps \
    getMessageEntireTimeMax getMissTps \
    getTotalTps getTransferedTps getTransferredTps halfMessageChecksSent halfMessagesDiscarded \
    halfMessagesNotPassed indexEntriesMended litePullThreadPoolQueueCapacity \
    litePullThreadPoolQueueHeadWaitTimeMills litePullThreadPoolQueueSize \
    msgGetTotalTodayMorning msgGetTotalTodayNow msgGetTotalYesterdayMorning \
    msgPutTotalTodayMorning msgPutTotalTodayNow msgPutTotalYesterdayMorning \
    pageCacheLockTimeMills pullThreadPoolQueueCapacity pullThreadPoolQueueHeadWaitTimeMills \
    pullThreadPoolQueueSize putLatency99 putLatency999 putMessageAverageSize \
    putMessageDistributeTime putMessageEntireTimeMax putMessageFailedTimes putMessageSizeTotal \
    putMessageTimesTotal putTps queryThreadPoolQueueCapacity queryThreadPoolQueueHeadWaitTimeMills \
    queryThreadPoolQueueSize queueUnitsMended readiness remainHowManyDataToFlush \
    remainTransientStoreBufferNumbs runtime \
    scrubDamagedRanges scrubLastPassTimestamp scrubPasses scrubbedBytes scrubbedRecords \
    sendThreadPoolQueueCapacity sendThreadPoolQueueHeadWaitTimeMills sendThreadPoolQueueSize \
    setAsideBytes setAsideRanges \
    startAcceptSendRequestTimeStamp timerCongestNum timerDelivered timerDequeueTps \
    timerEnqueueTps timerLatestMs timerOffsetBehind timerPassedOver timerReadBehind";

#[tokio::test]
async fn the_runtime_table_has_javas_keys_and_what_parses() {
    let world = World::start().await;
    let client = world.client();
    create(&client, TOPIC, 1).await;
    send(&client, "k").await;
    let answer = get(&client, RequestCode::GET_BROKER_RUNTIME_INFO).await;
    let table = from_body::<KVTable>(&answer.body).unwrap().table;
    let keys = table.keys().filter(|key| !key.starts_with("commitLogDiskRatio_"));
    let keys: Vec<&str> = keys.map(|key| &**key).collect();
    assert_eq!(keys, RUNTIME_KEYS.split_ascii_whitespace().collect::<Vec<_>>());
    // No span of them has passed; Java sums up the total's nonetheless.
    for key in ["putTps", "getFoundTps", "getMissTps", "getTransferredTps", "getTransferedTps"] {
        assert_eq!(table[key], "  ", "{key}");
    }
    assert_eq!(table["getTotalTps"], "0.0 0.0 0.0");
    // As the exporter takes it apart.
    let capacity: Vec<&str> = table["commitLogDirCapacity"].split(' ').collect();
    assert!(capacity[2].parse::<f64>().is_ok() && capacity[6].parse::<f64>().is_ok());
    assert_eq!(table["putMessageDistributeTime"].split_ascii_whitespace().count(), 13);
    assert_eq!((&*table["msgPutTotalTodayNow"], &*table["brokerActive"]), ("1", "true"));
}

#[tokio::test]
async fn messages_are_found_by_key_by_unique_id_and_by_place() {
    let world = World::start().await;
    let client = world.client();
    create(&client, TOPIC, 1).await;
    send(&client, "first").await;
    let id = send(&client, "second").await;
    let query = |key: &str| QueryMessageRequestHeader {
        topic: TOPIC.into(),
        key: key.into(),
        max_num: 10,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
        ..Default::default()
    };
    let by_key = client.call(RequestCode::QUERY_MESSAGE, &query("second")).await;
    assert_eq!(said(&by_key), SUCCESS);
    let mut unique = Command::request(RequestCode::QUERY_MESSAGE).with_header(&query("U-second"));
    unique.fields.push("_UNIQUE_KEY_QUERY", "true");
    assert_eq!(client.ask(unique).await.body, by_key.body);
    let by_tag = QueryMessageRequestHeader { index_type: Some("T".into()), ..query("T-second") };
    let by_tag = client.call(RequestCode::QUERY_MESSAGE, &by_tag).await;
    assert_eq!(by_tag.body, by_key.body);
    let place = message::ids::MessageId::decode(&id).unwrap();
    let header = ViewMessageRequestHeader { topic: None, offset: place.log_offset };
    assert_eq!(client.call(RequestCode::VIEW_MESSAGE_BY_ID, &header).await.body, by_key.body);

    let none = client.call(RequestCode::QUERY_MESSAGE, &query("third")).await;
    assert_eq!(none.response_code(), ResponseCode::QUERY_NOT_FOUND);
    let header = ViewMessageRequestHeader { topic: None, offset: place.log_offset + 1 };
    let none = client.call(RequestCode::VIEW_MESSAGE_BY_ID, &header).await;
    assert_eq!(none.response_code(), ResponseCode::SYSTEM_ERROR);
}

#[tokio::test]
async fn a_reset_reaches_the_consumer_that_waits() {
    let world = World::start().await;
    let (client, consumer) = (world.client(), world.client());
    create(&client, TOPIC, 1).await;
    send(&client, "k").await;
    join(&consumer).await;
    commit(&client, 1).await;
    let pull = PullMessageRequestHeader {
        consumer_group: GROUP.into(),
        topic: TOPIC.into(),
        queue_offset: 1,
        max_msg_nums: 1,
        sys_flag: 2,
        suspend_timeout_millis: 60_000,
        ..Default::default()
    };
    let reset = ResetOffsetRequestHeader {
        group: GROUP.into(),
        topic: TOPIC.into(),
        timestamp: 0,
        is_force: true,
        ..Default::default()
    };
    let waiting = consumer.call(RequestCode::PULL_MESSAGE, &pull);
    let moving = async {
        // The pull may come before or after; it must learn of the reset in both cases.
        client.call(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &reset).await
    };
    let (pulled, moved) = tokio::join!(waiting, moving);
    let moved: ResetOffsetBody = from_body(&moved.body).unwrap();
    assert_eq!(moved.offset_table.into_values().collect::<Vec<_>>(), [0]);
    assert_eq!(said(&pulled), (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_RESET"));
    assert_eq!(pulled.fields.get("nextBeginOffset").unwrap(), "0");
    assert_eq!(committed(&client).await, Some(0));
}

#[tokio::test]
async fn questions_to_a_consumer_are_carried_there_and_back() {
    let world = World::start().await;
    let client = world.client();
    let consumer = world.client_that(|asked| {
        let told = asked.fields.get("brokerName").unwrap_or_default().to_owned();
        let answer = Answer::body(asked.body.clone()).with_field("told", told);
        (!asked.is_oneway()).then_some(answer)
    });
    create(&client, TOPIC, 1).await;
    let id = send(&client, "k").await;
    let ask = GetConsumerRunningInfoRequestHeader {
        consumer_group: GROUP.into(),
        client_id: "c1".into(),
        ..Default::default()
    };
    let offline = client.call(RequestCode::GET_CONSUMER_RUNNING_INFO, &ask).await;
    let expected = "The Consumer <Billing> <c1> not online";
    assert_eq!(said(&offline), (ResponseCode::SYSTEM_ERROR, expected));

    join(&consumer).await;
    let info = client.call(RequestCode::GET_CONSUMER_RUNNING_INFO, &ask).await;
    assert_eq!(said(&info), SUCCESS);
    let ask = ConsumeMessageDirectlyResultRequestHeader {
        consumer_group: GROUP.into(),
        client_id: Some("c1".into()),
        msg_id: Some(id.into()),
        ..Default::default()
    };
    let consumed = client.call(RequestCode::CONSUME_MESSAGE_DIRECTLY, &ask).await;
    assert_eq!(said(&consumed), SUCCESS);
    assert_eq!(consumed.fields.get("told").unwrap(), "b");
    let record = message::record::decode(&consumed.body, true);
    assert!(matches!(record, Ok(message::Entry::Message(record)) if record.body == b"x"));
}

#[tokio::test]
async fn progress_is_shown_and_a_question_deletes_nothing() {
    let world = World::start().await;
    let client = world.client();
    create(&client, TOPIC, 1).await;
    send(&client, "a").await;
    send(&client, "b").await;
    join(&client).await;
    commit(&client, 1).await;
    let header =
        GetConsumeStatsRequestHeader { consumer_group: GROUP.into(), ..Default::default() };
    let answer = client.call(RequestCode::GET_CONSUME_STATS, &header).await;
    let stats: ConsumeStats = from_body(&answer.body).unwrap();
    let [offset] = &stats.offset_table.values().collect::<Vec<_>>()[..] else {
        panic!("{stats:?}")
    };
    assert_eq!((offset.broker_offset, offset.consumer_offset, offset.pull_offset), (2, 1, 1));
    assert!(offset.last_timestamp > 0);

    let header = QueryCorrectionOffsetHeader {
        filter_groups: Some(GROUP.into()),
        compare_group: GROUP.into(),
        topic: TOPIC.into(),
        ..Default::default()
    };
    let answer = client.call(RequestCode::QUERY_CORRECTION_OFFSET, &header).await;
    assert_eq!(answer.body, to_body(&serde_json::json!({ "correctionOffsets": {} })));
    assert_eq!(committed(&client).await, Some(1));
}

#[tokio::test]
async fn a_silent_name_server_holds_up_nothing_but_what_it_must_know() {
    // It takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let world = World::start_with(|settings| settings.broker.namesrv_addr = Some(address)).await;
    let client = world.client();
    let consumer = world.client_that(|asked| (!asked.is_oneway()).then(Answer::success));
    let ask = GetConsumerRunningInfoRequestHeader {
        consumer_group: GROUP.into(),
        client_id: "c1".into(),
        ..Default::default()
    };
    let asking = async {
        loop {
            let answer = client.call(RequestCode::GET_CONSUMER_RUNNING_INFO, &ask).await;
            if !said(&answer).1.contains("not online") {
                return answer;
            }
        }
    };
    let first = async || {
        let header = SendMessageRequestHeader {
            producer_group: "g",
            topic: "New",
            default_topic: "TBW102",
            default_topic_queue_nums: 4,
            ..SendMessageRequestHeader::default()
        };
        let request = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
        client.ask(request.with_body("b")).await
    };
    let others = async {
        let header = GetTopicConfigRequestHeader { topic: "New".into(), ..Default::default() };
        while said(&client.call(RequestCode::GET_TOPIC_CONFIG, &header).await) != SUCCESS {}
        assert_eq!(said(&first().await), SUCCESS, "the topic was there");
        asking.await
    };
    tokio::select! {
        answer = first() => panic!("nobody knows of the topic that it made: {answer:?}"),
        answer = create(&client, TOPIC, 1) => panic!("nobody knows of the topic: {answer:?}"),
        () = join(&consumer) => panic!("nobody knows of the group's retry topic"),
        answer = others => assert_eq!(said(&answer), SUCCESS),
    }
}

#[tokio::test]
async fn what_java_refuses_by_default_is_refused_in_its_words() {
    let world = World::start().await;
    let client = world.client();
    let recall = RecallMessageRequestHeader {
        topic: TOPIC.into(),
        recall_handle: "djE".into(),
        ..RecallMessageRequestHeader::default()
    };
    let answer = client.call(RequestCode::RECALL_MESSAGE, &recall).await;
    let words = "recall failed, operation is forbidden";
    assert_eq!(said(&answer), (ResponseCode::NO_PERMISSION, words));
    let answer = get(&client, RequestCode::GET_BROKER_EPOCH_CACHE).await;
    let words = "this request only for controllerMode ";
    assert_eq!(said(&answer), (ResponseCode::SYSTEM_ERROR, words));
}

#[tokio::test]
async fn a_subscription_that_came_with_a_pull_is_shown() {
    let world = World::start().await;
    let client = world.client();
    create(&client, TOPIC, 1).await;
    send(&client, "k").await;
    let shown = async || {
        let ask = QuerySubscriptionByConsumerRequestHeader {
            group: GROUP.into(),
            topic: Some(TOPIC.into()),
            ..Default::default()
        };
        let answer = client.call(RequestCode::QUERY_SUBSCRIPTION_BY_CONSUMER, &ask).await;
        let body: QuerySubscriptionResponseBody = from_body(&answer.body).unwrap();
        let ask = QueryConsumeQueueRequestHeader {
            topic: Some(TOPIC.into()),
            consumer_group: Some(GROUP.into()),
            count: 1,
            ..Default::default()
        };
        let answer = client.call(RequestCode::QUERY_CONSUME_QUEUE, &ask).await;
        let queue = String::from_utf8(answer.body.to_vec()).unwrap();
        (body.subscription_data, queue)
    };
    let (none, queue) = shown().await;
    assert_eq!(none, None);
    assert!(queue.contains("Billing@Orders is not online!"), "{queue}");
    let pull = PullMessageRequestHeader {
        consumer_group: GROUP.into(),
        topic: TOPIC.into(),
        max_msg_nums: 1,
        sys_flag: 4,
        subscription: Some("A || B".into()),
        ..Default::default()
    };
    client.call(RequestCode::PULL_MESSAGE, &pull).await;
    let (shown, queue) = shown().await;
    assert_eq!(shown.unwrap().tags_set, ["A".into(), "B".into()].into());
    assert!(queue.contains(r#""subString":"A || B""#), "{queue}");
}

#[tokio::test]
async fn a_page_without_room_is_refused_where_there_is_an_entry_for_it() {
    let world = World::start().await;
    let client = world.client();
    let topics = async |from, data_version, max| {
        let header = GetAllTopicConfigRequestHeader {
            topic_seq: Some(from),
            data_version,
            max_topic_num: Some(max),
        };
        client.call(RequestCode::GET_ALL_TOPIC_CONFIG, &header).await
    };
    let groups = async |from, data_version, max| {
        let header = GetAllSubscriptionGroupRequestHeader {
            group_seq: Some(from),
            data_version,
            max_group_num: Some(max),
        };
        client.call(RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &header).await
    };
    let version = |body: &[u8]| {
        let page: TopicConfigSerializeWrapper = from_body(body).unwrap();
        Some(String::from_utf8(to_body(&page.data_version).to_vec()).unwrap().into())
    };
    let page = topics(0, None, 1).await;
    assert_eq!(page.response_code(), ResponseCode::SUCCESS);
    let of_topics = version(&page.body);
    let of_groups = version(&groups(0, None, 1).await.body);
    for max in [0, -1] {
        // What is asked for with no version, or an old one, is the first page.
        for (from, version) in [(0, None), (1, of_topics.clone()), (99_999, None)] {
            let code = topics(from, version, max).await.response_code();
            assert_eq!(code, ResponseCode::SYSTEM_ERROR, "{from}");
        }
        let behind = topics(99_999, of_topics.clone(), max).await;
        assert_eq!(behind.response_code(), ResponseCode::SUCCESS);
        let behind: TopicConfigSerializeWrapper = from_body(&behind.body).unwrap();
        assert!(behind.topic_config_table.is_empty());
        let code = groups(0, of_groups.clone(), max).await.response_code();
        assert_eq!(code, ResponseCode::SYSTEM_ERROR);
        let behind = groups(99_999, of_groups.clone(), max).await;
        assert_eq!(behind.response_code(), ResponseCode::SUCCESS);
        let behind: SubscriptionGroupWrapper = from_body(&behind.body).unwrap();
        assert!(behind.subscription_group_table.is_empty());
    }
}

#[tokio::test]
async fn a_page_begins_where_it_is_told_and_not_before_the_first_entry() {
    let world = World::start().await;
    let client = world.client();
    let pages = async |seq: Option<i32>, version: [Option<Str>; 2]| {
        let [of_topics, of_groups] = version;
        let topics = GetAllTopicConfigRequestHeader {
            topic_seq: seq,
            data_version: of_topics,
            max_topic_num: Some(1),
        };
        let groups = GetAllSubscriptionGroupRequestHeader {
            group_seq: seq,
            data_version: of_groups,
            max_group_num: Some(1),
        };
        [
            client.call(RequestCode::GET_ALL_TOPIC_CONFIG, &topics).await,
            client.call(RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &groups).await,
        ]
    };
    let first = pages(Some(0), [None, None]).await;
    let version = first.each_ref().map(|page| {
        let page: TopicConfigSerializeWrapper = from_body(&page.body).unwrap();
        Some(String::from_utf8(to_body(&page.data_version).to_vec()).unwrap().into())
    });
    // Of no version, or an old one, the first page begins at the first entry.
    assert_eq!(pages(Some(-1), [None, None]).await.map(|page| page.body), first.map(|p| p.body));
    let codes = |pages: [Command; 2]| pages.map(|page| page.response_code());
    let refused = [ResponseCode::SYSTEM_ERROR; 2];
    assert_eq!(codes(pages(Some(-1), version.clone()).await), refused);
    assert_eq!(codes(pages(None, version).await), refused);
    let nowhere = pages(None, [None, None]).await;
    let missing = "GetAllTopicConfigRequestHeader: the required field topicSeq is missing";
    assert_eq!(said(&nowhere[0]), (ResponseCode::SYSTEM_ERROR, missing));
}
