//! Endpoints of a cluster: which ones a proxy gets, by locality, and whether they are reached with mutual TLS (istiod:
//! `EndpointBuilder`; semantics: istio-networking 1.3, 4.5, 4.9).
//!
//! [`locality`] then orders them by distance.

pub mod locality;

use std::collections::BTreeMap;

use mesh_core::ir::{Endpoint, EndpointAddress, Health, LocalityEndpoints};

use super::Ctx;
use super::destination_rule::Consolidated;
use super::destination_rule::policy::{Policy, endpoint_tls_mode};
use super::security::peer_authentication::Mode;
use super::virtual_service::labels_subset;
use crate::mesh::locality::Locality;
use crate::mesh::service::{Endpoint as Known, Health as KnownHealth, Port, Service, TrafficDistribution};
use crate::resource::load_balancer::LoadBalancerSettings;
use crate::resource::tls::ClientTlsMode;

/// A cluster whose endpoints are wanted.
#[derive(Clone, Copy)]
pub struct EndpointQuery<'a> {
    /// Its service.
    pub service: &'a Service,
    /// Its port.
    pub port: &'a Port,
    /// Its subset; empty is none.
    pub subset: &'a str,
    /// The DestinationRule that applies.
    pub rule: Option<&'a Consolidated>,
    /// Only endpoints that speak mutual TLS (AUTO_PASSTHROUGH).
    pub mtls_only: bool,
}

/// Endpoints of one locality, each with what istiod knows of it.
#[derive(Debug, Clone)]
pub(in crate::lower) struct Group<'a> {
    pub locality: Locality,
    pub weight: u32,
    pub priority: u32,
    pub members: Vec<(&'a Known, Endpoint)>,
}

impl EndpointQuery<'_> {
    fn number(&self) -> u16 {
        u16::try_from(self.port.number).unwrap_or(0)
    }

    fn policy(&self) -> Policy<'_> {
        Policy::of_endpoints(self.rule, self.number(), self.subset)
    }
}

/// The endpoints of an EDS cluster, ordered by distance.
#[must_use]
pub fn eds(cx: &Ctx<'_>, query: EndpointQuery<'_>) -> Vec<LocalityEndpoints> {
    let known = cx.lowering.mesh.endpoints.by_name(query.service, query.port);
    // EDS takes IP addresses only (or sockets, which have no port).
    let usable = known.filter(|e| e.port == 0 || e.address.parse::<std::net::IpAddr>().is_ok());
    let groups = collect(cx, query, usable);
    let policy = query.policy();
    let failover = policy.outlier_detection.is_some();
    finish(locality::apply(cx, query.service, policy.load_balancer, failover, groups))
}

/// The endpoints of a DNS cluster before locality settings, which apply to clusters and not to endpoints there.
pub(super) fn dns<'a>(cx: &Ctx<'a>, query: EndpointQuery<'a>) -> Vec<Group<'a>> {
    collect(cx, query, cx.lowering.mesh.endpoints.by_number(query.service, query.port))
}

/// Groups as the IR has them.
pub(super) fn finish(groups: Vec<Group<'_>>) -> Vec<LocalityEndpoints> {
    groups
        .into_iter()
        .map(|group| LocalityEndpoints {
            locality: group.locality.to_string().into(),
            weight: group.weight,
            priority: group.priority,
            hosts: group.members.into_iter().map(|(_, host)| host).collect(),
        })
        .collect()
}

fn collect<'a>(
    cx: &Ctx<'a>,
    query: EndpointQuery<'_>,
    known: impl Iterator<Item = &'a Known>,
) -> Vec<Group<'a>> {
    let subset = query.rule.and_then(|rule| rule.subset(query.subset)).filter(|_| !query.subset.is_empty());
    let send_unhealthy = sends_unhealthy(query.service, query.policy());
    let mut groups: BTreeMap<String, Group<'a>> = BTreeMap::new();
    let mode = endpoint_tls_mode(query.rule, query.number(), query.subset);
    for endpoint in known {
        if subset.is_some_and(|subset| !labels_subset(&subset.labels, &endpoint.labels))
            || !is_sent(cx, query.service, endpoint, send_unhealthy)
        {
            continue;
        }
        let host = host(cx, endpoint, mode);
        let group = groups.entry(endpoint.locality.to_string()).or_insert_with(|| Group {
            locality: endpoint.locality.clone(),
            weight: 0,
            priority: 0,
            members: Vec::new(),
        });
        // A locality stays, even when none of its endpoints does.
        if query.mtls_only && !host.tls_mode_istio {
            continue;
        }
        group.weight = group.weight.saturating_add(host.weight);
        group.members.push((endpoint, host));
    }
    groups.into_values().collect()
}

