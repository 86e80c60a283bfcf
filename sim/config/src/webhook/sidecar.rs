//! Sidecar (semantics: istio-validation 3.7).

use super::Findings;
use super::blocks::{
    fqdn_problem, is_http, is_ip, is_label, is_partial_wildcard, is_tls, port, protocol, unix_problem,
    wildcard_domain_problem, wildcards,
};
use super::destination_rule::connection_pool;
use super::server_tls::server_tls;
use crate::resource::sidecar::{
    CaptureMode, EgressListener, IngressListener, OutboundTrafficMode, OutboundTrafficPolicy, Sidecar,
};
use crate::resource::tls::ServerTlsMode;
use crate::source::Span;

/// Judges a Sidecar.
pub(super) fn validate(sidecar: &Sidecar, f: &mut Findings<'_>) {
    if let Some(selector) = &sidecar.workload_selector {
        if selector.labels.is_empty() {
            f.warn(selector.origin, "sidecar: workload selector specified without labels, will be applied to all services in namespace");
        }
        wildcards(f, &selector.labels, selector.origin);
    }
    let nothing = sidecar.egress.is_empty()
        && sidecar.ingress.is_empty()
        && sidecar.outbound_traffic_policy.is_none()
        && sidecar.inbound_connection_pool.is_none();
    if nothing {
        f.error(sidecar.origin, "sidecar: empty configuration provided");
    }
    let mut numbers: Vec<u32> = Vec::new();
    for listener in &sidecar.ingress {
        ingress(f, listener, &mut numbers);
    }
    if let Some(pool) = &sidecar.inbound_connection_pool {
        connection_pool(f, pool);
    }
    egress(f, sidecar);
    if let Some(policy) = &sidecar.outbound_traffic_policy {
        outbound_policy(f, policy);
    }
}

fn ingress(f: &mut Findings<'_>, listener: &IngressListener, numbers: &mut Vec<u32>) {
    let span = listener.origin;
    let Some(p) = &listener.port else {
        f.error(span, "sidecar: port is required for ingress listeners");
        return;
    };
    if numbers.contains(&p.number) {
        f.error(p.origin, format!("sidecar: ports on IP bound listeners must be unique: {}", p.number));
    }
    numbers.push(p.number);
    named_port(f, p.number, &p.name, &p.protocol, p.target_port, p.origin);
    if !listener.bind.is_empty() && !is_ip(&listener.bind) {
        f.error(span, format!("sidecar: bind `{}` is not an IP address", listener.bind));
    }
    default_endpoint(f, &listener.default_endpoint, span);
    let word = protocol(&p.protocol);
    if let Some(tls) = &listener.tls {
        if !is_tls(word) {
            f.error(tls.origin, "sidecar: ingress TLS requires the protocol HTTPS or TLS");
        }
        let given = [
            ("subjectAltNames", !tls.subject_alt_names.is_empty()),
            ("httpsRedirect", tls.https_redirect),
            ("credentialName", !tls.credential_name.is_empty()),
            ("credentialNames", !tls.credential_names.is_empty()),
            ("tlsCertificates", !tls.tls_certificates.is_empty()),
        ];
        for (what, _) in given.iter().filter(|(_, given)| *given) {
            f.error(tls.origin, format!("sidecar: {what} is not supported"));
        }
        if matches!(tls.mode, ServerTlsMode::IstioMutual | ServerTlsMode::AutoPassthrough) {
            f.error(tls.origin, "configuration is invalid: cannot set mode to ISTIO_MUTUAL or AUTO_PASSTHROUGH in sidecar ingress tls");
        }
        server_tls(f, tls);
    }
    if let Some(pool) = &listener.connection_pool {
        connection_pool(f, pool);
        if pool.http.is_some() && !is_http(word) {
            f.warn(pool.origin, format!("sidecar: HTTP connection pool settings are configured for port {:?} ({}) but its protocol is not HTTP", p.name, p.number));
        }
    }
}

