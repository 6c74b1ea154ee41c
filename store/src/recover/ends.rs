//! Where the queues end and begin once the log's end is known, and what is lost with what they had
//! behind it.

use super::Recovery;
use crate::Error;
use crate::commit_log::claimed_place;
use crate::consume_queue::{Queue, Unit};
use crate::log_reader::LogReader;
use message::record::{self, Entry};
use std::ops::Range;

impl Recovery<'_> {
    /// Drops what queues have behind the log's end, and says what is lost with it.
    pub(super) fn end_queues(&self, start: i64, end: i64) -> Result<(), Error> {
        let (is_foreign, losses) = (self.is_foreign, self.losses);
        let fresh_from = losses.fresh_from();
        for topic in self.queues.topics() {
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                let (from, to) = self.cut_queue(&queue, (&topic, id), end)?;
                let was_cut = is_foreign && self.clean;
                let dropped = match was_cut {
                    true => &losses.left_over,
                    false if queue.max() == to => &losses.kept,
                    false => &losses.behind,
                };
                dropped.note((&topic, id), from, to);
                let (from, to) = self.keep_behind(&queue, end)?;
                losses.kept.note((&topic, id), from, to);
                if is_foreign && queue.log_end() > start {
                    self.drop_stale(&queue, (&topic, id), start)?;
                }
                if let Some(fresh_from) = fresh_from {
                    let is_lost = |unit: &Unit| losses.is_fresh(unit.log_offset, unit.log_end());
                    let note = |from, to| losses.aside.note((&topic, id), from, to);
                    queue.count_lost(fresh_from, &is_lost, &note);
                }
            }
        }
        Ok(())
    }

    /// Drops the units of a queue that lead behind the log's end, but for one that does so because
    /// a bit of it has changed. Returns from which place on and how far.
    fn cut_queue(&self, queue: &Queue, name: (&str, i32), end: i64) -> Result<(i64, i64), Error> {
        let max = queue.max();
        let within = self.removed_topics.end_of(name.0)..end;
        let mut first = max;
        while let Some(place) = queue.first_behind(end)? {
            let unit = queue.raw_unit(place).unwrap_or(Unit::NONE);
            let meant = match queue.is_batch() {
                true => Ok(None),
                false => self.log.one_bit_off(&unit, (name, place), within.clone()),
            };
            if let Some(unit) = meant.unwrap_or(None)
                && queue.mend(place, unit)?
            {
                self.losses.mended.note(name, place, place + 1);
            } else {
                first = place;
                if self.keeps_offsets(queue, place, end) {
                    // Consumers may have read them: no other message gets their places.
                    self.keeps_places.set(true);
                    self.keep_places(queue, place)?;
                    return Ok((place, max));
                }
                queue.end_at(place, self.cutting)?;
            }
        }
        Ok((first.min(queue.max()), max))
    }

    /// Whether the units from `place` on, which lead behind the log's end, look like those of
    /// messages that were there: they may have been read.
    fn keeps_offsets(&self, queue: &Queue, place: i64, end: i64) -> bool {
        // Records begin where the log ends, none reaches over it.
        let begins_behind = queue.raw_unit(place).is_some_and(|unit| unit.log_offset >= end);
        // A start that was cut short may have made the last ones the places of lost messages.
        let to = if queue.ends_blank() { end + self.farthest() } else { queue.log_end() };
        let fits = has_room(queue.max() - place, to - end);
        self.keeps_any() && begins_behind && fits && self.is_near(to, end)
    }

    /// Whether offsets of lost messages are kept at all. Another broker gives them again, and a
    /// clean stop leaves no such unit.
    fn keeps_any(&self) -> bool {
        !self.is_foreign && !self.clean && !self.settings.cut_log_at_damage
    }

    /// A unit that leads farther away proves nothing.
    fn is_near(&self, log_offset: i64, end: i64) -> bool {
        log_offset - end <= self.farthest()
    }

    fn farthest(&self) -> i64 {
        2 * self.log.segments.file_bytes()
    }

    /// Keeps the offsets of lost messages that only units behind damage, or behind a lost file,
    /// know of: the queue ends before these in memory. Returns from which place on and how far.
    fn keep_behind(&self, queue: &Queue, end: i64) -> Result<(i64, i64), Error> {
        let max = queue.max();
        if !queue.is_damaged() || queue.is_batch() || !self.keeps_any() {
            return Ok((max, max));
        }
        // Records of places before it may have been in what is set aside.
        let lost = self.aside.bytes() as i64;
        let is_believed = |place: i64, unit: &Unit| {
            // A start that was cut short may have made the last one the place of a lost message.
            let to = if unit.is_blank() { end + self.farthest() } else { unit.log_end() };
            let begins_behind = unit.is_blank() || unit.log_offset >= end;
            let fits = has_room(place + 1 - max, to - end + lost);
            begins_behind && fits && self.is_near(to, end)
        };
        let Some(last) = queue.last_behind(&is_believed) else { return Ok((max, max)) };
        self.touch();
        self.keeps_places.set(true);
        queue.extend_to(last + 1)?;
        Ok((max, last + 1))
    }

    /// Drops the last units of a queue that lead into what was scanned, though no record of theirs
    /// is there: Java leaves old units behind the end of a queue that it cut.
    fn drop_stale(&self, queue: &Queue, name: (&str, i32), start: i64) -> Result<(), Error> {
        let is_stale = |place: i64, unit: &Unit| {
            if queue.is_batch() {
                return self.is_stale_batch(unit, name, start);
            }
            let is_known =
                unit.log_offset >= start && !self.aside.overlaps(unit.log_offset, unit.log_end());
            is_known && !self.log.leads_to(unit, name, Some(place)) && {
                // Java puts a record whose place is not the next one at the end.
                let claimed = self.place_at(unit.log_offset, name);
                let claimed = claimed.filter(|_| self.log.leads_to(unit, name, None));
                claimed.is_none_or(|claimed| {
                    let there = queue.raw_unit(claimed).filter(|_| claimed < place);
                    there.is_some_and(|there| there.log_offset == unit.log_offset)
                })
            }
        };
        let dropped = queue.drop_stale(&is_stale, self.cutting)?;
        self.losses.left_over.note(name, queue.max(), queue.max() + dropped);
        Ok(())
    }

    /// The place that the record at a log offset says it has in a queue.
    pub(super) fn place_at(&self, at: i64, name: (&str, i32)) -> Option<i64> {
        let segment = self.log.segments.find(at)?;
        match LogReader::default().entry(&segment, at, false) {
            Ok(Ok(Entry::Message(record))) => claimed_place(&record.claim(), name),
            _ => None,
        }
    }

    /// Takes from the files what they hold behind the ends of their queues, of all queues before
    /// any begins anew: a file expires only where a durable unit is behind it.
    fn cut_files(&self, durable: i64) -> Result<(), Error> {
        let mut longer = Vec::new();
        for topic in self.queues.topics() {
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                let lost = queue.settle_extension(self.clean, self.cutting)?;
                lost.iter().for_each(|at| self.losses.unextended.note((&topic, id), *at, at + 1));
                if queue.ends_before_files(durable, self.cutting.again) {
                    longer.push(queue);
                }
            }
        }
        self.queues.cut(&longer, self.cutting)
    }

    pub(super) fn settle_queues(&self, end: i64, durable: i64) -> Result<(), Error> {
        self.cut_files(durable)?;
        let log_min = self.log.min();
        for topic in self.queues.topics() {
            let begin = log_min.max(self.removed_topics.end_of(&topic));
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                let is_looked_at = queue.settle(log_min);
                // They may be there in memory alone, as a start left them that died.
                let keeps_places = !self.clean && queue.ends_blank();
                self.keeps_places.set(self.keeps_places.get() || keeps_places);
                if !is_looked_at {
                    continue;
                }
                self.mend_before_first(&queue, (&topic, id), begin..end)?;
                queue.expire(log_min)?;
            }
        }
        Ok(())
    }

    /// The unit before a queue's first one looks expired; a changed bit may make it look so.
    fn mend_before_first(
        &self,
        queue: &Queue,
        name: (&str, i32),
        within: Range<i64>,
    ) -> Result<(), Error> {
        let Some((place, unit, next)) = queue.unit_before_first() else { return Ok(()) };
        let offset = queue.offset_of(place);
        let within = within.start..next.unwrap_or(within.end);
        let meant = self.log.one_bit_off(&unit, (name, offset), within);
        if let Some(unit) = meant.unwrap_or(None)
            && queue.mend(place, unit)?
        {
            self.losses.mended.note(name, offset, queue.offset_of(place + 1));
        }
        Ok(())
    }
}

/// Whether so many records have room in so many bytes of the log.
fn has_room(count: i64, bytes: i64) -> bool {
    count <= bytes / record::FIXED_LEN as i64
}
