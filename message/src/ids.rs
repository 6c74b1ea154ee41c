//! The two message ids: the broker's, which says where a record lies, and the client's, which is
//! unique. Both are upper-case hexadecimal text (Java `MessageDecoder`, `MessageClientIDSetter`).

use bytes::BufMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const MS_PER_DAY: i64 = 86_400_000;

/// Where a record lies: the broker and the log offset. Answered as `msgId` to every send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageId {
    /// The broker that stored it.
    pub store_host: SocketAddr,
    /// Its place in that broker's commit log, bytes.
    pub log_offset: i64,
}

impl MessageId {
    /// The bytes of the longest id as text.
    pub const TEXT_BYTES: usize = 56;

    /// The id as text: 32 characters for IPv4, 56 for IPv6.
    pub fn encode(&self) -> String {
        self.encode_in(&mut [0; Self::TEXT_BYTES]).to_owned()
    }

    /// The same text in room of the caller's.
    pub fn encode_in<'a>(&self, room: &'a mut [u8; Self::TEXT_BYTES]) -> &'a str {
        let mut free = &mut room[..];
        self.encode_into(&mut free);
        let len = Self::TEXT_BYTES - free.len();
        std::str::from_utf8(&room[..len]).expect("hexadecimal digits are ASCII")
    }

    fn encode_into(&self, out: &mut impl BufMut) {
        push_ip(out, self.store_host.ip());
        // Together: this is done for each message.
        let mut rest = [0; 12];
        rest[..4].copy_from_slice(&u32::from(self.store_host.port()).to_be_bytes());
        rest[4..].copy_from_slice(&self.log_offset.to_be_bytes());
        push_hex(out, rest);
    }

    /// Reads an id; `None` when the text is not one.
    pub fn decode(text: &str) -> Option<Self> {
        let mut bytes = [0; 28];
        let bytes = unhex(text, &mut bytes)?;
        let (ip, rest) = match bytes.len() {
            16 => split_ipv4(bytes)?,
            28 => split_ipv6(bytes)?,
            _ => return None,
        };
        let (port, log_offset) = rest.split_at_checked(4)?;
        let port = u32::from_be_bytes(port.try_into().ok()?);
        let store_host = SocketAddr::new(ip, u16::try_from(port).ok()?);
        Some(Self { store_host, log_offset: i64::from_be_bytes(log_offset.try_into().ok()?) })
    }
}

/// Makes unique ids of one process. Time and counter come from the caller.
#[derive(Clone, Debug)]
pub struct UniqueIds {
    prefix: Vec<u8>,
    utc_offset_ms: i64,
}

impl UniqueIds {
    /// `salt` stands where Java puts the hash of its class loader; any number will do.
    /// `utc_offset_ms` is the local time zone's, because ids count from the month's first local
    /// midnight.
    pub fn new(ip: IpAddr, pid: u16, salt: u32, utc_offset_ms: i64) -> Self {
        let mut prefix = Vec::with_capacity(44);
        push_ip(&mut prefix, ip);
        push_hex(&mut prefix, pid.to_be_bytes());
        push_hex(&mut prefix, salt.to_be_bytes());
        Self { prefix, utc_offset_ms }
    }

    /// The id of message number `counter` at `now`, ms since the epoch: 32 or 56 characters.
    pub fn id(&self, now: i64, counter: u16) -> String {
        let mut out = Vec::with_capacity(56);
        self.encode_into(now, counter, &mut out);
        String::from_utf8(out).expect("hexadecimal digits are ASCII")
    }

    /// Appends that id to `out`.
    pub fn encode_into(&self, now: i64, counter: u16, out: &mut impl BufMut) {
        let since = now - month_start(now, self.utc_offset_ms);
        out.put_slice(&self.prefix);
        push_hex(out, (since as u32).to_be_bytes());
        push_hex(out, counter.to_be_bytes());
    }
}

/// About when a unique id was made, ms since the epoch: the id holds the time within its month, and
/// the month is taken to be the last one that fits before `now`. `None` when it is no such id.
pub fn unique_id_time(id: &str, now: i64, utc_offset_ms: i64) -> Option<i64> {
    let mut bytes = [0; 28];
    let bytes = unhex(id, &mut bytes)?;
    let at = match bytes.len() {
        16 => 10,
        28 => 22,
        _ => return None,
    };
    let since = i64::from(u32::from_be_bytes(bytes[at..at + 4].try_into().ok()?));
    let mut start = month_start(now, utc_offset_ms);
    if start + since >= now {
        start = month_start(start - 1, utc_offset_ms);
    }
    Some(start + since)
}

