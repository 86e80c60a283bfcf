//! AuthorizationPolicies that apply to nothing or name namespaces that do not exist (semantics: istio-validation 6.2, 6.5).

use std::collections::BTreeSet;

use super::{Findings, Subject, selector_text};
use crate::diagnostic::codes;
use crate::mesh::Mesh;
use crate::mesh::pod::{DataPlane, Pod};
use crate::resource::authorization_policy::AuthorizationPolicy;
use crate::resource::meta::Object;
use crate::resource::selector::is_subset;

pub(super) fn check(mesh: &Mesh, found: &mut Findings) {
    let namespaces: BTreeSet<&str> = mesh
        .inventory
        .namespaces
        .iter()
        .map(|n| n.meta.name.as_str())
        .chain(mesh.pods.iter().map(|p| p.namespace.as_str()))
        .chain(mesh.inventory.services.iter().map(|s| s.meta.namespace.as_str()))
        .collect();
    for object in &mesh.inventory.authorization_policies {
        let subject = Subject { kind: "AuthorizationPolicy", meta: &object.meta };
        workloads(mesh, object, subject, found);
        let sources = object.spec.rules.iter().flat_map(|r| &r.from).filter_map(|f| f.source.as_ref());
        for named in sources.flat_map(|s| s.namespaces.iter().chain(&s.not_namespaces)) {
            if !namespaces.iter().any(|n| fits(n, &named.value)) {
                let message = format!("there is no namespace `{}`", named.value);
                found.warn(
                    codes::UNKNOWN_NAMESPACE,
                    subject,
                    named.span,
                    message,
                    "nobody comes from it: the line has no effect",
                );
            }
        }
    }
}

fn fits(namespace: &str, written: &str) -> bool {
    match (written.strip_prefix('*'), written.strip_suffix('*')) {
        (Some(suffix), _) => namespace.ends_with(suffix),
        (None, Some(prefix)) => namespace.starts_with(prefix),
        (None, None) => namespace.eq_ignore_ascii_case(written),
    }
}

fn workloads(mesh: &Mesh, object: &Object<AuthorizationPolicy>, subject: Subject<'_>, found: &mut Findings) {
    let root = object.meta.namespace == mesh.settings.root_namespace;
    let targeted = object.spec.target_ref.is_some() || !object.spec.target_refs.is_empty();
    let selector = object.spec.selector.as_ref().map(|s| &s.match_labels);
    if targeted || (root && selector.is_none()) {
        return;
    }
    let chosen = |p: &&Pod| {
        p.data_plane != DataPlane::None
            && (root || p.namespace == object.meta.namespace)
            && selector.is_none_or(|s| is_subset(s, &p.labels))
    };
    if mesh.pods.iter().any(|p| chosen(&p)) {
        return;
    }
    let which =
        selector.filter(|s| !s.is_empty()).map(|s| format!(" with the labels `{}`", selector_text(s)));
    let scope = if root { "the mesh".to_owned() } else { format!("`{}`", object.meta.namespace) };
    let message = format!(
        "no pod of {scope} that has a proxy{} is selected: the policy protects nothing",
        which.unwrap_or_default()
    );
    let help = "a policy applies in its own namespace only (in the root namespace: everywhere): compare with the labels of the pod templates";
    found.warn(codes::POLICY_SELECTS_NOTHING, subject, object.spec.origin, message, help);
}
