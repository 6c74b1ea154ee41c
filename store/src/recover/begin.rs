//! From where on a start reads the log: nothing that was durable, and known to queues and index, is
//! read again.

use super::Recovery;
use crate::log_reader::LogReader;
use crate::segments::Segment;
use message::record::{Entry, RecordError};

impl Recovery<'_> {
    /// After our own clean stop only what no queue knows has to be looked at: half messages at the
    /// end. Another broker may have cut the log and left old units behind, so that no unit says
    /// where its log ends: its last three files are read, as Java does.
    pub(super) fn clean_start(&self) -> i64 {
        let queues_end = self.queues.all().iter().map(|queue| queue.log_end()).max().unwrap_or(0);
        let Some(noted) = self.checkpoint.durable_to() else {
            let files = 2 * self.log.segments.file_bytes();
            let from = (self.last_sound_segment(i64::MAX, i64::MAX) - files).max(self.log.min());
            let from = self.not_behind_index(from.min(self.boundary_before(queues_end)));
            return self.not_behind_stale_index(from);
        };
        // A unit that leads behind the end is wrong, or was left there: the last file tells which.
        let at_end = self.log.segments.last().is_some_and(|last| last.end() == queues_end);
        let is_sound = queues_end <= noted
            && (at_end || self.is_boundary(queues_end))
            && self.has_last_record(queues_end);
        let start = if is_sound { queues_end } else { self.last_sound_segment(i64::MAX, i64::MAX) };
        self.not_behind_index(start)
    }

    /// Whether the newest record that queues know of before log offset `to`, where the log was
    /// durable, is there: the log may have lost its end, which zeros alone do not tell.
    fn has_last_record(&self, to: i64) -> bool {
        let mut newest = (0, None);
        for topic in self.queues.topics() {
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                let end = queue.log_end_before(to);
                if end > newest.0 {
                    newest = (end, Some((topic.clone(), queue)));
                }
            }
        }
        let (_, Some((topic, queue))) = newest else { return true };
        let Some(unit) = queue.last_unit_before(to) else { return true };
        // What expired, or was set aside by a start before, is not missed again.
        unit.log_offset < self.log.min()
            || self.aside.overlaps(unit.log_offset, unit.log_end())
            || self.log.leads_to(&unit, (&topic, queue.id), None) && self.is_whole(unit.log_offset)
    }

    /// Whether the record at a place of the log is there with all its body.
    fn is_whole(&self, log_offset: i64) -> bool {
        let Some(segment) = self.log.segments.find(log_offset) else { return false };
        let mut reader = LogReader::default();
        let read = reader.entry(&segment, log_offset, self.settings.check_crc_on_recover);
        matches!(read, Ok(Ok(_)))
    }

    /// After a crash everything that may not have been durable is looked at: from where the last
    /// checkpoint ended, unless what was durable before that is gone, or when another broker made
    /// it, from the newest file on whose first record is older than it; and from where the index
    /// ends.
    pub(super) fn unclean_start(&self) -> i64 {
        if self.queues.all().iter().all(|queue| queue.log_end() == 0) {
            return self.log.min();
        }
        let noted = self.checkpoint.durable_to();
        let last_end = self.log.segments.last().map_or(0, |last| last.end());
        let start = match noted {
            Some(at) if !self.has_last_record(at) => self.last_sound_segment(i64::MAX, at),
            Some(at) if at >= last_end => last_end,
            Some(at) => self.boundary_before(at),
            None => self.last_sound_segment(self.checkpoint.safe_time(), i64::MAX),
        };
        self.not_behind_stale_index(self.not_behind_index(start.max(self.log.min())))
    }

    /// `start`, or where the index ends when that is earlier.
    fn not_behind_index(&self, start: i64) -> i64 {
        let Some(index) = self.index else { return start };
        match index.indexed_to() {
            Some(to) if to >= start || self.clean && !index.was_damaged() => start,
            Some(to) => self.boundary_before(to).min(start),
            None if index.was_damaged() => self.log.min(),
            None if self.is_foreign && start > self.log.min() => {
                tracing::error!("there is no index: it is made anew from the whole log");
                self.log.min()
            }
            None => start,
        }
    }

    /// `at` when a record can begin there, else the beginning of its file.
    pub(super) fn boundary_before(&self, at: i64) -> i64 {
        let at = at.max(self.log.min());
        if self.is_boundary(at) { at } else { self.log.segments.start_for(at).max(self.log.min()) }
    }

    /// Whether a record can begin at `at`: one does, or the log ends there.
    fn is_boundary(&self, at: i64) -> bool {
        let Some(segment) = self.log.segments.find(at) else { return false };
        // Zeros before that stand in a record.
        let may_end = self.checkpoint.durable_to().is_none_or(|durable| at >= durable);
        match LogReader::default().entry(&segment, at, false) {
            Ok(Ok(Entry::Message(record))) => record.log_offset == at,
            Ok(Ok(Entry::Blank { .. })) => true,
            Ok(Err(RecordError::Magic(0))) => may_end,
            _ => false,
        }
    }

    /// The start of the last file before log offset `to` that begins with a whole record stored at
    /// or before `time`; of the first file when there is none.
    fn last_sound_segment(&self, time: i64, to: i64) -> i64 {
        let is_sound = |segment: &Segment| {
            let mut reader = LogReader::default();
            let first = reader.entry(segment, segment.start, self.settings.check_crc_on_recover);
            let Ok(Ok(Entry::Message(first))) = first else { return false };
            first.store_timestamp != 0 && first.store_timestamp <= time
        };
        let segments = self.log.segments.all();
        let mut before = segments.iter().rev().filter(|segment| segment.start < to);
        let found = before.find(|segment| is_sound(segment));
        found.map_or_else(|| self.log.min(), |segment| segment.start)
    }
}
