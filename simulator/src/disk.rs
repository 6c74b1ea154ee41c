//! A disk in memory that fails as real ones do: power loss takes sectors and names that were not
//! synced, in any combination; writes, reads and syncs fail, once or for good; room runs out; the
//! machine dies in the middle of an operation. What [`store::disk::Disk`] promises holds, and
//! nothing more.

mod image;
mod names;

use crate::Random;
use bytes::Bytes;
use image::Image;
use names::Names;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::disk::{Allocation, Disk, File, Listed, Lock, Space};

const PAGE: u64 = 4096;
const SECTOR: u64 = 512;

/// What of the unsynced sectors power loss takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of them.
    All,
    /// None of them.
    Nothing,
    /// Whole pages, each by a coin.
    Pages,
    /// Sectors, each by a coin.
    Sectors,
    /// One sector in twelve.
    FewSectors,
    /// Eleven sectors in twelve.
    MostSectors,
}

impl Loss {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::All, Self::Nothing, Self::Pages, Self::Sectors, Self::FewSectors, Self::MostSectors];
}

/// A kind of operation that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writing or zeroing a range; a part of it may be written.
    Write,
    /// Reading a range.
    Read,
    /// Making a range durable; what it leaves unwritten no later sync writes.
    Sync,
    /// Making, replacing or removing a file, or listing a directory.
    Name,
}

struct Fault {
    op: Op,
    /// Operations of the kind that still succeed.
    after: u64,
    forever: bool,
}

/// The disk; clones are the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    random: Random,
    nodes: BTreeMap<u64, Node>,
    names: Names,
    /// Counts the machine's starts: a lock of an earlier one means nothing.
    starts: u64,
    locked: bool,
    clock: i64,
    /// Every so many operations, one takes long; 0 is never.
    slow_one_in: u64,
    faults: Vec<Fault>,
    /// Writes to files that still succeed.
    writes_left: u64,
    /// Changes that the machine still makes before it dies.
    changes_left: Option<u64>,
    is_dead: bool,
    changes: u64,
    is_full: bool,
    total: u64,
    others: u64,
}

struct Node {
    image: Image,
    space: Allocation,
    modified: i64,
    /// The size is on the medium.
    is_sized: bool,
}

impl Node {
    /// Bytes that it takes.
    fn room(&self) -> u64 {
        match self.space {
            Allocation::Reserved => self.image.len.next_multiple_of(PAGE),
            Allocation::Sparse | Allocation::Scattered => self.image.room(),
        }
    }
}

/// How far an operation gets.
#[derive(PartialEq)]
enum Fate {
    Whole,
    /// It fails, or the machine dies, in the middle.
    Torn,
}

