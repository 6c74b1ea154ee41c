//! A start: what the files say of the timer, and where they are not to be believed. What was noted
//! last is taken, and the log is read from there on; without that from its beginning.

use super::check::{CheckFile, Found, Own};
use super::log::Log;
use super::mark::{Mark, MarkFile};
use super::wheel::{self, Wheel};
use super::{
    Marking, QUEUE, Timer, TimerCounts, TimerFiles, TimerProgress, TimerUnit, count, unit,
};
use crate::disk::{Allocation, Disk, File};
use crate::in_the_way::move_aside;
use crate::{Error, NotNow, Position, Progress, Step, Store, Wait};
use message::{Entry, names, record};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Entries at the log's end whose messages may all be lost.
const ENDS: usize = 4_096;

/// What the small file is worth.
#[derive(Clone, Copy)]
struct Word {
    progress: TimerProgress,
    own: Own,
    /// Nobody else wrote it, and it is whole.
    is_ours: bool,
}

impl Store {
    /// Opens the timer's files and brings them into line with the queue; what cannot be used of
    /// them is made anew, with a line. `watch` is told how far it has come.
    ///
    /// # Errors
    /// The disk does not answer.
    pub fn timer(
        &self,
        files: TimerFiles,
        now_ms: i64,
        watch: &dyn Fn(Progress),
    ) -> Result<Timer, Error> {
        let root = &self.settings.root;
        let (check, found) = CheckFile::open(&*self.disk, root)?;
        let mut log = Log::new(self.disk.clone(), root, files.log_file_bytes);
        let is_sound = log.load()?;
        let (wheel_path, wheel_file) = open_wheel(&self.disk, root.join("timerwheel"))?;
        let marks = MarkFile::new(self.disk.clone(), root);
        let mark = marks.load(&log, (files.precision_ms, self.max_log_offset()))?;
        let holds = self.max_offset(names::TIMER_TOPIC, QUEUE) > 0;
        if !is_sound && holds {
            tracing::error!(
                "the files of timerlog are not of the size that the settings say \
                 (mappedFileSizeTimerLog), or damaged: they are made anew from the timer's queue"
            );
        }
        let word = self.word(found, mark.as_ref());
        let mut timer = Timer {
            wheel_path,
            wheel_file,
            check,
            marks,
            log,
            wheel: Wheel::new(files.precision_ms),
            progress: word.progress,
            own: word.own,
            is_rebuilt: false,
            counts: TimerCounts::new(),
            is_changed: false,
            pending: 0,
            last: (unit::NONE, 0),
            marking: Marking { is_due: true, ..Marking::default() },
        };
        // It may come from a broker with another precision, and from a clock that was ahead.
        let delivered_to = timer.slot_of(word.progress.read_ms);
        timer.progress.read_ms = timer.slot_of(word.progress.read_ms.min(now_ms));
        // Without a note of the slots those come back that were delivered before a clock was set
        // back.
        let is_noted = mark.is_some() || timer.own.latest_ms <= delivered_to;
        timer.own.latest_ms = timer.own.latest_ms.max(delivered_to);
        let ends = timer.read(mark, delivered_to, self.max_log_offset(), watch)?;
        let agrees = timer.find_queue_offset(self, word, &ends);
        let is_new = matches!(found, Found::Nothing) && !holds;
        let is_whole = word.is_ours && word.own.clean && delivered_to == word.progress.read_ms;
        let is_exact = is_whole && is_noted;
        if !((is_exact || is_new) && is_sound && agrees) {
            let newest_ms = self.newest_store_time().max(timer.own.latest_ms);
            timer.own.unsure_to_ms = timer.own.unsure_to_ms.max(newest_ms);
        }
        timer.is_rebuilt = !agrees;
        if !agrees && timer.progress.queue_offset == self.min_offset(names::TIMER_TOPIC, QUEUE) {
            // All that is put again would be there twice.
            timer.clear(self)?;
        } else {
            timer.write_whole_wheel()?;
        }
        if word.own.clean || delivered_to > timer.progress.read_ms {
            timer.begin()?;
        }
        Ok(timer)
    }

    fn word(&self, found: Found, mark: Option<&Mark>) -> Word {
        let (progress, own, is_ours) = match found {
            Found::Ours(progress, own) => (progress, own, true),
            Found::Javas(progress, own) => {
                // Whatever was delivered was stored by then; a flipped bit must not put off the
                // clock for messages that are overdue.
                let read_ms = progress.read_ms.min(self.newest_store_time().max(0));
                (TimerProgress { read_ms, ..progress }, own, false)
            }
            Found::Damaged => {
                tracing::error!(
                    "config/timercheck is damaged: what the timer delivered is looked up"
                );
                (TimerProgress::default(), Own::default(), false)
            }
            Found::Nothing => (TimerProgress::default(), Own::default(), false),
        };
        let is_there = matches!(found, Found::Ours(..) | Found::Javas(..));
        let noted_ms = mark.filter(|_| !is_there).map_or(progress.read_ms, |mark| mark.read_ms);
        let progress = TimerProgress { read_ms: noted_ms, ..progress };
        Word { progress, own, is_ours }
    }
}

