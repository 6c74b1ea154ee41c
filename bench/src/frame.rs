//! The remoting frame as a client needs it: requests encoded once and stamped many times, answers
//! read just far enough. It is independent of the remoting crate, so that the broker is never
//! measured with its own ruler.
//!
//! It is no complete codec: answers come from a broker under test on the loopback, and a header
//! that is not understood ends the run with an error.

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;

/// The largest frame that is believed, as Java's `com.rocketmq.remoting.frameMaxLength`.
pub(crate) const FRAME_BYTES: usize = 16 << 20;

/// Opaques keep ten digits, so that a JSON header can be stamped in place.
pub(crate) const OPAQUE_BASE: u32 = 1_000_000_000;
/// How many opaques there are from [`OPAQUE_BASE`] on.
pub(crate) const OPAQUE_COUNT: u32 = 1_000_000_000;

/// MQVersion's ordinal of 5.5.0.
const VERSION: u16 = 513;
/// LanguageCode JAVA.
const JAVA: u8 = 0;

/// The two forms of a header on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// Type 0, JSON.
    Json,
    /// Type 1, ROCKETMQ.
    Rocketmq,
}

/// What a header says beside its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) form: Form,
    pub(crate) code: u32,
    pub(crate) opaque: u32,
    /// 0 for a request, 1 for an answer.
    pub(crate) flag: u8,
}

impl Head {
    pub(crate) fn request(form: Form, code: u32, opaque: u32) -> Self {
        Self { form, code, opaque, flag: 0 }
    }
}

/// Appends one whole frame to `out`.
pub(crate) fn encode(out: &mut Vec<u8>, head: Head, fields: &[(&str, &str)], body: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    match head.form {
        Form::Json => json_header(out, head, fields),
        Form::Rocketmq => binary_header(out, head, fields),
    }
    let header = (out.len() - start - 8) as u32;
    out.extend_from_slice(body);
    let rest = (out.len() - start - 4) as u32;
    let kind = u32::from(head.form == Form::Rocketmq) << 24;
    out[start..start + 4].copy_from_slice(&rest.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&(kind | header).to_be_bytes());
}

