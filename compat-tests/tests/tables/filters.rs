//! Ten thousand expressions, good, bad and broken, each with the properties of a message: the stock
//! parser and ours give the same verdict on every one. The seed makes them; a failure prints it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use filter::Expression;

const SEED: u64 = 20_260_117;
const EXPRESSIONS: usize = 10_000;

const NAMES: [&str; 9] = ["a", "b", "c", "A", "_x", "$y1", "nothing", "isnt", "nullable"];

/// What properties hold, and texts in expressions.
const TEXTS: [&str; 47] = [
    "1",
    "2",
    "-1",
    "+1",
    "01",
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1.0",
    "1.5",
    "1e0",
    "1.5f",
    "2d",
    "1L",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "1e400",
    "-1e400",
    "1e-400",
    "4.9e-324",
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "infinity",
    "0x1p1",
    "0x1.8p0",
    "0x",
    "0xp1",
    " 1",
    "1 ",
    "\u{3000}1",
    "true",
    "TRUE",
    "false",
    "abc",
    "b",
    "it's",
    "é€𝄞",
    "٣",
    "１",
    "",
];

/// Numbers as they stand in expressions.
const NUMBERS: [&str; 31] = [
    "0",
    "1",
    "2",
    "5",
    "1l",
    "2L",
    "01",
    "0l",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999",
    "0.0",
    "1.0",
    "1.5",
    "1.",
    ".5",
    "5.E0",
    "1e0",
    "1E+1",
    "1e-1",
    "1e",
    "1e400",
    "1e-400",
    "4.9e-324",
    "2e-324",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "1.5.5",
    "0x10",
];

const TOKENS: [&str; 46] = [
    "NOT",
    "AND",
    "OR",
    "BETWEEN",
    "IN",
    "TRUE",
    "FALSE",
    "NULL",
    "IS",
    "CONTAINS",
    "STARTSWITH",
    "ENDSWITH",
    "not",
    "aNd",
    "like",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "(",
    ")",
    ",",
    "+",
    "-",
    "--",
    "!=",
    "==",
    "/*",
    "*/",
    "/**/",
    "'",
    "''",
    "'a'",
    "a",
    "b",
    "1",
    "1.5",
    "é",
    "\u{b}",
    "\u{c}",
    "\n",
    "\r",
    ".",
    "/",
];

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// True once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn quoted(&mut self) -> String {
        format!("'{}'", self.one_of(&TEXTS).replace('\'', "''"))
    }

    fn value(&mut self, depth: usize) -> String {
        match self.below(12) {
            0..=4 => self.one_of(&NAMES).to_owned(),
            5..=7 => self.one_of(&NUMBERS).to_owned(),
            8 => self.quoted(),
            9 => format!("- {}", self.value(depth)),
            10 => self.one_of(&["TRUE", "false", "NULL", "+ 1", "+a"]).to_owned(),
            _ if depth > 0 => format!("({})", self.condition(depth - 1)),
            _ => "a".to_owned(),
        }
    }

    fn texts(&mut self) -> String {
        let texts: Vec<_> = (0..=self.below(7)).map(|_| self.quoted()).collect();
        texts.join(" , ")
    }

    fn condition(&mut self, depth: usize) -> String {
        let not = if self.once_in(3) { "NOT " } else { "" };
        let name = self.one_of(&NAMES);
        match self.below(14) {
            0..=2 => {
                let sign = self.one_of(&["=", "<>"]);
                format!("{} {sign} {}", self.value(depth), self.value(depth))
            }
            3..=5 => {
                let sign = self.one_of(&["<", "<=", ">", ">="]);
                format!("{} {sign} {}", self.value(depth), self.value(depth))
            }
            6 => {
                let (low, high) = (self.value(depth), self.value(depth));
                format!("{} {not}BETWEEN {low} AND {high}", self.value(depth))
            }
            7 => format!("{name} {not}IN ( {} )", self.texts()),
            8 => format!("{} IS {not}NULL", self.value(depth)),
            9 => {
                let word = self.one_of(&["CONTAINS", "startsWith", "ENDSWITH"]);
                format!("{} {not}{word} {}", self.value(depth), self.quoted())
            }
            10 => format!("{not}{}", self.value(depth)),
            11 if depth > 0 => format!("{not}( {} )", self.condition(depth - 1)),
            _ if depth > 0 => {
                let (left, right) = (self.condition(depth - 1), self.condition(depth - 1));
                format!("{left} {} {right}", self.one_of(&["AND", "OR"]))
            }
            _ => format!("{name} = {}", self.one_of(&NUMBERS)),
        }
    }

    fn expression(&mut self) -> String {
        let mut source = self.condition(3);
        if self.once_in(3) {
            let mut words: Vec<&str> = source.split(' ').collect();
            for _ in 0..=self.below(2) {
                let at = self.below(words.len());
                match self.below(4) {
                    0 => drop(words.remove(at)),
                    1 => words[at] = self.one_of(&TOKENS),
                    2 => words.insert(at, self.one_of(&TOKENS)),
                    _ => words.swap(at, 0),
                }
                if words.is_empty() {
                    break;
                }
            }
            let between = self.one_of(&[" ", " ", "", "/* c */", "--c\n", "\t"]);
            source = words.join(between);
        }
        if self.once_in(12) {
            let mut characters: Vec<char> = source.chars().collect();
            let at = self.below(characters.len() + 1);
            characters.truncate(at);
            source = characters.into_iter().collect();
        }
        source
    }

    fn properties(&mut self) -> String {
        let mut properties = String::new();
        for name in NAMES.iter().take(5) {
            if !self.once_in(4) {
                let _ = write!(properties, "{name}\u{1}{}\u{2}", self.one_of(&TEXTS));
            }
        }
        properties
    }
}

