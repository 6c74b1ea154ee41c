//! The queues beside the log: each record of a walk through the log takes its unit, and what is
//! left over leads nowhere. Of each queue a few units are in memory.
//!
//! A topic that was deleted and made again begins its queues anew at 0, while its old records are
//! still in the log. That is seen only when the new life begins, so what seems wrong with a queue
//! is held back until its end.

use super::damage::{Kind, Place, Tally};
use super::entry_walk::EntryWalk;
use super::files::Run;
use super::marks::Unsettled;
use crate::batch_topics;
use crate::consume_queue::{BatchUnit, Shape, UNIT_LEN, Unit};
use crate::disk::peek;
use crate::light;
use crate::marks::is_from_a_level;
use crate::{Disk, Error, Settings};
use message::Str;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Bytes that the units of all queues may take.
const MEMORY: usize = 48 << 20;
/// Units of one queue that are read at once.
const UNITS_AT_ONCE: std::ops::RangeInclusive<usize> = 16..=3_000;

/// What a record says of its unit.
#[derive(Clone)]
pub(super) struct Expected<'a> {
    pub(super) topic: &'a str,
    pub(super) queue_id: i32,
    pub(super) queue_offset: i64,
    pub(super) unit: Unit,
    /// When a message was stored whose tags code is the time that a level gave it.
    pub(super) delayed_since: Option<i64>,
    /// The unit if the queue is one of batches; `None` where the record says that it holds nothing.
    pub(super) batch: Option<BatchUnit>,
    /// Whether the unit must be there by now.
    pub(super) settled: bool,
    /// Its tags may be lost: the unit still has them.
    pub(super) is_torn: bool,
    /// The record, for messages.
    pub(super) place: Place,
}

impl Expected<'_> {
    /// Whether a tags code may be right: levels may have been others when the unit was written.
    fn allows(&self, tags_code: i64) -> bool {
        let of_a_level = |stored| is_from_a_level(tags_code, stored);
        tags_code == self.unit.tags_code || self.delayed_since.is_some_and(of_a_level)
    }

    fn is_said_by(&self, unit: &Unit) -> bool {
        let code = if self.allows(unit.tags_code) { unit.tags_code } else { self.unit.tags_code };
        unit.says_same(&Unit { tags_code: code, ..self.unit })
    }
}

/// Ranges of the log that nobody can say anything about.
#[derive(Default)]
pub(super) struct Unknown {
    /// The log's first byte.
    pub(super) from: i64,
    pub(super) gaps: Vec<(i64, i64)>,
}

impl Unknown {
    pub(super) fn holds(&self, log_offset: i64) -> bool {
        log_offset < self.from
            || self.gaps.iter().any(|(from, to)| (*from..*to).contains(&log_offset))
    }
}

/// All queues.
pub(super) struct QueueWalk<'a> {
    disk: &'a dyn Disk,
    units_at_once: usize,
    topics: HashMap<String, HashMap<i32, Queue>>,
    pub(super) unknown: Unknown,
    pub(super) units: u64,
    /// How many queues there are.
    pub(super) total: u64,
    /// Records without a unit that may still get one.
    pub(super) pending: Unsettled,
    /// Topics that have no queues at all: how many records, and where the first one is.
    pub(super) without_queues: HashMap<String, (u64, i64)>,
    /// Places in light queues that are not there.
    pub(super) without_light: u64,
    /// Units that lead to nothing in `consumequeue_ext`.
    pub(super) without_entry: u64,
    /// Where the log ended when topics were removed.
    pub(super) removed: BTreeMap<Str, i64>,
    /// How many records topics have from before they were deleted.
    pub(super) deleted: BTreeMap<String, u64>,
    /// Records for which their topic has no such queue.
    strays: BTreeMap<String, Strays>,
    pub(super) damage: Tally,
}

/// Records of one topic that has queues, but not theirs.
struct Strays {
    count: u64,
    first: Place,
    /// The log offset of the last one.
    last: i64,
}

struct Queue {
    run: Run,
    shape: Shape,
    /// The place whose unit nobody has claimed yet.
    next: i64,
    from: i64,
    buffer: Vec<u8>,
    units: u64,
    entries: EntryWalk,
    /// A file that was looked for in vain.
    missing: Option<i64>,
    /// The log offset at which the queue began anew.
    born: Option<i64>,
    /// What is wrong, unless the queue begins anew.
    damage: Tally,
}

