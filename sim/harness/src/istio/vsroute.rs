//! The route cases: VirtualServices of Istio's `route_test.go`, requests made for their routes, and what the routes say.
//!
//! Judged twice: the recorded answer like any corpus case, and the facts about the chosen route (`routeIndex`, `timeout`,
//! `hashPolicy` …) by the snapshot of the proxy that chose it.

use std::path::Path;

use mesh_core::ir::Route;
use mesh_reports::conformance::{CaseResult, ConformanceReport, Difference, Prediction, Verdict};
use mesh_reports::outcome::{HeaderLines, Outcome, ProxyLog};
use serde_json::{Map, Value, json};

use crate::chosen::route_at;
use crate::conformance::case::{Case, read_corpus};
use crate::conformance::{judge, predictor};
use crate::loaded::LoadedMesh;
use crate::translation::route_as_json;

/// Judges every directory `vsroute-*` of `root`.
///
/// # Errors
/// When a file cannot be read.
pub fn judge(root: &Path) -> Result<ConformanceReport, String> {
    let mut report = ConformanceReport::default();
    for mesh in read_corpus(root).map_err(|e| e.to_string())? {
        let Some(name) = mesh.name.strip_prefix("vsroute-") else { continue };
        let loaded = predictor::load(&mesh);
        for case in &mesh.cases {
            let judged = loaded.as_ref().map_err(Clone::clone).and_then(|loaded| one(loaded, case));
            report.push(result(format!("vsroute/{name}"), case, judged));
        }
    }
    Ok(report)
}

/// Differences, and what was predicted.
type Judged = (Vec<Difference>, Vec<Outcome>);

fn result(mesh: String, case: &Case, judged: Result<Judged, String>) -> CaseResult {
    let (verdict, reason, differences, predicted) = match judged {
        Ok((differences, predicted)) if differences.is_empty() => {
            (Verdict::Agree, None, differences, predicted)
        }
        Ok((differences, predicted)) => (Verdict::Disagree, None, differences, predicted),
        Err(reason) => (Verdict::Unsupported, Some(reason), Vec::new(), Vec::new()),
    };
    let predicted = predicted.into_iter().map(Prediction::from).collect();
    CaseResult { mesh, id: case.id.clone(), verdict, reason, predicted, differences, also: Vec::new() }
}

fn one(mesh: &LoadedMesh, case: &Case) -> Result<Judged, String> {
    let predicted = predictor::predict_case(mesh, case)?;
    let answer = judge::judge(case, &predicted);
    if answer.verdict == Verdict::Unsupported {
        return Err(answer.reason.unwrap_or_default());
    }
    let mut differences = answer.differences;
    for outcome in &predicted {
        let facts = facts(mesh, outcome);
        for (key, value) in &case.expected {
            if let Some(ours) = differing(key, value, &facts, outcome)? {
                differences.push(Difference {
                    key: key.clone(),
                    predicted: vec![ours],
                    observed: value.clone(),
                });
            }
        }
    }
    Ok((differences, predicted))
}

/// Facts about the route of an outcome, under the names of the cases. Empty when no route was chosen.
fn facts(mesh: &LoadedMesh, outcome: &Outcome) -> Map<String, Value> {
    let Some(log) = &outcome.client_log else { return Map::new() };
    let Some((index, route)) = chosen(mesh, log) else { return Map::new() };
    let shown = route_as_json(&route);
    let at = |pointer: &str| shown.pointer(pointer).cloned().unwrap_or(Value::Null);
    let added: Vec<Value> = match at("/responseHeadersToAdd") {
        Value::Array(list) => list.iter().map(header_line).collect(),
        _ => Vec::new(),
    };
    let removed = match at("/responseHeadersToRemove") {
        Value::Null => json!([]),
        list => list,
    };
    let retries = match at("/route/retryPolicy") {
        Value::Null => Value::Null,
        policy => json!({"attempts": policy.get("numRetries"), "on": policy.get("retryOn")}),
    };
    Map::from_iter([
        ("routeIndex".to_owned(), json!(index)),
        ("timeout".to_owned(), at("/route/timeout")),
        ("retries".to_owned(), retries),
        ("hashPolicy".to_owned(), at("/route/hashPolicy")),
        ("headersAdd".to_owned(), json!(added)),
        ("headersRemove".to_owned(), removed),
    ])
}

