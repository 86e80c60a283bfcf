//! HTTP routes of a VirtualService (semantics: istio-validation 3.1, H1-H27).

use std::collections::BTreeMap;

use super::Findings;
use super::blocks::{duration, is_label, is_token, labels, percentage, port, regex, wildcard_domain_problem};
use super::header_value;
use super::retry_on::retries;
use super::virtual_service::gateways_of_match;
use crate::resource::http_match::{HttpMatchRequest, StringMatch};
use crate::resource::http_route::{
    CorsPolicy, Destination, HeaderOperations, Headers, HttpDirectResponse, HttpFaultInjection, HttpRedirect,
    HttpRewrite, HttpRoute, RedirectPortSelection,
};
use crate::source::Span;

/// What the VirtualService around the route is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    /// It has no hosts: a delegate.
    pub(super) delegate: bool,
    /// It applies to sidecars.
    pub(super) mesh: bool,
    /// It applies to gateways.
    pub(super) gateway: bool,
}

/// One route.
pub(super) fn route(f: &mut Findings<'_>, http: &HttpRoute, around: Surroundings) {
    if let Some(delegate) = &http.delegate {
        if around.delegate {
            f.error(delegate.origin, "delegate virtual service must not itself delegate");
        }
        if http.redirect.is_some() {
            f.error(http.origin, "http route with a delegate cannot have a redirect");
        }
        if !http.route.is_empty() {
            f.error(http.origin, "http route with a delegate cannot have destinations");
        }
    } else {
        action(f, http);
    }
    let mirrored = http.mirror.is_some() && !http.mirrors.is_empty();
    if mirrored {
        f.error(http.origin, "HTTP route cannot contain both mirror and mirrors");
    }
    for m in &http.match_ {
        match_request(f, m, around);
    }
    if let Some(headers) = &http.headers {
        header_operations(f, headers);
    }
    authorities(f, http);
    if let Some(cors) = &http.cors_policy {
        cors_policy(f, cors);
    }
    if let Some(fault) = &http.fault {
        fault_injection(f, fault);
    }
    mirrors(f, http);
    destinations(f, http);
    if let Some(redirect) = &http.redirect {
        redirect_action(f, redirect, &http.match_);
    }
    if let Some(response) = &http.direct_response {
        direct_response(f, response);
    }
    if let Some(policy) = &http.retries {
        retries(f, policy);
    }
    if let Some(rewrite) = &http.rewrite {
        rewrite_action(f, rewrite);
    }
    if let Some(timeout) = &http.timeout {
        duration(f, Some(timeout.value), timeout.span, "timeout");
    }
}

fn action(f: &mut Findings<'_>, http: &HttpRoute) {
    let span = http.origin;
    if http.redirect.is_some() {
        if !http.route.is_empty() {
            f.error(span, "HTTP route cannot contain both route and redirect");
        }
        if http.fault.is_some() {
            f.error(span, "HTTP route cannot contain both fault and redirect");
        }
        if http.rewrite.is_some() {
            f.error(span, "HTTP route rule cannot contain both rewrite and redirect");
        }
        if http.direct_response.is_some() {
            f.error(span, "HTTP route rule cannot contain both direct_response and redirect");
        }
    } else if http.direct_response.is_some() {
        if !http.route.is_empty() {
            f.error(span, "HTTP route cannot contain both route and direct_response");
        }
        if http.fault.is_some() {
            f.error(span, "HTTP route cannot contain both fault and direct_response");
        }
        if http.rewrite.is_some() {
            f.error(span, "HTTP route rule cannot contain both rewrite and direct_response");
        }
    } else if http.route.is_empty() {
        f.error(span, "HTTP route, redirect or direct_response is required");
    }
}

