//! TCP and TLS servers of gateways: chains that hand on bytes (istiod: `createGatewayTCPFilterChainOpts`;
//! semantics: istio-networking 7.5).

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::ir::{FilterChain, FilterChainMatch, NetworkFilter, Terminal};

use super::merge::{Server, claim};
use super::{Site, hosts, tls};
use crate::lower::destination_rule::Consolidated;
use crate::lower::inbound::ALL_ISTIO;
use crate::lower::outbound::tcp::{self, TcpChain};
use crate::lower::virtual_service::VirtualServiceConfig;
use crate::lower::virtual_service::l4::L4Context;
use crate::mesh::protocol::Protocol;
use crate::mesh::service::{Port, Service};
use crate::resource::tls::ServerTlsMode;

/// The resources istiod made a VirtualService of.
const PARENTS: &str = "internal.istio.io/parents";

/// SNI hosts that passthrough chains of a port have taken, with their bind.
pub(super) type TakenSni = BTreeMap<u16, BTreeMap<String, String>>;

/// The chains of a server without HTTP.
pub(super) fn chains(
    site: &Site<'_>,
    server: &Server<'_>,
    bound_port: u16,
    taken: &mut TakenSni,
) -> Vec<FilterChain> {
    if !server.is_passthrough() {
        return opaque(site, server).into_iter().collect();
    }
    let auto = server.written.tls.as_ref().is_some_and(|tls| tls.mode == ServerTlsMode::AutoPassthrough);
    if auto { by_cluster_name(site, server) } else { by_sni(site, server, bound_port, taken) }
}

/// VirtualServices bound to the server's Gateway whose hosts it serves.
fn bound<'a>(
    site: &'a Site<'_>,
    server: &'a Server<'_>,
) -> impl Iterator<Item = &'a Arc<VirtualServiceConfig>> {
    let index = &site.cx.lowering.indexes.virtual_services;
    let all = index.for_gateway(site.cx.namespace(), &server.gateway_name);
    all.into_iter().filter(|vs| {
        let written: Vec<&str> = vs.spec.hosts.iter().map(|host| host.value.as_str()).collect();
        hosts::any_match(&server.hosts, &written, &vs.meta.namespace)
    })
}

/// The first TCP route that is for this server; none leaves the server out. TLS is terminated first, if it has any.
fn opaque(site: &Site<'_>, server: &Server<'_>) -> Option<FilterChain> {
    let gateways = [server.gateway_name.as_str()];
    let context = L4Context { proxy: None, gateways: &gateways, port: server.port };
    let (vs, route) = bound(site, server).find_map(|vs| {
        let tcp = vs.spec.tcp.iter().find(|tcp| {
            !tcp.route.is_empty() && (tcp.match_.is_empty() || tcp.match_.iter().any(|m| context.tcp(m)))
        });
        let of_tls = || {
            let mut tls = vs.spec.tls.iter().filter(|_| is_tls_route(vs));
            tls.find(|tls| tls.match_.iter().any(|m| context.tls(m))).map(|tls| &tls.route)
        };
        Some((vs, tcp.map(|tcp| &tcp.route).or_else(of_tls)?))
    })?;
    let chain = tcp::to_destinations(site.cx, route, &vs.meta, server.port, server.protocol)?;
    let (network_filters, terminal) = with_policies(site, chain);
    let (tls, taints) = tls::terminate(site, server).unzip();
    let sni = server.sni_hosts();
    Some(FilterChain {
        name: "".into(),
        matcher: sni_match(&sni),
        tls,
        network_filters,
        terminal,
        taints: taints.unwrap_or_default(),
        origin: site.tools().origins.id(server.written.origin),
    })
}

/// A TLSRoute of the Gateway API: it has no TCP routes for servers that terminate, so its TLS routes serve them too.
fn is_tls_route(vs: &VirtualServiceConfig) -> bool {
    vs.meta.annotations.get(PARENTS).is_some_and(|parents| parents.starts_with("TLSRoute/"))
}

