//! What one setting may hold: how its text is read and printed, and which values are allowed.
//!
//! Not here: which keys exist (the tables) and how values of several keys must agree (`rules`).

use std::fmt::Display;
use std::ops::RangeInclusive;

/// A type that one setting can have.
pub trait Value: Sized {
    /// Java's name of the type, as the documentation prints it.
    const KIND: &'static str;
    /// What a text must look like, for error messages.
    const EXPECTED: &'static str;
    /// Every text that is accepted, when there are only a few.
    const CHOICES: &'static [&'static str] = &[];
    /// Reads the text of a property file.
    fn parse(text: &str) -> Option<Self>;
    /// Prints the value as Java does; `None` stands for Java's `null`.
    fn print(&self) -> Option<String>;
}

impl Value for String {
    const KIND: &'static str = "String";
    const EXPECTED: &'static str = "text";
    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn print(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Value for Option<String> {
    const KIND: &'static str = "String";
    const EXPECTED: &'static str = "text";
    /// A blank text is no value, as wherever Java asks `isNotBlank`.
    fn parse(text: &str) -> Option<Self> {
        Some((!text.trim().is_empty()).then(|| text.to_owned()))
    }
    fn print(&self) -> Option<String> {
        self.clone()
    }
}

impl Value for bool {
    const KIND: &'static str = "boolean";
    const EXPECTED: &'static str = "true or false";
    const CHOICES: &'static [&'static str] = &["true", "false"];
    /// Java reads every other text as `false`; here that is an error.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        if text.eq_ignore_ascii_case("true") {
            Some(true)
        } else if text.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }
    }
    fn print(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! numbers {
    ($($ty:ty = $kind:literal, $expected:literal;)*) => { $(
        impl Value for $ty {
            const KIND: &'static str = $kind;
            const EXPECTED: &'static str = $expected;
            fn parse(text: &str) -> Option<Self> {
                text.trim_end().parse().ok()
            }
            fn print(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )* };
}

numbers! {
    i32 = "int", "a whole number from -2147483648 to 2147483647";
    i64 = "long", "a whole number of 64 bits";
}

/// Declares an enum whose variants have Java's spelling.
macro_rules! choices {
    ($($(#[$meta:meta])* $name:ident = $expected:literal {
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)*
    })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl Value for $name {
            const KIND: &'static str = stringify!($name);
            const EXPECTED: &'static str = $expected;
            const CHOICES: &'static [&'static str] = &[$($text),*];
            fn parse(text: &str) -> Option<Self> {
                match text.trim_end() { $($text => Some(Self::$variant),)* _ => None }
            }
            fn print(&self) -> Option<String> {
                Some(match self { $(Self::$variant => $text),* }.to_owned())
            }
        }
    )* };
}

choices! {
    /// When a send is acknowledged, seen from the disk (Java: `FlushDiskType`).
    FlushDiskType = "ASYNC_FLUSH or SYNC_FLUSH" {
        /// Acknowledged after the message was written to the page cache, before fsync.
        AsyncFlush = "ASYNC_FLUSH",
        /// Acknowledged after fsync.
        SyncFlush = "SYNC_FLUSH",
    }
    /// How a group fetches a topic (Java: `MessageRequestMode`).
    MessageRequestMode = "PULL or POP" {
        /// Each queue belongs to one consumer, which reads it.
        Pull = "PULL",
        /// Consumers take messages for a time.
        Pop = "POP",
    }
    /// What a broker is for its group of replicas (Java: `BrokerRole`).
    BrokerRole = "ASYNC_MASTER, SYNC_MASTER or SLAVE" {
        /// Primary that acknowledges without waiting for replicas.
        AsyncMaster = "ASYNC_MASTER",
        /// Primary that waits for replicas.
        SyncMaster = "SYNC_MASTER",
        /// Replica.
        Slave = "SLAVE",
    }
}

/// A bound on the values of one setting, stricter than its type.
pub trait Allowed<T> {
    /// Whether the value may be set.
    fn allows(&self, value: &T) -> bool;
    /// What is allowed, for error messages and documentation.
    fn expected(&self) -> String;
}

impl<T: PartialOrd + Display + Bounds> Allowed<T> for RangeInclusive<T> {
    fn allows(&self, value: &T) -> bool {
        self.contains(value)
    }
    fn expected(&self) -> String {
        if *self.end() == T::LARGEST {
            format!("a whole number, at least {}", self.start())
        } else {
            format!("a whole number from {} to {}", self.start(), self.end())
        }
    }
}

/// The largest number of a type, which a range needs not spell out.
pub trait Bounds {
    /// The largest value.
    const LARGEST: Self;
}
impl Bounds for i32 {
    const LARGEST: Self = Self::MAX;
}
impl Bounds for i64 {
    const LARGEST: Self = Self::MAX;
}

/// A named check of a text.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// What the text must look like.
    pub expected: &'static str,
    /// Whether one text does.
    pub allows: fn(&str) -> bool,
}

impl Allowed<String> for Text {
    fn allows(&self, value: &String) -> bool {
        (self.allows)(value)
    }
    fn expected(&self) -> String {
        self.expected.to_owned()
    }
}

