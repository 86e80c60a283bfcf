//! A scenario document, run: mesh, plan, engine, report, gates.

use std::sync::Arc;

use mesh_config::decode::Spanned;
use mesh_config::diagnostic::{Diagnostic, Severity, Stage, codes};
use mesh_config::document::RawObject;
use mesh_config::source::Sources;
use mesh_engine::plan::{Arrivals, Plan, Record, Traffic};
use mesh_engine::stats::RunRecord;
use mesh_reports::run::RunReport;

use crate::document::ScenarioDocument;
use crate::format::client::Client;
use crate::format::request::Request;
use crate::gate::{Evidence, check_names, judge};
use crate::loaded::{LoadedMesh, MeshInput};
use crate::plan::behavior::{Behaviors, behaviors};
use crate::plan::network;
use crate::plan::traffic::traffic;
use crate::report::amplification::amplification;
use crate::report::exact::exact;
use crate::report::{Material, report};
use crate::timeline;
use crate::tokens::JwtReader;

/// Requests beyond this are not kept one by one; gates that need them are answered `unknown`.
const KEPT_REQUESTS: f64 = 400_000.0;

/// Tolerance where none is wished for.
const TOLERANCE: f64 = 0.01;

/// Seed of scenarios that state none.
pub const DEFAULT_SEED: u64 = 1;

/// How scenarios are run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    /// Seed instead of the scenario's.
    pub seed: Option<u64>,
    /// Simulated time instead of the scenario's, ns.
    pub duration_ns: Option<u64>,
    /// Independent runs instead of the scenario's.
    pub replications: Option<u32>,
    /// Threads for replications; 0 = as many as there are cores. The result does not depend on it.
    pub threads: usize,
    /// Tolerance of which the report says how many runs it takes; default 1 % (of shares absolute, of means relative).
    pub tolerance: Option<f64>,
}

/// A scenario that was run, with everything reports are made from.
pub struct Ran {
    /// The report with its gates.
    pub report: RunReport,
    /// The mesh, its file table and everything found while reading.
    pub mesh: LoadedMesh,
    /// The records, one per replication.
    pub runs: Vec<RunRecord>,
}

/// A scenario ready to run.
pub struct Prepared {
    /// The mesh.
    pub mesh: LoadedMesh,
    /// The plan of replication 0.
    pub plan: Plan,
    /// What pods do.
    pub behaviors: Behaviors,
    /// Client and request in words, per traffic.
    pub traffic_words: Vec<(String, String)>,
    /// Independent runs.
    pub replications: u32,
}

/// Reads everything a scenario names and makes its plan. `sources` is the table its spans point into.
///
/// # Errors
/// All problems, with the file table they point into.
pub fn prepare(
    document: &ScenarioDocument,
    sources: Sources,
    options: &RunOptions,
) -> Result<Prepared, Box<(Sources, Vec<Diagnostic>)>> {
    prepare_with(document, sources, options, None)
}

/// [`prepare`] with other objects than the manifests hold.
fn prepare_with(
    document: &ScenarioDocument,
    sources: Sources,
    options: &RunOptions,
    objects: Option<Vec<RawObject>>,
) -> Result<Prepared, Box<(Sources, Vec<Diagnostic>)>> {
    let spec = &document.spec;
    let namespace = spec.mesh.given.namespace.clone();
    let mut input = MeshInput { words: spec.mesh.clone(), namespace, ..MeshInput::default() };
    for one in &spec.traffic {
        input.note_client(&one.from.value);
    }
    let mut mesh = LoadedMesh::load(sources, &input, document.heading.base());
    if let Some(objects) = objects {
        mesh = mesh.changed(mesh.sources.clone(), objects);
    }
    let mut out = std::mem::take(&mut mesh.diagnostics);
    let duration = options.duration_ns.or(spec.duration.as_ref().map(|d| d.value.0));
    let Some(duration_ns) = duration else {
        let message = "a scenario needs a `duration`".to_owned();
        out.push(
            Diagnostic::error(codes::CONTRADICTION, Stage::Schema, document.heading.origin, message)
                .help("write `duration: 60s` below `spec:`"),
        );
        return Err(Box::new((mesh.sources, out)));
    };
    let stages = timeline::stages(&spec.timeline, &mut mesh, document.heading.base(), &mut out);
    mesh.expect(&stages.iter().flatten().cloned().collect::<Vec<_>>());
    let behaviors = behaviors(&spec.behaviors, &mesh.directory, &mesh.later, &mut out);
    let made: Vec<Option<Traffic>> = spec
        .traffic
        .iter()
        .map(|one| traffic(one, &mesh.directory, &mesh.clients, duration_ns, &mut out))
        .collect();
    let names: Vec<String> = spec.traffic.iter().map(|t| t.name.clone()).collect();
    duplicate_names(document, &names, &mut out);
    check_names(&spec.expect, &names, &mesh, &mut out);
    if let Some(internet) = &behaviors.internet {
        let mut world = (*mesh.world).clone();
        world.internet.connect = internet.connect;
        mesh.world = Arc::new(world);
    }
    let changes = timeline::changes(&spec.timeline, &stages, &mesh, &mut out);
    if out.iter().any(|d| d.severity == Severity::Error) {
        return Err(Box::new((mesh.sources, out)));
    }
    let traffic: Vec<Traffic> = made.into_iter().flatten().collect();
    let kept = expected_requests(&traffic, duration_ns) <= KEPT_REQUESTS;
    let plan = Plan {
        ticks_late_ns: 0,
        world: Arc::clone(&mesh.world),
        seed: options.seed.or(spec.seed).unwrap_or(DEFAULT_SEED),
        replication: 0,
        duration_ns,
        warmup_ns: spec.warmup.map_or(0, |d| d.0),
        network: network(&spec.network),
        behaviors: behaviors.pods.clone(),
        traffic,
        changes,
        record: Record { requests: kept, hops: kept, window_ns: 0 },
        tokens: Arc::new(JwtReader),
    };
    mesh.diagnostics = out;
    let traffic_words = spec
        .traffic
        .iter()
        .map(|t| (client_words(&t.from), t.request.as_ref().map(request_words).unwrap_or_default()))
        .collect();
    let replications = options.replications.or(spec.replications).unwrap_or(1).max(1);
    Ok(Prepared { mesh, plan, behaviors, traffic_words, replications })
}

