//! `bench`: a load generator for brokers that speak the remoting protocol, a null server as the
//! limit of what a machine can do, and the contest that runs the same jobs on Rockhopper, on the
//! stock Java broker and on the null server, in turn.
//!
//! One thread drives all connections. Only loopback addresses are accepted, and every job is bound
//! in messages and in time. It judges nothing: it prints figures.
#![expect(clippy::print_stdout, reason = "figures on standard output are what this is for")]

mod contest;
mod control;
mod frame;
mod load;
mod null;
mod outcome;
mod process;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::load::Target;
use crate::load::arrive::{self, ArriveLoad};
use crate::load::pace::{self, PaceLoad};
use crate::load::pop::{self, PopLoad};
use crate::load::pull::{self, PullLoad};
use crate::load::send::{self, SendLoad};

/// Measures brokers that speak the RocketMQ remoting protocol.
#[derive(Debug, Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Sends as fast as answers come; `--window 1` is one at a time.
    Send {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        load: SendLoad,
    },
    /// Pulls what was just written, a batch at a time.
    Pull {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        load: PullLoad,
    },
    /// Pops what was just written, a batch at a time, and acknowledges each message.
    Pop {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        load: PopLoad,
    },
    /// Sends at a fixed rate to long-polling consumers; the latency is that from send to arrival.
    Arrive {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        load: ArriveLoad,
    },
    /// Sends at a fixed rate beside consumers, replays and expiry; the latency is that of a send.
    Pace {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        load: PaceLoad,
    },
    /// Answers every request with success and does nothing else.
    Null {
        /// Port on 127.0.0.1; 0 lets the system choose.
        #[arg(long)]
        port: u16,
    },
    /// The same jobs on Rockhopper, on the stock Java broker and on the null server.
    Contest(contest::Options),
}

#[derive(Debug, Args)]
struct TargetArgs {
    /// The broker's address, on the loopback.
    #[arg(long, default_value = "127.0.0.1:10911")]
    broker: SocketAddr,
    /// The broker's process, to tell its processor time and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// The broker's directory, for jobs that drop files from memory.
    #[arg(long)]
    store: Option<PathBuf>,
}

impl TargetArgs {
    fn target(&self) -> Target {
        Target { broker: self.broker, pid: self.pid, store: self.store.clone() }
    }
}

fn main() -> Result<()> {
    let outcome = match Command::parse().job {
        Job::Send { target, load } => send::run(&target.target(), &load)?,
        Job::Pull { target, load } => pull::run(&target.target(), &load)?,
        Job::Pop { target, load } => pop::run(&target.target(), &load)?,
        Job::Arrive { target, load } => arrive::run(&target.target(), &load)?,
        Job::Pace { target, load } => pace::run(&target.target(), &load)?,
        Job::Null { port } => return null::serve(port),
        Job::Contest(options) => return contest::run(&options),
    };
    println!("{outcome}");
    Ok(())
}
