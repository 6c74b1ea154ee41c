//! What a name server keeps and answers: the keys of Java's `NamesrvConfig` that the code reads.
//!
//! Keys that change nothing here are in `unread`; the socket is in `net`.

use crate::table::settings;
use crate::value::NOT_BLANK;

settings! {
    /// Files, order topics, lists and expiry of a name server.
    ///
    /// `kv_config_path` and `config_store_path` are empty until `Machine` fills them.
    pub Namesrv = "NamesrvConfig" {
        /// File of the key-value config; unset: `$HOME/namesrv/kvConfig.json`.
        kv_config_path: String = "" => NOT_BLANK;
        /// The file that `-c` named; changed settings are written back to it.
        config_store_path: String = "" => NOT_BLANK;
        /// Whether routes carry the order-topic config.
        order_message_enable: bool = false, live;
        /// Whether a broker that registers is told the order-topic config.
        return_order_topic_config_to_broker: bool = true, live;
        /// How often brokers without a sign of life are looked for (ms).
        scan_not_active_broker_interval: i64 = 5_000 => 100..=600_000;
        /// Whether the list of all topics is answered.
        enable_all_topic_list: bool = true, live;
        /// Whether lists of topics are answered.
        enable_topic_list: bool = true, live;
        /// Whether a topic missing from a broker's registration is deleted from its routes.
        delete_topic_with_broker_registration: bool = false, live;
        /// Whether a replica is shown as primary while a broker name has none, for topics that
        /// cannot be written.
        support_acting_master: bool = false, live;
        /// Whether brokers are told when the smallest broker id of their name changes.
        notify_min_broker_id_changed: bool = false, live;
        /// Whether routes are refused right after the start.
        need_wait_for_service: bool = false;
        /// For how long after the start (s).
        wait_seconds_for_service: i32 = 45 => 0..=3_600;
        /// Keys that can never be changed while the name server runs, with `;` between them.
        config_black_list: String = "configBlackList;configStorePath;kvConfigPath";
    }
}
