//! What a check found, and how a person gets to see it: severity, place, the text under the cursor
//! and the way out, in plain text.

use std::fmt;

use crate::properties::Position;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Warning,
    /// The process must not start.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The text that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file, or the option or variable that the text came from.
    pub source: String,
    /// Where in the file; `None` when the text did not come from a file.
    pub at: Option<Position>,
    /// The line as written.
    pub text: String,
    /// Characters to underline from `at` on.
    pub width: usize,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The key that it is about, empty when it is about the file.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// Where; `None` when the file does not mention the key.
    pub place: Option<Place>,
    /// What was expected, written under the cursor.
    pub label: String,
    /// The way out.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity, self.message)?;
        let mut margin = 1;
        if let Some(place) = &self.place {
            let Some(at) = place.at else {
                let label = if self.label.is_empty() { "" } else { ": " };
                writeln!(f, " --> {}{label}{}", place.source, self.label)?;
                return write_help(f, margin, self.help.as_deref());
            };
            margin = at.line.to_string().len();
            let (blank, line) = (" ", at.line);
            writeln!(f, "{blank:margin$}--> {}:{}:{}", place.source, line, at.column)?;
            writeln!(f, "{blank:margin$} |")?;
            writeln!(f, "{line} | {}", place.text)?;
            let indent: String = place.text.chars().take(at.column - 1).map(blank_like).collect();
            let carets = "^".repeat(place.width.max(1));
            writeln!(
                f,
                "{blank:margin$} | {}",
                format!("{indent}{carets} {}", self.label).trim_end()
            )?;
        }
        write_help(f, margin, self.help.as_deref())
    }
}

fn write_help(f: &mut fmt::Formatter<'_>, margin: usize, help: Option<&str>) -> fmt::Result {
    let Some(help) = help else { return Ok(()) };
    writeln!(f, "{:margin$} = help: {help}", " ")
}

/// A blank as wide as the character, as far as a terminal can be guessed.
const fn blank_like(character: char) -> char {
    match character {
        '\t' => '\t',
        '\u{1100}'.. => '\u{3000}',
        _ => ' ',
    }
}

/// The known word that an unknown one most likely means; `None` when none is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this similarity a suggestion would mislead more often than help.
    const LEAST: f64 = 0.7;
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = plain(word);
    known
        .into_iter()
        .map(|candidate| {
            let candidate_plain = plain(candidate);
            (strsim::normalized_damerau_levenshtein(&wanted, &candidate_plain), candidate)
        })
        .filter(|(likeness, _)| *likeness >= LEAST)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_the_text_like_a_compiler() {
        let found = Diagnostic {
            severity: Severity::Error,
            key: "brokerRole".into(),
            message: "`SYSC_MASTER` is not a value of brokerRole".into(),
            place: Some(Place {
                source: "broker.conf".into(),
                at: Some(Position { line: 12, column: 14 }),
                text: "brokerRole = SYSC_MASTER".into(),
                width: 11,
            }),
            label: "expected ASYNC_MASTER, SYNC_MASTER or SLAVE".into(),
            help: Some("did you mean `SYNC_MASTER`?".into()),
        };
        let expected = "\
error: `SYSC_MASTER` is not a value of brokerRole
  --> broker.conf:12:14
   |
12 | brokerRole = SYSC_MASTER
   |              ^^^^^^^^^^^ expected ASYNC_MASTER, SYNC_MASTER or SLAVE
   = help: did you mean `SYNC_MASTER`?
";
        assert_eq!(found.to_string(), expected);
        let elsewhere = Diagnostic {
            place: Some(Place { source: "-n".into(), at: None, text: String::new(), width: 0 }),
            help: None,
            ..found
        };
        assert_eq!(
            elsewhere.to_string().lines().nth(1),
            Some(" --> -n: expected ASYNC_MASTER, SYNC_MASTER or SLAVE")
        );
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["brokerIP1", "brokerIP2", "brokerName", "namesrvAddr", "flushDiskType"];
        let suggest = |word| nearest(word, known);
        assert_eq!(suggest("brokerip1"), Some("brokerIP1"));
        assert_eq!(suggest("broker-name"), Some("brokerName"));
        assert_eq!(suggest("nameSrvAddress"), Some("namesrvAddr"));
        assert_eq!(suggest("flushDiskTyep"), Some("flushDiskType"));
        assert_eq!(suggest("color"), None);
    }
}
