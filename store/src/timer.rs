//! What waits for a time of its own: Java's timer files (`TimerMessageStore`). Each message of the
//! timer's queue gets an entry in a log, each slot of time knows its entries, and a small file says
//! how far delivery came; now and then all slots are noted, and a start reads the log from there.
//! All of it is made from the queue, and made anew from it where it is damaged. When something is
//! due, and what becomes of it then, is not decided here.

mod check;
mod log;
mod mark;
mod mend;
mod start;
mod unit;
mod wheel;

pub use check::TimerProgress;
pub(crate) use check::progress_in;
pub use unit::TimerUnit;

use crate::disk::File;
use crate::{Error, Store};
use check::{CheckFile, Own};
use log::Log;
use mark::{Mark, MarkFile};
use message::names;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use wheel::Wheel;

/// The one queue of the timer's topic.
const QUEUE: i32 = 0;
/// How often it is noted which slots something waits in, ms.
const MARK_MS: i64 = 10_000;
/// The same for each slot: so much work is worth it.
const MARK_SLOTS_PER_MS: usize = 4;
/// After so many bytes of the log they are noted whatever the time is.
const MARK_BYTES: i64 = 32 << 20;

/// The shape of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerFiles {
    /// How far apart slots are, ms (Java: `timerPrecisionMs`).
    pub precision_ms: i64,
    /// The bytes of each file of the log (Java: `mappedFileSizeTimerLog`).
    pub log_file_bytes: u64,
}

/// How many messages wait, by Java's hash of the topic that they go to: those that take others back
/// count against them.
pub type TimerCounts = HashMap<i32, i64>;

/// A slot that is being emptied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimerSlot {
    /// Its time, ms since the epoch.
    pub slot_ms: i64,
    /// Where its entries stand, oldest first.
    pub places: Vec<i64>,
    /// What they count.
    pub counts: TimerCounts,
}

/// The timer of a store.
pub struct Timer {
    wheel_path: PathBuf,
    wheel_file: Arc<dyn File>,
    check: CheckFile,
    marks: MarkFile,
    log: Log,
    wheel: Wheel,
    progress: TimerProgress,
    own: Own,
    /// Messages that were put before are put again.
    is_rebuilt: bool,
    counts: TimerCounts,
    /// Something is not in the files yet.
    is_changed: bool,
    /// Messages that wait.
    pending: i64,
    /// The last entry of the log and where its message begins in the commit log.
    last: (i64, i64),
    marking: Marking,
}

/// How far noting the slots came.
#[derive(Default)]
struct Marking {
    /// Something changed since.
    is_due: bool,
    /// Where the log ended then.
    log_to: i64,
    /// When, ms since the epoch.
    noted_ms: i64,
    /// What is to be written as soon as the commit log is durable up to a place: a slot may only be
    /// left out when its messages cannot be lost.
    drawn: Option<(i64, Vec<u8>)>,
}

impl Timer {
    /// Empties the wheel's file and writes every slot that something waits in.
    fn write_whole_wheel(&mut self) -> Result<(), Error> {
        let zeroed = self.wheel_file.zero(0..wheel::FILE_BYTES);
        zeroed.map_err(Error::io("write", &self.wheel_path))?;
        self.wheel.change_all();
        self.is_changed = true;
        self.flush(self.progress.read_ms, self.progress.changed_ms)?;
        // Where nothing waits it does not matter what power loss leaves of it.
        if self.pending == 0 { Ok(()) } else { self.sync_wheel() }
    }

    fn sync_wheel(&self) -> Result<(), Error> {
        let synced = self.wheel_file.sync(0..wheel::FILE_BYTES);
        synced.map_err(Error::io("sync", &self.wheel_path))
    }

    /// What a clean stop said counts no longer, whatever of this run is lost with the power.
    fn begin(&mut self) -> Result<(), Error> {
        let own = Own { clean: false, ..self.own };
        self.check.write(&self.progress, own, true)
    }

