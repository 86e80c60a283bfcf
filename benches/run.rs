//! End to end: from the files of a scenario to its report.
//!
//! `cargo bench -p mesh-harness --bench run`. `read` parses the scenario file; `run` loads its mesh and simulates ten
//! seconds of one replication.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use mesh_harness::document::{TestDocument, read_file};
use mesh_harness::scenario::{self, RunOptions};

const SCENARIOS: [&str; 3] = [
    "scenarios/canary.yaml",
    "scenarios/tgik/s3-2-bookinfo.yaml",
    "scenarios/fleetman/s1-4-circuit-breaker.yaml",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn ten_seconds(file: &Path) -> usize {
    let read = read_file(file, &[]);
    let options = RunOptions {
        duration_ns: Some(10_000_000_000),
        replications: Some(1),
        threads: 1,
        ..RunOptions::default()
    };
    let mut runs = 0;
    for document in read.documents {
        if let TestDocument::Scenario(scenario) = document {
            runs += usize::from(scenario::run(&scenario, read.sources.clone(), &options).is_ok());
        }
    }
    assert!(runs > 0, "{} holds no scenario that runs", file.display());
    runs
}

fn end_to_end(c: &mut Criterion) {
    let mut group = c.benchmark_group("run");
    group.sample_size(10);
    for scenario in SCENARIOS {
        let file = root().join(scenario);
        group.bench_function(format!("{scenario}/read"), |b| b.iter(|| black_box(read_file(&file, &[]))));
        group.bench_function(format!("{scenario}/run"), |b| b.iter(|| black_box(ten_seconds(&file))));
    }
    group.finish();
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
