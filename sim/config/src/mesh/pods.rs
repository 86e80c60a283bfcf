//! Finished pods: drafts get their address, node, data plane and the labels injection adds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::addresses::AddressPool;
use super::injection::{self, Candidate, Verdict};
use super::locality::Locality;
use super::namespaces::Namespaces;
use super::placement::{Nodes, Place};
use super::pod::{CLIENT, DataPlane, Pod};
use super::workload::{ClientPod, Draft, drafts};
use crate::decode::Spanned;
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::inventory::Inventory;

/// What pods depend on beside the manifests.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodInput<'a> {
    pub(super) namespaces: &'a Namespaces,
    pub(super) nodes: &'a Nodes,
    /// `mesh.addresses.pods`.
    pub(super) addresses: &'a BTreeMap<String, Spanned<String>>,
    /// `MeshOptions::other_pods`.
    pub(super) others: &'a BTreeSet<(String, String)>,
    pub(super) clients: &'a [ClientPod],
    /// Network of the mesh: the label `topology.istio.io/network` of the root namespace.
    pub(super) network: &'a str,
}

/// All pods: those of the manifests by namespace and name, then those of tests.
pub(super) fn pods(inventory: &Inventory, input: PodInput<'_>, out: &mut Vec<Diagnostic>) -> Vec<Pod> {
    let mut drafts = drafts(inventory, input.nodes, input.clients, out);
    drafts.retain(|draft| runs(draft, input.nodes, out));
    let addresses = assign(&drafts, input, out);
    drafts.into_iter().zip(addresses).map(|(draft, ip)| finish(draft, ip, input, out)).collect()
}

fn reference(draft: &Draft) -> ObjectRef {
    ObjectRef {
        kind: draft.kind.to_owned(),
        namespace: draft.namespace.clone(),
        name: draft.workload.clone(),
    }
}

/// A pod that no node takes stays pending: it has no address and no endpoint.
fn runs(draft: &Draft, nodes: &Nodes, out: &mut Vec<Diagnostic>) -> bool {
    if draft.kind == CLIENT || draft.node.is_some() || nodes.place(&draft.spec) != Place::Nowhere {
        return true;
    }
    if draft.ordinal == 0 {
        let message = format!(
            "no node has the labels that {} `{}` asks for: its pods stay pending",
            draft.kind, draft.workload
        );
        out.push(
            Diagnostic::warning(codes::BAD_POD, Stage::Analysis, draft.origin, message)
                .object(reference(draft)),
        );
    }
    false
}

fn assign(drafts: &[Draft], input: PodInput<'_>, out: &mut Vec<Diagnostic>) -> Vec<IpAddr> {
    let mut of_manifests = AddressPool::pods();
    let mut of_tests = AddressPool::clients();
    let declared = input.addresses;
    let key = |draft: &Draft| format!("{}/{}", draft.namespace, draft.name);
    let known: BTreeSet<String> = if declared.is_empty() {
        BTreeSet::new()
    } else {
        let others = input.others.iter().map(|(namespace, name)| format!("{namespace}/{name}"));
        drafts.iter().map(key).chain(others).collect()
    };
    let mut given: BTreeMap<String, IpAddr> = BTreeMap::new();
    for (name, text) in declared {
        let mut refuse = |why: &str| {
            let message = format!("address `{}` of pod `{name}`: {why}", text.value);
            out.push(Diagnostic::error(codes::BAD_ADDRESS, Stage::Analysis, text.span, message));
        };
        match text.value.parse::<IpAddr>() {
            Err(_) => refuse("not an IP address"),
            Ok(_) if !known.contains(name) => refuse("there is no such pod"),
            Ok(ip) if !of_manifests.reserve(ip) || !of_tests.reserve(ip) => refuse("another pod has it"),
            Ok(ip) => {
                given.insert(name.clone(), ip);
            }
        }
    }
    let mut others = input.others.iter().peekable();
    let next = |draft: &Draft| {
        let name = (&draft.namespace, &draft.name);
        // Pods of other times take their numbers in the same order.
        while draft.kind != CLIENT
            && let Some((namespace, other)) = others.next_if(|(n, o)| (n, o) <= name)
        {
            if (namespace, other) != name && !given.contains_key(&format!("{namespace}/{other}")) {
                of_manifests.assign();
            }
        }
        match given.get(&key(draft)) {
            Some(ip) => *ip,
            None if draft.kind == CLIENT => of_tests.assign(),
            None => of_manifests.assign(),
        }
    };
    drafts.iter().map(next).collect()
}