    /// Forgets everything: all that the queue has is to be put again.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn clear(&mut self, store: &Store) -> Result<(), Error> {
        self.marks.remove()?;
        self.marking = Marking { is_due: true, ..Marking::default() };
        self.log.clear()?;
        self.wheel.clear();
        self.counts.clear();
        (self.pending, self.last, self.is_rebuilt) = (0, (unit::NONE, 0), true);
        self.progress.queue_offset = store.min_offset(names::TIMER_TOPIC, QUEUE);
        self.write_whole_wheel()
    }

    /// Until when what waits may have been delivered already, ms since the epoch; 0 where the files
    /// say exactly what was.
    pub fn unsure_to_ms(&self) -> i64 {
        self.own.unsure_to_ms
    }

    /// Sets that; it outlives a restart.
    pub fn set_unsure_to(&mut self, time_ms: i64) {
        self.own.unsure_to_ms = time_ms;
        self.note_change();
    }

    /// Whether messages are put again that were put before.
    pub fn is_rebuilt(&self) -> bool {
        self.is_rebuilt
    }

    /// The latest slot that delivery ever came to, whatever the clock did, ms since the epoch.
    pub fn latest_ms(&self) -> i64 {
        self.own.latest_ms
    }

    /// How many messages wait, by topic.
    pub fn counts(&self) -> &TimerCounts {
        &self.counts
    }

    /// How far the timer came.
    pub fn progress(&self) -> TimerProgress {
        self.progress
    }

    /// The slot of a time, ms since the epoch.
    pub fn slot_of(&self, time_ms: i64) -> i64 {
        self.wheel.slot_of(time_ms)
    }

    /// How many messages wait in a slot.
    pub fn count(&self, slot_ms: i64) -> i32 {
        self.wheel.count(slot_ms)
    }

    /// How many messages wait.
    pub fn pending(&self) -> i64 {
        self.pending
    }

    /// Puts the next message of the queue into its slot.
    ///
    /// # Errors
    /// The entry was not written; it can be tried again.
    pub fn put(&mut self, unit: &TimerUnit) -> Result<(), Error> {
        assert_eq!(self.slot_of(unit.slot_ms), unit.slot_ms, "a slot has one time");
        let prev = self.wheel.last(unit.slot_ms).unwrap_or(unit::NONE);
        let place = self.log.append(unit, prev)?;
        self.wheel.put(unit.slot_ms, place, unit.deletes);
        self.last = (place, unit.log_offset);
        self.pending += 1;
        count(&mut self.counts, unit, 1);
        self.skip(1);
        Ok(())
    }

    /// Passes over the next `messages` of the queue, which cannot be put.
    pub fn skip(&mut self, messages: i64) {
        self.progress.queue_offset += messages;
        self.note_change();
        self.marking.is_due = true;
    }

    /// The first slot that something waits in, ms since the epoch.
    pub fn first(&self) -> Option<i64> {
        self.wheel.first()
    }

    /// Where the entries of a slot stand. `None` where the log is damaged: see [`Timer::mend`].
    ///
    /// # Errors
    /// The disk does not answer.
    pub fn slot(&self, slot_ms: i64) -> Result<Option<TimerSlot>, Error> {
        let mut slot = TimerSlot { slot_ms, places: Vec::new(), counts: TimerCounts::new() };
        let Some(known) = self.wheel.slot(slot_ms) else { return Ok(Some(slot)) };
        let chain = self.log.chain(known.last, |unit| {
            count(&mut slot.counts, unit, 1);
            self.slot_of(unit.slot_ms) == slot_ms
        })?;
        let whole = |chain: &log::Chain| {
            chain.is_expired || usize::try_from(known.entries) == Ok(chain.places.len())
        };
        Ok(chain.filter(whole).map(|chain| {
            slot.places = chain.places;
            slot
        }))
    }

    /// The entry at a place. `None` where the log is damaged.
    ///
    /// # Errors
    /// The disk does not answer.
    pub fn unit(&self, place: i64) -> Result<Option<TimerUnit>, Error> {
        self.log.unit(place)
    }

    /// A slot is empty: its entries are delivered.
    pub fn done(&mut self, slot: &TimerSlot) {
        let entries = self.wheel.slot(slot.slot_ms).map_or(0, |slot| slot.entries);
        self.wheel.remove(slot.slot_ms);
        self.pending -= i64::from(entries);
        for (hash, count) in &slot.counts {
            let all = self.counts.entry(*hash).or_default();
            *all -= count;
            if *all == 0 {
                self.counts.remove(hash);
            }
        }
        self.note_change();
        self.marking.is_due = true;
    }

    /// There is something to write.
    pub fn note_change(&mut self) {
        self.is_changed = true;
    }

    /// Everything in slots before this one is delivered.
    pub fn read_to(&mut self, slot_ms: i64) {
        self.progress.read_ms = slot_ms;
        self.own.latest_ms = self.own.latest_ms.max(slot_ms);
    }

    /// The clock was set back: slots from this one on can be put into again. What was delivered of
    /// those before `settled_ms` can not be lost. Durable, for a start passes over whatever stands
    /// in slots before that.
    ///
    /// # Errors
    /// The disk takes nothing; it can be tried again.
    pub fn set_back(&mut self, slot_ms: i64, settled_ms: i64, now_ms: i64) -> Result<(), Error> {
        let own = Own { clean: false, ..self.own };
        let read_ms = settled_ms.min(slot_ms);
        let progress = TimerProgress { read_ms, changed_ms: now_ms, ..self.progress };
        self.check.write(&progress, own, true)?;
        self.progress.read_ms = slot_ms;
        self.marking.is_due = true;
        self.note_change();
        Ok(())
    }

    /// Writes what changed: the wheel, and that everything in slots before `read_ms` is delivered
    /// and will not be lost.
    ///
    /// # Errors
    /// The disk takes nothing; it can be tried again.
    pub fn flush(&mut self, read_ms: i64, now_ms: i64) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_changed) {
            return Ok(());
        }
        let own = Own { clean: false, ..self.own };
        self.write(read_ms, own, now_ms).inspect_err(|_| {
            self.wheel.change_all();
            self.is_changed = true;
        })
    }

    fn write(&mut self, read_ms: i64, own: Own, now_ms: i64) -> Result<(), Error> {
        for (at, slot) in self.wheel.take_changed() {
            let written = self.wheel_file.write_at(at, &slot);
            written.map_err(Error::io("write", &self.wheel_path))?;
        }
        self.progress.log_to = self.log.end();
        self.progress.changed_ms = now_ms;
        self.progress.changes += 1;
        if own.clean {
            self.sync_wheel()?;
        }
        self.check.write(&TimerProgress { read_ms, ..self.progress }, own, own.clean)
    }

    /// Notes now and then which slots something waits in, durably: a start reads the log from
    /// there.
    ///
    /// # Errors
    /// The disk takes nothing; it can be tried again.
    pub fn mark(&mut self, store: &Store, now_ms: i64) -> Result<(), Error> {
        if let Some((log_end, bytes)) = &self.marking.drawn {
            if *log_end > store.flushed_to() {
                return Ok(());
            }
            self.log.sync()?;
            // Java reads no more of the log than its last file.
            self.sync_wheel()?;
            self.marks.write(bytes)?;
            self.marking.drawn = None;
            return Ok(());
        }
        let Marking { is_due, log_to, noted_ms, .. } = self.marking;
        let slots = i64::try_from(self.wheel.slots().len() / MARK_SLOTS_PER_MS).unwrap_or(0);
        let is_time = !(0..MARK_MS.max(slots)).contains(&now_ms.saturating_sub(noted_ms));
        if is_due && (is_time || self.log.end() - log_to >= MARK_BYTES) {
            self.draw(now_ms, store.max_log_offset());
        }
        Ok(())
    }

    fn draw(&mut self, noted_ms: i64, log_end: i64) {
        let log_to = self.log.end();
        let mark = Mark {
            precision_ms: self.wheel.precision_ms(),
            log_to,
            last: self.last,
            read_ms: self.progress.read_ms,
            slots: self.wheel.slots().clone(),
            counts: self.counts.clone(),
        };
        let drawn = Some((log_end, mark.encode()));
        self.marking = Marking { is_due: false, log_to, noted_ms, drawn };
    }

    /// Ends: everything is in the files, durably; the commit log is. `is_exact` says whether
    /// everything before [`TimerProgress::read_ms`] is delivered and nothing that waits, but for
    /// what [`Timer::unsure_to_ms`] says.
    ///
    /// # Errors
    /// The disk takes nothing.
    pub fn close(&mut self, is_exact: bool, now_ms: i64) -> Result<(), Error> {
        if is_exact {
            self.log.sync()?;
            self.draw(now_ms, 0);
            if let Some((_, bytes)) = self.marking.drawn.take() {
                self.marks.write(&bytes)?;
            }
        }
        let own = Own { clean: is_exact, ..self.own };
        self.write(self.progress.read_ms, own, now_ms)
    }

    /// Removes files of the log whose messages the commit log, which begins at `log_min`, does not
    /// have any more.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn expire(&mut self, log_min: i64) -> Result<(), Error> {
        self.log.expire(log_min)
    }
}

/// Counts an entry so many times: one that takes another back counts against it.
fn count(counts: &mut TimerCounts, unit: &TimerUnit, times: i64) {
    *counts.entry(unit.topic_hash).or_default() += if unit.deletes { -times } else { times };
}
