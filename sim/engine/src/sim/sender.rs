//! Who sends a request of a traffic: one of the pods that run at that time, in turn or drawn.
//!
//! Every pod has a proxy of its own, and every proxy balances, ejects and counts by itself; a workload of three pods is
//! three clients. When requests begin is `traffic.rs`.

use std::net::IpAddr;

use mesh_core::cx::{Purpose, TraceSink};

use super::Sim;
use super::state::PodIx;
use crate::draws::Chance;
use crate::plan::{Arrivals, Clients, PodSet};
use crate::world::Pod;

/// Which of several pods.
const SENDER: Purpose = Purpose::Other(11);

/// The client of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A pod of the mesh.
    Pod(PodIx),
    /// Somebody outside with this address, who dials this pod of a gateway in place of the request's address.
    Outside(IpAddr, Option<IpAddr>),
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// The client of the request with this key; `None`: no pod of the traffic runs. `turn` is the user of a closed loop,
    /// who stays with a pod, and the request's number elsewhere: even and scripted arrivals go round, Poisson arrivals
    /// are split at random, so that every pod's are Poisson too.
    pub(super) fn sender(&mut self, traffic: u32, turn: u64, key: u64) -> Option<Sender> {
        let spec = self.plan.traffic.get(traffic as usize)?;
        let among = self.running(traffic);
        let drawn = matches!(spec.arrivals, Arrivals::Phases { poisson: true, .. });
        let pod = match among {
            0 => None,
            1 => Some(0),
            _ if drawn => Some((self.chance.draw(key, SENDER) % among as u64) as usize),
            _ => Some((turn % among as u64) as usize),
        };
        let pod = pod.and_then(|at| self.sources.get(traffic as usize)?.running.as_deref()?.get(at).copied());
        match &spec.from {
            Clients::Pods(_) => pod.map(Sender::Pod),
            Clients::Outside { source, .. } => {
                let gateway = pod.and_then(|ix| self.pods.get(ix as usize)).map(|run| run.pod.ip);
                Some(Sender::Outside(*source, gateway))
            }
        }
    }

    /// How many pods of the traffic run; they are looked up once per version of the mesh.
    fn running(&mut self, traffic: u32) -> usize {
        let known = self.sources.get(traffic as usize).and_then(|s| s.running.as_ref());
        if let Some(known) = known {
            return known.len();
        }
        let Some(spec) = self.plan.traffic.get(traffic as usize) else { return 0 };
        let (Clients::Pods(sets) | Clients::Outside { gateway: sets, .. }) = &spec.from;
        let pods = self.pods.iter().enumerate().filter(|(_, run)| !run.gone && run.left.is_none());
        let meant = pods.filter(|(_, run)| sets.iter().any(|set| self.means(set, &run.pod)));
        let found: Vec<PodIx> = meant.map(|(ix, _)| ix as PodIx).collect();
        let count = found.len();
        if let Some(source) = self.sources.get_mut(traffic as usize) {
            source.running = Some(found);
        }
        count
    }

    fn means(&self, set: &PodSet, pod: &Pod) -> bool {
        match set {
            PodSet::One(id) => self.plan.world.pod(*id).is_some_and(|one| one.reference == pod.reference),
            PodSet::Workload(name) => pod.workload() == name.as_ref(),
        }
    }

    /// Pods came or went.
    pub(super) fn pods_changed(&mut self) {
        for source in &mut self.sources {
            source.running = None;
        }
    }
}
