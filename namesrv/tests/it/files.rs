//! The key-value configuration and its file.

use crate::shell::{Broker, Folder, Running, settings, text};
use namesrv::server::Server;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::namesrv::{
    DeleteKVConfigRequestHeader, GetKVConfigRequestHeader, GetKVListByNamespaceRequestHeader,
    PutKVConfigRequestHeader,
};

fn put(value: &str) -> Command {
    Command::request(RequestCode::PUT_KV_CONFIG).with_header(&PutKVConfigRequestHeader {
        namespace: "ORDER_TOPIC_CONFIG".into(),
        key: "t".into(),
        value: Some(value.into()),
    })
}

fn value() -> Command {
    Command::request(RequestCode::GET_KV_CONFIG).with_header(&GetKVConfigRequestHeader {
        namespace: "ORDER_TOPIC_CONFIG".into(),
        key: "t".into(),
    })
}

#[tokio::test]
async fn values_are_in_the_file_and_outlive_the_process() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    let missing = caller.call(value()).await;
    assert_eq!(missing.response_code(), ResponseCode::QUERY_NOT_FOUND);
    let remark = "No config item, Namespace: ORDER_TOPIC_CONFIG Key: t";
    assert_eq!(missing.head.remark, Some(remark.into()));
    assert_eq!(caller.call(put("a:8")).await.response_code(), ResponseCode::SUCCESS);
    let file = folder.path("namesrv/kvConfig.json");
    assert_eq!(text(&file), r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"t":"a:8"}}}"#);
    running.stop().await;

    let mut settings = settings(&folder);
    settings.namesrv.order_message_enable = true;
    let running = Running::start(settings).await;
    let caller = running.connect();
    assert_eq!(caller.call(value()).await.fields.get("value"), Some("a:8"));
    // A broker that registers is told, and so is whoever asks for the topic's route.
    let told = caller.register(&Broker::new("a", 0, &["t", "u"])).await;
    assert_eq!(told.body, &br#"{"table":{"t":"a:8"}}"#[..]);
    assert_eq!(caller.route("t").await.unwrap().order_topic_conf, Some("a:8".into()));
    assert_eq!(caller.route("u").await.unwrap().order_topic_conf, None);
    let delete =
        Command::request(RequestCode::DELETE_KV_CONFIG).with_header(&DeleteKVConfigRequestHeader {
            namespace: "ORDER_TOPIC_CONFIG".into(),
            key: "t".into(),
        });
    assert_eq!(caller.call(delete).await.response_code(), ResponseCode::SUCCESS);
    assert_eq!(text(&file), r#"{"configTable":{"ORDER_TOPIC_CONFIG":{}}}"#);
    for (namespace, code) in
        [("ORDER_TOPIC_CONFIG", ResponseCode::SUCCESS), ("x", ResponseCode::QUERY_NOT_FOUND)]
    {
        let header = GetKVListByNamespaceRequestHeader { namespace: namespace.into() };
        let list = Command::request(RequestCode::GET_KVLIST_BY_NAMESPACE).with_header(&header);
        assert_eq!(caller.call(list).await.response_code(), code, "{namespace}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_value_that_cannot_be_written_is_not_taken() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    std::fs::write(folder.path("namesrv"), "a file where a folder should be").unwrap();
    let caller = running.connect();
    let refused = caller.call(put("a:8")).await;
    assert_eq!(refused.response_code(), ResponseCode::SYSTEM_ERROR);
    assert!(refused.head.remark.unwrap().contains("kvConfig.json"));
    assert_eq!(caller.call(value()).await.response_code(), ResponseCode::QUERY_NOT_FOUND);
    running.stop().await;
}

#[tokio::test]
async fn a_damaged_file_is_replaced_by_its_bak_and_without_one_refuses_the_start() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    for value in ["a:8", "a:9"] {
        assert_eq!(caller.call(put(value)).await.response_code(), ResponseCode::SUCCESS);
    }
    running.stop().await;
    let [file, bak] =
        ["namesrv/kvConfig.json", "namesrv/kvConfig.json.bak"].map(|name| folder.path(name));
    std::fs::write(&file, "{\"configTable\":").unwrap();
    let running = Running::start(settings(&folder)).await;
    assert_eq!(running.connect().call(value()).await.fields.get("value"), Some("a:8"));
    running.stop().await;
    let mended = r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"t":"a:8"}}}"#;
    assert_eq!([text(&file), text(&bak)], [mended; 2]);
    assert_eq!(text(&folder.path("namesrv/kvConfig.json.damaged")), "{\"configTable\":");
    for path in [&file, &bak] {
        std::fs::write(path, "").unwrap();
    }
    let error = Server::bind(settings(&folder), i32::MAX).await.unwrap_err().to_string();
    assert!(error.contains("kvConfig.json: expected"), "{error}");
}
