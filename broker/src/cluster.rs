//! The other brokers of the cluster: their addresses as a name server says them, and calls to them
//! (Java: `RpcClientImpl`, `ClientMetadata`). Part of the shell.
#![allow(clippy::disallowed_methods, reason = "the shell owns sockets and the clock")]

use crate::announce;
use crate::broker::Broker;
use crate::others::{Others, unknown};
use crate::server::name_servers;
use message::Str;
use remoting::body::route::{ClusterInfo, TopicRouteData};
use remoting::client::Client;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::peer::CallError;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

/// How long one name server may take; clients wait 3 s for all.
const NAME_SERVER: Duration = Duration::from_secs(1);
/// How long addresses count before they are asked for again (Java: every 5 s).
const OLD: Duration = Duration::from_secs(5);
/// How long it is believed that there is no broker of a name.
const FRESH: Duration = Duration::from_secs(1);
/// Requests that may wait for other brokers at a time; each takes a thread of the blocking lane.
const ROOM: usize = 128;
/// The id of a primary (Java: `MixAll.MASTER_ID`).
const PRIMARY: i64 = 0;

/// Calls to name servers and brokers.
#[derive(Debug)]
pub(crate) struct Cluster {
    broker: Weak<Broker>,
    client: Arc<Client>,
    runtime: Handle,
    known: Mutex<Known>,
    room: Semaphore,
}

/// Addresses of primaries by broker name.
#[derive(Debug, Default)]
struct Known {
    addresses: HashMap<Str, Str>,
    asked: Option<Instant>,
}

impl Cluster {
    /// On this task's runtime.
    pub(crate) fn new(broker: &Arc<Broker>, client: &Arc<Client>) -> Self {
        Self {
            broker: Arc::downgrade(broker),
            client: Arc::clone(client),
            runtime: Handle::current(),
            known: Mutex::default(),
            room: Semaphore::new(ROOM),
        }
    }

    /// What the first name server says that knows it.
    pub(crate) async fn told<T: serde::de::DeserializeOwned>(&self, command: Command) -> Option<T> {
        let settings = self.broker.upgrade()?.settings();
        for address in name_servers(&settings) {
            match self.client.call(address, command.clone(), NAME_SERVER).await {
                Ok(answer) if answer.response_code() == ResponseCode::SUCCESS => {
                    match remoting::json::from_body(&answer.body) {
                        Ok(body) => return Some(body),
                        Err(error) => {
                            tracing::warn!(name_server = %address, %error, "not understood");
                        }
                    }
                }
                // It does not know.
                Ok(_) => {}
                Err(error) => tracing::warn!(name_server = %address, %error, "no answer"),
            }
        }
        None
    }

    async fn address(&self, broker: &str) -> Result<Str, CallError> {
        let mut known = self.known.lock().await;
        let age = known.asked.map(|asked| asked.elapsed());
        let address = known.addresses.get(broker).cloned();
        let enough = if address.is_some() { OLD } else { FRESH };
        if age.is_none_or(|age| age >= enough) {
            let command = Command::request(RequestCode::GET_BROKER_CLUSTER_INFO);
            if let Some(info) = self.told::<ClusterInfo>(command).await {
                let brokers = info.broker_addr_table.into_iter();
                known.addresses = brokers
                    .filter_map(|(name, of)| Some((name, of.broker_addrs.get(&PRIMARY)?.clone())))
                    .collect();
            }
            known.asked = Some(Instant::now());
        }
        known.addresses.get(broker).cloned().ok_or_else(|| unknown(broker))
    }
}

impl Others for Cluster {
    fn ask(&self, broker: &str, command: Command) -> Result<Command, CallError> {
        let Ok(_room) = self.room.try_acquire() else {
            let text = format!("{ROOM} requests wait for other brokers already");
            return Err(CallError::Connect(io::Error::new(io::ErrorKind::WouldBlock, text)));
        };
        let Some(settings) = self.broker.upgrade().map(|broker| broker.settings()) else {
            return Err(CallError::Closed);
        };
        let timeout = Duration::from_millis(settings.broker.forward_timeout.unsigned_abs());
        let asking = async {
            let address = self.address(broker).await?;
            self.client.call(&address, command, timeout).await
        };
        let asked = async { tokio::time::timeout(timeout, asking).await };
        self.runtime.block_on(asked).unwrap_or(Err(CallError::Timeout(timeout)))
    }

    fn route(&self, topic: Str) -> Option<TopicRouteData> {
        self.runtime.block_on(self.told(announce::route(topic)))
    }
}
