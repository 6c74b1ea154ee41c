//! The format of `java.util.Properties`, its odd corners included.

use super::*;

fn check(text: &str, expected: &[(&str, &str)]) {
    let read = Properties::parse(text.as_bytes()).expect("well formed");
    let found: Vec<_> =
        read.all.iter().map(|found| (found.key.as_str(), found.value.as_str())).collect();
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn separators_and_blanks() {
    check("a=1\nb:2\nc 3\n", &[("a", "1"), ("b", "2"), ("c", "3")]);
    check("  a \t= 1 \n", &[("a", "1 ")]);
    check("a\n b=\nc==x\nd = = y", &[("a", ""), ("b", ""), ("c", "=x"), ("d", "= y")]);
    check("=x\n:y", &[("", "x"), ("", "y")]);
    check("a=1\r\nb=2\rc=3", &[("a", "1"), ("b", "2"), ("c", "3")]);
    check("\u{feff}a=1", &[("a", "1")]);
}

#[test]
fn comments_and_continuations() {
    check("# a=1\n  ! b=2\\\nc=3\n\n \t \n", &[("c", "3")]);
    check("a=1\\\n   2\\\n\t3\nb=x\\\\\nc=y", &[("a", "123"), ("b", "x\\"), ("c", "y")]);
    check("a=1\\", &[("a", "1")]);
    check("a = 1 # not a comment", &[("a", "1 # not a comment")]);
    check("a=1\\\n# part of a", &[("a", "1# part of a")]);
}

#[test]
fn escapes() {
    check(r"a\=b\:c\ d = x\ty\u0041\q", &[("a=b:c d", "x\tyAq")]);
    check(r"a=\uD83D\uDE00", &[("a", "😀")]);
    check("path=C:\\\\store", &[("path", "C:\\store")]);
    let error = Properties::parse(b"ok=1\na = \\u12").expect_err("too short");
    assert_eq!(error.at, Position { line: 2, column: 5 });
}

#[test]
fn bytes_of_any_encoding() {
    check("名=值", &[("名", "值")]);
    let gbk_comment = Properties::parse(b"# \xd6\xd0\xce\xc4\na=1\n").expect("a comment");
    assert_eq!((gbk_comment.all.len(), &gbk_comment.latin1_lines[..]), (1, &[1][..]));
    assert_eq!(gbk_comment.with(&[("a", "2")]), b"# \xd6\xd0\xce\xc4\na=2\n");
    let latin1 = Properties::parse(b"a=1\nb=caf\xe9").expect("Java reads it");
    assert_eq!((latin1.all[1].value.as_str(), &latin1.latin1_lines[..]), ("café", &[2][..]));
}

#[test]
fn positions_point_at_what_was_written() {
    let read = Properties::parse("# x\n  brokerRole : SLAVE\nb = \\\n    tail\nc=".as_bytes());
    let read = read.expect("well formed");
    let at = |line, column| Position { line, column };
    let [role, b, c] = &read.all[..] else { panic!("three properties") };
    assert_eq!((role.key_at, role.value_at, role.widths), (at(2, 3), at(2, 16), (10, 5)));
    assert_eq!((b.value_at, b.widths.1), (at(4, 5), 4));
    assert_eq!((c.value_at, c.widths.1), (at(5, 3), 0));
}

#[test]
fn the_last_of_a_repeated_key_counts() {
    let read = Properties::parse(b"a=1\nb=2\na=3").expect("well formed");
    let effective: Vec<_> =
        read.effective().iter().map(|found| (&found.key[..], &found.value[..])).collect();
    assert_eq!(effective, [("b", "2"), ("a", "3")]);
}

#[test]
fn changes_keep_the_rest_of_the_file() {
    let text = "# the queues\nqueues = 8\npath=/a\\\n  /b\n! end";
    let read = Properties::parse(text.as_bytes()).expect("well formed");
    assert_eq!(
        read.with(&[("queues", "16"), ("path", " /c\\d"), ("new key", "值")]),
        b"# the queues\nqueues=16\npath=\\ /c\\\\d\n! end\nnew\\ key=\\u503C\n"
    );
    let again = read.with(&[("new key", "值")]);
    let again = Properties::parse(&again).expect("well formed");
    assert_eq!(again.all.last().map(|found| found.value.as_str()), Some("值"));
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let alphabet = b"ab=: \t\\u0F\n\r#!\xff\xe4\xbd\xa0";
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..state % 24 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push(alphabet[(state >> 33) as usize % alphabet.len()]);
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if let Ok(read) = Properties::parse(&text) {
            for found in &read.all {
                assert!(found.value_at >= found.key_at, "{text:?}");
                assert!(found.value_at.line <= read.lines.len(), "{text:?}");
            }
        }
    }
}
