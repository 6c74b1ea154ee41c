//! Keys of Java's `NettyServerConfig`, `NettyClientConfig`, `NamesrvConfig` and `AuthConfig` that
//! no code here reads, each with its reason.
//!
//! A key moves from here to its own table when code begins to read it.

use crate::unread::unread;

unread! {
    /// Threads and buffers of the listening side.
    pub(crate) NET = "NettyServerConfig" {
        accepted "sockets are served by event loops, a thread for each processor" {
            boolean: serverNettyWorkerGroupEnable = true, useEpollNativeSelector = false;
            int: serverWorkerThreads = 8, serverCallbackExecutorThreads = 0,
                serverSelectorThreads = 3;
        }
        accepted "calls in flight and buffered bytes have bounds of their own" {
            boolean: serverPooledByteBufAllocatorEnable = true;
            int: serverOnewaySemaphoreValue = 256, serverAsyncSemaphoreValue = 64,
                writeBufferHighWaterMark = 0, writeBufferLowWaterMark = 0;
        }
        accepted "buffers of sockets are left to the system" {
            int: serverSocketSndBufSize = 0, serverSocketRcvBufSize = 0;
        }
        accepted "a stop always answers what was begun, for a few seconds at most" {
            boolean: enableShutdownGracefully = false;
            int: shutdownWaitTimeSeconds = 30;
        }
    }
}

unread! {
    /// Threads and buffers of the broker's own connections.
    pub(crate) CLIENT = "NettyClientConfig" {
        refused "TLS is not in this version, and the broker would talk to its name servers in the \
            clear" {
            boolean: useTLS = false;
        }
        refused "connections through a SOCKS proxy are not in this version" {
            text: socksProxyConfig = "{}";
        }
        accepted "the broker's own connections are served by the same event loops, with bounds of \
            their own" {
            boolean: isScanAvailableNameSrv = true, clientPooledByteBufAllocatorEnable = false,
                clientCloseSocketIfTimeout = true, disableCallbackExecutor = false,
                disableNettyWorkerGroup = false, enableReconnectForGoAway = true;
            int: clientWorkerThreads = 4, clientCallbackExecutorThreads = 2,
                clientOnewaySemaphoreValue = 65535, clientAsyncSemaphoreValue = 65535,
                connectTimeoutMillis = 3000, clientChannelMaxIdleTimeSeconds = 120,
                clientSocketSndBufSize = 0, clientSocketRcvBufSize = 0,
                writeBufferHighWaterMark = 0, writeBufferLowWaterMark = 0;
            long: channelNotActiveInterval = 60000, maxReconnectIntervalTimeSeconds = 60;
        }
    }
}

unread! {
    /// Thread pools and the controller.
    pub(crate) NAMESRV = "NamesrvConfig" {
        refused "the controller is not in this version" {
            boolean: enableControllerInNamesrv = false;
        }
        refused "routes are not looked up at a second cluster" {
            boolean: clusterTest = false;
        }
        accepted "routes are not looked up at a second cluster" {
            text: productEnvName = "center";
        }
        accepted "nothing is read from the installation directory" {
            text: rocketmqHome;
        }
        accepted "a request runs to its end on the event loop of its connection: there are no \
            pools of threads" {
            int: clientRequestThreadPoolNums = 8, defaultThreadPoolNums = 16,
                clientRequestThreadPoolQueueCapacity = 50000,
                defaultThreadPoolQueueCapacity = 10000, unRegisterBrokerQueueCapacity = 3000;
        }
    }
}

unread! {
    /// Access control.
    pub(crate) AUTH = "AuthConfig" {
        refused "access control is not in this version, so every client would be let in" {
            boolean: authenticationEnabled = false, authorizationEnabled = false,
                migrateAuthFromV1Enabled = false;
        }
        accepted "access control is not in this version" {
            int: userCacheMaxNum = 1000, userCacheExpiredSecond = 600,
                userCacheRefreshSecond = 60, aclCacheMaxNum = 1000, aclCacheExpiredSecond = 600,
                aclCacheRefreshSecond = 60, statefulAuthenticationCacheMaxNum = 10000,
                statefulAuthenticationCacheExpiredSecond = 60,
                statefulAuthorizationCacheMaxNum = 10000,
                statefulAuthorizationCacheExpiredSecond = 60;
            text: configName, clusterName, authConfigPath, authenticationProvider,
                authenticationMetadataProvider, authenticationStrategy, authenticationWhitelist,
                initAuthenticationUser, innerClientAuthenticationCredentials,
                authorizationProvider, authorizationMetadataProvider, authorizationStrategy,
                authorizationWhitelist;
        }
    }
}

unread! {
    /// Keys that Java turns into system properties.
    pub(crate) STARTUP = "BrokerStartup" {
        accepted "the list of name servers is not looked up; name them in namesrvAddr" {
            text: rmqAddressServerDomain, rmqAddressServerSubGroup;
        }
    }
}
