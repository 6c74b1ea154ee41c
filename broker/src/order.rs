//! `Locks`: which client may consume a queue in order (codes 41 and 42; Java's
//! `RebalanceLockManager`). A lock is a lease: its owner renews it, and after 60 s without that
//! anyone may take it. Not here: orderly pops, which have no owner.

use message::Str;
use parking_lot::Mutex;
use remoting::body::queue::MessageQueue;
use std::collections::HashMap;

/// How long a lock lives without renewal, ms (Java: `rocketmq.broker.rebalance.lockMaxLiveTime`).
const LEASE_MS: i64 = 60_000;
/// A group's expired locks are swept out when it has this many more locks than after the last
/// sweep. Java keeps them for ever; an expired lock and none are the same to everyone.
const SWEEP_AFTER: usize = 1_024;

/// Who holds which queue, by group.
#[derive(Debug, Default)]
pub struct Locks {
    groups: Mutex<HashMap<Box<str>, Held>>,
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
    }

    /// Whether anyone holds a queue of the group: it consumes in order then.
    pub fn is_locked(&self, group: &str, now: i64) -> bool {
        let groups = self.groups.lock();
        groups.get(group).is_some_and(|held| held.locks.values().any(|lock| !lock.is_expired(now)))
    }
}

impl Held {
    fn take(&mut self, queue: &MessageQueue, client: &Str, now: i64) -> bool {
        match self.locks.get_mut(queue) {
            Some(lock) if lock.client == *client => lock.renewed_ms = now,
            Some(lock) if !lock.is_expired(now) => return false,
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
    fn expired_locks_are_swept_out() {
        let locks = Locks::default();
        let ids: Vec<i32> = (0..2_000).collect();
        lock(&locks, "a", &ids, 0);
        lock(&locks, "b", &(2_000..4_000).collect::<Vec<_>>(), 100_000);
        assert_eq!(locks.groups.lock()["g"].locks.len(), 2_000);
    }
}
