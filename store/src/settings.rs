//! The knobs of the store, plain and checked once. Java's names, texts and files are the business
//! of the `settings` crate; each field here names the key of `MessageStoreConfig` that it takes.

use crate::Error;
use std::path::PathBuf;

/// When an append is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// Acknowledged first, made durable within half a second.
    Async,
    /// Made durable first; readers see only what is durable.
    Sync,
}

/// What the store needs to know. Sizes in bytes, times in ms, unless the name says otherwise.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `storePathRootDir`.
    pub root: PathBuf,
    /// `storePathCommitLog`; `None` is `commitlog` in the root.
    pub commit_log_dir: Option<PathBuf>,
    /// `mappedFileSizeCommitLog`; never change it on an existing store.
    pub commit_log_file_bytes: u64,
    /// `mappedFileSizeConsumeQueue`; never change it on an existing store.
    pub consume_queue_file_bytes: u64,
    /// `mapperFileSizeBatchConsumeQueue`; never change it on an existing store.
    pub batch_queue_file_bytes: u64,
    /// `mappedFileSizeConsumeQueueExt` when `enableConsumeQueueExt`: units have addresses of what
    /// stands beside them in files of this size; `None`: they have tags codes.
    pub extension_file_bytes: Option<u64>,
    /// `enableCompaction`: [`crate::Store::keep_newest`] counts.
    pub compaction: bool,
    /// `compactionMappedFileSize`; never change it on an existing store.
    pub compaction_log_file_bytes: u64,
    /// `compactionCqMappedFileSize`; never change it on an existing store.
    pub compaction_queue_file_bytes: u64,
    /// `maxOffsetMapSize`: what the keys of a compaction may take of memory.
    pub compaction_keys_bytes: usize,
    /// `maxHashSlotNum`; never change it on an existing store.
    pub index_slots: u32,
    /// `maxIndexNum`; never change it on an existing store.
    pub index_entries: u32,
    /// `messageIndexEnable`.
    pub index: bool,
    /// `flushDiskType`.
    pub flush_mode: FlushMode,
    /// `maxMessageSize`: the largest body.
    pub max_message_bytes: usize,
    /// `checkCRCOnRecover`.
    pub check_crc_on_recover: bool,
    /// `scrubTimePercent`, Rockhopper's own: the most of all time that [`crate::Store::scrub`]
    /// reads; 0 is never.
    pub scrub_time_percent: u8,
    /// `cutLogAtDamage`, Rockhopper's own: the log ends at its first damaged record, as in Java.
    pub cut_log_at_damage: bool,
    /// `enabledAppendPropCRC`.
    pub append_property_crc: bool,
    /// `enableLmq` and `enableMultiDispatch`: messages go to the light queues that they name.
    pub light_queues: bool,
    /// `maxLmqConsumeQueueNum`, when `enableLmqQuota`: so many light queues there may be.
    pub light_queues_max: usize,
    /// `messageDelayLevel`, parsed: the delay of level 1 comes first.
    pub delay_levels_ms: Vec<i64>,

    /// `maxTransferBytesOnMessageInMemory`.
    pub hot_read_bytes: usize,
    /// `maxTransferCountOnMessageInMemory`.
    pub hot_read_messages: usize,
    /// `maxTransferBytesOnMessageInDisk`.
    pub cold_read_bytes: usize,
    /// `maxTransferCountOnMessageInDisk`.
    pub cold_read_messages: usize,
    /// `maxFilterMessageSize`: consume-queue bytes that one read may look through.
    pub filter_scan_bytes: usize,
    /// `maxMsgsNumBatch`: the most messages of a query by key.
    pub query_messages: usize,
    /// Physical memory of the machine.
    pub memory_bytes: u64,
    /// `accessMessageInMemoryMaxRatio`, percent of the memory that counts as page cache.
    pub hot_memory_percent: u64,

    /// `flushIntervalCommitLog`.
    pub flush_log_interval_ms: i64,
    /// `flushCommitLogLeastPages`, pages of 4 KiB.
    pub flush_log_least_pages: i64,
    /// `flushCommitLogThoroughInterval`.
    pub flush_log_thorough_interval_ms: i64,
    /// `flushIntervalConsumeQueue`.
    pub flush_queues_interval_ms: i64,
    /// `flushConsumeQueueThoroughInterval`.
    pub flush_queues_thorough_interval_ms: i64,

    /// `cleanResourceInterval`: how often [`crate::Store::retain`] wants to be called.
    pub retain_interval_ms: i64,
    /// `fileReservedTime`, hours.
    pub reserved_hours: i64,
    /// `deleteWhen`, parsed: local hours of the day.
    pub delete_hours: Vec<u8>,
    /// `deleteFileBatchMax`: the most commit-log files that one round removes.
    pub delete_files_at_once: usize,
    /// `diskMaxUsedSpaceRatio`, percent: above it old files go without waiting for their hour.
    pub disk_used_percent: u8,
    /// `diskSpaceCleanForciblyRatio`, percent: above it files go whatever their age.
    pub disk_force_percent: u8,
    /// `diskSpaceWarningLevelRatio`, percent: above it nothing is stored.
    pub disk_refuse_percent: u8,
    /// `cleanFileForciblyEnable`.
    pub delete_forcibly: bool,
    /// `storeBytesMax`: what the store may take; 0 for no bound.
    pub store_bytes_max: u64,
    /// `diskFreeBytesMin`: what must stay free on the disk; 0 for no bound.
    pub disk_free_bytes_min: u64,
    /// What local time is ahead of UTC; for `deleteWhen` and the names of index files.
    pub utc_offset_ms: i64,
}

