//! HTTP attributes on TCP ports: an ALLOW rule loses itself, a DENY rule its conditions (semantics: istio-security 4.10).

use std::collections::BTreeSet;

use super::Findings;
use super::attached::{Attached, some};
use crate::diagnostic::codes;
use crate::lower::Lowering;
use crate::resource::authorization_policy::{Action, Condition, Operation, Rule, Source};

/// Checks policies at pods that have TCP ports.
pub(super) fn check(lowering: &Lowering, attached: &Attached<'_>, out: &mut Findings) {
    for policy in &lowering.indexes.authorization_policies {
        let rules: Vec<&Rule> = policy.spec.rules.iter().filter(|r| uses_http(r)).collect();
        if rules.is_empty() || !matches!(policy.spec.action, Action::Allow | Action::Deny) {
            continue;
        }
        out.about("AuthorizationPolicy", &policy.meta);
        let mut ports: BTreeSet<(u32, String)> = BTreeSet::new();
        for (id, _) in attached.enforced(policy) {
            for target in attached.targets(id).iter().filter(|t| t.protocol.is_tcp() && !t.protocol.is_http())
            {
                ports.insert((target.pod_port, format!("{}:{}", target.service, target.service_port)));
            }
        }
        match policy.spec.action {
            Action::Allow => allow(lowering, attached, policy, &rules, &ports, out),
            _ => rules.iter().for_each(|rule| deny(rule, &ports, out)),
        }
    }
}

/// TCP ports that only rules with HTTP attributes could open.
fn allow(
    lowering: &Lowering,
    attached: &Attached<'_>,
    policy: &crate::lower::security::authorization::Policy,
    rules: &[&Rule],
    ports: &BTreeSet<(u32, String)>,
    out: &mut Findings,
) {
    let pods = attached.enforced(policy);
    // Any ALLOW rule without HTTP attributes may open the port: then nothing is said.
    let opens = |number: u32| {
        lowering.indexes.authorization_policies.iter().filter(|p| p.spec.action == Action::Allow).any(|p| {
            attached.enforced(p).iter().any(|(id, _)| pods.iter().any(|(own, _)| own == id))
                && p.spec.rules.iter().any(|r| !uses_http(r) && names_port(r, number))
        })
    };
    let shut: Vec<String> = ports.iter().filter(|(n, _)| !opens(*n)).map(|(_, name)| name.clone()).collect();
    let Some(rule) = rules.first().filter(|_| !shut.is_empty()) else { return };
    out.warn(
        codes::HTTP_ON_TCP,
        rule.origin,
        format!("{} speak TCP: rules with HTTP attributes do not exist there, and the ALLOW policy denies every connection", some(&shut)),
        "add a rule with `ports` and without HTTP attributes for them",
    );
}

fn deny(rule: &Rule, ports: &BTreeSet<(u32, String)>, out: &mut Findings) {
    let hit: Vec<String> =
        ports.iter().filter(|(n, _)| names_port(rule, *n)).map(|(_, name)| name.clone()).collect();
    if hit.is_empty() {
        return;
    }
    let rest =
        if has_tcp_conditions(rule) { "the rest of the rule decides" } else { "every connection is denied" };
    out.warn(
        codes::HTTP_ON_TCP,
        rule.origin,
        format!("{} speak TCP: the HTTP attributes of this DENY rule vanish there, and {rest}", some(&hit)),
        "limit the rule with `ports` to the HTTP ports",
    );
}

/// Whether the rule's `ports` leave the port in; no `ports` do.
fn names_port(rule: &Rule, number: u32) -> bool {
    let fits = |o: &Operation| {
        let text = number.to_string();
        (o.ports.is_empty() || o.ports.iter().any(|p| p.value == text))
            && !o.not_ports.iter().any(|p| p.value == text)
    };
    rule.to.is_empty() || rule.to.iter().filter_map(|t| t.operation.as_ref()).any(fits)
}

/// Whether a rule looks at what only HTTP has.
fn uses_http(rule: &Rule) -> bool {
    let source = |s: &Source| !s.request_principals.is_empty() || !s.not_request_principals.is_empty();
    let operation = |o: &Operation| {
        [&o.hosts, &o.not_hosts, &o.methods, &o.not_methods, &o.paths, &o.not_paths]
            .iter()
            .any(|l| !l.is_empty())
    };
    rule.from.iter().filter_map(|f| f.source.as_ref()).any(source)
        || rule.to.iter().filter_map(|t| t.operation.as_ref()).any(operation)
        || rule.when.iter().any(is_http_condition)
}

fn is_http_condition(condition: &Condition) -> bool {
    condition.key.starts_with("request.")
}

/// Whether anything of a rule is left on TCP.
fn has_tcp_conditions(rule: &Rule) -> bool {
    let source = |s: &Source| {
        s.looks_at_connection() || !s.trust_domains.is_empty() || !s.not_trust_domains.is_empty()
    };
    rule.from.iter().filter_map(|f| f.source.as_ref()).any(source)
        || rule.when.iter().any(|c| !is_http_condition(c))
}
