//! Texts in the format of `java.util.Properties`, read with the position of every key and value,
//! and changed without losing comments.
//!
//! Separators are `=`, `:` and blanks; `#` and `!` begin comments; a backslash at the end of a line
//! continues it; `\t \n \r \f \uXXXX` are escapes. Unlike Java, which takes the bytes for Latin-1,
//! a line of valid UTF-8 is read as UTF-8. Not here: what keys mean.

use std::collections::HashMap;
use std::fmt;

/// A place in a text; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key, escapes resolved.
    pub key: String,
    /// The value, escapes resolved, blanks at the end kept as Java keeps them.
    pub value: String,
    /// Where the key begins.
    pub key_at: Position,
    /// Where the value begins; for an empty value where it would.
    pub value_at: Position,
    /// Characters of the key and of the value's first line, as written.
    pub widths: (usize, usize),
}

/// A text that Java's parser would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub why: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.at.line, self.at.column, self.why)
    }
}

impl std::error::Error for Malformed {}

/// A read property file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Every property in the order of the file, repeated keys included.
    pub all: Vec<Property>,
    /// The lines as written, without their ends.
    pub lines: Vec<String>,
    /// Numbers of the lines that are not UTF-8 and were read as Latin-1.
    pub latin1_lines: Vec<usize>,
}

impl Properties {
    /// Reads a whole file.
    ///
    /// # Errors
    /// When a `\u` escape is malformed, as in Java.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut read = Self::default();
        for (index, raw) in lines(bytes).into_iter().enumerate() {
            let line = std::str::from_utf8(raw).map_or_else(
                |_| {
                    read.latin1_lines.push(index + 1);
                    raw.iter().map(|byte| char::from(*byte)).collect()
                },
                str::to_owned,
            );
            read.lines.push(line);
        }
        let mut next = 0;
        while next < read.lines.len() {
            let (logical, after) = join(&read.lines, next);
            next = after;
            if !logical.is_empty() {
                read.all.push(property(&logical)?);
            }
        }
        Ok(read)
    }

    /// The properties that count: of a repeated key the last, as in Java.
    #[must_use]
    pub fn effective(&self) -> Vec<&Property> {
        let last: HashMap<&str, usize> =
            self.all.iter().enumerate().map(|(index, found)| (found.key.as_str(), index)).collect();
        let counts = |(index, found): &(usize, &Property)| last[found.key.as_str()] == *index;
        self.all.iter().enumerate().filter(counts).map(|(_, found)| found).collect()
    }

    /// The file with some values replaced in place and unknown keys added at the end; comments,
    /// order and everything else stay.
    #[must_use]
    pub fn with(&self, changes: &[(&str, &str)]) -> Vec<u8> {
        let mut lines: Vec<Option<Vec<u8>>> =
            (1..).zip(&self.lines).map(|(line, text)| Some(self.encode(line, text))).collect();
        let mut added = Vec::new();
        for (key, value) in changes {
            let written = format!("{}={}", escape(key, true), escape(value, false)).into_bytes();
            let Some(old) = self.all.iter().rfind(|found| found.key == *key) else {
                added.push(Some(written));
                continue;
            };
            let first = old.key_at.line - 1;
            let (_, after) = join(&self.lines, first);
            lines[first] = Some(written);
            lines[first + 1..after].fill(None);
        }
        lines.extend(added);
        lines.into_iter().flatten().flat_map(|line| line.into_iter().chain([b'\n'])).collect()
    }

    /// The bytes that one line was read from.
    fn encode(&self, line: usize, text: &str) -> Vec<u8> {
        if self.latin1_lines.binary_search(&line).is_err() {
            return text.as_bytes().to_vec();
        }
        text.chars()
            .map(|character| u8::try_from(character).expect("Latin-1 was read byte by byte"))
            .collect()
    }
}

/// One character of a logical line, with its place.
type Placed = (char, Position);

/// Cuts at `\n`, `\r` and `\r\n`, and skips a byte order mark.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        lines.push(&rest[..end]);
        let ends = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + ends..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

