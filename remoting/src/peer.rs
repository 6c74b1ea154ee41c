//! `Peer`: one connection as the rest of the program sees it. Anyone may send through it from any
//! thread, and what is sent is written there and then: no other thread is woken for it. What the
//! socket does not take at once is left to the connection's event loop.

use crate::calls::Calls;
use crate::command::Command;
use crate::connection::Ended;
use crate::event_loop::Place;
use crate::outbox::Outbox;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use std::fmt;
use std::io::{self, IoSlice, Write};
use std::mem::swap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Calls that we may have in flight over one connection.
const CALLS_LIMIT: usize = 65_536;
/// Bytes that may wait for a slow reader before the connection is given up.
pub const BUFFERED_LIMIT: usize = 64 << 20;
/// Bytes of one connection that are written while others wait for their turn.
const TURN_BYTES: usize = 1 << 20;
/// Buffers that one system call writes at most.
const SLICES: usize = 64;

/// One connection, in either direction.
#[derive(Debug)]
pub struct Peer {
    /// Unique within the process.
    pub id: u64,
    /// The address at the other end.
    pub remote: SocketAddr,
    /// Our own address.
    pub local: SocketAddr,
    out: Mutex<Out>,
    calls: Mutex<Calls<oneshot::Sender<Command>>>,
    in_flight: AtomicUsize,
    closing: AtomicBool,
    /// Something waits for the event loop to write it: the socket did not take it or failed, or
    /// others had their turn first.
    stuck: AtomicBool,
    pub(crate) activity: Activity,
}

/// The way out. Whoever holds it writes; frames of others come before or after, never between.
#[derive(Debug, Default)]
struct Out {
    outbox: Outbox,
    /// There is none when the connection has ended, and for a peer without a connection.
    socket: Option<Arc<TcpStream>>,
    /// Where the connection is served, once it is.
    place: Option<Place>,
}

/// What was not written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unwritten {
    pub(crate) bytes: usize,
    /// The socket would have taken more; nobody tells when that is so.
    pub(crate) more_at_once: bool,
}

/// What the sweeper looks at, and what it says.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Counts moved bytes; the sweeper compares it with what it saw before.
    pub(crate) moved: AtomicU64,
    /// Counts written bytes.
    pub(crate) written: AtomicU64,
    /// Why the connection must end, by the number of the reason and one; 0 while it need not.
    verdict: AtomicUsize,
}

impl Activity {
    /// Wants the connection to end, whatever waits to be written.
    pub(crate) fn condemn(&self, why: Ended) {
        self.verdict.store(why as usize + 1, Ordering::Relaxed);
    }

    /// Why the connection must end, if it must.
    pub(crate) fn verdict(&self) -> Option<Ended> {
        let number = self.verdict.load(Ordering::Relaxed);
        number.checked_sub(1).map(|at| Ended::ALL[at])
    }

    fn wrote(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum CallError {
    /// No connection could be made.
    Connect(io::Error),
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
    /// A peer without a connection: what it is sent waits ([`Self::take_unwritten`]).
    pub fn new(remote: SocketAddr, local: SocketAddr) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            remote,
            local,
            out: Mutex::default(),
            calls: Mutex::new(Calls::new(CALLS_LIMIT)),
            in_flight: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            activity: Activity::default(),
        }
    }

    /// The face of a new connection.
    pub(crate) fn connected(remote: SocketAddr, local: SocketAddr, socket: Arc<TcpStream>) -> Self {
        let peer = Self::new(remote, local);
        peer.out.lock().socket = Some(socket);
        peer
    }

    /// Notes where the connection is served from now on.
    pub(crate) fn served_at(&self, place: Place) {
        self.out.lock().place = Some(place);
    }

    /// Sends the whole frames that `fill` puts into the outbox. A connection that is gone takes
    /// nothing. One whose reader is too slow is closed, and its frames are lost with it as they are
    /// in any lost connection.
    pub(crate) fn send_with(&self, fill: impl FnOnce(&mut Outbox)) {
        let mut out = self.out.lock();
        if self.fill(&mut out, fill) {
            self.write_now(&mut out);
        }
    }

