//! CUSTOM policies: an external authorizer decides (semantics: istio-security 4.13, 5.7).
//!
//! Requests that match a rule get the authorizer's answer, where it is stated or where nobody can give one; otherwise they
//! become `unknown`. All others pass. The rules of a provider that istiod cannot use deny.

use std::collections::BTreeMap;

use mesh_core::ir::{AuthorizerAnswer, ExtAuthz, HttpFilter, NetworkFilter, Rbac, RbacAction, RbacRules};

use super::{Cx, Policy, is_dry_run, rule_set};
use crate::mesh::meshconfig::Authorizer;
use crate::resource::provider::ExtensionProvider;
use crate::source::Span;

/// Status of a denial, unless something else is said.
const DENIED: u16 = 403;
const DENY_SUFFIX: &str = "-deny-due-to-bad-CUSTOM-action";

/// What istiod makes of a provider name.
enum Provider {
    /// Cannot be used: its rules deny.
    Bad,
    /// Reached by HTTP; does not exist on TCP chains.
    Http,
    /// Reached by gRPC.
    Grpc,
}

/// The enforced and dry-run rules of one provider.
struct Group<'a> {
    name: &'a str,
    rules: RbacRules,
    dry: Option<RbacRules>,
    provider: Provider,
    place: Span,
}

pub(super) fn http(policies: &[&Policy], cx: Cx<'_>) -> Vec<HttpFilter> {
    let mut filters = Vec::new();
    for group in groups(policies, cx, false) {
        match group.provider {
            Provider::Bad => filters.push(HttpFilter::Rbac(denying(group.rules))),
            Provider::Http | Provider::Grpc => {
                let (answer, origin) = (answer(&group, cx), cx.origins.id(group.place));
                let evaluated = evaluating(group);
                // Dry-run rules of a CUSTOM policy land in the enforced slot of a DENY filter (4.12).
                if evaluated.rules.is_some() {
                    filters.push(HttpFilter::Rbac(Rbac { shadow_rules: None, ..evaluated.clone() }));
                }
                filters.push(HttpFilter::ExtAuthz(ExtAuthz { when: evaluated, answer, origin }));
            }
        }
    }
    filters
}

pub(super) fn tcp(policies: &[&Policy], cx: Cx<'_>) -> Vec<NetworkFilter> {
    let mut filters = Vec::new();
    for group in groups(policies, cx, true) {
        match group.provider {
            Provider::Bad => filters.push(NetworkFilter::Rbac(denying(group.rules))),
            // Skipped by Istio: everything is allowed.
            Provider::Http => {}
            Provider::Grpc => {
                let (answer, origin) = (answer(&group, cx), cx.origins.id(group.place));
                let evaluated = evaluating(group);
                if evaluated.rules.is_some() {
                    filters.push(NetworkFilter::Rbac(Rbac { shadow_rules: None, ..evaluated.clone() }));
                }
                filters.push(NetworkFilter::ExtAuthz(ExtAuthz { when: evaluated, answer, origin }));
            }
        }
    }
    filters
}

/// One group per provider, sorted by name. More than one provider on a workload makes all of them bad.
fn groups<'a>(policies: &[&'a Policy], cx: Cx<'_>, tcp: bool) -> Vec<Group<'a>> {
    let mut by_provider: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
    for policy in policies {
        let name = policy.spec.provider.as_ref().map_or("", |p| p.name.as_str());
        by_provider.entry(name).or_default().push(policy);
    }
    let alone = by_provider.len() == 1;
    by_provider
        .into_iter()
        .map(|(name, policies)| {
            let prefix = match name {
                "" => "istio-ext-authz-".to_owned(),
                _ => format!("istio-ext-authz-{name}-"),
            };
            let (dry, enforced): (Vec<&Policy>, Vec<&Policy>) =
                policies.iter().partition(|policy| is_dry_run(policy));
            let set = |policies: &[&Policy]| rule_set(policies, RbacAction::Deny, cx, tcp, &prefix);
            let place = policies
                .first()
                .and_then(|policy| policy.spec.provider.as_ref())
                .map_or(Span::NONE, |provider| provider.origin);
            Group {
                name,
                rules: set(&enforced),
                dry: (!dry.is_empty()).then(|| set(&dry)).filter(|rules| !rules.policies.is_empty()),
                provider: if alone { resolve(name, cx) } else { Provider::Bad },
                place,
            }
        })
        .collect()
}

