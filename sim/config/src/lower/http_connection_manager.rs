//! The HTTP connection manager that every HTTP chain shares: path normalization, proxy headers, filter order
//! (istiod: `buildHTTPConnectionManager`, `GetProxyHeaders`; semantics: istio-security 4.9, 5.1).

use mesh_core::OriginId;
use mesh_core::ids::{Str, Taint};
use mesh_core::ir::{
    ClientCertDetails, EscapedSlashes, ForwardClientCert, HeaderCondition, HeaderMatcher,
    HttpConnectionManager, HttpFilter, PathNormalization, Permission, Principal, Rbac, RbacAction,
    RbacPolicy, RbacRules, RouteSpecifier, StringMatch, StringPattern,
};

use super::origin::OriginTable;
use crate::mesh::meshconfig::MeshSettings;
use crate::resource::mesh_config::NormalizationType;
use crate::resource::proxy_config::{ForwardClientCertDetails, ProxyConfig};

/// Which listeners a connection manager is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `virtualInbound`.
    SidecarInbound,
    /// Outbound listeners of sidecars.
    SidecarOutbound,
    /// Listeners of gateways.
    Gateway,
}

/// What differs between connection managers of one proxy.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Whose.
    pub class: Class,
    /// With the final `;`.
    pub stat_prefix: Str,
    /// RDS name or inlined routes.
    pub routes: RouteSpecifier,
    /// CUSTOM, JWT and RBAC filters in order; none on outbound listeners.
    pub security: Vec<HttpFilter>,
    /// What caused the listener.
    pub origin: OriginId,
}

/// Builds the connection manager.
#[must_use]
pub fn build(settings: &MeshSettings, proxy: &ProxyConfig, parts: Parts) -> HttpConnectionManager {
    let gateway = parts.class == Class::Gateway;
    let mut http_filters = parts.security;
    if parts.class != Class::SidecarInbound {
        http_filters.push(HttpFilter::IstioAlpn);
    }
    http_filters.extend([HttpFilter::Fault, HttpFilter::Cors]);
    HttpConnectionManager {
        stat_prefix: parts.stat_prefix,
        route_specifier: parts.routes,
        http_filters,
        path_normalization: path_normalization(settings.path_normalization),
        use_remote_address: gateway,
        xff_num_trusted_hops: if gateway { trusted_proxies(proxy) } else { 0 },
        forward_client_cert: forward_client_cert(parts.class, proxy),
        client_cert_details: client_cert_details(parts.class),
        server_name: server_name(parts.class, proxy),
        accept_http_10: accepts_http_10(proxy),
        stream_idle_timeout_ns: 0,
        upgrades: vec!["websocket".into()],
        origin: parts.origin,
    }
}

/// HTTP/1.0 is accepted by proxies that ask for it (`ISTIO_META_HTTP10`).
#[must_use]
pub fn accepts_http_10(proxy: &ProxyConfig) -> bool {
    proxy.proxy_metadata.get("ISTIO_META_HTTP10").is_some_and(|value| value == "1")
}

/// Settings of a proxy that change what its connection managers do and are not modelled. They belong on its snapshot.
#[must_use]
pub fn unmodelled(proxy: &ProxyConfig, origins: &OriginTable) -> Vec<Taint> {
    let mut out = Vec::new();
    let mut taint = |what: &str, span| out.push(origins.taint(what, span));
    if proxy.connection_settings.is_some() {
        taint("proxyConfig.connectionSettings", proxy.origin);
    }
    let topology = proxy.gateway_topology.as_ref();
    if let Some(topology) = topology.filter(|topology| topology.proxy_protocol.is_some()) {
        taint("proxyConfig.gatewayTopology.proxyProtocol", topology.origin);
    }
    let Some(headers) = &proxy.proxy_headers else { return out };
    let off = |header: &Option<crate::resource::proxy_config::Disabled>| {
        header.as_ref().and_then(|h| h.disabled).unwrap_or(false)
    };
    let on = |header: &Option<crate::resource::proxy_config::Enabled>| {
        header.as_ref().and_then(|h| h.enabled).unwrap_or(false)
    };
    for (given, what) in [
        (headers.set_current_client_cert_details.is_some(), "setCurrentClientCertDetails"),
        (off(&headers.request_id), "requestId.disabled"),
        (headers.server.as_ref().and_then(|s| s.disabled).unwrap_or(false), "server.disabled"),
        (off(&headers.envoy_debug_headers), "envoyDebugHeaders.disabled"),
        (headers.preserve_http1_header_case.unwrap_or(false), "preserveHttp1HeaderCase"),
        (on(&headers.x_forwarded_host), "xForwardedHost.enabled"),
        (on(&headers.x_forwarded_port), "xForwardedPort.enabled"),
    ] {
        if given {
            taint(&format!("proxyConfig.proxyHeaders.{what}"), headers.origin);
        }
    }
    out
}

