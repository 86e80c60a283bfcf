//! Lowering: the mesh model becomes, per proxy, what istiod would send it (semantics: istio-networking, istio-security).
//!
//! ```text
//! Lowering::new(mesh)            indexes of the whole mesh, once: VirtualServices with delegates merged, DestinationRules
//!                                consolidated, services by visibility, PeerAuthentications        (virtual_service,
//!                                destination_rule, visibility, security)
//! Lowering::snapshot(proxy)      one proxy class: what it may see (sidecar_scope), then
//!   sidecar                      outbound listeners and routes (outbound), inbound ones (inbound)
//!   gateway                      servers, routes (gateway)
//!   both                         clusters (cluster) with endpoints (endpoint)
//! ```
//!
//! Rules that hold everywhere: names and defaults are resolved here, the IR has none left to resolve; a field is either
//! honoured or leaves a taint at the node it could change; places are [`origin`] ids; nothing depends on the order of
//! files, on time or on maps with random order.
//!
//! Not here: whether the YAML is acceptable (`schema`, `webhook`), what exists in the mesh (`mesh`), what a request would
//! do (`mesh_core`).

pub mod class;
pub mod cluster;
pub mod context;
pub mod destination_rule;
pub mod endpoint;
pub mod gateway;
pub mod hosts;
pub mod http_connection_manager;
pub(crate) mod http_route;
pub mod inbound;
pub mod ingress;
pub mod names;
pub mod origin;
pub mod outbound;
pub mod regexes;
pub mod security;
mod server_tls;
pub mod sidecar_scope;
mod unsimulated;
pub mod virtual_service;
pub mod visibility;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use mesh_core::OriginId;
use mesh_core::ids::Taint;
use mesh_core::index::SnapshotIndex;
use mesh_core::ir::{ProxyKind as CoreKind, Snapshot};

use cluster::traffic_policy::EMPTY_HASH;

use crate::diagnostic::ObjectRef;
use crate::inventory::Inventory;
use crate::mesh::Mesh;
use crate::mesh::proxy::{Proxy, ProxyId, ProxyKind};
use crate::mesh::registry::CLUSTER_DOMAIN;
use crate::resource::gateway::Gateway;
use crate::resource::mesh_config::MeshOutboundTrafficMode;
use crate::resource::meta::Object;
use crate::resource::sidecar::Sidecar;
use crate::resource::virtual_service::VirtualService;
use crate::source::Span;
use class::ProxyClass;
pub use context::Ctx;
use origin::{Origin, OriginTable};
use sidecar_scope::SidecarScope;

/// What every translation uses: places and compiled patterns.
#[derive(Debug, Default)]
pub struct Tools {
    /// Places in the YAML.
    pub origins: OriginTable,
    /// Patterns.
    pub regexes: regexes::Regexes,
    /// Shared texts.
    pub names: names::Names,
}

/// The mesh's configuration, filed for lookups.
#[derive(Debug)]
pub struct Indexes {
    /// Services by visibility and host.
    pub services: visibility::ServiceIndex,
    /// VirtualServices by gateway and visibility.
    pub virtual_services: virtual_service::Index,
    /// DestinationRules by namespace and host.
    pub destination_rules: destination_rule::Index,
    /// PeerAuthentications by scope.
    pub peer_authentication: security::peer_authentication::Index,
    /// RequestAuthentications in conflict order.
    pub request_authentications: Vec<security::request_authentication::Policy>,
    /// AuthorizationPolicies in conflict order.
    pub authorization_policies: Vec<security::authorization::Policy>,
    /// The trust domain and its aliases.
    pub trust_domains: security::trust_domain::Bundle,
    /// Trust domains whose certificates servers accept.
    pub accepted_domains: Vec<String>,
    /// Gateways in conflict order.
    pub gateways: Vec<Arc<Object<Gateway>>>,
    /// Secrets and ConfigMaps with certificates.
    pub credentials: security::credentials::Credentials,
    /// Sidecars in conflict order.
    pub sidecars: Vec<Arc<Object<Sidecar>>>,
    /// Unknown destinations where no Sidecar says otherwise.
    pub outbound_mode: MeshOutboundTrafficMode,
}

/// Namespace and, for sidecars, the Sidecar (namespace, name) behind a scope.
type ScopeKey = (ProxyKind, String, Option<(String, String)>);

