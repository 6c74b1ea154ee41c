//! A setting that no code reads stands among the unread keys, with a reason, and not in a table
//! that promises it does something.

use crate::repo::{Finding, is_test, rust_files, verdict};

/// Where the tables are.
const TABLES: [&str; 4] = [
    "settings/src/broker.rs",
    "settings/src/namesrv.rs",
    "settings/src/net.rs",
    "settings/src/store.rs",
];
/// Fields that are read through a method beside the table.
const READ_IN_TABLES: &[&str] = &[
    "mapped_file_size_consume_queue",
    "message_delay_level",
    "store_path_commit_log",
    "timer_precision_ms",
    "timer_roll_window_slot",
];

/// The fields of a table, with their lines.
fn fields(table: &str) -> Vec<(usize, &str)> {
    let inside = (1..).zip(table.lines()).filter_map(|(number, line)| {
        let line = line.strip_prefix("        ")?;
        let end =
            line.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))?;
        let rest = line[end..].trim_start();
        let is_row = end > 0 && (rest.starts_with("as \"") || rest.starts_with(": "));
        (is_row && line.contains('=')).then_some((number, &line[..end]))
    });
    inside.collect()
}

/// Whether a text reads a field: `.field`, and not as the beginning of a longer name.
fn reads(text: &str, field: &str) -> bool {
    text.match_indices(field).any(|(at, _)| {
        let after = text[at + field.len()..].chars().next();
        text[..at].ends_with('.') && !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[test]
fn every_setting_of_a_table_is_read() {
    let (tables, code): (Vec<_>, Vec<_>) =
        rust_files().into_iter().partition(|(path, _)| TABLES.contains(&path.as_str()));
    let code: Vec<_> = code.iter().filter(|(path, _)| !is_test(path)).collect();
    let mut findings = Vec::new();
    for (path, table) in &tables {
        for (line, field) in fields(table) {
            let is_read =
                READ_IN_TABLES.contains(&field) || code.iter().any(|(_, text)| reads(text, field));
            if !is_read {
                let what = format!("nothing reads {field}: move it to settings/src/unread");
                findings.push(Finding::new(path, line, what));
            }
        }
    }
    assert_eq!(tables.len(), TABLES.len(), "a table has moved");
    verdict(&findings);
}

#[test]
fn rows_and_reads_are_recognised() {
    let table = concat!(
        "settings! {\n        /// Doc: = x\n",
        "        broker_ip1 as \"brokerIP1\": String = \"\";\n",
        "        broker_id: i64 = 0 => 0..=9, live;\n    }\n        Self { a: 1 }",
    );
    assert_eq!(fields(table), [(3, "broker_ip1"), (4, "broker_id")]);
    assert!(reads("settings.broker.broker_id == 0", "broker_id"));
    assert!(!reads("let broker_id = x.broker_id_of()", "broker_id"));
}
