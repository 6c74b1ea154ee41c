//! Changes of a configuration file since it was written as a whole: one record a change in a small
//! file of fixed size beside it, `NAME.changes`, so that a change costs one small write however
//! large the table has grown. What a change says is known to its owner.
//!
//! A record: length, then checksum (both big-endian, 4 bytes), then the text. The checksum also
//! covers the record's place and the text of the file that it changes: records of a former text,
//! and those behind the last one, mean nothing. So when Java has written the file meanwhile, its
//! word counts and nothing of ours is laid over it.

use crate::Error;
use crate::disk::{Allocation, Disk, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the file: some thousand changes.
const SIZE: u64 = 1 << 20;
/// Bytes before the text of a record.
const HEAD: usize = 8;

/// The changes of one file.
pub struct ConfigJournal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Made before the first change.
    file: Option<Arc<dyn File>>,
    has_room: bool,
    /// Stands for the text that is changed.
    base: u32,
    at: u64,
}

impl ConfigJournal {
    /// The journal at `path` of a file that reads `text`, and the changes that are in it, oldest
    /// first. One that cannot be read has none.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf, text: &str) -> (Self, Vec<String>) {
        let mut journal = Self { disk, path, file: None, has_room: false, base: 0, at: 0 };
        journal.restart(text);
        let changes = journal.read();
        (journal, changes)
    }

    /// The file was written as a whole and reads `text`: there are no changes to it.
    pub fn restart(&mut self, text: &str) {
        self.base = crc32fast::hash(text.as_bytes());
        self.at = 0;
    }

    /// Takes the room that changes will need, as far as there is some: on a full disk they are
    /// added all the same. Where there is none it is tried again the next time.
    pub fn reserve(&mut self) {
        if !self.has_room {
            self.has_room = self.file().is_ok() && self.disk.reserve(&self.path, SIZE).is_ok();
        }
    }

    /// Whether changes added here are those of a file that reads `text`.
    pub(crate) fn is_of(&self, text: &str) -> bool {
        self.base == crc32fast::hash(text.as_bytes())
    }

    /// Adds a change, durably. `false`: there is no room, the file has to be written as a whole.
    pub fn append(&mut self, change: &str) -> Result<bool, Error> {
        let mut record = self.record(change);
        let end = self.at + record.len() as u64;
        // Zeros tell the end from damage; the next change is written over them.
        record.extend([0; HEAD]);
        if self.at + record.len() as u64 > SIZE {
            return Ok(false);
        }
        let (path, at) = (self.path.clone(), self.at);
        let file = self.file()?;
        file.write_at(at, &record).map_err(Error::io("write", &path))?;
        if let Err(error) = file.sync(0..SIZE) {
            // It would fail for as long as it is open, and what follows is written as a whole.
            (self.file, self.has_room) = (None, false);
            return Err(Error::io("sync", &path)(error));
        }
        self.at = end;
        Ok(true)
    }

    fn file(&mut self) -> Result<&Arc<dyn File>, Error> {
        if self.file.is_none() {
            let shape = (SIZE, Allocation::Reserved);
            self.file = Some(open_or_replace(&*self.disk, &self.path, shape)?);
        }
        Ok(self.file.as_ref().expect("it was opened just now"))
    }

    fn record(&self, change: &str) -> Vec<u8> {
        let len = u32::try_from(change.len()).unwrap_or(u32::MAX);
        let mut record = Vec::with_capacity(HEAD + change.len());
        record.extend(len.to_be_bytes());
        record.extend(self.checksum(self.at, change.as_bytes()).to_be_bytes());
        record.extend(change.as_bytes());
        record
    }

    fn checksum(&self, at: u64, change: &[u8]) -> u32 {
        checksum(self.base, at, change)
    }

    /// Reads the changes and goes on behind the last one.
    fn read(&mut self) -> Vec<String> {
        let bytes = match self.disk.read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::error!(
                    path = %self.path.display(),
                    %error,
                    "a journal of changes cannot be read: changes made after the file beside it \
                     was last written are lost. Look whether the newest topics and groups are there"
                );
                return Vec::new();
            }
        };
        let mut changes = Vec::new();
        while let Some(change) = self.next(&bytes) {
            self.at += (HEAD + change.len()) as u64;
            changes.push(change);
        }
        let rest = usize::try_from(self.at).ok().and_then(|at| bytes.get(at..));
        let behind = rest.and_then(|rest| rest.get(..HEAD)).unwrap_or_default();
        if !changes.is_empty() && behind.iter().any(|byte| *byte != 0) {
            tracing::error!(
                path = %self.path.display(),
                offset = self.at,
                changes = changes.len(),
                "what follows these changes is damaged: those behind are lost, unless it is the \
                 one that was being written when the broker died. Look whether the newest topics \
                 and groups are there"
            );
        }
        changes
    }

    fn next(&self, bytes: &[u8]) -> Option<String> {
        let change = change_at(self.base, self.at, bytes)?;
        String::from_utf8(change.to_vec()).ok()
    }
}

fn checksum(base: u32, at: u64, change: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(base);
    hasher.update(&at.to_be_bytes());
    hasher.update(change);
    hasher.finalize()
}

/// The checksum and the text of the record that bytes begin with.
fn first_record(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let change = rest.get(..u32::from_be_bytes(*len) as usize)?;
    (!change.is_empty()).then_some((u32::from_be_bytes(*sum), change))
}

/// The change at a place of a journal's bytes.
fn change_at(base: u32, at: u64, bytes: &[u8]) -> Option<&[u8]> {
    let (sum, change) = first_record(bytes.get(usize::try_from(at).ok()?..)?)?;
    (checksum(base, at, change) == sum).then_some(change)
}

/// The texts of the changes in a journal's bytes, up to the first that is none.
pub(crate) fn loose(mut bytes: &[u8]) -> Vec<String> {
    let mut changes = Vec::new();
    while let Some((_, change)) = first_record(bytes)
        && let Ok(text) = std::str::from_utf8(change)
    {
        changes.push(text.to_owned());
        bytes = &bytes[HEAD + change.len()..];
    }
    changes
}

/// How many changes of a file that reads `text` are in a journal's bytes.
pub(crate) fn waiting(text: &str, bytes: &[u8]) -> usize {
    let base = crc32fast::hash(text.as_bytes());
    let (mut at, mut count) = (0, 0);
    while let Some(change) = change_at(base, at, bytes) {
        at += (HEAD + change.len()) as u64;
        count += 1;
    }
    count
}

/// A file of another size holds nothing that counts.
pub(crate) fn open_or_replace(
    disk: &dyn Disk,
    path: &Path,
    (size, space): (u64, Allocation),
) -> Result<Arc<dyn File>, Error> {
    let open = || disk.open(path, size, space);
    match open() {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            disk.remove(path).map_err(Error::io("remove", path))?;
            open()
        }
        opened => opened,
    }
    .map_err(Error::io("open", path))
}
