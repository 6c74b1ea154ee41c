//! `Transactions`: half messages, and what is known of those that are finished (Java:
//! `TransactionalMessageServiceImpl`, `TransactionalMessageBridge`; disk reference, 6.3).
//!
//! A half message lies in a queue of its own. What its producer decides is an op message, which
//! names its place there; a commit is the message itself, in its own topic. What nobody decides
//! about is asked for in rounds: [`check`]. How far these came is kept as the offsets of a group,
//! as Java keeps it, so that either broker goes on where the other stopped. Nothing else is kept.

pub mod check;
pub mod finished;
pub mod waiting;

use crate::broker::Broker;
use crate::put::{self, again};
use crate::unread::Unread;
use check::Round;
use finished::{Finished, OffsetSet};
use message::{Draft, Entry, Properties, Record, Str, hash, names, property, record, sys_flag};
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, Ordering};
use store::Append;
use waiting::Waiting;

/// The group whose offsets say how far the rounds came.
pub const GROUP: &str = "CID_RMQ_SYS_TRANS";
/// The queue of half messages, and of op messages.
pub const QUEUE: i32 = 0;
/// The tag of an op message.
const OP_TAG: &str = "d";

/// What is known about half messages.
#[derive(Debug, Default)]
pub struct Transactions {
    /// What requests ask for and change: nobody reads or writes a file while he has it.
    known: Mutex<Known>,
    /// How far the check came, which reads from the disk.
    state: Mutex<State>,
    /// Held by who looks whether a half message was committed and commits it, by its unique id.
    late: [Mutex<()>; 32],
    /// How many wait, by topic.
    pub waiting: Mutex<Waiting>,
    asked: AtomicU64,
    discarded: AtomicU64,
}

/// Which half messages are finished.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// What the op queue says, as far as it was read.
    finished: Finished,
    /// Finished by requests; their op messages were not read yet.
    ended: OffsetSet,
    /// Those that a request is about to finish, which may fail.
    ending: OffsetSet,
    /// Finished, and the op message could not be written yet.
    owed: Vec<Places>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The next op message to read; `None` before the first look.
    op: Option<i64>,
    round: Option<Round>,
    /// When the last round ended, ms since the epoch.
    rested_ms: i64,
    /// The next half message, and the next op message, where they cannot be read.
    unread: (Unread, Unread),
}

/// Where a half message stands, and where it stood first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    own: i64,
    first: i64,
}

impl Places {
    /// Those of a record of the half queue.
    pub fn of(half: &Record<'_>, all: &Properties) -> Self {
        let first = all.get(property::TRANSACTION_PREPARED_QUEUE_OFFSET);
        let first = first.and_then(|text| text.parse().ok());
        Self { own: half.queue_offset, first: first.unwrap_or(half.queue_offset) }
    }

    fn each(self) -> impl Iterator<Item = i64> {
        let first = (self.first != self.own).then_some(self.first);
        std::iter::once(self.own).chain(first)
    }
}

/// What is known of a half message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody finished it.
    Open,
    /// A request is about to.
    Near,
    /// It is finished.
    Done,
}

impl Known {
    fn end_of(&self, offset: i64) -> End {
        if self.ending.contains(offset) {
            return End::Near;
        }
        match self.ended.contains(offset) || self.finished.contains(offset) {
            true => End::Done,
            false => End::Open,
        }
    }

    /// The op queue names this place.
    fn name(&mut self, offset: i64) {
        self.ended.remove(offset);
        self.ending.remove(offset);
    }
}

/// A half message that a request is about to finish. Until that is sure the check does not pass it;
/// unless it is, whoever drops this leaves it open.
#[derive(Debug)]
pub struct Ending<'a> {
    known: &'a Mutex<Known>,
    places: Places,
    is_sure: bool,
}

impl Ending<'_> {
    /// It is finished for good.
    pub fn done(mut self) {
        self.is_sure = true;
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut known = self.known.lock();
        for offset in self.places.each() {
            // What is not there any more was named by the op queue meanwhile.
            if known.ending.remove(offset) && self.is_sure {
                known.ended.insert(offset);
            }
        }
    }
}

impl Transactions {
    /// Notes that a half message is about to be finished; or gives what is known of it, if another
    /// request did or does that.
    pub fn begin_end(&self, places: Places) -> Result<Ending<'_>, End> {
        let mut known = self.known.lock();
        let ends = || places.each().map(|offset| known.end_of(offset));
        if let Some(other) = ends().find(|end| *end != End::Open) {
            return Err(other);
        }
        for offset in places.each() {
            known.ending.insert(offset);
        }
        Ok(Ending { known: &self.known, places, is_sure: false })
    }

    /// Lets those with one unique id commit one by one that look for the message of another copy:
    /// two of them at once would find none, and make one each.
    pub fn one_by_one(&self, unique_id: &str) -> MutexGuard<'_, ()> {
        let which = hash::java_hash(unique_id).cast_unsigned() as usize % self.late.len();
        self.late[which].lock()
    }

    /// What is known of a half message at a place of the queue.
    fn end_of(&self, offset: i64) -> End {
        self.known.lock().end_of(offset)
    }

    /// How often a producer was asked, and how many half messages were given up.
    pub fn counts(&self) -> (u64, u64) {
        (self.asked.load(Ordering::Relaxed), self.discarded.load(Ordering::Relaxed))
    }
}

