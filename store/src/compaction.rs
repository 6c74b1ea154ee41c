//! Topics of which only the newest message of each key is kept (`cleanup.policy=COMPACTION`, Java
//! `CompactionStore`). Their messages go to the commit log as all do, and are copied from there to
//! a log for each queue, which outlives it and is what readers get. From time to time its complete
//! files are written anew without the messages that a newer one replaces.
//!
//! What a queue lacks is taken over along its consume queue: with the append that stored it, where
//! that fills a file by [`Store::follow_compacted`], or by the next start. An inner batch counts as
//! one message, as in Java: with the key of the batch, and without one it is not taken over. Not
//! here: no log from a replica.

mod follow;
mod pass;
mod patched;
mod piece;
mod positions;
mod run;
mod settle;
mod shape;

use crate::append::Append;
use crate::disk::Disk;
use crate::reach::Wait;
use crate::{Error, Settings, Store};
use bytes::Bytes;
use message::Str;
use message::record::{self, Entry, FIXED_LEN};
use parking_lot::{Mutex, RwLock};
use pass::{Newest, Pass};
use piece::{Known, Piece};
use positions::Positions;
use run::Run;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

pub(crate) use piece::{Found, unit_of};
pub(crate) use positions::{NAME as POSITIONS, offset_in};
pub(crate) use settle::{DELETE, Damaged, damaged};
pub(crate) use shape::{Dirs, Shape};

/// The directory of everything here, and those below it.
pub(crate) const DIR: &str = "compaction";
pub(crate) const LOG_DIR: &str = "compactionLog";
pub(crate) const UNITS_DIR: &str = "compactionCq";

/// What one round of [`Store::compact`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Queues that were written anew.
    pub queues: usize,
    /// Messages that were left out.
    pub dropped: u64,
}

/// The queues of a topic by their ids.
type Topic = BTreeMap<i32, Arc<Compacted>>;

/// All queues of which the newest messages are kept.
pub(crate) struct Compactions {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    shape: Shape,
    is_clean: bool,
    /// There is such a topic.
    is_on: AtomicBool,
    topics: RwLock<BTreeMap<Str, Topic>>,
    /// Topics of which queues could not be opened: readers get what their consume queues have.
    unopened: Mutex<BTreeSet<Str>>,
    /// Queues that got messages which are not taken over yet.
    behind: Mutex<BTreeSet<(Str, i32)>>,
    /// Queues that took some over since somebody asked, and whether there are any.
    followed: Mutex<BTreeSet<(Str, i32)>>,
    has_followed: AtomicBool,
    positions: Positions,
    /// Files were removed, which a power loss may give back.
    has_removed: AtomicBool,
    /// Records that a compaction could not read.
    passed_over: AtomicU64,
    /// Bytes of the files that were moved aside for them.
    damaged: AtomicU64,
}

/// One queue.
pub(crate) struct Compacted {
    disk: Arc<dyn Disk>,
    dirs: Dirs,
    shape: Shape,
    /// Held while files are read or made durable, and to write while others take their places, so
    /// that nobody holds `run` meanwhile, for which appends wait. Lock before `run`.
    files: RwLock<()>,
    run: RwLock<Run>,
    /// Its consume queue gives none of its places again.
    is_extended: AtomicBool,
    /// Messages before this queue offset are in `run`, or need not be.
    followed: AtomicI64,
    /// The next message begins a file, and before that the last one is made durable. Appends leave
    /// the queue to those who may wait.
    is_full: AtomicBool,
    is_removed: AtomicBool,
    /// Held while messages are taken over. Lock before `run`.
    following: Mutex<()>,
    /// Held while it is compacted. Lock before `run`.
    pass: Mutex<()>,
}

impl Compactions {
    /// None yet; [`Store::keep_newest`] tells the topics. `is_clean`: the last process had stopped
    /// cleanly.
    pub(crate) fn new(disk: Arc<dyn Disk>, settings: &Settings, is_clean: bool) -> Self {
        let root = settings.root.join(DIR);
        let compactions = Self {
            positions: Positions::load(disk.clone(), &root),
            disk,
            root,
            shape: Shape::of(settings),
            is_clean,
            is_on: AtomicBool::new(false),
            topics: RwLock::default(),
            unopened: Mutex::default(),
            behind: Mutex::default(),
            followed: Mutex::default(),
            has_followed: AtomicBool::new(false),
            has_removed: AtomicBool::new(false),
            passed_over: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
        };
        compactions.look_at_damaged();
        compactions
    }

