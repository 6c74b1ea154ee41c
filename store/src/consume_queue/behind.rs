//! What the files of a queue end with, looked at from there: the last unit, and what lies behind
//! the end that the queue has in memory, which is nothing unless they are damaged.

use super::{PAGE_BYTES_MAX, PAGE_UNITS, Queue, Unit};
use crate::Error;

/// Bytes that are asked for at a time whether they are zeros.
const ZEROS: u64 = 64 << 10;

impl Queue {
    /// The last unit that is not blank and not passed over, with its place. Any number of places of
    /// lost messages may be behind it, and a page of others.
    pub(crate) fn last_unit(&self, passed_over: &dyn Fn(&Unit) -> bool) -> Option<(i64, Unit)> {
        let mut others = 0;
        self.look_back(self.first_place(), self.max(), |place, unit| {
            let unit = unit.unwrap_or(Unit::NONE);
            if unit.is_blank() {
                return None;
            }
            others += usize::from(passed_over(&unit));
            if passed_over(&unit) && others < PAGE_UNITS { None } else { Some((place, unit)) }
        })
        .filter(|(_, unit)| !passed_over(unit))
    }

    /// The log offset behind the last record, when the file's units go from `first` to `next`; 0
    /// where damaged units hide it. Any number of places of lost messages may be behind it.
    pub(super) fn log_end_at(&self, first: i64, next: i64) -> i64 {
        let mut damaged = 0;
        let found = self.look_back(first, next, |_, unit| {
            damaged += usize::from(unit.is_none());
            match unit.filter(|unit| !unit.is_blank()) {
                None if damaged < PAGE_UNITS => None,
                unit => Some(unit.map_or(0, |unit| unit.log_end())),
            }
        });
        found.unwrap_or(0)
    }

    /// The last place behind the queue's end whose unit `is_believed`.
    pub(crate) fn last_behind(&self, is_believed: &dyn Fn(i64, &Unit) -> bool) -> Option<i64> {
        let end = self.data_end();
        self.look_back(self.next_offset(), end, |place, unit| {
            unit.filter(|unit| is_believed(place, unit)).map(|_| place)
        })
    }

    /// The place behind which the files hold nothing but zeros, to a step of `ZEROS`: nearly all of
    /// a last file is a hole, and reading it page by page takes long.
    fn data_end(&self) -> i64 {
        let segments = self.segments.all();
        for segment in segments.iter().rev() {
            let mut end = segment.file.len();
            while end > 0 {
                let begin = end.saturating_sub(ZEROS);
                if !segment.file.is_zero(begin..end).unwrap_or(false) {
                    let units = end.min(segment.file.len()).div_ceil(self.unit as u64);
                    return segment.start / self.unit + units as i64;
                }
                end = begin;
            }
        }
        segments.first().map_or(0, |first| first.start / self.unit)
    }

    /// What `look` finds among the units from `first` to `next`, as the files have them, from the
    /// last one back; it gets none in the place of one that is damaged or cannot be read.
    fn look_back<T>(
        &self,
        first: i64,
        next: i64,
        mut look: impl FnMut(i64, Option<Unit>) -> Option<T>,
    ) -> Option<T> {
        let mut page = [0; PAGE_BYTES_MAX];
        let mut to = next;
        while to > first {
            // One read gives units of one file.
            let file = self.segments.start_for((to - 1) * self.unit) / self.unit;
            let from = first.max(to - PAGE_UNITS as i64).max(file);
            let units = &mut page[..((to - from) * self.unit) as usize];
            self.read_page(from, units);
            for (unit, back) in units.chunks_exact(self.unit as usize).rev().zip(1..) {
                let found = look(to - back, self.decode(unit));
                if found.is_some() {
                    return found;
                }
            }
            to = from;
        }
        None
    }

    /// Reads units of one file from place `from` on; zeros in the places of those that cannot be
    /// read.
    fn read_page(&self, from: i64, units: &mut [u8]) {
        let segment = self.segments.find(from * self.unit);
        let read = |place: i64, out: &mut [u8]| {
            let at = |start: i64| (place * self.unit - start) as u64;
            segment.as_ref().is_some_and(|it| it.file.read_at(at(it.start), out).is_ok())
        };
        if !read(from, units) {
            units.fill(0);
            // Some of them may be readable.
            for (unit, place) in units.chunks_exact_mut(self.unit as usize).zip(from..) {
                read(place, unit);
            }
        }
    }

    /// Whether the files hold nothing but zeros from a byte on.
    pub(super) fn is_empty_from(&self, from: i64) -> Result<bool, Error> {
        for segment in self.segments.all() {
            if segment.end() > from {
                let start = (from.max(segment.start) - segment.start) as u64;
                let is_zero = segment.file.is_zero(start..segment.file.len());
                if !is_zero.map_err(Error::io("read", &self.segments.path(segment.start)))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
