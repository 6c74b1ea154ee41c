//! One script of requests and what the stock name server 5.5.0 answered to it, line by line in
//! `tests/golden/java-5.5.0.jsonl`: every code, with good, missing and wrong fields, in an order
//! that takes the route table through its states.
//!
//! A line is a request and its `answer`; lists are sorted, since Java's order is that of a hash.
//! `ours` is our code where it differs, as docs/differences.md says. Not here: code 319, whose
//! text depends on the machine.

use crate::shell::{Folder, Running, settings};
use remoting::codes::RequestCode;
use remoting::command::Command;
use remoting::json;
use serde_json::{Map, Value};

const SCRIPT: &str = include_str!("../golden/java-5.5.0.jsonl");

fn request(line: &Value) -> Command {
    let code = line["code"].as_i64().unwrap() as i32;
    let mut request = Command::request(RequestCode(code));
    for (key, value) in line["fields"].as_object().into_iter().flatten() {
        request.fields.push(key.clone(), value.as_str().unwrap());
    }
    request.with_body(line["body"].as_str().unwrap_or_default().to_owned())
}

/// Lists in order, whatever they hold.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, sorted(value))).collect()
        }
        plain => plain,
    }
}

/// An answer in the form of the script.
fn recorded(answer: &Command) -> Value {
    let mut recorded = Map::new();
    recorded.insert("code".into(), answer.head.code.into());
    if answer.head.remark.is_some() {
        recorded.insert("remark".into(), true.into());
    }
    if !answer.fields.is_empty() {
        let fields = answer.fields.iter();
        let fields = fields.map(|(key, value)| (key.to_string(), value.to_string().into()));
        recorded.insert("fields".into(), Value::Object(fields.collect()));
    }
    if !answer.body.is_empty() {
        recorded.insert("body".into(), sorted(json::from_body(&answer.body).unwrap()));
    }
    Value::Object(recorded)
}

#[tokio::test]
async fn every_request_is_answered_as_by_the_stock_name_server() {
    let folder = Folder::new();
    let running = Running::start(settings(&folder)).await;
    let caller = running.connect();
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(SCRIPT.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        let found = recorded(&caller.call(request(&line)).await);
        let right = match line.get("ours") {
            Some(code) => found["code"] == *code,
            None => found == sorted(line["answer"].clone()),
        };
        if !right {
            wrong.push(format!("line {number}: {line}\n  found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    running.stop().await;
}
