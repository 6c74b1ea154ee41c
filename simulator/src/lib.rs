//! The store in a made-up world: a disk in memory that loses what real ones lose. Everything comes
//! from one seed, so that a failure is repeated by naming it.

mod disk;
mod random;

pub use disk::{Loss, Op, SimDisk};
pub use random::Random;
