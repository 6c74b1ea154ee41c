//! The simulator over seeds: the first two hundred, those that once found something, and that a
//! seed does the same twice.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "all of this is tests")]

mod found;
mod seeds;
