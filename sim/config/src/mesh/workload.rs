//! Pods from Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and Pod documents, and from tests.
//!
//! Named `<workload>-<ordinal>`, sorted by namespace and name. Objects that a `kubectl get -o yaml` dump lists beside their
//! owner (ReplicaSets and Pods of a Deployment) are not counted twice. CronJobs make no pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::placement::Nodes;
use super::pod::CLIENT;
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::inventory::Inventory;
use crate::resource::meta::{Object, ObjectMeta};
use crate::resource::pod::{PodSpec, PodTemplate};
use crate::resource::workload::Controller;
use crate::source::Span;

/// More pods of one workload than this are not simulated.
pub const MAX_REPLICAS: u32 = 2_000;

/// A pod that a test adds: it sends requests, and no service selects it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientPod {
    /// Namespace.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Service account; `default` if absent.
    pub service_account: Option<String>,
    /// Whether it has a sidecar; absent means by the injection rules.
    pub sidecar: Option<bool>,
    /// Place in the test.
    pub origin: Span,
}

/// A pod before its address, node and data plane are known.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) workload: String,
    pub(super) kind: &'static str,
    pub(super) ordinal: u32,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: Arc<PodSpec>,
    /// Name below `subdomain` and the headless service, for pods with a DNS name.
    pub(super) dns: Option<(String, String)>,
    /// The node a DaemonSet put it on.
    pub(super) node: Option<String>,
    /// A test's wish for or against a sidecar.
    pub(super) sidecar: Option<bool>,
    pub(super) origin: Span,
}

/// All pods of the manifests by namespace and name, then those of tests by first appearance.
pub(super) fn drafts(
    inventory: &Inventory,
    nodes: &Nodes,
    clients: &[ClientPod],
    out: &mut Vec<Diagnostic>,
) -> Vec<Draft> {
    let owners = Owners::new(inventory);
    let mut drafts = Vec::new();
    for object in &inventory.deployments {
        controller("Deployment", object, &mut drafts, out);
    }
    for object in &inventory.stateful_sets {
        controller("StatefulSet", object, &mut drafts, out);
    }
    for object in inventory.replica_sets.iter().filter(|o| !owners.own(&o.meta)) {
        controller("ReplicaSet", object, &mut drafts, out);
    }
    for object in &inventory.daemon_sets {
        daemon_set(object, nodes, &mut drafts);
    }
    for object in &inventory.jobs {
        let wish = object.spec.parallelism.unwrap_or(1).min(object.spec.completions.unwrap_or(i32::MAX));
        let wish = if object.spec.suspend { 0 } else { wish };
        let count = bounded("Job", &object.meta, wish, out);
        replicas("Job", &object.meta, &object.spec.template, count, &mut drafts);
    }
    for object in &inventory.cron_jobs {
        let message =
            format!("the pods of CronJob `{}` run at times only and are not simulated", object.meta.name);
        out.push(
            Diagnostic::info(codes::POD_NOT_SIMULATED, Stage::Support, object.meta.origin, message)
                .object(reference("CronJob", &object.meta)),
        );
    }
    for object in inventory.pods.iter().filter(|o| !owners.own(&o.meta)) {
        drafts.push(bare_pod(object));
    }
    drafts.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    drafts.extend(clients.iter().enumerate().map(|(index, client)| client_pod(index, client)));
    drafts
}

/// Which objects make the pods of others.
struct Owners(BTreeSet<(String, String, String)>);

impl Owners {
    fn new(inventory: &Inventory) -> Self {
        let key = |kind: &str, m: &ObjectMeta| (kind.to_owned(), m.namespace.clone(), m.name.clone());
        let deployments = inventory.deployments.iter().map(|o| key("Deployment", &o.meta));
        let stateful = inventory.stateful_sets.iter().map(|o| key("StatefulSet", &o.meta));
        let daemons = inventory.daemon_sets.iter().map(|o| key("DaemonSet", &o.meta));
        let replica = inventory.replica_sets.iter().map(|o| key("ReplicaSet", &o.meta));
        let jobs = inventory.jobs.iter().map(|o| key("Job", &o.meta));
        Owners(deployments.chain(stateful).chain(daemons).chain(replica).chain(jobs).collect())
    }

    /// Whether another object of the manifests makes this one.
    fn own(&self, meta: &ObjectMeta) -> bool {
        let Some((kind, name)) = &meta.controller else { return false };
        let has = |kind: &str, name: &str| {
            self.0.contains(&(kind.to_owned(), meta.namespace.clone(), name.to_owned()))
        };
        // A dump of Deployments and Pods without ReplicaSets: `web-5d8f7c` is of Deployment `web`.
        let deployment = || name.rsplit_once('-').is_some_and(|(stem, _)| has("Deployment", stem));
        has(kind, name) || (kind == "ReplicaSet" && deployment())
    }
}

