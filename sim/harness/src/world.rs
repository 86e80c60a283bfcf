//! From the mesh model to the engine's world: pods, proxies, names, service addresses.
//!
//! Nothing is decided here: who has a sidecar, what it captures and what names resolve to is `mesh-config`'s model,
//! what a proxy is sent its lowering's. This module only changes the shape.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use mesh_config::lower::Lowering;
use mesh_config::mesh::Mesh;
use mesh_config::mesh::capture::{Capture as CaptureRules, Selection};
use mesh_config::mesh::cluster_dns::{Answer, Destination};
use mesh_config::mesh::pod::{DataPlane, Pod as MeshPod};
use mesh_config::mesh::protocol::Protocol;
use mesh_config::mesh::registry::CLUSTER_DOMAIN;
use mesh_config::mesh::service::{Endpoint, PodId as MeshPodId, Registry, UNSPECIFIED_IP};
use mesh_config::resource::http_route::Headers;
use mesh_config::resource::proxy_config::InterceptionMode;
use mesh_core::Str;
use mesh_core::tls::{Certificate, TrustAnchor};
use mesh_engine::world::{
    AppKind, AppPort, Capture, Configuration, Dns, Internet, Pod, PodId, Proxy, ProxyId, Vips, World,
};

use crate::directory::{Directory, GatewayPort, PodEntry};

/// Where names lead that nothing in the cluster defines (TEST-NET of RFC 2544, never a mesh address).
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 19, 255, 254));
/// Address ranges of the cluster (FORMATS section 1).
const CLUSTER_RANGES: [&str; 2] = ["10.244.0.0/16", "10.96.0.0/16"];
/// The name of the world outside in records.
pub const INTERNET: &str = "internet";

/// Kubernetes' `terminationGracePeriodSeconds` where a pod states none.
const GRACE_SECONDS: i64 = 30;

/// How long a pod goes on once it is told to end.
fn grace_ns(pod: &MeshPod) -> u64 {
    let seconds = pod.spec.termination_grace_period_seconds.unwrap_or(GRACE_SECONDS);
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000)
}

/// Builds the world; `configuration` gives what istiod would send to a proxy.
#[must_use]
pub fn world(
    lowering: &Lowering,
    configuration: impl Fn(mesh_config::mesh::proxy::ProxyId) -> Configuration,
) -> World {
    let mesh = &*lowering.mesh;
    let app_ports = AppPorts::new(mesh);
    let mut world = World {
        dns: dns(mesh),
        vips: vips(mesh),
        internet: Internet {
            connect: mesh_engine::plan::ConnectMode::Accept,
            cluster_cidrs: CLUSTER_RANGES.iter().filter_map(|c| c.parse().ok()).collect(),
            answers: true,
            name: INTERNET.into(),
        },
        sets_acted_on_headers: sets_acted_on_headers(mesh),
        ..World::default()
    };
    for (index, pod) in mesh.pods.iter().enumerate() {
        let id = PodId(index as u32);
        let proxy = mesh.proxy_of(MeshPodId(index as u32));
        let engine_proxy = proxy.and_then(|p| mesh.proxy(p).map(|model| (p, model))).map(|(p, model)| {
            world.proxies.push(Proxy {
                name: model.id.as_str().into(),
                pod: id,
                configuration: configuration(p),
                identity: Certificate {
                    issuer: TrustAnchor::Mesh,
                    sans: vec![model.identity.as_str().into()],
                    subject: "".into(),
                },
                concurrency: 1,
            });
            (ProxyId(world.proxies.len() as u32 - 1), capture(&model.capture))
        });
        let (proxy, capture) = engine_proxy.map_or((None, no_capture()), |(p, c)| (Some(p), c));
        world.pods.push(Pod {
            reference: pod.reference().as_str().into(),
            pod_name: pod.name.as_str().into(),
            namespace: pod.namespace.as_str().into(),
            ip: pod.ip,
            proxy,
            gateway: pod.data_plane == DataPlane::Gateway,
            capture,
            ports: app_ports.of(id, pod),
            locality: pod.locality.to_string().as_str().into(),
            node: pod.node.as_deref().unwrap_or("").into(),
            grace_ns: grace_ns(pod),
            taint: pod.not_modelled.map(|what| lowering.tools.origins.taint(what, pod.origin)),
        });
    }
    world
}

/// Whether a response header is set on which another proxy acts: by a VirtualService, or by what is kept as written
/// (HTTPRoute).
fn sets_acted_on_headers(mesh: &Mesh) -> bool {
    const HEADER: &str = "x-envoy-ratelimited";
    let sets = |headers: Option<&Headers>| {
        let response = headers.and_then(|h| h.response.as_ref());
        response.is_some_and(|r| r.set.keys().chain(r.add.keys()).any(|k| k.eq_ignore_ascii_case(HEADER)))
    };
    let mut routes = mesh.inventory.virtual_services.iter().flat_map(|o| &o.spec.http);
    routes.any(|r| sets(r.headers.as_deref()) || r.route.iter().any(|d| sets(d.headers.as_deref())))
        || mesh.inventory.others.iter().any(|o| o.raw.node.to_json().to_ascii_lowercase().contains(HEADER))
}

