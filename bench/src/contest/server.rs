//! Starts and ends a contestant: its processes, its store, its properties. Measures its start.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::contest::Options;
use crate::contest::jobs::Stage;
use crate::contest::stock::Programs;
use crate::control::Control;
use crate::load::send::{self, SendLoad};
use crate::load::{Target, unix_ms};
use crate::outcome::Outcome;
use crate::process::Usage;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Contestant {
    /// Rockhopper.
    Ours,
    /// The stock Java broker.
    Java,
    /// The null server of this program.
    Null,
}

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// After this a started server is idle.
const CALM: Duration = Duration::from_secs(3);
/// How long it is under load before it is killed.
const UNDER_LOAD: Duration = Duration::from_secs(1);

/// What the stock scripts give the JVM so that it may unmap files and reach into java.nio.
const JAVA_OPENS: &[&str] = &[
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
];

/// What was seen of a server before the first job.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The start, as a latency.
    pub(crate) start: Outcome,
    /// The memory of all its processes when idle.
    pub(crate) idle: Outcome,
}

/// A running contestant; its processes and its store end with the value.
#[derive(Debug)]
pub(crate) struct Server {
    kind: (Contestant, Stage),
    /// Name server first, broker last.
    children: Vec<Child>,
    store: PathBuf,
    address: SocketAddr,
    start: Duration,
}

