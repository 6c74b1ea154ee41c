//! Where every queue ended when the store was last known to be whole: a file that tells queues
//! which lost units since from those that never had more, and that keeps the end of a queue whose
//! last messages have expired. Only a hint: without it the log alone says what there is, and all of
//! it is read when the file is damaged.
//!
//! A line with the log offset up to which the store was whole and the checksum of all that follows,
//! one with the log's first offset, then a line a queue: end, first offset, queue id, topic.

use crate::Error;
use crate::consume_queue::Noted;
use crate::disk::Disk;
use crate::queues::Queues;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const NAME: &str = "queueends";

/// The file is not what was written.
pub(crate) struct Damaged;

/// The notes, as they stand in the file.
#[derive(Default)]
pub(crate) struct QueueEnds {
    lines: String,
}

impl QueueEnds {
    /// The ends of all queues now, in a log that begins at `log_min`.
    pub(crate) fn of(queues: &Queues, log_min: i64) -> Self {
        let mut lines = format!("{log_min}\n");
        for topic in queues.topics() {
            for id in queues.ids(&topic) {
                let Some(queue) = queues.find(&topic, id) else { continue };
                let (end, min) = (queue.end_offset(), queue.first_offset());
                if end > 0 {
                    lines.push_str(&format!("{end} {min} {id} {topic}\n"));
                }
            }
        }
        Self { lines }
    }

    /// A number that differs when the notes do.
    pub(crate) fn digest(&self) -> u32 {
        crc32fast::hash(self.lines.as_bytes())
    }

    /// Writes the notes. They must hold once the store is whole up to `log_end`.
    pub(crate) fn save(&self, disk: &dyn Disk, root: &Path, log_end: i64) -> Result<(), Error> {
        let text = format!("{log_end} {}\n{}", self.digest(), self.lines);
        let path = path(root);
        disk.replace(&path, text.as_bytes(), None).map_err(Error::io("write", &path))
    }

    /// The notes on the disk, none when there are none; `Err` when they are damaged.
    pub(crate) fn load(disk: &dyn Disk, root: &Path) -> Result<Self, Damaged> {
        let bytes = disk.read(&path(root)).unwrap_or_default();
        let parse = |text: String| {
            let (head, lines) = text.split_once('\n')?;
            let (_, digest) = head.split_once(' ')?;
            let notes = Self { lines: lines.to_owned() };
            (digest.parse() == Ok(notes.digest())).then_some(notes)
        };
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        String::from_utf8(bytes).ok().and_then(parse).ok_or(Damaged)
    }

    /// Where the log began.
    pub(crate) fn log_min(&self) -> Option<i64> {
        self.lines.lines().next()?.parse().ok()
    }

    /// The queues by topic and id; none when it is not known where the log began.
    pub(crate) fn noted(&self) -> HashMap<(&str, i32), Noted> {
        let Some(log_min) = self.log_min() else { return HashMap::new() };
        let noted = |QueueEnd { topic, id, min, end }| ((topic, id), Noted { min, end, log_min });
        self.iter().map(noted).collect()
    }

    /// Every queue that was there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = QueueEnd<'_>> {
        self.lines.lines().skip(1).filter_map(|line| {
            let mut fields = line.splitn(4, ' ');
            let mut number = || fields.next()?.parse::<i64>().ok();
            let (end, min, id) = (number()?, number()?, number()?);
            Some(QueueEnd { topic: fields.next()?, id: i32::try_from(id).ok()?, min, end })
        })
    }
}

/// What is noted of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueEnd<'a> {
    pub(crate) topic: &'a str,
    pub(crate) id: i32,
    /// Its first offset.
    pub(crate) min: i64,
    /// The offset behind its last message.
    pub(crate) end: i64,
}

/// Removes the notes: they would speak of what is about to be removed.
pub(crate) fn remove(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    let path = path(root);
    match disk.remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

fn path(root: &Path) -> PathBuf {
    root.join(NAME)
}
