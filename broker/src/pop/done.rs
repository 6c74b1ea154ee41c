//! Acknowledgements that are about to be stored. Those of one pop become one record, as if the
//! consumer had sent them together (200151): each record waits in the timer and is read again when
//! its pop is over, so that they cost by the record.
//!
//! Not here: who is answered, and the pops that are remembered, which learn of an acknowledgement
//! before it is stored.

use super::records::{Ack, Pen};
use store::Append;

/// Pops that an acknowledgement is compared with; the consumers of one read pop from few queues.
const LOOKED_AT: usize = 16;
/// Messages that one record names: as many as a pop has at most.
const NAMED: usize = u32::BITS as usize;

/// Messages of one pop that are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub ack: Ack,
    /// The queue of the revive log that has the checkpoint.
    pub revive_queue: i32,
    /// When the pop is over, ms since 1970.
    pub due_ms: i64,
}

impl Done {
    /// Takes another over, when both are of one pop and one record has room for both.
    fn join(&mut self, other: &Self) -> bool {
        let (one, two) = (&self.ack, &other.ack);
        let is_of_it = (one.start, one.pop_ms, one.queue_id)
            == (two.start, two.pop_ms, two.queue_id)
            && (self.revive_queue, self.due_ms) == (other.revive_queue, other.due_ms)
            && (&one.topic, &one.group, &one.broker) == (&two.topic, &two.group, &two.broker);
        if !is_of_it || one.named().len() + two.named().len() > NAMED {
            return false;
        }
        let mut all = one.named().to_vec();
        all.extend(two.named().iter().filter(|offset| !one.named().contains(offset)));
        if all.len() > 1 {
            (self.ack.offset, self.ack.offsets) = (-1, Some(all));
        }
        true
    }
}

/// What is done of several pops, a record each.
#[derive(Debug, Default)]
pub struct AllDone {
    all: Vec<Done>,
}

impl AllDone {
    /// Takes one; gives the number of the record that it will be in.
    pub fn push(&mut self, done: Done) -> usize {
        let last = self.all.iter_mut().enumerate().rev().take(LOOKED_AT);
        for (at, known) in last {
            if known.join(&done) {
                return at;
            }
        }
        self.all.push(done);
        self.all.len() - 1
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The records, by their numbers. Nothing is left.
    pub fn drain(&mut self, pen: Pen) -> impl Iterator<Item = Append> {
        let all = self.all.drain(..);
        all.map(move |done| Append::one(pen.ack(&done.ack, done.revive_queue, done.due_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::{properties, property};

    const NOW: i64 = 1_700_000_000_000;

    fn done(offset: i64) -> Done {
        let ack = Ack {
            offset,
            broker: Some("b".into()),
            group: "G".into(),
            pop_ms: NOW,
            start: 40,
            topic: "T".into(),
            ..Ack::default()
        };
        Done { ack, revive_queue: 3, due_ms: NOW + 60_000 }
    }

    fn places(all: &mut AllDone, of: impl IntoIterator<Item = Done>) -> Vec<usize> {
        of.into_iter().map(|done| all.push(done)).collect()
    }

    #[test]
    fn what_is_done_of_one_pop_is_one_record() {
        let mut all = AllDone::default();
        let mut other = done(41);
        other.ack.queue_id = 1;
        assert_eq!(
            places(&mut all, [done(40), other, done(42), done(42), done(41)]),
            [0, 1, 0, 0, 0]
        );
        assert_eq!(all.all[0].ack.named(), [40, 42, 41]);
        assert_eq!((all.all[0].ack.offset, all.all[1].ack.offset), (-1, 41));
        let pen = Pen {
            topic: "revive".into(),
            host: "127.0.0.1:10911".parse().unwrap(),
            now_ms: NOW,
            slot_ms: 1_000,
            longest_ms: 259_200_000,
        };
        let tags: Vec<String> = all
            .drain(pen)
            .map(|append| {
                let properties = append.drafts.as_slice()[0].properties.clone();
                properties::find(&properties, property::TAGS).unwrap().to_owned()
            })
            .collect();
        assert_eq!(tags, ["bAck", "ack"]);
        assert!(all.is_empty());
    }

    #[test]
    fn what_is_said_twice_stays_one_acknowledgement() {
        let mut all = AllDone::default();
        assert_eq!(places(&mut all, [done(40), done(40)]), [0, 0]);
        assert_eq!(all.all, [done(40)]);
    }

    #[test]
    fn all_that_makes_a_pop_tells_them_apart() {
        let change: [fn(&mut Done); 8] = [
            |one| one.ack.start = 41,
            |one| one.ack.pop_ms += 1,
            |one| one.ack.queue_id = 1,
            |one| one.ack.topic = "U".into(),
            |one| one.ack.group = "H".into(),
            |one| one.ack.broker = None,
            |one| one.revive_queue = 4,
            |one| one.due_ms += 1,
        ];
        let mut all = AllDone::default();
        let others = change.map(|change| {
            let mut other = done(40);
            change(&mut other);
            other
        });
        let told = places(&mut all, [done(40)].into_iter().chain(others));
        assert_eq!(told, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_record_names_no_more_than_a_pop_has() {
        let mut all = AllDone::default();
        let told = places(&mut all, (40..40 + 33).map(done));
        assert_eq!((told[31], told[32]), (0, 1));
    }
}
