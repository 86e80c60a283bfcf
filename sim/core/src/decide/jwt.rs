//! The JWT filter (semantics: istio-security 3).
//!
//! istiod's requirement tree is fixed: with one provider `any of (P, missing)`, with more `any of (P1 … Pn, all of
//! (Pi or missing_i))`. Tokens are read and verified by the caller's [`Tokens`]; what is decided here is where tokens
//! are looked for, which checks come first, and what a success leaves behind.
//! Envoy: source/extensions/filters/http/jwt_authn/{extractor,authenticator,verifier}.cc.

use crate::cx::{Claim, Token, TokenStatus, Tokens};
use crate::decide::cors::is_preflight;
use crate::decide::jwt_claims::{audience_allowed, claim_text, split_scopes, text_claim, time_claim};
use crate::decide::jwt_locations::{Found, find_tokens, remove_token};
use crate::ids::{OriginId, Str, Taint};
use crate::ir::{Jwks, JwtAuthn, JwtProvider};
use crate::request::RequestHead;
use crate::response::LocalReply;

/// `kClockSkewInSecond`
const CLOCK_SKEW: i64 = 60;

/// In place of keys that cannot be fetched istiod puts an RSA key without `kid` that nobody signs with: tokens of other
/// algorithms find no key, all others do not verify (istio: `pilot/pkg/model/jwks_resolver.go`, `CreateFakeJwks`).
pub const NOBODYS_KEYS: &str = r#"{"keys":[{"kty":"RSA","n":"bm9ib2R5","e":"AQAB"}]}"#;

const UNKNOWN_ISSUER: &str = "Jwt issuer is not configured";
const WRONG_AUDIENCE: &str = "Audiences in Jwt are not allowed";

/// What the filter made of a request.
pub(super) struct JwtResult {
    /// The payload of the token that was accepted.
    pub(super) payload: Option<Claim>,
    /// The rejection.
    pub(super) reply: Option<LocalReply>,
    /// Not decidable.
    pub(super) taint: Option<Taint>,
    /// The provider whose token was accepted or rejected.
    pub(super) origin: OriginId,
}

impl JwtResult {
    fn pass() -> Self {
        JwtResult { payload: None, reply: None, taint: None, origin: OriginId::NONE }
    }
}

/// How one provider judges a request.
enum Judgement {
    /// No token in its locations.
    Missing,
    /// All tokens are good.
    Good(Vec<(Found, Token)>),
    /// One of them is not, for this reason.
    Bad(Str),
    /// Not decidable.
    Unknown(Taint),
}

/// Runs the filter; output headers are written to (and spoofed ones removed from) `head`. `uri` is what
/// denials name.
pub(super) fn authenticate(
    filter: &JwtAuthn,
    uri: &str,
    head: &mut RequestHead,
    tokens: &dyn Tokens,
) -> JwtResult {
    if filter.bypass_cors_preflight && is_preflight(head) {
        return JwtResult::pass();
    }
    let mut worst: Option<(Str, OriginId)> = None;
    for provider in &filter.providers {
        sanitize(provider, head);
        match judge(provider, head, tokens) {
            Judgement::Missing => {}
            Judgement::Good(good) => return accept(provider, good, head),
            Judgement::Unknown(taint) => {
                return JwtResult { taint: Some(taint), origin: provider.origin, ..JwtResult::pass() };
            }
            // the reason of the rule whose issuer is the token's; otherwise of the first rule
            Judgement::Bad(reason) => match &worst {
                Some((first, _)) if first.as_ref() != UNKNOWN_ISSUER || reason.as_ref() == UNKNOWN_ISSUER => {
                }
                _ => worst = Some((reason, provider.origin)),
            },
        }
    }
    match worst {
        None => JwtResult::pass(),
        Some((reason, origin)) => {
            let reply = Some(rejection(&reason, uri, origin));
            JwtResult { reply, origin, ..JwtResult::pass() }
        }
    }
}

