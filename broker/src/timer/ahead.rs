//! What takes messages back and stands behind a place of the timer's queue that cannot be read
//! now. One such place holds up nothing else: slots are emptied meanwhile. But what was taken back
//! is not delivered, so that part of the queue is looked through for it.

use super::QUEUE;
use crate::broker::Broker;
use message::{Entry, names, property, record};
use std::collections::HashSet;
use store::Position;

/// Places that one step looks at.
const BATCH: usize = 2_048;
/// Messages taken back that are known at most; those beyond are delivered.
const MOST: usize = 100_000;

/// The part that was looked through.
#[derive(Default)]
pub(super) struct Ahead {
    to: i64,
    pub(super) recalled: HashSet<String>,
}

impl Ahead {
    /// Looks on behind the place `unread`, up to `end`; says whether it is there.
    pub(super) fn look(&mut self, broker: &Broker, unread: i64, end: i64) -> bool {
        let topic = names::TIMER_TOPIC;
        self.to = self.to.max(unread + 1);
        if self.to >= end || self.recalled.len() >= MOST {
            return true;
        }
        let units = broker.store.units(topic, QUEUE, self.to, BATCH);
        if units.is_empty() {
            // This one cannot be read either.
            self.to += 1;
        }
        for unit in units {
            let at = Position { topic, queue_id: QUEUE, offset: self.to };
            let stored = broker.store.message_of(at, &unit).ok().flatten();
            if let Some(Ok(Entry::Message(marker))) =
                stored.as_ref().map(|it| record::decode(it, false))
                && let Some(key) = marker.property(property::TIMER_DEL_UNIQKEY)
            {
                self.recalled.insert(key.to_owned());
            }
            self.to += 1;
        }
        self.to >= end
    }
}
