//! The listening socket: the keys of Java's `NettyServerConfig` that the code reads.
//!
//! Threads and buffers of Netty change nothing here and are in `unread`; TLS comes from system
//! properties in Java and not from this file.

use crate::table::settings;
use crate::value::IP;

settings! {
    /// Where a server listens and how long it keeps silent connections.
    pub Net = "NettyServerConfig" {
        /// Address to listen on.
        bind_address: String = "0.0.0.0" => IP;
        /// Port to listen on; unset: 10911 for a broker, 9876 for a name server.
        listen_port: i32 = 0 => 1..=65_535;
        /// A connection silent for this long is closed (s).
        server_channel_max_idle_time_seconds: i32 = 120 => 1..=86_400;
        /// Connections that wait to be accepted; the system's own limit holds too.
        server_socket_backlog: i32 = 1_024 => 1..=65_535;
    }
}
