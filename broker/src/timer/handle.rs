//! What names a message that waits for its time, so that its sender can take it back (Java:
//! `RecallMessageHandle`): `v1 topic broker time id` in URL-safe base64.

use message::{Properties, Str, names, property};

const VERSION: &str = "v1";
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A handle, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// The topic that the message goes to.
    pub topic: String,
    /// The broker that has it.
    pub broker: String,
    /// When it is due, ms since the epoch, as text.
    pub time: String,
    /// Its unique id.
    pub id: String,
}

impl Handle {
    /// Reads what a client sent; `None` when it is no handle.
    pub fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8_lossy(&decode(text)?).into_owned();
        // Blanks at the end count for nothing in Java.
        let mut items = text.trim_end_matches(' ').split(' ');
        if items.next() != Some(VERSION) {
            return None;
        }
        let mut item = || items.next().map(str::to_owned);
        Some(Self { topic: item()?, broker: item()?, time: item()?, id: item()? })
    }

    /// The handle of a message that was parked, if it can be taken back.
    pub fn of(all: &Properties, broker: &str) -> Option<Str> {
        let topic = all.get(property::REAL_TOPIC).filter(|topic| !names::is_retry(topic))?;
        let out_ms = all.get(property::TIMER_OUT_MS)?.parse::<i64>().ok()?;
        let id = all.get(property::UNIQ_KEY)?;
        // The next time after that has the same slot.
        let text = format!("{VERSION} {topic} {broker} {} {id}", out_ms.saturating_add(1));
        Some(encode(text.as_bytes()).into())
    }
}

fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at > three.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

/// As Java's decoder: the padding may be missing, but must be right when it is there.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    let is_padded = padding > 0;
    if bare.is_empty() || bare.len() % 4 == 1 || is_padded && !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(bare.len() / 4 * 3 + 2);
    for four in bare.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for letter in four {
            let value = LETTERS.iter().position(|known| known == letter)?;
            bits = bits << 6 | value as u32;
        }
        let bits = bits << (6 * (4 - four.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_javas_text_and_read_back() {
        let all: Properties =
            [("REAL_TOPIC", "T"), ("TIMER_OUT_MS", "1700000000000"), ("UNIQ_KEY", "7F?~")]
                .into_iter()
                .collect();
        let handle = Handle::of(&all, "b-a").unwrap();
        assert_eq!(&*handle, "djEgVCBiLWEgMTcwMDAwMDAwMDAwMSA3Rj9-");
        let read = Handle::parse(&handle).unwrap();
        assert_eq!((&*read.topic, &*read.broker), ("T", "b-a"));
        assert_eq!((&*read.time, &*read.id), ("1700000000001", "7F?~"));
        let mut retry = all;
        retry.set("REAL_TOPIC", "%RETRY%g");
        assert_eq!(Handle::of(&retry, "b"), None);
    }

    #[test]
    fn padding_is_as_java_takes_it() {
        for (text, bytes) in [("YQ==", &b"a"[..]), ("YQ", b"a"), ("YWI=", b"ab"), ("YWJj", b"abc")]
        {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
            assert_eq!(decode(&encode(bytes)).as_deref(), Some(bytes));
        }
        for bad in ["", "Y", "YQ=", "YW+j", "=", "YWJjZ", "v1 T"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(Handle::parse(&encode(b"v2 a b 1 c")), None);
        assert_eq!(Handle::parse(&encode(b"v1 a b 1 ")), None);
    }
}
