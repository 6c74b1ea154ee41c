//! The values of fields: the four Java types and one enum, bare or as an `Option`.

use message::Str;

use super::{Found, Kind};
use crate::fields::{Decimal, Growing};

/// A value that fits one field of the flat map; one that is lent lives as long as that (`'a`).
pub trait Field<'a>: Sized {
    /// The Java type.
    const KIND: Kind;
    /// The value that Java reads from `text`, or none if it is no such value.
    fn parse(text: Found<'a>) -> Option<Self>;
    /// The text that Java writes.
    fn print(&self, out: &mut Growing);
}

impl<'a> Field<'a> for &'a str {
    const KIND: Kind = Kind::Text;
    fn parse(text: Found<'a>) -> Option<Self> {
        Some(text.as_str())
    }
    fn print(&self, out: &mut Growing) {
        out.push_str(self);
    }
}

impl Field<'_> for Str {
    const KIND: Kind = Kind::Text;
    fn parse(text: Found<'_>) -> Option<Self> {
        Some(text.to_text())
    }
    fn print(&self, out: &mut Growing) {
        out.push_str(self);
    }
}

impl Field<'_> for i32 {
    const KIND: Kind = Kind::Int;
    fn parse(text: Found<'_>) -> Option<Self> {
        Self::try_from(Decimal::parse(text.bytes())?).ok()
    }
    fn print(&self, out: &mut Growing) {
        out.push_number((*self).into());
    }
}

impl Field<'_> for i64 {
    const KIND: Kind = Kind::Long;
    fn parse(text: Found<'_>) -> Option<Self> {
        Decimal::parse(text.bytes())
    }
    fn print(&self, out: &mut Growing) {
        out.push_number(*self);
    }
}

/// Java's `Boolean.parseBoolean`: every text but "true" is false.
impl Field<'_> for bool {
    const KIND: Kind = Kind::Bool;
    fn parse(text: Found<'_>) -> Option<Self> {
        Some(text.bytes().eq_ignore_ascii_case(b"true"))
    }
    fn print(&self, out: &mut Growing) {
        out.push_plain(if *self { "true" } else { "false" });
    }
}

/// Which of several messages with one timestamp is meant (Java's `BoundaryType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// The first one at or after the time.
    #[default]
    Lower,
    /// The last one at or before the time.
    Upper,
}

/// Every text but "upper" is the lower boundary.
impl Field<'_> for Boundary {
    const KIND: Kind = Kind::Boundary;
    fn parse(text: Found<'_>) -> Option<Self> {
        Some(if text.bytes().eq_ignore_ascii_case(b"upper") { Self::Upper } else { Self::Lower })
    }
    fn print(&self, out: &mut Growing) {
        out.push_plain(match self {
            Self::Lower => "LOWER",
            Self::Upper => "UPPER",
        });
    }
}

/// The type of a struct field: a bare [`Field`] or an `Option` of one.
pub trait Slot<'a>: Sized {
    /// The Java type.
    const KIND: Kind;
    /// Whether the field may stay empty.
    const OPTIONAL: bool;
    /// The value of an absent field, if there is one.
    fn absent() -> Option<Self>;
    /// The value of a text.
    fn parse(text: Found<'a>) -> Option<Self>;
    /// Adds the pair, as a member that [`member`](crate::fields::member) has begun; an empty field
    /// adds none.
    fn write(&self, begun: &[u8], out: &mut Growing);
}

impl<'a, T: Field<'a>> Slot<'a> for T {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = false;
    fn absent() -> Option<Self> {
        None
    }
    fn parse(text: Found<'a>) -> Option<Self> {
        T::parse(text)
    }
    #[inline]
    fn write(&self, begun: &[u8], out: &mut Growing) {
        out.push_member(begun, |out| self.print(out));
    }
}

impl<'a, T: Field<'a>> Slot<'a> for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn parse(text: Found<'a>) -> Option<Self> {
        T::parse(text).map(Some)
    }
    #[inline]
    fn write(&self, begun: &[u8], out: &mut Growing) {
        if let Some(value) = self {
            value.write(begun, out);
        }
    }
}