impl Allowed<Option<String>> for Text {
    fn allows(&self, value: &Option<String>) -> bool {
        value.as_deref().is_none_or(self.allows)
    }
    fn expected(&self) -> String {
        self.expected.to_owned()
    }
}

/// A text with something in it.
pub(crate) const NOT_BLANK: Text =
    Text { expected: "a text that is not blank", allows: |text| !text.trim().is_empty() };

/// An address.
pub(crate) const IP: Text = Text { expected: "an IP address like 192.168.0.7", allows: is_ip };

/// An address of this machine, which becomes a part of message ids, or the name of one. A port in
/// it is refused: clients would be told two.
pub(crate) const HOST: Text = Text {
    expected: "an IP address like 192.168.0.7 or a host name like broker-a.example, without a port",
    allows: |text| is_ip(text) || is_host_name(text),
};

/// One directory; Java would take several with `,` between them.
pub(crate) const ONE_PATH: Text = Text {
    expected: "one directory; several, with `,` between them, are not in this version",
    allows: |text| !text.trim().is_empty() && !text.contains(','),
};

/// `host:port` pairs with `;` between them (Java: `NetworkUtil.string2SocketAddress`).
pub(crate) const ADDRESSES: Text = Text {
    expected: "addresses like 127.0.0.1:9876;192.168.0.1:9876",
    allows: |text| !text.trim().is_empty() && split(text).all(is_address),
};

/// Hours of a day with `;` between them (Java: `UtilAll.isItTimeToDo`).
pub(crate) const HOURS: Text = Text {
    expected: "hours of the day from 00 to 23, with ; between them",
    allows: |text| {
        split(text).all(|hour| hour.len() <= 2 && hour.parse().is_ok_and(|hour: u8| hour < 24))
    },
};

/// Delays like `1s 5m 2h` (Java: `ScheduleMessageService.parseDelayLevel`).
pub(crate) const DELAYS: Text = Text {
    expected: "delays like `1s 5m 2h 1d` with one blank between them",
    allows: |text| delays_ms(text).is_some(),
};

/// The delays of a level list in milliseconds, level 1 first; `None` when one is malformed.
pub(crate) fn delays_ms(text: &str) -> Option<Vec<i64>> {
    text.split_ascii_whitespace()
        .map(|level| {
            let unit_ms: i64 = match level.chars().last()? {
                's' => 1_000,
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                _ => return None,
            };
            level[..level.len() - 1].parse::<u32>().ok()?;
            level[..level.len() - 1].parse::<i64>().ok()?.checked_mul(unit_ms)
        })
        .collect::<Option<Vec<i64>>>()
        .filter(|levels| !levels.is_empty())
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty())
}

fn is_ip(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// Whether a resolver could know the name. One that ends in a number is a misspelled address; with
/// `_` it is none of the DNS, but networks of containers have such.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= 253
        && name.split('.').all(is_label)
        && !name.rsplit('.').next().is_some_and(is_number)
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_java_reads_and_refuses_what_java_swallows() {
        assert_eq!(bool::parse("TRUE"), Some(true));
        assert_eq!(bool::parse("yes"), None);
        assert_eq!(i32::parse("+5 "), Some(5));
        assert_eq!(i32::parse("4G"), None);
        assert_eq!(i32::parse("2147483648"), None);
        assert_eq!(FlushDiskType::parse("SYNC_FLUSH"), Some(FlushDiskType::SyncFlush));
        assert_eq!(FlushDiskType::parse("sync_flush"), None);
    }

    #[test]
    fn texts_with_a_shape() {
        let check = |rule: Text, good: &[&str], bad: &[&str]| {
            for text in good {
                assert!((rule.allows)(text), "{text:?} should be {}", rule.expected);
            }
            for text in bad {
                assert!(!(rule.allows)(text), "{text:?} should not be {}", rule.expected);
            }
        };
        check(
            ADDRESSES,
            &["127.0.0.1:9876", "a:1;b:2;", "[::1]:9876"],
            &["", "a", "a:", ":1", "a:0", "a:65536"],
        );
        check(IP, &["10.0.0.1", "::1"], &["", "localhost", "10.0.0.1:80"]);
        check(
            HOST,
            &["10.0.0.1", "::1", "localhost", "broker-a.example.", "rmq_broker_1", "3com.net"],
            &["", " ", "10.0.0.1:80", "my.host:10911", "my host", "a/b", "http://a", "a..b", "."],
        );
        let long = ["a".repeat(64), "a.".repeat(128)];
        check(HOST, &[], &["10.0.0.256", "10.0.0", "-a", "a-", "host ", &long[0], &long[1]]);
        check(ONE_PATH, &["/data/log"], &[" ", "/a,/b"]);
        check(HOURS, &["04", "4", "04;16"], &["24", "4am", "-1", "004"]);
        check(DELAYS, &["1s", "1s 5s 2h"], &["", "1", "s", "1x", "-1s", "1.5h", "1秒"]);
        assert_eq!(delays_ms("1s 2m 1h"), Some(vec![1_000, 120_000, 3_600_000]));
    }
}
