//! What keeps broken calls working: the DestinationRule put right, one port left PERMISSIVE, or an ALLOW policy with just
//! these callers and ports. `what_if` applies the text in the model and asks again.

use std::collections::{BTreeMap, BTreeSet};

use mesh_config::lower::security::peer_authentication::Mode;
use mesh_config::mesh::pod::DataPlane;
use mesh_config::mesh::service::PodId as MeshPodId;
use mesh_config::source::Span;
use mesh_config::yaml::{Node, Value as Yaml};
use mesh_reports::matrix::{Broken, Cause};
use serde_json::{Value, json};

use super::super::callers::Caller;
use super::super::targets::Target;
use super::documents::{Doc, entry, free_name};
use super::select::{groups, name_of};
use crate::loaded::LoadedMesh;

/// A broken call with what an exemption needs to know.
pub(super) struct Need<'a> {
    /// Position in the list of broken calls.
    pub(super) at: usize,
    pub(super) call: &'a Broken,
    pub(super) caller: &'a Caller,
    pub(super) target: &'a Target,
    /// The server saw the caller's identity before the change.
    pub(super) with_identity: bool,
    /// Place of the DestinationRule's `tls` block, unless it did not help.
    pub(super) rule: Option<Span>,
}

/// A document, what it does, which calls it is for, and which targets it touches.
pub(super) struct Draft {
    pub(super) doc: Doc,
    pub(super) text: String,
    pub(super) calls: BTreeSet<usize>,
}

/// For STRICT. `mesh` is the changed mesh.
pub(super) fn strict(mesh: &LoadedMesh, needs: &[Need<'_>]) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let mut ports: BTreeMap<u32, BTreeMap<u16, BTreeSet<usize>>> = BTreeMap::new();
    for need in needs {
        match need.rule {
            Some(span) => without_tls(mesh, need, span, &mut drafts),
            None => {
                for (pod, port) in strict_ports(mesh, need.target) {
                    ports.entry(pod).or_default().entry(port).or_default().insert(need.at);
                }
            }
        }
    }
    permissive(mesh, &ports, &mut drafts);
    drafts
}

/// The DestinationRule without its `tls` block: mutual TLS is then automatic.
fn without_tls(mesh: &LoadedMesh, need: &Need<'_>, span: Span, drafts: &mut Vec<Draft>) {
    let mut parts = need.call.by.splitn(3, '/').skip(1);
    let (Some(namespace), Some(name)) = (parts.next(), parts.next()) else { return };
    let raw = mesh.objects.iter().find(|o| o.kind == "DestinationRule" && encloses(o.span, span));
    let path = raw.and_then(|o| path_to(&o.node, span));
    let Some(path) = path else { return };
    let object = format!("DestinationRule/{namespace}/{name}");
    let draft = match drafts.iter().position(|d| d.doc.object() == object) {
        Some(at) => drafts.get_mut(at),
        None => {
            let Some(doc) = Doc::existing(mesh, "DestinationRule", namespace, name) else { return };
            let text = format!(
                "{} without tls settings: proxies then speak mutual TLS to pods that can",
                doc.object()
            );
            drafts.push(Draft { doc, text, calls: BTreeSet::new() });
            drafts.last_mut()
        }
    };
    let Some(draft) = draft else { return };
    remove(&mut draft.doc.value, &path);
    draft.calls.insert(need.at);
}

fn encloses(outer: Span, inner: Span) -> bool {
    outer.file == inner.file && outer.start <= inner.start && inner.end <= outer.end
}

/// One step of a path into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Where the node with this span stands.
fn path_to(node: &Node, span: Span) -> Option<Vec<Step>> {
    if node.span == span {
        return Some(Vec::new());
    }
    let (step, mut rest) = match &node.value {
        Yaml::Mapping(entries) => entries
            .iter()
            .find_map(|(key, value)| Some((Step::Key(key.text.clone()), path_to(value, span)?)))?,
        Yaml::Sequence(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, value)| Some((Step::Index(index), path_to(value, span)?)))?,
        _ => return None,
    };
    rest.insert(0, step);
    Some(rest)
}

/// Takes the entry at a path out; mappings that become empty go too.
fn remove(value: &mut Value, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    let child = match (&mut *value, step) {
        (Value::Object(map), Step::Key(key)) if rest.is_empty() => {
            map.remove(key);
            return;
        }
        (Value::Object(map), Step::Key(key)) => map.get_mut(key),
        (Value::Array(items), Step::Index(index)) => items.get_mut(*index),
        _ => None,
    };
    let Some(child) = child else { return };
    remove(child, rest);
    if child.as_object().is_some_and(serde_json::Map::is_empty)
        && let (Value::Object(map), Step::Key(key)) = (value, step)
    {
        map.remove(key);
    }
}

/// The pods of a target that refuse plaintext, with the port of each.
fn strict_ports(mesh: &LoadedMesh, target: &Target) -> Vec<(u32, u16)> {
    let model = &mesh.lowering.mesh;
    let index = &mesh.lowering.indexes.peer_authentication;
    let refuses = |(pod, port): &(u32, u16)| {
        model.pods.get(*pod as usize).is_some_and(|p| {
            p.data_plane == DataPlane::Sidecar
                && index.effective(&p.namespace, &p.labels).port(*port).mode == Mode::Strict
        })
    };
    target.pods.iter().copied().filter(refuses).collect()
}

