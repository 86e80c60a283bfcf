//! The scalar types of the APIs that are neither plain strings nor plain numbers: durations, percentages, integer-or-string.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A duration as Go's `time.ParseDuration` reads it (`1.5s`, `250ms`, `1h2m`), in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    /// Nanoseconds; negative values parse, as in Go, and are for the checks to refuse.
    pub ns: i64,
}

impl Duration {
    /// A duration of so many nanoseconds.
    pub const fn from_ns(ns: i64) -> Self {
        Self { ns }
    }

    /// A duration of so many whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self { ns: secs.saturating_mul(1_000_000_000) }
    }

    /// Parses Go's grammar: an optional sign, then `0` or a sequence of decimal numbers each with a unit.
    /// Errors name what Go would complain about.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad =
            |why: &str| Err(format!("`{text}` is not a duration: {why} (write `1.5s`, `250ms` or `1m30s`)"));
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self { ns: 0 });
        }
        if rest.is_empty() {
            return bad("there is no number");
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(number_len);
            let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, next) = after.split_at(unit_len);
            let Some(scale) = unit_ns(unit) else {
                return bad(if unit.is_empty() { "the unit is missing" } else { "the unit is unknown" });
            };
            let Some(part) = scaled(number, scale) else {
                return bad("the number is malformed");
            };
            total += part;
            if total > i128::from(i64::MAX) {
                return bad("it is too large");
            }
            rest = next;
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed).map(|ns| Self { ns }).or_else(|_| bad("it is too large"))
    }
}

/// Nanoseconds of one unit; Go knows exactly these.
fn unit_ns(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` (digits with at most one point) times `scale`, cut off below a nanosecond as Go does.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut value = if whole.is_empty() { 0 } else { i128::from(whole.parse::<i64>().ok()?) * scale };
    let mut place = scale;
    for digit in fraction.bytes() {
        // Ten to the n-th part; below one nanosecond nothing is left to add.
        value += i128::from(digit - b'0') * place / 10;
        place /= 10;
        if place == 0 {
            break;
        }
    }
    Some(value)
}

impl fmt::Display for Duration {
    /// As Go's `Duration.String` prints it: `1.5s`, `250ms`, `1m30s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.ns.unsigned_abs();
        if self.ns < 0 {
            f.write_str("-")?;
        }
        let decimal = |f: &mut fmt::Formatter<'_>, value: u64, scale: u64, unit: &str| {
            let fraction = format!("{:0width$}", value % scale, width = scale.ilog10() as usize);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            write!(f, "{}{point}{fraction}{unit}", value / scale)
        };
        match ns {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{ns}ns"),
            1_000..1_000_000 => decimal(f, ns, 1_000, "\u{b5}s"),
            1_000_000..1_000_000_000 => decimal(f, ns, 1_000_000, "ms"),
            _ => {
                let minutes = ns / 60_000_000_000;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                decimal(f, ns % 60_000_000_000, 1_000_000_000, "s")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `1.5s`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                Duration::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A `uint64` of Istio's APIs, which JSON may carry as text.
///
/// # Errors
/// When it is neither a number nor the text of one.
pub fn uint64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Number;
    impl Visitor<'_> for Number {
        type Value = u64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
            u64::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            text.parse().map_err(|_| E::invalid_type(de::Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(Number)
}

/// A percentage, `{value: 12.5}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Percent {
    /// 0 to 100.
    pub value: f64,
}

/// Kubernetes' `IntOrString`: a port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A name (or a number in quotes, which Kubernetes treats as a name).
    Text(String),
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = IntOrString;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or a string")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<IntOrString, E> {
                Ok(IntOrString::Int(number))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<IntOrString, E> {
                i64::try_from(number).map(IntOrString::Int).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<IntOrString, E> {
                Ok(IntOrString::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn durations_are_go_durations() {
        for (text, ns) in [
            ("0", 0),
            ("0s", 0),
            ("1s", 1_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("250ms", 250_000_000),
            ("1h2m3s", 3_723_000_000_000),
            ("-2m", -120_000_000_000),
            ("10us", 10_000),
            ("7ns", 7),
            ("0.0000000001s", 0),
        ] {
            assert_eq!(Duration::parse(text), Ok(Duration { ns }), "{text}");
        }
        for text in ["", "5", "s", ".s", "1x", "1.2.3s", "1s2", " 1s", "3000000h", "1 s"] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_as_go_prints_them() {
        for text in ["0s", "7ns", "1.5s", "250ms", "1m30s", "1h0m0s", "-2m0s", "1.000000001s", "10.5\u{b5}s"]
        {
            assert_eq!(Duration::parse(text).map(|d| d.to_string()), Ok(text.to_owned()));
        }
    }
}
