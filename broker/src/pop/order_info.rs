//! `Orders`: what FIFO groups took of each queue and have not acknowledged, which keeps the queue
//! from being popped again (Java's `QueueLevelConsumerManager`, `ConsumerOrderInfoManager` before
//! 5.5; `config/consumerOrderInfo.json`).
//!
//! A queue is blocked for a group while a message of its last pop is neither acknowledged nor
//! visible again. Not here: committed offsets, what a queue holds, who waits for the end of a
//! block, and whether a topic or a group exists.

use crate::files;
use message::Str;
use parking_lot::Mutex;
use remoting::json::BodyError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

/// The file under `config`.
pub const FILE: &str = "consumerOrderInfo.json";
/// The most messages of one pop: each has a bit of a Java `long`. A pop takes 32 at most.
const POP_LIMIT: usize = 64;
/// Queues, counted once for each group, that may be known; Java has no bound.
const ROWS_LIMIT: usize = 1_000_000;
/// How long a pop of a queue for which there is no room has to wait, ms.
const FULL_MS: i64 = 1_000;
/// A queue of which nothing was taken for this long is forgotten, ms (Java: 24 hours).
const FORGET_MS: i64 = 24 * 3_600_000;

/// One queue as one group sees it.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The topic that the queue belongs to; of a retried message, the retry topic.
    pub topic: &'a str,
    /// The group.
    pub group: &'a str,
    /// The queue.
    pub queue_id: i32,
}

/// What was found in a queue by a pop.
#[derive(Clone, Copy, Debug)]
pub struct Pop<'a> {
    /// Which try of the client it is. A pop that is tried again is never blocked by itself.
    pub attempt_id: Option<&'a str>,
    /// When it was popped, ms: the name of the pop in acknowledgements.
    pub pop_ms: i64,
    /// How long its messages stay invisible, ms.
    pub invisible_ms: i64,
    /// Their queue offsets, ascending; at least one and at most 32.
    pub offsets: &'a [i64],
}

/// How often the messages of a pop were taken before, as the answer tells the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By queue offset; messages that are new are not named.
    pub by_offset: BTreeMap<i64, i32>,
    /// The least of all messages, for clients that know no counts by offset.
    pub least: i32,
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// The group goes on at this queue offset.
    Next(i64),
    /// It names a pop that is not the last one, or of which nothing is known: nothing changed.
    Stale,
    /// The pop did not take this message.
    Unknown,
}

/// What all FIFO groups took.
#[derive(Debug, Default)]
pub struct Orders {
    table: Mutex<Table>,
}

/// Queues, by group.
type ByGroup = HashMap<Box<str>, BTreeMap<i32, Taken>>;

#[derive(Debug, Default)]
struct Table {
    topics: HashMap<Box<str>, ByGroup>,
    rows: usize,
    /// Whether the file lacks something.
    changed: bool,
}

/// The last pop of a queue, as the file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Taken {
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    attempt_id: Option<String>,
    /// Bit `i` stands for the message at `offsets[i]`.
    #[serde(rename = "cm")]
    acked: i64,
    #[serde(rename = "i", skip_serializing_if = "Option::is_none")]
    invisible_ms: Option<i64>,
    #[serde(rename = "l")]
    taken_ms: i64,
    /// The first queue offset, and the distances of the others to it.
    #[serde(rename = "o")]
    offsets: Vec<i64>,
    /// How often messages were taken before, by queue offset.
    #[serde(rename = "oc", skip_serializing_if = "Option::is_none")]
    counts: Option<BTreeMap<i64, i32>>,
    /// When messages whose time was changed become visible, ms, by queue offset.
    #[serde(rename = "ot", skip_serializing_if = "Option::is_none")]
    visible_ms: Option<BTreeMap<i64, i64>>,
    #[serde(rename = "popTime")]
    pop_ms: i64,
}

/// The file; its first two members are for reading along only.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    order_info_count: usize,
    ordered_consumption_level: Str,
    table: BTreeMap<String, BTreeMap<i32, Taken>>,
}

