//! Reading: messages of a queue, single records, queries by key and by time. Statuses, next offsets
//! and limits are those of Java's `DefaultMessageStore.getMessage`. Queues of inner batches are
//! read in [`batches`], those of which the newest messages are kept in [`compacted`].

mod batches;
mod compacted;
mod entries;

use crate::consume_queue::{Queue, UNIT_LEN, Unit};
use crate::mend::{Led, NotNow, QueueName, is_whole};
use crate::reach::{Reach, Wait};
use crate::{Settings, Store};
use bytes::Bytes;
pub use entries::UnitEntry;
use entries::{Entries, Judged};
use message::record::{self, Entry};

/// Units that are read from a queue at once.
const UNITS_AT_ONCE: usize = 64;
const PAGE_BYTES: usize = UNITS_AT_ONCE * UNIT_LEN;
/// The most bytes that one read returns whatever the caller asks.
const READ_BYTES_MAX: usize = 128 << 20;
/// The fewest bytes that a caller can ask for.
const READ_BYTES_MIN: usize = 100;

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The queue within it.
    pub queue_id: i32,
    /// The queue offset.
    pub offset: i64,
}

/// How much a read may return. The first message comes whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub max_messages: usize,
    /// Bytes of all records together.
    pub max_bytes: usize,
    /// Whether it may take as long as the disk does.
    pub wait: Wait,
}

impl Limits {
    /// At most `max_messages`, no bytes limit of the caller, and time.
    pub fn messages(max_messages: usize) -> Self {
        Self { max_messages, max_bytes: READ_BYTES_MAX, wait: Wait::ForDisk }
    }
}

/// Which messages a reader wants.
pub trait Filter {
    /// Decides by the queue unit alone.
    fn wants_tags_code(&self, _tags_code: i64) -> bool {
        true
    }
    /// Whether that decides little, so that many more records are looked at than are wanted.
    fn judges_records(&self) -> bool {
        false
    }
    /// Decides by the bits that an extended queue has of a message, and when it was stored, ms
    /// since the epoch. They may seem to want one that the record says is not wanted.
    fn wants_bits(&self, _bits: &[u8], _stored_ms: i64) -> bool {
        true
    }
    /// Whether it wants every message, so that nothing has to be looked up for it.
    fn wants_all(&self) -> bool {
        false
    }
    /// Decides by the whole record; asked only when the first answer was yes.
    fn wants_record(&self, _record: &[u8]) -> bool {
        true
    }
}

/// Wants every message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Filter for Everything {
    fn wants_all(&self) -> bool {
        true
    }
}

/// What a read found (Java `GetMessageStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// At least one message.
    Found,
    /// There are messages, none that the filter wants; go on at the next offset.
    NoMatchedMessage,
    /// The log file of the message was just removed, or the disk does not answer; go on at the next
    /// offset.
    MessageWasRemoving,
    /// The queue's file is missing; go on at the next offset.
    OffsetFoundNull,
    /// Far beyond the end.
    OffsetOverflowBadly,
    /// Exactly at the end: wait for the next message.
    OffsetOverflowOne,
    /// Before the first message.
    OffsetTooSmall,
    /// The topic has no such queue.
    NoMatchedLogicQueue,
    /// The queue is empty.
    NoMessageInQueue,
    /// Nothing is known: it is not in memory, and the reader does not wait ([`Wait::Never`]).
    NotInMemory,
}

/// The answer to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What was found.
    pub status: ReadStatus,
    /// The records, lent from the log.
    pub messages: Vec<Bytes>,
    /// How many messages they are; an inner batch counts for as many as it holds.
    pub count: usize,
    /// Bytes of all records together.
    pub bytes: usize,
    /// Where to go on.
    pub next_offset: i64,
    /// The queue's first offset.
    pub min_offset: i64,
    /// The offset behind the queue's last message.
    pub max_offset: i64,
    /// Bytes between the last record looked at and the log's end.
    pub log_behind: i64,
    /// What was read is so far behind that it cannot be in memory: a replica should serve it.
    pub suggest_replica: bool,
}

/// Which end of equal times is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The first message stored at or after the time.
    Lower,
    /// The last message stored at or before the time.
    Upper,
}

/// The answer to a query by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Records whose key has the hash asked for, in log order. Another key may have the same hash:
    /// compare before trusting.
    pub records: Vec<Bytes>,
    /// Store time of the newest indexed record, ms since the epoch; 0 when nothing was found.
    pub index_last_update_timestamp: i64,
    /// Log offset of the newest indexed record; 0 when nothing was found.
    pub index_last_update_log_offset: i64,
}

