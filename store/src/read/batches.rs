//! Reading a queue whose records may hold many messages: a record comes as a whole, also where the
//! reader begins in its middle; it is the client that takes it apart.

use super::{Filter, Limits, READ_BYTES_MAX, READ_BYTES_MIN, Read, ReadStatus, cannot_read, most};
use crate::commit_log::is_record_of;
use crate::consume_queue::{BATCH_UNIT_LEN, BatchUnit, Queue};
use crate::log_reader::LogReader;
use crate::losses::is_told;
use crate::marks;
use crate::mend::{LOOKED_THROUGH_MAX, Led, QueueName, is_whole};
use crate::reach::Reach;
use crate::{Error, Settings, Store, Wait};
use message::record::{self, Entry};
use std::io::ErrorKind;
use std::ops::Range;

/// Places on either side of a damaged unit that are asked where to look for its record.
const NEIGHBOURS: i64 = 16;

/// A queue, its topic and id, and a place in it.
type BatchPlace<'a> = (&'a Queue, QueueName<'a>, i64);

/// What a read keeps from one record to the next.
struct Walk<'a> {
    settings: &'a Settings,
    limits: Limits,
    /// The queue offset that was asked for, or that of the first message behind it: what lies
    /// between them is lost, and no part of what a read looks through.
    from: i64,
    /// The end of the log when the read began.
    log_end: i64,
    /// Where the last record begins that was looked at.
    last: i64,
    /// Records before this log offset are in a file that is gone.
    skip_to: i64,
    reach: Reach,
    search: Search,
}

/// What one reader looked through of the log for the records of damaged units. Places of a long
/// damage ask for the same part of it.
#[derive(Default)]
struct Search {
    /// Bytes of the log that were looked through.
    bytes: i64,
    /// The last part that was, whether from its end on, and the units that its records make there.
    part: Option<(Range<i64>, bool)>,
    units: Vec<BatchUnit>,
}

/// Where the record of a damaged unit stands among those of its queue in a part of the log.
#[derive(Clone, Copy)]
enum Nth {
    /// So many records from its beginning on, 1 for the first.
    First(usize),
    /// From its end on.
    Last(usize),
}

impl Walk<'_> {
    /// Whether a record is too much for the answer, or too far from where the read began.
    fn ends_before(&self, batch: &BatchUnit, read: &Read) -> bool {
        let Limits { max_messages, max_bytes, .. } = self.limits;
        let scan = self.settings.filter_scan_bytes.max(max_messages * BATCH_UNIT_LEN) as i64;
        if (batch.base - self.from).saturating_mul(BATCH_UNIT_LEN as i64) >= scan {
            return true;
        }
        let max_bytes = max_bytes.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let hot = self.log_end - batch.unit.log_offset <= self.settings.hot_bytes();
        let allowed = most(self.settings, hot, (usize::MAX, max_bytes));
        // What the caller asks for bounds the messages with this record's, the settings those
        // before it.
        !read.messages.is_empty()
            && (read.count + batch.count as usize > max_messages
                || read.bytes + batch.unit.size as usize > allowed.1
                || read.count >= allowed.0)
    }
}

/// Where a unit ends that no record says the truth about: before the next one begins, also where
/// it says that it begins behind that.
fn end_within((queue, _, place): BatchPlace<'_>, batch: BatchUnit) -> i64 {
    batch.end().min(queue.batch_unit(place + 1).map_or(i64::MAX, |next| next.base))
}

