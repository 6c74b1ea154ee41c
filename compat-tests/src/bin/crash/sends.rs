//! Sends under kills: what was acknowledged is where it was said, once, and consumers go on where
//! they committed.

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use compat_tests::say;

use crate::asks::QUEUES;
use crate::broker::Broker;
use crate::ledger::Ledger;
use crate::load::{Producer, Shared, TOPICS, consume, create_topics, places, read_again};
use crate::schedule::{Cycle, Load, Random, START, Stage};

const PRODUCERS: usize = 4;
/// Cycles on one store: the next round begins with an empty one, so that disk and memory have a
/// bound.
const ROUND: u64 = 50;
/// Offsets are saved with a few syncs, one after the other.
const SYNCS: u32 = 4;
const DRAIN: Duration = Duration::from_secs(60);

/// The load.
#[derive(Debug)]
pub(crate) struct Sends {
    /// Cycles that are left.
    left: u64,
    figures: Figures,
}

impl Sends {
    /// For so many cycles.
    pub(crate) fn new(cycles: u64) -> Self {
        Self { left: cycles, figures: Figures::default() }
    }
}

impl Load for Sends {
    /// Index files so small that each cycle rolls some.
    fn settings(&self) -> &'static str {
        "maxHashSlotNum=5000\nmaxIndexNum=20000\n"
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }

    fn round(&mut self, broker: &mut Broker, random: &mut Random) -> Result<Vec<String>> {
        let cycles: Vec<Cycle> = (0..self.left.min(ROUND)).map(|_| Cycle::draw(random)).collect();
        self.left -= cycles.len() as u64;
        round(broker, cycles, &mut self.figures)
    }

    fn say(&mut self) {
        self.figures.say();
    }

    fn holds(&self) -> &'static str {
        "nothing acknowledged was lost, nothing is there twice that was sent once"
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

/// Runs cycles on one store; gives what must not be.
fn round(broker: &mut Broker, cycles: Vec<Cycle>, figures: &mut Figures) -> Result<Vec<String>> {
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        stage: Stage::new(broker),
        ledger: Mutex::new(Ledger::new(TOPICS * QUEUES)),
        turn: Mutex::default(),
    }));
    broker.start(false)?;
    shared.stage.await_serving(broker, create_topics)?;
    let mut producers: Vec<_> = (0..PRODUCERS)
        .map(|number| spawn(move || Producer::new(shared, number * 5).run()))
        .collect();
    let consumer = spawn(move || consume(shared));
    let mut ran = Ok(());
    for cycle in cycles {
        ran = ran.and_then(|()| one(broker, shared, &cycle, figures));
        if ran.is_err() || !shared.ledger().problems.told().is_empty() {
            break;
        }
        figures.cycles += 1;
    }
    shared.stage.enough.store(true, Ordering::Relaxed);
    ran = ran.and_then(|()| {
        producers.drain(..).for_each(|producer| drop(producer.join()));
        read_everything(broker, shared)
    });
    shared.stage.end();
    producers.drain(..).for_each(|producer| drop(producer.join()));
    drop(consumer.join());
    ran?;
    broker.stop()?;
    let mut ledger = shared.ledger();
    ledger.close();
    figures.add(&ledger);
    let mut empty = Ledger::new(0);
    std::mem::swap(&mut *ledger, &mut empty);
    Ok(empty.problems.told().to_vec())
}

/// One kill, perhaps several while it recovers, and what must hold behind them.
fn one(broker: &mut Broker, shared: &Shared, cycle: &Cycle, figures: &mut Figures) -> Result<()> {
    broker.kill();
    let killed = Instant::now();
    // From here on nobody commits until it is known what the broker still has.
    let turn = shared.turn.lock();
    shared.ledger().syncs = SYNCS * sync_time(&broker.directory)?;
    figures.kills += cycle.kill(broker)?;
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
    let mut line = shared.stage.line()?;
    let (stands, ends): (Vec<usize>, Vec<usize>) = places(&mut line)?.into_iter().unzip();
    let known: Vec<usize> = {
        let mut ledger = shared.ledger();
        for (queue, (stands, end)) in stands.iter().zip(&ends).enumerate() {
            ledger.restarted_at(queue, *stands, killed);
            ledger.ends_at(queue, *end, must[queue]);
        }
        (0..stands.len()).map(|queue| ledger.position(queue)).collect()
    };
    if shared.ledger().problems.told().is_empty() {
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
    let mut line = shared.stage.line()?;
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
