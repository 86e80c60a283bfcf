//! The endpoints of every service, in the order istiod's shards hold them: ServiceEntries, then Kubernetes.
//!
//! semantics: istio-networking 1.3, 1.4. EDS clusters choose endpoints by port name, DNS clusters by port number; services of
//! one host and namespace share their endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::entry_endpoints::{WorkloadInstance, entry_instances, workload_entries};
use super::locality::augment_labels;
use super::meshconfig::MeshSettings;
use super::pod::Pod;
use super::pod_index::PodIndex;
use super::service::{Endpoint, Health, PodId, Port, Registry, Resolution, Service, TLS_MODE_DISABLED};
use crate::inventory::Inventory;
use crate::resource::endpoints::{EndpointConditions, EndpointPort};
use crate::resource::meta::Object;
use crate::resource::scalar::IntOrString;
use crate::resource::selector::is_subset;
use crate::resource::service::{Service as KubeService, ServicePort};
use crate::source::Span;

/// What endpoints depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndpointInput<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) settings: &'a MeshSettings,
    pub(super) pods: &'a [Pod],
    pub(super) index: &'a PodIndex,
    /// Network of the mesh.
    pub(super) network: &'a str,
}

/// Endpoints by the `key` of their services.
#[derive(Debug, Clone, Default)]
pub struct EndpointTable {
    by_service: BTreeMap<String, Vec<Endpoint>>,
}

impl EndpointTable {
    /// All endpoints of a service, whatever the port.
    pub fn of(&self, service: &Service) -> &[Endpoint] {
        self.by_service.get(&service.key).map_or(&[], Vec::as_slice)
    }

    /// Endpoints of one port for EDS clusters: those with the port's name.
    pub fn by_name<'a>(&'a self, service: &Service, port: &'a Port) -> impl Iterator<Item = &'a Endpoint> {
        self.of(service).iter().filter(|e| e.port_name == port.name)
    }

    /// Endpoints of one port for DNS and static clusters: by number where the endpoint has one, else by name
    /// (`CopyEndpoints`).
    pub fn by_number<'a>(&'a self, service: &Service, port: &'a Port) -> impl Iterator<Item = &'a Endpoint> {
        self.of(service).iter().filter(|e| match e.service_port {
            Some(number) => number == port.number,
            None => e.port_name == port.name,
        })
    }
}

/// Finds all endpoints.
pub(super) fn endpoints(services: &[Service], input: EndpointInput<'_>) -> EndpointTable {
    let pods: Vec<Arc<Made>> =
        input.pods.iter().map(|pod| Arc::new(Made::new(pod, input.settings))).collect();
    let workloads = workload_entries(input);
    let mut table: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    let mut entries: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (at, entry) in input.inventory.service_entries.iter().enumerate() {
        entries.insert((&entry.meta.namespace, &entry.meta.name), at);
    }
    // Ports of round-robin DNS services that have their one endpoint (`mergeServicesInstancesByNamespaceHost`).
    let mut round_robin: BTreeSet<(String, u32)> = BTreeSet::new();
    for service in services.iter().filter(|s| s.registry == Registry::External) {
        let at = entries.get(&(service.namespace.as_str(), service.object_name.as_str()));
        let Some(entry) = at.and_then(|at| input.inventory.service_entries.get(*at)) else { continue };
        for endpoint in entry_instances(service, entry, &workloads, &pods, input) {
            let port = (service.key.clone(), endpoint.service_port.unwrap_or_default());
            if service.resolution == Resolution::DnsRoundRobin && !round_robin.insert(port) {
                continue;
            }
            table.entry(service.key.clone()).or_default().push(endpoint);
        }
    }
    let slices = Manual::new(input);
    let kubernetes: BTreeMap<String, &Object<KubeService>> =
        input.inventory.services.iter().map(|s| (s.meta.key(), s.as_ref())).collect();
    for service in services.iter().filter(|s| s.registry == Registry::Kubernetes) {
        let Some(object) = kubernetes.get(&format!("{}/{}", service.namespace, service.object_name)) else {
            continue;
        };
        let mut found = kubernetes_endpoints(object, &pods, &slices, input);
        let mut seen = BTreeSet::new();
        found.retain(|e| seen.insert((e.address.clone(), e.port_name.clone())));
        found.extend(selected_workload_entries(service, object, &workloads));
        table.entry(service.key.clone()).or_default().extend(found);
    }
    EndpointTable { by_service: table }
}

/// What all endpoints of one pod share.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) service_account: Arc<str>,
    pub(super) tls_mode: Arc<str>,
    pub(super) network: Arc<str>,
}

