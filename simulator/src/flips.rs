//! What bits that flip on the medium may cost: the messages in whose records they are, and no
//! others. A record has a checksum of its body alone, so one that is hit elsewhere may be served as
//! it is, be at another place, or in another queue.

use crate::check::Verdict;
use crate::decode::{self, Entry};
use crate::model::{Model, Place, State};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use store::{Everything, Limits, Position, Store};

/// Reads of one queue that find nothing, at most: blank places are passed over in steps.
const READS_MAX: usize = 2_000;

/// What was hit so far.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    messages: BTreeSet<usize>,
    /// Units of queues, by the first byte: one bit is looked for, of two nobody can tell.
    units: BTreeSet<(PathBuf, u64)>,
    /// The checkpoint's own mark is lost: another broker may have been here, and behind its end
    /// what is older is a left-over.
    mark: bool,
    /// The file that says where queues ended.
    queue_ends: bool,
    /// Bits of the files whose lines stand twice, since these were mended: two may hit both copies.
    twice: BTreeMap<&'static str, u32>,
}

/// Files whose lines stand twice.
const TWICE: [&str; 3] = ["removedtopics", "batchtopics", "setaside"];

impl Hits {
    /// Notes the bit at a byte of a file.
    pub(crate) fn note(
        &mut self,
        (model, topics): (&Model, &[String]),
        (path, at): (&Path, u64),
        content: &[u8],
    ) {
        let text = path.to_string_lossy();
        self.mark |= text.ends_with("/checkpoint");
        self.queue_ends |= text.ends_with("/queueends");
        if let Some(name) = TWICE.into_iter().find(|name| path.file_name() == Some(name.as_ref())) {
            *self.twice.entry(name).or_default() += 1;
        }
        if text.contains("/consumequeue/") && !self.units.insert((path.into(), at / 20)) {
            self.messages.extend(led_to(model, topics, path, at));
        }
        if text.contains("/batchconsumequeue/") && !self.units.insert((path.into(), at / 46)) {
            // Which one it was nobody can tell.
            let all = model.messages.iter().enumerate().filter(|(_, it)| it.place.0 == 0);
            self.messages.extend(all.map(|(id, _)| id));
        }
        let start: Option<i64> = text.split_once("/commitlog/").and_then(|(_, n)| n.parse().ok());
        let Some(log_offset) = start.map(|start| start + at as i64) else { return };
        let is_hit = |state: State| match state {
            State::Stored(at) => (at.log_offset..at.log_end).contains(&log_offset),
            _ => false,
        };
        let messages = model.messages.iter().enumerate();
        let hit: Vec<usize> = messages.filter(|(_, m)| is_hit(m.state)).map(|(id, _)| id).collect();
        for id in hit {
            self.messages.insert(id);
            self.messages.extend(displaced_by(model, topics, &model.messages[id].state, content));
        }
    }

    /// A start has mended what it can; says whether more may be lost from here on.
    pub(crate) fn mended(&mut self) -> bool {
        self.units.clear();
        let was_too_much = self.loses_lists();
        self.twice.clear();
        was_too_much
    }

    /// Whether what is lost besides cannot be known.
    fn is_too_much(&self, clock_steps: bool) -> bool {
        self.loses_lists() || self.mark && clock_steps
    }

    fn loses_lists(&self) -> bool {
        self.twice.values().any(|bits| *bits > 1)
    }
}

/// The message whose place a record that was hit says now: of two that say one place the first in
/// the log has it, where no unit was written before.
fn displaced_by(model: &Model, topics: &[String], hit: &State, content: &[u8]) -> Option<usize> {
    let State::Stored(at) = hit else { return None };
    let start = at.log_offset as usize % content.len().max(1);
    let Entry::Record(record) = decode::entry(content.get(start..)?) else { return None };
    let topic = topics.iter().position(|known| *known == record.topic)?;
    let queue = model.queues.get(&(topic, record.queue_id))?;
    queue.placed.get(&record.queue_offset).copied()
}

/// The message whose unit is at a byte of a queue's file.
fn led_to(model: &Model, topics: &[String], path: &Path, at: u64) -> Option<usize> {
    let mut parts = path.iter().rev().map(|part| part.to_string_lossy());
    let (start, queue_id, topic) = (parts.next()?, parts.next()?, parts.next()?);
    let topic = topics.iter().position(|known| *known == topic)?;
    let queue = model.queues.get(&(topic, queue_id.parse().ok()?))?;
    let place = (start.parse::<i64>().ok()? + i64::try_from(at).ok()?) / 20;
    queue.placed.get(&place).copied()
}

