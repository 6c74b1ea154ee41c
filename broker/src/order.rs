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
/// A group's expired locks are swept out when it has this many more locks than after the last
/// sweep. Java keeps them for ever; an expired lock and none are the same to everyone.
const SWEEP_AFTER: usize = 1_024;
/// An answer names no more queues than this with who holds them.
const SHOWN: usize = 256;

/// Who holds which queue, by group.
#[derive(Debug, Default)]
pub struct Locks {
    groups: Mutex<HashMap<Box<str>, Held>>,
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

#[derive(Debug, Default)]
struct Held {
    locks: HashMap<MessageQueue, Lock>,
    sweep_at: usize,
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
        let mut groups = self.groups.lock();
        let held = groups.entry(group.into()).or_default();
        let mut taken = Vec::with_capacity(queues.len());
        for queue in queues {
            if held.take(&queue, client, now) {
                taken.push(queue);
            }
        }
        held.sweep(now);
        self.set_changed();
        taken
    }

    /// Gives up those of the queues that the client holds.
    pub fn unlock(&self, group: &str, queues: &[MessageQueue], client: &str) {
        let mut groups = self.groups.lock();
        let Some(held) = groups.get_mut(group) else { return };
        for queue in queues {
            if held.locks.get(queue).is_some_and(|lock| lock.client == client) {
                held.locks.remove(queue);
            }
        }
        if held.locks.is_empty() {
            groups.remove(group);
        }
        self.set_changed();
    }

    /// The text of [`FILE`] when something changed since it was asked for last: the leases that
    /// run at `now`.
    pub fn take_changed(&self, now: i64) -> Option<String> {
        if !self.changed.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut file = File::default();
        for (group, held) in &*self.groups.lock() {
            let mut rows: Vec<Row> =
                held.running(now).map(|(queue, lock)| Row::of(queue, lock)).collect();
            rows.sort_by(|a, b| (&a.topic, a.queue_id).cmp(&(&b.topic, b.queue_id)));
            if !rows.is_empty() {
                file.lock_table.insert(group.to_string(), rows);
            }
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
        let mut groups = self.groups.lock();
        for (group, rows) in file.lock_table {
            let mut held = Held::default();
            for row in rows {
                let latest_ms = now - (LEASE_MS - LEFT_AT_START_MS);
                let renewed_ms = row.last_update_timestamp.min(latest_ms);
                let lock = Lock { client: row.client_id.into(), renewed_ms };
                if !lock.is_expired(now) {
                    let queue = MessageQueue::new(row.topic, row.broker_name, row.queue_id);
                    held.locks.insert(queue, lock);
                }
            }
            if !held.locks.is_empty() {
                groups.insert(group.into(), held);
            }
        }
        Ok(())
    }

    /// For each group whose queues are held at `now`: topic and queue id, who holds it, and for how
    /// many seconds it still does unless he renews that. No more than 256 queues; beside them
    /// how many others there are.
    pub fn shown(&self, now: i64) -> (BTreeMap<String, Vec<String>>, usize) {
        let groups = self.groups.lock();
        let mut all = Vec::new();
        for (group, held) in &*groups {
            all.extend(held.running(now).map(|(queue, lock)| (group, queue, lock)));
        }
        all.sort_unstable_by_key(|(group, queue, _)| (*group, &queue.topic, queue.queue_id));
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
        let groups = self.groups.lock();
        groups.get(group).is_some_and(|held| held.running(now).next().is_some())
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

impl Held {
    /// The leases that are not over.
    fn running(&self, now: i64) -> impl Iterator<Item = (&MessageQueue, &Lock)> {
        self.locks.iter().filter(move |(_, lock)| !lock.is_expired(now))
    }

    fn take(&mut self, queue: &MessageQueue, client: &Str, now: i64) -> bool {
        match self.locks.get_mut(queue) {
            Some(lock) if lock.client == *client => lock.renewed_ms = now,
            Some(lock) if !lock.is_expired(now) => {
                // A clock that was set back makes no lease longer.
                lock.renewed_ms = lock.renewed_ms.min(now);
                return false;
            }
            _ => {
                let lock = Lock { client: client.clone(), renewed_ms: now };
                self.locks.insert(queue.clone(), lock);
            }
        }
        true
    }

    fn sweep(&mut self, now: i64) {
        if self.locks.len() >= self.sweep_at + SWEEP_AFTER {
            self.locks.retain(|_, lock| !lock.is_expired(now));
            self.sweep_at = self.locks.len();
        }
    }
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
        assert_eq!(locks.groups.lock()["g"].locks.len(), 2_000);
    }
}
