//! Admission to a cluster: breaker counters around pending requests, connections, streams and retries, kept in step
//! with the per-host numbers (semantics: envoy-upstream 6).

use super::breaker::{Breakers, Connecting, RetrySlot};
use super::state::ClusterState;
use crate::ids::HostId;
use crate::ir::Cluster;

impl ClusterState {
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
        if let Some(counters) = self.counters(host) {
            counters.release_pending();
        }
    }

    /// Whether this host's pool may open a connection now. A pool without any connection always may
    /// (semantics: envoy-upstream 6.2). `cluster` is the configuration that the pool was created with: pools of a
    /// cluster that was replaced meanwhile go on by it, and count for themselves.
    pub fn may_connect(&mut self, cluster: &Cluster, host: HostId, pool_is_empty: bool) -> Connecting {
        let Some(counters) = self.counters(host) else { return Connecting::Refused };
        let answer = counters.may_connect(&cluster.breakers, pool_is_empty);
        if answer != Connecting::Free && !self.is_current(host) {
            self.breakers.overflows.connections += 1;
        }
        answer
    }

    /// A TCP proxy's test before it picks a host; false = closed with UO (semantics: envoy-upstream 6.5).
    pub fn may_connect_tcp(&mut self, cluster: &Cluster) -> bool {
        self.breakers.may_connect_tcp(&cluster.breakers)
    }

    /// A connection to the host is being opened.
    pub fn connection_opened(&mut self, host: HostId) {
        if let Some(counters) = self.counters(host) {
            counters.connections += 1;
        }
        if let Some(h) = self.hosts.get_mut(host.index()) {
            h.connections += 1;
        }
    }

    /// A connection to the host is gone (failed connecting, closed).
    pub fn connection_closed(&mut self, host: HostId) {
        if let Some(counters) = self.counters(host) {
            counters.connections = counters.connections.saturating_sub(1);
        }
        if let Some(h) = self.hosts.get_mut(host.index()) {
            h.connections = h.connections.saturating_sub(1);
        }
    }

    /// A stream attaches to a connection of the host; false = overflow: 503 UO. A TCP proxy counts its connection
    /// through [`Self::attach_tcp`] instead.
    pub fn try_attach(&mut self, cluster: &Cluster, host: HostId) -> bool {
        let requests = self.counters(host).map_or(0, |counters| counters.requests);
        if requests >= cluster.breakers.max_requests {
            self.breakers.overflows.requests += 1;
            return false;
        }
        self.attach_tcp(host);
        true
    }

    /// A TCP proxy's connection occupies a request slot but is never refused one (semantics: envoy-upstream 7.8).
    pub fn attach_tcp(&mut self, host: HostId) {
        if let Some(counters) = self.counters(host) {
            counters.requests += 1;
        }
        if let Some(h) = self.hosts.get_mut(host.index()) {
            h.active_requests += 1;
        }
    }

    /// The stream ended.
    pub fn detach(&mut self, host: HostId) {
        if let Some(counters) = self.counters(host) {
            counters.requests = counters.requests.saturating_sub(1);
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

    /// The counters of the cluster that the host belongs to: this one, or one that it replaced.
    fn counters(&mut self, host: HostId) -> Option<&mut Breakers> {
        let generation = self.host(host)?.generation;
        if generation == self.generation {
            return Some(&mut self.breakers);
        }
        self.replaced.get_mut(generation as usize)
    }

    fn is_current(&self, host: HostId) -> bool {
        self.host(host).is_some_and(|h| h.generation == self.generation)
    }
}
