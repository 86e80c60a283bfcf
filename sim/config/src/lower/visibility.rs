//! Which services a namespace may see (istiod: `initServiceRegistry`, `servicesExportedToNamespace`, `IsServiceVisible`;
//! semantics: istio-networking 1, 5.2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::mesh::service::{Registry, Service, ServiceVisibility};

/// The services of the mesh by who may see them and by host. Lists are in registry order.
#[derive(Debug, Default)]
pub struct ServiceIndex {
    all: Vec<Arc<Service>>,
    default_export_to: BTreeSet<String>,
    public: Vec<Arc<Service>>,
    exported: BTreeMap<String, Vec<Arc<Service>>>,
    by_host: BTreeMap<String, BTreeMap<String, Arc<Service>>>,
}

impl ServiceIndex {
    /// Files services given in registry order.
    #[must_use]
    pub fn new(services: Vec<Arc<Service>>, default_export_to: &[String]) -> Self {
        let mut index = ServiceIndex {
            default_export_to: default_export_to.iter().cloned().collect(),
            ..ServiceIndex::default()
        };
        for service in &services {
            index.file(service);
        }
        index.all = services;
        index
    }

    fn file(&mut self, service: &Arc<Service>) {
        let namespaces = self.by_host.entry(service.host.clone()).or_default();
        match namespaces.get(&service.namespace) {
            // Kubernetes replaces a ServiceEntry of the same host and namespace; otherwise the first stays.
            Some(known)
                if known.registry == Registry::Kubernetes || service.registry != Registry::Kubernetes => {}
            _ => {
                namespaces.insert(service.namespace.clone(), Arc::clone(service));
            }
        }
        let exports = self.export_to(service);
        if exports.contains("*") {
            self.public.push(Arc::clone(service));
        } else if !exports.contains("~") {
            let own = |to: &String| if to == "." { service.namespace.clone() } else { to.clone() };
            for namespace in exports.iter().map(own).collect::<BTreeSet<_>>() {
                self.exported.entry(namespace).or_default().push(Arc::clone(service));
            }
        }
    }

    /// `exportTo` or the mesh's default, bounded by `meshConfig.serviceEntryVisibility`.
    fn export_to(&self, service: &Service) -> BTreeSet<String> {
        let written = if service.export_to.is_empty() { &self.default_export_to } else { &service.export_to };
        if written.len() == 1 && written.contains("~") {
            return written.clone();
        }
        let nobody = || BTreeSet::from(["~".to_owned()]);
        match service.visibility {
            ServiceVisibility::Public => written.clone(),
            ServiceVisibility::None => nobody(),
            ServiceVisibility::Namespace => {
                let own = ["*", ".", &service.namespace].into_iter().any(|to| written.contains(to));
                if own { BTreeSet::from([".".to_owned()]) } else { nobody() }
            }
        }
    }

    /// Every service, in registry order.
    #[must_use]
    pub fn all(&self) -> &[Arc<Service>] {
        &self.all
    }

    /// What a namespace may see: first what is exported to it by name, then what is public.
    pub fn visible_to(&self, namespace: &str) -> impl Iterator<Item = &Arc<Service>> {
        self.exported.get(namespace).into_iter().flatten().chain(&self.public)
    }

    /// Whether a namespace may see a service.
    #[must_use]
    pub fn is_visible(&self, service: &Service, namespace: &str) -> bool {
        let sees = |exports: &BTreeSet<String>| {
            exports.contains("*")
                || exports.contains(namespace)
                || (exports.contains(".") && service.namespace == namespace)
        };
        match service.visibility {
            ServiceVisibility::Public if service.export_to.is_empty() => sees(&self.default_export_to),
            ServiceVisibility::Public => sees(&service.export_to),
            ServiceVisibility::Namespace | ServiceVisibility::None => sees(&self.export_to(service)),
        }
    }

    /// The services of a host, by namespace.
    pub fn by_host(&self, host: &str) -> Option<&BTreeMap<String, Arc<Service>>> {
        self.by_host.get(host)
    }
}

/// Registry order of services from several lists (istiod: `SortServicesByCreationTime`).
pub(super) fn sort_by_creation(services: &mut [Arc<Service>]) {
    services.sort_by(|a, b| {
        let key = |s: &Service| (s.created(), s.name.clone(), s.namespace.clone());
        key(a).cmp(&key(b))
    });
}
