//! Messages are popped, acknowledged, and come back.

use crate::support::{Caller, World, said};
use broker::server::now_ms;
use message::{Entry, properties, property, record};
use remoting::body::pop::{BatchAck, BatchAckMessageRequestBody};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Header;
use remoting::headers::pop::{
    AckMessageRequestHeader, ChangeInvisibleTimeRequestHeader, ChangeInvisibleTimeResponseHeader,
    PopMessageRequestHeader, PopMessageResponseHeader,
};
use remoting::headers::send::SendMessageRequestHeader;
use remoting::headers::topic::DeleteTopicRequestHeader;
use std::collections::BTreeSet;
use std::time::Duration;

/// A popped message: its queue, its offset, its tries, its handle, its body.
#[derive(Clone, Debug)]
pub(super) struct Got {
    queue_id: i32,
    offset: i64,
    tries: i32,
    topic: String,
    handle: String,
    pub(super) body: String,
}

pub(super) async fn send(client: &Caller, bodies: &[&str]) {
    for body in bodies {
        let header = SendMessageRequestHeader {
            producer_group: "p",
            topic: "T",
            default_topic: "TBW102",
            default_topic_queue_nums: 2,
            queue_id: 1,
            ..SendMessageRequestHeader::default()
        };
        let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
        let sent = client.ask(command.with_body(body.to_string())).await;
        assert_eq!(sent.response_code(), ResponseCode::SUCCESS, "{sent:?}");
    }
}

pub(super) fn ask(invisible_ms: i64, poll_ms: i64) -> PopMessageRequestHeader {
    PopMessageRequestHeader {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: -1,
        max_msg_nums: 32,
        invisible_time: invisible_ms,
        poll_time: poll_ms,
        born_time: now_ms(),
        ..PopMessageRequestHeader::default()
    }
}

/// Pops, and gives the messages as a client sees them.
pub(super) async fn pop(client: &Caller, header: &PopMessageRequestHeader) -> Vec<Got> {
    let answer = client.call(RequestCode::POP_MESSAGE, header).await;
    let said = PopMessageResponseHeader::read(&answer.fields).unwrap();
    let starts = said.start_offset_info.unwrap_or_default();
    if answer.response_code() != ResponseCode::SUCCESS {
        assert_eq!(answer.response_code(), ResponseCode::POLLING_TIMEOUT);
        assert_eq!(starts.len() + answer.body.len(), 0);
        return Vec::new();
    }
    let (mut at, mut all) = (0, Vec::new());
    while at < answer.body.len() {
        let Ok(Entry::Message(got)) = record::decode(&answer.body[at..], true) else { panic!() };
        at += got.total_size();
        let of_queue = format!("0 {} ", got.queue_id);
        let start = starts.split(';').find_map(|one| one.strip_prefix(&of_queue));
        let made = start.map(|start| {
            let (queue_id, offset) = (got.queue_id, got.queue_offset);
            let (time, invisible, revive) = (said.pop_time, said.invisible_time, said.revive_qid);
            format!("{start} {time} {invisible} {revive} 0 b {queue_id} {offset}")
        });
        let stored = properties::find(got.properties, property::POP_CK).map(str::to_owned);
        all.push(Got {
            queue_id: got.queue_id,
            offset: got.queue_offset,
            tries: got.reconsume_times,
            topic: got.topic.into(),
            handle: stored.or(made).unwrap(),
            body: String::from_utf8_lossy(got.body).into_owned(),
        });
    }
    all
}

/// When a popped message becomes visible again, ms since 1970.
fn due_ms(got: &Got) -> i64 {
    let number = |at| got.handle.split(' ').nth(at).unwrap().parse::<i64>().unwrap();
    number(1) + number(2)
}

/// The topic that a popped message is in.
fn real_topic(got: &Got) -> &'static str {
    if got.handle.split(' ').nth(4) == Some("1") { "%RETRY%g_T" } else { "T" }
}

pub(super) async fn ack(client: &Caller, got: &Got) -> Command {
    let header = AckMessageRequestHeader {
        consumer_group: "g".into(),
        topic: real_topic(got).into(),
        queue_id: got.queue_id,
        extra_info: got.handle.as_str().into(),
        offset: got.offset,
        ..AckMessageRequestHeader::default()
    };
    client.call(RequestCode::ACK_MESSAGE, &header).await
}

