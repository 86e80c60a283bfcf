//! The route that a proxy chose for a request, as the proxy was sent it.

use mesh_core::ir::{
    ClusterSpecifier, Route, RouteAction, RouteConfiguration, RouteSpecifier, Snapshot, Terminal, VirtualHost,
};
use mesh_engine::record::Hop;

use crate::loaded::LoadedMesh;

/// The virtual host and the route of an HTTP hop; `None` when none was chosen.
pub(crate) fn route<'m>(mesh: &'m LoadedMesh, hop: &Hop) -> Option<(&'m VirtualHost, &'m Route)> {
    let snapshot = mesh.world.proxy(hop.proxy)?.snapshot();
    route_at(snapshot, &hop.listener, hop.virtual_host.as_deref()?, hop.route_index?)
}

/// The route at a position of a virtual host that a listener uses.
pub(crate) fn route_at<'s>(
    snapshot: &'s Snapshot,
    listener: &str,
    virtual_host: &str,
    index: u32,
) -> Option<(&'s VirtualHost, &'s Route)> {
    let hosts = configurations(snapshot, listener).into_iter().flat_map(|c| &c.virtual_hosts);
    let mut named = hosts.filter(|v| v.name.as_ref() == virtual_host);
    named.find_map(|v| Some((v, v.routes.get(index as usize)?)))
}

/// The route configurations of the chains of a listener.
fn configurations<'s>(snapshot: &'s Snapshot, listener: &str) -> Vec<&'s RouteConfiguration> {
    let listener = snapshot.listeners.iter().find(|l| l.name.as_ref() == listener);
    let chains = listener.into_iter().flat_map(|l| l.filter_chains.iter().chain(&l.default_filter_chain));
    let of = |terminal: &'s Terminal| match terminal {
        Terminal::Tcp(_) => None,
        Terminal::Http(manager) => match &manager.route_specifier {
            RouteSpecifier::Inline(config) => Some(config.as_ref()),
            RouteSpecifier::Rds(name) => snapshot.routes.iter().find(|r| r.name == *name),
        },
    };
    chains.filter_map(|chain| of(&chain.terminal)).collect()
}

/// The cluster that a random value chooses among the weighted clusters of a route; `None` when it has none.
///
/// Envoy: `RouteEntryImplBase::pickWeightedCluster`, the value modulo the total weight falls into one interval.
pub(crate) fn weighted(route: &Route, value: u64) -> Option<&str> {
    let RouteAction::Forward(forward) = &route.action else { return None };
    let ClusterSpecifier::Weighted(clusters) = &forward.cluster else { return None };
    let total: u64 = clusters.iter().map(|c| u64::from(c.weight)).sum();
    let value = value.checked_rem(total)?;
    let mut end = 0;
    clusters
        .iter()
        .find(|c| {
            end += u64::from(c.weight);
            value < end
        })
        .map(|c| c.name.as_ref())
}
