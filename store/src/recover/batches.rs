//! A start's part that queues of inner batches have otherwise: their units have no places that the
//! records know.

use super::Recovery;
use super::claim::Claim;
use crate::consume_queue::{BatchUnit, Queue, Restored, Said, Unit};
use crate::log_reader::LogReader;
use crate::{Error, marks};
use message::record::{Entry, Record};

impl Recovery<'_> {
    /// [`Self::restore_in`] for a queue of batches.
    pub(super) fn restore_batch(
        &self,
        claim: &Claim<'_>,
        record: &Record<'_>,
        start: i64,
    ) -> Result<Option<i64>, Error> {
        if self.is_removed(claim, record.log_offset)? {
            return Ok(None);
        }
        let queue = self.queues.open(claim.topic, claim.queue_id);
        let Some(batch) = marks::batch_unit(record, self.settings) else { return Ok(None) };
        let batch = queue.likelier(batch, BatchUnit { base: record.queue_offset, ..batch });
        if record.log_offset >= queue.log_end() {
            self.touch();
        }
        let name = (claim.topic, claim.queue_id);
        let said = |unit: &Unit| {
            let is_own = self.log.leads_to(unit, name, None);
            let base = is_own.then(|| self.place_at(unit.log_offset, name)).flatten()?;
            Some(Said { base, count: self.count_at(unit.log_offset) })
        };
        match queue.restore_batch(batch, start, &said, self.cutting)? {
            Restored::Known | Restored::Unextended => Ok(None),
            Restored::Mended => {
                self.touch();
                self.losses.mended.note(name, batch.base, batch.end());
                Ok(None)
            }
            Restored::LacksOlder { from } => Ok(Some(from)),
        }
    }

    /// How many messages the record at a log offset says that it holds.
    fn count_at(&self, at: i64) -> Option<i16> {
        let segment = self.log.segments.find(at)?;
        match LogReader::default().entry(&segment, at, false) {
            Ok(Ok(Entry::Message(record))) => {
                marks::batch_unit(&record, self.settings).map(|batch| batch.count)
            }
            _ => None,
        }
    }

    /// Whether a unit leads into what was scanned from log offset `start` on, though no record of
    /// its queue is there.
    pub(super) fn is_stale_batch(&self, unit: &Unit, name: (&str, i32), start: i64) -> bool {
        let is_lost = self.aside.overlaps(unit.log_offset, unit.log_end());
        let is_known = unit.log_offset >= start && !is_lost;
        is_known && !self.log.leads_to(unit, name, None)
    }

    /// Drops the units from a place on and keeps the offsets that they gave.
    pub(super) fn keep_places(&self, queue: &Queue, place: i64) -> Result<(), Error> {
        if !queue.is_batch() {
            return queue.blank_from(place);
        }
        let end = queue.next_offset();
        queue.end_at(place, self.cutting)?;
        queue.extend_to(end).map(drop)
    }
}
