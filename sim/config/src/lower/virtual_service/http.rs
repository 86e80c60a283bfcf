//! The HTTP routes of a VirtualService for one proxy and port (istiod: `BuildHTTPRoutesForVirtualService`,
//! `TranslateRoute`; semantics: istio-networking 3.5).

use std::collections::BTreeMap;

use mesh_core::ids::Taint;
use mesh_core::ir::{
    ClusterSpecifier, DirectResponse, PathMatch, Redirect, RedirectPath, Route, RouteAction,
};

use super::VirtualServiceConfig;
use super::destination;
use super::filters;
use super::headers;
use super::matcher;
use super::retry::DefaultRetries;
use crate::lower::Tools;
use crate::resource::http_match::HttpMatchRequest;
use crate::resource::http_route::{
    Destination, HttpDirectResponse, HttpRedirect, HttpRoute, RedirectPortSelection,
};
use crate::resource::load_balancer::ConsistentHashLb;

/// What a destination's service says about the cluster name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestinationService<'a> {
    /// The port, if the service (as far as this lookup sees it) has exactly one.
    pub only_port: Option<u16>,
    /// The target of an ExternalName service, whose cluster is used instead.
    pub external_name: Option<&'a str>,
}

/// For whom and where routes are made.
pub struct RouteContext<'a> {
    /// Origins and regexes.
    pub tools: &'a Tools,
    /// Labels of the proxy.
    pub proxy_labels: &'a BTreeMap<String, String>,
    /// Namespace of the proxy.
    pub proxy_namespace: &'a str,
    /// `mesh`, or the gateways (`ns/name`) of the server.
    pub gateways: &'a [&'a str],
    /// Service port on sidecars, server port on gateways.
    pub listen_port: u16,
    /// The server terminates TLS: redirects keep `https` unless told otherwise.
    pub tls: bool,
    /// Services as the routes see them: on sidecars only those of the listener's port, trimmed to it.
    pub service: &'a dyn Fn(&str) -> Option<DestinationService<'a>>,
    /// The consistent hash of a destination's DestinationRule.
    pub hash: &'a dyn Fn(&Destination) -> Option<&'a ConsistentHashLb>,
    /// Retries of routes that say nothing.
    pub default_retry: &'a DefaultRetries,
}

/// The routes of a VirtualService, in order. None means that it does not count for this proxy, port and gateway.
#[must_use]
pub fn routes(cx: &RouteContext<'_>, vs: &VirtualServiceConfig) -> Vec<Route> {
    let mut out = Vec::with_capacity(vs.spec.http.len());
    for http in &vs.spec.http {
        if http.match_.is_empty() {
            out.push(translate(cx, vs, http, None));
            return out;
        }
        for m in &http.match_ {
            if !applies(cx, m) {
                continue;
            }
            let route = translate(cx, vs, http, Some(m));
            let ends = matcher::is_catch_all(&route.matcher);
            out.push(route);
            if ends {
                return out;
            }
        }
    }
    out
}

/// The static part of a match. With `gateways` given, source labels and namespace are not looked at.
fn applies(cx: &RouteContext<'_>, m: &HttpMatchRequest) -> bool {
    if m.port != 0 && m.port != u32::from(cx.listen_port) {
        return false;
    }
    if !m.gateways.is_empty() {
        return m.gateways.iter().any(|g| cx.gateways.contains(&g.as_str()));
    }
    super::labels_subset(&m.source_labels, cx.proxy_labels)
        && (m.source_namespace.is_empty() || m.source_namespace == cx.proxy_namespace)
}

