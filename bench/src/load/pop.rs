//! Pops: each connection pops a batch of any queue and acknowledges it message by message, as stock
//! clients do. Some may be left to come back: the latency is then that of their return.
//!
//! Always in JSON: a ROCKETMQ header has no room for these codes.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use memchr::memmem;

use crate::control::Control;
use crate::frame::{self, Answer, Form, Head, OPAQUE_BASE};
use crate::load::send::{self, SendLoad};
use crate::load::{GRACE, Target, since, unix_ms};
use crate::outcome::{Outcome, Tally};
use crate::socket::Connections;

const GROUP: &str = "bench-pop-group";
/// POP_MESSAGE.
const POP: u32 = 200_050;
/// ACK_MESSAGE.
const ACK: u32 = 200_051;
/// POLLING_FULL and POLLING_TIMEOUT: there is nothing now.
const NOTHING: [i32; 2] = [209, 210];
/// How long the broker may hold a pop, ms.
const HOLD_MS: &str = "1000";
/// What a message that came back says of its first pop, ms since 1970.
const FIRST_POP: &[u8] = b"1ST_POP_TIME\x01";
/// A request that is refused so often will not be better the next time.
const REFUSALS: u64 = 1000;

/// What to pop.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct PopLoad {
    /// Connections, one pop in flight on each.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Messages asked for at a time.
    #[arg(long, default_value_t = 32)]
    pub(crate) batch: u32,
    /// Bytes of each body.
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
    /// Queues to pop.
    #[arg(long, default_value_t = 4)]
    pub(crate) queues: u32,
    /// Messages, all written first.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) count: u64,
    /// Leave one in so many to come back; 0 leaves none.
    #[arg(long, default_value_t = 0)]
    pub(crate) leave: u64,
    /// How long what is popped stays invisible, ms.
    #[arg(long, default_value_t = 60_000)]
    pub(crate) invisible_ms: u64,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
}

/// One connection.
#[derive(Debug, Default)]
struct Popper {
    /// Of the pop that waits for its answer.
    waits_for: Option<u32>,
    sent_at: u64,
    /// The last opaque.
    opaque: u32,
    unanswered: u64,
}

struct Run<'a> {
    load: &'a PopLoad,
    topic: &'static str,
    tally: Tally,
    popped: u64,
    left: u64,
    back: u64,
}

/// Writes the messages, pops them, and tells how it went.
pub(crate) fn run(target: &Target, load: &PopLoad) -> Result<Outcome> {
    // What one job leaves is not to be popped by the other.
    let topic = if load.leave == 0 { "bench-pop" } else { "bench-pop-back" };
    prepare(target, load, topic)?;
    let mut connections = Connections::open(target.broker, load.connections)?;
    let opaque = OPAQUE_BASE;
    let popper = || Popper { opaque, ..Popper::default() };
    let mut poppers: Vec<Popper> = (0..load.connections).map(|_| popper()).collect();
    let mut run = Run { load, topic, tally: Tally::new()?, popped: 0, left: 0, back: 0 };
    let before = target.usage()?;
    let start = Instant::now();
    for (token, popper) in poppers.iter_mut().enumerate() {
        run.pop(&mut connections.at(token).output.bytes, popper, since(start));
        connections.send(token)?;
    }
    let until = Duration::from_secs(load.seconds).as_nanos() as u64;
    let end = until + GRACE.as_nanos() as u64;
    let mut last = 1;
    while since(start) < end && !(run.is_done() && poppers.iter().all(Popper::has_all)) {
        let ready = connections.wait(Duration::from_millis(100))?;
        for &token in &ready {
            connections.receive(token)?;
            let (now, popper) = (since(start), &mut poppers[token]);
            let mut out = Vec::new();
            connections.at(token).answers(|answer| {
                if run.settle(popper, answer, &mut out, now)?.is_continue() {
                    last = now;
                }
                Ok(())
            })?;
            if popper.waits_for.is_none() && !run.is_done() && now < until {
                run.pop(&mut out, popper, now);
            }
            connections.at(token).output.bytes.extend_from_slice(&out);
            connections.send(token)?;
        }
        connections.done(ready);
    }
    let usage = before.zip(target.usage()?);
    let unanswered = poppers.iter().map(|popper| popper.unanswered).sum::<u64>();
    let missing = run.left - run.back.min(run.left);
    Ok(run.tally.finish(Duration::from_nanos(last), usage, unanswered + missing))
}

