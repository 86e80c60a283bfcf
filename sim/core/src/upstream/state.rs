//! One cluster as one proxy sees it over time: hosts, balancer, detector, breakers. Counting for breakers is in
//! `admission.rs`, ejection in `detector.rs`, picking in `balance.rs`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::asking::Asking;
use super::balance::{Balancer, mix};
use super::breaker::Breakers;
use super::detector::Detector;
use super::hash_table::HashTables;
use super::host::{Host, HostAddress, configured_hosts};
use super::merge_window::{MergeWindow, Publication};
use super::outlier::OutlierEvent;
use super::previous_priorities;
use super::replacement;
use super::scene::Scene;
use super::slow_start;
use super::view::View;
use crate::cx::{Draws, Purpose};
use crate::ids::{HostId, Nanos};
use crate::ir::{Cluster, Discovery, LbPolicy, RetryPolicy};

/// What a pick depends on besides the cluster.
#[derive(Debug, Clone, Copy, Default)]
pub struct PickContext<'a> {
    /// Hash of the route's hash policies; `None` = nothing hashed.
    pub hash: Option<u64>,
    /// Attempt number of the request, from 1.
    pub attempt: u16,
    /// Hosts of the earlier attempts, oldest first.
    pub tried: &'a [HostId],
    /// The route's retry policy (`previous_hosts`, `previous_priorities`).
    pub retry: Option<&'a RetryPolicy>,
    /// Where the connection was going (ORIGINAL_DST), or what the authority resolves to (dynamic forward proxy).
    pub original_dst: Option<SocketAddr>,
}

/// ORIGINAL_DST hosts are swept this often (`cleanup_interval`, semantics: envoy-upstream 4.7).
const SWEEP_NS: Nanos = 5_000_000_000;

/// Sets the draw of the race between tick and publication apart from others.
const OVERTAKE_SALT: u64 = 0x7075_626c;

/// The state of one cluster in one proxy.
#[derive(Debug, Clone)]
pub struct ClusterState {
    /// Every host there ever was; ids are positions and never reused.
    pub(super) hosts: Vec<Host>,
    /// Those that are in the cluster, in configuration order.
    pub(super) members: Vec<HostId>,
    /// The same by address.
    by_address: BTreeMap<HostAddress, HostId>,
    pub(super) breakers: Breakers,
    /// Counters of the clusters that this one replaced, by generation: their pools serve what waits and runs there.
    pub(super) replaced: Vec<Breakers>,
    pub(super) generation: u32,
    pub(super) detector: Option<Detector>,
    /// Seeds what the real proxy leaves to a hash map.
    pub(super) order_seed: u64,
    view: View,
    balancer: Balancer,
    approximate: bool,
    merge: MergeWindow,
    /// Next sweep of ORIGINAL_DST hosts.
    sweep_ns: Option<Nanos>,
}

impl ClusterState {
    /// The state of a cluster that the proxy learned of at `now_ns`. The outlier detector ticks every interval from
    /// then on. `resolve` answers DNS names of STRICT_DNS and LOGICAL_DNS hosts.
    pub fn new<D: Draws>(
        cluster: &Cluster,
        now_ns: Nanos,
        resolve: &dyn Fn(&str) -> Vec<IpAddr>,
        draws: &mut D,
    ) -> Self {
        Self::nth(cluster, 0, now_ns, resolve, draws)
    }

    /// The n-th cluster of its name: each has a start of its own.
    fn nth<D: Draws>(
        cluster: &Cluster,
        n: u32,
        now_ns: Nanos,
        resolve: &dyn Fn(&str) -> Vec<IpAddr>,
        draws: &mut D,
    ) -> Self {
        let drawn = if draws.enumerates() { None } else { Some(draws.draw(Purpose::LbSeed)) };
        let seed = drawn.map(|drawn| if n == 0 { drawn } else { mix(drawn, u64::from(n)) });
        let hosts = configured_hosts(cluster, 0, resolve);
        let members: Vec<HostId> = (0..hosts.len()).map(|i| HostId(i as u32)).collect();
        let by_address = hosts.iter().map(|h| h.address.clone()).zip(members.iter().copied()).collect();
        let mut state = ClusterState {
            hosts,
            members,
            by_address,
            breakers: Breakers::default(),
            replaced: Vec::new(),
            generation: 0,
            detector: cluster.outlier.as_ref().map(|config| Detector::new(config, now_ns)),
            order_seed: seed.unwrap_or(0),
            view: View::default(),
            balancer: Balancer::new(seed, now_ns),
            approximate: false,
            merge: MergeWindow::default(),
            sweep_ns: None,
        };
        // The initial load does not open a merge window (Envoy: ClusterManagerImpl::onClusterInit).
        state.publish(cluster, now_ns);
        state
    }

