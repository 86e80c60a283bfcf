//! One cluster as one proxy sees it over time: hosts, balancer, detector, breakers.

use std::net::{IpAddr, SocketAddr};

use super::breaker::{Breakers, RetrySlot};
use super::host::{Host, HostAddress, configured_hosts};
use super::outlier::{OutlierEvent, UpstreamEvent};
use crate::cx::{Draws, Purpose};
use crate::ids::{HostId, Nanos};
use crate::ir::{Cluster, Discovery, Health, RetryPolicy};

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

/// The state of one cluster in one proxy.
#[derive(Debug)]
pub struct ClusterState {
    hosts: Vec<Host>,
    members: Vec<HostId>,
    breakers: Breakers,
    generation: u32,
    created_ns: Nanos,
}

impl ClusterState {
    /// The state of a cluster that the proxy learned of at `now_ns`. The outlier detector ticks every interval from
    /// then on. `resolve` answers DNS names of STRICT_DNS and LOGICAL_DNS hosts.
    pub fn new<D: Draws>(
        cluster: &Cluster,
        now_ns: Nanos,
        resolve: &dyn Fn(&str) -> Vec<IpAddr>,
        _draws: &mut D,
    ) -> Self {
        let hosts = configured_hosts(cluster, 0, resolve);
        let members = (0..hosts.len()).map(|i| HostId(i as u32)).collect();
        ClusterState { hosts, members, breakers: Breakers::default(), generation: 0, created_ns: now_ns }
    }

    /// New configuration at `now_ns`. Where only endpoints differ from `previous` (EDS), hosts keep their state by
    /// address; any other difference (CDS) replaces the cluster: fresh hosts, detector, balancer and breakers. Ids of
    /// hosts that left stay valid for requests in flight. `sink` hears nothing of ejections lost that way.
    pub fn update<D: Draws>(
        &mut self,
        previous: &Cluster,
        cluster: &Cluster,
        now_ns: Nanos,
        resolve: &dyn Fn(&str) -> Vec<IpAddr>,
        draws: &mut D,
    ) {
        let _ = previous;
        *self = Self::new(cluster, now_ns, resolve, draws);
    }

    /// Chooses a host for an attempt; `None` = no healthy upstream (503 UH).
    pub fn pick<D: Draws>(
        &mut self,
        cluster: &Cluster,
        context: &PickContext<'_>,
        now_ns: Nanos,
        draws: &mut D,
    ) -> Option<HostId> {
        if matches!(cluster.discovery, Discovery::OriginalDst | Discovery::DynamicForwardProxy) {
            return self.original_destination(cluster, context.original_dst?, now_ns);
        }
        let n = self.members.len() as u64;
        if n == 0 {
            return None;
        }
        let ends: Vec<u64> = (1..=n).collect();
        let i = draws.choose(Purpose::Endpoint { attempt: context.attempt, n: 0 }, &ends);
        self.members.get(i).copied()
    }

    fn original_destination(&mut self, cluster: &Cluster, to: SocketAddr, now_ns: Nanos) -> Option<HostId> {
        let port =
            if cluster.upstream_port_override == 0 { to.port() } else { cluster.upstream_port_override };
        let address = SocketAddr::new(to.ip(), port);
        let known = self
            .members
            .iter()
            .copied()
            .find(|id| self.host(*id).is_some_and(|h| h.address == HostAddress::Ip(address)));
        let id = known.unwrap_or_else(|| {
            let id = HostId(self.hosts.len() as u32);
            self.hosts.push(Host::original_destination(address, cluster, self.generation));
            self.members.push(id);
            id
        });
        if let Some(host) = self.hosts.get_mut(id.index()) {
            host.last_pick_ns = now_ns;
        }
        Some(id)
    }

    /// The exact distribution of a pick on an undisturbed balancer: hosts with probabilities that sum to 1, or empty
    /// when no host can be picked. Equal balancing is uniform, hashing exact.
    #[must_use]
    pub fn pick_distribution(&self, cluster: &Cluster, context: &PickContext<'_>) -> Vec<(HostId, f64)> {
        let _ = (cluster, context);
        let n = self.members.len() as f64;
        self.members.iter().map(|id| (*id, 1.0 / n)).collect()
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
        self.host(id).is_some_and(|h| !h.removed && !h.ejected && h.health == Health::Healthy)
    }

