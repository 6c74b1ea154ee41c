//! `Locks`: which client may consume a queue in order (codes 41 and 42; Java's
//! `RebalanceLockManager`). A lock is a lease: its owner renews it, and after 60 s without that
//! anyone may take it. Leases outlive a restart of the broker, in a file of ours: while half of a
//! group has not found the broker again, the other half would take its queues. Not here: orderly
//! pops, which have no owner.

use crate::files;
use message::Str;
use parking_lot::Mutex;
use remoting::body::queue::MessageQueue;
use remoting::json::BodyError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

/// The file under `config`; Java's broker has none and passes over it.
pub const FILE: &str = "queueLocks.json";

/// How long a lock lives without renewal, ms (Java: `rocketmq.broker.rebalance.lockMaxLiveTime`).
const LEASE_MS: i64 = 60_000;
/// How long a lease still runs after a start, at most, ms. Who has a queue asks for it every 20 s,
/// and consumes no more 30 s after he last got it (Java's client: `ConsumeMessageOrderlyService`,
/// `ProcessQueue.isLockExpired`); who gave it up right before a kill does not ask.
const LEFT_AT_START_MS: i64 = 30_000;
/// What all locks may take, bytes: some 300,000 of them. Java has no bound and keeps locks for
/// ever; an expired lock and none are the same to everyone.
const LIMIT_BYTES: usize = 64 << 20;
/// What a lock takes beside its names, bytes.
const LOCK_BYTES: usize = 160;
/// While there is no room, expired locks are looked for no more often than this, ms.
const SWEEP_MS: i64 = 1_000;
/// An answer names no more queues than this with who holds them.
const SHOWN: usize = 256;

/// Who holds which queue, by group.
#[derive(Debug, Default)]
pub struct Locks {
    table: Mutex<Table>,
    /// Whether something is not saved yet.
    changed: AtomicBool,
}

/// [`FILE`]: who holds which queue, for whoever wants to look as well.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    lock_table: BTreeMap<String, Vec<Row>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Row {
    topic: String,
    broker_name: String,
    queue_id: i32,
    client_id: String,
    /// When the owner renewed it last, ms since the epoch.
    last_update_timestamp: i64,
}

/// The locks of a group.
type Held = HashMap<MessageQueue, Lock>;

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<Box<str>, Held>,
    /// What all locks take, as [`weight`] counts it.
    bytes: usize,
    /// When expired locks were looked for last because there was no room, ms since the epoch.
    swept_ms: Option<i64>,
}

#[derive(Debug)]
struct Lock {
    client: Str,
    renewed_ms: i64,
}

impl Lock {
    fn is_expired(&self, now: i64) -> bool {
        now - self.renewed_ms > LEASE_MS
    }
}

impl Locks {
    /// Takes or renews the locks of these queues for a client, and says which ones it holds now.
    pub fn lock(
        &self,
        group: &str,
        queues: Vec<MessageQueue>,
        client: &Str,
        now: i64,
    ) -> Vec<MessageQueue> {
        if queues.is_empty() {
            return queues;
        }
        let mut table = self.table.lock();
        let mut taken = Vec::with_capacity(queues.len());
        for queue in queues {
            if table.take(group, &queue, client, now) {
                taken.push(queue);
            }
        }
        drop(table);
        self.set_changed();
        taken
    }

    /// Gives up those of the queues that the client holds.
    pub fn unlock(&self, group: &str, queues: &[MessageQueue], client: &str) {
        let mut table = self.table.lock();
        let Table { groups, bytes, .. } = &mut *table;
        let Some(held) = groups.get_mut(group) else { return };
        for queue in queues {
            if held.get(queue).is_some_and(|lock| lock.client == client) {
                held.remove(queue);
                *bytes -= weight(group, queue);
            }
        }
        if held.is_empty() {
            groups.remove(group);
        }
        drop(table);
        self.set_changed();
    }

