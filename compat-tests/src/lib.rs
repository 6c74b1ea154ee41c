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
pub mod places;
pub mod plan;
pub mod preflights;
pub mod process;
pub mod raw;
pub mod records;
pub mod report;
pub mod runs;
pub mod server;
pub mod statics;
pub mod wire;

/// Writes a line to standard output; a closed pipe is not an error here.
pub fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
