//! Frames: where one command ends and the next begins (wire reference, 1.1).
//!
//! Pure: it is given the bytes that have arrived and never asks for room for bytes that have not.
//! What stands inside a header is [`crate::command`]'s business.

use bytes::{Buf, BytesMut};
use std::fmt;

/// How a header is written: the top byte of its length word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A JSON object (0).
    #[default]
    Json,
    /// The binary layout of Java's `RocketMQSerializable` (1).
    Rocketmq,
}

impl Form {
    /// The byte that announces this form.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Rocketmq => 1,
        }
    }
}

/// Bounds of what a peer may send; a frame over a bound closes the connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a whole frame, its length word included (Java:
    /// `com.rocketmq.remoting.frameMaxLength`).
    pub frame_bytes: usize,
    /// Bytes of a header.
    pub header_bytes: usize,
    /// Ext fields of a header.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame_bytes: 16 << 20, header_bytes: 256 << 10, fields: 512 }
    }
}

/// One whole frame, cut out of the stream.
#[derive(Clone, Debug)]
pub struct Frame {
    /// How the header is written.
    pub form: Form,
    /// The header, which is read in place, and behind it the body; an absent and an empty body are
    /// the same on the wire.
    pub bytes: BytesMut,
    /// How many of them are the header's.
    pub header_bytes: usize,
}

/// Why a stream of bytes can't be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The length word announces more than the limit, or less than a header word.
    Length {
        /// The announced number of bytes.
        bytes: i64,
        /// The limit.
        limit: usize,
    },
    /// The header is longer than its frame or than the limit.
    HeaderLength {
        /// The announced number of bytes.
        bytes: usize,
        /// What the frame, or the limit, would allow.
        limit: usize,
    },
    /// The top byte of the header word names no known form.
    Form(u8),
    /// The peer speaks TLS to a plain port.
    Tls,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes, limit } => {
                write!(f, "a frame of {bytes} bytes was announced; 8 to {limit} are allowed")
            }
            Self::HeaderLength { bytes, limit } => {
                write!(
                    f,
                    "a header of {bytes} bytes was announced; at most {limit} are allowed here"
                )
            }
            Self::Form(byte) => {
                write!(
                    f,
                    "header serialisation {byte} is unknown; 0 (JSON) and 1 (ROCKETMQ) are known"
                )
            }
            Self::Tls => f.write_str(
                "the peer began a TLS handshake, and this port speaks plain frames; \
                 set tls.enable=false at the client",
            ),
        }
    }
}

impl std::error::Error for FrameError {}

/// How many bytes the frame that begins with `begun` takes, as far as these tell: at least that
/// many have to be there before [`split`] can say more.
pub fn wanted(begun: &[u8]) -> usize {
    match begun.first_chunk() {
        Some(word) => {
            usize::try_from(i32::from_be_bytes(*word)).map_or(8, |rest| (4 + rest).max(8))
        }
        None => 4,
    }
}

/// Cuts the next whole frame off `input`; `None` while it has not arrived in full.
///
/// # Errors
/// When the announced lengths break `limits`: the stream can't be read on.
pub fn split(input: &mut BytesMut, limits: &Limits) -> Result<Option<Frame>, FrameError> {
    if input.len() < 4 {
        return Ok(None);
    }
    let word =
        |at: usize| i32::from_be_bytes([input[at], input[at + 1], input[at + 2], input[at + 3]]);
    let announced = word(0);
    let rest = usize::try_from(announced).unwrap_or(usize::MAX);
    if rest < 4 || rest > limits.frame_bytes - 4 {
        if input[0] == 0x16 && input[1] == 0x03 {
            return Err(FrameError::Tls);
        }
        let bytes = i64::from(announced) + 4;
        return Err(FrameError::Length { bytes, limit: limits.frame_bytes });
    }
    if input.len() < 8 {
        return Ok(None);
    }
    // The header word is checked before the frame has arrived, so that a bad one costs no waiting.
    let form = match input[4] {
        0 => Form::Json,
        1 => Form::Rocketmq,
        other => return Err(FrameError::Form(other)),
    };
    let header_bytes = (word(4) & 0x00ff_ffff) as usize;
    let limit = limits.header_bytes.min(rest - 4);
    if header_bytes > limit {
        return Err(FrameError::HeaderLength { bytes: header_bytes, limit });
    }
    if input.len() < 4 + rest {
        return Ok(None);
    }
    let mut bytes = input.split_to(4 + rest);
    bytes.advance(8);
    Ok(Some(Frame { form, bytes, header_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(form: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&((4 + header.len() + body.len()) as u32).to_be_bytes());
        out.extend_from_slice(&(u32::from(form) << 24 | header.len() as u32).to_be_bytes());
        out.extend_from_slice(header);
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let mut bytes = frame(0, b"{}", b"body");
        bytes.extend(frame(1, b"0123456789", b""));
        let mut input = BytesMut::new();
        let mut seen = Vec::new();
        for byte in bytes {
            input.extend_from_slice(&[byte]);
            while let Some(frame) = split(&mut input, &Limits::default()).unwrap() {
                let (header, body) = frame.bytes.split_at(frame.header_bytes);
                seen.push((frame.form, header.to_vec(), body.to_vec()));
            }
        }
        assert_eq!(
            seen,
            [
                (Form::Json, b"{}".to_vec(), b"body".to_vec()),
                (Form::Rocketmq, b"0123456789".to_vec(), Vec::new())
            ]
        );
        assert!(input.is_empty());
    }

    #[test]
    fn bad_lengths_are_refused_before_anything_is_waited_for() {
        let check = |bytes: &[u8], expected: FrameError| {
            let mut input = BytesMut::from(bytes);
            assert_eq!(split(&mut input, &Limits::default()).unwrap_err(), expected);
        };
        let limit = 16 << 20;
        check(&[0x7f, 0xff, 0xff, 0xff], FrameError::Length { bytes: 0x8000_0003, limit });
        check(&[0xff, 0xff, 0xff, 0xff], FrameError::Length { bytes: 3, limit });
        check(&[0, 0, 0, 3], FrameError::Length { bytes: 7, limit });
        check(&[0, 0, 0, 8, 2, 0, 0, 0], FrameError::Form(2));
        check(&[0, 0, 0, 8, 0, 0, 0, 5], FrameError::HeaderLength { bytes: 5, limit: 4 });
        let over = FrameError::HeaderLength { bytes: 0x4_0001, limit: 0x4_0000 };
        check(&[0, 0x10, 0, 0, 0, 0x04, 0, 1], over);
        check(&[0x16, 0x03, 0x01, 0x02, 0x00], FrameError::Tls);
    }

    #[test]
    fn the_largest_frame_passes_and_the_next_does_not() {
        let limits = Limits { frame_bytes: 32, header_bytes: 16, fields: 4 };
        let mut fits = BytesMut::from(&frame(0, b"{}", &[1; 22])[..]);
        assert_eq!(fits.len(), 32);
        assert!(split(&mut fits, &limits).unwrap().is_some());
        let mut over = BytesMut::from(&frame(0, b"{}", &[1; 23])[..]);
        assert!(split(&mut over, &limits).is_err());
    }
}
