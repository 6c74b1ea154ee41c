//! The files of the timer's log, `timerlog/`: entries one behind the other, never changed but for
//! the place of the entry before (Java: `TimerLog`). What entries mean is known to [`super`].

use super::unit::{self, NONE, PREV_AT, TimerUnit};
use crate::Error;
use crate::disk::{Allocation, Disk, Listed};
use crate::segments::{Cutting, Segment, Segments};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What ends a file that has no room for another entry and this.
const BLANK_LEN: usize = 16;
const BLANK_MAGIC: i32 = 0xcbd4_3194_u32.cast_signed();
/// Bytes that are read at once.
const WINDOW: usize = 52 << 10;
const UNIT: i64 = unit::LEN as i64;

/// The timer's log.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segments: Segments,
    /// Where the next entry goes.
    end: i64,
    /// Bytes before this place were synced.
    synced: i64,
    /// Places of entries that look whole, and lead to no message that waits.
    distrusted: HashSet<i64>,
}

/// The entries of a slot.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Where they stand, oldest first.
    pub(super) places: Vec<i64>,
    /// Whether more stood in files that expired.
    pub(super) is_expired: bool,
}

/// What stands at a place.
enum Place {
    Unit(TimerUnit, i64),
    /// Go on in the next file.
    Blank,
    Nothing,
}

