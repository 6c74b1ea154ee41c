//! The scanner: a place in the text of a body, and the tokens of fastjson's dialect. It never
//! panics and nests no deeper than [`MAX_DEPTH`]. What the tokens make is the reader's business.

use std::borrow::Cow;

use super::{BodyError, MAX_DEPTH};

/// A place in the text of a body.
#[derive(Clone)]
pub(super) struct Reader<'de> {
    pub(super) text: &'de str,
    pub(super) at: usize,
    pub(super) depth: usize,
}

/// A value that is neither list nor object.
pub(super) enum Scalar<'de> {
    Null,
    Bool(bool),
    /// A number or a bare word, as it stands.
    Bare(&'de str),
    Quoted(Cow<'de, str>),
}

impl<'de> Reader<'de> {
    /// The start of a body.
    ///
    /// # Errors
    /// If the bytes are not UTF-8.
    pub(super) fn new(bytes: &'de [u8]) -> Result<Self, BodyError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| BodyError::new(format!("byte {} is no UTF-8", error.valid_up_to())))?;
        Ok(Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, depth: 0 })
    }

    /// Checks that nothing but blanks is left.
    ///
    /// # Errors
    /// If something is.
    pub(super) fn end(&mut self) -> Result<(), BodyError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wanted("the end")),
        }
    }

    pub(super) fn rest(&self) -> &'de str {
        &self.text[self.at..]
    }

    /// The next byte that is no blank and in no comment.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{8}', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            let skipped = if let Some(comment) = trimmed.strip_prefix("/*") {
                comment.find("*/").map_or(trimmed.len(), |end| end + 4)
            } else if trimmed.starts_with("//") {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else {
                return trimmed.bytes().next();
            };
            self.at += skipped;
        }
    }

    /// Passes `byte` if it is next.
    pub(super) fn passed(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    pub(super) fn wanted(&self, what: &str) -> BodyError {
        let found = match self.rest().chars().next() {
            Some(found) => format!("{found:?}"),
            None => "the end".to_owned(),
        };
        BodyError::new(format!("{what} was expected at byte {}, not {found}", self.at))
    }

    pub(super) fn scalar(&mut self) -> Result<Scalar<'de>, BodyError> {
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                self.quoted(quote).map(Scalar::Quoted)
            }
            _ => Ok(match self.bare()? {
                "null" | "undefined" | "NaN" => Scalar::Null,
                "true" => Scalar::Bool(true),
                "false" => Scalar::Bool(false),
                other => Scalar::Bare(other),
            }),
        }
    }

    /// A number or a word without quotes.
    pub(super) fn bare(&mut self) -> Result<&'de str, BodyError> {
        let rest = self.rest();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | '$');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.wanted("a value"));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// A string whose opening quote is passed.
    pub(super) fn quoted(&mut self, quote: u8) -> Result<Cow<'de, str>, BodyError> {
        let mut owned = String::new();
        loop {
            let rest = self.rest();
            let stop = |byte: &u8| *byte == quote || *byte == b'\\';
            let Some(length) = rest.as_bytes().iter().position(stop) else {
                return Err(BodyError::new(format!("the string at byte {} has no end", self.at)));
            };
            let plain = &rest[..length];
            self.at += length + 1;
            if rest.as_bytes()[length] == quote {
                return Ok(if owned.is_empty() {
                    Cow::Borrowed(plain)
                } else {
                    owned.push_str(plain);
                    Cow::Owned(owned)
                });
            }
            owned.push_str(plain);
            owned.push(self.escaped()?);
        }
    }

    /// The character of an escape whose backslash is passed.
    pub(super) fn escaped(&mut self) -> Result<char, BodyError> {
        let Some(kind) = self.rest().chars().next() else {
            return Err(self.wanted("an escape"));
        };
        let start = self.at;
        self.at += kind.len_utf8();
        Ok(match kind {
            '"' | '\'' | '\\' | '/' => kind,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' => '\0',
            'u' => self.unicode()?,
            _ => {
                self.at = start;
                return Err(self.wanted("an escape"));
            }
        })
    }

    /// The character of `\u`, or of a pair of them; half a pair becomes the replacement character.
    pub(super) fn unicode(&mut self) -> Result<char, BodyError> {
        let first = self.hex4()?;
        let whole = char::from_u32(first);
        if !(0xD800..0xDC00).contains(&first) || !self.rest().starts_with("\\u") {
            return Ok(whole.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let behind_first = self.at;
        self.at += 2;
        let second = self.hex4()?;
        if !(0xDC00..0xE000).contains(&second) {
            self.at = behind_first;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    pub(super) fn hex4(&mut self) -> Result<u32, BodyError> {
        let digits =
            self.rest().get(..4).filter(|four| four.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|four| u32::from_str_radix(four, 16).ok());
        let code = code.ok_or_else(|| self.wanted("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }

    /// Enters a container whose opening byte is next.
    pub(super) fn enter(&mut self) -> Result<(), BodyError> {
        if self.depth == MAX_DEPTH {
            return Err(BodyError::new(format!("it nests deeper than {MAX_DEPTH} levels")));
        }
        self.at += 1;
        self.depth += 1;
        Ok(())
    }

    /// Passes a null if it is next.
    pub(super) fn passed_null(&mut self) -> bool {
        if self.peek() != Some(b'n') {
            return false;
        }
        let start = self.at;
        let is_null = matches!(self.scalar(), Ok(Scalar::Null));
        if !is_null {
            self.at = start;
        }
        is_null
    }

    /// The integer that fastjson makes of the next value.
    pub(super) fn integer(&mut self) -> Result<i64, BodyError> {
        if matches!(self.peek(), Some(b'{' | b'[')) {
            return Err(self.wanted("an integer"));
        }
        let start = self.at;
        let text = match self.scalar()? {
            Scalar::Null => return Ok(0),
            Scalar::Bool(flag) => return Ok(i64::from(flag)),
            Scalar::Bare(text) => Cow::Borrowed(untyped(text)),
            Scalar::Quoted(text) => text,
        };
        let text = text.trim();
        if text.is_empty() {
            return Ok(0);
        }
        let whole = text.parse().ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            (number.abs() < 9.2e18).then_some(number as i64)
        });
        whole.ok_or_else(|| {
            self.at = start;
            self.wanted("an integer")
        })
    }

    pub(super) fn double(&mut self) -> Result<f64, BodyError> {
        let text = match self.scalar()? {
            Scalar::Null => return Ok(0.0),
            Scalar::Bool(flag) => return Ok(f64::from(u8::from(flag))),
            Scalar::Bare(text) => Cow::Borrowed(text),
            Scalar::Quoted(text) => text,
        };
        text.trim().parse().map_err(|_| not("a number", &text))
    }

    pub(super) fn boolean(&mut self) -> Result<bool, BodyError> {
        let text = match self.scalar()? {
            Scalar::Null => return Ok(false),
            Scalar::Bool(flag) => return Ok(flag),
            Scalar::Bare(text) => Cow::Borrowed(text),
            Scalar::Quoted(text) => text,
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "y" => Ok(true),
            "false" | "0" | "n" | "" => Ok(false),
            _ => Err(not("a boolean", &text)),
        }
    }
}

/// A number without the letter behind it that names its type in Java.
fn untyped(text: &str) -> &str {
    let number = text.strip_suffix(['L', 'S', 'B', 'F', 'D']);
    number.filter(|number| number.ends_with(|last: char| last.is_ascii_digit())).unwrap_or(text)
}

/// The error for a text that should be `what`; a long text is cut.
pub(super) fn not(what: &str, text: &str) -> BodyError {
    let shown: String = text.chars().take(64).collect();
    BodyError::new(format!("{shown:?} is not {what}"))
}
