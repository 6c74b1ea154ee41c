//! A broker in a directory of its own, and clients that keep what the broker tells them.

use broker::server::{self, Failure, Options, Running, Surroundings};
use remoting::body::heartbeat::{ConsumeType, ConsumerData, HeartbeatData, SubscriptionData};
use remoting::client::Client;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::connection::{Arrived, Serve};
use remoting::flat::Header;
use remoting::peer::Peer;
use remoting::reply::{Answer, Ticket};
use settings::BrokerSettings;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Longer than anything here may take.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// A running broker.
pub(crate) struct World {
    pub(crate) running: Running,
    dir: PathBuf,
    /// Its own, so that the end of a test can wait for the broker's.
    runtime: Option<Runtime>,
}

impl World {
    /// Starts a broker on an empty directory and any free ports.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut BrokerSettings)) -> Self {
        Self::start_as(|options| change(&mut options.settings)).await
    }

    /// The same started otherwise.
    pub(crate) async fn start_as(change: impl FnOnce(&mut Options)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rockhopper-broker-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let mut options = options(&dir);
        change(&mut options);
        let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
        let running = runtime.spawn(registered(options)).await.unwrap().unwrap();
        Self { running, dir, runtime: Some(runtime) }
    }

    /// A client with a connection of its own, which answers nothing that it is asked.
    pub(crate) fn client(&self) -> Caller {
        self.client_that(|_| None)
    }

    /// A client with a connection of its own, and what it answers when the broker asks it.
    pub(crate) fn client_that(&self, answers: fn(&Command) -> Option<Answer>) -> Caller {
        let (tell, told) = unbounded_channel();
        Caller {
            client: Client::new(Arc::new(Ear { tell, answers })),
            address: self.running.listening.to_string(),
            told: Mutex::new(told),
        }
    }

    /// A file under `config`.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.dir.join("config").join(name)
    }

    /// Stops the broker, and starts another on the same directory.
    pub(crate) async fn restart(&mut self) {
        self.restart_after(|_| {}).await;
    }

    /// The same with something happening to the directory meanwhile.
    pub(crate) async fn restart_after(&mut self, what: impl FnOnce(&std::path::Path)) {
        let dir = self.dir.clone();
        self.restart_with(|_| what(&dir)).await;
    }

    /// The same with other settings.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut BrokerSettings)) {
        self.running.stop();
        self.running.stopped().await.unwrap();
        self.running = self.start_again(change).await.unwrap();
    }

    /// The same with a start between that is refused because of what happened, until that is
    /// undone; gives why.
    pub(crate) async fn restart_refused(
        &mut self,
        what: impl FnOnce(&std::path::Path),
        undo: impl FnOnce(&std::path::Path),
    ) -> String {
        self.running.stop();
        self.running.stopped().await.unwrap();
        what(&self.dir);
        let Err(refused) = self.start_again(|_| {}).await else { panic!("it is refused") };
        undo(&self.dir);
        self.running = self.start_again(|_| {}).await.unwrap();
        refused
    }

    async fn start_again(
        &self,
        change: impl FnOnce(&mut BrokerSettings),
    ) -> Result<Running, String> {
        let mut options = options(&self.dir);
        change(&mut options.settings);
        let runtime = self.runtime.as_ref().unwrap();
        runtime.spawn(registered(options)).await.unwrap().map_err(|failure| failure.text)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.stop();
        let (running, runtime) = (&mut self.running, self.runtime.take().unwrap());
        let failed = std::thread::panicking();
        // Nobody may wait on a thread of a runtime.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Where a test failed, it may have stopped already.
                if !failed {
                    let _ = runtime.block_on(running.stopped());
                }
                drop(runtime);
            });
        });
        let removed = std::fs::remove_dir_all(&self.dir);
        assert!(removed.is_ok() || failed, "{removed:?}");
    }
}

/// Starts a broker that its name server knows.
async fn registered(options: Options) -> Result<Running, Failure> {
    let mut running = server::start(options).await?;
    running.registered().await;
    Ok(running)
}

fn options(dir: &std::path::Path) -> Options {
    let mut settings = BrokerSettings::default();
    settings.broker.broker_name = "b".into();
    settings.broker.broker_ip1 = "127.0.0.1".into();
    settings.broker.broker_ip2 = "127.0.0.1".into();
    settings.net.bind_address = "127.0.0.1".into();
    settings.store.store_path_root_dir = dir.to_str().unwrap().into();
    settings.store.mapped_file_size_commit_log = 1 << 20;
    settings.store.max_hash_slot_num = 1_000;
    settings.store.max_index_num = 4_000;
    let surroundings = Surroundings {
        now_ms: server::now_ms(),
        utc_offset_ms: 0,
        memory_bytes: 1 << 30,
        pid: std::process::id(),
        salt: 1,
        host_ip: None,
    };
    Options { settings, config_file: None, surroundings, descriptors: i32::MAX }
}

/// Keeps what the broker says by itself.
struct Ear {
    tell: UnboundedSender<Command>,
    answers: fn(&Command) -> Option<Answer>,
}

impl Serve for Ear {
    fn serve(&self, arrived: &mut [Arrived]) {
        for one in arrived {
            one.each(|_, request, out| {
                if let Some(answer) = (self.answers)(request) {
                    Ticket::of(request).answer(answer, out);
                }
                let _ = self.tell.send(request.clone());
            });
        }
    }

    fn closed(&self, _: &Arc<Peer>) {}
}

/// A client.
pub(crate) struct Caller {
    client: Client,
    address: String,
    told: Mutex<UnboundedReceiver<Command>>,
}

impl Caller {
    /// Asks, and gives the answer whatever its code.
    pub(crate) async fn call(&self, code: RequestCode, header: &impl Header) -> Command {
        self.ask(Command::request(code).with_header(header)).await
    }

    /// The same with a body.
    pub(crate) async fn post<T: serde::Serialize>(&self, code: RequestCode, body: &T) -> Command {
        self.ask(Command::request(code).with_body(remoting::json::to_body(body))).await
    }

    /// Beats as the client `c`, a member of a group that is pushed what it wants.
    pub(crate) async fn consume(&self, group: &'static str, wanted: SubscriptionData) {
        let consumer = ConsumerData {
            group_name: group.into(),
            consume_type: Some(ConsumeType::Passively),
            subscription_data_set: vec![wanted],
            ..Default::default()
        };
        let beat = HeartbeatData {
            client_id: "c".into(),
            consumer_data_set: vec![consumer],
            ..Default::default()
        };
        let answer = self.post(RequestCode::HEART_BEAT, &beat).await;
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
    }

    /// Asks with a command of one's own.
    pub(crate) async fn ask(&self, command: Command) -> Command {
        self.client.call(&self.address, command, WAIT).await.unwrap()
    }

    /// The next request that the broker sends.
    pub(crate) async fn told(&self) -> Command {
        let mut told = self.told.lock().await;
        tokio::time::timeout(WAIT, told.recv()).await.unwrap().unwrap()
    }

    /// Ends the connection.
    pub(crate) async fn close(&self) {
        self.client.close().await;
    }
}

/// The code and the words of an answer.
pub(crate) fn said(answer: &Command) -> (ResponseCode, &str) {
    (answer.response_code(), answer.head.remark.as_deref().unwrap_or_default())
}
