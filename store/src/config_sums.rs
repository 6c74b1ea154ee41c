//! What each file under `config` was when it was saved: `config/sums`, Rockhopper's own. Java's
//! format has no checksum, and one bit in a number makes another number. A file that has the length
//! and the time of a save but not its checksum was damaged where it lies; one with another length
//! or time was written by somebody else (Java, an editor, a copy), whose word counts.
//!
//! A line a save: length, last modified (ms since the epoch), CRC-32, Java's hash of the text,
//! name, and the CRC-32 of the line up to there; then zeros. A line that is none says nothing, as
//! does a file that is not there: it is written without a sync, behind files that are durable.

use crate::Error;
use crate::config_journal::open_or_replace;
use crate::disk::{Allocation, Disk, File, peek};
use message::hash;
use std::path::Path;
use std::sync::Arc;

/// In the directory of what it is about.
pub(crate) const NAME: &str = "sums";
/// Bytes of the file.
const SIZE: usize = 16 << 10;
/// Saves of one file that are kept: the file, its `.bak`, and what was mended of one of them.
const EACH: usize = 3;
/// Saves that are kept; what does not fit into the file is not.
const ALL: usize = 128;
/// A longer text is not mended: the more bits it has, the likelier is one that answers for two.
const MENDED_MAX: usize = 4 << 20;
/// Of CRC-32, the lowest bit standing for the highest power.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// A file as it was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    len: u64,
    modified: i64,
    crc: u32,
    /// Tells the one bit that is wrong from two that have its checksum.
    hash: i32,
    name: String,
}

impl Sum {
    fn line(&self) -> String {
        let Self { len, modified, crc, hash, name } = self;
        let line = format!("{len} {modified} {crc} {hash} {name}");
        format!("{line} {}\n", crc32fast::hash(line.as_bytes()))
    }

    fn parse(line: &str) -> Option<Self> {
        let (checked, sum) = line.rsplit_once(' ')?;
        if sum.parse() != Ok(crc32fast::hash(checked.as_bytes())) {
            return None;
        }
        let mut fields = checked.splitn(5, ' ');
        Some(Self {
            len: fields.next()?.parse().ok()?,
            modified: fields.next()?.parse().ok()?,
            crc: fields.next()?.parse().ok()?,
            hash: fields.next()?.parse().ok()?,
            name: fields.next()?.to_owned(),
        })
    }
}

/// What became of a file where it lies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rot {
    /// The checksum of what was saved.
    pub(crate) expected: u32,
    /// That of what is there.
    pub(crate) found: u32,
    /// What was saved and the byte that differs, where that is one bit.
    pub(crate) mended: Option<(String, usize)>,
}

impl Rot {
    /// The damage in words.
    pub(crate) fn told(&self) -> String {
        let bits = match &self.mended {
            Some((_, at)) => format!("one bit is wrong, in byte {at}"),
            None => "more than one bit is wrong".to_owned(),
        };
        format!(
            "was damaged where it lies: length and time are those of a save, but the checksum is \
             {:08x} and not {:08x}; {bits}",
            self.found, self.expected
        )
    }
}

/// The notes of one directory.
#[derive(Default)]
pub(crate) struct ConfigSums {
    /// The newest first.
    sums: Vec<Sum>,
    file: Option<Arc<dyn File>>,
}

