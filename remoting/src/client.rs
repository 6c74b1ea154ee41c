//! The calling side: connections by address, made when they are needed and made anew when they
//! broke. The other end may ask things over them too; such requests go to a [`Serve`].

use crate::command::Command;
use crate::connection::{Arrived, Serve, Terms};
use crate::event_loop::EventLoops;
use crate::frame::Limits;
use crate::peer::{CallError, Peer};
use crate::server::open_connection;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// Connections to other servers, by `host:port`.
pub struct Client {
    peers: Mutex<HashMap<String, Slot>>,
    serve: Arc<dyn Serve>,
}

/// The connection to one address; whoever makes it keeps the others waiting meanwhile.
type Slot = Arc<Mutex<Option<Arc<Peer>>>>;

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A client that is asked nothing: requests from the other end are dropped.
#[derive(Debug)]
pub struct Deaf;

impl Serve for Deaf {
    fn serve(&self, arrived: &mut [Arrived]) {
        arrived.iter_mut().for_each(|one| one.each(|_, _, _| ()));
    }

    fn closed(&self, _: &Arc<Peer>) {}
}

impl Client {
    /// A client without connections; what the other ends ask goes to `serve`.
    pub fn new(serve: Arc<dyn Serve>) -> Self {
        Self { peers: Mutex::new(HashMap::new()), serve }
    }

    /// Asks the server at `address` and waits for its answer, whatever its code.
    ///
    /// # Errors
    /// When no connection can be made, or no answer comes within `timeout`.
    pub async fn call(
        &self,
        address: &str,
        command: Command,
        timeout: Duration,
    ) -> Result<Command, CallError> {
        let started = tokio::time::Instant::now();
        let connecting = tokio::time::timeout(timeout, self.peer(address));
        let peer = connecting.await.map_err(|_| CallError::Timeout(timeout))??;
        peer.call(command, timeout.saturating_sub(started.elapsed())).await
    }

    /// Tells the server at `address` something, and waits for nothing but the connection.
    ///
    /// # Errors
    /// When no connection can be made.
    pub async fn oneway(&self, address: &str, command: Command) -> Result<(), CallError> {
        self.peer(address).await?.send(&command.oneway());
        Ok(())
    }

    /// The live connection to `address`, made now if there is none.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn peer(&self, address: &str) -> Result<Arc<Peer>, CallError> {
        let slot = Arc::clone(self.peers.lock().await.entry(address.to_owned()).or_default());
        let mut slot = slot.lock().await;
        if let Some(peer) = slot.as_ref().filter(|peer| !peer.is_closing()) {
            return Ok(Arc::clone(peer));
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {CONNECT:?}"));
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address));
        let stream = stream.await.unwrap_or_else(|_| Err(late())).map_err(CallError::Connect)?;
        let terms = Terms {
            serve: Arc::clone(&self.serve),
            limits: Limits::default(),
            counters: Arc::default(),
            heir: None,
        };
        let opened = EventLoops::get().and_then(|all| open_connection(&all, stream, terms));
        let peer = opened.map_err(CallError::Connect)?;
        *slot = Some(Arc::clone(&peer));
        Ok(peer)
    }

    /// Whether there is a live connection to `address` now; none is made.
    pub async fn is_connected(&self, address: &str) -> bool {
        let Some(slot) = self.peers.lock().await.get(address).cloned() else {
            return false;
        };
        // Whoever holds the slot is making the connection.
        slot.try_lock().is_ok_and(|slot| slot.as_ref().is_some_and(|peer| !peer.is_closing()))
    }

    /// Closes all connections after what was sent has been written.
    pub async fn close(&self) {
        for (_, slot) in self.peers.lock().await.drain() {
            if let Some(peer) = slot.lock().await.take() {
                peer.close();
            }
        }
    }
}