/// A mesh ready to be lowered: `snapshot` says what istiod would send to a proxy. Scopes and snapshots are made when
/// first asked for and kept; asking from several threads gives the same.
pub struct Lowering {
    /// The mesh.
    pub mesh: Arc<Mesh>,
    /// Its configuration, filed.
    pub indexes: Indexes,
    /// Places and patterns.
    pub tools: Tools,
    /// Retries of routes that say nothing.
    pub retries: virtual_service::retry::DefaultRetries,
    scopes: Mutex<BTreeMap<ScopeKey, Arc<SidecarScope>>>,
    snapshots: Mutex<BTreeMap<ProxyClass, Arc<Snapshot>>>,
    by_proxy: Mutex<BTreeMap<ProxyId, Arc<Snapshot>>>,
}

impl Lowering {
    /// Files the configuration of a mesh.
    #[must_use]
    pub fn new(mesh: Arc<Mesh>) -> Self {
        let tools = Tools { origins: OriginTable::new(documents(&mesh.inventory)), ..Tools::default() };
        let retries = mesh.settings.default_http_retry_policy.as_ref();
        Lowering {
            indexes: indexes(&mesh),
            retries: virtual_service::retry::DefaultRetries::new(&tools.origins, retries),
            tools,
            scopes: Mutex::default(),
            snapshots: Mutex::default(),
            by_proxy: Mutex::default(),
            mesh,
        }
    }

    /// What istiod would send to a proxy. Proxies of one class share it. `None` if there is no such proxy.
    #[must_use]
    pub fn snapshot(&self, proxy: ProxyId) -> Option<Arc<Snapshot>> {
        if let Some(known) = locked(&self.by_proxy).get(&proxy) {
            return Some(Arc::clone(known));
        }
        let found = self.of_class(self.mesh.proxy(proxy)?);
        Some(Arc::clone(locked(&self.by_proxy).entry(proxy).or_insert(found)))
    }

    fn of_class(&self, proxy: &Proxy) -> Arc<Snapshot> {
        let cx = self.context(proxy);
        let class = ProxyClass::new(&self.mesh, &cx.scope, proxy);
        if let Some(known) = locked(&self.snapshots).get(&class) {
            return Arc::clone(known);
        }
        // Built without the lock: a second thread may build the same, the first one stored stays.
        let built = Arc::new(snapshot(&cx));
        Arc::clone(locked(&self.snapshots).entry(class).or_insert(built))
    }

    /// The place behind an id of any snapshot of this mesh.
    #[must_use]
    pub fn origin(&self, id: OriginId) -> Option<Origin> {
        self.tools.origins.origin(id)
    }

    /// A proxy with its scope.
    #[must_use]
    pub fn context<'a>(&'a self, proxy: &'a Proxy) -> Ctx<'a> {
        Ctx { lowering: self, proxy, scope: self.scope(proxy) }
    }

