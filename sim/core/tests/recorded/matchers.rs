//! String, header, query, metadata and RBAC matchers.

use mesh_core::OriginId;
use mesh_core::ir::*;
use mesh_core::re2::Regex;
use serde_json::Value;

use crate::json::*;

fn regex(value: &Value) -> Regex {
    Regex::new(text(value, "regex")).expect("a regex istiod emits")
}

pub(crate) fn string(value: &Value) -> StringMatch {
    let object = value.as_object().expect("a string matcher");
    let pattern = object.iter().find_map(|(key, v)| {
        let t = || v.as_str().unwrap_or("").into();
        Some(match key.as_str() {
            "exact" => StringPattern::Exact(t()),
            "prefix" => StringPattern::Prefix(t()),
            "suffix" => StringPattern::Suffix(t()),
            "contains" => StringPattern::Contains(t()),
            "safeRegex" => StringPattern::Regex(regex(v)),
            _ => return None,
        })
    });
    StringMatch {
        pattern: pattern.unwrap_or(StringPattern::Exact("".into())),
        ignore_case: flag(value, "ignoreCase"),
    }
}

pub(crate) fn header(value: &Value) -> HeaderMatcher {
    let condition = match (value.get("stringMatch"), value.get("presentMatch"), value.get("rangeMatch")) {
        (Some(s), ..) => HeaderCondition::Value(string(s)),
        (_, Some(p), _) => HeaderCondition::Present(p.as_bool().unwrap_or(true)),
        (_, _, Some(r)) => HeaderCondition::Range(number(r, "start") as i64, number(r, "end") as i64),
        _ => HeaderCondition::Present(true),
    };
    HeaderMatcher {
        name: text(value, "name").to_lowercase().into(),
        condition,
        invert: flag(value, "invertMatch"),
        treat_missing_as_empty: flag(value, "treatMissingHeaderAsEmpty"),
    }
}

pub(crate) fn query(value: &Value) -> QueryMatcher {
    QueryMatcher {
        name: text(value, "name").into(),
        value: value.get("stringMatch").map(string),
        absent: value.get("presentMatch").and_then(Value::as_bool) == Some(false),
    }
}

pub(crate) fn metadata(value: &Value) -> MetadataMatcher {
    MetadataMatcher {
        filter: text(value, "filter").into(),
        path: list(value, "path").iter().map(|p| text(p, "key").into()).collect(),
        value: value_match(at(value, "value")),
        invert: flag(value, "invert"),
    }
}

fn value_match(value: &Value) -> ValueMatch {
    if let Some(s) = value.get("stringMatch") {
        return ValueMatch::String(string(s));
    }
    if let Some(one) = value.get("listMatch") {
        return ValueMatch::ListOneOf(Box::new(value_match(at(one, "oneOf"))));
    }
    if value.get("orMatch").is_some() {
        return ValueMatch::Or(list(value, "orMatch/valueMatchers").iter().map(value_match).collect());
    }
    panic!("value matcher {value}")
}

pub(crate) fn rbac(config: &Value) -> Rbac {
    Rbac {
        rules: config.get("rules").map(rules),
        shadow_rules: config.get("shadowRules").map(rules),
        shadow_stat_prefix: text(config, "shadowRulesStatPrefix").into(),
    }
}

fn rules(value: &Value) -> RbacRules {
    let mut policies: Vec<RbacPolicy> = at(value, "policies")
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, policy)| RbacPolicy {
            name: name.as_str().into(),
            permissions: list(policy, "permissions").iter().map(permission).collect(),
            principals: list(policy, "principals").iter().map(principal).collect(),
            taints: vec![],
            origin: OriginId::NONE,
        })
        .collect();
    policies.sort_by(|a, b| a.name.cmp(&b.name));
    let action = match text(value, "action") {
        "DENY" => RbacAction::Deny,
        "LOG" => RbacAction::Log,
        _ => RbacAction::Allow,
    };
    RbacRules { action, policies }
}

fn cidr(value: &Value) -> ipnet::IpNet {
    let length = number(value, "prefixLen");
    format!("{}/{length}", text(value, "addressPrefix")).parse().expect("a prefix")
}

fn permission(value: &Value) -> Permission {
    let (key, v) = value.as_object().and_then(|o| o.iter().next()).expect("a permission");
    match key.as_str() {
        "any" => Permission::Any,
        "andRules" => Permission::And(list(v, "rules").iter().map(permission).collect()),
        "orRules" => Permission::Or(list(v, "rules").iter().map(permission).collect()),
        "notRule" => Permission::Not(Box::new(permission(v))),
        "header" => Permission::Header(header(v)),
        "urlPath" => Permission::UrlPath(string(at(v, "path"))),
        "uriTemplate" => Permission::UriTemplate(text(v, "typedConfig/pathTemplate").into()),
        "destinationPort" => Permission::DestinationPort(v.as_u64().unwrap_or(0) as u16),
        "destinationIp" => Permission::DestinationIp(cidr(v)),
        "requestedServerName" => Permission::RequestedServerName(string(v)),
        "metadata" => Permission::Metadata(metadata(v)),
        other => panic!("permission {other}"),
    }
}

fn principal(value: &Value) -> Principal {
    let (key, v) = value.as_object().and_then(|o| o.iter().next()).expect("a principal");
    match key.as_str() {
        "any" => Principal::Any,
        "andIds" => Principal::And(list(v, "ids").iter().map(principal).collect()),
        "orIds" => Principal::Or(list(v, "ids").iter().map(principal).collect()),
        "notId" => Principal::Not(Box::new(principal(v))),
        "authenticated" => Principal::Authenticated(string(at(v, "principalName"))),
        "directRemoteIp" => Principal::DirectRemoteIp(cidr(v)),
        "remoteIp" => Principal::RemoteIp(cidr(v)),
        "header" => Principal::Header(header(v)),
        "metadata" => Principal::Metadata(metadata(v)),
        other => panic!("principal {other}"),
    }
}
