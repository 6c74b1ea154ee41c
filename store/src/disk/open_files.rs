//! Open files of the process, no more than a part of what the system allows it: the store may have
//! tens of thousands of queue files, of which few are in use. A file that was closed here is opened
//! again when it is needed.

#![allow(clippy::disallowed_methods, reason = "the door to the disk is made of this")]

use parking_lot::{Mutex, RwLock};
use rustix::fs::{Advice, fadvise};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Weak};

/// The part of the allowed file descriptors that the store may keep open; the others are for
/// sockets.
const PART: u64 = 4;
/// Files that are open for a moment, besides those of the list: settings, directories, locks.
const FEW: usize = 32;
/// So often room is made for one file: others may take it first.
const TRIES: usize = 16;

/// A file that is open while it is used often enough.
pub(super) struct OpenFile {
    path: PathBuf,
    /// How it is read; told to the system each time that it is opened.
    advice: Advice,
    file: RwLock<Option<Arc<fs::File>>>,
    /// Used since the last time that something had to be closed.
    used: AtomicBool,
}

/// All files that are open, the one to be closed first in front. The limit is the process's, and so
/// is this list.
static OPEN: Mutex<VecDeque<Weak<OpenFile>>> = Mutex::new(VecDeque::new());
static LIMIT: LazyLock<usize> = LazyLock::new(|| {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(allowed / PART).unwrap_or(usize::MAX).clamp(64, 1 << 16)
});

/// The file descriptors that the store needs for itself of those that the process is allowed; asked
/// before that limit is raised, this is too few for ever.
pub fn reserved() -> usize {
    *LIMIT + FEW
}

/// Opens a file; where the process may open no more, instead of one that the store does not use.
pub(super) fn instead<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..TRIES {
        match open() {
            Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
                let mut files = OPEN.lock();
                files.retain(|file| file.strong_count() > 0);
                let wanted = files.len().saturating_sub(1);
                if !close_down_to(&mut files, wanted) {
                    return Err(error);
                }
            }
            opened => return opened,
        }
    }
    open()
}

/// Closes files until no more than `wanted` are open: the oldest that were not used since they were
/// last looked at. Says whether one was closed.
fn close_down_to(open: &mut VecDeque<Weak<OpenFile>>, wanted: usize) -> bool {
    let mut closed = false;
    // Twice: all of them may have been used.
    for _ in 0..2 * open.len() {
        if open.len() <= wanted {
            break;
        }
        let Some(oldest) = open.pop_front().and_then(|oldest| oldest.upgrade()) else {
            continue;
        };
        if oldest.used.swap(false, Ordering::Relaxed) {
            open.push_back(Arc::downgrade(&oldest));
        } else {
            *oldest.file.write() = None;
            closed = true;
        }
    }
    closed
}

impl OpenFile {
    /// A file that was just opened.
    pub(super) fn new(path: PathBuf, file: fs::File, advice: Advice) -> Arc<Self> {
        advise(&file, advice);
        let file = RwLock::new(Some(Arc::new(file)));
        let open = Arc::new(Self { path, advice, file, used: AtomicBool::new(true) });
        open.list();
        open
    }

    /// How it is read, when nothing else is said for a while.
    pub(super) fn advice(&self) -> Advice {
        self.advice
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, opened if need be.
    pub(super) fn get(self: &Arc<Self>) -> io::Result<Arc<fs::File>> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(file) = &*self.file.read() {
            return Ok(file.clone());
        }
        // Without the lock, which whoever closes files takes.
        let open = || fs::OpenOptions::new().read(true).write(true).open(&self.path);
        let file = Arc::new(instead(open)?);
        advise(&file, self.advice);
        let mut slot = self.file.write();
        if let Some(file) = &*slot {
            return Ok(file.clone());
        }
        *slot = Some(file.clone());
        drop(slot);
        self.list();
        Ok(file)
    }

    /// Takes the file into the list and closes those that are too many.
    fn list(self: &Arc<Self>) {
        let mut open = OPEN.lock();
        open.push_back(Arc::downgrade(self));
        if open.len() > *LIMIT {
            close_down_to(&mut open, *LIMIT);
        }
    }
}

/// Tells the system how a file is read that was just opened.
fn advise(file: &fs::File, advice: Advice) {
    if advice != Advice::Normal {
        // A hint: where it is refused, the file is read as any other.
        let _ = fadvise(file, 0, None, advice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn more_files_than_the_limit_can_be_used() {
        let dir = std::env::temp_dir().join(format!("rockhopper-open-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let count = *LIMIT + 100;
        let files: Vec<_> = (0..count)
            .map(|number| {
                let path = dir.join(number.to_string());
                OpenFile::new(path.clone(), options.open(&path).unwrap(), Advice::Random)
            })
            .collect();
        let write = |(number, file): (usize, &Arc<OpenFile>)| {
            file.get().unwrap().write_all_at(&number.to_be_bytes(), 0).unwrap();
        };
        files.iter().enumerate().for_each(write);
        let open = files.iter().filter(|file| file.file.read().is_some()).count();
        assert!(open <= *LIMIT, "{open} of {count} are open");
        for (number, file) in files.iter().enumerate().rev() {
            let mut bytes = [0; 8];
            file.get().unwrap().read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(usize::from_be_bytes(bytes), number);
        }
        // The system allows one more when one of these is closed.
        let refused = std::cell::Cell::new(true);
        let opened = instead(|| match refused.replace(false) {
            true => Err(io::Error::from(Errno::MFILE)),
            false => Ok(files.iter().filter(|file| file.file.read().is_some()).count()),
        });
        assert!(opened.unwrap() < open, "{open} were open");
        fs::remove_dir_all(dir).unwrap();
    }
}
