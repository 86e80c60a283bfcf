//! DestinationRules of the mesh: merged per host and namespace, and found for a client and a service (istiod:
//! `setDestinationRules`, `destinationRule`, `SidecarScope.DestinationRule`; semantics: istio-networking 4.1, 4.2).
//!
//! What a rule says about one port and subset is [`policy`]'s business.

mod merge;
pub mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hosts::{HostMap, resolve_short_name};
use crate::resource::destination_rule::{DestinationRule, Subset};
use crate::resource::meta::{Object, ObjectMeta};

/// A rule, possibly merged from several of the same host and namespace.
#[derive(Debug, Clone)]
pub struct Consolidated {
    /// The first of the merged rules.
    pub meta: ObjectMeta,
    /// The merged content; the host is resolved.
    pub rule: DestinationRule,
    /// `exportTo` as written, `.` included; empty is unset.
    export_to: BTreeSet<String>,
}

impl Consolidated {
    /// The subset of that name.
    #[must_use]
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.rule.subsets.iter().find(|s| s.name == name)
    }
}

type Rules = HostMap<Vec<Arc<Consolidated>>>;

/// All DestinationRules.
#[derive(Debug, Default)]
pub struct Index {
    root_namespace: String,
    /// Rules a namespace applies to its own clients.
    local: BTreeMap<String, Rules>,
    /// Rules of a namespace that others may see.
    exported: BTreeMap<String, Rules>,
    /// Private rules of the root namespace.
    root_local: Rules,
}

impl Index {
    /// Consolidates rules given in Istio's conflict order.
    #[must_use]
    pub fn new(
        written: &[Arc<Object<DestinationRule>>],
        default_export_to: &[String],
        root_namespace: &str,
        domain: &str,
    ) -> Self {
        let mut index = Index { root_namespace: root_namespace.to_owned(), ..Index::default() };
        let default_private = default_export_to.iter().any(|to| to == ".");
        // Rules with a selector go first; otherwise the conflict order stays.
        let (selective, general): (Vec<_>, Vec<_>) =
            written.iter().partition(|object| object.spec.workload_selector.is_some());
        for object in selective.into_iter().chain(general) {
            index.add(Arc::new(resolved(object, domain)), default_private);
        }
        index
    }

    fn add(&mut self, rule: Arc<Consolidated>, default_private: bool) {
        let namespace = rule.meta.namespace.clone();
        let to = &rule.export_to;
        let own = to.contains(".") || to.contains(&namespace);
        let is_local = to.is_empty() || to.contains("*") || own;
        let private_only = if to.is_empty() { default_private } else { to.len() == 1 && own };
        if is_local {
            merge::add(self.local.entry(namespace.clone()).or_default(), Arc::clone(&rule));
        }
        if !private_only {
            merge::add(self.exported.entry(namespace).or_default(), rule);
        } else if namespace == self.root_namespace {
            merge::add(&mut self.root_local, rule);
        }
    }

    /// The rules for a service as clients of a namespace see them: those of the client's namespace, else of the
    /// service's, else of the root namespace. The first namespace with any match ends the search.
    #[must_use]
    pub fn find(
        &self,
        client_namespace: &str,
        service_namespace: &str,
        host: &str,
    ) -> Vec<Arc<Consolidated>> {
        let own = if client_namespace == self.root_namespace {
            self.root_local.most_specific(host)
        } else {
            self.local.get(client_namespace).and_then(|rules| rules.most_specific(host))
        };
        if let Some(found) = own {
            return found.clone();
        }
        let exported = self.exported_by(service_namespace, host, client_namespace);
        if !exported.is_empty() {
            return exported;
        }
        self.exported_by(&self.root_namespace, host, client_namespace)
    }

    fn exported_by(&self, owner: &str, host: &str, client: &str) -> Vec<Arc<Consolidated>> {
        let found = self.exported.get(owner).and_then(|rules| rules.most_specific(host));
        let visible = |rule: &&Arc<Consolidated>| {
            rule.export_to.is_empty() || rule.export_to.contains("*") || rule.export_to.contains(client)
        };
        found.into_iter().flatten().filter(visible).cloned().collect()
    }
}

/// The rule of the list that counts for a proxy: the first of its own namespace whose selector takes it (outbound only),
/// else the last one without selector. `proxy_labels` is `None` for inbound, where selectors do not count.
#[must_use]
pub fn choose<'a>(
    rules: &'a [Arc<Consolidated>],
    namespace: &str,
    proxy_labels: Option<&BTreeMap<String, String>>,
) -> Option<&'a Arc<Consolidated>> {
    let selects = |rule: &&Arc<Consolidated>| {
        let (Some(selector), Some(labels)) = (&rule.rule.workload_selector, proxy_labels) else {
            return false;
        };
        rule.meta.namespace == namespace
            && super::virtual_service::labels_subset(&selector.match_labels, labels)
    };
    rules
        .iter()
        .find(selects)
        .or_else(|| rules.iter().rev().find(|rule| rule.rule.workload_selector.is_none()))
}

