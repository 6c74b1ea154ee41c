//! Comparing the tags codes of queue units with the log beside the work, a little at a time: a unit
//! that leads to another record is mended by whoever reads it, but of one whose tags code alone is
//! wrong nobody reads the record, and those who want the tag never get the message.
//!
//! The same holds for a unit's entry in an extended queue: then the unit gets the tags code itself.
//!
//! Left alone: queues of inner batches, which say their tags once more in the record that is read;
//! delayed messages, whose code is a time; the bits of filters in an entry, which the log cannot
//! tell.

use crate::look::{LogWalk, Step};
use crate::losses::is_told;
use crate::marks::Marks;
use crate::mend::QueueName;
use crate::{Store, Unit, light};
use message::record::Record;
use message::{names, sys_flag};

/// Bytes of the log that one step reads, and the record that goes beyond.
const STEP_BYTES: i64 = 1 << 20;

/// The pass under way.
#[derive(Default)]
pub(crate) struct QueuePass {
    /// When it began, ms since the epoch; `None` when there was none yet.
    began_ms: Option<i64>,
    /// From the next record to where the log ended when the pass began.
    left: Option<(i64, i64)>,
}

impl Store {
    /// Compares the units of about a megabyte of the log and says how many bytes that were; 0 when
    /// there is nothing to do at `now`.
    pub(crate) fn scrub_queues(&self, pass: &mut QueuePass, now: i64, every_ms: i64) -> u64 {
        if pass.left.is_none() {
            let since = pass.began_ms.map(|began| now.saturating_sub(began));
            if since.is_some_and(|since| (0..every_ms).contains(&since)) {
                return 0;
            }
            let left = Some((self.log.min(), self.log.flushed_to()));
            *pass = QueuePass { began_ms: Some(now), left };
        }
        let Some((from, end)) = pass.left.map(|(at, end)| (at.max(self.log.min()), end)) else {
            return 0;
        };
        let aside = self.aside.ranges().iter().map(|range| (range.from, range.to)).collect();
        let run = self.log.segments.run();
        let mut walk = LogWalk::new(&*self.disk, run, aside, STEP_BYTES as usize);
        walk.jump(from);
        let mut is_over = from >= end;
        while !is_over && walk.at() - from < STEP_BYTES {
            match walk.step() {
                Ok(Step::Record) => {
                    if let Some(record) = walk.record() {
                        self.compare_units(&record);
                    }
                    is_over = walk.at() >= end;
                }
                Ok(Step::Gap(_)) => is_over = walk.at() >= end,
                // What stands there is looked into by the pass over the log.
                Ok(Step::End { .. }) | Err(_) => is_over = true,
            }
        }
        let read = (walk.at() - from).unsigned_abs();
        pass.left = (!is_over).then_some((walk.at(), end));
        read
    }

    /// Compares the units of a record, in its queue and in light ones.
    fn compare_units(&self, record: &Record<'_>) {
        if !sys_flag::is_visible(record.sys_flag) || record.topic == names::SCHEDULE_TOPIC {
            return;
        }
        let marks = Marks::read(record.properties);
        let tags_code = marks.tags_code(&self.settings, record.topic, record.store_timestamp);
        let Ok(size) = i32::try_from(record.total_size()) else { return };
        let unit = Unit { log_offset: record.log_offset, size, tags_code };
        let stored_ms = record.store_timestamp;
        let compare = |name, place| self.compare_unit(name, place, (unit, stored_ms));
        compare((record.topic, record.queue_id), record.queue_offset);
        if self.settings.light_queues {
            for (topic, place) in marks.light_places(record.topic) {
                compare((topic, light::QUEUE_ID), place);
            }
        }
    }

    fn compare_unit(
        &self,
        (topic, queue_id): QueueName<'_>,
        place: i64,
        (expected, stored_ms): (Unit, i64),
    ) {
        let queue = self.queues.find(topic, queue_id).filter(|queue| !queue.is_batch());
        let Some(queue) = queue else { return };
        let Ok(Some(unit)) = queue.unit_now(place) else { return };
        let is_same = (unit.log_offset, unit.size) == (expected.log_offset, expected.size);
        if !is_same {
            return;
        }
        let said = if unit.is_extended() {
            // Where it leads nowhere readers ask the record.
            let Some(entry) = self.entry_of(&queue, &unit) else { return };
            (entry.tags_code, entry.stored_ms)
        } else {
            (unit.tags_code, stored_ms)
        };
        if said == (expected.tags_code, stored_ms) {
            return;
        }
        if let Err(error) = queue.mend(place, expected) {
            tracing::error!(%error, "a queue unit could not be mended in its file");
            return;
        }
        self.stats.mended(1);
        let number = self.stats.units_mended();
        if is_told(number) {
            tracing::error!(
                number,
                topic,
                queue_id,
                queue_offset = place,
                "a queue unit had a wrong tags code and was made anew from the log: consumers that \
                 ask for tags may have been passed over; check the disk. Of many such lines only a \
                 few are written"
            );
        }
    }
}