    /// The text of [`FILE`] when something changed since it was asked for last: the leases that
    /// run at `now`.
    pub fn take_changed(&self, now: i64) -> Option<String> {
        if !self.changed.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut table = self.table.lock();
        table.sweep(now);
        let rows = |held: &Held| held.iter().map(|(queue, lock)| Row::of(queue, lock)).collect();
        let all = table.groups.iter().map(|(group, held)| (group.to_string(), rows(held)));
        let mut file = File { lock_table: all.collect() };
        drop(table);
        for rows in file.lock_table.values_mut() {
            rows.sort_by(|a: &Row, b| (&a.topic, a.queue_id).cmp(&(&b.topic, b.queue_id)));
        }
        Some(files::text(&file))
    }

    /// What [`Self::take_changed`] gave could not be saved.
    pub fn set_changed(&self) {
        self.changed.store(true, Ordering::Release);
    }

    /// Takes over the leases of a file that still run at `now`, for 30 s if nobody renews them.
    ///
    /// # Errors
    /// When the text is not such a file; nothing has changed then.
    pub fn load(&self, text: &str, now: i64) -> Result<(), BodyError> {
        let file: File = remoting::json::from_body(text.as_bytes())?;
        let mut table = self.table.lock();
        for (group, rows) in file.lock_table {
            for row in rows {
                let latest_ms = now - (LEASE_MS - LEFT_AT_START_MS);
                let renewed_ms = row.last_update_timestamp.min(latest_ms);
                let lock = Lock { client: row.client_id.into(), renewed_ms };
                if !lock.is_expired(now) {
                    let queue = MessageQueue::new(row.topic, row.broker_name, row.queue_id);
                    table.insert(&group, &queue, lock);
                }
            }
        }
        Ok(())
    }

    /// For each group whose queues are held at `now`: topic and queue id, who holds it, and for how
    /// many seconds it still does unless he renews that. No more than 256 queues; beside them
    /// how many others there are.
    pub fn shown(&self, now: i64) -> (BTreeMap<String, Vec<String>>, usize) {
        let table = self.table.lock();
        let mut all = Vec::new();
        for (group, held) in &table.groups {
            all.extend(running(held, now).map(|(queue, lock)| (&**group, queue, lock)));
        }
        // Only so many are put in order: others wait for the lock meanwhile.
        if all.len() > SHOWN {
            all.select_nth_unstable_by_key(SHOWN, place);
            all[..SHOWN].sort_unstable_by_key(place);
        } else {
            all.sort_unstable_by_key(place);
        }
        let others = all.len().saturating_sub(SHOWN);
        let mut shown = BTreeMap::<String, Vec<String>>::new();
        for (group, queue, lock) in all.into_iter().take(SHOWN) {
            let left_s = (lock.renewed_ms + LEASE_MS - now).max(0) / 1_000;
            let text = format!("{}:{} {} {left_s}s", queue.topic, queue.queue_id, lock.client);
            shown.entry(group.to_string()).or_default().push(text);
        }
        (shown, others)
    }

    /// Whether anyone holds a queue of the group: it consumes in order then.
    pub fn is_locked(&self, group: &str, now: i64) -> bool {
        let table = self.table.lock();
        table.groups.get(group).is_some_and(|held| running(held, now).next().is_some())
    }
}

impl Row {
    fn of(queue: &MessageQueue, lock: &Lock) -> Self {
        Self {
            topic: queue.topic.to_string(),
            broker_name: queue.broker_name.to_string(),
            queue_id: queue.queue_id,
            client_id: lock.client.to_string(),
            last_update_timestamp: lock.renewed_ms,
        }
    }
}

impl Table {
    fn take(&mut self, group: &str, queue: &MessageQueue, client: &Str, now: i64) -> bool {
        if let Some(lock) = self.groups.get_mut(group).and_then(|held| held.get_mut(queue)) {
            if lock.client != *client && !lock.is_expired(now) {
                // A clock that was set back makes no lease longer.
                lock.renewed_ms = lock.renewed_ms.min(now);
                return false;
            }
            *lock = Lock { client: client.clone(), renewed_ms: now };
            return true;
        }
        if !self.has_room(weight(group, queue), now) {
            return false;
        }
        self.insert(group, queue, Lock { client: client.clone(), renewed_ms: now });
        true
    }