fn named_port(f: &mut Findings<'_>, number: u32, name: &str, word: &str, target_port: u32, span: Span) {
    port(f, number, span, "port");
    if !name.is_empty() && !is_label(name) {
        f.error(span, format!("port name `{name}` is not a DNS label"));
    }
    if !word.is_empty() && protocol(word).is_none() {
        f.error(span, format!("invalid protocol `{word}`"));
    }
    if target_port != 0 {
        f.error(span, "targetPort has no impact on Sidecar listeners");
    }
}

fn default_endpoint(f: &mut Findings<'_>, endpoint: &str, span: Span) {
    if endpoint.is_empty() {
        return;
    }
    if endpoint.starts_with("unix://") {
        if let Some(why) = unix_problem(endpoint) {
            f.error(span, format!("sidecar: {why}"));
        }
        return;
    }
    let Some((host, number)) = endpoint.rsplit_once(':') else {
        f.error(span, format!("sidecar: defaultEndpoint `{endpoint}` must be of the form 127.0.0.1:<port>, 0.0.0.0:<port> or unix://filepath"));
        return;
    };
    if !matches!(host, "" | "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]" | "::1" | "::") {
        f.error(span, format!("sidecar: defaultEndpoint must be of the form 127.0.0.1:<port>, 0.0.0.0:<port> or unix://filepath, not `{endpoint}`"));
    }
    match number.parse::<u32>() {
        Ok(number) => port(f, number, span, "defaultEndpoint port"),
        Err(_) => f.error(span, format!("sidecar: defaultEndpoint port `{number}` is not a number")),
    }
}

fn egress(f: &mut Findings<'_>, sidecar: &Sidecar) {
    let mut numbers: Vec<u32> = Vec::new();
    let mut sockets: Vec<&str> = Vec::new();
    let mut catch_all = false;
    let last = sidecar.egress.len().saturating_sub(1);
    for (i, listener) in sidecar.egress.iter().enumerate() {
        match &listener.port {
            None => {
                if catch_all {
                    f.error(listener.origin, "sidecar: egress can have only one listener without a port");
                } else if i != last {
                    f.error(listener.origin, "sidecar: the egress listener with empty port should be the last listener in the list");
                }
                catch_all = true;
            }
            Some(p) => {
                let unix = listener.bind.starts_with("unix://");
                if p.number == 0 {
                    if !unix {
                        f.error(p.origin, "sidecar: port number 0 is only for unix domain sockets");
                    }
                    if sockets.contains(&listener.bind.as_str()) {
                        f.error(p.origin, "sidecar: unix domain socket values for listeners must be unique");
                    }
                    sockets.push(&listener.bind);
                } else {
                    port(f, p.number, p.origin, "port");
                    if numbers.contains(&p.number) {
                        f.error(
                            p.origin,
                            format!("sidecar: ports on IP bound listeners must be unique: {}", p.number),
                        );
                    }
                    numbers.push(p.number);
                }
                if !p.protocol.is_empty() && protocol(&p.protocol).is_none() {
                    f.error(p.origin, format!("invalid protocol `{}`", p.protocol));
                }
                if !p.name.is_empty() && !is_label(&p.name) {
                    f.error(p.origin, format!("port name `{}` is not a DNS label", p.name));
                }
                if p.target_port != 0 {
                    f.error(p.origin, "targetPort has no impact on Sidecar listeners");
                }
            }
        }
        egress_bind(f, listener);
        egress_hosts(f, listener);
    }
}

fn egress_bind(f: &mut Findings<'_>, listener: &EgressListener) {
    let bind = listener.bind.as_str();
    if bind.is_empty() || is_ip(bind) {
        return;
    }
    let has_number = listener.port.as_ref().is_some_and(|p| p.number != 0);
    if let Some(why) = unix_problem(bind).filter(|_| bind.starts_with("unix://")) {
        f.error(listener.origin, format!("sidecar: {why}"));
    } else if !bind.starts_with("unix://") {
        f.error(listener.origin, format!("sidecar: bind `{bind}` is not an IP address"));
    } else if has_number {
        f.error(listener.origin, "sidecar: unix domain socket listeners must have port number 0");
    }
    if bind.starts_with("unix://") && listener.capture_mode == CaptureMode::Iptables {
        f.error(
            listener.origin,
            "sidecar: captureMode must be DEFAULT or NONE for unix domain socket listeners",
        );
    }
}

