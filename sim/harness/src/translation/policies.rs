//! RBAC and JWT filters as Envoy prints them.

use ipnet::IpNet;
use mesh_core::ir::{Jwks, JwtAuthn, JwtProvider, Permission, Principal, Rbac, RbacAction, RbacRules};
use serde_json::{Map, Value, json};

use super::matchers::{header, metadata, string};
use super::shape::{Object, list, texts};

/// The filter's configuration. Actions are always written: ALLOW is the default of the API.
pub(super) fn rbac(filter: &Rbac) -> Value {
    Object::new()
        .put("rules", filter.rules.as_ref().map(rules))
        .put("shadowRules", filter.shadow_rules.as_ref().map(rules))
        .put("shadowRulesStatPrefix", filter.shadow_stat_prefix.as_ref())
        .done()
}

fn rules(rules: &RbacRules) -> Value {
    let action = match rules.action {
        RbacAction::Allow => "ALLOW",
        RbacAction::Deny => "DENY",
        RbacAction::Log => "LOG",
    };
    let policies: Map<String, Value> = rules
        .policies
        .iter()
        .map(|policy| {
            let body = json!({
                "permissions": list(&policy.permissions, permission),
                "principals": list(&policy.principals, principal),
            });
            (policy.name.to_string(), body)
        })
        .collect();
    Object::new().always("action", action).put("policies", policies).done()
}

fn permission(permission_: &Permission) -> Value {
    match permission_ {
        Permission::Any => json!({"any": true}),
        Permission::And(all) => json!({"andRules": {"rules": list(all, permission)}}),
        Permission::Or(any) => json!({"orRules": {"rules": list(any, permission)}}),
        Permission::Not(not) => json!({"notRule": permission(not)}),
        Permission::Header(matcher) => json!({"header": header(matcher)}),
        Permission::UrlPath(path) => json!({"urlPath": {"path": string(path)}}),
        Permission::UriTemplate(template) => json!({"uriTemplate": {
            "name": "uri-template", "typedConfig": {"pathTemplate": template.as_ref()}}}),
        Permission::DestinationPort(port) => json!({"destinationPort": port}),
        Permission::DestinationIp(net) => json!({"destinationIp": cidr(net)}),
        Permission::RequestedServerName(name) => json!({"requestedServerName": string(name)}),
        Permission::Metadata(matcher) => json!({"metadata": metadata(matcher)}),
    }
}

fn principal(principal_: &Principal) -> Value {
    match principal_ {
        Principal::Any => json!({"any": true}),
        Principal::And(all) => json!({"andIds": {"ids": list(all, principal)}}),
        Principal::Or(any) => json!({"orIds": {"ids": list(any, principal)}}),
        Principal::Not(not) => json!({"notId": principal(not)}),
        Principal::Authenticated(name) => json!({"authenticated": {"principalName": string(name)}}),
        Principal::DirectRemoteIp(net) => json!({"directRemoteIp": cidr(net)}),
        Principal::RemoteIp(net) => json!({"remoteIp": cidr(net)}),
        Principal::Header(matcher) => json!({"header": header(matcher)}),
        Principal::Metadata(matcher) => json!({"metadata": metadata(matcher)}),
    }
}

/// A prefix; length 0 is left out.
pub(super) fn cidr(net: &IpNet) -> Value {
    Object::new().put("addressPrefix", net.addr().to_string()).put("prefixLen", net.prefix_len()).done()
}

/// The filter's configuration: the requirement tree is what Istio always makes of its providers.
pub(super) fn jwt(filter: &JwtAuthn) -> Value {
    let providers: Map<String, Value> = filter
        .providers
        .iter()
        .map(|p| (p.name.to_string(), provider(p, filter.clear_route_cache)))
        .collect();
    Object::new().put("bypassCorsPreflight", filter.bypass_cors_preflight).put("providers", providers).done()
}

fn provider(provider: &JwtProvider, clear_route_cache: bool) -> Value {
    let key = |name: &str, value: Value| {
        let mut map = Map::new();
        map.insert(name.to_owned(), value);
        map
    };
    let jwks = match &provider.jwks {
        Jwks::Inline(keys) => key("localJwks", json!({"inlineString": keys.as_ref()})),
        Jwks::Unreachable => key("localJwks", json!("unreachable")),
        Jwks::Remote(uri) => key("remoteJwks", json!({"httpUri": {"uri": uri.as_ref()}})),
    };
    let mut claims: Vec<&str> = vec!["permission", "scope"];
    claims.extend(provider.space_delimited_claims.iter().map(AsRef::as_ref));
    claims.sort_unstable();
    claims.dedup();
    let mut out = Object::new()
        .put("issuer", provider.issuer.as_ref())
        .put("audiences", texts(&provider.audiences))
        .put(
            "fromHeaders",
            list(&provider.from_headers, |(name, prefix)| {
                Object::new().put("name", name.as_ref()).put("valuePrefix", prefix.as_ref()).done()
            }),
        )
        .put("fromParams", texts(&provider.from_params))
        .put("fromCookies", texts(&provider.from_cookies))
        .put("forward", provider.forward)
        .put("forwardPayloadHeader", provider.forward_payload_header.as_deref())
        .put(
            "claimToHeaders",
            list(
                &provider.claim_to_headers,
                |(header, claim)| json!({"headerName": header.as_ref(), "claimName": claim.as_ref()}),
            ),
        )
        .put("clearRouteCache", clear_route_cache)
        .put("normalizePayloadInMetadata", json!({"spaceDelimitedClaims": claims}))
        .put("payloadInMetadata", "payload");
    for (name, value) in jwks {
        out = out.put(&name, value);
    }
    out.done()
}
