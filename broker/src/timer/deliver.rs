//! From a slot that is over to the topics: each of its messages is stored again, in its own topic,
//! or in the timer's where it is due later. Messages that were taken back are left out. What cannot
//! be delivered is passed over and counted, and holds up nothing else.

use super::accept;
use super::ahead::Ahead;
use super::enqueue::out_ms;
use super::known::Unsure;
use super::{QUEUE, waiting::one};
use crate::broker::Broker;
use crate::put;
use bytes::Bytes;
use message::{Draft, Entry, Properties, Record, Str, names, properties, property, record};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use store::{Append, Error, TimerSlot, TimerUnit, Wait};

/// Messages that one step looks at.
const STEP: usize = 4_096;
/// Those of them that are stored with one hold of the append lock: how long a send may wait for it.
const AT_ONCE: usize = 64;
/// The bytes after which no more are added to them.
const BYTES_AT_ONCE: usize = 1 << 20;
/// Bytes that the times of a message take.
const ROOM: usize = 64;
/// What is left out of a message that has no room for more.
const SPARE: [&str; 3] = [property::TIMER_OUT_MS, property::REAL_TOPIC, property::REAL_QUEUE_ID];

/// A slot that is being emptied.
pub(super) struct Emptying {
    pub(super) slot_ms: i64,
    /// Nothing is delivered before the queue was taken up to here.
    pub(super) not_before: i64,
    entries: Option<Entries>,
}

/// What is in the slot.
struct Entries {
    slot: TimerSlot,
    at: usize,
    /// Messages of entries before `at` that the store refused for want of room.
    refused: Vec<Append>,
    /// What names the messages that are taken back.
    recalled: HashSet<String>,
}

/// How far a step came.
pub(super) enum Outcome {
    /// The slot is empty.
    Done,
    /// There is more to do now.
    More,
    /// The store takes nothing now.
    Wait,
    /// It does not give what is next, at this place of the commit log.
    Unread(i64),
    /// The entries are not what they must be.
    Damaged,
}

/// What becomes of one entry.
enum Verdict {
    Put(Draft),
    Pass,
    /// The commit log does not have what should be at that place.
    Unreadable(i64, &'static str),
    /// Nobody can say now what is at that place.
    Later(i64),
    /// The entry is damaged: no message that waits in this slot is where it leads.
    Damaged,
}

impl Emptying {
    pub(super) fn of(slot_ms: i64, broker: &Broker) -> Self {
        let not_before = broker.store.max_offset(names::TIMER_TOPIC, QUEUE);
        Self { slot_ms, not_before, entries: None }
    }

    /// Whether it is known what it holds.
    pub(super) fn is_read(&self) -> bool {
        self.entries.is_some()
    }

    /// What it holds, as far as that was read.
    pub(super) fn slot(&mut self) -> TimerSlot {
        let slot = self.entries.take().map(|entries| entries.slot);
        slot.unwrap_or_else(|| TimerSlot { slot_ms: self.slot_ms, ..TimerSlot::default() })
    }

    /// It is read anew.
    pub(super) fn restart(&mut self) {
        self.entries = None;
    }

    /// Leaves out the entry that is next; false when none is known.
    pub(super) fn pass_over(&mut self, broker: &Broker) -> bool {
        let Some(entries) = &mut self.entries else { return false };
        let slot_ms = self.slot_ms;
        tracing::error!(slot_ms, "a message that is due is passed over: its entry is damaged");
        entries.at += 1;
        broker.timer.shown.passed_over.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// One step with a slot.
pub(super) struct Round<'a> {
    pub(super) broker: &'a Broker,
    pub(super) files: &'a mut store::Timer,
    pub(super) unsure: &'a mut Option<Unsure>,
    pub(super) ahead: &'a Ahead,
    pub(super) now_ms: i64,
}

impl Round<'_> {
    pub(super) fn run(mut self, slot: &mut Emptying) -> Result<Outcome, Error> {
        let Some(entries) = &mut slot.entries else {
            let Some(found) = self.files.slot(slot.slot_ms)? else { return Ok(Outcome::Damaged) };
            let recalled = match self.recalled(&found.places)? {
                Ok(recalled) => recalled,
                Err(outcome) => return Ok(outcome),
            };
            slot.entries = Some(Entries { slot: found, at: 0, refused: Vec::new(), recalled });
            return Ok(Outcome::More);
        };
        let step_end = (entries.at + STEP).min(entries.slot.places.len());
        self.append(&mut entries.refused);
        while entries.refused.is_empty() && entries.at < step_end {
            let (mut appends, mut bytes) = (Vec::new(), 0);
            let mut ends = None;
            while entries.at < step_end && appends.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
                let place = entries.slot.places[entries.at];
                match self.verdict(place, slot.slot_ms, &entries.recalled) {
                    Ok(Verdict::Put(draft)) => {
                        bytes += draft.encoded_len();
                        appends.push(Append::one(draft));
                    }
                    Ok(Verdict::Pass) => {}
                    Ok(Verdict::Unreadable(log_offset, why)) => self.pass_over(log_offset, why),
                    Ok(Verdict::Later(at)) => ends = Some(Ok(Outcome::Unread(at))),
                    Ok(Verdict::Damaged) => ends = Some(Ok(Outcome::Damaged)),
                    Err(error) => ends = Some(Err(error)),
                }
                if ends.is_some() {
                    break;
                }
                entries.at += 1;
            }
            // Those before what ends it are stored whatever that is.
            self.append(&mut appends);
            entries.refused = appends;
            if let Some(ends) = ends.filter(|_| entries.refused.is_empty()) {
                return ends;
            }
        }
        if !entries.refused.is_empty() {
            return Ok(Outcome::Wait);
        }
        Ok(if entries.at < entries.slot.places.len() { Outcome::More } else { Outcome::Done })
    }