impl Log {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path, file_bytes: u64) -> Self {
        let dir = root.join("timerlog");
        let segments = Segments::empty(disk.clone(), dir.clone(), file_bytes, Allocation::Sparse);
        Self { disk, dir, segments, end: 0, synced: 0, distrusted: HashSet::new() }
    }

    /// Opens the files. Says whether they are all there and of the right size; if not, what they
    /// hold is of no use and they are gone.
    pub(super) fn load(&mut self) -> Result<bool, Error> {
        let listed = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        let is_name = |file: &&Listed| {
            file.name.len() == 20 && file.name.bytes().all(|byte| byte.is_ascii_digit())
        };
        let bytes = self.segments.file_bytes();
        let is_odd = |file: &Listed| {
            let start = file.name.parse::<i64>().unwrap_or(1);
            file.is_file() && (file.len != bytes as u64 || start % bytes != 0)
        };
        let is_sound = !listed.iter().filter(is_name).any(is_odd);
        for file in listed.iter().filter(is_name).filter(|file| !is_sound && file.is_file()) {
            let path = self.dir.join(&file.name);
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        // A file that is missing is made, of zeros: the log ends before it.
        self.segments.load_derived(&|_| false, &|| Ok(()))?;
        self.end = self.start();
        Ok(is_sound)
    }

    /// Whether there is any file.
    pub(super) fn has_files(&self) -> bool {
        self.segments.first().is_some()
    }

    /// Where the first entry stands.
    pub(super) fn start(&self) -> i64 {
        self.segments.first().map_or(0, |first| first.start)
    }

    /// Where the next entry goes.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Gives every entry from a place on to `wants`, with its place and the one that it names as
    /// the one before, until that says no or no more follow; then ends the log there. The answer of
    /// `wants` is what must stand as the place before.
    pub(super) fn walk(
        &mut self,
        from: i64,
        mut wants: impl FnMut(i64, &TimerUnit, i64) -> Option<i64>,
    ) -> Result<(), Error> {
        let mut window = Window::default();
        let mut at = from.max(self.start());
        self.synced = at;
        while let Some(segment) = self.segments.find(at) {
            let (unit, prev) = match self.look(&mut window, &segment, at)? {
                Place::Unit(unit, prev) => (unit, prev),
                Place::Blank => {
                    at = segment.end();
                    continue;
                }
                Place::Nothing => break,
            };
            let Some(right) = wants(at, &unit, prev) else { break };
            if right != prev {
                self.write(&segment, at + PREV_AT, &right.to_be_bytes())?;
            }
            at += UNIT;
        }
        // Whatever a crash leaves of it is made anew from the queue.
        self.segments.truncate(at, Cutting { before: &|| Ok(()), again: false })?;
        self.end = at;
        Ok(())
    }

    /// Appends an entry, and says where.
    pub(super) fn append(&mut self, unit: &TimerUnit, prev: i64) -> Result<i64, Error> {
        let mut segment = self.segments.for_append(self.end)?;
        let left = segment.end() - self.end;
        if left < UNIT + BLANK_LEN as i64 {
            let mut blank = [0; BLANK_LEN];
            blank[..4].copy_from_slice(&(left as i32).to_be_bytes());
            blank[12..].copy_from_slice(&BLANK_MAGIC.to_be_bytes());
            let blank = &blank[..BLANK_LEN.min(left as usize)];
            self.write(&segment, self.end, blank)?;
            let end = segment.end();
            segment = self.segments.for_append(end)?;
            self.end = end;
        }
        let at = self.end;
        self.write(&segment, at, &unit.encode(prev))?;
        self.end += UNIT;
        Ok(at)
    }

    fn write(&self, segment: &Segment, at: i64, bytes: &[u8]) -> Result<(), Error> {
        let written = segment.file.write_at((at - segment.start) as u64, bytes);
        written.map_err(Error::io("write", &self.segments.path(segment.start)))
    }

    /// The entries of a slot: from the last one at `last` back, as far as there are files. `None`
    /// where that leads to what `belongs` denies.
    pub(super) fn chain(
        &self,
        last: i64,
        mut belongs: impl FnMut(&TimerUnit) -> bool,
    ) -> Result<Option<Chain>, Error> {
        let mut window = Window::default();
        let (mut chain, mut at) = (Chain::default(), last);
        while at != NONE {
            if (0..self.start()).contains(&at) {
                chain.is_expired = true;
                break;
            }
            let Some(segment) = self.segments.find(at).filter(|_| at < self.end) else {
                return Ok(None);
            };
            match self.look(&mut window, &segment, at)? {
                Place::Unit(unit, prev) if belongs(&unit) && prev < at => {
                    chain.places.push(at);
                    at = prev;
                }
                _ => return Ok(None),
            }
        }
        chain.places.reverse();
        Ok(Some(chain))
    }

    /// Gives every place from one on to `each`, with its entry, or without where that is damaged,
    /// until it says no or the log ends.
    pub(super) fn scan(
        &self,
        from: i64,
        mut each: impl FnMut(i64, Option<TimerUnit>) -> bool,
    ) -> Result<(), Error> {
        let mut window = Window::default();
        let mut at = from.max(self.start());
        while let Some(segment) = self.segments.find(at).filter(|_| at < self.end) {
            let is_tail = segment.end() - at < UNIT + BLANK_LEN as i64;
            if is_tail {
                at = segment.end();
                continue;
            }
            let unit = match self.look(&mut window, &segment, at)? {
                Place::Unit(unit, _) => Some(unit),
                Place::Blank | Place::Nothing => None,
            };
            if !each(at, unit) {
                break;
            }
            at += UNIT;
        }
        Ok(())
    }

    /// The place before a place, in its own file.
    pub(super) fn before(&self, at: i64) -> i64 {
        let segment = self.segments.start_for(at);
        (at - UNIT).max(segment)
    }

    /// Writes an entry again that was damaged.
    pub(super) fn rewrite(&mut self, at: i64, unit: &TimerUnit) -> Result<(), Error> {
        let Some(segment) = self.segments.find(at) else { return Ok(()) };
        self.write(&segment, at, &unit.encode(NONE))?;
        self.distrusted.remove(&at);
        self.synced = self.synced.min(segment.start);
        Ok(())
    }

    /// Says which entry stands before one.
    pub(super) fn set_prev(&mut self, at: i64, prev: i64) -> Result<(), Error> {
        let Some(segment) = self.segments.find(at) else { return Ok(()) };
        self.synced = self.synced.min(segment.start);
        self.write(&segment, at + PREV_AT, &prev.to_be_bytes())
    }

    /// Takes an entry for damaged, unless a seal says that it is what was written.
    pub(super) fn distrust(&mut self, at: i64) -> Result<bool, Error> {
        let is_open = self.bytes(at)?.is_some_and(|bytes| !unit::is_sealed(&bytes));
        Ok(is_open && self.distrusted.insert(at))
    }

    /// The entry at a place.
    pub(super) fn unit(&self, at: i64) -> Result<Option<TimerUnit>, Error> {
        if self.distrusted.contains(&at) {
            return Ok(None);
        }
        let bytes = self.bytes(at)?;
        Ok(bytes.and_then(|bytes| TimerUnit::decode(&bytes)).map(|(unit, _)| unit))
    }

    fn bytes(&self, at: i64) -> Result<Option<[u8; unit::LEN]>, Error> {
        let segment = self.segments.find(at).filter(|segment| segment.end() - at >= UNIT);
        let Some(segment) = segment else { return Ok(None) };
        let mut bytes = [0; unit::LEN];
        let read = segment.file.read_at((at - segment.start) as u64, &mut bytes);
        read.map_err(Error::io("read", &self.segments.path(segment.start)))?;
        Ok(Some(bytes))
    }

    fn look(&self, window: &mut Window, segment: &Segment, at: i64) -> Result<Place, Error> {
        let left = segment.end() - at;
        if left < BLANK_LEN as i64 || self.distrusted.contains(&at) {
            return Ok(Place::Nothing);
        }
        let wanted = left.min(UNIT);
        if !(window.from <= at && at + wanted <= window.from + window.bytes.len() as i64) {
            // Whoever comes from behind goes on to the front.
            let is_back = at < window.from;
            let from = if is_back { at + wanted - WINDOW as i64 } else { at };
            window.from = from.max(segment.start);
            let len = (segment.end() - window.from).min(WINDOW as i64) as usize;
            window.bytes.resize(len, 0);
            let offset = (window.from - segment.start) as u64;
            let read = segment.file.read_at(offset, &mut window.bytes);
            read.map_err(Error::io("read", &self.segments.path(segment.start)))?;
        }
        let bytes = &window.bytes[(at - window.from) as usize..];
        if left < UNIT + BLANK_LEN as i64 {
            let is_blank = bytes[12..16] == BLANK_MAGIC.to_be_bytes();
            return Ok(if is_blank { Place::Blank } else { Place::Nothing });
        }
        let unit = bytes.first_chunk().and_then(TimerUnit::decode);
        Ok(unit.map_or(Place::Nothing, |(unit, prev)| Place::Unit(unit, prev)))
    }

    /// Makes what was appended durable.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        while self.synced < self.end {
            let Some(segment) = self.segments.find_from(self.synced) else { break };
            let synced = segment.file.sync(0..segment.file.len());
            synced.map_err(Error::io("sync", &self.segments.path(segment.start)))?;
            self.synced = segment.end();
        }
        self.synced = self.end;
        Ok(())
    }

    /// Removes every file.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        self.segments.remove_all()?;
        (self.end, self.synced) = (0, 0);
        self.distrusted.clear();
        Ok(())
    }

    /// Removes first files whose last entry's message lies before `log_min` in the commit log.
    pub(super) fn expire(&mut self, log_min: i64) -> Result<(), Error> {
        while let Some(first) = self.segments.first() {
            let room = first.file.len() as i64 - BLANK_LEN as i64;
            let last = first.start + (room / UNIT - 1) * UNIT;
            // What stands behind a damaged one says enough.
            let unit = match self.unit(last)? {
                None => self.unit(first.end())?,
                unit => unit,
            };
            let is_past = self.segments.last().is_some_and(|file| file.start > first.start)
                && unit.is_some_and(|unit| unit.log_offset < log_min);
            if !is_past {
                break;
            }
            self.segments.remove_first()?;
        }
        Ok(())
    }
}

