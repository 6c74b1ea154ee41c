//! The one binary: reads flags, environment and files, starts the shells of name server and broker,
//! and prints. It also holds two small clients, `send` and `tail`.
//!
//! No broker logic: what a setting means, what a request does and how messages are kept is in the
//! crates below.

#![warn(clippy::print_stderr, reason = "it ends the process where nothing can be written")]

mod banner;
mod cli;
mod config;
mod look;
mod ready;
mod render;
mod routes;
mod run;
mod send;
mod surroundings;
mod tail;

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::config::{Loaded, Refused};

/// Something failed while it ran.
const FAILED: u8 = 1;
/// A write or sync of the store failed (BSD: `EX_IOERR`).
const DISK_FAILED: u8 = 74;
/// The command line is wrong, as clap says it.
const WRONG_USAGE: u8 = 2;
/// The configuration is wrong (BSD: `EX_CONFIG`).
const WRONG_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = match cli::arguments(std::env::args_os().collect()) {
        Ok(arguments) => Cli::parse_from(arguments),
        Err(why) => {
            tell(&format!("error: {why}"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let Ok(filter) = EnvFilter::try_new(&cli.log) else {
        let expected = "expected a filter like info or warn,broker=debug";
        tell(&format!("error: --log {}: {expected}", cli.log));
        return ExitCode::from(WRONG_USAGE);
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // To complain where nothing can be written would end the process.
        .log_internal_errors(false)
        .init();
    match cli.command {
        Command::Dev(dev) => configured(run::dev(&dev)),
        Command::Namesrv(server) => configured(run::namesrv(&server)),
        Command::Broker(server) => configured(run::broker(&server)),
        Command::Ready(ready) => client(ready::run(ready)),
        Command::Send(send) => client(done(send::run(send))),
        Command::Tail(tail) => client(done(tail::run(tail))),
        Command::Store(look) => look::run(&look),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "rockhopper", &mut io::stdout());
            ExitCode::SUCCESS
        }
    }
}

fn configured(result: Loaded<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|Refused| ExitCode::from(WRONG_CONFIG))
}

/// Tells a person, if the system lets it: a log file may lie on a disk that is full.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

async fn done(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    work.await.map(|()| ExitCode::SUCCESS)
}

/// Runs a small client on this thread.
fn client(work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(work));
    match result {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("error: {error:#}"));
            ExitCode::from(FAILED)
        }
    }
}
