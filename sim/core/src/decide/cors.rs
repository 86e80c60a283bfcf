//! CORS (semantics: envoy-routing 3.10). Envoy: source/extensions/filters/http/cors/cors_filter.cc.

use crate::ids::Str;
use crate::ir::Cors;
use crate::matching::string_matches;
use crate::request::{Headers, RequestHead};
use crate::response::{LocalReply, ReplyBy};

/// What the filter made of a request.
pub(super) struct CorsResult {
    /// The response gets headers for the request's origin.
    pub(super) origin_allowed: bool,
    /// The answer to a preflight.
    pub(super) reply: Option<LocalReply>,
}

/// Whether a head is a preflight: `OPTIONS` with an origin and a requested method.
pub(super) fn is_preflight(head: &RequestHead) -> bool {
    let filled = |name: &str| head.headers.first(name).is_some_and(|value| !value.is_empty());
    head.method.as_ref() == "OPTIONS" && filled("origin") && filled("access-control-request-method")
}

/// The request side of the filter.
pub(super) fn check(cors: &Cors, head: &RequestHead) -> CorsResult {
    let Some(origin) = head.headers.first("origin").filter(|value| !value.is_empty()) else {
        return CorsResult { origin_allowed: false, reply: None };
    };
    let origin_allowed =
        cors.allow_origins.iter().any(|m| string_matches(m, "*") || string_matches(m, origin));
    if !is_preflight(head) || (!origin_allowed && cors.forward_not_matching_preflights) {
        return CorsResult { origin_allowed, reply: None };
    }
    let mut reply = LocalReply::new(200, "cors_response", "", None, cors.origin);
    reply.by = ReplyBy::Itself;
    if origin_allowed {
        reply.headers.push((ALLOW_ORIGIN.into(), origin.into()));
    }
    if cors.allow_credentials == Some(true) {
        reply.headers.push((ALLOW_CREDENTIALS.into(), "true".into()));
    }
    let mut add = |name: &str, value: &Str, requested: &str| {
        let value: Str = match value.as_ref() {
            "" => return,
            "*" => head.headers.first(requested).unwrap_or("").into(),
            _ => value.clone(),
        };
        reply.headers.push((name.into(), value));
    };
    add("access-control-allow-methods", &cors.allow_methods, "access-control-request-method");
    add("access-control-allow-headers", &cors.allow_headers, "access-control-request-headers");
    if !cors.max_age.is_empty() {
        reply.headers.push(("access-control-max-age".into(), cors.max_age.clone()));
    }
    // encodeHeaders of the same filter sees the preflight's answer too
    if origin_allowed && !cors.expose_headers.is_empty() {
        reply.headers.push((EXPOSE_HEADERS.into(), cors.expose_headers.clone()));
    }
    CorsResult { origin_allowed, reply: Some(reply) }
}

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";

/// The response side: headers for an allowed origin.
pub(super) fn answer(cors: &Cors, request: &RequestHead, response: &mut Headers) {
    let Some(origin) = request.headers.first("origin") else { return };
    response.set(ALLOW_ORIGIN, origin);
    if cors.allow_credentials == Some(true) {
        response.set(ALLOW_CREDENTIALS, "true");
    }
    if !cors.expose_headers.is_empty() {
        response.set(EXPOSE_HEADERS, &cors.expose_headers);
    }
}
