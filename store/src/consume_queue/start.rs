//! A queue at start-up: where it ends, whether its files can be believed, and what the log has to
//! say to that. A queue whose files are damaged ends in memory before the damage, and recovery puts
//! the units behind it anew; its files are only written over, so that a start that is killed finds
//! the same damage again or finds it mended.

use super::{BATCH_UNIT_LEN, PAGE_BYTES_MAX, PAGE_UNITS, Queue, Unit, WAITING_BYTES_MAX};
use crate::Error;
use crate::commit_log::is_lasting;
use crate::segments::{Cutting, Segment, Segments};
use message::record;
use parking_lot::MutexGuard;
use std::sync::atomic::Ordering;

/// Units that a walk reads at once: no more than a few pages.
const SCAN_UNITS: i64 = 3_000;
/// Units that recovery compares with the log are read so many at once.
const COMPARED_AT_ONCE: usize = 50;

/// What became of a record's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    /// The queue has it, by now or from the start.
    Known,
    /// The queue had another unit in its place that leads nowhere; it was written over.
    Mended,
    /// The unit led to an entry of the extension that may have been written in part; it has the
    /// tags code itself now.
    Unextended,
    /// The queue lacks units before it, whose records begin at this log offset or behind it. It was
    /// not given the record.
    LacksOlder { from: i64 },
}

/// What only recovery needs to know.
#[derive(Default)]
pub(super) struct Start {
    /// The files hold bytes behind the queue's end in memory.
    is_damaged: bool,
    /// A copy of some units of the files: the queue offset of the first one, and their bytes.
    copy: (i64, Vec<u8>),
    /// The queue ended here or behind it once.
    noted_end: i64,
    /// Units that lead before this log offset have whole entries in the extension.
    sure_to: i64,
    /// The log offset at which the log began when the queue's first offset was noted.
    first_noted_at: Option<i64>,
}

/// What is known when a queue is opened.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    /// The last stop was clean.
    pub(crate) clean: bool,
    /// Units that lead before this log offset were durable.
    pub(crate) durable: Option<i64>,
    /// Where the log begins.
    pub(crate) log_min: i64,
}

/// Where a queue began and ended at the last clean stop.
#[derive(Clone, Copy)]
pub(crate) struct Noted {
    /// The first offset.
    pub(crate) min: i64,
    /// The offset behind the last message.
    pub(crate) end: i64,
    /// Where the log began then.
    pub(crate) log_min: i64,
}

/// Where a walk over units ended.
struct Walked {
    /// The queue offset behind the last unit that can be believed.
    end: i64,
    /// There is more behind it, or units contradict each other.
    is_damaged: bool,
}

impl Queue {
    /// Opens the files and finds the end: after a clean stop in the last file alone, else by
    /// walking from the third-last file on as Java does, or from an earlier one whose first unit
    /// was durable. When units were lost, returns the log offset from which
    /// on the log may still have them. `before_mending` is called before a file is changed.
    pub(crate) fn load(
        &self,
        Opening { clean, durable, log_min }: Opening,
        before_mending: &dyn Fn() -> Result<(), Error>,
    ) -> Result<Option<i64>, Error> {
        let has_expired = |segment: &Segment| {
            let last = self.last_unit_of(segment);
            last.is_some_and(|last| last.log_offset < log_min)
        };
        let mended_from = self.segments.load_derived(&has_expired, before_mending)?;
        let clean = clean && mended_from.is_none();
        let segments = self.segments.all();
        let Some(last) = segments.last() else { return Ok(mended_from.map(|_| 0)) };
        let first = segments[0].start / self.unit;
        let doubted = self.doubted_from(&segments, durable);
        let walk_from = mended_from.map_or(doubted, |from| from.min(doubted));
        let walk_from = walk_from.max(segments[0].start);
        let walked = if clean {
            Walked { end: self.find_end_in(&segments)?, is_damaged: false }
        } else {
            self.walk(walk_from, last.end(), true)?
        };
        let is_damaged = walked.is_damaged || mended_from.is_some();
        let next = walked.end.max(first);
        let log_end = self.log_end_at(first, next);
        *self.tail.lock() = self.tail_at(next, log_end);
        self.min.store(first, Ordering::Release);
        self.max.store(next, Ordering::Release);
        self.synced.store(if clean { next * self.unit } else { walk_from }, Ordering::Release);
        let mut start = self.start.lock();
        start.is_damaged = is_damaged;
        start.sure_to = if clean { i64::MAX } else { durable.unwrap_or(0) };
        drop(start);
        self.follow_units(0);
        Ok(is_damaged.then_some(log_end))
    }

