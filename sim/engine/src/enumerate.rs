//! Exact answers: one request on an idle mesh, walked once per combination of random choices.

use std::sync::Arc;

use mesh_core::cx::{NoTrace, Step};
use mesh_core::ids::Nanos;

use crate::draws::Scripted;
use crate::plan::{Plan, Record, Traffic};
use crate::record::RequestRecord;
use crate::sim::Sim;

/// A request to be answered exactly.
#[derive(Clone)]
pub struct Enumeration {
    /// World, behaviors, network and tokens are used; traffic, changes and duration are not.
    pub plan: Plan,
    /// The request: the first entry of its mix is sent at time 0; `${n}` is 0.
    pub traffic: Traffic,
    /// Whether to explain every outcome.
    pub explain: bool,
    /// Most outcomes to visit before giving up.
    pub limit: usize,
}

/// One possible outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its probability.
    pub probability: f64,
    /// What happens.
    pub record: RequestRecord,
    /// Why, when asked for.
    pub steps: Vec<Step>,
}

/// More outcomes than allowed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("more than {limit} different outcomes; those visited have probability {covered}")]
pub struct TooManyOutcomes {
    /// The limit.
    pub limit: usize,
    /// Probability of what was visited.
    pub covered: f64,
}

/// All outcomes of a request with their exact probabilities, which sum to 1.
///
/// # Errors
/// When there are more than `limit` combinations of choices.
pub fn enumerate(request: &Enumeration) -> Result<Vec<Outcome>, TooManyOutcomes> {
    let plan = Plan {
        traffic: vec![Traffic { arrivals: crate::plan::Arrivals::At(vec![0]), ..request.traffic.clone() }],
        changes: Vec::new(),
        duration_ns: HORIZON_NS,
        warmup_ns: 0,
        record: Record { requests: true, hops: true, window_ns: 0 },
        world: Arc::clone(&request.plan.world),
        ..request.plan.clone()
    };
    let mut script = Scripted::default();
    let mut outcomes = Vec::new();
    let mut covered = 0.0;
    loop {
        let (record, steps) = walk(&plan, &mut script, request.explain);
        let probability = script.probability();
        covered += probability;
        if let Some(record) = record {
            outcomes.push(Outcome { probability, record, steps });
        }
        if !script.advance() {
            return Ok(outcomes);
        }
        if outcomes.len() >= request.limit {
            return Err(TooManyOutcomes { limit: request.limit, covered });
        }
    }
}

/// Timers of idle connections beyond this are not set.
const HORIZON_NS: Nanos = 1;

fn walk(plan: &Plan, script: &mut Scripted, explain: bool) -> (Option<RequestRecord>, Vec<Step>) {
    let chance = std::mem::take(script);
    if explain {
        let mut sim = Sim::new(plan, chance, Vec::new());
        sim.run();
        *script = std::mem::take(&mut sim.chance);
        (sim.records.pop(), std::mem::take(&mut sim.trace))
    } else {
        let mut sim = Sim::new(plan, chance, NoTrace);
        sim.run();
        *script = std::mem::take(&mut sim.chance);
        (sim.records.pop(), Vec::new())
    }
}
