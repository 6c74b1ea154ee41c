//! A slot whose chain of entries is broken: its entries are found again between its first and its
//! last, and what stood at damaged places is written again from the timer's queue, which has one
//! message for each entry, in the same order. Whatever else the damage hit, its own slot mends.

use super::start::behind;
use super::{Timer, TimerUnit, wheel::Slot};
use crate::{Error, Store};

/// Messages of the queue without an entry, beside those of damaged ones, that are looked at.
const SPARE: i64 = 64;

/// Damaged places side by side, and the entries on either side of them.
struct Run {
    places: Vec<i64>,
    before: Option<TimerUnit>,
    after: Option<TimerUnit>,
}

impl Timer {
    /// Finds the entries of a slot again where [`Timer::slot`] finds none. `entry` says what a
    /// message of the queue asks for, as an entry of this slot. Gives the places that nothing was
    /// found for.
    ///
    /// # Errors
    /// The disk does not answer; it can be tried again.
    pub fn mend(
        &mut self,
        store: &Store,
        slot_ms: i64,
        entry: impl Fn(i64) -> Option<TimerUnit>,
    ) -> Result<usize, Error> {
        let Some(slot) = self.wheel.slot(slot_ms) else { return Ok(0) };
        let (mut places, runs) = self.find(slot_ms, slot)?;
        let mut given_up = 0;
        for run in runs {
            let mut found = self.messages(store, &run).filter_map(&entry).collect::<Vec<_>>();
            found.reverse();
            for place in run.places {
                let Some(unit) = found.pop() else {
                    given_up += 1;
                    continue;
                };
                self.log.rewrite(place, &unit)?;
                places.push(place);
            }
        }
        places.sort_unstable();
        let mut mended = Slot { first: -1, last: -1, count: 0, entries: 0 };
        for place in places {
            let Some(unit) = self.log.unit(place)? else { continue };
            self.log.set_prev(place, mended.last)?;
            mended.first = if mended.entries == 0 { place } else { mended.first };
            mended.last = place;
            mended.entries += 1;
            mended.count += if unit.deletes { -1 } else { 1 };
        }
        self.pending += i64::from(mended.entries - slot.entries);
        match mended.entries {
            0 => self.wheel.remove(slot_ms),
            _ => self.wheel.set(slot_ms, mended),
        }
        self.marking.is_due = true;
        self.note_change();
        Ok(given_up)
    }

    /// Takes an entry for damaged that leads to no message that waits in its slot, unless a seal
    /// says that it is what was written.
    ///
    /// # Errors
    /// The disk does not answer.
    pub fn distrust(&mut self, place: i64) -> Result<bool, Error> {
        self.log.distrust(place)
    }

    /// The entries of a slot, and damaged places between the first and the last.
    fn find(&self, slot_ms: i64, slot: Slot) -> Result<(Vec<i64>, Vec<Run>), Error> {
        let (mut places, mut runs) = (Vec::new(), Vec::<Run>::new());
        let (mut before, mut open) = (None, Vec::new());
        self.log.scan(self.log.before(slot.first), |place, unit| {
            let is_inside = (slot.first..=slot.last).contains(&place);
            let Some(unit) = unit else {
                if is_inside || !open.is_empty() {
                    open.push(place);
                }
                return true;
            };
            if !open.is_empty() {
                let places = std::mem::take(&mut open);
                runs.push(Run { places, before, after: Some(unit) });
            }
            before = Some(unit);
            if is_inside && self.slot_of(unit.slot_ms) == slot_ms {
                places.push(place);
            }
            place < slot.last
        })?;
        if !open.is_empty() {
            runs.push(Run { places: open, before, after: None });
        }
        Ok((places, runs))
    }

    /// The messages of the queue that stood at damaged places.
    fn messages(&self, store: &Store, run: &Run) -> std::ops::Range<i64> {
        let count = run.places.len() as i64;
        let from = run.before.and_then(|unit| behind(store, &unit));
        let to = match (&run.after, from) {
            (Some(unit), from) => match (behind(store, unit), from) {
                (Some(behind), _) => behind - 1,
                (None, from) => from.map_or(0, |from| from + count),
            },
            (None, _) => self.progress.queue_offset,
        };
        let from = from.unwrap_or(to - count);
        from.max(to - count - SPARE).max(0)..to
    }
}
