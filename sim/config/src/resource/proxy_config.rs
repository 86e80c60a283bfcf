//! `ProxyConfig` as written: settings of proxies, of the mesh (`defaultConfig`) or of one pod (annotation `proxy.istio.io/config`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scalar::Duration;
use crate::source::Span;
use serde::de::IgnoredAny;

/// Settings of proxies, of the mesh or of one pod (`proxy.istio.io/config`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// Files.
    pub config_path: Option<IgnoredAny>,
    /// Files.
    pub binary_path: Option<IgnoredAny>,
    /// Names the proxy in traces.
    pub service_cluster: Option<String>,
    /// Names the proxy in traces.
    pub tracing_service_name: Option<String>,
    /// Of listeners that go away.
    pub drain_duration: Option<Duration>,
    /// Where istiod is.
    pub discovery_address: Option<String>,
    /// Deprecated.
    pub discovery_refresh_delay: Option<Duration>,
    /// Deprecated.
    pub zipkin_address: Option<String>,
    /// Metrics only.
    pub statsd_udp_address: Option<String>,
    /// Deprecated.
    pub envoy_metrics_service_address: Option<String>,
    /// Admin port.
    pub proxy_admin_port: Option<i32>,
    /// Deprecated.
    pub availability_zone: Option<String>,
    /// Towards istiod.
    pub control_plane_auth_policy: Option<IgnoredAny>,
    /// Replaces the bootstrap.
    pub custom_config_file: Option<String>,
    /// Metrics only.
    pub stat_name_length: Option<i32>,
    /// Worker threads; 0 is one per core.
    pub concurrency: Option<i32>,
    /// Replaces the bootstrap.
    pub proxy_bootstrap_template_path: Option<String>,
    /// How traffic is captured.
    pub interception_mode: Option<InterceptionMode>,
    /// Tracing.
    pub tracing: Option<IgnoredAny>,
    /// Deprecated.
    pub sds: Option<IgnoredAny>,
    /// Access log by gRPC.
    pub envoy_access_log_service: Option<IgnoredAny>,
    /// Metrics by gRPC.
    pub envoy_metrics_service: Option<IgnoredAny>,
    /// Environment of the agent, merged by key (`ISTIO_META_DNS_CAPTURE` …).
    pub proxy_metadata: BTreeMap<String, String>,
    /// Envoy runtime.
    pub runtime_values: BTreeMap<String, String>,
    /// Agent's health port.
    pub status_port: Option<i32>,
    /// Metrics only.
    pub extra_stat_tags: Vec<String>,
    /// What is in front of gateways.
    pub gateway_topology: Option<Topology>,
    /// Of a pod that ends.
    pub termination_drain_duration: Option<Duration>,
    /// Mesh name.
    pub mesh_id: Option<String>,
    /// Of workloads that are not pods.
    pub readiness_probe: Option<IgnoredAny>,
    /// Metrics only.
    pub proxy_stats_matcher: Option<IgnoredAny>,
    /// Start order.
    pub hold_application_until_proxy_starts: Option<bool>,
    /// Further CAs.
    pub ca_certificates_pem: Vec<String>,
    /// Image.
    pub image: Option<IgnoredAny>,
    /// Hardware.
    pub private_key_provider: Option<IgnoredAny>,
    /// Headers Envoy adds.
    pub proxy_headers: Option<ProxyHeaders>,
    /// Of log files.
    pub file_flush_interval: Option<Duration>,
    /// Of log files.
    pub file_flush_min_size_kb: Option<u32>,
    /// Metrics only.
    pub stats_compression: Option<bool>,
    /// Limits of downstream connections.
    pub connection_settings: Option<IgnoredAny>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// How traffic is captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum InterceptionMode {
    /// By iptables REDIRECT.
    #[default]
    #[serde(rename = "REDIRECT")]
    Redirect,
    /// By iptables TPROXY.
    #[serde(rename = "TPROXY")]
    Tproxy,
    /// Not at all.
    #[serde(rename = "NONE")]
    None,
}

/// What is in front of gateways.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Topology {
    /// Entries of X-Forwarded-For to trust.
    pub num_trusted_proxies: u32,
    /// What becomes of X-Forwarded-Client-Cert.
    pub forward_client_cert_details: ForwardClientCertDetails,
    /// Expect the PROXY protocol.
    pub proxy_protocol: Option<IgnoredAny>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What becomes of X-Forwarded-Client-Cert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum ForwardClientCertDetails {
    /// The default of the place.
    #[default]
    #[serde(rename = "UNDEFINED")]
    Undefined,
    /// Removed.
    #[serde(rename = "SANITIZE")]
    Sanitize,
    /// Kept on mutual TLS.
    #[serde(rename = "FORWARD_ONLY")]
    ForwardOnly,
    /// Added to on mutual TLS.
    #[serde(rename = "APPEND_FORWARD")]
    AppendForward,
    /// Replaced.
    #[serde(rename = "SANITIZE_SET")]
    SanitizeSet,
    /// Kept.
    #[serde(rename = "ALWAYS_FORWARD_ONLY")]
    AlwaysForwardOnly,
}

/// Headers Envoy adds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyHeaders {
    /// X-Forwarded-Client-Cert.
    pub forwarded_client_cert: Option<ForwardClientCertDetails>,
    /// Parts of X-Forwarded-Client-Cert.
    pub set_current_client_cert_details: Option<IgnoredAny>,
    /// x-request-id.
    pub request_id: Option<Disabled>,
    /// server.
    pub server: Option<ServerHeader>,
    /// x-envoy-attempt-count.
    pub attempt_count: Option<Disabled>,
    /// x-envoy-… debug headers.
    pub envoy_debug_headers: Option<Disabled>,
    /// x-envoy-peer-metadata.
    pub metadata_exchange_headers: Option<IgnoredAny>,
    /// Case of header names.
    pub preserve_http1_header_case: Option<bool>,
    /// x-forwarded-host.
    pub x_forwarded_host: Option<Enabled>,
    /// x-forwarded-port.
    pub x_forwarded_port: Option<Enabled>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A header that can be turned off.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Disabled {
    /// Off.
    pub disabled: Option<bool>,
}

/// A header that can be turned on.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Enabled {
    /// On.
    pub enabled: Option<bool>,
}

/// The server header.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerHeader {
    /// Off.
    pub disabled: Option<bool>,
    /// Text.
    pub value: String,
}
