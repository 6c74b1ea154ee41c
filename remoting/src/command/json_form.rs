//! A header in the JSON form (wire reference, 1.3): one flat object with one flat object inside.
//!
//! Read by hand and not through a JSON library: the fields go straight into one text, and the
//! numbers that C++ clients put into `extFields` become texts. Bodies are [`crate::json`]'s.

use super::{CommandError, Head, TOO_MANY_FIELDS};
use crate::codes::LanguageCode;
use crate::fields::{Ends, Fields};
use crate::frame::Limits;
use bytes::{BufMut, BytesMut};
use message::Str;

/// How deep values that nobody reads may be nested.
const DEPTH: usize = 8;

/// Reads a header. `scratch` gives the room for the text of its fields.
///
/// # Errors
/// When it is not a JSON object of the known shape; unknown members are passed over.
pub fn decode(
    header: &[u8],
    limits: &Limits,
    scratch: &mut BytesMut,
) -> Result<(Head, Fields), CommandError> {
    let mut reader = Reader { header, at: 0 };
    let mut head = Head {
        code: 0,
        language: LanguageCode::OTHER,
        version: 0,
        opaque: 0,
        flag: 0,
        remark: None,
    };
    let mut ends = Ends::default();
    reader.object(|reader| {
        match reader.key()? {
            b"code" => head.code = reader.integer()?,
            b"version" => head.version = reader.integer()?,
            b"opaque" => head.opaque = reader.integer()?,
            b"flag" => head.flag = reader.integer()?,
            b"language" => head.language = language(reader.short()?),
            b"remark" => head.remark = reader.remark()?,
            b"extFields" if reader.peek() == Some(b'{') => reader.object(|reader| {
                if ends.len() == limits.fields {
                    return Err(reader.error(TOO_MANY_FIELDS));
                }
                let start = scratch.len();
                reader.text(scratch)?;
                let key_end = scratch.len();
                reader.expect(b':', "':' was expected")?;
                if reader.value(scratch)? {
                    ends.push(key_end, scratch.len());
                } else {
                    scratch.truncate(start);
                }
                Ok(())
            })?,
            _ => reader.skip(DEPTH)?,
        }
        Ok(())
    })?;
    reader.blanks();
    if reader.peek().is_some() {
        return Err(reader.error("something follows the object"));
    }
    let text = Str::try_from(scratch.split().freeze());
    let text = text.map_err(|_| reader.error("a field is not UTF-8"))?;
    Ok((head, Fields::arrived(text, ends)))
}

fn language(name: &[u8]) -> LanguageCode {
    let name = std::str::from_utf8(name).unwrap_or_default();
    LanguageCode::from_name(name).unwrap_or(LanguageCode::OTHER)
}

/// Writes a header, its members in Java's order.
pub fn encode(head: &Head, fields: &Fields, out: &mut BytesMut) {
    out.put_slice(b"{\"code\":");
    number(head.code, out);
    if !fields.is_empty() {
        out.put_slice(b",\"extFields\":{");
        for (at, (key, value)) in fields.iter().enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            text(key, out);
            out.put_u8(b':');
            text(value, out);
        }
        out.put_u8(b'}');
    }
    out.put_slice(b",\"flag\":");
    number(head.flag, out);
    out.put_slice(b",\"language\":\"");
    out.put_slice(head.language.name().unwrap_or("OTHER").as_bytes());
    out.put_slice(b"\",\"opaque\":");
    number(head.opaque, out);
    if let Some(remark) = &head.remark {
        out.put_slice(b",\"remark\":");
        text(remark, out);
    }
    out.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    number(head.version, out);
    out.put_u8(b'}');
}

fn number(value: i32, out: &mut BytesMut) {
    let mut digits = [0; 11];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.put_slice(&digits[at..]);
}

