//! Rules on the lines of a text file, whatever its language.

use crate::repo::{self, Finding};

const WIDTH: usize = 100;

/// Where text is somebody else's: bytes captured from Java, the license, the lock file.
fn is_foreign(path: &str) -> bool {
    path.contains("/golden/") || path == "LICENSE" || path == "Cargo.lock"
}

/// Width matters where people edit code; tables in documents may run on.
fn has_width(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.ends_with(".rs")
        || path.ends_with(".sh")
        || path.ends_with(".toml")
        || (path.starts_with("scripts/") && !name.contains('.'))
}

fn check(path: &str, text: &str) -> Vec<Finding> {
    // In two halves, for this file is checked too. Tests may make up the home of somebody.
    let mut machine_paths = vec![concat!("/ro", "ot/"), concat!("/wo", "rk/")];
    if !repo::is_test(path) {
        machine_paths.push(concat!("/ho", "me/"));
    }
    let mut findings = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        let mut find = |what: String| findings.push(Finding::new(path, at + 1, what));
        if line.ends_with([' ', '\t', '\r']) {
            find("white space at the end: remove it".into());
        }
        let width = line.chars().count();
        if has_width(path) && width > WIDTH {
            find(format!("{width} characters: wrap the line at {WIDTH}"));
        }
        if let Some(found) = machine_paths.iter().find(|p| names_machine(line, p)) {
            find(format!("{found} exists on one machine only: use a relative path"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::new(path, text.lines().count(), "end the file with a new line"));
    }
    findings
}

/// An absolute path begins where no path is under way: `src/work/` is not one.
fn names_machine(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "}._-/*".contains(c))
    })
}

#[test]
fn lines_are_clean() {
    let mut findings = Vec::new();
    for path in repo::files().iter().filter(|path| !is_foreign(path)) {
        if let Some(text) = repo::text(path) {
            findings.extend(check(path, &text));
        }
    }
    repo::verdict(&findings);
}

#[test]
fn each_rule_can_fail() {
    let wide = format!("// {}\n", "x".repeat(WIDTH));
    let elsewhere = concat!("// see /wo", "rk/main\n");
    for bad in ["let a = 1; \n", "let a = 1;\r\n", "let a = 1;", &wide, elsewhere] {
        assert_eq!(check("a/src/lib.rs", bad).len(), 1, "{bad:?}");
    }
    let fine = concat!("let a = \"${user.home}/ho", "me/store\";\n");
    assert_eq!(check("a/src/lib.rs", fine).len(), 0);
    assert_eq!(check("docs/wide.md", &wide).len(), 0);
}