    /// The detector's ticks come up to `most_ns` late from now on, as those of a real timer do; which by how much is
    /// drawn from the cluster's seed. 0 = exact, the default.
    pub fn jitter_ticks(&mut self, most_ns: Nanos) {
        if let Some(detector) = &mut self.detector {
            detector.jitter(most_ns, self.order_seed);
        }
    }

    /// New configuration at `now_ns`, also new DNS answers. Where only endpoints differ from `previous` (EDS, DNS),
    /// hosts keep their state by address; any other difference (CDS) replaces the cluster: fresh hosts, detector,
    /// balancer and breakers, ejections forgotten. Ids of hosts that left stay valid for requests in flight.
    pub fn update<D: Draws>(
        &mut self,
        previous: &Cluster,
        cluster: &Cluster,
        now_ns: Nanos,
        resolve: &dyn Fn(&str) -> Vec<IpAddr>,
        draws: &mut D,
    ) {
        if replacement::is_replaced(previous, cluster) {
            return self.replace(cluster, now_ns, resolve, draws);
        }
        if is_on_demand(cluster) {
            return;
        }
        let (mut members, mut by_address) = (Vec::new(), BTreeMap::new());
        let (mut came, mut changed) = (false, false);
        for host in configured_hosts(cluster, self.generation, resolve) {
            let address = host.address.clone();
            let known = self.by_address.remove(&address);
            let id = match known.and_then(|id| Some((id, self.hosts.get_mut(id.index())?))) {
                Some((id, kept)) => {
                    changed |= kept.configure(host);
                    id
                }
                None => {
                    came = true;
                    self.hosts.push(host);
                    HostId(self.hosts.len() as u32 - 1)
                }
            };
            members.push(id);
            by_address.insert(address, id);
        }
        let gone = std::mem::replace(&mut self.by_address, by_address);
        changed |= self.members != members;
        changed |= replacement::weights_differ(previous, cluster);
        self.members = members;
        for id in gone.values() {
            self.remove(*id);
        }
        if came || !gone.is_empty() {
            self.publish(cluster, now_ns);
            self.merge.published(now_ns);
        } else if changed {
            self.health_changed(cluster, now_ns);
        }
    }

    /// A fresh cluster, whatever it was before: as after a configuration that differs, also for one that was removed
    /// and comes back.
    pub fn replace<D: Draws>(
        &mut self,
        cluster: &Cluster,
        now_ns: Nanos,
        resolve: &dyn Fn(&str) -> Vec<IpAddr>,
        draws: &mut D,
    ) {
        let generation = self.generation + 1;
        let old = std::mem::replace(self, ClusterState::nth(cluster, generation, now_ns, resolve, draws));
        let offset = old.hosts.len() as u32;
        let fresh = std::mem::replace(&mut self.hosts, old.hosts);
        for host in &mut self.hosts {
            host.removed = true;
        }
        self.hosts.extend(fresh.into_iter().map(|host| Host { generation, ..host }));
        self.generation = generation;
        for id in self.members.iter_mut().chain(self.by_address.values_mut()) {
            id.0 += offset;
        }
        self.breakers.overflows = old.breakers.overflows;
        self.replaced = old.replaced;
        self.replaced.push(old.breakers);
        self.balancer.tables = old.balancer.tables;
        self.approximate = old.approximate;
        if let (Some(detector), Some(old)) = (&mut self.detector, &old.detector) {
            detector.jitter(old.late_ns(), self.order_seed);
        }
        self.publish(cluster, now_ns);
    }

    fn remove(&mut self, id: HostId) {
        let Some(host) = self.hosts.get_mut(id.index()) else { return };
        host.removed = true;
        if host.ejected
            && let Some(detector) = &mut self.detector
        {
            detector.forget_ejected();
        }
    }

