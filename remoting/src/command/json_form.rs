//! A header in the JSON form (wire reference, 1.3): one flat object with one flat object inside.
//!
//! Read by hand and not through a JSON library, and in place: a text never gets longer when its
//! escapes are resolved, so that it stays where it arrived, and blanks fill what is left over. The
//! numbers that C++ clients put into `extFields` are texts like the others, and so are objects and
//! lists there. Bodies are [`crate::json`]'s.

use super::{CommandError, Head, TOO_MANY_FIELDS};
use crate::codes::LanguageCode;
use crate::fields::{Decimal, Fields, Span};
use crate::frame::Limits;
use crate::json::Named as _;
use bytes::{BufMut, BytesMut};
use message::{Str, scan};
use std::ops::Range;

/// What each byte says as a hexadecimal digit; more than 15 where it is none.
const DIGITS: [u8; 256] = {
    let (mut digits, mut byte) = ([u8::MAX; 256], 0);
    while byte < 256 {
        digits[byte] = match byte as u8 {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            digit @ b'A'..=b'F' => digit - b'A' + 10,
            _ => u8::MAX,
        };
        byte += 1;
    }
    digits
};

/// How deep values that nobody reads may be nested.
const DEPTH: usize = 8;

/// A member of a header.
#[derive(Clone, Copy)]
enum Member {
    Code,
    ExtFields,
    Flag,
    Language,
    Opaque,
    SerializeType,
    Version,
    Remark,
}

/// The members in the order in which Java writes those of a request, and as it writes them.
const MEMBERS: [(&[u8], Member); 8] = [
    (b"\"code\":", Member::Code),
    (b"\"extFields\":", Member::ExtFields),
    (b"\"flag\":", Member::Flag),
    (b"\"language\":", Member::Language),
    (b"\"opaque\":", Member::Opaque),
    (b"\"serializeTypeCurrentRPC\":", Member::SerializeType),
    (b"\"version\":", Member::Version),
    (b"\"remark\":", Member::Remark),
];

