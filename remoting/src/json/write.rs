//! The writer: a serde serializer that writes as fastjson does, without blanks. Members that come
//! out as null are left out. Structs must declare their fields in the order of their names, which
//! is Java's order.

use serde::Serialize;
use serde::ser::{
    Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer,
};

use super::BodyError;

/// The largest integer that JavaScript holds exactly.
const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// How much of Java's looseness the text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Integer keys without quotes, objects as keys.
    Loose,
    /// Every key quoted, integers beyond JavaScript's reach as strings.
    Standard,
}

/// A text in the making.
#[derive(Debug)]
pub(super) struct Writer {
    out: String,
    form: Form,
    in_key: bool,
}

impl Writer {
    /// An empty text.
    pub(super) const fn new(form: Form) -> Self {
        Self { out: String::new(), form, in_key: false }
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.out
    }

    fn integer(&mut self, value: i128) {
        let is_standard = self.form == Form::Standard;
        let needs_quotes =
            is_standard && (self.in_key || value.unsigned_abs() > u128::from(SAFE_INTEGER));
        let text = value.to_string();
        if needs_quotes {
            self.string(&text);
        } else {
            self.out.push_str(&text);
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' => self.out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn open(&mut self, opening: char, closing: char) -> Compound<'_> {
        self.out.push(opening);
        let was_in_key = std::mem::replace(&mut self.in_key, false);
        Compound { writer: self, closing, is_empty: true, was_in_key, member_at: 0, value_at: 0 }
    }
}

/// A double as Java's `Double.toString` prints it.
pub fn double_text(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{value:E}");
        return match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
            _ => text,
        };
    }
    format!("{value:?}")
}

macro_rules! integers {
    ($($method:ident: $type:ty,)*) => { $(
        fn $method(self, value: $type) -> Result<(), BodyError> {
            self.integer(i128::from(value));
            Ok(())
        }
    )* };
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = BodyError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Impossible<(), BodyError>;
    type SerializeTupleVariant = Impossible<(), BodyError>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Impossible<(), BodyError>;

    integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
    }

    fn serialize_bool(self, value: bool) -> Result<(), BodyError> {
        self.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), BodyError> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), BodyError> {
        let text = if value.is_finite() { double_text(value) } else { "null".to_owned() };
        self.out.push_str(&text);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), BodyError> {
        self.string(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), BodyError> {
        self.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), BodyError> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), BodyError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), BodyError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), BodyError> {
        self.out.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), BodyError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), BodyError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), BodyError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), BodyError> {
        Err(BodyError::new(format!("{name}: an enum with values has no JSON form here")))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, BodyError> {
        Ok(self.open('[', ']'))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, BodyError> {
        Ok(self.open('[', ']'))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, BodyError> {
        Err(BodyError::new(format!("{name}: a tuple struct has no JSON form here")))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, BodyError> {
        Err(BodyError::new(format!("{name}: an enum with values has no JSON form here")))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, BodyError> {
        Ok(self.open('{', '}'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, BodyError> {
        Ok(self.open('{', '}'))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, BodyError> {
        Err(BodyError::new(format!("{name}: an enum with values has no JSON form here")))
    }
}

/// A list or object in the making.
pub(super) struct Compound<'a> {
    writer: &'a mut Writer,
    closing: char,
    is_empty: bool,
    was_in_key: bool,
    /// Where the current member starts, its comma included.
    member_at: usize,
    /// Where its value starts.
    value_at: usize,
}

impl Compound<'_> {
    fn comma(&mut self) {
        self.member_at = self.writer.out.len();
        if !self.is_empty {
            self.writer.out.push(',');
        }
    }

    fn key<K: Serialize + ?Sized>(&mut self, key: &K) -> Result<(), BodyError> {
        self.comma();
        self.writer.in_key = true;
        key.serialize(&mut *self.writer)?;
        self.writer.in_key = false;
        self.writer.out.push(':');
        self.value_at = self.writer.out.len();
        Ok(())
    }

    /// Writes the value of the current member, or takes the member back if it is null.
    fn value<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), BodyError> {
        value.serialize(&mut *self.writer)?;
        if &self.writer.out[self.value_at..] == "null" {
            self.writer.out.truncate(self.member_at);
        } else {
            self.is_empty = false;
        }
        Ok(())
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BodyError> {
        self.comma();
        self.is_empty = false;
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), BodyError> {
        self.writer.out.push(self.closing);
        self.writer.in_key = self.was_in_key;
        Ok(())
    }
}

impl SerializeSeq for Compound<'_> {
    type Ok = ();
    type Error = BodyError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BodyError> {
        self.element(value)
    }
    fn end(self) -> Result<(), BodyError> {
        self.close()
    }
}

impl SerializeTuple for Compound<'_> {
    type Ok = ();
    type Error = BodyError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BodyError> {
        self.element(value)
    }
    fn end(self) -> Result<(), BodyError> {
        self.close()
    }
}

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = BodyError;
    fn serialize_key<K: Serialize + ?Sized>(&mut self, key: &K) -> Result<(), BodyError> {
        self.key(key)
    }
    fn serialize_value<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), BodyError> {
        self.value(value)
    }
    fn end(self) -> Result<(), BodyError> {
        self.close()
    }
}

impl SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = BodyError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), BodyError> {
        self.key(key)?;
        self.value(value)
    }
    fn end(self) -> Result<(), BodyError> {
        self.close()
    }
}
