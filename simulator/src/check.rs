//! What must hold, whatever happened: the checks, each with the name under which the documents and
//! a failure speak of it. They ask the store through its public door and read its files with their
//! own decoder.

use crate::decode::{self, Entry, Record};
use crate::model::{At, Place, State};
use crate::wishes;
use crate::world::{Outage, World};
use std::collections::{BTreeMap, BTreeSet};
use store::{Everything, Limits, Position, Store};

/// A failure: the check's name and what it saw.
pub(crate) type Verdict<T = ()> = Result<T, String>;

/// What the log holds: id of the message and its record, by log offset.
type Log = BTreeMap<i64, (usize, Record)>;

/// After a start: nothing is lost beyond what the outage may take, nothing is made up, and queues,
/// index and configuration agree with the log.
pub(crate) fn restarted(world: &mut World<'_>, outage: Outage) -> Verdict {
    let log = walk_log(world, outage)?;
    lost_and_found(world, &log, outage)?;
    queues_agree(world, &log, outage)?;
    index_agrees(world, &log)?;
    configuration_is_a_saved_one(world)?;
    claims_are_true(world)
}

/// In the middle of a run: as after a start, with nothing lost at all.
pub(crate) fn running(world: &mut World<'_>) -> Verdict {
    let outage = Outage::default();
    let log = walk_log(world, outage)?;
    lost_and_found(world, &log, outage)?;
    queues_agree(world, &log, outage)?;
    index_agrees(world, &log)
}

/// Reads the log's files record by record.
fn walk_log(world: &mut World<'_>, outage: Outage) -> Verdict<Log> {
    let (from, to) = (world.store().min_log_offset(), world.store().max_log_offset());
    let file_bytes = world.plan.settings.commit_log_file_bytes as i64;
    let mut log = Log::new();
    let mut seen = BTreeSet::new();
    let mut at = from;
    let mut file = (i64::MIN, Vec::new());
    while at < to {
        let start = at - at % file_bytes;
        if file.0 != start {
            let Some(content) = world.disk.content(&world.log_path(start)) else {
                // Power loss brought files back that had expired, and not all of them.
                if !world.has_damage {
                    return Err(format!("log: no file holds {at}"));
                }
                world.has_gap = true;
                at = start + file_bytes;
                continue;
            };
            file = (start, content);
        }
        match decode::entry(&file.1[(at - start) as usize..]) {
            Entry::Record(record) if record.log_offset == at => {
                at += record.size as i64;
                let id = known(world, &record, outage)?;
                if !seen.insert(id) {
                    return Err(format!("no phantom: message {id} is there twice, at {at} too"));
                }
                if world.model.messages[id].is_torn {
                    world.model.lose_torn(id, &record, &world.plan.topics);
                } else {
                    log.insert(record.log_offset, (id, record));
                }
            }
            Entry::Blank => at = start + file_bytes,
            _ if world.has_damage => at += 1,
            other => return Err(format!("log: no record at {at} of {from}..{to}: {other:?}")),
        }
    }
    let (start, behind) = (to - to % file_bytes, (to % file_bytes) as usize);
    let rest = world.disk.content(&world.log_path(start)).unwrap_or_default();
    if rest.get(behind..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0)) {
        return Err(format!("log: bytes behind its end at {to}"));
    }
    Ok(log)
}

