//! Where a route sends requests, and what it does to them on the way (istiod: `applyHTTPRouteDestination`,
//! `GetDestinationCluster`; semantics: istio-networking 3.7, 3.8, 4.4).

use mesh_core::Str;
use mesh_core::ir::{
    ClusterSpecifier, Forward, HashPolicy, HostRewrite, Mirror, PathRewrite, Route, RouteAction,
    WeightedCluster,
};

use super::filters::per_million;
use super::headers;
use super::http::{DestinationService, RouteContext};
use super::retry::{self, nanos};
use super::{RouteSemantics, VirtualServiceConfig};
use crate::lower::regexes::quote_meta;
use crate::resource::http_route::{Destination, HttpRewrite, HttpRoute, HttpRouteDestination};
use crate::resource::load_balancer::ConsistentHashLb;

/// Cluster name of a direction, port, subset and host (semantics: istio-networking 11).
#[must_use]
pub fn cluster_name(port: u16, subset: &str, host: &str) -> Str {
    cluster_name_text(port, subset, host).into()
}

fn cluster_name_text(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// The cluster of a destination: its port, else the only port of its service, else the listener's.
#[must_use]
pub fn destination_cluster(
    destination: &Destination,
    service: Option<DestinationService<'_>>,
    listen_port: u16,
) -> Str {
    cluster_text(destination, service, listen_port).into()
}

fn cluster_text(
    destination: &Destination,
    service: Option<DestinationService<'_>>,
    listen_port: u16,
) -> String {
    if destination.host.is_empty() {
        return "UnknownService".to_owned();
    }
    let host = service.and_then(|s| s.external_name).unwrap_or(&destination.host);
    let port = match &destination.port {
        Some(port) => u16::try_from(port.number).unwrap_or(0),
        None => service.and_then(|s| s.only_port).unwrap_or(listen_port),
    };
    cluster_name_text(port, &destination.subset, host)
}

/// Fills in the forward action of a route; headers of a single destination go to the route itself.
pub(super) fn apply(
    cx: &RouteContext<'_>,
    vs: &VirtualServiceConfig,
    http: &HttpRoute,
    authority: Option<String>,
    route: &mut Route,
) {
    let rewrite = http.rewrite.as_ref();
    let authority = rewrite
        .map(|r| r.authority.as_str())
        .filter(|a| !a.is_empty())
        .map(str::to_owned)
        .or(authority)
        .filter(|a| !a.is_empty());
    let timeout_ns = http.timeout.as_ref().map_or(0, |t| nanos(t.value));
    let mut forward = Forward {
        cluster: ClusterSpecifier::Weighted(Vec::new()),
        cluster_not_found_status: if vs.semantics == RouteSemantics::GatewayApi { 500 } else { 503 },
        timeout_ns,
        max_grpc_timeout_ns: Some(timeout_ns),
        max_stream_duration_ns: None,
        retry: None,
        path_rewrite: rewrite.map_or(PathRewrite::Keep, |r| path_rewrite(cx, vs, r, route)),
        host_rewrite: authority.map_or(HostRewrite::Keep, |a| HostRewrite::Literal(a.into())),
        mirrors: mirrors(cx, http),
        hash_policy: Vec::new(),
    };
    let mut hashed = false;
    if let [only] = http.route.as_slice() {
        hashed = single(cx, only, &mut forward, route);
    } else {
        // Absent weights are 0, and 0 is never chosen.
        let used = http.route.iter().filter(|d| d.weight != 0);
        let mut clusters = Vec::with_capacity(http.route.len());
        clusters.extend(used.map(|d| weighted(cx, d, &mut forward.hash_policy)));
        forward.cluster = ClusterSpecifier::Weighted(clusters);
    }
    forward.retry = match &http.retries {
        Some(written) => retry::outbound(&cx.tools.origins, Some(written), hashed),
        None => cx.default_retry.get(hashed),
    };
    route.action = RouteAction::Forward(Box::new(forward));
}

/// Returns whether the destination uses consistent hashing.
fn single(cx: &RouteContext<'_>, d: &HttpRouteDestination, forward: &mut Forward, route: &mut Route) -> bool {
    route.action_origin = cx.tools.origins.id(d.origin);
    forward.cluster = ClusterSpecifier::Cluster(cluster_of(cx, d.destination.as_ref()));
    let operations = headers::translate(d.headers.as_deref());
    headers::append(&mut route.headers, operations.mutations);
    if let (HostRewrite::Keep, Some(authority)) = (&forward.host_rewrite, operations.authority) {
        forward.host_rewrite = HostRewrite::Literal(authority.into());
    }
    let hash = d.destination.as_ref().and_then(cx.hash);
    forward.hash_policy.extend(hash.and_then(hash_policy));
    hash.is_some()
}

fn weighted(
    cx: &RouteContext<'_>,
    d: &HttpRouteDestination,
    hashes: &mut Vec<HashPolicy>,
) -> WeightedCluster {
    let operations = headers::translate(d.headers.as_deref());
    hashes.extend(d.destination.as_ref().and_then(cx.hash).and_then(hash_policy));
    WeightedCluster {
        name: cluster_of(cx, d.destination.as_ref()),
        weight: u32::try_from(d.weight).unwrap_or(0),
        headers: operations.mutations,
        host_rewrite: cx.tools.names.get(operations.authority.as_deref().unwrap_or_default()),
        origin: cx.tools.origins.id(d.origin),
    }
}

fn cluster_of(cx: &RouteContext<'_>, destination: Option<&Destination>) -> Str {
    match destination {
        Some(d) => cx.tools.names.get(&cluster_text(d, (cx.service)(&d.host), cx.listen_port)),
        None => "UnknownService".into(),
    }
}

fn path_rewrite(
    cx: &RouteContext<'_>,
    vs: &VirtualServiceConfig,
    rewrite: &HttpRewrite,
    route: &mut Route,
) -> PathRewrite {
    let regex = |pattern: &str, substitution: &str, route: &mut Route| match cx.tools.regexes.get(pattern) {
        Ok(regex) => PathRewrite::Regex(regex, substitution.into()),
        Err(why) => {
            let what = format!("regex `{pattern}`: {why}");
            route.taints.push(cx.tools.origins.taint(what, rewrite.origin));
            PathRewrite::Keep
        }
    };
    if let Some(r) = &rewrite.uri_regex_rewrite {
        return regex(&r.match_, &r.rewrite, route);
    }
    match (rewrite.uri.as_str(), &route.matcher.path) {
        ("", _) => PathRewrite::Keep,
        // Gateway API: removing a prefix must not leave `//`.
        ("/", mesh_core::ir::PathMatch::PathSeparatedPrefix(prefix))
            if vs.semantics == RouteSemantics::GatewayApi =>
        {
            let pattern = format!("^{}(/?)(.*)", quote_meta(prefix));
            regex(&pattern, r"/\2", route)
        }
        (uri, _) => PathRewrite::Prefix(uri.into()),
    }
}

/// Absent percentages mirror everything, an explicit 0 nothing.
fn mirrors(cx: &RouteContext<'_>, http: &HttpRoute) -> Vec<Mirror> {
    let mut out = Vec::new();
    if let Some(destination) = &http.mirror {
        let parts = match (http.mirror_percentage, http.mirror_percent) {
            (Some(percent), _) => percent.value > 0.0,
            (None, Some(percent)) => percent > 0,
            (None, None) => true,
        }
        .then(|| match (http.mirror_percentage, http.mirror_percent) {
            (Some(percent), _) => per_million(percent),
            (None, Some(percent)) => percent.saturating_mul(10_000),
            (None, None) => 1_000_000,
        });
        out.extend(parts.map(|parts| mirror(cx, destination, parts, destination.origin)));
    }
    for policy in &http.mirrors {
        let parts = match policy.percentage {
            Some(percent) if percent.value > 0.0 => per_million(percent),
            Some(_) => continue,
            None => 1_000_000,
        };
        out.extend(policy.destination.as_ref().map(|d| mirror(cx, d, parts, policy.origin)));
    }
    out
}

fn mirror(cx: &RouteContext<'_>, d: &Destination, per_million: u32, origin: crate::source::Span) -> Mirror {
    let cluster = cluster_of(cx, Some(d));
    Mirror { cluster, per_million, origin: cx.tools.origins.id(origin) }
}

/// What a consistent hash hashes (istiod: `ConsistentHashToHashPolicy`).
#[must_use]
pub fn hash_policy(hash: &ConsistentHashLb) -> Option<HashPolicy> {
    if let Some(header) = &hash.http_header_name {
        return Some(HashPolicy::Header(header.to_ascii_lowercase().into()));
    }
    if let Some(cookie) = &hash.http_cookie {
        return Some(HashPolicy::Cookie {
            name: cookie.name.as_str().into(),
            ttl_ns: cookie.ttl.map(nanos),
            path: cookie.path.as_str().into(),
            attributes: cookie
                .attributes
                .iter()
                .map(|a| (a.name.as_str().into(), a.value.as_str().into()))
                .collect(),
        });
    }
    if let Some(source_ip) = hash.use_source_ip {
        // `useSourceIp: false` is a hash policy that hashes nothing.
        return source_ip.then_some(HashPolicy::SourceIp);
    }
    hash.http_query_parameter_name.as_ref().map(|name| HashPolicy::QueryParameter(name.as_str().into()))
}
