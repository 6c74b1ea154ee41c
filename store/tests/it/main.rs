//! The store through its public door, over the real disk and over one that crashes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "all of this is tests")]

mod bad_disk;
mod batches;
mod bounds;
mod clean_start;
mod cold;
mod compaction;
mod compaction_damage;
mod compaction_look;
mod config_sums;
mod crash;
mod damage;
mod extended;
mod fence;
mod found;
mod full_disk;
mod in_the_way;
mod index_pass;
mod layout;
mod light;
mod look;
mod losses;
mod open_files;
mod preflight;
mod queue_pass;
mod recovery;
mod recovery_again;
mod recovery_derived;
mod round_trip;
mod scrub;
mod second_crash;
mod shortened;
mod support;
mod takeover;
mod told;
mod verify;
mod zeros;