    /// The last unit of a file that is not blank; none where one before it is damaged.
    fn last_unit_of(&self, segment: &Segment) -> Option<Unit> {
        let unit = self.unit as usize;
        let mut units = [0; PAGE_BYTES_MAX];
        let units = &mut units[..(segment.file.len() as usize).min(PAGE_UNITS * unit)];
        let at = segment.file.len() - units.len() as u64;
        segment.file.read_at(at, units).ok()?;
        let mut units = units.chunks_exact(unit).rev().map(|bytes| self.decode(bytes));
        units.find(|unit| unit.is_none_or(|unit| !unit.is_blank()))?
    }

    /// The byte from which on units may not have been durable: where the third-last file begins, or
    /// an earlier one, until the first unit of one was durable. Files may be small, and appends
    /// fast.
    fn doubted_from(&self, segments: &[Segment], durable: Option<i64>) -> i64 {
        let third_last = segments.len().saturating_sub(3);
        let was_durable = |segment: &Segment| {
            let first = self.raw_unit(segment.start / self.unit).filter(|unit| !unit.is_blank());
            durable.is_none_or(|durable| first.is_some_and(|unit| unit.log_end() <= durable))
        };
        let doubted = (1..=third_last).rev().find(|at| was_durable(&segments[*at]));
        segments[doubted.unwrap_or(0)].start
    }

    /// Opens the file of a queue that has one alone, after a clean stop, and says whether it ends
    /// where the queue is noted to end; if not, nothing is known. Of tens of thousands of queues
    /// nearly all are such ones, and this asks the system for little. What lies before the queue's
    /// beginning has expired, where the log begins as it did.
    pub(crate) fn load_noted(&self, noted: Noted, opening: Opening) -> Result<bool, Error> {
        let Noted { min, end, log_min } = noted;
        if self.is_batch() || opening.log_min != log_min {
            return Ok(false);
        }
        let start = self.segments.start_for(min * self.unit);
        let has_one = min < end && self.segments.start_for(end * self.unit) == start;
        let Some(segment) = has_one.then(|| self.segments.load_only(start)).transpose()?.flatten()
        else {
            return Ok(false);
        };
        // The last unit, and the first place that has none.
        let mut units = [0; 2 * BATCH_UNIT_LEN];
        let units = &mut units[..2 * self.unit as usize];
        if segment.file.read_at(((end - 1) * self.unit - start) as u64, units).is_err() {
            return Ok(false);
        }
        let (last, behind) = units.split_at(self.unit as usize);
        let last = self.decode(last).filter(|last| !last.is_blank());
        let Some(last) = last.filter(|_| behind.iter().all(|byte| *byte == 0)) else {
            return Ok(false);
        };
        *self.tail.lock() = self.tail_at(end, last.log_end());
        self.min.store(min, Ordering::Release);
        self.max.store(end, Ordering::Release);
        self.synced.store(end * self.unit, Ordering::Release);
        let mut start = self.start.lock();
        (start.first_noted_at, start.sure_to) = (Some(log_min), i64::MAX);
        drop(start);
        Ok(true)
    }

