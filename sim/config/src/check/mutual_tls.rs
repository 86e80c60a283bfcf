//! PeerAuthentications that never apply, and ports that nobody listens on (semantics: istio-security 2.1, 2.2).

use std::collections::BTreeSet;

use super::Findings;
use super::attached::Attached;
use crate::diagnostic::codes;
use crate::lower::Lowering;
use crate::lower::security::peer_authentication::Policy;

/// Checks all PeerAuthentications.
pub(super) fn check(lowering: &Lowering, attached: &Attached<'_>, out: &mut Findings) {
    let index = &lowering.indexes.peer_authentication;
    let root = &lowering.mesh.settings.root_namespace;
    for policy in index.dead() {
        out.about("PeerAuthentication", &policy.meta);
        let selects = policy.spec.selector.as_ref().filter(|s| !s.match_labels.is_empty());
        match selects {
            Some(selector) => out.warn(
                codes::DEAD_PEER_AUTHENTICATION,
                selector.origin,
                format!("a PeerAuthentication with a selector in the root namespace `{root}` applies to nothing, not even to pods there"),
                "put it into the namespace of the pods, or take the selector away",
            ),
            None => {
                let first = if policy.meta.namespace == *root { index.of_mesh() } else { index.of_namespace(&policy.meta.namespace) };
                let other = first.map(|p| p.meta.key()).unwrap_or_default();
                out.warn(
                    codes::DEAD_PEER_AUTHENTICATION,
                    policy.meta.origin,
                    format!("PeerAuthentication `{other}` is for the same namespace and older (without times the name decides): this one has no effect"),
                    "keep one PeerAuthentication without selector per namespace",
                );
            }
        }
    }
    let dead: BTreeSet<String> = index.dead().iter().map(|p| p.meta.key()).collect();
    for policy in &lowering.mesh.inventory.peer_authentications {
        let Some(selector) = policy.spec.selector.as_ref().filter(|s| !s.match_labels.is_empty()) else {
            continue;
        };
        if dead.contains(&policy.meta.key()) {
            continue;
        }
        out.about("PeerAuthentication", &policy.meta);
        let pods = attached.selected(&policy.meta.namespace, Some(selector), false);
        let winner = |p: &crate::mesh::pod::Pod| index.of_workload(&p.namespace, &p.labels);
        let won =
            pods.iter().filter(|(_, p)| winner(p).is_some_and(|w| w.meta.key() == policy.meta.key())).count();
        if won == 0
            && let Some(other) = pods.first().and_then(|(_, p)| winner(p))
        {
            out.warn(
                codes::DEAD_PEER_AUTHENTICATION,
                selector.origin,
                format!("PeerAuthentication `{}` selects the same pods and is older (without times the name decides): nothing of this one counts, its ports neither", other.meta.key()),
                "merge them into one",
            );
        }
        ports(policy, &pods, attached, out);
    }
}

/// Keys of `portLevelMtls` are ports of pods.
fn ports(
    policy: &Policy,
    pods: &[(u32, &crate::mesh::pod::Pod)],
    attached: &Attached<'_>,
    out: &mut Findings,
) {
    for (key, block) in &policy.spec.port_level_mtls {
        let Ok(number) = key.parse::<u32>() else { continue };
        let listens = |(id, pod): &(u32, &crate::mesh::pod::Pod)| {
            attached.targets(*id).iter().any(|t| t.pod_port == number)
                || pod.spec.containers.iter().flat_map(|c| &c.ports).any(|p| p.container_port == number)
        };
        let known = |(id, pod): &(u32, &crate::mesh::pod::Pod)| {
            !attached.targets(*id).is_empty() || pod.spec.containers.iter().any(|c| !c.ports.is_empty())
        };
        if pods.is_empty() || pods.iter().any(listens) || !pods.iter().any(known) {
            continue;
        }
        let meant = pods.iter().flat_map(|(id, _)| attached.targets(*id)).find(|t| t.service_port == number);
        let (message, help) = match meant {
            Some(target) => (
                format!(
                    "`portLevelMtls: {key}` has no effect: it is the port of service `{}`, which leads to port {} of the pods",
                    target.service, target.pod_port
                ),
                format!("write `{}`: keys are ports of pods", target.pod_port),
            ),
            None => (
                format!("`portLevelMtls: {key}` has no effect: no selected pod listens on port {key}"),
                String::new(),
            ),
        };
        out.warn(codes::NOT_A_POD_PORT, block.origin, message, help);
    }
}
