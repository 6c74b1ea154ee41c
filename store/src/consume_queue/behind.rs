//! What a queue's files hold behind the end that it has in memory: nothing, unless they are damaged.

use super::start::SCAN_UNITS;
use super::{Queue, Unit};
use crate::Error;

impl Queue {
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

    /// The last place behind the queue's end whose unit `is_believed`. What cannot be read is passed
    /// over.
    pub(crate) fn last_behind(&self, is_believed: &dyn Fn(i64, &Unit) -> bool) -> Option<i64> {
        let next = self.next_offset();
        let mut bytes = Vec::new();
        for segment in self.segments.all().into_iter().rev() {
            let first = next.max(segment.start / self.unit);
            let mut to = segment.end() / self.unit;
            while to > first {
                let from = first.max(to - SCAN_UNITS);
                bytes.resize(((to - from) * self.unit) as usize, 0);
                let at = (from * self.unit - segment.start) as u64;
                if segment.file.read_at(at, &mut bytes).is_ok() {
                    let units =
                        bytes.chunks_exact(self.unit as usize).map(|unit| self.decode(unit));
                    for (unit, back) in units.rev().zip(1..) {
                        let unit = unit.filter(|unit| !unit.is_blank());
                        if unit.is_some_and(|unit| is_believed(to - back, &unit)) {
                            return Some(to - back);
                        }
                    }
                }
                to = from;
            }
        }
        None
    }
}
