//! `trafficPolicy` blocks as cluster settings: limits, ejection, balancing (istiod: `cluster_traffic_policy.go`;
//! semantics: istio-networking 4.4, 4.5, 4.7, 4.8).

use mesh_core::OriginId;
use mesh_core::ids::{Nanos, Taint};
use mesh_core::ir::{CircuitBreakers, LbPolicy, OutlierDetection, SlowStart, UpstreamProtocol};

use crate::lower::Tools;
use crate::mesh::meshconfig::MeshSettings;
use crate::mesh::protocol::Protocol;
use crate::resource::connection_pool::{
    ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, OutlierDetection as WrittenOutlier,
};
use crate::resource::destination_rule::RetryBudget;
use crate::resource::load_balancer::{LoadBalancerSettings, SimpleLb};
use crate::resource::mesh_config::MeshH2UpgradePolicy;
use crate::resource::scalar::Duration;

/// Envoy: an upstream HTTP connection idles for an hour.
pub(crate) const DEFAULT_IDLE_NS: Nanos = 3_600_000_000_000;
/// Envoy 1.40: `max_concurrent_streams`.
pub(crate) const DEFAULT_STREAMS: u32 = 1024;

/// What `connectionPool` comes down to.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// TCP and TLS connect timeout.
    pub connect_timeout_ns: Nanos,
    /// Limits.
    pub breakers: CircuitBreakers,
    /// HTTP version upstream.
    pub protocol: UpstreamProtocol,
    /// Idle HTTP connections.
    pub idle_timeout_ns: Nanos,
    /// 0 is unlimited.
    pub max_requests_per_connection: u32,
    /// Life of a connection.
    pub max_connection_duration_ns: Option<Nanos>,
    /// HTTP/2 streams.
    pub max_concurrent_streams: u32,
}

/// A duration as the IR keeps it.
pub(crate) fn nanos(d: Duration) -> Nanos {
    Nanos::try_from(d.ns).unwrap_or(0)
}

/// 0 and less mean "unset".
fn limit(written: i32) -> Option<u32> {
    u32::try_from(written).ok().filter(|&n| n > 0)
}

impl Pool {
    /// The pool of a cluster whose port speaks `protocol`.
    #[must_use]
    pub fn new(
        settings: &MeshSettings,
        written: Option<&ConnectionPoolSettings>,
        budget: Option<&RetryBudget>,
        protocol: UpstreamProtocol,
    ) -> Self {
        let http = written.and_then(|w| w.http.as_ref());
        let tcp = written.and_then(|w| w.tcp.as_ref());
        let mut breakers = CircuitBreakers::default();
        let set = |limit: &mut u32, given: Option<u32>| *limit = given.unwrap_or(*limit);
        set(&mut breakers.max_connections, tcp.and_then(|t| limit(t.max_connections)));
        set(&mut breakers.max_requests, http.and_then(|h| limit(h.http2_max_requests)));
        set(&mut breakers.max_pending_requests, http.and_then(|h| limit(h.http1_max_pending_requests)));
        set(&mut breakers.max_retries, http.and_then(|h| limit(h.max_retries)));
        breakers.retry_budget = budget.map(|budget| {
            let minimum = if budget.min_retry_concurrency > 0 { budget.min_retry_concurrency } else { 3 };
            (budget.percent.unwrap_or(20.0), minimum)
        });
        let idle = http.and_then(|h| h.idle_timeout).or_else(|| tcp.and_then(|t| t.idle_timeout));
        // Streams are limited only where HTTP/2 is certain.
        let streams = http.and_then(|h| limit(h.max_concurrent_streams));
        let streams = streams.filter(|_| protocol == UpstreamProtocol::Http2);
        let same_as_client = http.is_some_and(|h| h.use_client_protocol);
        Pool {
            connect_timeout_ns: nanos(
                tcp.and_then(|t| t.connect_timeout).unwrap_or(settings.connect_timeout),
            ),
            breakers,
            protocol: if same_as_client { UpstreamProtocol::Downstream } else { protocol },
            idle_timeout_ns: idle.map_or(DEFAULT_IDLE_NS, nanos),
            max_requests_per_connection: http.and_then(|h| limit(h.max_requests_per_connection)).unwrap_or(0),
            max_connection_duration_ns: tcp.and_then(|t| t.max_connection_duration).map(nanos),
            max_concurrent_streams: streams.unwrap_or(DEFAULT_STREAMS),
        }
    }
}

