//! The stored message and its parts, as store and wire share them: the record's bytes, properties,
//! names, ids, batch bodies; and the table that is looked into for each. No I/O, no clock, no
//! policy.

pub mod batch;
mod draft;
pub mod hash;
pub mod ids;
pub mod lookup;
pub mod names;
pub mod properties;
pub mod property;
pub mod record;
pub mod scan;
pub mod sys_flag;

pub use draft::{Draft, DraftError, Placement};
pub use lookup::Lookup;
pub use properties::Properties;
pub use record::{Entry, Record, RecordError};

/// UTF-8 text over shared bytes: cloning costs a reference count, never a copy.
pub use bytestring::ByteString as Str;
