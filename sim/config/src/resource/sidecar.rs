//! `Sidecar` (networking.istio.io): what a sidecar listens on and may see.

use serde::Deserialize;

use super::connection_pool::ConnectionPoolSettings;
use super::http_route::Destination;
use super::selector::WorkloadSelector;
use super::tls::ServerTlsSettings;
use crate::decode::Spanned;
use crate::source::Span;

/// `spec` of a Sidecar.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sidecar {
    /// Pods it is for; absent is all of the namespace.
    pub workload_selector: Option<WorkloadSelector>,
    /// Replaces the listeners derived from services.
    pub ingress: Vec<IngressListener>,
    /// What may be seen; absent is everything.
    pub egress: Vec<EgressListener>,
    /// Limits towards the application.
    pub inbound_connection_pool: Option<ConnectionPoolSettings>,
    /// Unknown destinations; absent is that of the mesh.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A listener for inbound traffic.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressListener {
    /// Port.
    pub port: Option<SidecarPort>,
    /// Address.
    pub bind: String,
    /// How traffic gets here.
    pub capture_mode: CaptureMode,
    /// Where the application listens.
    pub default_endpoint: String,
    /// TLS of its own.
    pub tls: Option<ServerTlsSettings>,
    /// Limits towards the application.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A listener for outbound traffic.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EgressListener {
    /// Port; absent is every port.
    pub port: Option<SidecarPort>,
    /// Address or `unix:///path`.
    pub bind: String,
    /// How traffic gets here.
    pub capture_mode: CaptureMode,
    /// `namespace/host` entries.
    pub hosts: Vec<Spanned<String>>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What happens to unknown destinations.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    /// Mode; `{}` means `REGISTRY_ONLY`.
    pub mode: OutboundTrafficMode,
    /// Where unknown traffic goes instead.
    pub egress_proxy: Option<Destination>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What happens to unknown destinations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum OutboundTrafficMode {
    /// Refused.
    #[default]
    #[serde(rename = "REGISTRY_ONLY")]
    RegistryOnly,
    /// Passed through.
    #[serde(rename = "ALLOW_ANY")]
    AllowAny,
}

/// How traffic gets to a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum CaptureMode {
    /// As the pod is set up.
    #[default]
    #[serde(rename = "DEFAULT")]
    Default,
    /// Redirected.
    #[serde(rename = "IPTABLES")]
    Iptables,
    /// Dialled directly.
    #[serde(rename = "NONE")]
    None,
}

/// Port of a listener.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarPort {
    /// Number.
    pub number: u32,
    /// Protocol word.
    pub protocol: String,
    /// Name.
    pub name: String,
    /// Deprecated, without effect.
    pub target_port: u32,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
