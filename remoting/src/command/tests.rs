//! Both header forms, through the public door and with bytes that no friend would send.

use super::*;
use crate::frame;

fn sample(form: Form) -> Command {
    let mut command = Command::request(RequestCode(310)).with_body("body");
    command.form = form;
    command.head.opaque = -7;
    command.head.remark = Some("why \"so\"\u{1}".into());
    command.fields.push("b", "TopicTest");
    command.fields.push("i", "TAGS\u{1}A\u{2}KEYS\u{1}k\\1\u{2}\u{4e2d}\u{1f600}");
    command
}

fn through_the_wire(command: &Command) -> Command {
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    let frame = frame::split(&mut bytes, &Limits::default()).unwrap().unwrap();
    assert!(bytes.is_empty());
    Command::decode(frame, &Limits::default()).unwrap()
}

#[test]
fn a_command_survives_both_forms() {
    for form in [Form::Json, Form::Rocketmq] {
        let sent = sample(form);
        let received = through_the_wire(&sent);
        assert_eq!(received.head, sent.head);
        assert_eq!(received.fields, sent.fields);
        assert_eq!(received.body, sent.body);
        assert_eq!(received.form, form);
    }
}

fn decode(form: Form, header: &[u8]) -> Result<Command, CommandError> {
    let frame = Frame { form, bytes: BytesMut::from(header), header_bytes: header.len() };
    Command::decode(frame, &Limits::default())
}

fn json(header: &str) -> Result<(Head, Fields), CommandError> {
    let command = decode(Form::Json, header.as_bytes())?;
    Ok((command.head, command.fields))
}

#[test]
fn fields_are_text_wherever_they_end_and_whatever_follows() {
    for len in 0..130 {
        let value = format!("{}\u{e9}", "x".repeat(len));
        let remark = "\u{e9}".repeat(4);
        let header = format!(r#"{{"extFields":{{"a":"{value}"}},"remark":"{remark}"}}"#);
        let (head, mut fields) = json(&header).unwrap();
        assert_eq!(fields.get("a"), Some(&*value));
        assert_eq!(head.remark.as_deref(), Some(&*remark));
        fields.push("b", "c");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("a", &*value), ("b", "c")]);
    }
}

#[test]
fn what_other_clients_write_is_understood() {
    let (head, fields) = json(
        r#" { "code" : 310, "language":"CPP","opaque":5,"flag":0, "remark":"",
        "version":333, "nested":{"a":[1,{"b":null}]}, "extFields":{"queueId":3,"k":true,
        "SecretKey":"","none":null,"e":"\u4e2d\ud83d\ude00\/\u0001"} } "#,
    )
    .unwrap();
    assert_eq!(head.language, LanguageCode::CPP);
    assert_eq!(head.remark, None);
    assert_eq!(fields.get("queueId").unwrap(), "3");
    assert_eq!(fields.get("k").unwrap(), "true");
    assert_eq!(fields.get("SecretKey").unwrap(), "");
    assert_eq!(fields.get("none"), None);
    assert_eq!(fields.get("e").unwrap(), "\u{4e2d}\u{1f600}/\u{1}");
}

