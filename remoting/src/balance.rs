//! Which connection an event loop hands to another one, so that no processor idles while
//! connections that could use it wait for each other. Pure: times are given.

/// Below this share of its time an event loop keeps what it has.
const BUSY: f64 = 0.5;
/// Two event loops that differ by less than this are balanced.
const APART: f64 = 0.25;

/// What an event loop did with some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Of its own time, 0 to 1, it was busy.
    pub(crate) mine: f64,
    /// Of its own time the other one was.
    pub(crate) theirs: f64,
}

impl Share {
    /// Whether a move may help.
    fn is_uneven(self) -> bool {
        self.mine >= BUSY && self.mine - self.theirs >= APART
    }
}

/// The connection whose move brings the two nearest to each other, if any does: one of `requests`,
/// which counts what each connection asked in that time.
pub(crate) fn to_move(share: Share, requests: impl Iterator<Item = (usize, u64)>) -> Option<usize> {
    if !share.is_uneven() {
        return None;
    }
    let requests: Vec<(usize, u64)> = requests.collect();
    let gap = share.mine - share.theirs;
    let all: u64 = requests.iter().map(|(_, count)| count).sum();
    let part = |count: u64| share.mine * count as f64 / all as f64;
    let off = |count: u64| (gap / 2.0 - part(count)).abs();
    // A larger one would leave them nearly as far apart the other way, and go to and fro.
    let moves = requests.iter().filter(|(_, count)| *count > 0 && part(*count) < gap * 0.75);
    moves.min_by(|a, b| off(a.1).total_cmp(&off(b.1))).map(|(best, _)| *best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Share = Share { mine: 1.0, theirs: 0.0 };

    fn moved(share: Share, requests: &[(usize, u64)]) -> Option<usize> {
        to_move(share, requests.iter().copied())
    }

    #[test]
    fn one_of_two_busy_connections_goes() {
        assert_eq!(moved(ALONE, &[(3, 0), (5, 1000), (7, 1000)]), Some(5));
        assert_eq!(moved(ALONE, &[(3, 100), (5, 900), (7, 500), (8, 500)]), Some(5));
    }

    #[test]
    fn many_alike_go_one_after_the_other() {
        for count in [2, 4, 5, 8, 20, 1000] {
            let alike: Vec<_> = (0..count).map(|token| (token, 7)).collect();
            assert!(moved(ALONE, &alike).is_some(), "{count}");
        }
    }

    #[test]
    fn a_connection_that_is_the_whole_load_stays_and_others_leave_it() {
        assert_eq!(moved(ALONE, &[(3, 1000), (5, 1)]), Some(5));
        assert_eq!(moved(ALONE, &[(3, 1000)]), None);
        assert_eq!(moved(ALONE, &[]), None);
        assert_eq!(moved(ALONE, &[(3, 0)]), None);
    }

    #[test]
    fn loops_that_are_idle_or_alike_keep_what_they_have() {
        let two = [(3, 1000), (5, 1000)];
        assert_eq!(moved(Share { mine: 0.4, theirs: 0.0 }, &two), None);
        assert_eq!(moved(Share { mine: 1.0, theirs: 0.8 }, &two), None);
        assert_eq!(moved(Share { mine: 1.0, theirs: 0.4 }, &two), None, "0.5 would go back");
    }
}