fn text(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\')) {
        out.put_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.put_slice(b"\\u00");
                out.put_u8(HEX[usize::from(control >> 4)]);
                out.put_u8(HEX[usize::from(control & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

struct Reader<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, why: &'static str) -> CommandError {
        CommandError { at: self.at, why }
    }

    fn blanks(&mut self) {
        while matches!(self.header.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        self.blanks();
        self.header.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), CommandError> {
        if self.peek() != Some(byte) {
            return Err(self.error(why));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads an object; `member` must read key, colon and value.
    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        self.expect(b'{', "an object was expected")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            member(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("',' or '}' was expected")),
            }
        }
    }

    /// A key as it is written, and the colon behind it. Keys that we know have no escapes.
    fn key(&mut self) -> Result<&'a [u8], CommandError> {
        let key = self.quoted()?;
        self.expect(b':', "':' was expected")?;
        Ok(key)
    }

    /// A text in quotes as it is written, its escapes unresolved.
    fn quoted(&mut self) -> Result<&'a [u8], CommandError> {
        self.expect(b'"', "a text in quotes was expected")?;
        let start = self.at;
        loop {
            match self.header.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(self.error("a text does not end")),
            }
        }
        let text = &self.header[start..self.at];
        self.at += 1;
        Ok(text)
    }

    /// A number, boolean or null as it is written; empty when there is something else.
    fn bare(&mut self) -> &'a [u8] {
        self.blanks();
        let start = self.at;
        let is_bare =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        while self.header.get(self.at).is_some_and(is_bare) {
            self.at += 1;
        }
        &self.header[start..self.at]
    }

    /// A short text without escapes, or a bare value.
    fn short(&mut self) -> Result<&'a [u8], CommandError> {
        if self.peek() == Some(b'"') { self.quoted() } else { Ok(self.bare()) }
    }

    /// Adds a text, number or boolean as text to `out`; gives false, and adds nothing, for null.
    fn value(&mut self, out: &mut BytesMut) -> Result<bool, CommandError> {
        if self.peek() == Some(b'"') {
            return self.text(out).map(|()| true);
        }
        match self.bare() {
            b"" => Err(self.error("a text, number or boolean was expected")),
            b"null" => Ok(false),
            bare => {
                out.put_slice(bare);
                Ok(true)
            }
        }
    }

    fn integer(&mut self) -> Result<i32, CommandError> {
        let text = std::str::from_utf8(self.short()?).unwrap_or_default();
        text.parse().map_err(|_| self.error("a 32-bit number was expected"))
    }

    /// A remark; an empty one is none.
    fn remark(&mut self) -> Result<Option<Str>, CommandError> {
        let mut out = BytesMut::new();
        if !self.value(&mut out)? || out.is_empty() {
            return Ok(None);
        }
        let remark = Str::try_from(out.freeze());
        remark.map(Some).map_err(|_| self.error("the remark is not UTF-8"))
    }

    /// Adds a text in quotes to `out`, its escapes resolved.
    fn text(&mut self, out: &mut BytesMut) -> Result<(), CommandError> {
        self.expect(b'"', "a text in quotes was expected")?;
        loop {
            let rest = &self.header[self.at..];
            let stop = memchr::memchr2(b'"', b'\\', rest);
            let stop = stop.ok_or_else(|| self.error("a text does not end"))?;
            out.put_slice(&rest[..stop]);
            self.at += stop + 1;
            if rest[stop] == b'"' {
                return Ok(());
            }
            let escape = self.header.get(self.at).copied();
            self.at += 1;
            match escape {
                Some(plain @ (b'"' | b'\\' | b'/' | b'\'')) => out.put_u8(plain),
                Some(b'b') => out.put_u8(8),
                Some(b'f') => out.put_u8(12),
                Some(b'n') => out.put_u8(b'\n'),
                Some(b'r') => out.put_u8(b'\r'),
                Some(b't') => out.put_u8(b'\t'),
                Some(b'u') => {
                    let character = self.unicode()?;
                    out.put_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return Err(self.error("an unknown escape")),
            }
        }
    }

    /// The character of a `\u` escape, with its second half where there is one.
    fn unicode(&mut self) -> Result<char, CommandError> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if self.header.get(self.at..self.at + 2) != Some(b"\\u".as_slice()) {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        self.at += 2;
        let second = self.hex()?;
        let low = second.wrapping_sub(0xdc00);
        let character = (low < 0x400).then(|| 0x1_0000 + ((first - 0xd800) << 10) + low);
        Ok(character.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, CommandError> {
        let digits = self.header.get(self.at..self.at + 4);
        let digits = digits.ok_or_else(|| self.error("a \\u escape needs four digits"))?;
        let mut value = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16);
            value =
                value << 4 | digit.ok_or_else(|| self.error("a \\u escape needs four digits"))?;
        }
        self.at += 4;
        Ok(value)
    }

    /// Passes over a value that nobody reads.
    fn skip(&mut self, depth: usize) -> Result<(), CommandError> {
        if depth == 0 {
            return Err(self.error("nested too deep"));
        }
        match self.peek() {
            Some(b'{') => self.object(|reader| {
                reader.key()?;
                reader.skip(depth - 1)
            }),
            Some(b'[') => {
                self.at += 1;
                if self.peek() == Some(b']') {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    self.skip(depth - 1)?;
                    match self.peek() {
                        Some(b',') => self.at += 1,
                        Some(b']') => {
                            self.at += 1;
                            return Ok(());
                        }
                        _ => return Err(self.error("',' or ']' was expected")),
                    }
                }
            }
            Some(b'"') => self.quoted().map(drop),
            _ if self.bare().is_empty() => Err(self.error("a value was expected")),
            _ => Ok(()),
        }
    }
}