    /// The same, but the frames wait in the outbox. Says whether nothing waited there before: then
    /// the caller must see to it that [`Self::write_out`] follows.
    pub(crate) fn post_with(&self, fill: impl FnOnce(&mut Outbox)) -> bool {
        self.fill(&mut self.out.lock(), fill)
    }

    /// Writes what waits.
    pub(crate) fn write_out(&self) {
        self.write_now(&mut self.out.lock());
    }

    /// Says whether the caller has to write: nothing waited, so that nobody else will.
    fn fill(&self, out: &mut Out, fill: impl FnOnce(&mut Outbox)) -> bool {
        if self.is_closing() {
            return false;
        }
        let is_first = !out.outbox.has_remaining();
        fill(&mut out.outbox);
        if out.outbox.remaining() > BUFFERED_LIMIT {
            self.closing.store(true, Ordering::Release);
            out.wake();
        }
        is_first
    }

    /// Writes what the socket takes now. The event loop is told by the system when it takes more,
    /// and by us of an error.
    fn write_now(&self, out: &mut Out) {
        while out.outbox.has_remaining() {
            match self.write_some(out) {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => return out.wake(),
            }
        }
    }

    /// The event loop: writes what waits, and `more` behind it, as far as the socket takes it and
    /// others need not wait for too long. The way out is not held from one write to the next:
    /// others may have to go through it.
    pub(crate) fn write(&self, more: &mut Outbox) -> io::Result<Unwritten> {
        let (mut lent, mut left) = (false, TURN_BYTES);
        loop {
            let mut out = self.out.lock();
            lent |= out.outbox.append(more);
            let before = out.outbox.remaining();
            let taken = before > 0 && self.write_some(&mut out)?;
            let bytes = out.outbox.remaining();
            left = left.saturating_sub(before - bytes);
            if bytes == 0 && lent {
                // The room goes back to where it is used all the time.
                swap(&mut out.outbox, more);
            }
            if bytes == 0 || !taken || left == 0 {
                self.stuck.store(bytes > 0, Ordering::SeqCst);
                return Ok(Unwritten { bytes, more_at_once: taken && bytes > 0 });
            }
        }
    }

