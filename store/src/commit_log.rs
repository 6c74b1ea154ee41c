//! The commit log: every record of the broker in one run of files (Java `CommitLog`). Knows how far
//! it is written and durable, and lends records; what is written is decided by the append.

use crate::consume_queue::Unit;
use crate::disk::{Allocation, Disk};
use crate::light;
use crate::log_reader::{PAGE, record_len};
use crate::losses::is_told;
use crate::marks::Marks;
use crate::moved::Moved;
use crate::reach::{Reach, Wait};
use crate::segments::Segments;
use crate::{Error, FlushMode, Settings};
use bytes::Bytes;
use message::record::{self, Claim};
use message::{names, sys_flag};
use parking_lot::Mutex;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What was written last stays in memory, whatever else is read meanwhile; so many bytes of it.
const RECENT_BYTES: i64 = 256 << 20;

/// The commit log. Offsets are bytes from the beginning of all time.
pub(crate) struct CommitLog {
    pub(crate) segments: Segments,
    pub(crate) moved: Moved,
    mode: FlushMode,
    written_to: AtomicI64,
    flushed_to: AtomicI64,
    /// Store time of the newest written record, ms since the epoch.
    newest_time: AtomicI64,
    /// Where the log ended when it was opened.
    opened_at: AtomicI64,
    /// The bytes before the log's end that the system has not dropped from memory yet.
    recent_bytes: i64,
    /// Reads of records that failed.
    unreadable: AtomicU64,
    /// Held while a sync runs, so that one sync answers all who came before it.
    syncing: Mutex<Syncing>,
}

#[derive(Default)]
struct Syncing {
    /// Why one failed: those who waited meanwhile must not try again.
    failed: Option<String>,
    /// Log offsets, from and to, of what was read when the log was opened and is not known to be
    /// durable. It may be in memory alone: after a sync that failed the system takes it for clean,
    /// and no other sync writes it. So it is written again.
    write_again: Option<(i64, i64)>,
}

impl CommitLog {
    /// The log of `settings`, not yet loaded.
    pub(crate) fn new(disk: Arc<dyn Disk>, settings: &Settings) -> Self {
        let (dir, bytes) = (settings.commit_log_path(), settings.commit_log_file_bytes);
        Self {
            moved: Moved::new(disk.clone(), &dir),
            segments: Segments::empty(disk, dir, bytes, Allocation::Reserved),
            mode: settings.flush_mode,
            written_to: AtomicI64::new(0),
            flushed_to: AtomicI64::new(0),
            newest_time: AtomicI64::new(0),
            opened_at: AtomicI64::new(i64::MAX),
            recent_bytes: settings.hot_bytes().min(RECENT_BYTES),
            unreadable: AtomicU64::new(0),
            syncing: Mutex::default(),
        }
    }

    /// Sets where recovery found the end, and what counts as durable of it.
    pub(crate) fn start_at(&self, durable: i64, end: i64) {
        self.opened_at.store(end, Ordering::Release);
        self.written_to.store(durable, Ordering::Release);
        self.flushed_to.store(durable, Ordering::Release);
        self.syncing.lock().write_again = (durable < end).then_some((durable, end));
    }

    /// The offset behind the last written byte.
    pub(crate) fn written_to(&self) -> i64 {
        self.written_to.load(Ordering::Acquire)
    }

    /// Everything before this offset is durable.
    pub(crate) fn flushed_to(&self) -> i64 {
        self.flushed_to.load(Ordering::Acquire)
    }

    /// Readers see what lies before this offset.
    pub(crate) fn readable_to(&self) -> i64 {
        match self.mode {
            FlushMode::Async => self.written_to(),
            FlushMode::Sync => self.flushed_to(),
        }
    }

    /// The first offset that is still there.
    pub(crate) fn min(&self) -> i64 {
        self.segments.first().map_or(0, |segment| segment.start)
    }

    /// Store time of the newest record, ms since the epoch.
    pub(crate) fn newest_time(&self) -> i64 {
        self.newest_time.load(Ordering::Acquire)
    }

    /// Notes that everything before `end` was written, the newest record at `time`.
    pub(crate) fn advance(&self, end: i64, time: i64) {
        self.newest_time.store(time, Ordering::Release);
        self.written_to.store(end, Ordering::Release);
    }

