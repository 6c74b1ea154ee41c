//! `Broker`: all state of one broker, and what its parts do together. No socket, thread or clock:
//! what must happen outside is asked for through [`Outside`].

use crate::assignment::RequestModes;
use crate::carried::Carried;
use crate::clients::{Changed, Clients};
use crate::delay::Delays;
use crate::filters::Filters;
use crate::flush::Unflushed;
use crate::groups::Groups;
use crate::handlers::lite::HeldLite;
use crate::handlers::notification::HeldNotice;
use crate::handlers::pop::HeldPop;
use crate::handlers::pull::HeldPull;
use crate::hold::Holds;
use crate::lite::Lite;
use crate::mappings::{self, Mappings};
use crate::mending;
use crate::moves::Moves;
use crate::offsets::Offsets;
use crate::order::Locks;
use crate::others::{Nobody, Others};
use crate::pop::Pops;
use crate::pop::order_info::Orders;
use crate::pop::waiting::Waiting;
use crate::put::Effect;
use crate::saved::{Failures, Saved};
use crate::saving::{Order, Round, Saving, Unkept};
use crate::stats::Stats;
use crate::timer::Timer;
use crate::topics::{self, Topics, Wanted};
use crate::trace::Trace;
use crate::transactions::Transactions;
use arc_swap::{ArcSwap, Guard};
use bytes::{BufMut, BytesMut};
use message::ids::UniqueIds;
use message::{Str, properties, property};
use parking_lot::{Condvar, Mutex};
use remoting::body::data_version::DataVersion;
use remoting::body::group::SubscriptionGroupConfig;
use remoting::body::heartbeat::SubscriptionData;
use remoting::body::route::TopicRouteData;
use remoting::body::topic::TopicConfig;
use remoting::codes::RequestCode;
use remoting::command::Command;
use remoting::headers::client::NotifyConsumerIdsChangedRequestHeader;
use remoting::peer::{CallError, Peer};
use remoting::reply::{Answer, Asker, Reply, RequestId};
use remoting::router::Call;
use settings::BrokerSettings;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use store::{ConfigFiles, Store};
use tokio::sync::mpsc::UnboundedSender;

/// Who this broker is. Fixed while it runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The address that clients are told, `host:port`.
    pub address: String,
    /// The same as the store writes it into each message, which has no room for a name.
    pub store_host: SocketAddr,
    /// The address that replicas are told, `host:port`.
    pub ha_address: String,
    /// When this process began, in milliseconds since 1970.
    pub boot_ms: i64,
    /// What is added to the properties of each message: region, trace switch and cluster.
    pub stamp: Vec<u8>,
}

/// What clients answered, in the order in which they were asked.
pub type Answers = Vec<Result<Command, CallError>>;

/// Answers with what the answers of clients become; see [`Outside::Ask`].
pub type Then = Box<dyn FnOnce(&Broker, Asker, Answers) + Send>;

/// What a topic's route becomes; see [`Outside::Route`].
pub type ThenRoute = Box<dyn FnOnce(&Broker, Option<TopicRouteData>) -> Answer + Send>;

/// Work for the shell.
pub enum Outside {
    /// Ask clients something, all at the same time, and have `then` answer `asker` with what it
    /// makes of it.
    Ask {
        /// The clients.
        peers: Vec<Arc<Peer>>,
        /// The question.
        command: Box<Command>,
        /// How long their answers may take.
        timeout: Duration,
        /// Whoever waits for it here.
        asker: Asker,
        /// Makes the answer and gives it.
        then: Then,
    },
    /// Ask the name servers where a topic's queues are, and answer `asker` with what `then` makes
    /// of it; of nothing, if there are none or none of them can say.
    Route {
        /// The topic.
        topic: Str,
        /// Whoever waits for it here.
        asker: Asker,
        /// Makes the answer.
        then: ThenRoute,
    },
    /// Tell the name servers what topics there are, and [`Saving`] when they know.
    Announce {
        /// The last change that they know then.
        change: u64,
    },
    /// Run pops on that wait, where the disk may be waited for.
    Pops {
        /// The pops.
        held: Vec<HeldPop>,
    },
    /// Run a pop of lite topics on that waits, where the disk may be waited for.
    LitePop {
        /// The pop.
        held: HeldLite,
    },
    /// Tell the members of a large group that it changed ([`Broker::notify_members`]).
    Notify {
        /// The group.
        group: Str,
    },
    /// Write changed settings back to the configuration file that the broker was started with, and
    /// answer `asker` with `answer` when they are there.
    SaveSettings {
        /// The keys and their new values.
        changes: Vec<(String, String)>,
        /// Whoever waits for it here.
        asker: Asker,
        /// The answer.
        answer: Answer,
    },
}

