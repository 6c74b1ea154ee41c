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
use store::{Progress, Recovered, Store};

/// What [`Broker::readiness`] says when messages are taken.
pub const READY: &str = "ready";
/// The key of the runtime table (28) that holds [`Broker::readiness`]; Rockhopper's own.
pub const KEY: &str = "readiness";

/// How soon the log is told how far an opening has come, ms. The next line comes when it has taken
/// half as long again, so that an hour has no more than twenty.
const TOLD_AFTER_MS: u64 = 1_000;

/// How far the opening of the store has come.
#[derive(Debug, Default)]
pub(crate) struct Opening(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    progress: Option<Progress>,
    /// How long it had taken when the log was told last, ms; 0 when it never was.
    told_ms: u64,
}

impl Opening {
    /// Notes a step of an opening that has taken so long, and tells the log of one that takes long.
    pub(crate) fn note(&self, progress: Progress, took_ms: u64) {
        let mut state = self.0.lock();
        state.progress = Some(progress);
        let told_ms = state.told_ms;
        if took_ms < (told_ms + told_ms / 2).max(told_ms + TOLD_AFTER_MS) {
            return;
        }
        state.told_ms = took_ms;
        drop(state);
        let Progress { done, total, .. } = progress;
        tracing::warn!(
            done,
            total,
            took_ms,
            "{}. The store is being opened, requests are refused until it is",
            self.words()
        );
    }

    /// Tells the log that the store is open, where the stop before was not clean or it was told
    /// before: what was read for that, and how long it took.
    pub(crate) fn end(&self, store: &Store, took_ms: u64) {
        let Recovered { from, to, records, .. } = store.recovered();
        if !store.was_clean() {
            tracing::warn!(
                took_ms,
                bytes = to - from,
                records,
                "the store is open after the unclean stop: all that may have been cut short is \
                 read again, what is lost or was mended stands in the lines above, messages are \
                 taken now"
            );
        } else if self.0.lock().told_ms > 0 {
            tracing::warn!(took_ms, bytes = to - from, records, "the store is open");
        }
    }

    /// In words: `recovering, 40 % (reading the commit log)`.
    pub(crate) fn words(&self) -> String {
        match self.0.lock().progress {
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
    use crate::cold;
    use bytes::Buf;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::outbox::Outbox;
    use simulator::lines_of;
    use std::path::Path;
    use store::Append;

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
        opening.note(Progress { what, done: 2, total: 5 }, 10);
        assert_eq!(opening.words(), "recovering, 40 % (reading the commit log)");
    }

    #[test]
    fn an_opening_that_takes_long_is_told_at_the_default_level_and_ever_more_rarely() {
        let opening = Opening::default();
        let what = "reading the commit log";
        let note = |ms: u64| opening.note(Progress { what, done: ms, total: 7_200_000 }, ms);
        let (_, quick) = lines_of(|| (0..1_000).step_by(10).for_each(note));
        assert_eq!(quick, [""; 0], "nobody waits for that");
        let (_, first) = lines_of(|| (1_000..5_000).step_by(10).for_each(note));
        assert_eq!(first.len(), 4, "{first:#?}");
        assert!(first[0].starts_with("WARN"), "{first:#?}");
        assert!(first[0].contains("recovering, 0 % (reading the commit log)"), "{first:#?}");
        let (_, hour) = lines_of(|| (5_000..3_600_000).step_by(10).for_each(note));
        assert!((10..=16).contains(&hour.len()), "{}: {hour:#?}", hour.len());
        assert!(hour.last().unwrap().contains("recovering, 4"), "{hour:#?}");
    }

    #[test]
    fn the_end_of_an_opening_after_a_kill_says_what_was_read_and_how_long_it_took() {
        let disk = simulator::SimDisk::new(1);
        let ends = |now_ms: i64| {
            let settings = cold::settings(Path::new("/store"));
            let broker = cold::open_watched(disk.clone(), settings, now_ms, &|_| {}).0;
            let (_, lines) = lines_of(|| Opening::default().end(&broker.store, 1_234));
            (broker, lines)
        };
        let (broker, new) = ends(1_700_000_000_000);
        assert_eq!(new, [""; 0], "a new store is no news");
        let host = broker.identity.store_host;
        let mut appends = [Append::one(message::Draft::plain("T", 0, host))];
        broker.append(&mut appends, 1_700_000_000_000);
        drop(broker);
        disk.kill();
        let (broker, killed) = ends(1_700_000_001_000);
        assert_eq!(killed.len(), 1, "{killed:?}");
        assert!(killed[0].starts_with("WARN") && killed[0].contains("took_ms=1234"), "{killed:?}");
        assert!(killed[0].ends_with(" records=1"), "{killed:?}");
        broker.close(1_700_000_001_000).unwrap();
        drop(broker);
        assert_eq!(ends(1_700_000_002_000).1, [""; 0]);
    }
}