fn denying(mut rules: RbacRules) -> Rbac {
    for policy in &mut rules.policies {
        policy.name = format!("{}{DENY_SUFFIX}", policy.name).into();
    }
    rules.policies.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    Rbac { rules: Some(rules), shadow_rules: None, shadow_stat_prefix: "".into() }
}

fn evaluating(group: Group<'_>) -> Rbac {
    Rbac { rules: group.dry, shadow_rules: Some(group.rules), shadow_stat_prefix: "istio_ext_authz_".into() }
}

/// What the provider answers. Denials carry Envoy's own status: an authorizer's words are nobody's to know.
fn answer(group: &Group<'_>, cx: Cx<'_>) -> AuthorizerAnswer {
    let provider = cx.providers.iter().find(|p| p.name == group.name);
    let known = provider.and_then(|provider| (cx.authorizer)(provider));
    match known {
        Some(Authorizer::Allow) => AuthorizerAnswer::Allows,
        Some(Authorizer::Deny) => AuthorizerAnswer::Denies(DENIED),
        Some(Authorizer::Error) => AuthorizerAnswer::Fails(provider.and_then(status_on_error)),
        None => {
            let what = format!("external authorization by provider `{}`", group.name);
            AuthorizerAnswer::Unknown(cx.origins.taint(what, group.place))
        }
    }
}

/// The status where the authorizer cannot be asked; `None` when that allows.
fn status_on_error(provider: &ExtensionProvider) -> Option<u16> {
    let http = provider.envoy_ext_authz_http.as_ref().map(|h| (h.fail_open, &h.status_on_error));
    let grpc = provider.envoy_ext_authz_grpc.as_ref().map(|g| (g.fail_open, &g.status_on_error));
    let (fail_open, status) = http.or(grpc)?;
    (!fail_open).then(|| status.parse().unwrap_or(DENIED))
}

/// istiod's checks of a provider (`processExtensionProvider`): known once, a usable name, fields in range, a service
/// that the registry has.
fn resolve(name: &str, cx: Cx<'_>) -> Provider {
    let mut named = cx
        .providers
        .iter()
        .filter(|p| p.name == name && (p.envoy_ext_authz_http.is_some() || p.envoy_ext_authz_grpc.is_some()));
    let (Some(provider), None) = (named.next(), named.next()) else { return Provider::Bad };
    if !usable_name(name) || !usable(provider, cx) {
        return Provider::Bad;
    }
    if provider.envoy_ext_authz_http.is_some() { Provider::Http } else { Provider::Grpc }
}

fn usable_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn usable(provider: &ExtensionProvider, cx: Cx<'_>) -> bool {
    let reachable = |service: &str, port: u32, status: &str| {
        let (namespace, host) = service.split_once('/').unwrap_or(("", service));
        (1..=65535).contains(&port) && (cx.has_service)(namespace, host) && known_status(status)
    };
    if let Some(http) = &provider.envoy_ext_authz_http {
        let lists = [
            &http.include_request_headers_in_check,
            &http.include_headers_in_check,
            &http.headers_to_downstream_on_deny,
            &http.headers_to_downstream_on_allow,
            &http.headers_to_upstream_on_allow,
        ];
        return reachable(&http.service, http.port, &http.status_on_error)
            && (http.path_prefix.is_empty() || http.path_prefix.starts_with('/'))
            && !lists.iter().any(|list| list.iter().any(|value| value == "*"));
    }
    provider
        .envoy_ext_authz_grpc
        .as_ref()
        .is_some_and(|grpc| reachable(&grpc.service, grpc.port, &grpc.status_on_error))
}

/// Empty, or one of the codes of Envoy's `StatusCode`.
fn known_status(status: &str) -> bool {
    const KNOWN: [(u16, u16); 11] = [
        (100, 100),
        (200, 208),
        (226, 226),
        (300, 305),
        (307, 308),
        (400, 417),
        (421, 424),
        (426, 426),
        (428, 429),
        (500, 508),
        (510, 511),
    ];
    status.is_empty()
        || status == "431"
        || status
            .parse::<u16>()
            .is_ok_and(|code| KNOWN.iter().any(|&(low, high)| low <= code && code <= high))
}
