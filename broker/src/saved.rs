//! `Saved`: a table's file under `config` and the journal beside it. Java reads the file, so it is
//! written as a whole whenever that is cheap: not more often than its size allows; what changes
//! meanwhile is appended to the journal, and so is what changes on a disk that has no room for the
//! file: the journal has its room from the start on. Not here: the tables, and when there is
//! something to save.

use crate::files;
use message::{Lookup, Str};
use parking_lot::Mutex;
use remoting::body::data_version::DataVersion;
use remoting::json::{BodyError, from_body};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{ConfigFiles, ConfigJournal, Error};

/// A file may be written as a whole so often that it makes this many bytes a second: one of 30 KB
/// every 30 ms, one of 3 MB every 3 s.
const BYTES_PER_SECOND: i64 = 1 << 20;
/// How long a change that could not be saved waits, ms.
const RETRY_MS: i64 = 1_000;

/// Names whose configuration changed since somebody took note.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Changed {
    /// None.
    #[default]
    Nothing,
    /// These were made, changed or deleted.
    Names(BTreeSet<Str>),
    /// Something that names do not tell.
    All,
}

impl Changed {
    /// Notes a change of one name.
    pub fn note(&mut self, name: &Str) {
        match self {
            Self::Nothing => *self = Self::Names([name.clone()].into()),
            Self::Names(names) => {
                names.insert(name.clone());
            }
            Self::All => {}
        }
    }

    /// What changed until now; from here on nothing.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// A change of a table as it stands in the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part<T> {
    /// The table's version after it.
    pub data_version: DataVersion,
    /// What was made or changed.
    pub changed: Vec<T>,
    /// The names of what was deleted.
    pub deleted: Vec<Str>,
}

/// What there is to be saved of a table.
#[derive(Debug)]
pub enum News {
    /// Everything is saved.
    Nothing,
    /// A change, as its text in the journal.
    Part(String),
    /// What only the whole table can tell.
    Whole,
}

impl<T: Clone + Serialize + DeserializeOwned> Part<T> {
    /// What changed in a table.
    pub fn told(changed: Changed, table: &Lookup<Str, Arc<T>>, data_version: DataVersion) -> News {
        let names = match changed {
            Changed::Nothing => return News::Nothing,
            Changed::Names(names) => names,
            Changed::All => return News::Whole,
        };
        let (there, deleted): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| table.contains_key(name));
        let changed = there.iter().map(|name| (*table[name]).clone()).collect();
        let part = Self { data_version, changed, deleted };
        News::Part(files::compact(&part))
    }

    /// Makes the change in a table, and gives the table's version after it.
    pub fn replay(
        self,
        table: &mut Lookup<Str, Arc<T>>,
        name_of: impl Fn(&T) -> &Str,
    ) -> DataVersion {
        for name in self.deleted {
            table.remove(&name);
        }
        for one in self.changed {
            table.insert(name_of(&one).clone(), Arc::new(one));
        }
        self.data_version
    }

    /// # Errors
    /// The text is no such change.
    pub fn from_text(text: &str) -> Result<Self, BodyError> {
        from_body(text.as_bytes())
    }
}

/// A table's file and its journal.
pub struct Saved {
    name: &'static str,
    journal: ConfigJournal,
    /// The file lacks changes, which the journal holds or nothing does.
    is_stale: bool,
    /// From when on the file may be written as a whole again, ms since the epoch.
    whole_from_ms: i64,
    /// Why changes stand in memory alone, if some do: neither the file nor the journal has them.
    unkept: Option<String>,
    /// The journal is that of the text which the file has.
    counts: bool,
}

impl Saved {
    /// A file that was read, with the journal of its text.
    pub fn new(name: &'static str, journal: ConfigJournal) -> Self {
        Self { name, journal, is_stale: false, whole_from_ms: 0, unkept: None, counts: true }
    }

    /// Saves a change durably: `news` into the journal while the file must not be written yet, or
    /// cannot be, else `whole` into the file.
    ///
    /// # Errors
    /// The file could not be written, and is due a little later. Whether the change is kept all the
    /// same says [`Self::unkept`].
    pub fn save(
        &mut self,
        files: &ConfigFiles,
        news: News,
        whole: impl FnOnce() -> String,
        now_ms: i64,
    ) -> Result<(), Error> {
        let is_early = now_ms < self.whole_from_ms;
        if is_early && self.add(&news) {
            return Ok(());
        }
        let saved = self.save_whole(files, whole, now_ms);
        if let Err(error) = &saved {
            let is_kept = !is_early && self.add(&news);
            self.unkept = (!is_kept).then(|| error.to_string());
        }
        saved
    }