/// Bytes of the log that were read at once.
#[derive(Default)]
struct Window {
    from: i64,
    bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;

    #[test]
    fn a_chain_ends_where_files_expired() {
        let root = std::env::temp_dir().join(format!("store-timer-log-{}", std::process::id()));
        let mut log = Log::new(Arc::new(OsDisk), &root, 1_024);
        let unit = |at: i64| TimerUnit {
            write_ms: 1_000,
            slot_ms: 2_000,
            rolls: false,
            deletes: false,
            log_offset: at * 100,
            size: 100,
            topic_hash: 1,
        };
        let mut last = NONE;
        for at in 0..50 {
            last = log.append(&unit(at), last).unwrap();
        }
        let whole = log.chain(last, |_| true).unwrap().unwrap();
        assert_eq!((whole.places.len(), whole.is_expired), (50, false));
        log.expire(2_500).unwrap();
        assert_eq!(log.start(), 1_024);
        let chain = log.chain(last, |_| true).unwrap().unwrap();
        assert_eq!((chain.places.len(), chain.is_expired), (31, true));
        assert!(log.chain(last, |unit| unit.log_offset > 4_000).unwrap().is_none());
        let mut places = Vec::new();
        log.scan(0, |place, unit| {
            places.push((place, unit.is_some()));
            true
        })
        .unwrap();
        assert_eq!(places.len(), 31);
        assert!(places.iter().all(|(_, is_unit)| *is_unit));
        log.clear().unwrap();
        OsDisk.remove_dir(&log.dir).unwrap();
        OsDisk.remove_dir(&root).unwrap();
    }
}
