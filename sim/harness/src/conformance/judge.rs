//! Compares one recorded case with its prediction (FORMATS section 4): agree, disagree or unsupported.
//!
//! Without `chance` *every* predicted outcome must equal the observation: a prediction that leaves open what the mesh
//! decided is wrong. With `chance` some outcome must. With `repeat` the fixed keys hold for all but outcomes too rare
//! to be seen, and the counts fit the probabilities at [`ALPHA`].

use mesh_core::decide::SYMBOLIC_PEM;
use mesh_reports::conformance::{Difference, Verdict};
use mesh_reports::outcome::Outcome;
use serde_json::{Map, Value};

use super::case::Case;
use super::counts::{Splits, improbable};

/// False-alarm rate of every statistical comparison.
pub const ALPHA: f64 = 1e-6;

/// Keys compared as a whole.
const KEYS: [&str; 8] = ["status", "connection", "flags", "details", "cluster", "route", "workload", "mtls"];
/// Keys of `observed.upstream` compared as a whole.
const UPSTREAM_KEYS: [&str; 3] = ["method", "path", "authority"];
/// Keys shown when they differ, without counting.
const ALSO_KEYS: [&str; 2] = ["answer", "received"];
/// Log fields shown when they differ, without counting.
const LOG_KEYS: [&str; 26] = [
    "code",
    "flags",
    "details",
    "cluster",
    "route",
    "upstream_host",
    "authority",
    "path",
    "attempts",
    "conn_details",
    "listener",
    "filter_chain",
    "peer",
    "log",
    "pod",
    "dir",
    "method",
    "protocol",
    "upstream_protocol",
    "sni",
    "upstream_peer",
    "local",
    "remote",
    "direct_remote",
    "virtual_host",
    "route_index",
];

/// Verdict and evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why there is no prediction.
    pub reason: Option<String>,
    /// Keys that decided against the case.
    pub differences: Vec<Difference>,
    /// Keys that differ without counting.
    pub also: Vec<Difference>,
}

/// Judges a case. An empty prediction, or one with an unknown part, is unsupported.
#[must_use]
pub fn judge(case: &Case, predicted: &[Outcome]) -> Judgement {
    let unknown: Vec<String> = predicted
        .iter()
        .flat_map(|o| &o.unknown)
        .map(|u| match &u.place {
            Some(place) => format!("{} at {place}", u.what),
            None => u.what.clone(),
        })
        .collect();
    if predicted.is_empty() || !unknown.is_empty() {
        let reason = unknown.first().cloned().unwrap_or_else(|| "no outcome was predicted".to_owned());
        return Judgement {
            verdict: Verdict::Unsupported,
            reason: Some(reason),
            differences: vec![],
            also: vec![],
        };
    }
    let rows: Vec<Row> = predicted.iter().map(|o| Row::new(case, o)).collect();
    let differences = match case.repeat {
        Some(n) if n > 1 => repeated(case, &rows, n),
        _ => single(case, &rows),
    };
    let also = if differences.is_empty() { unweighed(case, &rows) } else { Vec::new() };
    let verdict = if differences.is_empty() { Verdict::Agree } else { Verdict::Disagree };
    Judgement { verdict, reason: None, differences, also }
}

/// A predicted outcome beside the keys in which it differs from the observation.
struct Row {
    p: f64,
    value: Value,
    differing: Vec<(String, Value, Value)>,
}

impl Row {
    fn new(case: &Case, outcome: &Outcome) -> Row {
        let value = serde_json::to_value(outcome).unwrap_or(Value::Null);
        let differing = differing_keys(&case.observed, &value);
        Row { p: outcome.p, value, differing }
    }
}

fn single(case: &Case, rows: &[Row]) -> Vec<Difference> {
    let agreeing = rows.iter().filter(|r| r.differing.is_empty()).count();
    let agrees = if case.chance.is_some() { agreeing > 0 } else { agreeing == rows.len() };
    if agrees { Vec::new() } else { collect(rows.iter()) }
}

fn repeated(case: &Case, rows: &[Row], n: u32) -> Vec<Difference> {
    // An outcome that contradicts what was equal every time may still be too rare to have been seen.
    let contradicting: f64 = rows.iter().filter(|r| !r.differing.is_empty()).map(|r| r.p).sum();
    let unseen = libm::pow((1.0 - contradicting).max(0.0), f64::from(n));
    if unseen < ALPHA {
        return collect(rows.iter().filter(|r| !r.differing.is_empty()));
    }
    let mut differences = Vec::new();
    for splits in Splits::observed(&case.observed) {
        let weighted = rows.iter().map(|r| (splits.category(&r.value), r.p));
        if improbable(weighted, &splits.counts, n, ALPHA) {
            let shares = splits.expected(rows.iter().map(|r| (&r.value, r.p)), n);
            let observed = case.observed.get(splits.key).cloned().unwrap_or(Value::Null);
            differences.push(Difference { key: splits.key.to_owned(), predicted: vec![shares], observed });
        }
    }
    differences
}

/// Differences by key, each with its distinct predicted values.
fn collect<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Difference> {
    let mut differences: Vec<Difference> = Vec::new();
    for (key, predicted, observed) in rows.flat_map(|r| &r.differing) {
        match differences.iter_mut().find(|d| d.key == *key) {
            Some(known) if known.predicted.contains(predicted) => {}
            Some(known) => known.predicted.push(predicted.clone()),
            None => differences.push(Difference {
                key: key.clone(),
                predicted: vec![predicted.clone()],
                observed: observed.clone(),
            }),
        }
    }
    differences
}

