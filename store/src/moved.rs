//! Files of the commit log that were moved aside at a start (`in_the_way`): messages that had
//! expired, or that were lost and are back in part. They take room, and go as the oldest files of
//! the log do.

use crate::disk::{Disk, Listed};
use crate::in_the_way::outside;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct MovedFile {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    /// Last modified, ms since the epoch.
    pub(crate) modified: i64,
}

/// Those of the log in a directory, in order of their names.
pub(crate) fn moved(disk: &dyn Disk, log_dir: &Path) -> Vec<MovedFile> {
    let mut all = Vec::new();
    for dir in outside(log_dir) {
        // Something else may stand there, which is nobody's business here.
        let listed = disk.list(&dir).unwrap_or_default();
        all.extend(listed.iter().filter(|file| was_of_log(file)).map(|file| {
            let (path, len) = (dir.join(&file.name), file.len);
            MovedFile { path, len, modified: file.modified }
        }));
    }
    all.sort_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
    all
}

/// Whether the name begins as that of a file of the log.
fn was_of_log(file: &Listed) -> bool {
    let number = file.name.as_bytes().get(..20);
    file.is_file() && number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
}

/// What was there at the start, or when it was looked for the last time.
pub(crate) struct Moved {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    files: Mutex<Vec<MovedFile>>,
}

impl Moved {
    /// Nothing is looked for yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, log_dir: &Path) -> Self {
        Self { disk, log_dir: log_dir.into(), files: Mutex::default() }
    }

    /// Looks for them.
    pub(crate) fn load(&self) {
        *self.files.lock() = moved(&*self.disk, &self.log_dir);
    }

    /// Looks which are still there; a person may have removed some.
    pub(crate) fn look_again(&self) {
        if !self.files.lock().is_empty() {
            self.load();
        }
    }

    /// What they take.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.lock().iter().map(|file| file.len).sum()
    }

    /// Names them to a person who looks for room.
    pub(crate) fn tell(&self) {
        let files = self.files.lock();
        let Some(dir) = files.first().and_then(|file| file.path.parent()) else { return };
        let bytes: u64 = files.iter().map(|file| file.len).sum();
        tracing::error!(
            dir = %dir.display(), files = files.len(), bytes,
            "log files that were moved aside at a start take room: remove them when nobody misses \
             them"
        );
    }

    /// Removes the first one that `may_go`, by the time when it was last changed, and that can be
    /// removed. Says whether there was one.
    pub(crate) fn remove_one(&self, may_go: impl Fn(i64) -> bool) -> bool {
        let mut files = self.files.lock();
        let mut kept = None;
        let removed = files.iter().position(|file| {
            may_go(file.modified)
                && match self.disk.remove(&file.path) {
                    Ok(()) => true,
                    Err(error) => {
                        kept = Some((&file.path, error));
                        false
                    }
                }
        });
        if let Some((path, error)) = kept {
            tracing::warn!(path = %path.display(), %error, "cannot be removed, and takes room");
        }
        let Some(at) = removed else { return false };
        let path = files.remove(at).path;
        tracing::info!(path = %path.display(), "a log file that was moved aside expired");
        if files.is_empty() {
            for dir in outside(&self.log_dir) {
                // What else is in it stays.
                let _ = self.disk.remove_dir(&dir);
            }
        }
        true
    }
}