/// All state of one broker.
pub struct Broker {
    /// Who it is.
    pub identity: Identity,
    /// Topics and their queues.
    pub topics: Topics,
    /// Which of them are static, and where their queues were.
    pub mappings: Mappings,
    /// Consumer groups.
    pub groups: Groups,
    /// How far groups have consumed.
    pub offsets: Offsets,
    /// Producers and consumers that are connected.
    pub clients: Clients,
    /// Large groups that changed, whose members were not told yet. Each is asked for once.
    pub(crate) untold: Mutex<HashSet<Str>>,
    /// Subscriptions that came with pulls.
    pub carried: Carried,
    /// What groups want of topics, in SQL92.
    pub filters: Arc<Filters>,
    /// Queues locked by ordered consumers.
    pub locks: Locks,
    /// What FIFO groups popped and have not acknowledged.
    pub orders: Orders,
    /// Who reads lite topics.
    pub lite: Lite<HeldLite>,
    /// How groups are to fetch topics.
    pub request_modes: RequestModes,
    /// Pulls that wait for a message.
    pub holds: Holds<HeldPull>,
    /// Messages that are taken for a time.
    pub pops: Pops<HeldPop>,
    /// Who waits to be told that there is something to pop.
    pub notices: Waiting<HeldNotice>,
    /// What must be durable before offsets are saved.
    pub moves: Moves,
    /// Delivery of delayed messages.
    pub delays: Mutex<Delays>,
    /// Messages that wait for a time of their own.
    pub timer: Timer,
    /// Half messages that are finished.
    pub transactions: Transactions,
    /// Counters.
    pub stats: Stats,
    /// What was stored and given to whom, where that is traced.
    pub trace: Trace,
    /// Changed topics and groups on their way to the disk.
    pub saving: Saving,
    pub(crate) saved_topics: Mutex<Saved>,
    pub(crate) saved_groups: Mutex<Saved>,
    /// Files under `config` that could not be saved.
    pub(crate) unsaved_files: Failures,
    /// The messages.
    pub store: Arc<Store>,
    /// What waits for a flush, and the flusher who waits for that.
    pub(crate) unflushed: (Mutex<Unflushed>, Condvar),
    pub(crate) unique_ids: UniqueIds,
    pub(crate) counter: AtomicU16,
    /// Whose turn it is among queues.
    pub(crate) turn: AtomicU32,
    pub(crate) settings: ArcSwap<BrokerSettings>,
    /// Held by who changes settings, topics or their queues at an operator's word: one at a time,
    /// so that what was looked at is still so when it is changed. Taken before any other lock.
    pub(crate) operator: Mutex<()>,
    /// How much of old messages groups may read, as operators said.
    pub(crate) cold_limits: Mutex<BTreeMap<Str, i64>>,
    /// Counts the changes of settings while the broker runs.
    pub(crate) settings_version: Mutex<DataVersion>,
    pub(crate) outside: UnboundedSender<Outside>,
    /// Set once by the shell.
    pub(crate) others: OnceLock<Arc<dyn Others>>,
    /// Offset changes that are saved already.
    pub(crate) saved_offsets: AtomicU64,
}

impl Broker {
    /// The settings as they are now. They are asked for several times for each message, by all
    /// event loops: who asks writes to no memory that others write to.
    pub fn settings(&self) -> Guard<Arc<BrokerSettings>> {
        self.settings.load()
    }

    /// Where a group's work on a topic is counted, while both are there: names that clients make up
    /// would fill the tables.
    pub fn stats_of(&self, topic: &str, group: &str) -> Option<&Stats> {
        let are_there = self.topics.contains(topic) && self.groups.contains(group);
        are_there.then_some(&self.stats)
    }

    /// Replaces the settings as a whole; nobody sees half a change.
    pub fn set_settings(&self, settings: BrokerSettings) {
        self.filters.set_marks(settings.broker.enable_calc_filter_bit_map);
        self.settings.store(Arc::new(settings));
    }

    /// Asks the shell for something. A shell that is gone is stopping the broker.
    pub fn outside(&self, work: Outside) {
        let _ = self.outside.send(work);
    }

    /// Other brokers. Whoever asks them waits: that is for the blocking lane.
    pub fn others(&self) -> &dyn Others {
        self.others.get().map_or(&Nobody, |others| &**others)
    }

    /// A unique message id, for messages whose producer gave none.
    pub fn unique_id(&self, now_ms: i64) -> String {
        self.unique_ids.id(now_ms, self.counter.fetch_add(1, Ordering::Relaxed))
    }

