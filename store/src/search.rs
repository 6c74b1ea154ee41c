//! Where the commit log goes on behind damage. A torn tail has nothing behind it; a bad sector or a
//! flipped bit in the middle has, and what follows must be found byte by byte.
//!
//! What counts as a record there has to be more than whole: Java leaves old bytes behind the end of
//! its log, and old records among them are whole too, in their places. See [`Trust`].

use crate::commit_log::CommitLog;
use crate::consume_queue::{Queue, Unit};
use crate::log_reader::{CHUNK, LogReader, PAGE, record_len};
use crate::queues::Queues;
use crate::recover::looks_torn;
use crate::removed_topics::RemovedTopics;
use crate::segments::Segment;
use message::record::{self, Entry, MAGIC_V1, MAGIC_V2, Record};
use message::sys_flag;

/// Pages that are skipped at once, as a power of two, when one after another cannot be read.
const SKIP_MAX: u32 = 10;

/// One search.
pub(crate) struct Search<'a> {
    log: &'a CommitLog,
    trust: Trust<'a>,
    reader: LogReader,
    probe: LogReader,
    /// Told of bytes that were looked at.
    watch: &'a dyn Fn(u64),
    /// Some bytes could not be read: there may be records among them.
    pub(crate) unreadable: bool,
    /// Not all of it is zeros.
    pub(crate) nonzero: bool,
    /// Whole records that are older than the log's end.
    pub(crate) stale: u64,
}

impl<'a> Search<'a> {
    /// A search behind damage. Left-overs were stored before `stale_before`; there are none where
    /// we wrote last, and a clock that was set back makes true records older than those before
    /// them.
    pub(crate) fn new(
        log: &'a CommitLog,
        (queues, removed_topics): (&'a Queues, &'a RemovedTopics),
        stale_before: i64,
        watch: &'a dyn Fn(u64),
    ) -> Self {
        let (reader, probe) = Default::default();
        let (unreadable, nonzero, stale) = (false, false, 0);
        let trust = Trust { log, queues, removed_topics, stale_before };
        Self { log, trust, reader, probe, watch, unreadable, nonzero, stale }
    }

    /// Whether the log can go on at `at`, where it did once.
    pub(crate) fn goes_on_at(&mut self, at: i64) -> bool {
        match self.log.segments.find(at) {
            None => self.log.segments.last().is_none_or(|last| at <= last.end()),
            Some(segment) => segment.start == at || self.follows(&segment, at),
        }
    }

    /// The first place behind the damage at `at` where a record can be trusted.
    pub(crate) fn run(&mut self, at: i64) -> Option<i64> {
        let segment = self.log.segments.find_from(at)?;
        let first = self.reader.bytes(&segment, at.max(segment.start), 1);
        match first {
            Err(_) => self.unreadable = true,
            Ok(bytes) => self.nonzero = bytes[0] != 0,
        }
        if let Some(next) = self.behind_it(&segment, at) {
            return Some(next);
        }
        let (mut segment, mut from) = (segment, at + 1);
        loop {
            if let Some(found) = self.in_file(&segment, from) {
                return Some(found);
            }
            segment = self.log.segments.find_from(segment.end())?;
            from = segment.start;
        }
    }

    /// The place behind the damaged record, when its length is right and the log goes on there: the
    /// damage is then no larger than it, and nothing inside it is taken for a record.
    fn behind_it(&mut self, segment: &Segment, at: i64) -> Option<i64> {
        if at < segment.start {
            return None;
        }
        let head = self.reader.bytes(segment, at, record::FIXED_LEN).ok()?;
        let next = at + record_len(head)?;
        if next >= segment.end() {
            return None;
        }
        self.follows(segment, next).then_some(next)
    }

    /// Whether a record that can be trusted begins at `at`, or a blank with one behind it.
    fn follows(&mut self, segment: &Segment, at: i64) -> bool {
        match self.probe.entry(segment, at, true) {
            Ok(Ok(Entry::Message(record))) => self.trust.look(&record, at).is_ok(),
            Ok(Ok(Entry::Blank { size })) if i64::from(size) == segment.end() - at => {
                let later = self.log.segments.find_from(segment.end());
                later.is_some_and(|later| self.is_record(&later, later.start))
            }
            _ => false,
        }
    }

