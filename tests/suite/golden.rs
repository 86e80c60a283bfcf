//! What people read first, kept as text: the table of a run and the findings of lint. Every number is scripted, so only a
//! change of what is shown (or of a decision) changes these files.

use crate::place::Place;
use crate::program::{mesh_sim, root};

/// A place with Bookinfo's manifests and further files.
fn bookinfo(name: &str, files: &[(&str, &str)]) -> Place {
    let place = Place::new(&format!("golden-{name}"), files);
    let meshes = root().join("scenarios/meshes/bookinfo");
    for file in ["app.yaml", "destination-rule-all.yaml"] {
        std::fs::copy(meshes.join(file), place.0.join(file)).expect("copied");
    }
    place
}

/// Stdout and stderr of a command that ends with this code.
fn shown(place: &Place, args: &[&str], code: i32) -> (String, String) {
    let (ended, out, err) = place.run(args);
    assert_eq!(ended, Some(code), "{args:?}: {out}{err}");
    (out, err)
}

const ROUTES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
    - match: [{headers: {end-user: {exact: jason}}}]
      route: [{destination: {host: reviews, subset: v2}}]
    - fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
      route: [{destination: {host: reviews, subset: v9}}]
";

const SCENARIO: &str = "
apiVersion: mesh-sim.dev/v1alpha1
kind: Scenario
metadata: {name: golden, description: Jason is served and others are not}
spec:
  duration: 1s
  mesh: {manifests: [app.yaml, destination-rule-all.yaml, routes.yaml]}
  traffic:
    - {name: jason, from: default/productpage-v1, request: {url: http://reviews:9080/reviews/0, headers: {end-user: jason}}, arrivals: {at: [0ms, 100ms, 200ms, 300ms]}}
    - {name: others, from: default/productpage-v1, request: GET http://reviews:9080/reviews/0, arrivals: {at: [50ms, 150ms]}}
  expect:
    - {only: {traffic: jason, status: 200}}
    - {count: {traffic: others, status: 418}, is: \"== 2\"}
    - {count: {traffic: others, status: 200}, is: \"> 0\"}
";

#[test]
fn the_table_of_a_run() {
    let place = bookinfo("run", &[("routes.yaml", ROUTES), ("s.yaml", SCENARIO)]);
    let (out, _) = shown(&place, &["run", "s.yaml", "-q"], 1);
    insta::assert_snapshot!(out);
}

#[test]
fn the_findings_of_lint() {
    let place = bookinfo("lint", &[("routes.yaml", ROUTES)]);
    // Findings for people are diagnostics: they go to stderr.
    let (_, err) = shown(&place, &["lint", "-f", "."], 0);
    insta::assert_snapshot!(err);
}

#[test]
fn why_requests_fail_is_said() {
    let limits = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: tight, namespace: default}
spec:
  host: ratings
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}
";
    let scenario = "
apiVersion: mesh-sim.dev/v1alpha1
kind: Scenario
metadata: {name: burst}
spec:
  duration: 1s
  mesh: {manifests: [app.yaml, tight.yaml]}
  behaviors: [{workload: default/ratings-v1, serviceTime: 100ms}]
  traffic:
    - {name: burst, from: default/productpage-v1, request: GET http://ratings:9080/, arrivals: {at: [0ms, 20ms, 40ms, 60ms]}}
";
    let place = bookinfo("flags", &[("tight.yaml", limits), ("s.yaml", scenario)]);
    let (out, _) = shown(&place, &["run", "s.yaml", "-q"], 0);
    assert!(out.contains("\nFLAGS\n  2 × UO  a circuit breaker refused it\n"), "{out}");
    assert!(out.contains("  2 × pending (DestinationRule/default/tight, tight.yaml:2:1)\n"), "{out}");
}

#[test]
fn random_times_that_race_a_timeout_have_no_closed_form() {
    let run = |scenario: &str| {
        let file = format!("scenarios/theory/{scenario}.yaml");
        let output = mesh_sim(&["run", &file, "-q", "--set", "spec.duration=4s"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (raced, alone) = (run("per-try-timeout"), run("mm4k8"));
    let why = "the service time of default/web#0 is random, and a timeout is within its reach";
    assert!(raced.contains(why) && !raced.contains("EXACT AND SAMPLED"), "{raced}");
    assert!(!alone.contains("no closed-form") && alone.contains("100%"), "{alone}");
}
