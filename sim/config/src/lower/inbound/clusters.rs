//! Clusters towards the application (istiod: `buildInboundClusters`; semantics: istio-networking 5.5, 6.5).

use std::net::IpAddr;

use mesh_core::ir::{
    Cluster, Discovery, Endpoint, EndpointAddress, Health, LbPolicy, LocalityEndpoints, SlowStart,
};

use super::site::{Site, cluster_name};
use crate::lower::Ctx;
use crate::lower::cluster::built_in;
use crate::lower::cluster::traffic_policy::{self, Pool};
use crate::lower::destination_rule::policy::Policy;
use crate::mesh::protocol::Protocol;
use crate::resource::connection_pool::ConnectionPoolSettings;
use crate::resource::mesh_config::InboundTrafficMode;
use crate::resource::sidecar::{IngressListener, Sidecar};
use crate::source::Span;

/// A port of the application.
struct Plan<'a> {
    /// Port in the name.
    port: u16,
    /// Service port for policies.
    service_port: u16,
    protocol: Protocol,
    host: &'a str,
    /// Where to connect; `None` is the original destination.
    address: Option<EndpointAddress>,
    origin: Span,
}

/// All inbound clusters of a sidecar.
pub(super) fn clusters(cx: &Ctx<'_>, site: Site<'_>) -> Vec<Cluster> {
    let mut out: Vec<Cluster> = match site.ingress {
        Some((_, sidecar)) => of_ingress(site, sidecar).iter().map(|plan| plan.build(cx, site)).collect(),
        None if !site.captured() => Vec::new(),
        None => of_services(cx, site).iter().map(|plan| plan.build(cx, site)).collect(),
    };
    out.push(built_in::passthrough(cx, super::PASSTHROUGH_CLUSTER, Some(source(site))));
    out
}

/// The address that iptables lets through to the application.
fn source(site: Site<'_>) -> IpAddr {
    if site.ip.is_ipv6() { IpAddr::from([0, 0, 0, 0, 0, 0, 0, 6]) } else { IpAddr::from([127, 0, 0, 6]) }
}

fn localhost(site: Site<'_>) -> IpAddr {
    if site.ip.is_ipv6() {
        std::net::Ipv6Addr::LOCALHOST.into()
    } else {
        std::net::Ipv4Addr::LOCALHOST.into()
    }
}

/// One cluster per port of the pod; the oldest service names it.
fn of_services<'a>(cx: &Ctx<'_>, site: Site<'a>) -> Vec<Plan<'a>> {
    let direct = cx.lowering.mesh.settings.inbound_traffic_policy.mode == InboundTrafficMode::Passthrough;
    let mut out: Vec<Plan<'a>> = Vec::new();
    for target in site.targets {
        if out.iter().any(|plan| plan.port == target.target_port) {
            continue;
        }
        out.push(Plan {
            port: target.target_port,
            service_port: target.port,
            protocol: target.protocol,
            host: target.host,
            address: (!direct).then(|| EndpointAddress::Ip(localhost(site), target.target_port)),
            origin: target.origin,
        });
    }
    out
}

fn of_ingress<'a>(site: Site<'a>, sidecar: &'a Sidecar) -> Vec<Plan<'a>> {
    let plan = |listener: &'a IngressListener| {
        let port = listener.port.as_ref()?;
        let number = u16::try_from(port.number).ok()?;
        Some(Plan {
            port: number,
            service_port: number,
            protocol: Protocol::parse(&port.protocol),
            host: site.targets.iter().find(|t| t.target_port == number).map_or("", |t| t.host),
            address: default_endpoint(site, &listener.default_endpoint)?,
            origin: listener.origin,
        })
    };
    sidecar.ingress.iter().filter_map(plan).collect()
}