    /// Adds a change to the journal and says whether it is there. After a failure the file is
    /// written, or why it cannot be is told.
    fn add(&mut self, news: &News) -> bool {
        // What follows it would be read back without what only the memory has.
        if self.unkept.is_some() || !self.counts {
            return false;
        }
        let News::Part(part) = news else { return matches!(news, News::Nothing) };
        let is_there = self.journal.append(part).unwrap_or(false);
        self.is_stale |= is_there;
        is_there
    }

    /// Writes the file as a whole.
    ///
    /// # Errors
    /// It could not be written, and is due a little later.
    pub fn save_whole(
        &mut self,
        files: &ConfigFiles,
        whole: impl FnOnce() -> String,
        now_ms: i64,
    ) -> Result<(), Error> {
        let whole = whole();
        if let Err(error) = files.save(self.name, &whole) {
            self.is_stale = true;
            self.whole_from_ms = now_ms.saturating_add(RETRY_MS);
            // It may be replaced all the same, though nobody knows whether for good.
            self.counts = files.counts(self.name, &self.journal);
            return Err(error);
        }
        self.journal.restart(&whole);
        self.journal.reserve();
        let bytes = i64::try_from(whole.len()).unwrap_or(i64::MAX);
        (self.is_stale, self.unkept, self.counts) = (false, None, true);
        // The last time may be the end of all time: at a stop everything is due.
        let wait_ms = bytes.saturating_mul(1_000) / BYTES_PER_SECOND;
        self.whole_from_ms = now_ms.saturating_add(wait_ms);
        Ok(())
    }

    /// Why changes stand in memory alone, for whoever asked for them; `None` when all are durable.
    pub fn unkept(&self) -> Option<String> {
        self.unkept.as_ref().map(|why| {
            format!(
                "the change is made and could not be saved: {why}. It stands in memory alone, and \
                 a restart forgets it, until it can be: that is tried every second"
            )
        })
    }

    /// When the file lacks what the journal has: from when on it may be written, ms since the
    /// epoch.
    pub fn due_ms(&self) -> Option<i64> {
        self.is_stale.then_some(self.whole_from_ms)
    }

