//! Keys of Java's `BrokerConfig` and `BrokerIdentity` that no code here reads, each with its
//! reason.
//!
//! A key moves from here to `crate::broker` when code begins to read it.

use crate::unread::unread;

unread! {
    /// Thread pools, POP, lite topics, replicas, metrics.
    pub(crate) BROKER = "BrokerConfig" {
        refused "access control is not in this version, so every client would be let in" {
            boolean: aclEnable = false;
        }
        refused "the controller and its failover are not in this version" {
            boolean: enableControllerMode = false;
        }
        refused "replicas are not in this version, so none can act for its primary" {
            boolean: enableSlaveActingMaster = false, enableRemoteEscape = false;
        }
        refused "the list of name servers is not looked up; name them in namesrvAddr" {
            boolean: fetchNameSrvAddrByDnsLookup = false, fetchNamesrvAddrByAddressServer = false;
        }
        refused "store plug-ins are Java classes, which cannot be loaded" {
            text: messageStorePlugIn = "";
        }
        refused "metadata is kept in the JSON files of version v1 only, not in RocksDB" {
            boolean: useSingleRocksDBForAllConfigs = false;
            text: configManagerVersion = "v1";
        }
        refused "what is popped is kept in the revive log" {
            boolean: popConsumerKVServiceEnable = false, popConsumerKVServiceInit = false;
        }
        refused "a metrics exporter is not in this version, and dashboards would stay empty" {
            text: metricsExporterType = "DISABLE";
        }
        refused "cold reads are not held back in this version, so a lagging group could slow the \
            others" {
            boolean: coldCtrStrategyEnable = false;
        }
        refused "traffic is not limited in this version" {
            boolean: enableNetWorkFlowControl = false;
        }
        accepted "a request runs to its end on the event loop of its connection: there are no \
            pools of threads and no queues before them" {
            boolean: brokerFastFailureEnable = true, asyncSendEnable = true,
                highSpeedMode = false, enableFastChannelEventProcess = false;
            int: sendMessageThreadPoolNums = 2, putMessageFutureThreadPoolNums = 2,
                pullMessageThreadPoolNums = 20, litePullMessageThreadPoolNums = 20,
                ackMessageThreadPoolNums = 16, processReplyMessageThreadPoolNums = 20,
                queryMessageThreadPoolNums = 10, adminBrokerThreadPoolNums = 16,
                clientManageThreadPoolNums = 32, consumerManageThreadPoolNums = 32,
                loadBalanceProcessorThreadPoolNums = 32, heartbeatThreadPoolNums = 2,
                recoverThreadPoolNums = 32, endTransactionThreadPoolNums = 12,
                sendThreadPoolQueueCapacity = 10000, putThreadPoolQueueCapacity = 10000,
                pullThreadPoolQueueCapacity = 100000, litePullThreadPoolQueueCapacity = 100000,
                ackThreadPoolQueueCapacity = 100000, replyThreadPoolQueueCapacity = 10000,
                queryThreadPoolQueueCapacity = 20000,
                clientManagerThreadPoolQueueCapacity = 1000000,
                consumerManagerThreadPoolQueueCapacity = 1000000,
                heartbeatThreadPoolQueueCapacity = 50000,
                endTransactionPoolQueueCapacity = 100000,
                adminBrokerThreadPoolQueueCapacity = 10000,
                loadBalanceThreadPoolQueueCapacity = 100000;
            long: waitTimeMillsInSendQueue = 200, waitTimeMillsInPullQueue = 5000,
                waitTimeMillsInLitePullQueue = 5000, waitTimeMillsInHeartbeatQueue = 31000,
                waitTimeMillsInTransactionQueue = 3000, waitTimeMillsInAckQueue = 3000,
                waitTimeMillsInAdminBrokerQueue = 5000;
        }
        accepted "the listen port is the key of the same name in NettyServerConfig" {
            int: listenPort = 6888;
        }
        accepted "nothing is read from the installation directory" {
            text: rocketmqHome;
        }
        accepted "changed settings are written back to the file that -c names" {
            text: brokerConfigPath;
        }
        accepted "messages are always lent from the store and never copied to a heap" {
            boolean: transferMsgByHeap = true;
        }
        accepted "start-up reads the queues in one pass" {
            boolean: recoverConcurrently = false;
        }
        accepted "logs go to standard error; what is logged is chosen by --log" {
            boolean: isolateLogEnable = false, enablePopLog = false,
                popConsumerKVServiceLog = false, printChannelGroups = false,
                enableLitePopLog = false;
            int: printChannelGroupsMinNum = 5;
        }
        accepted "statistics are always kept, in bounded memory" {
            boolean: accountStatsEnable = true, accountStatsPrintZeroValues = true,
                enableDetailStat = true, autoDeleteUnusedStats = true, enableLmqStats = false;
            int: commercialBaseCount = 1, commercialSizePerMsg = 4096,
                maxStatsIdleTimeInMinutes = -1;
        }
        accepted "there is no metrics exporter that it could tune" {
            boolean: metricsInDelta = false, enableRemotingMetrics = true,
                enableMessageStoreMetrics = true, enablePopMetrics = true,
                enableConnectionMetrics = true, enableTransactionMetrics = true,
                enableStatsMetrics = true, enableRequestMetrics = true,
                enableLagAndDlqMetrics = true, estimateAccumulation = true,
                useStaticSubscription = false;
            int: metricsOtelCardinalityLimit = 50000, metricsPromExporterPort = 5557,
                metricsExportBatchMaxDataPoints = 1000;
            long: metricGrpcExporterTimeOutInMills = 3000,
                metricGrpcExporterIntervalInMills = 60000,
                metricLoggingExporterIntervalInMills = 10000;
            text: metricsGrpcExporterTarget = "", metricsGrpcExporterHeader = "",
                metricsPromExporterHost = "", metricsLabel = "";
        }
        accepted "popping works another way here: checkpoints and acknowledgements are stored at \
            once, who waits is woken by the append, and messages come back on time" {
            boolean: enableSkipLongAwaitingAck = false, enablePopBatchAck = false,
                enableNotifyBeforePopCalculateLag = true,
                enableNotifyAfterPopOrderLockRelease = true,
                popConsumerFSServiceInit = true, popReviveSkipIfGroupAbsent = true,
                useMessageFilterForNotification = true,
                skipWhenCKRePutReachMaxTimes = false, appendAckAsync = false,
                appendCkAsync = false;
            int: popPollingMapSize = 100000, popPollingMapExpireTimeSeconds = 600,
                popCkStayBufferTime = 10000, popCkStayBufferTimeOut = 3000,
                popCkOffsetMaxQueueSize = 20000,
                popReviveMaxReturnSizePerRead = 16384, popReviveConcurrency = 32,
                popReviveMaxAttemptTimes = 16, maxMessageFilterNumForNotification = 64;
            long: reviveInterval = 1000, reviveMaxSlow = 3, reviveScanTime = 10000,
                reviveAckWaitMs = 180000, popLongPollingForceNotifyInterval = 800,
                loadBalancePollNameServerInterval = 30000;
        }
        accepted "a client is offered a lite topic as soon as that has something for its group, \
            and silent ones are looked after every ten seconds" {
            boolean: enableLiteEventMode = true, liteLagLatencyCollectEnable = false,
                liteLagLatencyMetricsEnable = false, liteLagCountMetricsEnable = false;
            int: liteLagLatencyTopK = 50;
            long: liteEventCheckInterval = 10000, liteSubscriptionCheckInterval = 120000,
                liteEventFullDispatchDelayTimeForWildcardGroup = 10000;
        }
        accepted "what a producer decides about a half message is written at once" {
            int: transactionOpMsgMaxSize = 4096, transactionOpBatchInterval = 3000;
        }
        accepted "half messages are not kept in RocksDB" {
            int: transactionCheckRocksdbCoreThreads = 2, transactionCheckRocksdbMaxThreads = 5,
                transactionCheckRocksdbQueueCapacity = 2000;
        }
        accepted "replicas and the controller are not in this version: there is nobody to keep in \
            step" {
            boolean: slaveReadEnable = false, skipPreOnline = false, lockInStrictMode = false,
                fetchControllerAddrByDnsLookup = false;
            int: brokerHeartbeatInterval = 1000, sendHeartbeatTimeoutMillis = 1000,
                syncBrokerMemberGroupPeriod = 1000, cleanOfflineBrokerInterval = 30000,
                brokerElectionPriority = 2147483647;
            long: brokerNotActiveTimeoutMillis = 10000,
                syncBrokerMetadataPeriod = 5000, checkSyncStateSetPeriod = 5000,
                syncControllerMetadataPeriod = 10000, controllerHeartBeatTimeoutMills = 10000;
            text: controllerAddr = "";
        }
        accepted "the list of name servers is not looked up" {
            int: updateNameServerAddrPeriod = 120000;
            long: fetchNamesrvAddrInterval = 10000;
        }
        accepted "the topics that changed are registered together at a change, all topics at every \
            period, compressed when they do not fit 16 MiB" {
            boolean: compressedRegister = false, forceRegister = true,
                enableSingleTopicRegister = false, enableSplitRegistration = false,
                enableSplitMetadata = true, compatibleWithOldNameSrv = true;
            int: splitRegistrationSize = 800, splitMetadataSize = 2000;
        }
        accepted "offsets and delay progress are always written whole, and the versions that go \
            with them count every write" {
            boolean: persistConsumerOffsetIncrementally = false;
            int: flushConsumerOffsetHistoryInterval = 60000;
            long: consumerOffsetUpdateVersionStep = 500, delayOffsetUpdateVersionStep = 200;
        }
        accepted "broadcast offsets stay with the clients, which send them; the proxy is not in \
            this version" {
            boolean: enableBroadcastOffsetStore = true;
            long: broadcastOffsetExpireSecond = 120, broadcastOffsetExpireMaxSecond = 300;
        }
        accepted "cold reads are not told apart in this version" {
            boolean: usePIDColdCtrStrategy = true;
            long: cgColdReadThreshold = 3145728, globalColdReadThreshold = 104857600;
        }
        accepted "members are always told at once" {
            boolean: realTimeNotifyConsumerChange = true;
        }
        accepted "producers are always listed and system groups always exist" {
            boolean: enableRegisterProducer = true, enableCreateSysGroup = true;
        }
        refused "a group that lags is never switched off" {
            boolean: disableConsumeIfConsumerReadSlowly = false;
        }
        accepted "a group that lags is never switched off" {
            long: consumerFallbehindThreshold = 17179869184;
        }
    }
}

unread! {
    /// What Java notes about itself.
    pub(crate) IDENTITY = "BrokerIdentity" {
        accepted "set by Java itself and not by an operator" {
            boolean: isBrokerContainer = false, isInBrokerContainer = false;
        }
    }
}
