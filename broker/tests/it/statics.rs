//! Static topics of one broker, whose queues were in others of its queues before. What is asked of
//! other brokers is shown by compat-tests.

use crate::admin::SUCCESS;
use crate::support::{Caller, World, said};
use message::sys_flag;
use remoting::body::mapping::{LogicQueueMappingItem, TopicQueueMappingDetail};
use remoting::body::topic::TopicConfigAndQueueMapping;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Header;
use remoting::headers::base::TopicFields;
use remoting::headers::offset::{
    GetMaxOffsetRequestHeader, GetMaxOffsetResponseHeader, QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader, UpdateConsumerOffsetRequestHeader,
};
use remoting::headers::pull::{PullMessageRequestHeader, PullMessageResponseHeader};
use remoting::headers::send::{SendMessageRequestHeader, SendMessageResponseHeader};
use remoting::headers::topic::{
    CreateTopicRequestHeader, DeleteTopicRequestHeader, GetTopicConfigRequestHeader,
};
use remoting::headers::transaction::EndTransactionRequestHeader;

fn stay(generation: i32, queue_id: i32, logic_offset: i64) -> LogicQueueMappingItem {
    let bname = Some("b".into());
    LogicQueueMappingItem { bname, generation, queue_id, logic_offset, ..Default::default() }
}

/// Queue 0 never moved, queue 1 has moved from 1 to 2, queue 2 has left.
fn mapping(epoch: i64, begins: i64) -> TopicQueueMappingDetail {
    let away = LogicQueueMappingItem { bname: Some("c".into()), ..stay(1, 0, 10_000) };
    TopicQueueMappingDetail {
        bname: Some("b".into()),
        epoch,
        hosted_queues: [
            (0, vec![stay(0, 0, 0)]),
            (1, vec![stay(0, 1, 0), stay(1, 2, begins)]),
            (2, vec![stay(0, 3, 0), away]),
        ]
        .into(),
        topic: Some("T".into()),
        total_queues: 3,
        ..TopicQueueMappingDetail::default()
    }
}

fn topic(name: &'static str, queues: i32) -> CreateTopicRequestHeader {
    CreateTopicRequestHeader {
        topic: name.into(),
        default_topic: "TBW102".into(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".into(),
        ..Default::default()
    }
}

async fn tell(client: &Caller, mapping: &TopicQueueMappingDetail) -> Command {
    let command = Command::request(RequestCode::UPDATE_AND_CREATE_STATIC_TOPIC);
    client
        .ask(command.with_header(&topic("T", 4)).with_body(remoting::json::to_body(mapping)))
        .await
}

fn physical() -> TopicFields {
    TopicFields { logical: Some(false), ..TopicFields::default() }
}

async fn send(client: &Caller, queue_id: i32, base: TopicFields) -> Result<(i32, i64), String> {
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: "T",
        default_topic: "TBW102",
        queue_id,
        base,
        ..SendMessageRequestHeader::default()
    };
    let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
    let sent = client.ask(command.with_body("x")).await;
    if sent.response_code() != ResponseCode::SUCCESS {
        return Err(format!("{:?}", said(&sent)));
    }
    let told = SendMessageResponseHeader::read(&sent.fields).unwrap();
    Ok((told.queue_id, told.queue_offset))
}

fn asked(queue_id: i32, queue_offset: i64) -> PullMessageRequestHeader {
    PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id,
        queue_offset,
        max_msg_nums: 32,
        sys_flag: 4,
        subscription: Some("*".into()),
        ..PullMessageRequestHeader::default()
    }
}

/// The code, where to go on, and what to add to the offsets of the messages.
async fn pull(client: &Caller, queue_id: i32, offset: i64) -> (ResponseCode, i64, Option<i64>) {
    let answer = client.call(RequestCode::PULL_MESSAGE, &asked(queue_id, offset)).await;
    let told = PullMessageResponseHeader::read(&answer.fields).unwrap_or_default();
    (answer.response_code(), told.next_begin_offset, told.offset_delta)
}

async fn committed(client: &Caller, queue_id: i32) -> Option<i64> {
    let header = QueryConsumerOffsetRequestHeader {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id,
        ..Default::default()
    };
    let answer = client.call(RequestCode::QUERY_CONSUMER_OFFSET, &header).await;
    QueryConsumerOffsetResponseHeader::read(&answer.fields).ok().map(|told| told.offset)
}

async fn commit(client: &Caller, queue_id: i32, commit_offset: i64) -> ResponseCode {
    let header = UpdateConsumerOffsetRequestHeader {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: Some(queue_id),
        commit_offset: Some(commit_offset),
        ..Default::default()
    };
    client.call(RequestCode::UPDATE_CONSUMER_OFFSET, &header).await.response_code()
}

async fn end(client: &Caller, queue_id: i32) -> i64 {
    let header = GetMaxOffsetRequestHeader { topic: "T".into(), queue_id, ..Default::default() };
    let answer = client.call(RequestCode::GET_MAX_OFFSET, &header).await;
    GetMaxOffsetResponseHeader::read(&answer.fields).unwrap().offset
}

