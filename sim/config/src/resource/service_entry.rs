//! `ServiceEntry` (networking.istio.io): services that Kubernetes does not know.

use serde::Deserialize;

use super::selector::WorkloadSelector;
use super::workload_entry::WorkloadEntry;
use crate::decode::Spanned;
use crate::source::Span;

/// `spec` of a ServiceEntry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntry {
    /// Host names.
    pub hosts: Vec<Spanned<String>>,
    /// Virtual IPs or CIDRs.
    pub addresses: Vec<String>,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// In or out of the mesh.
    pub location: Location,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// Inline endpoints.
    pub endpoints: Vec<WorkloadEntry>,
    /// Pods and WorkloadEntries of the namespace; excludes `endpoints`.
    pub workload_selector: Option<WorkloadSelector>,
    /// Namespaces that see it; absent means the mesh default.
    pub export_to: Vec<String>,
    /// Names its servers may have.
    pub subject_alt_names: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Port of a ServiceEntry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Number.
    pub number: u32,
    /// Protocol word; empty is detected.
    pub protocol: String,
    /// Name.
    pub name: String,
    /// Port of the endpoints; 0 is `number`.
    pub target_port: u32,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// In or out of the mesh.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Location {
    /// Out of it: no automatic mutual TLS.
    #[default]
    #[serde(rename = "MESH_EXTERNAL")]
    MeshExternal,
    /// In it.
    #[serde(rename = "MESH_INTERNAL")]
    MeshInternal,
}

/// How endpoints are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Resolution {
    /// The address the client dialled.
    #[default]
    #[serde(rename = "NONE")]
    None,
    /// The endpoints given.
    #[serde(rename = "STATIC")]
    Static,
    /// DNS, all addresses.
    #[serde(rename = "DNS")]
    Dns,
    /// DNS, first address at each connection.
    #[serde(rename = "DNS_ROUND_ROBIN")]
    DnsRoundRobin,
    /// DNS of the requested host.
    #[serde(rename = "DYNAMIC_DNS")]
    DynamicDns,
}
