//! CDS and EDS: clusters, balancing, outlier detection, breakers, hosts.

use std::net::IpAddr;

use crate::ids::{Nanos, OriginId, Str, Taint};
use crate::tls::UpstreamTls;

/// A cluster with its hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// `outbound|9080|v1|reviews.default.svc.cluster.local`
    pub name: Str,
    /// How hosts are found.
    pub discovery: Discovery,
    /// Load balancing policy.
    pub lb: LbPolicy,
    /// Panic, locality weighting.
    pub common_lb: CommonLb,
    /// TCP and TLS connect timeout, ns (Istio: 10 s).
    pub connect_timeout_ns: Nanos,
    /// Limits of the default priority class.
    pub breakers: CircuitBreakers,
    /// Passive health checking; `None` = off.
    pub outlier: Option<OutlierDetection>,
    /// HTTP version towards the hosts.
    pub protocol: UpstreamProtocol,
    /// TLS towards the hosts.
    pub transport: Transport,
    /// PROXY protocol header sent upstream (version), 0 = none.
    pub proxy_protocol: u8,
    /// HTTP upstream idle timeout, ns; Envoy's default 1 h is resolved; 0 = off.
    pub idle_timeout_ns: Nanos,
    /// `max_requests_per_connection`, 0 = unlimited.
    pub max_requests_per_connection: u32,
    /// `max_connection_duration`, ns; `None` = none.
    pub max_connection_duration_ns: Option<Nanos>,
    /// HTTP/2 streams per connection (Envoy 1.40: 1024).
    pub max_concurrent_streams: u32,
    /// Port override of ORIGINAL_DST clusters (`targetPort` of NONE ServiceEntries), 0 = none.
    pub upstream_port_override: u16,
    /// Source address of upstream connections (`127.0.0.6` on inbound clusters).
    pub upstream_bind: Option<IpAddr>,
    /// Hosts in istiod's order, by locality group.
    pub endpoints: Vec<LocalityEndpoints>,
    /// Overprovisioning factor, percent (140).
    pub overprovisioning_factor: u32,
    /// Service host name, for reports (`reviews.default.svc.cluster.local`); empty for built-in clusters.
    pub host: Str,
    /// Service port, for reports; 0 for built-in clusters.
    pub port: u16,
    /// Subset, for reports; empty = none.
    pub subset: Str,
    /// Not modelled parts.
    pub taints: Vec<Taint>,
    /// DestinationRule subset, DestinationRule or service.
    pub origin: OriginId,
}

/// Cluster type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// STATIC (BlackHoleCluster, inbound to a fixed address).
    Static,
    /// EDS
    Eds,
    /// STRICT_DNS
    StrictDns,
    /// LOGICAL_DNS
    LogicalDns,
    /// ORIGINAL_DST
    OriginalDst,
    /// Dynamic forward proxy (DYNAMIC_DNS): hosts are resolved from the request's authority.
    DynamicForwardProxy,
}

/// HTTP version towards hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
    /// Same as downstream (`use_downstream_protocol_config`).
    Downstream,
}

/// Which transport socket a host gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Transport {
    /// Raw TCP to all hosts.
    Plaintext,
    /// TLS to all hosts.
    Tls(Box<UpstreamTls>),
    /// Auto mTLS: TLS to hosts with `tlsMode: istio`, raw TCP to the others.
    AutoMtls(Box<UpstreamTls>),
}

/// Load balancing policy.
#[derive(Debug, Clone, PartialEq)]
pub enum LbPolicy {
    /// ROUND_ROBIN
    RoundRobin(SlowStart),
    /// LEAST_REQUEST, `choice_count`
    LeastRequest(u32, SlowStart),
    /// RANDOM
    Random,
    /// RING_HASH
    RingHash {
        /// `minimum_ring_size` (Istio: 1024)
        minimum_ring_size: u64,
        /// `maximum_ring_size` (8388608)
        maximum_ring_size: u64,
    },
    /// MAGLEV
    Maglev {
        /// Table size, prime (65537).
        table_size: u64,
    },
    /// The cluster type supplies the host (ORIGINAL_DST).
    ClusterProvided,
}

/// `slow_start_config`; window 0 = off.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SlowStart {
    /// Window, ns.
    pub window_ns: Nanos,
    /// `aggression` (1.0)
    pub aggression: f64,
    /// `min_weight_percent` (10)
    pub min_weight_percent: f64,
}

