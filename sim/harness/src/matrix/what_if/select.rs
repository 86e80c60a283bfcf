//! Labels that select some pods and no others: how a policy for just these workloads is written.

use std::collections::{BTreeMap, BTreeSet};

use crate::loaded::LoadedMesh;

/// Labels that say what a pod is, best first.
const PREFERRED: [&str; 5] =
    ["app", "app.kubernetes.io/name", "app.kubernetes.io/instance", "k8s-app", "version"];
/// Labels that come and go, or that Istio writes.
const VOLATILE: [&str; 9] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "security.istio.io/tlsMode",
    "service.istio.io/canonical-name",
    "service.istio.io/canonical-revision",
    "istio.io/rev",
];

/// Labels and the pods they select.
pub(super) type Group = (BTreeMap<String, String>, BTreeSet<u32>);

/// The fewest labels that all `pods` of a namespace have and no other pod there has; `None` if there are none.
pub(super) fn selecting(
    mesh: &LoadedMesh,
    namespace: &str,
    pods: &BTreeSet<u32>,
) -> Option<BTreeMap<String, String>> {
    let all: Vec<(u32, &BTreeMap<String, String>)> = mesh
        .lowering
        .mesh
        .pods
        .iter()
        .enumerate()
        .filter(|(_, p)| p.namespace == namespace && !p.is_client())
        .map(|(index, p)| (index as u32, &p.labels))
        .collect();
    let mut inside = all.iter().filter(|(id, _)| pods.contains(id)).map(|(_, labels)| *labels);
    let first = inside.next()?;
    let mut common: Vec<(&String, &String)> =
        first.iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str())).collect();
    for labels in inside {
        common.retain(|(key, value)| labels.get(*key) == Some(*value));
    }
    let rank = |key: &str| PREFERRED.iter().position(|p| *p == key).unwrap_or(PREFERRED.len());
    common.sort_by_key(|(key, _)| (rank(key), (*key).clone()));
    let exact = |chosen: &[(&String, &String)]| {
        !chosen.is_empty()
            && all
                .iter()
                .filter(|(id, _)| !pods.contains(id))
                .all(|(_, labels)| chosen.iter().any(|(key, value)| labels.get(*key) != Some(*value)))
    };
    let owned = |chosen: &[(&String, &String)]| {
        chosen.iter().map(|(k, v)| ((*k).clone(), (*v).clone())).collect::<BTreeMap<_, _>>()
    };
    // A version alone names nothing: it stands beside what it is a version of.
    for one in common.iter().filter(|(key, _)| key.as_str() != "version") {
        if exact(&[*one]) {
            return Some(owned(&[*one]));
        }
    }
    for (index, one) in common.iter().enumerate() {
        for other in common.iter().skip(index + 1) {
            if exact(&[*one, *other]) {
                return Some(owned(&[*one, *other]));
            }
        }
    }
    exact(&common).then(|| owned(&common))
}

/// Splits pods of one namespace into few groups that have selectors of their own: all of them, else by application,
/// else by workload.
/// Pods that share every label cannot be told apart; then all of the workload's labels are given.
pub(super) fn groups(mesh: &LoadedMesh, namespace: &str, pods: &BTreeSet<u32>) -> Vec<Group> {
    if let Some(labels) = selecting(mesh, namespace, pods) {
        return vec![(labels, pods.clone())];
    }
    if let Some(found) = PREFERRED.iter().find_map(|key| by_label(mesh, namespace, pods, key)) {
        return found;
    }
    let mut by_workload: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for id in pods {
        if let Some(pod) = mesh.lowering.mesh.pods.get(*id as usize) {
            by_workload.entry(&pod.workload).or_default().insert(*id);
        }
    }
    let mut found: Vec<Group> = Vec::new();
    for group in by_workload.into_values() {
        let labels = selecting(mesh, namespace, &group).unwrap_or_else(|| stable_labels(mesh, &group));
        match found.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, all)) => all.extend(group),
            None => found.push((labels, group)),
        }
    }
    found
}

/// Groups by the value of a label, if all pods have it and each group has a selector.
fn by_label(mesh: &LoadedMesh, namespace: &str, pods: &BTreeSet<u32>, key: &str) -> Option<Vec<Group>> {
    let mut values: BTreeMap<&String, BTreeSet<u32>> = BTreeMap::new();
    for id in pods {
        let pod = mesh.lowering.mesh.pods.get(*id as usize)?;
        values.entry(pod.labels.get(key)?).or_default().insert(*id);
    }
    values.into_values().map(|group| Some((selecting(mesh, namespace, &group)?, group))).collect()
}

fn stable_labels(mesh: &LoadedMesh, pods: &BTreeSet<u32>) -> BTreeMap<String, String> {
    let first = pods.iter().next().and_then(|id| mesh.lowering.mesh.pods.get(*id as usize));
    let labels = first.map(|p| p.labels.clone()).unwrap_or_default();
    labels.into_iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str())).collect()
}

/// A name for a group of pods: the value of its first label, or the workload's.
pub(super) fn name_of(mesh: &LoadedMesh, labels: &BTreeMap<String, String>, pods: &BTreeSet<u32>) -> String {
    let preferred = PREFERRED.iter().take(4).find_map(|key| labels.get(*key));
    let workload = || {
        let pod = pods.iter().next().and_then(|id| mesh.lowering.mesh.pods.get(*id as usize));
        pod.map(|p| p.workload.clone()).unwrap_or_default()
    };
    let one_workload = pods.len() == 1 || labels.contains_key("version");
    match preferred {
        Some(value) if !one_workload => value.clone(),
        _ => workload(),
    }
}