#[test]
fn members_may_come_in_any_order_and_with_blanks() {
    let members = [
        r#""code":310"#,
        r#""extFields":{"a":"b"}"#,
        r#""flag": 2147483647"#,
        r#""language":"GO""#,
        r#""opaque":-2147483648"#,
        r#""serializeTypeCurrentRPC":"JSON""#,
        r#""version":"461""#,
        r#""remark" : "r""#,
    ];
    for shift in 0..members.len() {
        for step in [1, 3, 5, 7] {
            let mixed = (0..members.len()).map(|at| members[(shift + at * step) % members.len()]);
            let text = format!("{{{}}}", mixed.collect::<Vec<_>>().join(" ,"));
            let (head, fields) = json(&text).unwrap();
            assert_eq!((head.code, head.version), (310, 461), "{text}");
            assert_eq!((head.flag, head.opaque), (i32::MAX, i32::MIN), "{text}");
            assert_eq!(head.language, LanguageCode::GO, "{text}");
            assert_eq!(head.remark.as_deref(), Some("r"), "{text}");
            assert_eq!(fields.get("a"), Some("b"), "{text}");
        }
    }
    let (twice, _) = json(r#"{"code":1,"code":2,"codes":3,"opaque":123456789}"#).unwrap();
    assert_eq!((twice.code, twice.opaque), (2, 123_456_789));
    for wrong in [r#"{"code":2147483648}"#, r#"{"code":99999999999}"#, r#"{"code":1x}"#] {
        assert!(json(wrong).is_err(), "{wrong}");
    }
}

/// Java: `new String(bytes, UTF_8)` in both forms.
#[test]
fn bytes_that_are_no_utf8_are_replaced_and_all_else_is_kept() {
    for form in [Form::Json, Form::Rocketmq] {
        let mut bytes = BytesMut::new();
        let mut sent = sample(form);
        sent.fields.push("KEYS", "@@ key");
        sent.encode(&mut bytes);
        let mut frame = frame::split(&mut bytes, &Limits::default()).unwrap().unwrap();
        let at = frame.bytes.windows(2).position(|two| two == b"@@").unwrap();
        frame.bytes[at..at + 2].copy_from_slice(&[0xd6, 0xd0]);
        let received = Command::decode(frame, &Limits::default()).unwrap();
        assert_eq!(received.fields.get("KEYS").unwrap(), "\u{fffd}\u{fffd} key");
        assert_eq!(received.fields.get("i"), sent.fields.get("i"));
        assert_eq!(received.head, sent.head);
    }
}

#[test]
fn half_a_surrogate_takes_nothing_with_it() {
    let (_, fields) =
        json(r#"{"code":1,"extFields":{"a":"\ud83d\u0057x","b":"\ud83dy"}}"#).unwrap();
    assert_eq!(fields.get("a").unwrap(), "\u{fffd}Wx");
    assert_eq!(fields.get("b").unwrap(), "\u{fffd}y");
}

#[test]
fn a_mark_is_seen_at_every_place() {
    for len in 0..20 {
        let plain = "!#[]\u{1}~x".repeat(3);
        let plain = &plain.as_str()[..len];
        let (_, fields) = json(&format!("{{\"extFields\":{{\"k\":\"{plain}\"}}}}")).unwrap();
        assert_eq!(fields.get("k"), Some(plain));
        for at in 0..=len {
            let (a, b) = plain.split_at(at);
            let header = format!("{{\"extFields\":{{\"k\":\"{a}\\\"\\\\{b}\",\"l\":\"1\"}}}}");
            let (_, fields) = json(&header).unwrap();
            assert_eq!(fields.get("k"), Some(&*format!("{a}\"\\{b}")));
            assert_eq!(fields.get("l"), Some("1"));
        }
    }
}

/// As the stock broker takes them.
#[test]
fn loose_headers_are_understood() {
    let (head, fields) = json(
        "{\"code\":11.0,\"flag\":false,\"version\":null,\"opaque\":7e0,\"extFields\":{\"a\":
        {\"b\":[1,\"}\"]},\"l\":[ ],\"n\":null,\"c\":1}} \0",
    )
    .unwrap();
    assert_eq!((head.code, head.flag, head.version, head.opaque), (11, 0, 0, 7));
    assert_eq!(fields.get("a").unwrap(), "{\"b\":[1,\"}\"]}");
    assert_eq!((fields.get("l"), fields.get("n"), fields.get("c")), (Some("[ ]"), None, Some("1")));
    assert_eq!(json("{\"version\":\"\",\"flag\":true}").unwrap().0.flag, 1);
}

/// What connection lists of the stock broker say of clients that wrote this.
#[test]
fn a_language_is_told_by_name_or_number_and_is_java_where_nothing_is_said() {
    let language = |written: &str| json(written).map(|(head, _)| head.language.name());
    let told = |written: &str| language(&format!("{{\"language\":{written},\"code\":1}}"));
    assert_eq!(language("{\"code\":1}").unwrap(), Some("JAVA"));
    for (written, name) in [
        ("\"GO\"", Some("GO")),
        ("\"cpp\"", Some("CPP")),
        ("\"Node-Js\"", Some("NODE_JS")),
        ("\"nodejs\"", Some("NODE_JS")),
        ("\"9\"", Some("GO")),
        ("13", Some("NODE_JS")),
        ("9L", Some("GO")),
        ("1e0", Some("CPP")),
        ("null", None),
        ("\"\"", None),
        ("\"KOTLIN\"", None),
    ] {
        assert_eq!(told(written).unwrap(), name, "{written}");
    }
    for wrong in ["14", "-1", "true", "false", "GO", "[]"] {
        assert!(told(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn headers_in_single_quotes_with_comments_and_typed_numbers_are_understood() {
    let (head, fields) = json(
        "/*a*/ {//b\n'code':7L/*c*/,/*d*/\"flag\"/*e*/:/*f*/1, 'version':'9','language':'GO',\
        'remark':'it\\'s','extFields':/*g*/{/*h*/'a':'b\"c\\n','d'/*i*/:/*j*/8L,\"e\":'L',/**/},\
        'x':['}',{'y':1/*k*/}]/*l*/, }//m",
    )
    .unwrap();
    assert_eq!((head.code, head.flag, head.version), (7, 1, 9));
    assert_eq!((head.language, head.remark.as_deref()), (LanguageCode::GO, Some("it's")));
    let fields = ["a", "d", "e"].map(|key| fields.get(key).unwrap());
    assert_eq!(fields, ["b\"c\n", "8", "L"]);
    assert!(json("{\"extFields\":{/*c*/}}").unwrap().1.is_empty());
    let many = format!("{{{}\"code\":1}}", "/**/ ".repeat(50_000));
    assert_eq!(json(&many).unwrap().0.code, 1);
    for broken in ["{/*'code':7}", "{/'code':7}", "{'code':7", "{'code", "{\"a\":'\\", "{'a':7}/"] {
        assert!(json(broken).is_err(), "{broken}");
    }
}

#[test]
fn broken_json_headers_are_errors() {
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    for broken in [
        "",
        "{",
        "[]",
        "{\"code\":}",
        "{\"code\":\"x\"}",
        "{\"code\":1}}",
        "{\"extFields\":{\"a\":\"\\u12\"}}",
        "{\"extFields\":{\"a\":\"\\",
        "{\"a\":\"",
        "{\"a\" 1}",
        "{a:1}",
        "{\"code\":99999999999}",
        "{\"code\":1e99}",
        "{\"extFields\":{\"a\":{}}",
        &deep,
    ] {
        assert!(json(broken).is_err(), "{broken:.40}");
    }
    let many = (0..513).map(|i| format!("\"k{i}\":1")).collect::<Vec<_>>().join(",");
    assert_eq!(
        json(&format!("{{\"extFields\":{{{many}}}}}")).unwrap_err().why,
        "too many ext fields"
    );
}

/// Every prefix and every single-byte change of a valid header gives a header or an error.
#[test]
fn no_header_bytes_panic() {
    for form in [Form::Json, Form::Rocketmq] {
        let mut bytes = BytesMut::new();
        sample(form).encode(&mut bytes);
        let frame = frame::split(&mut bytes, &Limits::default()).unwrap().unwrap();
        let header = &frame.bytes[..frame.header_bytes];
        for end in 0..header.len() {
            let _ = decode(form, &header[..end]);
            for byte in [0, 0x7f, 0x80, 0xff, b'"', b'\\', b'{', b'}'] {
                let mut changed = header.to_vec();
                changed[end] = byte;
                let _ = decode(form, &changed);
            }
        }
    }
}
