//! Load balancing settings, shared by DestinationRule and MeshConfig.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scalar::{Duration, uint64};
use crate::source::Span;

/// Load balancing (semantics: istio-networking 4.4).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerSettings {
    /// Algorithm; excludes `consistentHash`.
    pub simple: Option<SimpleLb>,
    /// Hashing.
    pub consistent_hash: Option<ConsistentHashLb>,
    /// Locality failover and distribution.
    pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    /// Zone-aware balancing; excludes `localityLbSetting`.
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// Deprecated form of `warmup.duration`.
    pub warmup_duration_secs: Option<Duration>,
    /// Slow start of new hosts.
    pub warmup: Option<WarmupConfiguration>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Algorithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum SimpleLb {
    /// As `LEAST_REQUEST`.
    #[default]
    #[serde(rename = "UNSPECIFIED")]
    Unspecified,
    /// Deprecated name of `LEAST_REQUEST`.
    #[serde(rename = "LEAST_CONN")]
    LeastConn,
    /// Random.
    #[serde(rename = "RANDOM")]
    Random,
    /// The address the client dialled.
    #[serde(rename = "PASSTHROUGH")]
    Passthrough,
    /// Round robin.
    #[serde(rename = "ROUND_ROBIN")]
    RoundRobin,
    /// Fewer active requests of two.
    #[serde(rename = "LEAST_REQUEST")]
    LeastRequest,
}

/// Hashing: what is hashed, and how hosts are found.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsistentHashLb {
    /// Hash of a header.
    pub http_header_name: Option<String>,
    /// Hash of a cookie.
    pub http_cookie: Option<HttpCookie>,
    /// Hash of the source address.
    pub use_source_ip: Option<bool>,
    /// Hash of a query parameter.
    pub http_query_parameter_name: Option<String>,
    /// Ring hash.
    pub ring_hash: Option<RingHash>,
    /// Maglev.
    pub maglev: Option<MagLev>,
    /// Deprecated form of `ringHash.minimumRingSize`.
    #[serde(deserialize_with = "uint64")]
    pub minimum_ring_size: u64,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Ring hash.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RingHash {
    /// Entries at least; 0 is Envoy's default.
    #[serde(deserialize_with = "uint64")]
    pub minimum_ring_size: u64,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Maglev.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MagLev {
    /// Entries, a prime; 0 is Envoy's default.
    #[serde(deserialize_with = "uint64")]
    pub table_size: u64,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// The cookie to hash.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCookie {
    /// Name.
    pub name: String,
    /// Path of a made-up cookie.
    pub path: String,
    /// Life of a made-up cookie; absent makes up none.
    pub ttl: Option<Duration>,
    /// Further attributes of a made-up cookie.
    pub attributes: Vec<CookieAttribute>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// An attribute of a made-up cookie.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieAttribute {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Locality failover and distribution (semantics: istio-networking 4.6).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityLoadBalancerSetting {
    /// Shares by client locality.
    pub distribute: Vec<Distribute>,
    /// Region to use when one fails.
    pub failover: Vec<LocalityFailover>,
    /// Labels that rank endpoints.
    pub failover_priority: Vec<String>,
    /// Absent is true.
    pub enabled: Option<bool>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Shares for clients of one locality.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Distribute {
    /// Client locality, `*` allowed.
    pub from: String,
    /// Locality to percent.
    pub to: BTreeMap<String, u32>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Where traffic of a region goes when it fails.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityFailover {
    /// Failing region.
    pub from: String,
    /// Region used instead.
    pub to: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Zone-aware balancing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZoneAwareLoadBalancerSetting {
    /// Absent is true.
    pub enabled: Option<bool>,
    /// Region to use when one fails.
    pub failover: Vec<LocalityFailover>,
    /// Labels that rank endpoints.
    pub failover_priority: Vec<String>,
    /// Hosts needed before zones matter.
    pub min_cluster_size: Option<u64>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Slow start of new hosts.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WarmupConfiguration {
    /// How long.
    pub duration: Option<Duration>,
    /// Share at the start; absent is 10.
    pub minimum_percent: Option<f64>,
    /// Shape of the ramp; absent is 1.
    pub aggression: Option<f64>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
