//! One request, every outcome: the engine's enumeration in the words of the reports.
//!
//! Conformance, policy tests, `explain`, `diff` and `matrix` all ask here; nobody else calls `enumerate`.

use std::sync::Arc;

use mesh_core::cx::Step;
use mesh_engine::plan::{Arrivals, ClientRequest, NetworkModel, Plan, Record, SendMode, Traffic};
use mesh_engine::record::{Fate, RequestRecord};
use mesh_engine::{Enumeration, enumerate, replicate};
use mesh_reports::outcome::Outcome;

use crate::loaded::LoadedMesh;
use crate::outcome::outcome;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::Sender;
use crate::tokens::JwtReader;

/// A client gives up after this (conformance/README: 15 s).
const PATIENCE_NS: u64 = 15_000_000_000;
/// Most combinations of random choices that are visited.
const MAX_OUTCOMES: usize = 20_000;

/// One predicted outcome with what it was made from.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// Probability, in (0, 1].
    pub p: f64,
    /// In the words of the reports.
    pub outcome: Outcome,
    /// As the engine recorded it.
    pub record: RequestRecord,
    /// Why.
    pub steps: Vec<Step>,
}

/// Every outcome of a request on an idle mesh; equal outcomes are joined. Probabilities sum to 1.
///
/// # Errors
/// When there are too many combinations of random choices.
pub fn predict(
    mesh: &LoadedMesh,
    sender: &Sender,
    request: &ClientRequest,
    behaviors: &Behaviors,
    explain: bool,
) -> Result<Vec<Prediction>, String> {
    let traffic = Traffic {
        name: "request".into(),
        from: sender.clients(),
        mix: vec![(1, request.clone())],
        arrivals: Arrivals::At(vec![0]),
        client_timeout_ns: Some(PATIENCE_NS),
        impatient: Fate::Timeout,
        send: SendMode::Whole,
    };
    enumerated(mesh, behaviors, traffic, explain, false)
}

/// As [`predict`] for a request of a scenario's traffic, whose client may give up earlier.
///
/// # Errors
/// When there are too many combinations of random choices, or a random service time decides whether there is an answer:
/// times are no choices that can be listed.
pub fn predict_exactly(
    mesh: &LoadedMesh,
    sender: &Sender,
    request: &ClientRequest,
    behaviors: &Behaviors,
    traffic: &Traffic,
) -> Result<Vec<Prediction>, String> {
    let gives_up = traffic.client_timeout_ns.filter(|ns| *ns < PATIENCE_NS);
    let one = Traffic {
        from: sender.clients(),
        mix: vec![(1, request.clone())],
        arrivals: Arrivals::At(vec![0]),
        client_timeout_ns: gives_up.or(Some(PATIENCE_NS)),
        impatient: if gives_up.is_some() { traffic.impatient } else { Fate::Timeout },
        ..traffic.clone()
    };
    enumerated(mesh, behaviors, one, false, true)
}

fn enumerated(
    mesh: &LoadedMesh,
    behaviors: &Behaviors,
    traffic: Traffic,
    explain: bool,
    no_races: bool,
) -> Result<Vec<Prediction>, String> {
    let enumeration =
        Enumeration { plan: idle_plan(mesh, behaviors), traffic, explain, limit: MAX_OUTCOMES, no_races };
    let outcomes = enumerate(&enumeration).map_err(|e| e.to_string())?;
    let mut joined: Vec<Prediction> = Vec::new();
    for one in outcomes {
        let shown = outcome(0.0, &one.record, &mesh.world, mesh);
        match joined.iter_mut().find(|p| p.outcome == shown) {
            Some(known) => known.p += one.probability,
            None => joined.push(Prediction {
                p: one.probability,
                outcome: shown,
                record: one.record,
                steps: one.steps,
            }),
        }
    }
    for prediction in &mut joined {
        prediction.outcome.p = prediction.p;
    }
    Ok(joined)
}

fn idle_plan(mesh: &LoadedMesh, behaviors: &Behaviors) -> Plan {
    Plan {
        ticks_late_ns: 0,
        world: Arc::clone(&mesh.world),
        seed: 1,
        replication: 0,
        duration_ns: 0,
        warmup_ns: 0,
        network: NetworkModel::default(),
        behaviors: behaviors.pods.clone(),
        traffic: Vec::new(),
        changes: Vec::new(),
        record: Record::default(),
        tokens: Arc::new(JwtReader),
    }
}

/// Time between the requests of [`repeat`], and how often the whole sequence is simulated.
const REPEAT_EVERY_NS: u64 = 20_000_000;
const REPEAT_RUNS: u32 = 200;

/// The same request `n` times in a row through the same proxies: outcomes with their mean shares over many simulated
/// sequences. For requests that change the state of the proxies; the shares are estimates, not exact.
#[must_use]
pub fn repeat(
    mesh: &LoadedMesh,
    sender: &Sender,
    request: &ClientRequest,
    behaviors: &Behaviors,
    n: u32,
) -> Vec<Outcome> {
    let traffic = Traffic {
        name: "request".into(),
        from: sender.clients(),
        mix: vec![(1, request.clone())],
        arrivals: Arrivals::At((0..u64::from(n)).map(|k| k * REPEAT_EVERY_NS).collect()),
        client_timeout_ns: Some(PATIENCE_NS),
        impatient: Fate::Timeout,
        send: SendMode::Whole,
    };
    let plan = Plan {
        traffic: vec![traffic],
        duration_ns: u64::from(n + 1) * REPEAT_EVERY_NS,
        record: Record { requests: true, hops: true, window_ns: 0 },
        ..idle_plan(mesh, behaviors)
    };
    let share = 1.0 / (f64::from(n) * f64::from(REPEAT_RUNS));
    let mut joined: Vec<Outcome> = Vec::new();
    for record in replicate(&plan, REPEAT_RUNS, 0).iter().flat_map(|run| &run.requests) {
        let shown = outcome(0.0, record, &mesh.world, mesh);
        match joined.iter_mut().find(|o| Outcome { p: 0.0, ..(*o).clone() } == shown) {
            Some(known) => known.p += share,
            None => joined.push(Outcome { p: share, ..shown }),
        }
    }
    joined
}

/// Whether a service host was meant by a short or full name: `reviews`, `reviews.default`, the FQDN.
#[must_use]
pub fn same_host(written: &str, fqdn: &str) -> bool {
    written == fqdn
        || fqdn.strip_prefix(written).is_some_and(|rest| rest.starts_with('.') && fqdn.contains(".svc."))
}

/// (port, subset, host) of an outbound cluster name (semantics: istio-networking 11).
#[must_use]
pub fn outbound_parts(cluster: &str) -> Option<(u16, &str, &str)> {
    let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
    let port = parts.next()?.parse().ok()?;
    Some((port, parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_are_taken_apart() {
        let parts = outbound_parts("outbound|9080|v1|reviews.default.svc.cluster.local");
        assert_eq!(parts, Some((9080, "v1", "reviews.default.svc.cluster.local")));
        assert_eq!(outbound_parts("PassthroughCluster"), None);
        assert!(same_host("reviews", "reviews.default.svc.cluster.local"));
        assert!(same_host("reviews.default", "reviews.default.svc.cluster.local"));
        assert!(!same_host("review", "reviews.default.svc.cluster.local"));
        assert!(same_host("api.example.com", "api.example.com"));
        assert!(!same_host("api", "api.example.com"));
    }
}
