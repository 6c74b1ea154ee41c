//! Stock clients as load: the benchmark programs that come with the Java and the Go client. They
//! drive themselves; here it is counted what they got done and what that cost them and the broker.
//! How far they are is asked of the broker, not read from what they print.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::control::Control;
use crate::frame::Form;
use crate::load::Target;
use crate::load::send::{self, SendLoad};
use crate::outcome::{Outcome, Tally};
use crate::process::Usage;

const TOPIC: &str = "bench-stock";
const GROUP: &str = "bench-stock";
const QUEUES: u32 = 16;
/// Threads of the client.
const THREADS: &str = "16";
/// Messages that are written for a consumer.
const STOCK: u64 = 1_500_000;
/// Messages that are not counted: the client's compiler is not done with its path.
const WARM_UP: i64 = 50_000;
/// How often it is looked how far the client is.
const LOOK: Duration = Duration::from_millis(100);
/// How long a client may take to come to the first message that counts.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program of the stock clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stock {
    /// `org.apache.rocketmq.example.benchmark.Producer`
    JavaProducer,
    /// `org.apache.rocketmq.example.benchmark.Consumer`, a push consumer
    JavaConsumer,
    /// `rocketmq-client-go/v2/benchmark`
    GoProducer,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StockLoad {
    pub(crate) which: Stock,
    /// How long it is counted.
    pub(crate) seconds: u64,
}

/// Where the programs are, and whom they ask.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) name_server: SocketAddr,
    /// The stock broker's jars, the client among them.
    pub(crate) jars: PathBuf,
    /// `rocketmq-example` and the Go program.
    pub(crate) stock: PathBuf,
    /// For what they write.
    pub(crate) home: PathBuf,
}

impl Programs {
    fn command(&self, which: Stock) -> Result<Command> {
        let found = |path: PathBuf| {
            let real = path.canonicalize();
            real.with_context(|| format!("no {}; scripts/bench-vs-java fetches it", path.display()))
        };
        let name_server = self.name_server.to_string();
        if which == Stock::GoProducer {
            let mut go = Command::new(found(self.stock.join("go-benchmark"))?);
            go.args(["producer", "-n", &name_server, "-t", TOPIC, "-g", GROUP]);
            go.args(["-s", "128", "-i", THREADS, "-m", "10"]);
            return Ok(go);
        }
        let example = found(self.stock.join("rocketmq-example-5.5.0.jar"))?;
        let mut java = Command::new("java");
        java.args(["-Xms1g", "-Xmx1g", "-XX:+UseG1GC"]);
        java.arg(format!("-Duser.home={}", self.home.display()));
        let class_path = format!("{}/*:{}", found(self.jars.clone())?.display(), example.display());
        java.args(["-cp", &class_path]);
        let class = match which {
            Stock::JavaConsumer => "Consumer",
            _ => "Producer",
        };
        java.arg(format!("org.apache.rocketmq.example.benchmark.{class}"));
        java.args(["-n", &name_server, "-t", TOPIC, "-w", THREADS]);
        match which {
            Stock::JavaConsumer => java.args(["-g", GROUP]),
            _ => java.args(["-s", "128"]),
        };
        Ok(java)
    }

    fn start(&self, which: Stock) -> Result<Running> {
        let mut command = self.command(which)?;
        let log = File::create(self.home.join("client.out"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.current_dir(&self.home).env("HOME", &self.home);
        command.env("ROCKETMQ_GO_LOG_LEVEL", "error");
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Running(child))
    }
}

/// A client, which ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How far the client is and what was used, at one moment.
struct Seen {
    at: Instant,
    messages: i64,
    client: Usage,
    broker: Usage,
}

/// Runs the program until it was counted for long enough, or a consumer has all.
pub(crate) fn run(target: &Target, programs: &Programs, load: StockLoad) -> Result<Outcome> {
    let pid = target.pid.context("the broker's process must be known")?;
    let mut control = Control::open(target.broker)?;
    control.create_topic(TOPIC, QUEUES)?;
    let reads = load.which == Stock::JavaConsumer;
    if reads {
        fill(target)?;
    }
    let before = progress(&mut control, reads)?;
    let mut client = programs.start(load.which)?;
    let begun = Instant::now();
    let (mut first, mut last): (Option<Seen>, Option<Seen>) = (None, None);
    loop {
        sleep(LOOK);
        if let Some(status) = client.0.try_wait()? {
            bail!("the client ended with {status}: see {}", programs.home.display());
        }
        let messages = progress(&mut control, reads)? - before;
        let (client, broker) = (Usage::of(client.0.id())?, Usage::of(pid)?);
        let seen = Seen { at: Instant::now(), messages, client, broker };
        let Some(first) = &first else {
            ensure!(begun.elapsed() < PATIENCE, "{messages} messages in {PATIENCE:?}");
            if messages >= WARM_UP {
                first = Some(seen);
            }
            continue;
        };
        // Consumers say how far they are each five seconds: what counts is when they say so.
        if last.as_ref().unwrap_or(first).messages < messages {
            last = Some(seen);
        }
        let is_over = first.at.elapsed() > Duration::from_secs(load.seconds);
        if is_over || reads && messages >= STOCK as i64 {
            break;
        }
    }
    let (first, last) = first.zip(last).context("the client came no further")?;
    let mut tally = Tally::new()?;
    tally.messages = (last.messages - first.messages).unsigned_abs();
    let spent = last.client.processor - first.client.processor;
    let client_us = spent.as_secs_f64() * 1e6 / tally.messages.max(1) as f64;
    let outcome = tally.finish(last.at - first.at, Some((first.broker, last.broker)), 0);
    Ok(Outcome { client_us, ..outcome })
}

fn fill(target: &Target) -> Result<()> {
    let load = SendLoad {
        connections: 4,
        window: 64,
        body: 128,
        topics: 1,
        queues: QUEUES,
        form: Form::Json,
        count: STOCK,
        seconds: 300,
    };
    send::fill(target, TOPIC, &load).map(drop)
}

/// Messages that are stored, or that the group has said to have consumed.
fn progress(control: &mut Control, reads: bool) -> Result<i64> {
    let mut one = |queue| match reads {
        true => control.committed(GROUP, TOPIC, queue),
        false => Ok(control.offsets(TOPIC, queue)?.end),
    };
    (0..QUEUES).map(&mut one).sum()
}
