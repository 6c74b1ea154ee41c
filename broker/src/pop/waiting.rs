//! `Waiting`: pops that wait for a message (Java: `PopLongPollingService`). A message wakes one pop
//! of each group, not all: it can be taken once. Not here: what a woken pop does
//! ([`crate::handlers::pop`]).

use crate::held::Held;
use crate::hold::Seen;
use crate::selection::Selection;
use message::Str;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use store::Filter;

/// Pops of one group that are asked, by their filters, whether they want a message: they nearly
/// always have the same filter.
const ASKED: usize = 8;

/// Who waits, and for what.
#[derive(Debug)]
pub struct Waiting<W> {
    held: AtomicUsize,
    table: Mutex<Table<W>>,
}

#[derive(Debug)]
struct Table<W> {
    held: Held<Pop<W>>,
    /// By topic and group; retry topics lead to the same pops as their topic.
    topics: HashMap<Str, BTreeMap<Str, Line>>,
}

/// The pops of one group, by queue (-1 is any) and deadline.
type Line = BTreeMap<i32, BTreeSet<(i64, u64)>>;

#[derive(Debug)]
struct Pop<W> {
    place: Place,
    what: W,
}

/// Where a pop waits.
#[derive(Clone, Debug)]
pub struct Place {
    /// The topic.
    pub topic: Str,
    /// Its retry topics for this group.
    pub retry: Vec<Str>,
    /// The group.
    pub group: Str,
    /// The queue, -1 for any.
    pub queue_id: i32,
    /// What it wants.
    pub selection: Selection,
    /// When it is answered whatever there is, ms since 1970.
    pub deadline_ms: i64,
    /// The connection that it came over.
    pub peer_id: u64,
}

/// How many may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For one topic, group and queue (Java: `popPollingSize`).
    pub each: usize,
    /// In all (Java: `maxPopPollingSize`).
    pub all: usize,
}

impl<W> Default for Waiting<W> {
    fn default() -> Self {
        let table = Table { held: Held::default(), topics: HashMap::new() };
        Self { held: AtomicUsize::new(0), table: Mutex::new(table) }
    }
}

impl<W> Waiting<W> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait for this queue (-1: for any) in this group (Java: `PollingInfoProcessor`).
    pub fn count(&self, topic: &str, group: &str, queue_id: i32) -> usize {
        let table = self.table.lock();
        let line = table.topics.get(topic).and_then(|groups| groups.get(group));
        line.and_then(|line| line.get(&queue_id)).map_or(0, BTreeSet::len)
    }

    /// Lets one wait, or gives it back when there are too many.
    pub fn hold(&self, place: Place, what: W, bounds: Bounds) -> Result<(), W> {
        let mut table = self.table.lock();
        let there = table.topics.get(&place.topic).and_then(|groups| groups.get(&place.group));
        let there = there.and_then(|line| line.get(&place.queue_id)).map_or(0, BTreeSet::len);
        // Java counts so that one more than is set fits.
        if there > bounds.each || table.held.len() >= bounds.all {
            return Err(what);
        }
        let at = (place.deadline_ms, table.held.next());
        for topic in std::iter::once(&place.topic).chain(&place.retry) {
            let groups = table.topics.entry(topic.clone()).or_default();
            let line = groups.entry(place.group.clone()).or_default();
            line.entry(place.queue_id).or_default().insert(at);
        }
        table.held.insert(place.deadline_ms, place.peer_id, Pop { place, what });
        self.held.store(table.held.len(), Ordering::SeqCst);
        Ok(())
    }

    /// Takes out, of each group, who waits for a message of this queue: one that waits for any
    /// queue and one that waits for this. Of a retry topic, one that waits for any of them.
    pub fn arrived(&self, topic: &str, queue_id: i32, message: Option<Seen<'_>>) -> Vec<W> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut table = self.table.lock();
        let Some(groups) = table.topics.get(topic) else { return Vec::new() };
        let mut ids = Vec::new();
        for line in groups.values() {
            if message::names::is_retry(topic) {
                ids.extend(line.values().find_map(|pops| table.first(pops, message)));
                continue;
            }
            let lines = [line.get(&-1), line.get(&queue_id).filter(|_| queue_id >= 0)];
            ids.extend(lines.into_iter().flatten().filter_map(|pops| table.first(pops, message)));
        }
        self.take(&mut table, ids)
    }

    /// Takes out one of a group: there is more for it in this queue (-1: in any).
    pub fn next(&self, topic: &str, group: &str, queue_id: i32) -> Option<W> {
        let mut table = self.table.lock();
        let line = table.topics.get(topic)?.get(group)?;
        let pops = line.get(&queue_id).or_else(|| line.get(&-1))?;
        let id = table.first(pops, None)?;
        self.take(&mut table, vec![id]).pop()
    }

    /// Takes out one of a group for each queue that somebody waits for.
    pub fn next_of_each(&self, topic: &str, group: &str) -> Vec<W> {
        let mut table = self.table.lock();
        let line = table.topics.get(topic).and_then(|groups| groups.get(group));
        let lines = line.into_iter().flat_map(BTreeMap::values);
        let ids = lines.filter_map(|pops| table.first(pops, None)).collect();
        self.take(&mut table, ids)
    }

    /// Takes out those whose time is up.
    pub fn expire(&self, now_ms: i64) -> Vec<W> {
        let mut table = self.table.lock();
        let late = table.held.late(now_ms);
        self.take(&mut table, late)
    }

    /// Takes out all: the broker stops.
    pub fn drain(&self) -> Vec<W> {
        self.expire(i64::MAX)
    }

    /// Forgets those of a connection that is gone.
    pub fn forget(&self, peer_id: u64) {
        let mut table = self.table.lock();
        let ids = table.held.of_peer(peer_id);
        let gone = self.take(&mut table, ids);
        drop(table);
        drop(gone);
    }

    fn take(&self, table: &mut Table<W>, ids: Vec<u64>) -> Vec<W> {
        let taken = ids.into_iter().filter_map(|id| table.remove(id)).collect();
        self.held.store(table.held.len(), Ordering::SeqCst);
        taken
    }
}

