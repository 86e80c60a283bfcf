//! Connection pool limits and outlier detection, shared by DestinationRule, Sidecar and MeshConfig.

use serde::Deserialize;

use super::scalar::Duration;
use crate::source::Span;

/// Limits and timeouts; 0 means unset everywhere (semantics: istio-networking 4.7).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionPoolSettings {
    /// Of connections.
    pub tcp: Option<TcpSettings>,
    /// Of requests.
    pub http: Option<HttpSettings>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Limits of connections.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpSettings {
    /// Connections at most.
    pub max_connections: i32,
    /// Of connecting; absent is that of the mesh.
    pub connect_timeout: Option<Duration>,
    /// Keepalive.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Life of a connection.
    pub max_connection_duration: Option<Duration>,
    /// Idle time.
    pub idle_timeout: Option<Duration>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// TCP keepalive.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpKeepalive {
    /// Probes before giving up; 0 is the system's.
    pub probes: u32,
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Between probes.
    pub interval: Option<Duration>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Limits of requests.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpSettings {
    /// Requests waiting for a connection.
    pub http1_max_pending_requests: i32,
    /// Requests at once, also of HTTP/1.1.
    pub http2_max_requests: i32,
    /// Requests of one connection; 1 disables keep-alive.
    pub max_requests_per_connection: i32,
    /// Retries at once.
    pub max_retries: i32,
    /// Idle time of a connection.
    pub idle_timeout: Option<Duration>,
    /// HTTP/2 upstream for HTTP/1.1 ports.
    pub h2_upgrade_policy: H2UpgradePolicy,
    /// Same protocol upstream as downstream.
    pub use_client_protocol: bool,
    /// Streams of one HTTP/2 connection.
    pub max_concurrent_streams: i32,
    /// HTTP/2 pings.
    pub http2_keep_alive: Option<Http2KeepAlive>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// HTTP/2 upstream for HTTP/1.1 ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum H2UpgradePolicy {
    /// As the mesh says.
    #[default]
    #[serde(rename = "DEFAULT")]
    Default,
    /// Never.
    #[serde(rename = "DO_NOT_UPGRADE")]
    DoNotUpgrade,
    /// Always.
    #[serde(rename = "UPGRADE")]
    Upgrade,
}

/// HTTP/2 pings.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http2KeepAlive {
    /// Between pings.
    pub interval: Option<Duration>,
    /// Without answer.
    pub timeout: Option<Duration>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Ejection of failing hosts (semantics: istio-networking 4.8).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    /// Deprecated, without effect.
    pub consecutive_errors: i32,
    /// Count connection failures apart.
    pub split_external_local_origin_errors: bool,
    /// Connection failures in a row.
    pub consecutive_local_origin_failures: Option<u32>,
    /// 502, 503, 504 and connection failures in a row.
    pub consecutive_gateway_errors: Option<u32>,
    /// 5xx in a row; absent is Envoy's 5, 0 disables.
    pub consecutive_5xx_errors: Option<u32>,
    /// Between sweeps; absent is 10 s.
    pub interval: Option<Duration>,
    /// First ejection; absent is 30 s.
    pub base_ejection_time: Option<Duration>,
    /// Hosts ejected at most; 0 is Envoy's 10.
    pub max_ejection_percent: i32,
    /// Below this share of healthy hosts ejection stops counting.
    pub min_health_percent: i32,
    /// Statuses that count as errors; none is 5xx.
    pub outlier_detection_http_error_codes: Vec<u32>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
