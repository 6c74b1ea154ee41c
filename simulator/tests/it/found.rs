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
    (1220, "what a start cut was zeros in memory alone, and power loss brought it back"),
    (2875, "a message was acknowledged whose bytes a failed write of the call had thrown away"),
    (66028, "a record behind the place of a lost one was put one place down after a second loss"),
    (66240, "a removed topic was forgotten before the files with its messages were gone for good"),
    (66502, "old units came back behind the end of a queue that a start had cut"),
    (68741, "bits flipped and a message was not found; the cause is not known"),
    (69146, "a bit of the checkpoint made another broker's store of ours, and that cut the log"),
    (70702, "no key found a message of a removed topic; the cause is not known"),
    (103551, "keys of a record that were put twice gave two index files the same beginning"),
    (105724, "power loss undid the removal of a queue that had been cut short"),
    (105947, "empty files behind a queue's end moved that on at the next clean start"),
    (106345, "a queue made anew put a record behind places of lost ones too far in front"),
    (109572, "a unit before places of lost ones contradicted those behind, and was kept"),
    (110684, "keys that a failed sync left in memory were lost when that was given back"),
    (113049, "a queue's last unit led to an expired record and was dropped as if it led nowhere"),
    (113298, "a unit that led too far made its queue end behind it"),
    (113854, "a new store that lost its first file before anything was durable did not start"),
    (117671, "a start began in the middle of a record that holds zeros"),
    (117743, "a removed queue of which no unit was left was not taken for one"),
    (119603, "two bits of one unit let it lead into what was set aside"),
    (127176, "a place that was kept in memory was not given to its record"),
    (129672, "a bit of a queue's first unit made its message look expired"),
    (130535, "a bit of a time in the checkpoint made another broker's store of ours"),
    (131239, "an index entry that a failed sync forgot led to another record"),
    (137209, "expired files that came back in part made holes"),
    (137966, "records of a store that was taken for another broker's were cut"),
    (138748, "a torn record was kept for a torn one behind it, and lost at the next start"),
    (139019, "a record of a removed topic behind damage was not taken for one"),
    (147673, "a removal that was cut short was not finished where the last record was lost"),
    (200831, "a record that was hit took the place of another one"),
    (201080, "a bit of the last unit of a queue file made the whole file look expired"),
    (201304, "a queue that began with an empty file did not get what was before it"),
    (203371, "an index file that a killed start had removed came back, with keys of lost records"),
    (204964, "an index file that had the second part of a record's keys passed for whole"),
    (500770, "an index file took the name of one that had expired, before those that were there"),
    (501101, "keys of a record that were put again behind the checkpoint passed for durable"),
    (612901, "small queue files were not looked at as far back as they may have been lost"),
    (
        629169,
        "kept places were in memory alone after a start that failed, and power loss took them",
    ),
    (631309, "files of a queue that had expired came back in part, and hid where it ended"),
    (631380, "an empty queue whose removal was cut short was there in part"),
    (2100291, "expired files of the log came back in part, and a queue lost its end over them"),
    (2100868, "a removed queue stayed, for its last record was in a log that came back in part"),
    (3002945, "a clock was set back and twelve seconds passed before a flush could see it"),
    (5003795, "the checker took a message with the flag of an inner batch for another one"),
    (5002751, "a bit of the first unit of an inner batch made it look expired"),
    (
        5005252,
        "a bit of an inner batch's unit, and a damaged record beside its own, hid its messages",
    ),
    (5005518, "a bit of an inner batch's size let its unit lead into what was set aside"),
    (5005661, "a bit of the first unit of an inner batch made its queue begin behind its end"),
    (6009407, "what was set aside in a log file was forgotten with it, and the file came back"),
    (6015350, "no unit of a file of inner batches led on, and a reader stayed before it for good"),
    (14002000, "the checker gave a torn message nobody was told of no place in its light queue"),
    (30000386, "a start did not know of a queue file that had expired, and its queue came back"),
    (30014399, "a bit of a unit let an inner batch behind a damaged record go with it"),
    (54001711, "a batch without its properties, which power took, moved those behind it"),
    (54008623, "a bit of the last unit of a file of inner batches took the file away"),
];

#[test]
fn seeds_that_found_something_hold() {
    run_all(&FOUND.iter().map(|(seed, _)| *seed).collect::<Vec<_>>());
}
