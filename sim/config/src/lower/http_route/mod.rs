//! HTTPRoutes of the Gateway API that are attached to services: the VirtualServices istiod makes of them for sidecars
//! (istiod: `HTTPRouteCollection`, `mergeHTTPRoutes`; semantics: istio-networking 8).
//!
//! [`rules`] translates rules. Routes of Gateways are not made here; `unsimulated` says what they may touch.

mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decode::{DecodeCx, Spanned, from_node};
use crate::document::RawObject;
use crate::inventory::Inventory;
use crate::lower::virtual_service::MESH_GATEWAY;
use crate::mesh::registry::service_host;
use crate::resource::http_match::HttpMatchRequest;
use crate::resource::http_route::HttpRoute;
use crate::resource::kubernetes_http_route::{KubernetesHttpRoute, ParentReference, Rule};
use crate::resource::meta::{Object, ObjectMeta, parse_rfc3339};
use crate::resource::virtual_service::VirtualService;

const GROUP: &str = "gateway.networking.k8s.io";

/// The VirtualServices of all HTTPRoutes of the mesh, in conflict order; namespaces istiod does not look at are left out.
#[must_use]
pub(super) fn virtual_services(
    inventory: &Inventory,
    discovered: impl Fn(&str) -> bool,
) -> Vec<Arc<Object<VirtualService>>> {
    let routes = inventory.others.iter().map(|other| &*other.raw).filter(|raw| is_http_route(raw));
    let mut made: Vec<Made> =
        routes.filter(|raw| discovered(&raw.namespace)).flat_map(|raw| of_route(inventory, raw)).collect();
    // Routes of one namespace for one host are one list: older first, then sorted by how precise they are.
    made.sort_by(|a, b| a.age().cmp(&b.age()));
    let mut by_key: BTreeMap<String, Made> = BTreeMap::new();
    for one in made {
        match by_key.get_mut(&one.key) {
            Some(first) => first.http.extend(one.http),
            None => {
                by_key.insert(one.key.clone(), one);
            }
        }
    }
    let mut all: Vec<_> = by_key.into_values().map(|made| Arc::new(made.finish())).collect();
    all.sort_by(|a, b| a.meta.conflict_key().cmp(&b.meta.conflict_key()));
    all
}

/// Whether an HTTPRoute is attached to services only, and simulated.
pub(crate) fn is_wholly_simulated(raw: &RawObject) -> bool {
    is_simulated(raw) && !has_gateway_parent(raw)
}

/// Whether what an HTTPRoute does to sidecars is simulated: every rule is translated.
pub(super) fn is_simulated(raw: &RawObject) -> bool {
    is_http_route(raw) && decoded(raw).is_some_and(|spec| !rules::has_unsimulated(&spec.rules))
}

/// Whether a parent of an HTTPRoute is no service: routes of Gateways.
pub(super) fn has_gateway_parent(raw: &RawObject) -> bool {
    decoded(raw).is_none_or(|spec| {
        spec.parent_refs.is_empty() || spec.parent_refs.iter().any(|parent| kind(parent) == Kind::Other)
    })
}

fn is_http_route(raw: &RawObject) -> bool {
    raw.group() == GROUP && raw.kind == "HTTPRoute"
}

fn decoded(raw: &RawObject) -> Option<KubernetesHttpRoute> {
    let mut spec: KubernetesHttpRoute = from_node(raw.spec()?, &mut DecodeCx::default())?;
    if spec.rules.is_empty() {
        // The CRD's default: everything, to nobody.
        spec.rules.push(Rule { origin: raw.span, ..Rule::default() });
    }
    Some(spec)
}

/// A VirtualService in the making.
struct Made {
    meta: ObjectMeta,
    /// What routes are merged by.
    key: String,
    host: String,
    http: Vec<HttpRoute>,
}

impl Made {
    fn age(&self) -> (i64, &str, &str) {
        (self.meta.conflict_key().0, &self.meta.namespace, &self.meta.name)
    }

    fn finish(mut self) -> Object<VirtualService> {
        rules::sort(&mut self.http);
        let span = self.meta.origin;
        let spanned = |value: String| Spanned { value, span };
        Object {
            meta: ObjectMeta { name: self.key.replace('/', "~"), ..self.meta },
            spec: VirtualService {
                hosts: vec![spanned(self.host)],
                gateways: vec![spanned(MESH_GATEWAY.to_owned())],
                http: self.http,
                origin: span,
                ..VirtualService::default()
            },
        }
    }
}

/// One VirtualService per host of the services a route is attached to. None when a rule is an error: istiod takes all
/// rules or none.
fn of_route(inventory: &Inventory, raw: &RawObject) -> Vec<Made> {
    let Some(spec) = decoded(raw) else { return Vec::new() };
    if rules::has_unsimulated(&spec.rules) {
        return Vec::new();
    }
    let Some(http) = rules::translate(raw, &spec.rules) else { return Vec::new() };
    let mut out = Vec::new();
    for parent in &spec.parent_refs {
        let routes = match parent.port {
            Some(port) => on_port(&http, port),
            None => http.clone(),
        };
        let owner = match parent.port {
            Some(port) => format!("{}/{port}", raw.namespace),
            None => raw.namespace.clone(),
        };
        for host in hosts(inventory, &raw.namespace, parent) {
            out.push(Made { meta: meta(raw), key: format!("{owner}/{host}"), host, http: routes.clone() });
        }
    }
    out
}

fn meta(raw: &RawObject) -> ObjectMeta {
    let annotations = [
        ("internal.istio.io/route-semantics", "gateway".to_owned()),
        ("internal.istio.io/parents", format!("HTTPRoute/{}.{}", raw.name, raw.namespace)),
    ];
    ObjectMeta {
        name: raw.name.clone(),
        namespace: raw.namespace.clone(),
        annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
        creation_timestamp: raw.creation_timestamp.as_deref().and_then(parse_rfc3339),
        origin: raw.span,
        ..ObjectMeta::default()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Service,
    ServiceEntry,
    Other,
}

fn kind(parent: &ParentReference) -> Kind {
    let group = parent.group.as_deref().unwrap_or(GROUP);
    match (group, parent.kind.as_deref().unwrap_or("Gateway")) {
        ("", "Service") => Kind::Service,
        ("networking.istio.io", "ServiceEntry") => Kind::ServiceEntry,
        _ => Kind::Other,
    }
}

/// Hosts of the service a parent names; none when there is no such service.
fn hosts(inventory: &Inventory, local: &str, parent: &ParentReference) -> Vec<String> {
    let namespace = parent.namespace.as_deref().unwrap_or(local);
    let named = |meta: &ObjectMeta| meta.name == parent.name && meta.namespace == namespace;
    match kind(parent) {
        Kind::Service => {
            let exists = inventory.services.iter().any(|service| named(&service.meta));
            exists.then(|| service_host(&parent.name, namespace)).into_iter().collect()
        }
        Kind::ServiceEntry => {
            let entry = inventory.service_entries.iter().find(|entry| named(&entry.meta));
            entry.iter().flat_map(|entry| &entry.spec.hosts).map(|host| host.value.clone()).collect()
        }
        Kind::Other => Vec::new(),
    }
}

fn on_port(routes: &[HttpRoute], port: u32) -> Vec<HttpRoute> {
    let mut routes = routes.to_vec();
    for route in &mut routes {
        if route.match_.is_empty() {
            route.match_.push(HttpMatchRequest { origin: route.origin, ..HttpMatchRequest::default() });
        }
        route.match_.iter_mut().for_each(|m| m.port = port);
    }
    routes
}
