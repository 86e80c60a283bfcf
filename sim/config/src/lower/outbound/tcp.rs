//! TCP proxies towards clusters, of sidecars and gateways alike (istiod: `buildOutboundNetworkFilters…`; semantics:
//! istio-networking 3.11, 4.4, 4.7, 4.9).

use mesh_core::ir::{NetworkFilter, TcpProxy};
use mesh_core::{OriginId, Str};

use super::entry::observer;
use crate::lower::Ctx;
use crate::lower::destination_rule::Consolidated;
use crate::lower::destination_rule::policy::hashes_source_ip;
use crate::lower::virtual_service::destination::destination_cluster;
use crate::lower::virtual_service::http::DestinationService;
use crate::mesh::protocol::Protocol;
use crate::mesh::service::Service;
use crate::resource::connection_pool::TcpSettings;
use crate::resource::meta::ObjectMeta;
use crate::resource::virtual_service::RouteDestination;

/// The filters of a chain that ends in a TCP proxy.
#[derive(Debug, Clone)]
pub struct TcpChain {
    /// Before the proxy.
    pub network_filters: Vec<NetworkFilter>,
    /// The proxy.
    pub proxy: TcpProxy,
}

/// What a destination lookup may know of a service: its only port and its alias target.
#[must_use]
pub fn destination_service(service: &Service) -> DestinationService<'_> {
    let only_port = match service.ports.as_slice() {
        [only] => u16::try_from(only.number).ok(),
        _ => None,
    };
    DestinationService { only_port, external_name: service.external_name.as_deref() }
}

/// A chain to the destinations of a TLS or TCP route (istiod: `buildOutboundNetworkFilters`). `None` if none is left.
#[must_use]
pub fn to_destinations(
    cx: &Ctx<'_>,
    routes: &[RouteDestination],
    vs: &ObjectMeta,
    port: u16,
    protocol: Protocol,
) -> Option<TcpChain> {
    let first = routes.first()?.destination.as_ref()?;
    let lookup = |host: &str| cx.scope.service(host).map(|s| destination_service(s));
    let rule = cx.scope.service(&first.host).and_then(|s| cx.rule(&s.host)).map(|rule| &**rule);
    if let [only] = routes {
        let cluster = destination_cluster(first, lookup(&first.host), port);
        return Some(single(cx, cluster, &first.subset, rule, protocol, only.origin));
    }
    let clusters: Vec<(Str, u32)> = routes
        .iter()
        .filter_map(|route| {
            let weight = u32::try_from(route.weight).ok().filter(|&w| w > 0)?;
            let destination = route.destination.as_ref()?;
            Some((destination_cluster(destination, lookup(&destination.host), port), weight))
        })
        .collect();
    if clusters.is_empty() {
        return None;
    }
    let origin = cx.lowering.tools.origins.id(routes.first()?.origin);
    let stat_prefix = format!("{}.{}", vs.name, vs.namespace);
    // Tunnel settings of subsets are ignored for weighted destinations.
    Some(chain(cx, stat_prefix.into(), clusters, "", rule, protocol, origin))
}

/// A chain to one cluster (istiod: `buildOutboundNetworkFiltersWithSingleDestination`).
#[must_use]
pub fn single(
    cx: &Ctx<'_>,
    cluster: Str,
    subset: &str,
    rule: Option<&Consolidated>,
    protocol: Protocol,
    origin: crate::source::Span,
) -> TcpChain {
    let origin = cx.lowering.tools.origins.id(origin);
    chain(cx, cluster.clone(), vec![(cluster, 0)], subset, rule, protocol, origin)
}

/// A bare TCP proxy to a built-in cluster.
#[must_use]
pub fn built_in(cx: &Ctx<'_>, cluster: Str, origin: OriginId) -> TcpChain {
    TcpChain {
        network_filters: Vec::new(),
        proxy: TcpProxy {
            stat_prefix: cluster.clone(),
            clusters: vec![(cluster, 0)],
            idle_timeout_ns: cx.idle_timeout_ns(),
            hash_source_ip: false,
            tunnel: None,
            origin,
        },
    }
}

fn chain(
    cx: &Ctx<'_>,
    stat_prefix: Str,
    clusters: Vec<(Str, u32)>,
    subset: &str,
    rule: Option<&Consolidated>,
    protocol: Protocol,
    origin: OriginId,
) -> TcpChain {
    let settings = rule.and_then(tcp_settings);
    let mut network_filters: Vec<NetworkFilter> = codec_observer(protocol).into_iter().collect();
    if let Some(settings) = settings.filter(|s| s.max_connection_duration.is_some()) {
        let taint =
            cx.lowering.tools.origins.taint("tcp.maxConnectionDuration of TCP connections", settings.origin);
        network_filters.push(NetworkFilter::Unmodelled(taint));
    }
    let idle = settings.and_then(|s| s.idle_timeout).map(|d| u64::try_from(d.ns).unwrap_or(0));
    let proxy = TcpProxy {
        stat_prefix,
        clusters,
        idle_timeout_ns: idle.or_else(|| cx.idle_timeout_ns()),
        hash_source_ip: rule.is_some_and(|rule| hashes_source_ip(rule, subset)),
        tunnel: rule.and_then(|rule| tunnel(rule, subset)),
        origin,
    };
    TcpChain { network_filters, proxy }
}

/// The parser in front of a TCP proxy, on both sides of a connection: Mongo's is on by default, those of Redis and MySQL
/// are off (istiod: `buildNetworkFiltersStack`).
#[must_use]
pub fn codec_observer(protocol: Protocol) -> Option<NetworkFilter> {
    (protocol == Protocol::Mongo).then(|| observer("envoy.filters.network.mongo_proxy"))
}

/// `connectionPool.tcp` of the top level; TCP proxies do not look at port levels and subsets.
fn tcp_settings(rule: &Consolidated) -> Option<&TcpSettings> {
    rule.rule.traffic_policy.as_deref()?.connection_pool.as_ref()?.tcp.as_ref()
}

/// `tunnel` of the subset, or of the top level for destinations without subset.
fn tunnel(rule: &Consolidated, subset: &str) -> Option<Str> {
    let policy = if subset.is_empty() {
        rule.rule.traffic_policy.as_deref()
    } else {
        rule.subset(subset)?.traffic_policy.as_deref()
    };
    let tunnel = policy?.tunnel.as_ref()?;
    let host = &tunnel.target_host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    Some(format!("{host}:{}", tunnel.target_port).into())
}