    /// Stores messages; leaves those that the store takes not now.
    fn append(&self, appends: &mut Vec<Append>) {
        let broker = self.broker;
        broker.append(appends, self.now_ms);
        appends.retain(|append| match &append.outcome {
            Ok(_) => {
                broker.timer.shown.delivered.fetch_add(1, Ordering::Relaxed);
                false
            }
            Err(error) if error.is_for_now() => true,
            Err(error) => {
                tracing::error!(%error, "a message that is due is passed over");
                broker.timer.shown.passed_over.fetch_add(1, Ordering::Relaxed);
                false
            }
        });
    }

    fn pass_over(&self, log_offset: i64, why: &'static str) {
        tracing::error!(log_offset, why, "a message that is due is passed over");
        self.broker.timer.shown.passed_over.fetch_add(1, Ordering::Relaxed);
    }

    /// What those entries of a slot name that take messages back; or why that is not known.
    fn recalled(&self, places: &[i64]) -> Result<Result<HashSet<String>, Outcome>, Error> {
        let mut recalled = self.ahead.recalled.clone();
        for place in places {
            let Some(unit) = self.files.unit(*place)? else { return Ok(Err(Outcome::Damaged)) };
            // One that is due later is stored again, as any other.
            if !unit.deletes || unit.rolls {
                continue;
            }
            let stored = self.broker.store.message_now(unit.log_offset, Wait::ForDisk);
            let Ok(stored) = stored else { return Ok(Err(Outcome::Unread(unit.log_offset))) };
            let decoded = stored.as_ref().map(|stored| record::decode(stored, false));
            if let Some(Ok(Entry::Message(marker))) = decoded
                && let Some(key) = marker.property(property::TIMER_DEL_UNIQKEY)
            {
                recalled.insert(key.to_owned());
            }
        }
        Ok(Ok(recalled))
    }

    fn verdict(
        &mut self,
        place: i64,
        slot_ms: i64,
        recalled: &HashSet<String>,
    ) -> Result<Verdict, Error> {
        let Some(unit) = self.files.unit(place)? else { return Ok(Verdict::Damaged) };
        Ok(match self.verdict_on(&unit, slot_ms, recalled) {
            // What it leads to is damaged.
            Verdict::Damaged if !self.files.distrust(place)? => {
                let why = "the commit log has no such message there";
                Verdict::Unreadable(unit.log_offset, why)
            }
            verdict => verdict,
        })
    }

