//! The files of the timer's log, `timerlog/`: entries one behind the other, never changed but for
//! the place of the entry before (Java: `TimerLog`). What entries mean is known to [`super`].

use super::unit::{self, NONE, PREV_AT, TimerUnit};
use crate::Error;
use crate::disk::{Allocation, Disk, Listed};
use crate::segments::{Cutting, Segment, Segments};
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
        Self { disk, dir, segments, end: 0, synced: 0 }
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

    /// Where the first entry stands.
    pub(super) fn start(&self) -> i64 {
        self.segments.first().map_or(0, |first| first.start)
    }

    /// Where the next entry goes.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Gives every entry and its place to `wants`, with the place that it names as the one before,
    /// until that says no or no more follow; then ends the log there. The answer of `wants` is
    /// what must stand as the place before.
    pub(super) fn walk(
        &mut self,
        mut wants: impl FnMut(i64, &TimerUnit, i64) -> Option<i64>,
    ) -> Result<(), Error> {
        let mut window = Window::default();
        let mut at = self.start();
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
                let offset = (at - segment.start) as u64 + PREV_AT;
                let written = segment.file.write_at(offset, &right.to_be_bytes());
                written.map_err(Error::io("write", &self.segments.path(segment.start)))?;
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

    /// The places of a slot's entries, oldest first: from the last one at `last` back. `None` where
    /// that leads to what `belongs` denies.
    pub(super) fn chain(
        &self,
        last: i64,
        belongs: impl Fn(&TimerUnit) -> bool,
    ) -> Result<Option<Vec<i64>>, Error> {
        let mut window = Window::default();
        let (mut places, mut at) = (Vec::new(), last);
        while at != NONE {
            let Some(segment) = self.segments.find(at).filter(|_| at < self.end) else {
                return Ok(None);
            };
            match self.look(&mut window, &segment, at)? {
                Place::Unit(unit, prev) if belongs(&unit) && prev < at => {
                    places.push(at);
                    at = prev;
                }
                _ => return Ok(None),
            }
        }
        places.reverse();
        Ok(Some(places))
    }

    /// The entry at a place.
    pub(super) fn unit(&self, at: i64) -> Result<Option<TimerUnit>, Error> {
        let Some(segment) = self.segments.find(at) else { return Ok(None) };
        let mut bytes = [0; unit::LEN];
        let read = segment.file.read_at((at - segment.start) as u64, &mut bytes);
        read.map_err(Error::io("read", &self.segments.path(segment.start)))?;
        Ok(TimerUnit::decode(&bytes).map(|(unit, _)| unit))
    }

    fn look(&self, window: &mut Window, segment: &Segment, at: i64) -> Result<Place, Error> {
        let left = segment.end() - at;
        if left < BLANK_LEN as i64 {
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
        Ok(())
    }

    /// Removes first files whose last entry's message lies before `log_min` in the commit log.
    pub(super) fn expire(&mut self, log_min: i64) -> Result<(), Error> {
        while let Some(first) = self.segments.first() {
            let room = first.file.len() as i64 - BLANK_LEN as i64;
            let last = first.start + (room / UNIT - 1) * UNIT;
            let is_past = self.segments.last().is_some_and(|file| file.start > first.start)
                && self.unit(last)?.is_some_and(|unit| unit.log_offset < log_min);
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