    /// Chooses a host for an attempt; `None` = no healthy upstream (503 UH).
    pub fn pick<D: Draws>(
        &mut self,
        cluster: &Cluster,
        context: &PickContext<'_>,
        now_ns: Nanos,
        draws: &mut D,
    ) -> Option<HostId> {
        if is_on_demand(cluster) {
            return self.original_destination(cluster, context.original_dst?, now_ns);
        }
        let retry = context.retry.filter(|_| context.attempt > 1);
        let percent = retry.and_then(|policy| {
            previous_priorities::percent(policy, context.tried, &self.hosts, &self.view, cluster)
        });
        let mut asking = Asking::new(draws, context.attempt);
        let mut scene = Scene {
            cluster,
            view: &self.view,
            hosts: &self.hosts,
            percent: percent.as_deref(),
            hash: context.hash,
            now_ns,
        };
        if scene.hash.is_none() && scene.is_hashing() && !asking.enumerates() {
            // One random number for all asks (Envoy: ThreadAwareLoadBalancerBase::LoadBalancerImpl::chooseHost).
            scene.hash = Some(asking.raw());
        }
        // Envoy: ZoneAwareLoadBalancerBase::chooseHost asks again while the predicate rejects, then takes the last.
        let extra = retry.map_or(0, |policy| policy.host_selection_max_attempts);
        let avoid = retry.is_some_and(|policy| policy.previous_hosts);
        let refused = if avoid { context.tried } else { &[] };
        if asking.enumerates()
            && let Some(hosts) = self.balancer.distribution_of_asks(&scene, refused, extra)
        {
            let shares: Vec<f64> = hosts.iter().map(|(_, p)| *p).collect();
            let chosen = if hosts.is_empty() { 0 } else { asking.share(&shares) };
            return hosts.get(chosen).map(|(id, _)| *id);
        }
        let mut last = None;
        for ask in 0..=extra {
            last = self.balancer.pick(&scene, ask, &mut asking);
            if last.is_none() {
                break;
            }
            if !last.is_some_and(|id| refused.contains(&id)) {
                break;
            }
        }
        self.approximate |= !asking.is_exact();
        last
    }

    /// Whether an enumeration took a pick for independent of an earlier one though it is not: weights without a common
    /// measure that is coarse enough to enumerate the phases of their schedule.
    #[must_use]
    pub fn is_approximate(&self) -> bool {
        self.approximate
    }

    /// A hash that leads to this host at the first ask: what an enumeration takes for the hash of a request whose
    /// first pick it chose (a cookie made up for the connection). `None` for hosts that no hash leads to.
    #[must_use]
    pub fn hash_towards(&mut self, cluster: &Cluster, host: HostId, now_ns: Nanos) -> Option<u64> {
        let scene =
            Scene { cluster, view: &self.view, hosts: &self.hosts, percent: None, hash: None, now_ns };
        self.balancer.hash_towards(&scene, host)
    }

    /// Takes hash tables from here, and leaves new ones, instead of making its own.
    pub fn share_tables(&mut self, tables: &Arc<HashTables>) {
        self.balancer.tables = Arc::clone(tables);
    }

    /// Envoy: OriginalDstCluster::LoadBalancer::chooseHost; health is not looked at.
    fn original_destination(&mut self, cluster: &Cluster, to: SocketAddr, now_ns: Nanos) -> Option<HostId> {
        let port =
            if cluster.upstream_port_override == 0 { to.port() } else { cluster.upstream_port_override };
        let address = HostAddress::Ip(SocketAddr::new(to.ip(), port));
        let id = match self.by_address.get(&address) {
            Some(id) => *id,
            None => {
                let id = HostId(self.hosts.len() as u32);
                self.hosts.push(Host::original_destination(address.clone(), cluster, self.generation));
                self.members.push(id);
                self.by_address.insert(address, id);
                id
            }
        };
        self.sweep_ns.get_or_insert(now_ns + SWEEP_NS);
        self.hosts.get_mut(id.index())?.used = true;
        Some(id)
    }

    /// The exact distribution of a first pick on an undisturbed balancer: hosts with probabilities that sum to 1, or
    /// empty when no host can be picked. Equal balancing is uniform, schedules proportional, hashing exact.
    #[must_use]
    pub fn pick_distribution(
        &self,
        cluster: &Cluster,
        context: &PickContext<'_>,
        now_ns: Nanos,
    ) -> Vec<(HostId, f64)> {
        let scene = Scene {
            cluster,
            view: &self.view,
            hosts: &self.hosts,
            percent: None,
            hash: context.hash,
            now_ns,
        };
        self.balancer.distribution(&scene)
    }