/// `trafficDistribution` forces them; `minHealthPercent` takes them out (semantics: istio-networking 4.5).
fn sends_unhealthy(service: &Service, policy: Policy<'_>) -> bool {
    let threshold = policy.outlier_detection.is_some_and(|outlier| outlier.min_health_percent > 0);
    forces_unhealthy(service) || !threshold
}

/// Whether unready endpoints of a service are always sent.
#[must_use]
pub fn forces_unhealthy(service: &Service) -> bool {
    service.traffic_distribution != TrafficDistribution::Any
}

fn is_sent(cx: &Ctx<'_>, service: &Service, endpoint: &Known, send_unhealthy: bool) -> bool {
    if service.node_local && endpoint.node.as_deref() != cx.proxy.node.as_deref() {
        return false;
    }
    match endpoint.health {
        KnownHealth::Terminating => false,
        KnownHealth::Unhealthy => send_unhealthy,
        KnownHealth::Draining => {
            service.labels.get("istio.io/persistent-session").is_some_and(|value| !value.is_empty())
        }
        KnownHealth::Healthy | KnownHealth::Unspecified => true,
    }
}

/// A TLS mode of the DestinationRule decides; else the workload's own ability and its PeerAuthentication.
fn host(cx: &Ctx<'_>, endpoint: &Known, mode: Option<ClientTlsMode>) -> Endpoint {
    let tls_mode_istio = match mode {
        Some(mode) => mode == ClientTlsMode::IstioMutual && endpoint.speaks_mtls(),
        None => endpoint.speaks_mtls() && accepts_mtls(cx, endpoint),
    };
    Endpoint {
        address: address(endpoint),
        weight: endpoint.weight,
        health: match endpoint.health {
            KnownHealth::Unhealthy | KnownHealth::Terminating => Health::Unhealthy,
            KnownHealth::Draining => Health::Draining,
            KnownHealth::Healthy | KnownHealth::Unspecified => Health::Healthy,
        },
        tls_mode_istio,
        workload: endpoint
            .pod
            .and_then(|pod| cx.lowering.mesh.pods.get(pod.0 as usize))
            .map_or_else(String::new, |pod| format!("{}/{}#{}", pod.namespace, pod.workload, pod.ordinal))
            .into(),
        origin: cx.lowering.tools.origins.id(endpoint.origin),
    }
}

fn accepts_mtls(cx: &Ctx<'_>, endpoint: &Known) -> bool {
    let policies = &cx.lowering.indexes.peer_authentication;
    let port = u16::try_from(endpoint.port).unwrap_or(0);
    policies.effective(&endpoint.namespace, &endpoint.labels).port(port).mode != Mode::Disable
}

fn address(endpoint: &Known) -> EndpointAddress {
    let port = u16::try_from(endpoint.port).unwrap_or(0);
    if let Some(path) = endpoint.address.strip_prefix("unix://") {
        return EndpointAddress::Pipe(path.into());
    }
    match endpoint.address.parse() {
        Ok(ip) => EndpointAddress::Ip(ip, port),
        Err(_) if port == 0 => EndpointAddress::Pipe(endpoint.address.as_str().into()),
        Err(_) => EndpointAddress::Dns(endpoint.address.as_str().into(), port),
    }
}

/// Which locality setting a cluster obeys (istiod: `GetEffectiveLbSetting`; semantics: istio-networking 4.6).
pub(super) fn locality_setting<'a>(
    cx: &Ctx<'a>,
    service: &Service,
    lb: Option<&'a LoadBalancerSettings>,
) -> locality::Setting<'a> {
    let settings = &cx.lowering.mesh.settings;
    locality::Setting::effective(
        lb,
        service.traffic_distribution,
        settings.zone_aware_lb_setting.as_ref(),
        &settings.locality_lb_setting,
    )
}
