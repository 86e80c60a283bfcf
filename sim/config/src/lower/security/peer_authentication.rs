//! PeerAuthentication: which mode holds for a port of a workload, and for a service as its clients see it
//! (semantics: istio-security 2.1, 2.2, 2.5).
//!
//! The filter chains that enforce a mode are built in `lower::inbound`, the client's TLS decision in `lower::cluster`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::resource::meta::Object;
use crate::resource::peer_authentication::{MutualTls, MutualTlsMode, PeerAuthentication};
use crate::resource::selector::is_subset;
use crate::source::Span;

/// A policy as the inventory holds it.
pub type Policy = Arc<Object<PeerAuthentication>>;

/// A resolved mode; there is no "unset" left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Plaintext only.
    Disable,
    /// Both.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

impl Mode {
    /// The mode a block states; `None` inherits.
    fn stated(block: Option<&MutualTls>) -> Option<Mode> {
        match block?.mode {
            MutualTlsMode::Unset => None,
            MutualTlsMode::Disable => Some(Mode::Disable),
            MutualTlsMode::Permissive => Some(Mode::Permissive),
            MutualTlsMode::Strict => Some(Mode::Strict),
        }
    }
}

/// A mode and what decided it.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// The mode.
    pub mode: Mode,
    /// The policy and the place of the `mtls` block that states it; `None` is Istio's default, PERMISSIVE.
    pub by: Option<(&'a Policy, Span)>,
}

impl Decision<'_> {
    /// What holds where nobody says anything.
    const DEFAULT: Decision<'static> = Decision { mode: Mode::Permissive, by: None };
}

/// The modes of one workload.
#[derive(Debug, Clone)]
pub struct Effective<'a> {
    /// Mode of every port without an entry of its own.
    pub default: Decision<'a>,
    /// `portLevelMtls`, by workload (target) port.
    pub ports: BTreeMap<u16, Decision<'a>>,
}

impl<'a> Effective<'a> {
    /// The mode of one workload port.
    #[must_use]
    pub fn port(&self, port: u16) -> Decision<'a> {
        self.ports.get(&port).copied().unwrap_or(self.default)
    }
}

/// All PeerAuthentications of a mesh, by what they are about.
#[derive(Debug, Clone, Default)]
pub struct Index {
    mesh: Option<Policy>,
    namespaces: BTreeMap<String, Policy>,
    workloads: BTreeMap<String, Vec<Policy>>,
    dead: Vec<Policy>,
}

impl Index {
    /// Sorts policies, given in Istio's conflict order (creation time, name, namespace), into their classes.
    #[must_use]
    pub fn new(root_namespace: &str, policies: &[Policy]) -> Index {
        let mut index = Index::default();
        for policy in policies {
            let namespace = policy.meta.namespace.as_str();
            let selects = policy.spec.selector.as_ref().is_some_and(|s| !s.match_labels.is_empty());
            match (namespace == root_namespace, selects) {
                // Istio ignores a selector in the root namespace's policy by ignoring the policy.
                (true, true) => index.dead.push(Arc::clone(policy)),
                (true, false) => index.take_mesh(policy),
                (false, false) => index.take_namespace(policy),
                (false, true) => {
                    index.workloads.entry(namespace.to_owned()).or_default().push(Arc::clone(policy));
                }
            }
        }
        index
    }

    fn take_mesh(&mut self, policy: &Policy) {
        if self.mesh.is_none() {
            self.mesh = Some(Arc::clone(policy));
        } else {
            self.dead.push(Arc::clone(policy));
        }
    }

    fn take_namespace(&mut self, policy: &Policy) {
        if self.namespaces.contains_key(&policy.meta.namespace) {
            self.dead.push(Arc::clone(policy));
        } else {
            self.namespaces.insert(policy.meta.namespace.clone(), Arc::clone(policy));
        }
    }

    /// Policies that never apply: a selector in the root namespace, or a second one for the same scope.
    #[must_use]
    pub fn dead(&self) -> &[Policy] {
        &self.dead
    }

    /// The policy of the whole mesh.
    #[must_use]
    pub fn of_mesh(&self) -> Option<&Policy> {
        self.mesh.as_ref()
    }

    /// The policy of a namespace.
    #[must_use]
    pub fn of_namespace(&self, namespace: &str) -> Option<&Policy> {
        self.namespaces.get(namespace)
    }

