//! A listening port: accepts connections within a bound, and sweeps out the silent ones.

use crate::connection::{Connection, Counters, Ended, Input, Serve, Terms};
use crate::event_loop::EventLoops;
use crate::frame::Limits;
use crate::peer::Peer;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often silent and stalled connections are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// A reader that takes nothing for this long, with bytes waiting, is given up.
const STALLED: Duration = Duration::from_secs(10);
/// How long open connections may write out their last answers when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// What a port allows.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bounds of frames.
    pub limits: Limits,
    /// A connection without traffic for this long is closed
    /// (Java: `serverChannelMaxIdleTimeSeconds`).
    pub idle: Duration,
    /// Connections that may be open at a time.
    pub connections: usize,
    /// The highest file descriptor that a connection may have. The system gives the lowest free
    /// one: those above stay free for whoever needs files, whatever port the others came from.
    pub descriptors: RawFd,
    /// Connections that the system accepts before this process does (Java: `serverSocketBacklog`).
    pub backlog: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            idle: Duration::from_secs(120),
            connections: 65_536,
            descriptors: RawFd::MAX,
            backlog: 1024,
        }
    }
}

/// A bound port that does not accept yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    options: Options,
    counters: Arc<Counters>,
    event_loops: EventLoops,
}

impl Server {
    /// Binds the port; on `0.0.0.0` for IPv6 too, as a JVM does.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub async fn bind(address: SocketAddr, options: Options) -> io::Result<Self> {
        let listener = match address.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
            true => bind_all(address.port(), options.backlog)?,
            false => listen(address, options.backlog)?,
        };
        Ok(Self { listener, options, counters: Arc::default(), event_loops: EventLoops::get()? })
    }

    /// The bound address, its port resolved.
    ///
    /// # Errors
    /// When the socket has none.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What is counted about this port's connections.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Accepts and serves until `stop`; then open connections get a moment to write what waits.
    pub async fn run(self, serve: Arc<dyn Serve>, stop: CancellationToken) {
        let (heir, mut ended) = mpsc::unbounded_channel();
        let mut open = Open { sweeps: HashMap::new(), serve, heir };
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = sweep.tick() => open.sweep(self.options.idle),
                Some(id) = ended.recv() => drop(open.sweeps.remove(&id)),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, remote)) => self.admit(&mut open, stream, remote),
                    Err(error) => {
                        // Out of descriptors, most likely: waiting is all that helps.
                        if let Some(times) = self.counters.not_accepted.tell() {
                            tracing::warn!(%error, times, "accept failed");
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(self.listener);
        let Open { mut sweeps, heir, .. } = open;
        // Those that are left hold one each.
        drop(heir);
        sweeps.values().for_each(|watched| watched.peer.close());
        let last = async {
            while let Some(id) = ended.recv().await {
                sweeps.remove(&id);
            }
        };
        if tokio::time::timeout(GRACE, last).await.is_err() {
            sweeps.values().for_each(|watched| watched.end(Ended::Local));
            let gone = async { while ended.recv().await.is_some() {} };
            let _ = tokio::time::timeout(GRACE, gone).await;
        }
    }

    fn admit(&self, open: &mut Open, stream: TcpStream, remote: SocketAddr) {
        let Options { connections, descriptors, .. } = self.options;
        let is_over = stream.as_raw_fd() > descriptors;
        if is_over || open.sweeps.len() >= connections {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            if let Some(times) = self.counters.turned_away.tell() {
                tracing::warn!(%remote, times, open = open.sweeps.len(), "{}", match is_over {
                    true => "too many connections for the limit of open files (ulimit -n, \
                             LimitNOFILE), of which some are kept for the store: turned away",
                    false => "too many connections on this port: turned away",
                });
            }
            return;
        }
        let terms = Terms {
            serve: Arc::clone(&open.serve),
            limits: self.options.limits,
            counters: Arc::clone(&self.counters),
            heir: Some(open.heir.clone()),
        };
        let Ok(peer) = open_connection(&self.event_loops, stream, terms) else {
            return;
        };
        self.counters.opened.fetch_add(1, Ordering::Relaxed);
        let id = peer.id;
        open.sweeps.insert(id, Watched { peer, moved: 0, written: 0, silent: 0, stalled: 0 });
    }
}

/// A socket for IPv4 and IPv6, or for IPv4 alone on a system that has no IPv6, or keeps the two
/// apart (`net.ipv6.bindv6only`).
fn bind_all(port: u16, backlog: u32) -> io::Result<TcpListener> {
    let fourth = |port| listen((Ipv4Addr::UNSPECIFIED, port).into(), backlog);
    let both = match listen((Ipv6Addr::UNSPECIFIED, port).into(), backlog) {
        Ok(both) => both,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        Err(_) => return fourth(port),
    };
    // A port that can be had once more was bound for IPv6 alone.
    let port = both.local_addr()?.port();
    Ok(fourth(port).unwrap_or(both))
}

fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// An IPv4 address as itself: a socket on `::` shows it as an IPv6 one.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Hands a connected socket to an event loop.
pub(crate) fn open_connection(
    event_loops: &EventLoops,
    stream: TcpStream,
    terms: Terms,
) -> io::Result<Arc<Peer>> {
    stream.set_nodelay(true)?;
    let (remote, local) = (plain(stream.peer_addr()?), plain(stream.local_addr()?));
    let socket = Arc::new(stream.into_std()?);
    let peer = Arc::new(Peer::connected(remote, local, Arc::clone(&socket)));
    let (served, input) = (Arc::clone(&peer), Input::default());
    event_loops.open(Connection { socket, peer: served, terms, input, ended: Ended::Local });
    Ok(peer)
}

struct Open {
    sweeps: HashMap<u64, Watched>,
    serve: Arc<dyn Serve>,
    heir: mpsc::UnboundedSender<u64>,
}

struct Watched {
    peer: Arc<Peer>,
    moved: u64,
    written: u64,
    silent: u32,
    stalled: u32,
}

impl Watched {
    fn end(&self, why: Ended) {
        self.peer.activity.condemn(why);
        self.peer.close();
    }
}

impl Open {
    /// Compares each connection with what was seen a sweep ago.
    fn sweep(&mut self, idle: Duration) {
        let sweeps = |time: Duration| (time.as_secs() / SWEEP.as_secs()).max(1) as u32;
        for watched in self.sweeps.values_mut() {
            let activity = &watched.peer.activity;
            let moved = activity.moved.load(Ordering::Relaxed);
            let written = activity.written.load(Ordering::Relaxed);
            let waiting = watched.peer.buffered() > 0;
            watched.silent = if moved == watched.moved { watched.silent + 1 } else { 0 };
            let stuck = waiting && written == watched.written;
            watched.stalled = if stuck { watched.stalled + 1 } else { 0 };
            (watched.moved, watched.written) = (moved, written);
            if watched.stalled >= sweeps(STALLED) {
                watched.end(Ended::SlowReader);
            } else if watched.silent >= sweeps(idle) {
                watched.end(Ended::Idle);
            }
        }
    }
}