fn bodies(all: &[Got]) -> Vec<&str> {
    all.iter().map(|got| &*got.body).collect()
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_back_in_time_and_what_is_does_not() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a", "b", "c"]).await;
    let popped = pop(&client, &ask(600, 0)).await;
    let due_ms = due_ms(&popped[0]);
    assert_eq!(bodies(&popped), ["a", "b", "c"]);
    for got in [&popped[0], &popped[2]] {
        assert_eq!(said(&ack(&client, got).await), (ResponseCode::SUCCESS, ""));
    }
    assert!(pop(&client, &ask(600, 0)).await.is_empty(), "it is invisible");
    // The append that brings it back answers the pop that waits.
    let back = pop(&client, &ask(600, 5_000)).await;
    let late_ms = now_ms() - due_ms;
    assert_eq!(bodies(&back), ["b"]);
    assert!((0..1_000).contains(&late_ms), "{late_ms} ms late");
    assert_eq!((back[0].tries, &*back[0].topic), (1, "T"));
    assert_eq!(said(&ack(&client, &back[0]).await), (ResponseCode::SUCCESS, ""));
    assert!(pop(&client, &ask(600, 1_500)).await.is_empty(), "all is done");
}

#[tokio::test]
async fn a_waiting_pop_is_answered_by_a_send_and_only_one_is() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["first"]).await;
    assert_eq!(pop(&client, &ask(60_000, 0)).await.len(), 1);
    let (one, other) = (ask(60_000, 800), ask(60_000, 800));
    let (one, other, ()) = tokio::join!(pop(&client, &one), pop(&client, &other), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        send(&client, &["second"]).await;
    });
    assert_eq!(one.len() + other.len(), 1);
    // Who asks for nothing waits as well, though there is something.
    send(&client, &["third"]).await;
    let waited_ms = now_ms();
    let nothing = PopMessageRequestHeader { max_msg_nums: 0, ..ask(60_000, 200) };
    assert!(pop(&client, &nothing).await.is_empty());
    assert!(now_ms() - waited_ms >= 100, "it was held");
}

#[tokio::test]
async fn many_acknowledgements_in_one_and_another_time() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a", "b", "c", "d"]).await;
    let popped = pop(&client, &ask(800, 0)).await;
    let acks = vec![first_two(&popped[0])];
    let body = BatchAckMessageRequestBody { acks, broker_name: "b".into() };
    let answer = client.post(RequestCode::BATCH_ACK_MESSAGE, &body).await;
    assert_eq!(said(&answer), (ResponseCode::SUCCESS, ""));
    // The third is to come at once, the fourth much later.
    for (got, invisible_time) in [(&popped[2], 10), (&popped[3], 60_000)] {
        let header = ChangeInvisibleTimeRequestHeader {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_id: 1,
            extra_info: got.handle.as_str().into(),
            offset: got.offset,
            invisible_time,
            ..ChangeInvisibleTimeRequestHeader::default()
        };
        let answer = client.call(RequestCode::CHANGE_MESSAGE_INVISIBLETIME, &header).await;
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
        let said = ChangeInvisibleTimeResponseHeader::read(&answer.fields).unwrap();
        assert_eq!(said.invisible_time, invisible_time);
    }
    let back = pop(&client, &ask(60_000, 5_000)).await;
    assert_eq!(bodies(&back), ["c"]);
    assert!(pop(&client, &ask(60_000, 2_000)).await.is_empty(), "the others stay away");
}

/// An acknowledgement of the first two messages that a pop took.
fn first_two(got: &Got) -> BatchAck {
    let parts: Vec<&str> = got.handle.split(' ').collect();
    let number = |at: usize| parts[at].parse::<i64>().unwrap();
    BatchAck {
        bit_set: "Aw==".into(),
        consumer_group: "g".into(),
        invisible_time: number(2),
        pop_time: number(1),
        queue_id: 1,
        retry: "0".into(),
        revive_queue_id: number(3) as i32,
        start_offset: number(0),
        topic: "T".into(),
    }
}

