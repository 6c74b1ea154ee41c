//! The settings as tools see and change them, and the switches that change answers.

use crate::shell::{Broker, Folder, Running, settings, text};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::route::{GetRouteInfoRequestHeader, GetTopicsByClusterRequestHeader};
use remoting::version::Version;

fn update(text: &'static str) -> Command {
    Command::request(RequestCode::UPDATE_NAMESRV_CONFIG).with_body(text.as_bytes())
}

#[tokio::test]
async fn live_keys_change_and_are_written_back() {
    let folder = Folder::new();
    let file = folder.path("namesrv.properties");
    std::fs::write(&file, "# mine\nenableTopicList = true\n").unwrap();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    let shown = caller.ask(RequestCode::GET_NAMESRV_CONFIG).await;
    let shown = String::from_utf8(shown.to_vec()).unwrap();
    for line in
        ["enableTopicList=true", "scanNotActiveBrokerInterval=5000", "bindAddress=127.0.0.1"]
    {
        assert!(shown.lines().any(|found| found == line), "{line} is missing in\n{shown}");
    }
    let changed = caller.call(update("enableTopicList=false\norderMessageEnable=true\n")).await;
    assert_eq!(changed.response_code(), ResponseCode::SUCCESS, "{changed:?}");
    assert_eq!(text(&file), "# mine\nenableTopicList=false\norderMessageEnable=true\n");
    let by_cluster = GetTopicsByClusterRequestHeader { cluster: "c".into() };
    let by_cluster = Command::request(RequestCode::GET_TOPICS_BY_CLUSTER).with_header(&by_cluster);
    let disabled = caller.call(by_cluster).await;
    assert_eq!(disabled.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(disabled.head.remark, Some("disable".into()));
    running.stop().await;
}

#[tokio::test]
async fn other_changes_are_refused_and_nothing_changes() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    let before = caller.ask(RequestCode::GET_NAMESRV_CONFIG).await;
    for (text, code, word) in [
        ("kvConfigPath=/x", ResponseCode::NO_PERMISSION, "black list"),
        ("rocketmqHome=/x", ResponseCode::NO_PERMISSION, "black list"),
        ("enableTopicList=false\nlistenPort=1", ResponseCode::NO_PERMISSION, "listenPort"),
        ("enableTopicLists=false", ResponseCode::NO_PERMISSION, "enableTopicList?"),
        ("enableTopicList=maybe", ResponseCode::INVALID_PARAMETER, "maybe"),
        ("enableTopicList=\\u12", ResponseCode::SYSTEM_ERROR, "line 1"),
    ] {
        let refused = caller.call(update(text)).await;
        assert_eq!(refused.response_code(), code, "{text}: {refused:?}");
        let remark = refused.head.remark.unwrap();
        assert!(remark.contains(word), "{text}: {remark}");
    }
    assert_eq!(caller.ask(RequestCode::GET_NAMESRV_CONFIG).await, before);
    assert!(!folder.path("namesrv.properties").exists());
    running.stop().await;
}

#[tokio::test]
async fn routes_wait_for_brokers_where_the_operator_says_so() {
    let folder = Folder::new();
    let mut settings = settings(&folder);
    settings.namesrv.need_wait_for_service = true;
    let running = Running::start(settings).await;
    let caller = running.connect();
    caller.register(&Broker::new("a", 0, &["t", "u"])).await;
    let header = GetRouteInfoRequestHeader { topic: "t".into(), ..Default::default() };
    let ask = Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_header(&header);
    let early = caller.call(ask).await;
    assert_eq!(early.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(early.head.remark, Some("name server not ready".into()));
    running.stop().await;
}

#[tokio::test]
async fn routes_come_in_the_form_that_the_client_reads() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    let mut broker = Broker::new("a", 0, &["t", "u"]).registration();
    broker.fields.push("__ZONE_NAME", "east");
    caller.call(broker).await;
    let route = |version: Version, standard: Option<bool>, zone: Option<&'static str>| {
        let header = GetRouteInfoRequestHeader {
            topic: "t".into(),
            accept_standard_json_only: standard,
            ..Default::default()
        };
        let code = RequestCode::GET_ROUTEINFO_BY_TOPIC;
        let mut request = Command::request(code).with_header(&header);
        request.head.version = version.0;
        if let Some(zone) = zone {
            request.fields.push("__ZONE_MODE", "true");
            request.fields.push("__ZONE_NAME", zone);
        }
        request
    };
    let (quoted, bare) = (r#"{"0":"127.0.0.1:40000"}"#, r#"{0:"127.0.0.1:40000"}"#);
    for (version, standard, zone, part) in [
        (Version::V4_9_3, None, None, bare),
        (Version::V4_9_3, Some(true), None, quoted),
        (Version::V4_9_4, None, None, quoted),
        (Version::CURRENT, Some(false), None, quoted),
        (Version::CURRENT, None, Some("EAST"), bare),
        (Version::CURRENT, None, Some("west"), r#""brokerDatas":[],"#),
        (Version::CURRENT, None, Some("west"), r#""queueDatas":[]"#),
    ] {
        let answer = caller.call(route(version, standard, zone)).await;
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(body.contains(part), "{version:?} {standard:?} {zone:?}: {body}");
    }
    running.stop().await;
}

#[tokio::test]
async fn unknown_codes_are_refused_and_the_connection_stays() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    for code in [RequestCode::SEND_MESSAGE, RequestCode::CONTROLLER_GET_METADATA_INFO] {
        let refused = caller.call(Command::request(code)).await;
        assert_eq!(refused.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    }
    let list = caller.ask(RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER).await;
    assert_eq!(list, &br#"{"topicList":[]}"#[..]);
    running.stop().await;
}
