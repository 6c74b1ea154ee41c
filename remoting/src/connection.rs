//! One connection: what has arrived over it, cut into requests, and when it has to end.
//!
//! It waits for nothing: its event loop looks at it when its socket is ready. No timer is touched
//! for a request; a sweeper looks after silence.

use crate::codes::ResponseCode;
use crate::command::{self, Command};
use crate::frame::{self, Frame, FrameError, Limits};
use crate::outbox::Outbox;
use crate::peer::{BUFFERED_LIMIT, Peer, Unwritten};
use crate::reply::{Refusal, Ticket};
use crate::seldom::Seldom;
use bytes::{Buf, BytesMut};
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// While more than this waits to be written, nothing more is read or served: the reader sets the
/// pace.
pub const HIGH_WATER: usize = 4 << 20;

/// Requests of one connection that are served together at most.
const BATCH: usize = 256;
/// Requests of one connection that may wait for their answers. A consumer holds one pull for each
/// of its queues over one connection.
const IN_FLIGHT_LIMIT: usize = 16_384;

/// Requests of one connection that arrived together, and the way of their answers.
#[derive(Debug)]
pub struct Arrived {
    /// The connection.
    pub peer: Arc<Peer>,
    /// The requests, in order.
    pub requests: Vec<Command>,
    /// Answers that are ready go here; others are sent through `peer` later.
    pub out: Outbox,
}

impl Arrived {
    /// Has each request served, and takes it out. Those are left that come when more than
    /// [`HIGH_WATER`] waits to be written already.
    pub fn each(&mut self, mut serve: impl FnMut(&Arc<Peer>, &Command, &mut Outbox)) {
        let Self { peer, requests, out } = self;
        let mut served = 0;
        for request in &*requests {
            if out.remaining() > HIGH_WATER {
                break;
            }
            served += 1;
            serve(peer, request, out);
        }
        requests.drain(..served);
    }
}

/// What stands behind a port: it takes requests in batches.
pub trait Serve: Send + Sync + 'static {
    /// Serves what arrived in one turn of an event loop, over one connection or many, no connection
    /// twice: all that [`Arrived::each`] gives. What that leaves comes again when the answers
    /// before it are written. Runs on the event loop: it must not block.
    fn serve(&self, arrived: &mut [Arrived]);

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

/// What a connection is opened with.
pub(crate) struct Terms {
    pub(crate) serve: Arc<dyn Serve>,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    /// Who wants to know that it has ended, by its id.
    pub(crate) heir: Option<UnboundedSender<u64>>,
}

/// A connection as its event loop holds it.
pub(crate) struct Connection {
    pub(crate) socket: Arc<TcpStream>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) terms: Terms,
    pub(crate) input: Input,
    /// Why it has ended, when it has.
    pub(crate) ended: Ended,
}

/// What has arrived and what may.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// The socket may have bytes for us.
    pub(crate) readable: bool,
    /// Nothing comes behind what the socket has.
    pub(crate) last: bool,
    /// What was read and not cut into frames yet.
    uncut: BytesMut,
    /// The beginning of a frame, in room of its own.
    begun: BytesMut,
    /// Requests that were not served yet, as too many answers waited.
    pub(crate) left: Vec<Command>,
}

impl Drop for Connection {
    /// Tells the other parts that it has ended, even if serving it panicked.
    fn drop(&mut self) {
        let Terms { serve, counters, heir, .. } = &self.terms;
        self.peer.gone();
        serve.closed(&self.peer);
        counters.end(self.ended);
        if let Some(heir) = heir {
            let _ = heir.send(self.peer.id);
        }
    }
}

impl Connection {
    /// Writes what waits, reads once into `room` and cuts what has come into requests; no more of
    /// them than a batch takes. Says whether there may be more at once.
    ///
    /// # Errors
    /// Why it has to end. What was put into `arrived` before is served nevertheless.
    pub(crate) fn look(
        &mut self,
        room: &mut BytesMut,
        arrived: &mut Arrived,
    ) -> Result<bool, Ended> {
        // Asked before the write: what was sent before it was said is written then.
        let closing = self.peer.is_closing();
        let unwritten = match closing || self.peer.is_stuck() {
            true => self.peer.write(&mut arrived.out).map_err(|_| Ended::Io)?,
            false => Unwritten { bytes: 0, more_at_once: false },
        };
        let waiting = unwritten.bytes;
        if closing && waiting == 0 {
            return Err(self.peer.activity.verdict().unwrap_or(Ended::Local));
        }
        if waiting > BUFFERED_LIMIT {
            return Err(Ended::SlowReader);
        }
        if let Some(ended) = self.peer.activity.verdict() {
            return Err(ended);
        }
        if waiting > HIGH_WATER || self.peer.is_closing() {
            return Ok(unwritten.more_at_once);
        }
        arrived.requests.append(&mut self.input.left);
        if arrived.requests.is_empty() && self.input.uncut.is_empty() && self.input.readable {
            self.read(room)?;
        }
        let cut = self.cut(&mut arrived.requests);
        if self.peer.in_flight() >= IN_FLIGHT_LIMIT {
            self.refuse_all(arrived);
        }
        cut?;
        let more = self.input.readable || !self.input.uncut.is_empty();
        Ok(more || unwritten.more_at_once)
    }

