//! Calls in flight: which answer belongs to which question. Pure: whoever waits is the type
//! parameter, and how long one waits is the asker's business.

use std::collections::HashMap;

/// Questions that were asked and not yet answered, by opaque.
#[derive(Debug)]
pub struct Calls<W> {
    waiting: HashMap<i32, W>,
    next: i32,
    limit: usize,
}

impl<W> Calls<W> {
    /// No call yet; at most `limit` at a time.
    pub fn new(limit: usize) -> Self {
        Self { waiting: HashMap::new(), next: 1, limit }
    }

    /// Notes a new call and gives its opaque; `None` when there are too many.
    pub fn begin(&mut self, waiter: W) -> Option<i32> {
        if self.waiting.len() >= self.limit {
            return None;
        }
        while self.waiting.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let opaque = self.next;
        self.next = self.next.wrapping_add(1);
        self.waiting.insert(opaque, waiter);
        Some(opaque)
    }

    /// The waiter of `opaque`, which is no longer in flight; `None` for an unknown or late one.
    pub fn end(&mut self, opaque: i32) -> Option<W> {
        self.waiting.remove(&opaque)
    }

    /// Ends all calls and takes no more: the connection is gone.
    pub fn close(&mut self) -> Vec<W> {
        self.limit = 0;
        self.waiting.drain().map(|(_, waiter)| waiter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_call_in_any_order_and_only_once() {
        let mut calls = Calls::new(8);
        let a = calls.begin("a").unwrap();
        let b = calls.begin("b").unwrap();
        assert_ne!(a, b);
        assert_eq!(calls.end(b), Some("b"));
        assert_eq!(calls.end(b), None);
        assert_eq!(calls.end(a), Some("a"));
    }

    #[test]
    fn a_full_or_closed_table_takes_no_call() {
        let mut calls = Calls::new(1);
        calls.begin(1).unwrap();
        assert_eq!(calls.begin(2), None);
        assert_eq!(calls.close(), [1]);
        assert_eq!(calls.begin(3), None);
    }

    #[test]
    fn an_opaque_in_flight_is_not_given_again() {
        let mut calls = Calls::new(8);
        let first = calls.begin(0).unwrap();
        calls.next = first;
        assert_ne!(calls.begin(1).unwrap(), first);
    }
}
