//! What works with which client, in a few lines for the README: made of the cells of a whole run.
//! Not here: the scenarios themselves ([`crate::plan`]).

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::report::{Outcome, Report, Verdict};

/// Where the table begins and ends in the README.
const BEGIN: &str = "<!-- features: written by scripts/test -->\n";
const END: &str = "<!-- end of features -->\n";

/// The columns.
const CLIENTS: [&str; 3] = ["java-5.5.0", "java-4.9.8", "go-2.1.2"];

/// Each feature, and how the names of its scenarios begin. A scenario belongs to the first that it
/// fits.
const FEATURES: &[(&str, &[&str])] = &[
    ("sending: sync, async, oneway, batches, priority", &["send-", "topic-auto-create"]),
    ("inner batches (queue.type=BatchCQ)", &["batch-inner"]),
    ("compacted topics (cleanup.policy=COMPACTION)", &["compaction-"]),
    ("bodies up to 4 MiB, compressed or not", &["body-", "compressed-"]),
    ("pulling, and held pulls", &["pull", "push-"]),
    ("light queues (LMQ)", &["light-"]),
    ("lite topics (5.5)", &["lite-topic-"]),
    ("lite pull: subscribe, assign, seek", &["lite-pull-"]),
    ("filters by tags", &["tags"]),
    ("filters in SQL92", &["sql-"]),
    ("clustering: members come and go", &["group-of-three"]),
    ("broadcasting", &["broadcast"]),
    ("ordered consumption, through restarts", &["orderly"]),
    ("POP consumption", &["pop-"]),
    ("retries, dead letters", &["retry-"]),
    ("delay levels", &["delay-"]),
    ("delay to any time, recall", &["timer-", "recall-"]),
    ("transactions, checks", &["transaction-"]),
    ("request and reply", &["request-"]),
    ("offsets: kept, by time", &["offset-"]),
    ("queries by key and id", &["query-"]),
    ("trace", &["trace"]),
    ("refusals: unknown names, permissions", &["wrong-", "no-permission"]),
    ("servers that stop, or are killed, under load", &["restart-", "kill-"]),
];

/// The table.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::from("| feature |");
    for client in CLIENTS {
        let _ = write!(text, " {client} |");
    }
    let _ = write!(text, "\n|---|{}", "---|".repeat(CLIENTS.len()));
    for (feature, prefixes) in FEATURES {
        let _ = write!(text, "\n| {feature} |");
        for client in CLIENTS {
            let cells = report.of(client).filter(|cell| belongs(&cell.scenario, prefixes));
            let _ = write!(text, " {} |", word(cells));
        }
    }
    text.push('\n');
    text
}

fn belongs(scenario: &str, prefixes: &[&str]) -> bool {
    let begins = |prefix: &&str| scenario.starts_with(*prefix);
    let first = FEATURES.iter().find(|(_, prefixes)| prefixes.iter().any(begins));
    first.is_some_and(|(_, of_first)| *of_first == prefixes)
}

/// One word for some cells: the worst counts; what a client has not, it has not.
fn word<'a>(cells: impl Iterator<Item = &'a Outcome>) -> &'static str {
    let (mut passed, mut lacks) = (false, false);
    for cell in cells {
        match cell.verdict {
            Verdict::Pass => passed = true,
            Verdict::NotApplicable(_) => lacks = true,
            Verdict::Fail(_) => return "**fails**",
        }
    }
    match (passed, lacks) {
        (true, true) => "in part",
        (true, false) => "yes",
        (false, _) => "-",
    }
}

/// Writes the table of a whole run into the README, and says whether that changed it.
///
/// # Errors
/// The README cannot be read or written, or has no place for the table.
pub fn put(report: &Report, readme: &Path) -> Result<bool> {
    let text = std::fs::read_to_string(readme).context("the README")?;
    let (before, rest) = text.split_once(BEGIN).context("no table of features in the README")?;
    let (known, after) = rest.split_once(END).context("the README's table has no end")?;
    let made = table(report);
    if known == made {
        return Ok(false);
    }
    std::fs::write(readme, format!("{before}{BEGIN}{made}{END}{after}"))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;

    #[test]
    fn every_scenario_of_the_clients_belongs_to_a_feature() {
        for scenario in plan::TOGETHER.iter().chain(plan::ALONE) {
            let found = FEATURES.iter().any(|(_, prefixes)| belongs(scenario, prefixes));
            assert!(found, "{scenario} belongs to no feature");
        }
    }

    #[test]
    fn one_word_stands_for_all_scenarios_of_a_feature() {
        let mut report = Report::default();
        report.add_check("java-5.5.0", "sql-push", Ok(String::new()), 1);
        report.add_check("java-5.5.0", "sql-pull", Err("no".into()), 1);
        report.add_check("java-4.9.8", "sql-pull", Ok(String::new()), 1);
        let text = table(&report);
        assert!(text.contains("| filters in SQL92 | **fails** | yes | - |\n"), "{text}");
    }
}
