//! A header in the binary form, ROCKETMQ (Java: `RocketMQSerializable`; wire reference, 1.2).

use super::{CommandError, Head, TOO_MANY_FIELDS};
use crate::codes::LanguageCode;
use crate::fields::{Ends, Fields};
use crate::frame::Limits;
use bytes::{BufMut, BytesMut};
use message::Str;

/// Reads a header. `scratch` gives the room for the text of its fields.
///
/// # Errors
/// When a length leads out of the header, or text is not UTF-8.
pub fn decode(
    header: &[u8],
    limits: &Limits,
    scratch: &mut BytesMut,
) -> Result<(Head, Fields), CommandError> {
    let mut cursor = Cursor { header, at: 0 };
    let code = i32::from(cursor.i16()?);
    let language = LanguageCode(cursor.u8()?);
    let version = i32::from(cursor.i16()?);
    let opaque = cursor.i32()?;
    let flag = cursor.i32()?;
    let remark_bytes = cursor.length()?;
    let remark = match remark_bytes {
        0 => None,
        bytes => {
            let text = std::str::from_utf8(cursor.bytes(bytes)?);
            Some(text.map_err(|_| cursor.error("the remark is not UTF-8"))?.into())
        }
    };
    let total = cursor.length()?;
    let end = cursor.at.saturating_add(total);
    if end > header.len() {
        return Err(cursor.error("the ext fields are longer than the header"));
    }
    let mut ends = Ends::default();
    while cursor.at < end {
        if ends.len() == limits.fields {
            return Err(cursor.error(TOO_MANY_FIELDS));
        }
        let key_bytes = cursor.i16()?;
        let key_bytes = usize::try_from(key_bytes).map_err(|_| cursor.error("negative length"))?;
        let key = cursor.bytes(key_bytes)?;
        let value_bytes = cursor.length()?;
        let value = cursor.bytes(value_bytes)?;
        // Java reads an empty value as null, which is the same as no field.
        if value_bytes > 0 {
            scratch.put_slice(key);
            let key_end = scratch.len();
            scratch.put_slice(value);
            ends.push(key_end, scratch.len());
        }
    }
    let text = Str::try_from(scratch.split().freeze());
    let text = text.map_err(|_| cursor.error("a field is not UTF-8"))?;
    let fields = Fields::arrived(text, ends);
    Ok((Head { code, language, version, opaque, flag, remark }, fields))
}

/// Writes a header.
pub fn encode(head: &Head, fields: &Fields, out: &mut BytesMut) {
    // Codes over 32767 lose their high bits here, as they do in Java: this form can't say them.
    out.put_i16(head.code as i16);
    out.put_u8(head.language.0);
    out.put_i16(head.version as i16);
    out.put_i32(head.opaque);
    out.put_i32(head.flag);
    let remark = head.remark.as_deref().unwrap_or_default();
    out.put_i32(remark.len() as i32);
    out.put_slice(remark.as_bytes());
    let total_at = out.len();
    out.put_i32(0);
    for (key, value) in fields.iter() {
        out.put_i16(key.len() as i16);
        out.put_slice(key.as_bytes());
        out.put_i32(value.len() as i32);
        out.put_slice(value.as_bytes());
    }
    let total = (out.len() - total_at - 4) as i32;
    out[total_at..total_at + 4].copy_from_slice(&total.to_be_bytes());
}

struct Cursor<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn error(&self, why: &'static str) -> CommandError {
        CommandError { at: self.at, why }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CommandError> {
        let bytes = self.header.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = *bytes.ok_or_else(|| self.error("the header ends too early"))?;
        self.at += N;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, CommandError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn i16(&mut self) -> Result<i16, CommandError> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, CommandError> {
        self.take().map(i32::from_be_bytes)
    }

    fn length(&mut self) -> Result<usize, CommandError> {
        let length = self.i32()?;
        usize::try_from(length).map_err(|_| self.error("negative length"))
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], CommandError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.header.len());
        let end = end.ok_or_else(|| self.error("a text is longer than the header"))?;
        let bytes = &self.header[self.at..end];
        self.at = end;
        Ok(bytes)
    }
}
