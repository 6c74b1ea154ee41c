//! The fields that many request headers inherit. Clients before 4.9.4 send none of them.

use message::Str;

crate::headers! {
    /// What every routed request may carry (Java's `RpcRequestHeader`).
    RpcFields {
        namespace as "ns": Option<Str>,
        namespaced as "nsd": Option<bool>,
        broker_name as "bname": Option<Str>,
        oneway as "oway": Option<bool>,
    }
    /// The same for requests about a topic (Java's `TopicRequestHeader` and
    /// `TopicQueueRequestHeader`). `logical` says that the queue is one of a static topic.
    TopicFields {
        logical as "lo": Option<bool>,
        namespace as "ns": Option<Str>,
        namespaced as "nsd": Option<bool>,
        broker_name as "bname": Option<Str>,
        oneway as "oway": Option<bool>,
    }
}
