//! `Groups`: the configurations of consumer groups, and which topics they are forbidden to read
//! (Java's `SubscriptionGroupManager`).
//!
//! A configuration never changes; a change makes a new one and moves the data version. Not here:
//! who is connected ([`crate::clients`]), how far groups are ([`crate::offsets`]), saving the file.

use crate::attributes;
use crate::files;
use crate::saved::{Changed, News, Part};
use message::{Lookup, Str, names};
use parking_lot::RwLock;
use remoting::body::data_version::DataVersion;
use remoting::body::group::{SubscriptionGroupConfig, SubscriptionGroupWrapper};
use remoting::json::BodyError;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The groups that every broker has from the start (Java: `init`).
const SYSTEM_GROUPS: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];

/// The bit that forbids reading (Java: `PermName.INDEX_PERM_READ`).
const READ_BIT: u32 = 2;

/// Groups that may be there before clients can't make further ones; Java has no bound.
const CREATE_LIMIT: usize = 1_000_000;
/// The file under `config`.
pub const FILE: &str = "subscriptionGroup.json";

/// A group, and whether the call made it: then the table has to be saved.
#[derive(Clone, Debug)]
pub struct Found {
    /// The group.
    pub group: Arc<SubscriptionGroupConfig>,
    /// Whether it is new.
    pub changed: bool,
}

/// All groups.
#[derive(Debug)]
pub struct Groups {
    state: RwLock<State>,
    /// Whether groups of light queues need not be made (`enableLmq`).
    light: bool,
    changes: AtomicU64,
}

#[derive(Debug)]
struct State {
    table: Lookup<Str, Arc<SubscriptionGroupConfig>>,
    /// By group and topic, the bits of what is forbidden.
    forbidden: HashMap<Str, BTreeMap<Str, i32>>,
    version: DataVersion,
    /// What the file does not know yet.
    unsaved: Changed,
}

impl Groups {
    /// The system's groups.
    pub fn new(now: i64) -> Self {
        let groups = SYSTEM_GROUPS.map(|name| (Str::from_static(name), Arc::new(fresh(name))));
        let state = State {
            table: groups.into_iter().collect(),
            forbidden: HashMap::new(),
            version: DataVersion::new(now),
            unsaved: Changed::Nothing,
        };
        Self { state: RwLock::new(state), light: false, changes: AtomicU64::new(0) }
    }

    /// With groups of light queues, which need not be made (Java: `LmqSubscriptionGroupManager`).
    pub fn with_light_queues(self, light: bool) -> Self {
        Self { light, ..self }
    }

    fn is_light(&self, group: &str) -> bool {
        self.light && names::is_lmq(group)
    }

    /// Whether every broker has the group from the start.
    pub fn is_own(group: &str) -> bool {
        SYSTEM_GROUPS.contains(&group)
    }

    /// A group.
    pub fn find(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        if self.is_light(group) {
            return Some(Arc::new(fresh(group)));
        }
        self.state.read().table.get(group).cloned()
    }

    /// Whether the group is there.
    pub fn contains(&self, group: &str) -> bool {
        self.is_light(group) || self.state.read().table.contains_key(group)
    }

    /// A group, made if it is not there and may be: any with a valid name while `auto_create`
    /// (`autoCreateSubscriptionGroup`), the system's own always.
    pub fn find_or_create(&self, group: &str, auto_create: bool, now: i64) -> Option<Found> {
        if let Some(group) = self.find(group) {
            return Some(Found { group, changed: false });
        }
        let may = auto_create || names::is_system_group(group);
        if !may || names::check_group(group).is_err() {
            return None;
        }
        let mut state = self.state.write();
        if let Some(group) = state.table.get(group) {
            return Some(Found { group: Arc::clone(group), changed: false });
        }
        if state.table.len() >= CREATE_LIMIT {
            tracing::warn!(group, CREATE_LIMIT, "no group made: too many");
            return None;
        }
        tracing::info!(group, "consumer group made");
        Some(Found { group: self.put(&mut state, fresh(group), now), changed: true })
    }

    /// Makes or changes a group; its attributes are a change to those that are there.
    ///
    /// # Errors
    /// When the attributes cannot be changed so; the text is Java's.
    pub fn update(
        &self,
        wanted: SubscriptionGroupConfig,
        now: i64,
    ) -> Result<Arc<SubscriptionGroupConfig>, String> {
        if self.is_light(&wanted.group_name) {
            return Ok(Arc::new(wanted));
        }
        let mut state = self.state.write();
        let known = state.table.get(&wanted.group_name).map(|known| &known.attributes);
        let attributes = attributes::alter(attributes::GROUP, known, &wanted.attributes)?;
        Ok(self.put(&mut state, SubscriptionGroupConfig { attributes, ..wanted }, now))
    }

