//! Messages that were popped and not acknowledged come back, as messages of their group's retry
//! topic (Java: `PopReviveService`).
//!
//! Pops of this life are remembered ([`super::taken`]) and come back on time. Those of another
//! life, of Java, or beyond the bound come back through the revive log: [`Log`]. Whatever is
//! revived is acknowledged in the log in the same breath, so that it comes back once.

use super::handle::normal_topic;
use super::records::{
    self, ACK, Ack, BATCH_ACK, CHECK_POINT, CHECK_POINT_AHEAD_MS, CheckPoint, Key,
};
use super::taken::Due;
use crate::broker::Broker;
use bytes::Bytes;
use message::{Draft, Entry, Properties, Str, names, properties, property, record};
use remoting::body::topic::TopicConfig;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use store::{Append, Everything, Limits, Position, ReadStatus};

/// Pops that one step revives.
const AT_ONCE: usize = 64;
/// Messages that are stored with one hold of the append lock: how long a send may wait for it.
const APPENDS: usize = 16;
/// Records of one queue of the revive log that one step reads.
const READS: usize = 4_096;
/// Pops of one queue of the revive log that one step is done with.
const POINTS: usize = 256;
/// Acknowledgements that wait for their checkpoints, for one queue of the revive log.
const EARLY: usize = 65_536;
/// How long revival waits after the store refused, ms.
const RETRY_MS: i64 = 1_000;
/// How soon it is looked into the revive log again, ms.
const LOOK_MS: i64 = 100;
/// The same while nothing is out that was popped in this life of the broker, ms.
pub const IDLE_MS: i64 = 250;
/// How long an acknowledgement waits for its checkpoint, ms (Java: `reviveAckWaitMs`).
const EARLY_MS: i64 = 180_000;
/// Copies of a message that are looked at.
const LOOKED_AT: usize = 32;
/// After how long a message that could not be read is tried again, s.
const AGAIN_S: [i64; 17] =
    [10, 20, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200];

/// What was read of the revive log, by queue.
#[derive(Debug, Default)]
pub struct Log {
    queues: BTreeMap<i32, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// The next record to read.
    next: i64,
    /// The pops that were read and are not done, in the order of the log.
    points: BTreeMap<i64, Open>,
    places: HashMap<Key, i64>,
    /// Acknowledgements whose checkpoint did not come yet.
    early: HashMap<Key, Early>,
    /// What was known before the log was read.
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The first pops that nobody remembers, by their places.
    mine: HashSet<i64>,
    /// What the timer has delivered, ms since 1970.
    delivered_ms: i64,
    /// Where the commit log ended.
    log_end: i64,
}

#[derive(Debug)]
struct Open {
    point: CheckPoint,
    acked: u32,
}

#[derive(Debug)]
struct Early {
    at: i64,
    read_ms: i64,
    offsets: Vec<i64>,
}

/// Does what is due; gives when to come again, ms since 1970.
pub fn step(broker: &Broker, log: &mut Log, now_ms: i64) -> i64 {
    let due = broker.pops.taken.due(now_ms, AT_ONCE);
    let is_full = due.len() == AT_ONCE;
    for due in due {
        let key = Key::from(&due.point);
        let left = revive(broker, &due, now_ms);
        if left.is_empty() {
            broker.pops.taken.forget(&key);
        } else {
            let done: Vec<i64> =
                due.offsets.iter().copied().filter(|offset| !left.contains(offset)).collect();
            broker.pops.taken.ack(&key, &done);
            broker.pops.taken.later(key, now_ms + RETRY_MS);
        }
    }
    let topic = records::revive_topic(&broker.settings().broker.broker_cluster_name);
    let count = super::revive_queues(broker, &topic);
    let older = broker.store.queue_ids(&topic).into_iter().filter(|id| *id >= count);
    let mut more = is_full;
    for queue_id in (0..count).chain(older) {
        let queue = log.queues.entry(queue_id).or_insert_with(|| {
            let done = broker.offsets.query(records::GROUP, &topic, queue_id).unwrap_or(-1);
            Queue { next: done.max(-1) + 1, ..Queue::default() }
        });
        more |= queue.step(broker, (&topic, queue_id), now_ms);
    }
    if more {
        return now_ms;
    }
    broker.pops.tell_gone();
    let next_ms = broker.pops.taken.next_due_ms().unwrap_or(i64::MAX);
    let look_ms = if broker.pops.taken.is_empty() { IDLE_MS } else { LOOK_MS };
    next_ms.min(now_ms + look_ms)
}

