//! The building blocks of all validators: names, hosts, ports, durations, exportTo, selectors
//! (semantics: istio-validation 2).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use mesh_core::re2::Regex;

use super::Findings;
use crate::resource::scalar::{Duration, Percent};
use crate::resource::selector::PolicyTargetReference;
use crate::source::Span;

/// A DNS label, upper case accepted.
pub(super) fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_wildcard_label(text: &str) -> bool {
    let rest = text.strip_prefix("*-").or_else(|| text.strip_prefix('*')).unwrap_or(text);
    text == "*" || is_label(rest)
}

/// Why a text is no FQDN; `None` if it is one.
pub(super) fn fqdn_problem(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > 255 {
        return Some(format!("`{text}` is not a domain name: it needs 1 to 255 characters"));
    }
    let labels: Vec<&str> = text.split('.').collect();
    let last = labels.len() - 1;
    for (i, label) in labels.iter().enumerate() {
        if i == last && i > 0 && label.is_empty() {
            continue;
        }
        if !is_label(label) {
            return Some(format!("`{text}` is not a domain name: `{label}` is not a DNS label"));
        }
        if i == last && !label.is_empty() && label.chars().all(|c| c.is_ascii_digit()) {
            return Some(format!("`{text}` is not a domain name: the top level `{label}` is a number"));
        }
    }
    None
}

/// Why a text is no wildcard domain.
pub(super) fn wildcard_domain_problem(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > 255 {
        return Some(format!("`{text}` is not a domain name: it needs 1 to 255 characters"));
    }
    match text.split_once('.') {
        None => (!is_wildcard_label(text)).then(|| format!("`{text}` is not a DNS label")),
        Some((first, rest)) => {
            if !is_wildcard_label(first) {
                return Some(format!("`{text}` is not a domain name: `{first}` is not a DNS label"));
            }
            fqdn_problem(rest).filter(|_| !rest.is_empty() || text.ends_with(".."))
        }
    }
}

/// `*foo.com`: a star that is neither alone nor a whole label.
pub(super) fn is_partial_wildcard(host: &str) -> bool {
    host.contains('*') && host != "*" && !host.starts_with("*.")
}

/// IP address, without zone.
pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// IP address, zone allowed as Go's netip does.
pub(super) fn is_ip_or_zoned(text: &str) -> bool {
    match text.split_once('%') {
        Some((ip, zone)) => !zone.is_empty() && ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_ip(text),
    }
}

/// CIDR.
pub(super) fn is_cidr(text: &str) -> bool {
    text.contains('/') && text.parse::<IpNet>().is_ok()
}

/// CIDR with one slash, address otherwise.
pub(super) fn is_subnet(text: &str) -> bool {
    if text.matches('/').count() == 1 { is_cidr(text) } else { is_ip_or_zoned(text) }
}

/// `unix://` addresses.
pub(super) fn unix_problem(text: &str) -> Option<String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.is_empty() {
        return Some("unix address must not be empty".to_owned());
    }
    if path.starts_with('@') {
        return (path.len() == 1).then(|| "abstract unix address needs a name after `@`".to_owned());
    }
    if !path.starts_with('/') {
        return Some(format!("`{text}` must be an absolute path"));
    }
    path.ends_with('/').then(|| format!("`{text}` is a directory, not a socket"))
}

/// 1..65535.
pub(super) fn port(f: &mut Findings<'_>, number: u32, span: Span, what: &str) {
    if !(1..=65535).contains(&number) {
        f.error(span, format!("{what} `{number}` must be in the range 1..65535"));
    }
}

/// A duration of at least one and whole milliseconds.
pub(super) fn duration(f: &mut Findings<'_>, value: Option<Duration>, span: Span, what: &str) {
    let Some(value) = value else { return };
    if value.ns < 1_000_000 {
        f.error(span, format!("{what} `{value}` must be at least 1ms"));
    } else if value.ns % 1_000_000 != 0 {
        f.error(span, format!("{what} `{value}` must be a whole number of milliseconds"));
    }
}

