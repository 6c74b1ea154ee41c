//! Queue offsets whose units outlived their messages: whoever has read these goes on behind them,
//! so that the places are given to no others. What the files say is noted after power loss, before
//! a start changes them.

use crate::check::Verdict;
use crate::decode;
use crate::model::Place;
use crate::world::World;
use std::collections::BTreeMap;

const UNIT: usize = 20;
/// Size in a unit of a place without a message.
const BLANK_SIZE: i32 = i32::MAX;

/// A unit that leads to a record: its place, and the log offsets of that and behind it.
#[derive(Clone, Copy, Debug)]
struct Unit {
    place: i64,
    log_offset: i64,
    log_end: i64,
}

/// The units of the queues whose files nothing speaks against.
#[derive(Debug, Default)]
pub(crate) struct Left(BTreeMap<Place, Vec<Unit>>);

impl Left {
    /// What the files say now.
    pub(crate) fn look(world: &World<'_>) -> Self {
        let places = world.model.queues.keys();
        let sound = places.filter_map(|place| Some((*place, units(world, *place)?)));
        Self(sound.collect())
    }

    /// After a start: none of the places is free again.
    pub(crate) fn is_kept(&self, world: &World<'_>) -> Verdict {
        let end = world.store().max_log_offset();
        let near = end + 2 * world.plan.settings.commit_log_file_bytes as i64;
        for (place, units) in &self.0 {
            let first_lost = units.iter().find(|unit| unit.log_end > end);
            let (Some(first), Some(last)) = (first_lost, units.last()) else { continue };
            let is_asked = first.log_offset >= end && last.log_end <= near;
            if !is_asked || world.model.half_deleted.contains(place) {
                continue;
            }
            let max = world.store().max_offset(&world.plan.topics[place.0], place.1);
            if max <= last.place {
                let name = world.name(*place);
                return Err(format!(
                    "places that units speak of are kept: {name} ends at {max}, \
                     and {last:?} was there; the log ends at {end}"
                ));
            }
        }
        Ok(())
    }
}

/// The units of a queue's files in an unbroken row; `None` where more lies behind it, where two
/// contradict each other, or where a file has a wrong size or is missing.
fn units(world: &World<'_>, place: Place) -> Option<Vec<Unit>> {
    let file_bytes = world.plan.settings.consume_queue_file_bytes as usize;
    let (mut row, mut next, mut log_end, mut is_over) = (Vec::new(), None, 0, false);
    for path in world.disk.paths() {
        let start = world.queue_file_start(&path, place);
        let Some(start) = start else { continue };
        let content = world.disk.content(&path)?;
        if content.len() != file_bytes || next.is_some_and(|next| next != start) {
            return None;
        }
        next = Some(start + file_bytes as i64);
        for (at, bytes) in (start / UNIT as i64..).zip(content.chunks(UNIT)) {
            let Some((log_offset, size, _)) = decode::unit(bytes).filter(|_| !is_over) else {
                is_over = true;
                if bytes.iter().any(|byte| *byte != 0) {
                    return None;
                }
                continue;
            };
            if size == BLANK_SIZE {
                continue;
            }
            if log_offset < log_end {
                return None;
            }
            log_end = log_offset + i64::from(size);
            row.push(Unit { place: at, log_offset, log_end });
        }
    }
    Some(row)
}