/// Puts messages of a pop into the retry topic, and notes that in the revive log; gives those for
/// which there was no room.
fn revive(broker: &Broker, due: &Due, now_ms: i64) -> Vec<i64> {
    let Due { point, queue_id, offsets } = due;
    let normal = normal_topic(&point.topic, &point.group);
    let is_there = broker.topics.contains(normal) && broker.groups.find(&point.group).is_some();
    if !is_there {
        broker.pops.note_gone(&point.topic, &point.group, offsets.len());
        return Vec::new();
    }
    if offsets.is_empty() {
        return Vec::new();
    }
    let Some(retry) = retry_topic(broker, point, normal, now_ms) else { return offsets.clone() };
    let (topic, retry_id) = (&retry.topic_name, retry_queue(broker, point, &retry));
    let pen = super::pen(broker, now_ms);
    let (mut appends, mut at, mut done, mut used) = (vec![], vec![], vec![], vec![]);
    for &offset in offsets {
        match again(broker, point, offset) {
            Message::Found(draft) if came_back(broker, (point, topic), &draft, &mut used) => {
                done.push(offset);
            }
            Message::Found(draft) => {
                let (topic, queue_id) = (topic.clone(), retry_id);
                appends.push(Append::one(Draft { topic, queue_id, ..draft }));
                at.push(offset);
            }
            Message::Unreadable => {
                if let Some(next) = later(point, offset, now_ms) {
                    appends.push(Append::one(pen.check_point(&next, *queue_id)));
                    at.push(offset);
                } else {
                    done.push(offset);
                }
            }
            Message::Gone => done.push(offset),
        }
    }
    for some in appends.chunks_mut(APPENDS) {
        broker.append(some, now_ms);
    }
    let mut left = Vec::new();
    for (append, offset) in appends.iter().zip(at) {
        match append.outcome {
            Ok(_) => done.push(offset),
            Err(error) => {
                tracing::warn!(%error, topic = %point.topic, offset, "it comes back later");
                left.push(offset);
            }
        }
    }
    if done.is_empty() {
        return left;
    }
    let ack = Ack {
        offset: -1,
        offsets: Some(done),
        broker: Some(point.broker.clone()),
        group: point.group.clone(),
        pop_ms: point.pop_ms,
        queue_id: point.queue_id,
        start: point.start,
        topic: point.topic.clone(),
    };
    // It must come into the log behind its checkpoint, which is on its way.
    let draft = pen.ack(&ack, *queue_id, point.due_ms().saturating_add(CHECK_POINT_AHEAD_MS));
    broker.append(&mut [Append::one(draft)], now_ms);
    left
}

/// The topic that messages of a pop come back in, made if it is not there. With
/// `useSeparateRetryQueue` it has a queue for each that the topic has, or had (Java:
/// `PopReviveService.addRetryTopicIfNotExist`).
fn retry_topic(
    broker: &Broker,
    point: &CheckPoint,
    normal: &str,
    now_ms: i64,
) -> Option<Arc<TopicConfig>> {
    let settings = broker.settings();
    let v2 = settings.broker.enable_retry_topic_v2;
    let name = match names::is_retry(&point.topic) {
        true => point.topic.to_string(),
        false => names::pop_retry_topic(normal, &point.group, v2),
    };
    let is_separate = settings.broker.use_separate_retry_queue;
    let mut queues = 1;
    if is_separate {
        queues = broker.topics.find(normal).map_or(1, |topic| topic.write_queue_nums.max(1));
    }
    let retry = match broker.topics.find(&name) {
        Some(known) if !is_separate || known.write_queue_nums >= queues => return Some(known),
        Some(known) => {
            let (attributes, queues) = (Default::default(), queues.max(known.read_queue_nums));
            let (read_queue_nums, write_queue_nums) = (queues, queues);
            let known = TopicConfig::clone(&known);
            let more = TopicConfig { read_queue_nums, write_queue_nums, attributes, ..known };
            let more = broker.topics.update(more, now_ms).ok()?;
            broker.topics_changed(None);
            more
        }
        None => broker.topic_for_retry(&name, queues, 0, now_ms)?,
    };
    for id in 0..retry.read_queue_nums {
        if broker.offsets.query(&point.group, &name, id).is_none_or(|offset| offset < 0) {
            broker.offsets.commit(&point.group, &name, id, 0);
        }
    }
    Some(retry)
}

