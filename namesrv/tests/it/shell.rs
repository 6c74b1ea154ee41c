//! A name server on a free port, and what brokers and tools say to it.

use ::settings::{Family, NamesrvSettings};
use bytes::Bytes;
use message::Str;
use namesrv::server::Server;
use remoting::body::data_version::DataVersion;
use remoting::body::register::RegisterBrokerBody;
use remoting::body::route::TopicRouteData;
use remoting::body::topic::TopicConfig;
use remoting::client::{Client, Deaf};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::namesrv::RegisterBrokerRequestHeader;
use remoting::headers::route::GetRouteInfoRequestHeader;
use remoting::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// A folder of its own for each test, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("namesrv-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The settings of a name server on a free port, its files in `folder`.
pub(crate) fn settings(folder: &Folder) -> NamesrvSettings {
    let mut settings = NamesrvSettings::default();
    let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    settings.namesrv.kv_config_path = path("namesrv/kvConfig.json");
    settings.namesrv.config_store_path = path("namesrv.properties");
    settings.net.bind_address = "127.0.0.1".into();
    settings.net.listen_port = 0;
    assert!(settings.to_properties_text().contains("listenPort=0\n"));
    settings
}

impl Running {
    pub(crate) async fn start(settings: NamesrvSettings) -> Self {
        let server = Server::bind(settings, i32::MAX).await.unwrap();
        let (address, stop) = (server.address().unwrap(), CancellationToken::new());
        let task = tokio::spawn(server.run(stop.clone()));
        Self { address, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(WAIT, self.task).await.unwrap().unwrap();
    }

    /// One side of a new connection.
    pub(crate) fn connect(&self) -> Caller {
        Caller { client: Client::new(Arc::new(Deaf)), address: self.address.to_string() }
    }
}

pub(crate) struct Caller {
    client: Client,
    address: String,
}

impl Caller {
    pub(crate) async fn call(&self, command: Command) -> Command {
        self.client.call(&self.address, command, WAIT).await.unwrap()
    }

    /// The body of a successful answer.
    pub(crate) async fn ask(&self, code: RequestCode) -> Bytes {
        let answer = self.call(Command::request(code)).await;
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{code:?}: {answer:?}");
        answer.body
    }

    pub(crate) async fn register(&self, broker: &Broker) -> Command {
        self.call(broker.registration()).await
    }

    pub(crate) async fn route(&self, topic: &str) -> Option<TopicRouteData> {
        let header = GetRouteInfoRequestHeader { topic: topic.into(), ..Default::default() };
        let request = Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_header(&header);
        let answer = self.call(request).await;
        match answer.response_code() {
            ResponseCode::SUCCESS => Some(json::from_body(&answer.body).unwrap()),
            ResponseCode::TOPIC_NOT_EXIST => None,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for a route until it is there, or until it is not.
    pub(crate) async fn until_route(&self, topic: &str, there: bool) {
        let waited = async {
            while self.route(topic).await.is_some() != there {
                tokio::task::yield_now().await;
            }
        };
        let what = format!("{topic} never came to be {}", if there { "there" } else { "gone" });
        tokio::time::timeout(WAIT, waited).await.expect(&what);
    }

    /// The connection ends as when its process is killed.
    pub(crate) async fn close(self) {
        self.client.close().await;
    }
}

/// A broker as it registers.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) header: RegisterBrokerRequestHeader,
    pub(crate) body: RegisterBrokerBody,
}

impl Broker {
    pub(crate) fn new(name: &str, id: i64, topics: &[&str]) -> Self {
        let header = RegisterBrokerRequestHeader {
            broker_name: name.into(),
            broker_addr: format!("127.0.0.1:{}", 40_000 + id).into(),
            cluster_name: "c".into(),
            ha_server_addr: format!("127.0.0.1:{}", 41_000 + id).into(),
            broker_id: id,
            enable_acting_master: Some(false),
            ..RegisterBrokerRequestHeader::default()
        };
        let mut body = RegisterBrokerBody::default();
        let wrapper = &mut body.topic_config_serialize_wrapper;
        wrapper.data_version = DataVersion { counter: 1, state_version: 0, timestamp: 7 };
        for topic in topics {
            let topic_name = Str::from(*topic);
            let config = TopicConfig { topic_name: topic_name.clone(), ..TopicConfig::default() };
            wrapper.topic_config_table.insert(topic_name, config);
        }
        Self { header, body }
    }

    pub(crate) fn registration(&self) -> Command {
        let body = json::to_body(&self.body);
        Command::request(RequestCode::REGISTER_BROKER).with_header(&self.header).with_body(body)
    }
}

pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
