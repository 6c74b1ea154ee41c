//! The queues that have something to be written or synced, so that a flush looks at those alone
//! and not at all that there are.

use crate::consume_queue::Queue;
use parking_lot::Mutex;
use std::sync::Arc;

/// Queues with units that are not durable.
#[derive(Default)]
pub(crate) struct Dirty(Mutex<Vec<Arc<Queue>>>);

impl Dirty {
    /// Notes that the queue got units. Call it after they were given to the queue.
    pub(crate) fn note(&self, queue: &Arc<Queue>) {
        if queue.set_listed(true) {
            self.0.lock().push(queue.clone());
        }
    }

    /// The queues that may have units that are not durable.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.0.lock().clone()
    }

    /// Forgets the queues that have none any more.
    pub(crate) fn forget_clean(&self) {
        self.0.lock().retain(|queue| {
            // A unit that comes after this makes the queue be noted again.
            queue.set_listed(false);
            queue.unsynced_bytes() > 0 && queue.set_listed(true)
        });
    }
}