/// 0..100.
pub(super) fn percent(f: &mut Findings<'_>, value: i32, span: Span, what: &str) {
    if !(0..=100).contains(&value) {
        f.error(span, format!("{what} `{value}` must be in the range 0..100"));
    }
}

/// 0, or 0.0001..100.
pub(super) fn percentage(f: &mut Findings<'_>, value: Option<Percent>, span: Span, what: &str) {
    let Some(Percent { value }) = value else { return };
    if !(0.0..=100.0).contains(&value) || (value > 0.0 && value < 0.0001) {
        f.error(span, format!("{what} `{value}` must be 0 or in the range 0.0001..100"));
    }
}

/// RE2 in Go's dialect, 1 to 1024 bytes.
pub(super) fn regex(f: &mut Findings<'_>, text: &str, span: Span, what: &str) {
    if text.is_empty() {
        f.error(span, format!("{what}: a regex must not be empty"));
    } else if text.len() > 1024 {
        f.error(span, format!("{what}: a regex has at most 1024 bytes"));
    } else if let Err(why) = Regex::new(text) {
        f.error(span, format!("{what}: `{text}` is not a valid regex: {why}"));
    } else if has_single_byte_escape(text) {
        f.error(span, format!("{what}: `{text}` is not a valid regex: invalid escape sequence `\\C`"));
    }
}

/// `\C`, one byte: Envoy's RE2 knows it, Go's regexp, with which istiod checks, does not.
fn has_single_byte_escape(text: &str) -> bool {
    let mut bytes = text.bytes();
    let mut quoted = false;
    while let Some(b) = bytes.next() {
        match (b, if b == b'\\' { bytes.next() } else { None }) {
            (b'\\', Some(b'E')) => quoted = false,
            (b'\\', Some(b'Q')) => quoted = true,
            (b'\\', Some(b'C')) if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// RFC 7230 token.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Label keys and values of a selector or subset.
pub(super) fn labels(f: &mut Findings<'_>, labels: &BTreeMap<String, String>, span: Span) {
    for (key, value) in labels {
        if !is_label_key(key) {
            f.error(span, format!("`{key}` is not a label key"));
        }
        if !is_label_value(value) {
            f.error(span, format!("`{value}` is not a label value"));
        }
    }
}

fn is_label_name(text: &str) -> bool {
    text.len() <= 63 && is_qualified(text)
}

/// The shape of a label's name or value, of any length.
fn is_qualified(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b))
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => {
            !prefix.is_empty()
                && prefix.len() <= 253
                && prefix.split('.').all(is_label)
                && is_label_name(name)
        }
        None => is_label_name(key),
    }
}

/// istiod does not look at its length; the API server does where the value is a label of an object.
fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_qualified(value)
}

/// exportTo (semantics: istio-validation 2.2).
pub(super) fn export_to(
    f: &mut Findings<'_>,
    entries: &[String],
    span: Span,
    service_entry: bool,
    selector: bool,
) {
    let own = f.namespace().to_owned();
    let mut seen: Vec<&str> = Vec::new();
    for entry in entries {
        let known = matches!(entry.as_str(), "." | "*") || (entry == "~" && service_entry);
        if !known && !is_label(entry) {
            f.error(span, format!("exportTo `{entry}` is neither `.`, `*` nor a namespace"));
        }
        if seen.contains(&entry.as_str()) {
            f.error(span, format!("duplicate entry `{entry}` in exportTo"));
        }
        seen.push(entry);
        if selector && entry != "." && *entry != own {
            f.error(span, "exportTo of a rule with workloadSelector must be its own namespace");
        }
    }
    if seen.contains(&".") && seen.contains(&own.as_str()) {
        f.error(span, "exportTo names its own namespace twice, as `.` and by name");
    }
    for all in ["*", "~"] {
        if seen.contains(&all) && seen.len() > 1 {
            f.error(span, format!("exportTo `{all}` excludes every other entry"));
        }
    }
}

