//! The commit log: every record of the broker in one run of files (Java `CommitLog`). Knows how far
//! it is written and durable, and lends records; what is written is decided by the append.

use crate::disk::{Allocation, Disk};
use crate::segments::Segments;
use crate::{Error, FlushMode, Settings};
use bytes::Bytes;
use message::record;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The commit log. Offsets are bytes from the beginning of all time.
pub(crate) struct CommitLog {
    pub(crate) segments: Segments,
    mode: FlushMode,
    written_to: AtomicI64,
    flushed_to: AtomicI64,
    /// Store time of the newest written record, ms since the epoch.
    newest_time: AtomicI64,
    /// Held while a sync runs, so that one sync answers all who came before it. Why one failed:
    /// those who waited meanwhile must not try again.
    syncing: Mutex<Option<String>>,
}

impl CommitLog {
    /// The log of `settings`, not yet loaded.
    pub(crate) fn new(disk: Arc<dyn Disk>, settings: &Settings) -> Self {
        let (dir, bytes) = (settings.commit_log_path(), settings.commit_log_file_bytes);
        Self {
            segments: Segments::empty(disk, dir, bytes, Allocation::Reserved),
            mode: settings.flush_mode,
            written_to: AtomicI64::new(0),
            flushed_to: AtomicI64::new(0),
            newest_time: AtomicI64::new(0),
            syncing: Mutex::default(),
        }
    }

    /// Sets where recovery found the end; everything before it counts as durable.
    pub(crate) fn start_at(&self, end: i64) {
        self.written_to.store(end, Ordering::Release);
        self.flushed_to.store(end, Ordering::Release);
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

    /// Lends readable bytes of one file.
    pub(crate) fn slice(&self, offset: i64, len: usize) -> Option<Bytes> {
        let end = offset.checked_add(i64::try_from(len).ok()?)?;
        if offset < 0 || end > self.readable_to() {
            return None;
        }
        let segment = self.segments.find(offset)?;
        if end > segment.end() {
            return None;
        }
        let at = (offset - segment.start) as u64;
        segment.file.slice(at..at + len as u64).ok()
    }

    /// Lends the record that begins at `offset`.
    pub(crate) fn record(&self, offset: i64) -> Option<Bytes> {
        let head = self.slice(offset, record::FIXED_LEN)?;
        let size = i32_at(&head, record::at::TOTAL_SIZE);
        let magic = i32_at(&head, record::at::MAGIC);
        if !matches!(magic, record::MAGIC_V1 | record::MAGIC_V2) {
            return None;
        }
        self.slice(offset, usize::try_from(size).ok()?)
    }

    /// The store time of the record at `offset`, ms since the epoch.
    pub(crate) fn store_time(&self, offset: i64) -> Option<i64> {
        let head = self.slice(offset, record::FIXED_LEN)?;
        record::store_timestamp(&head)
    }

    /// Makes everything written so far durable and returns how far that is.
    pub(crate) fn sync(&self) -> Result<i64, Error> {
        let wanted = self.written_to();
        if self.flushed_to() >= wanted {
            return Ok(self.flushed_to());
        }
        let mut failed = self.syncing.lock();
        let (from, to) = (self.flushed_to(), self.written_to());
        if from >= wanted {
            // Somebody's sync, begun after our bytes were written, covered them.
            return Ok(from);
        }
        if let Some(why) = failed.clone() {
            return Err(Error::Fenced { why });
        }
        self.sync_range(from, to).inspect_err(|error| *failed = Some(error.to_string()))?;
        self.flushed_to.store(to, Ordering::Release);
        Ok(to)
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

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    let field = bytes[at..].first_chunk().expect("a record's head is longer than its fields");
    i32::from_be_bytes(*field)
}
