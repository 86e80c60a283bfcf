//! Proxies: the pods that have one, and what istiod knows about each (`model.Proxy`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::capture::Capture;
use super::config_layers;
use super::endpoints::EndpointTable;
use super::locality::{Locality, augment_labels};
use super::meshconfig::{MeshSettings, overlay_proxy};
use super::pod::{DataPlane, Pod};
use super::pod_index::PodIndex;
use super::service::{PodId, Registry, Resolution, Service, ServiceId};
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::inventory::Inventory;
use crate::resource::meta::Object;
use crate::resource::proxy_config::ProxyConfig;
use crate::resource::service::Service as KubeService;
use crate::source::Span;

/// Index into [`Mesh::proxies`](super::Mesh::proxies).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyId(pub u32);

/// What a proxy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyKind {
    /// Beside an application.
    Sidecar,
    /// At an edge of the mesh.
    Gateway,
}

/// One proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// `namespace/pod`.
    pub id: String,
    /// Its pod.
    pub pod: PodId,
    /// What it is for.
    pub kind: ProxyKind,
    /// Namespace.
    pub namespace: String,
    /// Labels of the pod with istiod's, which selectors and `sourceLabels` see.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Address.
    pub ip: IpAddr,
    /// Where it runs.
    pub locality: Locality,
    /// Network; empty is the only one.
    pub network: String,
    /// Node it runs on, if known.
    pub node: Option<String>,
    /// Service account.
    pub service_account: String,
    /// SPIFFE id of its certificate.
    pub identity: String,
    /// Service ports that lead to this pod, oldest service first (`SetServiceTargets`).
    pub targets: Vec<ServiceTarget>,
    /// What is captured; a gateway captures nothing.
    pub capture: Capture,
    /// Its configuration: the mesh's `defaultConfig` and the annotation `proxy.istio.io/config`.
    pub config: ProxyConfig,
    /// The document that makes the pod.
    pub origin: Span,
}

/// A service port that leads to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceTarget {
    /// The service.
    pub service: ServiceId,
    /// Index into its ports.
    pub port: usize,
    /// Port of the pod.
    pub target_port: u32,
}

/// What proxies depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProxyInput<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) settings: &'a MeshSettings,
    pub(super) pods: &'a [Pod],
    pub(super) index: &'a PodIndex,
    pub(super) services: &'a [Service],
    pub(super) endpoints: &'a EndpointTable,
}

/// All proxies, in the order of their pods.
pub(super) fn proxies(input: ProxyInput<'_>, out: &mut Vec<Diagnostic>) -> Vec<Proxy> {
    let targets = Targets::new(input);
    let mut proxies = Vec::new();
    for (id, pod) in (0..).map(PodId).zip(input.pods) {
        let kind = match pod.data_plane {
            DataPlane::None => continue,
            DataPlane::Sidecar => ProxyKind::Sidecar,
            DataPlane::Gateway => ProxyKind::Gateway,
        };
        let config = proxy_config(pod, input.settings, out);
        let (capture, problems) = Capture::new(&pod.annotations, &config);
        if kind == ProxyKind::Sidecar && pod.ordinal == 0 {
            out.extend(problems.into_iter().map(|problem| bad_annotation(pod, problem)));
        }
        proxies.push(Proxy {
            id: pod.key(),
            pod: id,
            kind,
            namespace: pod.namespace.clone(),
            labels: Arc::new(augment_labels(&pod.labels, &pod.locality, pod.node.as_deref(), &pod.network)),
            ip: pod.ip,
            locality: pod.locality.clone(),
            network: pod.network.clone(),
            node: pod.node.clone(),
            service_account: pod.service_account.clone(),
            identity: input.settings.spiffe_id(&pod.namespace, &pod.service_account),
            targets: targets.of(id, pod, input),
            capture,
            config,
            origin: pod.origin,
        });
    }
    proxies
}

fn bad_annotation(pod: &Pod, message: String) -> Diagnostic {
    let object =
        ObjectRef { kind: pod.kind.to_owned(), namespace: pod.namespace.clone(), name: pod.workload.clone() };
    Diagnostic::error(codes::BAD_MESH_CONFIG, Stage::Analysis, pod.origin, message)
        .help("the injection webhook refuses such a pod")
        .object(object)
}

fn proxy_config(pod: &Pod, settings: &MeshSettings, out: &mut Vec<Diagnostic>) -> ProxyConfig {
    let mut config = settings.default_config.clone();
    let Some(text) = pod.annotations.get("proxy.istio.io/config") else { return config };
    match config_layers::proxy_config(text) {
        Ok(own) => overlay_proxy(&mut config, own),
        Err(why) if pod.ordinal == 0 => {
            out.push(bad_annotation(pod, format!("annotation `proxy.istio.io/config`: {why}")));
        }
        Err(_) => {}
    }
    config
}

