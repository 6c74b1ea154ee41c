//! One script of raw requests, sent to the stock servers and to ours; every answer compared.
//!
//! Compared are the code, whether there is a remark, the fields and the body, after clocks,
//! addresses and ports are made equal. A difference fails unless diff/allowed.txt explains it.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::jars::Release;
use crate::loose_json;
use crate::places::Places;
use crate::report::Report;
use crate::server::Make;
use crate::wire::{Answer, Line};

const PATIENCE: Duration = Duration::from_secs(4);
/// The longest that a stock server may take for what it does in its own time.
const SETTLED: Duration = Duration::from_secs(5);
const TOPIC: &str = "diff-topic-a";
const GROUP: &str = "diff-group-a";
const GET_BROKER_RUNTIME_INFO: i32 = 28;
/// Requests that put messages into the log: sends, one sent back, an end of a transaction, pops,
/// acknowledgements and changes of their time, recalls.
const STORING: [i32; 10] = [10, 36, 37, 310, 320, 370, 200_050, 200_051, 200_053, 200_151];
const COLUMN: &str = "same answer";
/// There are light queues, and with them lite topics.
const LIGHT: &str = "enableLmq=true\nenableMultiDispatch=true\n";

/// A line of the script.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    to_namesrv: bool,
    only_as_it_is: bool,
    /// The stock server does later what it was asked before: its answer may need a while.
    settles: bool,
    /// How its header is written, if not as Java does.
    loosely: Option<Loosely>,
    code: i32,
    name: String,
    fields: Vec<(String, String)>,
    body: String,
}

/// What fastjson takes that no standard knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loosely {
    /// Texts in single quotes.
    Quotes,
    /// Comments at both ends.
    Comments,
    /// Numbers with a letter for their type.
    Types,
    /// A comma behind the last member.
    Comma,
}

impl Loosely {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "'" => Self::Quotes,
            "/*" => Self::Comments,
            "7L" => Self::Types,
            "," => Self::Comma,
            _ => return None,
        })
    }

    fn write(self, header: &str) -> String {
        match self {
            Self::Quotes => header.replace('"', "'"),
            Self::Comments => format!("/*a*/{}/*c*/ //d", header.replace('{', "{/*b*/")),
            Self::Types => header.replace("\"flag\":0", "\"flag\":0L"),
            Self::Comma => header.replace('}', ",}"),
        }
    }
}

/// An answer made comparable, or why there is none.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    code: Value,
    remark: bool,
    fields: Value,
    body: Value,
}

/// Runs the script against both and reports one row for each request.
///
/// # Errors
/// A server does not start, or the script cannot be read.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) -> Result<()> {
    let directory = places.clients.join("../diff");
    let allowed = Allowed::read(&directory.join("allowed.txt"))?;
    let script = fs::read_to_string(directory.join("requests.txt"))?;
    let script: Vec<Request> = script
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| parse(line).with_context(|| line.to_owned()))
        .collect::<Result<_>>()?;
    let stock = Make::Java(Release::V550);
    let mut theirs = Side::start(places, stock, "theirs")?;
    let mut ours = Side::start(places, make, "ours")?;
    let mut found: Vec<Vec<String>> = vec![Vec::new(); script.len()];
    // The stock servers take some requests with a field missing, after which the states differ:
    // those come last, and only their codes and remarks are compared.
    for spoilt in [false, true] {
        for (request, found) in script.iter().zip(&mut found) {
            let variants = if spoilt { spoilt_ones(request) } else { whole_ones(request) };
            for (variant, sent) in variants {
                let ours = ours.ask(&sent)?;
                let mut new = compare(&theirs.ask(&sent)?, &ours, spoilt);
                if STORING.contains(&sent.code) {
                    theirs.dispatched()?;
                }
                let since = Instant::now();
                while request.settles && !new.is_empty() && since.elapsed() < SETTLED {
                    std::thread::sleep(Duration::from_millis(20));
                    new = compare(&theirs.ask(&sent)?, &ours, spoilt);
                }
                if !new.is_empty() && !allowed.explains(request, &variant, &new) {
                    found.push(format!("{variant}: {}", new.join(", ")));
                }
            }
        }
    }
    for (request, found) in script.iter().zip(found) {
        let server = if request.to_namesrv { "namesrv" } else { "broker" };
        let row = format!("{server} {} {}", request.code, request.name);
        if row.contains(only) {
            let found = if found.is_empty() { Ok(String::new()) } else { Err(found.join("; ")) };
            report.add_check(COLUMN, &row, found, 0);
        }
    }
    theirs.cluster.stop()?;
    ours.cluster.stop()
}

