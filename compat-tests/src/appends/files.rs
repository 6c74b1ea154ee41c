//! What a broker left in its files, and what of that may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::{OP_TOPIC, SLOTS};
use crate::records::{self, CRC_BYTES, Filler, Record, Unit};

/// What brokers add to properties, or take away, differently from release to release; and the id
/// that holds a place.
const STAMP: [&str; 5] = ["MSG_REGION", "TRACE_ON", "CLUSTER", "WAIT", "ORIGIN_MESSAGE_ID"];

/// What a broker left.
pub(super) struct Files {
    pub(super) records: Vec<Record>,
    pub(super) fillers: Vec<Filler>,
    queues: BTreeMap<(String, i32), Vec<Unit>>,
    batches: BTreeMap<(String, i32), Vec<records::BatchUnit>>,
    /// What stands beside units.
    pub(super) extended: BTreeMap<(String, i32), records::Entries>,
    index: Vec<records::IndexFile>,
}

impl Files {
    pub(super) fn read(store: &Path) -> Result<Self> {
        let (records, fillers) = records::log(&store.join("commitlog"))?;
        let queues = records::queues(&store.join("consumequeue"))?;
        let batches = records::batch_queues(&store.join("batchconsumequeue"))?;
        let extended = records::extended(&store.join("consumequeue_ext"))?;
        let index = records::index(&store.join("index"), SLOTS)?;
        Ok(Self { records, fillers, queues, batches, extended, index })
    }

    pub(super) fn compare(&self, ours: &Self, old: bool, found: &mut Vec<String>) {
        for (theirs, ours) in self.records.iter().zip(&ours.records) {
            if let Err(why) = same_record(theirs, ours, old) {
                found.push(format!("{why}: {theirs:?} here {ours:?}"));
            }
        }
        let counts = (self.records.len(), ours.records.len());
        if counts.0 != counts.1 {
            found.push(format!("{} records here {}", counts.0, counts.1));
        }
        if old {
            return;
        }
        if self.fillers != ours.fillers {
            let places = |all: &[Filler]| -> Vec<_> {
                all.iter().map(|(at, bytes)| (*at, bytes[..8].to_vec())).collect()
            };
            let (theirs, ours) = (places(&self.fillers), places(&ours.fillers));
            found.push(format!("fillers {theirs:?} here {ours:?}"));
        }
        self.compare_queues(ours, found);
        self.compare_batches(ours, found);
        self.compare_extended(ours, found);
        for (number, theirs) in self.index.iter().enumerate() {
            let Some(ours) = ours.index.get(number).filter(|ours| *ours != theirs) else {
                continue;
            };
            let first = theirs.entries.iter().zip(&ours.entries).position(|(a, b)| a != b);
            let (left, right) = (theirs.header, ours.header);
            found.push(format!("index {number}: {left:?} here {right:?}, entry {first:?}"));
        }
        if self.index.len() != ours.index.len() {
            found.push(format!("{} index files here {}", self.index.len(), ours.index.len()));
        }
    }

    /// Tags codes of delayed messages are times: their distance to the time of storing counts.
    fn compare_queues(&self, ours: &Self, found: &mut Vec<String>) {
        let names: BTreeSet<_> = self.queues.keys().chain(ours.queues.keys()).collect();
        for name in names {
            let (theirs, ours) = (self.units(name), ours.units(name));
            if theirs != ours {
                let first = theirs.iter().zip(&ours).find(|(a, b)| a != b);
                let lengths = (theirs.len(), ours.len());
                found.push(format!("queue {name:?}: {lengths:?} units, first {first:?}"));
            }
        }
    }

    /// The time in a unit is that of its record.
    fn compare_batches(&self, ours: &Self, found: &mut Vec<String>) {
        for (files, whose) in [(self, "theirs"), (ours, "ours")] {
            for (at, stored_ms, _) in files.batches.values().flatten() {
                let record = files.records.iter().find(|record| record.log_offset == *at);
                if record.is_none_or(|record| record.stored_ms != *stored_ms) {
                    found.push(format!("{whose}: a unit says {stored_ms}, {record:?}"));
                }
            }
        }
        let plain = |files: &Self| -> Vec<_> {
            let units = files.batches.iter().flat_map(|(name, units)| {
                units.iter().map(move |(at, _, bytes)| (name.clone(), *at, bytes.clone()))
            });
            units.collect()
        };
        let (theirs, ours) = (plain(self), plain(ours));
        if theirs != ours {
            let first = theirs.iter().zip(&ours).find(|(a, b)| a != b);
            let counts = (theirs.len(), ours.len());
            found.push(format!("units of batches: {counts:?}, first {first:?}"));
        }
    }

