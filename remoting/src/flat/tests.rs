//! The macros on small tables of their own; the real tables are compared with Java elsewhere.

#![allow(unreachable_pub, dead_code, reason = "the macros make public things")]

use super::*;
use crate::{codes, headers};

headers! {
    Inherited { broker as "bname": Option<Str> }
    Sample: Inherited {
        queue_id: i32,
        size: i64 = 7,
        topic as "T": Option<Str>,
        is_order: Option<bool>,
        tries: Option<i32>,
    }
    Strict, strict = true { tries: Option<i32> }
}

fn fields(pairs: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = Fields::new();
    for (key, value) in pairs {
        fields.push(*key, *value);
    }
    fields
}

#[test]
fn table() {
    let keys: Vec<_> = Sample::FIELDS.iter().map(|field| field.key).collect();
    assert_eq!(keys, ["queueId", "size", "T", "isOrder", "tries"]);
    assert_eq!(Sample::FIELDS[0].presence, Presence::Required);
    assert_eq!(Sample::FIELDS[1].presence, Presence::Default("7"));
    assert_eq!(Sample::BASE[0].key, "bname");
}

#[test]
fn the_last_value_counts_and_unknown_keys_are_passed_over() {
    let header = Sample::read(&fields(&[
        ("queueId", "1"),
        ("bname", "b"),
        ("else", "?"),
        ("queueId", "+2"),
        ("isOrder", "TRUE"),
        ("T", ""),
    ]));
    let expected = Sample {
        queue_id: 2,
        topic: Some(Str::new()),
        is_order: Some(true),
        base: Inherited { broker: Some("b".into()) },
        ..Sample::default()
    };
    assert_eq!(header, Ok(expected.clone()));
    let mut written = Fields::new();
    expected.write(&mut written);
    assert_eq!(
        written,
        fields(&[("queueId", "2"), ("size", "7"), ("T", ""), ("isOrder", "true"), ("bname", "b")])
    );
}

#[test]
fn bad_numbers() {
    let error = Sample::read(&fields(&[("queueId", "2147483648")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Sample: the field queueId is \"2147483648\", which is not a 32-bit integer"
    );
    let error = Sample::read(&fields(&[("size", "1")])).unwrap_err();
    assert_eq!(error, HeaderError::Missing { header: "Sample", field: "queueId" });
    let header = Sample::read(&fields(&[("queueId", "1"), ("size", "x"), ("tries", " 1")]));
    assert_eq!(header.map(|read| (read.size, read.tries)), Ok((7, None)));
    assert!(Strict::read(&fields(&[("tries", " 1")])).is_err());
    assert_eq!(Strict::read(&fields(&[])), Ok(Strict { tries: None }));
}

codes! { Code: i32 { ONE = 1, MINUS = -1000, } }

#[test]
fn codes_keep_unknown_numbers() {
    assert_eq!(format!("{:?} {:?} {:?}", Code::ONE, Code(-1000), Code(9)), "ONE MINUS Code(9)");
    assert_eq!(Code::from_name("MINUS"), Some(Code::MINUS));
}