/// Notes the end of a half message that is finished whatever becomes of the note: now, or later.
pub fn note_end(broker: &Broker, places: Places, now_ms: i64) {
    if !write_op(broker, &[places], now_ms) {
        broker.transactions.known.lock().owed.push(places);
    }
}

/// Writes the op message of what is finished and has none yet, if the store takes it.
fn write_owed(broker: &Broker, now_ms: i64) {
    let mut owed = std::mem::take(&mut broker.transactions.known.lock().owed);
    if !owed.is_empty() && !write_op(broker, &owed, now_ms) {
        broker.transactions.known.lock().owed.append(&mut owed);
    }
}

/// Counts half messages with these properties.
pub fn count(broker: &Broker, properties: &[u8], count: i64, now_ms: i64) {
    let topic = message::properties::find(properties, property::REAL_TOPIC).unwrap_or_default();
    broker.transactions.waiting.lock().add(topic, count, now_ms);
}

/// The draft as a half message: in the system's queue, remembering its own topic and queue.
pub fn half(draft: &mut Draft) {
    let mut all = Properties::parse(&draft.properties);
    if let Some(id) = all.get(property::UNIQ_KEY).map(Str::from) {
        all.set(property::TRANSACTION_ID, id);
    }
    // It is found through its queue, which messages with the bits of a half one are not in.
    draft.sys_flag = sys_flag::with_transaction_type(draft.sys_flag, sys_flag::TRANSACTION_NONE);
    put::put_aside(draft, all, names::TRANS_HALF_TOPIC, QUEUE);
}

/// The message that a half one becomes when it is committed, before it is parked; `None` when the
/// record does not say where it belongs.
pub fn committed(half: &Record<'_>, stored: &bytes::Bytes, all: &Properties) -> Option<Draft> {
    let mut kept = all.clone();
    let topic = kept.remove(property::REAL_TOPIC)?;
    let queue_id = kept.remove(property::REAL_QUEUE_ID)?.parse().ok()?;
    if !kept.contains(property::CHECK_IMMUNITY_TIME_IN_SECONDS) {
        // Only in such messages does Java's check leave it.
        kept.remove(property::TRANSACTION_PREPARED_QUEUE_OFFSET);
    }
    let sys_flag = sys_flag::with_transaction_type(half.sys_flag, sys_flag::TRANSACTION_COMMIT);
    let log_offset = half.log_offset;
    let draft = again(half, stored, kept);
    Some(Draft { topic, queue_id, sys_flag, prepared_transaction_offset: log_offset, ..draft })
}

/// Writes the op message that says that half messages are finished; whether it is stored.
pub fn write_op(broker: &Broker, finished: &[Places], now_ms: i64) -> bool {
    let mut body = String::new();
    for offset in finished.iter().flat_map(|places| places.each()) {
        body.push_str(&offset.to_string());
        body.push(',');
    }
    let mut all = Properties::new();
    all.set(property::TAGS, Str::from_static(OP_TAG));
    all.set(property::WAIT, Str::from_static("true"));
    let draft = Draft {
        queue_id: QUEUE,
        body: body.into(),
        properties: all.encode(),
        ..Draft::plain(
            Str::from_static(names::TRANS_OP_HALF_TOPIC),
            now_ms,
            broker.identity.store_host,
        )
    };
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, now_ms);
    appends[0].outcome.is_ok()
}

/// Whether the log has the message that this half one became: its op message may have been lost
/// with the memory of the broker that finished it. Looks where the index leads.
pub fn is_committed(broker: &Broker, half: &Record<'_>, all: &Properties, now_ms: i64) -> bool {
    let (Some(topic), Some(id)) = (all.get(property::REAL_TOPIC), all.get(property::UNIQ_KEY))
    else {
        return false;
    };
    // A copy of the half message is younger than what it may have become.
    let times = (half.born_timestamp.min(half.store_timestamp) - CLOCKS_APART_MS, now_ms);
    [topic, names::SCHEDULE_TOPIC, names::TIMER_TOPIC].into_iter().any(|topic| {
        let found = broker.store.query(topic, id, COMMITS_LOOKED_AT, times);
        found.records.iter().any(|stored| {
            let Ok(Entry::Message(record)) = record::decode(stored, false) else { return false };
            let kind = sys_flag::transaction_type(record.sys_flag);
            let unique = message::properties::find(record.properties, property::UNIQ_KEY);
            kind == sys_flag::TRANSACTION_COMMIT && unique == Some(id)
        })
    })
}

/// A producer's clock may be ahead of ours by this much.
const CLOCKS_APART_MS: i64 = 600_000;
/// Records with one unique key that are looked at for the committed one.
const COMMITS_LOOKED_AT: usize = 32;

#[cfg(test)]
mod tests;
