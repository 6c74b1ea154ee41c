//! Where and how messages are kept: the keys of Java's `MessageStoreConfig` that the code reads.
//!
//! Keys that change nothing here are in `unread`.

use crate::table::{Null, settings};
use crate::value::{BrokerRole, DELAYS, FlushDiskType, HOURS, NOT_BLANK, ONE_PATH, delays_ms};

/// Bytes of one consume queue entry (Java: `ConsumeQueue.CQ_STORE_UNIT_SIZE`).
const CONSUME_QUEUE_UNIT_BYTES: i32 = 20;

settings! {
    /// Paths, sizes, flushing, expiry and limits of the store.
    ///
    /// `store_path_root_dir` is empty until `Machine` fills it.
    pub Store = "MessageStoreConfig" {
        /// Directory of everything that is kept; unset: `$HOME/store`.
        store_path_root_dir: String = "" => NOT_BLANK;
        /// Directory of the commit log; unset: `commitlog` in the root directory.
        store_path_commit_log: Option<String> = Null => ONE_PATH;
        /// Bytes of one commit log segment; never change it on a store with messages.
        mapped_file_size_commit_log: i32 = 1_073_741_824 => 4_096..=i32::MAX;
        /// Bytes of one consume queue segment, rounded up to whole entries; never change it on a
        /// store with messages.
        mapped_file_size_consume_queue: i32 = 6_000_000 => 20..=1_000_000_000;
        /// Bytes of one segment of a queue of inner batches (`queue.type=BatchCQ`), whole entries
        /// of 46 bytes; never change it on a store with messages.
        mapper_file_size_batch_consume_queue: i32 = 13_800_000 => 46..=1_000_000_000;

        /// Whether the tags code of each message, and the bits of `enableCalcFilterBitMap`, are
        /// kept in `consumequeue_ext`, where queue entries lead.
        enable_consume_queue_ext: bool = false;
        /// Bytes of one file there; what is in files of another size is no longer used.
        mapped_file_size_consume_queue_ext: i32 = 50_331_648 => 256..=i32::MAX;

        /// Whether a primary waits for replicas, or the broker is a replica.
        broker_role: BrokerRole = BrokerRole::AsyncMaster;
        /// Whether a send is acknowledged before or after fsync.
        flush_disk_type: FlushDiskType = FlushDiskType::AsyncFlush;
        /// How long a send waits for its fsync (ms).
        sync_flush_timeout: i32 = 5_000 => 1..=600_000, live;
        /// How often the commit log is flushed when sends do not wait for it (ms).
        flush_interval_commit_log: i32 = 500 => 1..=600_000, live;
        /// Pages (4 KiB) that must be dirty before such a flush.
        flush_commit_log_least_pages: i32 = 4 => 0..=1_000_000, live;
        /// After this long a flush happens however few pages are dirty (ms).
        flush_commit_log_thorough_interval: i32 = 10_000 => 1..=3_600_000, live;
        /// How often consume queues are flushed (ms).
        flush_interval_consume_queue: i32 = 1_000 => 1..=600_000, live;
        /// After this long consume queues are flushed however few pages are dirty (ms).
        flush_consume_queue_thorough_interval: i32 = 60_000 => 1..=3_600_000, live;

        /// Hours of the day when expired segments are deleted, with `;` between them.
        delete_when: String = "04" => HOURS, live;
        /// Hours that messages are kept.
        file_reserved_time: i32 = 72 => 0..=1_000_000, live;
        /// Percent of the disk in use from which expired segments are deleted at any hour.
        disk_max_used_space_ratio: i32 = 75 => 10..=95, live;
        /// Percent from which segments are deleted that have not expired.
        disk_space_clean_forcibly_ratio: i32 = 85 => 30..=85, live;
        /// Percent from which sends are refused.
        disk_space_warning_level_ratio: i32 = 90 => 35..=90, live;
        /// Whether segments that have not expired may be deleted when the disk fills.
        clean_file_forcibly_enable: bool = true, live;
        /// Bytes that the store may take, 0 for no bound; Rockhopper's own. Where the next segment
        /// would pass it, expired segments are deleted, then others if
        /// `cleanFileForciblyEnable` allows that, else sends are refused. At least three segments.
        store_bytes_max: i64 = 0 => 0..=i64::MAX, live;
        /// Bytes that must stay free on the disks of commit log and store, 0 for no bound;
        /// Rockhopper's own. What happens there is the same.
        disk_free_bytes_min: i64 = 0 => 0..=i64::MAX, live;
        /// How often the store looks for segments to delete (ms).
        clean_resource_interval: i32 = 10_000 => 100..=3_600_000;
        /// Segments that one look may delete.
        delete_file_batch_max: i32 = 10 => 1..=1_000, live;

        /// Largest body of a message (bytes).
        max_message_size: i32 = 4_194_304 => 10..=134_217_728, live;
        /// Whether messages carry a checksum over everything but their properties' tail.
        enabled_append_prop_crc as "enabledAppendPropCRC": bool = false;
        /// Whether recovery checks the body's checksum.
        check_crc_on_recover as "checkCRCOnRecover": bool = true;
        /// Percent of the time that cold segments are read again to find damage, 0 for never;
        /// Rockhopper's own.
        scrub_time_percent: i32 = 5 => 0..=50, live;
        /// Whether the commit log ends at its first damaged record, as in Java: everything behind
        /// is deleted; Rockhopper's own. Else the damage is set aside and what follows is kept.
        cut_log_at_damage: bool = false;

        /// Bytes that one pull may return from memory.
        max_transfer_bytes_on_message_in_memory: i32 = 262_144 => 1..=67_108_864, live;
        /// Messages that one pull may return from memory.
        max_transfer_count_on_message_in_memory: i32 = 32 => 1..=65_535, live;
        /// Bytes that one pull may return from the disk.
        max_transfer_bytes_on_message_in_disk: i32 = 65_536 => 1..=67_108_864, live;
        /// Messages that one pull may return from the disk.
        max_transfer_count_on_message_in_disk: i32 = 8 => 1..=65_535, live;
        /// Percent of the memory that messages may fill before they count as on the disk.
        access_message_in_memory_max_ratio: i32 = 40 => 1..=100, live;
        /// Bytes of consume queue that one filtered pull may search.
        max_filter_message_size: i32 = 16_000 => 20..=16_000_000, live;

        /// Whether messages can be found by key.
        message_index_enable: bool = true;
        /// Slots of one index file; never change it on a store with messages.
        max_hash_slot_num: i32 = 5_000_000 => 1..=100_000_000;
        /// Entries of one index file; never change it on a store with messages.
        max_index_num: i32 = 20_000_000 => 2..=100_000_000;
        /// Messages that one query by key may return.
        max_msgs_num_batch: i32 = 64 => 1..=10_000, live;
        /// Messages that one query by key returns when it does not say how many.
        default_query_max_num: i32 = 32 => 1..=10_000, live;

        /// Delays of level 1 and up.
        message_delay_level: String =
            "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h" => DELAYS;

        /// Whether topics and groups whose names begin with `%LMQ%` are there without being made.
        enable_lmq: bool = false;
        /// Whether messages go to the light queues too that their property `INNER_MULTI_DISPATCH`
        /// names; needs `enableLmq`.
        enable_multi_dispatch: bool = false;
        /// Whether `maxLmqConsumeQueueNum` bounds the light queues.
        enable_lmq_quota: bool = false;
        /// Light queues that there may be.
        max_lmq_consume_queue_num: i32 = 20_000 => 0..=1_000_000;

        /// Whether messages may ask for a time of delivery of their own.
        timer_wheel_enable: bool = true;
        /// How far apart the times of delivery are that are told apart; as in Java 100, 200, 500
        /// or 1000, the next one below what is set (ms).
        timer_precision_ms: i32 = 1_000 => 1..=i32::MAX;
        /// The longest that a message may ask to wait (s).
        timer_max_delay_sec: i32 = 259_200 => 1..=i32::MAX, live;
        /// A message that waits longer than so many slots is stored again before its time, so that
        /// it does not expire; at most two thirds of `fileReservedTime` here.
        timer_roll_window_slot: i32 = 172_800 => 0..=i32::MAX;
        /// How often the timer's place is written down (ms).
        timer_flush_interval_ms: i32 = 1_000 => 1..=600_000, live;
        /// Bytes of one file of the timer's log.
        mapped_file_size_timer_log: i32 = 104_857_600 => 4_096..=i32::MAX;
        /// Whether messages that ask for a time are stored and then left alone.
        timer_stop_enqueue: bool = false, live;
        /// Whether nothing is delivered at its time.
        timer_stop_dequeue: bool = false, live;
        /// Whether a recall names the topic besides the message, as 5.3.2 to 5.4 did.
        append_topic_for_timer_delete_key: bool = false, live;

        /// Whether of topics with `cleanup.policy=COMPACTION` only the newest message of each key
        /// is kept.
        enable_compaction: bool = true;
        /// Bytes of one file of a compacted log, made a multiple of the next setting, at least five
        /// times it; never change it on a store with compacted topics.
        compaction_mapped_file_size: i32 = 104_857_600 => 92..=1_073_741_824;
        /// Bytes of one file of a compacted log's units, whole ones of 46 bytes; never change it on
        /// a store with compacted topics.
        compaction_cq_mapped_file_size: i32 = 10_485_760 => 92..=134_217_728;
        /// How often queues are compacted (ms).
        compaction_schedule_internal: i32 = 900_000 => 1..=i32::MAX;
        /// Bytes of memory that the keys of one compaction may take; where they take more, the
        /// next one goes on.
        max_offset_map_size: i32 = 104_857_600 => 1..=i32::MAX;

        /// Port that replicas are told; nothing listens there yet. Unset: the listen port + 1.
        ha_listen_port: i32 = 10_912 => 0..=65_535;
    }
}

