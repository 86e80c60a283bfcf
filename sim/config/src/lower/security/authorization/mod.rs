//! AuthorizationPolicies of one proxy as RBAC filters (semantics: istio-security 4, 5).
//!
//! `rule` translates one rule, `condition` one of its conditions, `text` and `jwt` the value syntax. The filters are put
//! into chains by `lower::inbound` and `lower::gateway`; evaluating them is `mesh_core`'s.

mod condition;
mod custom;
mod jwt;
mod rule;
mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mesh_core::ids::Taint;
use mesh_core::ir::{HttpFilter, NetworkFilter, Rbac, RbacAction, RbacPolicy, RbacRules};

use self::condition::{Problem, Target};
use self::rule::Body;
use super::attachment::{Scope, Workload};
use super::trust_domain::Bundle;
use crate::lower::origin::OriginTable;
use crate::mesh::meshconfig::Authorizer;
use crate::resource::authorization_policy::{Action, AuthorizationPolicy, Rule};
use crate::resource::meta::Object;
use crate::resource::provider::ExtensionProvider;
use crate::source::Span;

/// A policy as the inventory holds it.
pub type Policy = Arc<Object<AuthorizationPolicy>>;

const DRY_RUN: &str = "istio.io/dry-run";

/// What the translation needs to know of the mesh.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    /// Places.
    pub origins: &'a OriginTable,
    /// Trust domain and aliases.
    pub domains: &'a Bundle,
    /// `meshConfig.extensionProviders`, for CUSTOM.
    pub providers: &'a [ExtensionProvider],
    /// Whether the registry has a service of this namespace (empty: any) and host, for CUSTOM providers.
    pub has_service: &'a dyn Fn(&str, &str) -> bool,
    /// What a usable provider answers, where that is known.
    pub authorizer: &'a dyn Fn(&ExtensionProvider) -> Option<Authorizer>,
}

/// The policies of one proxy, grouped by action.
#[derive(Debug, Clone, Default)]
pub struct Attached<'a> {
    custom: Vec<&'a Policy>,
    audit: Vec<&'a Policy>,
    deny: Vec<&'a Policy>,
    allow: Vec<&'a Policy>,
}

/// The policies for a workload: those of the root namespace first, then its own (semantics: istio-security 4.1).
#[must_use]
pub fn attached<'a>(policies: &'a [Policy], workload: Workload<'_>, root_namespace: &str) -> Attached<'a> {
    let mut out = Attached::default();
    let mut take = |namespace: &str| {
        for policy in policies.iter().filter(|policy| policy.meta.namespace == namespace) {
            if Scope::from(&**policy).covers(workload, root_namespace) {
                match policy.spec.action {
                    Action::Allow => out.allow.push(policy),
                    Action::Deny => out.deny.push(policy),
                    Action::Audit => out.audit.push(policy),
                    Action::Custom => out.custom.push(policy),
                }
            }
        }
    };
    take(root_namespace);
    if workload.namespace != root_namespace {
        take(workload.namespace);
    }
    out
}

impl Attached<'_> {
    /// HTTP filters that run before the token is looked at: CUSTOM.
    #[must_use]
    pub fn http_before_jwt(&self, cx: Cx<'_>) -> Vec<HttpFilter> {
        custom::http(&self.custom, cx)
    }

    /// HTTP filters that run after it: AUDIT, DENY, ALLOW.
    #[must_use]
    pub fn http(&self, cx: Cx<'_>) -> Vec<HttpFilter> {
        self.rbac(cx, false).into_iter().map(HttpFilter::Rbac).collect()
    }

    /// Network filters of TCP chains: CUSTOM, AUDIT, DENY, ALLOW.
    #[must_use]
    pub fn tcp(&self, cx: Cx<'_>) -> Vec<NetworkFilter> {
        let mut filters = custom::tcp(&self.custom, cx);
        filters.extend(self.rbac(cx, true).into_iter().map(NetworkFilter::Rbac));
        filters
    }

    fn rbac(&self, cx: Cx<'_>, tcp: bool) -> Vec<Rbac> {
        [(RbacAction::Log, &self.audit), (RbacAction::Deny, &self.deny), (RbacAction::Allow, &self.allow)]
            .into_iter()
            .filter_map(|(action, policies)| filter(policies, action, cx, tcp))
            .collect()
    }
}

