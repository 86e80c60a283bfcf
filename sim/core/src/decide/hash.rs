//! Hash policies of routes (semantics: envoy-routing 3.11). Envoy: source/common/http/hash_policy.cc.

use std::fmt::Write;
use std::net::IpAddr;

use xxhash_rust::xxh64::xxh64;

use crate::decide::GeneratedCookie;
use crate::decide::jwt_locations::cookie_value;
use crate::decide::view::{HeadView, Hop};
use crate::ir::HashPolicy;
use crate::matching::{HeaderSource, query_value};
use crate::request::RequestHead;

/// The hash of a request, and the cookie made up for it.
pub(super) fn hash_of(
    policies: &[HashPolicy],
    hop: &Hop<'_>,
    head: &RequestHead,
) -> (Option<u64>, Option<GeneratedCookie>) {
    let (mut hash, mut cookie): (Option<u64>, Option<GeneratedCookie>) = (None, None);
    for (i, policy) in policies.iter().enumerate() {
        let next = match policy {
            HashPolicy::Header(name) => header_hash(name, hop, head),
            HashPolicy::Cookie { name, ttl_ns, .. } => match (cookie_value(head, name), ttl_ns) {
                (Some(value), _) if !value.is_empty() => Some(text_hash(value)),
                (_, Some(_)) => {
                    let value = text_hash(&format!("{}{}", hop.conn.source, hop.conn.destination));
                    cookie = Some(GeneratedCookie { policy: i as u32, value });
                    Some(text_hash(&format!("{value:016x}")))
                }
                _ => None,
            },
            HashPolicy::SourceIp => Some(ip_hash(hop.conn.source.ip())),
            HashPolicy::QueryParameter(name) => query_value(&head.path, name).map(text_hash),
        };
        if let Some(next) = next {
            hash = Some(hash.map_or(0, |h| h.rotate_left(1)) ^ next);
        }
    }
    (hash, cookie)
}

/// xxHash64 with seed 0, Envoy's `HashUtil::xxHash64`.
pub(super) fn text_hash(text: &str) -> u64 {
    xxh64(text.as_bytes(), 0)
}

/// One line is hashed as it is; several are sorted, and each hash seeds the next.
fn header_hash(name: &str, hop: &Hop<'_>, head: &RequestHead) -> Option<u64> {
    let view = HeadView::new(*hop, head);
    let (mut first, mut count) = (0, 0u32);
    view.lines(name, &mut |line| {
        if count == 0 {
            first = text_hash(line);
        }
        count += 1;
        false
    });
    if count < 2 {
        return (count == 1).then_some(first);
    }
    let mut lines: Vec<String> = Vec::new();
    view.lines(name, &mut |line| {
        lines.push(line.to_owned());
        false
    });
    lines.sort_unstable();
    Some(lines.iter().fold(0, |seed, line| xxh64(line.as_bytes(), seed)))
}

/// The hash of an address without port, as text.
pub(super) fn ip_hash(ip: IpAddr) -> u64 {
    let mut text = ShortText { bytes: [0; 64], len: 0 };
    // an address is at most 45 bytes, so this cannot fail
    let _ = write!(text, "{ip}");
    xxh64(text.bytes.get(..text.len).unwrap_or(&[]), 0)
}

/// Text on the stack.
struct ShortText {
    bytes: [u8; 64],
    len: usize,
}

impl Write for ShortText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
