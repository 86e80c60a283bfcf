//! `explain --number`: one request of a run, beside what the run's own access log says of it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::changes::{directory, manifest};
use crate::program::mesh_sim_in;

const RETRIES: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
    - route: [{destination: {host: ratings}}]
      retries: {attempts: 2, retryOn: 5xx}
";

const SCENARIO: &str = "\
apiVersion: mesh-sim.dev/v1alpha1
kind: Scenario
metadata: {name: again}
spec:
  seed: 3
  duration: 2s
  mesh: {manifests: [k8s/]}
  behaviors:
    - workload: default/ratings-v1
      serviceTime: 5ms
      responses: [{status: 200, percent: 50%}, {status: 503, percent: 50%}]
  traffic:
    - {name: reviews, from: default/reviews-v2, request: 'GET http://ratings:9080/ratings/${n}', rate: 5/s, arrivals: constant}
";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn place(name: &str) -> PathBuf {
    directory(
        name,
        &[
            ("k8s/app.yaml", manifest("bookinfo/app.yaml")),
            ("k8s/retries.yaml", RETRIES.to_owned()),
            ("again.yaml", SCENARIO.to_owned()),
        ],
    )
}

fn explained(dir: &Path, number: usize) -> Value {
    let number = number.to_string();
    let output = mesh_sim_in(dir, &["explain", "-q", "-o", "json", "again.yaml", "--number", &number]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_request_is_told_as_the_access_log_has_it() {
    let dir = place("number");
    let run = mesh_sim_in(&dir, &["run", "-q", "again.yaml", "--report", "access-log=access.log"]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let log = std::fs::read_to_string(dir.join("access.log")).expect("a log");
    let mut most = 0;
    for number in 1..=10 {
        let told = explained(&dir, number);
        let path = format!("\"GET /ratings/{} ", number - 1);
        let lines = |of: &str| -> Vec<&str> {
            log.lines().filter(|l| l.starts_with(&format!("[default/{of}")) && l.contains(&path)).collect()
        };
        let (sent, tries) = (lines("reviews-v2"), lines("ratings-v1"));
        assert_eq!(sent.len(), 1, "{log}");
        let status = told["outcomes"][0]["outcome"]["status"].as_u64().expect("a status");
        assert!(sent[0].contains(&format!("HTTP/1.1\" {status} ")), "{number}: {status}, {}", sent[0]);
        assert_eq!(told["happened"]["attempts"].as_u64(), Some(tries.len() as u64), "{number}: {log}");
        assert_eq!(told["happened"]["beginMs"].as_f64(), Some((number - 1) as f64 * 200.0));
        let steps = told["outcomes"][0]["steps"].as_array().expect("steps");
        let hosts = steps.iter().filter(|s| s["text"].as_str().is_some_and(|t| t.contains("(attempt ")));
        // Each try is a choice of the client's proxy and one of the proxy it reaches.
        assert_eq!(hosts.count(), 2 * tries.len(), "{number}");
        let times: Vec<f64> = steps.iter().filter_map(|s| s["afterMs"].as_f64()).collect();
        assert!(times.len() == steps.len() && times.is_sorted(), "{times:?}");
        most = most.max(tries.len());
    }
    assert!(most > 1, "nothing was tried again: {log}");
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn a_later_request_finds_connections_open_and_another_seed_another_fate() {
    let dir = place("number-open");
    let shown = |args: &[&str]| {
        let output = mesh_sim_in(&dir, &[&["explain", "-q", "again.yaml", "--number"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let (first, second) = (shown(&["1"]), shown(&["2"]));
    assert!(!first.contains("a connection already open"), "{first}");
    for part in [
        "request 2 of again, seed 3, traffic reviews",
        "(inbound, a connection already open)",
        "retries.yaml:",
    ] {
        assert!(second.contains(part), "{part} is missing in\n{second}");
    }
    assert_eq!(second, shown(&["2"]), "the same run tells the same");
    let others: Vec<String> = ["4", "5", "6", "7"].iter().map(|seed| shown(&["2", "--seed", seed])).collect();
    let of_third = |t: &String| t.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert!(others.iter().any(|o| of_third(o) != of_third(&second)), "{others:?}");
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn a_number_beyond_the_run_is_told_how_many_there_were() {
    let dir = place("number-beyond");
    let output = mesh_sim_in(&dir, &["explain", "-q", "again.yaml", "--number", "11"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stdout));
    assert!(text(&output.stdout).is_empty());
    let said = text(&output.stderr);
    assert!(said.contains("the run of `again` with seed 3 has 10 requests"), "{said}");
    let shorter = ["explain", "-q", "again.yaml", "--number", "6", "--set", "spec.duration=1s"];
    let said = text(&mesh_sim_in(&dir, &shorter).stderr);
    assert!(said.contains("has 5 requests"), "{said}");
    let none = mesh_sim_in(&dir, &["explain", "-q", "again.yaml", "--number", "0"]);
    assert_eq!(none.status.code(), Some(2), "{}", text(&none.stderr));
    // The scenario says whose manifests, who asks and what.
    let ignored = mesh_sim_in(&dir, &["explain", "again.yaml", "--number", "1", "--namespace", "shop"]);
    assert_eq!(ignored.status.code(), Some(2), "{}", text(&ignored.stderr));
    let _ = std::fs::remove_dir_all(&dir);
}
