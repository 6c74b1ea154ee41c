//! What stands beside a queue's units in `consumequeue_ext`, where the store is told to keep it
//! (Java `ConsumeQueueExt`): of each message its tags code, when it was stored, and the bits of the
//! filters that want it. A unit has the address of that in place of the tags code.
//!
//! All of it can be told from the log but the bits, and they only spare a reader some records. So
//! what is lost is not made anew: a unit whose address leads nowhere is judged by its record, and
//! the address is never given to another one.

use super::{PAGE_BYTES_MAX, PAGE_UNITS, Queue, Unit};
use crate::Error;
use crate::disk::{Allocation, Disk, remove_dir};
use crate::queue_tail::Tail;
use crate::reach::Wait;
use crate::segments::{Cutting, Segment, Segments};
use parking_lot::Mutex;
use std::io;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The directory of all topics, in the root.
pub(crate) const DIR: &str = "consumequeue_ext";
/// The highest tags code that is an address (Java `ConsumeQueueExt.MAX_ADDR`).
const ADDRESS_MAX: i64 = i32::MIN as i64 - 1;
/// What follows the highest offset that has an address (Java `ConsumeQueueExt.MAX_REAL_OFFSET`).
const OFFSET_MAX: i64 = ADDRESS_MAX.wrapping_sub(i64::MIN);
/// Bytes of an entry without bits: its length, the tags code, the store time, the bytes of bits.
const FIXED_LEN: usize = 2 + 8 + 8 + 2;
/// Bytes of the longest entry.
const LEN_MAX: usize = i16::MAX as usize;
/// Bytes that stay free at a file's end, where -1 for a length says that nothing more comes.
const END_LEN: i64 = 4;
/// Bytes that are read at once: entries stand one after the other, as their units do.
const WINDOW_BYTES: usize = 4096;

/// What an entry says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extended<'a> {
    /// As a unit has it that has no entry.
    pub(crate) tags_code: i64,
    /// When the message was stored, ms since the epoch.
    pub(crate) stored_ms: i64,
    /// The bits of the filters that want it; none where there was no filter.
    pub(crate) bits: &'a [u8],
}

impl<'a> Extended<'a> {
    /// The bytes that it takes.
    pub(crate) fn len(&self) -> usize {
        FIXED_LEN + self.bits.len()
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        out.extend_from_slice(&(self.len() as i16).to_be_bytes());
        out.extend_from_slice(&self.tags_code.to_be_bytes());
        out.extend_from_slice(&self.stored_ms.to_be_bytes());
        out.extend_from_slice(&(self.bits.len() as i16).to_be_bytes());
        out.extend_from_slice(self.bits);
        out
    }

    /// Reads an entry, and how many bytes it needs where these are too few.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, usize> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_LEN>().ok_or(FIXED_LEN)?;
        let [l0, l1, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, b0, b1] = *fixed;
        let len = usize::try_from(i16::from_be_bytes([l0, l1])).unwrap_or(0);
        let bits = usize::try_from(i16::from_be_bytes([b0, b1])).unwrap_or(0);
        if len != FIXED_LEN + bits {
            return Err(0);
        }
        let bits = rest.get(..bits).ok_or(len)?;
        let tags_code = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Ok(Self { tags_code, stored_ms: i64::from_be_bytes([i, j, k, l, m, n, o, p]), bits })
    }
}

/// Whether a tags code is an address.
pub(crate) fn is_address(tags_code: i64) -> bool {
    tags_code <= ADDRESS_MAX
}

/// Where an address leads in the run of files.
pub(crate) fn offset_of(address: i64) -> i64 {
    address.wrapping_sub(i64::MIN)
}

/// The entries of one queue. Written under the store's append lock, read by anybody.
pub(crate) struct Extension {
    segments: Segments,
    /// What is not in the files yet, byte by byte; `None` while nobody knows where they end.
    tail: Mutex<Option<Tail>>,
    /// Bytes up to which the files are known to be durable.
    synced: AtomicI64,
    /// Whether it was said that an address leads nowhere.
    told: AtomicBool,
    /// The file that recovery read an entry of last.
    early: Mutex<Option<Segment>>,
}

