//! Messages that wait for a time of their own under kills: each comes once, and none early.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use compat_tests::ledger::now_ms;
use compat_tests::say;
use compat_tests::wire::{Answer, Ask, Line};

use crate::asks::{self, NOT_AVAILABLE, QUEUES, Record, SEND, SUCCESS, fields, text};
use crate::broker::Broker;
use crate::problems::Problems;
use crate::schedule::{Cycle, Load, Random, Stage};

const TOPIC: &str = "timed";
const RECALL: i32 = 370;
/// One of so many messages is taken back, if it waits for longer than this still, ms.
const RECALLED: u64 = 10;
const AHEAD_MS: i64 = 5_000;
const PRODUCERS: u64 = 2;
/// Messages of one producer that are under way.
const WINDOW: usize = 64;
/// Messages that wait at once, and some more.
const PENDING: usize = 110_000;
/// Each life is longer by up to this, ms: the timer notes once a second how far it came.
const LONGER_MS: u64 = 3_000;
/// How long a message waits at most, ms.
const LONGEST_MS: u64 = 60_000;
/// So many are there within this time.
const FILL: Duration = Duration::from_secs(600);
/// What is left when the last message was due comes within this time.
const DRAIN: Duration = Duration::from_secs(60);
/// How long it is waited for messages that come twice.
const TWICE: Duration = Duration::from_secs(3);

/// The load.
#[derive(Debug)]
pub(crate) struct Timers {
    cycles: u64,
    ran: u64,
    kills: u64,
    /// The fewest that waited at a kill.
    pending: usize,
    ledger: Ledger,
}

impl Timers {
    /// For so many cycles.
    pub(crate) fn new(cycles: u64) -> Self {
        Self { cycles, ran: 0, kills: 0, pending: usize::MAX, ledger: Ledger::default() }
    }
}

impl Load for Timers {
    fn settings(&self) -> &'static str {
        "recallMessageEnable=true\n"
    }

    fn is_done(&self) -> bool {
        self.ran >= self.cycles
    }

    fn round(&mut self, broker: &mut Broker, random: &mut Random) -> Result<Vec<String>> {
        broker.start(false)?;
        let shared: &'static Shared =
            Box::leak(Box::new(Shared { stage: Stage::new(broker), ledger: Mutex::default() }));
        shared.stage.await_serving(broker, |line| asks::create_topic(line, TOPIC))?;
        let mut threads = vec![spawn(move || shared.consume())];
        for number in 0..PRODUCERS {
            let random = Random::new(random.below(u64::from(u32::MAX)) + number);
            threads.push(spawn(move || shared.produce(random)));
        }
        let ran = self.kill_again(broker, shared, random).and_then(|()| shared.drain(broker));
        shared.stage.end();
        threads.into_iter().for_each(|thread| drop(thread.join()));
        ran?;
        broker.stop()?;
        self.ledger = std::mem::take(&mut *shared.ledger());
        self.ledger.close();
        Ok(self.ledger.problems.told().to_vec())
    }

    fn say(&mut self) {
        let Self { kills, ran, pending, ledger, .. } = self;
        say(&format!(
            "{kills} kills in {ran} cycles, half of them under SYNC_FLUSH; {} sends acknowledged, \
             at least {pending} of them pending at each kill; {} were taken back, {} came, the \
             last of them {} ms behind its time",
            ledger.sent, ledger.recalled, ledger.came, ledger.latest_ms,
        ));
    }

    fn holds(&self) -> &'static str {
        "0 lost, 0 twice, 0 early, 0 that were taken back"
    }
}

impl Timers {
    fn kill_again(
        &mut self,
        broker: &mut Broker,
        shared: &Shared,
        random: &mut Random,
    ) -> Result<()> {
        let since = Instant::now();
        while shared.ledger().waiting < PENDING {
            broker.check()?;
            if since.elapsed() > FILL {
                bail!("{} messages wait after {} s", shared.ledger().waiting, FILL.as_secs());
            }
            sleep(Duration::from_millis(10));
        }
        while !self.is_done() && shared.ledger().problems.told().is_empty() {
            self.pending = self.pending.min(shared.ledger().waiting);
            let mut cycle = Cycle::draw(random);
            cycle.load += Duration::from_millis(random.below(LONGER_MS));
            self.kills += cycle.run(broker, &shared.stage)?;
            self.ran += 1;
        }
        Ok(())
    }
}

