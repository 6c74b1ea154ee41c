//! `Moves`: offsets that the broker itself moves, because it stored something in the log that takes
//! the place of what they leave behind: a delayed message in its own topic, a half message at its
//! queue's end, the checkpoint of a pop. An offset that outlived that would leave out a message
//! that was acknowledged long before. So the files of offsets are written when the log is durable
//! that far, whatever `flushDiskType` says.

use crate::broker::Broker;
use std::sync::atomic::{AtomicI64, Ordering};

/// How far the log must be durable before offsets are saved.
#[derive(Debug, Default)]
pub struct Moves {
    log_end: AtomicI64,
}

impl Moves {
    /// Notes where that ends which an offset is about to be moved for. Before it is: whoever reads
    /// the offset then finds this.
    pub fn note(&self, log_end: i64) {
        self.log_end.fetch_max(log_end, Ordering::Release);
    }
}

/// Sees to it that what offsets were moved for until now is durable; false when it cannot be. While
/// none moves, nothing is synced for it.
pub fn make_durable(broker: &Broker) -> bool {
    let log_end = broker.moves.log_end.load(Ordering::Acquire);
    broker.store.flushed_to() >= log_end || broker.store.sync().is_ok()
}

#[cfg(test)]
mod tests;