fn match_request(f: &mut Findings<'_>, m: &HttpMatchRequest, around: Surroundings) {
    let span = m.origin;
    for (name, value) in &m.headers {
        header_name(f, name, span, around);
        pattern(f, value, &format!("header `{name}`"), false);
    }
    for (name, value) in &m.without_headers {
        header_name(f, name, span, around);
        let presence = value.regex.as_deref() == Some("*");
        if !presence {
            pattern(f, value, &format!("withoutHeaders `{name}`"), false);
        }
    }
    if let Some(uri) = &m.uri {
        pattern(f, uri, "uri", true);
    }
    for (what, value) in [("scheme", &m.scheme), ("method", &m.method), ("authority", &m.authority)] {
        if let Some(value) = value {
            pattern(f, value, what, false);
        }
    }
    for (name, value) in &m.query_params {
        pattern(f, value, &format!("query parameter `{name}`"), false);
    }
    if m.port != 0 {
        port(f, m.port, span, "port");
    }
    labels(f, &m.source_labels, span);
    gateways_of_match(f, &m.gateways, span);
    if !m.source_namespace.is_empty() && !is_label(&m.source_namespace) {
        f.error(span, format!("sourceNamespace `{}` is not a namespace", m.source_namespace));
    }
}

fn pattern(f: &mut Findings<'_>, value: &StringMatch, what: &str, empty_prefix: bool) {
    if value.prefix.as_deref() == Some("") && !empty_prefix {
        f.error(value.origin, format!("{what}: a prefix must not be empty"));
    }
    if let Some(text) = &value.regex {
        regex(f, text, value.origin, what);
    }
}

fn header_name(f: &mut Findings<'_>, name: &str, span: Span, around: Surroundings) {
    if name.starts_with("@request.auth.claims") {
        if around.mesh {
            f.error(span, "JWT claim based routing is only supported for gateways");
        }
        return;
    }
    let pseudo = [":method", ":scheme", ":authority", ":path", ":status"];
    if !is_token(name) && !pseudo.contains(&name) {
        f.error(span, format!("`{name}` is not a header name"));
    }
}

fn header_operations(f: &mut Findings<'_>, headers: &Headers) {
    if let Some(request) = &headers.request {
        operations(f, request, true);
    }
    if let Some(response) = &headers.response {
        operations(f, response, false);
    }
}

fn operations(f: &mut Findings<'_>, operations: &HeaderOperations, request: bool) {
    let span = operations.origin;
    for (name, value) in operations.set.iter().chain(&operations.add) {
        let host = name.eq_ignore_ascii_case("host") || name == ":authority";
        if name.is_empty() {
            f.error(span, "header name cannot be empty");
        } else if !(request && host) && (host || name.starts_with(':')) {
            f.error(span, format!("`{name}` must not be set by headers operations"));
        }
        header_value(f, value, span);
    }
    for name in &operations.remove {
        if name.is_empty() {
            f.error(span, "header name cannot be empty");
        } else if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
            f.error(span, format!("`{name}` must not be removed"));
        }
    }
}

/// No control characters, and `%` only as `%%` or a closed `%VAR%` (semantics: istio-validation H12).
fn header_value(f: &mut Findings<'_>, value: &str, span: Span) {
    if value.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        f.error(span, "a header value must not contain control characters");
    }
    if let Some(why) = header_value::problem(value) {
        f.error(span, format!("header value `{value}`: {why}"));
    }
}

fn authorities(f: &mut Findings<'_>, http: &HttpRoute) {
    let set = |map: &BTreeMap<String, String>| {
        map.keys().any(|k| k == ":authority" || k.eq_ignore_ascii_case("host"))
    };
    let request = http.headers.as_ref().and_then(|h| h.request.as_ref());
    let ways = [
        http.rewrite.as_ref().is_some_and(|r| !r.authority.is_empty()),
        request.is_some_and(|r| set(&r.set)),
        request.is_some_and(|r| set(&r.add)),
    ];
    if ways.iter().filter(|&&given| given).count() > 1 {
        f.error(http.origin, "authority header cannot be set multiple times");
    }
}