fn egress_hosts(f: &mut Findings<'_>, listener: &EgressListener) {
    if listener.hosts.is_empty() {
        f.error(listener.origin, "sidecar: egress listener must contain at least one host");
    }
    let own = f.namespace().to_owned();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for host in &listener.hosts {
        let Some((namespace, dns)) = egress_host(f, &host.value, host.span) else { continue };
        // What is left out may repeat what is let in.
        if namespace.starts_with('~') {
            continue;
        }
        let namespace = if namespace == "." { own.as_str() } else { namespace };
        let covered = |(n, d): &(&str, &str)| *n == namespace && (dns == "*" || *d == dns || *d == "*");
        if seen.iter().any(covered) {
            f.warn(host.span, format!("duplicated egress host: {}", host.value));
        }
        seen.push((namespace, dns));
    }
    if seen.contains(&("*", "*")) && seen.iter().any(|(namespace, _)| *namespace != "*") {
        f.warn(listener.origin, "`*/*` host select all resources, no other hosts can be added");
    }
}

fn egress_host<'a>(f: &mut Findings<'_>, host: &'a str, span: Span) -> Option<(&'a str, &'a str)> {
    let Some((namespace, dns)) = host.split_once('/').filter(|(_, dns)| !dns.contains('/')) else {
        f.error(span, format!("host `{host}` must be of form namespace/dnsName"));
        return None;
    };
    let bare = namespace.strip_prefix('~').filter(|rest| !rest.is_empty()).unwrap_or(namespace);
    if !matches!(bare, "*" | "." | "~") && !is_label(bare) {
        f.error(span, format!("invalid namespace value `{namespace}` in `{host}`"));
    }
    if dns != "*" {
        if is_partial_wildcard(dns) {
            f.error(span, format!("partial wildcard `{dns}` not allowed"));
        } else if !dns.contains('.') {
            f.error(span, format!("short names (non FQDN) are not allowed: `{dns}`"));
        } else if let Some(why) = wildcard_domain_problem(dns) {
            f.error(span, why);
        }
    }
    Some((namespace, dns))
}

/// `ALLOW_ANY_DYNAMIC_DNS`, by name or by its number in MeshConfig.
fn is_dynamic_dns(mode: &str) -> bool {
    matches!(mode, "ALLOW_ANY_DYNAMIC_DNS" | "3")
}

fn outbound_policy(f: &mut Findings<'_>, policy: &OutboundTrafficPolicy) {
    if f.written("outboundTrafficPolicy/mode").is_some_and(|mode| is_dynamic_dns(&mode)) {
        f.error(
            policy.origin,
            "sidecar: ALLOW_ANY_DYNAMIC_DNS mode is only supported in MeshConfig, not in Sidecar resource",
        );
        return;
    }
    let Some(proxy) = &policy.egress_proxy else { return };
    if policy.mode != OutboundTrafficMode::AllowAny {
        f.error(
            proxy.origin,
            "sidecar: egress_proxy must be set only with ALLOW_ANY outbound_traffic_policy mode",
        );
        return;
    }
    if let Some(why) = fqdn_problem(&proxy.host) {
        f.error(proxy.origin, format!("sidecar: egressProxy: {why}"));
    }
    match &proxy.port {
        None => f.error(proxy.origin, "sidecar: egress_proxy port must be non-zero"),
        Some(p) => port(f, p.number, p.origin, "port"),
    }
    if !proxy.subset.is_empty() && !is_label(&proxy.subset) {
        f.error(proxy.origin, format!("subset `{}` is not a DNS label", proxy.subset));
    }
}