    /// The start of the file behind the one that holds `offset`.
    pub(crate) fn next_file(&self, offset: i64) -> i64 {
        self.segments.start_for(offset).saturating_add(self.segments.file_bytes())
    }

    /// The bytes of the record that a unit leads to, none where the log has not so many there. A
    /// read that may succeed the next time is an error: then nobody knows what is there. What is
    /// recent is lent where it lies; everything else is copied, for to look at it there would hold
    /// up the thread until the disk has it, and a bad sector would be a signal that ends the
    /// process.
    #[inline]
    pub(crate) fn record_of(&self, unit: &Unit, reach: &mut Reach) -> io::Result<Option<Bytes>> {
        match usize::try_from(unit.size) {
            Ok(size) => self.lend(unit.log_offset, size, reach),
            Err(_) => Ok(None),
        }
    }

    /// As [`Self::record_of`], by offset and length.
    #[inline]
    fn lend(&self, offset: i64, len: usize, reach: &mut Reach) -> io::Result<Option<Bytes>> {
        match reach.held(offset, len) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.fetch(offset, len, reach),
        }
    }

    fn fetch(&self, offset: i64, len: usize, reach: &mut Reach) -> io::Result<Option<Bytes>> {
        let end = i64::try_from(len).ok().and_then(|len| offset.checked_add(len));
        let Some(end) = end.filter(|end| offset >= 0 && *end <= self.readable_to()) else {
            return Ok(None);
        };
        let segment = reach.go_to(&self.segments, offset).filter(|segment| end <= segment.end());
        let Some(segment) = segment else { return Ok(None) };
        let start = segment.start;
        let lent = match self.is_recent(offset) {
            true => reach.lend(offset, len, self.readable_to()),
            false => reach.copy(offset, len, self.readable_to()),
        };
        let lent = lent.inspect_err(|error| {
            let is_failure = error.kind() != io::ErrorKind::WouldBlock;
            if is_failure && is_told(self.unreadable.fetch_add(1, Ordering::Relaxed) + 1) {
                let path = self.segments.path(start);
                let path = path.display();
                let what = "a record cannot be read; check the disk. Of many such lines only a few \
                            are written";
                tracing::error!(%path, offset, len, %error, "{what}");
            }
        });
        unless_lasting(lent.map(Some), None)
    }

    /// Has what is recent of these records, from the first one on, loaded before it is looked at.
    pub(crate) fn load(&self, units: impl Iterator<Item = Unit>, reach: &mut Reach) {
        let mut units = units.peekable();
        let Some(first) = units.peek().filter(|unit| self.is_recent(unit.log_offset)) else {
            return;
        };
        // What cannot be lent now says so when it is looked at.
        if let Ok(Some(_)) = self.record_of(first, reach) {
            reach.load(units);
        }
    }

    /// Whether this process wrote the record at `offset` so short a while ago that it is in memory.
    pub(crate) fn is_recent(&self, offset: i64) -> bool {
        offset >= self.opened_at.load(Ordering::Acquire)
            && self.written_to() - offset <= self.recent_bytes
    }

    /// Looks whether the files of which readers are lent what is mapped still have their length.
    pub(crate) fn look_at_lens(&self) {
        let from = self.written_to() - self.recent_bytes;
        let segments = self.segments.all();
        let recent = segments.iter().rev().take_while(|segment| segment.end() > from);
        recent.for_each(|segment| segment.file.look_at_len());
    }

    /// Lends the record that begins at `offset`; a read that may succeed the next time is an error.
    pub(crate) fn record(&self, offset: i64, wait: Wait) -> io::Result<Option<Bytes>> {
        let lend = |len: usize| self.lend(offset, len, &mut Reach::new(wait));
        let Some(head) = lend(record::FIXED_LEN)? else { return Ok(None) };
        let size = i32_at(&head, record::at::TOTAL_SIZE);
        let magic = i32_at(&head, record::at::MAGIC);
        if !matches!(magic, record::MAGIC_V1 | record::MAGIC_V2) {
            return Ok(None);
        }
        // A sector that was lost may end behind the size.
        let size = usize::try_from(size).ok().filter(|size| *size >= record::FIXED_LEN);
        size.map_or(Ok(None), lend)
    }

    /// Whether a record of this topic and queue, and of this queue offset when one is given, is
    /// where the unit says. Reads through no mapping: recovery asks for places that nobody knows to
    /// be good.
    pub(crate) fn leads_to(&self, unit: &Unit, queue: (&str, i32), place: Option<i64>) -> bool {
        self.leads_to_now(unit, queue, place).unwrap_or(false)
    }

    /// How far from `at` on, where a record should begin, there is nothing but zeros: no record
    /// begins there. Looks no further than `end` and the file's end.
    pub(crate) fn zeros_to(&self, mut at: i64, end: i64) -> i64 {
        let Some(segment) = self.segments.find(at) else { return at };
        let end = end.min(segment.end()).min(self.readable_to());
        let mut step = PAGE;
        while at < end {
            let next = (at / PAGE * PAGE + step).min(end);
            let range = (at - segment.start) as u64..(next - segment.start) as u64;
            match segment.file.is_zero(range) {
                Ok(true) => (at, step) = (next, step * 2),
                _ if step > PAGE => step = PAGE,
                _ => break,
            }
        }
        at.min(end)
    }

    /// As [`Self::leads_to`]; a read that may succeed the next time is an error.
    pub(crate) fn leads_to_now(
        &self,
        unit: &Unit,
        queue: (&str, i32),
        place: Option<i64>,
    ) -> io::Result<bool> {
        let Some(segment) = self.segments.find(unit.log_offset) else { return Ok(false) };
        let len = unit.size as usize;
        if unit.is_blank() || unit.log_end() > segment.end() || len < record::FIXED_LEN {
            return Ok(false);
        }
        let at = (unit.log_offset - segment.start) as u64;
        let read = |len: usize| {
            let mut bytes = vec![0; len];
            let read = segment.file.read_at(at, &mut bytes);
            unless_lasting(read.map(|()| bytes), Vec::new())
        };
        if record_len(&read(record::FIXED_LEN)?) != Some(unit.size.into()) {
            return Ok(false);
        }
        Ok(is_record_of(&read(len)?, unit, queue, place))
    }

    /// The unit with the one bit changed that makes it lead to the record of a place of a queue,
    /// when that lies between two log offsets.
    pub(crate) fn one_bit_off(
        &self,
        unit: &Unit,
        (queue, place): ((&str, i32), i64),
        within: Range<i64>,
    ) -> io::Result<Option<Unit>> {
        let offsets = (0..i64::BITS - 1).map(|bit| (unit.log_offset ^ 1 << bit, unit.size));
        let sizes = (0..i32::BITS - 1).map(|bit| (unit.log_offset, unit.size ^ 1 << bit));
        for (log_offset, size) in offsets.chain(sizes) {
            let near = Unit { log_offset, size, ..*unit };
            let is_known = log_offset >= within.start && near.log_end() <= within.end;
            if is_known && self.leads_to_now(&near, queue, Some(place))? {
                return Ok(Some(near));
            }
        }
        Ok(None)
    }

    /// The store time of the record at `offset`, ms since the epoch.
    pub(crate) fn store_time(&self, offset: i64) -> Option<i64> {
        self.store_time_now(offset, &mut Reach::new(Wait::ForDisk)).unwrap_or(None)
    }

    /// As [`Self::store_time`]; a read that may succeed the next time is an error.
    pub(crate) fn store_time_now(&self, offset: i64, reach: &mut Reach) -> io::Result<Option<i64>> {
        let head = self.lend(offset, record::FIXED_LEN, reach)?;
        Ok(head.and_then(|head| record::store_timestamp(&head)))
    }

    /// Makes everything written so far durable and returns how far that is.
    pub(crate) fn sync(&self) -> Result<i64, Error> {
        let wanted = self.written_to();
        if self.flushed_to() >= wanted {
            return Ok(self.flushed_to());
        }
        let mut syncing = self.syncing.lock();
        let (from, to) = (self.flushed_to(), self.written_to());
        if from >= wanted {
            // Somebody's sync, begun after our bytes were written, covered them.
            return Ok(from);
        }
        if let Some(why) = syncing.failed.clone() {
            return Err(Error::Fenced { why });
        }
        let again = syncing.write_again.take();
        let written = again.map_or(Ok(()), |(from, to)| self.write_again(from, to));
        let synced = written.and_then(|()| self.sync_range(from, to));
        synced.inspect_err(|error| syncing.failed = Some(error.to_string()))?;
        self.flushed_to.store(to, Ordering::Release);
        Ok(to)
    }

    /// Writes what is there once more, so that the next sync takes it to the medium.
    fn write_again(&self, from: i64, to: i64) -> Result<(), Error> {
        const CHUNK: i64 = 1 << 20;
        tracing::info!(from, to, "what the log had behind its checkpoint is written again");
        let (mut bytes, mut at, mut chunk) = (Vec::new(), from, CHUNK);
        while let Some(segment) = self.segments.find_from(at).filter(|segment| segment.start < to) {
            at = at.max(segment.start);
            if at >= to {
                break;
            }
            let end = to.min(segment.end()).min((at / chunk + 1) * chunk);
            bytes.resize((end - at) as usize, 0);
            let (place, path) = ((at - segment.start) as u64, self.segments.path(segment.start));
            let read = segment.file.read_at(place, &mut bytes).map(|()| true);
            match unless_lasting(read, false).map_err(Error::io("read", &path))? {
                true => segment.file.write_at(place, &bytes).map_err(Error::io("write", &path))?,
                false if chunk > PAGE => {
                    chunk = PAGE;
                    continue;
                }
                // What the medium does not give is not in memory either.
                false => {}
            }
            (at, chunk) = (end, CHUNK);
        }
        Ok(())
    }

    fn sync_range(&self, from: i64, to: i64) -> Result<(), Error> {
        for segment in self.segments.all() {
            let (start, end) = (from.max(segment.start), to.min(segment.end()));
            if start < end {
                let range = (start - segment.start) as u64..(end - segment.start) as u64;
                let synced = segment.file.sync(range);
                synced.map_err(Error::io("sync", &self.segments.path(segment.start)))?;
            }
        }
        Ok(())
    }
}

