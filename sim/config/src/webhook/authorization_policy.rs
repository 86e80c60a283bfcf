//! AuthorizationPolicy (semantics: istio-validation 3.10).

use super::Findings;
use super::blocks::{is_subnet, selector, targets};
use crate::decode::Spanned;
use crate::resource::authorization_policy::{
    Action, AuthorizationPolicy, Condition, Operation, Rule, Source,
};
use crate::source::Span;

/// Judges an AuthorizationPolicy.
pub(super) fn validate(policy: &AuthorizationPolicy, f: &mut Findings<'_>) {
    targets(
        f,
        policy.selector.as_ref().map(|s| s.origin),
        policy.target_ref.as_ref(),
        &policy.target_refs,
        policy.origin,
    );
    if let Some(labels) = &policy.selector {
        selector(f, Some(&labels.match_labels), labels.origin);
    }
    match policy.action {
        Action::Custom => {
            if policy.rules.is_empty() {
                f.error(policy.origin, "CUSTOM action without rules");
            }
            if policy.provider.as_ref().is_none_or(|p| p.name.is_empty()) {
                f.error(policy.origin, "`provider.name` must not be empty for a CUSTOM policy");
            }
        }
        action => {
            if let Some(provider) = &policy.provider {
                f.error(provider.origin, "`provider` must not be with non-CUSTOM action");
            }
            if action == Action::Deny && policy.rules.is_empty() {
                f.error(policy.origin, "DENY policy without `rules` is meaningless and has no effect");
            }
        }
    }
    for rule in &policy.rules {
        validate_rule(f, rule, policy.action);
    }
    let denying: &[Rule] = if policy.action == Action::Deny { &policy.rules } else { &[] };
    for rule in denying.iter().filter(|rule| denies_tcp(rule)) {
        f.warn(
            rule.origin,
            "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope due to the use of only HTTP attributes in a DENY rule; it is recommended to explicitly specify the port",
        );
    }
}

/// A rule that keeps nothing but HTTP attributes on TCP (A15).
fn denies_tcp(rule: &Rule) -> bool {
    let sources: Vec<&Source> = rule.from.iter().filter_map(|from| from.source.as_ref()).collect();
    let operations: Vec<&Operation> = rule.to.iter().filter_map(|to| to.operation.as_ref()).collect();
    let tcp_source = sources.iter().any(|s| s.looks_at_connection());
    let tcp_operation = operations.iter().any(|o| !o.ports.is_empty() || !o.not_ports.is_empty());
    let (from, to) = (!sources.is_empty(), !operations.is_empty());
    (from && !to && !tcp_source) || (to && !tcp_operation)
}

fn validate_rule(f: &mut Findings<'_>, rule: &Rule, action: Action) {
    for from in &rule.from {
        match &from.source {
            Some(source) => validate_source(f, source, action),
            None => f.error(from.origin, "`from.source` must not be nil"),
        }
    }
    for to in &rule.to {
        match &to.operation {
            Some(operation) => validate_operation(f, operation),
            None => f.error(to.origin, "`to.operation` must not be nil"),
        }
    }
    for condition in &rule.when {
        validate_condition(f, condition, action);
    }
}

type Values = Vec<Spanned<String>>;

fn not_empty(f: &mut Findings<'_>, what: &str, values: &Values) {
    for value in values.iter().filter(|v| v.value.is_empty()) {
        f.error(value.span, format!("`{what}` value must not be empty"));
    }
}

fn ips(f: &mut Findings<'_>, what: &str, values: &Values) {
    for value in values.iter().filter(|v| !is_subnet(&v.value)) {
        f.error(value.span, format!("invalid IP address in `{what}`: `{}`", value.value));
    }
}

fn validate_source(f: &mut Findings<'_>, s: &Source, action: Action) {
    let identity: [(&str, &Values); 10] = [
        ("principals", &s.principals),
        ("notPrincipals", &s.not_principals),
        ("requestPrincipals", &s.request_principals),
        ("notRequestPrincipals", &s.not_request_principals),
        ("namespaces", &s.namespaces),
        ("notNamespaces", &s.not_namespaces),
        ("serviceAccounts", &s.service_accounts),
        ("notServiceAccounts", &s.not_service_accounts),
        ("trustDomains", &s.trust_domains),
        ("notTrustDomains", &s.not_trust_domains),
    ];
    let addresses: [(&str, &Values); 4] = [
        ("ipBlocks", &s.ip_blocks),
        ("notIpBlocks", &s.not_ip_blocks),
        ("remoteIpBlocks", &s.remote_ip_blocks),
        ("notRemoteIpBlocks", &s.not_remote_ip_blocks),
    ];
    if identity.iter().chain(&addresses).all(|(_, values)| values.is_empty()) {
        f.error(s.origin, "`from.source` must not be empty");
    }
    for (what, values) in identity.iter().chain(&addresses) {
        not_empty(f, what, values);
    }
    if action == Action::Custom {
        for (what, values) in identity.iter().filter(|(_, values)| !values.is_empty()) {
            let span = values.first().map_or(s.origin, |v| v.span);
            f.error(span, format!("`{what}` is not supported in a CUSTOM policy"));
        }
    }
    for (what, values) in &addresses {
        ips(f, what, values);
    }
    for values in [&s.service_accounts, &s.not_service_accounts] {
        service_accounts(f, values);
    }
    let accounts = !s.service_accounts.is_empty() || !s.not_service_accounts.is_empty();
    let others = [&s.principals, &s.not_principals, &s.namespaces, &s.not_namespaces];
    if accounts && others.iter().any(|values| !values.is_empty()) {
        f.error(s.origin, "cannot set serviceAccounts with namespaces or principals");
    }
    for values in [&s.trust_domains, &s.not_trust_domains] {
        trust_domains(f, values, true);
    }
}