impl SimDisk {
    /// An empty disk; what goes wrong comes from `seed`. Names are lost in the order in which they
    /// were made, as a journal does.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            nodes: BTreeMap::new(),
            names: Names::new(true),
            starts: 0,
            locked: false,
            clock: 0,
            slow_one_in: 0,
            faults: Vec::new(),
            writes_left: u64::MAX,
            changes_left: None,
            is_dead: false,
            changes: 0,
            is_full: false,
            total: 1 << 40,
            others: 1 << 39,
        })))
    }

    /// Whether power loss takes names in the order in which they were made, as a journal does, or
    /// in any.
    pub fn order_names(&self, in_order: bool) {
        self.0.lock().names.order(in_order);
    }

    /// Takes all free room, or gives it back.
    pub fn fill(&self, full: bool) {
        self.0.lock().is_full = full;
    }

    /// The size of the disk, and what others than the store take of it, bytes.
    pub fn set_room(&self, total: u64, others: u64) {
        let mut state = self.0.lock();
        (state.total, state.others) = (total, others);
    }

    /// Bytes that the files take.
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Sets the clock, ms since the epoch.
    pub fn set_clock(&self, now: i64) {
        self.0.lock().clock = now;
    }

    /// The clock, ms since the epoch; slow operations let it run.
    pub fn clock(&self) -> i64 {
        self.0.lock().clock
    }

    /// One operation in so many takes up to three seconds; 0 is never.
    pub fn slow_down(&self, one_in: u64) {
        self.0.lock().slow_one_in = one_in;
    }

    /// Lets `count` more writes succeed.
    pub fn fail_writes_after(&self, count: u64) {
        self.0.lock().writes_left = count;
    }

    /// Lets an operation fail after `after` more of its kind, and from then on when `forever`.
    pub fn fail(&self, op: Op, after: u64, forever: bool) {
        self.0.lock().faults.push(Fault { op, after, forever });
    }

    /// Reads work again.
    pub fn heal_reads(&self) {
        self.0.lock().faults.retain(|fault| fault.op != Op::Read);
    }

    /// The machine stands still now, as if it had died after the last change.
    pub fn stop(&self) {
        self.0.lock().is_dead = true;
    }

    /// Whether a failed sync left something that is not on the medium and never will be.
    pub fn has_forgotten(&self) -> bool {
        self.0.lock().nodes.values().any(|node| node.image.has_forgotten())
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut state = self.0.lock();
        state.faults.clear();
        state.writes_left = u64::MAX;
    }

    /// Lets the machine die within a change (a write, a sync, a name) after `count` more of them.
    pub fn die_after(&self, count: u64) {
        self.0.lock().changes_left = Some(count);
    }

    /// Whether the machine died: every operation fails until [`Self::kill`] or [`Self::lose`].
    pub fn is_dead(&self) -> bool {
        self.0.lock().is_dead
    }

    /// Changes made since the beginning.
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// The process ends without a word; the machine goes on, so memory keeps what was written. What
    /// a failed sync forgot is given back or stays: the next process may read what is nowhere else.
    pub fn kill(&self) {
        let mut state = self.0.lock();
        state.start_again();
        if state.random.one_in(2) {
            state.nodes.values_mut().for_each(|node| node.image.evict());
        }
    }

    /// Power loss that takes sectors by a coin, and names.
    pub fn crash(&self) {
        self.lose(Loss::Sectors);
    }

    /// Power loss.
    pub fn lose(&self, loss: Loss) {
        let mut state = self.0.lock();
        state.start_again();
        let State { random, nodes, names, .. } = &mut *state;
        names.lose(loss, random);
        names.settle();
        nodes.retain(|node, _| names.holds(*node));
        for node in nodes.values_mut() {
            node.image.lose(loss, random);
            if !node.is_sized && random.one_in(3) {
                node.image = Image::new(0);
            }
            node.is_sized = true;
        }
    }

    /// Damages a bit of a byte that was written once; says where, when there is one.
    pub fn flip(&self) -> Option<(PathBuf, u64)> {
        let mut state = self.0.lock();
        let State { random, nodes, names, .. } = &mut *state;
        let has_pages = |node: &u64| nodes.get(node).is_some_and(|n| !n.image.pages().is_empty());
        let files: Vec<_> = names.all().filter(|(_, node)| has_pages(node)).collect();
        let (path, node) = files.get(random.index(files.len()))?;
        let image = &mut nodes.get_mut(node)?.image;
        let pages = image.pages();
        let page = pages[random.index(pages.len())] * PAGE;
        let filled: Vec<u64> =
            (page..(page + PAGE).min(image.len)).filter(|at| !image.is_zero(*at..at + 1)).collect();
        let at = *filled.get(random.index(filled.len()))?;
        image.flip(at, random.below(8) as u8);
        Some(((*path).clone(), at))
    }

    /// Whether power loss now could change the range of a file; false when there is none.
    pub fn is_durable(&self, path: &Path, range: Range<u64>) -> bool {
        let state = self.0.lock();
        let node = state.names.durable(path).and_then(|node| state.nodes.get(&node));
        node.is_some_and(|node| range.end <= node.image.len && node.image.is_durable(range))
    }

    /// The bytes of a file as readers see them, without any fault.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.lock();
        let image = &state.nodes.get(&state.names.find(path)?)?.image;
        let mut bytes = vec![0; image.len as usize];
        image.read(0, &mut bytes);
        Some(bytes)
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.all().map(|(path, _)| path.clone()).collect()
    }
}

impl State {
    fn start_again(&mut self) {
        self.starts += 1;
        self.locked = false;
        self.is_dead = false;
        self.changes_left = None;
        self.writes_left = u64::MAX;
    }

    fn used(&self) -> u64 {
        self.names.all().filter_map(|(_, node)| self.nodes.get(node)).map(Node::room).sum()
    }

    fn has_room(&self, bytes: u64) -> io::Result<()> {
        let fits = self.used().saturating_add(self.others).saturating_add(bytes) <= self.total;
        if bytes == 0 || fits && !self.is_full { Ok(()) } else { Err(full()) }
    }

    /// What every operation does first.
    fn begin(&mut self, op: Op) -> io::Result<Fate> {
        if self.is_dead {
            return Err(io::Error::other("the machine is dead"));
        }
        if self.slow_one_in > 0 && self.random.one_in(self.slow_one_in) {
            self.clock += self.random.below(3_000) as i64;
        }
        if op != Op::Read {
            self.changes += 1;
            match &mut self.changes_left {
                Some(0) => {
                    self.is_dead = true;
                    return Ok(Fate::Torn);
                }
                Some(left) => *left -= 1,
                None => {}
            }
        }
        let mut fails = false;
        self.faults.retain_mut(|fault| {
            let hits = fault.op == op && fault.after == 0;
            fails |= hits;
            if fault.op == op {
                fault.after = fault.after.saturating_sub(1);
            }
            !hits || fault.forever
        });
        Ok(if fails { Fate::Torn } else { Fate::Whole })
    }

