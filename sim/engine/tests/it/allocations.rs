//! Memory of a run: what a further request allocates, and what a waiting one holds. Times are the benches'
//! (benches/engine.rs).

use mesh_engine::plan::{Arrivals, Behavior, Law, Phase, Plan, Record};
use mesh_engine::run;

use crate::fixture::*;

/// One traffic of this rate for as long as it has so many requests on average; nothing is kept of them.
fn poisson(shape: &Shape, proxies: bool, requests: u64) -> Plan {
    let rate = 1_000.0;
    let until_ns = (requests as f64 / rate * 1e9) as u64;
    let phases = vec![Phase { until_ns, from_rate: rate, to_rate: rate }];
    let traffic = traffic(get("/", &[]), Arrivals::Phases { phases, poisson: true });
    let mut world = world(shape);
    if !proxies {
        world.pods[0].proxy = None;
        world.proxies.clear();
    }
    let mut plan = plan(world, vec![traffic], until_ns);
    plan.record = Record::default();
    plan
}

/// The run's requests, the allocations it made, and the bytes it held at most.
fn measured(plan: &Plan) -> (f64, f64, f64) {
    let mut requests = 0;
    let info = allocation_counter::measure(|| requests = run(plan).traffic[0].requests);
    (requests as f64, info.count_total as f64, info.bytes_max as f64)
}

#[test]
fn requests_allocate_nothing_once_a_run_is_warm() {
    for proxies in [false, true] {
        let shape = Shape { webs: 3, sidecar: proxies, ..Shape::default() };
        let (few, early, _) = measured(&poisson(&shape, proxies, 5_000));
        let (many, late, _) = measured(&poisson(&shape, proxies, 25_000));
        // Lists of the run still grow now and then: what waits at once, one count per second.
        assert!(late - early < 20.0, "{} allocations for {} requests more", late - early, many - few);
    }
}

#[test]
fn a_waiting_request_holds_less_than_a_log_line() {
    // Nobody is served: every request waits at an application, which has taken it in.
    let never = Law::Constant(1_000_000_000_000);
    let behavior = || Behavior { service_time: never.clone(), concurrency: Some(1), ..Behavior::default() };
    for (proxies, most) in [(false, 1_100.0), (true, 3_800.0)] {
        let shape = Shape { webs: 3, sidecar: proxies, ..Shape::default() };
        let of = |requests| {
            let mut plan = poisson(&shape, proxies, requests);
            plan.behaviors = vec![webs(&shape, behavior())];
            plan.traffic[0].arrivals = Arrivals::Constant { start_ns: 0, rate: 1_000.0, count: None };
            measured(&plan)
        };
        // Both are a power of two, so that lists which double have as much room to spare in either.
        let ((few, _, before), (many, _, after)) = (of(4_096), of(16_384));
        let each = (after - before) / (many - few);
        assert!(each < most, "{each} bytes for each of {} waiting requests", many - few);
    }
}
