//! Which pods a security policy is for, and what is known of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::lower::Lowering;
use crate::lower::security::attachment::{Scope, Workload};
use crate::mesh::pod::{DataPlane, Pod};
use crate::mesh::protocol::Protocol;
use crate::mesh::service::PodId;
use crate::resource::authorization_policy::AuthorizationPolicy;
use crate::resource::meta::Object;
use crate::resource::selector::{MatchLabels, is_subset};

/// The pods of a mesh, ready to be asked for.
pub(super) struct Attached<'a> {
    lowering: &'a Lowering,
    /// Pods of the manifests.
    pub(super) pods: Vec<(u32, &'a Pod)>,
    /// Service ports that lead to a pod: workload port -> (service port, service, protocol).
    targets: BTreeMap<u32, Vec<Target<'a>>>,
}

/// A service port that leads to a pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) service: &'a str,
    pub(super) service_port: u32,
    pub(super) pod_port: u32,
    pub(super) protocol: Protocol,
}

impl<'a> Attached<'a> {
    pub(super) fn new(lowering: &'a Lowering) -> Self {
        let mesh = &lowering.mesh;
        let mut targets: BTreeMap<u32, Vec<Target<'a>>> = BTreeMap::new();
        for service in &mesh.services {
            for endpoint in mesh.endpoints.of(service) {
                let port = service.ports.iter().find(|p| p.name == endpoint.port_name);
                let (Some(pod), Some(port)) = (endpoint.pod, port) else { continue };
                targets.entry(pod.0).or_default().push(Target {
                    service: &service.host,
                    service_port: port.number,
                    pod_port: endpoint.port,
                    protocol: port.protocol,
                });
            }
        }
        let pods = mesh.pods.iter().enumerate().filter(|(_, p)| !p.is_client());
        Attached { lowering, pods: pods.map(|(id, p)| (id as u32, p)).collect(), targets }
    }

    /// Service ports that lead to a pod.
    pub(super) fn targets(&self, pod: u32) -> &[Target<'a>] {
        self.targets.get(&pod).map_or(&[], Vec::as_slice)
    }

    /// The pods an AuthorizationPolicy is enforced at: those with proxies that it covers.
    pub(super) fn enforced(&self, policy: &Object<AuthorizationPolicy>) -> Vec<(u32, &'a Pod)> {
        self.covered(&Scope::from(policy))
    }

    /// The pods with proxies that a scope covers.
    pub(super) fn covered(&self, scope: &Scope<'_>) -> Vec<(u32, &'a Pod)> {
        let mesh = &self.lowering.mesh;
        let covers = |id: u32| {
            let proxy = mesh.proxy_of(PodId(id)).and_then(|p| mesh.proxy(p));
            proxy.is_some_and(|p| {
                let workload = Workload { namespace: &p.namespace, labels: &p.labels };
                scope.covers(workload, &mesh.settings.root_namespace)
            })
        };
        self.pods.iter().copied().filter(|(id, _)| covers(*id)).collect()
    }

    /// The pods, with or without proxies, that a selector of a namespace names; the root namespace's reach everywhere.
    pub(super) fn selected(
        &self,
        namespace: &str,
        selector: Option<&MatchLabels>,
        everywhere: bool,
    ) -> Vec<(u32, &'a Pod)> {
        let fits = |pod: &Pod| {
            (everywhere || pod.namespace == namespace)
                && selector.is_none_or(|s| is_subset(&s.match_labels, &pod.labels))
        };
        self.pods.iter().copied().filter(|(_, p)| fits(p)).collect()
    }

    /// `ns/workload` of some pods, each once.
    pub(super) fn names(pods: &[(u32, &Pod)]) -> Vec<String> {
        let all: BTreeSet<String> =
            pods.iter().map(|(_, p)| format!("{}/{}", p.namespace, p.workload)).collect();
        all.into_iter().collect()
    }

    /// Namespaces that have pods or are declared.
    pub(super) fn namespaces(&self) -> BTreeSet<&'a str> {
        let declared = self.lowering.mesh.inventory.namespaces.iter().map(|n| n.meta.name.as_str());
        self.pods.iter().map(|(_, p)| p.namespace.as_str()).chain(declared).collect()
    }

    /// Whether a pod has a sidecar.
    pub(super) fn has_sidecar(pod: &Pod) -> bool {
        pod.data_plane == DataPlane::Sidecar
    }
}

/// The first names and how many more there are.
pub(super) fn some(names: &[String]) -> String {
    let head = names.iter().take(3).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(3) {
        0 => head,
        more => format!("{head} and {more} more"),
    }
}
