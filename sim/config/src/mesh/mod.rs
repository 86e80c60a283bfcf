//! The mesh model: what exists once all objects are applied, before anybody asks what a proxy is sent.
//!
//! ```text
//! Inventory -> config_layers, meshconfig   effective mesh configuration
//!           -> made_up                     the ingress gateway nobody wrote
//!           -> workload, pods              pods (addresses, placement, injection decide the rest of a pod)
//!           -> registry                    services in registry order
//!           -> endpoints, entry_endpoints  their endpoints
//!           -> proxy, capture              proxies
//!           -> cluster_dns                 what names and addresses lead to
//! ```
//!
//! semantics: istio-networking 1, 9, 10. Who may see what (`exportTo`, Sidecars) and what is generated is `lower`'s.

pub mod addresses;
pub mod capture;
pub mod cluster_dns;
pub mod config_layers;
pub mod endpoints;
mod entry_endpoints;
pub mod features;
pub mod ingress;
pub mod injection;
pub mod locality;
mod made_up;
pub mod meshconfig;
pub mod namespaces;
pub mod placement;
pub mod pod;
pub mod pod_index;
mod pods;
pub mod protocol;
pub mod proxy;
pub mod registry;
pub mod service;
pub mod workload;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::decode::Spanned;
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::inventory::Inventory;
use crate::resource::mesh_config::MeshConfig;

use endpoints::{EndpointInput, EndpointTable};
use meshconfig::{MeshSettings, Outside};
use namespaces::Namespaces;
use placement::Nodes;
use pod::Pod;
use pod_index::PodIndex;
use proxy::{Proxy, ProxyId, ProxyInput};
use registry::RegistryInput;
use service::{PodId, Registry, Service, ServiceId};
use workload::ClientPod;

/// What a mesh is made from beside its manifests.
#[derive(Debug, Clone)]
pub struct MeshOptions {
    /// Mesh configuration given beside the manifests, lowest layer first; wins over what manifests hold.
    pub config: Vec<MeshConfig>,
    /// Whether namespaces that no manifest declares are injected (`mesh.injection`).
    pub injection: bool,
    /// Addresses of pods by `namespace/name` (`mesh.addresses.pods`).
    pub pod_addresses: BTreeMap<String, Spanned<String>>,
    /// Namespace and name of pods that exist at other times only: their addresses are theirs already.
    pub other_pods: BTreeSet<(String, String)>,
    /// Addresses of services by `namespace/name` (`mesh.addresses.services`).
    pub service_addresses: BTreeMap<String, Spanned<String>>,
    /// Client pods that no manifest defines, by first appearance.
    pub clients: Vec<ClientPod>,
    /// What parties outside the manifests answer (`mesh.authorizers`, `mesh.jwks`).
    pub outside: Outside,
}

impl Default for MeshOptions {
    fn default() -> Self {
        MeshOptions {
            config: Vec::new(),
            injection: true,
            pod_addresses: BTreeMap::new(),
            other_pods: BTreeSet::new(),
            service_addresses: BTreeMap::new(),
            clients: Vec::new(),
            outside: Outside::default(),
        }
    }
}

/// Everything that exists.
#[derive(Debug, Clone)]
pub struct Mesh {
    /// The objects, made-up ones included, without the Istio resources of namespaces that istiod does not look at.
    pub inventory: Inventory,
    /// Effective mesh configuration.
    pub settings: MeshSettings,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// Services in registry order.
    pub services: Vec<Service>,
    /// Endpoints of services.
    pub endpoints: EndpointTable,
    /// Pods: those of the manifests by namespace and name, then clients.
    pub pods: Vec<Pod>,
    /// Proxies, in the order of their pods.
    pub proxies: Vec<Proxy>,
    /// Address of every Kubernetes service that has one, by `namespace/name`.
    pub cluster_ips: BTreeMap<String, IpAddr>,
    pod_index: PodIndex,
    services_by_host: BTreeMap<String, Vec<ServiceId>>,
    services_by_address: BTreeMap<IpAddr, ServiceId>,
    proxies_by_pod: BTreeMap<PodId, ProxyId>,
}

