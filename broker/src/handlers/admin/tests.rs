//! What the log says of operators' requests.

use crate::broker::{Broker, Outside};
use crate::cold;
use crate::table::table;
use remoting::body::group::SubscriptionGroupConfig;
use remoting::codes::RequestCode;
use remoting::command::Command;
use remoting::headers::group::DeleteSubscriptionGroupRequestHeader;
use remoting::headers::topic::{CreateTopicRequestHeader, DeleteTopicRequestHeader};
use remoting::json::to_body;
use remoting::peer::Peer;
use remoting::room::Room;
use remoting::router::{Call, Lane};
use simulator::{SimDisk, lines_to};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::Level;

const NOW: i64 = 1_700_000_000_000;

fn open() -> (Broker, UnboundedReceiver<Outside>) {
    cold::open(SimDisk::new(11), Path::new("/store"), NOW)
}

/// What is logged while an operator's request is answered.
fn said(broker: &Broker, command: &Command) -> Vec<String> {
    let address = "127.0.0.1:7".parse().unwrap();
    let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
    let call = Call { peer: &peer, command, now_ms: NOW, lane: Lane::Blocking, room: &room };
    lines_to(Level::INFO, || drop(table().run(broker, &call))).1
}

fn says(broker: &Broker, command: &Command, word: &str) {
    let said = said(broker, command);
    assert_eq!(said.iter().filter(|line| line.contains(word)).count(), 1, "{word} in {said:?}");
}

#[test]
fn what_was_made_or_deleted_is_logged_and_nothing_else() {
    let (broker, _outside) = open();
    let make = |attributes: &str| {
        Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC).with_header(
            &CreateTopicRequestHeader {
                topic: "T".into(),
                read_queue_nums: 4,
                write_queue_nums: 4,
                perm: 6,
                topic_filter_type: "SINGLE_TAG".into(),
                attributes: Some(attributes.into()),
                ..CreateTopicRequestHeader::default()
            },
        )
    };
    let header = DeleteTopicRequestHeader { topic: "T".into(), ..Default::default() };
    let delete = Command::request(RequestCode::DELETE_TOPIC_IN_BROKER).with_header(&header);
    assert_eq!(said(&broker, &make("+no.such=1")), [""; 0], "refused");
    assert_eq!(said(&broker, &delete), [""; 0], "there is none");
    says(&broker, &make(""), "topic made or changed");
    says(&broker, &delete, "topics deleted");
    assert_eq!(said(&broker, &delete), [""; 0], "it is gone");

    let group = |attributes: &[(&str, &str)]| {
        let attributes = attributes.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let group = SubscriptionGroupConfig {
            group_name: "g".into(),
            attributes: attributes.collect(),
            ..Default::default()
        };
        Command::request(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP)
            .with_body(to_body(&group))
    };
    let header = DeleteSubscriptionGroupRequestHeader {
        group_name: "g".into(),
        clean_offset: true,
        ..Default::default()
    };
    let delete = Command::request(RequestCode::DELETE_SUBSCRIPTIONGROUP).with_header(&header);
    assert_eq!(said(&broker, &group(&[("+no.such", "1")])), [""; 0], "refused");
    assert_eq!(said(&broker, &delete), [""; 0], "there is none");
    says(&broker, &group(&[]), "group made or changed");
    says(&broker, &delete, "group deleted");
}

#[test]
fn settings_that_were_refused_are_logged_without_passwords() {
    let (broker, _outside) = open();
    let update = |text: &str| {
        Command::request(RequestCode::UPDATE_BROKER_CONFIG).with_body(text.as_bytes().to_vec())
    };
    let lines = said(&broker, &update("initAuthenticationUser=u:hush\nbrokerPermission=9"));
    let refused = lines.iter().find(|line| line.contains("settings were not changed"));
    let refused = refused.unwrap_or_else(|| panic!("{lines:?}"));
    for part in ["WARN", "brokerPermission=9", "expected", "by=127.0.0.1:7"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    let changed = said(&broker, &update("initAuthenticationUser=u:hush"));
    assert!(changed.iter().any(|line| line.contains("settings changed")), "{changed:?}");
    for line in lines.iter().chain(&changed) {
        assert!(!line.contains("hush"), "{line}");
    }
}