fn json_header(out: &mut Vec<u8>, head: Head, fields: &[(&str, &str)]) {
    let Head { code, opaque, flag, .. } = head;
    out.extend_from_slice(format!("{{\"code\":{code},\"extFields\":{{").as_bytes());
    for (at, (key, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json_text(out, key);
        out.push(b':');
        json_text(out, value);
    }
    let rest = format!(
        "}},\"flag\":{flag},\"language\":\"JAVA\",\"opaque\":{opaque},\
         \"serializeTypeCurrentRPC\":\"JSON\",\"version\":{VERSION}}}"
    );
    out.extend_from_slice(rest.as_bytes());
}

fn json_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn binary_header(out: &mut Vec<u8>, head: Head, fields: &[(&str, &str)]) {
    out.extend_from_slice(&(head.code as u16).to_be_bytes());
    out.push(JAVA);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&head.opaque.to_be_bytes());
    out.extend_from_slice(&u32::from(head.flag).to_be_bytes());
    out.extend_from_slice(&[0; 4]); // the length of no remark
    let size: usize = fields.iter().map(|(key, value)| 6 + key.len() + value.len()).sum();
    out.extend_from_slice(&(size as u32).to_be_bytes());
    for (key, value) in fields {
        out.extend_from_slice(&(key.len() as u16).to_be_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
}

/// A send request with holes: opaque, born time, unique key and the first bytes of the body.
#[derive(Debug)]
pub(crate) struct Template {
    frame: Vec<u8>,
    form: Form,
    opaque_at: usize,
    born_at: usize,
    key_at: usize,
    body_at: usize,
}

const BORN_HOLE: &str = "1111111111111";
const KEY_HOLE: &str = "FEDCBA9876543210";

impl Template {
    /// A send in the short form (310) as the Java client makes it, to one queue.
    pub(crate) fn send(form: Form, topic: &str, queue: u32, body_bytes: usize) -> Self {
        let queue = queue.to_string();
        let properties = format!(
            "UNIQ_KEY\u{1}7F000001B3E018B4{KEY_HOLE}\u{2}WAIT\u{1}true\u{2}TAGS\u{1}bench\u{2}"
        );
        let fields = [
            ("a", "bench-producer"),
            ("b", topic),
            ("c", "TBW102"),
            ("d", "4"),
            ("e", &queue),
            ("f", "0"),
            ("g", BORN_HOLE),
            ("h", "0"),
            ("i", &properties),
            ("j", "0"),
            ("k", "false"),
            ("m", "false"),
            ("n", "broker-a"),
        ];
        let mut frame = Vec::new();
        let body: Vec<u8> = (0..body_bytes).map(|at| b'a' + (at % 26) as u8).collect();
        encode(&mut frame, Head::request(form, 310, OPAQUE_BASE), &fields, &body);
        let hole = |mark: &str| memmem::find(&frame, mark.as_bytes()).expect("the hole is there");
        let opaque_at = match form {
            Form::Json => hole("\"opaque\":") + 9,
            Form::Rocketmq => 13,
        };
        let (born_at, key_at) = (hole(BORN_HOLE), hole(KEY_HOLE));
        let body_at = frame.len() - body_bytes;
        Self { frame, form, opaque_at, born_at, key_at, body_at }
    }

    /// Appends the frame with its holes filled. `born_ms` has thirteen digits until 2286.
    pub(crate) fn stamp(&self, out: &mut Vec<u8>, opaque: u32, born_ms: u64, number: u64) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        match self.form {
            Form::Json => digits(&mut frame[self.opaque_at..self.opaque_at + 10], opaque.into()),
            Form::Rocketmq => {
                frame[self.opaque_at..self.opaque_at + 4].copy_from_slice(&opaque.to_be_bytes());
            }
        }
        digits(&mut frame[self.born_at..self.born_at + 13], born_ms);
        hex(&mut frame[self.key_at..self.key_at + 16], number);
    }

    /// As [`Template::stamp`], and the body begins with `mark`.
    pub(crate) fn stamp_marked(&self, out: &mut Vec<u8>, opaque: u32, born_ms: u64, mark: u64) {
        let at = out.len() + self.body_at;
        self.stamp(out, opaque, born_ms, mark);
        out[at..at + 8].copy_from_slice(&mark.to_be_bytes());
    }
}

/// Writes a number with leading zeros.
pub(crate) fn digits(hole: &mut [u8], mut value: u64) {
    for digit in hole.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn hex(hole: &mut [u8], mut value: u64) {
    for digit in hole.iter_mut().rev() {
        *digit = b"0123456789ABCDEF"[(value & 15) as usize];
        value >>= 4;
    }
}

/// One answer, lent from the connection's buffer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) code: i32,
    pub(crate) opaque: u32,
    form: Form,
    header: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// The first whole frame in `bytes` and its length, or `None` when more bytes are needed.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Answer<'_>, usize)>> {
    let Some(rest) = u32_at(bytes, 0) else { return Ok(None) };
    let length = 4 + rest as usize;
    ensure!(length <= FRAME_BYTES, "an answer of {length} bytes");
    if bytes.len() < length {
        return Ok(None);
    }
    let word = u32_at(bytes, 4).context("an answer without a header length")?;
    let header = 8 + (word & 0x00ff_ffff) as usize;
    ensure!(header <= length, "an answer's header of {} bytes in a frame of {length}", header - 8);
    let (header, body) = bytes[8..length].split_at(header - 8);
    let answer = match word >> 24 {
        0 => {
            let code = json_number(header, b"\"code\":").context("an answer without code")?;
            let opaque = json_number(header, b"\"opaque\":").context("an answer without opaque")?;
            Answer { code: code as i32, opaque: opaque as u32, form: Form::Json, header, body }
        }
        1 => {
            let opaque = u32_at(header, 5).context("an answer with a short header")?;
            let code = i16::from_be_bytes([header[0], header[1]]).into();
            Answer { code, opaque, form: Form::Rocketmq, header, body }
        }
        other => bail!("an answer with header type {other}"),
    };
    Ok(Some((answer, length)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(word.try_into().expect("four bytes")))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let word = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes(word.try_into().expect("two bytes")))
}

/// The number behind a key. Text in JSON has its quotes escaped, so the key cannot be inside one.
fn json_number(header: &[u8], key: &[u8]) -> Option<i64> {
    let at = memmem::find(header, key)? + key.len();
    let rest = header[at..].trim_ascii_start();
    let negative = rest.first() == Some(&b'-');
    let digits = rest[usize::from(negative)..].iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |sum, byte| sum.wrapping_mul(10) + i64::from(byte - b'0'));
    Some(if negative { -value } else { value })
}

impl Answer<'_> {
    /// An extField's text as it stands, escapes and all; for numbers, addresses and remarks.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        match self.form {
            Form::Json => json_value(self.header, name),
            Form::Rocketmq => binary_value(self.header, name),
        }
    }

    /// A field that holds a number.
    pub(crate) fn number(&self, name: &str) -> Result<i64> {
        let text = self.field(name).with_context(|| format!("an answer without {name}"))?;
        text.parse().with_context(|| format!("{name} is {text}"))
    }

    /// Why a request was refused, for people.
    pub(crate) fn remark(&self) -> &str {
        match self.form {
            Form::Json => json_value(self.header, "remark").unwrap_or_default(),
            Form::Rocketmq => {
                let length = u32_at(self.header, 13).unwrap_or(0) as usize;
                let text = self.header.get(17..17 + length).unwrap_or_default();
                std::str::from_utf8(text).unwrap_or_default()
            }
        }
    }
}

fn json_value<'a>(header: &'a [u8], name: &str) -> Option<&'a str> {
    let key = format!("\"{name}\":");
    let at = memmem::find(header, key.as_bytes())? + key.len();
    let rest = header[at..].trim_ascii_start();
    let value = match rest.strip_prefix(b"\"") {
        Some(text) => &text[..memchr::memchr(b'"', text)?],
        None => &rest[..memchr::memchr2(b',', b'}', rest)?],
    };
    std::str::from_utf8(value).ok()
}