impl Orders {
    /// Until when the queue is blocked for a pop, ms; `None` if it may be popped now. A row that a
    /// Java broker before 5.0.1 left has no time of its own and takes `invisible_ms`.
    pub fn blocked_until(
        &self,
        at: At<'_>,
        attempt_id: Option<&str>,
        invisible_ms: i64,
        now_ms: i64,
    ) -> Option<i64> {
        let mut table = self.table.lock();
        let is_full = table.rows >= ROWS_LIMIT;
        let Some(taken) = table.find(at) else {
            return is_full.then_some(now_ms.saturating_add(FULL_MS));
        };
        if attempt_id.is_some() && taken.attempt_id.as_deref() == attempt_id {
            return None;
        }
        if taken.invisible_ms.is_none_or(|ms| ms <= 0) {
            taken.invisible_ms = Some(invisible_ms);
        }
        taken.blocked_until(now_ms)
    }

    /// A pop has found something in the queue, which was not blocked; what was taken of it before
    /// is forgotten, except for how often.
    pub fn take(&self, at: At<'_>, pop: &Pop<'_>, now_ms: i64) -> Counts {
        assert!((1..=POP_LIMIT).contains(&pop.offsets.len()), "a pop has found 1 to 64 messages");
        let first = pop.offsets[0];
        let rest = pop.offsets[1..].iter().map(|offset| offset - first);
        let mut taken = Taken {
            attempt_id: pop.attempt_id.map(str::to_owned),
            acked: 0,
            invisible_ms: Some(pop.invisible_ms),
            taken_ms: now_ms,
            offsets: std::iter::once(first).chain(rest).collect(),
            counts: None,
            visible_ms: None,
            pop_ms: pop.pop_ms,
        };
        let mut table = self.table.lock();
        let before = table.find(at).map(std::mem::take);
        taken.counts = before.map(|before| taken.counts_after(before));
        let by_offset = taken.counts.clone().unwrap_or_default();
        let is_complete = by_offset.len() == taken.offsets.len();
        let least = by_offset.values().copied().min().filter(|_| is_complete).unwrap_or(0);
        table.insert(at, taken);
        Counts { by_offset, least }
    }

    /// A message of the pop at `pop_ms` is done. `committed` is the group's offset in the queue:
    /// where nothing is known of the pop, only the very next message is believed to be done, so
    /// that none is passed over that was not acknowledged (Java believes any).
    pub fn ack(&self, at: At<'_>, offset: i64, pop_ms: i64, committed: i64) -> Acked {
        let mut table = self.table.lock();
        let Some(taken) = table.find(at) else {
            return if offset == committed {
                Acked::Next(offset.saturating_add(1))
            } else {
                Acked::Stale
            };
        };
        if taken.offsets.is_empty() {
            return Acked::Unknown;
        }
        if taken.pop_ms != pop_ms {
            return Acked::Stale;
        }
        let Some(index) = taken.each().position(|one| one == offset) else {
            return Acked::Unknown;
        };
        taken.acked |= 1 << index;
        let last = taken.each().last().unwrap_or(offset);
        let next = taken.unacked().next().unwrap_or_else(|| last.saturating_add(1));
        table.changed = true;
        Acked::Next(next)
    }

    /// A message of the pop at `pop_ms` becomes visible at `visible_ms` and not when its pop said;
    /// gives whether it took such a message.
    pub fn change(&self, at: At<'_>, offset: i64, pop_ms: i64, visible_ms: i64) -> bool {
        let mut table = self.table.lock();
        // Java keeps a time for whatever offset is named.
        let is_there =
            |taken: &&mut Taken| taken.pop_ms == pop_ms && taken.each().any(|one| one == offset);
        let Some(taken) = table.find(at).filter(is_there) else { return false };
        taken.visible_ms.get_or_insert_default().insert(offset, visible_ms);
        table.changed = true;
        true
    }

