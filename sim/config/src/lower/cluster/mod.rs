//! Outbound clusters, of sidecars and gateways (istiod: `buildOutboundClusters`, `applyDestinationRule`,
//! `buildSubsetCluster`; semantics: istio-networking 4, 11).
//!
//! `traffic_policy` and `tls` translate the blocks of a policy, `lower::endpoint` finds the hosts, `built_in` has the
//! clusters that no service makes.

pub mod built_in;
mod tls;
pub mod traffic_policy;

use std::sync::Arc;

use mesh_core::Str;
use mesh_core::ids::Taint;
use mesh_core::ir::{Cluster, CommonLb, Discovery, LbPolicy, LocalityEndpoints, OutlierDetection, Transport};

use super::Ctx;
use super::destination_rule::Consolidated;
use super::destination_rule::policy::Policy;
use super::endpoint::{self, EndpointQuery, locality};
use super::hosts::is_wildcard;
use super::virtual_service::destination::cluster_name;
use crate::mesh::protocol::Protocol;
use crate::mesh::service::{Port, Resolution, Service};
use crate::resource::destination_rule::{Subset, TrafficPolicy};
use crate::resource::load_balancer::SimpleLb;
use traffic_policy::Pool;

/// Which clusters are made: ordinary ones, or those that AUTO_PASSTHROUGH servers send to by SNI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterMode {
    /// `outbound|9080|v1|host`.
    Default,
    /// `outbound_.9080_.v1_.host`: plaintext of whatever the client encrypted, to endpoints that speak mutual TLS.
    SniDnat,
}

/// One cluster to build.
pub(super) struct Plan<'a> {
    pub service: &'a Arc<Service>,
    pub port: &'a Port,
    pub subset: Option<&'a Subset>,
    pub rule: Option<&'a Consolidated>,
    pub mode: ClusterMode,
    /// The policy whose load balancer counts for inferring mutual TLS: the subset's, or the rule's.
    pub own_policy: Option<&'a TrafficPolicy>,
    pub service_accounts: Vec<String>,
    /// The rule selects workloads.
    pub selective_rule: bool,
    /// The address the client dialled is the host.
    pub original_dst: bool,
    /// Hosts are resolved from requests.
    pub dynamic: bool,
}

/// Every outbound cluster of a proxy's scope.
#[must_use]
pub fn outbound(cx: &Ctx<'_>, mode: ClusterMode) -> Vec<Cluster> {
    let mut out = Vec::new();
    for service in &cx.scope.services {
        let skipped = mode == ClusterMode::SniDnat && service.mesh_external;
        if service.resolution == Resolution::Alias || skipped {
            continue;
        }
        let rule = cx.rule(&service.host).map(|rule| &**rule);
        let accounts = cx.lowering.mesh.service_accounts(service);
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            of_port(cx, service, port, rule, &accounts, mode, &mut out);
        }
    }
    out
}

fn of_port(
    cx: &Ctx<'_>,
    service: &Arc<Service>,
    port: &Port,
    rule: Option<&Consolidated>,
    accounts: &[String],
    mode: ClusterMode,
    out: &mut Vec<Cluster>,
) {
    let dynamic = is_wildcard(&service.host) && service.resolution == Resolution::DynamicDns;
    let supported =
        matches!(port.protocol, Protocol::Http | Protocol::Tls | Protocol::Grpc | Protocol::Http2);
    if dynamic && !supported {
        return;
    }
    let plan = |subset: Option<&'_ Subset>| -> bool { !dynamic || subset.is_none() };
    let subsets = rule.map_or(&[][..], |rule| rule.rule.subsets.as_slice());
    for subset in std::iter::once(None).chain(subsets.iter().map(Some)).filter(|s| plan(*s)) {
        let own_policy = match subset {
            Some(subset) => subset.traffic_policy.as_deref(),
            None => rule.and_then(|rule| rule.rule.traffic_policy.as_deref()),
        };
        let plan = Plan {
            service,
            port,
            subset,
            rule,
            mode,
            own_policy,
            service_accounts: accounts.to_vec(),
            selective_rule: rule.is_some_and(|rule| rule.rule.workload_selector.is_some()),
            original_dst: false,
            dynamic,
        };
        match plan.build(cx) {
            Some(cluster) => out.push(cluster),
            // Without the cluster of the service there are none of its subsets.
            None if subset.is_none() => return,
            None => {}
        }
    }
}