    /// Makes the queue's first files anew, which are missing, and lets it end in memory where it
    /// begins: at `queue_offset`. Places of batches are found out anew, too.
    pub(crate) fn begin_at(&self, queue_offset: i64) -> Result<(), Error> {
        if self.is_batch() {
            return self.begin_anew();
        }
        self.segments.make_before(queue_offset * self.unit)?;
        *self.tail.lock() = self.tail_at(queue_offset, 0);
        self.min.store(queue_offset, Ordering::Release);
        self.max.store(queue_offset, Ordering::Release);
        self.synced.store(queue_offset * self.unit, Ordering::Release);
        self.forget_start();
        Ok(())
    }

    /// Notes that the queue ended at `end` once: offsets before it were given to messages.
    pub(crate) fn note_end(&self, end: i64) {
        self.start.lock().noted_end = end;
    }

    pub(super) fn noted_end(&self) -> i64 {
        self.start.lock().noted_end
    }

    /// Forgets what recovery knew, but for the noted end: the queue is made anew.
    pub(super) fn forget_start(&self) {
        let noted_end = self.noted_end();
        *self.start.lock() = Start { is_damaged: true, noted_end, ..Start::default() };
    }

    /// Whether the files hold more than the queue has in memory.
    pub(crate) fn is_damaged(&self) -> bool {
        self.start.lock().is_damaged
    }

    /// The log offset behind the last record that ends at or before `to` and has a unit.
    pub(crate) fn log_end_before(&self, to: i64) -> i64 {
        match self.log_end() {
            end if end <= to => end,
            _ => self.last_unit_before(to).map_or(0, |unit| unit.log_end()),
        }
    }

    /// The last unit whose record ends at or before log offset `to`.
    pub(crate) fn last_unit_before(&self, to: i64) -> Option<Unit> {
        if self.log_end() <= to {
            return self.last_unit(&|_| false).map(|(_, unit)| unit);
        }
        let is_before = |unit: &Unit| (!unit.is_blank()).then_some(unit.log_end() <= to);
        let first = self.first_place();
        let place = self.partition(first, self.max(), is_before) - 1;
        self.raw_unit(place).filter(|unit| place >= first && !unit.is_blank())
    }

    /// Lets the queue end, in memory, before its last unit, which is at `place` and cannot be
    /// right, and the places of lost messages behind it.
    pub(crate) fn drop_from(&self, place: i64) {
        let first = self.first_place();
        let next = place.max(first);
        *self.tail.lock() = self.tail_at(next, self.log_end_at(first, next));
        self.max.store(next, Ordering::Release);
        self.synced.fetch_min(next * self.unit, Ordering::AcqRel);
        self.start.lock().is_damaged = true;
        self.follow_units(0);
    }

    /// The end, in the last file that is not empty: power loss may leave files without their units.
    fn find_end_in(&self, segments: &[Segment]) -> Result<i64, Error> {
        for segment in segments.iter().rev() {
            let start = segment.start / self.unit;
            let end = self.find_end(start, segment.end() / self.unit)?;
            if end > start {
                return Ok(end);
            }
        }
        Ok(segments.first().map_or(0, |first| first.start / self.unit))
    }

