//! Two files of one name: one of a compacted queue's log, and beside it, in another directory, the
//! units that lead to its records (Java `CompactionLog.TopicPartitionLog`, `SparseConsumeQueue`).
//! Units are those of queues of batches, in the order of their queue offsets, which have gaps; the
//! first that is none ends them. What the units lack, the records have.

use super::patched::Patched;
use super::shape::{Dirs, Shape};
use crate::Error;
use crate::commit_log::is_lasting;
use crate::consume_queue::{BATCH_UNIT_LEN, BatchUnit, Unit};
use crate::disk::{Allocation, Disk, File};
use crate::log_reader::{self, LogReader, PAGE};
use crate::segments::Segment;
use message::record::{self, Entry, FIXED_LEN};
use message::{Record, hash, property};
use std::io;
use std::sync::Arc;

/// Units that are looked at together.
pub(super) const UNITS_AT_ONCE: u64 = 64;
const UNIT: u64 = BATCH_UNIT_LEN as u64;
/// Units at an end of a file, one of which must lead to its record.
const NEAR: u64 = 4;
/// The most damaged units in a row that are made anew when somebody reads them: those of a page.
const PAGE_UNITS: u64 = 4096 / UNIT + 2;

/// What is known of a file before it is loaded.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// All queue offsets in it are below this one.
    pub(super) limit: i64,
    /// It may have ended in the middle of anything: nothing behind the first damaged record is
    /// kept that can be taken over again.
    pub(super) may_be_torn: bool,
    /// The first queue offset whose message can be.
    pub(super) kept_from: i64,
}

/// A pair of files.
#[derive(Clone)]
pub(super) struct Piece {
    /// The log offset of the first byte, which names both files.
    pub(super) start: i64,
    pub(super) log: Arc<dyn File>,
    /// The same, for who looks where its records are.
    pub(super) patched_log: Arc<Patched>,
    pub(super) units: Arc<Patched>,
    /// How many units there are.
    pub(super) count: u64,
    /// The log offset behind the last record.
    pub(super) end: i64,
    /// The queue offset of the first record, when there is one.
    pub(super) first: i64,
    /// The queue offset of the last record; -1 when there is none.
    pub(super) last: i64,
    /// What was written since the last sync.
    pub(super) is_dirty: bool,
    /// Nothing is put behind what is there.
    pub(super) is_ended: bool,
}

impl Piece {
    /// A pair of files, made where they are not there; with no unit known.
    pub(super) fn open(
        disk: &dyn Disk,
        dirs: &Dirs,
        shape: Shape,
        start: i64,
    ) -> Result<Self, Error> {
        let open = |path: std::path::PathBuf, bytes: u64| {
            disk.open(&path, bytes, Allocation::Sparse).map_err(Error::io("open", &path))
        };
        let log = open(dirs.log_file(start), shape.log_bytes)?;
        let units = open(dirs.units_file(start), shape.unit_bytes)?;
        Ok(Self {
            start,
            patched_log: Arc::new(Patched::around(log.clone(), dirs.log_file(start))),
            log,
            units: Arc::new(Patched::around(units, dirs.units_file(start))),
            count: 0,
            end: start,
            first: 0,
            last: -1,
            is_dirty: false,
            is_ended: false,
        })
    }

    /// Finds what is there. A file whose units do not lead to its records gets them anew from the
    /// records. Returns the queue offset behind everything that was there, kept or not.
    pub(super) fn load(&mut self, dirs: &Dirs, known: Known) -> Result<i64, Error> {
        let path = dirs.units_file(self.start);
        let end = self.find_units(dirs, known).map_err(Error::io("load", &path))?;
        // A page that cannot be read cannot be written in part either.
        let at = (self.end - self.start) as u64;
        let mut next = vec![0; (self.log.len() - at).min(PAGE as u64) as usize];
        let read = self.patched_log.read_at(at, &mut next);
        read.map_err(Error::io("read", &dirs.log_file(self.start)))?;
        self.is_ended = self.patched_log.lacks_from(at);
        Ok(end)
    }

