//! ServiceEntry (semantics: istio-validation 3.5).

use super::Findings;
use super::blocks::{
    export_to, fqdn_problem, is_cidr, is_http, is_ip_or_zoned, is_label, is_partial_wildcard, is_tls, labels,
    port, protocol, unix_problem, wildcard_domain_problem, wildcards,
};
use crate::resource::service_entry::{Location, Resolution, ServiceEntry, ServicePort};
use crate::resource::workload_entry::WorkloadEntry;

/// Judges a ServiceEntry.
pub(super) fn validate(entry: &ServiceEntry, f: &mut Findings<'_>) {
    if let Some(selector) = &entry.workload_selector {
        if selector.labels.is_empty() {
            f.warn(selector.origin, "service entry: workload selector specified without labels, will be applied to all services in namespace");
        }
        wildcards(f, &selector.labels, selector.origin);
        if !entry.endpoints.is_empty() {
            f.error(selector.origin, "only one of workloadSelector or endpoints is allowed in service entry");
        }
    }
    hosts(entry, f);
    addresses(entry, f);
    ports(entry, f);
    resolution(entry, f);
    mixed_hosts(entry, f);
    export_to(f, &entry.export_to, entry.origin, true, false);
}

fn hosts(entry: &ServiceEntry, f: &mut Findings<'_>) {
    if entry.hosts.is_empty() {
        f.error(entry.origin, "service entry must have at least one host");
    }
    for host in &entry.hosts {
        if host.value == "*" {
            f.error(host.span, format!("invalid host {}", host.value));
        } else if let Some(why) = wildcard_domain_problem(&host.value) {
            f.error(host.span, format!("host: {why}"));
        } else if is_partial_wildcard(&host.value) && entry.resolution != Resolution::DynamicDns {
            f.warn(host.span, format!("partial wildcard \"{}\" not allowed", host.value));
        }
    }
}

fn addresses(entry: &ServiceEntry, f: &mut Findings<'_>) {
    for address in &entry.addresses {
        if is_cidr(address) {
            if !matches!(entry.resolution, Resolution::None | Resolution::Static) {
                f.error(entry.origin, "CIDR addresses are allowed only for NONE/STATIC resolution types");
            }
        } else if !is_ip_or_zoned(address) {
            f.error(entry.origin, format!("`{address}` is neither an IP address nor a CIDR"));
        }
    }
}

fn ports(entry: &ServiceEntry, f: &mut Findings<'_>) {
    let (mut names, mut numbers): (Vec<&str>, Vec<u32>) = (Vec::new(), Vec::new());
    for p in &entry.ports {
        if names.contains(&p.name.as_str()) {
            f.error(p.origin, format!("service entry port name {} already defined", p.name));
        }
        if numbers.contains(&p.number) {
            f.error(p.origin, format!("service entry port {} already defined", p.number));
        }
        names.push(&p.name);
        numbers.push(p.number);
        if p.target_port != 0 {
            port(f, p.target_port, p.origin, "targetPort");
        }
        if !is_label(&p.name) {
            f.error(p.origin, format!("port name `{}` is not a DNS label", p.name));
        }
        if !p.protocol.is_empty() && protocol(&p.protocol).is_none() {
            f.error(p.origin, format!("invalid protocol `{}`", p.protocol));
        }
        port(f, p.number, p.origin, "port");
    }
}

fn resolution(entry: &ServiceEntry, f: &mut Findings<'_>) {
    match entry.resolution {
        Resolution::None => {
            // Addresses are allocated for every other resolution.
            for p in entry
                .ports
                .iter()
                .filter(|p| entry.addresses.is_empty() && matches!(p.protocol.as_str(), "" | "TCP"))
            {
                f.warn(p.origin, "addresses are required for ports serving TCP (or unset) protocol when IP Autoallocation is not enabled");
            }
            if !entry.endpoints.is_empty() {
                f.error(entry.origin, "no endpoints should be provided for resolution type none");
            }
            if let Some(selector) = &entry.workload_selector {
                f.warn(selector.origin, "workloadSelector should not be set when resolution mode is NONE");
            }
        }
        Resolution::Static => entry.endpoints.iter().for_each(|e| static_endpoint(entry, e, f)),
        Resolution::Dns | Resolution::DnsRoundRobin => dns(entry, f),
        Resolution::DynamicDns => dynamic_dns(entry, f),
    }
}