    /// All messages of the pop at `pop_ms` become visible at `visible_ms`, and do not count as
    /// taken by it (Java: `MemoryConsumerOrderInfoManager.suspendQueue`); gives whether that is the
    /// last pop.
    pub fn suspend(&self, at: At<'_>, pop_ms: i64, visible_ms: i64) -> bool {
        let mut table = self.table.lock();
        let is_last = |taken: &&mut Taken| taken.pop_ms == pop_ms;
        let Some(taken) = table.find(at).filter(is_last) else { return false };
        for count in taken.counts.iter_mut().flat_map(BTreeMap::values_mut) {
            *count -= i32::from(*count > 0);
        }
        taken.visible_ms = None;
        taken.invisible_ms = Some(visible_ms.saturating_sub(pop_ms));
        table.changed = true;
        true
    }

    /// The last pop of a queue.
    pub fn last(&self, at: At<'_>) -> Option<Taken> {
        self.table.lock().find(at).map(|taken| taken.clone())
    }

    /// Makes this the last pop of a queue; what no pop can have left is passed over.
    pub fn restore(&self, at: At<'_>, last: Taken) {
        let mut table = self.table.lock();
        if last.is_possible() && table.rows < ROWS_LIMIT {
            table.insert(at, last);
        }
    }

    /// How many queues are known, counted once for each group.
    pub fn len(&self) -> usize {
        self.table.lock().rows
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what was taken of a queue: the group was moved.
    pub fn clear(&self, at: At<'_>) {
        let mut table = self.table.lock();
        let queues = table.topics.get_mut(at.topic).and_then(|groups| groups.get_mut(at.group));
        if queues.and_then(|queues| queues.remove(&at.queue_id)).is_some() {
            table.rows -= 1;
            table.changed = true;
        }
    }

    /// Forgets queues that are not there any more, and those of which nothing was taken for a day.
    /// `queues` is how many queues of the topic the group may read; `None` if there is no such
    /// topic or group.
    pub fn clean(&self, queues: impl Fn(&str, &str) -> Option<i32>, now_ms: i64) {
        let mut table = self.table.lock();
        for (topic, groups) in &mut table.topics {
            for (group, rows) in groups.iter_mut() {
                let readable = queues(topic, group).unwrap_or(0);
                rows.retain(|queue_id, taken| {
                    let age_ms = now_ms.saturating_sub(taken.taken_ms);
                    *queue_id < readable && age_ms <= FORGET_MS
                });
            }
            groups.retain(|_, rows| !rows.is_empty());
        }
        table.retain(|_, groups| !groups.is_empty());
    }

    /// Forgets what was taken of these topics.
    pub fn forget_topics(&self, is_gone: impl Fn(&str) -> bool) {
        self.table.lock().retain(|topic, _| !is_gone(topic));
    }

    /// The text of the file if it lacks something; asking makes it saved.
    pub fn take_changed(&self) -> Option<String> {
        let changed = std::mem::take(&mut self.table.lock().changed);
        changed.then(|| self.to_json())
    }

    /// Says that there is something to save after all.
    pub fn set_changed(&self) {
        self.table.lock().changed = true;
    }

    /// The text of the file, as Java 5.5.0 writes it.
    pub fn to_json(&self) -> String {
        let mut file = File { ordered_consumption_level: "QUEUE".into(), ..File::default() };
        let table = self.table.lock();
        for (topic, groups) in &table.topics {
            for (group, rows) in groups.iter().filter(|(_, rows)| !rows.is_empty()) {
                file.table.insert(format!("{topic}@{group}"), rows.clone());
            }
        }
        drop(table);
        file.order_info_count = file.table.len();
        files::text(&file)
    }

    /// Takes over what the file says. What no pop can have left is passed over.
    ///
    /// # Errors
    /// When the text is not such a file; nothing has changed then.
    pub fn load(&self, text: &str) -> Result<(), BodyError> {
        let file: File = remoting::json::from_body(text.as_bytes())?;
        let mut table = Table::default();
        for (key, rows) in file.table {
            let Some((topic, group)) = key.split_once('@') else {
                tracing::warn!(key, "{FILE}: no topic@group, passed over");
                continue;
            };
            for (queue_id, taken) in rows {
                if !taken.is_possible() || table.rows >= ROWS_LIMIT {
                    tracing::warn!(topic, group, queue_id, "{FILE}: no pop of ours, passed over");
                    continue;
                }
                table.insert(At { topic, group, queue_id }, taken);
            }
        }
        table.changed = false;
        *self.table.lock() = table;
        Ok(())
    }
}

impl Counts {
    /// Appends them to the answer's `orderCountInfo` (Java: `ExtraInfoUtil`), for a queue of the
    /// topic itself (`retry` 0) or of one of its retry topics (1, 2).
    pub fn append_to(&self, info: &mut String, retry: u8, queue_id: i32) {
        let mut add = |key: std::fmt::Arguments<'_>, count: i32| {
            let separator = if info.is_empty() { "" } else { ";" };
            write!(info, "{separator}{retry} {key} {count}").expect("a string takes everything");
        };
        for (offset, count) in &self.by_offset {
            add(format_args!("qo{queue_id}%{offset}"), *count);
        }
        add(format_args!("{queue_id}"), self.least);
    }
}

