//! When the broker is killed: a schedule that comes from a seed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use compat_tests::wire::Line;

use crate::asks;
use crate::broker::Broker;

/// The longest that a start may take until the broker serves.
pub(crate) const START: Duration = Duration::from_secs(30);
/// How soon whoever lost the broker looks for it again.
pub(crate) const AGAIN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);

/// A load, and what must hold under it.
pub(crate) trait Load {
    /// Settings of the broker under it, lines of its file: index files of so many keys that those
    /// of one store fit into few.
    fn settings(&self) -> &'static str {
        "maxHashSlotNum=500000\nmaxIndexNum=2000000\n"
    }
    /// Whether it ran for as long as was asked.
    fn is_done(&self) -> bool;
    /// Runs on an empty store; gives what must not be.
    ///
    /// # Errors
    /// The broker does not start, or does not serve.
    fn round(&mut self, broker: &mut Broker, random: &mut Random) -> Result<Vec<String>>;
    /// Says what it did.
    fn say(&mut self);
    /// What is known when nothing was found.
    fn holds(&self) -> &'static str;
}

/// A row of numbers (xorshift).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The row of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number, less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % end
    }
}

/// One cycle: how the broker runs and when it is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    pub(crate) sync_flush: bool,
    /// How long it serves.
    pub(crate) load: Duration,
    /// Starts before it that are killed after so long, mostly while they recover.
    early: Vec<Duration>,
}

impl Cycle {
    /// The next one.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let ms = Duration::from_millis;
        let sync_flush = random.below(2) == 0;
        let load = ms(50 + random.below(800));
        let early = if random.below(4) == 0 { 1 + random.below(5) } else { 0 };
        let early = (0..early).map(|_| ms(random.below(60))).collect();
        Self { sync_flush, load, early }
    }

    /// Kills the broker, perhaps several times more while it recovers; it is not there then. Gives
    /// how many kills those were.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn kill(&self, broker: &mut Broker) -> Result<u64> {
        broker.kill();
        for time in &self.early {
            broker.start(self.sync_flush)?;
            sleep(*time);
            broker.kill();
        }
        Ok(1 + self.early.len() as u64)
    }

    /// [`Self::kill`], then a start, and the load.
    ///
    /// # Errors
    /// The broker does not serve in time, or ends.
    pub(crate) fn run(&self, broker: &mut Broker, stage: &Stage) -> Result<u64> {
        let kills = self.kill(broker)?;
        broker.start(self.sync_flush)?;
        stage.await_serving(broker, asks::is_serving)?;
        sleep(self.load);
        broker.check()?;
        Ok(kills)
    }
}

/// Where the threads of a load find the broker, and whether they go on.
pub(crate) struct Stage {
    broker: SocketAddr,
    /// Nothing new is sent.
    pub(crate) enough: AtomicBool,
    stop: AtomicBool,
}

impl Stage {
    /// Around a broker.
    pub(crate) fn new(broker: &Broker) -> Self {
        Self {
            broker: SocketAddr::from((Ipv4Addr::LOCALHOST, broker.port)),
            enough: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// A connection to the broker.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn line(&self) -> Result<Line> {
        Line::open(self.broker, PATIENCE)
    }

    /// Whether the threads are to end.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Lets the threads end.
    pub(crate) fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until the broker does something.
    ///
    /// # Errors
    /// It ends, or does not do it in time.
    pub(crate) fn await_serving(
        &self,
        broker: &mut Broker,
        does: impl Fn(&mut Line) -> Result<()>,
    ) -> Result<()> {
        let since = Instant::now();
        while let Err(error) = self.line().and_then(|mut line| does(&mut line)) {
            broker.check()?;
            if since.elapsed() > START {
                bail!("not serving within {} s: {error:#}", START.as_secs());
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Does `work` again and again with a connection of its own until the threads are to end;
    /// it gives how much it did.
    pub(crate) fn work(&self, mut work: impl FnMut(&mut Line) -> Result<usize>) {
        let mut line = None;
        while !self.is_over() {
            let done = match &mut line {
                Some(line) => work(line),
                none => self.line().and_then(|fresh| work(none.insert(fresh))),
            };
            if done.is_err() {
                line = None;
            }
            if !matches!(done, Ok(1..)) {
                sleep(AGAIN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_schedule() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..200).map(|_| Cycle::draw(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(7));
        let cycles = draw(5);
        assert!(cycles.iter().any(|cycle| cycle.early.len() == 5));
        assert!(cycles.iter().any(|cycle| cycle.sync_flush));
    }
}
