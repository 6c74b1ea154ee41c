//! Pulls that wait for a message (Java: `PullRequestHoldService`).
//!
//! A held pull is a value in a table with a deadline. The append that it waits for takes it out at
//! once; nothing is scanned. What is done with a pull that was taken out is
//! [`crate::handlers::pull`]'s business, and so is answering; time is an argument.

use crate::held::Held;
use crate::selection::Selection;
use message::Str;
use parking_lot::Mutex;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pulls that may be held at a time; further ones are answered at once, as if their time were up.
const LIMIT: usize = 1_000_000;

/// Something that waits at the end of a queue.
pub trait Waiting {
    /// The queue offset of the message that it waits for.
    fn offset(&self) -> i64;
    /// The tags codes that it wants, by their low 32 bits as Java compares them; `None` wants all.
    fn codes(&self) -> Option<&[i32]>;
    /// Who decides by a message's properties whether it is waited for; `None` wants any that has
    /// one of the codes.
    fn judge(&self) -> Option<Selection> {
        None
    }
    /// The connection that it came over.
    fn peer_id(&self) -> u64;
}

/// What is known of a message that came.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The hash of its tag.
    pub tags_code: i64,
    /// Its encoded properties; without them whoever would judge by them is taken out.
    pub properties: Option<&'a [u8]>,
}

/// Held pulls, by topic and queue.
#[derive(Debug)]
pub struct Holds<W> {
    held: AtomicUsize,
    table: Mutex<Table<W>>,
}

#[derive(Debug)]
struct Table<W> {
    held: Held<Pull<W>>,
    queues: HashMap<Str, HashMap<i32, Queue>>,
    /// Those that do not want every message: their queues may go on while they wait.
    choosy: BTreeSet<u64>,
}

#[derive(Debug)]
struct Pull<W> {
    topic: Str,
    queue_id: i32,
    waiting: W,
}

/// Who waits at one queue, in the order of their coming.
#[derive(Debug, Default)]
struct Queue {
    all: BTreeSet<u64>,
    by_code: HashMap<i32, BTreeSet<u64>>,
}

impl<W: Waiting> Default for Holds<W> {
    fn default() -> Self {
        let table =
            Table { held: Held::default(), queues: HashMap::new(), choosy: BTreeSet::new() };
        Self { held: AtomicUsize::new(0), table: Mutex::new(table) }
    }
}

