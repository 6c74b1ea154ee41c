//! What was sent, acknowledged and seen, and what must hold between the three.

use std::time::{Duration, Instant};

use crate::problems::Problems;

/// How old a commit may be that a crash takes back, on a disk that syncs at once.
pub(crate) const REDELIVERY: Duration = Duration::from_secs(1);

/// A queue, counted over all topics.
pub(crate) type Queue = usize;

/// One message of the producer.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// How often it was sent.
    attempts: u32,
    /// Where it was acknowledged.
    place: Option<(Queue, usize)>,
}

/// What is known of one queue.
#[derive(Debug, Default)]
struct Seen {
    /// The id at each offset, as it was read first.
    ids: Vec<u64>,
    /// Offsets whose commit was acknowledged, and when; the newest last.
    commits: Vec<(Instant, usize)>,
    /// The offset behind the last acknowledged one.
    acknowledged: usize,
}

/// Everything that is known of one store.
#[derive(Debug)]
pub(crate) struct Ledger {
    sent: Vec<Sent>,
    seen: Vec<Seen>,
    /// What must not be, in words.
    pub(crate) problems: Problems,
    /// Sends that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Sends whose outcome was unknown, and that were sent again.
    pub(crate) retried: u64,
    /// Answers that said that the broker recovers.
    pub(crate) recovering: u64,
    /// Messages that were read twice because their commit was lost.
    pub(crate) redelivered: u64,
    /// What is allowed besides: some syncs of a small file on this disk at this time.
    pub(crate) syncs: Duration,
    /// The oldest acknowledged commit that a crash took back.
    pub(crate) oldest_lost_commit: Duration,
}

impl Ledger {
    /// Of a store with so many queues.
    #[must_use]
    pub(crate) fn new(queues: usize) -> Self {
        Self {
            sent: Vec::new(),
            seen: (0..queues).map(|_| Seen::default()).collect(),
            problems: Problems::default(),
            acknowledged: 0,
            retried: 0,
            recovering: 0,
            redelivered: 0,
            syncs: Duration::ZERO,
            oldest_lost_commit: Duration::ZERO,
        }
    }

