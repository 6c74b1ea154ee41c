//! Runs the shells of name server and broker on one runtime until a signal comes.
//!
//! The order matters: a broker starts after the name server that it registers with, and leaves the
//! routes before that name server stops.

use std::io::{self, Write};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use broker::server::Cause;
use settings::{BrokerSettings, Checked, Given, NamesrvSettings};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::banner::{Facts, banner, broker_address, broker_line, listens, namesrv_line, promise};
use crate::cli::{Dev, Server};
use crate::config::{Loaded, host_ip, load, load_from, pairs};
use crate::surroundings;
use crate::{DISK_FAILED, FAILED, WRONG_CONFIG, print, tell};

/// How long a clean stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Signals that come so close together are one: `timeout` sends its signal to the process and to
/// its group.
const ONE_SIGNAL: Duration = Duration::from_millis(500);
/// How long work on other threads may go on after everything has stopped.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Java's flags that print settings: prints them when they were asked for.
fn printed<S: settings::Family>(server: &Server, checked: &Checked<S>) -> Option<ExitCode> {
    if server.print_all {
        return Some(print(&checked.settings.to_printed_text()));
    }
    server.print_important.then(|| print(&checked.settings.to_important_text()))
}

/// `rockhopper namesrv`.
pub(crate) fn namesrv(server: &Server) -> Loaded<ExitCode> {
    let checked = load::<NamesrvSettings>(server)?;
    let printed = printed(server, &checked);
    Ok(printed.unwrap_or_else(|| serve(Roles { namesrv: Some(checked.settings), broker: None })))
}

/// `rockhopper broker`.
pub(crate) fn broker(server: &Server) -> Loaded<ExitCode> {
    let checked = load::<BrokerSettings>(server)?;
    if let Some(printed) = printed(server, &checked) {
        return Ok(printed);
    }
    let told: Option<IpAddr> = checked.settings.broker.broker_ip1.parse().ok();
    let address_from = match checked.source("brokerIP1") {
        Some(source) => format!("brokerIP1, from {source}"),
        None if told.is_some_and(|told| told.is_loopback()) => {
            "no other address was found: clients elsewhere need brokerIP1".to_owned()
        }
        None => "this machine's first address; brokerIP1 changes it".to_owned(),
    };
    let role = BrokerRole {
        host_ip: host_ip(&checked.settings)?,
        settings: checked.settings,
        config_file: server.config_file.clone(),
        address_from,
    };
    Ok(serve(Roles { namesrv: None, broker: Some(role) }))
}

/// `rockhopper dev`: both, on the ports that every tutorial names.
pub(crate) fn dev(dev: &Dev) -> Loaded<ExitCode> {
    let data = std::path::absolute(&dev.data).unwrap_or_else(|_| dev.data.clone());
    let path = |file: &str| data.join(file).display().to_string();
    let (root, kv) = (data.display().to_string(), path("namesrv/kvConfig.json"));
    let (store, port) = (path("namesrv/namesrv.properties"), dev.namesrv_port.to_string());
    let given = |source, key, value| Given { source, key, value };
    let names = load_from::<NamesrvSettings>(
        None,
        &[
            given("--bind", "bindAddress", &dev.bind),
            given("--namesrv-port", "listenPort", &port),
            given("--data", "kvConfigPath", &kv),
            given("--data", "configStorePath", &store),
        ],
    )?;

    // An address that means "all of them" is nothing that a client could connect to.
    let everywhere = dev.bind.parse().is_ok_and(|bind: IpAddr| bind.is_unspecified());
    let reachable = if everywhere { "127.0.0.1" } else { dev.bind.as_str() };
    let (servers, port) =
        (format!("{reachable}:{}", dev.namesrv_port), dev.broker_port.to_string());
    let mut options = vec![
        given("dev", "brokerName", "broker-a"),
        given("dev", "namesrvAddr", &servers),
        given("--bind", "bindAddress", &dev.bind),
        given("--broker-port", "listenPort", &port),
        given("--data", "storePathRootDir", &root),
    ];
    if !everywhere {
        options.push(given("--bind", "brokerIP1", &dev.bind));
        options.push(given("--bind", "brokerIP2", &dev.bind));
    }
    options.extend(pairs(&dev.set)?);
    let checked = load_from::<BrokerSettings>(None, &options)?;
    let address_from = checked.source("brokerIP1").unwrap_or("this machine's first address");
    let broker = BrokerRole {
        address_from: format!("from {address_from}"),
        host_ip: host_ip(&checked.settings)?,
        settings: checked.settings,
        config_file: None,
    };
    Ok(serve(Roles { namesrv: Some(names.settings), broker: Some(broker) }))
}

/// What one process runs.
struct Roles {
    namesrv: Option<NamesrvSettings>,
    broker: Option<BrokerRole>,
}

struct BrokerRole {
    settings: BrokerSettings,
    config_file: Option<PathBuf>,
    /// Where the address came from that clients are told.
    address_from: String,
    /// What it is, where it is a host name.
    host_ip: Option<IpAddr>,
}

/// Runs until a signal comes or something fails.
fn serve(roles: Roles) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(start_and_wait(roles));
        runtime.shutdown_timeout(LAST_WORK);
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error:#}"));
            let failure = error.downcast_ref::<broker::server::Failure>();
            ExitCode::from(match failure.map(|failure| failure.cause) {
                Some(Cause::Disk) => DISK_FAILED,
                Some(Cause::Settings) => WRONG_CONFIG,
                Some(Cause::Other) | None => FAILED,
            })
        }
    }
}

