//! `Stats`: what the broker counts (Java: `BrokerStatsManager`, `StoreStatsService`,
//! `BrokerStats`). The hot path adds to atomics that it finds by name and allocates only for names
//! it has not seen. Time is an argument; nothing is printed or answered here.
//!
//! Names are counted only after their topic or group was found to exist, so the tables are bounded
//! by those of topics and groups, and shrink with them.

mod latency;
mod rates;
mod window;

pub use window::{Counter, Span, Window};

use latency::Latencies;
use message::{Lookup, names};
use parking_lot::{Mutex, RwLock};
use rates::{Rates, Sample};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const DAY_MS: i64 = 86_400_000;
const LATENCY_TURN_MS: i64 = 60_000;
/// Queues of a topic whose latency is counted one by one.
const QUEUES_LIMIT: usize = 65_536;

/// What is counted of one topic.
#[derive(Debug, Default)]
struct TopicStats {
    /// Whether it is the system's own and left out of the users' totals.
    is_system: bool,
    /// Messages sent.
    puts: Counter,
    /// Bytes of their records.
    put_bytes: Counter,
    groups: RwLock<Lookup<Box<str>, Arc<GroupStats>>>,
}

/// What is counted of one group on one topic.
#[derive(Debug, Default)]
struct GroupStats {
    /// Messages pulled.
    gets: Counter,
    /// Bytes of their records.
    get_bytes: Counter,
    /// Messages sent back for another try.
    sent_back: Counter,
    /// Messages acknowledged one by one.
    acks: Counter,
    /// Checkpoints of pops, and of messages that got another invisible time.
    check_points: Counter,
    /// Age of the newest message of each pull, ms, by queue.
    latency: Mutex<Lookup<i32, Arc<Counter>>>,
}

/// One answered pull.
#[derive(Clone, Copy, Debug)]
pub struct Pulled<'a> {
    /// The topic, which exists.
    pub topic: &'a str,
    /// The group, which exists.
    pub group: &'a str,
    /// The queue, which exists.
    pub queue_id: i32,
    /// Messages in the answer.
    pub messages: u64,
    /// Bytes in the answer.
    pub bytes: u64,
    /// How old the last message was when it was pulled, ms; `None` when that was not looked at.
    pub age_ms: Option<i64>,
}

/// A pair of totals at the last two midnights and now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// At the midnight before the last one.
    pub yesterday: u64,
    /// At the last midnight.
    pub today: u64,
    /// Now.
    pub now: u64,
}

/// Counters of the whole broker.
#[derive(Debug, Default)]
struct Totals {
    puts: Counter,
    gets: Counter,
    /// The same without system topics.
    user_puts: Counter,
    user_gets: Counter,
    acks: Counter,
    check_points: Counter,
    /// Heartbeats by group, of consumers and of producers; how long they take is not measured.
    consumer_beats: Counter,
    producer_beats: Counter,
    /// Every append, of clients or of the broker itself.
    appends: AtomicU64,
    append_bytes: AtomicU64,
    append_failures: AtomicU64,
    reads_found: AtomicU64,
    reads_missed: AtomicU64,
    read_messages: AtomicU64,
    longest_read_ms: AtomicU64,
}

/// When what is due next, and what the last times left.
#[derive(Debug)]
struct Schedule {
    second: i64,
    windows: [i64; 3],
    latency: i64,
    midnight: i64,
    puts: Days,
    gets: Days,
    rates: Rates,
}

/// All that is counted.
#[derive(Debug)]
pub struct Stats {
    topics: RwLock<Lookup<Box<str>, Arc<TopicStats>>>,
    totals: Totals,
    latencies: Latencies,
    schedule: Mutex<Schedule>,
}

/// What code 28 shows of the counters; formats are the asker's business.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Messages sent: totals by day.
    pub puts: Days,
    /// Messages pulled: totals by day.
    pub gets: Days,
    /// Messages appended since the start.
    pub appends: u64,
    /// Bytes of their records.
    pub append_bytes: u64,
    /// Appends that failed.
    pub append_failures: u64,
    /// The longest append, ms.
    pub longest_append_ms: u64,
    /// The longest read of a queue, ms.
    pub longest_read_ms: u64,
    /// Histogram of the last minute's appends, as Java prints it.
    pub append_distribution: String,
    /// Time within which 99 % and 99.9 % of the last minute's appends were done, ms.
    pub append_percentiles: [f64; 2],
    /// By second over 10, 60 and 600 seconds, as far as those have passed: messages appended.
    pub append_rate: [Option<f64>; 3],
    /// Reads that found messages.
    pub found_rate: [Option<f64>; 3],
    /// Reads that found none.
    pub missed_rate: [Option<f64>; 3],
    /// Messages read.
    pub read_rate: [Option<f64>; 3],
}