/// What Java takes as `timerPrecisionMs`.
const TIMER_PRECISIONS_MS: [i32; 4] = [100, 200, 500, 1_000];
/// Slots of a week, and those before its end that nothing is put in.
const TIMER_WEEK_SLOTS: i32 = 604_800;
const TIMER_BLANK_SLOTS: i32 = 60;

impl Store {
    /// How far apart the slots of the timer are, ms
    /// (Java: `MessageStoreConfig.setTimerPrecisionMs`).
    #[must_use]
    pub fn timer_slot_ms(&self) -> i64 {
        let [least, ..] = TIMER_PRECISIONS_MS;
        let fit = TIMER_PRECISIONS_MS.into_iter().rfind(|ms| *ms <= self.timer_precision_ms);
        fit.unwrap_or(least).into()
    }

    /// The longest that the slot of a message can be which begins at a time, whatever broker gave
    /// it, ms; 0 where none begins there.
    #[must_use]
    pub fn timer_slot_ms_at(slot_ms: i64) -> i64 {
        let fit = TIMER_PRECISIONS_MS.map(i64::from).into_iter().rfind(|ms| slot_ms % ms == 0);
        fit.unwrap_or(0)
    }

    /// The shortest slot that has room for so much, ms; the longest one where none has.
    #[must_use]
    pub fn timer_slot_ms_for(ms: i64) -> i64 {
        let slots_ms = TIMER_PRECISIONS_MS.map(i64::from);
        let [.., most] = slots_ms;
        let fit = slots_ms.into_iter().find(|slot_ms| *slot_ms >= ms);
        fit.unwrap_or(most)
    }

