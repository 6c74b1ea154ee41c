//! The table of all consume queues: topic and queue id to [`Queue`], found without allocating.

use crate::batch_topics::{self, BatchTopics};
use crate::consume_queue::{EXTENSION_DIR, Extension, Opening, Queue, Shape};
use crate::disk::{Disk, Listed, hold_file_systems, remove_dir, sync_file_systems};
use crate::in_the_way::move_aside;
use crate::losses::is_told;
use crate::queue_ends::QueueEnds;
use crate::segments::Cutting;
use crate::{Error, FilterBits, Settings};
use message::{Lookup, Str, names};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The most queues that are synced one by one.
const SYNC_ALONE_MAX: usize = 64;

/// The queues of one topic, sorted by id.
type Topic = Vec<Arc<Queue>>;

/// All consume queues of a store.
pub(crate) struct Queues {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    single: Shape,
    batch: Shape,
    /// Bytes of a file of an extension, where there are any.
    extension_bytes: Option<u64>,
    /// Who knows what filters say of their messages.
    pub(crate) filter_bits: OnceLock<Arc<dyn FilterBits>>,
    /// The topics whose queues are of batches.
    pub(crate) batch_topics: BatchTopics,
    topics: RwLock<Topics>,
}

/// The topics in an order that the calls alone decide, so that a simulated run can be repeated.
#[derive(Default)]
struct Topics {
    places: Lookup<Str, usize>,
    list: Vec<(Str, Topic)>,
    /// How many of them are light queues.
    light: usize,
}

impl Topics {
    fn get(&self, topic: &str) -> Option<&Topic> {
        self.places.get(topic).map(|at| &self.list[*at].1)
    }

    fn get_mut(&mut self, topic: &str) -> Option<&mut Topic> {
        self.places.get(topic).map(|at| &mut self.list[*at].1)
    }

    fn entry(&mut self, topic: Str) -> &mut Topic {
        let at = *self.places.entry(topic.clone()).or_insert(self.list.len());
        if at == self.list.len() {
            self.light += usize::from(names::is_lmq(&topic));
            self.list.push((topic, Topic::new()));
        }
        &mut self.list[at].1
    }

    fn remove(&mut self, topic: &str) {
        let Some(at) = self.places.remove(topic) else { return };
        self.light -= usize::from(names::is_lmq(topic));
        self.list.swap_remove(at);
        if let Some((moved, _)) = self.list.get(at) {
            self.places.insert(moved.clone(), at);
        }
    }
}

/// Whether what is listed beside topics may be one. A file system has a directory of its own at its
/// top, where only root may look.
pub(crate) fn may_be_topic(listed: &Listed) -> bool {
    listed.is_dir && listed.name != "lost+found"
}

impl Queues {
    /// An empty table; nothing is touched on the disk.
    pub(crate) fn empty(
        disk: Arc<dyn Disk>,
        settings: &Settings,
        batch_topics: BatchTopics,
    ) -> Self {
        Self {
            disk,
            root: settings.root.clone(),
            single: Shape::single(settings.consume_queue_file_bytes),
            batch: Shape::batch(settings.batch_queue_file_bytes),
            extension_bytes: settings.extension_file_bytes,
            filter_bits: OnceLock::new(),
            batch_topics,
            topics: RwLock::default(),
        }
    }

    /// Where the queues of a topic lie, and how they look.
    fn place_of(&self, topic: &str) -> (PathBuf, Shape) {
        let (dir, shape) = match self.batch_topics.contains(topic) {
            true => (batch_topics::DIR, self.batch),
            false => (batch_topics::SINGLE_DIR, self.single),
        };
        (self.root.join(dir).join(topic), shape)
    }

    /// The directories of all topics that have queues. One that holds queues of another kind than
    /// its topic has is moved aside: a Java broker would not start.
    fn topic_dirs(
        &self,
        before_mending: &dyn Fn() -> Result<(), Error>,
    ) -> Result<Vec<String>, Error> {
        let list = |dir: &PathBuf| self.disk.list(dir).map_err(Error::io("list", dir));
        let mut found = Vec::new();
        for name in [batch_topics::SINGLE_DIR, batch_topics::DIR] {
            let dir = self.root.join(name);
            for topic in list(&dir)?.into_iter().filter(may_be_topic) {
                let own = self.place_of(&topic.name).0;
                let other = dir.join(&topic.name);
                if own == other {
                    found.push(topic.name);
                } else if list(&other)?.iter().any(|queue| queue.is_dir) {
                    before_mending()?;
                    let what = "its topic has queues of another kind (queue.type)";
                    move_aside(&*self.disk, &other, what)?;
                }
            }
        }
        Ok(found)
    }

