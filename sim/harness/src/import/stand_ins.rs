//! Plain objects in the place of those that manifests name and do not hold: services that routes lead to, Gateways,
//! delegates. Other tools do not need them; a mesh without them answers 503 or 404.
//!
//! Only what is missing altogether is made. A subset or a port that an existing object lacks is a mistake worth seeing.

use std::collections::{BTreeMap, BTreeSet};

use mesh_config::lower::hosts::{matches, resolve_gateway_name, resolve_short_name};
use mesh_config::mesh::registry::CLUSTER_DOMAIN;
use mesh_config::mesh::service::{Registry, Service};
use mesh_config::resource::http_route::Destination;
use mesh_config::resource::meta::Object;
use mesh_config::resource::selector::is_subset;
use mesh_config::resource::virtual_service::VirtualService;
use mesh_config::source::Span;
use mesh_reports::render::manifest;
use serde_json::{Value, json};

use crate::loaded::LoadedMesh;

/// One object that is made.
#[derive(Debug, Clone)]
pub(super) struct StandIn {
    value: Value,
    /// What names it; [`Span::NONE`] for what comes with another stand-in.
    pub(super) wanted_at: Span,
}

impl StandIn {
    /// `Kind/namespace/name`
    pub(super) fn object(&self) -> String {
        let of = |path| self.value.pointer(path).and_then(Value::as_str).unwrap_or_default();
        format!("{}/{}/{}", of("/kind"), of("/metadata/namespace"), of("/metadata/name"))
    }
}

/// The manifests of some stand-ins.
pub(super) fn text(all: &[StandIn]) -> String {
    all.iter().map(|made| manifest::yaml(&made.value)).collect::<Vec<_>>().join("---\n")
}

/// Where routes lead that no service is.
#[derive(Default)]
struct Wanted {
    ports: BTreeSet<u32>,
    subsets: BTreeSet<String>,
    at: Span,
}

/// Everything that is missing, in a stable order.
pub(super) fn stand_ins(mesh: &LoadedMesh) -> Vec<StandIn> {
    let mut out = Vec::new();
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    let inventory = &mesh.lowering.mesh.inventory;
    for vs in &inventory.virtual_services {
        for destination in destinations(vs) {
            let host = resolve_short_name(&destination.host, &vs.meta.namespace, CLUSTER_DOMAIN);
            let entry = wanted.entry(host).or_default();
            entry.ports.extend(destination.port.as_ref().map(|p| p.number));
            entry.subsets.extend(Some(destination.subset.clone()).filter(|s| !s.is_empty()));
            if entry.at.is_none() {
                entry.at = destination.origin;
            }
        }
    }
    for (host, wanted) in &wanted {
        let services = &mesh.lowering.mesh.services;
        match services.iter().find(|s| s.host == *host || (s.host.starts_with('*') && matches(&s.host, host)))
        {
            Some(service) => workloads_behind(mesh, service, wanted, &mut out),
            None => service(mesh, host, wanted, &mut out),
        }
    }
    gateways(mesh, &mut out);
    delegates(mesh, &mut out);
    port_80(mesh, &wanted, &mut out);
    out
}

/// All destinations of a VirtualService.
fn destinations(vs: &Object<VirtualService>) -> Vec<&Destination> {
    let http = vs.spec.http.iter().flat_map(|rule| {
        let mirrors = rule.mirrors.iter().filter_map(|m| m.destination.as_ref());
        rule.route.iter().filter_map(|d| d.destination.as_ref()).chain(rule.mirror.as_deref()).chain(mirrors)
    });
    let tls = vs.spec.tls.iter().flat_map(|r| &r.route).filter_map(|d| d.destination.as_ref());
    let tcp = vs.spec.tcp.iter().flat_map(|r| &r.route).filter_map(|d| d.destination.as_ref());
    http.chain(tls).chain(tcp).collect()
}

