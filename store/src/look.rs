//! Looking at a store without opening it: what is there ([`Look::survey`]), whether it holds
//! together ([`Look::check`]), single records ([`Look::dump_log`], [`Look::dump_queue`]), and what
//! another broker would do with it ([`Look::preflight`]). Nothing is written, no lock is taken, and
//! memory is bounded whatever the files hold; a broker, ours or Java's, may work on the directory
//! meanwhile.

mod check;
mod compacted_view;
mod compacted_walk;
mod damage;
mod dump;
mod entry_walk;
mod files;
mod index_walk;
mod log_walk;
mod marks;
mod preflight;
mod queue_walk;
mod stale_keys;
mod survey;
mod window;

pub(crate) use files::{Run, RunFile};
pub(crate) use log_walk::{Cause, Gap, LogWalk, Step};

pub use check::Checked;
pub use compacted_view::CompactedView;
pub use damage::{Damage, Kind, Place};
pub use dump::Dumped;
pub use preflight::{Effect, Preflight, Target, Verdict};
pub use survey::{
    CheckpointView, ConfigView, IndexView, LogView, MovedView, QueueView, RangeView, RunFileView,
    Survey, TimerView, TopicView,
};

use crate::batch_topics;
use crate::compaction::{DIR, LOG_DIR, Shape, UNITS_DIR};
use crate::{Disk, Error, Progress, Settings};
use std::path::{Path, PathBuf};

/// A directory to be looked at.
pub struct Look<'a> {
    /// Where it lies.
    pub disk: &'a dyn Disk,
    /// Root, commit log and the sizes of files; see [`sizes_of`].
    pub settings: &'a Settings,
    /// Says why the text of a configuration file is none, by the file's name.
    pub parse: &'a dyn Fn(&str, &str) -> Result<(), String>,
    /// Configuration files that a broker with messages has.
    pub needed: &'a [&'a str],
    /// Told how far the work has come.
    pub watch: &'a dyn Fn(Progress),
}

impl Look<'_> {
    /// Makes sure that there is something to look at.
    fn refuse_nothing(&self) -> Result<(), Error> {
        let root = &self.settings.root;
        let listed = self.disk.list(root).map_err(Error::io("list", root))?;
        let is_store = |name: &str| {
            ["commitlog", "consumequeue", "index", "config", "checkpoint"].contains(&name)
        };
        let log = self.settings.commit_log_path();
        if listed.iter().any(|file| is_store(&file.name))
            || !self.disk.list(&log).map_err(Error::io("list", &log))?.is_empty()
        {
            return Ok(());
        }
        let why = "there is no store: neither commitlog nor consumequeue nor config nor \
                   checkpoint; name the directory that storePathRootDir names";
        Err(Error::Corrupt { path: root.clone(), why: why.into() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.settings.root.join(name)
    }

    /// Whether a broker works on the directory, or did until it was killed.
    fn is_unclean(&self) -> Result<bool, Error> {
        let root = &self.settings.root;
        let listed = self.disk.list(root).map_err(Error::io("list", root))?;
        Ok(listed.iter().any(|file| file.name == "abort"))
    }
}

/// Takes the sizes of log and queue files from the files themselves, for a directory that nobody
/// gave settings for. Those of index files cannot be told from their length; the default stays.
///
/// # Errors
/// When a directory cannot be listed.
pub fn sizes_of(disk: &dyn Disk, settings: &mut Settings) -> Result<(), Error> {
    if let Some(len) = usual_len(disk, &settings.commit_log_path())? {
        settings.commit_log_file_bytes = len;
    }
    if let Some(len) = queue_len(disk, &settings.root.join(batch_topics::SINGLE_DIR))? {
        settings.consume_queue_file_bytes = len;
    }
    if let Some(len) = queue_len(disk, &settings.root.join(batch_topics::DIR))? {
        settings.batch_queue_file_bytes = len;
    }
    let (logs, units) =
        (settings.root.join(DIR).join(LOG_DIR), settings.root.join(DIR).join(UNITS_DIR));
    if let (Some(log_bytes), Some(unit_bytes)) = (queue_len(disk, &logs)?, queue_len(disk, &units)?)
    {
        let (log, units) = Shape { log_bytes, unit_bytes }.settings();
        settings.compaction_log_file_bytes = log;
        settings.compaction_queue_file_bytes = units;
    }
    Ok(())
}

/// The length that most files of a queue have, of the first one that has any.
fn queue_len(disk: &dyn Disk, queues: &Path) -> Result<Option<u64>, Error> {
    let list = |dir: &Path| disk.list(dir).map_err(Error::io("list", dir));
    for topic in list(queues)?.iter().filter(|listed| listed.is_dir) {
        let topic = queues.join(&topic.name);
        for queue in list(&topic)?.iter().filter(|listed| listed.is_dir) {
            if let Some(len) = usual_len(disk, &topic.join(&queue.name))? {
                return Ok(Some(len));
            }
        }
    }
    Ok(None)
}

/// The length that most files of a run have.
fn usual_len(disk: &dyn Disk, dir: &Path) -> Result<Option<u64>, Error> {
    let run = Run::list(disk, dir)?;
    let lens: Vec<u64> = run.files.iter().map(|file| file.len).filter(|len| *len > 0).collect();
    let times = |len: u64| lens.iter().filter(|other| **other == len).count();
    Ok(lens.iter().copied().max_by_key(|len| (times(*len), *len)))
}