impl ConfigSums {
    /// Those in `dir`; none where they cannot be read.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Self {
        let mut bytes = vec![0; SIZE];
        let len = peek(disk, &dir.join(NAME), 0, &mut bytes).unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..len.min(SIZE)]);
        let mut sums: Vec<_> = text.lines().filter_map(Sum::parse).collect();
        sums.truncate(ALL);
        Self { sums, file: None }
    }

    /// Notes that `name` was saved and reads `content` since a time, ms since the epoch.
    ///
    /// # Errors
    /// The note cannot be written; this process knows it all the same.
    pub(crate) fn note(
        &mut self,
        (disk, dir): (&dyn Disk, &Path),
        (name, modified): (&str, i64),
        content: &str,
    ) -> Result<(), Error> {
        // Where times may be whole seconds, several saves have the same.
        if modified % 1_000 == 0 {
            return Ok(());
        }
        let (len, crc) = (content.len() as u64, crc32fast::hash(content.as_bytes()));
        let sum = Sum { len, modified, crc, hash: hash::java_hash(content), name: name.to_owned() };
        self.sums.insert(0, sum);
        let mut count = 0;
        self.sums.retain(|sum| {
            count += usize::from(sum.name == name);
            sum.name != name || count <= EACH
        });
        self.sums.truncate(ALL);
        let mut bytes: Vec<u8> = self.sums.iter().map(Sum::line).collect::<String>().into();
        bytes.resize(SIZE, 0);
        let path = dir.join(NAME);
        if self.file.is_none() {
            let file = open_or_replace(disk, &path, (SIZE as u64, Allocation::Sparse))?;
            self.file = Some(file);
        }
        let file = self.file.as_ref().expect("it was opened just now");
        file.write_at(0, &bytes).map_err(Error::io("write", &path))
    }

    /// Whether `name` was saved here.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.sums.iter().any(|sum| sum.name == name)
    }

    /// How a file is damaged that is, or was, `name`, was last modified then, and holds `bytes`;
    /// `None` when nobody can tell.
    pub(crate) fn rot(&self, name: &str, modified: i64, bytes: &[u8]) -> Option<Rot> {
        let is_this = |sum: &&Sum| {
            (sum.name.as_str(), sum.len, sum.modified) == (name, bytes.len() as u64, modified)
        };
        let saved: Vec<&Sum> = self.sums.iter().filter(is_this).collect();
        let (expected, found) = (saved.first()?.crc, crc32fast::hash(bytes));
        if saved.iter().any(|sum| sum.crc == found) {
            return None;
        }
        let mended = saved.iter().find_map(|sum| {
            let (text, at) = mended(bytes, found ^ sum.crc)?;
            let text = String::from_utf8(text).ok()?;
            (hash::java_hash(&text) == sum.hash).then_some((text, at))
        });
        Some(Rot { expected, found, mended })
    }
}

/// The bytes with the one bit changed that changes their checksum by `difference`, and its byte.
/// The later a bit, the fewer steps its difference has taken through the polynomial.
fn mended(bytes: &[u8], difference: u32) -> Option<(Vec<u8>, usize)> {
    if bytes.len() > MENDED_MAX {
        return None;
    }
    let mut of_bit = POLYNOMIAL;
    for at in (0..bytes.len()).rev() {
        for bit in (0..8).rev() {
            if of_bit == difference {
                let mut mended = bytes.to_vec();
                mended[at] ^= 1 << bit;
                return Some((mended, at));
            }
            of_bit = of_bit >> 1 ^ if of_bit & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_single_bit_is_found_and_two_are_not() {
        let text = br#"{"offsetTable":{"T@g":{0:1234567,1:89}}}"#;
        let crc = crc32fast::hash(text);
        let flip = |bytes: &mut Vec<u8>, at: usize| bytes[at / 8] ^= 1 << (at % 8);
        for first in 0..text.len() * 8 {
            let mut bytes = text.to_vec();
            flip(&mut bytes, first);
            let difference = crc32fast::hash(&bytes) ^ crc;
            assert_eq!(mended(&bytes, difference), Some((text.to_vec(), first / 8)));
            for second in (0..text.len() * 8).filter(|second| *second != first) {
                let mut bytes = bytes.clone();
                flip(&mut bytes, second);
                assert_eq!(mended(&bytes, crc32fast::hash(&bytes) ^ crc), None);
            }
        }
    }

    #[test]
    fn a_line_that_was_damaged_says_nothing() {
        let sum = Sum {
            len: 12,
            modified: 1_700_000_000_123,
            crc: 77,
            hash: -5,
            name: "a b.json".into(),
        };
        let line = sum.line();
        assert_eq!(Sum::parse(line.trim_end()), Some(sum));
        for at in 0..line.len() - 1 {
            let mut bytes = line.trim_end().as_bytes().to_vec();
            bytes[at] ^= 1;
            assert_eq!(Sum::parse(&String::from_utf8(bytes).unwrap()), None, "{at}");
        }
    }
}