#[tokio::test]
async fn offsets_of_a_logical_queue_go_on_where_it_moved() {
    let mut world = World::start().await;
    let client = world.client();
    let told = tell(&client, &mapping(5, 10_000)).await;
    assert_eq!(told.response_code(), ResponseCode::SUCCESS, "{told:?}");
    // What the queue got before it moved.
    assert_eq!(send(&client, 1, physical()).await, Ok((1, 0)));
    assert_eq!(send(&client, 1, physical()).await, Ok((1, 1)));
    assert_eq!(send(&client, 1, TopicFields::default()).await, Ok((1, 10_000)));
    assert_eq!(send(&client, 0, TopicFields::default()).await, Ok((0, 0)));
    assert!([0, 1].contains(&send(&client, -1, TopicFields::default()).await.unwrap().0));
    let refused = send(&client, 2, TopicFields::default()).await.unwrap_err();
    assert!(refused.contains("NOT_LEADER_FOR_QUEUE"), "{refused}");

    assert_eq!(pull(&client, 1, 0).await, (ResponseCode::SUCCESS, 2, Some(0)));
    let moved = (ResponseCode::PULL_RETRY_IMMEDIATELY, 10_000, Some(10_000));
    assert_eq!(pull(&client, 1, 2).await, moved);
    assert_eq!(pull(&client, 1, 10_000).await.0, ResponseCode::SUCCESS);
    assert_eq!(pull(&client, 2, 0).await.0, ResponseCode::NOT_LEADER_FOR_QUEUE);

    assert_eq!(commit(&client, 1, 2).await, ResponseCode::SUCCESS);
    assert_eq!(committed(&client, 1).await, Some(2));
    assert_eq!(commit(&client, 1, 10_001).await, ResponseCode::SUCCESS);
    assert_eq!(committed(&client, 1).await, Some(10_001));
    let before = end(&client, 1).await;
    drop(client);
    world.restart().await;
    let client = world.client();
    assert_eq!(end(&client, 1).await, before);
    assert_eq!(committed(&client, 1).await, Some(10_001));
    assert_eq!(commit(&client, 1, 1).await, ResponseCode::SUCCESS);
    assert_eq!(committed(&client, 1).await, Some(1), "the group was set back");
}

/// Java answers with a logical offset, with which nobody finds the half message.
#[tokio::test]
async fn a_half_message_of_a_moved_queue_is_ended_by_its_answer() {
    let world = World::start().await;
    let client = world.client();
    tell(&client, &mapping(5, 10_000)).await;
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: "T",
        default_topic: "TBW102",
        queue_id: 1,
        sys_flag: sys_flag::TRANSACTION_PREPARED,
        properties: Some("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p\u{2}UNIQ_KEY\u{1}U\u{2}"),
        ..SendMessageRequestHeader::default()
    };
    let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
    let sent = client.ask(command.with_body("x")).await;
    let told = SendMessageResponseHeader::read(&sent.fields).unwrap();
    assert_eq!((told.queue_id, told.queue_offset), (1, 0));
    let log_offset = i64::from_str_radix(&told.msg_id[told.msg_id.len() - 16..], 16).unwrap();
    let header = EndTransactionRequestHeader {
        producer_group: "p".into(),
        tran_state_table_offset: told.queue_offset,
        commit_log_offset: log_offset,
        commit_or_rollback: sys_flag::TRANSACTION_COMMIT,
        ..EndTransactionRequestHeader::default()
    };
    let ended =
        client.ask(Command::request(RequestCode::END_TRANSACTION).with_header(&header)).await;
    assert_eq!(ended.response_code(), ResponseCode::SUCCESS, "{:?}", said(&ended));
    assert_eq!(pull(&client, 1, 10_000).await.0, ResponseCode::SUCCESS);
}

#[tokio::test]
async fn who_waits_for_a_decision_goes_on_with_it() {
    let world = World::start().await;
    let (client, waiter) = (world.client(), world.client());
    tell(&client, &mapping(5, -1)).await;
    assert_eq!(send(&client, 1, physical()).await, Ok((1, 0)));
    assert_eq!(send(&client, 1, TopicFields::default()).await, Ok((1, -1)));
    let suspended =
        PullMessageRequestHeader { sys_flag: 4 | 2, suspend_timeout_millis: 60_000, ..asked(1, 1) };
    let waiting = async {
        let answer = waiter.call(RequestCode::PULL_MESSAGE, &suspended).await;
        let told = PullMessageResponseHeader::read(&answer.fields).unwrap();
        (answer.response_code(), told.next_begin_offset)
    };
    let deciding = async {
        // Another one who waits is answered by nothing but the decision either.
        assert_eq!(pull(&client, 1, 1).await.0, ResponseCode::PULL_NOT_FOUND);
        assert_eq!(send(&client, 1, TopicFields::default()).await, Ok((1, -1)));
        tell(&client, &mapping(5, 10_000)).await
    };
    let (found, told) = tokio::join!(waiting, deciding);
    assert_eq!(told.response_code(), ResponseCode::SUCCESS, "{told:?}");
    assert_eq!(found, (ResponseCode::PULL_RETRY_IMMEDIATELY, 10_000));
    assert_eq!(end(&client, 1).await, 10_002);
}