/// A Kubernetes service with its document.
type KubernetesService<'a> = (ServiceId, &'a Service, &'a Object<KubeService>);

/// Service ports by pod.
struct Targets<'a> {
    /// Kubernetes services by the pods they select.
    selecting: BTreeMap<PodId, Vec<KubernetesService<'a>>>,
    /// Kubernetes services without selector, by namespace.
    by_hand: BTreeMap<&'a str, Vec<(ServiceId, &'a Service)>>,
    /// Ports of ServiceEntries by endpoint address.
    external: BTreeMap<&'a str, Vec<(ServiceId, &'a Service, ServiceTarget)>>,
}

impl<'a> Targets<'a> {
    fn new(input: ProxyInput<'a>) -> Self {
        let objects: BTreeMap<String, &Object<KubeService>> =
            input.inventory.services.iter().map(|s| (s.meta.key(), s.as_ref())).collect();
        let mut targets =
            Targets { selecting: BTreeMap::new(), by_hand: BTreeMap::new(), external: BTreeMap::new() };
        // Services of one host and namespace share their endpoints, each counted once.
        let mut seen: BTreeMap<&str, ServiceId> = BTreeMap::new();
        for (id, service) in (0..).map(ServiceId).zip(input.services) {
            match service.registry {
                Registry::Kubernetes => {
                    if service.selector.is_empty() && service.resolution != Resolution::Alias {
                        targets.by_hand.entry(&service.namespace).or_default().push((id, service));
                    }
                    let key = format!("{}/{}", service.namespace, service.object_name);
                    let Some(object) = objects.get(&key) else { continue };
                    for pod in input.index.select(input.pods, &service.namespace, &service.selector) {
                        targets.selecting.entry(pod).or_default().push((id, service, object));
                    }
                }
                Registry::External => {
                    if *seen.entry(&service.key).or_insert(id) != id {
                        continue;
                    }
                    for endpoint in input.endpoints.of(service) {
                        let port = service.ports.iter().position(|p| p.name == endpoint.port_name);
                        let (Some(port), Some(_)) = (port, endpoint.service_port) else { continue };
                        let target = ServiceTarget { service: id, port, target_port: endpoint.port };
                        targets.external.entry(&endpoint.address).or_default().push((id, service, target));
                    }
                }
            }
        }
        targets
    }

    fn of(&self, id: PodId, pod: &Pod, input: ProxyInput<'_>) -> Vec<ServiceTarget> {
        if pod.is_client() {
            return Vec::new();
        }
        let ip = pod.ip.to_string();
        let mut found = Vec::new();
        for (service_id, service, object) in self.selecting.get(&id).map_or(&[][..], Vec::as_slice) {
            found.extend(of_selector(*service_id, service, object, pod));
        }
        if !self.selecting.contains_key(&id) {
            // Services without selector whose addresses were given by hand.
            for (id, service) in self.by_hand.get(pod.namespace.as_str()).map_or(&[][..], Vec::as_slice) {
                let here = input.endpoints.of(service).iter().filter(|e| e.address == ip);
                found.extend(here.filter_map(|e| {
                    let port = service.ports.iter().position(|p| p.name == e.port_name)?;
                    Some(ServiceTarget { service: *id, port, target_port: e.port })
                }));
            }
        }
        let external = self.external.get(ip.as_str()).map_or(&[][..], Vec::as_slice);
        let same_namespace = external.iter().filter(|(_, service, _)| service.namespace == pod.namespace);
        found.extend(same_namespace.map(|(_, _, target)| *target));
        found.sort_by_cached_key(|target| {
            let service = input.services.get(target.service.0 as usize);
            service.map(|s| (s.created(), s.host.clone()))
        });
        found
    }
}

/// `GetProxyServiceTargetsByPod`: of several service ports with the same target port and protocol only the first counts.
fn of_selector(
    id: ServiceId,
    service: &Service,
    object: &Object<KubeService>,
    pod: &Pod,
) -> Vec<ServiceTarget> {
    let mut found: Vec<ServiceTarget> = Vec::new();
    for (index, (port, written)) in service.ports.iter().zip(&object.spec.ports).enumerate() {
        let Some(target_port) = pod.find_port(written) else { continue };
        let same = |t: &ServiceTarget| {
            t.target_port == target_port
                && service.ports.get(t.port).is_some_and(|p| p.protocol == port.protocol)
        };
        if !found.iter().any(same) {
            found.push(ServiceTarget { service: id, port: index, target_port });
        }
    }
    found
}
