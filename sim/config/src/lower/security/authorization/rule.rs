//! One rule of an AuthorizationPolicy as an RBAC policy: `when` joins every alternative of `from` and of `to`
//! (semantics: istio-security 5.3).

use mesh_core::ir::{Permission, Principal};

use super::condition::{Attribute, Condition, Problem, Target};
use crate::decode::Spanned;
use crate::lower::security::trust_domain::Bundle;
use crate::resource::authorization_policy::{Operation, Rule, Source};

/// The body of an RBAC policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Body {
    /// ORed.
    pub(super) permissions: Vec<Permission>,
    /// ORed.
    pub(super) principals: Vec<Principal>,
}

impl Body {
    /// Never matches: what an empty `rules` list means.
    pub(super) fn never() -> Body {
        Body {
            permissions: vec![Permission::Not(Box::new(Permission::Any))],
            principals: vec![Principal::Not(Box::new(Principal::Any))],
        }
    }
}

/// Translates a rule; an error means that Istio leaves the rule out.
pub(super) fn body(rule: &Rule, domains: &Bundle, target: Target<'_>) -> Result<Body, Problem> {
    let mut who = Vec::new();
    let mut what = Vec::new();
    for when in &rule.when {
        let Some(attribute) = Attribute::of_key(&when.key) else {
            return Err(Problem::Malformed(format!("unknown attribute `{}`", when.key)));
        };
        let side = if attribute.is_permission() { &mut what } else { &mut who };
        push(side, domains, attribute, &when.values, &when.not_values);
    }

    let mut principals = Vec::new();
    for from in &rule.from {
        let mut all = from.source.as_ref().map(|s| source_conditions(s, domains)).unwrap_or_default();
        all.extend(who.iter().cloned());
        principals.push(all);
    }
    if rule.from.is_empty() {
        principals.push(who);
    }
    let mut permissions = Vec::new();
    for to in &rule.to {
        let mut all = to.operation.as_ref().map(|o| operation_conditions(o, domains)).unwrap_or_default();
        all.extend(what.iter().cloned());
        permissions.push(all);
    }
    if rule.to.is_empty() {
        permissions.push(what);
    }
    Ok(Body {
        permissions: permissions.iter().map(|all| permission(all, target)).collect::<Result<_, _>>()?,
        principals: principals.iter().map(|all| principal(all, target)).collect::<Result<_, _>>()?,
    })
}

fn permission(conditions: &[Condition<'_>], target: Target<'_>) -> Result<Permission, Problem> {
    let mut all = Vec::new();
    for condition in conditions {
        all.extend(target.permissions(condition)?);
    }
    if all.is_empty() {
        all.push(Permission::Any);
    }
    Ok(Permission::And(all))
}

fn principal(conditions: &[Condition<'_>], target: Target<'_>) -> Result<Principal, Problem> {
    let mut all = Vec::new();
    for condition in conditions {
        all.extend(target.principals(condition)?);
    }
    if all.is_empty() {
        all.push(Principal::Any);
    }
    Ok(Principal::And(all))
}

/// The fields of a source in the order Istio emits them.
fn source_conditions(source: &Source, domains: &Bundle) -> Vec<Condition<'static>> {
    let mut out = Vec::new();
    for (attribute, values, not_values) in [
        (Attribute::SourcePrincipal, &source.principals, &source.not_principals),
        (Attribute::RequestPrincipal, &source.request_principals, &source.not_request_principals),
        (Attribute::SourceServiceAccount, &source.service_accounts, &source.not_service_accounts),
        (Attribute::SourceTrustDomain, &source.trust_domains, &source.not_trust_domains),
        (Attribute::SourceNamespace, &source.namespaces, &source.not_namespaces),
        (Attribute::RemoteIp, &source.remote_ip_blocks, &source.not_remote_ip_blocks),
        (Attribute::SourceIp, &source.ip_blocks, &source.not_ip_blocks),
    ] {
        push(&mut out, domains, attribute, values, not_values);
    }
    out
}

/// The fields of an operation in the order Istio emits them.
fn operation_conditions(operation: &Operation, domains: &Bundle) -> Vec<Condition<'static>> {
    let mut out = Vec::new();
    for (attribute, values, not_values) in [
        (Attribute::Host, &operation.hosts, &operation.not_hosts),
        (Attribute::Method, &operation.methods, &operation.not_methods),
        (Attribute::Path, &operation.paths, &operation.not_paths),
        (Attribute::DestinationPort, &operation.ports, &operation.not_ports),
    ] {
        push(&mut out, domains, attribute, values, not_values);
    }
    out
}

fn push<'a>(
    out: &mut Vec<Condition<'a>>,
    domains: &Bundle,
    attribute: Attribute<'a>,
    values: &[Spanned<String>],
    not_values: &[Spanned<String>],
) {
    if values.is_empty() && not_values.is_empty() {
        return;
    }
    let resolved = |values: &[Spanned<String>]| -> Vec<String> {
        let texts: Vec<&str> = values.iter().map(|v| v.value.as_str()).collect();
        match attribute {
            Attribute::SourcePrincipal => domains.expand_principals(&texts),
            Attribute::SourceTrustDomain => domains.expand_domains(&texts),
            _ => texts.into_iter().map(str::to_owned).collect(),
        }
    };
    out.push(Condition { attribute, values: resolved(values), not_values: resolved(not_values) });
}
