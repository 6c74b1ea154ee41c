//! The event loops: a few threads, one for each processor, that wait for sockets and serve what
//! arrives over them, turn by turn.
//!
//! A turn looks at every connection that is ready, serves all that it found as one batch, so that
//! messages of many connections are stored by one append, and writes the answers. A connection is
//! handed to another loop where its own is busy and that is not, or both have little to do
//! ([`crate::balance`]). A sweeper
//! looks after silence ([`crate::server`]), and what an answer waits for is its keeper's business.

use crate::balance::{LONG, Load, to_gather, to_move};
use crate::command::Command;
use crate::connection::{Arrived, Connection, Ended, HIGH_WATER, Serve};
use crate::outbox::Outbox;
use bytes::{Buf, BytesMut};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;
use slab::Slab;
use std::io;
use std::mem::{replace, swap, take};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that one turn reads into the same room, and a read takes at most.
const ROOM_BYTES: usize = 64 << 10;
/// A read has room for so many at least.
const READ_BYTES: usize = 16 << 10;
/// Requests after which those found so far are served, before more are looked for.
const TURN: usize = 64;
/// Connections that are told to be ready at a time.
const EVENTS: usize = 256;
/// Lists for requests and answers that are kept for what arrives next.
const SPARE: usize = 256;
/// How often an event loop compares itself with the others.
const BALANCE: Duration = Duration::from_millis(100);
/// An event loop that compares itself no more often than this has next to nothing to do.
const SELDOM: Duration = Duration::from_millis(200);
/// Says that there are notes; no connection has this token.
const NOTES: Token = Token(usize::MAX);

/// How others reach an event loop.
#[derive(Debug)]
struct Door {
    notes: Mutex<Vec<Note>>,
    waker: Waker,
    /// Nanoseconds that the loop did not wait, in turns that have ended.
    busy: AtomicU64,
    /// When the turn began that it is in, in nanoseconds since the loops were made; 0 between two.
    since: AtomicU64,
    /// When its last [`LONG`] turn ended, counted likewise; 0 while there was none.
    long: AtomicU64,
}

enum Note {
    /// Serve this connection from now on.
    Open(Box<Connection>),
    /// Look at a connection, though its socket may say nothing.
    Look(usize),
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(connection) => write!(f, "Open({})", connection.peer.remote),
            Self::Look(token) => write!(f, "Look({token})"),
        }
    }
}

impl Door {
    fn of(poll: &Poll) -> io::Result<Self> {
        let waker = Waker::new(poll.registry(), NOTES)?;
        let [busy, since, long] = [const { AtomicU64::new(0) }; 3];
        Ok(Self { notes: Mutex::default(), waker, busy, since, long })
    }

    fn note(&self, note: Note) {
        let is_first = {
            let mut notes = self.notes.lock();
            notes.push(note);
            notes.len() == 1
        };
        if is_first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "an event loop cannot be woken");
        }
    }
}

/// Where a connection is served.
#[derive(Debug)]
pub(crate) struct Place {
    doors: Arc<[Door]>,
    number: usize,
    token: usize,
}

impl Place {
    /// Asks for the connection to be looked at.
    pub(crate) fn look(&self) {
        self.doors[self.number].note(Note::Look(self.token));
    }
}

/// The process's event loops.
#[derive(Clone, Debug)]
pub(crate) struct EventLoops {
    doors: Arc<[Door]>,
    next: Arc<AtomicUsize>,
}

impl EventLoops {
    /// Those of this process, which are started when they are first asked for, and stay.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptor.
    pub(crate) fn get() -> io::Result<Self> {
        static ALL: Mutex<Option<EventLoops>> = Mutex::new(None);
        let mut all = ALL.lock();
        if let Some(all) = &*all {
            return Ok(all.clone());
        }
        let count = thread::available_parallelism().map_or(1, usize::from);
        Ok(all.insert(Self::start(count)?).clone())
    }

    /// Starts so many, which stay.
    fn start(count: usize) -> io::Result<Self> {
        let polls = (0..count).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let doors: io::Result<Arc<[Door]>> = polls.iter().map(Door::of).collect();
        let started = Self { doors: doors?, next: Arc::default() };
        let made = Instant::now();
        for (number, poll) in polls.into_iter().enumerate() {
            let event_loop = EventLoop::new(number, poll, (Arc::clone(&started.doors), made));
            thread::Builder::new().name(format!("net-{number}")).spawn(move || event_loop.run())?;
        }
        Ok(started)
    }

    /// Serves a connection from now on.
    pub(crate) fn open(&self, connection: Connection) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.doors[next % self.doors.len()].note(Note::Open(Box::new(connection)));
    }
}

struct EventLoop {
    /// Its own place among the doors.
    number: usize,
    /// When all of them were made.
    made: Instant,
    doors: Arc<[Door]>,
    poll: Poll,
    open: Slab<Open>,
    /// Connections to look at in the next turn.
    due: Vec<usize>,
    /// Where reads go; what is cut out of it lives on its own.
    room: BytesMut,
    turn: Turn,
    /// The time since the loops were last compared has this number.
    period: u32,
    /// When the loops were last compared, and how long each had been busy then.
    compared: (Instant, Vec<u64>),
}

