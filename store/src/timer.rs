//! What waits for a time of its own: Java's timer files (`TimerMessageStore`). Each message of the
//! timer's queue gets an entry in a log, each slot of time knows its entries, and a small file says
//! how far delivery came. All of it is made from the queue, and made anew from it where it is
//! damaged. When something is due, and what becomes of it then, is not decided here.

mod check;
mod log;
mod unit;
mod wheel;

pub use check::TimerProgress;
pub use unit::TimerUnit;

use crate::disk::{Allocation, Disk, File};
use crate::in_the_way::move_aside;
use crate::{Error, Store};
use check::{CheckFile, Found};
use log::Log;
use message::{Entry, names, record};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wheel::Wheel;

/// The one queue of the timer's topic.
const QUEUE: i32 = 0;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerSlot {
    /// Its time, ms since the epoch.
    pub slot_ms: i64,
    /// Where its entries stand, oldest first.
    pub places: Vec<i64>,
}

/// The timer of a store.
pub struct Timer {
    wheel_path: PathBuf,
    wheel_file: Arc<dyn File>,
    check: CheckFile,
    log: Log,
    wheel: Wheel,
    progress: TimerProgress,
    is_sure: bool,
    counts: TimerCounts,
    /// Something is not in the files yet.
    is_changed: bool,
    /// Messages that wait.
    pending: i64,
}

impl Store {
    /// Opens the timer's files and brings them into line with the queue; what cannot be used of
    /// them is made anew, with a line. Nothing after `now_ms` was delivered yet.
    ///
    /// # Errors
    /// The disk does not answer.
    pub fn timer(&self, files: TimerFiles, now_ms: i64) -> Result<Timer, Error> {
        let root = &self.settings.root;
        let (check, found) = CheckFile::open(&*self.disk, root)?;
        let mut log = Log::new(self.disk.clone(), root, files.log_file_bytes);
        let is_sound = log.load()?;
        let (wheel_path, wheel_file, is_new) = open_wheel(&self.disk, root.join("timerwheel"))?;
        let mut timer = Timer {
            wheel_path,
            wheel_file,
            check,
            log,
            wheel: Wheel::new(files.precision_ms),
            progress: TimerProgress::default(),
            is_sure: false,
            counts: HashMap::new(),
            is_changed: false,
            pending: 0,
        };
        let holds = self.max_offset(names::TIMER_TOPIC, QUEUE) > 0;
        let is_clean = match found {
            Found::Progress(progress, clean) => {
                // It may come from a broker with another precision.
                let read_ms = timer.slot_of(progress.read_ms.min(now_ms));
                timer.progress = TimerProgress { read_ms, ..progress };
                clean && is_sound && read_ms == progress.read_ms
            }
            Found::Damaged => {
                tracing::error!(
                    "config/timercheck is damaged: what the timer delivered is looked up"
                );
                false
            }
            Found::Nothing => !holds,
        };
        if !is_sound && holds {
            tracing::error!(
                "the files of timerlog are not of the size that the settings say \
                 (mappedFileSizeTimerLog), or damaged: they are made anew from the timer's queue"
            );
        }
        let last = timer.read(self.max_log_offset())?;
        let found_at = timer.find_queue_offset(self, last);
        timer.is_sure = is_clean && timer.log.end() >= timer.progress.log_to && found_at;
        if !timer.is_sure || is_new {
            timer.write_whole_wheel()?;
        }
        Ok(timer)
    }
}

fn open_wheel(
    disk: &Arc<dyn Disk>,
    path: PathBuf,
) -> Result<(PathBuf, Arc<dyn File>, bool), Error> {
    let open = || disk.open(&path, wheel::FILE_BYTES, Allocation::Sparse);
    let is_there = disk.open_existing(&path, wheel::FILE_BYTES, Allocation::Sparse);
    if let Ok(Some(file)) = is_there {
        return Ok((path, file, false));
    }
    let file = match open() {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            make_way(&**disk, &path, true)?;
            open()
        }
        file => file,
    };
    let file = file.map_err(Error::io("open", &path))?;
    Ok((path, file, true))
}

/// Makes way for a file of the timer: one of another size goes, anything else is kept.
fn make_way(disk: &dyn Disk, path: &Path, is_file: bool) -> Result<(), Error> {
    if !is_file {
        return move_aside(disk, path, "it is made anew from the timer's log and queue");
    }
    tracing::error!(
        path = %path.display(),
        "is not of its size: it is made anew from the timer's log and queue"
    );
    disk.remove(path).map_err(Error::io("remove", path))
}

impl Timer {
    /// Reads the log from its beginning into the wheel, up to the first entry that is none, or
    /// whose message the commit log, which ends at `log_end`, does not have. Returns the last one.
    fn read(&mut self, log_end: i64) -> Result<Option<TimerUnit>, Error> {
        let Self { log, wheel, counts, progress, pending, .. } = self;
        let mut last = None;
        log.walk(|place, unit, prev| {
            if unit.log_offset >= log_end {
                return None;
            }
            last = Some(*unit);
            let slot_ms = wheel.slot_of(unit.slot_ms);
            if slot_ms < progress.read_ms {
                return Some(prev);
            }
            let right = wheel.last(slot_ms).unwrap_or(unit::NONE);
            wheel.put(slot_ms, place, unit.deletes);
            let one = if unit.deletes { -1 } else { 1 };
            *counts.entry(unit.topic_hash).or_default() += one;
            *pending += 1;
            Some(right)
        })?;
        Ok(last)
    }

