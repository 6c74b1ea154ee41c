//! Keys of Java that no code here reads. Each has a verdict: accepted, because it tunes something
//! that does not exist here, or refused, because ignoring it would lie to the operator.
//!
//! Keys that the code reads are in the `settings!` tables. Together both hold every key of Java's
//! classes, which a golden file proves.

mod broker;
mod other;
mod store;

use crate::table::Invalid;

/// The classes that a broker's file may set.
pub(crate) const BROKER_CLASSES: &[&Class] = &[
    &broker::BROKER,
    &broker::IDENTITY,
    &store::STORE,
    &other::NET,
    &other::CLIENT,
    &other::AUTH,
    &other::STARTUP,
];

/// The classes that a broker shows when it is asked for its settings; not who may do what.
pub(crate) const BROKER_LISTED: &[&Class] =
    &[&broker::BROKER, &broker::IDENTITY, &store::STORE, &other::NET, &other::CLIENT];

/// The classes that a name server's file may set.
pub(crate) const NAMESRV_CLASSES: &[&Class] = &[&other::NAMESRV, &other::NET, &other::CLIENT];

/// The classes that a name server shows when it is asked for its settings.
pub(crate) const NAMESRV_LISTED: &[&Class] = &[&other::NAMESRV, &other::NET];

/// The unread keys of one Java class.
#[derive(Debug)]
pub struct Class {
    /// The Java class.
    pub name: &'static str,
    /// Its keys, grouped by verdict.
    pub groups: &'static [Group],
}

/// Keys that share one verdict.
#[derive(Debug)]
pub struct Group {
    /// What happens when one of them is set.
    pub verdict: Verdict,
    /// Why.
    pub reason: &'static str,
    /// The keys.
    pub keys: &'static [Unread],
}

/// What happens when an unread key is set to something else than its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has no effect, and the operator is told so.
    Accepted,
    /// The process does not start.
    Refused,
}

/// One key that no code reads.
#[derive(Debug)]
pub struct Unread {
    /// The key, in Java's spelling.
    pub key: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Java's default as text; `None` is Java's `null`.
    pub default: Option<&'static str>,
}

/// The types of unread keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A number of 32 bits.
    Int,
    /// A number of 64 bits.
    Long,
    /// A number with a fraction.
    Double,
    /// Any text, the names of enum values included.
    Text,
}

impl Kind {
    /// What a text must look like, for error messages.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::Boolean => <bool as Value>::EXPECTED,
            Self::Int => <i32 as Value>::EXPECTED,
            Self::Long => <i64 as Value>::EXPECTED,
            Self::Double => "a number",
            Self::Text => <String as Value>::EXPECTED,
        }
    }

    /// The value as Java would print it; `None` when the text is not of this type.
    pub(crate) fn canonical(self, text: &str) -> Option<String> {
        match self {
            Self::Boolean => bool::parse(text)?.print(),
            Self::Int => i32::parse(text)?.print(),
            Self::Long => i64::parse(text)?.print(),
            Self::Double => text.trim().parse().ok().map(|number: f64| format!("{number:?}")),
            Self::Text => Some(text.to_owned()),
        }
    }
}

/// Where an unread key stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) group: &'static Group,
    pub(crate) unread: &'static Unread,
}

impl Found {
    /// A value of the key as Java would print it.
    pub(crate) fn canonical(&self, value: &str) -> Result<String, Invalid> {
        let Unread { key, kind, .. } = self.unread;
        kind.canonical(value).ok_or_else(|| Invalid {
            key: (*key).to_owned(),
            value: value.to_owned(),
            expected: kind.expected().to_owned(),
            choices: &[],
        })
    }

    /// Whether no process starts with the key at a value.
    pub(crate) fn stops_a_start(&self, value: &str) -> bool {
        self.group.verdict == Verdict::Refused && Some(value) != self.unread.default
    }
}

/// Every unread key of some classes, in table order.
pub(crate) fn all(classes: &'static [&'static Class]) -> impl Iterator<Item = Found> {
    classes.iter().flat_map(|class| {
        class
            .groups
            .iter()
            .flat_map(|group| group.keys.iter().map(move |unread| Found { group, unread }))
    })
}

/// One unread key by its name.
pub(crate) fn find(classes: &'static [&'static Class], key: &str) -> Option<Found> {
    all(classes).find(|found| found.unread.key == key)
}

/// Declares the unread keys of one Java class. Each group:
/// `accepted|refused "reason" { type: key = default, key = default; }`;
/// a text without default is Java's `null`.
macro_rules! unread {
    ($(#[$meta:meta])* $vis:vis $name:ident = $class:literal { $(
        $verdict:ident $reason:literal {
            $($kind:ident : $($key:ident $(= $default:literal)?),+;)+
        }
    )* }) => {
        $(#[$meta])*
        $vis const $name: $crate::unread::Class = $crate::unread::Class {
            name: $class,
            groups: &[$($crate::unread::Group {
                verdict: $crate::unread::verdict!($verdict),
                reason: $reason,
                keys: &[$($($crate::unread::Unread {
                    key: stringify!($key),
                    kind: $crate::unread::kind!($kind),
                    default: $crate::unread::default!($kind $($default)?),
                }),+),+],
            }),*],
        };
    };
}
use unread;

macro_rules! verdict {
    (accepted) => {
        $crate::unread::Verdict::Accepted
    };
    (refused) => {
        $crate::unread::Verdict::Refused
    };
}
use verdict;

macro_rules! kind {
    (boolean) => {
        $crate::unread::Kind::Boolean
    };
    (int) => {
        $crate::unread::Kind::Int
    };
    (long) => {
        $crate::unread::Kind::Long
    };
    (double) => {
        $crate::unread::Kind::Double
    };
    (text) => {
        $crate::unread::Kind::Text
    };
}
use kind;

macro_rules! default {
    (text) => {
        None
    };
    (text $default:literal) => {
        Some($default)
    };
    ($kind:ident $default:literal) => {
        Some(stringify!($default))
    };
}
use default;

use crate::value::Value;
