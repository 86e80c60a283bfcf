//! Path normalization of the connection manager (semantics: envoy-routing 9.1, istio-security 4.9).
//!
//! Order: escaped slashes, RFC 3986 normalization, merging of slashes. The query is never touched. A path that is
//! already normal is not copied.

use std::borrow::Cow;

use crate::ids::OriginId;
use crate::ir::{EscapedSlashes, PathNormalization};
use crate::request::RequestHead;
use crate::response::LocalReply;

/// Rewrites the path of a head in place.
///
/// # Errors
/// The reply to a path that cannot be normalized, or that is answered by a redirect.
pub(super) fn normalize_path(rules: PathNormalization, head: &mut RequestHead) -> Result<(), LocalReply> {
    let (path, query) = match head.path.find('?') {
        Some(at) => head.path.split_at(at),
        None => (head.path.as_ref(), ""),
    };
    let rejected = || LocalReply::new(400, "path_normalization_failed", "", None, OriginId::NONE);
    let mut result = Cow::Borrowed(path);
    let mut redirect = false;
    if rules.escaped_slashes != EscapedSlashes::KeepUnchanged && has_escaped_slash(path) {
        match rules.escaped_slashes {
            EscapedSlashes::KeepUnchanged => {}
            EscapedSlashes::RejectRequest => return Err(rejected()),
            EscapedSlashes::UnescapeAndRedirect => redirect = true,
            EscapedSlashes::UnescapeAndForward => {}
        }
        result = Cow::Owned(unescape_slashes(path));
    }
    if rules.normalize_path {
        let bare = strip_dot_parameters(&result);
        let canonical = match rfc3986(&bare).ok_or_else(rejected)? {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        };
        let bare = match bare {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        };
        result = canonical.or(bare).map_or(result, Cow::Owned);
    }
    if rules.merge_slashes && result.contains("//") {
        result = Cow::Owned(merge_slashes(&result));
    }
    let Cow::Owned(text) = result else { return Ok(()) };
    let rewritten = format!("{text}{query}");
    if redirect {
        let mut reply = LocalReply::new(307, "path_normalization_failed", "", None, OriginId::NONE);
        reply.headers.push(("location".into(), rewritten.into()));
        return Err(reply);
    }
    head.path = rewritten.into();
    Ok(())
}

fn has_escaped_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(|w| escaped_slash(w).is_some())
}

/// The character behind `%2F`, `%5C` in either case.
fn escaped_slash(window: &[u8]) -> Option<u8> {
    match window {
        [b'%', b'2', b'f' | b'F', ..] => Some(b'/'),
        [b'%', b'5', b'c' | b'C', ..] => Some(b'\\'),
        _ => None,
    }
}

fn unescape_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let step = match escaped_slash(rest.as_bytes()) {
            Some(byte) => {
                out.push(char::from(byte));
                3
            }
            None => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = rest.get(step..).unwrap_or("");
    }
    out
}

/// A path of slashes only keeps two [run 1.40]. Envoy: source/common/http/path_utility.cc, `mergeSlashes`.
fn merge_slashes(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let front = if path.starts_with('/') { "/" } else { "" };
    let back = if path.ends_with('/') { "/" } else { "" };
    format!("{front}{}{back}", segments.join("/"))
}

/// Parameters of dot segments do not count since 1.40 (semantics: envoy-routing 9.1). This looks at the text before
/// anything is decoded: `/..;x/` is `/../`, `/%2e.;x/` is not [run 1.40].
fn strip_dot_parameters(path: &str) -> Cow<'_, str> {
    let is_dots = |segment: &str| segment.starts_with(".;") || segment.starts_with("..;");
    if !path.split('/').any(is_dots) {
        return Cow::Borrowed(path);
    }
    let bare = |segment: &'_ str| match segment.find(';') {
        Some(at) if is_dots(segment) => segment.get(..at).unwrap_or(segment).to_owned(),
        _ => segment.to_owned(),
    };
    Cow::Owned(path.split('/').map(bare).collect::<Vec<_>>().join("/"))
}

/// Backslashes become slashes, unreserved escapes are decoded, some characters are escaped, dot segments are resolved;
/// empty segments stay. `None` for `%00`. Envoy: source/common/http/path_utility.cc (url::CanonicalizePath).
fn rfc3986(path: &str) -> Option<Cow<'_, str>> {
    let bytes = path.as_bytes();
    if bytes.windows(3).any(|w| w == b"%00") {
        return None;
    }
    if !needs_rfc3986(bytes) {
        return Some(Cow::Borrowed(path));
    }
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let step = match unreserved_escape(rest.as_bytes()) {
            Some(byte) => {
                decoded.push(char::from(byte));
                3
            }
            None => {
                match first {
                    '\\' => decoded.push('/'),
                    _ if is_escaped(first) => decoded.push_str(&format!("%{:02X}", u32::from(first))),
                    _ => decoded.push(first),
                }
                first.len_utf8()
            }
        };
        rest = rest.get(step..).unwrap_or("");
    }
    Some(Cow::Owned(remove_dot_segments(&decoded)))
}

fn needs_rfc3986(bytes: &[u8]) -> bool {
    bytes.iter().any(|b| *b == b'\\' || is_escaped(char::from(*b)))
        || bytes.windows(3).any(|w| unreserved_escape(w).is_some())
        || bytes.windows(2).any(|w| w == b"/.")
}

/// Characters that normalization writes as escapes [run 1.40].
fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}')
}

/// The unreserved character behind an escape: letters, digits, `-._~`.
fn unreserved_escape(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |b: &u8| char::from(*b).to_digit(16);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)).then_some(byte)
}

fn remove_dot_segments(path: &str) -> String {
    let body = path.strip_prefix('/').unwrap_or(path);
    let mut kept: Vec<&str> = Vec::new();
    let mut trailing = false;
    for segment in body.split('/') {
        trailing = false;
        match segment {
            ".." => {
                kept.pop();
                trailing = true;
            }
            "." => trailing = true,
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if trailing || kept.is_empty() {
        out.push('/');
    }
    out
}
