//! Quantities: durations in Go's grammar, percentages, rates.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A duration, ns. Written `1.5s`, `250ms`, `1h2m`, or `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(pub u64);

impl Duration {
    /// Parses Go's grammar. Negative durations and those above 292 years are refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Duration> {
        const UNITS: [(&str, u64); 8] = [
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("μs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ];
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest == "0" {
            return Some(Duration(0));
        }
        if rest.is_empty() {
            return None;
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at(end);
            let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
            total = total.checked_add(scaled(number, scale)?)?;
            rest = tail;
        }
        (total <= i64::MAX as u64).then_some(Duration(total))
    }
}

/// `number * scale` with a decimal fraction, cut off below one.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut part: u64 = 0;
    let mut unit = scale;
    for digit in fraction.chars() {
        unit /= 10;
        part += u64::from(digit.to_digit(10)?) * unit;
    }
    whole.checked_mul(scale)?.checked_add(part)
}

/// A percentage as a share of one: `90%` is 0.9. A bare number counts as percent too.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Percent(pub f64);

impl Percent {
    /// Parses `90%` or `90`; what is written below 0 is refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Percent> {
        let number: f64 = text.trim().trim_end_matches('%').trim_end().parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(Percent(number / 100.0))
    }
}

/// A rate, per second. Written `100/s`, `6000/m`, or a bare number per second.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Rate(pub f64);

impl Rate {
    /// Parses `100/s`, `100/m`, `100/h`, `100/ms` and `100`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Rate> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let number: f64 = number.trim().parse().ok()?;
        let seconds = match unit.trim() {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        (number.is_finite() && number >= 0.0).then_some(Rate(number / seconds))
    }
}

struct Words<T> {
    expecting: &'static str,
    parse: fn(&str) -> Option<T>,
    number: fn(f64) -> Option<T>,
}

impl<T> Visitor<'_> for Words<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<T, E> {
        (self.number)(n as f64).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(n), &self))
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<T, E> {
        (self.number)(n as f64).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(n), &self))
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<T, E> {
        (self.number)(n).ok_or_else(|| E::invalid_value(de::Unexpected::Float(n), &self))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Words {
            expecting: "a duration such as `250ms` or `1.5s`",
            parse: Duration::parse,
            number: |n| (n == 0.0).then_some(Duration(0)),
        })
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Words {
            expecting: "a percentage such as `90%`",
            parse: Percent::parse,
            number: |n| (n.is_finite() && n >= 0.0).then_some(Percent(n / 100.0)),
        })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Words {
            expecting: "a rate such as `100/s`",
            parse: Rate::parse,
            number: |n| (n.is_finite() && n >= 0.0).then_some(Rate(n)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        for (text, ns) in [
            ("250ms", Some(250_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1h2m3.25s", Some(3_723_250_000_000)),
            (".5us", Some(500)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("-1s", None),
            ("1d", None),
            ("s", None),
            ("9999999999h", None),
        ] {
            assert_eq!(Duration::parse(text).map(|d| d.0), ns, "{text}");
        }
    }

    #[test]
    fn percentages_and_rates() {
        assert_eq!(Percent::parse("2.5%"), Some(Percent(0.025)));
        assert_eq!(Percent::parse("-1%"), None);
        assert_eq!(Rate::parse("120/m"), Some(Rate(2.0)));
        assert_eq!(Rate::parse("5/day"), None);
    }
}
