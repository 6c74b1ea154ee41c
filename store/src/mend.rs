//! What a reader does with a queue unit that leads to no record, or to another one: a bit of the
//! queue's file or of the log has changed since it was written. The unit is looked for in the log
//! between its neighbours and made anew; what cannot be mended is passed over, loudly and once.

use crate::commit_log::{claimed_place, is_lasting, is_record_of};
use crate::consume_queue::{Queue, Unit};
use crate::log_reader::LogReader;
use crate::losses::is_told;
use crate::reach::{Reach, Wait};
use crate::read::{Everything, Limits, Position, ReadStatus};
use crate::{Aside, Error, Store, UNIT_LEN};
use bytes::Bytes;
use message::record::{self, Entry};
use std::io;

/// The most of the log that is looked through for one unit; before a queue's first one so much,
/// from the beginning of a file on.
pub(crate) const LOOKED_THROUGH_MAX: i64 = 256 << 20;
/// Neighbours that are asked where to look, on either side.
const NEIGHBOURS: i64 = 16;

/// A topic and a queue of it.
pub(crate) type QueueName<'a> = (&'a str, i32);

/// What a unit leads to.
pub(crate) enum Led {
    /// Its record.
    Record(Bytes),
    /// The file that had it is no longer there.
    Gone,
    /// Nothing that can be read.
    Nothing,
    /// The system does not let it be read now: too many open files, no memory. Or the reader does
    /// not wait.
    Later,
}

/// Where a record was looked for.
enum Sought {
    Found(Unit),
    NotThere,
    /// The unit is right, its record is not.
    Damaged,
    Unreadable,
}

/// A read that may succeed the next time failed: then nothing is known, and nothing is mended or
/// passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNow;

impl From<io::Error> for NotNow {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl From<Error> for NotNow {
    fn from(_: Error) -> Self {
        Self
    }
}

impl Store {
    /// The message at a place of a queue, and what its unit has for a tags code: for whoever goes
    /// through a queue without reading it as a consumer does. None where the place is empty, or its
    /// message damaged or no longer there. Of an inner batch it is the record that holds it.
    ///
    /// # Errors
    /// Nobody can say now.
    pub fn message_in(&self, at: Position<'_>) -> Result<Option<(Bytes, i64)>, NotNow> {
        let Some(queue) = self.queues.find(at.topic, at.queue_id) else { return Ok(None) };
        if queue.is_batch() || self.compactions.contains(at.topic) {
            return self.record_holding(at);
        }
        let mut bytes = [0; UNIT_LEN];
        if queue.read(at.offset, &mut bytes, Wait::ForDisk)? != Some(1) {
            return Ok(None);
        }
        let decoded = Unit::decode(&bytes);
        let record = self.message_of(at, &decoded.unwrap_or(Unit::NONE))?;
        let plain = decoded.filter(|unit| !unit.is_extended()).map(|unit| unit.tags_code);
        Ok(record.map(|record| {
            let tags_code = plain.unwrap_or_else(|| self.tags_code_of(&record));
            (record, tags_code)
        }))
    }

    /// The record that a consumer gets first from a place on, if it is the one of that place.
    fn record_holding(&self, at: Position<'_>) -> Result<Option<(Bytes, i64)>, NotNow> {
        let mut read = self.read(at, Limits::messages(1), &Everything);
        if read.status == ReadStatus::MessageWasRemoving {
            return Err(NotNow);
        }
        let record = read.messages.pop().filter(|record| match record::decode(record, false) {
            Ok(Entry::Message(record)) => record.queue_offset <= at.offset,
            _ => false,
        });
        Ok(record.map(|record| {
            let tags_code = self.tags_code_of(&record);
            (record, tags_code)
        }))
    }

    /// As [`Self::message_in`], by the unit of the place of a queue of single messages.
    ///
    /// # Errors
    /// Nobody can say now.
    pub fn message_of(&self, at: Position<'_>, unit: &Unit) -> Result<Option<Bytes>, NotNow> {
        let Position { topic, queue_id, offset } = at;
        let queue = self.queues.find(topic, queue_id).filter(|_| !unit.is_blank());
        let Some(queue) = queue else { return Ok(None) };
        let mut reach = Reach::new(Wait::ForDisk);
        match self.follow(&queue, (topic, queue_id), (offset, unit), &mut reach) {
            Led::Record(record) => Ok(Some(record)),
            Led::Gone | Led::Nothing => Ok(None),
            Led::Later => Err(NotNow),
        }
    }

