//! The names of files: those that readers see, those on the medium, and the changes in between.

use super::Loss;
use crate::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Table = BTreeMap<PathBuf, u64>;

enum Change {
    Link(PathBuf, u64),
    Unlink(PathBuf),
    /// One step: the name moves.
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn apply(&self, table: &mut Table) {
        match self {
            Self::Link(path, node) => drop(table.insert(path.clone(), *node)),
            Self::Unlink(path) => drop(table.remove(path)),
            Self::Rename(from, to) => {
                if let Some(node) = table.remove(from) {
                    table.insert(to.clone(), node);
                }
            }
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (one, other) = match self {
            Self::Link(path, _) | Self::Unlink(path) => (path, None),
            Self::Rename(from, to) => (from, Some(to)),
        };
        std::iter::once(one).chain(other)
    }
}

pub(super) struct Names {
    live: Table,
    durable: Table,
    /// Changes that are not on the medium, oldest first.
    pending: Vec<Change>,
    in_order: bool,
}

impl Names {
    pub(super) fn new(in_order: bool) -> Self {
        Self { live: Table::new(), durable: Table::new(), pending: Vec::new(), in_order }
    }

    pub(super) fn order(&mut self, in_order: bool) {
        self.in_order = in_order;
    }

    pub(super) fn find(&self, path: &Path) -> Option<u64> {
        self.live.get(path).copied()
    }

    /// The file that has the name on the medium, when no pending change touches the name.
    pub(super) fn durable(&self, path: &Path) -> Option<u64> {
        let node = self.durable.get(path).copied()?;
        let changes = self.pending.iter().any(|change| change.paths().any(|p| p == path));
        (!changes).then_some(node)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&PathBuf, &u64)> {
        self.live.iter()
    }

    /// Whether a file has a name, or may have one after power loss.
    pub(super) fn holds(&self, node: u64) -> bool {
        self.live.values().chain(self.durable.values()).any(|held| *held == node)
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn link(&mut self, path: &Path, node: u64) {
        self.change(Change::Link(path.into(), node));
    }

    pub(super) fn unlink(&mut self, path: &Path) {
        if self.live.contains_key(path) {
            self.change(Change::Unlink(path.into()));
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        if self.live.contains_key(from) {
            self.change(Change::Rename(from.into(), to.into()));
        }
    }

    /// Makes the names in the directory of `path` durable.
    pub(super) fn sync_dir(&mut self, path: &Path) {
        let dir = path.parent();
        self.commit(|change| change.paths().any(|path| path.parent() == dir));
    }

    /// Makes durable what is needed to find a file.
    pub(super) fn sync_node(&mut self, node: u64) {
        let paths: BTreeSet<PathBuf> =
            self.live.iter().filter(|(_, n)| **n == node).map(|(path, _)| path.clone()).collect();
        self.commit(|change| change.paths().any(|path| paths.contains(path)));
    }

    pub(super) fn sync_all(&mut self) {
        self.commit(|_| true);
    }

    /// Puts chosen changes on the medium; with a journal also all that came before them.
    fn commit(&mut self, chosen: impl Fn(&Change) -> bool) {
        let end = self.pending.iter().rposition(&chosen).map_or(0, |last| last + 1);
        let mut later = Vec::new();
        for (at, change) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            if at < end && (self.in_order || chosen(&change)) {
                change.apply(&mut self.durable);
            } else {
                later.push(change);
            }
        }
        self.pending = later;
    }

    /// Power loss: some of the changes were on the medium.
    pub(super) fn lose(&mut self, loss: Loss, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let first = match loss {
            Loss::All => 0,
            Loss::Nothing => pending.len(),
            _ => random.index(pending.len() + 1),
        };
        let mut lost = BTreeSet::new();
        for (at, change) in pending.into_iter().enumerate() {
            let kept = match (loss, self.in_order) {
                (Loss::All | Loss::Nothing, _) | (_, true) => at < first,
                // In any order, but the changes of one name follow each other.
                _ => random.one_in(2) && !change.paths().any(|path| lost.contains(path)),
            };
            if kept {
                change.apply(&mut self.durable);
            } else {
                lost.extend(change.paths().cloned());
            }
        }
    }

    /// After power loss: what is on the medium is what readers see.
    pub(super) fn settle(&mut self) {
        self.live = self.durable.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_durable_when_their_directory_is() {
        let (one, other) = (Path::new("/d/one"), Path::new("/e/other"));
        for in_order in [true, false] {
            let mut names = Names::new(in_order);
            names.link(other, 1);
            names.link(one, 2);
            names.sync_dir(one);
            assert_eq!(names.durable(one), Some(2));
            assert_eq!(names.durable(other), in_order.then_some(1), "a journal keeps the order");
            names.unlink(one);
            names.lose(Loss::All, &mut Random::new(1));
            names.settle();
            assert_eq!(names.find(one), Some(2), "the removal was not durable");
        }
    }
}
