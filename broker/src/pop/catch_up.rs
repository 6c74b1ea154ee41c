//! Where groups go on after a crash, ours or a stock broker's. A pop's checkpoint is in the log at
//! once, the offset that it moved is in its file some time later: what the file lacks is read from
//! the checkpoints, so that nothing is popped twice. Java pops it twice.

use super::ordered;
use super::records::{self, CHECK_POINT, CheckPoint};
use crate::broker::Broker;
use crate::offsets;
use message::record::Record;
use message::{Entry, Str, names, properties, property, record};
use std::collections::HashMap;
use store::{ConfigOrigin, Position, Progress, Step};

/// Records of one queue that are looked at: far more than a broker stores between two saves.
const MOST: i64 = 1_000_000;
/// The file of offsets is written once more when so much of the log lies behind what it has.
const FAR_BYTES: i64 = 4 << 20;
/// How long before its file of offsets was there a stock broker may have written that text, ms.
const SAVING_MS: i64 = 2_000;
/// No pop that was stored is older.
const ALWAYS_MS: i64 = i64::MIN;

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
/// another broker's: it is written once more before the first pop. `from` says which file was read.
pub fn catch_up(broker: &Broker, from: ConfigOrigin, now_ms: i64, watch: &dyn Fn(Progress)) {
    let noted_to = broker.offsets.noted_to();
    let moved = match noted_to {
        Some(noted_to) => after_ours(broker, noted_to, watch),
        None if broker.store.was_clean() => 0,
        None => after_another(broker, from, watch),
    };
    if moved > 0 {
        tracing::info!(pops = moved, "groups go on behind what they popped before the crash");
    }
    if noted_to.is_none() {
        note(broker);
        broker.save(broker.offsets.file(), &broker.offsets.to_json(now_ms));
    }
}

/// Takes over what was popped behind a place of the log; gives how many pops said something new.
fn after_ours(broker: &Broker, noted_to: i64, watch: &dyn Fn(Progress)) -> usize {
    let mut moved = 0;
    let newest = Newest { back_to: noted_to, is_before: &|it| it.log_offset < noted_to, watch };
    newest.show_all(broker, &mut |record| {
        if ordered::is_note(properties::find(record.properties, property::TAGS)) {
            moved += usize::from(ordered::take_over(broker, record));
            return;
        }
        let Some(point) = point_of(record) else { return };
        let Some(next) = point.next else { return };
        let (group, topic, queue_id) = (&point.group, &point.topic, point.queue_id);
        let known = broker.offsets.query(group, topic, queue_id).unwrap_or(-1);
        if next > known && is_there(broker, topic, record) {
            broker.offsets.commit(group, topic, queue_id, next);
            moved += 1;
        }
    });
    moved
}

/// Whether there is the topic that a record is about. One of its name may have been deleted since,
/// and made again.
pub fn is_there(broker: &Broker, topic: &str, record: &Record<'_>) -> bool {
    let log_end = record.log_offset + record.total_size() as i64;
    broker.topics.contains(topic) && !broker.store.is_of_former_life(topic, log_end)
}

/// The same for what was popped since a stock broker saved its offsets. Its checkpoints do not say
/// where the group goes on, and one that has been made longer looks like a pop: only those count
/// that begin where the group stands, or before. Of these each message was acknowledged or comes
/// back. A group of which no file says where it stands began where the first of them does; but a
/// broker that kept checkpoints in memory (`enablePopBufferMerge`) may have lost that one.
fn after_another(broker: &Broker, from: ConfigOrigin, watch: &dyn Fn(Progress)) -> usize {
    // It saves them 10 s after its start for the first time: what was killed before has no file.
    let from_ms = saved_ms(broker, from).map_or(ALWAYS_MS, |saved_ms| saved_ms - SAVING_MS);
    let mut queues = Queues { broker, known: HashMap::new() };
    let mut points = Vec::new();
    let (back_to, is_before) =
        (broker.store.min_log_offset(), &|it: &Record<'_>| it.store_timestamp < from_ms);
    Newest { back_to, is_before, watch }.show_all(broker, &mut |record| {
        let Some(point) = point_of(record).filter(|point| point.pop_ms >= from_ms) else { return };
        let next = point.offsets().max().map(|last| last.saturating_add(1));
        let next = next.filter(|next| queues.have(&point, *next, record.store_timestamp));
        points.extend(next.map(|next| (point, next)));
    });
    points.sort_by_key(|(point, _)| point.start);
    let mut moved = 0;
    for (point, next) in points {
        let (group, topic, queue_id) = (&point.group, &point.topic, point.queue_id);
        let known = broker.offsets.query(group, topic, queue_id);
        let known = match broker.settings().broker.enable_pop_buffer_merge {
            true => known.or_else(|| Some(broker.store.min_offset(topic, queue_id))),
            false => known,
        };
        let follows = known.is_none_or(|known| (point.start..next).contains(&known));
        if follows && broker.topics.contains(topic) {
            broker.offsets.commit(group, topic, queue_id, next);
            moved += 1;
        }
    }
    moved
}

/// When a stock broker wrote the offsets that were read, ms; `None` when there are none.
fn saved_ms(broker: &Broker, from: ConfigOrigin) -> Option<i64> {
    let (files, settings) = (broker.store.config(), broker.settings());
    // The first start with light queues finds the file of one without.
    [broker.offsets.file(), offsets::FILE].into_iter().find_map(|name| {
        let file = files.modified(name).filter(|_| from != ConfigOrigin::Backup);
        // It is made when what replaces its text is saved, which is one interval younger.
        let interval_ms = i64::from(settings.broker.flush_consumer_offset_interval);
        file.or_else(|| Some(files.modified(&format!("{name}.bak"))? - interval_ms))
    })
}

/// The queues that there are now. Checkpoints outlive the topic that they are about, and may be of
/// an earlier one of its name.
struct Queues<'a> {
    broker: &'a Broker,
    /// Of each where it ends, and when its first message was stored, if that can be read.
    known: HashMap<(Str, i32), (i64, Option<i64>)>,
}

