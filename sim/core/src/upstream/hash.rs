//! The hash policies of routes: what a consistent-hash pick is keyed by (semantics: envoy-upstream 4.6;
//! envoy-routing 3.11). Where the hash leads: `table.rs`.

use std::net::{IpAddr, SocketAddr};

use xxhash_rust::xxh64::xxh64;

use crate::ids::Str;
use crate::ir::HashPolicy;
use crate::request::RequestHead;

/// The outcome of a route's hash policies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHash {
    /// The hash; `None` = nothing to hash, the pick is random.
    pub hash: Option<u64>,
    /// The hash contains a generated cookie, hence the client's ephemeral port: to whoever does not know the port
    /// the pick is random.
    pub generated: bool,
    /// `set-cookie` values that the response gets for generated cookies.
    pub set_cookies: Vec<Str>,
}

/// Evaluates hash policies for a request (semantics: envoy-upstream 4.6). `source` is the downstream address after
/// X-Forwarded-For handling, `local` the address of the listener side of the connection.
#[must_use]
pub fn request_hash(
    policies: &[HashPolicy],
    head: &RequestHead,
    source: SocketAddr,
    local: SocketAddr,
) -> RequestHash {
    let mut result = RequestHash::default();
    for policy in policies {
        let new = match policy {
            HashPolicy::Header(name) => header_hash(head, name),
            HashPolicy::Cookie { name, ttl_ns, path, attributes } => match cookie(head, name) {
                Some(value) => Some(xxh64(value.as_bytes(), 0)),
                None => ttl_ns.map(|ttl_ns| {
                    let value = generated_cookie(source, local);
                    result.generated = true;
                    result.set_cookies.push(set_cookie(name, &value, ttl_ns, path, attributes));
                    xxh64(value.as_bytes(), 0)
                }),
            },
            HashPolicy::SourceIp => Some(source_ip_hash(source.ip())),
            HashPolicy::QueryParameter(name) => {
                query_parameter(&head.path, name).map(|value| xxh64(value.as_bytes(), 0))
            }
        };
        if let Some(new) = new {
            // Envoy: HashPolicyImpl::generateHash rotates so that order matters.
            result.hash = Some(result.hash.unwrap_or(0).rotate_left(1) ^ new);
        }
    }
    result
}

/// The hash of a TCP connection under `source_ip` (Envoy: Network::HashPolicyImpl).
#[must_use]
pub fn source_ip_hash(source: IpAddr) -> u64 {
    xxh64(source.to_string().as_bytes(), 0)
}

/// All values, sorted bytewise, each hash seeding the next.
fn header_hash(head: &RequestHead, name: &str) -> Option<u64> {
    let chain = |values: &mut dyn Iterator<Item = &str>| values.fold(0, |seed, v| xxh64(v.as_bytes(), seed));
    let single = match name {
        ":authority" | "host" => head.authority.as_deref(),
        ":path" => Some(head.path.as_ref()),
        ":method" => Some(head.method.as_ref()),
        ":scheme" => Some(head.scheme.as_ref()),
        _ => None,
    };
    if let Some(value) = single {
        return Some(xxh64(value.as_bytes(), 0));
    }
    let mut lines = head.headers.all(name);
    let first = lines.next()?;
    if lines.next().is_none() {
        return Some(xxh64(first.as_bytes(), 0));
    }
    let mut values: Vec<&str> = head.headers.all(name).collect();
    values.sort_unstable();
    Some(chain(&mut values.into_iter()))
}

/// Envoy: Http::Utility::parseCookieValue; an empty value counts as none.
fn cookie<'a>(head: &'a RequestHead, name: &str) -> Option<&'a str> {
    head.headers.all("cookie").find_map(|line| {
        line.split(';').find_map(|pair| {
            let (key, value) = pair.trim_start().split_once('=')?;
            let value = value.trim_end();
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            (key == name && !value.is_empty()).then_some(value)
        })
    })
}

/// Sixteen lower-case hex digits of the hash of both addresses, so that one connection keeps its host.
fn generated_cookie(source: SocketAddr, local: SocketAddr) -> String {
    format!("{:016x}", xxh64(format!("{source}{local}").as_bytes(), 0))
}

fn set_cookie(name: &str, value: &str, ttl_ns: u64, path: &str, attributes: &[(Str, Str)]) -> Str {
    let mut text = format!("{name}=\"{value}\"");
    if ttl_ns > 0 {
        text.push_str(&format!("; Max-Age={}", ttl_ns / 1_000_000_000));
    }
    if !path.is_empty() {
        text.push_str(&format!("; Path={path}"));
    }
    for (key, value) in attributes {
        text.push_str("; ");
        text.push_str(key);
        if !value.is_empty() {
            text.push_str(&format!("={value}"));
        }
    }
    text.push_str("; HttpOnly");
    text.into()
}

/// The first value of the parameter, undecoded.
fn query_parameter<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    let query = query.split('#').next().unwrap_or(query);
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}
