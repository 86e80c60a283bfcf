//! How a local reply looks on the wire (semantics: envoy-routing 8).
//!
//! Envoy: source/common/http/filter_manager.cc (`sendLocalReply`) and utility.cc (`prepareLocalReply`).

use crate::decide::{HttpDecision, HttpOutcome, mutate};
use crate::ids::Str;
use crate::ir::{RouteAction, Snapshot};
use crate::request::{Headers, RequestHead};
use crate::response::{LocalReply, ReplyBy};

/// Status on the wire, headers and body of a local reply to this request, whoever makes it: the response headers of the
/// matched route are applied. gRPC requests get 200 with `grpc-status`.
///
/// `head` is the head that [`super::decide_http`] left, `sent` the one that went upstream, if one did.
#[must_use]
pub fn local_reply_for(
    snapshot: &Snapshot,
    decision: &HttpDecision,
    head: &RequestHead,
    sent: Option<&RequestHead>,
    reply: &LocalReply,
) -> (u16, Headers, Str) {
    let mut headers = Headers::default();
    let own =
        |headers: &mut Headers| reply.headers.iter().for_each(|(name, value)| headers.append(name, value));
    if reply.by == ReplyBy::Itself {
        own(&mut headers);
        return (reply.status, headers, reply.body.clone());
    }
    let mutated =
        |headers: &mut Headers| mutate::response(snapshot, decision, sent.unwrap_or(head), 0, headers);
    // Redirects and direct responses are no route entries: the router applies their headers, after its `location`.
    let is_entry =
        decision.route(snapshot).is_some_and(|route| matches!(route.action, RouteAction::Forward(_)));
    if is_entry {
        mutated(&mut headers);
    }
    own(&mut headers);
    if !is_entry && decision.by_router && matches!(decision.outcome, HttpOutcome::Reply(_)) {
        mutated(&mut headers);
    }
    let is_head = head.method.as_ref() == "HEAD";
    if head.is_grpc() && reply.by != ReplyBy::Codec {
        headers.set("content-type", "application/grpc");
        if !headers.has("grpc-status") {
            let status = reply.grpc_status.unwrap_or_else(|| grpc_status_of(reply.status));
            headers.append("grpc-status", &status.to_string());
        }
        if !reply.body.is_empty() && !is_head {
            headers.set("grpc-message", &grpc_message(&reply.body));
        }
        return (200, headers, "".into());
    }
    if reply.body.is_empty() {
        headers.remove("content-type");
        headers.remove("content-length");
    } else {
        headers.set("content-length", &reply.body.len().to_string());
        if !headers.has("content-type") {
            headers.append("content-type", "text/plain");
        }
    }
    let body = if is_head { "".into() } else { reply.body.clone() };
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
