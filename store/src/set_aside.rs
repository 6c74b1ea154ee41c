//! Ranges of the commit log that hold no readable record though readable ones follow: what recovery
//! passed over instead of cutting the log there. Kept in the file `setaside` in the store's root, a
//! line a range: first log offset, log offset behind the last byte, when it was found (ms since the
//! epoch), why, and the checksum of what stands before it. All lines stand there twice, an empty
//! one in between: a bit that flips changes nothing. The bytes themselves stay where they are.

use crate::Error;
use crate::disk::Disk;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub(crate) const NAME: &str = "setaside";
/// More ranges than this are joined with their neighbours: a disk that is worn out all over.
const RANGES_MAX: usize = 65_536;

/// One range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The log offset of its first byte.
    pub from: i64,
    /// The log offset behind its last byte.
    pub to: i64,
    /// When it was found, ms since the epoch; 0 when the finder had no clock.
    pub found_ms: i64,
    /// What is wrong with it.
    pub why: String,
}

/// The ranges of a store, in order, none touching another.
pub struct SetAside {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Held while ranges change and until they are saved, so that the newest are saved last. Taken
    /// before `ranges`, which readers ask for: nobody waits there for the disk.
    saving: Mutex<()>,
    ranges: RwLock<Vec<Aside>>,
    /// The log offset behind the last of them; who asks about what lies behind takes no lock.
    end: AtomicI64,
    /// A line of the file is damaged.
    is_stale: bool,
}

impl SetAside {
    /// Those of the store at `root`, which need not be open. Lines that are none are passed over: a
    /// range that is forgotten is found again.
    pub fn load(disk: Arc<dyn Disk>, root: &Path) -> Self {
        let path = root.join(NAME);
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::error!(
                        path = %path.display(),
                        %error,
                        "the list of ranges of the commit log that were set aside cannot be read \
                         and is made anew: what is still damaged is found again"
                    );
                }
                Vec::new()
            }
        };
        let (ranges, is_stale) = (Self::parse(&bytes), Self::junk(&bytes) > 0);
        let end = AtomicI64::new(end(&ranges));
        Self { disk, path, saving: Mutex::default(), ranges: RwLock::new(ranges), end, is_stale }
    }

    /// Writes a file anew of which a line was damaged: its copy is the last one.
    pub(crate) fn save_stale(&self) {
        let _one_at_a_time = self.saving.lock();
        let saved = if self.is_stale { self.save(&self.ranges.read()) } else { Ok(()) };
        if let Err(error) = saved {
            tracing::warn!(%error, "the list of what was set aside keeps its damaged line");
        }
    }

    /// The ranges in the bytes of such a file, in order; lines that are none are passed over.
    pub fn parse(bytes: &[u8]) -> Vec<Aside> {
        let mut ranges = Vec::new();
        for line in lines(&String::from_utf8_lossy(bytes)).filter_map(parse) {
            insert(&mut ranges, line);
        }
        ranges
    }

    /// How many lines of such a file are none.
    pub(crate) fn junk(bytes: &[u8]) -> usize {
        lines(&String::from_utf8_lossy(bytes)).filter(|line| parse(line).is_none()).count()
    }

    /// All ranges, in order.
    pub fn ranges(&self) -> Vec<Aside> {
        self.ranges.read().clone()
    }

    /// The bytes of all ranges.
    pub fn bytes(&self) -> u64 {
        self.ranges.read().iter().map(|range| (range.to - range.from).unsigned_abs()).sum()
    }

    /// The end of the range that holds a log offset.
    pub fn end_of(&self, log_offset: i64) -> Option<i64> {
        let ranges = self.ranges.read();
        let at = ranges.partition_point(|range| range.to <= log_offset);
        ranges.get(at).filter(|range| range.from <= log_offset).map(|range| range.to)
    }

    /// Whether a range has bytes between two log offsets.
    pub fn overlaps(&self, from: i64, to: i64) -> bool {
        if from >= self.end.load(Ordering::Acquire) {
            return false;
        }
        let ranges = self.ranges.read();
        let at = ranges.partition_point(|range| range.to <= from);
        ranges.get(at).is_some_and(|range| range.from < to)
    }

    /// Adds a range, durably. One that touches others becomes one with them. Says whether anything
    /// was new.
    ///
    /// # Errors
    /// When the file cannot be written; the range is known to this process all the same.
    pub fn add(&self, range: Aside) -> Result<bool, Error> {
        assert!(range.from < range.to, "a range has bytes: {range:?}");
        let _one_at_a_time = self.saving.lock();
        let mut ranges = self.ranges.write();
        if ranges.iter().any(|known| known.from <= range.from && range.to <= known.to) {
            return Ok(false);
        }
        insert(&mut ranges, range);
        self.end.store(end(&ranges), Ordering::Release);
        self.save(&RwLockWriteGuard::downgrade(ranges))?;
        Ok(true)
    }

    /// Forgets ranges, or parts of them, between two log offsets, where records were found after
    /// all.
    pub(crate) fn remove(&self, from: i64, to: i64) -> Result<(), Error> {
        let _one_at_a_time = self.saving.lock();
        let mut ranges = self.ranges.write();
        if !ranges.iter().any(|range| range.from < to && from < range.to) {
            return Ok(());
        }
        let mut left = Vec::with_capacity(ranges.len());
        for range in ranges.drain(..) {
            let ends = [(range.from, range.to.min(from)), (range.from.max(to), range.to)];
            let ends = ends.into_iter().filter(|(from, to)| from < to);
            left.extend(ends.map(|(from, to)| Aside { from, to, ..range.clone() }));
        }
        *ranges = left;
        self.end.store(end(&ranges), Ordering::Release);
        self.save(&RwLockWriteGuard::downgrade(ranges))
    }

    /// Forgets what lies before the log's first byte: it has expired. The log is in `dir`, and what
    /// is gone from there must not come back after power loss, with its damage and nobody told.
    ///
    /// # Errors
    /// The sync that sees to this failed.
    pub(crate) fn forget_before(&self, log_min: i64, dir: &Path) -> Result<(), Error> {
        if !self.overlaps(0, log_min) {
            return Ok(());
        }
        self.disk.sync_all(dir).map_err(Error::io("sync", dir))?;
        if let Err(error) = self.remove(0, log_min) {
            tracing::warn!(%error, "ranges that were set aside and have expired stay noted");
        }
        Ok(())
    }

    fn save(&self, ranges: &[Aside]) -> Result<(), Error> {
        let text: String = ranges.iter().map(line).collect();
        let twice = format!("{text}\n{text}");
        let saved = self.disk.replace(&self.path, twice.as_bytes(), None);
        saved.map_err(Error::io("replace", &self.path))
    }
}

