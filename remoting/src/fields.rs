//! `Fields`: the flat string map (`extFields`) of one command. Typed headers are read from it and
//! written to it by [`crate::flat`]; it keeps keys that no table knows, in the order of arrival.
//!
//! All keys and values lie in one text: that of a command that arrived is the frame's own, that of
//! one in the making lies in room that a thread keeps from one answer to the next, and is what the
//! JSON form writes of it.

use message::{Str, scan};
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// Rooms that a thread keeps for the fields of requests and answers to come, as many as a batch of
/// requests has at a time.
const SPARE_ROOMS: usize = 512;
/// Bytes of a room that is kept; a larger one is given back to the allocator.
const KEPT_BYTES: usize = 4 << 10;

thread_local! {
    /// Rooms that nobody uses now. To take one from here costs less than to ask the allocator, and
    /// much less than to carry its bytes around in each request and answer.
    #[expect(clippy::vec_box, reason = "fields hold the box")]
    static SPARE: RefCell<Vec<Box<Growing>>> = const { RefCell::new(Vec::new()) };
}

/// The ext fields of one command, in the order in which they arrived or were set.
#[derive(Clone, Default)]
pub struct Fields {
    /// The text of fields that arrived, which is lent; that of those that are being set grows in
    /// the room.
    arrived: Option<Str>,
    /// Where the keys and values lie. No fields need none.
    room: Spans,
}

/// Where the keys and values of fields lie in their text.
#[derive(Debug, Default)]
pub(crate) struct Spans(Option<Box<Growing>>);

/// Where a key and its value lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    key: (u32, u32),
    value: (u32, u32),
}

/// Fields that are being set: where they lie, and their text.
#[derive(Clone, Debug, Default)]
pub struct Growing {
    spans: Vec<Span>,
    /// The members of a JSON object, each as [`member`] begins it and without the quote behind it,
    /// which the next one brings.
    bytes: Vec<u8>,
    /// Something stands there that JSON writes in another way.
    is_other: bool,
}

impl Span {
    #[inline]
    pub(crate) fn of(key: Range<usize>, value: Range<usize>) -> Self {
        let range = |of: Range<usize>| (of.start as u32, of.end as u32);
        assert!(value.end <= u32::MAX as usize, "a header is far smaller than 4 GiB");
        Self { key: range(key), value: range(value) }
    }
}

impl Spans {
    fn room(&mut self) -> &mut Growing {
        let spare = || SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        self.0.get_or_insert_with(|| spare().unwrap_or_default())
    }

    fn all(&self) -> &[Span] {
        self.0.as_ref().map_or(&[], |room| &room.spans)
    }

    /// Where the last one ends.
    pub(crate) fn end(&self) -> usize {
        self.all().last().map_or(0, |last| last.value.1 as usize)
    }

    /// Where those of fields that arrive are noted.
    pub(crate) fn list(&mut self) -> &mut Vec<Span> {
        &mut self.room().spans
    }
}

impl Drop for Spans {
    /// Leaves the room to the fields that come next on this thread.
    fn drop(&mut self) {
        let Some(mut room) = self.0.take() else { return };
        if room.spans.capacity() * size_of::<Span>() + room.bytes.capacity() > KEPT_BYTES {
            return;
        }
        room.spans.clear();
        room.bytes.clear();
        room.is_other = false;
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_ROOMS {
                spare.push(room);
            }
        });
    }
}

impl Clone for Spans {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        if let Some(room) = &self.0 {
            clone.room().clone_from(room);
        }
        clone
    }
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

    /// Appends a text of ours, which needs no escape.
    pub(crate) fn push_plain(&mut self, text: &'static str) {
        self.push(text.as_bytes());
    }

    /// Adds a member that [`member`] has begun, with a value that writes itself.
    #[inline]
    pub(crate) fn push_member(&mut self, begun: &[u8], write: impl FnOnce(&mut Self)) {
        self.push(begun);
        self.push_value(begun.len() - BEFORE_KEY.len() - BEHIND_KEY.len(), write);
    }

    /// Adds the value of a member whose key has so many bytes.
    #[inline]
    fn push_value(&mut self, key_bytes: usize, write: impl FnOnce(&mut Self)) {
        let value = self.bytes.len();
        write(self);
        let key_end = value - BEHIND_KEY.len();
        self.spans.push(Span::of(key_end - key_bytes..key_end, value..self.bytes.len()));
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
    }
}

/// What stands between the value of one member and the key of the next.
const BEFORE_KEY: &[u8; 3] = b"\",\"";
/// What stands between a member's key and its value.
const BEHIND_KEY: &[u8; 3] = b"\":\"";

/// How a member begins whose key is a table's and needs no escape: `N` is its length and six.
pub const fn member<const N: usize>(key: &str) -> [u8; N] {
    let (key, mut begun, mut at) = (key.as_bytes(), [0; N], 0);
    assert!(N == key.len() + BEFORE_KEY.len() + BEHIND_KEY.len());
    while at < N {
        begun[at] = match at {
            0..3 => BEFORE_KEY[at],
            _ if at < 3 + key.len() => key[at - 3],
            _ => BEHIND_KEY[at - 3 - key.len()],
        };
        at += 1;
    }
    begun
}

