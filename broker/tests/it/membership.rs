//! Heartbeats, farewells, and what the members of a group are told; locks of queues.

use crate::support::{Caller, World, said};
use remoting::body::client::{
    GetConsumerListByGroupResponseBody, LockBatchRequestBody, LockBatchResponseBody,
    UnlockBatchRequestBody,
};
use remoting::body::group::SubscriptionGroupWrapper;
use remoting::body::heartbeat::{
    CheckClientRequestBody, ConsumeType, ConsumerData, HeartbeatData, MessageModel, ProducerData,
    SubscriptionData,
};
use remoting::body::pop::{
    QueryAssignmentRequestBody, QueryAssignmentResponseBody, SetMessageRequestModeRequestBody,
};
use remoting::body::queue::{MessageQueue, MessageRequestMode};
use remoting::body::table::KVTable;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::client::{
    GetConsumerListByGroupRequestHeader, UnregisterClientRequestHeader,
};
use remoting::headers::offset::UpdateConsumerOffsetRequestHeader;
use remoting::headers::pull::PullMessageRequestHeader;
use remoting::json::from_body;

/// A push consumer's heartbeat for group `g` and topic `BenchmarkTest`.
fn beat(id: &'static str) -> HeartbeatData {
    let subscription =
        SubscriptionData { topic: "BenchmarkTest".into(), sub_version: 1, ..Default::default() };
    let consumer = ConsumerData {
        group_name: "g".into(),
        consume_type: Some(ConsumeType::Passively),
        message_model: Some(MessageModel::Clustering),
        subscription_data_set: vec![subscription],
        ..Default::default()
    };
    HeartbeatData {
        client_id: id.into(),
        consumer_data_set: vec![consumer],
        producer_data_set: vec![ProducerData { group_name: "p".into() }],
        ..Default::default()
    }
}

/// Sends a heartbeat; whether the broker wants the subscriptions with the next one.
async fn send(client: &Caller, beat: &HeartbeatData) -> bool {
    let answer = client.post(RequestCode::HEART_BEAT, beat).await;
    assert_eq!(said(&answer), (ResponseCode::SUCCESS, ""));
    assert_eq!(answer.fields.get("IS_SUPPORT_HEART_BEAT_V2").unwrap(), "true");
    answer.fields.get("IS_SUB_CHANGE").unwrap() == "true"
}

async fn members(client: &Caller) -> Result<Vec<String>, String> {
    let header =
        GetConsumerListByGroupRequestHeader { consumer_group: "g".into(), ..Default::default() };
    let answer = client.call(RequestCode::GET_CONSUMER_LIST_BY_GROUP, &header).await;
    if answer.response_code() != ResponseCode::SUCCESS {
        assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR);
        return Err(said(&answer).1.to_owned());
    }
    let body: GetConsumerListByGroupResponseBody = from_body(&answer.body).unwrap();
    Ok(body.consumer_id_list.iter().map(ToString::to_string).collect())
}

/// The group that the broker says has changed.
async fn changed(client: &Caller) -> String {
    let told = client.told().await;
    assert_eq!(told.code(), RequestCode::NOTIFY_CONSUMER_IDS_CHANGED);
    assert!(told.is_oneway());
    told.fields.get("consumerGroup").unwrap().to_string()
}

#[tokio::test]
async fn members_of_a_group_learn_of_each_other() {
    let world = World::start().await;
    let (a, b) = (world.client(), world.client());
    assert_eq!(members(&a).await.unwrap_err(), "no consumer for this group, g");
    assert!(send(&a, &beat("a")).await);
    assert_eq!(changed(&a).await, "g");
    send(&b, &beat("b")).await;
    assert_eq!((changed(&a).await, changed(&b).await), ("g".into(), "g".into()));
    assert_eq!(members(&a).await.unwrap(), ["a", "b"]);

    let farewell = UnregisterClientRequestHeader {
        client_i_d: Some("b".into()),
        producer_group: Some("p".into()),
        consumer_group: Some("g".into()),
        ..Default::default()
    };
    let answer = b.call(RequestCode::UNREGISTER_CLIENT, &farewell).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
    assert_eq!(changed(&a).await, "g");
    assert_eq!(members(&a).await.unwrap(), ["a"]);
}

