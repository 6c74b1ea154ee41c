//! Topics whose queues were removed, and where the log ended then: their records stay in the log
//! until they expire, and no start may make queues from them again, which would stand in the places
//! of the messages that came after.
//!
//! The file `removedtopics` has a line for each: the log offset, with a plus where a start has seen
//! to it that no file of the queues is left, the topic, and the checksum of what stands before it,
//! with spaces between. All lines stand there twice, an empty one in
//! between: a bit that flips changes nothing. A line that is none is left out: a wrong offset would
//! hide messages.

use crate::Error;
use crate::consume_queue::Queue;
use crate::disk::Disk;
use crate::queues::Queues;
use message::Str;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) const NAME: &str = "removedtopics";

/// What is known of a removed topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removed {
    /// The log offset at which the log ended then.
    pub(crate) log_end: i64,
    /// Files of its queues are of a later life: none of that one can come back.
    is_done: bool,
}

/// The removed topics that the log may still have records of.
pub(crate) struct RemovedTopics {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    ends: Mutex<BTreeMap<Str, Removed>>,
    /// The file says something else: a line of it is damaged, or more is known.
    is_stale: AtomicBool,
}

impl RemovedTopics {
    /// Reads the file of the store at `root`. Lines that are damaged are passed over.
    pub(crate) fn load(disk: Arc<dyn Disk>, root: &Path) -> Self {
        let path = root.join(NAME);
        let text = disk.read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // Said by [`crate::in_the_way`].
        let is_stale = AtomicBool::new(lines(&text).any(|line| parse(line).is_none()));
        let ends = lines(&text).filter_map(parse).collect();
        Self { disk, path, ends: Mutex::new(ends), is_stale }
    }

    /// What is noted in the bytes of such a file.
    pub(crate) fn parse(bytes: &[u8]) -> BTreeMap<Str, i64> {
        let text = String::from_utf8_lossy(bytes);
        let noted = lines(&text).filter_map(parse);
        noted.map(|(topic, removed)| (topic, removed.log_end)).collect()
    }

    /// Knows from now on that what a topic has in the log before `log_end` is removed. The file
    /// says so after [`Self::cut`].
    pub(crate) fn learn(&self, topic: &str, log_end: i64) {
        let mut ends = self.ends.lock();
        let none = Removed { log_end: 0, is_done: true };
        let end = ends.entry(Str::from(topic.to_owned())).or_insert(none);
        end.log_end = log_end.max(end.log_end);
        self.is_stale.store(true, Ordering::Release);
    }

    /// How many lines of such a file are none.
    pub(crate) fn junk(bytes: &[u8]) -> usize {
        lines(&String::from_utf8_lossy(bytes)).filter(|line| parse(line).is_none()).count()
    }

    /// Whether [`Self::note`] forgets topics in a log that begins at `log_min`.
    pub(crate) fn has_before(&self, log_min: i64) -> bool {
        self.ends.lock().values().any(|end| end.log_end <= log_min)
    }

    /// Notes durably that what `topics` have in the log before `log_end` is removed; forgets those
    /// that have nothing behind `log_min`, where the log begins.
    pub(crate) fn note(&self, topics: &[&str], log_end: i64, log_min: i64) -> Result<(), Error> {
        let mut ends = self.ends.lock();
        let mut noted = ends.clone();
        noted.retain(|_, end| end.log_end > log_min);
        let removed = Removed { log_end, is_done: false };
        noted.extend(topics.iter().map(|topic| (Str::from((*topic).to_owned()), removed)));
        self.replace(&mut ends, noted)
    }

    fn replace(
        &self,
        ends: &mut BTreeMap<Str, Removed>,
        noted: BTreeMap<Str, Removed>,
    ) -> Result<(), Error> {
        let text: String = noted.iter().map(|(topic, end)| line(topic, *end)).collect();
        let twice = format!("{text}\n{text}");
        let replaced = self.disk.replace(&self.path, twice.as_bytes(), None);
        replaced.map_err(Error::io("write", &self.path))?;
        *ends = noted;
        self.is_stale.store(false, Ordering::Release);
        Ok(())
    }

    /// The log was cut at `log_end`: what is stored from there on is new. Brings the file up to
    /// date.
    pub(crate) fn cut(&self, log_end: i64) -> Result<(), Error> {
        let mut ends = self.ends.lock();
        if ends.values().all(|end| end.log_end <= log_end) && !self.is_stale.load(Ordering::Acquire)
        {
            return Ok(());
        }
        let cut = |end: &Removed| Removed { log_end: end.log_end.min(log_end), ..*end };
        let noted = ends.iter().map(|(topic, end)| (topic.clone(), cut(end))).collect();
        self.replace(&mut ends, noted)
    }

    /// Records of the topic before this log offset belong to no queue.
    pub(crate) fn end_of(&self, topic: &str) -> i64 {
        self.ends.lock().get(topic).map_or(0, |end| end.log_end)
    }

    /// Removes what a removal that was cut short left behind; calls `before` first.
    /// `is_true` says whether a queue's last unit can be believed. A queue without units is one of
    /// these; later it may be one that only lost messages had places in, and stays. `is_foreign`
    /// says that another broker was here since, which knows of no removal and may have made queues
    /// from old records.
    pub(crate) fn finish(
        &self,
        queues: &Queues,
        is_foreign: bool,
        is_true: &dyn Fn(&str, &Queue) -> bool,
        before: &dyn Fn(),
    ) -> Result<(), Error> {
        let mut ends = self.ends.lock();
        let mut noted = ends.clone();
        let to_finish = |removed: &Removed| is_foreign || !removed.is_done;
        for (topic, removed) in noted.iter_mut().filter(|(_, removed)| to_finish(removed)) {
            let (end, was_done) = (removed.log_end, removed.is_done);
            removed.is_done = true;
            queues.remove_where(topic, |queue| {
                // What no unit is left of comes from the log, if it is of a later life.
                let log_end = queue.log_end();
                let is_left = match log_end {
                    0 => !was_done,
                    _ => log_end <= end && is_true(topic, queue),
                };
                if is_left {
                    before();
                }
                is_left
            })?;
        }
        if noted == *ends {
            return Ok(());
        }
        let dir = self.path.parent().unwrap_or(&self.path);
        self.disk.sync_all(dir).map_err(Error::io("sync", dir))?;
        match self.replace(&mut ends, noted) {
            // The next start looks again.
            Err(Error::Full { .. }) => Ok(()),
            replaced => replaced,
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

fn line(topic: &str, removed: Removed) -> String {
    let done = if removed.is_done { "+" } else { "" };
    let line = format!("{done}{} {topic}", removed.log_end);
    format!("{line} {}\n", crc32fast::hash(line.as_bytes()))
}

fn parse(line: &str) -> Option<(Str, Removed)> {
    let (checked, sum) = line.rsplit_once(' ')?;
    let (end, topic) = checked.split_once(' ')?;
    let is_whole = sum.parse() == Ok(crc32fast::hash(checked.as_bytes()));
    let removed = Removed { log_end: end.parse().ok()?, is_done: end.starts_with('+') };
    is_whole.then(|| (Str::from(topic.to_owned()), removed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_flipped_digit_is_none() {
        for is_done in [false, true] {
            let removed = Removed { log_end: 4_711, is_done };
            let line = line("T-1", removed);
            assert_eq!(parse(line.trim_end()), Some(("T-1".to_owned().into(), removed)));
        }
        let line = line("T-1", Removed { log_end: 4_711, is_done: false });
        let line = line.trim_end();
        for junk in ["", "4711", "4711 T-1", &line.replace("4711", "4751"), &line[1..]] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }
}