fn binary_value<'a>(header: &'a [u8], name: &str) -> Option<&'a str> {
    let remark = u32_at(header, 13)? as usize;
    let mut at = 17 + remark + 4;
    while at < header.len() {
        let key_bytes = u16_at(header, at)? as usize;
        let key = header.get(at + 2..at + 2 + key_bytes)?;
        let value_bytes = u32_at(header, at + 2 + key_bytes)? as usize;
        let value_at = at + 6 + key_bytes;
        let value = header.get(value_at..value_at + value_bytes)?;
        if key == name.as_bytes() {
            return std::str::from_utf8(value).ok();
        }
        at = value_at + value_bytes;
    }
    None
}

/// The bodies of the stored messages that a pull's answer carries (MessageDecoder's layout).
pub(crate) fn message_bodies(mut records: &[u8]) -> impl Iterator<Item = Result<&[u8]>> {
    std::iter::from_fn(move || {
        if records.is_empty() {
            return None;
        }
        let found = first_body(records).context("a pulled record that cannot be read");
        records = match &found {
            Ok((_, rest)) => rest,
            Err(_) => &[],
        };
        Some(found.map(|(body, _)| body))
    })
}

/// Appends a record that has a body and nothing else, as [`message_bodies`] reads it.
pub(crate) fn record(out: &mut Vec<u8>, body: &[u8]) {
    let total = (BODY_AT + 4 + body.len() + 1 + 2) as u32;
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&[0; BODY_AT - 4]);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&[0; 3]); // no topic, no properties
}

/// Where the length of a body stands, with hosts of eight bytes.
const BODY_AT: usize = 40 + 8 + 8 + 8 + 8 + 4 + 8;

fn first_body(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let total = u32_at(records, 0)? as usize;
    let record = records.get(..total)?;
    let flags = u32_at(record, 36)?;
    let longer = |bit: u32| if flags & bit == 0 { 0 } else { 12 };
    let body_at = BODY_AT + longer(0x10) + longer(0x20);
    let body_bytes = u32_at(record, body_at)? as usize;
    Some((record.get(body_at + 4..body_at + 4 + body_bytes)?, &records[total..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_template_reads_back() {
        for form in [Form::Json, Form::Rocketmq] {
            let template = Template::send(form, "t", 3, 16);
            let mut out = vec![0xff; 3];
            template.stamp_marked(&mut out, OPAQUE_BASE + 77, 1_700_000_000_123, 0xABC);
            let (answer, length) = decode(&out[3..]).unwrap().unwrap();
            assert_eq!(
                (answer.opaque, answer.code, length),
                (OPAQUE_BASE + 77, 310, out.len() - 3)
            );
            assert_eq!(answer.field("g"), Some("1700000000123"), "{form:?}");
            assert_eq!(answer.number("e").unwrap(), 3);
            assert!(answer.field("i").unwrap().contains("0000000000000ABC"));
            assert_eq!(answer.body, b"\0\0\0\0\0\0\x0a\xbcijklmnop");
        }
    }

    #[test]
    fn answers_in_parts_wait_and_bad_ones_are_errors() {
        let mut out = Vec::new();
        let head = Head { form: Form::Json, code: 0, opaque: OPAQUE_BASE, flag: 1 };
        encode(&mut out, head, &[("offset", "5")], b"");
        for cut in 0..out.len() {
            assert!(decode(&out[..cut]).unwrap().is_none());
        }
        assert!(decode(&[0xff; 8]).is_err());
        assert!(decode(&[0, 0, 0, 4, 2, 0, 0, 0]).is_err());
        assert!(decode(&[0, 0, 0, 4, 0, 0, 0, 9]).is_err());
    }

    #[test]
    fn remarks_are_told_in_both_forms() {
        let json = br#"{"code":2,"opaque":1,"remark":"busy"}"#;
        let json = Answer { code: 2, opaque: 1, form: Form::Json, header: json, body: b"" };
        let binary = b"\0\x02\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04busy\0\0\0\0";
        let binary = Answer { code: 2, opaque: 1, form: Form::Rocketmq, header: binary, body: b"" };
        assert_eq!((json.remark(), binary.remark()), ("busy", "busy"));
    }

    #[test]
    fn bodies_are_found_behind_either_kind_of_host() {
        for (flags, hosts) in [(0u32, 16), (0x30, 40)] {
            let mut record = vec![0; 40 + 8 + 8 + 4 + 8 + hosts];
            record[36..40].copy_from_slice(&flags.to_be_bytes());
            record.extend_from_slice(b"\0\0\0\x02hi\x01t\0\0");
            let total = record.len() as u32;
            record[..4].copy_from_slice(&total.to_be_bytes());
            let two = [record.clone(), record].concat();
            let bodies: Result<Vec<_>> = message_bodies(&two).collect();
            assert_eq!(bodies.unwrap(), [b"hi", b"hi"]);
            assert!(message_bodies(&two[..two.len() - 1]).any(|body| body.is_err()));
        }
    }
}
