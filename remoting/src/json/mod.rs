//! JSON bodies as fastjson writes and reads them. [`to_body`] and [`from_body`] are the doors for
//! the structs of [`crate::body`]; both are serde formats, so a body is a plain derived struct.
//!
//! What differs from standard JSON: numbers as map keys stand without quotes, an object may be a
//! map key (`{{"topic":"t"}:1}`), members that are null are left out. The reader takes more than
//! that: keys in single quotes or none, numbers and booleans as strings and the other way round,
//! comments, commas at the end, null for anything, `{}` for an empty list. The one writer of
//! standard JSON is [`to_standard_body`], which routes need.
//!
//! Not here: the JSON of command headers, which is flat and has its own decoder, and the files that
//! a broker keeps.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

mod names;
mod read;
mod scan;
mod write;

pub use names::{Named, known, known_or_default};
pub use write::double_text;

use scan::Reader;
use write::{Form, Writer};

/// Containers may nest this deep; no body of the protocol needs ten levels.
const MAX_DEPTH: usize = 64;

/// `body` as Java's `RemotingSerializable.encode` writes it.
pub fn to_body<T: Serialize>(body: &T) -> Bytes {
    written(body, Form::Loose)
}

/// `body` in standard JSON, as name servers answer code 105 to clients from 4.9.4 on: all keys
/// quoted, integers that JavaScript cannot hold written as strings.
pub fn to_standard_body<T: Serialize>(body: &T) -> Bytes {
    written(body, Form::Standard)
}

fn written<T: Serialize>(body: &T, form: Form) -> Bytes {
    let mut writer = Writer::new(form);
    body.serialize(&mut writer).expect("the structs of bodies have keys that JSON can hold");
    writer.into_text().into()
}

/// Reads a body. Members that Java does not know are passed over, missing ones and nulls take the
/// default of the struct.
///
/// # Errors
/// If the bytes are no JSON of this dialect, or a member is not of its type; the error says where.
pub fn from_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    let class = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
    let mut reader = Reader::new(bytes).map_err(|error| error.of_class(class))?;
    let body = T::deserialize(&mut reader).map_err(|error| error.of_class(class))?;
    reader.end().map_err(|error| error.of_class(class))?;
    Ok(body)
}

/// Whether a member of the object is null, and does not only lack: the structs that [`from_body`]
/// makes take a default for both.
pub fn has_null(bytes: &[u8], member: &str) -> bool {
    Reader::new(bytes).is_ok_and(|mut reader| reader.has_null(member).unwrap_or(false))
}

/// Why a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyError {
    class: &'static str,
    path: String,
    reason: String,
}

impl BodyError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { class: "", path: String::new(), reason: reason.into() }
    }

    /// Says which class was to be read.
    pub(crate) fn of_class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// Says below which member it happened; called from the inside out.
    pub(crate) fn within(mut self, member: &str) -> Self {
        self.path.insert_str(0, member);
        self
    }

    /// The struct that was to be read.
    pub fn class(&self) -> &str {
        self.class
    }

    /// Where in it, as `.member[index]`; empty at the top.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body is no {}: {}", self.class, self.reason)?;
        if !self.path.is_empty() {
            write!(f, " at {}", self.path)?;
        }
        Ok(())
    }
}

impl std::error::Error for BodyError {}

impl serde::de::Error for BodyError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::new(reason.to_string())
    }
}

impl serde::ser::Error for BodyError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::new(reason.to_string())
    }
}

#[cfg(test)]
mod tests;
