//! `Saved`: a table's file under `config` and the journal beside it. Java reads the file, so it is
//! written as a whole whenever that is cheap: not more often than its size allows; what changes
//! meanwhile is appended to the journal. Not here: the tables, and when there is something to save.

use crate::files;
use message::{Lookup, Str};
use parking_lot::Mutex;
use remoting::body::data_version::DataVersion;
use remoting::json::{BodyError, from_body};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{ConfigFiles, ConfigJournal, Error};

/// A file may be written as a whole so often that it makes this many bytes a second: one of 30 KB
/// every 30 ms, one of 3 MB every 3 s.
const BYTES_PER_SECOND: i64 = 1 << 20;
/// How long a change that could not be saved waits, ms.
const RETRY_MS: i64 = 1_000;

/// Names whose configuration changed since somebody took note.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Changed {
    /// None.
    #[default]
    Nothing,
    /// These were made, changed or deleted.
    Names(BTreeSet<Str>),
    /// Something that names do not tell.
    All,
}

impl Changed {
    /// Notes a change of one name.
    pub fn note(&mut self, name: &Str) {
        match self {
            Self::Nothing => *self = Self::Names([name.clone()].into()),
            Self::Names(names) => {
                names.insert(name.clone());
            }
            Self::All => {}
        }
    }

    /// What changed until now; from here on nothing.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// A change of a table as it stands in the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part<T> {
    /// The table's version after it.
    pub data_version: DataVersion,
    /// What was made or changed.
    pub changed: Vec<T>,
    /// The names of what was deleted.
    pub deleted: Vec<Str>,
}

impl<T: Clone + Serialize + DeserializeOwned> Part<T> {
    /// What changed in a table, as text; `None` when only the whole table can tell it.
    pub fn told(
        changed: Changed,
        table: &Lookup<Str, Arc<T>>,
        data_version: DataVersion,
    ) -> Option<String> {
        let Changed::Names(names) = changed else { return None };
        let (there, deleted): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| table.contains_key(name));
        let changed = there.iter().map(|name| (*table[name]).clone()).collect();
        let part = Self { data_version, changed, deleted };
        Some(files::compact(&part))
    }

    /// Makes the change in a table, and gives the table's version after it.
    pub fn replay(
        self,
        table: &mut Lookup<Str, Arc<T>>,
        name_of: impl Fn(&T) -> &Str,
    ) -> DataVersion {
        for name in self.deleted {
            table.remove(&name);
        }
        for one in self.changed {
            table.insert(name_of(&one).clone(), Arc::new(one));
        }
        self.data_version
    }

    /// # Errors
    /// The text is no such change.
    pub fn from_text(text: &str) -> Result<Self, BodyError> {
        from_body(text.as_bytes())
    }
}

/// A table's file and its journal.
pub struct Saved {
    name: &'static str,
    journal: ConfigJournal,
    /// The file lacks changes, which the journal holds or nothing does.
    is_stale: bool,
    /// From when on the file may be written as a whole again, ms since the epoch.
    whole_from_ms: i64,
}

impl Saved {
    /// A file that was read, with the journal of its text.
    pub fn new(name: &'static str, journal: ConfigJournal) -> Self {
        Self { name, journal, is_stale: false, whole_from_ms: 0 }
    }

    /// Saves a change durably: `part` into the journal while the file must not be written yet, else
    /// `whole` into the file.
    ///
    /// # Errors
    /// Neither could be written: the file as a whole is due a little later.
    pub fn save(
        &mut self,
        files: &ConfigFiles,
        part: Option<String>,
        whole: impl FnOnce() -> String,
        now_ms: i64,
    ) -> Result<(), Error> {
        let saved = self.try_to_save(files, part, whole, now_ms);
        if saved.is_err() {
            self.is_stale = true;
            self.whole_from_ms = now_ms.saturating_add(RETRY_MS);
        }
        saved
    }