impl Table {
    fn find(&mut self, at: At<'_>) -> Option<&mut Taken> {
        self.topics.get_mut(at.topic)?.get_mut(at.group)?.get_mut(&at.queue_id)
    }

    fn insert(&mut self, at: At<'_>, taken: Taken) {
        let groups = self.topics.entry(at.topic.into()).or_default();
        let rows = groups.entry(at.group.into()).or_default();
        self.rows += usize::from(rows.insert(at.queue_id, taken).is_none());
        self.changed = true;
    }

    fn retain(&mut self, stays: impl Fn(&str, &ByGroup) -> bool) {
        self.topics.retain(|topic, groups| stays(topic, groups));
        let before = self.rows;
        self.rows = self.topics.values().flat_map(HashMap::values).map(BTreeMap::len).sum();
        self.changed |= self.rows != before;
    }
}

impl Taken {
    fn is_possible(&self) -> bool {
        let first = self.offsets.first().copied().unwrap_or(-1);
        let last = |distance: &i64| first.checked_add(*distance).is_some_and(|one| one > first);
        first >= 0 && self.offsets.len() <= POP_LIMIT && self.offsets.iter().skip(1).all(last)
    }

    /// The queue offsets.
    fn each(&self) -> impl Iterator<Item = i64> + '_ {
        let first = self.offsets.first().copied().unwrap_or(0);
        let rest = self.offsets.iter().skip(1);
        let rest = rest.map(move |distance| first + distance);
        self.offsets.first().copied().into_iter().chain(rest)
    }

    fn unacked(&self) -> impl Iterator<Item = i64> + '_ {
        let acked = self.acked;
        self.each().enumerate().filter(move |(i, _)| acked & (1 << i) == 0).map(|(_, one)| one)
    }

    /// When the last message that blocks becomes visible. Java wakes who waits when the first
    /// does, and never again.
    fn blocked_until(&self, now_ms: i64) -> Option<i64> {
        let popped = self.pop_ms.saturating_add(self.invisible_ms.unwrap_or(0));
        let changed = self.visible_ms.as_ref();
        let visible =
            |one| changed.and_then(|changed| changed.get(&one)).copied().unwrap_or(popped);
        self.unacked().map(visible).filter(|visible_ms| now_ms < *visible_ms).max()
    }

    /// How often the messages were taken before, if `before` was the pop before.
    fn counts_after(&self, before: Self) -> BTreeMap<i64, i32> {
        let counts = before.counts.clone().unwrap_or_default();
        if before.attempt_id.is_some() && before.attempt_id == self.attempt_id {
            return counts;
        }
        let known: HashSet<i64> = before.each().collect();
        let again = self.each().filter(|one| known.contains(one));
        let count = |one| counts.get(&one).copied().unwrap_or(0).saturating_add(1);
        again.map(|one| (one, count(one))).collect()
    }
}

#[cfg(test)]
mod tests;
