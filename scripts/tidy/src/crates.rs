//! Rules on the crates: who may depend on whom, and where versions and lints stand.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::repo::{self, Finding};

/// What each crate may use of the others: the rows of ARCHITECTURE.md's code map. An arrow the
/// other way is a design mistake and seldom a missing entry.
fn may_use(architecture: &str) -> BTreeMap<&str, Vec<&str>> {
    let rows = architecture.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut map = BTreeMap::new();
    for row in rows {
        let mut cells = row.split('|').map(str::trim);
        let name = cells.next().unwrap_or_default().trim_end_matches('`');
        let used = cells.next().unwrap_or_default();
        map.insert(name, used.split(", ").filter(|used| *used != "–").collect());
    }
    map
}

/// Crates whose logic runs without a runtime, so that it can be simulated.
const WITHOUT_RUNTIME: &[&str] = &["message", "settings", "store", "tidy"];

/// Outside of the workspace: its one dependency from outside needs another compiler.
const FUZZERS: &str = "fuzz/Cargo.toml";

const RUNTIMES: &[&str] = &["tokio", "tokio-util", "mio", "async-std", "smol", "futures"];

fn check(path: &str, manifest: &Table, may_use: &BTreeMap<&str, Vec<&str>>) -> Vec<Finding> {
    let name = manifest["package"]["name"].as_str().expect("a package has a name");
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(path, 0, what));
    let Some(allowed) = may_use.get(name) else {
        find(format!("{name} is new: give it a row in ARCHITECTURE.md's code map"));
        return findings;
    };
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(listed) = manifest.get(section).and_then(Value::as_table) else { continue };
        for (used, how) in listed {
            if may_use.contains_key(used.as_str()) && !allowed.contains(&used.as_str()) {
                find(format!("{name} may not use {used}: the arrow points the other way"));
            }
            if WITHOUT_RUNTIME.contains(&name) && RUNTIMES.contains(&used.as_str()) {
                find(format!("{name} may not use {used}: its logic runs without a runtime"));
            }
            if how.get("workspace").and_then(Value::as_bool) != Some(true) {
                find(format!("{used}: write `{used}.workspace = true`; versions stand at the top"));
            }
        }
    }
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(Value::as_bool) != Some(true) {
        find("add `[lints] workspace = true`".into());
    }
    findings
}

fn architecture() -> String {
    repo::text("ARCHITECTURE.md").expect("ARCHITECTURE.md is text")
}

fn manifest(path: &str) -> Table {
    let text = repo::text(path).expect("a manifest is text");
    text.parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn crates_keep_their_direction() {
    let mut findings = Vec::new();
    let architecture = architecture();
    let may_use = may_use(&architecture);
    let mut rows = may_use.clone();
    let files = repo::files();
    let manifests = files.iter().filter(|path| path.ends_with("/Cargo.toml") && *path != FUZZERS);
    for path in manifests {
        let manifest = manifest(path);
        if let Some(package) = manifest.get("package") {
            findings.extend(check(path, &manifest, &may_use));
            rows.remove(package["name"].as_str().unwrap_or_default());
        }
    }
    let gone = "no such crate: strike its row";
    findings.extend(
        rows.keys().map(|row| Finding::new("ARCHITECTURE.md", 0, format!("{row}: {gone}"))),
    );
    repo::verdict(&findings);
}

#[test]
fn every_crate_is_a_member() {
    let top = manifest("Cargo.toml");
    let members = top["workspace"]["members"].as_array().expect("the workspace lists members");
    let listed = |folder: &str| members.iter().any(|member| member.as_str() == Some(folder));
    let files = repo::files();
    let inside = files.iter().filter(|path| *path != FUZZERS);
    let folders = inside.filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let missing = folders.filter(|folder| !listed(folder));
    let what = "not a member: add the crate to the workspace, or delete it";
    repo::verdict(&missing.map(|folder| Finding::new(folder, 0, what)).collect::<Vec<_>>());
}

#[test]
fn each_rule_can_fail() {
    let map = "| `message` | – | |\n| `store` | message | |\n| `broker` | store, message | |\n\
               | `tidy` | – | |\n";
    let may_use = may_use(map);
    assert_eq!(may_use["broker"], ["store", "message"]);
    assert!(may_use["message"].is_empty());
    let bad = [
        "[dependencies]\nstore.workspace = true",
        "[dependencies]\ntokio.workspace = true",
        "[dependencies]\nbytes = \"1\"",
        "[dev-dependencies]\nbroker.workspace = true",
    ];
    for bad in bad {
        let text = format!("[package]\nname = \"message\"\n[lints]\nworkspace = true\n{bad}\n");
        assert_eq!(check("message/Cargo.toml", &text.parse().unwrap(), &may_use).len(), 1, "{bad}");
    }
    for whole in ["[package]\nname = \"tidy\"\n", "[package]\nname = \"unheard-of\"\n"] {
        assert_eq!(check("x/Cargo.toml", &whole.parse().unwrap(), &may_use).len(), 1, "{whole}");
    }
}
