//! Protocol versions, which every command carries. Only those that something depends on are named.

crate::codes! {
    /// A protocol version: the ordinal in Java's `MQVersion.Version`.
    Version: i32 {
        /// From here on a consumer can have its offsets reset and asked for (codes 220 and 221).
        V3_0_7_SNAPSHOT = 28,
        /// From here on a broker registers with a `RegisterBrokerBody`.
        V3_0_11 = 37,
        /// From here on a consumer answers codes 307 and 309.
        V3_1_8_SNAPSHOT = 62,
        /// From here on `maxReconsumeTimes` of codes 10, 36 and 310 counts.
        V3_4_9 = 121,
        /// Below this a broker cannot filter by SQL92, the Java client thinks.
        V4_1_0_SNAPSHOT = 232,
        /// Up to here a client signs without `_UNIQUE_KEY_QUERY`.
        V4_9_3 = 399,
        /// From here on a client reads routes in standard JSON.
        V4_9_4 = 401,
        /// From here on a compressed registration ends with the static-topic part.
        V5_0_0 = 413,
        /// Above this a client understands being sent away (response code 1500).
        V5_3_1 = 475,
        /// What we speak.
        V5_5_0 = 513,
    }
}

impl Version {
    /// The version we announce: that of the stock 5.5.0. Its name is what the tools show as
    /// `brokerVersionDesc`.
    pub const CURRENT: Self = Self::V5_5_0;
}