impl Store {
    /// Reads messages of a queue from a position on.
    pub fn read(&self, from: Position<'_>, limits: Limits, filter: &dyn Filter) -> Read {
        let Position { topic, queue_id, offset } = from;
        let mut read = Read {
            status: ReadStatus::NoMatchedLogicQueue,
            messages: Vec::new(),
            count: 0,
            bytes: 0,
            next_offset: 0,
            min_offset: 0,
            max_offset: 0,
            log_behind: 0,
            suggest_replica: false,
        };
        if let Some(queue) = self.compactions.find(topic, queue_id) {
            self.read_compacted(&queue, offset, limits, &mut read);
            return read;
        }
        let Some(queue) = self.queues.find(topic, queue_id) else { return read };
        (read.min_offset, read.max_offset) = (queue.first_offset(), queue.end_offset());
        (read.status, read.next_offset) = match offset {
            _ if read.max_offset == 0 => (ReadStatus::NoMessageInQueue, 0),
            _ if offset < read.min_offset && self.compactions.lacks_queues(topic) => {
                // What is there cannot be read now, and is not passed over.
                (ReadStatus::MessageWasRemoving, offset)
            }
            _ if offset < read.min_offset => (ReadStatus::OffsetTooSmall, read.min_offset),
            _ if offset == read.max_offset => (ReadStatus::OffsetOverflowOne, offset),
            _ if offset > read.max_offset => (ReadStatus::OffsetOverflowBadly, read.max_offset),
            _ => (ReadStatus::NoMatchedMessage, offset),
        };
        let name = (topic, queue_id);
        match (read.status, queue.is_batch()) {
            (ReadStatus::NoMatchedMessage, false) => {
                self.read_units(&queue, name, (limits, filter), &mut read);
                read.count = read.messages.len();
            }
            (ReadStatus::NoMatchedMessage, true) => {
                self.read_batches(&queue, name, (limits, filter), &mut read);
            }
            _ => {}
        }
        read
    }

