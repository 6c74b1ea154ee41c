//! Rules on the documents: they exist, what they link to exists, and no crate is left out.

use crate::repo::{self, Finding};

/// What a newcomer looks for at the front door.
const WANTED: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "deny.toml",
    "docs/differences.md",
    "docs/disk.md",
    "docs/durability.md",
    "docs/performance.md",
    "docs/settings.md",
    "docs/wire.md",
    "scripts/test",
];

/// Targets of inline links, `[text](target)`, with their lines; web addresses and anchors aside.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (_, rest) in line.match_indices("](").map(|(i, m)| line.split_at(i + m.len())) {
            let target = rest.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:") {
                found.push((at + 1, file.to_owned()));
            }
        }
    }
    found
}

#[test]
fn documents_exist() {
    let files = repo::files();
    let missing = WANTED.iter().filter(|wanted| !files.iter().any(|file| file == *wanted));
    let findings: Vec<_> = missing.map(|path| Finding::new(path, 0, "write it")).collect();
    repo::verdict(&findings);
}

/// Names of tests in backticks, with their lines.
fn proofs(text: &str) -> Vec<(usize, &str)> {
    let is_name = |word: &&str| {
        let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        word.chars().all(small) && word.matches('_').count() > 1
    };
    let mut found = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let words = text.split('`').skip(1).step_by(2).filter(is_name);
        found.extend(words.map(|word| (line, word)));
    }
    found
}

#[test]
fn every_proof_of_the_contract_exists() {
    let path = "docs/durability.md";
    let text = repo::text(path).expect("it is text");
    let code: Vec<String> = repo::rust_files().into_iter().map(|(_, code)| code).collect();
    let mut findings = Vec::new();
    for (line, name) in proofs(&text) {
        let head = format!("fn {name}(");
        if !code.iter().any(|code| code.contains(&head)) {
            findings.push(Finding::new(path, line, format!("there is no test {name}")));
        }
    }
    assert!(proofs(&text).len() > 20, "the contract names its proofs");
    repo::verdict(&findings);
}

#[test]
fn proofs_are_told_from_other_words() {
    let text = "| `a_kill_loses_nothing`, `SEND_OK` |\n| `storeBytesMax` | `scripts/crash` |";
    assert_eq!(proofs(text), [(1, "a_kill_loses_nothing")]);
}

#[test]
fn links_lead_somewhere() {
    let mut findings = Vec::new();
    for path in repo::files().iter().filter(|path| path.ends_with(".md")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in links(&repo::text(path).expect("documents are text")) {
            if !repo::root().join(folder).join(&target).exists() {
                findings.push(Finding::new(path, line, format!("{target} does not exist")));
            }
        }
    }
    repo::verdict(&findings);
}

#[test]
fn scripts_can_be_run() {
    let mut findings = Vec::new();
    for path in repo::files() {
        let script = repo::text(&path).is_some_and(|text| text.starts_with("#!/"));
        if script && !is_executable(&path) {
            findings.push(Finding::new(&path, 1, "a script: chmod +x"));
        }
    }
    repo::verdict(&findings);
}

fn is_executable(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(repo::root().join(path)).expect("a listed file has metadata");
    meta.permissions().mode() & 0o100 != 0
}

#[test]
fn links_are_found() {
    let text = "see [a](b.md#c), [d](https://e.f) and [g](#h)\n[i](j/k.md)\n";
    assert_eq!(links(text), [(1, "b.md".to_owned()), (2, "j/k.md".to_owned())]);
}
