//! Tells the program which commit it is of: that of the clone it is built in, or of the one that
//! its package was made in. Elsewhere there is none. Nothing but files is read, no git is needed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Digits of a commit that are shown.
const SHOWN: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = of_package(&folder).or_else(|| of_clone(&folder.join("..").join(".git")));
    let shown = commit.and_then(|commit| Some(format!(" ({})", commit.get(..SHOWN)?)));
    println!("cargo::rustc-env=ROCKHOPPER_VERSION={version}{}", shown.unwrap_or_default());
}

/// What `cargo package` notes.
fn of_package(folder: &Path) -> Option<String> {
    let text = read(&folder.join(".cargo_vcs_info.json"))?;
    let (_, behind) = text.split_once("\"sha1\"")?;
    is_commit(behind.split('"').nth(1)?)
}

/// What is checked out. In a further work tree `.git` is a file that names the directory.
fn of_clone(git: &Path) -> Option<String> {
    let linked = read(git).and_then(|text| {
        let named = text.trim().strip_prefix("gitdir:")?;
        Some(git.parent()?.join(named.trim()))
    });
    let own = linked.unwrap_or_else(|| git.to_owned());
    let head = read(&own.join("HEAD"))?;
    let Some(name) = head.trim().strip_prefix("ref:") else { return is_commit(head.trim()) };
    let name = name.trim();
    let shared = read(&own.join("commondir")).map(|text| own.join(text.trim()));
    let shared = shared.unwrap_or_else(|| own.clone());
    if let Some(text) = read(&shared.join(name)) {
        return is_commit(text.trim());
    }
    let packed = read(&shared.join("packed-refs"))?;
    let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
    is_commit(lines.find(|(_, known)| *known == name)?.0)
}

/// A text file, which is looked at again when it changes.
fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo::rerun-if-changed={}", path.display());
    Some(text)
}

fn is_commit(text: &str) -> Option<String> {
    let is_one = text.len() >= SHOWN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| text.to_owned())
}
