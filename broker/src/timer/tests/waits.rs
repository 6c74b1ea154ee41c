//! The timer has to wait: what it delivers, what the log is told, and the files when it need not.

use super::*;
use simulator::{Op, SimDisk, lines_of};

#[test]
fn a_disk_that_refuses_once_a_second_is_told_once() {
    let disk = SimDisk::new(7);
    let (broker, _asked) = cold::open(disk.clone(), Path::new("/store"), BOOT_MS);
    let mut now_ms = BOOT_MS;
    let mut told_in = |ms: i64| {
        let ((), lines) = lines_of(|| {
            for _ in 0..ms / POLL_MS {
                now_ms += POLL_MS;
                if let Some(files) = broker.timer.state.lock().files.as_mut() {
                    files.note_change();
                }
                step(&broker, now_ms);
            }
        });
        let told = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        (told("the timer has to wait"), told("the timer goes on"))
    };
    assert_eq!(told_in(2_000), (0, 0));
    disk.fail(Op::Write, 0, true);
    assert_eq!(told_in(10_000), (1, 0));
    assert_eq!(told_in(120_000), (0, 0));
    disk.heal();
    assert_eq!(told_in(30_000), (0, 0), "it may be met again at once");
    assert_eq!(told_in(40_000), (0, 1));
    disk.fail(Op::Write, 0, true);
    assert_eq!(told_in(10_000), (1, 0));
}

/// What a stock broker goes by that opens the store after a kill.
#[test]
fn a_slot_is_noted_as_delivered_as_soon_as_that_is_durable() {
    let mut world = World::new();
    world.send("a", "TIMER_DELAY_SEC^2~");
    let noted = |world: &World| {
        let bytes = std::fs::read(world.dir.join("config/timercheck")).unwrap();
        i64::from_be_bytes(*bytes.first_chunk().unwrap())
    };
    for ms in (0..=3_000).step_by(50) {
        world.pass_to(BOOT_MS + ms);
    }
    assert_eq!(world.delivered(), ["a"]);
    assert!(noted(&world) <= BOOT_MS + 2_000, "it could be lost");
    world.broker().store.sync().unwrap();
    world.pass_to(BOOT_MS + 3_050);
    assert!(noted(&world) > BOOT_MS + 2_000);
}

#[test]
fn what_cannot_be_read_now_is_neither_passed_over_nor_delivered_though_taken_back() {
    let mut world = World::new();
    let parked = "TIMER_DELAY_MS^5000~";
    world.send("in its queue", parked);
    world.disk.fails.store(true, Ordering::Relaxed);
    assert!(step(world.broker(), world.now_ms) > world.now_ms);
    world.disk.fails.store(false, Ordering::Relaxed);
    world.send("back", parked);
    world.send("marker", &format!("TIMER_DEL_UNIQKEY^back~{parked}"));
    world.pass_to(BOOT_MS + 1_000);
    assert_eq!(world.condition().pending, 3);
    world.disk.fails.store(true, Ordering::Relaxed);
    for late_ms in [6_000, 6_100, 6_200] {
        world.now_ms = BOOT_MS + late_ms;
        assert!((0..100).any(|_| step(world.broker(), world.now_ms) > world.now_ms));
    }
    world.disk.fails.store(false, Ordering::Relaxed);
    world.pass_to(BOOT_MS + 6_300);
    assert_eq!(world.delivered(), ["in its queue"]);
    assert_eq!(world.condition().passed_over, 0);
}

#[test]
fn what_is_taken_back_behind_a_place_that_cannot_be_read_is_not_delivered() {
    let mut world = World::new();
    let parked = "TIMER_DELAY_MS^5000~";
    world.send("taken back", parked);
    world.send("b", parked);
    world.pass_to(BOOT_MS + 1_000);
    let log_end = world.broker().store.max_log_offset().unsigned_abs();
    world.disk.fails_at.store(log_end + 40, Ordering::Relaxed);
    world.send("unread", parked);
    world.send("marker", "TIMER_DEL_UNIQKEY^taken back~TIMER_DELIVER_MS^1700000005000~");
    world.now_ms = BOOT_MS + 6_000;
    assert!((0..100).any(|_| step(world.broker(), world.now_ms) > world.now_ms));
    assert_eq!((world.delivered(), world.condition().behind), (vec!["b".to_owned()], 2));
    world.disk.fails_at.store(0, Ordering::Relaxed);
    world.pass_to(BOOT_MS + 8_000);
    assert_eq!(world.delivered(), ["b", "unread"]);
    assert_eq!((world.condition().passed_over, world.condition().pending), (0, 0));
}

#[test]
fn what_the_store_does_not_take_now_is_not_passed_over() {
    let mut world = World::new();
    world.send("a", "TIMER_DELAY_MS^5000~");
    world.pass_to(BOOT_MS + 1_000);
    // Reading goes on, and whatever is appended is refused for now.
    world.broker().store.close().unwrap();
    world.now_ms = BOOT_MS + 6_000;
    assert!((0..100).any(|_| step(world.broker(), world.now_ms) > world.now_ms));
    let condition = world.condition();
    assert_eq!((condition.pending, condition.passed_over), (1, 0));
}