impl Queues<'_> {
    /// Whether messages of this queue may have been popped up to `next`, and that noted then.
    fn have(&mut self, point: &CheckPoint, next: i64, stored_ms: i64) -> bool {
        let store = &self.broker.store;
        let at = (point.topic.clone(), point.queue_id);
        let known = self.known.entry(at).or_insert_with_key(|(topic, queue_id)| {
            (store.max_offset(topic, *queue_id), store.earliest_store_time(topic, *queue_id))
        });
        let (end, first_ms) = *known;
        next <= end && first_ms.is_none_or(|first_ms| stored_ms >= first_ms)
    }
}

fn point_of(record: &Record<'_>) -> Option<CheckPoint> {
    let tags = properties::find(record.properties, property::TAGS);
    let is_point = tags == Some(CHECK_POINT);
    is_point.then(|| remoting::json::from_body(record.body).ok()).flatten()
}

/// The newest records of pops, in each queue those behind the last one that is before.
struct Newest<'a> {
    /// No record that is not before lies before this place of the log.
    back_to: i64,
    is_before: &'a dyn Fn(&Record<'_>) -> bool,
    watch: &'a dyn Fn(Progress),
}

impl Newest<'_> {
    fn show_all(&self, broker: &Broker, show: &mut dyn FnMut(&Record<'_>)) {
        let revive = records::revive_topic(&broker.settings().broker.broker_cluster_name);
        self.show(broker, (names::TIMER_TOPIC, 0), show);
        for queue_id in broker.store.queue_ids(&revive) {
            self.show(broker, (&revive, queue_id), show);
        }
    }

    fn show(
        &self,
        broker: &Broker,
        (topic, queue_id): (&str, i32),
        show: &mut dyn FnMut(&Record<'_>),
    ) {
        let store = &broker.store;
        let end = store.max_offset(topic, queue_id);
        let least = store.min_offset(topic, queue_id).max(end - MOST);
        let stored = |offset| {
            let found = store.message_in(Position { topic, queue_id, offset });
            found.ok().flatten().map(|(stored, _)| stored)
        };
        let mut from = end;
        let bytes = |back_to: i64| (store.max_log_offset() - back_to).max(0).unsigned_abs();
        let step =
            Step::begin(self.watch, "looking for pops that are not saved", bytes(self.back_to));
        while from > least {
            // A place that gives no message does not say when it was taken.
            let stored = stored(from - 1);
            let record = stored.as_deref().map(|stored| record::decode(stored, false));
            if let Some(Ok(Entry::Message(record))) = record {
                if (self.is_before)(&record) {
                    break;
                }
                step.reach(bytes(record.log_offset));
            }
            from -= 1;
        }
        drop(step);
        let step = Step::count(self.watch, "taking over pops", (end - from).unsigned_abs());
        for offset in from..end {
            step.advance(1);
            let Some(stored) = stored(offset) else { continue };
            let Ok(Entry::Message(record)) = record::decode(&stored, false) else { continue };
            // What the timer delivered was popped long before.
            let timed = properties::find(record.properties, property::TIMER_OUT_MS);
            if topic == names::TIMER_TOPIC || timed.is_none() {
                show(&record);
            }
        }
    }
}

#[cfg(test)]
mod tests;
