//! A pod as the mesh sees it. `workload` makes them, `injection` decides their data plane, `addresses` their IP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::locality::Locality;
use crate::resource::pod::{Container, PodSpec};
use crate::resource::scalar::IntOrString;
use crate::resource::service::ServicePort;
use crate::source::Span;

/// One pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Name: `<workload>-<ordinal>`, or its own for a Pod document.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// The workload that made it; its own name for a Pod document.
    pub workload: String,
    /// Kind of the workload (`Deployment` … `Pod`, or `Client` for pods that a test adds).
    pub kind: &'static str,
    /// Which of the workload's pods.
    pub ordinal: u32,
    /// Labels after injection.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Containers and the rest of the spec.
    pub spec: Arc<PodSpec>,
    /// Name below `subdomain`, if the pod has one.
    pub hostname: Option<String>,
    /// Headless service that gives the pod a DNS name.
    pub subdomain: Option<String>,
    /// Service account; `default` if none is named.
    pub service_account: String,
    /// Address.
    pub ip: IpAddr,
    /// Node it runs on, if known.
    pub node: Option<String>,
    /// Where it runs.
    pub locality: Locality,
    /// Network label of the pod, else of its namespace or the mesh; empty is the only one.
    pub network: String,
    /// Whether a proxy runs in it.
    pub data_plane: DataPlane,
    /// Why.
    pub data_plane_reason: &'static str,
    /// What of the pod itself is not modelled, in words: everything it sends or receives is unknown.
    pub not_modelled: Option<&'static str>,
    /// The document that makes it.
    pub origin: Span,
}

/// Whether a proxy runs in a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataPlane {
    /// None: plain bytes in and out.
    #[default]
    None,
    /// A sidecar captures its traffic.
    Sidecar,
    /// The pod is a gateway.
    Gateway,
}

impl Pod {
    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// `namespace/workload#ordinal`, the way references and records write it.
    pub fn reference(&self) -> String {
        format!("{}/{}#{}", self.namespace, self.workload, self.ordinal)
    }

    /// Whether a test added it; such a pod sends, and no service selects it.
    pub fn is_client(&self) -> bool {
        self.kind == CLIENT
    }

    /// The port of the pod that a service port leads to (`FindPort`): a number as given (absent is the service's), a name
    /// looked up among containers, then native sidecars, with the same transport protocol.
    pub fn find_port(&self, port: &ServicePort) -> Option<u32> {
        let name = match &port.target_port {
            None => return Some(port.port),
            Some(IntOrString::Int(0)) => return Some(port.port),
            Some(IntOrString::Int(number)) => return u32::try_from(*number).ok(),
            Some(IntOrString::Text(name)) => name,
        };
        let transport = |given: &str| if given.is_empty() { "TCP" } else { given }.to_owned();
        let wanted = transport(&port.protocol);
        let native = self.spec.init_containers.iter().filter(|c| is_native_sidecar(c));
        self.spec
            .containers
            .iter()
            .chain(native)
            .flat_map(|c| &c.ports)
            .find(|p| p.name == *name && transport(&p.protocol) == wanted)
            .map(|p| p.container_port)
    }
}

/// The kind of pods that a test adds.
pub const CLIENT: &str = "Client";

/// An init container that keeps running.
fn is_native_sidecar(container: &Container) -> bool {
    container.restart_policy == "Always"
}