    fn read(&mut self, room: &mut BytesMut) -> Result<(), Ended> {
        match (&*self.socket).read(room) {
            Ok(0) => Err(Ended::Remote),
            Ok(bytes) => {
                // Less than was asked for: the system tells when there is more.
                self.input.readable = self.input.last || bytes == room.len();
                self.peer.activity.moved.fetch_add(bytes as u64, Ordering::Relaxed);
                self.input.uncut = room.split_to(bytes);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.input.readable = false;
                    Ok(())
                }
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(Ended::Io),
            },
        }
    }

    /// Too many requests of this connection wait for their answers already.
    fn refuse_all(&self, arrived: &mut Arrived) {
        self.terms.counters.busy.fetch_add(arrived.requests.len() as u64, Ordering::Relaxed);
        for request in arrived.requests.drain(..) {
            let remark = format!(
                "[OVERLOAD]{IN_FLIGHT_LIMIT} requests of this connection are in flight already; \
                 wait for answers or use more connections"
            );
            let refusal = Refusal::new(ResponseCode::SYSTEM_BUSY, remark);
            Ticket::of(&request).answer(refusal.into(), &mut arrived.out);
        }
    }

    fn tell_bad(&self, error: &dyn std::fmt::Display) {
        if let Some(times) = self.terms.counters.bad.tell() {
            let peer = self.peer.remote;
            tracing::warn!(%peer, %error, times, "what came is no request: connection closed");
        }
    }

    /// Cuts what was read into commands; answers go to their callers at once.
    fn cut(&mut self, requests: &mut Vec<Command>) -> Result<(), Ended> {
        while requests.len() < BATCH {
            let frame = match self.input.next_frame(&self.terms.limits) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.tell_bad(&error);
                    return Err(match error {
                        FrameError::HeaderLength { .. } => Ended::HeaderLength,
                        _ => Ended::Frame,
                    });
                }
            };
            match Command::decode(frame, &self.terms.limits) {
                Ok(command) if command.is_response() => self.peer.answered(command),
                Ok(command) => requests.push(command),
                Err(error) => {
                    self.tell_bad(&error);
                    let fields = error.why == command::TOO_MANY_FIELDS;
                    return Err(if fields { Ended::Fields } else { Ended::Header });
                }
            }
        }
        Ok(())
    }
}

impl Input {
    /// The next whole frame: cut out of what was read, or put together when it came in pieces.
    fn next_frame(&mut self, limits: &Limits) -> Result<Option<Frame>, FrameError> {
        if self.begun.is_empty() {
            let frame = frame::split(&mut self.uncut, limits)?;
            if frame.is_none() {
                self.begun.extend_from_slice(&self.uncut);
                self.uncut = BytesMut::new();
            }
            return Ok(frame);
        }
        while !self.uncut.is_empty() {
            let missing = frame::wanted(&self.begun) - self.begun.len();
            let piece = self.uncut.split_to(missing.min(self.uncut.len()));
            self.begun.extend_from_slice(&piece);
            if let Some(frame) = frame::split(&mut self.begun, limits)? {
                self.begun = BytesMut::new();
                return Ok(Some(frame));
            }
        }
        // Empty as it is, it would keep the room that others read into.
        self.uncut = BytesMut::new();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_frame_keeps_no_room_that_others_read_into() {
        let frame = [0, 0, 0, 8, 0, 0, 0, 2, b'{', b'}', b'o', b'k'];
        let mut room = BytesMut::zeroed(64);
        let start = room.as_ptr();
        let mut input = Input::default();
        for (piece, is_whole) in [(&frame[..3], false), (&frame[3..9], false), (&frame[9..], true)]
        {
            room[..piece.len()].copy_from_slice(piece);
            input.uncut = room.split_to(piece.len());
            assert_eq!(input.next_frame(&Limits::default()).unwrap().is_some(), is_whole);
            assert!(input.next_frame(&Limits::default()).unwrap().is_none());
            room.clear();
            room.reserve(64);
            room.resize(64, 0);
            assert_eq!(room.as_ptr(), start, "it is used again");
        }
    }
}
