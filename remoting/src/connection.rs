//! One connection's task: reads frames, serves them in batches, writes what waits.
//!
//! Everything that arrived with one read is served as one batch on this task, and its answers leave
//! with one write. No timer and no lock is touched for a request; a sweeper looks after silence.

use crate::codes::ResponseCode;
use crate::command::{self, Command};
use crate::frame::{self, FrameError, Limits};
use crate::outbox::Outbox;
use crate::peer::{BUFFERED_LIMIT, Peer};
use crate::reply::{Refusal, Ticket};
use crate::seldom::Seldom;
use bytes::BytesMut;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::net::tcp::OwnedReadHalf;
use tokio_util::io::poll_read_buf;

/// Bytes that one read asks for at least.
const READ_BYTES: usize = 64 << 10;
/// While more than this waits to be written, nothing more is read: the reader sets the pace.
const HIGH_WATER: usize = 4 << 20;

/// Requests that are served together at most.
const BATCH: usize = 256;
/// Room for input that a connection keeps while nothing arrives.
const KEPT_BYTES: usize = 256 << 10;
/// Requests of one connection that may wait for their answers. A consumer holds one pull for each
/// of its queues over one connection.
const IN_FLIGHT_LIMIT: usize = 16_384;

/// What stands behind a port: it takes requests in batches.
pub trait Serve: Send + Sync + 'static {
    /// Serves all requests that arrived together, emptying the list. Answers that are ready go to
    /// `out`; others are sent through `peer` later. Runs on the connection's task: it must not
    /// block.
    fn serve(&self, peer: &Arc<Peer>, requests: &mut Vec<Command>, out: &mut Outbox);

    /// The connection has ended.
    fn closed(&self, peer: &Arc<Peer>);
}

/// Why a connection ended; each reason is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The other end closed it.
    Remote,
    /// We closed it.
    Local,
    /// Reading or writing failed.
    Io,
    /// A frame over the limit, or bytes that are no frame.
    Frame,
    /// A header over the limit.
    HeaderLength,
    /// More ext fields than the limit.
    Fields,
    /// A header that is not what its form says.
    Header,
    /// The other end did not read what we wrote.
    SlowReader,
    /// Nothing was heard for too long.
    Idle,
}

impl Ended {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Remote,
        Self::Local,
        Self::Io,
        Self::Frame,
        Self::HeaderLength,
        Self::Fields,
        Self::Header,
        Self::SlowReader,
        Self::Idle,
    ];
}

/// What happened to a port's connections.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were accepted or made.
    pub opened: AtomicU64,
    /// Connections that were turned away because there were too many.
    pub refused: AtomicU64,
    /// Requests that were refused because their connection had too many in flight.
    pub busy: AtomicU64,
    ended: [AtomicU64; Ended::ALL.len()],
    pub(crate) not_accepted: Seldom,
    pub(crate) turned_away: Seldom,
    bad: Seldom,
}

