//! `MeshConfig` as written: every field optional, so that an overlay can be told from a default.
//!
//! `mesh::meshconfig` merges and resolves them. Fields of no consequence for traffic are accepted and not kept.

use serde::Deserialize;

use super::connection_pool::{ConnectionPoolSettings, OutlierDetection, TcpKeepalive};
use super::http_route::HttpRetry;
use super::load_balancer::{LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting};
use super::provider::ExtensionProvider;
use super::proxy_config::ProxyConfig;
use super::scalar::Duration;
use super::selector::LabelSelector;
use super::tls::{ClientTlsSettings, TlsProtocol};
use crate::source::Span;
use serde::de::IgnoredAny;

/// Mesh-wide settings (semantics: istio-networking 10).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshConfig {
    /// Outbound capture port.
    pub proxy_listen_port: Option<i32>,
    /// Inbound capture port.
    pub proxy_inbound_listen_port: Option<i32>,
    /// HTTP proxy port; 0 is off.
    pub proxy_http_port: Option<i32>,
    /// Of upstream connections.
    pub connect_timeout: Option<Duration>,
    /// Of ambient tunnels.
    pub hbone_idle_timeout: Option<Duration>,
    /// Of protocol sniffing; 0 waits forever.
    pub protocol_detection_timeout: Option<Duration>,
    /// Of upstream connections.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Class of Ingresses taken.
    pub ingress_class: Option<String>,
    /// Service of the ingress gateway.
    pub ingress_service: Option<String>,
    /// `OFF`, `DEFAULT`, `STRICT`.
    pub ingress_controller_mode: Option<String>,
    /// `istio` label of the ingress gateway.
    pub ingress_selector: Option<String>,
    /// Tracing.
    pub enable_tracing: Option<bool>,
    /// Path; empty is off.
    pub access_log_file: Option<String>,
    /// Format; empty is the built-in one.
    pub access_log_format: Option<String>,
    /// `TEXT` or `JSON`.
    pub access_log_encoding: Option<String>,
    /// Access log by gRPC.
    pub enable_envoy_access_log_service: Option<bool>,
    /// No log of listeners.
    pub disable_envoy_listener_log: Option<bool>,
    /// Settings of proxies; merged field by field.
    pub default_config: Option<ProxyConfig>,
    /// Unknown destinations.
    pub outbound_traffic_policy: Option<MeshOutboundTrafficPolicy>,
    /// How inbound traffic reaches the application.
    pub inbound_traffic_policy: Option<InboundTrafficPolicy>,
    /// Where configuration comes from.
    pub config_sources: Option<IgnoredAny>,
    /// Mutual TLS wherever the server can.
    pub enable_auto_mtls: Option<bool>,
    /// Trust domain.
    pub trust_domain: Option<String>,
    /// Further trust domains; appended.
    pub trust_domain_aliases: Vec<String>,
    /// Further CAs.
    pub ca_certificates: Vec<CertificateData>,
    /// For services without `exportTo`.
    pub default_service_export_to: Option<Vec<String>>,
    /// For VirtualServices without `exportTo`.
    pub default_virtual_service_export_to: Option<Vec<String>>,
    /// For DestinationRules without `exportTo`.
    pub default_destination_rule_export_to: Option<Vec<String>>,
    /// Namespace of mesh-wide resources.
    pub root_namespace: Option<String>,
    /// Locality failover and distribution.
    pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    /// Zone-aware balancing.
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// Of failed lookups.
    pub dns_refresh_rate: Option<Duration>,
    /// HTTP/2 upstream for HTTP/1.1 ports.
    pub h2_upgrade_policy: Option<MeshH2UpgradePolicy>,
    /// Names statistics only.
    pub inbound_cluster_stat_name: Option<String>,
    /// Names statistics only.
    pub outbound_cluster_stat_name: Option<String>,
    /// Deprecated.
    pub certificates: Option<IgnoredAny>,
    /// Per-service settings.
    pub service_settings: Vec<ServiceSettings>,
    /// Ambient multi-cluster.
    pub service_scope_configs: Option<IgnoredAny>,
    /// Metrics only.
    pub enable_prometheus_merge: Option<bool>,
    /// Deprecated.
    pub verify_certificate_at_client: Option<bool>,
    /// Certificate authority.
    pub ca: Option<IgnoredAny>,
    /// Providers; merged by name.
    pub extension_providers: Vec<ExtensionProvider>,
    /// Providers used without a Telemetry resource; merged.
    pub default_providers: Option<DefaultProviders>,
    /// Namespaces that exist for istiod; none is all.
    pub discovery_selectors: Vec<LabelSelector>,
    /// Path normalization.
    pub path_normalization: Option<PathNormalization>,
    /// For routes without `retries`.
    pub default_http_retry_policy: Option<HttpRetry>,
    /// For inbound routes.
    pub default_inbound_http_retry_policy: Option<HttpRetry>,
    /// TLS parameters of mutual TLS.
    #[serde(rename = "meshMTLS")]
    pub mesh_mtls: Option<TlsConfig>,
    /// TLS parameters of everything else.
    pub tls_defaults: Option<TlsConfig>,
    /// For services without DestinationRule blocks.
    pub default_traffic_policy: Option<DefaultTrafficPolicy>,
    /// Bounds `exportTo` of ServiceEntries.
    pub service_entry_visibility: Option<ServiceEntryVisibility>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What happens to unknown destinations.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshOutboundTrafficPolicy {
    /// Mode; `{}` means `REGISTRY_ONLY`.
    pub mode: MeshOutboundTrafficMode,
    /// TLS of dynamic destinations.
    pub tls: Option<ClientTlsSettings>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What happens to unknown destinations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum MeshOutboundTrafficMode {
    /// Refused.
    #[default]
    #[serde(rename = "REGISTRY_ONLY")]
    RegistryOnly,
    /// Passed through to the address dialled.
    #[serde(rename = "ALLOW_ANY")]
    AllowAny,
    /// Passed on to the name asked for.
    #[serde(rename = "ALLOW_ANY_DYNAMIC_DNS")]
    AllowAnyDynamicDns,
}

/// How inbound traffic reaches the application.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InboundTrafficPolicy {
    /// Mode.
    pub mode: InboundTrafficMode,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// How inbound traffic reaches the application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum InboundTrafficMode {
    /// At the pod address.
    #[default]
    #[serde(rename = "PASSTHROUGH")]
    Passthrough,
    /// At 127.0.0.1.
    #[serde(rename = "LOCALHOST")]
    Localhost,
}