/// Name, value and action of an added header.
fn header_line(added: &Value) -> Value {
    let action = added.get("appendAction").cloned().unwrap_or(json!("APPEND_IF_EXISTS_OR_ADD"));
    json!([added.pointer("/header/key"), added.pointer("/header/value"), action])
}

/// The route a log line tells of, as the proxy was sent it.
fn chosen(mesh: &LoadedMesh, log: &ProxyLog) -> Option<(u32, Route)> {
    let index = log.route_index?;
    let pod = mesh.lowering.mesh.pod_by_key(&log.pod)?;
    let snapshot = mesh.lowering.snapshot(mesh.lowering.mesh.proxy_of(pod)?)?;
    let (_, route) = route_at(&snapshot, log.listener.as_deref()?, log.virtual_host.as_deref()?, index)?;
    Some((index, route.clone()))
}

/// What is predicted for a key, when it is not what the case asserts.
///
/// # Errors
/// When the key is not known here.
fn differing(
    key: &str,
    asserted: &Value,
    facts: &Map<String, Value>,
    outcome: &Outcome,
) -> Result<Option<Value>, String> {
    let ours = match key {
        "status" => json!(outcome.status),
        "connection" => json!(outcome.connection),
        "flags" => json!(outcome.flags),
        "details" => json!(outcome.details),
        "cluster" => json!(outcome.cluster),
        "route" => json!(outcome.route),
        "body" => json!(outcome.body),
        "routeIndex" | "timeout" | "retries" | "hashPolicy" => facts.get(key).cloned().unwrap_or(Value::Null),
        "response" => return response(asserted, facts, outcome),
        _ => return Err(format!("the case asserts `{key}`, which is not compared")),
    };
    Ok((ours != camel_case(asserted)).then_some(ours))
}

fn response(
    asserted: &Value,
    facts: &Map<String, Value>,
    outcome: &Outcome,
) -> Result<Option<Value>, String> {
    let Some(asserted) = asserted.as_object() else { return Err("`response` is no object".to_owned()) };
    for (key, value) in asserted {
        let ours = match (key.as_str(), value.as_object()) {
            ("headersAdd" | "headersRemove", _) => facts.get(key).cloned().unwrap_or(Value::Null),
            ("headers", Some(wanted)) => {
                let sent = outcome.response.as_ref().map(|r| &r.headers);
                let of = |name: &String| {
                    let lines = sent.and_then(|s| s.get(name)).map(HeaderLines::lines);
                    (name.clone(), lines.and_then(|l| l.first()).map_or(Value::Null, |l| json!(l)))
                };
                Value::Object(wanted.keys().map(of).collect())
            }
            _ => return Err(format!("the case asserts `response.{key}`, which is not compared")),
        };
        if ours != *value {
            return Ok(Some(json!({ (key.as_str()): ours })));
        }
    }
    Ok(None)
}

/// The cases spell Envoy's fields as in its protos, we as in its JSON.
fn camel_case(value: &Value) -> Value {
    let camel = |key: &String| {
        let mut words = key.split('_');
        let mut out = words.next().unwrap_or_default().to_owned();
        for word in words {
            let (first, rest) = word.split_at(word.len().min(1));
            out.push_str(&first.to_ascii_uppercase());
            out.push_str(rest);
        }
        out
    };
    match value {
        Value::Object(map) => Value::Object(map.iter().map(|(k, v)| (camel(k), camel_case(v))).collect()),
        Value::Array(list) => Value::Array(list.iter().map(camel_case).collect()),
        other => other.clone(),
    }
}
