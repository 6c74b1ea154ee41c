//! Where groups go on after a crash. A pop's checkpoint is in the log at once, the offset that it
//! moved is in its file some time later: what the file lacks is read from the checkpoints, so that
//! nothing is popped twice. Java pops it twice.

use super::ordered;
use super::records::{self, CHECK_POINT, CheckPoint};
use crate::broker::Broker;
use message::{Entry, names, properties, property, record};
use store::{Position, Progress, Step};

/// Records of one queue that are looked at: far more than a broker stores between two saves.
const MOST: i64 = 1_000_000;
/// The file of offsets is written once more when so much of the log lies behind what it has.
const FAR_BYTES: i64 = 4 << 20;

/// Notes in the file of offsets that is about to be written up to where it has all pops.
pub fn note(broker: &Broker) {
    let _still = broker.pops.moving.write();
    broker.offsets.set_noted_to(broker.store.max_log_offset());
}

/// Whether a start would have to look at much of the log, because nobody committed for long.
pub fn is_far_behind(broker: &Broker) -> bool {
    let noted_to = broker.offsets.noted_to();
    noted_to.is_some_and(|noted_to| broker.store.max_log_offset() - noted_to > FAR_BYTES)
}

/// Takes over the pops that the file of offsets lacks. A file that does not say what it has is
/// another broker's: it is written once more before the first pop.
pub fn catch_up(broker: &Broker, now_ms: i64, watch: &dyn Fn(Progress)) {
    let Some(noted_to) = broker.offsets.noted_to() else {
        note(broker);
        broker.save(broker.offsets.file(), &broker.offsets.to_json(now_ms));
        return;
    };
    let revive = records::revive_topic(&broker.settings().broker.broker_cluster_name);
    let mut moved = look(broker, (names::TIMER_TOPIC, 0), noted_to, watch);
    for queue_id in broker.store.queue_ids(&revive) {
        moved += look(broker, (&revive, queue_id), noted_to, watch);
    }
    if moved > 0 {
        tracing::info!(pops = moved, "groups go on behind what they popped before the crash");
    }
}

/// Takes over the checkpoints of one queue; gives how many said something new.
fn look(
    broker: &Broker,
    (topic, queue_id): (&str, i32),
    noted_to: i64,
    watch: &dyn Fn(Progress),
) -> usize {
    let store = &broker.store;
    let end = store.max_offset(topic, queue_id);
    let least = store.min_offset(topic, queue_id).max(end - MOST);
    let stored = |offset| {
        let found = store.message_in(Position { topic, queue_id, offset });
        found.ok().flatten().map(|(stored, _)| stored)
    };
    let mut from = end;
    let bytes = |back_to: i64| (store.max_log_offset() - back_to).max(0).unsigned_abs();
    let step = Step::begin(watch, "looking for pops that are not saved", bytes(noted_to));
    while from > least {
        // A place that gives no message does not say when it was taken.
        let place = stored(from - 1).and_then(|stored| Some(record::claim(&stored)?.log_offset));
        if place.is_some_and(|place| place < noted_to) {
            break;
        }
        step.reach(place.map_or(0, bytes));
        from -= 1;
    }
    drop(step);
    let mut moved = 0;
    let step = Step::count(watch, "taking over pops", (end - from).unsigned_abs());
    for offset in from..end {
        step.advance(1);
        let Some(stored) = stored(offset) else { continue };
        let Ok(Entry::Message(record)) = record::decode(&stored, false) else { continue };
        let property = |key| properties::find(record.properties, key);
        // What the timer delivered was popped long before.
        let is_new = topic == names::TIMER_TOPIC || property(property::TIMER_OUT_MS).is_none();
        let tags = property(property::TAGS);
        if is_new && ordered::is_note(tags) {
            moved += usize::from(ordered::take_over(broker, &record));
            continue;
        }
        if !is_new || tags != Some(CHECK_POINT) {
            continue;
        }
        let Ok(point) = remoting::json::from_body::<CheckPoint>(record.body) else { continue };
        let Some(next) = point.next else { continue };
        let (group, topic, queue_id) = (&point.group, &point.topic, point.queue_id);
        let known = broker.offsets.query(group, topic, queue_id).unwrap_or(-1);
        if next > known && broker.topics.contains(topic) {
            broker.offsets.commit(group, topic, queue_id, next);
            moved += 1;
        }
    }
    moved
}

#[cfg(test)]
mod tests;