    fn insert(&mut self, group: &str, queue: &MessageQueue, lock: Lock) {
        let held = match self.groups.get_mut(group) {
            Some(held) => held,
            None => self.groups.entry(group.into()).or_default(),
        };
        if held.insert(queue.clone(), lock).is_none() {
            self.bytes += weight(group, queue);
        }
    }

    fn has_room(&mut self, bytes: usize, now: i64) -> bool {
        let has_room = |table: &Self| table.bytes.saturating_add(bytes) <= LIMIT_BYTES;
        let just_swept = |at: i64| (0..SWEEP_MS).contains(&now.saturating_sub(at));
        if has_room(self) || self.swept_ms.is_some_and(just_swept) {
            return has_room(self);
        }
        self.swept_ms = Some(now);
        self.sweep(now);
        if !has_room(self) {
            tracing::warn!(
                LIMIT_BYTES,
                "no more queues can be locked: groups that consume in order hold too many; who \
                 asks for another one consumes it when locks are given back or run out"
            );
        }
        has_room(self)
    }

    /// Forgets the leases that are over.
    fn sweep(&mut self, now: i64) {
        let mut bytes = 0;
        self.groups.retain(|group, held| {
            held.retain(|_, lock| !lock.is_expired(now));
            bytes += held.keys().map(|queue| weight(group, queue)).sum::<usize>();
            !held.is_empty()
        });
        self.bytes = bytes;
    }
}

/// What a lock of this queue takes, bytes.
fn weight(group: &str, queue: &MessageQueue) -> usize {
    LOCK_BYTES + group.len() + queue.topic.len() + queue.broker_name.len()
}

/// The leases that are not over.
fn running(held: &Held, now: i64) -> impl Iterator<Item = (&MessageQueue, &Lock)> {
    held.iter().filter(move |(_, lock)| !lock.is_expired(now))
}

