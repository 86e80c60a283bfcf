//! Path conditions of routes (semantics: envoy-routing 2.2).

use crate::ir::PathMatch;

/// The part of `:path` that path conditions see: up to the first `?` or `#`.
#[must_use]
pub fn path_without_query(path: &str) -> &str {
    path.find(['?', '#']).and_then(|at| path.get(..at)).unwrap_or(path)
}

/// The text after the first `?`, up to a fragment.
#[must_use]
pub fn query_of(path: &str) -> Option<&str> {
    let query = path.split_once('?')?.1;
    Some(query.split_once('#').map_or(query, |(before, _)| before))
}

/// Whether the condition holds for a path without query. `case_sensitive` does not concern regexes.
#[must_use]
pub fn path_matches(condition: &PathMatch, case_sensitive: bool, path: &str) -> bool {
    let bytes = path.as_bytes();
    let same = |a: &[u8], b: &[u8]| if case_sensitive { a == b } else { a.eq_ignore_ascii_case(b) };
    let starts = |text: &str| bytes.get(..text.len()).is_some_and(|head| same(head, text.as_bytes()));
    match condition {
        PathMatch::Prefix(text) => starts(text),
        PathMatch::Path(text) => same(bytes, text.as_bytes()),
        PathMatch::PathSeparatedPrefix(text) => {
            starts(text) && bytes.get(text.len()).is_none_or(|next| *next == b'/')
        }
        PathMatch::Regex(regex) => regex.is_full_match(bytes),
    }
}
