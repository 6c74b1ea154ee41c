//! From the timer's queue into slots: each message gets an entry in the slot of its time. What is
//! due later than a log file lives waits in a nearer slot and is stored again then.

use super::QUEUE;
use super::known::Unsure;
use crate::broker::Broker;
use bytes::Bytes;
use message::{Entry, Record, hash, names, property, record};
use settings::BrokerSettings;
use std::sync::atomic::Ordering;
use store::{Error, NotNow, Position, TimerUnit};

/// Messages that one step takes.
const BATCH: usize = 2_048;
const HOUR_MS: i64 = 3_600_000;

/// How far from now slots may lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// How far apart slots are, ms.
    slot_ms: i64,
    /// How many slots a message waits at most.
    slots: i64,
}

impl Reach {
    /// What the settings say. A message must be stored again before its log file expires.
    pub(super) fn of(settings: &BrokerSettings) -> Self {
        let store = &settings.store;
        let slot_ms = store.timer_slot_ms();
        let kept_ms = i64::from(store.file_reserved_time) * HOUR_MS;
        let safe = (kept_ms / 3 * 2 / slot_ms).max(2);
        Self { slot_ms, slots: store.timer_roll_slots().min(safe) }
    }

    /// How long a message waits at least that is stored again, ms.
    #[cfg(test)]
    fn rolls_from_ms(self) -> i64 {
        self.slots * self.slot_ms
    }

    /// The slot for a time, and whether it only leads nearer to it (Java: `doEnqueue`). What is
    /// due before `read_ms` waits there, for nothing before it is looked at again.
    fn place(self, out_ms: i64, write_ms: i64, read_ms: i64) -> (i64, bool) {
        let Self { slot_ms, slots } = self;
        let far_ms = slots * slot_ms;
        let wait_ms = out_ms.saturating_sub(write_ms);
        if wait_ms < far_ms {
            let slot = out_ms - out_ms.rem_euclid(slot_ms);
            return (slot.max(read_ms).max(write_ms - far_ms), false);
        }
        let is_near = wait_ms - far_ms < slots / 3 * slot_ms;
        // Time enough for the next roll.
        (write_ms + if is_near { slots / 2 * slot_ms } else { far_ms }, true)
    }
}

/// How far a step came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All that came is in its slots.
    Done,
    /// There is more.
    More,
    /// What is next cannot be read now.
    Stuck,
    /// Nothing is taken, as operators said (`timerStopEnqueue`).
    Stopped,
}

/// Takes what came into slots, none of them before `from_ms`.
pub(super) fn step(
    broker: &Broker,
    settings: &BrokerSettings,
    (files, unsure): (&mut store::Timer, &mut Option<Unsure>),
    (now_ms, from_ms): (i64, i64),
) -> Result<Step, Error> {
    let (topic, from) = (names::TIMER_TOPIC, files.progress().queue_offset);
    let (min, end) = (broker.store.min_offset(topic, QUEUE), broker.store.max_offset(topic, QUEUE));
    if from < min {
        let messages = min - from;
        tracing::error!(
            messages,
            "messages with a time of delivery expired before the timer took them: they are lost"
        );
        broker.timer.shown.passed_over.fetch_add(messages.unsigned_abs(), Ordering::Relaxed);
        files.skip(messages);
        return Ok(Step::More);
    }
    let (reach, write_ms) = (Reach::of(settings), files.slot_of(now_ms));
    let units = broker.store.units(topic, QUEUE, from, BATCH);
    let shown = &broker.timer.shown;
    for (at, unit) in (from..).zip(&units) {
        let read_ms = files.progress().read_ms.max(from_ms);
        let Ok(stored) = broker.store.message_of(position(at), unit) else {
            return Ok(Step::Stuck);
        };
        let place = |out_ms| reach.place(out_ms, write_ms, read_ms);
        let Some((entry, topic)) = stored.and_then(|stored| look(&stored, place)) else {
            tracing::error!(timer_offset = at, "a message of the timer is passed over: not read");
            shown.passed_over.fetch_add(1, Ordering::Relaxed);
            files.skip(1);
            continue;
        };
        let entry = TimerUnit { write_ms, ..entry };
        files.put(&entry)?;
        if let Some(unsure) = unsure.as_mut().filter(|_| files.is_rebuilt()) {
            unsure.put_again(&entry);
        }
        shown.put.fetch_add(1, Ordering::Relaxed);
        let one = if entry.deletes { -1 } else { 1 };
        broker.timer.waiting.lock().add(&topic, one, now_ms);
    }
    Ok(match from + (units.len() as i64) < end {
        false => Step::Done,
        true if units.is_empty() => Step::Stuck,
        true => Step::More,
    })
}