    /// Finds where in the queue to go on: behind the last entry's message. Says whether the queue
    /// and the files agree.
    fn find_queue_offset(&mut self, store: &Store, last: Option<TimerUnit>) -> bool {
        let topic = names::TIMER_TOPIC;
        let (min, max) = (store.min_offset(topic, QUEUE), store.max_offset(topic, QUEUE));
        let is_whole = self.log.end() >= self.progress.log_to;
        let noted = self.progress.queue_offset;
        let behind = last.map(|unit| behind(store, &unit));
        let (offset, agree) = match behind {
            // Java notes messages that it delivered without an entry.
            Some(Some(behind)) if is_whole && (behind..=max).contains(&noted) => (noted, true),
            Some(Some(behind)) => (behind, is_whole),
            Some(None) => (min, false),
            None if is_whole && (min..=max).contains(&noted) => (noted, true),
            None => (min, min == max),
        };
        if !agree && max > min {
            tracing::error!(
                from = offset,
                to = max,
                "the timer's log lacks messages of its queue, or is damaged: they are put there \
                 again, and what was delivered of them is looked up"
            );
        }
        self.progress.queue_offset = offset.clamp(min, max);
        agree
    }

    /// Empties the wheel's file and writes every slot that something waits in.
    fn write_whole_wheel(&mut self) -> Result<(), Error> {
        let zeroed = self.wheel_file.zero(0..wheel::FILE_BYTES);
        zeroed.map_err(Error::io("write", &self.wheel_path))?;
        self.wheel.change_all();
        self.is_changed = true;
        self.flush(self.progress.read_ms, self.progress.changed_ms)
    }

    /// Forgets everything: all that the queue has is to be put again.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn clear(&mut self, store: &Store) -> Result<(), Error> {
        self.log.clear()?;
        self.wheel.clear();
        (self.pending, self.is_sure) = (0, false);
        self.progress.queue_offset = store.min_offset(names::TIMER_TOPIC, QUEUE);
        self.write_whole_wheel()
    }

    /// Whether the files say exactly what was delivered. If not, what was due before the store's
    /// last message may have been delivered, and what was put may have been put again.
    pub fn is_sure(&self) -> bool {
        self.is_sure
    }

    /// Messages that waited when the timer was opened.
    pub fn take_counts(&mut self) -> TimerCounts {
        std::mem::take(&mut self.counts)
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
        self.pending += 1;
        self.skip(1);
        Ok(())
    }

    /// Passes over the next `messages` of the queue, which cannot be put.
    pub fn skip(&mut self, messages: i64) {
        self.progress.queue_offset += messages;
        self.is_changed = true;
    }

    /// The first slot that something waits in, ms since the epoch.
    pub fn first(&self) -> Option<i64> {
        self.wheel.first()
    }

    /// Where the entries of a slot stand. `None` where the log is damaged.
    ///
    /// # Errors
    /// The disk does not answer.
    pub fn slot(&self, slot_ms: i64) -> Result<Option<TimerSlot>, Error> {
        let places = match self.wheel.last(slot_ms) {
            Some(last) => self.log.chain(last, |unit| self.slot_of(unit.slot_ms) == slot_ms)?,
            None => Some(Vec::new()),
        };
        Ok(places.map(|places| TimerSlot { slot_ms, places }))
    }

    /// The entry at a place. `None` where the log is damaged.
    ///
    /// # Errors
    /// The disk does not answer.
    pub fn unit(&self, place: i64) -> Result<Option<TimerUnit>, Error> {
        self.log.unit(place)
    }

    /// A slot is empty: its `entries` are delivered.
    pub fn done(&mut self, slot_ms: i64, entries: usize) {
        self.wheel.remove(slot_ms);
        self.pending -= entries as i64;
        self.is_changed = true;
    }

    /// There is something to write.
    pub fn note_change(&mut self) {
        self.is_changed = true;
    }

    /// Everything in slots before this one is delivered.
    pub fn read_to(&mut self, slot_ms: i64) {
        self.progress.read_ms = slot_ms;
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
        self.write(read_ms, now_ms, false).inspect_err(|_| {
            self.wheel.change_all();
            self.is_changed = true;
        })
    }

    fn write(&mut self, read_ms: i64, now_ms: i64, clean: bool) -> Result<(), Error> {
        for (at, slot) in self.wheel.take_changed() {
            let written = self.wheel_file.write_at(at, &slot);
            written.map_err(Error::io("write", &self.wheel_path))?;
        }
        self.progress.log_to = self.log.end();
        self.progress.changed_ms = now_ms;
        self.progress.changes += 1;
        if clean {
            self.log.sync()?;
            let synced = self.wheel_file.sync(0..wheel::FILE_BYTES);
            synced.map_err(Error::io("sync", &self.wheel_path))?;
        }
        self.check.write(&TimerProgress { read_ms, ..self.progress }, clean)
    }

    /// Ends: everything is in the files, durably. `is_sure` says whether everything before
    /// [`TimerProgress::read_ms`] is delivered and nothing behind it.
    ///
    /// # Errors
    /// The disk takes nothing.
    pub fn close(&mut self, is_sure: bool, now_ms: i64) -> Result<(), Error> {
        self.write(self.progress.read_ms, now_ms, is_sure)
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

/// The place in the queue behind an entry's message.
fn behind(store: &Store, unit: &TimerUnit) -> Option<i64> {
    let topic = names::TIMER_TOPIC;
    let stored = store.message_at(unit.log_offset)?;
    let Ok(Entry::Message(record)) = record::decode(&stored, false) else { return None };
    let at = record.queue_offset;
    let is_there = record.topic == topic
        && store.unit(topic, QUEUE, at).is_some_and(|found| found.log_offset == unit.log_offset);
    is_there.then_some(at + 1)
}