impl Timer {
    /// Takes what was noted, and reads the log from there on into the wheel, up to the first entry
    /// that is none, or whose message the commit log, which ends at `log_end`, does not have.
    /// Slots before `delivered_to` are empty. Returns where the last entries stand.
    fn read(
        &mut self,
        mark: Option<Mark>,
        delivered_to: i64,
        log_end: i64,
        watch: &dyn Fn(Progress),
    ) -> Result<VecDeque<i64>, Error> {
        let mark = mark.unwrap_or_default();
        let from = mark.log_to;
        let bytes = |to: i64| (to - from).max(0).unsigned_abs();
        let step = Step::begin(watch, "reading the timer's log", bytes(self.progress.log_to));
        (self.counts, self.last) = (mark.counts, mark.last);
        if from == 0 {
            self.last = (unit::NONE, 0);
        }
        for (slot_ms, slot) in mark.slots {
            self.wheel.set(slot_ms, slot);
            self.pending += i64::from(slot.entries);
        }
        let Self { log, wheel, counts, last, pending, .. } = self;
        let mut ends = VecDeque::from([last.0]);
        log.walk(from, |place, unit, prev| {
            if unit.log_offset >= log_end {
                return None;
            }
            *last = (place, unit.log_offset);
            step.reach(bytes(place));
            if ends.len() == ENDS {
                ends.pop_front();
            }
            ends.push_back(place);
            let slot_ms = wheel.slot_of(unit.slot_ms);
            if slot_ms < delivered_to {
                return Some(prev);
            }
            let right = wheel.last(slot_ms).unwrap_or(unit::NONE);
            wheel.put(slot_ms, place, unit.deletes);
            count(counts, unit, 1);
            *pending += 1;
            Some(right)
        })?;
        while let Some(slot_ms) = self.first().filter(|slot_ms| *slot_ms < delivered_to) {
            let mut slot = self.slot(slot_ms)?.unwrap_or_default();
            slot.slot_ms = slot_ms;
            self.done(&slot);
        }
        Ok(ends)
    }

    /// Finds where in the queue to go on: behind the last entry's message, or where that is lost
    /// behind the last one of `ends` whose message is there. Says whether the queue and the files
    /// agree.
    fn find_queue_offset(&mut self, store: &Store, word: Word, ends: &VecDeque<i64>) -> bool {
        let topic = names::TIMER_TOPIC;
        let (min, max) = (store.min_offset(topic, QUEUE), store.max_offset(topic, QUEUE));
        let is_whole = self.log.end() >= word.progress.log_to;
        let noted = word.progress.queue_offset;
        let behind_it = |place: &i64| {
            let unit = self.log.unit(*place).ok().flatten();
            unit.map(|unit| behind(store, &unit).unwrap_or(None))
        };
        let last = ends.back().and_then(behind_it);
        let mut before = ends.iter().rev().skip(1);
        let behind = match last {
            Some(None) if !word.own.clean => Some(before.find_map(|it| behind_it(it).flatten())),
            last => last,
        };
        let (offset, agree) = match behind {
            // Messages that cannot be put have no entry.
            Some(Some(behind)) if is_whole && word.is_ours && (behind..=max).contains(&noted) => {
                (noted, true)
            }
            Some(Some(behind)) => (behind, is_whole),
            // It was deleted since.
            Some(None) if is_whole && word.own.clean && (min..=max).contains(&noted) => {
                (noted, true)
            }
            Some(None) => (min, false),
            None if is_whole && word.is_ours && (min..=max).contains(&noted) => (noted, true),
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
}

fn open_wheel(disk: &Arc<dyn Disk>, path: PathBuf) -> Result<(PathBuf, Arc<dyn File>), Error> {
    let open = || disk.open(&path, wheel::FILE_BYTES, Allocation::Sparse);
    let is_there = disk.open_existing(&path, wheel::FILE_BYTES, Allocation::Sparse);
    if let Ok(Some(file)) = is_there {
        return Ok((path, file));
    }
    let file = match open() {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            make_way(&**disk, &path, true)?;
            open()
        }
        file => file,
    };
    let file = file.map_err(Error::io("open", &path))?;
    Ok((path, file))
}

/// Makes way for a file of the timer: one of another size goes, anything else is kept.
pub(super) fn make_way(disk: &dyn Disk, path: &Path, is_file: bool) -> Result<(), Error> {
    if !is_file {
        return move_aside(disk, path, "it is made anew from the timer's log and queue");
    }
    tracing::error!(
        path = %path.display(),
        "is not of its size: it is made anew from the timer's log and queue"
    );
    disk.remove(path).map_err(Error::io("remove", path))
}

/// The place in the queue behind an entry's message.
pub(super) fn behind(store: &Store, unit: &TimerUnit) -> Result<Option<i64>, NotNow> {
    let topic = names::TIMER_TOPIC;
    let Some(stored) = store.message_now(unit.log_offset, Wait::ForDisk)? else { return Ok(None) };
    let Ok(Entry::Message(record)) = record::decode(&stored, false) else { return Ok(None) };
    let at = Position { topic, queue_id: QUEUE, offset: record.queue_offset };
    let is_there = store.message_in(at)?.is_some_and(|(found, _)| found == stored);
    Ok(is_there.then_some(at.offset + 1))
}
