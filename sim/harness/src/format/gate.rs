//! Gates of a scenario (`expect:`) as written. [`crate::gate`] evaluates them.

use std::collections::BTreeMap;
use std::fmt;

use mesh_config::decode::Spanned;
use mesh_config::source::Span;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::client::WorkloadRef;
use super::quantity::{Duration, Percent, Rate};

/// One of `expect:`. Exactly one of the subjects is set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GateWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// Shares of a host's destinations.
    pub split: Option<SplitWords>,
    /// A number of the run.
    pub metric: Option<Spanned<String>>,
    /// Requests between two workloads.
    pub edge: Option<EdgeWords>,
    /// Requests of a kind.
    pub count: Option<KindWords>,
    /// All requests are of this kind.
    pub only: Option<KindWords>,
    /// No request is of this kind, or a pod is never ejected.
    pub never: Option<KindWords>,
    /// Order of the answering pods.
    pub sequence: Option<SequenceWords>,
    /// Lines of a proxy's access log.
    pub log: Option<LogWords>,
    /// A pod is ejected.
    pub ejected: Option<Spanned<WorkloadRef>>,
    /// Requests are denied.
    pub denied: Option<DeniedWords>,
    /// `ejected`: by whose proxy.
    pub by: Option<Spanned<WorkloadRef>>,
    /// `ejected`: when.
    pub within: Option<Window>,
    /// The condition.
    #[serde(rename = "is")]
    pub condition: Option<Spanned<Condition>>,
    /// Only this traffic.
    pub traffic: Option<Spanned<String>>,
    /// Only requests that begin in this window.
    pub window: Option<Window>,
}

/// `split:`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SplitWords {
    /// Service, as a short or full name.
    pub host: Spanned<String>,
    /// What the shares are of.
    #[serde(default)]
    pub by: SplitBy,
    /// Expected shares.
    #[serde(rename = "is")]
    pub shares: BTreeMap<String, Percent>,
    /// Tolerance of an observed split; without it the configured split is meant.
    #[serde(default)]
    pub within: Option<Spanned<Percent>>,
}

/// What a split is taken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SplitBy {
    /// Subset of the DestinationRule (default).
    #[default]
    Subset,
    /// Workload.
    Workload,
    /// Single pods.
    Pod,
    /// Envoy's cluster name.
    Cluster,
    /// The pods' `version` label.
    Version,
}

/// `edge:`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeWords {
    /// Caller.
    pub from: Spanned<WorkloadRef>,
    /// Called.
    pub to: Spanned<WorkloadRef>,
}

/// A kind of requests; `never` also takes `ejected`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KindWords {
    /// Only this traffic.
    pub traffic: Option<Spanned<String>>,
    /// HTTP status.
    pub status: Option<u16>,
    /// Flags as in the access log; a single flag matches lines that contain it.
    pub flags: Option<String>,
    /// Response code details.
    pub details: Option<String>,
    /// `ok`, `reset`, `refused`, `closed`, `timeout`
    pub connection: Option<String>,
    /// A pod (only in `never`).
    pub ejected: Option<Spanned<WorkloadRef>>,
}

/// `sequence:`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SequenceWords {
    /// Traffic.
    pub traffic: Spanned<String>,
    /// Whether the answering pods follow a strict rotation.
    pub alternates: bool,
}

/// `log:`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogWords {
    /// Whose proxy.
    pub proxy: Spanned<WorkloadRef>,
    /// Flags as in the access log.
    #[serde(default)]
    pub flags: Option<String>,
    /// Response code details.
    #[serde(default)]
    pub details: Option<String>,
    /// Response code.
    #[serde(default)]
    pub status: Option<u16>,
}

/// `denied:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeniedWords {
    /// Only this traffic.
    pub traffic: Option<Spanned<String>>,
    /// `Kind/namespace/name`
    pub by: Option<Spanned<String>>,
    /// Share of the traffic; default more than none.
    pub share: Option<Percent>,
}

/// A span of simulated time, `10s..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Begin.
    pub from: Duration,
    /// End; `None` = the end of the run.
    pub until: Option<Duration>,
}