impl<'a> QueueWalk<'a> {
    /// Over queues, whose files should be as long as the settings say.
    pub(super) fn new(
        disk: &'a dyn Disk,
        queues: Vec<(String, i32, PathBuf)>,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let at_once = MEMORY / UNIT_LEN / queues.len().max(1);
        let mut walk = Self {
            disk,
            units_at_once: at_once.clamp(*UNITS_AT_ONCE.start(), *UNITS_AT_ONCE.end()),
            topics: HashMap::new(),
            unknown: Unknown::default(),
            units: 0,
            total: queues.len() as u64,
            pending: Unsettled::default(),
            without_queues: HashMap::new(),
            without_light: 0,
            without_entry: 0,
            removed: BTreeMap::new(),
            deleted: BTreeMap::new(),
            strays: BTreeMap::new(),
            damage: Tally::default(),
        };
        for (topic, id, dir) in queues {
            let run = Run::list(disk, &dir)?;
            let shape = shape_of(settings, &dir);
            let file_bytes = shape.file_bytes;
            for file in run.files.iter().filter(|file| file.len != file_bytes) {
                let place = Place::at(&run.path(file.start), file.len);
                let place = place.queue(&topic, id, file.start / shape.unit_len as i64);
                walk.damage.add(Kind::QueueFile, place, || {
                    format!("the file has {} bytes, expected {file_bytes}", file.len)
                });
            }
            walk.topics.entry(topic).or_default().insert(id, Queue::new(run, shape));
        }
        Ok(walk)
    }

    /// The log offset behind the last record that any queue has a unit of.
    pub(super) fn log_end(&mut self) -> Result<i64, Error> {
        let mut end = 0;
        let reader = Reader { disk: self.disk, units_at_once: self.units_at_once };
        for queue in self.topics.values_mut().flat_map(HashMap::values_mut) {
            let last = queue.last(reader)?;
            end = end.max(last.map_or(0, |(_, unit)| unit.log_end()));
        }
        Ok(end)
    }

    /// Takes the next record of the log.
    pub(super) fn take(&mut self, record: Expected<'_>) -> Result<(), Error> {
        let log_offset = record.unit.log_offset;
        if self.removed.get(record.topic).is_some_and(|end| log_offset < *end) {
            self.note_deleted(record.topic, 1);
            return Ok(());
        }
        let queue = self.topics.get_mut(record.topic).map(|ids| ids.get_mut(&record.queue_id));
        let Some(queue) = queue else {
            if !record.settled {
                self.pending.note(record.unit.log_offset);
            } else if let Some((count, _)) = self.without_queues.get_mut(record.topic) {
                *count += 1;
            } else {
                self.without_queues.insert(record.topic.to_owned(), (1, record.unit.log_offset));
            }
            return Ok(());
        };
        let Some(queue) = queue else {
            if !record.settled {
                self.pending.note(log_offset);
            } else if let Some(strays) = self.strays.get_mut(record.topic) {
                (strays.count, strays.last) = (strays.count + 1, log_offset);
            } else {
                let strays = Strays { count: 1, first: record.place, last: log_offset };
                self.strays.insert(record.topic.to_owned(), strays);
            }
            return Ok(());
        };
        let reader = Reader { disk: self.disk, units_at_once: self.units_at_once };
        match queue.shape.is_batch() {
            true => queue.take_batch(&record, reader, &self.unknown, &mut self.pending),
            false => queue.take(&record, reader, &self.unknown, &mut self.pending),
        }
    }

    /// Takes the next record of the log for the queue of its topic and for light ones. One of these
    /// that is not there was removed, or its broker did not dispatch to such queues.
    pub(super) fn take_all<'r>(
        &mut self,
        own: Expected<'r>,
        light: impl Iterator<Item = (&'r str, i64)>,
    ) -> Result<(), Error> {
        for (topic, queue_offset) in light {
            let queue_id = light::QUEUE_ID;
            if self.topics.get(topic).is_some_and(|ids| ids.contains_key(&queue_id)) {
                self.take(Expected { topic, queue_id, queue_offset, ..own.clone() })?;
            } else {
                self.without_light += 1;
            }
        }
        self.take(own)
    }