/// The HTTP version of a port before any policy. Sidecars answer detected ports in the client's version.
#[must_use]
pub fn port_protocol(protocol: Protocol, sidecar: bool) -> UpstreamProtocol {
    if protocol.is_http2() {
        UpstreamProtocol::Http2
    } else if protocol.is_auto() && sidecar {
        UpstreamProtocol::Downstream
    } else {
        UpstreamProtocol::Http1
    }
}

/// `h2UpgradePolicy`. What already follows the client stays so, whatever is asked for.
#[must_use]
pub fn upgraded(
    settings: &MeshSettings,
    http: Option<&HttpSettings>,
    protocol: Protocol,
    now: UpstreamProtocol,
) -> UpstreamProtocol {
    let upgrade = match http {
        Some(http) if http.use_client_protocol => false,
        Some(http) if http.h2_upgrade_policy == H2UpgradePolicy::Upgrade => true,
        Some(http) if http.h2_upgrade_policy == H2UpgradePolicy::DoNotUpgrade => false,
        _ => protocol.is_http() && settings.h2_upgrade_policy == MeshH2UpgradePolicy::Upgrade,
    };
    if upgrade && now == UpstreamProtocol::Http1 { UpstreamProtocol::Http2 } else { now }
}

/// Ejection with Envoy's defaults filled in (semantics: envoy-upstream 5.1). A threshold of 0 switches its detector off.
#[must_use]
pub fn outlier_detection(tools: &Tools, written: &WrittenOutlier) -> OutlierDetection {
    let enforced = |threshold: Option<u32>, unset: u32| match threshold {
        None => unset,
        Some(0) => 0,
        Some(_) => 100,
    };
    let base_ejection_time_ns = written.base_ejection_time.map_or(30_000_000_000, nanos);
    let local = written.consecutive_local_origin_failures.filter(|&n| n > 0);
    let local = local.filter(|_| written.split_external_local_origin_errors);
    OutlierDetection {
        interval_ns: written.interval.map_or(10_000_000_000, nanos),
        base_ejection_time_ns,
        max_ejection_time_ns: base_ejection_time_ns.max(300_000_000_000),
        max_ejection_percent: limit(written.max_ejection_percent).unwrap_or(10),
        consecutive_5xx: written.consecutive_5xx_errors.unwrap_or(5),
        enforcing_consecutive_5xx: enforced(written.consecutive_5xx_errors, 100),
        consecutive_gateway_failure: written.consecutive_gateway_errors.unwrap_or(5),
        enforcing_consecutive_gateway_failure: enforced(written.consecutive_gateway_errors, 0),
        split_external_local_origin_errors: written.split_external_local_origin_errors,
        consecutive_local_origin_failure: local.unwrap_or(5),
        enforcing_consecutive_local_origin_failure: 100,
        enforcing_success_rate: 0,
        success_rate_minimum_hosts: 5,
        success_rate_request_volume: 100,
        success_rate_stdev_factor: 1900,
        enforcing_failure_percentage: 0,
        failure_percentage_threshold: 85,
        failure_percentage_minimum_hosts: 5,
        failure_percentage_request_volume: 50,
        error_codes: written
            .outlier_detection_http_error_codes
            .iter()
            .filter_map(|&code| u16::try_from(code).ok())
            .collect(),
        origin: tools.origins.id(written.origin),
    }
}

/// The balancing of a cluster that has hosts; `None` for `PASSTHROUGH`.
#[must_use]
pub fn lb_policy(written: Option<&LoadBalancerSettings>) -> Option<LbPolicy> {
    let Some(lb) = written else { return Some(LbPolicy::LeastRequest(2, SlowStart::default())) };
    let simple = match lb.simple.unwrap_or_default() {
        SimpleLb::Unspecified | SimpleLb::LeastConn | SimpleLb::LeastRequest => {
            LbPolicy::LeastRequest(2, slow_start(lb))
        }
        SimpleLb::RoundRobin => LbPolicy::RoundRobin(slow_start(lb)),
        SimpleLb::Random => LbPolicy::Random,
        SimpleLb::Passthrough => return None,
    };
    let Some(hash) = &lb.consistent_hash else { return Some(simple) };
    if let Some(maglev) = &hash.maglev {
        let table_size = if maglev.table_size == 0 { 65_537 } else { maglev.table_size };
        return Some(LbPolicy::Maglev { table_size });
    }
    let asked = hash.ring_hash.as_ref().map_or(hash.minimum_ring_size, |ring| ring.minimum_ring_size);
    // Envoy's own default is the same 1024.
    let minimum_ring_size = if asked == 0 { 1024 } else { asked };
    Some(LbPolicy::RingHash { minimum_ring_size, maximum_ring_size: 8_388_608 })
}

