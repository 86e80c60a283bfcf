//! What a DestinationRule says about one port and subset (istiod: `GetPortLevelTrafficPolicy`,
//! `MergeSubsetTrafficPolicy`, `HashForHTTPDestination`; semantics: istio-networking 4.3, 4.4).

use super::Consolidated;
use crate::resource::connection_pool::{ConnectionPoolSettings, OutlierDetection};
use crate::resource::destination_rule::{
    DestinationRule, PortTrafficPolicy, ProxyProtocol, RetryBudget, TrafficPolicy, TunnelSettings,
};
use crate::resource::http_route::Destination;
use crate::resource::load_balancer::{ConsistentHashLb, LoadBalancerSettings};
use crate::resource::mesh_config::DefaultTrafficPolicy;
use crate::resource::tls::{ClientTlsMode, ClientTlsSettings};

/// A traffic policy with its levels resolved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy<'a> {
    /// Limits and timeouts.
    pub connection_pool: Option<&'a ConnectionPoolSettings>,
    /// Ejection.
    pub outlier_detection: Option<&'a OutlierDetection>,
    /// Balancing.
    pub load_balancer: Option<&'a LoadBalancerSettings>,
    /// TLS.
    pub tls: Option<&'a ClientTlsSettings>,
    /// CONNECT tunnel.
    pub tunnel: Option<&'a TunnelSettings>,
    /// PROXY protocol.
    pub proxy_protocol: Option<&'a ProxyProtocol>,
    /// Retry budget.
    pub retry_budget: Option<&'a RetryBudget>,
}

impl<'a> Policy<'a> {
    /// The policy of one port, and whether a port level entry replaced the rest.
    #[must_use]
    pub fn of_port(policy: Option<&'a TrafficPolicy>, port: u16) -> (Self, bool) {
        let Some(policy) = policy else { return (Policy::default(), false) };
        match port_entry(policy, port) {
            Some(entry) => (
                Policy {
                    connection_pool: entry.connection_pool.as_ref(),
                    outlier_detection: entry.outlier_detection.as_ref(),
                    load_balancer: entry.load_balancer.as_ref(),
                    tls: entry.tls.as_ref(),
                    ..Policy::default()
                },
                true,
            ),
            None => (
                Policy {
                    connection_pool: policy.connection_pool.as_ref(),
                    outlier_detection: policy.outlier_detection.as_ref(),
                    load_balancer: policy.load_balancer.as_ref(),
                    tls: policy.tls.as_ref(),
                    tunnel: policy.tunnel.as_ref(),
                    proxy_protocol: policy.proxy_protocol.as_ref(),
                    retry_budget: policy.retry_budget.as_ref(),
                },
                false,
            ),
        }
    }

    /// This policy overridden by a subset's, block by block; a port level entry of the subset replaces four blocks.
    #[must_use]
    pub fn with_subset(self, subset: Option<&'a TrafficPolicy>, port: u16) -> Self {
        if subset.is_none() {
            return self;
        }
        let (over, replaces) = Policy::of_port(subset, port);
        Policy {
            connection_pool: if replaces {
                over.connection_pool
            } else {
                over.connection_pool.or(self.connection_pool)
            },
            outlier_detection: if replaces {
                over.outlier_detection
            } else {
                over.outlier_detection.or(self.outlier_detection)
            },
            load_balancer: if replaces {
                over.load_balancer
            } else {
                over.load_balancer.or(self.load_balancer)
            },
            tls: if replaces { over.tls } else { over.tls.or(self.tls) },
            tunnel: over.tunnel.or(self.tunnel),
            proxy_protocol: over.proxy_protocol.or(self.proxy_protocol),
            retry_budget: over.retry_budget.or(self.retry_budget),
        }
    }

    /// The mesh's default fills blocks that are absent.
    #[must_use]
    pub fn with_mesh_default(self, default: Option<&'a DefaultTrafficPolicy>) -> Self {
        let Some(default) = default else { return self };
        Policy {
            connection_pool: self.connection_pool.or(default.connection_pool.as_ref()),
            outlier_detection: self.outlier_detection.or(default.outlier_detection.as_ref()),
            ..self
        }
    }

