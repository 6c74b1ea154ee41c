//! What the log is told while the timer has to wait, and the files when it need not.

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
