//! Damaged input for the target `commit_log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::run("commit_log", data));
