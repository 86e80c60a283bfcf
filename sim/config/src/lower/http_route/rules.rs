//! Rules of an HTTPRoute as http routes of a VirtualService (istiod: `convertHTTPRoute`, `sortHTTPRoutes`).

use std::collections::BTreeMap;

use crate::decode::Spanned;
use crate::document::RawObject;
use crate::lower::regexes::quote_meta;
use crate::mesh::registry::service_host;
use crate::resource::http_match::{HttpMatchRequest, NamedMatches, StringMatch};
use crate::resource::http_route::{
    CorsPolicy, Destination, HeaderOperations, Headers, HttpDirectResponse, HttpMirrorPolicy, HttpRedirect,
    HttpRetry, HttpRewrite, HttpRoute, HttpRouteDestination, PortSelector, RedirectPortSelection,
    RegexRewrite, UnmatchedPreflights,
};
use crate::resource::kubernetes_http_route::{
    BackendReference, Cors, Filter, Header, HeaderChanges, Match, NamedMatch, PathModifier, RequestMirror,
    RequestRedirect, Retry, Rule, Timeouts, UrlRewrite,
};
use crate::resource::scalar::{Duration, Percent};
use crate::source::Span;

/// Whether rules lead to things this simulator does not know: backends that are no services.
pub(super) fn has_unsimulated(rules: &[Rule]) -> bool {
    let mirrors = |filter: &Filter| filter.request_mirror.as_ref().map(|m| m.backend_ref.clone());
    rules.iter().any(|rule| {
        rule.backend_refs
            .iter()
            .cloned()
            .chain(rule.filters.iter().filter_map(mirrors))
            .any(|backend| backend_kind(&backend).is_none())
    })
}

/// One http route per match, in the order of the rules; `None` when one of them is an error.
pub(super) fn translate(object: &RawObject, rules: &[Rule]) -> Option<Vec<HttpRoute>> {
    let mut out = Vec::new();
    for (position, rule) in rules.iter().enumerate() {
        let name = match &rule.name {
            Some(name) => name.clone(),
            None => format!("{}.{}.{position}", object.namespace, object.name),
        };
        let route = action(&object.namespace, rule, name)?;
        // The CRD's default
        let any = [Match { origin: rule.origin, ..Match::default() }];
        let matches = if rule.matches.is_empty() { &any[..] } else { &rule.matches };
        for m in matches {
            out.push(HttpRoute { match_: vec![condition(m)?], ..route.clone() });
        }
    }
    sort(&mut out);
    Some(out)
}

/// Exact paths, then prefixes, then patterns; longer before shorter; with a method before without; more headers, then more
/// query parameters first.
pub(super) fn sort(routes: &mut [HttpRoute]) {
    routes.sort_by_key(|route| std::cmp::Reverse(route.match_.first().map(precision)));
}

/// Rank and length of the path, method, numbers of headers and of query parameters.
type Precision = (i8, usize, bool, usize, usize);

fn precision(m: &HttpMatchRequest) -> Precision {
    let (rank, length) = match &m.uri {
        Some(StringMatch { exact: Some(text), .. }) => (3, text.len()),
        Some(StringMatch { prefix: Some(text), .. }) => (2, text.len()),
        Some(StringMatch { regex: Some(text), .. }) => (1, text.len()),
        _ => (-1, 0),
    };
    (rank, length, m.method.is_some(), m.headers.len(), m.query_params.len())
}

fn condition(m: &Match) -> Option<HttpMatchRequest> {
    let path = m.path.clone().unwrap_or_default();
    let value = path.value.unwrap_or_else(|| "/".to_owned());
    let uri = match path.type_.as_deref().unwrap_or("PathPrefix") {
        "PathPrefix" if value == "/" => StringMatch { prefix: Some(value), ..StringMatch::default() },
        "PathPrefix" => {
            let prefix = value.strip_suffix('/').unwrap_or(&value).to_owned();
            StringMatch { prefix: Some(prefix), ..StringMatch::default() }
        }
        "Exact" => StringMatch { exact: Some(value), ..StringMatch::default() },
        "RegularExpression" => StringMatch { regex: Some(value), ..StringMatch::default() },
        _ => return None,
    };
    let exact =
        |text: &String| StringMatch { exact: Some(text.clone()), origin: m.origin, ..StringMatch::default() };
    Some(HttpMatchRequest {
        uri: Some(StringMatch { origin: m.origin, ..uri }),
        method: m.method.as_ref().map(exact).map(Box::new),
        headers: named(&m.headers, m.origin)?,
        query_params: named(&m.query_params, m.origin)?,
        origin: m.origin,
        ..HttpMatchRequest::default()
    })
}

fn named(list: &[NamedMatch], origin: Span) -> Option<NamedMatches> {
    let mut out = NamedMatches::new();
    for m in list {
        let value = Some(m.value.clone());
        let condition = match m.type_.as_deref().unwrap_or("Exact") {
            "Exact" => StringMatch { exact: value, origin, ..StringMatch::default() },
            "RegularExpression" => StringMatch { regex: value, origin, ..StringMatch::default() },
            _ => return None,
        };
        out.insert(m.name.clone(), Box::new(condition));
    }
    Some(out)
}

