//! `DestinationRule` (networking.istio.io): subsets and traffic policies of a host.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::connection_pool::{ConnectionPoolSettings, OutlierDetection};
use super::http_route::PortSelector;
use super::load_balancer::LoadBalancerSettings;
use super::scalar::Duration;
use super::selector::MatchLabels;
use super::tls::ClientTlsSettings;
use crate::decode::Spanned;
use crate::source::Span;

/// `spec` of a DestinationRule.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationRule {
    /// Host the rule is for, to be resolved; wildcards allowed.
    pub host: Spanned<String>,
    /// Policy of all subsets.
    pub traffic_policy: Option<Box<TrafficPolicy>>,
    /// Named versions.
    pub subsets: Vec<Subset>,
    /// Namespaces that see it; absent means the mesh default.
    pub export_to: Vec<String>,
    /// Client pods it is for; absent is all.
    pub workload_selector: Option<MatchLabels>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// How clients talk to the host.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicy {
    /// Load balancing.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits and timeouts.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// Ejection of failing hosts.
    pub outlier_detection: Option<OutlierDetection>,
    /// Client TLS.
    pub tls: Option<ClientTlsSettings>,
    /// Policies of single ports; replace, never inherit.
    pub port_level_settings: Vec<PortTrafficPolicy>,
    /// HTTP CONNECT tunnel for TCP.
    pub tunnel: Option<TunnelSettings>,
    /// PROXY protocol upstream.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Share of requests that may be retries.
    pub retry_budget: Option<RetryBudget>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Traffic policy of one port.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortTrafficPolicy {
    /// Service port.
    pub port: Option<PortSelector>,
    /// Load balancing.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits and timeouts.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// Ejection of failing hosts.
    pub outlier_detection: Option<OutlierDetection>,
    /// Client TLS.
    pub tls: Option<ClientTlsSettings>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// HTTP CONNECT tunnel for TCP.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TunnelSettings {
    /// `CONNECT` (default) or `POST`.
    pub protocol: String,
    /// Host asked of the tunnel.
    pub target_host: String,
    /// Port asked of the tunnel.
    pub target_port: u32,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// PROXY protocol upstream.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// Version.
    pub version: ProxyProtocolVersion,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Version of the PROXY protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum ProxyProtocolVersion {
    /// Text.
    #[default]
    V1,
    /// Binary.
    V2,
}

/// Share of requests that may be retries.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    /// Of active requests; absent is 20.
    pub percent: Option<f64>,
    /// Always allowed; 0 is 3.
    pub min_retry_concurrency: u32,
    /// Window of the count.
    pub budget_interval: Option<Duration>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A named version of the host.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    /// Name used by routes.
    pub name: String,
    /// Labels of its endpoints; none is all.
    pub labels: BTreeMap<String, String>,
    /// Overrides block by block.
    pub traffic_policy: Option<Box<TrafficPolicy>>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
