//! The stays of a logical queue: a stay begins at `logicOffset` in the logical queue, which is
//! `startOffset` in the queue of its broker (Java: `LogicQueueMappingItem`,
//! `TopicQueueMappingUtils`). Of the last one the beginning may be undecided (-1) for as long as an
//! operator's tool needs to see where the one before ended: it takes messages, nobody reads them.

use remoting::body::mapping::LogicQueueMappingItem as Stay;

/// Whether it is known where in the logical queue the stay begins.
pub fn is_decided(stay: &Stay) -> bool {
    stay.logic_offset >= 0
}

/// Whether it is known where the stay ends.
pub fn has_end(stay: &Stay) -> bool {
    stay.end_offset > stay.start_offset
}

/// The logical offset of an offset in the broker's queue (Java:
/// `computeStaticQueueOffsetStrictly`).
pub fn logical(stay: &Stay, physical: i64) -> i64 {
    let past = physical.saturating_sub(stay.start_offset).max(0);
    stay.logic_offset.saturating_add(past)
}

/// The same, -1 while the stay is undecided, and not beyond its end (Java:
/// `computeStaticQueueOffsetLoosely`).
pub fn logical_loosely(stay: &Stay, physical: i64) -> i64 {
    if !is_decided(stay) {
        return -1;
    }
    let is_beyond = stay.end_offset >= stay.start_offset && stay.end_offset < physical;
    logical(stay, if is_beyond { stay.end_offset } else { physical })
}

/// The offset in the broker's queue of a logical offset (Java: `computePhysicalQueueOffset`).
pub fn physical(stay: &Stay, logical: i64) -> i64 {
    logical.saturating_sub(stay.logic_offset).saturating_add(stay.start_offset)
}

/// The logical end of a stay as far as the mapping says it (Java: `computeMaxStaticQueueOffset`).
pub fn known_end(stay: &Stay) -> i64 {
    logical(stay, stay.end_offset.max(stay.start_offset))
}

/// The stay that a logical offset lies in; an offset before all belongs to the first (Java:
/// `findLogicQueueMappingItem`).
pub fn at(stays: &[Stay], logical: i64) -> Option<&Stay> {
    let decided = || stays.iter().filter(|stay| is_decided(stay));
    decided().rfind(|stay| logical >= stay.logic_offset).or_else(|| decided().next())
}

/// The decided stay behind one of them (Java: `findNext`).
pub fn after<'a>(stays: &'a [Stay], stay: &Stay) -> Option<&'a Stay> {
    let place = stays.iter().position(|other| other.generation == stay.generation)?;
    stays.get(place + 1).filter(|next| is_decided(next))
}

/// Whether stays can be those of one queue (Java: `checkLogicQueueMappingItemOffset`).
///
/// # Errors
/// They cannot, and this is why.
pub fn check(stays: &[Stay]) -> Result<(), String> {
    for (at, stay) in stays.iter().enumerate() {
        let no = |why: &str| Err(format!("stay {at} of a queue: {why}"));
        if stay.start_offset < 0 || stay.generation < 0 || stay.queue_id < 0 {
            return no("startOffset, gen and queueId must not be negative");
        }
        if stay.bname.is_none() {
            return no("it names no broker");
        }
        if stay.end_offset != -1 && stay.end_offset < stay.start_offset {
            return no("endOffset lies before startOffset");
        }
        let Some(next) = stays.get(at + 1) else { continue };
        if !is_decided(stay) {
            return no("logicOffset must not be negative before the last one");
        }
        if stay.generation >= next.generation {
            return no("gen does not rise behind it");
        }
        if is_decided(next) && known_end(stay) >= next.logic_offset {
            return no("the next one begins before its end");
        }
    }
    Ok(())
}

