//! The model services, in registry order: Kubernetes Services and ServiceEntries as istiod converts them.
//!
//! semantics: istio-networking 1.1, 1.4, 1.5, 1.6. Registry order is creation time, then name (a ServiceEntry's host), then
//! namespace (`SortServicesByCreationTime`). Endpoints are found in `endpoints`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::addresses::AddressPool;
use super::meshconfig::MeshSettings;
use super::namespaces::Namespaces;
use super::protocol::Protocol;
use super::service::{
    Alias, Port, Registry, Resolution, Service, ServiceVisibility, TrafficDistribution, UNSPECIFIED_IP,
};
use crate::decode::Spanned;
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::inventory::Inventory;
use crate::resource::mesh_config::Visibility;
use crate::resource::meta::Object;
use crate::resource::service::Service as KubeService;
use crate::resource::service_entry::{Location, Resolution as EntryResolution, ServiceEntry};

/// DNS suffix of the cluster.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// What services depend on beside their documents.
#[derive(Debug, Clone, Copy)]
pub(super) struct RegistryInput<'a> {
    pub(super) settings: &'a MeshSettings,
    pub(super) namespaces: &'a Namespaces,
    /// `mesh.addresses.services`.
    pub(super) addresses: &'a BTreeMap<String, Spanned<String>>,
}

/// All services in registry order, and the address of every Kubernetes service that has one, by `namespace/name`.
pub(super) fn services(
    inventory: &Inventory,
    input: RegistryInput<'_>,
    out: &mut Vec<Diagnostic>,
) -> (Vec<Service>, BTreeMap<String, IpAddr>) {
    let cluster_ips = cluster_ips(inventory, input.addresses, out);
    let discovered =
        |namespace: &str| input.namespaces.is_discovered(namespace, &input.settings.discovery_selectors);
    let mut services: Vec<Service> = inventory
        .services
        .iter()
        .filter(|s| discovered(&s.meta.namespace))
        .map(|s| kubernetes(s, &cluster_ips, input))
        .collect();
    let mut vips = Vips::default();
    for entry in &inventory.service_entries {
        if discovered(&entry.meta.namespace) {
            services.extend(external(entry, input, &mut vips));
        }
    }
    // The sort is stable and Kubernetes comes first, as in the aggregate registry. Two ServiceEntries that istiod finds equal
    // come by object name here (there: in no particular order), addresses of one host as written.
    services.sort_by_cached_key(|s| {
        (s.created(), s.name.clone(), s.namespace.clone(), s.registry, s.object_name.clone())
    });
    resolve_aliases(&mut services);
    (services, cluster_ips)
}

/// Addresses of Kubernetes services: overridden, declared, or assigned by (namespace, name).
fn cluster_ips(
    inventory: &Inventory,
    overrides: &BTreeMap<String, Spanned<String>>,
    out: &mut Vec<Diagnostic>,
) -> BTreeMap<String, IpAddr> {
    let mut pool = AddressPool::services();
    let mut found = BTreeMap::new();
    let mut unassigned = Vec::new();
    let mut refuse = |key: &str, address: &str, span, why: &str| {
        let message = format!("address `{address}` of service `{key}`: {why}");
        out.push(Diagnostic::error(codes::BAD_ADDRESS, Stage::Analysis, span, message));
    };
    for object in &inventory.services {
        let spec = &object.spec;
        if spec.cluster_ip == "None" || (spec.type_ == "ExternalName" && spec.cluster_ip.is_empty()) {
            continue;
        }
        let key = object.meta.key();
        let (text, span) = match overrides.get(&key) {
            Some(given) => (given.value.as_str(), given.span),
            None if spec.cluster_ip.is_empty() => {
                unassigned.push((object.meta.namespace.clone(), object.meta.name.clone(), key));
                continue;
            }
            None => (spec.cluster_ip.as_str(), spec.origin),
        };
        match text.parse::<IpAddr>() {
            Ok(ip) if pool.reserve(ip) => {
                found.insert(key, ip);
            }
            Ok(_) => refuse(&key, text, span, "another service has it"),
            Err(_) => refuse(&key, text, span, "not an IP address"),
        }
    }
    for (key, given) in overrides {
        let headless = || inventory.services.iter().all(|s| s.meta.key() != *key);
        if !found.contains_key(key) && headless() {
            refuse(key, &given.value, given.span, "there is no such service");
        }
    }
    unassigned.sort();
    found.extend(unassigned.into_iter().map(|(_, _, key)| (key, pool.assign())));
    found
}

/// The FQDN of a Kubernetes service.
pub fn service_host(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.{CLUSTER_DOMAIN}")
}