    fn in_file(&mut self, segment: &Segment, from: i64) -> Option<i64> {
        let (mut at, mut failures) = (from, 0);
        // What a record that is not trusted covers.
        let mut covered = from;
        while at < segment.end() {
            let end = (at + CHUNK as i64).min(segment.end());
            let place = |at: i64| (at - segment.start) as u64;
            (self.watch)((end - at) as u64);
            if segment.file.is_zero(place(at)..place(end)).is_ok_and(|is_zero| is_zero) {
                at = end;
                continue;
            }
            self.nonzero = true;
            let Ok(bytes) = self.reader.bytes(segment, at, 1) else {
                self.unreadable = true;
                at = (at / PAGE + (1 << failures.min(SKIP_MAX))) * PAGE;
                failures += 1;
                continue;
            };
            failures = 0;
            let (len, places) = (bytes.len() as i64, magics(bytes, at));
            for start in places.into_iter().filter(|start| *start >= from) {
                if start < covered {
                    continue;
                }
                let stale = self.stale;
                if self.is_record(segment, start) {
                    return Some(start);
                }
                if self.stale > stale {
                    let head = self.probe.bytes(segment, start, record::FIXED_LEN);
                    covered = start + head.ok().and_then(record_len).unwrap_or(1);
                }
            }
            // A magic may lie across the end.
            at += if at + len < segment.end() { (len - 3).max(1) } else { len };
        }
        None
    }

    fn is_record(&mut self, segment: &Segment, at: i64) -> bool {
        let Ok(Ok(Entry::Message(record))) = self.probe.entry(segment, at, true) else {
            return false;
        };
        match self.trust.look(&record, at) {
            Ok(()) => true,
            Err(Doubt::Stale) => {
                self.stale += 1;
                false
            }
            Err(Doubt::NoRecord) => false,
        }
    }
}

/// Why a record that decodes is not taken.
enum Doubt {
    NoRecord,
    /// It is whole, and was there before the log's present end.
    Stale,
}

/// What tells whether a record behind damage belongs to the log: it stands in its place, all of it
/// is there, it is none that another broker left behind a former end of the log, and its queue has
/// no other message in its place. A former end of the log fails in the last two: everything that
/// stands behind it was stored before what was appended there since.
#[derive(Clone, Copy)]
struct Trust<'a> {
    log: &'a CommitLog,
    queues: &'a Queues,
    /// A message of a topic that was removed has no place: another one may have it by now.
    removed_topics: &'a RemovedTopics,
    /// Store time before which what was stored is a left-over of another broker, ms since the
    /// epoch.
    stale_before: i64,
}

impl Trust<'_> {
    fn look(&self, record: &Record<'_>, at: i64) -> Result<(), Doubt> {
        let is_whole = record.log_offset == at
            && !record.topic.is_empty()
            && record.queue_id >= 0
            && record.queue_offset >= 0
            && !looks_torn(record);
        if !is_whole {
            return Err(Doubt::NoRecord);
        }
        let name = (record.topic, record.queue_id);
        let has_place =
            sys_flag::is_visible(record.sys_flag) && at >= self.removed_topics.end_of(record.topic);
        let queue = has_place.then(|| self.queues.find(name.0, name.1)).flatten();
        let is_other = |place, unit: &Unit| self.log.leads_to(unit, name, place);
        let could_hold = |queue: &Queue| queue.could_hold(record.queue_offset, at, &is_other);
        let is_newer = record.store_timestamp >= self.stale_before;
        match queue.is_none_or(|queue| could_hold(&queue)) && is_newer {
            true => Ok(()),
            false => Err(Doubt::Stale),
        }
    }
}

/// The places where a message could begin whose magic lies in `bytes`, which begin at log offset
/// `at`. A place whose log offset can be seen and is another is left out.
fn magics(bytes: &[u8], at: i64) -> Vec<i64> {
    const MAGICS: [[u8; 4]; 2] = [MAGIC_V1.to_be_bytes(), MAGIC_V2.to_be_bytes()];
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|byte| *byte == MAGICS[0][0]) {
        let magic_at = from + found;
        from = magic_at + 1;
        let Some(magic) = bytes.get(magic_at..magic_at + 4) else { break };
        if !MAGICS.iter().any(|known| known == magic) {
            continue;
        }
        let start = at + magic_at as i64 - record::at::MAGIC as i64;
        let offset_at = magic_at + record::at::LOG_OFFSET - record::at::MAGIC;
        let offset = bytes.get(offset_at..).and_then(|bytes| bytes.first_chunk());
        if offset.is_none_or(|offset| i64::from_be_bytes(*offset) == start) {
            places.push(start);
        }
    }
    places
}