#[tokio::test]
async fn what_contradicts_the_known_mapping_changes_nothing() {
    let world = World::start().await;
    let client = world.client();
    tell(&client, &mapping(5, 10_000)).await;
    let other = TopicQueueMappingDetail { bname: Some("c".into()), ..mapping(6, 10_000) };
    for wrong in [mapping(4, 10_000), mapping(6, 20_000), other] {
        let told = tell(&client, &wrong).await;
        assert_ne!(told.response_code(), ResponseCode::SUCCESS, "{wrong:?}");
    }
    let config = async |logical| {
        let base = TopicFields { logical: Some(logical), ..TopicFields::default() };
        let header = GetTopicConfigRequestHeader { topic: "T".into(), base };
        let answer = client.call(RequestCode::GET_TOPIC_CONFIG, &header).await;
        remoting::json::from_body::<TopicConfigAndQueueMapping>(&answer.body).unwrap()
    };
    assert_eq!(config(true).await.mapping_detail, Some(mapping(5, 10_000)));
    assert_eq!(config(false).await.mapping_detail, None);
}

async fn forget(client: &Caller) -> Command {
    let header = DeleteTopicRequestHeader { topic: "T".into(), ..Default::default() };
    client.call(RequestCode::DELETE_TOPIC_IN_BROKER, &header).await
}

#[tokio::test]
async fn the_file_forgets_a_mapping_that_it_has_again_after_its_topic_is_gone() {
    let mut world = World::start().await;
    let client = world.client();
    tell(&client, &mapping(5, 10_000)).await;
    send(&client, 1, physical()).await.unwrap();
    let file = world.config("topicQueueMapping.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(said(&forget(&client).await), SUCCESS);
    world.restart_after(|_| std::fs::write(&file, &text).unwrap()).await;
    let client = world.client();
    for queues in 1..1_000 {
        // Each of them has the thread that saves do a round.
        let made = client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &topic("U", queues)).await;
        assert_eq!(made.response_code(), ResponseCode::SUCCESS);
        if !std::fs::read_to_string(&file).unwrap().contains("totalQueues") {
            return;
        }
    }
    panic!("the file still has it");
}

/// What is still named in the pieces of the file is not taken for a plain topic, also not by the
/// next start, until an operator says where its queues are.
#[tokio::test]
async fn a_static_topic_whose_mapping_is_lost_is_refused_until_it_is_given_anew() {
    let cut = |text: &mut Vec<u8>| text.truncate(text.len() / 2);
    let head_is_gone = |text: &mut Vec<u8>| {
        let half = text.len() / 2;
        text[..half].fill(0);
    };
    for damage in [&cut as &dyn Fn(&mut Vec<u8>), &head_is_gone] {
        let mut world = World::start().await;
        let client = world.client();
        tell(&client, &mapping(5, 10_000)).await;
        let plain = client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &topic("U", 2)).await;
        assert_eq!(plain.response_code(), ResponseCode::SUCCESS, "{plain:?}");
        let harm = |dir: &std::path::Path| {
            for name in ["topicQueueMapping.json", "topicQueueMapping.json.bak"] {
                let path = dir.join("config").join(name);
                let mut text = std::fs::read(&path).unwrap();
                damage(&mut text);
                std::fs::write(&path, text).unwrap();
            }
        };
        world.restart_after(harm).await;
        for _ in 0..2 {
            let refused = send(&world.client(), 0, TopicFields::default()).await.unwrap_err();
            assert!(refused.contains("NOT_LEADER_FOR_QUEUE"), "{refused}");
            let header = SendMessageRequestHeader {
                producer_group: "p",
                topic: "U",
                default_topic: "TBW102",
                ..SendMessageRequestHeader::default()
            };
            let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
            let sent = world.client().ask(command.with_body("x")).await;
            assert_eq!(sent.response_code(), ResponseCode::SUCCESS, "of a plain topic");
            world.restart().await;
        }
        let client = world.client();
        let told = tell(&client, &mapping(6, 10_000)).await;
        assert_eq!(told.response_code(), ResponseCode::SUCCESS, "{told:?}");
        assert_eq!(send(&client, 0, TopicFields::default()).await, Ok((0, 0)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_static_topic_that_is_deleted_as_it_changes_is_there_with_its_mapping_or_not_at_all() {
    let world = World::start().await;
    let (one, another) = (world.client(), world.client());
    let header = GetTopicConfigRequestHeader {
        topic: "T".into(),
        base: TopicFields { logical: Some(true), ..TopicFields::default() },
    };
    for n in 1..=200 {
        tell(&one, &mapping(5 + n, 10_000)).await;
        let next = mapping(6 + n, 10_000);
        tokio::join!(tell(&one, &next), forget(&another));
        let found = one.call(RequestCode::GET_TOPIC_CONFIG, &header).await;
        if found.response_code() == ResponseCode::SUCCESS {
            let body: TopicConfigAndQueueMapping = remoting::json::from_body(&found.body).unwrap();
            assert_eq!(body.mapping_detail, Some(next), "{n}");
        }
        forget(&one).await;
    }
}