    fn find_units(&mut self, dirs: &Dirs, known: Known) -> io::Result<i64> {
        let count = self.count_units()?;
        self.set_count(count)?;
        if known.may_be_torn {
            let (whole, end) = self.whole_units()?;
            self.forget_units(if self.units.lacks_from(0) { 0 } else { whole })?;
            return Ok(self.read_on(dirs, known)?.max(end));
        }
        if self.units.lacks_from(0) {
            self.forget_units(0)?;
        }
        if self.count == 0 && self.looks_empty() {
            return Ok(0);
        }
        if self.ends_lead()? {
            self.mend_end(0, known.limit)?;
            self.mend_end(self.count.saturating_sub(1), known.limit)?;
        } else {
            tracing::warn!(
                file = %dirs.units_file(self.start).display(),
                "units do not lead to the records of the compacted log: they are made anew"
            );
            self.forget_units(0)?;
        }
        if self.count == 0 || self.unit_at(self.end)?.is_some() {
            self.read_on(dirs, known)?;
        }
        Ok(self.last + 1)
    }

    /// Whether units at both ends lead to their records: where one alone does not, that one is
    /// damaged, or its record.
    fn ends_lead(&self) -> io::Result<bool> {
        let may_lead = |unit: BatchUnit| self.leads_to(&unit) || self.leads_to_lost(&unit);
        let leads = |at| Ok::<_, io::Error>(self.unit(at)?.is_some_and(may_lead));
        let near = self.count.min(NEAR);
        let (mut first, mut last) = (near == 0, near == 0);
        for at in 0..near {
            first |= leads(at)?;
            last |= leads(self.count - 1 - at)?;
        }
        Ok(first && last)
    }

    /// Makes a unit at an end anew from its record, if it is the one of both that is damaged.
    fn mend_end(&mut self, at: u64, limit: i64) -> io::Result<()> {
        let unit = self.unit(at)?;
        if self.count == 0 || unit.is_some_and(|unit| self.leads_to(&unit)) {
            return Ok(());
        }
        let above = at.checked_sub(1).map_or(Ok(None), |before| self.unit(before))?;
        let above = above.map_or(-1, |unit| unit.base);
        let below = if at + 1 < self.count { self.unit(at + 1)? } else { None };
        let below = below.map_or(limit, |unit| unit.base);
        let can_be = |unit: &BatchUnit| above < unit.base && unit.base < below;
        let made = self.made_anew(at)?;
        let place = |unit: &BatchUnit| (unit.unit.log_offset, unit.unit.size);
        let same = |unit: &BatchUnit| made.is_none_or(|made| place(&made) == place(unit));
        if unit.is_some_and(|unit| can_be(&unit) && same(&unit)) {
            return Ok(());
        }
        if let Some(made) = made.filter(can_be) {
            self.units.write_at(at * UNIT, &made.encode())?;
            self.is_dirty = true;
        } else if at > 0 {
            self.forget_units(at)?;
        }
        self.set_count(self.count)
    }

    fn looks_empty(&self) -> bool {
        let mut head = [0; 8];
        self.log.read_at(0, &mut head).is_ok() && head == [0; 8]
    }

