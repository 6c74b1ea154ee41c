//! What is written to the log while a test runs.

use parking_lot::Mutex;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Once};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Runs `body` and returns its result with the warnings and errors that were logged meanwhile, each
/// with its level and fields.
pub fn lines_of<T>(body: impl FnOnce() -> T) -> (T, Vec<String>) {
    lines_to(Level::WARN, body)
}

/// The same with all lines down to a level.
pub fn lines_to<T>(least: Level, body: impl FnOnce() -> T) -> (T, Vec<String>) {
    // Else a line that tests without a subscriber reach first, at that moment, is off for all.
    static ALWAYS_ON: Once = Once::new();
    ALWAYS_ON.call_once(|| {
        let none = Lines { least: Level::TRACE, kept: None };
        let set = tracing::subscriber::set_global_default(none);
        set.expect("tests have no other");
    });
    let lines = Arc::new(Mutex::new(Vec::new()));
    let keeping = Lines { least, kept: Some(lines.clone()) };
    let done = tracing::subscriber::with_default(keeping, body);
    let lines = std::mem::take(&mut *lines.lock());
    (done, lines)
}

/// Keeps what is logged down to a level, or nothing of it.
struct Lines {
    least: Level,
    kept: Option<Arc<Mutex<Vec<String>>>>,
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("to a text");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.least
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(kept) = &self.kept else { return };
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        kept.lock().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
