//! A compaction that ended in the middle. New files are written to `compacting` first; then those
//! whose places they take get names that end in `.delete`, the new ones move up, and the old ones
//! are removed (Java `CompactionLog.replaceFiles`), but for those that hold what could not be read:
//! they end in `.damaged.delete` and are moved aside, to `damaged`. A stock broker that finds such
//! a name does not start; here it is told from the names how far it was.

use super::shape::{Dirs, start_of};
use crate::Error;
use crate::disk::Disk;
use std::collections::BTreeMap;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

/// How the name of a file ends that is to be removed.
pub(crate) const DELETE: &str = ".delete";
/// The same of a log file that is to be moved aside.
pub(super) const DAMAGED: &str = ".damaged.delete";

/// The name of a file that gave way.
pub(super) fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Ends what was begun, or takes it back where no new file has its place yet. Says whether there
/// was anything.
pub(super) fn settle(disk: &dyn Disk, dirs: &Dirs) -> Result<bool, Error> {
    let old = [doomed_in(disk, &dirs.log)?, doomed_in(disk, &dirs.units)?];
    if old.iter().all(BTreeMap::is_empty) {
        return clear(disk, &dirs.compacting()).map(|()| false);
    }
    let waiting = starts(disk, &dirs.compacting().log)?;
    let there = starts(disk, &dirs.log)?;
    // New files begin where the first one did whose places they take.
    let first = old.iter().flat_map(BTreeMap::keys).min().copied().unwrap_or(0);
    let has_old = old[0].contains_key(&first);
    let has_moved = !waiting.contains(&first) || there.contains(&first) && has_old;
    tracing::warn!(
        dir = %dirs.log.display(), taken_back = !has_moved,
        "a compaction was under way when the last broker ended"
    );
    if !has_moved {
        take_back(disk, &dirs.log, &old[0])?;
        take_back(disk, &dirs.units, &old[1])?;
        return clear(disk, &dirs.compacting()).map(|()| true);
    }
    for start in waiting {
        rename(disk, &dirs.compacting().log_file(start), &dirs.log_file(start))?;
    }
    // The units of new files are made from these; the last file was none of those.
    let logs = starts(disk, &dirs.log)?;
    let last = logs.iter().max().copied();
    for start in starts(disk, &dirs.units)?.into_iter().filter(|start| Some(*start) != last) {
        remove(disk, &dirs.units_file(start))?;
    }
    clear(disk, &dirs.compacting())?;
    let [logs, units] = &old;
    units.keys().try_for_each(|start| remove(disk, &named(&dirs.units_file(*start), DELETE)))?;
    logs.iter().try_for_each(|(start, suffix)| match *suffix {
        DAMAGED => put_aside(disk, dirs, *start).map(drop),
        _ => remove(disk, &named(&dirs.log_file(*start), DELETE)),
    })?;
    Ok(true)
}

/// Moves a log file aside that holds what could not be read, and says where it is. Others of its
/// name may have been moved before.
pub(super) fn put_aside(disk: &dyn Disk, dirs: &Dirs, start: i64) -> Result<PathBuf, Error> {
    let listed = disk.list(&dirs.aside).map_err(Error::io("list", &dirs.aside))?;
    let name = super::shape::name(start);
    let names = (1..).map(|number| format!("{name}.{number}"));
    let mut free = names.filter(|name| listed.iter().all(|file| file.name != *name));
    let to = dirs.aside.join(free.next().expect("a directory has not that many files"));
    rename(disk, &named(&dirs.log_file(start), DAMAGED), &to)?;
    Ok(to)
}

/// A log file that was moved aside.
pub(crate) struct Damaged {
    pub(crate) topic: String,
    pub(crate) id: i32,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// All of them below `root`, the directory `compaction`.
pub(crate) fn damaged(disk: &dyn Disk, root: &Path) -> Result<Vec<Damaged>, Error> {
    let root = root.join(super::shape::ASIDE);
    let list = |dir: &Path| disk.list(dir).map_err(Error::io("list", dir));
    let mut all = Vec::new();
    for topic in list(&root)?.into_iter().filter(|listed| listed.is_dir) {
        for queue in list(&root.join(&topic.name))?.iter().filter(|listed| listed.is_dir) {
            let Ok(id) = queue.name.parse() else { continue };
            let dir = root.join(&topic.name).join(&queue.name);
            for file in list(&dir)?.iter().filter(|listed| listed.is_file()) {
                let (topic, path) = (topic.name.clone(), dir.join(&file.name));
                all.push(Damaged { topic, id, path, bytes: file.len });
            }
        }
    }
    Ok(all)
}

/// Removes what was moved aside of a topic.
pub(super) fn clear_aside(disk: &dyn Disk, topic: &Path) -> Result<(), Error> {
    for queue in disk.list(topic).map_err(Error::io("list", topic))? {
        let dir = topic.join(&queue.name);
        let files = disk.list(&dir).map_err(Error::io("list", &dir))?;
        files.iter().try_for_each(|file| remove(disk, &dir.join(&file.name)))?;
        let _ = disk.remove_dir(&dir);
    }
    // There may be none, or another broker's files in it.
    let _ = disk.remove_dir(topic);
    Ok(())
}

/// Removes everything in both directories, and these.
pub(super) fn clear(disk: &dyn Disk, dirs: &Dirs) -> Result<(), Error> {
    for dir in [&dirs.log, &dirs.units] {
        let listed = disk.list(dir).map_err(Error::io("list", dir))?;
        for file in listed.iter().filter(|file| !file.is_dir) {
            remove(disk, &dir.join(&file.name))?;
        }
        // Whatever else is in it stays, and nobody minds.
        if let Err(error) = disk.remove_dir(dir)
            && error.kind() != NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "cannot be removed");
        }
    }
    Ok(())
}

fn take_back(disk: &dyn Disk, dir: &Path, old: &Doomed) -> Result<(), Error> {
    old.iter().try_for_each(|(start, suffix)| {
        let path = dir.join(super::shape::name(*start));
        rename(disk, &named(&path, suffix), &path)
    })
}

pub(super) fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Error> {
    disk.rename(from, to).map_err(Error::io("rename", from))
}

pub(super) fn remove(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    match disk.remove(path) {
        Err(error) if error.kind() != NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn starts(disk: &dyn Disk, dir: &Path) -> Result<Vec<i64>, Error> {
    let listed = disk.list(dir).map_err(Error::io("list", dir))?;
    let files = listed.iter().filter(|file| file.is_file());
    Ok(files.filter_map(|file| start_of(&file.name)).collect())
}

/// Files that gave way: where they begin, and how their names end.
type Doomed = BTreeMap<i64, &'static str>;

fn doomed_in(disk: &dyn Disk, dir: &Path) -> Result<Doomed, Error> {
    let listed = disk.list(dir).map_err(Error::io("list", dir))?;
    let files = listed.iter().filter(|file| file.is_file());
    let doomed = |name: &str| {
        let start = |suffix| Some((start_of(name.strip_suffix(suffix)?)?, suffix));
        start(DAMAGED).or_else(|| start(DELETE))
    };
    Ok(files.filter_map(|file| doomed(&file.name)).collect())
}
