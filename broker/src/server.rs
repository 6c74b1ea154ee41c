//! The shell of the broker: opens the store, binds the ports, owns the threads and the clock, keeps
//! the name servers informed, and stops in order. It decides nothing about messages.
#![allow(clippy::disallowed_methods, reason = "the shell owns tasks and the clock")]

use crate::announce;
use crate::broker::{Answers, Broker, Outside};
use crate::cluster::Cluster;
use crate::handlers::{lite, pop};
use crate::housekeeping::{self, Bell};
use crate::opening::Refused;
pub use crate::opening::Surroundings;
use crate::readiness::{Gate, Opening};
use crate::serve::{BLOCKING_LIMIT, Port};
use crate::table;
use message::Str;
use parking_lot::Mutex;
use remoting::client::{Client, Deaf};
use remoting::codes::ResponseCode;
use remoting::command::Command;
use remoting::connection::Serve;
use remoting::peer::{CallError, Peer};
use remoting::reply::{Answer, Refusal};
use remoting::server::{Options as PortOptions, Server};
use settings::BrokerSettings;
use std::fmt;
use std::io;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::OsDisk;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The second port lies this far below the first.
const FAST_PORT_BELOW: u16 = 2;
/// How often the connections to name servers are looked at, and how soon a registration that was
/// not taken is tried again at first.
const LOOK: Duration = Duration::from_secs(1);
/// How long the name servers may take to forget us when we stop.
const UNREGISTER: Duration = Duration::from_secs(3);

/// How long a start waits for the name servers to know the broker.
const REGISTERED: Duration = Duration::from_secs(3);

/// What a broker is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// All settings; `storePathRootDir`, `brokerIP1`, `brokerName` and `listenPort` are set.
    pub settings: BrokerSettings,
    /// The file they came from, where changed settings are written back.
    pub config_file: Option<PathBuf>,
    /// What only the machine knows.
    pub surroundings: Surroundings,
    /// The highest file descriptor that a connection may have.
    pub descriptors: RawFd,
}

/// A broker that runs.
#[derive(Debug)]
pub struct Running {
    /// The address that clients are told, `host:port`.
    pub address: String,
    /// The port that listens.
    pub listening: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Failure>>,
    /// When the name servers were told.
    known: oneshot::Receiver<()>,
}

impl Running {
    /// Waits until the name servers that answer soon know it. The others are told later.
    pub async fn registered(&mut self) {
        let _ = tokio::time::timeout(REGISTERED, &mut self.known).await;
    }

    /// Asks it to stop: out of the routes, held pulls answered, flushed, `abort` removed.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// Why it stopped by itself: its store failed.
    pub async fn stopped(&mut self) -> Result<(), Failure> {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(error) => {
                let text = format!("the broker's task failed: {error}");
                Err(Failure { text, cause: Cause::Other })
            }
        }
    }
}

/// Why a broker did not start, or stopped by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What failed, and on which file.
    pub text: String,
    /// Of what kind that is.
    pub cause: Cause,
}

/// What a supervisor has to know of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A write or sync failed: then the store was fenced.
    Disk,
    /// A setting cannot be used, so that to start again is in vain.
    Settings,
    /// Anything else.
    Other,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self { text, cause: Cause::Other }
    }
}

