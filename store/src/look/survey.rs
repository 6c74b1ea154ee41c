//! What is in a store's directory, from names, lengths, heads and ends of files alone: quick on a
//! store of any size.

use super::check::{CHUNK, READ_AGAIN};
use super::files::{self, Run};
use super::log_walk::{LogWalk, Step};
use super::queue_walk;
use super::{CompactedView, Look, marks::FIELDS};
use crate::checkpoint::{Fields, Mark, OWN_MAGIC};
use crate::config_sums::{ConfigSums, Rot};
use crate::disk::{Listed, peek};
use crate::in_the_way;
use crate::index_file::{HEADER, Header};
use crate::moved::moved;
use crate::progress::Step as Work;
use crate::removed_topics::RemovedTopics;
use crate::timer::progress_in;
use crate::{Disk, Error, SetAside};
use message::{Str, record};
use serde::Serialize;
use std::collections::BTreeMap;

/// Names in a store's root that are known, beside those of directories.
pub(super) const KNOWN: [&str; 18] = [
    "abort",
    "abort.bak",
    "checkpoint",
    "lock",
    "commitlog",
    "consumequeue",
    "index",
    "config",
    "queueends",
    "setaside",
    "removedtopics",
    "batchtopics",
    "consumequeue_ext",
    "batchconsumequeue",
    "timerwheel",
    "timerlog",
    "compaction",
    "rocksdbstore",
];
/// The most of a configuration file that is read.
const CONFIG_MAX: u64 = 256 << 20;

/// A store's directory at a glance. Times are ms since the epoch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    /// The directory.
    pub root: String,
    /// What `abort` says, when it is there: a broker runs, or was killed.
    pub abort: Option<String>,
    /// The commit log.
    pub log: LogView,
    /// Topics with their queues.
    pub topics: Vec<TopicView>,
    /// How far the timer came, when its files are there and can be read.
    pub timer: Option<TimerView>,
    /// Compacted queues, by topic and id.
    pub compacted: Vec<CompactedView>,
    /// Index files, oldest first.
    pub index: Vec<IndexView>,
    /// The checkpoint; `None` when there is none, or one of another size.
    pub checkpoint: Option<CheckpointView>,
    /// Files under `config`.
    pub config: Vec<ConfigView>,
    /// Ranges of the log that the broker set aside.
    pub set_aside: Vec<RangeView>,
    /// Other names in the directory.
    pub others: Vec<String>,
}

/// The commit log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogView {
    /// Its directory.
    pub dir: String,
    /// The first log offset.
    pub from: i64,
    /// The log offset behind the last record.
    pub to: i64,
    /// Store time of the first record.
    pub first_time: Option<i64>,
    /// Store time of the last record.
    pub last_time: Option<i64>,
    /// Bytes of all files.
    pub bytes: u64,
    /// The files, oldest first.
    pub files: Vec<RunFileView>,
    /// Names in the directory that are none of the log's.
    pub strangers: Vec<String>,
    /// Files that were moved aside at a start.
    pub moved: Vec<MovedView>,
}

/// A file of the log that was moved aside: what it holds had expired, or was lost, and came back in
/// part.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedView {
    /// Where it is.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// When it was last changed.
    pub modified: i64,
}

/// A file of the log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunFileView {
    /// The offset of its first byte.
    pub start: i64,
    /// Its length.
    pub bytes: u64,
    /// When it was last changed.
    pub modified: i64,
    /// Store time of its first record.
    pub first_time: Option<i64>,
}

/// A topic.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicView {
    /// Its name.
    pub topic: String,
    /// Messages in all queues.
    pub messages: i64,
    /// The queues, by id.
    pub queues: Vec<QueueView>,
}

/// A queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// Its id.
    pub id: i32,
    /// The first queue offset.
    pub min: i64,
    /// The queue offset behind the last message.
    pub max: i64,
    /// Store time of the first message.
    pub first_time: Option<i64>,
    /// Store time of the last message.
    pub last_time: Option<i64>,
    /// Bytes of its files.
    pub bytes: u64,
}

/// What the timer's files say, whose messages wait for a time of their own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimerView {
    /// What was due before is delivered.
    pub delivered_to: i64,
    /// The next message of the timer's queue that is taken into the files.
    pub queue_offset: i64,
    /// Files of the timer's log.
    pub log_files: usize,
    /// Their bytes; most of the last one are holes.
    pub log_bytes: u64,
}

