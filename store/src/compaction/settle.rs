//! A compaction that ended in the middle. New files are written to `compacting` first; then those
//! whose places they take get names that end in `.delete`, the new ones move up, and the old ones
//! are removed (Java `CompactionLog.replaceFiles`). A stock broker that finds such a name does not
//! start; here it is told from the names how far it was.

use super::shape::{Dirs, start_of};
use crate::Error;
use crate::disk::Disk;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

/// How the name of a file ends that is to be removed.
pub(crate) const DELETE: &str = ".delete";

/// The name of a file that is to be removed.
pub(super) fn doomed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DELETE);
    name.into()
}

/// Ends what was begun, or takes it back where no new file has its place yet. Says whether there
/// was anything.
pub(super) fn settle(disk: &dyn Disk, dirs: &Dirs) -> Result<bool, Error> {
    let old = [doomed_in(disk, &dirs.log)?, doomed_in(disk, &dirs.units)?];
    if old.iter().all(Vec::is_empty) {
        return clear(disk, &dirs.compacting()).map(|()| false);
    }
    let waiting = starts(disk, &dirs.compacting().log)?;
    let there = starts(disk, &dirs.log)?;
    // New files begin where the first one did whose places they take.
    let first = old.iter().flatten().min().copied().unwrap_or(0);
    let has_moved = !waiting.contains(&first) || there.contains(&first) && old[0].contains(&first);
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
    old[1].iter().try_for_each(|start| remove(disk, &doomed(&dirs.units_file(*start))))?;
    old[0].iter().try_for_each(|start| remove(disk, &doomed(&dirs.log_file(*start))))?;
    Ok(true)
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

fn take_back(disk: &dyn Disk, dir: &Path, old: &[i64]) -> Result<(), Error> {
    old.iter().try_for_each(|start| {
        let path = dir.join(super::shape::name(*start));
        rename(disk, &doomed(&path), &path)
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

fn doomed_in(disk: &dyn Disk, dir: &Path) -> Result<Vec<i64>, Error> {
    let listed = disk.list(dir).map_err(Error::io("list", dir))?;
    let files = listed.iter().filter(|file| file.is_file());
    Ok(files.filter_map(|file| start_of(file.name.strip_suffix(DELETE)?)).collect())
}
