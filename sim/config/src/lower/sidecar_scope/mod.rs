//! What one proxy may see: egress listeners with their services and VirtualServices, destinations pulled in, and the
//! DestinationRules of all of them (istiod: `SidecarScope`; semantics: istio-networking 5).
//!
//! A scope belongs to a namespace and a Sidecar resource, not to a pod: pods share it. [`egress`] reads the host lists.

pub mod egress;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::Indexes;
use super::destination_rule::{self, Consolidated};
use super::virtual_service::{MESH_GATEWAY, VirtualServiceConfig, labels_subset};
use crate::mesh::service::{Port, Registry, Service};
use crate::resource::http_route::Destination;
use crate::resource::mesh_config::MeshOutboundTrafficMode;
use crate::resource::meta::Object;
use crate::resource::sidecar::{OutboundTrafficMode, Sidecar};
use crate::resource::virtual_service::VirtualService;
use egress::EgressListener;

/// What happens to unknown destinations.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboundPolicy {
    /// Mode.
    pub mode: MeshOutboundTrafficMode,
    /// Where unknown traffic goes instead of its destination.
    pub egress_proxy: Option<Destination>,
}

/// The part of the mesh that proxies of one namespace (and Sidecar) see.
#[derive(Debug)]
pub struct SidecarScope {
    /// Namespace of the proxies.
    pub namespace: String,
    /// The Sidecar behind it, if any.
    pub sidecar: Option<Arc<Object<Sidecar>>>,
    /// Egress listeners in order; gateways have none.
    pub egress: Vec<EgressListener>,
    /// Every service with clusters: imported ones, then destinations of VirtualServices. One per host.
    pub services: Vec<Arc<Service>>,
    /// Positions in `services`.
    by_host: IndexMap<String, usize, FxBuildHasher>,
    /// DestinationRules by service host.
    rules: IndexMap<String, Vec<Arc<Consolidated>>, FxBuildHasher>,
    /// Unknown destinations.
    pub outbound_policy: OutboundPolicy,
}

impl SidecarScope {
    /// The scope of sidecars of a namespace under a Sidecar, or under none.
    #[must_use]
    pub fn new(indexes: &Indexes, namespace: &str, sidecar: Option<&Arc<Object<Sidecar>>>) -> Self {
        let mut scope = SidecarScope::empty(indexes, namespace, sidecar);
        let written = sidecar.map_or(&[][..], |s| s.spec.egress.as_slice());
        if written.is_empty() {
            scope.egress.push(EgressListener::everything(indexes, namespace));
        }
        scope.egress.extend(written.iter().map(|e| EgressListener::new(indexes, namespace, e)));
        let mut services = Services::default();
        for listener in &scope.egress {
            for service in &listener.services {
                services.add(Arc::clone(service));
            }
            for vs in &listener.virtual_services {
                for (host, ports) in destinations(&vs.spec, namespace) {
                    if let Some(service) = select::destination(indexes, namespace, &host) {
                        services.add_opt(select::with_destination_ports(&service, listener, &ports));
                    }
                }
            }
        }
        scope.finish(indexes, services);
        scope
    }

    /// The scope of gateways of a namespace: every visible service, whatever Sidecars say.
    #[must_use]
    pub fn for_gateway(indexes: &Indexes, namespace: &str) -> Self {
        let mut scope = SidecarScope::empty(indexes, namespace, None);
        let mut services = Services::default();
        for service in indexes.services.visible_to(namespace) {
            services.add(Arc::clone(service));
        }
        scope.finish(indexes, services);
        scope
    }

    fn empty(indexes: &Indexes, namespace: &str, sidecar: Option<&Arc<Object<Sidecar>>>) -> Self {
        let written = sidecar.and_then(|s| s.spec.outbound_traffic_policy.as_ref());
        let outbound_policy = match written {
            Some(policy) => OutboundPolicy {
                mode: match policy.mode {
                    OutboundTrafficMode::RegistryOnly => MeshOutboundTrafficMode::RegistryOnly,
                    OutboundTrafficMode::AllowAny => MeshOutboundTrafficMode::AllowAny,
                },
                egress_proxy: policy.egress_proxy.clone(),
            },
            None => OutboundPolicy { mode: indexes.outbound_mode, egress_proxy: None },
        };
        SidecarScope {
            namespace: namespace.to_owned(),
            sidecar: sidecar.cloned(),
            egress: Vec::new(),
            services: Vec::new(),
            by_host: IndexMap::default(),
            rules: IndexMap::default(),
            outbound_policy,
        }
    }

    fn finish(&mut self, indexes: &Indexes, services: Services) {
        self.services = services.list;
        self.by_host = services.by_host;
        for service in &self.services {
            let found = indexes.destination_rules.find(&self.namespace, &service.namespace, &service.host);
            if !found.is_empty() {
                self.rules.insert(service.host.clone(), found);
            }
        }
    }

    /// The service of a host, if this scope has one.
    #[must_use]
    pub fn service(&self, host: &str) -> Option<&Arc<Service>> {
        self.by_host.get(host).and_then(|at| self.services.get(*at))
    }

