//! Index files that are missing between others or before them, or that stand there twice, or whose
//! headers are wrong. No file says which one comes before it, and no checksum covers it; the log
//! says whether keys lie between two of them, and of which records a header speaks.

use crate::commit_log::CommitLog;
use crate::index_file::{Header, IndexEntry, IndexFile};
use crate::log_reader::{LogReader, record_len};
use crate::marks::Marks;
use message::record::{self, Entry, Record};

/// Records that are looked at behind a file's end until one with keys is found.
const ASKED_MAX: usize = 64;

/// What a file has: the log offsets of its first and its last record, and the hash of its first
/// key when it can be read.
pub(crate) struct Span {
    pub(crate) begin: i64,
    pub(crate) end: i64,
    pub(crate) first_hash: Option<i32>,
}

/// Whether a header says of the first and the last record what these do not: where the first one
/// begins, when it was stored, and when the last one was. What the log has no more proves nothing.
pub(crate) fn has_wrong_header(log: &CommitLog, file: &IndexFile) -> bool {
    let Header { begin_time, end_time, begin_offset, end_offset, .. } = file.header;
    file.read_entry(1).is_some_and(|first| first.log_offset != begin_offset)
        || stored(log, begin_offset).is_some_and(|time| time != begin_time)
        // A repair knows it to the second, and a clock that was set back leaves it ahead.
        || stored(log, end_offset).is_some_and(|time| time >= end_time.saturating_add(1_000))
}

/// Whether the time that the file ends with is that of its last record.
pub(crate) fn ends_with_its_record(log: &CommitLog, file: &IndexFile) -> bool {
    stored(log, file.header.end_offset) == Some(file.header.end_time)
}

/// The store time of the record that begins at a place of the log, ms since the epoch.
pub(crate) fn stored(log: &CommitLog, at: i64) -> Option<i64> {
    let segment = log.segments.find(at)?;
    let mut head = [0; record::FIXED_LEN];
    segment.file.read_at((at - segment.start).unsigned_abs(), &mut head).ok()?;
    let offset = head[record::at::LOG_OFFSET..].first_chunk()?;
    record_len(&head).filter(|_| i64::from_be_bytes(*offset) == at)?;
    record::store_timestamp(&head)
}

/// The first of the files, in order, that does not go on where the one before it ends, or where the
/// log begins.
pub(crate) fn first_gap(log: &CommitLog, spans: &[Span]) -> Option<usize> {
    let mut before: Option<i64> = None;
    for (at, span) in spans.iter().enumerate() {
        let is_twice = before.is_some_and(|before| span.begin < before);
        let goes_on = before == Some(span.begin);
        if is_twice || lacks(log, before, span.begin) || !goes_on && begins_within(log, span) {
            return Some(at);
        }
        before = Some(span.end);
    }
    None
}

/// Where the newest file is to be cut: behind its last entry that leads to a record with that key,
/// when others stand behind it. They would say that the index has what it lacks.
pub(crate) fn true_end(log: &CommitLog, file: &IndexFile) -> Option<i64> {
    let last = file.header.count - 1;
    let asked = (1..=last).rev().take(ASKED_MAX);
    let mut entries = asked.filter_map(|number| Some((number, file.read_entry(number)?)));
    let is_true = |entry: &IndexEntry| entry.log_offset < log.min() || leads_to_its_key(log, entry);
    let (number, entry) = entries.find(|(_, entry)| is_true(entry))?;
    (number < last).then_some(entry.log_offset + 1)
}

/// Whether a whole record begins where the entry says, and has the entry's key.
fn leads_to_its_key(log: &CommitLog, entry: &IndexEntry) -> bool {
    let Some(segment) = log.segments.find(entry.log_offset) else { return false };
    match LogReader::default().entry(&segment, entry.log_offset, true) {
        Ok(Ok(Entry::Message(record))) if record.log_offset == entry.log_offset => {
            let marks = Marks::read(record.properties);
            marks.index_hashes(record.topic, record.sys_flag).any(|hash| hash == entry.hash)
        }
        _ => false,
    }
}

/// Whether the file's first key is not the first one of its record: what is missing is in a file
/// before it.
fn begins_within(log: &CommitLog, span: &Span) -> bool {
    let Some(segment) = log.segments.find(span.begin) else { return false };
    match LogReader::default().entry(&segment, span.begin, true) {
        Ok(Ok(Entry::Message(record))) if record.log_offset == span.begin => {
            let marks = Marks::read(record.properties);
            let mut hashes = marks.index_hashes(record.topic, record.sys_flag);
            let first = hashes.next();
            first != span.first_hash && hashes.any(|hash| Some(hash) == span.first_hash)
        }
        _ => false,
    }
}

/// Whether the log has a record with keys behind the one that begins at `before`, and before
/// `begin`. What cannot be read proves nothing.
fn lacks(log: &CommitLog, before: Option<i64>, begin: i64) -> bool {
    // Of the last record of a file some keys may be in the next one.
    let is_last = before.is_some_and(|before| before >= log.min());
    let mut at = before.unwrap_or(0).max(log.min());
    let mut reader = LogReader::default();
    for number in 0..ASKED_MAX {
        let Some(segment) = log.segments.find(at).filter(|_| at < begin) else { return false };
        match reader.entry(&segment, at, true) {
            Ok(Ok(Entry::Message(record))) if record.log_offset == at => {
                if (number > 0 || !is_last) && has_keys(&record) {
                    return true;
                }
                at += record.total_size() as i64;
            }
            Ok(Ok(Entry::Blank { .. })) => at = segment.end(),
            _ => return false,
        }
    }
    false
}

/// Whether every broker gives the record index entries: those before 5.5 do not index tags.
fn has_keys(record: &Record<'_>) -> bool {
    let marks = Marks::read(record.properties);
    let hashes = marks.index_hashes(record.topic, record.sys_flag).count();
    hashes > usize::from(marks.has_tags())
}
