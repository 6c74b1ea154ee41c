//! Code 28: the broker's state as a table of texts, which mqadmin, the dashboard and the exporter
//! take apart: all keys, formats and quirks are Java's (`prepareRuntimeInfo`,
//! `StoreStatsService.getRuntimeInfo`). And codes 907, 908 and 1007, the state of replication.

use super::{failed, json};
use crate::broker::Broker;
use crate::{readiness, transactions};
use message::{Str, names};
use remoting::body::controller::HARuntimeInfo;
use remoting::body::table::KVTable;
use remoting::json::double_text;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use remoting::version::Version;
use std::collections::BTreeMap;
use store::disk::Space;

/// Java's queues of waiting requests, by the name in the key and the capacity by default. Requests
/// do not wait in queues here, so that their sizes are 0.
const QUEUES: [(&str, u32); 5] = [
    ("send", 10_000),
    ("pull", 100_000),
    ("litePull", 100_000),
    ("query", 20_000),
    ("ack", 100_000),
];
const END_TRANSACTION_CAPACITY: u32 = 100_000;

/// Code 28.
pub fn info(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let mut table = Table::default();
    add_counters(broker, &mut table);
    add_store(broker, &mut table);
    add_delays(broker, &mut table, call.now_ms);
    add_queues(&mut table);
    add_groups(broker, &mut table, call.now_ms);
    let identity = &broker.identity;
    table.put("bootTimestamp", identity.boot_ms);
    table.put("runtime", run_time(call.now_ms - identity.boot_ms));
    table.put("brokerActive", true);
    table.put(readiness::KEY, broker.readiness());
    table.put("brokerVersionDesc", Version::CURRENT);
    let accepts_from = broker.settings().broker.start_accept_send_request_time_stamp;
    table.put("startAcceptSendRequestTimeStamp", accepts_from);
    Ok(json(&KVTable { table: table.0 }))
}

#[derive(Default)]
struct Table(BTreeMap<Str, Str>);

impl Table {
    fn put(&mut self, key: impl Into<Str>, value: impl ToString) {
        self.0.insert(key.into(), value.to_string().into());
    }
}

fn add_counters(broker: &Broker, table: &mut Table) {
    let shown = broker.stats.shown();
    for (kind, days) in [("Put", shown.puts), ("Get", shown.gets)] {
        table.put(format!("msg{kind}TotalYesterdayMorning"), days.yesterday);
        table.put(format!("msg{kind}TotalTodayMorning"), days.today);
        table.put(format!("msg{kind}TotalTodayNow"), days.now);
    }
    // Java never shows 0, because it divides by this.
    let times = shown.appends.max(1);
    table.put("putMessageTimesTotal", times);
    table.put("putMessageFailedTimes", shown.append_failures);
    table.put("putMessageSizeTotal", shown.append_bytes);
    table.put("putMessageAverageSize", double_text(shown.append_bytes as f64 / times as f64));
    table.put("putMessageEntireTimeMax", shown.longest_append_ms);
    table.put("getMessageEntireTimeMax", shown.longest_read_ms);
    table.put("putMessageDistributeTime", shown.append_distribution);
    let [p99, p999] = shown.append_percentiles;
    table.put("putLatency99", format!("{p99:.2}"));
    table.put("putLatency999", format!("{p999:.2}"));
    // Java sums up what it leaves blank alone.
    let known = |rate: Option<f64>| rate.unwrap_or(0.0);
    let total = |span| Some(known(shown.found_rate[span]) + known(shown.missed_rate[span]));
    let total = std::array::from_fn(total);
    for (key, rate) in [
        ("putTps", shown.append_rate),
        ("getFoundTps", shown.found_rate),
        ("getMissTps", shown.missed_rate),
        ("getTotalTps", total),
        ("getTransferredTps", shown.read_rate),
        // As 4.x spelled it: its tools fail without.
        ("getTransferedTps", shown.read_rate),
    ] {
        table.put(key, rate.map(|rate| rate.map_or_else(String::new, double_text)).join(" "));
    }
}

fn add_store(broker: &Broker, table: &mut Table) {
    let store = &broker.store;
    let (log_space, root_space) = (store.log_space().ok(), store.root_space().ok());
    let log_ratio = log_space.as_ref().map_or(-1.0, used_ratio);
    let log_dir = broker.settings().store.commit_log_dir();
    table.put(format!("commitLogDiskRatio_{log_dir}"), double_text(log_ratio));
    table.put("commitLogDiskRatio", double_text(log_ratio));
    let root_ratio = root_space.as_ref().map_or(-1.0, used_ratio);
    table.put("consumeQueueDiskRatio", double_text(root_ratio));
    if let Some(space) = &root_space {
        let (total, free) = (byte_count(space.total), byte_count(space.free));
        table.put("commitLogDirCapacity", format!("Total : {total}, Free : {free}."));
    }
    let written_to = store.max_log_offset();
    let unflushed = u64::try_from(written_to - store.flushed_to()).unwrap_or(0);
    table.put("commitLogMinOffset", store.min_log_offset());
    table.put("commitLogMaxOffset", written_to);
    table.put("dispatchBehindBytes", store.dispatch_behind());
    table.put("earliestMessageTimeStamp", store.earliest_log_time().unwrap_or(-1));
    table.put("remainHowManyDataToFlush", byte_count(unflushed));
    // Keys of our own: what is known of damage.
    let stats = store.stats();
    table.put("setAsideRanges", stats.set_aside_ranges());
    table.put("setAsideBytes", stats.set_aside_bytes());
    table.put("compactedLostBytes", store.compacted_lost_bytes());
    table.put("compactedPassedOver", store.compacted_passed_over());
    table.put("queueUnitsMended", stats.units_mended());
    table.put("scrubbedBytes", stats.scrubbed_bytes());
    table.put("scrubbedRecords", stats.scrubbed_records());
    table.put("scrubDamagedRanges", stats.scrub_damaged_ranges());
    table.put("scrubPasses", stats.scrub_passes());
    table.put("indexEntriesMended", stats.index_entries_mended());
    table.put("scrubLastPassTimestamp", stats.scrub_passed_ms());
    // What there is no such thing of here.
    table.put("dispatchMaxBuffer", 0);
    table.put("pageCacheLockTimeMills", 0);
    table.put("remainTransientStoreBufferNumbs", i32::MAX);
}

