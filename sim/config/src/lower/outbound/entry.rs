//! A listener in the making: filter chains collected from services, then turned into the IR (istiod:
//! `outboundListenerEntry`, `filterChainOpts`, `buildListenerFromEntry`; semantics: istio-networking 6.1, 6.3).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use mesh_core::ids::Taint;
use mesh_core::ir::{
    FilterChain, FilterChainMatch, Inspector, Listener, ListenerFilters, NetworkFilter, RouteSpecifier,
    Terminal, TrafficDirection, TransportProtocol,
};
use mesh_core::{OriginId, Str};

use super::tcp::TcpChain;
use crate::lower::Ctx;
use crate::lower::http_connection_manager::{self, Class, Parts};
use crate::mesh::protocol::Protocol;
use crate::mesh::service::UNSPECIFIED_IP;

/// What the HTTP inspector calls plaintext HTTP.
pub(super) const PLAINTEXT_HTTP: [&str; 2] = ["http/1.1", "h2c"];

/// A filter chain in the making.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub sni: Vec<String>,
    pub cidrs: Vec<String>,
    /// Plaintext HTTP found by the inspector.
    pub sniffed_http: bool,
    pub terminal: ChainTerminal,
    pub origin: OriginId,
}

/// What ends a chain.
#[derive(Debug, Clone)]
pub(super) enum ChainTerminal {
    /// Routes of that name.
    Http { routes: Str, grpc_web: Option<crate::source::Span> },
    /// A TCP proxy.
    Tcp(TcpChain),
}

/// A listener in the making.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// IP address or `unix://…`.
    pub bind: String,
    pub bind_to_port: bool,
    pub port: u16,
    /// [`Protocol::Auto`] once HTTP and TCP chains stand side by side.
    pub protocol: Protocol,
    /// Made by an egress listener with a port: later ones add nothing.
    pub locked: bool,
    pub chains: Vec<Chain>,
    pub origin: OriginId,
}

impl Chain {
    /// Whether the chain takes everything.
    pub(super) fn is_match_all(&self) -> bool {
        (self.sni.is_empty() || self.sni.iter().any(|s| s == "*"))
            && !self.sniffed_http
            && self.cidrs.is_empty()
    }

    /// Whether two chains have the same conditions, written in whatever way.
    pub(super) fn conflicts_with(&self, other: &Chain) -> bool {
        let sni =
            |chain: &Chain| -> BTreeSet<String> { chain.sni.iter().filter(|s| *s != "*").cloned().collect() };
        self.sniffed_http == other.sniffed_http
            && sni(self) == sni(other)
            && self.prefixes() == other.prefixes()
    }

    /// Destination prefixes without their host bits; the wildcard address restricts nothing.
    fn prefixes(&self) -> BTreeSet<IpNet> {
        self.cidrs.iter().filter_map(|c| prefix(c)).map(|net| net.trunc()).collect()
    }

    fn matcher(&self) -> FilterChainMatch {
        if self.is_match_all() {
            return FilterChainMatch::default();
        }
        let mut server_names = self.sni.clone();
        if server_names.iter().any(|s| s == "*") {
            server_names.clear();
        }
        server_names.sort();
        let mut cidrs = self.cidrs.clone();
        cidrs.sort();
        FilterChainMatch {
            destination_port: None,
            prefix_ranges: cidrs.iter().filter_map(|c| prefix(c)).collect(),
            server_names: server_names.into_iter().map(Into::into).collect(),
            transport_protocol: self.sniffed_http.then_some(TransportProtocol::RawBuffer),
            application_protocols: if self.sniffed_http {
                PLAINTEXT_HTTP.iter().map(|&p| p.into()).collect()
            } else {
                Vec::new()
            },
        }
    }
}

/// An address or CIDR; `None` for the wildcard address and for what is neither.
fn prefix(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))?;
    (net.addr().to_string() != UNSPECIFIED_IP).then_some(net)
}

impl Entry {
    /// The listener. `fallthrough` takes what no chain takes, unless some chain takes everything.
    pub(super) fn into_listener(self, cx: &Ctx<'_>, fallthrough: Option<&TcpChain>) -> Listener {
        let name = format!("{}_{}", self.bind, self.port);
        let sniffs = self.chains.iter().any(|c| c.sniffed_http);
        let listener_filters = ListenerFilters {
            tls_inspector: self.chains.iter().any(|c| !c.sni.is_empty()).then(Inspector::default),
            http_inspector: sniffs.then(Inspector::default),
            proxy_protocol: false,
        };
        let timeout = cx.lowering.mesh.settings.protocol_detection_timeout.ns;
        let mut filter_chains = Vec::new();
        let mut default_filter_chain = None;
        for chain in &self.chains {
            let built = build_chain(cx, chain, &name);
            // What takes everything must be the fallback, or it would be cut off by chains that match better.
            if chain.is_match_all() {
                default_filter_chain = Some(built);
            } else {
                filter_chains.push(built);
            }
        }
        match (default_filter_chain.take(), filter_chains.is_empty()) {
            (Some(only), true) => filter_chains.push(only),
            (Some(default), false) => default_filter_chain = Some(default),
            (None, _) => {
                default_filter_chain = fallthrough.map(|tcp| tcp_chain("PassthroughFilterChain", tcp));
            }
        }
        let pipe = self.bind.strip_prefix("unix://").map(Into::into);
        Listener {
            ip: self.bind.parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified()),
            name: name.into(),
            port: self.port,
            pipe,
            direction: TrafficDirection::Outbound,
            bind_to_port: self.bind_to_port,
            use_original_dst: false,
            listener_filters,
            listener_filters_timeout_ns: if sniffs { u64::try_from(timeout).unwrap_or(0) } else { 0 },
            filter_chains,
            default_filter_chain,
            taints: Vec::new(),
            origin: self.origin,
        }
    }
}

fn build_chain(cx: &Ctx<'_>, chain: &Chain, listener: &str) -> FilterChain {
    let mut out = match &chain.terminal {
        ChainTerminal::Tcp(tcp) => tcp_chain("", tcp),
        ChainTerminal::Http { routes, grpc_web } => FilterChain {
            name: "".into(),
            matcher: FilterChainMatch::default(),
            tls: None,
            network_filters: Vec::new(),
            terminal: Terminal::Http(Box::new(http_connection_manager::build(
                &cx.lowering.mesh.settings,
                &cx.proxy.config,
                Parts {
                    class: Class::SidecarOutbound,
                    stat_prefix: format!("outbound_{listener};").into(),
                    routes: RouteSpecifier::Rds(routes.clone()),
                    security: grpc_web
                        .iter()
                        .map(|span| http_connection_manager::grpc_web(&cx.lowering.tools.origins, *span))
                        .collect(),
                    origin: chain.origin,
                },
            ))),
            taints: Vec::new(),
            origin: chain.origin,
        },
    };
    out.matcher = chain.matcher();
    out.origin = chain.origin;
    out
}

/// A chain that ends in a TCP proxy, without conditions.
pub(super) fn tcp_chain(name: &str, tcp: &TcpChain) -> FilterChain {
    FilterChain {
        name: name.into(),
        matcher: FilterChainMatch::default(),
        tls: None,
        network_filters: tcp.network_filters.clone(),
        terminal: Terminal::Tcp(tcp.proxy.clone()),
        taints: Vec::<Taint>::new(),
        origin: tcp.proxy.origin,
    }
}

/// Network filters that only watch.
pub(super) fn observer(name: &str) -> NetworkFilter {
    NetworkFilter::Observer(name.into())
}
