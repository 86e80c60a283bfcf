//! Route configurations of sidecars (istiod: `buildSidecarOutboundHTTPRouteConfig`, `BuildSidecarOutboundVirtualHosts`;
//! semantics: istio-networking 3.4, 3.10).
//!
//! [`super::virtual_hosts`] says which VirtualService owns which service; here hosts become domains.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::OriginId;
use mesh_core::ir::{
    ClusterSpecifier, DirectResponse, Forward, HeaderMutations, HostRewrite, PathRewrite, Route, RouteAction,
    RouteConfiguration, VirtualHost,
};

use super::domains::{self, Domains};
use super::virtual_hosts::{PortService, Wrapper, wrappers};
use super::virtual_outbound::catch_all_cluster;
use crate::lower::Ctx;
use crate::lower::virtual_service::matcher::any_path;
use crate::mesh::protocol::Protocol;
use crate::resource::mesh_config::MeshOutboundTrafficMode as Mode;

/// The route configuration of that name: `9080`, `fqdn:9080` of a detected port, `http_proxy`, or a socket path.
pub(super) fn configuration(cx: &Ctx<'_>, name: &str) -> RouteConfiguration {
    let pipe = name.starts_with("unix://");
    let (sniffed, port) = match name.rsplit_once(':') {
        Some((host, port)) if !pipe => (Some(host), port),
        _ => (None, name),
    };
    let port: u16 = port.parse().unwrap_or(0);
    let mut virtual_hosts = virtual_hosts(cx, port, name);
    if let Some(host) = sniffed {
        virtual_hosts.retain(|vhost| vhost.domains.iter().any(|d| d.as_ref() == name || d.as_ref() == host));
        if let [only] = virtual_hosts.as_mut_slice() {
            only.domains = vec!["*".into()];
        }
    }
    virtual_hosts.sort_by(|a, b| a.name.cmp(&b.name));
    if sniffed.is_none() {
        virtual_hosts.push(catch_all(cx));
    }
    route_configuration(name, virtual_hosts)
}

/// A configuration with the catch-all alone.
pub(super) fn catch_all_configuration(cx: &Ctx<'_>, name: &str) -> RouteConfiguration {
    route_configuration(name, vec![catch_all(cx)])
}

fn route_configuration(name: &str, virtual_hosts: Vec<VirtualHost>) -> RouteConfiguration {
    RouteConfiguration {
        name: name.into(),
        virtual_hosts,
        ignore_port_in_host_matching: true,
        headers: HeaderMutations::default(),
    }
}

fn virtual_hosts(cx: &Ctx<'_>, port: u16, name: &str) -> Vec<VirtualHost> {
    let Some(egress) = cx.scope.egress_for_routes(port, name) else { return Vec::new() };
    let forward_proxy = egress.port.as_ref().is_some_and(|p| p.protocol == Protocol::HttpProxy);
    let port = if forward_proxy { 0 } else { port };
    let wrappers = wrappers(cx, egress, port);
    let mut builder =
        Builder { cx, port, names: BTreeSet::new(), domains: BTreeSet::new(), known: BTreeSet::new() };
    for wrapper in &wrappers {
        for service in &wrapper.services {
            builder.known.insert(domains::with_port(&service.host, wrapper.port));
            builder.known.insert(service.host.clone());
        }
    }
    let mut by_port: BTreeMap<u16, Vec<VirtualHost>> = BTreeMap::new();
    for wrapper in wrappers.into_iter().filter(|w| !w.routes.is_empty()) {
        by_port.entry(wrapper.port).or_default().extend(builder.of_wrapper(wrapper));
    }
    if port != 0 {
        return by_port.remove(&port).unwrap_or_default();
    }
    // One table for all ports: only port 80 may be left out of the Host header.
    let mut out = Vec::new();
    for (port, mut virtual_hosts) in by_port {
        if port != 80 {
            virtual_hosts.iter_mut().for_each(|v| v.domains.retain(|d| d.contains(':')));
            virtual_hosts.retain(|v| !v.domains.is_empty());
        }
        out.append(&mut virtual_hosts);
    }
    out
}