/// `127.0.0.1:p`, `0.0.0.0:p` (the pod's address), a unix socket, or nothing (the original destination). The outer
/// `None` is text that istiod cannot read: such a listener has no cluster.
#[expect(clippy::option_option, reason = "unreadable and absent differ")]
fn default_endpoint(site: Site<'_>, written: &str) -> Option<Option<EndpointAddress>> {
    if written.is_empty() {
        return Some(None);
    }
    if let Some(path) = written.strip_prefix("unix://") {
        return Some(Some(EndpointAddress::Pipe(path.into())));
    }
    let (host, port) = written.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?;
    let own = |v6: bool| if site.ip.is_ipv6() == v6 { site.ip } else { localhost(site) };
    let ip = match host.trim_matches(['[', ']']) {
        "0.0.0.0" => own(false),
        "::" => own(true),
        "127.0.0.1" | "::1" => localhost(site),
        // istiod knows no other host and falls back to the original destination.
        _ => return Some(None),
    };
    Some(Some(EndpointAddress::Ip(ip, port)))
}

impl Plan<'_> {
    fn build(&self, cx: &Ctx<'_>, site: Site<'_>) -> Cluster {
        let settings = &cx.lowering.mesh.settings;
        let rule = cx.scope.rule(self.host, None);
        let written = rule.and_then(|rule| rule.rule.traffic_policy.as_deref());
        let policy = Policy::of_port(written, self.service_port)
            .0
            .with_mesh_default(settings.default_traffic_policy.as_ref());
        let pool_settings = sidecar_pool(cx, self.port).or(policy.connection_pool);
        let protocol = traffic_policy::port_protocol(self.protocol, true);
        let pool = Pool::new(settings, pool_settings, policy.retry_budget, protocol);
        let local = matches!(self.address, Some(EndpointAddress::Ip(ip, _)) if ip.is_loopback());
        Cluster {
            discovery: if self.address.is_some() { Discovery::Static } else { Discovery::OriginalDst },
            lb: match self.address {
                Some(_) => LbPolicy::RoundRobin(SlowStart::default()),
                None => LbPolicy::ClusterProvided,
            },
            connect_timeout_ns: pool.connect_timeout_ns,
            breakers: pool.breakers,
            protocol: pool.protocol,
            idle_timeout_ns: pool.idle_timeout_ns,
            max_requests_per_connection: pool.max_requests_per_connection,
            max_connection_duration_ns: pool.max_connection_duration_ns,
            max_concurrent_streams: pool.max_concurrent_streams,
            // Only then does iptables not redirect the connection once more.
            upstream_bind: (!local).then(|| source(site)),
            endpoints: self.address.iter().map(|address| host(address, cx, self.origin)).collect(),
            host: self.host.into(),
            port: self.service_port,
            origin: cx.lowering.tools.origins.id(self.origin),
            ..built_in::empty(cx, &cluster_name(self.port))
        }
    }
}

/// The Sidecar's `connectionPool` of the port, else its `inboundConnectionPool`; either replaces the DestinationRule's.
fn sidecar_pool<'a>(cx: &'a Ctx<'_>, port: u16) -> Option<&'a ConnectionPoolSettings> {
    let sidecar = &cx.scope.sidecar.as_ref()?.spec;
    let own = sidecar.ingress.iter().find(|listener| {
        listener.port.as_ref().is_some_and(|p| p.number == u32::from(port))
            && listener.connection_pool.is_some()
    });
    own.and_then(|listener| listener.connection_pool.as_ref()).or(sidecar.inbound_connection_pool.as_ref())
}

fn host(address: &EndpointAddress, cx: &Ctx<'_>, origin: Span) -> LocalityEndpoints {
    LocalityEndpoints {
        locality: "".into(),
        weight: 0,
        priority: 0,
        hosts: vec![Endpoint {
            address: address.clone(),
            weight: 1,
            health: Health::Healthy,
            tls_mode_istio: false,
            workload: "".into(),
            origin: cx.lowering.tools.origins.id(origin),
        }],
    }
}