/// `portLevelMtls: PERMISSIVE` for just these ports: in the policy that selects the pods already, or in new ones.
fn permissive(
    mesh: &LoadedMesh,
    ports: &BTreeMap<u32, BTreeMap<u16, BTreeSet<usize>>>,
    drafts: &mut Vec<Draft>,
) {
    let model = &mesh.lowering.mesh;
    let index = &mesh.lowering.indexes.peer_authentication;
    // Of several policies that select a pod only the oldest counts: it has to be changed.
    let mut known: BTreeMap<(String, String), (BTreeSet<u16>, BTreeSet<usize>)> = BTreeMap::new();
    let mut fresh: BTreeMap<(String, Vec<u16>), CallsByPod> = BTreeMap::new();
    for (id, wanted) in ports {
        let Some(pod) = model.pods.get(*id as usize) else { continue };
        let calls = wanted.values().flatten().copied();
        match index.of_workload(&pod.namespace, &pod.labels) {
            Some(policy) => {
                let key = (policy.meta.namespace.clone(), policy.meta.name.clone());
                let (all, for_calls) = known.entry(key).or_default();
                all.extend(wanted.keys());
                for_calls.extend(calls);
            }
            None => {
                let key = (pod.namespace.clone(), wanted.keys().copied().collect());
                fresh.entry(key).or_default().entry(*id).or_default().extend(calls);
            }
        }
    }
    for ((namespace, name), (ports, calls)) in known {
        let Some(mut doc) = Doc::existing(mesh, "PeerAuthentication", &namespace, &name) else { continue };
        for port in &ports {
            entry(entry(doc.spec(), "portLevelMtls"), &port.to_string())["mode"] = json!("PERMISSIVE");
        }
        let text = format!("{} takes plaintext on {}", doc.object(), listed(ports.iter()));
        drafts.push(Draft { doc, text, calls });
    }
    for ((namespace, ports), pods) in fresh {
        for (labels, group) in groups(mesh, &namespace, &pods.keys().copied().collect()) {
            let base = name_of(mesh, &labels, &group);
            let wanted = format!("{base}-plaintext");
            let name = free_name(mesh, "PeerAuthentication", &namespace, &wanted);
            let levels: BTreeMap<String, Value> =
                ports.iter().map(|p| (p.to_string(), json!({"mode": "PERMISSIVE"}))).collect();
            let spec = json!({"selector": {"matchLabels": labels}, "portLevelMtls": levels});
            let doc = Doc::security("PeerAuthentication", &namespace, &name, spec);
            let text = format!("{base} keeps taking plaintext on {}", listed(ports.iter()));
            drafts.push(Draft { doc, text, calls: calls_of(&pods, &group) });
        }
    }
}

/// Positions of calls by the pod they are for.
type CallsByPod = BTreeMap<u32, BTreeSet<usize>>;

fn calls_of(pods: &CallsByPod, group: &BTreeSet<u32>) -> BTreeSet<usize> {
    group.iter().filter_map(|id| pods.get(id)).flatten().copied().collect()
}

fn listed<T: ToString>(ports: impl Iterator<Item = T>) -> String {
    let all: Vec<String> = ports.map(|p| p.to_string()).collect();
    format!("port{} {}", if all.len() == 1 { "" } else { "s" }, all.join(", "))
}

/// What one workload must allow: ports by caller; `None` is "without identity".
type Allowed = BTreeMap<Option<String>, BTreeSet<u16>>;