    /// Walks the units from `read.next_offset` on, within one queue file.
    fn read_units(
        &self,
        queue: &Queue,
        name: QueueName<'_>,
        (limits, filter): (Limits, &dyn Filter),
        read: &mut Read,
    ) {
        let first = read.next_offset;
        let max_bytes = limits.max_bytes.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let (settings, asked) = (self.live(), (limits.max_messages, max_bytes));
        let (hot_most, cold_most) = (most(&settings, true, asked), most(&settings, false, asked));
        let scan_bytes = settings.filter_scan_bytes.max(limits.max_messages * UNIT_LEN);
        let last = read.max_offset.min(queue.next_file(first)).min(first + to_units(scan_bytes));
        let (log_end, hot_bytes) = (self.log.written_to(), settings.hot_bytes());
        let (mut last_log_offset, mut skip_to, mut page) = (log_end, i64::MIN, [0; PAGE_BYTES]);
        let (mut reach, mut entries) = (Reach::new(limits.wait), Entries::of(queue, filter));
        read.messages.reserve(limits.max_messages.min(UNITS_AT_ONCE));
        'all: while read.next_offset < last {
            let units = next_units(queue, read, (last, limits.wait), &mut page);
            let Some(units) = units else { break };
            let known = self.load(units, (limits, filter), &mut entries, (&mut reach, read));
            let Some(known) = known else { break };
            for (at, bytes) in units.iter().enumerate() {
                let decoded = Unit::decode(bytes);
                let unit = decoded.unwrap_or(Unit::NONE);
                let is_hot = log_end - unit.log_offset <= hot_bytes;
                if is_full(read, &unit, if is_hot { hot_most } else { cold_most }) {
                    break 'all;
                }
                last_log_offset = unit.log_offset.min(log_end);
                read.next_offset += 1;
                if unit.is_blank() || unit.log_offset < skip_to {
                    continue;
                }
                let verdict = known.verdict(at, decoded, filter);
                if verdict == Some(false) {
                    continue;
                }
                if !self.log.is_recent(unit.log_offset) {
                    reach.plan(&units[at..]);
                }
                let place = (read.next_offset - 1, &unit);
                let record = match self.follow(queue, name, place, &mut reach) {
                    Led::Record(record) => record,
                    Led::Nothing => continue,
                    Led::Later => {
                        read.next_offset -= 1;
                        cannot_read(read, limits.wait, &"the commit log cannot be read now");
                        break 'all;
                    }
                    Led::Gone => {
                        if read.messages.is_empty() {
                            read.status = ReadStatus::MessageWasRemoving;
                        }
                        skip_to = self.log.next_file(unit.log_offset);
                        continue;
                    }
                };
                skip_to = i64::MIN;
                let wants_tags = || filter.wants_tags_code(self.tags_code_of(&record));
                if verdict.unwrap_or_else(wants_tags) && filter.wants_record(&record) {
                    read.bytes += record.len();
                    read.messages.push(record);
                    read.status = ReadStatus::Found;
                }
            }
        }
        read.log_behind = log_end - last_log_offset;
        read.suggest_replica = read.log_behind > hot_bytes;
    }

    /// Has the records loaded that are likely to be looked at, and says what is known without them;
    /// none where the read ends.
    fn load(
        &self,
        units: &[[u8; UNIT_LEN]],
        (limits, filter): (Limits, &dyn Filter),
        entries: &mut Option<Entries<'_>>,
        (reach, read): (&mut Reach, &mut Read),
    ) -> Option<Judged> {
        let judged = match entries {
            None => Judged::default(),
            Some(entries) => {
                let judged = entries.judge(units, filter, limits.wait);
                judged.inspect_err(|error| cannot_read(read, limits.wait, error)).ok()?
            }
        };
        let looked_at = if filter.judges_records() { units.len() } else { limits.max_messages };
        let first = units.iter().map_while(Unit::decode).take(looked_at);
        if judged.is_empty() {
            self.log.load(first.filter(|unit| filter.wants_tags_code(unit.tags_code)), reach);
        } else {
            let wanted = first.enumerate().filter(|(at, _)| judged.is_wanted(*at));
            self.log.load(wanted.map(|(_, unit)| unit), reach);
        }
        Some(judged)
    }

    /// The queue's first offset; 0 when there is no such queue.
    pub fn min_offset(&self, topic: &str, queue_id: i32) -> i64 {
        self.queues.find(topic, queue_id).map_or(0, |queue| queue.first_offset())
    }

    /// The offset behind the queue's last readable message; 0 when there is no such queue.
    pub fn max_offset(&self, topic: &str, queue_id: i32) -> i64 {
        self.queues.find(topic, queue_id).map_or(0, |queue| queue.end_offset())
    }

    /// Whether a queue of a topic has a message, also one that nobody may read yet.
    pub fn has_messages(&self, topic: &str) -> bool {
        self.queues.ids(topic).into_iter().any(|queue_id| {
            let queue = self.queues.find(topic, queue_id);
            queue.is_some_and(|queue| queue.first_offset() < queue.next_offset())
        })
    }

    /// The offset behind the last message that a read gives now: a compacted queue may follow later
    /// than its consume queue goes on.
    pub fn read_to(&self, topic: &str, queue_id: i32) -> i64 {
        match self.compactions.find(topic, queue_id) {
            Some(queue) => queue.ends().1,
            None => self.max_offset(topic, queue_id),
        }
    }

    /// One unit of a queue: that of the record that holds the message at a queue offset.
    pub fn unit(&self, topic: &str, queue_id: i32, offset: i64) -> Option<Unit> {
        let queue = self.queues.find(topic, queue_id)?;
        let place = queue.place_holding(offset)?;
        queue.unit(place).map(|unit| self.plain(&queue, unit))
    }

    /// The unit with the tags code itself.
    fn plain(&self, queue: &Queue, unit: Unit) -> Unit {
        let known = self.entry_of(queue, &unit).map(|entry| entry.tags_code);
        let record = || unit.is_extended().then(|| self.record_of(&unit)).flatten();
        let told = || record().map(|record| self.tags_code_of(&record));
        Unit { tags_code: known.or_else(told).unwrap_or(unit.tags_code), ..unit }
    }

    /// The tags code that a record says; 0 when it is none.
    pub(crate) fn tags_code_of(&self, record: &[u8]) -> i64 {
        match record::decode(record, false) {
            Ok(Entry::Message(record)) => self.tags_code(&record),
            _ => 0,
        }
    }

    /// Up to `max` units of a queue from that of the message at `offset` on, for tools and for
    /// delayed delivery.
    pub fn units(&self, topic: &str, queue_id: i32, offset: i64, max: usize) -> Vec<Unit> {
        let Some(queue) = self.queues.find(topic, queue_id) else { return Vec::new() };
        if queue.is_batch() {
            let all = self.batch_units(&queue, (topic, queue_id), (offset, max));
            return all.into_iter().map(|batch| batch.unit).collect();
        }
        let from = offset.max(queue.min());
        let count = (queue.max() - from).clamp(0, i64::try_from(max).unwrap_or(i64::MAX));
        let mut all = Vec::with_capacity(count as usize);
        let mut bytes = [0; UNITS_AT_ONCE * UNIT_LEN];
        while (all.len() as i64) < count {
            let wanted = (count as usize - all.len()).min(UNITS_AT_ONCE);
            let (at, out) = (from + all.len() as i64, &mut bytes[..wanted * UNIT_LEN]);
            let read = queue.read(at, out, Wait::ForDisk);
            let Some(read) = read.ok().flatten().filter(|read| *read > 0) else { break };
            for bytes in &bytes.as_chunks::<UNIT_LEN>().0[..read] {
                let place = from + all.len() as i64;
                let Some(unit) = Unit::decode(bytes) else {
                    // Mends it, or makes it blank; where nobody knows now, it ends.
                    let (name, mut reach) = ((topic, queue_id), Reach::new(Wait::ForDisk));
                    let led = self.follow(&queue, name, (place, &Unit::NONE), &mut reach);
                    match (led, queue.unit_now(place)) {
                        (Led::Later, _) | (_, Err(_)) => return all,
                        (_, Ok(unit)) => {
                            all.push(self.plain(&queue, unit.unwrap_or(Unit::BLANK)));
                        }
                    }
                    continue;
                };
                all.push(self.plain(&queue, unit));
            }
        }
        all
    }

    /// When the message at a queue offset was stored, ms since the epoch.
    pub fn store_time(&self, topic: &str, queue_id: i32, offset: i64) -> Option<i64> {
        self.log.store_time(self.unit(topic, queue_id, offset)?.log_offset)
    }

    /// When the first message of a queue was stored, ms since the epoch.
    pub fn earliest_store_time(&self, topic: &str, queue_id: i32) -> Option<i64> {
        self.store_time(topic, queue_id, self.min_offset(topic, queue_id))
    }

    /// When the first message of the whole log was stored, ms since the epoch.
    pub fn earliest_log_time(&self) -> Option<i64> {
        self.log.store_time(self.min_log_offset())
    }

    /// The queue offset by time (ms since the epoch). Lower: the first message stored at or after
    /// it with the empty places before that, the offset behind the last one when there is none.
    /// Upper: the last message stored at or before it, 0 when there is none (Java
    /// `ConsumeQueue.getOffsetInQueueByTime`).
    pub fn offset_by_time(&self, topic: &str, queue_id: i32, time: i64, end: Boundary) -> i64 {
        let found = self.offset_by_time_now((topic, queue_id), time, end, Wait::ForDisk);
        found.unwrap_or_else(|NotNow| self.max_offset(topic, queue_id))
    }

    /// As [`Self::offset_by_time`], by one who may be in a hurry.
    ///
    /// # Errors
    /// It takes more patience.
    pub fn offset_by_time_now(
        &self,
        (topic, queue_id): QueueName<'_>,
        time: i64,
        end: Boundary,
        wait: Wait,
    ) -> Result<i64, NotNow> {
        let Some(queue) = self.queues.find(topic, queue_id) else { return Ok(0) };
        if queue.is_batch() {
            let patient = (wait == Wait::ForDisk).then(|| queue.offset_by_time(time, end));
            return patient.ok_or(NotNow);
        }
        let (places, mut reach) = (queue.min()..queue.max(), Reach::new(wait));
        let after = queue.partition_now(places.clone(), wait, |unit| {
            Ok(self.stored_at(unit, &mut reach)?.map(|stored| match end {
                Boundary::Lower => stored < time,
                Boundary::Upper => stored <= time,
            }))
        })?;
        Ok(match end {
            Boundary::Lower => after,
            Boundary::Upper if after > places.start => after - 1,
            Boundary::Upper => 0,
        })
    }

    /// When the message of a unit was stored; `None` where there is none.
    fn stored_at(&self, unit: &Unit, reach: &mut Reach) -> Result<Option<i64>, NotNow> {
        if unit.is_blank() {
            return Ok(None);
        }
        if self.aside.overlaps(unit.log_offset, unit.log_end()) {
            let record = self.message_now(unit.log_offset, reach.wait)?;
            return Ok(record.and_then(|record| record::store_timestamp(&record)));
        }
        if unit.log_offset < self.log.min() {
            // What expired is older than what did not.
            return Ok(Some(0));
        }
        Ok(self.log.store_time_now(unit.log_offset, reach)?)
    }

    /// The record that begins at a log offset; none that is damaged where the log was set aside.
    pub fn message_at(&self, log_offset: i64) -> Option<Bytes> {
        self.message_now(log_offset, Wait::ForDisk).unwrap_or(None)
    }

    /// As [`Self::message_at`]; a read that may succeed the next time, or with more patience, is an
    /// error.
    ///
    /// # Errors
    /// Nobody can say now.
    pub fn message_now(&self, log_offset: i64, wait: Wait) -> Result<Option<Bytes>, NotNow> {
        let Some(record) = self.log.record(log_offset, wait)? else { return Ok(None) };
        let is_aside = self.aside.overlaps(log_offset, log_offset + record.len() as i64);
        Ok((!is_aside || is_whole(&record)).then_some(record))
    }

    /// The bytes that a [`Unit`] leads to, if they can be read.
    pub fn record_of(&self, unit: &Unit) -> Option<Bytes> {
        self.log.record_of(unit, &mut Reach::new(Wait::ForDisk)).unwrap_or(None)
    }

    /// Finds records by key or unique key, stored from `begin` to `end` (ms since the epoch).
    pub fn query(&self, topic: &str, key: &str, max: usize, (begin, end): (i64, i64)) -> Query {
        let mut answer = Query::default();
        let Some(index) = &self.index else { return answer };
        if let Err(error) = self.wait_for_room(self.put_index_keys()) {
            self.fence(&error);
        }
        let max = max.min(self.live().query_messages);
        let found = index.query(topic, key, (begin, end), max);
        if !found.log_offsets.is_empty() {
            answer.index_last_update_timestamp = found.last_time;
            answer.index_last_update_log_offset = found.last_offset;
        }
        let records = found.log_offsets.iter().filter_map(|offset| self.message_at(*offset));
        answer.records = records.collect();
        answer
    }
}

