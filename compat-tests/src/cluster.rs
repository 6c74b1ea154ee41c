//! A name server and a broker that belong together, and perhaps a second broker.

use std::path::Path;

use anyhow::{Result, bail};

use crate::jars::Release;
use crate::places::Places;
use crate::server::{Make, Server};

/// The action that does nothing: it is done when all have asked for it, as every action.
const MEET: &str = "meet";

/// One name server, one broker or two.
#[derive(Debug)]
pub struct Cluster {
    /// The name server.
    pub namesrv: Server,
    /// The broker.
    pub broker: Server,
    second: Option<Second>,
}

/// A second broker, and where the programs are that may take its place.
#[derive(Debug)]
struct Second {
    server: Server,
    places: Places,
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
        Ok(Self::of(namesrv, broker))
    }

    /// These two.
    #[must_use]
    pub fn of(namesrv: Server, broker: Server) -> Self {
        Self { namesrv, broker, second: None }
    }

    /// Adds a broker, which scenarios call "second".
    pub fn add_second(&mut self, places: &Places, server: Server) {
        self.second = Some(Second { server, places: places.clone() });
    }

    /// Does what a scenario asks for, "stop broker" for one.
    ///
    /// # Errors
    /// The words are unknown, or the server does not do it.
    pub fn act(&mut self, action: &str) -> Result<()> {
        if action == MEET {
            return Ok(());
        }
        let (verb, server) = match action.split_once(' ') {
            Some(("swap", "second")) => return self.swap_second(),
            Some((verb, "second")) => match &mut self.second {
                Some(second) => (verb, &mut second.server),
                None => bail!("there is no second broker"),
            },
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

    /// Starts the stopped second broker as the other make's, on the same directory.
    fn swap_second(&mut self) -> Result<()> {
        let Some(Second { server, places }) = &mut self.second else {
            bail!("there is no second broker")
        };
        let other = match server.make() {
            Make::Rockhopper => Make::Java(Release::V550),
            Make::Java(_) => Make::Rockhopper,
        };
        server.become_another(places, other)?;
        server.start()
    }

    /// Stops all as an operator does, the brokers first.
    ///
    /// # Errors
    /// One of them does not end cleanly.
    pub fn stop(mut self) -> Result<()> {
        if let Some(second) = &mut self.second {
            second.server.stop()?;
        }
        self.broker.stop()?;
        self.namesrv.stop()
    }
}
