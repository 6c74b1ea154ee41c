//! Pops under kills: messages are sent, popped and acknowledged, one by one and many at once; some
//! are not, and come again.

mod known;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use compat_tests::ledger::now_ms;
use compat_tests::say;
use compat_tests::wire::{Answer, Ask, Line};
use serde_json::json;

use crate::asks::{self, NOT_AVAILABLE, QUEUES, Record, SEND_BATCH, SUCCESS, fields, text};
use crate::broker::Broker;
use crate::schedule::{Cycle, Load, Random, Stage};

use known::Ledger;

const TOPIC: &str = "popped";
const GROUP: &str = "poppers";
const RETRY_TOPIC: &str = "%RETRY%poppers_popped";
const POP: i32 = 200_050;
const ACK: i32 = 200_051;
const BATCH_ACK: i32 = 200_151;
/// What a pop that finds nothing is answered with.
const NOTHING: [i64; 2] = [209, 210];

const PRODUCERS: usize = 2;
const POPPERS: u64 = 3;
/// Messages of one send, and of one pop.
const AT_ONCE: usize = 32;
/// Messages that may wait for their first pop.
const BACKLOG: u64 = 20_000;
/// How long popped messages are invisible: longer than a kill takes.
const INVISIBLE_MS: i64 = 8_000;
/// Messages of one store: the next round begins with an empty one.
const ROUND: u64 = 500_000;
/// What is left comes within the time of a pop or two.
const DRAIN: Duration = Duration::from_secs(90);
/// How late a message may come again.
const LATE: Duration = Duration::from_secs(3);

/// The load.
#[derive(Debug)]
pub(crate) struct Pops {
    cycles: u64,
    messages: Option<u64>,
    kills: u64,
    ran: u64,
    sent: u64,
    done: u64,
    again: u64,
}

impl Pops {
    /// For so many cycles, or until so many messages were acknowledged.
    pub(crate) fn new(cycles: u64, messages: Option<u64>) -> Self {
        Self { cycles, messages, kills: 0, ran: 0, sent: 0, done: 0, again: 0 }
    }

    fn is_enough(&self, done: u64) -> bool {
        match self.messages {
            Some(messages) => done >= messages,
            None => self.ran >= self.cycles,
        }
    }
}

impl Load for Pops {
    fn is_done(&self) -> bool {
        self.is_enough(self.done)
    }

    fn round(&mut self, broker: &mut Broker, random: &mut Random) -> Result<Vec<String>> {
        broker.start(false)?;
        let shared: &'static Shared =
            Box::leak(Box::new(Shared { stage: Stage::new(broker), ledger: Mutex::default() }));
        shared.stage.await_serving(broker, |line| asks::create_topic(line, TOPIC))?;
        let mut threads: Vec<_> =
            (0..PRODUCERS).map(|number| spawn(move || shared.produce(number))).collect();
        for number in 0..POPPERS {
            let random = Random::new(random.below(u64::from(u32::MAX)) + number);
            threads.push(spawn(move || Popper { shared, random, out: Vec::new() }.run()));
        }
        let ran = self.kill_again(broker, shared, random).and_then(|()| shared.drain(broker));
        shared.stage.end();
        threads.into_iter().for_each(|thread| drop(thread.join()));
        ran?;
        broker.stop()?;
        let mut ledger = std::mem::take(&mut *shared.ledger());
        ledger.close();
        ensure!(ledger.done > 0, "no message was popped and acknowledged");
        self.sent += ledger.sent;
        self.done += ledger.done;
        self.again += ledger.again;
        Ok(ledger.problems.told().to_vec())
    }

    fn say(&mut self) {
        let Self { kills, ran, sent, done, again, .. } = self;
        say(&format!(
            "{kills} kills in {ran} cycles, half of them under SYNC_FLUSH; {sent} sends \
             acknowledged, {done} messages popped and acknowledged in time, {again} came again"
        ));
    }

    fn holds(&self) -> &'static str {
        "nothing acknowledged in time came again, all else did, nothing before its time"
    }
}

