//! Which VirtualService owns which host on a port (istiod: `BuildSidecarVirtualHostWrapper`,
//! `separateVSHostsAndServices`; semantics: istio-networking 3.4).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use indexmap::IndexMap;
use mesh_core::OriginId;
use mesh_core::ir::{
    ClusterSpecifier, Forward, HeaderMutations, HostRewrite, PathRewrite, Route, RouteAction,
};

use rustc_hash::FxBuildHasher;

use super::tcp::destination_service;
use crate::lower::Ctx;
use crate::lower::destination_rule::policy::{destination_hash, service_hash};
use crate::lower::hosts::{is_wildcard, matches};
use crate::lower::sidecar_scope::egress::EgressListener;
use crate::lower::virtual_service::destination::{cluster_name, hash_policy};
use crate::lower::virtual_service::http::{DestinationService, RouteContext, routes};
use crate::lower::virtual_service::matcher::any_path;
use crate::lower::virtual_service::{MESH_GATEWAY, RouteSemantics, VirtualServiceConfig};
use crate::mesh::service::{Port, Resolution, Service};

/// A service as one route table sees it: with the port of the table, or with all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct PortService<'a> {
    pub service: &'a Arc<Service>,
    port: Option<&'a Port>,
}

impl Deref for PortService<'_> {
    type Target = Service;
    fn deref(&self) -> &Service {
        self.service
    }
}

impl<'a> PortService<'a> {
    fn ports(&self) -> &'a [Port] {
        self.port.map_or(&self.service.ports, std::slice::from_ref)
    }

    fn destination(&self) -> DestinationService<'a> {
        let only_port = self.port.and_then(|p| u16::try_from(p.number).ok());
        let full = destination_service(self.service);
        DestinationService { only_port: only_port.or(full.only_port), ..full }
    }
}

/// Virtual hosts that share their routes.
pub(super) struct Wrapper<'a> {
    pub port: u16,
    pub services: Vec<PortService<'a>>,
    /// Hosts of a VirtualService that are no services, with their places.
    pub hosts: Vec<(String, OriginId)>,
    pub routes: Vec<Route>,
    pub origin: OriginId,
}

/// Services by host, sorted.
type Registry<'a> = IndexMap<String, PortService<'a>, FxBuildHasher>;

/// The virtual hosts of a port; port 0 is one table for all ports.
pub(super) fn wrappers<'a>(cx: &Ctx<'_>, egress: &'a EgressListener, port: u16) -> Vec<Wrapper<'a>> {
    let mut registry: Registry<'a> = Registry::default();
    for service in &egress.services {
        if port == 0 {
            registry.insert(service.host.clone(), PortService { service, port: None });
        } else if let Some(found) = service.port(u32::from(port)) {
            // Of one host with several addresses the last one stays.
            registry.insert(service.host.to_lowercase(), PortService { service, port: Some(found) });
        }
    }
    registry.sort_unstable_keys();
    let mut out = Vec::new();
    for vs in virtual_services(egress, &registry, port) {
        out.extend(of_virtual_service(cx, egress, &registry, vs, port));
    }
    let owned: BTreeSet<String> =
        out.iter().flat_map(|w: &Wrapper<'_>| w.services.iter().map(|s| s.host.clone())).collect();
    for service in registry.values().filter(|s| !owned.contains(&s.host) && s.resolution != Resolution::Alias)
    {
        for written in service.ports().iter().filter(|p| p.protocol.is_http_or_sniffed()) {
            out.push(default_wrapper(cx, *service, written));
        }
    }
    out
}

/// All VirtualServices on port 80; elsewhere those with a host that is a service of the port.
fn virtual_services<'a>(
    egress: &'a EgressListener,
    registry: &Registry<'_>,
    port: u16,
) -> Vec<&'a Arc<VirtualServiceConfig>> {
    if port == 80 {
        return egress.virtual_services.iter().collect();
    }
    let wildcard_services: Vec<&String> = registry.keys().filter(|host| is_wildcard(host)).collect();
    let selects = |vs: &Arc<VirtualServiceConfig>| {
        vs.spec.hosts.iter().any(|host| {
            let host = host.value.to_lowercase();
            registry.contains_key(&host)
                || if is_wildcard(&host) {
                    registry.keys().any(|service| matches(&host, service))
                } else {
                    wildcard_services.iter().any(|service| matches(&host, service))
                }
        })
    };
    let candidates = if wildcard_services.is_empty() {
        egress.virtual_services_of_hosts(registry.keys().map(String::as_str))
    } else {
        egress.virtual_services.iter().collect()
    };
    candidates.into_iter().filter(|vs| selects(vs)).collect()
}