fn object(kind: (&str, &str), namespace: &str, name: &str, spec: Value, wanted_at: Span) -> StandIn {
    let (api_version, kind) = kind;
    let metadata = json!({"name": name, "namespace": namespace});
    StandIn {
        value: json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}),
        wanted_at,
    }
}

/// Labels of the subsets of a host by name, as DestinationRules of the mesh state them.
fn subsets(mesh: &LoadedMesh, host: &str) -> Option<BTreeMap<String, BTreeMap<String, String>>> {
    let rules = mesh.lowering.mesh.inventory.destination_rules.iter();
    let mut of_host = rules
        .filter(|r| resolve_short_name(&r.spec.host, &r.meta.namespace, CLUSTER_DOMAIN) == host)
        .peekable();
    of_host.peek()?;
    Some(of_host.flat_map(|r| &r.spec.subsets).map(|s| (s.name.clone(), s.labels.clone())).collect())
}

fn service(mesh: &LoadedMesh, host: &str, wanted: &Wanted, out: &mut Vec<StandIn>) {
    let mut ports: Vec<u32> = wanted.ports.iter().copied().collect();
    if ports.is_empty() {
        ports.push(80);
    }
    let cluster = format!(".svc.{CLUSTER_DOMAIN}");
    let Some((name, namespace)) = host.strip_suffix(&cluster).and_then(|h| h.split_once('.')) else {
        let ports: Vec<Value> = ports
            .iter()
            .map(|p| json!({"number": p, "name": format!("http-{p}"), "protocol": "HTTP"}))
            .collect();
        let spec = json!({"hosts": [host], "ports": ports, "location": "MESH_EXTERNAL", "resolution": "DNS"});
        let name = host.replace('*', "any").to_ascii_lowercase();
        out.push(object(("networking.istio.io/v1", "ServiceEntry"), "default", &name, spec, wanted.at));
        return;
    };
    let listed: Vec<Value> = ports.iter().map(|p| json!({"name": format!("http-{p}"), "port": p})).collect();
    let selector = BTreeMap::from([("app".to_owned(), name.to_owned())]);
    out.push(object(
        ("v1", "Service"),
        namespace,
        name,
        json!({"selector": selector, "ports": listed}),
        wanted.at,
    ));
    let known = subsets(mesh, host).unwrap_or_else(|| {
        let made: BTreeMap<_, _> = wanted
            .subsets
            .iter()
            .map(|s| (s.clone(), BTreeMap::from([("version".to_owned(), s.clone())])))
            .collect();
        if !made.is_empty() {
            let list: Vec<Value> = made.iter().map(|(n, l)| json!({"name": n, "labels": l})).collect();
            let spec = json!({"host": host, "subsets": list});
            out.push(object(
                ("networking.istio.io/v1", "DestinationRule"),
                namespace,
                name,
                spec,
                Span::NONE,
            ));
        }
        made
    });
    deployments((namespace, name), &selector, &known, &wanted.subsets, Span::NONE, out);
}

/// A workload for every subset that is wanted, or one.
fn deployments(
    (namespace, name): (&str, &str),
    selector: &BTreeMap<String, String>,
    known: &BTreeMap<String, BTreeMap<String, String>>,
    subsets: &BTreeSet<String>,
    wanted_at: Span,
    out: &mut Vec<StandIn>,
) {
    let mut all: Vec<(String, BTreeMap<String, String>)> = subsets
        .iter()
        .filter_map(|subset| Some((format!("{name}-{subset}"), known.get(subset)?.clone())))
        .collect();
    if all.is_empty() {
        all.push((name.to_owned(), BTreeMap::new()));
    }
    for (workload, more) in all {
        let labels: BTreeMap<String, String> = more.into_iter().chain(selector.clone()).collect();
        let spec = json!({
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": "stand-in"}]},
            },
        });
        out.push(object(("apps/v1", "Deployment"), namespace, &workload, spec, wanted_at));
    }
}

