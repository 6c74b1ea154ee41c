//! Tables of codes and of typed headers: [`crate::codes!`] declares a set of numbers that keeps
//! unknown ones, [`crate::headers!`] declares structs that are read from and written to the flat
//! string map of a command. Not here: the tables themselves (`codes`, `headers`), the bytes of a
//! frame (`frame`, `command`), and JSON bodies (`body`), which nest and are read by serde.
//!
//! Reading follows Java's `RemotingCommand.decodeCommandCustomHeader`: of equal keys the last one
//! counts, unknown keys are passed over, and a number that does not parse counts as absent, except
//! in the few headers that Java reads by a hand-written codec (`strict` in the tables), where it
//! fails the request. An absent field takes the value a fresh Java object has; only where that is
//! null and the field is marked `@CFNotNull` do we refuse the header.

use std::fmt;

use message::Str;

use crate::fields::Fields;

mod field;
mod macros;

pub use field::{Boundary, Field, Slot};
pub use macros::{camel, text_of};

/// More fields than any header has, inherited ones included; each table is checked against it.
pub const MAX_FIELDS: usize = 24;

/// The Java type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `String`.
    Text,
    /// `int` or `Integer`.
    Int,
    /// `long` or `Long`.
    Long,
    /// `boolean` or `Boolean`.
    Bool,
    /// `BoundaryType`.
    Boundary,
}

/// What an absent field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The header is refused.
    Required,
    /// The field stays empty.
    Optional,
    /// The field takes this value, as it stands in the table.
    Default(&'static str),
}

/// One field of a header as the table declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The key in the map: Java's field name.
    pub key: &'static str,
    /// The Java type.
    pub kind: Kind,
    /// What its absence means.
    pub presence: Presence,
}

impl FieldSpec {
    /// The row of a field of type `T`.
    pub const fn of<'a, T: Slot<'a>>(key: &'static str, default: Option<&'static str>) -> Self {
        let presence = match default {
            Some(text) => Presence::Default(text),
            None if T::OPTIONAL => Presence::Optional,
            None => Presence::Required,
        };
        Self { key, kind: T::KIND, presence }
    }

    /// The value of this field from the text that was found for it.
    ///
    /// # Errors
    /// If a required field is absent, and if a number does not parse where that matters (see the
    /// module's text).
    #[inline]
    pub fn take<'a, T: Slot<'a>>(
        &self,
        header: &'static str,
        strict: bool,
        found: Option<Found<'a>>,
        default: Option<T>,
    ) -> Result<T, HeaderError> {
        match found.and_then(T::parse) {
            Some(value) => Ok(value),
            None => self.without(header, strict, found, default),
        }
    }

    /// The value where no text, or none that parses, was found.
    fn without<'a, T: Slot<'a>>(
        &self,
        header: &'static str,
        strict: bool,
        bad: Option<Found<'a>>,
        default: Option<T>,
    ) -> Result<T, HeaderError> {
        match (bad, default.or_else(T::absent)) {
            (None, Some(value)) => Ok(value),
            (Some(_), Some(value)) if !strict => Ok(value),
            (Some(text), _) => Err(HeaderError::Invalid {
                header,
                field: self.key,
                kind: self.kind,
                value: text.as_str().into(),
            }),
            (None, None) => Err(HeaderError::Missing { header, field: self.key }),
        }
    }
}

/// Why a header could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// A required field is absent.
    Missing {
        /// The Java class of the header.
        header: &'static str,
        /// The key.
        field: &'static str,
    },
    /// A field's text is not of its type.
    Invalid {
        /// The Java class of the header.
        header: &'static str,
        /// The key.
        field: &'static str,
        /// The type it should have.
        kind: Kind,
        /// The text as it came.
        value: Str,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { header, field } => {
                write!(f, "{header}: the required field {field} is missing")
            }
            Self::Invalid { header, field, kind, value } => {
                let wanted = match kind {
                    Kind::Int => "a 32-bit integer",
                    Kind::Long => "a 64-bit integer",
                    Kind::Text | Kind::Bool | Kind::Boundary => "of its type",
                };
                let shown: String = value.chars().take(64).collect();
                write!(f, "{header}: the field {field} is {shown:?}, which is not {wanted}")
            }
        }
    }
}

impl std::error::Error for HeaderError {}

/// The text of one field.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    fields: &'a Fields,
    place: (u32, u32),
    /// Whether the header is lent its texts, and keeps no copies.
    is_lent: bool,
}

impl<'a> Found<'a> {
    /// Its bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.fields.bytes_at(self.place)
    }

    /// The same as text.
    pub fn as_str(self) -> &'a str {
        self.fields.text_at(self.place)
    }

    /// The same as text of its own.
    pub fn to_text(self) -> Str {
        match self.is_lent {
            true => self.fields.lend(self.as_str()),
            false => self.as_str().into(),
        }
    }
}

/// A typed header: what [`crate::headers!`] makes of a table.
pub trait Header: Sized {
    /// The simple name of the Java class.
    const NAME: &'static str;
    /// Its own fields, in Java's order.
    const FIELDS: &'static [FieldSpec];
    /// The inherited fields.
    const BASE: &'static [FieldSpec] = &[];
    /// Whether a number that does not parse is refused even where it might be absent.
    const STRICT: bool = false;
    /// Whether its texts are lent from the frame: no copies, but whoever keeps one keeps the room
    /// of all that was read with it.
    const LENT: bool = false;

    /// This header as it is read from fields that live for `'a`: with texts of theirs, or itself.
    type Of<'a>;

    /// The place of `key` in `FIELDS` followed by `BASE`.
    fn index(key: &[u8]) -> Option<usize>;

    /// The header from the texts found for `FIELDS` followed by `BASE`.
    ///
    /// # Errors
    /// As [`FieldSpec::take`].
    fn gather<'a>(found: &[Option<Found<'a>>]) -> Result<Self::Of<'a>, HeaderError>;

    /// Adds the fields to the map; what is there already stays.
    fn write(&self, fields: &mut Fields);

    /// Reads the header in one pass over the map.
    ///
    /// # Errors
    /// If a required field is missing or not of its type.
    fn read(fields: &Fields) -> Result<Self::Of<'_>, HeaderError> {
        let mut found = [None; MAX_FIELDS];
        for (key, place) in fields.places() {
            if let Some(at) = Self::index(key) {
                found[at] = Some(Found { fields, place, is_lent: Self::LENT });
            }
        }
        Self::gather(&found)
    }
}

/// A header that is read with texts of its own, and outlives the command.
pub trait OwnedHeader: for<'a> Header<Of<'a> = Self> + 'static {}

impl<H: for<'a> Header<Of<'a> = H> + 'static> OwnedHeader for H {}

/// The header of a command that has none.
impl Header for () {
    const NAME: &'static str = "none";
    const FIELDS: &'static [FieldSpec] = &[];
    type Of<'a> = ();
    fn index(_: &[u8]) -> Option<usize> {
        None
    }
    fn gather(_: &[Option<Found<'_>>]) -> Result<(), HeaderError> {
        Ok(())
    }
    fn write(&self, _: &mut Fields) {}
}

#[cfg(test)]
mod tests;
