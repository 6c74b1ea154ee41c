//! Headers of routes: what clients ask the name server for.

use message::Str;

use super::base::TopicFields;

crate::headers! {
    /// Asks where a topic lives (code 105).
    GetRouteInfoRequestHeader: TopicFields {
        topic: Str = "",
        accept_standard_json_only: Option<bool>,
    }
    /// Asks for the topics of a cluster (code 224).
    GetTopicsByClusterRequestHeader {
        cluster: Str = "",
    }
}
