//! VirtualService as a whole, its TLS and TCP routes (semantics: istio-validation 3.1, V1-V11, T1-T6).

use super::Findings;
use super::blocks::{
    export_to, fqdn_problem, host_subset_of, hosts_match, is_ip, is_label, is_subnet, labels, port,
    wildcard_domain_problem,
};
use super::http_route::{Surroundings, destination, route};
use super::reachability;
use crate::resource::virtual_service::{
    L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService,
};
use crate::source::Span;

/// Judges a VirtualService.
pub(super) fn validate(vs: &VirtualService, f: &mut Findings<'_>) {
    let delegate = vs.hosts.is_empty();
    let mesh = vs.gateways.is_empty() || vs.gateways.iter().any(|g| g.value == "mesh");
    let gateway = vs.gateways.iter().any(|g| g.value != "mesh");
    if delegate {
        if !vs.gateways.is_empty() {
            f.error(vs.origin, "delegate virtual service must have no gateways specified");
        }
        if !vs.tls.is_empty() {
            f.error(vs.origin, "delegate virtual service must have no tls route specified");
        }
        if !vs.tcp.is_empty() {
            f.error(vs.origin, "delegate virtual service must have no tcp route specified");
        }
    }
    gateway_names(f, vs.gateways.iter().map(|g| (g.value.as_str(), g.span)));
    hosts(vs, f, mesh, gateway);
    if vs.http.is_empty() && vs.tls.is_empty() && vs.tcp.is_empty() {
        f.error(vs.origin, "http, tcp or tls must be provided in virtual service");
    }
    let around = Surroundings { delegate, mesh: mesh && !delegate, gateway };
    for http in &vs.http {
        route(f, http, around);
    }
    for tls in &vs.tls {
        tls_route(f, tls, vs, around);
    }
    for tcp in &vs.tcp {
        tcp_route(f, tcp);
    }
    export_to(f, &vs.export_to, vs.origin, false, false);
    if !f.has_errors() {
        reachability::check(vs, f);
    }
}

/// The gateways of a match of HTTP and TCP, about which istiod forgets to warn.
pub(super) fn gateways_of_match(f: &mut Findings<'_>, names: &[String], span: Span) {
    let before = f.out.len();
    gateway_names(f, names.iter().map(|name| (name.as_str(), span)));
    f.forget_warnings(before);
}

/// `ns/name` or a bare name; after the first bare name istiod stops looking (V2, V3).
fn gateway_names<'a>(f: &mut Findings<'_>, names: impl Iterator<Item = (&'a str, Span)>) {
    for (name, span) in names {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            [bare] => {
                if let Some(why) = fqdn_problem(bare) {
                    f.error(span, format!("gateway name: {why}"));
                } else if bare.contains('.') {
                    f.warn(
                        span,
                        format!(
                            "using legacy gatewayName format `{name}`; prefer the `namespace/name` format"
                        ),
                    );
                }
                return;
            }
            [namespace, name] => {
                for part in [namespace, name] {
                    if !is_label(part) {
                        f.error(span, format!("gateway name: `{part}` is not a DNS label"));
                    }
                }
            }
            _ => f.error(span, format!("gateway `{name}` must be of the form `name` or `namespace/name`")),
        }
    }
}

fn hosts(vs: &VirtualService, f: &mut Findings<'_>, mesh: bool, gateway: bool) {
    let mut all_valid = true;
    for host in &vs.hosts {
        let outbound_sni = gateway && host.value.starts_with("outbound_.");
        let problem = wildcard_domain_problem(&host.value).filter(|_| !is_ip(&host.value) && !outbound_sni);
        if let Some(why) = problem {
            all_valid = false;
            f.error(host.span, format!("host: {why}"));
        } else if mesh && host.value == "*" {
            all_valid = false;
            f.error(
                host.span,
                "wildcard host * is not allowed for virtual services bound to the mesh gateway",
            );
        }
    }
    if !all_valid {
        return;
    }
    for (i, a) in vs.hosts.iter().enumerate() {
        for b in vs.hosts.iter().skip(i + 1) {
            if hosts_match(&a.value.to_ascii_lowercase(), &b.value.to_ascii_lowercase()) {
                f.error(
                    b.span,
                    format!("duplicate hosts in virtual service: `{}` and `{}`", a.value, b.value),
                );
            }
        }
    }
}

fn tls_route(f: &mut Findings<'_>, tls: &TlsRoute, vs: &VirtualService, around: Surroundings) {
    if tls.match_.is_empty() {
        f.error(tls.origin, "TLS route must have at least one match condition");
    }
    for m in &tls.match_ {
        tls_match(f, m, vs, around);
    }
    if tls.route.is_empty() {
        f.error(tls.origin, "TLS route is required");
    }
    weights(f, &tls.route, tls.origin);
}

fn tls_match(f: &mut Findings<'_>, m: &TlsMatchAttributes, vs: &VirtualService, around: Surroundings) {
    if m.sni_hosts.is_empty() {
        f.error(m.origin, "TLS match must have at least one SNI host");
    }
    for sni in &m.sni_hosts {
        let outbound_sni = around.gateway && !around.mesh && sni.starts_with("outbound_.");
        if is_ip(sni) {
            f.warn(
                m.origin,
                format!(
                    "using an IP address `{sni}` goes against SNI spec and most clients do not support this"
                ),
            );
            continue;
        }
        if let Some(why) = wildcard_domain_problem(sni).filter(|_| !outbound_sni) {
            f.error(m.origin, format!("sniHosts: {why}"));
            continue;
        }
        if !vs.hosts.iter().any(|host| host_subset_of(sni, &host.value)) {
            f.error(
                m.origin,
                format!("SNI host `{sni}` is not a compatible subset of any of the virtual service hosts"),
            );
        }
    }
    for subnet in &m.destination_subnets {
        if !is_subnet(subnet) {
            f.error(m.origin, format!("`{subnet}` is neither a CIDR nor an IP address"));
        }
    }
    if m.port != 0 {
        port(f, m.port, m.origin, "port");
    }
    labels(f, &m.source_labels, m.origin);
    gateway_names(f, m.gateways.iter().map(|g| (g.as_str(), m.origin)));
}

fn tcp_route(f: &mut Findings<'_>, tcp: &TcpRoute) {
    for m in &tcp.match_ {
        tcp_match(f, m);
    }
    if tcp.route.is_empty() {
        f.error(tcp.origin, "TCP route is required");
    }
    weights(f, &tcp.route, tcp.origin);
}

fn tcp_match(f: &mut Findings<'_>, m: &L4MatchAttributes) {
    for subnet in &m.destination_subnets {
        if !is_subnet(subnet) {
            f.error(m.origin, format!("`{subnet}` is neither a CIDR nor an IP address"));
        }
    }
    if m.port != 0 {
        port(f, m.port, m.origin, "port");
    }
    labels(f, &m.source_labels, m.origin);
    gateways_of_match(f, &m.gateways, m.origin);
}

fn weights(f: &mut Findings<'_>, routes: &[RouteDestination], span: Span) {
    let mut total: i64 = 0;
    for r in routes {
        match &r.destination {
            Some(target) => destination(f, target),
            None => f.error(r.origin, "destination is required"),
        }
        if r.weight < 0 {
            f.error(r.origin, format!("weight `{}` must not be negative", r.weight));
        }
        total += i64::from(r.weight);
    }
    if routes.len() > 1 && total == 0 {
        f.error(span, "total destination weight must not be 0");
    }
}