fn cors_policy(f: &mut Findings<'_>, cors: &CorsPolicy) {
    let span = cors.origin;
    for origin in &cors.allow_origins {
        let texts = [&origin.exact, &origin.prefix, &origin.regex];
        if texts.iter().all(|t| t.as_deref().unwrap_or_default().is_empty()) {
            f.error(origin.origin, "CORS allowOrigins: an origin must not be empty");
        }
        if let Some(text) = origin.regex.as_deref().filter(|t| !t.is_empty()) {
            regex(f, text, origin.origin, "allowOrigins");
        }
    }
    for method in &cors.allow_methods {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];
        if !known.contains(&method.as_str()) {
            f.error(span, format!("`{method}` is not a supported HTTP method"));
        }
    }
    for name in cors.allow_headers.iter().chain(&cors.expose_headers) {
        if !name.split(',').all(is_token) {
            f.error(span, format!("`{name}` is not a header name"));
        }
    }
    if let Some(age) = cors.max_age {
        duration(f, Some(age), span, "maxAge");
        if age.ns % 1_000_000_000 != 0 {
            f.error(span, "CORS maxAge must be a whole number of seconds");
        }
    }
}

fn fault_injection(f: &mut Findings<'_>, fault: &HttpFaultInjection) {
    if fault.abort.is_none() && fault.delay.is_none() {
        f.error(fault.origin, "HTTP fault injection must have an abort and/or a delay");
    }
    if let Some(abort) = &fault.abort {
        percentage(f, abort.percentage, abort.origin, "percentage");
        match (abort.http_status, &abort.grpc_status, &abort.http2_error) {
            (Some(status), _, _) => {
                if !(200..=600).contains(&status) {
                    f.error(abort.origin, format!("HTTP status `{status}` is not in the range 200..600"));
                }
            }
            (None, Some(name), _) => grpc_status(f, name, abort.origin),
            (None, None, Some(_)) => f.error(abort.origin, "HTTP/2 abort fault injection not supported yet"),
            // istiod would warn that the abort is dropped, but forgets warnings about faults.
            (None, None, None) => {}
        }
    }
    if let Some(delay) = &fault.delay {
        percentage(f, delay.percentage, delay.origin, "percentage");
        duration(f, delay.fixed_delay, delay.origin, "fixedDelay");
        if delay.exponential_delay.is_some() {
            f.error(delay.origin, "exponentialDelay is not supported");
        }
    }
}

fn grpc_status(f: &mut Findings<'_>, name: &str, span: Span) {
    let names = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    if !names.contains(&name) {
        f.error(span, format!("gRPC status `{name}` is not supported"));
    }
}

fn mirrors(f: &mut Findings<'_>, http: &HttpRoute) {
    if let Some(percent) = http.mirror_percent {
        if percent > 100 {
            f.error(http.origin, format!("mirrorPercent `{percent}` must not be above 100"));
        }
        f.warn(http.origin, "using deprecated setting `mirrorPercent`, use `mirrorPercentage` instead");
    }
    let in_range = |value: Option<crate::resource::scalar::Percent>| {
        value.is_none_or(|p| (0.0..=100.0).contains(&p.value))
    };
    if !in_range(http.mirror_percentage) {
        f.error(http.origin, "mirrorPercentage must be in the range 0..100");
    }
    for mirror in &http.mirrors {
        if !in_range(mirror.percentage) {
            f.error(mirror.origin, "mirror percentage must be in the range 0..100");
        }
        match &mirror.destination {
            Some(destination) => self::destination(f, destination),
            None => f.error(mirror.origin, "destination is required"),
        }
    }
    if let Some(mirror) = &http.mirror {
        destination(f, mirror);
    }
}

fn destinations(f: &mut Findings<'_>, http: &HttpRoute) {
    let mut total: i64 = 0;
    for route in &http.route {
        match &route.destination {
            Some(target) => destination(f, target),
            None => f.error(route.origin, "destination is required"),
        }
        if route.weight < 0 {
            f.error(route.origin, format!("weight `{}` must not be negative", route.weight));
        }
        total += i64::from(route.weight);
        if let Some(headers) = &route.headers {
            header_operations(f, headers);
        }
    }
    if http.route.len() > 1 && total == 0 {
        f.error(http.origin, "total destination weight must not be 0");
    }
}