impl Plan<'_> {
    fn number(&self) -> u16 {
        u16::try_from(self.port.number).unwrap_or(0)
    }

    fn subset_name(&self) -> &str {
        self.subset.map_or("", |subset| subset.name.as_str())
    }

    /// `outbound_.9080_.v1_.host`.
    fn dns_srv_name(&self) -> Str {
        format!("outbound_.{}_.{}_.{}", self.port.number, self.subset_name(), self.service.host).into()
    }

    fn default_sni(&self) -> Str {
        if self.dynamic { "".into() } else { self.dns_srv_name() }
    }

    fn name(&self) -> Str {
        match self.mode {
            ClusterMode::Default => cluster_name(self.number(), self.subset_name(), &self.service.host),
            ClusterMode::SniDnat => self.dns_srv_name(),
        }
    }

    /// The policy of the port, the mesh's default under it.
    fn base_policy<'a>(&'a self, cx: &'a Ctx<'_>) -> Policy<'a> {
        let top = self.rule.and_then(|rule| rule.rule.traffic_policy.as_deref());
        let default = cx.lowering.mesh.settings.default_traffic_policy.as_ref();
        Policy::of_port(top, self.number()).0.with_mesh_default(default)
    }

    /// The subset's policy over that of the port.
    fn policy<'a>(&'a self, cx: &'a Ctx<'_>) -> Policy<'a> {
        let written = self.subset.and_then(|s| s.traffic_policy.as_deref());
        self.base_policy(cx).with_subset(written, self.number())
    }

    /// How hosts are found. `PASSTHROUGH` balancing makes the dialled address the host.
    fn discovery(&self, cx: &Ctx<'_>, policy: Policy<'_>) -> Discovery {
        if self.dynamic {
            return Discovery::DynamicForwardProxy;
        }
        let simple = |policy: Policy<'_>| policy.load_balancer.and_then(|lb| lb.simple);
        // A subset cannot take back what the rule says.
        let passthrough = [policy, self.base_policy(cx)].map(simple).contains(&Some(SimpleLb::Passthrough));
        match self.service.resolution {
            Resolution::Passthrough if cx.is_sidecar() => Discovery::OriginalDst,
            _ if passthrough => Discovery::OriginalDst,
            Resolution::DnsLb => Discovery::StrictDns,
            Resolution::DnsRoundRobin => Discovery::LogicalDns,
            Resolution::ClientSideLb
            | Resolution::Passthrough
            | Resolution::Alias
            | Resolution::DynamicDns => Discovery::Eds,
        }
    }

    fn build(mut self, cx: &Ctx<'_>) -> Option<Cluster> {
        let discovery = self.discovery(cx, self.policy(cx));
        self.original_dst = discovery == Discovery::OriginalDst;
        let endpoints = self.endpoints(cx, discovery)?;
        let tools = &cx.lowering.tools;
        let settings = &cx.lowering.mesh.settings;
        let policy = self.policy(cx);
        let http = policy.connection_pool.and_then(|pool| pool.http.as_ref());
        let protocol = traffic_policy::port_protocol(self.port.protocol, cx.is_sidecar());
        let protocol = traffic_policy::upgraded(settings, http, self.port.protocol, protocol);
        let pool = Pool::new(settings, policy.connection_pool, policy.retry_budget, protocol);
        let outlier =
            policy.outlier_detection.map(|written| traffic_policy::outlier_detection(tools, written));
        let mut taints = traffic_policy::unmodelled(tools, policy.retry_budget);
        let (transport, more) = match self.mode {
            ClusterMode::Default => tls::transport(cx, &self, policy, pool.protocol),
            ClusterMode::SniDnat => (Transport::Plaintext, Vec::new()),
        };
        taints.extend(more);
        if !self.port.protocol.is_tcp() {
            taints.extend(traffic_policy::empty_hash(tools, policy.load_balancer));
        }
        let common_lb = self.common_lb(cx, policy, outlier.as_ref(), discovery, &mut taints);
        let lb = match discovery {
            Discovery::OriginalDst | Discovery::DynamicForwardProxy => LbPolicy::ClusterProvided,
            _ => traffic_policy::lb_policy(policy.load_balancer).unwrap_or(LbPolicy::ClusterProvided),
        };
        let proxy_protocol = policy.proxy_protocol.filter(|_| self.mode == ClusterMode::Default);
        Some(Cluster {
            name: self.name(),
            discovery,
            lb,
            common_lb,
            connect_timeout_ns: pool.connect_timeout_ns,
            breakers: pool.breakers,
            outlier,
            protocol: pool.protocol,
            transport,
            proxy_protocol: proxy_protocol.map_or(0, |p| p.version as u8 + 1),
            idle_timeout_ns: pool.idle_timeout_ns,
            max_requests_per_connection: pool.max_requests_per_connection,
            max_connection_duration_ns: pool.max_connection_duration_ns,
            max_concurrent_streams: pool.max_concurrent_streams,
            upstream_port_override: self.port_override(discovery),
            upstream_bind: None,
            endpoints,
            overprovisioning_factor: 140,
            host: self.service.host.as_str().into(),
            port: self.number(),
            subset: self.subset_name().into(),
            taints,
            origin: self.origin(cx),
        })
    }

    /// `targetPort` of ServiceEntries without resolution.
    fn port_override(&self, discovery: Discovery) -> u16 {
        let written = self.service.passthrough_ports.get(&self.port.number);
        let written = written.filter(|_| {
            discovery == Discovery::OriginalDst && self.service.resolution == Resolution::Passthrough
        });
        written.and_then(|port| u16::try_from(*port).ok()).unwrap_or(0)
    }

    /// `None`: a DNS cluster without hosts does not exist.
    fn endpoints(&self, cx: &Ctx<'_>, discovery: Discovery) -> Option<Vec<LocalityEndpoints>> {
        let query = EndpointQuery {
            service: self.service,
            port: self.port,
            subset: self.subset_name(),
            rule: self.rule,
            mtls_only: self.mode == ClusterMode::SniDnat,
        };
        match discovery {
            Discovery::Eds => Some(endpoint::eds(cx, query)),
            Discovery::StrictDns | Discovery::LogicalDns => {
                let groups = endpoint::dns(cx, query);
                if groups.is_empty() {
                    return None;
                }
                let policy = self.policy(cx);
                let failover = policy.outlier_detection.is_some();
                let placed = locality::apply(cx, self.service, policy.load_balancer, failover, groups);
                Some(endpoint::finish(placed))
            }
            Discovery::OriginalDst | Discovery::DynamicForwardProxy | Discovery::Static => Some(Vec::new()),
        }
    }

    fn common_lb(
        &self,
        cx: &Ctx<'_>,
        policy: Policy<'_>,
        outlier: Option<&OutlierDetection>,
        discovery: Discovery,
        taints: &mut Vec<Taint>,
    ) -> CommonLb {
        let threshold = match policy.outlier_detection {
            Some(written) if !endpoint::forces_unhealthy(self.service) => {
                u32::try_from(written.min_health_percent).unwrap_or(0)
            }
            _ => 0,
        };
        let setting = endpoint::locality_setting(cx, self.service, policy.load_balancer);
        if let locality::Setting::ZoneAware(written) = setting
            && written.enabled != Some(false)
        {
            taints.push(cx.lowering.tools.origins.taint("zoneAwareLbSetting", written.origin));
        }
        CommonLb {
            // Dynamic forward proxies are left at Envoy's own 50 %.
            healthy_panic_threshold: if discovery == Discovery::DynamicForwardProxy { 50 } else { threshold },
            locality_weighted: discovery != Discovery::DynamicForwardProxy
                && setting.weights_localities(outlier.is_some()),
            update_merge_window_ns: built_in::UPDATE_MERGE_WINDOW_NS,
        }
    }

    /// Subset, else rule, else service port.
    fn origin(&self, cx: &Ctx<'_>) -> mesh_core::OriginId {
        let span = match (self.subset, self.rule) {
            (Some(subset), _) => subset.origin,
            (None, Some(rule)) => rule.meta.origin,
            (None, None) => self.port.origin,
        };
        cx.lowering.tools.origins.id(span)
    }
}
