//! A bar for work that takes long: on standard error, and only when that is a terminal.

use std::cell::Cell;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use store::Progress;

/// The bar, which stays away without a terminal.
pub(super) struct Bar {
    bar: ProgressBar,
    what: Cell<&'static str>,
}

impl Bar {
    pub(super) fn new() -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style = "{msg} {wide_bar} {percent} %  {elapsed_precise}, {eta_precise} left";
        let style = ProgressStyle::with_template(style).expect("a template of known words");
        let bar = ProgressBar::with_draw_target(Some(1), target).with_style(style);
        Self { bar, what: Cell::new("") }
    }

    pub(super) fn tell(&self, progress: Progress) {
        if self.what.replace(progress.what) != progress.what {
            self.bar.reset();
            self.bar.set_message(progress.what);
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
