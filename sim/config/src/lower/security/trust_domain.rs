//! Trust domains: the mesh's own, its aliases, and what that does to the identities a policy names
//! (semantics: istio-security 1.1, 1.3, 1.4).

use crate::mesh::meshconfig::MeshSettings;

/// Stands for "the trust domain of this mesh" in principals, whatever it is called.
const LOCAL: &str = "cluster.local";

/// The mesh's trust domain followed by its aliases, in the configured order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    domains: Vec<String>,
}

impl Bundle {
    /// The bundle of a mesh; `@` in the configured domain means `.`, as in Istio's SPIFFE package.
    #[must_use]
    pub fn new(trust_domain: &str, aliases: &[String]) -> Bundle {
        let own = trust_domain.replace('@', ".");
        Bundle { domains: std::iter::once(own).chain(aliases.iter().cloned()).collect() }
    }

    /// The trust domain that workload certificates carry.
    #[must_use]
    pub fn own(&self) -> &str {
        self.domains.first().map_or(LOCAL, String::as_str)
    }

    /// The trust domain and its aliases.
    #[must_use]
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// The SPIFFE id of a service account.
    #[must_use]
    pub fn identity(&self, namespace: &str, service_account: &str) -> String {
        let account = if service_account.is_empty() { "default" } else { service_account };
        format!("spiffe://{}/ns/{namespace}/sa/{account}", self.own())
    }

    /// `principals` of a policy with every identity of this mesh repeated for its aliases.
    #[must_use]
    pub fn expand_principals(&self, principals: &[&str]) -> Vec<String> {
        principals.iter().flat_map(|principal| self.expand_principal(principal)).collect()
    }

    fn expand_principal(&self, principal: &str) -> Vec<String> {
        let enforced = principal.split('/').count() == 5;
        let Some((domain, rest)) = principal.split_once('/') else { return vec![principal.to_owned()] };
        if !enforced || domain == "*" {
            return vec![principal.to_owned()];
        }
        let known = self.domains.iter().any(|own| covers(own, domain) || covers(domain, own));
        if domain != LOCAL && !known {
            return vec![principal.to_owned()];
        }
        let mut out: Vec<String> = Vec::new();
        for own in &self.domains {
            // `*-td/ns/…` already covers `new-td`: it stays as it is, once.
            let kept = domain.strip_prefix('*').is_some_and(|suffix| own.ends_with(suffix));
            let expanded = if kept { principal.to_owned() } else { format!("{own}/{rest}") };
            if !out.contains(&expanded) {
                out.push(expanded);
            }
        }
        out
    }

    /// `trustDomains` of a policy: a value that is exactly one of the bundle becomes all of it.
    #[must_use]
    pub fn expand_domains(&self, domains: &[&str]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for domain in domains {
            let known = self.domains.iter().any(|own| own == domain);
            let expanded = if known { self.domains.clone() } else { vec![(*domain).to_owned()] };
            for one in expanded {
                if !out.contains(&one) {
                    out.push(one);
                }
            }
        }
        out
    }
}

/// The trust domains whose certificates servers accept: the mesh's, its aliases, those of further CAs, each once.
#[must_use]
pub fn accepted(settings: &MeshSettings) -> Vec<String> {
    let own = std::iter::once(&settings.trust_domain).chain(&settings.trust_domain_aliases);
    let mut out: Vec<String> = Vec::new();
    for domain in own.chain(settings.ca_certificates.iter().flat_map(|ca| &ca.trust_domains)) {
        if !domain.is_empty() && !out.contains(domain) {
            out.push(domain.clone());
        }
    }
    out
}

/// Whether `pattern` is `text`, or `*`, or has a star at one end that covers it.
fn covers(pattern: &str, text: &str) -> bool {
    pattern == text
        || pattern == "*"
        || pattern.strip_prefix('*').is_some_and(|suffix| text.ends_with(suffix))
        || pattern.strip_suffix('*').is_some_and(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::Bundle;

    #[test]
    fn principals_follow_the_aliases() {
        // The table of semantics: istio-security 1.4.
        for (own, aliases, written, want) in [
            ("td1", "", "cluster.local/ns/a/sa/b", "td1/ns/a/sa/b"),
            ("td1", "td0", "td0/ns/a/sa/b", "td1/ns/a/sa/b td0/ns/a/sa/b"),
            ("td1", "td0", "other/ns/a/sa/b", "other/ns/a/sa/b"),
            ("td1", "", "cluster.local/ns/a/sa/*", "td1/ns/a/sa/*"),
            ("td1", "", "cluster.local/ns/a/*", "cluster.local/ns/a/*"),
            ("new-td", "old-td", "*-td/ns/a/sa/b", "*-td/ns/a/sa/b"),
            ("td1", "cluster.local", "cluster.local/ns/a/sa/b", "td1/ns/a/sa/b cluster.local/ns/a/sa/b"),
            ("td1", "", "*/ns/a/sa/b", "*/ns/a/sa/b"),
            ("td1", "", "*", "*"),
        ] {
            let aliases: Vec<String> = aliases.split_whitespace().map(str::to_owned).collect();
            let got = Bundle::new(own, &aliases).expand_principals(&[written]).join(" ");
            assert_eq!(got, want, "{own} {aliases:?} {written}");
        }
    }

    #[test]
    fn domains_expand_only_when_exact() {
        let bundle = Bundle::new("td1", &["td0".to_owned()]);
        assert_eq!(bundle.expand_domains(&["td0", "td*", "x"]), ["td1", "td0", "td*", "x"]);
        assert_eq!(bundle.identity("foo", ""), "spiffe://td1/ns/foo/sa/default");
        assert_eq!(Bundle::new("a@b", &[]).own(), "a.b");
    }
}
