//! Hosts of gateway servers against hosts of VirtualServices (istiod: `host.Names`; semantics: istio-networking 7.4).

use std::cmp::Ordering;

use crate::lower::hosts::{is_wildcard, matches, subset_of};

/// The server hosts that a VirtualService of `namespace` may use: plain ones, and `ns/host` of its namespace.
#[must_use]
pub fn for_namespace<'a>(server_hosts: &'a [String], namespace: &str) -> Vec<&'a str> {
    server_hosts
        .iter()
        .filter_map(|host| match host.split_once('/') {
            Some((owner, name)) => (owner == namespace || owner == "*").then_some(name),
            None => Some(host.as_str()),
        })
        .collect()
}

/// For every pair of hosts that overlap, the narrower one, each once.
#[must_use]
pub fn intersection<'a>(server: &[&'a str], virtual_service: &[&'a str]) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    for a in server {
        for b in virtual_service {
            let narrower = if subset_of(a, b) {
                *a
            } else if subset_of(b, a) {
                *b
            } else {
                continue;
            };
            if !out.contains(&narrower) {
                out.push(narrower);
            }
        }
    }
    out
}

/// Whether a VirtualService of `namespace` with these hosts is for a server at all (istiod: `pickMatchingGatewayHosts`).
#[must_use]
pub fn any_match(server_hosts: &[String], virtual_service: &[&str], namespace: &str) -> bool {
    let usable = for_namespace(server_hosts, namespace);
    usable.iter().any(|server| virtual_service.iter().any(|host| matches(server, host)))
}

/// Most specific first: longer before shorter, wildcards last (istiod: `host.MoreSpecific`).
#[must_use]
pub fn specificity(a: &str, b: &str) -> Ordering {
    is_wildcard(a).cmp(&is_wildcard(b)).then_with(|| b.len().cmp(&a.len())).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_host_is_kept() {
        // The examples of istiod's `Names.Intersection`.
        for (a, b, want) in [
            (&["foo.com", "bar.com"][..], &["*.com"][..], &["foo.com", "bar.com"][..]),
            (&["foo.com", "*.net"], &["*.com", "bar.net"], &["foo.com", "bar.net"]),
            (&["foo.com", "*.net"], &["*.bar.net"], &["*.bar.net"]),
            (&["foo.com"], &["bar.com"], &[]),
            (&["*"], &["a.com"], &["a.com"]),
            (&["*.foo.com"], &["*"], &["*.foo.com"]),
        ] {
            assert_eq!(intersection(a, b), want, "{a:?} {b:?}");
        }
    }

    #[test]
    fn namespaces_restrict_server_hosts() {
        let hosts: Vec<String> = ["a.com", "ns1/b.com", "ns2/c.com"].map(str::to_owned).to_vec();
        assert_eq!(for_namespace(&hosts, "ns1"), ["a.com", "b.com"]);
        assert!(any_match(&hosts, &["c.com"], "ns2"));
        assert!(!any_match(&hosts, &["c.com"], "ns1"));
    }

    #[test]
    fn wildcards_sort_last() {
        let mut hosts = vec!["*", "*.a.com", "b.a.com", "a.com", "c.a.com"];
        hosts.sort_by(|a, b| specificity(a, b));
        assert_eq!(hosts, ["b.a.com", "c.a.com", "a.com", "*.a.com", "*"]);
    }
}
