//! Configuration as `java.util.Properties` text: the bodies of codes 25, 26, 318, 319, 1009, 1010
//! and 2001. Read as Java loads them, but in UTF-8; written as Java's `MixAll` does: one
//! `key=value` on a line, without escapes. Property files with positions are the business of
//! `settings`.

use std::fmt::{Display, Write};

use super::super::json::BodyError;

/// Adds the lines of `pairs` in their order.
pub fn write<K: Display, V: Display>(pairs: impl IntoIterator<Item = (K, V)>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        writeln!(text, "{key}={value}").expect("writing to memory does not fail");
    }
    text
}

/// The pairs of a text in their order; of equal keys Java holds the last.
///
/// # Errors
/// If the text is not UTF-8, or a `\u` is not followed by four hexadecimal digits.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, BodyError> {
    let bad = |reason: String| BodyError::new(reason).of_class("Properties");
    let text = std::str::from_utf8(bytes)
        .map_err(|error| bad(format!("byte {} is no UTF-8", error.valid_up_to())))?;
    let mut pairs = Vec::new();
    let mut lines = text.split(['\n', '\r']);
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches(BLANKS);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_open(&logical) {
            logical.pop();
            logical.push_str(lines.next().unwrap_or_default().trim_start_matches(BLANKS));
        }
        let (key, value) = split(&logical);
        let pair = unescaped(key).zip(unescaped(value));
        pairs.push(pair.ok_or_else(|| bad(format!("{logical:?} has a bad \\u")))?);
    }
    Ok(pairs)
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Whether a line goes on in the next: an odd number of backslashes at its end.
fn ends_open(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Key and value of a line: the key ends at the first blank, `=` or `:` that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = line.find(|c: char| {
        let ends = !is_escaped && (BLANKS.contains(&c) || c == '=' || c == ':');
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANKS))
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escape.chars();
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits = chars.as_str().get(..4)?;
                let code = u32::from_str_radix(digits, 16).ok()?;
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                chars = chars.as_str()[4..].chars();
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let pairs = read(text.as_bytes()).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, expected, "{text:?}");
    }

    #[test]
    fn as_java_loads_them() {
        check(
            "a=1\nb : 2\r\nc 3\n\n#d=4\n ! e\nf",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("f", "")],
        );
        check("a\\=b=c\\:d =e ", &[("a=b", "c:d =e ")]);
        check("a=1,\\\n   2\\\\\nb=\\u00e9\\t\\z", &[("a", "1,2\\"), ("b", "é\tz")]);
        check("last=open\\", &[("last", "open")]);
        assert!(read(b"a=\\u12").is_err());
        assert!(read(b"a=\xff").is_err());
    }

    #[test]
    fn written_plainly() {
        assert_eq!(write([("a", "1"), ("b", "C:\\x")]), "a=1\nb=C:\\x\n");
    }
}
