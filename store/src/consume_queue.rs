//! One consume queue: the places in the commit log of one queue's messages, 20 bytes a message
//! (Java `ConsumeQueue`), or 46 bytes a record where a record may hold many ([`batch`]). Which
//! record gets an entry is decided by the append and by recovery.
//!
//! A *place* counts units from the queue's first day. In a queue of single messages it is the queue
//! offset of the unit's message.

mod batch;
mod behind;
mod extension;
mod start;

pub(crate) use batch::{BATCH_UNIT_LEN, BatchUnit, Said, Shape};
pub(crate) use extension::{DIR as EXTENSION_DIR, Extended, Extension, Window, offset_of};
pub(crate) use start::{Noted, Opening, Restored};

use crate::Error;
use crate::commit_log::is_lasting;
use crate::disk::{Allocation, Disk, remove_dir};
use crate::mend::NotNow;
use crate::queue_tail::{Pushed, Tail};
use crate::reach::Wait;
use crate::segments::Segments;
use parking_lot::Mutex;
use start::Start;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The bytes of a unit.
pub const UNIT_LEN: usize = 20;
/// Size in the units that fill the places before a queue's first one.
const BLANK_SIZE: i32 = i32::MAX;
/// Units of a page of 4 KiB.
const PAGE_UNITS: usize = 4096 / UNIT_LEN;
/// Bytes of so many units of either kind.
const PAGE_BYTES_MAX: usize = PAGE_UNITS * BATCH_UNIT_LEN;
/// Units before the first one that is kept that are looked at.
const NEAR_UNITS: usize = 16;
/// Bytes of units that wait; the append that makes it more writes them itself, unless somebody
/// else does so at that moment.
const WAITING_BYTES: usize = 64 << 10;
/// Bytes of units that may wait whoever writes.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// One entry of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where the record begins in the commit log.
    pub log_offset: i64,
    /// The record's whole size, bytes.
    pub size: i32,
    /// Java hash of the tag; for delayed messages the time when they are due. In a file it may
    /// also say where that is written, see `Unit::is_extended`.
    pub tags_code: i64,
}

impl Unit {
    pub(crate) const BLANK: Self = Self { log_offset: 0, size: BLANK_SIZE, tags_code: 0 };

    /// Stands for bytes that are no unit where one must be: it leads nowhere.
    pub(crate) const NONE: Self = Self { log_offset: i64::MAX, size: 0, tags_code: 0 };

    /// Whether the unit only fills a place.
    pub fn is_blank(&self) -> bool {
        self.size == BLANK_SIZE
    }

    /// Whether the tags code is an address in `consumequeue_ext`, where it stands beside bits to
    /// filter by, as brokers with `enableConsumeQueueExt=true` write it. The record says the same
    /// as that file.
    pub(crate) fn is_extended(&self) -> bool {
        extension::is_address(self.tags_code)
    }

    /// Whether it says of a record what `plain` does, as far as it is there.
    pub(crate) fn says_same(&self, plain: &Self) -> bool {
        let tags_code = if self.is_extended() { plain.tags_code } else { self.tags_code };
        Self { tags_code, ..*self } == *plain
    }

    /// The log offset behind the record.
    pub fn log_end(&self) -> i64 {
        if self.is_blank() { 0 } else { self.log_offset.saturating_add(self.size.into()) }
    }

    /// As it lies in the file.
    pub fn encode(&self) -> [u8; UNIT_LEN] {
        let mut out = [0; UNIT_LEN];
        out[..8].copy_from_slice(&self.log_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.size.to_be_bytes());
        out[12..].copy_from_slice(&self.tags_code.to_be_bytes());
        out
    }

    /// Reads a unit; `None` behind the last one. No record is nearly so long as blank units say: a
    /// bit of that may be another one.
    pub fn decode(bytes: &[u8; UNIT_LEN]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, tags @ ..] = *bytes;
        let log_offset = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let said = i32::from_be_bytes([i, j, k, l]);
        let is_blank = (said ^ BLANK_SIZE).count_ones() <= 1;
        let size = if is_blank { BLANK_SIZE } else { said };
        let unit = Self { log_offset, size, tags_code: i64::from_be_bytes(tags) };
        (log_offset >= 0 && size > 0).then_some(unit)
    }
}

