//! What can be wrong with a store, counted by kind: of each the first place and what to do.

use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A kind of damage, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A commit log file has another size than the others.
    LogFile,
    /// Commit log files are missing between others.
    LogFilesMissing,
    /// Bytes of the commit log that are no record, with records or their units behind them.
    Record,
    /// A record whose checksum is right but not what stands beside the body.
    RecordField,
    /// Damage that the broker found itself and passes over.
    SetAside,
    /// A queue file has another size than the others.
    QueueFile,
    /// A record that its queue does not show.
    UnitMissing,
    /// A queue unit that says something else than its record.
    UnitWrong,
    /// A queue unit that leads to no record.
    UnitLost,
    /// A file of a compacted queue has another size than the settings say.
    CompactedFile,
    /// A log file of a compacted queue is missing, though its units are there.
    CompactedFileMissing,
    /// Bytes of a compacted queue's log that are no record, or not one of this queue.
    CompactedRecord,
    /// A record of a compacted queue whose unit is missing or says something else.
    CompactedUnit,
    /// An index file with another size, or a header that cannot be.
    IndexFile,
    /// An index entry that leads to no record with this key, or whose chain is broken.
    IndexEntry,
    /// A slot of an index file that does not lead to the newest entry of its chain.
    IndexSlot,
    /// A key that the index file of its time does not have.
    KeyMissing,
    /// The checkpoint says what cannot be.
    Checkpoint,
    /// A configuration file that cannot be read or is not there.
    Config,
}

impl Kind {
    /// So many of them, in words.
    pub fn counted(self, count: u64) -> String {
        let words = match self {
            Self::LogFile => "log file{s} of a wrong size",
            Self::LogFilesMissing => "gap{s} of missing log files",
            Self::Record => "damaged range{s} of the log",
            Self::RecordField => "record{s} with wrong fields",
            Self::SetAside => "range{s} set aside by the broker",
            Self::QueueFile => "queue file{s} of a wrong size",
            Self::UnitMissing => "missing queue unit{s}",
            Self::UnitWrong => "wrong queue unit{s}",
            Self::UnitLost => "queue unit{s} leading nowhere",
            Self::CompactedFile => "compacted file{s} of a wrong size",
            Self::CompactedFileMissing => "missing file{s} of compacted logs",
            Self::CompactedRecord => "damaged record{s} of compacted logs",
            Self::CompactedUnit => "wrong unit{s} of compacted logs",
            Self::IndexFile => "damaged index file{s}",
            Self::IndexEntry => "wrong index entr{ies}",
            Self::IndexSlot => "wrong index slot{s}",
            Self::KeyMissing => "key{s} missing in the index",
            Self::Checkpoint => "implausible checkpoint field{s}",
            Self::Config => "unreadable or missing configuration file{s}",
        };
        let (s, ies) = if count == 1 { ("", "y") } else { ("s", "ies") };
        format!("{count} {}", words.replace("{s}", s).replace("{ies}", ies))
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::LogFile => {
                "if all log files have this size, set mappedFileSizeCommitLog to it; else restore \
                 the file from a copy. Brokers refuse to start with it"
            }
            Self::LogFilesMissing => "restore the files from a copy; messages in them are lost",
            Self::Record => {
                "messages in the range are lost unless a copy has them. Rockhopper keeps what \
                 follows; do not start a Java broker here without a copy: it cuts the log at the \
                 first of these that its start walks over, which deletes all later messages, after \
                 a clean stop too (preflight --to java-5.5 tells where)"
            }
            Self::RecordField => {
                "the body is whole; compare the record with a copy (rockhopper store dump)"
            }
            Self::SetAside => {
                "known since it was found, later messages are readable; restore the file from a \
                 copy if the lost ones matter. Do not start a Java broker here without a copy: it \
                 cuts the log at the first of these that its start walks over"
            }
            Self::QueueFile | Self::UnitMissing | Self::UnitWrong | Self::UnitLost => {
                "stop the broker, move the queue's directory away and start: it is made anew from \
                 the log"
            }
            Self::CompactedFile => {
                "if all of them have this size, set compactionMappedFileSize and \
                 compactionCqMappedFileSize as the store was made with; else stop the broker and \
                 restore the file from a copy. Brokers refuse to start with it"
            }
            Self::CompactedFileMissing => {
                "restore the file from a copy before the next start: its messages are lost else. \
                 Rockhopper starts without it and removes its units"
            }
            Self::CompactedRecord => {
                "the message is lost unless a copy has the file, all others stay readable. Do not \
                 remove the queue's files: what expired from the commit log is in these alone"
            }
            Self::CompactedUnit => {
                "readers go by the record, and the next compaction writes units anew; nothing is \
                 lost while Rockhopper has the directory"
            }
            Self::IndexFile | Self::IndexEntry | Self::IndexSlot | Self::KeyMissing => {
                "only queries by key are affected. Stop the broker, move the directory index away \
                 and start: it is made anew while the whole log is read"
            }
            Self::Checkpoint => {
                "stop the broker, move the file away and make an empty file abort: the next start \
                 reads the log instead"
            }
            Self::Config => {
                "restore it from a copy, unless it says that one bit is wrong: the next start \
                 mends that. Else the broker takes the .bak beside it, and without a usable one \
                 makes topics from their queues and forgets the rest"
            }
        }
    }
}

/// Where something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The file.
    pub file: String,
    /// The byte in it.
    pub at: u64,
    /// In the commit log, or led to there, when it has to do with a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_offset: Option<i64>,
    /// Topic, queue and queue offset, when it has to do with one queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<(String, i32, i64)>,
}

impl Place {
    /// A byte of a file.
    pub(super) fn at(path: &Path, at: u64) -> Self {
        Self { file: path.display().to_string(), at, ..Self::default() }
    }

    pub(super) fn log(self, log_offset: i64) -> Self {
        Self { log_offset: Some(log_offset), ..self }
    }

    pub(super) fn queue(self, topic: &str, id: i32, offset: i64) -> Self {
        Self { queue: Some((topic.to_owned(), id, offset)), ..self }
    }
}

/// Damage of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// What it is.
    pub kind: Kind,
    /// How often it was found.
    pub count: u64,
    /// Where it was found first.
    pub first: Place,
    /// What is wrong there.
    pub why: String,
    /// What to do.
    pub advice: &'static str,
}

/// Damage of all kinds.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<Kind, Damage>);

impl Tally {
    pub(super) fn add(&mut self, kind: Kind, first: Place, why: impl FnOnce() -> String) {
        self.0.entry(kind).and_modify(|damage| damage.count += 1).or_insert_with(|| Damage {
            kind,
            count: 1,
            first,
            why: why(),
            advice: kind.advice(),
        });
    }

    /// Takes over another one's, keeping the first places.
    pub(super) fn join(&mut self, other: Self) {
        for (kind, mut damage) in other.0 {
            if let Some(known) = self.0.remove(&kind) {
                damage.count += known.count;
                let place = |damage: &Damage| damage.first.log_offset.unwrap_or(i64::MAX);
                if place(&known) <= place(&damage) {
                    (damage.first, damage.why) = (known.first, known.why);
                }
            }
            self.0.insert(kind, damage);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Damage> {
        self.0.into_values().collect()
    }
}
