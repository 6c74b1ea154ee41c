//! One directory goes from the stock broker to ours, back, and to ours again, after clean stops
//! and after kills. Each writes more of every kind of record, and each has to find all that was
//! written before it, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::clients::Kind;
use crate::cluster::Cluster;
use crate::jars::Release;
use crate::ledger::{Ledger, now_ms};
use crate::loose_json;
use crate::places::Places;
use crate::raw::{self, Letter, Raw, batched};
use crate::records;
use crate::report::{Report, Verdict};
use crate::runs::Crew;
use crate::server::{Make, Server};
use crate::{say, side_by_side};

/// A stock broker writes positions for the first time 10 s after its start, then every 5 s.
const SAVED: Duration = Duration::from_secs(40);
/// Delay levels: their number, and how long they wait.
const LEVELS: [(i32, i64); 3] = [(1, 1_000), (2, 5_000), (3, 10_000)];
/// Small files, so that a hand-over finds more than one. Not where brokers are killed: the stock
/// one then throws its index away and indexes again from the file where its recovery begins.
const SMALL: &str = "mappedFileSizeCommitLog=524288\nmaxMessageSize=400000\n";
/// Makes brokers listen on IPv6 too, and store an IPv6 address as their own.
const LISTEN: &str = "bindAddress=::\n";
const SIXTH: &str = "brokerIP1=::1\n";
const SEALED: &str = "enabledAppendPropCRC=true\n";
const STOPPED: &str = "store after a stop";
const KILLED: &str = "store after kill -9";
/// Longer than a broker takes until what it stored is in the index, and than ours takes until
/// offsets are in their file, which is all that a stock broker knows of what was popped.
const WRITTEN_DOWN: Duration = Duration::from_millis(1_200);
/// What a stock client leaves to the next broker: the row's name, the stems of its scenarios'
/// names, and settings.
const PLAYS: [(&str, &str, &str); 8] = [
    ("light queues and lite topics, there and back and there", "lite light", LIGHT),
    ("inner batches, there and back and there", "batches", ""),
    ("compacted topics, there and back and there", "compactions", COMPACTED),
    ("undecided transactions, there and back and there", "halves", HALVES),
    ("messages that wait for their time, there and back and there", "timers", TIMERS),
    ("popped messages, there and back and there", "pops", ""),
    (FLIGHTS, "flights", HALVES),
    ("extended queues with the bits of filters, there and back and there", "filters", EXTENDED),
];
/// The play that has brokers killed by itself, while its client works.
const FLIGHTS: &str = "what is going on, there and back and there";
const PREPARED: i32 = 4;
const COMMIT: &str = "8";
const ROLLBACK: &str = "12";

/// Every hand-over whose row contains `only`, some of them at a time: each waits most of the time,
/// but for the starts of JVMs. What failed beside others is tried once more, alone.
/// Not `whole`: after kills, and one release also after clean stops, which ask less.
pub fn run(places: &Places, make: Make, (only, whole): (&str, bool), report: &mut Report) {
    let releases = [Release::V550, Release::V533, Release::V498].map(Hand::Release);
    // The longest first.
    let hands = releases.into_iter().chain(PLAYS.map(Hand::Play));
    let wanted = hands.filter(|hand| hand.row(make).contains(only));
    let both = |hand| match hand {
        Hand::Play((FLIGHTS, ..)) => false,
        Hand::Release(Release::V550) => true,
        _ => whole,
    };
    let all: Vec<(Hand, bool)> = wanted
        .flat_map(|hand| [(hand, true), (hand, false)])
        .filter(|(hand, crash)| *crash || both(*hand))
        .collect();
    let timed = |(hand, crash): (Hand, bool), attempt: u32| {
        let since = Instant::now();
        let found = hand.over(places, make, (crash, attempt)).map_err(|error| format!("{error:#}"));
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        say(&format!("{}, {}: {ms} ms, {found:?}", hand.row(make), column(crash)));
        (found, ms)
    };
    let found = side_by_side(&all, ABREAST, |one| timed(*one, 1));
    for (one, found) in all.into_iter().zip(found) {
        let (found, ms) = match found {
            Some((Ok(notes), ms)) => (Ok(notes), ms),
            Some((Err(why), _)) => {
                let (second, ms) = timed(one, 2);
                (second.map(|notes| format!("{notes}; at the second try, the first: {why}")), ms)
            }
            None => (Err("it panicked".to_owned()), 0),
        };
        report.add_check(column(one.1), &one.0.row(make), found, ms);
    }
}

