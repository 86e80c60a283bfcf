//! What Istio's test asserts about a call, compared with every predicted outcome.
//!
//! A test's repeated calls are judged on the exact predicted probabilities. An assertion whose key is not known here
//! is never passed over: it is told as [`Finding::Unjudged`].

use std::collections::BTreeSet;

use mesh_reports::conformance::Difference;
use mesh_reports::outcome::{Connection, HeaderMap, Outcome};
use serde_json::{Map, Value, json};

use super::directory::Line;

/// Slack of predicted shares against configured ones, in percent points: rounding only.
const SHARE_SLACK: f64 = 0.5;

/// What speaks against an agreement.
pub(super) enum Finding {
    /// A key differs.
    Differs(Difference),
    /// A key cannot be judged.
    Unjudged(String),
}

/// Compares the assertions of a line with its outcomes. `follow` predicts the call that a redirect leads to.
pub(super) fn judge(
    line: &Line,
    outcomes: &[Outcome],
    follow: impl Fn(&str) -> Result<Vec<Outcome>, String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, want) in &line.expected {
        match key.as_str() {
            // Said of all outcomes together.
            "split" => findings.extend(split(want, outcomes)),
            "splitWithin" => {}
            "consistent" => findings.extend(consistent(want, outcomes)),
            "mirror" => findings.extend(mirror(want, outcomes)),
            "afterRedirect" => findings.extend(after_redirect(line, want, outcomes, &follow)),
            // Said of every one.
            _ => findings.extend(each(line, key, want, outcomes)),
        }
    }
    findings
}

fn differs(key: &str, predicted: Vec<Value>, want: &Value) -> Finding {
    Finding::Differs(Difference { key: format!("expected.{key}"), predicted, observed: want.clone() })
}

fn each(line: &Line, key: &str, want: &Value, outcomes: &[Outcome]) -> Option<Finding> {
    let mut predicted = Vec::new();
    for outcome in outcomes {
        match holds(line, key, want, outcome) {
            Ok(None) => {}
            Ok(Some(got)) if predicted.contains(&got) => {}
            Ok(Some(got)) => predicted.push(got),
            Err(reason) => return Some(Finding::Unjudged(reason)),
        }
    }
    (!predicted.is_empty()).then(|| differs(key, predicted, want))
}

