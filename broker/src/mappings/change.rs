//! What a mapping becomes when an operator's tool says a new one (Java:
//! `TopicQueueMappingManager.updateTopicQueueMapping`).

use super::stays;
use remoting::body::mapping::TopicQueueMappingDetail;

/// Queues of one static topic; Java has no bound.
const QUEUES_LIMIT: usize = 65_536;
/// Stays of one queue.
const STAYS_LIMIT: usize = 1_024;

/// The new mapping with what it does not say of the known one. With `force` the known one need not
/// agree.
///
/// # Errors
/// It cannot be a mapping, or contradicts the known one.
pub fn merged(
    old: Option<&TopicQueueMappingDetail>,
    mut new: TopicQueueMappingDetail,
    force: bool,
) -> Result<TopicQueueMappingDetail, String> {
    let queues = new.hosted_queues.len();
    if queues > QUEUES_LIMIT || new.hosted_queues.values().any(|of| of.len() > STAYS_LIMIT) {
        return Err(format!("more than {QUEUES_LIMIT} queues, or than {STAYS_LIMIT} stays of one"));
    }
    for (id, of_queue) in &new.hosted_queues {
        stays::check(of_queue).map_err(|why| format!("queue {id}: {why}"))?;
    }
    let Some(old) = old else { return Ok(new) };
    let kept = old.hosted_queues.iter();
    if force {
        for (id, of_queue) in kept {
            new.hosted_queues.entry(*id).or_insert_with(|| of_queue.clone());
        }
        return Ok(new);
    }
    if new.epoch < old.epoch {
        return Err(format!("epoch {} lies before the known {}", new.epoch, old.epoch));
    }
    if new.scope != old.scope {
        return Err(format!("scope {} is not the known {}", new.scope, old.scope));
    }
    let same_epoch = new.epoch == old.epoch;
    for (id, of_queue) in kept {
        match new.hosted_queues.get(id) {
            Some(told) => stays::check_kept(of_queue, told, same_epoch)
                .map_err(|why| format!("queue {id}: {why}"))?,
            None if same_epoch => {
                return Err(format!("queue {id} is missing, and the epoch is the known one"));
            }
            None => {
                new.hosted_queues.insert(*id, of_queue.clone());
            }
        }
    }
    Ok(new)
}
