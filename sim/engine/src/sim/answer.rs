//! What applications answer: the recorder's echo, or what the plan says.

use mesh_core::Str;
use mesh_core::request::{Headers, Protocol, RequestHead};

use crate::record::Response;

/// A call's head with headers of the served request copied to it; `None` when there are none to copy.
pub(super) fn propagate(head: &RequestHead, from: &RequestHead, keep: &[Str]) -> Option<RequestHead> {
    let lines = || from.headers.0.iter().filter(|(n, _)| keep.contains(n) && !head.headers.has(n));
    lines().next()?;
    let mut copy = head.clone();
    copy.headers.0.extend(lines().cloned());
    Some(copy)
}

/// The recorder's application; `None` = it resets the connection.
pub(super) fn echo(head: &RequestHead, bare: bool) -> Option<Response> {
    if head.headers.first("x-echo-reset").is_some_and(|v| v.trim() == "1") {
        return None;
    }
    let status = head.headers.first("x-echo").and_then(|v| v.trim().parse::<u16>().ok()).unwrap_or(200);
    let mut extra = Headers::default();
    for pair in head.headers.all("x-echo-header") {
        if let Some((name, value)) = pair.split_once('=') {
            extra.append(&name.trim().to_ascii_lowercase(), value.trim());
        }
    }
    Some(fixed(head, status, extra, 100, None, bare))
}

/// An answer with this status; a `bare` one has no headers but those asked for.
pub(super) fn fixed(
    head: &RequestHead,
    status: u16,
    extra: Headers,
    body_bytes: u64,
    grpc_status: Option<u32>,
    bare: bool,
) -> Response {
    let mut headers = Headers::default();
    let grpc = head.is_grpc();
    if !bare && !extra.has("content-type") {
        headers.append("content-type", if grpc { "application/grpc" } else { "application/json" });
    }
    headers.0.extend(extra.0);
    let grpc_status = if grpc { grpc_status.or(Some(0)) } else { grpc_status };
    // HTTP/1.1 servers have no trailers to put it in.
    let grpc_in_headers = grpc_status.is_some() && (body_bytes == 0 || head.protocol != Protocol::Http2);
    if let (Some(code), true) = (grpc_status, grpc_in_headers) {
        headers.set("grpc-status", &code.to_string());
    }
    Response {
        status,
        headers,
        grpc_status,
        grpc_in_headers,
        body: Str::default(),
        body_bytes,
        truncated: false,
    }
}