/// What a read gave; `lost` where the medium gives nothing and never will.
pub(crate) fn unless_lasting<T>(read: io::Result<T>, lost: T) -> io::Result<T> {
    read.or_else(|error| if is_lasting(&error) { Ok(lost) } else { Err(error) })
}

/// Whether a read fails because of the medium, or because somebody made the file shorter, and will
/// again.
pub(crate) fn is_lasting(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
        || error.kind() == io::ErrorKind::UnexpectedEof
}

/// Whether `bytes` are the record that a unit of a queue leads to: none that no queue shows. Units
/// of light queues lead to records of other topics that name them.
#[inline]
pub(crate) fn is_record_of(
    bytes: &[u8],
    unit: &Unit,
    (topic, queue_id): (&str, i32),
    place: Option<i64>,
) -> bool {
    let Some(claim) = record::claim(bytes) else { return false };
    if claim.log_offset != unit.log_offset || !sys_flag::is_visible(claim.sys_flag) {
        return false;
    }
    let claimed = claimed_place(&claim, (topic, queue_id));
    claimed.is_some_and(|claimed| place.is_none_or(|place| place == claimed))
}

/// The place that a record says it has in a queue.
#[inline]
pub(crate) fn claimed_place(claim: &Claim<'_>, (topic, queue_id): (&str, i32)) -> Option<i64> {
    if claim.queue_id == queue_id && claim.topic == topic.as_bytes() {
        return Some(claim.queue_offset);
    }
    if !names::is_lmq(topic) || queue_id != light::QUEUE_ID {
        return None;
    }
    claimed_light_place(claim, topic)
}

fn claimed_light_place(claim: &Claim<'_>, topic: &str) -> Option<i64> {
    let (stored_topic, marks) =
        (std::str::from_utf8(claim.topic).ok()?, Marks::read(claim.properties));
    marks.light_places(stored_topic).find(|(name, _)| *name == topic).map(|(_, place)| place)
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    let field = bytes[at..].first_chunk().expect("a record's head is longer than its fields");
    i32::from_be_bytes(*field)
}
