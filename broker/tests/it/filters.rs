//! Filters in SQL92: which are taken, and what a pull is told without one that can be used.

use crate::support::{Caller, World, said};
use remoting::body::heartbeat::{CheckClientRequestBody, SQL92, SubscriptionData};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::headers::pull::PullMessageRequestHeader;

const TOPIC: &str = "BenchmarkTest";

fn sql(source: &'static str, sub_version: i64) -> SubscriptionData {
    SubscriptionData {
        topic: TOPIC.into(),
        sub_string: Some(source.into()),
        expression_type: Some(SQL92.into()),
        sub_version,
        ..Default::default()
    }
}

/// The answer's code to a pull, which brings an expression or has the one of the heartbeats.
async fn pull(client: &Caller, sys_flag: i32, sub_version: i64, source: &str) -> ResponseCode {
    let header = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: TOPIC.into(),
        max_msg_nums: 1,
        sys_flag,
        subscription: Some(source.into()),
        sub_version,
        expression_type: Some(SQL92.into()),
        ..Default::default()
    };
    client.call(RequestCode::PULL_MESSAGE, &header).await.response_code()
}

#[tokio::test]
async fn a_pull_needs_a_filter_that_can_be_used() {
    let world = World::start_with(|settings| settings.broker.enable_property_filter = true).await;
    let client = world.client();
    client.consume("g", sql("a >", 1)).await;
    assert_eq!(pull(&client, 0, 1, "").await, ResponseCode::FILTER_DATA_NOT_EXIST);
    client.consume("g", sql("a > 1", 2)).await;
    assert_eq!(pull(&client, 0, 2, "").await, ResponseCode::PULL_NOT_FOUND);
    assert_eq!(pull(&client, 0, 3, "").await, ResponseCode::SUBSCRIPTION_NOT_LATEST);
    assert_eq!(pull(&client, 4, 0, "a > 1").await, ResponseCode::PULL_NOT_FOUND);
    assert_eq!(pull(&client, 4, 0, "a >").await, ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    assert_eq!(pull(&client, 4 | 8, 0, "a > 1").await, ResponseCode::SYSTEM_ERROR);
}

#[tokio::test]
async fn a_question_about_a_filter_is_answered_as_it_will_be_taken() {
    let world = World::start_with(|settings| settings.broker.enable_property_filter = true).await;
    let switched_off = World::start().await;
    let (client, other) = (world.client(), switched_off.client());
    let class = SubscriptionData { class_filter_mode: true, ..sql("java code", 1) };
    for (asked, client, expected) in [
        (sql("a > 1", 1), &client, ResponseCode::SUCCESS),
        (sql("a >", 1), &client, ResponseCode::SUBSCRIPTION_PARSE_FAILED),
        (class, &client, ResponseCode::SYSTEM_ERROR),
        (sql("a > 1", 1), &other, ResponseCode::SYSTEM_ERROR),
    ] {
        let body = CheckClientRequestBody { subscription_data: Some(asked), ..Default::default() };
        let answer = client.post(RequestCode::CHECK_CLIENT_CONFIG, &body).await;
        assert_eq!(said(&answer).0, expected, "{:?}", said(&answer));
    }
    let taken = pull(&other, 4, 0, "a > 1").await;
    assert_eq!(taken, ResponseCode::SYSTEM_ERROR, "filters are switched off here");
}