/// The queue of the retry topic that messages of a pop come back in.
fn retry_queue(broker: &Broker, point: &CheckPoint, retry: &TopicConfig) -> i32 {
    let is_separate = broker.settings().broker.use_separate_retry_queue;
    let own = Some(point.queue_id).filter(|id| is_separate && *id < retry.write_queue_nums);
    own.unwrap_or(0)
}

/// A message that is to come back.
enum Message {
    Found(Draft),
    /// It is there, and the disk does not give it.
    Unreadable,
    /// It was deleted, or its place is empty.
    Gone,
}

fn again(broker: &Broker, point: &CheckPoint, offset: i64) -> Message {
    // Whatever name the broker had then.
    let at = Position { topic: &point.topic, queue_id: point.queue_id, offset };
    let stored = match broker.store.message_in(at) {
        Ok(Some((stored, _))) => stored,
        Ok(None) => return Message::Gone,
        Err(_) => return Message::Unreadable,
    };
    let Ok(Entry::Message(popped)) = record::decode(&stored, false) else {
        return Message::Unreadable;
    };
    // The topic was deleted since, and made again.
    if point.log_end.is_some_and(|log_end| popped.log_offset >= log_end) {
        return Message::Gone;
    }
    let mut all = Properties::parse(popped.properties);
    if popped.reconsume_times == 0 || !all.contains(property::FIRST_POP_TIME) {
        all.set(property::FIRST_POP_TIME, point.pop_ms.to_string());
    }
    all.set(property::ORIGIN_GROUP, point.group.clone());
    let host = broker.identity.store_host;
    let tries = popped.reconsume_times.saturating_add(i32::from(!point.suspend));
    let draft = crate::put::again(&popped, &stored, all);
    let draft =
        Draft { queue_id: 0, born_host: host, store_host: host, reconsume_times: tries, ..draft };
    // Where its properties leave no room for ours, it comes back without them.
    if draft.check().is_ok() {
        return Message::Found(draft);
    }
    let properties = stored.slice_ref(popped.properties);
    Message::Found(Draft { properties, ..draft })
}

/// Whether a message came back before a crash that took the note of it: the copy of this very pop
/// is in the retry topic. A pop that was not over when this life began was not revived before.
fn came_back(
    broker: &Broker,
    (point, retry): (&CheckPoint, &Str),
    draft: &Draft,
    used: &mut Vec<i64>,
) -> bool {
    if point.due_ms() > broker.identity.boot_ms {
        return false;
    }
    let property = |properties, key| properties::find(properties, key);
    let Some(id) = property(&draft.properties, property::UNIQ_KEY) else { return false };
    let first_ms = property(&draft.properties, property::FIRST_POP_TIME);
    let found = broker.store.query(retry, id, LOOKED_AT, (0, i64::MAX));
    found.records.iter().any(|stored| {
        let Ok(Entry::Message(copy)) = record::decode(stored, false) else { return false };
        let is_later = match point.log_end {
            Some(log_end) => copy.log_offset >= log_end,
            None => copy.store_timestamp >= point.due_ms(),
        };
        let is_it = is_later
            && *copy.topic == **retry
            && copy.born_timestamp == draft.born_timestamp
            && copy.reconsume_times == draft.reconsume_times
            && copy.body == draft.body
            && copy.property(property::UNIQ_KEY) == Some(id)
            && copy.property(property::ORIGIN_GROUP) == Some(&point.group)
            && copy.property(property::FIRST_POP_TIME) == first_ms
            && !used.contains(&copy.log_offset);
        if is_it {
            used.push(copy.log_offset);
        }
        is_it
    })
}

