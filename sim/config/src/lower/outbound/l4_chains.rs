//! TLS and TCP chains of a service port on sidecars (istiod: `buildSidecarOutboundTLSFilterChainOpts`,
//! `buildSidecarOutboundTCPFilterChainOpts`; semantics: istio-networking 3.11).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::domains::alternative_hosts;
use super::entry::{Chain, ChainTerminal};
use super::tcp::{self, TcpChain};
use crate::lower::Ctx;
use crate::lower::hosts::is_wildcard;
use crate::lower::virtual_service::destination::cluster_name;
use crate::lower::virtual_service::l4::L4Context;
use crate::lower::virtual_service::{MESH_GATEWAY, VirtualServiceConfig};
use crate::mesh::service::{Port, Resolution, Service, UNSPECIFIED_IP};
use crate::resource::virtual_service::TlsMatchAttributes;
use crate::source::Span;

/// A service port for which chains are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServicePort<'a> {
    pub service: &'a Service,
    /// The listener's port: the service's, or that of a Sidecar egress listener.
    pub port: &'a Port,
    pub bind: &'a str,
    pub cidrs: &'a [String],
}

/// The chains of a TCP, TLS or detected port. `virtual_services` are those of the host in selection order.
pub(super) fn chains(
    cx: &Ctx<'_>,
    at: ServicePort<'_>,
    virtual_services: &[&Arc<VirtualServiceConfig>],
) -> Vec<Chain> {
    if at.port.protocol.is_tls() {
        tls_chains(cx, at, virtual_services)
    } else {
        tcp_chains(cx, at, virtual_services)
    }
}

impl ServicePort<'_> {
    fn number(&self) -> u16 {
        u16::try_from(self.port.number).unwrap_or(0)
    }

    fn l4<'a>(&self, cx: &'a Ctx<'_>) -> L4Context<'a> {
        let proxy = Some((cx.labels(), cx.namespace()));
        L4Context { proxy, gateways: &[MESH_GATEWAY], port: self.number() }
    }

    /// The chain without VirtualService. A service with one port is reached there, whatever port a Sidecar listens on.
    fn default_chain(&self, cx: &Ctx<'_>) -> TcpChain {
        let port = match self.service.ports.as_slice() {
            [only] => u16::try_from(only.number).unwrap_or(0),
            _ => self.number(),
        };
        let cluster = cluster_name(port, "", &self.service.host);
        let rule = cx.rule(&self.service.host).map(|rule| &**rule);
        let mut chain = tcp::single(cx, cluster, "", rule, self.port.protocol, self.port.origin);
        if self.is_dynamic() {
            let what = "resolution: DYNAMIC_DNS of TLS connections";
            let taint = cx.lowering.tools.origins.taint(what, self.service.origin);
            chain.network_filters.push(mesh_core::ir::NetworkFilter::Unmodelled(taint));
        }
        chain
    }

    fn is_dynamic(&self) -> bool {
        is_wildcard(&self.service.host) && self.service.resolution == Resolution::DynamicDns
    }

    fn chain(&self, cx: &Ctx<'_>, sni: &[String], cidrs: &[String], tcp: TcpChain, origin: Span) -> Chain {
        Chain {
            sni: sni.to_vec(),
            cidrs: cidrs.to_vec(),
            sniffed_http: false,
            terminal: ChainTerminal::Tcp(tcp),
            origin: cx.lowering.tools.origins.id(origin),
        }
    }
}

fn tls_chains(
    cx: &Ctx<'_>,
    at: ServicePort<'_>,
    virtual_services: &[&Arc<VirtualServiceConfig>],
) -> Vec<Chain> {
    let mut out = Vec::new();
    let mut handled: BTreeSet<(Vec<String>, Vec<String>)> = BTreeSet::new();
    // istiod keeps the subnets of one match for all later ones that have none.
    let mut cidrs = at.cidrs.to_vec();
    let l4 = at.l4(cx);
    for vs in virtual_services {
        for tls in vs.spec.tls.iter().filter(|tls| !tls.route.is_empty()) {
            for m in tls.match_.iter().filter(|m| l4.tls(m)) {
                if !m.destination_subnets.is_empty() && at.number() > 0 {
                    cidrs.clone_from(&m.destination_subnets);
                }
                if !handled.insert(runtime_predicates(m)) {
                    continue;
                }
                let chain = tcp::to_destinations(cx, &tls.route, &vs.meta, at.number(), at.port.protocol);
                out.extend(chain.map(|tcp| at.chain(cx, &m.sni_hosts, &cidrs, tcp, m.origin)));
            }
        }
    }
    if out.is_empty() {
        let sni = default_sni(cx, at, &cidrs);
        out.push(at.chain(cx, &sni, &cidrs, at.default_chain(cx), at.port.origin));
    }
    out
}

fn runtime_predicates(m: &TlsMatchAttributes) -> (Vec<String>, Vec<String>) {
    (m.sni_hosts.clone(), m.destination_subnets.clone())
}

/// SNI tells services apart only where the listener's address does not.
fn default_sni(cx: &Ctx<'_>, at: ServicePort<'_>, cidrs: &[String]) -> Vec<String> {
    let address = if at.service.address.contains('/') { "" } else { at.service.address.as_str() };
    let shared = address == UNSPECIFIED_IP && at.bind == UNSPECIFIED_IP;
    if cidrs.is_empty() && !address.is_empty() && !shared && !at.is_dynamic() {
        return Vec::new();
    }
    let mut sni = vec![at.service.host.clone()];
    for alias in &at.service.aliases {
        sni.push(alias.host.clone());
        sni.extend(alternative_hosts(&alias.host, None, cx.namespace(), cx.domain()));
    }
    sni
}

/// VirtualServices in order until a route takes every destination address.
fn tcp_chains(
    cx: &Ctx<'_>,
    at: ServicePort<'_>,
    virtual_services: &[&Arc<VirtualServiceConfig>],
) -> Vec<Chain> {
    let mut out = Vec::new();
    let mut covered = false;
    let l4 = at.l4(cx);
    for vs in virtual_services {
        for route in vs.spec.tcp.iter().filter(|route| !route.route.is_empty()) {
            let build = || tcp::to_destinations(cx, &route.route, &vs.meta, at.number(), at.port.protocol);
            let mut subnets: Vec<String> = Vec::new();
            let mut terminal = route.match_.is_empty().then_some(route.origin);
            for m in route.match_.iter().filter(|m| l4.tcp(m)) {
                if m.destination_subnets.is_empty() || at.number() == 0 {
                    terminal = Some(m.origin);
                    break;
                }
                subnets.extend(m.destination_subnets.iter().cloned());
            }
            if let Some(origin) = terminal {
                out.extend(build().map(|tcp| at.chain(cx, &[], at.cidrs, tcp, origin)));
                return out;
            }
            if !subnets.is_empty() {
                subnets.sort();
                let mut own = at.cidrs.to_vec();
                own.sort();
                covered |= subnets == own;
                out.extend(build().map(|tcp| at.chain(cx, &[], &subnets, tcp, route.origin)));
            }
        }
    }
    if !covered {
        out.push(at.chain(cx, &[], at.cidrs, at.default_chain(cx), at.port.origin));
    }
    out
}
