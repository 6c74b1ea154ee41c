//! From settings and a directory to a broker, and back to files that the next one can read.

use crate::assignment::{self, RequestModes};
use crate::broker::{Broker, Identity, Outside};
use crate::carried::Carried;
use crate::clients::Clients;
use crate::config_texts::has_mark;
use crate::delay::{self, Delays};
use crate::filters::{self, Filters};
use crate::groups::{self, Groups};
use crate::lite;
use crate::mappings::{self, Mappings};
use crate::mending;
use crate::moves;
use crate::offsets::{self, Offsets};
use crate::order::{self, Locks};
use crate::pop;
use crate::pop::order_info::{self, Orders};
use crate::saved::Saved;
use crate::stats::Stats;
use crate::timer::{self, Timer};
use crate::topics::{self, Own, Topics};
use crate::trace;
use crate::transactions;
use arc_swap::ArcSwap;
use filter::Bloom;
use message::ids::UniqueIds;
use message::{names, properties, property};
use parking_lot::Mutex;
use remoting::body::data_version::DataVersion;
use remoting::json::BodyError;
use settings::{BrokerSettings, Family as _, FlushDiskType};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use store::{ConfigFiles, ConfigOrigin, Disk, FlushMode, Progress, Store};
use tokio::sync::mpsc::UnboundedSender;

/// The files under `config` that a start reads.
const CONFIG: [&str; 10] = [
    topics::FILE,
    groups::FILE,
    offsets::FILE,
    offsets::LIGHT_FILE,
    delay::FILE,
    mappings::FILE,
    order_info::FILE,
    order::FILE,
    filters::FILE,
    assignment::FILE,
];

/// What only the machine knows.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// What local time is ahead of UTC, in milliseconds.
    pub utc_offset_ms: i64,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// The process, for unique ids.
    pub pid: u32,
    /// A number that differs between starts, for unique ids.
    pub salt: u32,
    /// What `brokerIP1` was found to be, where that is a host name.
    pub host_ip: Option<IpAddr>,
}

/// Why a broker does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong, and the way out.
    pub text: String,
    /// Whether a setting has to be mended, so that to start again is in vain.
    pub of_settings: bool,
}

impl From<String> for Refused {
    fn from(text: String) -> Self {
        Self { text, of_settings: false }
    }
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Self {
        let of_settings = matches!(error, store::Error::Setting { .. });
        Self { text: error.to_string(), of_settings }
    }
}