/// Everything of a rule but its conditions.
fn action(namespace: &str, rule: &Rule, name: String) -> Option<HttpRoute> {
    let mut route = HttpRoute { name, origin: rule.origin, ..HttpRoute::default() };
    for filter in &rule.filters {
        match filter.type_.as_str() {
            "RequestHeaderModifier" | "ResponseHeaderModifier" => modify(filter, &mut route.headers)?,
            "RequestRedirect" => {
                route.redirect = filter.request_redirect.as_ref().map(redirect).map(Box::new)
            }
            "RequestMirror" => {
                // A mirror to nowhere is left out; the rest of the route stands.
                let to = filter.request_mirror.as_ref();
                route.mirrors.extend(to.and_then(|to| mirror(namespace, to)));
            }
            "URLRewrite" => route.rewrite = filter.url_rewrite.as_ref().and_then(rewrite).map(Box::new),
            "CORS" => route.cors_policy = filter.cors.as_ref().map(cors).map(Box::new),
            _ => return None,
        }
    }
    route.retries = rule.retry.as_ref().map(retries).map(Box::new);
    timeouts(rule.timeouts.unwrap_or_default(), rule.origin, &mut route);
    let weight = |backend: &BackendReference| backend.weight.unwrap_or(1);
    if rule.backend_refs.iter().all(|backend| weight(backend) == 0) && route.redirect.is_none() {
        let origin = rule.origin;
        route.direct_response = Some(Box::new(HttpDirectResponse { status: 500, body: None, origin }));
        return Some(route);
    }
    let used: Vec<_> = rule.backend_refs.iter().filter(|backend| weight(backend) != 0).collect();
    for backend in &used {
        let mut headers = None;
        for filter in &backend.filters {
            if !matches!(filter.type_.as_str(), "RequestHeaderModifier" | "ResponseHeaderModifier") {
                return None;
            }
            modify(filter, &mut headers)?;
        }
        route.route.push(HttpRouteDestination {
            destination: Some(destination(namespace, backend)?),
            weight: if used.len() == 1 { 0 } else { weight(backend) },
            headers,
            origin: backend.origin,
        });
    }
    Some(route)
}

/// Which backends are known; `None` for the others.
fn backend_kind(backend: &BackendReference) -> Option<&'static str> {
    let group = backend.group.as_deref().unwrap_or_default();
    match (group, backend.kind.as_deref().unwrap_or("Service")) {
        ("", "Service") => Some("Service"),
        ("networking.istio.io", "Hostname") => Some("Hostname"),
        _ => None,
    }
}

/// `None` is an error of the whole route.
fn destination(namespace: &str, backend: &BackendReference) -> Option<Destination> {
    let host = match backend_kind(backend)? {
        "Service" if backend.name.contains('.') => return None,
        "Service" => service_host(&backend.name, backend.namespace.as_deref().unwrap_or(namespace)),
        _ if backend.namespace.is_some() => return None,
        _ => backend.name.clone(),
    };
    let origin = backend.origin;
    let port = Some(PortSelector { number: backend.port?, origin });
    Some(Destination { host, port, origin, ..Destination::default() })
}

fn modify(filter: &Filter, headers: &mut Option<Box<Headers>>) -> Option<()> {
    if let Some(changes) = &filter.request_header_modifier
        && filter.type_ == "RequestHeaderModifier"
    {
        headers.get_or_insert_default().request = Some(operations(changes)?);
    }
    if let Some(changes) = &filter.response_header_modifier
        && filter.type_ == "ResponseHeaderModifier"
    {
        headers.get_or_insert_default().response = Some(operations(changes)?);
    }
    Some(())
}

fn operations(changes: &HeaderChanges) -> Option<HeaderOperations> {
    let valid = |h: &Header| h.value.bytes().all(|b| b == b'\t' || (b >= 0x20 && b != 0x7f));
    if !changes.set.iter().chain(&changes.add).all(valid) {
        return None;
    }
    // Of equal names the first counts.
    let lines = |list: &[Header]| {
        let mut out = BTreeMap::new();
        for h in list {
            out.entry(h.name.to_ascii_lowercase()).or_insert_with(|| h.value.clone());
        }
        out
    };
    Some(HeaderOperations {
        set: lines(&changes.set),
        add: lines(&changes.add),
        remove: changes.remove.clone(),
        origin: changes.origin,
    })
}

fn mirror(namespace: &str, to: &RequestMirror) -> Option<HttpMirrorPolicy> {
    let fraction = |f: crate::resource::kubernetes_http_route::Fraction| {
        100.0 * f64::from(f.numerator) / f64::from(f.denominator.unwrap_or(100))
    };
    let value = to.fraction.map(fraction).or(to.percent.map(f64::from));
    Some(HttpMirrorPolicy {
        destination: Some(destination(namespace, &to.backend_ref)?),
        percentage: value.map(|value| Percent { value }),
        origin: to.origin,
    })
}

