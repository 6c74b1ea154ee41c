//! The bytes of one file: what readers see, what is on the medium, and what may become of the
//! sectors in between.

use super::{Loss, PAGE, SECTOR};
use crate::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

type Sector = [u8; SECTOR as usize];
/// Pages that were never written are not kept: index files are large and hollow.
type Pages = BTreeMap<u64, Box<[u8; PAGE as usize]>>;

/// States of a sector between the medium's and the newest that may be on the medium as well.
const VERSIONS_MAX: usize = 3;

#[derive(Clone, Default)]
pub(super) struct Image {
    /// Bytes.
    pub(super) len: u64,
    live: Pages,
    durable: Pages,
    /// Sectors written since the last sync, with what stood there meanwhile.
    dirty: BTreeMap<u64, Vec<Sector>>,
    /// Sectors that a failed sync left clean and unwritten: readers see them until they are evicted
    /// from memory, and no later sync writes them.
    forgotten: BTreeSet<u64>,
}

impl Image {
    pub(super) fn new(len: u64) -> Self {
        Self { len, ..Self::default() }
    }

    /// The pages of a range: page, first byte in it, length.
    fn parts(range: Range<u64>) -> impl Iterator<Item = (u64, usize, usize)> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let (page, from) = (at / PAGE, (at % PAGE) as usize);
            let len = (PAGE as usize - from).min(range.end.saturating_sub(at) as usize);
            at += len as u64;
            (len > 0).then_some((page, from, len))
        })
    }

    /// Bytes of pages that a write to the range would take for the first time.
    pub(super) fn new_room(&self, range: Range<u64>) -> u64 {
        let new = Self::parts(range).filter(|(page, ..)| !self.live.contains_key(page));
        new.count() as u64 * PAGE
    }

    /// Bytes of the pages that the file has.
    pub(super) fn room(&self) -> u64 {
        self.live.len() as u64 * PAGE
    }

    fn mark_dirty(&mut self, range: Range<u64>) {
        for sector in range.start / SECTOR..range.end.div_ceil(SECTOR) {
            self.forgotten.remove(&sector);
            let now = sector_of(&self.live, sector);
            match self.dirty.get_mut(&sector) {
                None => drop(self.dirty.insert(sector, Vec::new())),
                Some(versions) if versions.len() < VERSIONS_MAX => versions.push(now),
                Some(versions) => versions[VERSIONS_MAX - 1] = now,
            }
        }
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let range = offset..offset + data.len() as u64;
        self.mark_dirty(range.clone());
        let mut rest = data;
        for (page, from, len) in Self::parts(range) {
            let (now, later) = rest.split_at(len);
            let bytes = self.live.entry(page).or_insert_with(|| Box::new([0; PAGE as usize]));
            bytes[from..from + len].copy_from_slice(now);
            rest = later;
        }
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        let mut rest = &mut out[..];
        for (page, from, len) in Self::parts(offset..offset + rest.len() as u64) {
            let (now, later) = rest.split_at_mut(len);
            match self.live.get(&page) {
                Some(bytes) => now.copy_from_slice(&bytes[from..from + len]),
                None => now.fill(0),
            }
            rest = later;
        }
    }

    pub(super) fn is_zero(&self, range: Range<u64>) -> bool {
        Self::parts(range).all(|(page, from, len)| {
            let bytes = self.live.get(&page);
            bytes.is_none_or(|bytes| bytes[from..from + len].iter().all(|byte| *byte == 0))
        })
    }

    pub(super) fn zero(&mut self, range: Range<u64>) {
        for (page, from, len) in Self::parts(range) {
            if self.live.contains_key(&page) {
                self.write(page * PAGE + from as u64, &vec![0; len]);
            }
        }
    }

    fn dirty_in(&self, range: &Range<u64>) -> Vec<u64> {
        let sectors = range.start / SECTOR..range.end.div_ceil(SECTOR);
        self.dirty.range(sectors).map(|(sector, _)| *sector).collect()
    }

    /// Makes the range durable, and nothing else.
    pub(super) fn sync(&mut self, range: Range<u64>) {
        for sector in self.dirty_in(&range) {
            self.dirty.remove(&sector);
            set_sector(&mut self.durable, sector, &sector_of(&self.live, sector));
        }
    }

    /// A sync that fails: some sectors are written, all count as clean.
    pub(super) fn fail_sync(&mut self, range: Range<u64>, random: &mut Random) {
        for sector in self.dirty_in(&range) {
            self.dirty.remove(&sector);
            if random.one_in(2) {
                set_sector(&mut self.durable, sector, &sector_of(&self.live, sector));
            } else {
                self.forgotten.insert(sector);
            }
        }
    }

    /// Whether power loss could not change the range: whatever state of its sectors the medium
    /// takes, these bytes are the same.
    pub(super) fn is_durable(&self, range: Range<u64>) -> bool {
        (range.start / SECTOR..range.end.div_ceil(SECTOR)).all(|sector| {
            let versions = self.dirty.get(&sector);
            if versions.is_none() && !self.forgotten.contains(&sector) {
                return true;
            }
            let from = range.start.saturating_sub(sector * SECTOR) as usize;
            let to = SECTOR.min(range.end - sector * SECTOR) as usize;
            let live = sector_of(&self.live, sector);
            let durable = sector_of(&self.durable, sector);
            let mut states = versions.into_iter().flatten().chain(std::iter::once(&durable));
            states.all(|state| state[from..to] == live[from..to])
        })
    }

    pub(super) fn has_forgotten(&self) -> bool {
        !self.forgotten.is_empty()
    }

    /// Memory is given back: what a failed sync forgot reads as the medium has it.
    pub(super) fn evict(&mut self) {
        for sector in std::mem::take(&mut self.forgotten) {
            set_sector(&mut self.live, sector, &sector_of(&self.durable, sector));
        }
    }

    /// Power loss: each sector written since its last sync is on the medium in one of its states.
    pub(super) fn lose(&mut self, loss: Loss, random: &mut Random) {
        self.evict();
        let mut page_kept = (u64::MAX, false);
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            let page = sector * SECTOR / PAGE;
            if page_kept.0 != page {
                page_kept = (page, random.one_in(2));
            }
            let kept = match loss {
                Loss::All => false,
                Loss::Nothing => true,
                Loss::Pages => page_kept.1,
                Loss::Sectors => random.one_in(2),
                Loss::FewSectors => !random.one_in(12),
                Loss::MostSectors => random.one_in(12),
            };
            // Which of its states reached the medium: the newest, mostly.
            if kept && (versions.is_empty() || !random.one_in(4)) {
                set_sector(&mut self.durable, sector, &sector_of(&self.live, sector));
            } else if kept {
                set_sector(&mut self.durable, sector, &versions[random.index(versions.len())]);
            }
        }
        self.live = self.durable.clone();
    }

    /// Damages one bit, in memory and on the medium.
    pub(super) fn flip(&mut self, at: u64, bit: u8) {
        for pages in [&mut self.live, &mut self.durable] {
            if let Some(bytes) = pages.get_mut(&(at / PAGE)) {
                bytes[(at % PAGE) as usize] ^= 1 << bit;
            }
        }
    }

    /// The places of the pages that hold anything.
    pub(super) fn pages(&self) -> Vec<u64> {
        self.live.keys().copied().collect()
    }
}

