//! A fixed list of messages, sent one at a time to the stock broker and to ours on the same port;
//! then the files of both are compared byte for byte.
//!
//! Left out are only times of storing, the port that the kernel gave the sender, unique ids that a
//! broker made, and the digits of checksums over these (each record's own is checked instead).
//! Properties are compared as a table: Java writes them in the order of its hash table, which
//! differs from release to release.

mod files;
mod list;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::jars::Release;
use crate::ledger::now_ms;
use crate::places::Places;
use crate::raw::{self, Letter, Raw};
use crate::report::Report;
use crate::server::Make;
use files::Files;
use list::list;

const COLUMN: &str = "same bytes";
/// Small files, so that log and index roll; a few slots, so that chains form.
const SLOTS: usize = 50;
const SMALL: &str = "mappedFileSizeCommitLog=65536\nmaxMessageSize=65536\nmaxHashSlotNum=50\n\
                     maxIndexNum=40\nrecallMessageEnable=true\n";
const SEALED: &str = "enabledAppendPropCRC=true\n";
/// Units lead to what stands beside them, with bits for the groups that [`WISHES`] names.
const EXTENDED: &str = "enableConsumeQueueExt=true\nenableCalcFilterBitMap=true\n\
                        enablePropertyFilter=true\nmappedFileSizeConsumeQueueExt=512\n";
/// Groups, and what they want of [`TOPIC`].
const WISHES: [(&str, &str); 4] = [
    ("bits-tagged", "TAGS IS NOT NULL"),
    ("bits-keyed", "KEYS IS NOT NULL AND UNIQ_KEY <> 'u4'"),
    ("bits-a", "A = 'b' OR A = '2'"),
    ("bits-nothing", "nothing = 1"),
];
const LIGHT: &str = "enableLmq=true\nenableMultiDispatch=true\n";
const TOPIC: &str = "bytes";
/// Holds inner batches.
const INNER: &str = "inner";
/// Its messages are born when they are stored, as are those that take others back.
const OP_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Differences that are told.
const MOST: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// Compares for each release and form of record.
///
/// # Errors
/// A server does not start; a difference is in the report.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) -> Result<()> {
    let rows = [
        (Release::V550, ""),
        (Release::V550, SEALED),
        (Release::V550, LIGHT),
        (Release::V550, EXTENDED),
        (Release::V533, ""),
        (Release::V498, ""),
    ];
    for (number, (release, settings)) in rows.into_iter().enumerate() {
        let with = settings.trim_end().replace('=', " ").replace('\n', ", ");
        let row = format!("{} {with}", Make::Java(release)).trim_end().to_owned();
        if !row.contains(only) {
            continue;
        }
        let since = Instant::now();
        let directory = places.fresh(&format!("bytes-{number}"))?;
        let found = one(places, &directory, (make, release), settings);
        let ms = u64::try_from(since.elapsed().as_millis())?;
        report.add_check(COLUMN, &row, found.map_err(|error| format!("{error:#}")), ms);
    }
    Ok(())
}

fn one(
    places: &Places,
    directory: &Path,
    (make, release): (Make, Release),
    settings: &str,
) -> Result<String> {
    let far_ms = now_ms() / 1_000 * 1_000 + 36_000_000;
    let form = Form { release, sealed: settings == SEALED, far_ms };
    let settings = format!("{SMALL}{settings}");
    let stock = Make::Java(release);
    let mut cluster = Cluster::prepare(places, make, stock, &directory.join("theirs"))?;
    let theirs = fill(&mut cluster, &settings, form)?;
    cluster.broker.become_another_in(places, make, &directory.join("ours"))?;
    let ours = fill(&mut cluster, &settings, form)?;
    cluster.namesrv.stop()?;
    let mut found = Vec::new();
    compare_answers(&theirs, &ours, &mut found);
    let (theirs, ours) = (Files::read(&theirs.store)?, Files::read(&ours.store)?);
    theirs.compare(&ours, form.old(), &mut found);
    found.truncate(MOST);
    ensure!(found.is_empty(), "{}", found.join("\n  "));
    let bytes: usize = ours.records.iter().map(|record| record.bytes.len()).sum();
    let (records, files) = (ours.records.len(), ours.fillers.len() + 1);
    let entries = || ours.extended.values().flat_map(|(entries, _)| entries);
    let marked = entries().filter(|(.., bits)| bits.iter().any(|byte| *byte != 0)).count();
    let beside = match entries().count() {
        0 => String::new(),
        count => format!(", {count} entries beside units, {marked} of them with bits set"),
    };
    Ok(format!("{records} records of {bytes} bytes in {files} files{beside}"))
}

