//! Which connections an event loop hands to another one: so that no processor idles while
//! connections that could use it wait for each other; and so that a few messages a second wake one
//! thread, which finds the caches warm, and not all of them, unless a turn there holds all of them
//! for long. Pure: times are given.

use std::time::Duration;

/// Below this share of its time an event loop keeps what it has.
const BUSY: f64 = 0.5;
/// Two event loops that differ by less than this are balanced.
const APART: f64 = 0.25;
/// Two event loops that have no more to do than this together need one processor.
const QUIET: f64 = 0.45;
/// A longer turn holds connections that wait behind it for too long.
pub(crate) const LONG: Duration = Duration::from_millis(10);
/// An event loop that had a long turn within this time may have another.
const LATELY: Duration = Duration::from_secs(5);

/// What an event loop did since the loops were last compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// How busy it was of its own time, 0 to 1.
    pub(crate) busy: f64,
    /// How long ago its last [`LONG`] turn ended; zero while it is in one.
    pub(crate) long_ago: Option<Duration>,
}

impl Load {
    fn had_long(&self, within: Duration) -> bool {
        self.long_ago.is_some_and(|ago| ago <= within)
    }
}

/// The connections that loop `number` hands to others, and to which, given the loads of all for
/// this `time`: some of `requests`, which counts what each connection asked in it.
///
/// One that has little to do was dealt what others have not to do. When a turn there was long,
/// which of them was the cause is not known: it deals as if it were busy for all of its time, and
/// again if that did not help, to those without such turns. What asked only when the turn had
/// ended is looked at with the next time, of which that end is the beginning.
pub(crate) fn to_move(
    number: usize,
    loads: &[Load],
    time: Duration,
    mut requests: Vec<(usize, u64)>,
) -> Vec<(usize, usize)> {
    let is_held_up = loads[number].busy < BUSY && loads[number].had_long(time.min(LATELY));
    let share = |load: &Load| if is_held_up && load.had_long(LATELY) { 1.0 } else { load.busy };
    let shares: Vec<f64> = loads.iter().map(share).collect();
    let all: u64 = requests.iter().map(|(_, count)| count).sum();
    let mut mine = shares[number];
    let part = |count: u64| shares[number] * count as f64 / all as f64;
    let mut others: Vec<usize> = (0..shares.len()).filter(|other| *other != number).collect();
    others.sort_by(|a, b| shares[*a].total_cmp(&shares[*b]));
    // Once for all loops: each takes from here what is nearest to what it wants.
    requests.sort_by_key(|(_, count)| *count);
    let mut moved = Vec::new();
    for to in others {
        let gap = mine - shares[to];
        if mine < BUSY || gap < APART {
            break;
        }
        // Each of the loops may hand something to this one.
        let mut wanted = gap / shares.len() as f64;
        let mut gone = Vec::new();
        for at in nearest(&requests, wanted, part) {
            let part = part(requests[at].1);
            // A larger one would leave them nearly as far apart the other way, and go to and fro.
            if part < gap * 0.75 && (gone.is_empty() || part <= wanted) {
                (wanted, mine) = (wanted - part, mine - part);
                gone.push(at);
            }
        }
        moved.extend(gone.iter().map(|at| (requests[*at].0, to)));
        gone.sort_unstable();
        let mut at = 0;
        requests.retain(|_| {
            at += 1;
            gone.binary_search(&(at - 1)).is_err()
        });
    }
    moved
}

/// The places of requests, the fewest of which come first, in the order of how near to `wanted`
/// their part is.
fn nearest(
    requests: &[(usize, u64)],
    wanted: f64,
    part: impl Fn(u64) -> f64,
) -> impl Iterator<Item = usize> {
    let mut above = requests.partition_point(|(_, count)| part(*count) < wanted);
    let mut below = above;
    std::iter::from_fn(move || {
        let off = |at: usize| requests.get(at).map(|(_, count)| (part(*count) - wanted).abs());
        let (smaller, larger) = (below.checked_sub(1).and_then(off), off(above));
        if smaller.is_some_and(|smaller| larger.is_none_or(|larger| smaller < larger)) {
            below -= 1;
            return Some(below);
        }
        larger?;
        above += 1;
        Some(above - 1)
    })
}

