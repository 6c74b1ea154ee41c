//! `Peer`: one connection as the rest of the program sees it. Anyone may send through it from any
//! thread; the bytes themselves are moved by [`crate::connection`].

use crate::calls::Calls;
use crate::command::Command;
use crate::outbox::Outbox;
use bytes::Bytes;
use parking_lot::Mutex;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Calls that we may have in flight over one connection.
const CALLS_LIMIT: usize = 65_536;
/// Bytes that may wait for a slow reader before the connection is given up.
pub const BUFFERED_LIMIT: usize = 64 << 20;

/// One connection, in either direction.
#[derive(Debug)]
pub struct Peer {
    /// Unique within the process.
    pub id: u64,
    /// The address at the other end.
    pub remote: SocketAddr,
    /// Our own address.
    pub local: SocketAddr,
    queue: mpsc::UnboundedSender<Vec<Bytes>>,
    calls: Mutex<Calls<oneshot::Sender<Command>>>,
    buffered: AtomicUsize,
    in_flight: AtomicUsize,
    closing: AtomicBool,
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum CallError {
    /// No connection could be made.
    Connect(std::io::Error),
    /// The answer did not come in time.
    Timeout(Duration),
    /// The connection ended before the answer came.
    Closed,
    /// Too many calls are in flight already.
    Busy,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(source) => write!(f, "no connection: {source}"),
            Self::Timeout(after) => write!(f, "no answer within {} ms", after.as_millis()),
            Self::Closed => f.write_str("the connection ended before the answer came"),
            Self::Busy => write!(f, "{CALLS_LIMIT} calls are in flight already"),
        }
    }
}

impl std::error::Error for CallError {}

impl Peer {
    /// A new connection's face, and the queue that the connection must write out.
    pub fn new(
        remote: SocketAddr,
        local: SocketAddr,
    ) -> (Self, mpsc::UnboundedReceiver<Vec<Bytes>>) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (queue, queued) = mpsc::unbounded_channel();
        let peer = Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            remote,
            local,
            queue,
            calls: Mutex::new(Calls::new(CALLS_LIMIT)),
            buffered: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        };
        (peer, queued)
    }

    /// Sends whole frames. A connection that is gone, or whose reader is too slow, takes nothing:
    /// the latter is closed, and the frames are lost with it as they are in any lost connection.
    pub fn send_bytes(&self, frames: Vec<Bytes>) {
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        if bytes == 0 || self.is_closing() {
            return;
        }
        if self.buffered.fetch_add(bytes, Ordering::Relaxed) + bytes > BUFFERED_LIMIT {
            self.close();
            return;
        }
        // The receiver lives as long as the connection: an error means that it is gone.
        let _ = self.queue.send(frames);
    }

    /// Sends one command.
    pub fn send(&self, command: &Command) {
        let mut out = Outbox::default();
        out.push(&command.head, &command.fields, command.form, std::slice::from_ref(&command.body));
        self.send_bytes(out.take());
    }

    /// Asks the other end, and waits for the answer.
    ///
    /// # Errors
    /// When there is no answer within `timeout`, or the connection ends before.
    pub async fn call(
        &self,
        mut command: Command,
        timeout: Duration,
    ) -> Result<Command, CallError> {
        let (waiter, answer) = oneshot::channel();
        if self.is_closing() {
            return Err(CallError::Closed);
        }
        let opaque = self.calls.lock().begin(waiter).ok_or(CallError::Busy)?;
        command.head.opaque = opaque;
        self.send(&command);
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(CallError::Closed),
            Err(_) => {
                self.calls.lock().end(opaque);
                Err(CallError::Timeout(timeout))
            }
        }
    }

    /// How many bytes wait for the other end to read.
    pub fn buffered(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }

    /// How many requests of the other end wait for an answer that comes later.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// One more waits, or one less.
    pub(crate) fn count_in_flight(&self, more: bool) {
        if more {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
        } else {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Asks for the connection to be closed after what was sent before has been written.
    pub fn close(&self) {
        if !self.closing.swap(true, Ordering::AcqRel) {
            // An empty list wakes the connection, which then sees the flag.
            let _ = self.queue.send(Vec::new());
        }
    }

    /// Whether the connection is gone or will be.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Hands an answer to whoever waits for it; a late or unknown one is dropped.
    pub(crate) fn answered(&self, answer: Command) {
        let waiter = self.calls.lock().end(answer.head.opaque);
        if let Some(waiter) = waiter {
            let _ = waiter.send(answer);
        }
    }

    /// Says that queued bytes have been taken over by the connection.
    pub(crate) fn taken(&self, bytes: usize) {
        self.buffered.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Ends all calls: the connection is gone.
    pub(crate) fn gone(&self) {
        self.closing.store(true, Ordering::Release);
        drop(self.calls.lock().close());
    }
}
