//! `config/timercheck`: how far the timer came (Java: `TimerCheckpoint`, 4096 bytes). Behind
//! Java's seven numbers stand a copy of them, which says whether anybody else wrote since, and
//! what only we know.

use super::start::{make_way, tell_damaged};
use crate::Error;
use crate::disk::{Allocation, Disk, File, Listed};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SIZE: usize = 4096;
/// Java's numbers: seven of 8 bytes.
const JAVA: usize = 56;
/// Ours: Java's, three of our own, the magic and the seal.
const OWN: usize = JAVA + 40;
const OWN_AT: usize = SIZE - OWN;
const MAGIC: i64 = i64::from_be_bytes(*b"rhtimer2");
/// What is done where it cannot be believed.
pub(super) const LOOKED_UP: &str = "what the timer delivered is looked up, and it is written anew";

/// How far the timer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerProgress {
    /// Everything in slots before this one is delivered, ms since the epoch.
    pub read_ms: i64,
    /// The wheel's file has every entry of the timer's log before this place.
    pub log_to: i64,
    /// The next message of the timer's queue.
    pub queue_offset: i64,
    /// When this changed, ms since the epoch.
    pub changed_ms: i64,
    /// How often it changed.
    pub changes: i64,
}

impl TimerProgress {
    /// Java's seven numbers, as they lie in the file and go over the wire.
    pub fn encode(&self) -> [u8; JAVA] {
        let queue_offset = self.queue_offset;
        let fields = [
            self.read_ms,
            self.log_to,
            queue_offset,
            // As far as a primary got, which this is.
            queue_offset,
            0,
            self.changed_ms,
            self.changes,
        ];
        let mut out = [0; JAVA];
        for (at, field) in fields.iter().enumerate() {
            out[at * 8..][..8].copy_from_slice(&field.to_be_bytes());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Self {
        let field = |at: usize| {
            i64::from_be_bytes(*bytes[at * 8..].first_chunk().expect("seven of 8 bytes"))
        };
        Self {
            read_ms: field(0),
            log_to: field(1),
            queue_offset: field(2),
            changed_ms: field(5),
            changes: field(6),
        }
    }
}

/// What only we write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// The timer stopped cleanly after that.
    pub(super) clean: bool,
    /// What was due before may have been delivered, although it waits, ms since the epoch; 0 for
    /// nothing.
    pub(super) unsure_to_ms: i64,
    /// The latest slot that delivery ever came to, whatever the clock did since, ms since the
    /// epoch.
    pub(super) latest_ms: i64,
}

/// What the file said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was ever written.
    Nothing,
    /// It is damaged.
    Damaged,
    /// We wrote it last, and this is whole.
    Ours(TimerProgress, Own),
    /// Java wrote it last; what it wrote cannot be told from damage that leaves it plausible.
    Javas(TimerProgress, Own),
}

/// The file.
pub(super) struct CheckFile {
    path: PathBuf,
    file: Arc<dyn File>,
}

impl CheckFile {
    pub(super) fn open(disk: &dyn Disk, root: &Path) -> Result<(Self, Found), Error> {
        let path = root.join("config").join("timercheck");
        let dir = root.join("config");
        let listed = disk.list(&dir).map_err(Error::io("list", &dir))?;
        let there = listed.iter().find(|file| file.name == "timercheck");
        let is_wrong = there.is_some_and(|file| !file.is_file() || file.len != SIZE as u64);
        if is_wrong {
            make_way(disk, &path, there.is_some_and(Listed::is_file), LOOKED_UP)?;
        }
        let open = || disk.open(&path, SIZE as u64, Allocation::Sparse);
        let file = open().map_err(Error::io("open", &path))?;
        let mut bytes = [0; SIZE];
        let found = match file.read_at(0, &mut bytes) {
            Err(error) => {
                tell_damaged(&path, &format!("it cannot be read: {error}"), LOOKED_UP);
                Found::Damaged
            }
            Ok(()) if is_wrong => Found::Damaged,
            Ok(()) => {
                if let Some((why, what)) = damage(&bytes) {
                    tell_damaged(&path, why, what);
                }
                find(&bytes)
            }
        };
        Ok((Self { path, file }, found))
    }

    /// Writes it; `durable` where what follows relies on it.
    pub(super) fn write(
        &self,
        progress: &TimerProgress,
        own: Own,
        durable: bool,
    ) -> Result<(), Error> {
        let written = self.file.write_at(0, &content(progress, own));
        written.map_err(Error::io("write", &self.path))?;
        if durable {
            self.file.sync(0..SIZE as u64).map_err(Error::io("sync", &self.path))?;
        }
        Ok(())
    }
}

/// How far the timer came by the bytes of such a file; `None` where they are damaged or no such
/// file, zeros where nothing was ever written.
pub(crate) fn progress_in(bytes: &[u8]) -> Option<TimerProgress> {
    match find(bytes.first_chunk().filter(|all| all.len() == bytes.len())?) {
        Found::Nothing => Some(TimerProgress::default()),
        Found::Ours(progress, _) | Found::Javas(progress, _) => Some(progress),
        Found::Damaged => None,
    }
}