    /// How many units there are: up to the last one that leads to a record, should there be damaged
    /// ones between.
    fn count_units(&self) -> io::Result<u64> {
        let places = self.units.len() / UNIT;
        let (mut low, mut high) = (0, places);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.unit(middle)?.is_some() { low = middle + 1 } else { high = middle }
        }
        let behind = ((low + 1) * UNIT).min(self.units.len())..self.units.len();
        if self.units.is_zero(behind)? {
            return Ok(low);
        }
        let before = low.checked_sub(1).map_or(Ok(None), |before| self.unit(before))?;
        let (mut count, mut last) = (low, before.map_or(-1, |unit| unit.base));
        for at in low..places {
            let unit = self.unit(at)?.filter(|unit| unit.base > last && self.leads_to(unit));
            if let Some(unit) = unit {
                (count, last) = (at + 1, unit.base);
            }
        }
        Ok(count)
    }

    fn set_count(&mut self, count: u64) -> io::Result<()> {
        self.count = count;
        (self.end, self.first, self.last) = (self.start, 0, -1);
        if let Some(at) = count.checked_sub(1)
            && let (Some(first), Some(last)) = (self.unit(0)?, self.unit(at)?)
        {
            (self.first, self.last, self.end) = (first.base, last.base, last.unit.log_end());
        }
        Ok(())
    }

    /// How many units there are before the first one whose record is not whole, and the queue
    /// offset behind all that lead to a record.
    fn whole_units(&self) -> io::Result<(u64, i64)> {
        let segment = Segment { start: self.start, file: self.patched_log.clone() };
        let (mut reader, mut whole, mut is_whole) = (LogReader::default(), 0, true);
        let (mut log_end, mut end) = (self.start, 0);
        for at in 0..self.count {
            let unit = self.unit(at)?.filter(|unit| unit.base >= end && self.leads_to(unit));
            is_whole &= unit.is_some_and(|unit| unit.unit.log_offset >= log_end);
            let Some(unit) = unit else { continue };
            if is_whole {
                let entry = reader.entry(&segment, unit.unit.log_offset, true)?;
                is_whole = matches!(entry, Ok(Entry::Message(record)) if is_whole_of(&record));
            }
            if is_whole {
                (whole, log_end) = (at + 1, unit.unit.log_end());
            }
            end = unit.end();
        }
        Ok((whole, end))
    }

    /// Takes away the units from a place on.
    fn forget_units(&mut self, count: u64) -> io::Result<()> {
        let behind = count * UNIT..self.units.len();
        if !self.units.is_zero(behind.clone())? {
            self.units.zero(behind)?;
            self.is_dirty = true;
        }
        self.set_count(count)
    }

    /// Makes the units of the records behind the last one that has one. Where bytes are no record
    /// it is looked for the next one. Returns the queue offset behind all that were found.
    fn read_on(&mut self, dirs: &Dirs, known: Known) -> io::Result<i64> {
        let segment = Segment { start: self.start, file: self.patched_log.clone() };
        let (mut reader, mut at, mut found) = (LogReader::default(), self.end, Vec::new());
        while at < segment.end() {
            let unit = match reader.entry(&segment, at, true)? {
                Ok(Entry::Blank { .. }) => break,
                Ok(Entry::Message(record)) if record.log_offset == at => unit_of(&record),
                _ => None,
            };
            if let Some(unit) = unit.filter(|unit| unit.base < known.limit)
                && take(self.last, &mut found, unit)
            {
                at = unit.unit.log_end();
                continue;
            }
            let Some(next) = self.next_record(&mut reader, &segment, at + 1)? else { break };
            tracing::error!(
                file = %dirs.log_file(self.start).display(), from = at, to = next,
                "the compacted log is damaged here"
            );
            at = next;
        }
        let end = found.last().map_or(self.last + 1, BatchUnit::end);
        let room = (self.units.len() - self.count * UNIT) / UNIT;
        found.truncate(room as usize);
        found.retain(|unit| !known.may_be_torn || unit.base < known.kept_from);
        if !found.is_empty() {
            let units: Vec<u8> = found.iter().flat_map(BatchUnit::encode).collect();
            self.units.write_at(self.count * UNIT, &units)?;
            self.is_dirty = true;
        }
        self.set_count(self.count + found.len() as u64)?;
        Ok(end)
    }

    /// The first place from `at` on that says of itself that a record begins there.
    fn next_record(
        &self,
        reader: &mut LogReader,
        segment: &Segment,
        mut at: i64,
    ) -> io::Result<Option<i64>> {
        if at >= segment.end() {
            return Ok(None);
        }
        let rest = (at - self.start) as u64..self.log.len();
        if self.patched_log.is_zero(rest)? {
            return Ok(None);
        }
        while at + FIXED_LEN as i64 <= segment.end() {
            let bytes = reader.bytes(segment, at, FIXED_LEN)?;
            let windows = bytes.windows(FIXED_LEN);
            let mut tried = 0;
            for window in windows {
                if says_at(window, at + tried) {
                    return Ok(Some(at + tried));
                }
                tried += 1;
            }
            at += tried.max(1);
        }
        Ok(None)
    }

    /// One unit; `None` behind the last one.
    pub(super) fn unit(&self, at: u64) -> io::Result<Option<BatchUnit>> {
        let mut bytes = [0; BATCH_UNIT_LEN];
        if (at + 1) * UNIT > self.units.len() {
            return Ok(None);
        }
        self.units.read_at(at * UNIT, &mut bytes)?;
        Ok(BatchUnit::decode(&bytes).filter(|unit| self.holds(unit)))
    }

    /// Up to [`UNITS_AT_ONCE`] units from a place on, at least one where there are more. Each is
    /// looked at when it is asked for: what is none, or leads elsewhere, is made anew; `None` where
    /// its record is damaged too.
    pub(super) fn units_from(
        &self,
        at: u64,
    ) -> io::Result<impl ExactSizeIterator<Item = io::Result<Option<BatchUnit>>>> {
        let count = self.count.saturating_sub(at).min(UNITS_AT_ONCE);
        let mut bytes = vec![0; count as usize * BATCH_UNIT_LEN];
        self.units.read_at(at * UNIT, &mut bytes)?;
        let unit = move |place: usize| {
            let unit = BatchUnit::decode(&bytes.as_chunks::<BATCH_UNIT_LEN>().0[place]);
            self.or_anew(at + place as u64, unit.filter(|unit| self.holds(unit)))
        };
        Ok((0..count as usize).map(unit))
    }

    /// The lowest queue offset that a record at a place or behind it can have.
    pub(super) fn first_from(&self, at: u64) -> io::Result<i64> {
        let unit = if at < self.count { self.unit(at)? } else { None };
        Ok(unit.map_or(self.last + 1, |unit| unit.base))
    }

    /// Whether there is anything between two places of the log but zeros.
    pub(super) fn has_bytes(&self, from: i64, to: i64) -> io::Result<bool> {
        let range = (from - self.start).unsigned_abs()..(to - self.start).unsigned_abs();
        if from >= to { Ok(false) } else { self.patched_log.is_zero(range).map(|zero| !zero) }
    }

    /// What was read of a place, or what the log says where that leads to nothing of its own.
    fn or_anew(&self, at: u64, unit: Option<BatchUnit>) -> io::Result<Option<BatchUnit>> {
        match unit {
            Some(sure) if self.leads_to(&sure) => Ok(unit),
            _ => {
                // It may be the record that says a wrong place.
                let above = at.checked_sub(1).map_or(Ok(None), |before| self.unit(before))?;
                let above = above.map_or(self.first - 1, |unit| unit.base);
                let below = if at + 1 < self.count { self.unit(at + 1)? } else { None };
                let below = below.map_or(self.last + 1, |unit| unit.base);
                let made = self.made_anew(at)?;
                Ok(made.filter(|made| above < made.base && made.base < below).or(unit))
            }
        }
    }

    /// The unit of a place, made of the record behind the one before.
    fn made_anew(&self, at: u64) -> io::Result<Option<BatchUnit>> {
        let (mut from, mut behind) = (at, self.start);
        while from > 0 {
            if let Some(unit) = self.unit(from - 1)? {
                behind = unit.unit.log_end();
                break;
            }
            from -= 1;
            if at - from > PAGE_UNITS {
                return Ok(None);
            }
        }
        for _ in from..at {
            let Some(unit) = self.unit_at(behind)? else { return Ok(None) };
            behind = unit.unit.log_end();
        }
        self.unit_at(behind)
    }

    /// The unit of the record that begins at a log offset.
    fn unit_at(&self, log_offset: i64) -> io::Result<Option<BatchUnit>> {
        let mut bytes = vec![0; FIXED_LEN];
        let at = (log_offset - self.start) as u64;
        if at + FIXED_LEN as u64 > self.log.len() {
            return Ok(None);
        }
        self.patched_log.read_at(at, &mut bytes)?;
        let len = log_reader::record_len(&bytes).filter(|len| at + *len as u64 <= self.log.len());
        let Some(len) = len.filter(|_| says_at(&bytes, log_offset)) else { return Ok(None) };
        bytes.resize(len as usize, 0);
        self.patched_log.read_at(at, &mut bytes)?;
        Ok(match record::decode(&bytes, true) {
            Ok(Entry::Message(record)) => unit_of(&record),
            _ => None,
        })
    }

    /// The place of the first unit at or behind a queue offset; damaged ones may come before it.
    pub(super) fn place_of(&self, offset: i64) -> io::Result<u64> {
        // Each look at a record is a wait for a cold disk: units are believed on the way to a place
        // if the two there lead to their records.
        let place = self.search(offset, |_, unit| Ok(unit))?;
        if self.is_place_of(place, offset)? {
            return Ok(place);
        }
        self.search(offset, |at, unit| self.or_anew(at, unit))
    }

    /// The place of the first unit at or behind a queue offset, by what `sure` makes of units.
    fn search(
        &self,
        offset: i64,
        sure: impl Fn(u64, Option<BatchUnit>) -> io::Result<Option<BatchUnit>>,
    ) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (mut at, mut unit) = (middle, sure(middle, self.unit(middle)?)?);
            while unit.is_none() && at + 1 < high {
                at += 1;
                unit = sure(at, self.unit(at)?)?;
            }
            let is_before = unit.is_some_and(|unit| unit.base < offset);
            if is_before { low = at + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// Whether the units before a place and at it lead to records, of which the one lies before a
    /// queue offset and the other does not.
    fn is_place_of(&self, place: u64, offset: i64) -> io::Result<bool> {
        let before = place.checked_sub(1).map(|before| self.unit(before)).transpose()?;
        let here = (place < self.count).then(|| self.unit(place)).transpose()?;
        let leads = |unit: &BatchUnit| self.leads_to(unit);
        Ok(before.is_none_or(|unit| unit.is_some_and(|it| it.base < offset && leads(&it)))
            && here.is_none_or(|unit| unit.is_some_and(|it| it.base >= offset && leads(&it))))
    }

    fn holds(&self, unit: &BatchUnit) -> bool {
        let end = self.start + self.log.len() as i64;
        unit.unit.log_offset >= self.start && unit.unit.log_end() <= end
    }

    /// The bytes of a unit's record; `None` where they are none of its own. Copied: in a mapping a
    /// bad sector would be a signal that ends the process.
    pub(super) fn record(&self, unit: &BatchUnit) -> io::Result<Option<bytes::Bytes>> {
        let len = usize::try_from(unit.unit.size).ok().filter(|_| self.holds(unit));
        let Some(len) = len else { return Ok(None) };
        let mut bytes = vec![0; len];
        self.log.read_at((unit.unit.log_offset - self.start) as u64, &mut bytes)?;
        Ok(is_head_of(&bytes, unit).then(|| bytes.into()))
    }

    fn leads_to(&self, unit: &BatchUnit) -> bool {
        let mut head = [0; record::at::SYS_FLAG];
        let from = (unit.unit.log_offset - self.start) as u64;
        self.holds(unit)
            && from + head.len() as u64 <= self.log.len()
            && self.log.read_at(from, &mut head).is_ok()
            && is_head_of(&head, unit)
    }

    /// Whether nobody can say that a unit leads to no record of its own: what is there may be read
    /// another time.
    fn leads_to_lost(&self, unit: &BatchUnit) -> bool {
        let from = (unit.unit.log_offset - self.start) as u64;
        let read = self.log.read_at(from, &mut [0; record::at::SYS_FLAG]);
        read.is_err_and(|error| is_lasting(&error))
    }

    /// Bytes of both files that were found unreadable.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.patched_log.lost_bytes() + self.units.lost_bytes()
    }

    /// What both files take on the disk: what was written of them.
    pub(super) fn disk_bytes(&self) -> u64 {
        (self.end - self.start).unsigned_abs() + self.count * UNIT
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self, dirs: &Dirs) -> Result<(), Error> {
        if !self.is_dirty {
            return Ok(());
        }
        let log = self.log.sync(0..self.log.len());
        log.map_err(Error::io("sync", &dirs.log_file(self.start)))?;
        let units = self.units.sync(0..self.units.len());
        units.map_err(Error::io("sync", &dirs.units_file(self.start)))?;
        self.is_dirty = false;
        Ok(())
    }
}

