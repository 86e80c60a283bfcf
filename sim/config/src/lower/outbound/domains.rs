//! Domains of virtual hosts on sidecars: every way a client may spell a service (istiod: `generateVirtualHostDomains`,
//! `GenerateAltVirtualHosts`, `dedupeDomains`; semantics: istio-networking 3.10).

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::mesh::service::{Registry, Resolution, Service, UNSPECIFIED_IP};

/// Domains of a service, and which of them are expansions of its name.
#[derive(Debug, Default)]
pub(super) struct Domains {
    pub all: Vec<String>,
    pub expanded: Vec<String>,
}

/// The domains of a service. `port` is given for route tables that serve all ports: domains then come with and without.
pub(super) fn of_service(
    service: &Service,
    address: &str,
    port: Option<u16>,
    namespace: &str,
    domain: &str,
) -> Domains {
    let mut out = Domains::default();
    let aliases = service.aliases.iter().map(|a| a.host.as_str());
    for host in std::iter::once(service.host.as_str()).chain(aliases) {
        push(&mut out.all, host, port);
        let expanded = alternative_hosts(host, port, namespace, domain);
        out.all.extend(expanded.iter().cloned());
        out.expanded.extend(expanded);
    }
    if service.resolution == Resolution::Passthrough && service.registry == Registry::Kubernetes {
        // Pods of a headless service have names of their own below it.
        let pods: Vec<String> = out.all.iter().map(|d| format!("*.{d}")).collect();
        out.all.extend(pods);
    }
    if !address.is_empty() && address != UNSPECIFIED_IP {
        push(&mut out.all, address, port);
    }
    out
}

/// The domain of a host as written, in brackets if it is an IPv6 address.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') && host.parse::<IpAddr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

/// `host:port`.
pub(super) fn with_port(host: &str, port: u16) -> String {
    format!("{}:{port}", bracketed(host))
}

fn push(out: &mut Vec<String>, host: &str, port: Option<u16>) {
    out.push(bracketed(host));
    out.extend(port.map(|port| with_port(host, port)));
}

/// Further spellings of a host for a client in `namespace`: the absolute name, and the short names of cluster services.
pub(super) fn alternative_hosts(host: &str, port: Option<u16>, namespace: &str, domain: &str) -> Vec<String> {
    let mut out = Vec::new();
    if host.parse::<IpAddr>().is_err() {
        out.push(format!("{host}."));
    }
    out.extend(port.map(|port| with_port(&format!("{host}."), port)));
    if !host.ends_with(&format!(".svc.{domain}")) {
        return out;
    }
    // `<name>.<namespace>` before `.svc.`
    let Some((qualified, _)) = host.split_once(".svc.").filter(|(q, _)| !q.is_empty()) else { return out };
    // istiod drops every expansion, the absolute name included, of a name without namespace part.
    let Some((name, owner)) = qualified.split_once('.') else { return Vec::new() };
    let mut add = |spelling: &str| {
        out.push(spelling.to_owned());
        out.extend(port.map(|port| with_port(spelling, port)));
    };
    let with_svc = format!("{qualified}.svc");
    if owner == namespace {
        add(name);
        add(&with_svc);
        add(qualified);
    } else {
        add(qualified);
        add(&with_svc);
    }
    out
}

/// Drops domains that an earlier virtual host has (whatever their case), and expansions that are another service's name.
pub(super) fn dedupe(
    domains: Domains,
    taken: &mut BTreeSet<String>,
    known: &BTreeSet<String>,
) -> Vec<String> {
    let Domains { all, expanded } = domains;
    all.into_iter()
        .filter(|domain| {
            let lower = domain.to_lowercase();
            if taken.contains(&lower) || (known.contains(domain) && expanded.contains(domain)) {
                return false;
            }
            taken.insert(lower)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_the_namespace_may_use_the_bare_name() {
        let of = |host: &str, namespace: &str| alternative_hosts(host, None, namespace, "cluster.local");
        assert_eq!(
            of("reviews.prod.svc.cluster.local", "prod"),
            ["reviews.prod.svc.cluster.local.", "reviews", "reviews.prod.svc", "reviews.prod"]
        );
        assert_eq!(
            of("reviews.prod.svc.cluster.local", "other"),
            ["reviews.prod.svc.cluster.local.", "reviews.prod", "reviews.prod.svc"]
        );
        assert_eq!(of("example.com", "prod"), ["example.com."]);
        assert!(of("1.2.3.4", "prod").is_empty());
    }

    #[test]
    fn an_expansion_never_takes_a_real_name() {
        let known = ["reviews.prod".to_owned()].into();
        let domains = Domains {
            all: vec!["reviews.prod.svc.cluster.local".into(), "reviews.prod".into(), "A".into(), "a".into()],
            expanded: vec!["reviews.prod".into()],
        };
        let got = dedupe(domains, &mut BTreeSet::new(), &known);
        assert_eq!(got, ["reviews.prod.svc.cluster.local", "A"]);
    }
}