/// One filter: enforced rules and dry-run rules of one action; none without policies.
fn filter(policies: &[&Policy], action: RbacAction, cx: Cx<'_>, tcp: bool) -> Option<Rbac> {
    if policies.is_empty() {
        return None;
    }
    let (dry, enforced): (Vec<&Policy>, Vec<&Policy>) = policies.iter().partition(|p| is_dry_run(p));
    let rules =
        |policies: &[&Policy]| (!policies.is_empty()).then(|| rule_set(policies, action, cx, tcp, ""));
    // Without dry-run rules the prefix is that of ALLOW, whatever the filter's action is (5.1).
    let shadow_stat_prefix = match action {
        _ if dry.is_empty() => "istio_dry_run_allow_",
        RbacAction::Allow => "istio_dry_run_allow_",
        RbacAction::Deny => "istio_dry_run_deny_",
        RbacAction::Log => "",
    };
    Some(Rbac {
        rules: rules(&enforced),
        shadow_rules: rules(&dry),
        shadow_stat_prefix: shadow_stat_prefix.into(),
    })
}

/// Go's `ParseBool`; anything else is not a dry run.
fn is_dry_run(policy: &Policy) -> bool {
    policy
        .meta
        .annotations
        .get(DRY_RUN)
        .is_some_and(|text| matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// The rules of policies of one action, in byte order of their keys. `prefix` goes in front of every key (CUSTOM).
fn rule_set(policies: &[&Policy], action: RbacAction, cx: Cx<'_>, tcp: bool, prefix: &str) -> RbacRules {
    let mut out = Vec::new();
    for policy in policies {
        let meta = &policy.meta;
        let key =
            |index: usize| format!("{prefix}ns[{}]-policy[{}]-rule[{index}]", meta.namespace, meta.name);
        let target = Target { tcp, allow: action == RbacAction::Allow, namespace: &meta.namespace };
        for (index, rule) in policy.spec.rules.iter().enumerate() {
            out.extend(rbac_policy(key(index), rule, cx, target));
        }
        if policy.spec.rules.is_empty() {
            let origin = if policy.spec.origin.is_none() { meta.origin } else { policy.spec.origin };
            out.push(entry(key(0), Body::never(), Vec::new(), cx, origin));
        }
    }
    out.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    RbacRules { action, policies: out }
}

fn rbac_policy(key: String, rule: &Rule, cx: Cx<'_>, target: Target<'_>) -> Option<RbacPolicy> {
    match rule::body(rule, cx.domains, target) {
        Ok(body) => {
            let taints = unmodelled(rule, cx);
            Some(entry(key, body, taints, cx, rule.origin))
        }
        // Istio leaves the rule out, and so do we.
        Err(Problem::HttpOnly | Problem::Malformed(_)) => None,
        // Istio has it: whether it matches is unknown.
        Err(Problem::Unmatchable(why)) => {
            let taint = cx.origins.taint(format!("AuthorizationPolicy pattern {why}"), rule.origin);
            let any = Body {
                permissions: vec![mesh_core::ir::Permission::Any],
                principals: vec![mesh_core::ir::Principal::Any],
            };
            Some(entry(key, any, vec![taint], cx, rule.origin))
        }
    }
}

fn entry(key: String, body: Body, taints: Vec<Taint>, cx: Cx<'_>, origin: Span) -> RbacPolicy {
    RbacPolicy {
        name: key.into(),
        permissions: body.permissions,
        principals: body.principals,
        taints,
        origin: cx.origins.id(origin),
    }
}

/// Conditions on metadata that other filters would have written.
fn unmodelled(rule: &Rule, cx: Cx<'_>) -> Vec<Taint> {
    rule.when
        .iter()
        .filter(|when| when.key.starts_with("experimental.envoy.filters."))
        .map(|when| cx.origins.taint(format!("AuthorizationPolicy condition `{}`", when.key), when.origin))
        .collect()
}
