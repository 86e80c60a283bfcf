//! Delegation: the routes of another VirtualService merged into one http route (istiod: `MergeHTTPRoutes`; semantics:
//! istio-networking 3.1).

use std::collections::BTreeMap;

use crate::resource::http_match::{HttpMatchRequest, NamedMatches, StringMatch};
use crate::resource::http_route::HttpRoute;

/// The delegate's routes as they stand in place of the root route; those that conflict with it are left out.
pub(super) fn merge(root: &HttpRoute, delegate: &[HttpRoute]) -> Vec<HttpRoute> {
    delegate.iter().filter_map(|route| merge_route(root, route)).collect()
}

/// Whole fields: the delegate's, else the root's.
fn merge_route(root: &HttpRoute, delegate: &HttpRoute) -> Option<HttpRoute> {
    let mut out = delegate.clone();
    out.match_ = merge_matches(&root.match_, &delegate.match_)?;
    out.name = join(&root.name, &delegate.name);
    macro_rules! inherit {
        ($($field:ident),*) => {$(if out.$field.is_none() { out.$field.clone_from(&root.$field); })*};
    }
    inherit!(rewrite, direct_response, timeout, retries, fault, mirror, mirror_percent, mirror_percentage);
    inherit!(cors_policy, headers);
    if out.mirrors.is_empty() {
        out.mirrors.clone_from(&root.mirrors);
    }
    Some(out)
}

fn join(root: &str, delegate: &str) -> String {
    match (root, delegate) {
        ("", name) | (name, "") => name.to_owned(),
        _ => format!("{root}-{delegate}"),
    }
}

/// Every compatible pair, delegate-major; `None` if some delegate match is compatible with no root match.
fn merge_matches(root: &[HttpMatchRequest], delegate: &[HttpMatchRequest]) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() || delegate.is_empty() {
        return Some(if root.is_empty() { delegate } else { root }.to_vec());
    }
    let mut out = Vec::new();
    for leaf in delegate {
        let before = out.len();
        out.extend(root.iter().filter(|root| !conflicts(root, leaf)).map(|root| merge_match(root, leaf)));
        if out.len() == before {
            return None;
        }
    }
    Some(out)
}

fn merge_match(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> HttpMatchRequest {
    let mut out = leaf.clone();
    out.name = join(&root.name, &leaf.name);
    macro_rules! inherit {
        ($($field:ident),*) => {$(if out.$field.is_none() { out.$field.clone_from(&root.$field); })*};
    }
    inherit!(uri, scheme, method, authority);
    unite(&mut out.headers, &root.headers);
    unite(&mut out.without_headers, &root.without_headers);
    unite(&mut out.query_params, &root.query_params);
    unite(&mut out.source_labels, &root.source_labels);
    if out.port == 0 {
        out.port = root.port;
    }
    macro_rules! inherit_empty {
        ($($field:ident),*) => {$(if out.$field.is_empty() { out.$field.clone_from(&root.$field); })*};
    }
    inherit_empty!(source_namespace, gateways, stat_prefix);
    out
}

/// Adds what the delegate lacks.
fn unite<V: Clone>(leaf: &mut BTreeMap<String, V>, root: &BTreeMap<String, V>) {
    for (key, value) in root {
        leaf.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

fn conflicts(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> bool {
    let text = |root: Option<&StringMatch>, leaf: Option<&StringMatch>| {
        root.zip(leaf).is_some_and(|(root, leaf)| text_conflicts(root, leaf))
    };
    let maps = |root: &NamedMatches, leaf: &NamedMatches| {
        leaf.iter().any(|(key, leaf)| root.get(key).is_some_and(|root| text_conflicts(root, leaf)))
    };
    text(root.uri.as_ref(), leaf.uri.as_ref())
        || text(root.scheme.as_deref(), leaf.scheme.as_deref())
        || text(root.method.as_deref(), leaf.method.as_deref())
        || text(root.authority.as_deref(), leaf.authority.as_deref())
        || maps(&root.headers, &leaf.headers)
        || maps(&root.without_headers, &leaf.without_headers)
        || maps(&root.query_params, &leaf.query_params)
        || root.ignore_uri_case != leaf.ignore_uri_case
        || (root.port > 0 && leaf.port > 0 && root.port != leaf.port)
        || (!root.source_namespace.is_empty() && leaf.source_namespace != root.source_namespace)
        || leaf
            .source_labels
            .iter()
            .any(|(key, value)| root.source_labels.get(key).is_some_and(|v| v != value))
        || gateways_conflict(&root.gateways, &leaf.gateways)
}

fn gateways_conflict(root: &[String], leaf: &[String]) -> bool {
    !root.is_empty()
        && !leaf.is_empty()
        && (root.len() < leaf.len() || leaf.iter().any(|gateway| !root.contains(gateway)))
}

/// Only prefix over prefix, prefix over exact and equal exact texts are compatible; empty texts count as absent.
fn text_conflicts(root: &StringMatch, leaf: &StringMatch) -> bool {
    fn part(text: &Option<String>) -> &str {
        text.as_deref().unwrap_or_default()
    }
    let any = |m: &StringMatch| [&m.exact, &m.prefix, &m.regex].into_iter().any(|t| !part(t).is_empty());
    let (root_exact, root_prefix) = (part(&root.exact), part(&root.prefix));
    let (leaf_exact, leaf_prefix) = (part(&leaf.exact), part(&leaf.prefix));
    if (!part(&root.regex).is_empty() && any(leaf)) || (!part(&leaf.regex).is_empty() && any(root)) {
        return true;
    }
    if !root_exact.is_empty() {
        return !leaf_prefix.is_empty() || leaf_exact != root_exact;
    }
    if !root_prefix.is_empty() {
        if !leaf_prefix.is_empty() {
            return !leaf_prefix.starts_with(root_prefix);
        }
        if !leaf_exact.is_empty() {
            return !leaf_exact.starts_with(root_prefix);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> StringMatch {
        StringMatch { prefix: Some(text.into()), ..StringMatch::default() }
    }

    fn uri(text: &str) -> HttpMatchRequest {
        HttpMatchRequest { uri: Some(prefix(text)), ..HttpMatchRequest::default() }
    }

    #[test]
    fn prefixes_nest_and_names_join() {
        let root = HttpRoute { name: "r".into(), match_: vec![uri("/a"), uri("/b")], ..HttpRoute::default() };
        let leaf =
            HttpRoute { name: "d".into(), match_: vec![uri("/b/x"), uri("/a/y")], ..HttpRoute::default() };
        let merged = merge(&root, std::slice::from_ref(&leaf));
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].name, "r-d");
        let paths: Vec<_> = merged[0].match_.iter().map(|m| m.uri.clone()).collect();
        assert_eq!(paths, [Some(prefix("/b/x")), Some(prefix("/a/y"))]);
    }

    #[test]
    fn one_hopeless_match_drops_the_route() {
        let root = HttpRoute { match_: vec![uri("/a")], ..HttpRoute::default() };
        let leaf = HttpRoute { match_: vec![uri("/a/x"), uri("/c")], ..HttpRoute::default() };
        assert!(merge(&root, &[leaf]).is_empty());
    }

    #[test]
    fn regexes_conflict_with_everything() {
        let regex = StringMatch { regex: Some("a.*".into()), ..StringMatch::default() };
        assert!(text_conflicts(&regex, &prefix("/a")));
        assert!(text_conflicts(&prefix("/a"), &regex));
        assert!(!text_conflicts(&prefix("/a"), &prefix("/ab")));
        assert!(text_conflicts(&prefix("/ab"), &prefix("/a")));
    }
}