/// The checkpoint of a message that could not be read, which is tried again later; `None` when
/// that was done often enough.
fn later(point: &CheckPoint, offset: i64, now_ms: i64) -> Option<CheckPoint> {
    let times = point.again.as_deref().map_or(Some(0), |text| text.parse::<usize>().ok());
    let wait_s = times.and_then(|times| AGAIN_S.get(times).copied());
    let (topic, queue_id) = (&point.topic, point.queue_id);
    let Some((times, wait_s)) = times.zip(wait_s) else {
        tracing::error!(%topic, queue_id, offset, "a popped message is given up: it is unreadable");
        return None;
    };
    tracing::warn!(%topic, queue_id, offset, wait_s, "a popped message cannot be read now");
    let invisible_ms = now_ms.saturating_add(wait_s * 1_000).saturating_sub(point.pop_ms);
    let next = CheckPoint {
        diffs: Some(vec![0]),
        count: 1,
        start: offset,
        again: Some((times + 1).to_string().into()),
        invisible_ms,
        next: None,
        ..point.clone()
    };
    Some(CheckPoint { revive_ms: next.due_ms(), ..next })
}

/// When the timer has delivered all acknowledgements of a pop, ms since 1970. What may have been
/// revived on time was acknowledged a tick later; a pop of another life that was not over before
/// this one began was not.
fn all_there_ms(broker: &Broker, point: &CheckPoint) -> i64 {
    let boot_ms = broker.identity.boot_ms;
    let outlived_it = point.pop_ms < boot_ms && boot_ms <= point.due_ms();
    point.due_ms().saturating_add(if outlived_it { 0 } else { CHECK_POINT_AHEAD_MS })
}

impl Queue {
    /// Reads on, and revives what nothing else will; whether there is more to do at once.
    fn step(&mut self, broker: &Broker, (topic, queue_id): (&Str, i32), now_ms: i64) -> bool {
        if self.seen.is_none() {
            self.seen = Some(self.look(broker));
        }
        // Under `SYNC_FLUSH` the log shows what is durable, which is later than what is done.
        let log_end = self.seen.as_ref().map_or(0, |seen| seen.log_end);
        let is_shown = !broker.flushes_first() || broker.store.flushed_to() >= log_end;
        let read = self.read_on(broker, (topic, queue_id), now_ms);
        let Some(Seen { mine, delivered_ms, .. }) = self.seen.take_if(|_| is_shown) else {
            return read >= READS;
        };
        let mut done = None;
        let mut passed = 0;
        while let Some((&place, open)) = self.points.first_key_value()
            && passed < POINTS
        {
            let point = &open.point;
            let left = open.left();
            if !left.is_empty() {
                let is_all_read = read < READS;
                let is_ripe = is_all_read && delivered_ms > all_there_ms(broker, point);
                if !mine.contains(&place) || !is_ripe {
                    break;
                }
                let due = Due { point: point.clone(), queue_id, offsets: left };
                if !revive(broker, &due, now_ms).is_empty() {
                    break;
                }
            }
            if let Some(open) = self.points.remove(&place) {
                self.places.remove(&Key::from(&open.point));
            }
            (done, passed) = (Some(place), passed + 1);
        }
        self.early.retain(|_, early| now_ms - early.read_ms <= EARLY_MS);
        if self.points.is_empty() && self.next > 0 {
            done = Some(self.next - 1);
        }
        // What came before its checkpoint is read again after a restart.
        let first = self.early.values().map(|early| early.at).min();
        let done = done.map(|done| first.map_or(done, |first| done.min(first - 1)));
        let known = broker.offsets.query(records::GROUP, topic, queue_id).unwrap_or(-1);
        if let Some(done) = done.filter(|done| *done > known) {
            broker.moves.note(records::GROUP, broker.store.max_log_offset());
            broker.offsets.commit(records::GROUP, topic, queue_id, done);
        }
        read >= READS || passed == POINTS
    }

    /// Looks before the log is read: what is done by then stands in what is read.
    fn look(&self, broker: &Broker) -> Seen {
        let owned = |open: &Open| broker.pops.taken.has(&Key::from(&open.point));
        let first = self.points.iter().take(POINTS);
        let mine = first.filter(|(_, open)| !owned(open)).map(|(place, _)| *place).collect();
        let delivered_ms = broker.timer.condition(&broker.store).read_ms;
        Seen { mine, delivered_ms, log_end: broker.store.max_log_offset() }
    }

