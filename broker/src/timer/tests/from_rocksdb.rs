//! What a start makes of the timer's files that Java's timer in RocksDB left.

use super::*;

#[test]
fn what_it_delivered_or_stored_again_comes_once() {
    let mut world = World::new();
    let stored = |id: &str, delay: &str, more: &[(&'static str, &'static str)]| {
        let draft = world.parked(id, &format!("TIMER_DELAY_SEC^{delay}~"));
        let mut all = Properties::parse(&draft.properties);
        more.iter().for_each(|(key, value)| all.set(*key, *value));
        world.append(Draft { properties: all.encode(), ..draft });
    };
    stored("done", "5", &[]);
    stored("waits", "5", &[]);
    stored("far", "90000", &[]);
    for _ in 0..40 {
        stored("far", "90000", &[(property::TIMER_ROLL_LABEL, "R")]);
    }
    // As it delivers.
    let done = world.parked("done", "TIMER_DELAY_SEC^5~");
    let mut all = Properties::parse(&done.properties);
    all.remove(property::REAL_TOPIC);
    all.remove(property::REAL_QUEUE_ID);
    let (topic, queue_id) = ("T".into(), 1);
    world.append(Draft { topic, queue_id, properties: all.encode(), ..done });
    world.restart_after(|dir| {
        // It had no log, and its log is to be moved away where it has.
        std::fs::remove_file(dir.join("config/timercheck")).unwrap();
    });
    world.pass_to(BOOT_MS + 10_000);
    assert_eq!(world.delivered(), ["done", "waits"]);
    world.settle();
    world.restart_after(|_| {});
    world.pass_to(BOOT_MS + 90_001_000);
    assert_eq!(world.delivered(), ["done", "waits", "far"]);
    assert_eq!(world.condition().pending, 0);
}