impl<W: Waiting> Holds<W> {
    /// How many are held.
    pub fn len(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Holds `waiting` until `deadline_ms`, or gives it back when there are too many.
    ///
    /// A message may have come between the caller's look at the queue and this call: the caller
    /// must look once more afterwards, and call [`Self::arrived`] if there is one.
    pub fn hold(&self, topic: &Str, queue_id: i32, deadline_ms: i64, waiting: W) -> Result<(), W> {
        let mut table = self.table.lock();
        if table.held.len() >= LIMIT {
            return Err(waiting);
        }
        table.insert(deadline_ms, Pull { topic: topic.clone(), queue_id, waiting });
        self.held.store(table.held.len(), Ordering::SeqCst);
        Ok(())
    }

    /// Takes out those that a message at `offset` was waited for by; `None` takes out all that wait
    /// for this offset or an earlier one.
    pub fn arrived(
        &self,
        topic: &str,
        queue_id: i32,
        offset: i64,
        message: Option<Seen<'_>>,
    ) -> Vec<W> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut table = self.table.lock();
        let Some(queue) = table.queues.get(topic).and_then(|queues| queues.get(&queue_id)) else {
            return Vec::new();
        };
        let mut ids: Vec<u64> = queue.all.iter().copied().collect();
        match message {
            Some(Seen { tags_code, .. }) => {
                ids.extend(queue.by_code.get(&(tags_code as i32)).into_iter().flatten());
            }
            None => ids.extend(queue.by_code.values().flatten()),
        }
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| table.held.get(*id).is_some_and(|held| offset >= held.waiting.offset()));
        let Some(properties) = message.and_then(|message| message.properties) else {
            return self.take(&mut table, ids);
        };
        let judges: Vec<(u64, Selection)> = ids
            .iter()
            .filter_map(|id| Some((*id, table.held.get(*id)?.waiting.judge()?)))
            .collect();
        if judges.is_empty() {
            return self.take(&mut table, ids);
        }
        // Judging takes its time: the others need not wait for it.
        drop(table);
        let unwanted = judges.into_iter().filter(|(_, judge)| !judge.wants_properties(properties));
        let unwanted: HashSet<u64> = unwanted.map(|(id, _)| id).collect();
        ids.retain(|id| !unwanted.contains(id));
        self.take(&mut self.table.lock(), ids)
    }

    /// Takes out those behind whose offset their queue has messages, none of which they wanted:
    /// `ends` tells where a queue ends. A group that wants few of many messages is told where it
    /// is (Java: `PullRequestHoldService.checkHoldRequest`).
    pub fn overtaken(&self, ends: impl Fn(&str, i32) -> i64) -> Vec<W> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut table = self.table.lock();
        let is_behind = |id: &u64| {
            table.held.get(*id).is_some_and(|held| {
                let Pull { topic, queue_id, waiting } = held;
                waiting.offset() < ends(topic, *queue_id)
            })
        };
        let behind = table.choosy.iter().copied().filter(is_behind).collect();
        self.take(&mut table, behind)
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
        // What a pull holds may be more than a few bytes: it is freed outside the lock.
        drop(table);
        drop(gone);
    }

    fn take(&self, table: &mut Table<W>, ids: Vec<u64>) -> Vec<W> {
        let taken = ids.into_iter().filter_map(|id| table.remove(id)).collect();
        self.held.store(table.held.len(), Ordering::SeqCst);
        taken
    }
}

impl<W: Waiting> Table<W> {
    fn insert(&mut self, deadline_ms: i64, pull: Pull<W>) {
        let queues = self.queues.entry(pull.topic.clone()).or_default();
        let queue = queues.entry(pull.queue_id).or_default();
        let id = self.held.next();
        if pull.waiting.codes().is_some() || pull.waiting.judge().is_some() {
            self.choosy.insert(id);
        }
        match pull.waiting.codes() {
            None => {
                queue.all.insert(id);
            }
            Some(codes) => {
                for code in codes {
                    queue.by_code.entry(*code).or_default().insert(id);
                }
            }
        }
        self.held.insert(deadline_ms, pull.waiting.peer_id(), pull);
    }

