//! The contest: each contestant in turn gets a fresh store, is warmed up with the same messages,
//! and runs the same jobs; the medians over the rounds stand side by side.
//!
//! Fair means here: the same generator, disk, flush mode and properties for all, the Java broker
//! with a heap of 2 GiB and its compiler warm, and nobody measured while another one runs.

mod jobs;
mod server;
mod stock;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::contest::jobs::{JOBS, Job, Stage};
use crate::contest::server::{Contestant, Server};
use crate::outcome::Outcome;

/// How to run the contest.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The `rockhopper` binary, a release build.
    #[arg(long, default_value = "target/release/rockhopper")]
    rockhopper: PathBuf,
    /// The folder with the stock broker's jars and all that they need.
    #[arg(long, default_value = "target/compat/jars-5.5.0")]
    jars: PathBuf,
    /// The folder with the stock clients' benchmark programs, for the jobs `client-...`.
    #[arg(long, default_value = "target/compat/stock-clients")]
    stock_clients: PathBuf,
    /// An empty or new folder for stores; it decides on which disk the contest runs.
    #[arg(long, default_value = "target/contest")]
    scratch: PathBuf,
    /// The first of twenty ports on 127.0.0.1.
    #[arg(long, default_value_t = 30_900)]
    port: u16,
    /// Rounds; medians are taken over them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// One round with a fifth of the messages.
    #[arg(long)]
    quick: bool,
    /// Jobs by name, separated by commas; when absent all but those that run by name only. `--jobs
    /// list` tells them.
    #[arg(long, value_delimiter = ',')]
    jobs: Vec<String>,
    /// Contestants, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["ours", "java", "null"])]
    contestants: Vec<Contestant>,
}

/// The outcomes of each job and contestant, one for each round.
type Outcomes = BTreeMap<(usize, Contestant), Vec<Outcome>>;

/// Runs all rounds and prints the report. A contestant that fails does not keep the others from
/// being measured, but the run fails in the end.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.jobs.iter().any(|name| name == "list") {
        for job in JOBS {
            let how = if job.by_name { " (by name only)" } else { "" };
            println!("{:<16} {}{how}", job.name, job.what);
        }
        return Ok(());
    }
    let chosen = chosen(&options.jobs)?;
    let mut outcomes = Outcomes::new();
    let mut failures = 0;
    let rounds = if options.quick { 1 } else { options.rounds };
    for round in 1..=rounds {
        for &contestant in &options.contestants {
            for stage in Stage::ALL {
                let jobs = chosen.iter().copied().filter(|&(_, job)| {
                    job.stage == stage && (job.on_null || contestant != Contestant::Null)
                });
                let jobs: Vec<_> = jobs.collect();
                if !jobs.is_empty() {
                    eprintln!("round {round} of {rounds}: {contestant:?}, {stage:?}");
                    let ran = run_stage(options, contestant, stage, &jobs, &mut outcomes);
                    if let Err(error) = ran {
                        eprintln!("{contestant:?} failed: {error:#}");
                        failures += 1;
                    }
                }
            }
        }
    }
    print!("{}", table::render(&chosen, &options.contestants, &outcomes));
    ensure!(failures == 0, "{failures} of the runs failed: see above");
    Ok(())
}

/// The jobs asked for, with their places in the table.
fn chosen(names: &[String]) -> Result<Vec<(usize, &'static Job)>> {
    for name in names {
        let known = JOBS.iter().any(|job| job.name == name);
        ensure!(known, "no job is called {name}; `--jobs list` tells the names");
    }
    let is_chosen = |job: &Job| match names.is_empty() {
        true => !job.by_name,
        false => names.iter().any(|name| name == job.name),
    };
    Ok(JOBS.iter().enumerate().filter(|(_, job)| is_chosen(job)).collect())
}

/// One contestant's run: started, warmed up, measured, ended.
fn run_stage(
    options: &Options,
    contestant: Contestant,
    stage: Stage,
    jobs: &[(usize, &'static Job)],
    outcomes: &mut Outcomes,
) -> Result<()> {
    let mut server = Server::start(options, contestant, stage)?;
    let facts = server.facts()?;
    jobs::warm_up(&server.target(), options.quick).context("warm up")?;
    for &(place, job) in jobs {
        let outcome = job.run(&mut server, &facts, options);
        let outcome = outcome.with_context(|| format!("{} on {contestant:?}", job.name))?;
        eprintln!("  {:<16} {outcome}", job.name);
        outcomes.entry((place, contestant)).or_default().push(outcome);
    }
    Ok(())
}
