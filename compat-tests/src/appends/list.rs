//! What is sent, and what each of it tries.

use super::{Form, INNER, TOPIC};
use crate::raw::{Letter, batched};

/// The one level whose messages become due while the list is sent.
const SOON: &str = "DELAY^1~UNIQ_KEY^soon~KEYS^soon~TAGS^soon~INNER_MULTI_DISPATCH^%LMQ%soon~";
/// What a message of a light queue brings when it is sent again.
const LIGHT_RETRY: &str = "INNER_MULTI_DISPATCH^%LMQ%a~INNER_MULTI_QUEUE_OFFSET^0~";

/// Everything that is sent: what it is, the message, whether it is a batch.
pub(super) fn list(form: Form) -> Vec<(String, Letter, bool)> {
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
