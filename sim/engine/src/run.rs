//! Runs: one plan, one thread, one record; replications in parallel, joined by index.

use mesh_core::cx::NoTrace;
use rayon::prelude::*;

use crate::draws::Keyed;
use crate::plan::Plan;
use crate::sim::Sim;
use crate::stats::RunRecord;

/// Simulates a plan. A pure function: the same plan gives the same record, bit for bit.
#[must_use]
pub fn run(plan: &Plan) -> RunRecord {
    let mut sim = Sim::new(plan, Keyed, NoTrace);
    sim.run();
    sim.into_record()
}

/// Simulates `count` replications (numbered from the plan's own) on up to `threads` threads (0 = as many as there
/// are cores). The order of the records is that of the replications, whatever the threads did.
#[must_use]
pub fn replicate(plan: &Plan, count: u32, threads: usize) -> Vec<RunRecord> {
    let numbered = |i: u32| run(&Plan { replication: plan.replication.wrapping_add(i), ..plan.clone() });
    if threads == 1 || count <= 1 {
        return (0..count).map(numbered).collect();
    }
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(|| (0..count).into_par_iter().map(numbered).collect()),
        // No threads to be had: the result is the same without.
        Err(_) => (0..count).map(numbered).collect(),
    }
}