/// Whether a broker took each message, and where its files are.
struct Filled {
    answers: Vec<(String, bool)>,
    store: PathBuf,
}

/// Starts the broker, sends everything, stops it.
fn fill(cluster: &mut Cluster, settings: &str, form: Form) -> Result<Filled> {
    cluster.broker.set(settings);
    cluster.broker.start()?;
    let mut raw = Raw::open(cluster.broker.address())?;
    make_topics(&mut raw, form)?;
    if settings.contains(EXTENDED) {
        wish(&mut raw)?;
    }
    let mut answers = Vec::new();
    for (name, letter, batch) in list(form) {
        let answer = raw.try_send(&letter, batch)?;
        answers.push((name, answer.code == 0));
    }
    raw.await_end((TOPIC, 3), 1, PATIENCE)?;
    for (name, fields) in sent_back(&mut raw)? {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        answers.push((name, raw.ask(36, &fields, &[])?.code == 0));
    }
    // Older ones leave more properties in what is committed, and take nothing back.
    if !form.old() {
        answers.extend(timers(&mut raw, form)?);
        answers.extend(transactions(&mut raw)?);
    }
    cluster.broker.stop()?;
    Ok(Filled { answers, store: cluster.broker.store() })
}

fn make_topics(raw: &mut Raw, form: Form) -> Result<()> {
    let long = "l".repeat(127);
    let plain = ("attributes", "");
    let all = [(TOPIC, plain), (&long, plain), ("multi", ("topicFilterType", "MULTI_TAG"))];
    let inner = (INNER, ("attributes", "+queue.type=BatchCQ"));
    let inner = Some(inner).filter(|_| form.release != Release::V498);
    for (topic, own) in all.into_iter().chain(inner) {
        raw.make_topic(topic, &[("readQueueNums", "4"), ("writeQueueNums", "4"), own])?;
    }
    let group = br#"{"groupName":"bytes-group","retryQueueNums":1,"retryMaxTimes":3}"#;
    raw.must(200, &[], group).map(drop)
}

/// Says in a heartbeat what groups want.
fn wish(raw: &mut Raw) -> Result<()> {
    let consumers: Vec<String> = WISHES
        .iter()
        .map(|(group, sql)| {
            format!(
                "{{\"consumeFromWhere\":\"CONSUME_FROM_FIRST_OFFSET\",\
                 \"consumeType\":\"CONSUME_PASSIVELY\",\"groupName\":\"{group}\",\
                 \"messageModel\":\"CLUSTERING\",\"subscriptionDataSet\":[{{\
                 \"classFilterMode\":false,\"codeSet\":[],\"expressionType\":\"SQL92\",\
                 \"subString\":\"{sql}\",\"subVersion\":1,\"tagsSet\":[],\
                 \"topic\":\"{TOPIC}\"}}],\"unitMode\":false}}"
            )
        })
        .collect();
    let consumers = consumers.join(",");
    let beat = format!(
        "{{\"clientID\":\"bytes@1\",\"consumerDataSet\":[{consumers}],\"producerDataSet\":[]}}"
    );
    raw.must(34, &[], beat.as_bytes()).map(drop)
}

/// What a broker's records look like.
#[derive(Clone, Copy)]
struct Form {
    release: Release,
    sealed: bool,
    /// A time some hours from now.
    far_ms: i64,
}

impl Form {
    /// Up to 5.3.3 the properties of a batch are copied to each of its messages, and some older
    /// releases leave out the last separator: all that follows stands elsewhere.
    fn old(self) -> bool {
        self.release != Release::V550
    }