    /// As [`Self::begin`], for operations that happen as a whole or not at all.
    fn begin_whole(&mut self, op: Op) -> io::Result<()> {
        if self.begin(op)? == Fate::Whole { Ok(()) } else { Err(broken()) }
    }

    fn make(&mut self, content: &[u8], len: u64, space: Allocation) -> u64 {
        let mut image = Image::new(len);
        image.write(0, content);
        let number = self.nodes.keys().next_back().map_or(0, |last| last + 1);
        let node = Node { image, space, modified: self.clock, is_sized: false };
        self.nodes.insert(number, node);
        number
    }

    fn create(&mut self, path: &Path, size: u64, space: Allocation) -> io::Result<()> {
        let fate = self.begin(Op::Name)?;
        self.has_room(if space.is_reserved() { size } else { 1 })?;
        if fate == Fate::Torn && !(self.is_dead && self.random.one_in(2)) {
            return Err(broken());
        }
        let node = self.make(&[], size, space);
        self.names.link(path, node);
        if fate == Fate::Torn {
            return Err(broken());
        }
        if space.is_reserved() {
            self.nodes.get_mut(&node).expect("just made").is_sized = true;
            self.names.sync_dir(path);
        }
        Ok(())
    }

    fn replace(&mut self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        let fate = self.begin(Op::Name)?;
        let steps = if fate == Fate::Whole { 4 } else { self.random.below(4) };
        self.has_room(content.len() as u64)?;
        let temporary = path.with_file_name(format!(
            "{}.tmp",
            path.file_name().unwrap_or_default().to_string_lossy()
        ));
        let node = self.make(content, content.len() as u64, Allocation::Reserved);
        self.names.link(&temporary, node);
        if steps >= 1 {
            let made = self.nodes.get_mut(&node).expect("just made");
            made.image.sync(0..content.len() as u64);
            made.is_sized = true;
        }
        if let (Some(backup), true) = (backup, steps >= 2) {
            self.names.rename(path, backup);
        }
        if steps >= 3 {
            self.names.rename(&temporary, path);
        }
        if steps < 4 {
            return Err(broken());
        }
        self.names.sync_dir(path);
        Ok(())
    }
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

fn full() -> io::Error {
    ErrorKind::StorageFull.into()
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        if state.is_dead {
            return Err(broken());
        }
        if state.names.find(path).is_none() {
            state.create(path, size, space)?;
        }
        let node = state.names.find(path).ok_or(ErrorKind::NotFound)?;
        let len = state.nodes.get(&node).map_or(0, |node| node.image.len);
        if len != size {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(Arc::new(SimFile { disk: self.0.clone(), node, len, starts: state.starts }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let mut state = self.0.lock();
        state.begin_whole(Op::Read)?;
        let mut all: BTreeMap<String, Listed> = BTreeMap::new();
        for (path, node) in state.names.all() {
            let Ok(below) = path.strip_prefix(dir) else { continue };
            let mut parts = below.iter();
            let Some(name) = parts.next() else { continue };
            let (name, is_dir) = (name.to_string_lossy().into_owned(), parts.next().is_some());
            let Some(node) = state.nodes.get(node) else { continue };
            let len = if is_dir { 0 } else { node.image.len };
            all.insert(
                name.clone(),
                Listed { name, len, is_dir, is_other: false, modified: node.modified },
            );
        }
        Ok(all.into_values().collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin_whole(Op::Name)?;
        state.names.unlink(path);
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin_whole(Op::Name)?;
        let in_use = state.names.all().any(|(path, _)| path.starts_with(dir));
        if in_use { Err(ErrorKind::DirectoryNotEmpty.into()) } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let fate = state.begin(Op::Name)?;
        if fate == Fate::Torn && !(state.is_dead && state.random.one_in(2)) {
            return Err(broken());
        }
        state.names.rename(from, to);
        if fate == Fate::Torn {
            return Err(broken());
        }
        state.names.sync_dir(to);
        Ok(())
    }

    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        self.0.lock().replace(path, content, backup)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.0.lock();
        state.begin_whole(Op::Read)?;
        let node = state.names.find(path).ok_or(ErrorKind::NotFound)?;
        let image = &state.nodes.get(&node).ok_or(ErrorKind::NotFound)?.image;
        let mut bytes = vec![0; image.len as usize];
        image.read(0, &mut bytes);
        Ok(bytes)
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let fate = state.begin(Op::Sync)?;
        let State { nodes, names, random, is_dead, .. } = &mut *state;
        for node in nodes.values_mut() {
            let all = 0..node.image.len;
            match fate {
                Fate::Whole => node.image.sync(all),
                Fate::Torn if *is_dead => {}
                Fate::Torn => node.image.fail_sync(all, random),
            }
            node.is_sized |= fate == Fate::Whole;
        }
        if fate == Fate::Torn {
            return Err(broken());
        }
        names.sync_all();
        Ok(())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let mut state = self.0.lock();
        state.begin_whole(Op::Read)?;
        let free = state.total.saturating_sub(state.used()).saturating_sub(state.others);
        Ok(Space { total: state.total, free, available: free })
    }

    fn lock(&self, _: &Path, _: &[u8]) -> io::Result<Box<dyn Lock>> {
        let mut state = self.0.lock();
        state.begin_whole(Op::Name)?;
        if std::mem::replace(&mut state.locked, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { disk: self.0.clone(), starts: state.starts }))
    }
}

struct SimLock {
    disk: Arc<Mutex<State>>,
    starts: u64,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.starts == self.starts {
            state.locked = false;
        }
    }
}

struct SimFile {
    disk: Arc<Mutex<State>>,
    node: u64,
    len: u64,
    starts: u64,
}

impl SimFile {
    /// Runs one operation on the image.
    fn on<T>(
        &self,
        op: Op,
        range: &Range<u64>,
        work: impl FnOnce(&mut State, Fate) -> io::Result<T>,
    ) -> io::Result<T> {
        if range.start > range.end || range.end > self.len {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut state = self.disk.lock();
        let fate = state.begin(op)?;
        work(&mut state, fate)
    }

    /// The image to change; a process of an earlier start is no more.
    fn image<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Image> {
        let (now, same) = (state.clock, self.starts == state.starts);
        let node = state.nodes.get_mut(&self.node).filter(|_| same).ok_or_else(broken)?;
        node.modified = now;
        Ok(&mut node.image)
    }

    fn read_image<'a>(&self, state: &'a State) -> io::Result<&'a Image> {
        Ok(&state.nodes.get(&self.node).ok_or_else(broken)?.image)
    }
}

