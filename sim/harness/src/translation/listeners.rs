//! Listeners, filter chains and connection managers as Envoy prints them.

use mesh_core::ir::{
    ClientCertDetails, EscapedSlashes, FilterChain, FilterChainMatch, ForwardClientCert,
    HttpConnectionManager, HttpFilter, Inspector, Listener, NetworkFilter, RouteSpecifier, TcpProxy,
    Terminal, TrafficDirection, TransportProtocol,
};
use mesh_core::tls::{CertificateSource, DownstreamTls, TrustAnchor};
use serde_json::{Value, json};

use super::matchers::string;
use super::policies::{cidr, jwt, rbac};
use super::routes::configuration;
use super::shape::{Object, duration, list, texts};

/// Envoy's own time-out of listener filters, left out where it holds.
const DEFAULT_INSPECTION_NS: u64 = 15_000_000_000;

pub(super) fn listener(listener: &Listener) -> Value {
    let address = match &listener.pipe {
        Some(path) => json!({"pipe": {"path": path.as_ref()}}),
        None => {
            let ip = listener.ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
            json!({"socketAddress": {"address": ip, "portValue": listener.port}})
        }
    };
    let direction = match listener.direction {
        TrafficDirection::Inbound => "INBOUND",
        TrafficDirection::Outbound => "OUTBOUND",
    };
    let filters = &listener.listener_filters;
    let inspects = filters.tls_inspector.is_some() || filters.http_inspector.is_some();
    let timeout = listener.listener_filters_timeout_ns;
    let timeout = (inspects && timeout != DEFAULT_INSPECTION_NS).then(|| duration(timeout));
    Object::new()
        .put("name", listener.name.as_ref())
        .put("address", address)
        .put("trafficDirection", direction)
        .always("bindToPort", listener.bind_to_port)
        .put("useOriginalDst", listener.use_original_dst)
        .put("tlsInspector", filters.tls_inspector.as_ref().map(inspector))
        .put("httpInspector", filters.http_inspector.as_ref().map(inspector))
        .put("proxyProtocol", filters.proxy_protocol)
        .put("listenerFiltersTimeout", timeout)
        .put("filterChains", list(&listener.filter_chains, chain))
        .put("defaultFilterChain", listener.default_filter_chain.as_ref().map(chain))
        .done()
}

fn inspector(inspector: &Inspector) -> Value {
    json!({"disabledPorts": inspector.disabled_ports, "on": true})
}

fn chain(chain: &FilterChain) -> Value {
    let out = Object::new()
        .put("name", chain.name.as_ref())
        .put("filterChainMatch", chain_match(&chain.matcher))
        .put("tls", chain.tls.as_ref().map(tls))
        .put("networkFilters", list(&chain.network_filters, network_filter));
    match &chain.terminal {
        Terminal::Http(manager) => out.put("http", connection_manager(manager)),
        Terminal::Tcp(proxy) => out.put("tcp", tcp_proxy(proxy)),
    }
    .done()
}

fn chain_match(matcher: &FilterChainMatch) -> Value {
    let transport = matcher.transport_protocol.map(|transport| match transport {
        TransportProtocol::RawBuffer => "raw_buffer",
        TransportProtocol::Tls => "tls",
    });
    Object::new()
        .put("destinationPort", matcher.destination_port)
        .put("prefixRanges", list(&matcher.prefix_ranges, cidr))
        .put("serverNames", texts(&matcher.server_names))
        .put("transportProtocol", transport)
        .put("applicationProtocols", texts(&matcher.application_protocols))
        .done()
}

/// Certificates are compared as "the workload's" or "a credential": names and contents are not in the recording.
fn tls(tls: &DownstreamTls) -> Value {
    let certificate = match &tls.certificate {
        CertificateSource::Workload => "workload",
        CertificateSource::Known(_) | CertificateSource::Missing(_) => "credential",
    };
    let validation = tls.validation.as_ref().map(|v| {
        let trust = match v.trust {
            TrustAnchor::Mesh => "workload",
            TrustAnchor::Unchecked => "unchecked",
            TrustAnchor::Named(_) | TrustAnchor::Public => "credential",
        };
        Object::new().put("trust", trust).put("sans", list(&v.match_sans, string)).done()
    });
    Object::new()
        .put("alpn", texts(&tls.alpn))
        .put("certificate", certificate)
        .put("requireClientCertificate", tls.require_client_certificate)
        .put("validation", validation)
        .done()
}

