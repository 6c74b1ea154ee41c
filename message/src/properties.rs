//! The property string of a message: `key \u{1} value \u{2}` repeated. Finding without allocating,
//! and an editable list. What the names mean stands in [`crate::property`].
//!
//! Rules of Java's `MessageDecoder`: a chunk between separators counts when its first `\u{1}` has
//! at least one character on each side (so empty values are dropped), a value may hold further
//! `\u{1}`, and of equal keys the last one wins. The last separator may be missing (4.9.1 to
//! 5.1.4).

use crate::{Str, scan};
use bytes::{BufMut, Bytes};

/// Stands between a key and its value.
pub const NAME_VALUE_SEPARATOR: u8 = 1;
/// Ends a pair.
pub const PAIR_SEPARATOR: u8 = 2;
/// The longest encoded string that a record can hold (its length field is an `i16`).
pub const MAX_ENCODED_LEN: usize = i16::MAX as usize;

/// The pairs of an encoded string in order, as bytes; nothing that Java would ignore.
#[inline]
pub fn pairs(encoded: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = encoded;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let Some(middle) = separator(rest) else { break };
            let (key, behind) = (&rest[..middle], &rest[middle + 1..]);
            if rest[middle] == PAIR_SEPARATOR {
                rest = behind;
                continue;
            }
            let end = scan::find_byte(behind, PAIR_SEPARATOR).unwrap_or(behind.len());
            rest = behind.get(end + 1..).unwrap_or_default();
            if !key.is_empty() && end > 0 {
                return Some((key, &behind[..end]));
            }
        }
        None
    })
}

/// Where the first separator of either kind stands.
#[inline]
fn separator(text: &[u8]) -> Option<usize> {
    let marks = |eight| scan::has(eight, NAME_VALUE_SEPARATOR) | scan::has(eight, PAIR_SEPARATOR);
    scan::find(text, marks, |byte| matches!(byte, NAME_VALUE_SEPARATOR | PAIR_SEPARATOR))
}

/// What stands between the separators of pairs.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = scan::find_byte(rest, PAIR_SEPARATOR).unwrap_or(rest.len());
        let chunk = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(chunk)
    })
}

/// The value of `key`, or `None` when it is missing, empty or not UTF-8.
pub fn find<'a>(encoded: &'a [u8], key: &str) -> Option<&'a str> {
    let value = |chunk: &'a [u8]| {
        let value = chunk.strip_prefix(key.as_bytes())?.strip_prefix(&[NAME_VALUE_SEPARATOR])?;
        (!key.is_empty() && !value.is_empty()).then_some(value)
    };
    let found = chunks(encoded).filter_map(value).last();
    found.and_then(|value| std::str::from_utf8(value).ok())
}

/// An editable list of properties that keeps the order in which they were set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pairs: Vec<(Str, Str)>,
}

impl Properties {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an encoded string. Text that is not UTF-8 is read as Java reads it, with U+FFFD.
    pub fn parse(encoded: &[u8]) -> Self {
        let mut all = Self::new();
        for (key, value) in pairs(encoded) {
            all.set(text(key), text(value));
        }
        all
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| *name == *key).map(|(_, value)| &**value)
    }

    /// Whether `key` is set.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets `key`, replacing an earlier value in its place.
    pub fn set(&mut self, key: impl Into<Str>, value: impl Into<Str>) {
        let (key, value) = (key.into(), value.into());
        match self.pairs.iter_mut().find(|(name, _)| *name == key) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((key, value)),
        }
    }

    /// Removes `key` and returns what it was.
    pub fn remove(&mut self, key: &str) -> Option<Str> {
        let at = self.pairs.iter().position(|(name, _)| *name == *key)?;
        Some(self.pairs.remove(at).1)
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The encoded string as Java 5 writes it: every pair ends with a separator.
    pub fn encode(&self) -> Bytes {
        let len = self.pairs.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        let mut out = Vec::with_capacity(len);
        for (key, value) in &self.pairs {
            push_pair(&mut out, key, value);
        }
        out.into()
    }
}

impl<K: Into<Str>, V: Into<Str>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut all = Self::new();
        pairs.into_iter().for_each(|(key, value)| all.set(key, value));
        all
    }
}

/// Appends one pair to an encoded string, which must be empty or end with a separator.
pub fn push_pair(out: &mut impl BufMut, key: &str, value: &str) {
    out.put_slice(key.as_bytes());
    out.put_u8(NAME_VALUE_SEPARATOR);
    out.put_slice(value.as_bytes());
    out.put_u8(PAIR_SEPARATOR);
}

fn text(bytes: &[u8]) -> Str {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_as_java_parses() {
        let check = |encoded: &str, expected: &[(&str, &str)]| {
            let read = Properties::parse(encoded.as_bytes());
            assert_eq!(read.iter().collect::<Vec<_>>(), expected, "{encoded:?}");
            for (key, value) in expected {
                assert_eq!(find(encoded.as_bytes(), key), Some(*value), "{encoded:?}");
            }
        };
        check("", &[]);
        check("\u{2}\u{2}", &[]);
        check("a\u{1}b\u{2}", &[("a", "b")]);
        check("a\u{1}b\u{2}c\u{1}d", &[("a", "b"), ("c", "d")]);
        check("a\u{1}b\u{1}c\u{2}", &[("a", "b\u{1}c")]);
        check("a\u{1}\u{2}\u{1}b\u{2}c\u{2}x\u{1}y", &[("x", "y")]);
        check("a\u{1}1\u{2}b\u{1}2\u{2}a\u{1}3\u{2}", &[("a", "3"), ("b", "2")]);
    }

    #[test]
    fn edits_keep_the_order() {
        let mut all: Properties = [("a", "1"), ("b", "2"), ("c", "3")].into_iter().collect();
        all.set("b", "9");
        assert_eq!(all.remove("a").as_deref(), Some("1"));
        assert_eq!(all.remove("a"), None);
        assert_eq!(all.len(), 2);
        assert_eq!(&all.encode()[..], b"b\x019\x02c\x013\x02");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_panic() {
        let encoded = b"a\x01\xff\x02b\x01ok\x02";
        assert_eq!(find(encoded, "a"), None);
        assert_eq!(find(encoded, "b"), Some("ok"));
        assert_eq!(Properties::parse(encoded).get("a"), Some("\u{fffd}"));
    }
}
