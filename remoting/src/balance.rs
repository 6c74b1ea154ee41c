//! Which connections an event loop hands to another one: so that no processor idles while
//! connections that could use it wait for each other; and so that a few messages a second wake one
//! thread, which finds the caches warm, and not all of them. Pure: times are given.

/// Below this share of its time an event loop keeps what it has.
const BUSY: f64 = 0.5;
/// Two event loops that differ by less than this are balanced.
const APART: f64 = 0.25;
/// Two event loops that have no more to do than this together need one processor.
const QUIET: f64 = 0.45;

/// The connections that loop `number` hands to others, and to which, given the shares of all, which
/// say how busy each was of its own time, 0 to 1: some of `requests`, which counts what each
/// connection asked in that time.
pub(crate) fn to_move(
    number: usize,
    shares: &[f64],
    mut requests: Vec<(usize, u64)>,
) -> Vec<(usize, usize)> {
    let all: u64 = requests.iter().map(|(_, count)| count).sum();
    let mut mine = shares[number];
    let part = |count: u64| shares[number] * count as f64 / all as f64;
    let mut others: Vec<usize> = (0..shares.len()).filter(|other| *other != number).collect();
    others.sort_by(|a, b| shares[*a].total_cmp(&shares[*b]));
    let mut moved = Vec::new();
    for to in others {
        let gap = mine - shares[to];
        if mine < BUSY || gap < APART {
            break;
        }
        // Each of the loops may hand something to this one.
        let mut wanted = gap / shares.len() as f64;
        let off = |count: u64| (gap / shares.len() as f64 - part(count)).abs();
        requests.sort_by(|a, b| off(a.1).total_cmp(&off(b.1)));
        let mut is_first = true;
        requests.retain(|(token, count)| {
            let part = part(*count);
            // A larger one would leave them nearly as far apart the other way, and go to and fro.
            let goes = part < gap * 0.75 && (is_first || part <= wanted);
            if goes {
                is_first = false;
                (wanted, mine) = (wanted - part, mine - part);
                moved.push((*token, to));
            }
            !goes
        });
    }
    moved
}

/// The loop that can do the work of loop `number` beside its own, given the shares of all: each
/// looks among those before it alone, so that no two hand their connections to each other, and
/// counts those between, which may do the same.
pub(crate) fn to_gather(number: usize, shares: &[f64]) -> Option<usize> {
    (0..number).find(|to| shares[*to..=number].iter().sum::<f64>() <= QUIET)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];
    const ALONE: [f64; 2] = [1.0, 0.0];

    fn moved(shares: &[f64], requests: &[(usize, u64)]) -> Vec<usize> {
        to_move(0, shares, requests.to_vec()).into_iter().map(|(token, _)| token).collect()
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
    fn one_that_is_idle_gets_no_more_of_many_that_are_busy_than_it_can_do() {
        let mut shares = [1.0; 8];
        shares[7] = 0.0;
        assert_eq!(moved(&shares, &alike(80)).len(), 10, "seven give it so much");
    }

    #[test]
    fn one_that_has_all_deals_it_to_all() {
        let mut shares = [0.0; 8];
        shares[0] = 1.0;
        let moved = to_move(0, &shares, alike(160));
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
        assert_eq!(to_gather(1, &[0.1, 0.2]), Some(0));
        assert_eq!(to_gather(0, &[0.1, 0.2]), None, "the two would change places for ever");
        assert_eq!(to_gather(1, &[0.3, 0.2]), None);
        assert_eq!(to_gather(3, &[0.5, 0.2, 0.1, 0.1]), Some(1));
        assert_eq!(to_gather(2, &[0.0, 0.2, 0.2]), Some(0));
        assert_eq!(to_gather(2, &[0.2, 0.2, 0.2]), Some(1), "the one between goes there too");
        assert_eq!(to_gather(1, &[0.0, 0.45]), Some(0));
    }

    #[test]
    fn what_was_gathered_is_not_scattered_at_once() {
        const { assert!(QUIET < BUSY) };
    }
}
