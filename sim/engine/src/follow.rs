//! One request of a run, as it happened there: the same event loop as [`crate::run`], which keeps the steps and the
//! record of one request and of no other.

use mesh_core::cx::{Step, TraceSink};
use mesh_core::ids::Nanos;

use crate::draws::Keyed;
use crate::plan::{Plan, Record};
use crate::record::RequestRecord;
use crate::sim::Sim;

/// A request that was followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The request, with every hop; `None` when the run has fewer requests.
    pub record: Option<RequestRecord>,
    /// What happened to it, with simulated times, ns. Times never decrease.
    pub steps: Vec<(Nanos, Step)>,
    /// Requests that had begun when the run was left: all of the run's when there is no record.
    pub begun: u64,
}

/// Simulates a plan until the request that is the `number`-th to begin (from 1, over all of the plan's traffic) is over.
/// It is the request that [`crate::run`] would meet: following changes nothing.
#[must_use]
pub fn follow(plan: &Plan, number: u64) -> Followed {
    let plan = Plan { record: Record { requests: true, hops: true, ..plan.record }, ..plan.clone() };
    let mut sim = Sim::new(&plan, Keyed, OfOne::default());
    sim.follow(number);
    sim.run();
    let begun = sim.begun();
    Followed { record: sim.records.pop(), steps: std::mem::take(&mut sim.trace.steps), begun }
}

/// Keeps the steps of the followed request with their times.
#[derive(Debug, Default)]
struct OfOne {
    on: bool,
    now_ns: Nanos,
    steps: Vec<(Nanos, Step)>,
}

impl TraceSink for OfOne {
    const ENABLED: bool = true;
    fn step(&mut self, step: impl FnOnce() -> Step) {
        if self.on {
            self.steps.push((self.now_ns, step()));
        }
    }
    fn turn(&mut self, now_ns: Nanos, followed: bool) {
        (self.now_ns, self.on) = (now_ns, followed);
    }
}
