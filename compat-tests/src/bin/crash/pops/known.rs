//! What is known of messages that are popped, and what must hold: a message that was acknowledged
//! in time never comes again, every other one does, and none before its time.

use crate::problems::Problems;

/// One message, by the number that its body tells.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The broker acknowledged that it has it.
    is_sent: bool,
    /// Its last pop was acknowledged, in time or too late.
    is_answered: bool,
    /// It was acknowledged in time.
    is_done: bool,
    /// When its last pop is over, ms since 1970; 0 before the first.
    due_ms: i64,
}

/// Everything that is known of one store.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    known: Vec<Known>,
    /// What must not be, in words.
    pub(crate) problems: Problems,
    /// Sends that were acknowledged.
    pub(crate) sent: u64,
    /// Messages that came for the first time.
    pub(crate) came: u64,
    /// Messages that were acknowledged in time.
    pub(crate) done: u64,
    /// Messages that came again, as they had to.
    pub(crate) again: u64,
}

impl Ledger {
    /// So many new messages; the number of the first.
    pub(crate) fn begin(&mut self, count: usize) -> u64 {
        let first = self.known.len();
        self.known.resize(first + count, Known::default());
        first as u64
    }

    /// These were sent, and acknowledged.
    pub(crate) fn sent(&mut self, first: u64, count: usize) {
        let first = first as usize;
        self.known[first..first + count].iter_mut().for_each(|one| one.is_sent = true);
        self.sent += count as u64;
    }

    /// One came at `now_ms`, and comes again at `due_ms`. When it was popped is no measure: the
    /// time of a request is that of its turn, in which others may come back.
    pub(crate) fn popped(&mut self, id: u64, (now_ms, due_ms): (i64, i64)) {
        let Some(one) = self.known.get_mut(id as usize) else {
            return self.problems.note(format!("message {id} was never sent"));
        };
        let before = std::mem::replace(one, Known { due_ms, is_answered: false, ..*one });
        if before.is_done {
            let due_ms = before.due_ms;
            self.problems
                .note(format!("message {id} was acknowledged before {due_ms}, and comes again"));
        } else if now_ms < before.due_ms {
            let early_ms = before.due_ms - now_ms;
            self.problems.note(format!("message {id} comes again {early_ms} ms before its time"));
        }
        self.came += u64::from(before.due_ms == 0);
        self.again += u64::from(before.due_ms != 0);
    }

    /// The pop of one that was to come again at `due_ms` is acknowledged by now.
    pub(crate) fn acknowledged(&mut self, id: u64, due_ms: i64, now_ms: i64) {
        let Some(one) = self.known.get_mut(id as usize) else { return };
        if one.due_ms != due_ms {
            return;
        }
        one.is_answered = true;
        if now_ms < due_ms && !one.is_done {
            one.is_done = true;
            self.done += 1;
        }
    }

    /// The pop of one that was to come again at `due_ms` was acknowledged, perhaps, and no answer
    /// came in time.
    pub(crate) fn given_up(&mut self, id: u64, due_ms: i64) {
        self.acknowledged(id, due_ms, due_ms);
    }

    /// Messages that still have to come, first or again.
    pub(crate) fn left(&self) -> Vec<usize> {
        let all = self.known.iter().enumerate();
        all.filter(|(_, one)| one.is_sent && !one.is_answered).map(|(id, _)| id).collect()
    }

    /// Nothing comes any more: what should have is lost.
    pub(crate) fn close(&mut self) {
        for id in self.left() {
            let due_ms = self.known[id].due_ms;
            let what = if due_ms == 0 { "never came" } else { "did not come again" };
            self.problems.note(format!("message {id} is lost: it {what} (due at {due_ms})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl Fn(&mut Ledger)) -> String {
        let mut ledger = Ledger::default();
        assert_eq!((ledger.begin(1), ledger.begin(2)), (0, 1));
        ledger.sent(1, 2);
        for id in [1, 2] {
            ledger.popped(id, (100, 200));
            ledger.acknowledged(id, 200, 150);
        }
        change(&mut ledger);
        ledger.close();
        ledger.problems.told().join("; ")
    }

    #[test]
    fn what_may_happen_is_no_problem() {
        let found = problems(|ledger| {
            assert_eq!((ledger.sent, ledger.came, ledger.done), (2, 2, 2));
            // Nobody knows whether it was stored: it may come, and be acknowledged too late.
            ledger.popped(0, (100, 200));
            ledger.acknowledged(0, 200, 200);
            ledger.popped(0, (200, 300));
            ledger.acknowledged(0, 200, 210);
        });
        assert_eq!(found, "");
    }

    #[test]
    fn each_broken_promise_is_named() {
        let check = |change: &dyn Fn(&mut Ledger), expected: &str| {
            let found = problems(change);
            assert!(found.contains(expected), "{expected} in {found}");
        };
        check(&|ledger| ledger.popped(1, (300, 400)), "message 1 was acknowledged before 200");
        check(&|ledger| ledger.popped(9, (1, 2)), "message 9 was never sent");
        let early = |ledger: &mut Ledger| {
            ledger.popped(0, (100, 200));
            ledger.popped(0, (190, 300));
        };
        check(&early, "message 0 comes again 10 ms before");
        let lost = |ledger: &mut Ledger| {
            let id = ledger.begin(1);
            ledger.sent(id, 1);
        };
        check(&lost, "message 3 is lost: it never came");
        let lost_again = |ledger: &mut Ledger| {
            let id = ledger.begin(1);
            ledger.sent(id, 1);
            ledger.popped(id, (100, 200));
        };
        check(&lost_again, "message 3 is lost: it did not come again");
    }
}
