//! Rules of a VirtualService that can never be used, and matches that earlier ones take away
//! (semantics: istio-validation 3.2; IST0130, IST0131).

use std::collections::BTreeMap;

use super::Findings;
use crate::diagnostic::codes;
use crate::resource::http_match::{HttpMatchRequest, NamedMatches, StringMatch};
use crate::resource::http_route::HttpRoute;
use crate::resource::virtual_service::VirtualService;
use crate::source::Span;

/// One match of one route, reduced to what the check compares.
struct Match {
    key: String,
    name: String,
    span: Span,
}

struct Rule {
    name: String,
    span: Span,
    matches: Vec<Match>,
}

/// Warns about unreachable rules and ineffective matches of all three lists.
pub(super) fn check(vs: &VirtualService, f: &mut Findings<'_>) {
    let http: Vec<Rule> = vs
        .http
        .iter()
        .map(|r| Rule {
            name: r.name.clone(),
            span: r.origin,
            matches: r
                .match_
                .iter()
                .map(|m| Match { key: key(m), name: m.name.clone(), span: m.origin })
                .collect(),
        })
        .collect();
    let covered = list(f, "http", &http);
    prefixes(f, &vs.http, &covered);
    let tls: Vec<Rule> = vs
        .tls
        .iter()
        .map(|r| Rule {
            name: String::new(),
            span: r.origin,
            matches: r
                .match_
                .iter()
                .map(|m| Match { key: blank(m), name: String::new(), span: m.origin })
                .collect(),
        })
        .collect();
    list(f, "tls", &tls);
    let tcp: Vec<Rule> = vs
        .tcp
        .iter()
        .map(|r| Rule {
            name: String::new(),
            span: r.origin,
            matches: r
                .match_
                .iter()
                .map(|m| Match { key: blank(m), name: String::new(), span: m.origin })
                .collect(),
        })
        .collect();
    list(f, "tcp", &tcp);
}

/// The text of a match without its name and places.
fn key(m: &HttpMatchRequest) -> String {
    let mut m = m.clone();
    m.name.clear();
    blank(&m)
}

/// Debug text with every `origin` blanked: two matches are the same wherever they were written.
fn blank(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("origin: ") {
        out.push_str(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + "origin: ".len()..).unwrap_or_default();
        rest = after.get(after.find([',', '}']).unwrap_or(after.len())..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn shown(name: &str, index: usize) -> String {
    if name.is_empty() { format!("#{index}") } else { format!("{name:?}") }
}

/// Returns which (route, match) pairs need no further look.
fn list(f: &mut Findings<'_>, _what: &str, rules: &[Rule]) -> Vec<(usize, usize)> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut empty = false;
    let mut covered = Vec::new();
    for (i, rule) in rules.iter().enumerate() {
        let name = shown(&rule.name, i);
        if rule.matches.is_empty() {
            if empty {
                let text =
                    format!("virtualService rule {name} not used (only the last rule can have no matches)");
                f.warn_as(codes::UNREACHABLE_RULE, rule.span, text);
            }
            empty = true;
            continue;
        }
        let mut duplicates = 0;
        for (n, m) in rule.matches.iter().enumerate() {
            if empty {
                covered.push((i, n));
                let text =
                    format!("virtualService rule {name} not used (route without matches defined before)");
                // Once per match, as istiod does.
                f.warn_as(codes::UNREACHABLE_RULE, m.span, text);
                continue;
            }
            if let Some(&first) = seen.get(m.key.as_str()) {
                duplicates += 1;
                covered.push((i, n));
                let other = shown(rules.get(first).map_or("", |r| r.name.as_str()), first);
                let text = format!(
                    "virtualService rule {name} match {} is not used (duplicate/overlapping match in rule {other})",
                    shown(&m.name, n)
                );
                f.warn_as(codes::INEFFECTIVE_MATCH, m.span, text);
            } else {
                seen.insert(&m.key, i);
            }
        }
        if duplicates == rule.matches.len() {
            let text = format!("virtualService rule {name} not used (all matches used by prior rules)");
            f.warn_as(codes::UNREACHABLE_RULE, rule.span, text);
        }
    }
    covered
}

/// A later prefix that an earlier, shorter one takes.
fn prefixes(f: &mut Findings<'_>, routes: &[HttpRoute], covered: &[(usize, usize)]) {
    let mut earlier: Vec<(usize, usize, &HttpMatchRequest, &str)> = Vec::new();
    for (i, route) in routes.iter().enumerate() {
        for (n, m) in route.match_.iter().enumerate() {
            let Some(prefix) = m.uri.as_ref().and_then(|u| u.prefix.as_deref()).filter(|p| !p.is_empty())
            else {
                continue;
            };
            if covered.contains(&(i, n)) {
                continue;
            }
            for &(j, k, first, first_prefix) in &earlier {
                if prefix != first_prefix && prefix.starts_with(first_prefix) && covers(first, m) {
                    let a = shown(&routes.get(j).map_or(String::new(), |r| r.name.clone()), j);
                    let text = format!(
                        "virtualService rule {} match {} of prefix {prefix} is not used (duplicate/overlapping match of prefix {first_prefix} in rule {a} match {})",
                        shown(&route.name, i),
                        shown(&m.name, n),
                        shown(&first.name, k)
                    );
                    f.warn_as(codes::INEFFECTIVE_MATCH, m.origin, text);
                }
            }
            earlier.push((i, n, m, prefix));
        }
    }
}

/// A text with its kind; regexes count as empty.
fn tagged(value: Option<&StringMatch>) -> String {
    match value {
        Some(StringMatch { exact: Some(text), .. }) => format!("exact:{text}"),
        Some(StringMatch { prefix: Some(text), .. }) => format!("prefix:{text}"),
        _ => String::new(),
    }
}

fn covers(a: &HttpMatchRequest, b: &HttpMatchRequest) -> bool {
    let method = |m: &HttpMatchRequest| match &m.method {
        None => "exact:GET".to_owned(),
        some => tagged(some.as_deref()),
    };
    let starts = |x: &str, y: &str| x == y || x.starts_with(y);
    a.port == b.port
        && starts(&method(a), &method(b))
        && starts(&tagged(a.authority.as_deref()), &tagged(b.authority.as_deref()))
        && map_covers(&a.headers, &b.headers)
        && map_covers(&a.query_params, &b.query_params)
        && map_covers(&a.without_headers, &b.without_headers)
}

fn map_covers(a: &NamedMatches, b: &NamedMatches) -> bool {
    a.len() == b.len()
        && a.iter().all(|(name, x)| {
            b.get(name).is_some_and(|y| {
                let (x, y) = (tagged(Some(x)), tagged(Some(y)));
                x == y || x.starts_with(&y)
            })
        })
}
