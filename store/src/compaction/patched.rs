//! A file of which some pages cannot be read. They read as zeros here, as those do that power loss
//! took: what they held is damaged, and all else of the file is there.

use crate::commit_log::is_lasting;
use crate::disk::File;
use crate::log_reader::PAGE;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

const PAGE_BYTES: u64 = PAGE as u64;
/// With more pages than this the file is not damaged: the disk is gone.
const PAGES_MAX: usize = 256;

/// The file.
pub(super) struct Patched {
    file: Arc<dyn File>,
    path: PathBuf,
    /// Nobody holds it while the disk is asked.
    lost: Mutex<Lost>,
}

/// What cannot be read.
#[derive(Default)]
struct Lost {
    /// The numbers of the pages, none of which is asked for again.
    pages: BTreeSet<u64>,
    /// How often something was written: what a read before that found says nothing.
    writes: u64,
}

/// What is known of some bytes before they are read or written.
struct Known {
    /// Those of their pages that cannot be read.
    pages: BTreeSet<u64>,
    /// How many pages of the file cannot be.
    all: usize,
    writes: u64,
}

impl Patched {
    pub(super) fn around(file: Arc<dyn File>, path: PathBuf) -> Self {
        Self { file, path, lost: Mutex::default() }
    }

    /// Bytes that were found unreadable.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.lost.lock().pages.len() as u64 * PAGE_BYTES
    }

    /// Whether bytes from a place on were found unreadable.
    pub(super) fn lacks_from(&self, at: u64) -> bool {
        self.lost.lock().pages.last().is_some_and(|page| (page + 1) * PAGE_BYTES > at)
    }

    fn known(&self, range: &Range<u64>) -> Known {
        let lost = self.lost.lock();
        let pages = range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES);
        let pages = lost.pages.range(pages).copied().collect();
        Known { pages, all: lost.pages.len(), writes: lost.writes }
    }

    /// Page by page; an error where that is no file with a bad place any more.
    fn read_pages(&self, offset: u64, out: &mut [u8], known: &Known) -> io::Result<()> {
        let (mut fresh, mut done) = (BTreeSet::new(), 0);
        while done < out.len() {
            let at = offset + done as u64;
            let page = at / PAGE_BYTES;
            let next = ((page + 1) * PAGE_BYTES - offset).min(out.len() as u64) as usize;
            let part = &mut out[done..next];
            done = next;
            if known.pages.contains(&page) {
                part.fill(0);
                continue;
            }
            let is_file_there = known.all + fresh.len() < PAGES_MAX;
            match self.file.read_at(at, part) {
                Err(error) if is_lasting(&error) && is_file_there => {
                    part.fill(0);
                    fresh.insert(page);
                }
                read => read?,
            }
        }
        self.note(fresh, known.writes);
        Ok(())
    }

    /// Notes pages that were found unreadable after so many writes.
    fn note(&self, mut fresh: BTreeSet<u64>, writes: u64) {
        let mut lost = self.lost.lock();
        fresh.retain(|page| lost.writes == writes && !lost.pages.contains(page));
        let (Some(first), Some(last)) = (fresh.first().copied(), fresh.last().copied()) else {
            return;
        };
        lost.pages.append(&mut fresh);
        drop(lost);
        tracing::error!(
            path = %self.path.display(), from = first * PAGE_BYTES, to = (last + 1) * PAGE_BYTES,
            "bytes of a compacted queue cannot be read and are set aside: units there are made \
             anew from the messages, messages there are passed over, all others are read. \
             Check the disk"
        );
    }

    /// Notes that a range was written: what it has of whole pages can be read again.
    fn note_written(&self, range: &Range<u64>) {
        let end = |page: u64| ((page + 1) * PAGE_BYTES).min(self.len());
        let is_healed = |page: u64| range.start <= page * PAGE_BYTES && end(page) <= range.end;
        let mut lost = self.lost.lock();
        lost.pages.retain(|page| !is_healed(*page));
        lost.writes += 1;
    }
}