impl Extension {
    /// Of one queue, with its directory; nothing is touched on the disk.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, file_bytes: u64) -> Self {
        Self {
            segments: Segments::empty(disk, dir, file_bytes, Allocation::Sparse),
            tail: Mutex::default(),
            synced: AtomicI64::new(0),
            told: AtomicBool::new(false),
            early: Mutex::default(),
        }
    }

    /// Takes the entry of a record that is about to be written, and gives its address. None where
    /// it does not fit, or there is no place for it: then the unit has the tags code itself.
    pub(crate) fn push(&self, extended: &Extended<'_>) -> Option<i64> {
        let (len, file_bytes) = (extended.len(), self.segments.file_bytes());
        if len > LEN_MAX || len as i64 > file_bytes - END_LEN {
            return None;
        }
        let mut tail = self.tail.lock();
        let tail = match &mut *tail {
            Some(tail) => tail,
            // Units of the queue would have told where it ends.
            unknown => unknown.insert(self.begin()?),
        };
        let left = file_bytes - tail.next() % file_bytes;
        if left < len as i64 + END_LEN {
            let mut end = vec![0; left as usize];
            end[..2].copy_from_slice(&(-1_i16).to_be_bytes());
            tail.push_run(&end, end.len());
        }
        let at = tail.next();
        if at > OFFSET_MAX - len as i64 {
            return None;
        }
        tail.push_run(&extended.encode(), len);
        Some(at.wrapping_add(i64::MIN))
    }

    /// Begins with nothing. What is there is left from a queue that was removed while no extension
    /// was kept.
    fn begin(&self) -> Option<Tail> {
        let found = self.segments.load_whole();
        let cleared = found.and_then(|_| self.segments.remove_all());
        cleared.inspect_err(|error| self.tell(&"it cannot be begun", error)).ok()?;
        Some(Tail::at(1, 0, 0))
    }

    /// Notes that the records of all entries are written.
    pub(super) fn commit(&self) {
        self.tail.lock().as_mut().map(Tail::commit);
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.tail.lock().as_ref().map_or(0, Tail::waiting_bytes)
    }

    /// Writes the entries that wait; after an error they wait on. One at a time.
    pub(super) fn write(&self) -> Result<(), Error> {
        let taken = self.tail.lock().as_mut().and_then(Tail::take);
        let Some((at, bytes)) = taken else { return Ok(()) };
        let written = self.segments.write_at(at, &bytes);
        if let Some(tail) = &mut *self.tail.lock() {
            tail.wrote(written.is_ok());
        }
        written
    }

    /// Makes durable what is written.
    pub(super) fn sync(&self) -> Result<(), Error> {
        let Some(to) = self.tail.lock().as_ref().map(Tail::written) else { return Ok(()) };
        self.segments.sync(self.synced.load(Ordering::Acquire)..to)?;
        self.synced.store(to, Ordering::Release);
        Ok(())
    }

    /// The directory of the files.
    pub(super) fn dir(&self) -> &Path {
        self.segments.dir()
    }

    /// What the entries take on the disk, at most: whole pages.
    pub(super) fn disk_bytes(&self) -> u64 {
        let first = self.segments.first().map_or(0, |segment| segment.start);
        let end = self.tail.lock().as_ref().map_or(first, Tail::next);
        (end - first).max(0).unsigned_abs().next_multiple_of(4096)
    }

    /// Copies bytes from `offset` on into `out` and says how many; none where there is no file.
    fn copy(&self, offset: i64, out: &mut [u8], wait: Wait) -> io::Result<usize> {
        let written = match &*self.tail.lock() {
            None => return Ok(0),
            Some(tail) => match tail.copy(offset, out) {
                Some(count) => return Ok(count),
                None => tail.written(),
            },
        };
        let Some(segment) = self.segments.find(offset) else { return Ok(0) };
        let len = (out.len() as i64).min(segment.end().min(written) - offset) as usize;
        wait.read(&*segment.file, (offset - segment.start) as u64, &mut out[..len])?;
        Ok(len)
    }

    /// The tags code of the entry at an address, while recovery has not opened the files yet; none
    /// where the entry is not that of a message that was stored then.
    pub(super) fn early_code(&self, address: i64, stored_ms: i64) -> Option<i64> {
        let offset = offset_of(address);
        let start = self.segments.start_for(offset);
        let mut early = self.early.lock();
        if early.as_ref().is_none_or(|segment| segment.start != start) {
            *early = self.segments.open_only(start).ok().flatten();
        }
        let segment = early.as_ref()?;
        let mut bytes = vec![0; (segment.end() - offset).min(WINDOW_BYTES as i64) as usize];
        segment.file.read_at((offset - start) as u64, &mut bytes).ok()?;
        let entry = Extended::decode(&bytes).ok();
        entry.filter(|entry| entry.stored_ms == stored_ms).map(|entry| entry.tags_code)
    }

    /// Ends recovery: the files end behind the entry of the last unit that has one, at address
    /// `last`, and what is behind that is made zeros. Says whether that entry was there; where it
    /// was not, the next one gets an address behind all that were given.
    pub(super) fn settle(
        &self,
        last: Option<i64>,
        clean: bool,
        cutting: Cutting<'_>,
    ) -> Result<bool, Error> {
        *self.early.lock() = None;
        let was_whole = self.segments.load_whole()?;
        let Some(offset) = last.map(offset_of) else {
            // Nothing leads there; but units that expired may come back with a power loss, and must
            // not lead to entries of others. The last file says where to go on.
            let end = self.segments.last().map_or(0, |last| last.end());
            while self.segments.first().is_some_and(|file| file.end() < end) {
                self.segments.remove_first()?;
            }
            *self.tail.lock() = Some(Tail::at(1, end, 0));
            self.synced.store(end, Ordering::Release);
            return Ok(was_whole);
        };
        let file_end = self.segments.start_for(offset).saturating_add(self.segments.file_bytes());
        *self.tail.lock() = Some(Tail::at(1, file_end, 0));
        let mut window = Window::default();
        let found = window.get(self, last.unwrap_or(0), Wait::ForDisk);
        let found = found.ok().flatten().map(|found| found.len() as i64);
        let end = found.map_or(file_end, |len| offset + len);
        if !clean || !self.ends_at(end) {
            self.segments.truncate(end, cutting)?;
        }
        *self.tail.lock() = Some(Tail::at(1, end, 0));
        self.synced.store(end, Ordering::Release);
        Ok(was_whole && found.is_some())
    }

    /// Whether nothing stands at `end`, as far as a look at the next length tells.
    fn ends_at(&self, end: i64) -> bool {
        let mut next = [0; 2];
        let is_last = self.segments.last().is_none_or(|last| last.start <= end);
        is_last && self.copy(end, &mut next, Wait::ForDisk).is_ok() && next == [0; 2]
    }

    /// Removes the files that end before the entry at an address (Java
    /// `ConsumeQueueExt.truncateByMinAddress`).
    pub(super) fn expire(&self, first: i64) -> Result<(), Error> {
        while self.segments.first().is_some_and(|file| file.end() < offset_of(first)) {
            self.segments.remove_first()?;
        }
        Ok(())
    }

    /// Whether there is a file that may have expired.
    pub(super) fn has_files(&self) -> bool {
        self.segments.first().is_some()
    }

    /// Removes all files and the directory.
    pub(super) fn remove(&self, disk: &dyn Disk) -> Result<(), Error> {
        if self.tail.lock().take().is_none() {
            self.segments.load_whole()?;
        }
        self.segments.remove_all()?;
        remove_dir(disk, self.segments.dir())
    }

    fn tell(&self, what: &dyn std::fmt::Display, why: &dyn std::fmt::Display) {
        if !self.told.swap(true, Ordering::AcqRel) {
            let dir = self.segments.dir().display();
            tracing::error!(
                %dir,
                %what,
                %why,
                "an extended queue lacks entries: readers look at the messages instead, which \
                 takes longer and loses nothing. Said once of a queue"
            );
        }
    }
}