fn sector_of(pages: &Pages, sector: u64) -> Sector {
    let (page, from) = (sector * SECTOR / PAGE, (sector * SECTOR % PAGE) as usize);
    let found = pages.get(&page).and_then(|bytes| bytes[from..].first_chunk());
    found.copied().unwrap_or([0; SECTOR as usize])
}

fn set_sector(pages: &mut Pages, sector: u64, bytes: &Sector) {
    let (page, from) = (sector * SECTOR / PAGE, (sector * SECTOR % PAGE) as usize);
    if pages.contains_key(&page) || bytes.iter().any(|byte| *byte != 0) {
        let held = pages.entry(page).or_insert_with(|| Box::new([0; PAGE as usize]));
        held[from..from + SECTOR as usize].copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_lost_apart_and_synced_ones_stay() {
        let mut mixed = 0;
        for seed in 0..50 {
            let mut image = Image::new(8192);
            image.write(0, &[1; 2048]);
            image.sync(0..1024);
            assert!(image.is_durable(0..1024) && !image.is_durable(0..1025));
            image.lose(Loss::Sectors, &mut Random::new(seed));
            let mut bytes = [0; 2048];
            image.read(0, &mut bytes);
            assert_eq!(bytes[..1024], [1; 1024]);
            let kept = [&bytes[1024..1536], &bytes[1536..]].map(|sector| sector[0]);
            mixed += usize::from(kept == [0, 1]);
            assert!(bytes[1024..].chunks(512).all(|part| part.iter().all(|b| *b == part[0])));
        }
        assert!(mixed > 0, "a later sector can outlive an earlier one");
    }

    #[test]
    fn a_failed_sync_is_not_mended_by_the_next() {
        let mut image = Image::new(4096);
        image.write(0, &[1; 4096]);
        image.fail_sync(0..4096, &mut Random::new(1));
        image.sync(0..4096);
        assert!(!image.is_durable(0..4096));
        let mut bytes = [0; 4096];
        image.read(0, &mut bytes);
        assert_eq!(bytes, [1; 4096], "readers still see it");
        image.lose(Loss::Nothing, &mut Random::new(1));
        image.read(0, &mut bytes);
        assert_ne!(bytes, [1; 4096]);
    }
}
