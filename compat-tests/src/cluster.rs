//! A name server and a broker that belong together.

use std::path::Path;

use anyhow::{Result, bail};

use crate::places::Places;
use crate::server::{Make, Server};

/// One name server, one broker.
#[derive(Debug)]
pub struct Cluster {
    /// The name server.
    pub namesrv: Server,
    /// The broker.
    pub broker: Server,
}

impl Cluster {
    /// Starts both in `directory`.
    ///
    /// # Errors
    /// One of them does not start.
    pub fn start(places: &Places, names: Make, broker: Make, directory: &Path) -> Result<Self> {
        let mut cluster = Self::prepare(places, names, broker, directory)?;
        cluster.broker.start()?;
        Ok(cluster)
    }

    /// Starts the name server alone.
    ///
    /// # Errors
    /// It does not start.
    pub fn prepare(places: &Places, names: Make, broker: Make, directory: &Path) -> Result<Self> {
        let mut namesrv = Server::namesrv(places, names, &directory.join("namesrv"))?;
        namesrv.start()?;
        let broker = Server::broker(places, broker, &directory.join("broker"), namesrv.address())?;
        Ok(Self { namesrv, broker })
    }

    /// Does what a scenario asks for, "stop broker" for one.
    ///
    /// # Errors
    /// The words are unknown, or the server does not do it.
    pub fn act(&mut self, action: &str) -> Result<()> {
        let (verb, server) = match action.split_once(' ') {
            Some((verb, "broker")) => (verb, &mut self.broker),
            Some((verb, "namesrv")) => (verb, &mut self.namesrv),
            _ => bail!("no such action: {action}"),
        };
        match verb {
            "start" => server.start(),
            "stop" => server.stop(),
            "kill" => {
                server.kill();
                Ok(())
            }
            "free" => server.free(),
            "break-sync" => server.break_disk("EIO_FDATASYNC"),
            "break-write" => server.break_disk("EIO_PWRITE"),
            "bury" => server.bury(),
            _ => bail!("no such action: {action}"),
        }
    }

    /// Stops both as an operator does, the broker first.
    ///
    /// # Errors
    /// One of them does not end cleanly.
    pub fn stop(mut self) -> Result<()> {
        self.broker.stop()?;
        self.namesrv.stop()
    }
}