    /// Appends the property of such an id to encoded properties.
    pub fn push_unique_key(&self, out: &mut BytesMut, now_ms: i64) {
        out.put_slice(property::UNIQ_KEY.as_bytes());
        out.put_u8(properties::NAME_VALUE_SEPARATOR);
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        self.unique_ids.encode_into(now_ms, counter, out);
        out.put_u8(properties::PAIR_SEPARATOR);
    }

    /// A number below `count`, whatever its sign, for choosing a queue: one after the other.
    pub fn any(&self, count: i32) -> i32 {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (turn % count.unsigned_abs().max(1)).cast_signed()
    }

    /// The topic that a send goes to, made after its template if it is not there and may be.
    pub fn topic_for_send(
        &self,
        wanted: Wanted<'_>,
        by: RequestId,
        now_ms: i64,
    ) -> Option<Arc<TopicConfig>> {
        let auto_create = self.settings().broker.auto_create_topic_enable;
        let found = self.topics.create_on_send(wanted, auto_create, now_ms)?;
        if !found.changed {
            return Some(found.topic);
        }
        mending::agree_on_kind(&self.topics, &self.store, &found.topic, now_ms);
        self.saving.topic_made(by);
        self.topics.find(&found.topic.topic_name)
    }

    /// A topic for retries, dead letters or traces, made if it is not there.
    pub fn topic_for_retry(
        &self,
        topic: &str,
        queues: i32,
        sys_flag: i32,
        now_ms: i64,
    ) -> Option<Arc<TopicConfig>> {
        let wanted = TopicConfig { topic_sys_flag: sys_flag, ..topics::simple(topic, queues) };
        let found = self.topics.create_on_send_back(wanted, now_ms)?;
        if found.changed {
            self.topics_changed(None);
        }
        Some(found.topic)
    }

    /// What a group wants of a topic, as its heartbeats say, or else its pulls.
    pub fn subscription(&self, group: &str, topic: &str) -> Option<SubscriptionData> {
        let told = self.clients.consumers(group).and_then(|known| known.subscription(topic));
        told.map(|told| (*told).clone()).or_else(|| self.carried.find(group, topic))
    }

