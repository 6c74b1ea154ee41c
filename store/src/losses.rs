//! What a start found lost or left over, told in one line each however many queues are concerned.

use crate::recover::Recovered;
use parking_lot::Mutex;
use std::fmt::Write;

/// Queues that a line names; the others are counted.
const NAMED_MAX: usize = 8;

/// Messages of some queues.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    messages: i64,
    /// Pieces of queues, each counted once for each time that it was noted.
    pieces: u64,
    named: String,
}

impl Tally {
    /// Notes offsets of a queue, `to` not included.
    pub(crate) fn note(&self, (topic, id): (&str, i32), from: i64, to: i64) {
        let mut state = self.0.lock();
        if from >= to {
            return;
        }
        state.messages += to - from;
        state.pieces += 1;
        if state.pieces <= NAMED_MAX as u64 {
            let comma = if state.named.is_empty() { "" } else { "; " };
            let which = match to - from {
                1 => format!("message {from}"),
                _ => format!("messages {from} to {}", to - 1),
            };
            let named = &mut state.named;
            write!(named, "{comma}{which} of topic {topic} queue {id}").expect("to a text");
        }
    }

    /// How many messages were noted.
    fn messages(&self) -> i64 {
        self.0.lock().messages
    }

    /// What was noted, in words: how many of how many queues, and which. `None` when nothing was.
    pub(crate) fn words(&self) -> Option<String> {
        let state = self.0.lock();
        let more = state.pieces.checked_sub(NAMED_MAX as u64).filter(|more| *more > 0);
        let more = more.map_or_else(String::new, |more| format!("; and of {more} more"));
        let (messages, named) = (state.messages, &state.named);
        let s = if messages == 1 { "" } else { "s" };
        (messages > 0).then(|| format!("{messages} message{s}: {named}{more}"))
    }
}

/// What one start found.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Queue units that lead behind the end of the log, and whose places are given again.
    pub(crate) behind: Tally,
    /// Those whose places stay empty.
    pub(crate) kept: Tally,
    /// Places of messages before the beginning of the log, in files that nobody removed by intent.
    pub(crate) before: Tally,
    /// Units that another broker left behind the end of a log that it cut.
    pub(crate) left_over: Tally,
    /// Places of messages in ranges that were set aside now.
    pub(crate) aside: Tally,
    /// Units that were wrong, and made anew from the log.
    pub(crate) mended: Tally,
    /// Units whose entries in the extension may have been written in part.
    pub(crate) doubted: Tally,
    /// The last units of queues whose entries are gone from the extension.
    pub(crate) unextended: Tally,
    /// Places that queues lost since the last checkpoint; the log may have their messages.
    pub(crate) short: Tally,
    /// Ranges of the log that were set aside now, from and to.
    pub(crate) fresh: Mutex<Vec<(i64, i64)>>,
}

impl Losses {
    /// Whether a range that was set aside now has bytes between two log offsets.
    pub(crate) fn is_fresh(&self, from: i64, to: i64) -> bool {
        self.fresh.lock().iter().any(|range| range.0 < to && from < range.1)
    }

    /// The log offset from which on ranges were set aside now.
    pub(crate) fn fresh_from(&self) -> Option<i64> {
        self.fresh.lock().iter().map(|range| range.0).min()
    }

    /// Says in one line each what is lost, what was mended, and what to do; after an unclean stop
    /// also what was looked at, so that a start that found nothing missing says so.
    pub(crate) fn tell(&self, recovered: &Recovered, was_clean: bool) {
        let log_end = recovered.to;
        if !was_clean {
            self.sum_up(recovered);
        }
        tell_aside(&self.aside);
        if let Some(lost) = self.before.words() {
            tracing::error!(
                "lost before the beginning of the commit log, in first files of commitlog that are \
                 missing and that this broker did not remove: {lost}. Their offsets are passed \
                 over. If there is a copy, stop the broker, put the files back and start; else \
                 their senders have to send them again"
            );
        }
        let behind = [
            (&self.kept, "not given again: consumers pass over their places"),
            (&self.behind, "given to the next messages"),
        ];
        for (lost, offsets) in behind {
            let Some(lost) = lost.words() else { continue };
            tracing::error!(
                log_end,
                "lost behind the end of the commit log: at least {lost}. Their queue units are \
                 there, their records are not: power failed before they were synced (ASYNC_FLUSH \
                 promises no more), the last files of commitlog are missing, or another broker cut \
                 its log. If files are missing, stop the broker before it takes new messages, put \
                 them back and start; else their senders have to send them again. Their queue \
                 offsets are {offsets}"
            );
        }
        if let Some(dropped) = self.left_over.words() {
            tracing::warn!(
                log_end,
                "dropped, left by a broker that cut the log: units of {dropped}"
            );
        }
        self.tell_extensions();
        if let Some(mended) = self.mended.words() {
            tracing::error!(
                "damaged queue units were made anew from the log, nothing is lost by that: units \
                 of {mended}. If consumequeue was not restored from a copy, check the disk"
            );
        }
    }

