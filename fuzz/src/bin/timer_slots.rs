//! Damaged input for the target `timer_slots`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::run("timer_slots", data));