struct Open {
    connection: Connection,
    /// Stands in the list of those that are due.
    is_due: bool,
    /// The period in which it last asked something, and how many requests it had then.
    asked: (u32, u64),
}

/// What is served together.
#[derive(Default)]
struct Turn {
    arrived: Vec<Arrived>,
    /// Where each of these came from, and why it has to end, if it does.
    from: Vec<(usize, Option<Ended>)>,
    /// What stands behind all of these.
    serve: Option<Arc<dyn Serve>>,
    requests: usize,
    spare: Vec<(Vec<Command>, Outbox)>,
}

impl EventLoop {
    fn new(number: usize, poll: Poll, (doors, made): (Arc<[Door]>, Instant)) -> Self {
        Self {
            number,
            made,
            compared: (made, vec![0; doors.len()]),
            doors,
            poll,
            open: Slab::new(),
            due: Vec::new(),
            room: BytesMut::new(),
            turn: Turn::default(),
            period: 0,
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut due = Vec::new();
        loop {
            let timeout = (!self.due.is_empty()).then_some(Duration::ZERO);
            if let Err(error) = self.poll.poll(&mut events, timeout) {
                let interrupted = error.kind() == io::ErrorKind::Interrupted;
                assert!(interrupted, "waiting for sockets of our own cannot fail: {error}");
            }
            if catch_unwind(AssertUnwindSafe(|| self.step(&events, &mut due))).is_err() {
                tracing::error!("serving what arrived failed; its connections are closed");
                self.turn = Turn::default();
                for token in due.drain(..) {
                    let end = AssertUnwindSafe(|| self.end(token, Ended::Local));
                    // One that cannot end in order is gone all the same.
                    let _ = catch_unwind(end);
                }
            }
        }
    }

    fn step(&mut self, events: &Events, due: &mut Vec<usize>) {
        let begun = Instant::now();
        let since = begun.duration_since(self.made).as_nanos() as u64;
        self.doors[self.number].since.store(since.max(1), Ordering::Relaxed);
        events.iter().for_each(|event| self.told(event));
        self.read_notes();
        swap(&mut self.due, due);
        self.take_turn(due);
        due.clear();
        let now = Instant::now();
        let door = &self.doors[self.number];
        door.since.store(0, Ordering::Relaxed);
        let took = now.duration_since(begun).as_nanos() as u64;
        door.busy.fetch_add(took, Ordering::Relaxed);
        if u128::from(took) > LONG.as_nanos() {
            door.long.store(since + took, Ordering::Relaxed);
        }
        self.compare(now);
    }

    /// Hands connections to other loops where that helps.
    fn compare(&mut self, now: Instant) {
        let time = now.duration_since(self.compared.0);
        if time < BALANCE {
            return;
        }
        self.compared.0 = now;
        let loads = self.loads(now, time);
        let period = self.period;
        self.period = period.wrapping_add(1);
        let asked = self.open.iter().filter(|(_, open)| open.asked.0 == period && open.asked.1 > 0);
        let asked: Vec<_> = asked.map(|(token, open)| (token, open.asked.1)).collect();
        // Whoever is seldom heard is no reason to wake anybody.
        let moved = match to_gather(self.number, &loads).filter(|_| time < SELDOM) {
            Some(to) => asked.into_iter().map(|(token, _)| (token, to)).collect(),
            None => to_move(self.number, &loads, time, asked),
        };
        moved.into_iter().for_each(|(token, to)| self.hand_over(token, to));
    }

    /// What each loop did in this time, up to now. One that is in a turn is busy since that began,
    /// which may be long ago if the disk is slow.
    fn loads(&mut self, now: Instant, time: Duration) -> Vec<Load> {
        let now = now.duration_since(self.made).as_nanos() as u64;
        let load = |(door, before): (&Door, &mut u64)| {
            let since = door.since.load(Ordering::Relaxed);
            let turn = if since == 0 { 0 } else { now.saturating_sub(since) };
            let busy = door.busy.load(Ordering::Relaxed) + turn;
            let busy = busy.saturating_sub(replace(before, busy)) as f64 / time.as_nanos() as f64;
            let is_in_long = u128::from(turn) > LONG.as_nanos();
            let ended = if is_in_long { now } else { door.long.load(Ordering::Relaxed) };
            let long_ago = (ended > 0).then(|| Duration::from_nanos(now.saturating_sub(ended)));
            Load { busy, long_ago }
        };
        self.doors.iter().zip(&mut self.compared.1).map(load).collect()
    }

    fn hand_over(&mut self, token: usize, to: usize) {
        let connection = self.open.remove(token).connection;
        let mut source = SourceFd(&connection.socket.as_raw_fd());
        // One that this fails for is closed by the system, and told so.
        let _ = self.poll.registry().deregister(&mut source);
        self.doors[to].note(Note::Open(Box::new(connection)));
    }

    fn told(&mut self, event: &Event) {
        if let Some(open) = self.open.get_mut(event.token().0) {
            let input = &mut open.connection.input;
            input.last |= event.is_read_closed() || event.is_error();
            input.readable |= input.last || event.is_readable();
            self.make_due(event.token().0);
        }
    }

    fn make_due(&mut self, token: usize) {
        if let Some(open) = self.open.get_mut(token)
            && !replace(&mut open.is_due, true)
        {
            self.due.push(token);
        }
    }

    fn read_notes(&mut self) {
        let notes = take(&mut *self.doors[self.number].notes.lock());
        for note in notes {
            match note {
                Note::Open(connection) => self.register(*connection),
                Note::Look(token) => self.make_due(token),
            }
        }
    }

    fn register(&mut self, connection: Connection) {
        let descriptor = connection.socket.as_raw_fd();
        let token = self.open.insert(Open { connection, is_due: false, asked: (self.period, 0) });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let mut source = SourceFd(&descriptor);
        if self.poll.registry().register(&mut source, Token(token), interest).is_err() {
            return self.end(token, Ended::Io);
        }
        let place = Place { doors: Arc::clone(&self.doors), number: self.number, token };
        self.open[token].connection.peer.served_at(place);
        // What was asked before there was a place to ask at.
        self.make_due(token);
    }

    fn end(&mut self, token: usize, why: Ended) {
        if let Some(mut open) = self.open.try_remove(token) {
            open.connection.ended = why;
        }
    }

    fn take_turn(&mut self, due: &[usize]) {
        for token in due {
            let Some(open) = self.open.get_mut(*token) else {
                continue;
            };
            // Its place may have become another's, which has had its turn.
            if !replace(&mut open.is_due, false) {
                continue;
            }
            let serve = Arc::clone(&open.connection.terms.serve);
            if self.turn.requests >= TURN || !self.turn.is_for(&serve) {
                self.serve();
            }
            self.turn.serve = Some(serve);
            self.look(*token);
        }
        self.serve();
    }

    /// Looks at one connection; what it has is served with the rest of the turn.
    fn look(&mut self, token: usize) {
        if self.room.len() < READ_BYTES {
            self.room.clear();
            self.room.reserve(ROOM_BYTES);
            self.room.resize(ROOM_BYTES, 0);
        }
        let Open { connection, asked, .. } = &mut self.open[token];
        let (requests, out) = self.turn.spare.pop().unwrap_or_default();
        let mut arrived = Arrived { peer: Arc::clone(&connection.peer), requests, out };
        let looked = connection.look(&mut self.room, &mut arrived);
        let before = if asked.0 == self.period { asked.1 } else { 0 };
        *asked = (self.period, before + arrived.requests.len() as u64);
        if looked == Ok(true) {
            self.make_due(token);
        }
        self.turn.requests += arrived.requests.len();
        if !arrived.requests.is_empty() || arrived.out.has_remaining() {
            self.turn.from.push((token, looked.err()));
            self.turn.arrived.push(arrived);
            return;
        }
        self.turn.keep(arrived);
        if let Err(why) = looked {
            self.end(token, why);
        }
    }

    /// Serves what was found so far, and writes the answers.
    fn serve(&mut self) {
        let Some(serve) = self.turn.serve.take() else {
            return;
        };
        self.turn.requests = 0;
        if !self.turn.arrived.is_empty() {
            serve.serve(&mut self.turn.arrived);
        }
        let mut lists = (take(&mut self.turn.arrived), take(&mut self.turn.from));
        for (mut arrived, (token, ended)) in lists.0.drain(..).zip(lists.1.drain(..)) {
            let is_served = arrived.requests.is_empty() || arrived.out.remaining() > HIGH_WATER;
            assert!(is_served, "a request that is left without need would come again for ever");
            let written = arrived.peer.write(&mut arrived.out);
            if let Some(why) = ended.or_else(|| written.is_err().then_some(Ended::Io)) {
                self.end(token, why);
            } else if written.is_ok_and(|unwritten| unwritten.more_at_once) {
                self.make_due(token);
            }
            if !arrived.requests.is_empty()
                && let Some(open) = self.open.get_mut(token)
            {
                swap(&mut open.connection.input.left, &mut arrived.requests);
                self.make_due(token);
            }
            self.turn.keep(arrived);
        }
        (self.turn.arrived, self.turn.from) = lists;
    }
}

impl Turn {
    fn is_for(&self, serve: &Arc<dyn Serve>) -> bool {
        self.serve.as_ref().is_none_or(|other| Arc::ptr_eq(other, serve))
    }

    /// Keeps the room of what is done.
    fn keep(&mut self, arrived: Arrived) {
        if self.spare.len() < SPARE {
            let Arrived { mut requests, out, .. } = arrived;
            requests.clear();
            self.spare.push((requests, out));
        }
    }
}

#[cfg(test)]
mod tests;
