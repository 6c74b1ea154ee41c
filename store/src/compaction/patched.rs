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
    /// The numbers of the pages that cannot be read.
    lost: Mutex<BTreeSet<u64>>,
}

impl Patched {
    pub(super) fn around(file: Arc<dyn File>, path: PathBuf) -> Self {
        Self { file, path, lost: Mutex::default() }
    }

    /// Bytes that were found unreadable.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.lost.lock().len() as u64 * PAGE_BYTES
    }

    /// Whether bytes from a place on were found unreadable.
    pub(super) fn lacks_from(&self, at: u64) -> bool {
        self.lost.lock().last().is_some_and(|page| (page + 1) * PAGE_BYTES > at)
    }

    /// Page by page; an error where that is no file with a bad place any more.
    fn read_pages(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut lost = self.lost.lock();
        let mut fresh: Option<Range<u64>> = None;
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let page = at / PAGE_BYTES;
            let next = ((page + 1) * PAGE_BYTES - offset).min(out.len() as u64) as usize;
            let part = &mut out[done..next];
            done = next;
            let read = if lost.contains(&page) { None } else { Some(self.file.read_at(at, part)) };
            match read {
                Some(Ok(())) => {}
                None => part.fill(0),
                Some(Err(error)) if is_lasting(&error) && lost.len() < PAGES_MAX => {
                    part.fill(0);
                    lost.insert(page);
                    let from = fresh.map_or(page, |range| range.start);
                    fresh = Some(from..page + 1);
                }
                Some(Err(error)) => return Err(error),
            }
        }
        if let Some(Range { start, end }) = fresh {
            tracing::error!(
                path = %self.path.display(), from = start * PAGE_BYTES, to = end * PAGE_BYTES,
                "bytes of a compacted queue cannot be read and are set aside: units there are made \
                 anew from the messages, messages there are passed over, all others are read. \
                 Check the disk"
            );
        }
        Ok(())
    }
}

impl File for Patched {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self.file.read_at(offset, out) {
            Err(error) if is_lasting(&error) => self.read_pages(offset, out),
            read => read,
        }
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
        let end = |page: u64| ((page + 1) * PAGE_BYTES).min(self.len());
        let is_healed = |page: u64| range.start <= page * PAGE_BYTES && end(page) <= range.end;
        self.lost.lock().retain(|page| !is_healed(*page));
        Ok(())
    }
    fn sync(&self, range: Range<u64>) -> io::Result<()> {
        self.file.sync(range)
    }
}
