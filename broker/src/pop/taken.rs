//! `Taken`: the pops of this life of the broker that are not done, and when their messages become
//! visible again. It answers on time what the revive log would tell later; what is not here, as
//! there is a bound, comes back through the log ([`super::revive`]). Nothing here is kept.

use super::records::{CheckPoint, Key};
use message::Str;
use parking_lot::Mutex;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

/// Pops whose messages are out.
#[derive(Debug, Default)]
pub struct Taken {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<Key, Row>,
    /// Messages that are out, by topic, group and queue.
    out: HashMap<(Str, Str, i32), u64>,
    /// By the time that they are due, ms since 1970; those that are being revived are not here.
    due: BTreeMap<(i64, u64), Key>,
    next: u64,
}

#[derive(Debug)]
struct Row {
    point: CheckPoint,
    /// The queue of the revive log that has the checkpoint.
    queue_id: i32,
    /// The messages that are done.
    acked: u32,
    /// Its place in `due`.
    place: Option<(i64, u64)>,
}

/// A pop that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What was popped.
    pub point: CheckPoint,
    /// The queue of the revive log that has the checkpoint.
    pub queue_id: i32,
    /// The queue offsets that nobody acknowledged.
    pub offsets: Vec<i64>,
}

impl Taken {
    /// Notes a pop, unless there are `limit` or it is there already.
    pub fn insert(&self, point: CheckPoint, queue_id: i32, limit: usize) {
        let mut table = self.table.lock();
        let key = Key::from(&point);
        if table.rows.len() >= limit || table.rows.contains_key(&key) {
            return;
        }
        let due_ms = point.due_ms();
        let row = Row { point, queue_id, acked: 0, place: None };
        *table.out.entry(row.queue()).or_default() += row.left();
        table.rows.insert(key.clone(), row);
        table.wait(key, due_ms);
    }

    /// Notes that messages are done. Those of a pop that is not here are noted in the log alone.
    pub fn ack(&self, key: &Key, offsets: &[i64]) {
        let mut table = self.table.lock();
        let Some(row) = table.rows.get_mut(key) else { return };
        let before = row.left();
        for place in offsets.iter().filter_map(|offset| row.point.place(*offset)) {
            row.acked |= 1 << place;
        }
        // One that is being revived stays until that is done.
        let over = row.place.filter(|_| row.acked == row.point.all());
        let (queue, done) = (row.queue(), before - row.left());
        table.come_back(queue, done);
        if let Some(place) = over {
            table.due.remove(&place);
            table.rows.remove(key);
        }
    }

    /// Messages of a queue that are out of it, in pops of this life of the broker.
    pub fn out(&self, topic: &Str, group: &Str, queue_id: i32) -> u64 {
        let queue = (topic.clone(), group.clone(), queue_id);
        self.table.lock().out.get(&queue).copied().unwrap_or(0)
    }

