//! The change in question, as a team would apply it.

use std::collections::BTreeSet;

use mesh_config::lower::security::peer_authentication::Policy;
use serde_json::json;

use super::documents::{Doc, entry, free_name};
use super::select::selecting;
use crate::format::client::WorkloadRef;
use crate::loaded::LoadedMesh;

/// What is changed, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatIf {
    /// What.
    pub change: Change,
    /// For whom.
    pub reach: Reach,
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// PeerAuthentication STRICT.
    Strict,
    /// An AuthorizationPolicy that allows nothing.
    DefaultDeny,
}

/// For whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everybody.
    Mesh,
    /// A namespace.
    Namespace(String),
    /// A workload, `(namespace, name)`.
    Workload(String, String),
}

impl WhatIf {
    /// `strict`, `default-deny`, with `=mesh` (the default), `=ns/NAMESPACE` or `=NAMESPACE/WORKLOAD`.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<WhatIf, String> {
        let (change, reach) = text.split_once('=').unwrap_or((text, "mesh"));
        let change = match change {
            "strict" => Change::Strict,
            "default-deny" => Change::DefaultDeny,
            other => return Err(format!("`{other}` is no change: strict or default-deny")),
        };
        let reach = match reach.split_once('/') {
            None if reach == "mesh" => Reach::Mesh,
            Some(("ns", namespace)) if !namespace.is_empty() => Reach::Namespace(namespace.to_owned()),
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Reach::Workload(namespace.to_owned(), name.to_owned())
            }
            _ => return Err(format!("`{reach}` is no scope: mesh, ns/NAMESPACE or NAMESPACE/WORKLOAD")),
        };
        Ok(WhatIf { change, reach })
    }

    /// The words it was parsed from.
    #[must_use]
    pub fn text(&self) -> String {
        let change = match self.change {
            Change::Strict => "strict",
            Change::DefaultDeny => "default-deny",
        };
        match &self.reach {
            Reach::Mesh => format!("{change}=mesh"),
            Reach::Namespace(namespace) => format!("{change}=ns/{namespace}"),
            Reach::Workload(namespace, name) => format!("{change}={namespace}/{name}"),
        }
    }
}

/// The document that makes the change.
pub(super) fn document(mesh: &LoadedMesh, what: &WhatIf) -> Result<Doc, String> {
    let root = &mesh.lowering.mesh.settings.root_namespace;
    if let Reach::Namespace(namespace) = &what.reach
        && !mesh.lowering.mesh.pods.iter().any(|p| p.namespace == *namespace)
        && namespace != root
    {
        return Err(format!("no pod is in namespace `{namespace}`"));
    }
    match what.change {
        Change::Strict => strict(mesh, &what.reach, root),
        Change::DefaultDeny => default_deny(mesh, &what.reach, root),
    }
}

fn strict(mesh: &LoadedMesh, reach: &Reach, root: &str) -> Result<Doc, String> {
    let index = &mesh.lowering.indexes.peer_authentication;
    let of_policy = |policy: Option<&Policy>| {
        policy.and_then(|p| Doc::existing(mesh, "PeerAuthentication", &p.meta.namespace, &p.meta.name))
    };
    let new = |namespace: &str, name: &str, spec| {
        let name = free_name(mesh, "PeerAuthentication", namespace, name);
        Doc::security("PeerAuthentication", namespace, &name, spec)
    };
    let (mut document, name) = match reach {
        Reach::Mesh => (of_policy(index.of_mesh()), (root.to_owned(), "default".to_owned(), json!({}))),
        // The root namespace's policy is the mesh's.
        Reach::Namespace(namespace) if namespace == root => {
            (of_policy(index.of_mesh()), (root.to_owned(), "default".to_owned(), json!({})))
        }
        Reach::Namespace(namespace) => {
            (of_policy(index.of_namespace(namespace)), (namespace.clone(), "default".to_owned(), json!({})))
        }
        Reach::Workload(namespace, name) => {
            let (pods, labels) = workload(mesh, namespace, name)?;
            let first = pods.iter().next().and_then(|id| mesh.lowering.mesh.pods.get(*id as usize));
            let known = first.and_then(|pod| index.of_workload(namespace, &pod.labels));
            if let Some(policy) = known
                && selected(mesh, policy) != pods
            {
                return Err(format!(
                    "PeerAuthentication/{} selects this workload and others: of several that select a pod only the oldest \
                     counts, so there is no change for this one alone",
                    policy.meta.key()
                ));
            }
            let spec = json!({"selector": {"matchLabels": labels}});
            (of_policy(known), (namespace.clone(), format!("{name}-strict"), spec))
        }
    };
    let document = document.get_or_insert_with(|| new(&name.0, &name.1, name.2));
    entry(document.spec(), "mtls")["mode"] = json!("STRICT");
    Ok(document.clone())
}

/// The pods a workload policy selects.
pub(super) fn selected(mesh: &LoadedMesh, policy: &Policy) -> BTreeSet<u32> {
    let labels = policy.spec.selector.as_ref().map(|s| &s.match_labels);
    let Some(labels) = labels else { return BTreeSet::new() };
    let found = mesh.lowering.mesh.pods_by_labels(&policy.meta.namespace, labels);
    found.into_iter().map(|id| id.0).collect()
}

fn default_deny(mesh: &LoadedMesh, reach: &Reach, root: &str) -> Result<Doc, String> {
    let (namespace, name, spec) = match reach {
        Reach::Mesh => (root, "default-deny".to_owned(), json!({})),
        Reach::Namespace(namespace) => (namespace.as_str(), "default-deny".to_owned(), json!({})),
        Reach::Workload(namespace, name) => {
            let (_, labels) = workload(mesh, namespace, name)?;
            (namespace.as_str(), format!("{name}-default-deny"), json!({"selector": {"matchLabels": labels}}))
        }
    };
    let name = free_name(mesh, "AuthorizationPolicy", namespace, &name);
    Ok(Doc::security("AuthorizationPolicy", namespace, &name, spec))
}

type Labels = std::collections::BTreeMap<String, String>;

/// The pods of a workload and labels that select just them.
fn workload(mesh: &LoadedMesh, namespace: &str, name: &str) -> Result<(BTreeSet<u32>, Labels), String> {
    let pods: BTreeSet<u32> =
        mesh.lowering.mesh.pods_of_workload(namespace, name).into_iter().map(|id| id.0).collect();
    if pods.is_empty() {
        let reference = WorkloadRef::parse(&format!("{namespace}/{name}"));
        let hint = reference.and_then(|r| mesh.directory.nearest(&r));
        let hint = hint.map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default();
        return Err(format!("there is no workload `{namespace}/{name}` with pods{hint}"));
    }
    selecting(mesh, namespace, &pods)
        .map(|labels| (pods, labels))
        .ok_or_else(|| format!("no labels select just the pods of `{namespace}/{name}`"))
}
