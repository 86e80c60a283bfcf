//! Changes of the world while traffic flows.

use std::sync::Arc;

use mesh_core::cx::TraceSink;

use super::Sim;
use crate::draws::Chance;
use crate::plan::{Change, ReplyOrder};

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// The i-th change of the plan is due.
    pub(super) fn change(&mut self, index: u32) {
        let plan = self.plan;
        let Some((_, change)) = plan.changes.get(index as usize) else { return };
        match change {
            Change::World { world, delay_ns, jitter_ns } => {
                self.adopt(Arc::clone(world), *delay_ns, *jitter_ns)
            }
            Change::Behavior { pods, service_time, responses, order, connect } => {
                for name in pods {
                    let Some(pod) = self.pod_names.get(name).copied() else { continue };
                    let restart = responses.is_some() || order.is_some();
                    self.set_behavior(
                        pod,
                        |b| {
                            if let Some(law) = service_time {
                                b.service_time = law.clone();
                            }
                            if let Some(replies) = responses {
                                b.responses.clone_from(replies);
                                b.order = ReplyOrder::Weighted;
                            }
                            if let Some(order) = order {
                                b.order = *order;
                            }
                            if let Some(connect) = connect {
                                b.connect = *connect;
                            }
                        },
                        restart,
                    );
                }
            }
            Change::Kill { pods } => {
                for name in pods {
                    if let Some(pod) = self.pod_names.get(name).copied() {
                        self.kill_pod(pod);
                    }
                }
            }
        }
    }
}
