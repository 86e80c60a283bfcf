//! Gateways: listeners and route tables of a gateway pod (semantics: istio-networking 7).
//!
//! `merge` decides which servers there are, `http_routes` makes their route tables, `l4` their TCP and TLS chains,
//! `tls` their termination; `hosts` compares hosts of servers and VirtualServices. The clusters of a gateway are
//! `lower::cluster`'s.

pub mod hosts;
mod http_routes;
mod l4;
pub mod merge;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::ir::{
    FilterChain, FilterChainMatch, HttpConnectionManager, Inspector, Listener, ListenerFilters,
    RouteConfiguration, RouteSpecifier, Terminal, TrafficDirection,
};

use self::l4::TakenSni;
use self::merge::{Merged, MergedPort, Selected, Server};
use crate::lower::http_connection_manager::{self, Class, Parts};
use crate::lower::security::filters::SecurityFilters;
use crate::lower::{Ctx, Tools, inbound};
use crate::mesh::protocol::Protocol;
use crate::mesh::service::Service;
use crate::resource::gateway::Gateway;
use crate::resource::meta::{Object, ObjectMeta};
use crate::resource::selector::is_subset;
use crate::source::Span;

/// How long Envoy waits for the TLS inspector of gateways, ns: its own default, istiod sets none here.
const INSPECTION_TIMEOUT_NS: u64 = 15_000_000_000;

/// Put on a Service: its ports are not translated to target ports.
const NO_TRANSLATION: &str = "experimental.istio.io/disable-gateway-port-translation";

/// Hosts of the Services whose pods serve a Gateway; istiod sets it on the Gateways it makes of the Gateway API's.
const GATEWAY_SERVICE: &str = "internal.istio.io/gateway-service";
const PARENT_NAMESPACE: &str = "internal.istio.io/parent-namespace";

/// One gateway pod and its policies.
struct Site<'a> {
    cx: &'a Ctx<'a>,
    filters: SecurityFilters,
}

/// Listeners and route tables of a gateway pod.
#[derive(Debug, Default)]
pub struct GatewayConfig {
    /// LDS, sorted by name.
    pub listeners: Vec<Listener>,
    /// RDS of those listeners.
    pub routes: Vec<RouteConfiguration>,
}

/// The servers of all Gateways that select a pod.
#[must_use]
pub fn merged<'a>(cx: &'a Ctx<'_>) -> Merged<'a> {
    let indexes = &cx.lowering.indexes;
    let translated = |host: &str| {
        let services = indexes.services.by_host(host);
        services.is_none_or(|all| !all.values().any(|service| service.labels.contains_key(NO_TRANSLATION)))
    };
    let targets = inbound::targets(cx);
    let select = |gateway: &'a Arc<Object<Gateway>>| {
        let by_service = gateway.meta.annotations.get(GATEWAY_SERVICE);
        let targets = match by_service {
            Some(hosts) => of_services(&targets, hosts, &gateway.meta),
            None => targets.iter().filter(|target| translated(target.host)).copied().collect(),
        };
        let by_service = by_service.is_some();
        let serves =
            if by_service { !targets.is_empty() } else { is_subset(&gateway.spec.selector, cx.labels()) };
        serves.then_some(Selected { gateway, targets, by_service })
    };
    // The Gateways of any namespace, oldest first (semantics: istio-networking 7.1).
    merge::merge(&indexes.gateways.iter().filter_map(select).collect::<Vec<_>>())
}

/// The service ports of the Services that a Gateway names, in its own namespace or that of the Gateway API's Gateway it was
/// made of (istiod: `mergeGateways`).
fn of_services<'t>(
    targets: &[inbound::Target<'t>],
    hosts: &str,
    gateway: &ObjectMeta,
) -> Vec<inbound::Target<'t>> {
    let parent = gateway.annotations.get(PARENT_NAMESPACE).filter(|namespace| !namespace.is_empty());
    let namespace = parent.unwrap_or(&gateway.namespace);
    let named = |target: &&inbound::Target<'t>| {
        target.namespace == namespace && hosts.split(',').any(|host| host == target.host)
    };
    targets.iter().filter(named).copied().collect()
}

/// Everything a gateway pod listens on.
#[must_use]
pub fn lower(cx: &Ctx<'_>, merged: &Merged<'_>) -> GatewayConfig {
    Site { cx, filters: SecurityFilters::new(cx) }.lower(merged)
}

