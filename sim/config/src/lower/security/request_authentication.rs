//! RequestAuthentications of one proxy as Envoy's JWT filter (semantics: istio-security 3, 5.8).

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::ids::Str;
use mesh_core::ir::{HttpFilter, Jwks, JwtAuthn, JwtProvider};

use super::attachment::{Scope, Workload};
use crate::lower::origin::OriginTable;
use crate::resource::meta::Object;
use crate::resource::request_authentication::{JwtRule, RequestAuthentication};

/// A policy as the inventory holds it.
pub type Policy = Arc<Object<RequestAuthentication>>;

/// The filter of a workload, none without rules. `gateway`: the route is chosen again after a good token.
#[must_use]
pub fn filter(
    policies: &[Policy],
    workload: Workload<'_>,
    root_namespace: &str,
    gateway: bool,
    fetched: &BTreeMap<String, Option<String>>,
    origins: &OriginTable,
) -> Option<HttpFilter> {
    let attached = |namespace: &str| {
        let own = policies.iter().filter(|policy| policy.meta.namespace == namespace);
        own.filter(|&policy| Scope::from(&**policy).covers(workload, root_namespace))
            .flat_map(|policy| &policy.spec.jwt_rules)
            .collect::<Vec<_>>()
    };
    // Of rules with the same issuer the workload's namespace comes first (istiod: `getConfigsForWorkload`).
    let mut rules = attached(workload.namespace);
    if workload.namespace != root_namespace {
        rules.extend(attached(root_namespace));
    }
    if rules.is_empty() {
        return None;
    }
    rules.sort_by(|a, b| a.issuer.cmp(&b.issuer));
    let providers = rules.iter().enumerate().map(|(i, rule)| provider(i, rule, fetched, origins)).collect();
    Some(HttpFilter::JwtAuthn(JwtAuthn {
        providers,
        bypass_cors_preflight: true,
        clear_route_cache: gateway,
    }))
}

fn provider(
    index: usize,
    rule: &JwtRule,
    fetched: &BTreeMap<String, Option<String>>,
    origins: &OriginTable,
) -> JwtProvider {
    let everywhere =
        rule.from_headers.is_empty() && rule.from_params.is_empty() && rule.from_cookies.is_empty();
    let (from_headers, from_params) = if everywhere {
        (vec![("authorization".into(), "Bearer ".into())], vec!["access_token".into()])
    } else {
        let headers = rule.from_headers.iter().map(|h| (lower(&h.name), h.prefix.as_str().into())).collect();
        (headers, texts(&rule.from_params))
    };
    JwtProvider {
        name: format!("origins-{index}").into(),
        issuer: rule.issuer.as_str().into(),
        audiences: texts(&rule.audiences),
        jwks: keys(rule, fetched),
        from_headers,
        from_params,
        from_cookies: texts(&rule.from_cookies),
        forward: rule.forward_original_token,
        forward_payload_header: (!rule.output_payload_to_header.is_empty())
            .then(|| lower(&rule.output_payload_to_header)),
        claim_to_headers: rule
            .output_claim_to_headers
            .iter()
            .map(|to| (lower(&to.header), to.claim.as_str().into()))
            .collect(),
        space_delimited_claims: texts(&rule.space_delimited_claims),
        taints: Vec::new(),
        origin: origins.id(rule.origin),
    }
}

/// Inline keys win, then the URI, then OpenID discovery at the issuer. istiod's fetch is not simulated: what it brings is
/// stated (`fetched`) or unknown.
fn keys(rule: &JwtRule, fetched: &BTreeMap<String, Option<String>>) -> Jwks {
    if !rule.jwks.is_empty() {
        return Jwks::Inline(rule.jwks.as_str().into());
    }
    let uri = match rule.jwks_uri.as_str() {
        "" => format!("{}/.well-known/openid-configuration", rule.issuer.trim_end_matches('/')),
        uri => uri.to_owned(),
    };
    match fetched.get(&uri).or_else(|| fetched.get("*")) {
        Some(Some(keys)) => Jwks::Inline(keys.as_str().into()),
        Some(None) => Jwks::Unreachable,
        None => Jwks::Remote(uri.into()),
    }
}

fn texts(values: &[String]) -> Vec<Str> {
    values.iter().map(|value| value.as_str().into()).collect()
}

fn lower(header: &str) -> Str {
    header.to_ascii_lowercase().into()
}
