//! What was found, as text for people: plain columns that also `awk` can read.

use std::fmt::Write as _;

use store::look::{
    Checked, CompactedView, Damage, Effect, Preflight, RunFileView, Survey, TopicView,
};

use crate::render::{plain, utc};

const TAKES_ALL: &str = "a String takes every write";

/// Rows below their heads, each column as wide as its widest cell; numbers to the right.
fn columns(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let is_number = |cell: &str| cell.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let right =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).all(|cell| is_number(cell));
    let rights: Vec<bool> = (0..heads.len()).map(right).collect();
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            match rights[column] {
                true => write!(line, " {cell:>width$} "),
                false => write!(line, " {cell:<width$} "),
            }
            .expect(TAKES_ALL);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn time(ms: Option<i64>) -> String {
    ms.filter(|ms| *ms > 0).map_or_else(|| "-".into(), utc)
}

/// Bytes in the unit that people read.
fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} B"),
    }
}

/// So many of what a word names.
fn counted(count: impl Into<u64>, word: &str) -> String {
    let count = count.into();
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// `store inspect`.
pub(super) fn survey(survey: &Survey) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect(TAKES_ALL);
    line(format!("store {}", survey.root));
    line(match &survey.abort {
        None => "stopped cleanly (no abort)".into(),
        Some(content) => format!(
            "abort is there ({}): a broker runs on it, or was killed",
            plain(content.trim())
        ),
    });
    let log = &survey.log;
    line(format!(
        "\ncommit log {}: offsets {} to {}, {}, {}",
        log.dir,
        log.from,
        log.to,
        counted(log.files.len() as u64, "file"),
        size(log.bytes)
    ));
    line(format!("  stored from {} to {}", time(log.first_time), time(log.last_time)));
    let row = |file: &RunFileView| {
        let name = format!("{:020}", file.start);
        vec![name, file.bytes.to_string(), time(file.first_time), utc(file.modified)]
    };
    if log.from == log.to && survey.topics.is_empty() {
        line("  no messages here: is this the right directory?".into());
    }
    let rows: Vec<Vec<String>> = log.files.iter().map(row).collect();
    text += &columns(&["file", "bytes", "first record", "last changed"], &rows);
    if !log.moved.is_empty() {
        let rows: Vec<Vec<String>> = log
            .moved
            .iter()
            .map(|file| vec![plain(&file.path), file.bytes.to_string(), utc(file.modified)])
            .collect();
        text += "\nmoved aside at a start: had expired, or was lost, and came back in part\n";
        text += &columns(&["file", "bytes", "last changed"], &rows);
    }
    text += &topics(&survey.topics);
    if let Some(timer) = &survey.timer {
        let (to, next) = (time(Some(timer.delivered_to)), timer.queue_offset);
        let (files, bytes) = (counted(timer.log_files as u64, "file"), size(timer.log_bytes));
        writeln!(text, "\ntimer: delivered to {to}, next of its queue {next}, {files} of {bytes}")
            .expect(TAKES_ALL);
    }
    text += &compacted(&survey.compacted);
    text += &index(survey);
    text += &checkpoint(survey);
    text += &rest(survey);
    text
}

fn topics(topics: &[TopicView]) -> String {
    let rows: Vec<Vec<String>> = topics
        .iter()
        .flat_map(|topic| topic.queues.iter().map(move |queue| (topic, queue)))
        .map(|(topic, queue)| {
            vec![
                plain(&topic.topic),
                queue.id.to_string(),
                queue.min.to_string(),
                queue.max.to_string(),
                (queue.max - queue.min).to_string(),
                time(queue.first_time),
                time(queue.last_time),
                queue.bytes.to_string(),
            ]
        })
        .collect();
    let queues = counted(rows.len() as u64, "queue");
    let count = counted(topics.len() as u64, "topic");
    let heads =
        ["topic", "queue", "min", "max", "messages", "first stored", "last stored", "file bytes"];
    format!("\n{count}, {queues}\n{}", columns(&heads, &rows))
}

fn compacted(queues: &[CompactedView]) -> String {
    if queues.is_empty() {
        return String::new();
    }
    let row = |queue: &CompactedView| {
        let numbers =
            [queue.first, queue.last, queue.compacted_to].map(|number| number.to_string());
        let [first, last, compacted_to] = numbers;
        let (id, messages) = (queue.id.to_string(), queue.messages.to_string());
        let (files, bytes) = (queue.files.to_string(), queue.bytes.to_string());
        let damaged = match queue.damaged_files {
            0 => "-".to_owned(),
            files => format!("{}, {} bytes", counted(files as u64, "file"), queue.damaged_bytes),
        };
        vec![plain(&queue.topic), id, messages, first, last, compacted_to, files, bytes, damaged]
    };
    let rows: Vec<Vec<String>> = queues.iter().map(row).collect();
    let heads = [
        "topic",
        "queue",
        "kept",
        "first",
        "last",
        "compacted to",
        "files",
        "bytes of records",
        "moved aside",
    ];
    format!("\n{}\n{}", counted(rows.len() as u64, "compacted queue"), columns(&heads, &rows))
}