impl File for Patched {
    fn len(&self) -> u64 {
        self.file.len()
    }
    /// A page that cannot be read cannot be written in part either: it is written as it is read
    /// here, with zeros around.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut range = offset..offset.saturating_add(data.len() as u64);
        let pages = self.known(&range).pages;
        let (Some(first), Some(last)) = (pages.first(), pages.last()) else {
            self.file.write_at(offset, data)?;
            self.note_written(&range);
            return Ok(());
        };
        range.start = range.start.min(first * PAGE_BYTES);
        range.end = range.end.max((last + 1) * PAGE_BYTES).min(self.len());
        let mut bytes = vec![0; (range.end - range.start) as usize];
        bytes[(offset - range.start) as usize..][..data.len()].copy_from_slice(data);
        self.file.write_at(range.start, &bytes)?;
        self.note_written(&range);
        Ok(())
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let known = self.known(&(offset..offset.saturating_add(out.len() as u64)));
        if known.pages.is_empty() {
            match self.file.read_at(offset, out) {
                Err(error) if is_lasting(&error) => {}
                read => return read,
            }
        }
        self.read_pages(offset, out, &known)
    }
    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read_at(range.start, &mut bytes)?;
        Ok(bytes.into())
    }
    fn is_zero(&self, range: Range<u64>) -> io::Result<bool> {
        match self.file.is_zero(range) {
            Err(error) if is_lasting(&error) => Ok(false),
            is_zero => is_zero,
        }
    }
    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.file.zero(range.clone())?;
        self.note_written(&range);
        Ok(())
    }
    fn sync(&self, range: Range<u64>) -> io::Result<()> {
        self.file.sync(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::sync::OnceLock;

    /// As memory is counted.
    const PAGE: usize = super::PAGE as usize;
    const LEN: usize = 3 * PAGE + 100;

    /// A file that cannot read some pages, nor write parts of them.
    #[derive(Default)]
    struct Bad {
        bytes: Mutex<Vec<u8>>,
        pages: Mutex<BTreeSet<u64>>,
        /// How often a page that cannot be read was asked for.
        asked: Mutex<u32>,
        /// Done before a read.
        before: OnceLock<Box<dyn Fn() + Send + Sync>>,
    }

    impl File for Bad {
        fn len(&self) -> u64 {
            LEN as u64
        }
        fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let (from, to) = (offset as usize, offset as usize + data.len());
            let is_whole = |page: &u64| {
                let page = *page as usize * PAGE;
                from <= page && (page + PAGE).min(LEN) <= to || page + PAGE <= from || to <= page
            };
            if !self.pages.lock().iter().all(is_whole) {
                return Err(Errno::IO.into());
            }
            self.pages.lock().retain(|page| {
                let page = *page as usize * PAGE;
                page + PAGE <= from || to <= page
            });
            self.bytes.lock()[from..to].copy_from_slice(data);
            Ok(())
        }
        fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let end = offset + out.len() as u64;
            let pages = offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES);
            let is_bad = self.pages.lock().range(pages).next().is_some();
            if let Some(before) = self.before.get() {
                before();
            }
            if is_bad {
                *self.asked.lock() += 1;
                return Err(Errno::IO.into());
            }
            out.copy_from_slice(&self.bytes.lock()[offset as usize..end as usize]);
            Ok(())
        }
        fn slice(&self, _range: Range<u64>) -> io::Result<Bytes> {
            unreachable!("what is lent is copied")
        }
        fn is_zero(&self, _range: Range<u64>) -> io::Result<bool> {
            Ok(false)
        }
        fn zero(&self, range: Range<u64>) -> io::Result<()> {
            self.write_at(range.start, &vec![0; (range.end - range.start) as usize])
        }
        fn sync(&self, _range: Range<u64>) -> io::Result<()> {
            Ok(())
        }
    }

    fn patched(bad: &[u64]) -> (Arc<Bad>, Arc<Patched>) {
        let file = Arc::new(Bad::default());
        file.bytes.lock().resize(LEN, 1);
        file.pages.lock().extend(bad);
        (file.clone(), Arc::new(Patched::around(file, "units".into())))
    }

    fn zeros(file: &Patched) -> usize {
        let mut bytes = vec![7; LEN];
        file.read_at(0, &mut bytes).unwrap();
        bytes.iter().filter(|byte| **byte == 0).count()
    }

    #[test]
    fn what_cannot_be_read_is_asked_for_once() {
        let (file, patched) = patched(&[1, 3]);
        assert_eq!((zeros(&patched), patched.lost_bytes()), (PAGE + 100, 2 * PAGE_BYTES));
        let asked = *file.asked.lock();
        assert_eq!((zeros(&patched), *file.asked.lock()), (PAGE + 100, asked));
    }

    #[test]
    fn what_is_written_anew_can_be_read_and_what_is_around_reads_as_before() {
        let (_, patched) = patched(&[1, 3]);
        zeros(&patched);
        patched.write_at(PAGE_BYTES + 10, &[2; 20]).unwrap();
        assert_eq!((zeros(&patched), patched.lost_bytes()), (PAGE - 20 + 100, PAGE_BYTES));
        patched.write_at(3 * PAGE_BYTES - 5, &[2; 10]).unwrap();
        assert_eq!((zeros(&patched), patched.lost_bytes()), (PAGE - 20 + 95, 0));
    }

    #[test]
    fn nobody_waits_for_who_asks_the_disk_and_what_is_written_meanwhile_is_not_lost() {
        let (file, patched) = patched(&[1]);
        let other = Arc::downgrade(&patched);
        let before = move || {
            let patched = other.upgrade().unwrap();
            assert!(patched.lost.try_lock().is_some(), "held while the disk is asked");
            patched.write_at(PAGE_BYTES, &[2; PAGE]).unwrap();
        };
        assert!(file.before.set(Box::new(before)).is_ok());
        let _ = patched.read_at(PAGE_BYTES, &mut [0; PAGE]);
        assert_eq!((zeros(&patched), patched.lost_bytes()), (0, 0));
    }
}
