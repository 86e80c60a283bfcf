//! Hosts of a cluster: identity, attributes, and how endpoints become hosts. Balancing and ejection live elsewhere.

use std::net::{IpAddr, SocketAddr};

use super::monitor::Monitor;
use crate::ids::{Nanos, OriginId, Str};
use crate::ir::{Cluster, Discovery, EndpointAddress, Health};

/// A host's identity within its cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostAddress {
    /// IP and port.
    Ip(SocketAddr),
    /// Unix domain socket.
    Pipe(Str),
}

impl HostAddress {
    /// `ip:port` (IPv6 in brackets) or the path: also the key of consistent hashing (semantics: envoy-upstream 4.2).
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            HostAddress::Ip(address) => address.to_string(),
            HostAddress::Pipe(path) => path.to_string(),
        }
    }

    /// The IP address and port, if it has one.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            HostAddress::Ip(address) => Some(*address),
            HostAddress::Pipe(_) => None,
        }
    }
}

/// A host of a cluster, with the state that all requests of the proxy share.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where it is.
    pub address: HostAddress,
    /// The DNS name it was resolved from (`auto_host_rewrite`); empty for others.
    pub hostname: Str,
    /// Load balancing weight, at least 1.
    pub weight: u32,
    /// Priority, 0 first.
    pub priority: u32,
    /// `region/zone/subzone`
    pub locality: Str,
    /// EDS health.
    pub health: Health,
    /// Endpoint metadata `tlsMode: istio`.
    pub tls_mode_istio: bool,
    /// `ns/workload#ordinal` of the pod behind it, if it is one of the mesh.
    pub workload: Str,
    /// Service, pod or ServiceEntry endpoint.
    pub origin: OriginId,
    /// Outlier detection has ejected it (balancers see it only once published).
    pub ejected: bool,
    /// It has left the cluster; requests in flight still refer to it.
    pub removed: bool,
    /// Streams attached to its connections (`rq_active`).
    pub active_requests: u32,
    /// Its connections, connecting and draining ones included.
    pub connections: u32,
    /// Start of its slow-start window.
    pub(super) slow_start_from_ns: Option<Nanos>,
    /// What outlier detection knows of it.
    pub(super) monitor: Monitor,
    /// Picked since the last sweep (ORIGINAL_DST).
    pub(super) used: bool,
    /// Configuration generation it belongs to: breaker counters of older generations are gone.
    pub(super) generation: u32,
}

impl Host {
    /// Healthy right now (balancers may still see an older state).
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.ejected && self.health == Health::Healthy
    }

    /// Ejections so far.
    #[must_use]
    pub fn num_ejections(&self) -> u32 {
        self.monitor.num_ejections
    }

    /// Takes over new attributes, keeps the state. True if balancers must hear of it.
    pub(super) fn configure(&mut self, new: Host) -> bool {
        let changed = (self.weight, self.priority, self.health, &self.locality, self.tls_mode_istio)
            != (new.weight, new.priority, new.health, &new.locality, new.tls_mode_istio);
        self.hostname = new.hostname;
        self.weight = new.weight;
        self.priority = new.priority;
        self.locality = new.locality;
        self.health = new.health;
        self.tls_mode_istio = new.tls_mode_istio;
        self.workload = new.workload;
        self.origin = new.origin;
        changed
    }

    pub(super) fn original_destination(address: HostAddress, cluster: &Cluster, generation: u32) -> Host {
        Host {
            address,
            hostname: Str::from(""),
            weight: 1,
            priority: 0,
            locality: Str::from(""),
            health: Health::Healthy,
            tls_mode_istio: false,
            workload: Str::from(""),
            origin: cluster.origin,
            ejected: false,
            removed: false,
            active_requests: 0,
            connections: 0,
            slow_start_from_ns: None,
            monitor: Monitor::default(),
            used: false,
            generation,
        }
    }
}

/// The hosts that a cluster's configuration amounts to, in Envoy's order: as configured, the first of two equal
/// addresses wins. STRICT_DNS makes a host of every address of a name, LOGICAL_DNS of the first.
pub(super) fn configured_hosts(
    cluster: &Cluster,
    generation: u32,
    resolve: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for group in &cluster.endpoints {
        for endpoint in &group.hosts {
            for (address, hostname) in addresses(&endpoint.address, cluster.discovery, resolve) {
                if !seen.insert(address.clone()) {
                    continue;
                }
                hosts.push(Host {
                    address,
                    hostname,
                    weight: endpoint.weight.max(1),
                    priority: group.priority,
                    locality: group.locality.clone(),
                    health: endpoint.health,
                    tls_mode_istio: endpoint.tls_mode_istio,
                    workload: endpoint.workload.clone(),
                    origin: endpoint.origin,
                    ejected: false,
                    removed: false,
                    active_requests: 0,
                    connections: 0,
                    slow_start_from_ns: None,
                    monitor: Monitor::default(),
                    used: false,
                    generation,
                });
            }
        }
    }
    hosts
}

fn addresses(
    address: &EndpointAddress,
    discovery: Discovery,
    resolve: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Vec<(HostAddress, Str)> {
    match address {
        EndpointAddress::Ip(ip, port) => vec![(HostAddress::Ip(SocketAddr::new(*ip, *port)), Str::from(""))],
        EndpointAddress::Pipe(path) => vec![(HostAddress::Pipe(path.clone()), Str::from(""))],
        EndpointAddress::Dns(name, port) => {
            let all = resolve(name);
            let used = if discovery == Discovery::LogicalDns { all.len().min(1) } else { all.len() };
            all.into_iter()
                .take(used)
                .map(|ip| (HostAddress::Ip(SocketAddr::new(ip, *port)), name.clone()))
                .collect()
        }
    }
}