impl Pops {
    fn kill_again(
        &mut self,
        broker: &mut Broker,
        shared: &Shared,
        random: &mut Random,
    ) -> Result<()> {
        loop {
            let (done, sent) = {
                let ledger = shared.ledger();
                (self.done + ledger.done, ledger.sent)
            };
            if self.is_enough(done) || sent >= ROUND || !shared.ledger().problems.told().is_empty()
            {
                return Ok(());
            }
            self.kills += Cycle::draw(random).run(broker, &shared.stage)?;
            self.ran += 1;
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

    /// Sends batches, each once: one without an answer may be there or not.
    fn produce(&self, number: usize) {
        let mut turn = number;
        self.stage.work(|line| {
            let is_full = {
                let ledger = self.ledger();
                ledger.sent >= ledger.came + BACKLOG
            };
            if is_full || self.stage.enough.load(Ordering::Relaxed) {
                return Ok(0);
            }
            turn += 1;
            self.send(line, turn % QUEUES)
        });
    }

    fn send(&self, line: &mut Line, queue: usize) -> Result<usize> {
        let first = self.ledger().begin(AT_ONCE);
        let body: Vec<u8> = (first..).take(AT_ONCE).flat_map(message).collect();
        let ask = asks::send(SEND_BATCH, (TOPIC, queue), "", body);
        let mut answers = Vec::new();
        line.ask_all([&ask].into_iter(), &mut answers)?;
        let answer = answers.pop().context("one answer")?;
        if answer.code != SUCCESS {
            self.refused("a send", &answer);
            return Ok(0);
        }
        self.ledger().sent(first, AT_ONCE);
        Ok(AT_ONCE)
    }

    /// Only a broker that recovers may refuse anything.
    fn refused(&self, what: &str, answer: &Answer) {
        if answer.code != NOT_AVAILABLE {
            self.ledger().problems.note(asks::unexpected(what, answer));
        }
    }

    /// Waits until nothing more has to come, and then as long as anything else would take.
    fn drain(&self, broker: &mut Broker) -> Result<()> {
        self.stage.enough.store(true, Ordering::Relaxed);
        let since = Instant::now();
        while !self.ledger().left().is_empty() && since.elapsed() < DRAIN {
            broker.check()?;
            sleep(Duration::from_millis(100));
        }
        sleep(Duration::from_millis(INVISIBLE_MS.unsigned_abs()) + LATE);
        broker.check()
    }
}

/// A message of a batch.
fn message(id: u64) -> Vec<u8> {
    let mut body = vec![b'x'; 8 + (id % 200) as usize];
    body[..8].copy_from_slice(&id.to_be_bytes());
    let properties = format!("UNIQ_KEY\u{1}popped-{id}\u{2}WAIT\u{1}true");
    let size = (20 + body.len() + 2 + properties.len()) as u32;
    let number = |number: u32| number.to_be_bytes();
    let head = [number(size), [0; 4], [0; 4], [0; 4], number(body.len() as u32)].concat();
    let length = (properties.len() as u16).to_be_bytes();
    [&head[..], &body, &length, properties.as_bytes()].concat()
}

/// A popped message.
#[derive(Debug)]
struct Out {
    id: u64,
    due_ms: i64,
    pop_ms: i64,
    handle: String,
    start: usize,
    revive_queue: String,
    is_retry: bool,
    queue: usize,
    offset: usize,
}

impl Out {
    /// From its handle, "start popTime invisible reviveQueue retry broker queue offset".
    fn new(id: u64, handle: String) -> Result<Self> {
        let words: Vec<&str> = handle.split(' ').collect();
        let [start, pop_ms, invisible, revive, retry, _, queue, offset] = words[..] else {
            bail!("a handle of {} words: {handle}", words.len());
        };
        let pop_ms = pop_ms.parse()?;
        Ok(Self {
            id,
            pop_ms,
            due_ms: pop_ms + invisible.parse::<i64>()?,
            start: start.parse()?,
            revive_queue: revive.to_owned(),
            is_retry: retry != "0",
            queue: queue.parse()?,
            offset: offset.parse()?,
            handle: handle.clone(),
        })
    }

    fn ask(&self) -> Ask {
        let fields = fields(&[
            ("consumerGroup", GROUP),
            ("topic", if self.is_retry { RETRY_TOPIC } else { TOPIC }),
            ("queueId", &self.queue.to_string()),
            ("offset", &self.offset.to_string()),
            ("extraInfo", &self.handle),
        ]);
        Ask { code: ACK, fields, body: Vec::new() }
    }
}

/// One that pops and acknowledges, also what it popped before the broker was killed.
struct Popper<'a> {
    shared: &'a Shared,
    random: Random,
    out: Vec<Out>,
}

impl Popper<'_> {
    fn run(&mut self) {
        let shared = self.shared;
        shared.stage.work(|line| {
            let now_ms = now_ms();
            let over = self.out.extract_if(.., |one| now_ms >= one.due_ms);
            over.for_each(|one| shared.ledger().given_up(one.id, one.due_ms));
            self.acknowledge(line)?;
            let got = self.pop(line)?;
            self.forget();
            self.acknowledge(line)?;
            Ok(got)
        });
    }

