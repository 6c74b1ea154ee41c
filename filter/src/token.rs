//! From the source of an expression to its tokens (Java: `SelectorParserTokenManager`). The longest
//! match counts; an unfinished comment is no comment but what its characters mean by themselves.

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// The end of the source.
    End,
    /// A reserved word.
    Word(Word),
    /// The name of a property.
    Name(&'a str),
    /// A whole number, perhaps with `l` behind it.
    Whole(&'a str),
    /// A number with a point or an exponent.
    Float(&'a str),
    /// A text: what stands between its quotes, inner ones still doubled.
    Text(&'a str),
    /// A sign.
    Sign(Sign),
}

/// A reserved word, in whatever case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Not,
    And,
    Or,
    Between,
    In,
    True,
    False,
    Null,
    Is,
    Contains,
    StartsWith,
    EndsWith,
}

/// A sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Open,
    Comma,
    Close,
    Plus,
    Minus,
}

const WORDS: [(&str, Word); 12] = [
    ("NOT", Word::Not),
    ("AND", Word::And),
    ("OR", Word::Or),
    ("BETWEEN", Word::Between),
    ("IN", Word::In),
    ("TRUE", Word::True),
    ("FALSE", Word::False),
    ("NULL", Word::Null),
    ("IS", Word::Is),
    ("CONTAINS", Word::Contains),
    ("STARTSWITH", Word::StartsWith),
    ("ENDSWITH", Word::EndsWith),
];

/// Reads tokens from a place on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    /// The next token and where it begins, or the place of a character that begins none.
    pub(crate) fn next(&mut self) -> Result<(Token<'a>, usize), usize> {
        self.skip_blanks();
        let at = self.at;
        let rest = &self.source[at..];
        let Some(first) = rest.bytes().next() else { return Ok((Token::End, at)) };
        let number = number(rest.as_bytes());
        let (token, len) = match first {
            b'0'..=b'9' | b'.' if number.is_some() => {
                let (len, is_float) = number.unwrap_or_default();
                let text = &rest[..len];
                (if is_float { Token::Float(text) } else { Token::Whole(text) }, len)
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => name(rest),
            b'\'' => {
                let len = text(rest.as_bytes()).ok_or(at)?;
                (Token::Text(&rest[1..len - 1]), len)
            }
            _ => sign(rest.as_bytes()).ok_or(at)?,
        };
        self.at += len;
        Ok((token, at))
    }

    fn skip_blanks(&mut self) {
        let bytes = self.source.as_bytes();
        loop {
            let rest = &bytes[self.at..];
            let len = match rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0c, ..] => 1,
                [b'-', b'-', ..] => line_comment(rest),
                [b'/', b'*', ..] => block_comment(rest),
                _ => 0,
            };
            if len == 0 {
                return;
            }
            self.at += len;
        }
    }
}

/// The length of a comment up to the end of its line; 0 if the line has no end.
fn line_comment(rest: &[u8]) -> usize {
    let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else { return 0 };
    end + if rest[end..].starts_with(b"\r\n") { 2 } else { 1 }
}

/// The length of a comment between `/*` and `*/`; 0 if it has no end.
fn block_comment(rest: &[u8]) -> usize {
    let end = rest[2..].windows(2).position(|pair| pair == b"*/");
    end.map_or(0, |end| end + 4)
}

/// The length of a text with its quotes. Two quotes are one inside of it, unless nothing closes
/// the text then: the first of them does.
fn text(rest: &[u8]) -> Option<usize> {
    let mut closed = None;
    let mut at = 1;
    while at < rest.len() {
        if rest[at] == b'\'' {
            closed = Some(at + 1);
            if rest.get(at + 1) != Some(&b'\'') {
                break;
            }
            at += 1;
        }
        at += 1;
    }
    closed
}

fn name(rest: &str) -> (Token<'_>, usize) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
    let len = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
    let text = &rest[..len];
    let word = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    (word.map_or(Token::Name(text), |(_, word)| Token::Word(*word)), len)
}

fn sign(rest: &[u8]) -> Option<(Token<'static>, usize)> {
    let (sign, len) = match rest {
        [b'<', b'>', ..] => (Sign::NotEqual, 2),
        [b'<', b'=', ..] => (Sign::LessEqual, 2),
        [b'>', b'=', ..] => (Sign::GreaterEqual, 2),
        [b'<', ..] => (Sign::Less, 1),
        [b'>', ..] => (Sign::Greater, 1),
        [b'=', ..] => (Sign::Equal, 1),
        [b'(', ..] => (Sign::Open, 1),
        [b',', ..] => (Sign::Comma, 1),
        [b')', ..] => (Sign::Close, 1),
        [b'+', ..] => (Sign::Plus, 1),
        [b'-', ..] => (Sign::Minus, 1),
        _ => return None,
    };
    Some((Token::Sign(sign), len))
}

/// The length of the number that stands here, and whether it has a point or an exponent. A whole
/// number has no zero before it: `07` is two numbers, `07.5` is one.
fn number(rest: &[u8]) -> Option<(usize, bool)> {
    let digits =
        |from: usize| from + rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let exponent = |from: usize| {
        let mut at = from;
        if !matches!(rest.get(at), Some(b'e' | b'E')) {
            return from;
        }
        at += 1;
        at += usize::from(matches!(rest.get(at), Some(b'+' | b'-')));
        let end = digits(at);
        if end == at { from } else { end }
    };
    let whole = digits(0);
    let point = rest.get(whole) == Some(&b'.');
    if point && (whole > 0 || digits(1) > 1) {
        return Some((exponent(digits(whole + 1)), true));
    }
    match (whole, exponent(whole)) {
        (0, _) => None,
        (whole, end) if end > whole => Some((end, true)),
        _ if rest[0] == b'0' => Some((1, false)),
        _ => Some((whole + usize::from(matches!(rest.get(whole), Some(b'l' | b'L'))), false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(source: &str) -> Vec<Token<'_>> {
        let mut tokens = Tokens::new(source);
        let mut all = Vec::new();
        while let Ok((token, _)) = tokens.next() {
            if token == Token::End {
                return all;
            }
            all.push(token);
        }
        all.push(Token::End);
        all
    }

    #[test]
    fn the_longest_match_counts() {
        use Token::{Float, Name, Text, Whole};
        assert_eq!(all("07.5 007"), [Float("07.5"), Whole("0"), Whole("0"), Whole("7")]);
        assert_eq!(all("1.e5 .5E-3 1e 2L 0l"), {
            let first = [Float("1.e5"), Float(".5E-3"), Whole("1"), Name("e"), Whole("2L")];
            [&first[..], &[Whole("0"), Name("l")]].concat()
        });
        assert_eq!(all("notx iS$ $a_1"), [Name("notx"), Name("iS$"), Name("$a_1")]);
        assert_eq!(all("'a''b' ''"), [Text("a''b"), Text("")]);
        assert_eq!(all("'a'' "), [Text("a"), Token::End], "an open quote is no token");
        assert_eq!(all("'é'"), [Text("é")]);
    }

    #[test]
    fn comments_need_an_end() {
        use Token::{Name, Sign as S};
        assert_eq!(all("a--x\r\nb/* * / */c"), [Name("a"), Name("b"), Name("c")]);
        assert_eq!(all("a--x"), [Name("a"), S(Sign::Minus), S(Sign::Minus), Name("x")]);
        assert_eq!(all("/*/"), [Token::End]);
        assert_eq!(all("/***/a"), [Name("a")]);
    }
}
