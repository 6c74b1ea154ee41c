//! Non-blocking connections and the one poller that waits for them all. No request is made here.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::AsFd;
use rustix::io::Errno;

use crate::frame::{self, Answer, FRAME_BYTES};

/// Room that one read may fill.
const READ_BYTES: usize = 256 << 10;

/// The generator runs beside what it measures; it never loads another machine.
pub(crate) fn only_loopback(address: SocketAddr) -> Result<SocketAddr> {
    ensure!(address.ip().is_loopback(), "{address} is not a loopback address: bench stays at home");
    Ok(address)
}

/// Bytes received and not yet read, in one buffer that is used again and again.
#[derive(Debug)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; 2 * READ_BYTES], start: 0, end: 0 }
    }

    /// Reads once; `Ok(false)` when the other side has closed.
    pub(crate) fn fill(&mut self, from: &mut impl Read) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.bytes.len() - self.end < READ_BYTES {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let wanted = (self.end + READ_BYTES).min(FRAME_BYTES + READ_BYTES);
            if self.bytes.len() < wanted {
                self.bytes.resize(wanted, 0);
            }
        }
        match from.read(&mut self.bytes[self.end..]) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.end += count;
                Ok(true)
            }
            Err(error) if is_later(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.start += count;
    }
}

/// Bytes to send; what the socket does not take stays for later.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    /// Writes until all is sent or the socket is full; `Ok(true)` when all is sent.
    pub(crate) fn drain(&mut self, to: &mut impl Write) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            match to.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if is_later(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.sent = 0;
        Ok(true)
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    input: Input,
    pub(crate) output: Output,
    wants_write: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(only_loopback(address)?)
            .with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, input: Input::new(), output: Output::default(), wants_write: false })
    }

    /// Reads what has arrived, once.
    pub(crate) fn receive(&mut self) -> Result<()> {
        ensure!(self.input.fill(&mut self.stream)?, "the server closed the connection");
        Ok(())
    }

    /// Shows each whole answer received so far to `see`.
    pub(crate) fn answers(&mut self, mut see: impl FnMut(&Answer<'_>) -> Result<()>) -> Result<()> {
        while let Some((answer, length)) = frame::decode(self.input.unread())? {
            see(&answer)?;
            self.input.advance(length);
        }
        Ok(())
    }
}

/// Waits for any of many connections.
pub(crate) struct Poller {
    epoll: OwnedFd,
    ready: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, ready: Vec::with_capacity(256) })
    }

    /// Tells when `source` can be read, under the number `token`.
    pub(crate) fn add(&self, source: impl AsFd, token: usize) -> Result<()> {
        let data = EventData::new_u64(token as u64);
        Ok(epoll::add(&self.epoll, source, data, EventFlags::IN)?)
    }

    /// From now on tells also (or no longer) when `source` can be written.
    pub(crate) fn watch(&self, source: impl AsFd, token: usize, write: bool) -> Result<()> {
        let flags = if write { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token as u64), flags)?)
    }

    /// The tokens of the ready sources; none when `patience` has passed.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<impl Iterator<Item = usize>> {
        let patience = Timespec::try_from(patience)?;
        self.ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => bail!("epoll_wait: {error}"),
        }
        Ok(self.ready.iter().map(|event| event.data.u64() as usize))
    }
}

/// Connections under one poller: the token of each is its place.
pub(crate) struct Connections {
    poller: Poller,
    list: Vec<Connection>,
    ready: Vec<usize>,
}

impl Connections {
    pub(crate) fn open(address: SocketAddr, count: usize) -> Result<Self> {
        let poller = Poller::new()?;
        let mut list = Vec::with_capacity(count);
        for token in 0..count {
            let connection = Connection::open(address)?;
            poller.add(&connection.stream, token)?;
            list.push(connection);
        }
        Ok(Self { poller, list, ready: Vec::with_capacity(count) })
    }

    /// The connection at one place.
    pub(crate) fn at(&mut self, token: usize) -> &mut Connection {
        &mut self.list[token]
    }

    /// Sends what is in the output of one connection; the rest follows when the socket has room.
    pub(crate) fn send(&mut self, token: usize) -> Result<()> {
        let connection = &mut self.list[token];
        let all = connection.output.drain(&mut connection.stream)?;
        if connection.wants_write == all {
            connection.wants_write = !all;
            self.poller.watch(&connection.stream, token, !all)?;
        }
        Ok(())
    }

    /// The places of the connections that are ready, none after `patience`.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Vec<usize>> {
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        ready.extend(self.poller.wait(patience)?);
        Ok(ready)
    }

    /// Reads once from a connection that is ready, and sends what it has left over.
    pub(crate) fn receive(&mut self, token: usize) -> Result<()> {
        self.list[token].receive()?;
        if self.list[token].wants_write {
            self.send(token)?;
        }
        Ok(())
    }

    /// Gives back the list that [`Connections::wait`] lent, so that no wait allocates.
    pub(crate) fn done(&mut self, ready: Vec<usize>) {
        self.ready = ready;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_refused() {
        assert!(only_loopback("127.0.0.1:1".parse().unwrap()).is_ok());
        assert!(only_loopback("[::1]:1".parse().unwrap()).is_ok());
        for far in ["192.168.0.1:1", "0.0.0.0:1", "[2001:db8::1]:1"] {
            assert!(only_loopback(far.parse().unwrap()).is_err());
        }
    }

    #[test]
    fn input_keeps_what_is_unread() {
        let mut input = Input::new();
        let big = vec![7u8; 3 * READ_BYTES];
        let mut from = big.as_slice();
        let mut seen = 0;
        while !from.is_empty() {
            assert!(input.fill(&mut from).unwrap());
            seen += input.unread().len() - 5;
            input.advance(input.unread().len() - 5);
        }
        assert_eq!(seen + input.unread().len(), big.len());
        assert!(!input.fill(&mut from).unwrap());
    }

    #[test]
    fn output_sends_in_order_through_a_narrow_socket() {
        struct Narrow(Vec<u8>, bool);
        impl Write for Narrow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                self.0.extend_from_slice(&bytes[..1]);
                Ok(1)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut to = Narrow(Vec::new(), false);
        let mut output = Output { bytes: b"abc".to_vec(), sent: 0 };
        while !output.drain(&mut to).unwrap() {}
        assert_eq!(to.0, b"abc");
    }
}
