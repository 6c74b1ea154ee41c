//! Pulls: each connection reads one queue from front to back, a batch at a time, again and again.
//! The messages were just written, so they are in memory.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::control::Control;
use crate::frame::{self, Answer, Form, Head, OPAQUE_BASE};
use crate::load::send::{self, SendLoad};
use crate::load::{GRACE, Target, since};
use crate::outcome::{Outcome, Tally};
use crate::socket::Connections;

const TOPIC: &str = "bench-pull";

/// A pull that is refused so often will not be better the next time.
const REFUSALS: u64 = 1000;

/// What to pull.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct PullLoad {
    /// Connections, one pull in flight on each.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Messages asked for at a time.
    #[arg(long, default_value_t = 32)]
    pub(crate) batch: u32,
    /// Bytes of each body.
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
    /// Queues to read.
    #[arg(long, default_value_t = 4)]
    pub(crate) queues: u32,
    /// Header form.
    #[arg(long, value_enum, default_value_t = Form::Json)]
    pub(crate) form: Form,
    /// Messages that are written first, over all queues.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) stock: u64,
    /// Stop after so many messages.
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) count: u64,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

/// One pull request (PULL_MESSAGE, 11), all tags, offsets not committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pull<'a> {
    pub(crate) form: Form,
    pub(crate) topic: &'a str,
    pub(crate) queue: u32,
    pub(crate) offset: i64,
    pub(crate) batch: u32,
    /// How long the broker may hold the request when there is nothing, or `None` not at all.
    pub(crate) hold: Option<Duration>,
}

impl Pull<'_> {
    /// Appends the frame.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, opaque: u32) {
        // Subscription included (4), suspend allowed (2).
        let flags = if self.hold.is_some() { "6" } else { "4" };
        let (queue, offset) = (self.queue.to_string(), self.offset.to_string());
        let batch = self.batch.to_string();
        let hold_ms = self.hold.unwrap_or_default().as_millis().to_string();
        let fields = [
            ("consumerGroup", "bench-consumer"),
            ("topic", self.topic),
            ("queueId", queue.as_str()),
            ("queueOffset", offset.as_str()),
            ("maxMsgNums", batch.as_str()),
            ("sysFlag", flags),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", hold_ms.as_str()),
            ("subscription", "*"),
            ("subVersion", "0"),
            ("expressionType", "TAG"),
        ];
        frame::encode(out, Head::request(self.form, 11, opaque), &fields, b"");
    }
}

struct Reader {
    queue: u32,
    stored: Range<i64>,
    next: i64,
    opaque: u32,
    sent_at: u64,
    waiting: bool,
}

/// Writes the stock, pulls it, and tells how it went. Latency is that of a whole pull.
pub(crate) fn run(target: &Target, load: &PullLoad) -> Result<Outcome> {
    let mut readers = prepare(target, load)?;
    let mut connections = Connections::open(target.broker, load.connections)?;
    let mut tally = Tally::new()?;
    let before = target.usage()?;
    let start = Instant::now();
    for (token, reader) in readers.iter_mut().enumerate() {
        ask(load, &mut connections, token, reader, since(start))?;
    }
    let until = Duration::from_secs(load.seconds).as_nanos() as u64;
    let end = until + GRACE.as_nanos() as u64;
    let (mut last, mut waiting) = (1, readers.len());
    while waiting > 0 && since(start) < end {
        let ready = connections.wait(Duration::from_millis(100))?;
        for &token in &ready {
            connections.receive(token)?;
            let now = since(start);
            let reader = &mut readers[token];
            connections.at(token).answers(|answer| settle(&mut tally, reader, answer, now))?;
            if reader.waiting {
                continue;
            }
            last = now;
            if tally.messages >= load.count || now >= until {
                waiting -= 1;
            } else {
                ask(load, &mut connections, token, reader, now)?;
            }
        }
        connections.done(ready);
    }
    let usage = before.zip(target.usage()?);
    Ok(tally.finish(Duration::from_nanos(last), usage, waiting as u64))
}

fn prepare(target: &Target, load: &PullLoad) -> Result<Vec<Reader>> {
    let mut control = Control::open(target.broker)?;
    control.create_topic(TOPIC, load.queues)?;
    let stock = SendLoad {
        connections: 4,
        window: 16,
        body: load.body,
        topics: 1,
        queues: load.queues,
        form: load.form,
        count: load.stock,
        seconds: 60,
    };
    send::fill(target, TOPIC, &stock)?;
    let mut readers = Vec::with_capacity(load.connections);
    for token in 0..load.connections as u32 {
        let queue = token % load.queues;
        let stored = control.offsets(TOPIC, queue)?;
        ensure!(!stored.is_empty(), "queue {queue} of {TOPIC} is empty after {} sends", load.stock);
        let next = stored.start;
        let opaque = OPAQUE_BASE;
        readers.push(Reader { queue, stored, next, opaque, sent_at: 0, waiting: false });
    }
    Ok(readers)
}

fn ask(
    load: &PullLoad,
    connections: &mut Connections,
    token: usize,
    reader: &mut Reader,
    now: u64,
) -> Result<()> {
    if reader.next >= reader.stored.end {
        reader.next = reader.stored.start;
    }
    reader.opaque += 1;
    reader.sent_at = now;
    reader.waiting = true;
    let pull = Pull {
        form: load.form,
        topic: TOPIC,
        queue: reader.queue,
        offset: reader.next,
        batch: load.batch,
        hold: None,
    };
    pull.encode(&mut connections.at(token).output.bytes, reader.opaque);
    connections.send(token)
}

fn settle(tally: &mut Tally, reader: &mut Reader, answer: &Answer<'_>, now: u64) -> Result<()> {
    ensure!(reader.waiting && answer.opaque == reader.opaque, "an answer nobody waits for");
    reader.waiting = false;
    tally.took(now - reader.sent_at);
    if answer.code != 0 {
        tally.refuse(answer.code);
        ensure!(tally.refusals() < REFUSALS, "pull refused: {} {}", answer.code, answer.remark());
        return Ok(());
    }
    for body in frame::message_bodies(answer.body) {
        body?;
        tally.messages += 1;
    }
    reader.next = answer.number("nextBeginOffset")?;
    Ok(())
}
