//! Tokens that are verified but not required (semantics: istio-security 3.2).

use super::Findings;
use super::attached::{Attached, some};
use crate::diagnostic::codes;
use crate::lower::Lowering;
use crate::lower::security::attachment::Scope;
use crate::resource::authorization_policy::{Rule, Source};

/// Checks all RequestAuthentications.
pub(super) fn check(lowering: &Lowering, attached: &Attached<'_>, out: &mut Findings) {
    for policy in &lowering.indexes.request_authentications {
        if policy.spec.jwt_rules.is_empty() {
            continue;
        }
        let mut open = attached.covered(&Scope::from(&**policy));
        for other in
            lowering.indexes.authorization_policies.iter().filter(|p| p.spec.rules.iter().any(asks_token))
        {
            let asked = attached.enforced(other);
            open.retain(|(id, _)| !asked.iter().any(|(known, _)| known == id));
        }
        if open.is_empty() {
            continue;
        }
        out.about("RequestAuthentication", &policy.meta);
        out.warn(
            codes::TOKEN_NOT_REQUIRED,
            policy.meta.origin,
            format!("{} let requests without any token through: a RequestAuthentication only refuses bad ones", some(&Attached::names(&open))),
            "add an AuthorizationPolicy with `action: DENY` and `from: [{source: {notRequestPrincipals: [\"*\"]}}]`",
        );
    }
}

/// Whether a rule looks at tokens.
fn asks_token(rule: &Rule) -> bool {
    let source = |s: &Source| !s.request_principals.is_empty() || !s.not_request_principals.is_empty();
    rule.from.iter().filter_map(|f| f.source.as_ref()).any(source)
        || rule.when.iter().any(|c| c.key.starts_with("request.auth."))
}
