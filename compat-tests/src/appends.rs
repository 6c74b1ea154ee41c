//! A fixed list of messages, sent one at a time to the stock broker and to ours on the same port;
//! then the files of both are compared byte for byte.
//!
//! Left out are only times of storing, the port that the kernel gave the sender, unique ids that a
//! broker made, and the digits of checksums over these (each record's own is checked instead).
//! Properties are compared as a table: Java writes them in the order of its hash table, which
//! differs from release to release.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::jars::Release;
use crate::ledger::now_ms;
use crate::places::Places;
use crate::raw::{self, Letter, Raw, batched};
use crate::records::{self, CRC_BYTES, Filler, Record, Unit};
use crate::report::Report;
use crate::server::Make;

const COLUMN: &str = "same bytes";
/// Small files, so that log and index roll; a few slots, so that chains form.
const SLOTS: usize = 50;
const SMALL: &str = "mappedFileSizeCommitLog=65536\nmaxMessageSize=65536\nmaxHashSlotNum=50\n\
                     maxIndexNum=40\nrecallMessageEnable=true\n";
const SEALED: &str = "enabledAppendPropCRC=true\n";
const LIGHT: &str = "enableLmq=true\nenableMultiDispatch=true\n";
const TOPIC: &str = "bytes";
/// Holds inner batches.
const INNER: &str = "inner";
/// What brokers add to properties, or take away, differently from release to release; and the id
/// that holds a place.
const STAMP: [&str; 5] = ["MSG_REGION", "TRACE_ON", "CLUSTER", "WAIT", "ORIGIN_MESSAGE_ID"];
/// Its messages are born when they are stored, as are those that take others back.
const OP_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Differences that are told.
const MOST: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);
/// The one level whose messages become due while the list is sent.
const SOON: &str = "DELAY^1~UNIQ_KEY^soon~KEYS^soon~TAGS^soon~INNER_MULTI_DISPATCH^%LMQ%soon~";
/// What a message of a light queue brings when it is sent again.
const LIGHT_RETRY: &str = "INNER_MULTI_DISPATCH^%LMQ%a~INNER_MULTI_QUEUE_OFFSET^0~";

