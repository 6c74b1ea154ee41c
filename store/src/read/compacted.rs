//! Reading a queue of which only the newest message of each key is kept: from its own log, with
//! gaps between the queue offsets (Java `CompactionLog.getMessage`). As in Java nothing is filtered
//! here, and a reader before the first message gets that one.

use super::{Limits, READ_BYTES_MAX, READ_BYTES_MIN, Read, ReadStatus, cannot_read, is_full, most};
use crate::commit_log::is_lasting;
use crate::compaction::Compacted;
use crate::{Store, Wait};

impl Store {
    /// Reads from `offset` on. One that does not wait for the disk has to come again.
    pub(super) fn read_compacted(
        &self,
        queue: &Compacted,
        offset: i64,
        limits: Limits,
        read: &mut Read,
    ) {
        if limits.wait == Wait::Never {
            read.status = ReadStatus::NotInMemory;
            return;
        }
        (read.min_offset, read.max_offset) = queue.ends();
        (read.status, read.next_offset) = match offset {
            _ if read.max_offset == 0 => (ReadStatus::NoMessageInQueue, 0),
            _ if offset == read.max_offset => (ReadStatus::OffsetOverflowOne, offset),
            _ if offset > read.max_offset => (ReadStatus::OffsetOverflowBadly, read.max_offset),
            _ => (ReadStatus::NoMatchedMessage, offset),
        };
        if read.status != ReadStatus::NoMatchedMessage {
            return;
        }
        let settings = self.live();
        let asked = (limits.max_messages, limits.max_bytes.clamp(READ_BYTES_MIN, READ_BYTES_MAX));
        let mut failed = None;
        let mut last = None;
        let looked = queue.look(offset, |found| {
            let unit = &found.unit.unit;
            let hot = found.end - unit.log_offset <= settings.hot_bytes();
            if is_full(read, unit, most(&settings, hot, asked)) {
                return false;
            }
            match found.record() {
                Ok(Some(record)) => {
                    read.bytes += record.len();
                    read.messages.push(record);
                    read.status = ReadStatus::Found;
                }
                Ok(None) => self.stats.skipped(),
                Err(error) if is_lasting(&error) => {
                    let offset = found.unit.base;
                    let what = "a record of a compacted topic cannot be read and is passed over; \
                                check the disk";
                    tracing::error!(offset, %error, "{what}");
                    self.stats.skipped();
                }
                Err(error) => {
                    failed = Some(error);
                    return false;
                }
            }
            last = Some(unit.log_offset);
            read.next_offset = found.unit.end();
            true
        });
        read.count = read.messages.len();
        match looked {
            Ok(end) => {
                // Behind the last record there are offsets that none of this log has.
                if last.is_none() && failed.is_none() {
                    read.next_offset = read.max_offset;
                }
                read.log_behind = last.map_or(0, |last| end - last);
                read.suggest_replica = read.log_behind > settings.hot_bytes();
            }
            Err(error) => cannot_read(read, limits.wait, &error),
        }
        if let Some(error) = failed {
            cannot_read(read, limits.wait, &error);
        }
    }
}
