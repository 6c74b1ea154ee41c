//! What was asked for and what became of it, beside the store: every message ever tried, where it
//! was stored, and which of that must still be there.

use crate::Random;
use crate::decode::Record;
use bytes::Bytes;
use message::{Draft, Properties, names, property, sys_flag};
use std::collections::BTreeMap;

/// A topic by its number in the plan, and a queue of it.
pub(crate) type Place = (usize, i32);

/// Where a message was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) log_offset: i64,
    pub(crate) log_end: i64,
    /// 0 for half messages.
    pub(crate) queue_offset: i64,
}

/// What is known of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Tried, and the answer was lost or an error: it may be there.
    Unknown,
    /// There.
    Stored(At),
    /// Refused: it must never be there.
    Refused,
    /// Lost in a way that was allowed, at a place when that is known: it must not come back.
    Gone,
    /// Its log file expired, or its topic was deleted.
    Removed(At),
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) place: Place,
    /// How many queue offsets it takes.
    pub(crate) count: i64,
    /// The message whose other place this one is, in a light queue.
    pub(crate) of: Option<usize>,
    pub(crate) is_half: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: Vec<u8>,
    pub(crate) state: State,
    /// Some of its properties were lost with a sector that was not durable.
    pub(crate) is_torn: bool,
    /// Its log file was removed for its age or for room.
    pub(crate) has_expired: bool,
}

/// One life of a queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// Messages that are there, by queue offset.
    pub(crate) placed: BTreeMap<i64, usize>,
    /// The queue offset that the next message gets.
    pub(crate) next: i64,
    /// The queue offset behind the last message that was durable.
    pub(crate) durable_next: i64,
    /// Offsets that power loss or damage may have left without a message.
    pub(crate) has_holes: bool,
    pub(crate) min_seen: i64,
    pub(crate) max_seen: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) messages: Vec<Message>,
    pub(crate) queues: BTreeMap<Place, Queue>,
    /// Before this log offset nothing may be lost.
    pub(crate) durable_to: i64,
    /// Deletions that were cut short: these queues may be there as they were, or not at all.
    pub(crate) half_deleted: Vec<Place>,
    /// Where queues ended that such a deletion took: power loss may undo it.
    pub(crate) may_be_back: BTreeMap<Place, i64>,
    /// Messages that were tried and are gone: their offsets may have been given to them.
    pub(crate) tried: BTreeMap<Place, i64>,
    pub(crate) saves: Saves,
}

/// Versions of the configuration file.
#[derive(Debug, Default)]
pub(crate) struct Saves {
    /// The last one whose save succeeded, and all tried since.
    pub(crate) allowed: Vec<u64>,
    pub(crate) tried: u64,
}

impl Model {
    /// A message of a seeded kind, and its draft.
    pub(crate) fn draft(
        &mut self,
        place: Place,
        topic: &str,
        kind: &Kind,
        random: &mut Random,
    ) -> (usize, Draft) {
        let id = self.messages.len();
        let mut body = format!("{id}:").into_bytes();
        let fill = random.bits() as u8;
        body.extend((0..kind.body).map(|at| if fill < 64 { 0 } else { fill ^ at as u8 }));
        let mut properties = properties_of((id, topic), kind, random);
        let mut sys_flag = if kind.is_half { sys_flag::TRANSACTION_PREPARED } else { 0 };
        if kind.inner > 0 {
            properties.set(property::INNER_NUM, kind.inner.to_string());
            sys_flag |= sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
            body = batch_of(&body, kind.inner);
        }
        let host = random.pick(&["127.0.0.1:10911", "127.0.0.1:10911", "[::1]:10911"]);
        let host = host.parse().expect("an address");
        let draft = Draft {
            queue_id: place.1,
            flag: 7,
            sys_flag,
            body: Bytes::from(body.clone()),
            properties: properties.encode(),
            ..Draft::plain(topic.to_owned(), 5, host)
        };
        let message = Message {
            place,
            count: kind.inner.max(1) as i64,
            of: None,
            is_half: kind.is_half,
            body,
            properties: draft.properties.to_vec(),
            state: State::Unknown,
            is_torn: false,
            has_expired: false,
        };
        let shadow = |(topic, _): &(usize, String)| Message {
            place: (*topic, 0),
            of: Some(id),
            body: Vec::new(),
            ..message.clone()
        };
        let shadows: Vec<Message> = kind.light.iter().map(shadow).collect();
        self.messages.push(message);
        self.messages.extend(shadows);
        (id, draft)
    }

    /// The other places of a message, in light queues.
    pub(crate) fn shadows(&self, id: usize) -> Vec<usize> {
        let behind =
            (id + 1..self.messages.len()).take_while(|at| self.messages[*at].of == Some(id));
        behind.collect()
    }

    /// As what message a record counts in a queue, and its offset there.
    pub(crate) fn seen(
        &self,
        (place, topic): (Place, &str),
        record: &Record,
    ) -> Option<(usize, i64)> {
        let id = self.id_of(record)?;
        if (&*record.topic, record.queue_id) == (topic, place.1) {
            return Some((id, record.queue_offset));
        }
        let is_there = |shadow: &usize| self.messages[*shadow].place == place;
        let shadow = self.shadows(id).into_iter().find(is_there)?;
        let (_, offset) = record.light_places().into_iter().find(|(name, _)| name == topic)?;
        Some((shadow, offset))
    }

    /// The message that a record carries.
    pub(crate) fn id_of(&self, record: &Record) -> Option<usize> {
        let id = |bytes: &[u8]| -> Option<usize> {
            let digits = bytes.split(|byte| *byte == b':').next()?;
            let id: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
            (self.messages.get(id)?.body == record.body).then_some(id)
        };
        record.id_bytes().into_iter().find_map(id)
    }