/// Compares for each release and form of record.
///
/// # Errors
/// A server does not start; a difference is in the report.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) -> Result<()> {
    let rows = [
        (Release::V550, ""),
        (Release::V550, SEALED),
        (Release::V550, LIGHT),
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
    Ok(format!("{records} records of {bytes} bytes in {files} files"))
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

/// Everything that is sent: what it is, the message, whether it is a batch.
fn list(form: Form) -> Vec<(String, Letter, bool)> {
    let mut all: Vec<_> = singles().into_iter().map(|(name, one)| (name, one, false)).collect();
    for (name, body) in batches() {
        all.push((name, Letter::new(TOPIC, "WAIT^true~", body), true));
    }
    all.extend(
        inner().into_iter().map(|(name, one, batch)| (format!("inner: {name}"), one, batch)),
    );
    all.retain(|(name, ..)| form.has(name));
    // Several files, with every distance to a file's end.
    for number in 0..40_usize {
        let body = vec![b'a' + u8::try_from(number % 26).unwrap_or(0); 60_000 - number * 1_001];
        let letter = Letter::new(TOPIC, &format!("UNIQ_KEY^roll{number}~"), body);
        all.push((format!("roll {number}"), letter, false));
        if number % 8 == 7 {
            let big = vec![b'B'; 9_000];
            let parts: Vec<u8> = (0..3)
                .flat_map(|part| batched(part, &format!("UNIQ_KEY^b{number}-{part}~"), &big))
                .collect();
            all.push((format!("batch {number}"), Letter::new(TOPIC, "", parts), true));
        }
    }
    all.push((
        "due soon".into(),
        Letter { queue_id: 3, ..Letter::new(TOPIC, SOON, "soon") },
        false,
    ));
    all
}

/// Properties that are sent, by what they are.
const PROPERTIES: &[(&str, &str)] = &[
    ("plain", "UNIQ_KEY^u1~"),
    ("without the last separator", "UNIQ_KEY^u2"),
    ("tagged", "UNIQ_KEY^u3~TAGS^TagA~"),
    ("a tag with other letters", "UNIQ_KEY^u4~TAGS^größe 大~"),
    ("keyed", "UNIQ_KEY^u5~KEYS^k1 k2 k3~"),
    ("keyed twice, with gaps", "KEYS^ k1  k1 ~UNIQ_KEY^u6~"),
    ("an empty value", "UNIQ_KEY^u7~KEYS^~A^b~"),
    ("a broken pair", "UNIQ_KEY^u8~nothing~^b~A^~x^y^z~"),
    ("the same name twice", "UNIQ_KEY^u9~A^b~A^c~"),
    ("own checksum", "UNIQ_KEY^u10~__CRC32#^0123456789~A^b~"),
    ("level 18", "UNIQ_KEY^u11~DELAY^18~KEYS^later~"),
    ("level 99", "UNIQ_KEY^u12~DELAY^99~TAGS^t~"),
    ("level 0", "UNIQ_KEY^u13~DELAY^0~"),
    ("level -1", "UNIQ_KEY^u14~DELAY^-1~"),
    ("level no number", "UNIQ_KEY^u15~DELAY^soon~"),
    ("does not wait", "UNIQ_KEY^u16~WAIT^false~"),
    ("a region of its own", "UNIQ_KEY^u17~MSG_REGION^mars~TRACE_ON^false~CLUSTER^x~"),
    ("a pop check", "UNIQ_KEY^u18~POP_CK^0 1 2~"),
    ("no half message", "UNIQ_KEY^u19~TRAN_MSG^false~PGROUP^g~"),
    ("an inner batch", "UNIQ_KEY^u20~INNER_NUM^2~"),
    ("a time that is past", "UNIQ_KEY^u21~TIMER_DELIVER_MS^1000~"),
    ("a level and a time", "UNIQ_KEY^u22~DELAY^17~TIMER_DELAY_SEC^3~"),
    ("a sharding key", "UNIQ_KEY^u23~__SHARDINGKEY^order 7~"),
    ("a time too far off", "UNIQ_KEY^u24~TIMER_DELAY_SEC^259201~"),
    ("a time that is none", "UNIQ_KEY^u25~TIMER_DELAY_MS^soon~"),
    ("a time of a past one to take back", "TIMER_DELIVER_MS^5~TIMER_DEL_UNIQKEY^u~"),
    ("a time that was there", "UNIQ_KEY^u26~TIMER_DELAY_SEC^9~TIMER_OUT_MS^5~"),
    ("a light queue", "UNIQ_KEY^l1~INNER_MULTI_DISPATCH^%LMQ%a~TAGS^t~"),
    ("two light queues", "UNIQ_KEY^l2~INNER_MULTI_DISPATCH^%LMQ%a,%LMQ%b~KEYS^k~WAIT^true~"),
    ("light queues in another order", "INNER_MULTI_DISPATCH^%LMQ%b,%LMQ%c,%LMQ%a~UNIQ_KEY^l3~"),
    ("a list with a comma too many", "UNIQ_KEY^l4~INNER_MULTI_DISPATCH^%LMQ%a,%LMQ%c,,~"),
    (
        "a place that was sent",
        "UNIQ_KEY^l5~INNER_MULTI_DISPATCH^%LMQ%a~INNER_MULTI_QUEUE_OFFSET^9~",
    ),
    ("a place without a queue", "UNIQ_KEY^l6~INNER_MULTI_QUEUE_OFFSET^9~"),
    ("a light queue that is none", "UNIQ_KEY^l8~INNER_MULTI_DISPATCH^b~"),
    ("two light queues that are none", "UNIQ_KEY^l9~INNER_MULTI_DISPATCH^b,c~"),
    ("a light queue and a level", "UNIQ_KEY^l7~INNER_MULTI_DISPATCH^%LMQ%a~DELAY^18~"),
];

fn singles() -> Vec<(String, Letter)> {
    let mut all = Vec::new();
    for (name, properties) in PROPERTIES {
        all.push(((*name).to_owned(), Letter::new(TOPIC, properties, *name)));
    }
    let letter = |number: usize| Letter::new(TOPIC, &format!("UNIQ_KEY^s{number}~TAGS^s~"), "body");
    for (number, sys_flag) in [1, 2, 3, 0x101, 0x201, 0x301, 4, 8, 12, 0x40].into_iter().enumerate()
    {
        let one = Letter { sys_flag, queue_id: 1, ..letter(number) };
        all.push((format!("sys flag {sys_flag:#x}"), one));
    }
    for (number, flag) in [1, -1, i32::MAX, i32::MIN].into_iter().enumerate() {
        let one = Letter { flag, queue_id: 2, ..letter(20 + number) };
        all.push((format!("flag {flag}"), one));
    }
    for (number, reconsume_times) in [1, 16, -1].into_iter().enumerate() {
        all.push((
            format!("tries {reconsume_times}"),
            Letter { reconsume_times, ..letter(30 + number) },
        ));
    }
    for (number, born_ms) in [0, -1, i64::MAX].into_iter().enumerate() {
        all.push((format!("born {born_ms}"), Letter { born_ms, ..letter(40 + number) }));
    }
    for (number, len) in [0, 1, 2].into_iter().enumerate() {
        all.push((format!("body of {len}"), Letter { body: vec![0; len], ..letter(50 + number) }));
    }
    let retry = "%RETRY%bytes-group";
    for (number, (properties, reconsume_times)) in
        [("", 1), ("DELAY^18~", 2), ("", 17), ("DELAY^2~TAGS^x~", 18), (LIGHT_RETRY, 1)]
            .into_iter()
            .enumerate()
    {
        let properties = format!("UNIQ_KEY^r{number}~RETRY_TOPIC^bytes~{properties}");
        let one = Letter { reconsume_times, ..Letter::new(retry, &properties, "again") };
        all.push((format!("retry {reconsume_times}"), one));
    }
    let long = "l".repeat(127);
    let wide = format!("%RETRY%{}", "g".repeat(200));
    all.push(("a topic of 207 bytes".into(), Letter::new(&wide, "UNIQ_KEY^wide~", "wide")));
    all.push(("a topic of 127 bytes".into(), Letter::new(&long, "UNIQ_KEY^long~KEYS^k~", "long")));
    all.push(("many tags".into(), Letter::new("multi", "UNIQ_KEY^m~TAGS^a || b~", "multi")));
    all.push(("a topic made by it".into(), Letter::new("made", "UNIQ_KEY^new~", "new")));
    all
}

fn batches() -> Vec<(String, Vec<u8>)> {
    let three = [
        batched(0, "UNIQ_KEY^b1~KEYS^in-batch~", b"first"),
        batched(-7, "UNIQ_KEY^b2~TAGS^t~", b"second"),
        batched(1, "", b"third"),
    ];
    let open = [batched(0, "UNIQ_KEY^b8", b"first"), batched(0, "UNIQ_KEY^b9~TAGS^t", b"second")];
    let odd = [
        batched(0, "UNIQ_KEY^b5~DELAY^3~", b"delay"),
        batched(0, "A^~UNIQ_KEY^b6~nothing~", b"broken pair"),
        batched(0, "UNIQ_KEY^b10~A^1~A^2~", b"twice"),
    ];
    let own = batched(0, "UNIQ_KEY^b4~__CRC32#^0123456789~A^b~", b"own checksum");
    [
        ("batch of three", three.concat()),
        ("batch of one", batched(0, "UNIQ_KEY^b3~", b"alone")),
        ("batch without separators", open.concat()),
        ("batch with own checksum", own),
        ("odd batch", odd.concat()),
        ("batch with an empty body", batched(0, "UNIQ_KEY^b7~", b"")),
    ]
    .map(|(name, body)| (name.to_owned(), body))
    .into()
}

/// What goes to a topic of inner batches, or looks as if it should.
fn inner() -> Vec<(&'static str, Letter, bool)> {
    let three = [
        batched(0, "UNIQ_KEY^i1~KEYS^in-batch~", b"first"),
        batched(-7, "UNIQ_KEY^i2~TAGS^t~", b"second"),
        batched(1, "", b"third"),
    ]
    .concat();
    let one = batched(0, "", b"");
    let letter = |properties: &str| Letter::new(INNER, properties, three.clone());
    let flagged = |sys_flag, properties: &str| Letter { sys_flag, ..letter(properties) };
    let mut broken = three.clone();
    broken.truncate(three.len() - 3);
    vec![
        ("a batch", letter("UNIQ_KEY^n1~"), true),
        ("a tagged batch with keys", letter("UNIQ_KEY^n2~KEYS^k1 k2~TAGS^t~WAIT^true~"), true),
        ("a single message", Letter::new(INNER, "UNIQ_KEY^n3~TAGS^t~", "single"), false),
        ("a batch without an id", letter("KEYS^x~"), true),
        ("a batch that says how many it is", letter("UNIQ_KEY^n4~INNER_NUM^9~INNER_BASE^9~"), true),
        ("of one", Letter { queue_id: 1, ..Letter::new(INNER, "UNIQ_KEY^n5~", one) }, true),
        ("a level", letter("UNIQ_KEY^n6~DELAY^3~"), true),
        ("a level without an id", letter("DELAY^3~"), true),
        ("a time past", letter("UNIQ_KEY^n7~TIMER_DELIVER_MS^1000~"), true),
        ("a time to come", letter("UNIQ_KEY^n8~TIMER_DELAY_SEC^3600~"), true),
        ("no whole batch", Letter { body: broken, ..letter("UNIQ_KEY^n9~") }, true),
        ("half a batch", flagged(4, "UNIQ_KEY^n10~"), true),
        ("half a batch without an id", flagged(4, "KEYS^x~"), true),
        ("made by the sender", flagged(0xC0, "UNIQ_KEY^n11~INNER_NUM^3~"), false),
        ("made by the sender, without a number", flagged(0xC0, "UNIQ_KEY^n12~"), false),
        ("a number without a flag", letter("UNIQ_KEY^n13~INNER_NUM^3~"), false),
        ("a single one with a level", Letter::new(INNER, "UNIQ_KEY^n14~DELAY^18~", "l"), false),
        (
            "of another topic",
            Letter { topic: TOPIC.into(), ..flagged(0xC0, "UNIQ_KEY^n15~") },
            false,
        ),
        ("a batch behind all", Letter { queue_id: 1, ..letter("UNIQ_KEY^n16~") }, true),
    ]
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

/// What a broker left.
struct Files {
    records: Vec<Record>,
    fillers: Vec<Filler>,
    queues: BTreeMap<(String, i32), Vec<Unit>>,
    batches: BTreeMap<(String, i32), Vec<records::BatchUnit>>,
    index: Vec<records::IndexFile>,
}

impl Files {
    fn read(store: &Path) -> Result<Self> {
        let (records, fillers) = records::log(&store.join("commitlog"))?;
        let queues = records::queues(&store.join("consumequeue"))?;
        let batches = records::batch_queues(&store.join("batchconsumequeue"))?;
        let index = records::index(&store.join("index"), SLOTS)?;
        Ok(Self { records, fillers, queues, batches, index })
    }

    fn compare(&self, ours: &Self, old: bool, found: &mut Vec<String>) {
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

    fn units(&self, name: &(String, i32)) -> Vec<Unit> {
        let mut units = self.queues.get(name).cloned().unwrap_or_default();
        if name.0 == "SCHEDULE_TOPIC_XXXX" {
            for (place, _, code) in &mut units {
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