impl Broker {
    /// Opens the store and reads what the broker before this one left. `watch` is told how far it
    /// has come: after a crash that may take a while.
    ///
    /// # Errors
    /// When the store can't be opened, or `brokerIP1` is no address and nobody looked up the name;
    /// the text says what to do.
    pub fn open(
        disk: Arc<dyn Disk>,
        mut settings: BrokerSettings,
        outside: UnboundedSender<Outside>,
        surroundings: &Surroundings,
        watch: &dyn Fn(Progress),
    ) -> Result<Self, Refused> {
        let (now, light) = (surroundings.now_ms, settings.store.enable_lmq);
        let identity = identity(&settings, surroundings.host_ip, now)?;
        let store = open_store(disk, &settings, surroundings, watch)?;
        let topics = Topics::new(&own_topics(&settings), now).with_light_queues(light);
        let groups = Groups::new(now).with_light_queues(light);
        let offsets = Offsets::with_light_queues(light);
        let files = store.config();
        let load = |text: &str| has_mark(topics::FILE, text) && topics.load(text).is_ok();
        let (saved_topics, from) =
            saved(files, topics::FILE, load, (&|it| topics.replay(it), &|| topics.version()));
        mending::make_lost_topics(&topics, &store, from, now);
        mending::keep_newest(&topics, &store, watch)?;
        let load = |text: &str| has_mark(groups::FILE, text) && groups.load(text).is_ok();
        let (saved_groups, groups_from) =
            saved(files, groups::FILE, load, (&|it| groups.replay(it), &|| groups.version()));
        let from = load_offsets(files, &offsets);
        let offsets_saved = offsets.changes();
        mending::make_groups(&groups, &offsets, &store, groups_from, now);
        mending::check_offsets(&offsets, &store, from);
        let filters = load_filters(&store, &mut settings, now)?;
        let broker = Self {
            unique_ids: unique_ids(&identity, surroundings),
            identity,
            mappings: load_mappings(&store, &topics, &settings.broker.broker_name),
            topics,
            groups,
            orders: load_orders(&store, offsets.noted_to()),
            offsets,
            clients: Clients::default(),
            carried: Carried::default(),
            filters,
            locks: load_locks(store.config(), now),
            lite: Default::default(),
            request_modes: load_request_modes(store.config()),
            holds: Default::default(),
            pops: Default::default(),
            notices: Default::default(),
            untold: Default::default(),
            moves: Default::default(),
            delays: Mutex::new(load_delays(store.config(), &store, now)),
            timer: Default::default(),
            transactions: Default::default(),
            stats: Stats::new(now, surroundings.utc_offset_ms),
            trace: Default::default(),
            saving: Default::default(),
            saved_topics: Mutex::new(saved_topics),
            saved_groups: Mutex::new(saved_groups),
            unsaved_files: Default::default(),
            store: Arc::new(store),
            unflushed: Default::default(),
            counter: AtomicU16::new(0),
            turn: AtomicU32::new(0),
            settings: ArcSwap::from_pointee(settings),
            operator: Mutex::new(()),
            cold_limits: Default::default(),
            settings_version: Mutex::new(DataVersion::new(now)),
            outside,
            others: OnceLock::new(),
            saved_offsets: AtomicU64::new(offsets_saved),
        };
        Ok(broker.begun(from, now, watch))
    }

    /// Saves what a start has to, and looks at what the store of another life holds.
    fn begun(self, offsets_from: ConfigOrigin, now_ms: i64, watch: &dyn Fn(Progress)) -> Self {
        self.save_first(offsets_from, now_ms, watch);
        self.look_back(now_ms, watch);
        self
    }

    /// Saves what the start made or changed. Files that are not there tell the next start that they
    /// were lost, so they are there from the first one on.
    fn save_first(&self, offsets_from: ConfigOrigin, now_ms: i64, watch: &dyn Fn(Progress)) {
        // What the log says must not outlive it.
        self.moves.note_all(self.store.max_log_offset());
        // The file of offsets says up to where it has all pops: it may not be written before.
        pop::catch_up::catch_up(self, offsets_from, self.identity.boot_ms, watch);
        self.save_tables(now_ms);
        self.save_changed(now_ms);
        if offsets_from == ConfigOrigin::Missing {
            self.save(self.offsets.file(), &self.offsets.to_json(now_ms));
        }
    }

    /// What the store of another life holds and must be known before the first request.
    fn look_back(&self, now_ms: i64, watch: &dyn Fn(Progress)) {
        transactions::check::catch_up(self, watch);
        transactions::waiting::Waiting::load(self, now_ms);
        delay::catch_up(self, now_ms, watch);
        Timer::open(self, now_ms, watch);
    }

    /// Saves what changed and can wait: what [`Self::unsaved`] gives.
    pub fn save_changed(&self, now_ms: i64) {
        let unsaved = self.unsaved(now_ms);
        let is_durable = moves::make_durable(self);
        self.save_unsaved(unsaved, is_durable);
    }

    /// What changed since it was saved, in the text of its file. One sync of the log after that
    /// ([`moves::make_durable`]) is enough for all of it.
    pub fn unsaved(&self, now_ms: i64) -> Unsaved {
        let changes = self.offsets.changes();
        let is_changed = self.saved_offsets.load(Ordering::Relaxed) != changes;
        let offsets = (is_changed || pop::catch_up::is_far_behind(self)).then(|| {
            pop::catch_up::note(self);
            (changes, self.offsets.to_json(now_ms))
        });
        let (orders, locks) = (self.orders.take_changed(), self.locks.take_changed(now_ms));
        let mut delays = self.delays.lock();
        let delays = delays.take_changed().then(|| delays.to_json());
        Unsaved { offsets, orders, locks, delays }
    }

