//! Which hosts exist for an object that names one (semantics: istio-validation 6.3), and the names analysis compares.

use std::collections::BTreeMap;

use crate::lower::hosts::resolve_short_name;
use crate::mesh::Mesh;
use crate::mesh::registry::CLUSTER_DOMAIN;
use crate::resource::meta::ObjectMeta;

/// A host that exists.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownHost {
    pub(super) ports: Vec<u32>,
    /// Labels every workload of a ServiceEntry has beside those of a subset.
    pub(super) workload_labels: BTreeMap<String, String>,
}

/// Hosts by scope (`*` or a namespace) and name.
pub(super) struct Hosts(BTreeMap<(String, String), KnownHost>);

const ALL: &str = "*";

/// The namespaces an object is exported to: `*`, or names.
pub(super) fn scopes<'a>(export_to: impl IntoIterator<Item = &'a str>, namespace: &str) -> Vec<String> {
    let mut found: Vec<String> =
        export_to.into_iter().map(|s| if s == "." { namespace.to_owned() } else { s.to_owned() }).collect();
    if found.is_empty() || found.iter().any(|s| s == ALL) {
        return vec![ALL.to_owned()];
    }
    found.sort();
    found.dedup();
    found
}

/// A short name is one of the object's own namespace.
pub(super) fn fqdn(host: &str, namespace: &str) -> String {
    if host.starts_with('*') { host.to_owned() } else { resolve_short_name(host, namespace, CLUSTER_DOMAIN) }
}

/// (namespace, name) of `name.namespace.svc.…`; every other text is a name in the own namespace.
pub(super) fn resource_name(host: &str, namespace: &str) -> (String, String) {
    let suffix = format!(".svc.{CLUSTER_DOMAIN}");
    match host.strip_suffix(&suffix).and_then(|h| h.rsplit_once('.')) {
        Some((name, ns)) => (ns.to_owned(), name.to_owned()),
        None => (namespace.to_owned(), host.to_owned()),
    }
}

impl Hosts {
    pub(super) fn new(mesh: &Mesh) -> Self {
        let mut all = BTreeMap::new();
        for entry in &mesh.inventory.service_entries {
            let known = KnownHost {
                ports: entry.spec.ports.iter().map(|p| p.number).collect(),
                workload_labels: entry
                    .spec
                    .workload_selector
                    .as_ref()
                    .map(|s| s.labels.clone())
                    .unwrap_or_default(),
            };
            let namespace = &entry.meta.namespace;
            for scope in scopes(entry.spec.export_to.iter().map(String::as_str), namespace) {
                for host in super::texts(&entry.spec.hosts) {
                    all.insert((scope.clone(), fqdn(host, namespace)), known.clone());
                }
            }
        }
        for service in &mesh.inventory.services {
            let known = KnownHost {
                ports: service.spec.ports.iter().map(|p| p.port).collect(),
                ..KnownHost::default()
            };
            for scope in service_scopes(&service.meta) {
                all.insert((scope, fqdn(&service.meta.name, &service.meta.namespace)), known.clone());
            }
        }
        Hosts(all)
    }

    /// What a host named by an object leads to.
    pub(super) fn find(&self, host: &str, namespace: &str, export_to: &[String]) -> Option<&KnownHost> {
        let name = fqdn(host, namespace);
        let own = if export_to.is_empty() {
            vec![namespace.to_owned()]
        } else {
            export_to.iter().map(|e| if e == "." { namespace.to_owned() } else { e.clone() }).collect()
        };
        let exact = std::iter::once(ALL.to_owned()).chain(own);
        let mut exact = exact.map(|scope| (scope, name.clone()));
        if let Some(found) = exact.find_map(|key| self.0.get(&key)) {
            return Some(found);
        }
        let host = host.strip_prefix('*').unwrap_or(host);
        let visible = self.0.iter().filter(|((scope, _), _)| scope == ALL || scope == namespace);
        visible
            .filter_map(|((_, name), known)| Some((name.strip_prefix('*')?, known)))
            .find(|(suffix, _)| host.ends_with(suffix))
            .map(|(_, known)| known)
    }
}

fn service_scopes(meta: &ObjectMeta) -> Vec<String> {
    let written = meta.annotations.get("networking.istio.io/exportTo").filter(|a| !a.is_empty());
    scopes(written.into_iter().flat_map(|w| w.split(',')).map(str::trim), &meta.namespace)
}
