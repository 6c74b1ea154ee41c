//! Reading that leaves the page cache as it was: what is in memory is copied, what is not is read
//! and dropped again, so that looking through old files does not push out the new ones.

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

/// The most that is read from the medium at once.
const COLD: usize = 1 << 20;
const PAGE: u64 = 4096;

/// Copies from `offset` on until `out` is full or the file ends; says how many bytes that were.
pub(super) fn peek(file: &File, offset: u64, out: &mut [u8]) -> io::Result<usize> {
    // Reading ahead would leave in memory what nobody asked for. The advice is this descriptor's.
    fadvise(file, 0, None, Advice::Random)?;
    let mut done = 0;
    while done < out.len() {
        let at = offset + done as u64;
        let rest = &mut out[done..];
        let now = match cached(file, at, rest)? {
            Some(len) => len,
            None => {
                let len = rest.len().min(COLD);
                cold(file, at, &mut rest[..len])?
            }
        };
        if now == 0 {
            break;
        }
        done += now;
    }
    Ok(done)
}

/// Copies from `at` on what is in memory and says how many bytes that were; `None` when the first
/// is not there, or the file system cannot tell.
pub(super) fn cached(file: &File, at: u64, out: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match preadv2(file, &mut [IoSliceMut::new(out)], at, ReadWriteFlags::NOWAIT) {
            Ok(len) => return Ok(Some(len)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn cold(file: &File, at: u64, out: &mut [u8]) -> io::Result<usize> {
    let read = loop {
        match file.read_at(out, at) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    let (from, to) = (at / PAGE * PAGE, (at + read as u64).next_multiple_of(PAGE));
    if let Some(len) = NonZeroU64::new(to - from) {
        fadvise(file, from, Some(len), Advice::DontNeed)?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a file for the test")]

    use super::*;

    #[test]
    fn a_file_is_copied_to_its_end() {
        let path = std::env::temp_dir().join(format!("rockhopper-peek-{}", std::process::id()));
        let content: Vec<u8> = (0..3 << 20).map(|at| (at / 7) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let mut out = vec![0; 4 << 20];
        assert_eq!(peek(&file, 5, &mut out).unwrap(), content.len() - 5);
        assert!(out[..content.len() - 5] == content[5..]);
        assert_eq!(peek(&file, content.len() as u64, &mut out).unwrap(), 0);
        assert_eq!(peek(&file, 1 << 40, &mut out).unwrap(), 0);
        std::fs::remove_file(path).unwrap();
    }
}