    /// Says what became of extensions: readers lose nothing by it.
    fn tell_extensions(&self) {
        if let Some(doubted) = self.doubted.words() {
            tracing::warn!(
                "what consumequeue_ext has of the newest messages may be written in part: their \
                 units have the tags codes themselves now, and filters look at the messages. \
                 Nothing is lost. Units of {doubted}"
            );
        }
        if let Some(lost) = self.unextended.words() {
            tracing::error!(
                "files of consumequeue_ext are missing or damaged, up to the last entries of \
                 some queues: filters look at the messages instead, which takes longer and loses \
                 nothing. New messages get entries behind those that are missing. Last entries: \
                 {lost}"
            );
        }
    }

    fn sum_up(&self, recovered: &Recovered) {
        let Recovered { from, to, records, .. } = *recovered;
        let lost = [&self.aside, &self.before, &self.kept, &self.behind];
        let missing: i64 = lost.iter().map(|tally| tally.messages()).sum();
        let verdict = match missing {
            0 => "Everything that queues and checkpoint know of is there".to_owned(),
            1 => "1 message that they know of is missing, see the error".to_owned(),
            _ => format!("{missing} messages that they know of are missing, see the errors"),
        };
        tracing::warn!(
            from,
            to,
            records,
            missing,
            "the broker before did not stop cleanly (it was killed, it crashed, or power failed): \
             the commit log was read again from its last checkpoint, and queues and index were \
             brought to its end. {verdict}. Under ASYNC_FLUSH a power failure can also take the \
             newest messages without a trace"
        );
    }

    /// Says that queues end before they are known to.
    pub(crate) fn tell_short(&self) {
        if let Some(short) = self.short.words() {
            tracing::error!(
                "queues lost units, which are made anew from the log: units of {short}"
            );
        }
    }
}

/// Says what is lost in ranges of the log that were set aside, if anything is.
pub(crate) fn tell_aside(lost: &Tally) {
    if let Some(lost) = lost.words() {
        tracing::error!(
            "lost in ranges of the commit log that hold no records any more (file setaside): \
             {lost}. Their places stay empty and consumers pass over them. If log files are \
             missing, or a copy has the range, stop the broker, put the files back and start; \
             else their senders have to send them again"
        );
    }
}

/// Lets the first lines of a kind through and then ever fewer, so that one cause does not fill the
/// log of a broker with as many lines as there are messages.
pub(crate) fn is_told(number: u64) -> bool {
    number <= NAMED_MAX as u64 || number.is_power_of_two() || number.is_multiple_of(10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_queues_are_summed_up() {
        let tally = Tally::default();
        assert_eq!(tally.words(), None);
        tally.note(("T", 0), 5, 5);
        assert_eq!(tally.words(), None);
        tally.note(("T", 0), 5, 10);
        tally.note(("T", 1), 7, 8);
        let words = "6 messages: messages 5 to 9 of topic T queue 0; message 7 of topic T queue 1";
        assert_eq!(tally.words().unwrap(), words);
        for id in 2..40_000 {
            tally.note(("T", id), 0, 2);
        }
        let words = tally.words().unwrap();
        assert!(words.len() < 500 && words.ends_with("queue 7; and of 39992 more"), "{words}");
        assert!(words.starts_with("80002 messages: "), "{words}");
    }

    #[test]
    fn ever_fewer_lines_are_told() {
        assert_eq!((1..=1_000_000).filter(|number| is_told(*number)).count(), 8 + 16 + 100);
    }
}
