//! Messages with higher priorities are popped first.

use crate::pop::{ask, pop};
use crate::support::World;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::pop::PopMessageRequestHeader;
use remoting::headers::send::SendMessageRequestHeader;
use remoting::headers::topic::CreateTopicRequestHeader;

#[tokio::test]
async fn a_pop_of_a_topic_of_priorities_begins_with_the_highest() {
    let world = World::start().await;
    let client = world.client();
    let header = CreateTopicRequestHeader {
        topic: "P".into(),
        default_topic: "TBW102".into(),
        read_queue_nums: 8,
        write_queue_nums: 8,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".into(),
        attributes: Some("+message.type=PRIORITY".into()),
        ..Default::default()
    };
    let made = client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &header).await;
    assert_eq!(made.response_code(), ResponseCode::SUCCESS, "{made:?}");
    for round in 0..5 {
        for priority in ["2", "7", "0", "5"] {
            let properties = format!("_SYS_MSG_PRIORITY_\u{1}{priority}\u{2}");
            let header = SendMessageRequestHeader {
                producer_group: "p",
                topic: "P",
                default_topic: "TBW102",
                queue_id: -1,
                properties: Some(&properties),
                ..SendMessageRequestHeader::default()
            };
            let command = Command::request(RequestCode::SEND_MESSAGE).with_header(&header);
            let sent = client.ask(command.with_body(priority.to_owned())).await;
            assert_eq!(sent.response_code(), ResponseCode::SUCCESS, "{sent:?}");
        }
        let header = PopMessageRequestHeader { topic: "P".into(), ..ask(60_000, 0) };
        let bodies: Vec<String> = pop(&client, &header).await.into_iter().map(|g| g.body).collect();
        assert_eq!(bodies, ["7", "5", "2", "0"], "round {round}");
    }
}