impl Default for Settings {
    /// Java 5.5.0's defaults; the root is `store` in the working directory.
    fn default() -> Self {
        const MINUTE: i64 = 60_000;
        Self {
            root: "store".into(),
            commit_log_dir: None,
            commit_log_file_bytes: 1 << 30,
            consume_queue_file_bytes: 6_000_000,
            batch_queue_file_bytes: 13_800_000,
            extension_file_bytes: None,
            compaction: true,
            compaction_log_file_bytes: 100 << 20,
            compaction_queue_file_bytes: 10 << 20,
            compaction_keys_bytes: 100 << 20,
            index_slots: 5_000_000,
            index_entries: 20_000_000,
            index: true,
            flush_mode: FlushMode::Async,
            max_message_bytes: 4 << 20,
            check_crc_on_recover: true,
            scrub_time_percent: 5,
            cut_log_at_damage: false,
            append_property_crc: false,
            light_queues: false,
            light_queues_max: 1_000_000,
            delay_levels_ms: [1_000, 5_000, 10_000, 30_000]
                .into_iter()
                .chain((1..=10).map(|minutes| minutes * MINUTE))
                .chain([20, 30, 60, 120].map(|minutes| minutes * MINUTE))
                .collect(),
            hot_read_bytes: 256 << 10,
            hot_read_messages: 32,
            cold_read_bytes: 64 << 10,
            cold_read_messages: 8,
            filter_scan_bytes: 16_000,
            query_messages: 64,
            memory_bytes: 8 << 30,
            hot_memory_percent: 40,
            flush_log_interval_ms: 500,
            flush_log_least_pages: 4,
            flush_log_thorough_interval_ms: 10_000,
            flush_queues_interval_ms: 1_000,
            flush_queues_thorough_interval_ms: 60_000,
            retain_interval_ms: 10_000,
            reserved_hours: 72,
            delete_hours: vec![4],
            delete_files_at_once: 10,
            disk_used_percent: 75,
            disk_force_percent: 85,
            disk_refuse_percent: 90,
            delete_forcibly: true,
            store_bytes_max: 0,
            disk_free_bytes_min: 0,
            utc_offset_ms: 0,
        }
    }
}

impl Settings {
    /// Where the commit log lies.
    pub fn commit_log_path(&self) -> PathBuf {
        self.commit_log_dir.clone().unwrap_or_else(|| self.root.join("commitlog"))
    }

    /// The bytes behind the log's end that count as being in the page cache.
    pub fn hot_bytes(&self) -> i64 {
        i64::try_from(self.memory_bytes / 100 * self.hot_memory_percent).unwrap_or(i64::MAX)
    }