async fn start_and_wait(roles: Roles) -> anyhow::Result<()> {
    let mut signals = Signals::watch().context("signals cannot be watched")?;
    let (text, ready) = (start_text(&roles), Ready::of(&roles));
    let descriptors = surroundings::descriptors();
    let Roles { namesrv, broker } = roles;
    let namesrv = match namesrv {
        Some(settings) => Some(RunningNamesrv::start(settings, descriptors).await?),
        None => None,
    };
    let broker = match broker {
        Some(BrokerRole { settings, config_file, host_ip, .. }) => {
            let surroundings = surroundings::of_broker(host_ip);
            tracing::info!("a send is {}", promise(&settings.store));
            let options =
                broker::server::Options { settings, config_file, surroundings, descriptors };
            Some(signals.unless_stopped(broker::server::start(options)).await?)
        }
        None => None,
    };
    let announce = || {
        log_ready(&ready);
        // A supervisor may have closed standard output; that is no reason to stop.
        let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    };
    let result = match broker {
        Some(mut broker) => {
            let runs = async {
                broker.registered().await;
                announce();
                broker.stopped().await
            };
            // It takes messages before it is announced: a signal ends with a clean stop.
            let ended = tokio::select! {
                () = signals.stopping() => None,
                ended = runs => Some(ended),
            };
            broker.stop();
            let ended = match ended {
                Some(ended) => ended,
                None => signals.unless_again(broker.stopped()).await,
            };
            if ended.is_ok() {
                tracing::info!("the broker has stopped cleanly");
            }
            ended.map_err(anyhow::Error::new)
        }
        None => {
            announce();
            signals.stopping().await;
            Ok(())
        }
    };
    if let Some(namesrv) = namesrv {
        signals.unless_again(namesrv.stop()).await;
        tracing::info!("the name server has stopped cleanly");
    }
    result
}

/// What the log says of a start: the banner has no date, and often goes elsewhere.
struct Ready {
    /// Where the name server listens.
    namesrv: Option<String>,
    /// The broker's name, the address that clients are told, and its store.
    broker: Option<(String, String, String)>,
}

impl Ready {
    fn of(roles: &Roles) -> Self {
        let broker = roles.broker.as_ref().map(|broker| &broker.settings);
        Self {
            namesrv: roles.namesrv.as_ref().map(|settings| listens(&settings.net)),
            broker: broker.map(|settings| {
                let root = settings.store.store_path_root_dir.clone();
                (settings.broker.broker_name.clone(), broker_address(settings), root)
            }),
        }
    }
}

fn log_ready(ready: &Ready) {
    let version = env!("ROCKHOPPER_VERSION");
    if let Some(address) = &ready.namesrv {
        tracing::info!(%address, %version, "the name server is ready");
    }
    if let Some((name, address, store)) = &ready.broker {
        tracing::info!(%name, %address, %store, %version, "the broker is ready");
    }
}

/// Banner and Java's lines, made before the settings are handed over.
fn start_text(roles: &Roles) -> String {
    let broker = roles.broker.as_ref();
    let settings = broker.map(|broker| &broker.settings);
    let root = settings.map(|settings| settings.store.store_path_root_dir.as_str());
    let mut text = banner(&Facts {
        namesrv: roles.namesrv.as_ref(),
        broker: settings,
        address_from: broker.map_or("", |broker| &broker.address_from),
        space: root.and_then(|root| surroundings::space(root.as_ref())),
    });
    let lines = [roles.namesrv.as_ref().map(namesrv_line), settings.map(broker_line)];
    text.extend(lines.into_iter().flatten().map(|line| line + "\n"));
    text
}

struct RunningNamesrv {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningNamesrv {
    async fn start(settings: NamesrvSettings, descriptors: RawFd) -> anyhow::Result<Self> {
        let server = namesrv::server::Server::bind(settings, descriptors).await?;
        let stop = CancellationToken::new();
        Ok(Self { task: tokio::spawn(server.run(stop.clone())), stop })
    }

    async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the name server's task failed");
        }
    }
}

/// The signals that end a process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is gone; Java's shutdown hook runs then as well. Not under `nohup`.
    hang_up: Option<Signal>,
    /// A file may not grow any more (`ulimit -f`). Watched so that it does not end the process:
    /// the write that met it fails with an error.
    _file_size: Signal,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: match surroundings::ignores_hang_up() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
            _file_size: signal(SignalKind::from_raw(surroundings::FILE_SIZE_SIGNAL))?,
        })
    }

    /// Waits for the signal to stop.
    async fn stopping(&mut self) {
        self.next().await;
        tell("stopping; a second signal stops at once, without flushing");
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = hung_up(self.hang_up.as_mut()) => {}
        }
    }

    /// Waits for a signal that is not the one that has just come once more.
    async fn another(&mut self) {
        let came = Instant::now();
        loop {
            self.next().await;
            if came.elapsed() >= ONE_SIGNAL {
                return;
            }
        }
    }

    /// Waits for a start, unless a signal comes: what it has recovered by then stays so, and the
    /// next start goes on. To stop when asked is no failure.
    async fn unless_stopped<T>(&mut self, start: impl Future<Output = T>) -> T {
        tokio::select! {
            started = start => return started,
            () = self.next() => tell("stopped during the start; the next one goes on"),
        }
        std::process::exit(0);
    }

    /// Waits for work that ends the process cleanly, unless a second signal comes or it takes
    /// too long.
    async fn unless_again<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => return done,
            () = self.another() => tell("stopped at once; the next start recovers the store"),
            () = tokio::time::sleep(STOP_LIMIT) => {
                tell(&format!("error: not stopped within {} s", STOP_LIMIT.as_secs()));
            }
        }
        std::process::exit(FAILED.into());
    }
}

/// Waits for the terminal's end, for ever if nobody cares.
async fn hung_up(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
