//! Choosing services for a scope: imported ones, and destinations of VirtualServices (istiod: `selectServices`,
//! `serviceMatchingListenerPort`, `serviceMatchingVirtualServicePorts`; semantics: istio-networking 5.2, 5.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Indexes;
use super::super::visibility::sort_by_creation;
use super::egress::{EgressListener, Hosts, Imports};
use crate::mesh::service::{Registry, Service};

/// The visible services that a host list imports, trimmed to the port the listener asks for.
pub(super) fn services(
    indexes: &Indexes,
    namespace: &str,
    imports: &Imports,
    port: Option<u16>,
) -> Vec<Arc<Service>> {
    let candidates: Vec<Arc<Service>> = if imports.all_exact {
        exact(indexes, namespace, imports)
    } else {
        indexes.services.visible_to(namespace).cloned().collect()
    };
    let imported: Vec<_> = candidates
        .iter()
        .filter(|service| !imports.excludes(&service.namespace, &service.host))
        .filter_map(|service| imports.of(&service.namespace).find_map(|hosts| import(hosts, service, port)))
        .collect();
    one_namespace_per_host(imported, namespace)
}

fn exact(indexes: &Indexes, namespace: &str, imports: &Imports) -> Vec<Arc<Service>> {
    let mut found: Vec<_> = imports
        .exact_hosts()
        .filter_map(|(owner, host)| indexes.services.by_host(host)?.get(owner))
        .filter(|service| indexes.services.is_visible(service, namespace))
        .cloned()
        .collect();
    sort_by_creation(&mut found);
    found
}

/// The service with the port and the aliases that are imported with it.
fn import(hosts: &Hosts, service: &Arc<Service>, port: Option<u16>) -> Option<Arc<Service>> {
    if !hosts.covers(&service.host) {
        return None;
    }
    let service = with_port(service, port)?;
    if service.aliases.iter().all(|alias| hosts.covers(&alias.host)) {
        return Some(service);
    }
    let mut trimmed = Service::clone(&service);
    trimmed.aliases.retain(|alias| hosts.covers(&alias.host));
    Some(Arc::new(trimmed))
}

/// The service reduced to the port of an egress listener.
fn with_port(service: &Arc<Service>, port: Option<u16>) -> Option<Arc<Service>> {
    let Some(port) = port else { return Some(Arc::clone(service)) };
    let found = service.port(u32::from(port))?;
    if service.ports.len() == 1 {
        return Some(Arc::clone(service));
    }
    let mut trimmed = Service::clone(service);
    trimmed.ports = vec![found.clone()];
    Some(Arc::new(trimmed))
}

/// Of equal hosts in several namespaces: the proxy's own, else the first Kubernetes service, else the first.
fn one_namespace_per_host(imported: Vec<Arc<Service>>, namespace: &str) -> Vec<Arc<Service>> {
    let mut chosen: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
    for service in &imported {
        let kubernetes = service.registry == Registry::Kubernetes;
        let this = (service.namespace.as_str(), kubernetes);
        match chosen.get(service.host.as_str()) {
            Some(_) if service.namespace == namespace => {
                chosen.insert(&service.host, this);
            }
            Some(&(owner, false)) if kubernetes && owner != namespace => {
                chosen.insert(&service.host, this);
            }
            Some(_) => {}
            None => {
                chosen.insert(&service.host, this);
            }
        }
    }
    let keep: Vec<bool> = imported
        .iter()
        .map(|s| chosen.get(s.host.as_str()).is_some_and(|(owner, _)| *owner == s.namespace))
        .collect();
    imported.iter().zip(keep).filter(|(_, keep)| *keep).map(|(s, _)| Arc::clone(s)).collect()
}

/// The service a destination names: of the proxy's namespace, else the best visible one (Kubernetes, else the oldest).
pub(super) fn destination(indexes: &Indexes, namespace: &str, host: &str) -> Option<Arc<Service>> {
    let by_namespace = indexes.services.by_host(host)?;
    if let Some(own) = by_namespace.get(namespace) {
        return Some(Arc::clone(own));
    }
    let visible = || by_namespace.values().filter(|s| indexes.services.is_visible(s, namespace));
    visible()
        .find(|s| s.registry == Registry::Kubernetes)
        .or_else(|| visible().min_by_key(|s| s.created()))
        .cloned()
}

/// The service reduced to the ports that destinations name; 0 among them keeps all.
pub(super) fn with_destination_ports(
    service: &Arc<Service>,
    listener: &EgressListener,
    ports: &BTreeSet<u32>,
) -> Option<Arc<Service>> {
    if let Some(port) = listener.match_port() {
        return with_port(service, Some(port));
    }
    if ports.is_empty() || ports.contains(&0) {
        return Some(Arc::clone(service));
    }
    let found: Vec<_> = service.ports.iter().filter(|p| ports.contains(&p.number)).cloned().collect();
    if found.len() == service.ports.len() {
        return Some(Arc::clone(service));
    }
    if found.is_empty() {
        return None;
    }
    let mut trimmed = Service::clone(service);
    trimmed.ports = found;
    Some(Arc::new(trimmed))
}