fn no_capture() -> Capture {
    Capture { outbound_cidrs: Vec::new(), inbound_ports: Some(Vec::new()), ..Capture::default() }
}

fn capture(rules: &CaptureRules) -> Capture {
    if rules.mode == InterceptionMode::None {
        return no_capture();
    }
    let everything = || ["0.0.0.0/0", "::/0"].iter().filter_map(|c| c.parse().ok()).collect::<Vec<IpNet>>();
    // A list of inbound ports is taken literally: exclusions are only read beside `*`.
    let (inbound_ports, inbound_excluded_ports) = match &rules.include_inbound_ports {
        Selection::All => (None, rules.exclude_inbound_ports.iter().copied().collect()),
        Selection::Only(list) => (Some(list.iter().copied().collect()), Vec::new()),
    };
    Capture {
        outbound_cidrs: match &rules.include_outbound {
            Selection::All => everything(),
            Selection::Only(list) => list.iter().copied().collect(),
        },
        outbound_excluded_cidrs: rules.exclude_outbound.iter().copied().collect(),
        outbound_excluded_ports: rules.exclude_outbound_ports.iter().copied().collect(),
        outbound_included_ports: rules.include_outbound_ports.iter().copied().collect(),
        inbound_ports,
        inbound_excluded_ports,
    }
}

/// What the applications listen on. The recorder's rule: declared container ports; `tcp…` lines, `tls…` and `https…`
/// HTTP inside TLS, everything else HTTP. A port without a name speaks what the Services that lead to it say; a pod
/// that declares no port at all listens where Services lead.
struct AppPorts {
    targets: BTreeMap<PodId, BTreeMap<u16, (Protocol, Vec<Str>)>>,
}

impl AppPorts {
    fn new(mesh: &Mesh) -> AppPorts {
        let mut targets: BTreeMap<PodId, BTreeMap<u16, (Protocol, Vec<Str>)>> = BTreeMap::new();
        for service in &mesh.services {
            for endpoint in mesh.endpoints.of(service) {
                let (Some(pod), Ok(port)) = (endpoint.pod, u16::try_from(endpoint.port)) else { continue };
                let protocol =
                    service.ports.iter().find(|p| p.name == endpoint.port_name).map(|p| p.protocol);
                let entry = targets.entry(PodId(pod.0)).or_default().entry(port);
                let (_, hosts) = entry.or_insert_with(|| (protocol.unwrap_or_default(), Vec::new()));
                hosts.push(service.host.as_str().into());
            }
        }
        AppPorts { targets }
    }

    fn of(&self, id: PodId, pod: &MeshPod) -> Vec<AppPort> {
        if pod.data_plane == DataPlane::Gateway || pod.is_client() {
            return Vec::new();
        }
        let none = BTreeMap::new();
        let targets = self.targets.get(&id).unwrap_or(&none);
        let declared = pod.spec.containers.iter().flat_map(|c| &c.ports).filter(|p| p.protocol != "UDP");
        let mut kinds: BTreeMap<u16, AppKind> = BTreeMap::new();
        for port in declared {
            let Ok(number) = u16::try_from(port.container_port) else { continue };
            let by_service =
                targets.get(&number).map_or(AppKind::Http, |(protocol, _)| kind_of_protocol(*protocol));
            let kind = if port.name.is_empty() { by_service } else { kind_of_name(&port.name) };
            kinds.entry(number).or_insert(kind);
        }
        if kinds.is_empty() {
            kinds =
                targets.iter().map(|(port, (protocol, _))| (*port, kind_of_protocol(*protocol))).collect();
        }
        let certificate = |port: u16| Certificate {
            issuer: TrustAnchor::Public,
            sans: targets.get(&port).map(|(_, hosts)| hosts.clone()).unwrap_or_default(),
            subject: "".into(),
        };
        kinds
            .into_iter()
            .map(|(port, kind)| AppPort {
                port,
                kind,
                certificate: matches!(kind, AppKind::TlsLine | AppKind::Https).then(|| certificate(port)),
            })
            .collect()
    }
}

fn kind_of_name(name: &str) -> AppKind {
    match name {
        n if n.starts_with("tcp") => AppKind::TcpLine,
        n if n.starts_with("tls") || n.starts_with("https") => AppKind::Https,
        _ => AppKind::Http,
    }
}

fn kind_of_protocol(protocol: Protocol) -> AppKind {
    match protocol {
        Protocol::Tcp | Protocol::Mongo | Protocol::Redis | Protocol::MySql => AppKind::TcpLine,
        Protocol::Tls | Protocol::Https => AppKind::Https,
        _ => AppKind::Http,
    }
}