/// A service of which the manifests hold no pod.
fn workloads_behind(mesh: &LoadedMesh, service: &Service, wanted: &Wanted, out: &mut Vec<StandIn>) {
    let pods = &mesh.directory.pods;
    let served =
        pods.iter().any(|p| p.namespace == service.namespace && is_subset(&service.selector, &p.labels));
    if service.registry == Registry::Kubernetes && !service.selector.is_empty() && !served {
        let known = subsets(mesh, &service.host).unwrap_or_default();
        let named = (service.namespace.as_str(), service.name.as_str());
        deployments(named, &service.selector, &known, &wanted.subsets, wanted.at, out);
    }
}

fn gateways(mesh: &LoadedMesh, out: &mut Vec<StandIn>) {
    let inventory = &mesh.lowering.mesh.inventory;
    let mut missing: BTreeMap<String, Span> = BTreeMap::new();
    for vs in &inventory.virtual_services {
        for gateway in vs.spec.gateways.iter().filter(|g| g.value != "mesh") {
            let name = resolve_gateway_name(&gateway.value, &vs.meta.namespace);
            if !inventory.gateways.iter().any(|g| format!("{}/{}", g.meta.namespace, g.meta.name) == name) {
                missing.entry(name).or_insert(gateway.span);
            }
        }
    }
    for (full, at) in missing {
        let Some((namespace, name)) = full.split_once('/') else { continue };
        let server = json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]});
        let spec = json!({"selector": {"istio": "ingressgateway"}, "servers": [server]});
        out.push(object(("networking.istio.io/v1", "Gateway"), namespace, name, spec, at));
    }
}

fn delegates(mesh: &LoadedMesh, out: &mut Vec<StandIn>) {
    let all = &mesh.lowering.mesh.inventory.virtual_services;
    let mut missing: BTreeMap<(String, String), Span> = BTreeMap::new();
    for vs in all {
        for delegate in vs.spec.http.iter().filter_map(|rule| rule.delegate.as_ref()) {
            let namespace = match delegate.namespace.as_str() {
                "" => vs.meta.namespace.clone(),
                other => other.to_owned(),
            };
            if !all.iter().any(|v| v.meta.name == delegate.name && v.meta.namespace == namespace) {
                missing.entry((namespace, delegate.name.clone())).or_insert(delegate.origin);
            }
        }
    }
    for ((namespace, name), at) in missing {
        let spec = json!({"http": [{"directResponse": {"status": 200}}]});
        out.push(object(("networking.istio.io/v1", "VirtualService"), &namespace, &name, spec, at));
    }
}

/// Hosts that are no services are routed at port 80, if any service of the mesh has HTTP there.
fn port_80(mesh: &LoadedMesh, wanted: &BTreeMap<String, Wanted>, out: &mut Vec<StandIn>) {
    let model = &mesh.lowering.mesh;
    let nobodys = model.inventory.virtual_services.iter().find_map(|vs| {
        let inside = vs.spec.gateways.is_empty() || vs.spec.gateways.iter().any(|g| g.value == "mesh");
        let hosts = vs.spec.hosts.iter().filter(|_| inside);
        let mut full =
            hosts.map(|h| (h.span, resolve_short_name(&h.value, &vs.meta.namespace, CLUSTER_DOMAIN)));
        full.find(|(_, host)| !wanted.contains_key(host) && !model.services.iter().any(|s| s.host == *host))
    });
    let http = model
        .services
        .iter()
        .flat_map(|s| &s.ports)
        .any(|p| p.number == 80 && p.protocol.is_http_or_sniffed());
    let made = out.iter().any(|made| {
        let ports = made.value.pointer("/spec/ports").and_then(Value::as_array);
        ports.into_iter().flatten().any(|p| p.get("port").or(p.get("number")) == Some(&json!(80)))
    });
    if let Some((at, _)) = nobodys.filter(|_| !http && !made) {
        let spec = json!({"ports": [{"name": "http", "port": 80}]});
        out.push(object(("v1", "Service"), "default", "some-service-at-port-80", spec, at));
    }
}
