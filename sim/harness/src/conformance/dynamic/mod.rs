//! Judges runs over time by recordings of a real sidecar (FORMATS section 4, `tests/conformance/dynamic`).
//!
//! A recording is two independent runs of one scenario; what is random in Envoy (rotation starts, back-off, percentages)
//! differs between them. The scenario is simulated under several seeds, and each recorded run is held against all of
//! them:
//!
//! * **novelty** — no value of a request that no simulated run has for it (where simulated runs surprise each other,
//!   as many as in those);
//! * **sequence** — from change to change, as near to a simulated run as simulated runs are to each other;
//! * **agreement** — two recorded runs are not more alike than two simulated ones: what is certain in Envoy must not be
//!   random here;
//! * **counts** — of every value of every key, of each run and of both, at a false-alarm rate of 1e-6, one request more
//!   or less per ejection; and what the proxies counted themselves (overflows, retries, blocked ejections);
//! * **ejections** — same hosts, same order, same times within the recorder's accuracy; the same failure in a row
//!   ejects; as many tries reach a host that is out;
//! * **durations** — within the recorder's accuracy, each and in the median.
//!
//! [`recording`] reads, [`row`] is the common form of both sides, `judge` compares, `predicted` tells others what was
//! predicted. Nothing here knows a scenario.

pub mod judge;
#[cfg(test)]
mod judge_tests;
mod laws;
pub mod mutation;
mod predicted;
pub mod recording;
pub mod row;
mod spread;
mod table;
mod timing;

use mesh_config::diagnostic::{Diagnostic, Severity};
use mesh_config::source::Sources;
use mesh_engine::plan::NetworkModel;
use mesh_engine::world::World;
use mesh_engine::{Plan, run};
use mesh_reports::conformance::{CaseResult, ConformanceReport, Prediction, Verdict};
use rayon::prelude::*;

use crate::document::{TestDocument, read_file};
use crate::scenario::{RunOptions, prepare};

pub use judge::{Judged, judge};
pub use recording::{Recording, read};

/// Seeds a scenario is simulated under at first.
const SEEDS: u64 = 32;
/// Seeds at most: rotation starts and other unknowns multiply, and the recorded combination may be a rare one.
const MOST_SEEDS: u64 = 512;
/// Simulated requests at most, beyond the first seeds.
const MOST_REQUESTS: u64 = 150_000;

/// Network speeds under which the seeds are simulated …
const SPEEDS: u64 = 4;
/// … each one way slower than the one before by this, ns.
const SLOWER_NS: u64 = 400_000;

/// Ticks of detectors are late by up to this in three of four runs (README: 0 to 10 ms; seen: -1 to 18), so that a
/// request that arrives with a tick is as often before it as in a recording.
const TICKS_LATE_NS: u64 = 12_000_000;

/// The directory of recordings in the corpus, and the mesh name of their verdicts.
pub const MESH: &str = "dynamic";

/// Judges recordings by simulation, in parallel; the report is in their order.
#[must_use]
pub fn judge_all(recordings: &[Recording]) -> ConformanceReport {
    recordings.par_iter().map(result).collect::<Vec<_>>().into_iter().collect()
}

fn result(recording: &Recording) -> CaseResult {
    let mut case = CaseResult {
        mesh: MESH.to_owned(),
        id: recording.name.clone(),
        verdict: Verdict::Unsupported,
        reason: None,
        predicted: Vec::new(),
        differences: Vec::new(),
        also: Vec::new(),
    };
    match verdict(recording) {
        Ok((judged, runs)) => {
            case.verdict = judged.verdict;
            case.differences = judged.differences;
            case.predicted = vec![Prediction::OverTime(Box::new(predicted::over_time(&runs)))];
        }
        Err(reason) => case.reason = Some(reason),
    }
    case
}

/// Simulates under more and more seeds until the recording is among the runs, or enough is enough.
fn verdict(recording: &Recording) -> Result<(Judged, Vec<row::Run>), String> {
    let plan = plan(recording)?;
    let clients = clients(&plan);
    let requests = recording.runs.first().map_or(0, |r| r.rows.len() as u64);
    let mut runs = Vec::new();
    let mut seeds = SEEDS;
    loop {
        for seed in runs.len() as u64 + 1..=seeds {
            runs.push(simulate(&plan, seed)?);
        }
        let judged = judge(recording, &clients, &runs);
        seeds *= 2;
        let enough = seeds > MOST_SEEDS || seeds * requests > MOST_REQUESTS;
        // A mean of the first few seeds may be off itself.
        let decided = !judged.open && runs.len() as u64 > SEEDS;
        if judged.verdict == Verdict::Agree || decided || enough {
            return Ok((judged, runs));
        }
    }
}

fn plan(recording: &Recording) -> Result<Plan, String> {
    let read = read_file(&recording.scenario, &[]);
    if read.has_errors() {
        return Err(first_error(&read.diagnostics, &read.sources));
    }
    let Some(TestDocument::Scenario(document)) = read.documents.first() else {
        return Err(format!("{}: no scenario", recording.scenario.display()));
    };
    let planned = prepare(document, read.sources, &RunOptions::default())
        .map_err(|problems| first_error(&problems.1, &problems.0))?;
    Ok(planned.plan)
}

fn simulate(plan: &Plan, seed: u64) -> Result<row::Run, String> {
    // The recorder's processes add one to three milliseconds per try (README): some seeds have them, so that what
    // they decide is as random here as it is there.
    let slower_ns = (seed % SPEEDS) * SLOWER_NS;
    let network = NetworkModel {
        latency_ns: plan.network.latency_ns + slower_ns,
        connect_ns: plan.network.connect_ns + slower_ns,
        ..plan.network.clone()
    };
    let ticks_late_ns = if (seed / SPEEDS).is_multiple_of(4) { 0 } else { TICKS_LATE_NS };
    let record = run(&Plan { seed, network, ticks_late_ns, ..plan.clone() });
    if let Some(unknown) = record.requests.iter().find_map(|r| r.unknown.as_ref()) {
        return Err(format!("not modelled: {}", unknown.what));
    }
    Ok(row::simulated(&record, &|proxy| pod_of(&plan.world, proxy)))
}

/// The pods of each traffic that pods send.
fn clients(plan: &Plan) -> judge::Clients {
    let inside = plan.traffic.iter().filter(|t| matches!(t.from, mesh_engine::plan::Clients::Pods(_)));
    let pods = |t: &mesh_engine::plan::Traffic| {
        let pods = t.from.pods(&plan.world).into_iter().filter_map(|id| plan.world.pod(id));
        pods.map(|pod| pod.reference.to_string()).collect()
    };
    inside.map(|t| (t.name.to_string(), pods(t))).collect()
}

/// `ns/workload#ordinal` of a proxy. Timelines never change the proxies of the start.
fn pod_of(world: &World, proxy: u32) -> String {
    let pod = world.proxies.get(proxy as usize).and_then(|p| world.pod(p.pod));
    pod.map(|p| p.reference.to_string()).unwrap_or_default()
}

fn first_error(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let error = diagnostics.iter().find(|d| d.severity == Severity::Error);
    error.map_or_else(String::new, |e| format!("{} at {}", e.message, sources.location(e.span())))
}
