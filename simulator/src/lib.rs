//! The store in a made-up world: a disk that loses what real ones lose, a clock that steps, a
//! workload, and checks of what must hold whatever happens. Everything comes from one seed, so that
//! a failure is repeated by naming it.

mod check;
mod decode;
mod disk;
mod flips;
mod kept;
mod lines;
mod model;
mod plan;
mod random;
mod wishes;
mod world;

pub use disk::{Loss, Op, SimDisk};
pub use lines::{lines_of, lines_to};
pub use random::Random;

use std::panic::AssertUnwindSafe;

/// Runs one seed; tells `say` what happens.
///
/// # Errors
/// The check that failed and what it saw.
pub fn run(seed: u64, say: &dyn Fn(std::fmt::Arguments<'_>)) -> Result<(), String> {
    let work = || world::World::new(seed, say).run();
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("a panic: {}", text.unwrap_or_default()))
    })
}
