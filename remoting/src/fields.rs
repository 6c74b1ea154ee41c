//! `Fields`: the flat string map (`extFields`) of one command. Typed headers are read from it and
//! written to it by [`crate::flat`]; it keeps keys that no table knows, in the order of arrival.
//!
//! All keys and values lie in one text, one behind the other, so that a header costs one buffer and
//! not one for each field.

use message::Str;
use smallvec::SmallVec;
use std::fmt;

/// Fields that need no room of their own: as many as a send has.
const INLINE: usize = 16;

/// The ext fields of one command, in the order in which they arrived or were set.
#[derive(Clone, Default)]
pub struct Fields {
    text: Text,
    /// Where each key ends, and its value behind it.
    ends: SmallVec<[(u32, u32); INLINE]>,
}

/// The text of fields that arrived can be lent; that of fields that are being set can grow.
#[derive(Clone)]
enum Text {
    Arrived(Str),
    Growing(String),
}

impl Default for Text {
    fn default() -> Self {
        Self::Growing(String::new())
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
    pub fn push_with(&mut self, key: &str, write: impl FnOnce(&mut String)) {
        if let Text::Arrived(text) = &self.text {
            self.text = Text::Growing(text.to_string());
        }
        let Text::Growing(text) = &mut self.text else {
            unreachable!("an arrived text was made a growing one above");
        };
        text.push_str(key);
        let key_end = end(text.len());
        write(text);
        self.ends.push((key_end, end(text.len())));
    }

    /// The value of `key`, as Java's map would hold it: the last one given.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut found = None;
        for (name, value) in self.iter() {
            if name == key {
                found = Some(value);
            }
        }
        found
    }

    /// A value of these fields as text of its own, which shares the buffer that it arrived in.
    pub fn lend(&self, value: &str) -> Str {
        match &self.text {
            Text::Arrived(text) => text.slice_ref(value),
            Text::Growing(_) => Str::from(value),
        }
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text: &str = match &self.text {
            Text::Arrived(text) => text,
            Text::Growing(text) => text,
        };
        let mut start = 0;
        self.ends.iter().map(move |(key_end, value_end)| {
            let key_start = std::mem::replace(&mut start, *value_end as usize);
            let key_end = *key_end as usize;
            (&text[key_start..key_end], &text[key_end..*value_end as usize])
        })
    }

    /// How many pairs there are, doubles included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no pair at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The fields whose keys and values lie in `text`, each ending where `ends` says.
    ///
    /// # Panics
    /// When an end is not between the characters of the text.
    pub(crate) fn arrived(text: Str, ends: Ends) -> Self {
        let mut last = 0;
        for (key_end, value_end) in &ends.0 {
            assert!(last <= *key_end && key_end <= value_end, "ends only grow");
            last = *value_end;
        }
        assert_eq!(last as usize, text.len(), "the ends cover the text");
        Self { text: Text::Arrived(text), ends: ends.0 }
    }
}

/// The ends of fields while they are read.
#[derive(Debug, Default)]
pub(crate) struct Ends(SmallVec<[(u32, u32); INLINE]>);

impl Ends {
    /// One more pair.
    pub(crate) fn push(&mut self, key_end: usize, value_end: usize) {
        self.0.push((end(key_end), end(value_end)));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn end(at: usize) -> u32 {
    u32::try_from(at).expect("a header is far smaller than 4 GiB")
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
        let mut ends = Ends::default();
        ends.push(1, 3);
        ends.push(4, 4);
        let mut fields = Fields::arrived("axyb".into(), ends);
        let lent = fields.lend(fields.get("a").unwrap());
        fields.push("c", "z");
        assert_eq!(lent, "xy");
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [("a", "xy"), ("b", ""), ("c", "z")]);
    }
}