    /// Looks what lies there that was moved aside.
    fn look_at_damaged(&self) {
        match damaged(&*self.disk, &self.root) {
            Ok(all) => self.damaged.store(all.iter().map(|it| it.bytes).sum(), Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "what was moved aside is not counted"),
        }
    }

    /// Whether a topic is one.
    pub(crate) fn contains(&self, topic: &str) -> bool {
        self.is_on.load(Ordering::Acquire) && self.topics.read().contains_key(topic)
    }

    /// Whether a topic is one of which queues could not be opened, so that messages may be there
    /// that readers do not get.
    pub(crate) fn lacks_queues(&self, topic: &str) -> bool {
        self.unopened.lock().contains(topic)
    }

    /// Has the consume queues of a topic serve it until the next start.
    fn set_apart(&self, topic: &str) {
        let mut topics = self.topics.write();
        topics.remove(topic);
        self.is_on.store(!topics.is_empty(), Ordering::Release);
    }

    /// A queue, when its topic is one and it has messages.
    pub(crate) fn find(&self, topic: &str, id: i32) -> Option<Arc<Compacted>> {
        if !self.is_on.load(Ordering::Acquire) {
            return None;
        }
        self.topics.read().get(topic)?.get(&id).cloned()
    }

    /// A queue of a topic that is one, opened where it is not.
    fn open(
        &self,
        (topic, id): (&str, i32),
        known: Known,
    ) -> Result<Option<Arc<Compacted>>, Error> {
        if let Some(found) = self.find(topic, id) {
            return Ok(Some(found));
        }
        let mut topics = self.topics.write();
        let Some(queues) = topics.get_mut(topic) else { return Ok(None) };
        if let Some(found) = queues.get(&id) {
            return Ok(Some(found.clone()));
        }
        let dirs = Dirs::of(&self.root, topic, id);
        if settle::settle(&*self.disk, &dirs)? {
            self.has_removed.store(true, Ordering::Release);
            self.look_at_damaged();
        }
        let mut run = Run::empty(self.disk.clone(), dirs.clone(), self.shape);
        run.load(known)?;
        let opened = Arc::new(Compacted {
            disk: self.disk.clone(),
            dirs,
            shape: self.shape,
            followed: AtomicI64::new(run.next()),
            files: RwLock::default(),
            run: RwLock::new(run),
            is_extended: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            is_removed: AtomicBool::new(false),
            following: Mutex::default(),
            pass: Mutex::default(),
        });
        queues.insert(id, opened.clone());
        Ok(Some(opened))
    }

    /// The ids of the queues that a topic has on the disk.
    fn ids_on_disk(&self, topic: &str) -> Result<Vec<i32>, Error> {
        let mut ids = Vec::new();
        for name in [LOG_DIR, UNITS_DIR] {
            let dir = self.root.join(name).join(topic);
            let listed = self.disk.list(&dir).map_err(Error::io("list", &dir))?;
            ids.extend(
                listed.iter().filter(|it| it.is_dir).filter_map(|it| it.name.parse::<i32>().ok()),
            );
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// All queues.
    fn all(&self) -> Vec<(Str, i32, Arc<Compacted>)> {
        let topics = self.topics.read();
        let of_topic = |(topic, queues): (&Str, &Topic)| {
            let of_queue =
                |(id, queue): (&i32, &Arc<Compacted>)| (topic.clone(), *id, queue.clone());
            queues.iter().map(of_queue).collect::<Vec<_>>()
        };
        topics.iter().flat_map(of_topic).collect()
    }

    /// Forgets a topic and removes its files. Says whether there were any.
    pub(crate) fn remove(&self, topic: &str) -> Result<bool, Error> {
        let queues = {
            let mut topics = self.topics.write();
            let queues = topics.remove(topic).unwrap_or_default();
            self.unopened.lock().remove(topic);
            self.is_on.store(!topics.is_empty(), Ordering::Release);
            queues
        };
        queues.values().for_each(|queue| queue.is_removed.store(true, Ordering::Release));
        let _ended: Vec<_> =
            queues.values().map(|queue| (queue.pass.lock(), queue.following.lock())).collect();
        let ids = self.ids_on_disk(topic)?;
        for id in &ids {
            let dirs = Dirs::of(&self.root, topic, *id);
            settle::clear(&*self.disk, &dirs.compacting())?;
            settle::clear(&*self.disk, &dirs)?;
        }
        settle::clear_aside(&*self.disk, &self.root.join(shape::ASIDE).join(topic))?;
        self.look_at_damaged();
        for name in [LOG_DIR, UNITS_DIR] {
            // There may be none, or another broker's files in it.
            let _ = self.disk.remove_dir(&self.root.join(name).join(topic));
        }
        self.positions.forget(topic, &ids)?;
        Ok(!ids.is_empty())
    }

    /// Makes everything durable that was taken over.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        if !self.is_on.load(Ordering::Acquire) {
            return Ok(());
        }
        self.all().iter().try_for_each(|(_, _, queue)| queue.sync())
    }

