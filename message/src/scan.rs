//! Looking for bytes in short texts, eight at a time: a call into a library costs more than it
//! saves where most texts have a few dozen bytes.

/// The same byte eight times.
const fn each(byte: u8) -> u64 {
    u64::from_be_bytes([byte; 8])
}

/// Not 0 when one of the eight bytes is below `limit`, which is at most 128.
pub const fn below(eight: u64, limit: u8) -> u64 {
    eight.wrapping_sub(each(limit)) & !eight & each(0x80)
}

/// Not 0 when one of the eight bytes is `byte`.
pub const fn has(eight: u64, byte: u8) -> u64 {
    below(eight ^ each(byte), 1)
}

/// Where `byte` stands first.
pub fn find_byte(text: &[u8], byte: u8) -> Option<usize> {
    find(text, |eight| has(eight, byte) != 0, |one| one == byte)
}

/// Where the first byte stands for which `is` holds; `any` says whether there is one among eight.
pub fn find(text: &[u8], any: impl Fn(u64) -> bool, is: impl Fn(u8) -> bool) -> Option<usize> {
    let (eights, _) = text.as_chunks::<8>();
    let clean = eights.iter().take_while(|eight| !any(u64::from_be_bytes(**eight))).count();
    let from = clean * 8;
    text[from..].iter().position(|byte| is(*byte)).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_seen_at_every_place() {
        let is = |byte: u8| byte < 0x20 || byte == b'"';
        let any = |eight| below(eight, 0x20) | has(eight, b'"') != 0;
        for byte in 0..=255 {
            for at in 0..20 {
                let mut text = [b'~'; 20];
                text[at] = byte;
                assert_eq!(find(&text, any, is), is(byte).then_some(at), "{byte} at {at}");
            }
        }
    }
}
