//! Whether new configuration replaces a cluster (CDS) or only its hosts (EDS, DNS).
//!
//! Envoy compares the hash of the whole cluster message. Origins and reporting fields are ours and do not count: they
//! change with every line inserted above them.

use crate::ids::{OriginId, Str};
use crate::ir::{Cluster, Discovery, LocalityEndpoints, Transport};

/// True if a proxy would throw the old cluster away, with ejections, balancer and connection pools.
#[must_use]
pub(super) fn is_replaced(previous: &Cluster, cluster: &Cluster) -> bool {
    configuration(previous) != configuration(cluster)
}

/// Whether locality weights or the overprovisioning factor differ: hosts may be the same all the while.
pub(super) fn weights_differ(previous: &Cluster, cluster: &Cluster) -> bool {
    let weights = |c: &Cluster| -> Vec<(Str, u32, u32)> {
        c.endpoints.iter().map(|g| (g.locality.clone(), g.priority, g.weight)).collect()
    };
    previous.overprovisioning_factor != cluster.overprovisioning_factor
        || weights(previous) != weights(cluster)
}

/// What goes into the cluster message. Endpoints travel separately in EDS only.
fn configuration(cluster: &Cluster) -> Cluster {
    let is_eds = cluster.discovery == Discovery::Eds;
    let mut message = Cluster {
        name: cluster.name.clone(),
        discovery: cluster.discovery,
        lb: cluster.lb.clone(),
        common_lb: cluster.common_lb,
        connect_timeout_ns: cluster.connect_timeout_ns,
        breakers: cluster.breakers,
        outlier: cluster.outlier.clone(),
        protocol: cluster.protocol,
        transport: cluster.transport.clone(),
        proxy_protocol: cluster.proxy_protocol,
        idle_timeout_ns: cluster.idle_timeout_ns,
        max_requests_per_connection: cluster.max_requests_per_connection,
        max_connection_duration_ns: cluster.max_connection_duration_ns,
        max_concurrent_streams: cluster.max_concurrent_streams,
        upstream_port_override: cluster.upstream_port_override,
        upstream_bind: cluster.upstream_bind,
        endpoints: if is_eds { Vec::new() } else { without_origins(&cluster.endpoints) },
        overprovisioning_factor: if is_eds { 0 } else { cluster.overprovisioning_factor },
        host: Str::from(""),
        port: 0,
        subset: Str::from(""),
        taints: Vec::new(),
        origin: OriginId::NONE,
    };
    if let Some(outlier) = &mut message.outlier {
        outlier.origin = OriginId::NONE;
    }
    if let Transport::Tls(tls) | Transport::AutoMtls(tls) = &mut message.transport {
        tls.origin = OriginId::NONE;
    }
    message
}

fn without_origins(endpoints: &[LocalityEndpoints]) -> Vec<LocalityEndpoints> {
    let mut groups = endpoints.to_vec();
    for host in groups.iter_mut().flat_map(|g| &mut g.hosts) {
        host.origin = OriginId::NONE;
        host.workload = Str::from("");
    }
    groups
}
