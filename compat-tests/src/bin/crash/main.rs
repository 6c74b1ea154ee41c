//! `crash`: a broker under full load is killed again and again, also while it recovers, and what it
//! acknowledged is held against what it has. The schedule of kills comes from a seed.

mod ledger;
mod load;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use compat_tests::places::{Places, make};
use compat_tests::process::{self, Running};
use compat_tests::say;
use compat_tests::server::free_port;

use crate::ledger::Ledger;
use crate::load::{Producer, QUEUES, Shared, TOPICS, consume, create_topics, places, read_again};

const PRODUCERS: usize = 4;
/// Cycles on one store: the next round begins with an empty one, so that disk and memory have a
/// bound.
const ROUND: u64 = 50;
/// The longest that a start may take until it accepts a send.
const START: Duration = Duration::from_secs(30);
/// Offsets are saved with a few syncs, one after the other.
const SYNCS: u32 = 4;
const DRAIN: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// Kills a broker under load and verifies that it lost nothing.
#[derive(Debug, Parser)]
struct Options {
    /// How often it is killed.
    #[arg(long, default_value_t = 50)]
    cycles: u64,
    /// The schedule of kills; another one each time if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// The broker's program; the one beside this one if it is not given.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// A row of numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % end
    }
}

/// One cycle: how the broker runs and when it is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cycle {
    sync_flush: bool,
    /// How long it serves after its first accepted send.
    load: Duration,
    /// Starts before it that are killed after so long, mostly while they recover.
    early: Vec<Duration>,
}

impl Cycle {
    fn draw(random: &mut Random) -> Self {
        let ms = Duration::from_millis;
        let sync_flush = random.below(2) == 0;
        let load = ms(50 + random.below(800));
        let early = if random.below(4) == 0 { 1 + random.below(5) } else { 0 };
        let early = (0..early).map(|_| ms(random.below(60))).collect();
        Self { sync_flush, load, early }
    }
}

/// What the summary tells.
#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    cycles: u64,
    acknowledged: u64,
    retried: u64,
    recovering: u64,
    redelivered: u64,
    oldest_lost_commit: Duration,
    /// From the start of a process to its first accepted send.
    restarts: Vec<Duration>,
}

impl Figures {
    fn add(&mut self, ledger: &Ledger) {
        self.acknowledged += ledger.acknowledged;
        self.retried += ledger.retried;
        self.recovering += ledger.recovering;
        self.redelivered += ledger.redelivered;
        self.oldest_lost_commit = self.oldest_lost_commit.max(ledger.oldest_lost_commit);
    }

    fn say(&mut self) {
        self.restarts.sort_unstable();
        let part = |part: usize| self.restarts.get((self.restarts.len() * part / 100).max(1) - 1);
        let ms = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
        say(&format!(
            "{} kills in {} cycles, half of them under SYNC_FLUSH; {} sends acknowledged, {} sent \
             again, {} requests answered with \"recovering\"; {} messages delivered again, the \
             oldest commit lost was {} ms old; restart to first accepted send: median {} ms, 99 % \
             {} ms, longest {} ms",
            self.kills,
            self.cycles,
            self.acknowledged,
            self.retried,
            self.recovering,
            self.redelivered,
            self.oldest_lost_commit.as_millis(),
            ms(part(50)),
            ms(part(99)),
            ms(part(100)),
        ));
    }
}

/// The broker's process, its directory and its port.
struct Broker {
    binary: PathBuf,
    directory: PathBuf,
    port: u16,
    running: Option<Running>,
}

impl Broker {
    fn new(binary: &Path, directory: PathBuf) -> Result<Self> {
        make(&directory)?;
        Ok(Self { binary: binary.to_owned(), directory, port: free_port()?, running: None })
    }

    fn start(&mut self, sync_flush: bool) -> Result<()> {
        let (file, port) = (self.directory.join("broker.conf"), self.port);
        let flush = if sync_flush { "SYNC_FLUSH" } else { "ASYNC_FLUSH" };
        // Files so small that each cycle rolls some, and pulls that bring much.
        let text = format!(
            "brokerName=crash\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={port}\n\
             storePathRootDir={}/store\nflushDiskType={flush}\nautoCreateTopicEnable=false\n\
             mappedFileSizeCommitLog=8388608\nmappedFileSizeConsumeQueue=40000\n\
             maxHashSlotNum=5000\nmaxIndexNum=20000\n\
             maxTransferCountOnMessageInMemory=1024\nmaxTransferCountOnMessageInDisk=1024\n\
             maxTransferBytesOnMessageInMemory=4194304\nmaxTransferBytesOnMessageInDisk=4194304\n",
            self.directory.display(),
        );
        std::fs::write(&file, text)?;
        let mut command = process::tied(&self.binary);
        command.arg("broker").arg("-c").arg(&file).env_remove("NAMESRV_ADDR");
        let log = self.directory.join("broker.out");
        self.running = Some(Running::start("broker", &mut command, &log)?);
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        self.running.as_mut().context("it was started")?.check()
    }

    fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    fn stop(&mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), |running| running.stop(STOP))
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = options.seed.unwrap_or(now.as_micros() as u64 % 1_000_000_000);
    say(&format!("crash --cycles {} --seed {seed}", options.cycles));
    match run(&options, seed) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("crash --seed {seed}: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options, seed: u64) -> Result<bool> {
    let places = Places::around_this_program()?;
    let binary = options.binary.clone().unwrap_or_else(|| places.binaries.join("rockhopper"));
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (mut figures, mut left) = (Figures::default(), options.cycles);
    while left > 0 {
        let cycles: Vec<Cycle> = (0..left.min(ROUND)).map(|_| Cycle::draw(&mut random)).collect();
        left -= cycles.len() as u64;
        let directory = places.scratch.join(format!("crash-{left}"));
        let mut broker = Broker::new(&binary, directory)?;
        let problems = round(&mut broker, cycles, &mut figures);
        if !matches!(&problems, Ok(problems) if problems.is_empty()) {
            figures.say();
            say(&format!("store and log: {}", broker.directory.display()));
            problems?.iter().for_each(|problem| say(&format!("FAIL {problem}")));
            return Ok(false);
        }
        std::fs::remove_dir_all(&broker.directory)?;
    }
    figures.say();
    say("nothing acknowledged was lost, nothing is there twice that was sent once");
    std::fs::remove_dir_all(&places.scratch)?;
    Ok(true)
}

