//! The connected clients as administrators ask for them: codes 203, 204 and 328.

use super::{Clients, Member};
use remoting::body::client::{
    Connection, ConsumerConnection, ProducerConnection, ProducerInfo, ProducerTableInfo,
};

impl<P: Clone> Clients<P> {
    /// Who consumes in a group, and how (code 203); `None` if nobody does.
    pub fn consumer_connection(&self, group: &str) -> Option<ConsumerConnection> {
        let state = self.state.read();
        let known = state.consumers.get(group)?;
        let subscriptions = known.consumers.subscriptions.iter();
        let subscriptions = subscriptions.map(|(topic, of)| (topic.clone(), (**of).clone()));
        let habit = known.consumers.habit;
        Some(ConsumerConnection {
            connection_set: known.members.values().map(connection).collect(),
            subscription_table: subscriptions.collect(),
            consume_type: habit.consume_type,
            message_model: habit.message_model,
            consume_from_where: habit.from_where,
        })
    }

    /// Who produces in a group (code 204); `None` if nobody does.
    pub fn producer_connection(&self, group: &str) -> Option<ProducerConnection> {
        let state = self.state.read();
        let members = state.producers.get(group)?;
        Some(ProducerConnection { connection_set: members.values().map(connection).collect() })
    }

    /// All producers by group (code 328).
    pub fn producer_table(&self) -> ProducerTableInfo {
        let state = self.state.read();
        let data = state
            .producers
            .iter()
            .map(|(group, members)| (group.clone(), members.values().map(producer_info).collect()));
        ProducerTableInfo { data: data.collect() }
    }
}

fn connection<P>(member: &Member<P>) -> Connection {
    let client = &member.client;
    Connection {
        client_id: client.id.clone(),
        client_addr: client.address.to_string().into(),
        language: Some(client.language),
        version: client.version,
    }
}

fn producer_info<P>(member: &Member<P>) -> ProducerInfo {
    let client = &member.client;
    ProducerInfo {
        client_id: client.id.clone(),
        // Java prints the channel's address, which begins with a slash.
        remote_ip: format!("/{}", client.address).into(),
        language: Some(client.language),
        version: client.version,
        last_update_timestamp: member.seen_ms,
    }
}
