//! Where redirects lead (semantics: envoy-routing 3.5).

use crate::decide::rewrite::replace_path;
use crate::ir::{Redirect, RedirectPath, Route};
use crate::matching::{path_without_query, without_port};
use crate::request::RequestHead;

/// `require_tls`: the same URL over https, port kept.
pub(super) fn ssl_location(head: &RequestHead) -> String {
    format!("https://{}{}", head.authority.as_deref().unwrap_or(""), head.path)
}

/// The `location` of a redirect. Always absolute. `scheme` is the request's `x-forwarded-proto`.
pub(super) fn location(route: &Route, redirect: &Redirect, scheme: &str, head: &RequestHead) -> String {
    let to_scheme = match (redirect.scheme.as_ref(), redirect.https) {
        ("", true) => "https",
        ("", false) => scheme,
        (wanted, _) => wanted,
    };
    let authority = head.authority.as_deref().unwrap_or("");
    let host = if redirect.host.is_empty() {
        kept_host(authority, scheme, to_scheme, redirect.port)
    } else {
        redirect.host.as_ref()
    };
    let port = if redirect.port == 0 { String::new() } else { format!(":{}", redirect.port) };
    format!("{to_scheme}://{host}{port}{}", target_path(route, redirect, head))
}

/// The request's host; its port goes when another is set, or when it is the old scheme's default and the scheme
/// changes. Envoy: source/common/http/utility.cc, `newUri`.
fn kept_host<'h>(authority: &'h str, scheme: &str, to_scheme: &str, to_port: u16) -> &'h str {
    let bare = without_port(authority);
    let port = authority.get(bare.len()..).unwrap_or("");
    let default_port = matches!((scheme, port), ("http", ":80") | ("https", ":443"));
    if to_port != 0 || (default_port && scheme != to_scheme) { bare } else { authority }
}

/// A `path_redirect` without leading slash gets one [run 1.40, recorded from Istio's `route_test.go`].
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn target_path(route: &Route, redirect: &Redirect, head: &RequestHead) -> String {
    let path = path_without_query(&head.path);
    let query = if redirect.strip_query { "" } else { head.path.get(path.len()..).unwrap_or("") };
    let changed = match &redirect.path {
        RedirectPath::Keep => path.to_owned(),
        // an empty `path_redirect` is none
        RedirectPath::Full(to) if to.is_empty() => path.to_owned(),
        RedirectPath::Full(to) if to.contains('?') => return absolute(to),
        RedirectPath::Full(to) => absolute(to),
        RedirectPath::Prefix(to) => replace_path(&route.matcher, path, to),
        RedirectPath::Regex(regex, substitution) => regex.replace_all(path, substitution),
    };
    format!("{changed}{query}")
}