    /// Tells the outlier detector what happened to an attempt (semantics: envoy-upstream 5.3). Call it before the
    /// retry decision, and ask [`Self::next_timer`] again afterwards.
    pub fn on_event<D: Draws>(
        &mut self,
        cluster: &Cluster,
        host: HostId,
        event: UpstreamEvent,
        now_ns: Nanos,
        draws: &mut D,
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        let _ = (cluster, host, event, now_ns, draws, sink);
    }

    /// When [`Self::on_timer`] wants to be called; `None` while nothing is pending. Changes after every event, pick,
    /// update and timer.
    #[must_use]
    pub fn next_timer(&self) -> Option<Nanos> {
        None
    }

    /// Detector ticks, publication of held-back changes, sweeps: whatever is due at `now_ns`.
    pub fn on_timer<D: Draws>(
        &mut self,
        cluster: &Cluster,
        now_ns: Nanos,
        draws: &mut D,
        sink: &mut impl FnMut(OutlierEvent),
    ) {
        let _ = (cluster, now_ns, draws, sink, self.created_ns);
    }

    /// The breaker counters.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// A request joins the queue of a pool; false = overflow: 503 UO.
    pub fn try_pending(&mut self, cluster: &Cluster) -> bool {
        self.breakers.try_pending(&cluster.breakers)
    }

    /// A request of this host's pool leaves the queue (attached, failed or cancelled).
    pub fn release_pending(&mut self, host: HostId) {
        if self.is_current(host) {
            self.breakers.release_pending();
        }
    }

    /// Whether this host's pool may open a connection now. A pool without any connection always may
    /// (semantics: envoy-upstream 6.2).
    pub fn may_connect(&mut self, cluster: &Cluster, pool_is_empty: bool) -> bool {
        self.breakers.may_connect(&cluster.breakers, pool_is_empty)
    }

    /// A TCP proxy's test before it picks a host; false = closed with UO (semantics: envoy-upstream 6.5).
    pub fn may_connect_tcp(&mut self, cluster: &Cluster) -> bool {
        self.breakers.may_connect_tcp(&cluster.breakers)
    }

    /// A connection to the host is being opened.
    pub fn connection_opened(&mut self, host: HostId) {
        if self.is_current(host) {
            self.breakers.connections += 1;
        }
        if let Some(h) = self.hosts.get_mut(host.index()) {
            h.connections += 1;
        }
    }

    /// A connection to the host is gone (failed connecting, closed).
    pub fn connection_closed(&mut self, host: HostId) {
        if self.is_current(host) {
            self.breakers.connections = self.breakers.connections.saturating_sub(1);
        }
        if let Some(h) = self.hosts.get_mut(host.index()) {
            h.connections = h.connections.saturating_sub(1);
        }
    }

    /// A stream attaches to a connection of the host; false = overflow: 503 UO. A TCP proxy counts its connection
    /// through [`Self::attach_tcp`] instead.
    pub fn try_attach(&mut self, cluster: &Cluster, host: HostId) -> bool {
        if self.breakers.requests >= cluster.breakers.max_requests {
            self.breakers.overflows.requests += 1;
            return false;
        }
        self.attach_tcp(host);
        true
    }

    /// A TCP proxy's connection occupies a request slot but is never refused one (semantics: envoy-upstream 7.8).
    pub fn attach_tcp(&mut self, host: HostId) {
        if self.is_current(host) {
            self.breakers.requests += 1;
        }
        if let Some(h) = self.hosts.get_mut(host.index()) {
            h.active_requests += 1;
        }
    }

    /// The stream ended.
    pub fn detach(&mut self, host: HostId) {
        if self.is_current(host) {
            self.breakers.requests = self.breakers.requests.saturating_sub(1);
        }
        if let Some(h) = self.hosts.get_mut(host.index()) {
            h.active_requests = h.active_requests.saturating_sub(1);
        }
    }

    /// A slot for one more concurrent retry; `None` = overflow.
    pub(super) fn try_retry(&mut self, cluster: &Cluster) -> Option<RetrySlot> {
        if self.breakers.retries >= self.breakers.retry_limit(&cluster.breakers) {
            self.breakers.overflows.retries += 1;
            return None;
        }
        self.breakers.retries += 1;
        Some(RetrySlot { generation: self.generation })
    }

    /// Gives a retry slot back.
    pub(super) fn release_retry(&mut self, slot: RetrySlot) {
        if slot.generation == self.generation {
            self.breakers.retries = self.breakers.retries.saturating_sub(1);
        }
    }

    fn is_current(&self, host: HostId) -> bool {
        self.host(host).is_some_and(|h| h.generation == self.generation)
    }
}