fn reference(kind: &str, meta: &ObjectMeta) -> ObjectRef {
    ObjectRef { kind: kind.to_owned(), namespace: meta.namespace.clone(), name: meta.name.clone() }
}

fn controller(
    kind: &'static str,
    object: &Object<Controller>,
    drafts: &mut Vec<Draft>,
    out: &mut Vec<Diagnostic>,
) {
    let count = bounded(kind, &object.meta, object.spec.replicas.unwrap_or(1), out);
    let first = drafts.len();
    replicas(kind, &object.meta, &object.spec.template, count, drafts);
    if kind != "StatefulSet" {
        return;
    }
    for draft in drafts.iter_mut().skip(first) {
        let set = |labels: &mut BTreeMap<String, String>, key: &str, value: String| {
            labels.entry(key.to_owned()).or_insert(value);
        };
        set(&mut draft.labels, "statefulset.kubernetes.io/pod-name", draft.name.clone());
        set(&mut draft.labels, "apps.kubernetes.io/pod-index", draft.ordinal.to_string());
        if !object.spec.service_name.is_empty() {
            draft.dns = Some((draft.name.clone(), object.spec.service_name.clone()));
        }
    }
}

/// One pod per node that fits; without Node documents one pod on a node nobody knows.
fn daemon_set(object: &Object<Controller>, nodes: &Nodes, drafts: &mut Vec<Draft>) {
    let template = &object.spec.template;
    let places: Vec<&str> =
        if template.spec.node_name.is_empty() { nodes.candidates(&template.spec) } else { Vec::new() };
    let count = if nodes.is_empty() || !template.spec.node_name.is_empty() { 1 } else { places.len() };
    let first = drafts.len();
    replicas("DaemonSet", &object.meta, template, u32::try_from(count).unwrap_or(u32::MAX), drafts);
    for (draft, node) in drafts.iter_mut().skip(first).zip(places) {
        draft.node = Some(node.to_owned());
    }
}

/// A sane number of pods.
fn bounded(kind: &str, meta: &ObjectMeta, wish: i32, out: &mut Vec<Diagnostic>) -> u32 {
    let wish = u32::try_from(wish).unwrap_or(0);
    if wish > MAX_REPLICAS {
        let message =
            format!("{kind} `{}` asks for {wish} pods; only {MAX_REPLICAS} are simulated", meta.name);
        out.push(
            Diagnostic::warning(codes::REPLICAS_BOUNDED, Stage::Support, meta.origin, message)
                .object(reference(kind, meta)),
        );
    }
    wish.min(MAX_REPLICAS)
}

fn replicas(
    kind: &'static str,
    meta: &ObjectMeta,
    template: &PodTemplate,
    count: u32,
    drafts: &mut Vec<Draft>,
) {
    let spec = Arc::new(template.spec.clone());
    let mut labels = template.metadata.labels.clone();
    if kind == "Job" {
        for key in ["batch.kubernetes.io/job-name", "job-name"] {
            labels.entry(key.to_owned()).or_insert_with(|| meta.name.clone());
        }
    }
    for ordinal in 0..count {
        drafts.push(Draft {
            namespace: meta.namespace.clone(),
            name: format!("{}-{ordinal}", meta.name),
            workload: meta.name.clone(),
            kind,
            ordinal,
            labels: labels.clone(),
            annotations: template.metadata.annotations.clone(),
            spec: Arc::clone(&spec),
            dns: None,
            node: None,
            sidecar: None,
            origin: meta.origin,
        });
    }
}

fn bare_pod(object: &Object<PodSpec>) -> Draft {
    let meta = &object.meta;
    Draft {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        workload: meta.name.clone(),
        kind: "Pod",
        ordinal: 0,
        labels: meta.labels.clone(),
        annotations: meta.annotations.clone(),
        spec: Arc::new(object.spec.clone()),
        dns: None,
        node: None,
        sidecar: None,
        origin: meta.origin,
    }
}

fn client_pod(index: usize, client: &ClientPod) -> Draft {
    let name = format!("client-{index}");
    let spec = PodSpec {
        service_account_name: client.service_account.clone().unwrap_or_default(),
        ..PodSpec::default()
    };
    Draft {
        namespace: client.namespace.clone(),
        workload: name.clone(),
        name,
        kind: CLIENT,
        ordinal: 0,
        labels: client.labels.clone(),
        annotations: BTreeMap::new(),
        spec: Arc::new(spec),
        dns: None,
        node: None,
        sidecar: client.sidecar,
        origin: client.origin,
    }
}
