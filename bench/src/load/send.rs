//! Sends: so many connections, so many requests in flight on each. A window of one is "one at a
//! time". A new request leaves when an answer comes, so this measures capacity; latency at a fixed
//! rate is the business of `arrive`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::control::Control;
use crate::frame::{Answer, Form, OPAQUE_BASE, OPAQUE_COUNT, Template};
use crate::load::{GRACE, Target, since, unix_ms};
use crate::outcome::{Outcome, Tally};
use crate::process::Usage;
use crate::socket::Connections;

/// What to send.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct SendLoad {
    /// Connections to open.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 64)]
    pub(crate) window: usize,
    /// Bytes of each body.
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
    /// Topics to send to, round robin.
    #[arg(long, default_value_t = 1)]
    pub(crate) topics: u32,
    /// Queues of each topic, round robin.
    #[arg(long, default_value_t = 4)]
    pub(crate) queues: u32,
    /// Header form.
    #[arg(long, value_enum, default_value_t = Form::Json)]
    pub(crate) form: Form,
    /// Stop after so many messages.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) count: u64,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

impl SendLoad {
    /// The name says the shape, so that runs with other shapes do not meet.
    fn topic(&self, number: u32) -> String {
        format!("bench-{}x{}-{number}", self.topics, self.queues)
    }

    fn templates(&self) -> Vec<Template> {
        let topics = (0..self.topics).map(|number| self.topic(number));
        let template = |topic: &str, queue| Template::send(self.form, topic, queue, self.body);
        topics.flat_map(|t| (0..self.queues).map(move |q| template(&t, q))).collect()
    }
}

/// Creates the topics, sends, and tells how it went.
pub(crate) fn run(target: &Target, load: &SendLoad) -> Result<Outcome> {
    long(target, load, 1)
}

/// The same without a pause in so many parts, which are told one by one: the first and the last
/// show whether there is a slope.
pub(crate) fn long(target: &Target, load: &SendLoad, parts: u64) -> Result<Outcome> {
    let mut control = Control::open(target.broker)?;
    for number in 0..load.topics {
        control.create_topic(&load.topic(number), load.queues)?;
    }
    send(target, load, load.templates(), parts)
}

/// Sends to one topic that exists; for jobs that need messages to be there.
pub(crate) fn fill(target: &Target, topic: &str, load: &SendLoad) -> Result<Outcome> {
    let templates = (0..load.queues).map(|q| Template::send(load.form, topic, q, load.body));
    send(target, load, templates.collect(), 1)
}

fn send(target: &Target, load: &SendLoad, templates: Vec<Template>, parts: u64) -> Result<Outcome> {
    ensure!(load.window as u64 <= u64::from(OPAQUE_COUNT) / 2, "the window is too wide");
    let mut connections = Connections::open(target.broker, load.connections)?;
    let before = target.usage()?;
    let mut run = Run::new(load, templates)?;
    let mut told = Parts { each: load.count / parts, begun: 0, before, done: Vec::new() };
    for token in 0..load.connections {
        let now = run.now();
        for slot in 0..load.window {
            run.issue(&mut connections, token, slot, now);
        }
        connections.send(token)?;
    }
    let end = run.until + GRACE.as_nanos() as u64;
    let mut freed = Vec::with_capacity(load.window);
    while run.outstanding > 0 && run.now() < end {
        let ready = connections.wait(Duration::from_millis(100))?;
        for &token in &ready {
            connections.receive(token)?;
            let now = run.now();
            connections.at(token).answers(|answer| {
                freed.push(run.settle(token, answer, now)?);
                Ok(())
            })?;
            for slot in freed.drain(..) {
                run.issue(&mut connections, token, slot, now);
            }
            connections.send(token)?;
        }
        connections.done(ready);
        let due = told.each * (told.done.len() as u64 + 1);
        if parts > 1 && run.tally.messages + run.part.messages >= due {
            let part = std::mem::replace(&mut run.part, Tally::new()?);
            told.tell(target, &part, run.last)?;
            run.tally.add(part)?;
        }
    }
    let usage = before.zip(target.usage()?);
    let elapsed = Duration::from_nanos(run.last.max(1));
    run.tally.add(run.part)?;
    let ends = told.done.first().zip(told.done.last());
    let ends = ends.map(|(first, last)| Box::new([first.clone(), last.clone()]));
    Ok(Outcome { ends, ..run.tally.finish(elapsed, usage, run.outstanding) })
}