/// HTTP/2 upstream for HTTP/1.1 ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum MeshH2UpgradePolicy {
    /// Never.
    #[default]
    #[serde(rename = "DO_NOT_UPGRADE")]
    DoNotUpgrade,
    /// Always.
    #[serde(rename = "UPGRADE")]
    Upgrade,
}

/// A further CA.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateData {
    /// Certificate.
    pub pem: Option<String>,
    /// Where its bundle is.
    pub spiffe_bundle_url: Option<String>,
    /// Signers it is for.
    pub cert_signers: Vec<String>,
    /// Trust domains it is for.
    pub trust_domains: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Settings of some services.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSettings {
    /// Settings.
    pub settings: Option<ServiceSettingsValues>,
    /// Hosts, wildcards allowed.
    pub hosts: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Settings of some services.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSettingsValues {
    /// Endpoints of the same cluster only.
    pub cluster_local: bool,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Providers used without a Telemetry resource.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultProviders {
    /// Tracing.
    pub tracing: Vec<String>,
    /// Metrics.
    pub metrics: Vec<String>,
    /// Access logs.
    pub access_logging: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Path normalization.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PathNormalization {
    /// Steps.
    pub normalization: NormalizationType,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Steps of path normalization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum NormalizationType {
    /// As `BASE`.
    #[default]
    #[serde(rename = "DEFAULT")]
    Default,
    /// None.
    #[serde(rename = "NONE")]
    None,
    /// Dot segments and backslashes.
    #[serde(rename = "BASE")]
    Base,
    /// And repeated slashes.
    #[serde(rename = "MERGE_SLASHES")]
    MergeSlashes,
    /// And encoded slashes.
    #[serde(rename = "DECODE_AND_MERGE_SLASHES")]
    DecodeAndMergeSlashes,
}

/// TLS parameters.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsConfig {
    /// Oldest version.
    pub min_protocol_version: TlsProtocol,
    /// Curves.
    pub ecdh_curves: Vec<String>,
    /// Ciphers.
    pub cipher_suites: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// For services without DestinationRule blocks.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultTrafficPolicy {
    /// Limits and timeouts.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// Ejection of failing hosts.
    pub outlier_detection: Option<OutlierDetection>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Bounds `exportTo` of ServiceEntries.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryVisibility {
    /// Bound where no policy applies.
    pub default_visibility: Visibility,
    /// Whether sidecars obey, not only ambient.
    pub apply_to_sidecars: bool,
    /// Bounds by namespace.
    pub policies: Vec<VisibilityPolicy>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Bound of `exportTo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Visibility {
    /// As `PUBLIC`.
    #[default]
    #[serde(rename = "VISIBILITY_UNSPECIFIED")]
    Unspecified,
    /// Nobody.
    #[serde(rename = "NONE")]
    None,
    /// Its own namespace.
    #[serde(rename = "NAMESPACE")]
    Namespace,
    /// Everybody.
    #[serde(rename = "PUBLIC")]
    Public,
}

/// Bound for some namespaces.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VisibilityPolicy {
    /// Bound.
    pub visibility: Visibility,
    /// Alternatives.
    pub matching_rules: Vec<VisibilityMatchRule>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Namespaces a bound is for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VisibilityMatchRule {
    /// By labels.
    pub namespace_selector: Option<LabelSelector>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