/// `ConvertService`.
fn kubernetes(
    object: &Object<KubeService>,
    cluster_ips: &BTreeMap<String, IpAddr>,
    input: RegistryInput<'_>,
) -> Service {
    let (meta, spec) = (&object.meta, &object.spec);
    let annotation = |key: &str| meta.annotations.get(key).map(String::as_str).filter(|v| !v.is_empty());
    let list = |key: &str| annotation(key).into_iter().flat_map(|v| v.split(','));
    let host = service_host(&meta.name, &meta.namespace);
    let alias = spec.type_ == "ExternalName" && !spec.external_name.is_empty();
    let resolution = match spec.cluster_ip.as_str() {
        "None" => Resolution::Passthrough,
        _ if alias => Resolution::Alias,
        _ => Resolution::ClientSideLb,
    };
    let given = cluster_ips.get(&meta.key()).map(IpAddr::to_string);
    let extra =
        if given.is_some() { spec.cluster_ips.get(1..).unwrap_or_default().to_vec() } else { Vec::new() };
    let kubernetes_accounts = list("alpha.istio.io/kubernetes-serviceaccounts")
        .map(|account| input.settings.spiffe_id(&meta.namespace, account));
    Service {
        key: format!("{}/{host}", meta.namespace),
        host,
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        object_name: meta.name.clone(),
        registry: Registry::Kubernetes,
        origin: meta.origin,
        creation_timestamp: meta.creation_timestamp,
        ports: spec.ports.iter().map(kubernetes_port).collect(),
        resolution,
        address: given.unwrap_or_else(|| UNSPECIFIED_IP.to_owned()),
        extra_addresses: extra,
        auto_allocated: None,
        export_to: list("networking.istio.io/exportTo").map(|n| n.trim().to_owned()).collect(),
        visibility: ServiceVisibility::Public,
        mesh_external: alias,
        labels: meta.labels.clone(),
        selector: spec.selector.clone().unwrap_or_default(),
        service_accounts: list("alpha.istio.io/canonical-serviceaccounts")
            .map(str::to_owned)
            .chain(kubernetes_accounts)
            .collect(),
        external_name: alias.then(|| spec.external_name.clone()),
        aliases: Vec::new(),
        traffic_distribution: traffic_distribution(
            &spec.traffic_distribution,
            &meta.annotations,
            input.namespaces.annotations(&meta.namespace),
        ),
        node_local: spec.internal_traffic_policy == "Local",
        publish_not_ready: spec.publish_not_ready_addresses,
        passthrough_ports: BTreeMap::new(),
        service_type: spec.type_.clone(),
    }
}

fn kubernetes_port(port: &crate::resource::service::ServicePort) -> Port {
    Port {
        name: port.name.clone(),
        number: port.port,
        protocol: Protocol::of_service_port(
            port.port,
            &port.name,
            &port.protocol,
            port.app_protocol.as_deref(),
        ),
        origin: port.origin,
    }
}

/// `GetTrafficDistribution`: spec, then the service's annotation, then the namespace's. An unknown annotation value ends
/// the search, an unknown spec value does not.
fn traffic_distribution(
    spec: &str,
    service: &BTreeMap<String, String>,
    namespace: &BTreeMap<String, String>,
) -> TrafficDistribution {
    match spec {
        "PreferClose" | "PreferSameZone" => return TrafficDistribution::PreferSameZone,
        "PreferSameNode" => return TrafficDistribution::PreferSameNode,
        _ => {}
    }
    let annotation = |labels: &BTreeMap<String, String>| {
        labels.get("networking.istio.io/traffic-distribution").map(|v| v.to_ascii_lowercase())
    };
    let given = annotation(service).filter(|v| !v.is_empty()).or_else(|| annotation(namespace));
    match given.as_deref() {
        Some("preferclose" | "prefersamezone") => TrafficDistribution::PreferSameZone,
        Some("prefersamenode") => TrafficDistribution::PreferSameNode,
        _ => TrafficDistribution::Any,
    }
}

/// VIPs of ServiceEntries without addresses, in the order the entries are looked at (semantics: istio-networking 1.5).
#[derive(Debug, Default)]
struct Vips(u32);

impl Vips {
    fn next(&mut self) -> String {
        self.0 += 1;
        Ipv4Addr::from((240 << 24 | 240 << 16) + self.0).to_string()
    }
}

