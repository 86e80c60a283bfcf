//! All objects of a mesh by kind, decoded, each list in Istio's conflict order.
//!
//! Order: creation time, then name, then namespace (semantics: istio-networking 3.1), so the order of files and documents
//! never matters. Kinds that are read but not simulated are kept in [`Inventory::others`] with what they may do to
//! traffic. Whether an object would be admitted at all is judged before (`schema`), what the mesh makes of it after (`mesh`).

mod effect;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::decode::{DecodeCx, from_node};
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::document::RawObject;
use crate::resource::authorization_policy::AuthorizationPolicy;
use crate::resource::config_data::{ConfigMap, Secret};
use crate::resource::destination_rule::DestinationRule;
use crate::resource::endpoints::{EndpointSlice, Endpoints};
use crate::resource::gateway::Gateway;
use crate::resource::ingress::{Ingress, IngressClass};
use crate::resource::meta::{Object, ObjectMeta, parse_rfc3339};
use crate::resource::namespace::{Namespace, ServiceAccount};
use crate::resource::node::Node;
use crate::resource::peer_authentication::PeerAuthentication;
use crate::resource::pod::PodSpec;
use crate::resource::request_authentication::RequestAuthentication;
use crate::resource::service::Service;
use crate::resource::service_entry::ServiceEntry;
use crate::resource::sidecar::Sidecar;
use crate::resource::virtual_service::VirtualService;
use crate::resource::workload::{Controller, CronJob, Job};
use crate::resource::workload_entry::{WorkloadEntry, WorkloadGroup};
use crate::yaml;

pub use effect::Effect;
pub(crate) use effect::of as effect_of;

/// An object of a kind that is read but not simulated.
#[derive(Debug, Clone)]
pub struct Other {
    /// The object as written, its namespace filled in.
    pub raw: Arc<RawObject>,
    /// What it may do to traffic.
    pub effect: Effect,
}

/// An object and its name in the mesh, where the default namespace is filled in.
struct Placed<'a> {
    raw: &'a RawObject,
    name: ObjectRef,
}

/// Which node of a document holds what the type describes.
fn spec_node(raw: &RawObject) -> Option<&yaml::Node> {
    raw.spec()
}

/// Kinds without `spec` are described from the root.
fn root_node(raw: &RawObject) -> Option<&yaml::Node> {
    Some(&raw.node)
}

