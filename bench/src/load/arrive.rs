//! From send to arrival: messages leave at a fixed rate, consumers wait in long polls, and each
//! message carries the time at which it was meant to leave. A late generator or a broker that
//! makes it wait counts as latency (no coordinated omission).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::control::Control;
use crate::frame::{self, Answer, Form, OPAQUE_BASE, Template};
use crate::load::pull::Pull;
use crate::load::rate::{self, HOLD, Paced, WARM_UP};
use crate::load::{GRACE, Target, precise_timers, since};
use crate::outcome::{Outcome, Tally};
use crate::socket::Connections;

const TOPIC: &str = "bench-arrive";
const IDLE_TOPIC: &str = "bench-idle";
const IDLE_QUEUES: u32 = 8;

/// Idle polls that share a connection.
const IDLE_SHARE: usize = 50;
/// Time for the polls to be held before the first send.
const CALM: Duration = Duration::from_millis(500);

/// What to send and who waits.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ArriveLoad {
    /// Messages a second, 1 to 1000000.
    #[arg(long, value_parser = rate::parser(), default_value_t = 1000)]
    pub(crate) rate: u64,
    /// Bytes of each body, at least 8.
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
    /// Queues, each with a long-polling consumer on a connection of its own.
    #[arg(long, default_value_t = 4)]
    pub(crate) queues: u32,
    /// Long polls held on another topic all the while.
    #[arg(long, default_value_t = 0)]
    pub(crate) held: usize,
    /// Header form.
    #[arg(long, value_enum, default_value_t = Form::Json)]
    pub(crate) form: Form,
    /// Seconds to send.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

/// Sends, receives, and tells how long messages took.
pub(crate) fn run(target: &Target, load: &ArriveLoad) -> Result<Outcome> {
    ensure!(load.body >= 8, "a body needs 8 bytes for its time");
    precise_timers()?;
    let mut run = Run::new(target, load)?;
    run.listen(CALM)?;
    let before = target.usage()?;
    run.paced.start = Instant::now();
    let total = load.rate * load.seconds;
    let end = Duration::from_secs(load.seconds) + GRACE;
    while run.open(total) && run.paced.start.elapsed() < end {
        let patience = run.paced.send_due(&mut run.connections, total)?;
        run.turn(patience)?;
    }
    let usage = before.zip(target.usage()?);
    let unanswered = total.saturating_sub(run.arrived + run.tally.refusals());
    run.tally.messages = run.arrived;
    Ok(run.tally.finish(Duration::from_nanos(run.last.max(1)), usage, unanswered))
}

/// A held pull: token 0 is the sender, 1 and on are the consumers, then come the idle ones.
struct Poll {
    token: usize,
    idle: bool,
    queue: u32,
    next: i64,
}

struct Run<'a> {
    load: &'a ArriveLoad,
    connections: Connections,
    paced: Paced,
    polls: Vec<Poll>,
    arrived: u64,
    last: u64,
    tally: Tally,
}

impl<'a> Run<'a> {
    fn new(target: &Target, load: &'a ArriveLoad) -> Result<Self> {
        let mut control = Control::open(target.broker)?;
        control.create_topic(TOPIC, load.queues)?;
        control.create_topic(IDLE_TOPIC, IDLE_QUEUES)?;
        let mut polls = Vec::new();
        for queue in 0..load.queues {
            let next = control.offsets(TOPIC, queue)?.end;
            polls.push(Poll { token: 1 + queue as usize, idle: false, queue, next });
        }
        let first_idle = 1 + load.queues as usize;
        for number in 0..load.held {
            let token = first_idle + number / IDLE_SHARE;
            let queue = number as u32 % IDLE_QUEUES;
            polls.push(Poll { token, idle: true, queue, next: 0 });
        }
        let connections = first_idle + load.held.div_ceil(IDLE_SHARE);
        let templates =
            (0..load.queues).map(|queue| Template::send(load.form, TOPIC, queue, load.body));
        let mut run = Self {
            load,
            connections: Connections::open(target.broker, connections)?,
            paced: Paced::new(load.rate, templates.collect(), Template::stamp_marked),
            polls,
            arrived: 0,
            last: 0,
            tally: Tally::new()?,
        };
        (0..run.polls.len()).try_for_each(|poll| run.hold(poll))?;
        Ok(run)
    }

    /// Sends a poll, whose place in the list is its opaque.
    fn hold(&mut self, place: usize) -> Result<()> {
        let poll = &self.polls[place];
        let pull = Pull {
            form: self.load.form,
            topic: if poll.idle { IDLE_TOPIC } else { TOPIC },
            queue: poll.queue,
            offset: poll.next,
            batch: 32,
            hold: Some(HOLD),
        };
        let token = poll.token;
        pull.encode(&mut self.connections.at(token).output.bytes, OPAQUE_BASE + place as u32);
        self.connections.send(token)
    }

    /// Whether answers or accepted messages are still to come.
    fn open(&self, total: u64) -> bool {
        self.paced.answered < total || self.arrived + self.tally.refusals() < total
    }

    /// Takes what comes for so long, and sends nothing new.
    fn listen(&mut self, period: Duration) -> Result<()> {
        let start = Instant::now();
        while let Some(rest) = period.checked_sub(start.elapsed()) {
            self.turn(rest)?;
        }
        Ok(())
    }

    /// Waits for whatever comes first and takes it.
    fn turn(&mut self, patience: Duration) -> Result<()> {
        let ready = self.connections.wait(patience)?;
        for &token in &ready {
            self.connections.receive(token)?;
            match token {
                0 => self.take_answers()?,
                _ => self.take_messages(token)?,
            }
        }
        self.connections.done(ready);
        Ok(())
    }

    fn take_answers(&mut self) -> Result<()> {
        let Self { connections, tally, paced, .. } = self;
        connections.at(0).answers(|answer| {
            paced.answered += 1;
            if answer.code != 0 {
                tally.refuse(answer.code);
            }
            Ok(())
        })
    }

    fn take_messages(&mut self, token: usize) -> Result<()> {
        let now = since(self.paced.start);
        let mut again = Vec::new();
        let Self { connections, polls, tally, arrived, last, .. } = self;
        connections.at(token).answers(|answer| {
            let place = (answer.opaque - OPAQUE_BASE) as usize;
            polls[place].next = next_offset(answer, polls[place].next);
            again.push(place);
            if answer.code != 0 || polls[place].idle {
                return Ok(());
            }
            for body in frame::message_bodies(answer.body) {
                let mark = body?.first_chunk().map_or(0, |mark| u64::from_be_bytes(*mark));
                *arrived += 1;
                *last = now;
                if mark >= WARM_UP.as_nanos() as u64 {
                    tally.took(now.saturating_sub(mark));
                }
            }
            Ok(())
        })?;
        again.into_iter().try_for_each(|place| self.hold(place))
    }
}

/// Where to go on: a broker that found nothing may still correct the offset.
fn next_offset(answer: &Answer<'_>, before: i64) -> i64 {
    answer.number("nextBeginOffset").unwrap_or(before)
}
