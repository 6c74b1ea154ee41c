//! Reads what fastjson writes: JSON whose object keys may be numbers or objects. Such a key
//! becomes its own text.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

const DEEPEST: usize = 64;

/// Parses a whole text.
///
/// # Errors
/// It is not JSON even when read kindly.
pub fn parse(text: &str) -> Result<Value> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.blank();
    ensure!(reader.at == text.len(), "text after the value at {}", reader.at);
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        self.blank();
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        ensure!(depth < DEEPEST, "nested too deeply");
        self.blank();
        match self.peek().context("the text ends early")? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string(),
            _ => self.plain(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value> {
        self.at += 1;
        let mut object = Map::new();
        while !self.take(b'}') {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            ensure!(self.take(b':'), "no colon at {}", self.at);
            object.insert(key, self.value(depth + 1)?);
            self.take(b',');
        }
        Ok(Value::Object(object))
    }

    fn list(&mut self, depth: usize) -> Result<Value> {
        self.at += 1;
        let mut list = Vec::new();
        while !self.take(b']') {
            list.push(self.value(depth + 1)?);
            self.take(b',');
        }
        Ok(Value::Array(list))
    }

    fn string(&mut self) -> Result<Value> {
        let start = self.at;
        self.at += 1;
        while self.peek().context("a string without end")? != b'"' {
            self.at += 1 + usize::from(self.peek() == Some(b'\\'));
        }
        self.at += 1;
        Ok(serde_json::from_str(&self.text[start..self.at])?)
    }

    fn plain(&mut self) -> Result<Value> {
        let rest = &self.text[self.at..];
        let ends = |c: char| c.is_whitespace() || ",:]}".contains(c);
        let word = rest.split(ends).next().unwrap_or_default();
        if word.is_empty() {
            bail!("no value at {}", self.at);
        }
        self.at += word.len();
        Ok(serde_json::from_str(word)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_may_be_numbers_and_objects() {
        let found = parse(r#"{"a":{0:"x"},"t":{{"q":1,"b":"n"}:5}}"#).unwrap();
        assert_eq!(found["a"]["0"], "x");
        assert_eq!(found["t"][r#"{"b":"n","q":1}"#], 5);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "{", "{\"a\"}", "[1", "\"x", "{}x", "what"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
