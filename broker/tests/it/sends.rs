//! Sends: what is refused, where messages go, and what the answer says.

use crate::support::{Caller, World, said};
use message::batch::{BatchMessage, encode};
use message::ids::MessageId;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Header;
use remoting::headers::message::ConsumerSendMsgBackRequestHeader;
use remoting::headers::send::{SendMessageRequestHeader, SendMessageResponseHeader};
use remoting::headers::topic::CreateTopicRequestHeader;
use remoting::headers::transaction::EndTransactionRequestHeader;
use std::collections::BTreeSet;

fn header(properties: &str) -> SendMessageRequestHeader<'_> {
    SendMessageRequestHeader {
        producer_group: "p",
        topic: "T",
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id: -1,
        properties: Some(properties),
        ..SendMessageRequestHeader::default()
    }
}

async fn send(client: &Caller, properties: &str) -> Command {
    let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header(properties));
    client.ask(command.with_body("body")).await
}

fn stored(answer: &Command) -> SendMessageResponseHeader<'_> {
    assert_eq!(said(answer), (ResponseCode::SUCCESS, ""));
    SendMessageResponseHeader::read(&answer.fields).unwrap()
}

#[tokio::test]
async fn a_half_message_whose_time_cannot_be_had_is_refused() {
    let world = World::start().await;
    let client = world.client();
    for (time, code) in [
        ("TIMER_DELAY_SEC\u{1}9999999", ResponseCode::MESSAGE_ILLEGAL),
        ("TIMER_DELAY_MS\u{1}soon", ResponseCode::MESSAGE_ILLEGAL),
        ("TIMER_DELAY_SEC\u{1}9", ResponseCode::SUCCESS),
    ] {
        let half = format!("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p\u{2}{time}\u{2}");
        assert_eq!(send(&client, &half).await.response_code(), code, "{time}");
    }
}

#[tokio::test]
async fn half_messages_that_wait_are_counted_in_javas_file() {
    let mut world = World::start().await;
    let client = world.client();
    let half = "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p\u{2}";
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(send(&client, half).await);
    }
    for (sent, how) in all.iter().map(stored).zip([8, 12]) {
        let header = EndTransactionRequestHeader {
            producer_group: "p".into(),
            tran_state_table_offset: sent.queue_offset,
            commit_log_offset: MessageId::decode(sent.msg_id).unwrap().log_offset,
            commit_or_rollback: how,
            ..EndTransactionRequestHeader::default()
        };
        // The second time counts for nothing.
        for _ in 0..2 {
            let ended = client.call(RequestCode::END_TRANSACTION, &header).await;
            assert_eq!(ended.response_code(), ResponseCode::SUCCESS);
        }
    }
    world.restart().await;
    let text = std::fs::read_to_string(world.config("transactionMetrics")).unwrap();
    let begins = "{\"dataVersion\":{\"counter\":6,\"stateVersion\":0,\"timestamp\":";
    assert!(text.starts_with(begins), "{text}");
    let count = "},\"transactionCount\":{\"T\":{\"count\":2,\"timeStamp\":";
    assert!(text.contains(count), "{text}");
    // The next broker goes on from there.
    send(&world.client(), half).await;
    world.restart().await;
    let text = std::fs::read_to_string(world.config("transactionMetrics")).unwrap();
    assert!(text.contains("\"T\":{\"count\":3,"), "{text}");
}

#[tokio::test]
async fn senders_that_leave_all_to_the_broker_reach_all_queues() {
    let world = World::start().await;
    let client = world.client();
    let mut queues = BTreeSet::new();
    for _ in 0..4 {
        // The broker makes its unique id too.
        queues.insert(stored(&send(&client, "").await).queue_id);
    }
    assert_eq!(queues, BTreeSet::from([0, 1, 2, 3]));
}

#[tokio::test]
async fn the_answer_to_a_batch_names_the_id_of_the_batch() {
    let world = World::start().await;
    let client = world.client();
    for parts in [1, 3] {
        let mut body = Vec::new();
        for part in 0..parts {
            let properties = format!("UNIQ_KEY\u{1}PART{part}\u{2}").into();
            encode(&BatchMessage { flag: 0, body: "body".into(), properties }, &mut body);
        }
        let header =
            SendMessageRequestHeader { batch: Some(true), ..header("UNIQ_KEY\u{1}WHOLE\u{2}") };
        let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
        let answer = client.ask(command.with_body(body)).await;
        let answer = stored(&answer);
        assert_eq!(answer.msg_id.split(',').count(), parts);
        assert_eq!(answer.transaction_id, Some("WHOLE"));
    }
}

#[tokio::test]
async fn a_message_is_given_up_into_a_topic_that_clients_may_not_write() {
    let world = World::start().await;
    let client = world.client();
    let sent = send(&client, "").await;
    let offset = i64::from_str_radix(&stored(&sent).msg_id[16..], 16).unwrap();
    for (topic, code) in
        [("%DLQ%g", ResponseCode::SUCCESS), ("%RETRY%g", ResponseCode::NO_PERMISSION)]
    {
        let perm = CreateTopicRequestHeader {
            topic: topic.into(),
            default_topic: "TBW102".into(),
            read_queue_nums: 1,
            write_queue_nums: 1,
            perm: 4,
            topic_filter_type: "SINGLE_TAG".into(),
            ..Default::default()
        };
        let made = client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &perm).await;
        assert_eq!(made.response_code(), ResponseCode::SUCCESS, "{made:?}");
        let header = ConsumerSendMsgBackRequestHeader {
            offset,
            group: "g".into(),
            delay_level: -1,
            ..Default::default()
        };
        let answer = client.call(RequestCode::CONSUMER_SEND_MSG_BACK, &header).await;
        assert_eq!(answer.response_code(), code, "{answer:?}");
    }
}

#[tokio::test]
async fn what_no_request_needs_may_be_left_out() {
    let world = World::start().await;
    let client = world.client();
    let make = CreateTopicRequestHeader {
        topic: "T".into(),
        default_topic: "TBW102".into(),
        read_queue_nums: 1,
        write_queue_nums: 1,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".into(),
        ..CreateTopicRequestHeader::default()
    };
    client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &make).await;
    let sent = [("b", "T"), ("e", "0"), ("f", "0"), ("g", "1"), ("h", "0")];
    let pulled = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("maxMsgNums", "1"),
        ("sysFlag", "4"),
        ("subscription", "*"),
    ];
    let codes = [RequestCode::SEND_MESSAGE_V2, RequestCode::PULL_MESSAGE];
    for (code, fields) in codes.into_iter().zip([&sent[..], &pulled]) {
        let mut command = Command::request(code).with_body("x");
        fields.iter().for_each(|(key, value)| command.fields.push(*key, *value));
        let answer = client.ask(command).await;
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{:?}", answer.head.remark);
    }
}
