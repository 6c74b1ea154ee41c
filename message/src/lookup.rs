//! `Lookup`: a table that is looked into for each message, by the name of a topic or group or by a
//! number. Its hash is made for short keys; it has a seed of its own, for clients choose the names.
//! Tables that are looked into seldom are plain hash maps.

use crate::scan::first_lowest;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Such a table.
pub type Lookup<K, V> = HashMap<K, V, Seed>;

/// What makes the hashes of one table unlike those of every other.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    start: u64,
    factor: u64,
}

impl Default for Seed {
    fn default() -> Self {
        let random = RandomState::new();
        Self { start: random.hash_one(0), factor: random.hash_one(1) | 1 }
    }
}

impl BuildHasher for Seed {
    type Hasher = Hash;
    #[inline]
    fn build_hasher(&self) -> Hash {
        Hash { state: self.start, factor: self.factor }
    }
}

/// One hash in the making: each eight bytes are multiplied, and both halves of the product count.
#[derive(Clone, Copy, Debug)]
pub struct Hash {
    state: u64,
    factor: u64,
}

impl Hash {
    #[inline]
    fn mix(&mut self, eight: u64) {
        let product = u128::from(self.state ^ eight) * u128::from(self.factor);
        self.state = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for Hash {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            self.mix(first_lowest(eight));
        }
        let last = rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
        // The top byte is free: texts of different length differ there.
        self.mix(last | (bytes.len() as u64) << 56);
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        // Behind each text the same one, which says nothing.
        self.state ^= u64::from(byte);
    }

    #[inline]
    fn write_i32(&mut self, number: i32) {
        self.mix(u64::from(number.cast_unsigned()));
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_that_differ_in_little_have_other_hashes() {
        let seed = Seed::default();
        let names: HashSet<String> = (0..10_000)
            .flat_map(|number| [format!("t{number}"), format!("some-topic-{number}-x")])
            .chain((0..40).map(|len| "\0".repeat(len)))
            .collect();
        let hashes: HashSet<u64> = names.iter().map(|name| seed.hash_one(name)).collect();
        assert_eq!(hashes.len(), names.len());
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xffff).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert!(low.len() > 12_000 && high.len() == 128, "{} {}", low.len(), high.len());
    }

    #[test]
    fn what_was_put_is_found() {
        let mut table = Lookup::default();
        for number in -500..500 {
            table.insert(number.to_string(), number);
        }
        assert!((-500..500).all(|number| table.get(number.to_string().as_str()) == Some(&number)));
        assert_eq!(table.get(""), None);
    }
}
