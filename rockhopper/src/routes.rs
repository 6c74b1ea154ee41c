//! Finding queues: what a small client asks the name servers.
//!
//! Shared by `send` and `tail`. Nothing is remembered between two questions.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use message::Str;
use remoting::body::route::TopicRouteData;
use remoting::client::{Client, Deaf};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::route::GetRouteInfoRequestHeader;
use remoting::json;

/// How long one question may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// Bit of a queue's permission: consumers may read.
pub(crate) const READ: i32 = 4;
/// Bit of a queue's permission: producers may write.
pub(crate) const WRITE: i32 = 2;

/// A connection to the cluster that the name servers describe.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Connections to name servers and brokers.
    pub(crate) client: Client,
    name_servers: Vec<String>,
}

/// One queue on the primary of its broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Queue {
    /// The broker's name.
    pub(crate) broker: Str,
    /// The number of the queue.
    pub(crate) id: i32,
    /// Where the broker listens.
    pub(crate) address: Str,
}

impl Cluster {
    /// A cluster by its name servers, `host:port` with `;` between them.
    pub(crate) fn new(name_servers: &str) -> anyhow::Result<Self> {
        let servers = name_servers.split(';').map(str::trim).filter(|one| !one.is_empty());
        let name_servers: Vec<String> = servers.map(str::to_owned).collect();
        ensure!(!name_servers.is_empty(), "no name server is named; use --namesrv HOST:PORT");
        Ok(Self { client: Client::new(Arc::new(Deaf)), name_servers })
    }

    /// The queues of a topic with a permission; `None` when no name server knows the topic.
    pub(crate) async fn queues(
        &self,
        topic: &str,
        wish: i32,
    ) -> anyhow::Result<Option<Vec<Queue>>> {
        Ok(self.route(topic).await?.map(|route| queues(&route, wish)))
    }

    /// Asks the name servers in turn.
    async fn route(&self, topic: &str) -> anyhow::Result<Option<TopicRouteData>> {
        let mut failed = Vec::new();
        for server in &self.name_servers {
            let header = GetRouteInfoRequestHeader { topic: topic.into(), ..Default::default() };
            let question =
                Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_header(&header);
            match self.client.call(server, question, TIMEOUT).await {
                Ok(answer) => return route_of(topic, &answer),
                Err(error) => failed.push(format!("{server}: {error}")),
            }
        }
        bail!("no name server answers ({}); is one running?", failed.join("; "))
    }
}

fn route_of(topic: &str, answer: &Command) -> anyhow::Result<Option<TopicRouteData>> {
    match answer.response_code() {
        ResponseCode::SUCCESS => {
            let route = json::from_body(&answer.body);
            route.map(Some).with_context(|| format!("the route of {topic} cannot be read"))
        }
        ResponseCode::TOPIC_NOT_EXIST => Ok(None),
        _ => bail!("the route of {topic} is refused: {}", refusal(answer)),
    }
}

/// The queues with a permission whose broker has a primary.
fn queues(route: &TopicRouteData, wish: i32) -> Vec<Queue> {
    let mut found = Vec::new();
    for data in route.queue_datas.iter().filter(|data| data.perm & wish == wish) {
        let broker = route.broker_datas.iter().find(|one| one.broker_name == data.broker_name);
        let Some(address) = broker.and_then(|broker| broker.broker_addrs.get(&0)) else { continue };
        let count = if wish == READ { data.read_queue_nums } else { data.write_queue_nums };
        found.extend((0..count).map(|id| Queue {
            broker: data.broker_name.clone(),
            id,
            address: address.clone(),
        }));
    }
    found.sort();
    found
}

/// Why a server refused, in its own words.
pub(crate) fn refusal(answer: &Command) -> String {
    let remark = answer.head.remark.as_deref().unwrap_or("without a reason");
    format!("{:?}, {remark}", answer.response_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_permitted_queues_of_primaries_count() {
        let route: TopicRouteData = json::from_body(
            br#"{"brokerDatas":[{"brokerAddrs":{0:"h:1",1:"h:2"},"brokerName":"a"},
                {"brokerAddrs":{1:"h:3"},"brokerName":"replica-only"}],
                "queueDatas":[
                {"brokerName":"a","perm":6,"readQueueNums":3,"writeQueueNums":2},
                {"brokerName":"a","perm":4,"readQueueNums":1,"writeQueueNums":1},
                {"brokerName":"replica-only","perm":6,"readQueueNums":1,"writeQueueNums":1}]}"#,
        )
        .expect("a route as Java writes it");
        let ids = |wish| queues(&route, wish).iter().map(|queue| queue.id).collect::<Vec<_>>();
        assert_eq!(ids(WRITE), [0, 1]);
        assert_eq!(ids(READ), [0, 0, 1, 2]);
        assert_eq!(&*queues(&route, READ)[0].address, "h:1");
    }

    #[test]
    fn needs_a_name_server() {
        assert!(Cluster::new(" ; ").is_err());
        assert_eq!(Cluster::new("a:1;b:2;").expect("two").name_servers, ["a:1", "b:2"]);
    }
}