impl Counters {
    /// How many connections ended for this reason.
    pub fn ended(&self, reason: Ended) -> u64 {
        self.ended[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self, reason: Ended) {
        self.ended[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection with its buffers.
pub(crate) struct Connection {
    pub(crate) reader: OwnedReadHalf,
    pub(crate) peer: Arc<Peer>,
    pub(crate) serve: Arc<dyn Serve>,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
}

struct Gone {
    peer: Arc<Peer>,
    serve: Arc<dyn Serve>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.peer.gone();
        self.serve.closed(&self.peer);
    }
}

struct Buffers {
    input: BytesMut,
    output: Outbox,
    requests: Vec<Command>,
    /// Whole frames may be left in `input`.
    more: bool,
}

impl Connection {
    /// Serves until the connection ends, and tells the other parts that it has.
    pub(crate) async fn run(mut self) -> Ended {
        let mut buffers = Buffers {
            input: BytesMut::with_capacity(READ_BYTES),
            output: Outbox::default(),
            requests: Vec::new(),
            more: false,
        };
        // Told on the way out even if serving panics.
        let _gone = Gone { peer: Arc::clone(&self.peer), serve: Arc::clone(&self.serve) };
        poll_fn(|context| self.poll(&mut buffers, context)).await
    }

    fn poll(&mut self, buffers: &mut Buffers, context: &mut Context<'_>) -> Poll<Ended> {
        loop {
            // Asked before the write: what was sent before it was said is written then.
            let closing = self.peer.is_closing();
            let (written, waiting) = self.peer.poll_write(&mut buffers.output, context);
            match written {
                Poll::Ready(Err(_)) => return Poll::Ready(Ended::Io),
                Poll::Ready(Ok(())) if waiting > 0 => continue,
                Poll::Ready(Ok(())) if closing => {
                    return Poll::Ready(self.verdict().unwrap_or(Ended::Local));
                }
                Poll::Pending if waiting > BUFFERED_LIMIT => {
                    return Poll::Ready(Ended::SlowReader);
                }
                _ => {}
            }
            if let Some(ended) = self.verdict() {
                return Poll::Ready(ended);
            }
            if waiting > HIGH_WATER || self.peer.is_closing() {
                return Poll::Pending;
            }
            if buffers.more {
                if let Some(ended) = self.serve_arrived(buffers) {
                    return Poll::Ready(ended);
                }
                // Others have their turn first.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(ended) = ready!(self.read(buffers, context)) {
                return Poll::Ready(ended);
            }
        }
    }

    /// Why the sweeper wants this connection to end, if it does.
    fn verdict(&self) -> Option<Ended> {
        match self.peer.activity.verdict.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Ended::Idle),
            _ => Some(Ended::SlowReader),
        }
    }

    /// Reads once and serves every whole frame that is there then.
    fn read(&mut self, buffers: &mut Buffers, context: &mut Context<'_>) -> Poll<Option<Ended>> {
        buffers.input.reserve(READ_BYTES);
        match ready!(poll_read_buf(Pin::new(&mut self.reader), context, &mut buffers.input)) {
            Ok(0) => return Poll::Ready(Some(Ended::Remote)),
            Err(_) => return Poll::Ready(Some(Ended::Io)),
            Ok(bytes) => self.peer.activity.moved.fetch_add(bytes as u64, Ordering::Relaxed),
        };
        let ended = self.serve_arrived(buffers);
        // What arrives next must not keep the room of the largest frame for good.
        if buffers.input.is_empty() && buffers.input.capacity() > KEPT_BYTES {
            buffers.input = BytesMut::new();
        }
        Poll::Ready(ended)
    }

    /// Serves what has arrived in whole, at most [`BATCH`] requests: the rest has its turn when the
    /// answers to these are written and other connections had theirs.
    fn serve_arrived(&self, buffers: &mut Buffers) -> Option<Ended> {
        let ended = self.cut(buffers);
        if self.peer.in_flight() >= IN_FLIGHT_LIMIT {
            self.refuse_all(buffers);
        }
        if !buffers.requests.is_empty() {
            self.serve.serve(&self.peer, &mut buffers.requests, &mut buffers.output);
            buffers.requests.clear();
        }
        ended
    }

    /// Too many requests of this connection wait for their answers already.
    fn refuse_all(&self, buffers: &mut Buffers) {
        self.counters.busy.fetch_add(buffers.requests.len() as u64, Ordering::Relaxed);
        for request in buffers.requests.drain(..) {
            let remark = format!(
                "[OVERLOAD]{IN_FLIGHT_LIMIT} requests of this connection are in flight already; \
                 wait for answers or use more connections"
            );
            let refusal = Refusal::new(ResponseCode::SYSTEM_BUSY, remark);
            Ticket::of(&request).answer(refusal.into(), &mut buffers.output);
        }
    }

    fn tell_bad(&self, error: &dyn std::fmt::Display) {
        if let Some(times) = self.counters.bad.tell() {
            let peer = self.peer.remote;
            tracing::warn!(%peer, %error, times, "what came is no request: connection closed");
        }
    }

    /// Cuts the input into commands; answers go to their callers at once.
    fn cut(&self, buffers: &mut Buffers) -> Option<Ended> {
        buffers.more = false;
        loop {
            if buffers.requests.len() == BATCH {
                buffers.more = true;
                return None;
            }
            let frame = match frame::split(&mut buffers.input, &self.limits) {
                Ok(Some(frame)) => frame,
                Ok(None) => return None,
                Err(error) => {
                    self.tell_bad(&error);
                    return Some(match error {
                        FrameError::HeaderLength { .. } => Ended::HeaderLength,
                        _ => Ended::Frame,
                    });
                }
            };
            match Command::decode(frame, &self.limits) {
                Ok(command) if command.is_response() => self.peer.answered(command),
                Ok(command) => buffers.requests.push(command),
                Err(error) => {
                    self.tell_bad(&error);
                    let fields = error.why == command::TOO_MANY_FIELDS;
                    return Some(if fields { Ended::Fields } else { Ended::Header });
                }
            }
        }
    }
}
