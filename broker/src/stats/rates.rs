//! Rates of the last 10, 60 and 600 seconds from one sample a second (Java: `StoreStatsService`).

use super::window::per_second;
use std::collections::VecDeque;

/// Samples that are kept: 600 seconds and the one they start with.
const SAMPLES: usize = 601;
const SPANS_S: [usize; 3] = [10, 60, 600];

/// What is sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at_ms: i64,
    /// Messages appended.
    pub(super) puts: u64,
    /// Queue reads that found messages.
    pub(super) found: u64,
    /// Queue reads that found none.
    pub(super) missed: u64,
    /// Messages read.
    pub(super) transferred: u64,
}

/// The samples of the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct Rates {
    samples: VecDeque<Sample>,
}

impl Rates {
    pub(super) fn push(&mut self, sample: Sample) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// How fast a number grew, by second, over 10, 60 and 600 seconds; `None` for a span that is
    /// longer than the samples reach.
    pub(super) fn of(&self, what: impl Fn(&Sample) -> u64) -> [Option<f64>; 3] {
        SPANS_S.map(|seconds| {
            let last = self.samples.back()?;
            let first = &self.samples[self.samples.len().checked_sub(seconds + 1)?];
            Some(per_second(what(last) - what(first), last.at_ms - first.at_ms))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(seconds: u64) -> Rates {
        let mut rates = Rates::default();
        for at in 0..=seconds {
            let at_ms = at as i64 * 1000;
            rates.push(Sample { at_ms, puts: at * at, found: 2 * at, missed: 0, transferred: 0 });
        }
        rates
    }

    #[test]
    fn a_rate_is_the_growth_of_its_span() {
        let rates = grown(1_000);
        assert_eq!(rates.of(|sample| sample.found), [Some(2.0); 3]);
        assert_eq!(rates.of(|sample| sample.puts), [1_990.0, 1_940.0, 1_400.0].map(Some));
        assert_eq!(rates.samples.len(), SAMPLES);
    }

    #[test]
    fn a_young_broker_has_the_rates_of_spans_that_have_passed() {
        for (seconds, known) in [(0, 0), (9, 0), (10, 1), (59, 1), (60, 2), (599, 2), (600, 3)] {
            let rates = grown(seconds).of(|sample| sample.found);
            assert_eq!(rates, std::array::from_fn(|at| (at < known).then_some(2.0)), "{seconds}");
        }
        assert_eq!(Rates::default().of(|sample| sample.found), [None; 3]);
    }
}