impl From<Refused> for Failure {
    fn from(Refused { text, of_settings }: Refused) -> Self {
        Self { text, cause: if of_settings { Cause::Settings } else { Cause::Other } }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.cause == Cause::Disk {
            f.write_str(
                "\nSince then nothing was stored or acknowledged. Look for errors of the disk \
                 (dmesg, SMART), mend or replace it, then start again: what was acknowledged \
                 before is kept as docs/durability.md says.",
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The time, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Starts a broker: when this returns, it accepts requests, and has to be [stopped](Running::stop).
/// The ports are open before: see [`crate::readiness`].
///
/// # Errors
/// When the store can't be opened or a port can't be bound; the text says which and why.
pub async fn start(options: Options) -> Result<Running, Failure> {
    let net = &options.settings.net;
    let port = u16::try_from(net.listen_port).unwrap_or(0);
    let fast_port = port.saturating_sub(FAST_PORT_BELOW);
    let main = bind(&options, port).await?;
    let fast = bind(&options, fast_port).await?;
    let listening = main.address().map_err(|error| error.to_string())?;

    let (outside, asked) = mpsc::unbounded_channel();
    let Options { settings, config_file, surroundings, .. } = options;
    let ports = Ports::serve(main, fast);
    let note = Arc::clone(&ports.opening);
    let opening = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let took_ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let watch = |progress| note.note(progress, took_ms());
        let opened = Broker::open(Arc::new(OsDisk), settings, outside, &surroundings, &watch);
        opened.inspect(|broker| note.end(&broker.store, took_ms()))
    });
    let opened = opening.await.map_err(|error| Refused::from(error.to_string()));
    let broker = match opened.and_then(|opened| opened) {
        Ok(broker) => Arc::new(broker),
        Err(why) => {
            ports.stop().await;
            return Err(why.into());
        }
    };

    let client = Arc::new(Client::new(Arc::new(Deaf)));
    let cluster = Arc::new(Cluster::new(&broker, &client));
    let _ = broker.others.set(cluster.clone());
    ports.open_to(&broker);
    let shell = Shell {
        broker: Arc::clone(&broker),
        client,
        cluster,
        config_file,
        stop: CancellationToken::new(),
        bell: Arc::default(),
    };
    let address = broker.identity.address.clone();
    let stop = shell.stop.clone();
    let (registered, known) = oneshot::channel();
    let task = tokio::spawn(shell.run(ports, asked, registered));
    Ok(Running { address, listening, stop, task, known })
}

async fn bind(options: &Options, port: u16) -> Result<Server, String> {
    let net = &options.settings.net;
    let idle = Duration::from_secs(net.server_channel_max_idle_time_seconds.unsigned_abs().into());
    let text = format!("{}:{port}", net.bind_address);
    let failed = |error: io::Error| {
        format!(
            "cannot listen on {text}: {error}; is another broker running? \
             (settings bindAddress and listenPort; port {port} is listenPort or listenPort - 2)"
        )
    };
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let ip: IpAddr = net
        .bind_address
        .parse()
        .map_err(|error: AddrParseError| failed(invalid(error.to_string())))?;
    let address = SocketAddr::new(ip, port);
    let descriptors = options.descriptors;
    let backlog = net.server_socket_backlog.unsigned_abs();
    let limits = PortOptions { idle, descriptors, backlog, ..PortOptions::default() };
    Server::bind(address, limits).await.map_err(failed)
}

/// The two ports, which are open before the store is.
struct Ports {
    opening: Arc<Opening>,
    gates: [Arc<Gate>; 2],
    tasks: [JoinHandle<()>; 2],
    stop: CancellationToken,
}

impl Ports {
    fn serve(main: Server, fast: Server) -> Self {
        let (opening, stop) = (Arc::<Opening>::default(), CancellationToken::new());
        let gates = std::array::from_fn(|_| {
            Arc::new(Gate { opening: Arc::clone(&opening), port: OnceLock::new() })
        });
        let run = |server: Server, gate: &Arc<Gate>| {
            let gate: Arc<dyn Serve> = gate.clone();
            tokio::spawn(server.run(gate, stop.clone()))
        };
        let tasks = [run(main, &gates[0]), run(fast, &gates[1])];
        Self { opening, gates, tasks, stop }
    }

    /// From now on requests reach the broker.
    fn open_to(&self, broker: &Arc<Broker>) {
        let (router, blocking) =
            (Arc::new(table::table()), Arc::new(Semaphore::new(BLOCKING_LIMIT)));
        for (gate, fast) in self.gates.iter().zip([false, true]) {
            gate.port.get_or_init(|| Port {
                broker: Arc::clone(broker),
                router: Arc::clone(&router),
                fast,
                runtime: Handle::current(),
                blocking: Arc::clone(&blocking),
                now_ms,
                idle: Mutex::default(),
            });
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

struct Shell {
    broker: Arc<Broker>,
    client: Arc<Client>,
    cluster: Arc<Cluster>,
    config_file: Option<PathBuf>,
    stop: CancellationToken,
    bell: Arc<Bell>,
}

impl Shell {
    /// Runs until it is asked to stop, or the store fails.
    async fn run(
        self,
        ports: Ports,
        asked: UnboundedReceiver<Outside>,
        registered: oneshot::Sender<()>,
    ) -> Result<(), Failure> {
        let threads = housekeeping::start(&self.broker, &self.bell, &self.stop);
        let shell = Arc::new(self);
        let errands = tokio::spawn(Arc::clone(&shell).errands(asked));
        tokio::select! {
            _ = shell.register(true) => {}
            () = shell.stop.cancelled() => {}
        }
        let _ = registered.send(());

        shell.stop.cancelled().await;
        shell.unregister().await;
        shell.broker.release_holds(now_ms());
        ports.stop().await;
        errands.abort();
        let _ = errands.await;
        shell.client.close().await;
        shell.bell.ring_for_the_last_time();
        shell.broker.wake_flusher();
        shell.broker.saving.stop();
        let failure = tokio::task::spawn_blocking(move || housekeeping::join(threads)).await;
        let failure = failure.unwrap_or_else(|error| Some(error.to_string()));
        let broker = Arc::clone(&shell.broker);
        let closed = tokio::task::spawn_blocking(move || broker.close(now_ms())).await;
        let text = match (failure, closed) {
            (Some(failure), _) => failure,
            (None, Ok(Ok(()))) => return Ok(()),
            (None, Ok(Err(error))) => error,
            (None, Err(error)) => error.to_string(),
        };
        let is_fenced = shell.broker.store.fence_reason().is_some();
        Err(Failure { text, cause: if is_fenced { Cause::Disk } else { Cause::Other } })
    }

    /// Does what the broker asks for. Name servers that do not answer hold up nothing else.
    async fn errands(self: Arc<Self>, mut asked: UnboundedReceiver<Outside>) {
        let (announce, changes) = mpsc::unbounded_channel();
        let (notify, changed) = mpsc::unbounded_channel();
        let working = async {
            while let Some(work) = asked.recv().await {
                match work {
                    Outside::Announce { change } => {
                        // While the broker stops nobody is told any more.
                        if announce.send(change).is_err() {
                            self.broker.saving.told(change);
                        }
                    }
                    Outside::Ask { peers, command, timeout, asker, then } => {
                        let shell = Arc::clone(&self);
                        tokio::spawn(async move {
                            let answers = ask_all(peers, &command, timeout).await;
                            then(&shell.broker, asker, answers);
                        });
                    }
                    Outside::Route { topic, asker, then } => {
                        let shell = Arc::clone(&self);
                        tokio::spawn(async move {
                            let route = announce::route(topic);
                            let route = shell.cluster.told(route).await;
                            asker.answer(then(&shell.broker, route));
                        });
                    }
                    Outside::Pops { held } => {
                        let broker = Arc::clone(&self.broker);
                        tokio::task::spawn_blocking(move || pop::go_on(&broker, held, now_ms()));
                    }
                    Outside::LitePop { held } => {
                        let broker = Arc::clone(&self.broker);
                        tokio::task::spawn_blocking(move || lite::go_on(&broker, held, now_ms()));
                    }
                    Outside::Notify { group } => {
                        // It is received as long as this runs.
                        let _ = notify.send(group);
                    }
                    Outside::SaveSettings { changes, asker, answer } => {
                        let answer = self.save_settings(changes).await.unwrap_or(answer);
                        if let Some((asker, answer)) = self.broker.saving.keep(asker, answer) {
                            asker.answer(answer);
                        }
                    }
                }
            }
        };
        tokio::join!(working, self.announcing(changes), self.notifying(changed));
    }

    /// Tells the members of large groups that these changed, of one group after the other: what
    /// changes meanwhile is told once.
    async fn notifying(&self, mut changed: UnboundedReceiver<Str>) {
        while let Some(group) = changed.recv().await {
            let broker = Arc::clone(&self.broker);
            let telling = tokio::task::spawn_blocking(move || broker.notify_members(&group));
            if let Err(error) = telling.await {
                tracing::error!(%error, "members of a group were not told that it changed");
            }
        }
    }

    /// Registers every now and then, whenever topics changed, and soon when a name server did not
    /// take it or its connection was lost: it may have forgotten us. Ends when the broker stops.
    async fn announcing(&self, mut changes: UnboundedReceiver<u64>) {
        let period = self.broker.settings().broker.register_name_server_period;
        let period = Duration::from_millis(period.unsigned_abs().into());
        let (mut look, mut registered) = (tokio::time::interval(LOOK), Instant::now());
        let mut wait = LOOK;
        let mut known = true;
        loop {
            let mut told = None;
            let all = tokio::select! {
                _ = look.tick() => {
                    known &= self.knows_all().await;
                    if registered.elapsed() < if known { period } else { wait } {
                        continue;
                    }
                    true
                }
                change = changes.recv() => {
                    let Some(change) = change else { return };
                    told = Some(change);
                    // A name server that came back meanwhile knows none of the other topics.
                    !known || !self.knows_all().await
                }
            };
            // One registration serves all changes that were made before it.
            while let Ok(change) = changes.try_recv() {
                told = Some(change);
            }
            tokio::select! {
                took = self.register(all) => known = took,
                // It would undo the leave-taking.
                () = self.stop.cancelled() => return self.broker.saving.told(u64::MAX),
            }
            if all {
                registered = Instant::now();
            }
            wait = if known { LOOK } else { (wait * 2).min(period) };
            if let Some(change) = told {
                self.broker.saving.told(change);
            }
        }
    }

    /// Whether the connection to each name server lives.
    async fn knows_all(&self) -> bool {
        let settings = self.broker.settings();
        for address in name_servers(&settings) {
            if !self.client.is_connected(address).await {
                return false;
            }
        }
        true
    }

    /// Tells every name server about this broker, at the same time, with all its topics or those
    /// that changed; gives whether all took it.
    async fn register(&self, all: bool) -> bool {
        let command = announce::register(&self.broker, all);
        if command.body.len() > announce::BODY_LIMIT {
            tracing::error!(
                bytes = command.body.len(),
                limit = announce::BODY_LIMIT,
                topics = self.broker.topics.len(),
                "the topics do not fit a registration: name servers close the connection, and no \
                 client finds this broker; delete topics, or move some to another broker"
            );
        }
        let timeout = self.broker.settings().broker.register_broker_timeout_mills;
        let timeout = Duration::from_millis(timeout.unsigned_abs().into());
        self.tell_all(command, timeout).await
    }

    async fn unregister(&self) {
        self.tell_all(announce::unregister(&self.broker), UNREGISTER).await;
    }

    async fn tell_all(&self, command: Command, timeout: Duration) -> bool {
        let settings = self.broker.settings();
        let all = AtomicBool::new(true);
        let tell = |address: &str| {
            let (address, command, all) = (address.to_owned(), command.clone(), &all);
            async move {
                let code = command.code();
                let answer = self.client.call(&address, command, timeout).await;
                let took = |answer: &Command| answer.response_code() == ResponseCode::SUCCESS;
                if !answer.as_ref().is_ok_and(took) {
                    all.store(false, Ordering::Relaxed);
                }
                match answer {
                    Ok(answer) if answer.response_code() == ResponseCode::SUCCESS => {
                        announce::learn(&self.broker, &answer, now_ms());
                    }
                    Ok(answer) => tracing::warn!(
                        name_server = %address, ?code, answer = ?answer.response_code(),
                        remark = answer.head.remark.as_deref(), "the name server refused"
                    ),
                    Err(error) => {
                        tracing::warn!(name_server = %address, ?code, %error, "not told");
                    }
                }
            }
        };
        let telling: Vec<_> = name_servers(&settings).map(tell).collect();
        join_all(telling).await;
        all.into_inner()
    }

    /// Gives what to answer when the file was not written.
    async fn save_settings(&self, changes: Vec<(String, String)>) -> Option<Answer> {
        let file = self.config_file.clone()?;
        let path = file.display().to_string();
        let saving =
            tokio::task::spawn_blocking(move || housekeeping::edit_settings(&file, &changes));
        let saved = saving.await.map_err(io::Error::other).and_then(|saved| saved);
        let error = saved.err()?;
        tracing::error!(%error, path, "changed settings were not written back");
        let remark = format!(
            "the settings are changed, but {path} could not be written: {error}. A restart \
             forgets them; make room or mend the file, then send them again"
        );
        Some(Refusal::new(ResponseCode::SYSTEM_ERROR, remark).into())
    }
}

/// Asks all of them at the same time; the answers come in the order of `peers`.
async fn ask_all(peers: Vec<Arc<Peer>>, command: &Command, timeout: Duration) -> Answers {
    let ask = |peer: Arc<Peer>| {
        let command = command.clone();
        tokio::spawn(async move { peer.call(command, timeout).await })
    };
    let asked: Vec<_> = peers.into_iter().map(ask).collect();
    let mut answers = Vec::with_capacity(asked.len());
    for answer in asked {
        answers.push(answer.await.unwrap_or(Err(CallError::Closed)));
    }
    answers
}

/// The addresses of the name servers.
pub(crate) fn name_servers(settings: &BrokerSettings) -> impl Iterator<Item = &str> {
    let addresses = settings.broker.namesrv_addr.as_deref().unwrap_or_default();
    addresses.split(';').map(str::trim).filter(|address| !address.is_empty())
}

/// Runs all at the same time on this task; there are a handful of name servers.
async fn join_all(futures: Vec<impl Future<Output = ()>>) {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pinned.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if pinned.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
