//! Headers of lite topics: many light queues under one parent topic (5.5).

use message::Str;

use super::base::RpcFields;

crate::headers! {
    /// Takes messages of a client's lite topics (code 200070).
    PopLiteMessageRequestHeader: RpcFields {
        client_id: Str,
        consumer_group: Str,
        topic: Str,
        max_msg_num: i32 = 0,
        invisible_time: i64 = 0,
        poll_time: i64 = 0,
        born_time: i64 = 0,
        attempt_id: Option<Str>,
    }
    /// How the taken messages are to be named in acknowledgements.
    PopLiteMessageResponseHeader {
        pop_time: i64 = 0,
        invisible_time: i64 = 0,
        revive_qid: i32 = 0,
        start_offset_info: Option<Str>,
        msg_offset_info: Option<Str>,
        order_count_info: Option<Str>,
    }
    /// Changes a client's lite subscriptions, which are in the body (code 200071).
    LiteSubscriptionCtlRequestHeader: RpcFields {}
    /// Tells a client that it lost a lite topic (code 200073, broker to client).
    NotifyUnsubscribeLiteRequestHeader: RpcFields {
        lite_topic: Str,
        consumer_group: Str,
        client_id: Str,
    }
    /// Asks about a parent topic (code 200075).
    GetParentTopicInfoRequestHeader {
        topic: Str,
    }
    /// Asks about one lite topic (code 200076).
    GetLiteTopicInfoRequestHeader {
        parent_topic: Option<Str>,
        lite_topic: Option<Str>,
    }
    /// Asks about one client's lite topics (code 200077).
    GetLiteClientInfoRequestHeader {
        parent_topic: Option<Str>,
        group: Option<Str>,
        client_id: Option<Str>,
        max_count: i32 = 1000,
    }
    /// Asks about a group's lag by lite topic (code 200078).
    GetLiteGroupInfoRequestHeader {
        group: Str,
        lite_topic: Option<Str>,
        top_k: i32 = 0,
    }
    /// Has a group's waiting clients served again (code 200079).
    TriggerLiteDispatchRequestHeader {
        group: Str,
        client_id: Option<Str>,
    }
}
