//! Stock clients and servers against ours: starts both kinds, runs scenarios, compares answers.
//!
//! Nothing here is shared with the crates under test, the frame encoder included, so that a
//! mistake of theirs cannot hide in a mistake of ours.

pub mod appends;
pub mod clients;
pub mod cluster;
pub mod cuts;
pub mod differ;
pub mod faults;
pub mod features;
pub mod hand_over;
pub mod jars;
pub mod ledger;
pub mod loose_json;
pub mod mixed;
pub mod parts;
pub mod places;
pub mod plan;
pub mod preflights;
pub mod process;
pub mod raw;
pub mod records;
pub mod report;
pub mod rocks;
pub mod runs;
pub mod server;
pub mod statics;
pub mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Writes a line to standard output; a closed pipe is not an error here.
pub fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Does one thing for each of `all`, some at a time, and returns what came of it in their order;
/// nothing for one that panicked.
pub fn side_by_side<T: Sync, R: Send>(
    all: &[T],
    at_a_time: usize,
    one: impl Fn(&T) -> R + Sync,
) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<R>>> = all.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let (Some(item), Some(place)) = (all.get(turn), done.get(turn)) else { return };
            if let Ok(found) = catch_unwind(AssertUnwindSafe(|| one(item))) {
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(work);
        }
    });
    done.into_iter().map(|one| one.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}