/// `convertServices`: one service per host and address.
fn external(object: &Object<ServiceEntry>, input: RegistryInput<'_>, vips: &mut Vips) -> Vec<Service> {
    let (meta, spec) = (&object.meta, &object.spec);
    let resolution = match spec.resolution {
        EntryResolution::None => Resolution::Passthrough,
        EntryResolution::Static => Resolution::ClientSideLb,
        EntryResolution::Dns => Resolution::DnsLb,
        EntryResolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        EntryResolution::DynamicDns => Resolution::DynamicDns,
    };
    let external_port = |port: &crate::resource::service_entry::ServicePort| Port {
        name: port.name.clone(),
        number: port.number,
        protocol: Protocol::parse(&port.protocol),
        origin: port.origin,
    };
    let overrides = spec.ports.iter().filter(|p| resolution == Resolution::Passthrough && p.target_port != 0);
    let refused =
        meta.labels.get("networking.istio.io/enable-autoallocate-ip").map(String::as_str) == Some("false");
    let allocates = spec.addresses.is_empty() && resolution != Resolution::Passthrough && !refused;
    let template = Service {
        host: String::new(),
        name: String::new(),
        namespace: meta.namespace.clone(),
        object_name: meta.name.clone(),
        key: String::new(),
        registry: Registry::External,
        origin: meta.origin,
        creation_timestamp: meta.creation_timestamp,
        ports: spec.ports.iter().map(external_port).collect(),
        resolution,
        address: UNSPECIFIED_IP.to_owned(),
        extra_addresses: Vec::new(),
        auto_allocated: None,
        export_to: spec.export_to.iter().cloned().collect(),
        visibility: visibility(&meta.namespace, input),
        mesh_external: spec.location == Location::MeshExternal,
        labels: meta.labels.clone(),
        selector: spec.workload_selector.as_ref().map(|s| s.labels.clone()).unwrap_or_default(),
        service_accounts: spec.subject_alt_names.clone(),
        external_name: None,
        aliases: Vec::new(),
        traffic_distribution: traffic_distribution(
            "",
            &meta.annotations,
            input.namespaces.annotations(&meta.namespace),
        ),
        node_local: false,
        publish_not_ready: false,
        passthrough_ports: overrides.map(|p| (p.number, p.target_port)).collect(),
        service_type: String::new(),
    };
    let mut services = Vec::new();
    for host in &spec.hosts {
        let named = Service {
            host: host.value.clone(),
            name: host.value.clone(),
            key: format!("{}/{}", meta.namespace, host.value),
            ..template.clone()
        };
        let wildcard = host.value.starts_with('*');
        if spec.addresses.is_empty() {
            let vip = allocates && (!wildcard || resolution == Resolution::DynamicDns);
            services.push(Service { auto_allocated: vip.then(|| vips.next()), ..named });
            continue;
        }
        let addresses = spec.addresses.iter().filter_map(|a| entry_address(a));
        services.extend(addresses.map(|address| Service { address, ..named.clone() }));
    }
    services
}

/// An address of a ServiceEntry; a full-length prefix is the address itself, anything else than IP or CIDR is dropped.
fn entry_address(text: &str) -> Option<String> {
    if text.parse::<IpAddr>().is_ok() {
        return Some(text.to_owned());
    }
    let network = text.parse::<ipnet::IpNet>().ok()?;
    if network.prefix_len() == network.max_prefix_len() {
        return Some(network.addr().to_string());
    }
    Some(text.to_owned())
}

/// `serviceEntryVisibility`: the first policy all of whose rules hold for the namespace, else the default.
fn visibility(namespace: &str, input: RegistryInput<'_>) -> ServiceVisibility {
    let Some(config) = input.settings.service_entry_visibility.as_ref().filter(|c| c.apply_to_sidecars)
    else {
        return ServiceVisibility::Public;
    };
    let labels = input.namespaces.labels(namespace);
    let policy = config.policies.iter().find(|policy| {
        // No rule at all is a catch-all.
        policy
            .matching_rules
            .iter()
            .all(|rule| rule.namespace_selector.as_ref().is_some_and(|s| s.matches(labels) == Some(true)))
    });
    match policy.map_or(config.default_visibility, |p| p.visibility) {
        Visibility::Unspecified | Visibility::Public => ServiceVisibility::Public,
        Visibility::Namespace => ServiceVisibility::Namespace,
        Visibility::None => ServiceVisibility::None,
    }
}

/// `resolveServiceAliases`: chains are followed to their end, loops lead nowhere (semantics: istio-networking 1.6).
fn resolve_aliases(services: &mut [Service]) {
    let mut target: BTreeMap<String, String> = BTreeMap::new();
    let is_alias = |s: &Service| s.resolution == Resolution::Alias;
    for service in services.iter().filter(|s| is_alias(s)) {
        if let Some(name) = &service.external_name {
            target.insert(service.host.clone(), name.clone());
        }
    }
    if target.is_empty() {
        return;
    }
    let mut aliases: BTreeMap<String, Vec<Alias>> = BTreeMap::new();
    for service in services.iter().filter(|s| is_alias(s)) {
        let Some(mut end) = service.external_name.as_ref() else { continue };
        let mut seen: BTreeSet<&str> = BTreeSet::from([service.host.as_str(), end.as_str()]);
        let mut looped = false;
        while let Some(next) = target.get(end) {
            if !seen.insert(next) {
                looped = true;
                break;
            }
            end = next;
        }
        if !looped {
            let alias = Alias { namespace: service.namespace.clone(), host: service.host.clone() };
            aliases.entry(end.clone()).or_default().push(alias);
        }
    }
    for service in services.iter_mut() {
        if let Some(found) = aliases.get(&service.host) {
            service.aliases.clone_from(found);
            service.aliases.sort();
        }
    }
}

/// How diagnostics name a service's document.
pub fn reference(service: &Service) -> ObjectRef {
    let kind = match service.registry {
        Registry::Kubernetes => "Service",
        Registry::External => "ServiceEntry",
    };
    ObjectRef {
        kind: kind.to_owned(),
        namespace: service.namespace.clone(),
        name: service.object_name.clone(),
    }
}
