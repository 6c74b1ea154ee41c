//! Light queues: beside the queue of its topic a message goes to those that it names, and their
//! units outlive whatever the topic's do.

use crate::crash::Random;
use crate::support::*;
use crate::verify;
use message::{Draft, Properties, names, property};
use simulator::SimDisk;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use store::disk::Allocation;
use store::{Append, AppendError, Disk, Settings, Store};

fn with_light(settings: &Settings) -> Settings {
    Settings { light_queues: true, ..settings.clone() }
}

fn named(topic: &str, body: &str, queues: &str) -> Draft {
    let mut draft = draft(topic, 0, body);
    let mut all = Properties::parse(&draft.properties);
    all.set(property::INNER_MULTI_DISPATCH, queues);
    draft.properties = all.encode();
    draft
}

/// The bodies of a light queue; each record says the place that it was read from.
fn light(store: &Store, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut offset = store.min_offset(name, 0);
    while offset < store.max_offset(name, 0) {
        let found = read(store, name, 0, offset);
        for (bytes, place) in found.messages.iter().zip(offset..) {
            let record = record_of(bytes);
            let places = store::light::places_of(record.topic, record.properties);
            assert!(places.contains(&(name, place)), "{places:?} {name} {place}");
            all.push(String::from_utf8(record.body.to_vec()).unwrap());
        }
        assert!(found.next_offset > offset, "{found:?}");
        offset = found.next_offset;
    }
    all
}

fn fill(store: &Store, from: usize, to: usize) {
    for number in from..to {
        let queues = if number % 3 == 0 { "%LMQ%a,%LMQ%b" } else { "%LMQ%a" };
        append(store, NOW + number as i64, named("T", &number.to_string(), queues));
        append(store, NOW + number as i64, draft("Other", 0, "other"));
    }
}

fn check(store: &Store, count: usize) {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let thirds: Vec<String> = numbers.iter().step_by(3).cloned().collect();
    assert_eq!(bodies(store, "T", 0), numbers);
    assert_eq!(light(store, "%LMQ%a"), numbers);
    assert_eq!(light(store, "%LMQ%b"), thirds);
}

#[test]
fn a_message_goes_to_the_light_queues_that_it_names() {
    on_both_disks(|disk, settings| {
        let settings = with_light(&settings);
        for (round, is_killed) in [true, false, true, true].into_iter().enumerate() {
            let store = open(&disk, &settings);
            check(&store, round * 60);
            fill(&store, round * 60, round * 60 + 60);
            check(&store, round * 60 + 60);
            if !is_killed {
                store.close().unwrap();
            }
        }
        check(&open(&disk, &settings), 240);
    });
}

#[test]
fn light_queues_go_only_with_the_end_that_they_had() {
    on_both_disks(|disk, settings| {
        let settings = with_light(&settings);
        let store = open(&disk, &settings);
        fill(&store, 0, 6);
        let looked = [("%LMQ%a", 6), ("%LMQ%b", 2), ("%LMQ%none", 0)];
        append(&store, NOW, named("T", "6", "%LMQ%a"));
        assert_eq!(store.delete_light(&looked).unwrap(), ["%LMQ%b"]);
        assert_eq!((store.max_offset("%LMQ%a", 0), store.max_offset("%LMQ%b", 0)), (7, 0));
        drop(store);
        let store = open(&disk, &settings);
        assert_eq!((store.max_offset("%LMQ%a", 0), store.max_offset("%LMQ%b", 0)), (7, 0));
    });
}

#[test]
fn lost_files_of_light_queues_are_made_anew_from_the_log() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(7));
    let settings = with_light(&small(Path::new("/store")));
    let store = open(&disk, &settings);
    fill(&store, 0, 150);
    store.flush(NOW + 20_000).unwrap();
    drop(store);
    for file in disk.list(Path::new("/store/consumequeue/%LMQ%a/0")).unwrap() {
        let path = Path::new("/store/consumequeue/%LMQ%a/0").join(file.name);
        disk.remove(&path).unwrap();
    }
    let store = open(&disk, &settings);
    check(&store, 150);
    fill(&store, 150, 151);
    check(&store, 151);
}

#[test]
fn units_of_light_queues_are_compared_with_their_records() {
    on_both_disks(|disk, settings| {
        let settings = with_light(&settings);
        let store = open(&disk, &settings);
        fill(&store, 0, 120);
        store.close().unwrap();
        drop(store);
        let checked = verify::check(&*disk, &settings, &[]);
        assert!(checked.sound, "{:?}", checked.damage);
        assert_eq!(checked.units, 120 + 120 + 40 + 120);
        let file = settings.root.join("consumequeue/%LMQ%a/0/00000000000000000000");
        let unit = 20;
        let opened = disk.open(&file, 1_000, Allocation::Sparse).unwrap();
        opened.write_at(5 * unit, &[0x7f; 8]).unwrap();
        drop(opened);
        let checked = verify::check(&*disk, &settings, &[]);
        assert_eq!(checked.damage.len(), 1, "{:?}", checked.damage);
        let store = open(&disk, &settings);
        check(&store, 120);
    });
}

