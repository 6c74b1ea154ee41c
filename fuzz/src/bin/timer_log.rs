//! Damaged input for the target `timer_log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::run("timer_log", data));
