//! Reads a property file into settings and says everything that is wrong with it, once, before
//! anything starts.
//!
//! A value that does not parse, a contradiction and a wish that cannot be met are errors; a key
//! that nobody knows is a warning, because Java ignores it. Not here: the rules between keys
//! (`rules`).

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Place, Severity, nearest};
use crate::family::{BrokerSettings, Family, NamesrvSettings};
use crate::machine::Machine;
use crate::properties::{Position, Properties, Property};
use crate::table::Invalid;
use crate::unread::{self, Found};

/// Keys that earlier versions of Java read and 5.5.0 does not.
const RETIRED: &str = "
    batchWriteKvCqSize commercialBigCount commercialEnable commercialTimerCount commercialTransCount
    commitLogRollingInterval commitLogRollingMinimumSize enableTransparentRetry filterServerNums
    haSlaveFallbehindMax isEnableBatchPush mapedFileSizeCommitLog mapedFileSizeConsumeQueue
    maxCommitJitter maxDelayTime memTableFlushInterval serverLoadBalancerEnabled
    transferMetadataJsonToRocksdb transferOffsetJsonToRocksdb";

/// A property file that was read from the disk.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its name, as the operator wrote it.
    pub name: &'a str,
    /// All its bytes.
    pub bytes: &'a [u8],
}

/// A value that came from somewhere else than the file.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The option or the variable, for messages.
    pub source: &'a str,
    /// The key, in Java's spelling.
    pub key: &'a str,
    /// The value.
    pub value: &'a str,
}

/// A key that was set and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// The key.
    pub key: String,
    /// Why it changes nothing.
    pub reason: &'static str,
}

/// What reading gave.
#[derive(Clone, Debug)]
pub struct Checked<S> {
    /// The settings; to be used only when `is_ok`.
    pub settings: S,
    /// Errors and warnings in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// Keys that were set to something else than their default and change nothing.
    pub idle: Vec<Idle>,
    places: HashMap<String, Place>,
}

impl<S> Checked<S> {
    /// Whether a process may start with these settings.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.diagnostics.iter().all(|found| found.severity < Severity::Error)
    }

    /// The file, option or variable that set a key; `None` when it has its default.
    #[must_use]
    pub fn source(&self, key: &str) -> Option<&str> {
        self.places.get(key).map(|place| place.source.as_str())
    }
}

/// Collects findings and knows where each key was set.
#[derive(Debug, Default)]
pub struct Report {
    places: HashMap<String, Place>,
    diagnostics: Vec<Diagnostic>,
    idle: Vec<Idle>,
}

impl Report {
    /// Whether the file, an option or a variable set a key.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// Adds what is wrong with a key: what it is, what belongs there, the way out.
    pub fn error(&mut self, key: &str, message: String, label: &str, help: Option<String>) {
        self.add(Severity::Error, key, message, (label, help));
    }

    /// Adds what is odd about a key: what it is, what belongs there, the way out.
    pub fn warning(&mut self, key: &str, message: String, label: &str, help: Option<String>) {
        self.add(Severity::Warning, key, message, (label, help));
    }

    fn add(
        &mut self,
        severity: Severity,
        key: &str,
        message: String,
        (label, help): (&str, Option<String>),
    ) {
        let (key, place) = (key.to_owned(), self.places.get(key).cloned());
        let label = label.to_owned();
        self.diagnostics.push(Diagnostic { severity, key, message, place, label, help });
    }
}

/// Reads the settings of one process. Later sources win over earlier ones: the machine, the
/// environment, the file, the options of the command line.
#[must_use]
pub fn check<S: Family>(
    machine: &Machine,
    environment: &[Given<'_>],
    file: Option<File<'_>>,
    options: &[Given<'_>],
) -> Checked<S> {
    let (mut settings, mut report) = (S::on(machine), Report::default());
    for given in environment {
        apply_given(&mut settings, &mut report, given);
    }
    if let Some(file) = file {
        read_file(&mut settings, &mut report, file);
    }
    for given in options {
        apply_given(&mut settings, &mut report, given);
    }
    settings.rules(&mut report);
    let line = |found: &Diagnostic| found.place.as_ref().and_then(|place| place.at);
    report.diagnostics.sort_by_key(line);
    let Report { places, diagnostics, idle } = report;
    Checked { settings, diagnostics, idle, places }
}

fn apply_given<S: Family>(settings: &mut S, report: &mut Report, given: &Given<'_>) {
    let source = given.source.to_owned();
    let place = Place { source, at: None, text: String::new(), width: 0 };
    report.places.insert(given.key.to_owned(), place);
    apply(settings, report, given.key, given.value);
}

fn read_file<S: Family>(settings: &mut S, report: &mut Report, file: File<'_>) {
    settings.read_from(file.name);
    let properties = match Properties::parse(file.bytes) {
        Ok(properties) => properties,
        Err(malformed) => {
            let place = place(file, &[], malformed.at, 2);
            report.places.insert(String::new(), place);
            let message = format!("{} cannot be read", file.name);
            return report.error("", message, malformed.why, None);
        }
    };
    warn_of_repeated(report, &properties, file);
    for property in properties.effective() {
        let value_place = place(file, &properties.lines, property.value_at, property.widths.1);
        let key_place = place(file, &properties.lines, property.key_at, property.widths.0);
        let known = is_known(settings, &property.key);
        report.places.insert(property.key.clone(), if known { value_place } else { key_place });
        warn_of_odd_text(report, &properties, property);
        apply(settings, report, &property.key, &property.value);
    }
}

fn place(file: File<'_>, lines: &[String], at: Position, width: usize) -> Place {
    let text = lines.get(at.line - 1).cloned().unwrap_or_default();
    Place { source: file.name.to_owned(), at: Some(at), text, width }
}

/// A key that stands twice: the last one counts, and the first one misleads its reader.
fn warn_of_repeated(report: &mut Report, properties: &Properties, file: File<'_>) {
    for (index, property) in properties.all.iter().enumerate() {
        let later = properties.all[index + 1..].iter().find(|later| later.key == property.key);
        let Some(later) = later else { continue };
        let key = &property.key;
        report.diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            key: key.clone(),
            message: format!(
                "{key} is set again in line {}, and the last one counts",
                later.key_at.line
            ),
            place: Some(place(file, &properties.lines, property.key_at, property.widths.0)),
            label: "this line has no effect".to_owned(),
            help: None,
        });
    }
}