    /// How many slots a message waits at most before it is stored again
    /// (Java: `TimerMessageStore.timerRollWindowSlots`).
    #[must_use]
    pub fn timer_roll_slots(&self) -> i64 {
        let most = TIMER_WEEK_SLOTS - TIMER_BLANK_SLOTS;
        let set = self.timer_roll_window_slot;
        (if (2..=most).contains(&set) { set } else { most }).into()
    }

    /// Directory of the commit log (Java: `MessageStoreConfig.getStorePathCommitLog`).
    #[must_use]
    pub fn commit_log_dir(&self) -> String {
        self.store_path_commit_log
            .clone()
            .unwrap_or_else(|| format!("{}/commitlog", self.store_path_root_dir))
    }

    /// Bytes of one consume queue segment, a multiple of the 20 bytes of an entry
    /// (Java: `MessageStoreConfig.getMappedFileSizeConsumeQueue`).
    #[must_use]
    pub fn consume_queue_segment_bytes(&self) -> u64 {
        let units = self
            .mapped_file_size_consume_queue
            .cast_unsigned()
            .div_ceil(CONSUME_QUEUE_UNIT_BYTES.cast_unsigned());
        u64::from(units) * u64::from(CONSUME_QUEUE_UNIT_BYTES.cast_unsigned())
    }

    /// Delays in milliseconds, level 1 first.
    #[must_use]
    pub fn delay_levels_ms(&self) -> Vec<i64> {
        delays_ms(&self.message_delay_level).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_values_are_javas() {
        let mut store = Store { store_path_root_dir: "/data".into(), ..Store::default() };
        assert_eq!(store.commit_log_dir(), "/data/commitlog");
        assert_eq!(store.consume_queue_segment_bytes(), 6_000_000);
        store.mapped_file_size_consume_queue = 101;
        assert_eq!(store.consume_queue_segment_bytes(), 120);
        let levels = store.delay_levels_ms();
        assert_eq!((levels.len(), levels[0], levels[17]), (18, 1_000, 7_200_000));
        for (set, slot) in [(50, 100), (199, 100), (500, 500), (999, 500), (60_000, 1_000)] {
            store.timer_precision_ms = set;
            assert_eq!(store.timer_slot_ms(), slot);
        }
        for (begins, slot) in [(3_000, 1_000), (2_500, 500), (2_400, 200), (2_300, 100), (7, 0)] {
            assert_eq!(Store::timer_slot_ms_at(begins), slot);
        }
        for (set, slots) in [(172_800, 172_800), (1, 604_740), (604_741, 604_740), (2, 2)] {
            store.timer_roll_window_slot = set;
            assert_eq!(store.timer_roll_slots(), slots);
        }
    }
}
