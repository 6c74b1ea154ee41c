//! Java's `String.hashCode`, which names index slots and consume-queue tags.

/// `String.hashCode` of `text`: `31 * h + unit` over UTF-16 code units, wrapping.
pub fn java_hash(text: &str) -> i32 {
    java_hash_from(0, text)
}

/// Goes on from the hash of what stood before: `java_hash_from(java_hash(a), b)` is the hash of
/// `a` followed by `b`.
pub fn java_hash_from(before: i32, text: &str) -> i32 {
    match text.is_ascii() {
        true => of_ascii(before, text.as_bytes()),
        false => of_units(before, text),
    }
}

/// The same for bytes that may be no text; of those there is none.
pub fn java_hash_of(before: i32, bytes: &[u8]) -> Option<i32> {
    match bytes.is_ascii() {
        true => Some(of_ascii(before, bytes)),
        false => std::str::from_utf8(bytes).ok().map(|text| of_units(before, text)),
    }
}

const fn step(hash: i32, unit: i32) -> i32 {
    hash.wrapping_mul(31).wrapping_add(unit)
}

fn of_ascii(before: i32, bytes: &[u8]) -> i32 {
    // Four at a time, so that one multiplication need not wait for the one before it.
    const POWERS: [i32; 4] = [31 * 31 * 31, 31 * 31, 31, 1];
    let (fours, rest) = bytes.as_chunks::<4>();
    let hash = fours.iter().fold(before, |hash, four| {
        let [a, b, c, d] = std::array::from_fn(|at| i32::from(four[at]) * POWERS[at]);
        hash.wrapping_mul(31 * POWERS[0]).wrapping_add(a + b + c + d)
    });
    rest.iter().fold(hash, |hash, byte| step(hash, i32::from(*byte)))
}

fn of_units(before: i32, text: &str) -> i32 {
    text.encode_utf16().fold(before, |hash, unit| step(hash, i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_java() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("TagA"), 2_598_919);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        // "é" is U+00E9, "𝄞" is the surrogate pair D834 DD1E.
        assert_eq!(java_hash("é"), 0xE9);
        assert_eq!(java_hash("𝄞"), 31 * 0xD834 + 0xDD1E);
        assert_eq!(java_hash_from(java_hash("Topic#"), "k1"), java_hash("Topic#k1"));
        for text in ["k1", "é𝄞"] {
            assert_eq!(java_hash_of(7, text.as_bytes()), Some(java_hash_from(7, text)));
        }
        assert_eq!(java_hash_of(0, b"\xff"), None);
    }
}