/// An index file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexView {
    /// Its name.
    pub name: String,
    /// Its length; most of it are holes.
    pub bytes: u64,
    /// Store time of the first record.
    pub begin_time: i64,
    /// Store time of the last record.
    pub end_time: i64,
    /// Log offset of the first record.
    pub begin_offset: i64,
    /// Log offset of the last record.
    pub end_offset: i64,
    /// Slots in use.
    pub used_slots: i32,
    /// Entries.
    pub entries: i32,
}

/// The checkpoint.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointView {
    /// Byte, meaning and value of each field; those before byte 24 are times.
    pub fields: Vec<(u64, &'static str, i64)>,
    /// The log offset up to which everything is durable, when Rockhopper wrote the file last.
    pub durable_to: Option<i64>,
    /// Whether Rockhopper's own mark is there at all.
    pub has_own_mark: bool,
}

/// A configuration file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigView {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

/// A range of the log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RangeView {
    /// The log offset of its first byte.
    pub from: i64,
    /// The log offset behind its last byte.
    pub to: i64,
}

impl Look<'_> {
    /// What is in the directory.
    ///
    /// # Errors
    /// When the directory is no store or cannot be read.
    pub fn survey(&self) -> Result<Survey, Error> {
        self.refuse_nothing()?;
        let root = &self.settings.root;
        let listed = self.disk.list(root).map_err(Error::io("list", root))?;
        let others = listed.iter().map(|file| file.name.clone());
        let [outside, _] = in_the_way::outside(&self.settings.commit_log_path());
        let is_outside = |name: &str| root.join(name) == outside;
        let is_known = |name: &str| KNOWN.contains(&name) || is_outside(name);
        let others = others.filter(|name| !is_known(name)).collect();
        let abort = listed.iter().any(|file| file.name == "abort");
        let abort = abort.then(|| self.disk.read(&self.path("abort")).unwrap_or_default());
        let run = Run::list(self.disk, &self.settings.commit_log_path())?;
        let (topics, last) = self.topics(&run)?;
        let ranges = self.set_aside().into_iter().map(|(from, to)| RangeView { from, to });
        Ok(Survey {
            root: root.display().to_string(),
            abort: abort.map(|pid| String::from_utf8_lossy(&pid).into_owned()),
            log: self.log(run, last)?,
            topics,
            timer: self.timer()?,
            compacted: self.compacted()?,
            index: self.index()?,
            checkpoint: self.checkpoint()?,
            config: self.configs()?,
            set_aside: ranges.collect(),
            others,
        })
    }

    /// The log; its end is looked for from `last` on, the last record that a queue shows, or from
    /// the last file that begins with a record: the next one is made in advance, and what a unit
    /// says need not be so.
    fn log(&self, run: Run, last: i64) -> Result<LogView, Error> {
        let from = run.files.first().map_or(0, |file| file.start);
        let last = store_time(self.disk, &run, last).map_or(from, |_| last);
        let bytes = run.bytes();
        let files = run.files.iter().map(|file| RunFileView {
            start: file.start,
            bytes: file.len,
            modified: file.modified,
            first_time: store_time(self.disk, &run, file.start),
        });
        let files: Vec<_> = files.collect();
        let (dir, strangers) = (run.dir.display().to_string(), run.strangers.clone());
        let first_time = files.first().and_then(|file| file.first_time);
        let begun = files.iter().rev().find(|file| file.first_time.is_some());
        let begun = begun.map_or(from, |file| file.start);
        let mut last_time = None;
        let mut walk = LogWalk::new(self.disk, run, self.set_aside(), CHUNK);
        walk.jump(last.max(begun));
        let mut to = walk.at();
        while walk.step()? == Step::Record {
            to = walk.at();
            last_time = walk.record().map(|record| record.store_timestamp).or(last_time);
        }
        let moved = moved(self.disk, &self.settings.commit_log_path()).into_iter();
        let moved = moved.map(|file| MovedView {
            path: file.path.display().to_string(),
            bytes: file.len,
            modified: file.modified,
        });
        let moved = moved.collect();
        Ok(LogView { dir, from, to, first_time, last_time, bytes, files, strangers, moved })
    }

    /// The topics, and where the last record begins that any queue shows.
    fn topics(&self, run: &Run) -> Result<(Vec<TopicView>, i64), Error> {
        let all = files::queues(self.disk, &self.settings.root)?;
        let work = Work::begin(self.watch, "looking at queues", all.len() as u64);
        let (mut topics, mut last): (Vec<TopicView>, i64) = (Vec::new(), 0);
        let log_from = run.files.first().map_or(0, |file| file.start);
        for (topic, id, dir) in all {
            let ends = queue_walk::ends(self.disk, &dir, self.settings, log_from)?;
            last = last.max(ends.last.map_or(0, |unit| unit.log_offset));
            let time = |unit: Option<crate::Unit>| store_time(self.disk, run, unit?.log_offset);
            let queue = QueueView {
                id,
                min: ends.min,
                max: ends.max,
                first_time: time(ends.first),
                last_time: time(ends.last),
                bytes: ends.bytes,
            };
            let messages = queue.max - queue.min;
            match topics.last_mut().filter(|last| last.topic == topic) {
                Some(last) => {
                    last.messages += messages;
                    last.queues.push(queue);
                }
                None => topics.push(TopicView { topic, messages, queues: vec![queue] }),
            }
            work.advance(1);
        }
        Ok((topics, last))
    }

    fn index(&self) -> Result<Vec<IndexView>, Error> {
        let mut all = Vec::new();
        for (name, bytes) in files::index(self.disk, &self.settings.root)? {
            let mut head = [0; HEADER];
            peek(self.disk, &self.path("index").join(&name), 0, &mut head)?;
            let header = Header::decode(&head);
            all.push(IndexView {
                name,
                bytes,
                begin_time: header.begin_time,
                end_time: header.end_time,
                begin_offset: header.begin_offset,
                end_offset: header.end_offset,
                used_slots: header.used_slots,
                entries: header.count.saturating_sub(1),
            });
        }
        Ok(all)
    }

    fn timer(&self) -> Result<Option<TimerView>, Error> {
        let bytes = self.disk.read(&self.path("config/timercheck")).unwrap_or_default();
        let Some(progress) = progress_in(&bytes) else { return Ok(None) };
        let log = Run::list(self.disk, &self.path("timerlog"))?;
        Ok(Some(TimerView {
            delivered_to: progress.read_ms,
            queue_offset: progress.queue_offset,
            log_files: log.files.len(),
            log_bytes: log.bytes(),
        }))
    }

    fn checkpoint(&self) -> Result<Option<CheckpointView>, Error> {
        let Ok(fields) = Fields::peek(self.disk, &self.path("checkpoint"))? else {
            return Ok(None);
        };
        let confirmed = (Mark::Confirmed, "log offset of the last record at Java's last start");
        let shown = FIELDS.into_iter().chain([confirmed]);
        Ok(Some(CheckpointView {
            fields: shown.map(|(mark, name)| (mark as u64, name, fields.get(mark))).collect(),
            durable_to: fields.durable_to(),
            has_own_mark: fields.get(Mark::OwnMagic) == OWN_MAGIC,
        }))
    }

    fn configs(&self) -> Result<Vec<ConfigView>, Error> {
        let dir = self.path("config");
        let listed = self.disk.list(&dir).map_err(Error::io("list", &dir))?;
        let mut all = Vec::new();
        for file in listed.into_iter().filter(|file| !file.is_dir) {
            let problem = self.config_error(&file.name, file.len)?;
            all.push(ConfigView { name: file.name, bytes: file.len, problem });
        }
        Ok(all)
    }

    /// Why a configuration file cannot be read, if so; those that are no JSON are taken as they
    /// are.
    pub(super) fn config_error(&self, name: &str, len: u64) -> Result<Option<String>, Error> {
        let plain = name.trim_end_matches(".bak").trim_end_matches(".tmp");
        let is_json =
            plain.ends_with(".json") || ["timermetrics", "transactionMetrics"].contains(&plain);
        if !is_json {
            return Ok(None);
        }
        if len > CONFIG_MAX {
            return Ok(Some(format!("{len} bytes are too many")));
        }
        // A broker may be writing it: what is damaged is so each time.
        let tries = if self.is_unclean()? { READ_AGAIN } else { 0 };
        let mut why = self.text_error(name, plain);
        for _ in 0..tries {
            if why.is_none() {
                break;
            }
            why = self.text_error(name, plain);
        }
        Ok(why)
    }

    fn text_error(&self, name: &str, plain: &str) -> Option<String> {
        let path = self.path("config").join(name);
        let bytes = match self.disk.read(&path) {
            // Replaced meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => return Some(error.to_string()),
            Ok(bytes) => bytes,
        };
        if let Some(rot) = self.rot(name, plain, &bytes) {
            return Some(rot.told());
        }
        match std::str::from_utf8(&bytes) {
            _ if bytes.is_empty() => Some("the file is empty".into()),
            Err(error) => Some(format!("no UTF-8: {error}")),
            Ok(text) => (self.parse)(plain, text).err(),
        }
    }

    /// How a file's bytes are damaged that were saved as `plain`.
    fn rot(&self, name: &str, plain: &str, bytes: &[u8]) -> Option<Rot> {
        let dir = self.path("config");
        let listed = self.disk.list(&dir).ok()?;
        let modified = listed.iter().find(|file| file.name == name)?.modified;
        ConfigSums::read(self.disk, &dir).rot(plain, modified, bytes)
    }

    /// Whether a file that is not what was saved can be mended, and whether it is understood all
    /// the same; `None` when it is what was saved, or nobody knows what that was.
    pub(super) fn config_rot(&self, name: &str) -> Option<(bool, bool)> {
        let bytes = self.config_text(name);
        let rot = self.rot(name, name, &bytes)?;
        let parsed = std::str::from_utf8(&bytes).is_ok_and(|it| (self.parse)(name, it).is_ok());
        Some((rot.mended.is_some(), parsed))
    }

    /// Whether a configuration file is there: a broker that replaces it may take it away for a
    /// moment.
    pub(super) fn has_config(&self, name: &str) -> Result<bool, Error> {
        let dir = self.path("config");
        for _ in 0..READ_AGAIN {
            let listed = self.disk.list(&dir).map_err(Error::io("list", &dir))?;
            if listed.iter().any(|file| file.name == name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a broker can take the `.bak` of a configuration file; `None` when there is none.
    pub(super) fn usable_backup(
        &self,
        listed: &[Listed],
        name: &str,
    ) -> Result<Option<bool>, Error> {
        let backup = format!("{name}.bak");
        let backup = listed.iter().find(|file| file.name == backup && !file.is_dir);
        let usable = |file: &Listed| Ok(self.config_error(&file.name, file.len)?.is_none());
        backup.map(usable).transpose()
    }

    /// The bytes of a configuration file; none when it cannot be read.
    pub(super) fn config_text(&self, name: &str) -> Vec<u8> {
        self.disk.read(&self.path("config").join(name)).unwrap_or_default()
    }

    /// Where the log ended when topics were removed.
    pub(super) fn removed_topics(&self) -> BTreeMap<Str, i64> {
        let bytes = self.disk.read(&self.path("removedtopics")).unwrap_or_default();
        RemovedTopics::parse(&bytes)
    }

    /// The ranges that the broker set aside.
    pub(super) fn set_aside(&self) -> Vec<(i64, i64)> {
        let bytes = self.disk.read(&self.path("setaside")).unwrap_or_default();
        SetAside::parse(&bytes).iter().map(|range| (range.from, range.to)).collect()
    }
}

/// The store time of the record at a log offset, when one begins there.
fn store_time(disk: &dyn Disk, run: &Run, log_offset: i64) -> Option<i64> {
    let file = run.files.iter().rev().find(|file| file.start <= log_offset)?;
    let mut head = [0; record::FIXED_LEN];
    let at = (log_offset - file.start).unsigned_abs();
    let read = disk.peek(&run.path(file.start), at, &mut head).ok()?;
    let magic = head.get(4..8)?.first_chunk().map(|word| i32::from_be_bytes(*word))?;
    let is_record = matches!(magic, record::MAGIC_V1 | record::MAGIC_V2);
    (read == head.len() && is_record).then(|| record::store_timestamp(&head))?
}
