//! Brokers come and go.

use crate::shell::{Broker, Folder, Running, WAIT, settings};
use remoting::body::data_version::DataVersion;
use remoting::body::route::{ClusterInfo, GetBrokerMemberGroupResponseBody};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::connection::{Arrived, Serve};
use remoting::fields::Fields;
use remoting::flat::{Header as _, OwnedHeader};
use remoting::headers::ha::NotifyMinBrokerIdChangeRequestHeader;
use remoting::headers::namesrv::{
    BrokerHeartbeatRequestHeader, GetBrokerMemberGroupRequestHeader, QueryDataVersionRequestHeader,
    QueryDataVersionResponseHeader, RegisterBrokerResponseHeader, UnRegisterBrokerRequestHeader,
};
use remoting::headers::topic::RegisterTopicRequestHeader;
use remoting::json;
use remoting::peer::Peer;
use remoting::server::{Options, Server};
use remoting::version::Version;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn header<H: OwnedHeader>(answer: &Command) -> H {
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{answer:?}");
    H::read(&answer.fields).unwrap()
}

#[tokio::test]
async fn a_broker_registers_is_found_and_leaves() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let (client, primary, replica) = (running.connect(), running.connect(), running.connect());
    assert_eq!(client.route("t").await, None);
    let broker = Broker::new("a", 0, &["t", "u"]);
    let told: RegisterBrokerResponseHeader = header(&primary.register(&broker).await);
    assert_eq!(told, RegisterBrokerResponseHeader::default());
    let told: RegisterBrokerResponseHeader =
        header(&replica.register(&Broker::new("a", 1, &["t", "u"])).await);
    assert_eq!(told.master_addr, Some("127.0.0.1:40000".into()));
    assert_eq!(told.ha_server_addr, Some("127.0.0.1:41000".into()));
    assert_eq!(client.route("t").await.unwrap().broker_datas[0].broker_addrs.len(), 2);
    let info = client.ask(RequestCode::GET_BROKER_CLUSTER_INFO).await;
    assert!(info.starts_with(br#"{"brokerAddrTable":{"a":{"brokerAddrs":{0:"127.0.0.1:40000",1:"#));
    let info: ClusterInfo = json::from_body(&info).unwrap();
    assert_eq!(info.broker_addr_table["a"].broker_addrs.len(), 2);
    let unregister = UnRegisterBrokerRequestHeader {
        broker_name: "a".into(),
        broker_addr: broker.header.broker_addr.clone(),
        cluster_name: "c".into(),
        broker_id: 0,
    };
    let unregister = Command::request(RequestCode::UNREGISTER_BROKER).with_header(&unregister);
    assert_eq!(primary.call(unregister).await.response_code(), ResponseCode::SUCCESS);
    let left = client.route("t").await.unwrap();
    assert_eq!(left.broker_datas[0].broker_addrs.keys().collect::<Vec<_>>(), [&1]);
    replica.close().await;
    client.until_route("t", false).await;
    running.stop().await;
}

#[tokio::test]
async fn a_killed_broker_goes_with_its_last_connection_only() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let (client, old, new) = (running.connect(), running.connect(), running.connect());
    let broker = Broker::new("a", 0, &["t", "u"]);
    old.register(&broker).await;
    new.register(&broker).await;
    old.close().await;
    // The client is served on: whoever comes after the old connection's end still finds the broker.
    let other = running.connect();
    other.register(&Broker::new("b", 1, &["v", "w"])).await;
    other.close().await;
    client.until_route("v", false).await;
    assert!(client.route("t").await.is_some());
    new.close().await;
    client.until_route("t", false).await;
    running.stop().await;
}

#[tokio::test]
async fn a_silent_broker_is_dropped_after_its_own_time() {
    let folder = Folder::new();
    let mut settings = settings(&folder);
    settings.namesrv.scan_not_active_broker_interval = 10;
    let running = Running::start(settings).await;
    let (client, silent) = (running.connect(), running.connect());
    let mut broker = Broker::new("a", 0, &["t", "u"]);
    broker.header.heartbeat_timeout_millis = Some(200);
    silent.register(&broker).await;
    assert!(client.route("t").await.is_some());
    client.until_route("t", false).await;
    running.stop().await;
}

#[tokio::test]
async fn all_forms_of_a_registration_are_read() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    let mut broker = Broker::new("a", 0, &["t", "u"]);
    let packed = broker.body.to_compressed();
    let crc = crc32fast::hash(&packed) & 0x7fff_ffff;
    let register = |broker: &Broker, body: bytes::Bytes, version: Version| {
        let mut request = Command::request(RequestCode::REGISTER_BROKER);
        request.head.version = version.0;
        request.with_header(&broker.header).with_body(body)
    };
    // Stock brokers compress and say that they do not.
    for compressed in [false, true] {
        broker.header.compressed = compressed;
        broker.header.body_crc32 = crc as i32;
        let answer = caller.call(register(&broker, packed.clone(), Version::CURRENT)).await;
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{answer:?}");
    }
    assert!(caller.route("u").await.is_some());
    broker.header.body_crc32 ^= 1;
    let answer = caller.call(register(&broker, packed, Version::CURRENT)).await;
    assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(answer.head.remark, Some("crc32 not match".into()));
    let mut old = Broker::new("old", 0, &["v", "w"]);
    let body = json::to_body(&old.body.topic_config_serialize_wrapper);
    let answer = caller.call(register(&old, body, Version(1))).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{answer:?}");
    assert!(caller.route("w").await.is_some());
    old.body = Default::default();
    let broken = register(&old, bytes::Bytes::from_static(b"{\"x"), Version::CURRENT);
    assert_eq!(caller.call(broken).await.response_code(), ResponseCode::SYSTEM_ERROR);
    let early = Broker::new("early", 0, &["one"]);
    let answer = caller.register(&early).await;
    assert_eq!(answer.head.remark, Some("register broker failed".into()));
    running.stop().await;
}

