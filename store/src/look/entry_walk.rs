//! What stands beside the units of an extended queue: those with an address should lead there.

use super::files::Run;
use crate::consume_queue::{EXTENSION_DIR, Extended, offset_of};
use crate::disk::peek;
use crate::{Disk, Error};
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const WINDOW_BYTES: usize = 4096;

/// The entries of one queue; a part of them is in memory.
#[derive(Default)]
pub(super) struct EntryWalk {
    run: Option<Run>,
    from: i64,
    bytes: Vec<u8>,
    /// Units whose entry is not there.
    pub(super) lost: u64,
}

/// Where the entries of a queue lie whose units are in `dir`.
fn dir_of(dir: &Path) -> Option<PathBuf> {
    let (id, topic) = (dir.file_name()?, dir.parent()?);
    let root = topic.parent()?.parent()?;
    Some(root.join(EXTENSION_DIR).join(topic.file_name()?).join(id))
}

impl EntryWalk {
    /// The tags code of the entry at an address of the queue whose units are in `dir`; none where
    /// it is not there, which is counted.
    pub(super) fn tags_code(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        address: i64,
    ) -> Result<Option<i64>, Error> {
        let offset = offset_of(address);
        let mut code = self.held(offset);
        if code.is_none() {
            self.read(disk, dir, offset)?;
            code = self.held(offset);
        }
        self.lost += u64::from(code.is_none());
        Ok(code)
    }

    fn held(&self, offset: i64) -> Option<i64> {
        let at = usize::try_from(offset.checked_sub(self.from)?).ok()?;
        Some(Extended::decode(self.bytes.get(at..)?).ok()?.tags_code)
    }

    fn read(&mut self, disk: &dyn Disk, dir: &Path, offset: i64) -> Result<(), Error> {
        if self.run.is_none() {
            self.run = dir_of(dir).map(|dir| Run::list(disk, &dir)).transpose()?;
        }
        self.bytes.clear();
        let holds = |start: i64, len: u64| {
            offset.checked_sub(start).and_then(|at| u64::try_from(at).ok()).filter(|at| *at < len)
        };
        let files = self.run.iter().flat_map(|run| run.files.iter().map(move |file| (run, file)));
        let mut found = files
            .filter_map(|(run, file)| Some((run.path(file.start), holds(file.start, file.len)?)));
        let Some((path, at)) = found.next_back() else { return Ok(()) };
        // The longest entry may be larger.
        for len in [WINDOW_BYTES, i16::MAX as usize] {
            self.bytes.resize(len, 0);
            let count = peek(disk, &path, at, &mut self.bytes)?;
            self.bytes.truncate(count);
            self.from = offset;
            if self.held(offset).is_some() {
                break;
            }
        }
        Ok(())
    }
}