/// The keys in which a prediction differs: (key, predicted, observed).
fn differing_keys(observed: &Map<String, Value>, predicted: &Value) -> Vec<(String, Value, Value)> {
    let mut out = Vec::new();
    let of = |key: &str| predicted.get(key).cloned().unwrap_or(Value::Null);
    for key in KEYS {
        let Some(seen) = observed.get(key) else { continue };
        let either = key == "connection" && observed.get("connection_also") == Some(&of(key));
        if of(key) != *seen && !either {
            out.push((key.to_owned(), of(key), seen.clone()));
        }
    }
    // `body` is recorded for replies of proxies only; its absence says nothing.
    if let Some(body) = observed.get("body").filter(|b| **b != of("body")) {
        out.push(("body".to_owned(), of("body"), body.clone()));
    }
    if let Some(Value::Object(seen)) = observed.get("upstream") {
        let upstream = of("upstream");
        for key in UPSTREAM_KEYS {
            let value = upstream.get(key).cloned().unwrap_or(Value::Null);
            if let Some(seen) = seen.get(key).filter(|s| **s != value) {
                out.push((format!("upstream.{key}"), value, seen.clone()));
            }
        }
        differing_headers("upstream", seen, &upstream, &mut out);
    }
    if let Some(Value::Object(seen)) = observed.get("response") {
        differing_headers("response", seen, &of("response"), &mut out);
    }
    out
}

fn differing_headers(
    part: &str,
    observed: &Map<String, Value>,
    predicted: &Value,
    out: &mut Vec<(String, Value, Value)>,
) {
    let Some(Value::Object(seen)) = observed.get("headers") else { return };
    let none = Map::new();
    let said = predicted.get("headers").and_then(Value::as_object).unwrap_or(&none);
    let names = seen.keys().chain(said.keys().filter(|n| !seen.contains_key(*n)));
    for name in names {
        let (predicted, observed) = (said.get(name), seen.get(name));
        if !same_header(predicted, observed) {
            let or_null = |v: Option<&Value>| v.cloned().unwrap_or(Value::Null);
            out.push((format!("{part}.headers.{name}"), or_null(predicted), or_null(observed)));
        }
    }
}

/// Equal lines, where `"*"` in a recorded value stands for a generated one. The signature of a token that we made
/// ourselves (`<header>.<payload>.mesh-sim-<key>`) and the bytes of a certificate are not compared: the recorder's keys
/// are not ours.
fn same_header(predicted: Option<&Value>, observed: Option<&Value>) -> bool {
    match (predicted, observed) {
        (Some(Value::String(said)), Some(Value::String(seen))) => same_line(said, seen),
        (Some(Value::Array(said)), Some(Value::Array(seen))) => {
            said.len() == seen.len() && said.iter().zip(seen).all(|(a, b)| same_header(Some(a), Some(b)))
        }
        (said, seen) => said == seen,
    }
}

fn same_line(said: &str, seen: &str) -> bool {
    if said == seen {
        return true;
    }
    if said.contains(SYMBOLIC_PEM) {
        return said == without_certificates(seen);
    }
    if let Some((before, after)) = seen.split_once("\"*\"") {
        return said.starts_with(before) && said.ends_with(after) && said.len() >= before.len() + after.len();
    }
    match (said.rsplit_once('.'), seen.rsplit_once('.')) {
        (Some((said, signature)), Some((seen, _))) => {
            crate::tokens::is_symbolic_signature(signature) && said == seen
        }
        _ => false,
    }
}

/// `x-forwarded-client-cert` with our symbol in place of every certificate.
fn without_certificates(line: &str) -> String {
    let mut parts = line.split("Cert=\"");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once('"').map_or("", |(_, rest)| rest);
        out.push_str(&format!("Cert=\"{SYMBOLIC_PEM}\"{rest}"));
    }
    out
}

/// What differs without counting: log fields and what else arrived. Only for rows that agree.
fn unweighed(case: &Case, rows: &[Row]) -> Vec<Difference> {
    let mut out: Vec<Difference> = Vec::new();
    for row in rows.iter().filter(|r| r.differing.is_empty()) {
        let mut compare = |key: String, predicted: &Value, observed: &Value| {
            if predicted != observed && !out.iter().any(|d| d.key == key) {
                out.push(Difference { key, predicted: vec![predicted.clone()], observed: observed.clone() });
            }
        };
        for key in ALSO_KEYS {
            if let Some(seen) = case.observed.get(key) {
                compare(key.to_owned(), row.value.get(key).unwrap_or(&Value::Null), seen);
            }
        }
        if case.repeat.is_some() {
            continue;
        }
        for (side, log) in [("client_log", &case.client_log), ("server_log", &case.server_log)] {
            let Some(log) = log else { continue };
            for key in LOG_KEYS.into_iter().filter(|k| log.contains_key(*k)) {
                let said = row.value.get(side).and_then(|l| l.get(key)).unwrap_or(&Value::Null);
                compare(format!("{side}.{key}"), said, log.get(key).unwrap_or(&Value::Null));
            }
        }
    }
    out
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
