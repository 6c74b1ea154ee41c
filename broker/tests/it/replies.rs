//! Replies to request messages, from the one that replies to the one that asked.

use crate::support::{Caller, World, said};
use remoting::body::heartbeat::{HeartbeatData, ProducerData};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Header;
use remoting::headers::send::{SendMessageRequestHeader, SendMessageResponseHeader};
use remoting::reply::{Answer, Refusal};

async fn reply(replier: &Caller, to: &str) -> Command {
    let properties = format!("REPLY_TO_CLIENT\u{1}{to}\u{2}");
    let header = SendMessageRequestHeader {
        producer_group: "replies",
        topic: "DefaultCluster_REPLY_TOPIC",
        default_topic: "TBW102",
        properties: Some(&properties),
        ..SendMessageRequestHeader::default()
    };
    let command = Command::request(RequestCode::SEND_REPLY_MESSAGE).with_header(&header);
    replier.ask(command.with_body("reply")).await
}

async fn producer(
    world: &World,
    id: &'static str,
    answers: fn(&Command) -> Option<Answer>,
) -> Caller {
    let producer = world.client_that(answers);
    let beat = HeartbeatData {
        client_id: id.into(),
        producer_data_set: vec![ProducerData { group_name: "p".into() }],
        ..Default::default()
    };
    producer.post(RequestCode::HEART_BEAT, &beat).await;
    producer
}

#[tokio::test]
async fn a_reply_goes_to_the_one_that_asked_and_the_replier_is_told() {
    let world = World::start().await;
    let replier = world.client();
    let asker = producer(&world, "asks", |_| Some(Answer::success())).await;
    let refuses =
        |_: &Command| Some(Refusal::new(ResponseCode::SYSTEM_ERROR, "nobody waits for it").into());
    let _refuser = producer(&world, "refuses", refuses).await;

    let answer = reply(&replier, "asks").await;
    assert_eq!(said(&answer), (ResponseCode::SUCCESS, ""));
    let stored = SendMessageResponseHeader::read(&answer.fields).unwrap();
    assert_eq!((stored.queue_id, stored.queue_offset), (0, 0));
    let pushed = asker.told().await;
    assert_eq!(pushed.code(), RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT);
    assert_eq!(pushed.body, "reply");
    assert!(pushed.fields.get("properties").unwrap().contains("PUSH_REPLY_TIME"));

    let refused = reply(&replier, "refuses").await;
    let words = "push reply message to refusesfail.";
    assert_eq!(said(&refused), (ResponseCode::SYSTEM_ERROR, words));
    asker.close().await;
    let gone = reply(&replier, "nobody").await;
    let words = "push reply message fail, channel of <nobody> not found.";
    assert_eq!(said(&gone), (ResponseCode::SYSTEM_ERROR, words));
    // All of them are stored.
    let stored = SendMessageResponseHeader::read(&gone.fields).unwrap();
    assert_eq!(stored.queue_offset, 2);
}

/// As one to a topic whose name is empty; a message without a topic is refused otherwise.
#[tokio::test]
async fn a_reply_without_a_topic_is_no_parameter_and_a_message_without_one_an_error() {
    let world = World::start().await;
    let client = world.client();
    let number = ["e", "f", "g", "h", "queueId", "sysFlag", "bornTimestamp", "flag"];
    let blank = (ResponseCode::INVALID_PARAMETER, "The specified topic is blank.");
    let of = |header, key| format!("{header}: the required field {key} is missing");
    for (code, lacks) in [
        (RequestCode::SEND_REPLY_MESSAGE, None),
        (RequestCode::SEND_REPLY_MESSAGE_V2, None),
        (RequestCode::SEND_MESSAGE, Some(of("SendMessageRequestHeader", "topic"))),
        (RequestCode::SEND_MESSAGE_V2, Some(of("SendMessageRequestHeaderV2", "b"))),
    ] {
        let mut request = Command::request(code).with_body("hello");
        number.into_iter().for_each(|key| request.fields.push(key, "0"));
        let wanted = lacks.as_deref().map_or(blank, |lacks| (ResponseCode::SYSTEM_ERROR, lacks));
        assert_eq!(said(&client.ask(request).await), wanted, "{code:?}");
    }
    let mut request = Command::request(RequestCode::SEND_MESSAGE).with_body("hello");
    number.into_iter().for_each(|key| request.fields.push(key, "0"));
    request.fields.push("topic", "");
    assert_eq!(said(&client.ask(request).await), blank);
}
