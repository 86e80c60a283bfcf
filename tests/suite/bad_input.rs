//! Runs that go wrong, end to end: nothing to send to, too much to do, calls in circles. Never a panic, always a reason.

use mesh_harness::scenario::Ran;

use crate::simulated::{notes, simulate, workload};

fn retries(host: &str, attempts: u32) -> String {
    let on = if attempts > 0 { ", retryOn: 5xx" } else { "" };
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {host}}}\nspec:\n  hosts: [{host}]\n  http:\n    - route: [{{destination: {{host: {host}}}}}]\n      retries: {{attempts: {attempts}{on}}}\n---\n"
    )
}

const USERS: &str = "  traffic: [{name: users, from: default/client, request: GET http://web/, rate: 20/s, arrivals: constant}]\n";

fn flags(ran: &Ran) -> Vec<(String, u64)> {
    ran.report.flags.iter().map(|f| (f.what.clone(), f.count)).collect()
}

#[test]
fn zero_replicas_leave_no_healthy_upstream() {
    let manifests = workload("client", 1) + &workload("web", 0);
    let ran = simulate("zero", &manifests, &format!("  duration: 5s\n{USERS}"));
    assert_eq!(flags(&ran), [("UH".to_owned(), 100)]);
    assert_eq!(ran.report.traffic[0].outcomes[0].what, "503");
}

#[test]
fn replicas_can_go_to_zero_and_return() {
    let manifests = workload("client", 1) + &workload("web", 2) + &retries("web", 0);
    let steps = "  timeline:\n    steps:\n      - {at: 1s, scale: {workload: default/web, replicas: 0}}\n      - {at: 3s, scale: {workload: default/web, replicas: 2}}\n";
    let ran = simulate("rescale", &manifests, &format!("  duration: 5s\n{USERS}{steps}"));
    let failed: u64 = flags(&ran).iter().filter(|(f, _)| f == "UH").map(|(_, n)| n).sum();
    assert!((38..=42).contains(&failed), "{:?}", flags(&ran));
}

#[test]
fn when_all_hosts_are_ejected_nothing_is_left() {
    let policy = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\nspec:\n  host: web\n  trafficPolicy:\n    outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100}\n---\n";
    let manifests = workload("client", 1) + &workload("web", 2) + policy + &retries("web", 0);
    let behavior = "  behaviors: [{workload: default/web, responses: [{status: 500}]}]\n";
    let ran = simulate("ejected", &manifests, &format!("  duration: 10s\n{USERS}{behavior}"));
    assert_eq!(ran.report.ejections.len(), 2);
    let without: u64 = flags(&ran).iter().filter(|(f, _)| f == "UH").map(|(_, n)| n).sum();
    // Until the second ejection is published, a second after it.
    assert!((170..=185).contains(&without), "{:?}", flags(&ran));
}

#[test]
fn hours_beyond_capacity_are_said_and_bounded() {
    let manifests = workload("client", 1)
        + &workload("web", 1)
        + "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: disabled}}\n";
    let spec = "  duration: 10h\n  behaviors: [{workload: default/web, serviceTime: 1s, concurrency: 1}]\n  traffic: [{name: users, from: default/client, request: GET http://web/, rate: 20000/s, arrivals: constant}]\n";
    let ran = simulate("overload", &manifests, spec);
    let said = notes(&ran, "overload").join("\n");
    assert!(said.contains("offered no more"), "{said}");
    assert!(said.contains("default/web#0"), "{said}");
    assert!(ran.report.requests <= 60_000, "{} requests", ran.report.requests);
}

#[test]
fn timers_may_lie_beyond_the_run() {
    let fault = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web}\nspec:\n  hosts: [web]\n  http:\n    - route: [{destination: {host: web}}]\n      fault: {delay: {fixedDelay: 1h, percentage: {value: 100}}}\n      timeout: 100h\n";
    let manifests = workload("client", 1) + &workload("web", 1) + fault;
    let ran = simulate("timers", &manifests, &format!("  duration: 1s\n{USERS}"));
    let row = &ran.report.traffic[0];
    assert_eq!((row.requests, row.success), (20, 1.0));
    assert!(row.latency.min_ms >= 3_600_000.0, "{:?}", row.latency);
}

