//! What stands in a store's directory where something else belongs, and what a broker that died
//! left half written. Nothing derived or replaceable refuses a start: what is in the way is moved
//! aside by its name, and never deleted.

use crate::batch_topics;
use crate::disk::{Disk, Listed};
use crate::removed_topics::{self, RemovedTopics};
use crate::{Error, SetAside, rocks, set_aside};
use std::path::{Path, PathBuf};

/// What a name gets that was in the way.
pub(crate) const SUFFIX: &str = ".in-the-way";
/// Of files that are written as a whole, before they get their name.
const HALF: &str = ".tmp";
/// Directories that can be made anew.
const DIRS: [&str; 5] =
    [batch_topics::SINGLE_DIR, batch_topics::DIR, "index", "config", "timerlog"];
/// Files that can be made anew.
const FILES: [&str; 7] = [
    "abort",
    "checkpoint",
    "queueends",
    "timerwheel",
    set_aside::NAME,
    removed_topics::NAME,
    batch_topics::NAME,
];
/// No list of ranges or topics is longer.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// What becomes of what was derived.
const REBUILT: &str = "what is needed is made anew";

/// Makes way for the lock of the store at `root`; nobody can hold what is no file.
pub(crate) fn clear_lock(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    let listed = disk.list(root).map_err(Error::io("list", root))?;
    let is_wrong = listed.iter().any(|file| file.name == "lock" && !file.is_file());
    if is_wrong { move_aside(disk, &root.join("lock"), REBUILT) } else { Ok(()) }
}

/// Makes way for the store at `root`, where nobody else works. Directories of queues and index are
/// cleared by who opens them.
pub(crate) fn clear(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    let list = |dir: &Path| disk.list(dir).map_err(Error::io("list", dir));
    for file in list(root)? {
        let name = file.name.as_str();
        // What is configured may lie where a link led yesterday.
        let may_stay = file.is_dir || file.is_other && name == "config";
        let is_wrong =
            DIRS.contains(&name) && !may_stay || FILES.contains(&name) && !file.is_file();
        let is_list = [set_aside::NAME, removed_topics::NAME].contains(&name);
        let is_long = file.len > LIST_BYTES_MAX;
        if is_wrong || (is_list || name == batch_topics::NAME) && is_long {
            move_aside(disk, &root.join(name), REBUILT)?;
        } else if is_list {
            keep_garbage(disk, &root.join(name));
        } else if name.strip_suffix(HALF).is_some_and(|name| FILES.contains(&name)) {
            remove_half(disk, &root.join(name));
        }
    }
    let config = root.join("config");
    let listed = list(&config)?;
    for file in &listed {
        if let Some(name) = file.name.strip_suffix(HALF).filter(|_| !file.is_dir) {
            let path = config.join(&file.name);
            let is_there = listed.iter().any(|file| file.name == name);
            // Java 4.x removes the former file before the new one gets its name.
            match !is_there && is_config(name) && is_object(&disk.read(&path).unwrap_or_default()) {
                true => finish_half(disk, &path, &config.join(name))?,
                false => remove_half(disk, &path),
            }
        } else if file.is_dir && is_config(&file.name) {
            move_aside(disk, &config.join(&file.name), REBUILT)?;
        }
    }
    for queues in [batch_topics::SINGLE_DIR, batch_topics::DIR].map(|name| root.join(name)) {
        let topics = list(&queues)?;
        // A RocksDB of Java's is another kind of store, which nobody here needs.
        let is_other = rocks::is_one(&topics);
        for file in topics.iter().filter(|file| !file.is_dir && !is_other && is_topic(&file.name)) {
            move_aside(disk, &queues.join(&file.name), REBUILT)?;
        }
    }
    Ok(())
}

fn is_topic(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%|_-".contains(&byte))
}

/// Removes a file of a run that was not finished, as the name of any of them tells.
pub(crate) fn remove_half_segment(disk: &dyn Disk, dir: &Path, file: &Listed) {
    let is_half = |name: &str| name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    if !file.is_dir && file.name.strip_suffix(HALF).is_some_and(is_half) {
        remove_half(disk, &dir.join(&file.name));
    }
}

fn is_config(name: &str) -> bool {
    let name = name.strip_suffix(".bak").or_else(|| name.strip_suffix(".changes")).unwrap_or(name);
    name.ends_with(".json")
}

/// Whether bytes are one JSON object from its beginning to its end, as far as its braces tell.
fn is_object(bytes: &[u8]) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0, false, false);
    let text = bytes.trim_ascii();
    let end = text.iter().position(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' if !is_text => depth += 1,
            b'}' if !is_text => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.is_some_and(|end| end > 0 && end + 1 == text.len())
}

/// Gives a file that is whole the name that it was written for.
fn finish_half(disk: &dyn Disk, path: &Path, wanted: &Path) -> Result<(), Error> {
    disk.rename(path, wanted).map_err(Error::io("rename", path))?;
    tracing::warn!(
        path = %wanted.display(),
        "was written and not given its name by a broker that died: it has it now"
    );
    Ok(())
}

