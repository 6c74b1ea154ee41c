//! Start-up: where the log really ends, and what the queues and the index lack. Java's rules (see
//! docs/disk.md): the log ends at its first record that is not whole, and what lies behind is cut.

use crate::checkpoint::{Checkpoint, Mark};
use crate::commit_log::CommitLog;
use crate::consume_queue::Unit;
use crate::index::{Index, IndexKey};
use crate::marks::Marks;
use crate::progress::Step;
use crate::queues::Queues;
use crate::{Error, FlushMode, Progress, Settings};
use message::record::{self, Entry, Record, RecordError};
use message::{properties, sys_flag};

/// The least that a disk loses at once, bytes.
const SECTOR: usize = 512;

/// The opened parts of a store, before they are known to agree.
pub(crate) struct Recovery<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) log: &'a CommitLog,
    pub(crate) queues: &'a Queues,
    pub(crate) index: Option<&'a Index>,
    pub(crate) checkpoint: &'a Checkpoint,
    /// Whether the last process stopped cleanly.
    pub(crate) clean: bool,
    /// Whether a queue lost units: then the whole log is looked at.
    pub(crate) lossy: bool,
    /// Told how far the start has come.
    pub(crate) watch: &'a dyn Fn(Progress),
}

/// Where the scan ended and why.
struct Scanned {
    end: i64,
    records: u64,
    newest_time: i64,
    /// There are bytes at the end that are neither a record nor zeros.
    garbage: Option<RecordError>,
}

