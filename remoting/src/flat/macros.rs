//! The macros that make code of the tables. They live at the crate's root for their users.

/// `snake_case` to `camelCase` at compile time: the bytes and how many of them count.
pub const fn camel<const N: usize>(name: &str) -> ([u8; N], usize) {
    let from = name.as_bytes();
    let (mut out, mut read, mut written, mut upper) = ([0; N], 0, 0, false);
    while read < from.len() {
        if from[read] == b'_' {
            upper = true;
        } else {
            out[written] = if upper { from[read].to_ascii_uppercase() } else { from[read] };
            written += 1;
            upper = false;
        }
        read += 1;
    }
    (out, written)
}

/// The text of what [`camel`] made.
pub const fn text_of<const N: usize>(camel: &([u8; N], usize)) -> &str {
    match core::str::from_utf8(camel.0.split_at(camel.1).0) {
        Ok(text) => text,
        Err(_) => panic!("a name in camel case is ASCII"),
    }
}

/// The key of a table's field: its name in camel case, or the spelling given with `as`.
#[macro_export]
macro_rules! key {
    ($name:ident) => {{
        const CAMEL: ([u8; stringify!($name).len()], usize) =
            $crate::flat::camel(stringify!($name));
        const KEY: &str = $crate::flat::text_of(&CAMEL);
        KEY
    }};
    ($name:ident $key:literal) => {
        $key
    };
}

/// Declares header structs, one row for each field. A bare type is required, an `Option` may be
/// absent, `= value` is what an absent field means; `: Base` embeds inherited fields as `base`;
/// `strict = true` refuses a number that does not parse even where it might be absent, and
/// `lent = true` copies no text out of the frame. A header with a lifetime has texts that are the
/// command's (`&'a str`).
#[macro_export]
macro_rules! headers {
    ($(
        $(#[$meta:meta])*
        $name:ident $(<$life:lifetime>)? $(: $base:ident)?
        $(, strict = $strict:literal)? $(, lent = $lent:literal)? {
            $($(#[$doc:meta])* $field:ident $(as $key:literal)?: $type:ty $(= $default:expr)?),*
            $(,)?
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names of the fields are Java's own")]
        pub struct $name $(<$life>)? {
            $($(#[$doc])* pub $field: $type,)*
            $(pub base: $base,)?
        }

        impl$(<$life>)? Default for $name$(<$life>)? {
            fn default() -> Self {
                Self {
                    $($field: $crate::first!($(<$type>::from($default),)? <$type>::default()),)*
                    $(base: <$base>::default(),)?
                }
            }
        }

        const _: () = {
            use $crate::flat::{FieldSpec, Found, Header, HeaderError};

            #[allow(non_camel_case_types, dead_code, clippy::upper_case_acronyms)]
            enum At { $($field,)* Base }

            #[allow(non_upper_case_globals)]
            mod keys {
                $(pub(super) const $field: &[u8] = $crate::key!($field $($key)?).as_bytes();)*
            }

            const OWN: usize = At::Base as usize;
            type Kept = $crate::of!($name 'static $($life)?);
            assert!(OWN + <Kept as Header>::BASE.len() <= $crate::flat::MAX_FIELDS);

            impl$(<$life>)? Header for $name$(<$life>)? {
                type Of<'of> = $crate::of!($name 'of $($life)?);
                const NAME: &'static str = stringify!($name);
                const FIELDS: &'static [FieldSpec] = &[$(FieldSpec::of::<$type>(
                    $crate::key!($field $($key)?),
                    $crate::first!($(Some(stringify!($default)),)? None),
                )),*];
                $(const STRICT: bool = $strict;)?
                $(const LENT: bool = $lent;)?
                $(const BASE: &'static [FieldSpec] = <$base as Header>::FIELDS;)?

                fn index(key: &[u8]) -> Option<usize> {
                    // As bytes: texts would be compared one after the other.
                    match key {
                        $(keys::$field => Some(At::$field as usize),)*
                        _ => $crate::first!(
                            $(<$base as Header>::index(key).map(|at| OWN + at),)? None
                        ),
                    }
                }

                #[allow(unused_variables, reason = "some headers have no field")]
                fn gather<'of>(
                    found: &[Option<Found<'of>>],
                ) -> Result<Self::Of<'of>, HeaderError> {
                    Ok($name {
                        $($field: Self::FIELDS[At::$field as usize].take(
                            Self::NAME,
                            Self::STRICT,
                            found[At::$field as usize],
                            $crate::first!($(Some($default.into()),)? None),
                        )?,)*
                        $(base: <$base as Header>::gather(&found[OWN..])?,)?
                    })
                }

                #[allow(unused_variables, reason = "some headers have no field")]
                fn write(&self, fields: &mut $crate::fields::Fields) {
                    let out = fields.grow();
                    $({
                        const KEY: &str = $crate::key!($field $($key)?);
                        const BEGUN: [u8; KEY.len() + 6] = $crate::fields::member(KEY);
                        $crate::flat::Slot::write(&self.$field, &BEGUN, out);
                    })*
                    $(<$base as Header>::write(&self.base, fields);)?
                }
            }
        };
    )* };
}

/// A header as it is read from fields with a lifetime: with that in the place of its own, if it has
/// one.
#[macro_export]
macro_rules! of {
    ($name:ident $of:lifetime) => { $name };
    ($name:ident $of:lifetime $life:lifetime) => { $name<$of> };
}

/// The first of its arguments; the tables' macros use it for "given or else".
#[macro_export]
macro_rules! first {
    ($first:expr $(, $rest:expr)*) => {
        $first
    };
}

/// Declares a set of numbered names as a newtype: unknown numbers survive, known ones print their
/// name.
#[macro_export]
macro_rules! codes {
    ($(
        $(#[$meta:meta])*
        $type:ident: $repr:ty { $($(#[$doc:meta])* $name:ident = $value:literal,)* }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub $repr);

        #[allow(missing_docs, reason = "the names are Java's own")]
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($value);)*
        }

        impl $type {
            /// Every known code with its name, in the order of the table.
            pub const ALL: &'static [(&'static str, Self)] =
                &[$((stringify!($name), Self($value))),*];

            /// The name, if the code is known.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The code of a name, spelled as in the table.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self($value)),)*
                    _ => None,
                }
            }
        }

        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!(stringify!($type), "({})"), self.0),
                }
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Debug::fmt(self, f)
            }
        }
    )* };
}