#[tokio::test]
async fn one_bad_acknowledgement_stops_no_other() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a", "b", "c"]).await;
    let popped = pop(&client, &ask(1_000, 0)).await;
    let good = first_two(&popped[0]);
    let acks = vec![
        BatchAck { retry: "9".into(), ..good.clone() },
        BatchAck { topic: "U".into(), ..good.clone() },
        BatchAck { revive_queue_id: 77, ..good.clone() },
        BatchAck { revive_queue_id: 999, ..good.clone() },
        good,
    ];
    let body = BatchAckMessageRequestBody { acks, broker_name: "b".into() };
    let answer = client.post(RequestCode::BATCH_ACK_MESSAGE, &body).await;
    assert_eq!(answer.response_code(), ResponseCode::MESSAGE_ILLEGAL);
    let nothing = client.ask(Command::request(RequestCode::BATCH_ACK_MESSAGE)).await;
    assert_eq!(nothing.response_code(), ResponseCode::NO_MESSAGE);
    assert_eq!(bodies(&pop(&client, &ask(60_000, 5_000)).await), ["c"]);
    assert!(pop(&client, &ask(60_000, 1_500)).await.is_empty(), "the others are done");
}

#[tokio::test]
async fn a_topic_that_was_made_again_gets_nothing_back_for_the_old_one() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["old"]).await;
    assert_eq!(pop(&client, &ask(1_200, 0)).await.len(), 1);
    let header = DeleteTopicRequestHeader { topic: "T".into(), ..Default::default() };
    let answer = client.call(RequestCode::DELETE_TOPIC_IN_BROKER, &header).await;
    assert_eq!(said(&answer), (ResponseCode::SUCCESS, ""));
    send(&client, &["new"]).await;
    let popped = pop(&client, &ask(60_000, 0)).await;
    assert_eq!(bodies(&popped), ["new"]);
    let back = pop(&client, &ask(60_000, 3_000)).await;
    assert!(back.is_empty(), "{back:?}");
}

#[tokio::test]
async fn pops_that_may_not_be_are_refused_in_javas_words() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a"]).await;
    let refused = async |change: fn(&mut PopMessageRequestHeader)| {
        let mut header = ask(1_000, 0);
        change(&mut header);
        let answer = client.call(RequestCode::POP_MESSAGE, &header).await;
        (answer.response_code(), answer.head.remark.unwrap_or_default().to_string())
    };
    let (code, remark) = refused(|header| header.max_msg_nums = 33).await;
    assert_eq!(code, ResponseCode::INVALID_PARAMETER);
    assert_eq!(remark, "the broker[127.0.0.1] pop message's num is greater than 32");
    let (code, remark) = refused(|header| header.born_time = 1).await;
    assert_eq!(code, ResponseCode::POLLING_TIMEOUT);
    assert_eq!(remark, "the broker[127.0.0.1] pop message is timeout too much");
    let (code, _) = refused(|header| header.max_msg_nums = -1).await;
    assert_eq!(code, ResponseCode::SYSTEM_ERROR);
    let (code, _) = refused(|header| header.invisible_time = i64::MAX).await;
    assert_eq!(code, ResponseCode::INVALID_PARAMETER);
    assert_eq!(refused(|header| header.topic = "U".into()).await.0, ResponseCode::TOPIC_NOT_EXIST);
    assert_eq!(refused(|header| header.queue_id = 2).await.0, ResponseCode::INVALID_PARAMETER);
    let (code, _) = refused(|header| {
        (header.exp, header.exp_type) = (Some("a >".into()), Some("SQL92".into()));
    })
    .await;
    assert_eq!(code, ResponseCode::SUBSCRIPTION_PARSE_FAILED);
}

#[tokio::test]
async fn what_was_popped_before_a_restart_comes_back_or_stays_away() {
    let mut world = World::start().await;
    send(&world.client(), &["a", "b"]).await;
    let popped = pop(&world.client(), &ask(1_500, 0)).await;
    let due_ms = due_ms(&popped[0]);
    assert_eq!(bodies(&popped), ["a", "b"]);
    let acked = ack(&world.client(), &popped[0]).await;
    assert_eq!(said(&acked), (ResponseCode::SUCCESS, ""));
    // They are in this store, whatever its broker is called.
    world.restart_with(|settings| settings.broker.broker_name = "renamed".into()).await;
    let client = world.client();
    let back = pop(&client, &ask(60_000, 9_000)).await;
    let late_ms = now_ms() - due_ms;
    assert_eq!(bodies(&back), ["b"]);
    assert!((0..4_000).contains(&late_ms), "{late_ms} ms late");
    assert!(pop(&client, &ask(60_000, 2_500)).await.is_empty(), "it was acknowledged");
}

