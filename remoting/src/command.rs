//! One command: a request, or the answer to one (Java: `RemotingCommand`; wire reference, 1.2-1.6).
//!
//! The two ways of writing its header live in [`json_form`] and [`binary_form`]; typed headers are
//! read from its [`Fields`] by the tables in [`mod@crate::headers`].

pub mod binary_form;
pub mod json_form;

use crate::codes::{LanguageCode, RequestCode, ResponseCode};
use crate::fields::{Fields, Spans};
use crate::flat::Header;
use crate::frame::{Form, Frame, Limits};
use crate::version::Version;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use message::Str;
use std::fmt;

/// `flag` bit 0: this is an answer.
pub const FLAG_RESPONSE: i32 = 1;
/// `flag` bit 1: no answer is wanted, not even an error.
pub const FLAG_ONEWAY: i32 = 2;

/// Why a header with too many fields is no command.
pub(crate) const TOO_MANY_FIELDS: &str = "too many ext fields";

/// The fixed part of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Request or response code, told apart by bit 0 of `flag`.
    pub code: i32,
    /// What the sender is written in.
    pub language: LanguageCode,
    /// The sender's version, an ordinal of Java's `MQVersion`.
    pub version: i32,
    /// The number by which an answer finds its request.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Words for a person, mostly about an error.
    pub remark: Option<Str>,
}

/// One command as it came from, or goes to, the wire.
#[derive(Clone, Debug)]
pub struct Command {
    /// The fixed part of the header.
    pub head: Head,
    /// The flat map of the header.
    pub fields: Fields,
    /// The body.
    pub body: Bytes,
    /// How the header is, or will be, written.
    pub form: Form,
}

/// Why a frame is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    /// Where in the header, in bytes.
    pub at: usize,
    /// What was wrong there.
    pub why: &'static str,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header byte {}: {}", self.at, self.why)
    }
}

impl std::error::Error for CommandError {}

impl Command {
    /// A request without a typed header; its opaque is set when it is sent.
    pub fn request(code: RequestCode) -> Self {
        let head = Head {
            code: code.0,
            language: LanguageCode::JAVA,
            version: Version::CURRENT.0,
            opaque: 0,
            flag: 0,
            remark: None,
        };
        Self { head, fields: Fields::new(), body: Bytes::new(), form: Form::Json }
    }

    /// The same with these header fields.
    pub fn with_header(mut self, header: &impl Header) -> Self {
        header.write(&mut self.fields);
        self
    }

    /// The same with this body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same, asking for no answer.
    pub fn oneway(mut self) -> Self {
        self.head.flag |= FLAG_ONEWAY;
        self
    }

    /// The request code, if this is a request.
    pub fn code(&self) -> RequestCode {
        RequestCode(self.head.code)
    }

    /// The response code, if this is an answer.
    pub fn response_code(&self) -> ResponseCode {
        ResponseCode(self.head.code)
    }

    /// Whether this is an answer.
    pub fn is_response(&self) -> bool {
        self.head.flag & FLAG_RESPONSE != 0
    }

    /// Whether no answer is wanted.
    pub fn is_oneway(&self) -> bool {
        self.head.flag & FLAG_ONEWAY != 0
    }

    /// Reads the command of a whole frame. The text of its fields stays where it arrived: nothing
    /// is copied, and the frame's bytes are kept as long as the command.
    ///
    /// # Errors
    /// When the header is not what its form says: the connection can't be trusted any more.
    pub fn decode(frame: Frame, limits: &Limits) -> Result<Self, CommandError> {
        let Frame { form, mut bytes, header_bytes } = frame;
        let header = &mut bytes[..header_bytes];
        let mut spans = Spans::default();
        let head = match form {
            Form::Json => json_form::decode(header, limits, spans.list())?,
            Form::Rocketmq => binary_form::decode(header, limits, spans.list())?,
        };
        let mut bytes = bytes.freeze();
        // As far as the fields reach, and in whole blocks of 64, by which it is told whether it is
        // text: a rest is looked at byte by byte.
        let text_bytes = spans.end().next_multiple_of(64).min(header_bytes);
        let fields = match Str::try_from(bytes.slice(..text_bytes)) {
            Ok(text) => Fields::arrived(text, spans),
            Err(_) => Fields::garbled(&bytes[..header_bytes], &spans),
        };
        bytes.advance(header_bytes);
        Ok(Self { head, fields, body: bytes, form })
    }

    /// Writes the whole frame.
    pub fn encode(&self, out: &mut BytesMut) {
        let end = encode_head(&self.head, &self.fields, self.form, self.body.len(), out);
        debug_assert_eq!(end, out.len());
        out.put_slice(&self.body);
    }
}

/// Writes length words and header of a frame whose body has `body_bytes`; the body must follow.
/// Gives the number of bytes in `out`.
pub fn encode_head(
    head: &Head,
    fields: &Fields,
    form: Form,
    body_bytes: usize,
    out: &mut BytesMut,
) -> usize {
    let start = out.len();
    out.put_bytes(0, 8);
    match form {
        Form::Json => json_form::encode(head, fields, out),
        Form::Rocketmq => binary_form::encode(head, fields, out),
    }
    let header = out.len() - start - 8;
    assert!(header < 1 << 24, "a header of {header} bytes does not fit its 24-bit length");
    let frame = 4 + header + body_bytes;
    out[start..start + 4].copy_from_slice(&(frame as u32).to_be_bytes());
    out[start + 4..start + 8]
        .copy_from_slice(&(u32::from(form.byte()) << 24 | header as u32).to_be_bytes());
    out.len()
}

#[cfg(test)]
mod tests;
