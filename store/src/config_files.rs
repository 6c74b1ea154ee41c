//! The small text files under `config/`: replaced as a whole, with the former one kept as `.bak`.
//! What they hold is known to their owners.

use crate::disk::Disk;
use crate::{ConfigJournal, Error};
use std::path::PathBuf;
use std::sync::Arc;

/// The directory of configuration files.
pub struct ConfigFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl ConfigFiles {
    /// Those of the store at `root`, which need not be open.
    pub fn new(disk: Arc<dyn Disk>, root: &std::path::Path) -> Self {
        Self { disk, dir: root.join("config") }
    }

    /// Reads `name` with `parse`; when it is missing, empty or `parse` refuses it, its `.bak`. With
    /// neither, `None`, as on the first start (Java `ConfigManager.load`).
    pub fn load<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let path = self.dir.join(name);
        [path.clone(), self.backup(name)].iter().find_map(|candidate| {
            let bytes = match self.disk.read(candidate) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
                Err(error) => {
                    tracing::error!(path = %candidate.display(), %error, "cannot be read");
                    return None;
                }
                Ok(bytes) => bytes,
            };
            let parsed = std::str::from_utf8(&bytes).ok().and_then(&parse);
            match &parsed {
                None => tracing::error!(path = %candidate.display(), "not understood, passed over"),
                Some(_) if *candidate != path => {
                    tracing::warn!(path = %candidate.display(), "the backup is used");
                }
                Some(_) => {}
            }
            parsed
        })
    }

    /// Replaces `name`, atomically and durably.
    pub fn save(&self, name: &str, content: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        let saved = self.disk.replace(&path, content.as_bytes(), Some(&self.backup(name)));
        saved.map_err(Error::io("replace", &path))
    }

    /// The changes of `name` since it was written as a whole, where that reads `text`.
    pub fn journal(&self, name: &str, text: &str) -> (ConfigJournal, Vec<String>) {
        ConfigJournal::open(self.disk.clone(), self.dir.join(format!("{name}.changes")), text)
    }

    fn backup(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.bak"))
    }
}
