//! A start: what the files say of the timer, and where they are not to be believed. What was noted
//! last is taken, and the log is read from there on; without that from its beginning.

use super::check::{CheckFile, Found, LOOKED_UP, Own};
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

/// What is done where the wheel's file is not what was written.
const WRITTEN_ANEW: &str = "it is written anew from the timer's log";
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
        let is_there = log.has_files() || matches!(found, Found::Ours(..));
        let (wheel_path, wheel_file, is_as_it_was) =
            open_wheel(&self.disk, root.join("timerwheel"), is_there)?;
        let marks = MarkFile::new(self.disk.clone(), root);
        let stopped = matches!(found, Found::Ours(_, own) if own.clean);
        let shape = (files.precision_ms, self.max_log_offset());
        let mark = marks.load(&log, shape, stopped)?;
        let holds = self.max_offset(names::TIMER_TOPIC, QUEUE) > 0;
        let noted_slots = mark.as_ref().map(|mark| mark.slots.len());
        if holds {
            tell_lost(root, is_sound, matches!(found, Found::Nothing) && log.has_files());
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
        if agrees && word.is_ours && is_as_it_was {
            timer.look_at_wheel(stopped && noted_slots.is_some(), noted_slots > Some(0));
        }
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
            Found::Damaged | Found::Nothing => (TimerProgress::default(), Own::default(), false),
        };
        let is_there = matches!(found, Found::Ours(..) | Found::Javas(..));
        let noted_ms = mark.filter(|_| !is_there).map_or(progress.read_ms, |mark| mark.read_ms);
        let progress = TimerProgress { read_ms: noted_ms, ..progress };
        Word { progress, own, is_ours }
    }
}

impl Timer {
    /// Says when the wheel's file is not what a clean stop wrote; after another stop, when it has
    /// slots out of their places, or none though something waited in noted ones, which are noted
    /// after it. Only Java reads it, and each start writes it anew.
    fn look_at_wheel(&self, stopped: bool, has_noted: bool) {
        let why = match self.wheel.compare(&*self.wheel_file, self.own.latest_ms) {
            Ok(found) if stopped && found.differing > 0 => {
                format!("{} slots are not what was written", found.differing)
            }
            Ok(found) if found.out_of_place > 0 => {
                format!("{} slots are out of their places", found.out_of_place)
            }
            Ok(found) if found.is_empty && has_noted => "it holds nothing".to_owned(),
            Ok(_) => return,
            Err(error) => format!("it cannot be read: {error}"),
        };
        tell_damaged(&self.wheel_path, &why, WRITTEN_ANEW);
    }

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

/// Opens the wheel's file, and says whether it is the one that was there; where there is none
/// though there was one, `is_due`, the log is told.
fn open_wheel(
    disk: &Arc<dyn Disk>,
    path: PathBuf,
    is_due: bool,
) -> Result<(PathBuf, Arc<dyn File>, bool), Error> {
    let open = || disk.open(&path, wheel::FILE_BYTES, Allocation::Scattered);
    let is_there = disk.open_existing(&path, wheel::FILE_BYTES, Allocation::Scattered);
    if let Ok(Some(file)) = is_there {
        return Ok((path, file, true));
    }
    let file = match open() {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            make_way(&**disk, &path, true, WRITTEN_ANEW)?;
            open()
        }
        Ok(file) => {
            if is_due {
                tell_damaged(&path, "it is missing", WRITTEN_ANEW);
            }
            Ok(file)
        }
        file => file,
    };
    let file = file.map_err(Error::io("open", &path))?;
    Ok((path, file, false))
}

/// Says of a timer that holds messages what it lacks: a log that is of use, and `timercheck`.
fn tell_lost(root: &Path, is_sound: bool, lacks_check: bool) {
    if lacks_check {
        tell_damaged(&root.join("config/timercheck"), "it is missing, or zeros", LOOKED_UP);
    }
    if !is_sound {
        tracing::error!(
            "the files of timerlog are not of the size that the settings say \
             (mappedFileSizeTimerLog), or damaged: they are made anew from the timer's queue"
        );
    }
}

/// Makes way for a file of the timer: one of another size goes, anything else is kept.
pub(super) fn make_way(
    disk: &dyn Disk,
    path: &Path,
    is_file: bool,
    what: &str,
) -> Result<(), Error> {
    if !is_file {
        return move_aside(disk, path, what);
    }
    tell_damaged(path, "it is not of its size", what);
    disk.remove(path).map_err(Error::io("remove", path))
}

/// Says that a file of the timer is damaged or gone, and `what` is done about it.
pub(super) fn tell_damaged(path: &Path, why: &str, what: &str) {
    tracing::error!(
        path = %path.display(),
        why,
        "a file of the timer is damaged or gone: {what}. No message is lost by that. Unless the \
         machine lost power, check the disk (dmesg, SMART)"
    );
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
