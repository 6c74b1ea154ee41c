//! Delay levels: messages that were parked in the schedule topic go to their own topic when they
//! are due (Java: `ScheduleMessageService`; disk reference, 6.1).
//!
//! A level is a queue of the schedule topic, ordered by due time, and a queue offset up to which it
//! was delivered. The offset moves after the append: after a crash in between it is looked up what
//! was delivered.

use crate::broker::Broker;
use crate::copies::{Copies, has_same_slot};
use crate::files;
use crate::put;
use crate::unread::{Place, Unread};
use bytes::Bytes;
use message::{Draft, Entry, Properties, names, property, record};
use remoting::body::data_version::DataVersion;
use std::collections::BTreeMap;
use store::{Append, Position, Progress, Step};

/// Messages that one look delivers of one level, so that no level keeps the others waiting.
const BATCH: usize = 256;
/// Messages of one level that are looked up after a crash: far more than a broker delivers between
/// two saves.
const MOST: i64 = 100_000;
/// How long delivery waits after the store refused, or gave nothing, in milliseconds.
const RETRY_MS: i64 = 100;

/// The file under `config`.
pub const FILE: &str = "delayOffset.json";

/// What a message that cannot be read holds up.
const UNREAD: &str = "delayed messages of a level wait";

/// How far each level was delivered.
#[derive(Debug, Default)]
pub struct Delays {
    /// Next queue offset, by level.
    offsets: BTreeMap<i32, i64>,
    version: DataVersion,
    changed: bool,
    /// What cannot be read, by level.
    unread: BTreeMap<i32, Unread>,
    /// More was delivered than is known here, as the file of a clean stop was lost.
    is_former: bool,
}

/// The file under `config`, as Java writes it.
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    data_version: DataVersion,
    offset_table: BTreeMap<i32, i64>,
}

impl Delays {
    /// No level has delivered anything yet.
    pub fn new(now_ms: i64) -> Self {
        Self { version: DataVersion::new(now_ms), ..Self::default() }
    }

    /// Reads `delayOffset.json`.
    ///
    /// # Errors
    /// When the text is not of that form.
    pub fn load(text: &str) -> Result<Self, remoting::json::BodyError> {
        let file: File = remoting::json::from_body(text.as_bytes())?;
        let (offsets, version) = (file.offset_table, file.data_version);
        Ok(Self { offsets, version, ..Self::default() })
    }

    /// The same, of a text that is not the newest one.
    pub fn former(self) -> Self {
        Self { is_former: true, ..self }
    }

    /// The text of `delayOffset.json`.
    pub fn to_json(&self) -> String {
        let file = File { data_version: self.version, offset_table: self.offsets.clone() };
        files::compact(&file)
    }

    /// Whether there is something to save; asking makes it saved.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The queue offset that each level which has had messages goes on at.
    pub fn levels(&self) -> Vec<(i32, i64)> {
        self.offsets.iter().map(|(level, offset)| (*level, *offset)).collect()
    }

    /// Says that there is something to save after all.
    pub fn set_changed(&mut self) {
        self.changed = true;
    }

    /// The queue offset that `level` goes on at.
    pub fn offset(&self, level: i32) -> i64 {
        self.known(level).unwrap_or(0)
    }

    /// The same; `None` before the first message of the level was seen.
    fn known(&self, level: i32) -> Option<i64> {
        self.offsets.get(&level).copied()
    }

    fn advance(&mut self, level: i32, offset: i64, now_ms: i64) {
        self.offsets.insert(level, offset);
        self.version.advance(0, now_ms);
        self.changed = true;
    }
}

/// Takes over what was delivered before a crash, or a loss of the file, and that lacks: as levels
/// are delivered in order, the first messages of each that have a copy in their own topic.
pub fn catch_up(broker: &Broker, now_ms: i64, watch: &dyn Fn(Progress)) {
    if broker.store.was_clean() && !broker.delays.lock().is_former {
        return;
    }
    let levels = broker.settings().store.delay_levels_ms().len();
    for level in (1..).take(levels) {
        let (topic, queue_id) = (names::SCHEDULE_TOPIC, level - 1);
        let stored = broker.delays.lock().offset(level);
        let first = stored.max(broker.store.min_offset(topic, queue_id));
        let end = broker.store.max_offset(topic, queue_id).min(first.saturating_add(MOST));
        let total = (end - first).max(0).unsigned_abs();
        let step = Step::count(watch, "looking for delayed messages that were delivered", total);
        let mut copies = Copies::default();
        let mut was_delivered = |offset: &i64| {
            step.advance(1);
            was_delivered(broker, queue_id, *offset, &mut copies)
        };
        let Some(last) = (first..end).take_while(|offset| was_delivered(offset)).last() else {
            continue;
        };
        let messages = last + 1 - first;
        tracing::info!(level, messages, "delayed messages were delivered and not noted");
        broker.delays.lock().advance(level, last + 1, now_ms);
    }
}

fn was_delivered(broker: &Broker, queue_id: i32, offset: i64, copies: &mut Copies) -> bool {
    let place = Position { topic: names::SCHEDULE_TOPIC, queue_id, offset };
    let Ok(Some((stored, _))) = broker.store.message_in(place) else { return false };
    let Ok(Entry::Message(parked)) = record::decode(&stored, false) else { return false };
    let Some((topic, _)) = put::real(&parked) else { return false };
    copies.find(broker, &parked, &topic, |copy| {
        copy.reconsume_times == parked.reconsume_times && has_same_slot(&parked, copy)
    })
}

