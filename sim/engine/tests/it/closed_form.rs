//! Runs against formulas: queues, losses, fork and join, retries, ejections, two choices.
//!
//! Seeds are fixed, so nothing here is random from one test run to the next; the tolerances say how far a correct
//! simulation of this length may be from the limit.

use std::sync::Arc;

use mesh_core::ids::OriginId;
use mesh_core::ir::*;
use mesh_engine::plan::*;
use mesh_engine::world::Configuration;
use mesh_engine::{Plan, RunRecord, run};

use crate::fixture::{MS, Shape, get, plan, traffic, world};

/// Mean service time; one unit of the formulas.
const UNIT: u64 = 10 * MS;

fn poisson(requests: u64, per_unit: f64) -> (Arrivals, u64) {
    let rate = per_unit * 1e9 / UNIT as f64;
    let until_ns = (requests as f64 / rate * 1e9) as u64;
    let phases = vec![Phase { until_ns, from_rate: rate, to_rate: rate }];
    (Arrivals::Phases { phases, poisson: true }, until_ns)
}

/// About `requests` Poisson arrivals at `per_unit` per mean service time; no delays but service and waiting.
fn poisson_plan(shape: &Shape, sidecar: bool, requests: u64, per_unit: f64) -> Plan {
    let mut world = world(&Shape { sidecar: false, ..shape.clone() });
    if !sidecar {
        for pod in &mut world.pods {
            pod.proxy = None;
        }
    }
    let (arrivals, until_ns) = poisson(requests, per_unit);
    let mut plan = plan(world, vec![traffic(get("/", &[]), arrivals)], until_ns);
    plan.record = Record::default();
    plan.network =
        NetworkModel { latency_ns: 0, connect_ns: 0, tls_handshake_ns: 0, ..NetworkModel::default() };
    plan
}

fn serving(pods: std::ops::RangeInclusive<u32>, law: Law, concurrency: Option<u32>) -> Behavior {
    Behavior {
        pods: pods.map(mesh_engine::PodId).collect(),
        service_time: law,
        concurrency,
        ..Behavior::default()
    }
}

fn answer(status: u16) -> Reply {
    Reply {
        action: ReplyAction::Answer {
            status,
            headers: mesh_core::request::Headers::default(),
            body_bytes: 0,
            body: Default::default(),
            grpc_status: None,
        },
        ..Reply::default()
    }
}

fn assert_close(name: &str, got: f64, expected: f64, tolerance: f64) {
    let off = (got - expected).abs() / expected;
    assert!(off <= tolerance, "{name}: {got:.6} for {expected:.6}, off by {:.2} %", off * 100.0);
}

/// Mean wait of `web#0` in units.
fn mean_wait(record: &RunRecord) -> f64 {
    let pod = record.pods.iter().find(|p| p.reference.as_ref() == "default/web#0").expect("web#0");
    pod.waited_ns as f64 / pod.requests as f64 / UNIT as f64
}

#[test]
fn waiting_times_of_single_and_many_servers() {
    let exponential = Law::Exponential(UNIT);
    // Log-normal with sigma 1: mean 1 = median * e^0.5; the 99th percentile is 2.3263 sigmas up.
    let median = UNIT as f64 * libm::exp(-0.5);
    let lognormal =
        Law::LogNormal { p50_ns: median as u64, p99_ns: (median * libm::exp(2.326_347_874_040_841)) as u64 };
    for (name, law, servers, load, wait, tolerance) in [
        ("M/M/1 0.5", exponential.clone(), 1, 0.5, 1.0, 0.08),
        ("M/M/2 0.5", exponential.clone(), 2, 0.5, 0.333_333, 0.10),
        ("M/M/10 0.8", exponential, 10, 0.8, 0.204_590, 0.15),
        ("M/D/1 0.5", Law::Constant(UNIT), 1, 0.5, 0.5, 0.06),
        ("M/lognormal/1 0.5", lognormal, 1, 0.5, 1.359_141, 0.15),
    ] {
        let mut plan = poisson_plan(&Shape::default(), false, 12_000, load * f64::from(servers));
        plan.behaviors = vec![serving(1..=1, law, Some(servers))];
        assert_close(name, mean_wait(&run(&plan)), wait, tolerance);
    }
}