    /// Switches a group off: its pulls are refused.
    pub fn disable(&self, group: &str, now: i64) {
        let mut state = self.state.write();
        if let Some(known) = state.table.get(group) {
            let off = SubscriptionGroupConfig { consume_enable: false, ..(**known).clone() };
            self.put(&mut state, off, now);
        }
    }

    /// Forgets a group and what it is forbidden; what it was.
    pub fn delete(&self, group: &str, now: i64) -> Option<Arc<SubscriptionGroupConfig>> {
        let mut state = self.state.write();
        if state.forbidden.remove(group).is_some() {
            state.unsaved = Changed::All;
        }
        let known = state.table.remove(group)?;
        self.count(&mut state, &known.group_name, now);
        Some(known)
    }

    /// Whether the group must not read the topic.
    pub fn is_read_forbidden(&self, group: &str, topic: &str) -> bool {
        let state = self.state.read();
        let bits = state.forbidden.get(group).and_then(|topics| topics.get(topic));
        bits.is_some_and(|bits| bits & (1 << READ_BIT) != 0)
    }

    /// Forbids the group to read the topic, or allows it again. Java's allowing also forgets what
    /// the group is forbidden of other topics.
    pub fn forbid_read(&self, group: &Str, topic: &Str, forbidden: bool, now: i64) {
        let mut state = self.state.write();
        let topics = state.forbidden.entry(group.clone()).or_default();
        let bits = topics.entry(topic.clone()).or_default();
        *bits = if forbidden { *bits | 1 << READ_BIT } else { *bits & !(1 << READ_BIT) };
        topics.retain(|_, bits| *bits > 0);
        if topics.is_empty() {
            state.forbidden.remove(group);
        }
        state.unsaved = Changed::All;
        self.count(&mut state, group, now);
    }

    /// All groups by name, what they are forbidden, and the version of the table.
    pub fn snapshot(&self) -> SubscriptionGroupWrapper {
        self.page(0, None, usize::MAX).0
    }

    /// The groups of one page in the order of their names (code 201), the version of the table,
    /// and how many groups there are in all. The page starts over when the asker's version is not
    /// ours.
    pub fn page(
        &self,
        from: usize,
        asked: Option<&DataVersion>,
        limit: usize,
    ) -> (SubscriptionGroupWrapper, usize) {
        let state = self.state.read();
        let from = if asked == Some(&state.version) { from } else { 0 };
        let mut sorted: Vec<_> = state.table.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        let page: BTreeMap<Str, SubscriptionGroupConfig> = sorted
            .into_iter()
            .skip(from)
            .take(limit)
            .map(|(name, group)| (name.clone(), (**group).clone()))
            .collect();
        let is_whole = page.len() == state.table.len();
        let forbidden = state.forbidden.iter();
        let forbidden = forbidden.filter(|(group, _)| is_whole || page.contains_key(*group));
        let page = SubscriptionGroupWrapper {
            data_version: state.version,
            forbidden_table: forbidden.map(|(name, of)| (name.clone(), of.clone())).collect(),
            subscription_group_table: page,
        };
        (page, state.table.len())
    }

    /// The version of the table.
    pub fn version(&self) -> DataVersion {
        self.state.read().version
    }

    /// Grows with every change.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The text of `config/subscriptionGroup.json`.
    pub fn to_json(&self) -> String {
        files::text(&self.snapshot())
    }

    /// Takes the groups of a file over those that are there.
    ///
    /// # Errors
    /// When the text is not such a file; nothing has changed then.
    pub fn load(&self, text: &str) -> Result<(), BodyError> {
        let file: SubscriptionGroupWrapper = remoting::json::from_body(text.as_bytes())?;
        let mut state = self.state.write();
        for (name, group) in file.subscription_group_table {
            state.table.insert(name, Arc::new(group));
        }
        state.forbidden.extend(file.forbidden_table);
        state.version = file.data_version;
        Ok(())
    }

    /// What changed since the last call, for the journal of `config/subscriptionGroup.json`.
    pub fn take_unsaved(&self) -> News {
        let mut state = self.state.write();
        let State { table, version, unsaved, .. } = &mut *state;
        Part::told(unsaved.take(), table, *version)
    }

    /// Takes up a change that [`take_unsaved`](Self::take_unsaved) told.
    ///
    /// # Errors
    /// When the text is no such change; nothing has changed then.
    pub fn replay(&self, change: &str) -> Result<(), BodyError> {
        let part = Part::<SubscriptionGroupConfig>::from_text(change)?;
        let mut state = self.state.write();
        state.version = part.replay(&mut state.table, |group| &group.group_name);
        Ok(())
    }