fn is_comment(line: &str) -> bool {
    line.trim_start_matches(is_blank).starts_with(['#', '!'])
}

/// The logical line that begins at `first`, and the index after it; empty for comments and blank
/// lines.
fn join(lines: &[String], first: usize) -> (Vec<Placed>, usize) {
    if is_comment(&lines[first]) {
        return (Vec::new(), first + 1);
    }
    let mut logical = Vec::new();
    let mut index = first;
    while index < lines.len() {
        let mut placed: Vec<Placed> = (1..)
            .zip(lines[index].chars())
            .map(|(column, character)| (character, Position { line: index + 1, column }))
            .skip_while(|(character, _)| is_blank(*character))
            .collect();
        let backslashes = placed.iter().rev().take_while(|(c, _)| *c == '\\').count();
        index += 1;
        if backslashes % 2 == 0 {
            logical.append(&mut placed);
            break;
        }
        placed.pop();
        logical.append(&mut placed);
    }
    (logical, index)
}

/// Splits one logical line into key and value.
fn property(logical: &[Placed]) -> Result<Property, Malformed> {
    let mut key_end = 0;
    while key_end < logical.len() {
        match logical[key_end].0 {
            '\\' => key_end += 2,
            '=' | ':' | ' ' | '\t' | '\x0c' => break,
            _ => key_end += 1,
        }
    }
    let key_end = key_end.min(logical.len());
    let blanks = |from: usize| logical[from..].iter().take_while(|(c, _)| is_blank(*c)).count();
    let mut start = key_end + blanks(key_end);
    if logical.get(start).is_some_and(|(c, _)| matches!(c, '=' | ':')) {
        start += 1;
        start += blanks(start);
    }
    let (_, last_at) = logical[logical.len() - 1];
    let end = Position { line: last_at.line, column: last_at.column + 1 };
    let value_at = logical.get(start).map_or(end, |(_, at)| *at);
    let value_width = logical[start..].iter().filter(|(_, at)| at.line == value_at.line).count();
    Ok(Property {
        key: unescape(&logical[..key_end])?,
        value: unescape(&logical[start..])?,
        key_at: logical[0].1,
        value_at,
        widths: (key_end, value_width),
    })
}

/// Resolves the escapes of a key or value.
fn unescape(placed: &[Placed]) -> Result<String, Malformed> {
    // UTF-16, because Java writes a character outside the first plane as two `\u` escapes.
    let mut units: Vec<u16> = Vec::with_capacity(placed.len());
    let mut rest = placed;
    while let Some(((character, at), tail)) = rest.split_first() {
        rest = tail;
        let mut plain = *character;
        if plain == '\\' {
            let Some(((escaped, _), tail)) = rest.split_first() else { break };
            rest = tail;
            plain = match escaped {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\x0c',
                'u' => {
                    let malformed = Malformed { at: *at, why: "\\u needs four hex digits" };
                    let (digits, tail) =
                        rest.split_at_checked(4).ok_or_else(|| malformed.clone())?;
                    let unit = digits
                        .iter()
                        .try_fold(0, |unit, (digit, _)| Some(unit * 16 + digit.to_digit(16)?));
                    let unit = unit.and_then(|unit| u16::try_from(unit).ok());
                    units.push(unit.ok_or(malformed)?);
                    rest = tail;
                    continue;
                }
                other => *other,
            };
        }
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

/// Writes a key or value so that both this parser and Java's read the same text again.
fn escape(text: &str, is_key: bool) -> String {
    let mut written = String::with_capacity(text.len());
    for (index, character) in text.char_indices() {
        match character {
            '\t' => written.push_str("\\t"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\x0c' => written.push_str("\\f"),
            ' ' if is_key || index == 0 => written.push_str("\\ "),
            '=' | ':' | '#' | '!' if is_key => written.extend(['\\', character]),
            '\\' => written.push_str("\\\\"),
            ' '..='~' => written.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    written.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    written
}

#[cfg(test)]
mod tests;