/// No phantom, no other body: the record is one that was sent, as it was sent, and it may be there.
fn known(world: &mut World<'_>, record: &Record, outage: Outage) -> Verdict<usize> {
    let at = record.log_offset;
    let Some(id) = world.model.id_of(record) else {
        return Err(format!("no phantom: nobody sent the body at {at}"));
    };
    let message = &world.model.messages[id];
    let topic = &world.plan.topics[message.place.0];
    if *topic != record.topic || message.place.1 != record.queue_id {
        return Err(format!("no phantom: message {id} at {at} has another topic or queue"));
    }
    if message.is_half == record.is_visible() {
        return Err(format!("no phantom: message {id} at {at} changed its transaction bits"));
    }
    match message.state {
        State::Gone if message.is_torn => return Ok(id),
        State::Refused => return Err(format!("no phantom: {id} at {at} had been refused")),
        State::Gone => return Err(format!("no phantom: {id} at {at} had been lost, and is back")),
        State::Stored(known) | State::Removed(known) if known.log_offset != at => {
            let was = known.log_offset;
            return Err(format!("no phantom: {id} was stored at {was} and is at {at}"));
        }
        _ => {}
    }
    if !same_properties(&message.properties, record) && !message.is_torn {
        let is_durable = at + record.size as i64 <= world.model.durable_to;
        if !outage.power || is_durable || !lost_a_sector(&message.properties, &record.properties) {
            return Err(format!("no other body: message {id} at {at} has other properties"));
        }
        world.model.messages[id].is_torn = true;
    }
    Ok(id)
}

/// The store may put a checksum behind the properties; a part of it may be lost as one of them.
fn same_properties(sent: &[u8], record: &Record) -> bool {
    let Some(rest) = record.properties.strip_prefix(sent) else { return false };
    let rest = decode::behind_places(rest);
    rest.is_empty() || rest.starts_with(b"__CRC32#\x01") && rest.len() == 20 && record.seal_holds
}

/// A part of what was not durable reads as zeros.
fn lost_a_sector(sent: &[u8], stored: &[u8]) -> bool {
    let differ = |(sent, stored): (&u8, &u8)| sent == stored || *stored == 0;
    stored.len() >= sent.len() && sent.iter().zip(stored).all(differ)
}

/// No acknowledged message is lost beyond the contract: a killed process loses none, power loss
/// none that was durable.
fn lost_and_found(world: &mut World<'_>, log: &Log, outage: Outage) -> Verdict {
    world.model.expire(world.store().min_log_offset());
    let there: BTreeSet<usize> = log.values().map(|(id, _)| *id).collect();
    let is_there = |id: usize, of: Option<usize>| there.contains(&of.unwrap_or(id));
    let durable_to = world.model.durable_to;
    for (id, message) in world.model.messages.iter_mut().enumerate() {
        let State::Stored(at) = message.state else {
            if message.state == State::Unknown && !is_there(id, message.of) {
                message.state = State::Gone;
                *world.model.tried.entry(message.place).or_default() += message.count;
            }
            continue;
        };
        if is_there(id, message.of) {
            continue;
        }
        if !outage.power {
            return Err(format!("a kill loses nothing: message {id}, {at:?}, is gone"));
        }
        if at.log_end <= durable_to {
            return Err(format!(
                "power loss takes nothing durable: message {id}, {at:?}, is gone, \
                 all before {durable_to} was durable"
            ));
        }
        message.state = State::Gone;
        if let (false, Some(queue)) = (message.is_half, world.model.queues.get_mut(&message.place))
        {
            queue.placed.remove(&at.queue_offset);
        }
    }
    Ok(())
}

