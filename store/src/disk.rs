//! The only door from the store to the disk: two small traits, with a real implementer in [`os`]
//! and a crashing one in the tests. No format, no policy.
//!
//! A file of the store has a fixed size from its birth. It is written at places that the store
//! chooses, never appended by the operating system.

mod first_failure;
mod lasting;
mod open_files;
pub mod os;
mod peek;

use crate::Error;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::io;
use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use open_files::reserved;
pub use os::OsDisk;

/// How a new file gets its space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// All blocks now, so that a full disk is seen here and not by a later write; the name in its
    /// directory is durable when the file is.
    Reserved,
    /// Blocks as they are written; what was never written reads as zeros and takes no space.
    Sparse,
    /// As [`Allocation::Sparse`], for a file of which a few bytes here and there are read and
    /// written: nothing is read ahead of.
    Scattered,
}

impl Allocation {
    /// Whether all blocks are there from the start.
    pub fn is_reserved(self) -> bool {
        self == Self::Reserved
    }
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name without its directory.
    pub name: String,
    /// Bytes; 0 for a directory.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is neither a file nor a directory: a link that leads nowhere, a pipe.
    pub is_other: bool,
    /// Last modified, ms since the epoch; 0 for a directory.
    pub modified: i64,
}

impl Listed {
    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        !self.is_dir && !self.is_other
    }
}

/// The file system that holds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that nobody has taken; some may be kept back for the administrator.
    pub free: u64,
    /// Bytes that the process may still take.
    pub available: u64,
}

impl Space {
    /// The used part, 0 to 1, of what is used or may still be: what `df` shows, and Java's
    /// `UtilAll.getDiskPartitionSpaceUsedPercent`.
    pub fn used_ratio(&self) -> f64 {
        let used = self.total.saturating_sub(self.free);
        let all = used + self.available;
        if all == 0 { 0.0 } else { used as f64 / all as f64 }
    }
}

