//! The small text files under `config/`: replaced as a whole, with the former one kept as `.bak`.
//! What they hold is known to their owners.

use crate::commit_log::is_lasting;
use crate::config_sums::{ConfigSums, Rot};
use crate::disk::Disk;
use crate::in_the_way::move_aside;
use crate::{ConfigJournal, Error, Lack};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What becomes of a file that nobody understood.
const REPLACED: &str = "a new file stands there now, without what only this one has: a person may \
                        be able to mend it";

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
    /// Files that could not be understood, and are still there.
    damaged: Mutex<BTreeSet<PathBuf>>,
    /// What was saved; read when it is asked for first.
    sums: Mutex<Option<ConfigSums>>,
}

impl ConfigFiles {
    /// Those of the store at `root`, which need not be open.
    pub fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        let dir = root.join("config");
        Self { disk, dir, damaged: Mutex::default(), sums: Mutex::default() }
    }

    /// Looks whether the files of these names, as far as they are there, can be read. What the
    /// system does not give is no damage: as long as it is there, nothing may be put in its place.
    /// What is no file is moved aside when the store is opened.
    ///
    /// # Errors
    /// Which one cannot be read, and the way out.
    pub fn check_readable(&self, names: &[&str]) -> Result<(), String> {
        for name in names {
            let read = |path: PathBuf| {
                let error = self.disk.peek(&path, 0, &mut [0]).err()?;
                Some((path, error)).filter(|(_, error)| !is_lasting(error))
            };
            let mut failed = read(self.dir.join(name));
            if failed.as_ref().is_some_and(|(_, error)| is_nothing(error)) {
                failed = read(self.backup(name));
            }
            let failed = failed.filter(|(_, error)| !is_nothing(error));
            let changes = || read(self.changes(name)).filter(|(_, error)| !is_nothing(error));
            if let Some((path, error)) = failed.or_else(changes) {
                return Err(format!(
                    "{}: cannot be read ({error}), so there is no start: what it says would be \
                     lost. Let the user that the broker runs as read and write it (chown), or \
                     allow more open files (ulimit -n), and start again",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    /// Reads `name` with `parse`; when it is missing, empty, damaged where it lies, or `parse`
    /// refuses it, its `.bak`. With neither, `None`, as on the first start (Java
    /// `ConfigManager.load`). One wrong bit is mended, in the file too.
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
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "cannot be read");
                    failed = ConfigOrigin::Damaged;
                    continue;
                }
                Ok(bytes) => bytes,
            };
            let whole = self.mended(name, &path, &bytes);
            let text = whole.as_deref().and_then(|whole| std::str::from_utf8(whole).ok());
            let parsed = text.and_then(&parse);
            if parsed.is_none() {
                if whole.is_some() {
                    tracing::error!("{} cannot be understood and is passed over", path.display());
                }
                failed = ConfigOrigin::Damaged;
                if bytes.iter().any(|byte| *byte != 0) {
                    self.damaged.lock().insert(path);
                }
                continue;
            }
            if origin == ConfigOrigin::Backup {
                let name = self.dir.join(name);
                tracing::error!(
                    "{} is used, as {} is missing, damaged or cannot be understood: the last \
                     change of it may be missing",
                    path.display(),
                    name.display()
                );
            }
            return (parsed, origin);
        }
        if failed == ConfigOrigin::Missing && self.with_sums(|sums| sums.knows(name)) {
            tracing::error!(
                "{} was saved here and is missing now, and so is its .bak: what it said is lost, \
                 as far as it cannot be told from the commit log",
                self.dir.join(name).display()
            );
        }
        (None, failed)
    }

    /// What is still there of `name` and its `.bak` that could not be understood, one behind the
    /// other, for whoever makes something of pieces.
    pub fn pieces(&self, name: &str) -> String {
        let files = [self.dir.join(name), self.backup(name)];
        let bytes = files.map(|path| self.disk.read(&path).unwrap_or_default());
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n")
    }

    /// The text of `name` itself, when it can be read and is what was saved, or one bit from it:
    /// whoever loads the file says so.
    pub fn text(&self, name: &str) -> Option<String> {
        let path = self.dir.join(name);
        let bytes = self.disk.read(&path).ok()?;
        match self.rot(name, &path, &bytes) {
            None => String::from_utf8(bytes).ok(),
            Some(rot) => rot.mended.map(|(text, _)| text),
        }
    }

    fn rot(&self, name: &str, path: &Path, bytes: &[u8]) -> Option<Rot> {
        let modified = self.modified(file_name(path))?;
        self.with_sums(|sums| sums.rot(name, modified, bytes))
    }

    /// What `name` held when it was saved, of which a file, itself or its `.bak`, now has `bytes`;
    /// `None` when they are something else. One wrong bit is mended in the file, so that no other
    /// broker reads it.
    fn mended<'a>(&self, name: &str, path: &Path, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let Some(rot) = self.rot(name, path, bytes) else { return Some(bytes.into()) };
        let (path_text, told) = (path.display(), rot.told());
        let Some((whole, _)) = rot.mended else {
            tracing::error!("{path_text} {told}. It is passed over");
            return None;
        };
        match self.disk.replace(path, whole.as_bytes(), None) {
            Ok(()) => self.note(name, path, &whole),
            Err(error) => {
                tracing::warn!(path = %path_text, %error, "what was mended cannot be written");
            }
        }
        tracing::warn!("{path_text} {told}, and is mended: what was saved is used");
        Some(whole.into_bytes().into())
    }

    fn with_sums<T>(&self, work: impl FnOnce(&mut ConfigSums) -> T) -> T {
        let mut sums = self.sums.lock();
        work(sums.get_or_insert_with(|| ConfigSums::read(&*self.disk, &self.dir)))
    }

    /// Notes what a file, `name` or its `.bak`, was given.
    fn note(&self, name: &str, path: &Path, content: &str) {
        let Some(modified) = self.modified(file_name(path)) else { return };
        let place = (&*self.disk, &*self.dir);
        let noted = self.with_sums(|sums| sums.note(place, (name, modified), content));
        if let Err(error) = noted {
            // Damage to this file is not seen; the next save tries again.
            tracing::debug!(%error, "the checksum of a configuration file is not noted");
        }
    }

    /// When `name` was written, ms since the epoch; `None` when it is not there.
    pub fn modified(&self, name: &str) -> Option<i64> {
        let listed = self.disk.list(&self.dir).ok()?;
        listed.iter().find(|file| file.name == name).map(|file| file.modified)
    }

    /// Replaces `name`, atomically and durably. What could not be understood is moved aside first.
    /// On a full disk the `.bak` makes room: what is saved counts for more than what it was. A file
    /// that has none, as it is saved first, is kept under both names.
    pub fn save(&self, name: &str, content: &str) -> Result<(), Error> {
        let (path, backup) = (self.dir.join(name), self.backup(name));
        for file in [&path, &backup] {
            let mut damaged = self.damaged.lock();
            if damaged.contains(file) {
                // A person may have taken it away to have a look at it.
                if !self.disk.read(file).is_err_and(|error| is_nothing(&error)) {
                    move_aside(&*self.disk, file, REPLACED)?;
                }
                damaged.remove(file);
            }
        }
        let replace = || {
            let replaced = self.disk.replace(&path, content.as_bytes(), Some(&backup));
            replaced.map_err(Error::io("replace", &path))
        };
        match replace() {
            // A save that failed may have left the `.bak` alone.
            Err(Error::Full { lack: Lack::Room, .. })
                if self.text(name).is_some() && self.disk.remove(&backup).is_ok() =>
            {
                replace()?;
            }
            replaced => replaced?,
        }
        self.note(name, &path, content);
        if self.modified(file_name(&backup)).is_none()
            && self.disk.replace(&backup, content.as_bytes(), None).is_ok()
        {
            self.note(name, &backup, content);
        }
        Ok(())
    }

    /// [`Self::save`]; where that fails the file is what it was, also where the new one stood there
    /// already and could not be made durable.
    ///
    /// # Errors
    /// It is not saved. Where the former text could not be put back, [`Self::text`] is the new one.
    pub fn save_or_keep(&self, name: &str, content: &str) -> Result<(), Error> {
        let (path, backup) = (self.dir.join(name), self.backup(name));
        let read = |file: &Path| match self.disk.read(file) {
            Err(error) if is_nothing(&error) => Ok(None),
            read => read.map(Some),
        };
        // Of what cannot be read now nothing is concluded.
        let Ok(former) = read(&path) else { return self.save(name, content) };
        let saved = self.save(name, content);
        if saved.is_err()
            && let Ok(now) = read(&path)
            && now != former
        {
            // A name needs no room. Whether it is durable says nobody: the answer is a refusal.
            let _ = match &former {
                None => self.disk.remove(&path),
                Some(_) if read(&backup).is_ok_and(|kept| kept == former) => {
                    self.disk.rename(&backup, &path)
                }
                Some(_) => Ok(()),
            };
        }
        saved
    }

    /// The changes of `name` since it was written as a whole, where that reads `text`.
    pub fn journal(&self, name: &str, text: &str) -> (ConfigJournal, Vec<String>) {
        ConfigJournal::open(self.disk.clone(), self.changes(name), text)
    }

    /// Whether a change that is added to this journal of `name` counts: what failed to replace the
    /// file may have done so all the same, and then the journal is that of a former text.
    pub fn counts(&self, name: &str, journal: &ConfigJournal) -> bool {
        journal.is_of(&self.text(name).unwrap_or_default())
    }

    /// What the journal of `name` holds whatever text it is of, oldest first: that text may be
    /// lost, and without it no checksum of a change can be told.
    pub fn loose_changes(&self, name: &str) -> Vec<String> {
        let bytes = self.disk.read(&self.changes(name)).unwrap_or_default();
        crate::config_journal::loose(&bytes)
    }

    fn changes(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.changes"))
    }

    fn backup(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.bak"))
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Whether there is no file of that name.
fn is_nothing(error: &std::io::Error) -> bool {
    use ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | IsADirectory | NotADirectory)
}