impl Recovery<'_> {
    /// Brings log, queues and index to one end.
    pub(crate) fn run(&self) -> Result<(), Error> {
        if self.log.segments.last().is_none() {
            return self.without_log();
        }
        let start = match (self.lossy, self.clean) {
            (true, _) => self.log.min(),
            (false, true) => self.clean_start(),
            (false, false) => self.unclean_start(),
        };
        let scanned = self.scan(start)?;
        let end = scanned.end;
        tracing::info!(
            clean = self.clean,
            start,
            end,
            records = scanned.records,
            "commit log recovered"
        );
        if let Some(why) = scanned.garbage {
            tracing::warn!(offset = end, %why, "the commit log is cut here");
        }
        let later_files = self.log.segments.last().is_some_and(|last| last.start > end);
        if !self.clean || later_files || scanned.garbage.is_some() {
            self.log.segments.truncate(end)?;
        }
        for queue in self.queues.all() {
            queue.truncate(end)?;
            queue.expire(self.log.min())?;
        }
        if let Some(index) = self.index {
            index.truncate(end)?;
        }
        let newest = scanned.newest_time.max(self.checkpoint.get(Mark::LogTime));
        self.log.start_at(if self.clean { end } else { start.min(end) });
        self.log.advance(end, newest);
        if self.settings.flush_mode == FlushMode::Sync {
            // Readers see only what is durable, and everything here was acknowledged.
            self.log.sync()?;
        }
        Ok(())
    }

    /// No log: then no queue can lead anywhere.
    fn without_log(&self) -> Result<(), Error> {
        for topic in self.queues.topics() {
            tracing::warn!(%topic, "there is no commit log: the topic's queues are removed");
            self.queues.remove(&topic)?;
        }
        match self.index {
            Some(index) => index.truncate(0),
            None => Ok(()),
        }
    }

    /// After a clean stop only what no queue knows has to be looked at: half messages at the end.
    fn clean_start(&self) -> i64 {
        let queues_end = self.queues.all().iter().map(|queue| queue.log_end()).max().unwrap_or(0);
        let at_end = self.log.segments.last().is_some_and(|last| last.end() == queues_end);
        let is_sound = at_end || self.is_boundary(queues_end);
        if is_sound { queues_end } else { self.last_sound_segment(i64::MAX) }
    }

    /// After a crash everything that may not have been durable is looked at: from where the last
    /// checkpoint ended, or when another broker made it, from the newest file on whose first record
    /// is older than it; and from where the index ends.
    fn unclean_start(&self) -> i64 {
        if self.queues.all().iter().all(|queue| queue.log_end() == 0) {
            return self.log.min();
        }
        let noted = self.checkpoint.durable_to().filter(|at| self.is_boundary(*at));
        let safe_time = self.checkpoint.safe_time();
        let start = noted.unwrap_or_else(|| self.last_sound_segment(safe_time));
        let indexed_to = self.index.and_then(Index::indexed_to);
        match indexed_to.map(|to| to.max(self.log.min())) {
            Some(to) if to >= start => start,
            Some(to) if self.is_boundary(to) => to,
            Some(to) => start.min(self.log.segments.start_for(to)),
            None => start,
        }
    }

    /// Whether a record can begin at `at`: one does, or the log ends there.
    fn is_boundary(&self, at: i64) -> bool {
        let Some(segment) = self.log.segments.find(at) else { return false };
        let bytes = segment.file.slice((at - segment.start) as u64..segment.file.len());
        match record::decode(&bytes.unwrap_or_default(), false) {
            Ok(Entry::Message(record)) => record.log_offset == at,
            Ok(Entry::Blank { .. }) | Err(RecordError::Magic(0)) => true,
            Err(_) => false,
        }
    }

    /// The start of the last file that begins with a whole record stored at or before `time`; of
    /// the first file when there is none.
    fn last_sound_segment(&self, time: i64) -> i64 {
        let is_sound = |segment: &crate::segments::Segment| {
            let bytes = segment.file.slice(0..segment.file.len()).unwrap_or_default();
            let first = record::decode(&bytes, self.settings.check_crc_on_recover);
            let Ok(Entry::Message(first)) = first else { return false };
            first.store_timestamp != 0 && first.store_timestamp <= time
        };
        let segments = self.log.segments.all();
        let found = segments.iter().rev().find(|segment| is_sound(segment));
        found.map_or_else(|| self.log.min(), |segment| segment.start)
    }

    /// Walks the log from `start`, giving queues and index what they lack.
    fn scan(&self, start: i64) -> Result<Scanned, Error> {
        let mut scanned = Scanned { end: start, records: 0, newest_time: 0, garbage: None };
        let last = self.log.segments.last().map_or(start, |last| last.end());
        let total = u64::try_from(last - start).unwrap_or(0);
        let step = Step::begin(self.watch, "reading the commit log", total);
        let indexed_to = self.index.and_then(Index::indexed_to);
        // After a clean stop the newest record has all its keys.
        let indexed_to = indexed_to.map_or(0, |to| to + i64::from(self.clean));
        'files: while let Some(segment) = self.log.segments.find_from(scanned.end) {
            if segment.start > scanned.end {
                tracing::error!(
                    from = scanned.end,
                    to = segment.start,
                    "commit log files are missing"
                );
                scanned.end = segment.start;
            }
            let bytes = segment.file.slice(0..segment.file.len());
            let bytes = bytes.map_err(Error::io("read", &self.log.segments.path(segment.start)))?;
            while scanned.end < segment.end() {
                let rest = &bytes[(scanned.end - segment.start) as usize..];
                match record::decode(rest, self.settings.check_crc_on_recover) {
                    Ok(Entry::Message(record)) if self.is_whole(&record, scanned.end, rest) => {
                        self.restore(&record, indexed_to)?;
                        scanned.end += record.total_size() as i64;
                        step.advance(record.total_size() as u64);
                        scanned.records += 1;
                        scanned.newest_time = record.store_timestamp;
                    }
                    Ok(Entry::Blank { .. }) => scanned.end = segment.end(),
                    Ok(Entry::Message(_)) => {
                        scanned.garbage = Some(RecordError::Lengths);
                        break 'files;
                    }
                    Err(RecordError::Magic(0)) if rest.starts_with(&[0; 4]) => break 'files,
                    Err(why) => {
                        scanned.garbage = Some(why);
                        break 'files;
                    }
                }
            }
        }
        if let Some(index) = self.index {
            index.apply(self.checkpoint)?;
        }
        Ok(scanned)
    }

    /// Whether a decoded record, at the front of `rest`, is what was written at `at`. A record that
    /// looks torn and has another one behind it is kept: to cut there would lose what follows.
    fn is_whole(&self, record: &Record<'_>, at: i64, rest: &[u8]) -> bool {
        if record.log_offset != at || self.clean || !looks_torn(record) {
            return record.log_offset == at;
        }
        let end = at + record.total_size() as i64;
        let kept = match record::decode(&rest[record.total_size()..], true) {
            Ok(Entry::Message(next)) => next.log_offset == end,
            Ok(Entry::Blank { .. }) => true,
            Err(_) => false,
        };
        if kept {
            tracing::warn!(offset = at, topic = record.topic, "properties have a sector of zeros");
        }
        kept
    }

    fn restore(&self, record: &Record<'_>, indexed_to: i64) -> Result<(), Error> {
        let marks = Marks::read(record.properties);
        let (log_offset, store_timestamp) = (record.log_offset, record.store_timestamp);
        if sys_flag::is_visible(record.sys_flag) {
            let size = i32::try_from(record.total_size()).expect("decoded from an i32");
            let tags_code = marks.tags_code(self.settings, record.topic, store_timestamp);
            let queue = self.queues.open(record.topic, record.queue_id);
            queue.restore(record.queue_offset, Unit { log_offset, size, tags_code })?;
        }
        let Some(index) = self.index.filter(|_| log_offset >= indexed_to) else { return Ok(()) };
        let key = |hash| IndexKey { hash, log_offset, store_timestamp };
        let hashes = marks.index_hashes(record.topic, record.sys_flag);
        index.push(&mut hashes.map(key).collect());
        if index.is_behind() { index.apply(self.checkpoint) } else { Ok(()) }
    }
}

/// Whether a power failure may have lost a part of the record. The body has a checksum; of the
/// properties whole sectors may be gone, which read as zeros as the file did at its birth. An
/// append seals properties in which zeros were sent, unless they are too long for it.
fn looks_torn(record: &Record<'_>) -> bool {
    let is_sealed = record::has_property_crc(record.properties);
    let fits = record.properties.len() <= properties::MAX_ENCODED_LEN - record::PROPERTY_CRC_ROOM;
    if !fits && !is_sealed || is_sealed && record::verify_property_crc(record.raw) == Some(true) {
        return false;
    }
    let properties_at = record.log_offset as usize + record.raw.len() - record.properties.len();
    let first = properties_at.next_multiple_of(SECTOR) - properties_at;
    let mut sectors = record.properties.get(first..).unwrap_or_default().chunks(SECTOR);
    sectors.any(|sector| sector.iter().all(|byte| *byte == 0))
}