impl File for SimFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = offset..offset.saturating_add(data.len() as u64);
        self.on(Op::Write, &range.clone(), |state, fate| {
            state.writes_left = state.writes_left.checked_sub(1).ok_or_else(broken)?;
            let node = state.nodes.get(&self.node).ok_or_else(broken)?;
            if !node.space.is_reserved() {
                let bytes = node.image.new_room(range);
                state.has_room(bytes)?;
            }
            let all = data.len() as u64;
            // A write that is cut short ends with a sector.
            let cut = (offset + state.random.below(all + SECTOR)) / SECTOR * SECTOR;
            let written = if fate == Fate::Whole { all } else { cut.max(offset) - offset };
            let written = written.min(all);
            self.image(state)?.write(offset, &data[..written as usize]);
            if fate == Fate::Whole { Ok(()) } else { Err(broken()) }
        })
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let range = offset..offset.saturating_add(out.len() as u64);
        self.on(Op::Read, &range, |state, fate| match fate {
            Fate::Whole => {
                self.read_image(state)?.read(offset, out);
                Ok(())
            }
            Fate::Torn => Err(broken()),
        })
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
        self.read_at(range.start, &mut bytes)?;
        Ok(bytes.into())
    }

    fn is_zero(&self, range: Range<u64>) -> io::Result<bool> {
        self.on(Op::Read, &range.clone(), |state, fate| match fate {
            Fate::Whole => Ok(self.read_image(state)?.is_zero(range)),
            Fate::Torn => Err(broken()),
        })
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.on(Op::Write, &range.clone(), |state, fate| {
            let end = match fate {
                Fate::Whole => range.end,
                Fate::Torn => state.random.below(range.end + 1) / SECTOR * SECTOR,
            };
            let end = end.max(range.start);
            self.image(state)?.zero(range.start..end);
            if fate == Fate::Whole { Ok(()) } else { Err(broken()) }
        })
    }

    fn sync(&self, range: Range<u64>) -> io::Result<()> {
        self.on(Op::Sync, &range.clone(), |state, fate| {
            let State { nodes, names, random, is_dead, .. } = &mut *state;
            let node = nodes.get_mut(&self.node).ok_or_else(broken)?;
            match fate {
                Fate::Whole => {
                    node.image.sync(range);
                    node.is_sized = true;
                    names.sync_node(self.node);
                    Ok(())
                }
                Fate::Torn if *is_dead => Err(broken()),
                Fate::Torn => {
                    node.image.fail_sync(range, random);
                    Err(broken())
                }
            }
        })
    }
}
