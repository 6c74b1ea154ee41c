//! Two hundred seeds on all cores, some of them with light queues and inner batches, some with
//! extended queues, and that a seed says all.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

const SEEDS: u64 = 110;
/// The first with light queues and inner batches, and how many of these.
const MORE: (u64, u64) = (5_000_000, 50);
/// The first with extended queues besides, and how many of these.
const EXTENDED: (u64, u64) = (6_000_000, 40);

/// Runs seeds on all cores; panics with those that failed.
pub(crate) fn run_all(seeds: &[u64]) {
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let work = || {
        let mut failed = Vec::new();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            if let Err(why) = simulator::run(*seed, &|_| {}) {
                failed.push(format!("seed {seed}: {why}; scripts/simulate --seed {seed} -v"));
            }
        }
        failed
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn two_hundred_seeds_hold() {
    let ranges = [(0, SEEDS), MORE, EXTENDED];
    run_all(&ranges.into_iter().flat_map(|(from, count)| from..from + count).collect::<Vec<_>>());
}

#[test]
fn a_seed_does_the_same_twice() {
    let trace = |seed| {
        let lines = RefCell::new(Vec::new());
        let outcome = simulator::run(seed, &|text| lines.borrow_mut().push(text.to_string()));
        (outcome, lines.into_inner())
    };
    for seed in [0, 3, 31, 77] {
        let (once, again) = (trace(seed), trace(seed));
        assert!(once.1.len() > 3);
        assert_eq!(once, again, "seed {seed}");
    }
}