/// What a kill leaves: the files of offsets and of ordered pops are some time behind.
#[tokio::test]
async fn what_was_popped_in_order_before_a_kill_is_out_and_what_was_acknowledged_stays_away() {
    const FILES: [&str; 2] = ["consumerOffset.json", "consumerOrderInfo.json"];
    let mut world = World::start().await;
    let old = FILES.map(|name| std::fs::read(world.config(name)).ok());
    let client = world.client();
    send(&client, &["a", "b", "c", "d"]).await;
    let ordered = |attempt: &str, messages| PopMessageRequestHeader {
        order: true,
        attempt_id: Some(attempt.into()),
        max_msg_nums: messages,
        ..ask(60_000, 0)
    };
    let popped = pop(&client, &ordered("one", 3)).await;
    assert_eq!(bodies(&popped), ["a", "b", "c"]);
    for done in [&popped[0], &popped[2]] {
        assert_eq!(said(&ack(&client, done).await), (ResponseCode::SUCCESS, ""));
    }
    world
        .restart_after(|dir| {
            for (name, old) in FILES.iter().zip(&old) {
                let path = dir.join("config").join(name);
                match old {
                    Some(old) => std::fs::write(path, old).unwrap(),
                    None => std::fs::remove_file(path).unwrap(),
                }
            }
        })
        .await;
    let client = world.client();
    assert!(pop(&client, &ordered("two", 3)).await.is_empty(), "the queue is blocked");
    let popped = pop(&client, &ordered("one", 3)).await;
    assert_eq!(bodies(&popped), ["b", "c", "d"]);
    assert_eq!(popped[0].tries, 0);
}

#[tokio::test]
async fn pops_are_noted_in_as_many_queues_as_the_setting_says() {
    let mut world = World::start().await;
    // The topic stays as it was made.
    world.restart_with(|settings| settings.broker.revive_queue_num = 16).await;
    let bodies: Vec<String> = (0..32).map(|number| format!("{number:02}")).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    send(&world.client(), &bodies).await;
    let (mut revive_queues, mut out) = (BTreeSet::new(), Vec::new());
    for number in 0..32 {
        let one = PopMessageRequestHeader { max_msg_nums: 1, ..ask(4_000, 0) };
        let popped = pop(&world.client(), &one).await;
        assert_eq!(popped.len(), 1);
        if number < 16 {
            revive_queues.insert(popped[0].handle.split(' ').nth(3).unwrap().to_owned());
            let acked = ack(&world.client(), &popped[0]).await;
            assert_eq!(said(&acked), (ResponseCode::SUCCESS, ""));
        } else {
            out.push(popped[0].body.clone());
        }
    }
    assert_eq!(revive_queues.len(), 16);
    // What is in queues beyond the setting is read as long as it is there.
    world.restart().await;
    let client = world.client();
    let mut back = BTreeSet::new();
    while back.len() < 16 {
        let some = pop(&client, &ask(60_000, 9_000)).await;
        assert!(!some.is_empty(), "lost: {back:?} of {out:?}");
        back.extend(some.into_iter().map(|got| got.body));
    }
    assert_eq!(back, out.into_iter().collect());
}

#[tokio::test]
async fn without_the_timer_no_message_gets_another_time() {
    let mut world = World::start().await;
    send(&world.client(), &["a"]).await;
    let popped = pop(&world.client(), &ask(60_000, 0)).await;
    world.restart_with(|settings| settings.store.timer_wheel_enable = false).await;
    let header = ChangeInvisibleTimeRequestHeader {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 1,
        extra_info: popped[0].handle.as_str().into(),
        offset: popped[0].offset,
        invisible_time: 10,
        ..ChangeInvisibleTimeRequestHeader::default()
    };
    let answer = world.client().call(RequestCode::CHANGE_MESSAGE_INVISIBLETIME, &header).await;
    assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR);
    let said = ChangeInvisibleTimeResponseHeader::read(&answer.fields).unwrap();
    assert_eq!((said.invisible_time, said.pop_time), (0, 0));
}