/// Copies units from `read.next_offset` to `last` and gives them, at least one; none where the read
/// ends.
fn next_units<'a>(
    queue: &Queue,
    read: &mut Read,
    (last, wait): (i64, Wait),
    out: &'a mut [u8; PAGE_BYTES],
) -> Option<&'a [[u8; UNIT_LEN]]> {
    let wanted = ((last - read.next_offset) as usize).min(UNITS_AT_ONCE);
    let out = &mut out[..wanted * UNIT_LEN];
    let some = queue.read(read.next_offset, out, wait);
    let some = some.inspect_err(|error| cannot_read(read, wait, error)).ok()?;
    let some = some.filter(|some| *some > 0);
    if some.is_none() && read.messages.is_empty() {
        read.status = ReadStatus::OffsetFoundNull;
        read.next_offset = queue.next_file(read.next_offset);
    }
    Some(&out.as_chunks().0[..some?])
}

/// The disk does not answer: what was found so far is given, and nothing is passed over. With
/// nothing found the reader is to try again where it was. One that does not wait for the disk is to
/// come again with more patience.
fn cannot_read(read: &mut Read, wait: Wait, why: &dyn std::fmt::Display) {
    if wait == Wait::Never {
        if read.messages.is_empty() {
            read.status = ReadStatus::NotInMemory;
        }
        return;
    }
    tracing::error!(offset = read.next_offset, %why, "messages cannot be read");
    if read.messages.is_empty() {
        read.status = ReadStatus::MessageWasRemoving;
    }
}

/// The most messages and bytes of a read, by what it asks for and by what the settings allow where
/// it reads.
fn most(settings: &Settings, hot: bool, asked: (usize, usize)) -> (usize, usize) {
    let (messages, bytes) = if hot {
        (settings.hot_read_messages, settings.hot_read_bytes)
    } else {
        (settings.cold_read_messages, settings.cold_read_bytes)
    };
    (messages.min(asked.0), bytes.min(asked.1))
}

/// Whether one more record would be too much.
fn is_full(read: &Read, unit: &Unit, (max_messages, max_bytes): (usize, usize)) -> bool {
    !read.messages.is_empty()
        && (read.messages.len() >= max_messages || read.bytes + unit.size as usize > max_bytes)
}

fn to_units(bytes: usize) -> i64 {
    bytes.div_ceil(UNIT_LEN) as i64
}
