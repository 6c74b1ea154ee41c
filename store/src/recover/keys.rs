//! What recovery does with the index while it walks through the log: it gives it the keys that it
//! lacks. An index that another broker left is compared first. Java cuts its log, but not its
//! index, and then indexes nothing until the log is as long as it was: entries lead to records that
//! are gone, and the newer ones in their place have no keys.

use super::Recovery;
use crate::Error;
use crate::index::{Index, IndexKey};
use crate::index_entries::{Agreement, IndexEntries};
use crate::log_reader::LogReader;
use crate::marks::Marks;
use crate::segments::Segment;
use message::record::{Entry, Record};

/// Records of a file that are asked whether the index knows them, until one with keys is found.
const ASKED_MAX: usize = 64;

/// The index, as far as a walk has come.
pub(super) struct Keys<'a> {
    index: Option<&'a Index>,
    /// Records before this log offset have their keys.
    indexed_to: i64,
    /// The newest record that the index knows, and the hashes under which it does: some of its keys
    /// may be missing.
    newest: (i64, Vec<i32>),
    /// What the index has, while it agrees with the log; `None` when it need not be compared.
    entries: Option<IndexEntries>,
    /// Up to this log offset it did.
    agreed_to: i64,
}

impl<'a> Keys<'a> {
    /// For a walk that begins at `start`.
    pub(super) fn begin(recovery: &Recovery<'a>, start: i64) -> Self {
        let index = recovery.index;
        // After a clean stop the newest record has all its keys.
        let has_all = recovery.clean && !index.is_some_and(Index::was_damaged);
        let indexed_to = index.and_then(Index::indexed_to).map_or(0, |to| to + i64::from(has_all));
        let compared = index.filter(|_| recovery.is_foreign && indexed_to > start);
        let entries = compared.map(|index| index.entries_from(start));
        let newest = index.filter(|_| !has_all).and_then(Index::newest);
        let newest = newest.unwrap_or((-1, Vec::new()));
        Self { index, indexed_to, newest, entries, agreed_to: start }
    }

    /// Gives the index the keys of a record that it lacks.
    pub(super) fn take(
        &mut self,
        recovery: &Recovery<'_>,
        record: &Record<'_>,
        marks: &Marks<'_>,
    ) -> Result<(), Error> {
        let Some(index) = self.index else { return Ok(()) };
        let (log_offset, store_timestamp) = (record.log_offset, record.store_timestamp);
        if log_offset < self.indexed_to {
            let Some(entries) = &mut self.entries else { return Ok(()) };
            let Agreement::StaleFrom(from) = agreement(recovery, entries, record, marks) else {
                self.agreed_to = log_offset + 1;
                return Ok(());
            };
            // A wrong entry may lead before those that are right.
            let from = from.max(self.agreed_to);
            tracing::warn!(
                from,
                indexed_to = self.indexed_to,
                "the index does not have what the log has from here on, as another broker cut the \
                 log but not its index: it is made anew from the log"
            );
            recovery.touch();
            index.truncate(from, recovery.cutting.before)?;
            (self.indexed_to, self.entries) = (log_offset, None);
            self.newest.1.clear();
        }
        recovery.touch();
        let key = |hash| IndexKey { hash, log_offset, store_timestamp };
        let hashes = marks.index_hashes(record.topic, record.sys_flag);
        let (newest, known) = &mut self.newest;
        let is_new = |hash: &i32| {
            let place = known.iter().position(|known| log_offset == *newest && known == hash);
            place.map(|place| known.swap_remove(place)).is_none()
        };
        index.push(&mut hashes.filter(is_new).map(key).collect());
        if index.is_behind() {
            index.apply(recovery.checkpoint)?;
        }
        Ok(())
    }
}

fn agreement(
    recovery: &Recovery<'_>,
    entries: &mut IndexEntries,
    record: &Record<'_>,
    marks: &Marks<'_>,
) -> Agreement {
    let hashes: Vec<i32> = marks.index_hashes(record.topic, record.sys_flag).collect();
    // Brokers before 5.5 do not index tags, which come last.
    let has_tags = marks.has_tags() && !hashes.is_empty();
    let required = hashes.len() - usize::from(has_tags);
    let is_gap = |at: i64| recovery.aside.overlaps(at, at + 1);
    entries.agree((record.log_offset, record.store_timestamp), (&hashes, required), &is_gap)
}

impl Recovery<'_> {
    /// `start`, or the beginning of an earlier file from which on the index that another broker
    /// left may not have what the log has. The first record with keys of each file tells.
    pub(super) fn not_behind_stale_index(&self, start: i64) -> i64 {
        let Some(index) = self.index.filter(|_| self.is_foreign) else { return start };
        let Some(indexed_to) = index.indexed_to() else { return start };
        let segments = self.log.segments.all();
        let mut before = segments.iter().rev().filter(|segment| segment.start <= start);
        let Some(mut from) = before.next() else { return start };
        if self.knows_first_of(index, from, indexed_to) {
            return start;
        }
        // A file whose first record is known may have others that are not.
        for segment in before {
            from = segment;
            if self.knows_first_of(index, segment, indexed_to) {
                break;
            }
        }
        from.start
    }

    /// Whether the index has the keys of a file's first record that has any.
    fn knows_first_of(&self, index: &Index, segment: &Segment, indexed_to: i64) -> bool {
        let (mut reader, mut at) = (LogReader::default(), segment.start);
        for _ in 0..ASKED_MAX {
            let Ok(Ok(Entry::Message(record))) = reader.entry(segment, at, false) else { break };
            if record.log_offset != at || at >= indexed_to {
                break;
            }
            let marks = Marks::read(record.properties);
            if marks.index_hashes(record.topic, record.sys_flag).next().is_some() {
                let mut entries = index.entries_from(at);
                return agreement(self, &mut entries, &record, &marks) == Agreement::Whole;
            }
            at += record.total_size() as i64;
            if at >= segment.end() {
                break;
            }
        }
        true
    }
}