/// A part of an extension that a reader keeps from one entry to the next.
#[derive(Default)]
pub(crate) struct Window {
    from: i64,
    bytes: Vec<u8>,
}

impl Window {
    /// The entry at an address; none where there is none.
    ///
    /// # Errors
    /// Who does not wait has to come again.
    pub(crate) fn get(
        &mut self,
        extension: &Extension,
        address: i64,
        wait: Wait,
    ) -> io::Result<Option<Extended<'_>>> {
        let offset = offset_of(address);
        let mut needed = self.lacks(offset);
        for _ in 0..2 {
            if needed == 0 {
                break;
            }
            (self.from, self.bytes) = (offset, std::mem::take(&mut self.bytes));
            self.bytes.resize(needed.max(WINDOW_BYTES), 0);
            let copied = extension.copy(offset, &mut self.bytes, wait);
            self.bytes.truncate(*copied.as_ref().unwrap_or(&0));
            match copied {
                Err(error) if wait == Wait::Never => return Err(error),
                Err(error) => extension.tell(&"it cannot be read", &error),
                Ok(0) => extension.tell(&"it is not there", &NotFound),
                Ok(_) => {}
            }
            needed = self.lacks(offset);
        }
        let at = usize::try_from(offset - self.from).unwrap_or(usize::MAX);
        Ok(self.bytes.get(at..).and_then(|bytes| Extended::decode(bytes).ok()))
    }

    /// How many bytes from `offset` on are to be read for the entry there; 0 where it is held, or
    /// what is held is none.
    fn lacks(&self, offset: i64) -> usize {
        let at = usize::try_from(offset - self.from).ok();
        let held = at.and_then(|at| self.bytes.get(at..)).unwrap_or_default();
        Extended::decode(held).err().unwrap_or(0)
    }
}

