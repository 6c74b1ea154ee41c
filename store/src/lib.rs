//! The store: commit log, consume queues, index and checkpoint of Java's broker, byte for byte
//! (docs/disk.md). Synchronous and deterministic: no thread, no clock, no network; the disk is
//! reached through [`disk::Disk`] alone.
//!
//! The shell calls [`Store::append`] and [`Store::read`] where it serves, [`Store::sync`] where an
//! answer has to wait for the disk, and [`Store::flush`] and [`Store::retain`] at the times that
//! they ask for.

mod append;
mod batch_topics;
mod checkpoint;
mod commit_log;
mod compaction;
mod config_files;
mod config_journal;
mod config_sums;
mod consume_queue;
mod dirty;
pub mod disk;
mod early;
mod error;
mod flush;
mod front;
mod full;
mod in_the_way;
mod index;
mod index_entries;
mod index_file;
mod index_gaps;
mod index_pass;
pub mod light;
mod log_reader;
pub mod look;
mod losses;
mod marks;
mod mend;
mod moved;
mod parts;
mod progress;
mod queue_ends;
mod queue_pass;
mod queue_tail;
mod queues;
mod reach;
mod read;
mod recover;
mod removed_topics;
mod retain;
pub mod rocks;
pub mod root;
mod scrub;
mod search;
mod segments;
mod set_aside;
mod settings;
mod stats;
mod store;
mod timer;

pub use append::{Append, AppendError, Appended, Drafts};
pub use compaction::Compaction;
pub use config_files::{ConfigFiles, ConfigOrigin};
pub use config_journal::ConfigJournal;
pub use consume_queue::{UNIT_LEN, Unit};
pub use disk::{Disk, OsDisk};
pub use error::{Error, Lack};
pub use full::{Bound, Full};
pub use mend::NotNow;
pub use progress::{Progress, Step};
pub use reach::Wait;
pub use read::{
    Boundary, Everything, Filter, Limits, Position, Query, Read, ReadStatus, UnitEntry,
};
pub use recover::Recovered;
pub use retain::Retained;
pub use set_aside::{Aside, SetAside};
pub use settings::{FlushMode, Settings};
pub use stats::{APPEND_TIME_BOUNDS_MS, Stats};
pub use store::{FilterBits, Store};
pub use timer::{Timer, TimerCounts, TimerFiles, TimerProgress, TimerSlot, TimerUnit};