    /// Saves that. Offsets stay unsaved where what they were moved for is not durable.
    pub fn save_unsaved(&self, unsaved: Unsaved, is_durable: bool) {
        // Before the offsets, which say up to where both have what the revive log says.
        if unsaved.orders.is_some_and(|orders| !self.save(order_info::FILE, &orders)) {
            self.orders.set_changed();
        }
        if let Some((changes, offsets)) = unsaved.offsets
            && is_durable
            && self.save(self.offsets.file(), &offsets)
        {
            self.saved_offsets.store(changes, Ordering::Relaxed);
        }
        if unsaved.locks.is_some_and(|locks| !self.save(order::FILE, &locks)) {
            self.locks.set_changed();
        }
        let is_saved = |delays: String| is_durable && self.save(delay::FILE, &delays);
        if unsaved.delays.is_some_and(|delays| !is_saved(delays)) {
            self.delays.lock().set_changed();
        }
    }

    /// What is looked after every ten seconds: silent clients, and the filters of groups.
    pub fn slow_tick(&self, now_ms: i64) {
        let settings = self.settings();
        self.save_filters(now_ms);
        self.clean_orders(now_ms);
        lite::expiry::readers(self, now_ms);
        self.carried.expire(settings.broker.subscription_expired_timeout, now_ms);
        let expired = self.clients.expire(settings.broker.channel_expired_timeout, now_ms);
        for peer in expired.close {
            peer.close();
        }
        self.notify_changed(expired.changed);
    }

    /// Forgets what FIFO groups took of queues that are not there any more.
    pub fn clean_orders(&self, now_ms: i64) {
        let readable = |topic: &str, group: &str| {
            let topic = self.topics.find(topic).filter(|_| self.groups.contains(group));
            topic.map(|topic| topic.read_queue_nums)
        };
        self.orders.clean(readable, now_ms);
        self.lite.orders.clean(readable, now_ms);
    }

    fn save_filters(&self, now_ms: i64) {
        let keep_ms = self.settings().broker.filter_data_clean_time_span;
        let is_there = |group: &str| self.clients.consumers(group).is_some();
        let text = self.filters.tick(is_there, keep_ms, now_ms);
        if text.is_some_and(|text| !self.save(filters::FILE, &text)) {
            self.filters.set_changed();
        }
    }

    /// Saves the offsets of the groups that none was moved of for what is not durable, where a
    /// store that failed let none be saved: what the others committed stays as it was saved last.
    fn save_durable_offsets(&self, now_ms: i64) {
        let saved = Offsets::with_light_queues(self.settings().store.enable_lmq);
        if load_offsets(self.store.config(), &saved) != ConfigOrigin::File {
            return;
        }
        let durable_to = self.store.flushed_to();
        saved.take_groups(&self.offsets, |group| !self.moves.has_moved(group, durable_to));
        self.save(saved.file(), &saved.to_json(now_ms));
    }

    /// Ends: everything saved and durable, `abort` removed.
    ///
    /// # Errors
    /// When the store could not be closed cleanly.
    pub fn close(&self, now_ms: i64) -> Result<(), String> {
        timer::close(self, now_ms);
        trace::step(self, now_ms);
        self.save_changed(now_ms);
        if self.saved_offsets.load(Ordering::Relaxed) != self.offsets.changes() {
            self.save_durable_offsets(now_ms);
        }
        self.save_filters(now_ms);
        self.save_due(i64::MAX);
        transactions::waiting::Waiting::save(self, 0, now_ms);
        self.store.close().map_err(|error| error.to_string())
    }
}