    /// What all of it takes on the disk, about, with what was moved aside.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let damaged = self.damaged.load(Ordering::Relaxed);
        if !self.is_on.load(Ordering::Acquire) {
            return damaged;
        }
        let queues = self.all();
        damaged + queues.iter().map(|(_, _, it)| it.run.read().disk_bytes()).sum::<u64>()
    }

    /// Bytes that were found unreadable since the files were opened.
    fn lost_bytes(&self) -> u64 {
        let of_queue =
            |queue: &Compacted| queue.run.read().pieces.iter().map(Piece::lost_bytes).sum::<u64>();
        self.all().iter().map(|(_, _, queue)| of_queue(queue)).sum()
    }

    /// Notes which queues got messages.
    pub(crate) fn note(&self, appends: &[Append]) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        for append in appends.iter().filter(|append| append.outcome.is_ok()) {
            let topic = append.drafts.topic();
            if !self.contains(topic) {
                continue;
            }
            let mut behind = self.behind.lock();
            for draft in append.drafts.as_slice() {
                behind.insert((Str::from(topic.to_owned()), draft.queue_id));
            }
        }
    }
}

impl Compacted {
    /// The queue offset of the first record, and the one behind everything that was looked at.
    pub(crate) fn ends(&self) -> (i64, i64) {
        let run = self.run.read();
        let end = run.next().max(self.followed.load(Ordering::Acquire));
        (run.first().unwrap_or(end), end)
    }

    /// Makes everything durable that was written before.
    fn sync(&self) -> Result<(), Error> {
        let _files = self.files.read();
        let mut dirty = self.run.read().pieces.clone();
        dirty.retain(|piece| piece.is_dirty);
        for piece in &mut dirty {
            piece.sync(&self.dirs)?;
            self.run.write().set_synced(piece);
        }
        Ok(())
    }

    /// Calls `f` with the units from that of the first record at or behind a queue offset on, and
    /// with what finds their records, within one file; returns the log's end.
    pub(crate) fn look(
        &self,
        offset: i64,
        mut f: impl FnMut(&Found<'_>) -> bool,
    ) -> Result<i64, Error> {
        let _files = self.files.read();
        let (piece, end) = {
            let run = self.run.read();
            if run.is_broken {
                // What is missing is no gap that readers may pass.
                let why = "files of a compacted queue could not be replaced".to_owned();
                return Err(Error::Fenced { why });
            }
            (run.find(offset).cloned(), run.log_end())
        };
        let Some(piece) = &piece else { return Ok(end) };
        let path = self.dirs.units_file(piece.start);
        let mut at = piece.place_of(offset).map_err(Error::io("read", &path))?;
        while at < piece.count {
            let units = piece.units_from(at).map_err(Error::io("read", &path))?;
            at += units.len() as u64;
            for unit in units {
                let unit = unit.map_err(Error::io("read", &path))?;
                let Some(unit) = unit.filter(|unit| unit.base >= offset) else { continue };
                if !f(&Found { piece, unit: &unit, end }) {
                    return Ok(end);
                }
            }
        }
        Ok(end)
    }
}

impl Store {
    /// Keeps only the newest message of each key of a topic from now on
    /// (`cleanup.policy=COMPACTION`); tell it at each start, before anybody reads or appends. Of a
    /// topic that `is_new` and has no message nothing is there, and what an older one of its name
    /// left is removed.
    ///
    /// Where its files cannot be opened its consume queues serve it: until the next start, or until
    /// the disk has room.
    ///
    /// # Errors
    /// When its files have other sizes than the settings say, or what an older one left cannot be
    /// removed.
    pub fn keep_newest(&self, topic: &str, is_new: bool) -> Result<(), Error> {
        let queues = self.queues.ids(topic);
        let mut queues = queues.into_iter().filter_map(|id| self.queues.find(topic, id));
        let has_messages = queues.any(|queue| queue.next_offset() > 0);
        if is_new && !has_messages && self.compactions.remove(topic)? {
            let root = &self.settings.root;
            let synced = self.disk.sync_all(root).map_err(Error::io("sync", root));
            synced.inspect_err(|error| self.fence(error))?;
        }
        if !self.settings.compaction || self.compactions.contains(topic) {
            return Ok(());
        }
        let name = Str::from(topic.to_owned());
        self.compactions.topics.write().entry(name.clone()).or_default();
        self.compactions.is_on.store(true, Ordering::Release);
        let opened = self.open_known(topic);
        if let Err(error @ (Error::Io { .. } | Error::Full { .. })) = &opened {
            tracing::error!(
                topic, %error,
                "compacted queues cannot be opened: the topic is read from its consume queues"
            );
            self.compactions.unopened.lock().insert(name.clone());
        }
        if let Err(Error::Io { .. }) = opened {
            self.compactions.set_apart(topic);
            return Ok(());
        }
        self.wait_for_room(opened)?;
        let ids = self.queues.ids(topic).into_iter().map(|id| (name.clone(), id));
        self.compactions.behind.lock().extend(ids);
        self.follow_or_fence(Wait::ForDisk)?;
        self.compactions.sync().inspect_err(|error| self.fence(error))
    }