/// The entry of a message of the queue in a slot where its own was damaged: what is due later is
/// stored again then.
pub(super) fn again(
    broker: &Broker,
    (at, slot_ms): (i64, i64),
    settings: &BrokerSettings,
) -> Result<Option<TimerUnit>, NotNow> {
    let Some((stored, _)) = broker.store.message_in(position(at))? else { return Ok(None) };
    let far_ms = slot_ms.saturating_add(settings.store.timer_slot_ms());
    let entry = look(&stored, |out_ms| (slot_ms, out_ms >= far_ms));
    Ok(entry.map(|(entry, _)| TimerUnit { write_ms: slot_ms, ..entry }))
}

fn position(at: i64) -> Position<'static> {
    Position { topic: names::TIMER_TOPIC, queue_id: QUEUE, offset: at }
}

/// The entry for a message of the queue, and the topic that it goes to; `None` when it does not
/// say.
fn look(stored: &Bytes, place: impl Fn(i64) -> (i64, bool)) -> Option<(TimerUnit, String)> {
    let Ok(Entry::Message(parked)) = record::decode(stored, false) else { return None };
    let (slot_ms, rolls) = place(out_ms(&parked)?);
    let topic = parked.property(property::REAL_TOPIC)?;
    let entry = TimerUnit {
        write_ms: 0,
        slot_ms,
        rolls,
        deletes: parked.property(property::TIMER_DEL_UNIQKEY).is_some(),
        log_offset: parked.log_offset,
        size: i32::try_from(parked.total_size()).ok()?,
        topic_hash: hash::java_hash(topic),
    };
    Some((entry, topic.to_owned()))
}

/// The slot that a parked message asks for, ms since the epoch.
pub(super) fn out_ms(parked: &Record<'_>) -> Option<i64> {
    parked.property(property::TIMER_OUT_MS)?.parse().ok().filter(|out_ms| *out_ms > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;
    const NOW: i64 = 20_000 * DAY_MS;

    #[test]
    fn near_times_have_their_slot_and_far_ones_lead_nearer() {
        let reach = Reach::of(&BrokerSettings::default());
        let place = |out_ms| reach.place(out_ms, NOW, NOW - 1_000);
        assert_eq!(place(NOW + 5_000), (NOW + 5_000, false));
        assert_eq!(place(NOW + 5_999), (NOW + 5_000, false));
        assert_eq!(place(NOW - 90 * DAY_MS), (NOW - 1_000, false), "what is due waits no more");
        assert_eq!(place(NOW + 2 * DAY_MS - 1), (NOW + 2 * DAY_MS - 1_000, false));
        assert_eq!(place(NOW + 2 * DAY_MS), (NOW + DAY_MS, true));
        assert_eq!(place(NOW + 3 * DAY_MS), (NOW + 2 * DAY_MS, true));
        assert_eq!(place(i64::MAX), (NOW + 2 * DAY_MS, true));
    }

    #[test]
    fn a_message_is_stored_again_before_its_file_expires() {
        let mut settings = BrokerSettings::default();
        settings.store.file_reserved_time = 6;
        let reach = Reach::of(&settings);
        assert_eq!(reach.rolls_from_ms(), 4 * HOUR_MS);
        assert_eq!(reach.place(NOW + 5 * HOUR_MS, NOW, NOW), (NOW + 2 * HOUR_MS, true));
        settings.store.file_reserved_time = 0;
        assert_eq!(Reach::of(&settings).rolls_from_ms(), 2_000);
    }
}