    /// A new message; its id.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.sent.push(Sent::default());
        self.sent.len() as u64 - 1
    }

    /// It is sent, perhaps once more.
    pub(crate) fn send(&mut self, id: u64) {
        let sent = &mut self.sent[id as usize];
        sent.attempts += 1;
        self.retried += u64::from(sent.attempts > 1);
    }

    /// It was refused: this attempt left nothing behind.
    pub(crate) fn refuse(&mut self, id: u64) {
        let sent = &mut self.sent[id as usize];
        self.retried -= u64::from(sent.attempts > 1);
        sent.attempts -= 1;
        self.recovering += 1;
    }

    /// It was acknowledged.
    pub(crate) fn acknowledge(&mut self, id: u64, queue: Queue, offset: usize) {
        self.acknowledged += 1;
        self.sent[id as usize].place = Some((queue, offset));
        let end = &mut self.seen[queue].acknowledged;
        *end = (*end).max(offset + 1);
        self.compare(queue, offset, id, "acknowledged");
    }

    /// It was read; `true` if its offset was not read before.
    pub(crate) fn read(&mut self, queue: Queue, offset: usize, id: u64) -> bool {
        let known = self.seen[queue].ids.len();
        if offset > known {
            self.problems.note(format!("queue {queue} goes from offset {known} to {offset}"));
        }
        if offset != known {
            self.compare(queue, offset, id, "read again");
            return false;
        }
        if self.sent.get(id as usize).is_none_or(|sent| sent.attempts == 0) {
            self.problems
                .note(format!("queue {queue} offset {offset}: message {id} was never sent"));
        }
        self.seen[queue].ids.push(id);
        true
    }

    fn compare(&mut self, queue: Queue, offset: usize, id: u64, what: &str) {
        let known = self.seen[queue].ids.get(offset).copied();
        if let Some(known) = known.filter(|known| *known != id) {
            let why = format!("queue {queue} offset {offset}: {known} was read, {id} {what}");
            self.problems.note(why);
        }
    }

    /// Up to where a queue was read.
    #[must_use]
    pub(crate) fn position(&self, queue: Queue) -> usize {
        self.seen[queue].ids.len()
    }

    /// The broker acknowledged that the group stands at `offset`.
    pub(crate) fn committed(&mut self, queue: Queue, offset: usize) {
        let (now, commits) = (Instant::now(), &mut self.seen[queue].commits);
        if commits.last().is_none_or(|(_, last)| *last != offset) {
            commits.push((now, offset));
        }
        // Older ones can no longer be judged, except the last of them.
        let old = commits.iter().take_while(|(at, _)| now - *at > 4 * REDELIVERY).count();
        commits.drain(..old.saturating_sub(1));
    }

    /// A broker that was killed at `killed` says after its start that the group stands at `offset`.
    pub(crate) fn restarted_at(&mut self, queue: Queue, offset: usize, killed: Instant) {
        let seen = &mut self.seen[queue];
        let known = seen.ids.len();
        let lost = seen.commits.iter().find(|(_, committed)| *committed > offset).copied();
        seen.commits = vec![(Instant::now(), offset)];
        if offset > known {
            let why = format!("queue {queue}: the group stands at {offset}, it read {known} only");
            return self.problems.note(why);
        }
        self.redelivered += (known - offset) as u64;
        let Some((at, committed)) = lost else { return };
        let age = killed.saturating_duration_since(at);
        self.oldest_lost_commit = self.oldest_lost_commit.max(age);
        if age > REDELIVERY + self.syncs {
            self.problems.note(format!(
                "queue {queue}: offset {committed} was committed {} ms before the kill, now the \
                 group stands at {offset}",
                age.as_millis()
            ));
        }
    }

    /// The offset behind everything that was acknowledged or read, queue by queue.
    #[must_use]
    pub(crate) fn ends(&self) -> Vec<usize> {
        self.seen.iter().map(|seen| seen.ids.len().max(seen.acknowledged)).collect()
    }

    /// The queue ends at `end`, and `known` was known before.
    pub(crate) fn ends_at(&mut self, queue: Queue, end: usize, known: usize) {
        if end < known {
            self.problems.note(format!("queue {queue} ends at {end}, {known} are known"));
        }
    }

    /// Everything was read once more: what was acknowledged is there, nothing is there more often
    /// than it was sent.
    pub(crate) fn close(&mut self) {
        let mut copies = vec![0; self.sent.len()];
        for id in self.seen.iter().flat_map(|seen| &seen.ids) {
            if let Some(copies) = copies.get_mut(*id as usize) {
                *copies += 1;
            }
        }
        for id in 0..self.sent.len() {
            let (Sent { attempts, place }, copies) = (self.sent[id], copies[id]);
            if copies > attempts {
                self.problems
                    .note(format!("message {id} is there {copies} times, sent {attempts}"));
            }
            let Some((queue, offset)) = place else { continue };
            if self.seen[queue].ids.get(offset) != Some(&(id as u64)) {
                self.problems.note(format!("message {id} is lost: queue {queue} offset {offset}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(2);
        for id in 0..3 {
            assert_eq!(ledger.next_id(), id);
            ledger.send(id);
        }
        ledger
    }

    fn problems(ledger: &mut Ledger) -> String {
        ledger.close();
        ledger.problems.told().join("; ")
    }

    #[test]
    fn a_store_that_keeps_everything_has_no_problem() {
        let mut ledger = ledger();
        ledger.acknowledge(0, 1, 0);
        ledger.send(1);
        for (offset, id) in [0, 1, 1].into_iter().enumerate() {
            assert!(ledger.read(1, offset, id));
        }
        assert!(!ledger.read(1, 1, 1));
        ledger.committed(1, 3);
        ledger.restarted_at(1, 2, Instant::now());
        assert_eq!(ledger.ends(), [0, 3]);
        assert_eq!(problems(&mut ledger), "");
        assert_eq!((ledger.redelivered, ledger.retried), (1, 1));
    }

    #[test]
    fn each_broken_promise_is_named() {
        let check = |change: &dyn Fn(&mut Ledger), expected: &str| {
            let mut ledger = ledger();
            change(&mut ledger);
            let problems = problems(&mut ledger);
            assert!(problems.contains(expected), "{expected} in {problems}");
        };
        check(&|ledger| ledger.acknowledge(0, 1, 0), "message 0 is lost");
        let read = |ledger: &mut Ledger, all: &[(usize, u64)]| {
            for (offset, id) in all {
                ledger.read(0, *offset, *id);
            }
        };
        check(&|ledger| read(ledger, &[(0, 1), (1, 1)]), "is there 2 times");
        check(&|ledger| read(ledger, &[(1, 1)]), "goes from offset 0 to 1");
        check(&|ledger| read(ledger, &[(0, 7)]), "was never sent");
        check(&|ledger| read(ledger, &[(0, 1), (0, 2)]), "2 read again");
        check(&|ledger| ledger.restarted_at(0, 1, Instant::now()), "it read 0 only");
        check(
            &|ledger| {
                ledger.acknowledge(2, 0, 4);
                let known = ledger.ends()[0];
                ledger.ends_at(0, 4, known);
            },
            "ends at 4, 5 are known",
        );
        check(
            &|ledger| {
                ledger.read(0, 0, 1);
                ledger.committed(0, 1);
                ledger.restarted_at(0, 0, Instant::now() + 2 * REDELIVERY);
            },
            "ms before the kill",
        );
    }
}
