//! `store dump`: records with all their fields, for reading or as JSON.

use std::io::{self, Write};

use message::record::{self, Entry, Record};
use message::{properties, sys_flag};
use serde_json::{Value, json};
use store::look::Dumped;

use super::looking;
use crate::cli::Dump;
use crate::render::{plain, utc};

type Fields = Vec<(&'static str, Value)>;

/// Prints the records; says whether all of them are sound.
pub(super) fn run(dump: &Dump) -> anyhow::Result<bool> {
    let mut records = Vec::new();
    let mut sound = true;
    let limit = dump.body;
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    looking(&dump.directory, |look| {
        let mut show = |found: Dumped| {
            sound &= found.problem.is_none();
            let fields = fields(&found, limit);
            if dump.directory.json {
                let named = fields.into_iter().map(|(key, value)| (key.to_owned(), value));
                records.push(Value::Object(named.collect()));
            } else if written.is_ok() {
                written = out.write_all(text(&fields).as_bytes());
            }
        };
        match (dump.offset, &dump.topic, dump.queue) {
            (Some(offset), ..) => look.dump_log(offset, dump.count, &mut show)?,
            (None, Some(topic), Some(id)) if dump.compacted => {
                look.dump_compacted((topic, id), dump.from, dump.count, &mut show)?;
            }
            (None, Some(topic), Some(id)) => {
                look.dump_queue((topic, id), dump.from, dump.count, &mut show)?;
            }
            _ => anyhow::bail!("say which: --offset N, or --topic T and --queue Q"),
        }
        Ok(())
    })?;
    written?;
    if dump.directory.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&records)?)?;
    }
    Ok(sound)
}

/// The fields of what was found, in the order of the file.
fn fields(found: &Dumped, limit: usize) -> Fields {
    let mut all: Fields = vec![("logOffset", found.log_offset.into())];
    if let Some((offset, unit)) = &found.unit {
        let unit = json!({
            "queueOffset": offset,
            "logOffset": unit.log_offset,
            "size": unit.size,
            "tagsCode": unit.tags_code,
        });
        all.push(("unit", unit));
    }
    if let Some(problem) = &found.problem {
        all.push(("problem", problem.as_str().into()));
    }
    match record::decode(&found.bytes, false) {
        Ok(Entry::Message(record)) => add_record(&record, limit, &mut all),
        _ => all.push(("bytes", hex(&found.bytes[..found.bytes.len().min(limit)]).into())),
    }
    all
}

fn add_record(record: &Record<'_>, limit: usize, all: &mut Fields) {
    let mut put = |key, value: Value| all.push((key, value));
    put("size", record.total_size().into());
    put("magic", format!("{:#010x}", record.magic).into());
    put("bodyCrc", format!("{:#010x}", record.body_crc).into());
    put("topic", record.topic.into());
    put("queueId", record.queue_id.into());
    put("queueOffset", record.queue_offset.into());
    put("flag", record.flag.into());
    put("sysFlag", record.sys_flag.into());
    put("sysFlagWords", flags(record.sys_flag).into());
    put("bornTime", utc(record.born_timestamp).into());
    put("bornTimestamp", record.born_timestamp.into());
    put("bornHost", record.born_host.to_string().into());
    put("storeTime", utc(record.store_timestamp).into());
    put("storeTimestamp", record.store_timestamp.into());
    put("storeHost", record.store_host.to_string().into());
    put("reconsumeTimes", record.reconsume_times.into());
    put("preparedTransactionOffset", record.prepared_transaction_offset.into());
    let sealed = record::has_property_crc(record.properties);
    let seal = if sealed { record::verify_property_crc(record.raw) } else { None };
    put("propertyCrc", seal.map_or(Value::Null, Value::from));
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes));
    let pairs = properties::pairs(record.properties);
    let pairs = pairs.map(|(key, value)| (String::from_utf8_lossy(key).into(), text(value)));
    put("properties", Value::Object(pairs.collect()));
    put("bodyBytes", record.body.len().into());
    let cut = cut(record.body, limit);
    match std::str::from_utf8(cut) {
        Ok(text) => put("body", text.into()),
        Err(_) => put("bodyHex", hex(cut).into()),
    }
    if cut.len() < record.body.len() {
        put("bodyCutAt", cut.len().into());
    }
}

/// The first bytes of a body, not ending within a character when the body is text.
fn cut(body: &[u8], limit: usize) -> &[u8] {
    let Some(cut) = body.get(..limit) else { return body };
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => &cut[..error.valid_up_to()],
        _ => cut,
    }
}

fn flags(flag: i32) -> String {
    let is = |bit: i32| flag & bit != 0;
    let compression = match flag & sys_flag::COMPRESSION_MASK {
        sys_flag::COMPRESSION_LZ4 => "LZ4",
        sys_flag::COMPRESSION_ZSTD => "Zstandard",
        _ => "zlib",
    };
    let transaction = match sys_flag::transaction_type(flag) {
        sys_flag::TRANSACTION_PREPARED => Some("half message"),
        sys_flag::TRANSACTION_COMMIT => Some("committed"),
        sys_flag::TRANSACTION_ROLLBACK => Some("rolled back"),
        _ => None,
    };
    let words = [
        is(sys_flag::COMPRESSED).then_some(compression),
        is(sys_flag::MULTI_TAGS).then_some("several tags"),
        transaction,
        is(sys_flag::BORN_HOST_V6).then_some("born on IPv6"),
        is(sys_flag::STORE_HOST_V6).then_some("stored on IPv6"),
        is(sys_flag::INNER_BATCH).then_some("inner batch"),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same for reading: a line a field.
fn text(fields: &Fields) -> String {
    let mut text = String::new();
    for (key, value) in fields {
        match value {
            Value::Object(inner) => {
                text += &format!("{key:26}\n");
                for (key, value) in inner {
                    text += &format!("  {:24} {}\n", plain(key), word(value));
                }
            }
            value => text += &format!("{key:26} {}\n", word(value)),
        }
    }
    text + "\n"
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}