    fn put(
        &self,
        state: &mut State,
        group: SubscriptionGroupConfig,
        now: i64,
    ) -> Arc<SubscriptionGroupConfig> {
        let group = Arc::new(group);
        state.table.insert(group.group_name.clone(), Arc::clone(&group));
        self.count(state, &group.group_name, now);
        group
    }

    fn count(&self, state: &mut State, name: &Str, now: i64) {
        state.unsaved.note(name);
        state.version.advance(0, now);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
}

/// A group that nobody has configured.
fn fresh(name: &str) -> SubscriptionGroupConfig {
    SubscriptionGroupConfig { group_name: name.into(), ..SubscriptionGroupConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Groups {
        Groups::new(5)
    }

    #[test]
    fn groups_are_made_when_they_may_be() {
        let groups = groups();
        let make = |name: &str, auto| groups.find_or_create(name, auto, 9).map(|f| f.changed);
        assert_eq!(make("TOOLS_CONSUMER", false), Some(false));
        assert_eq!(make("mine", false), None);
        assert_eq!(make("CID_RMQ_SYS_mine", false), Some(true));
        assert_eq!(make("mine", true), Some(true));
        assert_eq!(make("mine", true), Some(false));
        assert_eq!(make("not valid", true), None);
        assert_eq!((groups.version().counter, groups.changes()), (2, 2));
        assert_eq!(groups.find("mine").unwrap().retry_max_times, 16);
    }

    #[test]
    fn a_change_keeps_the_attributes_that_it_does_not_name() {
        let groups = groups();
        let wanted = |retry_max_times, change: &[(&'static str, &'static str)]| {
            let pairs = change.iter().map(|(k, v)| (Str::from_static(k), Str::from_static(v)));
            SubscriptionGroupConfig { retry_max_times, attributes: pairs.collect(), ..fresh("g") }
        };
        groups.update(wanted(3, &[("+priority.factor", "50")]), 1).unwrap();
        groups.update(wanted(4, &[]), 2).unwrap();
        let group = groups.find("g").unwrap();
        assert_eq!((group.retry_max_times, &*group.attributes["priority.factor"]), (4, "50"));
        let refused = groups.update(wanted(5, &[("+priority.factor", "101")]), 3);
        assert_eq!(refused.unwrap_err(), "value is not in range(0, 100)");
        groups.disable("g", 4);
        assert!(!groups.find("g").unwrap().consume_enable);
        assert!(groups.delete("g", 5).is_some() && groups.delete("g", 6).is_none());
        assert_eq!(groups.version(), DataVersion { counter: 4, state_version: 0, timestamp: 5 });
    }

    #[test]
    fn reading_one_topic_is_forbidden_and_allowed_alone() {
        let groups = groups();
        let group = Str::from_static("g");
        let forbid =
            |topic, forbidden| groups.forbid_read(&group, &Str::from_static(topic), forbidden, 1);
        forbid("a", true);
        forbid("b", true);
        forbid("a", false);
        assert!(groups.is_read_forbidden("g", "b") && !groups.is_read_forbidden("g", "a"));
        forbid("b", false);
        assert_eq!(groups.snapshot().forbidden_table, BTreeMap::new());
    }

    #[test]
    fn pages_follow_the_names_and_start_over_after_a_change() {
        let groups = groups();
        let page = |from, version: Option<&DataVersion>| {
            let (page, total) = groups.page(from, version, 3);
            let names: Vec<Str> = page.subscription_group_table.into_keys().collect();
            (names.join(" "), total)
        };
        let first = ("CID_ONS-HTTP-PROXY CID_ONSAPI_OWNER CID_ONSAPI_PERMISSION".to_string(), 8);
        assert_eq!(page(0, None), first);
        let version = groups.version();
        assert_eq!(page(6, Some(&version)).0, "SELF_TEST_C_GROUP TOOLS_CONSUMER");
        groups.find_or_create("z", true, 6);
        assert_eq!(page(6, Some(&version)).0, first.0);
    }

    #[test]
    fn reads_what_java_writes_and_what_it_wrote() {
        let java = r#"{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":17},
            "forbiddenTable":{"G":{"T":4}},"subscriptionGroupTable":{"G":{"attributes":{},
            "brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":false,
            "groupName":"G","groupRetryPolicy":{"type":"CUSTOMIZED"},"retryMaxTimes":7}}}"#;
        let groups = groups();
        groups.load(java).unwrap();
        assert!(groups.is_read_forbidden("G", "T"));
        let group = groups.find("G").unwrap();
        assert_eq!(
            (group.consume_enable, group.retry_max_times, group.retry_queue_nums),
            (false, 7, 1)
        );
        assert!(groups.contains("TOOLS_CONSUMER") && groups.version().counter == 3);
        let again = Groups::new(0);
        again.load(&groups.to_json()).unwrap();
        assert_eq!(again.snapshot(), groups.snapshot());
    }
}
