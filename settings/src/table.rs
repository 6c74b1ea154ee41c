//! The `settings!` table: one line for each key that the code reads.
//!
//! A line gives documentation, field, type, default, what is allowed and whether the key may be
//! changed while the process runs; struct, `Default`, reading, printing and documentation follow
//! from it. Keys that no code reads are in `unread`, not here.

use std::fmt;

use crate::value::{Allowed, Value};

/// A value that a key cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The key, in Java's spelling.
    pub key: String,
    /// The text that was given.
    pub value: String,
    /// What would have been accepted.
    pub expected: String,
    /// The texts that are accepted, when there are only a few.
    pub choices: &'static [&'static str],
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: expected {}", self.key, self.value, self.expected)
    }
}

impl std::error::Error for Invalid {}

/// What a table says about one key, without its current value.
#[derive(Clone, Debug)]
pub struct Row {
    /// The key, in Java's spelling.
    pub key: &'static str,
    /// Java's name of the type.
    pub kind: &'static str,
    /// Its meaning, from the table's comment.
    pub doc: &'static str,
    /// What is allowed, when that is less than the type can hold.
    pub allowed: Option<String>,
    /// Whether it may be changed while the process runs.
    pub live: bool,
}

/// The settings of one Java class that our code reads.
pub trait Table {
    /// The Java class.
    fn class(&self) -> &'static str;
    /// One row for each key, in table order.
    fn rows(&self) -> Vec<Row>;
    /// Sets one key; `Ok(false)` when the key is not in this table.
    ///
    /// # Errors
    /// When the value does not parse or is not allowed; the old value stays.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, Invalid>;
    /// Every key with its current value, in table order; `None` is Java's `null`.
    fn entries(&self) -> Vec<(&'static str, Option<String>)>;
}

/// `snake_case` to `camelCase` at compile time: the bytes and how many of them count.
pub(crate) const fn camel<const N: usize>(name: &str) -> ([u8; N], usize) {
    let (from, mut to, mut read, mut written, mut upper) = (name.as_bytes(), [0; N], 0, 0, false);
    while read < from.len() {
        if from[read] == b'_' {
            upper = true;
        } else {
            to[written] = if upper { from[read].to_ascii_uppercase() } else { from[read] };
            written += 1;
            upper = false;
        }
        read += 1;
    }
    (to, written)
}

/// The Java key of a field: its own name in camel case, or the one given after `as`.
macro_rules! key {
    ($name:ident) => {{
        const LEN: usize = stringify!($name).len();
        const CAMEL: ([u8; LEN], usize) = $crate::table::camel::<LEN>(stringify!($name));
        const KEY: &str = match core::str::from_utf8(CAMEL.0.split_at(CAMEL.1).0) {
            Ok(key) => key,
            Err(_) => panic!("field names are ASCII"),
        };
        KEY
    }};
    ($name:ident $key:literal) => {
        $key
    };
}
pub(crate) use key;

/// The last word of a line.
macro_rules! is_live {
    () => {
        false
    };
    (live) => {
        true
    };
}
pub(crate) use is_live;

/// Java's `null` as a default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Null;

impl From<Null> for Option<String> {
    fn from(_: Null) -> Self {
        None
    }
}

/// Names the type that a rule is for, so that the numbers of a range take it.
pub(crate) fn rule<T, A: Allowed<T>>(allowed: &A) -> &dyn Allowed<T> {
    allowed
}

/// Reads one value and checks it against what the table allows.
pub(crate) fn read_value<T: Value>(
    key: &str,
    value: &str,
    allowed: Option<&dyn Allowed<T>>,
) -> Result<T, Invalid> {
    let parsed = T::parse(value).filter(|parsed| allowed.is_none_or(|rule| rule.allows(parsed)));
    parsed.ok_or_else(|| Invalid {
        key: key.to_owned(),
        value: value.to_owned(),
        expected: allowed.map_or_else(|| T::EXPECTED.to_owned(), Allowed::expected),
        choices: T::CHOICES,
    })
}

/// Declares the settings of one Java class. Each line:
/// `/// meaning` `field [as "key"]: type = default [=> allowed] [, live];`
macro_rules! settings {
    ($(#[$meta:meta])* $vis:vis $name:ident = $class:literal {
        $($(#[doc = $doc:literal])+
        $field:ident $(as $key:literal)? : $ty:ty = $default:expr
            $(=> $allowed:expr)? $(, $live:ident)?;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name { $($(#[doc = $doc])+ pub $field: $ty,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default.into(),)* }
            }
        }

        impl $crate::table::Table for $name {
            fn class(&self) -> &'static str {
                $class
            }
            fn rows(&self) -> Vec<$crate::table::Row> {
                vec![$($crate::table::Row {
                    key: $crate::table::key!($field $($key)?),
                    kind: <$ty as $crate::value::Value>::KIND,
                    doc: concat!($($doc),+).trim_ascii(),
                    allowed: None$(.or(Some(
                        $crate::value::Allowed::<$ty>::expected(&$allowed)
                    )))?,
                    live: $crate::table::is_live!($($live)?),
                }),*]
            }
            fn set(&mut self, key: &str, value: &str) -> Result<bool, $crate::table::Invalid> {
                $(if key == $crate::table::key!($field $($key)?) {
                    self.$field = $crate::table::read_value(
                        key,
                        value,
                        None$(.or(Some($crate::table::rule::<$ty, _>(&$allowed))))?,
                    )?;
                    return Ok(true);
                })*
                Ok(false)
            }
            fn entries(&self) -> Vec<(&'static str, Option<String>)> {
                vec![$((
                    $crate::table::key!($field $($key)?),
                    $crate::value::Value::print(&self.$field),
                )),*]
            }
        }
    };
}
pub(crate) use settings;

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::value::NOT_BLANK;

    settings! {
        /// A table of the test.
        pub(super) Sample = "SampleConfig" {
            /// How many queues
            /// a topic gets.
            queue_nums: i32 = 8 => 1..=100, live;
            /// Where it listens.
            broker_ip1 as "brokerIP1": String = "127.0.0.1" => NOT_BLANK;
        }
    }

    #[test]
    fn one_line_gives_key_default_bounds_and_doc() {
        let mut sample = Sample::default();
        assert_eq!(sample.set("queueNums", "16"), Ok(true));
        assert_eq!(sample.set("queue_nums", "16"), Ok(false));
        assert_eq!(
            sample.set("queueNums", "101").map_err(|invalid| invalid.to_string()),
            Err("queueNums=101: expected a whole number from 1 to 100".into())
        );
        assert!(sample.set("brokerIP1", " ").is_err());
        assert_eq!(
            sample.entries(),
            [("queueNums", Some("16".into())), ("brokerIP1", Some("127.0.0.1".into()))]
        );
        let rows = sample.rows();
        assert_eq!(rows[0].doc, "How many queues a topic gets.");
        assert!(rows[0].live && !rows[1].live);
    }
}