fn warn_of_odd_text(report: &mut Report, properties: &Properties, property: &Property) {
    let Property { key, value, .. } = property;
    if properties.latin1_lines.contains(&property.value_at.line) {
        let message = format!("the value of {key} is not UTF-8 and is read as Latin-1");
        report.warning(key, message, "save the file as UTF-8", None);
    }
    if value.trim_end() != value {
        let message = format!("the value of {key} ends in blanks");
        let label = "Java keeps them in a text and ignores a number that has them";
        report.warning(key, message, label, None);
    }
    if value.contains('$') {
        let message = format!("`$` in the value of {key} stands for itself");
        let help = Some("write the path out; variables are not expanded, as in Java".to_owned());
        report.warning(key, message, "taken as it is written", help);
    }
}

fn is_known<S: Family>(settings: &S, key: &str) -> bool {
    settings.rows().iter().any(|row| row.key == key) || unread::find(S::UNREAD, key).is_some()
}

/// Sets one key, or says why not.
fn apply<S: Family>(settings: &mut S, report: &mut Report, key: &str, value: &str) {
    for table in settings.tables_mut() {
        match table.set(key, value) {
            Ok(true) => return,
            Ok(false) => {}
            Err(invalid) => return refuse_value(report, &invalid),
        }
    }
    let Some(found) = unread::find(S::UNREAD, key) else {
        settings.unread_mut().insert(key.to_owned(), value.to_owned());
        return warn_of_unknown(settings, report, key);
    };
    if let Some(value) = apply_unread(report, found, value) {
        settings.unread_mut().insert(key.to_owned(), value);
    }
}

fn refuse_value(report: &mut Report, invalid: &Invalid) {
    let Invalid { key, value, expected, choices } = invalid;
    let help = nearest(value, choices.iter().copied());
    let message = format!("`{value}` is not a value of {key}");
    report.error(
        key,
        message,
        &format!("expected {expected}"),
        help.map(|choice| format!("did you mean `{choice}`?")),
    );
}

/// The value of a key that no code reads, as Java would print it.
fn apply_unread(report: &mut Report, found: Found, value: &str) -> Option<String> {
    let Found { group, unread } = found;
    let key = unread.key;
    let value = match found.canonical(value) {
        Ok(value) => value,
        Err(invalid) => {
            refuse_value(report, &invalid);
            return None;
        }
    };
    if found.stops_a_start(&value) {
        let help = unread.default.map_or_else(
            || "remove the line".to_owned(),
            |default| format!("remove the line or write `{key}={default}`"),
        );
        let message = format!("{key}={value} cannot be honoured");
        report.error(key, message, group.reason, Some(help));
    } else if Some(value.as_str()) != unread.default {
        report.idle.push(Idle { key: key.to_owned(), reason: group.reason });
    }
    Some(value)
}

fn warn_of_unknown<S: Family>(settings: &S, report: &mut Report, key: &str) {
    let (process, rows) = (S::PROCESS, settings.rows());
    let elsewhere = [
        (BrokerSettings::PROCESS, is_known(&BrokerSettings::default(), key)),
        (NamesrvSettings::PROCESS, is_known(&NamesrvSettings::default(), key)),
    ];
    let owner = elsewhere.iter().find(|(_, known)| *known).map(|(process, _)| process);
    if let Some(owner) = owner {
        let message = format!("{key} is a setting of a {owner} and has no effect in a {process}");
        return report.warning(key, message, "ignored", None);
    }
    let known = rows.iter().map(|row| row.key);
    let nearest = nearest(key, known.chain(unread::all(S::UNREAD).map(|found| found.unread.key)));
    let message = if RETIRED.split_ascii_whitespace().any(|retired| retired == key) {
        format!("{key} was a setting of earlier versions of RocketMQ")
    } else {
        format!("{key} is not a setting of a {process}")
    };
    let help = nearest.map(|nearest| format!("did you mean `{nearest}`?"));
    report.warning(key, message, "ignored, as in Java", help);
}