    /// Opens the queues that a topic has on the disk; those that lack room follow when it is there.
    fn open_known(&self, topic: &str) -> Result<(), Error> {
        let ids = self.compactions.ids_on_disk(topic)?;
        let behind = ids.iter().map(|id| (Str::from(topic.to_owned()), *id));
        self.compactions.behind.lock().extend(behind);
        ids.into_iter().try_for_each(|id| {
            self.compactions.open((topic, id), self.known_of(topic, id))?;
            let _no_append = self.writer.lock();
            self.open_compacted(topic, id).map(drop)
        })
    }

    /// A queue of a topic that is one. Its places are not given again, though the commit log has
    /// lost the messages: until that is seen to nobody appends.
    fn open_compacted(&self, topic: &str, id: i32) -> Result<Option<Arc<Compacted>>, Error> {
        let known = self.known_of(topic, id);
        let Some(opened) = self.compactions.open((topic, id), known)? else { return Ok(None) };
        if !opened.is_extended.load(Ordering::Acquire) {
            let end = opened.ends().1.max(opened.run.read().was_to);
            if end > 0 {
                self.queues.open(topic, id).extend_to(end)?;
            }
            opened.is_extended.store(true, Ordering::Release);
        }
        Ok(Some(opened))
    }

    /// What is known of a queue's last file.
    fn known_of(&self, topic: &str, id: i32) -> Known {
        let files = self.log.segments.file_bytes();
        let queue = self.queues.find(topic, id).filter(|queue| queue.min() < queue.max());
        Known {
            // What the log ever had room for, and what of it may be lost.
            limit: (self.log.written_to() + files) / FIXED_LEN as i64,
            may_be_torn: !self.compactions.is_clean,
            kept_from: queue.map_or(i64::MAX, |queue| queue.first_offset()),
        }
    }

    /// Whether only the newest message of each key of a topic is kept.
    pub fn keeps_newest(&self, topic: &str) -> bool {
        self.compactions.contains(topic) || self.compactions.lacks_queues(topic)
    }

    /// Bytes of compacted queues that were found unreadable since the start.
    pub fn compacted_lost_bytes(&self) -> u64 {
        self.compactions.lost_bytes()
    }

    /// Records that a compaction could not read since the start; the files that hold them were
    /// moved aside.
    pub fn compacted_passed_over(&self) -> u64 {
        self.compactions.passed_over.load(Ordering::Relaxed)
    }

    /// Whether a topic has files of compacted queues, whatever is known of it.
    pub fn has_compacted(&self, topic: &str) -> bool {
        self.compactions.ids_on_disk(topic).is_ok_and(|ids| !ids.is_empty())
    }

    /// Writes the complete files of all queues anew that got new ones since the last time, without
    /// the messages that newer ones replace. It may take long: `goes_on` is asked all the time
    /// whether it shall. Call it every `compactionScheduleInternal`.
    ///
    /// # Errors
    /// When the store failed. A queue whose new files cannot be written stays as it is.
    pub fn compact(&self, goes_on: &dyn Fn() -> bool) -> Result<Compaction, Error> {
        self.keep_removed()?;
        // A person may have taken some of it away.
        self.compactions.look_at_damaged();
        let mut done = Compaction::default();
        for (topic, id, queue) in self.compactions.all() {
            self.check_fence()?;
            let name = (&*topic, id);
            let stays = || goes_on() && !queue.is_removed.load(Ordering::Acquire);
            match self.compact_queue(&queue, name, &stays) {
                Ok(Some(dropped)) => {
                    done.queues += 1;
                    done.dropped += dropped;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%topic, id, %error, "the queue cannot be compacted now");
                }
            }
        }
        self.check_fence().map(|()| done)
    }