    /// A consumer group, made if it is not there and may be.
    pub fn group(&self, group: &str, now_ms: i64) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(group) = self.groups.find(group) {
            return Some(group);
        }
        let auto_create = self.settings().broker.auto_create_subscription_group;
        let found = self.groups.find_or_create(group, auto_create, now_ms)?;
        if found.changed {
            self.groups_changed();
        }
        Some(found.group)
    }

    /// Has the topics saved, and the name servers told about them.
    pub fn topics_changed(&self, then: Option<(Asker, Answer)>) {
        self.saving.topics_changed(then);
    }

    /// Has a change saved that somebody ordered, who is answered then, and refused where it cannot
    /// be: the change stands in memory until it can.
    pub fn ordered(&self, order: Order, by: &Call<'_>, answer: Answer) -> Reply<Effect> {
        self.saving.ordered(order, (by.later(), answer));
        Reply::Later
    }

    /// Whether there are changes of topics that are not durable, or that the name servers may not
    /// know: also where who made them did not come to say so yet.
    pub fn lacks_topics(&self) -> bool {
        self.topics.has_unsaved()
            || self.saving.has_untold()
            || self.saved_topics.lock().unkept().is_some()
    }

    /// Has the groups saved.
    pub fn groups_changed(&self) {
        self.saving.groups_changed();
    }

    /// Saves what changed, as one round of [`Saving`].
    pub fn save_round(&self, round: Round, now_ms: i64) {
        let mut unkept = Unkept::default();
        if round.topics {
            let (news, whole) = (self.topics.take_unsaved(), || self.topics.to_json());
            unkept.topics = self.save_table(&self.saved_topics, |saved, files| {
                saved.save(files, news, whole, now_ms)
            });
        }
        if round.groups {
            let (news, whole) = (self.groups.take_unsaved(), || self.groups.to_json());
            unkept.groups = self.save_table(&self.saved_groups, |saved, files| {
                saved.save(files, news, whole, now_ms)
            });
        }
        let announce = round.topics.then_some(round.change);
        self.saving.done(round, &unkept);
        if let Some(change) = announce {
            self.outside(Outside::Announce { change });
        }
    }

    /// When a file that lacks something may be written as a whole, ms since the epoch.
    pub fn save_due_ms(&self) -> Option<i64> {
        let [topics, groups] = [&self.saved_topics, &self.saved_groups];
        let due = [topics.lock().due_ms(), groups.lock().due_ms(), self.mappings.due_ms()];
        due.into_iter().flatten().min()
    }

    /// Writes the files as a whole that lack something and whose time has come.
    pub fn save_due(&self, now_ms: i64) {
        let is_due = |saved: &Mutex<Saved>| saved.lock().due_ms().is_some_and(|due| due <= now_ms);
        if is_due(&self.saved_topics) {
            self.save_topics(now_ms);
        }
        if is_due(&self.saved_groups) {
            self.save_groups(now_ms);
        }
        // Told where it is written.
        let save = |text: &str| self.try_save(mappings::FILE, text);
        let _ = self.mappings.save_due(now_ms, now_ms, save);
    }

    /// Writes both tables as a whole, as at the start: the journals may hold what they lack.
    pub(crate) fn save_tables(&self, now_ms: i64) {
        self.save_topics(now_ms);
        self.save_groups(now_ms);
    }

    fn save_topics(&self, now_ms: i64) {
        let whole = || self.topics.to_json();
        self.save_table(&self.saved_topics, |saved, files| saved.save_whole(files, whole, now_ms));
    }

    fn save_groups(&self, now_ms: i64) {
        let whole = || self.groups.to_json();
        self.save_table(&self.saved_groups, |saved, files| saved.save_whole(files, whole, now_ms));
    }

    /// Saves a table, and gives why changes of it stand in memory alone, where they do.
    fn save_table(
        &self,
        saved: &Mutex<Saved>,
        save: impl FnOnce(&mut Saved, &ConfigFiles) -> Result<(), store::Error>,
    ) -> Option<String> {
        let mut saved = saved.lock();
        let result = save(&mut saved, self.store.config());
        self.unsaved_files.tell(saved.name(), &result);
        saved.unkept()
    }

    /// Saves one of the files under `config`, and gives whether it is saved. A failure is logged;
    /// the state in memory stands.
    pub fn save(&self, name: &str, content: &str) -> bool {
        self.try_save(name, content).is_ok()
    }

    /// As [`Self::save`].
    ///
    /// # Errors
    /// What could not be written, and the way out.
    pub fn try_save(&self, name: &str, content: &str) -> Result<(), String> {
        let saved = self.store.config().save(name, content);
        self.unsaved_files.tell(name, &saved);
        saved.map_err(|error| error.to_string())
    }

    /// As [`Self::save`], for somebody's order, of which nothing stays where it cannot be saved.
    ///
    /// # Errors
    /// What could not be written, and the way out.
    pub fn save_ordered(&self, name: &str, content: &str) -> Result<(), String> {
        let files = self.store.config();
        let saved = files.save_or_keep(name, content);
        self.unsaved_files.tell(name, &saved);
        saved.map_err(|error| match files.text(name).as_deref() == Some(content) {
            true => format!(
                "{error}. The file has the change all the same, and a restart takes it, unless it \
                 is saved without it before"
            ),
            false => error.to_string(),
        })
    }

    /// Tells the members of groups that others came or went, unless that is switched off. The
    /// members of a large group are told outside, and once of what changes until then: in Java
    /// (`DefaultConsumerIdsChangeListener`) a later change ends the telling of an earlier one.
    pub fn notify_changed(&self, changed: impl IntoIterator<Item = Changed>) {
        if !self.settings().broker.notify_consumer_ids_changed_enable {
            return;
        }
        for Changed { group, peers } in changed {
            if let Some(peers) = peers {
                tell_changed(&group, &peers);
            } else if self.untold.lock().insert(group.clone()) {
                self.outside(Outside::Notify { group });
            }
        }
    }

    /// Tells all members of a group that it changed. Who comes or goes after this began asks for
    /// another round.
    pub fn notify_members(&self, group: &Str) {
        self.untold.lock().remove(group);
        let members = self.clients.members(group);
        tell_changed(group, members.iter().map(|member| &member.peer));
    }

    /// A connection is gone: so are its clients, and the pulls that it held.
    pub fn disconnected(&self, peer: &Peer) {
        self.forget_held(peer.id);
        self.lite.forget(peer.id);
        self.notify_changed(self.clients.closed(peer.id));
    }

    /// The same for what a request left waiting that ran beside its connection, which may have
    /// ended meanwhile.
    pub fn forget_if_gone(&self, peer: &Peer) {
        if peer.is_closing() {
            self.forget_held(peer.id);
        }
    }

    fn forget_held(&self, peer_id: u64) {
        self.holds.forget(peer_id);
        self.pops.waiting.forget(peer_id);
        self.notices.forget(peer_id);
    }
}

fn tell_changed<'a>(group: &Str, peers: impl IntoIterator<Item = &'a Arc<Peer>>) {
    let header = NotifyConsumerIdsChangedRequestHeader {
        consumer_group: group.clone(),
        ..NotifyConsumerIdsChangedRequestHeader::default()
    };
    let command = Command::request(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED);
    let command = command.with_header(&header).oneway();
    peers.into_iter().for_each(|peer| peer.send(&command));
}
