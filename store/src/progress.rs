//! How far a start has come, for whoever waits for it.

use std::cell::Cell;

/// So many bytes are worth another word, and so many messages.
const BYTES: u64 = 4 << 20;
const MESSAGES: u64 = 1_024;

/// One step of a start and how much of it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step, in words that can stand in a sentence: `reading the commit log`.
    pub what: &'static str,
    /// Bytes, or messages, looked at.
    pub done: u64,
    /// Those to be looked at, as far as can be told without looking; never fewer than those done.
    pub total: u64,
}

impl Progress {
    /// The done part of the step, 0 to 100.
    pub fn percent(&self) -> u8 {
        let percent = u128::from(self.done) * 100 / u128::from(self.total.max(1));
        u8::try_from(percent).unwrap_or(100).min(100)
    }
}

/// One step under way.
pub struct Step<'a> {
    watch: &'a dyn Fn(Progress),
    what: &'static str,
    total: u64,
    /// So much is worth another word.
    every: u64,
    done: Cell<u64>,
    told: Cell<u64>,
}

impl<'a> Step<'a> {
    /// A step of `total` bytes; tells that it begins.
    pub fn begin(watch: &'a dyn Fn(Progress), what: &'static str, total: u64) -> Self {
        Self::begin_every(BYTES, (watch, what), total)
    }

    /// The same of a step of `total` messages.
    pub fn count(watch: &'a dyn Fn(Progress), what: &'static str, total: u64) -> Self {
        Self::begin_every(MESSAGES, (watch, what), total)
    }

    fn begin_every(
        every: u64,
        (watch, what): (&'a dyn Fn(Progress), &'static str),
        total: u64,
    ) -> Self {
        let step = Self { watch, what, total, every, done: Cell::new(0), told: Cell::new(0) };
        step.tell();
        step
    }

    /// Notes that so much more is done, and tells it now and then.
    pub fn advance(&self, by: u64) {
        self.reach(self.done.get().saturating_add(by));
    }

    /// Notes that so much is done in all, and tells it now and then.
    pub fn reach(&self, done: u64) {
        self.done.set(self.done.get().max(done));
        if self.done.get() - self.told.get() >= self.every {
            self.tell();
        }
    }

    fn tell(&self) {
        let done = self.done.get();
        self.told.set(done);
        (self.watch)(Progress { what: self.what, done, total: self.total.max(done) });
    }
}

impl Drop for Step<'_> {
    /// Whatever was not looked at need not be.
    fn drop(&mut self) {
        self.done.set(self.done.get().max(self.total));
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn every_few_mib_a_word() {
        let told = RefCell::new(Vec::new());
        let watch = |progress: Progress| told.borrow_mut().push(progress.percent());
        let step = Step::begin(&watch, "counting", 10 << 20);
        (0..10).for_each(|_| step.advance(1 << 20));
        drop(step);
        assert_eq!(*told.borrow(), [0, 40, 80, 100]);
        let empty = Progress { what: "nothing", done: 0, total: 0 };
        assert_eq!(empty.percent(), 0);
    }
}