/// How many of these go on at a time.
const ABREAST: usize = 3;

pub(crate) fn column(crash: bool) -> &'static str {
    if crash { KILLED } else { STOPPED }
}

/// What is handed over.
#[derive(Clone, Copy)]
enum Hand {
    /// A store with every kind of record, between ours and this release.
    Release(Release),
    /// What a stock client leaves.
    Play(Play),
}

impl Hand {
    fn row(self, make: Make) -> String {
        match self {
            Self::Release(release) => {
                let stock = Make::Java(release);
                format!("{stock} -> {make} -> {stock} -> {make}")
            }
            Self::Play((row, ..)) => row.to_owned(),
        }
    }

    fn over(self, places: &Places, make: Make, (crash, attempt): (bool, u32)) -> Result<String> {
        let end = if crash { "killed" } else { "stopped" };
        let stem = match self {
            Self::Release(release) => release.version(),
            Self::Play((_, stems, _)) => stems,
        };
        let stem = stem.replace(' ', "-");
        let directory = places.fresh(&format!("{stem}-{end}-{attempt}"))?;
        match self {
            Self::Release(release) => game(places, make, release, (crash, &directory)),
            Self::Play(play) => legs(places, make, play, (crash, &directory)),
        }
    }
}

type Play = (&'static str, &'static str, &'static str);

/// What a half message and its check take in the play with undecided ones.
const HALVES: &str = "transactionTimeOut=2000\ntransactionCheckInterval=1000\n\
                      transactionCheckMax=1000\ntransactionOpBatchInterval=100\n\
                      flushConsumerOffsetInterval=500\n";

/// Light queues, and offsets that are saved soon.
const LIGHT: &str = "enableLmq=true\nenableMultiDispatch=true\nflushConsumerOffsetInterval=500\n";

/// Small files, which are compacted soon.
const COMPACTED: &str = "compactionScheduleInternal=500\ncompactionMappedFileSize=27600\n\
                         compactionCqMappedFileSize=2300\n";

/// Units lead to what stands beside them in small files, with bits for groups that filter.
const EXTENDED: &str = "enableConsumeQueueExt=true\nenableCalcFilterBitMap=true\n\
                        enablePropertyFilter=true\nmappedFileSizeConsumeQueueExt=2048\n";

/// What waits for its time may be taken back, and is written down soon.
const TIMERS: &str = "recallMessageEnable=true\ntimerFlushIntervalMs=200\n";

/// Each broker goes on with what the other left to a stock client, and leaves some of its own.
fn legs(
    places: &Places,
    make: Make,
    (_, stems, settings): Play,
    (crash, directory): (bool, &Path),
) -> Result<String> {
    let stock = Make::Java(Release::V550);
    let mut cluster = Cluster::prepare(places, make, stock, directory)?;
    cluster.broker.set(settings);
    let mut crew = Crew::start(places, &[Kind::Java(Release::V550)], &cluster)?;
    let mut notes = Vec::new();
    for (leg, now) in [stock, make, stock, make].into_iter().enumerate() {
        cluster.broker.become_another(places, now)?;
        cluster.broker.start()?;
        let mut orders = vec![("write", leg)];
        if leg > 0 {
            orders.insert(0, ("read", leg - 1));
        }
        let each = orders.into_iter().flat_map(|order| stems.split(' ').map(move |s| (s, order)));
        for (stem, (what, of)) in each {
            let (scenario, prefix) = (format!("{stem}-{what}"), format!("{stem}-{crash}-{of}"));
            let outcome = crew.run_one(&scenario, &prefix, &mut cluster)?;
            let verdict = outcome.verdict;
            ensure!(verdict == Verdict::Pass, "leg {leg}, {now}: {scenario}: {verdict:?}");
            notes.push(outcome.notes);
        }
        if crash {
            // A stock broker that finds what was stored last in no index, and all before it in a
            // checkpoint, puts the keys of the last message that is in the index once more.
            std::thread::sleep(WRITTEN_DOWN);
            cluster.broker.kill();
        } else {
            cluster.broker.stop()?;
        }
        if settings == EXTENDED {
            notes.push(extended(&cluster.broker.store()).with_context(|| format!("leg {leg}"))?);
        }
    }
    cluster.namesrv.stop()?;
    notes.retain(|note| !note.is_empty());
    Ok(notes.join(", "))
}

/// How many units have an address, all of which lead to what stands there with bits; the last unit
/// has one.
fn extended(store: &Path) -> Result<String> {
    let entries = records::extended(&store.join("consumequeue_ext"))?;
    let (mut with, mut all) = (0, 0);
    for (name, units) in records::queues(&store.join("consumequeue"))? {
        let Some((entries, _)) = entries.get(&name).filter(|_| name.0.ends_with("-t")) else {
            continue;
        };
        let known: BTreeMap<_, _> = entries.iter().map(|(at, .., bits)| (at, bits)).collect();
        let is_address = |code: i64| code <= records::ADDRESS_MAX;
        ensure!(units.last().is_some_and(|(.., code)| is_address(*code)), "the last has none");
        for (at, _, code) in units.iter().filter(|(.., code)| is_address(*code)) {
            let bits =
                known.get(code).with_context(|| format!("the unit of {at} leads nowhere"))?;
            ensure!(!bits.is_empty(), "the unit of {at} has no bits");
            with += 1;
        }
        all += units.len();
    }
    ensure!(with > 0, "no unit has an address");
    Ok(format!("{with} of {all} extended"))
}

/// Every kind of record. The stock client takes part where brokers are killed.
fn game(
    places: &Places,
    make: Make,
    release: Release,
    (crash, directory): (bool, &Path),
) -> Result<String> {
    let stock = Make::Java(release);
    let mut cluster = Cluster::prepare(places, make, stock, directory)?;
    let mut crew = match crash {
        true => Some(Crew::start(places, &[Kind::Java(Release::V550)], &cluster)?),
        false => None,
    };
    let mut game = Game::new(places, (&mut cluster, crew.as_mut()), release);
    let notes = game.play([stock, make, stock, make])?;
    cluster.namesrv.stop()?;
    Ok(notes)
}

/// A half message: its id, its place in the half topic and in the log.
struct Half {
    id: String,
    queue_offset: String,
    log_offset: String,
}

struct Game<'a> {
    places: &'a Places,
    cluster: &'a mut Cluster,
    /// The stock client, where brokers are killed.
    crew: Option<&'a mut Crew>,
    release: Release,
    crash: bool,
    ledger: Ledger,
    halves: Vec<Half>,
}