/// For default-deny. `mesh` is the changed mesh.
pub(super) fn allow(mesh: &LoadedMesh, needs: &[Need<'_>]) -> Vec<Draft> {
    let mut wanted: BTreeMap<u32, (Allowed, BTreeSet<usize>)> = BTreeMap::new();
    let mut edges: BTreeMap<String, (BTreeSet<u16>, BTreeSet<usize>)> = BTreeMap::new();
    for need in needs {
        if let Some(gateway) = &need.caller.sender.gateway {
            let port = entry_port(mesh, gateway, need);
            let (ports, calls) = edges.entry(gateway.clone()).or_default();
            ports.extend(port);
            calls.insert(need.at);
        }
        let identity = need.caller.shown.identity.strip_prefix("spiffe://");
        let principal = identity.filter(|_| need.with_identity).map(str::to_owned);
        for (pod, port) in &need.target.pods {
            let (allowed, calls) = wanted.entry(*pod).or_default();
            allowed.entry(principal.clone()).or_default().insert(*port);
            calls.insert(need.at);
        }
    }
    let mut drafts: Vec<Draft> = edges
        .into_iter()
        .flat_map(|(gateway, (ports, calls))| at_gateway(mesh, &gateway, &ports, &calls))
        .collect();
    let model = &mesh.lowering.mesh;
    // Pods that need the same are one policy, where labels can say so.
    let mut alike: BTreeMap<(String, Allowed), CallsByPod> = BTreeMap::new();
    for (id, (allowed, calls)) in wanted {
        let Some(pod) = model.pods.get(id as usize).filter(|p| p.data_plane == DataPlane::Sidecar) else {
            continue;
        };
        alike.entry((pod.namespace.clone(), allowed)).or_default().insert(id, calls);
    }
    for ((namespace, allowed), pods) in alike {
        for (labels, group) in groups(mesh, &namespace, &pods.keys().copied().collect()) {
            let base = name_of(mesh, &labels, &group);
            drafts.push(callers_of(mesh, &namespace, &base, labels, &allowed, calls_of(&pods, &group)));
        }
    }
    drafts
}

/// The port of the gateway pod that the request of a call arrives at.
fn entry_port(mesh: &LoadedMesh, gateway: &str, need: &Need<'_>) -> Option<u16> {
    let url = need.call.request.split_whitespace().last()?;
    let url = crate::format::url::Url::parse(url).ok()?;
    mesh.directory.gateway_address(gateway, url.port).map(|a| a.port())
}

fn at_gateway(
    mesh: &LoadedMesh,
    gateway: &str,
    ports: &BTreeSet<u16>,
    calls: &BTreeSet<usize>,
) -> Vec<Draft> {
    let Some((namespace, workload)) = gateway.split_once('/') else { return Vec::new() };
    let pods: BTreeSet<u32> =
        mesh.lowering.mesh.pods_of_workload(namespace, workload).into_iter().map(|p| p.0).collect();
    let refuses = pods.iter().any(|id| denied_by_default(mesh, *id));
    if !refuses {
        return Vec::new();
    }
    let numbers: Vec<String> = ports.iter().map(ToString::to_string).collect();
    groups(mesh, namespace, &pods)
        .into_iter()
        .map(|(labels, _)| {
            let wanted = format!("{workload}-allow-clients");
            let name = free_name(mesh, "AuthorizationPolicy", namespace, &wanted);
            let spec = json!({
                "selector": {"matchLabels": labels},
                "action": "ALLOW",
                "rules": [{"to": [{"operation": {"ports": numbers}}]}],
            });
            let text = format!("{workload} takes clients from outside on {}", listed(ports.iter()));
            let doc = Doc::security("AuthorizationPolicy", namespace, &name, spec);
            Draft { doc, text, calls: calls.clone() }
        })
        .collect()
}

/// Whether an ALLOW policy is attached to a pod.
fn denied_by_default(mesh: &LoadedMesh, pod: u32) -> bool {
    use mesh_config::lower::security::attachment::{Scope, Workload};
    use mesh_config::resource::authorization_policy::Action;
    let model = &mesh.lowering.mesh;
    let proxy = model.proxy_of(MeshPodId(pod)).and_then(|p| model.proxy(p));
    let Some(proxy) = proxy else { return false };
    let workload = Workload { namespace: &proxy.namespace, labels: &proxy.labels };
    let policies = &mesh.lowering.indexes.authorization_policies;
    policies
        .iter()
        .filter(|p| p.spec.action == Action::Allow)
        .any(|p| Scope::from(&**p).covers(workload, &model.settings.root_namespace))
}

fn callers_of(
    mesh: &LoadedMesh,
    namespace: &str,
    base: &str,
    labels: BTreeMap<String, String>,
    allowed: &Allowed,
    calls: BTreeSet<usize>,
) -> Draft {
    // One rule for every set of ports, with all callers that need it.
    let mut by_ports: BTreeMap<Vec<u16>, BTreeSet<Option<&String>>> = BTreeMap::new();
    for (caller, ports) in allowed {
        by_ports.entry(ports.iter().copied().collect()).or_default().insert(caller.as_ref());
    }
    let mut rules = Vec::new();
    for (ports, callers) in &by_ports {
        let mut from = Vec::new();
        let named: Vec<&String> = callers.iter().copied().flatten().collect();
        if !named.is_empty() {
            from.push(json!({"source": {"principals": named}}));
        }
        if callers.contains(&None) {
            from.push(json!({"source": {"notPrincipals": ["*"]}}));
        }
        let numbers: Vec<String> = ports.iter().map(ToString::to_string).collect();
        rules.push(json!({"from": from, "to": [{"operation": {"ports": numbers}}]}));
    }
    let wanted = format!("{base}-allow-callers");
    let name = free_name(mesh, "AuthorizationPolicy", namespace, &wanted);
    let spec = json!({"selector": {"matchLabels": labels}, "action": "ALLOW", "rules": rules});
    let anonymous = allowed.contains_key(&None);
    let remark = if anonymous {
        "; plaintext has no identity, so all plaintext callers are admitted: give them sidecars to do better"
    } else {
        ""
    };
    let text = format!("{base} admits its callers of today{remark}");
    Draft { doc: Doc::security("AuthorizationPolicy", namespace, &name, spec), text, calls }
}

/// Whether a call breaks by the DestinationRule's fault, which is put right rather than exempted from.
pub(super) fn by_rule(call: &Broken) -> bool {
    call.cause == Cause::DestinationRule
}
