//! Index files that are missing between others or before them, or that stand there twice. No file
//! says which one comes before it; the log says whether keys lie between two of them.

use crate::commit_log::CommitLog;
use crate::log_reader::LogReader;
use crate::marks::Marks;
use message::record::{Entry, Record};

/// Records that are looked at behind a file's end until one with keys is found.
const ASKED_MAX: usize = 64;

/// What a file has: the log offsets of its first and its last record, and the hash of its first
/// key when it can be read.
pub(crate) struct Span {
    pub(crate) begin: i64,
    pub(crate) end: i64,
    pub(crate) first_hash: Option<i32>,
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