    /// Opens the queues that are on the disk; directories that are no queue ids are passed over.
    /// `ends` are believed after a clean stop, where the files agree.
    /// When queues lost units, returns the log offset from which on the log may still have them.
    /// `before_mending` is called before a file is changed.
    pub(crate) fn load(
        &self,
        opening: Opening,
        ends: &QueueEnds,
        before_mending: &dyn Fn() -> Result<(), Error>,
    ) -> Result<Option<i64>, Error> {
        let noted = if opening.clean { ends.noted() } else { HashMap::new() };
        let (mut lost_from, mut damaged) = (None::<i64>, 0);
        let list = |dir: &PathBuf| self.disk.list(dir).map_err(Error::io("list", dir));
        hold_file_systems(&*self.disk, self.kinds().iter().map(PathBuf::as_path))?;
        for topic in self.topic_dirs(before_mending)? {
            let dir = self.place_of(&topic).0;
            let extension =
                self.extension_bytes.map(|_| self.root.join(EXTENSION_DIR).join(&topic));
            let dirs = std::iter::once(&dir).chain(&extension).map(PathBuf::as_path);
            hold_file_systems(&*self.disk, dirs)?;
            for queue in list(&dir)? {
                let Ok(id) = queue.name.parse() else { continue };
                if !queue.is_dir {
                    before_mending()?;
                    let what = "the queue is made anew from the log";
                    move_aside(&*self.disk, &dir.join(&queue.name), what)?;
                    lost_from = Some(0);
                    continue;
                }
                let opened = self.open(&topic, id);
                hold_file_systems(&*self.disk, opened.dirs())?;
                let noted = noted.get(&(topic.as_str(), id));
                if noted.map_or(Ok(false), |noted| opened.load_noted(*noted, opening))? {
                    continue;
                }
                let lost = opened.load(opening, before_mending)?;
                damaged += u64::from(lost.is_some());
                if let Some(from) = lost.filter(|_| is_told(damaged)) {
                    tracing::error!(
                        damaged,
                        topic,
                        id,
                        from,
                        "queue files are damaged, their last units are made anew from the log. Of \
                         many such lines only a few are written"
                    );
                }
                lost_from = lost_from.into_iter().chain(lost).min();
            }
        }
        Ok(lost_from)
    }

    /// How many light queues there are.
    pub(crate) fn light(&self) -> usize {
        self.topics.read().light
    }

    /// A queue that exists.
    pub(crate) fn find(&self, topic: &str, id: i32) -> Option<Arc<Queue>> {
        let topics = self.topics.read();
        let queues = topics.get(topic)?;
        queues.binary_search_by_key(&id, |queue| queue.id).ok().map(|at| queues[at].clone())
    }

    /// A queue, made when it does not exist. Its directory is made by the first write.
    pub(crate) fn open(&self, topic: &str, id: i32) -> Arc<Queue> {
        if let Some(queue) = self.find(topic, id) {
            return queue;
        }
        // A copy: the name that came with a message would keep the message's bytes alive.
        let name = Str::from(topic.to_string());
        let mut topics = self.topics.write();
        let queues = topics.entry(name);
        match queues.binary_search_by_key(&id, |queue| queue.id) {
            Ok(at) => queues[at].clone(),
            Err(at) => {
                let (dir, shape) = self.place_of(topic);
                let dir = dir.join(id.to_string());
                let queue = Queue::new(self.disk.clone(), dir, id, shape);
                let extension = self.extension_of(topic, id).filter(|_| !shape.is_batch());
                let queue = Arc::new(queue.with_extension(extension));
                queues.insert(at, queue.clone());
                queue
            }
        }
    }

    fn extension_of(&self, topic: &str, id: i32) -> Option<Extension> {
        let dir = || self.root.join(EXTENSION_DIR).join(topic).join(id.to_string());
        self.extension_bytes.map(|bytes| Extension::new(self.disk.clone(), dir(), bytes))
    }