    /// What clients assume of every service of a namespace; workload policies are not consulted
    /// (semantics: istio-security 2.5 step C).
    #[must_use]
    pub fn service_mode(&self, namespace: &str) -> Decision<'_> {
        let mut decision = Decision::DEFAULT;
        for policy in self.mesh.iter().chain(self.namespaces.get(namespace)) {
            decision = overridden(decision, policy);
        }
        decision
    }

    /// The modes of a workload with these labels (semantics: istio-security 2.2).
    #[must_use]
    pub fn effective(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Effective<'_> {
        let mut default = self.service_mode(namespace);
        let mut ports = BTreeMap::new();
        // The oldest alone counts, its ports too: nothing of a second one is merged in.
        if let Some(policy) = self.of_workload(namespace, labels) {
            default = overridden(default, policy);
            for (port, block) in &policy.spec.port_level_mtls {
                // The API server accepts only numbers 1 to 65535 here.
                let Ok(port) = port.parse::<u16>() else { continue };
                let own =
                    Mode::stated(Some(block)).map(|mode| Decision { mode, by: Some((policy, block.origin)) });
                ports.insert(port, own.unwrap_or(default));
            }
        }
        Effective { default, ports }
    }

    /// The policy that selects a workload: the oldest of them, the others count for nothing.
    #[must_use]
    pub fn of_workload(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Option<&Policy> {
        self.workloads
            .get(namespace)?
            .iter()
            .find(|policy| policy.spec.selector.as_ref().is_some_and(|s| is_subset(&s.match_labels, labels)))
    }
}

fn overridden<'a>(inherited: Decision<'a>, policy: &'a Policy) -> Decision<'a> {
    let block = policy.spec.mtls.as_ref();
    match (Mode::stated(block), block) {
        (Some(mode), Some(block)) => Decision { mode, by: Some((policy, block.origin)) },
        _ => inherited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::meta::ObjectMeta;
    use crate::resource::selector::MatchLabels;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn block(mode: MutualTlsMode) -> MutualTls {
        MutualTls { mode, ..MutualTls::default() }
    }

    /// `app` selects, `None` does not; ports are `portLevelMtls`.
    fn policy(key: &str, app: Option<&str>, mode: MutualTlsMode, ports: &[(&str, MutualTlsMode)]) -> Policy {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        let meta = ObjectMeta { name: name.into(), namespace: namespace.into(), ..ObjectMeta::default() };
        let spec = PeerAuthentication {
            selector: app
                .map(|app| MatchLabels { match_labels: labels(&[("app", app)]), ..MatchLabels::default() }),
            mtls: Some(block(mode)),
            port_level_mtls: ports.iter().map(|(p, m)| ((*p).to_owned(), block(*m))).collect(),
            ..PeerAuthentication::default()
        };
        Arc::new(Object { meta, spec })
    }

    fn decided_by(decision: Decision<'_>) -> String {
        decision.by.map_or_else(|| "default".into(), |(policy, _)| policy.meta.key())
    }

    #[test]
    fn scopes_inherit_and_override() {
        use MutualTlsMode::{Disable, Permissive, Strict, Unset};
        let index = Index::new(
            "istio-system",
            &[
                policy("istio-system/default", None, Strict, &[]),
                policy("istio-system/selecting", Some("web"), Disable, &[]),
                policy("istio-system/second", None, Disable, &[]),
                policy("foo/default", None, Unset, &[]),
                policy("foo/web", Some("web"), Unset, &[("8080", Disable), ("9090", Unset)]),
                policy("foo/web2", Some("web"), Permissive, &[("7070", Permissive)]),
                policy("bar/default", None, Permissive, &[]),
                policy("bar/other", None, Disable, &[]),
            ],
        );
        assert_eq!(index.dead().len(), 3);
        let web = index.effective("foo", &labels(&[("app", "web"), ("version", "v1")]));
        for (port, mode, by) in [
            (8080, Mode::Disable, "foo/web"),
            (9090, Mode::Strict, "istio-system/default"),
            (7070, Mode::Strict, "istio-system/default"),
        ] {
            assert_eq!((web.port(port).mode, decided_by(web.port(port)).as_str()), (mode, by), "{port}");
        }
        assert_eq!(web.ports.len(), 2, "nothing of the second workload policy is merged");
        assert_eq!(decided_by(index.service_mode("bar")), "bar/default");
        assert_eq!(index.service_mode("elsewhere").mode, Mode::Strict);
        assert_eq!(decided_by(Index::default().service_mode("x")), "default");
        assert_eq!(Index::default().effective("x", &BTreeMap::new()).port(1).mode, Mode::Permissive);
    }
}