/// The first local midnight of the month that `now` lies in, ms since the epoch.
pub fn month_start(now: i64, utc_offset_ms: i64) -> i64 {
    let days = (now + utc_offset_ms).div_euclid(MS_PER_DAY);
    let (.., day) = civil_date(days);
    (days + 1 - day) * MS_PER_DAY - utc_offset_ms
}

/// A moment as a calendar and a clock show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, month from 1, day from 1.
    pub date: (i64, i64, i64),
    /// Hours, minutes, seconds, milliseconds.
    pub time: (i64, i64, i64, i64),
}

impl Civil {
    /// Of ms since the epoch; of another place than Greenwich with that place's offset added.
    pub fn of(ms: i64) -> Self {
        let of_day = ms.rem_euclid(MS_PER_DAY);
        let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let time = (hours, minutes, of_day / 1_000 % 60, of_day % 1_000);
        Self { date: civil_date(ms.div_euclid(MS_PER_DAY)), time }
    }
}

/// Year, month from 1 and day from 1 of a day counted from 1970-01-01 (proleptic Gregorian
/// calendar).
fn civil_date(days: i64) -> (i64, i64, i64) {
    // Years are counted from 1 March, so that the leap day is the last of its year.
    let from_march = days + 719_468;
    let (era, of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

fn split_ipv4(bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (ip, rest) = bytes.split_first_chunk::<4>()?;
    Some((Ipv4Addr::from(*ip).into(), rest))
}

fn split_ipv6(bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (ip, rest) = bytes.split_first_chunk::<16>()?;
    Some((Ipv6Addr::from(*ip).into(), rest))
}

fn push_ip(out: &mut impl BufMut, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => push_hex(out, ip.octets()),
        IpAddr::V6(ip) => push_hex(out, ip.octets()),
    }
}

fn push_hex<const N: usize>(out: &mut impl BufMut, bytes: [u8; N]) {
    /// The two digits of each byte.
    const PAIRS: [[u8; 2]; 256] = {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let (mut pairs, mut byte) = ([[0; 2]; 256], 0);
        while byte < 256 {
            pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
            byte += 1;
        }
        pairs
    };
    let text = bytes.map(|byte| PAIRS[usize::from(byte)]);
    out.put_slice(text.as_flattened());
}

fn unhex<'a>(text: &str, out: &'a mut [u8; 28]) -> Option<&'a [u8]> {
    let text = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if !text.len().is_multiple_of(2) || text.len() > 2 * out.len() {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(&out[..text.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_round_trip() {
        let check = |host: &str, log_offset: i64, expected: &str| {
            let id = MessageId { store_host: host.parse().unwrap(), log_offset };
            assert_eq!(id.encode(), expected);
            assert_eq!(MessageId::decode(expected), Some(id));
            assert_eq!(MessageId::decode(&expected.to_lowercase()), Some(id));
        };
        check("127.0.0.1:10911", 185, "7F00000100002A9F00000000000000B9");
        check("[::1]:10911", 0, "0000000000000000000000000000000100002A9F0000000000000000");
        for wrong in
            ["", "7F", "7F0000010", &"G".repeat(32), &"FF".repeat(40), "é".repeat(16).as_str()]
        {
            assert_eq!(MessageId::decode(wrong), None, "{wrong}");
        }
        // A port that does not fit.
        assert_eq!(MessageId::decode("7F00000100012A9F00000000000000B9"), None);
    }

    #[test]
    fn months_start_at_local_midnight() {
        let check = |now: i64, offset: i64, expected: i64| {
            assert_eq!(month_start(now, offset), expected, "{now} {offset}");
        };
        check(0, 0, 0);
        check(1_709_251_199_999, 0, 1_706_745_600_000); // 2024-02-29 23:59:59.999 -> 2024-02-01
        check(1_709_251_200_000, 0, 1_709_251_200_000); // 2024-03-01
        check(1_709_251_199_999, 28_800_000, 1_709_222_400_000); // already March at UTC+8
        check(-1, 0, -2_678_400_000); // 1969-12-31 -> 1969-12-01
    }

    #[test]
    fn unique_ids_tell_their_time() {
        let ids = UniqueIds::new("127.0.0.1".parse().unwrap(), 0x1234, 0x18B4_AAC2, 3_600_000);
        let now = 1_763_720_000_000;
        let id = ids.id(now, 0xABCD);
        assert_eq!(id.len(), 32);
        assert_eq!(&id[..20], "7F000001123418B4AAC2");
        assert_eq!(&id[28..], "ABCD");
        assert_eq!(unique_id_time(&id, now + 1, 3_600_000), Some(now));
        // Read in the next month, the id still names the time in the month before.
        assert_eq!(
            unique_id_time(&id, month_start(now, 0) + 32 * MS_PER_DAY, 3_600_000),
            Some(now)
        );
        assert_eq!(unique_id_time("nonsense", now, 0), None);
    }
}
