//! The report: Markdown, a row for each job and contestant, and ratios under ours.

use std::fmt::Write;

use crate::contest::Outcomes;
use crate::contest::jobs::Job;
use crate::contest::server::Contestant;
use crate::outcome::{Outcome, micros};

const HEAD: &str = "\
| job | | per second | p50 | p99 | p99.9 | max | cpu a message | anonymous | resident | failed |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|
";

/// Medians side by side.
pub(crate) fn render(
    jobs: &[(usize, &'static Job)],
    contestants: &[Contestant],
    outcomes: &Outcomes,
) -> String {
    let mut out = HEAD.to_owned();
    for &(place, job) in jobs {
        let median = |who| outcomes.get(&(place, who)).map(|runs| Outcome::median(runs));
        let mut title = format!("{}: {}", job.name, job.what);
        for &who in contestants {
            let Some(outcome) = median(who) else { continue };
            let name = match outcome.client_us {
                us if us > 0.0 => format!("{who:?}; client {us:.2} us cpu a message"),
                _ => format!("{who:?}"),
            };
            row(&mut out, &std::mem::take(&mut title), &name, &outcome);
            if let Some([first, last]) = outcome.ends.as_deref() {
                ratios(&mut out, &format!("{who:?}, last tenth / first"), last, first);
            }
        }
        let Some(ours) = median(Contestant::Ours) else { continue };
        for other in [Contestant::Java, Contestant::Null] {
            if let Some(outcome) = median(other) {
                ratios(&mut out, &format!("ours / {other:?}"), &ours, &outcome);
            }
        }
    }
    out
}

fn row(out: &mut String, title: &str, who: &str, outcome: &Outcome) {
    let time = |us: f64| shown(us, micros);
    let memory = |mib: f64| shown(mib, |mib| format!("{mib:.1} MiB"));
    let _ = writeln!(
        out,
        "| {title} | {who} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        shown(outcome.per_second, thousands),
        time(outcome.p50_us),
        time(outcome.p99_us),
        time(outcome.p999_us),
        time(outcome.max_us),
        shown(outcome.processor_us, |us| format!("{us:.2} us")),
        memory(outcome.anonymous_mib),
        memory(outcome.resident_mib),
        outcome.failures(),
    );
}

fn ratios(out: &mut String, who: &str, ours: &Outcome, other: &Outcome) {
    let ratio = |figure: fn(&Outcome) -> f64| match (figure(ours), figure(other)) {
        (a, b) if a > 0.0 && b > 0.0 => times(a / b),
        _ => String::new(),
    };
    let _ = writeln!(
        out,
        "| | {who} | {} | {} | {} | {} | {} | {} | {} | {} | |",
        ratio(|o| o.per_second),
        ratio(|o| o.p50_us),
        ratio(|o| o.p99_us),
        ratio(|o| o.p999_us),
        ratio(|o| o.max_us),
        ratio(|o| o.processor_us),
        ratio(|o| o.anonymous_mib),
        ratio(|o| o.resident_mib),
    );
}

/// A figure that a job does not have is left out.
fn shown(figure: f64, show: impl Fn(f64) -> String) -> String {
    if figure > 0.0 { show(figure) } else { String::new() }
}

/// A ratio with three digits that count.
fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 10.0 => format!("x {ratio:.1}"),
        ratio if ratio >= 1.0 => format!("x {ratio:.2}"),
        ratio => format!("x {ratio:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_side_by_side() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(999.0), "999");
        let run = |per_second| Outcome { per_second, p50_us: 10.0, ..Outcome::default() };
        let outcomes = Outcomes::from([
            ((0, Contestant::Ours), vec![run(300.0)]),
            ((0, Contestant::Java), vec![run(100.0)]),
        ]);
        let jobs = [(0, &crate::contest::jobs::JOBS[0])];
        let table = render(&jobs, &[Contestant::Ours, Contestant::Java], &outcomes);
        assert!(table.contains("| ours / Java | x 3.00 | x 1.00 |"), "{table}");
        assert_eq!(table.lines().count(), 5, "{table}");
    }
}