/// Whether JSON writes some of a text as escapes.
fn needs_escape(text: &str) -> bool {
    let marks = |eight| scan::below(eight, 0x20) | scan::has(eight, b'"') | scan::has(eight, b'\\');
    scan::holds(text.as_bytes(), marks, |byte| matches!(byte, 0..=0x1f | b'"' | b'\\'))
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
        let (key, value, out) = (key.as_ref(), value.as_ref(), self.grow());
        out.push(BEFORE_KEY);
        out.push_str(key);
        out.push(BEHIND_KEY);
        out.push_value(key.len(), |out| out.push_str(value));
    }

    /// Where more are added.
    #[inline]
    pub fn grow(&mut self) -> &mut Growing {
        if self.arrived.is_some() {
            self.copy_arrived();
        }
        self.room.room()
    }

    /// Copies a text that arrived to where more can be written behind it.
    #[cold]
    fn copy_arrived(&mut self) {
        if let Some(arrived) = self.arrived.take() {
            let room = self.room.room();
            room.push(arrived.as_bytes());
            room.is_other = true;
        }
    }

    fn bytes(&self) -> &[u8] {
        match (&self.arrived, &self.room.0) {
            (Some(text), _) => text.as_bytes(),
            (None, Some(room)) => &room.bytes,
            (None, None) => &[],
        }
    }

    fn text(&self) -> &str {
        match &self.arrived {
            Some(text) => text,
            None => str::from_utf8(self.bytes()).expect("nothing but whole texts was pushed"),
        }
    }

    /// The value of `key`, as Java's map would hold it: the last one given.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().filter(|(name, _)| *name == key).last().map(|(_, value)| value)
    }

    /// A value of these fields as text of its own, which shares the buffer that it arrived in.
    pub fn lend(&self, value: &str) -> Str {
        match &self.arrived {
            Some(text) => text.slice_ref(value),
            None => Str::from(value),
        }
    }

    /// All pairs as the members of a JSON object without its last quote, where they lie like that.
    pub(crate) fn as_json(&self) -> Option<&[u8]> {
        // The first one begins with a quote and a comma for which there is none before it.
        const NONE_BEFORE: usize = 2;
        let room = self.room.0.as_ref().filter(|room| self.arrived.is_none() && !room.is_other)?;
        room.bytes.get(NONE_BEFORE..)
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.text();
        self.room.all().iter().map(|span| (part(text, span.key), part(text, span.value)))
    }

    /// The bytes of all keys, and where their values lie.
    #[inline]
    pub(crate) fn places(&self) -> impl Iterator<Item = (&[u8], (u32, u32))> {
        let text = self.bytes();
        let key = |(start, end): (u32, u32)| &text[start as usize..end as usize];
        self.room.all().iter().map(move |span| (key(span.key), span.value))
    }

    /// The bytes of the value at a place.
    #[inline]
    pub(crate) fn bytes_at(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.bytes()[start as usize..end as usize]
    }

    /// The value at a place.
    pub(crate) fn text_at(&self, place: (u32, u32)) -> &str {
        part(self.text(), place)
    }

    /// How many pairs there are, doubles included.
    pub fn len(&self) -> usize {
        self.room.all().len()
    }

    /// Whether there is no pair at all.
    pub fn is_empty(&self) -> bool {
        self.room.all().is_empty()
    }

    /// The fields whose keys and values lie in `text` where `spans` says.
    #[inline]
    pub(crate) fn arrived(text: Str, spans: Spans) -> Self {
        Self { arrived: Some(text), room: spans }
    }

    /// The same of bytes that are not all UTF-8, such as keys in GBK: Java reads U+FFFD for each of
    /// those that are not.
    #[cold]
    pub(crate) fn garbled(bytes: &[u8], spans: &Spans) -> Self {
        let part = |(start, end): (u32, u32)| {
            String::from_utf8_lossy(&bytes[start as usize..end as usize])
        };
        let mut fields = Self::new();
        for span in spans.all() {
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
        spans.list().extend([Span::of(0..1, 2..4), Span::of(5..6, 6..6)]);
        let mut fields = Fields::arrived("a xy b".into(), spans);
        let lent = fields.lend(fields.get("a").unwrap());
        fields.push("c", "z");
        assert_eq!(lent, "xy");
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [("a", "xy"), ("b", ""), ("c", "z")]);
    }
    #[test]
    fn more_text_than_a_room_keeps_is_held_and_given_back() {
        let mut fields = Fields::new();
        let long = "x".repeat(2 * KEPT_BYTES);
        for (key, value) in [("a", "1"), ("long", &long), ("b", "2")] {
            fields.push(key, value);
        }
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [("a", "1"), ("long", &long[..]), ("b", "2")]);
        let spare = || SPARE.with_borrow(Vec::len);
        let before = spare();
        drop(fields);
        assert_eq!(spare(), before);
    }

    #[test]
    fn a_room_is_used_again_and_empty_then() {
        let mut fields = Fields::new();
        fields.push("a", "\"");
        let room = |fields: &Fields| std::ptr::from_ref(&**fields.room.0.as_ref().unwrap()).addr();
        let at = room(&fields);
        drop(fields);
        let mut next = Fields::new();
        assert!(next.is_empty() && next.as_json().is_none());
        next.push("b", "2");
        assert_eq!(room(&next), at);
        assert_eq!(next.as_json(), Some(&b"\"b\":\"2"[..]));
        let other = next.clone();
        assert_ne!(room(&other), at);
        assert_eq!(other, next);
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
