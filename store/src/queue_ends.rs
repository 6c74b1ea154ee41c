//! Where every queue ended when the store was last known to be whole: a file that tells queues
//! which lost units since from those that never had more, and that keeps the end of a queue whose
//! last messages have expired. Only a hint: without it the log alone says what there is, and all of
//! it is read when the file is damaged.
//!
//! A line with the log offset up to which the store was whole and the checksum of all that follows,
//! one with the log's first offset, then a line a queue: end, first offset, queue id, topic. Where
//! the last units of a queue of inner batches are gone the end has a slash behind it and where they
//! end.

use crate::Error;
use crate::consume_queue::Noted;
use crate::disk::Disk;
use crate::queues::Queues;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "queueends";

/// What the file says.
pub(crate) enum Loaded {
    Notes(QueueEnds),
    /// There is no such file.
    Missing,
    /// The file is not what was written, and this is why.
    Damaged(String),
}

/// The notes, as they stand in the file.
#[derive(Default)]
pub(crate) struct QueueEnds {
    lines: String,
}

impl QueueEnds {
    /// The ends of all queues now, which begin where a log does that begins at `log_min`.
    pub(crate) fn of(queues: &Queues, log_min: i64) -> Self {
        let mut lines = format!("{log_min}\n");
        for topic in queues.topics() {
            for id in queues.ids(&topic) {
                let Some(queue) = queues.find(&topic, id) else { continue };
                let (end, min) = (queue.end_offset(), queue.first_offset());
                let units = queue.unit_end();
                if end > 0 {
                    let kept = if units < end { format!("/{units}") } else { String::new() };
                    lines.push_str(&format!("{end}{kept} {min} {id} {topic}\n"));
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

    /// The notes on the disk.
    pub(crate) fn load(disk: &dyn Disk, root: &Path) -> Loaded {
        match disk.read(&path(root)) {
            Ok(bytes) => match Self::parse(bytes) {
                Some((_, notes)) => Loaded::Notes(notes),
                None => Loaded::Damaged("it does not match its checksum".to_owned()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Loaded::Missing,
            Err(error) => Loaded::Damaged(format!("it cannot be read: {error}")),
        }
    }

    /// The notes in the bytes of such a file, and up to which log offset the store was whole.
    fn parse(bytes: Vec<u8>) -> Option<(i64, Self)> {
        let text = String::from_utf8(bytes).ok()?;
        let (head, lines) = text.split_once('\n')?;
        let (log_end, digest) = head.split_once(' ')?;
        let notes = Self { lines: lines.to_owned() };
        let is_whole = digest.parse() == Ok(notes.digest());
        Some((log_end.parse().ok()?, notes)).filter(|_| is_whole)
    }

    /// Where the log began.
    pub(crate) fn log_min(&self) -> Option<i64> {
        self.lines.lines().next()?.parse().ok()
    }

    /// The queues by topic and id; none when it is not known where the log began.
    pub(crate) fn noted(&self) -> HashMap<(&str, i32), Noted> {
        let Some(log_min) = self.log_min() else { return HashMap::new() };
        let noted =
            |QueueEnd { topic, id, min, end, .. }| ((topic, id), Noted { min, end, log_min });
        self.iter().map(noted).collect()
    }

    /// Every queue that was there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = QueueEnd<'_>> {
        self.lines.lines().skip(1).filter_map(QueueEnd::parse)
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
    /// The offset behind the last message that had a unit.
    pub(crate) units: i64,
}

impl<'a> QueueEnd<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(4, ' ');
        let ends = fields.next()?;
        let (end, units) = ends.split_once('/').unwrap_or((ends, ends));
        let (end, units) = (end.parse().ok()?, units.parse().ok()?);
        let (min, id) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { topic: fields.next()?, id, min, end, units })
    }
}

/// Removes queues of which `is_gone` says so from the notes, which would bring them back. Returns
/// the digest of what is left, 0 where no notes are.
pub(crate) fn forget(
    disk: &dyn Disk,
    root: &Path,
    is_gone: &dyn Fn(&str, i32) -> bool,
) -> Result<u32, Error> {
    let bytes = disk.read(&path(root)).unwrap_or_default();
    let Some((log_end, notes)) = QueueEnds::parse(bytes) else {
        return remove(disk, root).map(|()| 0);
    };
    let stays = |line: &&str| QueueEnd::parse(line).is_none_or(|it| !is_gone(it.topic, it.id));
    let lines = notes.lines.lines().filter(stays).map(|line| format!("{line}\n")).collect();
    let left = QueueEnds { lines };
    match left.save(disk, root, log_end) {
        // Room is what the removal may be for.
        Err(Error::Full { .. }) => remove(disk, root).map(|()| 0),
        saved => saved.map(|()| left.digest()),
    }
}

/// Removes the notes: they speak of what another broker may have removed.
pub(crate) fn remove(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    let path = path(root);
    disk.remove(&path).map_err(Error::io("remove", &path))
}

fn path(root: &Path) -> PathBuf {
    root.join(NAME)
}
