//! Texts as numbers, by the rules of Java's `Integer.valueOf`, `Long.valueOf` and
//! `Double.valueOf`: other digits than 0 to 9, hexadecimal fractions, `NaN` and a type's letter at
//! the end among them.

use std::cmp::Ordering;

/// Where the ten digits of each script begin that `Character.digit` knows (Java 17), but for 0
/// to 9.
const ZEROS: [u16; 36] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

fn digit(character: char) -> Option<i64> {
    if let Some(digit) = character.to_digit(10) {
        return Some(i64::from(digit));
    }
    let code = u16::try_from(u32::from(character)).ok()?;
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= code)].last()?;
    (code - zero < 10).then_some(i64::from(code - zero))
}

/// `Long.valueOf`.
pub(crate) fn long(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0_i64, |so_far, character| {
        let digit = digit(character)?;
        so_far.checked_mul(10)?.checked_add(if negative { -digit } else { digit })
    })
}

/// `Integer.valueOf`.
pub(crate) fn int(text: &str) -> Option<i32> {
    long(text).and_then(|number| i32::try_from(number).ok())
}

/// `Double.valueOf`.
pub(crate) fn double(text: &str) -> Option<f64> {
    let text = text.trim_matches(|character| character <= ' ');
    let (negative, rest) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let number = match rest.as_bytes() {
        b"NaN" => f64::NAN,
        b"Infinity" => f64::INFINITY,
        [b'0', b'x' | b'X', ..] => hexadecimal(&rest.as_bytes()[2..])?,
        _ => decimal(rest)?,
    };
    Some(if negative { -number } else { number })
}

/// Digits with a point, an exponent and a letter of a type, each of which may be missing.
fn decimal(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let number = match bytes.last()? {
        b'f' | b'F' | b'd' | b'D' => &text[..text.len() - 1],
        _ => text,
    };
    let end = number.find(['e', 'E']).unwrap_or(number.len());
    let (mantissa, exponent) = number.split_at(end);
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(before) || !is_digits(after) || before.len() + after.len() == 0 {
        return None;
    }
    if !exponent.is_empty() {
        let digits = &exponent[1..];
        let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        if digits.is_empty() || !is_digits(digits) {
            return None;
        }
    }
    number.parse().ok()
}

/// What stands behind `0x`: hexadecimal digits with a point, `p`, a power of two, perhaps a letter
/// of a type.
fn hexadecimal(bytes: &[u8]) -> Option<f64> {
    let bytes = match bytes.last()? {
        b'f' | b'F' | b'd' | b'D' => &bytes[..bytes.len() - 1],
        _ => bytes,
    };
    let p = bytes.iter().position(|byte| matches!(byte, b'p' | b'P'))?;
    let mut mantissa = 0_u64;
    let (mut scale, mut digits, mut point) = (0_i64, 0, false);
    for byte in &bytes[..p] {
        if *byte == b'.' {
            if point {
                return None;
            }
            point = true;
            continue;
        }
        let digit = u64::from(char::from(*byte).to_digit(16)?);
        digits += 1;
        if mantissa < 1 << 59 {
            mantissa = mantissa * 16 + digit;
            scale -= if point { 4 } else { 0 };
        } else {
            // What is lost can only break a tie.
            mantissa |= u64::from(digit != 0);
            scale += if point { 0 } else { 4 };
        }
    }
    if digits == 0 {
        return None;
    }
    let power = &bytes[p + 1..];
    let (negative, power) = match power {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, power),
    };
    if power.is_empty() || !power.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = power.iter().fold(0_i64, |so_far, byte| {
        (so_far * 10 + i64::from(byte - b'0')).min(i64::from(i32::MAX))
    });
    let power = if negative { -magnitude } else { magnitude };
    Some(scaled(mantissa, scale + power))
}

/// `mantissa` times two to the `power`, rounded once, to even where it is a tie.
fn scaled(mantissa: u64, power: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let top = i64::from(mantissa.ilog2()) + power;
    if top > 1_023 {
        return f64::INFINITY;
    }
    // The lowest bit that a number of this size can have.
    let lowest = (top - 52).max(-1_074);
    let drop = lowest - power;
    let kept = if drop <= 0 {
        mantissa << -drop
    } else if drop > 64 {
        0
    } else {
        let wide = u128::from(mantissa);
        let (kept, rest, half) = (wide >> drop, wide & ((1 << drop) - 1), 1 << (drop - 1));
        let up = match rest.cmp(&half) {
            Ordering::Greater => 1,
            Ordering::Equal => kept & 1,
            Ordering::Less => 0,
        };
        u64::try_from(kept + up).unwrap_or(u64::MAX)
    };
    // At most 2^53, and the lowest bit is one that a double has: neither step rounds.
    let half = i32::try_from(lowest / 2).unwrap_or(0);
    let rest = i32::try_from(lowest - lowest / 2).unwrap_or(0);
    kept as f64 * 2_f64.powi(half) * 2_f64.powi(rest)
}

/// `Double.compare`: minus zero is less than zero, NaN is equal to itself and greater than all.
pub(crate) fn compare(left: f64, right: f64) -> Ordering {
    match left.partial_cmp(&right) {
        Some(Ordering::Equal) => right.is_sign_negative().cmp(&left.is_sign_negative()),
        Some(order) => order,
        None => left.is_nan().cmp(&right.is_nan()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_as_java_reads_them() {
        for (text, number) in [("+7", 7), ("-0", 0), ("００12", 12), ("٣", 3)] {
            assert_eq!(int(text), Some(number), "{text}");
        }
        for none in ["", "-", "+", " 1", "1 ", "1.0", "--1", "2147483648", "१x", "𝟎"] {
            assert_eq!(int(none), None, "{none}");
        }
        assert_eq!(int("-2147483648"), Some(i32::MIN));
        assert_eq!(long("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(long("9223372036854775808"), None);
    }

    #[test]
    fn fractions_are_read_as_java_reads_them() {
        for (text, number) in [
            (" 1.5\t", 1.5),
            ("1.", 1.0),
            (".5d", 0.5),
            ("-1e3F", -1e3),
            ("1e999", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x1p3", 8.0),
            ("-0X.8P+1d", -1.0),
            ("0x1.p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", 5e-324),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0x1.fffffffffffff7fp1023", f64::MAX),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000001p0", 1.0 + f64::EPSILON),
            ("0x100000000000000000000p-80", 1.0),
            ("0x0p99999999999", 0.0),
        ] {
            assert_eq!(double(text), Some(number), "{text}");
        }
        assert!(double("NaN").is_some_and(f64::is_nan));
        for none in [
            "",
            " ",
            "NaNf",
            "infinity",
            "Infinityd",
            "1e",
            "1e+",
            ".",
            "d",
            "1dd",
            "0x1",
            "0x.p1",
            "0xp1",
            "1 2",
            "٣",
            "0x1.2.3p1",
            "1e5.0",
            "+-1",
        ] {
            assert_eq!(double(none), None, "{none}");
        }
    }

    #[test]
    fn numbers_have_a_total_order() {
        assert_eq!(compare(-0.0, 0.0), Ordering::Less);
        assert_eq!(compare(f64::NAN, -f64::NAN), Ordering::Equal);
        assert_eq!(compare(f64::NAN, f64::INFINITY), Ordering::Greater);
        assert_eq!(compare(1.0, f64::NAN), Ordering::Less);
    }
}