fn was_closed(error: &anyhow::Error) -> bool {
    let io = error.root_cause().downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() != std::io::ErrorKind::WouldBlock)
}

fn parse(line: &str) -> Result<Request> {
    let (head, body) = line.split_once(" body=").unwrap_or((line, ""));
    let mut words = head.split_whitespace().peekable();
    let to_namesrv = match words.next() {
        Some("broker") => false,
        Some("namesrv") => true,
        other => bail!("whom is it for? {other:?}"),
    };
    let settles = words.next_if_eq(&"?").is_some();
    let only_as_it_is = words.next_if_eq(&"!").is_some() || settles;
    let loosely = words.peek().and_then(|word| Loosely::of(word));
    words.next_if(|_| loosely.is_some());
    let code = words.next().context("no code")?.parse()?;
    let name = words.next().context("no name")?.to_owned();
    let mut fields = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=').context("a field without =")?;
        let value = value.replace('^', "\u{1}").replace('~', "\u{2}").replace('`', " ");
        let value = value.replace("\\0", "\0");
        fields.push((key.to_owned(), value));
    }
    let body = bytes_of(body)?;
    Ok(Request { to_namesrv, only_as_it_is, settles, loosely, code, name, fields, body })
}

/// A body as it is sent: what stands behind `\x` is a byte below 80 in two digits.
fn bytes_of(text: &str) -> Result<String> {
    let mut parts = text.split("\\x");
    let mut body = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).context("a byte has two digits")?;
        let byte = u8::from_str_radix(digits, 16)?;
        ensure!(byte.is_ascii(), "a byte of a body is below 80: {digits}");
        body.push(char::from(byte));
        body.push_str(rest);
    }
    Ok(body)
}

/// The request itself, and with names that nobody has.
fn whole_ones(request: &Request) -> Vec<(String, Request)> {
    let mut all = vec![("as it is".to_owned(), request.clone())];
    if request.only_as_it_is {
        return all;
    }
    for (place, (key, _)) in request.fields.iter().enumerate() {
        let (what, value) = match key.as_str() {
            "topic" | "b" => ("unknown", "diff-unknown-topic"),
            "consumerGroup" | "group" => ("unknown", "diff-unknown-group"),
            "queueId" | "e" => ("99", "99"),
            _ => continue,
        };
        let mut other = request.clone();
        value.clone_into(&mut other.fields[place].1);
        all.push((format!("{key} {what}"), other));
    }
    all
}

/// The request without each of its fields, and with each number spoilt.
fn spoilt_ones(request: &Request) -> Vec<(String, Request)> {
    let mut all = Vec::new();
    if request.only_as_it_is {
        return all;
    }
    for (place, (key, value)) in request.fields.iter().enumerate() {
        let mut missing = request.clone();
        missing.fields.remove(place);
        all.push((format!("without {key}"), missing));
        if value.parse::<i64>().is_ok() {
            let mut other = request.clone();
            "many".clone_into(&mut other.fields[place].1);
            all.push((format!("{key} no number"), other));
        }
    }
    all
}

/// One name server and broker, asked over one connection each.
struct Side {
    name: &'static str,
    cluster: Cluster,
    lines: [Option<Line>; 2],
    first_id: String,
    last: Stored,
    /// The data version of the table that came last.
    version: String,
}

/// What the last answer said that told where a message stands.
#[derive(Debug, Default)]
struct Stored {
    /// Its place in the log.
    log_offset: String,
    /// Its place in its queue.
    queue_offset: String,
    /// What takes it back.
    handle: String,
}