fn pairs(properties: &str) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = properties.split('\u{2}').filter_map(|pair| pair.split_once('\u{1}'));
    let pairs = pairs.filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

fn our_verdict(source: &str, properties: &str) -> &'static str {
    let Ok(expression) = Expression::compile(source) else { return "refused" };
    match expression.evaluate(pairs(properties)) {
        Ok(Some(true)) => "true",
        Ok(Some(false)) => "false",
        Ok(None) => "null",
        Err(_) => "exception",
    }
}

fn java_verdicts(cases: &[(String, String)]) -> Vec<String> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/reflect/Verdicts.java");
    let mut program = Command::new("java");
    program.args(["-cp", &format!("{}/*", super::jars()), source]);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut java = program.spawn().expect("java can be run; scripts/test says what to install");
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: String = cases
        .iter()
        .map(|(source, properties)| format!("{} {}\n", hex(source), hex(properties)))
        .collect();
    let mut stdin = java.stdin.take().expect("stdin is piped");
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = java.wait_with_output().expect("java ends");
    writer.join().expect("no panic").expect("java reads all");
    assert!(output.status.success(), "Verdicts.java failed");
    let text = String::from_utf8(output.stdout).expect("Java prints UTF-8");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn verdicts_of_filters() {
    let mut random = Random(SEED);
    let cases: Vec<_> =
        (0..EXPRESSIONS).map(|_| (random.expression(), random.properties())).collect();
    let java = java_verdicts(&cases);
    assert_eq!(java.len(), cases.len());
    let mut seen = BTreeMap::new();
    let mut differ = Vec::new();
    for ((source, properties), java) in cases.iter().zip(&java) {
        *seen.entry(java.as_str()).or_insert(0) += 1;
        let ours = our_verdict(source, properties);
        if ours != java {
            differ.push(format!("{source:?} of {properties:?}: Java {java}, we {ours}"));
        }
    }
    let shown = differ.len().min(20);
    assert!(
        differ.is_empty(),
        "{} differ, the first:\n{}",
        differ.len(),
        differ[..shown].join("\n")
    );
    // Each verdict is met often enough to say something.
    for verdict in ["refused", "true", "false", "null", "exception"] {
        assert!(seen.get(verdict).is_some_and(|seen| *seen >= 300), "{seen:?}");
    }
}
