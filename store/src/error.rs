//! What can go wrong in the store, for operators. What a client is answered is decided elsewhere.

use crate::batch_topics;
use crate::commit_log::is_lasting;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// An operating error of the store.
#[derive(Debug)]
pub enum Error {
    /// The disk refused an operation.
    Io {
        /// What was tried: `open`, `write`, ...
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The system gives no more of what a file needs that has to be made, opened or written to
    /// where it is sparse. Nothing was written, and it may succeed the next time.
    Full {
        /// The file.
        path: PathBuf,
        /// What it gives no more of.
        lack: Lack,
    },
    /// A file does not hold what it must; `why` says what to do.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong and the way out.
        why: String,
    },
    /// Another process works on the directory.
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A write or sync failed before; nothing is stored any more until a restart.
    Fenced {
        /// The first failure.
        why: String,
    },
    /// The store was closed.
    Closed,
    /// A setting cannot be used.
    Setting {
        /// Its name as Java spells it.
        name: &'static str,
        /// What is wrong and the way out.
        why: String,
    },
}

/// What the system gives no more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Bytes on the disk.
    Room,
    /// Open files, or memory for them.
    Files,
}

impl Error {
    /// Turns an I/O error of `op` on `path` into the store's. A sync that found no room is no
    /// [`Self::Full`]: what it left unwritten may be gone from the page cache.
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
                if op != "sync" =>
            {
                Self::Full { path, lack: Lack::Room }
            }
            _ if op != "sync" && lacks_files(op, &source) => Self::Full { path, lack: Lack::Files },
            _ => Self::Io { op, path, source },
        }
    }
}

/// Whether a file is one of a queue, which has nothing that the log has not.
fn is_of_a_queue(path: &Path) -> bool {
    let dirs = [batch_topics::SINGLE_DIR, batch_topics::DIR];
    path.components().any(|part| dirs.iter().any(|dir| part.as_os_str() == *dir))
}

/// Whether a file could not be opened because too many are; then nothing was written to it.
fn lacks_files(op: &str, error: &io::Error) -> bool {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => true,
        Some(Errno::NOMEM) => matches!(op, "open" | "list"),
        _ => false,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => {
                write!(f, "{op} {}: {source}", path.display())?;
                f.write_str(match source.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "; let the user that the broker runs as read and write it and its \
                         directory (chown -R, chmod)"
                    }
                    io::ErrorKind::ReadOnlyFilesystem => {
                        "; its file system is mounted read-only: see why (dmesg), and mount it \
                         for writing"
                    }
                    _ if *op == "read" && is_lasting(source) && is_of_a_queue(path) => {
                        "; the disk does not give it: see why (dmesg, SMART), move the queue's \
                         directory away and start again, which makes it anew from the log"
                    }
                    _ => "",
                })
            }
            Self::Full { path, lack: Lack::Files } => {
                write!(
                    f,
                    "the system allows no more open files, or has no memory for them: {} cannot be \
                     opened; raise the limit (ulimit -n, LimitNOFILE) or close connections",
                    path.display()
                )
            }
            Self::Full { path, lack: Lack::Room } => {
                write!(
                    f,
                    "no space left on the disk, or a quota or file size limit reached, for {}: \
                     free some or add some",
                    path.display()
                )
            }
            Self::Corrupt { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Locked { path } => write!(
                f,
                "{} is locked: another broker runs on this directory; stop it, or choose \
                 another storePathRootDir, and another storePathCommitLog where that is set",
                path.display()
            ),
            Self::Fenced { why } => {
                write!(f, "the store takes no more writes after a failure ({why}); restart it")
            }
            Self::Closed => write!(f, "the store is closed"),
            Self::Setting { name, why } => write!(f, "{name}: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_can_mend_is_told_with_the_way_out() {
        let said = |errno: Errno| Error::io("lock", Path::new("/s/lock"))(errno.into()).to_string();
        assert!(said(Errno::ACCESS).starts_with("lock /s/lock: Permission denied"));
        assert!(said(Errno::ACCESS).contains("chown -R"));
        assert!(said(Errno::ROFS).contains("mount"));
        assert!(said(Errno::IO).ends_with("(os error 5)"));
        let queue = Path::new("/s/consumequeue/T/0/00000000000000000000");
        let said = |errno: Errno| Error::io("read", queue)(errno.into()).to_string();
        assert!(said(Errno::IO).contains("move the queue's directory away"));
        assert!(!said(Errno::INTR).contains("move"));
    }

    #[test]
    fn too_many_open_files_are_no_failure_of_the_disk() {
        let of = |op, errno: Errno| Error::io(op, Path::new("f"))(errno.into());
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            for op in ["open", "list"] {
                assert!(matches!(of(op, errno), Error::Full { lack: Lack::Files, .. }), "{errno}");
            }
        }
        // A file is opened again for a write.
        assert!(matches!(of("write", Errno::MFILE), Error::Full { lack: Lack::Files, .. }));
        assert!(matches!(of("write", Errno::NOSPC), Error::Full { lack: Lack::Room, .. }));
        for (op, errno) in [("write", Errno::NOMEM), ("sync", Errno::MFILE), ("open", Errno::IO)] {
            assert!(matches!(of(op, errno), Error::Io { .. }), "{op} {errno}");
        }
    }
}
