//! Index files that are missing between others or before them, or that stand there twice. No file
//! says which one comes before it; the log says whether keys lie between two of them.

use crate::commit_log::CommitLog;
use crate::log_reader::LogReader;
use crate::marks::Marks;
use message::record::{Entry, Record};

/// Records that are looked at behind a file's end until one with keys is found.
const ASKED_MAX: usize = 64;

/// The first of the files that does not go on where the one before it ends, or where the log
/// begins. `spans` are the log offsets of the first and the last record of each, in order.
pub(crate) fn first_gap(log: &CommitLog, spans: &[(i64, i64)]) -> Option<usize> {
    let mut before: Option<i64> = None;
    for (at, (begin, end)) in spans.iter().enumerate() {
        let is_twice = before.is_some_and(|before| *begin < before);
        if is_twice || lacks(log, before, *begin) {
            return Some(at);
        }
        before = Some(*end);
    }
    None
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
