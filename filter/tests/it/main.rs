//! Expressions and their verdicts. That they are Java's is shown by `compat-tests`, which asks the
//! stock parser about ten thousand more.

use filter::{Expression, Illegal, MAX_DEPTH, MAX_SOURCE_BYTES};

const PROPERTIES: [(&str, &str); 6] =
    [("a", "5"), ("b", "blue"), ("n", "1.5"), ("t", "true"), ("e", "5e0"), ("q", "it's")];

fn verdict(source: &str) -> Result<Option<bool>, Illegal> {
    let expression = Expression::compile(source).unwrap_or_else(|error| {
        panic!("{source}: {error}");
    });
    expression.evaluate(PROPERTIES.map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

#[test]
fn verdicts_are_those_of_java() {
    let (yes, no, unknown) = (Ok(Some(true)), Ok(Some(false)), Ok(None));
    for (source, expected) in [
        ("a = 5", yes),
        ("a = '5' AND a = 5.0", yes),
        ("a <> 5 OR a < 4.9", no),
        ("a = 2147483648", no),
        ("a BETWEEN 5 AND 7 and a not between 6 and 7", yes),
        ("b in ('red', 'blue') AND b NOT IN ('red')", yes),
        ("x IN ('red')", unknown),
        ("x = 1", unknown),
        ("1 = x", no),
        ("x = y", yes),
        ("x IS NULL AND a IS NOT NULL", yes),
        ("NOT x = 1 OR a = 5", yes),
        ("x = 1 AND a = 4", no),
        ("a > e OR a >= e", yes),
        ("b CONTAINS 'lu' AND b STARTSWITH 'bl' AND b ENDSWITH 'ue'", yes),
        ("b NOT CONTAINS '' OR b CONTAINS '' OR x NOT CONTAINS 'x'", no),
        ("q = 'it''s'", yes),
        ("t", no),
        ("x", unknown),
        ("t = TRUE AND b = FALSE", yes),
        ("1 = TRUE", no),
        ("a = - -5 AND +a = 5", yes),
        ("-a = 5", unknown),
        ("b = 5", Err(Illegal::NotANumber)),
        ("b > a", Err(Illegal::NotANumber)),
        ("a = 4 AND b > 5", no),
        ("(a = 5) = 'true'", Err(Illegal::Types)),
        ("2147483648 > 1.5 AND 1.5 < 2147483648", yes),
        // What stands behind a whole expression is passed over but for its first token.
        ("a = 5 LIKE 'open", yes),
    ] {
        assert_eq!(verdict(source), expected, "{source}");
    }
}

#[test]
fn what_java_refuses_is_refused_with_a_place() {
    for (source, at) in [
        ("", 0),
        ("a = ", 4),
        ("a = NULL", 8),
        ("b > 'a'", 7),
        ("a > 1 > 2", 9),
        ("5", 1),
        ("a = 0.0", 4),
        ("a = 9223372036854775808", 4),
        ("a BETWEEN 7 AND 5", 17),
        ("5 IN ('a')", 10),
        ("a IN (5)", 6),
        ("a = 5 'open", 6),
        ("a = 1 NOT 2", 10),
        ("TRUE = 1", 8),
    ] {
        let error = Expression::compile(source).unwrap_err();
        assert_eq!(error.at, at, "{source}: {error}");
    }
}

#[test]
fn length_and_depth_have_bounds_and_chains_have_none() {
    let terms = MAX_SOURCE_BYTES / 9;
    let chain = vec!["a = 7"; terms].join(" OR ");
    assert_eq!(chain.len(), terms * 9 - 4);
    assert_eq!(verdict(&chain), Ok(Some(false)));
    assert!(Expression::compile(&format!("{chain}{}", " ".repeat(100))).is_err());
    let nested = |depth: usize| format!("{}a = 5{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(verdict(&nested(MAX_DEPTH - 1)), Ok(Some(true)));
    assert!(Expression::compile(&nested(MAX_DEPTH)).is_err());
    for deep in ["- ", "+ ", "NOT ", "-(("] {
        assert!(Expression::compile(&deep.repeat(MAX_SOURCE_BYTES / deep.len())).is_err());
    }
    let loops = format!("a{}", " IS NULL".repeat(MAX_DEPTH + 1));
    assert!(Expression::compile(&loops).is_err());
}

/// A range in a range in a range: in Java each one doubles the time.
#[test]
fn time_is_linear() {
    let depth = MAX_DEPTH / 2 - 2;
    let ranges = (0..depth).fold("a".to_owned(), |inner, _| format!("-({inner} BETWEEN 1 AND 9)"));
    assert_eq!(verdict(&format!("{ranges} = 1")), Ok(None));
}
