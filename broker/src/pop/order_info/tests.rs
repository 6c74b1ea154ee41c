//! Tests of what FIFO groups took. Not here: the handlers.

use super::*;

const AT: At<'_> = At { topic: "T", group: "G", queue_id: 2 };
const POP_MS: i64 = 1_700_000_000_000;

fn pop<'a>(attempt_id: Option<&'a str>, pop_ms: i64, offsets: &'a [i64]) -> Pop<'a> {
    Pop { attempt_id, pop_ms, invisible_ms: 60_000, offsets }
}

fn blocked(orders: &Orders, attempt_id: Option<&str>, now_ms: i64) -> Option<i64> {
    orders.blocked_until(AT, attempt_id, 60_000, now_ms)
}

/// What 10, 11 and 13 were taken by "first" looks like.
fn taken() -> Orders {
    let orders = Orders::default();
    let counts = orders.take(AT, &pop(Some("first"), POP_MS, &[10, 11, 13]), POP_MS);
    assert_eq!(counts, Counts::default());
    orders
}

#[test]
fn a_queue_is_blocked_until_all_is_acknowledged() {
    let orders = Orders::default();
    assert_eq!(blocked(&orders, None, POP_MS), None);
    let orders = taken();
    assert_eq!(blocked(&orders, Some("second"), POP_MS), Some(POP_MS + 60_000));
    assert_eq!(blocked(&orders, None, POP_MS + 59_999), Some(POP_MS + 60_000));
    assert_eq!(blocked(&orders, Some("first"), POP_MS), None);
    assert_eq!(orders.ack(AT, 11, POP_MS, 10), Acked::Next(10));
    assert_eq!(orders.ack(AT, 10, POP_MS, 10), Acked::Next(13));
    assert!(blocked(&orders, None, POP_MS).is_some());
    assert_eq!(orders.ack(AT, 13, POP_MS, 13), Acked::Next(14));
    assert_eq!(blocked(&orders, None, POP_MS), None);
}

#[test]
fn a_queue_is_blocked_until_all_is_visible_again() {
    let orders = taken();
    orders.change(AT, 11, POP_MS, POP_MS + 5);
    assert_eq!(blocked(&orders, None, POP_MS), Some(POP_MS + 60_000));
    orders.change(AT, 10, POP_MS, POP_MS + 70_000);
    assert_eq!(blocked(&orders, None, POP_MS + 60_000), Some(POP_MS + 70_000));
    // Neither a pop that is not the last one nor a message that it did not take.
    orders.change(AT, 10, POP_MS - 1, POP_MS);
    orders.change(AT, 12, POP_MS, POP_MS + 99_000);
    assert_eq!(blocked(&orders, None, POP_MS + 69_999), Some(POP_MS + 70_000));
    assert_eq!(blocked(&orders, None, POP_MS + 70_000), None);
}

#[test]
fn messages_that_come_again_are_counted() {
    let orders = taken();
    let counts = orders.take(AT, &pop(Some("second"), POP_MS + 1, &[10, 11, 13, 14]), POP_MS);
    assert_eq!(counts.by_offset, [(10, 1), (11, 1), (13, 1)].into());
    assert_eq!(counts.least, 0);
    // The same try once more counts nothing.
    let counts = orders.take(AT, &pop(Some("second"), POP_MS + 2, &[10, 11]), POP_MS);
    assert_eq!(counts.by_offset, [(10, 1), (11, 1), (13, 1)].into());
    let counts = orders.take(AT, &pop(None, POP_MS + 3, &[10, 11]), POP_MS);
    assert_eq!((counts.by_offset, counts.least), ([(10, 2), (11, 2)].into(), 2));
    let counts = orders.take(AT, &pop(None, POP_MS + 4, &[15]), POP_MS);
    assert_eq!(counts, Counts::default());
}

#[test]
fn counts_are_written_as_java_does() {
    let mut info = String::new();
    Counts { by_offset: [(10, 1), (11, 2)].into(), least: 1 }.append_to(&mut info, 0, 2);
    Counts::default().append_to(&mut info, 1, 0);
    assert_eq!(info, "0 qo2%10 1;0 qo2%11 2;0 2 1;1 0 0");
}

#[test]
fn only_messages_of_the_last_pop_are_acknowledged() {
    let orders = taken();
    assert_eq!(orders.ack(AT, 12, POP_MS, 10), Acked::Unknown);
    assert_eq!(orders.ack(AT, 10, POP_MS - 1, 10), Acked::Stale);
    orders.clear(AT);
    assert_eq!(blocked(&orders, None, POP_MS), None);
    // Nothing is known of this pop any more: 13 may be done, but 10 to 12 would be passed over.
    assert_eq!(orders.ack(AT, 13, POP_MS, 10), Acked::Stale);
    assert_eq!(orders.ack(AT, 10, POP_MS, 10), Acked::Next(11));
}