fn finish(mut draft: Draft, ip: IpAddr, input: PodInput<'_>, out: &mut Vec<Diagnostic>) -> Pod {
    let verdict = data_plane(&draft, input);
    if let Some(what) = verdict.not_modelled {
        let message =
            format!("{} `{}/{}`: {what} is not simulated", draft.kind, draft.namespace, draft.workload);
        out.push(
            Diagnostic::warning(codes::NOT_MODELLED, Stage::Support, draft.origin, message)
                .object(reference(&draft)),
        );
    }
    let (node, locality) = place(&draft, input.nodes, out);
    if verdict.injected {
        injection::add_labels(&mut draft.labels, verdict.data_plane, &draft.workload);
    }
    let network = draft.labels.get("topology.istio.io/network").filter(|n| !n.is_empty());
    let network = network.map_or(input.network, String::as_str).to_owned();
    let (hostname, subdomain) = dns_name(&draft);
    let account = [&draft.spec.service_account_name, &draft.spec.service_account];
    let service_account =
        account.into_iter().find(|a| !a.is_empty()).map_or("default", |a| a.as_str()).to_owned();
    Pod {
        name: draft.name,
        namespace: draft.namespace,
        workload: draft.workload,
        kind: draft.kind,
        ordinal: draft.ordinal,
        labels: draft.labels,
        annotations: draft.annotations,
        spec: draft.spec,
        hostname,
        subdomain,
        service_account,
        ip,
        node,
        locality,
        network,
        data_plane: verdict.data_plane,
        data_plane_reason: verdict.reason,
        not_modelled: verdict.not_modelled,
        origin: draft.origin,
    }
}

fn data_plane(draft: &Draft, input: PodInput<'_>) -> Verdict {
    let verdict = injection::decide(Candidate {
        namespace: &draft.namespace,
        namespace_labels: input.namespaces.labels(&draft.namespace),
        labels: &draft.labels,
        annotations: &draft.annotations,
        spec: &draft.spec,
    });
    match draft.sidecar {
        None => verdict,
        Some(wish) => Verdict {
            data_plane: if wish { DataPlane::Sidecar } else { DataPlane::None },
            injected: wish,
            reason: if wish { "the test asks for a sidecar" } else { "the test asks for no sidecar" },
            not_modelled: None,
        },
    }
}

/// The pod's DNS name below a headless service (`NewEndpointBuilder`: the host name counts only with a subdomain).
fn dns_name(draft: &Draft) -> (Option<String>, Option<String>) {
    if let Some((hostname, subdomain)) = &draft.dns {
        return (Some(hostname.clone()), Some(subdomain.clone()));
    }
    if draft.spec.subdomain.is_empty() {
        return (None, None);
    }
    let hostname = if draft.spec.hostname.is_empty() { &draft.name } else { &draft.spec.hostname };
    (Some(hostname.clone()), Some(draft.spec.subdomain.clone()))
}

/// Labels of the pod decide its locality, else its node (`getPodLocality`).
fn place(draft: &Draft, nodes: &Nodes, out: &mut Vec<Diagnostic>) -> (Option<String>, Locality) {
    let mut warn = |message: String| {
        if draft.ordinal == 0 {
            out.push(
                Diagnostic::warning(codes::BAD_POD, Stage::Analysis, draft.origin, message)
                    .object(reference(draft)),
            );
        }
    };
    let by_label = Locality::of_labels(&draft.labels);
    let place = match (&draft.node, draft.kind) {
        (Some(node), _) => Place::Node(node.clone()),
        (None, CLIENT) => Place::Somewhere(Locality::default()),
        (None, _) => nodes.place(&draft.spec),
    };
    let (node, by_node) = match place {
        Place::Node(name) => {
            if !nodes.is_empty() && !nodes.knows(&name) {
                warn(format!("there is no node `{name}`: the locality of `{}` is unknown", draft.workload));
            }
            let locality = nodes.locality(&name);
            (Some(name), locality)
        }
        Place::Somewhere(locality) => (None, locality),
        Place::Undecided | Place::Nowhere => {
            if by_label.is_none() {
                warn(format!(
                    "the scheduler would choose the node of `{}` among nodes in different localities: its locality counts as unknown",
                    draft.workload
                ));
            }
            (None, Locality::default())
        }
    };
    (node, by_label.unwrap_or(by_node))
}