impl Stats {
    /// Nothing counted yet. `utc_offset_ms` says when midnight is here.
    pub fn new(now_ms: i64, utc_offset_ms: i64) -> Self {
        let local_ms = now_ms + utc_offset_ms;
        let schedule = Schedule {
            second: now_ms,
            windows: [now_ms; 3],
            latency: now_ms + LATENCY_TURN_MS,
            midnight: now_ms + DAY_MS - local_ms.rem_euclid(DAY_MS),
            puts: Days::default(),
            gets: Days::default(),
            rates: Rates::default(),
        };
        Self {
            topics: RwLock::default(),
            totals: Totals::default(),
            latencies: Latencies::default(),
            schedule: Mutex::new(schedule),
        }
    }

    /// Counts messages that clients sent with so many requests, or that became visible after a
    /// delay.
    pub fn sent(&self, topic: &str, sends: u64, messages: u64, bytes: u64) {
        let stats = self.topic(topic);
        stats.puts.add_times(messages, sends);
        stats.put_bytes.add_times(bytes, sends);
        self.totals.puts.add_sum(messages);
        if !stats.is_system {
            self.totals.user_puts.add_sum(messages);
        }
    }

    /// Counts messages that the commit log took, whoever wrote them.
    pub fn appended(&self, messages: u64, bytes: u64) {
        self.totals.appends.fetch_add(messages, Ordering::Relaxed);
        self.totals.append_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts appends that failed.
    pub fn appends_failed(&self, appends: u64) {
        self.totals.append_failures.fetch_add(appends, Ordering::Relaxed);
    }

    /// Notes how long clients waited for so many appends: until they were written, and durable if
    /// that was waited for.
    pub fn append_took(&self, appends: u64, took_ms: i64) {
        self.latencies.note(appends, took_ms);
    }

    /// Counts one look at a queue that gave so many messages.
    pub fn read(&self, messages: u64, took_ms: i64) {
        let totals = &self.totals;
        let reads = if messages > 0 { &totals.reads_found } else { &totals.reads_missed };
        reads.fetch_add(1, Ordering::Relaxed);
        totals.read_messages.fetch_add(messages, Ordering::Relaxed);
        totals.longest_read_ms.fetch_max(took_ms.max(0) as u64, Ordering::Relaxed);
    }

    /// Counts messages that were given to a consumer.
    pub fn pulled(&self, pulled: &Pulled<'_>) {
        let topic = self.topic(pulled.topic);
        let group = topic.group(pulled.group);
        group.gets.add(pulled.messages);
        group.get_bytes.add(pulled.bytes);
        if let Some(age_ms) = pulled.age_ms {
            group.latency_of(pulled.queue_id, age_ms);
        }
        self.totals.gets.add_sum(pulled.messages);
        if !topic.is_system {
            self.totals.user_gets.add_sum(pulled.messages);
        }
    }

    /// Counts a message that a consumer sent back.
    pub fn sent_back(&self, topic: &str, group: &str) {
        self.topic(topic).group(group).sent_back.add(1);
    }

    /// Counts messages that a consumer acknowledged one by one.
    pub fn acked(&self, topic: &str, group: &str, messages: u64) {
        self.topic(topic).group(group).acks.add(messages);
        self.totals.acks.add_sum(messages);
    }

    /// Counts what one heartbeat says of groups of consumers.
    pub fn consumer_beat(&self) {
        self.totals.consumer_beats.add(0);
    }

    /// Counts what one heartbeat says of groups of producers.
    pub fn producer_beat(&self) {
        self.totals.producer_beats.add(0);
    }

    /// Counts a checkpoint of popped messages.
    pub fn popped(&self, topic: &str, group: &str) {
        self.topic(topic).group(group).check_points.add(1);
        self.totals.check_points.add_sum(1);
    }

    /// Does what is due, each second at the most. A call that comes late does what it finds due
    /// once.
    pub fn tick(&self, now_ms: i64) {
        let mut schedule = self.schedule.lock();
        if now_ms < schedule.second {
            return;
        }
        schedule.second = now_ms + 1_000;
        schedule.rates.push(self.sample(now_ms));
        for window in Window::ALL {
            let due_ms = &mut schedule.windows[window as usize];
            if now_ms >= *due_ms {
                *due_ms = now_ms + window.period_ms();
                self.each_counter(|counter| counter.sample(window, now_ms));
            }
        }
        if now_ms >= schedule.latency {
            schedule.latency = now_ms + LATENCY_TURN_MS;
            self.latencies.turn();
        }
        if now_ms >= schedule.midnight {
            schedule.midnight += DAY_MS * (1 + (now_ms - schedule.midnight) / DAY_MS);
            schedule.puts = schedule.puts.next(self.totals.user_puts.sum());
            schedule.gets = schedule.gets.next(self.totals.user_gets.sum());
        }
    }

    /// One statistic by Java's names (code 315): its last minute, hour and day. `None` when
    /// nothing of the kind was counted.
    pub fn spans(&self, name: &str, key: &str, cluster: &str) -> Option<[Span; 3]> {
        let totals = &self.totals;
        let total = |counter: &Counter| (key == cluster).then(|| spans_of(counter)).flatten();
        match name {
            "TOPIC_PUT_NUMS" => spans_of(&self.known(key)?.puts),
            "TOPIC_PUT_SIZE" => spans_of(&self.known(key)?.put_bytes),
            "GROUP_GET_NUMS" => spans_of(&self.known_group(key)?.gets),
            "GROUP_GET_SIZE" => spans_of(&self.known_group(key)?.get_bytes),
            "GROUP_ACK_NUMS" => spans_of(&self.known_group(key)?.acks),
            "GROUP_CK_NUMS" => spans_of(&self.known_group(key)?.check_points),
            "SNDBCK_PUT_NUMS" => spans_of(&self.known_group(key)?.sent_back),
            "GROUP_GET_LATENCY" => {
                let (queue_id, key) = key.split_once('@')?;
                let group = self.known_group(key)?;
                let counter = group.latency.lock().get(&queue_id.parse().ok()?).cloned()?;
                spans_of(&counter)
            }
            "BROKER_PUT_NUMS" => total(&totals.puts),
            "BROKER_GET_NUMS" => total(&totals.gets),
            "BROKER_ACK_NUMS" => total(&totals.acks),
            "BROKER_CK_NUMS" => total(&totals.check_points),
            "CONSUMER_REGISTER_TIME" => total(&totals.consumer_beats),
            "PRODUCER_REGISTER_TIME" => total(&totals.producer_beats),
            "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC" => total(&totals.user_puts),
            "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC" => total(&totals.user_gets),
            _ => None,
        }
    }

    /// Messages a second sent to a topic in the last minute.
    pub fn sent_per_second(&self, topic: &str) -> f64 {
        self.known(topic).map_or(0.0, |topic| topic.puts.span(Window::Minute).per_second)
    }

    /// Messages a second that a group pulled from a topic in the last minute.
    pub fn pulled_per_second(&self, topic: &str, group: &str) -> f64 {
        let stats = self.known(topic).and_then(|topic| topic.known_group(group));
        stats.map_or(0.0, |group| group.gets.span(Window::Minute).per_second)
    }

    /// Forgets a topic that was deleted.
    pub fn forget_topic(&self, topic: &str) {
        self.topics.write().remove(topic);
    }

    /// Forgets a group that was deleted.
    pub fn forget_group(&self, group: &str) {
        for topic in self.topics.read().values() {
            topic.groups.write().remove(group);
        }
    }

    /// What code 28 shows.
    pub fn shown(&self) -> Shown {
        let totals = &self.totals;
        let schedule = self.schedule.lock();
        Shown {
            puts: Days { now: totals.user_puts.sum(), ..schedule.puts },
            gets: Days { now: totals.user_gets.sum(), ..schedule.gets },
            appends: totals.appends.load(Ordering::Relaxed),
            append_bytes: totals.append_bytes.load(Ordering::Relaxed),
            append_failures: totals.append_failures.load(Ordering::Relaxed),
            longest_append_ms: self.latencies.longest_ms(),
            longest_read_ms: totals.longest_read_ms.load(Ordering::Relaxed),
            append_distribution: self.latencies.distribution(),
            append_percentiles: [0.99, 0.999].map(|share| self.latencies.percentile(share)),
            append_rate: schedule.rates.of(|sample| sample.puts),
            found_rate: schedule.rates.of(|sample| sample.found),
            missed_rate: schedule.rates.of(|sample| sample.missed),
            read_rate: schedule.rates.of(|sample| sample.transferred),
        }
    }

    fn sample(&self, now_ms: i64) -> Sample {
        Sample {
            at_ms: now_ms,
            puts: self.totals.appends.load(Ordering::Relaxed),
            found: self.totals.reads_found.load(Ordering::Relaxed),
            missed: self.totals.reads_missed.load(Ordering::Relaxed),
            transferred: self.totals.read_messages.load(Ordering::Relaxed),
        }
    }

    fn each_counter(&self, sample: impl Fn(&Counter)) {
        let totals = &self.totals;
        let users = [&totals.user_puts, &totals.user_gets];
        let beats = [&totals.consumer_beats, &totals.producer_beats];
        let all = [&totals.puts, &totals.gets, &totals.acks, &totals.check_points];
        all.into_iter().chain(users).chain(beats).for_each(&sample);
        for topic in self.topics.read().values() {
            [&topic.puts, &topic.put_bytes].into_iter().for_each(&sample);
            for group in topic.groups.read().values() {
                let acks = [&group.acks, &group.check_points];
                let all = [&group.gets, &group.get_bytes, &group.sent_back].into_iter().chain(acks);
                all.for_each(&sample);
                group.latency.lock().values().for_each(|counter| sample(counter));
            }
        }
    }

    fn topic(&self, topic: &str) -> Arc<TopicStats> {
        let fresh =
            || TopicStats { is_system: names::is_system_topic(topic), ..TopicStats::default() };
        found_or_made(&self.topics, counted_as(topic), fresh)
    }

    fn known(&self, topic: &str) -> Option<Arc<TopicStats>> {
        self.topics.read().get(counted_as(topic)).cloned()
    }

    /// By `topic@group`.
    fn known_group(&self, key: &str) -> Option<Arc<GroupStats>> {
        let (topic, group) = key.split_once('@')?;
        self.known(topic)?.known_group(group)
    }
}

impl TopicStats {
    fn group(&self, group: &str) -> Arc<GroupStats> {
        found_or_made(&self.groups, counted_as(group), GroupStats::default)
    }

