//! Endpoints of ServiceEntries: inline ones, selected pods and WorkloadEntries, and the host itself
//! (`serviceentry/conversion.go`; semantics: istio-networking 1.4, istio-security 1.2).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::endpoints::{EndpointInput, Made};
use super::locality::{Locality, augment_labels};
use super::service::{Endpoint, Health, PodId, Resolution, Service, TLS_MODE_DISABLED, TLS_MODE_ISTIO};
use crate::resource::meta::Object;
use crate::resource::selector::is_subset;
use crate::resource::service_entry::{ServiceEntry, ServicePort};
use crate::resource::workload_entry::WorkloadEntry;
use crate::source::Span;

/// A WorkloadEntry, or an inline endpoint, before it is joined with a service.
#[derive(Debug)]
pub(super) struct WorkloadInstance {
    pub(super) endpoint: Endpoint,
    /// Port name to number.
    pub(super) ports: BTreeMap<String, u32>,
    /// Its address is a name or a socket: only DNS services take it.
    pub(super) dns_only: bool,
}

const UNIX_PREFIX: &str = "unix://";

/// All WorkloadEntries by namespace and name. Those under health checking are absent: their condition is part of the status,
/// which manifests do not carry.
pub(super) fn workload_entries(input: EndpointInput<'_>) -> Vec<WorkloadInstance> {
    let checked = |value: Option<&String>| {
        matches!(value.map(String::as_str), Some("1" | "t" | "T" | "TRUE" | "true" | "True"))
    };
    let mut entries: Vec<_> = input
        .inventory
        .workload_entries
        .iter()
        .filter(|o| !checked(o.meta.annotations.get("proxy.istio.io/health-checks-enabled")))
        .collect();
    entries.sort_by_key(|o| (&o.meta.namespace, &o.meta.name));
    entries
        .into_iter()
        .map(|object| {
            // Labels of the metadata win over those of the spec (`ConvertWorkloadEntry`).
            let mut spec = object.spec.clone();
            spec.labels.extend(object.meta.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
            let origin = object.meta.origin;
            instance(&spec, &object.meta.namespace, &object.meta.name, origin, input)
        })
        .collect()
}

/// `convertWorkloadEntryToWorkloadInstance`.
fn instance(
    spec: &WorkloadEntry,
    namespace: &str,
    name: &str,
    origin: Span,
    input: EndpointInput<'_>,
) -> WorkloadInstance {
    let address = spec.address.clone();
    let locality = match spec.locality.as_str() {
        "" => Locality::of_labels(&spec.labels).unwrap_or_default(),
        text => Locality::parse(text),
    };
    let tls_mode = match spec.labels.get("security.istio.io/tlsMode") {
        Some(mode) => mode.as_str(),
        None if spec.service_account.is_empty() => TLS_MODE_DISABLED,
        None => TLS_MODE_ISTIO,
    };
    let account = match spec.service_account.as_str() {
        "" => String::new(),
        account => input.settings.spiffe_id(namespace, account),
    };
    // The network of an address without one is that of its label, else of the mesh.
    let label = spec.labels.get("topology.istio.io/network").map(String::as_str).filter(|n| !n.is_empty());
    let network = if spec.network.is_empty() { label.unwrap_or(input.network) } else { &spec.network };
    let dns_only =
        address.starts_with(UNIX_PREFIX) || (!address.is_empty() && address.parse::<IpAddr>().is_err());
    let endpoint = Endpoint {
        address,
        port: 0,
        port_name: String::new(),
        service_port: None,
        labels: Arc::new(augment_labels(&spec.labels, &locality, None, network)),
        locality,
        weight: spec.weight.max(1),
        tls_mode: tls_mode.into(),
        health: Health::Unspecified,
        service_account: account.into(),
        network: spec.network.as_str().into(),
        namespace: namespace.to_owned(),
        workload_name: name.to_owned(),
        pod: None,
        node: None,
        origin,
    };
    WorkloadInstance { endpoint, ports: spec.ports.clone(), dns_only }
}

/// The endpoints one ServiceEntry gives to one of its services, port by port.
pub(super) fn entry_instances(
    service: &Service,
    entry: &Object<ServiceEntry>,
    workloads: &[WorkloadInstance],
    made: &[Arc<Made>],
    input: EndpointInput<'_>,
) -> Vec<Endpoint> {
    let spec = &entry.spec;
    let dns = matches!(service.resolution, Resolution::DnsLb | Resolution::DnsRoundRobin);
    let Some(selector) = &spec.workload_selector else {
        if spec.endpoints.is_empty() {
            return if dns { host_itself(service, entry) } else { Vec::new() };
        }
        let inline = spec.endpoints.iter().enumerate().map(|(i, endpoint)| {
            let name = format!("{}-{i}", entry.meta.name);
            instance(endpoint, &entry.meta.namespace, &name, endpoint.origin, input)
        });
        return inline.flat_map(|w| joined(&w.endpoint, &w.ports, &spec.ports)).collect();
    };
    let namespace = entry.meta.namespace.as_str();
    let none = BTreeMap::new();
    let pods = input.pods.iter().zip(made).zip((0..).map(PodId)).filter(|((pod, _), _)| {
        !pod.is_client() && pod.namespace == namespace && is_subset(&selector.labels, &pod.labels)
    });
    let from_pods =
        pods.flat_map(|((pod, made), id)| joined(&made.endpoint(id, pod, 0, ""), &none, &spec.ports));
    let from_entries = workloads
        .iter()
        .filter(|w| w.endpoint.namespace == namespace && (dns || !w.dns_only))
        .filter(|w| is_subset(&selector.labels, &w.endpoint.labels))
        .flat_map(|w| joined(&w.endpoint, &w.ports, &spec.ports));
    from_pods.chain(from_entries).collect()
}

/// A workload as an endpoint of every port: unix socket, else the workload's port of that name, else `targetPort`, else the
/// number (`convertWorkloadInstanceToServiceInstance`).
fn joined(workload: &Endpoint, ports: &BTreeMap<String, u32>, entry_ports: &[ServicePort]) -> Vec<Endpoint> {
    let one = |port: &ServicePort| {
        let mut endpoint = workload.clone();
        endpoint.port_name.clone_from(&port.name);
        endpoint.service_port = Some(port.number);
        match workload.address.strip_prefix(UNIX_PREFIX) {
            Some(path) => {
                endpoint.address = path.to_owned();
                endpoint.port = 0;
            }
            None => {
                let mapped = ports.get(&port.name).copied().filter(|p| *p > 0);
                let target = if port.target_port > 0 { port.target_port } else { port.number };
                endpoint.port = mapped.unwrap_or(target);
            }
        }
        endpoint
    };
    entry_ports.iter().map(one).collect()
}

/// DNS without endpoints and selector: the host is its own endpoint.
fn host_itself(service: &Service, entry: &Object<ServiceEntry>) -> Vec<Endpoint> {
    let one = |port: &ServicePort| Endpoint {
        address: service.host.clone(),
        port: if port.target_port > 0 { port.target_port } else { port.number },
        port_name: port.name.clone(),
        service_port: Some(port.number),
        labels: Arc::default(),
        locality: Locality::default(),
        weight: 1,
        tls_mode: TLS_MODE_DISABLED.into(),
        health: Health::Unspecified,
        service_account: "".into(),
        network: "".into(),
        namespace: entry.meta.namespace.clone(),
        workload_name: entry.meta.name.clone(),
        pod: None,
        node: None,
        origin: port.origin,
    };
    entry.spec.ports.iter().map(one).collect()
}