    fn scope(&self, proxy: &Proxy) -> Arc<SidecarScope> {
        let namespace = &proxy.namespace;
        let root = &self.mesh.settings.root_namespace;
        let sidecar = match proxy.kind {
            ProxyKind::Gateway => None,
            ProxyKind::Sidecar => {
                sidecar_scope::select_sidecar(&self.indexes.sidecars, root, namespace, &proxy.labels)
            }
        };
        let name = sidecar.map(|s| (s.meta.namespace.clone(), s.meta.name.clone()));
        let key = (proxy.kind, namespace.clone(), name);
        if let Some(known) = locked(&self.scopes).get(&key) {
            return Arc::clone(known);
        }
        let built = Arc::new(match proxy.kind {
            ProxyKind::Gateway => SidecarScope::for_gateway(&self.indexes, namespace),
            ProxyKind::Sidecar => SidecarScope::new(&self.indexes, namespace, sidecar),
        });
        Arc::clone(locked(&self.scopes).entry(key).or_insert(built))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Objects of namespaces that istiod does not look at have no effect.
fn indexes(mesh: &Mesh) -> Indexes {
    let inventory = &mesh.inventory;
    let settings = &mesh.settings;
    fn seen<T>(mesh: &Mesh, list: &[Arc<Object<T>>]) -> Vec<Arc<Object<T>>> {
        list.iter().filter(|object| mesh.is_discovered(&object.meta.namespace)).cloned().collect()
    }
    Indexes {
        services: visibility::ServiceIndex::new(
            mesh.services.iter().cloned().map(Arc::new).collect(),
            &settings.default_service_export_to,
        ),
        virtual_services: virtual_service::Index::new(
            &virtual_services(mesh, seen(mesh, &inventory.virtual_services)),
            &ingress::virtual_services(mesh),
            &settings.default_virtual_service_export_to,
            CLUSTER_DOMAIN,
        ),
        destination_rules: destination_rule::Index::new(
            &seen(mesh, &inventory.destination_rules),
            &settings.default_destination_rule_export_to,
            &settings.root_namespace,
            CLUSTER_DOMAIN,
        ),
        peer_authentication: security::peer_authentication::Index::new(
            &settings.root_namespace,
            &seen(mesh, &inventory.peer_authentications),
        ),
        request_authentications: seen(mesh, &inventory.request_authentications),
        authorization_policies: seen(mesh, &inventory.authorization_policies),
        trust_domains: security::trust_domain::Bundle::new(
            &settings.trust_domain,
            &settings.trust_domain_aliases,
        ),
        accepted_domains: security::trust_domain::accepted(settings),
        gateways: ingress::gateways(mesh, seen(mesh, &inventory.gateways)),
        credentials: security::credentials::Credentials::new(&inventory.secrets, &inventory.config_maps),
        sidecars: seen(mesh, &inventory.sidecars),
        outbound_mode: settings.outbound_traffic_policy.mode,
    }
}

/// VirtualServices as written and those of HTTPRoutes, in conflict order.
fn virtual_services(
    mesh: &Mesh,
    mut written: Vec<Arc<Object<VirtualService>>>,
) -> Vec<Arc<Object<VirtualService>>> {
    let made = http_route::virtual_services(&mesh.inventory, |namespace| mesh.is_discovered(namespace));
    if !made.is_empty() {
        written.extend(made);
        written.sort_by(|a, b| a.meta.conflict_key().cmp(&b.meta.conflict_key()));
    }
    written
}

fn documents(inventory: &Inventory) -> Vec<(Span, ObjectRef)> {
    let known = inventory.metas().map(|(kind, meta)| {
        let object =
            ObjectRef { kind: kind.to_owned(), namespace: meta.namespace.clone(), name: meta.name.clone() };
        (meta.origin, object)
    });
    known.chain(inventory.others.iter().map(|other| (other.raw.span, other.raw.reference()))).collect()
}

fn snapshot(cx: &Ctx<'_>) -> Snapshot {
    let tools = &cx.lowering.tools;
    let mut taints = http_connection_manager::unmodelled(&cx.proxy.config, &tools.origins);
    if cx.ip().is_ipv6() {
        taints.push(tools.origins.taint("a proxy with an IPv6 address", cx.proxy.origin));
    }
    let mut clusters = cluster::outbound(cx, cluster::ClusterMode::Default);
    clusters.extend(cluster::built_in::outbound(cx));
    let refused = |taint: &&Taint| taint.what.as_ref() == EMPTY_HASH;
    taints.extend(clusters.iter().flat_map(|c| &c.taints).find(refused).cloned());
    let mut out = Snapshot {
        kind: if cx.is_sidecar() { CoreKind::Sidecar } else { CoreKind::Gateway },
        listeners: Vec::new(),
        routes: Vec::new(),
        clusters,
        taints,
        index: SnapshotIndex::default(),
    };
    if cx.is_sidecar() {
        let outbound = outbound::lower(cx);
        out.listeners = outbound.listeners;
        out.routes = outbound.routes;
        let inbound = inbound::lower(cx);
        out.listeners.extend(inbound.listeners);
        out.clusters.extend(inbound.clusters);
    } else {
        let merged = gateway::merged(cx);
        if merged.passes_by_cluster_name {
            out.clusters.extend(cluster::outbound(cx, cluster::ClusterMode::SniDnat));
        }
        let gateway = gateway::lower(cx, &merged);
        out.listeners = gateway.listeners;
        out.routes = gateway.routes;
    }
    unsimulated::apply(cx, &mut out);
    out.seal();
    out
}