impl Made {
    fn new(pod: &Pod, settings: &MeshSettings) -> Self {
        let labels = augment_labels(&pod.labels, &pod.locality, pod.node.as_deref(), &pod.network);
        let tls_mode = pod.labels.get("security.istio.io/tlsMode").map_or(TLS_MODE_DISABLED, String::as_str);
        Made {
            labels: Arc::new(labels),
            service_account: settings.spiffe_id(&pod.namespace, &pod.service_account).into(),
            tls_mode: tls_mode.into(),
            network: pod.network.as_str().into(),
        }
    }

    /// An endpoint of the pod (`NewEndpointBuilder`, `buildIstioEndpoint`).
    pub(super) fn endpoint(&self, id: PodId, pod: &Pod, port: u32, port_name: &str) -> Endpoint {
        Endpoint {
            address: pod.ip.to_string(),
            port,
            port_name: port_name.to_owned(),
            service_port: None,
            labels: Arc::clone(&self.labels),
            locality: pod.locality.clone(),
            weight: 1,
            tls_mode: Arc::clone(&self.tls_mode),
            health: Health::Healthy,
            service_account: Arc::clone(&self.service_account),
            network: Arc::clone(&self.network),
            namespace: pod.namespace.clone(),
            workload_name: pod.workload.clone(),
            pod: Some(id),
            node: pod.node.clone(),
            origin: pod.origin,
        }
    }
}

/// The EndpointSlice that a cluster would make from the selector with those that somebody else keeps beside it, or the
/// addresses given by hand.
fn kubernetes_endpoints(
    object: &Object<KubeService>,
    made: &[Arc<Made>],
    manual: &Manual<'_>,
    input: EndpointInput<'_>,
) -> Vec<Endpoint> {
    let spec = &object.spec;
    if spec.type_ == "ExternalName" {
        return Vec::new();
    }
    let Some(selector) = spec.selector.as_ref().filter(|s| !s.is_empty()) else {
        return manual.endpoints(object, made, input, |_| true);
    };
    let mut out = Vec::new();
    let by_hand = manual.endpoints(object, made, input, |address| address.added);
    for id in input.index.select(input.pods, &object.meta.namespace, selector) {
        let (Some(pod), Some(made)) = (input.pods.get(id.0 as usize), made.get(id.0 as usize)) else {
            continue;
        };
        for port in &spec.ports {
            if let Some(number) = pod.find_port(port) {
                out.push(made.endpoint(id, pod, number, &port.name));
            }
        }
    }
    out.extend(by_hand);
    out
}

/// Endpoints and EndpointSlices as written.
struct Manual<'a> {
    by_service: BTreeMap<String, Vec<ManualAddress<'a>>>,
}

struct ManualAddress<'a> {
    ip: &'a str,
    health: Health,
    pod: Option<String>,
    /// It counts beside what a selector selects.
    added: bool,
    ports: &'a [EndpointPort],
    origin: Span,
}

/// Who keeps an EndpointSlice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The cluster's own controller.
const SLICE_CONTROLLER: &str = "endpointslice-controller.k8s.io";

impl<'a> Manual<'a> {
    fn new(input: EndpointInput<'a>) -> Self {
        let mut by_service: BTreeMap<String, Vec<ManualAddress<'a>>> = BTreeMap::new();
        for object in &input.inventory.endpoint_slices {
            let Some(service) = object.meta.labels.get("kubernetes.io/service-name") else { continue };
            if object.spec.address_type == "FQDN" {
                continue;
            }
            // Slices of the cluster's own controller say what selectors and pods say already.
            let added = object.meta.labels.get(MANAGED_BY).is_none_or(|by| by != SLICE_CONTROLLER);
            let list = by_service.entry(format!("{}/{service}", object.meta.namespace)).or_default();
            for endpoint in &object.spec.endpoints {
                let health = slice_health(endpoint.conditions.as_ref());
                if health == Health::Terminating {
                    continue;
                }
                let pod = endpoint.target_ref.as_ref().filter(|t| t.kind == "Pod");
                list.extend(endpoint.addresses.iter().map(|ip| ManualAddress {
                    ip,
                    health,
                    pod: pod.map(|t| format!("{}/{}", t.namespace, t.name)),
                    added,
                    ports: &object.spec.ports,
                    origin: endpoint.origin,
                }));
            }
        }
        // A cluster mirrors Endpoints of services without selector into slices.
        for object in &input.inventory.endpoints {
            let list = by_service.entry(object.meta.key()).or_default();
            for subset in &object.spec.subsets {
                let ready = subset.addresses.iter().map(|a| (a, Health::Healthy));
                let unready = subset.not_ready_addresses.iter().map(|a| (a, Health::Unhealthy));
                list.extend(ready.chain(unready).map(|(address, health)| ManualAddress {
                    ip: &address.ip,
                    health,
                    pod: None,
                    // The controller of Endpoints overwrites those of a service with a selector.
                    added: false,
                    ports: &subset.ports,
                    origin: address.origin,
                }));
            }
        }
        Manual { by_service }
    }

