//! Names that outlive power loss: a file that is replaced as a whole, one with another name, a new
//! directory. What counts is the order of the calls, which a test writes down.

#![allow(clippy::disallowed_methods, reason = "the door to the disk is made of this")]

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The calls of the system on which power loss leaves one thing or the other.
pub(super) trait Calls {
    /// Makes a file, or the names in a directory, durable.
    fn sync(&self, file: &fs::File, _path: &Path) -> io::Result<()> {
        file.sync_all()
    }
    /// Gives a file another name, whatever has that.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

/// The system's own.
pub(super) struct System;

impl Calls for System {}

/// [`super::Disk::replace`].
pub(super) fn replace(
    calls: &impl Calls,
    path: &Path,
    content: &[u8],
    backup: Option<&Path>,
) -> io::Result<()> {
    let dir = parent(path);
    make_dirs(calls, dir)?;
    let temporary = with_suffix(path, ".tmp");
    let mut file = fs::File::create(&temporary)?;
    if let Ok(former) = fs::metadata(path) {
        // Passwords may stand in it.
        file.set_permissions(former.permissions())?;
    }
    let written = file.write_all(content).and_then(|()| calls.sync(&file, &temporary));
    if let Err(error) = written {
        // On a full disk others need what it took.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    if let Some(backup) = backup {
        keep(calls, path, backup)?;
    }
    calls.rename(&temporary, path)?;
    sync_dir(calls, dir)
}

/// [`super::Disk::rename`].
pub(super) fn rename(calls: &impl Calls, from: &Path, to: &Path) -> io::Result<()> {
    make_dirs(calls, parent(to))?;
    calls.rename(from, to)?;
    sync_dir(calls, parent(to))
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(calls: &impl Calls, dir: &Path) -> io::Result<()> {
    calls.sync(&fs::File::open(dir)?, dir)
}

/// Makes a directory and those above it that are missing, each durably.
pub(super) fn make_dirs(calls: &impl Calls, dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = parent(dir);
    make_dirs(calls, above)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made?,
    }
    sync_dir(calls, above)
}

/// Keeps a file's content under a second name; there is no time at which either name is missing,
/// except on file systems without links.
fn keep(calls: &impl Calls, path: &Path, backup: &Path) -> io::Result<()> {
    let beside = with_suffix(backup, ".tmp");
    let absent = |error: &io::Error| error.kind() == ErrorKind::NotFound;
    match fs::remove_file(&beside) {
        Err(error) if !absent(&error) => return Err(error),
        _ => {}
    }
    match fs::hard_link(path, &beside) {
        Ok(()) => calls.rename(&beside, backup),
        Err(error) if absent(&error) => Ok(()),
        Err(_) => calls.rename(path, backup),
    }
}

/// The directory of a path.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::RefCell;

    /// The system's calls, written down; the one of this number fails.
    pub(in super::super) struct Written {
        root: PathBuf,
        calls: RefCell<Vec<String>>,
        failing: usize,
    }

    impl Written {
        pub(in super::super) fn new(root: &Path, failing: usize) -> Self {
            Self { root: root.into(), calls: RefCell::default(), failing }
        }

        pub(in super::super) fn into_calls(self) -> Vec<String> {
            self.calls.into_inner()
        }

        fn name<'a>(&self, path: &'a Path) -> &'a str {
            path.strip_prefix(&self.root).unwrap().to_str().unwrap()
        }

        fn note(&self, call: String) -> io::Result<()> {
            let mut calls = self.calls.borrow_mut();
            calls.push(call);
            if calls.len() == self.failing { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        }
    }

    impl Calls for Written {
        fn sync(&self, file: &fs::File, path: &Path) -> io::Result<()> {
            let what = if path.is_dir() { "names".into() } else { fs::read_to_string(path)? };
            self.note(format!("sync {}: {what}", self.name(path)))?;
            System.sync(file, path)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.note(format!("rename {} to {}", self.name(from), self.name(to)))?;
            System.rename(from, to)
        }
    }

    /// A directory that is not there yet, in one that is.
    pub(in super::super) fn fresh(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("rockhopper-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        root
    }

    #[test]
    fn a_file_is_replaced_by_one_that_is_durable_and_so_is_its_name() {
        let root = fresh("replace");
        let (path, backup) = (root.join("config/a.json"), root.join("config/a.json.bak"));
        let put = |content: &str| {
            let calls = Written::new(&root, 0);
            replace(&calls, &path, content.as_bytes(), Some(&backup)).unwrap();
            calls.into_calls()
        };
        let first = [
            "sync : names",
            "sync config/a.json.tmp: old",
            "rename config/a.json.tmp to config/a.json",
            "sync config: names",
        ];
        assert_eq!(put("old"), first);
        let second = [
            "sync config/a.json.tmp: new",
            "rename config/a.json.bak.tmp to config/a.json.bak",
            "rename config/a.json.tmp to config/a.json",
            "sync config: names",
        ];
        assert_eq!(put("new"), second);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_to_string(&backup).unwrap(), "old");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn whichever_call_fails_a_file_reads_as_before_or_as_after_and_it_is_told() {
        let root = fresh("fails");
        let path = root.join("a.json");
        for (failing, left) in [(1, "old"), (2, "old"), (3, "old"), (4, "new")] {
            replace(&System, &path, b"old", None).unwrap();
            let calls = Written::new(&root, failing);
            let replaced = replace(&calls, &path, b"new", Some(&root.join("a.json.bak")));
            assert!(replaced.is_err(), "call {failing}");
            assert_eq!(fs::read_to_string(&path).unwrap(), left, "call {failing}");
            assert_eq!(root.join("a.json.tmp").exists(), [2, 3].contains(&failing));
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn another_name_is_durable_in_a_directory_that_is() {
        let root = fresh("rename");
        fs::write(root.join("a"), "").unwrap();
        let calls = Written::new(&root, 0);
        rename(&calls, &root.join("a"), &root.join("aside/b")).unwrap();
        let all = ["sync : names", "rename a to aside/b", "sync aside: names"];
        assert_eq!(calls.into_calls(), all);
        fs::remove_dir_all(root).unwrap();
    }
}
