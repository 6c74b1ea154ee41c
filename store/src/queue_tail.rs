//! The end of a consume queue in memory: units that were given out and are not in the file yet. The
//! append only leaves units here; the periodic flush writes many at once. Of an extension the units
//! are bytes.

use crate::consume_queue::Unit;
use bytes::Bytes;

/// Units that are given out, from the last one in the file on.
pub(crate) struct Tail {
    /// The bytes of a unit.
    unit_len: usize,
    /// The place of the next unit: in a queue of single messages the next queue offset to give.
    next: i64,
    /// The log offset behind the last record that has a unit.
    log_end: i64,
    /// Units that are being written to the file; they come before those that wait.
    writing: Bytes,
    /// Units that wait; the last one is that of `next - 1`.
    waiting: Vec<u8>,
    /// Bytes that were written last: about as many will wait for the next write.
    usual: usize,
    /// How many of the last units belong to records that are not written yet.
    staged: usize,
}

/// What became of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// The queue offset that it got; of a batch that of its first message.
    pub(crate) queue_offset: i64,
    /// Whether it is the first one since the last [`Tail::commit`].
    pub(crate) is_first: bool,
}

impl Tail {
    /// The tail of a queue whose units, of `unit_len` bytes, are all in the file below `next`.
    pub(crate) fn at(unit_len: usize, next: i64, log_end: i64) -> Self {
        let (writing, waiting) = Default::default();
        Self { unit_len, next, log_end, writing, waiting, usual: 0, staged: 0 }
    }

    /// The place of the next unit.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// The log offset behind the last record that has a unit.
    pub(crate) fn log_end(&self) -> i64 {
        self.log_end
    }

    /// The first place that is not in the file.
    pub(crate) fn written(&self) -> i64 {
        self.next - ((self.writing.len() + self.waiting.len()) / self.unit_len) as i64
    }

    /// Takes a unit of a queue of single messages.
    pub(crate) fn push(&mut self, unit: Unit) -> Pushed {
        self.push_bytes(&unit, &unit.encode())
    }

    /// Takes a unit whose bytes in the file are `bytes`.
    pub(crate) fn push_bytes(&mut self, unit: &Unit, bytes: &[u8]) -> Pushed {
        self.log_end = if unit.is_blank() { self.log_end } else { unit.log_end() };
        self.push_run(bytes, 1)
    }

    /// Takes the bytes of so many units, which lead to no record of their own.
    pub(crate) fn push_run(&mut self, bytes: &[u8], units: usize) -> Pushed {
        debug_assert_eq!(bytes.len(), units * self.unit_len, "all units have one length");
        let pushed = Pushed { queue_offset: self.next, is_first: self.staged == 0 };
        if self.waiting.is_empty() {
            self.waiting.reserve(self.usual);
        }
        self.waiting.extend_from_slice(bytes);
        self.next += units as i64;
        self.staged += units;
        pushed
    }

    /// Corrects the log offset behind the last record, whose unit was wrong.
    pub(crate) fn set_log_end(&mut self, log_end: i64) {
        self.log_end = log_end;
    }

    /// Notes that the records of all units are written; returns the place behind them.
    pub(crate) fn commit(&mut self) -> i64 {
        self.staged = 0;
        self.next
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// Copies units from the place `offset` on into `out` and says how many; `None` when they are
    /// in the file.
    pub(crate) fn copy(&self, offset: i64, out: &mut [u8]) -> Option<usize> {
        let skip = usize::try_from(offset - self.written()).ok()? * self.unit_len;
        let (part, skip) = match skip.checked_sub(self.writing.len()) {
            None => (&self.writing[..], skip),
            Some(skip) => (&self.waiting[..], skip),
        };
        let units = part.get(skip..).unwrap_or_default();
        let len = units.len().min(out.len()) / self.unit_len * self.unit_len;
        out[..len].copy_from_slice(&units[..len]);
        Some(len / self.unit_len)
    }

    /// The units to write now, those whose records are written, and the place of the first;
    /// readable here until [`Self::wrote`]. `None` when none wait.
    pub(crate) fn take(&mut self) -> Option<(i64, Bytes)> {
        assert!(self.writing.is_empty(), "one write at a time");
        let first = self.written();
        let staged = self.waiting.split_off(self.waiting.len() - self.staged * self.unit_len);
        self.writing = std::mem::replace(&mut self.waiting, staged).into();
        self.usual = self.writing.len();
        (!self.writing.is_empty()).then(|| (first, self.writing.clone()))
    }

    /// Ends what [`Self::take`] began. Units that could not be written wait again.
    pub(crate) fn wrote(&mut self, done: bool) {
        let writing = std::mem::take(&mut self.writing);
        if !done {
            self.waiting.splice(..0, writing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consume_queue::UNIT_LEN;

    fn unit(number: i64) -> Unit {
        Unit { log_offset: number * 100, size: 100, tags_code: number }
    }

    fn offsets(tail: &Tail, from: i64) -> Option<Vec<i64>> {
        let mut out = [0; 3 * UNIT_LEN];
        let count = tail.copy(from, &mut out)?;
        let units = out.as_chunks::<UNIT_LEN>().0[..count].iter();
        Some(units.map(|bytes| Unit::decode(bytes).unwrap().tags_code).collect())
    }

    #[test]
    fn units_are_readable_until_they_are_in_the_file() {
        let mut tail = Tail::at(UNIT_LEN, 10, 1_000);
        assert_eq!(tail.push(unit(10)), Pushed { queue_offset: 10, is_first: true });
        assert_eq!(tail.push(unit(11)), Pushed { queue_offset: 11, is_first: false });
        assert_eq!((tail.commit(), tail.log_end()), (12, 1_200));
        assert_eq!(tail.take().map(|(first, units)| (first, units.len())), Some((10, 40)));
        assert!(tail.push(unit(12)).is_first);
        assert_eq!(offsets(&tail, 9), None);
        assert_eq!(offsets(&tail, 10), Some(vec![10, 11]));
        assert_eq!(offsets(&tail, 12), Some(vec![12]));
        assert_eq!(offsets(&tail, 13), Some(vec![]));
        tail.wrote(true);
        assert_eq!((tail.written(), offsets(&tail, 11)), (12, None));
    }

    #[test]
    fn units_that_could_not_be_written_wait_again() {
        let mut tail = Tail::at(UNIT_LEN, 0, 0);
        tail.push(unit(0));
        assert_eq!(tail.take(), None, "the record is not written yet");
        tail.commit();
        assert!(tail.take().is_some());
        tail.push(unit(1));
        tail.wrote(false);
        assert_eq!((tail.written(), offsets(&tail, 0)), (0, Some(vec![0, 1])));
        assert_eq!(tail.waiting_bytes(), 40);
    }
}
