//! What of a slot was delivered before a crash: the files do not say that message by message, but
//! the commit log has what was stored, and the index leads there.

use super::QUEUE;
use crate::broker::Broker;
use message::{Entry, Record, names, property, record};
use std::collections::HashSet;
use store::{Store, TimerUnit};

/// Records with one key that are looked at.
const LOOKED_AT: usize = 32;
/// Clocks were set back by so much at most between two stores, ms.
const BACK_MS: i64 = 600_000;

/// What is not known.
pub(super) struct Unsure {
    /// What was due before may have been delivered, ms since the epoch.
    until_ms: i64,
    /// What was stored before this place of the commit log may have been delivered.
    log_end: i64,
    /// Where the timer's queue ended then.
    queue_end: i64,
    /// Where copies stand that were taken for one message: another that is the same needs its own.
    used: HashSet<i64>,
}

impl Unsure {
    /// What waits now may be delivered already, if it was due before `until_ms`.
    pub(super) fn of(store: &Store, until_ms: i64) -> Self {
        let queue_end = store.max_offset(names::TIMER_TOPIC, QUEUE);
        Self { until_ms, log_end: store.max_log_offset(), queue_end, used: HashSet::new() }
    }

    /// Until when, ms since the epoch.
    pub(super) fn until_ms(&self) -> i64 {
        self.until_ms
    }

    /// A message that was put before is put again, into a slot.
    pub(super) fn put_again(&mut self, unit: &TimerUnit) {
        if unit.log_offset < self.log_end {
            self.until_ms = self.until_ms.max(unit.slot_ms);
        }
    }

    /// Whether nothing that is left may be delivered already.
    pub(super) fn is_over(&self, files: &store::Timer) -> bool {
        let progress = files.progress();
        progress.read_ms > self.until_ms && progress.queue_offset >= self.queue_end
    }

    /// Whether a parked message, which was due at `out_ms`, was delivered already, or stored again
    /// before its time, whatever the roll window was then.
    pub(super) fn is_done(
        &mut self,
        broker: &Broker,
        parked: &Record<'_>,
        (out_ms, rolls): (i64, bool),
    ) -> bool {
        if parked.log_offset >= self.log_end {
            return false;
        }
        let times = |text: Option<&str>| text.and_then(|text| text.parse::<i32>().ok());
        let next = times(parked.property(property::TIMER_ROLL_TIMES)).unwrap_or(0) + 1;
        let is_next =
            |copy: &Record<'_>| times(copy.property(property::TIMER_ROLL_TIMES)) == Some(next);
        if self.has_copy(broker, parked, names::TIMER_TOPIC, is_next) {
            return true;
        }
        let topic = parked.property(property::REAL_TOPIC).unwrap_or_default();
        !rolls
            && out_ms <= self.until_ms
            && self.has_copy(broker, parked, topic, |copy| {
                copy.property(property::TIMER_DEQUEUE_MS).is_some()
            })
    }

    /// Whether a topic has the message, stored later.
    fn has_copy(
        &mut self,
        broker: &Broker,
        parked: &Record<'_>,
        topic: &str,
        is_it: impl Fn(&Record<'_>) -> bool,
    ) -> bool {
        let Some(id) = parked.property(property::UNIQ_KEY) else { return false };
        let out_ms = parked.property(property::TIMER_OUT_MS);
        let times = (parked.store_timestamp - BACK_MS, i64::MAX);
        let found = broker.store.query(topic, id, LOOKED_AT, times);
        for stored in &found.records {
            let Ok(Entry::Message(copy)) = record::decode(stored, false) else { continue };
            let is_same = copy.topic == topic
                && copy.log_offset > parked.log_offset
                && copy.born_timestamp == parked.born_timestamp
                && copy.body_crc == parked.body_crc
                && copy.property(property::UNIQ_KEY) == Some(id)
                && copy.property(property::TIMER_OUT_MS) == out_ms;
            if is_same && is_it(&copy) && self.used.insert(copy.log_offset) {
                return true;
            }
        }
        false
    }
}
