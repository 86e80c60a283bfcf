//! Which resource decided, and where it stands: names for [`crate::outcome::Places`].

use mesh_config::diagnostic::ObjectRef;
use mesh_config::lower::origin::Origin;
use mesh_config::lower::security::attachment::{Scope, Workload};
use mesh_config::mesh::Mesh;
use mesh_config::mesh::proxy::Proxy;
use mesh_config::resource::authorization_policy::Action;
use mesh_core::OriginId;
use mesh_core::ids::Str;
use mesh_engine::record::{Hop, Side, Unknown as EngineUnknown};
use mesh_reports::outcome::Unknown;

use super::LoadedMesh;
use crate::outcome::Places;

impl Places for LoadedMesh {
    fn unknown(&self, unknown: &EngineUnknown) -> Unknown {
        let place = self.lowering.origin(unknown.origin).and_then(|o| self.place(o.span));
        Unknown { what: unknown.what.to_string(), place }
    }

    fn decided_by(&self, hop: &Hop) -> Option<String> {
        self.decision(hop).map(|(object, _)| object.to_string())
    }
}

impl LoadedMesh {
    /// The resource that decided at a hop, and its place.
    #[must_use]
    pub fn decision(&self, hop: &Hop) -> Option<(ObjectRef, Option<String>)> {
        let details = hop.details.as_deref().unwrap_or("");
        let connection = hop.connection_details.as_deref().unwrap_or("");
        if let Some(policy) = [details, connection].into_iter().find_map(denying_policy) {
            return self.authorization_policy(policy, hop);
        }
        let refused = hop.downstream_failure.is_some() && hop.side == Side::Inbound;
        if details == "filter_chain_not_found" || (refused && details.is_empty()) {
            return self.peer_authentication(hop).or_else(|| self.named(hop.origin));
        }
        self.named(hop.origin)
    }

    /// The object behind an origin id, and its place.
    #[must_use]
    pub fn named(&self, id: OriginId) -> Option<(ObjectRef, Option<String>)> {
        let Origin { span, object } = self.lowering.origin(id)?;
        Some((object?, self.place(span)))
    }

    fn mesh(&self) -> &Mesh {
        &self.lowering.mesh
    }

    fn proxy_model(&self, hop: &Hop) -> Option<&Proxy> {
        self.mesh().proxies.get(self.proxy_position(hop)?)
    }

    /// Where the proxy of a hop stands in the model.
    pub(crate) fn proxy_position(&self, hop: &Hop) -> Option<usize> {
        let name: &Str = &self.world.proxy(hop.proxy)?.name;
        self.mesh().proxies.iter().position(|p| p.id == name.as_ref())
    }

    /// The named policy, or for `none` (nothing allowed it) the first ALLOW policy of the workload.
    fn authorization_policy(&self, policy: &str, hop: &Hop) -> Option<(ObjectRef, Option<String>)> {
        let policies = &self.mesh().inventory.authorization_policies;
        let found = match parse_policy(policy) {
            Some((namespace, name)) => {
                policies.iter().find(|p| p.meta.namespace == namespace && p.meta.name == name)
            }
            None => {
                let proxy = self.proxy_model(hop)?;
                let workload = Workload { namespace: &proxy.namespace, labels: &proxy.labels };
                let root = &self.mesh().settings.root_namespace;
                policies
                    .iter()
                    .filter(|p| p.spec.action == Action::Allow)
                    .find(|&p| Scope::from(&**p).covers(workload, root))
            }
        }?;
        let object = ObjectRef {
            kind: "AuthorizationPolicy".to_owned(),
            namespace: found.meta.namespace.clone(),
            name: found.meta.name.clone(),
        };
        Some((object, self.place(found.meta.origin)))
    }

    /// The policy behind the mode of the port that was dialled.
    fn peer_authentication(&self, hop: &Hop) -> Option<(ObjectRef, Option<String>)> {
        let proxy = self.proxy_model(hop)?;
        let index = &self.lowering.indexes.peer_authentication;
        let (policy, span) = index.effective(&proxy.namespace, &proxy.labels).port(hop.local.port()).by?;
        let object = ObjectRef {
            kind: "PeerAuthentication".to_owned(),
            namespace: policy.meta.namespace.clone(),
            name: policy.meta.name.clone(),
        };
        Some((object, self.place(span)))
    }
}

/// The text between the brackets of `rbac_access_denied_matched_policy[…]`.
fn denying_policy(details: &str) -> Option<&str> {
    details.strip_prefix("rbac_access_denied_matched_policy[")?.strip_suffix(']')
}

/// `ns[foo]-policy[bar]-rule[0]` -> (foo, bar)
fn parse_policy(policy: &str) -> Option<(&str, &str)> {
    let rest = policy.strip_prefix("ns[")?;
    let (namespace, rest) = rest.split_once("]-policy[")?;
    let (name, _) = rest.rsplit_once("]-rule[")?;
    Some((namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_found_in_details() {
        let details = "rbac_access_denied_matched_policy[ns[foo]-policy[deny-lab]-rule[63]]";
        assert_eq!(denying_policy(details).and_then(parse_policy), Some(("foo", "deny-lab")));
        assert_eq!(denying_policy("rbac_access_denied_matched_policy[none]").and_then(parse_policy), None);
        assert_eq!(denying_policy("via_upstream"), None);
    }
}
