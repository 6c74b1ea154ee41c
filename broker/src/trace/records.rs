//! What a trace says: the text of its records, their room until they are written, and the messages
//! that carry them (Java: `TraceDataEncoder`, `AsyncTraceDispatcher`). No broker, store or clock.

use message::ids::MessageId;
use message::properties;
use message::property::bytes as name;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

/// Ends a field of a record (Java `TraceConstants.CONTENT_SPLITOR`).
const C: char = '\u{1}';
/// Ends a record (Java `TraceConstants.FIELD_SPLITOR`).
const R: char = '\u{2}';
/// What records may take until they are written, bytes.
pub(super) const ROOM: usize = 16 << 20;
/// The body of a message of traces, bytes (Java `AsyncTraceDispatcher.maxMsgSize`).
pub(super) const BODY_MAX: usize = 128_000;
/// The keys of one: with the other properties they must fit a record, bytes.
const KEYS_MAX: usize = 20_000;

/// The producer group of the messages that carry traces. It stays with them whatever becomes of
/// them, in retry and dead-letter topics too.
pub(super) const GROUP: &str = "CID_RMQ_SYS_TRACE";

/// What the properties of a message say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) tags: Option<&'a str>,
    pub(super) keys: Option<&'a str>,
    /// The topic that it came from, in a retry or dead-letter topic.
    pub(super) origin: Option<&'a str>,
    /// Whether it carries traces.
    pub(super) is_trace: bool,
}

impl<'a> Named<'a> {
    /// Reads encoded properties once.
    pub(super) fn of(encoded: &'a [u8]) -> Self {
        let mut named = Self::default();
        for (key, value) in properties::pairs(encoded) {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            match key {
                name::UNIQ_KEY => named.id = Some(value),
                name::TAGS => named.tags = Some(value),
                name::KEYS => named.keys = Some(value),
                name::RETRY_TOPIC => named.origin = Some(value),
                name::PRODUCER_GROUP => named.is_trace = value == GROUP,
                _ => {}
            }
        }
        named
    }

    /// The id that a client calls the message by: where it has no unique one, that of its place
    /// (Java: `MessageClientExt.getMsgId`).
    fn id_or(&self, place: &'a str) -> &'a str {
        self.id.unwrap_or(place)
    }

    /// What the record is found by: the id and each key.
    fn found_by(&self, id: &str) -> String {
        format!("{} {}", Field(Some(id)), self.keys.unwrap_or_default())
    }
}

/// A text as a field: what would end it becomes a space, and a missing one is what Java's encoder
/// makes of null.
struct Field<'a>(Option<&'a str>);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = self.0 else { return f.write_str("null") };
        for (number, part) in text.split([C, R]).enumerate() {
            if number > 0 {
                f.write_char(' ')?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

/// Of what kind a message is (Java `MessageType`, by its number).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal = 0,
    Half = 1,
    Delayed = 3,
}

/// A message that was stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    /// When, by the broker's clock, ms since 1970.
    pub(super) stored_ms: i64,
    /// When its producer made it, by the producer's clock, ms since 1970.
    pub(super) born_ms: i64,
    pub(super) region: &'a str,
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
    pub(super) named: Named<'a>,
    pub(super) broker: &'a str,
    pub(super) body_bytes: usize,
    pub(super) kind: Kind,
    pub(super) place: MessageId,
    pub(super) client: SocketAddr,
}

impl Sent<'_> {
    /// The record `Pub`. Its cost is the time from the producer's clock to the broker's, as far as
    /// these agree.
    pub(super) fn note(&self) -> Note {
        let Self { stored_ms, body_bytes, .. } = self;
        let took_ms = if self.born_ms > 0 { stored_ms.saturating_sub(self.born_ms) } else { 0 };
        let cost_ms = took_ms.clamp(0, i32::MAX.into());
        let mut room = [0; MessageId::TEXT_BYTES];
        let place = self.place.encode_in(&mut room);
        let id = self.named.id_or(place);
        let [region, group, topic] =
            [self.region, self.group, self.topic].map(|it| Field(Some(it)));
        let [tags, keys] = [self.named.tags, self.named.keys].map(Field);
        let (msg_id, broker, kind) = (Field(Some(id)), self.broker, self.kind as i32);
        let text = format!(
            "Pub{C}{stored_ms}{C}{region}{C}{group}{C}{topic}{C}{msg_id}{C}{tags}{C}{keys}{C}\
             {broker}{C}{body_bytes}{C}{cost_ms}{C}{kind}{C}{place}{C}true{R}"
        );
        Note { client: self.client, found_by: self.named.found_by(id), text }
    }
}

/// A message that was given to a member of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    /// When, ms since 1970.
    pub(super) now_ms: i64,
    pub(super) region: &'a str,
    pub(super) group: &'a str,
    /// The same for all messages of one answer, and for no other's.
    pub(super) request_id: &'a str,
    pub(super) named: Named<'a>,
    /// How often it came again.
    pub(super) retries: i32,
    pub(super) place: MessageId,
    pub(super) client: SocketAddr,
}

