//! What is fed with damaged bytes: each target takes any input and ends in an error or a repair.
//! The same functions run in seeded loops in the tests here and under cargo-fuzz in `fuzz/`.

mod config;
mod files;
mod filters;
mod timer;
mod wire;

/// A function that takes any bytes, and inputs that it takes as they are.
pub struct Target {
    /// As `cargo fuzz run` calls it.
    pub name: &'static str,
    /// Never panics, never loops for ever, holds little memory.
    pub run: fn(&[u8]),
    /// Sound inputs, to be damaged.
    pub examples: fn() -> Vec<Vec<u8>>,
    /// How many damaged inputs the tests try.
    pub tries: u64,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "record", run: wire::record, examples: wire::records, tries: 20_000 },
    Target { name: "properties", run: wire::properties, examples: wire::texts, tries: 20_000 },
    Target { name: "batch", run: wire::batch, examples: wire::batches, tries: 20_000 },
    Target { name: "frame", run: wire::frame, examples: wire::frames, tries: 20_000 },
    Target { name: "config", run: config::run, examples: config::examples, tries: 5_000 },
    Target { name: "filter", run: filters::run, examples: filters::examples, tries: 20_000 },
    Target { name: "commit_log", run: files::log, examples: files::logs, tries: 150 },
    Target { name: "consume_queue", run: files::queue, examples: files::queues, tries: 150 },
    Target { name: "index", run: files::index, examples: files::indexes, tries: 150 },
    Target { name: "checkpoint", run: files::checkpoint, examples: files::checkpoints, tries: 150 },
    Target { name: "timer_log", run: timer::log, examples: timer::logs, tries: 300 },
    Target { name: "timer_check", run: timer::check, examples: timer::checks, tries: 150 },
    Target { name: "timer_slots", run: timer::slots, examples: timer::noted_slots, tries: 150 },
];

/// Runs the target of a name.
///
/// # Panics
/// When there is none, or when the target fails.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of the table");
    (target.run)(data);
}
