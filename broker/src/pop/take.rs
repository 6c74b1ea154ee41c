//! One pop: messages of the queues that it may read, checkpoints for them, and where the group goes
//! on (Java: `PopMessageProcessor.popMsgFromQueue`).
//!
//! A queue is read under a claim. Its checkpoint is stored before the offset moves on, and messages
//! whose checkpoint is not stored are not given. Not here: what a request may, and waiting
//! ([`crate::handlers::pop`]).

use super::handle::{Handle, Lists, ORDERED, Retry};
use super::order_info::{At, Pop};
use super::ordered;
use super::records::CheckPoint;
use crate::attributes;
use crate::broker::Broker;
use crate::selection::Selection;
use crate::stats::Pulled;
use bytes::Bytes;
use message::{Entry, Placement, Properties, Str, names, property, record};
use remoting::body::topic::TopicConfig;
use remoting::headers::pop::PopMessageRequestHeader;
use settings::BrokerSettings;
use std::sync::Arc;
use store::{Append, AppendError, Everything, Limits, Position, Read, ReadStatus, Wait, light};

/// `initMode`: a new group begins at the first message.
const FROM_FIRST: i32 = 0;

/// A pop that may be done.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The broker.
    pub broker: &'a Broker,
    /// Its settings.
    pub settings: &'a BrokerSettings,
    /// The topic.
    pub topic: &'a TopicConfig,
    /// What the group wants of it.
    pub selection: &'a Selection,
    /// What is asked for.
    pub header: &'a PopMessageRequestHeader,
    /// Whether it may take as long as the disk does.
    pub wait: Wait,
    /// The time, ms since 1970.
    pub now_ms: i64,
}

/// What a pop found.
#[derive(Debug, Default)]
pub struct Popped {
    /// The records.
    pub messages: Vec<Bytes>,
    /// How they are named.
    pub lists: Lists,
    /// Messages that are left, as the answer says it.
    pub rest: i64,
    /// Whether another pop would find something, as far as this one looked.
    pub more: bool,
    /// Why a checkpoint could not be stored.
    pub refused: Option<AppendError>,
    /// Whether somebody else found a queue claimed by this pop.
    pub missed: bool,
    /// How often the messages of an ordered pop were taken before.
    pub counts: String,
    /// When the first queue that was found blocked is not any more, ms since 1970.
    pub blocked_ms: Option<i64>,
    /// The queues that were found blocked.
    pub blocked: Vec<i32>,
    /// The queues that were passed over, as somebody else had them.
    pub passed: Vec<(Str, i32)>,
    /// The queue of the revive log.
    pub revive_queue: i32,
    /// The end of what it stored in the log; 0 for nothing.
    pub log_end: i64,
    /// All messages that its queues ever had, before it looked.
    pub ends: i64,
}

/// The disk would have to be waited for, and nothing was found yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInMemory {
    /// Whether somebody else found a queue claimed by this pop.
    pub missed: bool,
}

