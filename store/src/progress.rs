//! How far a start has come, for whoever waits for it.

use std::cell::Cell;

/// So many bytes are worth another word.
const STEP: u64 = 4 << 20;

/// One step of [`crate::Store::open_watched`] and how much of it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step, in words that can stand in a sentence: `reading the commit log`.
    pub what: &'static str,
    /// Bytes looked at.
    pub done_bytes: u64,
    /// Bytes to be looked at as far as is known; never fewer than those done.
    pub total_bytes: u64,
}

impl Progress {
    /// The done part of the step, 0 to 100.
    pub fn percent(&self) -> u8 {
        let percent = u128::from(self.done_bytes) * 100 / u128::from(self.total_bytes.max(1));
        u8::try_from(percent).unwrap_or(100).min(100)
    }
}

/// One step under way.
pub(crate) struct Step<'a> {
    watch: &'a dyn Fn(Progress),
    what: &'static str,
    total: u64,
    done: Cell<u64>,
    told: Cell<u64>,
}

impl<'a> Step<'a> {
    /// A step of `total` bytes; tells that it begins.
    pub(crate) fn begin(watch: &'a dyn Fn(Progress), what: &'static str, total: u64) -> Self {
        let step = Self { watch, what, total, done: Cell::new(0), told: Cell::new(0) };
        step.tell();
        step
    }

    /// Notes that `bytes` more are done; tells every few MiB.
    pub(crate) fn advance(&self, bytes: u64) {
        self.done.set(self.done.get().saturating_add(bytes));
        if self.done.get() - self.told.get() >= STEP {
            self.tell();
        }
    }

    fn tell(&self) {
        let done_bytes = self.done.get();
        self.told.set(done_bytes);
        let total_bytes = self.total.max(done_bytes);
        (self.watch)(Progress { what: self.what, done_bytes, total_bytes });
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
        let empty = Progress { what: "nothing", done_bytes: 0, total_bytes: 0 };
        assert_eq!(empty.percent(), 0);
    }
}