impl<W> Table<W> {
    /// The first that wants the message.
    fn first(&self, pops: &BTreeSet<(i64, u64)>, message: Option<Seen<'_>>) -> Option<u64> {
        let Some(Seen { tags_code, properties }) = message else {
            return pops.first().map(|(_, id)| *id);
        };
        let wants = |id: &u64| {
            self.held.get(*id).is_some_and(|held| {
                let selection = &held.place.selection;
                selection.wants_tags_code(tags_code)
                    && properties.is_none_or(|encoded| selection.wants_properties(encoded))
            })
        };
        pops.iter().take(ASKED).map(|(_, id)| *id).find(wants)
    }

    fn remove(&mut self, id: u64) -> Option<W> {
        let Pop { place, what } = self.held.remove(id)?;
        let at = (place.deadline_ms, id);
        for topic in std::iter::once(&place.topic).chain(&place.retry) {
            let Some(groups) = self.topics.get_mut(topic) else { continue };
            let Some(line) = groups.get_mut(&place.group) else { continue };
            if let Some(pops) = line.get_mut(&place.queue_id) {
                pops.remove(&at);
                if pops.is_empty() {
                    line.remove(&place.queue_id);
                }
            }
            if line.is_empty() {
                groups.remove(&place.group);
            }
            if groups.is_empty() {
                self.topics.remove(topic);
            }
        }
        Some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(group: &str, queue_id: i32, deadline_ms: i64) -> Place {
        Place {
            topic: "T".into(),
            retry: vec![format!("%RETRY%{group}_T").into(), format!("%RETRY%{group}+T").into()],
            group: group.into(),
            queue_id,
            selection: Selection::All,
            deadline_ms,
            peer_id: 7,
        }
    }

    const BOUNDS: Bounds = Bounds { each: 2, all: 9 };

    fn waiting(places: &[(&str, i32, i64)]) -> Waiting<i64> {
        let waiting = Waiting::default();
        for (group, queue_id, deadline_ms) in places {
            waiting.hold(place(group, *queue_id, *deadline_ms), *deadline_ms, BOUNDS).unwrap();
        }
        waiting
    }

    #[test]
    fn a_message_wakes_one_of_each_group_and_line() {
        let waiting = waiting(&[("g", -1, 2), ("g", -1, 1), ("g", 3, 3), ("h", -1, 4)]);
        assert_eq!(waiting.arrived("T", 3, None), [1, 3, 4]);
        assert!(waiting.arrived("U", 3, None).is_empty());
        assert_eq!((waiting.count("T", "g", -1), waiting.count("T", "g", 3)), (1, 0));
        assert_eq!(waiting.next("T", "g", 3), Some(2));
        let table = waiting.table.lock();
        assert!(table.topics.is_empty() && table.held.is_clean());
    }

    #[test]
    fn one_of_each_line_of_a_group_is_taken_out() {
        let waiting = waiting(&[("g", 2, 4), ("g", 3, 1), ("g", 3, 2), ("h", 3, 3)]);
        assert_eq!(waiting.next("T", "g", -1), None);
        assert_eq!(waiting.next_of_each("T", "g"), [4, 1]);
        assert_eq!(waiting.len(), 2);
    }

    #[test]
    fn a_retried_message_wakes_its_group_alone() {
        let waiting = waiting(&[("g", 5, 1), ("h", -1, 2)]);
        assert_eq!(waiting.arrived("%RETRY%g_T", 0, None), [1]);
        assert_eq!(waiting.arrived("%RETRY%h+T", 0, None), [2]);
    }

    #[test]
    fn filters_leave_who_does_not_want_it() {
        let waiting = Waiting::default();
        let selection = Selection::Tags(vec![5]);
        let place = Place { selection, ..place("g", -1, 1) };
        waiting.hold(place, 1, BOUNDS).unwrap();
        let seen = |tags_code| Some(Seen { tags_code, properties: None });
        assert!(waiting.arrived("T", 0, seen(6)).is_empty());
        assert_eq!(waiting.arrived("T", 0, seen(5)), [1]);
    }

    #[test]
    fn time_connections_and_bounds_end_it() {
        let waiting = waiting(&[("g", -1, 1), ("g", -1, 2), ("g", -1, 3)]);
        assert_eq!(waiting.hold(place("g", -1, 4), 4, BOUNDS), Err(4));
        assert_eq!(waiting.hold(place("g", 0, 4), 4, Bounds { each: 9, all: 3 }), Err(4));
        assert_eq!(waiting.expire(1), [1]);
        waiting.forget(7);
        assert!(waiting.is_empty() && waiting.table.lock().topics.is_empty());
    }
}