fn redirect(to: &RequestRedirect) -> HttpRedirect {
    let derived = match to.scheme {
        Some(_) => RedirectPortSelection::FromProtocolDefault,
        None => RedirectPortSelection::FromRequestPort,
    };
    let path = to.path.clone().unwrap_or_default();
    HttpRedirect {
        uri: path.replace_full_path.filter(|_| path.type_ == FULL).unwrap_or_default(),
        prefix_rewrite: path.replace_prefix_match.filter(|_| path.type_ == PREFIX).unwrap_or_default(),
        authority: to.hostname.clone().unwrap_or_default(),
        scheme: to.scheme.clone().unwrap_or_default(),
        port: to.port,
        derive_port: to.port.is_none().then_some(derived),
        // The CRD's default
        redirect_code: to.status_code.unwrap_or(302),
        origin: to.origin,
    }
}

const FULL: &str = "ReplaceFullPath";
const PREFIX: &str = "ReplacePrefixMatch";

fn rewrite(to: &UrlRewrite) -> Option<HttpRewrite> {
    let mut out = HttpRewrite { origin: to.origin, ..HttpRewrite::default() };
    match &to.path {
        Some(PathModifier { type_, replace_prefix_match, .. }) if type_ == PREFIX => {
            let prefix = replace_prefix_match.as_deref().unwrap_or_default();
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            out.uri = if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() };
        }
        Some(PathModifier { type_, replace_full_path, .. }) if type_ == FULL => {
            out.uri_regex_rewrite = Some(RegexRewrite {
                match_: "/.*".to_owned(),
                rewrite: replace_full_path.clone().unwrap_or_default(),
                origin: to.origin,
            });
        }
        _ => {}
    }
    out.authority = to.hostname.clone().unwrap_or_default();
    let nothing = out.uri.is_empty() && out.uri_regex_rewrite.is_none() && out.authority.is_empty();
    (!nothing).then_some(out)
}

/// What any origin looks like.
const ANY_ORIGIN: &str = r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s?#]+$";
/// The CRD's default, in seconds.
const MAX_AGE: i64 = 5;

fn cors(rules: &Cors) -> CorsPolicy {
    let age = rules.max_age.unwrap_or(MAX_AGE);
    CorsPolicy {
        allow_origins: rules
            .allow_origins
            .iter()
            .filter(|o| !o.is_empty())
            .map(|o| StringMatch { origin: rules.origin, ..allowed_origin(o) })
            .collect(),
        allow_methods: rules.allow_methods.clone(),
        allow_headers: rules.allow_headers.clone(),
        expose_headers: rules.expose_headers.clone(),
        max_age: (age > 0).then(|| Duration::from_ns(age.saturating_mul(1_000_000_000))),
        allow_credentials: rules.allow_credentials.filter(|allowed| *allowed),
        unmatched_preflights: UnmatchedPreflights::Ignore,
        origin: rules.origin,
        ..CorsPolicy::default()
    }
}

fn allowed_origin(text: &str) -> StringMatch {
    let regex = |pattern: String| StringMatch { regex: Some(pattern), ..StringMatch::default() };
    match text.strip_suffix('*') {
        Some("") => regex(ANY_ORIGIN.to_owned()),
        Some(start) if !start.contains('*') => {
            StringMatch { prefix: Some(start.to_owned()), ..StringMatch::default() }
        }
        _ if !text.contains('*') => StringMatch { exact: Some(text.to_owned()), ..StringMatch::default() },
        _ => {
            let parts: Vec<String> = text.split('*').map(quote_meta).collect();
            regex(format!("^{}$", parts.join(".*")))
        }
    }
}

fn retries(retry: &Retry) -> HttpRetry {
    let attempts = retry.attempts.unwrap_or(2);
    let mut on: Vec<String> =
        ["connect-failure", "refused-stream", "unavailable", "cancelled"].map(str::to_owned).into();
    on.extend(retry.codes.iter().map(u32::to_string));
    HttpRetry {
        attempts,
        retry_on: if attempts == 0 { String::new() } else { on.join(",") },
        backoff: retry.backoff,
        origin: retry.origin,
        ..HttpRetry::default()
    }
}

/// A timeout per try needs retries; without them it is the whole request's.
fn timeouts(timeouts: Timeouts, origin: Span, route: &mut HttpRoute) {
    let given = |d: Option<Duration>| d.filter(|d| d.ns != 0);
    let spanned = |value: Duration| Spanned { value, span: origin };
    route.timeout = given(timeouts.request).map(spanned);
    if let Some(each) = given(timeouts.backend_request) {
        match &mut route.retries {
            Some(retries) => retries.per_try_timeout = Some(each),
            None => route.timeout = Some(spanned(each)),
        }
    }
}