#[test]
fn losses_of_finite_queues() {
    for (servers, places, offered, blocked) in [
        (1, 2, 0.8, 0.262_295),
        (4, 4, 3.2, 0.228_145),
        (4, 8, 3.2, 0.060_728_5),
        (10, 11, 12.0, 0.265_953),
        (10, 20, 12.0, 0.179_666),
    ] {
        let mut plan = poisson_plan(&Shape::default(), false, 8_000, offered);
        plan.behaviors = vec![Behavior {
            queue: Some(places - servers),
            ..serving(1..=1, Law::Exponential(UNIT), Some(servers))
        }];
        let record = run(&plan);
        let share = record.traffic[0].status[&503] as f64 / record.traffic[0].requests as f64;
        assert_close(&format!("M/M/{servers}/{places}"), share, blocked, 0.12);
    }
}

#[test]
fn circuit_breakers_are_finite_queues() {
    // Connections are servers, pending requests are places; the rest is 503 UO (semantics: envoy-upstream 6.2).
    for (connections, places, offered, blocked) in [(1, 2, 0.8, 0.262_295), (10, 11, 12.0, 0.265_953)] {
        let shape = Shape {
            breakers: CircuitBreakers {
                max_connections: connections,
                max_pending_requests: places - connections,
                ..CircuitBreakers::default()
            },
            ..Shape::default()
        };
        let mut plan = poisson_plan(&shape, true, 6_000, offered);
        plan.behaviors = vec![serving(1..=1, Law::Exponential(UNIT), None)];
        let record = run(&plan);
        let share = record.traffic[0].flags["UO"] as f64 / record.traffic[0].requests as f64;
        assert_close(&format!("breaker {connections}/{places}"), share, blocked, 0.07);
    }
}

#[test]
fn http2_streams_are_lost_without_a_queue() {
    // max_requests alone: M/M/4/4.
    let shape = Shape {
        breakers: CircuitBreakers { max_requests: 4, ..CircuitBreakers::default() },
        protocol: UpstreamProtocol::Http2,
        ..Shape::default()
    };
    let mut plan = poisson_plan(&shape, true, 6_000, 3.2);
    plan.behaviors = vec![serving(1..=1, Law::Exponential(UNIT), None)];
    let record = run(&plan);
    let share = record.traffic[0].flags["UO"] as f64 / record.traffic[0].requests as f64;
    assert_close("M/M/4/4 over HTTP/2", share, 0.228_145, 0.08);
}

#[test]
fn two_choices_with_replacement() {
    // Three servers at load 0.8: 2.757 ± 0.012 with replacement (2.516 without), semantics: envoy-upstream 3.1.
    let shape = Shape { webs: 3, lb: LbPolicy::LeastRequest(2, SlowStart::default()), ..Shape::default() };
    let mut plan = poisson_plan(&shape, true, 15_000, 0.8 * 3.0);
    plan.behaviors = vec![serving(1..=3, Law::Exponential(UNIT), Some(1))];
    let record = run(&plan);
    let (waited, busy, served) =
        record.pods.iter().fold((0, 0, 0), |(w, b, n), p| (w + p.waited_ns, b + p.busy_ns, n + p.requests));
    let sojourn = (waited + busy) as f64 / served as f64 / UNIT as f64;
    assert_close("least request", sojourn, 2.757, 0.05);
}

#[test]
fn parallel_calls_take_the_longest_of_them() {
    // Harmonic numbers: the maximum of k independent exponentials.
    for (k, mean) in [(2, 1.5), (4, 2.083_333)] {
        let shape = Shape { webs: 2, ..Shape::default() };
        let mut plan = poisson_plan(&shape, false, 3_000, 1.0);
        // The first pod calls the second by address; clients dial the first.
        let target = |i: u8| Dial::Address((crate::fixture::web_ip(i), 8080).into());
        plan.traffic[0].mix[0].1.dial = target(0);
        let request = ClientRequest { dial: target(1), ..get("/", &[]) };
        let call = Call { request, timeout_ns: None, fail: true, retries: 0 };
        plan.behaviors = vec![
            Behavior { calls: vec![vec![call; k]], ..serving(1..=1, Law::Constant(0), None) },
            serving(2..=2, Law::Exponential(UNIT), None),
        ];
        let record = run(&plan);
        let latency = record.traffic[0].latency.mean() / UNIT as f64;
        assert_close(&format!("{k} calls"), latency, mean, 0.04);
    }
}

fn retrying(num_retries: u32) -> RetryPolicy {
    RetryPolicy {
        retry_on: RetryOn::FIVE_XX,
        retry_on_text: "5xx".into(),
        num_retries,
        retriable_status_codes: Vec::new(),
        per_try_timeout_ns: 0,
        base_interval_ns: 25 * MS,
        max_interval_ns: 250 * MS,
        previous_hosts: true,
        previous_priorities: 0,
        host_selection_max_attempts: 5,
        origin: OriginId::NONE,
    }
}