    /// The first place in a file, from `from` to `to`, that holds no unit. Most files end in their
    /// first page.
    fn find_end(&self, from: i64, to: i64) -> Result<i64, Error> {
        let page_end = from + PAGE_UNITS as i64;
        let near = self.walk(from * self.unit, to.min(page_end) * self.unit, false)?.end;
        let (mut low, mut high) = (near, if near < page_end { near } else { to });
        while low < high {
            let middle = low + (high - low) / 2;
            if self.raw_unit(middle).is_some() { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// Reads a unit of a file, whatever the tail says.
    pub(crate) fn raw_unit(&self, offset: i64) -> Option<Unit> {
        let mut bytes = [0; BATCH_UNIT_LEN];
        let bytes = &mut bytes[..self.unit as usize];
        let segment = self.segments.find(offset * self.unit)?;
        segment.file.read_at((offset * self.unit - segment.start) as u64, bytes).ok()?;
        self.decode(bytes)
    }

    /// The queue offset behind the last unit of an unbroken row from byte `from` on, each leading
    /// behind the one before it; `thorough` looks whether there is anything behind.
    fn walk(&self, from: i64, to: i64, thorough: bool) -> Result<Walked, Error> {
        let mut chunk = Vec::new();
        let (mut at, mut log_end, mut last) = (from, 0, from);
        // Little at first: most queues end in the first page of their file.
        let mut read_bytes = PAGE_UNITS as i64 * self.unit;
        while at < to {
            let Some(segment) = self.segments.find(at) else { break };
            chunk.resize(read_bytes.min(segment.end().min(to) - at) as usize, 0);
            read_bytes = (read_bytes * 2).min(SCAN_UNITS * self.unit);
            if let Err(error) = segment.file.read_at((at - segment.start) as u64, &mut chunk) {
                let path = self.segments.path(segment.start);
                tracing::error!(path = %path.display(), %error, "a queue file cannot be read");
                return Ok(Walked { end: at / self.unit, is_damaged: true });
            }
            for bytes in chunk.chunks_exact(self.unit as usize) {
                let Some(unit) = self.decode(bytes) else {
                    let is_damaged = thorough && !self.is_empty_from(at)?;
                    return Ok(Walked { end: at / self.unit, is_damaged });
                };
                if thorough && !unit.is_blank() && unit.log_offset < log_end {
                    // One of the two is wrong; between them are places of lost messages.
                    return Ok(Walked { end: last / self.unit, is_damaged: true });
                }
                last = if unit.is_blank() { last } else { at };
                log_end = log_end.max(unit.log_end());
                at += self.unit;
            }
        }
        Ok(Walked { end: at / self.unit, is_damaged: false })
    }

    /// Whether a record at `log_offset` may have this queue offset: it is given to no other one. A
    /// unit of which `is_right` says that it leads to no record of its place has it from damage.
    pub(crate) fn could_hold(
        &self,
        queue_offset: i64,
        log_offset: i64,
        is_right: &dyn Fn(Option<i64>, &Unit) -> bool,
    ) -> bool {
        if self.is_batch() {
            return self.could_hold_batch(log_offset, is_right);
        }
        let is_free = |unit: Unit| {
            unit.is_blank() || unit.log_offset == log_offset || !is_right(Some(queue_offset), &unit)
        };
        queue_offset >= self.tail.lock().next() || self.any_unit(queue_offset).is_none_or(is_free)
    }

    /// Takes the unit of a record that recovery found in the log, on a scan that began at log
    /// offset `scan_start`. Places that no record claims are filled with blank units. `is_right`
    /// says whether a unit leads to a record of this queue, and of that queue offset.
    ///
    /// No checksum covers the queue offset of a record. One for which the log before it has no room
    /// is damaged: the record is put at the queue's end, or passed over when the queue has no end.
    pub(crate) fn restore(
        &self,
        queue_offset: i64,
        unit: Unit,
        scan_start: i64,
        is_right: &dyn Fn(Option<i64>, &Unit) -> bool,
    ) -> Result<Restored, Error> {
        let (next, mut log_end) = {
            let tail = self.tail.lock();
            (tail.next(), tail.log_end())
        };
        if queue_offset < 0 {
            let dir = self.segments.dir().display();
            tracing::error!(%dir, queue_offset, unit.log_offset, "an impossible queue offset");
            return Ok(Restored::Known);
        }
        if queue_offset < next {
            return self.compare(queue_offset, unit, is_right);
        }
        if unit.log_end() <= log_end {
            let Some((place, last)) = self.last_unit(&|_| false) else {
                return Ok(Restored::Known);
            };
            log_end = match is_right(None, &last) {
                // Java puts a record whose place is not the next one at the end.
                true if unit.log_end() <= last.log_end() => return Ok(Restored::Known),
                // It was mended, and blank ones stand behind it.
                true => last.log_end(),
                // It leads nowhere.
                false => self.log_end_at(0, place),
            };
            self.tail.lock().set_log_end(log_end);
            if log_end < scan_start {
                return Ok(Restored::LacksOlder { from: log_end });
            }
        }
        let is_new = self.is_new();
        let lost = queue_offset - next;
        let unknown = queue_offset - next.max(self.start.lock().noted_end);
        let is_impossible = unknown > (unit.log_offset - log_end) / record::FIXED_LEN as i64;
        if lost > 0 && log_end < scan_start && !(is_impossible && is_new) {
            return Ok(Restored::LacksOlder { from: log_end });
        }
        if is_impossible {
            tracing::error!(
                dir = %self.segments.dir().display(),
                queue_offset,
                log_offset = unit.log_offset,
                next,
                passed_over = is_new,
                "a record with an impossible queue offset is put at the queue's end or passed over"
            );
            if is_new {
                return Ok(Restored::Known);
            }
        }
        self.extend(if is_impossible { next } else { queue_offset }, is_new)?;
        self.tail.lock().push(unit);
        self.publish(self.commit());
        match self.write_many() {
            // The units wait, as those of an append do.
            Err(Error::Full { .. }) => {}
            written => written?,
        }
        Ok(Restored::Known)
    }

    /// Fills the places up to `queue_offset` with blank units. A queue that has no file yet begins
    /// there.
    fn extend(&self, queue_offset: i64, is_new: bool) -> Result<(), Error> {
        let mut tail = self.tail.lock();
        if is_new {
            // The queue begins in the middle of a file.
            let start = self.segments.start_for(queue_offset * self.unit) / self.unit;
            *tail = self.tail_at(start, 0);
            self.min.store(queue_offset, Ordering::Release);
        }
        while tail.next() < queue_offset {
            tail.push(Unit::BLANK);
            if tail.waiting_bytes() >= WAITING_BYTES_MAX {
                tail.commit();
                MutexGuard::unlocked(&mut tail, || self.write())?;
            }
        }
        Ok(())
    }

    /// Makes the queue end at `end` when it ends before: its last messages are gone, and their
    /// places must not be given again. Says whether it did.
    pub(crate) fn extend_to(&self, end: i64) -> Result<bool, Error> {
        if self.is_batch() {
            return Ok(self.keep_offsets_to(end));
        }
        let is_short = self.tail.lock().next() < end;
        if is_short {
            self.extend(end, self.is_new())?;
            self.publish(self.commit());
            self.write()?;
        }
        Ok(is_short)
    }

    /// Makes the places from `from` on those of lost messages, one write over the other: at no
    /// moment are they free.
    pub(crate) fn blank_from(&self, from: i64) -> Result<(), Error> {
        self.write()?;
        let removed = self.removed.lock();
        let mut tail = self.tail.lock();
        let (mut at, to) = (from * self.unit, tail.written() * self.unit);
        self.synced.fetch_min(at, Ordering::AcqRel);
        while let Some(segment) = self.segments.find(at).filter(|_| at < to && !*removed) {
            let bytes = (SCAN_UNITS * self.unit).min(to.min(segment.end()) - at);
            let blanks = Unit::BLANK.encode().repeat((bytes / self.unit) as usize);
            let written = segment.file.write_at((at - segment.start) as u64, &blanks);
            written.map_err(Error::io("write", &self.segments.path(segment.start)))?;
            at += bytes;
        }
        tail.set_log_end(self.log_end_at(self.first_place(), from));
        self.start.lock().copy = Default::default();
        Ok(())
    }

    /// Makes the queue begin at `min` when it begins behind it: nothing expired since it began
    /// there, so the units before its beginning lead astray.
    pub(crate) fn begin_no_later(&self, min: i64) {
        if self.is_batch() {
            return self.begin_batches_no_later(min);
        }
        let first = self.segments.first().map_or(i64::MAX, |segment| segment.start / self.unit);
        self.min.fetch_min(min.max(first), Ordering::AcqRel);
    }

    /// Compares a record's unit with the one in its place, and writes it over that when that leads
    /// nowhere.
    fn compare(
        &self,
        queue_offset: i64,
        unit: Unit,
        is_right: &dyn Fn(Option<i64>, &Unit) -> bool,
    ) -> Result<Restored, Error> {
        let found = self.copied(queue_offset);
        if found.is_some_and(|found| found.is_extended() && found.says_same(&unit)) {
            if unit.log_end() <= self.start.lock().sure_to {
                return Ok(Restored::Known);
            }
            // Its bits may be lost, and nothing tells that.
            let mended = self.mend(queue_offset, unit)?;
            return Ok(if mended { Restored::Unextended } else { Restored::Known });
        }
        // A unit that leads to the record and says other tags was written in part.
        let is_same = |found: &Unit| (found.log_offset, found.size) == (unit.log_offset, unit.size);
        if found.is_some_and(|found| {
            found == unit || !is_same(&found) && is_right(Some(queue_offset), &found)
        }) {
            return Ok(Restored::Known);
        }
        if queue_offset >= self.tail.lock().written() {
            // A place that was kept just now for a record that says a wrong one.
            match self.write() {
                Err(Error::Full { .. }) => {}
                written => written?,
            }
        }
        if self.mend(queue_offset, unit)? { Ok(Restored::Mended) } else { Ok(Restored::Known) }
    }

    /// Writes a unit over another in the files. Says whether its place is there.
    pub(crate) fn mend(&self, place: i64, unit: Unit) -> Result<bool, Error> {
        self.mend_bytes(place, &unit.encode(), unit.log_end())
    }

    /// As [`Self::mend`], with the unit as it lies in the file and where its record ends.
    pub(super) fn mend_bytes(&self, place: i64, bytes: &[u8], log_end: i64) -> Result<bool, Error> {
        let removed = self.removed.lock();
        let mut tail = self.tail.lock();
        let at = place * self.unit;
        let segment = self.segments.find(at).filter(|_| place < tail.written());
        let Some(segment) = segment.filter(|_| !*removed) else { return Ok(false) };
        let written = segment.file.write_at((at - segment.start) as u64, bytes);
        written.map_err(Error::io("write", &self.segments.path(segment.start)))?;
        if place + 1 == tail.next() {
            tail.set_log_end(log_end);
        }
        drop(tail);
        self.synced.fetch_min(at, Ordering::AcqRel);
        self.min.fetch_min(place, Ordering::AcqRel);
        let mut start = self.start.lock();
        start.first_noted_at = None;
        let (first, copied) = &mut start.copy;
        if let Ok(from) = usize::try_from((place - *first) * self.unit)
            && let Some(there) = copied.get_mut(from..from.saturating_add(bytes.len()))
        {
            there.copy_from_slice(bytes);
        }
        Ok(true)
    }

    /// A unit, read with those behind it: recovery asks for one after the other.
    fn copied(&self, queue_offset: i64) -> Option<Unit> {
        let mut start = self.start.lock();
        let (first, bytes) = &mut start.copy;
        let at = (queue_offset - *first) * self.unit;
        let has_it = |bytes: &[u8]| at >= 0 && at + self.unit <= bytes.len() as i64;
        if !has_it(bytes) {
            bytes.resize(COMPARED_AT_ONCE * self.unit as usize, 0);
            let count = self.read_any(queue_offset, bytes).ok().flatten().unwrap_or(0);
            bytes.truncate(count * self.unit as usize);
            *first = queue_offset;
        }
        let at = ((queue_offset - *first) * self.unit) as usize;
        self.decode(bytes.get(at..at + self.unit as usize)?)
    }

    /// Begins to end recovery: what leads behind log offset `durable` may be in memory alone. Says
    /// whether the files may hold more than the queue, which [`crate::queues::Queues::cut`]
    /// takes from them.
    pub(crate) fn ends_before_files(&self, durable: i64, again: bool) -> bool {
        self.again_behind.store(durable, Ordering::Release);
        let next = self.tail.lock().next() * self.unit;
        let has_empty_files = self.segments.last().is_some_and(|last| last.start > next);
        self.is_damaged() || has_empty_files || again
    }

    /// Makes zeros of what the files hold behind the queue's end, durably.
    pub(crate) fn cut(&self, cutting: Cutting<'_>) -> Result<(), Error> {
        let to = self.write_to()?;
        self.segments.truncate(to, cutting)?;
        self.sync()
    }

    /// The files, to be cut with those of other queues.
    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Ends recovery, once the files end with the queue: it begins where the log does. Says whether
    /// it was looked where that is: then files may have expired.
    pub(crate) fn settle(&self, log_min: i64) -> bool {
        let start = std::mem::take(&mut *self.start.lock());
        let is_known = start.first_noted_at == Some(log_min);
        if !is_known {
            self.begin_in_log(log_min);
        }
        !is_known
    }

    /// The last unit before the queue's first one, with its place, and where the first one leads.
    pub(crate) fn unit_before_first(&self) -> Option<(i64, Unit, Option<i64>)> {
        let min = self.min();
        let place = Some(min - 1).filter(|place| *place >= self.first_place())?;
        let unit = self.any_unit(place).filter(|unit| !unit.is_blank())?;
        let next = if min < self.max() { self.any_unit(min) } else { None };
        Some((place, unit, next.filter(|next| !next.is_blank()).map(|next| next.log_offset)))
    }

    /// Writes the units that may be in memory alone once more, so that the next sync takes them to
    /// the medium.
    pub(super) fn write_again(&self) -> Result<(), Error> {
        let behind = self.again_behind.load(Ordering::Acquire);
        if behind == i64::MAX {
            return Ok(());
        }
        // No record tells of the places that the queue ends with.
        let first = self.first_behind(behind)?.or_else(|| self.first_blank_at_end());
        let Some(first) = first else {
            self.again_behind.store(i64::MAX, Ordering::Release);
            return Ok(());
        };
        let removed = self.removed.lock();
        let (mut at, to) = (first * self.unit, self.tail.lock().written() * self.unit);
        self.synced.fetch_min(at, Ordering::AcqRel);
        let mut bytes = Vec::new();
        while let Some(segment) = self.segments.find(at).filter(|_| at < to && !*removed) {
            bytes.resize((SCAN_UNITS * self.unit).min(to.min(segment.end()) - at) as usize, 0);
            let (place, path) = ((at - segment.start) as u64, self.segments.path(segment.start));
            match segment.file.read_at(place, &mut bytes) {
                // Nothing to write: whoever reads the units makes them anew from the log.
                Err(error) if is_lasting(&error) => {}
                read => {
                    read.map_err(Error::io("read", &path))?;
                    segment.file.write_at(place, &bytes).map_err(Error::io("write", &path))?;
                }
            }
            at += bytes.len() as i64;
        }
        self.again_behind.store(i64::MAX, Ordering::Release);
        Ok(())
    }

    /// Whether the queue ends with places of lost messages.
    pub(crate) fn ends_blank(&self) -> bool {
        let last = (self.max() - 1).max(self.first_place());
        last < self.max() && self.any_unit(last).is_some_and(|unit| unit.is_blank())
    }

    fn first_blank_at_end(&self) -> Option<i64> {
        let is_blank = |place: &i64| self.any_unit(*place).is_some_and(|unit| unit.is_blank());
        (self.first_place()..self.max()).rev().take_while(is_blank).last()
    }

    /// The first of the last units whose records do not end at or before `log_end`; none when the
    /// last one's does.
    pub(crate) fn first_behind(&self, log_end: i64) -> Result<Option<i64>, Error> {
        if self.log_end() <= log_end {
            return Ok(None);
        }
        self.write()?;
        let first = self.first_place();
        // From the end: among the units that stay a damaged one may lead anywhere.
        let (mut at, mut behind) = (self.max(), None);
        let mut units = [0; PAGE_BYTES_MAX];
        while at > first {
            // One read gives units of one file.
            let file = self.segments.start_for((at - 1) * self.unit) / self.unit;
            let from = first.max(at - PAGE_UNITS as i64).max(file);
            let count = self.read_any(from, &mut units[..((at - from) * self.unit) as usize])?;
            let Some(count) = count.filter(|count| *count > 0) else { break };
            for (index, bytes) in
                units.chunks_exact(self.unit as usize).take(count).enumerate().rev()
            {
                match self.decode(bytes) {
                    // The place of a lost message: it belongs to what is before it.
                    Some(unit) if unit.is_blank() => {}
                    Some(unit) if unit.log_end() <= log_end => return Ok(behind),
                    _ => behind = Some(from + index as i64),
                }
            }
            at = from;
        }
        Ok(behind)
    }

    /// The first place in the files.
    pub(crate) fn first_place(&self) -> i64 {
        self.segments.first().map_or(0, |segment| segment.start / self.unit)
    }

    /// Notes in `lost` the places, from the first one on that leads behind log offset `from`, whose
    /// units lead into what `is_lost` says.
    pub(crate) fn count_lost(
        &self,
        from: i64,
        is_lost: &dyn Fn(&Unit) -> bool,
        lost: &dyn Fn(i64, i64),
    ) {
        if self.log_end() <= from {
            return;
        }
        let max = self.max();
        let is_before = |unit: &Unit| (!unit.is_blank()).then_some(unit.log_end() <= from);
        let first = self.partition(self.min(), max, is_before);
        let mut since = None;
        for place in first..=max {
            let unit = if place < max { self.copied(place) } else { None };
            let is_lost = unit.is_some_and(|unit| !unit.is_blank() && is_lost(&unit));
            match (since, is_lost) {
                (None, true) => since = Some(place),
                (Some(from), false) => {
                    lost(from, place);
                    since = None;
                }
                _ => {}
            }
        }
    }

    /// The places whose units lead between two log offsets, from and to.
    pub(crate) fn places_between(&self, from: i64, to: i64) -> (i64, i64) {
        let (min, max) = (self.min(), self.max());
        let is_before = |unit: &Unit, to| (!unit.is_blank()).then_some(unit.log_offset < to);
        let first = self.partition(min, max, |unit| is_before(unit, from));
        let first = self.first_real(first, Unit::is_blank);
        (first, self.partition(first, max, |unit| is_before(unit, to)))
    }

    /// Whether the queue has no file and no unit yet.
    pub(crate) fn is_new(&self) -> bool {
        self.tail.lock().next() == 0 && self.segments.last().is_none()
    }

    /// Drops the last units as long as they are stale, which is asked with the place of each.
    /// Returns how many.
    pub(crate) fn drop_stale(
        &self,
        is_stale: &dyn Fn(i64, &Unit) -> bool,
        cutting: Cutting<'_>,
    ) -> Result<i64, Error> {
        if self.tail.lock().waiting_bytes() > 0 {
            // The last ones came from the log just now.
            return Ok(0);
        }
        let first = self.first_place();
        let (max, mut next) = (self.max(), self.max());
        while next > first {
            match self.raw_unit(next - 1) {
                Some(unit) if !unit.is_blank() && is_stale(next - 1, &unit) => next -= 1,
                _ => break,
            }
        }
        if next < max {
            self.end_at(next, cutting)?;
        }
        Ok(max - next)
    }

    /// Lets the queue end before the unit `next`.
    pub(crate) fn end_at(&self, next: i64, cutting: Cutting<'_>) -> Result<(), Error> {
        let first = self.first_place();
        let offset = self.offset_of(next);
        self.segments.truncate(next * self.unit, cutting)?;
        *self.tail.lock() = self.tail_at(next, self.log_end_at(first, next));
        self.max.store(next, Ordering::Release);
        self.min.fetch_min(next, Ordering::AcqRel);
        self.synced.fetch_min(next * self.unit, Ordering::AcqRel);
        self.start.lock().copy = Default::default();
        self.follow_units(offset);
        Ok(())
    }
}