/// Every name of the cluster, resolved once.
fn dns(mesh: &Mesh) -> Dns {
    let mut dns = Dns { cluster_domain: CLUSTER_DOMAIN.into(), outside: Some(OUTSIDE), ..Dns::default() };
    let mut add = |host: &str| match mesh.resolve("default", &format!("{host}.")) {
        Answer::Addresses(addresses) => {
            dns.names.insert(host.into(), addresses);
        }
        Answer::External(name) if name != host => {
            dns.aliases.insert(host.into(), name.as_str().into());
        }
        Answer::External(_) => {}
        Answer::NoSuchName => {
            dns.names.insert(host.into(), Vec::new());
        }
    };
    for service in mesh.services.iter().filter(|s| s.registry == Registry::Kubernetes) {
        add(&service.host);
    }
    for pod in &mesh.pods {
        if let (Some(hostname), Some(subdomain)) = (&pod.hostname, &pod.subdomain) {
            add(&format!("{hostname}.{subdomain}.{}.svc.{CLUSTER_DOMAIN}", pod.namespace));
        }
    }
    // As the recorder's DNS: what a ServiceEntry names exists outside, even below the cluster's own domain.
    for service in mesh.services.iter().filter(|s| s.registry == Registry::External && !s.host.contains('*'))
    {
        let host: Str = service.host.as_str().into();
        if !dns.aliases.contains_key(&host) {
            dns.names.entry(host).or_insert_with(|| vec![OUTSIDE]);
        }
    }
    dns
}

/// What kube-proxy does with every Service address.
fn vips(mesh: &Mesh) -> Vips {
    let mut targets = BTreeMap::new();
    let mut addresses = BTreeSet::new();
    for service in mesh.services.iter().filter(|s| s.registry == Registry::Kubernetes) {
        let all = std::iter::once(&service.address).chain(&service.extra_addresses);
        for ip in all.filter(|a| *a != UNSPECIFIED_IP).filter_map(|a| a.parse::<IpAddr>().ok()) {
            addresses.insert(ip);
            for port in &service.ports {
                let Ok(number) = u16::try_from(port.number) else { continue };
                if let Destination::Service { endpoints, .. } = mesh.destination(ip, port.number) {
                    targets.insert((ip, number), endpoints.iter().filter_map(|e| socket(e)).collect());
                }
            }
        }
    }
    Vips { targets, addresses }
}

fn socket(endpoint: &Endpoint) -> Option<SocketAddr> {
    Some(SocketAddr::new(endpoint.address.parse().ok()?, u16::try_from(endpoint.port).ok()?))
}

/// The pods as references see them.
#[must_use]
pub fn directory(mesh: &Mesh) -> Directory {
    let pods = mesh.pods.iter().enumerate().map(|(index, pod)| {
        let sidecar = pod.data_plane == DataPlane::Sidecar;
        PodEntry {
            id: PodId(index as u32),
            reference: pod.reference().as_str().into(),
            namespace: pod.namespace.clone(),
            workload: pod.workload.clone(),
            ordinal: pod.ordinal,
            name: pod.name.clone(),
            labels: pod.labels.clone(),
            ip: pod.ip,
            containers: pod.spec.containers.len() as u32 + u32::from(sidecar),
            sidecar,
            gateway: pod.data_plane == DataPlane::Gateway,
        }
    });
    Directory { pods: pods.collect(), gateway_ports: gateway_ports(mesh) }
}

/// How Services lead to gateway pods.
fn gateway_ports(mesh: &Mesh) -> Vec<GatewayPort> {
    let mut all: Vec<GatewayPort> = Vec::new();
    for service in mesh.services.iter().filter(|s| s.registry == Registry::Kubernetes) {
        let object = mesh
            .inventory
            .services
            .iter()
            .find(|o| o.meta.name == service.object_name && o.meta.namespace == service.namespace);
        for endpoint in mesh.endpoints.of(service) {
            let Some(pod) = endpoint.pod.and_then(|id| mesh.pod(id)) else { continue };
            if pod.data_plane != DataPlane::Gateway {
                continue;
            }
            let Some(port) = service.ports.iter().find(|p| p.name == endpoint.port_name) else { continue };
            let node_port = object
                .and_then(|o| o.spec.ports.iter().find(|p| p.port == port.number))
                .map(|p| p.node_port)
                .filter(|n| *n != 0)
                .and_then(|n| u16::try_from(n).ok());
            let (Ok(number), Ok(target)) = (u16::try_from(port.number), u16::try_from(endpoint.port)) else {
                continue;
            };
            let entry = GatewayPort {
                workload: format!("{}/{}", pod.namespace, pod.workload),
                port: number,
                node_port,
                target,
            };
            if !all.contains(&entry) {
                all.push(entry);
            }
        }
    }
    all
}
