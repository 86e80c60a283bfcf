//! From the engine's records to the report of a run.
//!
//! `exact` computes the closed-form shares by enumeration, `splits`, `graph` and `tables` count what was sampled.
//! Nothing here decides anything; the report says where each decision stands.

pub mod amplification;
mod compared;
pub mod exact;
mod graph;
pub mod logs;
pub mod metrics;
mod splits;
pub(crate) mod tables;

use mesh_core::Str;
use mesh_engine::record::{Hop, RequestRecord, Side};
use mesh_engine::stats::RunRecord;
use mesh_reports::run::{InputSummary, Latency, Note, RunReport};

use crate::document::Heading;
use crate::loaded::LoadedMesh;
use crate::predict::outbound_parts;
use amplification::Amplification;
use exact::Exact;
pub use graph::static_graph;
pub(crate) use tables::denied;

/// What a report is made from.
pub struct Material<'a> {
    /// Name and file of the scenario.
    pub heading: &'a Heading,
    /// The mesh at time 0.
    pub mesh: &'a LoadedMesh,
    /// One record per replication.
    pub runs: &'a [RunRecord],
    /// Closed-form shares.
    pub exact: &'a Exact,
    /// What retries can do.
    pub amplification: &'a Amplification,
    /// Tolerance of which the report says how many runs it takes.
    pub tolerance: f64,
    /// Seed as used.
    pub seed: u64,
    /// Clients and requests in words, per traffic.
    pub traffic_words: &'a [(String, String)],
}

/// Builds the report; gates are added by the caller.
#[must_use]
pub fn report(material: &Material<'_>) -> RunReport {
    let first = material.runs.first();
    let mut report = RunReport {
        name: material.heading.name.clone(),
        description: material.heading.description.clone(),
        file: material.heading.file.display().to_string(),
        seed: material.seed,
        duration_ms: first.map_or(0.0, |r| ms(r.duration_ns)),
        warmup_ms: first.map_or(0.0, |r| ms(r.warmup_ns)),
        replications: material.runs.len() as u32,
        requests: material.runs.iter().flat_map(|r| &r.traffic).map(|t| t.requests).sum(),
        profile: crate::loaded::PROFILES[0].to_owned(),
        inputs: inputs(material.mesh),
        splits: splits::splits(material),
        traffic: tables::traffic(material),
        ejections: tables::ejections(material),
        denials: tables::denials(material),
        flags: tables::flags(material),
        retries: tables::retries(material),
        overflows: tables::overflows(material),
        graph: graph::graph(material),
        tolerance: material.tolerance,
        unknown: material.runs.iter().flat_map(|r| &r.traffic).map(|t| t.unknown).sum(),
        ..RunReport::default()
    };
    report.compared = compared::compared(material, &report.splits, material.tolerance);
    report.notes = notes(material);
    report
}

/// Nanoseconds as milliseconds.
#[must_use]
pub fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn inputs(mesh: &LoadedMesh) -> InputSummary {
    let model = &mesh.lowering.mesh;
    let count = |n: usize| n as u32;
    InputSummary {
        objects: count(mesh.objects.len()),
        files: count(files(mesh)),
        listed: count(model.inventory.others.len()),
        pods: count(mesh.directory.pods.iter().filter(|p| !p.gateway).count()),
        sidecars: count(mesh.directory.pods.iter().filter(|p| p.sidecar).count()),
        gateways: count(mesh.directory.pods.iter().filter(|p| p.gateway).count()),
        services: count(model.services.len()),
    }
}