fn named_ports(entry: &ServiceEntry, endpoint: &WorkloadEntry, f: &mut Findings<'_>) {
    for (name, number) in &endpoint.ports {
        if !entry.ports.iter().any(|p| p.name == *name) {
            f.error(
                endpoint.origin,
                format!("endpoint port {number} is not defined by the service entry: `{name}`"),
            );
        }
        if !is_label(name) {
            f.error(endpoint.origin, format!("port name `{name}` is not a DNS label"));
        }
        port(f, *number, endpoint.origin, "port");
    }
}

fn static_endpoint(entry: &ServiceEntry, endpoint: &WorkloadEntry, f: &mut Findings<'_>) {
    let address = endpoint.address.as_str();
    if address.is_empty() && !endpoint.network.is_empty() {
        f.warn(endpoint.origin, format!("address is unset with network \"{}\"", endpoint.network));
        labels(f, &endpoint.labels, endpoint.origin);
        named_ports(entry, endpoint, f);
        return;
    }
    if address.starts_with("unix://") {
        if let Some(why) = unix_problem(address) {
            f.error(endpoint.origin, why);
        }
        if entry.ports.len() != 1 || !endpoint.ports.is_empty() {
            f.error(endpoint.origin, "exactly 1 service port required for unix endpoints");
        }
    } else {
        if !is_ip_or_zoned(address) {
            f.error(endpoint.origin, format!("`{address}` is not a valid IP address"));
        }
        named_ports(entry, endpoint, f);
    }
    labels(f, &endpoint.labels, endpoint.origin);
}

fn dns(entry: &ServiceEntry, f: &mut Findings<'_>) {
    if entry.endpoints.is_empty() {
        for host in &entry.hosts {
            if fqdn_problem(&host.value).is_some() {
                f.error(host.span, "hosts must be FQDN if no endpoints are provided for resolution mode DNS");
            }
        }
    }
    if entry.resolution == Resolution::DnsRoundRobin && entry.endpoints.len() > 1 {
        f.error(entry.origin, "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN");
    }
    for endpoint in &entry.endpoints {
        let address = endpoint.address.as_str();
        if !is_ip_or_zoned(address)
            && let Some(why) = fqdn_problem(address)
        {
            f.error(endpoint.origin, format!("endpoint address: {why}"));
        }
        labels(f, &endpoint.labels, endpoint.origin);
        named_ports(entry, endpoint, f);
    }
    let tcp = entry.ports.iter().any(is_tcp_class);
    if !entry.addresses.is_empty() && entry.hosts.len() > 1 && tcp {
        f.warn(entry.origin, "service entry can not have more than one host specified simultaneously with address and tcp port");
    }
}

fn is_tcp_class(p: &ServicePort) -> bool {
    matches!(protocol(&p.protocol), Some("TCP" | "HTTPS" | "TLS" | "MONGO" | "REDIS" | "MYSQL"))
}

fn dynamic_dns(entry: &ServiceEntry, f: &mut Findings<'_>) {
    for host in &entry.hosts {
        if !host.value.starts_with('*') {
            f.error(host.span, "hosts must be wildcard for resolution mode DYNAMIC_DNS");
        }
    }
    if !entry.addresses.is_empty() {
        f.error(entry.origin, "addresses are not allowed for resolution mode DYNAMIC_DNS");
    }
    if !entry.endpoints.is_empty() {
        f.error(entry.origin, "no endpoints should be provided for resolution type DYNAMIC_DNS");
    }
    let waypoint = f.label("istio.io/use-waypoint");
    if entry.location == Location::MeshInternal
        && waypoint.is_some_and(|w| !w.is_empty() && !w.eq_ignore_ascii_case("none"))
    {
        f.error(
            entry.origin,
            "location MESH_INTERNAL with resolution type DYNAMIC_DNS is not supported when using waypoints",
        );
    }
    for p in &entry.ports {
        if !matches!(protocol(&p.protocol), Some("HTTP" | "HTTP2" | "GRPC" | "TLS")) {
            f.error(p.origin, "resolution mode DYNAMIC_DNS is for HTTP, HTTP2, GRPC and TLS ports only");
        }
    }
}

/// More than one host and a port that cannot be told apart by host (semantics: istio-networking 1.4).
fn mixed_hosts(entry: &ServiceEntry, f: &mut Findings<'_>) {
    if entry.hosts.len() <= 1 || entry.resolution == Resolution::None {
        return;
    }
    for p in &entry.ports {
        let word = protocol(&p.protocol);
        if !is_http(word) && !is_tls(word) {
            f.error(
                p.origin,
                format!("multiple hosts provided with non-HTTP, non-TLS ports (port {})", p.name),
            );
        }
    }
}