    /// Whether something waits for the event loop to write it. What others are about to write does
    /// not: to look at that, the loop would wait for a thread that it may have taken the processor
    /// from.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::SeqCst)
    }

    /// Writes something. Gives `false` when the socket takes nothing now, and the event loop knows.
    fn write_some(&self, out: &mut Out) -> io::Result<bool> {
        let written = self.write_once(out);
        let is_taken = *written.as_ref().unwrap_or(&false);
        if is_taken {
            if !out.outbox.has_remaining() {
                self.stuck.store(false, Ordering::SeqCst);
            }
            return Ok(true);
        }
        // The system may have told it of room before it could know that there is something to
        // write: then the next try finds that room.
        let was_stuck = self.stuck.swap(true, Ordering::SeqCst);
        written.map(|_| !was_stuck)
    }

    /// One system call. Gives `false` when the socket takes nothing now.
    fn write_once(&self, out: &mut Out) -> io::Result<bool> {
        let Some(mut socket) = out.socket.as_deref() else {
            return Ok(false);
        };
        let written = match out.outbox.only_chunk() {
            // `send` is less work for the system than `writev`.
            Some(all) => socket.write(all),
            None => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = out.outbox.chunks_vectored(&mut slices);
                socket.write_vectored(&slices[..filled])
            }
        };
        match written {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(bytes) => {
                out.outbox.advance(bytes);
                self.activity.wrote(bytes);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Sends the whole frames of another outbox.
    pub fn send_all(&self, frames: &mut Outbox) {
        if frames.has_remaining() {
            self.send_with(|out| {
                out.append(frames);
            });
        }
    }

    /// Sends one command.
    pub fn send(&self, command: &Command) {
        let body = std::slice::from_ref(&command.body);
        self.send_with(|out| out.push(&command.head, &command.fields, command.form, body));
    }

    /// Takes out the bytes that wait to be written.
    pub fn take_unwritten(&self) -> Vec<Bytes> {
        self.out.lock().outbox.drain()
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
        self.out.lock().outbox.remaining()
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
        self.closing.store(true, Ordering::Release);
        self.out.lock().wake();
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

    /// Ends all calls: the connection is gone.
    pub(crate) fn gone(&self) {
        self.closing.store(true, Ordering::Release);
        drop(std::mem::take(&mut *self.out.lock()));
        drop(self.calls.lock().close());
    }
}

impl Out {
    fn wake(&self) {
        if let Some(place) = &self.place {
            place.look();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::RequestCode;
    use crate::reply::{Answer, Answers, Asker, Ticket};
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    async fn connected() -> (Arc<Peer>, tokio::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let other = tokio::net::TcpStream::connect(address).await.unwrap();
        let socket = listener.accept().await.unwrap().0.into_std().unwrap();
        (Arc::new(Peer::connected(address, address, Arc::new(socket))), other)
    }

    #[tokio::test]
    async fn answers_of_one_moment_leave_together() {
        let (peer, mut other) = connected().await;
        let ticket = Ticket::of(&Command::request(RequestCode::SEND_MESSAGE_V2));
        let mut answers = Answers::default();
        for _ in 0..3 {
            answers.push(&Asker::new(&peer, ticket), Answer::success());
        }
        let all = peer.buffered();
        assert!(all > 0, "they wait for the others");
        drop(answers);
        assert_eq!(peer.buffered(), 0);
        let mut seen = vec![0; all];
        other.read_exact(&mut seen).await.unwrap();
        let third = all / 3;
        assert!(seen.chunks(third).all(|frame| frame == &seen[..third]));
    }

    #[tokio::test]
    async fn the_room_of_answers_that_were_written_stays_with_the_event_loop() {
        let (peer, _other) = connected().await;
        let mut answers = Outbox::default();
        for _ in 0..3 {
            answers.push_bytes(&Bytes::from(vec![1; 400]));
            let room = answers.chunk().as_ptr();
            assert_eq!(peer.write(&mut answers).unwrap().bytes, 0);
            answers.push_bytes(&Bytes::from_static(b"next"));
            assert_eq!(answers.chunk().as_ptr(), room);
            answers.advance(4);
        }
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_waits_for_the_event_loop() {
        let (peer, mut other) = connected().await;
        let frame = Bytes::from(vec![7; 1 << 20]);
        let sent = 16 * frame.len();
        for _ in 0..16 {
            peer.send_with(|out| out.push_bytes(&frame));
        }
        assert!(peer.buffered() > 0 && peer.is_stuck(), "more than any socket takes");
        let mut more = Outbox::default();
        more.push_bytes(&Bytes::from_static(b"last"));
        let task = async {
            while peer.write(&mut more).unwrap().bytes > 0 {
                tokio::task::yield_now().await;
            }
        };
        let mut seen = vec![0; sent + 4];
        let ((), read) = tokio::join!(task, other.read_exact(&mut seen));
        read.unwrap();
        assert!(!peer.is_stuck());
        assert!(seen.ends_with(b"\x07last") && seen[..sent].iter().all(|byte| *byte == 7));
        for _ in 0..=BUFFERED_LIMIT / frame.len() + 16 {
            peer.send_with(|out| out.push_bytes(&frame));
        }
        assert!(peer.is_closing(), "nobody reads");
        let waiting = peer.buffered();
        peer.send_with(|out| out.push_bytes(&frame));
        assert_eq!(peer.buffered(), waiting);
        peer.gone();
        assert_eq!(peer.buffered(), 0);
    }
}
