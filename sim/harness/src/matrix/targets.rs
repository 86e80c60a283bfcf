//! Who can be asked: every service port, in the language its application speaks; with `--pod-ips` every pod port too.

use std::collections::BTreeSet;

use mesh_config::mesh::protocol::Protocol;
use mesh_config::mesh::service::{Registry, Resolution, Service};
use mesh_engine::world::{AppKind, PodId};
use mesh_reports::matrix::MatrixTarget;

use super::MatrixOptions;
use crate::format::request::{Request, RequestWords};
use crate::loaded::LoadedMesh;

/// One service port, or one port of a pod dialled by its address.
#[derive(Debug, Clone)]
pub struct Target {
    /// As shown.
    pub shown: MatrixTarget,
    /// Host dialled.
    pub host: String,
    /// Namespace of the service or pod.
    pub namespace: String,
    /// `namespace/name` of the service or workload.
    pub key: String,
    /// Port dialled.
    pub port: u16,
    /// What the client says.
    pub speech: Speech,
    /// Pods behind it, with the port of each.
    pub pods: BTreeSet<(u32, u16)>,
}

/// What a client says to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speech {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 in plaintext.
    Http2,
    /// gRPC.
    Grpc,
    /// HTTP in the client's own TLS.
    Https,
    /// A line in the client's own TLS.
    Tls,
    /// A line.
    Line,
}

impl Target {
    /// The request that is asked of it.
    #[must_use]
    pub fn request(&self, options: &MatrixOptions) -> Request {
        request(self.speech, &self.host, self.port, options)
    }
}

/// A request in some language. HTTP takes method and path of the options.
pub(super) fn request(speech: Speech, host: &str, port: u16, options: &MatrixOptions) -> Request {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let path = &options.path;
    let (url, protocol) = match speech {
        Speech::Http => (format!("http://{host}:{port}{path}"), None),
        Speech::Http2 => (format!("http://{host}:{port}{path}"), Some("http2")),
        Speech::Grpc => (format!("http://{host}:{port}{path}"), Some("grpc")),
        Speech::Https => (format!("https://{host}:{port}{path}"), Some("https")),
        Speech::Tls => (format!("tls://{host}:{port}"), Some("tls")),
        Speech::Line => (format!("tcp://{host}:{port}"), Some("tcp")),
    };
    let raw = matches!(speech, Speech::Tls | Speech::Line);
    let words = RequestWords {
        url: Some(url),
        protocol: protocol.map(str::to_owned),
        method: (!raw && speech != Speech::Grpc).then(|| options.method.clone()),
        body: raw.then(|| "hello".to_owned()),
        ..RequestWords::default()
    };
    Request { words }
}

/// Targets in order of namespace, host and port; and what is left out, with the reason.
#[must_use]
pub fn targets(mesh: &LoadedMesh, options: &MatrixOptions) -> (Vec<Target>, Vec<String>) {
    let model = &mesh.lowering.mesh;
    let mut found: Vec<Target> = Vec::new();
    let mut skipped = Vec::new();
    for service in &model.services {
        if service.host.contains('*') {
            skipped.push(format!("{}: a wildcard is no address that could be dialled", service.host));
            continue;
        }
        if service.resolution == Resolution::Alias {
            continue;
        }
        for port in &service.ports {
            let Ok(number) = u16::try_from(port.number) else { continue };
            if port.protocol == Protocol::Udp {
                skipped.push(format!("{}:{number}: UDP does not pass proxies", service.host));
                continue;
            }
            let pods = pods_behind(mesh, service, &port.name);
            if pods.iter().any(|(id, _)| is_gateway(mesh, *id)) {
                continue;
            }
            // A ServiceEntry makes a service per host and address; they are one name.
            if found.iter().any(|t| t.host == service.host && t.port == number) {
                continue;
            }
            let shown = MatrixTarget {
                name: format!("{}:{number}", service.host),
                short: short(service, number),
                protocol: protocol_word(port.protocol).to_owned(),
                place: mesh.place(port.origin).unwrap_or_default(),
            };
            found.push(Target {
                shown,
                host: service.host.clone(),
                namespace: service.namespace.clone(),
                key: format!("{}/{}", service.namespace, service.name),
                port: number,
                speech: speech(mesh, port.protocol, &pods),
                pods,
            });
        }
    }
    if options.pod_ips {
        found.extend(pod_targets(mesh));
    }
    found.sort_by(|a, b| (&a.namespace, &a.host, a.port).cmp(&(&b.namespace, &b.host, b.port)));
    (found, skipped)
}

