//! What istiod would have sent to one proxy: listeners, route configurations, clusters, endpoints.
//!
//! Envoy's words and Envoy's names, every default resolved (no `Option` means "default here"; where Envoy itself has
//! "unset" it is spelled out). Every node that a document caused carries its [`crate::OriginId`]; what is not modelled hangs
//! as a [`Taint`] on the node whose decisions it could change.

mod cluster;
mod filters;
mod listener;
mod matcher;
mod rbac;
mod route;

pub use cluster::*;
pub use filters::*;
pub use listener::*;
pub use matcher::*;
pub use rbac::*;
pub use route::*;

use crate::ids::{ClusterId, ListenerId, RouteConfigId, Str, Taint};
use crate::index::SnapshotIndex;

/// Sidecar or gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// A sidecar: traffic arrives through iptables at 15001 and 15006.
    Sidecar,
    /// An Istio ingress or egress gateway: listeners are bound for real.
    Gateway,
}

/// The whole configuration of one proxy (of one proxy *class*: pods that istiod would send the same to share it).
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Sidecar or gateway.
    pub kind: ProxyKind,
    /// LDS, in istiod's order.
    pub listeners: Vec<Listener>,
    /// RDS, sorted by name.
    pub routes: Vec<RouteConfiguration>,
    /// CDS, sorted by name. Hosts are inlined (EDS), see [`Cluster::endpoints`].
    pub clusters: Vec<Cluster>,
    /// Makes every answer of this proxy `unknown` (an EnvoyFilter, say).
    pub taints: Vec<Taint>,
    /// Lookup structures, filled by [`Snapshot::seal`]; start with `SnapshotIndex::default()`.
    pub index: SnapshotIndex,
}

impl Snapshot {
    /// The cluster of that name (binary search; clusters are sorted by name).
    #[must_use]
    pub fn cluster_by_name(&self, name: &str) -> Option<ClusterId> {
        self.clusters.binary_search_by(|c| c.name.as_ref().cmp(name)).ok().map(|i| ClusterId(i as u32))
    }

    /// The route configuration of that name (binary search).
    #[must_use]
    pub fn route_config_by_name(&self, name: &str) -> Option<RouteConfigId> {
        self.routes.binary_search_by(|r| r.name.as_ref().cmp(name)).ok().map(|i| RouteConfigId(i as u32))
    }

    /// The listener of that name.
    #[must_use]
    pub fn listener_by_name(&self, name: &str) -> Option<ListenerId> {
        self.listeners.iter().position(|l| l.name.as_ref() == name).map(|i| ListenerId(i as u32))
    }

    /// Sorts clusters and route configurations as the lookups need it and builds the index. Lowering calls this once
    /// at the end; a snapshot changed afterwards must be sealed again.
    pub fn seal(&mut self) {
        self.clusters.sort_by(|a, b| a.name.cmp(&b.name));
        self.routes.sort_by(|a, b| a.name.cmp(&b.name));
        self.index = SnapshotIndex::build(self);
    }
}

/// Name and value of a header to set, in the order istiod emits them.
pub type HeaderValue = (Str, Str);
