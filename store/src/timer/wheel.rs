//! The wheel: for each slot of time the first and the last entry of the timer's log that waits in
//! it, and their number (Java: `TimerWheel`, `Slot`). Held in memory are only slots that something
//! waits in; the file, which Java reads, is written from them.

use crate::disk::File;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// The slots of a wheel: two weeks of seconds, whatever the precision.
const SLOTS: i64 = 7 * 24 * 3_600 * 2;
/// The bytes of a slot.
const SLOT_BYTES: usize = 32;
/// Bytes of the file that are looked at together.
const WINDOW: u64 = 64 << 10;
/// The bytes of the file.
pub(super) const FILE_BYTES: u64 = SLOTS as u64 * SLOT_BYTES as u64;

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) first: i64,
    pub(super) last: i64,
    /// Messages, less those that are taken back.
    pub(super) count: i32,
    /// Entries of the log; not in the file.
    pub(super) entries: i32,
}

/// Slots by their time, ms since the epoch.
pub(super) struct Wheel {
    precision_ms: i64,
    slots: BTreeMap<i64, Slot>,
    /// Not in the file yet.
    changed: BTreeSet<i64>,
}

impl Wheel {
    pub(super) fn new(precision_ms: i64) -> Self {
        Self { precision_ms, slots: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// How far apart slots are, ms.
    pub(super) fn precision_ms(&self) -> i64 {
        self.precision_ms
    }

    /// The slot of a time.
    pub(super) fn slot_of(&self, time_ms: i64) -> i64 {
        time_ms - time_ms.rem_euclid(self.precision_ms)
    }

    /// A slot that something waits in.
    pub(super) fn slot(&self, slot_ms: i64) -> Option<Slot> {
        self.slots.get(&slot_ms).copied()
    }

    /// What is known of a slot is another.
    pub(super) fn set(&mut self, slot_ms: i64, slot: Slot) {
        self.slots.insert(slot_ms, slot);
        self.changed.insert(slot_ms);
    }

    /// All slots that something waits in.
    pub(super) fn slots(&self) -> &BTreeMap<i64, Slot> {
        &self.slots
    }

    /// The place of the last entry of a slot.
    pub(super) fn last(&self, slot_ms: i64) -> Option<i64> {
        self.slots.get(&slot_ms).map(|slot| slot.last)
    }

    /// The entry at `place` waits in a slot now.
    pub(super) fn put(&mut self, slot_ms: i64, place: i64, deletes: bool) {
        let new = Slot { first: place, last: place, count: 0, entries: 0 };
        let slot = self.slots.entry(slot_ms).or_insert(new);
        slot.last = place;
        slot.count = slot.count.saturating_add(if deletes { -1 } else { 1 });
        slot.entries = slot.entries.saturating_add(1);
        self.changed.insert(slot_ms);
    }

    /// The first slot that something waits in.
    pub(super) fn first(&self) -> Option<i64> {
        self.slots.first_key_value().map(|(slot_ms, _)| *slot_ms)
    }

    /// Nothing waits in a slot any more. The file keeps it, as Java's does: its time is past.
    pub(super) fn remove(&mut self, slot_ms: i64) {
        self.slots.remove(&slot_ms);
        self.changed.remove(&slot_ms);
    }

    /// How many messages wait in a slot.
    pub(super) fn count(&self, slot_ms: i64) -> i32 {
        self.slots.get(&slot_ms).map_or(0, |slot| slot.count.max(0))
    }

    /// Nothing waits any more.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.changed.clear();
    }

    /// Has every slot written again.
    pub(super) fn change_all(&mut self) {
        self.changed = self.slots.keys().copied().collect();
    }

    /// What the file lacks: where, and the bytes there.
    pub(super) fn take_changed(&mut self) -> impl Iterator<Item = (u64, [u8; SLOT_BYTES])> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|slot_ms| self.encode(slot_ms))
    }

    /// Where a slot stands in the file, and the bytes there.
    fn encode(&self, slot_ms: i64) -> Option<(u64, [u8; SLOT_BYTES])> {
        let slot = self.slots.get(&slot_ms)?;
        let number = slot_ms.div_euclid(self.precision_ms);
        let mut out = [0; SLOT_BYTES];
        out[..8].copy_from_slice(&number.to_be_bytes());
        out[8..16].copy_from_slice(&slot.first.to_be_bytes());
        out[16..24].copy_from_slice(&slot.last.to_be_bytes());
        out[24..28].copy_from_slice(&slot.count.to_be_bytes());
        Some((place_of(number), out))
    }

    /// Compares a file with the wheel; slots of times before `emptied_ms` stay in the file when
    /// they are empty.
    pub(super) fn compare(&self, file: &dyn File, emptied_ms: i64) -> io::Result<Compared> {
        let (mut right, mut wrong, mut is_empty, mut out_of_place) = (0, 0, true, 0);
        let mut window = vec![0; WINDOW as usize];
        for from in (0..FILE_BYTES).step_by(WINDOW as usize) {
            let len = WINDOW.min(FILE_BYTES - from);
            if file.is_zero(from..from + len)? {
                continue;
            }
            let window = &mut window[..len as usize];
            file.read_at(from, window)?;
            for (slot, at) in window.chunks_exact(SLOT_BYTES).zip((from..).step_by(SLOT_BYTES)) {
                if slot.iter().all(|byte| *byte == 0) {
                    continue;
                }
                is_empty = false;
                let number = i64::from_be_bytes(*slot.first_chunk().expect("a slot has 32 bytes"));
                let slot_ms = number.saturating_mul(self.precision_ms);
                match self.encode(slot_ms) {
                    Some((place, bytes)) if place == at && bytes == slot => right += 1,
                    _ if place_of(number) != at => out_of_place += 1,
                    _ => wrong += usize::from(slot_ms >= emptied_ms),
                }
            }
        }
        // One that is wrong may be one that is lacking.
        let differing = (wrong + out_of_place).max(self.slots.len().saturating_sub(right));
        Ok(Compared { is_empty, out_of_place, differing })
    }
}

/// How a file and the wheel agree.
pub(super) struct Compared {
    /// The file has no slot at all.
    pub(super) is_empty: bool,
    /// Slots of the file that stand where their numbers do not belong.
    pub(super) out_of_place: usize,
    /// These, those in which nothing waits by now, and those that the file lacks.
    pub(super) differing: usize,
}

/// Where the slot of that number stands in the file.
fn place_of(number: i64) -> u64 {
    number.rem_euclid(SLOTS) as u64 * SLOT_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_knows_its_ends_and_is_written_as_java_does() {
        let mut wheel = Wheel::new(1_000);
        assert_eq!(wheel.slot_of(1_209_601_999), 1_209_601_000);
        wheel.put(1_209_601_000, 52, false);
        wheel.put(1_209_601_000, 156, false);
        wheel.put(1_209_601_000, 208, true);
        wheel.put(5_000, 104, false);
        assert_eq!(wheel.first(), Some(5_000));
        assert_eq!((wheel.last(1_209_601_000), wheel.count(1_209_601_000)), (Some(208), 1));
        wheel.remove(5_000);
        let written: Vec<_> = wheel.take_changed().collect();
        let mut slot = Vec::new();
        slot.extend(1_209_601_i64.to_be_bytes());
        slot.extend(52_i64.to_be_bytes());
        slot.extend(208_i64.to_be_bytes());
        slot.extend(1_i32.to_be_bytes());
        slot.extend([0; 4]);
        assert_eq!(written, [(32, slot.try_into().unwrap())], "the wheel has turned once");
        assert_eq!(wheel.take_changed().count(), 0);
    }
}
