//! A compiled expression. Its nodes are built by [`crate::parse`] and walked by
//! [`crate::evaluate`].

use crate::evaluate::{self, Illegal};
use crate::parse::{self, ParseError};
use std::borrow::Cow;
use std::collections::HashSet;

/// The longest source of an expression; Java has no bound.
pub const MAX_SOURCE_BYTES: usize = 16 << 10;
/// How deep an expression may be nested; in Java the thread's stack is the bound.
pub const MAX_DEPTH: usize = 64;

/// A filter that understands messages.
#[derive(Clone, Debug)]
pub struct Expression {
    pub(crate) root: Node,
    /// The properties that it looks at, the shorter ones first.
    pub(crate) names: Vec<Box<str>>,
}

/// A part of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Constant(Constant),
    /// A property, by its place in the expression's names.
    Property(usize),
    /// A property as a truth value.
    Cast(usize),
    Negate(Box<Self>),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    Equal(Box<Self>, Box<Self>),
    /// Whether the left is null.
    IsNull(Box<Self>),
    Order(Order, Box<Self>, Box<Self>),
    Between(Box<Between>),
    Search(Box<Search>),
    In {
        property: usize,
        not: bool,
        texts: HashSet<Box<str>>,
    },
}

/// A value that stands in the source.
#[derive(Clone, Debug)]
pub(crate) enum Constant {
    Null,
    Truth(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
}

/// How two numbers shall be to each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

/// A range: as in Java two comparisons, of which the value is looked at once.
#[derive(Clone, Debug)]
pub(crate) struct Between {
    pub(crate) value: Node,
    pub(crate) low: Node,
    pub(crate) high: Node,
    pub(crate) not: bool,
}

/// A look for a text within another one.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) value: Node,
    pub(crate) place: Place,
    pub(crate) text: Box<str>,
    pub(crate) not: bool,
}

/// Where a text is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Anywhere,
    Start,
    End,
}

impl Node {
    /// Whether its value is a truth value by itself.
    pub(crate) fn is_boolean(&self) -> bool {
        match self {
            Self::Constant(value) => matches!(value, Constant::Truth(_) | Constant::Null),
            Self::Property(_) | Self::Negate(_) => false,
            _ => true,
        }
    }
}

impl Expression {
    /// Compiles a source.
    ///
    /// # Errors
    /// When Java's parser refuses it, or it is too long or too deep.
    pub fn compile(source: &str) -> Result<Self, ParseError> {
        parse::parse(source)
    }

    /// The verdict on a message with these properties, the last of equal names counting: true,
    /// false or unknown. Only true lets the message pass.
    ///
    /// # Errors
    /// When Java's evaluation ends in an exception: the message does not pass either.
    pub fn evaluate<'p>(
        &self,
        properties: impl IntoIterator<Item = (&'p [u8], &'p [u8])>,
    ) -> Result<Option<bool>, Illegal> {
        let mut values: Vec<Option<Cow<'p, str>>> = vec![None; self.names.len()];
        for (name, value) in properties {
            let place = self
                .names
                .binary_search_by(|known| (known.len(), known.as_bytes()).cmp(&(name.len(), name)));
            if let Ok(place) = place {
                values[place] = Some(String::from_utf8_lossy(value));
            }
        }
        evaluate::evaluate(&self.root, &values)
    }
}