/// What was never given its name is nothing; a Java broker would refuse to start with it beside its
/// files.
fn remove_half(disk: &dyn Disk, path: &Path) {
    let path_text = path.display();
    match disk.remove(path) {
        Ok(()) => tracing::warn!(
            path = %path_text,
            "a file that a crash left half written, under a name for the time until it is whole, \
             was removed; the file that it was to replace is untouched"
        ),
        Err(error) => tracing::warn!(
            path = %path_text,
            %error,
            "a file that a crash left half written cannot be removed: remove it by hand before a \
             Java broker has the store"
        ),
    }
}

/// Where [`move_out`] puts what was in `dir`: beside it, and within it where that is impossible.
pub(crate) fn outside(dir: &Path) -> [PathBuf; 2] {
    [dir.with_file_name(name_of(dir) + SUFFIX), dir.join(&SUFFIX[1..])]
}

/// Moves what is in the way in the directory of a run out of it: a Java broker does not start
/// beside a name there that it does not know. Where there is no room for that it gets another name
/// first. Returns where it is now.
pub(crate) fn move_out(disk: &dyn Disk, path: &Path) -> Result<PathBuf, Error> {
    try_out(disk, path).or_else(|_| {
        let aside = free_name(disk, dir_of(path), name_of(path) + SUFFIX)?;
        disk.rename(path, &aside).map(|()| aside).map_err(Error::io("rename", path))
    })
}

fn try_out(disk: &dyn Disk, path: &Path) -> Result<PathBuf, Error> {
    let to = |outside: &Path| {
        let to = free_name(disk, outside, name_of(path))?;
        disk.rename(path, &to).map(|()| to).map_err(Error::io("rename", path))
    };
    let [beside, within] = outside(dir_of(path));
    // It may be another file system, or a directory that is not ours.
    to(&beside).or_else(|_| {
        let _ = disk.remove_dir(&beside);
        to(&within)
    })
}

/// Moves out what [`move_out`] had no room for.
pub(crate) fn move_rest_out(disk: &dyn Disk, dir: &Path, listed: &[Listed]) {
    let is_rest = |name: &str| name.contains(SUFFIX) && name.as_bytes()[0].is_ascii_digit();
    for file in listed.iter().filter(|file| file.is_file() && is_rest(&file.name)) {
        let path = dir.join(&file.name);
        match try_out(disk, &path) {
            Ok(to) => tracing::warn!(path = %path.display(), to = %to.display(), "was moved aside"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "stays in the way"),
        }
    }
}

/// As [`move_out`], for one thing that has to be told by itself.
pub(crate) fn put_out(disk: &dyn Disk, path: &Path, what_follows: &str) -> Result<(), Error> {
    let to = move_out(disk, path)?;
    tell(path, &to, what_follows);
    Ok(())
}

/// Gives what is in the way another name, and says `what_follows` from that.
pub(crate) fn move_aside(disk: &dyn Disk, path: &Path, what_follows: &str) -> Result<(), Error> {
    let aside = free_name(disk, dir_of(path), name_of(path) + SUFFIX)?;
    disk.rename(path, &aside).map_err(Error::io("rename", path))?;
    tell(path, &aside, what_follows);
    Ok(())
}

fn dir_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn tell(path: &Path, to: &Path, what_follows: &str) {
    tracing::error!(
        path = %path.display(),
        to = %to.display(),
        "is not what has to stand there, and was moved aside: {what_follows}. Remove it when \
         nobody misses it"
    );
}

fn free_name(disk: &dyn Disk, dir: &Path, name: String) -> Result<PathBuf, Error> {
    let listed = disk.list(dir).map_err(Error::io("list", dir))?;
    let is_free = |name: &str| listed.iter().all(|file| file.name != name);
    let mut free = name.clone();
    for number in 2_u64.. {
        if is_free(&free) {
            break;
        }
        free = format!("{name}-{number}");
    }
    Ok(dir.join(free))
}

/// Keeps a copy of a list with lines that are none: they are left out, and gone when it is written
/// the next time.
fn keep_garbage(disk: &dyn Disk, path: &Path) {
    let Ok(bytes) = disk.read(path) else { return };
    let junk = match path.file_name().is_some_and(|name| name == set_aside::NAME) {
        true => SetAside::junk(&bytes),
        false => RemovedTopics::junk(&bytes),
    };
    if junk == 0 {
        return;
    }
    let copy = path.with_file_name(name_of(path) + SUFFIX);
    if disk.read(&copy).is_ok_and(|known| known == bytes) {
        return;
    }
    let kept = disk.replace(&copy, &bytes, None);
    tracing::error!(
        path = %path.display(),
        copy = %copy.display(),
        kept = kept.is_ok(),
        lines = junk,
        "a list of the store has lines that are damaged: they are left out, and the copy has them"
    );
}
