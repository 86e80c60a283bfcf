//! VirtualServices of the mesh as proxies get to see them: names resolved, delegates merged, filed by visibility and
//! gateway (istiod: `MergedVirtualServices`, `initVirtualServices`; semantics: istio-networking 3.1, 3.2).
//!
//! [`http::routes`] makes the routes of one of them for a proxy and port; [`l4`] selects TLS and TCP matches. Which
//! VirtualService owns a host is decided where hosts are: `outbound` for sidecars, `gateway` for gateways.

mod delegate;
pub mod destination;
mod filters;
mod headers;
pub mod http;
pub mod l4;
pub(crate) mod matcher;
pub mod retry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use matcher::is_catch_all;

use super::hosts::{resolve_gateway_name, resolve_short_name};
use crate::decode::Spanned;
use crate::resource::http_route::{Destination, HttpRoute};
use crate::resource::meta::{Object, ObjectMeta};
use crate::resource::virtual_service::VirtualService;

/// Where routes come from: some details differ (semantics: istio-networking 3.6, 7.7, 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RouteSemantics {
    /// A VirtualService as written.
    #[default]
    VirtualService,
    /// Made from a Kubernetes Ingress.
    Ingress,
    /// Made from a Gateway API route.
    GatewayApi,
}

/// A VirtualService with its names resolved and its delegates merged in.
#[derive(Debug, Clone)]
pub struct VirtualServiceConfig {
    /// Who it is.
    pub meta: ObjectMeta,
    /// What it says.
    pub spec: VirtualService,
    /// Where it comes from.
    pub semantics: RouteSemantics,
}

/// `mesh`, the reserved gateway of all sidecars.
pub const MESH_GATEWAY: &str = "mesh";

/// All VirtualServices, by gateway and visibility.
#[derive(Debug, Default)]
pub struct Index {
    all: Vec<Arc<VirtualServiceConfig>>,
    public: BTreeMap<String, Vec<usize>>,
    /// (namespace, gateway), of VirtualServices of that namespace.
    private: BTreeMap<(String, String), Vec<usize>>,
    /// (namespace, gateway), of VirtualServices of other namespaces.
    exported: BTreeMap<(String, String), Vec<usize>>,
}

impl Index {
    /// Files VirtualServices given in Istio's conflict order, those made of Ingresses first: they have no creation time.
    /// `default_export_to` is the mesh's.
    #[must_use]
    pub fn new(
        written: &[Arc<Object<VirtualService>>],
        ingress: &[Arc<Object<VirtualService>>],
        default_export_to: &[String],
        domain: &str,
    ) -> Self {
        let resolved = written.iter().map(|object| (object, resolve(object, domain)));
        let (roots, leaves): (Vec<_>, Vec<_>) = resolved.partition(|(_, spec)| !spec.hosts.is_empty());
        let delegates: Delegates<'_> = leaves
            .iter()
            .map(|(object, spec)| {
                let exports = export_set(&spec.export_to, default_export_to, &object.meta.namespace);
                ((object.meta.namespace.as_str(), object.meta.name.as_str()), (spec, exports))
            })
            .collect();
        let mut index = Index::default();
        for object in ingress {
            let exports = export_set(&[], default_export_to, &object.meta.namespace);
            index.file(object.meta.clone(), object.spec.clone(), RouteSemantics::Ingress, &exports);
        }
        for (object, mut spec) in roots {
            spec.http = with_delegates(spec.http, &object.meta.namespace, &delegates);
            let exports = export_set(&spec.export_to, default_export_to, &object.meta.namespace);
            index.file(object.meta.clone(), spec, semantics_of(&object.meta), &exports);
        }
        index
    }

    fn file(
        &mut self,
        meta: ObjectMeta,
        spec: VirtualService,
        semantics: RouteSemantics,
        exports: &BTreeSet<String>,
    ) {
        let gateways = gateway_names(&spec);
        let at = self.all.len();
        for gateway in &gateways {
            if exports.contains("*") {
                self.public.entry(gateway.clone()).or_default().push(at);
                continue;
            }
            for namespace in exports.iter().filter(|_| !exports.contains("~")) {
                let pool = if *namespace == meta.namespace { &mut self.private } else { &mut self.exported };
                pool.entry((namespace.clone(), gateway.clone())).or_default().push(at);
            }
        }
        self.all.push(Arc::new(VirtualServiceConfig { meta, spec, semantics }));
    }

    /// All VirtualServices that are no delegates, in Istio's conflict order.
    #[must_use]
    pub fn all(&self) -> &[Arc<VirtualServiceConfig>] {
        &self.all
    }

    /// The VirtualServices bound to a gateway (`ns/name` or `mesh`) that a proxy of `namespace` sees, in selection
    /// order: private ones, those exported to the namespace, public ones.
    #[must_use]
    pub fn for_gateway(&self, namespace: &str, gateway: &str) -> Vec<&Arc<VirtualServiceConfig>> {
        let key = (namespace.to_owned(), gateway.to_owned());
        let pools = [self.private.get(&key), self.exported.get(&key), self.public.get(gateway)];
        // Gateway API routes of the own namespace go first within the public pool.
        let (own, others): (Vec<_>, Vec<_>) = pools
            .into_iter()
            .enumerate()
            .flat_map(|(pool, found)| found.into_iter().flatten().map(move |at| (pool, at)))
            .filter_map(|(pool, at)| self.all.get(*at).map(|vs| (pool, vs)))
            .partition(|(pool, vs)| {
                *pool < 2 || (vs.semantics == RouteSemantics::GatewayApi && vs.meta.namespace == namespace)
            });
        own.into_iter().chain(others).map(|(_, vs)| vs).collect()
    }
}

