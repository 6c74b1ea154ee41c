//! What can go wrong in the store, for operators. What a client is answered is decided elsewhere.

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
    /// There is no room for a file that has to be made, or for what is written to a sparse one.
    Full {
        /// The file.
        path: PathBuf,
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
                Self::Full { path }
            }
            _ => Self::Io { op, path, source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(f, "{op} {}: {source}", path.display()),
            Self::Full { path } => {
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
                 another storePathRootDir",
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
