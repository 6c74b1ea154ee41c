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

/// The connection whose move brings the two nearest to each other, if any does: one of `requests`,
/// which counts what each connection asked in that time.
pub(crate) fn to_move(share: Share, requests: &[(usize, u64)]) -> Option<usize> {
    let gap = share.mine - share.theirs;
    if share.mine < BUSY || gap < APART {
        return None;
    }
    let all: u64 = requests.iter().map(|(_, count)| count).sum();
    let off = |count: u64| (gap / 2.0 - share.mine * count as f64 / all as f64).abs();
    let moves = requests.iter().filter(|(_, count)| *count > 0);
    let (best, count) = moves.min_by(|a, b| off(a.1).total_cmp(&off(b.1)))?;
    // As far apart afterwards, or further: that one would go to and fro.
    (off(*count) < gap / 4.0).then_some(*best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Share = Share { mine: 1.0, theirs: 0.0 };

    #[test]
    fn one_of_two_busy_connections_goes() {
        assert_eq!(to_move(ALONE, &[(3, 0), (5, 1000), (7, 1000)]), Some(5));
        assert_eq!(to_move(ALONE, &[(3, 100), (5, 900), (7, 500), (8, 500)]), Some(5));
    }

    #[test]
    fn a_connection_that_is_the_whole_load_stays() {
        assert_eq!(to_move(ALONE, &[(3, 1000), (5, 1)]), None);
        assert_eq!(to_move(ALONE, &[]), None);
        assert_eq!(to_move(ALONE, &[(3, 0)]), None);
    }

    #[test]
    fn loops_that_are_idle_or_alike_keep_what_they_have() {
        let two = [(3, 1000), (5, 1000)];
        assert_eq!(to_move(Share { mine: 0.4, theirs: 0.0 }, &two), None);
        assert_eq!(to_move(Share { mine: 1.0, theirs: 0.8 }, &two), None);
        assert_eq!(to_move(Share { mine: 1.0, theirs: 0.4 }, &two), None, "0.5 would go back");
    }
}