/// Every message of the log is at its offset of its queue, in order, and nothing else is; offsets
/// are dense and never given twice.
fn queues_agree(world: &mut World<'_>, log: &Log, outage: Outage) -> Verdict {
    let mut by_place: BTreeMap<Place, BTreeMap<i64, usize>> = BTreeMap::new();
    for (id, record) in log.values().filter(|(_, record)| record.is_visible()) {
        let state = world.model.messages[*id].state;
        if matches!(state, State::Stored(_) | State::Unknown) {
            let queue = by_place.entry(world.model.messages[*id].place).or_default();
            if let Some(other) = queue.insert(record.queue_offset, *id) {
                return Err(format!("offsets are never reused: {other} and {id} have one"));
            }
        }
        for shadow in world.model.shadows(*id) {
            let place = world.model.messages[shadow].place;
            let topic = &world.plan.topics[place.0];
            let state = world.model.messages[shadow].state;
            let is_known = matches!(state, State::Stored(_) | State::Unknown);
            let seen = world.model.seen((place, topic), record).filter(|_| is_known);
            let Some((_, offset)) = seen else { continue };
            if let Some(other) = by_place.entry(place).or_default().insert(offset, shadow) {
                return Err(format!("offsets are never reused: {other} and {shadow} have one"));
            }
        }
    }
    let mut places: BTreeSet<Place> = by_place.keys().copied().collect();
    places.extend(world.model.queues.keys());
    places.extend(world.model.messages.iter().map(|message| message.place));
    for place in places {
        let in_log = by_place.remove(&place).unwrap_or_default();
        queue_agrees(world, place, in_log, outage)?;
    }
    for (id, record) in log.values().filter(|(_, record)| !record.is_visible()) {
        let log_offset = record.log_offset;
        let at = At { log_offset, log_end: log_offset + record.size as i64, queue_offset: 0 };
        if world.model.messages[*id].state == State::Unknown {
            world.model.store(*id, at);
        }
        let Some(bytes) = world.store().message_at(log_offset) else {
            return Err(format!("half messages are kept: {id} at {log_offset} cannot be read"));
        };
        if decode::entry(&bytes) != Entry::Record(record.clone()) {
            return Err(format!("half messages are kept: another at {log_offset}"));
        }
    }
    world.model.half_deleted.clear();
    world.model.tried.clear();
    if outage.power {
        world.model.may_be_back.clear();
    }
    Ok(())
}

fn queue_agrees(
    world: &mut World<'_>,
    place: Place,
    mut in_log: BTreeMap<i64, usize>,
    outage: Outage,
) -> Verdict {
    let name = world.name(place);
    let found = read_all(world, place)?;
    wishes::are_served(world, place, &found)?;
    let half_deleted = world.model.half_deleted.contains(&place);
    if half_deleted
        && found.is_empty()
        && world.store().max_offset(&world.plan.topics[place.0], place.1) == 0
    {
        let next = world.model.queues.get(&place).map_or(0, |queue| queue.next);
        world.model.may_be_back.insert(place, next);
        world.model.remove_queue(place);
        return Ok(());
    }
    for (offset, (id, at)) in &found {
        match world.model.messages[*id].state {
            State::Removed(was) if was != *at => {
                return Err(format!("{name}: removed message {id} is back at another place"));
            }
            // A deletion, of a topic or a log file, that power loss or a kill undid.
            State::Removed(_) if !outage.is_one => {
                return Err(format!("{name}: removed message {id} is back"));
            }
            State::Removed(_) if in_log.insert(*offset, *id).is_some() => {
                return Err(format!("{name}: {id} of a deleted life stands at {offset}"));
            }
            _ => {}
        }
    }
    let ids: BTreeMap<i64, usize> = found.iter().map(|(offset, (id, _))| (*offset, *id)).collect();
    if ids != in_log {
        let missing: Vec<_> = in_log.iter().filter(|one| ids.get(one.0) != Some(one.1)).collect();
        let more: Vec<_> = ids.iter().filter(|one| in_log.get(one.0) != Some(one.1)).collect();
        return Err(format!(
            "queues hold what the log holds: {name} lacks {missing:?} and has {more:?} \
             (offset, message)"
        ));
    }
    ends_agree(world, place, &ids, outage)?;
    world.model.queues.entry(place).or_default().placed.clear();
    for (id, at) in found.into_values() {
        world.model.store(id, at);
    }
    Ok(())
}