/// The parts of a long run.
struct Parts {
    /// Messages of a part.
    each: u64,
    /// When the part under way began, in nanoseconds, and what the server had used then.
    begun: u64,
    before: Option<Usage>,
    done: Vec<Outcome>,
}

impl Parts {
    /// Closes a part at `now`.
    fn tell(&mut self, target: &Target, part: &Tally, now: u64) -> Result<()> {
        let after = target.usage()?;
        let elapsed = Duration::from_nanos(now - self.begun);
        let outcome = part.clone().finish(elapsed, self.before.zip(after), 0);
        eprintln!("    part {:<3} {outcome}", self.done.len() + 1);
        self.done.push(outcome);
        (self.begun, self.before) = (now, after);
        Ok(())
    }
}

/// One place in a connection's window.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    sent_at: u64,
    /// How often the place was used: it tells a late or second answer from the right one.
    turn: u32,
    waiting: bool,
}

struct Run<'a> {
    load: &'a SendLoad,
    templates: Vec<Template>,
    slots: Vec<Slot>,
    start: Instant,
    /// Nanoseconds after `start` when no more is sent, and when the last answer came.
    until: u64,
    last: u64,
    issued: u64,
    outstanding: u64,
    born_ms: u64,
    /// Of the parts that are done, and of the one under way.
    tally: Tally,
    part: Tally,
}

impl<'a> Run<'a> {
    fn new(load: &'a SendLoad, templates: Vec<Template>) -> Result<Self> {
        Ok(Self {
            load,
            templates,
            slots: vec![Slot::default(); load.connections * load.window],
            start: Instant::now(),
            until: Duration::from_secs(load.seconds).as_nanos() as u64,
            last: 0,
            issued: 0,
            outstanding: 0,
            born_ms: unix_ms(),
            tally: Tally::new()?,
            part: Tally::new()?,
        })
    }

    fn now(&self) -> u64 {
        since(self.start)
    }

    /// Puts the next message into a connection's output, unless a bound is reached.
    fn issue(&mut self, connections: &mut Connections, token: usize, slot: usize, now: u64) {
        if self.issued >= self.load.count || now >= self.until {
            return;
        }
        let window = self.load.window as u32;
        let place = &mut self.slots[token * self.load.window + slot];
        place.turn = (place.turn + 1) % (OPAQUE_COUNT / window);
        place.sent_at = now;
        place.waiting = true;
        let opaque = OPAQUE_BASE + place.turn * window + slot as u32;
        let template = &self.templates[(self.issued % self.templates.len() as u64) as usize];
        let out = &mut connections.at(token).output.bytes;
        template.stamp(out, opaque, self.born_ms + now / 1_000_000, self.issued);
        self.issued += 1;
        self.outstanding += 1;
    }

    /// Takes one answer and gives the slot that is free now.
    fn settle(&mut self, token: usize, answer: &Answer<'_>, now: u64) -> Result<usize> {
        let window = self.load.window as u32;
        let number =
            answer.opaque.checked_sub(OPAQUE_BASE).context("an answer nobody waits for")?;
        let slot = (number % window) as usize;
        let place = &mut self.slots[token * self.load.window + slot];
        ensure!(place.waiting && place.turn == number / window, "a second answer to {number}");
        place.waiting = false;
        self.outstanding -= 1;
        self.last = now;
        self.part.took(now - place.sent_at);
        match answer.code {
            0 => self.part.messages += 1,
            code => self.part.refuse(code),
        }
        Ok(slot)
    }
}
