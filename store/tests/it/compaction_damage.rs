//! Compacted queues after power loss, and reads that fail for the moment.

use crate::compaction::*;
use crate::support::*;
use simulator::{Loss, Op};
use std::collections::BTreeMap;
use store::Store;

/// Messages of a key each, none of which a compaction leaves out.
fn fill_unique(store: &Store, from: i64, to: i64) {
    for at in from..to {
        let draft = with_key(&format!("u{at}"), &at.to_string());
        assert_eq!(append(store, NOW + at, draft).queue_offset, at);
    }
}

fn numbers(from: i64, to: i64) -> BTreeMap<i64, String> {
    (from..to).map(|at| (at, at.to_string())).collect()
}

#[test]
fn a_read_that_fails_for_the_moment_loses_nothing() {
    for after in 0..6 {
        let (sim, disk, settings) = sim(1);
        let store = begin(&disk, &settings);
        fill(&store, 0, 3);
        sim.fail(Op::Read, after, false);
        fill(&store, 3, 6);
        sim.heal();
        fill(&store, 6, 8);
        assert_eq!(all(&store), left(8), "{after}");
    }
}

/// The removals of one compaction are not on the disk when the next one is under way.
#[test]
fn a_compaction_after_another_may_end_anywhere() {
    for seed in 0..6 {
        for after in 0.. {
            let (sim, disk, settings) = sim(seed);
            sim.order_names(false);
            let store = begin(&disk, &settings);
            fill_unique(&store, 0, 20);
            compact(&store);
            fill_unique(&store, 20, 40);
            store.sync().unwrap();
            sim.die_after(after);
            let _ = store.compact(&|| true);
            let is_over = !sim.is_dead();
            sim.lose(Loss::ALL[(after % 6) as usize]);
            drop(store);
            let store = begin(&disk, &settings);
            let found = all(&store);
            let lacking: Vec<_> =
                numbers(0, 40).into_keys().filter(|at| !found.contains_key(at)).collect();
            assert!(lacking.is_empty(), "{seed} {after}: {lacking:?}");
            if is_over {
                break;
            }
        }
    }
}