fn index(survey: &Survey) -> String {
    let rows: Vec<Vec<String>> = survey
        .index
        .iter()
        .map(|file| {
            vec![
                file.name.clone(),
                file.entries.to_string(),
                file.begin_offset.to_string(),
                file.end_offset.to_string(),
                time(Some(file.begin_time)),
                time(Some(file.end_time)),
            ]
        })
        .collect();
    let heads = ["file", "entries", "first record", "last record", "first stored", "last stored"];
    format!("\nindex: {}\n{}", counted(rows.len() as u64, "file"), columns(&heads, &rows))
}

fn checkpoint(survey: &Survey) -> String {
    let Some(checkpoint) = &survey.checkpoint else {
        return "\ncheckpoint: none\n".into();
    };
    let row = |(at, name, value): &(u64, &str, i64)| {
        let shown = if *at < 24 { time(Some(*value)) } else { value.to_string() };
        vec![at.to_string(), shown, (*name).to_owned()]
    };
    let rows: Vec<Vec<String>> = checkpoint.fields.iter().map(row).collect();
    let own = match (checkpoint.has_own_mark, checkpoint.durable_to) {
        (_, Some(to)) => format!("  Rockhopper wrote it last: everything before {to} is durable\n"),
        (true, None) => "  another broker wrote it after Rockhopper\n".into(),
        (false, None) => "  never written by Rockhopper\n".into(),
    };
    format!("\ncheckpoint\n{}{own}", columns(&["byte", "value", "meaning"], &rows))
}

fn rest(survey: &Survey) -> String {
    let rows: Vec<Vec<String>> = survey
        .config
        .iter()
        .map(|file| {
            let state = file.problem.as_ref().map_or_else(|| "readable".into(), |why| plain(why));
            vec![plain(&file.name), file.bytes.to_string(), state]
        })
        .collect();
    let mut text = format!("\nconfig\n{}", columns(&["file", "bytes", "state"], &rows));
    for range in &survey.set_aside {
        let bytes = range.to - range.from;
        writeln!(text, "\nset aside: {bytes} bytes of the log from {} to {}", range.from, range.to)
            .expect(TAKES_ALL);
    }
    if !survey.others.is_empty() {
        writeln!(text, "\nother names: {}", plain(&survey.others.join(", "))).expect(TAKES_ALL);
    }
    text
}

/// `store verify`.
pub(super) fn checked(checked: &Checked) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect(TAKES_ALL);
    line(format!(
        "log      {} to {}: {} in {}",
        checked.log_from,
        checked.log_to,
        counted(checked.records, "record"),
        size(checked.log_bytes)
    ));
    line(format!("queues   {}: {} units lead to their records", checked.queues, checked.units));
    line(format!(
        "index    {}: {} entries",
        counted(checked.index_files, "file"),
        checked.index_entries
    ));
    if checked.compacted_queues > 0 {
        let (queues, records) = (checked.compacted_queues, checked.compacted_records);
        line(format!("compact  {queues} queues: {records} records"));
    }
    line(format!("config   {}", counted(checked.config_files, "file")));
    for note in &checked.notes {
        line(format!("note     {}", plain(note)));
    }
    for damage in &checked.damage {
        line(format!("\n{}", shown(damage)));
    }
    line(match (checked.sound, checked.unclean) {
        (true, false) => "sound".into(),
        (true, true) => "sound, as far as a broker that runs or was killed has promised".into(),
        (false, _) => "\nDAMAGED".into(),
    });
    text
}

/// `store preflight`.
pub(super) fn preflight(found: &Preflight) -> String {
    let mut text = String::new();
    for verdict in &found.verdicts {
        let word = match verdict.effect {
            Effect::Refuses => "REFUSES",
            Effect::Loses => "LOSES",
            Effect::Ignores => "ignores",
            Effect::Rebuilds => "rebuilds",
            Effect::Notes => "note",
        };
        writeln!(text, "{word:9} {}", plain(&verdict.what)).expect(TAKES_ALL);
    }
    text += match found.safe {
        true => "it starts and loses nothing\n",
        false => "DO NOT START IT HERE before this is settled, or keep a copy\n",
    };
    text
}

fn shown(damage: &Damage) -> String {
    let first = &damage.first;
    let mut place = format!("{} at byte {}", first.file, first.at);
    if let Some(log_offset) = first.log_offset {
        write!(place, ", log offset {log_offset}").expect(TAKES_ALL);
    }
    if let Some((topic, id, offset)) = &first.queue {
        write!(place, ", topic {} queue {id} offset {offset}", plain(topic)).expect(TAKES_ALL);
    }
    format!(
        "{}\n  first:  {place}\n          {}\n  to do:  {}",
        damage.kind.counted(damage.count),
        plain(&damage.why),
        damage.advice
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = columns(&["name", "n"], &[row(["a", "10"]), row(["longer", "7"])]);
        assert_eq!(text, "  name     n\n  a       10\n  longer   7\n");
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(5 << 30), "5.0 GiB");
    }
}
