//! Java enums in bodies: written by name; read by name in any case and without its underscores, as
//! fastjson does, or by ordinal, since C++ clients send ordinals. A value that Java does not know
//! is null to it, so such fields are `Option`s read with [`known`].

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};

use crate::codes::LanguageCode;

/// A Java enum.
pub trait Named: Copy + 'static {
    /// Every constant with its name; the place in the list is the ordinal.
    const NAMES: &'static [(&'static str, Self)];

    /// The constant of a name or of an ordinal in digits.
    fn from_text(text: &str) -> Option<Self> {
        let by_name = Self::NAMES.iter().find(|(name, _)| letters(name).eq(letters(text)));
        let found = by_name.or_else(|| Self::NAMES.get(text.parse::<usize>().ok()?));
        found.map(|(_, constant)| *constant)
    }
}

/// What of a name counts: `ConsumePassively` is `CONSUME_PASSIVELY`.
fn letters(name: &str) -> impl Iterator<Item = u8> + '_ {
    let is_letter = |byte: &u8| !matches!(byte, b'_' | b'-');
    name.bytes().filter(is_letter).map(|byte| byte.to_ascii_lowercase())
}

/// For `#[serde(deserialize_with)]` on an `Option` of an enum: unknown names count as absent.
///
/// # Errors
/// If it is neither a text nor a number, or a number that is no ordinal, as in Java.
pub fn known<'de, D: Deserializer<'de>, E: Named>(from: D) -> Result<Option<E>, D::Error> {
    from.deserialize_any(Constant(PhantomData))
}

/// Reads a constant of an enum.
struct Constant<E>(PhantomData<E>);

impl<E: Named> Visitor<'_> for Constant<E> {
    type Value = Option<E>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = E::NAMES.iter().map(|(name, _)| *name).collect();
        write!(to, "one of {} by name, or its place among them", names.join(", "))
    }

    fn visit_str<F: Error>(self, text: &str) -> Result<Self::Value, F> {
        Ok(E::from_text(text))
    }

    fn visit_i64<F: Error>(self, ordinal: i64) -> Result<Self::Value, F> {
        let found = usize::try_from(ordinal).ok().and_then(|ordinal| E::NAMES.get(ordinal));
        let (_, constant) =
            found.ok_or_else(|| F::invalid_value(Unexpected::Signed(ordinal), &self))?;
        Ok(Some(*constant))
    }

    fn visit_f64<F: Error>(self, ordinal: f64) -> Result<Self::Value, F> {
        self.visit_i64(ordinal as i64)
    }
}

/// The same for a field that is never empty: unknown names count as its default.
///
/// # Errors
/// If the deserializer fails.
pub fn known_or_default<'de, D, E>(from: D) -> Result<E, D::Error>
where
    D: Deserializer<'de>,
    E: Named + Default,
{
    Ok(known(from)?.unwrap_or_default())
}

impl serde::Serialize for LanguageCode {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) => to.serialize_str(name),
            None => to.serialize_none(),
        }
    }
}

impl Named for LanguageCode {
    const NAMES: &'static [(&'static str, Self)] = Self::ALL;
}

/// Declares a Java enum: its constants in Java's order with our names for them.
#[macro_export]
macro_rules! names {
    ($(
        $(#[$meta:meta])*
        $type:ident { $($(#[$doc:meta])* $name:ident = $variant:ident),* $(,)? }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$doc])* #[doc = concat!("Java's `", stringify!($name), "`.")] $variant,)*
        }

        impl $type {
            /// Java's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }
        }

        impl $crate::json::Named for $type {
            const NAMES: &'static [(&'static str, Self)] =
                &[$((stringify!($name), Self::$variant)),*];
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.name())
            }
        }
    )* };
}
