//! Sending at a fixed rate, whatever becomes of it: each message has a time at which it is *meant*
//! to leave, and a late generator or a broker that makes it wait counts as latency.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::frame::{OPAQUE_BASE, OPAQUE_COUNT, Template};
use crate::load::{since, unix_ms};
use crate::socket::Connections;

/// How long the broker may hold a poll.
pub(super) const HOLD: Duration = Duration::from_secs(15);
/// Sends that are not counted.
pub(super) const WARM_UP: Duration = Duration::from_secs(1);
/// Sends without answer after which the broker has lost the race.
const BACKLOG: u64 = 200_000;
/// The longest that nothing is looked after, even if nothing is due.
const IDLE: Duration = Duration::from_millis(50);

/// Reads a rate from the command line: 1 to 1,000,000 messages a second.
pub(super) fn parser() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=1_000_000)
}

/// How a message is written: [`Template::stamp`] or [`Template::stamp_marked`], with the time at
/// which it is due as the number.
type Stamp = fn(&Template, &mut Vec<u8>, u32, u64, u64);

/// Messages that leave over the connection of token 0, over the queues in turn.
pub(super) struct Paced {
    /// Messages a second.
    rate: u64,
    templates: Vec<Template>,
    stamp: Stamp,
    /// When the first one is due.
    pub(super) start: Instant,
    born_ms: u64,
    sent: u64,
    /// Answers that came.
    pub(super) answered: u64,
}

impl Paced {
    pub(super) fn new(rate: u64, templates: Vec<Template>, stamp: Stamp) -> Self {
        let (start, born_ms) = (Instant::now(), unix_ms());
        Self { rate, templates, stamp, start, born_ms, sent: 0, answered: 0 }
    }

    /// When a message is meant to leave, nanoseconds after the start.
    pub(super) fn due_at(&self, number: u64) -> u64 {
        number * 1_000_000_000 / self.rate
    }

    /// Sends what is due of `total` messages and says how long there is nothing to send.
    pub(super) fn send_due(
        &mut self,
        connections: &mut Connections,
        total: u64,
    ) -> Result<Duration> {
        let now = since(self.start);
        while self.sent < total && self.due_at(self.sent) <= now {
            let template = &self.templates[(self.sent % self.templates.len() as u64) as usize];
            let opaque = OPAQUE_BASE + (self.sent % u64::from(OPAQUE_COUNT)) as u32;
            let (born_ms, due) = (self.born_ms + now / 1_000_000, self.due_at(self.sent));
            (self.stamp)(template, &mut connections.at(0).output.bytes, opaque, born_ms, due);
            self.sent += 1;
        }
        connections.send(0)?;
        ensure!(self.sent - self.answered < BACKLOG, "the broker cannot keep up with this rate");
        if self.sent == total {
            return Ok(IDLE);
        }
        let wait = self.due_at(self.sent).saturating_sub(since(self.start));
        Ok(Duration::from_nanos(wait).min(IDLE))
    }
}