fn path_normalization(kind: NormalizationType) -> PathNormalization {
    let (normalize_path, merge_slashes, escaped_slashes) = match kind {
        NormalizationType::None => (false, false, EscapedSlashes::KeepUnchanged),
        NormalizationType::Default | NormalizationType::Base => (true, false, EscapedSlashes::KeepUnchanged),
        NormalizationType::MergeSlashes => (true, true, EscapedSlashes::KeepUnchanged),
        NormalizationType::DecodeAndMergeSlashes => (true, true, EscapedSlashes::UnescapeAndForward),
    };
    PathNormalization { normalize_path, merge_slashes, escaped_slashes }
}

fn trusted_proxies(proxy: &ProxyConfig) -> u32 {
    proxy.gateway_topology.as_ref().map_or(0, |topology| topology.num_trusted_proxies)
}

/// Sidecars go by `proxyHeaders`, gateways by `gatewayTopology`; outbound sidecar listeners never say anything.
fn forward_client_cert(class: Class, proxy: &ProxyConfig) -> ForwardClientCert {
    let stated = |details: ForwardClientCertDetails| match details {
        ForwardClientCertDetails::Undefined => None,
        ForwardClientCertDetails::Sanitize => Some(ForwardClientCert::Sanitize),
        ForwardClientCertDetails::ForwardOnly => Some(ForwardClientCert::ForwardOnly),
        ForwardClientCertDetails::AppendForward => Some(ForwardClientCert::AppendForward),
        ForwardClientCertDetails::SanitizeSet => Some(ForwardClientCert::SanitizeSet),
        ForwardClientCertDetails::AlwaysForwardOnly => Some(ForwardClientCert::AlwaysForwardOnly),
    };
    let header = || proxy.proxy_headers.as_ref().and_then(|h| h.forwarded_client_cert).and_then(stated);
    let topology =
        || proxy.gateway_topology.as_ref().and_then(|topology| stated(topology.forward_client_cert_details));
    match class {
        Class::SidecarOutbound => ForwardClientCert::Sanitize,
        Class::SidecarInbound => header().unwrap_or(ForwardClientCert::AppendForward),
        Class::Gateway => topology().unwrap_or(ForwardClientCert::SanitizeSet),
    }
}

/// istiod asks for subject, URI and DNS names on inbound listeners, for the certificate too on gateways.
fn client_cert_details(class: Class) -> ClientCertDetails {
    match class {
        Class::SidecarOutbound => ClientCertDetails::default(),
        Class::SidecarInbound => ClientCertDetails { cert: false, subject: true, uri: true, dns: true },
        Class::Gateway => ClientCertDetails { cert: true, subject: true, uri: true, dns: true },
    }
}

fn server_name(class: Class, proxy: &ProxyConfig) -> Str {
    let headers = proxy.proxy_headers.as_ref();
    match headers.and_then(|headers| headers.server.as_ref()).filter(|server| !server.value.is_empty()) {
        Some(server) => server.value.as_str().into(),
        None if class == Class::SidecarOutbound => "envoy".into(),
        None => "istio-envoy".into(),
    }
}

/// The gRPC-Web filter: what it makes of gRPC-Web requests is not modelled, other requests pass it untouched.
#[must_use]
pub fn grpc_web(origins: &OriginTable, port: crate::source::Span) -> HttpFilter {
    let content_type = HeaderMatcher {
        name: "content-type".into(),
        condition: HeaderCondition::Value(StringMatch::new(StringPattern::Prefix(
            "application/grpc-web".into(),
        ))),
        invert: false,
        treat_missing_as_empty: false,
    };
    let policy = RbacPolicy {
        name: "grpc-web".into(),
        permissions: vec![Permission::Header(content_type)],
        principals: vec![Principal::Any],
        taints: Vec::new(),
        origin: origins.id(port),
    };
    HttpFilter::Unmodelled {
        taint: origins.taint("gRPC-Web translation", port),
        when: Some(Rbac {
            rules: None,
            shadow_rules: Some(RbacRules { action: RbacAction::Deny, policies: vec![policy] }),
            shadow_stat_prefix: "".into(),
        }),
    }
}