impl Stored {
    fn of(answer: &Answer) -> Option<Self> {
        let text = |key: &str| answer.fields.get(key).and_then(Value::as_str);
        let id = text("msgId")?;
        let place = id.get(id.len().checked_sub(16)?..)?;
        Some(Self {
            log_offset: u64::from_str_radix(place, 16).ok()?.to_string(),
            queue_offset: text("queueOffset").unwrap_or_default().to_owned(),
            handle: text("recallHandle").unwrap_or_default().to_owned(),
        })
    }
}

impl Side {
    fn start(places: &Places, make: Make, name: &'static str) -> Result<Self> {
        let mut cluster = Cluster::prepare(places, make, make, &places.fresh(name)?)?;
        cluster.broker.set(LIGHT);
        cluster.broker.start()?;
        Ok(Self {
            name,
            cluster,
            lines: [None, None],
            first_id: String::new(),
            last: Stored::default(),
            version: String::new(),
        })
    }

    fn address(&self, to_namesrv: bool) -> SocketAddr {
        let server = if to_namesrv { &self.cluster.namesrv } else { &self.cluster.broker };
        server.address()
    }

    /// Waits until what a stock broker was sent stands in its queues and its index: it answers a
    /// send before that.
    fn dispatched(&self) -> Result<()> {
        let mut line = Line::open(self.address(false), PATIENCE)?;
        let since = Instant::now();
        loop {
            let answer = line.ask(GET_BROKER_RUNTIME_INFO, &[], b"")?;
            let said = String::from_utf8_lossy(&answer.body);
            // Java escapes no text, and writes values that fastjson alone reads.
            if said.contains("\"dispatchBehindBytes\":\"0\"") {
                return Ok(());
            }
            ensure!(since.elapsed() < SETTLED, "the stock broker is behind: {answer:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A connection that closes each time or stays silent is an answer of its own kind.
    fn ask(&mut self, request: &Request) -> Result<Seen> {
        let address = self.address(request.to_namesrv);
        let place = usize::from(request.to_namesrv);
        let fill = |text: &str| {
            let text = text.replace("$ID", &self.first_id).replace("$B", &address.to_string());
            let Stored { log_offset, queue_offset, handle } = &self.last;
            let text = text.replace("$LOG", log_offset).replace("$QUEUE", queue_offset);
            let text = text.replace("$HANDLE", handle).replace("$VERSION", &self.version);
            text.replace("$T", TOPIC).replace("$G", GROUP)
        };
        let fields: Vec<(String, String)> =
            request.fields.iter().map(|(key, value)| (key.clone(), fill(value))).collect();
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let body = fill(&request.body);
        let asked = (request.code, &fields[..], body.as_bytes());
        let written = |header: &str| match request.loosely {
            Some(loosely) => loosely.write(header),
            None => header.to_owned(),
        };
        let mut line = match self.lines[place].take() {
            Some(line) => line,
            None => Line::open(address, PATIENCE)?,
        };
        let mut answer = line.ask_as(asked, written);
        if answer.as_ref().is_err_and(was_closed) {
            // Perhaps not for this request: a client that said nothing of itself for two minutes
            // loses its connection, on a slow machine in the middle of the script.
            line = Line::open(address, PATIENCE)?;
            answer = line.ask_as(asked, written);
        }
        match answer {
            Ok(answer) => {
                self.lines[place] = Some(line);
                if self.first_id.is_empty()
                    && let Some(id) = answer.fields.get("msgId").and_then(Value::as_str)
                {
                    id.clone_into(&mut self.first_id);
                }
                if let Some(last) = Stored::of(&answer) {
                    self.last = last;
                }
                if let Some(version) = version_of(&answer.body) {
                    self.version = version;
                }
                Ok(self.seen(request.code, &answer))
            }
            Err(error) => Ok(Seen {
                code: json!(format!("no answer: {}", error.root_cause())),
                remark: false,
                fields: Value::Null,
                body: Value::Null,
            }),
        }
    }

    fn seen(&self, code: i32, answer: &Answer) -> Seen {
        let fields = Value::Object(answer.fields.clone());
        let remark = answer.remark.as_deref().is_some_and(|text| !text.is_empty());
        let mut body = self.body(&answer.body);
        if code == GET_BROKER_RUNTIME_INFO
            && let Some(table) = body["table"].as_object_mut()
        {
            // Measured values: only which there are can be the same.
            table.values_mut().for_each(|value| *value = Value::Null);
        }
        Seen { code: json!(answer.code), remark, fields: self.plain(&fields), body }
    }

    /// JSON becomes a value, properties the set of their keys, other bytes their length.
    fn body(&self, bytes: &[u8]) -> Value {
        if bytes.is_empty() {
            return Value::Null;
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return json!(format!("{} bytes", bytes.len()));
        };
        if let Ok(value) = loose_json::parse(text) {
            return self.plain(&value);
        }
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let keys: Option<BTreeSet<&str>> =
            lines.map(|line| line.split_once('=').map(|(key, _)| key)).collect();
        keys.map_or_else(|| json!(format!("{} bytes", bytes.len())), |keys| json!(keys))
    }

    /// Without what differs from run to run: times, rates of the last seconds, ports, data
    /// versions, the ids that hold them.
    fn plain(&self, value: &Value) -> Value {
        match value {
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| {
                    let value = match key.as_str() {
                        "dataVersion" | "mappingDataVersion" => json!("version"),
                        rate if rate.ends_with("Tps") => json!("rate"),
                        "clientAddr" => json!("peer"),
                        // What was counted before the last sample, which either takes in its time.
                        "sum" | "tps" | "avgpt" => json!("count"),
                        _ => self.plain(value),
                    };
                    (self.text(key), value)
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Array(list) => {
                let mut list: Vec<Value> = list.iter().map(|one| self.plain(one)).collect();
                list.sort_by_key(Value::to_string);
                list.into()
            }
            Value::String(text) => {
                if is_time(text) {
                    return json!("time");
                }
                if text.starts_with("/127.0.0.1:") {
                    return json!("peer");
                }
                if text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return json!(self.text(text).replace(text, "id"));
                }
                match loose_json::parse(text) {
                    Ok(inner) if inner.is_object() => self.plain(&inner),
                    _ => json!(self.text(text)),
                }
            }
            Value::Number(number) if is_time(&number.to_string()) => json!("time"),
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        let (broker, names) = (self.address(false), self.address(true));
        let hex = format!("{:08X}", broker.port());
        let text = text.replace(&broker.to_string(), "BROKER").replace(&names.to_string(), "NAMES");
        let ha = format!("127.0.0.1:{}", broker.port() + 1);
        let text = text.replace(&format!("/{}/", self.name), "/SIDE/");
        let text = text.replace(&ha, "HA").replace(&format!("7F000001{hex}"), "BROKER");
        // What is delivered later comes when it comes, and moves the places in the log: the suite
        // of same bytes compares those.
        let mut ids = text.split(',').filter_map(|id| id.strip_prefix("BROKER"));
        let are_ids = ids.clone().count() == text.split(',').count()
            && ids.all(|at| at.len() == 16 && at.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if are_ids { vec!["an id of BROKER"; text.split(',').count()].join(",") } else { text }
    }
}

/// The version of a table that this is.
fn version_of(body: &[u8]) -> Option<String> {
    let table = loose_json::parse(std::str::from_utf8(body).ok()?).ok()?;
    table.get("dataVersion").map(Value::to_string)
}

/// Milliseconds of this century in thirteen digits, or the date that tools print.
fn is_time(text: &str) -> bool {
    if text.len() == 23 && text.as_bytes()[10] == b'#' {
        return true;
    }
    text.len() == 13 && text.starts_with('1') && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn compare(theirs: &Seen, ours: &Seen, spoilt: bool) -> Vec<String> {
    let mut found = Vec::new();
    if theirs.code != ours.code {
        found.push(format!("code {} here {}", theirs.code, ours.code));
        return found;
    }
    if theirs.remark != ours.remark {
        found.push(format!("remark {} here {}", theirs.remark, ours.remark));
    }
    if spoilt {
        return found;
    }
    differ("field", &theirs.fields, &ours.fields, &mut found);
    differ("body", &theirs.body, &ours.body, &mut found);
    found
}

/// Names the places where two values differ, the first few of them.
fn differ(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    const MOST: usize = 8;
    if theirs == ours || found.len() >= MOST {
        return;
    }
    if let (Value::Object(theirs), Value::Object(ours)) = (theirs, ours) {
        let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for key in keys {
            let (left, right) = (theirs.get(key), ours.get(key));
            let none = Value::Null;
            differ(&format!("{path}.{key}"), left.unwrap_or(&none), right.unwrap_or(&none), found);
        }
        return;
    }
    if let (Value::Array(theirs), Value::Array(ours)) = (theirs, ours) {
        let lacks: Vec<&Value> = theirs.iter().filter(|one| !ours.contains(one)).collect();
        let extra: Vec<&Value> = ours.iter().filter(|one| !theirs.contains(one)).collect();
        found.push(format!(
            "{path} lacks {} and adds {}",
            short(&json!(lacks)),
            short(&json!(extra))
        ));
        return;
    }
    found.push(format!("{path} {} here {}", short(theirs), short(ours)));
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 200;
    let text = value.to_string();
    text.chars().take(LONGEST).collect()
}

/// Differences that are meant, one a line: "CODE | variant | difference | reason".
struct Allowed(Vec<[String; 4]>);

impl Allowed {
    fn read(path: &Path) -> Result<Self> {
        Self::parse(&fs::read_to_string(path)?).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
            let Ok(cells) = <[String; 4]>::try_from(cells) else {
                bail!("four cells wanted: {line}");
            };
            ensure!(!cells[3].is_empty(), "no reason: {line}");
            lines.push(cells);
        }
        Ok(Self(lines))
    }

    /// Whether every difference found is meant.
    fn explains(&self, request: &Request, variant: &str, found: &[String]) -> bool {
        let row = format!("{}: {variant}", request.name);
        found.iter().all(|difference| {
            self.0.iter().any(|[code, place, part, _]| {
                *code == request.code.to_string()
                    && (*place == row || variant.contains(place.as_str()))
                    && is_meant(part, difference)
            })
        })
    }
}

/// Two codes are meant as they stand; of any other difference a part is enough.
fn is_meant(part: &str, difference: &str) -> bool {
    if difference.starts_with("code ") { difference == part } else { difference.contains(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_explained(allowed: &str, row: &str, variant: &str, difference: &str) -> bool {
        let allowed = Allowed::parse(allowed).expect("four cells");
        let request = parse(row).expect("a request");
        allowed.explains(&request, variant, &[difference.to_owned()])
    }

    #[test]
    fn an_allowed_code_is_that_code_alone() {
        let meant = |line: &str, difference: &str| {
            is_explained(line, "broker 11 PULL", "as it is", difference)
        };
        assert!(meant("11 | as it is | code 0 here 2 | why", "code 0 here 2"));
        assert!(!meant("11 | as it is | code 0 here 2 | why", "code 0 here 23"));
        assert!(!meant("11 | as it is | code 0 here 2 | why", "code 10 here 2"));
        assert!(!meant("11 | as it is | here 2 | why", "code 0 here 2"));
        assert!(!meant("11 | as it is | code 0 here 2 | why", "body.a 0 here 2"));
        assert!(!meant("12 | as it is | code 0 here 2 | why", "code 0 here 2"));
    }

    #[test]
    fn a_named_row_is_that_row_alone() {
        let meant = |place: &str, row: &str, variant: &str| {
            let line = format!("11 | {place} | body | why");
            is_explained(&line, row, variant, "body.a 1 here 2")
        };
        assert!(meant("PULL: as it is", "broker 11 PULL", "as it is"));
        assert!(!meant("PULL: as it is", "broker 11 PULL", "without topic"));
        assert!(!meant("PULL: as it is", "broker 11 LITE_PULL", "as it is"));
        assert!(!meant("PULL: as it is", "broker 11 PULL_ALL", "as it is"));
        assert!(meant("without", "broker 11 PULL_ALL", "without topic"));
        assert!(meant("", "broker 11 PULL_ALL", "without topic"));
    }
}