    /// Reads what is new; gives how many records.
    fn read_on(&mut self, broker: &Broker, (topic, queue_id): (&Str, i32), now_ms: i64) -> usize {
        let here = broker.settings().broker.broker_name.clone();
        let mut count = 0;
        while count < READS {
            let at = Position { topic, queue_id, offset: self.next };
            let read = broker.store.read(at, Limits::messages(64), &Everything);
            match read.status {
                ReadStatus::Found => {}
                ReadStatus::OffsetTooSmall
                | ReadStatus::OffsetOverflowBadly
                | ReadStatus::OffsetFoundNull
                | ReadStatus::NoMatchedMessage => {
                    if read.next_offset == self.next {
                        break;
                    }
                    let next = read.next_offset;
                    tracing::warn!(queue_id, at = self.next, next, "revival goes on elsewhere");
                    self.next = next;
                    continue;
                }
                _ => break,
            }
            for stored in &read.messages {
                self.take(stored, &here, now_ms);
            }
            count += read.messages.len();
            self.next = read.next_offset;
        }
        count
    }

    /// Takes one record.
    fn take(&mut self, stored: &Bytes, here: &str, now_ms: i64) {
        let Ok(Entry::Message(record)) = record::decode(stored, false) else { return };
        let at = record.queue_offset;
        let property = |key| properties::find(record.properties, key);
        let tag = property(property::TAGS).unwrap_or_default();
        let unreadable = |error| tracing::error!(at, %error, "the revive log has a bad record");
        match tag {
            CHECK_POINT => match remoting::json::from_body::<CheckPoint>(record.body) {
                Ok(point) if point.topic.is_empty() || point.group.is_empty() => {}
                Ok(point) => self.open(point, at),
                Err(error) => unreadable(error),
            },
            ACK | BATCH_ACK => match remoting::json::from_body::<Ack>(record.body) {
                Ok(ack) => self.ack(&ack, here, (at, now_ms)),
                Err(error) => unreadable(error),
            },
            _ => {}
        }
    }

    fn open(&mut self, point: CheckPoint, at: i64) {
        let key = Key::from(&point);
        let mut open = Open { acked: point.bits.cast_unsigned() & point.all(), point };
        if let Some(early) = self.early.remove(&key) {
            open.note(&early.offsets);
        }
        if let Some(twin) = self.places.insert(key, at)
            && let Some(old) = self.points.get(&twin)
        {
            let (a, b) = (&old.point, &open.point);
            if (a.count, &a.diffs, &a.again) == (b.count, &b.diffs, &b.again) {
                open.acked |= old.acked;
                self.points.remove(&twin);
            } else if a.again != b.again {
                self.points.remove(&twin);
            }
            // Else a Java broker popped and changed within one millisecond: what the old one has
            // comes back, whatever was acknowledged.
        }
        self.points.insert(at, open);
    }

    fn ack(&mut self, ack: &Ack, here: &str, (at, read_ms): (i64, i64)) {
        let key = Key::of_ack(ack, here);
        if let Some(open) = self.places.get(&key).and_then(|place| self.points.get_mut(place)) {
            open.note(ack.named());
            return;
        }
        if self.early.len() >= EARLY {
            return;
        }
        let early = self.early.entry(key);
        let early = early.or_insert_with(|| Early { at, read_ms, offsets: Vec::new() });
        if early.offsets.len() < u32::BITS as usize {
            early.offsets.extend_from_slice(ack.named());
        }
    }
}

impl Open {
    /// The queue offsets that nobody acknowledged.
    fn left(&self) -> Vec<i64> {
        let all = self.point.offsets().zip(0..u32::BITS);
        all.filter(|(_, at)| self.acked & 1 << at == 0).map(|(offset, _)| offset).collect()
    }

    fn note(&mut self, offsets: &[i64]) {
        for place in offsets.iter().filter_map(|offset| self.point.place(*offset)) {
            self.acked |= 1 << place;
        }
    }
}

#[cfg(test)]
mod tests;
