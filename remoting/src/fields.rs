//! `Fields`: the flat string map (`extFields`) of one command. Typed headers are read from it and
//! written to it by [`crate::flat`]; it keeps keys that no table knows, in the order of arrival.
//!
//! All keys and values lie in one text: that of a command that arrived is the frame's own, that of
//! one in the making has room for an answer without allocating, and is what the JSON form writes of
//! it.

use message::{Str, scan};
use smallvec::SmallVec;
use std::fmt;
use std::ops::Range;

/// Fields that need no room of their own: as many as a send has.
const INLINE: usize = 16;
/// Bytes of keys and values that need no room of their own: more than the answer to a send has.
const INLINE_TEXT: usize = 256;

/// The ext fields of one command, in the order in which they arrived or were set.
#[derive(Clone, Default)]
pub struct Fields {
    text: Text,
    spans: Spans,
}

/// The text of fields that arrived can be lent; that of fields that are being set can grow.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a box would cost an allocation for each answer")]
enum Text {
    Arrived(Str),
    Growing(Growing),
}

/// Text that is being written, as a JSON object without its last bracket: what does not fit the
/// room it has goes, with all before it, to room of its own.
#[derive(Clone, Debug)]
pub struct Growing {
    room: [u8; INLINE_TEXT],
    len: usize,
    more: Vec<u8>,
    /// Something stands there that JSON writes in another way.
    is_other: bool,
}

impl Growing {
    /// Appends a text.
    pub fn push_str(&mut self, text: &str) {
        self.is_other |= needs_escape(text);
        self.push(text.as_bytes());
    }

    /// Appends a number in decimal.
    pub fn push_number(&mut self, number: i64) {
        self.push(Decimal::of(number).as_bytes());
    }

    /// Begins a member with its key, which needs no escape, and the quote of its value.
    #[inline]
    fn begin(&mut self, key: &[u8]) {
        let bracket = if self.len == 0 { b'{' } else { b',' };
        let (before, rest) = self.grow(key.len() + 5).split_at_mut(2);
        let (name, behind) = rest.split_at_mut(key.len());
        before.copy_from_slice(&[bracket, b'"']);
        name.copy_from_slice(key);
        behind.copy_from_slice(b"\":\"");
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        self.grow(text.len()).copy_from_slice(text);
    }

    /// Room for so many more bytes, which then belong to the text.
    #[inline]
    fn grow(&mut self, bytes: usize) -> &mut [u8] {
        let from = self.len;
        self.len += bytes;
        match self.more.is_empty() && self.len <= INLINE_TEXT {
            true => &mut self.room[from..self.len],
            false => self.grow_more(from),
        }
    }

    #[cold]
    fn grow_more(&mut self, from: usize) -> &mut [u8] {
        if self.more.is_empty() {
            self.more.extend_from_slice(&self.room[..from]);
        }
        self.more.resize(self.len, 0);
        &mut self.more[from..]
    }

    fn bytes(&self) -> &[u8] {
        if self.more.is_empty() { &self.room[..self.len] } else { &self.more }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("nothing but whole texts was pushed")
    }
}

/// Whether JSON writes some of a text as escapes.
fn needs_escape(text: &str) -> bool {
    let marks = |eight| scan::below(eight, 0x20) | scan::has(eight, b'"') | scan::has(eight, b'\\');
    scan::holds(text.as_bytes(), marks, |byte| matches!(byte, 0..=0x1f | b'"' | b'\\'))
}

impl Default for Growing {
    fn default() -> Self {
        Self { room: [0; INLINE_TEXT], len: 0, more: Vec::new(), is_other: false }
    }
}