impl Store {
    /// Walks the records from that of `read.next_offset` on, within one queue file.
    pub(super) fn read_batches(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        (limits, filter): (Limits, &dyn Filter),
        read: &mut Read,
    ) {
        let (settings, log_end) = (self.live(), self.log.written_to());
        let mut walk = Walk {
            settings: &settings,
            limits,
            from: read.next_offset,
            log_end,
            last: log_end,
            skip_to: i64::MIN,
            reach: Reach::new(limits.wait),
            search: Search::default(),
        };
        let first = self.batch_place(queue, name, (walk.from, limits.wait), &mut walk.search);
        let walked = first.and_then(|first| {
            let (mut place, last) = (first, queue.max().min(queue.next_file(first)));
            // Where no unit of a file leads on, those behind it have to: the reader comes again.
            let (asked, mut is_led, mut mended) = (read.next_offset, false, -1);
            while place < last || (read.next_offset == asked && place < queue.max()) {
                if read.next_offset != asked && walk.search.bytes >= LOOKED_THROUGH_MAX {
                    break;
                }
                let unit = queue.batch_unit_now(place, limits.wait)?;
                if let Some(unit) = unit.filter(|_| !is_led) {
                    is_led = true;
                    walk.from = walk.from.max(unit.base);
                }
                match unit {
                    // The reader begins in the middle of a damage.
                    Some(batch) if mended == place && batch.end() <= asked => {}
                    Some(batch) if walk.ends_before(&batch, read) => break,
                    Some(batch) => {
                        let at = (queue, name, place);
                        if !self.take_batch(at, batch, filter, (&mut walk, read)) {
                            break;
                        }
                    }
                    None if limits.wait == Wait::Never => {
                        return Err(later(queue));
                    }
                    None => {
                        let at = (queue, name, place);
                        if self.mended_batch(at, None, &mut walk.search).is_some() {
                            mended = place;
                            continue;
                        }
                        self.stats.skipped();
                    }
                }
                place += 1;
            }
            if place == queue.max() {
                // What follows are offsets of messages that are lost.
                read.next_offset = read.max_offset.max(read.next_offset);
            }
            Ok(())
        });
        if let Err(error) = walked {
            cannot_read(read, limits.wait, &error);
        }
        read.log_behind = log_end - walk.last;
        read.suggest_replica = read.log_behind > settings.hot_bytes();
    }