fn pods_behind(mesh: &LoadedMesh, service: &Service, port_name: &str) -> BTreeSet<(u32, u16)> {
    let endpoints = mesh.lowering.mesh.endpoints.of(service);
    endpoints
        .iter()
        .filter(|e| e.port_name == port_name)
        .filter_map(|e| Some((e.pod?.0, u16::try_from(e.port).ok()?)))
        .collect()
}

fn is_gateway(mesh: &LoadedMesh, pod: u32) -> bool {
    mesh.directory.pods.get(pod as usize).is_some_and(|p| p.gateway)
}

/// `reviews:9080`, `reviews.shop:9080`, `api.example.com:443`.
fn short(service: &Service, port: u16) -> String {
    match service.registry {
        Registry::Kubernetes if service.namespace == "default" => format!("{}:{port}", service.name),
        Registry::Kubernetes => format!("{}.{}:{port}", service.name, service.namespace),
        Registry::External => format!("{}:{port}", service.host),
    }
}

/// What the application speaks where it is known, else what the port says.
fn speech(mesh: &LoadedMesh, protocol: Protocol, pods: &BTreeSet<(u32, u16)>) -> Speech {
    let of_port = match protocol {
        Protocol::Http2 => Speech::Http2,
        Protocol::Grpc => Speech::Grpc,
        Protocol::Tcp | Protocol::Mongo | Protocol::Redis | Protocol::MySql => Speech::Line,
        Protocol::Tls | Protocol::Https => Speech::Https,
        _ => Speech::Http,
    };
    let app = pods.iter().find_map(|(pod, port)| app_kind(mesh, *pod, *port));
    match app {
        Some(AppKind::TcpLine) => Speech::Line,
        Some(AppKind::TlsLine) => Speech::Tls,
        Some(AppKind::Https) => Speech::Https,
        Some(AppKind::Http) if matches!(of_port, Speech::Line | Speech::Https) => Speech::Http,
        Some(AppKind::Http) | None => of_port,
    }
}

fn app_kind(mesh: &LoadedMesh, pod: u32, port: u16) -> Option<AppKind> {
    let pod = mesh.world.pod(PodId(pod))?;
    pod.ports.iter().find(|p| p.port == port).map(|p| p.kind)
}

fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "http",
        Protocol::Http2 => "http2",
        Protocol::Grpc => "grpc",
        Protocol::GrpcWeb => "grpc-web",
        Protocol::HttpProxy => "http_proxy",
        Protocol::Tcp => "tcp",
        Protocol::Tls => "tls",
        Protocol::Https => "https",
        Protocol::Mongo => "mongo",
        Protocol::Redis => "redis",
        Protocol::MySql => "mysql",
        Protocol::Udp => "udp",
        Protocol::Auto => "auto",
    }
}

/// The first pod of every workload, dialled by address at the ports its application listens on.
fn pod_targets(mesh: &LoadedMesh) -> Vec<Target> {
    let model = &mesh.lowering.mesh;
    let mut found: Vec<Target> = Vec::new();
    for (index, pod) in model.pods.iter().enumerate() {
        let key = format!("{}/{}", pod.namespace, pod.workload);
        if pod.is_client() || is_gateway(mesh, index as u32) || found.iter().any(|t| t.key == key) {
            continue;
        }
        let Some(own) = mesh.world.pod(PodId(index as u32)) else { continue };
        found.extend(own.ports.iter().map(|port| {
            pod_target(mesh, index as u32, port.port, port.kind, &format!("{key} (pod address)"))
        }));
    }
    found
}

/// A pod dialled by its address.
pub(super) fn pod_target(mesh: &LoadedMesh, pod: u32, port: u16, kind: AppKind, name: &str) -> Target {
    let model = mesh.lowering.mesh.pods.get(pod as usize);
    let ip = model.map(|p| p.ip.to_string()).unwrap_or_default();
    let namespace = model.map(|p| p.namespace.clone()).unwrap_or_default();
    Target {
        shown: MatrixTarget {
            name: format!("{name}:{port}"),
            short: format!("{name}:{port}"),
            protocol: "by address".to_owned(),
            place: model.and_then(|p| mesh.place(p.origin)).unwrap_or_default(),
        },
        host: ip,
        key: model.map(|p| format!("{}/{}", p.namespace, p.workload)).unwrap_or_default(),
        namespace,
        port,
        speech: match kind {
            AppKind::Http => Speech::Http,
            AppKind::Https => Speech::Https,
            AppKind::TlsLine => Speech::Tls,
            AppKind::TcpLine => Speech::Line,
        },
        pods: [(pod, port)].into(),
    }
}
