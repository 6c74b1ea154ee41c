//! `Fields`: the flat string map (`extFields`) of one command. Typed headers are read from it and
//! written to it by [`crate::flat`]; it keeps keys that no table knows, in the order of arrival.
//!
//! All keys and values lie in one text: that of a command that arrived is the frame's own, that of
//! one in the making has room for an answer without allocating.

use message::Str;
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

/// Text that is being written: what does not fit the room it has goes, with all before it, to room
/// of its own.
#[derive(Clone, Debug)]
pub struct Growing {
    room: [u8; INLINE_TEXT],
    used: usize,
    more: Vec<u8>,
}

impl Growing {
    /// Appends a text.
    pub fn push_str(&mut self, text: &str) {
        self.push(text.as_bytes());
    }

    /// Appends a number in decimal.
    pub fn push_number(&mut self, number: i64) {
        self.push(Decimal::of(number).as_bytes());
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        let end = self.used + text.len();
        match self.room.get_mut(self.used..end) {
            Some(room) if self.more.is_empty() => {
                room.copy_from_slice(text);
                self.used = end;
            }
            _ => self.push_more(text),
        }
    }

    #[cold]
    fn push_more(&mut self, text: &[u8]) {
        if self.more.is_empty() {
            self.more.extend_from_slice(&self.room[..self.used]);
        }
        self.more.extend_from_slice(text);
    }

    fn bytes(&self) -> &[u8] {
        if self.more.is_empty() { &self.room[..self.used] } else { &self.more }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("nothing but whole texts was pushed")
    }
}

impl Default for Growing {
    fn default() -> Self {
        Self { room: [0; INLINE_TEXT], used: 0, more: Vec::new() }
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
        let mut text = Self { digits: [b'-'; 20], from: 20 };
        let mut rest = number.unsigned_abs();
        loop {
            text.from -= 1;
            text.digits[text.from] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
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
        self.push_with(key.as_ref(), |text| text.push_str(value.as_ref()));
    }

    /// The same with a value that writes itself.
    pub fn push_with(&mut self, key: &str, write: impl FnOnce(&mut Growing)) {
        if let Text::Arrived(text) = &self.text {
            let mut growing = Growing::default();
            growing.push_str(text);
            self.text = Text::Growing(growing);
        }
        let Text::Growing(text) = &mut self.text else {
            unreachable!("an arrived text was made a growing one above");
        };
        let start = text.bytes().len();
        text.push_str(key);
        let middle = text.bytes().len();
        write(text);
        self.spans.push(start..middle, middle..text.bytes().len());
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

    /// The bytes that hold all keys and values, and may hold others.
    pub(crate) fn all_text(&self) -> &[u8] {
        match &self.text {
            Text::Arrived(text) => text.as_bytes(),
            Text::Growing(text) => text.bytes(),
        }
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text: &str = match &self.text {
            Text::Arrived(text) => text,
            Text::Growing(text) => text.as_str(),
        };
        let part = |(start, end): (u32, u32)| &text[start as usize..end as usize];
        self.spans.0.iter().map(move |span| (part(span.key), part(span.value)))
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
