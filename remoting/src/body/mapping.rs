//! Static topics: logical queues that move between brokers.

use std::collections::BTreeMap;

use message::Str;

super::bodies! {
    /// Which logical queues of a topic a broker holds.
    TopicQueueMappingInfo {
        bname: Option<Str>,
        curr_id_map: BTreeMap<i32, i32>,
        dirty: bool,
        epoch: i64,
        scope: Str = "__global__",
        topic: Option<Str>,
        total_queues: i32,
    }
    /// The same with the history of every queue (code 513).
    TopicQueueMappingDetail {
        bname: Option<Str>,
        curr_id_map: BTreeMap<i32, i32>,
        dirty: bool,
        epoch: i64,
        hosted_queues: BTreeMap<i32, Vec<LogicQueueMappingItem>>,
        scope: Str = "__global__",
        topic: Option<Str>,
        total_queues: i32,
    }
    /// One stay of a logical queue on a broker; -1 means without end. Times are ms since the epoch.
    #[derive(Eq)]
    LogicQueueMappingItem {
        bname: Option<Str>,
        end_offset: i64 = -1,
        #[serde(rename = "gen")]
        generation: i32,
        logic_offset: i64,
        queue_id: i32,
        start_offset: i64,
        time_of_end: i64 = -1,
        time_of_start: i64 = -1,
    }
}
