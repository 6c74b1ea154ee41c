//! How one read gets from record to record: whether it waits for the disk, and what it has copied
//! already. What was written a short while ago is lent where it lies and none of this is needed.

use crate::NotNow;
use crate::consume_queue::{UNIT_LEN, Unit};
use crate::disk::File;
use crate::segments::{Segment, Segments};
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::ops::Range;

/// The most that is copied at once for the sake of records to come.
const AHEAD_MAX: i64 = 64 << 10;
/// The most that is lent at once for their sake: nothing of it is touched.
const LENT_MAX: i64 = 256 << 10;
/// The bytes that the processor loads at once.
const LINE: usize = 64;
/// Of what is copied at once the reader's own records are at least this part: it stays in memory as
/// long as one of them.
const OWN_PART: i64 = 6;

/// Whether a reader waits for what is not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It has to give up: others wait for the thread it is on.
    Never,
    /// It may take as long as the disk does.
    ForDisk,
}

impl Wait {
    /// Copies bytes of a file; [`ErrorKind::WouldBlock`] where that takes more patience.
    pub(crate) fn read(self, file: &dyn File, at: u64, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::ForDisk => file.read_at(at, out),
            Self::Never if file.read_cached(at, out)? => Ok(()),
            Self::Never => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// What a look gave, or `unknown` where the disk does not answer who waits for it.
    ///
    /// # Errors
    /// Who does not wait has to come again.
    pub fn or_unknown<T, E>(self, look: Result<T, E>, unknown: T) -> Result<T, NotNow> {
        match (look, self) {
            (Ok(found), _) => Ok(found),
            (Err(_), Self::ForDisk) => Ok(unknown),
            (Err(_), Self::Never) => Err(NotNow),
        }
    }
}

/// What a read keeps from one record to the next.
pub(crate) struct Reach {
    pub(crate) wait: Wait,
    /// Bytes of the log, lent or copied, and where they begin.
    held: (i64, Bytes),
    /// Bytes from the next record on that are worth copying together.
    ahead: i64,
    /// The file of the record before: the next one is mostly in it too.
    segment: Option<Segment>,
}

impl Reach {
    /// Nothing is copied yet.
    pub(crate) fn new(wait: Wait) -> Self {
        Self { wait, held: (0, Bytes::new()), ahead: 0, segment: None }
    }

    /// Goes to the file that holds `offset`.
    pub(crate) fn go_to(&mut self, segments: &Segments, offset: i64) -> Option<&Segment> {
        let is_there = |segment: &Segment| (segment.start..segment.end()).contains(&offset);
        if !self.segment.as_ref().is_some_and(is_there) {
            self.segment = segments.find(offset);
        }
        self.segment.as_ref()
    }

    /// Looks how far the records of `units` lie so close together that one copy serves them.
    pub(crate) fn plan(&mut self, units: &[[u8; UNIT_LEN]]) {
        let mut units = units.iter().map_while(Unit::decode).take_while(|unit| !unit.is_blank());
        let Some(first) = units.next() else { return };
        if self.held(first.log_offset, first.size as usize).is_some() {
            return;
        }
        let (mut end, mut own) = (first.log_end(), i64::from(first.size));
        for unit in units {
            own += i64::from(unit.size);
            let span = unit.log_end() - first.log_offset;
            if unit.log_offset < end || span > AHEAD_MAX || own * OWN_PART < span {
                break;
            }
            end = unit.log_end();
        }
        self.ahead = end - first.log_offset;
    }

    /// Lends `len` bytes of the log at `offset`, which are in the file that was gone to, and what
    /// lies behind them there, not beyond `end`: the next records may be among it.
    pub(crate) fn lend(&mut self, offset: i64, len: usize, end: i64) -> io::Result<Bytes> {
        let Some(segment) = &self.segment else { return Err(ErrorKind::NotFound.into()) };
        let (at, end) = (offset - segment.start, end.min(segment.end()) - segment.start);
        let (own_end, far) = (at + len as i64, end.min(at + LENT_MAX));
        let lend = |end: i64| segment.file.slice(at as u64..end as u64);
        let bytes = lend(far.max(own_end)).or_else(|_| lend(own_end))?;
        self.held = (offset, bytes.clone());
        Ok(bytes.slice(..len))
    }