impl Site<'_> {
    fn tools(&self) -> &Tools {
        &self.cx.lowering.tools
    }

    /// A destination's service as VirtualServices of a namespace see it: that of their namespace, if the gateway may see
    /// it, else what the gateway sees (istiod: `buildNameToServiceMapForHTTPRoutes`).
    fn service(&self, namespace: &str, host: &str) -> Option<&Arc<Service>> {
        let index = &self.cx.lowering.indexes.services;
        let own = index.by_host(host).and_then(|all| all.get(namespace));
        own.filter(|service| index.is_visible(service, self.cx.namespace()))
            .or_else(|| self.cx.scope.service(host))
    }

    /// The address that means "all addresses".
    fn wildcard(&self) -> &'static str {
        if self.cx.ip().is_ipv6() { "::" } else { "0.0.0.0" }
    }

    fn lower(&self, merged: &Merged<'_>) -> GatewayConfig {
        let mut taken = TakenSni::new();
        let mut by_name: BTreeMap<String, Listener> = BTreeMap::new();
        for port in &merged.ports {
            let bind = if port.key.bind.is_empty() { self.wildcard() } else { &port.key.bind };
            let name = format!("{bind}_{}", port.key.number);
            let chains = self.chains(merged, port, &name, &mut taken);
            by_name
                .entry(name.clone())
                .or_insert_with(|| self.listener(merged, port, &name, bind))
                .filter_chains
                .extend(chains);
        }
        // A listener without chains does not exist.
        let mut listeners: Vec<Listener> =
            by_name.into_values().filter(|listener| !listener.filter_chains.is_empty()).collect();
        for listener in &mut listeners {
            let inspects = listener
                .filter_chains
                .iter()
                .any(|chain| !chain.matcher.server_names.is_empty() || chain.tls.is_some());
            listener.listener_filters.tls_inspector = inspects.then(Inspector::default);
        }
        let routes =
            merged.routes.keys().map(|name| http_routes::configuration(self, merged, name)).collect();
        GatewayConfig { listeners, routes }
    }

    fn listener(&self, merged: &Merged<'_>, port: &MergedPort, name: &str, bind: &str) -> Listener {
        let first = port.servers.first().and_then(|&at| merged.servers.get(at));
        let proxy_protocol = self
            .cx
            .proxy
            .config
            .gateway_topology
            .as_ref()
            .is_some_and(|topology| topology.proxy_protocol.is_some());
        Listener {
            name: name.into(),
            ip: bind.parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified()),
            port: port.key.number,
            pipe: None,
            direction: TrafficDirection::Outbound,
            bind_to_port: true,
            use_original_dst: false,
            listener_filters: ListenerFilters { proxy_protocol, ..ListenerFilters::default() },
            listener_filters_timeout_ns: INSPECTION_TIMEOUT_NS,
            filter_chains: Vec::new(),
            default_filter_chain: None,
            taints: Vec::new(),
            origin: self.tools().origins.id(first.map_or(Span::NONE, |server| server.written.origin)),
        }
    }

    fn chains(
        &self,
        merged: &Merged<'_>,
        port: &MergedPort,
        listener: &str,
        taken: &mut TakenSni,
    ) -> Vec<FilterChain> {
        let servers = || port.servers.iter().filter_map(|&at| merged.servers.get(at));
        if Protocol::parse(&port.key.protocol).is_http() {
            return servers()
                .next()
                .map(|first| self.plaintext_http(first, port, listener))
                .into_iter()
                .collect();
        }
        servers()
            .flat_map(|server| {
                if server.terminates_https() {
                    vec![self.https(server, listener)]
                } else {
                    l4::chains(self, server, port.key.number, taken)
                }
            })
            .collect()
    }

    /// One chain for all plaintext servers of a port.
    fn plaintext_http(&self, first: &Server<'_>, port: &MergedPort, listener: &str) -> FilterChain {
        let protocol = Protocol::parse(&port.key.protocol);
        let manager =
            self.connection_manager(format!("outbound_{listener};"), &port.route_name, protocol, first);
        FilterChain {
            name: "".into(),
            matcher: FilterChainMatch::default(),
            tls: None,
            network_filters: Vec::new(),
            terminal: Terminal::Http(Box::new(manager)),
            taints: Vec::new(),
            origin: self.tools().origins.id(first.written.origin),
        }
    }

    fn https(&self, server: &Server<'_>, listener: &str) -> FilterChain {
        let (tls, taints) = tls::terminate(self, server).unzip();
        let prefix = match server.written.name.as_str() {
            "" => format!("outbound_{listener};"),
            name => name.to_owned(),
        };
        let manager = self.connection_manager(prefix, &server.route_name, server.protocol, server);
        FilterChain {
            name: "".into(),
            matcher: l4::sni_match(&server.sni_hosts()),
            tls,
            network_filters: Vec::new(),
            terminal: Terminal::Http(Box::new(manager)),
            taints: taints.unwrap_or_default(),
            origin: self.tools().origins.id(server.written.origin),
        }
    }

    fn connection_manager(
        &self,
        stat_prefix: String,
        route_name: &str,
        protocol: Protocol,
        server: &Server<'_>,
    ) -> HttpConnectionManager {
        let origins = &self.tools().origins;
        let mut security = self.filters.http.clone();
        if protocol == Protocol::GrpcWeb {
            let place = server.written.port.as_ref().map_or(server.written.origin, |port| port.origin);
            security.push(http_connection_manager::grpc_web(origins, place));
        }
        let parts = Parts {
            class: Class::Gateway,
            stat_prefix: Str::from(stat_prefix),
            routes: RouteSpecifier::Rds(route_name.into()),
            security,
            origin: origins.id(server.written.origin),
        };
        http_connection_manager::build(&self.cx.lowering.mesh.settings, &self.cx.proxy.config, parts)
    }
}