/// `Ok(None)` when the assertion holds, what was predicted instead when it does not.
fn holds(line: &Line, key: &str, want: &Value, outcome: &Outcome) -> Result<Option<Value>, String> {
    let unless = |good: bool, got: Value| Ok((!good).then_some(got));
    let equal = |got: Value| unless(got == *want, got);
    match key {
        "status" => equal(json!(outcome.status)),
        "connection" => connection(want, outcome),
        "verdict" => {
            let got = verdicts(outcome);
            unless(want.as_str().is_some_and(|w| got.contains(&w)), json!(got))
        }
        "grpcStatus" => equal(json!(grpc_status(outcome))),
        "mtls" => equal(json!(outcome.mtls)),
        "flags" => equal(json!(outcome.flags)),
        "details" => equal(json!(outcome.details)),
        "body" => equal(json!(outcome.body)),
        "bodyContains" => {
            let text = want.as_str().unwrap_or_default();
            unless(contains(outcome, text), json!(outcome.body))
        }
        "reached" => {
            // A test that names no target only asks for an application's answer.
            let got = outcome.workload.as_deref();
            let reached = |w: &str| line.to.as_deref().is_none_or(|to| serves(w, to));
            unless(got.is_some_and(reached), json!(got))
        }
        "not" => {
            let other = object(want)?;
            let all = all_hold(line, other, outcome)?;
            unless(!all, shown(outcome))
        }
        "anyOf" => {
            let list = want.as_array().ok_or("`anyOf` is no list")?;
            for one in list {
                if all_hold(line, object(one)?, outcome)? {
                    return Ok(None);
                }
            }
            Ok(Some(shown(outcome)))
        }
        "upstream" => upstream(object(want)?, outcome),
        "response" => response(object(want)?, outcome),
        other => Err(format!("the assertion `{other}` is not judged")),
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{value} is no mapping"))
}

fn all_hold(line: &Line, wanted: &Map<String, Value>, outcome: &Outcome) -> Result<bool, String> {
    for (key, want) in wanted {
        if holds(line, key, want, outcome)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn shown(outcome: &Outcome) -> Value {
    json!({"status": outcome.status, "connection": outcome.connection.text(), "flags": outcome.flags})
}

/// `ok`, or `failed` = any failure below HTTP.
fn connection(want: &Value, outcome: &Outcome) -> Result<Option<Value>, String> {
    let got = outcome.connection;
    let good = match want.as_str() {
        Some("ok") => got == Connection::Ok,
        Some("failed") => got != Connection::Ok,
        _ => return Err(format!("the connection {want} is not judged")),
    };
    Ok((!good).then(|| json!(got.text())))
}

/// The verdicts an outcome may be called by. The words of the tests are wider than ours: a call that failed because a
/// policy let nobody in is as often called denied as failed.
fn verdicts(outcome: &Outcome) -> Vec<&'static str> {
    let refused = matches!(outcome.status, Some(401 | 403)) || grpc_status(outcome) == Some(7);
    match (outcome.connection, outcome.status) {
        (Connection::Ok, _) if refused => vec!["denied"],
        (Connection::Ok, None) => vec!["allowed"],
        (Connection::Ok, Some(status)) if status < 400 && matches!(grpc_status(outcome), None | Some(0)) => {
            vec!["allowed"]
        }
        (Connection::Ok, _) => vec!["failed"],
        _ => vec!["denied", "failed"],
    }
}

/// As the client saw it: the proxies' logs tell; the tests' own servers answer 0.
fn grpc_status(outcome: &Outcome) -> Option<u32> {
    let logged = outcome.client_log.iter().chain(&outcome.server_log).find_map(|l| l.grpc_status);
    let is_grpc = || {
        let kind = outcome.upstream.as_ref().and_then(|u| u.headers.get("content-type"));
        kind.is_some_and(|k| k.lines().iter().any(|l| l.starts_with("application/grpc")))
    };
    logged.or_else(|| (outcome.workload.is_some() && outcome.status == Some(200) && is_grpc()).then_some(0))
}

/// The tests' servers answer with what they received.
fn contains(outcome: &Outcome, text: &str) -> bool {
    if let Some(upstream) = outcome.upstream.as_ref().filter(|_| outcome.workload.is_some()) {
        let echoed = upstream.headers.values().flat_map(|h| h.lines()).any(|line| line.contains(text));
        return echoed || upstream.path.contains(text);
    }
    outcome.body.as_deref().is_some_and(|b| b.contains(text))
}

/// Whether `ns/workload#ordinal` belongs to the service `ns/name`: the tests name workloads `<service>-<version>`.
fn serves(workload: &str, service: &str) -> bool {
    let Some((namespace, name)) = workload.split_once('/') else { return false };
    let name = name.split('#').next().unwrap_or(name);
    let (wanted_namespace, wanted) = service.split_once('/').unwrap_or((namespace, service));
    let versioned = name.rsplit_once('-').is_some_and(|(n, version)| n == wanted && version.starts_with('v'));
    namespace == wanted_namespace && (name == wanted || versioned)
}

fn upstream(wanted: &Map<String, Value>, outcome: &Outcome) -> Result<Option<Value>, String> {
    let Some(got) = &outcome.upstream else { return Ok(Some(Value::Null)) };
    for (key, want) in wanted {
        let value = match key.as_str() {
            "authority" => json!(got.authority.as_deref().unwrap_or("")),
            "path" => json!(got.path),
            // The tests' servers say `HTTP/2.0`.
            "protocol" => json!(if got.protocol == "HTTP/2" { "HTTP/2.0" } else { &got.protocol }),
            "alpn" => json!(if got.protocol == "HTTP/2" { "h2" } else { "http/1.1" }),
            "headers" => match differing_header(object(want)?, &got.headers) {
                Some(header) => return Ok(Some(header)),
                None => continue,
            },
            other => return Err(format!("the assertion `upstream.{other}` is not judged")),
        };
        if value != *want {
            return Ok(Some(json!({key: value})));
        }
    }
    Ok(None)
}

fn response(wanted: &Map<String, Value>, outcome: &Outcome) -> Result<Option<Value>, String> {
    let none = HeaderMap::new();
    let got = outcome.response.as_ref().map_or(&none, |r| &r.headers);
    for (key, want) in wanted {
        match key.as_str() {
            "headers" => {
                if let Some(header) = differing_header(object(want)?, got) {
                    return Ok(Some(header));
                }
            }
            other => return Err(format!("the assertion `response.{other}` is not judged")),
        }
    }
    Ok(None)
}

/// "" stands for absent or empty.
fn differing_header(wanted: &Map<String, Value>, got: &HeaderMap) -> Option<Value> {
    wanted.iter().find_map(|(name, want)| {
        let value = got.get(name).map(|h| h.lines().join(",")).unwrap_or_default();
        (want.as_str() != Some(&value)).then(|| json!({name: value}))
    })
}

fn split(want: &Value, outcomes: &[Outcome]) -> Option<Finding> {
    let Some(wanted) = want.as_object() else {
        return Some(Finding::Unjudged("`split` is no mapping".into()));
    };
    let share = |service: &str| {
        let of = |o: &&Outcome| o.workload.as_deref().is_some_and(|w| serves(w, service));
        100.0 * outcomes.iter().filter(of).map(|o| o.p).sum::<f64>()
    };
    let got: Map<String, Value> = wanted.keys().map(|s| (s.clone(), json!(share(s)))).collect();
    let off = wanted.iter().any(|(s, w)| (w.as_f64().unwrap_or(-1.0) - share(s)).abs() > SHARE_SLACK);
    off.then(|| differs("split", vec![Value::Object(got)], want))
}

fn consistent(want: &Value, outcomes: &[Outcome]) -> Option<Finding> {
    let workloads: BTreeSet<Option<&str>> = outcomes.iter().map(|o| o.workload.as_deref()).collect();
    let got = json!(workloads.len() == 1);
    (got != *want).then(|| differs("consistent", vec![json!(workloads)], want))
}

fn mirror(want: &Value, outcomes: &[Outcome]) -> Option<Finding> {
    let (Some(to), Some(percent)) = (want["to"].as_str(), want["percent"].as_f64()) else {
        return Some(Finding::Unjudged("`mirror` names no target".into()));
    };
    // A host of an external service stands for the workloads that serve it.
    let first = to.split('.').next().unwrap_or(to);
    let external = to.contains('.');
    let mirrored = |o: &&Outcome| {
        o.received.iter().any(|r| match external {
            true => o.workload.as_deref() != Some(&r.workload) && !serves(&r.workload, first),
            false => serves(&r.workload, first),
        })
    };
    let share = 100.0 * outcomes.iter().filter(mirrored).map(|o| o.p).sum::<f64>();
    ((share - percent).abs() > SHARE_SLACK).then(|| differs("mirror", vec![json!(share)], want))
}

fn after_redirect(
    line: &Line,
    want: &Value,
    outcomes: &[Outcome],
    follow: &impl Fn(&str) -> Result<Vec<Outcome>, String>,
) -> Vec<Finding> {
    let Some(wanted) = want.as_object() else { return vec![Finding::Unjudged("no mapping".into())] };
    let mut findings = Vec::new();
    for outcome in outcomes {
        let location = outcome.response.as_ref().and_then(|r| r.headers.get("location"));
        let Some(location) = location.and_then(|l| l.lines().first()) else {
            findings.push(differs("afterRedirect", vec![Value::Null], want));
            continue;
        };
        match follow(location) {
            Err(reason) => findings.push(Finding::Unjudged(reason)),
            Ok(next) => findings.extend(wanted.iter().filter_map(|(k, w)| each(line, k, w, &next))),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(expected: Value) -> Line {
        let text = json!({"id": "1", "from": "a/b", "request": {}, "expected": expected, "to": "echo/b"});
        serde_json::from_value(text).expect("line")
    }

    fn outcome(status: Option<u16>, connection: Connection) -> Outcome {
        Outcome { p: 1.0, status, connection, ..Outcome::default() }
    }

    fn verdict(expected: Value, outcomes: &[Outcome]) -> &'static str {
        let nowhere = |_: &str| Err("nowhere".to_owned());
        match judge(&line(expected), outcomes, nowhere).first() {
            None => "agree",
            Some(Finding::Differs(_)) => "differs",
            Some(Finding::Unjudged(_)) => "unjudged",
        }
    }

    #[test]
    fn every_outcome_must_hold_and_unknown_assertions_are_told() {
        let (good, bad) = (outcome(Some(200), Connection::Ok), outcome(Some(503), Connection::Ok));
        let reset = outcome(None, Connection::Reset);
        assert_eq!(verdict(json!({"status": 200}), std::slice::from_ref(&good)), "agree");
        assert_eq!(verdict(json!({"status": 200}), &[good.clone(), bad.clone()]), "differs");
        assert_eq!(verdict(json!({"not": {"status": 200}}), std::slice::from_ref(&bad)), "agree");
        assert_eq!(verdict(json!({"not": {"status": 200}}), std::slice::from_ref(&good)), "differs");
        let either = json!({"anyOf": [{"connection": "failed"}, {"status": 403}]});
        assert_eq!(verdict(either.clone(), std::slice::from_ref(&reset)), "agree");
        assert_eq!(verdict(either, std::slice::from_ref(&bad)), "differs");
        assert_eq!(verdict(json!({"verdict": "denied"}), &[reset]), "agree");
        assert_eq!(verdict(json!({"verdict": "denied"}), &[bad]), "differs");
        assert_eq!(verdict(json!({"colour": "blue"}), &[good]), "unjudged");
    }

    #[test]
    fn shares_are_exact() {
        let at = |workload: &str, p: f64| Outcome {
            workload: Some(workload.to_owned()),
            p,
            ..outcome(Some(200), Connection::Ok)
        };
        let both = [at("echo/b-v1#0", 0.8), at("echo/c-v1#0", 0.2)];
        assert_eq!(verdict(json!({"split": {"b": 80.0, "c": 20.0}, "splitWithin": 6.0}), &both), "agree");
        assert_eq!(verdict(json!({"split": {"b": 78.0, "c": 22.0}, "splitWithin": 6.0}), &both), "differs");
        assert_eq!(verdict(json!({"consistent": true}), &both), "differs");
        assert_eq!(verdict(json!({"reached": "target"}), &both[..1]), "agree");
        assert_eq!(verdict(json!({"reached": "target"}), &both), "differs");
    }

    #[test]
    fn empty_headers_are_absent_headers() {
        let upstream = mesh_reports::outcome::Upstream { path: "/".into(), ..Default::default() };
        let seen = Outcome {
            upstream: Some(upstream),
            workload: Some("echo/b-v1#0".into()),
            ..outcome(Some(200), Connection::Ok)
        };
        let seen = [seen];
        assert_eq!(verdict(json!({"upstream": {"headers": {"x-a": ""}, "path": "/"}}), &seen), "agree");
        assert_eq!(verdict(json!({"upstream": {"headers": {"x-a": "1"}}}), &seen), "differs");
    }
}