impl Window {
    /// Parses `10s..20s`, `10s..end`, `..20s`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Window> {
        let (from, until) = text.split_once("..")?;
        let from = match from.trim() {
            "" | "start" => Duration(0),
            word => Duration::parse(word)?,
        };
        let until = match until.trim() {
            "" | "end" => None,
            word => Some(Duration::parse(word)?),
        };
        until.is_none_or(|u| u >= from).then_some(Window { from, until })
    }
}

/// `>= 99.5%`: a comparison with a number. Percentages are shares, durations milliseconds, rates per second.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: f64,
    /// In which unit it was written.
    pub unit: Unit,
    /// As written.
    pub text: String,
}

/// Comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `==`, `=` or nothing
    Equal,
    /// `!=`
    Different,
    /// `>=`
    AtLeast,
    /// `>`
    More,
}

/// Units a number can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `3`
    Plain,
    /// `99%`
    Percent,
    /// `300ms`
    Duration,
    /// `100/s`
    Rate,
}

impl Condition {
    /// Parses `<op> <quantity>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Condition> {
        const SIGNS: [(&str, Comparison); 7] = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("==", Comparison::Equal),
            ("!=", Comparison::Different),
            ("<", Comparison::Less),
            (">", Comparison::More),
            ("=", Comparison::Equal),
        ];
        let text = text.trim();
        let (comparison, rest) = SIGNS
            .iter()
            .find_map(|(sign, c)| text.strip_prefix(sign).map(|rest| (*c, rest)))
            .unwrap_or((Comparison::Equal, text));
        let rest = rest.trim();
        let (value, unit) = if let Ok(number) = rest.parse::<f64>() {
            (number, Unit::Plain)
        } else if rest.ends_with('%') {
            (Percent::parse(rest)?.0, Unit::Percent)
        } else if rest.contains('/') {
            (Rate::parse(rest)?.0, Unit::Rate)
        } else {
            (Duration::parse(rest)?.0 as f64 / 1e6, Unit::Duration)
        };
        value.is_finite().then(|| Condition { comparison, value, unit, text: text.to_owned() })
    }

    /// Whether the value fits.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.value,
            Comparison::AtMost => value <= self.value,
            Comparison::Equal => (value - self.value).abs() <= 1e-12 * self.value.abs().max(1.0),
            Comparison::Different => (value - self.value).abs() > 1e-12 * self.value.abs().max(1.0),
            Comparison::AtLeast => value >= self.value,
            Comparison::More => value > self.value,
        }
    }
}

struct WindowVisitor;

impl Visitor<'_> for WindowVisitor {
    type Value = Window;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a window such as `10s..end`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Window, E> {
        Window::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(WindowVisitor)
    }
}

struct ConditionVisitor;

impl Visitor<'_> for ConditionVisitor {
    type Value = Condition;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a condition such as `>= 99.5%`, `< 300ms` or `== 4`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Condition, E> {
        Condition::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Condition, E> {
        self.visit_str(&n.to_string())
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Condition, E> {
        self.visit_str(&n.to_string())
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ConditionVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        for (text, value, unit, fits, fails) in [
            (">= 99.5%", 0.995, Unit::Percent, 0.995, 0.99),
            ("< 300ms", 300.0, Unit::Duration, 299.0, 300.0),
            ("== 4", 4.0, Unit::Plain, 4.0, 5.0),
            ("> 100/s", 100.0, Unit::Rate, 101.0, 100.0),
            ("3", 3.0, Unit::Plain, 3.0, 2.0),
            ("!= 0", 0.0, Unit::Plain, 1.0, 0.0),
        ] {
            let condition = Condition::parse(text).expect(text);
            assert_eq!((condition.value, condition.unit), (value, unit), "{text}");
            assert!(condition.holds(fits) && !condition.holds(fails), "{text}");
        }
        assert!(Condition::parse(">= many").is_none());
    }

    #[test]
    fn windows() {
        let window = |text| Window::parse(text).map(|w| (w.from.0, w.until.map(|u| u.0)));
        assert_eq!(window("10s..end"), Some((10_000_000_000, None)));
        assert_eq!(window("0s..1ms"), Some((0, Some(1_000_000))));
        assert_eq!(window("2s..1s"), None);
        assert_eq!(window("2s"), None);
    }
}