    fn endpoints(
        &self,
        object: &Object<KubeService>,
        made: &[Arc<Made>],
        input: EndpointInput<'_>,
        counts: impl Fn(&ManualAddress<'_>) -> bool,
    ) -> Vec<Endpoint> {
        let mut out = Vec::new();
        let written = self.by_service.get(&object.meta.key()).map_or(&[][..], Vec::as_slice);
        for address in written.iter().filter(|address| counts(address)) {
            let id = match &address.pod {
                Some(key) => match input.index.by_key(key) {
                    // istiod waits for a pod that a slice names.
                    None => continue,
                    found => found,
                },
                None => address.ip.parse::<IpAddr>().ok().and_then(|ip| input.index.by_ip(ip)),
            };
            let pod = id.and_then(|id| {
                let pod = input.pods.get(id.0 as usize)?;
                let same = pod.namespace == object.meta.namespace || address.pod.is_some();
                same.then_some((id, pod, made.get(id.0 as usize)?))
            });
            for port in address.ports {
                let endpoint = match pod {
                    Some((id, pod, made)) => made.endpoint(id, pod, port.port, &port.name),
                    None => bare_endpoint(port, input.network),
                };
                let health =
                    if object.spec.publish_not_ready_addresses { Health::Healthy } else { address.health };
                out.push(Endpoint {
                    address: address.ip.to_owned(),
                    health,
                    origin: address.origin,
                    ..endpoint
                });
            }
        }
        out
    }
}

/// An address behind which no pod is known.
fn bare_endpoint(port: &EndpointPort, network: &str) -> Endpoint {
    Endpoint {
        address: String::new(),
        port: port.port,
        port_name: port.name.clone(),
        service_port: None,
        labels: Arc::new(augment_labels(
            &BTreeMap::new(),
            &super::locality::Locality::default(),
            None,
            network,
        )),
        locality: super::locality::Locality::default(),
        weight: 1,
        tls_mode: TLS_MODE_DISABLED.into(),
        health: Health::Healthy,
        service_account: "".into(),
        network: network.into(),
        namespace: String::new(),
        workload_name: String::new(),
        pod: None,
        node: None,
        origin: Span::NONE,
    }
}

/// `endpointHealthStatus` without persistent sessions: an absent `ready` is true, an absent `terminating` counts as true once
/// the endpoint is not ready.
fn slice_health(conditions: Option<&EndpointConditions>) -> Health {
    match conditions {
        None => Health::Healthy,
        Some(c) if c.ready != Some(false) => Health::Healthy,
        Some(c) if c.terminating != Some(false) => Health::Terminating,
        Some(_) => Health::Unhealthy,
    }
}

/// Kubernetes services also select WorkloadEntries of their namespace (`serviceInstancesFromWorkloadInstances`).
fn selected_workload_entries(
    service: &Service,
    object: &Object<KubeService>,
    workloads: &[WorkloadInstance],
) -> Vec<Endpoint> {
    if service.resolution != Resolution::ClientSideLb || service.selector.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    for port in &object.spec.ports {
        let candidates = workloads.iter().filter(|w| {
            !w.dns_only
                && w.endpoint.namespace == service.namespace
                && is_subset(&service.selector, &w.endpoint.labels)
        });
        out.extend(candidates.filter_map(|w| {
            let number = target_port_of(port, &w.ports)?;
            Some(Endpoint { port: number, port_name: port.name.clone(), ..w.endpoint.clone() })
        }));
    }
    out
}

/// A named target port must be in the entry's port map; a numbered one may be overridden there by the port's name.
fn target_port_of(port: &ServicePort, map: &BTreeMap<String, u32>) -> Option<u32> {
    let mapped = |name: &str| map.get(name).copied().filter(|p| *p != 0);
    match &port.target_port {
        Some(IntOrString::Text(name)) => mapped(name),
        Some(IntOrString::Int(number)) if *number > 0 => {
            mapped(&port.name).or_else(|| u32::try_from(*number).ok())
        }
        _ => Some(mapped(&port.name).unwrap_or(port.port)),
    }
}