/// What the file holds.
fn content(progress: &TimerProgress, of_ours: Own) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let java = progress.encode();
    bytes[..JAVA].copy_from_slice(&java);
    let own = &mut bytes[OWN_AT..];
    own[..JAVA].copy_from_slice(&java);
    let Own { clean, unsure_to_ms, latest_ms } = of_ours;
    for (at, field) in [i64::from(clean), unsure_to_ms, latest_ms, MAGIC].iter().enumerate() {
        own[JAVA + at * 8..][..8].copy_from_slice(&field.to_be_bytes());
    }
    let seal = i64::from(crc32fast::hash(&own[..OWN - 8]));
    own[OWN - 8..].copy_from_slice(&seal.to_be_bytes());
    bytes
}

fn find(bytes: &[u8; SIZE]) -> Found {
    if bytes.iter().all(|byte| *byte == 0) {
        return Found::Nothing;
    }
    let (copy, field) = (&bytes[OWN_AT..], |at: usize| {
        i64::from_be_bytes(*bytes[OWN_AT + JAVA + at * 8..].first_chunk().expect("inside"))
    });
    let sealed = field(3) == MAGIC && field(4) == i64::from(crc32fast::hash(&copy[..OWN - 8]));
    let front = TimerProgress::decode(bytes);
    let ours = TimerProgress::decode(copy);
    let (clean, unsure_to_ms, latest_ms) = (field(0) == 1, field(1), field(2));
    let own = Own { clean, unsure_to_ms, latest_ms };
    if sealed && copy[..JAVA] == bytes[..JAVA] {
        return Found::Ours(front, own);
    }
    let numbers = [front.read_ms, front.log_to, front.queue_offset, front.changes];
    let is_javas = numbers.iter().all(|number| *number >= 0)
        // Java goes on from what it finds.
        && (!sealed || front.changes > ours.changes && front.changed_ms >= ours.changed_ms);
    let unclean = Own { clean: false, ..if sealed { own } else { Own::default() } };
    match (is_javas, sealed) {
        (true, _) => Found::Javas(front, unclean),
        (false, true) => Found::Ours(ours, unclean),
        (false, false) => Found::Damaged,
    }
}

/// What of the file is not what anybody wrote, if anything is, and what is done about it.
fn damage(bytes: &[u8; SIZE]) -> Option<(&'static str, &'static str)> {
    let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let (front, copy) = (TimerProgress::decode(bytes), &bytes[OWN_AT..]);
    match find(bytes) {
        Found::Nothing => None,
        Found::Damaged => Some(("nothing of it can be true", LOOKED_UP)),
        Found::Ours(ours, _) if ours != front => {
            Some(("its first numbers are not what was written", "those of their copy are taken"))
        }
        Found::Ours(..) if !is_blank(&bytes[JAVA..OWN_AT]) => {
            Some(("bytes that nobody uses are not zeros", "it is written anew"))
        }
        Found::Ours(..) => None,
        // Java leaves alone what is behind its numbers.
        Found::Javas(_, own) if own == Own::default() && !is_blank(copy) => {
            Some(("the copy of its numbers is not what was written", LOOKED_UP))
        }
        Found::Javas(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: TimerProgress = TimerProgress {
        read_ms: 1_700_000_000_000,
        log_to: 520,
        queue_offset: 10,
        changed_ms: 1_700_000_000_100,
        changes: 3,
    };
    const OURS: Own = Own { clean: true, unsure_to_ms: 0, latest_ms: 1_700_000_009_000 };
    const UNCLEAN: Own = Own { clean: false, ..OURS };

    #[test]
    fn what_was_written_is_found_and_what_java_wrote_since() {
        assert_eq!(find(&[0; SIZE]), Found::Nothing);
        for own in [OURS, UNCLEAN, Own { unsure_to_ms: 7, ..OURS }] {
            assert_eq!(find(&content(&PROGRESS, own)), Found::Ours(PROGRESS, own));
        }
        let mut java = content(&PROGRESS, OURS);
        let theirs = TimerProgress { read_ms: PROGRESS.read_ms + 9_000, changes: 5, ..PROGRESS };
        java[..JAVA].copy_from_slice(&theirs.encode());
        assert_eq!(find(&java), Found::Javas(theirs, UNCLEAN));
        java[JAVA..].fill(0);
        assert_eq!(find(&java), Found::Javas(theirs, Own::default()));
    }

    #[test]
    fn damage_is_seen_and_our_copy_helps() {
        let mut bytes = content(&PROGRESS, OURS);
        for at in [0, 6, 7, 15, 23, 47] {
            bytes[at] ^= 1;
            assert_eq!(find(&bytes), Found::Ours(PROGRESS, UNCLEAN), "{at}");
            bytes[at] ^= 1;
        }
        bytes[0] = 0xff;
        bytes[OWN_AT] = 0xff;
        assert_eq!(find(&bytes), Found::Damaged);
    }
}
