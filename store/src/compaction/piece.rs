//! Two files of one name: one of a compacted queue's log, and beside it, in another directory, the
//! units that lead to its records (Java `CompactionLog.TopicPartitionLog`, `SparseConsumeQueue`).
//! Units are those of queues of batches, in the order of their queue offsets, which have gaps; the
//! first that is none ends them. What the units lack, the records have.

use super::shape::{Dirs, Shape};
use crate::Error;
use crate::consume_queue::{BATCH_UNIT_LEN, BatchUnit, Unit};
use crate::disk::{Allocation, Disk, File};
use crate::log_reader::{self, LogReader};
use crate::segments::Segment;
use message::record::{self, Entry, FIXED_LEN};
use message::{Record, hash, property};
use std::io;
use std::sync::Arc;

/// Units that are looked at together.
pub(super) const UNITS_AT_ONCE: u64 = 64;
const UNIT: u64 = BATCH_UNIT_LEN as u64;

/// A pair of files.
#[derive(Clone)]
pub(super) struct Piece {
    /// The log offset of the first byte, which names both files.
    pub(super) start: i64,
    pub(super) log: Arc<dyn File>,
    pub(super) units: Arc<dyn File>,
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
        Ok(Self {
            start,
            log: open(dirs.log_file(start), shape.log_bytes)?,
            units: open(dirs.units_file(start), shape.unit_bytes)?,
            count: 0,
            end: start,
            first: 0,
            last: -1,
            is_dirty: false,
        })
    }

    /// Finds what is there. A file whose units do not lead to its records gets them anew from the
    /// records; so does one that was written last, when that may have ended in the middle.
    pub(super) fn load(&mut self, dirs: &Dirs, may_be_torn: bool) -> Result<(), Error> {
        let path = dirs.units_file(self.start);
        self.find_units(dirs, may_be_torn).map_err(Error::io("load", &path))
    }

    fn find_units(&mut self, dirs: &Dirs, may_be_torn: bool) -> io::Result<()> {
        let count = self.count_units()?;
        self.set_count(count)?;
        let mut is_whole = true;
        for at in [Some(0), count.checked_sub(1)].into_iter().flatten() {
            is_whole &= self.unit(at)?.is_none_or(|unit| self.leads_to(&unit));
        }
        if is_whole && !may_be_torn && (count > 0 || self.looks_empty()) {
            return Ok(());
        }
        let led = if is_whole { self.last_led()? } else { 0 };
        if !is_whole {
            tracing::warn!(
                file = %dirs.units_file(self.start).display(),
                "units do not lead to the records of the compacted log: they are made anew"
            );
        }
        self.forget_units(led)?;
        self.read_on(dirs)
    }

    fn looks_empty(&self) -> bool {
        let mut head = [0; 8];
        self.log.read_at(0, &mut head).is_ok() && head == [0; 8]
    }

    /// How many units stand before the first that is none.
    fn count_units(&self) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.units.len() / UNIT);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.unit(middle)?.is_some() { low = middle + 1 } else { high = middle }
        }
        Ok(low)
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

    /// The place behind the last unit that leads to its record.
    fn last_led(&self) -> io::Result<u64> {
        let mut at = self.count;
        while at > 0 {
            if self.unit(at - 1)?.is_some_and(|unit| self.leads_to(&unit)) {
                break;
            }
            at -= 1;
        }
        Ok(at)
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
    /// it is looked for the next one.
    fn read_on(&mut self, dirs: &Dirs) -> io::Result<()> {
        let segment = Segment { start: self.start, file: self.log.clone() };
        let (mut reader, mut at, mut found) = (LogReader::default(), self.end, Vec::new());
        let mut last = self.last;
        while at < segment.end() {
            let unit = match reader.entry(&segment, at, true)? {
                Ok(Entry::Blank { .. }) => break,
                Ok(Entry::Message(record)) if record.log_offset == at => unit_of(&record),
                _ => None,
            };
            if let Some(unit) = unit.filter(|unit| unit.base > last) {
                (at, last) = (unit.unit.log_end(), unit.base);
                found.extend_from_slice(&unit.encode());
                continue;
            }
            let Some(next) = self.next_record(&mut reader, &segment, at + 1)? else { break };
            tracing::error!(
                file = %dirs.log_file(self.start).display(), from = at, to = next,
                "the compacted log is damaged here"
            );
            at = next;
        }
        let room = (self.units.len() - self.count * UNIT) / UNIT;
        found.truncate(room as usize * BATCH_UNIT_LEN);
        if !found.is_empty() {
            self.units.write_at(self.count * UNIT, &found)?;
            self.is_dirty = true;
        }
        self.set_count(self.count + (found.len() / BATCH_UNIT_LEN) as u64)
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
        if self.log.is_zero(rest)? {
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

    /// Up to [`UNITS_AT_ONCE`] units from a place on.
    pub(super) fn units_from(&self, at: u64) -> io::Result<Vec<BatchUnit>> {
        let count = self.count.saturating_sub(at).min(UNITS_AT_ONCE);
        let mut bytes = vec![0; count as usize * BATCH_UNIT_LEN];
        self.units.read_at(at * UNIT, &mut bytes)?;
        let units = bytes.as_chunks::<BATCH_UNIT_LEN>().0.iter();
        Ok(units.map_while(|unit| BatchUnit::decode(unit)).collect())
    }

    /// The place of the first unit at or behind a queue offset.
    pub(super) fn place_of(&self, offset: i64) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let is_before = self.unit(middle)?.is_none_or(|unit| unit.base < offset);
            if is_before { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn holds(&self, unit: &BatchUnit) -> bool {
        let end = self.start + self.log.len() as i64;
        unit.unit.log_offset >= self.start && unit.unit.log_end() <= end
    }

    /// The bytes of a unit's record, lent; `None` where they are none of its own.
    pub(super) fn record(&self, unit: &BatchUnit) -> io::Result<Option<bytes::Bytes>> {
        if !self.holds(unit) {
            return Ok(None);
        }
        let from = (unit.unit.log_offset - self.start) as u64;
        let bytes = self.log.slice(from..from + unit.unit.size as u64)?;
        Ok(Some(bytes).filter(|bytes| is_head_of(bytes, unit)))
    }

    fn leads_to(&self, unit: &BatchUnit) -> bool {
        let mut head = [0; record::at::SYS_FLAG];
        let from = (unit.unit.log_offset - self.start) as u64;
        self.holds(unit)
            && from + head.len() as u64 <= self.log.len()
            && self.log.read_at(from, &mut head).is_ok()
            && is_head_of(&head, unit)
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
pub(super) fn unit_of(record: &Record<'_>) -> Option<BatchUnit> {
    let tags = record.property(property::TAGS);
    let tags_code = tags.map_or(0, |tags| i64::from(hash::java_hash(tags)));
    let size = i32::try_from(record.total_size()).ok()?;
    let unit = Unit { log_offset: record.log_offset, size, tags_code };
    let (store_timestamp, base) = (record.store_timestamp, record.queue_offset);
    (base >= 0).then_some(BatchUnit { unit, store_timestamp, base, count: 1 })
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