#[tokio::test]
async fn data_versions_and_heartbeats() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    let broker = Broker::new("a", 0, &["t", "u"]);
    let query = QueryDataVersionRequestHeader {
        broker_name: "a".into(),
        broker_addr: broker.header.broker_addr.clone(),
        cluster_name: "c".into(),
        broker_id: 0,
    };
    let query = Command::request(RequestCode::QUERY_DATA_VERSION).with_header(&query);
    let known = broker.body.topic_config_serialize_wrapper.data_version;
    let ask = |version: &DataVersion| query.clone().with_body(json::to_body(version));
    let answer = caller.call(ask(&known)).await;
    assert!(header::<QueryDataVersionResponseHeader>(&answer).changed);
    assert!(answer.body.is_empty());
    caller.register(&broker).await;
    let answer = caller.call(ask(&known)).await;
    assert!(!header::<QueryDataVersionResponseHeader>(&answer).changed);
    assert_eq!(answer.body, &br#"{"counter":1,"stateVersion":0,"timestamp":7}"#[..]);
    let answer = caller.call(ask(&DataVersion { counter: 2, ..known })).await;
    assert!(header::<QueryDataVersionResponseHeader>(&answer).changed);
    let answer = caller.call(query).await;
    assert!(header::<QueryDataVersionResponseHeader>(&answer).changed);
    let beat = BrokerHeartbeatRequestHeader {
        cluster_name: "c".into(),
        broker_addr: "unknown".into(),
        broker_name: "a".into(),
        ..Default::default()
    };
    let beat = Command::request(RequestCode::BROKER_HEARTBEAT).with_header(&beat);
    assert_eq!(caller.call(beat).await.response_code(), ResponseCode::SUCCESS);
    let group = GetBrokerMemberGroupRequestHeader {
        cluster_name: Some("c".into()),
        broker_name: Some("a".into()),
    };
    let group = Command::request(RequestCode::GET_BROKER_MEMBER_GROUP).with_header(&group);
    let body = caller.call(group).await.body;
    let group: GetBrokerMemberGroupResponseBody = json::from_body(&body).unwrap();
    assert_eq!(group.broker_member_group.unwrap().broker_addrs[&0], "127.0.0.1:40000");
    running.stop().await;
}

/// A broker's own port, where it is told things.
struct Ear(mpsc::UnboundedSender<Fields>);

impl Serve for Ear {
    fn serve(&self, arrived: &mut [Arrived]) {
        for one in arrived {
            one.each(|_, request, _| {
                assert_eq!(request.code(), RequestCode::NOTIFY_MIN_BROKER_ID_CHANGE);
                assert!(request.is_oneway());
                self.0.send(request.fields.clone()).unwrap();
            });
        }
    }

    fn closed(&self, _: &Arc<Peer>) {}
}

#[tokio::test]
async fn replicas_hear_that_their_primary_is_gone() {
    let folder = Folder::new();
    let mut settings = settings(&folder);
    settings.namesrv.support_acting_master = true;
    settings.namesrv.notify_min_broker_id_changed = true;
    let running = Running::start(settings).await;
    let (heard, mut hear) = mpsc::unbounded_channel();
    let port = Server::bind("127.0.0.1:0".parse().unwrap(), Options::default()).await.unwrap();
    let address = port.address().unwrap().to_string();
    let stop = CancellationToken::new();
    let ear = tokio::spawn(port.run(Arc::new(Ear(heard)), stop.clone()));
    let (primary, replica) = (running.connect(), running.connect());
    for (caller, id) in [(&primary, 0), (&replica, 1)] {
        let mut broker = Broker::new("a", id, &["t", "u"]);
        broker.header.enable_acting_master = Some(true);
        if id == 1 {
            broker.header.broker_addr = address.clone().into();
        }
        caller.register(&broker).await;
    }
    primary.close().await;
    let fields = tokio::time::timeout(WAIT, hear.recv()).await.unwrap().unwrap();
    let notice = NotifyMinBrokerIdChangeRequestHeader::read(&fields).unwrap();
    assert_eq!(notice.min_broker_id, Some(1));
    assert_eq!(notice.min_broker_addr.as_deref(), Some(&*address));
    assert_eq!(notice.offline_broker_addr, Some("127.0.0.1:40000".into()));
    let route = replica.route("t").await.unwrap();
    assert_eq!(route.broker_datas[0].broker_addrs[&0], address);
    running.stop().await;
    stop.cancel();
    ear.await.unwrap();
}

#[tokio::test]
async fn a_topic_of_an_empty_name_is_registered_and_one_of_no_name_is_not() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let (client, primary) = (running.connect(), running.connect());
    primary.register(&Broker::new("a", 0, &["t", "u"])).await;
    let route = client.route("t").await.unwrap();
    let register = async |header: RegisterTopicRequestHeader| {
        let asked = Command::request(RequestCode::REGISTER_TOPIC_IN_NAMESRV).with_header(&header);
        let answer = client.call(asked.with_body(json::to_body(&route))).await;
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
        client.route("").await
    };
    assert_eq!(register(RegisterTopicRequestHeader::default()).await, None);
    let empty = RegisterTopicRequestHeader { topic: Some("".into()), ..Default::default() };
    assert_eq!(register(empty).await, Some(route.clone()));
    running.stop().await;
}