macro_rules! inventory {
    ($($field:ident: $type:ty = $group:literal $kind:literal, $node:ident;)*) => {
        /// All objects of a mesh.
        #[derive(Debug, Clone, Default)]
        pub struct Inventory {
            $(#[doc = concat!("Every ", $kind, ".")] pub $field: Vec<Arc<Object<$type>>>,)*
            /// Objects of every other kind.
            pub others: Vec<Other>,
        }

        impl Inventory {
            fn put(&mut self, placed: Placed<'_>, out: &mut Vec<Diagnostic>) {
                match (placed.raw.group(), placed.raw.kind.as_str()) {
                    $(($group, $kind) => {
                        let spec = decode::<$type>(&placed, $node(placed.raw), out);
                        let meta = meta_of(placed, out);
                        self.$field.push(Arc::new(Object { meta, spec }));
                    })*
                    (group, kind) => {
                        let effect = effect::of(group, kind);
                        let raw = RawObject { namespace: placed.name.namespace, ..placed.raw.clone() };
                        self.others.push(Other { raw: Arc::new(raw), effect });
                    }
                }
            }

            fn sort(&mut self) {
                $(self.$field.sort_by(|a, b| a.meta.conflict_key().cmp(&b.meta.conflict_key()));)*
                self.others.sort_by_key(|o| o.raw.reference());
            }

            /// The metadata of every simulated object with its kind, kind by kind.
            pub fn metas(&self) -> impl Iterator<Item = (&'static str, &ObjectMeta)> {
                let none = std::iter::empty::<(&'static str, &ObjectMeta)>();
                $(let none = none.chain(self.$field.iter().map(|o| ($kind, &o.meta)));)*
                none
            }
        }
    };
}

inventory! {
    namespaces: Namespace = "" "Namespace", spec_node;
    service_accounts: ServiceAccount = "" "ServiceAccount", root_node;
    services: Service = "" "Service", spec_node;
    endpoints: Endpoints = "" "Endpoints", root_node;
    endpoint_slices: EndpointSlice = "discovery.k8s.io" "EndpointSlice", root_node;
    deployments: Controller = "apps" "Deployment", spec_node;
    stateful_sets: Controller = "apps" "StatefulSet", spec_node;
    daemon_sets: Controller = "apps" "DaemonSet", spec_node;
    replica_sets: Controller = "apps" "ReplicaSet", spec_node;
    jobs: Job = "batch" "Job", spec_node;
    cron_jobs: CronJob = "batch" "CronJob", spec_node;
    pods: PodSpec = "" "Pod", spec_node;
    config_maps: ConfigMap = "" "ConfigMap", root_node;
    secrets: Secret = "" "Secret", root_node;
    nodes: Node = "" "Node", spec_node;
    ingresses: Ingress = "networking.k8s.io" "Ingress", spec_node;
    ingress_classes: IngressClass = "networking.k8s.io" "IngressClass", spec_node;
    virtual_services: VirtualService = "networking.istio.io" "VirtualService", spec_node;
    destination_rules: DestinationRule = "networking.istio.io" "DestinationRule", spec_node;
    gateways: Gateway = "networking.istio.io" "Gateway", spec_node;
    service_entries: ServiceEntry = "networking.istio.io" "ServiceEntry", spec_node;
    workload_entries: WorkloadEntry = "networking.istio.io" "WorkloadEntry", spec_node;
    workload_groups: WorkloadGroup = "networking.istio.io" "WorkloadGroup", spec_node;
    sidecars: Sidecar = "networking.istio.io" "Sidecar", spec_node;
    peer_authentications: PeerAuthentication = "security.istio.io" "PeerAuthentication", spec_node;
    request_authentications: RequestAuthentication = "security.istio.io" "RequestAuthentication", spec_node;
    authorization_policies: AuthorizationPolicy = "security.istio.io" "AuthorizationPolicy", spec_node;
}

impl Inventory {
    /// Drops the Istio resources of namespaces that istiod does not look at.
    pub fn retain_istio(&mut self, discovered: impl Fn(&str) -> bool) {
        self.virtual_services.retain(|o| discovered(&o.meta.namespace));
        self.destination_rules.retain(|o| discovered(&o.meta.namespace));
        self.gateways.retain(|o| discovered(&o.meta.namespace));
        self.service_entries.retain(|o| discovered(&o.meta.namespace));
        self.workload_entries.retain(|o| discovered(&o.meta.namespace));
        self.workload_groups.retain(|o| discovered(&o.meta.namespace));
        self.sidecars.retain(|o| discovered(&o.meta.namespace));
        self.peer_authentications.retain(|o| discovered(&o.meta.namespace));
        self.request_authentications.retain(|o| discovered(&o.meta.namespace));
        self.authorization_policies.retain(|o| discovered(&o.meta.namespace));
    }

    /// Sorts objects into kinds. `default_namespace` is that of namespaced objects that name none (kubectl's `-n`).
    /// Of an object written twice the last one wins, as with `kubectl apply` in the order given (directories by file name);
    /// different content is worth a warning.
    pub fn new(objects: &[RawObject], default_namespace: &str) -> (Self, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let mut seen: BTreeMap<(&str, ObjectRef), &RawObject> = BTreeMap::new();
        for raw in objects {
            let mut name = raw.reference();
            if effect::is_cluster_scoped(raw.group(), &raw.kind) {
                name.namespace.clear();
            } else if name.namespace.is_empty() {
                default_namespace.clone_into(&mut name.namespace);
            }
            if let Some(first) = seen.get(&(raw.group(), name.clone())) {
                diagnostics.extend(duplicate(first, raw, &name));
            }
            seen.insert((raw.group(), name), raw);
        }
        let mut inventory = Inventory::default();
        for ((_, name), raw) in seen {
            inventory.put(Placed { raw, name }, &mut diagnostics);
        }
        inventory.sort();
        (inventory, diagnostics)
    }
}

/// The same content twice is harmless (a file listed twice under two names); anything else hides the earlier one.
fn duplicate(first: &RawObject, second: &RawObject, name: &ObjectRef) -> Option<Diagnostic> {
    if first.node.to_json() == second.node.to_json() {
        return None;
    }
    let message = format!("{name} is written twice, with different content");
    Some(
        Diagnostic::warning(codes::DUPLICATE_OBJECT, Stage::Analysis, second.name_span(), message)
            .label(first.name_span(), "written here first")
            .help("as in a cluster, the one applied last is used: this one")
            .object(name.clone()),
    )
}

/// Unknown fields are the schema's to report, which knows more fields than the simulator reads.
fn decode<T: DeserializeOwned + Default>(
    placed: &Placed<'_>,
    node: Option<&yaml::Node>,
    out: &mut Vec<Diagnostic>,
) -> T {
    let Some(node) = node else { return T::default() };
    let path = if std::ptr::eq(node, &placed.raw.node) { "" } else { "spec" };
    let mut cx = DecodeCx::new(Some(placed.name.clone()), path);
    let value = from_node::<T>(node, &mut cx);
    out.extend(cx.diagnostics.into_iter().filter(|d| d.code != codes::UNKNOWN_FIELD));
    value.unwrap_or_default()
}

fn meta_of(placed: Placed<'_>, out: &mut Vec<Diagnostic>) -> ObjectMeta {
    let Placed { raw, name } = placed;
    let creation_timestamp = raw.creation_timestamp.as_deref().and_then(parse_rfc3339);
    if let (Some(text), None) = (&raw.creation_timestamp, creation_timestamp) {
        let at = raw.node.path("metadata/creationTimestamp").map_or(raw.span, yaml::Node::site);
        out.push(
            Diagnostic::error(
                codes::BAD_METADATA,
                Stage::Meta,
                at,
                format!("metadata.creationTimestamp: `{text}` is not a time"),
            )
            .help("write it like `2024-05-01T10:00:00Z`")
            .object(name.clone()),
        );
    }
    ObjectMeta {
        name: name.name,
        namespace: name.namespace,
        labels: raw.labels.clone(),
        annotations: raw.annotations.clone(),
        creation_timestamp,
        controller: controller_of(raw),
        origin: raw.span,
    }
}

/// Who made the object, in `kubectl get -o yaml` dumps.
fn controller_of(raw: &RawObject) -> Option<(String, String)> {
    let owners = raw.node.path("metadata/ownerReferences")?.sequence();
    let owner = owners.iter().find(|o| o.get("controller").and_then(yaml::Node::as_bool) == Some(true))?;
    let text = |key: &str| owner.get(key).and_then(yaml::Node::as_str).map(str::to_owned);
    Some((text("kind")?, text("name")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::objects;
    use crate::source::FileId;

    fn inventory(text: &str) -> (Inventory, Vec<Diagnostic>) {
        let (documents, problems) = yaml::parse_stream(FileId(0), text);
        assert!(problems.is_empty(), "{problems:?}");
        let raw: Vec<RawObject> = documents.into_iter().flat_map(|d| objects(d).0).collect();
        Inventory::new(&raw, "default")
    }

    fn vs(name: &str, namespace: &str, time: &str) -> String {
        let time = if time.is_empty() { String::new() } else { format!(", creationTimestamp: \"{time}\"") };
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: {name}, namespace: {namespace}{time}}}\nspec: {{hosts: [a]}}\n"
        )
    }

    #[test]
    fn lists_are_in_conflict_order() {
        let text = [
            vs("b", "x", "2024-01-01T00:00:00Z"),
            vs("a", "yy", "2024-01-01T00:00:00Z"),
            vs("a", "x", "2024-01-01T00:00:00Z"),
            vs("z", "x", "2023-01-01T00:00:00Z"),
            vs("zz", "x", ""),
            vs("c", "x", "2025-01-02T00:00:00Z"),
        ]
        .concat();
        let (found, problems) = inventory(&text);
        assert!(problems.is_empty(), "{problems:?}");
        let order: Vec<String> = found.virtual_services.iter().map(|o| o.meta.key()).collect();
        assert_eq!(order, ["x/z", "x/a", "yy/a", "x/b", "x/zz", "x/c"]);
    }

    #[test]
    fn default_namespace_and_cluster_scope() {
        let (found, _) = inventory(
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n---\n\
             apiVersion: v1\nkind: Namespace\nmetadata: {name: n, namespace: odd}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\n",
        );
        assert_eq!(found.services[0].meta.namespace, "default");
        assert_eq!(found.services[0].spec.ports[0].port, 80);
        assert_eq!(found.namespaces[0].meta.namespace, "");
        assert_eq!((found.others[0].effect, found.others[0].raw.namespace.as_str()), (Effect::None, ""));
    }

    #[test]
    fn of_an_object_written_twice_the_last_one_counts() {
        let once = vs("a", "x", "");
        let (found, problems) = inventory(&[once.clone(), once.clone()].concat());
        assert_eq!((found.virtual_services.len(), problems.len()), (1, 0));
        let other = once.replace("hosts: [a]", "hosts: [b]").replace("/v1\n", "/v1beta1\n");
        let (found, problems) = inventory(&[once, other].concat());
        assert_eq!(found.virtual_services[0].spec.hosts[0].value, "b");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].code, codes::DUPLICATE_OBJECT);
        assert_eq!(problems[0].labels.len(), 2);
    }

    #[test]
    fn broken_values_are_reported_and_unknown_fields_left_to_the_schema() {
        let (found, problems) = inventory(
            "apiVersion: v1\nkind: Service\nmetadata: {name: s, creationTimestamp: soon}\n\
             spec: {ports: [{port: eighty}], sesion: 1, clusterIP: 10.0.0.1}\n",
        );
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].message.starts_with("spec.ports[0].port: "), "{problems:?}");
        assert_eq!(problems[1].message, "metadata.creationTimestamp: `soon` is not a time");
        assert_eq!(found.services[0].spec.cluster_ip, "10.0.0.1");
    }
}
