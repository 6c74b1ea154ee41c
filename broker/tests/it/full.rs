//! A store that is full: what senders, tools and consumers are told, and that it goes on.

use crate::support::*;
use message::Str;
use remoting::body::table::KVTable;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::pull::PullMessageRequestHeader;
use remoting::headers::send::SendMessageRequestHeader;
use remoting::json::from_body;

const TOPIC: &str = "Full";
const MIB: i64 = 1 << 20;
/// Messages of this size that cannot fit the store.
const MOST: usize = 100;

async fn send(client: &Caller) -> Command {
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: TOPIC,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        ..Default::default()
    };
    let message = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
    client.ask(message.with_body(vec![b'x'; 100_000])).await
}

async fn update(client: &Caller, text: &'static str) -> Command {
    client.ask(Command::request(RequestCode::UPDATE_BROKER_CONFIG).with_body(text)).await
}

async fn readiness(client: &Caller) -> Str {
    let answer = client.ask(Command::request(RequestCode::GET_BROKER_RUNTIME_INFO)).await;
    from_body::<KVTable>(&answer.body).unwrap().table["readiness"].clone()
}

#[tokio::test]
async fn a_full_store_says_what_is_full_and_goes_on_when_its_bound_is_raised() {
    let world = World::start_with(|settings| {
        settings.store.store_bytes_max = 3 * MIB;
        settings.store.clean_file_forcibly_enable = false;
    })
    .await;
    let client = world.client();
    assert_eq!(readiness(&client).await, "ready");
    let mut sent = 0;
    let refused = loop {
        let answer = send(&client).await;
        if answer.response_code() != ResponseCode::SUCCESS {
            break answer;
        }
        sent += 1;
        assert!(sent < MOST, "the bound is passed");
    };
    let (code, why) = said(&refused);
    assert_eq!(code, ResponseCode::SERVICE_NOT_AVAILABLE);
    for part in ["rockhopper-broker-", "bytes used", "limit 3145728", "(setting storeBytesMax)"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    assert!(readiness(&client).await.starts_with("full, messages are refused and can be read: "));
    let pull = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: TOPIC.into(),
        max_msg_nums: 1,
        sys_flag: 4,
        subscription: Some("*".into()),
        ..Default::default()
    };
    let pulled = client.call(RequestCode::PULL_MESSAGE, &pull).await;
    assert_eq!(pulled.response_code(), ResponseCode::SUCCESS, "{:?}", said(&pulled));

    let low = update(&client, "storeBytesMax=1048576").await;
    assert_eq!(low.response_code(), ResponseCode::INVALID_PARAMETER, "{:?}", said(&low));
    let wrong = update(&client, "diskMaxUsedSpaceRatio=86").await;
    assert_eq!(wrong.response_code(), ResponseCode::INVALID_PARAMETER, "{:?}", said(&wrong));
    let raised = update(&client, "storeBytesMax=0").await;
    assert_eq!(raised.response_code(), ResponseCode::SUCCESS, "{:?}", said(&raised));
    let goes_on = async {
        while send(&client).await.response_code() != ResponseCode::SUCCESS {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT, goes_on).await.unwrap();
    assert_eq!(readiness(&client).await, "ready");
}
