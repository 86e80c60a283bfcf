//! Exact answers: one request on an idle mesh, walked once per combination of random choices.

use std::sync::Arc;

use mesh_core::Str;
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
    /// Whether to give up where a random service time decides between an answer and a timeout. Otherwise one time
    /// stands for all.
    pub no_races: bool,
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

/// Why there is no list of outcomes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotEnumerable {
    /// More outcomes than allowed.
    #[error("more than {limit} different outcomes; those visited have probability {covered:.3}")]
    TooMany {
        /// The limit.
        limit: usize,
        /// Probability of what was visited.
        covered: f64,
    },
    /// A random service time decides, and those are not enumerated. Only where asked for.
    #[error("the service time of {who} is random, and a timeout is within its reach")]
    Race {
        /// Whose, `ns/workload#ordinal`.
        who: Str,
    },
}

/// All outcomes of a request with their exact probabilities, which sum to 1.
///
/// # Errors
/// When there are more than `limit` combinations of choices, or what `no_races` refuses.
pub fn enumerate(request: &Enumeration) -> Result<Vec<Outcome>, NotEnumerable> {
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
        let (record, steps, race) = walk(&plan, &mut script, request.explain);
        if let Some(who) = race.filter(|_| request.no_races) {
            return Err(NotEnumerable::Race { who });
        }
        let probability = script.probability();
        covered += probability;
        if let Some(record) = record {
            outcomes.push(Outcome { probability, record, steps });
        }
        if !script.advance() {
            return Ok(outcomes);
        }
        if outcomes.len() >= request.limit {
            return Err(NotEnumerable::TooMany { limit: request.limit, covered });
        }
    }
}

/// Timers of idle connections beyond this are not set.
const HORIZON_NS: Nanos = 1;

fn walk(
    plan: &Plan,
    script: &mut Scripted,
    explain: bool,
) -> (Option<RequestRecord>, Vec<Step>, Option<Str>) {
    let chance = std::mem::take(script);
    if explain {
        let mut sim = Sim::new(plan, chance, Vec::new());
        sim.run();
        *script = std::mem::take(&mut sim.chance);
        (sim.records.pop(), std::mem::take(&mut sim.trace), sim.races.open().cloned())
    } else {
        let mut sim = Sim::new(plan, chance, NoTrace);
        sim.run();
        *script = std::mem::take(&mut sim.chance);
        (sim.records.pop(), Vec::new(), sim.races.open().cloned())
    }
}
