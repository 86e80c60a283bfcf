//! The engine: cost of a simulated request through the public API.
//!
//! `cargo bench -p mesh-harness --bench engine`. `mm10` is a queue of ten servers at 80 % without proxies; `sidecars` one hop through two
//! sidecars; `bookinfo` scenarios/tgik/s3-2-bookinfo.yaml (gateway, four services, 3.67 calls on average) at 1 000 and
//! 10 000 requests per second. Targets: research/performance, section 8 (E2 to E6).

#[expect(dead_code, reason = "the engine's tests use the rest")]
#[path = "../sim/engine/tests/it/fixture.rs"]
mod fixture;

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mesh_engine::plan::{Arrivals, Behavior, Law, NetworkModel, Phase, Plan, Record};
use mesh_engine::{run, world::World};
use mesh_harness::document::{TestDocument, read_file};
use mesh_harness::scenario::{RunOptions, prepare};

/// Requests per measured run.
const REQUESTS: f64 = 20_000.0;

fn poisson(world: World, rate: f64) -> Plan {
    let until_ns = (REQUESTS / rate * 1e9) as u64;
    let phases = vec![Phase { until_ns, from_rate: rate, to_rate: rate }];
    let arrivals = Arrivals::Phases { phases, poisson: true };
    let traffic = fixture::traffic(fixture::get("/", &[]), arrivals);
    let mut plan = fixture::plan(world, vec![traffic], until_ns);
    plan.record = Record::default();
    plan
}

/// M/M/10 at 80 %: the client has no sidecar and the network takes no time.
fn mm10() -> Plan {
    let shape = fixture::Shape { sidecar: false, ..fixture::Shape::default() };
    let mut world = fixture::world(&shape);
    world.pods[0].proxy = None;
    world.proxies.clear();
    let mut plan = poisson(world, 8_000.0);
    plan.network =
        NetworkModel { latency_ns: 0, connect_ns: 0, tls_handshake_ns: 0, ..NetworkModel::default() };
    let served =
        Behavior { service_time: Law::Exponential(1_000_000), concurrency: Some(10), ..Behavior::default() };
    plan.behaviors = vec![fixture::webs(&shape, served)];
    plan
}

fn sidecars() -> Plan {
    poisson(fixture::world(&fixture::Shape { webs: 3, ..fixture::Shape::default() }), 8_000.0)
}

fn bookinfo(rate: f64) -> Plan {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/tgik/s3-2-bookinfo.yaml");
    let read = read_file(&file, &[]);
    let document = read.documents.iter().find_map(|d| match d {
        TestDocument::Scenario(scenario) => Some(scenario),
        TestDocument::Policy(_) => None,
    });
    let document = document.expect("a scenario");
    let Ok(prepared) = prepare(document, read.sources, &RunOptions::default()) else {
        panic!("a valid scenario")
    };
    let mut plan = prepared.plan;
    plan.duration_ns = (REQUESTS / rate * 1e9) as u64;
    plan.warmup_ns = 0;
    plan.record = Record::default();
    let phases = vec![Phase { until_ns: plan.duration_ns, from_rate: rate, to_rate: rate }];
    for traffic in &mut plan.traffic {
        traffic.arrivals = Arrivals::Phases { phases: phases.clone(), poisson: true };
    }
    plan
}

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(REQUESTS as u64)).sample_size(10);
    let plans = [
        ("mm10", mm10()),
        ("sidecars", sidecars()),
        ("bookinfo/1k", bookinfo(1e3)),
        ("bookinfo/10k", bookinfo(1e4)),
    ];
    for (name, plan) in plans {
        group.bench_function(name, |b| b.iter(|| black_box(run(&plan))));
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
