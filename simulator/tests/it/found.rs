//! Seeds that found something in the store, run for ever. What a seed does changes with the
//! workload's code; a finding that a scenario can show without one stands in the store's own tests.

use crate::seeds::run_all;

/// The seed, and what it found when it was new.
const FOUND: &[(u64, &str)] = &[
    (33, "a log file expired before its queue units were durable: offsets were given twice"),
    (57, "a read that failed made messages look removed, and passed them over"),
    (131, "a topic removed and made again: after a kill the old messages hid the new ones"),
    (220, "a removal that was cut short left half of a topic's queues"),
    (769, "after a failed write the rest of the same call was stored with a gap in its offsets"),
    (2875, "a message was acknowledged whose bytes a failed write of the call had thrown away"),
];

#[test]
fn seeds_that_found_something_hold() {
    run_all(&FOUND.iter().map(|(seed, _)| *seed).collect::<Vec<_>>());
}