/// Reads a header, and notes in `spans` where its fields' texts lie then.
///
/// # Errors
/// When it is not a JSON object of the known shape; unknown members are passed over.
pub(crate) fn decode(
    header: &mut [u8],
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Result<Head, CommandError> {
    let mut reader = Reader { header, at: 0 };
    let mut head = Head {
        code: 0,
        language: LanguageCode::JAVA,
        version: 0,
        opaque: 0,
        flag: 0,
        remark: None,
    };
    let mut more = reader.begins(b'{', "an object was expected")?;
    let mut guess = 0;
    while more {
        let member = match reader.member(&mut guess) {
            Err(_) if reader.closes_behind_comma() => break,
            member => member?,
        };
        match member {
            Some(Member::Code) => head.code = reader.integer()?,
            Some(Member::ExtFields) => reader.fields(limits, spans)?,
            Some(Member::Flag) => head.flag = reader.integer()?,
            Some(Member::Language) => head.language = reader.language()?,
            Some(Member::Opaque) => head.opaque = reader.integer()?,
            Some(Member::Version) => head.version = reader.integer()?,
            Some(Member::Remark) => head.remark = reader.remark()?,
            Some(Member::SerializeType) if reader.passes(b"\"JSON\"") => {}
            Some(Member::SerializeType) | None => reader.skip(DEPTH)?,
        }
        more = reader.goes_on(b'}')?;
    }
    // A zero behind it ends the text of some C programs.
    if reader.peek().is_some_and(|byte| byte != 0) && !reader.ends_in_comments() {
        return Err(reader.error("something follows the object"));
    }
    Ok(head)
}

/// Writes a header, its members in Java's order.
pub(crate) fn encode(head: &Head, fields: &Fields, out: &mut BytesMut) {
    member(b"{\"code\":", head.code, out);
    if !fields.is_empty() {
        out.put_slice(b",\"extFields\":{");
        match fields.as_json() {
            Some(members) => {
                out.put_slice(members);
                out.put_u8(b'"');
            }
            None => fields.iter().enumerate().for_each(|(at, pair)| escaped_pair(at, pair, out)),
        }
        out.put_u8(b'}');
    }
    member(b",\"flag\":", head.flag, out);
    out.put_slice(b",\"language\":\"");
    out.put_slice(head.language.name().unwrap_or("OTHER").as_bytes());
    member(b"\",\"opaque\":", head.opaque, out);
    if let Some(remark) = &head.remark {
        out.put_slice(b",\"remark\":");
        text(remark, out);
    }
    member(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":", head.version, out);
    out.put_u8(b'}');
}

fn member(before: &[u8], number: i32, out: &mut BytesMut) {
    out.put_slice(before);
    out.put_slice(Decimal::of(number.into()).as_bytes());
}

fn escaped_pair(at: usize, (key, value): (&str, &str), out: &mut BytesMut) {
    if at > 0 {
        out.put_u8(b',');
    }
    text(key, out);
    out.put_u8(b':');
    text(value, out);
}

/// Where a byte stands that must be escaped.
fn next_escape(text: &[u8]) -> Option<usize> {
    let marks = |eight| scan::below(eight, 0x20) | scan::has(eight, b'"') | scan::has(eight, b'\\');
    scan::find(text, marks, |byte| matches!(byte, 0..=0x1f | b'"' | b'\\'))
}

fn text(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = next_escape(rest) {
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

/// The whole part of a number that is written with a fraction or an exponent, as languages do that
/// have one kind of number.
#[cold]
fn whole(written: &[u8]) -> Option<i64> {
    let number: f64 = std::str::from_utf8(written).ok()?.parse().ok()?;
    number.is_finite().then_some(number as i64)
}

/// A number without the letter behind it that names its type in Java.
fn untyped(written: &[u8]) -> &[u8] {
    match written {
        [b'0'..=b'9' | b'-' | b'+', .., b'L' | b'S' | b'B' | b'F' | b'D'] => {
            &written[..written.len() - 1]
        }
        _ => written,
    }
}

/// A language as fastjson finds it: by a name in any case, its `_` left out or `-` in their place,
/// or by its number. Null and a name that is not known are none of all.
#[cold]
fn language_of(written: &[u8], is_text: bool) -> Option<LanguageCode> {
    if written == b"null" && !is_text {
        return Some(NO_LANGUAGE);
    }
    let number = match written {
        text if is_text => Decimal::parse(text),
        bare => Decimal::parse(untyped(bare)).or_else(|| whole(untyped(bare))),
    };
    if number.is_some() || !is_text {
        let code = number.and_then(|number| u8::try_from(number).ok()).map(LanguageCode);
        return code.filter(|code| code.name().is_some());
    }
    let named = std::str::from_utf8(written).ok().and_then(LanguageCode::from_text);
    Some(named.unwrap_or(NO_LANGUAGE))
}

/// What has no name (Java: null).
const NO_LANGUAGE: LanguageCode = LanguageCode(u8::MAX);

struct Reader<'a> {
    header: &'a mut [u8],
    at: usize,
}

impl Reader<'_> {
    #[cold]
    fn error(&self, why: &'static str) -> CommandError {
        CommandError { at: self.at, why }
    }

    /// The next byte that is no blank.
    #[inline(always)]
    fn peek(&mut self) -> Option<u8> {
        match self.header.get(self.at) {
            Some(byte) if *byte > b' ' => Some(*byte),
            _ => self.peek_behind_blanks(),
        }
    }

    #[cold]
    fn peek_behind_blanks(&mut self) -> Option<u8> {
        loop {
            match self.header.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Passes these bytes if they come next. What nearly always stands there is looked for at once
    /// this way, before it is read bit by bit.
    #[inline(always)]
    fn passes(&mut self, bytes: &[u8]) -> bool {
        let comes = self.header.get(self.at..).is_some_and(|rest| rest.starts_with(bytes));
        self.at += if comes { bytes.len() } else { 0 };
        comes
    }

    /// Passes the name of a member and the colon behind it; nothing when it is unknown. `guess` is
    /// the place in [`MEMBERS`] of the one that is expected.
    fn member(&mut self, guess: &mut usize) -> Result<Option<Member>, CommandError> {
        let guessed = MEMBERS.get(*guess).filter(|(written, _)| self.passes(written));
        let found = match guessed {
            Some(_) => Some(*guess),
            None => {
                let key = self.quoted()?;
                let name = &self.header[key];
                let found = MEMBERS.iter().position(|(member, _)| {
                    member[1..].strip_suffix(b"\":").is_some_and(|member| member == name)
                });
                self.expect(b':', "':' was expected")?;
                found
            }
        };
        *guess = found.map_or(*guess, |found| found + 1);
        Ok(found.map(|found| MEMBERS[found].1))
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), CommandError> {
        if self.peek() != Some(byte) {
            return if self.passes_comment() {
                self.expect(byte, why)
            } else {
                Err(self.error(why))
            };
        }
        self.at += 1;
        Ok(())
    }

    /// Passes comments and the blanks behind them; whether there were any. fastjson takes them
    /// wherever a blank may stand.
    #[cold]
    fn passes_comment(&mut self) -> bool {
        let from = self.at;
        while self.peek() == Some(b'/') {
            let rest = &self.header[self.at..];
            let ends = |end: &[u8]| rest.windows(end.len()).skip(2).position(|it| it == end);
            let len = match rest {
                [_, b'*', ..] => ends(b"*/").map(|at| at + 4),
                [_, b'/', ..] => Some(ends(b"\n").map_or(rest.len(), |at| at + 3)),
                _ => None,
            };
            let Some(len) = len else { break };
            self.at += len;
        }
        self.at > from
    }

    /// Passes the bracket that ends an object where a member was expected: behind a comma too many,
    /// or where there was a comment alone.
    #[cold]
    fn closes_behind_comma(&mut self) -> bool {
        let before = self.header.get(..self.at).unwrap_or_default().trim_ascii_end();
        matches!(before.last(), Some(b',' | b'/')) && self.passes(b"}")
    }

    #[cold]
    fn ends_in_comments(&mut self) -> bool {
        self.passes_comment();
        self.peek().is_none_or(|byte| byte == 0)
    }

    /// Passes the opening bracket of an object or array; says whether it has a member.
    fn begins(&mut self, opening: u8, why: &'static str) -> Result<bool, CommandError> {
        self.expect(opening, why)?;
        // Closing brackets follow their opening ones by two.
        let is_empty = self.peek() == Some(opening + 2);
        self.at += usize::from(is_empty);
        Ok(!is_empty)
    }

    /// Passes what stands behind a member: a comma, or the bracket that ends all; says whether
    /// another one follows.
    fn goes_on(&mut self, closing: u8) -> Result<bool, CommandError> {
        let found = self.peek();
        if found != Some(b',') && found != Some(closing) {
            if self.passes_comment() {
                return self.goes_on(closing);
            }
            return Err(self.error("',' or the closing bracket was expected"));
        }
        self.at += 1;
        Ok(found == Some(b','))
    }

    /// The object of the ext fields; what is no object is passed over.
    fn fields(&mut self, limits: &Limits, spans: &mut Vec<Span>) -> Result<(), CommandError> {
        if self.peek() != Some(b'{') {
            return if self.passes_comment() {
                self.fields(limits, spans)
            } else {
                self.skip(DEPTH)
            };
        }
        let mut more = self.begins(b'{', "an object was expected")?;
        while more {
            if spans.len() == limits.fields {
                return Err(self.error(TOO_MANY_FIELDS));
            }
            let letter = self.letter();
            let key = match letter.clone().map_or_else(|| self.text(), Ok) {
                Err(_) if self.closes_behind_comma() => break,
                key => key?,
            };
            let value = match letter.is_some() || self.passes(b":\"") {
                true => Some(self.begun_text()?),
                false => {
                    self.expect(b':', "':' was expected")?;
                    self.value()?
                }
            };
            if let Some(value) = value {
                spans.push(Span::of(key, value));
            }
            more = self.goes_on(b'}')?;
        }
        Ok(())
    }

    /// Passes a key of one letter, its colon and the quote behind that: the short form of a send
    /// has no other keys.
    #[inline(always)]
    fn letter(&mut self) -> Option<Range<usize>> {
        let [b'"', letter, b'"', b':', b'"'] = self.header.get(self.at..)?.first_chunk()? else {
            return None;
        };
        let is_letter = !matches!(letter, b'"' | b'\\');
        self.at += if is_letter { 5 } else { 0 };
        is_letter.then(|| self.at - 4..self.at - 3)
    }

    /// Moves to the next quote or backslash, and gives it.
    #[inline(always)]
    fn go_to_mark(&mut self) -> Result<u8, CommandError> {
        while let Some(eight) = self.header.get(self.at..).and_then(<[u8]>::first_chunk) {
            // In this order the first mark is right, whatever the others are.
            let eight = scan::first_lowest(eight);
            let marked = scan::has(eight, b'"') | scan::has(eight, b'\\');
            if marked != 0 {
                self.at += marked.trailing_zeros() as usize / 8;
                return Ok(self.header[self.at]);
            }
            self.at += 8;
        }
        let rest = self.header.get(self.at..).unwrap_or_default();
        let Some(run) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
            return Err(self.error("a text does not end"));
        };
        let mark = rest[run];
        self.at += run;
        Ok(mark)
    }

    /// A text in quotes as it is written, its escapes unresolved.
    fn quoted(&mut self) -> Result<Range<usize>, CommandError> {
        if self.peek() != Some(b'"') {
            return self.other_text();
        }
        self.at += 1;
        let start = self.at;
        while self.go_to_mark()? == b'\\' {
            self.at += 2;
        }
        self.at += 1;
        Ok(start..self.at - 1)
    }

    /// A text behind a comment, or in single quotes, its escapes resolved.
    #[cold]
    fn other_text(&mut self) -> Result<Range<usize>, CommandError> {
        if self.passes_comment() {
            return self.text();
        }
        self.expect(b'\'', "a text in quotes was expected")?;
        let (start, mut end) = (self.at, self.at);
        loop {
            match self.header.get(self.at) {
                None => return Err(self.error("a text does not end")),
                Some(b'\'') => break,
                Some(b'\\') => end = self.resolve_one(end)?,
                Some(byte) => {
                    self.header[end] = *byte;
                    (self.at, end) = (self.at + 1, end + 1);
                }
            }
        }
        self.header[end..self.at].fill(b' ');
        self.at += 1;
        Ok(start..end)
    }

    /// A number, boolean or null as it is written; empty when there is something else.
    fn bare(&mut self) -> Range<usize> {
        self.peek();
        let start = self.at;
        let is_bare =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        while self.header.get(self.at).is_some_and(is_bare) {
            self.at += 1;
        }
        start..self.at
    }

    /// A short text without escapes, or a bare value.
    fn short(&mut self) -> Result<Range<usize>, CommandError> {
        if self.peek() == Some(b'/') {
            self.passes_comment();
        }
        if matches!(self.peek(), Some(b'"' | b'\'')) { self.quoted() } else { Ok(self.bare()) }
    }

    /// A text, or the text of any other value as it stands; nothing for null.
    #[inline(always)]
    fn value(&mut self) -> Result<Option<Range<usize>>, CommandError> {
        match self.peek() {
            Some(b'"') => return self.text().map(Some),
            Some(b'\'') => return self.other_text().map(Some),
            Some(b'/') if self.passes_comment() => return self.value(),
            _ => {}
        }
        let start = self.at;
        self.skip(DEPTH)?;
        let written = &self.header[start..self.at];
        let len = untyped(written).len();
        Ok((written != b"null").then_some(start..start + len))
    }

    fn integer(&mut self) -> Result<i32, CommandError> {
        // More digits than a number has.
        const MANY: usize = 11;
        let rest = self.header.get(self.at..).unwrap_or_default();
        let (mut number, mut digits) = (0_i64, 0);
        for byte in rest.iter().take(MANY) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number * 10 + i64::from(digit);
            digits += 1;
        }
        let ends = digits > 0 && matches!(rest.get(digits), Some(b',' | b'}'));
        if let Some(number) = i32::try_from(number).ok().filter(|_| ends) {
            self.at += digits;
            return Ok(number);
        }
        let written = self.short()?;
        let is_text = matches!(self.header[self.at - 1], b'"' | b'\'');
        let number = match &self.header[written] {
            b"null" | b"false" => Some(0),
            b"" if is_text => Some(0),
            b"true" => Some(1),
            other if is_text => Decimal::parse(other).or_else(|| whole(other)),
            other => Decimal::parse(untyped(other)).or_else(|| whole(untyped(other))),
        };
        let number = number.map(i32::try_from).and_then(Result::ok);
        number.ok_or_else(|| self.error("a 32-bit number was expected"))
    }

    fn language(&mut self) -> Result<LanguageCode, CommandError> {
        if self.passes(b"\"JAVA\"") {
            return Ok(LanguageCode::JAVA);
        }
        let written = self.short()?;
        let is_text = matches!(self.header[self.at - 1], b'"' | b'\'');
        let text = &self.header[written];
        let known = std::str::from_utf8(text).ok().and_then(LanguageCode::from_name);
        let language = known.filter(|_| is_text).or_else(|| language_of(text, is_text));
        language.ok_or_else(|| self.error("a language was expected"))
    }

    /// A remark; an empty one is none.
    fn remark(&mut self) -> Result<Option<Str>, CommandError> {
        let Some(remark) = self.value()?.filter(|remark| !remark.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(String::from_utf8_lossy(&self.header[remark]).into_owned().into()))
    }

    /// A text in quotes, its escapes resolved. Most have none.
    #[inline(always)]
    fn text(&mut self) -> Result<Range<usize>, CommandError> {
        if self.peek() != Some(b'"') {
            return self.other_text();
        }
        self.at += 1;
        self.begun_text()
    }

    /// The same behind its first quote.
    #[inline(always)]
    fn begun_text(&mut self) -> Result<Range<usize>, CommandError> {
        let start = self.at;
        let end = match self.go_to_mark()? {
            b'"' => self.at,
            _ => self.resolve()?,
        };
        self.at += 1;
        Ok(start..end)
    }

    /// Resolves the escapes from here to the text's end, moves there, and gives where the text ends
    /// without them.
    fn resolve(&mut self) -> Result<usize, CommandError> {
        let mut end = self.at;
        while self.header[self.at] == b'\\' {
            end = self.resolve_one(end)?;
            let run = self.at;
            self.go_to_mark()?;
            self.header.copy_within(run..self.at, end);
            end += self.at - run;
        }
        self.header[end..self.at].fill(b' ');
        Ok(end)
    }

    /// Puts the character that the escape here stands for to `end`, and gives where that ends.
    #[inline(always)]
    fn resolve_one(&mut self, end: usize) -> Result<usize, CommandError> {
        // Separators of properties and other control characters, as Java writes them.
        if let Some([b'\\', b'u', b'0', b'0', high, low]) = self.header[self.at..].first_chunk()
            && let [high @ ..=7, low @ ..=15] = [high, low].map(|at| DIGITS[usize::from(*at)])
        {
            self.header[end] = high << 4 | low;
            self.at += 6;
            return Ok(end + 1);
        }
        let character = self.escape()?;
        Ok(end + character.encode_utf8(&mut self.header[end..]).len())
    }

    /// The character that the escape here stands for; it is shorter than what was written.
    fn escape(&mut self) -> Result<char, CommandError> {
        let kind = self.header.get(self.at + 1).copied();
        self.at += 2;
        Ok(match kind {
            Some(plain @ (b'"' | b'\\' | b'/' | b'\'')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode()?,
            _ => return Err(self.error("an unknown escape")),
        })
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
        let behind_first = self.at;
        self.at += 2;
        let low = self.hex()?.wrapping_sub(0xdc00);
        if low >= 0x400 {
            // No second half: it stands for itself.
            self.at = behind_first;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let character = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low);
        Ok(character.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, CommandError> {
        let why = "a \\u escape needs four digits";
        let digits: [u8; 4] = match self.header.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(digits) => *digits,
            None => return Err(self.error(why)),
        };
        let digits = digits.map(|digit| u32::from(DIGITS[usize::from(digit)]));
        if digits.iter().any(|digit| *digit > 15) {
            return Err(self.error(why));
        }
        let value = digits.iter().fold(0, |value, digit| value << 4 | digit);
        self.at += 4;
        Ok(value)
    }

    /// Passes over a value that nobody reads.
    fn skip(&mut self, depth: usize) -> Result<(), CommandError> {
        if depth == 0 {
            return Err(self.error("nested too deep"));
        }
        match self.peek() {
            Some(bracket @ (b'{' | b'[')) => {
                let mut more = self.begins(bracket, "a value was expected")?;
                while more {
                    if bracket == b'{' {
                        self.quoted()?;
                        self.expect(b':', "':' was expected")?;
                    }
                    self.skip(depth - 1)?;
                    more = self.goes_on(bracket + 2)?;
                }
                Ok(())
            }
            Some(b'"' | b'\'') => self.quoted().map(drop),
            Some(b'/') if self.passes_comment() => self.skip(depth),
            _ if self.bare().is_empty() => Err(self.error("a value was expected")),
            _ => Ok(()),
        }
    }
}
