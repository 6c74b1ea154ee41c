//! Every target with damaged and random inputs, by seed: no panic, no endless loop, little memory.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "all of this is tests")]

mod memory;

use fuzz_targets::{TARGETS, Target};
use simulator::Random;
use std::time::{Duration, Instant};

/// Generous: the slowest input takes a hundredth of it.
const TIME_MAX: Duration = Duration::from_secs(20);
const MEMORY_MAX: usize = 256 << 20;

/// A sound input with some bytes changed, cut out, doubled or set to what lengths like to be; or
/// nothing but chance.
fn damaged(examples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    if random.one_in(10) {
        let len = random.index(600);
        return (0..len).map(|_| random.bits() as u8).collect();
    }
    let mut data = examples[random.index(examples.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.index(data.len() + 1);
        let end = (at + random.index(40)).min(data.len());
        match random.below(8) {
            0 => data.truncate(at),
            1 => drop(data.drain(at..end)),
            2 => data.extend_from_within(at..end),
            3 => data[at..end].fill(0),
            4 => data[at..end].fill(0xff),
            5 => {
                let number = random.pick(&[0_u32, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, u32::MAX]);
                let bytes = number.to_be_bytes();
                data[at..].iter_mut().zip(bytes).for_each(|(old, new)| *old = new);
            }
            _ if at < data.len() => data[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
    data
}

fn hold(target: &Target) {
    let examples = (target.examples)();
    assert!(!examples.is_empty(), "{}: nothing to damage", target.name);
    examples.iter().for_each(|example| (target.run)(example));
    for seed in 0..target.tries {
        let data = damaged(&examples, &mut Random::new(seed));
        let since = Instant::now();
        let (outcome, peak) = memory::peak_of(|| std::panic::catch_unwind(|| (target.run)(&data)));
        let name = target.name;
        assert!(outcome.is_ok(), "{name}, seed {seed}, panics on {data:x?}");
        assert!(since.elapsed() < TIME_MAX, "{name}, seed {seed}: {:?}", since.elapsed());
        assert!(peak < MEMORY_MAX, "{name}, seed {seed}: {peak} bytes of memory");
    }
}

#[test]
fn damaged_inputs_end_in_an_error_or_a_repair() {
    TARGETS.iter().for_each(hold);
}

#[test]
fn every_target_has_a_fuzzer() {
    let manifest = include_str!("../../../fuzz/Cargo.toml");
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
    }
}
