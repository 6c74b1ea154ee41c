//! The body of a client's batch: messages one after another, each `i32 size, i32 magic 0, i32 crc
//! 0, i32 flag, i32 body length, body, i16 properties length, properties` (Java
//! `MessageDecoder.encodeMessage`). What a broker makes of them is not said here.

use bytes::{Buf, Bytes};
use std::fmt;

/// The bytes of a message besides its body and properties: none takes fewer of a batch.
pub const MESSAGE_MIN_LEN: usize = 4 + 4 + 4 + 4 + 4 + 2;

/// One message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchMessage {
    /// The user's flag.
    pub flag: i32,
    /// The body.
    pub body: Bytes,
    /// The encoded properties.
    pub properties: Bytes,
}

/// The batch body is not well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// Where the broken message begins, bytes from the batch's start.
    pub at: usize,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch body: the message at byte {} is cut short or has wrong lengths", self.at)
    }
}

impl std::error::Error for BatchError {}

/// The messages of a batch body, sharing its bytes; ends after the first error.
pub fn messages(body: Bytes) -> impl Iterator<Item = Result<BatchMessage, BatchError>> {
    let whole = body.len();
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = whole - rest.len();
        let one = next(&mut rest).ok_or(BatchError { at });
        if one.is_err() {
            rest.clear();
        }
        Some(one)
    })
}

fn next(rest: &mut Bytes) -> Option<BatchMessage> {
    let size = usize::try_from(rest.clone().try_get_i32().ok()?).ok()?;
    if size < MESSAGE_MIN_LEN || size > rest.len() {
        return None;
    }
    let mut one = rest.split_to(size);
    one.advance(12);
    let flag = one.get_i32();
    let body_len = usize::try_from(one.get_i32()).ok().filter(|len| *len <= one.len() - 2)?;
    let body = one.split_to(body_len);
    let properties_len = usize::try_from(one.get_i16()).ok()?;
    (properties_len == one.len()).then_some(BatchMessage { flag, body, properties: one })
}

/// Appends one message to a batch body.
///
/// Panics when body or properties are longer than their length fields can say.
pub fn encode(message: &BatchMessage, out: &mut Vec<u8>) {
    let size = MESSAGE_MIN_LEN + message.body.len() + message.properties.len();
    let length = |len: usize| i32::try_from(len).expect("a batch message fits in 2 GiB");
    let properties = i16::try_from(message.properties.len()).expect("properties fit in 32 KiB");
    out.reserve(size);
    out.extend_from_slice(&length(size).to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&message.flag.to_be_bytes());
    out.extend_from_slice(&length(message.body.len()).to_be_bytes());
    out.extend_from_slice(&message.body);
    out.extend_from_slice(&properties.to_be_bytes());
    out.extend_from_slice(&message.properties);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<BatchMessage>, Vec<u8>) {
        let message = |flag, body: &'static [u8], properties: &'static [u8]| BatchMessage {
            flag,
            body: Bytes::from_static(body),
            properties: Bytes::from_static(properties),
        };
        let all = vec![message(7, b"hello", b"TAGS\x01a\x02"), message(0, b"", b"")];
        let mut body = Vec::new();
        all.iter().for_each(|one| encode(one, &mut body));
        (all, body)
    }

    #[test]
    fn round_trips() {
        let (all, body) = sample();
        assert_eq!(body[..4], 34_i32.to_be_bytes());
        let read: Result<Vec<_>, _> = messages(body.into()).collect();
        assert_eq!(read.unwrap(), all);
    }

    #[test]
    fn broken_bodies_are_errors() {
        let (all, body) = sample();
        let first = 22 + all[0].body.len() + all[0].properties.len();
        for cut in 1..body.len() {
            let read: Result<Vec<_>, _> = messages(body[..cut].to_vec().into()).collect();
            assert_eq!(read.is_ok(), cut == first, "cut at {cut}");
        }
        for at in 0..body.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut broken = body.clone();
                broken[at] = value;
                assert!(messages(broken.into()).count() <= 3);
            }
        }
    }
}
