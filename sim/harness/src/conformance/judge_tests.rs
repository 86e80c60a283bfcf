//! Tests of the judge.

use mesh_reports::outcome::{Connection, HeaderLines, Response, Unknown, Upstream};
use serde_json::json;

use super::*;

fn case(observed: Value, chance: bool, repeat: Option<u32>) -> Case {
    let Value::Object(observed) = observed else { panic!("observed must be an object") };
    Case {
        expected: serde_json::Map::new(),
        id: "t-1".into(),
        from: json!("default/web"),
        request: json!("GET http://x/"),
        repeat,
        observed,
        chance: chance.then(|| json!({})),
        client_log: None,
        server_log: None,
    }
}

fn outcome(p: f64, workload: &str) -> Outcome {
    Outcome {
        p,
        status: Some(200),
        flags: Some("-".into()),
        workload: Some(workload.into()),
        ..Outcome::default()
    }
}

#[test]
fn every_outcome_must_agree_unless_chance_is_stated() {
    let seen = json!({"status": 200, "workload": "a/x#0"});
    let split = [outcome(0.5, "a/x#0"), outcome(0.5, "a/x#1")];
    assert_eq!(judge(&case(seen.clone(), true, None), &split).verdict, Verdict::Agree);
    let strict = judge(&case(seen.clone(), false, None), &split);
    assert_eq!(strict.verdict, Verdict::Disagree);
    assert_eq!(strict.differences[0].key, "workload");
    assert_eq!(judge(&case(seen, false, None), &split[..1]).verdict, Verdict::Agree);
}

#[test]
fn absent_keys_are_not_compared_and_null_is_a_value() {
    let mut said = outcome(1.0, "a/x#0");
    said.cluster = Some("outbound|80||x".into());
    assert_eq!(judge(&case(json!({"status": 200}), false, None), &[said.clone()]).verdict, Verdict::Agree);
    assert_eq!(judge(&case(json!({"cluster": null}), false, None), &[said]).verdict, Verdict::Disagree);
}

#[test]
fn a_race_of_reset_and_close_accepts_both() {
    let seen = json!({"connection": "reset", "connection_also": "closed"});
    for (connection, verdict) in [
        (Connection::Reset, Verdict::Agree),
        (Connection::Closed, Verdict::Agree),
        (Connection::Timeout, Verdict::Disagree),
    ] {
        let said = Outcome { connection, ..outcome(1.0, "w") };
        assert_eq!(judge(&case(seen.clone(), false, None), &[said]).verdict, verdict, "{connection:?}");
    }
}

#[test]
fn headers_that_either_names_count() {
    let upstream = |headers: &[(&str, &str)]| Upstream {
        method: "GET".into(),
        path: "/".into(),
        authority: Some("x".into()),
        protocol: "HTTP/1.1".into(),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), HeaderLines::One((*v).to_owned()))).collect(),
        sni: None,
    };
    let seen = json!({"upstream": {"method": "GET", "path": "/", "authority": "x", "headers": {"x-a": "1"}}});
    let judged = |headers: &[(&str, &str)]| {
        let said = Outcome { upstream: Some(upstream(headers)), ..outcome(1.0, "w") };
        judge(&case(seen.clone(), false, None), &[said])
            .differences
            .into_iter()
            .map(|d| d.key)
            .collect::<Vec<_>>()
    };
    assert!(judged(&[("x-a", "1")]).is_empty());
    assert_eq!(judged(&[("x-a", "1"), ("x-b", "2")]), ["upstream.headers.x-b"]);
    assert_eq!(judged(&[]), ["upstream.headers.x-a"]);
    // An app that was reached although the prediction says nobody was.
    assert_eq!(judge(&case(seen, false, None), &[outcome(1.0, "w")]).verdict, Verdict::Disagree);
}

#[test]
fn generated_cookie_values_are_wild() {
    let seen = json!({"response": {"headers": {"set-cookie": "s=\"*\"; Path=/"}}});
    let said = |line: &str| Outcome {
        response: Some(Response {
            headers: [("set-cookie".to_owned(), HeaderLines::One(line.to_owned()))].into(),
        }),
        ..outcome(1.0, "w")
    };
    assert_eq!(
        judge(&case(seen.clone(), false, None), &[said("s=\"12ab\"; Path=/")]).verdict,
        Verdict::Agree
    );
    assert_eq!(judge(&case(seen, false, None), &[said("s=\"12ab\"; Path=/x")]).verdict, Verdict::Disagree);
}

#[test]
fn repeated_counts_and_fixed_keys() {
    let seen = json!({"status": 200, "split_workload": {"a": 180, "b": 220}});
    let fits = [outcome(0.5, "a"), outcome(0.5, "b")];
    assert_eq!(judge(&case(seen.clone(), true, Some(400)), &fits).verdict, Verdict::Agree);
    let skewed = [outcome(0.9, "a"), outcome(0.1, "b")];
    let judged = judge(&case(seen.clone(), true, Some(400)), &skewed);
    assert_eq!(judged.differences[0].key, "split_workload");
    // One in a million contradicts the fixed key and was rightly not seen; one in ten would have been.
    let failing = |p| Outcome { status: Some(503), ..outcome(p, "a") };
    let rare = [outcome(0.5, "a"), outcome(0.5 - 1e-6, "b"), failing(1e-6)];
    assert_eq!(judge(&case(seen.clone(), true, Some(400)), &rare).verdict, Verdict::Agree);
    let often = [outcome(0.5, "a"), outcome(0.4, "b"), failing(0.1)];
    assert_eq!(judge(&case(seen, true, Some(400)), &often).differences[0].key, "status");
}

#[test]
fn unknown_is_never_a_pass() {
    let unknown = Unknown { what: "EnvoyFilter".into(), place: Some("ef.yaml:3:1".into()) };
    let said = Outcome { unknown: vec![unknown], ..outcome(1.0, "w") };
    let judged = judge(&case(json!({"status": 200}), false, None), &[said]);
    assert_eq!(
        (judged.verdict, judged.reason.as_deref()),
        (Verdict::Unsupported, Some("EnvoyFilter at ef.yaml:3:1"))
    );
    assert_eq!(judge(&case(json!({}), false, None), &[]).verdict, Verdict::Unsupported);
}