    /// The file's name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// Files that could not be saved, and why. It is tried again several times a second: each is told
/// once, and when it is saved again.
#[derive(Debug, Default)]
pub struct Failures(Mutex<BTreeMap<String, String>>);

impl Failures {
    /// Tells what became of a file, where that is news; says whether it was.
    pub fn tell(&self, name: &str, saved: &Result<(), Error>) -> bool {
        let mut known = self.0.lock();
        let Err(error) = saved else {
            let is_news = known.remove(name).is_some();
            if is_news {
                tracing::warn!(file = name, "the configuration file is saved again");
            }
            return is_news;
        };
        let why = error.to_string();
        let is_news = known.get(name) != Some(&why);
        if is_news {
            tracing::error!(
                file = name, %error,
                "a configuration file was not saved: what changed stands in the journal beside it \
                 (.changes), or where that has no room, or is none, in memory alone until it is. \
                 It is tried again, which is told when it succeeds"
            );
            known.insert(name.to_owned(), why);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::cold::{self, Cold};
    use crate::table::table;
    use crate::topics::simple;
    use remoting::body::group::SubscriptionGroupConfig;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::headers::group::UpdateGroupForbiddenRequestHeader;
    use remoting::headers::topic::{CreateTopicRequestHeader, DeleteTopicRequestHeader};
    use remoting::json::to_body;
    use remoting::peer::Peer;
    use remoting::reply::Reply;
    use remoting::room::Room;
    use remoting::router::{Call, Lane};
    use simulator::{Op, SimDisk};
    use std::path::Path;
    use store::Lack;

    const NOW: i64 = 1_700_000_000_000;

    /// What an operator is told who orders something, once it was tried to be saved.
    fn told(broker: &Broker, command: &Command, now_ms: i64) -> String {
        let address = "127.0.0.1:7".parse().unwrap();
        let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
        let call = Call { peer: &peer, command, now_ms, lane: Lane::Blocking, room: &room };
        let reply = table().run(broker, &call);
        assert!(matches!(reply, Reply::Later), "{reply:?}");
        let change = cold::save(broker, now_ms);
        broker.saving.told(change);
        String::from_utf8_lossy(&peer.take_unwritten().concat()).into_owned()
    }

    fn make_topic(name: &str) -> Command {
        let header = CreateTopicRequestHeader {
            topic: name.into(),
            default_topic: "TBW102".into(),
            read_queue_nums: 4,
            write_queue_nums: 4,
            perm: 6,
            topic_filter_type: "SINGLE_TAG".into(),
            ..CreateTopicRequestHeader::default()
        };
        Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC).with_header(&header)
    }

    #[test]
    fn what_an_operator_orders_on_a_full_disk_is_durable_or_refused_until_it_is() {
        let disk = SimDisk::new(5);
        let (broker, _outside) = cold::open(disk.clone(), Path::new("/store"), NOW);
        let refused = |said: &str, file: &str| {
            let parts = [r#""code":1,"#, "/store/config/", file, "no space left", "free some"];
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        };
        let taken = |said: &str| assert!(said.contains(r#""code":0,"#), "{said}");
        disk.fill(true);
        taken(&told(&broker, &make_topic("a"), NOW + 60_000));
        let group = SubscriptionGroupConfig {
            group_name: "g".into(),
            ..SubscriptionGroupConfig::default()
        };
        let group = Command::request(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP)
            .with_body(to_body(&group));
        taken(&told(&broker, &group, NOW + 60_000));
        // Of this the journal has no words.
        let forbid = UpdateGroupForbiddenRequestHeader {
            group: "g".into(),
            topic: "a".into(),
            readable: Some(false),
            ..UpdateGroupForbiddenRequestHeader::default()
        };
        let forbid =
            Command::request(RequestCode::UPDATE_AND_GET_GROUP_FORBIDDEN).with_header(&forbid);
        refused(&told(&broker, &forbid, NOW + 60_001), "subscriptionGroup.json");
        refused(&told(&broker, &group, NOW + 60_002), "subscriptionGroup.json");
        // The journal fails too; who asks again is not told that all is well.
        disk.fail(Op::Write, 0, false);
        refused(&told(&broker, &make_topic("late"), NOW + 60_001), "topics.json");
        refused(&told(&broker, &make_topic("late"), NOW + 60_002), "topics.json");
        let delete = DeleteTopicRequestHeader { topic: "c".into(), ..Default::default() };
        let delete = Command::request(RequestCode::DELETE_TOPIC_IN_BROKER).with_header(&delete);

        disk.fill(false);
        let due = broker.save_due_ms().unwrap();
        assert!(due <= NOW + 70_000);
        broker.save_due(due);
        assert_eq!(broker.save_due_ms(), None);
        taken(&told(&broker, &delete, due));
        taken(&told(&broker, &group, due));
        drop(broker);
        disk.kill();
        let (broker, _outside) = cold::open(disk, Path::new("/store"), NOW);
        assert!(broker.topics.contains("a") && broker.topics.contains("late"));
        assert!(broker.groups.is_read_forbidden("g", "a"));
    }

    #[test]
    fn names_gather_until_they_are_taken() {
        let mut changed = Changed::default();
        assert_eq!(changed.take(), Changed::Nothing);
        changed.note(&"a".into());
        changed.note(&"b".into());
        changed.note(&"a".into());
        assert_eq!(changed.take(), Changed::Names(["a".into(), "b".into()].into()));
        changed = Changed::All;
        changed.note(&"a".into());
        assert_eq!(changed.take(), Changed::All);
    }

    #[test]
    fn a_file_that_cannot_be_saved_is_told_once() {
        let failures = Failures::default();
        let full = || Err(Error::Full { path: "f".into(), lack: Lack::Room });
        assert!(!failures.tell("a", &Ok(())));
        assert!(failures.tell("a", &full()) && failures.tell("b", &full()));
        assert!(!failures.tell("a", &full()) && !failures.tell("b", &full()));
        let other = Error::Full { path: "f".into(), lack: Lack::Files };
        assert!(failures.tell("a", &Err(other)), "that is another reason");
        assert!(failures.tell("a", &Ok(())) && !failures.tell("a", &Ok(())));
        assert!(failures.tell("a", &full()) && !failures.tell("b", &full()));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a file is damaged on purpose")]
    fn a_journal_without_its_file_counts_where_it_is_newer_than_the_bak() {
        let dir = std::env::temp_dir().join(format!("rockhopper-saved-{}", std::process::id()));
        let (broker, _) = cold::open(Cold::default(), &dir, NOW);
        let make = |name: &str, now_ms| {
            broker.topics.update(simple(name, 4), now_ms).unwrap();
            let (news, whole) = (broker.topics.take_unsaved(), || broker.topics.to_json());
            broker.saved_topics.lock().save(broker.store.config(), news, whole, now_ms).unwrap();
        };
        make("in-the-bak", NOW + 10_000);
        make("in-the-file", NOW + 20_000);
        make("in-the-journal", NOW + 20_001);
        drop(broker);
        let file = dir.join("config/topics.json");
        assert!(!std::fs::read_to_string(&file).unwrap().contains("in-the-journal"));
        std::fs::write(&file, "{").unwrap();
        let (broker, _) = cold::open(Cold::default(), &dir, NOW + 30_000);
        let names = ["in-the-bak", "in-the-file", "in-the-journal"];
        assert_eq!(names.map(|name| broker.topics.contains(name)), [true, false, true]);
        drop(broker);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