/// A record that a reader may want.
pub(crate) struct Found<'a> {
    pub(super) piece: &'a Piece,
    /// What leads to it.
    pub(crate) unit: &'a BatchUnit,
    /// The log's end.
    pub(crate) end: i64,
}

impl Found<'_> {
    /// Its bytes, lent; `None` where they are damaged.
    pub(crate) fn record(&self) -> io::Result<Option<bytes::Bytes>> {
        self.piece.record(self.unit)
    }
}

/// The unit of a record as it lies in a compacted log; `None` of one that can have none.
pub(crate) fn unit_of(record: &Record<'_>) -> Option<BatchUnit> {
    let tags = record.property(property::TAGS);
    let tags_code = tags.map_or(0, |tags| i64::from(hash::java_hash(tags)));
    let size = i32::try_from(record.total_size()).ok()?;
    let unit = Unit { log_offset: record.log_offset, size, tags_code };
    let (store_timestamp, base) = (record.store_timestamp, record.queue_offset);
    (base >= 0).then_some(BatchUnit { unit, store_timestamp, base, count: 1 })
}

/// Takes a unit behind those that were found, if it can follow them. Where the last one alone has a
/// queue offset that is too high for it, that one is damaged.
fn take(last: i64, found: &mut Vec<BatchUnit>, unit: BatchUnit) -> bool {
    let above = |found: &[BatchUnit]| found.last().map_or(last, |unit| unit.base);
    if let [before @ .., one] = &found[..]
        && (above(before) + 1..=one.base).contains(&unit.base)
    {
        found.pop();
    }
    let follows = unit.base > above(found);
    if follows {
        found.push(unit);
    }
    follows
}

/// Whether nothing of a record is damaged, as far as that can be seen when its CRC is right:
/// sectors that were lost are zeros. The CRC of properties is of the record in the commit log.
fn is_whole_of(record: &Record<'_>) -> bool {
    record::has_property_crc(record.properties) || !record.properties.contains(&0)
}

fn is_head_of(head: &[u8], unit: &BatchUnit) -> bool {
    let long = |at: usize| head.get(at..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
    let int = |at: usize| head.get(at..)?.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    let magic = int(record::at::MAGIC);
    int(record::at::TOTAL_SIZE) == Some(unit.unit.size)
        && [Some(record::MAGIC_V1), Some(record::MAGIC_V2)].contains(&magic)
        && long(record::at::QUEUE_OFFSET) == Some(unit.base)
        && long(record::at::LOG_OFFSET) == Some(unit.unit.log_offset)
}

fn says_at(head: &[u8], at: i64) -> bool {
    let said = head.get(record::at::LOG_OFFSET..).and_then(|bytes| bytes.first_chunk());
    said.is_some_and(|bytes| i64::from_be_bytes(*bytes) == at)
        && log_reader::record_len(head).is_some()
}