/// Delivers what is due, and says when to look again; `None` while nothing waits.
pub fn deliver(broker: &Broker, now_ms: i64) -> Option<i64> {
    let levels = broker.settings().store.delay_levels_ms();
    let mut next: Option<i64> = None;
    for (level, delay_ms) in (1..).zip(levels) {
        if let Some(at) = deliver_level(broker, level, delay_ms, now_ms) {
            next = Some(next.map_or(at, |next| next.min(at)));
        }
    }
    next
}

/// Tells of a level that is known to be further than it can be.
fn tell_beyond(level: i32, known: Option<i64>, end: i64) {
    if let Some(known) = known.filter(|known| *known > end) {
        tracing::warn!(
            level,
            known,
            end,
            "delayOffset.json says that more messages of this delay level were delivered than \
             there are: delivery goes on at the end, and what waited before it is not delivered; \
             to deliver from an earlier queue offset, stop the broker and set it there"
        );
    }
}

fn deliver_level(broker: &Broker, level: i32, delay_ms: i64, now_ms: i64) -> Option<i64> {
    let topic = names::SCHEDULE_TOPIC;
    let queue_id = level - 1;
    let end = broker.store.max_offset(topic, queue_id);
    let known = broker.delays.lock().known(level);
    // Messages that were deleted by age are gone; an offset behind the end is Java's, of a log
    // that was cut.
    let first = broker.store.min_offset(topic, queue_id);
    tell_beyond(level, known, end);
    let mut offset = known.unwrap_or(0).max(first).min(end);
    let mut appends = Vec::new();
    let mut ends = Vec::new();
    let mut next = None;
    let units = broker.store.units(topic, queue_id, offset, BATCH);
    let mut is_unread = units.is_empty() && offset < end;
    for unit in &units {
        // Nobody waits for a place that is empty.
        let due = if unit.is_blank() { 0 } else { due_ms(unit.tags_code, delay_ms, now_ms) };
        if due > now_ms {
            next = Some(due);
            break;
        }
        let Ok(found) = broker.store.message_of(Position { topic, queue_id, offset }, unit) else {
            // It is there, and the disk does not give it now.
            is_unread = true;
            break;
        };
        offset += 1;
        match found.and_then(|stored| restored(broker, &stored)) {
            Some(draft) => {
                appends.push(Append::one(draft));
                ends.push(offset);
            }
            None => tracing::warn!(level, offset = offset - 1, "a delayed message is not there"),
        }
    }
    let fails_at = is_unread.then(|| Place::of(&broker.store, topic, queue_id, offset));
    if is_unread {
        next = Some(now_ms + RETRY_MS);
    }
    let more = next.is_none() && offset < end;
    broker.append(&mut appends, now_ms);
    let failed = first_that_waits(level, &appends);
    let reached = failed.map_or(offset, |at| ends[at] - 1);
    // A level shows with its first message, before that is due.
    let is_moved = known != Some(reached) && (known.is_some() || end > 0);
    if is_moved {
        broker.moves.note_level(broker.store.max_log_offset());
        broker.delays.lock().advance(level, reached, now_ms);
    }
    if is_moved || is_unread {
        let mut delays = broker.delays.lock();
        delays.unread.entry(level).or_default().note(UNREAD, fails_at, now_ms);
    }
    match failed {
        Some(at) => {
            let why = appends[at].outcome.as_ref().err().map(ToString::to_string);
            tracing::warn!(level, why, "a delayed message must wait; it is tried again");
            Some(now_ms + RETRY_MS)
        }
        None if more => Some(now_ms),
        None => next,
    }
}

/// The first message that the store takes not now. What it never takes keeps nobody waiting.
fn first_that_waits(level: i32, appends: &[Append]) -> Option<usize> {
    appends.iter().position(|append| match &append.outcome {
        Ok(_) => false,
        Err(error) if error.is_for_now() => true,
        Err(error) => {
            tracing::error!(level, %error, "a delayed message is passed over");
            false
        }
    })
}

/// When a parked message is due: its tags code says it. One that is further off than its level
/// allows was written before the clock or the level changed, and is due now, as in Java.
fn due_ms(tags_code: i64, delay_ms: i64, now_ms: i64) -> i64 {
    if tags_code > now_ms + delay_ms { now_ms } else { tags_code }
}

/// The message as it goes to its own topic. It keeps its delay level, as in Java, where the text of
/// the properties is made before the level is taken out of the table; for one that goes to light
/// queues too the text is made anew.
fn restored(broker: &Broker, stored: &Bytes) -> Option<Draft> {
    let Ok(Entry::Message(parked)) = record::decode(stored, false) else {
        return None;
    };
    let mut all = Properties::parse(parked.properties);
    let (topic, queue_id) = put::real(&parked)?;
    let is_allowed = names::allows_light_queues(&topic) && broker.store.settings().light_queues;
    if is_allowed && all.contains(property::INNER_MULTI_DISPATCH) {
        all.remove(property::DELAY);
        all.set(property::WAIT, "false");
    }
    Some(Draft { topic, queue_id, ..put::again(&parked, stored, all) })
}

#[cfg(test)]
mod tests;
