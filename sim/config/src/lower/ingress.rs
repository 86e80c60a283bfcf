//! The VirtualServices istiod makes of Kubernetes Ingresses (istiod: `kube/ingress`; semantics: istio-networking 7.7).
//!
//! One per host over all Ingresses, bound to the Gateway of the oldest of them alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decode::Spanned;
use crate::mesh::Mesh;
use crate::mesh::ingress::{NAMESPACE, ZERO_TIME, gateway, gateway_name, taken, virtual_service_name};
use crate::mesh::registry::CLUSTER_DOMAIN;
use crate::resource::gateway::Gateway;
use crate::resource::http_match::{HttpMatchRequest, StringMatch};
use crate::resource::http_route::{Destination, HttpRoute, HttpRouteDestination, PortSelector};
use crate::resource::ingress::{Ingress, IngressPath, IngressRule};
use crate::resource::meta::{Object, ObjectMeta};
use crate::resource::virtual_service::VirtualService;

/// The Gateways of all Ingresses that istiod takes, then the Gateways as written, in conflict order.
#[must_use]
pub fn gateways(mesh: &Mesh, written: Vec<Arc<Object<Gateway>>>) -> Vec<Arc<Object<Gateway>>> {
    let ours = seen(mesh).map(|ingress| gateway(ingress, &mesh.settings));
    let mut all: Vec<_> = ours.chain(written).collect();
    all.sort_by(|a, b| a.meta.conflict_key().cmp(&b.meta.conflict_key()));
    all
}

fn seen(mesh: &Mesh) -> impl Iterator<Item = &Arc<Object<Ingress>>> {
    taken(&mesh.inventory, &mesh.settings).filter(|ingress| mesh.is_discovered(&ingress.meta.namespace))
}

/// The VirtualServices, in conflict order.
#[must_use]
pub fn virtual_services(mesh: &Mesh) -> Vec<Arc<Object<VirtualService>>> {
    let mut by_host: BTreeMap<&str, Vec<(&ObjectMeta, &IngressRule)>> = BTreeMap::new();
    for ingress in seen(mesh) {
        for rule in ingress.spec.rules.iter().filter(|rule| rule.http.is_some()) {
            let host = if rule.host.is_empty() { "*" } else { &rule.host };
            by_host.entry(host).or_default().push((&ingress.meta, rule));
        }
    }
    let made = by_host.into_iter().filter_map(|(host, rules)| virtual_service(mesh, host, &rules));
    let mut all: Vec<_> = made.map(Arc::new).collect();
    all.sort_by(|a, b| a.meta.conflict_key().cmp(&b.meta.conflict_key()));
    all
}

fn virtual_service(
    mesh: &Mesh,
    host: &str,
    rules: &[(&ObjectMeta, &IngressRule)],
) -> Option<Object<VirtualService>> {
    let (oldest, first) = rules.first()?;
    let mut http: Vec<HttpRoute> = rules
        .iter()
        .flat_map(|(meta, rule)| {
            let paths = rule.http.iter().flat_map(|http| &http.paths);
            paths.filter_map(|path| route(mesh, &meta.namespace, path))
        })
        .collect();
    // Longest path first, exact before prefix; catch-alls have no length.
    http.sort_by_key(|route| std::cmp::Reverse(precedence(route)));
    let spanned = |value: String| Spanned { value, span: first.origin };
    Some(Object {
        meta: ObjectMeta {
            name: virtual_service_name(host, oldest),
            namespace: oldest.namespace.clone(),
            creation_timestamp: Some(ZERO_TIME),
            origin: oldest.origin,
            ..ObjectMeta::default()
        },
        spec: VirtualService {
            hosts: vec![spanned(host.to_owned())],
            gateways: vec![spanned(format!("{NAMESPACE}/{}", gateway_name(oldest)))],
            http,
            origin: first.origin,
            ..VirtualService::default()
        },
    })
}

fn precedence(route: &HttpRoute) -> (usize, bool) {
    let uri = route.match_.first().and_then(|m| m.uri.as_ref());
    match uri {
        Some(StringMatch { exact: Some(path), .. }) => (path.len(), true),
        Some(StringMatch { prefix: Some(path), .. }) => (path.len(), false),
        _ => (0, false),
    }
}

/// `None`: no such backend, istiod drops the path.
fn route(mesh: &Mesh, namespace: &str, path: &IngressPath) -> Option<HttpRoute> {
    let service = path.backend.service.as_ref()?;
    let number = match service.port.number {
        0 => {
            let key = |s: &&Arc<Object<crate::resource::service::Service>>| {
                s.meta.namespace == namespace && s.meta.name == service.name
            };
            let object = mesh.inventory.services.iter().find(key)?;
            object.spec.ports.iter().find(|port| port.name == service.port.name)?.port
        }
        number => number,
    };
    let destination = Destination {
        host: format!("{}.{namespace}.svc.{CLUSTER_DOMAIN}", service.name),
        port: Some(PortSelector { number, origin: path.backend.origin }),
        origin: path.backend.origin,
        ..Destination::default()
    };
    let matched = uri(path).map(|uri| HttpMatchRequest {
        uri: Some(uri),
        origin: path.origin,
        ..HttpMatchRequest::default()
    });
    Some(HttpRoute {
        match_: matched.into_iter().collect(),
        route: vec![HttpRouteDestination {
            destination: Some(destination),
            weight: 100,
            origin: path.backend.origin,
            ..HttpRouteDestination::default()
        }],
        origin: path.origin,
        ..HttpRoute::default()
    })
}

/// The path condition; `None` matches everything. Without type, `x.*` and `x/*` are prefixes.
fn uri(path: &IngressPath) -> Option<StringMatch> {
    let text = path.path.as_str();
    let exact = |text: &str| StringMatch { exact: Some(text.to_owned()), ..StringMatch::default() };
    let prefix = |text: &str| StringMatch { prefix: Some(text.to_owned()), ..StringMatch::default() };
    let matched = match path.path_type.as_deref() {
        Some("Exact") => exact(text),
        Some("Prefix") => prefix(text),
        _ if matches!(text, "" | "*" | "/*" | ".*") => return None,
        _ => match text.strip_suffix(".*").or_else(|| text.strip_suffix("/*")) {
            Some(start) => prefix(start),
            None => exact(text),
        },
    };
    Some(StringMatch { origin: path.origin, ..matched })
}
