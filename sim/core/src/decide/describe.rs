//! Why a route did not match, in words for `explain`.

use crate::decide::resolve::shown_header;
use crate::ir::{HeaderCondition, HeaderMatcher, PathMatch, RouteMatch, StringMatch, StringPattern};
use crate::matching::{RouteInput, RouteMiss, query_value};

/// The reason of a miss.
pub(super) fn describe_miss(route: &RouteMatch, miss: RouteMiss, input: &RouteInput<'_>) -> String {
    match miss {
        RouteMiss::Path => describe_path(&route.path, input.path_only),
        RouteMiss::Header(i) => match route.headers.get(i) {
            Some(matcher) => describe_header(matcher, input),
            None => "a header condition fails".to_owned(),
        },
        RouteMiss::Query(i) => match route.query.get(i) {
            Some(matcher) => {
                let shown = match query_value(input.path, &matcher.name) {
                    Some(value) => format!("is `{value}`"),
                    None => "is absent".to_owned(),
                };
                let wanted = match (&matcher.value, matcher.absent) {
                    (_, true) => "absent".to_owned(),
                    (Some(text), _) => wanted_text(text),
                    (None, _) => "present".to_owned(),
                };
                format!("query parameter `{}` {shown}, wanted {wanted}", matcher.name)
            }
            None => "a query condition fails".to_owned(),
        },
        RouteMiss::Metadata(i) => match route.metadata.get(i) {
            Some(matcher) if input.payload.is_none() => {
                format!("no verified token has the claim `{}`", matcher.path.join("."))
            }
            Some(matcher) => format!("the token's claim `{}` does not match", matcher.path.join(".")),
            None => "a claim condition fails".to_owned(),
        },
    }
}

fn describe_path(condition: &PathMatch, path: &str) -> String {
    match condition {
        PathMatch::Prefix(text) => format!("path `{path}` does not start with `{text}`"),
        PathMatch::Path(text) => format!("path `{path}` is not `{text}`"),
        PathMatch::PathSeparatedPrefix(text) => format!("path `{path}` is not below `{text}`"),
        PathMatch::Regex(regex) => {
            format!("path `{path}` as a whole does not match the regex `{}`", regex.source())
        }
    }
}

fn describe_header(matcher: &HeaderMatcher, input: &RouteInput<'_>) -> String {
    let shown = match shown_header(input.headers, &matcher.name) {
        Some(value) => format!("is `{value}`"),
        None => "is absent".to_owned(),
    };
    let wanted = match &matcher.condition {
        HeaderCondition::Present(present) => {
            (if *present == matcher.invert { "absent" } else { "present" }).to_owned()
        }
        HeaderCondition::Value(text) if matcher.invert => format!("not {}", wanted_text(text)),
        HeaderCondition::Value(text) => wanted_text(text),
        HeaderCondition::Range(start, end) => format!("a number from {start} up to {end}"),
    };
    format!("header `{}` {shown}, wanted {wanted}", matcher.name)
}

fn wanted_text(text: &StringMatch) -> String {
    let words = match &text.pattern {
        StringPattern::Exact(t) => format!("`{t}`"),
        StringPattern::Prefix(t) => format!("`{t}*`"),
        StringPattern::Suffix(t) => format!("`*{t}`"),
        StringPattern::Contains(t) => format!("`*{t}*`"),
        StringPattern::Regex(regex) => format!("the regex `{}`", regex.source()),
    };
    if text.ignore_case { format!("{words} in any case") } else { words }
}
