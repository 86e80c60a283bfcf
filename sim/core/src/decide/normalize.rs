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
        result = match rfc3986(&result).ok_or_else(rejected)? {
            Cow::Borrowed(_) => result,
            Cow::Owned(text) => Cow::Owned(text),
        };
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

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// Backslashes become slashes, unreserved escapes are decoded, dot segments are resolved; empty segments stay.
/// `None` for `%00`. Envoy: source/common/http/path_utility.cc (url::CanonicalizePath).
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
                decoded.push(if first == '\\' { '/' } else { first });
                first.len_utf8()
            }
        };
        rest = rest.get(step..).unwrap_or("");
    }
    Some(Cow::Owned(remove_dot_segments(&decoded)))
}

fn needs_rfc3986(bytes: &[u8]) -> bool {
    bytes.contains(&b'\\')
        || bytes.windows(3).any(|w| unreserved_escape(w).is_some())
        || bytes.windows(2).any(|w| w == b"/.")
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
        // `..;x` counts as `..` since 1.40 (semantics: envoy-routing 9.1, later findings)
        match segment.split(';').next() {
            Some("..") => {
                kept.pop();
                trailing = true;
            }
            Some(".") if segment == "." => trailing = true,
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
