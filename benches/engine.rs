//! The engine: cost of a simulated request through the public API.
//!
//! `cargo bench -p mesh-harness --bench engine`; targets: research/performance, section 8.
//!
//! * `mm10` (E2) — a queue of ten servers at 80 % without proxies: per customer a connection, a request, an answer.
//! * `sidecars` — one hop through two sidecars.
//! * `bookinfo` (E4) — scenarios/tgik/s3-2-bookinfo.yaml on 100 pods (gateway, four services, 3.67 calls on average) at
//!   1 000 and 10 000 requests per second; `recorded` keeps every request with its log lines, as a scenario's run does.
//! * `events` (E3) — the same at 10 000 per second, counted in events.
//! * `second` (E6) — two replications of one simulated second at 10 000 per second, on one thread and on two: the real-time
//!   factor is 2 s over the time shown.
//!
//! Allocations (E7) and memory (E8) are tests: `sim/engine/tests/it/allocations.rs`.

#[expect(dead_code, reason = "the engine's tests use the rest")]
#[path = "../sim/engine/tests/it/fixture.rs"]
mod fixture;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mesh_engine::plan::{Arrivals, Behavior, Law, NetworkModel, Phase, Plan, Record};
use mesh_engine::{replicate, run, world::World};
use mesh_harness::document::{TestDocument, read_file};
use mesh_harness::scenario::{RunOptions, prepare};

/// Requests per measured run.
const REQUESTS: f64 = 20_000.0;
/// Pods of each of bookinfo's six workloads, and of the gateway: 100 in all.
const REPLICAS: (u32, u32) = (16, 4);

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

/// The scenario beside manifests that ask for 100 pods.
fn hundred_pods() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bookinfo-100");
    let text = |from: &str| std::fs::read_to_string(root.join(from)).expect("a file of the project");
    let scaled = |from: &str, replicas: u32| {
        let text = text(from);
        assert!(text.contains("replicas: 1\n"), "{from} says how many pods it has");
        text.replace("replicas: 1\n", &format!("replicas: {replicas}\n"))
    };
    let scenario = text("scenarios/tgik/s3-2-bookinfo.yaml")
        .replace("../meshes/bookinfo/gateway.yaml", "routes.yaml")
        .replace("../meshes/bookinfo/", "")
        .replace("../meshes/", "");
    std::fs::create_dir_all(&target).expect("a directory for the manifests");
    for (name, text) in [
        ("scenario.yaml", scenario),
        ("app.yaml", scaled("scenarios/meshes/bookinfo/app.yaml", REPLICAS.0)),
        ("gateway.yaml", scaled("scenarios/meshes/gateway.yaml", REPLICAS.1)),
        ("routes.yaml", text("scenarios/meshes/bookinfo/gateway.yaml")),
    ] {
        std::fs::write(target.join(name), text).expect("a manifest");
    }
    target.join("scenario.yaml")
}

fn bookinfo(rate: f64, seconds: f64, record: Record) -> Plan {
    let read = read_file(&hundred_pods(), &[]);
    let document = read.documents.iter().find_map(|d| match d {
        TestDocument::Scenario(scenario) => Some(scenario),
        TestDocument::Policy(_) => None,
    });
    let document = document.expect("a scenario");
    let Ok(prepared) = prepare(document, read.sources, &RunOptions::default()) else {
        panic!("a valid scenario")
    };
    let mut plan = prepared.plan;
    assert_eq!(plan.world.pods.len(), 100);
    plan.duration_ns = (seconds * 1e9) as u64;
    plan.warmup_ns = 0;
    plan.record = record;
    let phases = vec![Phase { until_ns: plan.duration_ns, from_rate: rate, to_rate: rate }];
    for traffic in &mut plan.traffic {
        traffic.arrivals = Arrivals::Phases { phases: phases.clone(), poisson: true };
    }
    plan
}

fn engine(c: &mut Criterion) {
    let bare = Record::default();
    let kept = Record { requests: true, hops: true, window_ns: 0 };
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(REQUESTS as u64)).sample_size(10);
    let plans = [
        ("mm10", mm10()),
        ("sidecars", sidecars()),
        ("bookinfo/1k", bookinfo(1e3, REQUESTS / 1e3, bare)),
        ("bookinfo/10k", bookinfo(1e4, REQUESTS / 1e4, bare)),
        ("bookinfo/10k/recorded", bookinfo(1e4, REQUESTS / 1e4, kept)),
    ];
    for (name, plan) in plans {
        group.bench_function(name, |b| b.iter(|| black_box(run(&plan))));
    }
    let plan = bookinfo(1e4, REQUESTS / 1e4, bare);
    group.throughput(Throughput::Elements(run(&plan).events));
    group.bench_function("events", |b| b.iter(|| black_box(run(&plan))));
    let plan = bookinfo(1e4, 1.0, bare);
    group.throughput(Throughput::Elements(2));
    for threads in [1, 2] {
        group.bench_function(format!("second/{threads}"), |b| {
            b.iter(|| black_box(replicate(&plan, 2, threads)))
        });
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