/// Clients may not send the headers a provider writes.
fn sanitize(provider: &JwtProvider, head: &mut RequestHead) {
    let outputs = provider.claim_to_headers.iter().map(|(header, _)| header);
    for name in provider.forward_payload_header.iter().chain(outputs) {
        if head.headers.has(name) {
            head.headers.remove(name);
        }
    }
}

fn judge(provider: &JwtProvider, head: &RequestHead, tokens: &dyn Tokens) -> Judgement {
    let found = find_tokens(provider, head);
    if found.is_empty() {
        return Judgement::Missing;
    }
    if let Some(taint) = provider.taints.first() {
        return Judgement::Unknown(taint.clone());
    }
    let mut good = Vec::with_capacity(found.len());
    // Envoy takes them from the back: cookies, parameters, headers
    for at in found.into_iter().rev() {
        match judge_token(provider, &at.token, tokens) {
            Ok(token) => good.push((at, token)),
            Err(Ok(reason)) => return Judgement::Bad(reason),
            Err(Err(taint)) => return Judgement::Unknown(taint),
        }
    }
    Judgement::Good(good)
}

/// Issuer, time, audience, signature, in this order.
fn judge_token(provider: &JwtProvider, text: &str, tokens: &dyn Tokens) -> Result<Token, Result<Str, Taint>> {
    let bad = |reason: &str| Err(Ok(reason.into()));
    let token = tokens.decode(text).map_err(Ok)?;
    let issuer = text_claim(&token.payload, "iss").unwrap_or("");
    if !provider.issuer.is_empty() && provider.issuer.as_ref() != issuer {
        return bad(UNKNOWN_ISSUER);
    }
    let now = tokens.now_unix();
    if time_claim(&token.payload, "nbf").is_some_and(|nbf| now + CLOCK_SKEW < nbf) {
        return bad("Jwt not yet valid");
    }
    if time_claim(&token.payload, "exp").is_some_and(|exp| exp != 0 && now > exp.saturating_add(CLOCK_SKEW)) {
        return bad("Jwt is expired");
    }
    if !audience_allowed(&provider.audiences, &token.payload) {
        return bad(WRONG_AUDIENCE);
    }
    let unknown = |what: &str| Err(Err(Taint { what: what.into(), origin: provider.origin }));
    let keys = match &provider.jwks {
        Jwks::Remote(uri) => return unknown(&format!("keys at {uri} are not fetched")),
        Jwks::Inline(keys) => keys,
        Jwks::Unreachable => NOBODYS_KEYS,
    };
    match tokens.verify(text, keys) {
        TokenStatus::Verified => Ok(token),
        TokenStatus::VerificationFails => bad("Jwt verification fails"),
        TokenStatus::NoMatchingKey => bad("Jwks doesn't have key to match kid or alg from Jwt"),
        TokenStatus::Unknown => unknown("the signature cannot be checked"),
    }
}

/// Writes what success leaves behind, token by token; the last one's payload stays.
fn accept(provider: &JwtProvider, good: Vec<(Found, Token)>, head: &mut RequestHead) -> JwtResult {
    let mut payload = None;
    for (found, token) in good {
        if let Some(name) = &provider.forward_payload_header {
            head.headers.append(name, &token.payload_base64);
        }
        for (header, claim) in &provider.claim_to_headers {
            if let Some(text) = claim_text(&token.payload, claim) {
                head.headers.append(header, &text);
            }
        }
        if !provider.forward {
            remove_token(&found.place, head);
        }
        payload = Some(split_scopes(token.payload, &provider.space_delimited_claims));
    }
    JwtResult { payload, origin: provider.origin, ..JwtResult::pass() }
}

fn rejection(reason: &str, uri: &str, origin: OriginId) -> LocalReply {
    let status = if reason == WRONG_AUDIENCE { 403 } else { 401 };
    let details = format!("jwt_authn_access_denied{{{}}}", reason.replace(' ', "_"));
    let mut reply = LocalReply::new(status, &details, reason, None, origin);
    let realm = format!("Bearer realm=\"{uri}\", error=\"invalid_token\"");
    reply.headers.push(("www-authenticate".into(), realm.into()));
    reply
}
