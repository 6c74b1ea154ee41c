//! A batch of requests, from one connection or many: routed, the messages among them appended
//! together, the answers written. The rest of the shell is [`crate::server`].

use crate::broker::Broker;
use crate::flush::Unanswered;
use crate::pop::{
    self,
    done::{AllDone, Done},
};
use crate::put::{Effect, Pending, Sender};
use crate::table::NOT_ON_FAST_PORT;
use parking_lot::Mutex;
use remoting::codes::ResponseCode;
use remoting::command::Command;
use remoting::connection::{Arrived, Serve};
use remoting::outbox::Outbox;
use remoting::peer::Peer;
use remoting::reply::{Answer, Asker, Refusal, Reply, Ticket};
use remoting::room::Room;
use remoting::router::{Call, Lane, Router};
use std::slice;
use std::sync::Arc;
use store::Append;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Requests that may wait for, or run on, the blocking lane; further ones are refused.
pub(crate) const BLOCKING_LIMIT: usize = 10_000;

/// A port of the broker.
pub(crate) struct Port {
    pub(crate) broker: Arc<Broker>,
    pub(crate) router: Arc<Router<Broker, Effect>>,
    /// Whether this is the second port, which takes no pulls.
    pub(crate) fast: bool,
    pub(crate) runtime: Handle,
    /// Room on the blocking lane.
    pub(crate) blocking: Arc<Semaphore>,
    pub(crate) now_ms: fn() -> i64,
    /// What batches that are done left, as many as were served at the same time.
    pub(crate) idle: Mutex<Vec<Batch>>,
}

impl Serve for Port {
    fn serve(&self, arrived: &mut [Arrived]) {
        let mut batch = self.idle.lock().pop().unwrap_or_default();
        batch.begin((self.now_ms)());
        for (from, one) in arrived.iter_mut().enumerate() {
            // What the ones before stored takes its time: a message that came back meanwhile is not
            // popped at a time before that.
            let now_ms = (self.now_ms)();
            one.each(|peer, command, out| {
                let (lane, ticket) = (Lane::Inline, Ticket::of(command));
                match self.run(&Call { peer, command, now_ms, lane, room: &batch.room }) {
                    Reply::Answer(answer) => self.broker.answer_saved(peer, &ticket, answer, out),
                    Reply::Effect(Effect::Append(pending)) => batch.push(from, pending, now_ms),
                    Reply::Effect(Effect::Acknowledge(done, sender)) => {
                        batch.acknowledge(from, (done, sender), now_ms);
                    }
                    Reply::Effect(Effect::Block) => self.block(peer, command.clone(), out),
                    Reply::Later | Reply::Silent => {}
                }
            });
        }
        batch.store(&self.broker, arrived, self.now_ms);
        self.idle.lock().push(batch);
    }

    fn closed(&self, peer: &Arc<Peer>) {
        self.broker.disconnected(peer);
    }
}

impl Port {
    /// What becomes of a request here and now.
    fn run(&self, call: &Call<'_>) -> Reply<Effect> {
        let code = call.command.code();
        if self.fast && NOT_ON_FAST_PORT.contains(&code) {
            let remark = format!(" request type {} not supported on this port", code.0);
            let code = ResponseCode::REQUEST_CODE_NOT_SUPPORTED;
            return Reply::Answer(Refusal::new(code, remark).into());
        }
        match self.router.lane(code) {
            Lane::Blocking => Reply::Effect(Effect::Block),
            Lane::Inline => self.router.run(&self.broker, call),
        }
    }

    /// Runs a request that may take long beside the connection.
    fn block(&self, peer: &Arc<Peer>, command: Command, out: &mut Outbox) {
        let ticket = Ticket::of(&command);
        let Ok(permit) = Arc::clone(&self.blocking).try_acquire_owned() else {
            let remark = "[OVERLOAD]system busy, start flow control for a while";
            ticket.answer(Refusal::new(ResponseCode::SYSTEM_BUSY, remark).into(), out);
            return;
        };
        let (broker, router) = (Arc::clone(&self.broker), Arc::clone(&self.router));
        let (peer, now_ms) = (Arc::clone(peer), self.now_ms);
        self.runtime.spawn_blocking(move || {
            let _permit = permit;
            let begun_ms = now_ms();
            let mut batch = Batch::default();
            batch.begin(begun_ms);
            let (requests, lane) = (Vec::new(), Lane::Blocking);
            let mut arrived = Arrived { peer, requests, out: Outbox::default() };
            let Arrived { peer, out, .. } = &mut arrived;
            let call = Call { peer, command: &command, now_ms: begun_ms, lane, room: &batch.room };
            match router.run(&broker, &call) {
                Reply::Answer(answer) => broker.answer_saved(peer, &ticket, answer, out),
                Reply::Effect(Effect::Append(pending)) => batch.push(0, pending, begun_ms),
                Reply::Effect(Effect::Acknowledge(done, sender)) => {
                    batch.acknowledge(0, (done, sender), begun_ms);
                }
                Reply::Effect(Effect::Block) => unreachable!("here a handler may wait"),
                Reply::Later | Reply::Silent => {}
            }
            batch.store(&broker, slice::from_mut(&mut arrived), now_ms);
            arrived.peer.send_all(&mut arrived.out);
        });
    }
}

