//! Header operations (istiod: `TranslateHeadersOperations`; semantics: istio-networking 3.8).

use std::collections::BTreeMap;

use mesh_core::decide::unmodelled_operator;
use mesh_core::ir::{
    AppendAction, ClusterSpecifier, HeaderAdd, HeaderMutations, Route, RouteAction, WeightedCluster,
};

use crate::resource::http_route::Headers;

/// Header changes, and the authority if they set one.
#[derive(Debug, Default)]
pub(super) struct Operations {
    pub mutations: HeaderMutations,
    pub authority: Option<String>,
}

/// `set` before `add`, each sorted by name; Envoy removes before it adds.
pub(super) fn translate(headers: Option<&Headers>) -> Operations {
    let mut out = Operations::default();
    let Some(headers) = headers else { return out };
    if let Some(request) = &headers.request {
        out.mutations.request_add = additions(&request.set, &request.add);
        out.mutations.request_remove = removals(&request.remove);
        // In `set` and in `add`: the one in `set` wins.
        out.authority = authority(&request.set).or_else(|| authority(&request.add));
    }
    if let Some(response) = &headers.response {
        out.mutations.response_add = additions(&response.set, &response.add);
        out.mutations.response_remove = removals(&response.remove);
    }
    out
}

/// Appends `more` to `base`, as the headers of a single destination are appended to those of its route.
pub(super) fn append(base: &mut HeaderMutations, more: HeaderMutations) {
    base.request_add.extend(more.request_add);
    base.request_remove.extend(more.request_remove);
    base.response_add.extend(more.response_add);
    base.response_remove.extend(more.response_remove);
}

/// The first operator in header values of a route, or of its destinations, that is not modelled.
pub(super) fn unmodelled(route: &Route) -> Option<&str> {
    let entries: &[WeightedCluster] = match &route.action {
        RouteAction::Forward(forward) => match &forward.cluster {
            ClusterSpecifier::Weighted(entries) => entries,
            ClusterSpecifier::Cluster(_) => &[],
        },
        _ => &[],
    };
    let levels = entries.iter().map(|entry| &entry.headers).chain([&route.headers]);
    levels
        .flat_map(|level| level.request_add.iter().chain(&level.response_add))
        .find_map(|add| unmodelled_operator(&add.value))
}

fn additions(set: &BTreeMap<String, String>, add: &BTreeMap<String, String>) -> Vec<HeaderAdd> {
    let of = |map: &BTreeMap<String, String>, action| {
        map.iter()
            .filter(|(name, _)| !is_internal(name))
            .map(|(name, value)| HeaderAdd {
                name: name.to_ascii_lowercase().into(),
                value: value.as_str().into(),
                action,
            })
            .collect::<Vec<_>>()
    };
    let mut out = of(set, AppendAction::OverwriteIfExistsOrAdd);
    out.extend(of(add, AppendAction::AppendIfExistsOrAdd));
    out
}

fn removals(names: &[String]) -> Vec<mesh_core::Str> {
    names.iter().filter(|name| !is_internal(name)).map(|name| name.to_ascii_lowercase().into()).collect()
}

/// Envoy does not let these be changed as headers.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

fn authority(map: &BTreeMap<String, String>) -> Option<String> {
    map.iter()
        .filter(|(name, value)| {
            (name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host"))
                && !value.is_empty()
        })
        .map(|(_, value)| value.clone())
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::http_route::HeaderOperations;

    #[test]
    fn set_precedes_add_and_the_authority_is_taken_out() {
        let request = HeaderOperations {
            set: [("Host".into(), "set".into()), ("z".into(), "1".into())].into(),
            add: [(":authority".into(), "add".into()), ("A".into(), "2".into())].into(),
            remove: vec!["host".into(), "X-B".into()],
            ..HeaderOperations::default()
        };
        let got = translate(Some(&Headers { request: Some(request), ..Headers::default() }));
        assert_eq!(got.authority.as_deref(), Some("set"));
        let added: Vec<_> = got.mutations.request_add.iter().map(|h| h.name.as_ref()).collect();
        assert_eq!(added, ["z", "a"]);
        let removed: Vec<_> = got.mutations.request_remove.iter().map(AsRef::as_ref).collect();
        assert_eq!(removed, ["x-b"]);
    }
}