/// The log offset behind the last range.
fn end(ranges: &[Aside]) -> i64 {
    ranges.last().map_or(0, |last| last.to)
}

fn one_line(why: &str) -> String {
    why.replace(['\n', '\r'], " ")
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

fn line(range: &Aside) -> String {
    let Aside { from, to, found_ms, why } = range;
    let line = format!("{from} {to} {found_ms} {}", one_line(why));
    format!("{line} {}\n", crc32fast::hash(line.as_bytes()))
}

fn parse(line: &str) -> Option<Aside> {
    let (checked, sum) = line.rsplit_once(' ')?;
    if sum.parse() != Ok(crc32fast::hash(checked.as_bytes())) {
        return None;
    }
    let mut fields = checked.splitn(4, ' ');
    let mut number = || fields.next()?.parse::<i64>().ok();
    let (from, to, found_ms) = (number()?, number()?, number()?);
    let why = fields.next().unwrap_or_default().to_owned();
    (0 <= from && from < to).then_some(Aside { from, to, found_ms, why })
}

/// Puts a range in its place and joins it with those that it touches.
fn insert(ranges: &mut Vec<Aside>, mut range: Aside) {
    let first = ranges.partition_point(|known| known.to < range.from);
    let end = ranges.partition_point(|known| known.from <= range.to);
    for known in ranges.drain(first..end) {
        range.from = range.from.min(known.from);
        range.to = range.to.max(known.to);
        range.found_ms = known.found_ms;
        range.why = known.why;
    }
    ranges.insert(first, range);
    if ranges.len() > RANGES_MAX {
        let last = ranges.pop().expect("there are more than one");
        ranges.last_mut().expect("there are more than one").to = last.to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aside(from: i64, to: i64) -> Aside {
        Aside { from, to, found_ms: 5, why: "a test".into() }
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = Vec::new();
        for (from, to) in [(50, 60), (10, 20), (30, 40), (20, 25), (38, 52)] {
            insert(&mut ranges, aside(from, to));
        }
        assert_eq!(ranges, [aside(10, 25), aside(30, 60)]);
    }

    #[test]
    fn lines_are_read_back_and_junk_is_not() {
        let summed = |line: &str| format!("{line} {}", crc32fast::hash(line.as_bytes()));
        assert_eq!(line(&aside(10, 20)), summed("10 20 5 a test") + "\n");
        assert_eq!(parse(&summed("10 20 5 a test")), Some(aside(10, 20)));
        assert_eq!(parse(&summed("10 20 5 ")).map(|range| range.why), Some(String::new()));
        for junk in ["", "10", "20 10 5 a test", "-1 10 5 x", "a b c d", "10 20 x why"] {
            assert_eq!(parse(&summed(junk)), None, "{junk}");
        }
        for junk in ["", "10 20 5 a test", "10 20 5 a test 7"] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }
}
