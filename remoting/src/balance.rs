//! Which connections an event loop hands to another one: so that no processor idles while
//! connections that could use it wait for each other; and so that a few messages a second wake one
//! thread, which finds the caches warm, and not all of them. Pure: times are given.

/// Below this share of its time an event loop keeps what it has.
const BUSY: f64 = 0.5;
/// Two event loops that differ by less than this are balanced.
const APART: f64 = 0.25;
/// Two event loops that have no more to do than this together need one processor.
const QUIET: f64 = 0.45;

/// What event loops did with some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Of its own time, 0 to 1, the one that asks was busy.
    pub(crate) mine: f64,
    /// Of its own time the other one was.
    pub(crate) theirs: f64,
    /// How many there are, all of which may hand something to the other one.
    pub(crate) loops: usize,
}

/// The connections whose move brings the two near to each other, if any does: some of `requests`,
/// which counts what each connection asked in that time.
pub(crate) fn to_move(share: Share, requests: impl Iterator<Item = (usize, u64)>) -> Vec<usize> {
    let gap = share.mine - share.theirs;
    if share.mine < BUSY || gap < APART {
        return Vec::new();
    }
    let mut requests: Vec<(usize, u64)> = requests.filter(|(_, count)| *count > 0).collect();
    let all: u64 = requests.iter().map(|(_, count)| count).sum();
    let part = |count: u64| share.mine * count as f64 / all as f64;
    let mut wanted = gap / share.loops as f64;
    let off = |count: u64| (wanted - part(count)).abs();
    // A larger one would leave them nearly as far apart the other way, and go to and fro.
    requests.retain(|(_, count)| part(*count) < gap * 0.75);
    requests.sort_by(|a, b| off(a.1).total_cmp(&off(b.1)));
    let mut moved = Vec::new();
    for (token, count) in requests {
        if moved.is_empty() || part(count) <= wanted {
            wanted -= part(count);
            moved.push(token);
        }
    }
    moved
}

/// The loop that can do the work of loop `number` beside its own, given the shares of all: each
/// looks among those before it alone, so that no two hand their connections to each other.
pub(crate) fn to_gather(number: usize, shares: &[f64]) -> Option<usize> {
    shares[..number].iter().position(|theirs| theirs + shares[number] <= QUIET)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];
    const ALONE: Share = Share { mine: 1.0, theirs: 0.0, loops: 2 };

    fn moved(share: Share, requests: &[(usize, u64)]) -> Vec<usize> {
        to_move(share, requests.iter().copied())
    }

    #[test]
    fn one_of_two_busy_connections_goes() {
        assert_eq!(moved(ALONE, &[(3, 0), (5, 1000), (7, 1000)]), [5]);
        assert_eq!(moved(ALONE, &[(3, 100), (5, 900), (7, 500), (8, 500)]), [5]);
        assert_eq!(moved(Share { loops: 8, ..ALONE }, &[(5, 1000), (7, 1000)]), [5]);
    }

    #[test]
    fn of_many_alike_half_go() {
        for count in [2, 4, 5, 8, 20, 1000] {
            let alike: Vec<_> = (0..count).map(|token| (token, 7)).collect();
            let moved = moved(ALONE, &alike).len();
            assert!((1..=count).contains(&moved) && moved.abs_diff(count / 2) <= 1, "{moved}");
        }
    }

    #[test]
    fn one_that_is_idle_gets_no_more_of_many_that_are_busy_than_it_can_do() {
        let alike: Vec<_> = (0..80).map(|token| (token, 7)).collect();
        let moved = moved(Share { loops: 8, ..ALONE }, &alike);
        assert_eq!(moved.len(), 10, "seven give it so much");
    }

    #[test]
    fn a_connection_that_is_the_whole_load_stays_and_others_leave_it() {
        assert_eq!(moved(ALONE, &[(3, 1000), (5, 1)]), [5]);
        assert_eq!(moved(ALONE, &[(3, 1000)]), NONE);
        assert_eq!(moved(ALONE, &[]), NONE);
        assert_eq!(moved(ALONE, &[(3, 0)]), NONE);
    }

    #[test]
    fn loops_that_are_idle_or_alike_keep_what_they_have() {
        let two = [(3, 1000), (5, 1000)];
        assert_eq!(moved(Share { mine: 0.4, ..ALONE }, &two), NONE);
        assert_eq!(moved(Share { theirs: 0.8, ..ALONE }, &two), NONE);
        assert_eq!(moved(Share { theirs: 0.4, ..ALONE }, &two), NONE, "0.5 would go back");
    }

    #[test]
    fn what_one_can_do_is_gathered_before() {
        assert_eq!(to_gather(1, &[0.1, 0.2]), Some(0));
        assert_eq!(to_gather(0, &[0.1, 0.2]), None, "the two would change places for ever");
        assert_eq!(to_gather(1, &[0.3, 0.2]), None);
        assert_eq!(to_gather(3, &[0.5, 0.3, 0.1, 0.1]), Some(1));
        assert_eq!(to_gather(1, &[0.0, 0.45]), Some(0));
    }

    #[test]
    fn what_was_gathered_is_not_scattered_at_once() {
        const { assert!(QUIET < BUSY) };
    }
}
