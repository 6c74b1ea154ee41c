//! Damaged input for the target `consume_queue`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::run("consume_queue", data));
