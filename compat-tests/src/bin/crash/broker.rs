//! The broker that is killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use compat_tests::places::make;
use compat_tests::process::{self, Running};
use compat_tests::server::free_port;

const STOP: Duration = Duration::from_secs(30);

/// The broker's process, its directory and its port.
pub(crate) struct Broker {
    binary: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
    settings: &'static str,
    running: Option<Running>,
}

impl Broker {
    pub(crate) fn new(binary: &Path, directory: PathBuf, settings: &'static str) -> Result<Self> {
        make(&directory)?;
        Ok(Self {
            binary: binary.to_owned(),
            directory,
            port: free_port()?,
            settings,
            running: None,
        })
    }

    pub(crate) fn start(&mut self, sync_flush: bool) -> Result<()> {
        let (file, port) = (self.directory.join("broker.conf"), self.port);
        let flush = if sync_flush { "SYNC_FLUSH" } else { "ASYNC_FLUSH" };
        // Files so small that each cycle rolls some, and pulls that bring much.
        let text = format!(
            "brokerName=crash\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={port}\n\
             storePathRootDir={}/store\nflushDiskType={flush}\nautoCreateTopicEnable=false\n\
             mappedFileSizeCommitLog=8388608\nmappedFileSizeConsumeQueue=40000\n\
             {}\
             maxTransferCountOnMessageInMemory=1024\nmaxTransferCountOnMessageInDisk=1024\n\
             maxTransferBytesOnMessageInMemory=4194304\nmaxTransferBytesOnMessageInDisk=4194304\n",
            self.directory.display(),
            self.settings,
        );
        std::fs::write(&file, text)?;
        let mut command = process::tied(&self.binary);
        command.arg("broker").arg("-c").arg(&file).env_remove("NAMESRV_ADDR");
        let log = self.directory.join("broker.out");
        self.running = Some(Running::start("broker", &mut command, &log)?);
        Ok(())
    }

    pub(crate) fn check(&mut self) -> Result<()> {
        self.running.as_mut().context("it was started")?.check()
    }

    pub(crate) fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), |running| running.stop(STOP))
    }
}
