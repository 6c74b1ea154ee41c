//! `Counter`: one statistic, and its last minute, hour and day (Java: `StatsItem`). It knows no
//! clock: [`Counter::sample`] is told the time and which window is due.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// The three windows of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// A sample each 10 s.
    Minute,
    /// A sample each 10 min.
    Hour,
    /// A sample each hour.
    Day,
}

impl Window {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Time between two samples, ms.
    pub fn period_ms(self) -> i64 {
        match self {
            Self::Minute => 10_000,
            Self::Hour => 600_000,
            Self::Day => 3_600_000,
        }
    }

    /// Samples that are kept: the whole window and the sample it starts with.
    fn samples(self) -> usize {
        match self {
            Self::Minute | Self::Hour => 7,
            Self::Day => 25,
        }
    }
}

/// What happened within one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// How much was counted.
    pub sum: u64,
    /// `sum` by second.
    pub per_second: f64,
    /// `sum` by time it was counted; 0 for counters that don't count their times.
    pub average: f64,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at_ms: i64,
    sum: u64,
    times: u64,
}

/// A growing number that many threads add to.
#[derive(Debug, Default)]
pub struct Counter {
    sum: AtomicU64,
    times: AtomicU64,
    /// Made by the first sample after something was counted: most counters stay empty.
    windows: Mutex<Option<Box<[VecDeque<Sample>; 3]>>>,
}

impl Counter {
    /// Counts one event of this size.
    pub fn add(&self, amount: u64) {
        self.add_times(amount, 1);
    }

    /// Counts several events of this size together.
    pub fn add_times(&self, amount: u64, times: u64) {
        self.sum.fetch_add(amount, Ordering::Relaxed);
        self.times.fetch_add(times, Ordering::Relaxed);
    }

    /// Counts without counting how often, as Java does for the broker's totals.
    pub fn add_sum(&self, amount: u64) {
        self.sum.fetch_add(amount, Ordering::Relaxed);
    }

    /// All that was counted.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// Whether nothing was ever counted: for Java such a statistic does not exist.
    pub fn is_unused(&self) -> bool {
        self.sum() == 0 && self.times.load(Ordering::Relaxed) == 0
    }

    /// Takes the sample of one window.
    pub fn sample(&self, window: Window, now_ms: i64) {
        if self.is_unused() {
            return;
        }
        let sample =
            Sample { at_ms: now_ms, sum: self.sum(), times: self.times.load(Ordering::Relaxed) };
        let mut windows = self.windows.lock();
        let samples = &mut windows.get_or_insert_default()[window as usize];
        if samples.is_empty() {
            // What was counted before the first sample belongs to the period before it.
            samples.push_back(Sample { at_ms: now_ms - window.period_ms(), sum: 0, times: 0 });
        }
        samples.push_back(sample);
        if samples.len() > window.samples() {
            samples.pop_front();
        }
    }

    /// What happened within the window, as far as it was sampled.
    pub fn span(&self, window: Window) -> Span {
        let windows = self.windows.lock();
        let samples = windows.as_ref().map(|windows| &windows[window as usize]);
        let ends = samples.and_then(|samples| Some((samples.front()?, samples.back()?)));
        let Some((first, last)) = ends else { return Span::default() };
        let (sum, times) = (last.sum - first.sum, last.times - first.times);
        Span {
            sum,
            per_second: per_second(sum, last.at_ms - first.at_ms),
            average: if times == 0 { 0.0 } else { sum as f64 / times as f64 },
        }
    }
}

/// `count` by second over a time in ms; 0 when no time passed.
pub(super) fn per_second(count: u64, over_ms: i64) -> f64 {
    if over_ms <= 0 { 0.0 } else { count as f64 * 1000.0 / over_ms as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_spans_its_first_and_last_sample() {
        let counter = Counter::default();
        counter.sample(Window::Minute, 5_000);
        assert_eq!(counter.span(Window::Minute), Span::default(), "nothing counted, no sample");

        counter.add(30);
        counter.add(10);
        counter.sample(Window::Minute, 10_000);
        let span = counter.span(Window::Minute);
        assert_eq!(span, Span { sum: 40, per_second: 4.0, average: 20.0 });
        assert_eq!(counter.span(Window::Hour), Span::default());
    }

    #[test]
    fn old_samples_leave_the_window() {
        let counter = Counter::default();
        for tick in 0..20 {
            counter.add(10);
            counter.sample(Window::Minute, tick * 10_000);
        }
        let span = counter.span(Window::Minute);
        assert_eq!(span, Span { sum: 60, per_second: 1.0, average: 10.0 });
        assert_eq!(counter.sum(), 200);
    }

    #[test]
    fn a_sum_without_times_has_no_average() {
        let counter = Counter::default();
        counter.add_sum(10);
        counter.sample(Window::Day, 3_600_000);
        assert_eq!(counter.span(Window::Day).average, 0.0);
        assert_eq!(counter.span(Window::Day).sum, 10);
    }
}