/// A lock that is held until it is dropped.
pub trait Lock: Send + Sync {}

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Opens the file of exactly `size` bytes, creating it zero-filled, and its directories. Fails
    /// with [`io::ErrorKind::StorageFull`] when there is no room, and with
    /// [`io::ErrorKind::InvalidData`] when the file has another size.
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>>;
    /// Opens the file if it is there and has exactly `size` bytes.
    fn open_existing(
        &self,
        path: &Path,
        size: u64,
        space: Allocation,
    ) -> io::Result<Option<Arc<dyn File>>> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let listed = self.list(dir)?;
        let fits = |file: &Listed| *file.name == *name && !file.is_dir && file.len == size;
        if listed.iter().any(fits) { self.open(path, size, space).map(Some) } else { Ok(None) }
    }
    /// What is in `dir`, sorted by name; nothing when there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>>;
    /// Gives a file or directory another name, durably, in its directory or another one, which is
    /// made where there is none; nothing has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let text = format!("{} cannot be renamed to {}", from.display(), to.display());
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
    /// Removes a file, if it is there: somebody may have made room by hand.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Replaces a small file as a whole, atomically and durably, creating its directories. The
    /// former content is kept as `backup` when that is given.
    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()>;
    /// Makes a file that is too short `len` bytes long; what is new reads as zeros. Durable.
    fn extend(&self, path: &Path, from: u64, len: u64) -> io::Result<()> {
        let mut content = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        let kept = &mut content[..usize::try_from(from).map_err(io::Error::other)?];
        self.open(path, from, Allocation::Reserved)?.read_at(0, kept)?;
        self.replace(path, &content, None)
    }
    /// How much room a file still needs for its first `len` bytes, where it has holes.
    fn holes(&self, _path: &Path, _len: u64) -> io::Result<u64> {
        Ok(0)
    }
    /// Gives a file room for its first `len` bytes where it has holes, as far as the system can:
    /// else a full disk would be met by a write into it. What fails may have taken all that is
    /// left.
    fn reserve(&self, _path: &Path, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// A small file's content.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Copies what a file that is there holds from `offset` on, and says how many bytes that is:
    /// fewer than asked for only where the file ends. For whoever looks at files that others work
    /// on: opens nothing for writing, and leaves nothing in the page cache that was not there.
    fn peek(&self, path: &Path, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let content = self.read(path)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = content.get(from..).unwrap_or_default();
        let len = there.len().min(out.len());
        out[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }
    /// Makes everything durable that was written to the file system that holds `dir`. Once that
    /// failed, it fails for whoever asks for it.
    fn sync_all(&self, dir: &Path) -> io::Result<()>;
    /// A number of the file system that holds a directory. Of what cannot be written to it from
    /// here on [`Self::sync_all`] knows.
    fn file_system(&self, _dir: &Path) -> io::Result<u64> {
        Ok(0)
    }
    /// The space of the file system that holds `path`, which need not exist yet.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes an exclusive lock on a file, creating it with `content`; fails at once with
    /// [`io::ErrorKind::WouldBlock`] when somebody holds it.
    fn lock(&self, path: &Path, content: &[u8]) -> io::Result<Box<dyn Lock>>;
    /// The same of a directory, which is made; `None` where no other process can come.
    fn lock_dir(&self, _dir: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        Ok(None)
    }
}

/// An open file of fixed size. Every range must lie inside it.
pub trait File: Send + Sync {
    /// The size, bytes.
    fn len(&self) -> u64;
    /// Whether it has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Writes all of `data` at `offset`.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Copies bytes that may still change.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// As [`Self::read_at`], as long as nobody has to wait for the medium: says whether all was in
    /// memory, and nothing of `out` counts otherwise.
    fn read_cached(&self, offset: u64, out: &mut [u8]) -> io::Result<bool> {
        self.read_at(offset, out).map(|()| true)
    }
    /// Lends bytes that will never be written again; they stay readable when the file is removed.
    fn slice(&self, range: Range<u64>) -> io::Result<Bytes>;
    /// Looks whether somebody made the file shorter: what is lent from then on is copied.
    fn look_at_len(&self) {}
    /// Whether every byte of the range is zero; fast where nothing was ever written.
    fn is_zero(&self, range: Range<u64>) -> io::Result<bool>;
    /// Makes a range read as zeros.
    fn zero(&self, range: Range<u64>) -> io::Result<()>;
    /// Makes what was written to the range durable; more may become durable with it. Once that
    /// failed, it fails for whoever asks for it.
    fn sync(&self, range: Range<u64>) -> io::Result<()>;
}

/// Makes everything durable that was written to the file systems of these directories, each once:
/// one may be a link to another disk. Where there is no directory, nothing was written.
pub(crate) fn sync_file_systems<'a>(
    disk: &dyn Disk,
    dirs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Error> {
    let mut synced = BTreeSet::new();
    for dir in dirs {
        let number = match disk.file_system(dir) {
            Err(error) if error.kind() == NotFound => continue,
            number => number.map_err(Error::io("open", dir))?,
        };
        if synced.contains(&number) {
            continue;
        }
        match disk.sync_all(dir) {
            // It was removed meanwhile; another one may be on the same disk.
            Err(error) if error.kind() == NotFound => {}
            done => {
                done.map_err(Error::io("sync", dir))?;
                synced.insert(number);
            }
        }
    }
    Ok(())
}

/// Lets what cannot be written from here on to the file systems of these directories be known to a
/// later [`Disk::sync_all`]: one may be a link to another disk. There may be none.
pub(crate) fn hold_file_systems<'a>(
    disk: &dyn Disk,
    dirs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Error> {
    dirs.into_iter().try_for_each(|dir| match disk.file_system(dir) {
        Err(error) if error.kind() == NotFound => Ok(()),
        number => number.map(drop).map_err(Error::io("open", dir)),
    })
}

/// Removes a directory. One that is not there is gone already; what was moved aside in one stays.
pub(crate) fn remove_dir(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    match disk.remove_dir(dir) {
        Err(error) if ![NotFound, DirectoryNotEmpty].contains(&error.kind()) => {
            Err(Error::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// As [`Disk::peek`]; a file that is gone holds nothing.
pub(crate) fn peek(disk: &dyn Disk, path: &Path, at: u64, out: &mut [u8]) -> Result<usize, Error> {
    match disk.peek(path, at, out) {
        Err(error) if error.kind() == NotFound => Ok(0),
        read => read.map_err(Error::io("read", path)),
    }
}