    /// Copies `len` bytes of the log at `offset`, which are in the file that was gone to, and what
    /// was planned behind them as long as it is in that file and not beyond `end`.
    pub(crate) fn copy(&mut self, offset: i64, len: usize, end: i64) -> io::Result<Bytes> {
        let Self { wait, segment: Some(segment), .. } = self else {
            return Err(ErrorKind::NotFound.into());
        };
        let (at, end) = ((offset - segment.start) as u64, end.min(segment.end()));
        let read = |len: usize| {
            let mut bytes = vec![0; len];
            wait.read(&*segment.file, at, &mut bytes).map(|()| Bytes::from(bytes))
        };
        let many = usize::try_from(std::mem::take(&mut self.ahead).min(end - offset)).unwrap_or(0);
        let bytes = match many > len {
            // What lies behind may be damaged, or not in memory.
            true => read(many).or_else(|_| read(len))?,
            false => read(len)?,
        };
        self.held = (offset, bytes.clone());
        Ok(bytes.slice(..len))
    }

    /// Bytes that were lent or copied before.
    #[inline]
    pub(crate) fn held(&self, offset: i64, len: usize) -> Option<Bytes> {
        self.place_held(offset, len).map(|place| self.held.1.slice(place))
    }

    #[inline]
    fn place_held(&self, offset: i64, len: usize) -> Option<Range<usize>> {
        let (from, bytes) = &self.held;
        let at = usize::try_from(offset - from).ok()?;
        let end = at.checked_add(len).filter(|end| *end <= bytes.len())?;
        Some(at..end)
    }

    /// Has the processor load the head and the end of each of these records that is held, which is
    /// where it is told what they are, all at once: one after the other, each would be waited for.
    pub(crate) fn load(&self, units: impl Iterator<Item = Unit>) {
        let places = units
            .map_while(|unit| self.place_held(unit.log_offset, usize::try_from(unit.size).ok()?));
        let loaded = places.fold(0, |loaded, place| {
            let record = &self.held.1[place];
            let head = record.iter().step_by(LINE).take(2);
            let end = record.iter().rev().step_by(LINE).take(6);
            head.chain(end).fold(loaded, |loaded, byte| loaded ^ byte)
        });
        std::hint::black_box(loaded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(places: &[(i64, i32)]) -> i64 {
        let unit = |&(log_offset, size): &(i64, i32)| Unit { log_offset, size, tags_code: 0 };
        let units: Vec<_> = places.iter().map(|place| unit(place).encode()).collect();
        let mut reach = Reach::new(Wait::Never);
        reach.plan(&units);
        reach.ahead
    }

    #[test]
    fn what_is_held_is_found_and_nothing_else() {
        let mut reach = Reach::new(Wait::Never);
        reach.held = (100, Bytes::from(vec![7; 50]));
        let places = [(100, 50), (149, 1), (150, 0)].map(|(at, len)| reach.place_held(at, len));
        assert_eq!(places, [Some(0..50), Some(49..50), Some(50..50)]);
        for (at, len) in [(99, 1), (100, 51), (150, 1), (0, 1), (100, usize::MAX)] {
            assert_eq!(reach.place_held(at, len), None, "{at} {len}");
        }
        let unit = |log_offset, size| Unit { log_offset, size, tags_code: 0 };
        reach.load([unit(100, 50), unit(110, 1), unit(110, i32::MAX), unit(0, -1)].into_iter());
    }

    #[test]
    fn neighbours_are_copied_together_and_strangers_are_not() {
        assert_eq!(planned(&[(0, 100), (400, 100), (800, 100)]), 900);
        assert_eq!(planned(&[(0, 100), (400, 100), (9_000, 100)]), 500, "too much between them");
        assert_eq!(planned(&[(500, 100), (0, 100)]), 100, "not in the order of the log");
        assert_eq!(planned(&[(0, 100), (100, i32::MAX), (200, 100)]), 100, "a blank place");
        assert_eq!(planned(&[(0, 40_000), (40_000, 40_000)]), 40_000, "too much at once");
        assert_eq!(planned(&[]), 0);
    }
}