/// One chain per TLS match; an SNI that the port already has makes istiod skip the match.
fn by_sni(site: &Site<'_>, server: &Server<'_>, bound_port: u16, taken: &mut TakenSni) -> Vec<FilterChain> {
    let gateways = [server.gateway_name.as_str()];
    let context = L4Context { proxy: None, gateways: &gateways, port: server.port };
    let mut out = Vec::new();
    for vs in bound(site, server) {
        for route in vs.spec.tls.iter().filter(|tls| !tls.route.is_empty()) {
            for m in route.match_.iter().filter(|m| context.tls(m)) {
                let known = taken.entry(bound_port).or_default();
                if claim(known, &m.sni_hosts, &server.written.bind).is_err() {
                    continue;
                }
                let chain =
                    tcp::to_destinations(site.cx, &route.route, &vs.meta, server.port, server.protocol);
                let Some(chain) = chain else { continue };
                let (network_filters, terminal) = with_policies(site, chain);
                out.push(FilterChain {
                    name: "".into(),
                    matcher: sni_match(&m.sni_hosts),
                    tls: None,
                    network_filters,
                    terminal,
                    taints: Vec::new(),
                    origin: site.tools().origins.id(m.origin),
                });
            }
        }
    }
    out
}

/// AUTO_PASSTHROUGH: one chain per service port and subset that the server's hosts cover; the SNI is the cluster's name
/// in its DNS form, and only the mesh's own TLS gets in. No policies apply.
fn by_cluster_name(site: &Site<'_>, server: &Server<'_>) -> Vec<FilterChain> {
    let sni = server.sni_hosts();
    let mut out = Vec::new();
    for service in site.cx.scope.services.iter().filter(|service| !service.mesh_external) {
        let covered = sni.iter().any(|host| crate::lower::hosts::subset_of(&service.host, host));
        let rule = site.cx.rule(&service.host);
        for port in service.ports.iter().filter(|port| covered && port.protocol != Protocol::Udp) {
            out.push(sni_dnat_chain(site, server, service, port, rule.map(|r| &**r), ""));
            for subset in rule.iter().flat_map(|rule| &rule.rule.subsets) {
                out.push(sni_dnat_chain(site, server, service, port, rule.map(|r| &**r), &subset.name));
            }
        }
    }
    out
}

fn sni_dnat_chain(
    site: &Site<'_>,
    server: &Server<'_>,
    service: &Service,
    port: &Port,
    rule: Option<&Consolidated>,
    subset: &str,
) -> FilterChain {
    let cluster: Str = format!("outbound_.{}_.{subset}_.{}", port.number, service.host).into();
    let origin = site.tools().origins.id(server.written.origin);
    let mut chain = tcp::single(site.cx, cluster.clone(), subset, rule, port.protocol, server.written.origin);
    // Bytes of the client's own TLS are never wrapped into a tunnel.
    chain.proxy.tunnel = None;
    FilterChain {
        name: "".into(),
        matcher: FilterChainMatch {
            server_names: vec![cluster],
            application_protocols: ALL_ISTIO.iter().map(|&alpn| alpn.into()).collect(),
            ..FilterChainMatch::default()
        },
        tls: None,
        network_filters: chain.network_filters,
        terminal: Terminal::Tcp(chain.proxy),
        taints: Vec::new(),
        origin,
    }
}

/// Policies of the gateway in front of what the chain brings itself.
fn with_policies(site: &Site<'_>, chain: TcpChain) -> (Vec<NetworkFilter>, Terminal) {
    let mut filters = site.filters.tcp.clone();
    filters.extend(chain.network_filters);
    (filters, Terminal::Tcp(chain.proxy))
}

/// A star among the hosts matches every SNI, and none.
pub(super) fn sni_match(hosts: &[String]) -> FilterChainMatch {
    let mut names: Vec<Str> = hosts.iter().map(|host| host.as_str().into()).collect();
    if hosts.iter().any(|host| host == "*") {
        names.clear();
    }
    names.sort();
    FilterChainMatch { server_names: names, ..FilterChainMatch::default() }
}