/// Runs cycles on one store; gives what must not be.
fn round(broker: &mut Broker, cycles: Vec<Cycle>, figures: &mut Figures) -> Result<Vec<String>> {
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        broker: SocketAddr::from((Ipv4Addr::LOCALHOST, broker.port)),
        ledger: Mutex::new(Ledger::new(TOPICS * QUEUES)),
        turn: Mutex::default(),
        enough: AtomicBool::new(false),
        stop: AtomicBool::new(false),
    }));
    broker.start(false)?;
    let since = Instant::now();
    while let Err(error) = shared.line().and_then(|mut line| create_topics(&mut line)) {
        broker.check()?;
        if since.elapsed() > START {
            return Err(error);
        }
        sleep(Duration::from_millis(5));
    }
    let mut producers: Vec<_> = (0..PRODUCERS)
        .map(|number| spawn(move || Producer::new(shared, number * 5).run()))
        .collect();
    let consumer = spawn(move || consume(shared));
    let mut ran = Ok(());
    for cycle in cycles {
        ran = ran.and_then(|()| one(broker, shared, &cycle, figures));
        if ran.is_err() || !shared.ledger().problems.is_empty() {
            break;
        }
        figures.cycles += 1;
    }
    shared.enough.store(true, Ordering::Relaxed);
    ran = ran.and_then(|()| {
        producers.drain(..).for_each(|producer| drop(producer.join()));
        read_everything(broker, shared)
    });
    shared.stop.store(true, Ordering::Relaxed);
    producers.drain(..).for_each(|producer| drop(producer.join()));
    drop(consumer.join());
    ran?;
    broker.stop()?;
    let mut ledger = shared.ledger();
    ledger.close();
    figures.add(&ledger);
    let mut empty = Ledger::new(0);
    std::mem::swap(&mut *ledger, &mut empty);
    Ok(empty.problems)
}

/// One kill, perhaps several while it recovers, and what must hold behind them.
fn one(broker: &mut Broker, shared: &Shared, cycle: &Cycle, figures: &mut Figures) -> Result<()> {
    broker.kill();
    let killed = Instant::now();
    // From here on nobody commits until it is known what the broker still has.
    let turn = shared.turn.lock();
    shared.ledger().syncs = SYNCS * sync_time(&broker.directory)?;
    for time in &cycle.early {
        broker.start(cycle.sync_flush)?;
        sleep(*time);
        broker.kill();
    }
    figures.kills += 1 + cycle.early.len() as u64;
    // Later a message may be known before it can be read: one that did not wait for its flush.
    let must = shared.ledger().ends();
    let since = Instant::now();
    broker.start(cycle.sync_flush)?;
    let mut first = Producer::new(shared, 3);
    while !matches!(first.send_first(), Ok(1..)) {
        broker.check()?;
        if since.elapsed() > START {
            bail!("no send was accepted within {} s of a start", START.as_secs());
        }
        sleep(Duration::from_millis(1));
    }
    figures.restarts.push(since.elapsed());
    let mut line = shared.line()?;
    let (stands, ends): (Vec<usize>, Vec<usize>) = places(&mut line)?.into_iter().unzip();
    let known: Vec<usize> = {
        let mut ledger = shared.ledger();
        for (queue, (stands, end)) in stands.iter().zip(&ends).enumerate() {
            ledger.restarted_at(queue, *stands, killed);
            ledger.ends_at(queue, *end, must[queue]);
        }
        (0..stands.len()).map(|queue| ledger.position(queue)).collect()
    };
    if shared.ledger().problems.is_empty() {
        read_again(shared, &mut line, &stands, &known)?;
    }
    drop(turn);
    sleep(cycle.load);
    broker.check()
}

/// How long it takes to write a small file here.
fn sync_time(directory: &Path) -> Result<Duration> {
    let since = Instant::now();
    let mut file = std::fs::File::create(directory.join("probe"))?;
    file.write_all(b"probe")?;
    file.sync_all()?;
    Ok(since.elapsed())
}

/// Waits until everything was read, then reads all of it once more from the beginning.
fn read_everything(broker: &mut Broker, shared: &Shared) -> Result<()> {
    let mut line = shared.line()?;
    let ends: Vec<usize> = places(&mut line)?.into_iter().map(|(_, end)| end).collect();
    let since = Instant::now();
    while (0..ends.len()).any(|queue| shared.ledger().position(queue) < ends[queue]) {
        broker.check()?;
        if since.elapsed() > DRAIN {
            bail!("not everything could be read within {} s", DRAIN.as_secs());
        }
        sleep(Duration::from_millis(5));
    }
    let _turn = shared.turn.lock();
    read_again(shared, &mut line, &vec![0; ends.len()], &ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_schedule() {
        let draw = |seed| {
            let mut random = Random(seed);
            (0..200).map(|_| Cycle::draw(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(7));
        let cycles = draw(5);
        assert!(cycles.iter().any(|cycle| cycle.early.len() == 5));
        assert!(cycles.iter().any(|cycle| cycle.sync_flush));
    }
}