/// Offsets never go back and have no gaps that a loss does not explain.
fn ends_agree(
    world: &mut World<'_>,
    place: Place,
    ids: &BTreeMap<i64, usize>,
    outage: Outage,
) -> Verdict {
    let name = world.name(place);
    let topic = &world.plan.topics[place.0];
    let (min, max) =
        (world.store().min_offset(topic, place.1), world.store().max_offset(topic, place.1));
    let half_deleted = world.model.half_deleted.contains(&place);
    let durable_to = world.model.durable_to;
    let queue = world.model.queues.entry(place).or_default();
    let count = |id: &usize| world.model.messages[*id].count;
    let behind_last = ids.iter().next_back().map_or(0, |(last, id)| last + count(id));
    let taken: i64 = ids.values().map(count).sum();
    let (next, durable_next) = (queue.next, queue.durable_next);
    let least = if outage.power { durable_next } else { next }.max(behind_last);
    let tried = if outage.power { world.model.tried.get(&place).unwrap_or(&0) } else { &0 };
    let was = if outage.power { world.model.may_be_back.get(&place).unwrap_or(&0) } else { &0 };
    let most = (next.max(behind_last) + tried).max(*was);
    if !half_deleted && !(least..=most).contains(&max) {
        return Err(format!(
            "offsets never go back: {name} ends at {max}, not within {least}..={most} \
             (before: {next}, durable: {durable_next}, log durable to {durable_to})"
        ));
    }
    let first = ids.keys().next().copied().unwrap_or(max);
    if min > first || !outage.is_one && min < queue.min_seen {
        return Err(format!("min and max only grow: {name} begins at {min}, first is {first}"));
    }
    let holes = max - first - taken;
    if holes > 0 && !outage.power && !queue.has_holes && !world.has_gap {
        return Err(format!("offsets are dense: {name} lacks {holes} of {first}..{max}"));
    }
    queue.has_holes |= holes > 0;
    if half_deleted {
        // Without messages it may be there in part, as it may be gone: it counts from here on.
        queue.durable_next = queue.durable_next.min(max);
    }
    (queue.next, queue.min_seen, queue.max_seen) = (max, min, max);
    Ok(())
}

/// All messages of a queue, as reads answer them.
fn read_all(world: &mut World<'_>, place: Place) -> Verdict<BTreeMap<i64, (usize, At)>> {
    let name = world.name(place);
    let topic = world.plan.topics[place.0].clone();
    let store = world.store();
    let (mut offset, max) = (store.min_offset(&topic, place.1), store.max_offset(&topic, place.1));
    let mut all = BTreeMap::new();
    while offset < max {
        let position = Position { topic: &topic, queue_id: place.1, offset };
        let read = world.store().read(position, Limits::messages(32), &Everything);
        if read.next_offset <= offset {
            return Err(format!("reads move on: {name} at {offset}: {:?}", read.status));
        }
        for bytes in &read.messages {
            let Entry::Record(record) = decode::entry(bytes) else {
                return Err(format!("no other body: {name} from {offset}: not a whole record"));
            };
            let Some(id) = world.model.id_of(&record) else {
                return Err(format!("no phantom: {name} from {offset}: nobody sent that"));
            };
            if world.model.messages[id].is_torn {
                continue;
            }
            let seen = world.model.seen((place, &topic), &record);
            let seen = seen.filter(|(id, at)| {
                let end = at + world.model.messages[*id].count;
                offset < end && *at < read.next_offset && end <= read.next_offset
            });
            let Some((id, queue_offset)) = seen else {
                let at = record.queue_offset;
                return Err(format!("order: {name} from {offset}: {id} belongs to offset {at}"));
            };
            let log_end = record.log_offset + record.size as i64;
            let at = At { log_offset: record.log_offset, log_end, queue_offset };
            offset = queue_offset + world.model.messages[id].count;
            unit_agrees(world.store(), (&topic, place.1, queue_offset), &record)?;
            all.insert(queue_offset, (id, at));
        }
        offset = read.next_offset;
    }
    Ok(all)
}

/// The queue's unit says where its record is, how long, and the hash of its tags.
fn unit_agrees(store: &Store, (topic, queue_id, at): (&str, i32, i64), record: &Record) -> Verdict {
    let unit = store.unit(topic, queue_id, at).map(|unit| decode::unit(&unit.encode()));
    let Some(Some((log_offset, size, tags_code))) = unit else {
        return Err(format!("units agree: {topic}/{queue_id} has none at {at}"));
    };
    let delayed = topic == message::names::SCHEDULE_TOPIC;
    let tags_agree = tags_code == record.tags_hash() || delayed || record.properties.contains(&0);
    if (log_offset, size as usize) != (record.log_offset, record.size) || !tags_agree {
        return Err(format!("units agree: {topic}/{queue_id} at {at} says otherwise"));
    }
    Ok(())
}