/// istiod marks the VirtualServices it makes of other resources, and believes the mark (`UseGatewaySemantics`).
fn semantics_of(meta: &ObjectMeta) -> RouteSemantics {
    match meta.annotations.get("internal.istio.io/route-semantics").map(String::as_str) {
        Some("gateway") => RouteSemantics::GatewayApi,
        Some("ingress") => RouteSemantics::Ingress,
        _ => RouteSemantics::VirtualService,
    }
}

/// Whether every label of `selector` is among `labels`.
pub(crate) fn labels_subset(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// `gateways`, absent meaning `mesh`; a gateway named twice counts once.
fn gateway_names(spec: &VirtualService) -> Vec<String> {
    if spec.gateways.is_empty() {
        return vec![MESH_GATEWAY.to_owned()];
    }
    let mut out: Vec<String> = Vec::new();
    for gateway in &spec.gateways {
        if !out.contains(&gateway.value) {
            out.push(gateway.value.clone());
        }
    }
    out
}

/// `exportTo` with `.` spelled out, or the mesh's default.
fn export_set(written: &[String], default: &[String], namespace: &str) -> BTreeSet<String> {
    let list = if written.is_empty() { default } else { written };
    list.iter().map(|to| if to == "." { namespace.to_owned() } else { to.clone() }).collect()
}

/// Short names of hosts, gateways and destinations in the namespace of the resource.
fn resolve(object: &Object<VirtualService>, domain: &str) -> VirtualService {
    let namespace = &object.meta.namespace;
    let mut spec = object.spec.clone();
    let host = |host: &mut String| *host = resolve_short_name(host, namespace, domain);
    let gateways = |names: &mut Vec<String>| {
        for name in names {
            *name = resolve_gateway_name(name, namespace);
        }
    };
    for name in &mut spec.hosts {
        host(&mut name.value);
    }
    for Spanned { value, .. } in &mut spec.gateways {
        *value = resolve_gateway_name(value, namespace);
    }
    let destination = |d: Option<&mut Destination>| {
        if let Some(d) = d {
            host(&mut d.host);
        }
    };
    for http in &mut spec.http {
        http.match_.iter_mut().for_each(|m| gateways(&mut m.gateways));
        http.route.iter_mut().for_each(|d| destination(d.destination.as_mut()));
        destination(http.mirror.as_deref_mut());
        http.mirrors.iter_mut().for_each(|m| destination(m.destination.as_mut()));
    }
    for tls in &mut spec.tls {
        tls.match_.iter_mut().for_each(|m| gateways(&mut m.gateways));
        tls.route.iter_mut().for_each(|d| destination(d.destination.as_mut()));
    }
    for tcp in &mut spec.tcp {
        tcp.match_.iter_mut().for_each(|m| gateways(&mut m.gateways));
        tcp.route.iter_mut().for_each(|d| destination(d.destination.as_mut()));
    }
    spec
}

/// Delegates by namespace and name, with the namespaces they are exported to.
type Delegates<'a> = BTreeMap<(&'a str, &'a str), (&'a VirtualService, BTreeSet<String>)>;

/// A route whose delegate is missing or not exported to the root's namespace disappears.
fn with_delegates(http: Vec<HttpRoute>, namespace: &str, delegates: &Delegates<'_>) -> Vec<HttpRoute> {
    let mut out = Vec::with_capacity(http.len());
    for route in http {
        let Some(reference) = &route.delegate else {
            out.push(route);
            continue;
        };
        let owner = if reference.namespace.is_empty() { namespace } else { &reference.namespace };
        let Some((spec, exports)) = delegates.get(&(owner, reference.name.as_str())) else { continue };
        if exports.contains("*") || exports.contains(namespace) {
            out.extend(delegate::merge(&route, &spec.http));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vs(namespace: &str, name: &str, export_to: &[&str]) -> Arc<Object<VirtualService>> {
        let spanned = |text: &str| Spanned { value: text.to_owned(), ..Spanned::default() };
        Arc::new(Object {
            meta: ObjectMeta { name: name.into(), namespace: namespace.into(), ..ObjectMeta::default() },
            spec: VirtualService {
                hosts: vec![spanned("reviews")],
                export_to: export_to.iter().map(|&e| e.to_owned()).collect(),
                ..VirtualService::default()
            },
        })
    }

    #[test]
    fn private_beats_exported_beats_public() {
        let written = [vs("b", "a-public", &[]), vs("a", "b-private", &["."]), vs("b", "c-exported", &["a"])];
        let index = Index::new(&written, &[], &["*".to_owned()], "cluster.local");
        let names = |namespace: &str| -> Vec<String> {
            index.for_gateway(namespace, MESH_GATEWAY).iter().map(|vs| vs.meta.name.clone()).collect()
        };
        assert_eq!(names("a"), ["b-private", "c-exported", "a-public"]);
        assert_eq!(names("c"), ["a-public"]);
        assert_eq!(index.all()[0].spec.hosts[0].value, "reviews.b.svc.cluster.local");
    }
}