    /// When the next pop is due, ms since 1970.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.table.lock().due.first_key_value().map(|((due_ms, _), _)| *due_ms)
    }

    /// Up to `max` pops that are due. They stay here, and are not given again before
    /// [`later`](Self::later); what follows is [`forget`](Self::forget) or that.
    pub fn due(&self, now_ms: i64, max: usize) -> Vec<Due> {
        let mut table = self.table.lock();
        let mut all = Vec::new();
        while all.len() < max
            && let Some(first) = table.due.first_entry()
            && first.key().0 <= now_ms
        {
            let key = first.remove();
            let Some(row) = table.rows.get_mut(&key) else { continue };
            row.place = None;
            let (point, acked) = (row.point.clone(), row.acked);
            let open = point.offsets().zip(0..u32::BITS).filter(|(_, at)| acked & 1 << at == 0);
            let offsets = open.map(|(offset, _)| offset).collect();
            all.push(Due { queue_id: row.queue_id, offsets, point });
        }
        all
    }

    /// A pop that could not be revived is due later.
    pub fn later(&self, key: Key, due_ms: i64) {
        self.table.lock().wait(key, due_ms);
    }

    /// Forgets a pop.
    pub fn forget(&self, key: &Key) {
        let mut table = self.table.lock();
        let Some(row) = table.rows.remove(key) else { return };
        table.come_back(row.queue(), row.left());
        if let Some(place) = row.place {
            table.due.remove(&place);
        }
    }

    /// Whether this pop is here: its messages are revived from here, or are about to be.
    pub fn has(&self, key: &Key) -> bool {
        self.table.lock().rows.contains_key(key)
    }

    /// How many pops are out.
    pub fn len(&self) -> usize {
        self.table.lock().rows.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Row {
    fn queue(&self) -> (Str, Str, i32) {
        (self.point.topic.clone(), self.point.group.clone(), self.point.queue_id)
    }

    fn left(&self) -> u64 {
        u64::from((self.point.all() & !self.acked).count_ones())
    }
}

impl Table {
    /// So many messages are not out any more.
    fn come_back(&mut self, queue: (Str, Str, i32), count: u64) {
        if let Entry::Occupied(mut out) = self.out.entry(queue) {
            *out.get_mut() = out.get().saturating_sub(count);
            if *out.get() == 0 {
                out.remove();
            }
        }
    }

    fn wait(&mut self, key: Key, due_ms: i64) {
        let place = (due_ms, self.next);
        let Some(row) = self.rows.get_mut(&key) else { return };
        self.next += 1;
        row.place = Some(place);
        self.due.insert(place, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(start: i64, count: i8, pop_ms: i64) -> CheckPoint {
        let (topic, group) = ("T".into(), "G".into());
        CheckPoint { topic, group, start, count, pop_ms, invisible_ms: 10, ..Default::default() }
    }

    #[test]
    fn what_is_not_acknowledged_is_due_once() {
        let taken = Taken::default();
        taken.insert(point(5, 3, 100), 2, 9);
        let key = Key::from(&point(5, 3, 100));
        taken.ack(&key, &[6, 99]);
        assert_eq!((taken.next_due_ms(), taken.due(109, 9)), (Some(110), vec![]));
        let due = taken.due(110, 9);
        assert_eq!((due.len(), due[0].queue_id, &due[0].offsets[..]), (1, 2, &[5, 7][..]));
        assert_eq!((taken.due(999, 9), taken.next_due_ms()), (vec![], None));
        assert!(taken.has(&key));
        // It comes too late for that, and the pop stays until it is revived.
        taken.ack(&key, &[5, 6, 7]);
        assert!(taken.has(&key));
        taken.later(key.clone(), 120);
        assert!(taken.due(120, 9)[0].offsets.is_empty());
        taken.forget(&key);
        assert!(taken.is_empty() && taken.table.lock().due.is_empty());
    }

    #[test]
    fn a_pop_that_is_wholly_acknowledged_is_forgotten() {
        let taken = Taken::default();
        taken.insert(point(0, 32, 1), 0, 9);
        let key = Key::from(&point(0, 32, 1));
        taken.ack(&key, &(0..31).collect::<Vec<_>>());
        assert_eq!(taken.len(), 1);
        taken.ack(&key, &[31]);
        assert!(taken.is_empty() && taken.table.lock().due.is_empty());
    }

    #[test]
    fn what_is_out_is_counted_by_queue() {
        let taken = Taken::default();
        let out = || taken.out(&"T".into(), &"G".into(), 0);
        taken.insert(point(0, 3, 1), 0, 9);
        taken.insert(point(3, 2, 1), 0, 9);
        taken.insert(CheckPoint { queue_id: 1, ..point(0, 9, 1) }, 0, 9);
        assert_eq!(out(), 5);
        let key = Key::from(&point(0, 3, 1));
        taken.ack(&key, &[1]);
        taken.ack(&key, &[1, 9]);
        assert_eq!(out(), 4);
        taken.forget(&key);
        taken.forget(&key);
        assert_eq!(out(), 2);
        taken.ack(&Key::from(&point(3, 2, 1)), &[3, 4]);
        assert_eq!((out(), taken.table.lock().out.len()), (0, 1));
    }

    #[test]
    fn there_is_a_bound() {
        let taken = Taken::default();
        for start in 0..4 {
            taken.insert(point(start, 1, 1), 0, 3);
        }
        assert_eq!(taken.len(), 3);
        assert_eq!(taken.due(i64::MAX, 2).len(), 2);
        assert_eq!(taken.due(i64::MAX, 2).len(), 1);
    }
}