/// The index finds every record by each of its keys, once, and nothing else. Keys go with the log
/// file, also when power loss brings that back.
fn index_agrees(world: &mut World<'_>, log: &Log) -> Verdict {
    let mut expected: BTreeMap<(String, String), BTreeSet<usize>> = BTreeMap::new();
    let messages = &world.model.messages;
    for (id, record) in log.values().filter(|(id, _)| !messages[*id].has_expired) {
        for key in [format!("key-{id}"), format!("unique-{id}"), format!("shared-{}", id % 9)] {
            expected.entry((record.topic.clone(), key)).or_default().insert(*id);
        }
    }
    for ((topic, key), ids) in expected {
        let answer = world.store().query(&topic, &key, usize::MAX, (0, i64::MAX));
        let mut found = BTreeSet::new();
        for bytes in &answer.records {
            let Entry::Record(record) = decode::entry(bytes) else {
                return Err(format!("the index finds every key: {topic} {key}: not a record"));
            };
            let id = world.model.id_of(&record).unwrap_or(usize::MAX);
            let has_key = record.key_hashes().contains(&decode::key_hash(&topic, &key));
            if !has_key && !world.model.messages.get(id).is_some_and(|m| m.is_torn) {
                return Err(format!("the index finds nothing else: {topic} {key} gives {id}"));
            }
            let same = decode::key_hash(&topic, &key) == decode::key_hash(&record.topic, &key);
            if same && !found.insert(id) {
                return Err(format!("the index finds a key once: {topic} {key} gives {id} twice"));
            }
        }
        let missing: Vec<_> = ids.difference(&found).collect();
        if !missing.is_empty() {
            return Err(format!("the index finds every key: {topic} {key} lacks {missing:?}"));
        }
    }
    Ok(())
}

/// The configuration file is one of the versions saved, and not older than the last durable one.
fn configuration_is_a_saved_one(world: &mut World<'_>) -> Verdict {
    let loaded = world.store().config().load("sim.json", |text| {
        let rest = text.strip_prefix("{\"version\":")?;
        rest.strip_suffix('}')?.split(',').next()?.parse::<u64>().ok()
    });
    let allowed = &world.model.saves.allowed;
    let none_ever = loaded.is_none() && (allowed.is_empty() || allowed[0] == 0);
    if !none_ever && !loaded.is_some_and(|version| allowed.contains(&version)) {
        return Err(format!("configuration: {loaded:?} is none of {allowed:?}"));
    }
    Ok(())
}

/// What the store calls durable is on the medium, and under SYNC_FLUSH readers see nothing else.
pub(crate) fn claims_are_true(world: &mut World<'_>) -> Verdict {
    let flushed_to = world.store().flushed_to();
    let file_bytes = world.plan.settings.commit_log_file_bytes as i64;
    let mut at = world.claimed_to.max(world.store().min_log_offset());
    while at < flushed_to {
        let start = at - at % file_bytes;
        let end = flushed_to.min(start + file_bytes);
        let range = (at - start) as u64..(end - start) as u64;
        // A file that is not there was lost, and is set aside.
        let path = world.log_path(start);
        let is_lost = world.has_gap && world.disk.content(&path).is_none();
        if !is_lost && !world.disk.is_durable(&path, range) {
            return Err(format!("durable means durable: {at}..{end} is not on the medium"));
        }
        at = end;
    }
    world.claimed_to = world.claimed_to.max(flushed_to);
    world.model.set_durable(flushed_to);
    Ok(())
}