    /// What this release takes otherwise than 5.5.0 does, or the stock broker does wrong: with
    /// `enabledAppendPropCRC` it glues the checksum to a batch's properties as they are.
    fn has(self, name: &str) -> bool {
        match name {
            "an inner batch" | "body of 0" | "retry 17" | "retry 18" | "a pop check"
            | "a level and a time" => self.release != Release::V498,
            // 5.3.3 gives the messages of such a batch the properties of the whole.
            name if name.starts_with("inner: ") && name.ends_with("without an id") => {
                self.release == Release::V550
            }
            name if ["a time ", "inner: "].iter().any(|begin| name.starts_with(begin)) => {
                self.release != Release::V498
            }
            "batch without separators" | "batch with own checksum" => !self.sealed,
            _ => true,
        }
    }
}

type Fields = Vec<(&'static str, String)>;

/// A consumer's messages given back: one that waits for hours, one that is given up.
fn sent_back(raw: &mut Raw) -> Result<Vec<(String, Fields)>> {
    let mut all = Vec::new();
    for record in raw.pull(TOPIC, 0, 0)?.into_iter().take(8) {
        for level in [18, -1] {
            let fields = vec![
                ("offset", record.log_offset.to_string()),
                ("group", "bytes-group".to_owned()),
                ("delayLevel", level.to_string()),
                ("originMsgId", record.table().get("UNIQ_KEY").cloned().unwrap_or_default()),
                ("originTopic", TOPIC.to_owned()),
                ("unitMode", "false".to_owned()),
                ("maxReconsumeTimes", "5".to_owned()),
            ];
            all.push((format!("sent back with level {level}: {record:?}"), fields));
        }
    }
    Ok(all)
}

/// Two half messages, of which one is committed and one rolled back. A stock broker writes down
/// what is finished some seconds later.
fn transactions(raw: &mut Raw) -> Result<Vec<(String, bool)>> {
    let mut halves = Vec::new();
    for (id, more) in [("t0", "KEYS^half~TAGS^t~"), ("t1", "A^b~")] {
        let properties = format!("UNIQ_KEY^{id}~TRAN_MSG^true~PGROUP^bytes-p~WAIT^true~{more}");
        let letter = Letter { sys_flag: 4, queue_id: 1, ..Letter::new(TOPIC, &properties, id) };
        halves.push(raw.send(&letter, false)?);
    }
    let mut answers = Vec::new();
    for (number, (half, how)) in (1..).zip(halves.iter().zip(["8", "12"])) {
        let text = |key: &str| half.fields[key].as_str().unwrap_or_default();
        let log_offset = raw::log_offset(half)?.to_string();
        let fields = [
            ("producerGroup", "bytes-p"),
            ("tranStateTableOffset", text("queueOffset")),
            ("commitLogOffset", log_offset.as_str()),
            ("commitOrRollback", how),
            ("msgId", text("transactionId")),
        ];
        answers.push((format!("the end of {half:?}"), raw.ask(37, &fields, &[])?.code == 0));
        raw.await_end((OP_TOPIC, 0), number, PATIENCE)?;
    }
    Ok(answers)
}

/// Messages with a time of their own: one that waits for hours and is taken back, one that becomes
/// due.
fn timers(raw: &mut Raw, form: Form) -> Result<Vec<(String, bool)>> {
    let far = format!("UNIQ_KEY^far~TIMER_DELIVER_MS^{}~TAGS^t~KEYS^far~", form.far_ms);
    let far = raw.send(&Letter::new(TOPIC, &far, "far"), false)?;
    let handle = far.fields["recallHandle"].as_str().unwrap_or_default().to_owned();
    let mut answers = Vec::new();
    for (name, handle) in [("handle", handle.as_str()), ("no handle", "djE"), ("empty", "")] {
        let fields = [("producerGroup", "p"), ("topic", TOPIC), ("recallHandle", handle)];
        answers.push((format!("recall, {name}"), raw.ask(370, &fields, &[])?.code == 0));
    }
    let due = "UNIQ_KEY^due~TIMER_DELAY_MS^1200~TAGS^t~";
    raw.send(&Letter { queue_id: 3, ..Letter::new(TOPIC, due, "due") }, false)?;
    raw.await_end((TOPIC, 3), 2, PATIENCE)?;
    Ok(answers)
}

fn compare_answers(theirs: &Filled, ours: &Filled, found: &mut Vec<String>) {
    for ((name, theirs), (_, ours)) in theirs.answers.iter().zip(&ours.answers) {
        if theirs != ours {
            found.push(format!("{name}: taken {theirs} here {ours}"));
        }
    }
}