/// Code 1007: the epochs of the log. Only a broker under a controller has them, with Java's words.
pub fn epochs(_: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    Err(failed("this request only for controllerMode "))
}

/// How far each delay level is, and how far it could be; how the timer does.
fn add_delays(broker: &Broker, table: &mut Table, now_ms: i64) {
    let levels = broker.delays.lock().levels();
    for (level, offset) in levels {
        let end = broker.store.max_offset(names::SCHEDULE_TOPIC, level - 1);
        table.put(format!("scheduleMessageOffset_{level}"), format!("{offset},{end}"));
    }
    let timer = broker.timer.condition(&broker.store);
    let is_read = timer.pending > 0;
    let read_behind_ms = if is_read { (now_ms - timer.read_ms).max(0) } else { 0 };
    table.put("timerReadBehind", read_behind_ms / 1_000);
    table.put("timerOffsetBehind", timer.behind);
    table.put("timerCongestNum", timer.pending);
    let uptime_s = ((now_ms - broker.identity.boot_ms) as f64 / 1_000.0).max(1.0);
    table.put("timerEnqueueTps", format!("{:.1}", timer.put as f64 / uptime_s));
    table.put("timerDequeueTps", format!("{:.1}", timer.delivered as f64 / uptime_s));
    // Keys of our own.
    table.put("timerDelivered", timer.delivered);
    table.put("timerPassedOver", timer.passed_over);
    table.put("timerLatestMs", timer.late_ms);
}

/// Keys of our own: half messages, groups that lose messages to themselves, who consumes which
/// queue in order (Java shows that to nobody), and what the broker's own trace lacks.
fn add_groups(broker: &Broker, table: &mut Table, now_ms: i64) {
    let (half, group) = (names::TRANS_HALF_TOPIC, transactions::GROUP);
    let end = broker.store.max_offset(half, transactions::QUEUE);
    let at = broker.offsets.query(group, half, transactions::QUEUE).unwrap_or(0);
    let (asked, discarded) = broker.transactions.counts();
    table.put("halfMessagesNotPassed", (end - at).max(0));
    table.put("halfMessageChecksSent", asked);
    table.put("halfMessagesDiscarded", discarded);
    let contradicting = broker.clients.contradicting_groups();
    if !contradicting.is_empty() {
        table.put("contradictingGroups", contradicting.join(" "));
    }
    let (held, others) = broker.locks.shown(now_ms);
    for (group, queues) in held {
        table.put(format!("orderlyQueues_{group}"), queues.join(", "));
    }
    if others > 0 {
        table.put("orderlyQueuesNotNamed", others);
    }
    let untraced = broker.trace.lost();
    if untraced > 0 {
        table.put("messagesNotTraced", untraced);
    }
}

fn add_queues(table: &mut Table) {
    for (name, capacity) in QUEUES {
        table.put(format!("{name}ThreadPoolQueueSize"), 0);
        table.put(format!("{name}ThreadPoolQueueCapacity"), capacity);
        table.put(format!("{name}ThreadPoolQueueHeadWaitTimeMills"), 0);
    }
    table.put("EndTransactionQueueSize", 0);
    table.put("EndTransactionThreadPoolQueueCapacity", END_TRANSACTION_CAPACITY);
}

/// The used part of a file system, rounded up to hundredths
/// (Java: `UtilAll.getDiskPartitionSpaceUsedPercent`).
fn used_ratio(space: &Space) -> f64 {
    (space.used_ratio() * 100.0).ceil() / 100.0
}

/// Java's `MixAll.humanReadableByteCount`.
fn byte_count(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = bytes.ilog2() / 10;
    let prefix = char::from(b"KMGTPE"[power as usize - 1]);
    format!("{:.1} {prefix}iB", bytes as f64 / (1_u64 << (power * 10)) as f64)
}

/// Java's `StoreStatsService.getFormatRuntime`.
fn run_time(ms: i64) -> String {
    let seconds = ms / 1_000;
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {seconds} seconds ]")
}

/// Code 907: a primary without replicas.
pub fn replication(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    Ok(json(&HARuntimeInfo {
        master: true,
        master_commit_log_max_offset: broker.store.max_log_offset(),
        ..HARuntimeInfo::default()
    }))
}

/// Code 908: how far a replica takes its primary to be durable. A primary asks nobody.
pub fn flushed_to(_: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    Ok(Answer::success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_javas() {
        assert_eq!(byte_count(0), "0 B");
        assert_eq!(byte_count(1023), "1023 B");
        assert_eq!(byte_count(1024), "1.0 KiB");
        assert_eq!(byte_count(1 << 20), "1.0 MiB");
        assert_eq!(byte_count((1 << 20) - 1), "1024.0 KiB");
        assert_eq!(byte_count(252 << 30), "252.0 GiB");
        assert_eq!(byte_count(u64::MAX), "16.0 EiB");
        assert_eq!(run_time(93_784_999), "[ 1 days, 2 hours, 3 minutes, 4 seconds ]");
    }
}
