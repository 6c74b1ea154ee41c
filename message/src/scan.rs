//! Looking for bytes in short texts, eight at a time: a call into a library costs more than it
//! saves where most texts have a few dozen bytes.

/// Eight bytes as a number whose lowest byte is the first of them.
#[inline]
pub const fn first_lowest(eight: &[u8; 8]) -> u64 {
    u64::from_be_bytes(*eight).swap_bytes()
}

/// The same byte eight times.
const fn each(byte: u8) -> u64 {
    u64::from_be_bytes([byte; 8])
}

/// Marks, by their highest bits, the bytes below `limit`, which is at most 128; and it may mark
/// others above one of them. The lowest mark is right.
pub const fn below(eight: u64, limit: u8) -> u64 {
    eight.wrapping_sub(each(limit)) & !eight & each(0x80)
}

/// The same for the bytes that are `byte`.
pub const fn has(eight: u64, byte: u8) -> u64 {
    below(eight ^ each(byte), 1)
}

/// Whether a byte is there for which `is` holds; `marks` marks those among eight.
#[inline]
pub fn holds(text: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> bool {
    let Some(last) = text.last_chunk() else { return text.iter().any(|byte| is(*byte)) };
    let is_marked = |eight: &[u8; 8]| marks(first_lowest(eight)) != 0;
    // The last eight may be looked at twice.
    text.as_chunks().0.iter().any(is_marked) || is_marked(last)
}

/// Whether `byte` is there.
#[inline]
pub fn holds_byte(text: &[u8], byte: u8) -> bool {
    holds(text, |eight| has(eight, byte), |one| one == byte)
}

/// Where `byte` stands first.
#[inline]
pub fn find_byte(text: &[u8], byte: u8) -> Option<usize> {
    find(text, |eight| has(eight, byte), |one| one == byte)
}

/// Where the first byte stands for which `is` holds; `marks` marks those among eight.
#[inline]
pub fn find(text: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> Option<usize> {
    let (eights, _) = text.as_chunks::<8>();
    let mut from = 0;
    for eight in eights {
        let marked = marks(first_lowest(eight));
        if marked != 0 {
            return Some(from + marked.trailing_zeros() as usize / 8);
        }
        from += 8;
    }
    text[from..].iter().position(|byte| is(*byte)).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_seen_at_every_place() {
        let is = |byte: u8| byte < 0x20 || byte == b'"';
        let marks = |eight| below(eight, 0x20) | has(eight, b'"');
        for byte in 0..=255 {
            for at in 0..20 {
                for other in [b'~', b'#', b' ', b'!'] {
                    let mut text = [other; 20];
                    text[at] = byte;
                    let expected = text.iter().position(|byte| is(*byte));
                    assert_eq!(find(&text, marks, is), expected, "{byte} at {at} in {other}");
                    assert_eq!(holds(&text[5..], marks, is), expected >= Some(5));
                }
            }
        }
    }
}
