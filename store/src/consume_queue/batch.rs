//! Queues of inner batches (`queue.type=BatchCQ`, Java `BatchConsumeQueue`): a record holds many
//! messages, and a unit of 46 bytes says how many. Units stand one after another without blank
//! ones: queue offsets that no message has are told by the offsets of the units around them.
//! Whatever such a queue lacks is put anew from the log, in the log's order.

use super::{Queue, Restored, UNIT_LEN, Unit};
use crate::queue_tail::{Pushed, Tail};
use crate::reach::Wait;
use crate::segments::Cutting;
use crate::{Boundary, Error};
use message::batch::MESSAGE_MIN_LEN;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

/// The bytes of a unit.
pub(crate) const BATCH_UNIT_LEN: usize = 46;
/// In place of an offset within a compacted log, which nobody writes.
const NOT_COMPACTED: i32 = -1;
/// The fewest bytes that a message takes of the log.
const MESSAGE_MIN: i64 = MESSAGE_MIN_LEN as i64;

/// How the files of a queue look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) unit_len: usize,
    pub(crate) file_bytes: u64,
}

impl Shape {
    /// A unit for each message.
    pub(crate) fn single(file_bytes: u64) -> Self {
        Self { unit_len: UNIT_LEN, file_bytes }
    }

    /// A unit for each record.
    pub(crate) fn batch(file_bytes: u64) -> Self {
        Self { unit_len: BATCH_UNIT_LEN, file_bytes }
    }

    pub(crate) fn is_batch(self) -> bool {
        self.unit_len == BATCH_UNIT_LEN
    }
}

/// One entry of a queue of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchUnit {
    /// As in other queues; a file has it in the same bytes.
    pub(crate) unit: Unit,
    /// When the record was stored, ms since the epoch.
    pub(crate) store_timestamp: i64,
    /// The queue offset of the record's first message.
    pub(crate) base: i64,
    /// How many messages the record holds.
    pub(crate) count: i16,
}

impl BatchUnit {
    /// The queue offset behind the record's last message.
    pub(crate) fn end(&self) -> i64 {
        self.base.saturating_add(self.count.into())
    }

    /// As it lies in the file.
    pub(crate) fn encode(&self) -> [u8; BATCH_UNIT_LEN] {
        let mut out = [0; BATCH_UNIT_LEN];
        out[..UNIT_LEN].copy_from_slice(&self.unit.encode());
        out[20..28].copy_from_slice(&self.store_timestamp.to_be_bytes());
        out[28..36].copy_from_slice(&self.base.to_be_bytes());
        out[36..38].copy_from_slice(&self.count.to_be_bytes());
        out[38..42].copy_from_slice(&NOT_COMPACTED.to_be_bytes());
        out
    }

    /// Reads a unit; `None` behind the last one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let unit = Unit::decode(bytes.first_chunk()?)?;
        let number = |at: usize| bytes.get(at..)?.first_chunk().copied().map(i64::from_be_bytes);
        let (store_timestamp, base) = (number(20)?, number(28)?);
        let count = bytes.get(36..)?.first_chunk().copied().map(i16::from_be_bytes)?;
        (base >= 0 && count > 0).then_some(Self { unit, store_timestamp, base, count })
    }
}

/// The queue offsets of a queue of batches, whose places are other numbers.
#[derive(Default)]
pub(super) struct Offsets {
    /// The first readable one.
    first: AtomicI64,
    /// The one behind the last readable message.
    end: AtomicI64,
    /// The next one to give.
    next: AtomicI64,
}

/// What the record of a unit says.
#[derive(Clone, Copy)]
pub(crate) struct Said {
    /// Its queue offset.
    pub(crate) base: i64,
    /// How many messages it holds, where it says that.
    pub(crate) count: Option<i16>,
}

impl Queue {
    /// Whether a record may hold many messages.
    pub(crate) fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// The first readable queue offset.
    pub(crate) fn first_offset(&self) -> i64 {
        self.batch.as_ref().map_or_else(|| self.min(), |it| it.first.load(Ordering::Acquire))
    }