    fn verdict_on(
        &mut self,
        unit: &TimerUnit,
        slot_ms: i64,
        recalled: &HashSet<String>,
    ) -> Verdict {
        let store = &self.broker.store;
        let unreadable = |why| Verdict::Unreadable(unit.log_offset, why);
        if unit.log_offset < store.min_log_offset() {
            return unreadable("the commit log does not have it any more");
        }
        let stored = store.message_now(unit.log_offset, Wait::ForDisk);
        let Ok(stored) = stored else { return Verdict::Later(unit.log_offset) };
        let decoded = stored.as_ref().map(|stored| (stored, record::decode(stored, false)));
        let Some((stored, Ok(Entry::Message(parked)))) = decoded else { return Verdict::Damaged };
        let out_ms = out_ms(&parked).filter(|_| parked.topic == names::TIMER_TOPIC);
        // Never early.
        let Some(out_ms) =
            out_ms.filter(|out_ms| unit.rolls || self.files.slot_of(*out_ms) <= slot_ms)
        else {
            return Verdict::Damaged;
        };
        let real_topic = parked.property(property::REAL_TOPIC).unwrap_or_default();
        // What takes a message back was counted as one less, found or not.
        if !unit.rolls && (unit.deletes || is_recalled(&parked, real_topic, recalled)) {
            self.count(real_topic, unit);
            return Verdict::Pass;
        }
        if let Some(unsure) = self.unsure.as_mut()
            && unsure.is_done(self.broker, &parked, (out_ms, unit.rolls))
        {
            self.count(real_topic, unit);
            return Verdict::Pass;
        }
        self.count(real_topic, unit);
        let now_ms = self.now_ms;
        // A broker with longer slots gave it one that ends before its time.
        let due_ms = accept::due_ms(&parked, out_ms).filter(|due_ms| *due_ms > now_ms);
        let later = due_ms.map(|due_ms| (due_ms, self.files.slot_of(due_ms - 1)));
        let (again_ms, put_ms) = match (unit.rolls, later) {
            // Its slot stays, for who takes it back names that; that it is a longer one than those
            // of this broker is told by the time when it was put.
            (true, Some((due_ms, later_ms))) if later_ms > out_ms => {
                (Some(out_ms), accept::put_ms(unit.write_ms, due_ms - out_ms))
            }
            (true, _) => (Some(out_ms), unit.write_ms),
            // The slot is one of this broker's then.
            (false, Some((_, later_ms))) => (Some(later_ms), self.files.slot_of(now_ms)),
            (false, None) => (None, unit.write_ms),
        };
        let draft = |again_ms| draft((&parked, stored), put_ms, again_ms, now_ms);
        match draft(again_ms).or_else(|| draft(None).filter(|_| !unit.rolls)) {
            Some(draft) => Verdict::Put(draft),
            None => unreadable("it does not say where it belongs, or is too large"),
        }
    }

    fn count(&self, real_topic: &str, unit: &TimerUnit) {
        self.broker.timer.waiting.lock().add(real_topic, -one(unit), self.now_ms);
    }
}

/// Whether a message was taken back: by its unique id, or as 5.3.2 to 5.4 name it.
fn is_recalled(parked: &Record<'_>, real_topic: &str, recalled: &HashSet<String>) -> bool {
    if recalled.is_empty() {
        return false;
    }
    let id = parked.property(property::UNIQ_KEY);
    id.is_some_and(|id| recalled.contains(id) || recalled.contains(&format!("{real_topic}+{id}")))
}

/// The message as it is stored again (Java: `convert`): all that it had, and when it was put and
/// taken out. `again_ms` is the slot that it is due in where it goes back to the timer's topic.
fn draft(
    (parked, stored): (&Record<'_>, &Bytes),
    write_ms: i64,
    again_ms: Option<i64>,
    now_ms: i64,
) -> Option<Draft> {
    let (topic, queue_id) = match again_ms {
        Some(_) => (Str::from_static(names::TIMER_TOPIC), QUEUE),
        None => put::real(parked)?,
    };
    let times = [
        (property::TIMER_ENQUEUE_MS, write_ms.to_string()),
        (property::TIMER_DEQUEUE_MS, now_ms.to_string()),
    ];
    let properties = if again_ms.is_none() && is_plain(parked) {
        let mut out = Vec::with_capacity(parked.properties.len() + ROOM);
        out.extend_from_slice(parked.properties);
        if out.last().is_some_and(|last| *last != properties::PAIR_SEPARATOR) {
            out.push(properties::PAIR_SEPARATOR);
        }
        times.iter().for_each(|(key, value)| properties::push_pair(&mut out, key, value));
        out.into()
    } else {
        let mut all = Properties::parse(parked.properties);
        if let Some(out_ms) = again_ms {
            let before = all.get(property::TIMER_ROLL_TIMES);
            let before = before.and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
            all.set(property::TIMER_ROLL_TIMES, before.wrapping_add(1).to_string());
            all.set(property::TIMER_OUT_MS, out_ms.to_string());
        }
        times.into_iter().for_each(|(key, value)| all.set(key, value));
        all.remove(property::CRC32);
        all.encode()
    };
    let draft = Draft { topic, queue_id, ..put::again_as(parked, stored, properties) };
    if draft.check().is_ok() {
        return Some(draft);
    }
    let mut less = Properties::parse(parked.properties);
    for key in SPARE.into_iter().filter(|_| again_ms.is_none()) {
        less.remove(key);
    }
    let (topic, queue_id) = (draft.topic, draft.queue_id);
    let draft = Draft { topic, queue_id, ..put::again(parked, stored, less) };
    draft.check().is_ok().then_some(draft)
}

/// Whether the times can stand behind what the message has: none of them is there yet, nor anything
/// that must go.
fn is_plain(parked: &Record<'_>) -> bool {
    let odd = [property::TIMER_ENQUEUE_MS, property::TIMER_DEQUEUE_MS, property::CRC32];
    odd.into_iter().all(|key| parked.property(key).is_none())
}
