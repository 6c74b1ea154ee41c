//! How large the files of compacted queues are, and where they lie.

use crate::Settings;
use crate::consume_queue::BATCH_UNIT_LEN;
use message::record::BLANK_LEN;
use std::path::{Path, PathBuf};

/// Where files wait that will take the places of others.
pub(crate) const COMPACTING: &str = "compacting";
/// Where log files lie that hold what a compaction could not read; beside the other directories, in
/// which Java would meet them.
pub(crate) const ASIDE: &str = "damaged";

/// The bytes of each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) log_bytes: u64,
    pub(crate) unit_bytes: u64,
}

impl Shape {
    /// What `compactionCqMappedFileSize` and `compactionMappedFileSize` come to (Java
    /// `CompactionLog.getCompactionLogSize`): whole units, and a log file of a whole number of such
    /// files, at least five.
    pub(crate) fn of(settings: &Settings) -> Self {
        let unit = BATCH_UNIT_LEN as u64;
        let unit_bytes = settings.compaction_queue_file_bytes / unit * unit;
        let asked = settings.compaction_log_file_bytes;
        let (whole, rest) = (asked / unit_bytes, asked % unit_bytes);
        let files = match whole {
            0..5 => 5,
            _ if rest > 0 && rest < unit_bytes / 2 => whole,
            _ => whole + 1,
        };
        Self { log_bytes: files * unit_bytes, unit_bytes }
    }

    /// Settings that come to files of these sizes.
    pub(crate) fn settings(self) -> (u64, u64) {
        let files = (self.log_bytes / self.unit_bytes.max(1)).max(1);
        ((files - 1) * self.unit_bytes, self.unit_bytes)
    }

    /// Whether a record of so many bytes fits into a file at all.
    pub(crate) fn holds(self, record_bytes: u64) -> bool {
        record_bytes + BLANK_LEN as u64 <= self.log_bytes
    }

    /// How many units a file takes: the last place of it ends them.
    pub(crate) fn units(self) -> u64 {
        self.unit_bytes / BATCH_UNIT_LEN as u64 - 1
    }
}

/// The directories of a queue.
#[derive(Clone, Debug)]
pub(crate) struct Dirs {
    pub(crate) log: PathBuf,
    pub(crate) units: PathBuf,
    /// Log files that were moved aside.
    pub(super) aside: PathBuf,
}

impl Dirs {
    /// Those of a queue below `root`, the directory `compaction`.
    pub(crate) fn of(root: &Path, topic: &str, id: i32) -> Self {
        let below = |name: &str| root.join(name).join(topic).join(id.to_string());
        let (log, units) = (below(super::LOG_DIR), below(super::UNITS_DIR));
        Self { log, units, aside: below(ASIDE) }
    }

    /// Those where new files wait.
    pub(crate) fn compacting(&self) -> Self {
        let (log, units) = (self.log.join(COMPACTING), self.units.join(COMPACTING));
        Self { log, units, aside: self.aside.clone() }
    }

    pub(crate) fn log_file(&self, start: i64) -> PathBuf {
        self.log.join(name(start))
    }

    pub(crate) fn units_file(&self, start: i64) -> PathBuf {
        self.units.join(name(start))
    }
}

/// The name of a file, as all of Java's.
pub(crate) fn name(start: i64) -> String {
    format!("{start:020}")
}

/// The log offset that a file's name says, when it is one.
pub(crate) fn start_of(name: &str) -> Option<i64> {
    let is_name = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    is_name.then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_javas() {
        let of = |log, queue| {
            let set = Settings {
                compaction_log_file_bytes: log,
                compaction_queue_file_bytes: queue,
                ..Settings::default()
            };
            let shape = Shape::of(&set);
            (shape.log_bytes, shape.unit_bytes)
        };
        assert_eq!(of(104_857_600, 10_485_760), (104_857_460, 10_485_746));
        assert_eq!(of(1_000, 470), (2_300, 460));
        assert_eq!(of(2_300, 460), (2_760, 460));
        assert_eq!(of(2_301, 460), (2_300, 460));
        assert_eq!(of(2_530, 460), (2_760, 460));
        for files in 5..20 {
            let shape = Shape { log_bytes: files * 460, unit_bytes: 460 };
            let (log, queue) = shape.settings();
            assert_eq!(of(log, queue), (shape.log_bytes, shape.unit_bytes));
        }
    }
}
