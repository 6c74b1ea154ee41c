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
const CLIENTS: [&str; 4] = [JAVA, "java-4.9.8", "go-2.1.2", "mqadmin-5.5.0"];
const JAVA: &str = "java-5.5.0";

/// Each feature, and how the names of its scenarios begin. A scenario belongs to the feature with
/// the longest beginning that it fits.
const FEATURES: &[(&str, &[&str])] = &[
    (
        "sending: sync, async, oneway, batches, priority",
        &["send-", "topic-auto-create", "sendMessage"],
    ),
    ("inner batches (queue.type=BatchCQ)", &["batch-inner"]),
    ("compacted topics (cleanup.policy=COMPACTION)", &["compaction-"]),
    ("message types of topics: kept, shown, not checked", &["message-type-", "updateTopicMessage"]),
    ("static topics: made, remapped, through restarts", &["static-"]),
    ("bodies up to 4 MiB, compressed or not", &["body-", "compressed-"]),
    ("pulling, and held pulls", &["pull", "push-", "consumeMessage"]),
    ("light queues (LMQ)", &["light-"]),
    (
        "lite topics (5.5)",
        &[
            "lite-topic-",
            "getBrokerLite",
            "getParentTopic",
            "getLite",
            "triggerLite",
            "deleteTopicOf",
        ],
    ),
    ("lite pull: subscribe, assign, seek", &["lite-pull-"]),
    ("filters by tags", &["tags"]),
    ("filters in SQL92", &["sql-"]),
    ("clustering: members come and go", &["group-of-three"]),
    (
        "members that want different messages: found, shown",
        &["contradiction", "consumerConnectionOfContradiction"],
    ),
    ("broadcasting", &["broadcast"]),
    ("ordered consumption, through restarts", &["orderly"]),
    (
        "POP consumption",
        &[
            "pop",
            "setConsumeMode",
            "consumerProgressOfPops",
            "resetOffsetOfPops",
            "enableRetryTopicV2",
            "useSeparateRetryQueue",
        ],
    ),
    ("retries, dead letters", &["retry-"]),
    ("retry policies of groups: kept, shown", &["retry-policy-", "updateSubGroupRetryPolicy"]),
    ("delay levels", &["delay-"]),
    ("delay to any time, recall", &["timer-", "recall-"]),
    ("transactions, checks", &["transaction-"]),
    ("request and reply", &["request-"]),
    ("offsets: kept, by time", &["offset-", "consumerProgress"]),
    (
        "rewind and repair: offsets set by time or place, cloned, told by members",
        &[
            "rewind-",
            "resetOffset",
            "skipAccumulated",
            "cloneGroup",
            "getConsumerStatus",
            "queryCq",
        ],
    ),
    (
        "consuming one message directly, running info",
        &["consume-directly", "running-info", "consumeMessageDirectly", "consumerStatus"],
    ),
    ("queries by key and id", &["query-", "queryMsgBy", "printMsg"]),
    ("message track: what each group did with a message", &["track-", "messageTrack"]),
    ("trace", &["trace", "queryMsgTrace", "brokerTrace"]),
    ("refusals: unknown names, permissions", &["wrong-", "no-permission"]),
    ("servers that stop, or are killed, under load", &["restart-", "kill-"]),
    (
        "operating: clusters, settings, topics, groups, connections",
        &[
            "cluster",
            "broker",
            "getBrokerConfig",
            "updateBrokerConfig",
            "getNamesrvConfig",
            "updateKvConfig",
            "wipeWritePerm",
            "topic",
            "updateTopic",
            "deleteTopic",
            "updateSubGroup",
            "deleteSubGroup",
            "consumerConnection",
            "producerConnection",
        ],
    ),
];

/// The table.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::from("| feature |");
    for client in CLIENTS {
        let _ = write!(text, " {client} |");
    }
    let _ = write!(text, "\n|---|{}", "---|".repeat(CLIENTS.len()));
    for (feature, _) in FEATURES {
        let _ = write!(text, "\n| {feature} |");
        for client in CLIENTS {
            let cells = report.all().filter(|cell| is_of(client, cell));
            let cells = cells.filter(|cell| belongs(&cell.scenario, feature));
            let _ = write!(text, " {} |", word(cells));
        }
    }
    text.push('\n');
    text
}

/// Whether a cell tells of this client. Those of static topics stand in columns of their servers;
/// the client there is the newest.
fn is_of(client: &str, cell: &Outcome) -> bool {
    cell.client == client || (client == JAVA && cell.scenario.starts_with("static-"))
}

fn belongs(scenario: &str, feature: &str) -> bool {
    let fits = |(name, prefixes): &(&'static str, &[&str])| {
        let fitting = prefixes.iter().filter(|prefix| scenario.starts_with(**prefix));
        Some((fitting.map(|prefix| prefix.len()).max()?, *name))
    };
    FEATURES.iter().filter_map(fits).max().is_some_and(|(_, longest)| longest == feature)
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
    fn every_scenario_of_the_clients_belongs_to_one_feature() {
        let all = [plan::TOGETHER, plan::ALONE, plan::MQADMIN, plan::STATIC, plan::STATIC_ALONE];
        for scenario in all.concat() {
            let found = FEATURES.iter().filter(|(feature, _)| belongs(scenario, feature)).count();
            assert_eq!(found, 1, "features of {scenario}");
        }
    }

    #[test]
    fn the_longest_beginning_counts() {
        assert!(belongs("retry-then-dlq", "retries, dead letters"));
        assert!(belongs("retry-policy-gaps", "retry policies of groups: kept, shown"));
        assert!(!belongs("retry-policy-gaps", "retries, dead letters"));
    }

    #[test]
    fn static_topics_are_the_newest_java_clients() {
        let mut report = Report::default();
        report.add_check("names a, brokers b and c", "static-topic", Ok(String::new()), 1);
        let row = "| static topics: made, remapped, through restarts | yes | - | - | - |\n";
        assert!(table(&report).contains(row), "{}", table(&report));
    }

    #[test]
    fn one_word_stands_for_all_scenarios_of_a_feature() {
        let mut report = Report::default();
        report.add_check("java-5.5.0", "sql-push", Ok(String::new()), 1);
        report.add_check("java-5.5.0", "sql-pull", Err("no".into()), 1);
        report.add_check("java-4.9.8", "sql-pull", Ok(String::new()), 1);
        let text = table(&report);
        assert!(text.contains("| filters in SQL92 | **fails** | yes | - | - |\n"), "{text}");
    }
}
