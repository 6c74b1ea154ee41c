//! What a job found, and how it is told.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::process::Usage;

/// The longest time that the histogram tells apart.
const LONGEST: Duration = Duration::from_secs(120);

/// Collects while a job runs.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    latency_ns: Histogram<u64>,
    refused: BTreeMap<i32, u64>,
    pub(crate) messages: u64,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        let longest = LONGEST.as_nanos() as u64;
        let latency_ns = Histogram::new_with_bounds(1, longest, 3)?;
        Ok(Self { latency_ns, refused: BTreeMap::new(), messages: 0 })
    }

    /// Takes in what another one counted.
    pub(crate) fn add(&mut self, other: Self) -> Result<()> {
        self.latency_ns.add(other.latency_ns)?;
        self.messages += other.messages;
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        Ok(())
    }

    pub(crate) fn took(&mut self, ns: u64) {
        self.latency_ns.saturating_record(ns);
    }

    pub(crate) fn refuse(&mut self, code: i32) {
        *self.refused.entry(code).or_default() += 1;
    }

    pub(crate) fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Closes the job: `elapsed` from the first request to the last answer, the server's usage
    /// before and after, and how many requests never were answered.
    pub(crate) fn finish(
        self,
        elapsed: Duration,
        usage: Option<(Usage, Usage)>,
        unanswered: u64,
    ) -> Outcome {
        let quantile = |q: f64| self.latency_ns.value_at_quantile(q) as f64 / 1000.0;
        let messages = self.messages.max(1) as f64;
        let (before, after) = usage.unzip();
        let spent = after.unwrap_or_default().processor - before.unwrap_or_default().processor;
        Outcome {
            per_second: self.messages as f64 / elapsed.as_secs_f64(),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: self.latency_ns.max() as f64 / 1000.0,
            processor_us: spent.as_secs_f64() * 1e6 / messages,
            anonymous_mib: after.unwrap_or_default().anonymous_kib as f64 / 1024.0,
            resident_mib: after.unwrap_or_default().resident_kib as f64 / 1024.0,
            messages: self.messages,
            refused: self.refused,
            unanswered,
            ends: None,
            client_us: 0.0,
        }
    }
}

/// The figures of one run of one job. Times in microseconds, memory in MiB.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    /// The server's processor time for each message, 0 when its process is not known.
    pub(crate) processor_us: f64,
    pub(crate) anonymous_mib: f64,
    pub(crate) resident_mib: f64,
    pub(crate) messages: u64,
    /// Answers other than success, by response code.
    pub(crate) refused: BTreeMap<i32, u64>,
    pub(crate) unanswered: u64,
    /// The first and the last part of a long run, to tell whether it has a slope.
    pub(crate) ends: Option<Box<[Self; 2]>>,
    /// A stock client's processor time for each message, 0 when the load is our own.
    pub(crate) client_us: f64,
}

impl Outcome {
    /// Refusals by code and requests without an answer, or `-`.
    pub(crate) fn failures(&self) -> String {
        let mut parts: Vec<String> =
            self.refused.iter().map(|(code, count)| format!("{count} x code {code}")).collect();
        if self.unanswered > 0 {
            parts.push(format!("{} unanswered", self.unanswered));
        }
        if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
    }

    /// The median of several runs, figure by figure; failures are added up.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or_default()
        };
        let mut refused = BTreeMap::new();
        for (code, count) in runs.iter().flat_map(|run| &run.refused) {
            *refused.entry(*code).or_default() += count;
        }
        let end = |at: usize| -> Vec<Self> {
            runs.iter().filter_map(|run| Some(run.ends.as_ref()?[at].clone())).collect()
        };
        let ends = [end(0), end(1)];
        let ends = (!ends[0].is_empty()).then(|| Box::new(ends.map(|runs| Self::median(&runs))));
        Self {
            per_second: middle(|run| run.per_second),
            p50_us: middle(|run| run.p50_us),
            p99_us: middle(|run| run.p99_us),
            p999_us: middle(|run| run.p999_us),
            max_us: middle(|run| run.max_us),
            processor_us: middle(|run| run.processor_us),
            anonymous_mib: middle(|run| run.anonymous_mib),
            resident_mib: middle(|run| run.resident_mib),
            messages: runs.iter().map(|run| run.messages).sum(),
            refused,
            unanswered: runs.iter().map(|run| run.unanswered).sum(),
            ends,
            client_us: middle(|run| run.client_us),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.messages > 0 {
            write!(f, "{:.0}/s, {} messages; ", self.per_second, self.messages)?;
        }
        if self.max_us > 0.0 {
            let times = [self.p50_us, self.p99_us, self.p999_us, self.max_us].map(micros);
            let [p50, p99, p999, max] = times;
            write!(f, "p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}; ")?;
        }
        if self.processor_us > 0.0 {
            write!(f, "server {:.2} us a message; ", self.processor_us)?;
        }
        if self.client_us > 0.0 {
            write!(f, "client {:.2} us a message; ", self.client_us)?;
        }
        if self.resident_mib > 0.0 {
            let (anonymous, resident) = (self.anonymous_mib, self.resident_mib);
            write!(f, "{anonymous:.1} MiB anonymous, {resident:.1} MiB resident; ")?;
        }
        write!(f, "failures {}", self.failures())
    }
}

/// Microseconds in the unit that a person reads best.
pub(crate) fn micros(us: f64) -> String {
    match us {
        us if us < 100.0 => format!("{us:.1} us"),
        us if us < 10_000.0 => format!("{us:.0} us"),
        us => format!("{:.1} ms", us / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_run_and_failures_add_up() {
        let run = |per_second, code| Outcome {
            per_second,
            refused: BTreeMap::from([(code, 2)]),
            ..Outcome::default()
        };
        let median = Outcome::median(&[run(5.0, 2), run(100.0, 2), run(7.0, 1)]);
        assert_eq!(median.per_second, 7.0);
        assert_eq!(median.failures(), "2 x code 1, 4 x code 2");
        assert_eq!(Outcome::median(&[]).failures(), "-");
        assert!(median.ends.is_none());
        let ends = Some(Box::new([run(1.0, 0), run(2.0, 0)]));
        let long = Outcome { ends, ..Outcome::default() };
        assert_eq!(Outcome::median(&[long]).ends.map(|ends| ends[1].per_second), Some(2.0));
    }

    #[test]
    fn a_tally_counts_what_it_saw() {
        let mut tally = Tally::new().unwrap();
        for ns in 1..=1000 {
            tally.took(ns * 1000);
        }
        tally.messages = 1000;
        tally.refuse(2);
        let outcome = tally.finish(Duration::from_secs(2), None, 3);
        assert_eq!(outcome.per_second, 500.0);
        assert!((outcome.p99_us - 990.0).abs() < 2.0, "{outcome}");
        assert_eq!(outcome.failures(), "1 x code 2, 3 unanswered");
        let (mut all, mut part) = (Tally::new().unwrap(), Tally::new().unwrap());
        part.took(7);
        part.messages = 5;
        part.refuse(1);
        all.add(part).unwrap();
        assert_eq!((all.messages, all.refusals(), all.latency_ns.len()), (5, 1, 1));
    }
}