impl Given<'_> {
    /// The records `SubBefore` and `SubAfter`. What the consumer does with the message is not known
    /// here: it takes no time, and succeeds (Java `ConsumeReturnType.SUCCESS`, number 0).
    pub(super) fn note(&self) -> Note {
        let Self { now_ms, request_id, retries, .. } = self;
        let mut room = [0; MessageId::TEXT_BYTES];
        let id = self.named.id_or(self.place.encode_in(&mut room));
        let [region, group, msg_id] = [self.region, self.group, id].map(|it| Field(Some(it)));
        let keys = Field(self.named.keys);
        let text = format!(
            "SubBefore{C}{now_ms}{C}{region}{C}{group}{C}{request_id}{C}{msg_id}{C}{retries}{C}\
             {keys}{R}SubAfter{C}{request_id}{C}{msg_id}{C}0{C}true{C}{keys}{C}0{C}{now_ms}{C}\
             {group}{R}"
        );
        Note { client: self.client, found_by: self.named.found_by(id), text }
    }
}

/// Records of one message that are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Whom they are about: tools show the host that a message of traces was born at.
    pub(super) client: SocketAddr,
    /// What they are found by, with spaces between, the id first.
    pub(super) found_by: String,
    pub(super) text: String,
}

impl Note {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.found_by.len() + self.text.len()
    }
}

/// Notes that wait to be written, in [`ROOM`].
#[derive(Debug, Default)]
pub(super) struct Buffer {
    notes: Vec<Note>,
    bytes: usize,
    /// Messages of which records were left out, since that was told, and ever.
    untold: u64,
    lost: u64,
    /// When it was told, ms since 1970.
    told_ms: Option<i64>,
}

/// How often it is told that records are left out, ms.
const TOLD_MS: i64 = 60_000;

impl Buffer {
    /// Keeps a note, or leaves it out where there is no room: what is there is older, and so more
    /// likely to have the rest of its message's way.
    pub(super) fn push(&mut self, note: Note) {
        let bytes = note.bytes();
        if self.bytes + bytes > ROOM {
            self.lose(1);
            return;
        }
        self.bytes += bytes;
        self.notes.push(note);
    }

    /// All notes, in the order of their coming.
    pub(super) fn take(&mut self) -> Vec<Note> {
        self.bytes = 0;
        std::mem::take(&mut self.notes)
    }

    /// Counts notes that are not written.
    pub(super) fn lose(&mut self, notes: u64) {
        self.untold += notes;
        self.lost += notes;
    }

    /// How many were left out since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// How many were left out since the last word about it, if it is time for one.
    pub(super) fn tell(&mut self, now_ms: i64) -> Option<u64> {
        let is_due = self.told_ms.is_none_or(|told| crate::due::is_due(now_ms, told, TOLD_MS));
        if self.untold == 0 || !is_due {
            return None;
        }
        self.told_ms = Some(now_ms);
        Some(std::mem::take(&mut self.untold))
    }
}

/// A message of traces.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) client: SocketAddr,
    /// Its `KEYS`.
    pub(super) keys: String,
    pub(super) body: String,
    /// How many notes it holds.
    pub(super) notes: u64,
    /// The keys once more: the index would find the message as often as one stands there.
    seen: HashSet<String>,
}

impl Parcel {
    fn new(client: SocketAddr) -> Self {
        let (keys, body, seen) = (String::new(), String::new(), HashSet::new());
        Self { client, keys, body, notes: 0, seen }
    }

    fn is_full_for(&self, note: &Note, body_max: usize) -> bool {
        self.body.len() + note.text.len() > body_max
            || self.keys.len() + note.found_by.len() > KEYS_MAX
    }

    /// Adds a note. Of one with more keys than any message can have the last ones are left out.
    fn add(&mut self, note: &Note) {
        self.body.push_str(&note.text);
        self.notes += 1;
        for key in note.found_by.split(' ').filter(|key| !key.is_empty()) {
            if self.keys.len() + key.len() < KEYS_MAX && self.seen.insert(key.to_owned()) {
                self.keys.push_str(if self.keys.is_empty() { "" } else { " " });
                self.keys.push_str(key);
            }
        }
    }
}

/// Packs notes, those about one host together and in their order, into bodies of so many bytes at
/// most, if no note alone has more.
pub(super) fn parcels(notes: &[Note], body_max: usize) -> Vec<Parcel> {
    let mut parcels: Vec<Parcel> = Vec::new();
    let mut open: HashMap<IpAddr, usize> = HashMap::new();
    for note in notes {
        let last = open.get(&note.client.ip()).copied();
        let at = last.filter(|at| !parcels[*at].is_full_for(note, body_max)).unwrap_or_else(|| {
            parcels.push(Parcel::new(note.client));
            open.insert(note.client.ip(), parcels.len() - 1);
            parcels.len() - 1
        });
        parcels[at].add(note);
    }
    parcels
}
