//! What of a slot was delivered before a crash: the files do not say that message by message, but
//! the commit log has what was stored, and the index leads there.

use super::QUEUE;
use super::enqueue::out_ms as slot_of;
use crate::broker::Broker;
use crate::copies::{self, Copies, has_same_slot};
use message::{Record, names, property};
use store::{Store, TimerUnit};

/// What is not known.
pub(super) struct Unsure {
    /// What was due before may have been delivered, ms since the epoch.
    until_ms: i64,
    /// What was stored before this place of the commit log may have been delivered.
    log_end: i64,
    /// Where the timer's queue ended then.
    queue_end: i64,
    copies: Copies,
}

impl Unsure {
    /// What waits now may be delivered already, if it was due before `until_ms`.
    pub(super) fn of(store: &Store, until_ms: i64) -> Self {
        let queue_end = store.max_offset(names::TIMER_TOPIC, QUEUE);
        Self { until_ms, log_end: store.max_log_offset(), queue_end, copies: Copies::default() }
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
        // Its slot may be a later one then, within the one that another broker gave it.
        let latest_ms = out_ms + settings::Store::timer_slot_ms_at(out_ms);
        let is_next = |copy: &Record<'_>| {
            times(copy.property(property::TIMER_ROLL_TIMES)) == Some(next)
                && (has_same_slot(parked, copy)
                    || slot_of(copy).is_some_and(|ms| (out_ms..latest_ms).contains(&ms)))
        };
        // Java's timer in RocksDB stores all that waits for long again and again, counts nothing,
        // and takes those that are alike for one.
        let is_alike = |copy: &Record<'_>| {
            copy.property(property::TIMER_ROLL_LABEL).is_some() && has_same_slot(parked, copy)
        };
        let is_stored_again = copies::any(broker, parked, names::TIMER_TOPIC, |copy| {
            is_alike(copy) || is_next(copy) && self.copies.take(copy)
        });
        if is_stored_again {
            return true;
        }
        let topic = parked.property(property::REAL_TOPIC).unwrap_or_default();
        !rolls
            && out_ms <= self.until_ms
            && self.copies.find(broker, parked, topic, |copy| {
                // The latter says so where it was the timer in RocksDB.
                let is_out = copy.property(property::TIMER_DEQUEUE_MS).is_some()
                    || copy.property(property::REAL_TOPIC).is_none();
                is_out && has_same_slot(parked, copy)
            })
    }
}