    fn known_group(&self, group: &str) -> Option<Arc<GroupStats>> {
        self.groups.read().get(counted_as(group)).cloned()
    }
}

impl GroupStats {
    fn latency_of(&self, queue_id: i32, age_ms: i64) {
        let mut queues = self.latency.lock();
        if queues.len() < QUEUES_LIMIT || queues.contains_key(&queue_id) {
            queues.entry(queue_id).or_default().add(age_ms.max(0) as u64);
        }
    }
}

impl Days {
    /// The same at the next midnight.
    fn next(self, now: u64) -> Self {
        Self { yesterday: self.today, today: now, now }
    }
}

fn spans_of(counter: &Counter) -> Option<[Span; 3]> {
    (!counter.is_unused()).then(|| Window::ALL.map(|window| counter.span(window)))
}

/// The name under which a topic or group is counted: all light queues and their groups have one,
/// as there may be millions (Java `LmqBrokerStatsManager`).
fn counted_as(name: &str) -> &str {
    if names::is_lmq(name) { names::LMQ_PREFIX } else { name }
}

fn found_or_made<T>(
    table: &RwLock<Lookup<Box<str>, Arc<T>>>,
    name: &str,
    fresh: impl FnOnce() -> T,
) -> Arc<T> {
    if let Some(found) = table.read().get(name) {
        return Arc::clone(found);
    }
    Arc::clone(table.write().entry(name.into()).or_insert_with(|| Arc::new(fresh())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: i64 = 1_700_000_000_000;

    fn pulled<'a>(topic: &'a str, group: &'a str) -> Pulled<'a> {
        Pulled { topic, group, queue_id: 3, messages: 6, bytes: 600, age_ms: Some(12) }
    }

    #[test]
    fn light_queues_are_counted_together() {
        let stats = Stats::new(NOW, 0);
        for number in 0..3 {
            let (topic, group) = (format!("%LMQ%t{number}"), format!("%LMQ%g{number}"));
            stats.pulled(&pulled(&topic, &group));
            stats.sent_back(&topic, "g");
        }
        stats.tick(NOW + 1_000);
        let sum = |name, key| stats.spans(name, key, "c").map(|spans| spans[0].sum);
        assert_eq!(sum("GROUP_GET_NUMS", "%LMQ%@%LMQ%"), Some(18));
        assert_eq!(sum("SNDBCK_PUT_NUMS", "%LMQ%@g"), Some(3));
        assert_eq!(stats.topics.read().len(), 1);
        stats.forget_topic("%LMQ%t1");
        assert_eq!(sum("GROUP_GET_NUMS", "%LMQ%@%LMQ%"), Some(18), "others are counted there");
    }

    #[test]
    fn statistics_are_found_by_javas_names() {
        let stats = Stats::new(NOW, 0);
        stats.sent("t", 1, 2, 200);
        stats.pulled(&pulled("t", "g"));
        stats.sent_back("t", "g");
        stats.tick(NOW + 1_000);
        let sum = |name, key| stats.spans(name, key, "c").map(|spans| spans[0].sum);
        assert_eq!(sum("TOPIC_PUT_NUMS", "t"), Some(2));
        assert_eq!(sum("TOPIC_PUT_SIZE", "t"), Some(200));
        assert_eq!(sum("GROUP_GET_NUMS", "t@g"), Some(6));
        assert_eq!(sum("GROUP_GET_SIZE", "t@g"), Some(600));
        assert_eq!(sum("GROUP_GET_LATENCY", "3@t@g"), Some(12));
        assert_eq!(sum("SNDBCK_PUT_NUMS", "t@g"), Some(1));
        assert_eq!(sum("BROKER_PUT_NUMS", "c"), Some(2));
        assert_eq!(sum("BROKER_GET_NUMS", "c"), Some(6));
        assert_eq!(sum("CONSUMER_REGISTER_TIME", "c"), None);
        stats.consumer_beat();
        assert_eq!(sum("CONSUMER_REGISTER_TIME", "c"), Some(0));
        assert_eq!(sum("PRODUCER_REGISTER_TIME", "c"), None);
        for (name, key) in [
            ("TOPIC_PUT_NUMS", "u"),
            ("GROUP_GET_NUMS", "t"),
            ("GROUP_GET_LATENCY", "4@t@g"),
            ("GROUP_ACK_NUMS", "t@g"),
            ("BROKER_PUT_NUMS", "other"),
            ("NO_SUCH", "t"),
        ] {
            assert_eq!(sum(name, key), None, "{name} {key}");
        }
    }

    #[test]
    fn rates_follow_the_minute() {
        let stats = Stats::new(NOW, 0);
        for second in 0..=30 {
            stats.sent("t", 1, 5, 5);
            stats.pulled(&pulled("t", "g"));
            stats.tick(NOW + second * 1_000);
        }
        assert_eq!(stats.sent_per_second("t"), 155.0 / 40.0);
        assert_eq!(stats.pulled_per_second("t", "g"), 186.0 / 40.0);
        assert_eq!(stats.pulled_per_second("t", "h"), 0.0);
        stats.forget_group("g");
        assert_eq!(stats.pulled_per_second("t", "g"), 0.0);
        stats.forget_topic("t");
        assert_eq!(stats.sent_per_second("t"), 0.0);
    }

    #[test]
    fn midnight_moves_the_totals_and_system_topics_do_not_count() {
        let stats = Stats::new(NOW, 0);
        stats.sent("t", 1, 2, 200);
        stats.sent(names::SCHEDULE_TOPIC, 1, 7, 700);
        let midnight = NOW + 6_400_000;
        stats.tick(midnight - 1_000);
        assert_eq!(stats.shown().puts, Days { yesterday: 0, today: 0, now: 2 });
        stats.tick(midnight);
        stats.sent("t", 1, 1, 100);
        assert_eq!(stats.shown().puts, Days { yesterday: 0, today: 2, now: 3 });
        stats.tick(midnight + DAY_MS);
        assert_eq!(stats.shown().puts, Days { yesterday: 2, today: 3, now: 3 });
    }

    #[test]
    fn midnight_is_where_the_broker_stands() {
        let stats = Stats::new(NOW, 3_600_000);
        stats.sent("t", 1, 2, 200);
        stats.tick(NOW + 2_800_000 - 1_000);
        assert_eq!(stats.shown().puts.today, 0);
        stats.tick(NOW + 2_800_000);
        assert_eq!(stats.shown().puts.today, 2);
    }

    #[test]
    fn appends_and_reads_are_shown() {
        let stats = Stats::new(NOW, 0);
        stats.tick(NOW);
        stats.appended(3, 300);
        stats.append_took(1, 2);
        stats.appends_failed(1);
        stats.append_took(1, 40);
        stats.read(3, 5);
        stats.read(0, 1);
        (1..=10).for_each(|second| stats.tick(NOW + second * 1_000));
        let shown = stats.shown();
        assert_eq!((shown.appends, shown.append_bytes, shown.append_failures), (3, 300, 1));
        assert_eq!((shown.longest_append_ms, shown.longest_read_ms), (40, 5));
        assert_eq!(shown.append_rate, [Some(0.3), None, None]);
        assert_eq!((shown.found_rate[0], shown.missed_rate[0]), (Some(0.1), Some(0.1)));
        assert_eq!(shown.read_rate[0], Some(0.3));
    }
}
