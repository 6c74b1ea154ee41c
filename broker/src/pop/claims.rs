//! `Claims`: which queues are being popped, acknowledged in order or committed right now, so that
//! one pop of a group reads a queue at a time (Java: `PopMessageProcessor.QueueLockManager`).
//! Whoever finds a queue claimed passes on; the claim remembers that, and its end says so.

use message::Str;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;

/// One queue as one group sees it: topic, group, queue id.
type Queue = (Str, Str, i32);

/// The queues that are claimed.
#[derive(Debug, Default)]
pub struct Claims {
    /// With whether somebody else wanted it meanwhile.
    claimed: Mutex<HashMap<Queue, bool>>,
    ended: Condvar,
}

/// A queue that is claimed until this is dropped.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Claim<'a> {
    claims: &'a Claims,
    /// `None` once it has ended.
    queue: Option<Queue>,
}

impl Claims {
    /// Claims a queue for a group, if nobody has.
    pub fn claim(&self, topic: &Str, group: &Str, queue_id: i32) -> Option<Claim<'_>> {
        let queue = (topic.clone(), group.clone(), queue_id);
        let mut claimed = self.claimed.lock();
        if let Some(missed) = claimed.get_mut(&queue) {
            *missed = true;
            return None;
        }
        claimed.insert(queue.clone(), false);
        Some(Claim { claims: self, queue: Some(queue) })
    }

    /// Whether somebody has a queue. If so, the end of that claim says that it was wanted.
    pub fn is_claimed(&self, topic: &Str, group: &Str, queue_id: i32) -> bool {
        let queue = (topic.clone(), group.clone(), queue_id);
        self.claimed.lock().get_mut(&queue).is_some_and(|missed| {
            *missed = true;
            true
        })
    }

    /// Claims a queue for a group when nobody has it any more.
    pub fn wait(&self, topic: &Str, group: &Str, queue_id: i32) -> Claim<'_> {
        let queue = (topic.clone(), group.clone(), queue_id);
        let mut claimed = self.claimed.lock();
        // Each claim that it finds has to say at its end that it was wanted.
        while let Some(missed) = claimed.get_mut(&queue) {
            *missed = true;
            self.ended.wait(&mut claimed);
        }
        claimed.insert(queue.clone(), false);
        drop(claimed);
        Claim { claims: self, queue: Some(queue) }
    }
}

impl Claim<'_> {
    /// Ends it, and says whether somebody else wanted the queue.
    pub fn end(mut self) -> bool {
        self.release()
    }

    fn release(&mut self) -> bool {
        let Some(queue) = self.queue.take() else { return false };
        let missed = self.claims.claimed.lock().remove(&queue).unwrap_or(false);
        if missed {
            self.claims.ended.notify_all();
        }
        missed
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests own their threads")]
mod tests {
    use super::*;

    #[test]
    fn a_claim_keeps_others_out_until_it_ends() {
        let (claims, topic, group) = (Claims::default(), Str::from("T"), Str::from("g"));
        let first = claims.claim(&topic, &group, 0).unwrap();
        let other = claims.claim(&topic, &group, 1).unwrap();
        assert!(claims.claim(&topic, &group, 0).is_none());
        assert!(first.end(), "somebody wanted it");
        assert!(!other.end());
        drop(claims.claim(&topic, &group, 0).unwrap());
        assert!(claims.claimed.lock().is_empty());
    }

    #[test]
    fn who_waits_is_woken_whoever_comes_between() {
        let (done, all) = std::sync::mpsc::channel();
        let claims: &'static Claims = Box::leak(Box::default());
        for _ in 0..4 {
            let done = done.clone();
            std::thread::spawn(move || {
                let (topic, group) = (Str::from("T"), Str::from("g"));
                for _ in 0..20_000 {
                    drop(claims.wait(&topic, &group, 0));
                }
                done.send(()).unwrap();
            });
        }
        for _ in 0..4 {
            all.recv_timeout(std::time::Duration::from_secs(30)).expect("nobody waits for ever");
        }
    }
}