/// One queue of a topic. Written under the store's append lock, read by anybody.
pub(crate) struct Queue {
    pub(crate) id: i32,
    segments: Segments,
    /// What stands beside the units, where the store keeps that.
    extension: Option<Box<Extension>>,
    /// The bytes of a unit.
    unit: i64,
    /// The place of the first readable unit.
    min: AtomicI64,
    /// The place behind the last readable unit.
    max: AtomicI64,
    /// The queue offsets of a queue of batches.
    batch: Option<batch::Offsets>,
    /// Bytes up to which the files are known to be durable.
    synced: AtomicI64,
    /// Whether it stands in the list of [`crate::dirty::Dirty`].
    listed: AtomicBool,
    /// What is not in the files yet.
    tail: Mutex<Tail>,
    /// Held while the files are written; `true` once the queue is removed, so that nobody who still
    /// holds it makes its files again. Lock before `tail`.
    removed: Mutex<bool>,
    /// What recovery knows; nothing once it is over.
    start: Mutex<Start>,
    /// Units that lead behind this log offset were read when the queue was opened and are not known
    /// to be durable: as of the log's last bytes, only writing them again makes them so.
    again_behind: AtomicI64,
}

impl Queue {
    /// A queue without units; nothing is touched on the disk.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, id: i32, shape: Shape) -> Self {
        Self {
            id,
            segments: Segments::empty(disk, dir, shape.file_bytes, Allocation::Sparse)
                .of_units(shape.unit_len),
            extension: None,
            unit: shape.unit_len as i64,
            min: AtomicI64::new(0),
            max: AtomicI64::new(0),
            batch: shape.is_batch().then(batch::Offsets::default),
            synced: AtomicI64::new(0),
            listed: AtomicBool::new(false),
            tail: Mutex::new(Tail::at(shape.unit_len, 0, 0)),
            removed: Mutex::new(false),
            start: Mutex::default(),
            again_behind: AtomicI64::new(i64::MAX),
        }
    }

    /// The same queue with an extension.
    pub(crate) fn with_extension(self, extension: Option<Extension>) -> Self {
        Self { extension: extension.map(Box::new), ..self }
    }

    /// What stands beside the units.
    #[inline]
    pub(crate) fn extension(&self) -> Option<&Extension> {
        self.extension.as_deref()
    }

    /// The place of the first readable unit.
    pub(crate) fn min(&self) -> i64 {
        self.min.load(Ordering::Acquire)
    }

    /// The place behind the last readable unit.
    pub(crate) fn max(&self) -> i64 {
        self.max.load(Ordering::Acquire)
    }

    /// The log offset behind the last record that has a unit.
    pub(crate) fn log_end(&self) -> i64 {
        self.tail.lock().log_end()
    }

    /// Lets readers see the units below `max`.
    pub(crate) fn publish(&self, max: i64) {
        self.max.fetch_max(max, Ordering::AcqRel);
        if self.is_batch() {
            self.publish_offsets(max);
        }
    }

    /// Takes one unit at the end, for a record that is about to be written.
    pub(crate) fn push(&self, unit: Unit) -> Pushed {
        self.tail.lock().push(unit)
    }

    /// Notes that the records of all units are written, and returns the place behind them.
    pub(crate) fn commit(&self) -> i64 {
        // Before the units, which may be written from here on: what they lead to is, first.
        self.extension().into_iter().for_each(Extension::commit);
        self.tail.lock().commit()
    }

    /// Writes the units when many wait; else [`Self::write`] does so later. Whoever writes some at
    /// this moment may wait for the disk, and is not waited for.
    pub(crate) fn write_many(&self) -> Result<(), Error> {
        let waiting = self.tail.lock().waiting_bytes();
        let waiting = waiting.max(self.extension().map_or(0, Extension::waiting_bytes));
        if waiting < WAITING_BYTES {
            return Ok(());
        }
        match self.removed.try_lock() {
            Some(removed) => self.write_as(*removed),
            None if waiting < WAITING_BYTES_MAX => Ok(()),
            None => self.write(),
        }
    }

    /// Writes the units that wait; after an error they wait on.
    pub(crate) fn write(&self) -> Result<(), Error> {
        let removed = self.removed.lock();
        self.write_as(*removed)
    }

    /// The same for who holds [`Self::removed`], and what it says.
    fn write_as(&self, removed: bool) -> Result<(), Error> {
        if removed {
            return Ok(());
        }
        if let Some(extension) = &self.extension {
            extension.write()?;
        }
        let Some((first, units)) = self.tail.lock().take() else { return Ok(()) };
        let written = self.segments.write_at(first * self.unit, &units);
        self.tail.lock().wrote(written.is_ok());
        written
    }

    /// Copies readable units from `offset` on into `out` and says how many: at least one when
    /// `offset` is readable. `None` when their file is missing.
    pub(crate) fn read(
        &self,
        offset: i64,
        out: &mut [u8],
        wait: Wait,
    ) -> Result<Option<usize>, Error> {
        if !(0..self.max()).contains(&offset) {
            return Ok(Some(0));
        }
        let units = (out.len() as i64 / self.unit).min(self.max() - offset);
        self.read_as(offset, &mut out[..(units * self.unit) as usize], wait)
    }

    /// As [`Self::read`], readable or not.
    fn read_any(&self, offset: i64, out: &mut [u8]) -> Result<Option<usize>, Error> {
        self.read_as(offset, out, Wait::ForDisk)
    }

    fn read_as(&self, offset: i64, out: &mut [u8], wait: Wait) -> Result<Option<usize>, Error> {
        let written = {
            let tail = self.tail.lock();
            match tail.copy(offset, out) {
                Some(units) => return Ok(Some(units)),
                None => tail.written(),
            }
        };
        let Some(segment) = self.segments.find(offset * self.unit) else { return Ok(None) };
        let len =
            (out.len() as i64).min(segment.end().min(written * self.unit) - offset * self.unit);
        let at = (offset * self.unit - segment.start) as u64;
        let (out, path) = (&mut out[..len as usize], || self.segments.path(segment.start));
        match wait.read(&*segment.file, at, out) {
            Err(error) if is_lasting(&error) => {
                let path = path();
                tracing::error!(path = %path.display(), %error, "queue units cannot be read");
                // No units: whoever reads them makes them anew from the log.
                out.fill(0);
            }
            read => read.map_err(|error| Error::io("read", &path())(error))?,
        }
        Ok(Some(out.len() / self.unit as usize))
    }

    /// One readable unit.
    pub(crate) fn unit(&self, offset: i64) -> Option<Unit> {
        self.unit_now(offset).unwrap_or(None)
    }

    /// As [`Self::unit`]; a read that may succeed the next time is an error.
    pub(crate) fn unit_now(&self, offset: i64) -> Result<Option<Unit>, Error> {
        if offset < self.min() {
            return Ok(None);
        }
        let mut bytes = [0; BATCH_UNIT_LEN];
        let bytes = &mut bytes[..self.unit as usize];
        let read = self.read(offset, bytes, Wait::ForDisk)?;
        Ok(read.filter(|units| *units == 1).and_then(|_| self.decode(bytes)))
    }

    /// The first place of the file after the one that holds the place `offset`.
    pub(crate) fn next_file(&self, offset: i64) -> i64 {
        let units = self.segments.file_bytes() / self.unit;
        offset - offset % units + units
    }

    /// The first place from `from` to `to` behind all units of which `is_before` holds, which must
    /// be true of a first part only. Units of which it knows nothing, as blank ones, and what is
    /// no unit belong to what follows them.
    pub(crate) fn partition(
        &self,
        from: i64,
        to: i64,
        is_before: impl Fn(&Unit) -> Option<bool>,
    ) -> i64 {
        let known = |unit: &Unit| Ok(is_before(unit));
        self.partition_now(from..to, Wait::ForDisk, known).unwrap_or(to)
    }

    /// As [`Self::partition`]; an error where that takes more patience. With patience a unit that
    /// cannot be read is one of which nothing is known.
    pub(crate) fn partition_now(
        &self,
        places: Range<i64>,
        wait: Wait,
        mut is_before: impl FnMut(&Unit) -> Result<Option<bool>, NotNow>,
    ) -> Result<i64, NotNow> {
        let (mut low, mut high) = (places.start, places.end);
        let (mut page, mut page_at, mut paged) = ([0; PAGE_BYTES_MAX], low, 0);
        let mut is_before = |unit: &Unit| wait.or_unknown(is_before(unit), None);
        while low < high {
            let middle = low + (high - low) / 2;
            if paged == 0 && high - low <= PAGE_UNITS as i64 {
                // The rest of the way in one read.
                let units = &mut page[..((high - low) * self.unit) as usize];
                (page_at, paged) = (low, self.some_units(low, units, wait)?);
            }
            let unit = match usize::try_from(middle - page_at).ok().filter(|at| *at < paged) {
                Some(at) => self.decode(&page[at * self.unit as usize..][..self.unit as usize]),
                None => {
                    let mut bytes = [0; BATCH_UNIT_LEN];
                    let bytes = &mut bytes[..self.unit as usize];
                    let count = self.some_units(middle, bytes, wait)?;
                    (count == 1).then(|| self.decode(bytes)).flatten()
                }
            };
            let here = unit.map_or(Ok(None), |unit| is_before(&unit))?;
            let known = match here {
                Some(is_before) => Some((middle, is_before)),
                None => self.next_known(middle + 1..high, wait, &mut is_before)?,
            };
            match known {
                Some((place, true)) => low = place + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first of these places of which something is known, and what.
    fn next_known(
        &self,
        places: Range<i64>,
        wait: Wait,
        mut known: impl FnMut(&Unit) -> Result<Option<bool>, NotNow>,
    ) -> Result<Option<(i64, bool)>, NotNow> {
        let mut units = [0; PAGE_BYTES_MAX];
        let units = &mut units[..PAGE_UNITS * self.unit as usize];
        let (mut from, to) = (places.start, places.end);
        while from < to {
            let count = self.some_units(from, units, wait)?;
            for (unit, place) in self.decoded(units, count).zip(from..to) {
                let known = unit.map_or(Ok(None), |unit| known(&unit))?;
                if let Some(known) = known {
                    return Ok(Some((place, known)));
                }
            }
            from = if count > 0 { from + count as i64 } else { self.next_file(from) };
        }
        Ok(None)
    }

    /// Copies units from `offset` on, readable or not, and says how many: none where they cannot be
    /// read. An error where that takes more patience.
    fn some_units(&self, offset: i64, out: &mut [u8], wait: Wait) -> Result<usize, NotNow> {
        Ok(wait.or_unknown(self.read_as(offset, out, wait), None)?.unwrap_or(0))
    }

    fn any_unit(&self, offset: i64) -> Option<Unit> {
        let mut bytes = [0; BATCH_UNIT_LEN];
        let bytes = &mut bytes[..self.unit as usize];
        (self.read_any(offset, bytes).ok()?? == 1).then(|| self.decode(bytes))?
    }

    /// Writes the units that wait and makes them durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let to = self.write_to()?;
        if let Some(extension) = &self.extension {
            extension.sync()?;
        }
        self.segments.sync(self.synced.load(Ordering::Acquire)..to)?;
        self.set_synced(to);
        Ok(())
    }

    /// Writes the units that wait, and once more those that a sync would take for durable, and
    /// returns the bytes up to which all are written.
    pub(crate) fn write_to(&self) -> Result<i64, Error> {
        self.write()?;
        self.write_again()?;
        Ok(self.tail.lock().written() * self.unit)
    }

    /// The directories of its files.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &Path> {
        let extension = self.extension.as_ref().map(|extension| extension.dir());
        std::iter::once(self.segments.dir()).chain(extension)
    }

    /// Notes that the files are durable up to a byte that [`Self::write_to`] returned.
    pub(crate) fn set_synced(&self, to: i64) {
        self.synced.store(to, Ordering::Release);
    }

    /// What the units take on the disk, at most: whole pages.
    pub(crate) fn disk_bytes(&self) -> u64 {
        const PAGE: u64 = 4096;
        let first = self.segments.first().map_or(0, |segment| segment.start);
        let bytes = self.tail.lock().next() * self.unit - first;
        let extension = self.extension().map_or(0, Extension::disk_bytes);
        bytes.max(0).unsigned_abs().next_multiple_of(PAGE) + extension
    }

    /// Notes whether the queue is listed as dirty, and says whether that is a change.
    pub(crate) fn set_listed(&self, listed: bool) -> bool {
        self.listed.swap(listed, Ordering::AcqRel) != listed
    }

    /// Bytes that are not durable; a queue that was removed has none.
    pub(crate) fn unsynced_bytes(&self) -> i64 {
        if *self.removed.lock() {
            return 0;
        }
        self.tail.lock().next() * self.unit - self.synced.load(Ordering::Acquire)
    }

    /// Moves the first readable offset to the first unit at or behind `log_min` and removes the
    /// files all of whose units lie before it, but none without a durable unit behind it, which
    /// says where the queue ends. Returns how many files that were.
    pub(crate) fn expire(&self, log_min: i64) -> Result<usize, Error> {
        self.segments.remove_unseen()?;
        let removed = self.remove_expired(log_min)?;
        self.begin_in_log(log_min);
        if let Some(extension) = self.extension().filter(|it| it.has_files())
            && let Some(first) = self.any_unit(self.min()).filter(Unit::is_extended)
        {
            extension.expire(first.tags_code)?;
        }
        Ok(removed)
    }

    fn remove_expired(&self, log_min: i64) -> Result<usize, Error> {
        let mut removed = 0;
        let synced = self.synced.load(Ordering::Acquire);
        let segments = self.segments.all();
        for segment in segments.iter().take_while(|segment| segment.end() < synced) {
            // Units may wait in memory; a blank one is as old as what follows it.
            let last =
                self.any_unit(self.first_real(segment.end() / self.unit - 1, Unit::is_blank));
            let stays = |unit: Unit| !unit.is_blank() && unit.log_offset >= log_min;
            if last.is_none_or(|unit| unit.is_blank() || stays(unit)) {
                break;
            }
            // A changed bit may make that one look expired.
            let end = segment.end() / self.unit;
            let mut near = (segment.start / self.unit).max(end - NEAR_UNITS as i64)..end;
            if near.any(|place| self.any_unit(place).is_some_and(stays)) {
                break;
            }
            self.segments.remove_first()?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Moves the first readable offset to the first unit at or behind `log_min`.
    pub(crate) fn begin_in_log(&self, log_min: i64) {
        let first = self.segments.first().map_or(0, |segment| segment.start / self.unit);
        let from = first.max(self.min()).min(self.max());
        // Blank units stand before the first message, and in the places of lost ones.
        let from = self.first_real(from, Unit::is_blank);
        let before = |unit: &Unit| (!unit.is_blank()).then_some(unit.log_offset < log_min);
        // What is no unit is damaged: as old as what follows it.
        let known = self.first_real(from, |unit| *unit == Unit::NONE);
        let stays = self.any_unit(known).is_none_or(|unit| before(&unit) != Some(true));
        let min = if stays { from } else { self.first_kept(known, before) };
        self.min.store(min, Ordering::Release);
        self.follow_min();
    }

    /// The first place from `from` on behind all units of which `before` holds. A damaged unit
    /// may make a search by halves end behind others: those before are looked at.
    fn first_kept(&self, from: i64, before: impl Fn(&Unit) -> Option<bool>) -> i64 {
        let min = self.partition(from, self.max(), &before);
        let near = from.max(min - NEAR_UNITS as i64);
        let mut units = [0; NEAR_UNITS * BATCH_UNIT_LEN];
        let near_units = &mut units[..((min - near) * self.unit) as usize];
        let count = self.read_any(near, near_units).ok().flatten().unwrap_or(0);
        let mut units = self.decoded(near_units, count);
        let is_kept = |unit: Unit| before(&unit) == Some(false);
        let kept = units.position(|unit| unit.is_some_and(is_kept));
        kept.map_or(min, |kept| near + kept as i64)
    }

    /// The first place from `from` on whose unit is not to be passed over; what is no unit
    /// is [`Unit::NONE`].
    pub(crate) fn first_real(&self, mut from: i64, pass_over: impl Fn(&Unit) -> bool) -> i64 {
        let mut units = [0; PAGE_BYTES_MAX];
        let units = &mut units[..PAGE_UNITS * self.unit as usize];
        while from < self.max() {
            let count = self.read_any(from, units).ok().flatten().unwrap_or(0);
            let mut units = self.decoded(units, count).map(|unit| unit.unwrap_or(Unit::NONE));
            let passed = units.position(|unit| !pass_over(&unit)).unwrap_or(count);
            from += passed as i64;
            if passed < count || count == 0 {
                break;
            }
        }
        from.min(self.max())
    }

    /// Removes all files and the directory.
    pub(crate) fn remove(&self, disk: &dyn Disk) -> Result<(), Error> {
        *self.removed.lock() = true;
        if let Some(extension) = &self.extension {
            extension.remove(disk)?;
        }
        self.segments.remove_all()?;
        remove_dir(disk, self.segments.dir())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a directory for the test")]

    use super::*;
    use crate::OsDisk;

    #[test]
    fn an_append_does_not_wait_for_who_writes_units_and_the_disk() {
        let root = std::env::temp_dir().join(format!("rockhopper-queue-{}", std::process::id()));
        let shape = Shape::single(1 << 20);
        let queue = Queue::new(Arc::new(OsDisk), root.join("0"), 0, shape);
        for number in 0..=(WAITING_BYTES / UNIT_LEN) as i64 {
            queue.push(Unit { log_offset: number * 100, size: 100, tags_code: 0 });
        }
        queue.commit();
        let writing = queue.removed.lock();
        queue.write_many().unwrap();
        assert!(queue.tail.lock().waiting_bytes() >= WAITING_BYTES, "they wait on");
        drop(writing);
        queue.write_many().unwrap();
        assert_eq!(queue.tail.lock().waiting_bytes(), 0);
        std::fs::remove_dir_all(root).unwrap();
    }
}