/// matchLabels of a policy (semantics: istio-validation 2.3).
pub(super) fn selector(f: &mut Findings<'_>, labels: Option<&BTreeMap<String, String>>, span: Span) {
    let Some(labels) = labels else { return };
    if labels.is_empty() {
        f.warn(span, "workload selector specified without labels");
    }
    wildcards(f, labels, span);
}

/// Keys and values without stars, keys not empty.
pub(super) fn wildcards(f: &mut Findings<'_>, labels: &BTreeMap<String, String>, span: Span) {
    for (key, value) in labels {
        if key.is_empty() {
            f.error(span, "empty key in the selector");
        }
        if key.contains('*') {
            f.error(span, format!("wildcard is not supported in the selector key `{key}`"));
        }
        if value.contains('*') {
            f.error(span, format!("wildcard is not supported in the selector value `{key}: {value}`"));
        }
    }
}

/// selector, targetRef and targetRefs of a policy.
pub(super) fn targets(
    f: &mut Findings<'_>,
    selector_span: Option<Span>,
    target_ref: Option<&PolicyTargetReference>,
    target_refs: &[PolicyTargetReference],
    span: Span,
) {
    let ways = [selector_span.is_some(), target_ref.is_some(), !target_refs.is_empty()];
    if ways.iter().filter(|&&given| given).count() > 1 {
        f.error(span, "only one of targetRefs or workloadSelector can be set");
    }
    for target in target_ref.into_iter().chain(target_refs) {
        if target.name.is_empty() {
            f.error(target.origin, "targetRef name must be set");
        }
        if !target.namespace.is_empty() {
            f.error(target.origin, "targetRef namespace must not be set");
        }
        let known = [
            ("", "Service"),
            ("core", "Service"),
            ("networking.istio.io", "ServiceEntry"),
            ("gateway.networking.k8s.io", "Gateway"),
            ("gateway.networking.k8s.io", "GatewayClass"),
        ];
        if !known.contains(&(target.group.as_str(), target.kind.as_str())) {
            f.error(
                target.origin,
                format!("targetRef to `{}/{}` is not supported", target.group, target.kind),
            );
        }
    }
}

/// Whether two host patterns overlap.
pub(super) fn hosts_match(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (None, None) => a == b,
        (Some(suffix), None) => b.ends_with(suffix),
        (None, Some(suffix)) => a.ends_with(suffix),
        (Some(x), Some(y)) => x.ends_with(y) || y.ends_with(x),
    }
}

/// Whether every host of `a` is covered by `b`.
pub(super) fn host_subset_of(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (_, None) => a == b,
        (None, Some(suffix)) => a.ends_with(suffix),
        (Some(x), Some(y)) => x.ends_with(y),
    }
}

/// Protocol words of ports (ServiceEntry, Sidecar, Gateway), in upper case; `None` = unknown.
pub(super) fn protocol(text: &str) -> Option<&'static str> {
    const WORDS: [&str; 12] = [
        "HTTP",
        "HTTP2",
        "HTTP_PROXY",
        "HTTPS",
        "GRPC",
        "GRPC-WEB",
        "TCP",
        "TLS",
        "UDP",
        "MONGO",
        "REDIS",
        "MYSQL",
    ];
    let upper = text.to_ascii_uppercase();
    WORDS.into_iter().find(|word| *word == upper || (*word == "GRPC-WEB" && upper.starts_with("GRPC-WEB")))
}

/// HTTP family.
pub(super) fn is_http(protocol: Option<&str>) -> bool {
    matches!(protocol, Some("HTTP" | "HTTP2" | "HTTP_PROXY" | "GRPC" | "GRPC-WEB"))
}

/// TLS family.
pub(super) fn is_tls(protocol: Option<&str>) -> bool {
    matches!(protocol, Some("HTTPS" | "TLS"))
}
