//! Path rewrites of forwarded requests and redirects (semantics: envoy-routing 3.7).

use crate::ir::{PathMatch, PathRewrite, RouteMatch};
use crate::matching::path_without_query;

/// The path with the text that the route matched replaced: the configured prefix, or the whole path of a regex route.
pub(super) fn replace_path(matcher: &RouteMatch, path: &str, to: &str) -> String {
    let matched = match &matcher.path {
        PathMatch::Prefix(text) | PathMatch::Path(text) | PathMatch::PathSeparatedPrefix(text) => text.len(),
        PathMatch::Regex(_) => path.len(),
    };
    format!("{to}{}", path.get(matched..).unwrap_or(""))
}

/// The rewritten path with its query; `None` = the path stays and no `x-envoy-original-path` is added.
pub(super) fn rewrite(matcher: &RouteMatch, rewrite: &PathRewrite, path: &str) -> Option<String> {
    let only = path_without_query(path);
    let query = path.get(only.len()..).unwrap_or("");
    let changed = match rewrite {
        PathRewrite::Keep => return None,
        PathRewrite::Prefix(to) => replace_path(matcher, only, to),
        PathRewrite::Regex(regex, substitution) => regex.replace_all(only, substitution),
    };
    (!changed.is_empty()).then(|| format!("{changed}{query}"))
}