/// One destination of any protocol.
pub(super) fn destination(f: &mut Findings<'_>, destination: &Destination) {
    if destination.host == "*" {
        f.error(destination.origin, "destination host must not be a wildcard");
    } else if let Some(why) = wildcard_domain_problem(&destination.host) {
        f.error(destination.origin, format!("destination host: {why}"));
    }
    if !destination.subset.is_empty() && !is_label(&destination.subset) {
        f.error(destination.origin, format!("subset `{}` is not a DNS label", destination.subset));
    }
    if let Some(selected) = &destination.port {
        port(f, selected.number, selected.origin, "port");
    }
}

fn redirect_action(f: &mut Findings<'_>, redirect: &HttpRedirect, matches: &[HttpMatchRequest]) {
    let span = redirect.origin;
    if !redirect.uri.is_empty() && !redirect.prefix_rewrite.is_empty() {
        f.error(span, "redirect must not specify both uri and prefixRewrite");
    }
    if !redirect.prefix_rewrite.is_empty() {
        for m in matches {
            if m.uri.as_ref().is_some_and(|u| u.prefix.is_none()) {
                f.error(m.origin, "prefixRewrite requires all uri matches to be prefixes");
            }
        }
    }
    let derived = redirect.derive_port == Some(RedirectPortSelection::FromRequestPort);
    let nothing = redirect.uri.is_empty()
        && redirect.authority.is_empty()
        && redirect.port.is_none()
        && redirect.derive_port.is_none()
        && !derived
        && redirect.scheme.is_empty()
        && redirect.prefix_rewrite.is_empty();
    if nothing {
        f.error(span, "redirect must specify uri, authority, scheme, port or prefixRewrite");
    }
    if redirect.redirect_code != 0 && !(300..=399).contains(&redirect.redirect_code) {
        f.error(span, format!("redirect code `{}` must be a 3xx", redirect.redirect_code));
    }
    if !redirect.scheme.is_empty() && !matches!(redirect.scheme.as_str(), "http" | "https") {
        f.error(span, format!("invalid redirect scheme `{}`, must be `http` or `https`", redirect.scheme));
    }
    if let Some(number) = redirect.port {
        port(f, number, span, "redirect port");
    }
}

fn direct_response(f: &mut Findings<'_>, response: &HttpDirectResponse) {
    if !(200..=600).contains(&response.status) {
        f.error(response.origin, format!("HTTP status `{}` is not in the range 200..600", response.status));
    }
    let size = response.body.as_ref().map_or(0, |body| {
        body.string.as_ref().map_or(0, String::len) + body.bytes.as_ref().map_or(0, |b| b.len() / 4 * 3)
    });
    if size > 1 << 20 {
        f.error(response.origin, "direct response body must be at most 1 MiB");
    } else if size > 100 << 10 {
        f.warn(response.origin, "large direct response bodies affect the control plane's performance");
    }
}

fn rewrite_action(f: &mut Findings<'_>, rewrite: &HttpRewrite) {
    let span = rewrite.origin;
    if !rewrite.uri.is_empty() && rewrite.uri_regex_rewrite.is_some() {
        f.error(span, "rewrite may only contain one of uri or uriRegexRewrite");
    }
    if rewrite.uri.is_empty() && rewrite.uri_regex_rewrite.is_none() && rewrite.authority.is_empty() {
        f.error(span, "rewrite must specify at least one of uri, authority, or uriRegexRewrite");
    }
    if let Some(regexed) = &rewrite.uri_regex_rewrite {
        if regexed.match_.is_empty() || regexed.rewrite.is_empty() {
            f.error(regexed.origin, "uriRegexRewrite requires both match and rewrite");
        } else {
            regex(f, &regexed.match_, regexed.origin, "uriRegexRewrite");
        }
    }
}
