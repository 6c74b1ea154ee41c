//! No dead files: every Rust file is reached from the root of a target through `mod` lines.

use std::collections::BTreeSet;

use crate::repo::{self, Finding};

/// Whether cargo finds a target's root here by itself.
fn is_root(path: &str) -> bool {
    let Some((folder, name)) = path.rsplit_once('/') else { return false };
    let parent = folder.rsplit('/').next().unwrap_or_default();
    let grandparent = folder.rsplit('/').nth(1).unwrap_or_default();
    let target_folders = ["tests", "benches", "examples", "bin"];
    match name {
        "lib.rs" => parent == "src",
        "main.rs" => parent == "src" || target_folders.contains(&grandparent),
        "build.rs" => parent != "src",
        _ => target_folders.contains(&parent) && name != "mod.rs",
    }
}

/// The folder in which the children of a file stand.
fn children_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        _ if is_root(path) => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    }
}

/// The files that the `mod` lines of one file may mean.
fn children(path: &str, text: &str) -> Vec<String> {
    let Ok(file) = syn::parse_file(text) else { return Vec::new() };
    let mut found = Vec::new();
    collect(&file.items, &children_folder(path), &mut found);
    let (beside, _) = path.rsplit_once('/').unwrap_or(("", path));
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("#[path = \""));
    found.extend(named.filter_map(|line| Some(format!("{beside}/{}", line.split_once('"')?.0))));
    found
}

fn collect(items: &[syn::Item], folder: &str, found: &mut Vec<String>) {
    for item in items {
        let syn::Item::Mod(module) = item else { continue };
        let name = module.ident.to_string();
        match &module.content {
            Some((_, inner)) => collect(inner, &format!("{folder}/{name}"), found),
            None => {
                found.push(format!("{folder}/{name}.rs"));
                found.push(format!("{folder}/{name}/mod.rs"));
            }
        }
    }
}

#[test]
fn every_file_is_reached() {
    let files = repo::rust_files();
    let texts: std::collections::BTreeMap<_, _> = files.into_iter().collect();
    let mut open: Vec<String> = texts.keys().filter(|path| is_root(path)).cloned().collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = open.pop() {
        if let Some(text) = texts.get(&path)
            && reached.insert(path.clone())
        {
            open.extend(children(&path, text));
        }
    }
    let dead = texts.keys().filter(|path| !reached.contains(*path));
    let what = "no `mod` line leads here: add one, or delete the file";
    repo::verdict(&dead.map(|path| Finding::new(path, 0, what)).collect::<Vec<_>>());
}

#[test]
fn children_are_found() {
    let text = "mod a;\nmod b { mod c; }\n#[path = \"x.rs\"]\nmod d;\n";
    let found = children("r/src/p.rs", text);
    for child in ["r/src/p/a.rs", "r/src/p/a/mod.rs", "r/src/p/b/c.rs", "r/src/x.rs"] {
        assert!(found.iter().any(|f| f == child), "{child} in {found:?}");
    }
    assert!(children("r/tests/it/main.rs", "mod a;").contains(&"r/tests/it/a.rs".to_owned()));
    assert!(!is_root("r/src/p.rs") && is_root("r/tests/it/main.rs") && is_root("r/src/lib.rs"));
}
