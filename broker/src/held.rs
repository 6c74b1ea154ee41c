//! What waits until something happens or its time is up: by number, by deadline and by the
//! connection that asked. Not here: what it waits for ([`crate::hold`], [`crate::pop::waiting`]).

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Things that wait. Numbers rise in the order of their coming and never come again.
#[derive(Debug)]
pub(crate) struct Held<W> {
    all: HashMap<u64, One<W>>,
    deadlines: BTreeSet<(i64, u64)>,
    peers: HashMap<u64, HashSet<u64>>,
    next: u64,
}

#[derive(Debug)]
struct One<W> {
    deadline_ms: i64,
    peer_id: u64,
    what: W,
}

impl<W> Default for Held<W> {
    fn default() -> Self {
        let (all, deadlines, peers) = Default::default();
        Self { all, deadlines, peers, next: 0 }
    }
}

impl<W> Held<W> {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// What waits under a number.
    pub(crate) fn get(&self, id: u64) -> Option<&W> {
        self.all.get(&id).map(|one| &one.what)
    }

    /// The number of the one that is taken in next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Takes one in until `deadline_ms`, for a connection.
    pub(crate) fn insert(&mut self, deadline_ms: i64, peer_id: u64, what: W) {
        let id = self.next;
        self.next += 1;
        self.deadlines.insert((deadline_ms, id));
        self.peers.entry(peer_id).or_default().insert(id);
        self.all.insert(id, One { deadline_ms, peer_id, what });
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, id: u64) -> Option<W> {
        let One { deadline_ms, peer_id, what } = self.all.remove(&id)?;
        self.deadlines.remove(&(deadline_ms, id));
        if let Entry::Occupied(mut ids) = self.peers.entry(peer_id) {
            ids.get_mut().remove(&id);
            if ids.get().is_empty() {
                ids.remove();
            }
        }
        Some(what)
    }

    /// Those whose time is up, the earliest deadline first.
    pub(crate) fn late(&self, now_ms: i64) -> Vec<u64> {
        self.deadlines.range(..=(now_ms, u64::MAX)).map(|(_, id)| *id).collect()
    }

    /// Those of a connection.
    pub(crate) fn of_peer(&self, peer_id: u64) -> Vec<u64> {
        self.peers.get(&peer_id).into_iter().flatten().copied().collect()
    }

    /// Whether nothing of what is gone is left.
    #[cfg(test)]
    pub(crate) fn is_clean(&self) -> bool {
        self.all.is_empty() && self.deadlines.is_empty() && self.peers.is_empty()
    }
}
