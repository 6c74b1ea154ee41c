//! `Copies`: what was delivered before a crash that took the note of it. The commit log has the
//! copies, and the index leads there by the unique key; a message without one is not found.

use crate::broker::Broker;
use message::{Entry, Record, property, record};
use std::collections::HashSet;

/// Records with one key that are looked at.
const LOOKED_AT: usize = 32;
/// Clocks were set back by so much at most between two stores, ms.
const BACK_MS: i64 = 600_000;

/// Where copies stand that were taken for one message: another that is the same needs its own.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    used: HashSet<i64>,
}

impl Copies {
    /// Whether a topic has a parked message, stored later; `is_it` looks at the times of a copy.
    pub(crate) fn find(
        &mut self,
        broker: &Broker,
        parked: &Record<'_>,
        topic: &str,
        is_it: impl Fn(&Record<'_>) -> bool,
    ) -> bool {
        any(broker, parked, topic, |copy| is_it(copy) && self.take(copy))
    }

    /// Takes a copy for a message; whether no other has it.
    pub(crate) fn take(&mut self, copy: &Record<'_>) -> bool {
        self.used.insert(copy.log_offset)
    }
}

/// Whether a topic has a message like the parked one, stored later, that `is_it` takes.
pub(crate) fn any(
    broker: &Broker,
    parked: &Record<'_>,
    topic: &str,
    mut is_it: impl FnMut(&Record<'_>) -> bool,
) -> bool {
    let Some(id) = parked.property(property::UNIQ_KEY) else { return false };
    let times = (parked.store_timestamp - BACK_MS, i64::MAX);
    let found = broker.store.query(topic, id, LOOKED_AT, times);
    found.records.iter().any(|stored| {
        let Ok(Entry::Message(copy)) = record::decode(stored, false) else { return false };
        copy.topic == topic
            && copy.log_offset > parked.log_offset
            && copy.born_timestamp == parked.born_timestamp
            && copy.body_crc == parked.body_crc
            && copy.property(property::UNIQ_KEY) == Some(id)
            && is_it(&copy)
    })
}

/// Whether a copy waits, or waited, for the same slot of the timer.
pub(crate) fn has_same_slot(parked: &Record<'_>, copy: &Record<'_>) -> bool {
    copy.property(property::TIMER_OUT_MS) == parked.property(property::TIMER_OUT_MS)
}