    /// A host, also one that has left the cluster.
    #[must_use]
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(id.index())
    }

    /// The cluster's hosts in configuration order.
    pub fn hosts(&self) -> impl Iterator<Item = (HostId, &Host)> + '_ {
        self.members.iter().filter_map(|id| Some((*id, self.host(*id)?)))
    }

    /// Whether balancers currently take the host for healthy (the published view, semantics: envoy-upstream 0.4).
    #[must_use]
    pub fn is_published_healthy(&self, id: HostId) -> bool {
        self.view.priorities.iter().any(|p| p.healthy.contains(&id))
    }

    /// When [`Self::on_timer`] wants to be called; `None` while nothing is pending. Changes after every event, pick,
    /// update and timer.
    #[must_use]
    pub fn next_timer(&self) -> Option<Nanos> {
        let tick = self.detector.as_ref().and_then(Detector::timer);
        [tick, self.merge.timer(), self.sweep_ns].into_iter().flatten().min()
    }

    /// Detector ticks, publication of held-back changes, sweeps: whatever is due at `now_ns`.
    pub fn on_timer<D: Draws>(
        &mut self,
        cluster: &Cluster,
        now_ns: Nanos,
        draws: &mut D,
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        while let Some(due) = self.next_timer().filter(|due| *due <= now_ns) {
            if self.merge.timer() == Some(due) && !self.tick_overtakes(due) {
                self.publish(cluster, due);
                self.merge.published(due);
            } else if self.sweep_ns == Some(due) {
                self.sweep(due);
            } else {
                self.tick(cluster, draws, sink);
            }
        }
    }

    /// A publication that a tick scheduled one window ago meets the next tick of an interval that divides the window:
    /// which of the two timers fires first is a race (run 1.40: either, in two runs of one scenario). What a tick
    /// changes that comes first is published with the rest.
    fn tick_overtakes(&self, due_ns: Nanos) -> bool {
        let tick = self.detector.as_ref().and_then(Detector::timer) == Some(due_ns);
        tick && mix(self.order_seed ^ OVERTAKE_SALT, due_ns) & 1 == 1
    }

    /// semantics: envoy-upstream 4.7. Envoy: OriginalDstCluster::cleanup.
    fn sweep(&mut self, now_ns: Nanos) {
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.members) {
            let Some(host) = self.hosts.get_mut(id.index()) else { continue };
            let used = std::mem::take(&mut host.used);
            let stays = used || host.connections > 0;
            if stays { kept.push(id) } else { gone.push(id) }
        }
        self.members = kept;
        for id in gone {
            if let Some(host) = self.hosts.get(id.index()) {
                self.by_address.remove(&host.address);
            }
            self.remove(id);
        }
        self.sweep_ns = (!self.members.is_empty()).then_some(now_ns + SWEEP_NS);
    }

    /// Health, weight or metadata of hosts changed; returns when balancers see it.
    pub(super) fn health_changed(&mut self, cluster: &Cluster, now_ns: Nanos) -> Nanos {
        match self.merge.mergeable(now_ns, cluster.common_lb.update_merge_window_ns) {
            Publication::At(at_ns) => at_ns,
            Publication::Now => {
                self.publish(cluster, now_ns);
                now_ns
            }
        }
    }

    fn publish(&mut self, cluster: &Cluster, now_ns: Nanos) {
        if is_on_demand(cluster) {
            return;
        }
        if let LbPolicy::RoundRobin(slow) | LbPolicy::LeastRequest(_, slow) = &cluster.lb
            && slow_start::is_on(slow)
        {
            let hosts = self.hosts.iter_mut().filter(|h| !h.removed);
            self.balancer.latest_start_ns =
                slow_start::observe(hosts, slow, self.balancer.latest_start_ns, now_ns);
        }
        self.view = View::of(cluster, &self.hosts, &self.members);
        let scene =
            Scene { cluster, view: &self.view, hosts: &self.hosts, percent: None, hash: None, now_ns };
        self.balancer.refresh(&scene);
    }
}

/// Clusters whose hosts come from requests.
fn is_on_demand(cluster: &Cluster) -> bool {
    matches!(cluster.discovery, Discovery::OriginalDst | Discovery::DynamicForwardProxy)
}