fn translate(
    cx: &RouteContext<'_>,
    vs: &VirtualServiceConfig,
    http: &HttpRoute,
    m: Option<&HttpMatchRequest>,
) -> Route {
    let name = match m {
        Some(m) if !m.name.is_empty() => cx.tools.names.get(&format!("{}.{}", http.name, m.name)),
        _ => cx.tools.names.get(&http.name),
    };
    let matched = matcher::translate(cx.tools, m, vs.semantics);
    let operations = headers::translate(http.headers.as_deref());
    let mut route = Route {
        name,
        matcher: matched.matcher,
        action: RouteAction::None,
        headers: operations.mutations,
        fault: None,
        cors: None,
        decorator: cx.tools.names.get(""),
        taints: matched.taints,
        origin: cx.tools.origins.id(m.map_or(http.origin, |m| m.origin)),
        action_origin: cx.tools.origins.id(http.origin),
    };
    if let Some(redirect) = &http.redirect {
        route.action_origin = cx.tools.origins.id(redirect.origin);
        route.action = translate_redirect(cx, redirect);
    } else if let Some(direct) = &http.direct_response {
        route.action_origin = cx.tools.origins.id(direct.origin);
        route.action = RouteAction::DirectResponse(direct_response(cx.tools, direct, &mut route.taints));
    } else {
        destination::apply(cx, vs, http, operations.authority, &mut route);
    }
    route.decorator = cx.tools.names.get(&decorator(&route, &vs.meta.name, cx.listen_port));
    route.fault =
        http.fault.as_ref().and_then(|f| filters::fault(cx.tools, f, &mut route.taints)).map(Box::new);
    route.cors = http.cors_policy.as_ref().map(|c| Box::new(filters::cors(cx.tools, c, &mut route.taints)));
    if let Some(operator) = headers::unmodelled(&route) {
        let what = format!("the operator %{operator}% in a header value");
        route.taints.push(cx.tools.origins.taint(what, http.origin));
    }
    route
}

/// The operation name of traces, which Envoy also sends upstream as a header (istiod: `GetRouteOperation`).
fn decorator(route: &Route, vs_name: &str, listen_port: u16) -> String {
    let (path, star) = match &route.matcher.path {
        PathMatch::Prefix(prefix) => (prefix.as_ref(), "*"),
        PathMatch::Path(path) => (path.as_ref(), ""),
        PathMatch::Regex(regex) => (regex.source(), ""),
        PathMatch::PathSeparatedPrefix(_) => ("/*", ""),
    };
    if let RouteAction::Forward(forward) = &route.action
        && let ClusterSpecifier::Cluster(cluster) = &forward.cluster
    {
        let mut parts = cluster.split('|');
        if let (Some(_), Some(port), Some(_), Some(host), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        {
            return format!("{host}:{port}{path}{star}");
        }
    }
    format!("{vs_name}:{listen_port}{path}{star}")
}

/// Codes that Envoy has no redirect for leave a route without action (istiod: `ApplyRedirect`).
fn translate_redirect(cx: &RouteContext<'_>, redirect: &HttpRedirect) -> RouteAction {
    let status = match redirect.redirect_code {
        0 | 301 => 301,
        302 => 302,
        303 => 303,
        307 => 307,
        308 => 308,
        _ => return RouteAction::None,
    };
    let path = if !redirect.prefix_rewrite.is_empty() {
        RedirectPath::Prefix(redirect.prefix_rewrite.as_str().into())
    } else if !redirect.uri.is_empty() {
        RedirectPath::Full(redirect.uri.as_str().into())
    } else {
        RedirectPath::Keep
    };
    let mut port = match (redirect.port, redirect.derive_port) {
        (Some(port), _) => u16::try_from(port).unwrap_or(0),
        (None, Some(RedirectPortSelection::FromRequestPort)) => cx.listen_port,
        (None, _) => 0,
    };
    let scheme = match redirect.scheme.as_str() {
        "" if cx.tls => "https",
        "" => "http",
        scheme => scheme,
    };
    if matches!((port, scheme), (80, "http") | (443, "https")) {
        port = 0;
    }
    RouteAction::Redirect(Box::new(Redirect {
        status,
        host: redirect.authority.as_str().into(),
        path,
        scheme: redirect.scheme.as_str().into(),
        https: false,
        port,
        strip_query: false,
    }))
}

fn direct_response(tools: &Tools, direct: &HttpDirectResponse, taints: &mut Vec<Taint>) -> DirectResponse {
    let status = u16::try_from(direct.status).unwrap_or(0);
    let Some(body) = &direct.body else { return DirectResponse { status, body: "".into() } };
    let text = match (&body.string, &body.bytes) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(encoded)) => {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok())
        }
        (None, None) => Some(String::new()),
    };
    if text.is_none() {
        taints.push(tools.origins.taint("a direct response body that is not text", body.origin));
    }
    DirectResponse { status, body: text.unwrap_or_default().into() }
}