    fn try_to_save(
        &mut self,
        files: &ConfigFiles,
        part: Option<String>,
        whole: impl FnOnce() -> String,
        now_ms: i64,
    ) -> Result<(), Error> {
        let part = part.filter(|_| now_ms < self.whole_from_ms);
        if let Some(part) = part
            && self.journal.append(&part)?
        {
            self.is_stale = true;
            return Ok(());
        }
        let whole = whole();
        files.save(self.name, &whole)?;
        self.journal.restart(&whole);
        let bytes = i64::try_from(whole.len()).unwrap_or(i64::MAX);
        self.is_stale = false;
        // The last time may be the end of all time: at a stop everything is due.
        let wait_ms = bytes.saturating_mul(1_000) / BYTES_PER_SECOND;
        self.whole_from_ms = now_ms.saturating_add(wait_ms);
        Ok(())
    }

    /// When the file lacks what the journal has: from when on it may be written, ms since the
    /// epoch.
    pub fn due_ms(&self) -> Option<i64> {
        self.is_stale.then_some(self.whole_from_ms)
    }

    /// The file's name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// Files that could not be saved, and why. It is tried again several times a second: each is told
/// once, and when it is saved again.
#[derive(Debug, Default)]
pub struct Failures(Mutex<BTreeMap<String, String>>);

impl Failures {
    /// Tells what became of a file, where that is news; says whether it was.
    pub fn tell(&self, name: &str, saved: &Result<(), Error>) -> bool {
        let mut known = self.0.lock();
        let Err(error) = saved else {
            let is_news = known.remove(name).is_some();
            if is_news {
                tracing::warn!(file = name, "the configuration file is saved again");
            }
            return is_news;
        };
        let why = error.to_string();
        let is_news = known.get(name) != Some(&why);
        if is_news {
            tracing::error!(
                file = name, %error,
                "a configuration file was not saved: what changed stands in memory alone until it \
                 is. It is tried again, which is told when it succeeds"
            );
            known.insert(name.to_owned(), why);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::{self, Cold};
    use crate::topics::simple;
    use store::Lack;

    #[test]
    fn names_gather_until_they_are_taken() {
        let mut changed = Changed::default();
        assert_eq!(changed.take(), Changed::Nothing);
        changed.note(&"a".into());
        changed.note(&"b".into());
        changed.note(&"a".into());
        assert_eq!(changed.take(), Changed::Names(["a".into(), "b".into()].into()));
        changed = Changed::All;
        changed.note(&"a".into());
        assert_eq!(changed.take(), Changed::All);
    }

    #[test]
    fn a_file_that_cannot_be_saved_is_told_once() {
        let failures = Failures::default();
        let full = || Err(Error::Full { path: "f".into(), lack: Lack::Room });
        assert!(!failures.tell("a", &Ok(())));
        assert!(failures.tell("a", &full()) && failures.tell("b", &full()));
        assert!(!failures.tell("a", &full()) && !failures.tell("b", &full()));
        let other = Error::Full { path: "f".into(), lack: Lack::Files };
        assert!(failures.tell("a", &Err(other)), "that is another reason");
        assert!(failures.tell("a", &Ok(())) && !failures.tell("a", &Ok(())));
        assert!(failures.tell("a", &full()) && !failures.tell("b", &full()));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a file is damaged on purpose")]
    fn a_journal_without_its_file_counts_where_it_is_newer_than_the_bak() {
        const NOW: i64 = 1_700_000_000_000;
        let dir = std::env::temp_dir().join(format!("rockhopper-saved-{}", std::process::id()));
        let (broker, _) = cold::open(Cold::default(), &dir, NOW);
        let make = |name: &str, now_ms| {
            broker.topics.update(simple(name, 4), now_ms).unwrap();
            let (part, whole) = (broker.topics.take_unsaved(), || broker.topics.to_json());
            broker.saved_topics.lock().save(broker.store.config(), part, whole, now_ms).unwrap();
        };
        make("in-the-bak", NOW + 10_000);
        make("in-the-file", NOW + 20_000);
        make("in-the-journal", NOW + 20_001);
        drop(broker);
        let file = dir.join("config/topics.json");
        assert!(!std::fs::read_to_string(&file).unwrap().contains("in-the-journal"));
        std::fs::write(&file, "{").unwrap();
        let (broker, _) = cold::open(Cold::default(), &dir, NOW + 30_000);
        let names = ["in-the-bak", "in-the-file", "in-the-journal"];
        assert_eq!(names.map(|name| broker.topics.contains(name)), [true, false, true]);
        drop(broker);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
