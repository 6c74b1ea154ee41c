//! Registration, death and the file of filters.

use super::*;

fn filters() -> Filters {
    Filters::new(Bloom::new(20, 32).unwrap())
}

fn sql(topic: &'static str, source: &str, sub_version: i64) -> SubscriptionData {
    SubscriptionData {
        topic: topic.into(),
        sub_string: Some(source.into()),
        expression_type: Some(SQL92.into()),
        sub_version,
        ..SubscriptionData::default()
    }
}

/// Source, version, birth and death of a group's filter.
fn known(filters: &Filters, topic: &str) -> Option<(String, i64, i64, i64)> {
    let data = filters.find("g", topic)?.data;
    Some((data.expression.to_string(), data.client_version, data.born_time, data.dead_time))
}

#[test]
fn a_newer_subscription_replaces_an_older_one_and_never_the_other_way() {
    let filters = filters();
    let register = |source: &str, version, now| {
        filters.register(&"g".into(), &[sql("T", source, version)], now);
        known(&filters, "T")
    };
    assert_eq!(register("a = 1", 5, 10), Some(("a = 1".into(), 5, 10, 0)));
    assert_eq!(register("a = 2", 4, 11), Some(("a = 1".into(), 5, 10, 0)));
    assert_eq!(register("a = 2", 5, 12), Some(("a = 1".into(), 5, 10, 0)));
    assert_eq!(register("a = 1", 6, 13), Some(("a = 1".into(), 6, 10, 0)));
    assert_eq!(register("a = 2", 7, 14), Some(("a = 2".into(), 7, 14, 0)));
    // What is no expression leaves none behind: the client must see that.
    assert_eq!(register("a =", 8, 15), None);
}

#[test]
fn what_a_group_wants_no_more_dies_and_comes_back() {
    let filters = filters();
    let group = "g".into();
    filters.register(&group, &[sql("T", "a = 1", 1), sql("U", "b = 1", 1)], 10);
    let tags = SubscriptionData { topic: "T".into(), ..SubscriptionData::default() };
    filters.register(&group, &[tags], 20);
    assert_eq!(known(&filters, "U").unwrap().3, 20);
    assert_eq!(known(&filters, "T").unwrap().3, 0, "the topic is still subscribed");
    filters.register(&group, &[sql("T", "a = 1", 1), sql("U", "b = 1", 1)], 30);
    assert_eq!(known(&filters, "U").unwrap(), ("b = 1".into(), 1, 10, 0));

    assert!(filters.tick(|_| true, 100, 40).is_some());
    assert_eq!(filters.tick(|_| true, 100, 41), None, "nothing is new");
    assert!(filters.tick(|_| false, 100, 50).is_some());
    assert_eq!(known(&filters, "T").unwrap().3, 50);
    assert_eq!(filters.tick(|_| false, 100, 149), None);
    assert!(filters.tick(|_| false, 100, 150).is_some_and(|text| !text.contains("expression")));
    assert_eq!(known(&filters, "T"), None);
}

/// As a stock 5.5.0 broker writes it; a dot stands for a tab.
const STOCK: &str = r#"{
."filterDataByTopic":{
.."T":{
..."groupFilterData":{
...."g":{
....."bloomFilterData":{
......"bitNum":112,
......"bitPos":[90,68,28]
.....},
....."bornTime":10,
....."clientVersion":5,
....."consumerGroup":"g",
....."dead":false,
....."deadTime":0,
....."expression":"a > 5",
....."expressionType":"SQL92",
....."topic":"T"
....}
...},
..."topic":"T"
..}
.}
}"#;

#[test]
fn the_file_is_java_s() {
    let stock = STOCK.replace('.', "\t");
    let filters = filters();
    filters.register(&"g".into(), &[sql("T", "a > 5", 5)], 10);
    assert_eq!(filters.tick(|_| true, 100, 20).unwrap(), stock);

    let next = self::filters();
    next.load(&stock, 50_000).unwrap();
    assert_eq!(known(&next, "T"), Some(("a > 5".into(), 5, 10, 20_000)));
    next.register(&"g".into(), &[sql("T", "a > 5", 5)], 60_000);
    assert_eq!(known(&next, "T"), Some(("a > 5".into(), 5, 10, 0)));

    let other_bits = Filters::new(Bloom::new(20, 64).unwrap());
    other_bits.load(&stock, 50_000).unwrap();
    assert_eq!(known(&other_bits, "T"), None);
    assert!(next.load("{", 1).is_err());
    next.load(&stock.replace("a > 5", "a >"), 50_000).unwrap();
    assert_eq!(known(&next, "T"), None, "no filter is better than one that lets all pass");
}

