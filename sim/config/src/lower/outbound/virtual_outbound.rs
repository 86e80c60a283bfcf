//! Where connections without a listener of their own end (istiod: `buildVirtualOutboundListener`, `buildHTTPProxy`;
//! semantics: istio-networking 5.4, 6.4).

use mesh_core::ir::{FilterChainMatch, Inspector, Listener, ListenerFilters, Terminal, TrafficDirection};
use mesh_core::{OriginId, Str};

use super::entry::{Chain, ChainTerminal, Entry, PLAINTEXT_HTTP, tcp_chain};
use super::routes::catch_all_configuration;
use super::tcp::{self, TcpChain};
use crate::lower::Ctx;
use crate::lower::http_connection_manager::{self, Class, Parts};
use crate::lower::virtual_service::destination::destination_cluster;
use crate::mesh::protocol::Protocol;
use crate::resource::mesh_config::MeshOutboundTrafficMode as Mode;
use crate::resource::proxy_config::InterceptionMode;

/// Passes connections to where they wanted to go.
pub(super) const PASSTHROUGH: &str = "PassthroughCluster";
/// Has no hosts.
pub(super) const BLACKHOLE: &str = "BlackHoleCluster";

/// The cluster of unknown destinations.
pub(super) fn catch_all_cluster(cx: &Ctx<'_>) -> Str {
    let policy = &cx.scope.outbound_policy;
    match (policy.mode, &policy.egress_proxy) {
        (Mode::RegistryOnly, _) => BLACKHOLE.into(),
        (_, Some(proxy)) => destination_cluster(proxy, None, 0),
        (_, None) => PASSTHROUGH.into(),
    }
}

/// The chain of unknown destinations.
pub(super) fn catch_all(cx: &Ctx<'_>) -> TcpChain {
    tcp::built_in(cx, catch_all_cluster(cx), OriginId::NONE)
}

/// The listener that iptables redirects to; `None` for proxies without capture.
pub(super) fn listener(cx: &Ctx<'_>) -> Option<Listener> {
    if cx.proxy.capture.mode == InterceptionMode::None {
        return None;
    }
    let port = u16::try_from(cx.lowering.mesh.settings.proxy_listen_port).unwrap_or(0);
    let mut blackhole =
        tcp_chain("virtualOutbound-blackhole", &tcp::built_in(cx, BLACKHOLE.into(), OriginId::NONE));
    // Traffic to the capture port itself must not loop.
    blackhole.matcher.destination_port = Some(port);
    let mut filter_chains = vec![blackhole];
    let dynamic = cx.scope.outbound_policy.mode == Mode::AllowAnyDynamicDns;
    if dynamic {
        filter_chains.push(dynamic_http_chain(cx));
    }
    filter_chains.push(tcp_chain("virtualOutbound-catchall-tcp", &catch_all(cx)));
    Some(Listener {
        name: "virtualOutbound".into(),
        ip: None,
        port,
        pipe: None,
        direction: TrafficDirection::Outbound,
        bind_to_port: true,
        use_original_dst: true,
        listener_filters: ListenerFilters {
            http_inspector: dynamic.then(Inspector::default),
            ..ListenerFilters::default()
        },
        // Not set by istiod here: Envoy's own 15 s.
        listener_filters_timeout_ns: 15_000_000_000,
        filter_chains,
        default_filter_chain: None,
        taints: Vec::new(),
        origin: OriginId::NONE,
    })
}

/// Plaintext HTTP to unknown destinations, resolved by name.
fn dynamic_http_chain(cx: &Ctx<'_>) -> mesh_core::ir::FilterChain {
    let routes = catch_all_configuration(cx, "allow_any_dynamic_dns");
    let parts = Parts {
        class: Class::SidecarOutbound,
        stat_prefix: "outbound_virtualOutbound_allow_any_dynamic_dns;".into(),
        routes: mesh_core::ir::RouteSpecifier::Inline(Box::new(routes)),
        security: Vec::new(),
        origin: OriginId::NONE,
    };
    let manager = http_connection_manager::build(&cx.lowering.mesh.settings, &cx.proxy.config, parts);
    mesh_core::ir::FilterChain {
        name: "virtualOutbound-catchall-tcp-http".into(),
        matcher: FilterChainMatch {
            application_protocols: PLAINTEXT_HTTP.iter().map(|&p| p.into()).collect(),
            ..FilterChainMatch::default()
        },
        tls: None,
        network_filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        taints: Vec::new(),
        origin: OriginId::NONE,
    }
}

/// The explicit HTTP proxy (`meshConfig.proxyHttpPort`), on the loopback address.
pub(super) fn http_proxy(cx: &Ctx<'_>) -> Option<Listener> {
    let port = cx
        .metadata("HTTP_PROXY_PORT")
        .and_then(|text| text.parse().ok())
        .or_else(|| u16::try_from(cx.lowering.mesh.settings.proxy_http_port).ok())
        .filter(|&port| port != 0)?;
    let chain = Chain {
        sni: Vec::new(),
        cidrs: Vec::new(),
        sniffed_http: false,
        terminal: ChainTerminal::Http { routes: "http_proxy".into(), grpc_web: None },
        origin: OriginId::NONE,
    };
    let entry = Entry {
        bind: "127.0.0.1".to_owned(),
        bind_to_port: true,
        port,
        protocol: Protocol::HttpProxy,
        locked: false,
        chains: vec![chain],
        origin: OriginId::NONE,
    };
    Some(entry.into_listener(cx, None))
}