impl<'a> Game<'a> {
    fn new(
        places: &'a Places,
        (cluster, crew): (&'a mut Cluster, Option<&'a mut Crew>),
        release: Release,
    ) -> Self {
        let mut ledger = Ledger::default();
        ledger.with_attributes = release != Release::V498;
        let crash = crew.is_some();
        Self { places, cluster, crew, release, crash, ledger, halves: Vec::new() }
    }

    fn play(&mut self, makes: [Make; 4]) -> Result<String> {
        for (leg, make) in makes.into_iter().enumerate() {
            self.leg(leg, make).with_context(|| format!("leg {leg}, {make}"))?;
        }
        let twice = self.ledger.most_times();
        ensure!(self.crash || twice == 1, "a delayed message came {twice} times");
        Ok(format!("{} messages, delayed ones at most {twice} times", self.ledger.len()))
    }

    fn leg(&mut self, leg: usize, make: Make) -> Result<()> {
        if leg > 0 {
            self.cluster.broker.become_another(self.places, make)?;
        }
        let pick = |wanted, text: &'static str| if wanted { text } else { "" };
        let sealed = pick(leg == 1 || leg == 2, SEALED);
        let (small, sixth) = (pick(!self.crash, SMALL), pick(!self.crash && leg >= 2, SIXTH));
        self.cluster.broker.set(&[LISTEN, sealed, small, sixth].concat());
        let since = Instant::now();
        self.cluster.broker.start()?;
        let started = since.elapsed().as_millis();
        let address = self.cluster.broker.address();
        let raw = &mut Raw::open(address)?;
        if leg > 0 {
            self.ledger.look(raw, true).context("reading what was there")?;
            self.ledger.ask(raw).context("asking for what was there")?;
            self.client("store-read", leg - 1)?;
        }
        let read = since.elapsed().as_millis();
        self.client("store-write", leg)?;
        self.write(raw, leg)?;
        let mut sixth = Raw::open(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()))
            .context("over IPv6")?;
        self.sent(&mut sixth, &Letter::new("pp-six", &format!("UNIQ_KEY^six{leg}~"), "over IPv6"))?;
        // Before the half messages: 4.9 throws their queue away with any topic that is deleted,
        // while nobody has asked for their topic yet.
        self.topics_and_groups(raw, leg)?;
        self.transactions(raw, leg)?;
        self.positions(raw, leg)?;
        // What the legs before left to come is here by now; of this one only the shortest level.
        self.ledger.await_coming(raw, now_ms() + LEVELS[0].1)?;
        self.ledger.look(raw, false)?;
        self.ledger.ask(raw)?;
        let wrote = since.elapsed().as_millis();
        if self.crash {
            await_positions(&self.cluster.broker, &self.ledger)?;
            self.cluster.broker.kill();
        } else {
            self.cluster.broker.stop()?;
        }
        let ended = since.elapsed().as_millis();
        say(&format!(
            "  leg {leg}, {make}: started {started}, read {read}, wrote {wrote}, ended {ended} ms"
        ));
        Ok(())
    }

    /// A scenario of the stock client under the name of one leg.
    fn client(&mut self, scenario: &str, leg: usize) -> Result<()> {
        let Some(crew) = &mut self.crew else { return Ok(()) };
        let prefix = format!("client-{}-{leg}", self.release.version().replace('.', ""));
        let outcome = crew.run_one(scenario, &prefix, self.cluster)?;
        ensure!(outcome.verdict == Verdict::Pass, "{scenario}: {:?}", outcome.verdict);
        Ok(())
    }

    fn write(&mut self, raw: &mut Raw, leg: usize) -> Result<()> {
        for letter in kinds(leg) {
            self.sent(raw, &letter)?;
        }
        let parts = [
            batched(0, &format!("UNIQ_KEY^b{leg}-0~KEYS^in-batch~"), b"first"),
            batched(-7, &format!("UNIQ_KEY^b{leg}-1~TAGS^t"), b"second"),
            batched(1, "", b"third"),
        ];
        raw.send(&Letter::new("pp-kinds", "WAIT^true~", parts.concat()), true)?;
        for (level, ms) in LEVELS {
            let id = format!("d{leg}-{level}");
            let letter =
                Letter::new("pp-delay", &format!("UNIQ_KEY^{id}~DELAY^{level}~"), id.as_str());
            let due = now_ms() + ms;
            raw.send(&letter, false)?;
            self.ledger.expect("pp-delay", &id, due, &letter.body);
        }
        let later = format!("UNIQ_KEY^h{leg}~DELAY^18~KEYS^much-later~");
        raw.send(&Letter::new("pp-delay", &later, "in two hours"), false)?;
        self.give_back(raw, leg)
    }

    /// Sends a message and sees that it stands in the log as it was sent.
    fn sent(&mut self, raw: &mut Raw, letter: &Letter) -> Result<i64> {
        let answer = raw.send(letter, false)?;
        let place = raw::log_offset(&answer)?;
        let record = raw.by_log_offset(place)?;
        let got = (record.topic.as_str(), record.queue_id, record.born_ms, &record.body);
        let wanted = (letter.topic.as_str(), letter.queue_id, letter.born_ms, &letter.body);
        ensure!(got == wanted, "sent {wanted:?}, stored {got:?}");
        ensure!(record.sys_flag & !0x30 == letter.sys_flag, "sys flag {:x}", record.sys_flag);
        let table = record.table();
        for pair in letter.properties.split('\u{2}').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('\u{1}').context("a pair")?;
            ensure!(table.get(key).is_some_and(|got| got == value), "{record:?} lacks {key}");
        }
        Ok(place)
    }

    /// What a consumer does with messages it could not use: some come again, one is given up.
    fn give_back(&mut self, raw: &mut Raw, leg: usize) -> Result<()> {
        let group = "pp-retries";
        let text =
            format!("{{\"groupName\":\"{group}\",\"retryQueueNums\":1,\"retryMaxTimes\":16}}");
        raw.must(200, &[], text.as_bytes())?;
        for level in [1, 3, -1] {
            let id = format!("r{leg}-{level}");
            let letter =
                Letter::new("pp-kinds", &format!("UNIQ_KEY^{id}~KEYS^back{leg}~"), id.as_str());
            let offset = self.sent(raw, &letter)?.to_string();
            let text = level.to_string();
            let due = now_ms();
            let fields = [
                ("offset", offset.as_str()),
                ("group", group),
                ("delayLevel", &text),
                ("originMsgId", &id),
                ("originTopic", "pp-kinds"),
                ("unitMode", "false"),
                ("maxReconsumeTimes", "16"),
            ];
            raw.must(36, &fields, &[])?;
            if let Some((_, ms)) = LEVELS.iter().find(|(number, _)| *number == level) {
                self.ledger.expect(&format!("%RETRY%{group}"), &id, due + ms, &letter.body);
            }
        }
        Ok(())
    }

    /// Half messages: three are left to the next broker, which finishes two of those it finds.
    fn transactions(&mut self, raw: &mut Raw, leg: usize) -> Result<()> {
        let old: Vec<Half> = self.halves.drain(..).collect();
        for (half, how) in old.iter().zip([COMMIT, ROLLBACK]) {
            let fields = [
                ("topic", "pp-tx"),
                ("producerGroup", "pp-producers"),
                ("tranStateTableOffset", half.queue_offset.as_str()),
                ("commitLogOffset", half.log_offset.as_str()),
                ("commitOrRollback", how),
                ("fromTransactionCheck", "false"),
                ("msgId", half.id.as_str()),
                ("transactionId", half.id.as_str()),
            ];
            raw.must(37, &fields, &[]).context("finishing a half message")?;
        }
        if let Some(half) = old.first() {
            let body = half.id.clone();
            raw.await_end(("pp-tx", 0), i64::try_from(leg)?, Duration::from_secs(5))?;
            let found = raw.pull("pp-tx", 0, 0)?;
            let committed = found.iter().any(|record| record.body == body.as_bytes());
            ensure!(committed && found.len() == leg, "committed {body}, found {found:?}");
        }
        for number in 0..3 {
            let id = format!("half{leg}-{number}");
            let properties =
                format!("UNIQ_KEY^{id}~TRAN_MSG^true~PGROUP^pp-producers~KEYS^{id}-key~");
            let mut letter = Letter::new("pp-tx", &properties, id.as_str());
            (letter.sys_flag, letter.born_ms) = (PREPARED, now_ms());
            let answer = raw.send(&letter, false)?;
            let text = |key: &str| answer.fields[key].as_str().unwrap_or_default().to_owned();
            let log_offset = raw::log_offset(&answer)?.to_string();
            self.halves.push(Half { id, queue_offset: text("queueOffset"), log_offset });
        }
        Ok(())
    }

    /// Positions of two groups, of one of which they are set back.
    fn positions(&mut self, raw: &mut Raw, leg: usize) -> Result<()> {
        let step = i64::try_from(leg)?;
        for group in ["pp-readers", "pp-reset"] {
            raw.must(200, &[], format!("{{\"groupName\":\"{group}\"}}").as_bytes())?;
        }
        let set = |raw: &mut Raw, group: &str, queue: i32, offset: i64| -> Result<()> {
            let (queue, offset) = (queue.to_string(), offset.to_string());
            let fields = [
                ("consumerGroup", group),
                ("topic", "pp-kinds"),
                ("queueId", queue.as_str()),
                ("commitOffset", offset.as_str()),
            ];
            raw.must(15, &fields, &[]).map(drop)
        };
        for queue in 0..3 {
            let offset = 1 + step * 2 + i64::from(queue);
            set(raw, "pp-readers", queue, offset)?;
            self.ledger.position("pp-readers", "pp-kinds", queue, offset);
        }
        set(raw, "pp-reset", 0, 3 + step)?;
        let fields = [
            ("topic", "pp-kinds"),
            ("group", "pp-reset"),
            ("timestamp", "0"),
            ("isForce", "true"),
            ("queueId", "0"),
            ("offset", "1"),
        ];
        // 4.9 resets consumers that are online only.
        let reset = raw.ask(222, &fields, &[])?.code == 0;
        if self.release == Release::V498 && !reset {
            set(raw, "pp-reset", 0, 1)?;
        } else {
            ensure!(reset, "a reset is refused");
        }
        let fields = [("consumerGroup", "pp-reset"), ("topic", "pp-kinds"), ("queueId", "0")];
        let found = raw.must(14, &fields, &[])?.fields["offset"].clone();
        let found: i64 = found.as_str().context("no offset")?.parse()?;
        ensure!(found <= 1, "the reset group stands at {found}");
        self.ledger.position("pp-reset", "pp-kinds", 0, found);
        Ok(())
    }

    fn topics_and_groups(&mut self, raw: &mut Raw, leg: usize) -> Result<()> {
        let gone = format!("pp-gone-{leg}");
        raw.send(&Letter::new(&gone, &format!("UNIQ_KEY^gone{leg}~"), "gone"), false)?;
        // A stock broker crashes when a queue is deleted while its first message comes to it.
        raw.await_end((&gone, 0), 1, Duration::from_secs(5))?;
        raw.must(215, &[("topic", gone.as_str())], &[])?;
        self.ledger.is_gone(&gone);
        let (name, queues) = (format!("pp-conf-{leg}"), (leg + 2).to_string());
        let mut fields = vec![
            ("readQueueNums", queues.as_str()),
            ("writeQueueNums", "3"),
            ("perm", if leg == 1 { "4" } else { "6" }),
            ("order", if leg == 2 { "true" } else { "false" }),
        ];
        if self.ledger.with_attributes {
            fields.push(("attributes", "+message.type=FIFO"));
        }
        raw.make_topic(&name, &fields)?;
        let text = format!(
            "{{\"groupName\":\"pp-group-{leg}\",\"consumeEnable\":{},\
             \"consumeBroadcastEnable\":false,\"consumeFromMinEnable\":false,\
             \"retryQueueNums\":{},\"retryMaxTimes\":{},\"brokerId\":0,\
             \"whichBrokerWhenConsumeSlowly\":1,\"notifyConsumerIdsChangedEnable\":true}}",
            leg != 1,
            leg + 1,
            leg + 3
        );
        raw.must(200, &[], text.as_bytes()).map(drop)
    }
}

