//! Filters of consumers in SQL92 over the properties of a message: what Java's `rocketmq-filter`
//! understands, with the same verdict on every message, its exceptions included. And the Bloom
//! filter by which a queue's extension files say which groups want a message.
//!
//! Pure: no file, no clock, no network. An expression is compiled once, in one pass and within
//! bounds, and gives its verdict on a message in one walk over its own nodes and one over the
//! properties. Deliberately absent: what Java's parser has and nobody can reach (`LIKE`, "now").

mod bloom;
mod evaluate;
mod expression;
mod number;
mod parse;
mod token;

pub use bloom::{Bloom, BloomError, has_all, set};
pub use evaluate::Illegal;
pub use expression::{Expression, MAX_DEPTH, MAX_SOURCE_BYTES};
pub use parse::ParseError;
