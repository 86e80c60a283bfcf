//! Who asks a foreign test's request: the tools know no clients, a mesh does.
//!
//! The VirtualService that names the host says for whom it is: sidecars (a pod with a sidecar in its namespace asks) or
//! gateways (somebody outside asks the gateway). Nobody's host is asked by a pod in `default`.

use mesh_config::lower::hosts::{matches, resolve_gateway_name, resolve_short_name};
use mesh_config::mesh::registry::CLUSTER_DOMAIN;
use mesh_config::resource::gateway::{Gateway, Server};
use mesh_config::resource::meta::Object;
use mesh_config::resource::selector::is_subset;
use mesh_config::resource::virtual_service::VirtualService;
use serde_json::{Value, json};

use crate::format::client::{Client, GatewayClient, PodClient, WorkloadRef};
use crate::loaded::LoadedMesh;

/// Who asks, and how the host is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) client: Client,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// Port, when it is not the scheme's own.
    pub(super) port: Option<u16>,
    /// `x-forwarded-proto` of a request that came by TLS before it came here.
    pub(super) forwarded: bool,
}

/// The way to a host (without port). `secure`: by TLS.
pub(super) fn way(mesh: &LoadedMesh, from: Option<&Client>, host: &str, secure: bool) -> Way {
    let all = || mesh.lowering.mesh.inventory.virtual_services.iter().map(AsRef::as_ref);
    let named = all().filter(|vs: &&Object<VirtualService>| names(vs, host));
    let inside = |vs: &&Object<VirtualService>| {
        vs.spec.gateways.is_empty() || vs.spec.gateways.iter().any(|g| g.value == "mesh")
    };
    let own = named.clone().find(inside);
    let gateways = named.flat_map(|vs| {
        vs.spec.gateways.iter().map(move |g| resolve_gateway_name(&g.value, &vs.meta.namespace))
    });
    let mut gateways = gateways.filter(|g| g != "mesh");
    let namespace = own.map_or("default", |vs| vs.meta.namespace.as_str());
    match from {
        Some(Client::Gateway(client)) => {
            let server = gateways.find_map(|name| server(mesh, &name, host, secure, Some(&client.gateway)));
            outside(client.clone(), server, secure)
        }
        Some(client) => within(mesh, client.clone(), namespace, host, secure),
        None if own.is_none() => match gateways.find_map(|name| server(mesh, &name, host, secure, None)) {
            Some(found) => {
                outside(GatewayClient { gateway: found.0.clone(), source_ip: None }, Some(found), secure)
            }
            None => within(mesh, pod(namespace), namespace, host, secure),
        },
        None => within(mesh, pod(namespace), namespace, host, secure),
    }
}

fn pod(namespace: &str) -> Client {
    let namespace = namespace.to_owned();
    Client::Pod(PodClient { namespace, sidecar: Some(true), ..PodClient::default() })
}

fn names(vs: &Object<VirtualService>, host: &str) -> bool {
    vs.spec.hosts.iter().any(|h| {
        let full = resolve_short_name(&h.value, &vs.meta.namespace, CLUSTER_DOMAIN);
        h.value == host || full == host || matches(&full, host)
    })
}

/// From inside: the port is the service's, when it has one HTTP port and the host is a service; else 80.
fn within(mesh: &LoadedMesh, client: Client, namespace: &str, host: &str, secure: bool) -> Way {
    let full = resolve_short_name(host, namespace, CLUSTER_DOMAIN);
    let service = mesh
        .lowering
        .mesh
        .services
        .iter()
        .find(|s| s.host == full || s.host == host || s.host == format!("{host}.svc.{CLUSTER_DOMAIN}"));
    let http: Vec<u32> = service
        .into_iter()
        .flat_map(|s| &s.ports)
        .filter(|p| p.protocol.is_http_or_sniffed())
        .map(|p| p.number)
        .collect();
    let port = match http.as_slice() {
        [only] if *only != 80 => u16::try_from(*only).ok(),
        _ => None,
    };
    Way { client, scheme: "http", port, forwarded: secure }
}

/// Workload of a gateway, its port, and whether it ends TLS there.
type Entrance = (String, u16, bool);

/// The first server of a Gateway that takes the host, by TLS or without as wanted; of `workload` if that is given.
fn server(
    mesh: &LoadedMesh,
    gateway: &str,
    host: &str,
    secure: bool,
    workload: Option<&str>,
) -> Option<Entrance> {
    let inventory = &mesh.lowering.mesh.inventory;
    let found =
        inventory.gateways.iter().find(|g| format!("{}/{}", g.meta.namespace, g.meta.name) == gateway)?;
    let runs = |found: &Object<Gateway>| {
        let pods = mesh.directory.pods.iter();
        let mut fits = pods
            .filter(|p| is_subset(&found.spec.selector, &p.labels))
            .map(|p| format!("{}/{}", p.namespace, p.workload));
        fits.find(|name| workload.is_none_or(|w| w == name))
    };
    let workload = runs(found)?;
    let takes = |server: &&Server| {
        server.hosts.iter().any(|h| {
            let bare = h.value.rsplit_once('/').map_or(h.value.as_str(), |(_, bare)| bare);
            matches(bare, host)
        })
    };
    let entrance = |server: &Server| {
        let port = server.port.as_ref()?;
        let tls = port.protocol.eq_ignore_ascii_case("https");
        let http = tls || ["http", "http2", "grpc"].contains(&port.protocol.to_ascii_lowercase().as_str());
        Some((workload.clone(), u16::try_from(port.number).ok().filter(|_| http)?, tls))
    };
    let mut entrances: Vec<Entrance> = found.spec.servers.iter().filter(takes).filter_map(entrance).collect();
    entrances.sort_by_key(|(_, _, tls)| *tls != secure);
    entrances.into_iter().next()
}

fn outside(client: GatewayClient, entrance: Option<Entrance>, secure: bool) -> Way {
    let (port, tls) = entrance.map_or((if secure { 443 } else { 80 }, secure), |(_, port, tls)| (port, tls));
    let (scheme, usual) = if tls { ("https", 443) } else { ("http", 80) };
    Way {
        client: Client::Gateway(client),
        scheme,
        port: (port != usual).then_some(port),
        forwarded: secure && !tls,
    }
}

/// `from:` of a case.
pub(super) fn words(client: &Client) -> Value {
    match client {
        Client::Workload(WorkloadRef::Labels { labels, namespace }) => {
            let mut words = json!({"labels": labels});
            if let (Some(map), Some(namespace)) = (words.as_object_mut(), namespace) {
                map.insert("namespace".to_owned(), json!(namespace));
            }
            words
        }
        Client::Workload(reference) => json!(reference.to_string()),
        Client::Gateway(gateway) => match gateway.source_ip {
            Some(ip) => json!({"gateway": gateway.gateway, "sourceIP": ip.to_string()}),
            None => json!({"gateway": gateway.gateway}),
        },
        Client::Pod(pod) => {
            let mut words = json!({"namespace": pod.namespace, "sidecar": pod.sidecar.unwrap_or(true)});
            if let Some(map) = words.as_object_mut() {
                if !pod.labels.is_empty() {
                    map.insert("labels".to_owned(), json!(pod.labels));
                }
                if pod.service_account != "default" {
                    map.insert("serviceAccount".to_owned(), json!(pod.service_account));
                }
                map.extend(pod.ip.map(|ip| ("ip".to_owned(), json!(ip.to_string()))));
            }
            json!({ "pod": words })
        }
    }
}
