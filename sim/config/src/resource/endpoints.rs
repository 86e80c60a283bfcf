//! Kubernetes `Endpoints` and `EndpointSlice`: addresses of services without selector.

use serde::Deserialize;

use crate::source::Span;
use serde::de::IgnoredAny;

/// An Endpoints object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    /// Groups of addresses with the same ports.
    pub subsets: Vec<EndpointSubset>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Addresses with the same ports.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSubset {
    /// Ready ones.
    pub addresses: Vec<EndpointAddress>,
    /// Others.
    pub not_ready_addresses: Vec<EndpointAddress>,
    /// Ports.
    pub ports: Vec<EndpointPort>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One address.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointAddress {
    /// IP.
    pub ip: String,
    /// Name below the service.
    pub hostname: String,
    /// Node.
    pub node_name: String,
    /// The pod it is.
    pub target_ref: Option<TargetRef>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// The object behind an address.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetRef {
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One port of endpoints.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    /// Name, as in the service.
    pub name: String,
    /// Number.
    pub port: u32,
    /// `TCP` (default) or `UDP`.
    pub protocol: String,
    /// Not looked at.
    pub app_protocol: Option<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// An EndpointSlice; the label `kubernetes.io/service-name` names its service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// `IPv4`, `IPv6`, `FQDN`.
    pub address_type: String,
    /// Endpoints.
    pub endpoints: Vec<SliceEndpoint>,
    /// Ports.
    pub ports: Vec<EndpointPort>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One endpoint of a slice.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceEndpoint {
    /// Addresses; the first counts.
    pub addresses: Vec<String>,
    /// Readiness.
    pub conditions: Option<EndpointConditions>,
    /// Name below the service.
    pub hostname: String,
    /// Node.
    pub node_name: String,
    /// Zone.
    pub zone: String,
    /// The pod it is.
    pub target_ref: Option<TargetRef>,
    /// Not looked at.
    pub hints: Option<IgnoredAny>,
    /// Not looked at.
    pub deprecated_topology: Option<IgnoredAny>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Readiness.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointConditions {
    /// Absent is true.
    pub ready: Option<bool>,
    /// Absent is `ready`.
    pub serving: Option<bool>,
    /// Absent is false.
    pub terminating: Option<bool>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
