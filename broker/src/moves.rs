//! `Moves`: offsets that the broker itself moves, because it stored something in the log that takes
//! the place of what they leave behind: a delayed message in its own topic, a half message at its
//! queue's end, the checkpoint of a pop. An offset that outlived that would leave out a message
//! that was acknowledged long before. So the files of offsets are written when the log is durable
//! that far, whatever `flushDiskType` says.

use crate::broker::Broker;
use message::Str;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};

/// How far the log must be durable before offsets are saved.
#[derive(Debug, Default)]
pub struct Moves {
    log_end: AtomicI64,
    /// The same for those of all groups, and of some besides.
    of_all: AtomicI64,
    of_groups: Mutex<HashMap<Str, i64>>,
}

impl Moves {
    /// Notes where that ends which an offset of a group is about to be moved for. Before it is:
    /// whoever reads the offset then finds this.
    pub fn note(&self, group: &str, log_end: i64) {
        let mut groups = self.of_groups.lock();
        match groups.get_mut(group) {
            Some(known) => *known = log_end.max(*known),
            None => drop(groups.insert(Str::from(group.to_owned()), log_end)),
        }
        drop(groups);
        self.note_level(log_end);
    }

    /// The same for the offset of a delay level.
    pub fn note_level(&self, log_end: i64) {
        self.log_end.fetch_max(log_end, Ordering::Release);
    }

    /// The same for any offset.
    pub fn note_all(&self, log_end: i64) {
        self.of_all.fetch_max(log_end, Ordering::Release);
        self.note_level(log_end);
    }

    /// Whether offsets of a group may have been moved for what stands in the log behind a place.
    pub fn has_moved(&self, group: &str, behind: i64) -> bool {
        let of_group = self.of_groups.lock().get(group).copied();
        of_group.unwrap_or(0).max(self.of_all.load(Ordering::Acquire)) > behind
    }
}

/// Sees to it that what offsets were moved for until now is durable; false when it cannot be. While
/// none moves, nothing is synced for it.
pub fn make_durable(broker: &Broker) -> bool {
    let log_end = broker.moves.log_end.load(Ordering::Acquire);
    let is_durable = broker.store.flushed_to() >= log_end || broker.store.sync().is_ok();
    let durable_to = broker.store.flushed_to();
    broker.moves.of_groups.lock().retain(|_, log_end| *log_end > durable_to);
    is_durable
}

#[cfg(test)]
mod tests;
