//! What waits for the flush of `SYNC_FLUSH`: answers to senders, and messages that consumers must
//! not see before (Java: `GroupCommitService`). One flush serves all that came before it.

use bytes::Bytes;
use message::Str;
use remoting::codes::ResponseCode;
use remoting::reply::{Answer, Asker};

/// Messages whose consumers can be told about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The topic that they are stored under.
    pub topic: Str,
    /// The queue.
    pub queue_id: i32,
    /// The queue offset of the message.
    pub queue_offset: i64,
    /// The hash of its tag.
    pub tags_code: i64,
    /// Its encoded properties, if a consumer may look at them.
    pub properties: Option<Bytes>,
}

/// An answer that waits.
#[derive(Debug)]
pub struct Unanswered {
    /// Who waits.
    pub asker: Asker,
    /// What it will be told when the flush is done in time.
    pub answer: Answer,
    /// When it began to wait, in milliseconds since 1970.
    pub begun_ms: i64,
    /// When it is told that the flush is late, in milliseconds since 1970.
    pub deadline_ms: i64,
}

/// What a flush made durable. Its room is for the next one too.
#[derive(Debug, Default)]
pub struct Durable {
    /// Whom consumers can be told of.
    pub arrivals: Vec<Arrival>,
    /// Who can be answered.
    pub answers: Vec<Unanswered>,
}

/// More entries than this a list has no room for once they are gone.
const KEPT: usize = 64 << 10;

impl Durable {
    /// Gives back the room of an unusual number of entries.
    pub fn shrink(&mut self) {
        self.arrivals.shrink_to(KEPT);
        self.answers.shrink_to(KEPT);
    }
}

/// Stored and not yet flushed.
#[derive(Debug, Default)]
pub struct Unflushed {
    arrivals: Vec<(i64, Arrival)>,
    answers: Vec<(i64, Unanswered)>,
    /// Those of what is stored on the way: a late flush does not change them.
    others: Vec<(i64, Unanswered)>,
    /// So many answers the flusher waits for to come together; 0 when anything is worth a flush.
    pub wanted: usize,
    /// The broker stops: nobody sleeps on this any more.
    pub stopping: bool,
    /// The store failed: nothing becomes durable any more.
    pub failed: bool,
}

impl Unflushed {
    /// A message whose record ends at `log_end`.
    pub fn arrive(&mut self, log_end: i64, arrival: Arrival) {
        self.arrivals.push((log_end, arrival));
    }

    /// A sender's answer about records that end at `log_end`.
    pub fn wait(&mut self, log_end: i64, unanswered: Unanswered) {
        self.answers.push((log_end, unanswered));
    }

    /// The answer to a request of another kind, which had something stored (Java takes
    /// `FLUSH_DISK_TIMEOUT` for stored everywhere but in sends).
    pub fn wait_for_other(&mut self, log_end: i64, unanswered: Unanswered) {
        self.others.push((log_end, unanswered));
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty() && self.waiting() == 0
    }

    /// How many answers wait.
    pub fn waiting(&self) -> usize {
        self.answers.len() + self.others.len()
    }

    /// Whether the flusher has what it waits for.
    pub fn is_enough(&self) -> bool {
        let is_there = match self.wanted {
            0 => !self.is_empty(),
            wanted => self.waiting() >= wanted,
        };
        is_there || self.stopping
    }

    /// Moves what is durable now to `durable`.
    ///
    /// Batches of several connections may be noted in another order than they were appended in, so
    /// all entries are looked at: as many as came since the flush before.
    pub fn flushed(&mut self, flushed_to: i64, durable: &mut Durable) {
        take(&mut self.arrivals, flushed_to, &mut durable.arrivals);
        take(&mut self.answers, flushed_to, &mut durable.answers);
        take(&mut self.others, flushed_to, &mut durable.answers);
    }

    /// The store failed: takes out everybody who waits. Consumers are not told of messages that may
    /// be gone after the next start.
    pub fn fail(&mut self) -> Vec<Unanswered> {
        self.failed = true;
        self.arrivals.clear();
        let all = self.answers.drain(..).chain(self.others.drain(..));
        all.map(|(_, unanswered)| unanswered).collect()
    }

    /// Takes out the answers that are late, those of senders with the code that says so. The
    /// messages are stored.
    pub fn late(&mut self, now_ms: i64) -> Vec<Unanswered> {
        let is_late = |(_, unanswered): &mut (i64, Unanswered)| unanswered.deadline_ms <= now_ms;
        let say_so = |(_, mut unanswered): (i64, Unanswered)| {
            unanswered.answer.code = ResponseCode::FLUSH_DISK_TIMEOUT;
            unanswered
        };
        let late = self.answers.extract_if(.., is_late).map(say_so);
        late.chain(self.others.extract_if(.., is_late).map(|(_, other)| other)).collect()
    }
}

fn take<T>(waiting: &mut Vec<(i64, T)>, flushed_to: i64, durable: &mut Vec<T>) {
    let done = waiting.extract_if(.., |(log_end, _)| *log_end <= flushed_to);
    durable.extend(done.map(|(_, what)| what));
    waiting.shrink_to(KEPT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::peer::Peer;
    use remoting::reply::Ticket;
    use std::sync::Arc;

    #[test]
    fn a_late_answer_says_so_and_a_failed_store_answers_nobody() {
        let address = "127.0.0.1:1".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        let ticket = Ticket::of(&Command::request(RequestCode::SEND_MESSAGE_V2));
        let mut unflushed = Unflushed::default();
        for (log_end, deadline_ms) in [(100, 10), (200, 20)] {
            let (asker, answer) = (Asker::new(&peer, ticket), Answer::success());
            let unanswered = Unanswered { asker, answer, begun_ms: 0, deadline_ms };
            unflushed.wait(log_end, unanswered);
        }
        let (asker, answer) = (Asker::new(&peer, ticket), Answer::success());
        let other = Unanswered { asker, answer, begun_ms: 0, deadline_ms: 10 };
        unflushed.wait_for_other(150, other);
        assert!(unflushed.late(9).is_empty());
        let late = unflushed.late(10);
        let codes: Vec<ResponseCode> = late.iter().map(|late| late.answer.code).collect();
        assert_eq!(codes, [ResponseCode::FLUSH_DISK_TIMEOUT, ResponseCode::SUCCESS]);
        let mut durable = Durable::default();
        unflushed.flushed(100, &mut durable);
        assert_eq!(durable.answers.len(), 0, "it has its answer");
        unflushed.arrive(200, arrival(0));
        assert_eq!(unflushed.fail().len(), 1);
        assert!(unflushed.failed && unflushed.is_empty());
    }

    fn arrival(queue_offset: i64) -> Arrival {
        Arrival { topic: "t".into(), queue_id: 0, queue_offset, tags_code: 0, properties: None }
    }

    #[test]
    fn only_what_was_flushed_comes_out_whatever_the_order_of_noting() {
        let mut unflushed = Unflushed::default();
        for (log_end, queue_offset) in [(200, 1), (100, 0), (300, 2)] {
            unflushed.arrive(log_end, arrival(queue_offset));
        }
        let mut arrivals = |flushed_to| {
            let mut durable = Durable::default();
            unflushed.flushed(flushed_to, &mut durable);
            (durable.arrivals, unflushed.is_empty())
        };
        assert_eq!(arrivals(99), (vec![], false));
        assert_eq!(arrivals(200), (vec![arrival(1), arrival(0)], false));
        assert_eq!(arrivals(300), (vec![arrival(2)], true));
    }
}