impl Ask<'_> {
    fn group(&self) -> &Str {
        &self.header.consumer_group
    }

    fn most(&self) -> usize {
        usize::try_from(self.header.max_msg_nums).unwrap_or(0)
    }

    /// The retry topics that are there, in both versions.
    fn retry_topics(&self) -> Vec<Arc<TopicConfig>> {
        let name = |v2| names::pop_retry_topic(&self.topic.topic_name, self.group(), v2);
        [false, true].into_iter().filter_map(|v2| self.broker.topics.find(&name(v2))).collect()
    }

    /// All messages that were ever in the queues that it reads.
    pub fn ends(&self) -> i64 {
        let end = |topic: &TopicConfig| -> i64 {
            let end = |id| self.broker.store.max_offset(&topic.topic_name, id);
            (0..topic.read_queue_nums).map(end).sum()
        };
        let own = match self.header.queue_id {
            id @ 0.. => self.broker.store.max_offset(&self.topic.topic_name, id),
            _ => end(self.topic),
        };
        match self.header.order {
            true => own,
            false => own + self.retry_topics().iter().map(|topic| end(topic)).sum::<i64>(),
        }
    }

    /// Pops.
    ///
    /// # Errors
    /// When nothing is known without waiting for the disk, and that is not allowed.
    pub fn pop(&self) -> Result<Popped, NotInMemory> {
        let turn = self.broker.pops.turn();
        let java = &self.settings.broker;
        let revive_queue = match self.header.order {
            true => ORDERED,
            false => {
                let queues = java.revive_queue_num.unsigned_abs().max(1);
                (self.broker.pops.revive_turn() % queues).cast_signed()
            }
        };
        let mut popped = Popped { revive_queue, ends: self.ends(), ..Popped::default() };
        let chance = chance(turn);
        let retry = self.retry(chance);
        let (turned, probability) = match self.by_priority(chance) {
            true => (0, java.pop_from_retry_probability_for_priority),
            false => (chance, java.pop_from_retry_probability),
        };
        let first = chance < probability;
        let own = (None, false);
        let order = match (retry.map(|topic| (Some(topic), true)), first) {
            (None, _) => vec![own],
            (Some(retry), true) => vec![retry, own],
            (Some(retry), false) => vec![own, retry],
        };
        for (topic, is_retry) in order {
            let topic = topic.as_deref().unwrap_or(self.topic);
            for queue_id in self.queues(topic, is_retry, turned) {
                self.one(topic, is_retry, queue_id, &mut popped)?;
            }
        }
        Ok(popped)
    }

    /// The retry topic that this pop reads, if it is there: only one, for handles say no more
    /// than the kind of a topic.
    fn retry(&self, chance: i32) -> Option<Arc<TopicConfig>> {
        let java = &self.settings.broker;
        let v2 = java.enable_retry_topic_v2;
        let v1 = v2 && java.retrieve_message_from_pop_retry_topic_v1 && chance % 2 == 0;
        let name = names::pop_retry_topic(&self.topic.topic_name, self.group(), v2 && !v1);
        (!self.header.order).then(|| self.broker.topics.find(&name)).flatten()
    }

    /// Whether the queues are read by their numbers, which are the priorities of what they hold.
    fn by_priority(&self, chance: i32) -> bool {
        let kind = self.topic.attributes.get(attributes::MESSAGE_TYPE);
        if self.header.order || kind.is_none_or(|kind| kind != "PRIORITY") {
            return false;
        }
        let group = self.broker.groups.find(self.group());
        let factor = group.and_then(|group| {
            group.attributes.get(attributes::PRIORITY_FACTOR).and_then(|factor| factor.parse().ok())
        });
        chance < factor.unwrap_or(100)
    }

    /// The queues in the order of reading.
    fn queues(&self, topic: &TopicConfig, is_retry: bool, turned: i32) -> Vec<i32> {
        if !is_retry && self.header.queue_id >= 0 {
            return vec![self.header.queue_id];
        }
        let count = topic.read_queue_nums.max(0);
        let at = |place| match self.settings.broker.priority_order_asc {
            true => count - 1 - place,
            false => place,
        };
        (0..count).map(|place| (at(place) + turned) % count).collect()
    }

    /// Reads one queue.
    fn one(
        &self,
        topic: &TopicConfig,
        is_retry: bool,
        queue_id: i32,
        popped: &mut Popped,
    ) -> Result<(), NotInMemory> {
        let (broker, name, group) = (self.broker, &topic.topic_name, self.group());
        let end = broker.store.max_offset(name, queue_id);
        let committed = || broker.offsets.query(group, name, queue_id).unwrap_or(0).max(0);
        // Nearly all looks at a retry topic find nothing new.
        let Some(claim) = broker.pops.claims.claim(name, group, queue_id) else {
            if !self.header.order {
                popped.rest += end - committed();
            }
            popped.passed.push((name.clone(), queue_id));
            return Ok(());
        };
        let start = self.start(name, queue_id);
        let mut read = Ok(());
        if let Some(until_ms) = self.blocked_ms(name, queue_id) {
            let first_ms = popped.blocked_ms.unwrap_or(i64::MAX);
            popped.blocked_ms = Some(first_ms.min(until_ms));
            popped.blocked.push(queue_id);
        } else if self.are_too_many_out(name, queue_id) {
            popped.rest += end - start;
        } else if popped.messages.len() >= self.most() {
            popped.rest += end - start;
            // Who asks for nothing would be woken for it again and again.
            popped.more |= end > start && !popped.messages.is_empty();
        } else {
            read = self.read(name, is_retry, (queue_id, start), popped);
        }
        popped.missed |= claim.end();
        read.map_err(|NotInMemory { .. }| NotInMemory { missed: popped.missed })
    }

    /// Whether a queue that this pop could not read is free by now. Where it is not, whoever has
    /// it, or its time, wakes who waits.
    pub fn is_free(&self, popped: &Popped) -> bool {
        let topic = &self.topic.topic_name;
        let mut blocked = popped.blocked.iter();
        let mut passed = popped.passed.iter();
        let claims = &self.broker.pops.claims;
        blocked.any(|id| self.blocked_ms(topic, *id).is_none())
            || passed.any(|(topic, id)| !claims.is_claimed(topic, self.group(), *id))
    }

    fn at<'a>(&'a self, topic: &'a str, queue_id: i32) -> At<'a> {
        At { topic, group: self.group(), queue_id }
    }

    /// Whether so many messages of a queue are out that no more are given (Java:
    /// `isPopShouldStop`). An ordered pop waits for those that are out anyway.
    fn are_too_many_out(&self, topic: &Str, queue_id: i32) -> bool {
        let java = &self.settings.broker;
        let most = u64::try_from(java.pop_inflight_message_threshold).unwrap_or(0);
        let is_bound = java.enable_pop_message_threshold && !self.header.order;
        is_bound && self.broker.pops.taken.out(topic, self.group(), queue_id) > most
    }

    /// Until when messages that are out block an ordered pop, ms since 1970.
    fn blocked_ms(&self, topic: &str, queue_id: i32) -> Option<i64> {
        if !self.header.order {
            return None;
        }
        let attempt = self.header.attempt_id.as_deref();
        let (at, invisible_ms) = (self.at(topic, queue_id), self.header.invisible_time);
        self.broker.orders.blocked_until(at, attempt, invisible_ms, self.now_ms)
    }

    /// Where the group goes on in a queue; a new one is told.
    fn start(&self, topic: &Str, queue_id: i32) -> i64 {
        let (offsets, group) = (&self.broker.offsets, self.group());
        if let Some(reset) = offsets.take_reset(group, topic, queue_id) {
            self.broker.orders.clear(self.at(topic, queue_id));
            offsets.commit(group, topic, queue_id, reset);
            return reset;
        }
        let committed = offsets.query(group, topic, queue_id).filter(|offset| *offset >= 0);
        committed.unwrap_or_else(|| {
            let start = self.first(topic, queue_id);
            offsets.commit(group, topic, queue_id, start);
            start
        })
    }

    /// Where a new group begins: at the first message, or at the last one of a queue that is not
    /// all in memory (Java: `getInitOffset`).
    fn first(&self, topic: &Str, queue_id: i32) -> i64 {
        let store = &self.broker.store;
        let (min, end) = (store.min_offset(topic, queue_id), store.max_offset(topic, queue_id));
        if self.header.init_mode == FROM_FIRST || names::is_retry(topic) {
            return min;
        }
        if self.settings.broker.init_pop_offset_by_check_msg_in_mem && min <= 0 {
            let limits = Limits { wait: Wait::Never, ..Limits::messages(1) };
            let at = Position { topic, queue_id, offset: 0 };
            if store.read(at, limits, &Everything).status == ReadStatus::Found {
                return 0;
            }
        }
        (end - 1).max(0)
    }

    fn read(
        &self,
        topic: &Str,
        is_retry: bool,
        (queue_id, start): (i32, i64),
        popped: &mut Popped,
    ) -> Result<(), NotInMemory> {
        let (store, offsets) = (&self.broker.store, &self.broker.offsets);
        let most = self.most() - popped.messages.len();
        let limits = Limits { wait: self.wait, ..Limits::messages(most) };
        let at = |offset| Position { topic, queue_id, offset };
        let mut start = start;
        let mut read = store.read(at(start), limits, self.selection);
        if matches!(
            read.status,
            ReadStatus::OffsetTooSmall
                | ReadStatus::OffsetOverflowBadly
                | ReadStatus::OffsetFoundNull
        ) {
            tracing::warn!(
                %topic, queue_id, group = %self.group(), start, next = read.next_offset,
                "a pop goes on at another offset"
            );
            offsets.commit(self.group(), topic, queue_id, read.next_offset);
            start = read.next_offset;
            read = store.read(at(start), limits, self.selection);
        }
        if read.status == ReadStatus::NotInMemory {
            popped.rest += read.max_offset - start;
            popped.more = true;
            return if popped.messages.is_empty() {
                Err(NotInMemory { missed: false })
            } else {
                Ok(())
            };
        }
        if read.messages.is_empty() {
            let passed = matches!(
                read.status,
                ReadStatus::NoMatchedMessage
                    | ReadStatus::OffsetFoundNull
                    | ReadStatus::MessageWasRemoving
                    | ReadStatus::NoMatchedLogicQueue
            );
            if passed && read.next_offset > -1 && read.next_offset != start {
                offsets.commit(self.group(), topic, queue_id, read.next_offset);
                popped.more |= read.max_offset > read.next_offset;
            }
        } else if !self.give(topic, is_retry, (queue_id, start), (&read, popped)) {
            popped.rest += read.messages.len() as i64;
            return Ok(());
        }
        popped.rest += read.max_offset - read.next_offset;
        Ok(())
    }

    /// Stores the checkpoint and gives the messages; whether it could be stored.
    fn give(
        &self,
        topic: &Str,
        is_retry: bool,
        (queue_id, start): (i32, i64),
        (read, popped): (&Read, &mut Popped),
    ) -> bool {
        let place = |stored: &Bytes| light::place_in((topic, queue_id), stored).unwrap_or(-1);
        let places: Vec<i64> = read.messages.iter().map(place).collect();
        if self.header.order {
            self.note_order(topic, (queue_id, start), &places, popped);
        } else {
            let next = Some(read.next_offset);
            let point = self.check_point(topic, (queue_id, start), &places);
            if !self.store(CheckPoint { next, ..point }, read.next_offset, popped) {
                return false;
            }
        }
        popped.lists.push(Retry::of(topic), queue_id, start, &places);
        popped.more |= read.max_offset > read.next_offset && !self.header.order;
        self.count(topic, queue_id, read);
        if !is_retry || self.settings.broker.pop_response_return_actual_retry_topic {
            popped.messages.extend_from_slice(&read.messages);
            return true;
        }
        let handle = Handle {
            start,
            pop_ms: self.now_ms,
            invisible_ms: self.header.invisible_time,
            revive_queue: popped.revive_queue,
            retry: Retry::of(topic).mark().to_string().into(),
            broker: self.settings.broker.broker_name.as_str().into(),
        };
        let shown = read.messages.iter().map(|stored| self.shown(stored, &handle));
        popped.messages.extend(shown);
        true
    }

    /// An ordered pop has no checkpoint: the group goes on when all of it is acknowledged.
    fn note_order(
        &self,
        topic: &Str,
        (queue_id, start): (i32, i64),
        offsets: &[i64],
        popped: &mut Popped,
    ) {
        let pop = Pop {
            attempt_id: self.header.attempt_id.as_deref(),
            pop_ms: self.now_ms,
            invisible_ms: self.header.invisible_time,
            offsets,
        };
        let (at, mut counts) = (self.at(topic, queue_id), None);
        let log_end = ordered::noted(self.broker, at, self.now_ms, || {
            counts = Some(self.broker.orders.take(at, &pop, self.now_ms));
            self.broker.offsets.commit(self.group(), topic, queue_id, start);
            true
        });
        popped.log_end = popped.log_end.max(log_end);
        let mark = Retry::of(topic).mark();
        counts.unwrap_or_default().append_to(&mut popped.counts, mark, queue_id);
    }

    fn check_point(
        &self,
        topic: &Str,
        (queue_id, start): (i32, i64),
        places: &[i64],
    ) -> CheckPoint {
        let count = i8::try_from(places.len()).expect("a pop asks for 32 messages at most");
        let diff = |offset: &i64| i32::try_from(offset - start).unwrap_or(i32::MAX);
        let point = CheckPoint {
            broker: self.settings.broker.broker_name.as_str().into(),
            // Copies: a piece of the request would keep all of its bytes.
            group: Str::from(&**self.group()),
            diffs: Some(places.iter().map(diff).collect()),
            invisible_ms: self.header.invisible_time,
            log_end: Some(self.broker.store.max_log_offset()),
            count,
            pop_ms: self.now_ms,
            queue_id,
            start,
            topic: topic.clone(),
            ..CheckPoint::default()
        };
        CheckPoint { revive_ms: point.due_ms(), ..point }
    }

    fn store(&self, point: CheckPoint, next: i64, popped: &mut Popped) -> bool {
        let broker = self.broker;
        let pen = super::pen(broker, self.now_ms);
        let draft = pen.check_point(&point, popped.revive_queue);
        let mut appends = [Append::one(draft)];
        let moving = broker.pops.moving.read();
        broker.append(&mut appends, self.now_ms);
        let stored = match appends[0].outcome {
            Ok(stored) => stored,
            Err(error) => {
                // Without a checkpoint nothing is popped.
                popped.refused = Some(error);
                return false;
            }
        };
        broker.moves.note(&point.group, stored.log_end());
        broker.offsets.commit(&point.group, &point.topic, point.queue_id, next);
        drop(moving);
        popped.log_end = popped.log_end.max(stored.log_end());
        broker.stats.popped(&self.header.topic, &point.group);
        let limit = usize::try_from(self.settings.broker.pop_ck_max_buffer_size).unwrap_or(0);
        broker.pops.taken.insert(point, popped.revive_queue, limit);
        true
    }

    fn count(&self, topic: &str, queue_id: i32, read: &Read) {
        let messages = read.count as u64;
        self.broker.stats.read(messages, 0);
        let last = read.messages.last();
        self.broker.stats.pulled(&Pulled {
            topic,
            group: self.group(),
            queue_id,
            messages,
            bytes: read.bytes as u64,
            age_ms: last.and_then(|last| record::store_timestamp(last)).map(|ms| self.now_ms - ms),
        });
    }

    /// A message of a retry topic as it is given: of its own topic, with its handle.
    fn shown(&self, stored: &Bytes, handle: &Handle) -> Bytes {
        let Ok(Entry::Message(retried)) = record::decode(stored, false) else {
            return stored.clone();
        };
        let mut all = Properties::parse(retried.properties);
        if !all.contains(property::POP_CK) {
            all.set(property::POP_CK, handle.text(retried.queue_id, retried.queue_offset));
        }
        let placement = Placement {
            queue_offset: retried.queue_offset,
            log_offset: retried.log_offset,
            store_timestamp: retried.store_timestamp,
        };
        let mut draft = crate::put::again(&retried, stored, all);
        draft.topic = self.topic.topic_name.clone();
        if draft.check().is_err() {
            return stored.clone();
        }
        let mut out = Vec::new();
        draft.encode(placement, &mut out);
        out.into()
    }
}

/// A number from 0 to 99 for each turn; all of them as often, also for every second turn or third.
fn chance(turn: u32) -> i32 {
    let spread = u64::from(turn.wrapping_mul(0x9E37_79B1));
    i32::try_from((spread * 100) >> 32).expect("it is less than 100")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_pop_in_turns_all_get_every_chance() {
        for (step, from) in [(1, 0), (2, 0), (2, 1), (3, 1), (8, 5)] {
            let mut counts = [0; 100];
            for turn in (from..step * 10_000).step_by(step as usize) {
                counts[chance(turn).unsigned_abs() as usize] += 1;
            }
            assert!(counts.iter().all(|count| (80..=120).contains(count)), "{step}: {counts:?}");
        }
    }
}
