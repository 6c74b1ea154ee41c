//! The table of static topics.

use super::*;

/// Queue 0 is here since it was made, queue 1 has gone to another broker, queue 2 has come.
pub(super) fn mapping(epoch: i64) -> TopicQueueMappingDetail {
    let stay = |generation, bname: &'static str, queue_id, logic_offset| LogicQueueMappingItem {
        generation,
        bname: Some(bname.into()),
        queue_id,
        logic_offset,
        ..LogicQueueMappingItem::default()
    };
    TopicQueueMappingDetail {
        bname: Some("b".into()),
        epoch,
        hosted_queues: [
            (0, vec![stay(0, "b", 0, 0)]),
            (1, vec![stay(0, "b", 1, 0), stay(1, "c", 0, 10_000)]),
            (2, vec![stay(0, "c", 1, 0), stay(1, "b", 2, 10_000)]),
        ]
        .into(),
        topic: Some("T".into()),
        total_queues: 4,
        ..TopicQueueMappingDetail::default()
    }
}

fn mappings() -> Mappings {
    let mappings = Mappings::default();
    mappings.update(mapping(5), false, 1, |_| Ok(())).unwrap();
    mappings
}

#[test]
fn only_queues_that_are_led_here_are_found() {
    let mappings = mappings();
    assert!(mappings.queue("U", 0, None).unwrap().is_none());
    assert!(mappings.queue("T", 0, Some(false)).unwrap().is_none());
    let found =
        |id| mappings.queue("T", id, Some(true)).map(|queue| queue.unwrap().leader().queue_id);
    assert_eq!((found(0), found(2)), (Ok(0), Ok(2)));
    for id in [1, 3, -1] {
        assert_eq!(found(id).unwrap_err().code, ResponseCode::NOT_LEADER_FOR_QUEUE, "{id}");
    }
    let info = &mappings.infos(|_| true)["T"];
    assert_eq!(info.curr_id_map, [(0, 0), (2, 2)].into());
    assert_eq!(mappings.infos(|topic| topic == "U").len(), 0);
}

#[test]
fn a_change_counts_when_it_agrees_and_is_saved() {
    let mappings = mappings();
    let update = |new, force| mappings.update(new, force, 2, |_| Ok(()));
    assert!(update(mapping(4), false).unwrap_err().contains("epoch"));
    assert_eq!(update(mapping(4), true), Ok(()));
    let mut fewer = mapping(4);
    fewer.hosted_queues.remove(&1);
    assert!(update(fewer.clone(), false).unwrap_err().contains("queue 1"));
    fewer.epoch = 6;
    assert_eq!(update(fewer, false), Ok(()));
    let known = mappings.find("T").unwrap();
    assert_eq!((known.epoch, known.hosted_queues.len()), (6, 3));
    assert!(
        mappings.update(mapping(7), false, 3, |_| Err("full".into())).unwrap_err().contains(FILE)
    );
    assert_eq!(mappings.find("T").unwrap().epoch, 6);
    mappings.delete("T", 4, |_| Ok(())).unwrap();
    assert!(mappings.find("T").is_none());
    assert_eq!(mappings.due_ms(), None);
}

#[test]
fn what_is_deleted_and_could_not_be_saved_is_saved_a_little_later() {
    let mappings = mappings();
    let full = |_: &str| Err("full".to_owned());
    assert!(mappings.delete("T", 4, full).unwrap_err().contains("full"));
    assert!(mappings.find("T").is_none(), "its queues are gone");
    // Who asks again is not told that all is well.
    assert!(mappings.delete("T", 5, full).unwrap_err().contains("full"));
    let due = mappings.due_ms().unwrap();
    let save_due = |now| {
        let mut text = None;
        let save = |new: &str| {
            text = Some(new.to_owned());
            Ok(())
        };
        mappings.save_due(now, now, save).unwrap();
        text
    };
    assert_eq!(save_due(due - 1), None);
    let text = save_due(due).unwrap();
    let read = Mappings::default();
    read.load(&text).unwrap();
    assert_eq!(read.snapshot(), mappings.snapshot());
    assert!(mappings.due_ms().is_none() && save_due(i64::MAX).is_none());
}

#[test]
fn a_start_forgets_what_was_deleted_before() {
    let mappings = mappings();
    mappings.forget(|_| false);
    assert!(mappings.find("T").is_some() && mappings.due_ms().is_none());
    mappings.forget(|topic| topic == "T");
    assert!(mappings.find("T").is_none() && mappings.due_ms().is_some());
}

#[test]
fn the_file_is_javas_and_reads_itself_back() {
    let (mappings, mut saved) = (Mappings::default(), String::new());
    mappings
        .update(mapping(5), false, 1, |text| {
            saved = text.to_owned();
            Ok(())
        })
        .unwrap();
    assert!(saved.contains(MARK) && saved.contains("\"gen\":0"), "{saved}");
    let read = Mappings::default();
    read.load(&saved).unwrap();
    assert_eq!(read.snapshot(), mappings.snapshot());
    assert!(read.load("{").is_err());
}