/// Runs a scenario and judges its gates.
///
/// # Errors
/// All problems, with the file table they point into.
pub fn run(
    document: &ScenarioDocument,
    sources: Sources,
    options: &RunOptions,
) -> Result<Ran, Box<(Sources, Vec<Diagnostic>)>> {
    Ok(judged(document, prepare(document, sources, options)?, options))
}

/// [`run`] with other objects than the manifests hold.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_changed(
    document: &ScenarioDocument,
    sources: Sources,
    options: &RunOptions,
    objects: Vec<RawObject>,
) -> Result<Ran, Box<(Sources, Vec<Diagnostic>)>> {
    Ok(judged(document, prepare_with(document, sources, options, Some(objects))?, options))
}

fn judged(document: &ScenarioDocument, prepared: Prepared, options: &RunOptions) -> Ran {
    let runs = mesh_engine::replicate(&prepared.plan, prepared.replications, options.threads);
    let exact = exact(&prepared.mesh, &prepared.plan.traffic, &prepared.behaviors);
    let amplified = amplification(&prepared.mesh, &prepared.behaviors, &prepared.plan.traffic, runs.first());
    let material = Material {
        heading: &document.heading,
        mesh: &prepared.mesh,
        runs: &runs,
        exact: &exact,
        amplification: &amplified,
        tolerance: options.tolerance.unwrap_or(TOLERANCE),
        seed: prepared.plan.seed,
        traffic_words: &prepared.traffic_words,
    };
    let mut report = report(&material);
    let evidence = Evidence { mesh: &prepared.mesh, runs: &runs, exact: &exact, report: &report };
    let gates = document.spec.expect.iter().map(|gate| judge(gate, &evidence)).collect();
    report.gates = gates;
    Ran { report, mesh: prepared.mesh, runs }
}

fn duplicate_names(document: &ScenarioDocument, names: &[String], out: &mut Vec<Diagnostic>) {
    for (i, one) in document.spec.traffic.iter().enumerate() {
        if names.iter().take(i).any(|n| *n == one.name) {
            let message = format!("there are two traffics named `{}`", one.name);
            out.push(Diagnostic::error(codes::CONTRADICTION, Stage::Schema, one.origin, message));
        }
    }
}

fn client_words(from: &Spanned<Client>) -> String {
    match &from.value {
        Client::Workload(reference) => reference.to_string(),
        Client::Gateway(gateway) => format!("outside ({})", gateway.gateway),
        Client::Pod(pod) => format!("{}/client", pod.namespace),
    }
}

/// `GET http://reviews:9080/reviews/0`
fn request_words(request: &Request) -> String {
    let w = &request.words;
    let target = w.url.clone().unwrap_or_else(|| {
        let scheme = w.scheme.as_deref().unwrap_or("http");
        let port = w.port.map(|p| format!(":{p}")).unwrap_or_default();
        format!(
            "{scheme}://{}{port}{}",
            w.host.as_deref().unwrap_or_default(),
            w.path.as_deref().unwrap_or("/")
        )
    });
    format!("{} {target}", w.method.as_deref().unwrap_or("GET"))
}

/// Expected number of arrivals; closed loops count as many users as they have per millisecond of think time.
fn expected_requests(traffic: &[Traffic], duration_ns: u64) -> f64 {
    let seconds = duration_ns as f64 / 1e9;
    traffic
        .iter()
        .map(|t| match &t.arrivals {
            Arrivals::At(times) => times.len() as f64,
            Arrivals::Constant { rate, count, .. } => count.map_or(rate * seconds, |c| c as f64),
            Arrivals::Phases { phases, .. } => {
                let mut begin = 0;
                phases
                    .iter()
                    .map(|p| {
                        let width = p.until_ns.min(duration_ns).saturating_sub(begin) as f64 / 1e9;
                        begin = p.until_ns;
                        width * (p.from_rate + p.to_rate) / 2.0
                    })
                    .sum()
            }
            Arrivals::Users { users, .. } => f64::from(*users) * seconds * 100.0,
        })
        .sum()
}
