//! A header in the binary form, ROCKETMQ (Java: `RocketMQSerializable`; wire reference, 1.2).

use super::{CommandError, Head, TOO_MANY_FIELDS};
use crate::codes::LanguageCode;
use crate::fields::{Fields, Span};
use crate::frame::Limits;
use bytes::{BufMut, BytesMut};
use std::ops::Range;

/// Reads a header, and notes in `spans` where its fields' texts lie then; blanks take the place of
/// the numbers between them, so that all of it is text.
///
/// # Errors
/// When a length leads out of the header.
pub(crate) fn decode(
    header: &mut [u8],
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Result<Head, CommandError> {
    let mut cursor = Cursor { header, at: 0 };
    let code = i32::from(cursor.i16()?);
    let language = LanguageCode(cursor.u8()?);
    let version = i32::from(cursor.i16()?);
    let opaque = cursor.i32()?;
    let flag = cursor.i32()?;
    let remark = cursor.long_text()?;
    let remark = String::from_utf8_lossy(&cursor.header[remark]);
    let remark = (!remark.is_empty()).then(|| remark.into_owned().into());
    let total = cursor.length()?;
    let end = cursor.at.saturating_add(total);
    if end > cursor.header.len() {
        return Err(cursor.error("the ext fields are longer than the header"));
    }
    while cursor.at < end {
        if spans.len() == limits.fields {
            return Err(cursor.error(TOO_MANY_FIELDS));
        }
        let key_bytes = cursor.i16()?;
        let key_bytes = usize::try_from(key_bytes).map_err(|_| cursor.error("negative length"))?;
        let key = cursor.text(key_bytes)?;
        let value = cursor.long_text()?;
        // Java reads an empty value as null, which is the same as no field.
        if !value.is_empty() {
            spans.push(Span::of(key, value));
        }
    }
    // What may stand behind the fields is nobody's.
    let rest = cursor.at;
    cursor.header[rest..].fill(b' ');
    Ok(Head { code, language, version, opaque, flag, remark })
}

/// Writes a header.
pub(crate) fn encode(head: &Head, fields: &Fields, out: &mut BytesMut) {
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
    header: &'a mut [u8],
    at: usize,
}

impl Cursor<'_> {
    #[cold]
    fn error(&self, why: &'static str) -> CommandError {
        CommandError { at: self.at, why }
    }

    /// Takes a number's bytes out, and leaves blanks.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CommandError> {
        let rest = self.header.get_mut(self.at..);
        let Some(bytes) = rest.and_then(|rest| rest.first_chunk_mut::<N>()) else {
            return Err(self.error("the header ends too early"));
        };
        self.at += N;
        Ok(std::mem::replace(bytes, [b' '; N]))
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

    /// Where a text of so many bytes lies.
    fn text(&mut self, count: usize) -> Result<Range<usize>, CommandError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.header.len());
        let end = end.ok_or_else(|| self.error("a text is longer than the header"))?;
        Ok(std::mem::replace(&mut self.at, end)..end)
    }

    /// The same with its length in front.
    fn long_text(&mut self) -> Result<Range<usize>, CommandError> {
        let count = self.length()?;
        self.text(count)
    }
}
