//! The repository's own rules, as tests: `cargo test -p tidy`.
//!
//! A rule that matters fails a test here and says where and what to do; what only matters a little
//! is left to people. Each rule is a pure function from a file's text to findings, is proven on a
//! bad sample at the bottom of its own module, and then runs over every file that git knows.
//! What rustfmt, clippy and rustdoc can check is theirs and not repeated here.
#![cfg(test)]

mod crates;
mod dependencies;
mod documents;
mod knobs;
mod lines;
mod modules;
mod repo;
mod shape;