impl Server {
    /// Starts it on an empty store and waits until it has accepted a message.
    pub(crate) fn start(options: &Options, contestant: Contestant, stage: Stage) -> Result<Self> {
        let store = options.scratch.join(format!("{contestant:?}").to_lowercase());
        if store.exists() {
            fs::remove_dir_all(&store).with_context(|| format!("empty {}", store.display()))?;
        }
        fs::create_dir_all(&store).with_context(|| format!("create {}", store.display()))?;
        let store = store.canonicalize()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port + 10));
        let taken = Control::open(address).is_ok();
        ensure!(!taken, "{address} is in use: end that server, or choose another --port");
        // What the one before left in the page cache is not this one's burden.
        rustix::fs::sync();
        let start = Instant::now();
        let (kind, children) = ((contestant, stage), Vec::new());
        let mut server = Self { kind, children, store, address, start: Duration::ZERO };
        server.spawn_all(options)?;
        server.wait_for_send()?;
        server.start = start.elapsed();
        Ok(server)
    }

    /// Stores what the load says, kills all processes while more is being sent, starts them on the
    /// same store and tells how long that takes to the first accepted message.
    pub(crate) fn start_after_kill(
        &mut self,
        options: &Options,
        load: &SendLoad,
    ) -> Result<Outcome> {
        let target = self.target();
        send::run(&target, load)?;
        let more = SendLoad { count: u64::MAX, seconds: 60, ..*load };
        let sender = spawn(move || send::run(&target, &more));
        sleep(UNDER_LOAD);
        self.children.iter_mut().try_for_each(Child::kill)?;
        for child in &mut self.children {
            child.wait()?;
        }
        self.children.clear();
        ensure!(sender.join().is_ok_and(|sent| sent.is_err()), "it was killed under load");
        let start = Instant::now();
        self.spawn_all(options)?;
        self.wait_for_send()?;
        Ok(started(start.elapsed()))
    }

    fn spawn_all(&mut self, options: &Options) -> Result<()> {
        let (contestant, stage) = self.kind;
        if contestant == Contestant::Null {
            let mut null = Command::new(std::env::current_exe()?);
            null.args(["null", "--port", &self.address.port().to_string()]);
            return self.spawn(null, "null");
        }
        let names = (options.port, self.store.join("namesrv.properties"));
        fs::write(&names.1, format!("listenPort={}\n", names.0))?;
        let broker = self.store.join("broker.properties");
        fs::write(&broker, self.broker_properties(names.0, stage))?;
        let (name_server, broker) = match contestant {
            Contestant::Java => (
                self.java(options, "512m", "namesrv.NamesrvStartup", &names.1)?,
                self.java(options, "2g", "broker.BrokerStartup", &broker)?,
            ),
            _ => (
                ours(&options.rockhopper, "namesrv", &names.1)?,
                ours(&options.rockhopper, "broker", &broker)?,
            ),
        };
        self.spawn(name_server, "namesrv")?;
        self.spawn(broker, "broker")
    }

    fn broker_properties(&self, name_server_port: u16, stage: Stage) -> String {
        let store = self.store.join("store");
        let flush = match stage {
            Stage::Sync => "SYNC_FLUSH",
            _ => "ASYNC_FLUSH",
        };
        let files = match stage {
            Stage::Rolling => {
                "mappedFileSizeCommitLog=67108864\nfileReservedTime=0\ncleanResourceInterval=1000\n"
            }
            _ => "",
        };
        format!(
            "{files}brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\n\
             brokerRole=ASYNC_MASTER\nflushDiskType={flush}\nautoCreateTopicEnable=true\n\
             brokerIP1=127.0.0.1\nlistenPort={}\nhaListenPort={}\n\
             namesrvAddr=127.0.0.1:{name_server_port}\n\
             storePathRootDir={store}\nstorePathCommitLog={store}/commitlog\n",
            self.address.port(),
            self.address.port() + 1,
            store = store.display(),
        )
    }

    fn java(&self, options: &Options, heap: &str, class: &str, file: &Path) -> Result<Command> {
        let jars = options.jars.canonicalize();
        let jars = jars.with_context(|| format!("no jars in {}", options.jars.display()))?;
        let mut java = Command::new("java");
        java.args([format!("-Xms{heap}"), format!("-Xmx{heap}"), "-XX:+UseG1GC".to_owned()]);
        java.args(JAVA_OPENS);
        java.arg(format!("-Duser.home={}", self.store.display()));
        java.arg("-cp").arg(jars.join("*"));
        java.arg(format!("org.apache.rocketmq.{class}")).arg("-c").arg(file);
        java.env("ROCKETMQ_HOME", &self.store);
        Ok(java)
    }

    fn spawn(&mut self, mut command: Command, name: &str) -> Result<()> {
        let log = File::create(self.store.join(format!("{name}.out")))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.current_dir(&self.store);
        let child =
            command.spawn().with_context(|| format!("start {:?}", command.get_program()))?;
        self.children.push(child);
        Ok(())
    }

    /// A name server of its own may still be starting, so the topic is asked of the broker alone.
    fn wait_for_send(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let first = Control::open(self.address).and_then(|mut control| {
                control.create_topic("bench-start", 4)?;
                control.send("bench-start", unix_ms())
            });
            let Err(error) = first else { return Ok(()) };
            for child in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    bail!("a server ended with {status}; {}", self.last_words());
                }
            }
            if start.elapsed() > PATIENCE {
                return Err(
                    error.context(format!("no start in {PATIENCE:?}; {}", self.last_words()))
                );
            }
            sleep(Duration::from_millis(2));
        }
    }

    fn last_words(&self) -> String {
        let names = ["namesrv.out", "broker.out", "null.out"];
        let logs = names.iter().filter_map(|name| fs::read_to_string(self.store.join(name)).ok());
        let lines: String = logs.collect();
        let lines: Vec<&str> = lines.lines().collect();
        format!("it said:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    /// The broker, for the jobs.
    pub(crate) fn target(&self) -> Target {
        let pid = self.children.last().map(Child::id);
        Target { broker: self.address, pid, store: Some(self.store.join("store")) }
    }

    /// What stock clients need to know.
    pub(crate) fn programs(&self, options: &Options) -> Programs {
        Programs {
            name_server: SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)),
            jars: options.jars.clone(),
            stock: options.stock_clients.clone(),
            home: self.store.clone(),
        }
    }

    /// Waits until it is calm and tells what start and idling cost.
    pub(crate) fn facts(&self) -> Result<Facts> {
        let start = started(self.start);
        sleep(CALM);
        let mut idle = Outcome::default();
        for child in &self.children {
            let usage = Usage::of(child.id())?;
            idle.anonymous_mib += usage.anonymous_kib as f64 / 1024.0;
            idle.resident_mib += usage.resident_kib as f64 / 1024.0;
        }
        Ok(Facts { start, idle })
    }
}

/// A start as an outcome.
fn started(took: Duration) -> Outcome {
    let us = took.as_secs_f64() * 1e6;
    Outcome { p50_us: us, p99_us: us, p999_us: us, max_us: us, ..Outcome::default() }
}

fn ours(binary: &Path, role: &str, file: &Path) -> Result<Command> {
    let path = binary.canonicalize();
    let path = path.with_context(|| format!("no binary at {}", binary.display()))?;
    let mut command = Command::new(path);
    command.arg(role).arg("-c").arg(file);
    Ok(command)
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Already ended is as good as ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.store);
    }
}