    /// Whether the settings can be used together.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |name, why: &str| Err(Error::Setting { name, why: why.into() });
        if self.commit_log_path().to_string_lossy().contains(',') {
            let why = "several commit log directories are not supported; \
                       move all files into one and name it";
            return refuse("storePathCommitLog", why);
        }
        if !(4096..1 << 31).contains(&self.commit_log_file_bytes) {
            let why = "must be from 4096 bytes to below 2 GiB";
            return refuse("mappedFileSizeCommitLog", why);
        }
        let queue_bytes = self.consume_queue_file_bytes;
        if queue_bytes == 0 || !queue_bytes.is_multiple_of(20) || queue_bytes >= 1 << 31 {
            let why = "must be a multiple of 20 and below 2 GiB";
            return refuse("mappedFileSizeConsumeQueue", why);
        }
        let batch_bytes = self.batch_queue_file_bytes;
        if batch_bytes == 0 || !batch_bytes.is_multiple_of(46) || batch_bytes >= 1 << 31 {
            let why = "must be a multiple of 46 and below 2 GiB";
            return refuse("mapperFileSizeBatchConsumeQueue", why);
        }
        if self.extension_file_bytes.is_some_and(|bytes| !(256..1 << 31).contains(&bytes)) {
            let why = "must be from 256 bytes to below 2 GiB";
            return refuse("mappedFileSizeConsumeQueueExt", why);
        }
        let files = [self.compaction_log_file_bytes, self.compaction_queue_file_bytes];
        if files.iter().any(|bytes| !(92..=1 << 30).contains(bytes)) || files[1] > 128 << 20 {
            let why = "must be from 92 bytes to 1 GiB, and compactionCqMappedFileSize at most \
                       128 MiB";
            return refuse("compactionMappedFileSize", why);
        }
        if self.index_slots == 0 || self.index_slots > 1 << 28 {
            return refuse("maxHashSlotNum", "must be from 1 to 268435456");
        }
        if self.index_entries < 2 || self.index_entries > 1 << 28 {
            return refuse("maxIndexNum", "must be from 2 to 268435456");
        }
        let least = 3 * self.commit_log_file_bytes;
        if (1..least).contains(&self.store_bytes_max) {
            let why = "must be 0, for no bound, or at least three times mappedFileSizeCommitLog: a \
                       file that is written, the next one, and one that can be removed";
            return refuse("storeBytesMax", why);
        }
        let marks = [self.disk_used_percent, self.disk_force_percent, self.disk_refuse_percent];
        if !marks.is_sorted() {
            let why = "must not be below diskSpaceCleanForciblyRatio, nor that below \
                       diskMaxUsedSpaceRatio: a filling disk would pass them in the wrong order";
            return refuse("diskSpaceWarningLevelRatio", why);
        }
        if self.delete_hours.iter().any(|hour| *hour > 23) {
            return refuse("deleteWhen", "must be hours from 00 to 23, joined by ;");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_javas() {
        let settings = Settings::default();
        settings.check().unwrap();
        assert_eq!(settings.delay_levels_ms.len(), 18);
        assert_eq!(settings.delay_levels_ms[17], 7_200_000);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let check = |change: fn(&mut Settings), expected: &str| {
            let mut settings = Settings::default();
            change(&mut settings);
            let Err(Error::Setting { name, .. }) = settings.check() else { panic!("{expected}") };
            assert_eq!(name, expected);
        };
        check(|s| s.commit_log_dir = Some("/a,/b".into()), "storePathCommitLog");
        check(|s| s.commit_log_file_bytes = 2 << 30, "mappedFileSizeCommitLog");
        check(|s| s.consume_queue_file_bytes = 6_000_001, "mappedFileSizeConsumeQueue");
        check(|s| s.batch_queue_file_bytes = 20, "mapperFileSizeBatchConsumeQueue");
        check(|s| s.delete_hours = vec![24], "deleteWhen");
        check(|s| s.store_bytes_max = (3 << 30) - 1, "storeBytesMax");
        check(|s| s.disk_used_percent = 86, "diskSpaceWarningLevelRatio");
    }
}
