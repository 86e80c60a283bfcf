//! Where requests go: every port of every service, every host that routes name and no service has, a host that nobody
//! knows; for clients outside, every port and host of the gateway they dial.

use std::collections::BTreeSet;

use mesh_config::mesh::protocol::Protocol;
use mesh_core::ir::{FilterChain, ProxyKind, RouteSpecifier, Snapshot, Terminal, TrafficDirection};
use mesh_engine::world::PodId;

use super::Scope;
use super::clients::Plane;
use crate::loaded::LoadedMesh;
use crate::plan::traffic::Sender;

/// A host that nobody knows.
const UNKNOWN_HOST: &str = "unknown.mesh-sim.example";
/// What `*` in a host stands for.
const STAR: &str = "any.mesh-sim.example";

/// How a client speaks there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speech {
    /// HTTP that proxies on the way can read.
    Http,
    /// HTTP inside TLS of the client's own that nobody before the server (or the gateway) reads.
    Https,
    /// Opaque bytes.
    Tcp,
}

/// One place that can be called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    /// Host that is dialled.
    pub(super) host: String,
    /// Port that is dialled.
    pub(super) port: u16,
    /// What is spoken.
    pub(super) speech: Speech,
}

impl Target {
    /// `http://reviews.default.svc.cluster.local:9080`, as people type it: without the scheme's own port.
    pub(super) fn origin(&self) -> String {
        let (scheme, default) = match self.speech {
            Speech::Http => ("http", 80),
            Speech::Https => ("https", 443),
            Speech::Tcp => ("tcp", 0),
        };
        format!("{scheme}://{}{}", self.host, port(self.port, default))
    }

    /// The `Host` header that goes with it.
    pub(super) fn authority(&self) -> String {
        format!("{}{}", self.host, port(self.port, if self.speech == Speech::Https { 443 } else { 80 }))
    }
}

fn port(number: u16, default: u16) -> String {
    if number == default { String::new() } else { format!(":{number}") }
}

/// What a client of one mesh may call.
pub(super) fn targets(mesh: &LoadedMesh, sender: &Sender, plane: Plane, scope: &Scope) -> BTreeSet<Target> {
    let mut all = match (&sender.gateway, sender.pod) {
        (Some(gateway), _) => of_gateway(mesh, gateway),
        (None, Some(pod)) => inside(mesh, pod, plane),
        (None, None) => BTreeSet::new(),
    };
    all.retain(|t| scope.port.is_none_or(|p| p == t.port));
    all
}

fn inside(mesh: &LoadedMesh, client: PodId, plane: Plane) -> BTreeSet<Target> {
    let mut all = services(mesh);
    let known: BTreeSet<&str> = mesh.lowering.mesh.services.iter().map(|s| s.host.as_str()).collect();
    let proxy = mesh.world.pod(client).and_then(|p| p.proxy).and_then(|id| mesh.world.proxy(id));
    if let Some(proxy) = proxy.filter(|_| plane == Plane::Sidecar) {
        all.extend(routed(proxy.snapshot()).into_iter().filter(|t| !known.contains(t.host.as_str())));
    }
    all.insert(Target { host: UNKNOWN_HOST.to_owned(), port: 80, speech: Speech::Http });
    all
}

/// The ports of all services.
pub(super) fn services(mesh: &LoadedMesh) -> BTreeSet<Target> {
    let ports = mesh.lowering.mesh.services.iter().flat_map(|s| s.ports.iter().map(move |p| (s, p)));
    let target =
        |(service, port): (&mesh_config::mesh::service::Service, &mesh_config::mesh::service::Port)| {
            let speech = match port.protocol {
                Protocol::Udp => return None,
                Protocol::Tcp | Protocol::Mongo | Protocol::Redis | Protocol::MySql => Speech::Tcp,
                Protocol::Tls | Protocol::Https => Speech::Https,
                Protocol::Http
                | Protocol::Http2
                | Protocol::Grpc
                | Protocol::GrpcWeb
                | Protocol::HttpProxy
                | Protocol::Auto => Speech::Http,
            };
            Some(Target { host: starless(&service.host), port: u16::try_from(port.number).ok()?, speech })
        };
    ports.filter_map(target).collect()
}