    fn remove(&mut self, id: u64) -> Option<W> {
        let Pull { topic, queue_id, waiting } = self.held.remove(id)?;
        self.choosy.remove(&id);
        let queues = self.queues.get_mut(&topic)?;
        let queue = queues.get_mut(&queue_id)?;
        queue.all.remove(&id);
        for code in waiting.codes().unwrap_or_default() {
            if let Entry::Occupied(mut ids) = queue.by_code.entry(*code) {
                ids.get_mut().remove(&id);
                if ids.get().is_empty() {
                    ids.remove();
                }
            }
        }
        if queue.all.is_empty() && queue.by_code.is_empty() {
            queues.remove(&queue_id);
        }
        if queues.is_empty() {
            self.queues.remove(&topic);
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for an offset and a code, over the connection of the same number as the code.
    #[derive(Debug, PartialEq)]
    struct At(i64, [i32; 1]);

    impl Waiting for At {
        fn offset(&self) -> i64 {
            self.0
        }
        fn codes(&self) -> Option<&[i32]> {
            (self.1 != [0]).then_some(&self.1)
        }
        fn peer_id(&self) -> u64 {
            self.1[0] as u64
        }
    }

    fn seen(tags_code: i64) -> Option<Seen<'static>> {
        Some(Seen { tags_code, properties: None })
    }

    fn holds() -> Holds<At> {
        let holds = Holds::default();
        for (queue_id, deadline_ms, at) in
            [(0, 100, At(5, [1])), (0, 50, At(6, [1])), (1, 70, At(5, [1]))]
        {
            holds.hold(&"t".into(), queue_id, deadline_ms, at).unwrap();
        }
        holds
    }

    #[test]
    fn a_message_takes_out_who_waited_for_it() {
        let holds = holds();
        assert_eq!(holds.arrived("t", 0, 4, seen(1)), []);
        assert_eq!(holds.arrived("t", 0, 5, seen(2)), []);
        assert_eq!(holds.arrived("u", 0, 9, seen(1)), []);
        assert_eq!(holds.arrived("t", 0, 5, seen(1)), [At(5, [1])]);
        assert_eq!(holds.arrived("t", 1, 8, None), [At(5, [1])]);
        assert_eq!(holds.len(), 1);
        assert_eq!(holds.drain(), [At(6, [1])]);
        assert!(holds.is_empty() && holds.table.lock().queues.is_empty());
        assert!(holds.table.lock().choosy.is_empty());
    }

    #[test]
    fn who_is_choosy_and_overtaken_is_taken_out() {
        let holds = holds();
        holds.hold(&"t".into(), 0, 90, At(3, [0])).unwrap();
        assert_eq!(holds.overtaken(|_, _| 5), []);
        let ends = |topic: &str, queue_id| if (topic, queue_id) == ("t", 0) { 6 } else { 0 };
        assert_eq!(holds.overtaken(ends), [At(5, [1])]);
        assert_eq!(holds.overtaken(|_, _| 7), [At(6, [1]), At(5, [1])]);
        assert_eq!(holds.drain(), [At(3, [0])], "a message that comes takes it out");
    }

    #[test]
    fn time_takes_out_in_order_of_deadlines() {
        let holds = holds();
        assert_eq!(holds.expire(49), []);
        assert_eq!(holds.expire(70), [At(6, [1]), At(5, [1])]);
        assert_eq!(holds.len(), 1);
        assert_eq!(holds.table.lock().held.late(i64::MAX).len(), 1);
    }

    #[test]
    fn a_lost_connection_takes_its_pulls_along() {
        let holds = holds();
        holds.hold(&"t".into(), 0, 90, At(7, [0])).unwrap();
        holds.forget(1);
        assert_eq!(holds.len(), 1);
        assert_eq!(holds.arrived("t", 0, 7, seen(99)), [At(7, [0])]);
        let table = holds.table.lock();
        assert!(table.held.is_clean() && table.queues.is_empty());
    }

    /// Waits for messages of which an expression is true.
    struct Judging(Selection);

    impl Waiting for Judging {
        fn offset(&self) -> i64 {
            5
        }
        fn codes(&self) -> Option<&[i32]> {
            None
        }
        fn judge(&self) -> Option<Selection> {
            Some(self.0.clone())
        }
        fn peer_id(&self) -> u64 {
            1
        }
    }

    #[test]
    fn an_expression_leaves_who_does_not_want_the_message() {
        let holds = Holds::default();
        for source in ["a = 1", "a = 2"] {
            let expression = filter::Expression::compile(source).unwrap().into();
            let waiting = Judging(Selection::Expression(expression));
            assert!(holds.hold(&"t".into(), 0, 100, waiting).is_ok());
        }
        let arrived = |offset, properties| {
            let message = Seen { tags_code: 0, properties };
            holds.arrived("t", 0, offset, Some(message)).len()
        };
        assert_eq!(arrived(5, Some(&b"a\x013\x02"[..])), 0);
        assert_eq!(arrived(4, Some(&b"a\x011\x02"[..])), 0);
        assert_eq!(arrived(5, Some(&b"a\x011\x02"[..])), 1);
        assert_eq!(arrived(5, None), 1, "nothing is known of it");
        assert!(holds.is_empty());
    }
}