/// The loop that can do the work of loop `number` beside its own, given the loads of all: each
/// looks among those before it alone, so that no two hand their connections to each other, and
/// counts those between, which may do the same. Where a turn was long lately nothing is gathered:
/// the next one would hold all.
pub(crate) fn to_gather(number: usize, loads: &[Load]) -> Option<usize> {
    let is_quiet =
        |to: usize| loads[to..=number].iter().map(|load| load.busy).sum::<f64>() <= QUIET;
    let had_long = |at: usize| loads[at].had_long(LATELY);
    (0..number).find(|to| is_quiet(*to) && !had_long(*to) && !had_long(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];
    const ALONE: [f64; 2] = [1.0, 0.0];
    const PERIOD: Duration = Duration::from_millis(100);

    fn loads(shares: &[f64]) -> Vec<Load> {
        shares.iter().map(|busy| Load { busy: *busy, long_ago: None }).collect()
    }

    /// These had a long turn so many ms ago.
    fn with_long(shares: &[f64], long_ago: &[(usize, u64)]) -> Vec<Load> {
        let mut loads = loads(shares);
        for (number, ms) in long_ago {
            loads[*number].long_ago = Some(Duration::from_millis(*ms));
        }
        loads
    }

    fn given(loads: &[Load], requests: &[(usize, u64)]) -> Vec<usize> {
        let moved = to_move(0, loads, PERIOD, requests.to_vec());
        moved.into_iter().map(|(token, _)| token).collect()
    }

    fn moved(shares: &[f64], requests: &[(usize, u64)]) -> Vec<usize> {
        given(&loads(shares), requests)
    }

    fn gathers(number: usize, shares: &[f64]) -> Option<usize> {
        to_gather(number, &loads(shares))
    }

    fn alike(count: usize) -> Vec<(usize, u64)> {
        (0..count).map(|token| (token, 7)).collect()
    }

    #[test]
    fn one_of_two_busy_connections_goes() {
        assert_eq!(moved(&ALONE, &[(5, 1000), (7, 1000)]), [5]);
        assert_eq!(moved(&ALONE, &[(3, 100), (5, 900), (7, 500), (8, 500)]), [5]);
        assert_eq!(moved(&[1.0, 0.0, 0.0, 0.0], &[(5, 1000), (7, 1000)]), [5]);
    }

    #[test]
    fn of_many_alike_half_go() {
        for count in [2, 4, 5, 8, 20, 1000] {
            let moved = moved(&ALONE, &alike(count)).len();
            assert!(moved > 0 && moved.abs_diff(count / 2) <= 1, "{moved}");
        }
    }

    #[test]
    fn the_nearest_to_what_is_wanted_comes_first() {
        let part = |count: u64| count as f64;
        let order = |requests: &[(usize, u64)], wanted: f64| -> Vec<usize> {
            nearest(requests, wanted, part).collect()
        };
        let requests = [(7, 1), (8, 3), (9, 3), (5, 4), (6, 9)];
        assert_eq!(order(&requests, 3.4), [2, 1, 3, 0, 4]);
        assert_eq!(order(&requests, 0.0), [0, 1, 2, 3, 4]);
        assert_eq!(order(&requests, 99.0), [4, 3, 2, 1, 0]);
        assert_eq!(order(&[], 1.0), NONE);
    }

    #[test]
    fn one_that_is_idle_gets_no_more_of_many_that_are_busy_than_it_can_do() {
        let mut shares = [1.0; 8];
        shares[7] = 0.0;
        assert_eq!(moved(&shares, &alike(80)).len(), 10, "seven give it so much");
    }

    #[test]
    fn one_that_has_all_deals_it_to_all() {
        let mut shares = [0.0; 8];
        shares[0] = 1.0;
        let moved = to_move(0, &loads(&shares), PERIOD, alike(160));
        for to in 1..5 {
            let count = moved.iter().filter(|(_, other)| *other == to).count();
            assert!((8..=20).contains(&count), "{to}: {count}");
        }
    }

    #[test]
    fn a_connection_that_is_the_whole_load_stays_and_others_leave_it() {
        assert_eq!(moved(&ALONE, &[(3, 1000), (5, 1)]), [5]);
        assert_eq!(moved(&ALONE, &[(3, 1000)]), NONE);
        assert_eq!(moved(&ALONE, &[]), NONE);
    }

    #[test]
    fn loops_that_are_idle_or_alike_keep_what_they_have() {
        let two = [(3, 1000), (5, 1000)];
        assert_eq!(moved(&[0.4, 0.0], &two), NONE);
        assert_eq!(moved(&[1.0, 0.8], &two), NONE);
        assert_eq!(moved(&[1.0, 0.4], &two), NONE, "0.5 would go back");
    }

    #[test]
    fn what_one_can_do_is_gathered_before() {
        assert_eq!(gathers(1, &[0.1, 0.2]), Some(0));
        assert_eq!(gathers(0, &[0.1, 0.2]), None, "the two would change places for ever");
        assert_eq!(gathers(1, &[0.3, 0.2]), None);
        assert_eq!(gathers(3, &[0.5, 0.2, 0.1, 0.1]), Some(1));
        assert_eq!(gathers(2, &[0.0, 0.2, 0.2]), Some(0));
        assert_eq!(gathers(2, &[0.2, 0.2, 0.2]), Some(1), "the one between goes there too");
        assert_eq!(gathers(1, &[0.0, 0.45]), Some(0));
    }

    #[test]
    fn what_was_gathered_is_not_scattered_at_once() {
        const { assert!(QUIET < BUSY) };
    }

    #[test]
    fn nothing_is_gathered_where_a_turn_was_long_lately() {
        let quiet = [0.1, 0.1, 0.1];
        assert_eq!(to_gather(2, &with_long(&quiet, &[(0, 4_999)])), Some(1));
        assert_eq!(to_gather(2, &with_long(&quiet, &[(0, 0), (1, 0)])), None);
        assert_eq!(to_gather(2, &with_long(&quiet, &[(2, 4_999)])), None, "the cause comes along");
        assert_eq!(to_gather(2, &with_long(&quiet, &[(0, 5_001), (1, 0), (2, 5_001)])), Some(0));
    }

    #[test]
    fn a_long_turn_deals_out_what_was_gathered_once() {
        let shares = [0.2, 0.0];
        assert_eq!(given(&loads(&shares), &alike(8)), NONE);
        assert_eq!(given(&with_long(&shares, &[(0, 0)]), &alike(8)).len(), 4);
        assert_eq!(given(&with_long(&shares, &[(0, 100)]), &alike(8)).len(), 4, "they waited");
        assert_eq!(given(&with_long(&shares, &[(0, 101)]), &alike(8)), NONE);
        assert_eq!(given(&with_long(&shares, &[(0, 0)]), &[(3, 7)]), NONE);
        let both = with_long(&shares, &[(0, 0), (1, 4_999)]);
        assert_eq!(given(&both, &alike(8)), NONE, "to and fro");
    }

    #[test]
    fn long_turns_keep_no_busy_loop_from_dealing() {
        for long_ago in [&[(1, 0)][..], &[(0, 0), (1, 0)]] {
            let given = given(&with_long(&[0.9, 0.1], long_ago), &alike(8));
            assert_eq!(given, moved(&[0.9, 0.1], &alike(8)));
            assert!(!given.is_empty());
        }
    }
}