/// `*.example.com` stands for some name below it.
fn starless(host: &str) -> String {
    match host.strip_prefix('*') {
        Some("") => STAR.to_owned(),
        Some(rest) => format!("any{rest}"),
        None => host.to_owned(),
    }
}

/// (host, port) of the virtual hosts and server names of a sidecar's outbound listeners.
fn routed(snapshot: &Snapshot) -> BTreeSet<Target> {
    let mut all = BTreeSet::new();
    for listener in snapshot.listeners.iter().filter(|l| l.direction == TrafficDirection::Outbound) {
        let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
        for chain in chains {
            for host in hosts(snapshot, chain) {
                all.insert(Target { host, port: listener.port, speech: Speech::Http });
            }
            for name in &chain.matcher.server_names {
                all.insert(Target { host: starless(name), port: listener.port, speech: Speech::Https });
            }
        }
    }
    all
}

/// The hosts that a chain's virtual hosts are named after; istiod names them `host:port`.
fn hosts(snapshot: &Snapshot, chain: &FilterChain) -> Vec<String> {
    let Terminal::Http(hcm) = &chain.terminal else { return Vec::new() };
    let config = match &hcm.route_specifier {
        RouteSpecifier::Inline(config) => Some(&**config),
        RouteSpecifier::Rds(name) => {
            snapshot.route_config_by_name(name).and_then(|id| snapshot.routes.get(id.index()))
        }
    };
    let named = |name: &str| {
        let (host, port) = name.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        Some(starless(host))
    };
    config.iter().flat_map(|c| &c.virtual_hosts).filter_map(|v| named(&v.name)).collect()
}

/// What a client outside may dial: each Service port of the gateway with each host behind it, and one host that no
/// server has.
fn of_gateway(mesh: &LoadedMesh, gateway: &str) -> BTreeSet<Target> {
    let mut all = BTreeSet::new();
    let pod = mesh.directory.pods.iter().find(|p| format!("{}/{}", p.namespace, p.workload) == gateway);
    let proxy = pod.and_then(|p| mesh.world.pod(p.id)?.proxy).and_then(|id| mesh.world.proxy(id));
    let Some(proxy) = proxy.filter(|p| p.snapshot().kind == ProxyKind::Gateway) else { return all };
    for listener in &proxy.snapshot().listeners {
        let theirs = |g: &&crate::directory::GatewayPort| g.workload == gateway && g.target == listener.port;
        let port = mesh.directory.gateway_ports.iter().find(theirs).map_or(listener.port, |g| g.port);
        for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
            let secure = chain.tls.is_some() || !chain.matcher.server_names.is_empty();
            let speech = match (secure, &chain.terminal) {
                (true, _) => Speech::Https,
                (false, Terminal::Http(_)) => Speech::Http,
                (false, Terminal::Tcp(_)) => Speech::Tcp,
            };
            let mut named = hosts(proxy.snapshot(), chain);
            named.extend(chain.matcher.server_names.iter().map(|n| starless(n)));
            named.push(UNKNOWN_HOST.to_owned());
            all.extend(named.into_iter().map(|host| Target { host, port, speech }));
        }
    }
    all
}

/// The pod's port behind a gateway's Service port.
pub(super) fn gateway_target(mesh: &LoadedMesh, gateway: &str, port: u16) -> u16 {
    let found = mesh.directory.gateway_ports.iter().find(|g| g.workload == gateway && g.port == port);
    found.map_or(port, |g| g.target)
}

/// (pod, its port) behind a service port.
pub(super) fn servers(mesh: &LoadedMesh, target: &Target) -> Vec<(PodId, u16)> {
    let model = &mesh.lowering.mesh;
    let mut found = Vec::new();
    for service in model.services.iter().filter(|s| starless(&s.host) == target.host) {
        for endpoint in model.endpoints.of(service) {
            let port = service.ports.iter().find(|p| p.name == endpoint.port_name);
            if port.is_some_and(|p| p.number == u32::from(target.port))
                && let (Some(pod), Ok(number)) = (endpoint.pod, u16::try_from(endpoint.port))
            {
                found.push((PodId(pod.0), number));
            }
        }
    }
    found
}
