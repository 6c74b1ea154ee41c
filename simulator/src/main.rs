//! Runs many seeds on all cores, or one again with all that happens in it.
#![allow(clippy::disallowed_methods, reason = "the shell: threads, and a clock for the figures")]

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The store over a simulated disk and clock.
#[derive(Parser)]
struct Flags {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs this one alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints what happens.
    #[arg(short)]
    verbose: bool,
    /// Goes on after a failure.
    #[arg(long)]
    all: bool,
    /// Threads; as many as there are cores when 0.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let (from, count) = flags.seed.map_or((flags.from, flags.seeds), |seed| (seed, 1));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let threads = if flags.threads == 0 { cores } else { flags.threads };
    let (next, ran) = (AtomicU64::new(from), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let began = Instant::now();
    // What fails is told below; a panic needs no text of its own.
    if !flags.verbose {
        std::panic::set_hook(Box::new(|_| {}));
    } else {
        // What the store itself says, in between.
        tracing_subscriber::fmt().without_time().with_writer(std::io::stdout).init();
    }
    let say = |text: std::fmt::Arguments<'_>| {
        if flags.verbose {
            tell(format_args!("  {text}"));
        }
    };
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let mut failed = failures.lock().map_or(true, |failures| !failures.is_empty());
        failed &= !flags.all;
        if seed - from >= count || failed {
            break;
        }
        if let Err(why) = simulator::run(seed, &say) {
            tell(format_args!("seed {seed} failed: {why}"));
            tell(format_args!("  again: scripts/simulate --seed {seed} -v"));
            if let Ok(mut failures) = failures.lock() {
                failures.push(seed);
            }
        }
        ran.fetch_add(1, Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        (0..threads.min(count as usize)).for_each(|_| drop(scope.spawn(work)));
    });
    let (ran, seconds) = (ran.into_inner(), began.elapsed().as_secs_f64());
    let failed = failures.into_inner().unwrap_or_default();
    let rate = ran as f64 / seconds;
    tell(format_args!("{ran} seeds from {from}, {} failed, {rate:.0} seeds/s", failed.len()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(text: std::fmt::Arguments<'_>) {
    // Nobody reads any more: then there is nobody to tell either.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