/// One message, by the number that its body tells.
#[derive(Clone, Copy, Debug)]
struct Known {
    due_ms: i64,
    is_sent: bool,
    recall: Recall,
    came: u8,
}

/// Whether it was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recall {
    No,
    /// Nobody answered, so perhaps.
    Asked,
    Done,
}

impl Known {
    fn must_come(self) -> bool {
        self.is_sent && self.came == 0 && self.recall == Recall::No
    }
}

/// What is known of the store.
#[derive(Debug, Default)]
struct Ledger {
    known: Vec<Known>,
    problems: Problems,
    sent: usize,
    came: usize,
    recalled: usize,
    /// Messages that must come and have not.
    waiting: usize,
    latest_ms: i64,
}

impl Ledger {
    fn begin(&mut self, due_ms: i64) -> u64 {
        self.known.push(Known { due_ms, is_sent: false, recall: Recall::No, came: 0 });
        self.known.len() as u64 - 1
    }

    fn sent(&mut self, id: u64) {
        self.change(id, |one| one.is_sent = true);
        self.sent += 1;
    }

    fn recall(&mut self, id: u64, recall: Recall) {
        self.change(id, |one| one.recall = recall);
        self.recalled += usize::from(recall == Recall::Done);
    }

    /// Changes what is known of a message, and gives it.
    fn change(&mut self, id: u64, how: impl FnOnce(&mut Known)) -> Known {
        let one = &mut self.known[id as usize];
        let waited = usize::from(one.must_come());
        how(one);
        self.waiting = self.waiting + usize::from(one.must_come()) - waited;
        *one
    }

    fn came(&mut self, id: u64, stored_ms: i64) {
        if id >= self.known.len() as u64 {
            return self.problems.note(format!("message {id} was never sent"));
        }
        let Known { due_ms, came, recall, .. } =
            self.change(id, |one| one.came = one.came.saturating_add(1));
        self.came += 1;
        self.latest_ms = self.latest_ms.max(stored_ms - due_ms);
        if came > 1 {
            self.problems.note(format!("message {id} came {came} times"));
        }
        if recall == Recall::Done {
            self.problems.note(format!("message {id} was taken back, and comes"));
        }
        if stored_ms < due_ms {
            self.problems.note(format!("message {id} came {} ms early", due_ms - stored_ms));
        }
    }

    fn close(&mut self) {
        for id in 0..self.known.len() {
            let one @ Known { due_ms, .. } = self.known[id];
            if one.must_come() {
                self.problems.note(format!("message {id} is lost: it was due at {due_ms}"));
            }
        }
    }
}

/// What the threads share.
struct Shared {
    stage: Stage,
    ledger: Mutex<Ledger>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sends messages, each once: one without an answer may be there or not.
    fn produce(&self, mut random: Random) {
        self.stage.work(|line| {
            let is_full = self.ledger().waiting >= PENDING;
            if is_full || self.stage.enough.load(Ordering::Relaxed) {
                return Ok(0);
            }
            self.send(line, &mut random)
        });
    }

    fn send(&self, line: &mut Line, random: &mut Random) -> Result<usize> {
        let mut message = || {
            let due_ms = now_ms() + random.below(LONGEST_MS).cast_signed();
            let id = self.ledger().begin(due_ms);
            let properties = format!(
                "UNIQ_KEY\u{1}timed-{id}\u{2}TIMER_DELIVER_MS\u{1}{due_ms}\u{2}WAIT\u{1}true\u{2}"
            );
            let body = id.to_be_bytes().to_vec();
            (id, asks::send(SEND, (TOPIC, id as usize % QUEUES), &properties, body))
        };
        let asks: Vec<(u64, Ask)> = (0..WINDOW).map(|_| message()).collect();
        let mut answers = Vec::new();
        let asked = line.ask_all(asks.iter().map(|(_, ask)| ask), &mut answers);
        let (mut taken, mut recalls) = (0, Vec::new());
        for ((id, _), answer) in asks.iter().zip(&answers) {
            if answer.code != SUCCESS {
                self.refused("a send", answer);
                continue;
            }
            self.ledger().sent(*id);
            taken += 1;
            if id % RECALLED == 0 {
                recalls.extend(self.recall(*id, text(answer, "recallHandle")?));
            }
        }
        asked.and_then(|()| self.take_back(line, &recalls)).map(|()| taken)
    }

