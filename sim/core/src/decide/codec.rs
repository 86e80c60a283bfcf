//! What the codec and the connection manager refuse before any route or filter (semantics: envoy-routing 1.1, 2.2,
//! 9.4, 9.5).

use crate::decide::view::Hop;
use crate::ids::OriginId;
use crate::request::{FirstBytes, Headers, Protocol, RequestHead};
use crate::response::{LocalReply, ReplyBy, ResponseFlag};

/// `max_request_headers_kb` (60).
const MAX_HEADER_BYTES: usize = 60 * 1024;
/// `max_headers_count` (100).
const MAX_HEADER_LINES: usize = 100;

/// Methods of the HTTP/1 codec. Envoy: source/common/http/http1/balsa_parser.cc, `isMethodValid`.
const METHODS: &[&str] = &[
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// The answer to bytes that are no HTTP on a chain that ends in the connection manager.
#[must_use]
pub fn not_http() -> LocalReply {
    codec_error(400, "http1.codec_error", "Bad Request")
}

fn codec_error(status: u16, details: &str, body: &str) -> LocalReply {
    let mut reply = LocalReply::new(status, details, body, Some(ResponseFlag::DPE), OriginId::NONE);
    reply.close = true;
    reply.by = ReplyBy::Codec;
    reply
}

fn refusal(status: u16, details: &str) -> LocalReply {
    LocalReply::new(status, details, "", None, OriginId::NONE)
}

/// The refusal of a request head, if any.
pub(super) fn refuse(hop: &Hop<'_>, head: &RequestHead) -> Option<LocalReply> {
    let wire_is_tls = hop.conn.tls.is_some() && !hop.tls;
    if wire_is_tls || !matches!(hop.conn.bytes, FirstBytes::Http(_)) {
        return Some(not_http());
    }
    if head.protocol != Protocol::Http2
        && let Some(reply) = refuse_http1(hop, head)
    {
        return Some(reply);
    }
    if head.authority.is_none() {
        return Some(refusal(400, "missing_host_header"));
    }
    if head.path.contains('#') {
        return Some(refusal(400, "path_normalization_failed"));
    }
    if head.method.as_ref() == "QUERY" && !head.headers.has("content-type") {
        return Some(refusal(400, "query_missing_content_type"));
    }
    if !head.path.starts_with('/') && head.method.as_ref() != "CONNECT" {
        return Some(refusal(404, "absolute_path_rejected"));
    }
    None
}

fn refuse_http1(hop: &Hop<'_>, head: &RequestHead) -> Option<LocalReply> {
    let method = head.method.as_ref();
    if !METHODS.contains(&method) {
        return Some(not_http());
    }
    match head.path.as_ref() {
        "*" if method == "OPTIONS" => {}
        "*" => return Some(codec_error(400, "http1.invalid_url", "Bad Request")),
        path if path.bytes().any(|b| b == b' ' || b == b'\t' || b >= 0x80) => return Some(not_http()),
        path if path.bytes().any(|b| b.is_ascii_control()) => return Some(invalid_characters()),
        path if !path.starts_with('/') && method != "CONNECT" => return Some(not_http()),
        _ => {}
    }
    if let Some(reply) = refuse_header_lines(head) {
        return Some(reply);
    }
    if head.protocol == Protocol::Http10 && !hop.hcm.accept_http_10 {
        return Some(codec_error(426, "low_version", "Upgrade Required"));
    }
    let authority = head.authority.as_deref().unwrap_or_default();
    if !authority.bytes().all(is_authority_byte) {
        return Some(codec_error(400, "http.invalid_authority", "Bad Request"));
    }
    if method == "CONNECT" && !has_port(authority) {
        return Some(codec_error(400, "http1.invalid_url", "Bad Request"));
    }
    None
}

fn has_port(authority: &str) -> bool {
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

fn invalid_characters() -> LocalReply {
    codec_error(400, "http1.invalid_characters", "Bad Request")
}

/// Limits count the Host line too.
fn refuse_header_lines(head: &RequestHead) -> Option<LocalReply> {
    let headers = &head.headers;
    let host = head.authority.as_ref().map(|host| "host".len() + host.len());
    let bytes: usize = headers.0.iter().map(|(name, value)| name.len() + value.len()).chain(host).sum();
    if bytes > MAX_HEADER_BYTES {
        return Some(codec_error(431, "http1.headers_too_large", "Request Header Fields Too Large"));
    }
    if headers.0.len() + usize::from(host.is_some()) > MAX_HEADER_LINES {
        return Some(codec_error(431, "http1.too_many_headers", "Request Header Fields Too Large"));
    }
    let bad_name = |name: &str| name.is_empty() || !name.bytes().all(is_token_byte);
    if headers.0.iter().any(|(name, _)| bad_name(name)) {
        return Some(not_http());
    }
    let bad_value = |value: &str| value.bytes().any(|b| b.is_ascii_control() && b != b'\t');
    if headers.0.iter().any(|(_, value)| bad_value(value)) {
        return Some(invalid_characters());
    }
    refuse_framing(headers)
}

/// `content-length` and `transfer-encoding`.
fn refuse_framing(headers: &Headers) -> Option<LocalReply> {
    let mut lengths = headers.all("content-length");
    let length = lengths.next();
    if let Some(text) = length
        && (text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) || lengths.next().is_some())
    {
        return Some(not_http());
    }
    let encoding = headers.first("transfer-encoding")?;
    if !encoding.eq_ignore_ascii_case("chunked") {
        return Some(codec_error(501, "http1.invalid_transfer_encoding", "Not Implemented"));
    }
    let details = "http1.content_length_and_chunked_not_allowed";
    length.map(|_| codec_error(400, details, "Bad Request"))
}

/// Envoy: nghttp2's `VALID_AUTHORITY_CHARS`; an empty authority is fine.
fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(&byte)
}

/// RFC 9110 `tchar`.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The upgrade type a head asks for. `h2c` is ignored. Envoy: source/common/http/utility.cc, `isUpgrade`.
pub(super) fn upgrade_of(head: &RequestHead) -> Option<&str> {
    if head.protocol == Protocol::Http2 {
        return None;
    }
    let mut tokens = head.headers.all("connection").flat_map(|line| line.split(','));
    if !tokens.any(|token| token.trim().eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    head.headers.first("upgrade").filter(|kind| !kind.is_empty() && !kind.eq_ignore_ascii_case("h2c"))
}

/// The 403 for an upgrade the listener does not accept.
pub(super) fn refuse_upgrade(hop: &Hop<'_>, head: &RequestHead) -> Option<LocalReply> {
    let kind = upgrade_of(head)?;
    let accepted = hop.hcm.upgrades.iter().any(|u| u.eq_ignore_ascii_case(kind));
    (!accepted).then(|| refusal(403, "upgrade_failed"))
}