struct Builder<'a, 'c> {
    cx: &'a Ctx<'c>,
    /// 0: one table for all ports.
    port: u16,
    names: BTreeSet<String>,
    domains: BTreeSet<String>,
    /// Real names of services, which no expansion may take.
    known: BTreeSet<String>,
}

impl Builder<'_, '_> {
    fn of_wrapper(&mut self, wrapper: Wrapper<'_>) -> Vec<VirtualHost> {
        let mut out = Vec::new();
        for (host, origin) in &wrapper.hosts {
            let host = host.to_lowercase();
            let domains = Domains { all: vec![domains::bracketed(&host)], expanded: Vec::new() };
            out.extend(self.build(&host, wrapper.port, domains, *origin));
        }
        for service in &wrapper.services {
            let domains = self.of_service(service, wrapper.port);
            out.extend(self.build(&service.host, wrapper.port, domains, wrapper.origin));
        }
        // All share the routes; the last one takes them.
        let mut routes = Some(wrapper.routes);
        let last = out.len().saturating_sub(1);
        for (at, virtual_host) in out.iter_mut().enumerate() {
            let own = if at == last { routes.take() } else { routes.clone() };
            virtual_host.routes = own.unwrap_or_default();
        }
        out
    }

    fn of_service(&self, service: &PortService<'_>, port: u16) -> Domains {
        domains::of_service(
            service.service,
            self.cx.address(service.service),
            (self.port == 0).then_some(port),
            self.cx.namespace(),
            self.cx.domain(),
        )
    }

    /// A virtual host still without routes. The first one of a name wins; one without domains is none.
    fn build(&mut self, host: &str, port: u16, domains: Domains, origin: OriginId) -> Option<VirtualHost> {
        let name = domains::with_port(host, port);
        if !self.names.insert(name.clone()) {
            return None;
        }
        let domains = domains::dedupe(domains, &mut self.domains, &self.known);
        (!domains.is_empty()).then(|| VirtualHost {
            name: name.into(),
            domains: domains.into_iter().map(Into::into).collect(),
            routes: Vec::new(),
            require_tls: false,
            include_request_attempt_count: self.cx.attempt_count(),
            headers: HeaderMutations::default(),
            origin,
        })
    }
}

/// What unknown hosts get (semantics: istio-networking 3.10, 5.4).
fn catch_all(cx: &Ctx<'_>) -> VirtualHost {
    let (name, cluster) = match cx.scope.outbound_policy.mode {
        Mode::AllowAny => ("allow_any", Some(catch_all_cluster(cx))),
        Mode::AllowAnyDynamicDns => ("allow_any_dynamic_dns", Some("AllowAnyDynamicDNSCluster".into())),
        Mode::RegistryOnly => ("block_all", None),
    };
    let action = match cluster {
        None => RouteAction::DirectResponse(DirectResponse { status: 502, body: "".into() }),
        Some(cluster) => RouteAction::Forward(Box::new(Forward {
            cluster: ClusterSpecifier::Cluster(cluster),
            cluster_not_found_status: 503,
            timeout_ns: 0,
            max_grpc_timeout_ns: Some(0),
            max_stream_duration_ns: None,
            retry: None,
            path_rewrite: PathRewrite::Keep,
            host_rewrite: HostRewrite::Keep,
            mirrors: Vec::new(),
            hash_policy: Vec::new(),
        })),
    };
    let route = Route {
        name: name.into(),
        matcher: any_path(),
        action,
        headers: HeaderMutations::default(),
        decorator: "".into(),
        fault: None,
        cors: None,
        taints: Vec::new(),
        origin: OriginId::NONE,
        action_origin: OriginId::NONE,
    };
    VirtualHost {
        name: name.into(),
        domains: vec!["*".into()],
        routes: vec![route],
        require_tls: false,
        include_request_attempt_count: cx.attempt_count(),
        headers: HeaderMutations::default(),
        origin: OriginId::NONE,
    }
}