/// What a broker saves several times a second: offsets of consumers and of delay levels, what FIFO
/// groups took, and who consumes which queue in order.
pub struct Unsaved {
    /// With the count of changes that it has.
    offsets: Option<(u64, String)>,
    orders: Option<String>,
    locks: Option<String>,
    delays: Option<String>,
}

fn open_store(
    disk: Arc<dyn Disk>,
    settings: &BrokerSettings,
    surroundings: &Surroundings,
    watch: &dyn Fn(Progress),
) -> Result<Store, Refused> {
    let settings = store_settings(settings, surroundings.memory_bytes, surroundings.utc_offset_ms);
    store::root::check(&*disk, &settings.root)?;
    store::rocks::refuse(&*disk, &settings.root)?;
    ConfigFiles::new(disk.clone(), &settings.root).check_readable(&CONFIG)?;
    Ok(Store::open_watched(disk, settings, watch)?)
}

/// Reads a table's file and the changes in its journal; says which of its files was read.
fn saved(
    files: &ConfigFiles,
    name: &'static str,
    load: impl Fn(&str) -> bool,
    (replay, version): (&Replay<'_>, &dyn Fn() -> DataVersion),
) -> (Saved, ConfigOrigin) {
    let (text, origin) = files.load_from(name, |text| load(text).then(|| text.to_owned()));
    let (journal, changes) = files.journal(name, text.as_deref().unwrap_or_default());
    for change in &changes {
        if let Err(error) = replay(change) {
            tracing::error!(file = name, %error, "a change in the journal is not understood");
        }
    }
    if origin == ConfigOrigin::Backup && changes.is_empty() {
        replay_newer(name, &files.loose_changes(name), (replay, version));
    }
    (Saved::new(name, journal), origin)
}

/// Takes up the changes of a journal whose file is lost, where the file's backup is older than they
/// are. What the lost file had and the backup has not is missing all the same.
fn replay_newer(
    name: &str,
    changes: &[String],
    (replay, version): (&Replay<'_>, &dyn Fn() -> DataVersion),
) {
    let (mut taken, mut passed_over) = (0, 0);
    for change in changes {
        let next = remoting::json::from_body::<Versioned>(change.as_bytes());
        let is_newer = next.is_ok_and(|next| next.data_version > version());
        if is_newer && replay(change).is_ok() { taken += 1 } else { passed_over += 1 }
    }
    if taken + passed_over > 0 {
        tracing::error!(
            file = name,
            taken,
            passed_over,
            "the .bak stands for its file, and this journal was beside that: changes that are \
             newer than the .bak are taken over, older ones are not. Changes between the two are \
             lost: look whether the newest topics and groups are there"
        );
    }
}

/// Takes up a change of a journal.
type Replay<'a> = dyn Fn(&str) -> Result<(), BodyError> + 'a;

/// Of a change the version alone.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versioned {
    data_version: DataVersion,
}

/// Where groups are. The first start with light queues finds the file of one without.
fn load_offsets(files: &ConfigFiles, offsets: &Offsets) -> ConfigOrigin {
    let load = |name| {
        let parse = |text: &str| has_mark(name, text).then(|| offsets.load(text).ok())?;
        files.load_from(name, parse).1
    };
    match load(offsets.file()) {
        ConfigOrigin::Missing if offsets.file() != offsets::FILE => load(offsets::FILE),
        origin => origin,
    }
}

/// How far delayed messages were delivered.
fn load_delays(files: &ConfigFiles, store: &Store, now_ms: i64) -> Delays {
    let (delays, origin) = files.load_from(delay::FILE, |text| {
        has_mark(delay::FILE, text).then(|| Delays::load(text).ok())?
    });
    match delays {
        Some(delays) if origin == ConfigOrigin::File => return delays,
        Some(delays) => return delays.former(),
        None => {}
    }
    let ids = store.queue_ids(names::SCHEDULE_TOPIC);
    if ids.iter().any(|id| store.max_offset(names::SCHEDULE_TOPIC, *id) > 0) {
        tracing::error!(
            "neither delayOffset.json nor its .bak can be used: how far delayed messages were \
             delivered is looked up in the index, and what that does not know is delivered again"
        );
    }
    let mut delays = Delays::new(now_ms);
    delays.set_changed();
    delays.former()
}

/// Where the queues of static topics are.
fn load_mappings(store: &Store, topics: &Topics, broker_name: &str) -> Mappings {
    let mappings = Mappings::default();
    let (_, from) = store.config().load_from(mappings::FILE, |text| {
        has_mark(mappings::FILE, text).then(|| mappings.load(text).ok())?
    });
    if from == ConfigOrigin::Damaged {
        mending::withhold_static_topics(&mappings, topics, store, broker_name);
    }
    mappings.forget(|topic| !topics.contains(topic) && store.removed_to(topic) > 0);
    for mapping in mappings.all() {
        let (topic, named) = (mapping.topic.as_deref(), mapping.bname.as_deref());
        if named != Some(broker_name) {
            tracing::error!(
                topic,
                named,
                broker_name,
                "a static topic's mapping is that of another broker: was brokerName changed?"
            );
        }
    }
    mappings
}

/// How groups are to fetch.
fn load_request_modes(files: &ConfigFiles) -> RequestModes {
    let modes = RequestModes::default();
    files.load(assignment::FILE, |text| modes.load(text).ok());
    modes
}

/// What FIFO groups had taken. What was saved later than the offsets the revive log has too.
fn load_orders(store: &Store, noted_to: Option<i64>) -> Orders {
    let orders = Orders::default();
    let (_, origin) = store.config().load_from(order_info::FILE, |text| orders.load(text).ok());
    if origin == ConfigOrigin::Damaged {
        tracing::error!(
            "neither consumerOrderInfo.json nor its .bak can be used: what groups took in order \
             and did not acknowledge is given to them at once, before its time"
        );
    }
    if let Some(noted_to) = noted_to {
        orders.forget_topics(|topic| store.is_of_former_life(topic, noted_to));
    }
    orders
}

/// Who consumed which queue in order.
fn load_locks(files: &ConfigFiles, now: i64) -> Locks {
    let locks = Locks::default();
    let (_, origin) = files.load_from(order::FILE, |text| locks.load(text, now).ok());
    if origin == ConfigOrigin::Damaged {
        tracing::error!(
            "neither queueLocks.json nor its .bak can be used: who consumes which queue in order \
             is forgotten, as by a Java broker. The first member that asks for a queue gets it, \
             and another may still work on messages that it pulled"
        );
    }
    locks
}

/// The SQL92 filters that groups had; they give messages their bits.
fn load_filters(
    store: &Store,
    settings: &mut BrokerSettings,
    now: i64,
) -> Result<Arc<Filters>, Refused> {
    let broker = &settings.broker;
    let bloom =
        Bloom::new(broker.max_error_rate_of_bloom_filter, broker.expect_consumer_num_use_filter);
    let bloom = bloom.map_err(|error| Refused { text: error.to_string(), of_settings: true })?;
    let filters = Filters::new(bloom);
    let filters = filters.behind(store.newest_store_time(), store.was_clean());
    store.config().load(filters::FILE, |text| filters.load(text, now).ok());
    filters.set_marks(broker.enable_calc_filter_bit_map);
    // Java sets it here too, whatever the file says.
    let (key, bits) = ("bitMapLengthConsumeQueueExt", bloom.bits());
    settings.unread_mut().insert(key.to_owned(), bits.to_string());
    let filters = Arc::new(filters);
    store.set_filter_bits(filters.clone());
    Ok(filters)
}

fn unique_ids(identity: &Identity, surroundings: &Surroundings) -> UniqueIds {
    let pid = u16::try_from(surroundings.pid & 0xffff).unwrap_or(0);
    let (salt, utc_offset_ms) = (surroundings.salt, surroundings.utc_offset_ms);
    UniqueIds::new(identity.store_host.ip(), pid, salt, utc_offset_ms)
}

fn own_topics(settings: &BrokerSettings) -> Own {
    let broker = &settings.broker;
    Own {
        cluster: broker.broker_cluster_name.as_str().into(),
        broker: broker.broker_name.as_str().into(),
        cluster_topic: broker.cluster_topic_enable,
        broker_topic: broker.broker_topic_enable,
        auto_create: broker.auto_create_topic_enable,
        default_queues: broker.default_topic_queue_nums,
        revive_queues: broker.revive_queue_num,
        trace_topic: broker.trace_topic_enable.then(|| broker.msg_trace_topic_name.as_str().into()),
    }
}

fn identity(
    settings: &BrokerSettings,
    host_ip: Option<IpAddr>,
    now_ms: i64,
) -> Result<Identity, Refused> {
    let broker = &settings.broker;
    let port = u16::try_from(settings.net.listen_port).unwrap_or(0);
    let host = &broker.broker_ip1;
    let (store_host, address) = match (host.parse::<IpAddr>(), host_ip) {
        (Ok(ip), _) => (SocketAddr::new(ip, port), SocketAddr::new(ip, port).to_string()),
        // Clients look the name up themselves, and find the host also when it moved.
        (Err(_), Some(ip)) => (SocketAddr::new(ip, port), format!("{host}:{port}")),
        (Err(_), None) => {
            let text = format!("brokerIP1={host}: an address such as 192.168.0.7 was expected");
            return Err(Refused { text, of_settings: true });
        }
    };
    let ha_port = match u16::try_from(settings.store.ha_listen_port) {
        Ok(0) | Err(_) => port.wrapping_add(1),
        Ok(port) => port,
    };
    let mut stamp = Vec::new();
    let trace_on = if broker.trace_on { "true" } else { "false" };
    properties::push_pair(&mut stamp, property::MSG_REGION, &broker.region_id);
    properties::push_pair(&mut stamp, property::TRACE_ON, trace_on);
    properties::push_pair(&mut stamp, property::CLUSTER, &broker.broker_cluster_name);
    Ok(Identity {
        address,
        store_host,
        ha_address: format!("{}:{ha_port}", broker.broker_ip2),
        boot_ms: now_ms,
        stamp,
    })
}

/// Bytes of a file of extended queues, where they are kept.
fn extension_bytes(java: &settings::Store) -> Option<u64> {
    let bytes = u64::try_from(java.mapped_file_size_consume_queue_ext).ok();
    bytes.filter(|_| java.enable_consume_queue_ext)
}

/// The store's knobs, from Java's settings.
pub(crate) fn store_settings(
    settings: &BrokerSettings,
    memory_bytes: u64,
    utc_offset_ms: i64,
) -> store::Settings {
    let java = &settings.store;
    let number = |value: i32| usize::try_from(value).unwrap_or(0);
    let size = |value: i32| u64::try_from(value).unwrap_or(0);
    let percent = |value: i32| u8::try_from(value).unwrap_or(100);
    let count = |value: i32| u32::try_from(value).unwrap_or(0);
    store::Settings {
        root: java.store_path_root_dir.as_str().into(),
        commit_log_dir: Some(java.commit_log_dir().into()),
        commit_log_file_bytes: size(java.mapped_file_size_commit_log),
        consume_queue_file_bytes: java.consume_queue_segment_bytes(),
        batch_queue_file_bytes: size(java.mapper_file_size_batch_consume_queue),
        extension_file_bytes: extension_bytes(java),
        compaction: java.enable_compaction,
        compaction_log_file_bytes: size(java.compaction_mapped_file_size),
        compaction_queue_file_bytes: size(java.compaction_cq_mapped_file_size),
        compaction_keys_bytes: number(java.max_offset_map_size),
        index_slots: count(java.max_hash_slot_num),
        index_entries: count(java.max_index_num),
        index: java.message_index_enable,
        flush_mode: match java.flush_disk_type {
            FlushDiskType::AsyncFlush => FlushMode::Async,
            FlushDiskType::SyncFlush => FlushMode::Sync,
        },
        max_message_bytes: number(java.max_message_size),
        check_crc_on_recover: java.check_crc_on_recover,
        scrub_time_percent: percent(java.scrub_time_percent),
        cut_log_at_damage: java.cut_log_at_damage,
        append_property_crc: java.enabled_append_prop_crc,
        light_queues: java.enable_lmq && java.enable_multi_dispatch,
        light_queues_max: match java.enable_lmq_quota {
            true => number(java.max_lmq_consume_queue_num),
            false => store::Settings::default().light_queues_max,
        },
        delay_levels_ms: java.delay_levels_ms(),
        hot_read_bytes: number(java.max_transfer_bytes_on_message_in_memory),
        hot_read_messages: number(java.max_transfer_count_on_message_in_memory),
        cold_read_bytes: number(java.max_transfer_bytes_on_message_in_disk),
        cold_read_messages: number(java.max_transfer_count_on_message_in_disk),
        filter_scan_bytes: number(java.max_filter_message_size),
        query_messages: number(java.max_msgs_num_batch),
        memory_bytes,
        hot_memory_percent: size(java.access_message_in_memory_max_ratio),
        flush_log_interval_ms: java.flush_interval_commit_log.into(),
        flush_log_least_pages: java.flush_commit_log_least_pages.into(),
        flush_log_thorough_interval_ms: java.flush_commit_log_thorough_interval.into(),
        flush_queues_interval_ms: java.flush_interval_consume_queue.into(),
        flush_queues_thorough_interval_ms: java.flush_consume_queue_thorough_interval.into(),
        retain_interval_ms: java.clean_resource_interval.into(),
        reserved_hours: java.file_reserved_time.into(),
        delete_hours: java
            .delete_when
            .split(';')
            .filter_map(|hour| hour.trim().parse().ok())
            .collect(),
        delete_files_at_once: number(java.delete_file_batch_max),
        disk_used_percent: percent(java.disk_max_used_space_ratio),
        disk_force_percent: percent(java.disk_space_clean_forcibly_ratio),
        disk_refuse_percent: percent(java.disk_space_warning_level_ratio),
        delete_forcibly: java.clean_file_forcibly_enable,
        store_bytes_max: u64::try_from(java.store_bytes_max).unwrap_or(0),
        disk_free_bytes_min: u64::try_from(java.disk_free_bytes_min).unwrap_or(0),
        utc_offset_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold;
    use std::cell::RefCell;
    use std::path::Path;
    use store::Append;

    #[test]
    fn after_a_kill_a_start_tells_each_thing_that_it_looks_at() {
        let disk = simulator::SimDisk::new(1);
        let told: RefCell<Vec<Progress>> = RefCell::default();
        let open = |now_ms| {
            let settings = cold::settings(Path::new("/store"));
            let watch = |progress: Progress| told.borrow_mut().push(progress);
            cold::open_watched(disk.clone(), settings, now_ms, &watch).0
        };
        let broker = open(1_700_000_000_000);
        let host = broker.identity.store_host;
        let mut appends = [Append::one(message::Draft::plain("T", 0, host))];
        broker.append(&mut appends, 1_700_000_000_000);
        assert!(appends[0].outcome.is_ok());
        drop(broker);
        disk.kill();
        told.borrow_mut().clear();
        drop(open(1_700_000_001_000));
        let told = told.into_inner();
        for what in [
            "reading the commit log",
            "opening compacted topics",
            "reading what became of half messages",
            "looking for pops that are not saved",
            "taking over pops",
            "looking for delayed messages that were delivered",
            "reading the timer's log",
        ] {
            let first = told.iter().find(|progress| progress.what == what);
            assert_eq!(first.map(Progress::percent), Some(0), "{what}: {told:?}");
        }
    }
}
