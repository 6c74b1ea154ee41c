//! Whoever waits for something to pop is told; a look takes nothing.

use crate::pop::{ack, ask, pop, send};
use crate::support::{Caller, World, said};
use broker::server::now_ms;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::flat::Header;
use remoting::headers::pop::{
    NotificationRequestHeader, NotificationResponseHeader, PeekMessageRequestHeader,
    PollingInfoRequestHeader, PollingInfoResponseHeader, PopMessageRequestHeader,
    PopMessageResponseHeader,
};
use std::time::Duration;

fn question(poll_time: i64, attempt: Option<&'static str>) -> NotificationRequestHeader {
    NotificationRequestHeader {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: -1,
        poll_time,
        born_time: now_ms(),
        order: attempt.is_some(),
        attempt_id: attempt.map(Into::into),
        ..NotificationRequestHeader::default()
    }
}

async fn notified(client: &Caller, header: &NotificationRequestHeader) -> bool {
    let answer = client.call(RequestCode::NOTIFICATION, header).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
    let said = NotificationResponseHeader::read(&answer.fields).unwrap();
    assert!(!said.polling_full);
    said.has_msg
}

#[tokio::test]
async fn who_waits_is_told_when_something_comes() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a"]).await;
    assert!(notified(&client, &question(0, None)).await);
    let popped = pop(&client, &ask(60_000, 0)).await;
    assert!(!notified(&client, &question(0, None)).await, "all is taken");
    let begun_ms = now_ms();
    assert!(!notified(&client, &question(250, None)).await);
    assert!(now_ms() - begun_ms >= 150, "it waits");
    let wait = question(5_000, None);
    let (has_message, ()) = tokio::join!(notified(&client, &wait), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        send(&client, &["b"]).await;
    });
    assert!(has_message && now_ms() - begun_ms < 4_000);
    // What comes back through the retry topic counts too.
    assert_eq!((popped.len(), pop(&client, &ask(300, 0)).await.len()), (1, 1));
    assert!(notified(&client, &question(5_000, None)).await);
}

#[tokio::test]
async fn only_what_is_wanted_is_told() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a"]).await;
    let by = |kind: &'static str, text: &'static str| NotificationRequestHeader {
        exp_type: Some(kind.into()),
        exp: Some(text.into()),
        ..question(0, None)
    };
    assert!(notified(&client, &by("TAG", "*")).await);
    assert!(!notified(&client, &by("TAG", "red")).await);
    assert!(!notified(&client, &by("SQL92", "a IS NOT NULL")).await);
    let answer = client.call(RequestCode::NOTIFICATION, &by("SQL92", "a >")).await;
    assert_eq!(answer.response_code(), ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    let header = NotificationRequestHeader { topic: "U".into(), ..question(0, None) };
    let answer = client.call(RequestCode::NOTIFICATION, &header).await;
    assert_eq!(answer.response_code(), ResponseCode::TOPIC_NOT_EXIST);
}

#[tokio::test]
async fn a_blocked_queue_has_nothing_until_its_block_ends() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a", "b"]).await;
    let order = |invisible_ms, poll_ms, attempt: &'static str| PopMessageRequestHeader {
        order: true,
        attempt_id: Some(attempt.into()),
        ..ask(invisible_ms, poll_ms)
    };
    let begun_ms = now_ms();
    assert_eq!(pop(&client, &order(400, 0, "one")).await.len(), 2);
    assert!(notified(&client, &question(0, Some("one"))).await, "the same try");
    assert!(!notified(&client, &question(0, Some("two"))).await);
    // Both wait for the end of the block, and nothing else happens that could wake them.
    let (wait, next) = (question(5_000, Some("two")), order(60_000, 5_000, "two"));
    assert!(notified(&client, &wait).await);
    let popped = pop(&client, &next).await;
    let took_ms = now_ms() - begun_ms;
    assert!((400..2_000).contains(&took_ms), "after {took_ms} ms");
    assert_eq!(popped.len(), 2);
    // An acknowledgement ends the block of what is left.
    ack(&client, &popped[0]).await;
    let (wait, last) = (question(5_000, Some("three")), &popped[1]);
    let (has_message, ()) = tokio::join!(notified(&client, &wait), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        send(&client, &["c"]).await;
        ack(&client, last).await;
    });
    assert!(has_message && now_ms() - begun_ms < 5_000);
}

#[tokio::test]
async fn waiting_pops_are_counted() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a"]).await;
    pop(&client, &ask(60_000, 0)).await;
    let count = async || {
        let header = PollingInfoRequestHeader {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_id: -1,
            ..PollingInfoRequestHeader::default()
        };
        let answer = client.call(RequestCode::POLLING_INFO, &header).await;
        PollingInfoResponseHeader::read(&answer.fields).unwrap().polling_num
    };
    assert_eq!(count().await, 0);
    let waits = ask(60_000, 600);
    let (_, counted) = tokio::join!(pop(&client, &waits), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        count().await
    });
    assert_eq!((counted, count().await), (1, 0));
}

#[tokio::test]
async fn a_look_takes_nothing() {
    let world = World::start().await;
    let client = world.client();
    send(&client, &["a", "b", "c"]).await;
    let look = async |max_msg_nums| {
        let header = PeekMessageRequestHeader {
            topic: "T".into(),
            queue_id: -1,
            max_msg_nums,
            consumer_group: "g".into(),
            ..PeekMessageRequestHeader::default()
        };
        let answer = client.call(RequestCode::PEEK_MESSAGE, &header).await;
        let rest = PopMessageResponseHeader::read(&answer.fields).unwrap().rest_num;
        let (code, remark) = said(&answer);
        (code, remark.to_owned(), rest, answer.body.len())
    };
    for _ in 0..2 {
        let (code, remark, rest, bytes) = look(2).await;
        assert_eq!((code, &*remark, rest), (ResponseCode::SUCCESS, "FOUND", 3));
        assert!(bytes > 0);
    }
    assert_eq!(pop(&client, &ask(60_000, 0)).await.len(), 3);
    let nothing = (ResponseCode::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE".to_owned(), 0, 0);
    assert_eq!(look(2).await, nothing);
}

#[tokio::test]
async fn an_acknowledgement_beside_the_pop_ends_its_wait() {
    let world = World::start().await;
    let (client, other) = (world.client(), world.client());
    let order = |poll_ms, attempt: String| PopMessageRequestHeader {
        order: true,
        attempt_id: Some(attempt.into()),
        max_msg_nums: 1,
        ..ask(60_000, poll_ms)
    };
    let rounds = 40;
    for _ in 0..=rounds {
        send(&client, &["a"]).await;
    }
    let mut out = pop(&client, &order(0, "first".into())).await;
    for round in 0..rounds {
        let begun_ms = now_ms();
        let next = order(8_000, round.to_string());
        let (popped, _) = tokio::join!(pop(&client, &next), ack(&other, &out[0]));
        assert_eq!(popped.len(), 1, "round {round}");
        assert!(now_ms() - begun_ms < 4_000, "round {round}");
        out = popped;
    }
}

#[tokio::test]
async fn a_topic_of_the_system_can_be_waited_for() {
    let world = World::start().await;
    let client = world.client();
    let wait = PopMessageRequestHeader { topic: "BenchmarkTest".into(), ..ask(60_000, 250) };
    let begun_ms = now_ms();
    assert!(pop(&client, &wait).await.is_empty(), "the code is that of a time that is over");
    assert!(now_ms() - begun_ms >= 150);
}
