//! Topics of inner batches: what may be sent there, and one kind of queues for a topic.

use crate::pop;
use crate::support::{Caller, World};
use message::batch::{BatchMessage, encode};
use message::sys_flag;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Header;
use remoting::headers::offset::{GetMinOffsetRequestHeader, GetMinOffsetResponseHeader};
use remoting::headers::pop::PopMessageRequestHeader;
use remoting::headers::send::SendMessageRequestHeader;
use remoting::headers::topic::{CreateTopicRequestHeader, DeleteTopicRequestHeader};

async fn make(client: &Caller, topic: &str, is_batch: bool) -> ResponseCode {
    let header = CreateTopicRequestHeader {
        topic: topic.to_owned().into(),
        default_topic: "TBW102".into(),
        read_queue_nums: 1,
        write_queue_nums: 1,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".into(),
        attributes: is_batch.then(|| "+queue.type=BatchCQ".into()),
        ..Default::default()
    };
    client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &header).await.response_code()
}

/// Sends three messages as one, which says that it has `says`; 0: as a single one.
async fn send(client: &Caller, topic: &str, says: i32) -> ResponseCode {
    let mut body = Vec::new();
    for part in ["a", "b", "c"] {
        let one = BatchMessage { flag: 0, body: part.into(), properties: "A\u{1}b\u{2}".into() };
        encode(&one, &mut body);
    }
    let is_batch = says > 0;
    let flags = sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
    let count = format!("INNER_NUM\u{1}{says}\u{2}");
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic,
        default_topic: "TBW102",
        default_topic_queue_nums: 1,
        sys_flag: if is_batch { flags } else { 0 },
        properties: is_batch.then_some(&count),
        ..SendMessageRequestHeader::default()
    };
    let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
    client.ask(command.with_body(body)).await.response_code()
}

#[tokio::test]
async fn a_batch_that_says_more_than_its_body_holds_is_refused() {
    let world = World::start().await;
    let client = world.client();
    assert_eq!(make(&client, "B", true).await, ResponseCode::SUCCESS);
    assert_eq!(send(&client, "B", 3).await, ResponseCode::SUCCESS);
    for says in [4, 30_000, 40_000] {
        assert_eq!(send(&client, "B", says).await, ResponseCode::MESSAGE_ILLEGAL, "{says}");
    }
}

#[tokio::test]
async fn a_new_topic_has_one_kind_of_queues() {
    let mut world = World::start().await;
    let client = world.client();
    assert_eq!(make(&client, "B", true).await, ResponseCode::SUCCESS);
    assert_eq!(send(&client, "B", 3).await, ResponseCode::SUCCESS);
    assert_eq!(send(&client, "S", 0).await, ResponseCode::SUCCESS);
    // The table forgets both, their queues stay.
    client.close().await;
    world
        .restart_after(|dir| {
            for name in ["topics.json", "topics.json.bak"] {
                let text = std::fs::read_to_string(dir.join("config").join(name)).unwrap();
                let mut table: serde_json::Value = serde_json::from_str(&text).unwrap();
                let topics = table["topicConfigTable"].as_object_mut().unwrap();
                ["B", "S"].iter().for_each(|topic| drop(topics.remove(*topic)));
                std::fs::write(dir.join("config").join(name), table.to_string()).unwrap();
            }
        })
        .await;
    let client = world.client();
    assert_eq!(make(&client, "S", true).await, ResponseCode::INVALID_PARAMETER);
    // A message makes the topic anew, with the kind of its queues.
    assert_eq!(send(&client, "B", 0).await, ResponseCode::SUCCESS);
    assert_eq!(send(&client, "B", 3).await, ResponseCode::SUCCESS);
    let gone = DeleteTopicRequestHeader { topic: "S".into(), ..Default::default() };
    let gone = client.call(RequestCode::DELETE_TOPIC_IN_BROKER, &gone).await;
    assert_eq!(gone.response_code(), ResponseCode::SUCCESS, "{gone:?}");
    assert_eq!(make(&client, "S", true).await, ResponseCode::SUCCESS);
}

#[tokio::test]
async fn a_popped_batch_that_nobody_acknowledged_comes_back_as_it_is() {
    let world = World::start().await;
    let client = world.client();
    assert_eq!(make(&client, "B", true).await, ResponseCode::SUCCESS);
    assert_eq!(send(&client, "B", 3).await, ResponseCode::SUCCESS);
    let ask = |poll_ms: i64| {
        let ask = pop::ask(600, poll_ms);
        PopMessageRequestHeader { topic: "B".into(), ..ask }
    };
    let popped = pop::pop(&client, &ask(0)).await;
    let back = pop::pop(&client, &ask(5_000)).await;
    assert_eq!((popped.len(), back.len()), (1, 1));
    assert_eq!(back[0].body, popped[0].body);
}

#[tokio::test]
async fn a_queue_that_never_had_a_batch_begins_before_its_first_offset() {
    let world = World::start().await;
    let client = world.client();
    let first = async |topic: &'static str| {
        let header = GetMinOffsetRequestHeader { topic: topic.into(), ..Default::default() };
        let answer = client.call(RequestCode::GET_MIN_OFFSET, &header).await;
        GetMinOffsetResponseHeader::read(&answer.fields).map(|header| header.offset)
    };
    assert_eq!(make(&client, "B", true).await, ResponseCode::SUCCESS);
    assert_eq!(make(&client, "S", false).await, ResponseCode::SUCCESS);
    assert_eq!((first("B").await, first("S").await), (Ok(-1), Ok(0)));
    assert_eq!(send(&client, "B", 3).await, ResponseCode::SUCCESS);
    assert_eq!(first("B").await, Ok(0));
}