/// Each change is told the first 64 of them there and then, and the last one outside.
#[tokio::test]
async fn members_of_a_large_group_learn_of_the_last_one_too() {
    let world = World::start().await;
    let mut clients = Vec::new();
    for _ in 0..65 {
        clients.push(world.client());
        send(&clients[clients.len() - 1], &beat("a")).await;
    }
    for (before, client) in clients.iter().enumerate() {
        for _ in before..65 {
            assert_eq!(changed(client).await, "g");
        }
    }
}

#[tokio::test]
async fn a_farewell_to_producers_needs_a_name() {
    let world = World::start().await;
    let client = world.client();
    let farewell =
        UnregisterClientRequestHeader { producer_group: Some("p".into()), ..Default::default() };
    let nobody = client.call(RequestCode::UNREGISTER_CLIENT, &farewell).await;
    assert_eq!(nobody.response_code(), ResponseCode::SUCCESS);
    assert!(send(&client, &beat("a")).await);
    let refused = client.call(RequestCode::UNREGISTER_CLIENT, &farewell).await;
    let again = client.call(RequestCode::UNREGISTER_CLIENT, &farewell).await;
    assert_eq!(again.response_code(), ResponseCode::SUCCESS, "it is no member any more");
    let remark = "UnregisterClientRequestHeader: the required field clientID is missing";
    assert_eq!(said(&refused), (ResponseCode::SYSTEM_ERROR, remark));
}