/// Files the objects come from.
fn files(mesh: &LoadedMesh) -> usize {
    let mut ids: Vec<_> = mesh.objects.iter().map(|o| o.span.file).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

fn notes(material: &Material<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for run in material.runs.iter().take(1) {
        for pod in &run.pods {
            if let Some(load) = pod.utilization(run.duration_ns).filter(|u| *u >= 0.98) {
                let text = format!(
                    "{} is busy {:.0}% of the time (longest queue {}): the offered load is beyond its capacity, latencies grow with the length of the run",
                    pod.reference,
                    load * 100.0,
                    pod.longest_queue
                );
                notes.push(Note { kind: "overload".to_owned(), text, place: String::new() });
            }
        }
    }
    for run in material.runs {
        if let Some(at_ns) = run.overloaded_ns {
            let text = format!(
                "so many requests were in flight at {:.1}s that the run offered no more: far more is offered than can be served, and latencies mean nothing",
                at_ns as f64 / 1e9
            );
            notes.push(Note { kind: "overload".to_owned(), text, place: String::new() });
        }
    }
    for traffic in material.runs.iter().flat_map(|run| &run.traffic).filter(|t| t.unsent > 0) {
        let text = format!(
            "{} requests of traffic `{}` were not sent: no pod of its client ran at their time",
            traffic.unsent, traffic.name
        );
        notes.push(Note { kind: "unsent".to_owned(), text, place: String::new() });
    }
    if let Some(circle) = &material.amplification.circle {
        let text = format!("workloads call each other in circles: {circle}");
        notes.push(Note { kind: "circle".to_owned(), text, place: String::new() });
    }
    if let Some(why) = &material.exact.incomplete {
        notes.push(Note {
            kind: "exact".to_owned(),
            text: format!("no closed-form shares: {why}"),
            place: String::new(),
        });
    }
    for unknown in material.exact.unknown.iter() {
        let place = unknown.place.clone().unwrap_or_default();
        notes.push(Note {
            kind: "unknown".to_owned(),
            text: format!("{} is not modelled", unknown.what),
            place,
        });
    }
    notes
}

/// All requests of all replications that were kept and counted.
pub(crate) fn requests<'a>(runs: &'a [RunRecord]) -> impl Iterator<Item = &'a RequestRecord> + 'a {
    runs.iter().flat_map(|run| run.requests.iter().filter(|r| r.start_ns >= run.warmup_ns))
}

/// Hops of client-side proxies: where routing decisions were made. Mirrors do not count.
pub(crate) fn client_hops(record: &RequestRecord) -> impl Iterator<Item = &Hop> {
    record.hops.iter().filter(|h| h.side != Side::Inbound && !h.shadow)
}

/// Service host of a hop: the registry's name, or the authority for clusters that belong to no service.
pub(crate) fn host_of(hop: &Hop) -> Option<String> {
    let cluster = hop.cluster_name.as_deref()?;
    match outbound_parts(cluster) {
        Some((_, _, host)) => Some(host.to_owned()),
        None => hop.authority.as_ref().map(ToString::to_string),
    }
}

/// `ns/workload` of `ns/workload#ordinal`.
#[must_use]
pub fn workload_of(reference: &str) -> &str {
    reference.rsplit_once('#').map_or(reference, |(workload, _)| workload)
}

/// A failed answer: 5xx, or none at all.
pub(crate) fn failed(hop: &Hop) -> bool {
    match hop.code {
        Some(code) => !(100..500).contains(&code),
        None => hop.flags.text() != "-",
    }
}

/// Percentiles of unsorted durations in ns.
pub(crate) fn latency(durations: &mut [u64]) -> Latency {
    durations.sort_unstable();
    let Some(last) = durations.last() else { return Latency::default() };
    let at = |q: f64| {
        let rank = (q * durations.len() as f64).ceil() as usize;
        ms(durations.get(rank.clamp(1, durations.len()) - 1).copied().unwrap_or(0))
    };
    Latency {
        min_ms: ms(durations.first().copied().unwrap_or(0)),
        mean_ms: durations.iter().map(|d| *d as f64).sum::<f64>() / durations.len() as f64 / 1e6,
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        max_ms: ms(*last),
    }
}

/// Percentiles out of a histogram of ns.
pub(crate) fn histogram_latency<C: hdrhistogram::Counter>(h: &hdrhistogram::Histogram<C>) -> Latency {
    if h.is_empty() {
        return Latency::default();
    }
    Latency {
        min_ms: ms(h.min()),
        mean_ms: h.mean() / 1e6,
        p50_ms: ms(h.value_at_quantile(0.5)),
        p90_ms: ms(h.value_at_quantile(0.9)),
        p95_ms: ms(h.value_at_quantile(0.95)),
        p99_ms: ms(h.value_at_quantile(0.99)),
        p999_ms: ms(h.value_at_quantile(0.999)),
        max_ms: ms(h.max()),
    }
}

/// 95 % interval of a proportion (Wilson).
#[must_use]
pub fn interval(hits: u64, all: u64) -> (f64, f64) {
    if all == 0 {
        return (0.0, 1.0);
    }
    let (n, p, z) = (all as f64, hits as f64 / all as f64, 1.959_963_984_540_054);
    let centre = p + z * z / (2.0 * n);
    let half = z * libm::sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
    let scale = 1.0 + z * z / n;
    (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
}

/// Text of an optional name.
pub(crate) fn words(value: Option<&Str>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}