/// Every message that was not hit is at its place and found by its key, and no body is served that
/// nobody sent.
pub(crate) fn cost_their_messages_alone(world: &World<'_>, hits: &Hits) -> Verdict {
    if hits.is_too_much(world.plan.clock_steps) {
        return Ok(());
    }
    let mut expected: BTreeMap<Place, BTreeMap<i64, usize>> = BTreeMap::new();
    for (id, message) in world.model.messages.iter().enumerate() {
        let State::Stored(at) = message.state else { continue };
        if message.is_torn || hits.messages.contains(&id) {
            continue;
        }
        if !message.is_half {
            expected.entry(message.place).or_default().insert(at.queue_offset, id);
        } else if world.store().message_at(at.log_offset).is_none() {
            return Err(format!("a flip costs its message alone: half message {id} is gone"));
        }
        if message.of.is_some() {
            continue;
        }
        let topic = &world.plan.topics[message.place.0];
        let answer = world.store().query(topic, &format!("unique-{id}"), 64, (0, i64::MAX));
        let mut records = answer.records.iter().map(|bytes| decode::entry(bytes));
        let is_found = records.any(|entry| match entry {
            Entry::Record(record) => world.model.id_of(&record) == Some(id),
            _ => false,
        });
        if !is_found && !message.has_expired {
            return Err(format!("a flip costs its message alone: no key finds {id}"));
        }
    }
    for topic in world.store().topics() {
        let place = world.plan.topics.iter().position(|known| **known == *topic);
        for queue_id in world.store().queue_ids(&topic) {
            let found = read_all(world, world.store(), (&topic, queue_id))?;
            let Some(topic) = place else { continue };
            let all = expected.remove(&(topic, queue_id)).unwrap_or_default();
            let missing: Vec<_> =
                all.iter().filter(|(offset, id)| found.get(offset) != Some(id)).collect();
            if !missing.is_empty() {
                let name = world.name((topic, queue_id));
                return Err(format!("a flip costs its message alone: {name} lacks {missing:?}"));
            }
        }
    }
    match expected.is_empty() {
        true => Ok(()),
        false => Err(format!("a flip costs its message alone: no queues for {expected:?}")),
    }
}

/// No queue ends before where it did at the last clean stop: what was noted then holds where a unit
/// that was hit says otherwise, also when its record has expired.
pub(crate) fn ends_are_kept(
    world: &World<'_>,
    hits: &Hits,
    ends: &BTreeMap<Place, i64>,
) -> Verdict {
    if hits.is_too_much(world.plan.clock_steps) || hits.mark || hits.queue_ends {
        return Ok(());
    }
    for (place, end) in ends {
        let max = world.store().max_offset(&world.plan.topics[place.0], place.1);
        if max < *end {
            let name = world.name(*place);
            return Err(format!("a flip costs no offset: {name} ends at {max}, and did at {end}"));
        }
    }
    Ok(())
}

/// The messages that reads of a queue give, by the places that they say.
fn read_all(
    world: &World<'_>,
    store: &Store,
    (topic, queue_id): (&str, i32),
) -> Verdict<BTreeMap<i64, usize>> {
    let mut found = BTreeMap::new();
    let mut offset = store.min_offset(topic, queue_id);
    for _ in 0..READS_MAX {
        let position = Position { topic, queue_id, offset };
        let read = store.read(position, Limits::messages(32), &Everything);
        for bytes in &read.messages {
            let Entry::Record(record) = decode::entry(bytes) else { continue };
            let Some(id) = world.model.id_of(&record) else {
                return Err(format!("no other body: {topic}/{queue_id} near {offset}"));
            };
            let place = world.plan.topics.iter().position(|known| known == topic);
            let seen = place.and_then(|at| world.model.seen(((at, queue_id), topic), &record));
            let (id, at) = seen.unwrap_or((id, record.queue_offset));
            found.insert(at, id);
        }
        if read.next_offset <= offset {
            break;
        }
        offset = read.next_offset;
    }
    Ok(found)
}
