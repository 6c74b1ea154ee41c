//! The broker's configuration files: topics, groups, offsets, delay offsets.

use broker::delay::Delays;
use broker::groups::Groups;
use broker::offsets::Offsets;
use broker::topics::{Own, Topics};

/// Every reader gets every text: a damaged file may look like another one.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let own = Own {
        cluster: "C".into(),
        broker: "b".into(),
        cluster_topic: true,
        broker_topic: true,
        auto_create: true,
        default_queues: 8,
        revive_queues: 8,
        trace_topic: None,
    };
    let (topics, groups, offsets) = (Topics::new(&own, 0), Groups::new(0), Offsets::default());
    if topics.load(text).is_ok() {
        topics.snapshot();
    }
    let read = [groups.load(text).is_ok(), offsets.load(text).is_ok()];
    if read == [true; 2] {
        offsets.query("g", "T", 0);
    }
    if let Ok(delays) = Delays::load(text) {
        delays.to_json();
    }
}

pub(crate) fn examples() -> Vec<Vec<u8>> {
    let version = r#""dataVersion":{"counter":3,"stateVersion":0,"timestamp":1700000000000}"#;
    let topic = r#"{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"#;
    let topic =
        format!(r#"{topic}"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":8}}"#);
    let group = r#"{"brokerId":0,"consumeEnable":true,"groupName":"g","retryMaxTimes":16,"#;
    let group = format!(r#"{group}"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}}"#);
    [
        format!(r#"{{{version},"topicConfigTable":{{"T":{topic}}}}}"#),
        format!(r#"{{{version},"forbiddenTable":{{}},"subscriptionGroupTable":{{"g":{group}}}}}"#),
        format!(r#"{{{version},"offsetTable":{{"T@g":{{0:5,1:7}},"U@g":{{0:1}}}}}}"#),
        format!(r#"{{{version},"offsetTable":{{1:5,2:7,18:0}}}}"#),
    ]
    .map(String::into_bytes)
    .into()
}