fn slow_start(lb: &LoadBalancerSettings) -> SlowStart {
    let linear = |window_ns| SlowStart { window_ns, aggression: 1.0, min_weight_percent: 10.0 };
    match (&lb.warmup, lb.warmup_duration_secs) {
        (Some(warmup), _) => SlowStart {
            window_ns: warmup.duration.map_or(0, nanos),
            aggression: warmup.aggression.unwrap_or(1.0),
            min_weight_percent: warmup.minimum_percent.unwrap_or(10.0),
        },
        (None, Some(duration)) => linear(nanos(duration)),
        (None, None) => SlowStart::default(),
    }
}

/// Parts of a policy that could change decisions and are not modelled.
#[must_use]
pub fn unmodelled(tools: &Tools, budget: Option<&RetryBudget>) -> Vec<Taint> {
    let interval = budget.filter(|budget| budget.budget_interval.is_some());
    interval
        .map(|budget| tools.origins.taint("retryBudget.budgetInterval", budget.origin))
        .into_iter()
        .collect()
}

/// `useSourceIp: false` becomes a hash policy that names nothing to hash, and Envoy refuses a route configuration that
/// holds one: which routes the proxy then has depends on its past.
pub const EMPTY_HASH: &str = "consistentHash.useSourceIp: false, for which Envoy refuses the routes";

/// The taint of a consistent hash that hashes nothing.
#[must_use]
pub fn empty_hash(tools: &Tools, settings: Option<&LoadBalancerSettings>) -> Option<Taint> {
    let hash = settings?.consistent_hash.as_ref()?;
    let named = hash.http_header_name.is_some() || hash.http_cookie.is_some();
    (!named && hash.use_source_ip == Some(false)).then(|| tools.origins.taint(EMPTY_HASH, hash.origin))
}

/// The place of the block that decided, for reports.
#[must_use]
pub fn origin_or(tools: &Tools, first: Option<crate::source::Span>, second: crate::source::Span) -> OriginId {
    tools.origins.id(first.filter(|span| !span.is_none()).unwrap_or(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::connection_pool::TcpSettings;
    use crate::resource::load_balancer::{ConsistentHashLb, RingHash};

    #[test]
    fn zero_means_unset_and_tcp_idle_is_second() {
        let written = ConnectionPoolSettings {
            tcp: Some(TcpSettings {
                max_connections: 0,
                idle_timeout: Some(Duration::from_secs(7)),
                ..TcpSettings::default()
            }),
            http: Some(HttpSettings {
                http2_max_requests: 3,
                max_concurrent_streams: 9,
                ..HttpSettings::default()
            }),
            ..ConnectionPoolSettings::default()
        };
        let pool = Pool::new(&MeshSettings::default(), Some(&written), None, UpstreamProtocol::Http1);
        assert_eq!(pool.breakers.max_connections, u32::MAX);
        assert_eq!(pool.breakers.max_requests, 3);
        assert_eq!(pool.idle_timeout_ns, 7_000_000_000);
        assert_eq!(pool.max_concurrent_streams, DEFAULT_STREAMS);
        assert_eq!(pool.connect_timeout_ns, 10_000_000_000);
    }

    #[test]
    fn an_empty_block_ejects_after_five_5xx() {
        let got = outlier_detection(&Tools::default(), &WrittenOutlier::default());
        assert_eq!(
            (got.consecutive_5xx, got.enforcing_consecutive_5xx, got.max_ejection_percent),
            (5, 100, 10)
        );
        assert_eq!(got.enforcing_consecutive_gateway_failure, 0);
        let off = WrittenOutlier { consecutive_5xx_errors: Some(0), ..WrittenOutlier::default() };
        assert_eq!(outlier_detection(&Tools::default(), &off).enforcing_consecutive_5xx, 0);
    }

    #[test]
    fn hashing_replaces_the_simple_policy() {
        let hashed =
            |hash| LoadBalancerSettings { consistent_hash: Some(hash), ..LoadBalancerSettings::default() };
        let ring =
            hashed(ConsistentHashLb { ring_hash: Some(RingHash::default()), ..ConsistentHashLb::default() });
        assert_eq!(
            lb_policy(Some(&ring)),
            Some(LbPolicy::RingHash { minimum_ring_size: 1024, maximum_ring_size: 8_388_608 })
        );
        assert_eq!(lb_policy(None), Some(LbPolicy::LeastRequest(2, SlowStart::default())));
    }
}