/// Mean attempts and share of failures.
fn attempts_and_failures(record: &RunRecord) -> (f64, f64) {
    let t = &record.traffic[0];
    let attempts: u64 = t.attempts.iter().map(|(n, count)| u64::from(*n) * count).sum();
    let failed: u64 = t.status.iter().filter(|(status, _)| **status >= 500).map(|(_, n)| n).sum();
    (attempts as f64 / t.requests as f64, failed as f64 / t.requests as f64)
}

#[test]
fn retries_of_independent_failures() {
    for (failure, retries, attempts, left) in
        [(0.1, 1, 1.1, 0.01), (0.5, 2, 1.75, 0.125), (0.9, 3, 3.439, 0.656_1)]
    {
        let shape = Shape { retry: Some(retrying(retries)), ..Shape::default() };
        let mut plan = poisson_plan(&shape, true, 5_000, 1.0);
        let answer = |status, share: f64| Reply { weight: (share * 1e6) as u64, ..answer(status) };
        plan.behaviors = vec![Behavior {
            responses: vec![answer(503, failure), answer(200, 1.0 - failure)],
            ..serving(1..=1, Law::Constant(MS), None)
        }];
        let (mean, failed) = attempts_and_failures(&run(&plan));
        assert_close(&format!("attempts at {failure}"), mean, attempts, 0.03);
        assert_close(&format!("failures at {failure}"), failed, left, 0.25);
    }
}

#[test]
fn tries_against_their_timeout() {
    // Per-try timeout of one mean service time: success 1 - e^-(n+1).
    let mut policy = retrying(1);
    policy.per_try_timeout_ns = UNIT;
    let shape = Shape { retry: Some(policy), ..Shape::default() };
    let mut plan = poisson_plan(&shape, true, 5_000, 1.0);
    plan.behaviors = vec![serving(1..=1, Law::Exponential(UNIT), None)];
    let (mean, failed) = attempts_and_failures(&run(&plan));
    assert_close("attempts", mean, 1.367_879, 0.03);
    assert_close("success", 1.0 - failed, 0.864_665, 0.03);
}

#[test]
fn requests_until_an_ejection() {
    // Mean number of trials until k failures in a row: (1 - p^k) / ((1 - p) p^k) = 14 for k = 3, p = 1/2.
    let shape = Shape { outlier: Some(ejecting(3)), ..Shape::default() };
    let mut plan = poisson_plan(&shape, true, 20_000, 10.0);
    publish_at_once(&mut plan);
    plan.behaviors = vec![Behavior {
        responses: vec![answer(500), answer(200)],
        ..serving(1..=1, Law::Constant(0), None)
    }];
    let record = run(&plan);
    let ejected = record
        .ejections
        .iter()
        .filter(|e| matches!(e.kind, mesh_engine::stats::EjectionKind::Eject { enforced: true, .. }))
        .count();
    let served = record.pods.iter().map(|p| p.requests).sum::<u64>();
    assert!(ejected > 300, "{ejected}");
    assert_close("requests per ejection", served as f64 / ejected as f64, 14.0, 0.10);
}

/// Short ejections of a fixed length.
fn ejecting(consecutive_5xx: u32) -> OutlierDetection {
    OutlierDetection {
        interval_ns: 2 * MS,
        base_ejection_time_ns: 2 * MS,
        max_ejection_time_ns: 2 * MS,
        max_ejection_percent: 100,
        consecutive_5xx,
        enforcing_consecutive_5xx: 100,
        consecutive_gateway_failure: 0,
        enforcing_consecutive_gateway_failure: 0,
        split_external_local_origin_errors: false,
        consecutive_local_origin_failure: 0,
        enforcing_consecutive_local_origin_failure: 0,
        enforcing_success_rate: 0,
        success_rate_minimum_hosts: 5,
        success_rate_request_volume: 100,
        success_rate_stdev_factor: 1900,
        enforcing_failure_percentage: 0,
        failure_percentage_threshold: 85,
        failure_percentage_minimum_hosts: 5,
        failure_percentage_request_volume: 50,
        error_codes: Vec::new(),
        origin: OriginId::NONE,
    }
}

/// No update merge window.
fn publish_at_once(plan: &mut Plan) {
    let mut world = (*plan.world).clone();
    for proxy in &mut world.proxies {
        let mut snapshot = (**proxy.snapshot()).clone();
        for cluster in &mut snapshot.clusters {
            cluster.common_lb.update_merge_window_ns = 0;
        }
        proxy.configuration = Configuration::ready(Arc::new(snapshot));
    }
    plan.world = Arc::new(world);
}