    /// The record at a place of a queue, by its unit: that of this queue and place, or none.
    #[inline]
    pub(crate) fn follow(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        (place, unit): (i64, &Unit),
        reach: &mut Reach,
    ) -> Led {
        let Ok(record) = self.log.record_of(unit, reach) else { return Led::Later };
        match record.filter(|bytes| is_record_of(bytes, unit, name, Some(place))) {
            Some(record) => {
                let is_aside = self.aside.overlaps(unit.log_offset, unit.log_end());
                let is_lost = is_aside && !is_whole(&record);
                if is_lost { self.skip() } else { Led::Record(record) }
            }
            None => self.look_into(queue, name, (place, unit), reach).unwrap_or(Led::Later),
        }
    }

    /// The same where a unit leads to something else.
    #[cold]
    fn look_into(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        (place, unit): (i64, &Unit),
        reach: &mut Reach,
    ) -> Result<Led, NotNow> {
        if reach.wait == Wait::Never {
            // What is wrong here is looked into where there is time for it.
            return Err(NotNow);
        }
        if unit.log_offset < self.log.min() && self.one_bit_off(name, place, unit)?.is_none() {
            return Ok(Led::Gone);
        }
        let is_aside = self.aside.overlaps(unit.log_offset, unit.log_end());
        if is_aside && self.one_bit_off(name, place, unit)?.is_none() {
            return Ok(self.skip());
        }
        if self.is_moved(queue, name, place, unit)?
            && let Some(record) = self.log.record_of(unit, reach)?
        {
            return Ok(Led::Record(record));
        }
        self.mend(queue, name, place, unit)
    }

    fn skip(&self) -> Led {
        self.stats.skipped();
        Led::Nothing
    }