fn of_virtual_service<'a>(
    cx: &Ctx<'_>,
    egress: &EgressListener,
    registry: &Registry<'a>,
    vs: &VirtualServiceConfig,
    port: u16,
) -> Vec<Wrapper<'a>> {
    let tools = &cx.lowering.tools;
    let context = RouteContext {
        tools,
        proxy_labels: cx.labels(),
        proxy_namespace: cx.namespace(),
        gateways: &[MESH_GATEWAY],
        listen_port: port,
        tls: false,
        service: &|host| registry.get(host).map(PortService::destination),
        hash: &|destination| destination_hash(cx.rule(&destination.host)?, destination),
        default_retry: &cx.lowering.retries,
    };
    let routes = routes(&context, vs);
    if routes.is_empty() {
        return Vec::new();
    }
    let (hosts, services) = separate(cx, egress, registry, vs);
    let foreign =
        |s: &PortService<'_>| s.namespace != vs.meta.namespace && cx.namespace() != vs.meta.namespace;
    if vs.semantics == RouteSemantics::GatewayApi && services.iter().all(foreign) {
        return Vec::new();
    }
    let mut by_port: BTreeMap<u16, Vec<PortService<'a>>> = BTreeMap::new();
    for service in services {
        for written in service.ports().iter().filter(|p| p.protocol.is_http_or_sniffed()) {
            by_port.entry(u16::try_from(written.number).unwrap_or(0)).or_default().push(service);
        }
    }
    if by_port.is_empty() && port == 80 {
        by_port.insert(80, Vec::new());
    }
    let origin = tools.origins.id(vs.meta.origin);
    let mut routes = Some(routes);
    let last = by_port.keys().next_back().copied();
    let mut of_port = |port, services| {
        let own = if Some(port) == last { routes.take() } else { routes.clone() };
        Wrapper { port, services, hosts: hosts.clone(), routes: own.unwrap_or_default(), origin }
    };
    by_port.into_iter().map(|(port, services)| of_port(port, services)).collect()
}

/// Hosts of a VirtualService that are services of the port, and the others. A wildcard takes the services for which no
/// VirtualService has a more specific host.
fn separate<'a>(
    cx: &Ctx<'_>,
    egress: &EgressListener,
    registry: &Registry<'a>,
    vs: &VirtualServiceConfig,
) -> (Vec<(String, OriginId)>, Vec<PortService<'a>>) {
    let mut hosts = Vec::new();
    let mut services = Vec::new();
    let id = |span| cx.lowering.tools.origins.id(span);
    let (wildcards, exact): (Vec<_>, Vec<_>) =
        vs.spec.hosts.iter().map(|h| (h.value.to_lowercase(), h)).partition(|(host, _)| is_wildcard(host));
    for (host, written) in exact {
        match registry.get(&host) {
            Some(service) => services.push(*service),
            None => hosts.push((written.value.clone(), id(written.span))),
        }
    }
    let me = (vs.meta.namespace.clone(), vs.meta.name.clone());
    for (host, written) in wildcards {
        let mut found = vs.semantics == RouteSemantics::GatewayApi;
        if found {
            hosts.push((host.clone(), id(written.span)));
        } else {
            for service in registry.values().filter(|service| matches(&service.host, &host)) {
                found = true;
                if egress.owner.get(&service.host) == Some(&me) {
                    services.push(*service);
                }
            }
        }
        if !found {
            hosts.push((host, id(written.span)));
        }
    }
    (hosts, services)
}

/// The virtual host of a service that no VirtualService owns: everything to its cluster.
fn default_wrapper<'a>(cx: &Ctx<'_>, service: PortService<'a>, written: &Port) -> Wrapper<'a> {
    let tools = &cx.lowering.tools;
    let port = u16::try_from(written.number).unwrap_or(0);
    let hash = cx.rule(&service.host).and_then(|rule| service_hash(&rule.rule, port));
    let origin = tools.origins.id(written.origin);
    let route = Route {
        name: "default".into(),
        matcher: any_path(),
        action: RouteAction::Forward(Box::new(Forward {
            cluster: ClusterSpecifier::Cluster(cluster_name(port, "", &service.host)),
            cluster_not_found_status: 503,
            timeout_ns: 0,
            max_grpc_timeout_ns: Some(0),
            max_stream_duration_ns: None,
            retry: cx.lowering.retries.get(false),
            path_rewrite: PathRewrite::Keep,
            host_rewrite: HostRewrite::Keep,
            mirrors: Vec::new(),
            hash_policy: hash.and_then(hash_policy).into_iter().collect(),
        })),
        headers: HeaderMutations::default(),
        decorator: format!("{}:{port}/*", service.host).into(),
        fault: None,
        cors: None,
        taints: Vec::new(),
        origin,
        action_origin: origin,
    };
    Wrapper { port, services: vec![service], hosts: Vec::new(), routes: vec![route], origin }
}
