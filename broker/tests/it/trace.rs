//! The broker's own trace, as the stock tools ask for it.

use crate::admin::SUCCESS;
use crate::pop;
use crate::support::{Caller, World, said};
use message::{Entry, names, record};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::message::QueryMessageRequestHeader;
use remoting::headers::pull::PullMessageRequestHeader;
use remoting::headers::send::SendMessageRequestHeader;

/// Sends with one key and a unique id that ends like it.
async fn send(client: &Caller, key: &str) {
    let properties = format!("KEYS\u{1}{key}\u{2}UNIQ_KEY\u{1}U-{key}\u{2}");
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: "T",
        default_topic: "TBW102",
        default_topic_queue_nums: 1,
        properties: Some(&properties),
        ..SendMessageRequestHeader::default()
    };
    let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
    let sent = client.ask(command.with_body("hello")).await;
    assert_eq!(sent.response_code(), ResponseCode::SUCCESS, "{sent:?}");
}

/// The kinds of the records in messages of traces that are found by a key.
async fn traced(client: &Caller, key: &str) -> Vec<String> {
    let query = QueryMessageRequestHeader {
        topic: names::TRACE_TOPIC.into(),
        key: key.to_owned().into(),
        max_num: 64,
        end_timestamp: i64::MAX,
        ..QueryMessageRequestHeader::default()
    };
    let found = client.call(RequestCode::QUERY_MESSAGE, &query).await;
    let (mut at, mut kinds) = (0, Vec::new());
    while at < found.body.len() {
        let Ok(Entry::Message(got)) = record::decode(&found.body[at..], true) else { panic!() };
        at += got.total_size();
        let body = std::str::from_utf8(got.body).unwrap();
        let of_it = body.split('\u{2}').filter(|record| record.contains(key));
        kinds.extend(of_it.map(|record| record.split('\u{1}').next().unwrap().to_owned()));
    }
    kinds
}

#[tokio::test]
async fn a_running_broker_is_told_to_trace_and_a_stop_writes_the_rest() {
    let mut world = World::start().await;
    let client = world.client();
    let switch = async |to: bool| {
        let text = format!("brokerTraceEnable={to}");
        let command = Command::request(RequestCode::UPDATE_BROKER_CONFIG).with_body(text);
        assert_eq!(said(&client.ask(command).await), SUCCESS);
    };
    send(&client, "before").await;
    switch(true).await;
    send(&client, "k1").await;
    assert_eq!(pop::pop(&client, &pop::ask(60_000, 0)).await.len(), 2);
    switch(false).await;
    send(&client, "after").await;
    world.restart().await;
    let client = world.client();
    for key in ["U-k1", "k1"] {
        assert_eq!(traced(&client, key).await, ["Pub", "SubBefore", "SubAfter"], "{key}");
    }
    assert_eq!(traced(&client, "before").await, ["SubBefore", "SubAfter"]);
    assert_eq!(traced(&client, "after").await, [""; 0]);
}

#[tokio::test]
async fn a_trace_comes_by_itself() {
    let world = World::start_with(|settings| {
        (settings.broker.broker_trace_enable, settings.broker.trace_topic_enable) = (true, true);
    });
    let world = world.await;
    let client = world.client();
    send(&client, "k").await;
    let waits = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: names::TRACE_TOPIC.into(),
        max_msg_nums: 32,
        // It may wait, and brings its subscription.
        sys_flag: 2 | 4,
        suspend_timeout_millis: 5_000,
        subscription: Some("*".into()),
        ..PullMessageRequestHeader::default()
    };
    let answer = client.call(RequestCode::PULL_MESSAGE, &waits).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{answer:?}");
}