    /// The message was refused.
    pub(crate) fn refuse(&mut self, id: usize) {
        self.messages[id].state = State::Refused;
        self.shadows(id).into_iter().for_each(|it| self.messages[it].state = State::Refused);
    }

    /// Notes what became of the message; the caller checked the place.
    pub(crate) fn store(&mut self, id: usize, at: At) {
        let message = &mut self.messages[id];
        message.state = State::Stored(at);
        if !message.is_half {
            let queue = self.queues.entry(message.place).or_default();
            queue.placed.insert(at.queue_offset, id);
            queue.next = queue.next.max(at.queue_offset + message.count);
        }
    }

    /// A part of the message's properties was lost before it was durable: it is as good as lost,
    /// may be served or passed over, and its place may be taken or not; so are its places in light
    /// queues, which its properties may still say, also when nobody was told of them.
    pub(crate) fn lose_torn(&mut self, id: usize, record: &Record, topics: &[String]) {
        let claimed = record.light_places();
        for shadow in self.shadows(id) {
            let topic = &topics[self.messages[shadow].place.0];
            let known = match self.messages[shadow].state {
                State::Stored(at) => Some(at.queue_offset),
                _ => claimed.iter().find(|(name, _)| name == topic).map(|(_, offset)| *offset),
            };
            self.messages[shadow].is_torn = true;
            self.lose_at(shadow, known);
        }
        self.lose_at(id, Some(record.queue_offset));
    }

    fn lose_at(&mut self, id: usize, queue_offset: Option<i64>) {
        let message = &mut self.messages[id];
        if std::mem::replace(&mut message.state, State::Gone) == State::Gone {
            return;
        }
        if !message.is_half {
            let queue = self.queues.entry(message.place).or_default();
            if let Some(offset) = queue_offset {
                if queue.placed.get(&offset) == Some(&id) {
                    queue.placed.remove(&offset);
                }
                queue.next = queue.next.max(offset + message.count);
            } else {
                *self.tried.entry(message.place).or_default() += message.count;
            }
            queue.has_holes = true;
        }
    }

    /// Everything before `log_offset` is durable by the store's word.
    pub(crate) fn set_durable(&mut self, log_offset: i64) {
        if log_offset <= self.durable_to {
            return;
        }
        self.durable_to = log_offset;
        let messages = &self.messages;
        for queue in self.queues.values_mut() {
            let durable = queue.placed.iter().rev().find(|(_, id)| match messages[**id].state {
                State::Stored(at) => at.log_end <= log_offset,
                _ => false,
            });
            let next = durable.map_or(0, |(offset, id)| offset + messages[*id].count);
            queue.durable_next = queue.durable_next.max(next);
        }
    }

    /// The messages before `log_min` have expired.
    pub(crate) fn expire(&mut self, log_min: i64) {
        for message in &mut self.messages {
            let (State::Stored(at) | State::Removed(at)) = message.state else { continue };
            if at.log_offset >= log_min {
                continue;
            }
            message.has_expired = true;
            if let State::Stored(at) = message.state {
                message.state = State::Removed(at);
                if !message.is_half {
                    let queue = self.queues.entry(message.place).or_default();
                    queue.placed.remove(&at.queue_offset);
                }
            }
        }
    }

    /// The queue begins anew; its messages stay in the log.
    pub(crate) fn remove_queue(&mut self, place: Place) {
        let Some(queue) = self.queues.remove(&place) else { return };
        for id in queue.placed.into_values() {
            if let State::Stored(at) = self.messages[id].state {
                self.messages[id].state = State::Removed(at);
            }
        }
    }
}

/// What a message shall be like.
pub(crate) struct Kind {
    /// Bytes of the body's filling.
    pub(crate) body: u64,
    pub(crate) is_half: bool,
    /// Zero bytes in the properties.
    pub(crate) zeros: u64,
    /// The light queues that it goes to, by their numbers among the topics, and their names.
    pub(crate) light: Vec<(usize, String)>,
    /// How many messages an inner batch has; 0 of a single message.
    pub(crate) inner: u64,
}

/// The properties of message `id`.
fn properties_of((id, topic): (usize, &str), kind: &Kind, random: &mut Random) -> Properties {
    let mut properties: Properties = [
        (property::KEYS, format!("key-{id} shared-{}", id % 9)),
        (property::UNIQ_KEY, format!("unique-{id}")),
    ]
    .into_iter()
    .collect();
    if random.one_in(2) {
        properties.set(property::TAGS, random.pick(&["TagA", "TagB", "Schlüssel"]));
    }
    if topic == names::SCHEDULE_TOPIC {
        properties.set(property::DELAY, (1 + random.below(20)).to_string());
    }
    if kind.zeros > 0 {
        properties.set("ZEROS", "\0".repeat(kind.zeros as usize));
    }
    if random.one_in(8) {
        properties.set("LONG", "p".repeat(1 + random.index(1_500)));
    }
    if !kind.light.is_empty() {
        let names: Vec<&str> = kind.light.iter().map(|(_, name)| &**name).collect();
        properties.set(property::INNER_MULTI_DISPATCH, names.join(","));
    }
    properties
}

/// A batch of `count` messages, the first of which has the body.
fn batch_of(body: &[u8], count: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for number in 0..count {
        let body = if number == 0 { body } else { &[] };
        all.extend_from_slice(&(22 + body.len() as i32).to_be_bytes());
        all.extend_from_slice(&[0; 12]);
        all.extend_from_slice(&(body.len() as i32).to_be_bytes());
        all.extend_from_slice(body);
        all.extend_from_slice(&[0; 2]);
    }
    all
}
