//! Whom policies are for: selectors that select nothing, pods that enforce nothing, ports of services where ports of pods
//! are meant (semantics: istio-security 3.1, 4.5).

use std::collections::BTreeMap;

use super::Findings;
use super::attached::{Attached, some};
use super::nearest;
use crate::decode::Spanned;
use crate::diagnostic::codes;
use crate::lower::Lowering;
use crate::lower::security::attachment::Scope;
use crate::mesh::pod::Pod;
use crate::resource::meta::ObjectMeta;
use crate::resource::selector::{MatchLabels, PolicyTargetReference};

/// Checks the scopes of all security policies.
pub(super) fn check(lowering: &Lowering, attached: &Attached<'_>, out: &mut Findings) {
    // Policies are often kept apart from workloads: then nothing is known of whom they select.
    if attached.pods.is_empty() {
        return;
    }
    let root = lowering.mesh.settings.root_namespace.as_str();
    let inventory = &lowering.mesh.inventory;
    for policy in &inventory.peer_authentications {
        let at_root = policy.meta.namespace == root;
        out.about("PeerAuthentication", &policy.meta);
        // A selector in the root namespace is told elsewhere.
        if !(at_root && policy.spec.selector.is_some()) {
            reach(attached, &policy.meta, policy.spec.selector.as_ref(), at_root, out);
        }
    }
    for policy in &inventory.request_authentications {
        out.about("RequestAuthentication", &policy.meta);
        let targets = targets(policy.spec.target_ref.as_ref(), &policy.spec.target_refs);
        aimed(attached, &policy.meta, policy.spec.selector.as_ref(), &targets, root, out);
    }
    for policy in &inventory.authorization_policies {
        out.about("AuthorizationPolicy", &policy.meta);
        let targets = targets(policy.spec.target_ref.as_ref(), &policy.spec.target_refs);
        aimed(attached, &policy.meta, policy.spec.selector.as_ref(), &targets, root, out);
        let pods = attached.covered(&Scope::from(&**policy));
        let operations = policy.spec.rules.iter().flat_map(|r| &r.to).filter_map(|t| t.operation.as_ref());
        let listed = operations.flat_map(|o| o.ports.iter().chain(&o.not_ports));
        let conditions =
            policy.spec.rules.iter().flat_map(|r| &r.when).filter(|c| c.key == "destination.port");
        for port in listed.chain(conditions.flat_map(|c| c.values.iter().chain(&c.not_values))) {
            pod_port(port, &pods, attached, out);
        }
    }
}

fn targets<'a>(
    one: Option<&'a PolicyTargetReference>,
    several: &'a [PolicyTargetReference],
) -> Vec<&'a PolicyTargetReference> {
    several.iter().chain(one.filter(|_| several.is_empty())).collect()
}

fn aimed(
    attached: &Attached<'_>,
    meta: &ObjectMeta,
    selector: Option<&MatchLabels>,
    targets: &[&PolicyTargetReference],
    root: &str,
    out: &mut Findings,
) {
    match targets.first() {
        None => reach(attached, meta, selector, meta.namespace == root, out),
        Some(target) if target.kind == "Service" || target.kind == "ServiceEntry" => out.warn(
            codes::ENFORCED_NOWHERE,
            target.origin,
            format!(
                "`targetRefs` with kind `{}` are for waypoints: sidecars ignore the whole policy",
                target.kind
            ),
            "select the pods with `selector`",
        ),
        Some(_) => {}
    }
}

fn reach(
    attached: &Attached<'_>,
    meta: &ObjectMeta,
    selector: Option<&MatchLabels>,
    everywhere: bool,
    out: &mut Findings,
) {
    let pods = attached.selected(&meta.namespace, selector, everywhere);
    if pods.is_empty() {
        return nothing(attached, meta, selector, everywhere, out);
    }
    let bare = |(_, p): &&(u32, &Pod)| p.data_plane == crate::mesh::pod::DataPlane::None;
    if pods.iter().all(|p| bare(&p)) {
        out.warn(
            codes::ENFORCED_NOWHERE,
            selector.map_or(meta.origin, |s| s.origin),
            format!("{} have no sidecar: nobody enforces this policy", some(&Attached::names(&pods))),
            "label the namespace or the pods for injection",
        );
    }
}

fn nothing(
    attached: &Attached<'_>,
    meta: &ObjectMeta,
    selector: Option<&MatchLabels>,
    everywhere: bool,
    out: &mut Findings,
) {
    let Some(selector) = selector.filter(|s| !s.match_labels.is_empty()) else {
        // Whole namespaces may be prepared before their pods.
        let names = attached.namespaces();
        if let Some(meant) = nearest(&meta.namespace, names.iter().copied().filter(|n| *n != meta.namespace))
        {
            let message = format!("no pod is in namespace `{}`", meta.namespace);
            out.warn(
                codes::POLICY_FOR_NOBODY,
                meta.origin,
                message,
                format!("did you mean namespace `{meant}`?"),
            );
        }
        return;
    };
    let labels: Vec<String> = selector.match_labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let elsewhere = attached.selected("", Some(selector), true);
    let help = match elsewhere.first() {
        Some((_, pod)) if !everywhere => {
            format!(
                "a pod with these labels is in namespace `{}`: a policy selects pods of its own namespace",
                pod.namespace
            )
        }
        _ => meant(attached, meta, &selector.match_labels, everywhere),
    };
    let message = format!(
        "no pod of namespace `{}` has the labels `{}`: the policy is for nobody",
        meta.namespace,
        labels.join(",")
    );
    out.warn(codes::POLICY_FOR_NOBODY, selector.origin, message, help);
}

/// A label that would select something, with one letter or two changed.
fn meant(
    attached: &Attached<'_>,
    meta: &ObjectMeta,
    wanted: &BTreeMap<String, String>,
    everywhere: bool,
) -> String {
    let pods =
        || attached.pods.iter().filter(|(_, p)| everywhere || p.namespace == meta.namespace).map(|(_, p)| p);
    for (key, value) in wanted {
        let values = pods().filter_map(|p| p.labels.get(key)).map(String::as_str);
        if let Some(found) = nearest(value, values.filter(|v| v != value)) {
            return format!("did you mean `{key}: {found}`?");
        }
    }
    String::new()
}

/// `ports` of a policy are ports of pods.
fn pod_port(port: &Spanned<String>, pods: &[(u32, &Pod)], attached: &Attached<'_>, out: &mut Findings) {
    let Ok(number) = port.value.parse::<u32>() else { return };
    let listens = |(id, pod): &(u32, &Pod)| {
        attached.targets(*id).iter().any(|t| t.pod_port == number)
            || pod.spec.containers.iter().flat_map(|c| &c.ports).any(|p| p.container_port == number)
    };
    if pods.iter().any(listens) {
        return;
    }
    let meant = pods.iter().flat_map(|(id, _)| attached.targets(*id)).find(|t| t.service_port == number);
    if let Some(target) = meant {
        out.warn(
            codes::NOT_A_POD_PORT,
            port.span,
            format!("port {number} is never seen: it is the port of service `{}`, which leads to port {} of the pods", target.service, target.pod_port),
            format!("write `{}`: policies compare the port of the pod", target.pod_port),
        );
    }
}
