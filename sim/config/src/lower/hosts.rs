//! Host names: short names to FQDNs, wildcards, "most specific" (semantics: istio-networking 2).
//!
//! Plain text in, plain text out. What exists under a name is the registry's business, who may see it `visibility`'s.

use std::collections::BTreeMap;

/// Whether a host is `*` or starts with `*`.
#[must_use]
pub fn is_wildcard(host: &str) -> bool {
    host.starts_with('*')
}

/// The text after the `*` of a wildcard host.
fn suffix(host: &str) -> &str {
    host.strip_prefix('*').unwrap_or(host)
}

/// Whether two hosts have a name in common; symmetric (istiod: `host.Name.Matches`).
#[must_use]
pub fn matches(a: &str, b: &str) -> bool {
    match (is_wildcard(a), is_wildcard(b)) {
        (true, true) if a.len() < b.len() => suffix(b).ends_with(suffix(a)),
        (true, true) => suffix(a).ends_with(suffix(b)),
        (true, false) => b.ends_with(suffix(a)),
        (false, true) => a.ends_with(suffix(b)),
        (false, false) => a == b,
    }
}

/// Whether every name of `a` is one of `b` (istiod: `host.Name.SubsetOf`).
#[must_use]
pub fn subset_of(a: &str, b: &str) -> bool {
    match (is_wildcard(a), is_wildcard(b)) {
        (true, true) => a.len() >= b.len() && suffix(a).ends_with(suffix(b)),
        (true, false) => false,
        (false, true) => a.ends_with(suffix(b)),
        (false, false) => a == b,
    }
}

/// A host of a resource in `namespace` as a FQDN: `*`, IP addresses and anything with a dot stay as they are.
#[must_use]
pub fn resolve_short_name(host: &str, namespace: &str, domain: &str) -> String {
    if host.is_empty() || host == "*" || host.contains('.') || host.parse::<std::net::IpAddr>().is_ok() {
        return host.to_owned();
    }
    format!("{host}.{namespace}.svc.{domain}")
}

/// `gateways` entry of a VirtualService in `namespace` as `ns/name`; `mesh` stays.
#[must_use]
pub fn resolve_gateway_name(gateway: &str, namespace: &str) -> String {
    if gateway == "mesh" {
        return gateway.to_owned();
    }
    match gateway.split_once('/') {
        Some((".", name)) => format!("{namespace}/{name}"),
        Some(_) => gateway.to_owned(),
        None => match gateway.split_once('.') {
            None => format!("{namespace}/{gateway}"),
            // The old form `name.ns.svc.cluster.local` or `name.ns`.
            Some((name, rest)) => format!("{}/{name}", rest.split('.').next().unwrap_or(rest)),
        },
    }
}

/// Values by host, looked up by the most specific host that matches (istiod: `MostSpecificHostMatch`).
///
/// A lookup costs one map access per label of the name, not one per wildcard: istiod accepts wildcards that are not cut
/// at a dot (`*foo`), therefore suffixes are tried at every byte where some wildcard of that length exists.
#[derive(Debug, Clone)]
pub struct HostMap<V> {
    exact: BTreeMap<String, V>,
    /// By the text after the `*`.
    wildcard: BTreeMap<String, V>,
    /// Lengths of the wildcard suffixes, longest first, without repetition.
    lengths: Vec<usize>,
}

impl<V> Default for HostMap<V> {
    fn default() -> Self {
        HostMap { exact: BTreeMap::new(), wildcard: BTreeMap::new(), lengths: Vec::new() }
    }
}

impl<V> HostMap<V> {
    /// The value stored under exactly this host, made if absent.
    pub fn entry(&mut self, host: &str) -> &mut V
    where
        V: Default,
    {
        if !is_wildcard(host) {
            return self.exact.entry(host.to_owned()).or_default();
        }
        let suffix = suffix(host);
        if let Err(at) = self.lengths.binary_search_by(|len| suffix.len().cmp(len)) {
            self.lengths.insert(at, suffix.len());
        }
        self.wildcard.entry(suffix.to_owned()).or_default()
    }

    /// Stores a value unless the host already has one.
    pub fn insert_first(&mut self, host: &str, value: V)
    where
        V: Default + Clone,
    {
        let known = if is_wildcard(host) {
            self.wildcard.contains_key(suffix(host))
        } else {
            self.exact.contains_key(host)
        };
        if !known {
            *self.entry(host) = value;
        }
    }

    /// The value of the host itself, else of the longest wildcard that covers it.
    #[must_use]
    pub fn most_specific(&self, host: &str) -> Option<&V> {
        let needle = suffix(host);
        if !is_wildcard(host)
            && let Some(value) = self.exact.get(host)
        {
            return Some(value);
        }
        self.lengths.iter().find_map(|&len| {
            let tail = needle.len().checked_sub(len).and_then(|from| needle.get(from..))?;
            self.wildcard.get(tail)
        })
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_by_suffix_and_symmetrically() {
        for (a, b, want) in [
            ("*", "foo.com", true),
            ("*.foo.com", "a.foo.com", true),
            ("*.foo.com", "foo.com", false),
            ("*foo", "barfoo", true),
            ("*.com", "*.foo.com", true),
            ("*.foo.com", "*.bar.com", false),
            ("a", "a", true),
            ("a", "b", false),
        ] {
            assert_eq!(matches(a, b), want, "{a} {b}");
            assert_eq!(matches(b, a), want, "{b} {a}");
        }
        assert!(subset_of("*.foo.com", "*.com"));
        assert!(!subset_of("*.com", "*.foo.com"));
        assert!(!subset_of("*.com", "a.com"));
        assert!(subset_of("a.com", "*.com"));
    }

    #[test]
    fn only_names_without_a_dot_are_expanded() {
        for (host, want) in [
            ("reviews", "reviews.prod.svc.cluster.local"),
            ("reviews.prod", "reviews.prod"),
            ("*", "*"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
            ("", ""),
        ] {
            assert_eq!(resolve_short_name(host, "prod", "cluster.local"), want);
        }
    }

    #[test]
    fn gateway_names_have_old_and_new_forms() {
        for (gateway, want) in [
            ("mesh", "mesh"),
            ("gw", "ns/gw"),
            ("./gw", "ns/gw"),
            ("other/gw", "other/gw"),
            ("gw.other", "other/gw"),
            ("gw.other.svc.cluster.local", "other/gw"),
        ] {
            assert_eq!(resolve_gateway_name(gateway, "ns"), want);
        }
    }

    #[test]
    fn the_exact_host_wins_then_the_longest_wildcard() {
        let mut map: HostMap<&str> = HostMap::default();
        for host in ["*", "*.com", "*.foo.com", "a.foo.com"] {
            map.insert_first(host, host);
        }
        map.insert_first("*.com", "later");
        for (host, want) in [
            ("a.foo.com", "a.foo.com"),
            ("b.foo.com", "*.foo.com"),
            ("x.com", "*.com"),
            ("org", "*"),
            ("*.b.foo.com", "*.foo.com"),
            ("*.foo.com", "*.foo.com"),
        ] {
            assert_eq!(map.most_specific(host), Some(&want), "{host}");
        }
    }
}
