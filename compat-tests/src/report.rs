//! Verdicts, and the tables made of them.

use std::fmt::Write as _;

/// How one scenario ended for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Pass,
    /// Not, and why.
    Fail(String),
    /// The client cannot do it.
    NotApplicable(String),
}

/// One cell of the table.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The row.
    pub scenario: String,
    /// The column.
    pub client: String,
    /// The cell.
    pub verdict: Verdict,
    /// How long it took.
    pub ms: u64,
    /// What the scenario measured.
    pub notes: String,
    /// Why the first try failed, if this was the second.
    pub first: Option<String>,
}

/// All cells of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Columns in the order wanted; others come first.
    order: Vec<&'static str>,
    outcomes: Vec<Outcome>,
}

impl Report {
    /// An empty one, with its columns in this order.
    #[must_use]
    pub fn with_columns(order: Vec<&'static str>) -> Self {
        Self { order, outcomes: Vec::new() }
    }

    /// Adds a cell.
    pub fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// Takes over all cells of another report.
    pub fn append(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
    }

    /// Takes over all cells of another report into one column.
    pub fn absorb(&mut self, other: Self, column: &str) {
        for mut outcome in other.outcomes {
            column.clone_into(&mut outcome.client);
            self.add(outcome);
        }
    }

    /// All cells.
    pub fn all(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter()
    }

    /// Adds the verdict of something that is no client's scenario.
    pub fn add_check(&mut self, column: &str, row: &str, found: Result<String, String>, ms: u64) {
        let (verdict, notes) = match found {
            Ok(notes) => (Verdict::Pass, notes),
            Err(why) => (Verdict::Fail(why), String::new()),
        };
        let (scenario, client) = (row.to_owned(), column.to_owned());
        self.add(Outcome { scenario, client, verdict, ms, notes, first: None });
    }

    /// The cell added last.
    #[must_use]
    pub fn into_last(mut self) -> Option<Outcome> {
        self.outcomes.pop()
    }

    /// Takes out the cells that failed in these columns.
    pub fn take_failed(&mut self, columns: &[&str]) -> Vec<Outcome> {
        let is_failed = |cell: &mut Outcome| {
            matches!(cell.verdict, Verdict::Fail(_)) && columns.contains(&cell.client.as_str())
        };
        self.outcomes.extract_if(.., is_failed).collect()
    }

    /// How many passed and how many failed.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let passed = self.outcomes.iter().filter(|cell| cell.verdict == Verdict::Pass).count();
        let is_fail = |cell: &&Outcome| matches!(cell.verdict, Verdict::Fail(_));
        (passed, self.outcomes.iter().filter(is_fail).count())
    }

    /// Markdown tables, one for each set of columns that share rows; then the failures in words.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for columns in self.tables() {
            self.write_table(&mut text, &columns);
        }
        for cell in &self.outcomes {
            if let Verdict::Fail(why) = &cell.verdict {
                let _ = writeln!(text, "FAIL {} {}: {why}", cell.client, cell.scenario);
            } else if let Some(why) = &cell.first {
                let _ = writeln!(
                    text,
                    "passed at the second try: {} {}; at the first: {why}",
                    cell.client, cell.scenario
                );
            }
        }
        text
    }

    fn tables(&self) -> Vec<Vec<&str>> {
        let mut tables: Vec<Vec<&str>> = Vec::new();
        let mut clients = distinct(self.outcomes.iter().map(|cell| cell.client.as_str()));
        clients.sort_by_key(|client| self.order.iter().position(|known| known == client));
        for client in clients {
            let together = tables.iter_mut().find(|table| self.share_a_row(table[0], client));
            match together {
                Some(table) => table.push(client),
                None => tables.push(vec![client]),
            }
        }
        tables
    }

    fn share_a_row(&self, one: &str, other: &str) -> bool {
        self.rows(&[one]).iter().any(|row| self.cell(row, other).is_some())
    }

    fn rows(&self, columns: &[&str]) -> Vec<&str> {
        let cells = self.outcomes.iter().filter(|cell| columns.contains(&cell.client.as_str()));
        let mut rows = distinct(cells.map(|cell| cell.scenario.as_str()));
        rows.sort_unstable();
        rows
    }

    fn cell(&self, row: &str, column: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|cell| cell.scenario == row && cell.client == column)
    }

    fn write_table(&self, text: &mut String, columns: &[&str]) {
        let rows = self.rows(columns);
        let first = rows.iter().map(|row| row.len()).max().unwrap_or(0).max("scenario".len());
        let _ = write!(text, "\n| {:first$} |", "scenario");
        for column in columns {
            let _ = write!(text, " {column} |");
        }
        let _ = write!(text, "\n|{}|", "-".repeat(first + 2));
        for column in columns {
            let _ = write!(text, "{}|", "-".repeat(column.len() + 2));
        }
        for row in rows {
            let _ = write!(text, "\n| {row:first$} |");
            for column in columns {
                let word = self.cell(row, column).map_or("", |cell| match cell.verdict {
                    Verdict::Pass if cell.first.is_some() => "pass (2nd)",
                    Verdict::Pass => "pass",
                    Verdict::Fail(_) => "FAIL",
                    Verdict::NotApplicable(_) => "n/a",
                });
                let _ = write!(text, " {word:width$} |", width = column.len());
            }
        }
        text.push_str("\n\n");
    }
}

fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_without_a_common_row_stand_in_tables_of_their_own() {
        let mut report = Report::default();
        report.add_check("java", "send", Ok(String::new()), 1);
        report.add_check("go", "send", Err("no luck".into()), 1);
        report.add_check("mqadmin", "topicList", Ok(String::new()), 1);
        let text = report.text();
        assert!(text.contains("| scenario | java | go |"), "{text}");
        assert!(text.contains("| send     | pass | FAIL |"), "{text}");
        assert!(text.contains("| scenario  | mqadmin |"), "{text}");
        assert!(text.contains("FAIL go send: no luck"), "{text}");
        assert_eq!(report.counts(), (2, 1));
    }
}
