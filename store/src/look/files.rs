//! The files of a directory, told apart by their names.

use crate::batch_topics;
use crate::queues::may_be_topic;
use crate::{Disk, Error};
use std::path::{Path, PathBuf};

/// Files named by the offset of their first byte.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) dir: PathBuf,
    pub(crate) files: Vec<RunFile>,
    /// Names that no broker made.
    pub(crate) strangers: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunFile {
    pub(crate) start: i64,
    pub(crate) len: u64,
    /// Last modified, ms since the epoch.
    pub(crate) modified: i64,
}

impl Run {
    pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<Self, Error> {
        let listed = disk.list(dir).map_err(Error::io("list", dir))?;
        let (mut files, mut strangers) = (Vec::new(), Vec::new());
        for file in listed {
            match file.name.parse() {
                Ok(start) if is_segment(&file.name) && file.is_file() => {
                    files.push(RunFile { start, len: file.len, modified: file.modified });
                }
                _ => strangers.push(file.name),
            }
        }
        Ok(Self { dir: dir.into(), files, strangers })
    }

    pub(crate) fn path(&self, start: i64) -> PathBuf {
        self.dir.join(format!("{start:020}"))
    }

    /// The offset behind the last file; `None` when there is none.
    pub(crate) fn end(&self) -> Option<i64> {
        self.files.last().map(|last| last.start.saturating_add_unsigned(last.len))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }
}

/// Whether a name is one of a file that is named by an offset.
pub(super) fn is_segment(name: &str) -> bool {
    name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// All queues of a store: topic, queue id, directory; in order of topics and ids.
pub(super) fn queues(disk: &dyn Disk, root: &Path) -> Result<Vec<(String, i32, PathBuf)>, Error> {
    let list = |dir: &Path| disk.list(dir).map_err(Error::io("list", dir));
    let mut all = Vec::new();
    for dir in [batch_topics::SINGLE_DIR, batch_topics::DIR].map(|name| root.join(name)) {
        for topic in list(&dir)?.into_iter().filter(may_be_topic) {
            let topic_dir = dir.join(&topic.name);
            for queue in list(&topic_dir)?.iter().filter(|listed| listed.is_dir) {
                let Ok(id) = queue.name.parse() else { continue };
                all.push((topic.name.clone(), id, topic_dir.join(&queue.name)));
            }
        }
    }
    all.sort();
    Ok(all)
}

/// The index files' names with their lengths, oldest first.
pub(super) fn index(disk: &dyn Disk, root: &Path) -> Result<Vec<(String, u64)>, Error> {
    let dir = root.join("index");
    let listed = disk.list(&dir).map_err(Error::io("list", &dir))?;
    let is_index = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let files = listed.into_iter().filter(|file| file.is_file() && is_index(&file.name));
    Ok(files.map(|file| (file.name, file.len)).collect())
}