    /// What takes a message back that waits for long enough.
    fn recall(&self, id: u64, handle: &str) -> Option<(u64, Ask)> {
        let mut ledger = self.ledger();
        let waits = ledger.known[id as usize].due_ms - now_ms() > AHEAD_MS;
        waits.then(|| {
            ledger.recall(id, Recall::Asked);
            let recall = [("producerGroup", "crash"), ("topic", TOPIC), ("recallHandle", handle)];
            (id, Ask { code: RECALL, fields: fields(&recall), body: Vec::new() })
        })
    }

    fn take_back(&self, line: &mut Line, recalls: &[(u64, Ask)]) -> Result<()> {
        let mut answers = Vec::new();
        let asked = line.ask_all(recalls.iter().map(|(_, ask)| ask), &mut answers);
        for ((id, _), answer) in recalls.iter().zip(&answers) {
            match answer.code {
                SUCCESS => self.ledger().recall(*id, Recall::Done),
                _ => self.refused("a recall", answer),
            }
        }
        asked
    }

    /// Only a broker that recovers may refuse anything.
    fn refused(&self, what: &str, answer: &Answer) {
        if answer.code != NOT_AVAILABLE {
            self.ledger().problems.note(asks::unexpected(what, answer));
        }
    }

    /// Reads all queues round and round.
    fn consume(&self) {
        let mut positions = [0; QUEUES];
        self.stage.work(|line| {
            let asks =
                (0..QUEUES).map(|queue| asks::pull("timed", (TOPIC, queue), positions[queue]));
            let (asks, mut answers): (Vec<Ask>, _) = (asks.collect(), Vec::new());
            let asked = line.ask_all(asks.iter(), &mut answers);
            let mut got = 0;
            for (queue, answer) in answers.iter().enumerate().filter(|(_, one)| one.code == SUCCESS)
            {
                for record in Record::all(&answer.body)? {
                    self.ledger().came(record.id, record.stored_ms);
                    positions[queue] = record.offset + 1;
                    got += 1;
                }
            }
            asked.map(|()| got)
        });
    }

    /// Waits until nothing more has to come, and then for what comes twice.
    fn drain(&self, broker: &mut Broker) -> Result<()> {
        self.stage.enough.store(true, Ordering::Relaxed);
        let patience = Duration::from_millis(LONGEST_MS) + DRAIN;
        let since = Instant::now();
        while self.ledger().waiting > 0 && since.elapsed() < patience {
            broker.check()?;
            sleep(Duration::from_millis(100));
        }
        sleep(TWICE);
        broker.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_promise_is_named() {
        let mut ledger = Ledger::default();
        for due_ms in [100, 200, 300, 400, 500, 600] {
            let id = ledger.begin(due_ms);
            if id != 3 {
                ledger.sent(id);
            }
        }
        ledger.recall(4, Recall::Asked);
        ledger.recall(5, Recall::Done);
        ledger.came(5, 600);
        ledger.came(0, 100);
        ledger.came(1, 199);
        ledger.came(0, 150);
        ledger.came(9, 0);
        assert_eq!((ledger.waiting, ledger.latest_ms), (1, 50));
        ledger.close();
        let problems = ledger.problems.told().join("; ");
        assert_eq!(
            problems,
            "message 5 was taken back, and comes; message 1 came 1 ms early; \
             message 0 came 2 times; message 9 was never sent; message 2 is lost: it was due at 300"
        );
    }
}
