//! What extended queues say of messages to a reader, before it looks at the messages themselves
//! (Java `ExpressionMessageFilter.isMatchedByConsumeQueue`).

use super::{Filter, UNITS_AT_ONCE};
use crate::consume_queue::{Extended, Extension, Queue, UNIT_LEN, Unit, Window};
use crate::{Position, Store, Wait};
use std::io;

/// What stands beside a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitEntry {
    /// Where, as the unit has it.
    pub address: i64,
    /// As a unit without an entry has it.
    pub tags_code: i64,
    /// When the message was stored, ms since the epoch.
    pub stored_ms: i64,
    /// The bits of the filters that want the message; none where there was no filter.
    pub bits: Vec<u8>,
}

impl UnitEntry {
    /// The bytes that it takes.
    pub fn size(&self) -> usize {
        Extended { tags_code: self.tags_code, stored_ms: self.stored_ms, bits: &self.bits }.len()
    }
}

/// What is known of units that were read at once, one bit each.
#[derive(Clone, Copy, Default)]
pub(super) struct Judged {
    wanted: u64,
    unwanted: u64,
    /// Whether anything was looked up.
    is_done: bool,
}

const _: () = assert!(UNITS_AT_ONCE <= u64::BITS as usize);

impl Judged {
    /// Whether nothing was looked up.
    pub(super) fn is_empty(self) -> bool {
        !self.is_done
    }

    /// What unit and entry say of the message of the unit `at`; `None` where that says nothing.
    #[inline]
    pub(super) fn verdict(
        self,
        at: usize,
        unit: Option<Unit>,
        filter: &dyn Filter,
    ) -> Option<bool> {
        if self.is_done {
            return self.looked_up(at);
        }
        let unit = unit.filter(|unit| !unit.is_extended())?;
        Some(filter.wants_tags_code(unit.tags_code))
    }

    #[cold]
    fn looked_up(self, at: usize) -> Option<bool> {
        let is_wanted = self.is_wanted(at);
        (is_wanted || self.unwanted >> at & 1 != 0).then_some(is_wanted)
    }

    /// Whether tags code and bits of the unit `at` speak for its message, as far as they do.
    pub(super) fn is_wanted(self, at: usize) -> bool {
        self.wanted >> at & 1 != 0
    }
}

/// The entries of one queue, for one read.
pub(super) struct Entries<'a> {
    extension: &'a Extension,
    window: Window,
}

impl<'a> Entries<'a> {
    /// Those of a queue that has an extension, for a reader that chooses.
    #[inline]
    pub(super) fn of(queue: &'a Queue, filter: &dyn Filter) -> Option<Self> {
        let extension = queue.extension().filter(|_| !filter.wants_all())?;
        Some(Self { extension, window: Window::default() })
    }

    /// Judges units by their entries. Nothing is known of those whose entries are not there.
    ///
    /// # Errors
    /// Who does not wait has to come again.
    #[cold]
    pub(super) fn judge(
        &mut self,
        units: &[[u8; UNIT_LEN]],
        filter: &dyn Filter,
        wait: Wait,
    ) -> io::Result<Judged> {
        let mut judged = Judged { is_done: true, ..Judged::default() };
        for (at, unit) in units.iter().enumerate() {
            let Some(unit) = Unit::decode(unit).filter(|unit| !unit.is_blank()) else { continue };
            let is_wanted = if unit.is_extended() {
                let entry = self.window.get(self.extension, unit.tags_code, wait)?;
                let Some(entry) = entry else { continue };
                filter.wants_tags_code(entry.tags_code)
                    && (entry.bits.is_empty() || filter.wants_bits(entry.bits, entry.stored_ms))
            } else {
                filter.wants_tags_code(unit.tags_code)
            };
            let known = if is_wanted { &mut judged.wanted } else { &mut judged.unwanted };
            *known |= 1 << at;
        }
        Ok(judged)
    }
}

impl Store {
    /// What stands beside a unit; none where it has the tags code itself, or that is lost.
    pub(crate) fn entry_of(&self, queue: &Queue, unit: &Unit) -> Option<UnitEntry> {
        let extension = queue.extension().filter(|_| unit.is_extended())?;
        let mut window = Window::default();
        let entry = window.get(extension, unit.tags_code, Wait::ForDisk).ok()??;
        Some(UnitEntry {
            address: unit.tags_code,
            tags_code: entry.tags_code,
            stored_ms: entry.stored_ms,
            bits: entry.bits.to_vec(),
        })
    }

    /// What stands beside the unit of the message at a queue offset, for tools; where that is lost
    /// the address that leads nowhere.
    pub fn entry_at(&self, at: Position<'_>) -> Option<Result<UnitEntry, i64>> {
        let queue = self.queues.find(at.topic, at.queue_id).filter(|queue| !queue.is_batch())?;
        let unit = queue.unit(at.offset).filter(Unit::is_extended)?;
        Some(self.entry_of(&queue, &unit).ok_or(unit.tags_code))
    }
}