    /// Whether the record says another place and so does that of a neighbour, by as much: Java puts
    /// a record whose place is not the next one at the queue's end, and those behind it too.
    fn is_moved(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        place: i64,
        unit: &Unit,
    ) -> Result<bool, NotNow> {
        let by = |place: i64, unit: &Unit| {
            let bytes = self.log.record_of(unit, &mut Reach::new(Wait::ForDisk))?;
            let Some(bytes) = bytes else { return Ok(None) };
            let Ok(Entry::Message(record)) = record::decode(&bytes, false) else { return Ok(None) };
            let claimed = claimed_place(&record.claim(), name);
            let claimed = claimed.filter(|_| is_record_of(&bytes, unit, name, None));
            Ok::<_, NotNow>(claimed.map(|claimed| claimed - place))
        };
        let Some(own) = by(place, unit)? else { return Ok(false) };
        for near in [place - 1, place + 1] {
            if let Some(unit) = queue.unit_now(near)?.filter(|unit| !unit.is_blank())
                && by(near, &unit)? == Some(own)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn mend(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        place: i64,
        unit: &Unit,
    ) -> Result<Led, NotNow> {
        let (topic, queue_id) = name;
        let sought = self.seek(queue, name, place, unit)?;
        let log_offset = unit.log_offset;
        match sought {
            Sought::Found(unit) => {
                if let Err(error) = queue.mend(place, unit) {
                    tracing::error!(%error, "a queue unit could not be mended in its file");
                }
                self.stats.mended(1);
                let number = self.stats.units_mended();
                if is_told(number) {
                    tracing::error!(
                        number,
                        topic,
                        queue_id,
                        queue_offset = place,
                        led_to = log_offset,
                        leads_to = unit.log_offset,
                        "a damaged queue unit was made anew from the log; check the disk. Of many \
                         such lines only a few are written"
                    );
                }
                let record = self.log.record_of(&unit, &mut Reach::new(Wait::ForDisk))?;
                Ok(record.map_or(Led::Nothing, Led::Record))
            }
            Sought::Damaged => Ok(self.set_record_aside(name, place, unit)),
            Sought::NotThere => {
                let number = self.stats.units_skipped() + 1;
                if is_told(number) {
                    tracing::error!(
                        number,
                        topic,
                        queue_id,
                        queue_offset = place,
                        log_offset,
                        "a damaged queue unit leads to no record of its queue, and the log has \
                         none where it should be: the place is made blank and passed over; check \
                         the disk. Of many such lines only a few are written"
                    );
                }
                if let Err(error) = queue.mend(place, Unit::BLANK) {
                    tracing::error!(%error, "a queue unit could not be made blank in its file");
                }
                Ok(self.skip())
            }
            Sought::Unreadable => Ok(self.skip()),
        }
    }

    fn set_record_aside(&self, (topic, queue_id): QueueName<'_>, place: i64, unit: &Unit) -> Led {
        let (log_offset, number) = (unit.log_offset, self.stats.record_set_aside());
        // Where a file lost its end this is one range and not one for each record.
        let end = unit.log_end();
        let to = self.log.zeros_to(end, end + LOOKED_THROUGH_MAX).max(end);
        if is_told(number) {
            tracing::error!(
                number,
                topic,
                queue_id,
                queue_offset = place,
                log_offset,
                aside_to = to,
                "lost: the record of this message is damaged in the commit log. It is set aside, \
                 with what is lost behind it, and passed over; check the disk. Of many such lines \
                 only a few are written"
            );
        }
        let why = format!("the record of {topic} queue {queue_id} offset {place}");
        let aside = Aside { from: log_offset, to, found_ms: 0, why };
        if let Err(error) = self.aside.add(aside) {
            tracing::error!(%error, "what was set aside could not be noted");
        }
        self.stats.set_aside(&self.aside);
        self.skip()
    }

    /// Looks for the record of a place: where the unit leads with one bit changed, else between
    /// those of its neighbours.
    fn seek(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        place: i64,
        unit: &Unit,
    ) -> Result<Sought, NotNow> {
        let (topic, _) = name;
        if let Some(unit) = self.one_bit_off(name, place, unit)? {
            return Ok(Sought::Found(unit));
        }
        let (before, behind) = (
            self.sound(queue, name, (place - NEIGHBOURS..place).rev())?,
            self.sound(queue, name, place + 1..=place + NEIGHBOURS)?,
        );
        let end = behind.map_or_else(|| self.log.readable_to(), |unit| unit.log_offset);
        // The first message of the queue may be anywhere before the next one.
        let far = || self.log.segments.start_for((end - LOOKED_THROUGH_MAX).max(self.log.min()));
        let from = before.map_or_else(far, |unit| unit.log_end());
        let end = if before.is_some() { end.min(from + LOOKED_THROUGH_MAX) } else { end };
        // Before that, a record of the same place belongs to a topic that was removed.
        let mut at = from.max(self.removed_topics.end_of(topic));
        let mut reader = LogReader::default();
        // What lies there may come back, as when files are put back.
        let mut is_gap = self.aside.overlaps(at, end);
        while at < end {
            let Some(segment) = self.log.segments.find_from(at) else { break };
            is_gap |= segment.start > at;
            at = at.max(segment.start);
            let next = match reader.entry(&segment, at, true) {
                Err(error) if !is_lasting(&error) => return Err(NotNow),
                Err(_) if at == unit.log_offset => return Ok(Sought::Damaged),
                Err(_) => return Ok(Sought::Unreadable),
                Ok(Ok(Entry::Message(record))) if record.log_offset == at => {
                    let size = i32::try_from(record.total_size()).unwrap_or(0);
                    let found = Unit { log_offset: at, size, tags_code: unit.tags_code };
                    if is_record_of(record.raw, &found, name, Some(place)) {
                        let tags_code = self.tags_code(&record);
                        return Ok(Sought::Found(Unit { tags_code, ..found }));
                    }
                    Some(at + record.total_size() as i64)
                }
                Ok(Ok(Entry::Blank { .. })) => Some(segment.end()),
                _ => self.aside.end_of(at),
            };
            match next {
                Some(next) => at = next,
                None if at == unit.log_offset => return Ok(Sought::Damaged),
                // What is behind the damage is not known.
                None => return Ok(Sought::Unreadable),
            }
        }
        Ok(if is_gap { Sought::Unreadable } else { Sought::NotThere })
    }

    fn one_bit_off(
        &self,
        name: QueueName<'_>,
        place: i64,
        unit: &Unit,
    ) -> Result<Option<Unit>, NotNow> {
        let within = self.removed_topics.end_of(name.0)..self.log.readable_to();
        Ok(self.log.one_bit_off(unit, (name, place), within)?)
    }

    /// The first of some places whose unit leads to its record.
    fn sound(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        places: impl Iterator<Item = i64>,
    ) -> Result<Option<Unit>, NotNow> {
        for near in places {
            if let Some(unit) = queue.unit_now(near)?.filter(|unit| !unit.is_blank())
                && self.log.leads_to_now(&unit, name, Some(near))?
            {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }

    pub(crate) fn tags_code(&self, record: &record::Record<'_>) -> i64 {
        let marks = crate::marks::Marks::read(record.properties);
        marks.tags_code(&self.settings, record.topic, record.store_timestamp)
    }
}

/// Whether nothing of a record is damaged as far as that can be seen: an append seals properties in
/// which zeros were sent.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let Ok(Entry::Message(record)) = record::decode(bytes, true) else { return false };
    record::verify_property_crc(bytes).unwrap_or_else(|| !record.properties.contains(&0))
}