    /// The policy by which endpoints are generated: port and subset levels, without the mesh's default.
    #[must_use]
    pub fn of_endpoints(rule: Option<&'a Consolidated>, port: u16, subset: &str) -> Self {
        let Some(rule) = rule else { return Policy::default() };
        let written = rule.subset(subset).and_then(|s| s.traffic_policy.as_deref());
        Policy::of_port(rule.rule.traffic_policy.as_deref(), port).0.with_subset(written, port)
    }
}

fn port_entry(policy: &TrafficPolicy, port: u16) -> Option<&PortTrafficPolicy> {
    policy.port_level_settings.iter().find(|entry| is_port(entry, port))
}

fn is_port(entry: &PortTrafficPolicy, port: u16) -> bool {
    entry.port.as_ref().is_some_and(|p| p.number == u32::from(port))
}

/// The TLS mode of a rule as endpoints see it (istiod: `tlsModeForDestinationRule`): unlike elsewhere, a port level entry
/// without TLS falls back to the top level.
#[must_use]
pub fn endpoint_tls_mode(rule: Option<&Consolidated>, port: u16, subset: &str) -> Option<ClientTlsMode> {
    let rule = rule?;
    let top = || mode_for_port(rule.rule.traffic_policy.as_deref(), port);
    if subset.is_empty() {
        return top();
    }
    mode_for_port(rule.subset(subset)?.traffic_policy.as_deref(), port).or_else(top)
}

fn mode_for_port(policy: Option<&TrafficPolicy>, port: u16) -> Option<ClientTlsMode> {
    let policy = policy?;
    let of_port = policy.port_level_settings.iter().filter(|e| is_port(e, port)).find_map(|e| e.tls.as_ref());
    of_port.or(policy.tls.as_ref()).map(|tls| tls.mode)
}

fn hash_of(lb: Option<&LoadBalancerSettings>) -> Option<&ConsistentHashLb> {
    lb?.consistent_hash.as_ref()
}

/// The consistent hash of a VirtualService destination: subset port level, subset, port level, top level. Port levels
/// count only for destinations that name a port.
#[must_use]
pub fn destination_hash<'a>(
    rule: &'a Consolidated,
    destination: &Destination,
) -> Option<&'a ConsistentHashLb> {
    let port = destination.port.as_ref().and_then(|p| u16::try_from(p.number).ok());
    let of_port = |policy: Option<&'a TrafficPolicy>| {
        let entry = port_entry(policy?, port?)?;
        hash_of(entry.load_balancer.as_ref())
    };
    let of = |policy: Option<&'a TrafficPolicy>| hash_of(policy?.load_balancer.as_ref());
    let top = rule.rule.traffic_policy.as_deref();
    let subset = rule.subset(&destination.subset).and_then(|s| s.traffic_policy.as_deref());
    of_port(subset).or_else(|| of(subset)).or_else(|| of_port(top)).or_else(|| of(top))
}

/// The consistent hash of a service's default route.
#[must_use]
pub fn service_hash(rule: &DestinationRule, port: u16) -> Option<&ConsistentHashLb> {
    let policy = rule.traffic_policy.as_deref()?;
    let of_port = port_entry(policy, port).and_then(|entry| hash_of(entry.load_balancer.as_ref()));
    of_port.or_else(|| hash_of(policy.load_balancer.as_ref()))
}

/// Whether TCP connections to a subset are hashed by source IP (istiod: `maybeSetHashPolicy`; port levels do not count).
#[must_use]
pub fn hashes_source_ip(rule: &Consolidated, subset: &str) -> bool {
    let source_ip =
        |lb: Option<&LoadBalancerSettings>| hash_of(lb).and_then(|h| h.use_source_ip) == Some(true);
    let own =
        rule.subset(subset).and_then(|s| s.traffic_policy.as_deref()).and_then(|p| p.load_balancer.as_ref());
    match own {
        Some(lb) => source_ip(Some(lb)),
        None => source_ip(rule.rule.traffic_policy.as_deref().and_then(|p| p.load_balancer.as_ref())),
    }
}
