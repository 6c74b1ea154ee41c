//! Routes by zone: a client that asks so sees the brokers of its own zone only (Java:
//! `ZoneRouteRPCHook`).

use crate::routes::PRIMARY;
use remoting::body::route::{BrokerData, TopicRouteData};
use remoting::fields::Fields;

/// The field that holds a zone's name, in registrations and in requests for routes (Java:
/// `MixAll.ZONE_NAME`).
pub const ZONE_NAME: &str = "__ZONE_NAME";
/// The field that asks for routes of one zone (Java: `MixAll.ZONE_MODE`).
const ZONE_MODE: &str = "__ZONE_MODE";

/// The zone that a request for a route is limited to.
pub fn asked(fields: &Fields) -> Option<&str> {
    let limited = fields.get(ZONE_MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("true"));
    fields.get(ZONE_NAME).filter(|name| limited && !name.trim().is_empty())
}

/// Leaves in the route what stands in this zone, and brokers without a primary: those are read from
/// wherever they are.
pub fn keep(route: &mut TopicRouteData, zone: &str) {
    let stays = |broker: &BrokerData| {
        let name = broker.zone_name.as_deref();
        !broker.broker_addrs.contains_key(&PRIMARY)
            || name.is_some_and(|name| name.to_lowercase() == zone.to_lowercase())
    };
    let brokers = std::mem::take(&mut route.broker_datas);
    let (kept, gone): (_, Vec<BrokerData>) = brokers.into_iter().partition(stays);
    route.broker_datas = kept;
    for broker in gone {
        route.queue_datas.retain(|queue| queue.broker_name != broker.broker_name);
        for address in broker.broker_addrs.values() {
            route.filter_server_table.remove(address);
        }
    }
}
