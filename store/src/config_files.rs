//! The small text files under `config/`: replaced as a whole, with the former one kept as `.bak`.
//! What they hold is known to their owners.

use crate::disk::Disk;
use crate::{ConfigJournal, Error};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a configuration was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigOrigin {
    /// The file itself.
    File,
    /// Its `.bak`, which is one change older.
    Backup,
    /// Neither could be understood, though one was there.
    Damaged,
    /// There is neither.
    Missing,
}

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
        self.load_from(name, parse).0
    }

    /// [`Self::load`], and which of the two was read.
    pub fn load_from<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> (Option<T>, ConfigOrigin) {
        let path = self.dir.join(name);
        let mut failed = ConfigOrigin::Missing;
        let both = [(path, ConfigOrigin::File), (self.backup(name), ConfigOrigin::Backup)];
        for (path, origin) in both {
            let bytes = match self.disk.read(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "cannot be read");
                    failed = ConfigOrigin::Damaged;
                    continue;
                }
                Ok(bytes) => bytes,
            };
            let parsed = std::str::from_utf8(&bytes).ok().and_then(&parse);
            if parsed.is_none() {
                tracing::error!("{} cannot be understood and is passed over", path.display());
                failed = ConfigOrigin::Damaged;
                continue;
            }
            if origin == ConfigOrigin::Backup {
                let name = self.dir.join(name);
                tracing::error!(
                    "{} is used, as {} is missing or cannot be understood: the last change of it \
                     may be missing",
                    path.display(),
                    name.display()
                );
            }
            return (parsed, origin);
        }
        (None, failed)
    }

    /// The text of `name` itself, when it can be read.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        String::from_utf8(self.disk.read(&self.dir.join(name)).ok()?).ok()
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
