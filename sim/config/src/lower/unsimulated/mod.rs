//! Objects that are read but not simulated: what of a proxy they may touch gets a taint, the rest stays certain.
//!
//! [`reach`] says how far an object of a kind reaches; here the reach becomes taints on the snapshot: on all of it, on the
//! virtual hosts and chains of some services, or on clusters.

mod reach;

use std::collections::BTreeSet;

use mesh_core::ids::Taint;
use mesh_core::ir::{FilterChain, Snapshot, Terminal};

use super::Ctx;
use crate::inventory::Effect;
use reach::Reach;

/// Taints whatever an unsimulated object may change for this proxy.
pub(super) fn apply(cx: &Ctx<'_>, snapshot: &mut Snapshot) {
    let others = &cx.lowering.mesh.inventory.others;
    for other in others.iter().filter(|other| other.effect == Effect::Traffic) {
        let what = format!("{} {}", other.raw.kind, key(&other.raw.namespace, &other.raw.name));
        let taint = cx.lowering.tools.origins.taint(what, other.raw.name_span());
        match reach::of(cx, &other.raw) {
            Reach::Nothing => {}
            Reach::Proxy => snapshot.taints.push(taint),
            Reach::Routes(hosts) => on_routes(snapshot, &hosts, &taint),
            Reach::Clusters(hosts) => on_clusters(snapshot, &hosts, &taint),
        }
    }
}

fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// Routes of the services' virtual hosts, and chains that lead to the services.
fn on_routes(snapshot: &mut Snapshot, hosts: &BTreeSet<String>, taint: &Taint) {
    let is_one = |name: &str| name.rsplit_once(':').is_some_and(|(host, _)| hosts.contains(host));
    for table in &mut snapshot.routes {
        for virtual_host in table.virtual_hosts.iter_mut().filter(|v| is_one(&v.name)) {
            virtual_host.routes.iter_mut().for_each(|route| route.taints.push(taint.clone()));
        }
    }
    let leads_there = |chain: &FilterChain| match &chain.terminal {
        Terminal::Tcp(tcp) => tcp
            .clusters
            .iter()
            .any(|(name, _)| name.rsplit('|').next().is_some_and(|host| hosts.contains(host))),
        Terminal::Http(_) => false,
    };
    for listener in &mut snapshot.listeners {
        let chains = listener.filter_chains.iter_mut().chain(&mut listener.default_filter_chain);
        chains.filter(|chain| leads_there(chain)).for_each(|chain| chain.taints.push(taint.clone()));
    }
}

fn on_clusters(snapshot: &mut Snapshot, hosts: &BTreeSet<String>, taint: &Taint) {
    let of_hosts = snapshot.clusters.iter_mut().filter(|c| hosts.contains(c.host.as_ref()));
    of_hosts.for_each(|cluster| cluster.taints.push(taint.clone()));
}
