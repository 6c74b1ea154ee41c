//! Queues whose first files are gone though the log still has their messages. Where nothing is
//! noted of a queue its files alone say where it begins, and what expired and what was lost look
//! the same there, but for the log: what expired is gone from it too.

use crate::commit_log::CommitLog;
use crate::consume_queue::{Queue, Unit};
use crate::light;
use crate::log_reader::LogReader;
use crate::marks::Marks;
use crate::queues::Queues;
use crate::removed_topics::RemovedTopics;
use crate::search::Search;
use message::Str;
use message::record::{Entry, FIXED_LEN, Record};
use message::sys_flag;
use std::collections::HashMap;
use std::sync::Arc;

/// Blank units that are passed over for one that is none.
const BLANKS_MAX: i64 = 1_000;

/// A queue that may lack its front.
pub(crate) struct Front {
    pub(crate) topic: Str,
    pub(crate) queue: Arc<Queue>,
    /// The first queue offset that has a unit.
    pub(crate) first: i64,
    unit: Unit,
    /// No record before this log offset is one of those that it may lack.
    begin: i64,
    /// The lowest queue offset of the records before that unit's.
    pub(crate) lowest: Option<i64>,
}

impl Front {
    /// Takes a record of the queue that stands before its first unit's. No checksum covers its
    /// queue offset: it counts when those between have room in the log.
    fn take(&mut self, record: &Record<'_>, place: i64) {
        let lacks = self.first - place;
        let room = (self.unit.log_offset - record.log_offset) / FIXED_LEN as i64;
        if place >= 0 && lacks > 0 && lacks <= room && record.log_offset >= self.begin {
            let lowest = self.lowest.unwrap_or(i64::MAX).min(place);
            self.lowest = Some(lowest);
        }
    }
}

/// The queues whose files begin behind records of theirs, with a unit that leads to log offset
/// `from` or behind it. Those that `is_known` names begin where they are noted to. Up to `durable`
/// everything was durable at the last checkpoint.
pub(crate) fn missing(
    log: &CommitLog,
    queues: &Queues,
    removed_topics: &RemovedTopics,
    (from, durable): (i64, i64),
    is_known: &dyn Fn(&str, i32) -> bool,
) -> Vec<Front> {
    let mut suspects: HashMap<Str, Vec<Front>> = HashMap::new();
    for topic in queues.topics() {
        for id in queues.ids(&topic).into_iter().filter(|id| !is_known(&topic, *id)) {
            // A queue of batches is made anew as a whole.
            let queue = queues.find(&topic, id).filter(|queue| !queue.is_batch());
            let Some(queue) = queue else { continue };
            let first = queue.first_place();
            let (unit, begin) = first_unit(&queue, first, log, durable);
            if first > 0 && unit.log_offset >= from.max(begin.saturating_add(1)) {
                let front = Front { topic: topic.clone(), queue, first, unit, begin, lowest: None };
                suspects.entry(topic.clone()).or_default().push(front);
            }
        }
    }
    let fronts = || suspects.values().flatten();
    let Some(end) = fronts().map(|front| front.unit.log_offset).max() else { return Vec::new() };
    let begin = fronts().map(|front| front.begin).min().unwrap_or(end);
    read(log, (queues, removed_topics), (begin, end), |record| {
        let mut look = |topic: &str, id: i32, place: i64| {
            let Some(fronts) = suspects.get_mut(topic) else { return };
            let is_removed = record.log_offset < removed_topics.end_of(topic);
            let is_before = |front: &&mut Front| {
                front.queue.id == id && record.log_offset < front.unit.log_offset
            };
            if !is_removed && let Some(front) = fronts.iter_mut().find(is_before) {
                front.take(record, place);
            }
        };
        if sys_flag::is_visible(record.sys_flag) {
            look(record.topic, record.queue_id, record.queue_offset);
            let marks = Marks::read(record.properties);
            marks.light_places(record.topic).for_each(|(topic, place)| {
                look(topic, light::QUEUE_ID, place);
            });
        }
    });
    let mut found: Vec<_> = suspects.into_values().flatten().collect();
    found.retain(|front| front.lowest.is_some());
    found.sort_by(|a, b| (&*a.topic, a.queue.id).cmp(&(&*b.topic, b.queue.id)));
    found
}

/// The unit that a queue begins with, and from where on the log is looked through for records
/// before its own. A queue that begins with blank units was begun there, unless its first files
/// were made since the last checkpoint, at `durable`, and lost: all their records lie behind that.
fn first_unit(queue: &Queue, first: i64, log: &CommitLog, durable: i64) -> (Unit, i64) {
    // Where the file is empty that it begins with, all may be lost that was before.
    let log_end = log.segments.last().map_or(0, |last| last.end());
    let nowhere = Unit { log_offset: log_end, ..Unit::NONE };
    let unit = queue.raw_unit(first).unwrap_or(nowhere);
    if !unit.is_blank() {
        return (unit, log.min());
    }
    let places = first..first + BLANKS_MAX;
    let unit = places.filter_map(|place| queue.raw_unit(place)).find(|unit| !unit.is_blank());
    (unit.unwrap_or(nowhere), durable.max(log.min()))
}

/// Reads the records of the log from `begin`, where one begins, to `end`, passing over what is
/// none.
fn read(
    log: &CommitLog,
    parts: (&Queues, &RemovedTopics),
    (begin, end): (i64, i64),
    mut take: impl FnMut(&Record<'_>),
) {
    let mut reader = LogReader::default();
    let mut at = begin;
    while at < end
        && let Some(segment) = log.segments.find_from(at)
    {
        at = at.max(segment.start);
        at = match reader.entry(&segment, at, false) {
            Ok(Ok(Entry::Message(record))) if record.log_offset == at => {
                take(&record);
                at + record.total_size() as i64
            }
            Ok(Ok(Entry::Blank { .. })) => segment.end(),
            _ => match Search::new(log, parts, i64::MIN, &|_| {}).run(at) {
                Some(next) => next,
                None => break,
            },
        };
    }
}