    /// Times of storing are those of the records, and what delayed messages wait for is told from
    /// there.
    fn compare_extended(&self, ours: &Self, found: &mut Vec<String>) {
        let plain = |files: &Self| -> Result<Vec<_>, String> {
            let mut all = Vec::new();
            for (name, (entries, ends)) in &files.extended {
                let units = files.queues.get(name).map(Vec::as_slice).unwrap_or_default();
                for (address, code, stored_ms, bits) in entries {
                    let unit = units.iter().find(|(_, _, code)| code == address);
                    let at = unit.map_or(-1, |(at, ..)| *at);
                    let record = files.records.iter().find(|record| record.log_offset == at);
                    if record.is_none_or(|record| record.stored_ms != *stored_ms) {
                        return Err(format!("an entry says {stored_ms}, {record:?}"));
                    }
                    let waits = name.0 == "SCHEDULE_TOPIC_XXXX";
                    let code = code - if waits { stored_ms } else { &0 };
                    all.push(format!("{name:?} {} {code} {bits:?}", address - i64::MIN));
                }
                all.extend(ends.iter().map(|(at, end)| format!("{name:?} {at} ends with {end:?}")));
            }
            Ok(all)
        };
        match (plain(self), plain(ours)) {
            (Ok(theirs), Ok(ours)) if theirs == ours => {}
            (Ok(theirs), Ok(ours)) => {
                let first = theirs.iter().zip(&ours).find(|(a, b)| a != b);
                let counts = (theirs.len(), ours.len());
                found.push(format!("entries beside units: {counts:?}, first {first:?}"));
            }
            (theirs, ours) => found.push(format!("{:?} here {:?}", theirs.err(), ours.err())),
        }
    }

    fn units(&self, name: &(String, i32)) -> Vec<Unit> {
        let mut units = self.queues.get(name).cloned().unwrap_or_default();
        if name.0 == "SCHEDULE_TOPIC_XXXX" {
            for (place, _, code) in
                units.iter_mut().filter(|(.., code)| *code > records::ADDRESS_MAX)
            {
                let record = self.records.iter().find(|record| record.log_offset == *place);
                *code -= record.map_or(0, |record| record.stored_ms);
            }
        }
        units
    }
}

/// Whether two records are the same but for what cannot be; `old` brokers differ in the form of
/// properties, and so in every place that follows.
fn same_record(theirs: &Record, ours: &Record, old: bool) -> Result<(), String> {
    let (mut left, mut right) = (plain_table(theirs), plain_table(ours));
    if old {
        for table in [&mut left, &mut right] {
            table.retain(|key, _| !STAMP.contains(&key.as_str()));
        }
    }
    if left != right {
        let differ = |one: &BTreeMap<_, _>, other: &BTreeMap<_, _>| -> Vec<String> {
            let lacks = one.iter().filter(|(key, value)| other.get(*key) != Some(*value));
            lacks.map(|(key, value): (&String, &String)| format!("{key}={value}")).collect()
        };
        return Err(format!(
            "properties {:?} here {:?}",
            differ(&left, &right),
            differ(&right, &left)
        ));
    }
    if !old && theirs.properties().len() != ours.properties().len() {
        let (left, right) = (theirs.properties().len(), ours.properties().len());
        return Err(format!("properties of {left} bytes here {right}"));
    }
    let (left, right) = (masked(theirs, old), masked(ours, old));
    match left.iter().zip(&right).position(|(left, right)| left != right) {
        None if left.len() == right.len() => Ok(()),
        at => Err(format!("byte {at:?} of {} here {}", left.len(), right.len())),
    }
}

/// The properties without what a broker made from its clock.
fn plain_table(record: &Record) -> BTreeMap<String, String> {
    let mut table = record.table();
    if let Some(id) = table.get_mut("UNIQ_KEY").filter(|id| id.starts_with("7F000001")) {
        *id = format!("made, {} digits", id.len());
    }
    if ["TIMER_DELAY_MS", "TIMER_DEL_UNIQKEY"].iter().any(|key| table.contains_key(*key)) {
        for key in ["TIMER_OUT_MS", "TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS", "BORN_TIMESTAMP"] {
            if let Some(time) = table.get_mut(key).filter(|time| time.len() > 3) {
                *time = format!("made, {} digits", time.len());
            }
        }
    }
    table.remove(records::CRC_KEY);
    let sealed = if record.has_own_crc() { CRC_BYTES } else { 0 };
    table.insert("(own checksum)".into(), sealed.to_string());
    table
}

fn masked(record: &Record, old: bool) -> Vec<u8> {
    let mut bytes = record.bytes[..record.properties_at].to_vec();
    let wide = if record.stored_at - record.born_host == 20 { 16 } else { 4 };
    bytes[record.born_host + wide..record.stored_at].fill(0);
    bytes[record.stored_at..record.stored_at + 8].fill(0);
    if record.topic == OP_TOPIC || record.table().contains_key("TIMER_DEL_UNIQKEY") {
        bytes[record.born_host - 8..record.born_host].fill(0);
    }
    if old {
        bytes[..4].fill(0);
        bytes[28..36].fill(0);
        bytes[record.properties_at - 2..].fill(0);
    }
    bytes
}