    /// The queue offset behind the last readable message.
    pub(crate) fn end_offset(&self) -> i64 {
        self.batch.as_ref().map_or_else(|| self.max(), |it| it.end.load(Ordering::Acquire))
    }

    /// The next queue offset to give.
    pub(crate) fn next_offset(&self) -> i64 {
        let next = |it: &Offsets| it.next.load(Ordering::Acquire);
        self.batch.as_ref().map_or_else(|| self.tail.lock().next(), next)
    }

    /// The queue offset behind the last message that has a unit, readable or not.
    pub(crate) fn unit_end(&self) -> i64 {
        if !self.is_batch() {
            return self.max();
        }
        self.unit_at(self.max() - 1).map_or(0, |last| last.end())
    }

    /// A unit, if the queue has its place.
    fn unit_at(&self, place: i64) -> Option<BatchUnit> {
        let has_it = (self.first_place()..self.max()).contains(&place);
        has_it.then(|| self.batch_unit(place)).flatten()
    }

    /// The queue offset of the first message of the unit at a place.
    pub(crate) fn offset_of(&self, place: i64) -> i64 {
        match self.is_batch() {
            false => place,
            true => self.batch_unit(place).map_or_else(|| self.end_offset(), |unit| unit.base),
        }
    }

    /// Reads a unit of whichever kind the queue has, as far as all have it.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<Unit> {
        match self.is_batch() {
            false => Unit::decode(bytes.first_chunk()?),
            true => BatchUnit::decode(bytes).map(|batch| batch.unit),
        }
    }

    /// The first `count` units of bytes that were read.
    pub(super) fn decoded(&self, bytes: &[u8], count: usize) -> impl Iterator<Item = Option<Unit>> {
        bytes.chunks_exact(self.unit as usize).take(count).map(|bytes| self.decode(bytes))
    }

    /// A tail whose units below the place `next` are all in the file.
    pub(super) fn tail_at(&self, next: i64, log_end: i64) -> Tail {
        Tail::at(self.unit as usize, next, log_end)
    }

    /// Takes a record of `count` messages at the end, which is about to be written.
    pub(crate) fn push_batch(&self, unit: Unit, store_timestamp: i64, count: i16) -> Pushed {
        let base = self.next_offset();
        let pushed = self.push_batch_unit(BatchUnit { unit, store_timestamp, base, count });
        Pushed { queue_offset: base, ..pushed }
    }

    fn push_batch_unit(&self, batch: BatchUnit) -> Pushed {
        let pushed = self.tail.lock().push_bytes(&batch.unit, &batch.encode());
        if let Some(offsets) = &self.batch {
            offsets.next.store(batch.end(), Ordering::Release);
        }
        pushed
    }

    /// Lets readers see the queue offsets of the units below the place `max`.
    pub(super) fn publish_offsets(&self, max: i64) {
        let last = max.checked_sub(1).and_then(|place| self.batch_unit(place));
        if let (Some(offsets), Some(last)) = (&self.batch, last) {
            offsets.end.fetch_max(last.end(), Ordering::AcqRel);
        }
    }

    /// Brings the first readable queue offset to that of the first readable unit. One that cannot
    /// be read leaves it where it was: readers mend the unit, and must not be sent past it.
    pub(super) fn follow_min(&self) {
        let Some(offsets) = &self.batch else { return };
        // A changed bit may make it say that it holds messages of those behind it.
        let behind = self.unit_at(self.min() + 1).map_or(i64::MAX, |behind| behind.base);
        let limit = |unit: &BatchUnit| behind.saturating_sub(i64::from(unit.count)).max(0);
        let first = match self.min() < self.max() {
            true => self.batch_unit(self.min()).map(|unit| unit.base.min(limit(&unit))),
            false => Some(self.end_offset()),
        };
        if let Some(first) = first {
            offsets.first.store(first, Ordering::Release);
        }
    }

    /// Brings the queue offsets to those of the units; a queue without units ends at `empty`.
    pub(super) fn follow_units(&self, empty: i64) {
        let Some(offsets) = &self.batch else { return };
        let last = if self.min() < self.max() { self.batch_unit(self.max() - 1) } else { None };
        let end = last.map_or(empty, |last| last.end());
        offsets.next.store(end, Ordering::Release);
        offsets.end.store(end, Ordering::Release);
        self.follow_min();
    }

    /// Lets the queue end at `end` when it ends before: its last messages are gone, and their
    /// offsets must not be given again. Says whether it did.
    pub(crate) fn keep_offsets_to(&self, end: i64) -> bool {
        let Some(offsets) = &self.batch else { return false };
        let is_short = offsets.next.fetch_max(end, Ordering::AcqRel) < end;
        offsets.end.fetch_max(end, Ordering::AcqRel);
        if self.min() == self.max() {
            self.follow_min();
        }
        is_short
    }

    /// A unit, readable or not.
    pub(crate) fn batch_unit(&self, place: i64) -> Option<BatchUnit> {
        self.batch_unit_now(place, Wait::ForDisk).ok().flatten()
    }

    pub(crate) fn batch_unit_now(
        &self,
        place: i64,
        wait: Wait,
    ) -> Result<Option<BatchUnit>, Error> {
        let mut bytes = [0; BATCH_UNIT_LEN];
        let read = self.read_as(place, &mut bytes, wait)?;
        Ok(read.filter(|read| *read == 1).and_then(|_| BatchUnit::decode(&bytes)))
    }

    /// Where the unit of a place leads that cannot say what its record holds.
    pub(crate) fn broken_batch_unit(&self, place: i64) -> Option<BatchUnit> {
        let mut bytes = [0; BATCH_UNIT_LEN];
        self.read_as(place, &mut bytes, Wait::ForDisk).ok().flatten().filter(|read| *read == 1)?;
        let unit = Unit::decode(bytes.first_chunk()?)?;
        Some(BatchUnit { unit, store_timestamp: 0, base: 0, count: 1 })
    }

    /// The place of the unit that holds a queue offset, or of the first one behind it; what lies
    /// behind the last readable one has the place behind that.
    pub(crate) fn place_of(&self, offset: i64, wait: Wait) -> Result<i64, Error> {
        let (mut low, mut high) = (self.min(), self.max());
        // Most readers are at the end.
        let mut middle = high - 1;
        while low < high {
            let unit = self.batch_unit_now(middle, wait)?;
            if unit.is_none_or(|unit| unit.end() <= offset) {
                low = middle + 1
            } else {
                high = middle
            }
            middle = low + (high - low) / 2;
        }
        Ok(low)
    }

    /// The place of the unit that holds a readable queue offset.
    pub(crate) fn place_holding(&self, offset: i64) -> Option<i64> {
        if !self.is_batch() {
            return Some(offset);
        }
        let place = self.place_of(offset, Wait::ForDisk).ok()?;
        let holds = |unit: &BatchUnit| (unit.base..unit.end()).contains(&offset);
        (place < self.max()).then(|| self.batch_unit(place).filter(holds))?.map(|_| place)
    }

    /// Whether no unit, readable or not, has a message at this queue offset or behind it.
    pub(crate) fn has_none_from(&self, offset: i64) -> bool {
        if !self.is_batch() {
            return offset >= self.next_offset();
        }
        let next = self.tail.lock().next();
        self.place_of(offset, Wait::ForDisk).is_ok_and(|place| place >= next)
    }

    /// The queue offset of a record by when it was stored, ms since the epoch. Lower: the first one
    /// stored at or after that time, the last one when there is none. Upper: the last one stored at
    /// or before it, the first one when there is none.
    pub(crate) fn offset_by_time(&self, time: i64, end: Boundary) -> i64 {
        let (min, max) = (self.min(), self.max());
        let (mut low, mut high) = (min, max);
        let is_before = |unit: &BatchUnit| match end {
            Boundary::Lower => unit.store_timestamp < time,
            Boundary::Upper => unit.store_timestamp <= time,
        };
        while low < high {
            let middle = low + (high - low) / 2;
            // What is no unit belongs to what follows it.
            let known = |place| Some((place, self.batch_unit(place)?));
            match (middle..high).find_map(known).filter(|(_, unit)| is_before(unit)) {
                Some((place, _)) => low = place + 1,
                None => high = middle,
            }
        }
        let place = match end {
            Boundary::Lower => low.min(max - 1),
            Boundary::Upper => low - 1,
        };
        if min == max { self.end_offset() } else { self.offset_of(place.max(min)) }
    }

    /// Whether a record at a log offset may be one of the queue's: it is behind all of them, or no
    /// other one stands in its place. A unit that leads to no record, which `is_right` tells, may
    /// be its own, whichever side of it that says now.
    pub(crate) fn could_hold_batch(
        &self,
        log_offset: i64,
        is_right: &dyn Fn(Option<i64>, &Unit) -> bool,
    ) -> bool {
        let at = self.place_of_record(log_offset);
        let is_free = |unit: Unit| unit.log_offset == log_offset || !is_right(None, &unit);
        let before = (self.first_place()..at).next_back().and_then(|place| self.any_unit(place));
        log_offset >= self.log_end()
            || self.any_unit(at).is_none_or(is_free)
            || before.is_some_and(is_free)
    }

    /// The place of the first unit whose record begins at a log offset or behind it.
    fn place_of_record(&self, log_offset: i64) -> i64 {
        let is_before = |unit: &Unit| Some(unit.log_offset < log_offset);
        self.partition(self.first_place(), self.max(), is_before)
    }

    /// The place of a record's unit, and what stands there. A changed bit in the log offset of any
    /// unit may lead the search for it astray: then its queue offset leads there, also where the
    /// unit is the one that changed, and neither leads to a record nor contradicts its neighbours.
    fn found_batch(
        &self,
        batch: &BatchUnit,
        said: &dyn Fn(&Unit) -> Option<Said>,
    ) -> Option<(i64, BatchUnit)> {
        let log_offset = batch.unit.log_offset;
        let is_its = |it: &BatchUnit| it.unit.log_offset == log_offset;
        let at = self.place_of_record(log_offset);
        if let Some(found) = self.unit_at(at).filter(is_its) {
            return Some((at, found));
        }
        let at = self.place_of(batch.base, Wait::ForDisk).ok()?;
        let before = self.unit_at(at - 1).map_or(0, |before| before.unit.log_end());
        let behind = self.unit_at(at + 1).map_or(i64::MAX, |behind| behind.unit.log_offset);
        let fits = before <= log_offset && batch.unit.log_end() <= behind;
        let has_its_offset = |it: &BatchUnit| (it.base, it.count) == (batch.base, batch.count);
        let changed = |it: &BatchUnit| fits && has_its_offset(it) && said(&it.unit).is_none();
        self.unit_at(at).filter(|it| is_its(it) || changed(it)).map(|found| (at, found))
    }

    /// Whether the units on both sides of where a record's would be lead to records of theirs, and
    /// leave it no room: no checksum covers the queue that a record says.
    fn has_no_room(&self, batch: &BatchUnit, said: &dyn Fn(&Unit) -> Option<Said>) -> bool {
        let is_right = |it: &BatchUnit| said(&it.unit).is_some_and(|said| said.base == it.base);
        let at = self.place_of_record(batch.unit.log_offset);
        let Some(behind) = self.unit_at(at).filter(is_right) else { return false };
        let before = self.unit_at(at - 1);
        let fits = before.map_or(0, |it| it.end()) <= batch.base && batch.end() <= behind.base;
        let is_stray =
            !fits && (at == self.first_place() || before.is_some_and(|it| is_right(&it)));
        if is_stray {
            tracing::error!(
                dir = %self.segments.dir().display(),
                queue_offset = batch.base,
                log_offset = batch.unit.log_offset,
                "a record says that it is one of this queue, which has no place for it: it is \
                 passed over"
            );
        }
        is_stray
    }

    /// Takes the unit of a record that recovery found in the log, on a scan that began at log
    /// offset `scan_start`. Where the queue has another unit, or none, before its end, it ends
    /// there and gets anew what the scan finds from there on. `said` is what the record of a unit
    /// says.
    pub(crate) fn restore_batch(
        &self,
        batch: BatchUnit,
        scan_start: i64,
        said: &dyn Fn(&Unit) -> Option<Said>,
        cutting: Cutting<'_>,
    ) -> Result<Restored, Error> {
        let is_new = self.is_new();
        let is_behind = batch.unit.log_offset >= self.log_end();
        if (!is_behind || batch.base < self.next_offset())
            && let Some((at, found)) = self.found_batch(&batch, said)
        {
            if found == batch {
                return Ok(Restored::Known);
            }
            self.write()?;
            return self.compare_batch(at, found, batch);
        }
        if !is_behind && self.has_no_room(&batch, said) {
            return Ok(Restored::Known);
        }
        if !is_behind {
            self.write()?;
            let at = self.place_of_record(batch.unit.log_offset);
            // A file that was missing has no units.
            let places = (self.first_place()..at).rev();
            let lacking = places.take_while(|place| self.any_unit(*place).is_none()).count();
            self.end_at(at - lacking as i64, cutting)?;
        }
        if batch.base < self.next_offset() {
            self.doubt_last(&batch, said, cutting)?;
        }
        let (next, log_end) = (self.next_offset(), self.log_end());
        let unknown = batch.base - next.max(self.noted_end());
        let is_impossible =
            batch.base < next || unknown > (batch.unit.log_offset - log_end) / MESSAGE_MIN;
        if batch.base > next && log_end < scan_start && !(is_impossible && is_new) {
            return Ok(Restored::LacksOlder { from: log_end });
        }
        let base = if is_impossible { next } else { batch.base };
        if is_impossible {
            tracing::error!(
                dir = %self.segments.dir().display(),
                queue_offset = batch.base,
                log_offset = batch.unit.log_offset,
                next,
                passed_over = is_new,
                "a record with an impossible queue offset is put at the queue's end or passed over"
            );
            if is_new {
                return Ok(Restored::Known);
            }
        }
        self.push_batch_unit(BatchUnit { base, ..batch });
        self.publish(self.commit());
        if is_new {
            self.follow_min();
        }
        match self.write_many() {
            // The units wait, as those of an append do.
            Err(Error::Full { .. }) => {}
            written => written?,
        }
        Ok(Restored::Known)
    }

    /// Of the two queue offsets that a record says, and that are one unless a bit of it flipped,
    /// the second one where that is the unit's, or the next to give.
    pub(crate) fn likelier(&self, said: BatchUnit, other: BatchUnit) -> BatchUnit {
        if said == other {
            return said;
        }
        let is_known = said.unit.log_offset < self.log_end();
        let known = || self.batch_unit(self.place_of_record(said.unit.log_offset));
        let known = if is_known { known() } else { None };
        let known = known.filter(|known| known.unit.log_offset == said.unit.log_offset);
        let expected = known.map_or_else(|| self.next_offset(), |known| known.base);
        if expected == other.base { other } else { said }
    }

    /// Compares the unit at a place with what its record says. No checksum covers the queue offset
    /// of a record: where it contradicts the neighbours, and the unit does not, the unit is right.
    fn compare_batch(
        &self,
        place: i64,
        found: BatchUnit,
        said: BatchUnit,
    ) -> Result<Restored, Error> {
        let from = self.unit_at(place - 1).map_or(0, |before| before.end());
        let to = self.unit_at(place + 1).map_or(i64::MAX, |behind| behind.base);
        let fits = |it: &BatchUnit| from <= it.base && it.end() <= to;
        let found = BatchUnit { base: found.base, ..said };
        let right = if !fits(&said) && fits(&found) { found } else { said };
        if self.batch_unit(place) == Some(right) {
            return Ok(Restored::Known);
        }
        let mended = self.mend_batch(place, &right)?;
        self.follow_units(self.end_offset());
        Ok(if mended { Restored::Mended } else { Restored::Known })
    }

    /// A record says a queue offset that the one before it took: that one is wrong where its unit
    /// says another number of messages than its record; where it left room before itself, and goes
    /// there; or where it was put at the queue's end against what it says, and goes.
    fn doubt_last(
        &self,
        batch: &BatchUnit,
        said: &dyn Fn(&Unit) -> Option<Said>,
        cutting: Cutting<'_>,
    ) -> Result<(), Error> {
        let place = self.max() - 1;
        let Some(last) = self.unit_at(place) else { return Ok(()) };
        let before = self.unit_at(place - 1).map_or(0, |before| before.end());
        let base = batch.base - i64::from(last.count);
        self.write()?;
        let said = said(&last.unit);
        let is_wrong = said.is_none_or(|said| said.base != last.base);
        let count = said.and_then(|said| said.count).filter(|count| *count != last.count);
        if let (Some(count), false) = (count, is_wrong) {
            self.mend_batch(place, &BatchUnit { count, ..last })?;
            self.follow_units(0);
        } else if last.base > before && base >= before {
            self.mend_batch(place, &BatchUnit { base, ..last })?;
            self.follow_units(0);
        } else if batch.base >= before && is_wrong {
            self.end_at(place, cutting)?;
        }
        Ok(())
    }

    /// Writes a unit over another in the files. Says whether its place is there.
    pub(crate) fn mend_batch(&self, place: i64, batch: &BatchUnit) -> Result<bool, Error> {
        self.mend_bytes(place, &batch.encode(), batch.unit.log_end())
    }

    /// The directory of its files.
    pub(crate) fn dir(&self) -> &Path {
        self.segments.dir()
    }

    /// Makes the queue begin at the queue offset `min` when it begins behind it.
    pub(super) fn begin_batches_no_later(&self, min: i64) {
        let (first, mut place) = (self.first_place(), self.min());
        while place > first && self.batch_unit(place - 1).is_some_and(|unit| unit.base >= min) {
            place -= 1;
        }
        self.min.store(place, Ordering::Release);
        self.follow_min();
        // A changed bit may make the first unit say that it holds later messages.
        if let Some(offsets) = &self.batch {
            offsets.first.fetch_min(min, Ordering::AcqRel);
        }
    }

    /// Whether the queue's files begin in the middle, with a record behind the log's first byte:
    /// what was before it may have expired, or be lost.
    pub(crate) fn lacks_front(&self, log_min: i64) -> bool {
        let first = self.first_place();
        let leads_behind = |unit: Unit| unit.log_offset > log_min;
        first > 0 && self.raw_unit(first).is_none_or(leads_behind)
    }

    /// Removes all files: the queue is made anew from the log.
    pub(crate) fn begin_anew(&self) -> Result<(), Error> {
        self.segments.remove_all()?;
        *self.tail.lock() = self.tail_at(0, 0);
        for number in [&self.min, &self.max, &self.synced] {
            number.store(0, Ordering::Release);
        }
        self.follow_units(0);
        self.forget_start();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_lies_in_its_file_as_java_writes_it() {
        let unit = Unit { log_offset: 0x0102, size: 0x0304, tags_code: -2 };
        let batch = BatchUnit { unit, store_timestamp: 0x0506, base: 0x0708, count: 9 };
        let bytes = batch.encode();
        let mut expected = vec![0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4];
        expected.extend_from_slice(&[255, 255, 255, 255, 255, 255, 255, 254]);
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0, 7, 8, 0, 9]);
        expected.extend_from_slice(&[255, 255, 255, 255, 0, 0, 0, 0]);
        assert_eq!(bytes.to_vec(), expected);
        assert_eq!(BatchUnit::decode(&bytes), Some(batch));
        assert_eq!(batch.end(), 0x0711);
        for nothing in [BatchUnit { count: 0, ..batch }, BatchUnit { base: -1, ..batch }] {
            assert_eq!(BatchUnit::decode(&nothing.encode()), None);
        }
        assert_eq!(BatchUnit::decode(&[0; BATCH_UNIT_LEN]), None);
        assert_eq!(BatchUnit::decode(&bytes[..37]), None);
    }
}
