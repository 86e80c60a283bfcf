//! What balancers see of a cluster's hosts: vectors by priority, health and locality as of the last publication
//! (semantics: envoy-upstream 0.4, 1.2). Rebuilt as a whole; never changed in between.

use std::collections::BTreeMap;

use super::host::Host;
use super::loads::{self, Counts, Loads};
use crate::ids::HostId;
use crate::ir::{Cluster, Health};

/// The published hosts.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// By priority.
    pub(super) priorities: Vec<PriorityView>,
    /// Load and panic by priority.
    pub(super) loads: Loads,
    /// The only priority with load, if there is but one.
    pub(super) sole: Option<usize>,
}

/// One priority.
#[derive(Debug, Clone, Default)]
pub(super) struct PriorityView {
    /// All hosts in configuration order.
    pub(super) all: Vec<HostId>,
    /// The healthy ones among them.
    pub(super) healthy: Vec<HostId>,
    /// In lexicographic order.
    pub(super) localities: Vec<LocalityView>,
    /// For the availability arithmetic.
    pub(super) counts: Counts,
}

/// One locality of one priority.
#[derive(Debug, Clone, Default)]
pub(super) struct LocalityView {
    /// `load_balancing_weight` of the locality; 0 = none.
    pub(super) weight: u32,
    /// All hosts.
    pub(super) all: Vec<HostId>,
    /// The healthy ones.
    pub(super) healthy: Vec<HostId>,
    /// Draining ones.
    pub(super) excluded: u32,
}

impl LocalityView {
    /// Envoy: LocalityWrr::effectiveLocalityWeight.
    pub(super) fn effective_weight(&self, overprovisioning_factor: u32) -> f64 {
        let considered = self.all.len() as f64 - f64::from(self.excluded);
        if considered <= 0.0 {
            return 0.0;
        }
        let ratio = self.healthy.len() as f64 / considered;
        f64::from(self.weight) * (f64::from(overprovisioning_factor) / 100.0 * ratio).min(1.0)
    }
}

impl View {
    /// The view of the hosts as they are now.
    pub(super) fn of(cluster: &Cluster, hosts: &[Host], members: &[HostId]) -> View {
        let mut view = View::default();
        let mut localities: Vec<BTreeMap<Vec<&str>, LocalityView>> = Vec::new();
        for id in members {
            let Some(host) = hosts.get(id.index()) else { continue };
            let p = host.priority as usize;
            if view.priorities.len() <= p {
                view.priorities.resize_with(p + 1, PriorityView::default);
                localities.resize_with(p + 1, BTreeMap::new);
            }
            let (Some(priority), Some(by_name)) = (view.priorities.get_mut(p), localities.get_mut(p)) else {
                continue;
            };
            // Envoy keys localities by (region, zone, subzone): BaseDynamicClusterImpl, LocalityLess.
            let locality = by_name.entry(host.locality.split('/').collect()).or_default();
            priority.add(*id, host);
            locality.add(*id, host);
        }
        if view.priorities.is_empty() {
            view.priorities.push(PriorityView::default());
            localities.push(BTreeMap::new());
        }
        for group in cluster.endpoints.iter().filter(|g| g.weight > 0) {
            let key: Vec<&str> = group.locality.split('/').collect();
            if let Some(locality) = localities.get_mut(group.priority as usize).and_then(|m| m.get_mut(&key))
            {
                locality.weight = group.weight;
            }
        }
        for (priority, by_name) in view.priorities.iter_mut().zip(localities) {
            priority.localities = by_name.into_values().collect();
        }
        let counts: Vec<Counts> = view.priorities.iter().map(|p| p.counts).collect();
        view.loads =
            loads::loads(&counts, cluster.overprovisioning_factor, cluster.common_lb.healthy_panic_threshold);
        view.sole = view.loads.percent.iter().position(|p| *p == 100);
        view
    }
}

impl PriorityView {
    fn add(&mut self, id: HostId, host: &Host) {
        self.all.push(id);
        self.counts.total += 1;
        if host.is_healthy() {
            self.healthy.push(id);
            self.counts.healthy += 1;
        }
        if host.health == Health::Draining {
            self.counts.excluded += 1;
        }
    }
}

impl LocalityView {
    fn add(&mut self, id: HostId, host: &Host) {
        self.all.push(id);
        if host.is_healthy() {
            self.healthy.push(id);
        }
        if host.health == Health::Draining {
            self.excluded += 1;
        }
    }
}