    /// The place of the unit that holds a queue offset, or of the first one behind it. Where units
    /// do not fit, as one that is damaged can lead the search astray, their records tell.
    fn batch_place(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        (offset, wait): (i64, Wait),
        search: &mut Search,
    ) -> Result<i64, Error> {
        let place = queue.place_of(offset, wait)?;
        let found = if place < queue.max() { queue.batch_unit_now(place, wait)? } else { None };
        if found.is_some_and(|batch| (batch.base..batch.end()).contains(&offset)) {
            return Ok(place);
        }
        if wait == Wait::Never {
            return Err(later(queue));
        }
        let (mut low, mut high) = (queue.min(), queue.max());
        while low < high {
            let middle = low + (high - low) / 2;
            let (mut at, mut unit) = (middle, queue.batch_unit(middle));
            // What is no unit belongs to what follows it: it is mended from what is before.
            while unit.is_none() && at + 1 < high {
                at += 1;
                unit = queue.batch_unit(at);
            }
            let place = (queue, name, at);
            let unit = unit.map(|it| self.mended_batch(place, Some(it), search).unwrap_or(it));
            let is_before = unit.is_some_and(|unit| unit.end() <= offset);
            if is_before { low = at + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// Up to so many units from that of the message at a queue offset on; a damaged one as the log
    /// has it, or not at all.
    pub(crate) fn batch_units(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        (offset, max): (i64, usize),
    ) -> Vec<BatchUnit> {
        let mut search = Search::default();
        let from = self.batch_place(queue, name, (offset, Wait::ForDisk), &mut search);
        let places = from.unwrap_or_else(|_| queue.max())..queue.max();
        let mut unit = |place| match queue.batch_unit_now(place, Wait::ForDisk) {
            Ok(None) => Ok(self.mended_batch((queue, name, place), None, &mut search)),
            read => read,
        };
        places.map_while(|place| unit(place).ok()).flatten().take(max).collect()
    }

    /// Gives the reader a record if it wants it, and says whether to go on.
    fn take_batch(
        &self,
        at: BatchPlace<'_>,
        batch: BatchUnit,
        filter: &dyn Filter,
        (walk, read): (&mut Walk<'_>, &mut Read),
    ) -> bool {
        let (unit, expected) = (batch.unit, read.next_offset);
        walk.last = unit.log_offset.min(walk.log_end);
        let fits = (batch.base..batch.end()).contains(&expected);
        if unit.log_offset < walk.skip_to || fits && !filter.wants_tags_code(unit.tags_code) {
            read.next_offset = end_within(at, batch).max(expected);
            return true;
        }
        let (batch, record) = match self.follow_batch(at, batch, walk) {
            (batch, Led::Record(record)) => (batch, record),
            (batch, Led::Nothing) => {
                read.next_offset =
                    if fits { end_within(at, batch).max(expected) } else { expected };
                return true;
            }
            (_, Led::Later) => {
                cannot_read(read, walk.limits.wait, &"the commit log cannot be read now");
                return false;
            }
            (batch, Led::Gone) => {
                if read.messages.is_empty() {
                    read.status = ReadStatus::MessageWasRemoving;
                }
                read.next_offset = end_within(at, batch).max(expected);
                walk.skip_to = self.log.next_file(unit.log_offset);
                return true;
            }
        };
        walk.skip_to = i64::MIN;
        if batch.end() <= expected {
            // Its unit said that it holds what was asked for; its record does not.
            return true;
        }
        read.next_offset = batch.end();
        if filter.wants_tags_code(batch.unit.tags_code) && filter.wants_record(&record) {
            read.bytes += record.len();
            read.count += batch.count as usize;
            read.messages.push(record);
            read.status = ReadStatus::Found;
        }
        true
    }

    /// The record of a unit, or none, and the unit as its record says it.
    fn follow_batch(
        &self,
        at: BatchPlace<'_>,
        batch: BatchUnit,
        walk: &mut Walk<'_>,
    ) -> (BatchUnit, Led) {
        let Walk { reach, search, .. } = walk;
        let ((_, name, _), unit) = (at, batch.unit);
        let Ok(record) = self.log.record_of(&unit, reach) else { return (batch, Led::Later) };
        let is_aside = self.aside.overlaps(unit.log_offset, unit.log_end());
        match record.filter(|bytes| is_record_of(bytes, &unit, name, None)) {
            Some(record) if !is_aside || is_whole(&record) => {
                let said = self.said_by(&record).filter(|said| *said != batch);
                let mended = said.and_then(|said| self.put_mended(at, said));
                return (mended.unwrap_or(batch), Led::Record(record));
            }
            None if reach.wait == Wait::Never => return (batch, Led::Later),
            None => {
                let is_gone = unit.log_offset < self.log.min();
                let mended = match is_gone || is_aside {
                    true => self.one_bit_off_batch(at, &batch),
                    false => self.mended_batch(at, Some(batch), search),
                };
                if let Some(mended) = mended
                    && let Ok(Some(record)) = self.log.record_of(&mended.unit, reach)
                {
                    return (mended, Led::Record(record));
                }
                if is_gone {
                    return (batch, Led::Gone);
                }
            }
            Some(_) => {}
        }
        self.stats.skipped();
        (batch, Led::Nothing)
    }

    fn said_by(&self, record: &[u8]) -> Option<BatchUnit> {
        match record::decode(record, false) {
            Ok(Entry::Message(record)) => marks::batch_unit(&record, &self.settings),
            _ => None,
        }
    }

    /// The unit of a place that leads to nothing of its own, when one bit was changed in it.
    fn one_bit_off_batch(&self, at: BatchPlace<'_>, batch: &BatchUnit) -> Option<BatchUnit> {
        let (_, name, _) = at;
        let within = self.removed_topics.end_of(name.0)..self.log.readable_to();
        let unit = self.log.one_bit_off(&batch.unit, (name, batch.base), within).ok()??;
        let record = self.record_of(&unit)?;
        let is_lost = self.aside.overlaps(unit.log_offset, unit.log_end()) && !is_whole(&record);
        let said = self.said_by(&record).filter(|_| !is_lost)?;
        self.put_mended(at, said)
    }

    /// The unit of a place as the log has it, when that is another one than `unit`: by the record
    /// that it leads to, or does with one bit changed, else by where it stands among those of the
    /// queue behind or before a place nearby whose unit is none of the damaged.
    fn mended_batch(
        &self,
        at: BatchPlace<'_>,
        unit: Option<BatchUnit>,
        search: &mut Search,
    ) -> Option<BatchUnit> {
        let (queue, name, place) = at;
        if let Some(unit) = unit.or_else(|| queue.broken_batch_unit(place)) {
            let record = self.record_of(&unit.unit);
            let record = record.filter(|bytes| is_record_of(bytes, &unit.unit, name, None));
            if let Some(record) = record {
                let said = self.said_by(&record).filter(|said| *said != unit)?;
                return self.put_mended(at, said);
            }
            if let Some(mended) = self.one_bit_off_batch(at, &unit) {
                return Some(mended);
            }
        }
        let sound = |places: &mut dyn Iterator<Item = i64>| {
            let unit = |place| queue.batch_unit(place).filter(|unit| self.is_sound(unit, name));
            places.zip(1..).find_map(|(place, far)| Some((unit(place)?, far)))
        };
        let before = sound(&mut (queue.min().max(place - NEIGHBOURS)..place).rev());
        let behind = sound(&mut (place + 1..queue.max().min(place + 1 + NEIGHBOURS)));
        let before = before.map(|(unit, far)| (unit.unit.log_end(), far));
        let begin = Some((self.log.min(), 1)).filter(|_| place == queue.min());
        let least = self.log.min().max(self.removed_topics.end_of(name.0));
        let end = behind.map_or_else(|| self.log.readable_to(), |(unit, _)| unit.unit.log_offset);
        let (part, nth) = match (before.or(begin), behind) {
            (Some((from, far)), _) => {
                let from = from.max(least);
                (from..end.min(from + LOOKED_THROUGH_MAX), Nth::First(far))
            }
            (None, Some((_, far))) => {
                let from = self.log.segments.start_for((end - LOOKED_THROUGH_MAX).max(least));
                (from.max(least)..end, Nth::Last(far))
            }
            (None, None) => return None,
        };
        self.put_mended(at, self.nth_own(name, part, nth, search)?)
    }

    /// Whether a unit leads to a record of its queue, or did before that expired or was lost.
    fn is_sound(&self, batch: &BatchUnit, name: QueueName<'_>) -> bool {
        let unit = &batch.unit;
        unit.log_offset < self.log.min()
            || self.aside.overlaps(unit.log_offset, unit.log_end())
            || self.log.leads_to(unit, name, None)
    }

    /// The unit of one of a queue's records in a part of the log, which is near an end of it.
    fn nth_own(
        &self,
        name: QueueName<'_>,
        part: Range<i64>,
        nth: Nth,
        search: &mut Search,
    ) -> Option<BatchUnit> {
        const MOST: usize = NEIGHBOURS as usize;
        let is_last = matches!(nth, Nth::Last(_));
        let asked = Some((part.clone(), is_last));
        if search.part != asked {
            search.part = asked;
            search.units.clear();
            let mut at_log = part.start;
            let mut reader = LogReader::default();
            while at_log < part.end
                && let Some(segment) = self.log.segments.find_from(at_log)
            {
                at_log = at_log.max(segment.start);
                match reader.entry(&segment, at_log, true) {
                    Ok(Ok(Entry::Message(record))) if record.log_offset == at_log => {
                        let said = marks::batch_unit(&record, &self.settings);
                        let is_own =
                            |said: &BatchUnit| is_record_of(record.raw, &said.unit, name, None);
                        search.units.extend(said.filter(is_own));
                        at_log += record.total_size() as i64;
                    }
                    Ok(Ok(Entry::Blank { .. })) => at_log = segment.end(),
                    _ => {
                        let end = self.aside.end_of(at_log);
                        if is_last {
                            // Of the records before it nobody knows how far from the end they are.
                            search.units.clear();
                        }
                        let Some(end) = end else { break };
                        at_log = end;
                    }
                }
                match (is_last, search.units.len()) {
                    (false, MOST..) => break,
                    (true, count) if count >= 2 * MOST => drop(search.units.drain(..MOST)),
                    _ => {}
                }
            }
            search.bytes += at_log - part.start;
        }
        let units = &search.units;
        match nth {
            Nth::First(far) => units.get(far - 1).copied(),
            Nth::Last(far) => units.len().checked_sub(far).map(|at| units[at]),
        }
    }

    /// Writes a unit over another one in its place, if it fits between its neighbours.
    fn put_mended(
        &self,
        (queue, name, place): BatchPlace<'_>,
        unit: BatchUnit,
    ) -> Option<BatchUnit> {
        let before = if place > queue.min() { queue.batch_unit(place - 1) } else { None };
        let behind = if place + 1 < queue.max() { queue.batch_unit(place + 1) } else { None };
        let fits = before.is_none_or(|before| before.end() <= unit.base)
            && behind.is_none_or(|behind| behind.base >= unit.end());
        if !fits || !queue.mend_batch(place, &unit).is_ok_and(|there| there) {
            return None;
        }
        self.stats.mended(1);
        let number = self.stats.units_mended();
        if is_told(number) {
            let (topic, queue_id) = name;
            tracing::error!(
                number,
                topic,
                queue_id,
                queue_offset = unit.base,
                leads_to = unit.unit.log_offset,
                "a damaged queue unit was made anew from the log; check the disk. Of many such \
                 lines only a few are written"
            );
        }
        Some(unit)
    }
}

/// What is not in memory, or does not fit, is looked at where there is time for it.
fn later(queue: &Queue) -> Error {
    Error::io("read", queue.dir())(ErrorKind::WouldBlock.into())
}