impl Mesh {
    /// Makes the mesh. All problems are reported; the mesh is as complete as they allow.
    pub fn new(mut inventory: Inventory, options: &MeshOptions) -> (Self, Vec<Diagnostic>) {
        let mut out = Vec::new();
        let mut layers = config_layers::of_manifests(&inventory, &mut out);
        layers.extend(options.config.iter().cloned());
        let mut settings = MeshSettings::new(layers);
        settings.outside = options.outside.clone();
        let root = settings.root_namespace.clone();
        settings.features = features::Features::of_manifests(&inventory, &root);
        made_up::add_ingress_gateway(&mut inventory, &settings, &mut out);
        let namespaces = Namespaces::new(&inventory.namespaces, options.injection, &root);
        let discovers = |namespace: &str| namespaces.is_discovered(namespace, &settings.discovery_selectors);
        out.extend(undiscovered_services(&inventory, discovers));
        inventory.retain_istio(discovers);
        let network = namespaces.labels(&root).get("topology.istio.io/network").cloned().unwrap_or_default();
        let nodes = Nodes::new(&inventory);
        let pod_input = pods::PodInput {
            namespaces: &namespaces,
            nodes: &nodes,
            addresses: &options.pod_addresses,
            others: &options.other_pods,
            clients: &options.clients,
            network: &network,
        };
        let pods = pods::pods(&inventory, pod_input, &mut out);
        let pod_index = PodIndex::new(&pods);
        let registry_input = RegistryInput {
            settings: &settings,
            namespaces: &namespaces,
            addresses: &options.service_addresses,
        };
        let (services, cluster_ips) = registry::services(&inventory, registry_input, &mut out);
        let endpoint_input = EndpointInput {
            inventory: &inventory,
            settings: &settings,
            pods: &pods,
            index: &pod_index,
            network: &network,
        };
        let endpoints = endpoints::endpoints(&services, endpoint_input);
        let proxy_input = ProxyInput {
            inventory: &inventory,
            settings: &settings,
            pods: &pods,
            index: &pod_index,
            services: &services,
            endpoints: &endpoints,
        };
        let proxies = proxy::proxies(proxy_input, &mut out);
        let mesh = Mesh {
            services_by_host: by_host(&services),
            services_by_address: by_address(&services),
            proxies_by_pod: (0..).map(ProxyId).zip(&proxies).map(|(id, p)| (p.pod, id)).collect(),
            inventory,
            settings,
            namespaces,
            services,
            endpoints,
            pods,
            proxies,
            cluster_ips,
            pod_index,
        };
        (mesh, out)
    }

