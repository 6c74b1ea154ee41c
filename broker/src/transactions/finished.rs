//! Which half messages are finished, as far as that still matters: sets of queue offsets.

use std::collections::{BTreeMap, VecDeque};

/// Offsets in one part of [`Finished`]; a full part is followed by the next.
const PART: usize = 65_536;

/// A set of queue offsets: runs of neighbours take a bit each.
#[derive(Debug, Default)]
pub struct OffsetSet {
    words: BTreeMap<i64, u64>,
}

impl OffsetSet {
    /// Puts an offset in; whether it was not there.
    pub fn insert(&mut self, offset: i64) -> bool {
        let (word, bit) = place(offset);
        let bits = self.words.entry(word).or_default();
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    /// Takes an offset out; whether it was there.
    pub fn remove(&mut self, offset: i64) -> bool {
        let (word, bit) = place(offset);
        let Some(bits) = self.words.get_mut(&word) else { return false };
        let was_there = *bits & bit != 0;
        *bits &= !bit;
        if *bits == 0 {
            self.words.remove(&word);
        }
        was_there
    }

    /// Whether the offset is in it.
    pub fn contains(&self, offset: i64) -> bool {
        let (word, bit) = place(offset);
        self.words.get(&word).is_some_and(|bits| bits & bit != 0)
    }

    /// Takes out everything.
    pub fn clear(&mut self) {
        self.words.clear();
    }
}

fn place(offset: i64) -> (i64, u64) {
    (offset.div_euclid(64), 1 << offset.rem_euclid(64))
}

/// The half messages that the op queue names as finished.
///
/// A half message may stand in its queue once more, further back, and what is finished may be named
/// by any of its places. So what one look at the op queue gave is kept until the check has come
/// past everything that stood in the half queue then.
#[derive(Debug, Default)]
pub struct Finished {
    parts: VecDeque<Part>,
}

#[derive(Debug)]
struct Part {
    offsets: OffsetSet,
    count: usize,
    /// Behind the last op message that it is made of.
    op_end: i64,
    /// The end of the half queue when that was read.
    half_end: i64,
    is_closed: bool,
}

impl Finished {
    /// Takes up what an op message names. `op_end` is the place behind that message, `half_end` the
    /// end of the half queue.
    pub fn note(&mut self, offsets: impl Iterator<Item = i64>, op_end: i64, half_end: i64) {
        if self.parts.back().is_none_or(|part| part.is_closed || part.count >= PART) {
            let offsets = OffsetSet::default();
            self.parts.push_back(Part { offsets, count: 0, op_end, half_end, is_closed: false });
        }
        let Some(part) = self.parts.back_mut() else { return };
        for offset in offsets {
            part.count += usize::from(part.offsets.insert(offset));
        }
        part.op_end = op_end;
        part.half_end = half_end;
    }

    /// What comes from now on is kept apart, so that what was noted before can go before it.
    pub fn close_part(&mut self) {
        if let Some(part) = self.parts.back_mut() {
            part.is_closed = true;
        }
    }

    /// Whether the op queue names this place.
    pub fn contains(&self, offset: i64) -> bool {
        self.parts.iter().any(|part| part.offsets.contains(offset))
    }

    /// Forgets what can no longer matter when the check goes on at `half`; gives the place in the
    /// op queue before which nothing matters any more, if that moved.
    pub fn come_to(&mut self, half: i64) -> Option<i64> {
        let mut op = None;
        while self.parts.front().is_some_and(|part| part.half_end <= half) {
            op = self.parts.pop_front().map(|part| part.op_end);
        }
        op
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_what_was_put_in() {
        let mut set = OffsetSet::default();
        for offset in [0, 63, 64, 1_000_000] {
            assert!(set.insert(offset));
            assert!(!set.insert(offset));
        }
        set.remove(63);
        set.remove(7);
        let there: Vec<i64> = (0..100).filter(|offset| set.contains(*offset)).collect();
        assert_eq!(there, [0, 64]);
        assert!(set.contains(1_000_000));
    }

    #[test]
    fn neighbours_take_a_bit_each() {
        let mut set = OffsetSet::default();
        for offset in 0..1_000_000 {
            set.insert(offset);
        }
        assert_eq!(set.words.len(), 15_625);
    }

    #[test]
    fn what_is_finished_is_known_until_its_last_place_was_passed() {
        let mut finished = Finished::default();
        // Two op messages name three of ten half messages.
        finished.note([3, 4].into_iter(), 1, 10);
        finished.note([7].into_iter(), 2, 10);
        finished.close_part();
        finished.note([11].into_iter(), 3, 20);
        assert_eq!(finished.come_to(9), None);
        assert!(finished.contains(3) && finished.contains(7) && !finished.contains(5));
        assert_eq!(finished.come_to(10), Some(2));
        assert!(!finished.contains(3) && finished.contains(11));
        assert_eq!(finished.come_to(25), Some(3));
        assert!(!finished.contains(11));
    }

    #[test]
    fn a_part_has_a_bound() {
        let mut finished = Finished::default();
        for op in 0..10 {
            finished.note(op * 20_000..(op + 1) * 20_000, op + 1, 1_000 * (op + 1));
        }
        assert_eq!(finished.parts.len(), 3);
        assert_eq!(finished.come_to(4_000), Some(4));
        assert!(!finished.contains(79_999) && finished.contains(80_000));
    }
}