fn prepare(target: &Target, load: &PopLoad, topic: &str) -> Result<()> {
    Control::open(target.broker)?.create_topic(topic, load.queues)?;
    let stock = SendLoad {
        connections: 4,
        window: 16,
        body: load.body,
        topics: 1,
        queues: load.queues,
        form: Form::Json,
        count: load.count,
        seconds: 60,
    };
    send::fill(target, topic, &stock).map(drop)
}

impl Popper {
    fn next(&mut self) -> u32 {
        self.opaque += 1;
        self.unanswered += 1;
        self.opaque
    }

    fn has_all(&self) -> bool {
        self.unanswered == 0
    }
}

impl Run<'_> {
    fn is_done(&self) -> bool {
        self.popped >= self.load.count && self.back >= self.left
    }

    fn pop(&self, out: &mut Vec<u8>, popper: &mut Popper, now: u64) {
        let (batch, invisible) = (self.load.batch.to_string(), self.load.invisible_ms.to_string());
        let born = unix_ms().to_string();
        let fields = [
            ("consumerGroup", GROUP),
            ("topic", self.topic),
            ("queueId", "-1"),
            ("maxMsgNums", &batch),
            ("invisibleTime", &invisible),
            ("pollTime", HOLD_MS),
            ("bornTime", &born),
            ("initMode", "0"),
            ("expType", "TAG"),
            ("exp", "*"),
        ];
        let opaque = popper.next();
        (popper.waits_for, popper.sent_at) = (Some(opaque), now);
        frame::encode(out, Head::request(Form::Json, POP, opaque), &fields, b"");
    }

    /// Takes an answer, and writes the acknowledgements of what it has; whether it had anything.
    fn settle(
        &mut self,
        popper: &mut Popper,
        answer: &Answer<'_>,
        out: &mut Vec<u8>,
        now: u64,
    ) -> Result<ControlFlow<()>> {
        popper.unanswered -= 1;
        let is_pop = popper.waits_for.take_if(|opaque| *opaque == answer.opaque).is_some();
        if is_pop && NOTHING.contains(&answer.code) {
            return Ok(ControlFlow::Break(()));
        }
        if answer.code != 0 {
            self.tally.refuse(answer.code);
            let (code, remark) = (answer.code, answer.remark());
            ensure!(self.tally.refusals() < REFUSALS, "pop or its end refused: {code} {remark}");
        } else if is_pop {
            if self.load.leave == 0 {
                self.tally.took(now - popper.sent_at);
            }
            self.look_at(answer.body)?;
            self.acknowledge(popper, answer, out)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// How late what came back is.
    fn look_at(&mut self, records: &[u8]) -> Result<()> {
        let now_ms = unix_ms();
        for at in memmem::find_iter(records, FIRST_POP) {
            let digits =
                records[at + FIRST_POP.len()..].iter().take_while(|it| it.is_ascii_digit());
            let first_ms = digits.fold(0u64, |sum, it| sum.wrapping_mul(10) + u64::from(it - b'0'));
            let due_ms = first_ms + self.load.invisible_ms;
            let late_ms = now_ms.checked_sub(due_ms).context("a message came back too early")?;
            self.tally.took((late_ms * 1_000_000).max(1));
            self.back += 1;
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        popper: &mut Popper,
        answer: &Answer<'_>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let field = |name: &str| answer.field(name).with_context(|| format!("no {name}"));
        let (popped_ms, invisible) = (field("popTime")?, field("invisibleTime")?);
        let (revive, starts) = (field("reviveQid")?, field("startOffsetInfo")?);
        let retry = format!("%RETRY%{GROUP}_{}", self.topic);
        for part in field("msgOffsetInfo")?.split(';') {
            let (queue, offsets) = part.rsplit_once(' ').context("an offset info")?;
            let (kind, id) = queue.split_once(' ').context("an offset info")?;
            let mut starts = starts.split(';').filter_map(|start| start.rsplit_once(' '));
            let start = starts.find(|(of, _)| *of == queue).context("no start")?.1;
            let topic = if kind == "0" { self.topic } else { retry.as_str() };
            for offset in offsets.split(',') {
                self.tally.messages += 1;
                self.popped += u64::from(kind == "0");
                if kind == "0" && self.popped.is_multiple_of(self.load.leave) {
                    self.left += 1;
                    continue;
                }
                let info =
                    format!("{start} {popped_ms} {invisible} {revive} {kind} b {id} {offset}");
                let fields = [
                    ("consumerGroup", GROUP),
                    ("topic", topic),
                    ("queueId", id),
                    ("extraInfo", &info),
                    ("offset", offset),
                ];
                let head = Head::request(Form::Json, ACK, popper.next());
                frame::encode(out, head, &fields, b"");
            }
        }
        Ok(())
    }
}