#[test]
fn retries_of_retries_multiply() {
    let manifests = ["client", "web", "middle", "last"].map(|name| workload(name, 1)).concat()
        + &["web", "middle", "last"].map(|name| retries(name, 2)).concat();
    let behaviors = "  behaviors:\n    - {workload: default/web, calls: [{request: GET http://middle/, onError: fail}]}\n    - {workload: default/middle, calls: [{request: GET http://last/, onError: fail}]}\n    - {workload: default/last, responses: [{status: 503}]}\n";
    let users = USERS.replace("20/s", "1/s");
    let ran = simulate("retries", &manifests, &format!("  duration: 2s\n{users}{behaviors}"));
    assert_eq!(ran.report.retries.worst_case_attempts, 27);
    let last = ran.runs[0].pods.iter().find(|p| p.reference.as_ref() == "default/last#0").expect("last");
    assert_eq!(last.requests, 2 * 27, "every try of every layer reaches the last service");
}

#[test]
fn calls_in_circles_are_found_and_end() {
    let manifests = ["client", "web", "middle"].map(|name| workload(name, 1)).concat();
    let behaviors = "  behaviors:\n    - {workload: default/web, calls: [{request: GET http://middle/, onError: fail}]}\n    - {workload: default/middle, calls: [{request: GET http://web/, onError: fail}]}\n";
    let ran = simulate("circle", &manifests, &format!("  duration: 1s\n{USERS}{behaviors}"));
    assert_eq!(ran.report.unknown, ran.report.requests);
    let circle = notes(&ran, "circle").join("\n");
    assert!(circle.contains("default/web → default/middle → default/web"), "{circle}");
    let unknown = notes(&ran, "unknown").join("\n");
    assert!(unknown.contains("more than 32 calls"), "{unknown}");
}

#[test]
fn a_storm_needs_a_layer_that_gives_up_waiting() {
    let policy = |extra: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web}}\nspec:\n  hosts: [web]\n  http:\n    - route: [{{destination: {{host: web}}}}]\n      retries: {{attempts: 3, retryOn: 5xx{extra}}}\n"
        )
    };
    let behavior = "  behaviors: [{workload: default/web, serviceTime: 10ms, concurrency: 2}]\n";
    let base = workload("client", 1) + &workload("web", 2);
    let hasty = simulate(
        "hasty",
        &(base.clone() + &policy(", perTryTimeout: 100ms")),
        &format!("  duration: 2s\n{USERS}{behavior}"),
    );
    // Four servers at 10 ms serve 400 a second, a quarter of it when every request takes four tries.
    let storm = hasty.report.retries.storm_rps.expect("a storm load");
    assert!(
        (storm - 100.0).abs() < 1.0 && (hasty.report.retries.capacity_rps - 400.0).abs() < 1.0,
        "{storm}"
    );
    assert_eq!(hasty.report.retries.storm_at, "default/web");
    let patient = simulate("patient", &(base + &policy("")), &format!("  duration: 2s\n{USERS}{behavior}"));
    assert_eq!((patient.report.retries.storm_rps, patient.report.retries.worst_case_attempts), (None, 4));
}

#[test]
fn configurations_on_one_seed_differ_only_where_they_matter() {
    let manifests = |attempts: u32| {
        workload("client", 1) + &workload("web", 1) + &workload("last", 1) + &retries("web", attempts)
    };
    let spec = |more: &str| {
        format!(
            "  seed: 7\n  duration: 5s\n  behaviors:\n    - {{workload: default/web, serviceTime: {{exponential: 5ms}}, responses: [{{status: 200, percent: 70%}}, {{status: 503, percent: 30%}}]}}\n  traffic:\n    - {{name: users, from: default/client, request: GET http://web/, rate: 50/s, arrivals: poisson}}\n{more}"
        )
    };
    let other = "    - {name: others, from: default/client, request: GET http://last/, rate: 90/s, arrivals: poisson}\n";
    let base = simulate("crn-a", &manifests(0), &spec(""));
    let users =
        |ran: &Ran| ran.runs[0].requests.iter().filter(|r| r.traffic == 0).cloned().collect::<Vec<_>>();
    // Traffic that has nothing to do with it changes nothing.
    let beside = simulate("crn-b", &manifests(0), &spec(other));
    let brief = |ran: &Ran| {
        let all = users(ran);
        all.iter().map(|r| (r.start_ns, r.end_ns, r.status(), r.workload.clone())).collect::<Vec<_>>()
    };
    assert_eq!(brief(&base), brief(&beside));
    // Retries change what fails at first, and nothing else.
    let retried = simulate("crn-c", &manifests(2), &spec(""));
    let (mut same, mut other) = (0, 0);
    for (a, b) in users(&base).iter().zip(&users(&retried)) {
        assert_eq!(a.start_ns, b.start_ns);
        assert_eq!(a.tries[0].action, b.tries[0].action, "the first try draws the same");
        if a.status() == Some(200) {
            assert_eq!(a.status(), b.status());
            same += 1;
        } else {
            other += 1;
        }
    }
    assert!(same > 100 && other > 30, "{same} {other}");
}
