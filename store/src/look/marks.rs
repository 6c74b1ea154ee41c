//! Up to where everything must have reached the files: a broker that runs, or was killed, owes
//! units and index entries of the newest records still.

use super::Look;
use crate::Error;
use crate::checkpoint::{Fields, Mark};

/// What the checkpoint and `abort` promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The last stop was clean: everything.
    All,
    /// Everything before a log offset.
    Before(i64),
    /// Records stored at or before a time, ms since the epoch.
    Until(i64),
}

impl Settled {
    pub(super) fn read(look: &Look<'_>, checkpoint: Option<&Fields>) -> Result<Self, Error> {
        if !look.is_unclean()? {
            return Ok(Self::All);
        }
        let Some(checkpoint) = checkpoint else { return Ok(Self::Until(0)) };
        let durable_to = checkpoint.durable_to();
        Ok(durable_to.map_or_else(|| Self::Until(checkpoint.safe_time()), Self::Before))
    }

    /// Whether the record that ends at `log_end`, of `time`, must be known everywhere.
    pub(super) fn covers(self, log_end: i64, time: i64) -> bool {
        match self {
            Self::All => true,
            Self::Before(end) => log_end <= end,
            Self::Until(last) => time <= last,
        }
    }
}

/// Records that are not known everywhere yet, and need not be.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    pub(super) count: u64,
    pub(super) first: i64,
}

impl Unsettled {
    pub(super) fn note(&mut self, log_offset: i64) {
        if self.count == 0 {
            self.first = log_offset;
        }
        self.count += 1;
    }
}

/// The fields of a checkpoint that can be judged by themselves: offset, name, value.
pub(super) const FIELDS: [(Mark, &str); 4] = [
    (Mark::LogTime, "time of the newest durable record"),
    (Mark::QueueTime, "time of the newest record whose queue unit is durable"),
    (Mark::IndexTime, "time of the newest record whose index entries are durable"),
    (Mark::QueuesTo, "log offset up to which queue units are durable"),
];