/// As whoever looks a group up: it is made.
#[tokio::test]
async fn a_farewell_to_a_group_that_is_not_there_makes_it() {
    let world = World::start().await;
    let client = world.client();
    for (group, is_made) in [("left", true), ("no/good", false)] {
        let farewell = UnregisterClientRequestHeader {
            client_i_d: Some("c".into()),
            consumer_group: Some(group.into()),
            ..Default::default()
        };
        let answer = client.call(RequestCode::UNREGISTER_CLIENT, &farewell).await;
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
        let all = Command::request(RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
        let answer = client.ask(all).await;
        let all: SubscriptionGroupWrapper = from_body(&answer.body).unwrap();
        assert_eq!(all.subscription_group_table.contains_key(group), is_made, "{group}");
    }
}

#[tokio::test]
async fn a_lost_connection_is_a_farewell() {
    let world = World::start().await;
    let (a, b) = (world.client(), world.client());
    send(&a, &beat("a")).await;
    changed(&a).await;
    send(&b, &beat("b")).await;
    changed(&a).await;
    b.close().await;
    assert_eq!(changed(&a).await, "g");
    assert_eq!(members(&a).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn a_short_heartbeat_keeps_the_subscriptions() {
    let world = World::start().await;
    let client = world.client();
    let mut full = beat("a");
    full.heartbeat_fingerprint = 7;
    let mut short = full.clone();
    short.without_sub = true;
    short.consumer_data_set[0].subscription_data_set.clear();
    // After a restart the broker knows nothing: the next heartbeat must be a whole one.
    assert!(send(&client, &short).await);
    assert!(!send(&client, &full).await);
    assert!(!send(&client, &short).await);
    short.heartbeat_fingerprint = 8;
    assert!(send(&client, &short).await);
}

#[tokio::test]
async fn a_heartbeat_makes_the_retry_topic_for_good() {
    let mut world = World::start().await;
    let header = UpdateConsumerOffsetRequestHeader {
        consumer_group: "g".into(),
        topic: "%RETRY%g".into(),
        queue_id: Some(0),
        commit_offset: Some(0),
        ..Default::default()
    };
    let client = world.client();
    let commit = || client.call(RequestCode::UPDATE_CONSUMER_OFFSET, &header);
    assert_eq!(said(&commit().await).1, "Group g not exist!");
    send(&client, &beat("a")).await;
    assert_eq!(commit().await.response_code(), ResponseCode::SUCCESS);
    world.restart().await;
    let client = world.client();
    let again = client.call(RequestCode::UPDATE_CONSUMER_OFFSET, &header).await;
    assert_eq!(again.response_code(), ResponseCode::SUCCESS);
}

#[tokio::test]
async fn only_filters_by_tags_are_understood() {
    let world = World::start().await;
    let client = world.client();
    let check = async |kind: &'static str| {
        let subscription =
            SubscriptionData { expression_type: Some(kind.into()), ..Default::default() };
        let body =
            CheckClientRequestBody { subscription_data: Some(subscription), ..Default::default() };
        client.post(RequestCode::CHECK_CLIENT_CONFIG, &body).await.response_code()
    };
    assert_eq!(check("TAG").await, ResponseCode::SUCCESS);
    assert_eq!(check("SQL92").await, ResponseCode::SYSTEM_ERROR);
    let nothing = client.call(RequestCode::CHECK_CLIENT_CONFIG, &()).await;
    assert_eq!(said(&nothing), (ResponseCode::SUCCESS, ""));
}

#[tokio::test]
async fn a_queue_is_locked_by_one_client() {
    let world = World::start().await;
    let client = world.client();
    let queues = |ids: &[i32]| ids.iter().map(|id| MessageQueue::new("t", "b", *id)).collect();
    let lock = async |id: &'static str, ids: &[i32]| {
        let body = LockBatchRequestBody {
            client_id: id.into(),
            consumer_group: "g".into(),
            mq_set: queues(ids),
            ..Default::default()
        };
        let answer = client.post(RequestCode::LOCK_BATCH_MQ, &body).await;
        let body: LockBatchResponseBody = from_body(&answer.body).unwrap();
        body.lock_ok_mq_set.iter().map(|queue| queue.queue_id).collect::<Vec<_>>()
    };
    assert_eq!(lock("a", &[0, 1]).await, [0, 1]);
    assert_eq!(lock("b", &[0, 2]).await, [2]);
    let body = UnlockBatchRequestBody {
        client_id: "a".into(),
        consumer_group: "g".into(),
        mq_set: queues(&[0]),
        ..Default::default()
    };
    let answer = client.post(RequestCode::UNLOCK_BATCH_MQ, &body).await;
    assert_eq!(said(&answer), (ResponseCode::SUCCESS, ""));
    assert_eq!(lock("b", &[0, 1]).await, [0]);
    let answer = client.call(RequestCode::GET_BROKER_RUNTIME_INFO, &()).await;
    let table = from_body::<KVTable>(&answer.body).unwrap().table;
    let held: Vec<&str> = table["orderlyQueues_g"].split(", ").collect();
    let who = |text: &str| text.rsplit_once(' ').map(|(who, _)| who.to_owned()).unwrap();
    let who: Vec<String> = held.into_iter().map(who).collect();
    assert_eq!(who, ["t:0 b", "t:1 a", "t:2 b"], "and for how long");
    let empty = client.call(RequestCode::LOCK_BATCH_MQ, &()).await;
    assert_eq!(empty.response_code(), ResponseCode::SYSTEM_ERROR);
}

#[tokio::test]
async fn the_broker_shares_queues_out_among_the_members() {
    let world = World::start().await;
    let (a, b) = (world.client(), world.client());
    let ask = async |id: &'static str, model, strategy: &'static str| {
        let asked = QueryAssignmentRequestBody {
            client_id: id.into(),
            consumer_group: Some("g".into()),
            message_model: Some(model),
            strategy_name: Some(strategy.into()),
            topic: Some("BenchmarkTest".into()),
        };
        let answer = a.post(RequestCode::QUERY_ASSIGNMENT, &asked).await;
        assert_eq!(said(&answer).0, ResponseCode::SUCCESS);
        let body: QueryAssignmentResponseBody = from_body(&answer.body).unwrap();
        let queues = body.message_queue_assignments?.into_iter().map(|of| {
            assert_eq!(of.mode, Some(MessageRequestMode::Pull));
            of.message_queue.unwrap().queue_id
        });
        Some(queues.collect::<Vec<_>>())
    };
    let clustering = MessageModel::Clustering;
    assert_eq!(ask("a", clustering, "AVG").await, None);
    let all: Vec<i32> = (0..1_024).collect();
    assert_eq!(ask("a", MessageModel::Broadcasting, "AVG").await.unwrap(), all);
    send(&a, &beat("a")).await;
    assert_eq!(ask("a", clustering, "AVG").await.unwrap(), all);
    send(&b, &beat("b")).await;
    assert_eq!(ask("b", clustering, "AVG").await.unwrap(), all[512..]);
    assert_eq!(ask("a", clustering, "AVG_BY_CIRCLE").await.unwrap()[..3], [0, 2, 4]);
    assert!(ask("c", clustering, "AVG").await.unwrap().is_empty());
    assert_eq!(ask("a", clustering, "CONFIG").await, None);
}

#[tokio::test]
async fn groups_are_told_how_to_fetch() {
    let mut world = World::start().await;
    let set = async |world: &World, topic: &'static str, mode| {
        let wanted = SetMessageRequestModeRequestBody {
            consumer_group: Some("g".into()),
            mode: Some(mode),
            pop_share_queue_num: 0,
            topic: Some(topic.into()),
        };
        let answer = world.client().post(RequestCode::SET_MESSAGE_REQUEST_MODE, &wanted).await;
        (answer.response_code(), said(&answer).1.to_owned())
    };
    let refused = set(&world, "%RETRY%g", MessageRequestMode::Pull).await;
    let remark = "retry topic is not allowed to set mode";
    assert_eq!(refused, (ResponseCode::NO_PERMISSION, remark.into()));
    let refused = set(&world, "none", MessageRequestMode::Pull).await;
    assert_eq!(refused, (ResponseCode::TOPIC_NOT_EXIST, "topic[none] not exist".into()));
    let taken = set(&world, "BenchmarkTest", MessageRequestMode::Pull).await;
    assert_eq!(taken, (ResponseCode::SUCCESS, String::new()));
    world.restart().await;
    let all = Command::request(RequestCode::GET_ALL_MESSAGE_REQUEST_MODE);
    let answer = world.client().ask(all).await;
    let expected = concat!(
        r#"{"messageRequestModeMap":{"BenchmarkTest":{"g":{"consumerGroup":"g","#,
        r#""mode":"PULL","popShareQueueNum":0,"topic":"BenchmarkTest"}}}}"#
    );
    assert_eq!(answer.body, expected.as_bytes());
}

