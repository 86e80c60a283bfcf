//! Who can ask: every workload, and pods that no manifest has.
//!
//! Two pods are one caller when nothing in the mesh can tell them apart as clients: same identity, data plane, capture,
//! configuration, place, and the labels that any selector looks at. Gateways are callers too, but ask only what their
//! routes lead to (`gateways`).

use std::collections::{BTreeMap, BTreeSet};

use mesh_config::mesh::pod::{DataPlane, Pod};
use mesh_config::mesh::service::{PodId as MeshPodId, Resolution, UNSPECIFIED_IP};
use mesh_config::resource::authorization_policy::Source;
use mesh_config::yaml::{Node, Value};
use mesh_engine::world::PodId;
use mesh_reports::matrix::{CallerKind, MatrixCaller};

use crate::format::client::{Client, PodClient};
use crate::loaded::{LoadedMesh, MeshInput};
use crate::plan::traffic::Sender;

/// A namespace that no manifest should have.
pub const STRANGE: &str = "mesh-sim-elsewhere";

/// The callers that no manifest has, in the order of [`STRANGER_NAMES`].
#[must_use]
pub fn strangers() -> [PodClient; 2] {
    [true, false].map(|sidecar| PodClient {
        namespace: STRANGE.to_owned(),
        sidecar: Some(sidecar),
        ..PodClient::default()
    })
}

/// How they are called.
pub const STRANGER_NAMES: [&str; 2] = ["stranger", "stranger-no-sidecar"];

/// Adds the strangers to what a mesh is made from; a mesh without them has no stranger callers.
pub fn invite(input: &mut MeshInput) {
    for stranger in strangers() {
        input.note_client(&Client::Pod(stranger));
    }
}

/// One caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As shown.
    pub shown: MatrixCaller,
    /// As the engine knows it.
    pub sender: Sender,
    /// What the mesh can know of it; callers of equal classes get equal answers from services they are no part of.
    pub class: String,
}

/// The callers of a mesh: workloads by namespace and name, then strangers.
#[must_use]
pub fn callers(mesh: &LoadedMesh) -> Vec<Caller> {
    let model = &mesh.lowering.mesh;
    let eyes = Eyes::new(mesh);
    let mut found: Vec<(String, u32, Caller)> = Vec::new();
    for (index, pod) in model.pods.iter().enumerate() {
        if pod.is_client() || pod.data_plane == DataPlane::Gateway {
            continue;
        }
        let id = PodId(index as u32);
        let class = eyes.class(id, pod);
        let workload = format!("{}/{}", pod.namespace, pod.workload);
        if found.iter().any(|(w, _, c)| *w == workload && c.class == class) {
            continue;
        }
        let kind = if pod.data_plane == DataPlane::Sidecar { CallerKind::Sidecar } else { CallerKind::Plain };
        let shown = MatrixCaller {
            name: workload.clone(),
            kind,
            identity: identity(mesh, id),
            place: mesh.place(pod.origin).unwrap_or_default(),
        };
        let sender = Sender { pod: Some(id), source: None, gateway: None };
        found.push((workload, pod.ordinal, Caller { shown, sender, class }));
    }
    found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    // Pods of one workload that differ are told apart by their ordinals.
    let split: BTreeSet<String> =
        found.windows(2).filter(|w| w[0].0 == w[1].0).map(|w| w[0].0.clone()).collect();
    let mut all: Vec<Caller> = found
        .into_iter()
        .map(|(workload, ordinal, mut caller)| {
            if split.contains(&workload) {
                caller.shown.name = format!("{workload}#{ordinal}");
            }
            caller
        })
        .collect();
    for (name, wanted) in STRANGER_NAMES.iter().zip(strangers()) {
        let Some((_, id)) = mesh.clients.iter().find(|(client, _)| *client == wanted) else { continue };
        let shown = MatrixCaller {
            name: (*name).to_owned(),
            kind: CallerKind::Stranger,
            identity: identity(mesh, *id),
            place: String::new(),
        };
        let sender = Sender { pod: Some(*id), source: None, gateway: None };
        all.push(Caller { shown, sender, class: (*name).to_owned() });
    }
    all
}

