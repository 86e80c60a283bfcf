//! What a pick looks at: the published view, the hosts behind it, time and the request's hash.

use super::host::Host;
use super::slow_start;
use super::view::{PriorityView, View};
use crate::ids::{HostId, Nanos};
use crate::ir::{Cluster, LbPolicy};

/// A source of hosts within a priority.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    All,
    Healthy,
    Locality(usize),
}

/// What a pick looks at.
pub(super) struct Scene<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) view: &'a View,
    pub(super) hosts: &'a [Host],
    /// Loads that a retry priority plugin substitutes.
    pub(super) percent: Option<&'a [u32]>,
    pub(super) hash: Option<u64>,
    pub(super) now_ns: Nanos,
}

impl Scene<'_> {
    pub(super) fn priority(&self, priority: usize) -> Option<&PriorityView> {
        self.view.priorities.get(priority)
    }

    pub(super) fn hosts_of(&self, priority: usize, source: Source) -> &[HostId] {
        let Some(p) = self.priority(priority) else { return &[] };
        match source {
            Source::All => &p.all,
            Source::Healthy => &p.healthy,
            Source::Locality(i) => p.localities.get(i).map_or(&[], |l| &l.healthy),
        }
    }

    pub(super) fn percent(&self) -> &[u32] {
        self.percent.unwrap_or(&self.view.loads.percent)
    }

    pub(super) fn panics(&self, priority: usize) -> bool {
        self.view.loads.panic.get(priority).copied().unwrap_or(false)
    }

    pub(super) fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(id.index())
    }

    /// Weight of a host for its next turn (semantics: envoy-upstream 2.2, 2.4, 3.3).
    pub(super) fn weight(&self, id: HostId) -> f64 {
        let Some(host) = self.host(id) else { return 1.0 };
        let base = f64::from(host.weight);
        match &self.cluster.lb {
            LbPolicy::RoundRobin(slow) => slow_start::weight(base, host, slow, self.now_ns),
            LbPolicy::LeastRequest(_, slow) => {
                let per_request = base / (f64::from(host.active_requests) + 1.0);
                slow_start::weight(per_request, host, slow, self.now_ns)
            }
            _ => base,
        }
    }

    pub(super) fn is_hashing(&self) -> bool {
        matches!(self.cluster.lb, LbPolicy::RingHash { .. } | LbPolicy::Maglev { .. })
    }
}
