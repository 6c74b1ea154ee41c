//! Requests for lists of topics.

use super::Done;
use crate::routes::{Routes, Units};
use crate::state::Namesrv;
use remoting::body::route::TopicList;
use remoting::codes::ResponseCode;
use remoting::headers::route::GetTopicsByClusterRequestHeader;
use remoting::json;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;

fn list(
    namesrv: &Namesrv,
    enabled: impl FnOnce(&settings::Namesrv) -> bool,
    topics: impl FnOnce(&Routes) -> TopicList,
) -> Done {
    if !namesrv.settings(enabled) {
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, "disable"));
    }
    Ok(Answer::body(json::to_body(&topics(&namesrv.routes.read()))))
}

/// Code 206.
pub(crate) fn all(namesrv: &Namesrv, _: &Call<'_>, (): ()) -> Done {
    list(namesrv, |settings| settings.enable_all_topic_list, Routes::all_topics)
}

/// Code 224.
pub(crate) fn of_cluster(
    namesrv: &Namesrv,
    _: &Call<'_>,
    header: GetTopicsByClusterRequestHeader,
) -> Done {
    let enabled = |settings: &settings::Namesrv| settings.enable_topic_list;
    list(namesrv, enabled, |routes| routes.topics_of_cluster(&header.cluster))
}

/// Code 304.
pub(crate) fn system(namesrv: &Namesrv, _: &Call<'_>, (): ()) -> Done {
    list(namesrv, |_| true, Routes::system_topics)
}

fn units(namesrv: &Namesrv, which: Units) -> Done {
    let enabled = |settings: &settings::Namesrv| settings.enable_topic_list;
    list(namesrv, enabled, |routes| routes.unit_topics(which))
}

/// Code 311.
pub(crate) fn of_units(namesrv: &Namesrv, _: &Call<'_>, (): ()) -> Done {
    units(namesrv, Units::Topics)
}

/// Code 312.
pub(crate) fn with_unit_sub(namesrv: &Namesrv, _: &Call<'_>, (): ()) -> Done {
    units(namesrv, Units::Subscribed)
}

/// Code 313.
pub(crate) fn others_with_unit_sub(namesrv: &Namesrv, _: &Call<'_>, (): ()) -> Done {
    units(namesrv, Units::SubscribedByOthers)
}
