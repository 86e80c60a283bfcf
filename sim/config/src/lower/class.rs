//! Proxy classes: pods to which istiod would send the same share one snapshot.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::sidecar_scope::SidecarScope;
use crate::mesh::Mesh;
use crate::mesh::proxy::{Proxy, ProxyKind};
use crate::mesh::service::{Resolution, UNSPECIFIED_IP};
use crate::resource::provider::ExtensionProvider;

/// What a snapshot depends on, of all that is known of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxyClass {
    kind: ProxyKind,
    namespace: String,
    labels: BTreeMap<String, String>,
    locality: String,
    /// Service ports that lead to the pod.
    targets: Vec<(u32, usize, u32)>,
    /// Where endpoints are chosen by node.
    node: Option<String>,
    /// Capture and proxy configuration, as text.
    configuration: String,
    /// Ports its containers declare, where it matters.
    declared: Vec<i64>,
    /// The address, where it matters: listeners of headless services leave out the pod's own.
    ip: Option<IpAddr>,
}

impl ProxyClass {
    /// The class of a proxy.
    #[must_use]
    pub fn new(mesh: &Mesh, scope: &SidecarScope, proxy: &Proxy) -> Self {
        let node_local = scope.services.iter().any(|s| s.node_local);
        ProxyClass {
            kind: proxy.kind,
            namespace: proxy.namespace.clone(),
            labels: labels(proxy),
            locality: proxy.locality.to_string(),
            targets: proxy.targets.iter().map(|t| (t.service.0, t.port, t.target_port)).collect(),
            node: proxy.node.clone().filter(|_| node_local),
            configuration: format!("{:?} {:?}", proxy.capture, proxy.config),
            // Authorizers on the loopback address are the pod's own.
            declared: match mesh.settings.extension_providers.iter().any(is_authorizer) {
                true => declared(mesh, proxy),
                false => Vec::new(),
            },
            ip: address_matters(mesh, scope, proxy).then_some(proxy.ip),
        }
    }
}

fn is_authorizer(provider: &ExtensionProvider) -> bool {
    provider.envoy_ext_authz_http.is_some() || provider.envoy_ext_authz_grpc.is_some()
}

fn declared(mesh: &Mesh, proxy: &Proxy) -> Vec<i64> {
    let containers = mesh.pod(proxy.pod).map(|pod| pod.spec.containers.as_slice()).unwrap_or_default();
    containers.iter().flat_map(|c| &c.ports).map(|p| i64::from(p.container_port)).collect()
}

/// Labels that every pod of a StatefulSet has to itself do not make classes.
fn labels(proxy: &Proxy) -> BTreeMap<String, String> {
    let own = ["statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"];
    proxy
        .labels
        .iter()
        .filter(|(key, _)| !own.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn address_matters(mesh: &Mesh, scope: &SidecarScope, proxy: &Proxy) -> bool {
    let sidecar = scope.sidecar.as_ref();
    if sidecar.is_some_and(|s| !s.spec.ingress.is_empty()) {
        return true;
    }
    let ip = proxy.ip.to_string();
    scope
        .services
        .iter()
        .filter(|s| s.resolution == Resolution::Passthrough && s.address == UNSPECIFIED_IP)
        .any(|s| mesh.endpoints.of(s).iter().any(|e| e.address == ip))
}