    /// A service.
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.services.get(id.0 as usize)
    }

    /// A pod.
    pub fn pod(&self, id: PodId) -> Option<&Pod> {
        self.pods.get(id.0 as usize)
    }

    /// A proxy.
    pub fn proxy(&self, id: ProxyId) -> Option<&Proxy> {
        self.proxies.get(id.0 as usize)
    }

    /// All services of this host, in registry order.
    pub fn services_of<'a>(&'a self, host: &str) -> impl Iterator<Item = &'a Service> + use<'a> {
        self.service_ids_of(host).iter().filter_map(|id| self.service(*id))
    }

    /// All services of this host, in registry order.
    pub fn service_ids_of(&self, host: &str) -> &[ServiceId] {
        self.services_by_host.get(host).map_or(&[], Vec::as_slice)
    }

    /// The Kubernetes service with this address.
    pub fn service_by_address(&self, address: IpAddr) -> Option<ServiceId> {
        self.services_by_address.get(&address).copied()
    }

    /// The pod with this `namespace/name`.
    pub fn pod_by_key(&self, key: &str) -> Option<PodId> {
        self.pod_index.by_key(key)
    }

    /// The pod with this address.
    pub fn pod_by_ip(&self, ip: IpAddr) -> Option<PodId> {
        self.pod_index.by_ip(ip)
    }

    /// The pods of a workload, by ordinal.
    pub fn pods_of_workload(&self, namespace: &str, workload: &str) -> Vec<PodId> {
        let mut found: Vec<(u32, PodId)> = (0..)
            .map(PodId)
            .zip(&self.pods)
            .filter(|(_, pod)| pod.namespace == namespace && pod.workload == workload)
            .map(|(id, pod)| (pod.ordinal, id))
            .collect();
        found.sort();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// Pods of a namespace with all of these labels; none for an empty selector.
    pub fn pods_by_labels(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<PodId> {
        self.pod_index.select(&self.pods, namespace, labels)
    }

    /// The proxy of a pod.
    pub fn proxy_of(&self, pod: PodId) -> Option<ProxyId> {
        self.proxies_by_pod.get(&pod).copied()
    }

    /// The port of the pod that a connection to `port` of the proxy's Services arrives at (how clients outside reach a
    /// gateway); the oldest service decides. `None` refuses the connection: no Service of the pod has the port.
    pub fn entry_port(&self, proxy: &Proxy, port: u32) -> Option<u32> {
        let number = |t: &proxy::ServiceTarget| self.service(t.service)?.ports.get(t.port).map(|p| p.number);
        proxy.targets.iter().find(|t| number(t) == Some(port)).map(|t| t.target_port)
    }

    /// Whether istiod looks at objects of this namespace (`meshConfig.discoverySelectors`).
    pub fn is_discovered(&self, namespace: &str) -> bool {
        self.namespaces.is_discovered(namespace, &self.settings.discovery_selectors)
    }

    /// The identities a client expects of the servers of a service: those of all its endpoints and those declared for it,
    /// each in every trust domain, sorted (semantics: istio-security 1.5).
    pub fn service_accounts(&self, service: &Service) -> Vec<String> {
        // Services of one host and namespace overwrite each other's declared accounts; the last one stands.
        let last = self.services_of(&service.host).filter(|s| s.namespace == service.namespace).last();
        let declared = last.map_or(&[][..], |s| s.service_accounts.as_slice());
        let own = self.endpoints.of(service).iter().map(|e| &*e.service_account).filter(|a| !a.is_empty());
        let mut all: BTreeSet<String> =
            own.chain(declared.iter().map(String::as_str)).map(str::to_owned).collect();
        for account in all.clone() {
            let Some((_, rest)) = account.strip_prefix("spiffe://").and_then(|a| a.split_once('/')) else {
                continue;
            };
            for alias in &self.settings.trust_domain_aliases {
                all.insert(format!("spiffe://{alias}/{rest}"));
            }
        }
        all.into_iter().collect()
    }
}

/// kube-proxy and DNS serve namespaces that istiod ignores; this model does not.
fn undiscovered_services(inventory: &Inventory, discovers: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    let hidden = inventory.services.iter().filter(|s| !discovers(&s.meta.namespace));
    hidden
        .map(|s| {
            let message = format!(
                "`discoverySelectors` leave out Service `{}`: calls to it are not simulated",
                s.meta.key()
            );
            let object = ObjectRef {
                kind: "Service".to_owned(),
                namespace: s.meta.namespace.clone(),
                name: s.meta.name.clone(),
            };
            Diagnostic::warning(codes::NOT_MODELLED, Stage::Support, s.meta.origin, message).object(object)
        })
        .collect()
}

fn by_host(services: &[Service]) -> BTreeMap<String, Vec<ServiceId>> {
    let mut index: BTreeMap<String, Vec<ServiceId>> = BTreeMap::new();
    for (id, service) in (0..).map(ServiceId).zip(services) {
        index.entry(service.host.clone()).or_default().push(id);
    }
    index
}

/// Addresses that kube-proxy serves.
fn by_address(services: &[Service]) -> BTreeMap<IpAddr, ServiceId> {
    let mut index = BTreeMap::new();
    for (id, service) in (0..).map(ServiceId).zip(services) {
        if service.registry == Registry::Kubernetes {
            let all = std::iter::once(&service.address).chain(&service.extra_addresses);
            for ip in all.filter(|a| *a != service::UNSPECIFIED_IP).filter_map(|a| a.parse().ok()) {
                index.entry(ip).or_insert(id);
            }
        }
    }
    index
}