impl Text {
    /// Room for more: an arrived text is copied to it.
    fn growing(&mut self) -> &mut Growing {
        if let Self::Arrived(text) = self {
            let mut growing = Growing { is_other: true, ..Growing::default() };
            growing.push_str(text);
            *self = Self::Growing(growing);
        }
        match self {
            Self::Growing(text) => text,
            Self::Arrived(_) => unreachable!("an arrived text was made a growing one above"),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Arrived(text) => text,
            Self::Growing(text) => text.as_str(),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Arrived(text) => text.as_bytes(),
            Self::Growing(text) => text.bytes(),
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Growing(Growing::default())
    }
}

/// Where the keys and values of fields lie in their text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(SmallVec<[Span; INLINE]>);

#[derive(Clone, Copy, Debug)]
struct Span {
    key: (u32, u32),
    value: (u32, u32),
}

impl Spans {
    /// One more pair.
    pub(crate) fn push(&mut self, key: Range<usize>, value: Range<usize>) {
        let range = |of: Range<usize>| (of.start as u32, of.end as u32);
        assert!(value.end <= u32::MAX as usize, "a header is far smaller than 4 GiB");
        self.0.push(Span { key: range(key), value: range(value) });
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A number as decimal digits.
pub(crate) struct Decimal {
    digits: [u8; 20],
    from: usize,
}

impl Decimal {
    pub(crate) fn of(number: i64) -> Self {
        /// The numbers below 100, two digits each.
        const PAIRS: [[u8; 2]; 100] = {
            let (mut pairs, mut at) = ([[0; 2]; 100], 0);
            while at < 100 {
                pairs[at] = [b'0' + at as u8 / 10, b'0' + at as u8 % 10];
                at += 1;
            }
            pairs
        };
        let mut text = Self { digits: [b'-'; 20], from: 20 };
        let mut rest = number.unsigned_abs();
        while rest >= 10 {
            text.from -= 2;
            text.digits[text.from..text.from + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        if rest > 0 || text.from == 20 {
            text.from -= 1;
            text.digits[text.from] = b'0' + rest as u8;
        }
        text.from -= usize::from(number < 0);
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.from..]
    }

    /// The number that decimal digits, with or without a sign, say.
    pub(crate) fn parse(text: &[u8]) -> Option<i64> {
        let (is_negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.is_empty() {
            return None;
        }
        // Counted downwards, for there is one negative number more.
        let mut number = 0_i64;
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number.checked_mul(10)?.checked_sub(digit.into())?;
        }
        if is_negative { Some(number) } else { number.checked_neg() }
    }
}

impl Fields {
    /// No fields; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair behind those that are there; of equal keys the last one counts.
    pub fn push(&mut self, key: impl AsRef<str>, value: impl AsRef<str>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        let is_other = needs_escape(key);
        self.push_with(key, |text| {
            text.is_other |= is_other;
            text.push_str(value);
        });
    }

    /// The same with a value that writes itself, and a key of a table, which needs no escape.
    #[inline]
    pub(crate) fn push_with(&mut self, key: &str, write: impl FnOnce(&mut Growing)) {
        let text = self.text.growing();
        text.begin(key.as_bytes());
        let value = text.len;
        write(text);
        let end = text.len;
        text.push(b"\"");
        let key_end = value - 3;
        self.spans.push(key_end - key.len()..key_end, value..end);
    }

    /// The value of `key`, as Java's map would hold it: the last one given.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().filter(|(name, _)| *name == key).last().map(|(_, value)| value)
    }

    /// A value of these fields as text of its own, which shares the buffer that it arrived in.
    pub fn lend(&self, value: &str) -> Str {
        match &self.text {
            Text::Arrived(text) => text.slice_ref(value),
            Text::Growing(_) => Str::from(value),
        }
    }

    /// All pairs as a JSON object without its last bracket, where they lie like that.
    pub(crate) fn as_json(&self) -> Option<&[u8]> {
        match &self.text {
            Text::Growing(text) if !text.is_other => Some(text.bytes()),
            _ => None,
        }
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.text.as_str();
        self.spans.0.iter().map(|span| (part(text, span.key), part(text, span.value)))
    }

    /// The bytes of all keys, and where their values lie.
    #[inline]
    pub(crate) fn places(&self) -> impl Iterator<Item = (&[u8], (u32, u32))> {
        let text = self.text.bytes();
        let key = |(start, end): (u32, u32)| &text[start as usize..end as usize];
        self.spans.0.iter().map(move |span| (key(span.key), span.value))
    }

    /// The bytes of the value at a place.
    #[inline]
    pub(crate) fn bytes_at(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.text.bytes()[start as usize..end as usize]
    }

    /// The value at a place.
    pub(crate) fn text_at(&self, place: (u32, u32)) -> &str {
        part(self.text.as_str(), place)
    }

    /// How many pairs there are, doubles included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no pair at all.
    pub fn is_empty(&self) -> bool {
        self.spans.0.is_empty()
    }

    /// The fields whose keys and values lie in `text` where `spans` says.
    #[inline]
    pub(crate) fn arrived(text: Str, spans: Spans) -> Self {
        Self { text: Text::Arrived(text), spans }
    }

    /// The same of bytes that are not all UTF-8, such as keys in GBK: Java reads U+FFFD for each of
    /// those that are not.
    #[cold]
    pub(crate) fn garbled(bytes: &[u8], spans: &Spans) -> Self {
        let part = |(start, end): (u32, u32)| {
            String::from_utf8_lossy(&bytes[start as usize..end as usize])
        };
        let mut fields = Self::new();
        for span in &spans.0 {
            fields.push(part(span.key), part(span.value));
        }
        fields
    }
}

fn part(text: &str, (start, end): (u32, u32)) -> &str {
    &text[start as usize..end as usize]
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_order_and_the_last_of_equal_keys_counts() {
        let mut fields = Fields::new();
        for (key, value) in [("a", "1"), ("", ""), ("b", "\u{4e2d}"), ("a", "2")] {
            fields.push(key, value);
        }
        assert_eq!(fields.len(), 4);
        assert_eq!(fields.get("a"), Some("2"));
        assert_eq!(fields.get(""), Some(""));
        assert_eq!(fields.get("c"), None);
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [("a", "1"), ("", ""), ("b", "\u{4e2d}"), ("a", "2")]);
    }

    #[test]
    fn arrived_fields_lend_their_text_and_can_grow() {
        let mut spans = Spans::default();
        spans.push(0..1, 2..4);
        spans.push(5..6, 6..6);
        let mut fields = Fields::arrived("a xy b".into(), spans);
        let lent = fields.lend(fields.get("a").unwrap());
        fields.push("c", "z");
        assert_eq!(lent, "xy");
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [("a", "xy"), ("b", ""), ("c", "z")]);
    }
    #[test]
    fn more_text_than_there_is_room_for_finds_other_room() {
        let mut fields = Fields::new();
        let long = "x".repeat(INLINE_TEXT);
        for (key, value) in [("a", "1"), ("long", &long), ("b", "2")] {
            fields.push(key, value);
        }
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [("a", "1"), ("long", &long[..]), ("b", "2")]);
    }

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        for number in [0, 7, -1, 10, 1_234_567_890_123, i64::MAX, i64::MIN] {
            let text = number.to_string();
            assert_eq!(Decimal::of(number).as_bytes(), text.as_bytes());
            assert_eq!(Decimal::parse(text.as_bytes()), Some(number));
        }
        assert_eq!(Decimal::parse(b"+7"), Some(7));
        for wrong in
            ["", "-", "+", "1x", " 1", "--1", "9223372036854775808", "-9223372036854775809"]
        {
            assert_eq!(Decimal::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
