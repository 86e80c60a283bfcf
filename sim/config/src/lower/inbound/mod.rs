//! The receiving side of a sidecar: `virtualInbound` with its chains (semantics: istio-networking 6.5).
//!
//! `site` says which ports there are, `chain_match` which chains a port has, `chains` builds them, `listener_filters`
//! derives the inspectors, `clusters` has the way to the application. VirtualServices and most of DestinationRules never apply here.

mod chain_match;
mod chains;
mod clusters;
mod listener_filters;
mod site;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use mesh_core::OriginId;
use mesh_core::ir::{Cluster, FilterChain, FilterChainMatch, Listener, Terminal, TrafficDirection};

pub use chain_match::ALL_ISTIO;
pub use site::{Target, targets};

use self::chains::{Builder, OwnTls, tcp_proxy};
use self::site::{ChainConfig, Site};
use crate::lower::origin::OriginTable;
use crate::lower::security::filters::SecurityFilters;
use crate::lower::{Ctx, server_tls};

/// Where traffic to undeclared ports goes.
pub const PASSTHROUGH_CLUSTER: &str = "InboundPassthroughCluster";
/// The listener, and the TCP passthrough chains.
pub const VIRTUAL_INBOUND: &str = "virtualInbound";
const BLACK_HOLE: &str = "BlackHoleCluster";

/// The receiving side of a sidecar.
#[derive(Debug)]
pub struct Inbound {
    /// `virtualInbound` where traffic is captured, then those bound for real.
    pub listeners: Vec<Listener>,
    /// Towards the application.
    pub clusters: Vec<Cluster>,
}

/// Translates the receiving side of a sidecar.
#[must_use]
pub fn lower(cx: &Ctx<'_>) -> Inbound {
    let mesh = &cx.lowering.mesh;
    let targets = site::targets(cx);
    let modes = cx.lowering.indexes.peer_authentication.effective(cx.namespace(), cx.labels());
    let sidecar = cx.scope.sidecar.as_deref().filter(|sidecar| !sidecar.spec.ingress.is_empty());
    let site = Site {
        settings: &mesh.settings,
        config: &cx.proxy.config,
        ip: cx.ip(),
        interception: cx.proxy.capture.mode,
        targets: &targets,
        ingress: sidecar.map(|sidecar| (&sidecar.meta, &sidecar.spec)),
        namespace: cx.namespace(),
        modes: &modes,
    };
    let builder = Builder {
        site,
        origins: &cx.lowering.tools.origins,
        filters: &SecurityFilters::new(cx),
        trust_domains: &cx.lowering.indexes.accepted_domains,
        own_tls: &own_tls(cx, site),
    };
    Inbound { listeners: listeners(builder), clusters: clusters::clusters(cx, site) }
}

/// TLS of the Sidecar's ingress listeners, where istiod is told to honour it.
fn own_tls(cx: &Ctx<'_>, site: Site<'_>) -> BTreeMap<u16, OwnTls> {
    let mut out = BTreeMap::new();
    if !site.settings.features.tls_on_sidecar_ingress {
        return out;
    }
    for listener in site.ingress.iter().flat_map(|(_, sidecar)| &sidecar.ingress) {
        if let (Some(port), Some(tls)) = (&listener.port, &listener.tls)
            && let Ok(number) = u16::try_from(port.number)
        {
            let alpn = vec!["h2".into(), "http/1.1".into()];
            out.entry(number).or_insert_with(|| server_tls::context(cx, tls, &[], alpn));
        }
    }
    out
}

fn listeners(builder: Builder<'_>) -> Vec<Listener> {
    let Builder { site, origins, .. } = builder;
    let mut chains = vec![black_hole(site)];
    chains.extend(site.passthrough().iter().flat_map(|config| builder.chains(config)));
    let mut bound = Vec::new();
    for config in site.declared() {
        let own = builder.chains(&config);
        if config.bind_to_port {
            bound.push(bound_listener(site, &config, own, origins));
        } else {
            chains.extend(own);
        }
    }
    if !site.captured() {
        return bound;
    }
    let port = u16::try_from(site.settings.proxy_inbound_listen_port).unwrap_or(15006);
    let mut out = vec![listener(site, VIRTUAL_INBOUND.into(), None, port, chains, OriginId::NONE)];
    out.append(&mut bound);
    out
}

fn bound_listener(
    site: Site<'_>,
    config: &ChainConfig,
    chains: Vec<FilterChain>,
    origins: &OriginTable,
) -> Listener {
    let ip = config.bind.parse().ok().filter(|ip: &std::net::IpAddr| !ip.is_unspecified());
    listener(site, config.name(false).into(), ip, config.target_port, chains, origins.id(config.origin))
}

fn listener(
    site: Site<'_>,
    name: mesh_core::Str,
    ip: Option<std::net::IpAddr>,
    port: u16,
    filter_chains: Vec<FilterChain>,
    origin: OriginId,
) -> Listener {
    Listener {
        name,
        ip,
        port,
        pipe: None,
        direction: TrafficDirection::Inbound,
        bind_to_port: true,
        use_original_dst: false,
        listener_filters: listener_filters::derive(&filter_chains),
        listener_filters_timeout_ns: u64::try_from(site.settings.protocol_detection_timeout.ns).unwrap_or(0),
        filter_chains,
        default_filter_chain: None,
        taints: Vec::new(),
        origin,
    }
}

/// Connections to the capture port itself would loop.
fn black_hole(site: Site<'_>) -> FilterChain {
    FilterChain {
        name: "virtualInbound-blackhole".into(),
        matcher: FilterChainMatch {
            destination_port: u16::try_from(site.settings.proxy_inbound_listen_port).ok(),
            ..FilterChainMatch::default()
        },
        tls: None,
        network_filters: Vec::new(),
        terminal: Terminal::Tcp(tcp_proxy(BLACK_HOLE.into(), BLACK_HOLE.into(), OriginId::NONE)),
        taints: Vec::new(),
        origin: OriginId::NONE,
    }
}