/// Ends only grow while the store runs, and show what they may.
pub(crate) fn ends_grow(world: &mut World<'_>) -> Verdict {
    let is_sync = world.plan.is_sync();
    let flushed_to = world.store().flushed_to();
    let places: Vec<Place> = world.model.queues.keys().copied().collect();
    for place in places {
        let name = world.name(place);
        let topic = &world.plan.topics[place.0];
        let (min, max) =
            (world.store().min_offset(topic, place.1), world.store().max_offset(topic, place.1));
        let queue = world.model.queues.entry(place).or_default();
        if min < queue.min_seen || max < queue.max_seen || max > queue.next || min > max {
            let seen = (queue.min_seen, queue.max_seen, queue.next);
            return Err(format!("min and max only grow: {name} {min}..{max}, before {seen:?}"));
        }
        if !is_sync && max != queue.next {
            return Err(format!("readers see what is stored: {name} ends at {max}"));
        }
        let last = queue.placed.range(..max).next_back().map(|(_, id)| *id);
        (queue.min_seen, queue.max_seen) = (min, max);
        if let (true, Some(State::Stored(at))) =
            (is_sync, last.map(|id| world.model.messages[id].state))
            && at.log_end > flushed_to
        {
            return Err(format!("SYNC_FLUSH shows what is durable: {name} shows {at:?}"));
        }
    }
    Ok(())
}

/// A read from anywhere answers the next messages in order, and skips none.
pub(crate) fn reads_skip_nothing(world: &mut World<'_>, place: Place, offset: i64) -> Verdict {
    let name = world.name(place);
    let topic = world.plan.topics[place.0].clone();
    let position = Position { topic: &topic, queue_id: place.1, offset };
    let read = world.store().read(position, Limits::messages(8), &Everything);
    let mut given = BTreeMap::new();
    for bytes in &read.messages {
        let Entry::Record(record) = decode::entry(bytes) else {
            return Err(format!("no other body: {name} from {offset}: not a whole record"));
        };
        let id = world
            .model
            .id_of(&record)
            .ok_or_else(|| format!("no phantom: {name} from {offset}"))?;
        let log_end = record.log_offset + record.size as i64;
        if world.plan.is_sync() && log_end > world.model.durable_to {
            return Err(format!("SYNC_FLUSH shows what is durable: {name}: {id}"));
        }
        if world.model.messages[id].is_torn {
            continue;
        }
        let Some((id, at)) = world.model.seen((place, &topic), &record) else {
            return Err(format!("no phantom: {name} from {offset}: {id} is of another queue"));
        };
        given.insert(at, id);
    }
    let Some(queue) = world.model.queues.get(&place) else {
        return if given.is_empty() { Ok(()) } else { Err(format!("no phantom: {name}")) };
    };
    if !(queue.min_seen..queue.max_seen).contains(&offset) {
        let fine = given.is_empty();
        return if fine { Ok(()) } else { Err(format!("{name}: {offset} is outside")) };
    }
    // A read that failed passes nothing, also in the middle of a batch.
    let end = if read.next_offset > offset { read.next_offset } else { i64::MIN };
    let passed = queue.placed.range(..end);
    let is_behind = |(at, id): &(&i64, &usize)| **at + world.model.messages[**id].count > offset;
    let passed = passed.filter(is_behind);
    let passed: BTreeMap<i64, usize> = passed.map(|(offset, id)| (*offset, *id)).collect();
    if passed != given {
        return Err(format!("reads skip nothing: {name} {offset}: {given:?}, not {passed:?}"));
    }
    Ok(())
}

/// A message that was taken is in the log's file, as it was sent.
pub(crate) fn written(world: &mut World<'_>, id: usize, log_offset: i64) -> Verdict<Record> {
    let file_bytes = world.plan.settings.commit_log_file_bytes as i64;
    let start = log_offset - log_offset % file_bytes;
    let content = world.disk.content(&world.log_path(start)).unwrap_or_default();
    let found = decode::entry(content.get((log_offset - start) as usize..).unwrap_or_default());
    match found {
        Entry::Record(record)
            if record.log_offset == log_offset
                && world.model.id_of(&record) == Some(id)
                && same_properties(&world.model.messages[id].properties, &record) =>
        {
            Ok(record)
        }
        _ => Err(format!("acknowledged is written: no message {id} at {log_offset}")),
    }
}