    /// Makes it durable that files are gone: what power loss gave back of an earlier compaction
    /// would be taken for what the next one has replaced.
    fn keep_removed(&self) -> Result<(), Error> {
        if !self.compactions.has_removed.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let root = &self.compactions.root;
        let synced = self.disk.sync_all(root).map_err(Error::io("sync", root));
        synced.inspect_err(|error| self.fence(error))
    }

    /// How many of a queue's files, from the first one on, there is room to have twice: all, a part
    /// of them, which are written anew then before the others, or none.
    fn room_for(&self, (topic, id): (&str, i32), files: &[Piece]) -> Result<usize, Error> {
        let (mut wanted, mut room) = (0, 0);
        for file in files {
            wanted += file.disk_bytes();
            let Some(full) = self.copy_bound(wanted)? else {
                room += 1;
                continue;
            };
            if room == 0 {
                let queue_bytes: u64 = files.iter().map(Piece::disk_bytes).sum();
                tracing::error!(
                    topic, id, queue_bytes, wanted, %full,
                    "there is no room to compact the queue, not even for a copy of one of its \
                     files: until there is its old messages stay, and it grows. Free or add space"
                );
            }
            break;
        }
        Ok(room)
    }

    fn compact_queue(
        &self,
        queue: &Compacted,
        (topic, id): (&str, i32),
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, Error> {
        let _alone = queue.pass.lock();
        let mut complete = {
            let run = queue.run.read();
            let count = run.pieces.len().saturating_sub(1);
            run.pieces[..count].to_vec()
        };
        let seen = self.compactions.positions.get(topic, id);
        let mut new = complete.clone();
        new.retain(|piece| piece.last > seen);
        let room = self.settings.compaction_keys_bytes;
        if new.is_empty() || self.room_for((topic, id), &complete)? == 0 {
            return Ok(None);
        }
        let stored = |offset| self.stored((topic, id), offset);
        let pass = Pass { compacted: queue, goes_on, stored: &stored };
        let Some(newest) = Newest::of(pass, &new, (seen, room))? else {
            return Ok(None);
        };
        // As long as somebody has them open, files that are replaced take their room.
        drop(new);
        let mut dropped = 0;
        while !complete.is_empty() {
            // For a while both are there.
            let count = self.room_for((topic, id), &complete)?;
            if count == 0 {
                return Ok(None);
            }
            let part: Vec<_> = complete.drain(..count).collect();
            let Some(kept) = pass::rewrite(pass, &part, &newest)? else {
                return Ok(None);
            };
            dropped += kept.dropped;
            let (places, between) = (kept.lost.places, kept.lost.between);
            self.keep_removed()?;
            let replaced = pass::replace(queue, &part, kept);
            self.compactions.has_removed.store(true, Ordering::Release);
            // Some files may have their places and some not: the next start tells.
            let aside = replaced.inspect_err(|error| self.fence(error))?;
            if let Some((after, before)) = between {
                self.compactions.look_at_damaged();
                self.compactions.passed_over.fetch_add(places, Ordering::Relaxed);
                tracing::error!(
                    topic,
                    id,
                    places,
                    after,
                    before,
                    ?aside,
                    "a compaction could not read records between these queue offsets, and the \
                     commit log does not have them any more: all others are compacted, and the \
                     files that hold them were not removed but moved aside. Check the disk (dmesg, \
                     SMART); when nothing can be got from these files, remove them"
                );
            }
        }
        self.compactions.positions.set(topic, id, newest.last)?;
        tracing::info!(topic, id, dropped, up_to = newest.last, "a queue was compacted");
        Ok(Some(dropped))
    }

    /// The record that a queue offset has in the commit log, as long as that has it.
    fn stored(&self, (topic, id): (&str, i32), offset: i64) -> Option<Bytes> {
        let queue = self.queues.find(topic, id).filter(|queue| queue.first_offset() <= offset)?;
        let units = self.units_to_follow(&queue, (topic, id), offset);
        let (unit, _) = units.first().filter(|(unit, _)| !unit.is_blank())?;
        let bytes = self.record_of(unit)?;
        let Ok(Entry::Message(record)) = record::decode(&bytes, true) else { return None };
        (record.topic == topic && record.queue_offset == offset).then(|| bytes.clone())
    }
}
