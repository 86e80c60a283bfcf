//! The model services and their endpoints: what istiod's registry holds, whoever declared it.
//!
//! Plain data; `registry` and `endpoints` fill it (semantics: istio-networking 1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::locality::Locality;
use super::protocol::Protocol;
use crate::resource::meta::UNDATED;
use crate::source::Span;

/// Index into [`Mesh::services`](super::Mesh::services), which is in registry order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// Index into [`Mesh::pods`](super::Mesh::pods).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// The address of a service without one.
pub const UNSPECIFIED_IP: &str = "0.0.0.0";

/// One service of the registry. A ServiceEntry makes one per host and address.
#[derive(Debug, Clone)]
pub struct Service {
    /// FQDN.
    pub host: String,
    /// Kubernetes: the Service's name; ServiceEntry: the host. The tie-break of registry order.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the declaring object.
    pub object_name: String,
    /// `namespace/host`, the key of its endpoints.
    pub key: String,
    /// Who declared it.
    pub registry: Registry,
    /// The declaring document.
    pub origin: Span,
    /// Creation time; `None` counts as [`UNDATED`].
    pub creation_timestamp: Option<i64>,
    /// Ports in written order.
    pub ports: Vec<Port>,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// The address clients dial: an IP, a CIDR, or [`UNSPECIFIED_IP`].
    pub address: String,
    /// Further addresses of the same service (second IP family).
    pub extra_addresses: Vec<String>,
    /// The VIP that proxies with DNS capture see instead of [`UNSPECIFIED_IP`] (semantics: istio-networking 1.5).
    pub auto_allocated: Option<String>,
    /// `exportTo` as written; empty means the default of the mesh.
    pub export_to: BTreeSet<String>,
    /// Bound of `exportTo` by `meshConfig.serviceEntryVisibility`, if sidecars obey it.
    pub visibility: ServiceVisibility,
    /// Outside of the mesh: no automatic mutual TLS.
    pub mesh_external: bool,
    /// Labels of the declaring object.
    pub labels: BTreeMap<String, String>,
    /// Labels that select its workloads; empty selects nothing.
    pub selector: BTreeMap<String, String>,
    /// Identities its servers may have beside those of its endpoints.
    pub service_accounts: Vec<String>,
    /// What an `ExternalName` service points to.
    pub external_name: Option<String>,
    /// Alias services that end here, sorted by namespace and host (semantics: istio-networking 1.6).
    pub aliases: Vec<Alias>,
    /// Preference of `trafficDistribution`.
    pub traffic_distribution: TrafficDistribution,
    /// `internalTrafficPolicy: Local`: only endpoints on the client's node.
    pub node_local: bool,
    /// Unready endpoints count as ready.
    pub publish_not_ready: bool,
    /// ServiceEntry without resolution: `targetPort` by port number, an override of the port dialled upstream.
    pub passthrough_ports: BTreeMap<u32, u32>,
    /// `spec.type` of a Kubernetes service.
    pub service_type: String,
}

/// A name that leads to another service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// Namespace of the alias service.
    pub namespace: String,
    /// FQDN of the alias service.
    pub host: String,
}

/// Who declared a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    External,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name; may be empty for a single port.
    pub name: String,
    /// Number.
    pub number: u32,
    /// Protocol.
    pub protocol: Protocol,
    /// Place in the YAML.
    pub origin: Span,
}

/// How the endpoints of a service are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// The proxy balances over known endpoints (EDS).
    ClientSideLb,
    /// DNS, all addresses (STRICT_DNS).
    DnsLb,
    /// The address the client dialled (ORIGINAL_DST).
    Passthrough,
    /// DNS, one address (LOGICAL_DNS).
    DnsRoundRobin,
    /// Another name of a service; nothing is generated for it.
    Alias,
    /// DNS of the requested host.
    DynamicDns,
}

/// Preference of `trafficDistribution`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficDistribution {
    /// None.
    #[default]
    Any,
    /// Endpoints in the client's zone.
    PreferSameZone,
    /// Endpoints on the client's node.
    PreferSameNode,
}

/// Bound of `exportTo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceVisibility {
    /// None.
    #[default]
    Public,
    /// Its own namespace at most.
    Namespace,
    /// Nobody.
    None,
}

/// One endpoint of one service port.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// IP address, host name (DNS services), or path of a unix socket (port 0).
    pub address: String,
    /// Port of the workload.
    pub port: u32,
    /// Name of the service port, by which EDS clusters choose.
    pub port_name: String,
    /// Number of the service port for endpoints of ServiceEntries, by which DNS clusters choose.
    pub service_port: Option<u32>,
    /// The workload's labels with istiod's.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Where it runs.
    pub locality: Locality,
    /// Share; at least 1.
    pub weight: u32,
    /// `istio` if it speaks mutual TLS, `disabled` or another label value if not.
    pub tls_mode: Arc<str>,
    /// Health as istiod knows it.
    pub health: Health,
    /// SPIFFE id; empty if unknown.
    pub service_account: Arc<str>,
    /// Network; empty is the only one.
    pub network: Arc<str>,
    /// Namespace of the workload.
    pub namespace: String,
    /// Name of the workload as telemetry shows it.
    pub workload_name: String,
    /// The pod it is.
    pub pod: Option<PodId>,
    /// Node it runs on.
    pub node: Option<String>,
    /// Place in the YAML.
    pub origin: Span,
}

impl Endpoint {
    /// Whether automatic mutual TLS is possible.
    pub fn speaks_mtls(&self) -> bool {
        &*self.tls_mode == TLS_MODE_ISTIO
    }
}

/// `tlsMode` of a workload that speaks mutual TLS.
pub const TLS_MODE_ISTIO: &str = "istio";
/// `tlsMode` of a workload that does not.
pub const TLS_MODE_DISABLED: &str = "disabled";

/// Health as istiod knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Nobody said; used like a healthy one.
    #[default]
    Unspecified,
    /// Ready.
    Healthy,
    /// Not ready.
    Unhealthy,
    /// Going away, still serving persistent sessions.
    Draining,
    /// Going away.
    Terminating,
}

impl Service {
    /// Creation time as registry order compares it.
    pub fn created(&self) -> i64 {
        self.creation_timestamp.unwrap_or(UNDATED)
    }

    /// The port with this number, if it has one.
    pub fn port(&self, number: u32) -> Option<&Port> {
        self.ports.iter().find(|p| p.number == number)
    }

    /// The port with this name, if it has one.
    pub fn port_by_name(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|p| p.name == name)
    }

    /// Whether clients must know the addresses of its pods.
    pub fn is_headless(&self) -> bool {
        self.registry == Registry::Kubernetes && self.resolution == Resolution::Passthrough
    }
}
