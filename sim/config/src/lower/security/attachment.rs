//! Which RequestAuthentications and AuthorizationPolicies are for a proxy (semantics: istio-security 3.1).
//!
//! PeerAuthentication has rules of its own, see `peer_authentication`.

use std::collections::BTreeMap;

use crate::resource::authorization_policy::AuthorizationPolicy;
use crate::resource::meta::Object;
use crate::resource::request_authentication::RequestAuthentication;
use crate::resource::selector::{MatchLabels, PolicyTargetReference, is_subset};

/// Put on the pods of a Gateway API gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Says which controller manages such a gateway.
const GATEWAY_CONTROLLER: &str = "gateway.istio.io/managed";
const WAYPOINT_CONTROLLER: &str = "istio.io-mesh-controller";

/// The proxy a policy may be for.
#[derive(Debug, Clone, Copy)]
pub struct Workload<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// Labels of the pod.
    pub labels: &'a BTreeMap<String, String>,
}

/// What a policy says about whom it is for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Namespace of the policy.
    pub namespace: &'a str,
    /// `selector`.
    pub selector: Option<&'a MatchLabels>,
    /// `targetRefs`.
    pub target_refs: &'a [PolicyTargetReference],
    /// `targetRef`, looked at only without `targetRefs`.
    pub target_ref: Option<&'a PolicyTargetReference>,
}

macro_rules! scope_of {
    ($($kind:ident)*) => {
        $(impl<'a> From<&'a Object<$kind>> for Scope<'a> {
            fn from(policy: &'a Object<$kind>) -> Self {
                Scope {
                    namespace: &policy.meta.namespace,
                    selector: policy.spec.selector.as_ref(),
                    target_refs: &policy.spec.target_refs,
                    target_ref: policy.spec.target_ref.as_ref(),
                }
            }
        })*
    };
}

scope_of!(AuthorizationPolicy RequestAuthentication);

impl Scope<'_> {
    /// Whether the policy is for the workload.
    #[must_use]
    pub fn covers(&self, workload: Workload<'_>, root_namespace: &str) -> bool {
        if self.namespace != workload.namespace && self.namespace != root_namespace {
            return false;
        }
        let gateway = workload.labels.get(GATEWAY_NAME);
        let waypoint = workload.labels.get(GATEWAY_CONTROLLER).is_some_and(|by| by == WAYPOINT_CONTROLLER);
        let targets: &[PolicyTargetReference] = match self.target_ref {
            Some(one) if self.target_refs.is_empty() => std::slice::from_ref(one),
            _ => self.target_refs,
        };
        if targets.is_empty() {
            return !waypoint && self.selects(workload.labels);
        }
        // An ordinary workload is not a target of anything.
        gateway.is_some_and(|name| {
            self.namespace == workload.namespace
                && targets.iter().any(|target| {
                    target.kind == "Gateway"
                        && target.group == "gateway.networking.k8s.io"
                        && (target.namespace.is_empty() || target.namespace == self.namespace)
                        && target.name == *name
                })
        })
    }

    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.is_none_or(|selector| is_subset(&selector.match_labels, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn selectors_and_targets_decide() {
        let web = MatchLabels { match_labels: labels(&[("app", "web")]), ..MatchLabels::default() };
        let target = PolicyTargetReference {
            group: "gateway.networking.k8s.io".into(),
            kind: "Gateway".into(),
            name: "edge".into(),
            ..PolicyTargetReference::default()
        };
        let plain = labels(&[("app", "web")]);
        let other = labels(&[("app", "api")]);
        let gateway = labels(&[("app", "web"), (GATEWAY_NAME, "edge")]);
        let waypoint = labels(&[(GATEWAY_NAME, "edge"), (GATEWAY_CONTROLLER, WAYPOINT_CONTROLLER)]);
        for (namespace, selector, targeted, pod, want) in [
            ("foo", None, false, &plain, true),
            ("foo", Some(&web), false, &plain, true),
            ("foo", Some(&web), false, &other, false),
            ("bar", None, false, &plain, false),
            ("istio-system", Some(&web), false, &plain, true),
            ("istio-system", Some(&web), false, &other, false),
            ("foo", None, true, &plain, false),
            ("foo", None, true, &gateway, true),
            ("istio-system", None, true, &gateway, false),
            ("foo", Some(&web), false, &gateway, true),
            ("foo", None, false, &waypoint, false),
        ] {
            let refs = if targeted { std::slice::from_ref(&target) } else { &[] };
            let scope = Scope { namespace, selector, target_refs: refs, target_ref: None };
            let got = scope.covers(Workload { namespace: "foo", labels: pod }, "istio-system");
            assert_eq!(got, want, "{namespace} {selector:?} {targeted} {pod:?}");
            let single = Scope { target_refs: &[], target_ref: refs.first(), ..scope };
            assert_eq!(single.covers(Workload { namespace: "foo", labels: pod }, "istio-system"), want);
        }
    }
}