#[tokio::test]
async fn consumers_that_pull_themselves_are_kept_out_where_that_is_set() {
    let world = World::start_with(|settings| {
        settings.broker.reject_pull_consumer_enable = true;
    })
    .await;
    let client = world.client();
    let pull = async |group: &'static str| {
        let header = PullMessageRequestHeader {
            consumer_group: group.into(),
            topic: "BenchmarkTest".into(),
            max_msg_nums: 1,
            sys_flag: 4,
            subscription: Some("*".into()),
            ..Default::default()
        };
        let answer = client.call(RequestCode::PULL_MESSAGE, &header).await;
        (answer.response_code(), said(&answer).1.to_owned())
    };
    let refused =
        "the consumer's group info not exist, or the pull consumer is rejected by server.";
    assert_eq!(pull("g").await, (ResponseCode::SUBSCRIPTION_NOT_EXIST, refused.into()));
    let mut actively = beat("a");
    actively.consumer_data_set[0].consume_type = Some(ConsumeType::Actively);
    send(&client, &actively).await;
    assert_eq!(pull("g").await.0, ResponseCode::SUBSCRIPTION_NOT_EXIST);
    assert_eq!(pull("TOOLS_CONSUMER").await.0, ResponseCode::PULL_NOT_FOUND);
    assert_eq!(pull("SELF_TEST_P_GROUP").await.0, ResponseCode::SUBSCRIPTION_NOT_EXIST);
    send(&client, &beat("a")).await;
    assert_eq!(pull("g").await.0, ResponseCode::PULL_NOT_FOUND);
}
