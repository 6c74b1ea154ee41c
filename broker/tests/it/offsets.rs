//! Offsets of queues and of groups.

use crate::support::{Caller, World, said};
use remoting::body::heartbeat::SubscriptionData;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Boundary;
use remoting::headers::offset::{
    CloneGroupOffsetRequestHeader, GetEarliestMsgStoretimeRequestHeader, GetMaxOffsetRequestHeader,
    GetMinOffsetRequestHeader, QueryConsumerOffsetRequestHeader, SearchOffsetRequestHeader,
    UpdateConsumerOffsetRequestHeader,
};
use remoting::headers::send::SendMessageRequestHeader;

const TOPIC: &str = "BenchmarkTest";
const GROUP: &str = "TOOLS_CONSUMER";

async fn commit(client: &Caller, group: &'static str, topic: &'static str, at: i64) -> Command {
    let header = UpdateConsumerOffsetRequestHeader {
        consumer_group: group.into(),
        topic: topic.into(),
        queue_id: Some(3),
        commit_offset: Some(at),
        ..Default::default()
    };
    client.call(RequestCode::UPDATE_CONSUMER_OFFSET, &header).await
}

async fn query(client: &Caller, zero: Option<bool>) -> Command {
    let header = QueryConsumerOffsetRequestHeader {
        consumer_group: GROUP.into(),
        topic: TOPIC.into(),
        queue_id: 3,
        set_zero_if_not_found: zero,
        ..Default::default()
    };
    client.call(RequestCode::QUERY_CONSUMER_OFFSET, &header).await
}

/// One number of an answer.
fn number(answer: &Command, key: &str) -> i64 {
    assert_eq!(said(answer), (ResponseCode::SUCCESS, ""));
    answer.fields.get(key).unwrap().parse().unwrap()
}

async fn send(client: &Caller) {
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: TOPIC,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id: 3,
        ..Default::default()
    };
    let message = Command::request(RequestCode::SEND_MESSAGE).with_header(&header).with_body("x");
    let answer = client.ask(message).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{:?}", answer.head.remark);
}

#[tokio::test]
async fn a_committed_offset_outlives_the_broker() {
    let mut world = World::start().await;
    let client = world.client();
    let unknown = commit(&client, "nobody", TOPIC, 1).await;
    assert_eq!(unknown.response_code(), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
    let unknown = commit(&client, GROUP, "nothing", 1).await;
    assert_eq!(said(&unknown), (ResponseCode::TOPIC_NOT_EXIST, "Topic nothing not exist!"));

    assert_eq!(query(&client, None).await.response_code(), ResponseCode::QUERY_NOT_FOUND);
    assert_eq!(said(&commit(&client, GROUP, TOPIC, 42).await), (ResponseCode::SUCCESS, ""));
    assert_eq!(number(&query(&client, None).await, "offset"), 42);
    world.restart().await;
    let client = world.client();
    assert_eq!(number(&query(&client, None).await, "offset"), 42);
}

#[tokio::test]
async fn a_new_group_starts_at_the_first_message_if_that_is_at_hand() {
    let world = World::start().await;
    let client = world.client();
    send(&client).await;
    let answer = query(&client, Some(false)).await;
    assert_eq!(answer.response_code(), ResponseCode::QUERY_NOT_FOUND);
    assert_eq!(number(&query(&client, None).await, "offset"), 0);
}

#[tokio::test]
async fn a_member_that_finds_a_queue_empty_begins_at_its_start() {
    let world = World::start().await;
    let (member, stranger) = (world.client(), world.client());
    let subscription =
        SubscriptionData { topic: TOPIC.into(), sub_version: 1, ..Default::default() };
    assert_eq!(query(&member, None).await.response_code(), ResponseCode::QUERY_NOT_FOUND);
    member.consume(GROUP, subscription).await;
    assert_eq!(number(&query(&member, None).await, "offset"), 0);
    // Whoever only asks is told what Java says, as is a member that wants to know it.
    assert_eq!(query(&stranger, None).await.response_code(), ResponseCode::QUERY_NOT_FOUND);
    let exactly = query(&member, Some(false)).await;
    assert_eq!(exactly.response_code(), ResponseCode::QUERY_NOT_FOUND);
}

#[tokio::test]
async fn a_queue_says_where_it_begins_and_ends() {
    let world = World::start().await;
    let client = world.client();
    let max = GetMaxOffsetRequestHeader { topic: TOPIC.into(), queue_id: 3, ..Default::default() };
    let min = GetMinOffsetRequestHeader { topic: TOPIC.into(), queue_id: 3, ..Default::default() };
    let time = GetEarliestMsgStoretimeRequestHeader {
        topic: TOPIC.into(),
        queue_id: 3,
        ..Default::default()
    };
    let at = |timestamp, boundary| SearchOffsetRequestHeader {
        topic: TOPIC.into(),
        queue_id: 3,
        timestamp,
        boundary_type: boundary,
        ..Default::default()
    };
    let earliest = client.call(RequestCode::GET_EARLIEST_MSG_STORETIME, &time).await;
    assert_eq!(number(&earliest, "timestamp"), -1);
    let before = broker::server::now_ms();
    for _ in 0..3 {
        send(&client).await;
    }
    let after = broker::server::now_ms();
    assert_eq!(number(&client.call(RequestCode::GET_MAX_OFFSET, &max).await, "offset"), 3);
    assert_eq!(number(&client.call(RequestCode::GET_MIN_OFFSET, &min).await, "offset"), 0);
    let earliest = client.call(RequestCode::GET_EARLIEST_MSG_STORETIME, &time).await;
    assert!((before..=after).contains(&number(&earliest, "timestamp")));
    for (timestamp, boundary, expected) in [
        (before - 1, None, 0),
        (after + 1, None, 3),
        (after + 1, Some(Boundary::Upper), 2),
        (0, Some(Boundary::Lower), 0),
    ] {
        let header = at(timestamp, boundary);
        let found = client.call(RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, &header).await;
        assert_eq!(number(&found, "offset"), expected, "{timestamp} {boundary:?}");
    }
}

#[tokio::test]
async fn offsets_of_a_group_without_a_name_are_copied_where_nobody_looks_at_it() {
    let world = World::start().await;
    let client = world.client();
    for (topic, offline, refused) in [
        (None, true, false),
        (Some(TOPIC), false, true),
        (Some(TOPIC), true, false),
        (None, true, true),
    ] {
        if topic.is_none() && refused {
            // Where nothing is committed nobody is asked whose it is.
            commit(&client, GROUP, TOPIC, 1).await;
        }
        let header = CloneGroupOffsetRequestHeader {
            dest_group: "copy".into(),
            topic: topic.map(Into::into),
            offline,
            ..Default::default()
        };
        let answer = client.call(RequestCode::CLONE_GROUP_OFFSET, &header).await;
        let missing = "CloneGroupOffsetRequestHeader: the required field srcGroup is missing";
        let wanted = match refused {
            true => (ResponseCode::SYSTEM_ERROR, missing),
            false => (ResponseCode::SUCCESS, ""),
        };
        assert_eq!(said(&answer), wanted, "{topic:?} {offline}");
    }
}
