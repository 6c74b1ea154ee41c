//! `crash`: a broker under full load is killed again and again, also while it recovers, and what it
//! acknowledged is held against what it has. The schedule of kills comes from a seed.

mod asks;
mod broker;
mod ledger;
mod load;
mod pops;
mod problems;
mod schedule;
mod sends;
mod timers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Parser;
use compat_tests::places::Places;
use compat_tests::say;

use crate::broker::Broker;
use crate::pops::Pops;
use crate::schedule::{Load, Random};
use crate::sends::Sends;
use crate::timers::Timers;

/// Kills a broker under load and verifies that it lost nothing.
#[derive(Debug, Parser)]
struct Options {
    /// How often it is killed.
    #[arg(long, default_value_t = 50)]
    cycles: u64,
    /// The schedule of kills; another one each time if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// The broker's program; the one beside this one if it is not given.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Messages are popped and acknowledged.
    #[arg(long, conflicts_with = "timer")]
    pop: bool,
    /// With `--pop`: goes on until so many were acknowledged, however many cycles that takes.
    #[arg(long, requires = "pop")]
    messages: Option<u64>,
    /// Messages wait for a time of their own, 100,000 at once.
    #[arg(long)]
    timer: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = options.seed.unwrap_or(now.as_micros() as u64 % 1_000_000_000);
    let mut load: Box<dyn Load> = match (options.pop, options.timer) {
        (true, _) => Box::new(Pops::new(options.cycles, options.messages)),
        (_, true) => Box::new(Timers::new(options.cycles)),
        _ => Box::new(Sends::new(options.cycles)),
    };
    let words: Vec<String> = std::env::args().skip(1).collect();
    say(&format!("crash {}: seed {seed}", words.join(" ")));
    match run(&options, seed, &mut *load) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("crash --seed {seed}: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options, seed: u64, load: &mut dyn Load) -> Result<bool> {
    let places = Places::around_this_program()?;
    let binary = options.binary.clone().unwrap_or_else(|| places.binaries.join("rockhopper"));
    let mut random = Random::new(seed);
    for number in 0.. {
        if load.is_done() {
            break;
        }
        let directory = places.scratch.join(format!("crash-{number}"));
        let mut broker = Broker::new(&binary, directory, load.settings())?;
        let problems = load.round(&mut broker, &mut random);
        if !matches!(&problems, Ok(problems) if problems.is_empty()) {
            load.say();
            say(&format!("store and log: {}", broker.directory.display()));
            problems?.iter().for_each(|problem| say(&format!("FAIL {problem}")));
            return Ok(false);
        }
        std::fs::remove_dir_all(&broker.directory)?;
    }
    load.say();
    say(load.holds());
    std::fs::remove_dir_all(&places.scratch)?;
    Ok(true)
}
