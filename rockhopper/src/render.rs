//! A pulled message as one line of text.
//!
//! Pure. The body is shown as text where it is text; zlib bodies are unpacked within a bound.

use std::fmt::Write as _;
use std::io::Read;

use flate2::read::ZlibDecoder;
use jiff::Timestamp;
use message::record::{self, Entry, Record, RecordError};
use message::{property, sys_flag};

/// Bytes that a compressed body may unpack to before it is cut.
const LARGEST_BODY_BYTES: u64 = 64 << 20;
/// Bytes of a body that is no text, shown as hexadecimal digits.
const SHOWN_BYTES: usize = 32;

/// The messages of a pull's body, until it ends or one cannot be read.
pub(crate) fn records(body: &[u8]) -> impl Iterator<Item = Result<Record<'_>, RecordError>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        match record::decode(rest, true) {
            Ok(Entry::Message(record)) => {
                rest = &rest[record.total_size()..];
                Some(Ok(record))
            }
            Ok(Entry::Blank { .. }) => None,
            Err(error) => {
                rest = &[];
                Some(Err(error))
            }
        }
    })
}

/// One message: topic, queue, offset, time of storing, tag, keys, body.
pub(crate) fn line(record: &Record<'_>) -> String {
    let mut line = format!(
        "{} queue={} offset={} {}",
        record.topic,
        record.queue_id,
        record.queue_offset,
        utc(record.store_timestamp),
    );
    for (label, key) in [("tag", property::TAGS), ("key", property::KEYS)] {
        if let Some(value) = record.property(key) {
            write!(line, " {label}={}", plain(value)).expect("a String takes every write");
        }
    }
    write!(line, " {}", body(record)).expect("a String takes every write");
    line
}

fn body(record: &Record<'_>) -> String {
    if record.sys_flag & sys_flag::COMPRESSED == 0 {
        return text(record.body);
    }
    match record.sys_flag & sys_flag::COMPRESSION_MASK {
        0 | sys_flag::COMPRESSION_ZLIB => {
            let mut unpacked = Vec::new();
            let mut decoder = ZlibDecoder::new(record.body).take(LARGEST_BODY_BYTES);
            match decoder.read_to_end(&mut unpacked) {
                Ok(_) => text(&unpacked),
                Err(error) => format!("<{} bytes of broken zlib: {error}>", record.body.len()),
            }
        }
        sys_flag::COMPRESSION_LZ4 => format!("<{} bytes of LZ4>", record.body.len()),
        sys_flag::COMPRESSION_ZSTD => format!("<{} bytes of Zstandard>", record.body.len()),
        _ => format!("<{} bytes of unknown compression>", record.body.len()),
    }
}

/// A body as text, or its first bytes.
fn text(body: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(body) {
        return plain(text);
    }
    let shown: String = body.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let more = if body.len() > SHOWN_BYTES { "…" } else { "" };
    format!("<{} bytes: {shown}{more}>", body.len())
}

/// Text that cannot change the terminal or look like two lines.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Milliseconds since the epoch as `2026-11-21T10:39:25.123Z`.
pub(crate) fn utc(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::ZlibEncoder;
    use message::properties::Properties;
    use message::{Draft, Placement};

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(1_795_256_090_443), "2026-11-21T10:14:50.443Z");
        assert_eq!(utc(i64::MAX), "9223372036854775807");
    }

    #[test]
    fn bodies_cannot_fool_the_terminal() {
        assert_eq!(text("grüße".as_bytes()), "grüße");
        assert_eq!(text(b"a\nb\x1b[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(text(&[0xff, 0x00]), "<2 bytes: ff00>");
    }

    fn stored(body: &[u8], flags: i32) -> Vec<u8> {
        let host = "127.0.0.1:10911".parse().expect("an address");
        let draft = Draft {
            queue_id: 3,
            sys_flag: flags,
            body: body.to_vec().into(),
            properties: [("TAGS", "paid")].into_iter().collect::<Properties>().encode(),
            ..Draft::plain("T", 0, host)
        };
        let mut bytes = Vec::new();
        draft.encode(Placement { queue_offset: 7, log_offset: 0, store_timestamp: 0 }, &mut bytes);
        bytes
    }

    #[test]
    fn a_line_for_each_message_of_a_pull() {
        let mut zlib = ZlibEncoder::new(b"hello".as_slice(), Compression::fast());
        let mut packed = Vec::new();
        zlib.read_to_end(&mut packed).expect("memory can be read");
        let mut pulled = stored(b"plain", 0);
        pulled.extend(stored(&packed, sys_flag::COMPRESSED));
        pulled.extend(stored(b"?", sys_flag::COMPRESSED | sys_flag::COMPRESSION_LZ4));
        let lines: Vec<_> =
            records(&pulled).map(|record| line(&record.expect("it was encoded"))).collect();
        let head = "T queue=3 offset=7 1970-01-01T00:00:00.000Z tag=paid";
        assert_eq!(
            lines,
            ["plain", "hello", "<1 bytes of LZ4>"].map(|body| format!("{head} {body}"))
        );
    }

    #[test]
    fn broken_bytes_end_the_batch_with_one_error() {
        let found: Vec<_> = records(&[0; 40]).collect();
        assert!(matches!(found[..], [Err(_)]));
        assert_eq!(records(&[]).count(), 0);
    }
}
