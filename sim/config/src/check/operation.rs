//! Values of `to.operation` and `source` that no request has (semantics: istio-security 4.4 to 4.6).

use super::Findings;
use crate::decode::Spanned;
use crate::diagnostic::codes;
use crate::resource::authorization_policy::{Action, AuthorizationPolicy, Operation, Rule};
use crate::resource::meta::Object;

/// Checks the values of one policy.
pub(super) fn check(policy: &Object<AuthorizationPolicy>, out: &mut Findings) {
    for rule in &policy.spec.rules {
        for operation in rule.to.iter().filter_map(|t| t.operation.as_ref()) {
            for (field, values) in [("paths", &operation.paths), ("notPaths", &operation.not_paths)] {
                values.iter().for_each(|value| path(field, value, out));
            }
            for (field, values) in [("methods", &operation.methods), ("notMethods", &operation.not_methods)] {
                values.iter().for_each(|value| method(field, value, out));
            }
            for (field, values) in [("hosts", &operation.hosts), ("notHosts", &operation.not_hosts)] {
                values.iter().for_each(|value| host(field, value, out));
            }
            exceptions(policy.spec.action, rule, operation, out);
        }
    }
}

fn path(field: &str, value: &Spanned<String>, out: &mut Findings) {
    let text = value.value.as_str();
    let bare = text.trim_matches('*');
    if !text.starts_with(['/', '*', '{']) {
        out.warn(
            codes::PATH_NEVER_MATCHES,
            value.span,
            format!("`{field}: {text}` matches no request: a path begins with `/`"),
            format!("write `/{text}`"),
        );
    } else if text.contains(['?', '#']) {
        out.warn(
            codes::PATH_NEVER_MATCHES,
            value.span,
            format!("`{field}: {text}` matches no request: paths are compared without query and fragment"),
            "leave the query out; Istio has no condition on query parameters",
        );
    } else if bare.contains('*') && !text.contains('{')
        || (text.len() > 1 && text.starts_with('*') && text.ends_with('*'))
    {
        out.warn(
            codes::STAR_IS_LITERAL,
            value.span,
            format!("`{field}: {text}`: only one star at the beginning or the end is a wildcard, any other is the character `*`"),
            "for one path segment write `{*}`, for any number of them `{**}`",
        );
    }
}

fn method(field: &str, value: &Spanned<String>, out: &mut Findings) {
    let text = &value.value;
    if text.chars().any(|c| c.is_ascii_lowercase()) {
        out.warn(
            codes::METHOD_NEVER_MATCHES,
            value.span,
            format!("`{field}: {text}` matches no request: methods are compared as written, and requests say `{}`", text.to_ascii_uppercase()),
            format!("write `{}`", text.to_ascii_uppercase()),
        );
    }
}

fn host(field: &str, value: &Spanned<String>, out: &mut Findings) {
    let text = &value.value;
    let inner = text.trim_matches('*');
    if text.contains("://") || text.contains('/') {
        out.warn(
            codes::HOST_NEVER_MATCHES,
            value.span,
            format!("`{field}: {text}` matches no request: the Host header holds a name and perhaps a port"),
            "leave scheme and path out",
        );
    } else if inner.contains('*') || (text.len() > 1 && text.starts_with('*') && text.ends_with('*')) {
        out.warn(
            codes::STAR_IS_LITERAL,
            value.span,
            format!("`{field}: {text}`: only one star at the beginning or the end is a wildcard, any other is the character `*`"),
            "write the beginning or the end of the name",
        );
    } else if !text.contains([':', '*']) {
        out.note(
            codes::HOST_WITHOUT_PORT,
            value.span,
            format!("`{field}: {text}` does not match `{text}:8080`: a port other than the scheme's is part of the Host header"),
            format!("add `{text}:*` if the host is reached at other ports too"),
        );
    }
}

/// `notPaths` without wildcards in an ALLOW rule, `paths` without wildcards in a DENY rule: other spellings pass.
fn exceptions(action: Action, rule: &Rule, operation: &Operation, out: &mut Findings) {
    let (list, field) = match action {
        Action::Allow => (&operation.not_paths, "notPaths"),
        Action::Deny => (&operation.paths, "paths"),
        Action::Audit | Action::Custom => return,
    };
    // A rule that asks for an identity too is not open to everybody.
    if action == Action::Allow && !(rule.from.is_empty() && rule.when.is_empty()) {
        return;
    }
    for value in list {
        let text = value.value.as_str();
        // Whoever names what lies below means the path itself too.
        let below = |other: &Spanned<String>| {
            let rest = other.value.strip_prefix(text);
            rest.is_some_and(|rest| rest.starts_with('*') || rest.starts_with("/*") || rest.starts_with("/{"))
        };
        if list.iter().any(below) {
            continue;
        }
        if text.starts_with('/') && text.len() > 1 && !text.contains(['*', '{']) {
            let way = if action == Action::Allow { "are allowed" } else { "are not denied" };
            out.note(
                codes::OTHER_SPELLINGS,
                value.span,
                format!("`{field}: {text}` is just this path: `{text}/`, `{text}/x` and `/{text}` {way}"),
                format!("write `{text}*`, and set meshConfig.pathNormalization to MERGE_SLASHES"),
            );
        }
    }
}
