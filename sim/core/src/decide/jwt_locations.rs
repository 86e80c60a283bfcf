//! Where a provider's tokens stand in a request (semantics: istio-security 3.3).
//!
//! Envoy: source/extensions/filters/http/jwt_authn/extractor.cc.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::view::is_single_valued;
use crate::ids::Str;
use crate::ir::JwtProvider;
use crate::matching::{path_without_query, query_of};
use crate::request::RequestHead;

/// A token and its place.
pub(super) struct Found {
    /// The token's text.
    pub(super) token: String,
    /// Where it stood.
    pub(super) place: Place,
}

/// Where a token stands.
pub(super) enum Place {
    /// A header.
    Header(Str),
    /// A query parameter.
    Param(Str),
    /// A cookie; Envoy leaves those alone.
    Cookie,
}

/// All tokens of a provider's locations: headers, parameters, cookies, each kind in byte order.
pub(super) fn find_tokens(provider: &JwtProvider, head: &RequestHead) -> Vec<Found> {
    let mut found = Vec::new();
    let sorted: BTreeMap<String, &(Str, Str)> =
        provider.from_headers.iter().map(|at| (format!("{}{}", at.0, at.1), at)).collect();
    for (name, prefix) in sorted.into_values() {
        for line in header_values(head, name) {
            if let Some(token) = behind_prefix(&line, prefix) {
                found.push(Found { token: token.to_owned(), place: Place::Header(name.clone()) });
            }
        }
    }
    for name in provider.from_params.iter().collect::<BTreeSet<_>>() {
        let value = parameters(&head.path).remove(name.as_ref()).and_then(|values| values.into_iter().next());
        if let Some(token) = value {
            found.push(Found { token, place: Place::Param(name.clone()) });
        }
    }
    for name in provider.from_cookies.iter().collect::<BTreeSet<_>>() {
        if let Some(token) = cookie_value(head, name) {
            found.push(Found { token: token.to_owned(), place: Place::Cookie });
        }
    }
    found
}

/// Lines of a header, joined where Envoy keeps one value: two `authorization` lines make one malformed token.
fn header_values(head: &RequestHead, name: &str) -> Vec<String> {
    let lines: Vec<&str> = head.headers.all(name).collect();
    if lines.len() > 1 && is_single_valued(name) {
        return vec![lines.join(",")];
    }
    lines.into_iter().map(str::to_owned).collect()
}

/// The prefix may stand anywhere; the token begins at the next character a token can contain.
fn behind_prefix<'v>(value: &'v str, prefix: &str) -> Option<&'v str> {
    if prefix.is_empty() {
        return Some(value);
    }
    let after = value.get(value.find(prefix)? + prefix.len()..)?;
    let token_character = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // nothing that could be a token: Envoy takes the whole value, which then is malformed
    Some(after.find(token_character).and_then(|at| after.get(at..)).unwrap_or(value))
}

/// The first value of a cookie over all `cookie` lines, without surrounding quotes.
pub(super) fn cookie_value<'h>(head: &'h RequestHead, name: &str) -> Option<&'h str> {
    let pairs = head.headers.all("cookie").flat_map(|line| line.split(';'));
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| key.trim() == name)?.1.trim();
    Some(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
}

/// Decoded parameters, sorted by name as Envoy keeps them.
fn parameters(path: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for piece in query_of(path).unwrap_or("").split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        all.entry(percent_decoded(name)).or_default().push(percent_decoded(value));
    }
    all
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
        match (*first, digit(tail.first()), digit(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = tail.get(2..).unwrap_or(&[]);
            }
            (byte, ..) => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Takes an accepted token out of the request. A query is written anew: decoded and sorted.
pub(super) fn remove_token(place: &Place, head: &mut RequestHead) {
    match place {
        Place::Header(name) => head.headers.remove(name),
        Place::Param(name) => {
            let mut all = parameters(&head.path);
            all.remove(name.as_ref());
            let mut path = path_without_query(&head.path).to_owned();
            let pairs = all.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
            for (i, (name, value)) in pairs.enumerate() {
                path.push(if i == 0 { '?' } else { '&' });
                path.push_str(name);
                path.push('=');
                path.push_str(value);
            }
            head.path = path.into();
        }
        Place::Cookie => {}
    }
}