fn resolved(object: &Object<DestinationRule>, domain: &str) -> Consolidated {
    let mut rule = object.spec.clone();
    rule.host.value = resolve_short_name(&rule.host.value, &object.meta.namespace, domain);
    let export_to = match &rule.workload_selector {
        // A rule for selected clients is private whatever it says.
        Some(_) => [".".to_owned()].into(),
        None => rule.export_to.iter().cloned().collect(),
    };
    Consolidated { meta: object.meta.clone(), rule, export_to }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Spanned;
    use crate::resource::selector::MatchLabels;

    fn rule(namespace: &str, name: &str, host: &str, subsets: &[&str]) -> Object<DestinationRule> {
        Object {
            meta: ObjectMeta { name: name.into(), namespace: namespace.into(), ..ObjectMeta::default() },
            spec: DestinationRule {
                host: Spanned { value: host.into(), ..Spanned::default() },
                subsets: subsets
                    .iter()
                    .map(|&name| Subset { name: name.into(), ..Subset::default() })
                    .collect(),
                ..DestinationRule::default()
            },
        }
    }

    fn index(rules: Vec<Object<DestinationRule>>) -> Index {
        let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
        Index::new(&rules, &["*".to_owned()], "istio-system", "cluster.local")
    }

    fn found(index: &Index, client: &str, service: &str, host: &str) -> Vec<String> {
        index.find(client, service, host).iter().map(|r| r.meta.name.clone()).collect()
    }

    #[test]
    fn the_clients_wildcard_beats_the_services_exact_rule() {
        let index = index(vec![
            rule("client", "wild", "*.local", &[]),
            rule("svc", "exact", "a", &[]),
            rule("istio-system", "root", "*", &[]),
        ]);
        assert_eq!(found(&index, "client", "svc", "a.svc.svc.cluster.local"), ["wild"]);
        assert_eq!(found(&index, "other", "svc", "a.svc.svc.cluster.local"), ["exact"]);
        assert_eq!(found(&index, "other", "svc", "b.svc.svc.cluster.local"), ["root"]);
        assert_eq!(found(&index, "istio-system", "svc", "b.svc.svc.cluster.local"), ["root"]);
    }

    #[test]
    fn equal_exports_merge_and_the_first_policy_stays() {
        let mut older = rule("ns", "a", "x", &["v1"]);
        older.spec.subsets[0].labels = [("k".into(), "old".into())].into();
        let mut newer = rule("ns", "b", "x", &["v1", "v2"]);
        newer.spec.traffic_policy = Some(Box::default());
        let merged = index(vec![older, newer]).find("ns", "ns", "x.ns.svc.cluster.local");
        assert_eq!(merged.len(), 1);
        let names: Vec<_> = merged[0].rule.subsets.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["v1", "v2"]);
        assert_eq!(merged[0].rule.subsets[0].labels.get("k").map(String::as_str), Some("old"));
        assert!(merged[0].rule.traffic_policy.is_some());
    }

    #[test]
    fn differing_exports_stay_apart_and_the_newest_wins() {
        let mut newer = rule("ns", "b", "x", &[]);
        newer.spec.export_to = vec!["*".into()];
        let index = index(vec![rule("ns", "a", "x", &[]), newer]);
        let rules = index.find("ns", "ns", "x.ns.svc.cluster.local");
        assert_eq!(rules.len(), 2);
        assert_eq!(choose(&rules, "ns", Some(&BTreeMap::new())).map(|r| r.meta.name.as_str()), Some("b"));
    }

    #[test]
    fn a_selector_that_takes_nobody_still_hides_the_services_rule() {
        let mut selective = rule("client", "sel", "a.svc.svc.cluster.local", &[]);
        selective.spec.workload_selector = Some(MatchLabels {
            match_labels: [("app".into(), "web".into())].into(),
            ..MatchLabels::default()
        });
        let index = index(vec![selective, rule("svc", "exact", "a", &[])]);
        let rules = index.find("client", "svc", "a.svc.svc.cluster.local");
        assert_eq!(choose(&rules, "client", Some(&BTreeMap::new())).map(|r| &r.meta.name), None);
        let web = [("app".to_owned(), "web".to_owned())].into();
        assert_eq!(choose(&rules, "client", Some(&web)).map(|r| r.meta.name.as_str()), Some("sel"));
        assert_eq!(found(&index, "other", "svc", "a.svc.svc.cluster.local"), ["exact"]);
    }
}
