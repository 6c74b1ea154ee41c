//! The Bloom filter whose bits stand with a queue's messages (Java: `BloomFilter`,
//! `BloomFilterData`, `BitsArray`): each group has a few positions, and a message has the bits of
//! all groups whose expression was true when it was stored.

use std::fmt;

/// How positions are given to names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bloom {
    hashes: i32,
    bits: i32,
}

/// Why there is no such filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BloomError;

impl fmt::Display for BloomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an error rate of 1 to 99 per cent and at least one name were expected, and not more \
             than 2147483647 bits for them",
        )
    }
}

impl std::error::Error for BloomError {}

impl Bloom {
    /// For a number of names, and how many of a hundred looks may find one that is not there.
    ///
    /// # Errors
    /// When Java refuses these numbers.
    pub fn new(error_percent: i32, names: i32) -> Result<Self, BloomError> {
        if !(1..100).contains(&error_percent) || names < 1 {
            return Err(BloomError);
        }
        let log = |base: f64, number: f64| number.ln() / base.ln();
        let rate = f64::from(error_percent) / 100.0;
        let hashes = log(0.5, rate).ceil() as i32;
        let bits = (f64::from(names) * log(2.0, 1.0 / rate) * log(2.0, std::f64::consts::E)).ceil();
        let bits = 8.0 * (bits / 8.0).ceil();
        if hashes < 1 || bits > f64::from(i32::MAX) {
            return Err(BloomError);
        }
        Ok(Self { hashes, bits: bits as i32 })
    }

    /// How many bits a message has.
    pub fn bits(self) -> i32 {
        self.bits
    }

    /// The positions of a name.
    pub fn positions(self, name: &str) -> Vec<i32> {
        let hash = murmur3(name.as_bytes());
        let (low, high) = (hash as i32, (hash >> 32) as i32);
        let position = |turn: i32| {
            let mixed = low.wrapping_add(turn.wrapping_mul(high));
            (if mixed < 0 { !mixed } else { mixed }) % self.bits
        };
        (1..=self.hashes).map(position).collect()
    }

    /// The bits of a message that nobody wants; [`set`] adds names to them.
    pub fn blank(self) -> Vec<u8> {
        vec![0; usize::try_from(self.bits / 8).unwrap_or(0)]
    }

    /// Whether positions that were kept are of this filter, by their number and the number of bits.
    pub fn is_own(self, positions: &[i32], bits: i32) -> bool {
        bits == self.bits && i32::try_from(positions.len()) == Ok(self.hashes)
    }
}

/// Adds a name to bits, by its positions; what lies behind them is passed over.
pub fn set(bits: &mut [u8], positions: &[i32]) {
    for (at, mask) in positions.iter().filter_map(|position| place(*position)) {
        if let Some(byte) = bits.get_mut(at) {
            *byte |= mask;
        }
    }
}

/// Whether bits may have a name, by its positions.
pub fn has_all(bits: &[u8], positions: &[i32]) -> bool {
    let has = |(at, mask): (usize, u8)| bits.get(at).is_none_or(|byte| byte & mask != 0);
    positions.iter().filter_map(|position| place(*position)).all(has)
}

/// The byte of a position, and its bit there.
fn place(position: i32) -> Option<(usize, u8)> {
    let position = usize::try_from(position).ok()?;
    Some((position / 8, 1 << (position % 8)))
}

/// The first half of MurmurHash3 for 64-bit machines with 128 bits, seed 0.
fn murmur3(bytes: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let both = u128::from_be_bytes(*block).swap_bytes();
        h1 ^= mix1(both as u64);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2((both >> 64) as u64);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    let both = u128::from_be_bytes(last).swap_bytes();
    h1 ^= mix1(both as u64);
    h2 ^= mix2((both >> 64) as u64);
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

fn finish(mut k: u64) -> u64 {
    k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_java() {
        let bloom = Bloom::new(20, 32).unwrap();
        assert_eq!(bloom, Bloom { hashes: 3, bits: 112 });
        // Printed by the stock 5.5.0 classes.
        assert_eq!(bloom.positions("G#T"), [24, 26, 83]);
        assert_eq!(bloom.positions("a-longer-group-name-é#and-its-topic"), [50, 91, 9]);
        assert_eq!(bloom.positions("0123456789abcdef"), [11, 47, 60]);
        let large = Bloom::new(1, 1_000).unwrap();
        assert_eq!(large, Bloom { hashes: 7, bits: 9_592 });
        assert_eq!(large.positions("G#T"), [632, 7_738, 4_339, 8_182, 3_895, 8_626, 6_140]);
        assert!(bloom.is_own(&[1, 2, 3], 112) && !bloom.is_own(&[1, 2, 3], 120));
        assert!(!bloom.is_own(&[1, 2], 112));
    }

    #[test]
    fn bits_have_the_names_that_were_added_and_rarely_another() {
        let bloom = Bloom::new(20, 32).unwrap();
        let mut bits = bloom.blank();
        assert_eq!(bits, [0; 14]);
        set(&mut bits, &[24, 26, 83]);
        // The lowest bit of a byte comes first.
        assert_eq!(bits, [0, 0, 0, 0b101, 0, 0, 0, 0, 0, 0, 0b1000, 0, 0, 0]);
        assert!(has_all(&bits, &[24, 26, 83]) && has_all(&bits, &[83]));
        assert!(!has_all(&bits, &[24, 27, 83]));
        assert!(has_all(&bits, &[112, -1]), "what cannot be told is not denied");
        let names: Vec<_> = (0..1_000).map(|name| bloom.positions(&format!("{name}"))).collect();
        names[..32].iter().for_each(|name| set(&mut bits, name));
        assert!(names[..32].iter().all(|name| has_all(&bits, name)));
        let seeming = names[32..].iter().filter(|name| has_all(&bits, name)).count();
        assert!((1..400).contains(&seeming), "{seeming}");
    }

    #[test]
    fn senseless_numbers_are_refused() {
        for (percent, names) in [(0, 1), (100, 1), (20, 0), (20, i32::MAX)] {
            assert_eq!(Bloom::new(percent, names), Err(BloomError));
        }
    }
}