/// One of each kind that is a message by itself.
fn kinds(leg: usize) -> Vec<Letter> {
    let letter = |number: usize, properties: &str| {
        let properties = format!("UNIQ_KEY^u{leg}-{number}~{properties}");
        let mut letter = Letter::new("pp-kinds", &properties, format!("body {leg} {number}"));
        letter.queue_id = i32::try_from(number % 3).unwrap_or_default();
        letter
    };
    let mut all: Vec<Letter> = ["", "TAGS^TagA~", "KEYS^k1 k2 leg~TAGS^größe~", "A^b", "A^b^c~"]
        .into_iter()
        .enumerate()
        .map(|(number, properties)| letter(number, properties))
        .collect();
    for (number, sys_flag) in [1, 0x101, 0x201, 0x301].into_iter().enumerate() {
        all.push(Letter { sys_flag, ..letter(10 + number, "") });
    }
    all.push(Letter { flag: -1, reconsume_times: 3, born_ms: 1, ..letter(20, "") });
    all.push(Letter { body: vec![0; 300_000], ..letter(21, "KEYS^zeros~") });
    let long = format!("pp-{}", "l".repeat(124));
    all.push(Letter { topic: long, queue_id: 0, ..letter(22, "KEYS^long~") });
    all.push(Letter { topic: format!("pp-leg-{leg}"), queue_id: 0, ..letter(23, "") });
    all
}

/// Waits until the positions are in the file: neither broker promises them earlier.
fn await_positions(broker: &Server, ledger: &Ledger) -> Result<()> {
    let since = Instant::now();
    let file = broker.store().join("config/consumerOffset.json");
    let wanted = ledger.position_table();
    while positions_in(&file) != wanted {
        ensure!(since.elapsed() < SAVED, "{} lacks some of {wanted:?}", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The positions of this part's groups in a broker's file, as far as it can be read.
fn positions_in(file: &Path) -> BTreeMap<String, BTreeMap<String, i64>> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let table = loose_json::parse(&text).ok();
    let table = table.as_ref().and_then(|all| all["offsetTable"].as_object());
    let queues = |queues: &Value| {
        let queues = queues.as_object().into_iter().flatten();
        queues.map(|(queue, at)| (queue.clone(), at.as_i64().unwrap_or(-1))).collect()
    };
    let ours = table.into_iter().flatten().filter(|(name, _)| name.starts_with("pp-kinds@pp-"));
    ours.map(|(name, all)| (name.clone(), queues(all))).collect()
}