impl Broker {
    /// Answers now, or when the tables that the answer may rest on are saved.
    fn answer_saved(&self, peer: &Arc<Peer>, ticket: &Ticket, answer: Answer, out: &mut Outbox) {
        if !self.saving.is_behind() {
            ticket.answer(answer, out);
        } else if let Some((_, answer)) = self.saving.keep(Asker::new(peer, *ticket), answer) {
            ticket.answer(answer, out);
        }
    }
}

/// What requests that are served together want stored. The room of one that is done serves another.
#[derive(Default)]
pub(crate) struct Batch {
    begun_ms: i64,
    /// When the last of those that want something stored was looked at.
    stamp_ms: i64,
    appends: Vec<Append>,
    /// Who waits for which of these, and the number of the connection.
    senders: Vec<Waiter>,
    /// What is stored behind those.
    done: AllDone,
    /// Who waits for which of these.
    acknowledgers: Vec<Waiter>,
    room: Room,
}

/// Who waits for an append.
struct Waiter {
    /// The number of the connection.
    from: usize,
    /// The number of the append.
    at: usize,
    sender: Sender,
}

impl Batch {
    fn begin(&mut self, begun_ms: i64) {
        (self.begun_ms, self.stamp_ms) = (begun_ms, begun_ms);
        self.room.clear();
    }

    fn push(&mut self, from: usize, pending: Pending, now_ms: i64) {
        self.stamp_ms = now_ms;
        self.senders.push(Waiter { from, at: self.appends.len(), sender: pending.sender });
        self.appends.push(pending.append);
    }

    fn acknowledge(&mut self, from: usize, (done, sender): (Done, Sender), now_ms: i64) {
        self.stamp_ms = now_ms;
        let at = self.done.push(done);
        self.acknowledgers.push(Waiter { from, at, sender });
    }

    /// Puts the acknowledgements behind the other messages.
    fn end(&mut self, broker: &Broker) {
        if self.done.is_empty() {
            return;
        }
        let first = self.appends.len();
        self.appends.extend(self.done.drain(pop::pen(broker, self.stamp_ms)));
        let behind = self.acknowledgers.drain(..);
        self.senders.extend(behind.map(|waiter| Waiter { at: first + waiter.at, ..waiter }));
    }

    /// Appends all, and answers each sender now or when its messages are durable.
    fn store(&mut self, broker: &Broker, arrived: &mut [Arrived], now_ms: fn() -> i64) {
        self.end(broker);
        if self.appends.is_empty() {
            return;
        }
        let begun_ms = self.begun_ms;
        // A message that was due when it came was not stored before.
        broker.append(&mut self.appends, self.stamp_ms);
        let took_ms = now_ms() - begun_ms;
        let (settings, mut answered) = (broker.settings(), 0);
        for Waiter { from, at, sender } in &self.senders {
            let (append, Arrived { peer, out, .. }) = (&self.appends[*at], &mut arrived[*from]);
            let stored = match &append.outcome {
                Ok(stored) => stored,
                Err(error) => {
                    answered += 1;
                    let answer = crate::put::refusal(broker, *error).into();
                    broker.answer_saved(peer, &sender.ticket, answer, out);
                    continue;
                }
            };
            let answer = (sender.then)(broker, &settings, sender, append.drafts.as_slice(), stored);
            if broker.waits_for_flush(sender) {
                let timeout_ms = i64::from(settings.store.sync_flush_timeout);
                let asker = Asker::new(peer, sender.ticket);
                let deadline_ms = begun_ms + timeout_ms;
                let unanswered = Unanswered { asker, answer, begun_ms, deadline_ms };
                broker.answer_when_flushed(sender.waits, stored.log_end(), unanswered);
            } else {
                answered += 1;
                broker.answer_saved(peer, &sender.ticket, answer, out);
            }
        }
        broker.stats.append_took(answered, took_ms);
        self.appends.clear();
        self.senders.clear();
    }
}

#[cfg(test)]
mod tests;
