//! Gateway (semantics: istio-validation 3.4).

use super::Findings;
use super::blocks::{
    is_http, is_ip, is_label, is_partial_wildcard, is_tls, port, protocol, unix_problem,
    wildcard_domain_problem,
};
use super::server_tls::server_tls;
use crate::resource::gateway::{Gateway, GatewayPort, Server};
use crate::resource::tls::{ServerTlsMode, ServerTlsSettings};
use crate::source::Span;

/// Judges a Gateway.
pub(super) fn validate(gateway: &Gateway, f: &mut Findings<'_>) {
    let name = f.object.name.clone();
    if !is_label(&name) {
        f.error(f.object.name_span(), format!("gateway name `{name}` is not a DNS label"));
    }
    if gateway.servers.is_empty() {
        f.error(gateway.origin, "gateway must have at least one server");
    }
    let mut names: Vec<&str> = Vec::new();
    for server in &gateway.servers {
        validate_server(f, server);
        if let Some(p) = &server.port {
            if names.contains(&p.name.as_str()) {
                f.error(p.origin, format!("port names in servers must be unique: duplicate name {}", p.name));
            }
            names.push(&p.name);
        }
    }
}

fn validate_server(f: &mut Findings<'_>, server: &Server) {
    if server.hosts.is_empty() {
        f.error(server.origin, "server config must contain at least one host");
    }
    for host in &server.hosts {
        server_host(f, &host.value, host.span);
    }
    let Some(p) = &server.port else {
        f.error(server.origin, "port is required");
        return;
    };
    bind(f, server, p);
    server_port(f, server, p);
    let word = protocol(&p.protocol);
    match &server.tls {
        None if is_tls(word) => f.error(
            server.origin,
            format!("server must have TLS settings for HTTPS/TLS protocols on port {}", p.name),
        ),
        None => {}
        Some(tls) => server_tls_against(f, tls, word),
    }
}

/// TLS on plaintext protocols is only the redirect (semantics: istio-validation 3.4).
fn server_tls_against(f: &mut Findings<'_>, tls: &ServerTlsSettings, word: Option<&str>) {
    if is_http(word) {
        let plain = matches!(tls.mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough);
        let files = [&tls.server_certificate, &tls.private_key, &tls.ca_certificates];
        if !plain || files.iter().any(|file| !file.is_empty()) {
            f.error(tls.origin, "server cannot have TLS settings for plain text HTTP ports");
        }
    } else if word.is_some() && !is_tls(word) {
        f.error(tls.origin, "server cannot have TLS settings for non-TLS protocols");
    }
    if tls.https_redirect && !is_http(word) {
        f.warn(tls.origin, "tls.httpsRedirect should only be used with http servers");
    }
    server_tls(f, tls);
}

fn server_host(f: &mut Findings<'_>, host: &str, span: Span) {
    let parts: Vec<&str> = host.split('/').collect();
    let dns = match parts.as_slice() {
        [dns] => *dns,
        [namespace, dns] => {
            if !matches!(*namespace, "*" | ".") && !is_label(namespace) {
                f.error(span, format!("invalid namespace value `{namespace}` in `{host}`"));
            }
            *dns
        }
        _ => {
            f.error(span, format!("host `{host}` must be `name` or `namespace/name`"));
            return;
        }
    };
    if dns == "*" {
        return;
    }
    if is_partial_wildcard(dns) {
        f.error(span, format!("partial wildcard `{dns}` not allowed"));
    } else if !dns.contains('.') {
        f.error(span, format!("short names (non FQDN) are not allowed: `{dns}`"));
    } else if let Some(why) = wildcard_domain_problem(dns).filter(|_| !is_ip(dns)) {
        f.error(span, why);
    }
}

fn bind(f: &mut Findings<'_>, server: &Server, p: &GatewayPort) {
    if server.bind.is_empty() || is_ip(&server.bind) {
        return;
    }
    if server.bind.starts_with("unix://") || server.bind.starts_with('/') || server.bind.starts_with('@') {
        if let Some(why) = unix_problem(&server.bind) {
            f.error(server.origin, why);
        }
        if p.number != 0 {
            f.error(p.origin, "port number must be 0 for a unix domain socket");
        }
    } else {
        f.error(
            server.origin,
            format!("bind `{}` is neither an IP address nor a unix domain socket", server.bind),
        );
    }
}

fn server_port(f: &mut Findings<'_>, server: &Server, p: &GatewayPort) {
    let unix = server.bind.starts_with("unix://");
    if p.name.is_empty() {
        f.error(p.origin, "port name must be set");
    }
    if p.protocol.is_empty() {
        f.error(p.origin, "port protocol must be set");
    } else if protocol(&p.protocol).is_none() {
        f.error(p.origin, format!("invalid protocol `{}`", p.protocol));
    }
    if !(unix && p.number == 0) {
        port(f, p.number, p.origin, "port number");
    }
    if p.target_port != 0 {
        f.error(p.origin, "targetPort has no impact on Gateways");
    }
}