/// Where a lock is shown.
fn place<'a>((group, queue, _): &(&'a str, &'a MessageQueue, &Lock)) -> (&'a str, &'a Str, i32) {
    (group, &queue.topic, queue.queue_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: i32) -> MessageQueue {
        MessageQueue::new("t", "b", id)
    }

    fn lock(locks: &Locks, client: &'static str, ids: &[i32], now: i64) -> Vec<i32> {
        let queues = ids.iter().map(|id| queue(*id)).collect();
        let taken = locks.lock("g", queues, &Str::from_static(client), now);
        taken.iter().map(|queue| queue.queue_id).collect()
    }

    #[test]
    fn a_lock_has_one_owner_until_it_expires() {
        let locks = Locks::default();
        assert!(!locks.is_locked("g", 0));
        assert_eq!(lock(&locks, "a", &[0, 1], 0), [0, 1]);
        assert_eq!(lock(&locks, "b", &[1, 2], 1), [2]);
        assert_eq!(lock(&locks, "a", &[0], 50_000), [0]);
        assert_eq!(lock(&locks, "b", &[0, 1], 60_000), [] as [i32; 0]);
        assert_eq!(lock(&locks, "b", &[0, 1], 60_001), [1]);
        assert!(locks.is_locked("g", 120_001));
        assert!(!locks.is_locked("g", 120_002));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_lease_longer() {
        let locks = Locks::default();
        lock(&locks, "a", &[0, 1], 3_600_000);
        assert_eq!(lock(&locks, "b", &[0, 1], 0), [] as [i32; 0]);
        assert_eq!(lock(&locks, "a", &[1], 20_000), [1], "who lives keeps it");
        assert_eq!(lock(&locks, "b", &[0, 1], 60_001), [0]);
    }

    #[test]
    fn only_the_owner_unlocks() {
        let locks = Locks::default();
        lock(&locks, "a", &[0], 0);
        locks.unlock("g", &[queue(0)], "b");
        assert_eq!(lock(&locks, "b", &[0], 1), [] as [i32; 0]);
        locks.unlock("g", &[queue(0)], "a");
        assert_eq!(lock(&locks, "b", &[0], 1), [0]);
        assert!(!locks.is_locked("other", 1));
    }

    #[test]
    fn leases_outlive_a_restart_as_long_as_they_run() {
        let locks = Locks::default();
        assert_eq!(locks.take_changed(0), None);
        lock(&locks, "a", &[0], 10_000);
        lock(&locks, "b", &[1], 50_000);
        let text = locks.take_changed(50_000).unwrap();
        assert_eq!(locks.take_changed(50_000), None);
        let again = Locks::default();
        again.load(&text, 70_001).unwrap();
        assert_eq!(lock(&again, "c", &[0, 1], 70_001), [0], "the first lease is over");
        assert_eq!(lock(&again, "b", &[1], 70_001), [1]);
        let back = Locks::default();
        back.load(&text, 1).unwrap();
        assert_eq!(lock(&back, "c", &[1], 30_001), [] as [i32; 0], "who has it asks meanwhile");
        assert_eq!(lock(&back, "c", &[1], 30_002), [1], "he gave it up before the kill");
        assert!(Locks::default().load("nonsense", 0).is_err());
    }

    #[test]
    fn who_holds_a_queue_is_shown_while_the_lease_runs() {
        let locks = Locks::default();
        lock(&locks, "b", &[1], 0);
        lock(&locks, "a", &[10, 2], 15_500);
        let row = |text: &[&str]| text.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let both = row(&["t:1 b 44s", "t:2 a 60s", "t:10 a 60s"]);
        assert_eq!(locks.shown(15_500), (BTreeMap::from([("g".into(), both)]), 0));
        let left = row(&["t:2 a 15s", "t:10 a 15s"]);
        assert_eq!(locks.shown(60_001), (BTreeMap::from([("g".into(), left)]), 0));
        assert_eq!(locks.shown(75_501), (BTreeMap::new(), 0));
        lock(&locks, "a", &(0..1_000).collect::<Vec<_>>(), 100_000);
        let (shown, others) = locks.shown(100_000);
        assert_eq!((shown["g"].len(), others), (SHOWN, 1_000 - SHOWN));
    }

    #[test]
    fn expired_locks_are_swept_out() {
        let locks = Locks::default();
        let ids: Vec<i32> = (0..2_000).collect();
        lock(&locks, "a", &ids, 0);
        lock(&locks, "b", &(2_000..4_000).collect::<Vec<_>>(), 100_000);
        locks.take_changed(100_000).unwrap();
        assert_eq!(locks.table.lock().groups["g"].len(), 2_000);
        locks.set_changed();
        locks.take_changed(160_001).unwrap();
        let table = locks.table.lock();
        assert_eq!((table.groups.len(), table.bytes), (0, 0));
    }

    #[test]
    fn locks_have_a_bound_and_room_again_when_leases_are_over() {
        let locks = Locks::default();
        let long = "t".repeat(1 << 20);
        let queues = |ids: std::ops::Range<i32>| {
            ids.map(|id| MessageQueue::new(long.clone(), "b", id)).collect::<Vec<_>>()
        };
        let client = Str::from_static("a");
        let taken = locks.lock("g", queues(0..100), &client, 0);
        assert_eq!(taken.len(), 63, "each has a name of a megabyte");
        assert_eq!(locks.lock("h", queues(0..1), &client, 1).len(), 0);
        assert_eq!(locks.lock("g", queues(0..63), &client, 1).len(), 63, "who has one keeps it");
        assert_eq!(locks.lock("h", queues(0..1), &client, 60_002).len(), 1);
        locks.unlock("h", &queues(0..1), "a");
        assert_eq!(locks.table.lock().bytes, 0);
    }
}
