//! Rules on what comes from outside, read from deny.toml: licenses, banned and doubled crates,
//! sources. cargo-deny checks the same file and advisories too, but takes long to install; this
//! asks cargo, which is there.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value as Json;
use toml::{Table, Value};

use crate::repo::{self, Finding};

/// Whether an SPDX expression holds when only `allowed` licenses are granted. `A/B` is the old
/// way to write `A OR B`.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_ascii_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at, allowed) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut holds = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        holds |= all_of(words, at, allowed);
    }
    holds
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut holds = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        holds &= one(words, at, allowed);
    }
    holds
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let holds = any_of(words, at, allowed);
        *at += 1;
        return holds;
    }
    // An exception only adds freedom.
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    allowed.contains(word)
}

fn listed<'a>(table: &'a Table, section: &str, key: &str) -> BTreeSet<&'a str> {
    let entries = table[section][key].as_array().expect("deny.toml has the list");
    let name = |entry: &'a Value| entry.as_str().or_else(|| entry.get("crate")?.as_str());
    entries.iter().map(|entry| name(entry).expect("an entry is or has a name")).collect()
}

fn packages() -> Vec<Json> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(repo::root())
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let mut told: Json = serde_json::from_slice(&out.stdout).expect("cargo tells JSON");
    let used: BTreeSet<String> = told["resolve"]["nodes"]
        .as_array()
        .expect("cargo resolves")
        .iter()
        .filter_map(|node| node["id"].as_str().map(str::to_owned))
        .collect();
    let Json::Array(packages) = told["packages"].take() else { panic!("cargo lists packages") };
    let is_used = |p: &Json| p["id"].as_str().is_some_and(|id| used.contains(id));
    packages.into_iter().filter(is_used).collect()
}

fn check(packages: &[Json], deny: &Table) -> Vec<Finding> {
    let allowed = listed(deny, "licenses", "allow");
    let (banned, doubled) = (listed(deny, "bans", "deny"), listed(deny, "bans", "skip"));
    let registries = listed(deny, "sources", "allow-registry");
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new("deny.toml", 0, what));
    let mut seen = BTreeSet::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let license = package["license"].as_str().unwrap_or_default();
        if !is_allowed(license, &allowed) {
            find(format!("{name} is under {license:?}: use another crate, or allow the license"));
        }
        if banned.contains(name) {
            find(format!("{name} is banned: see which crate brings it, cargo tree -i {name}"));
        }
        if !seen.insert(name) && !doubled.contains(name) {
            find(format!("{name} is there twice: cargo tree -d; mend it, or skip with a reason"));
        }
        if let Some(source) = package["source"].as_str() {
            let registry = source.strip_prefix("registry+").unwrap_or_default();
            if !registries.contains(registry) {
                find(format!("{name} comes from {source}: crates.io is the one source"));
            }
        }
    }
    findings
}

fn deny_toml() -> Table {
    repo::text("deny.toml").expect("deny.toml is text").parse().expect("deny.toml is TOML")
}

#[test]
fn what_comes_in_is_allowed() {
    repo::verdict(&check(&packages(), &deny_toml()));
}

#[test]
fn license_expressions_are_read() {
    let allowed = BTreeSet::from(["MIT", "Unicode-3.0"]);
    for fine in ["MIT", "GPL-3.0 OR MIT", "(X OR MIT) AND Unicode-3.0", "X/MIT", "MIT WITH Y"] {
        assert!(is_allowed(fine, &allowed), "{fine}");
    }
    for bad in ["", "X", "MIT AND X", "(MIT OR X) AND X", "X WITH MIT", "MIT MIT"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

#[test]
fn each_rule_can_fail() {
    let package = |name: &str, license: &str, source: &str| {
        let fields = [("name", name), ("license", license), ("source", source)];
        Json::from_iter(fields)
    };
    let home = "registry+https://github.com/rust-lang/crates.io-index";
    let fine = package("a", "MIT", home);
    assert!(check(std::slice::from_ref(&fine), &deny_toml()).is_empty());
    for bad in [
        package("b", "GPL-3.0", home),
        package("chrono", "MIT", home),
        package("b", "MIT", "git+https://example.org/b"),
        fine.clone(),
    ] {
        assert_eq!(check(&[fine.clone(), bad.clone()], &deny_toml()).len(), 1, "{bad}");
    }
}
