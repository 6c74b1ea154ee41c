//! The reader: a serde deserializer that runs over the bytes once and allocates only what the
//! wanted struct holds. How the text is taken apart stands in `scan`.

use std::borrow::Cow;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::BodyError;
use super::scan::{Reader, Scalar, not};

impl<'de> Reader<'de> {
    /// Passes a value, whatever it is, and returns its text.
    fn skip(&mut self) -> Result<&'de str, BodyError> {
        let opening = self.peek();
        let start = self.at;
        match opening {
            Some(b'{') => {
                let mut members = self.members()?;
                while members.next_pair()? {
                    members.reader.skip()?;
                    members.separator()?;
                }
            }
            Some(b'[') => {
                let mut elements = self.elements()?;
                while elements.next_value()? {
                    elements.reader.skip()?;
                    elements.separator()?;
                }
            }
            _ => {
                self.scalar()?;
            }
        }
        Ok(&self.text[start..self.at])
    }

    /// Whether the object that comes has this member, and it is null.
    pub(super) fn has_null(&mut self, member: &str) -> Result<bool, BodyError> {
        let mut members = self.members()?;
        loop {
            while members.reader.passed(b',') {}
            if members.reader.passed(b'}') {
                return Ok(false);
            }
            let key = members.reader.string()?;
            let is_it = members.reader.passed(b':') && *key == *member;
            if is_it && members.reader.passed_null() {
                return Ok(true);
            }
            members.reader.skip()?;
            members.separator()?;
        }
    }

    fn members(&mut self) -> Result<Members<'_, 'de>, BodyError> {
        if self.peek() != Some(b'{') {
            return Err(self.wanted("an object"));
        }
        self.enter()?;
        Ok(Members { reader: self, key: "" })
    }

    fn elements(&mut self) -> Result<Elements<'_, 'de>, BodyError> {
        let closing = match self.peek() {
            Some(b'[') => b']',
            // An empty table of Lua's: it may be a list or an object.
            Some(b'{') => b'}',
            _ => return Err(self.wanted("a list")),
        };
        self.enter()?;
        Ok(Elements { reader: self, closing, index: 0 })
    }

    /// Any value as text: containers as they stand.
    fn string(&mut self) -> Result<Cow<'de, str>, BodyError> {
        match self.peek() {
            Some(b'{' | b'[') => self.skip().map(Cow::Borrowed),
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                self.quoted(quote)
            }
            _ => self.bare().map(Cow::Borrowed),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
            visitor.visit_i64(self.integer()?)
        }
    )* };
}

macro_rules! strings {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
            match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            }
        }
    )* };
}

macro_rules! doubles {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
            visitor.visit_f64(self.double()?)
        }
    )* };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = BodyError;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }
    strings! { deserialize_str deserialize_string deserialize_identifier deserialize_char }
    doubles! { deserialize_f32 deserialize_f64 }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        match self.peek() {
            Some(b'{') => return self.deserialize_map(visitor),
            Some(b'[') => return self.deserialize_seq(visitor),
            _ => {}
        }
        match self.scalar()? {
            Scalar::Null => visitor.visit_unit(),
            Scalar::Bool(flag) => visitor.visit_bool(flag),
            Scalar::Quoted(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Scalar::Quoted(Cow::Owned(text)) => visitor.visit_string(text),
            Scalar::Bare(text) => match (text.parse(), text.parse()) {
                (Ok(integer), _) => visitor.visit_i64(integer),
                (_, Ok(double)) => visitor.visit_f64(double),
                _ => Err(not("a value", text)),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        if self.passed_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_seq(self.elements()?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_map(self.members()?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BodyError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, BodyError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.skip()?;
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct tuple tuple_struct enum
    }
}

/// The members of an object; those that are null count as absent.
struct Members<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// The text of the current key, for errors.
    key: &'de str,
}

impl<'de> Members<'_, 'de> {
    /// Moves to the value of the next member, past the end at the last.
    fn next_pair(&mut self) -> Result<bool, BodyError> {
        loop {
            while self.reader.passed(b',') {}
            if self.reader.passed(b'}') {
                self.reader.depth -= 1;
                return Ok(false);
            }
            self.key = self.reader.skip()?;
            if !self.reader.passed(b':') {
                return Err(self.reader.wanted("a colon"));
            }
            if !self.reader.passed_null() {
                return Ok(true);
            }
            self.separator()?;
        }
    }

    fn separator(&mut self) -> Result<(), BodyError> {
        match self.reader.peek() {
            Some(b',' | b'}') => Ok(()),
            _ => Err(self.reader.wanted("a comma")),
        }
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = BodyError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, BodyError> {
        if !self.next_pair()? {
            return Ok(None);
        }
        let mut key = Reader { text: self.key, at: 0, depth: self.reader.depth };
        seed.deserialize(&mut key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, BodyError> {
        let value = seed.deserialize(&mut *self.reader).map_err(|error| {
            let key: String = self.key.trim_matches(['"', '\'']).chars().take(64).collect();
            error.within(&format!(".{key}"))
        })?;
        self.separator()?;
        Ok(value)
    }
}

/// The elements of a list; those that are null are left out.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// The bracket behind the last.
    closing: u8,
    index: usize,
}

impl Elements<'_, '_> {
    /// Moves to the next element, past the end at the last.
    fn next_value(&mut self) -> Result<bool, BodyError> {
        loop {
            while self.reader.passed(b',') {}
            if self.reader.passed(self.closing) {
                self.reader.depth -= 1;
                return Ok(false);
            }
            if !self.reader.passed_null() {
                return Ok(true);
            }
            self.separator()?;
        }
    }

    fn separator(&mut self) -> Result<(), BodyError> {
        match self.reader.peek() {
            Some(found) if found == b',' || found == self.closing => Ok(()),
            _ => Err(self.reader.wanted("a comma")),
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = BodyError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, BodyError> {
        if !self.next_value()? {
            return Ok(None);
        }
        let index = self.index;
        let value = seed
            .deserialize(&mut *self.reader)
            .map_err(|error| error.within(&format!("[{index}]")))?;
        self.index += 1;
        self.separator()?;
        Ok(Some(value))
    }
}