/// The SPIFFE id a pod shows; empty if it has no proxy.
pub(super) fn identity(mesh: &LoadedMesh, pod: PodId) -> String {
    let model = &mesh.lowering.mesh;
    let proxy = model.proxy_of(MeshPodId(pod.0)).and_then(|p| model.proxy(p));
    proxy.map(|p| p.identity.clone()).unwrap_or_default()
}

/// What of a pod anybody looks at.
struct Eyes<'a> {
    mesh: &'a LoadedMesh,
    label_keys: BTreeSet<String>,
    /// Policies compare addresses of peers.
    addresses: bool,
    /// Endpoints are chosen by node.
    nodes: bool,
    /// Pods of headless services without addresses: a proxy leaves itself out.
    headless: BTreeSet<u32>,
}

impl<'a> Eyes<'a> {
    fn new(mesh: &'a LoadedMesh) -> Self {
        let model = &mesh.lowering.mesh;
        let headless = model
            .services
            .iter()
            .filter(|s| s.resolution == Resolution::Passthrough && s.address == UNSPECIFIED_IP)
            .flat_map(|s| model.endpoints.of(s).iter().filter_map(|e| e.pod).map(|p| p.0))
            .collect();
        Eyes {
            label_keys: label_keys(mesh),
            addresses: compares_addresses(mesh),
            nodes: model.services.iter().any(|s| s.node_local),
            headless,
            mesh,
        }
    }

    fn class(&self, id: PodId, pod: &Pod) -> String {
        let model = &self.mesh.lowering.mesh;
        let proxy = model.proxy_of(MeshPodId(id.0)).and_then(|p| model.proxy(p));
        // istiod's labels are on the proxy, not on the pod.
        let labels = proxy.map_or(&pod.labels, |p| &p.labels);
        let seen: BTreeMap<&String, &String> =
            labels.iter().filter(|(key, _)| self.label_keys.contains(*key)).collect();
        let node = pod.node.as_ref().filter(|_| self.nodes);
        let ip = (self.addresses || self.headless.contains(&id.0)).then_some(pod.ip);
        let configuration = proxy.map(|p| (&p.capture, &p.config, &p.identity));
        format!(
            "{}/{} {:?} {seen:?} {} {node:?} {ip:?} {configuration:?}",
            pod.namespace, pod.service_account, pod.data_plane, pod.locality
        )
    }
}

/// Label keys that rules for clients look at.
fn label_keys(mesh: &LoadedMesh) -> BTreeSet<String> {
    let inventory = &mesh.lowering.mesh.inventory;
    let mut keys = BTreeSet::new();
    for object in &inventory.virtual_services {
        let http = object.spec.http.iter().flat_map(|r| &r.match_).map(|m| &m.source_labels);
        let tls = object.spec.tls.iter().flat_map(|r| &r.match_).map(|m| &m.source_labels);
        let tcp = object.spec.tcp.iter().flat_map(|r| &r.match_).map(|m| &m.source_labels);
        keys.extend(http.chain(tls).chain(tcp).flat_map(|labels| labels.keys().cloned()));
    }
    let rules = inventory.destination_rules.iter().filter_map(|o| o.spec.workload_selector.as_ref());
    keys.extend(rules.flat_map(|s| s.match_labels.keys().cloned()));
    let scopes = inventory.sidecars.iter().filter_map(|o| o.spec.workload_selector.as_ref());
    keys.extend(scopes.flat_map(|s| s.labels.keys().cloned()));
    // What is not simulated selects by labels under names of its own.
    for other in &inventory.others {
        mapping_keys(&other.raw.node, &mut keys);
    }
    keys
}

fn mapping_keys(node: &Node, keys: &mut BTreeSet<String>) {
    match &node.value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                keys.insert(key.text.clone());
                mapping_keys(value, keys);
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| mapping_keys(item, keys)),
        _ => {}
    }
}

fn compares_addresses(mesh: &LoadedMesh) -> bool {
    let policies = &mesh.lowering.mesh.inventory.authorization_policies;
    let blocks = |s: &Source| {
        [&s.ip_blocks, &s.not_ip_blocks, &s.remote_ip_blocks, &s.not_remote_ip_blocks]
            .iter()
            .any(|list| !list.is_empty())
    };
    policies.iter().flat_map(|p| &p.spec.rules).any(|rule| {
        rule.from.iter().filter_map(|f| f.source.as_ref()).any(blocks)
            || rule.when.iter().any(|c| matches!(c.key.as_str(), "source.ip" | "remote.ip"))
    })
}