#[test]
fn there_is_room_for_so_many() {
    let filters = filters();
    let source = format!("a = 1 --{}", "x".repeat(16_000));
    for group in 0..1_048 {
        filters.register(&group.to_string().into(), &[sql("T", &source, 1)], 1);
    }
    let kept = (0..1_048).filter(|group| filters.find(&group.to_string(), "T").is_some()).count();
    assert_eq!(kept, SOURCES_LIMIT / source.len());
    for number in 0..=COMPILED_LIMIT {
        let source = format!("a = {number}");
        filters.compiled(SQL92, &source).unwrap();
        let again = filters.compiled(SQL92, &source).unwrap();
        assert!(Arc::ptr_eq(&again, &filters.compiled(SQL92, &source).unwrap()));
    }
    assert_eq!(filters.compiled.lock().len(), 1);
    assert!(filters.compiled("CLASS", "a = 1").is_err());
}

/// The bits of a message of topic T whose property a has a value.
fn bits(filters: &Filters, a: u32, now: i64) -> Option<Vec<u8>> {
    filters.bits("T", format!("a\u{1}{a}\u{2}").as_bytes(), now)
}

#[test]
fn a_message_has_the_bits_of_those_who_want_it_dead_or_alive() {
    let filters = filters();
    let register = |group: &'static str, source, now| {
        filters.register(&group.into(), &[sql("T", source, now)], now);
    };
    register("g", "a > 5", 10);
    assert_eq!(bits(&filters, 6, 11), None, "not asked for");
    filters.set_marks(true);
    assert_eq!(bits(&filters, 6, 11).unwrap().len(), 14);
    assert_eq!(filters.bits("U", b"a\x016\x02", 11), None, "nobody filters it");
    register("h", "a < 7", 12);
    let known = |group| filters.find(group, "T").unwrap();
    // The groups that may want a message by its bits.
    let wanted = |a, now| {
        let bits = bits(&filters, a, now).unwrap();
        ["g", "h"].map(|group| known(group).may_want(&bits, now))
    };
    assert_eq!(wanted(4, 20), [false, true]);
    assert_eq!(wanted(6, 20), [true, true]);
    assert_eq!(wanted(8, 20), [true, false]);
    assert_eq!(wanted(8, 12), [true, true], "stored when the filter was not there");
    assert!(known("h").may_want(&[0; 13], 20), "of another number of groups");
    filters.tick(|_| false, i64::MAX, 30);
    assert_eq!(wanted(8, 31), [true, false], "both are gone");
    register("h", "a > 7", 40);
    assert_eq!(wanted(8, 41), [true, true]);
}

/// What is stored while a filter comes has not its bits, whatever the clocks of the two say.
#[test]
fn a_filter_is_born_behind_all_messages_that_have_not_its_bits() {
    let filters = filters();
    filters.set_marks(true);
    assert_eq!(bits(&filters, 1, 100), None);
    filters.register(&"g".into(), &[sql("T", "a = 1", 1)], 90);
    let known = filters.find("g", "T").unwrap();
    assert!(known.may_want(&[0; 14], 100));
    assert!(!known.may_want(&[0; 14], 101));

    // After a kill the file may have another filter than the messages have bits of.
    for (was_clean, sure_from) in [(true, 10), (false, 500)] {
        let filters = Filters::new(Bloom::new(20, 32).unwrap()).behind(400, was_clean);
        filters.load(&STOCK.replace('.', "\t"), 500).unwrap();
        let known = filters.find("g", "T").unwrap();
        assert!(known.may_want(&[0; 14], sure_from), "{was_clean}");
        assert!(!known.may_want(&[0; 14], sure_from + 1), "{was_clean}");
        filters.register(&"new".into(), &[sql("T", "a = 1", 1)], 300);
        assert!(filters.find("new", "T").unwrap().may_want(&[0; 14], 400));
    }
}
