//! Whether the broker takes messages, in words: not while its store is opened, not while that is
//! full, not after it failed. And what stands behind the ports meanwhile: the port is open from the
//! first moment, so that a client learns why it has to wait.

use crate::broker::Broker;
use crate::serve::Port;
use parking_lot::Mutex;
use remoting::codes::ResponseCode;
use remoting::connection::{Arrived, Serve};
use remoting::peer::Peer;
use remoting::reply::{Refusal, Ticket};
use std::sync::{Arc, OnceLock};
use store::Progress;

/// What [`Broker::readiness`] says when messages are taken.
pub const READY: &str = "ready";
/// The key of the runtime table (28) that holds [`Broker::readiness`]; Rockhopper's own.
pub const KEY: &str = "readiness";

/// How far the opening of the store has come.
#[derive(Debug, Default)]
pub(crate) struct Opening(Mutex<Option<Progress>>);

impl Opening {
    /// Notes a step.
    pub(crate) fn note(&self, progress: Progress) {
        *self.0.lock() = Some(progress);
    }

    /// In words: `recovering, 40 % (reading the commit log)`.
    pub(crate) fn words(&self) -> String {
        match *self.0.lock() {
            Some(progress) => format!("recovering, {} % ({})", progress.percent(), progress.what),
            None => "recovering, 0 %".to_owned(),
        }
    }
}

/// What stands behind a port: until the store is open every request is told how far that is.
pub(crate) struct Gate {
    pub(crate) opening: Arc<Opening>,
    pub(crate) port: OnceLock<Port>,
}

impl Serve for Gate {
    fn serve(&self, arrived: &mut [Arrived]) {
        if let Some(port) = self.port.get() {
            return port.serve(arrived);
        }
        let refusal = Refusal::new(ResponseCode::SERVICE_NOT_AVAILABLE, self.opening.words());
        for one in arrived {
            one.each(|_, request, out| Ticket::of(request).answer(refusal.clone().into(), out));
        }
    }

    fn closed(&self, peer: &Arc<Peer>) {
        if let Some(port) = self.port.get() {
            port.closed(peer);
        }
    }
}

impl Broker {
    /// Whether messages are taken: [`READY`], or why not.
    pub fn readiness(&self) -> String {
        if let Some(why) = self.store.fence_reason() {
            return format!("failed, the broker stops: {why}");
        }
        match (self.store.full(), self.store.refusal()) {
            (Some(full), _) => format!("full, messages are refused and can be read: {full}"),
            (None, Some(refusal)) => format!("messages are refused: {refusal}"),
            (None, None) => READY.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::outbox::Outbox;

    #[test]
    fn what_is_refused_while_the_store_opens_does_not_come_again() {
        let gate = Gate { opening: Arc::default(), port: OnceLock::new() };
        let address = "127.0.0.1:7".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        let requests = vec![Command::request(RequestCode::SEND_MESSAGE_V2)];
        let mut arrived = [Arrived { peer, requests, out: Outbox::default() }];
        gate.serve(&mut arrived);
        assert!(arrived[0].requests.is_empty() && arrived[0].out.has_remaining());
    }

    #[test]
    fn an_opening_says_how_far_it_is() {
        let opening = Opening::default();
        assert_eq!(opening.words(), "recovering, 0 %");
        let what = "reading the commit log";
        opening.note(Progress { what, done: 2, total: 5 });
        assert_eq!(opening.words(), "recovering, 40 % (reading the commit log)");
    }
}