#[test]
fn what_is_gone_or_old_is_forgotten() {
    let (orders, one) = (Orders::default(), pop(None, POP_MS, &[1]));
    for (topic, group, queue_id) in [("T", "G", 0), ("T", "G", 4), ("T", "no", 0), ("no", "G", 0)] {
        orders.take(At { topic, group, queue_id }, &one, POP_MS);
    }
    assert!(orders.take_changed().is_some() && orders.take_changed().is_none());
    orders.clean(|topic, group| (topic == "T" && group == "G").then_some(4), POP_MS + FORGET_MS);
    let table = orders.table.lock();
    assert_eq!((table.topics.len(), table.rows, table.changed), (1, 1, true));
    assert_eq!(table.topics["T"]["G"].len(), 1);
    drop(table);
    orders.clean(|_, _| Some(4), POP_MS + FORGET_MS + 1);
    assert!(orders.table.lock().topics.is_empty());
}

/// The text was printed by Java 5.5.0.
#[test]
fn the_file_is_that_of_java() {
    let text = "{\n\t\"orderInfoCount\":2,\n\t\"orderedConsumptionLevel\":\"QUEUE\",\n\
                \t\"table\":{\n\t\t\"T@G\":{\n\t\t\t2:{\n\
                \t\t\t\t\"a\":\"att2\",\n\t\t\t\t\"cm\":0,\n\
                \t\t\t\t\"i\":60000,\n\t\t\t\t\"l\":1795292077459,\n\t\t\t\t\"o\":[10,1,3,4],\n\
                \t\t\t\t\"oc\":{\n\t\t\t\t\t10:1,\n\t\t\t\t\t11:1,\n\t\t\t\t\t13:1\n\t\t\t\t},\n\
                \t\t\t\t\"popTime\":1700000000001\n\t\t\t}\n\t\t},\n\t\t\"T@H\":{\n\t\t\t0:{\n\
                \t\t\t\t\"cm\":0,\n\t\t\t\t\"i\":60000,\n\t\t\t\t\"l\":1795292077459,\n\
                \t\t\t\t\"o\":[10],\n\t\t\t\t\"popTime\":1700000000001\n\t\t\t}\n\t\t}\n\t}\n}";
    let orders = Orders::default();
    orders.load(text).unwrap();
    assert_eq!(orders.to_json(), text);
    assert_eq!(orders.ack(AT, 11, 1_700_000_000_001, 10), Acked::Next(10));
    orders.change(AT, 11, 1_700_000_000_001, 1_700_000_070_000);
    let written = orders.to_json();
    assert!(written.contains("\"cm\":2,"), "{written}");
    assert!(written.contains("\"ot\":{\n\t\t\t\t\t11:1700000070000\n"), "{written}");
    let again = Orders::default();
    again.load(&written).unwrap();
    assert_eq!(again.to_json(), written);
}

#[test]
fn damaged_files_are_refused_or_passed_over() {
    let orders = taken();
    let before = orders.to_json();
    for text in ["", "{", "{\"table\":[]}", "{\"table\":{\"T@G\":{0:{\"o\":[\"x\"]}}}}"] {
        assert!(orders.load(text).is_err(), "{text}");
        assert_eq!(orders.to_json(), before);
    }
    let many = vec!["1"; POP_LIMIT + 1].join(",");
    for impossible in ["", "-1", "5,0", "5,-2", "5,9223372036854775807", &many] {
        let text = format!("{{\"table\":{{\"T@G\":{{2:{{\"o\":[{impossible}]}}}}}}}}");
        orders.load(&text).unwrap();
        assert_eq!(orders.table.lock().rows, 0, "{impossible}");
    }
    orders
        .load("{\"table\":{\"T\":{2:{\"o\":[1]}},\"T@G\":{2:{\"o\":[9223372036854775807]}}}}")
        .unwrap();
    assert_eq!(orders.table.lock().rows, 1);
    assert_eq!(blocked(&orders, None, 59_999), Some(60_000));
    assert_eq!(orders.ack(AT, i64::MAX, 0, 0), Acked::Next(i64::MAX));
    let counts = orders.take(AT, &pop(None, i64::MAX, &[i64::MAX]), 0);
    assert_eq!(counts.least, 1);
    assert_eq!(blocked(&orders, None, 0), Some(i64::MAX));
}