/// Whether new stays of a queue contradict the known ones: what was must not change, and with an
/// equal epoch the last one not either (Java: `makeSureLogicQueueMappingItemImmutable`).
///
/// # Errors
/// They do, and this is how.
pub fn check_kept(old: &[Stay], new: &[Stay], same_epoch: bool) -> Result<(), String> {
    let Some(old_last) = old.last() else { return Ok(()) };
    let Some(new_last) = new.last() else { return Err("there are no stays any more".to_owned()) };
    for known in old {
        let Some(told) = new.iter().find(|told| told.generation == known.generation) else {
            continue;
        };
        let place = |stay: &Stay| (stay.bname.clone(), stay.queue_id, stay.start_offset);
        if place(known) != place(told) {
            return Err(format!("stay {} was on another queue", known.generation));
        }
        if is_decided(known) && known.logic_offset != told.logic_offset {
            let (was, is) = (known.logic_offset, told.logic_offset);
            return Err(format!("stay {} began at {was}, not at {is}", known.generation));
        }
    }
    if same_epoch && old_last.generation != new_last.generation {
        return Err("the last stay is another one, and the epoch the same".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay(generation: i32, logic_offset: i64) -> Stay {
        let bname = Some(format!("b{generation}").into());
        Stay { bname, generation, logic_offset, ..Stay::default() }
    }

    #[test]
    fn offsets_go_there_and_back() {
        let first = Stay { start_offset: 5, end_offset: 9, ..stay(0, 100) };
        assert_eq!([4, 5, 8, 12].map(|at| logical(&first, at)), [100, 100, 103, 107]);
        assert_eq!([4, 5, 8, 12].map(|at| logical_loosely(&first, at)), [100, 100, 103, 104]);
        assert_eq!([100, 103].map(|at| physical(&first, at)), [5, 8]);
        assert_eq!((known_end(&first), known_end(&stay(0, 7))), (104, 7));
        assert_eq!(logical_loosely(&stay(0, -1), 3), -1);
        assert_eq!(logical(&stay(0, i64::MAX), i64::MAX), i64::MAX, "bounded");
    }

    #[test]
    fn an_offset_lies_in_one_stay() {
        let stays = [stay(0, 0), stay(1, 10_000), stay(2, -1)];
        let found = |offset| at(&stays, offset).map(|stay| stay.generation);
        assert_eq!([-1, 0, 9_999, 10_000, i64::MAX].map(found), [0, 0, 0, 1, 1].map(Some));
        let next = |at: usize| after(&stays, &stays[at]).map(|stay| stay.generation);
        assert_eq!([next(0), next(1), next(2)], [Some(1), None, None]);
        assert_eq!(at(&[stay(0, -1)], 0), None);
    }

    #[test]
    fn stays_that_cannot_be_are_refused() {
        assert_eq!(check(&[stay(0, 0), stay(1, 10_000), stay(3, -1)]), Ok(()));
        let ended = |end_offset| Stay { end_offset, ..stay(0, 0) };
        assert_eq!(check(&[ended(9), stay(1, 10)]), Ok(()));
        let bad = [
            vec![Stay { queue_id: -1, ..stay(0, 0) }],
            vec![Stay { bname: None, ..stay(0, 0) }],
            vec![Stay { start_offset: 5, end_offset: 4, ..stay(0, 0) }],
            vec![stay(0, -1), stay(1, 5)],
            vec![stay(1, 0), stay(1, 5)],
            vec![stay(0, 5), stay(1, 5)],
            vec![ended(10), stay(1, 10)],
        ];
        for stays in bad {
            assert!(check(&stays).is_err(), "{stays:?}");
        }
    }

    #[test]
    fn what_was_does_not_change() {
        let old = [stay(0, 0), stay(1, -1)];
        assert_eq!(check_kept(&old, &[stay(0, 0), stay(1, 10)], true), Ok(()));
        assert_eq!(check_kept(&old, &[stay(1, 10), stay(2, -1)], false), Ok(()));
        assert_eq!(check_kept(&[], &[], true), Ok(()));
        for new in [
            vec![],
            vec![stay(0, 3), stay(1, -1)],
            vec![Stay { queue_id: 7, ..stay(0, 0) }, stay(1, -1)],
            vec![Stay { bname: Some("other".into()), ..stay(0, 0) }, stay(1, -1)],
            vec![stay(0, 0), stay(1, -1), stay(2, -1)],
        ] {
            assert!(check_kept(&old, &new, true).is_err(), "{new:?}");
        }
    }
}
