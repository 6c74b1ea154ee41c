//! Reading the commit log from one end to the other: through positional reads into one buffer, so
//! that a bad sector is an error value and the memory is bounded whatever the files hold.

use crate::segments::Segment;
use message::record::{self, Entry, FIXED_LEN, IPV6_EXTRA, MAGIC_V1, MAGIC_V2};
use message::sys_flag;
use std::io;

/// Bytes that are read at once.
pub(crate) const CHUNK: usize = 4 << 20;
/// The least that a disk loses at once, and the least that is read.
pub(crate) const PAGE: i64 = 4096;
/// No record is longer: eight times the largest frame that a broker takes unless told otherwise.
const RECORD_MAX: i64 = 128 << 20;
/// The most that topic and properties take, with the fields of their lengths.
const TAIL_MAX: i64 = 2 * (i16::MAX as i64 + 2);

/// A buffer that moves over the log.
#[derive(Default)]
pub(crate) struct LogReader {
    buffer: Vec<u8>,
    /// The log offset of the buffer's first byte.
    from: i64,
    /// Bytes of the buffer that were read.
    len: usize,
}

impl LogReader {
    /// The bytes from log offset `at` on: at least `need` of them, less only where the file ends or
    /// a page cannot be read. An error says that the very first one cannot be read.
    pub(crate) fn bytes(&mut self, segment: &Segment, at: i64, need: usize) -> io::Result<&[u8]> {
        assert!((segment.start..segment.end()).contains(&at), "{at} lies in the file");
        let wanted = (need as i64).min(segment.end() - at);
        let end = self.from + self.len as i64;
        if at < self.from || at + wanted > end {
            self.fill(segment, at, need)?;
        }
        Ok(&self.buffer[(at - self.from) as usize..self.len])
    }

    /// The record or blank that begins at `at`, read whole.
    pub(crate) fn entry(
        &mut self,
        segment: &Segment,
        at: i64,
        verify_crc: bool,
    ) -> io::Result<Result<Entry<'_>, record::RecordError>> {
        let room = segment.end() - at;
        let head = self.bytes(segment, at, FIXED_LEN)?;
        let need = match record_len(head) {
            Some(len) if len <= room => len as usize,
            Some(len) => {
                return Ok(Err(record::RecordError::Short {
                    needed: len as usize,
                    left: room as usize,
                }));
            }
            None => head.len().min(FIXED_LEN),
        };
        Ok(record::decode(self.bytes(segment, at, need)?, verify_crc))
    }

    fn fill(&mut self, segment: &Segment, at: i64, need: usize) -> io::Result<()> {
        let len = need.max(CHUNK).min((segment.end() - at) as usize);
        (self.from, self.len) = (at, 0);
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        } else if self.buffer.len() > CHUNK && len <= CHUNK {
            // A long record is behind us.
            self.buffer.truncate(CHUNK);
            self.buffer.shrink_to_fit();
        }
        let place = (at - segment.start) as u64;
        if segment.file.read_at(place, &mut self.buffer[..len]).is_ok() {
            self.len = len;
            return Ok(());
        }
        // Page by page up to the one that cannot be read.
        while self.len < len {
            let from = at + self.len as i64;
            let next_page = ((from / PAGE + 1) * PAGE - at).min(len as i64) as usize;
            let part = &mut self.buffer[self.len..next_page];
            match segment.file.read_at(place + self.len as u64, part) {
                Ok(()) => self.len = next_page,
                Err(error) if self.len == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// The length of a message that seems to begin at `head`, when its lengths can be true; `None` when
/// no message begins there.
pub(crate) fn record_len(head: &[u8]) -> Option<i64> {
    let int = |at: usize| head.get(at..)?.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    if !matches!(int(record::at::MAGIC)?, MAGIC_V1 | MAGIC_V2) {
        return None;
    }
    let len = i64::from(int(record::at::TOTAL_SIZE)?);
    let flag = int(record::at::SYS_FLAG)?;
    let v6 = |bit: i32| if flag & bit == 0 { 0 } else { IPV6_EXTRA };
    let body_at = 84 + v6(sys_flag::BORN_HOST_V6) + v6(sys_flag::STORE_HOST_V6);
    // A head that is too short for the field belongs to a record with IPv6 hosts.
    let Some(body) = int(body_at) else {
        return (1..=RECORD_MAX).contains(&len).then_some(len);
    };
    let fixed = body_at as i64 + 4;
    let tail = len - fixed - i64::from(body);
    (body >= 0 && len <= RECORD_MAX && (0..=TAIL_MAX).contains(&tail)).then_some(len)
}