#[test]
fn what_cannot_be_in_light_queues_is_not() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &Settings { light_queues_max: 2, ..with_light(&settings) });
        let one = |draft| {
            let mut list = [Append::one(draft)];
            store.append(NOW, &mut list);
            list[0].outcome.map(|appended| appended.queue_offset)
        };
        assert_eq!(one(named("T", "0", "%LMQ%a,b")), Err(AppendError::LightQueueName));
        assert_eq!(one(named("T", "0", "b")), Ok(0), "as Java takes it");
        assert_eq!(one(named("%RETRY%g", "0", "%LMQ%a")), Ok(0));
        assert_eq!(one(named(names::TRANS_HALF_TOPIC, "0", "%LMQ%a")), Ok(0));
        let batch = vec![named("T", "1", "%LMQ%a"), named("T", "2", "%LMQ%a")];
        store.append(NOW, &mut [Append::batch(batch)]);
        assert_eq!(store.max_offset("%LMQ%a", 0), 0);
        assert_eq!(one(named("T", "3", "%LMQ%a,%LMQ%a")), Ok(3));
        assert_eq!(light(&store, "%LMQ%a"), ["3"], "named twice, there once");
        assert_eq!(one(named("T", "4", "%LMQ%b,%LMQ%a")), Ok(4));
        let refused = Err(AppendError::LightQueues { max: 2 });
        assert_eq!(one(named("T", "5", "%LMQ%c")), refused);
        assert_eq!(one(named("T", "5", "%LMQ%a,%LMQ%b")), Ok(5));
        assert_eq!(light(&store, "%LMQ%a"), ["3", "4", "5"]);
        assert_eq!(light(&store, "%LMQ%b"), ["4", "5"]);
    });
}

#[test]
fn without_the_setting_nothing_goes_to_light_queues() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        append(&store, NOW, named("T", "0", "%LMQ%a"));
        assert_eq!(store.max_offset("%LMQ%a", 0), 0);
        assert_eq!(store.topics().len(), 1);
    });
}

#[test]
fn a_light_queue_that_was_removed_stays_removed() {
    on_both_disks(|disk, settings| {
        let settings = with_light(&settings);
        let store = open(&disk, &settings);
        fill(&store, 0, 10);
        store.delete_topics(["%LMQ%a"]).unwrap();
        drop(store);
        let store = open(&disk, &settings);
        assert_eq!((store.max_offset("%LMQ%a", 0), light(&store, "%LMQ%b").len()), (0, 4));
        assert_eq!(bodies(&store, "T", 0).len(), 10);
        fill(&store, 10, 11);
        drop(store);
        assert_eq!(light(&open(&disk, &settings), "%LMQ%a"), ["10"]);
    });
}

/// What light queues hold, place by place; places may be empty.
fn light_by_place(store: &Store, name: &str) -> BTreeMap<i64, String> {
    let mut all = BTreeMap::new();
    let mut offset = store.min_offset(name, 0);
    while offset < store.max_offset(name, 0) {
        let found = read(store, name, 0, offset);
        assert!(found.next_offset > offset, "{found:?}");
        for bytes in &found.messages {
            let place = store::light::place_in((name, 0), bytes).unwrap();
            assert!((offset..found.next_offset).contains(&place), "{name} {place}");
            all.insert(place, String::from_utf8(record_of(bytes).body.to_vec()).unwrap());
        }
        offset = found.next_offset;
    }
    all
}

#[test]
fn a_power_loss_takes_from_light_queues_what_it_takes_from_the_log_and_no_more() {
    for seed in 0..60 {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let settings = with_light(&small(Path::new("/store")));
        let mut random = Random::new(seed);
        // By queue: the body, and where its record ends.
        let mut model: BTreeMap<&str, Vec<(String, i64)>> = BTreeMap::new();
        let (mut made, mut durable_to) = (0, 0);
        for round in 0..5 {
            let store = open(&disk, &settings);
            for (name, stored) in &mut model {
                let found = light_by_place(&store, name);
                let end = store.max_offset(name, 0) as usize;
                assert!(end <= stored.len(), "{seed} {round} {name}: nothing is made up");
                for (place, (body, log_end)) in stored.iter().enumerate() {
                    match found.get(&(place as i64)) {
                        Some(known) => assert_eq!(known, body, "{seed} {round} {name} {place}"),
                        None => assert!(*log_end > durable_to, "{seed} {round} {name} {place}"),
                    }
                }
                stored.truncate(end);
                // What was lost stays lost.
                for (place, (_, log_end)) in stored.iter_mut().enumerate() {
                    if !found.contains_key(&(place as i64)) {
                        *log_end = i64::MAX;
                    }
                }
            }
            for _ in 0..random.below(60) {
                made += 1;
                let names: Vec<&str> = ["%LMQ%a", "%LMQ%b", "%LMQ%c"]
                    .into_iter()
                    .filter(|_| random.below(2) == 0)
                    .collect();
                let body = format!("{made}-{}", "x".repeat(random.below(400) as usize));
                let appended = append(&store, NOW + made, named("T", &body, &names.join(",")));
                for name in names {
                    let queue = model.entry(name).or_default();
                    queue.push((body.clone(), appended.log_end()));
                }
                if random.below(12) == 0 {
                    store.flush(NOW + made * 1_000).unwrap();
                }
            }
            let is_killed = random.below(3) == 0;
            durable_to = if is_killed { store.max_log_offset() } else { store.flushed_to() };
            drop(store);
            if !is_killed {
                sim.crash();
            }
        }
    }
}