    fn pop(&mut self, line: &mut Line) -> Result<usize> {
        let (born, invisible) = (now_ms().to_string(), INVISIBLE_MS.to_string());
        let most = AT_ONCE.to_string();
        let fields = [
            ("consumerGroup", GROUP),
            ("topic", TOPIC),
            ("queueId", "-1"),
            ("maxMsgNums", &most),
            ("invisibleTime", &invisible),
            ("pollTime", "0"),
            ("bornTime", &born),
            ("initMode", "0"),
            ("order", "false"),
        ];
        let answer = line.ask(POP, &fields, &[])?;
        if answer.code != SUCCESS {
            if !NOTHING.contains(&answer.code) {
                self.shared.refused("a pop", &answer);
            }
            return Ok(0);
        }
        let (pop_time, revive) = (text(&answer, "popTime")?, text(&answer, "reviveQid")?);
        let starts = text(&answer, "startOffsetInfo")?;
        let records = Record::all(&answer.body)?;
        for record in &records {
            let (queue, offset) = (record.queue, record.offset);
            let handle = match record.property("POP_CK") {
                Some(handle) => handle.to_owned(),
                None => {
                    let head = format!("0 {queue} ");
                    let start = starts.split(';').find_map(|one| one.strip_prefix(&head));
                    let start = start.with_context(|| format!("no {head}in {starts}"))?;
                    format!("{start} {pop_time} {invisible} {revive} 0 crash {queue} {offset}")
                }
            };
            let out = Out::new(record.id, handle)?;
            self.shared.ledger().popped(record.id, (now_ms(), out.due_ms));
            self.out.push(out);
        }
        Ok(records.len())
    }

    /// Some messages are not acknowledged, while there is load. All that are out were just popped.
    fn forget(&mut self) {
        if self.shared.stage.enough.load(Ordering::Relaxed) {
            return;
        }
        if self.random.below(30) == 0 {
            self.out.clear();
        }
        let random = &mut self.random;
        self.out.retain(|_| random.below(50) != 0);
    }

    /// Acknowledges what is out; what gets no answer stays.
    ///
    /// # Errors
    /// Not all is acknowledged.
    fn acknowledge(&mut self, line: &mut Line) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        if self.random.below(4) != 0 {
            let answer = line.ask(BATCH_ACK, &[], &batch(&self.out))?;
            if answer.code != SUCCESS {
                self.shared.refused("a batch of acknowledgements", &answer);
                bail!("not acknowledged");
            }
            self.done(self.out.len());
            return Ok(());
        }
        let asks: Vec<Ask> = self.out.iter().map(Out::ask).collect();
        let mut answers = Vec::new();
        let asked = line.ask_all(asks.iter(), &mut answers);
        let taken = answers.iter().take_while(|answer| answer.code == SUCCESS).count();
        self.done(taken);
        if let Some(answer) = answers.get(taken) {
            self.shared.refused("an acknowledgement", answer);
            bail!("not acknowledged");
        }
        asked
    }

    /// The first of what is out are acknowledged.
    fn done(&mut self, count: usize) {
        let now_ms = now_ms();
        let mut ledger = self.shared.ledger();
        for one in self.out.drain(..count) {
            ledger.acknowledged(one.id, one.due_ms, now_ms);
        }
    }
}

/// The body of a batch of acknowledgements, an entry for each pop of a queue.
fn batch(out: &[Out]) -> Vec<u8> {
    let mut pops = BTreeMap::new();
    for one in out {
        let pop = (one.is_retry, one.queue, one.start, one.pop_ms, &*one.revive_queue);
        let (bits, due_ms) = pops.entry(pop).or_insert_with(|| (Vec::new(), one.due_ms));
        let bit = one.offset - one.start;
        bits.resize(bits.len().max(bit / 8 + 1), 0);
        bits[bit / 8] |= 1 << (bit % 8);
        *due_ms = one.due_ms;
    }
    let acks =
        pops.into_iter().map(|((is_retry, queue, start, pop_ms, revive), (bits, due_ms))| {
            json!({
                "b": base64(&bits), "c": GROUP, "it": due_ms - pop_ms, "pt": pop_ms, "q": queue,
                "r": if is_retry { "1" } else { "0" }, "rq": revive.parse::<i32>().unwrap_or(-1),
                "so": start, "t": TOPIC,
            })
        });
    json!({"brokerName": "crash", "acks": acks.collect::<Vec<_>>()}).to_string().into_bytes()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_in_base64() {
        let texts = [&b""[..], b"a", b"ab", b"abc", b"abcd"].map(base64);
        assert_eq!(texts, ["", "YQ==", "YWI=", "YWJj", "YWJjZA=="]);
    }
}
