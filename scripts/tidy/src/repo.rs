//! The files under test, and how a finding is told. No rule lives here.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One broken rule: where, and what to do about it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1; 0 when the finding is about the whole file.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

/// Passes when there is no finding; else fails with one `file:line: what` a line.
pub(crate) fn verdict(findings: &[Finding]) {
    let told: Vec<String> =
        findings.iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.what)).collect();
    assert!(told.is_empty(), "{} to mend:\n{}\n", told.len(), told.join("\n"));
}

/// The top of the repository. Asked at run time: work trees may share compiled tests.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo test says where the crate is");
    Path::new(&here).ancestors().nth(2).expect("tidy lives two levels below the top").to_owned()
}

/// Paths from the top of every file that git tracks or would track, sorted.
pub(crate) fn files() -> Vec<String> {
    let out = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(out.status.success(), "git ls-files: {}", String::from_utf8_lossy(&out.stderr));
    let listed = String::from_utf8(out.stdout).expect("paths are UTF-8");
    let mut files: Vec<String> = listed
        .split('\0')
        .filter(|path| !path.is_empty() && root().join(path).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    files
}

/// The text of one file, or `None` when it is not text.
pub(crate) fn text(path: &str) -> Option<String> {
    let bytes = std::fs::read(root().join(path)).expect("a listed file can be read");
    String::from_utf8(bytes).ok()
}

/// Every Rust file with its text.
pub(crate) fn rust_files() -> Vec<(String, String)> {
    let sources = files().into_iter().filter(|path| path.ends_with(".rs"));
    sources.map(|path| (path.clone(), text(&path).expect("Rust files are UTF-8"))).collect()
}

/// Code that only tests run: integration tests, `tests.rs` modules, and the crate that holds
/// nothing but tests against stock clients.
pub(crate) fn is_test(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.contains("/benches/")
        || path.starts_with("compat-tests/")
        || path.starts_with("scripts/tidy/")
}