    fn note_deleted(&mut self, topic: &str, count: u64) {
        match self.deleted.get_mut(topic) {
            Some(deleted) => *deleted += count,
            None => drop(self.deleted.insert(topic.to_owned(), count)),
        }
    }

    /// Judges the records of a topic for which it has no queue. When a queue of it began anew
    /// behind them, the topic was deleted and made again, and they are none of its messages.
    fn judge_strays(&mut self, topic: &str, born: Option<i64>) {
        let Some(Strays { count, first, last }) = self.strays.remove(topic) else { return };
        if born.is_some_and(|born| last < born) {
            self.note_deleted(topic, count);
            return;
        }
        for _ in 0..count {
            self.damage
                .add(Kind::UnitMissing, first.clone(), || "the topic has no such queue".to_owned());
        }
    }

    /// Looks at what no record claimed, when the walk through the log is over at `log_end`.
    /// `stale` are units behind it that are left from a log that was longer, if that can be.
    pub(super) fn finish(
        &mut self,
        log_end: i64,
        mut stale: Option<&mut u64>,
    ) -> Result<(), Error> {
        let mut topics: Vec<_> = self.topics.drain().collect();
        topics.sort_by(|a, b| a.0.cmp(&b.0));
        for (topic, queues) in topics {
            let mut queues: Vec<_> = queues.into_iter().collect();
            queues.sort_by_key(|(id, _)| *id);
            let born = queues.iter().filter_map(|(_, queue)| queue.born).min();
            self.judge_strays(&topic, born);
            for (id, mut queue) in queues {
                let reader = Reader { disk: self.disk, units_at_once: self.units_at_once };
                while let Some(unit) = queue.unit(queue.next, reader)? {
                    match &mut stale {
                        _ if unit.is_blank() || self.unknown.holds(unit.log_offset) => {}
                        Some(stale) if unit.log_offset >= log_end => **stale += 1,
                        _ => queue.lost(&topic, id, unit),
                    }
                    queue.next += 1;
                }
                queue.hole(&topic, id, reader)?;
                self.units += queue.units;
                self.without_entry += queue.entries.lost;
                self.damage.join(queue.damage);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    disk: &'a dyn Disk,
    units_at_once: usize,
}

impl Queue {
    fn new(run: Run, shape: Shape) -> Self {
        Self {
            next: run.files.first().map_or(0, |file| file.start / shape.unit_len as i64),
            run,
            shape,
            from: 0,
            buffer: Vec::new(),
            units: 0,
            entries: EntryWalk::default(),
            missing: None,
            born: None,
            damage: Tally::default(),
        }
    }

    fn take(
        &mut self,
        record: &Expected<'_>,
        reader: Reader<'_>,
        unknown: &Unknown,
        pending: &mut Unsettled,
    ) -> Result<(), Error> {
        let (topic, id, offset) = (record.topic, record.queue_id, record.queue_offset);
        let here = record.unit.log_offset;
        self.pass_unclaimed(record, reader, unknown)?;
        let at_next = self.unit(self.next, reader)?;
        let is_ours = |unit: Unit| !unit.is_blank() && unit.log_offset == here;
        if offset != self.next && at_next.is_some_and(is_ours) {
            let next = self.next;
            self.damage.add(Kind::RecordField, record.place.clone(), || {
                format!("the record says queue offset {offset}, its queue has it at {next}")
            });
            (self.next, self.units) = (self.next + 1, self.units + 1);
            return Ok(());
        }
        if offset == 0 && self.next > 0 {
            // The queue begins a new life; what was said of the old one is void.
            (self.damage, self.next, self.born) = (Tally::default(), 0, Some(here));
        }
        let found = match self.unit(offset, reader)? {
            Some(unit) => Some(unit),
            None => self.unit_again(offset, reader)?,
        };
        // It may have been written in part when it was read.
        let found = match found.filter(|unit| *unit != record.unit && !record.settled) {
            Some(_) => self.unit_again(offset, reader)?,
            None => found,
        };
        let place = |queue: &Self| {
            let (path, at) = queue.place(offset);
            Place::at(&path, at).log(here).queue(topic, id, offset)
        };
        if offset > self.next && found.is_some_and(is_ours) && at_next.is_none() {
            let (path, at) = self.place(self.next);
            let from = self.next;
            let place = Place::at(&path, at).log(here).queue(topic, id, from);
            self.damage.add(Kind::UnitMissing, place, || {
                format!("no units from queue offset {from} to {offset}")
            });
            self.next = offset;
        }
        match found {
            Some(unit) if record.is_said_by(&unit) => {
                self.look_beside(unit, record, (place(self), reader))?;
            }
            Some(unit) if record.is_torn && is_ours(unit) && unit.size == record.unit.size => {
                self.units += 1;
            }
            Some(unit) if !unit.is_blank() => {
                let expected = record.unit;
                self.damage.add(Kind::UnitWrong, place(self), || differs(&unit, &expected));
            }
            _ if record.settled => self.damage.add(Kind::UnitMissing, place(self), || {
                format!("the record at {here} has no unit")
            }),
            _ => pending.note(here),
        }
        let byte = offset * self.unit_len();
        let in_files = self.run.files.last().is_some_and(|last| byte < self.end(last.start));
        if offset == self.next && in_files {
            self.next += 1;
        }
        Ok(())
    }

    /// Counts a unit, and looks whether what stands beside it says the tags code of its record.
    fn look_beside(
        &mut self,
        unit: Unit,
        record: &Expected<'_>,
        (place, reader): (Place, Reader<'_>),
    ) -> Result<(), Error> {
        self.units += 1;
        if !unit.is_extended() {
            return Ok(());
        }
        let said = self.entries.tags_code(reader.disk, &self.run.dir, unit.tags_code)?;
        let expected = record.unit.tags_code;
        if let Some(said) = said.filter(|said| !record.allows(*said) && !record.is_torn) {
            self.damage.add(Kind::UnitWrong, place, || {
                format!("beside the unit stands tags code {said}; the record says {expected}")
            });
        }
        Ok(())
    }

    /// Takes the unit of a record of a queue of batches: units stand in the order of their records.
    fn take_batch(
        &mut self,
        record: &Expected<'_>,
        reader: Reader<'_>,
        unknown: &Unknown,
        pending: &mut Unsettled,
    ) -> Result<(), Error> {
        let Some(expected) = record.batch else { return Ok(()) };
        let (topic, id, here) = (record.topic, record.queue_id, record.unit.log_offset);
        if expected.base == 0 && self.next > self.first() {
            // The queue begins a new life; what was said of the old one is void.
            (self.damage, self.next, self.born) = (Tally::default(), self.first(), Some(here));
        }
        loop {
            if self.unit(self.next, reader)?.is_none() {
                self.buffer.clear();
            }
            let found = self.batch_unit(self.next, reader)?;
            let (path, at) = self.place(self.next);
            let place = Place::at(&path, at).log(here).queue(topic, id, expected.base);
            match found {
                Some(found) if found.unit.log_offset < here => {
                    if !unknown.holds(found.unit.log_offset) {
                        self.lost(topic, id, found.unit);
                    }
                    self.next += 1;
                    continue;
                }
                Some(found) if found == expected => self.units += 1,
                Some(found) if found.unit.log_offset == here => {
                    self.damage.add(Kind::UnitWrong, place, || differs_batch(&found, &expected));
                }
                _ if record.settled => {
                    self.damage.add(Kind::UnitMissing, place, || {
                        format!("the record at {here} has no unit")
                    });
                    return Ok(());
                }
                _ => {
                    pending.note(here);
                    return Ok(());
                }
            }
            self.next += 1;
            return Ok(());
        }
    }

    fn first(&self) -> i64 {
        self.run.files.first().map_or(0, |file| file.start / self.unit_len())
    }

    fn unit_len(&self) -> i64 {
        self.shape.unit_len as i64
    }

    /// The unit as it is now.
    fn unit_again(&mut self, offset: i64, reader: Reader<'_>) -> Result<Option<Unit>, Error> {
        self.buffer.clear();
        self.unit(offset, reader)
    }

    /// Passes over what stands before the record's unit and belongs to nobody.
    fn pass_unclaimed(
        &mut self,
        record: &Expected<'_>,
        reader: Reader<'_>,
        unknown: &Unknown,
    ) -> Result<(), Error> {
        let (offset, here) = (record.queue_offset, record.unit.log_offset);
        while let Some(unit) = self.unit(self.next, reader)? {
            if self.next >= offset || !unit.is_blank() && unit.log_offset == here {
                break;
            }
            if !unit.is_blank() && !unknown.holds(unit.log_offset) {
                if unit.log_offset > here {
                    break;
                }
                self.lost(record.topic, record.queue_id, unit);
            }
            self.next += 1;
        }
        Ok(())
    }

    /// A unit that no record belongs to.
    fn lost(&mut self, topic: &str, id: i32, unit: Unit) {
        let (path, at) = self.place(self.next);
        let place = Place::at(&path, at).log(unit.log_offset).queue(topic, id, self.next);
        self.damage.add(Kind::UnitLost, place, || {
            format!("the unit leads to {}, where no record of this queue begins", unit.log_offset)
        });
    }

    /// Whether units follow behind the first place without one.
    fn hole(&mut self, topic: &str, id: i32, reader: Reader<'_>) -> Result<(), Error> {
        let from = self.next;
        for file in self.run.files.clone() {
            let first = file.start / self.unit_len();
            if first > from && self.unit(first, reader)?.is_some() {
                let (path, at) = self.place(from);
                let place = Place::at(&path, at).queue(topic, id, from);
                self.damage.add(Kind::UnitMissing, place, || {
                    format!("no units from queue offset {from} on, though {first} has one")
                });
                break;
            }
        }
        Ok(())
    }

    fn place(&self, offset: i64) -> (PathBuf, u64) {
        let start = self.file_of(offset * self.unit_len());
        (self.run.path(start), (offset * self.unit_len() - start).unsigned_abs())
    }

    /// The start of the file that holds a byte of the queue.
    fn file_of(&self, byte: i64) -> i64 {
        byte - byte % (self.shape.file_bytes as i64).max(self.unit_len())
    }

    fn end(&self, start: i64) -> i64 {
        start + self.shape.file_bytes as i64
    }

    fn unit(&mut self, place: i64, reader: Reader<'_>) -> Result<Option<Unit>, Error> {
        if self.shape.is_batch() {
            return Ok(self.batch_unit(place, reader)?.map(|batch| batch.unit));
        }
        let bytes = self.bytes(place, reader)?;
        Ok(bytes.and_then(|bytes| Unit::decode(bytes.first_chunk()?)))
    }

    fn batch_unit(&mut self, place: i64, reader: Reader<'_>) -> Result<Option<BatchUnit>, Error> {
        Ok(self.bytes(place, reader)?.and_then(BatchUnit::decode))
    }

    /// The bytes of the unit at a place.
    fn bytes(&mut self, place: i64, reader: Reader<'_>) -> Result<Option<&[u8]>, Error> {
        if !(0..=i64::MAX / self.unit_len()).contains(&place) {
            return Ok(None);
        }
        let inside = |queue: &Self| {
            let at = usize::try_from((place - queue.from).checked_mul(queue.unit_len())?).ok()?;
            let range = at..at + queue.shape.unit_len;
            (range.end <= queue.buffer.len()).then_some(range)
        };
        if place < self.from || inside(self).is_none() {
            self.fill(place, reader)?;
        }
        Ok(inside(self).and_then(|range| self.buffer.get(range)))
    }

    fn fill(&mut self, offset: i64, reader: Reader<'_>) -> Result<(), Error> {
        self.from = offset;
        self.buffer.clear();
        let start = self.file_of(offset * self.unit_len());
        let lists = |run: &Run| run.files.binary_search_by_key(&start, |file| file.start).is_ok();
        if !lists(&self.run) && self.missing != Some(start) {
            // It may have been made since.
            self.run = Run::list(reader.disk, &self.run.dir)?;
            self.missing = Some(start);
        }
        if !lists(&self.run) {
            return Ok(());
        }
        let path = self.run.path(start);
        let left =
            (self.end(start) / self.unit_len() - offset).clamp(0, reader.units_at_once as i64);
        self.buffer.resize(left as usize * self.shape.unit_len, 0);
        let read = peek(
            reader.disk,
            &path,
            (offset * self.unit_len() - start).unsigned_abs(),
            &mut self.buffer,
        );
        self.buffer.truncate(read?);
        Ok(())
    }

    /// The newest unit with its queue offset, by bisection of the last file that has one.
    fn last(&mut self, reader: Reader<'_>) -> Result<Option<(i64, Unit)>, Error> {
        for file in self.run.files.clone().iter().rev() {
            let (mut low, mut high) =
                (file.start / self.unit_len(), self.end(file.start) / self.unit_len());
            if self.unit(low, reader)?.is_none() {
                continue;
            }
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if self.unit(middle, reader)?.is_some() { low = middle } else { high = middle }
            }
            return Ok(self.unit(low, reader)?.map(|unit| (low, unit)));
        }
        Ok(None)
    }
}

/// Where a queue begins and ends.
pub(super) struct Ends {
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) first: Option<Unit>,
    pub(super) last: Option<Unit>,
    pub(super) bytes: u64,
}

/// How the files of the queue in `dir` look.
pub(super) fn shape_of(settings: &Settings, dir: &Path) -> Shape {
    let kind = dir.parent().and_then(Path::parent).and_then(Path::file_name);
    match kind.is_some_and(|name| name == batch_topics::DIR) {
        true => Shape::batch(settings.batch_queue_file_bytes),
        false => Shape::single(settings.consume_queue_file_bytes),
    }
}

/// The first and last unit of the queue in `dir` whose records are not before `log_from`.
pub(super) fn ends(
    disk: &dyn Disk,
    dir: &Path,
    settings: &Settings,
    log_from: i64,
) -> Result<Ends, Error> {
    let run = Run::list(disk, dir)?;
    let bytes = run.bytes();
    let mut queue = Queue::new(run, shape_of(settings, dir));
    let reader = Reader { disk, units_at_once: *UNITS_AT_ONCE.start() };
    let last = queue.last(reader)?;
    let max = last.map_or(queue.next, |(offset, _)| offset + 1);
    let (mut low, mut high) = (queue.next, max);
    while low < high {
        let middle = low + (high - low) / 2;
        let unit = queue.unit(middle, reader)?;
        let is_before = |unit: Unit| unit.is_blank() || unit.log_offset < log_from;
        if unit.is_none_or(is_before) { low = middle + 1 } else { high = middle }
    }
    let first = if low < max { queue.unit(low, reader)? } else { None };
    let last = last.filter(|_| low < max).map(|(_, unit)| unit);
    if !queue.shape.is_batch() {
        return Ok(Ends { min: low, max, first, last, bytes });
    }
    let end = queue.batch_unit(max - 1, reader)?.map_or(0, |batch| batch.end());
    let min = if low < max { queue.batch_unit(low, reader)? } else { None };
    Ok(Ends { min: min.map_or(end, |batch| batch.base), max: end, first, last, bytes })
}

/// The unit of the message at a queue offset of the queue in `dir`, and the queue offset behind the
/// last message of its record.
pub(super) fn unit(
    disk: &dyn Disk,
    dir: &Path,
    settings: &Settings,
    offset: i64,
) -> Result<Option<(Unit, i64)>, Error> {
    let mut queue = Queue::new(Run::list(disk, dir)?, shape_of(settings, dir));
    let reader = Reader { disk, units_at_once: 1 };
    if !queue.shape.is_batch() {
        return Ok(queue.unit(offset, reader)?.map(|unit| (unit, offset + 1)));
    }
    let last = queue.last(reader)?.map_or(0, |(place, _)| place + 1);
    let (mut low, mut high) = (queue.next, last);
    while low < high {
        let middle = low + (high - low) / 2;
        let batch = queue.batch_unit(middle, reader)?;
        if batch.is_none_or(|batch| batch.end() <= offset) {
            low = middle + 1
        } else {
            high = middle
        }
    }
    let found = queue.batch_unit(low, reader)?.filter(|batch| batch.base <= offset);
    Ok(found.map(|batch| (batch.unit, batch.end())))
}

fn differs_batch(unit: &BatchUnit, expected: &BatchUnit) -> String {
    if unit.unit != expected.unit {
        return differs(&unit.unit, &expected.unit);
    }
    format!(
        "the unit says queue offset {}, {} messages, stored {}; the record {}, {}, {}",
        unit.base,
        unit.count,
        unit.store_timestamp,
        expected.base,
        expected.count,
        expected.store_timestamp
    )
}

fn differs(unit: &Unit, expected: &Unit) -> String {
    format!(
        "the unit says log offset {}, size {}, tags code {}; the record {}, {}, {}",
        unit.log_offset,
        unit.size,
        unit.tags_code,
        expected.log_offset,
        expected.size,
        expected.tags_code
    )
}
