//! How a local reply looks on the wire (semantics: envoy-routing 8).

use crate::ids::Str;
use crate::request::{Headers, RequestHead};
use crate::response::LocalReply;

/// Status on the wire, headers and body of a local reply to this request. gRPC requests get 200 with `grpc-status`.
/// Route mutations are not applied here: [`super::finalize_response`] does that.
#[must_use]
pub fn local_reply_for(head: &RequestHead, reply: &LocalReply) -> (u16, Headers, Str) {
    let mut headers = Headers::default();
    for (name, value) in &reply.headers {
        headers.append(name, value);
    }
    if head.is_grpc() {
        headers.set("content-type", "application/grpc");
        let status = reply.grpc_status.unwrap_or_else(|| grpc_status_of(reply.status));
        headers.append("grpc-status", &status.to_string());
        if !reply.body.is_empty() {
            headers.append("grpc-message", &grpc_message(&reply.body));
        }
        return (200, headers, "".into());
    }
    if !reply.body.is_empty() {
        headers.set("content-length", &reply.body.len().to_string());
        headers.set("content-type", "text/plain");
    }
    let body = if head.method.as_ref() == "HEAD" { "".into() } else { reply.body.clone() };
    (reply.status, headers, body)
}

/// semantics: envoy-routing 8.3
fn grpc_status_of(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// Percent-encodes as gRPC demands: bytes outside 0x20..0x7e, and `%`.
fn grpc_message(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    for byte in body.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f..=0xff => text.push_str(&format!("%{byte:02X}")),
            _ => text.push(char::from(byte)),
        }
    }
    text
}
