//! One entry of the timer's log, 52 bytes: which message waits, until when, and which entry of the
//! same slot stands before it (Java: `TimerLog`). Where entries stand is known to [`super::log`].

/// The bytes of an entry.
pub(super) const LEN: usize = 52;
/// Where the place of the entry before stands in it.
pub(super) const PREV_AT: i64 = 4;
/// Says that no entry stands before.
pub(super) const NONE: i64 = -1;
/// Where the seal stands: behind everything else.
const SEAL_AT: usize = 44;
/// Every entry has it.
const WAITS: i32 = 1;
const ROLLS: i32 = 2;
const DELETES: i32 = 4;
/// No other bits are known.
const MAGIC_MAX: i32 = 0xf;
/// The upper half of a seal; Java writes zeros there and reads nothing.
const SEALED: u32 = 0x726f_636b;

/// An entry of the timer's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerUnit {
    /// When it was written, ms since the epoch, a multiple of the precision.
    pub write_ms: i64,
    /// The slot that it waits in, ms since the epoch; at most 24 days from then.
    pub slot_ms: i64,
    /// It is due later than the slot: it goes back to the timer's queue then.
    pub rolls: bool,
    /// It takes another message back.
    pub deletes: bool,
    /// Where its record begins in the commit log.
    pub log_offset: i64,
    /// The bytes of its record.
    pub size: i32,
    /// Java's hash of the topic that it goes to.
    pub topic_hash: i32,
}

impl TimerUnit {
    /// As it lies in the file, behind the entry of its slot at `prev`.
    pub(super) fn encode(&self, prev: i64) -> [u8; LEN] {
        let roll = if self.rolls { ROLLS } else { 0 };
        let delete = if self.deletes { DELETES } else { 0 };
        // Farther than 24 days only where a clock was set back.
        let delay_ms = self.slot_ms.saturating_sub(self.write_ms);
        let delay_ms = delay_ms.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let mut out = [0; LEN];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&(LEN as i32).to_be_bytes());
        put(&prev.to_be_bytes());
        put(&(WAITS | roll | delete).to_be_bytes());
        put(&self.write_ms.to_be_bytes());
        put(&delay_ms.to_be_bytes());
        put(&self.log_offset.to_be_bytes());
        put(&self.size.to_be_bytes());
        put(&self.topic_hash.to_be_bytes());
        put(&seal(&out_of(self, roll | delete, delay_ms)).to_be_bytes());
        out
    }

    /// Reads an entry, and the place of the one before; `None` where there is none.
    pub(super) fn decode(bytes: &[u8; LEN]) -> Option<(Self, i64)> {
        let i32_at = |at: usize| i32::from_be_bytes(*bytes[at..].first_chunk().expect("inside"));
        let i64_at = |at: usize| i64::from_be_bytes(*bytes[at..].first_chunk().expect("inside"));
        let (magic, write_ms, delay_ms) = (i32_at(12), i64_at(16), i32_at(24));
        let unit = Self {
            write_ms,
            slot_ms: write_ms.checked_add(delay_ms.into())?,
            rolls: magic & ROLLS != 0,
            deletes: magic & DELETES != 0,
            log_offset: i64_at(28),
            size: i32_at(36),
            topic_hash: i32_at(40),
        };
        let is_unit = i32_at(0) == LEN as i32
            && (0..=MAGIC_MAX).contains(&magic)
            && magic & WAITS != 0
            && unit.write_ms > 0
            && unit.slot_ms > 0
            && unit.log_offset >= 0
            && unit.size > 0;
        let is_whole = match i64_at(SEAL_AT) {
            0 => true,
            sealed => sealed == seal(&out_of(&unit, magic & (ROLLS | DELETES), delay_ms)),
        };
        (is_unit && is_whole).then(|| (unit, i64_at(4)))
    }
}

/// Whether an entry has a seal; Java's have none.
pub(super) fn is_sealed(bytes: &[u8; LEN]) -> bool {
    bytes[SEAL_AT..] != [0; LEN - SEAL_AT]
}

/// What the seal covers: all but the place of the entry before, which may be mended.
fn out_of(unit: &TimerUnit, bits: i32, delay_ms: i32) -> [u8; 32] {
    let mut out = [0; 32];
    out[..4].copy_from_slice(&bits.to_be_bytes());
    out[4..12].copy_from_slice(&unit.write_ms.to_be_bytes());
    out[12..16].copy_from_slice(&delay_ms.to_be_bytes());
    out[16..24].copy_from_slice(&unit.log_offset.to_be_bytes());
    out[24..28].copy_from_slice(&unit.size.to_be_bytes());
    out[28..].copy_from_slice(&unit.topic_hash.to_be_bytes());
    out
}

fn seal(covered: &[u8]) -> i64 {
    (i64::from(SEALED) << 32) | i64::from(crc32fast::hash(covered))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: TimerUnit = TimerUnit {
        write_ms: 1_700_000_000_000,
        slot_ms: 1_700_000_005_000,
        rolls: false,
        deletes: true,
        log_offset: 77,
        size: 200,
        topic_hash: -5,
    };

    #[test]
    fn an_entry_is_javas_but_for_the_seal() {
        let bytes = UNIT.encode(-1);
        let mut java = Vec::new();
        java.extend(52_i32.to_be_bytes());
        java.extend((-1_i64).to_be_bytes());
        java.extend(5_i32.to_be_bytes());
        java.extend(1_700_000_000_000_i64.to_be_bytes());
        java.extend(5_000_i32.to_be_bytes());
        java.extend(77_i64.to_be_bytes());
        java.extend(200_i32.to_be_bytes());
        java.extend((-5_i32).to_be_bytes());
        assert_eq!(bytes[..44], java);
        assert_eq!(TimerUnit::decode(&bytes), Some((UNIT, -1)));
        java.extend([0; 8]);
        assert_eq!(TimerUnit::decode(&java.try_into().unwrap()), Some((UNIT, -1)));
    }

    #[test]
    fn every_flipped_bit_is_seen_but_in_the_place_before() {
        let bytes = UNIT.encode(520);
        for bit in 0..LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let is_prev = (4..12).contains(&(bit / 8));
            // The one bit that says nothing.
            let is_spare = bit / 8 == 15 && bit % 8 == 3;
            let read = TimerUnit::decode(&flipped).map(|(unit, _)| unit);
            assert_eq!(read.is_some(), is_prev || is_spare, "bit {bit}");
            assert!(read.is_none_or(|unit| unit == UNIT));
        }
        assert_eq!(TimerUnit::decode(&[0; LEN]), None);
    }
}
