//! SQL92 expressions of consumers, and the broker's file of them.

use broker::filters::Filters;
use filter::{Bloom, Expression};

/// The source ends at the first zero byte; what follows are properties.
pub(crate) fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (source, rest) = data.split_at(end);
    let Ok(source) = std::str::from_utf8(source) else { return };
    if let Ok(expression) = Expression::compile(source) {
        let encoded = rest.get(1..).unwrap_or_default();
        let verdict = expression.evaluate(message::properties::pairs(encoded));
        assert_eq!(verdict, expression.evaluate(message::properties::pairs(encoded)));
    }
    let bloom = Bloom::new(20, 32).expect("these numbers make a filter");
    let filters = Filters::new(bloom);
    if filters.load(source, 1_000_000).is_ok() {
        // All of them have been gone for long.
        filters.tick(|_| false, 0, 2_000_000);
        assert!(filters.find("g", "T").is_none());
    }
}

pub(crate) fn examples() -> Vec<Vec<u8>> {
    let properties = "\0a\u{1}5\u{2}b\u{1}blue\u{2}c\u{1}0x1.8p3\u{2}d\u{1}-1e5f\u{2}";
    let sources = [
        "a BETWEEN 3 AND 7.5 AND b IN ('blue', 'it''s') OR NOT (c IS NULL)",
        "-(a) < 5 AND d >= 0.5E3 /* c */ AND b NOT CONTAINS 'x' -- end\n OR TRUE",
        "a NOT BETWEEN -1 AND b AND c > d AND a <> 9223372036854775807 AND x = y",
        "((((a = 5)) = 'true')) AND b STARTSWITH 'bl' AND b ENDSWITH 'ue'",
    ];
    let file = r#"{"filterDataByTopic":{"T":{"groupFilterData":{"g":{"bloomFilterData":{
        "bitNum":112,"bitPos":[90,68,28]},"bornTime":10,"clientVersion":5,"consumerGroup":"g",
        "dead":false,"deadTime":0,"expression":"a > 5","expressionType":"SQL92","topic":"T"}},
        "topic":"T"}}}"#;
    let expressions = sources.map(|source| format!("{source}{properties}").into_bytes());
    expressions.into_iter().chain([file.as_bytes().to_vec()]).collect()
}