fn service_accounts(f: &mut Findings<'_>, values: &Values) {
    if values.len() > 16 {
        f.error(values.first().map_or(Span::NONE, |v| v.span), "at most 16 serviceAccounts");
    }
    for value in values {
        let text = value.value.as_str();
        let parts: Vec<&str> = text.split('/').collect();
        if text.len() > 320 {
            f.error(value.span, "a service account has at most 320 characters");
        } else if text.contains('*') {
            f.error(value.span, format!("wildcard is not supported in service account `{text}`"));
        } else if parts.len() > 2 || (parts.len() == 2 && parts.iter().any(|p| p.is_empty())) {
            f.error(
                value.span,
                format!(
                    "expected service account of the form `<name>` or `<namespace>/<name>`, got `{text}`"
                ),
            );
        }
    }
}

fn trust_domains(f: &mut Findings<'_>, values: &Values, check_slash: bool) {
    for value in values {
        let text = value.value.as_str();
        let stars = text.matches('*').count();
        if stars > 1 || (stars == 1 && !text.starts_with('*') && !text.ends_with('*')) {
            f.error(value.span, format!("trust domain `{text}`: one `*` at the start or end is allowed"));
        }
        if check_slash && text.contains('/') {
            f.error(value.span, format!("trust domain `{text}` must not contain `/`"));
        }
    }
}

fn validate_operation(f: &mut Findings<'_>, o: &Operation) {
    let lists: [(&str, &Values); 8] = [
        ("hosts", &o.hosts),
        ("notHosts", &o.not_hosts),
        ("ports", &o.ports),
        ("notPorts", &o.not_ports),
        ("methods", &o.methods),
        ("notMethods", &o.not_methods),
        ("paths", &o.paths),
        ("notPaths", &o.not_paths),
    ];
    if lists.iter().all(|(_, values)| values.is_empty()) {
        f.error(o.origin, "`to.operation` must not be empty");
    }
    for (what, values) in &lists {
        not_empty(f, what, values);
    }
    ports(f, &o.ports);
    ports(f, &o.not_ports);
    for value in o.paths.iter().chain(&o.not_paths) {
        if let Some(why) = template_problem(&value.value) {
            f.error(value.span, format!("invalid or unsupported path {}: {why}", value.value));
        }
    }
}

fn ports(f: &mut Findings<'_>, values: &Values) {
    for value in values {
        let digits = !value.value.is_empty() && value.value.bytes().all(|b| b.is_ascii_digit());
        if !digits || value.value.parse::<u64>().map_or(true, |n| n > 65535) {
            f.error(
                value.span,
                format!("invalid port `{}`: ports must be valid decimal integers up to 65535", value.value),
            );
        }
    }
}

/// Path templates (A13).
fn template_problem(path: &str) -> Option<&'static str> {
    if !path.contains(['{', '}']) {
        return None;
    }
    let mut rest_seen = false;
    for (i, segment) in path.split('/').enumerate() {
        if i == 0 && segment.is_empty() {
            continue;
        }
        let template = matches!(segment, "{*}" | "{**}");
        if rest_seen && template {
            return Some("no template may follow `{**}`");
        }
        rest_seen |= segment == "{**}";
        if template {
            continue;
        }
        if segment.contains(['{', '}']) {
            return Some("`{*}` and `{**}` must be whole segments");
        }
        let literal = |b: u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&b);
        if segment.is_empty() || !segment.bytes().all(literal) {
            return Some("a literal beside a template must be made of URL path characters");
        }
    }
    None
}

fn validate_condition(f: &mut Findings<'_>, c: &Condition, action: Action) {
    if c.key.is_empty() {
        f.error(c.origin, "`key` must not be empty");
        return;
    }
    if c.values.is_empty() && c.not_values.is_empty() {
        f.error(c.origin, format!("at least one of `values` or `notValues` must be set for key {}", c.key));
    }
    for values in [&c.values, &c.not_values] {
        condition_values(f, &c.key, values);
    }
    if !is_known_key(&c.key) {
        f.error(c.origin, format!("unknown attribute: {}", c.key));
    }
    let identity = ["source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal"];
    if action == Action::Custom && (identity.contains(&c.key.as_str()) || c.key.starts_with("request.auth."))
    {
        f.error(c.origin, format!("`{}` is not supported in a CUSTOM policy", c.key));
    }
}

fn condition_values(f: &mut Findings<'_>, key: &str, values: &Values) {
    match key {
        "source.ip" | "remote.ip" | "destination.ip" => ips(f, key, values),
        "destination.port" => ports(f, values),
        "source.trustDomain" => trust_domains(f, values, false),
        "source.serviceAccount" => service_accounts(f, values),
        _ => {}
    }
    not_empty(f, key, values);
}

/// Keys of istio-security 4.7; bracket keys need a non-empty name.
fn is_known_key(key: &str) -> bool {
    const PLAIN: [&str; 13] = [
        "source.ip",
        "remote.ip",
        "source.namespace",
        "source.serviceAccount",
        "source.trustDomain",
        "source.principal",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "destination.ip",
        "destination.port",
        "connection.sni",
        "request.auth.claims",
    ];
    if PLAIN.contains(&key) {
        return key != "request.auth.claims";
    }
    let bracketed = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];
    if !bracketed.iter().any(|prefix| key.starts_with(prefix)) {
        return false;
    }
    match (key.find('['), key.rfind(']')) {
        (Some(open), Some(close)) => close + 1 == key.len() && close > open + 1 && open > 0,
        _ => false,
    }
}
