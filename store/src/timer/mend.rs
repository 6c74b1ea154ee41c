//! A slot whose chain of entries is broken: its entries are found again between its first and its
//! last, and what stood at damaged places is written again from the timer's queue, which has one
//! message for each entry, in the same order. Whatever else the damage hit, its own slot mends.

use super::start::behind;
use super::{Timer, TimerUnit, wheel::Slot};
use crate::{Error, NotNow, Store};

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
    /// found for; `None` where nobody can say now, and nothing was done.
    ///
    /// # Errors
    /// The disk does not answer; it can be tried again.
    pub fn mend(
        &mut self,
        store: &Store,
        slot_ms: i64,
        entry: impl Fn(i64) -> Result<Option<TimerUnit>, NotNow>,
    ) -> Result<Option<usize>, Error> {
        let Some(slot) = self.wheel.slot(slot_ms) else { return Ok(Some(0)) };
        let (mut places, runs) = self.find(slot_ms, slot)?;
        let found = runs.iter().map(|run| self.asked_for(store, run, &entry));
        let Ok(found) = found.collect::<Result<Vec<_>, _>>() else { return Ok(None) };
        let mut given_up = 0;
        for (run, mut found) in runs.into_iter().zip(found) {
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
        Ok(Some(given_up))
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

    /// What the messages of the queue ask for that stood at damaged places.
    fn asked_for(
        &self,
        store: &Store,
        run: &Run,
        entry: impl Fn(i64) -> Result<Option<TimerUnit>, NotNow>,
    ) -> Result<Vec<TimerUnit>, NotNow> {
        let count = run.places.len() as i64;
        let behind = |unit: Option<TimerUnit>| unit.map_or(Ok(None), |unit| behind(store, &unit));
        let from = behind(run.before)?;
        let to = match (run.after, behind(run.after)?) {
            (Some(_), Some(behind)) => behind - 1,
            (Some(_), None) => from.map_or(0, |from| from + count),
            (None, _) => self.progress.queue_offset,
        };
        let from = from.unwrap_or(to - count);
        let messages = from.max(to - count - SPARE).max(0)..to;
        messages.filter_map(|at| entry(at).transpose()).collect()
    }
}