    /// The DestinationRule of a host for a proxy. `labels` is `None` for inbound (semantics: istio-networking 4.1).
    #[must_use]
    pub fn rule(&self, host: &str, labels: Option<&BTreeMap<String, String>>) -> Option<&Arc<Consolidated>> {
        destination_rule::choose(self.rules.get(host)?, &self.namespace, labels)
    }

    /// The egress listener that makes a route configuration (istiod: `GetEgressListenerForRDS`).
    #[must_use]
    pub fn egress_for_routes(&self, port: u16, bind: &str) -> Option<&EgressListener> {
        self.egress.iter().find(|listener| match &listener.port {
            None => true,
            Some(written) => written.number == port && (port != 0 || listener.bind == bind),
        })
    }
}

/// The Sidecar of a pod: the first of its namespace that takes it, those with selectors first, else the oldest general
/// one of the root namespace (semantics: istio-networking 5.1).
#[must_use]
pub fn select_sidecar<'a>(
    sidecars: &'a [Arc<Object<Sidecar>>],
    root_namespace: &str,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> Option<&'a Arc<Object<Sidecar>>> {
    let own = || sidecars.iter().filter(|s| s.meta.namespace == namespace);
    let selective = own().find(|s| {
        s.spec.workload_selector.as_ref().is_some_and(|selector| labels_subset(&selector.labels, labels))
    });
    let general = |s: &&Arc<Object<Sidecar>>| s.spec.workload_selector.is_none();
    selective
        .or_else(|| own().find(general))
        .or_else(|| sidecars.iter().filter(|s| s.meta.namespace == root_namespace).find(general))
}

/// Services by host as a scope collects them (istiod: `appendSidecarServices`).
#[derive(Debug, Default)]
struct Services {
    list: Vec<Arc<Service>>,
    by_host: IndexMap<String, usize, FxBuildHasher>,
}

impl Services {
    fn add_opt(&mut self, service: Option<Arc<Service>>) {
        if let Some(service) = service {
            self.add(service);
        }
    }

    /// A host has one service: Kubernetes before ServiceEntry, ports of like ones united, else the first.
    fn add(&mut self, service: Arc<Service>) {
        let Some(at) = self.by_host.get(&service.host) else {
            self.by_host.insert(service.host.clone(), self.list.len());
            self.list.push(service);
            return;
        };
        let Some(existing) = self.list.get_mut(*at) else { return };
        if Arc::ptr_eq(existing, &service) {
            return;
        }
        match (existing.registry, service.registry) {
            (Registry::Kubernetes, Registry::External) => {}
            (Registry::External, Registry::Kubernetes) => *existing = service,
            _ if same_ports(&existing.ports, &service.ports) || !can_merge(existing, &service) => {}
            _ => {
                let mut merged = Service::clone(existing);
                let more = service.ports.iter().filter(|p| existing.port(p.number).is_none());
                merged.ports.extend(more.cloned());
                *existing = Arc::new(merged);
            }
        }
    }
}

fn same_ports(a: &[Port], b: &[Port]) -> bool {
    let key = |p: &Port| (p.name.clone(), p.number, p.protocol);
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| key(a) == key(b))
}

fn can_merge(a: &Service, b: &Service) -> bool {
    a.namespace == b.namespace
        && a.resolution == b.resolution
        && a.registry == b.registry
        && a.labels == b.labels
        && a.selector == b.selector
        && a.export_to == b.export_to
}

/// Hosts a VirtualService sends to, with the ports named; 0 stands for "all" (istiod:
/// `virtualServiceDestinationsFilteredBySourceNamespace`).
fn destinations(vs: &VirtualService, namespace: &str) -> BTreeMap<String, BTreeSet<u32>> {
    let mut out: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let mut add = |d: Option<&Destination>| {
        if let Some(d) = d {
            let port = d.port.as_ref().map_or(0, |p| p.number);
            out.entry(d.host.clone()).or_default().insert(port);
        }
    };
    for http in &vs.http {
        let foreign = |m: &crate::resource::http_match::HttpMatchRequest| {
            !m.source_namespace.is_empty() && m.source_namespace != namespace
        };
        let own =
            http.match_.iter().any(|m| m.source_namespace == namespace && !m.source_namespace.is_empty());
        if !own && http.match_.iter().any(foreign) {
            continue;
        }
        http.route.iter().for_each(|d| add(d.destination.as_ref()));
        add(http.mirror.as_deref());
        http.mirrors.iter().for_each(|m| add(m.destination.as_ref()));
    }
    vs.tcp.iter().flat_map(|t| &t.route).for_each(|d| add(d.destination.as_ref()));
    vs.tls.iter().flat_map(|t| &t.route).for_each(|d| add(d.destination.as_ref()));
    out
}

/// The VirtualServices of sidecars that a namespace sees, in selection order.
fn mesh_virtual_services<'a>(indexes: &'a Indexes, namespace: &str) -> Vec<&'a Arc<VirtualServiceConfig>> {
    indexes.virtual_services.for_gateway(namespace, MESH_GATEWAY)
}
