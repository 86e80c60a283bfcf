//! Rules as a whole: empty lists, rules that make others pointless (semantics: istio-security 4.2, 4.3).

use super::Findings;
use super::attached::{Attached, some};
use crate::diagnostic::codes;
use crate::lower::Lowering;
use crate::lower::security::authorization::Policy;
use crate::resource::authorization_policy::{Action, Rule};

/// Checks all policies against each other.
pub(super) fn check(lowering: &Lowering, attached: &Attached<'_>, out: &mut Findings) {
    let policies = &lowering.indexes.authorization_policies;
    for policy in policies.iter().filter(|p| p.spec.action == Action::Allow) {
        out.about("AuthorizationPolicy", &policy.meta);
        if policy.spec.rules.is_empty() {
            empty(policy, attached, out);
        }
        for rule in policy.spec.rules.iter().filter(|rule| is_open(rule)) {
            open(policies, policy, rule, attached, out);
        }
    }
}

/// A selector and nothing else reads as "this policy is for these pods", but denies everything.
fn empty(policy: &Policy, attached: &Attached<'_>, out: &mut Findings) {
    let pods = attached.enforced(policy);
    let names = Attached::names(&pods);
    if names.is_empty() {
        return;
    }
    out.note(
        codes::ALLOWS_NOTHING,
        policy.meta.origin,
        format!(
            "an ALLOW policy without rules allows nothing: {} deny what no other policy allows",
            some(&names)
        ),
        "to allow everything write `rules: [{}]`",
    );
}

/// Nothing about the caller: whoever asks for the right thing is let in.
fn is_open(rule: &Rule) -> bool {
    rule.from.is_empty()
        && rule.when.is_empty()
        && rule.to.iter().all(|t| {
            t.operation.as_ref().is_none_or(|o| {
                o.hosts.is_empty() && o.methods.is_empty() && o.ports.is_empty() && o.paths.is_empty()
            })
        })
}

/// ALLOW policies are alternatives: what one lets in, no other keeps out.
fn open(policies: &[Policy], policy: &Policy, rule: &Rule, attached: &Attached<'_>, out: &mut Findings) {
    let own = attached.enforced(policy);
    let asks = |p: &&Policy| {
        p.spec.action == Action::Allow
            && p.meta.key() != policy.meta.key()
            && p.spec.rules.iter().any(|r| !r.from.is_empty() || !r.when.is_empty())
    };
    let other = policies
        .iter()
        .filter(asks)
        .find(|p| attached.enforced(p).iter().any(|(id, _)| own.iter().any(|(known, _)| known == id)));
    let Some(other) = other else { return };
    let what = if rule.to.is_empty() { "everything" } else { "everything outside of its exceptions" };
    out.warn(
        codes::ALTERNATIVES,
        rule.origin,
        format!(
            "this rule lets everybody do {what}; what AuthorizationPolicy `{}` asks of callers has no effect there",
            other.meta.key()
        ),
        "policies are alternatives: put both conditions into one rule, or deny with `action: DENY`",
    );
}