    /// All queues.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.topics.read().list.iter().flat_map(|(_, queues)| queues).cloned().collect()
    }

    /// Lets the files of queues end where the queues do, durably: each alone when they are few,
    /// else all together, in the same order: that files are gone is durable before anything is made
    /// zeros, and that before a queue goes on.
    pub(crate) fn cut(&self, queues: &[Arc<Queue>], cutting: Cutting<'_>) -> Result<(), Error> {
        if queues.len() <= SYNC_ALONE_MAX {
            return queues.iter().try_for_each(|queue| queue.cut(cutting));
        }
        let (mut has_removed, mut ends) = (false, Vec::with_capacity(queues.len()));
        for queue in queues {
            let to = queue.write_to()?;
            has_removed |= queue.segments().remove_behind(to, cutting)?;
            ends.push((queue, to));
        }
        if has_removed {
            self.sync_dirs(queues)?;
        }
        for (queue, to) in &ends {
            queue.segments().zero_behind(*to, cutting)?;
        }
        self.sync_dirs(queues)?;
        ends.iter().for_each(|(queue, to)| queue.set_synced(*to));
        Ok(())
    }

    /// Makes queues durable: each alone when they are few, else the file systems that they are on,
    /// as thousands of syncs one after the other take minutes.
    pub(crate) fn sync(&self, queues: &[Arc<Queue>]) -> Result<(), Error> {
        if queues.len() <= SYNC_ALONE_MAX {
            return queues.iter().try_for_each(|queue| queue.sync());
        }
        let mut written = Vec::with_capacity(queues.len());
        for queue in queues {
            written.push(queue.write_to()?);
        }
        self.sync_dirs(queues)?;
        queues.iter().zip(written).for_each(|(queue, to)| queue.set_synced(to));
        Ok(())
    }

    /// Makes all that was written to queues durable. The directory of each may be on a disk of its
    /// own.
    pub(crate) fn sync_dirs(&self, queues: &[Arc<Queue>]) -> Result<(), Error> {
        sync_file_systems(&*self.disk, queues.iter().flat_map(|queue| queue.dirs()))
    }

    /// Makes it durable that queues are gone.
    pub(crate) fn sync_removed(&self) -> Result<(), Error> {
        let dirs = self.kinds();
        let all = std::iter::once(&self.root).chain(&dirs);
        sync_file_systems(&*self.disk, all.map(PathBuf::as_path))
    }

    /// The directories that hold those of topics. Each of them, and each below, may be a link to
    /// another disk.
    fn kinds(&self) -> [PathBuf; 3] {
        let dirs = [batch_topics::SINGLE_DIR, batch_topics::DIR, EXTENSION_DIR];
        dirs.map(|dir| self.root.join(dir))
    }

    /// The names of all topics that have queues.
    pub(crate) fn topics(&self) -> Vec<Str> {
        self.topics.read().list.iter().map(|(topic, _)| topic.clone()).collect()
    }

    /// The ids of a topic's queues, in order.
    pub(crate) fn ids(&self, topic: &str) -> Vec<i32> {
        let topics = self.topics.read();
        topics.get(topic).map_or_else(Vec::new, |queues| queues.iter().map(|q| q.id).collect())
    }

    /// Takes a topic out of the table and removes its files. Says whether there was one.
    pub(crate) fn remove(&self, topic: &str) -> Result<bool, Error> {
        Ok(self.remove_where(topic, |_| true)? > 0)
    }

    /// Takes the queues of a topic that `gone` names out of the table and removes their files.
    /// Returns how many there were.
    pub(crate) fn remove_where(
        &self,
        topic: &str,
        gone: impl Fn(&Queue) -> bool,
    ) -> Result<usize, Error> {
        let removed: Vec<Arc<Queue>> = {
            let mut topics = self.topics.write();
            let Some(queues) = topics.get_mut(topic) else { return Ok(0) };
            let removed = queues.extract_if(.., |queue| gone(queue)).collect();
            if queues.is_empty() {
                topics.remove(topic);
            }
            removed
        };
        removed.iter().try_for_each(|queue| queue.remove(&*self.disk))?;
        if self.topics.read().get(topic).is_none() {
            self.remove_dir(topic)?;
        }
        Ok(removed.len())
    }

    fn remove_dir(&self, topic: &str) -> Result<(), Error> {
        let extension = self.extension_bytes.map(|_| self.root.join(EXTENSION_DIR).join(topic));
        let mut dirs = [self.place_of(topic).0].into_iter().chain(extension);
        dirs.try_for_each(|dir| remove_dir(&*self.disk, &dir))
    }
}