/// `common_lb_config`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommonLb {
    /// `healthy_panic_threshold`, percent (Istio: 0).
    pub healthy_panic_threshold: u32,
    /// `locality_weighted_lb_config` present.
    pub locality_weighted: bool,
    /// `update_merge_window`, ns (1 s).
    pub update_merge_window_ns: Nanos,
}

/// Thresholds of the DEFAULT priority class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CircuitBreakers {
    /// `max_connections`
    pub max_connections: u32,
    /// `max_pending_requests`
    pub max_pending_requests: u32,
    /// `max_requests`
    pub max_requests: u32,
    /// `max_retries`
    pub max_retries: u32,
    /// `retry_budget` (percent, min concurrency) replaces `max_retries`.
    pub retry_budget: Option<(f64, u32)>,
}

impl Default for CircuitBreakers {
    /// Istio's default: no limits.
    fn default() -> Self {
        CircuitBreakers {
            max_connections: u32::MAX,
            max_pending_requests: u32::MAX,
            max_requests: u32::MAX,
            max_retries: u32::MAX,
            retry_budget: None,
        }
    }
}

/// `outlier_detection`, defaults resolved (semantics: envoy-upstream 5.1).
#[derive(Debug, Clone, PartialEq)]
pub struct OutlierDetection {
    /// Sweep interval, ns (10 s).
    pub interval_ns: Nanos,
    /// Base ejection time, ns (30 s).
    pub base_ejection_time_ns: Nanos,
    /// Cap, ns (max of 300 s and base).
    pub max_ejection_time_ns: Nanos,
    /// Percent (10).
    pub max_ejection_percent: u32,
    /// Consecutive 5xx threshold (5), 0 = never.
    pub consecutive_5xx: u32,
    /// Percent enforced (100).
    pub enforcing_consecutive_5xx: u32,
    /// Consecutive gateway failures (5).
    pub consecutive_gateway_failure: u32,
    /// Percent enforced (0).
    pub enforcing_consecutive_gateway_failure: u32,
    /// Split mode.
    pub split_external_local_origin_errors: bool,
    /// Threshold (5).
    pub consecutive_local_origin_failure: u32,
    /// Percent enforced (100).
    pub enforcing_consecutive_local_origin_failure: u32,
    /// Success rate detection enforced percent (Istio: 0).
    pub enforcing_success_rate: u32,
    /// `success_rate_minimum_hosts` (5)
    pub success_rate_minimum_hosts: u32,
    /// `success_rate_request_volume` (100)
    pub success_rate_request_volume: u32,
    /// `success_rate_stdev_factor` (1900)
    pub success_rate_stdev_factor: u32,
    /// Failure percentage enforced percent (0).
    pub enforcing_failure_percentage: u32,
    /// `failure_percentage_threshold` (85)
    pub failure_percentage_threshold: u32,
    /// `failure_percentage_minimum_hosts` (5)
    pub failure_percentage_minimum_hosts: u32,
    /// `failure_percentage_request_volume` (50)
    pub failure_percentage_request_volume: u32,
    /// Statuses that count as errors (`outlierDetectionHttpErrorCodes`); empty = 500–599.
    pub error_codes: Vec<u16>,
    /// The block.
    pub origin: OriginId,
}

/// Hosts of one locality and priority.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalityEndpoints {
    /// `region/zone/subzone`, empty parts omitted at the end.
    pub locality: Str,
    /// Locality weight; 0 = unset.
    pub weight: u32,
    /// Priority, 0 first.
    pub priority: u32,
    /// Hosts in order.
    pub hosts: Vec<Endpoint>,
}

/// A host of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Load balancing weight (1).
    pub weight: u32,
    /// EDS health.
    pub health: Health,
    /// Endpoint metadata `tlsMode: istio`.
    pub tls_mode_istio: bool,
    /// `ns/workload#ordinal` of the pod behind it, if it is one of the mesh.
    pub workload: Str,
    /// Service, pod or ServiceEntry endpoint.
    pub origin: OriginId,
}

/// Address of a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointAddress {
    /// IP and port.
    Ip(IpAddr, u16),
    /// DNS name and port (STRICT_DNS, LOGICAL_DNS); the engine's world resolves it.
    Dns(Str, u16),
    /// Unix domain socket.
    Pipe(Str),
}

/// EDS health status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// HEALTHY or UNKNOWN
    Healthy,
    /// UNHEALTHY
    Unhealthy,
    /// DRAINING
    Draining,
}
