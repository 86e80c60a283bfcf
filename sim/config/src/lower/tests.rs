//! Lowering of small meshes: one YAML, one question. What istiod sends for whole meshes is checked against the recordings
//! (`mesh_harness::translation`); here stand the rules that no recording shows, and the traps (semantics:
//! istio-networking 12).

mod clusters;
mod http_routes;
mod listeners;
mod routes;
mod scopes;
mod unsimulated;

use std::sync::Arc;

use mesh_core::ir::{
    Cluster, ClusterSpecifier, PathMatch, Route, RouteAction, RouteConfiguration, Snapshot, Terminal,
};

use super::Lowering;
use crate::inventory::Inventory;
use crate::mesh::proxy::ProxyId;
use crate::mesh::{Mesh, MeshOptions, config_layers};
use crate::source::FileId;

/// A client pod `client` in namespace `default` with label `app: client`.
const CLIENT: &str = "
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: default}
spec: {template: {metadata: {labels: {app: client}}, spec: {containers: [{name: c}]}}}
";

/// Lowers manifests, with a client pod added and `settings` as mesh configuration.
fn lowered(manifests: &str, settings: &str) -> Lowering {
    let text = format!("{manifests}\n{CLIENT}");
    let (objects, problems) = crate::load::read_text(FileId(0), &text);
    assert!(problems.is_empty(), "{problems:?}");
    let (inventory, problems) = Inventory::new(&objects, "default");
    assert!(problems.is_empty(), "{problems:?}");
    let (config, problems) = config_layers::of_text(FileId(1), settings);
    assert!(problems.is_empty(), "{problems:?}");
    let options = MeshOptions { config: config.into_iter().collect(), ..MeshOptions::default() };
    Lowering::new(Arc::new(Mesh::new(inventory, &options).0))
}

fn of(lowering: &Lowering, pod: &str) -> Arc<Snapshot> {
    let id =
        (0..).map(ProxyId).zip(&lowering.mesh.proxies).find(|(_, proxy)| proxy.id == pod).map(|(id, _)| id);
    lowering.snapshot(id.expect("such a proxy")).expect("a snapshot")
}

/// The client's snapshot.
fn client(manifests: &str) -> Arc<Snapshot> {
    of(&lowered(manifests, ""), "default/client-0")
}

/// A Service with pods `<name>-0` in a namespace, ports as `name:number` words, and nothing else.
fn service(namespace: &str, name: &str, ports: &str) -> String {
    let ports: Vec<String> = ports
        .split_whitespace()
        .map(|p| p.split_once(':').expect("name:number"))
        .map(|(name, number)| format!("{{name: {name}, port: {number}}}"))
        .collect();
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: [{}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{template: {{metadata: {{labels: {{app: {name}, version: v1}}}}, spec: {{containers: [{{name: c}}]}}}}}}
",
        ports.join(", ")
    )
}

/// An Istio object.
fn object(kind: &str, namespace: &str, name: &str, spec: &str) -> String {
    let indented = spec.trim_matches('\n').replace('\n', "\n  ");
    format!(
        "\n---\napiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  {indented}\n"
    )
}

fn configuration<'a>(snapshot: &'a Snapshot, name: &str) -> &'a RouteConfiguration {
    let id = snapshot.route_config_by_name(name).unwrap_or_else(|| panic!("no routes {name}"));
    &snapshot.routes[id.index()]
}

fn cluster<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Cluster {
    let id = snapshot.cluster_by_name(name).unwrap_or_else(|| panic!("no cluster {name}"));
    &snapshot.clusters[id.index()]
}

/// The routes of a virtual host as `name path -> cluster`.
fn routes_of(snapshot: &Snapshot, configuration_name: &str, virtual_host: &str) -> Vec<String> {
    let found = configuration(snapshot, configuration_name).virtual_hosts.iter();
    let found: Vec<_> = found.filter(|v| v.name.as_ref() == virtual_host).collect();
    assert!(found.len() < 2, "{virtual_host} twice");
    found.into_iter().flat_map(|v| &v.routes).map(route).collect()
}

fn route(route: &Route) -> String {
    let path = match &route.matcher.path {
        PathMatch::Prefix(p) => format!("{p}*"),
        PathMatch::Path(p) => p.to_string(),
        PathMatch::PathSeparatedPrefix(p) => format!("{p}/*"),
        PathMatch::Regex(r) => format!("~{}", r.source()),
    };
    let to = match &route.action {
        RouteAction::Forward(f) => match &f.cluster {
            ClusterSpecifier::Cluster(name) => name.to_string(),
            ClusterSpecifier::Weighted(list) => {
                list.iter().map(|c| format!("{}={}", c.name, c.weight)).collect::<Vec<_>>().join(" ")
            }
        },
        RouteAction::Redirect(r) => format!("redirect {}", r.status),
        RouteAction::DirectResponse(d) => format!("direct {}", d.status),
        RouteAction::None => "nothing".to_owned(),
    };
    format!("{} {path} -> {to}", route.name)
}

/// Chains of a listener as `[conditions] target`, the default chain last.
fn chains(snapshot: &Snapshot, listener: &str) -> Vec<String> {
    let id = snapshot.listener_by_name(listener).unwrap_or_else(|| panic!("no listener {listener}"));
    let listener = &snapshot.listeners[id.index()];
    let of = |chain: &mesh_core::ir::FilterChain| {
        let m = &chain.matcher;
        let mut conditions: Vec<String> = m.server_names.iter().map(|s| format!("sni={s}")).collect();
        conditions.extend(m.prefix_ranges.iter().map(|p| format!("to={p}")));
        conditions.extend(m.application_protocols.iter().map(ToString::to_string));
        conditions.extend(m.destination_port.map(|p| format!("port={p}")));
        let target = match &chain.terminal {
            Terminal::Http(h) => match &h.route_specifier {
                mesh_core::ir::RouteSpecifier::Rds(name) => format!("rds {name}"),
                mesh_core::ir::RouteSpecifier::Inline(c) => format!("inline {}", c.name),
            },
            Terminal::Tcp(t) => t
                .clusters
                .iter()
                .map(|(name, weight)| match weight {
                    0 => name.to_string(),
                    weight => format!("{name}={weight}"),
                })
                .collect::<Vec<_>>()
                .join(" "),
        };
        format!("[{}] {target}", conditions.join(" "))
    };
    let mut out: Vec<String> = listener.filter_chains.iter().map(of).collect();
    out.extend(listener.default_filter_chain.iter().map(|chain| format!("default {}", of(chain))));
    out
}

fn listener_names(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .listeners
        .iter()
        .map(|l| l.name.to_string())
        .filter(|name| !name.starts_with("virtual"))
        .collect()
}

fn cluster_names(snapshot: &Snapshot) -> Vec<String> {
    let outbound = snapshot.clusters.iter().filter(|c| c.name.starts_with("outbound"));
    outbound.map(|c| c.name.to_string()).collect()
}