impl Queue {
    /// Finds where the extension ends, once the queue has its last unit. Returns the place of the
    /// last unit that has an entry when that is lost. Behind a queue that never had one that is
    /// looked for in all of its units.
    pub(crate) fn settle_extension(
        &self,
        clean: bool,
        cutting: Cutting<'_>,
    ) -> Result<Option<i64>, Error> {
        let Some(extension) = &self.extension else { return Ok(None) };
        let last = self.last_extended();
        let address = last.map(|(_, unit)| unit.tags_code);
        let is_there = extension.settle(address, clean, cutting)?;
        Ok(last.map(|(place, _)| place).filter(|_| !is_there))
    }

    /// The tags code that a unit stands for, while recovery has not opened the extension yet; of
    /// one that has an entry none where that is not of a message that was stored then.
    pub(crate) fn early_code(&self, unit: &Unit, stored_ms: i64) -> Option<i64> {
        match &self.extension {
            Some(extension) if unit.is_extended() => {
                extension.early_code(unit.tags_code, stored_ms)
            }
            _ => Some(unit.tags_code),
        }
    }

    /// The last unit that has an address, with its place.
    fn last_extended(&self) -> Option<(i64, Unit)> {
        let (first, mut at) = (self.first_place(), self.max());
        let mut units = [0; PAGE_BYTES_MAX];
        while at > first {
            // One read gives units of one file.
            let file = self.segments.start_for((at - 1) * self.unit) / self.unit;
            let from = first.max(at - PAGE_UNITS as i64).max(file);
            let page = &mut units[..((at - from) * self.unit) as usize];
            let count = self.read_any(from, page).ok().flatten().unwrap_or(0);
            let units = (from..).zip(self.decoded(page, count));
            let extended = units.filter_map(|(place, unit)| Some((place, unit?)));
            let last = extended.filter(|(_, unit)| unit.is_extended()).last();
            if last.is_some() {
                return last;
            }
            at = from;
        }
        None
    }
}
