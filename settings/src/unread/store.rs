//! Keys of Java's `MessageStoreConfig` that no code here reads, each with its reason.
//!
//! A key moves from here to `crate::store` when code begins to read it.

use crate::unread::unread;

unread! {
    /// Mapped files, timers, replicas, RocksDB.
    pub(crate) STORE = "MessageStoreConfig" {
        refused "DLedger groups are not in this version, so messages would have one copy only" {
            boolean: enableDLegerCommitLog = false;
        }
        refused "RocksDB is not in this version; the store keeps Java's files" {
            boolean: timerRocksDBEnable = false, transRocksDBEnable = false,
                indexRocksDBEnable = false, rocksdbCQDoubleWriteEnable = false,
                combineCQUseRocksdbForLmq = false;
            text: storeType = "default";
        }
        refused "the commit log lives in one directory in this version" {
            text: readOnlyCommitLogStorePaths;
        }
        refused "replicas are not in this version, so no message has a second copy" {
            boolean: allAckInSyncStateSet = false, duplicationEnable = false,
                asyncLearner = false;
            int: inSyncReplicas = 1, minInSyncReplicas = 1;
        }
        refused "cold reads are not held back in this version, so a lagging group could slow the \
            others" {
            boolean: coldDataFlowControlEnable = false;
        }
        refused "the checksum of properties is not checked when messages are read" {
            boolean: forceVerifyPropCRC = false;
        }
        accepted "DLedger groups are not in this version" {
            boolean: enableBatchPush = false;
            text: storePathDLedgerCommitLog, dLegerGroup, dLegerPeers, dLegerSelfId,
                preferredLeaderId;
        }
        accepted "replicas and the controller are not in this version: there is nothing to \
            transfer" {
            boolean: offsetCheckInSlave = false, enableAutoInSyncReplicas = false,
                haFlowControlEnable = false, syncMasterFlushOffsetWhenStartup = false,
                syncFromLastFile = false;
            int: haSendHeartbeatInterval = 5000, haHousekeepingInterval = 20000,
                haTransferBatchSize = 32768, haMaxGapNotInSync = 268435456, slaveTimeout = 3000,
                totalReplicas = 1;
            long: maxHaTransferByteInSecond = 104857600, haMaxTimeSlaveNotCatchup = 15000,
                maxChecksumRange = 1073741824, maxSlaveResendLength = 268435456;
            text: storePathEpochFile, storePathBrokerIdentity, haMasterAddress;
        }
        accepted "one thread compacts, one queue after the other" {
            int: compactionThreadNum = 6;
        }
        accepted "one thread puts and delivers messages with a time of delivery, tries again until \
            they are stored, and counts them by itself" {
            boolean: timerEnableDisruptor = false, timerEnableCheckMetrics = true,
                timerInterceptDelayLevel = false, timerSkipUnknownError = false,
                timerWarmEnable = false, timerEnableRetryUntilSuccess = false;
            int: timerGetMessageThreadNum = 3, timerPutMessageThreadNum = 3,
                timerMetricSmallThreshold = 1000000, timerProgressLogIntervalMs = 10000,
                timerColdDataCheckIntervalMs = 60000, disappearTimeAfterStart = -1;
            text: timerCheckMetricsWhen = "05";
        }
        accepted "as many messages may become due at one time as there are: they wait in files" {
            int: timerCongestNumEachSlot = 2147483647;
        }
        accepted "the timer's wheel is made from its log at each start: copies of it are not \
            needed" {
            boolean: timerWheelSnapshotFlush = false;
            int: timerWheelSnapshotIntervalMs = 10000;
        }
        accepted "there is no timer in RocksDB" {
            boolean: timerRocksDBStopScan = false, timerRecallToTimeWheelEnable = true,
                timerRecallToTimelineEnable = true;
            int: timerRocksDBRollIntervalHours = 1, timerRocksDBRollRangeHours = 2,
                timerReputServiceCorePoolSize = 6, timerReputServiceMaxPoolSize = 6,
                timerReputServiceQueueCapacity = 10000;
            long: timerRocksDBPrecisionMs = 1000;
            double: timerRocksDBRollMaxTps = 8000.0, timerRocksDBTimeExpiredMaxTps = 200000.0;
        }
        accepted "RocksDB is not in this version: there is nothing to tune" {
            boolean: transWriteOriginTransHalfEnable = true,
                iteratorWhenUseRocksdbConsumeQueue = true, realTimePersistRocksDBConfig = true,
                enableRocksDBLog = false, combineCQEnableCheckSelf = false,
                useSeparateStorePathForRocksdbCQ = false;
            int: maxRocksDBIndexQueryDays = 7, combineCQMaxExtraSearchCommitLogFiles = 3,
                rocksdbFlushWalFrequency = 1024;
            long: cleanRocksDBDirtyCQIntervalMin = 60, statRocksDBCQIntervalSec = 10,
                memTableFlushIntervalMs = 3600000, rocksdbWalFileRollingThreshold = 1073741824;
            text: combineCQLoadingCQTypes = "default;defaultRocksDB",
                combineCQPreferCQType = "default", combineAssignOffsetCQType = "default",
                bottomMostCompressionTypeForConsumeQueueStore = "zstd",
                rocksdbCompressionType = "lz4";
        }
        accepted "appends are always positional writes to the page cache: nothing is mapped for \
            writing, pooled, warmed, swapped or locked in memory" {
            boolean: transientStorePoolEnable = false, fastFailIfNoBufferInStorePool = false,
                writeWithoutMmap = false, warmMapedFileEnable = false,
                mappedFileSwapEnable = true, wakeCommitWhenPutMessage = true,
                putConsumeQueueDataByFileChannel = true, enableRunningFlagsInFlush = false;
            int: commitIntervalCommitLog = 200, commitCommitLogLeastPages = 4,
                commitCommitLogThoroughInterval = 200, transientStorePoolSize = 5,
                flushLeastPagesWhenWarmMapedFile = 4096, commitLogSwapMapReserveFileNum = 100,
                logicQueueSwapMapReserveFileNum = 20, sharedByteBufferNum = 16;
            long: commitLogForceSwapMapInterval = 43200000, commitLogSwapMapInterval = 3600000,
                logicQueueForceSwapMapInterval = 43200000, logicQueueSwapMapInterval = 3600000,
                cleanSwapedMapInterval = 300000;
        }
        accepted "one short lock orders the appends, and a message gets its consume queue entry in \
            the append" {
            boolean: useReentrantLockWhenPutMessage = true, debugLockEnable = false,
                useABSLock = false, dispatchFromSenderThread = false, enableAsyncReput = true,
                enableBuildConsumeQueueConcurrently = false;
            int: topicQueueLockNum = 32, spinLockCollisionRetreatOptimalDegree = 1000,
                putMsgIndexHightWater = 600000, dispatchCqThreads = 10, dispatchCqCacheNum = 4096,
                batchDispatchRequestThreadPoolNums = 16, maxAsyncPutMessageRequests = 5000,
                putMessageTimeout = 8000;
            long: osPageCacheBusyTimeOutMills = 1000;
        }
        accepted "recovery always starts at the checkpoint and checks every record from there" {
            boolean: checkCommitLogOffsetOnRecover = false, recheckReputOffsetFromCq = false,
                enableAcceleratedRecovery = false,
                enableLogConsumeQueueRepeatedlyBuildWhenRecover = false;
            int: commitLogRecoverMaxNum = 10, maxRecoveryCommitlogFiles = 30;
        }
        accepted "segments are deleted in small batches with no pause that would have to be tuned" {
            boolean: enableCleanExpiredOffset = false;
            int: deleteCommitLogFilesInterval = 100, deleteConsumeQueueFilesInterval = 100,
                destroyMapedFileIntervalForcibly = 120000, redeleteHangedFileInterval = 120000,
                maxBatchDeleteFilesNum = 50, replicasPerDiskPartition = 1,
                correctLogicMinOffsetSleepInterval = 1,
                correctLogicMinOffsetForceInterval = 300000;
            double: logicalDiskSpaceCleanForciblyThreshold = 0.8;
        }
        accepted "consumers see a message as soon as its send is acknowledged, not before" {
            boolean: readUnCommitted = false;
        }
        accepted "a flush that nobody waits for happens at its interval, queues of two pages and \
            more first" {
            boolean: wakeFlushWhenPutMessage = false, flushCommitLogTimed = true;
            int: flushConsumeQueueLeastPages = 2;
        }
        accepted "index files are written and read when messageIndexEnable is true, and their \
            entries are always safe" {
            boolean: messageIndexSafe = false, indexFileWriteEnable = true,
                indexFileReadEnable = true;
        }
        accepted "a queue of inner batches is searched in its files" {
            boolean: searchBcqByCacheEnable = true;
        }
        accepted "the bits of filters are as many as expectConsumerNumUseFilter and \
            maxErrorRateOfBloomFilter make them, as in Java, which sets this key itself" {
            int: bitMapLengthConsumeQueueExt = 64;
        }
        accepted "delayed messages are delivered in order, level by level" {
            boolean: enableScheduleMessageStats = true, enableScheduleAsyncDeliver = false;
            int: scheduleAsyncDeliverMaxPendingLimit = 2000,
                scheduleAsyncDeliverMaxResendNum2Blocked = 3;
        }
        accepted "reads are planned by the offset alone" {
            boolean: coldDataScanEnable = false, dataReadAheadEnable = true;
            int: travelCqFileNumWhenGetMessage = 1, maxConsumeQueueScan = 20000,
                sampleCountThreshold = 5000, sampleSteps = 32, accessMessageInMemoryHotRatio = 26;
        }
        accepted "topic names may have 255 bytes since autoMessageVersionOnTopicLen" {
            int: maxTopicLength = 127;
        }
        refused "a topic name above 127 bytes is always stored with a two-byte length" {
            boolean: autoMessageVersionOnTopicLen = true;
        }
        accepted "the progress of delivery is written together with the offsets of consumers" {
            long: flushDelayOffsetInterval = 10000;
        }
        accepted "how far a group lags is worked out when it is asked for" {
            boolean: diskFallRecorded = true;
        }
        accepted "Java reads it nowhere, and neither does this" {
            int: pullBatchMaxMessageCount = 160;
        }
    }
}
