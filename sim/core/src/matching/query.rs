//! `QueryParameterMatcher` (semantics: envoy-routing 2.4).

use crate::ir::QueryMatcher;
use crate::matching::{query_of, string_matches};

/// The first value of a parameter, undecoded; a name without `=` has an empty value.
#[must_use]
pub fn query_value<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    query_of(path)?.split('&').find_map(|piece| {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        (key == name).then_some(value)
    })
}

/// Whether the matcher holds for a path with its query.
#[must_use]
pub fn query_matches(matcher: &QueryMatcher, path: &str) -> bool {
    match (query_value(path, &matcher.name), &matcher.value) {
        (found, _) if matcher.absent => found.is_none(),
        (None, _) => false,
        (Some(_), None) => true,
        (Some(value), Some(text)) => string_matches(text, value),
    }
}
