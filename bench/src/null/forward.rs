//! What the null server does for jobs that receive: a message goes from who sends it straight to
//! the pulls that wait for its queue. Nothing is stored and offsets mean nothing.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::{Request, What};
use crate::frame;

/// Bytes that may wait for a consumer between two of its pulls.
const PENDING_BYTES: usize = 8 << 20;

/// A pull's answer on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The connection of the consumer.
    pub(super) token: usize,
    /// The pull that it answers.
    pub(super) pull: What,
    pub(super) records: Vec<u8>,
}

/// Who consumes a queue over one connection.
#[derive(Debug)]
struct Consumer {
    token: usize,
    held: Option<What>,
    pending: Vec<u8>,
}

/// The queues that somebody pulls.
#[derive(Debug, Default)]
pub(super) struct Forward {
    queues: HashMap<Vec<u8>, HashMap<u64, Vec<Consumer>>>,
    /// Answers to be written, of this turn.
    pub(super) due: Vec<Delivery>,
}

impl Forward {
    /// Takes a pull: it is answered with what came since the last one of its consumer, or held.
    pub(super) fn pull(&mut self, token: usize, request: &Request<'_>) {
        if !self.queues.contains_key(request.topic) {
            self.queues.insert(request.topic.to_vec(), HashMap::new());
        }
        let Some(queues) = self.queues.get_mut(request.topic) else { return };
        let consumers = queues.entry(request.queue).or_default();
        // A connection may hold several pulls of a queue; each is a consumer.
        let free = |consumer: &&mut Consumer| consumer.token == token && consumer.held.is_none();
        match consumers.iter_mut().find(free) {
            Some(consumer) if consumer.pending.is_empty() => consumer.held = Some(request.what),
            Some(consumer) => {
                let records = std::mem::take(&mut consumer.pending);
                self.due.push(Delivery { token, pull: request.what, records });
            }
            None => {
                let held = Some(request.what);
                consumers.push(Consumer { token, held, pending: Vec::new() });
            }
        }
    }

    /// Hands a sent message to each consumer of its queue.
    pub(super) fn send(&mut self, request: &Request<'_>) -> Result<()> {
        let consumers = self.queues.get_mut(request.topic);
        let consumers = consumers.and_then(|queues| queues.get_mut(&request.queue));
        for Consumer { token, held, pending } in consumers.into_iter().flatten() {
            frame::record(pending, request.body);
            if let Some(pull) = held.take() {
                let records = std::mem::take(pending);
                self.due.push(Delivery { token: *token, pull, records });
            }
            ensure!(pending.len() <= PENDING_BYTES, "a consumer takes nothing");
        }
        Ok(())
    }

    /// Forgets the consumers of a connection that is closed.
    pub(super) fn leave(&mut self, gone: usize) {
        for consumers in self.queues.values_mut().flat_map(HashMap::values_mut) {
            consumers.retain(|consumer| consumer.token != gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Form;

    fn request(code: u64, topic: &str, opaque: u32) -> Request<'_> {
        let what = What { form: Form::Json, opaque };
        Request { code, what, length: 0, queue: 1, topic: topic.as_bytes(), body: b"hi" }
    }

    #[test]
    fn a_message_goes_to_each_who_waits_and_what_comes_between_waits_for_the_next_pull() {
        let mut forward = Forward::default();
        let record = |count| {
            let mut records = Vec::new();
            (0..count).for_each(|_| frame::record(&mut records, b"hi"));
            records
        };
        let due = |token, opaque, count| {
            let pull = What { form: Form::Json, opaque };
            Delivery { token, pull, records: record(count) }
        };
        for token in [5, 6] {
            forward.pull(token, &request(11, "t", 40));
        }
        forward.pull(5, &request(11, "other", 41));
        forward.send(&request(310, "t", 1)).unwrap();
        assert_eq!(std::mem::take(&mut forward.due), [due(5, 40, 1), due(6, 40, 1)]);
        forward.send(&request(310, "t", 2)).unwrap();
        forward.send(&request(310, "t", 3)).unwrap();
        assert!(forward.due.is_empty());
        forward.leave(6);
        for token in [5, 6] {
            forward.pull(token, &request(11, "t", 42));
        }
        assert_eq!(forward.due, [due(5, 42, 2)]);
    }
}