fn network_filter(filter: &NetworkFilter) -> Value {
    match filter {
        NetworkFilter::Rbac(filter) => json!({"rbac": rbac(filter)}),
        NetworkFilter::Observer(name) => json!({"observer": name.as_ref()}),
        NetworkFilter::ExtAuthz(_) => json!("ext_authz"),
        NetworkFilter::Unmodelled(_) => json!("unmodelled"),
    }
}

fn tcp_proxy(proxy: &TcpProxy) -> Value {
    let out = Object::new()
        .put("statPrefix", proxy.stat_prefix.as_ref())
        .put("idleTimeout", proxy.idle_timeout_ns.map(duration))
        .put("hashSourceIp", proxy.hash_source_ip)
        .put("tunnel", proxy.tunnel.as_deref());
    match proxy.clusters.as_slice() {
        [(only, _)] => out.put("cluster", only.as_ref()),
        several => out.put("clusters", list(several, |(name, weight)| json!([name.as_ref(), weight]))),
    }
    .done()
}

fn connection_manager(manager: &HttpConnectionManager) -> Value {
    let out = Object::new()
        .put("statPrefix", manager.stat_prefix.as_ref())
        .put("httpFilters", list(&manager.http_filters, http_filter))
        .put("normalizePath", manager.path_normalization.normalize_path)
        .put("mergeSlashes", manager.path_normalization.merge_slashes)
        .put(
            "pathWithEscapedSlashesAction",
            match manager.path_normalization.escaped_slashes {
                EscapedSlashes::KeepUnchanged => "KEEP_UNCHANGED",
                EscapedSlashes::RejectRequest => "REJECT_REQUEST",
                EscapedSlashes::UnescapeAndRedirect => "UNESCAPE_AND_REDIRECT",
                EscapedSlashes::UnescapeAndForward => "UNESCAPE_AND_FORWARD",
            },
        )
        .put("useRemoteAddress", manager.use_remote_address)
        .put("xffNumTrustedHops", manager.xff_num_trusted_hops)
        .put(
            "forwardClientCertDetails",
            match manager.forward_client_cert {
                ForwardClientCert::Sanitize => "SANITIZE",
                ForwardClientCert::AppendForward => "APPEND_FORWARD",
                ForwardClientCert::SanitizeSet => "SANITIZE_SET",
                ForwardClientCert::ForwardOnly => "FORWARD_ONLY",
                ForwardClientCert::AlwaysForwardOnly => "ALWAYS_FORWARD_ONLY",
            },
        )
        .put("setCurrentClientCertDetails", client_cert_details(manager.client_cert_details))
        .put("serverName", manager.server_name.as_ref())
        .put("acceptHttp10", manager.accept_http_10)
        .always("streamIdleTimeout", duration(manager.stream_idle_timeout_ns))
        .put("upgrades", texts(&manager.upgrades));
    match &manager.route_specifier {
        RouteSpecifier::Rds(name) => out.put("rds", name.as_ref()),
        RouteSpecifier::Inline(routes) => out.put("routeConfig", configuration(routes)),
    }
    .done()
}

fn client_cert_details(details: ClientCertDetails) -> Value {
    Object::new()
        .put("cert", details.cert)
        .put("subject", details.subject)
        .put("uri", details.uri)
        .put("dns", details.dns)
        .done()
}

fn http_filter(filter: &HttpFilter) -> Value {
    match filter {
        HttpFilter::Rbac(filter) => json!({"rbac": rbac(filter)}),
        HttpFilter::JwtAuthn(filter) => json!({"jwt": jwt(filter)}),
        HttpFilter::Fault => json!("fault"),
        HttpFilter::Cors => json!("cors"),
        HttpFilter::IstioAlpn => json!("alpn"),
        HttpFilter::ExtAuthz(_) => json!("ext_authz"),
        HttpFilter::Unmodelled { .. } => json!("unmodelled"),
    }
}
